"""Tables of databases that are asked for rows by their keys: what columns they have, and how each database is asked."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from cepheid.actions.sql_dialect import Dialect, product_of, quoted
from cepheid.errors import AppError, SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ReferenceColumn", "ReferenceDatabase", "opened_database"]

# What a kind of key is compared with, beside columns of its own kind.
_MEETS = {"integer": {"decimal"}, "decimal": {"integer"}, "text": {"other"}}
# The types of PostgreSQL that keys are given as; DuckDB has them under the same names.
_SQL_TYPES = {
    "integer": "bigint",
    "float": "double precision",
    "text": "text",
    "bytes": "bytea",
    "boolean": "boolean",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamp with a zone": "timestamptz",
}
# Whatever PostgreSQL and DuckDB read as a UUID, and little else.
_UUID = r"^\{?([0-9a-fA-F]{4}-?){8}\}?$"


class ReferenceColumn(NamedTuple):
    """A column of a table.

    Attributes:
        name: Its name.
        sql_type: Its type, as the database spells it.
        data_type: The type of Arrow that its values get; None: that is not known.
        kind: What it is compared with: a name of kinds of keys; ``other``: with text that the database reads; ``any``:
            with everything; ``none``: with nothing.
        selected: The expression that gives it, of the table ``t``.
    """

    name: str
    sql_type: str
    data_type: pa.DataType | None
    kind: str
    selected: str


class ReferenceDatabase(ABC):
    """A table in a database: what its columns are, and which rows have given keys."""

    #: Whether names of columns are told apart by case.
    folds_case = True
    #: Whether a question begins a transaction.
    has_transactions = True

    def __init__(self, connection: Any, dialect: Dialect, parts: list[str]) -> None:
        self._connection, self._dialect = connection, dialect
        self._is_adbc = hasattr(connection, "adbc_get_info")
        self._quoted = ".".join(map(quoted, parts))
        #: The name of the table, as it was given.
        self.table = ".".join(parts)
        #: The columns, by name and in order; none: there is no such table.
        self.columns = {column.name: column for column in self._described(parts)}

    @abstractmethod
    def _described(self, parts: list[str]) -> Iterable[ReferenceColumn]:
        """The columns of the table, in order; none: there is no such table."""

    def is_lost(self, error: BaseException | None) -> bool:
        """Whether an error is one of the connection, so that another one may have an answer."""
        return self._dialect.is_lost(error)

    def _kind_checked(self, name: str, data_type: pa.DataType, column: ReferenceColumn) -> str:
        """The kind of a key.

        Raises:
            SchemaError: It cannot be compared with its column (code ``column-type``).
        """
        kind = _kind(data_type)
        if column.kind not in (kind, "any") and column.kind not in _MEETS.get(kind, ()):
            raise SchemaError(
                f"`{name}` is {data_type} in the rows and {column.sql_type or 'of no type'} in `{self.table}`, and "
                "cannot be compared",
                code="column-type",
                column=name,
            )
        return kind

    def askable(self, keys: pa.Table, columns: list[ReferenceColumn]) -> tuple[pa.Array, list[pa.Array]]:
        """Which keys can be in the table at all, and their values as they are asked for.

        Raises:
            SchemaError: A column cannot be compared (code ``column-type``).
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        mask = pa.repeat(True, keys.num_rows)
        values = []
        for name, column in zip(keys.column_names, columns, strict=True):
            key = keys[name].combine_chunks()
            if not len(key):
                values.append(key)
                continue
            kind = self._kind_checked(name, key.type, column)
            if kind.startswith("timestamp"):
                # Databases have microseconds: what lies between two of them is in none.
                rough = key.cast(pa.timestamp("us", key.type.tz), safe=False)
                mask = pc.and_(mask, pc.equal(rough.cast(key.type), key))
                key = rough
            elif kind == "time":
                rough = key.cast(pa.time64("us"), safe=False)
                mask = pc.and_(mask, pc.equal(rough.cast(pa.time64("ns")), key.cast(pa.time64("ns"))))
                key = rough
            allowed = self._allowed(key, column)
            if allowed is not None:
                mask = pc.and_(mask, allowed)
            values.append(key)
        return mask, [value.filter(mask) for value in values]

    def _allowed(self, key: pa.Array, column: ReferenceColumn) -> pa.Array | None:
        """Which values the database can have at all; None: every one."""
        return None

    @abstractmethod
    def ask(
        self, keys: list[pa.Array], columns: list[ReferenceColumn], wanted: list[ReferenceColumn]
    ) -> tuple[pa.Array, list[pa.Array]]:
        """Rows by their keys: the place of the key that each has, and its values.

        Args:
            keys: The values of each column of the key.
            columns: The columns of the table that they are compared with.
            wanted: The columns that are given.
        """

    def _rows(self, parts: Iterable[str | int], values: list[Any]) -> list[tuple[Any, ...]]:
        with self._dialect.cursor(self._connection) as cursor:
            cursor.execute(self._dialect.written(parts), self._dialect.given(values))
            return list(cursor.fetchall())


class _Sqlite(ReferenceDatabase):
    """SQLite: a prepared statement is run for each key, which costs no more there than one for many."""

    def _described(self, parts: list[str]) -> Iterable[ReferenceColumn]:
        where: list[str | int] = ["SELECT name, type, hidden FROM pragma_table_xinfo(", 0]
        if len(parts) > 1:
            where += [", ", 1]
        for name, sql_type, hidden in self._rows([*where, ")"], [parts[-1], *parts[:-1]][:2]):
            # 1 are those of virtual tables that a query gives arguments by.
            if int(hidden) != 1:
                data_type, kind = _sqlite_type(str(sql_type or "").upper())
                yield ReferenceColumn(name, sql_type or "", data_type, kind, f"t.{quoted(name)}")

    def _kind_checked(self, name: str, data_type: pa.DataType, column: ReferenceColumn) -> str:
        kind = _kind(data_type)
        # Times, decimals and truth are kept as text and as integers.
        kept = {"boolean": "integer"}.get(
            kind, kind if kind in ("integer", "float", "text", "bytes", "none") else "text"
        )
        if kind == "none" or column.kind not in (kept, "any"):
            return super()._kind_checked(name, data_type, column)
        return kind

    def ask(
        self, keys: list[pa.Array], columns: list[ReferenceColumn], wanted: list[ReferenceColumn]
    ) -> tuple[pa.Array, list[pa.Array]]:
        import pyarrow as pa

        given = [self._kept(key, column.name) for key, column in zip(keys, columns, strict=True)]
        count = len(given[0])
        if not count:
            return pa.array([], pa.int64()), [pa.nulls(0) for _ in wanted]
        # Through ADBC all keys are bound at once, and the first parameter tells them apart.
        first = 1 if self._is_adbc else 0
        parts: list[str | int] = ["SELECT ", 0 if self._is_adbc else "0"]
        parts += [f", {column.selected}" for column in wanted]
        parts.append(f" FROM {self._quoted} AS t WHERE ")
        for number, column in enumerate(columns):
            parts += [" AND " if number else "", f"t.{quoted(column.name)} = ", first + number]
        # Two rows of a key are as wrong as a million.
        text = self._dialect.written([*parts, " LIMIT 2"])
        with self._dialect.cursor(self._connection) as cursor:
            if self._is_adbc:
                # Types are those of the first batch: one that has all rows.
                options = {"adbc.sqlite.query.batch_rows": str(2 * count + 1)}
                cursor.adbc_statement.set_options(**options)
                names = [str(number) for number in range(len(given) + 1)]
                cursor.execute(text, pa.record_batch([pa.array(range(count), pa.int64()), *given], names=names))
                return _of_arrow(cursor.fetch_arrow_table())
            places, rows = [], []
            for place, key in enumerate(zip(*(value.to_pylist() for value in given), strict=True)):
                for row in cursor.execute(text, self._dialect.given(list(key))):
                    places.append(place)
                    rows.append(row[1:])
        return pa.array(places, pa.int64()), _columns_of(rows, wanted, self.table)

    def _kept(self, key: pa.Array, column: str) -> pa.Array:
        """Values as SQLite keeps them, which `SqlUpsert` writes, too."""
        import pyarrow as pa

        kind = _kind(key.type)
        if kind in ("integer", "float", "text", "bytes", "none"):
            return key
        if kind == "boolean":
            return key.cast(pa.int64())
        return pa.array([self._dialect.value(value, column) for value in key.to_pylist()], pa.string())


class _OfArrays(ReferenceDatabase):
    """A database that takes arrays: a question has one parameter for each column of the key, and joins them."""

    def ask(
        self, keys: list[pa.Array], columns: list[ReferenceColumn], wanted: list[ReferenceColumn]
    ) -> tuple[pa.Array, list[pa.Array]]:
        import pyarrow as pa

        count = len(keys[0])
        if not count:
            return pa.array([], pa.int64()), [pa.nulls(0) for _ in wanted]
        parts: list[str | int] = ["SELECT asked.place"]
        parts += [f", {column.selected} AS c{number}" for number, column in enumerate(wanted)]
        parts += [" FROM ", *self._asked(keys, columns), f" JOIN {self._quoted} AS t ON "]
        for number, column in enumerate(columns):
            parts.append(f"{' AND ' if number else ''}t.{quoted(column.name)} = asked.k{number}")
        # If there are more rows than keys, one has several.
        parts.append(f" LIMIT {count + 1}")
        return self._asked_for(parts, keys, wanted)

    @abstractmethod
    def _asked(self, keys: list[pa.Array], columns: list[ReferenceColumn]) -> list[str | int]:
        """The table of the keys, as ``asked``."""

    @abstractmethod
    def _asked_for(
        self, parts: list[str | int], keys: list[pa.Array], wanted: list[ReferenceColumn]
    ) -> tuple[pa.Array, list[pa.Array]]:
        """What the statement gives, the place of the key first."""


class _Postgres(_OfArrays):
    """PostgreSQL, through ADBC or `psycopg`."""

    folds_case = False

    def _described(self, parts: list[str]) -> Iterable[ReferenceColumn]:
        if self._is_adbc:
            # Arrow is UTF-8, and the driver says so only to databases that are, too.
            with self._dialect.cursor(self._connection) as cursor:
                cursor.execute("SET client_encoding TO 'UTF8'")
            self._connection.commit()
        # Of a domain the type that it is made of.
        query: list[str | int] = [
            "SELECT a.attname::text, pg_catalog.format_type(COALESCE(NULLIF(t.typbasetype, 0), t.oid), NULL), "
            "CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END::int4, t.typtype = 'd' "
            "FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid "
            "WHERE a.attrelid = pg_catalog.to_regclass(",
            0,
            "::text) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        ]
        for name, sql_type, modifier, is_domain in self._rows(query, [self._quoted]):
            data_type, kind = _sql_type(sql_type, modifier)
            # What has no type of its own in Arrow is told as text.
            told = "::text" if kind in ("other", "none", "decimal") else f"::{sql_type}" if is_domain else ""
            yield ReferenceColumn(name, sql_type, data_type, kind, f"t.{quoted(name)}{told}")

    def _allowed(self, key: pa.Array, column: ReferenceColumn) -> pa.Array | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not pa.types.is_string(key.type):
            return None
        if column.sql_type == "uuid":
            return pc.match_substring_regex(key, _UUID)
        # The one character that its texts cannot have.
        return pc.invert(pc.match_substring(key, "\0"))

    def ask(
        self, keys: list[pa.Array], columns: list[ReferenceColumn], wanted: list[ReferenceColumn]
    ) -> tuple[pa.Array, list[pa.Array]]:
        import pyarrow as pa

        # A text may be none of its type, or have characters that the encoding of the database has not.
        read = [place for place, column in enumerate(columns) if column.kind in ("other", "text")]
        try:
            return super().ask(keys, columns, wanted)
        except Exception as error:
            if not read or not _is_data_error(error):
                raise
            self._connection.rollback()
        kept = pa.array(self._readable(keys, columns, read, range(len(keys[0]))), pa.int64())
        if len(kept) == len(keys[0]):
            # Every key can be read: it is the table that cannot.
            return super().ask(keys, columns, wanted)
        places, values = super().ask([key.take(kept) for key in keys], columns, wanted)
        return kept.take(places), values

    def _readable(
        self, keys: list[pa.Array], columns: list[ReferenceColumn], read: list[int], places: range
    ) -> list[int]:
        """Places of the keys that the database can read as values of their columns, by halves."""
        part = [keys[number].slice(places.start, len(places)) for number in read]
        parts = ["SELECT 0::bigint AS place FROM ", *self._asked(part, [columns[number] for number in read])]
        parts.append(" WHERE " + " AND ".join(f"asked.k{number} IS NULL" for number in range(len(read))))
        try:
            self._asked_for(parts, part, [])
            return list(places)
        except Exception as error:
            if not _is_data_error(error):
                raise
            self._connection.rollback()
        if len(places) == 1:
            return []
        middle = places.start + len(places) // 2
        return [
            place
            for half in (range(places.start, middle), range(middle, places.stop))
            for place in self._readable(keys, columns, read, half)
        ]

    def _asked(self, keys: list[pa.Array], columns: list[ReferenceColumn]) -> list[str | int]:
        parts: list[str | int] = ["unnest("]
        for number, (key, column) in enumerate(zip(keys, columns, strict=True)):
            kind = _kind(key.type)
            read = f"::{_unbounded(column.sql_type)}[]" if column.kind == "other" or _is_padded(column) else ""
            given = "text[]::numeric" if kind == "decimal" else _SQL_TYPES[kind]
            parts += [", " if number else "", number, f"::{given}[]{read}"]
        names = ", ".join(f"k{number}" for number in range(len(keys)))
        return [*parts, f") WITH ORDINALITY AS asked({names}, place)"]

    def _asked_for(
        self, parts: list[str | int], keys: list[pa.Array], wanted: list[ReferenceColumn]
    ) -> tuple[pa.Array, list[pa.Array]]:
        import pyarrow as pa
        import pyarrow.compute as pc

        # As text, as older drivers of ADBC give other decimals than they are given.
        keys = [key.cast(pa.string()) if pa.types.is_decimal(key.type) else key for key in keys]
        text = self._dialect.written(parts)
        with self._dialect.cursor(self._connection) as cursor:
            if self._is_adbc:
                lists = [pa.ListArray.from_arrays(pa.array([0, len(key)], pa.int32()), key) for key in keys]
                cursor.execute(text, pa.record_batch(lists, names=[str(number) for number in range(len(lists))]))
                places, found = _of_arrow(cursor.fetch_arrow_table())
            else:
                cursor.execute(text, self._dialect.given([key.to_pylist() for key in keys]))
                rows = list(cursor.fetchall())
                places = pa.array([row[0] for row in rows], pa.int64())
                found = _columns_of([row[1:] for row in rows], wanted, self.table)
        # Ordinals begin with 1.
        return pc.subtract(places, 1), found


class _Duckdb(_OfArrays):
    """DuckDB, by its own connection, whose questions are transactions of their own."""

    has_transactions = False

    def _described(self, parts: list[str]) -> Iterable[ReferenceColumn]:
        try:
            rows = self._rows([f"DESCRIBE SELECT * FROM {self._quoted}"], [])
        except Exception as error:
            if any(kind.__name__ == "CatalogException" for kind in type(error).__mro__):
                return
            raise
        for name, sql_type, *_ in rows:
            data_type, kind = _sql_type(str(sql_type).lower(), None)
            selected = f"t.{quoted(name)}"
            told = f"CAST({selected} AS VARCHAR)" if kind in ("other", "none") else selected
            yield ReferenceColumn(name, str(sql_type), data_type, kind, told)

    def _asked(self, keys: list[pa.Array], columns: list[ReferenceColumn]) -> list[str | int]:
        parts: list[str | int] = ["(SELECT "]
        for number, (key, column) in enumerate(zip(keys, columns, strict=True)):
            kind = _kind(key.type)
            if column.kind == "other":
                parts += ["TRY_CAST(unnest(", number, f"::text[]) AS {column.sql_type})"]
            elif kind == "decimal":
                parts += ["unnest(", number, f"::decimal({key.type.precision}, {key.type.scale})[])"]
            else:
                parts += ["unnest(", number, f"::{_SQL_TYPES[kind]}[])"]
            parts.append(f" AS k{number}, ")
        return [*parts, "unnest(", len(keys), "::bigint[]) AS place) AS asked"]

    def _asked_for(
        self, parts: list[str | int], keys: list[pa.Array], wanted: list[ReferenceColumn]
    ) -> tuple[pa.Array, list[pa.Array]]:
        values = [*(key.to_pylist() for key in keys), list(range(len(keys[0])))]
        text = self._dialect.written(parts)
        return _of_arrow(self._connection.sql(text, params=self._dialect.given(values)).to_arrow_table())


def opened_database(connection: Any, dialect: Dialect, parts: list[str]) -> ReferenceDatabase:
    """The table of a connection, in the manner of its database.

    Raises:
        AppError: The connection is of none that can be asked (code ``invalid-action``).
    """
    product = product_of(connection)
    kinds: dict[str | None, type[ReferenceDatabase]] = {"sqlite": _Sqlite, "postgresql": _Postgres}
    if not hasattr(connection, "adbc_get_info"):
        kinds["duckdb"] = _Duckdb
    if product not in kinds:
        raise AppError(
            f"lookups are asked of SQLite, PostgreSQL and DuckDB, and this connection is of {product or 'another'} "
            f"({type(connection).__module__}); give `enrich` a function of your own",
            code="invalid-action",
        )
    return kinds[product](connection, dialect, parts)


def _kind(data_type: pa.DataType) -> str:
    import pyarrow as pa

    types = pa.types
    if types.is_timestamp(data_type):
        return "timestamp" if data_type.tz is None else "timestamp with a zone"
    for kind, fits in (
        ("integer", types.is_integer),
        ("float", types.is_floating),
        ("text", types.is_string),
        ("bytes", types.is_binary),
        ("boolean", types.is_boolean),
        ("date", types.is_date),
        ("time", types.is_time),
        ("decimal", types.is_decimal),
    ):
        if fits(data_type):
            return kind
    return "none"


def _sqlite_type(declared: str) -> tuple[pa.DataType | None, str]:
    """What a declared type says: first what people mean by it, then the rules of SQLite's affinity, in their order."""
    import pyarrow as pa

    if "BOOL" in declared:
        return pa.bool_(), "any"
    if "DATE" in declared or "TIME" in declared:
        return pa.string(), "any"
    if "INT" in declared:
        return pa.int64(), "integer"
    if any(part in declared for part in ("CHAR", "CLOB", "TEXT")):
        return pa.string(), "text"
    if "BLOB" in declared:
        return pa.binary(), "any"
    if any(part in declared for part in ("REAL", "FLOA", "DOUB")):
        return pa.float64(), "float"
    return (pa.float64() if declared else None), "any"


def _sql_type(name: str, modifier: int | None) -> tuple[pa.DataType, str]:
    """The type of Arrow, and the kind, of a type of PostgreSQL or DuckDB."""
    import pyarrow as pa

    numbers = {"tinyint": pa.int8(), "smallint": pa.int16(), "integer": pa.int32(), "bigint": pa.int64()}
    unsigned = {"utinyint": pa.uint8(), "usmallint": pa.uint16(), "uinteger": pa.uint32(), "ubigint": pa.uint64()}
    if number := (numbers | unsigned).get(name):
        return number, "integer"
    plain = {
        "real": (pa.float32(), "float"),
        "float": (pa.float32(), "float"),
        "double precision": (pa.float64(), "float"),
        "double": (pa.float64(), "float"),
        "boolean": (pa.bool_(), "boolean"),
        "text": (pa.string(), "text"),
        "varchar": (pa.string(), "text"),
        "character varying": (pa.string(), "text"),
        "character": (pa.string(), "text"),
        "bytea": (pa.binary(), "bytes"),
        "blob": (pa.binary(), "bytes"),
        "date": (pa.date32(), "date"),
        "time": (pa.time64("us"), "time"),
        "time without time zone": (pa.time64("us"), "time"),
        "timestamp": (pa.timestamp("us"), "timestamp"),
        "timestamp without time zone": (pa.timestamp("us"), "timestamp"),
        "timestamp with time zone": (pa.timestamp("us", "UTC"), "timestamp with a zone"),
    }
    if name in plain:
        return plain[name]
    if name.endswith("]"):
        return pa.string(), "none"
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", name):
        return pa.decimal128(int(decimal[1]), int(decimal[2])), "decimal"
    if name == "numeric":
        # The modifier has precision and scale in 16 bits each, and is 4 too great.
        digits, scale = ((modifier - 4) >> 16, (modifier - 4) & 0x7FF) if modifier and modifier > 4 else (0, 0)
        return (pa.decimal128(digits, scale) if 1 <= digits <= 38 and scale <= digits else pa.string()), "decimal"
    return pa.string(), "other"


def _unbounded(sql_type: str) -> str:
    """A type of PostgreSQL without the length of 1 that these have where none is said."""
    return {"character": "pg_catalog.bpchar", "bit": 'pg_catalog."bit"'}.get(sql_type, sql_type)


def _is_padded(column: ReferenceColumn) -> bool:
    # As text it would be compared without its index.
    return column.sql_type == "character"


def _is_data_error(error: Exception) -> bool:
    """Whether PostgreSQL could not read a value: class 22 of the states that SQL has."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return isinstance(state, str) and state.startswith("22")


def _of_arrow(table: pa.Table) -> tuple[pa.Array, list[pa.Array]]:
    import pyarrow as pa

    columns = [column.combine_chunks() for column in table.columns]
    return columns[0].cast(pa.int64()), columns[1:]


def _columns_of(rows: list[Any], wanted: list[ReferenceColumn], table: str) -> list[pa.Array]:
    """Rows of Python as columns."""
    import pyarrow as pa

    found = []
    for number, column in enumerate(wanted):
        values = [bytes(row[number]) if isinstance(row[number], memoryview) else row[number] for row in rows]
        try:
            found.append(pa.array(values))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise SchemaError(
                f"values of `{column.name}` in `{table}` are not of one type: {str(error)[:200]}",
                code="column-type",
                column=column.name,
            ) from None
    return found
