"""Databases that lookups are tested in, one for each driver."""

from __future__ import annotations

import contextlib
import sqlite3

import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import duckdb
import psycopg
import pytest

import cepheid as cep


class Place:
    """A database of a driver: how it is connected to, and statements that make tables in it."""

    def __init__(self, driver, tmp_path, request):
        self.driver, self.opened = driver, 0
        if driver in ("postgres-adbc", "psycopg"):
            self.server = request.getfixturevalue("postgres")
            self.execute("DROP SCHEMA IF EXISTS public CASCADE", "CREATE SCHEMA public")
        self.path = str(tmp_path / "reference.db")

    def open(self):
        if self.driver == "sqlite-adbc":
            return adbc_driver_sqlite.dbapi.connect(f"file:{self.path}")
        if self.driver == "sqlite3":
            return sqlite3.connect(self.path, check_same_thread=False)
        if self.driver == "postgres-adbc":
            return adbc_driver_postgresql.dbapi.connect(self.server.uri)
        if self.driver == "psycopg":
            return psycopg.connect(self.server.uri)
        return duckdb.connect(self.path)

    def connect(self):
        self.opened += 1
        return self.open()

    def execute(self, *statements):
        with contextlib.closing(self.server_connection()) as connection:
            for statement in statements:
                connection.execute(statement)
            if self.driver != "duckdb":
                connection.commit()

    def server_connection(self):
        if self.driver.startswith("sqlite"):
            return sqlite3.connect(self.path)
        return psycopg.connect(self.server.uri) if self.driver != "duckdb" else duckdb.connect(self.path)

    @contextlib.contextmanager
    def lookup(self, table="cards", **options):
        look = cep.sql_lookup(self.connect, table, **{"on": "card", **options})
        try:
            yield look
        finally:
            look.close()


def code_of(call, kind=cep.SchemaError):
    with pytest.raises(kind) as caught:
        call()
    return caught.value.code
