"""What becomes of a store's events: archived, removed, kept secret, erased, verified, reported."""

import datetime as dt
import shutil
import sqlite3

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cepheid as cep

NOW = dt.datetime(2026, 1, 10, tzinfo=dt.UTC)


def days(*numbers):
    return pa.array([NOW - dt.timedelta(days=number) for number in numbers], pa.timestamp("us", "UTC"))


def files(store):
    folder = store.path.with_name(store.path.name + "-archive")
    return sorted(folder.rglob("*.parquet")) if folder.exists() else []


def test_an_archived_file_is_read_by_anybody(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    with cep.EventStore(tmp_path / "s.db") as store:
        store.append("a", pa.table({"ts": days(2, 1), "x": ["p", "q"]}), stream="s")
        store.append("../b/C", {"ts": [1], "y": [True]})
        assert store.seal(min_events=2) == 2
        assert store.seal() == 1
        assert [file.parent.name for file in files(store)] == ["%2e.%2fb%2f%43", "a"]
        table = pq.read_table(files(store)[1], partitioning=None)
        assert table.column_names == ["_position", "_row", "_stream", "_version", "_recorded", "ts", "x"]
        assert table["ts"].type == pa.timestamp("us", "UTC")
        query = f"SELECT x FROM '{tmp_path}/s.db-archive/a/*.parquet' ORDER BY _position"
        assert duckdb.sql(query).fetchall() == [("p",), ("q",)]
        assert store.read("a").to_arrow()["x"].to_pylist() == ["p", "q"]


def test_small_files_are_put_together_and_read_the_same(tmp_path):
    with cep.EventStore(tmp_path / "s.db") as store:
        for number in range(4):
            store.append("a", {"ts": [number], "x": [number]}, stream=f"s{number % 2}")
            store.seal()
        before = store.read("a", metadata=True).to_arrow()
        assert len(files(store)) == 4
        assert store.compact() == 4
        assert len(files(store)) == 1
        assert store.read("a", metadata=True).to_arrow().equals(before)
        assert store.read(stream="s1").to_arrow()["x"].to_pylist() == [1, 3]
        assert store.compact() == 0
        assert store.verify().segments == 1


def test_the_journal_is_archived_in_the_background(tmp_path):
    with cep.EventStore(tmp_path / "s.db", seal_after=10) as store:
        for number in range(25):
            store.append("a", {"ts": [number]})
        with store.transaction() as changes:
            changes.append("b", {"ts": list(range(12))})
        store.append("c", {"ts": [1]})
        assert store.read("a").to_arrow()["ts"].to_pylist() == list(range(25))
    with cep.EventStore(tmp_path / "s.db") as store:
        topics = store.info().topics
        assert topics["a"].archived >= 10
        assert (topics["b"].archived, topics["c"].archived) == (12, 0)
        assert store.verify()
    # What an earlier process has left there, too.
    with cep.EventStore(tmp_path / "s.db", seal_after=1):
        pass
    with cep.EventStore(tmp_path / "s.db", read_only=True) as store:
        assert store.info().topics["c"].archived == 1


def test_a_topic_that_cannot_be_archived_is_left_alone_and_said_so(caplog):
    month = pa.array([None], pa.month_day_nano_interval())
    with cep.EventStore(seal_after=1) as store:
        for number in range(5):
            store.append("a", pa.table({"ts": [number], "x": month}))
        store.append("b", {"ts": [1]})
    assert [record.getMessage().split(" (")[0] for record in caplog.records if "`a`" in record.getMessage()][:1] == [
        "topic `a` is not archived any more: topic `a` cannot be archived"
    ]


def test_what_parquet_does_not_have_stays_where_it_is():
    month = pa.array([None], pa.month_day_nano_interval())
    with cep.EventStore() as store:
        store.append("a", pa.table({"ts": [1], "x": month}))
        with pytest.raises(cep.StoreError) as error:
            store.seal()
        assert error.value.code == "unarchivable"
        assert store.read("a").count() == 1
        assert store.verify()
        assert not files(store)


def known_keys(store, topic, *keys):
    return [key for key in keys if store._view.has_key(topic, key)]


def forgettings(store):
    with sqlite3.connect(store.path) as database:
        return database.execute("SELECT count(*) FROM entries WHERE kind = 'forget'").fetchone()[0]


def test_keys_go_with_their_events_unless_they_are_to_be_known_for_so_long(tmp_path):
    now = NOW
    with cep.EventStore(tmp_path / "s.db", clock=lambda: now) as store:
        for number in range(4):
            for topic in ("a", "b", "c"):
                rows = pa.table({"ts": days(9 - number)})
                store.append(topic, rows, stream=f"{topic}{number % 2}", idempotency_key=f"k{number}")
                store.append(topic, rows)
            if number < 2:
                store.seal()
            now += dt.timedelta(days=1)
        keys = [f"k{number}" for number in range(4)]
        assert store.retain() == 0
        assert [known_keys(store, topic, *keys) for topic in "abc"] == [keys] * 3
        # With their events: those of the first two days.
        store.keep("a", for_="11d12h")
        # Longer than their events, and shorter.
        store.keep("b", for_="11d12h", keys_for="10d")
        store.keep("c", keys_for="2d12h")
        assert store.info().topics["b"].keep_keys_for == dt.timedelta(days=10)
        assert store.info().topics["a"].keep_keys_for is None
        assert store.retain() == 8
        assert [known_keys(store, topic, *keys) for topic in "abc"] == [keys[2:], keys, keys[2:]]
        assert store.retain() == 0
        found = store.verify()
        assert (found.ok, found.removed, found.events) == (True, 8, 16)
        assert forgettings(store) == 2
        # What has been forgotten is appended again, and known from then on.
        again = store.append("a", pa.table({"ts": days(1)}), idempotency_key="k0")
        assert not again.repeated
        repeat = store.append("a", pa.table({"ts": days(1)}), idempotency_key="k0")
        assert (repeat.repeated, repeat.first) == (True, again.first)
        assert store.append("b", pa.table({"ts": days(1)}), idempotency_key="k0").repeated
        before = store.read(["a", "b", "c"], metadata=True).to_arrow()
        store.seal()
        store.compact()
        store.keep("b", for_="11d12h")
        store.keep("c")
        now += dt.timedelta(days=30)
        store.retain(["b", "c"])
        assert [known_keys(store, topic, *keys) for topic in "bc"] == [[], keys[2:]]
        store.keep("c", keys_for="1d")
        store.retain("c")
        assert known_keys(store, "c", *keys) == []
        assert store.verify().ok
        assert before.filter(pa.compute.field("_stream") == "c1").num_rows == store.read(stream="c1").count() == 2
    with sqlite3.connect(tmp_path / "s.db") as database:
        # The text of a key is nowhere any more.
        assert database.execute("SELECT count(*) FROM batches WHERE idempotency = 'k1'").fetchone() == (0,)
        assert database.execute("PRAGMA user_version").fetchone() == (3,)
    with cep.EventStore(tmp_path / "s.db") as store:
        assert store.verify().ok


def test_many_keys_go_in_several_steps(tmp_path):
    with cep.EventStore(tmp_path / "s.db", clock=lambda: NOW) as store:
        with store.transaction() as changes:
            for number in range(17_000):
                changes.append("a", {"ts": [number]}, idempotency_key=f"key {number}")
        store.keep("a", for_="1d")
        assert store.retain() == 17_000
        assert known_keys(store, "a", "key 0", "key 16999") == []
        assert forgettings(store) == 2
        assert store.verify().ok


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE batches SET idempotency = NULL WHERE idempotency = 'k1'",
        "UPDATE batches SET idempotency = 'k0' WHERE batch = 1",
        "UPDATE batches SET idempotency_events = NULL WHERE batch = 1",
        "UPDATE batches SET idempotency_events = 7 WHERE batch = 1",
        "UPDATE batches SET stream = 'other' WHERE batch = 1",
        "UPDATE batches SET idempotency_events = 1 WHERE batch = 3",
        "DELETE FROM saved WHERE kind = 'keys'",
    ],
)
def test_what_batches_without_their_keys_say_is_vouched_for(tmp_path, damage):
    now = NOW
    with cep.EventStore(tmp_path / "s.db", clock=lambda: now) as store:
        store.append("a", {"ts": [1]}, stream="s", idempotency_key="k0")
        now += dt.timedelta(days=1)
        store.append("a", {"ts": [1]}, stream="s", idempotency_key="k1")
        store.append("a", {"ts": [1]}, stream="s")
        store.keep("a", keys_for="12h")
        store.retain()
        assert known_keys(store, "a", "k0", "k1") == ["k1"]
        assert store.verify().ok
    with sqlite3.connect(tmp_path / "s.db") as database:
        assert database.execute(damage).rowcount == 1
    with cep.EventStore(tmp_path / "s.db", read_only=True) as store:
        assert not store.verify().ok


def test_retention_removes_the_oldest_and_the_chain_says_so(tmp_path):
    with cep.EventStore(tmp_path / "s.db", clock=lambda: NOW) as store:
        store.append("a", pa.table({"ts": days(9, 8)}))
        store.append("a", pa.table({"ts": days(7)}))
        store.seal()
        store.append("a", pa.table({"ts": days(6)}))
        store.append("a", pa.table({"ts": days(1)}))
        store.append("b", pa.table({"ts": days(9)}))
        assert store.retain() == 0
        store.keep("a", for_="6d12h")
        # The file has one that is younger than 6.5 days: nothing of it goes.
        assert store.retain() == 3
        store.keep("a", for_="5d")
        assert store.retain() == 1
        assert store.retain() == 0
        assert files(store) == []
        found = store.verify()
        assert (found.ok, found.events, found.removed) == (True, 2, 4)
        info = store.info().topics["a"]
        assert (info.events, info.removed, info.keep_for) == (5, 4, dt.timedelta(days=5))
        assert store.read("a", metadata=True).to_arrow()["_row"].to_pylist() == [4]
        # What comes later is numbered on.
        assert store.append("a", pa.table({"ts": days(0)})).row == 5
        # By size the newest stays, however large it is.
        store.keep("a", bytes=1)
        assert store.retain() == 1
        assert store.read("a").count() == 1
        assert store.end == 7


def test_an_erased_value_is_gone_from_every_file(tmp_path):
    secret = "a-very-secret-address@example.org"
    with cep.EventStore(tmp_path / "s.db") as store:
        store.protect("a", subject="user", columns=["email", "age", "since"])
        rows = {
            "ts": [1, 2, 3],
            "user": ["u1", "u2", None],
            "email": [secret, "d@e.f", "nobody"],
            "age": pa.array([30, None, 5], pa.int16()),
            "since": days(3, 2, 1),
        }
        store.append("a", pa.table(rows))
        assert store.read("a").to_arrow().to_pydict()["age"] == [30, None, 5]
        assert store.read("a").to_arrow().schema.field("since").type == pa.timestamp("us", "UTC")
        assert store.read("a", where="email = 'd@e.f'").count() == 1
        store.seal()
        store.append("a", pa.table(rows))
        assert pq.read_table(files(store)[0], partitioning=None).schema.field("email").type == pa.binary()
        assert store.erase("u1") == 1
        assert store.erase("u1") == 0
        # What is erased is NULL, whatever was known of it when it was written.
        assert store.read("a", where="email IS NULL").count() == 2
        assert store.read("a").to_arrow()["email"].to_pylist() == [None, "d@e.f", "nobody"] * 2
        assert store.read("a").to_arrow()["age"].to_pylist() == [None, None, 5] * 2
        # Who comes back has a new key.
        store.append("a", pa.table(rows))
        assert store.read("a").to_arrow()["email"].to_pylist()[-3:] == [secret, "d@e.f", "nobody"]
        assert store.erase("u1") == 1
        # The column may say that it has no NULL.
        strict = pa.schema([("ts", pa.int64()), ("user", pa.string()), pa.field("email", pa.string(), nullable=False)])
        store.protect("b", subject="user", columns=["email"])
        store.append("b", pa.table({"ts": [1, 2], "user": ["u3", "u4"], "email": [secret, "k@l.m"]}, strict))
        assert store.erase("u3") == 1
        assert store.read("b").to_arrow()["email"].to_pylist() == [None, "k@l.m"]
        assert store.verify()
        assert [change["what"] for change in store.report().changes].count("erase") == 3
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file
    database = sqlite3.connect(tmp_path / "s.db")
    assert database.execute("SELECT count(*) FROM subjects WHERE subject = 'u1' AND secret IS NOT NULL").fetchone() == (
        0,
    )
    database.close()


def test_what_cannot_be_kept_secret_is_refused():
    with cep.EventStore() as store:
        for columns in (["ts"], ["user"], []):
            with pytest.raises(cep.StoreError) as error:
                store.protect("a", subject="user", columns=columns)
            assert error.value.code == "store-option"
        store.protect("a", subject="user", columns=["tags"])
        with pytest.raises(cep.SchemaError) as schema:
            store.append("a", pa.table({"ts": [1], "user": ["u"], "tags": [["x"]]}))
        assert schema.value.code == "unprotectable"
        with pytest.raises(cep.StoreError) as error:
            store.append("a", {"ts": [1], "user": ["u"]})
        assert error.value.code == "unknown-in-store"
        assert store.end == 0


def damaged(path, sql):
    database = sqlite3.connect(path)
    database.execute(sql)
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("written", "damage"),
    [
        (b"merchant", b"merc\0ant"),
        (b"merchant", b"\0erchant"),
        (b"inner", b"inne\0"),
        (b"Europe/Rome", b"Europe\0Rome"),
    ],
)
def test_a_name_that_ends_too_early_is_damage(tmp_path, written, damage):
    times = pa.array([0], pa.timestamp("us", "Europe/Rome"))
    with cep.EventStore(tmp_path / "s.db") as store:
        store.append("a", pa.table({"ts": times, "merchant": ["m"], "more": [[{"inner": 1}]]}))
    database = sqlite3.connect(tmp_path / "s.db")
    [(columns,)] = database.execute("SELECT columns FROM schemas").fetchall()
    assert written in columns
    database.execute("UPDATE schemas SET columns = ?", [columns.replace(written, damage)])
    database.commit()
    database.close()
    with cep.EventStore(tmp_path / "s.db", read_only=True) as store, pytest.raises(cep.StoreError) as error:
        _ = store.read("a").schema
    assert error.value.code == "store-corrupt"


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("UPDATE bodies SET body = zeroblob(length(body)) WHERE batch = 2", 2),
        ("UPDATE batches SET stream = 'other' WHERE batch = 2", 2),
        ("UPDATE batches SET events = 3 WHERE batch = 2", 2),
        ("UPDATE summaries SET summary = zeroblob(9) WHERE batch = 2", 2),
        ("DELETE FROM batches WHERE batch = 2", 2),
        ("DELETE FROM bodies WHERE batch = 3", 4),
        ("UPDATE batches SET segment = 0 WHERE batch = 3", None),
        ("UPDATE entries SET author = 'eve' WHERE entry = 2", None),
        ("UPDATE entries SET recorded = 0 WHERE entry = 2", None),
        ("DELETE FROM entries WHERE entry = 4", None),
        ("DELETE FROM entries WHERE entry >= 4", None),
        ("UPDATE topics SET events = 1", None),
        ("UPDATE topics SET name = 'z'", 0),
    ],
)
def test_what_was_changed_is_found(tmp_path, sql, position):
    with cep.EventStore(tmp_path / "s.db") as store:
        for number in range(0, 8, 2):
            store.append("a", {"ts": [number, number + 1]})
        assert store.verify()
    damaged(tmp_path / "s.db", sql)
    with cep.EventStore(tmp_path / "s.db", read_only=True) as store:
        found = store.verify()
        assert not found, sql
        assert found.reason
        if position is not None:
            assert found.position == position, found


def test_a_file_that_was_changed_is_found(tmp_path):
    with cep.EventStore(tmp_path / "s.db") as store:
        store.append("a", {"ts": [1, 2]})
        store.append("b", {"ts": [1, 2]})
        store.seal()
        file = files(store)[1]
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        found = store.verify()
        assert (found.ok, found.position) == (False, 2)
        assert "not as it was written" in found.reason
        file.unlink()
        assert "missing" in store.verify().reason
        with pytest.raises(cep.StoreError) as error:
            store.read("b").to_arrow()
        assert error.value.code == "store-corrupt"


def test_an_archived_file_that_no_entry_seals_is_found(tmp_path):
    with cep.EventStore(tmp_path / "s.db") as store:
        store.keep("a", for_="9000d")
        store.append("a", {"ts": [1, 2]})
        store.seal()
        assert store.verify().segments == 1
    for table in ("segments", "pages", "batches"):
        damaged(tmp_path / "s.db", f"UPDATE {table} SET segment = 1")
    with cep.EventStore(tmp_path / "s.db", read_only=True) as store:
        assert "no entry" in store.verify().reason


def test_a_store_that_was_written_anew_has_not_the_signature(tmp_path):
    secret = bytes(range(32))
    with cep.EventStore(tmp_path / "s.db") as store:
        store.append("a", {"ts": [1]})
        public = store.sign(secret)
        store.append("a", {"ts": [2]})
        found = store.verify(public)
        assert (found.ok, found.signatures) == (True, ((2, public),))
        assert store.verify(bytes.fromhex(public))
        assert not store.verify("ab" * 32)
        with pytest.raises(cep.StoreError):
            store.sign(b"short")
        with pytest.raises(TypeError):
            store.sign("no bytes")
    with cep.EventStore(tmp_path / "anew.db") as other:
        other.append("a", {"ts": [1]})
        assert not other.verify(public)
    shutil.copy(tmp_path / "s.db", tmp_path / "t.db")
    damaged(
        tmp_path / "t.db",
        "UPDATE entries SET said = replace(said, 'signature\":\"', 'signature\":\"0') WHERE entry = 2",
    )
    with cep.EventStore(tmp_path / "t.db", read_only=True) as store:
        assert not store.verify()


def test_a_report_passes_over_events_without_a_time(tmp_path):
    with cep.EventStore(tmp_path / "s.db") as store:
        for batch in ({"x": [1]}, {"ts": days(9), "x": [2]}, {"x": [3, 4]}, {"ts": days(1), "x": [5]}, {"x": [6]}):
            store.append("a", pa.table(batch))
        store.append("timeless", {"x": [1]})
        for _ in range(2):
            (gap,) = store.report(gap="2d").gaps
            assert (gap["topic"], gap["to"] - gap["from"]) == ("a", dt.timedelta(days=8))
            store.seal()


def test_a_report_says_who_did_what(tmp_path):
    now = [NOW]
    rule = cep.event("e", "x > 1", topic="a").named("big")
    with cep.EventStore(tmp_path / "s.db", author="till-3", clock=lambda: now[0]) as store:
        store.append("a", pa.table({"ts": days(9, 8)}))
        store.append("a", pa.table({"ts": days(2)}))
        store.append("a.late", pa.table({"ts": days(9)}))
        store.append("x.dead-letter", {"why": ["no | json", "<b>"]})
        store.note_rules(rule)
        store.note_rules(rule)
        now[0] += dt.timedelta(days=1)
        store.note_rules(rule.within("1h"))
        store.note_rules({"gone": None})
        store.keep("a", for_="30d")
        report = store.report(gap="2d", title="Till | 3 <x>")
        assert [(gap["topic"], gap["to"] - gap["from"]) for gap in report.gaps] == [("a", dt.timedelta(days=6))]
        (noted,) = report.rules
        assert (noted["version"], noted["since"]) == (rule.within("1h").fingerprint, now[0])
        assert [change["what"] for change in report.changes] == ["rule", "rule", "keep"]
        assert {(row["author"], row["topic"], row["events"]) for row in report.authors} == {
            ("till-3", "a", 3),
            ("till-3", "a.late", 1),
            ("till-3", "x.dead-letter", 2),
        }
        text = report.to_markdown()
        assert "# Till \\| 3 &lt;x&gt;" in text
        assert "| a.late | late | 1 |" in text
        assert "| x.dead-letter | rejected | 2 |" in text
        assert "All of it is what was written." in text
        page = report.to_html()
        assert "<h1>Till | 3 &lt;x&gt;</h1>" in page
        assert "<td>till-3</td>" in page
    damaged(tmp_path / "s.db", "DELETE FROM bodies WHERE batch = 1")
    with cep.EventStore(tmp_path / "s.db", read_only=True) as store:
        assert "Not all of it is what was written" in store.report(gap=None).to_markdown()
