"""`EventStore.append_batches`: what `append` would make of each batch, and what ends it early."""

import threading

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid.errors import SchemaError, StoreError, VersionConflictError


@pytest.fixture
def store(tmp_path):
    with cep.EventStore(tmp_path / "events.db") as store:
        yield store


def batch(number, rows=3):
    return {"ts": [number] * rows, "n": list(range(rows))}


def batches(count, rows=3):
    return (batch(number, rows) for number in range(count))


def numbers(store, topic="t"):
    return store.read(topic).to_arrow()["ts"].cast(pa.int64()).to_pylist()


def test_batches_are_appended_as_each_in_turn(store, tmp_path):
    sizes = [0, 1, 5, 9_000, 2, 0, 70_000, 3, *range(150)]
    given = [pa.table(batch(number, rows)) for number, rows in enumerate(sizes)]
    with cep.EventStore(tmp_path / "other.db") as other:
        expected = [other.append("t", one, stream="s") for one in given]
        assert store.append_batches("t", given, stream="s", expected_version=0) == expected
        assert store.read("t").to_arrow() == other.read("t").to_arrow()
        assert store.version("s") == other.version("s") == sum(sizes)
    assert store.verify().ok


def table():
    return pa.table(batch(7, 4))


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (list, 0),
        (lambda: iter([table(), table()]), 2),
        (lambda: (each for each in [[{"ts": 7, "n": 1}], [{"ts": 8, "n": 2.5}]]), 2),
        (lambda: [pd.DataFrame(batch(1)), pl.DataFrame(batch(2)), table().to_batches()[0]], 3),
        (lambda: pa.RecordBatchReader.from_batches(table().schema, table().to_batches() * 3), 3),
        (lambda: pa.concat_tables([table(), table()]), 2),
        (lambda: pl.DataFrame(batch(1)), 1),
    ],
)
def test_whatever_gives_batches_is_taken(store, given, count):
    assert len(store.append_batches("t", given())) == count
    assert store.end == sum(position.events for position in store.append_batches("u", given()))


@pytest.mark.parametrize(
    "given",
    [
        None,
        7,
        "batches",
        b"batches",
        {"ts": [1]},
        pd.DataFrame({"ts": [1]}),
        pa.array([1]),
        pa.chunked_array([[1]]),
        pd.Series([1]),
    ],
)
def test_what_gives_no_batches_is_refused(store, given):
    with pytest.raises(TypeError, match="batches"):
        store.append_batches("t", given)
    assert store.end == 0


def test_what_is_guessed_of_values_is_what_the_batches_before_have(store, tmp_path):
    given = [
        pa.table({"ts": [1], "s": pa.array(["a"], pa.string()), "x": [1.5]}),
        # pandas has texts of another type, and of whole numbers nobody can tell that they are not.
        pd.DataFrame({"ts": [2], "s": ["b"], "x": [2]}),
        pl.DataFrame({"ts": [3], "y": [1.5]}),
        [{"ts": 4, "y": 2}],
        pa.RecordBatch.from_pydict({"ts": [5], "z": pa.array([1], pa.int16())}),
        {"ts": [6], "z": [2]},
    ]
    with cep.EventStore(tmp_path / "other.db") as other:
        for number in range(1, len(given) + 1):
            # All of them are given before the first is in the store.
            store.append_batches(f"t{number}", given[:number])
            for one in given[:number]:
                other.append(f"t{number}", one)
            found = store.read(f"t{number}").to_arrow()
            assert found == other.read(f"t{number}").to_arrow()
            assert found.schema.field("s").type == pa.string()
    assert found.schema.types[2:] == [pa.float64(), pa.float64(), pa.int16()]


def note_of(raised):
    return raised.value.__notes__


def test_a_batch_that_is_refused_ends_it(store):
    given = [batch(0), batch(1), {"ts": [None], "n": [1]}, batch(3)]
    with pytest.raises(SchemaError) as raised:
        store.append_batches("t", given)
    assert note_of(raised) == ["2 batches before it have been appended"]
    assert numbers(store) == [0, 0, 0, 1, 1, 1]
    assert store.append("t", batch(9)).first == 6


def test_an_error_of_the_iterable_ends_it(store):
    def broken():
        yield from batches(100, 500)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        store.append_batches("t", broken())
    assert note_of(raised) == ["100 batches before it have been appended"]
    assert store.end == 50_000
    with pytest.raises(SchemaError, match="ts"):
        store.append_batches("t", [batch(1), [{"ts": object()}]])
    assert store.end == 50_003


def test_a_version_that_is_another_ends_it(store):
    store.append("t", batch(0), stream="s")
    with pytest.raises(VersionConflictError) as raised:
        store.append_batches("t", batches(5), stream="s", expected_version=2)
    assert (raised.value.expected, raised.value.actual) == (2, 3)
    made = store.append_batches("t", batches(5), stream="s", expected_version=3)
    assert [position.version for position in made] == [6, 9, 12, 15, 18]


def test_a_call_with_a_key_can_be_made_again(store):
    def broken():
        yield from batches(7)
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="gone"):
        store.append_batches("t", broken(), idempotency_key="day")
    made = store.append_batches("t", batches(10), idempotency_key="day")
    assert [position.repeated for position in made] == [True] * 7 + [False] * 3
    assert numbers(store) == [number for number in range(10) for _ in range(3)]


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.append("t", batch(1)),
        lambda store: store.append_batches("t", batches(1)),
        lambda store: store.save("state", b"1"),
        lambda store: store.transaction(),
        lambda store: store.seal(),
        lambda store: store.close(),
    ],
)
def test_the_iterable_may_not_write(store, act):
    def writing():
        yield batch(0)
        act(store)

    with pytest.raises(StoreError) as raised:
        store.append_batches("t", writing())
    assert raised.value.code == "store-in-use"
    assert store.end == 3
    # Once it has ended, one may.
    act(store)


def test_the_iterable_may_read_and_others_may_write(store):
    store.append("t", batch(0))
    seen = []

    def reading():
        for number in range(20):
            seen.append(store.read("t").count())
            yield batch(number)

    other = threading.Thread(target=lambda: [store.append("u", batch(number)) for number in range(20)])
    other.start()
    store.append_batches("t", reading())
    other.join()
    assert len(seen) == 20
    assert seen == sorted(seen)
    assert store.end == 3 * 41


def test_whoever_closes_the_store_waits_and_nobody_waits_for_that(tmp_path):
    store = cep.EventStore(tmp_path / "events.db")
    codes, closed = [], threading.Event()

    def append_while_it_is_open():
        try:
            while True:
                store.append("u", batch(1))
        except StoreError as error:
            codes.append(error.code)

    def close():
        store.close()
        closed.set()

    def waiting():
        yield batch(0)
        threads = [threading.Thread(target=target, daemon=True) for target in (append_while_it_is_open, close, close)]
        for thread in threads:
            thread.start()
        # Who appends, and is waited for here, is told that it is closed, and not kept waiting for the end of this.
        threads[0].join(30)
        assert not threads[0].is_alive()
        assert not closed.is_set()

    [_] = store.append_batches("t", waiting())
    assert closed.wait(30)
    assert codes == ["store-closed"]
    with cep.EventStore(tmp_path / "events.db") as again:
        assert numbers(again) == [0, 0, 0]


def test_what_follows_a_batch_is_committed_with_it(store):
    counted = cep.Projection("counted", initial=int)
    counted.on("t")(lambda state, events: state + len(events.to_pylist()))
    store.attach(counted)
    made = store.append_batches("t", batches(4), stream="s", expected_version=0, idempotency_key="k")
    assert counted.state(store) == 12
    with pytest.raises(VersionConflictError) as raised:
        store.append_batches("t", batches(4), stream="s", expected_version=0)
    assert note_of(raised) == ["0 batches before it have been appended"]
    assert [position.first for position in made] == [0, 3, 6, 9]
    assert store.end == counted.position(store) == 12


def test_subscribers_see_batches_before_the_last_is_given(store):
    seen = threading.Event()

    def waiting():
        yield batch(0)
        # Not the end of the iterable lets the first batch be written.
        assert seen.wait(60)
        yield batch(1)

    def follow():
        assert store.subscribe("follower", "t").next(60) is not None
        seen.set()

    thread = threading.Thread(target=follow)
    thread.start()
    store.append_batches("t", waiting())
    thread.join()
    assert store.end == 6


def test_a_topic_of_an_app_is_its_own():
    app = cep.App("shop")
    app.add(cep.event("e", topic="t").named("seen"))
    with app.test() as test, pytest.raises(StoreError) as raised:
        test.store.append_batches("t", batches(1))
    assert raised.value.code == "claimed-topic"
