"""Apps that are cut off in the middle, whose dead letters move meanwhile, or whose rules fail when nothing comes."""

import datetime as dt
import json

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid.errors import PatternError, StoreError
from cepheid.runtime.core import Core
from cepheid.store.event_store import EventStore


class Died(BaseException):
    """The process is gone."""


@pytest.fixture
def on_commit(monkeypatch):
    """Has a function asked before each commit, and another one after it."""
    real = EventStore._commit

    def use(before=lambda changes: None, after=lambda changes: None):
        def commit(store, changes):
            before(changes)
            made = real(store, changes)
            after(changes)
            return made

        monkeypatch.setattr(EventStore, "_commit", commit)

    return use


def topics_of(changes):
    """The topics that a transaction appends to."""
    return [change[0] for change in changes if isinstance(change[1], pa.Table)]


# Commits.


def test_what_a_handler_gave_is_not_taken_for_stored_with_what_another_gave(on_commit):
    app = cep.App("shop")
    app.on("order", concurrency=3, name="note")(lambda event: {"type": "note", "order": event["order"]})
    left = [1]

    def before(changes):
        notes = [change[1].num_rows for change in changes if change[0] == "note"]
        if sum(notes) > 1:
            # Not all of them together.
            raise StoreError("no", code="too-long")

    def after(changes):
        if "note" in topics_of(changes) and left:
            left.pop()
            raise Died

    with app.test() as test:
        on_commit(before, after)
        with pytest.raises(Died):
            test.publish([{"type": "order", "order": order} for order in range(3)])
        assert not left
        on_commit()
        test.restart()
        test.advance("1s")
        assert sorted(event["order"] for event in test.events("note")) == [0, 1, 2]
        assert app.dead_letters() == []


def test_what_the_store_refuses_is_told_of_and_what_comes_with_it_is_stored(on_commit):
    app = cep.App("shop", cep.event("a", topic="order").named("seen"))
    app.on("order", name="note")(lambda event: {"type": "note", "order": event["order"]})

    def before(changes):
        for change in changes:
            if (
                change[0] in ("order", "note")
                and isinstance(change[1], pa.Table)
                and 2 in change[1]["order"].to_pylist()
            ):
                raise RuntimeError("nobody thought of this")

    with app.test() as test:
        on_commit(before)
        for order in range(4):
            app.send({"type": "order", "order": order})
        running = app._running
        running.take({"order": 2}, topic="order", source="file", offset=b"7", is_source=True)
        test.advance("1s")
        assert sorted(event["order"] for event in test.events("order")) == [0, 1, 3]
        assert len(test.events("seen")) == 3
        told = test.events("cepheid.rejected")
        assert [row["code"] for row in told] == ["failed"] * 2
        assert all("nobody thought of this" in row["reason"] and b'"order": 2' in row["payload"] for row in told)
        assert running.offset_of("file") == b"7"
        test.restart()
        assert len(test.events("seen")) == 3


def test_what_a_handler_gave_that_cannot_be_stored_is_its_failure_and_holds_back_its_key(on_commit):
    app = cep.App("shop")
    seen = []

    @app.on("order", key="order")
    def note(event):
        seen.append(event["step"])
        return {"type": "note", "step": event["step"]}

    def before(changes):
        for topic, rows, *_ in changes:
            if topic == "note" and isinstance(rows, pa.Table) and 0 in rows["step"].to_pylist():
                raise StoreError("no", code="too-long")

    with app.test() as test:
        on_commit(before)
        test.publish([{"type": "order", "order": 1, "step": step} for step in range(3)])
        test.advance("1h")
        assert [(letter.position, letter.parked) for letter in app.dead_letters()] == [(0, False), (1, True), (2, True)]
        assert app.dead_letters()[0].code == "too-long"
        assert seen == [0]
        on_commit()
        assert app.retry("note") == 3
        assert [event["step"] for event in test.events("note")] == [0, 1, 2]


def test_all_tickets_are_answered_when_the_store_fails_half_way(on_commit):
    app = cep.App("shop")
    commits = []

    def before(changes):
        if "order" not in topics_of(changes):
            return
        commits.append(len(changes))
        if len(commits) == 1:
            raise StoreError("one of them", code="too-long")
        if len(commits) == 3:
            raise StoreError("the disk", code="disk")

    with app.test() as test:
        on_commit(before)
        tickets = [app.send({"type": "order", "order": order}) for order in range(4)]
        with pytest.raises(StoreError) as caught:
            test.advance("1s")
        assert caught.value.code == "disk"
        assert all(ticket.done for ticket in tickets)
        assert tickets[0].wait(0)[0].events == 1
        for ticket in tickets[1:]:
            with pytest.raises(StoreError):
                ticket.wait(0)


def test_what_one_event_holds_up_is_not_written_down_again_and_again():
    app = cep.App("shop")
    seen = []

    @app.on("order", key="order", retries=cep.Retry(1000, first="1h", greatest="1h"))
    def note(event):
        if event["order"] == 0:
            raise OSError("not now")
        seen.append(event["order"])

    with app.test() as test:
        for first in range(0, 5000, 500):
            test.publish({"order": list(range(first, first + 500))}, "order")
        follower = app._running.dispatcher.followers["note"]
        state = test.store.load(follower.state_name)
        assert len(state) < 200
        assert json.loads(state)["open"] == [[0, 0]]
        test.restart()
        test.publish("order", order=7)
        assert len(seen) == 5000, "nothing is done again but what had failed"


def test_what_had_been_read_and_not_been_done_is_done_after_a_crash_and_nothing_else(on_commit):
    app = cep.App("shop")
    calls, works = [], []

    @app.on("order", where="order % 3 <> 1", retries=cep.Retry(100, first="1m"))
    def note(event):
        calls.append(event["order"])
        if event["order"] % 10 == 0 and not works:
            raise OSError("not now")
        return {"type": "note", "order": event["order"]}

    with app.test() as test:
        for first in range(0, 300, 100):
            test.publish([{"type": "order", "order": order} for order in range(first, first + 100)])
            test.publish([{"type": "other", "order": order} for order in range(50)])
        before = len(calls)
        test.restart()
        works.append(True)
        test.advance("1s")
        wanted = [order for order in range(300) if order % 3 != 1]
        assert sorted(calls[before:]) == [order for order in wanted if order % 10 == 0]
        assert sorted(event["order"] for event in test.events("note")) == wanted


# Dead letters.


def failing(app, name="tell", **options):
    """An action that fails for steps that are in a set; gives the set, and what it has done."""
    broken, seen = set(), []

    def tell(event):
        if event["step"] in broken:
            raise OSError("no connection")
        seen.append(event["step"])

    app.action("order", key="order", retries=0, name=name, **options)(tell)
    return broken, seen


def test_an_event_that_comes_while_those_before_it_are_tried_again_does_not_stay_behind():
    app = cep.App("shop")
    broken, seen = {0}, []

    @app.action("order", key="order", retries=0)
    def tell(event):
        if event["step"] in broken:
            raise OSError("no connection")
        if event["step"] == 0:
            app.send({"type": "order", "order": 1, "step": 1})
        seen.append(event["step"])

    with app.test() as test:
        test.publish("order", order=1, step=0)
        broken.clear()
        assert app.retry("tell") == 1
        assert seen == [0, 1]
        assert app.dead_letters() == []
        test.publish("order", order=1, step=2)
        assert seen == [0, 1, 2]


def test_what_is_let_go_while_it_is_tried_again_frees_no_other():
    app = cep.App("shop")
    broken, seen, let_go = {0, 1}, [], []

    @app.action("order", key="order", retries=0)
    def tell(event):
        if event["step"] in broken:
            raise OSError("no connection")
        if event["step"] == 0 and not let_go:
            let_go.append(app.discard("tell", position=0))
            broken.add(1)
        seen.append(event["step"])

    with app.test() as test:
        for step in range(2):
            test.publish("order", order=1, step=step)
        broken.clear()
        assert app.retry("tell") == 2
        assert let_go == [1]
        assert [(letter.parked, letter.attempts) for letter in app.dead_letters()] == [(False, 1)]
        test.publish("order", order=1, step=2)
        assert seen == [0], "it waits behind the other"
        broken.clear()
        assert app.retry("tell") == 2
        assert seen == [0, 1, 2]
        assert app.dead_letters() == []


def test_what_is_let_go_while_it_waits_to_be_tried_again_is_not_tried():
    app = cep.App("shop")
    seen, broken = [], [True]

    @app.on("order", retries=cep.Retry(1, first="1h", greatest="1h"), key=lambda event: event.get("customer"))
    def note(event):
        seen.append(event["step"])
        if broken:
            raise OSError("not now")

    with app.test() as test:
        for step in range(3):
            test.publish({"type": "order", "step": step, "customer": None if step == 2 else 1})
        test.advance("2h")
        assert len(app.dead_letters()) == 3
        assert app.retry("note") == 3
        seen.clear()
        assert app.discard("note") == 3
        broken.clear()
        test.advance("1d")
        assert seen == []
        test.publish({"type": "order", "step": 3, "customer": 1})
        assert seen == [3]
        test.restart()
        assert app.dead_letters() == []


def test_a_batch_that_is_tried_again_twice_is_tried_again_once():
    app = cep.App("shop")
    broken = [True]

    @app.on("order", batch=True, retries=cep.Retry(1, first="1m"))
    def total(table):
        if broken:
            raise OSError("not now")
        return {"type": "total", "rows": table.num_rows}

    with app.test() as test:
        test.publish([{"type": "order", "x": 1}] * 3)
        test.advance("1h")
        assert (app.retry("total"), app.retry("total")) == (1, 0)
        broken.clear()
        test.advance("1h")
        assert [event["rows"] for event in test.events("total")] == [3]
        assert app.dead_letters() == []


def test_a_dead_letter_says_what_came_of_it_last():
    app = cep.App("shop")
    reasons = ["first", "second"]

    @app.on("order", retries=0)
    def note(event):
        raise OSError(reasons[0])

    with app.test() as test:
        test.publish("order", order=1)
        test.publish("order", order=2)
        reasons.pop(0)
        assert app.retry("note", position=0) == 1
        assert [letter.reason for letter in app.dead_letters()] == ["OSError: second", "OSError: first"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_workflow_takes_back_what_it_has_begun_whenever_it_crashes(on_commit, moment, number):
    app = cep.App("shop")
    done = []

    def reserve(event, context, results):
        done.append("reserve")
        return "r-1"

    def release(event, context, results):
        done.append("release")

    def pay(event, context, results):
        raise cep.ActionError("no money", permanent=True)

    steps = [cep.actions.Step("reserve", reserve, undo=release), cep.actions.Step("pay", pay)]
    app.action("order", cep.actions.Workflow("ship", steps))
    commits = []

    def count(changes):
        commits.append(changes)
        if len(commits) == number:
            raise Died

    with app.test() as test:
        on_commit(**{moment: count})
        for _ in range(2):
            try:
                if not test.events("order"):
                    test.publish("order", order=1)
                test.advance("1h")
            except Died:
                on_commit()
                test.restart()
        assert done.count("reserve") >= 1
        assert done[-1] == "release"
        [letter] = app.dead_letters()
        assert not letter.parked
        assert test.events("cepheid.deadletter")[0]["reason"] == letter.reason
        assert len(test.events("cepheid.deadletter")) == 1


# Rules.


def test_a_row_that_a_condition_fails_at_is_refused_at_once_and_not_when_its_time_is_over():
    rule = (cep.event("a", "100 / x > 5", topic="order") >> cep.event("b", "x > a.x", topic="order")).within("1h")
    app = cep.App("shop", rule.named("pair"), lateness="1m")
    with app.test() as test:
        for x in (1, 0, 2, 0, 0, 3):
            test.publish("order", x=x)
        test.publish({"x": [0, 4, 0]}, "order")
        assert [row["code"] for row in test.events("cepheid.rejected")] == ["division-by-zero"] * 5
        assert [event["x"] for event in test.events("order")] == [1, 2, 3, 4]
        test.advance("1h")
        assert len(test.events("pair")) > 0
        assert app._running.pipeline.rules.disabled == frozenset()


def test_a_condition_that_guards_itself_refuses_nothing():
    app = cep.App("shop", cep.event("a", "x <> 0 and 100 / x > 5", topic="order").named("seen"), lateness="1m")
    with app.test() as test:
        test.publish({"x": [0, 1, 2, 0]}, "order")
        test.advance("1h")
        assert test.events("cepheid.rejected") == []
        assert len(test.events("seen")) == 2


def poisoned_apps():
    made, paid = cep.event("made", topic="order.made"), cep.event("paid", topic="order.paid")
    unpaid = (made >> cep.absent(paid, for_="1m")).partition_by("order")
    share = unpaid.select(share="100 / made.x").named("share")
    pair = (cep.event("a", topic="order.made") >> cep.event("b", "100 / a.x > b.x", topic="order.made")).within("1h")
    yield "a deadline", share
    yield "a condition on two events", pair.named("share")


@pytest.mark.parametrize(("rule"), [rule for _, rule in poisoned_apps()], ids=[name for name, _ in poisoned_apps()])
@pytest.mark.parametrize("by", ["clock", "events"])
def test_a_rule_that_fails_once_the_time_is_over_is_disabled_and_others_go_on(rule, by, caplog):
    other = cep.event("o", "x > 1", topic="order.made").select(x="o.x").named("large")
    copied = cep.event("s", topic="share").named("copied")
    app = cep.App("shop", [rule, other, copied], lateness="10s", quiet="5s")
    with app.test() as test:
        for order, x in enumerate((5, 0, 7)):
            test.publish("order.made", order=order, x=x)
        for number in range(1, 20):
            if by == "clock":
                test.advance("1m")
            else:
                time = test.now + dt.timedelta(minutes=number)
                test.publish({"type": "order.made", "order": 99, "x": 9, "time": time})
        test.advance("1h")
        assert test.events("cepheid.rejected") == []
        assert len(test.events("large")) == (2 if by == "clock" else 21)
        [changed] = test.events("cepheid.rule", where="kind = 'failed' and rule = 'share'")
        assert "division by zero" in changed["reason"]
        assert "`share` has failed" in caplog.text
        for _ in range(2):
            assert {"share"} <= app._running.pipeline.rules.disabled
            test.restart()
        test.publish("order.made", order=100, x=3)
        test.advance("1h")
        assert len(test.events("large")) == (3 if by == "clock" else 22)


def test_deadlines_pass_after_a_restart_though_nothing_comes():
    paid = cep.event("paid", topic="order.paid")
    rule = (cep.event("made", topic="order.made") >> cep.absent(paid, for_="1h")).partition_by("order").named("unpaid")
    for crash in (True, False):
        app = cep.App("shop", rule, quiet="10s")
        with app.test() as test:
            test.publish("order.made", order=7)
            if crash:
                test.restart()
            else:
                # What is known is saved at the end.
                running, app._running = app._running, None
                running.close(0.0)
                app._start_test(test._clock)
            test.advance("59m")
            assert test.events("unpaid") == []
            test.advance("2m")
            assert len(test.events("unpaid")) == 1


def test_without_lateness_the_clock_alone_moves_time():
    app = cep.App("shop", cep.event("a", topic="order").named("seen"), lateness=None, quiet="10s")
    with app.test() as test:
        test.publish("order", x=1, time=test.now + dt.timedelta(seconds=30))
        for _ in range(60):
            # Something always comes.
            test.publish("order", x=2)
            test.advance("1s")
        assert (
            len([event for event in test.events("seen") if event["time"] > dt.datetime(2024, 1, 1, tzinfo=dt.UTC)]) > 40
        )
        assert test.events("order.late") == []
        test.restart()
        test.advance("1m")
        assert len(test.events("seen")) == 61
    with pytest.raises(PatternError):
        cep.App("shop", lateness=None, quiet=None)


def test_a_rule_of_python_functions_that_was_replaced_survives_a_commit_that_fails(on_commit):
    app = cep.App("shop", cep.event("a", cep.udf(lambda x: x.to_numpy() > 5, ["x"]), topic="order").named("large"))
    with app.test() as test:
        app.replace("large", cep.event("a", cep.udf(lambda x: x.to_numpy() > 3, ["x"]), topic="order"))
        left = [1]

        def before(changes):
            if "order" in topics_of(changes) and left:
                left.pop()
                raise StoreError("no", code="too-long")

        on_commit(before)
        app.send({"type": "order", "x": 4})
        app.send({"type": "order", "x": 2})
        test.advance("1s")
        assert len(test.events("large")) == 1


def test_a_core_that_has_ended_answers():
    app = cep.App("shop")
    with app:
        core = app._running.core
        assert core.ask(lambda: 7) == 7
    with pytest.raises(cep.AppError) as caught:
        core.ask(lambda: 7)
    assert caught.value.code == "app-closed"
    assert isinstance(core, Core)
