"""The engine: what it takes, what it gives, and what becomes of it when it is given something wrong."""

from __future__ import annotations

import datetime as dt
import threading

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from engine_state import state

import cepheid as cep
from cepheid import absent, col, event, ref

UTC = dt.UTC
PAIR = (
    (event("a", col.kind == "a") >> event("b", col.kind == "b"))
    .within("10m")
    .partition_by("id")
    .select(gap=ref("b").ts - ref("a").ts)
    .named("pair")
)

# The same, but for a condition that reads what has been taken.
ASKING_PAIR = (
    (event("a", col.kind == "a") >> event("b", col.kind == "b", col.id >= ref("a").id))
    .within("10m")
    .partition_by("id")
    .named("pair")
)


def at(minute: float) -> dt.datetime:
    return dt.datetime(2024, 1, 1, tzinfo=UTC) + dt.timedelta(minutes=minute)


def row(minute: float, kind: str, key: int = 1) -> dict[str, object]:
    return {"ts": at(minute), "kind": kind, "id": key}


def starts(matches: cep.Matches) -> list[object]:
    return matches.to_arrow()["match_start"].to_pylist()


# What comes out.


def test_a_match_comes_with_the_push_that_makes_it_certain():
    engine = cep.Engine(PAIR)
    assert not engine.push([row(0, "a")])
    derived = engine.push([row(3, "b")])
    assert list(derived) == ["pair"]
    assert derived["pair"].to_arrow()["gap"].to_pylist() == [dt.timedelta(minutes=3)]
    assert derived["pair"].rows.to_pylist() == [
        {"match": 0, "variable": "a", "row": 0},
        {"match": 0, "variable": "b", "row": 1},
    ]


def test_derived_is_a_mapping_of_topics_that_are_there():
    engine = cep.Engine({"seen": event("a"), "hot": event("h", "kind = 'z'")})
    derived = engine.push([row(0, "a")])
    assert dict(derived).keys() == {"seen"}
    assert derived
    assert len(derived) == 1
    assert derived.total == 1
    assert derived.topics == ("seen",)
    assert derived.get("hot") is None
    assert repr(derived) == "Derived: 1 event of 1 topic\n  seen  1"
    assert "seen" in derived._repr_html_()
    with pytest.raises(KeyError, match=r"no events of topic 'sen' \(did you mean 'seen'\?\): .*'seen'"):
        derived["sen"]
    nothing = engine.push([])
    assert not nothing
    assert repr(nothing) == "Derived: nothing"
    with pytest.raises(KeyError, match="nothing was derived"):
        nothing["seen"]


def test_topics_come_in_the_order_of_the_rules():
    rules = [event("a").named("second"), event("b").named("first"), event("c").emit("third")]
    derived = cep.Engine(rules).push([row(0, "a")])
    assert list(derived) == ["second", "first", "third"]


def test_timeouts_and_intermediate_outputs_have_topics_of_their_own():
    rule = PAIR.timeouts().emit_at("a", "begun", since=ref("a").ts)
    engine = cep.Engine(rule)
    assert engine.push([row(0, "a")])["begun"].to_arrow()["since"].to_pylist() == [at(0)]
    derived = engine.advance_to(at(10))
    assert list(derived) == ["pair.timeout"]
    assert starts(derived["pair.timeout"]) == [at(0)]


def test_a_deadline_fires_without_another_event():
    rule = (event("order", "kind = 'o'") >> absent(event("paid", "kind = 'p'"), for_="1h")).partition_by("id")
    engine = cep.Engine(rule.named("unpaid"))
    engine.push([row(0, "o", 1), row(1, "o", 2), row(2, "p", 2)])
    assert not engine.advance_to(at(59))
    assert engine.advance_to(at(60))["unpaid"].to_arrow()["id"].to_pylist() == [1]


@pytest.mark.parametrize(
    "moment",
    [
        dt.datetime(2024, 1, 1, 0, 10, tzinfo=UTC),
        dt.datetime(2024, 1, 1, 0, 10),
        dt.datetime(2024, 1, 1, 2, 10, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        1_704_067_800_000_000_000,
        pa.scalar(dt.datetime(2024, 1, 1, 0, 10)).as_py(),
    ],
)
def test_the_clock_is_moved_to_a_datetime_or_to_nanoseconds(moment):
    engine = cep.Engine(PAIR.timeouts())
    engine.push([row(0, "a")])
    assert list(engine.advance_to(moment)) == ["pair.timeout"]
    assert engine.stats().watermark == at(10)


def test_numpy_and_pandas_times_move_the_clock():
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    for moment in (np.datetime64("2024-01-01T00:10"), pd.Timestamp("2024-01-01 00:10", tz="UTC")):
        engine = cep.Engine(PAIR)
        engine.advance_to(moment)
        assert engine.stats().watermark == at(10)


def test_going_backwards_does_nothing():
    engine = cep.Engine(PAIR)
    engine.advance_to(at(10))
    engine.advance_to(at(5))
    assert engine.stats().watermark == at(10)


def test_rows_wait_for_lateness_and_are_matched_in_order():
    engine = cep.Engine(PAIR, lateness="5m")
    assert not engine.push([row(4, "b"), row(1, "a")])
    assert engine.stats().waiting == 2
    assert starts(engine.push([row(9, "x")])["pair"]) == [at(1)]


def test_without_lateness_only_the_clock_moves():
    engine = cep.Engine(PAIR, lateness=None)
    assert not engine.push([row(4, "b"), row(1, "a"), row(1000, "x")])
    assert starts(engine.advance_to(at(4))["pair"]) == [at(1)]


def test_flush_ends_the_input():
    engine = cep.Engine(PAIR.timeouts(), lateness="1d")
    engine.push([row(0, "a"), row(1, "b"), row(2, "a")])
    derived = engine.flush()
    assert {topic: len(matches) for topic, matches in derived.items()} == {"pair": 1, "pair.timeout": 1}
    assert list(engine.push([row(2, "a")])) == ["late"]


def test_an_idle_topic_does_not_hold_the_others_back():
    rule = (event("a", topic="left") >> event("b", topic="right")).within("1h").named("both")
    for idle, expected in ((None, None), ("10m", at(20))):
        engine = cep.Engine(rule, idle=idle)
        engine.push([row(0, "a")], topic="left")
        engine.push([row(0, "a")], topic="right")
        engine.push([row(20, "a")], topic="left")
        assert engine.stats().watermark == (expected or at(0))


# Late rows, and rows of the future.


def test_late_rows_come_out_as_they_were_pushed():
    engine = cep.Engine(PAIR)
    engine.push([row(5, "a")])
    derived = engine.push([row(6, "x"), row(3, "a", 7), row(5, "a")])
    assert derived["late"].to_arrow().to_pylist() == [row(3, "a", 7), row(5, "a")]
    assert len(derived["late"]) == 2
    assert len(derived["late"].rows) == 0
    assert engine.stats().late == 2


def test_late_rows_of_a_topic_have_a_topic_of_its_name():
    engine = cep.Engine(event("login", topic="auth").named("seen"))
    engine.push([row(5, "a")], topic="auth")
    assert list(engine.push([row(3, "a")], topic="auth")) == ["auth.late"]


def test_late_rows_are_dropped_on_request_and_counted():
    engine = cep.Engine(PAIR, late="drop")
    assert not engine.push([row(5, "a"), row(3, "a")])
    assert (engine.stats().late, engine.stats().dropped) == (1, 1)


def test_a_late_row_is_an_error_on_request_and_nothing_is_taken():
    engine = cep.Engine(PAIR, late="error")
    engine.push([row(5, "a")])
    before = state(engine)
    with pytest.raises(cep.LateEventError) as caught:
        engine.push([row(6, "b"), row(3, "a")])
    assert (caught.value.code, caught.value.row) == ("late-event", 1)
    assert state(engine) == before
    assert len(engine.push([row(6, "b")])["pair"]) == 1


def test_a_row_of_the_future_moves_no_clock():
    engine = cep.Engine(PAIR, clock=lambda: at(0))
    engine.push([row(61, "x"), row(1, "a"), row(2, "b")])
    assert engine.stats().watermark == at(2)
    assert engine.stats().future == 1
    unguarded = cep.Engine(PAIR, clock=lambda: at(0), future=None)
    unguarded.push([row(61, "x"), row(1, "a")])
    assert (unguarded.stats().watermark, unguarded.stats().late) == (at(61), 1)


def test_the_guard_asks_the_clock_of_the_system():
    engine = cep.Engine(PAIR)
    engine.push([{**row(0, "x"), "ts": dt.datetime.now(UTC) + dt.timedelta(hours=3)}])
    assert (engine.stats().future, engine.stats().watermark) == (1, None)


# Rules.


def test_rules_are_named_by_the_mapping_by_themselves_or_by_their_place():
    assert cep.Engine({"x": event("a").named("y")}).rules == ("x",)
    assert cep.Engine([event("a").named("y"), event("b")]).rules == ("y", "rule-2")
    assert cep.Engine(event("a")).rules == ("rule-1",)
    assert cep.Engine(rule for rule in [event("a"), event("b")]).rules == ("rule-1", "rule-2")


def test_rules_change_while_the_engine_runs():
    engine = cep.Engine({"one": event("a", "kind = 'a'")})
    engine.push([row(0, "a")])
    engine.add(event("b", "kind = 'b'"))
    assert engine.rules == ("one", "rule-2")
    assert list(engine.push([row(1, "a"), row(2, "b")])) == ["one", "rule-2"]
    engine.replace("one", event("c", "kind = 'c'"))
    assert engine.rules == ("one", "rule-2")
    assert list(engine.push([row(3, "a"), row(4, "c")])) == ["one"]
    engine.remove("one")
    assert engine.rules == ("rule-2",)
    assert not engine.push([row(5, "c")])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda engine: engine.add(event("a").named("pair")), "duplicate-rule"),
        (lambda engine: engine.remove("pear"), "unknown-rule"),
        (lambda engine: engine.replace("pear", event("a")), "unknown-rule"),
        (lambda engine: engine.add(event("a") >> event("b")), "unbounded-wait"),
    ],
)
def test_a_change_of_rules_that_cannot_be_changes_nothing(change, code):
    engine = cep.Engine(PAIR)
    engine.push([row(0, "a")])
    before = state(engine)
    with pytest.raises(cep.PatternError) as caught:
        change(engine)
    assert caught.value.code == code
    assert state(engine) == before
    assert len(engine.push([row(1, "b")])["pair"]) == 1


def test_two_rules_emit_one_topic_with_the_same_columns_only():
    same = [event("a", f"kind = '{kind}'").select(key="id").named(kind).emit("seen") for kind in "ba"]
    found = cep.Engine(same).push([row(0, "a", 5), row(1, "b", 6)])["seen"]
    assert found.to_arrow()["key"].to_pylist() == [5, 6]
    other = event("a").select(other="id").named("c").emit("seen")
    with pytest.raises(cep.SchemaError, match=r"both emit `seen`"):
        cep.Engine([same[0], other]).push([row(0, "b")])


def test_a_rule_written_in_sql_runs_in_an_engine():
    rule = cep.pattern_from_sql(
        "MATCH_RECOGNIZE (PARTITION BY id ORDER BY ts MEASURES A.ts AS since PATTERN (A B) WITHIN INTERVAL '5' MINUTE "
        "DEFINE A AS kind = 'a', B AS kind = 'b')"
    )
    found = cep.Engine(rule.named("sql")).push([row(0, "a"), row(1, "b"), row(2, "a"), row(7, "b")])["sql"]
    assert found.to_arrow().to_pylist() == [{"id": 1, "since": at(0)}]


def test_predicates_in_python_are_computed_for_each_rule_and_shown_to_nobody():
    def is_odd(values):
        return pc.equal(pc.bit_wise_and(values, 1), 1)

    def is_even(values):
        return pc.equal(pc.bit_wise_and(values, 1), 0)

    odd = event("a", cep.udf(is_odd, columns=["id"])).rows_per_match("all").named("odd")
    even = event("a", cep.udf(is_even, columns=["id"])).named("even")
    engine = cep.Engine([odd, even])
    derived = engine.push([row(0, "x", 1), row(1, "x", 2), row(2, "x", 3)])
    assert derived["odd"].to_arrow()["id"].to_pylist() == [1, 3]
    assert derived["even"].rows["row"].to_pylist() == [1]
    engine = cep.Engine.restore(engine.snapshot(), [odd, even])
    derived = engine.push([row(1, "x", 5), row(4, "x", 6)])
    assert derived["late"].to_arrow().to_pylist() == [row(1, "x", 5)]
    assert derived["even"].rows["row"].to_pylist() == [4]
    shown = [name for matches in derived.values() for name in matches.column_names]
    assert not [name for name in shown if "udf" in name]
    engine.remove("odd")
    assert list(engine.push([row(5, "x", 7), row(6, "x", 8)])) == ["even"]
    engine = cep.Engine.restore(engine.snapshot(), even)
    assert list(engine.push([row(7, "x", 7), row(8, "x", 8)])) == ["even"]
    engine.replace("even", even)
    with pytest.raises(cep.PatternError, match="rows have come without it") as caught:
        engine.add(even.named("third"))
    assert caught.value.code == "unsupported"


def test_another_predicate_comes_only_when_no_row_waits_that_it_was_not_asked():
    def rule(kind):
        # Of rows that wait, the columns hold what the predicate of their time gave.
        return event("a", cep.udf(kind, columns=["id"])).named("rule")

    def is_one(values):
        return pc.equal(values, 1)

    def is_two(values):
        return pc.equal(values, 2)

    engine = cep.Engine(rule(is_one), lateness="1m")
    engine.push([row(0, "x", 1), row(0, "x", 2)])
    engine.replace("rule", rule(is_one))
    before = state(engine)
    with pytest.raises(cep.PatternError, match="2 rows that wait") as caught:
        engine.replace("rule", rule(is_two))
    assert caught.value.code == "unsupported"
    assert state(engine) == before
    assert engine.flush()["rule"].rows["row"].to_pylist() == [0]
    engine.replace("rule", rule(is_two))
    engine.push([row(1, "x", 1), row(1, "x", 2)])
    engine.remove("rule")
    with pytest.raises(cep.PatternError, match="2 rows that wait"):
        engine.add(rule(is_two))
    assert not engine.flush()
    engine.add(rule(is_two))
    engine.push([row(2, "x", 1), row(2, "x", 2)])
    assert engine.flush()["rule"].rows["row"].to_pylist() == [5]


def test_a_predicate_is_asked_of_the_topics_that_have_its_columns():
    large = cep.udf(lambda amount: pc.greater(amount, 5), columns=["amount"])
    rule = (event("login", topic="auth") >> event("transfer", large, topic="bank")).within("1h").named("moved")
    engine = cep.Engine(rule)
    engine.push([{"ts": at(0)}], topic="auth")
    engine.push([{"ts": at(1), "amount": 3}, {"ts": at(2), "amount": 9}], topic="bank")
    assert engine.flush()["moved"].rows.to_pylist()[1] == {
        "match": 0,
        "variable": "transfer",
        "row": 1,
        "topic": "bank",
    }
    with pytest.raises(cep.SchemaError) as caught:
        cep.Engine(rule).push([{"ts": at(0), "amuont": 3}], topic="bank")
    assert (caught.value.code, caught.value.column) == ("unknown-column", "amount")


# Snapshots and threads.


def test_a_snapshot_goes_on_where_it_was_taken_at_any_number_of_threads():
    engine = cep.Engine(PAIR, lateness="2m", threads=1)
    engine.push([row(0, "a"), row(1, "a", 2)])
    engine.push([row(5, "x")])
    for threads in (1, 2, 4):
        restored = cep.Engine.restore(engine.snapshot(), PAIR, threads=threads)
        assert restored.stats().waiting == engine.stats().waiting
        restored.push([row(6, "b"), row(6, "b", 2)])
        assert starts(restored.flush()["pair"]) == [at(0), at(1)]


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda blob: b"", "invalid-snapshot"),
        (lambda blob: blob[:-1], "invalid-snapshot"),
        (lambda blob: blob[:60] + bytes([blob[60] ^ 1]) + blob[61:], "invalid-snapshot"),
        (lambda blob: blob[:8] + b"\xff\xff\xff\xff" + blob[12:], "snapshot-version"),
    ],
)
def test_bytes_that_are_no_snapshot_are_refused(damage, code):
    engine = cep.Engine(PAIR)
    engine.push([row(0, "a")])
    with pytest.raises(cep.StoreError) as caught:
        cep.Engine.restore(damage(engine.snapshot()), PAIR)
    assert caught.value.code == code


def test_a_snapshot_is_restored_with_its_own_rules_only():
    blob = cep.Engine(PAIR).snapshot()
    for rules in ([], [PAIR, event("x")], [PAIR.within("5m")], {"other": PAIR}):
        with pytest.raises(cep.StoreError) as caught:
            cep.Engine.restore(blob, rules)
        assert caught.value.code == "snapshot-rules"
    with pytest.raises(TypeError, match="a snapshot is bytes, not str"):
        cep.Engine.restore("x", PAIR)


def test_calls_of_several_threads_wait_for_each_other():
    engine = cep.Engine(event("a").named("seen").within(None), lateness=None)
    batch = pa.table({"ts": pa.array(range(1000), pa.int64())})

    def work():
        for _ in range(20):
            engine.push(batch)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engine.stats().rows == 80_000
    assert len(engine.flush()["seen"]) == 80_000


# Memory.


@pytest.mark.parametrize(
    ("pattern", "strategy", "limit"),
    [(ASKING_PAIR, "waiting runs", 2_000_000), (PAIR.matches("all"), "step lists", 1_200_000)],
)
def test_a_limit_on_memory_names_the_rule_and_the_key_and_changes_nothing(pattern, strategy, limit):
    engine = cep.Engine(pattern, memory_limit=limit)
    engine.push([row(0, "a", 1)])
    assert engine.stats().rules[0].strategy == strategy
    before = state(engine)
    with pytest.raises(cep.StateLimitError) as caught:
        engine.push([row(1, "a", 42) for _ in range(20_000)])
    assert caught.value.code == "state-limit"
    assert caught.value.limit <= limit < caught.value.needed + limit // 2
    assert (caught.value.rule, caught.value.key) == ("pair", "id = 42")
    assert caught.value.event_time == 1_704_067_260_000_000_000
    assert "rule `pair`" in str(caught.value)
    assert state(engine) == before
    assert starts(engine.push([row(2, "b", 1)])["pair"]) == [at(0)]


def test_a_limit_on_memory_holds_for_many_small_pushes():
    engine = cep.Engine(PAIR.matches("all"), memory_limit=200_000)
    engine.push([row(0, "a", 1)])
    with pytest.raises(cep.StateLimitError) as caught:
        for push in range(1000):
            before = state(engine)
            engine.push([row(1 + push / 1000, "a", 42) for _ in range(50)])
    assert (caught.value.limit, caught.value.rule) == (200_000, "pair")
    assert state(engine) == before


@pytest.mark.parametrize(
    ("size", "expected"), [("64MB", 64_000_000), ("2 GiB", 2 << 30), ("1.5kb", 1500), ("7B", 7), (7, 7), (None, None)]
)
def test_sizes_are_bytes_or_text(size, expected):
    from cepheid.engine_options import memory_bytes

    assert memory_bytes(size) == expected


# Statistics.


def test_statistics_say_what_was_seen_and_what_is_held():
    rule = (event("a", topic="left") >> event("b", topic="right")).within("1h").named("both")
    engine = cep.Engine(rule, lateness="1m")
    engine.push([row(0, "a"), row(5, "a"), row(1, "a")], topic="left")
    engine.push([row(3, "a")], topic="right")
    stats = engine.stats()
    assert (stats.rows, stats.late, stats.dropped, stats.future) == (4, 1, 0, 0)
    assert stats.watermark == at(2)
    left, right = stats.sources
    assert (left.topic, left.rows, left.late, left.greatest, left.watermark) == ("left", 3, 1, at(5), at(4))
    assert (right.topic, right.waiting, right.active, right.idle) == ("right", 1, True, False)
    [of_rule] = stats.rules
    assert (of_rule.name, of_rule.fingerprint, of_rule.live_runs) == ("both", rule.fingerprint, 1)
    assert of_rule.rows_visited >= 1
    assert stats.bytes > 0
    assert "1 rules (both); 4 rows, 2 waiting; matched up to 2024-01-01T00:02:00+00:00" in repr(engine)


def test_a_row_is_visited_once_however_many_pushes_follow():
    engine = cep.Engine(PAIR)
    for minute in range(50):
        engine.push([row(minute, "a"), row(minute, "x", 2)])
    assert engine.stats().rules[0].rows_visited <= 2 * 100


def test_a_window_that_ends_before_a_deadline_does_not_hold_the_clock():
    # Seen: the clock looked at such a key for ever.
    gone = absent(event("gone", col.kind == "d"), for_="4ns")
    pattern = (event("o").next(event("p").optional()).then(event("q", col.kind == "a")).then(gone)).within("7ns")
    engine = cep.Engine(pattern.named("quiet"), lateness="6ns", future=None)
    for time, kind in [(5, "c"), (11, "a"), (18, "a")]:
        assert not engine.push([{"ts": time, "kind": kind}])
    # Within seven of the first row no row is followed by silence for four.
    assert not engine.flush()
    assert engine.stats().live_runs == 0


def test_no_rule_derives_the_topic_that_late_rows_come_out_as():
    # Late rows and events of one name would hide each other.
    def refused(call):
        with pytest.raises(cep.SchemaError, match="late rows") as caught:
            call()
        assert caught.value.code == "topic-conflict"

    named = event("a").named("late")
    orders = event("a", topic="orders").named("seen")
    for clash in (event("a").named("x").emit("orders.late"), event("a").named("x").emit_at("a", "orders.late", k=1)):
        refused(lambda clash=clash: cep.Engine([orders, clash]))
        refused(lambda clash=clash: cep.Engine([clash, orders]))

    engine = cep.Engine(named)
    before = state(engine)
    refused(lambda: engine.push([row(0, "x", 1)]))
    assert state(engine) == before
    assert engine.push([row(0, "x", 1)], topic="orders").total == 1

    engine = cep.Engine(orders)
    before = state(engine)
    refused(lambda: engine.add(event("a").named("orders.late")))
    refused(lambda: engine.replace("seen", orders.emit("orders.late")))
    assert state(engine) == before
    engine.add(event("a", topic="other").named("orders.lately"))

    # A rule that goes does not stand in the way of the one that comes for it.
    engine = cep.Engine(event("a", topic="other").emit("orders.late").named("seen"))
    engine.replace("seen", orders)

    engine = cep.Engine(named, late="drop")
    assert engine.push([row(1, "x", 1)])["late"].num_rows == 1
    assert not engine.push([row(0, "x", 2)])
    assert engine.stats().dropped == 1


def test_what_the_limit_on_memory_is_does_not_depend_on_what_others_hold():
    for rows in (30, 60, 2_000):
        engine = cep.Engine(
            (cep.event("a") >> cep.event("b")).within("1h").matches("all").named("r"), memory_limit=2_500
        )
        with pytest.raises(cep.StateLimitError) as caught:
            engine.push([{"ts": 1, "g": "u", "x": 1}] * rows)
        assert caught.value.limit == 2_500 < caught.value.needed


def test_a_value_that_waits_and_cannot_be_taken_is_told_with_its_rule():
    rules = [
        cep.window(n=cep.count(), where="10 / x > 0").tumbling("1s").named("bad"),
        cep.window(n=cep.count()).rows(1).named("good"),
    ]
    engine = cep.Engine(rules, future=None, lateness="10s")
    engine.push({"ts": [0], "x": [0]})
    for time in (20, 40):
        with pytest.raises(cep.CepheidError, match="of rule `bad`") as caught:
            engine.push({"ts": [time * 10**9], "x": [5]})
        assert caught.value.code == "division-by-zero"
    engine.remove("bad")
    assert len(engine.push({"ts": [60 * 10**9], "x": [5]})["good"]) == 1
    assert len(engine.flush()["good"]) == 1
