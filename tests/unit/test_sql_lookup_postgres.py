"""Lookups in PostgreSQL: its own types, connections that are lost, servers that die, indexes."""

from __future__ import annotations

import contextlib
import decimal
import hashlib
import threading
import time
from functools import partial

import adbc_driver_postgresql.dbapi
import psycopg
import pyarrow as pa
import pytest
from reference_places import Place, code_of

import cepheid as cep


@pytest.fixture
def server(request, tmp_path):
    return Place("postgres-adbc", tmp_path, request)


def test_texts_that_postgresql_cannot_read_are_keys_that_there_are_not(request, tmp_path):
    for driver in ("postgres-adbc", "psycopg"):
        place = Place(driver, tmp_path, request)
        place.execute(
            "CREATE TYPE \"odd \"\" mood\" AS ENUM ('sad', 'it''s')",
            'CREATE TABLE cards (card "odd "" mood", host INET, v INT)',
            "INSERT INTO cards VALUES ('sad', '127.0.0.1', 1), ('it''s', '::1', 2)",
        )
        with place.lookup(on=["card", "host"], types={}) as look:
            keys = {"card": ["it's", "mad", "sad", "sad", "it's"], "host": ["::1", "::1", "localhost", "127.0.0.1", ""]}
            for _ in range(2):
                found = look(pa.table(keys)).sort_by("v")
                assert found.to_pydict() == {"card": ["sad", "it's"], "host": ["127.0.0.1", "::1"], "v": [1, 2]}
        with place.lookup(on="card", columns=["v"]) as look:
            nothing = pa.table({"card": [f"bad {number}" for number in range(300)]})
            assert look(nothing).num_rows == 0
        assert place.opened == 2, "a text that cannot be read costs no connection"


def test_a_view_that_fails_is_an_error_and_no_key_that_is_missing(server):
    server.execute(
        "CREATE TABLE u (k UUID, n INT)", "INSERT INTO u VALUES ('00000000-0000-0000-0000-000000000001', 0)",
        "CREATE VIEW cards AS SELECT k AS card, 1 / n AS v FROM u",
    )  # fmt: skip
    with server.lookup() as look:
        keys = pa.table({"card": ["00000000-0000-0000-0000-000000000001"]})
        assert code_of(lambda: look(keys), cep.AppError) == "sql-refused"


def test_padded_texts_and_domains_of_postgresql_are_met(server):
    server.execute(
        "CREATE DOMAIN amount AS NUMERIC(8, 2)", "CREATE DOMAIN number AS INT CHECK (VALUE > 0)",
        "CREATE TABLE cards (card CHAR(3), no number, sum amount, more NUMERIC, bits BIT(3))",
        "INSERT INTO cards VALUES ('ab', 5, 1.5, 'NaN', '101')",
    )  # fmt: skip
    with server.lookup() as look:
        found = look(pa.table({"card": ["ab", "a", "abcd"]}))
        assert found.schema.types == [pa.string(), pa.int32(), pa.decimal128(8, 2), pa.string(), pa.string()]
        assert found.to_pylist() == [
            {"card": "ab", "no": 5, "sum": decimal.Decimal("1.50"), "more": "NaN", "bits": "101"}
        ]
    for on, key in (("no", 5), ("sum", decimal.Decimal("1.5")), ("bits", "101")):
        with server.lookup(on=on, columns=["more"], types={"more": pa.float64()}) as look:
            assert look(pa.table({on: [key]})).num_rows == 1, on


def test_a_connection_that_was_lost_is_opened_once_more(request, tmp_path):
    for driver in ("postgres-adbc", "psycopg"):
        place = Place(driver, tmp_path, request)
        place.execute("CREATE TABLE cards (card INT, v INT)", "INSERT INTO cards VALUES (1, 5)")
        keys = pa.table({"card": [1]})
        with place.lookup() as look:
            assert look(keys)["v"].to_pylist() == [5]
            place.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            )
            assert look(keys)["v"].to_pylist() == [5]
            assert place.opened == 2
            place.server.stop()
            try:
                assert code_of(partial(look, keys), cep.AppError) == "sql-failed"
                assert place.opened == 3
                assert code_of(partial(look, keys), cep.AppError) == "sql-failed"
            finally:
                place.server.start()
            assert look(keys)["v"].to_pylist() == [5]


def test_a_server_that_dies_in_the_middle_of_a_question_is_told_of(server):
    server.execute(
        "CREATE TABLE t (card INT)", "INSERT INTO t VALUES (1)",
        "CREATE VIEW cards AS SELECT card, pg_sleep(60)::text AS v FROM t",
    )  # fmt: skip
    with server.lookup() as look:
        assert look(pa.table({"card": pa.array([], pa.int64())})).num_rows == 0
        errors = []

        def ask():
            try:
                look(pa.table({"card": [1]}))
            except cep.AppError as error:
                errors.append(error.code)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            with contextlib.closing(server.server_connection()) as other:
                other.autocommit = True
                asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                while other.execute(asleep).fetchone() == (0,):
                    assert thread.is_alive()
            server.server.stop()
            thread.join(60)
        finally:
            server.server.start()
        assert errors == ["sql-failed"]
        assert server.opened == 2, "it was tried once more, and no more than that"


def test_a_connection_that_commits_by_itself_will_do(server):
    server.execute("CREATE TABLE cards (card INT, v INT)", "INSERT INTO cards VALUES (1, 5)")
    for connect in (
        lambda: adbc_driver_postgresql.dbapi.connect(server.server.uri, autocommit=True),
        lambda: psycopg.connect(server.server.uri, autocommit=True),
    ):
        with contextlib.closing(cep.sql_lookup(connect, "cards", on="card")) as look:
            for _ in range(2):
                assert look(pa.table({"card": [1, 2]}))["v"].to_pylist() == [5]


def test_what_is_asked_in_postgresql_uses_the_index(server):
    server.execute(
        "CREATE TABLE cards (card INT PRIMARY KEY, u UUID UNIQUE, c CHAR(9) UNIQUE, v INT)",
        "INSERT INTO cards SELECT g, md5(g::text)::uuid, g::text, g FROM generate_series(1, 50000) g", "ANALYZE cards",
    )  # fmt: skip
    # How often the table was read as a whole may be told late, and making the indexes has done so, too.
    scans = "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'cards'"
    with contextlib.closing(server.server_connection()) as other:
        other.autocommit = True
        (before,) = other.execute(scans).fetchone()
        for on, key in (("card", 7), ("u", hashlib.md5(b"7").hexdigest()), ("c", "7")):
            with server.lookup(on=on, columns=["v"]) as look:
                assert look(pa.table({on: [key]}))["v"].to_pylist() == [7]
        # Counts are sent when a connection ends.
        until = time.monotonic() + 30
        while (counted := other.execute(scans).fetchone()[0]) < before + 3:
            assert time.monotonic() < until, (before, counted)
            time.sleep(0.05)


def test_texts_that_the_encoding_of_a_database_has_not_are_keys_that_there_are_not(server):
    with contextlib.closing(server.server_connection()) as other:
        other.autocommit = True
        other.execute("DROP DATABASE IF EXISTS latin")
        other.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    uri = server.server.uri.replace("/postgres?", "/latin?")
    with contextlib.closing(psycopg.connect(uri)) as other:
        other.execute("CREATE TABLE cards (card TEXT, v INT)")
        other.execute("INSERT INTO cards VALUES ('é', 1), ('z', 2)")
        other.commit()
    look = cep.sql_lookup(lambda: adbc_driver_postgresql.dbapi.connect(uri), "cards", on="card")
    with contextlib.closing(look):
        found = look(pa.table({"card": ["€", "é", "日", "z"]})).sort_by("v")
        assert found.to_pydict() == {"card": ["é", "z"], "v": [1, 2]}
