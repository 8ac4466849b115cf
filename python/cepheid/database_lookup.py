"""Lookups in databases: the rows of a table that have the keys which `enrich` asks for."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, final

from cepheid.actions.sql_dialect import PARAMSTYLES, Dialect, identifier_fault, is_permanent
from cepheid.building import checked_name
from cepheid.enrichment import check_columns, plain_values
from cepheid.errors import AppError, CepheidError, PatternError, SchemaError
from cepheid.names import invalid_choice, listed_names, nearest_name
from cepheid.options import checked_count
from cepheid.reference_database import ReferenceColumn, ReferenceDatabase, opened_database

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SqlLookup", "sql_lookup"]


@final
class SqlLookup:
    """The function that a lookup in a database is, for `enrich`; `sql_lookup` makes it.

    Example:
        >>> import sqlite3
        >>> import cepheid as cep
        >>> cep.sql_lookup(lambda: sqlite3.connect("cards.db"), "cards", on="card")
        SqlLookup('cards', on=['card'])
    """

    __slots__ = ("_batch", "_columns", "_connect", "_database", "_lock", "_on", "_paramstyle", "_table", "_types")

    def __init__(
        self,
        connect: Callable[[], Any],
        table: list[str],
        on: dict[str, str],
        columns: dict[str, str] | None,
        types: dict[str, pa.DataType],
        batch: int,
        paramstyle: str | None,
    ) -> None:
        self._connect, self._table, self._on, self._columns, self._types = connect, table, on, columns, types
        self._batch, self._paramstyle = batch, paramstyle
        # With what is known of the table, which is read again with every new connection.
        self._database: tuple[Any, _Question] | None = None
        self._lock = threading.Lock()

    def __call__(self, keys: pa.Table) -> pa.Table:
        """The rows of the table that have these keys.

        Time: one question per `keys_per_query` keys, asked one after the other. Keys with a NULL are not asked.

        Args:
            keys: The keys, in columns named as the rows have them.

        Returns:
            The keys that there are, as they were asked for, and the columns that are wanted: of the same types each
            time, also without a row.

        Raises:
            TypeError: `keys` is no `pyarrow.Table`.
            SchemaError: There is no such table (code ``unknown-table``) or column (``unknown-column``), several rows
                have one key (``duplicate-key``), a key cannot be compared with its column or a value does not fit its
                type (``column-type``).
            AppError: The database could not be reached, with a new connection either, or was busy (code
                ``sql-failed``), or refuses the question (``sql-refused``). The next call begins with a new connection.

        Example:
            >>> import sqlite3
            >>> import cepheid as cep
            >>> import pyarrow as pa
            >>> def connect():
            ...     database = sqlite3.connect(":memory:")
            ...     database.execute("CREATE TABLE cards (card INT, country TEXT)")
            ...     database.execute("INSERT INTO cards VALUES (1, 'NZ')")
            ...     return database
            >>> look = cep.sql_lookup(connect, "cards", on="card")
            >>> look(pa.table({"card": [1, 2]})).to_pydict()
            {'card': [1], 'country': ['NZ']}
        """
        import pyarrow as pa

        if not isinstance(keys, pa.Table):
            raise TypeError(f"keys are a pyarrow.Table, not {type(keys).__name__}")
        names = list(self._on)
        check_columns(keys, names, "the keys")
        # Without NULLs, and each once: of keys that come twice, both would meet one row.
        distinct = keys.select(names).drop_null()
        plain = pa.table([plain_values(distinct[name], name) for name in names], names=names)
        plain = plain.group_by(names).aggregate([])
        with self._lock:
            known = self._database
            try:
                return self._tried(plain)
            except AppError as error:
                # What the database says of the question it would say again.
                if known is None or not known[1].database.is_lost(error.__cause__):
                    raise
            return self._tried(plain)

    def _tried(self, keys: pa.Table) -> pa.Table:
        """An answer; after an error the next one begins with a new connection, and knows the table as it is then."""
        try:
            return self._answer(keys)
        except CepheidError:
            self._abandon()
            raise
        except Exception as error:
            self._abandon()
            raise AppError(
                f"the lookup in `{'.'.join(self._table)}` failed: {type(error).__name__}: {str(error)[:300]}",
                code="sql-refused" if is_permanent(error) else "sql-failed",
            ) from error
        except BaseException:
            self._abandon()
            raise

    def _answer(self, keys: pa.Table) -> pa.Table:
        import pyarrow as pa

        if self._database is None:
            self._open()
        assert self._database is not None
        connection, question = self._database
        answers = [question.schema(keys).empty_table()]
        for start in range(0, keys.num_rows, self._batch):
            answers.append(question.asked(keys.slice(start, self._batch)))
        # A transaction that is left open would see the table as it was then, and keep others from changing it.
        if question.database.has_transactions:
            connection.rollback()
        return pa.concat_tables(answers)

    def _open(self) -> None:
        try:
            connection = self._connect()
        except Exception as error:
            # What a driver says of it may have a password in it; the cause has it all the same.
            raise AppError(
                f"the database of `{'.'.join(self._table)}` could not be opened: {type(error).__name__}",
                code="sql-failed",
            ) from error
        try:
            dialect = Dialect.of(connection, self._paramstyle, for_reading=True)
            database = opened_database(connection, dialect, self._table)
            question = _Question(database, self._on, self._columns, self._types)
        except BaseException:
            _close(connection)
            raise
        self._database = connection, question

    def _abandon(self) -> None:
        known, self._database = self._database, None
        if known is not None:
            _close(known[0])

    def close(self) -> None:
        """Closes the connection. A call after that opens a new one.

        Example:
            >>> import sqlite3
            >>> import cepheid as cep
            >>> cep.sql_lookup(lambda: sqlite3.connect("cards.db"), "cards", on="card").close()
        """
        with self._lock:
            self._abandon()

    def __repr__(self) -> str:
        return f"SqlLookup({'.'.join(self._table)!r}, on={list(self._on)!r})"


def sql_lookup(
    connect: Callable[[], Any],
    table: str,
    *,
    on: str | Iterable[str] | Mapping[str, str],
    columns: str | Iterable[str] | Mapping[str, str] | None = None,
    types: Mapping[str, pa.DataType] | None = None,
    keys_per_query: int = 1_000,
    paramstyle: str | None = None,
) -> SqlLookup:
    """A lookup of keys in a table of SQLite, PostgreSQL or DuckDB, for `enrich`.

    Keys are parameters, never text of a statement; names are quoted. A connection is opened with the first question,
    kept, and opened once more where one that has been in use turns out to be lost: the question is asked again. Any
    other error is raised at once, and the table is looked at anew with the next call. Nothing is written, and no
    transaction is left open.

    - **Connections**: ADBC (``adbc_driver_sqlite.dbapi``, ``adbc_driver_postgresql.dbapi``), which give Arrow; or
      `sqlite3`, `psycopg`, `duckdb`.
    - **Keys**: as `enrich` compares them: integers with integers, text with text. Text also meets what PostgreSQL or
      DuckDB read from text: UUIDs, enums, network addresses; a text that they cannot read is a key that there is not.
      The database says which texts are equal. SQLite has times and decimals as `SqlUpsert` writes them: as text.
    - **Values**: integers, floats, booleans, text, bytes, dates and times in Arrow's types of that name,
      ``numeric(p, s)`` of up to 38 digits as decimals, and all else as text. Columns of SQLite have the type that they
      are declared with. `types` says otherwise.
    - **Limits**: one connection, so that questions are asked one after the other. Without an index on its columns each
      question reads the table.

    Args:
        connect: Opens a connection, which `SqlLookup.close` closes. One of `sqlite3` has ``check_same_thread=False``,
            as any thread may ask.
        table: The table or view, perhaps with its schema in front: ``"sales.cards"``. Names are taken as they stand.
        on: The columns of the key, which are named so in the rows, too, or a mapping of names in the rows to columns of
            the table. There is one row of a key at most.
        columns: The columns that are wanted, or a mapping of the names that they get to columns of the table. None: all
            beside the key.
        types: Types of Arrow that columns get, by the names that they get.
        keys_per_query: Most keys that one question has.
        paramstyle: How the connection wants parameters: one of PEP 249's, or ``"numeric_dollar"``. None: what its
            module says.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: A name cannot be one, or an argument is none of those it may be (code ``invalid-clause``).

    Example:
        >>> import sqlite3
        >>> import cepheid as cep
        >>> def connect():
        ...     database = sqlite3.connect(":memory:", check_same_thread=False)
        ...     database.executescript("CREATE TABLE cards (no INT, country TEXT); INSERT INTO cards VALUES (1, 'NZ')")
        ...     return database
        >>> look = cep.sql_lookup(connect, "cards", on={"card": "no"}, columns=["country"])
        >>> engine = cep.Engine(cep.enrich("txn", look, on="card", ttl=300, emits="known"))
        >>> [row["country"] for row in engine.push([{"ts": 1, "card": 1}, {"ts": 2, "card": 2}], "txn")["known"]]
        ['NZ', None]
    """
    if not callable(connect):
        raise TypeError(f"connect is a function that opens a connection, not {type(connect).__name__}")
    if not isinstance(table, str):
        raise TypeError(f"table is text, not {type(table).__name__}")
    parts = _identifiers(table.split("."), "a table", "table")
    if len(parts) > 3:
        raise _invalid("the name of a table has a schema and a catalog in front of it at most", "table")
    keys = _named(on, "on")
    _identifiers(list(keys.values()), "a column of the key", "on")
    wanted = None
    if columns is not None:
        wanted = _named(columns, "columns")
        if both := [name for name in wanted if name in keys]:
            raise _invalid(f"`{both[0]}` is of the key, which is there anyway", "columns")
    chosen = _checked_types(types)
    if wanted is not None and (other := [name for name in chosen if name not in wanted]):
        raise _invalid(f"types says one of `{other[0]}`, which is not among the columns", "types")
    batch = checked_count(keys_per_query, "keys_per_query")
    if batch is None:
        raise TypeError("keys_per_query is a whole number, not NoneType")
    if batch > 1_000_000:
        raise _invalid(f"keys_per_query is from 1 to 1,000,000, not {batch}", "keys_per_query")
    if paramstyle not in (None, *PARAMSTYLES):
        raise invalid_choice("paramstyle", paramstyle, [*PARAMSTYLES, None])
    return SqlLookup(connect, parts, keys, wanted, chosen, batch, paramstyle)


class _Question:
    """What is asked of one table: which columns it compares, and which it gives in which types."""

    __slots__ = ("_given", "_keys", "database")

    def __init__(
        self,
        database: ReferenceDatabase,
        on: dict[str, str],
        columns: dict[str, str] | None,
        types: dict[str, pa.DataType],
    ) -> None:
        known = database.columns
        if not known:
            raise SchemaError(
                f"the database has no table `{database.table}`, or this user may not see it", code="unknown-table"
            )
        self.database = database
        self._keys = {name: _found(known, column, database) for name, column in on.items()}
        if columns is None:
            of_key = {column.name for column in self._keys.values()}
            columns = {name: name for name in known if name not in of_key}
            if taken := [name for name in columns if name in on]:
                raise SchemaError(
                    f"`{taken[0]}` is of the key, and `{database.table}` has another column of that name; name those "
                    "that are wanted: columns=[...]",
                    code="ambiguous-column",
                    column=taken[0],
                )
            if other := [name for name in types if name not in columns]:
                raise _no_column(other[0], list(columns), database)
        self._given: dict[str, tuple[ReferenceColumn, pa.DataType]] = {}
        for name, column in columns.items():
            found = _found(known, column, database)
            data_type = types.get(name, found.data_type)
            if data_type is None:
                raise SchemaError(
                    f"`{database.table}` does not say what type `{column}` has; say it: "
                    f"types={{{name!r}: pyarrow.string()}}, or leave it out: columns=[...]",
                    code="column-type",
                    column=column,
                )
            self._given[name] = found, data_type

    def schema(self, keys: pa.Table) -> pa.Schema:
        """That of answers: keys as they are asked for; one without a type as its column has it."""
        import pyarrow as pa

        fields = []
        for name, column in self._keys.items():
            data_type = keys[name].type
            if pa.types.is_null(data_type) and column.data_type is not None:
                data_type = plain_values(pa.chunked_array([], column.data_type), name).type
            fields.append((name, data_type))
        return pa.schema([*fields, *((name, data_type) for name, (_, data_type) in self._given.items())])

    def asked(self, keys: pa.Table) -> pa.Table:
        """The rows of these keys, of which none is NULL and none there twice."""
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = list(self._keys.values())
        mask, values = self.database.askable(keys, columns)
        keys = keys.filter(mask)
        places, found = self.database.ask(values, columns, [column for column, _ in self._given.values()])
        if len(places) > len(places.unique()):
            raise SchemaError(
                f"`{self.database.table}` has several rows of one key ({', '.join(map(str, self._keys))}); leave one "
                "of each, or look into a view that does",
                code="duplicate-key",
            )
        arrays = [pc.take(keys[name], places) for name in self._keys]
        for (name, (_, data_type)), values_found in zip(self._given.items(), found, strict=True):
            arrays.append(_typed(values_found, data_type, name, self.database.table))
        return pa.table(arrays, schema=self.schema(keys))


def _typed(values: Any, data_type: pa.DataType, name: str, table: str) -> Any:
    import pyarrow as pa

    if values.null_count == len(values):
        # SQLite gives NULLs alone as integers, which not every type can be made of.
        return pa.nulls(len(values), data_type)
    try:
        return values.cast(data_type)
    except pa.ArrowException as error:
        raise SchemaError(
            f"a value of `{name}` in `{table}` is no {data_type}: {str(error)[:200]}; say another type: "
            f"types={{{name!r}: ...}}",
            code="column-type",
            column=name,
            expected=str(data_type),
        ) from None


def _found(known: Mapping[str, ReferenceColumn], name: str, database: ReferenceDatabase) -> ReferenceColumn:
    if name in known:
        return known[name]
    folded = [column for column in known if column.lower() == name.lower()] if database.folds_case else []
    if len(folded) != 1:
        raise _no_column(name, list(known), database)
    return known[folded[0]]


def _no_column(name: str, known: list[str], database: ReferenceDatabase) -> SchemaError:
    return SchemaError(
        f"`{database.table}` has no column `{name}`; it has {listed_names(known)}",
        code="unknown-column",
        column=name,
        known=known,
        hint=nearest_name(name, known),
    )


def _named(columns: Any, what: str) -> dict[str, str]:
    """Names in the rows, and the columns of the table that they stand for."""
    if isinstance(columns, Mapping):
        named = dict(columns)
    elif isinstance(columns, str):
        named = {columns: columns}
    elif isinstance(columns, Iterable):
        listed = list(columns)
        for name in listed:
            checked_name(name, "column")
        if len(set(listed)) < len(listed):
            raise _invalid(f"{what} names no column twice", what)
        named = {name: name for name in listed}
    else:
        raise TypeError(f"{what} is a column, a list or a mapping of columns, not {type(columns).__name__}")
    if not named:
        raise _invalid(f"{what} names one column at least", what)
    for name, column in named.items():
        checked_name(name, "column")
        checked_name(column, "column")
        _identifiers([column], "a column", what)
    return named


def _checked_types(types: Any) -> dict[str, pa.DataType]:
    import pyarrow as pa

    if types is None:
        return {}
    if not isinstance(types, Mapping):
        raise TypeError(f"types is a mapping of columns to types, not {type(types).__name__}")
    for name, data_type in types.items():
        checked_name(name, "column")
        if not isinstance(data_type, pa.DataType):
            raise TypeError(f"the type of `{name}` is a pyarrow.DataType, not {type(data_type).__name__}")
        if pa.types.is_null(data_type):
            raise _invalid(f"`{name}` has a type in which there are values", "types")
    return dict(types)


def _identifiers(names: list[str], what: str, argument: str) -> list[str]:
    if fault := identifier_fault(names, what):
        raise _invalid(fault, argument)
    return names


def _invalid(message: str, argument: str) -> PatternError:
    return PatternError(f"sql_lookup(): {message}", code="invalid-clause", context=argument)


def _close(connection: Any) -> None:
    with contextlib.suppress(Exception):
        connection.rollback()
    with contextlib.suppress(Exception):
        connection.close()
