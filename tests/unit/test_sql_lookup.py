"""Lookups in real databases: SQLite and PostgreSQL through ADBC and through their own modules, and DuckDB."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import random
import threading
from functools import partial

import pyarrow as pa
import pytest
from acting import HOSTILE
from reference_places import Place, code_of

import cepheid as cep
from cepheid.actions.sql_dialect import Dialect

DRIVERS = ["sqlite-adbc", "sqlite3", "postgres-adbc", "psycopg", "duckdb"]
ODD_NAMES = ['a"b', "a;--", "select", "a b", "ä", "%s", "x?y", ":z", "$1", "a'b", "%(p0)s", "A"]
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678_901, dt.UTC)


@pytest.fixture(params=DRIVERS)
def place(request, tmp_path):
    return Place(request.param, tmp_path, request)


@pytest.fixture
def cards(place):
    place.execute(
        "CREATE TABLE cards (card INTEGER PRIMARY KEY, country TEXT, sum DOUBLE PRECISION)",
        "INSERT INTO cards VALUES (1, 'NZ', 1.5), (2, 'CL', NULL), (3, NULL, 3.0)",
    )
    return place


def test_rows_get_the_columns_of_their_keys_and_keys_are_asked_once(cards):
    with cards.lookup() as look:
        rule = cep.enrich("txn", look, on="card", emits="known")
        engine = cep.Engine(rule)
        data = pa.table({"ts": [1, 2, 3, 4], "card": [2, 7, None, 1]})
        found = engine.push(data, "txn")["known"].to_arrow().to_pydict()
        assert (found["country"], found["sum"]) == (["CL", None, None, "NZ"], [None, None, None, 1.5])
        cards.execute("UPDATE cards SET country = 'AR'")
        found = engine.push([{"ts": 5, "card": 1}, {"ts": 6, "card": 3}], "txn")["known"]
        assert [row["country"] for row in found] == ["NZ", "AR"], "1 is remembered, 3 is asked for now"
        assert rule.function.stats == cep.LookupStats(hits=1, misses=4, kept=4)
    assert cards.opened == 1


def test_an_answer_has_the_same_types_whatever_it_finds(cards):
    with cards.lookup() as look:
        answers = [look(pa.table({"card": pa.array(keys, pa.int64())})) for keys in ([], [9], [2], [3], [1, 2, None])]
        expected = pa.schema([("card", pa.int64()), ("country", pa.string()), ("sum", pa.float64())])
        assert [answer.schema for answer in answers] == [expected] * 5
        assert [answer.num_rows for answer in answers] == [0, 0, 1, 1, 2]
        nothing = look(pa.table({"card": pa.nulls(3)}))
        assert nothing.schema == expected
        assert nothing.num_rows == 0


def test_columns_may_be_chosen_and_have_other_names(cards):
    with cards.lookup(on={"id": "card"}, columns={"land": "country"}) as look:
        assert look(pa.table({"id": [3, 1]})).sort_by("id").to_pydict() == {"id": [1, 3], "land": ["NZ", None]}
    with cards.lookup(on={"country": "card"}, columns=["sum"]) as look:
        assert look(pa.table({"country": [1]})).to_pydict() == {"country": [1], "sum": [1.5]}
    with cards.lookup(on={"country": "card"}) as look:
        assert code_of(lambda: look(pa.table({"country": [1]}))) == "ambiguous-column"
    with cards.lookup(types={"sum": pa.string()}) as look:
        assert look(pa.table({"card": [1]})).schema.field("sum").type == pa.string()


def test_keys_of_several_columns_meet_where_all_are_equal(place):
    place.execute(
        "CREATE TABLE cards (card INTEGER, bank TEXT, v INTEGER, PRIMARY KEY (card, bank))",
        "INSERT INTO cards VALUES (1, 'a', 10), (1, 'b', 11), (2, 'a', 20)",
    )
    with place.lookup(on=["card", "bank"], keys_per_query=2) as look:
        keys = pa.table({"bank": ["a", "b", "b", "a", None], "card": [1, 1, 2, 2, 1]})
        found = look(keys).sort_by("v")
        assert found.to_pydict() == {"card": [1, 1, 2], "bank": ["a", "b", "a"], "v": [10, 11, 20]}


def test_a_table_of_keys_alone_says_which_there_are(place):
    place.execute("CREATE TABLE cards (card INTEGER PRIMARY KEY)", "INSERT INTO cards VALUES (5)")
    with place.lookup() as look:
        assert look(pa.table({"card": [4, 5]})).to_pydict() == {"card": [5]}


def test_texts_are_keys_whatever_is_in_them(place):
    keys = sorted({*HOSTILE, "'; DROP TABLE cards; --", "a%sb", "\\", "{1,2}", "NULL", "", "a", "a\0b", "\0"})
    kept = [key for key in keys if "\0" not in key]
    place.execute("CREATE TABLE cards (card TEXT, v INTEGER)")
    mark = "%s" if place.driver in ("postgres-adbc", "psycopg") else "?"
    with contextlib.closing(place.server_connection()) as connection:
        for number, key in enumerate(kept):
            connection.execute(f"INSERT INTO cards VALUES ({mark}, {mark})", (key, number))
        if place.driver != "duckdb":
            connection.commit()
    assert len(kept) > 10
    with place.lookup() as look:
        found = look(pa.table({"card": keys}))
        assert dict(zip(found["card"].to_pylist(), found["v"].to_pylist(), strict=True)) == {
            key: number for number, key in enumerate(kept)
        }


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_are_names_whatever_is_in_them(place, name):
    quoted = '"' + name.replace('"', '""') + '"'
    place.execute(
        f"CREATE TABLE {quoted} ({quoted} INTEGER PRIMARY KEY, v INTEGER)", f"INSERT INTO {quoted} VALUES (1, 2)"
    )
    with place.lookup(name, on=name) as look:
        assert look(pa.table({name: [1, 2]})).to_pydict() == {name: [1], "v": [2]}
    with place.lookup(name, on={"k": name}, columns={"x": name, "v": "v"}) as look:
        assert look(pa.table({"k": [1, 2]})).to_pydict() == {"k": [1], "x": [1], "v": [2]}


def test_very_many_keys_are_asked_for_in_batches(place):
    place.execute("CREATE TABLE cards (card INTEGER PRIMARY KEY, country TEXT)")
    numbers = "generate_series(0, 99999) AS s(g)"
    if place.driver.startswith("sqlite"):
        numbers = "(WITH RECURSIVE s(g) AS (SELECT 0 UNION ALL SELECT g + 1 FROM s WHERE g < 99999) SELECT g FROM s)"
    # Thousands without a value stand in front of the first that has one.
    place.execute(f"INSERT INTO cards SELECT g, CASE WHEN g >= 60000 THEN 'c' || g END FROM {numbers}")
    keys = random.Random(4).sample(range(120_000), 100_000)
    with place.lookup(keys_per_query=25_000 if place.driver == "sqlite-adbc" else 5_000) as look:
        found = look(pa.table({"card": keys}))
    assert dict(zip(found["card"].to_pylist(), found["country"].to_pylist(), strict=True)) == {
        key: f"c{key}" if key >= 60_000 else None for key in keys if key < 100_000
    }


def test_two_rows_of_one_key_are_refused(place):
    place.execute("CREATE TABLE cards (card INTEGER, v TEXT)", "INSERT INTO cards VALUES (1, 'a'), (1, 'b'), (2, 'c')")
    with place.lookup() as look:
        assert look(pa.table({"card": [2]})).num_rows == 1
        assert code_of(lambda: look(pa.table({"card": [1, 2, 3]}))) == "duplicate-key"
        place.execute("DELETE FROM cards WHERE v = 'b'")
        assert look(pa.table({"card": [1, 2, 3]})).num_rows == 2


def test_what_is_missing_is_named(cards):
    key = pa.table({"card": [1]})
    with cards.lookup("nosuch") as look:
        assert code_of(lambda: look(key)) == "unknown-table"
        cards.execute("CREATE TABLE nosuch AS SELECT * FROM cards")
        assert look(key).num_rows == 1
    with cards.lookup(columns=["contry"]) as look, pytest.raises(cep.SchemaError) as caught:
        look(key)
    assert (caught.value.code, caught.value.column, caught.value.hint) == ("unknown-column", "contry", "country")
    assert caught.value.known == ("card", "country", "sum")
    for options in ({"on": {"card": "crd"}}, {"types": {"nosuch": pa.string()}}):
        with cards.lookup(**options) as look:
            assert code_of(lambda look=look: look(key)) == "unknown-column"
    with cards.lookup() as look:
        assert code_of(lambda: look(pa.table({"crd": [1]}))) == "unknown-column"
        with pytest.raises(TypeError):
            look({"card": [1]})


def test_a_table_that_changes_is_read_anew(cards):
    key = pa.table({"card": [1]})
    with cards.lookup(columns=["country"]) as look:
        assert look(key).num_rows == 1
        cards.execute("ALTER TABLE cards RENAME COLUMN country TO land")
        assert code_of(lambda: look(key), cep.AppError) in ("sql-failed", "sql-refused")
        assert code_of(lambda: look(key)) == "unknown-column"
        cards.execute("ALTER TABLE cards RENAME COLUMN land TO country")
        assert look(key).num_rows == 1
        # Whoever changes it is not kept waiting by a transaction that was left open.
        cards.execute("DROP TABLE cards")
        assert code_of(lambda: look(key), cep.AppError) in ("sql-failed", "sql-refused")
        assert code_of(lambda: look(key)) == "unknown-table"


def test_what_the_database_refuses_is_asked_once(cards):
    key = pa.table({"card": [1]})
    with cards.lookup(columns=["country"]) as look:
        look(key)
        statements = []
        if cards.driver == "sqlite3":
            look._database[0].set_trace_callback(statements.append)
        cards.execute("ALTER TABLE cards RENAME COLUMN country TO land")
        code = code_of(lambda: look(key), cep.AppError)
        assert code == ("sql-failed" if cards.driver.startswith("sqlite") else "sql-refused")
        assert cards.opened == 1, "no second connection to ask again over"
        assert len(statements) <= 1, statements
        cards.execute("ALTER TABLE cards RENAME COLUMN land TO country")
        assert look(key).num_rows == 1
        assert cards.opened == 2, "the table is looked at anew"
        # What is wrong with rows is no better for being asked again.
        cards.execute("CREATE TABLE twice (card INTEGER, v TEXT)", "INSERT INTO twice VALUES (1, 'a')")
    with cards.lookup("twice") as look:
        assert look(key).num_rows == 1
        cards.execute("INSERT INTO twice VALUES (1, 'b')")
        before = cards.opened
        assert code_of(lambda: look(key)) == "duplicate-key"
        assert cards.opened == before


def test_errors_of_the_connection_are_told_from_those_of_the_question():
    def error(bases="", **parts):
        kind = type(Exception)
        made = Exception
        for name in reversed(bases.split()):
            made = kind(name, (made,), {})
        found = made("told")
        for name, value in parts.items():
            setattr(found, name, value)
        return found

    class Status:
        def __init__(self, name):
            self.name = name

    lost = [
        error("AdminShutdown OperationalError", sqlstate="57P01"), error("OperationalError", sqlstate="08006"),
        error("OperationalError", sqlstate=None), error("OperationalError", pgcode="08003"),
        error("FeatureNotSupported NotSupportedError", sqlstate="0A000"),
        error("OperationalError", sqlstate=None, status_code=Status("IO")),
        error("ProgrammingError", sqlstate=None, status_code=Status("INVALID_STATE")),
        error("OperationalError", sqlite_errorcode=10 | 1 << 8), error("DatabaseError", sqlite_errorcode=26),
        error("ConnectionException OperationalError"), error("InterfaceError"), ConnectionResetError(), EOFError(),
    ]  # fmt: skip
    postgresql, sqlite = Dialect("pyformat", False), Dialect("qmark", True)
    for one in lost:
        assert postgresql.is_lost(one), (type(one).__mro__, vars(one))
        assert sqlite.is_lost(one) == (not hasattr(one, "status_code"))
    refused = [
        error("QueryCanceled OperationalError", sqlstate="57014"), error("UndefinedTable", sqlstate="42P01"),
        error("OperationalError", sqlstate="57014", status_code=Status("IO")),
        error("DeadlockDetected OperationalError", sqlstate="40P01"),
        error("ProgrammingError", sqlstate=None, status_code=Status("INVALID_ARGUMENT")),
        error("OperationalError", sqlite_errorcode=1), error("OperationalError", sqlite_errorcode=5),
        error("CatalogException ProgrammingError"), error("DataError"), ValueError(), None,
    ]  # fmt: skip
    for one in refused:
        assert not postgresql.is_lost(one), one
        assert not sqlite.is_lost(one), one


def test_kinds_of_keys_are_not_mixed_up(cards):
    cards.execute("CREATE TABLE named (card TEXT, v INTEGER)", "INSERT INTO named VALUES ('1', 5)")
    for table, keys in (
        ("cards", ["1"]), ("cards", [1.0]), ("cards", [b"1"]), ("cards", [NOW]), ("cards", [[1]]), ("named", [1]),
        ("named", [1.5]), ("named", [b"1"]),
    ):  # fmt: skip
        with cards.lookup(table) as look:
            assert code_of(partial(look, pa.table({"card": keys}))) == "column-type", (table, keys)
    with cards.lookup(on=["card", "country"]) as look:
        assert code_of(lambda: look(pa.table({"card": [1], "country": [7]}))) == "column-type"


KEYS = [
    ("SMALLINT", pa.array([7, 2**40, -1]), "7"),
    ("BIGINT", pa.array([2**63 - 1, -(2**63)]), "9223372036854775807"),
    ("DOUBLE PRECISION", pa.array([1.5, float("inf")]), "1.5"),
    ("BOOLEAN", pa.array([True, False]), "TRUE"),
    ("VARCHAR(20)", pa.array(["a b", "c"]).dictionary_encode(), "'a b'"),
    ("VARCHAR(20)", pa.array(["a b", "c"], pa.large_string()), "'a b'"),
    ("DECIMAL(9, 2)", pa.array([decimal.Decimal("1.50"), decimal.Decimal("1.51")]), "1.50"),
    ("DECIMAL(9, 2)", pa.array([2, 3]), "2"),
    ("DATE", pa.array([dt.date(2026, 1, 2), dt.date(2026, 1, 3)]), "'2026-01-02'"),
    ("TIMESTAMP", pa.array([NOW.replace(tzinfo=None), NOW.replace(tzinfo=None, year=2027)]),
     "'2026-01-02T03:04:05.678901'"),
    ("TIMESTAMP WITH TIME ZONE", pa.array([NOW, NOW.replace(year=2027)], pa.timestamp("us", "America/Lima")),
     "'2026-01-02T03:04:05.678901Z'"),
    ("TIME", pa.array([dt.time(1, 2, 3), dt.time(4)]), "'01:02:03'"),
    ("UUID", pa.array(["00000000-0000-0000-0000-00000000000A", "0" * 32, "no uuid", ""]),
     "'00000000-0000-0000-0000-00000000000a'"),
]  # fmt: skip


@pytest.mark.parametrize(("sql_type", "keys", "first"), KEYS)
def test_keys_are_of_whatever_type_a_column_has(place, sql_type, keys, first):
    if place.driver.startswith("sqlite") and sql_type == "DECIMAL(9, 2)" and pa.types.is_decimal(keys.type):
        sql_type, first = "TEXT", "'1.50'"
    if place.driver.startswith("sqlite") and sql_type == "UUID":
        first = "'00000000-0000-0000-0000-00000000000A'"
    place.execute(f"CREATE TABLE cards (card {sql_type}, v INTEGER)", f"INSERT INTO cards VALUES ({first}, 5)")
    with place.lookup() as look:
        found = look(pa.table({"card": keys}))
        assert found["v"].to_pylist() == [5]
        assert found["card"].to_pylist() == keys[:1].to_pylist()
        engine = cep.Engine(cep.enrich("txn", look, on="card", emits="known"))
        data = pa.table({"ts": range(len(keys)), "card": keys})
        rows = engine.push(data, "txn")["known"].to_arrow()
        assert rows["v"].to_pylist() == [5] + [None] * (len(keys) - 1)


def test_times_between_two_microseconds_are_in_no_database(place):
    place.execute(
        "CREATE TABLE cards (card TIMESTAMP, v INTEGER)", "INSERT INTO cards VALUES ('1970-01-01T00:00:01', 5)"
    )
    with place.lookup() as look:
        keys = pa.array([10**9, 10**9 + 1], pa.timestamp("ns"))
        assert look(pa.table({"card": keys}))["card"].cast(pa.int64()).to_pylist() == [10**9]


VALUES = [
    ("SMALLINT", "7", pa.int16(), 7),
    ("BIGINT", "7", pa.int64(), 7),
    ("REAL", "1.5", pa.float32(), 1.5),
    ("BOOLEAN", "TRUE", pa.bool_(), True),
    ("VARCHAR(9)", "'x'", pa.string(), "x"),
    ("DATE", "'2026-01-02'", pa.date32(), dt.date(2026, 1, 2)),
    ("TIME", "'01:02:03'", pa.time64("us"), dt.time(1, 2, 3)),
    ("TIMESTAMP", "'2026-01-02 03:04:05'", pa.timestamp("us"), dt.datetime(2026, 1, 2, 3, 4, 5)),
    ("TIMESTAMP WITH TIME ZONE", "'2026-01-02T03:04:05.678901Z'", pa.timestamp("us", "UTC"), NOW),
    ("NUMERIC(12, 3)", "1.5", pa.decimal128(12, 3), decimal.Decimal("1.500")),
    ("UUID", "'00000000-0000-0000-0000-00000000000A'", pa.string(), "00000000-0000-0000-0000-00000000000a"),
    ("INTEGER[]", "'{1,2}'", pa.string(), "{1,2}"),
    ("JSON", "'[1]'", pa.string(), "[1]"),
]


@pytest.mark.parametrize("place", ["postgres-adbc", "psycopg", "duckdb"], indirect=True)
def test_values_have_the_types_that_the_guide_says(place):
    listed = [row for row in VALUES if place.driver != "duckdb" or row[0] != "INTEGER[]"]
    columns = ", ".join(f"v{number} {sql_type}" for number, (sql_type, *_) in enumerate(listed))
    values = ", ".join(row[1] for row in listed)
    nulls = ", ".join("NULL" for _ in listed)
    place.execute(
        f"CREATE TABLE cards (card INTEGER, {columns})", f"INSERT INTO cards VALUES (1, {values}), (2, {nulls})"
    )
    assert len(listed) >= 12
    with place.lookup() as look:
        for keys in ([1], [2], [3], [1, 2, 3]):
            found = look(pa.table({"card": keys}))
            assert found.schema.types[1:] == [row[2] for row in listed]
            row = [column.to_pylist() for column in found.columns[1:]]
            if keys == [1]:
                assert row == [[value] for *_, value in listed]
            if keys == [2]:
                assert row == [[None]] * len(listed)
        # An engine takes them all.
        engine = cep.Engine(cep.enrich("txn", look, on="card", emits="known"))
        assert len(engine.push([{"ts": 1, "card": 1}], "txn")["known"]) == 1


SQLITE_VALUES = [
    ("INT", "7", pa.int64(), 7),
    ("UNSIGNED BIG INT", "7", pa.int64(), 7),
    ("NVARCHAR(10)", "'x'", pa.string(), "x"),
    ("DOUBLE", "7", pa.float64(), 7.0),
    ("DECIMAL(9, 2)", "1.5", pa.float64(), 1.5),
    ("BOOLEAN", "1", pa.bool_(), True),
    ("DATETIME", "'2026-01-02'", pa.string(), "2026-01-02"),
    ("BLOB", "X'00FF'", pa.binary(), b"\0\xff"),
]


@pytest.mark.parametrize("driver", ["sqlite-adbc", "sqlite3"])
def test_columns_of_sqlite_have_the_types_that_they_are_declared_with(driver, tmp_path, request):
    place = Place(driver, tmp_path, request)
    columns = ", ".join(f"v{number} {sql_type}" for number, (sql_type, *_) in enumerate(SQLITE_VALUES))
    place.execute(
        f"CREATE TABLE cards (card INT, {columns}, odd)",
        f"INSERT INTO cards VALUES (1, {', '.join(row[1] for row in SQLITE_VALUES)}, 'x')",
        "INSERT INTO cards (card, odd) VALUES (2, 3), (3, 'x'), (4, X'00')",
        "INSERT INTO cards (card, v0) VALUES (5, 'no number')",
    )
    with place.lookup() as look, pytest.raises(cep.SchemaError, match="does not say what type `odd` has"):
        look(pa.table({"card": [1]}))
    with place.lookup(types={"odd": pa.string()}) as look:
        for keys in ([1], [2], [9]):
            found = look(pa.table({"card": keys}))
            assert found.schema.types[1:] == [*(row[2] for row in SQLITE_VALUES), pa.string()]
        assert look(pa.table({"card": [1]})).to_pylist()[0] == {
            "card": 1, **{f"v{number}": row[3] for number, row in enumerate(SQLITE_VALUES)}, "odd": "x",
        }  # fmt: skip
        assert look(pa.table({"card": [2]}))["odd"].to_pylist() == ["3"]
        assert code_of(lambda: look(pa.table({"card": [1, 5]}))) == "column-type"
        assert look(pa.table({"card": [1]})).num_rows == 1
    with place.lookup(columns=["odd"], types={"odd": pa.int64()}) as look:
        assert look(pa.table({"card": [2]}))["odd"].to_pylist() == [3]
        assert code_of(lambda: look(pa.table({"card": [2, 3]}))) == "column-type"


def test_tables_are_found_by_schema_and_views_and_partitions_are_tables(place):
    if place.driver.startswith("sqlite"):
        place.execute("CREATE TABLE t (card INT, v TEXT)", "INSERT INTO t VALUES (1, 'a')",
                      "CREATE VIEW cards AS SELECT card, v FROM t")  # fmt: skip
        schema = "main"
    else:
        place.execute('CREATE SCHEMA IF NOT EXISTS "od.d"') if False else None
        place.execute("DROP SCHEMA IF EXISTS sales CASCADE", "CREATE SCHEMA sales",
                      "CREATE TABLE sales.t (card INT, v TEXT)", "INSERT INTO sales.t VALUES (1, 'a')",
                      "CREATE VIEW sales.cards AS SELECT card, v FROM sales.t")  # fmt: skip
        schema = "sales"
    with place.lookup(f"{schema}.cards") as look:
        assert look(pa.table({"card": [1]})).to_pydict() == {"card": [1], "v": ["a"]}
    for table in ("nosuch.cards", f"{schema}.nosuch"):
        with place.lookup(table) as look:
            with pytest.raises(cep.CepheidError) as caught:
                look(pa.table({"card": [1]}))
            assert caught.value.code in ("unknown-table", "sql-refused", "sql-failed")


def test_threads_share_a_lookup(cards):
    with cards.lookup() as look:
        found = []

        def ask():
            found.extend(look(pa.table({"card": [1, 2, 9]}))["country"].to_pylist())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(found) == ["CL"] * 8 + ["NZ"] * 8
    assert cards.opened == 1


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((5, "cards"), {}, TypeError),
        ((open, 5), {}, TypeError),
        ((open, ""), {}, cep.PatternError),
        ((open, "a..b"), {}, cep.PatternError),
        ((open, "a.b.c.d"), {}, cep.PatternError),
        ((open, "a\0b"), {}, cep.PatternError),
        ((open, "cards"), {"on": []}, cep.PatternError),
        ((open, "cards"), {"on": ["a", "a"]}, cep.PatternError),
        ((open, "cards"), {"on": {"a": "c", "b": "c"}}, cep.PatternError),
        ((open, "cards"), {"on": ["a\0"]}, cep.PatternError),
        ((open, "cards"), {"on": 5}, TypeError),
        ((open, "cards"), {"on": [5]}, TypeError),
        ((open, "cards"), {"on": {"a": 5}}, TypeError),
        ((open, "cards"), {"columns": []}, cep.PatternError),
        ((open, "cards"), {"columns": ["card"]}, cep.PatternError),
        ((open, "cards"), {"columns": ["v", "v"]}, cep.PatternError),
        ((open, "cards"), {"columns": 7}, TypeError),
        ((open, "cards"), {"types": {"v": "int"}}, TypeError),
        ((open, "cards"), {"types": [pa.int64()]}, TypeError),
        ((open, "cards"), {"types": {"v": pa.null()}}, cep.PatternError),
        ((open, "cards"), {"columns": ["v"], "types": {"w": pa.int64()}}, cep.PatternError),
        ((open, "cards"), {"keys_per_query": 0}, cep.PatternError),
        ((open, "cards"), {"keys_per_query": 10**7}, cep.PatternError),
        ((open, "cards"), {"keys_per_query": None}, TypeError),
        ((open, "cards"), {"keys_per_query": True}, TypeError),
        ((open, "cards"), {"paramstyle": "%"}, cep.PatternError),
    ],
)
def test_what_cannot_be_a_lookup_is_refused_when_it_is_made(arguments, options, error):
    with pytest.raises(error):
        cep.sql_lookup(*arguments, **{"on": "card", **options})


def test_connections_that_fail_or_are_of_no_database_are_refused():
    def secret():
        raise RuntimeError("postgresql://user:hunter2@host")

    look = cep.sql_lookup(secret, "cards", on="card")
    with pytest.raises(cep.AppError) as caught:
        look(pa.table({"card": [1]}))
    assert caught.value.code == "sql-failed"
    assert "hunter2" not in str(caught.value)

    class Connection:
        closed = False

        def close(self):
            self.closed = True

    made = Connection()
    look = cep.sql_lookup(lambda: made, "cards", on="card", paramstyle="qmark")
    assert code_of(lambda: look(pa.table({"card": [1]})), cep.AppError) == "invalid-action"
    assert made.closed
    assert repr(look) == "SqlLookup('cards', on=['card'])"
