"""A table of SQLite that is looked at again and again."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, final
from urllib.parse import quote

from cepheid.connectors.arguments import (
    checked_columns,
    checked_number,
    checked_seconds,
    checked_source_name,
    checked_topic,
    read_offset,
    written_offset,
    wrong_option,
)
from cepheid.connectors.file_source import checked_path
from cepheid.connectors.protocol import Feed
from cepheid.connectors.sqlite_values import declared_type, instant, reader_of
from cepheid.errors import AppError, CepheidError
from cepheid.names import listed_names, nearest_name
from cepheid.options import checked_flag

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SqliteSource"]

_QUERY = re.compile(r"\s*(?:SELECT|WITH)\s", re.IGNORECASE)
#: `application_id` of an event store.
_STORE = 0x6370_6864
# How long a statement waits for whoever writes.
_BUSY_SECONDS = 5.0
_NAME = "cepheid_source"


class _Column(NamedTuple):
    name: str
    data_type: pa.DataType
    read: Callable[[Any], Any]
    # Whether what `read` gives may be too large for the type.
    narrow: bool


@final
class SqliteSource:
    """Rows of a table, a view or a query of SQLite, as they come: those behind the last one that was read.

    The cursor is a column that only grows from row to row, each value once: ``"id"``. Or several columns, compared one
    after the other, of which the last tells rows apart that agree in those before: ``("updated_at", "id")``; so no row
    is left out where a batch ends between two of the same time.

    What is not seen: that a row was changed, unless its cursor grew; that a row was deleted; a row whose cursor is
    NULL; a row that comes to stand before one that has been read, as when times are taken before the transaction that
    writes them ends. `lag` leaves rows of the last moments for later, and so gives the others time to come.

    The database is opened to be read only, and no transaction is kept open between two looks. It cannot be an event
    store. Columns have the types that they declare: whole numbers, floats, text, bytes; ``BOOLEAN``, ``DATE``,
    ``DATETIME`` and ``TIMESTAMP`` (text of ISO 8601, of UTC if it does not say, or seconds since 1970) as what they
    say. A row with a value that does not fit is rejected.

    Args:
        path: The database.
        table: A table, a view, or a query that begins with ``SELECT`` or ``WITH``.
        cursor: The column, or the columns, of the cursor: whole numbers, floats or text. An index on them makes looking
            cheap.
        topic: The type of the rows. None: a column ``type`` says it.
        follow: Whether to look again when all has been read.
        poll: How often to look.
        lag: How old a row must be by the first column of the cursor, which is a time then.
        columns: Arrow types, by name of column, for those that declare none (expressions of a query), or another one.
        batch_rows: How many rows are read at once.
        name: What offsets are saved under. None: ``sqlite:``, the path, and the name of the table.
        clock: Gives the time that it is, with its zone; for `lag`. None: the system's clock.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: A span of time is none (code ``invalid-duration``).
        AppError: Another argument fits no table (code ``source-option``).

    Example:
        >>> from cepheid.connectors import SqliteSource
        >>> SqliteSource("shop.db", "orders", cursor=("updated_at", "id"), topic="order.changed")
        SqliteSource('shop.db', 'orders', cursor=('updated_at', 'id'), topic='order.changed')
    """

    __slots__ = (
        "_batch_rows",
        "_clock",
        "_columns",
        "_cursor",
        "_follow",
        "_lag",
        "_name",
        "_path",
        "_poll",
        "_table",
        "_topic",
    )

    def __init__(
        self,
        path: str | os.PathLike[str],
        table: str,
        *,
        cursor: str | Iterable[str] = "id",
        topic: str | None = None,
        follow: bool = True,
        poll: Any = "1s",
        lag: Any = "0s",
        columns: Any = None,
        batch_rows: int = 5_000,
        name: str | None = None,
        clock: Callable[[], dt.datetime] | None = None,
    ) -> None:
        self._path = checked_path(path)
        self._table = _text(table, "table").rstrip("; \t\r\n")
        names = [cursor] if isinstance(cursor, str) else cursor
        if not isinstance(names, Iterable):
            raise TypeError(f"cursor is a column or several, not {type(cursor).__name__}")
        self._cursor = tuple(_text(column, "cursor") for column in names)
        if not 1 <= len(self._cursor) <= 8 or len(set(self._cursor)) < len(self._cursor):
            raise wrong_option("cursor is one column, or up to eight, each once")
        self._topic = checked_topic(topic)
        self._follow = checked_flag(follow, "follow")
        self._poll = checked_seconds(poll, "poll")
        self._lag = checked_seconds(lag, "lag", zero=True)
        self._columns = _types(columns)
        self._batch_rows = checked_number(batch_rows, "batch_rows", 1, 1_000_000)
        if clock is not None and not callable(clock):
            raise TypeError(f"clock is a function or None, not {type(clock).__name__}")
        self._clock = clock
        if name is None and _QUERY.match(self._table):
            raise wrong_option("a source of a query needs name=: what its offsets are saved under")
        self._name = f"sqlite:{self._path}:{self._table}" if name is None else checked_source_name(name)

    @property
    def name(self) -> str:
        """What its offsets are saved under.

        Example:
            >>> from cepheid.connectors import SqliteSource
            >>> SqliteSource("shop.db", "orders", topic="order.changed").name
            'sqlite:shop.db:orders'
        """
        return self._name

    def run(self, feed: Feed) -> None:
        """Reads the rows that are there, and looks for more until the app stops; or not, if they are not followed.

        Args:
            feed: Where they go.

        Raises:
            AppError: The database cannot be read, or is an event store; there is no such table or column, or one has no
                type (code ``source-database``); the cursor does not tell rows apart (code ``source-cursor``); or what
                is saved under the name is of another source (code ``source-offset``).
        """
        said = read_offset(feed.offset, self._name, "sqlite")
        after = None if said is None else said.get("after")
        if after is not None and (not isinstance(after, list) or len(after) != len(self._cursor)):
            raise AppError(
                f"what is saved of how far source `{self._name}` has been read is of another cursor; give this source "
                "another name",
                code="source-offset",
                source=self._name,
            )
        with contextlib.closing(self._connected()) as database:
            columns = self._described(database)
            while not feed.stopping:
                rows = self._read(database, columns, after)
                if rows:
                    after = self._send(feed, columns, rows, after)
                    continue
                if rows is not None and not self._follow:
                    return
                feed.wait(self._poll)

    def _connected(self) -> sqlite3.Connection:
        path = os.path.realpath(self._path)
        if not os.path.isfile(path):
            raise self._fault("there is no such database")
        # Asked without opening it: to close a file takes the locks away that a store of this process holds on it.
        if os.path.exists(f"{path}-writer"):
            raise self._fault("it is an event store; follow it with EventStore.subscribe")
        try:
            database = sqlite3.connect(
                f"file:{quote(path)}?mode=ro", uri=True, timeout=_BUSY_SECONDS, isolation_level=None
            )
        except sqlite3.Error as error:
            raise self._fault(str(error)) from None
        # Text that is none is seen when its row is read, and takes no other with it.
        database.text_factory = _decoded
        try:
            database.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            database.execute("PRAGMA trusted_schema = OFF")
            [[application]] = database.execute("PRAGMA application_id")
        except sqlite3.Error as error:
            database.close()
            raise self._fault(str(error)) from None
        if application == _STORE:
            database.close()
            raise self._fault("it is an event store; follow it with EventStore.subscribe")
        return database

    def _described(self, database: sqlite3.Connection) -> list[_Column]:
        """The columns of what is read, under a name that stands for it from here on."""
        source = f"({self._table}\n)" if _QUERY.match(self._table) else f"main.{_quoted(self._table)}"
        try:
            # Of a view SQLite tells the types that its columns have in the tables they come from.
            database.execute(f"CREATE TEMP VIEW {_NAME} AS SELECT * FROM {source}")
            described = database.execute(f"PRAGMA temp.table_info({_NAME})").fetchall()
            database.execute("PRAGMA query_only = ON")
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._fault(str(error)) from None
        names = [row[1] for row in described]
        if unknown := [name for name in (*self._cursor, *self._columns) if name not in names]:
            raise AppError(
                f"{self._table[:100]} in {self._path} has no column `{unknown[0]}`; it has {listed_names(names)}",
                code="source-database",
                source=self._name,
                known=names,
                hint=nearest_name(unknown[0], names),
            )
        columns = []
        for name, declared in ((row[1], row[2]) for row in described):
            data_type = self._columns.get(name) or declared_type(declared or "")
            if data_type is None:
                raise self._fault(f"column `{name}` declares no type; say it, with columns={{{name!r}: ...}}")
            columns.append(_Column(name, data_type, reader_of(data_type), data_type not in _roomy()))
        if len(self._cursor) == 1 and not _QUERY.match(self._table) and not self._is_unique(database):
            raise AppError(
                f"several rows of {self._table} may have the same `{self._cursor[0]}`, and some would be left out; "
                f'add a column that tells them apart: cursor=("{self._cursor[0]}", "id")',
                code="source-cursor",
                source=self._name,
            )
        return columns

    def _is_unique(self, database: sqlite3.Connection) -> bool:
        """Whether the table says that its cursor is of one row; of a view nobody knows."""
        table, column = self._table, self._cursor[0]
        kind = database.execute("SELECT type FROM main.sqlite_master WHERE name = ? COLLATE NOCASE", [table]).fetchone()
        if kind is None or kind[0] != "table":
            return True
        keys = [row[1] for row in database.execute(f"PRAGMA main.table_info({_quoted(table)})") if row[5]]
        if keys == [column]:
            return True
        for row in database.execute(f"PRAGMA main.index_list({_quoted(table)})").fetchall():
            # One with a condition says nothing of the other rows.
            if row[2] and not row[4]:
                members = [part[2] for part in database.execute(f"PRAGMA main.index_info({_quoted(row[1])})")]
                if members == [column]:
                    return True
        return False

    def _read(
        self, database: sqlite3.Connection, columns: list[_Column], after: list[Any] | None
    ) -> list[tuple[Any, ...]] | None:
        """The next rows, each with its cursor behind its columns; None: somebody writes for long."""
        cursor = [_quoted(name) for name in self._cursor]
        listed = ", ".join(cursor)
        condition = " AND ".join(f"{name} IS NOT NULL" for name in cursor)
        if after is not None:
            marks = ("CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in map(_bound, after))
            condition += f" AND ({listed}) > ({', '.join(marks)})"
        wanted = ", ".join(_quoted(column.name) for column in columns)
        # One more than are sent, to see whether it has the cursor of the last.
        limit = self._batch_rows + 1
        query = f"SELECT {wanted}, {listed} FROM temp.{_NAME} WHERE {condition} ORDER BY {listed} LIMIT {limit}"
        try:
            rows = database.execute(query, [_bound(value) for value in after or []]).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return None
            raise self._fault(str(error)) from None
        except (sqlite3.Error, UnicodeError) as error:
            raise self._fault(str(error)) from None
        width = len(columns)
        for row, following in itertools.pairwise(rows):
            if row[width:] == following[width:]:
                raise AppError(
                    f"two rows have the same cursor, {self._cursor_text(row[width:])}; add a column to cursor= that "
                    "tells them apart",
                    code="source-cursor",
                    source=self._name,
                )
        rows = rows[: self._batch_rows]
        return self._ripe(rows, width) if self._lag else rows

    def _ripe(self, rows: list[tuple[Any, ...]], width: int) -> list[tuple[Any, ...]]:
        """The rows before the first that is younger than `lag`."""
        now = dt.datetime.now(dt.UTC) if self._clock is None else self._clock()
        latest = now - dt.timedelta(seconds=self._lag)
        for place, row in enumerate(rows):
            try:
                moment = instant(row[width])
            except ValueError as error:
                raise AppError(
                    f"lag= needs a time as the first column of the cursor, and `{self._cursor[0]}` has "
                    f"{row[width]!r:.100} ({error})",
                    code="source-cursor",
                    source=self._name,
                ) from None
            if moment > latest:
                return rows[:place]
        return rows

    def _send(self, feed: Feed, columns: list[_Column], rows: list[tuple[Any, ...]], after: Any) -> list[Any] | None:
        """Sends rows, and gives how far they lead."""
        import pyarrow as pa

        width = len(columns)
        good: list[list[Any]] = []
        last: list[Any] | None = after

        def sent() -> None:
            values = zip(*good, strict=True)
            arrays = [pa.array(column, field.data_type) for column, field in zip(values, columns, strict=True)]
            table = pa.Table.from_arrays(arrays, names=[column.name for column in columns])
            feed.send(table, topic=self._topic, offset=written_offset("sqlite", after=last))
            good.clear()

        try:
            for row in rows:
                cursor = self._saved(row[width:])
                try:
                    values = _values(columns, row)
                except ValueError as error:
                    if good:
                        sent()
                    offset = written_offset("sqlite", after=cursor)
                    feed.reject(_plain(columns, row), str(error), code="bad-row", topic=self._topic, offset=offset)
                else:
                    good.append(values)
                last = cursor
            if good:
                sent()
        except CepheidError:
            if not feed.stopping:
                raise
        return last

    def _saved(self, cursor: tuple[Any, ...]) -> list[Any]:
        if any(isinstance(value, bytes) for value in cursor):
            raise AppError(
                f"the cursor is {self._cursor_text(cursor)}; bytes are no cursor, take whole numbers or text",
                code="source-cursor",
                source=self._name,
            )
        return list(cursor)

    def _cursor_text(self, values: tuple[Any, ...]) -> str:
        return ", ".join(f"{name} = {value!r:.100}" for name, value in zip(self._cursor, values, strict=True))

    def _fault(self, reason: str) -> AppError:
        return AppError(
            f"source `{self._name}` cannot read {self._path}: {reason}", code="source-database", source=self._name
        )

    def __repr__(self) -> str:
        cursor = self._cursor[0] if len(self._cursor) == 1 else self._cursor
        topic = "" if self._topic is None else f", topic={self._topic!r}"
        return f"SqliteSource({self._path!r}, {self._table!r}, cursor={cursor!r}{topic})"


def _values(columns: list[_Column], row: tuple[Any, ...]) -> list[Any]:
    """The values of a row.

    Raises:
        ValueError: One does not fit its column; the message is a sentence.
    """
    values = []
    for column, value in zip(columns, row, strict=False):
        try:
            found = None if value is None else column.read(value)
            if column.narrow:
                _check_fits(found, column)
        except (ValueError, OverflowError) as error:
            raise ValueError(
                f"column `{column.name}` is {column.data_type}, and its value does not fit: {error}"
            ) from None
        values.append(found)
    return values


def _check_fits(value: Any, column: _Column) -> None:
    import pyarrow as pa

    try:
        pa.scalar(value, column.data_type)
    except (pa.ArrowException, OverflowError) as error:
        raise ValueError(str(error)[:200]) from None


def _roomy() -> tuple[pa.DataType, ...]:
    """Types that hold whatever their readers give."""
    import pyarrow as pa

    return pa.int64(), pa.float64(), pa.string(), pa.binary(), pa.bool_(), pa.date32(), pa.timestamp("us", "UTC")


def _plain(columns: list[_Column], row: tuple[Any, ...]) -> bytes:
    """A row as JSON, for the dead letter; bytes as hexadecimal digits."""
    values = zip((column.name for column in columns), row, strict=False)
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in values}
    return json.dumps(plain, ensure_ascii=False, default=str).encode(errors="replace")


def _decoded(text: bytes) -> str:
    return text.decode(errors="surrogateescape")


def _bound(value: Any) -> Any:
    """A value of a cursor as a parameter; text that is no UTF-8 as its bytes."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode(errors="surrogateescape")
    return value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is text, not {type(value).__name__}")
    if not value.strip() or "\0" in value:
        raise wrong_option(f"{what} is empty, or has a NUL")
    return value


def _types(columns: Any) -> dict[str, pa.DataType]:
    types = {} if columns is None else checked_columns(columns)
    for name, data_type in types.items():
        try:
            reader_of(data_type)
        except ValueError as error:
            raise wrong_option(f"column `{name}`: {error}") from None
    return types
