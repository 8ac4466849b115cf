"""The event store: what is appended is there, once, in order; and what is refused leaves it as it was."""

import datetime as dt
import threading

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event


@pytest.fixture
def store():
    with cep.EventStore() as store:
        yield store


def refused(code, call, *arguments, **options):
    with pytest.raises(cep.CepheidError) as error:
        call(*arguments, **options)
    assert error.value.code == code, error.value
    return error.value


# Appending.


def test_positions_count_events_over_all_topics(store):
    first = store.append("a", {"ts": [1, 2], "x": [1, 2]})
    second = store.append("b", {"ts": [3]})
    third = store.append("a", {"ts": [4]})
    assert [(int(p), p.end, p.row) for p in (first, second, third)] == [(0, 2, 0), (2, 3, 0), (3, 4, 2)]
    assert store.end == 4
    assert store.read("a", from_=third).to_arrow()["ts"].to_pylist() == [4]


def test_what_is_appended_is_there_when_it_is_opened_again(tmp_path):
    with cep.EventStore(tmp_path / "s.db", event_time="at", author="ann") as store:
        store.append("a", {"at": [1, 2], "x": ["p", None]})
        before = store.info()
    assert not (tmp_path / "s.db-wal").exists()
    with cep.EventStore(tmp_path / "s.db") as store:
        assert store.read().to_arrow().to_pylist() == [{"at": 1, "x": "p"}, {"at": 2, "x": None}]
        assert store.info().chain == before.chain
        assert store.info().event_time == "at"
    with pytest.raises(cep.StoreError, match="made with `at`"):
        cep.EventStore(tmp_path / "s.db", event_time="ts")


def test_a_stream_has_the_version_that_was_expected_or_nothing_is_appended(store):
    assert store.append("a", {"ts": [1, 2]}, stream="s", expected_version=0).version == 2
    error = refused("version-conflict", store.append, "b", {"ts": [3]}, stream="s", expected_version=1)
    assert isinstance(error, cep.VersionConflictError)
    assert (error.stream, error.expected, error.actual) == ("s", 1, 2)
    assert store.append("b", {"ts": [3]}, stream="s", expected_version=2).version == 3
    assert store.end == 3
    assert store.read(stream="s", metadata=True).to_arrow()["_version"].to_pylist() == [1, 2, 3]
    refused("store-option", store.append, "a", {"ts": [1]}, expected_version=0)


def test_an_idempotency_key_appends_once(store):
    first = store.append("a", {"ts": [1, 2]}, idempotency_key="k")
    again = store.append("a", {"ts": [1, 2]}, idempotency_key="k")
    assert (again.first, again.repeated, first.repeated) == (0, True, False)
    # Another topic, another key.
    assert not store.append("b", {"ts": [1, 2]}, idempotency_key="k").repeated
    refused("key-reused", store.append, "a", {"ts": [1]}, idempotency_key="k")
    assert store.end == 4


def test_a_transaction_is_made_as_a_whole(store):
    store.append("a", {"ts": [1]}, stream="s")
    changes = store.transaction()
    changes.append("a", {"ts": [2]})
    changes.save("state", b"new")
    changes.put("queue", "k", b"to do")
    changes.append("a", {"ts": [3]}, stream="s", expected_version=7)
    refused("version-conflict", changes.commit)
    assert (store.end, store.load("state"), store.waiting("queue")) == (1, None, [])
    with pytest.raises(ZeroDivisionError), store.transaction() as changes:
        changes.append("a", {"ts": [2]})
        raise ZeroDivisionError
    assert store.end == 1


def test_threads_append_together_and_lose_nothing(store):
    def append(name):
        for number in range(20):
            store.append(name, {"ts": [number], "n": [number]}, stream=name, expected_version=number)

    threads = [threading.Thread(target=append, args=(f"t{place}",)) for place in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.end == 120
    for place in range(6):
        assert store.read(f"t{place}", columns=["n"]).to_arrow()["n"].to_pylist() == list(range(20))
    assert store.verify()


def test_values_of_python_become_what_the_topic_has(store):
    store.append("a", [{"ts": 1, "x": 2.5, "name": "p"}])
    store.append("a", [{"ts": 2, "x": 3, "name": None}, {"ts": 3, "x": None}])
    store.append("a", [{"ts": 4, "more": "q"}])
    found = store.read("a").to_arrow()
    assert found.schema.field("x").type == pa.float64()
    assert found["x"].to_pylist() == [2.5, 3.0, None, None]
    assert found["more"].to_pylist() == [None, None, None, "q"]


def test_types_meet_where_nothing_is_lost_and_are_refused_elsewhere(store):
    store.append("a", pa.table({"ts": [1], "x": pa.array([1], pa.int8())}))
    store.append("a", pa.table({"ts": [2], "x": pa.array([300], pa.int32())}))
    assert store.read("a").to_arrow()["x"].to_pylist() == [1, 300]
    # In one topic they could never be read together.
    assert refused("schema-conflict", store.append, "a", pa.table({"ts": [3], "x": ["text"]})).column == "x"
    assert store.end == 2
    store.append("b", pa.table({"ts": [3], "x": ["text"]}))
    error = refused("schema-conflict", store.read, ["a", "b"])
    assert error.column == "x"
    assert store.read("b").count() == 1


@pytest.mark.parametrize("topic", ["a.*", ">", "", "x" * 256, "a\nb"])
def test_what_cannot_name_a_topic_is_refused(store, topic):
    with pytest.raises(cep.CepheidError):
        store.append(topic, {"ts": [1]})
    assert store.end == 0


def test_columns_of_the_store_are_its_own(store):
    store.append("a", {"ts": [1]})
    error = refused("reserved-column", store.append, "b", store.read("a", metadata=True))
    assert error.column == "_position"
    assert store.append("b", store.read("a")).events == 1


def test_an_event_without_time_is_refused_and_a_topic_without_times_is_not(store):
    refused("null-time", store.append, "a", pa.table({"ts": pa.array([1, None], pa.int64())}))
    store.append("b", {"x": [1, 2]})
    assert (store.end, store.info().topics["b"].first_time) == (2, None)


def test_long_tables_are_cut_and_stay_whole(store):
    rows = 150_000
    table = pa.table({"ts": range(rows), "x": [f"v{row % 7}" for row in range(rows)]})
    position = store.append("a", table, stream="s", idempotency_key="k")
    assert (position.events, position.version) == (rows, rows)
    assert store.append("a", table, stream="s", idempotency_key="k").repeated
    assert store.read("a").to_arrow().equals(table)
    assert store.read("a", from_=rows - 2).to_arrow()["ts"].to_pylist() == [rows - 2, rows - 1]


def test_rows_of_many_bytes_are_cut_and_one_that_is_too_long_is_refused(store):
    # Compresses well, so that it takes little; what is cut is what it is when it is read.
    row = b"x" * 40_000_000
    assert store.append("a", {"ts": range(10), "x": [row] * 10}).events == 10
    assert [len(value) for value in store.read("a").to_arrow()["x"].to_pylist()] == [len(row)] * 10
    refused("too-long", store.append, "a", {"ts": [1], "x": [b"x" * 300_000_000]})
    refused("too-long", store.save, "state", b"x" * 300_000_000)
    assert store.append("a", {"ts": [11], "x": [b""]}).first == 10
    assert store.verify().events == 11


def test_a_link_leads_to_the_same_store(tmp_path):
    with cep.EventStore(tmp_path / "real.db") as store:
        store.append("a", {"ts": [1]})
        (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
        refused("store-locked", cep.EventStore, tmp_path / "link.db")
    with cep.EventStore(tmp_path / "link.db") as store:
        store.seal()
        assert store.path.name == "real.db"
    with cep.EventStore(tmp_path / "real.db") as store:
        assert store.read("a").count() == 1
        assert store.verify()


# Reading.


def test_nan_is_the_greatest_whatever_its_sign(store):
    store.append("a", pa.table({"ts": [1, 2, 3], "x": [-float("nan"), 1.0, 7.0]}))
    for _ in range(2):
        for condition in ("x < 5", "x = 1", "x > 6", "x = CAST('NaN' AS DOUBLE)"):
            plain = store.read("a", where=condition).count()
            assert plain == store.read("a", where=f"NOT NOT ({condition})").count() > 0, condition
        store.seal()


def test_columns_that_differ_from_topic_to_topic_are_asked_for_as_they_are_read(store):
    store.append("a", {"ts": [1], "Amount": [2**53 + 1]})
    store.append("b", {"ts": [2], "amount": [1.5]})
    for condition in ("amount IS NULL", "amount = 1.5", '"Amount" = 9007199254740993'):
        assert store.read(where=condition).count() == store.read(where=f"NOT NOT ({condition})").count(), condition
    assert store.read(where="amount IS NULL").count() == 1


def test_what_is_read_is_what_there_was_when_it_was_asked_for(store):
    store.append("a", {"ts": [1]})
    asked = store.read("a")
    store.append("a", {"ts": [2]})
    store.seal()
    assert asked.to_arrow()["ts"].to_pylist() == [1]
    assert asked.to_arrow()["ts"].to_pylist() == [1]
    assert repr(asked) == "StoredEvents: columns ts"


def test_it_is_read_as_any_table_is(store):
    duckdb = pytest.importorskip("duckdb")
    polars = pytest.importorskip("polars")
    store.append("a", {"ts": [1, 2, 3], "x": [1.0, 2.0, 3.0]})
    asked = store.read("a", where=col.x > 1)
    assert duckdb.sql("SELECT sum(x) FROM asked").fetchall() == [(5.0,)]
    assert polars.DataFrame(asked)["x"].to_list() == [2.0, 3.0]
    assert pa.table(asked).num_rows == 2
    assert asked.to_pandas()["x"].tolist() == [2.0, 3.0]
    assert [event["ts"] for event in asked] == [2, 3]


def test_a_mistake_in_a_question_names_what_there_is(store):
    store.append("order.created", {"ts": [1]})
    assert refused("unknown-in-store", store.read, "order.creatd").known == ("order.created",)
    assert refused("unknown-in-store", store.read, columns=["tz"]).known == ("ts",)
    refused("unknown-column", store.read, where="tz > 1")
    refused("invalid-expression", store.read, where=cep.prev(col.ts) > 1)
    refused("store-option", store.read, from_=-1)
    with pytest.raises(TypeError):
        store.read(from_="1")
    # A pattern asks for whatever there is.
    assert store.read("order.paid.*").count() == 0


def test_a_condition_that_fails_for_a_value_is_an_error_of_that_value(store):
    store.append("a", {"ts": [1, 2], "x": [1, 0]})
    for _ in range(2):
        asked = store.read("a", where=10 / col.x > 5)
        assert refused("division-by-zero", asked.to_arrow)
        store.seal()


def test_times_are_event_times_or_else_those_of_recording():
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with cep.EventStore(clock=lambda: now) as store:
        day = dt.timedelta(days=1)
        store.append("timed", pa.table({"ts": pa.array([now - day, now + day], pa.timestamp("us", "UTC"))}))
        store.append("plain", {"x": [1]})
        assert store.read("timed", since=now).count() == 1
        assert store.read("plain", since=now).count() == 1
        assert store.read("plain", since=now + day).count() == 0
        assert store.read(since=now - day, until=now + day, metadata=True).to_arrow()["_topic"].to_pylist() == [
            "timed",
            "plain",
        ]


def test_one_event_is_found_by_its_id_and_a_story_by_its_correlation(store):
    rule = event("large", col.amount > 500, topic="txn").select(amount="large.amount").named("large")
    engine = cep.Engine(rule, ids=True)
    txns = {"ts": [1, 2], "amount": [5, 900]}
    store.append("txn", txns)
    derived = engine.push(txns, "txn")["large"].to_arrow()
    store.append("large", derived.append_column("ts", [[2]]))
    id = derived["id"][0].as_py()
    assert store.get(id)["amount"] == 900
    assert store.get("txn#1") == {"ts": 2, "amount": 900}
    assert store.get("nobody") is None
    story = store.trace(derived["correlationid"][0].as_py()).to_arrow()
    assert story["_topic"].to_pylist() == ["txn", "large"]


def test_a_store_that_is_read_only_says_so(tmp_path):
    with cep.EventStore(tmp_path / "s.db") as store:
        store.append("a", {"ts": [1]})
        with cep.EventStore(tmp_path / "s.db", read_only=True) as reader:
            assert reader.read("a").count() == 1
            store.append("a", {"ts": [2]})
            assert reader.read("a").count() == 2
            refused("store-read-only", reader.append, "a", {"ts": [3]})
            refused("store-read-only", reader.transaction)
    refused("store-missing", cep.EventStore, tmp_path / "other.db", read_only=True)
    (tmp_path / "text.db").write_text("no store at all, whatever its name says; " * 100)
    refused("not-a-store", cep.EventStore, tmp_path / "text.db")
    refused("not-a-store", cep.EventStore, tmp_path / "text.db", read_only=True)


def test_a_closed_store_says_so(store):
    store.append("a", {"ts": [1]})
    asked = store.read("a")
    store.close()
    refused("store-closed", store.append, "a", {"ts": [1]})
    refused("store-closed", lambda: store.end)
    with pytest.raises(cep.StoreError):
        asked.to_arrow()


def test_columns_come_in_the_order_in_which_they_are_asked_for_the_stores_own_too(store):
    store.append("a", {"ts": [1, 2], "x": [5, 6], "y": ["p", "q"]})
    for _ in range(2):
        assert store.read("a", columns=["y", "ts"]).to_arrow().to_pydict() == {"y": ["p", "q"], "ts": [1, 2]}
        found = store.read("a", columns=["y", "_position", "_topic"], where="x = 6").to_arrow()
        assert found.to_pylist() == [{"y": "q", "_position": 1, "_topic": "a"}]
        assert store.read("a", columns=["y"], metadata=True).to_arrow().column_names[-2:] == ["_recorded", "y"]
        assert store.read("a", where="_topic = 'a' AND _row = 1").count() == 1
        assert store.read("a", where="_topic = 'b'").count() == 0
        store.seal()


# Following.


def test_a_subscription_gives_each_event_once_and_goes_on_where_it_was_acknowledged(store):
    for number in range(5):
        store.append("a" if number % 2 else "b", {"ts": [number]})
    first = store.subscribe("s", "a")
    assert first.next()["_position"].to_pylist() == [1, 3]
    assert first.next() is None
    first.acknowledge()
    second = store.subscribe("s", "a")
    # What is of no concern is passed over, too.
    assert second.position == 5
    store.append("a", {"ts": [9]})
    assert second.next()["ts"].to_pylist() == [9]
    assert store.subscribe("s", "a").next()["ts"].to_pylist() == [9]
    assert store.subscribe("late", "a", from_=4).next()["ts"].to_pylist() == [9]


def test_who_waits_is_woken_by_an_append(store):
    found = []
    subscription = store.subscribe("s", "a")
    thread = threading.Thread(target=lambda: found.append(subscription.next(timeout=20)))
    thread.start()
    store.append("a", {"ts": [1]})
    thread.join(timeout=20)
    assert found[0]["ts"].to_pylist() == [1]


# Replaying.


def test_a_replay_stops_where_a_rule_fires_and_goes_as_fast_as_it_is_told(store):
    store.append("a", {"ts": [0, 10_000_000, 20_000_000], "x": [1, 5, 9]})
    rule = event("big", col.x > 4, topic="a").emit("alert").named("big")
    replay = store.step(cep.Engine(rule))
    assert replay.run_to("big").position == 2
    assert replay.engine.stats().rows == 2
    assert replay.run_to("alert").position == 3
    assert replay.run_to("alert") is None
    # 20 ms, ten times as slow.
    began = dt.datetime.now()
    assert store.replay(cep.Engine(rule), speed=0.1)["alert"].num_rows == 2
    assert dt.datetime.now() - began >= dt.timedelta(milliseconds=190)
    calls = []
    assert not store.replay(cep.Engine(rule), on_derived=calls.append)
    assert sum(derived.total for derived in calls) == 2
    refused("invalid-clause", store.replay, cep.Engine(rule), speed=0)
    refused("unknown-in-store", store.replay, cep.Engine(event("e", topic="none").named("e")))


@pytest.mark.parametrize("speed", [None, 1e9])
@pytest.mark.parametrize("timeless", [0, 1])
def test_a_replay_says_which_event_has_no_time(store, speed, timeless):
    batches = [{"ts": [5], "x": [1]}, {"ts": [7], "x": [3]}]
    batches.insert(timeless, {"x": [2]})
    for batch in batches:
        store.append("a", batch)
    engine = cep.Engine(event("big", col.x > 0, topic="a").named("big"))
    with pytest.raises(cep.SchemaError, match=f"`ts` is NULL in row {timeless}"):
        store.replay(engine, speed=speed)


@pytest.mark.parametrize("speed", [None, 1e9])
def test_the_bar_of_a_replay_counts_every_event_once_however_it_goes_by(store, monkeypatch, speed):
    store.append("a", {"ts": list(range(500)), "x": [1, 2] * 250})
    store.seal()
    store.append("a", {"ts": [500, 499, 501], "x": [9, 9, 1]})
    seen = []

    def counting(batches, title, total):
        for batch in batches:
            seen.append(batch.num_rows)
            yield batch
        assert (title, total) == ("replaying", 503)

    monkeypatch.setattr("cepheid.cli.progress.progress", counting)
    found = store.replay(cep.Engine(event("big", col.x > 4, topic="a").named("big")), progress=True, speed=speed)
    assert [len(found[topic]) for topic in ("big", "a.late")] == [1, 1]
    assert sum(seen) == 503


def test_a_replay_goes_on_from_a_snapshot(store):
    rule = (event("a", col.x == 1, topic="t") >> event("b", col.x == 2, topic="t")).within("1h").named("pair")
    store.append("t", {"ts": [1, 2], "x": [1, 3]})
    engine = cep.Engine(rule, ids=True)
    assert not store.replay(engine)
    store.save("engine", engine.snapshot())
    position = store.append("t", {"ts": [3], "x": [2]})
    again = cep.Engine.restore(store.load("engine"), rule)
    assert store.replay(again, from_=position)["pair"].rows["row"].to_pylist() == [0, 2]
