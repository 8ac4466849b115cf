"""Aggregates: states of streams as they are and as they were, commands that compete, snapshots that change nothing."""

from __future__ import annotations

import datetime as dt
import pickle
import random
import threading
from decimal import Decimal

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid.store.state_codec import decode_state, encode_state


@pytest.fixture
def store():
    with cep.EventStore() as made:
        yield made


def history(**options: object) -> cep.Aggregate:
    """Everything that a fold is given, so that nothing of it goes unnoticed."""
    made = cep.Aggregate("order", initial=list, **options)

    @made.on("order.*", "stock")
    def seen(state, event):
        return [*state, (event.topic, event.version, event.time_ns, dict(event))]

    return made


def create(state, ts):
    if state:
        raise ValueError("there already")
    yield "order.created", {"ts": ts, "total": 10}


def test_state_folds_all_topics_of_a_stream_in_the_order_of_its_versions(store):
    store.append("order.created", [{"ts": 5, "total": 10}], stream="order-7")
    store.append("order.created", [{"ts": 5, "total": 99}], stream="order-8")
    store.append("stock", [{"ts": 3, "left": 4}], stream="order-7")
    store.append("order.paid", [{"ts": 5, "amount": 10}, {"ts": 5, "amount": 1}], stream="order-7")
    loaded = history().load(store, 7)
    assert loaded.version == 4
    # Each event has the columns of its own topic, and equal times go by version.
    assert loaded.state == [
        ("order.created", 1, 5, {"ts": 5, "total": 10}),
        ("stock", 2, 3, {"ts": 3, "left": 4}),
        ("order.paid", 3, 5, {"ts": 5, "amount": 10}),
        ("order.paid", 4, 5, {"ts": 5, "amount": 1}),
    ]
    assert history().load(store, "order-7") == loaded


def test_a_stream_without_events_has_the_initial_state(store):
    assert history().load(store, 7) == ([], 0)
    store.append("order.created", [{"ts": 1}], stream="order-1")
    shared = {"seen": []}
    fixed = cep.Aggregate("order", initial=shared)
    fixed.load(store, 7).state["seen"].append("mine")
    assert fixed.load(store, 7) == ({"seen": []}, 0)
    assert store.state_at(fixed, 7, version=0) == {"seen": []}


def test_topics_whose_columns_do_not_meet_are_folded_all_the_same(store):
    store.append("order.created", [{"ts": 1, "id": 7}], stream="order-7")
    store.append("order.noted", [{"ts": dt.datetime(1970, 1, 1), "id": "seven"}], stream="order-7")
    store.append("order.created", [{"ts": 2, "id": 8}], stream="order-7")
    topics = [(topic, event["id"]) for topic, _, _, event in history().load(store, 7).state]
    assert topics == [("order.created", 7), ("order.noted", "seven"), ("order.created", 8)]


def test_unknown_topics_are_passed_over_or_an_error(store):
    store.append("order.created", [{"ts": 1}], stream="order-7")
    store.append("gossip", [{"ts": 2}], stream="order-7")
    assert history().load(store, 7).version == 2
    with pytest.raises(cep.FoldError, match="gossip") as caught:
        history(unknown="error").load(store, 7)
    assert (caught.value.code, caught.value.topic, caught.value.version) == ("unknown-event", "gossip", 2)


def test_the_function_of_a_name_comes_before_those_of_patterns(store):
    made = cep.Aggregate("order", initial=list)
    made.on("order.>")(lambda state, event: [*state, "pattern"])
    made.on("order.paid")(lambda state, event: [*state, "name"])
    for topic in ("order.created", "order.paid", "order.line.added"):
        store.append(topic, [{"ts": 1}], stream="order-7")
    assert made.load(store, 7).state == ["pattern", "name", "pattern"]
    with pytest.raises(cep.StoreError) as caught:
        made.on("order.paid")(lambda state, event: state)
    assert caught.value.code == "duplicate-handler"


def test_a_function_that_raises_or_gives_none_is_told_with_its_event(store):
    store.append("order.created", [{"ts": 1}, {"ts": 2}], stream="order-7")
    made = cep.Aggregate("order", initial=dict)

    @made.on("order.created")
    def created(state, event):
        if event["ts"] == 2:
            return state["none"]
        return state

    with pytest.raises(cep.FoldError, match="KeyError") as caught:
        made.load(store, 7)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.code, error.stream, error.version, error.position) == ("fold-failed", "order-7", 2, 1)
    assert isinstance(caught.value.__cause__, KeyError)
    forgetful = cep.Aggregate("order", initial=dict)
    forgetful.on("order.created")(lambda state, event: state.update(x=1))
    with pytest.raises(cep.FoldError, match="return the state"):
        forgetful.load(store, 7)


# As it was.


def test_state_at_a_version_and_at_a_time(store):
    # The third event happened before the second: time asks for what happened, version for what was known.
    store.append("order.created", [{"ts": 10}, {"ts": 30}, {"ts": 20}, {"ts": 30}], stream="order-7")
    versions = lambda state: [version for _, version, *_ in state]  # noqa: E731
    made = history(snapshot_every=None)
    assert [versions(store.state_at(made, 7, version=n)) for n in range(3)] == [[], [1], [1, 2]]
    assert versions(store.state_at(made, 7, time=9)) == []
    assert versions(store.state_at(made, 7, time=20)) == [1, 3]
    assert versions(store.state_at(made, 7, time=30)) == [1, 2, 3, 4]
    with pytest.raises(cep.StoreError) as caught:
        store.state_at(made, 7, version=5)
    assert caught.value.code == "unknown-version"
    for wrong in ({}, {"version": 1, "time": 1}):
        with pytest.raises(TypeError):
            store.state_at(made, 7, **wrong)


def test_state_at_a_time_takes_datetimes_and_recording_where_topics_have_no_time():
    now = [dt.datetime(2026, 1, 1)]
    with cep.EventStore(clock=lambda: now[0]) as store:
        store.append("order.created", [{"ts": dt.datetime(2026, 1, 1), "n": 1}], stream="order-7")
        now[0] = dt.datetime(2026, 1, 3)
        store.append("stock", [{"left": 4}], stream="order-7")
        made = history()
        assert len(store.state_at(made, 7, time=dt.datetime(2026, 1, 2))) == 1
        assert len(store.state_at(made, 7, time=dt.datetime(2026, 1, 3, tzinfo=dt.UTC))) == 2


def test_an_event_without_a_time_is_as_old_as_its_recording():
    now = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    times = [dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in (1, 3)]
    ns = [round(time.timestamp()) * 1_000_000_000 for time in (times[0], now, times[1])]
    with cep.EventStore(clock=lambda: now) as store:
        for batch in ({"ts": times[:1], "n": [1]}, {"n": [2]}, {"ts": times[1:], "n": [3]}):
            store.append("order.changed", pa.table(batch), stream="order-7")
        made = history()
        for _ in range(2):
            seen = [(event["n"], time) for _, _, time, event in made.load(store, 7).state]
            assert seen == [(1, ns[0]), (2, ns[1]), (3, ns[2])]
            assert [len(store.state_at(made, 7, time=time)) for time in ns] == [1, 2, 3]
            store.seal()


def test_a_snapshot_of_later_is_not_used_for_before(store):
    made = history()
    store.append("order.created", [{"ts": 10}, {"ts": 30}, {"ts": 20}], stream="order-7")
    before = [made.state_at(store, 7, version=n) for n in range(4)], [made.state_at(store, 7, time=t) for t in (9, 25)]
    assert made.snapshot(store, 7) == 3
    store.append("order.paid", [{"ts": 40}], stream="order-7")
    after = [made.state_at(store, 7, version=n) for n in range(4)], [made.state_at(store, 7, time=t) for t in (9, 25)]
    assert after == before
    assert len(made.state_at(store, 7, time=30)) == 3


# Commands.


def test_a_command_appends_all_that_it_decides_or_nothing(store):
    made = history()
    done = made.handle(store, 7, create, 1)
    assert (done.version, [position.version for position in done.positions], done.repeated) == (1, [1], False)
    with pytest.raises(ValueError, match="there already"):
        made.handle(store, 7, create, 2)

    def half(state):
        yield "order.paid", {"ts": 3}
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        made.handle(store, 7, half)
    several = made.handle(
        store, 7, lambda state: [("order.paid", {"ts": 3}), ("order.paid", {"ts": 4}), ("stock", {"ts": 5})]
    )
    assert [position.events for position in several.positions] == [2, 1]
    assert several.version == store.version("order-7") == 4
    assert several.state == made.load(store, 7).state
    assert made.handle(store, 7, lambda state: None).positions == ()
    for wrong in (("order.paid", {"ts": 1}), [("order.paid", 5)], "order.paid", {"ts": 1}):
        with pytest.raises(TypeError):
            made.handle(store, 7, lambda state, wrong=wrong: wrong)
    assert store.end == 4


def test_a_command_that_changes_the_state_it_is_given_changes_nothing(store):
    made = history()

    def careless(state):
        state.append("mine")
        return [("order.created", {"ts": 1})]

    assert made.handle(store, 7, careless).state == [("order.created", 1, 1, {"ts": 1})]


def test_a_conflict_is_decided_anew_and_is_an_error_in_the_end(store):
    made = history()
    calls = []

    def beaten(state, times):
        calls.append(len(state))
        if len(calls) <= times:
            store.append("order.noted", [{"ts": len(calls)}], stream="order-7")
        return [("order.paid", {"ts": 9})]

    assert made.handle(store, 7, beaten, 2).version == 3
    assert calls == [0, 1, 2]
    calls.clear()
    with pytest.raises(cep.VersionConflictError) as caught:
        made.handle(store, 8, lambda state: beaten_on_8(state), retries=1)
    assert caught.value.stream == "order-8"
    assert store.read("order.paid", stream="order-8").count() == 0


def beaten_on_8(state):
    # Another writer, each time.
    store = beaten_on_8.store
    store.append("order.noted", [{"ts": 1}], stream="order-8")
    return [("order.paid", {"ts": 9})]


@pytest.fixture(autouse=True)
def other_writer(store):
    beaten_on_8.store = store


def test_writers_in_threads_lose_no_decision(store):
    counter = cep.Aggregate("count", initial=0, snapshot_every=5)
    counter.on("counted")(lambda state, event: event["n"])
    count = lambda state: [("counted", {"ts": state, "n": state + 1})]  # noqa: E731

    def work():
        for _ in range(8):
            counter.handle(store, 1, count, retries=1000)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.load(store, 1) == (32, 32)
    assert sorted(row["n"] for row in store.read("counted")) == list(range(1, 33))


def test_a_repeated_command_appends_nothing(store):
    made = history()
    first = made.handle(store, 7, create, 1, idempotency_key="k")
    made.handle(store, 7, lambda state: [("order.paid", {"ts": 2})])
    again = made.handle(store, 7, create, 1, idempotency_key="k")
    assert (again.repeated, again.version, again.state) == (True, 2, made.load(store, 7).state)
    assert [int(position) for position in again.positions] == [int(position) for position in first.positions]
    # Of another stream it is another command; and one that had nothing to do has nothing to do again.
    assert not made.handle(store, 8, create, 1, idempotency_key="k").repeated
    assert not made.handle(store, 7, lambda state: None, idempotency_key="none").repeated
    assert made.handle(store, 7, create, 1, idempotency_key="none").repeated
    long = "x" * 250
    assert not made.handle(store, long[:200], create, 1, idempotency_key=long).repeated
    assert made.handle(store, long[:200], create, 1, idempotency_key=long).repeated


# Snapshots.


def test_a_state_with_snapshots_is_that_of_the_whole_history():
    snapshots = 0
    for seed in range(6):
        draw = random.Random(seed)
        every = draw.choice([1, 2, 5])
        with cep.EventStore() as store:
            made, plain = history(snapshot_every=every), history(snapshot_every=None, version="none of these")
            for _ in range(12):
                id = draw.choice([1, 2])
                events = [
                    (
                        draw.choice(["order.a", "order.b", "stock", "other"]),
                        {"ts": draw.randrange(20), "x": draw.random()},
                    )
                    for _ in range(draw.randrange(4))
                ]
                made.handle(store, id, lambda state, events: events, events)
                if draw.random() < 0.2:
                    made.snapshot(store, id)
            for id in (1, 2):
                assert made.load(store, id) == plain.load(store, id)
                for version in range(store.version(f"order-{id}") + 1):
                    assert made.state_at(store, id, version=version) == plain.state_at(store, id, version=version)
                for time in range(-1, 21, 3):
                    assert made.state_at(store, id, time=time) == plain.state_at(store, id, time=time)
            snapshots += len(store.saved())
    assert snapshots >= 8


def test_a_snapshot_spares_the_events_before_it(store):
    folded = []
    made = cep.Aggregate("order", initial=0, snapshot_every=3)

    @made.on("order.*")
    def count(state, event):
        folded.append(event.version)
        return state + 1

    for number in range(5):
        made.handle(store, 7, lambda state, ts: [("order.touched", {"ts": ts})], number)
    folded.clear()
    assert made.load(store, 7) == (5, 5)
    # Saved with the decision that was made on it: of the three events before.
    assert folded == [4, 5]
    newer = cep.Aggregate("order", initial=0, version=2)
    newer.on("order.*")(lambda state, event: state + 10)
    assert newer.load(store, 7).state == 50


def test_states_are_encoded_so_that_they_read_as_they_were():
    state = {
        "a": [1, 2.5, None, True, "ö", float("inf")],
        7: {("x", 1): Decimal("1.10"), None: {1, 2}, "$": b"\x00"},
        "$": {"$": ["dict", []]},
        "at": [dt.datetime(2026, 1, 1, 2, 3, 4, 5), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.date(2026, 1, 1)],
        "for": (dt.timedelta(days=-1, microseconds=1), dt.time(1, 2), frozenset({"y"})),
        "only": {"$": 1},
    }
    read = decode_state(encode_state(state))
    assert read == state
    assert [type(value) for value in read["for"]] == [type(value) for value in state["for"]]
    with pytest.raises(cep.StoreError, match=r"builtins\.object") as caught:
        encode_state({"x": [object()]})
    assert caught.value.code == "state-encoding"


def test_a_state_that_cannot_be_encoded_appends_nothing(store):
    made = cep.Aggregate("order", initial=object, snapshot_every=1)
    made.on("order.*")(lambda state, event: state)
    touch = lambda state: [("order.touched", {"ts": 1})]  # noqa: E731
    made.handle(store, 7, touch)
    with pytest.raises(cep.StoreError) as caught:
        made.handle(store, 7, touch)
    assert (caught.value.code, store.end) == ("state-encoding", 1)
    own = cep.Aggregate("order", initial=0, encode=lambda state: b"%d" % state, decode=int, snapshot_every=1)
    own.on("order.*")(lambda state, event: state + 1)
    assert own.handle(store, 7, touch).state == 2
    assert own.load(store, 7).state == 2
    with pytest.raises(cep.StoreError):
        cep.Aggregate("order", encode=repr)


# What is no longer there.


def test_events_that_are_removed_are_missed_unless_a_snapshot_covers_them():
    now = dt.datetime(2026, 1, 1)
    with cep.EventStore(clock=lambda: now) as store:
        made, covered = history(), history(version="covered")
        for year in (2023, 2024, 2025):
            store.append("order.created", [{"ts": dt.datetime(year, 12, 1)}], stream="order-7")
            if year == 2024:
                assert covered.snapshot(store, 7) == 2
        whole = made.load(store, 7)
        store.keep("order.created", for_="90d")
        assert store.retain() == 2
        assert store.read(stream="order-7").count() == 1
        for ask in (
            lambda: made.load(store, 7),
            lambda: made.state_at(store, 7, version=1),
            lambda: made.state_at(store, 7, time=now),
            # Its snapshot is of later.
            lambda: covered.state_at(store, 7, version=1),
        ):
            with pytest.raises(cep.StoreError, match="kept no longer") as caught:
                ask()
            assert caught.value.code == "events-removed"
        assert made.state_at(store, 7, version=0) == []
        assert covered.load(store, 7) == whole
        assert covered.state_at(store, 7, version=2) == whole.state[:2]


def test_the_last_events_may_be_the_removed_ones():
    now = dt.datetime(2026, 1, 1)
    with cep.EventStore(clock=lambda: now) as store:
        store.append("order.created", [{"ts": dt.datetime(2025, 12, 1)}], stream="order-7")
        store.append("order.paid", [{"ts": dt.datetime(2020, 1, 1)}], stream="order-7")
        made = history()
        kept = made.load(store, 7)
        made.snapshot(store, 7)
        store.keep("order.paid", for_="90d")
        assert store.retain() == 1
        assert made.load(store, 7) == kept
        with pytest.raises(cep.StoreError) as caught:
            history(version=2).load(store, 7)
        assert caught.value.code == "events-removed"


def test_erased_values_are_none_and_no_snapshot_keeps_them(store):
    store.protect("order.created", subject="user", columns=["email"])
    made = history(snapshot_every=1)
    for number in range(3):
        event = {"ts": number, "user": "u1", "email": "a@b.c"}
        made.handle(store, 7, lambda state, event: [("order.created", event)], event)
    assert store.saved() == []
    with pytest.raises(cep.StoreError) as caught:
        made.snapshot(store, 7)
    assert caught.value.code == "protected-state"
    store.erase("u1")
    assert [event["email"] for *_, event in made.load(store, 7).state] == [None] * 3


def test_a_reader_loads_while_another_handle_writes(tmp_path):
    made = history()
    with cep.EventStore(tmp_path / "s.db") as store, cep.EventStore(tmp_path / "s.db", read_only=True) as reader:
        made.handle(store, 7, create, 1)
        assert made.load(reader, 7) == made.load(store, 7)
        with pytest.raises(cep.StoreError) as caught:
            made.handle(reader, 7, lambda state: [("order.paid", {"ts": 2})])
        assert caught.value.code == "store-read-only"


def test_upcasters_come_before_the_fold_and_new_events_say_their_version(store):
    upcasters = cep.Upcasters()

    @upcasters.on("order.created", from_version=1)
    def cents(events):
        return events.append_column("cents", pa.array([100 * total for total in events["total"].to_pylist()]))

    made = cep.Aggregate("order", initial=list, upcasters=upcasters)
    made.on("order.created")(lambda state, event: [*state, event["cents"]])
    store.append("order.created", [{"ts": 1, "total": 3}], stream="order-7")
    made.handle(store, 7, lambda state: [("order.created", {"ts": 2, "cents": 5})])
    assert made.load(store, 7).state == [300, 5]
    assert [row["schemaversion"] for row in store.read("order.created")] == [None, 2]


def test_streams_are_named_as_the_user_says(store):
    made = history(stream=lambda id: f"orders/{id}")
    made.handle(store, "order-7", create, 1)
    assert store.streams() == {"orders/order-7": 1}
    with pytest.raises(TypeError):
        history(stream="orders")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_state_is_of_a_time_whatever_type_the_times_have(unit):
    steps = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[unit]
    counted = cep.Aggregate("count", initial=int)
    counted.on("tick")(lambda state, event: state + 1)
    with cep.EventStore() as store:
        store.append("tick", pa.table({"ts": pa.array([1, 2, 3], pa.duration(unit))}), stream="count-1")
        assert [counted.state_at(store, 1, time=count * steps) for count in range(4)] == [0, 1, 2, 3]
