"""Projections: each event folded once into what is saved, however they are run, and whatever crashes."""

from __future__ import annotations

import datetime as dt
import random
import threading

import pyarrow.compute as pc
import pytest

import cepheid as cep


@pytest.fixture
def store():
    with cep.EventStore() as made:
        yield made


def seen(name: str = "seen", **options: object) -> cep.Projection:
    """All that its functions are given, in order: what was folded twice, or not, shows."""
    made = cep.Projection(name, initial=list, **options)

    @made.on("order.created")
    def created(state, events):
        return [*state, *(("created", row["_position"], row["n"]) for row in events.to_pylist())]

    @made.on("order.*")
    def other(state, events):
        assert "order.created" not in events["_topic"].to_pylist()
        return [*state, *((row["_topic"], row["_position"], row["n"]) for row in events.to_pylist())]

    return made


def fill(store: cep.EventStore, count: int, seed: int = 0) -> None:
    draw = random.Random(seed)
    for _ in range(count):
        topic = draw.choice(["order.created", "order.paid", "order.sent", "stock"])
        n = range(draw.randrange(1, 3))
        store.append(topic, {"ts": list(n), "n": list(n)}, stream=draw.choice([None, "s"]))


def expected(store: cep.EventStore) -> list[tuple[str, int, int]]:
    rows = store.read(metadata=True).to_arrow().to_pylist() if store.end else []
    return [
        ("created" if row["_topic"] == "order.created" else row["_topic"], row["_position"], row["n"])
        for row in rows
        if row["_topic"].startswith("order.")
    ]


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_events_are_folded_in_order_whatever_the_batches(store, batch):
    made = seen()
    assert (made.state(store), made.position(store), made.lag(store)) == ([], 0, 0)
    assert made.catch_up(store) == 0
    fill(store, 20)
    assert made.lag(store) == len(expected(store))
    assert made.state(store, fresh=True) == expected(store)
    assert made.state(store) == []
    assert made.catch_up(store, batch_events=batch) == len(expected(store))
    fill(store, 5, seed=1)
    made.catch_up(store, batch_events=batch)
    assert made.state(store) == expected(store)
    assert (made.lag(store), made.catch_up(store)) == (0, 0)


def test_topics_whose_columns_do_not_meet_are_folded_by_functions_of_their_own(store):
    store.append("a", [{"ts": 1, "x": 1}])
    store.append("b", [{"ts": 1, "x": "one"}])
    store.append("a", [{"ts": 1, "x": 2}])
    made = cep.Projection("x", initial=list)
    made.on("a")(lambda state, events: state + events["x"].to_pylist())
    made.on("b")(lambda state, events: state + events["x"].to_pylist())
    assert made.catch_up(store, batch_events=1) == 3
    assert made.state(store) == [1, "one", 2]
    both = cep.Projection("both", initial=list)
    both.on("*")(lambda state, events: state)
    with pytest.raises(cep.SchemaError):
        both.catch_up(store)


def test_a_function_that_raises_leaves_what_was_saved(store):
    fill(store, 12)
    made, failing = seen(), [True]

    @made.on("stock")
    def stock(state, events):
        state.append("half")
        if failing[0]:
            raise ValueError("no")
        return state[:-1]

    with pytest.raises(cep.FoldError, match="ValueError: no") as caught:
        made.catch_up(store, batch_events=2)
    assert caught.value.topic == "stock"
    assert isinstance(caught.value.__cause__, ValueError)
    # Batches before are saved; what was folded of this one is not.
    kept = made.state(store)
    assert kept == [event for event in expected(store) if event[1] < made.position(store)]
    failing[0] = False
    made.catch_up(store, batch_events=2)
    assert made.state(store) == expected(store)


def test_a_crash_between_folding_and_saving_folds_nothing_twice(tmp_path, monkeypatch):
    made = seen()
    path = tmp_path / "s.db"
    with cep.EventStore(path) as store:
        fill(store, 15)

    class Crash(BaseException):
        pass

    replace = cep.Projection._replace
    for crashes in range(1, 6):
        before = [crashes]

        def crash(self, store, saved, data, before=before):
            before[0] -= 1
            if not before[0]:
                raise Crash
            return replace(self, store, saved, data)

        with monkeypatch.context() as patch, cep.EventStore(path) as store:
            patch.setattr(cep.Projection, "_replace", crash)
            with pytest.raises(Crash):
                made.catch_up(store, batch_events=2)
        with cep.EventStore(path) as store:
            assert made.state(store) == [event for event in expected(store) if event[1] < made.position(store)]
    with cep.EventStore(path) as store:
        made.catch_up(store)
        assert made.state(store) == expected(store)


def test_two_that_run_the_same_fold_each_event_once(store):
    fill(store, 40)
    errors = []

    def work():
        try:
            seen().catch_up(store, batch_events=2)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert seen().state(store) == expected(store)


def test_run_follows_what_comes_and_says_that_it_lives(store):
    made = seen()
    fill(store, 3)
    assert made.health(store).seen is None
    stop = threading.Event()
    follower = threading.Thread(target=made.run, args=(store,), kwargs={"until": stop.is_set, "heartbeat": "0s"})
    follower.start()
    fill(store, 10, seed=3)
    made.run(store, until=store.end)
    stop.set()
    follower.join()
    assert made.state(store) == expected(store)
    health = made.health(store)
    assert (health.lag, health.version) == (0, "1")
    assert dt.datetime.now(dt.UTC) - health.seen < dt.timedelta(minutes=5)
    # The same position, and nobody there: only the heartbeat tells.
    assert made.run(store, until=0) == 0
    with pytest.raises(TypeError):
        made.run(store, until="10s")


def test_a_topic_that_comes_while_a_projection_reads_is_not_passed_over(store, monkeypatch):
    made = seen()
    fill(store, 3)
    info, came = cep.EventStore.info, []

    def and_then_one_more(store):
        found = info(store)
        if len(came) < 3:
            came.append(store.append(f"order.new{len(came)}", {"ts": [1], "n": [1]}))
        return found

    monkeypatch.setattr(cep.EventStore, "info", and_then_one_more)
    for _ in range(5):
        made.catch_up(store)
    assert len(came) == 3
    assert made.state(store) == expected(store)
    assert made.position(store) == store.end


# Inline.


def test_attached_projections_are_as_new_as_the_store(store):
    fill(store, 5)
    made = seen()
    store.attach(made)
    assert made.state(store) == expected(store)
    fill(store, 15, seed=2)
    assert made.state(store) == expected(store)
    with store.transaction() as changes:
        changes.append("order.created", [{"ts": 1, "n": 1}], stream="s")
        changes.append("stock", [{"ts": 1, "n": 1}])
        changes.append("order.new", [{"ts": 1, "n": 2}, {"ts": 1, "n": 3}], stream="s")
        changes.save("mine", b"x")
    assert made.state(store) == expected(store)
    assert (made.lag(store), store.load("mine")) == (0, b"x")
    store.detach(made)
    fill(store, 2, seed=4)
    store.attach(made)
    assert made.state(store) == expected(store)
    store.detach()
    assert store._inline is None


def test_inline_and_catching_up_give_the_same_tables(store):
    def tables(name):
        made = cep.Projection(name, initial=list)
        made.on("order.*")(lambda state, events: state + events.to_pylist())
        return made

    store.append("order.created", [{"ts": 1, "x": 1}])
    store.attach(inline := tables("inline"))
    store.append("order.created", [{"ts": 1}], stream="s")
    store.append("order.created", [{"ts": 2, "x": 5, "y": "new"}, {"ts": 3, "x": 6, "y": None}], stream="s")
    store.append("order.paid", [{"ts": 1, "z": 1.5}])
    later = tables("later")
    later.catch_up(store)
    # A column that no event had yet is not there; otherwise they are the same.
    for one, other in zip(inline.state(store), later.state(store), strict=True):
        assert {name: other[name] for name in one} == one
        assert all(other[name] is None for name in other.keys() - one.keys())


def test_repeats_and_conflicts_are_not_folded(store):
    made = seen()
    store.attach(made)
    event = [{"ts": 1, "n": 1}]
    for _ in range(3):
        store.append("order.created", event, idempotency_key="k")
    with store.transaction() as changes:
        for _ in range(2):
            changes.append("order.paid", event, stream="s", idempotency_key="l")
        changes.append("order.created", event, idempotency_key="k")
        changes.append("order.sent", event, stream="s", expected_version=1)
    assert [position.repeated for position in changes.positions] == [False, True, True, False]
    assert made.state(store) == expected(store)
    for wrong in (
        lambda: store.append("order.paid", event, stream="s", expected_version=1),
        lambda: store.append("order.paid", [{"ts": None, "n": 1}]),
        lambda: store.append("order.paid", [{"ts": 1, "_position": 1}]),
        lambda: store.append("order.*", event),
    ):
        with pytest.raises(cep.CepheidError):
            wrong()
        assert made.state(store) == expected(store)
    assert store.end == 3


def test_an_attached_function_that_raises_keeps_the_events_out(store):
    made = cep.Projection("stock", initial=0)

    @made.on("stock.taken")
    def taken(state, events):
        left = state - pc.sum(events["n"]).as_py()
        if left < -5:
            raise ValueError("sold out")
        return left

    store.attach(made)
    store.append("stock.taken", [{"ts": 1, "n": 4}])
    with pytest.raises(cep.FoldError, match="sold out"):
        store.append("stock.taken", [{"ts": 2, "n": 2}])
    assert (made.state(store), store.end) == (-4, 1)


def test_threads_that_append_are_all_folded(store):
    made = seen()
    store.attach(made)
    threads = [threading.Thread(target=fill, args=(store, 8, seed)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.state(store) == expected(store)


def test_commands_keep_attached_projections_up_to_date(store):
    orders = cep.Aggregate("order", initial=0)
    orders.on("order.*")(lambda state, event: state + 1)
    made = seen()
    store.attach(made)
    orders.handle(store, 7, lambda state: [("order.created", {"ts": 1, "n": 1}), ("order.paid", {"ts": 1, "n": 2})])
    assert made.state(store) == expected(store)


# Versions.


def counting(version: int, step: int) -> cep.Projection:
    made = cep.Projection("count", initial=0, version=version)
    made.on("order.*")(lambda state, events: state + step * events.num_rows)
    return made


def test_a_rebuild_is_made_beside_the_old_one_and_swapped(store):
    old, new = counting(1, 1), counting(2, 10)
    fill(store, 10)
    count = old.catch_up(store)
    with pytest.raises(cep.StoreError, match="rebuild") as caught:
        new.catch_up(store)
    assert caught.value.code == "projection-version"
    during = []

    @new.on("stock")
    def stock(state, events):
        during.append(old.state(store))
        # The old one goes on meanwhile.
        if len(during) == 1:
            store.append("order.paid", [{"ts": 1, "n": 1}])
            old.catch_up(store)
        return state

    assert new.rebuild(store, batch_events=2) > count
    assert set(during) <= {count, count + 1}
    assert len(during) > 1
    assert old.state(store) == new.state(store) == 10 * (count + 1)
    with pytest.raises(cep.StoreError):
        old.catch_up(store)
    assert not [name for name in store.saved() if "rebuild" in name]


def test_a_rebuild_that_fails_leaves_the_old_one_and_may_be_resumed(store):
    old, new = counting(1, 1), counting(2, 10)
    fill(store, 20)
    count = old.catch_up(store)
    failing, calls = [True], []

    @new.on("stock")
    def stock(state, events):
        calls.append(events.num_rows)
        if failing[0] and len(calls) == 2:
            raise ValueError("no")
        return state

    with pytest.raises(cep.FoldError):
        new.rebuild(store, batch_events=2)
    assert old.state(store) == count
    failing[0] = False
    assert new.rebuild(store, resume=True) < store.end
    assert new.state(store) == 10 * count
    assert new.rebuild(store) == store.end
    assert new.state(store) == 10 * count


def test_readers_see_the_old_state_or_the_new_one(tmp_path):
    path = tmp_path / "s.db"
    with cep.EventStore(path) as store:
        fill(store, 30)
        count = counting(1, 1).catch_up(store)
        states, stop = set(), threading.Event()

        def read():
            with cep.EventStore(path, read_only=True) as reader:
                while not stop.is_set():
                    states.add(counting(1, 1).state(reader))

        thread = threading.Thread(target=read)
        thread.start()
        for version in range(2, 6):
            counting(version, version).rebuild(store, batch_events=4)
        stop.set()
        thread.join()
    assert states <= {count * step for step in range(1, 6)}


# What is no longer there, or secret.


def test_events_that_are_removed_are_missed():
    now = dt.datetime(2026, 1, 1)
    with cep.EventStore(clock=lambda: now) as store:
        made = seen()
        for year in (2023, 2024, 2025):
            store.append("order.created", [{"ts": dt.datetime(year, 12, 1), "n": year}])
        made.catch_up(store, batch_events=1)
        behind = seen("behind")
        store.keep("order.created", for_="90d")
        store.retain()
        store.append("order.created", [{"ts": dt.datetime(2025, 12, 2), "n": 1}])
        # Who has folded them misses nothing.
        made.catch_up(store)
        assert [n for *_, n in made.state(store)] == [2023, 2024, 2025, 1]
        for ask in (behind.catch_up, behind.rebuild, made.rebuild, lambda store: behind.state(store, fresh=True)):
            with pytest.raises(cep.StoreError, match="kept no longer") as caught:
                ask(store)
            assert caught.value.code == "events-removed"
        without = seen("behind", removed="ignore")
        without.catch_up(store)
        assert [n for *_, n in without.state(store)] == [2025, 1]
        assert without.lag(store) == 0


def test_protected_values_are_in_no_saved_state_unless_that_is_said(store):
    def emails(name, **options):
        made = cep.Projection(name, initial=list, **options)
        made.on("signup")(lambda state, events: state + events["email"].to_pylist())
        return made

    store.protect("signup", subject="user", columns=["email"])
    plain, inline, secret = emails("plain"), emails("inline"), emails("secret", secrets=True)
    store.attach(inline)
    store.append("signup", {"ts": [1, 2], "user": ["u1", "u2"], "email": ["a@b.c", "d@e.f"]})
    store.append("signup", {"ts": [3], "user": ["u1"], "email": ["g@h.i"]})
    plain.catch_up(store)
    secret.catch_up(store)
    assert plain.state(store) == [None] * 3
    assert inline.state(store) == [None] * 3
    assert secret.state(store) == ["a@b.c", "d@e.f", "g@h.i"]
    store.erase("u1")
    secret.rebuild(store)
    assert secret.state(store) == [None, "d@e.f", None]


def test_many_events_of_other_topics_are_passed_over_once(store):
    made = seen()
    fill(store, 3)
    made.catch_up(store)
    store.append("other", {"ts": range(5000)})
    assert made.catch_up(store) == 0
    assert made.position(store) == store.end


def test_what_is_no_option_is_refused(store):
    for wrong in ({"removed": "maybe"}, {"encode": repr}, {"version": 1.5}, {"upcasters": 1}, {"secrets": 1}):
        with pytest.raises((TypeError, cep.CepheidError)):
            cep.Projection("x", **wrong)
    with pytest.raises(cep.CepheidError):
        cep.Projection("")
    with pytest.raises(cep.StoreError):
        cep.Projection("x").on()
