"""Rows in real databases: SQLite by path and through ADBC, DuckDB, and PostgreSQL where a server is installed."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid

import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pytest
from acting import HOSTILE, NOW, context, order

import cepheid as cep
from cepheid.actions import Action, AppendFile, SqlUpsert
from cepheid.actions.sql_dialect import Dialect


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "shop.sqlite"
    with contextlib.closing(sqlite3.connect(made)) as database:
        database.execute('CREATE TABLE orders ("order" INTEGER PRIMARY KEY, total, note)')
        database.commit()
    return made


def rows(path, query="SELECT * FROM orders ORDER BY 1"):
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


@contextlib.contextmanager
def upsert(*arguments, **options):
    action = SqlUpsert(*arguments, **{"key": ["order"], **options})
    try:
        yield action
    finally:
        action.close()


def test_a_row_is_put_in_and_replaced_by_its_key(path):
    with upsert(path, "orders") as action:
        assert isinstance(action, Action)
        action(order(note="first"), context("k1"))
        action(order(order=8, note=None), context("k2"))
        action(order(total=99, note="second"), context("k3"))
    assert rows(path) == [(7, 99, "second"), (8, 12.5, None)]


def test_only_the_columns_that_are_asked_for_are_put_in_and_may_have_other_names(path):
    with upsert(path, "orders", columns={"order": "order", "note": "type"}) as action:
        action(order(more=1), context("k1"))
    with upsert(path, "orders", columns=["order", "total"]) as action:
        action(order(total=1, more=1), context("k2"))
    assert rows(path) == [(7, 1, "order.created")]
    with upsert(path, "orders", columns=["order"]) as action:
        action(order(more=1), context("k3"))
    assert rows(path) == [(7, 1, "order.created")]


def test_an_event_that_comes_again_brings_nothing_back(path):
    with upsert(path, "orders") as action:
        action(order(note="old"), context("k1"))
        action(order(note="new"), context("k2"))
        action(order(note="old"), context("k1", attempt=2))
    with upsert(path, "orders") as action:
        action(order(note="old"), context("k1", attempt=3))
    assert rows(path) == [(7, 12.5, "new")]
    assert rows(path, "SELECT action, key, at FROM cepheid_done ORDER BY key") == [
        ("sql:orders", "k1", NOW.isoformat(timespec="microseconds")),
        ("sql:orders", "k2", NOW.isoformat(timespec="microseconds")),
    ]
    with upsert(path, "orders", once=False) as action:
        action(order(note="old"), context("k1"))
    assert rows(path) == [(7, 12.5, "old")]
    with upsert(path, "orders", name="another") as action:
        action(order(note="other"), context("k1"))
    assert rows(path) == [(7, 12.5, "other")]


def test_what_is_remembered_can_be_forgotten(path):
    with upsert(path, "orders") as action, upsert(path, "orders", name="another") as other:
        for number in range(3):
            action(order(), context(f"k{number}"))
        other(order(), context("k0"))
        assert action.forget(NOW) == 0
        assert action.forget(NOW + dt.timedelta(seconds=1)) == 3
        action(order(note="again"), context("k0"))
        with pytest.raises(cep.AppError):
            action.forget(dt.datetime(2026, 1, 1))
        with pytest.raises(TypeError):
            action.forget("2026")
    assert rows(path, "SELECT action, key FROM cepheid_done ORDER BY 1") == [("another", "k0"), ("sql:orders", "k0")]
    assert rows(path) == [(7, 12.5, "again")]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_a_value_whatever_is_in_it(path, value):
    with upsert(path, "orders") as action:
        action(order(note=value), context(value or "k"))
    assert rows(path) == [(7, 12.5, value)]


@pytest.mark.parametrize("name", ['a"b', "a;--", "select", "a b", "ä", "%s", "x?y", ":z", "a'b"])
def test_a_name_is_a_name_whatever_is_in_it(tmp_path, name):
    path = tmp_path / "odd.sqlite"
    quoted = name.replace('"', '""')
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f'CREATE TABLE "{quoted}" ("{quoted}" PRIMARY KEY, v)')
        database.commit()
    with upsert(path, name, key=[name]) as action:
        action({name: 1, "v": 2}, context("k1"))
        action({name: 1, "v": 3}, context("k2"))
    assert rows(path, f'SELECT * FROM "{quoted}"') == [(1, 3)]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (True, 1),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (float("nan"), None),
        (float("inf"), float("inf")),
        (b"\0\xff", b"\0\xff"),
        (NOW, "2026-01-02T03:04:05Z"),
        (dt.datetime(2026, 1, 2), "2026-01-02T00:00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.timedelta(seconds=90), 90.0),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ([1, "a", None], '[1,"a",null]'),
        ({"a": [1.5]}, '{"a":[1.5]}'),
        (np.int32(5), 5),
        (np.float64(1.5), 1.5),
        (np.array([1, 2]), "[1,2]"),
        (pa.scalar(5), 5),
        (pa.scalar([1, 2]), "[1,2]"),
    ],
)
def test_sqlite_keeps_values_as_it_can(path, value, kept):
    with upsert(path, "orders") as action:
        action(order(note=value), context())
    assert rows(path, "SELECT note FROM orders") == [(kept,)]


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"note": 2**63}, "sql-value"),
        ({"note": "\ud800"}, "sql-value"),
        ({"note": object()}, "event-json"),
        ({"order": None}, "sql-value"),
        ({"order": float("nan")}, "sql-value"),
    ],
)
def test_a_value_that_cannot_be_put_in_is_refused_for_good_and_nothing_is_put_in(path, columns, code):
    with upsert(path, "orders") as action:
        with pytest.raises(cep.ActionError) as caught:
            action(order(**columns), context())
        assert (caught.value.code, caught.value.permanent) == (code, True)
        assert rows(path) == []
        # The key is not taken for done.
        action(order(note="well"), context())
    assert rows(path) == [(7, 12.5, "well")]


def test_a_column_that_is_missing_is_named_for_good(path):
    with upsert(path, "orders", columns=["order", "noet"]) as action, pytest.raises(cep.ActionError) as caught:
        action(order(note=1), context())
    assert (caught.value.code, caught.value.permanent, caught.value.hint) == ("action-column", True, "note")


@pytest.mark.parametrize(
    ("statement", "permanent"),
    [
        ("CREATE TABLE orders (\"order\" INTEGER PRIMARY KEY, total, note CHECK (note <> 'x'))", True),
        ('CREATE TABLE orders ("order" INTEGER, total, note)', False),
        ("CREATE TABLE others (a)", False),
    ],
)
def test_what_the_database_refuses_is_told_and_leaves_nothing(tmp_path, statement, permanent):
    path = tmp_path / "strict.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()
    with upsert(path, "orders") as action:
        with pytest.raises(cep.ActionError) as caught:
            action(order(note="x"), context())
        assert caught.value.permanent == permanent
        assert caught.value.code == ("sql-refused" if permanent else "sql-failed")
    assert rows(path, "SELECT count(*) FROM cepheid_done") == [(0,)]


def test_a_busy_database_is_tried_again(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other, upsert(path, "orders") as action:
        action(order(), context("k0"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(cep.ActionError) as caught:
            action(order(note="late"), context("k1", timeout=0.05))
        assert (caught.value.code, caught.value.permanent) == ("sql-failed", False)
        other.execute("COMMIT")
        action(order(note="late"), context("k1", attempt=2))
    assert rows(path) == [(7, 12.5, "late")]


def test_to_look_at_a_database_takes_no_lock_away_that_this_process_has_on_it(path):
    code = (
        "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute('BEGIN IMMEDIATE')"
    )
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        with upsert(path, "orders") as action, pytest.raises(cep.ActionError):
            action(order(), context(timeout=0.01))
        with pytest.raises(cep.ActionError, match="is a database"):
            AppendFile(f"{path.parent}/{{note}}")(order(note=path.name), context())
        other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
        assert "database is locked" in other.stderr
        database.execute("ROLLBACK")


def test_an_event_store_is_not_written_to(tmp_path):
    path = tmp_path / "events.db"
    with cep.EventStore(path) as store:
        store.append("a.b", [{"ts": 1}])
        for spelt in (path, os.path.relpath(path), tmp_path / "link.db"):
            if spelt == tmp_path / "link.db":
                spelt.symlink_to(path)
            with pytest.raises(cep.AppError, match="event store"):
                SqlUpsert(spelt, "orders", key=["a"])
        # It is locked as before.
        with pytest.raises(cep.StoreError):
            cep.EventStore(path)
    # A copy without what stands beside it is one, too.
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    with pytest.raises(cep.AppError, match="event store"):
        SqlUpsert(copy, "orders", key=["a"])


def test_threads_put_in_one_after_the_other(path):
    with upsert(path, "orders") as action:
        threads = [
            threading.Thread(target=action, args=(order(order=number % 5, total=1), context(f"k{number}")))
            for number in range(30)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len(rows(path)) == 5
    assert rows(path, "SELECT count(*) FROM cepheid_done") == [(30,)]


def adbc(path):
    return adbc_driver_sqlite.dbapi.connect(f"file:{path}")


def legacy(path):
    return sqlite3.connect(path, check_same_thread=False)


@pytest.mark.parametrize("connect", [adbc, legacy])
def test_a_connection_of_ones_own_does_the_same(path, connect):
    with upsert(lambda: connect(path), "orders") as action:
        action(order(note=NOW), context("k1"))
        action(order(note="new"), context("k2"))
        action(order(note="old"), context("k1"))
        # Another reads it while this is open: it has been committed.
        assert rows(path) == [(7, 12.5, "new")]
        with pytest.raises(cep.ActionError):
            action(order(order=8, more=1), context("k3"))
        action(order(order=8, note=decimal.Decimal("1.5")), context("k3"))
        assert action.forget(NOW + dt.timedelta(seconds=1)) == 3
    assert rows(path) == [(7, 12.5, "new"), (8, 12.5, "1.5")]


def test_duckdb_does_the_same_with_its_own_types(tmp_path):
    path = str(tmp_path / "shop.duckdb")
    with duckdb.connect(path) as database:
        database.execute("CREATE SCHEMA sales")
        database.execute(
            'CREATE TABLE sales.orders ("order" INTEGER PRIMARY KEY, "at" TIMESTAMPTZ, price DECIMAL(9, 2), ok BOOLEAN)'
        )
    with upsert(lambda: duckdb.connect(path), "sales.orders", columns=["order", "at", "price", "ok"]) as action:
        for number, key in enumerate(["k1", "k2", "k1"]):
            event = order(at=NOW, price=decimal.Decimal(number), ok=True)
            action(event, context(key))
        with pytest.raises(cep.ActionError) as caught:
            action(order(at="no time", price=1, ok=True), context("k3"))
        assert caught.value.permanent or caught.value.code == "sql-failed"
    with duckdb.connect(path) as database:
        found = database.execute('SELECT "order", "at", price, ok FROM sales.orders').fetchall()
        assert database.execute("SELECT count(*) FROM cepheid_done").fetchone() == (2,)
    assert [(row[0], row[1].astimezone(dt.UTC), *row[2:]) for row in found] == [(7, NOW, decimal.Decimal("1.00"), True)]


# What is nested is JSON as text, which ADBC does not call JSONB.
@pytest.mark.parametrize(
    ("module", "nested"), [(psycopg, ("JSONB", {"x": [1]})), (adbc_driver_postgresql.dbapi, ("TEXT", '{"x":[1]}'))]
)
def test_postgresql_does_the_same_with_its_own_types(postgres, module, nested):
    def connect():
        return psycopg.connect(postgres.uri)

    table = f"orders_{uuid.uuid4().hex}"
    with connect() as database:
        database.execute(
            f'CREATE TABLE {table} ("a%b" INT PRIMARY KEY, at TIMESTAMPTZ, price NUMERIC, more {nested[0]})'
        )
    with upsert(lambda: module.connect(postgres.uri), f"public.{table}", key=["a%b"], name=table) as action:
        for number, key in enumerate(["k1", "k2", "k1"]):
            event = {"a%b": 1, "at": NOW, "price": decimal.Decimal(number), "more": {"x": [1]}}
            action(event, context(key))
        with pytest.raises(cep.ActionError) as caught:
            action({"a%b": 1, "at": "no time", "price": 1, "more": None}, context("k3"))
        assert (caught.value.code, caught.value.permanent) == ("sql-refused", True)
        with connect() as database:
            database.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%{table}%' "
                             "AND pid <> pg_backend_pid()")  # fmt: skip
        with contextlib.suppress(cep.ActionError):
            action({"a%b": 2, "at": NOW, "price": 1, "more": None}, context("k4"))
        action({"a%b": 2, "at": NOW, "price": 1, "more": None}, context("k4"))
        threads = [
            threading.Thread(target=action, args=({"a%b": 3, "at": NOW, "price": n, "more": None}, context(f"t{n}")))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    with connect() as database:
        found = database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        done = database.execute("SELECT count(*) FROM cepheid_done WHERE action = %s", [table]).fetchone()
        database.execute(f"DROP TABLE {table}")
    assert found[0] == (1, NOW, decimal.Decimal(1), nested[1])
    assert [row[0] for row in found] == [1, 2, 3]
    assert done == (11,)


def test_a_connection_whose_statements_are_transactions_is_refused():
    class Connection:
        autocommit = True

    Connection.__module__ = "sqlite3"
    with pytest.raises(cep.AppError, match="autocommit"):
        Dialect.of(Connection(), None)
    Connection.autocommit = False
    Connection.__module__ = "nowhere.at.all"
    with pytest.raises(cep.AppError, match="paramstyle"):
        Dialect.of(Connection(), None)
    assert Dialect.of(Connection(), "format").paramstyle == "format"


@pytest.mark.parametrize(
    ("paramstyle", "text", "given"),
    [
        ("qmark", '"a%b" = ? AND c = ?', [1, 2]),
        ("numeric", '"a%b" = :1 AND c = :2', [1, 2]),
        ("numeric_dollar", '"a%b" = $1 AND c = $2', [1, 2]),
        ("named", '"a%b" = :p0 AND c = :p1', {"p0": 1, "p1": 2}),
        ("format", '"a%%b" = %s AND c = %s', [1, 2]),
        ("pyformat", '"a%%b" = %(p0)s AND c = %(p1)s', {"p0": 1, "p1": 2}),
    ],
)
def test_parameters_are_written_as_each_database_wants_them(paramstyle, text, given):
    dialect = Dialect(paramstyle, False, None)
    assert dialect.written(['"a%b" = ', 0, " AND c = ", 1]) == text
    assert dialect.given([1, 2]) == given


# Puts in an order with a number one higher for each key, until it is killed.
WRITER = """
import sys
sys.path[:0] = [sys.argv[2]]
from acting import context, order
from cepheid.actions import SqlUpsert
action = SqlUpsert(sys.argv[1], "orders", key=["order"])
for number in range(100_000):
    for attempt in (1, 2):
        action(order(order=number % 3, total=number, note=attempt), context(f"k{number:06}", attempt=attempt))
    if number == 3:
        print("begun", flush=True)
"""


@pytest.mark.parametrize("kill", range(3))
def test_however_it_is_killed_rows_and_what_is_remembered_agree(path, kill):
    command = [sys.executable, "-c", WRITER, str(path), os.path.dirname(__file__)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"begun\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            writer.wait(0.05 * (kill + 1))
        writer.send_signal(signal.SIGKILL)
    done = [int(key[1:]) for (key,) in rows(path, "SELECT key FROM cepheid_done ORDER BY key")]
    assert done == list(range(len(done)))
    assert len(done) > 3
    assert sorted(total for _, total, _ in rows(path)) == done[-3:]
    # Every row is that of its first attempt.
    assert {note for _, _, note in rows(path)} == {1}


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("", "t"), {}, cep.AppError),
        ((":memory:", "t"), {}, cep.AppError),
        (("file:x?mode=memory", "t"), {}, cep.AppError),
        ((7, "t"), {}, TypeError),
        (("f", ""), {}, cep.AppError),
        (("f", "a..b"), {}, cep.AppError),
        (("f", "a\0b"), {}, cep.AppError),
        (("f", None), {}, TypeError),
        (("f", "t"), {"key": []}, cep.AppError),
        (("f", "t"), {"key": "order"}, TypeError),
        (("f", "t"), {"key": ["a", "a"]}, cep.AppError),
        (("f", "t"), {"key": [1]}, TypeError),
        (("f", "t"), {"columns": ["a"]}, cep.AppError),
        (("f", "t"), {"columns": "order"}, TypeError),
        (("f", "t"), {"columns": {"order": 5}}, TypeError),
        (("f", "t"), {"once": 1}, TypeError),
        (("f", "t"), {"paramstyle": "%"}, cep.PatternError),
        (("f", "t"), {"timeout": 0}, cep.AppError),
    ],
)
def test_what_cannot_be_an_upsert_is_refused_when_it_is_made(arguments, options, error):
    with pytest.raises(error):
        SqlUpsert(*arguments, **{"key": ["order"], **options})


def test_its_repr_is_without_the_path_of_the_database(path):
    with upsert(path, "orders") as action:
        assert repr(action) == "SqlUpsert('orders', key=['order'], name='sql:orders')"
        assert json.dumps(action.name) == '"sql:orders"'
