"""Process managers: what patterns find becomes events once, whoever kills the process and whenever."""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
import sys

import pytest

import cepheid as cep
from cepheid import absent, event

HOUR = 3_600_000_000_000


@pytest.fixture
def store():
    with cep.EventStore() as made:
        yield made


def orders() -> cep.Aggregate:
    made = cep.Aggregate("order", initial=lambda: {"reminders": 0})
    made.on("order.reminded")(lambda state, found: {"reminders": state["reminders"] + 1})
    return made


def remind(state, ts, order):
    yield "order.reminded", {"ts": ts, "order": order, "number": state["reminders"] + 1}


def manager(name: str = "delays") -> cep.ProcessManager:
    """Paid and not shipped in two hours: an event, a reminder by command; two delays in ten hours: an alarm."""
    late = (
        (event("paid", topic="order.paid") >> absent(event("shipped", topic="order.shipped"), for_="2h"))
        .partition_by("order")
        .select(at=cep.ref("paid").ts, number=cep.ref("paid").number)
        .named("late")
    )
    often = (
        (event("one", topic="late") >> event("two", topic="late"))
        .partition_by("order")
        .within("10h")
        .select(at=cep.ref("two").at)
        .named("often")
    )
    made = cep.ProcessManager(name, [late, often], lateness="30m", idle="1h")
    aggregate = orders()

    @made.on("late")
    def delayed(found):
        at = found["at"] + 2 * HOUR
        yield "order.delayed", {"ts": at, "order": found["order"], "number": found["number"]}, f"order-{found['order']}"
        yield aggregate.command(found["order"], remind, at, found["order"])
        if found["number"] % 2:
            yield aggregate.command(found["order"], remind, at, found["order"])

    @made.on("often")
    def alarm(found):
        return [("alarm", {"ts": found["at"], "order": found["order"]})]

    return made


def fill(store: cep.EventStore, count: int = 60) -> None:
    """Payments and shipments in batches; about every third comes too late, or not at all."""
    draw = random.Random(7)
    events = []
    for number in range(count):
        at, order = draw.randrange(40) * HOUR, draw.randrange(6)
        events.append((at, "order.paid", {"ts": at, "order": order, "number": number}))
        if draw.random() < 0.6:
            sent = at + draw.randrange(4) * HOUR // 2
            events.append((sent, "order.shipped", {"ts": sent, "order": order, "by": "van"}))
    for _, topic, columns in sorted(events, key=lambda found: found[:2]):
        store.append(topic, [columns])


def outcome(store: cep.EventStore) -> dict[str, list[dict[str, object]]]:
    """What was appended, by topic; how batches were cut must not show."""
    topics = ("order.delayed", "order.reminded", "alarm")
    known = store.info().topics
    return {
        topic: sorted(store.read(topic).to_arrow().to_pylist(), key=str) if topic in known else [] for topic in topics
    }


@pytest.fixture(scope="module")
def uninterrupted():
    with cep.EventStore() as store:
        fill(store)
        manager().catch_up(store)
        found = outcome(store)
    assert len(found["order.delayed"]) > 10
    assert len(found["alarm"]) > 3
    return found


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_the_batches_do_not_show(store, uninterrupted, batch):
    fill(store)
    assert manager().catch_up(store, batch_events=batch) == sum(map(len, uninterrupted.values()))
    assert outcome(store) == uninterrupted
    assert manager().catch_up(store) == 0


def test_reminders_are_numbered_as_their_stream_has_them(store, uninterrupted):
    numbers: dict[int, list[int]] = {}
    fill(store)
    manager().catch_up(store)
    for row in store.read("order.reminded"):
        numbers.setdefault(row["order"], []).append(row["number"])
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())
    assert max(map(len, numbers.values())) > 3


def test_it_follows_what_comes(store, uninterrupted):
    with cep.EventStore() as source:
        fill(source)
        made = manager()
        for row in source.read(metadata=True):
            columns = {name: row[name] for name in source.read(row["_topic"]).schema.names}
            made.run(store, until=store.append(row["_topic"], [columns]).end)
    assert outcome(store) == uninterrupted


def test_a_crash_at_any_commit_loses_nothing_and_doubles_nothing(tmp_path, uninterrupted, monkeypatch):
    class Crash(BaseException):
        pass

    commit = cep.EventStore._commit
    draw = random.Random(5)
    path = tmp_path / "s.db"
    with cep.EventStore(path) as store:
        fill(store)
    crashes = 0
    while True:
        left, after = [draw.randrange(1, 8)], draw.random() < 0.5

        def crashing(self, changes, left=left, after=after):
            left[0] -= 1
            if left[0]:
                return commit(self, changes)
            if after:
                commit(self, changes)
            raise Crash

        with cep.EventStore(path) as store, monkeypatch.context() as patch:
            patch.setattr(cep.EventStore, "_commit", crashing)
            try:
                manager().catch_up(store, batch_events=4)
            except Crash:
                crashes += 1
                continue
        break
    assert crashes > 4
    with cep.EventStore(path) as store:
        assert outcome(store) == uninterrupted


# Forks children of one parent that has imported everything and started nothing: to start Python anew takes longer than
# the work. Each is killed once it has got on by a few events, as the store tells: no machine is as fast as another.
KILLER = """
import importlib.util, os, random, signal, sys, time
import numpy, pandas, pyarrow, pyarrow.compute, pyarrow.pandas_compat
spec = importlib.util.spec_from_file_location("manager_of_test", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
draw = random.Random(11)
made, reached = module.manager(), 0
for _ in range(20):
    child = os.fork()
    if not child:
        module.manager().catch_up(module.cep.EventStore(sys.argv[2]), batch_events=1)
        os._exit(0)
    goal, ended = reached + draw.randrange(1, 5), 0
    with module.cep.EventStore(sys.argv[2], read_only=True) as reader:
        while made.position(reader) < goal and not ended:
            time.sleep(0.0005)
            ended, _ = os.waitpid(child, os.WNOHANG)
    if not ended:
        time.sleep(draw.uniform(0, 0.005))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    with module.cep.EventStore(sys.argv[2], read_only=True) as reader:
        reached = made.position(reader)
    print(reached, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path, uninterrupted):
    path = tmp_path / "s.db"
    with cep.EventStore(path) as store:
        fill(store)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", KILLER, __file__, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    positions = [int(line) for line in done.stdout.split()]
    assert positions == sorted(positions)
    assert len(positions) == 20
    assert len(set(positions)) > 6, "hardly any was killed at work"
    with cep.EventStore(path) as store:
        manager().catch_up(store)
        assert outcome(store) == uninterrupted
        assert store.verify()


def test_a_manager_that_has_lost_its_state_appends_nothing_twice(store, uninterrupted):
    fill(store)
    manager().catch_up(store)
    with store.transaction() as changes:
        changes.forget("process/delays")
    assert manager().position(store) == 0
    assert manager().catch_up(store, batch_events=5) == 0
    assert outcome(store) == uninterrupted


def test_the_clock_can_be_moved_by_hand(store):
    store.append("order.paid", [{"ts": 0, "order": 1, "number": 0}])
    made = manager()
    assert made.catch_up(store) == 0
    assert made.advance_to(store, HOUR) == 0
    assert made.advance_to(store, 2 * HOUR) == 2
    assert manager().advance_to(store, 2 * HOUR) == 0
    assert [row["ts"] for row in store.read("order.delayed")] == [2 * HOUR]


def test_a_reaction_that_raises_commits_nothing_of_the_batch(store):
    rule = event("any", topic="txn").select(n="any.n").named("any")
    made, failing = cep.ProcessManager("m", rule), [True]

    @made.on("any")
    def react(found):
        yield "out", {"ts": found["match_end"], "n": found["n"]}
        if failing[0] and found["n"] == 3:
            raise ValueError("no")

    store.append("txn", {"ts": [1, 2, 3, 4], "n": [1, 2, 3, 4]})
    for _ in range(2):
        with pytest.raises(cep.ProcessorError, match="ValueError: no") as caught:
            made.catch_up(store, batch_events=2)
        assert (caught.value.code, caught.value.processor) == ("reaction-failed", "m")
        assert isinstance(caught.value.__cause__, ValueError)
        assert [row["n"] for row in store.read("out")] == [1, 2]
        assert made.position(store) == 2
    failing[0] = False
    assert made.catch_up(store) == 2
    assert [row["n"] for row in store.read("out")] == [1, 2, 3, 4]


def test_what_is_no_reaction_is_refused(store):
    store.append("txn", [{"ts": 1}])
    for place, wrong in enumerate((5, "out", ("out", {"ts": 1}), [("out", 1)], [("out", {"ts": 1}, 5)], [None])):
        made = cep.ProcessManager(f"m{place}", event("any", topic="txn").named("any"))
        made.on("any")(lambda found, wrong=wrong: wrong)
        with pytest.raises(cep.ProcessorError):
            made.catch_up(store)
    assert store.end == 1
    with pytest.raises(cep.StoreError, match="which topic"):
        cep.ProcessManager("m", event("any").named("any"))
    for options in ({"ids": True}, {"nothing": 1}):
        with pytest.raises(TypeError):
            cep.ProcessManager("m", event("any", topic="txn").named("any"), **options)
    with pytest.raises(TypeError):
        cep.ProcessManager("m", event("any", topic="txn").named("any")).run(store, until="soon")


def test_a_command_that_loses_to_another_writer_is_decided_anew(store):
    rule = event("any", topic="txn").named("any")
    made, aggregate, calls = cep.ProcessManager("m", rule), orders(), []

    def beaten(state, ts):
        calls.append(state["reminders"])
        if len(calls) <= 2:
            store.append("order.reminded", [{"ts": ts, "order": 1, "number": 9}], stream="order-1")
        return remind(state, ts, 1)

    made.on("any")(lambda found: [aggregate.command(1, beaten, found["match_end"])])
    store.append("txn", [{"ts": 1}])
    assert made.catch_up(store) == 1
    assert calls == [0, 1, 2]
    assert [row["number"] for row in store.read("order.reminded")] == [9, 9, 3]


def test_events_of_a_batch_are_folded_before_its_commands(store):
    rule = event("any", topic="txn").select(n="any.n").named("any")
    made, aggregate = cep.ProcessManager("m", rule), orders()

    @made.on("any")
    def react(found):
        at = found["match_end"]
        yield "order.reminded", {"ts": at, "order": 1, "number": 0}, "order-1"
        yield aggregate.command(1, remind, at, 1)
        yield "order.reminded", {"ts": at, "order": 1, "number": 0}, "order-1"
        yield aggregate.command(1, remind, at, 1)

    store.append("txn", {"ts": [1, 2], "n": [1, 2]})
    assert made.catch_up(store) == 8
    assert [row["number"] for row in store.read("order.reminded")] == [0, 2, 0, 4, 0, 6, 0, 8]
    assert aggregate.load(store, 1) == ({"reminders": 8}, 8)


def test_events_that_are_removed_are_missed():
    now = dt.datetime(2026, 1, 1)
    with cep.EventStore(clock=lambda: now) as store:
        made = cep.ProcessManager("m", event("any", topic="txn").named("any"))
        store.append("txn", [{"ts": dt.datetime(2023, 1, 1)}])
        made.catch_up(store)
        store.append("txn", [{"ts": dt.datetime(2024, 1, 1)}])
        store.append("txn", [{"ts": dt.datetime(2025, 12, 30)}])
        store.keep("txn", for_="90d")
        assert store.retain() == 2
        with pytest.raises(cep.StoreError) as caught:
            made.catch_up(store)
        assert caught.value.code == "events-removed"
        # One that begins now has missed nothing that it was to see.
        assert cep.ProcessManager("new", event("any", topic="txn").named("any")).catch_up(store) == 0


def test_other_rules_are_told_from_those_of_the_state(store):
    store.append("txn", [{"ts": 1}])
    cep.ProcessManager("m", event("any", topic="txn").named("any")).catch_up(store)
    store.append("txn", [{"ts": 2}])
    with pytest.raises(cep.StoreError) as caught:
        cep.ProcessManager("m", event("any", "ts > 1", topic="txn").named("any")).catch_up(store)
    assert caught.value.code == "snapshot-rules"
