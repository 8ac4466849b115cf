"""Rules that are changed while they run."""

from __future__ import annotations

import datetime as dt
import gc
import threading
import weakref

import pyarrow as pa
import pytest
from fed_groups import Fed, pair, rising, rows, shown, spike, table, values

import cepheid as cep
from cepheid import absent, col, event, ref
from cepheid.runtime import clock_marks, redo
from cepheid.runtime.rule_group import RuleGroup
from cepheid.runtime.rule_history import store_history


@pytest.fixture
def store():
    with cep.EventStore() as made:
        yield made


@pytest.fixture(autouse=True)
def mark_every_row(monkeypatch):
    monkeypatch.setattr(clock_marks, "_ROWS_BETWEEN", 1)


# A new version knows what it would have known.


def test_a_rule_that_is_replaced_goes_on_with_the_state_that_it_would_have_had(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    fed.append((1, "x", 5), (2, "x", 1))
    warmed = fed.group.replace("rising", rising(more=2), fed.history)
    assert (warmed.rules, warmed.horizon_ns, warmed.events) == (("rising",), 20, 2)
    # Of rows that came before: what they derive is not told again, and not forgotten.
    assert values(fed.append((3, "x", 4)), "rising", "a", "b") == [(1, 4)]
    assert fed.group.engines == ((), ("rising",))


def test_a_rule_that_is_replaced_without_warmth_has_forgotten(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    fed.append((1, "x", 5))
    assert fed.group.replace("rising", rising(more=2), warm=False).events == 0
    assert fed.append((3, "x", 9)) == []
    assert fed.group.engines == (("rising",),)


def test_no_more_is_replayed_than_the_horizon(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    for time in range(0, 200, 2):
        fed.append((time, "x", 200 - time))
    assert 10 <= fed.group.replace("rising", rising(more=-3), fed.history).events <= 12
    found = values(fed.append((200, "x", 3)), "rising", "a", "b")
    assert found == [(2, 3)]
    assert fed.group.replace("rising", rising(more=-4), fed.history, warm="history").events == 101
    assert fed.group.replace("rising", rising(more=-5), fed.history, warm="4ns").events == 3
    span = dt.timedelta(microseconds=1)
    assert fed.group.replace("rising", rising(more=-6), fed.history, warm=span).events == 101


def test_rules_that_are_not_touched_derive_the_same_with_the_same_ids(store):
    other = cep.window(n=cep.count(), topic="in").tumbling("10ns").named("other")
    alone, fed = Fed(store, RuleGroup({"other": other}, "ts")), Fed(store, RuleGroup([rising(), other], "ts"))
    for time in range(40):
        fed.append((time, "x", time % 7))
        if time in (11, 23):
            fed.group.replace("rising", rising(more=time), fed.history)
    alone.catch_up()
    ended = shown(fed.outputs + fed.group.flush())["other"]
    assert ended == shown(alone.outputs + alone.group.flush())["other"]
    assert len(ended) == 4


def test_readers_move_with_the_rule_that_they_read(store):
    fed = Fed(store, RuleGroup([spike(), pair()], "ts"))
    fed.append((1, "x", 10), (2, "x", 8), (3, "x", 5))
    warmed = fed.group.replace("spike", spike(7), fed.history)
    assert warmed.rules == ("spike", "pair")
    assert fed.group.engines == ((), ("spike", "pair"))
    found = fed.append((4, "x", 9), (5, "x", 0))
    # The first two have become a pair by now; the new version would have told of it before.
    assert values(found, "spike", "v") == [(9,)]
    assert values(fed.append((6, "x", 12), (7, "x", 0)), "pair", "first", "second") == [(9, 12)]


def test_a_rule_that_reads_another_runs_it_unheard(store):
    fed = Fed(store, RuleGroup([spike(), pair()], "ts"))
    fed.append((1, "x", 10), (2, "x", 0))
    fed.group.replace("pair", pair("100ns"), fed.history)
    assert fed.group.engines == (("spike",), ("pair",))
    found = fed.append((50, "x", 11), (51, "x", 0))
    assert values(found, "spike", "v") == [(11,)]
    assert values(found, "pair", "first", "second") == [(10, 11)]


def test_those_who_derive_one_topic_for_readers_move_together(store):
    small = event("a", col.v < 3, topic="in").select(v=ref("a").v).emit("odd").named("small")
    large = event("a", col.v > 9, topic="in").select(v=ref("a").v).emit("odd").named("large")
    third = (event("b", topic="odd") >> event("c", topic="odd")).within("9ns").select(b=ref("b").v, c=ref("c").v)
    fed = Fed(store, RuleGroup([small, large, third.named("third")], "ts"))
    fed.append((1, "x", 10))
    smaller = event("a", col.v < 2, topic="in").select(v=ref("a").v).emit("odd").named("small")
    assert fed.group.replace("small", smaller, fed.history).rules == ("small", "large", "third")
    found = fed.append((2, "x", 2), (3, "x", 1), (4, "x", 5), (5, "x", 5))
    assert values(found, "odd", "v") == [(1,)]
    assert values(found, "third", "b", "c") == [(10, 1)]


def test_a_rule_may_begin_to_derive_what_another_reads_from_outside(store):
    fed = Fed(store, RuleGroup(event("x", topic="in").named("seen").select(v=ref("x").v), "ts"))
    fed.append((1, "x", 5))
    before = event("r", "v > 3", topic="raw").select(v=ref("r").v).emit("in").named("clean")
    with pytest.raises(cep.PatternError) as caught:
        fed.group.add(before)
    assert caught.value.code == "rule-order"
    assert fed.group.add(before, fed.history).rules == ("seen", "clean")
    assert fed.group.reads() == ("raw",)
    found = fed.append((5, "x", 7), topic="raw") + fed.group.flush()
    assert values(found, "seen", "v") == [(7,)]


def test_a_rule_on_a_topic_that_none_read_is_warmed_with_its_events(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    for time in range(0, 100, 5):
        fed.append((time, "x", 1))
        fed.append((time, "y", time), topic="more")
    both = (event("a", topic="more") >> event("b", "v > 50", topic="in")).within("12ns").matches("all")
    both = both.select(a=ref("a").v).named("both")
    warmed = fed.group.add(both, fed.history)
    assert warmed.events < 12
    found = fed.append((97, "x", 60)) + fed.append((98, "y", 98), topic="more")
    assert values(found + fed.group.flush(), "both", "a") == [(90,), (95,)]
    assert set(fed.group.reads()) == {"in", "more"}


def test_topics_whose_columns_do_not_meet_are_replayed_one_by_one(store):
    both = (event("a", topic="in") >> event("b", "v = 'z'", topic="text")).within("12ns").select(a=ref("a").v)
    fed = Fed(store, RuleGroup({"both": both}, "ts"))
    fed.append((1, "x", 1))
    store.append("text", [{"ts": 2, "v": "y"}])
    fed.catch_up()
    fed.group.replace("both", both.matches("all"), fed.history)
    store.append("text", [{"ts": 3, "v": "z"}])
    assert values(fed.catch_up() + fed.group.flush(), "both", "a") == [(1,)]


def test_a_rule_with_python_functions_is_added_while_it_runs(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    fed.append((1, "x", 5))
    odd = event(
        "a", cep.udf(lambda v: pa.array([value % 2 == 1 for value in v.to_pylist()]), columns=["v"]), topic="in"
    )
    fed.group.add(odd.select(v=ref("a").v).named("odd"), fed.history)
    assert values(fed.append((2, "x", 7), (3, "x", 8)), "odd", "v") == [(7,)]


def test_columns_that_a_topic_has_got_are_seen_by_rules_that_begin_later(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    fed.append((1, "x", 5))
    store.append("in", [{"ts": 2, "k": "x", "v": 6, "more": 7}])
    assert values(fed.catch_up(), "rising", "a", "b") == [(5, 6)]
    fed.group.add(event("a", "more > 1", topic="in").select(more=ref("a").more).named("new"), fed.history)
    store.append("in", [{"ts": 3, "k": "x", "v": 7, "more": 9}])
    assert values(fed.catch_up(), "new", "more") == [(9,)]


def test_rows_that_were_late_are_late_when_they_are_replayed(store):
    fed = Fed(store, RuleGroup(rising(within="100ns"), "ts", lateness="2ns", late="side_output"))
    fed.append((10, "x", 5), (20, "x", 1))
    late = fed.append((11, "x", 2))
    assert values(late, "in.late", "v") == [(2,)]
    fed.group.replace("rising", rising(1, within="100ns"), fed.history)
    found = fed.append((12, "x", 3), (21, "x", 9)) + fed.group.flush()
    # Told of once, whatever the number of engines.
    assert values(found, "in.late", "v") == [(3,)]
    assert values(found, "rising", "a", "b") == [(5, 9), (1, 9)]


def test_a_clock_that_was_moved_by_hand_stands_there_in_the_new_engine(store):
    unpaid = (event("o", topic="in") >> absent(event("p", "v = 1", topic="in"), for_="10ns")).select(v=ref("o").v)
    fed = Fed(store, RuleGroup({"unpaid": unpaid}, "ts", lateness=None))
    fed.append((1, "x", 5))
    assert values(fed.group.advance_to(8), "unpaid", "v") == []
    fed.group.replace("unpaid", unpaid.matches("all"), fed.history)
    fed.append((4, "x", 1), (9, "x", 7))
    # The row of time 4 was late; the order of time 1 waits as it did.
    assert values(fed.group.advance_to(11), "unpaid", "v") == [(5,)]
    assert values(fed.group.advance_to(19), "unpaid", "v") == [(7,)]


def test_an_end_of_the_input_in_between_is_one_in_the_replay(store):
    both = (event("a", topic="more") >> event("b", "v = 9", topic="in")).within("100ns").select(a=ref("a").v)
    fed = Fed(store, RuleGroup({"both": both}, "ts"))
    fed.append((1, "x", 5))
    fed.append((2, "x", 6), topic="more")
    fed.group.flush()
    fed.append((3, "x", 7), topic="more")
    fed.append((4, "x", 8))
    fed.group.replace("both", both.matches("all"), fed.history)
    # What had begun before the end is over, and what began behind it is not.
    found = fed.append((5, "x", 9)) + fed.group.flush()
    assert values(found, "both", "a") == [(7,)]


def test_several_changes_are_one(store):
    fed = Fed(store, RuleGroup([spike(), pair(), rising()], "ts"))
    fed.append((1, "x", 10))
    window = cep.window(n=cep.count(), topic="in").tumbling("10ns").named("window")
    warmed = fed.group.change([spike(8), pair("20ns"), window], fed.history)
    assert warmed.rules == ("spike", "pair", "window")
    assert list(fed.group.rules) == ["spike", "pair", "window"]
    found = fed.append((2, "x", 9), (15, "x", 1)) + fed.group.flush()
    assert values(found, "pair", "first", "second") == [(10, 9)]
    assert values(found, "window", "n") == [(2,), (1,)]


def test_a_processor_moves_with_the_rule_that_it_reads_and_is_asked_again(store):
    def doubled(batch):
        return pa.table({"v": [2 * value for value in batch["v"].to_pylist()], "ts": batch["ts"]})

    def rules(more):
        large = event("a", col.v > more, topic="doubled").select(v=ref("a").v).named("large")
        return [cep.Processor(doubled, "in"), large]

    fed = Fed(store, RuleGroup(rules(10), "ts"))
    fed.append((1, "x", 6))
    # The same function is the same rule, whatever object holds it.
    assert fed.group.change(rules(10), fed.history).rules == ()
    assert fed.group.change(rules(3), fed.history).rules == ("large",)
    found = fed.append((2, "x", 2), (3, "x", 1))
    # What is derived of time 1 is read when time 1 is over.
    assert values(found, "large", "v") == [(12,), (4,)]
    assert values(found, "doubled", "v") == [(4,), (2,)]
    assert fed.group.engines == (("doubled",), ("large",))


# Adding, removing, disabling.


def test_a_rule_that_is_disabled_derives_nothing_and_is_warmed_when_it_is_enabled(store):
    fed = Fed(store, RuleGroup([rising(), spike()], "ts"))
    fed.append((1, "x", 5))
    fed.group.disable("rising")
    assert fed.group.disabled == {"rising"}
    assert [rule.name for rule in fed.group.stats().rules] == ["spike"]
    assert fed.append((2, "x", 2)) == []
    # Replaced, it is as it is said to be, and stays disabled.
    assert fed.group.replace("rising", rising(more=1)).rules == ()
    assert fed.group.enable("rising", fed.history).rules == ("rising",)
    assert fed.group.disabled == frozenset()
    assert values(fed.append((3, "x", 9)), "rising", "a", "b") == [(5, 9), (2, 9)]


def test_a_rule_that_says_the_same_changes_nothing(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    fed.append((1, "x", 5))
    assert fed.group.replace("rising", rising(), fed.history) == ((), None, 0, {})
    assert fed.group.engines == (("rising",),)


def test_engines_whose_rules_are_gone_disappear(store):
    fed = Fed(store, RuleGroup([spike(), pair(), rising()], "ts"))
    fed.append((1, "x", 10))
    for more in range(1, 6):
        fed.group.replace("rising", rising(more), fed.history)
        fed.group.replace("pair", pair(f"{more + 20}ns"), fed.history)
    assert fed.group.engines == (("spike",), ("rising",), ("pair",))
    fed.group.remove("rising")
    assert fed.group.engines == (("spike",), ("pair",))
    assert fed.group.join(fed.history).rules == ("spike", "pair")
    assert fed.group.engines == (("spike", "pair"),)
    assert values(fed.append((2, "x", 11), (3, "x", 0)), "pair", "first", "second") == [(10, 11)]


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("more", [False, True])
def test_rows_that_waited_for_a_topic_that_is_read_no_more_come_out_by_the_next_call(store, restored, more):
    both = event("a", topic="slow").named("other")
    fed = Fed(store, RuleGroup([spike(), both], "ts"))
    fed.append((1, "x", 1), topic="slow")
    assert values(fed.append((5, "x", 10)), "spike", "v") == []
    fed.group.remove("other")
    assert fed.group.reads() == ("in",)
    if more:
        # A change that has the engine listen to another topic lets nothing out either.
        fed.append((4, "x", 1), topic="third")
        fed.group.add(event("a", topic="third").named("other"), fed.history)
        assert fed.group.reads() == ("in", "third")
    if restored:
        fed.group = RuleGroup.restore(fed.group.snapshot(), fed.group.rules).group
    assert values(fed.group.advance_to(0), "spike", "v") == [(10,)]
    assert values(fed.group.flush(), "spike", "v") == []


def test_a_group_without_rules_waits_for_some(store):
    fed = Fed(store, RuleGroup([], "ts"))
    assert fed.append((1, "x", 10)) == []
    fed.group.add(spike())
    assert values(fed.append((2, "x", 11)), "spike", "v") == [(11,)]
    fed.group.remove("spike")
    assert (fed.group.reads(), fed.append((3, "x", 12))) == ((), [])
    fed.group.add(spike(), fed.history)
    found = fed.append((4, "x", 13))
    assert values(found, "spike", "v", "causationid") == [(13, "in#3")]


def test_what_was_impossible_has_changed_nothing(store):
    fed = Fed(store, RuleGroup([spike(), pair()], "ts"))
    fed.append((1, "x", 10))
    circle = event("a", topic="pair").select(v=ref("a").first).named("spike")
    wrong = event("a", "no_such_column > 1", topic="in").named("wrong")
    attempts = [
        (lambda: fed.group.replace("spike", circle, fed.history), "rule-cycle"),
        (lambda: fed.group.replace("spike", spike().emit("elsewhere"), fed.history), "rule-read"),
        (lambda: fed.group.remove("spike"), "rule-read"),
        (lambda: fed.group.disable("spike"), "rule-read"),
        (lambda: fed.group.remove("nobody"), "unknown-rule"),
        (lambda: fed.group.replace("nobody", spike(), fed.history), "unknown-rule"),
        (lambda: fed.group.enable("nobody"), "unknown-rule"),
        (lambda: fed.group.change([spike(), pair()], fed.history, disabled=["nobody"]), "unknown-rule"),
        (lambda: fed.group.add(spike()), "duplicate-rule"),
        (lambda: fed.group.add(event("a", topic="in")), "empty-name"),
        (lambda: fed.group.add(event("a").named("any")), "rule-topic"),
        (lambda: fed.group.add(event("a", topic="in").named("cepheid:in")), "rule-name"),
        (lambda: fed.group.add(wrong, fed.history), "unknown-column"),
        (lambda: fed.group.add(wrong), "unknown-column"),
        (lambda: fed.group.add(wrong, fed.history, warm="0s"), "unknown-column"),
        (lambda: fed.group.replace("pair", pair().having("nothing = 1"), fed.history), "unknown-column"),
        (lambda: fed.group.replace("pair", pair("1m")), "rule-needs-history"),
    ]
    for attempt, code in attempts:
        with pytest.raises(cep.CepheidError) as caught:
            attempt()
        assert caught.value.code == code
    assert fed.group.engines == (("spike", "pair"),)
    assert list(fed.group.rules) == ["spike", "pair"]
    assert values(fed.append((2, "x", 11), (3, "x", 1)), "pair", "first", "second") == [(10, 11)]
    assert len(attempts) == 17


def test_a_history_that_ends_too_early_is_refused(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    fed.append((1, "x", 10), (2, "x", 11))
    with pytest.raises(cep.AppError) as caught:
        fed.group.replace("rising", rising(1), store_history(store, 1))
    assert caught.value.code == "history-short"
    assert fed.group.engines == (("rising",),)


def test_rows_behind_where_the_group_is_are_not_replayed(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    fed.append((1, "x", 10))
    store.append("in", rows((2, "x", 12)))
    fed.group.replace("rising", rising(1), store_history(store, store.end))
    assert values(fed.catch_up(), "rising", "a", "b") == [(10, 12)]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda group: group.push([{"ts": 1}], "in", 0),
        lambda group: group.push(table((1, "x", 1)), 5, 0),
        lambda group: group.push(table((1, "x", 1)), "in", "0"),
        lambda group: group.push(table((1, "x", 1)), "in", True),
        lambda group: group.replace(5, rising()),
        lambda group: group.replace("rising", "MATCH_RECOGNIZE"),
        lambda group: group.replace("rising", rising(1), None, warm=5),
        lambda group: group.advance_to("now"),
        lambda group: RuleGroup(rising(), "ts", future="1h"),
        lambda group: RuleGroup(rising(), "ts", nonsense=1),
        lambda group: RuleGroup(rising(), "ts", ids=1),
        lambda group: store_history(group, "0"),
        lambda group: group.replace("rising", rising(1), "history"),
        lambda group: group.change(rising(), disabled="rising"),
        lambda group: group.join(None),
        lambda group: group.join(lambda topics, rows, since: iter(()), warm=False),
        lambda group: RuleGroup.restore("text", rising()),
    ],
)
def test_wrong_types_are_refused(wrong):
    with pytest.raises(TypeError):
        wrong(RuleGroup(rising(), "ts"))


# Calls are whole.


def dividing():
    return event("a", "100 / v > 1", topic="in").select(v=ref("a").v).named("dividing")


def test_no_engine_keeps_what_another_refused(store):
    fed = Fed(store, RuleGroup([rising(), spike()], "ts"))
    fed.append((1, "x", 5))
    fed.group.add(dividing(), fed.history)
    fed.append((2, "x", 3))
    before = fed.group.stats()
    with pytest.raises(cep.EvaluationError):
        fed.group.push(table((3, "x", 9), (4, "x", 0)), "in", 2)
    assert fed.group.stats().rows == before.rows == 2
    assert fed.group.engines == (("rising", "spike"), ("dividing",))
    found = fed.append((3, "x", 9))
    assert values(found, "rising", "a", "b", "causationid") == [(5, 9, "in#2"), (3, 9, "in#2")]
    assert values(found, "dividing", "v") == [(9,)]


def test_engines_are_put_back_from_where_they_were_last_saved(store, monkeypatch):
    monkeypatch.setattr(redo, "_CALLS_MAX", 3)
    fed = Fed(store, RuleGroup([rising(within="1us")], "ts"))
    fed.append((1, "x", 50))
    fed.group.add(dividing(), fed.history)
    plain = Fed(store, RuleGroup([rising(within="1us")], "ts"))
    for time in range(2, 20):
        fed.append((time, "x", 50 - time))
        with pytest.raises(cep.EvaluationError):
            fed.group.push(table((time, "x", 99), (time, "x", 0)), "in", time)
    fed.append((30, "x", 60))
    plain.catch_up()
    assert shown(fed.outputs)["rising"] == shown(plain.outputs)["rising"]
    assert len(shown(fed.outputs)["rising"]) == 19


def test_rows_are_let_go_of_once_there_is_one_engine_again(store):
    fed = Fed(store, RuleGroup([spike()], "ts"))
    fed.append((1, "x", 5))
    fed.group.add(spike(3).named("other"), fed.history)
    pushed = table((2, "x", 3))
    kept = weakref.ref(pushed)
    fed.group.push(pushed, "in", 1)
    del pushed
    gc.collect()
    assert kept() is not None
    fed.group.remove("other")
    gc.collect()
    assert kept() is None


def test_a_row_is_taken_once(store):
    fed = Fed(store, RuleGroup(rising(), "ts"))
    fed.append((1, "x", 5))
    with pytest.raises(cep.AppError) as caught:
        fed.group.push(table((1, "x", 5)), "in", 0)
    assert caught.value.code == "row-order"
    found = fed.group.push(table((2, "x", 6)), "in", 41)
    assert values(found, "rising", "causationid") == [("in#41",)]


def test_a_topic_that_no_rule_reads_is_passed_over():
    group = RuleGroup(rising(), "ts")
    assert group.push(pa.table({"anything": [1]}), "other", 0) == []
    assert group.stats().rows == 0


def test_threads_may_push_and_change(store):
    group = RuleGroup([rising(), spike()], "ts")
    fed = Fed(store, group)
    failures = []

    def change():
        try:
            for more in range(20):
                group.replace("rising", rising(more + 1), warm=False)
                group.stats()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=change)
    thread.start()
    for time in range(50):
        fed.append((time, "x", 10))
    thread.join(timeout=60)
    assert not failures
    assert len(shown(fed.outputs)["spike"]) == 50


# State.


def test_a_group_goes_on_where_a_snapshot_was_taken(store):
    fed = Fed(store, RuleGroup([spike(), pair(), rising()], "ts", lateness="1ns", idle="1us"))
    fed.append((1, "x", 10))
    fed.group.replace("pair", pair("30ns"), fed.history)
    fed.group.disable("rising")
    blob = fed.group.snapshot()
    restored = RuleGroup.restore(blob, fed.group.rules)
    assert not restored.differences
    assert (restored.group.disabled, restored.group.engines) == ({"rising"}, (("spike",), ("pair",)))
    rest = table((5, "x", 11), (9, "x", 0))
    assert shown(restored.group.push(rest, "in", 1)) == shown(fed.group.push(rest, "in", 1))
    assert restored.group.snapshot() == fed.group.snapshot()


def test_a_snapshot_says_which_rules_have_changed_and_runs_those_that_were_saved(store):
    fed = Fed(store, RuleGroup([spike(), pair(), rising()], "ts"))
    fed.append((1, "x", 10))
    wanted = [spike(8), pair(), cep.window(n=cep.count(), topic="in").tumbling("9ns").named("new")]
    group, differences = RuleGroup.restore(fed.group.snapshot(), wanted)
    assert differences == (("new",), ("spike",), ("rising",))
    assert group.rules == fed.group.rules
    fed.group = group
    assert group.change(wanted, fed.history).rules == ("spike", "pair", "new")
    found = fed.append((2, "x", 9), (9, "x", 1))
    assert values(found, "pair", "first", "second") == [(10, 9)]
    assert values(found, "new", "n") == [(2,)]


def test_a_saved_rule_with_python_functions_has_to_be_given(store):
    odd = event("a", cep.udf(lambda v: v, columns=["v"]), topic="in").named("odd")
    blob = RuleGroup([odd, spike()], "ts").snapshot()
    assert not RuleGroup.restore(blob, [odd, spike()]).differences
    for given in (
        [spike()],
        [spike(), event("a", cep.udf(lambda v: v, columns=["k", "v"]), topic="other").named("odd")],
    ):
        with pytest.raises(cep.AppError) as caught:
            RuleGroup.restore(blob, given)
        assert caught.value.code == "rule-unknown"
    same = cep.Processor(lambda batch: batch, "in", name="same")
    assert not RuleGroup.restore(RuleGroup(same, "ts").snapshot(), same).differences


def test_bytes_that_are_no_snapshot_are_refused():
    blob = RuleGroup([spike(), pair()], "ts").snapshot()
    attempts = 0
    for damaged in (b"", blob[:30], blob[:-1], blob + b"x", b"y" + blob, *_flipped(blob)):
        attempts += 1
        with pytest.raises(cep.StoreError):
            RuleGroup.restore(damaged, [spike(), pair()])
    assert attempts > 40


def _flipped(blob):
    for place in range(0, len(blob), max(1, len(blob) // 40)):
        yield blob[:place] + bytes([blob[place] ^ 0x55]) + blob[place + 1 :]


def test_a_chain_of_matches_that_never_ends_needs_all_of_history(store):
    """Rows 1 and 2 are a match, 3 and 4, and so on: which is first depends on the first row there has been."""
    chained = (event("a", topic="in") >> event("b", topic="in")).within("3ns").select(a=ref("a").v, b=ref("b").v)
    with store.transaction() as changes:
        changes.append("in", rows(*((time, "x", time) for time in range(100))))
    there = store.read("in").to_arrow()
    expected = [(98, 99)]
    for warm, matched in ((True, {False, True}), ("history", {True})):
        found = set()
        for first in (0, 1):
            # A group whose marks are of even rows, and one whose marks are of odd ones.
            group = RuleGroup({"pair": rising()}, "ts")
            for start in range(first - 2, 98, 2):
                begin = max(0, start)
                stop = min(start + 2, 99)
                group.push(there.slice(begin, stop - begin), "in", begin)
            group.push(there.slice(stop, 99 - stop), "in", stop)
            group.replace("pair", chained, store_history(store, 99), warm=warm)
            found.add(values(group.push(there.slice(99), "in", 99), "pair", "a", "b") == expected)
        assert found == matched
