"""Rows in tables: each event put in, or in place of the one with the same key, once."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, final

from cepheid.actions.checking import checked_name, checked_seconds, checked_texts, invalid_action, missing_column
from cepheid.actions.sql_dialect import PARAMSTYLES, Dialect, identifier_fault, is_permanent, quoted
from cepheid.actions.sqlite_file import application_id
from cepheid.errors import ActionError
from cepheid.names import invalid_choice
from cepheid.options import checked_flag
from cepheid.schema.envelope import ENVELOPE

if TYPE_CHECKING:
    from cepheid.actions.protocol import ActionContext

__all__ = ["SqlUpsert"]

# `application_id` of an event store.
_STORE = 0x6370_6864
_DONE = "cepheid_done"


@final
class SqlUpsert:
    """Puts each event into a table: a new row, or in place of the row with the same key.

    For SQLite by the path of its file, and for any database with ``INSERT ... ON CONFLICT ... DO UPDATE`` (PostgreSQL,
    DuckDB, SQLite) by a function that opens a connection of DB-API or ADBC. The table has to be there, with a primary
    key or a unique index on just the columns of `key`.

    - **Once**: with `once` the idempotency key goes into a table ``cepheid_done`` in the same transaction. Whatever
      happens when, the row is put in exactly once: an event that comes again after others cannot bring back what was
      there before them. The table grows by a row an event; `forget` removes old ones. Without `once` a repeat puts the
      same row in again.
    - **Values**: SQLite is given times as text (RFC 3339), decimals as text, truth as 0 and 1; other databases are
      given them as they are. What is nested becomes JSON. SQLite keeps NaN as NULL.
    - **Failures**: what the database calls an error of integrity, data or programming is not tried again, anything else
      is, with a new connection.
    - **Limits**: one connection, so that events are put in one after the other.

    Args:
        target: The path of a SQLite file, which is made if it is not there; or a function that opens a connection. It
            must not be the file of an event store. A connection of `sqlite3` has ``check_same_thread=False``, as it is
            used by whichever thread has an event.
        table: The table, perhaps with its schema in front: ``"sales.orders"``. Names are quoted: they are
            taken as they stand.
        key: The columns of the key.
        columns: The columns that are put in, or a mapping of columns of the table to those of the event. None: the
            data of the event, whatever it has, and the columns of the key.
        once: Whether it is remembered in the database what has been put in.
        paramstyle: How the connection wants parameters: one of PEP 249's, or ``"numeric_dollar"``. None: what its
            module says.
        timeout: Seconds that are waited for a lock of SQLite where the context names none.
        name: The name of the action. None: ``sql:`` and the table. With `once` it is part of what is remembered.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: An argument says something impossible (code ``invalid-action``).

    Example:
        >>> from cepheid.actions import SqlUpsert
        >>> SqlUpsert("shop.sqlite", "orders", key=["order"], columns=["order", "total"])
        SqlUpsert('orders', key=['order'], name='sql:orders')
    """

    __slots__ = (
        "_columns",
        "_connection",
        "_dialect",
        "_key",
        "_lock",
        "_once",
        "_open",
        "_paramstyle",
        "_path",
        "_table",
        "_timeout",
        "name",
    )

    #: The name under which it is saved what has been done.
    name: str
    #: Calls block; they are made in threads.
    is_coroutine = False

    def __init__(
        self,
        target: str | os.PathLike[str] | Callable[[], Any],
        table: str,
        *,
        key: Iterable[str],
        columns: Iterable[str] | Mapping[str, str] | None = None,
        once: bool = True,
        paramstyle: str | None = None,
        timeout: float = 5.0,
        name: str | None = None,
    ) -> None:
        self._path: str | None = None
        self._open: Callable[[], Any]
        if isinstance(target, (str, os.PathLike)):
            self._path = os.fspath(target)
            if not self._path or self._path == ":memory:" or self._path.startswith("file:"):
                raise invalid_action("the file of a database has a path; for a database in memory give a function")
            _refuse_store(self._path)
            self._open = self._opened_file
        elif callable(target):
            self._open = target
        else:
            raise TypeError(f"target is a path or a function that opens a connection, not {type(target).__name__}")
        if not isinstance(table, str):
            raise TypeError(f"table is text, not {type(table).__name__}")
        self._table = _identifiers(table.split("."), "a table")
        self._key = _identifiers(checked_texts(key, "key"), "a column of the key")
        if columns is None:
            self._columns = None
        else:
            listed = (
                dict(columns) if isinstance(columns, Mapping) else {c: c for c in checked_texts(columns, "columns")}
            )
            checked_texts(listed.values(), "columns")
            _identifiers(list(listed), "a column")
            if missing := [column for column in self._key if column not in listed]:
                raise invalid_action(f"columns leave out `{missing[0]}`, which is of the key", known=listed)
            self._columns = listed
        if paramstyle not in (None, *PARAMSTYLES):
            raise invalid_choice("paramstyle", paramstyle, [*PARAMSTYLES, None])
        self._once, self._paramstyle = checked_flag(once, "once"), paramstyle
        self._timeout = checked_seconds(timeout, "timeout")
        self.name = checked_name(name, f"sql:{table}"[:200])
        self._lock = threading.Lock()
        self._connection: Any = None
        self._dialect: Dialect | None = None

    def __call__(self, event: Mapping[str, Any], context: ActionContext) -> None:
        """Puts an event in.

        Args:
            event: The event, by column.
            context: What an action is told.

        Raises:
            ActionError: The database could not be reached or was busy (code ``sql-failed``); it refused the row
                (``sql-refused``), the event lacks a column (``action-column``), or has a value that cannot be put in
                (``sql-value``): permanent.
            AppError: The connection is none that it can be done with (code ``invalid-action``).
        """
        row = self._row(event)
        with self._lock:
            self._in_transaction(lambda cursor, dialect: self._put(cursor, dialect, row, context), context.timeout)

    def _row(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The values, by column of the table."""
        if self._columns is None:
            # The key may be of the envelope.
            names = dict.fromkeys([*self._key, *(name for name in event if name not in ENVELOPE)])
            chosen = {name: name for name in names}
        else:
            chosen = self._columns
        row = {}
        for column, of_event in chosen.items():
            if of_event not in event:
                raise missing_column(of_event, event, self.name)
            row[column] = event[of_event]
        for column in self._key:
            if row[column] is None or (isinstance(row[column], float) and row[column] != row[column]):
                raise ActionError(
                    f"{self.name}: `{column}` is of the key, and the event has no value there; NULLs are no key, as no "
                    "two of them are equal",
                    code="sql-value",
                    action=self.name,
                    permanent=True,
                )
        return row

    def _put(self, cursor: Any, dialect: Dialect, row: Mapping[str, Any], context: ActionContext) -> None:
        values = [dialect.value(value, column) for column, value in row.items()]
        if self._once and not self._noted(cursor, dialect, context):
            return
        names = list(row)
        parts: list[str | int] = [f"INSERT INTO {_listed(self._table, '.')} ({_listed(names)}) VALUES ("]
        for number in range(len(names)):
            parts += [", " if number else "", number]
        parts.append(f") ON CONFLICT ({_listed(self._key)}) DO ")
        rest = [name for name in names if name not in self._key]
        changes = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in rest)
        parts.append(f"UPDATE SET {changes}" if rest else "NOTHING")
        cursor.execute(dialect.written(parts), dialect.given(values))

    def _noted(self, cursor: Any, dialect: Dialect, context: ActionContext) -> bool:
        """Notes that the event is put in; False: it has been before."""
        at = context.now.astimezone(dt.UTC).isoformat(timespec="microseconds")
        parts: list[str | int] = [f'INSERT INTO {_DONE} ("action", "key", "at") VALUES (', 0, ", ", 1, ", ", 2]
        # What is given back is what was put in; how many rows were is not told by every driver. Where another does the
        # same at the same time, this waits for its end.
        text = dialect.written([*parts, ') ON CONFLICT ("action", "key") DO NOTHING RETURNING "key"'])
        cursor.execute(text, dialect.given([self.name, context.key, at]))
        return cursor.fetchone() is not None

    def forget(self, before: dt.datetime) -> int:
        """Removes what is remembered of events that this action put in before a moment.

        An event that is given again after it has been forgotten is put in again. The app gives one again after a crash,
        when it is asked to, and when it reads the store anew from an earlier position.

        Args:
            before: The moment, with a zone.

        Returns:
            How many are forgotten.

        Raises:
            TypeError: It is no time.
            AppError: It has no zone (code ``invalid-action``).
            ActionError: The database could not be reached, or nothing has been remembered yet (code ``sql-failed``).

        Example:
            >>> import datetime as dt
            >>> import sqlite3
            >>> from cepheid.actions import SqlUpsert
            >>> def connect():
            ...     database = sqlite3.connect(":memory:", check_same_thread=False)
            ...     database.execute("CREATE TABLE cepheid_done (action, key, at, PRIMARY KEY (action, key))")
            ...     return database
            >>> action = SqlUpsert(connect, "orders", key=["order"])
            >>> action.forget(dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc))
            0
            >>> action.close()
        """
        if not isinstance(before, dt.datetime):
            raise TypeError(f"before is a datetime, not {type(before).__name__}")
        if before.tzinfo is None:
            raise invalid_action("before has a zone; say which: datetime.now(timezone.utc)")
        at = before.astimezone(dt.UTC).isoformat(timespec="microseconds")
        found = 0

        def remove(cursor: Any, dialect: Dialect) -> None:
            nonlocal found
            condition: list[str | int] = [f' FROM {_DONE} WHERE "action" = ', 0, ' AND "at" < ', 1]
            given = dialect.given([self.name, at])
            cursor.execute(dialect.written(["SELECT count(*)", *condition]), given)
            found = int(cursor.fetchone()[0])
            cursor.execute(dialect.written(["DELETE", *condition]), given)

        with self._lock:
            self._in_transaction(remove, None)
        return found

    def _in_transaction(self, change: Callable[[Any, Dialect], None], timeout: float | None) -> None:
        try:
            if self._connection is None:
                self._connection = self._open()
                self._dialect = Dialect.of(self._connection, self._paramstyle)
                if self._once:
                    self._make_done(self._dialect)
            dialect = self._dialect
            assert dialect is not None
            with dialect.cursor(self._connection) as cursor:
                if self._path is not None:
                    cursor.execute(f"PRAGMA busy_timeout = {int((timeout or self._timeout) * 1000)}")
                if dialect.begin and not getattr(self._connection, "in_transaction", False):
                    cursor.execute(dialect.begin)
                change(cursor, dialect)
            self._connection.commit()
        except ActionError:
            self._abandon()
            raise
        except BaseException as error:
            self._abandon()
            if not isinstance(error, Exception) or getattr(error, "code", None) == "invalid-action":
                raise
            text = f"{self.name}: {type(error).__name__}: {str(error)[:300]}"
            if is_permanent(error):
                raise ActionError(text, code="sql-refused", action=self.name, permanent=True) from None
            raise ActionError(text, code="sql-failed", action=self.name) from None

    def _make_done(self, dialect: Dialect) -> None:
        # In a transaction of its own, and without a word if it fails: another may be making it at this moment, or it is
        # there and this user may make no tables. If it is neither, what puts into it says so.
        try:
            with dialect.cursor(self._connection) as cursor:
                if dialect.begin:
                    cursor.execute(dialect.begin)
                cursor.execute(
                    f'CREATE TABLE IF NOT EXISTS {_DONE} ("action" VARCHAR(200) NOT NULL, '
                    '"key" VARCHAR(1000) NOT NULL, "at" VARCHAR(40) NOT NULL, PRIMARY KEY ("action", "key"))'
                )
            self._connection.commit()
        except Exception:
            self._connection.rollback()

    def _abandon(self) -> None:
        """Nothing of it has happened; the next attempt begins with a new connection, as this one may be broken."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.rollback()
            with contextlib.suppress(Exception):
                connection.close()

    def _opened_file(self) -> sqlite3.Connection:
        assert self._path is not None
        # Looked at again, as it may have been made since.
        _refuse_store(self._path)
        return sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        """Closes the connection. An event after that opens a new one.

        Example:
            >>> from cepheid.actions import SqlUpsert
            >>> SqlUpsert("shop.sqlite", "orders", key=["order"]).close()
        """
        with self._lock:
            self._abandon()

    def __repr__(self) -> str:
        return f"SqlUpsert({'.'.join(self._table)!r}, key={self._key!r}, name={self.name!r})"


def _listed(names: Iterable[str], between: str = ", ") -> str:
    return between.join(map(quoted, names))


def _identifiers(names: list[str], what: str) -> list[str]:
    if fault := identifier_fault(names, what):
        raise invalid_action(fault)
    return names


def _refuse_store(path: str) -> None:
    # A store that somebody writes to, or has written to, is told by what is beside it, without its being opened: the
    # SQLite of its handle is another than that of Python, and each would let go of the other's locks.
    if os.path.exists(os.path.realpath(path) + "-writer") or application_id(path) == _STORE:
        raise invalid_action(f"{path} is an event store; rows go into a database of their own")
