"""Rows of SQLite tables, as they come: each once, ties and all, and what does not fit beside them."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from feeds import MemoryFeed, running
from hypothesis import given, settings
from hypothesis import strategies as st

import cepheid as cep
from cepheid import AppError, PatternError
from cepheid.connectors import Source, SqliteSource


@contextlib.contextmanager
def database(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with database(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL, note TEXT, updated_at DATETIME)")
        yield connection


def run(source: SqliteSource, offset: bytes | None = None) -> MemoryFeed:
    feed = MemoryFeed(offset, stop_when_idle=True)
    source.run(feed)
    return feed


def test_rows_are_read_and_then_those_that_come(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.execute("INSERT INTO orders VALUES (1, 2.5, 'x', '2024-01-31 10:00:00'), (2, NULL, NULL, NULL)")
    source = SqliteSource(tmp_path / "shop.db", "orders", topic="order.created", poll="1ms")
    feed = MemoryFeed()
    with running(source, feed):
        feed.until_rows(2)
        shop.execute("INSERT INTO orders (id, total) VALUES (7, 1)")
        feed.until_rows(3)
    at = dt.datetime(2024, 1, 31, 10, tzinfo=dt.UTC)
    assert feed.rows[0] == {"id": 1, "total": 2.5, "note": "x", "updated_at": at}
    assert [row["id"] for row in feed.rows] == [1, 2, 7]
    assert {sent.topic for sent in feed.committed} == {"order.created"}
    assert feed.offset == b'{"kind":"sqlite","version":1,"after":[7]}'
    assert isinstance(source, Source)


def test_rows_of_one_moment_are_not_left_out_where_a_batch_ends(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.executemany("INSERT INTO orders (id, updated_at) VALUES (?, ?)", [(n, "2024-01-01") for n in range(20)])
    source = SqliteSource(
        tmp_path / "shop.db", "orders", cursor=("updated_at", "id"), topic="t", batch_rows=3, follow=False
    )
    feed = MemoryFeed()
    source.run(feed)
    assert [row["id"] for row in feed.rows] == list(range(20))
    # A change is a row anew.
    shop.execute("UPDATE orders SET updated_at = '2024-01-02', note = 'changed' WHERE id = 4")
    again = run(source, feed.offset)
    assert [(row["id"], row["note"]) for row in again.rows] == [(4, "changed")]


def test_a_cursor_that_does_not_tell_rows_apart_is_refused(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.executemany("INSERT INTO orders (id, updated_at) VALUES (?, ?)", [(n, "2024-01-01") for n in range(4)])
    path = tmp_path / "shop.db"
    query = "SELECT * FROM orders"
    for source in (
        SqliteSource(path, "orders", cursor="updated_at", topic="t"),
        SqliteSource(path, query, cursor="updated_at", topic="t", name="q"),
        # The two rows of one moment are in two batches.
        SqliteSource(path, query, cursor="updated_at", topic="t", name="q", batch_rows=1),
    ):
        with pytest.raises(AppError) as error:
            run(source)
        assert error.value.code == "source-cursor"
    shop.execute("CREATE UNIQUE INDEX one ON orders (updated_at) WHERE id > 100")
    with pytest.raises(AppError):
        run(SqliteSource(path, "orders", cursor="updated_at", topic="t"))
    shop.execute("UPDATE orders SET updated_at = '2024-01-0' || (id + 1)")
    shop.execute("CREATE UNIQUE INDEX all_of_them ON orders (updated_at)")
    assert len(run(SqliteSource(path, "orders", cursor="updated_at", topic="t")).rows) == 4


def test_values_that_do_not_fit_are_rejected_with_their_row_alone(shop: sqlite3.Connection, tmp_path: Path) -> None:
    rows: list[tuple[Any, ...]] = [
        (1, 1, "a", None),
        (2, "much", "b", None),
        (3, 1, "c", "yesterday"),
        (4, 1, b"\xff", None),
        (5, 1, 7, 0),
        (6, None, None, 10**18),
        (7, 1, "d", None),
    ]
    shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    shop.execute("UPDATE orders SET note = CAST(x'ff' AS TEXT) WHERE id = 7")
    shop.execute("INSERT INTO orders VALUES (8, 1, 'e', NULL)")
    feed = run(SqliteSource(tmp_path / "shop.db", "orders", topic="t"))
    assert [row["id"] for row in feed.rows] == [1, 5, 8]
    assert feed.rows[1]["note"] == "7"
    assert feed.rows[1]["updated_at"] == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert [code for _, _, code in feed.rejects] == ["bad-row"] * 5
    assert "`total` is double" in feed.rejects[0][1]
    assert feed.rejects[0][0].startswith(b'{"id": 2')
    assert feed.offset == b'{"kind":"sqlite","version":1,"after":[8]}'


def test_a_cursor_that_is_no_text_has_its_row_rejected_and_holds_up_no_other(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "odd.db")) as odd, odd:
        odd.execute("CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER)")
        odd.execute("INSERT INTO t VALUES ('a', 1), (CAST(x'62ff' AS TEXT), 2), (CAST(x'62fffe' AS TEXT), 3), ('c', 4)")
    for rows in (1, 2, 100):
        feed = MemoryFeed(stop_when_idle=True)
        SqliteSource(tmp_path / "odd.db", "t", cursor="k", topic="t", batch_rows=rows).run(feed)
        assert [row["n"] for row in feed.rows] == [1, 4]
        assert [code for _, _, code in feed.rejects] == ["bad-row"] * 2


def test_types_are_those_that_columns_declare_or_that_are_said(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with database(path) as connection:
        connection.execute('CREATE TABLE "odd ""name" ("i d" INTEGER PRIMARY KEY, b BOOLEAN, d DATE, x BLOB, any_)')
        connection.execute("""INSERT INTO "odd ""name" VALUES (1, 1, '2024-01-31', x'00ff', 3)""")
    source = SqliteSource(path, 'odd "name', cursor="i d", topic="t", columns={"any_": "int16"})
    assert run(source).rows == [{"i d": 1, "b": True, "d": dt.date(2024, 1, 31), "x": b"\x00\xff", "any_": 3}]
    with pytest.raises(AppError, match="`any_` declares no type"):
        run(SqliteSource(path, 'odd "name', cursor="i d", topic="t"))
    with database(path) as connection:
        connection.execute("""UPDATE "odd ""name" SET any_ = 70000""")
    assert run(source).rejects[0][2] == "bad-row"


def test_a_query_is_read_like_a_table(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.execute("INSERT INTO orders (id, total) VALUES (1, 5), (2, 50), (3, 500)")
    shop.execute("CREATE VIEW large AS SELECT id, total FROM orders WHERE total > 20")
    path = tmp_path / "shop.db"
    query = "SELECT id, total * 2 AS twice FROM orders WHERE total > 20 -- those;\n;"
    source = SqliteSource(path, query, topic="t", name="large", columns={"twice": pa.float64()})
    assert run(source).rows == [{"id": 2, "twice": 100.0}, {"id": 3, "twice": 1000.0}]
    assert run(SqliteSource(path, "large", topic="t")).rows == [{"id": 2, "total": 50.0}, {"id": 3, "total": 500.0}]
    assert run(SqliteSource(path, "SELECT rowid AS id FROM orders", topic="t", name="r")).rows[0] == {"id": 1}
    with pytest.raises(AppError) as error:
        SqliteSource(path, query, topic="t")
    assert error.value.code == "source-option"


def test_nothing_is_written_whatever_the_query_says(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.execute("INSERT INTO orders (id) VALUES (1)")
    shop.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
    before = (tmp_path / "shop.db").read_bytes()
    refused = 0
    for query in (
        "SELECT * FROM orders); DROP TABLE other; --",
        "WITH x AS (SELECT 1) DELETE FROM other",
        "SELECT * FROM nothing",
        "SELECT load_extension('x') AS id",
        f"SELECT writefile('{tmp_path}/x', 'y') AS id",
    ):
        with pytest.raises(AppError) as error:
            run(SqliteSource(tmp_path / "shop.db", query, topic="t", name="q", columns={"id": "string"}))
        assert error.value.code == "source-database"
        refused += 1
    assert refused == 5
    assert (tmp_path / "shop.db").read_bytes() == before
    assert not (tmp_path / "x").exists()


def test_rows_of_the_last_moments_wait_where_there_is_a_lag(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.execute("INSERT INTO orders (id, updated_at) VALUES (2, '2024-01-01 10:00:00'), (3, '2024-01-01 10:00:59')")
    now = [dt.datetime(2024, 1, 1, 10, 1, 0, tzinfo=dt.UTC)]
    source = SqliteSource(
        tmp_path / "shop.db", "orders", cursor=("updated_at", "id"), topic="t", lag="5s", clock=lambda: now[0]
    )
    feed = run(source)
    assert [row["id"] for row in feed.rows] == [2]
    # Its time was taken before; it is committed only now.
    shop.execute("INSERT INTO orders (id, updated_at) VALUES (1, '2024-01-01 10:00:57')")
    now[0] += dt.timedelta(seconds=60)
    assert [row["id"] for row in run(source, feed.offset).rows] == [1, 3]
    with pytest.raises(AppError) as error:
        run(SqliteSource(tmp_path / "shop.db", "orders", cursor=("note", "id"), topic="t", lag="5s"), None)
        shop.execute("UPDATE orders SET note = 'x'")
        run(SqliteSource(tmp_path / "shop.db", "orders", cursor=("note", "id"), topic="t", lag="5s"), None)
    assert error.value.code == "source-cursor"


def test_rows_without_a_cursor_are_not_seen(shop: sqlite3.Connection, tmp_path: Path) -> None:
    shop.execute("INSERT INTO orders (id, updated_at) VALUES (1, NULL), (2, '2024')")
    feed = run(SqliteSource(tmp_path / "shop.db", "SELECT id, note, total FROM orders", topic="t", name="n"))
    assert len(feed.rows) == 2
    source = SqliteSource(
        tmp_path / "shop.db", "SELECT id, updated_at AS u FROM orders", cursor=("u", "id"), topic="t", name="n",
        columns={"u": "string"},
    )  # fmt: skip
    assert run(source).rows == [{"id": 2, "u": "2024"}]


def test_an_event_store_is_not_opened_behind_its_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("opened")

    path = tmp_path / "store.db"
    with cep.EventStore(path) as store:
        store.append("a", [{"ts": 1}])
        monkeypatch.setattr(sqlite3, "connect", never)
        with pytest.raises(AppError, match="event store"):
            run(SqliteSource(path, "batches", cursor="batch", topic="t"))
        (tmp_path / "link.db").symlink_to(path)
        with pytest.raises(AppError, match="event store"):
            run(SqliteSource(tmp_path / "link.db", "batches", cursor="batch", topic="t"))
        store.append("a", [{"ts": 2}])
        monkeypatch.undo()
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    with pytest.raises(AppError, match="event store"):
        run(SqliteSource(tmp_path / "copy.db", "batches", cursor="batch", topic="t"))


def test_what_is_no_database_or_has_no_such_table_is_an_error(shop: sqlite3.Connection, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all, " * 100)
    path = tmp_path / "shop.db"
    for source in (
        SqliteSource(tmp_path / "missing.db", "orders", topic="t"),
        SqliteSource(tmp_path, "orders", topic="t"),
        SqliteSource(tmp_path / "text.db", "orders", topic="t"),
        SqliteSource(path, "order", topic="t"),
        SqliteSource(path, "orders", cursor="number", topic="t"),
        SqliteSource(path, "orders", topic="t", columns={"nothing": "int64"}),
        SqliteSource(":memory:", "orders", topic="t"),
        SqliteSource(f"{path}?mode=rwc", "orders", topic="t"),
    ):
        with pytest.raises(AppError) as error:
            run(source)
        assert error.value.code == "source-database"
    assert not (tmp_path / "missing.db").exists()


def test_what_another_cursor_saved_is_refused(shop: sqlite3.Connection, tmp_path: Path) -> None:
    for offset in (b"{}", b'{"kind":"sqlite","version":1,"after":[1,2]}', b'{"kind":"sqlite","version":1,"after":3}'):
        with pytest.raises(AppError) as error:
            run(SqliteSource(tmp_path / "shop.db", "orders", topic="t"), offset)
        assert error.value.code == "source-offset"


def test_a_database_that_somebody_writes_to_for_long_is_waited_for(
    shop: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cepheid.connectors.sqlite_source._BUSY_SECONDS", 0.01)
    shop.execute("INSERT INTO orders (id) VALUES (1)")
    feed = MemoryFeed()
    source = SqliteSource(tmp_path / "shop.db", "orders", topic="t", poll="1ms")
    with running(source, feed):
        feed.until_rows(1)
        shop.execute("BEGIN EXCLUSIVE")
        shop.execute("INSERT INTO orders (id) VALUES (2)")
        feed.until_looked()
        assert len(feed.rows) == 1
        shop.execute("COMMIT")
        feed.until_rows(2)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**9))
def test_every_row_comes_once_wherever_the_source_is_killed(tmp_path_factory, seed: int) -> None:
    draw = random.Random(seed)
    path = tmp_path_factory.mktemp("db") / "a.db"
    with database(path) as connection:
        connection.execute("CREATE TABLE t (at INTEGER, k TEXT, v INTEGER)")
        source = SqliteSource(path, "t", cursor=("at", "k"), topic="t", batch_rows=draw.randrange(1, 6))
        count, offset = 0, None
        seen: list[tuple[int, str]] = []
        expected: list[tuple[int, str]] = []
        for at in range(draw.randrange(1, 12)):
            for _ in range(draw.randrange(5)):
                count += 1
                key = f"{count:03}é"
                connection.execute("INSERT INTO t VALUES (?, ?, ?)", (at // 2, key, draw.choice([1, 2, "x"])))
                expected.append((at // 2, key))
            feed = MemoryFeed(offset, auto=False, stop_when_idle=True, stop_after=draw.choice([None, 1, 2]))
            source.run(feed)
            feed.commit(draw.randrange(len(feed.pending) + 1))
            offset = feed.offset
            for sent in feed.committed:
                seen += [(row["at"], row["k"]) for row in sent.rows]
                if sent.rejected is not None:
                    row = json.loads(sent.rejected[0])
                    seen.append((row["at"], row["k"]))
        last = run(source, offset)
        for sent in last.committed:
            seen += [(row["at"], row["k"]) for row in sent.rows]
            if sent.rejected is not None:
                row = json.loads(sent.rejected[0])
                seen.append((row["at"], row["k"]))
        assert seen == expected


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"table": ""}, AppError),
        ({"table": 7}, TypeError),
        ({"cursor": ()}, AppError),
        ({"cursor": ("a", "a")}, AppError),
        ({"cursor": 7}, TypeError),
        ({"cursor": [7]}, TypeError),
        ({"poll": "soon"}, PatternError),
        ({"batch_rows": 0}, AppError),
        ({"batch_rows": 1.5}, TypeError),
        ({"columns": {"a": pa.list_(pa.int64())}}, AppError),
        ({"columns": 7}, TypeError),
        ({"clock": 7}, TypeError),
    ],
)
def test_arguments_that_fit_no_table_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        SqliteSource("a.db", **{"table": "t", **arguments})
