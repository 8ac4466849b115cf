"""What differs between databases when a row is put in: how parameters are written, and which values they take."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import sys
import uuid
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any, NamedTuple

from cepheid.actions.checking import invalid_action
from cepheid.actions.event_json import json_value
from cepheid.errors import ActionError

__all__ = ["PARAMSTYLES", "Dialect", "identifier_fault", "is_permanent", "product_of", "quoted"]

#: Those of PEP 249, and ``$1``, which ADBC's PostgreSQL takes.
PARAMSTYLES = ("qmark", "numeric", "named", "format", "pyformat", "numeric_dollar")
# Of PEP 249: what another attempt meets in the same way.
_PERMANENT = frozenset({"IntegrityError", "DataError", "ProgrammingError", "NotSupportedError"})

# Of PostgreSQL: the server was shut down, crashed, cannot be connected to now, or has ended an idle session; and that a
# statement which the connection has prepared gives other types by now.
_LOST_STATES = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "0A000"})
# Of SQLite: the file cannot be read or opened, is locked against all rules, is none, or no longer the one it was.
_LOST_FILES = frozenset({10, 11, 14, 15, 26})


def quoted(identifier: str) -> str:
    """A name as SQL has it when it is to be taken as it stands."""
    return '"' + identifier.replace('"', '""') + '"'


def identifier_fault(names: list[str], what: str) -> str | None:
    """What is wrong with names of a table or of columns; None: nothing."""
    if not names or len(set(names)) < len(names):
        return f"there is one name of {what} at least, and none twice"
    for name in names:
        if not name or "\0" in name or len(name) > 200:
            return f"the name of {what} has 1 to 200 characters, and no NUL among them"
    return None


class Dialect(NamedTuple):
    """How a connection wants to be spoken to.

    Attributes:
        paramstyle: How parameters are written.
        is_sqlite: Whether it is SQLite, which has no times, no decimals and no truth.
        begin: What begins a transaction, where none is begun by the first statement.
        has_cursors: Whether cursors share the transaction of their connection; those of DuckDB are connections of
            their own.
    """

    paramstyle: str
    is_sqlite: bool
    begin: str | None = None
    has_cursors: bool = True

    @classmethod
    def of(cls, connection: Any, paramstyle: str | None, *, for_reading: bool = False) -> Dialect:
        """That of a connection.

        Args:
            connection: The connection.
            paramstyle: How it wants parameters; None: what its module says.
            for_reading: Whether nothing is written, so that statements may be transactions of their own.

        Raises:
            AppError: The module of the connection does not say how parameters are written, or each of its statements
                is a transaction (code ``invalid-action``).
        """
        module = type(connection).__module__
        product = product_of(connection)
        is_adbc = hasattr(connection, "adbc_get_info")
        if paramstyle is None:
            paramstyle = "numeric_dollar" if is_adbc and product == "postgresql" else _paramstyle(module)
        is_sqlite = product == "sqlite"
        if not for_reading and getattr(connection, "autocommit", None) is True:
            raise invalid_action(
                "the connection makes every statement a transaction of its own (autocommit); upserts need one for "
                "several statements: switch it off in the connection factory"
            )
        if is_sqlite and not is_adbc:
            return cls(paramstyle, True, "BEGIN IMMEDIATE")
        if product == "duckdb" and not is_adbc:
            return cls(paramstyle, False, "BEGIN TRANSACTION", False)
        return cls(paramstyle, is_sqlite)

    def cursor(self, connection: Any) -> AbstractContextManager[Any]:
        """Something to execute statements with, in the transaction that the connection commits."""
        return closing(connection.cursor()) if self.has_cursors else nullcontext(connection)

    def written(self, parts: Iterable[str | int]) -> str:
        """A statement of texts and numbers of parameters, from 0."""
        marks = {
            "qmark": "?",
            "format": "%s",
            "pyformat": "%(p{0})s",
            "named": ":p{0}",
            "numeric": ":{1}",
            "numeric_dollar": "${1}",
        }
        mark = marks[self.paramstyle]
        percent = self.paramstyle in ("format", "pyformat")
        return "".join(
            mark.format(part, part + 1) if isinstance(part, int) else part.replace("%", "%%") if percent else part
            for part in parts
        )

    def given(self, values: list[Any]) -> Any:
        """Parameters in the form that goes with it: a list, or by name."""
        if self.paramstyle in ("named", "pyformat"):
            return {f"p{number}": value for number, value in enumerate(values)}
        return values

    def value(self, value: Any, column: str) -> Any:
        """A value of an event as one that a parameter can be.

        SQLite is given text for times (RFC 3339), decimals and UUIDs, and 0 or 1 for truth; other databases are given
        them as they are. What is nested is JSON in both.
        """
        for method in ("as_py", "item"):
            # Scalars of Arrow and NumPy.
            if type(value).__module__.partition(".")[0] in ("numpy", "pyarrow") and hasattr(value, method):
                value = getattr(value, method)() if getattr(value, "ndim", 0) == 0 else value.tolist()
        if value is None or isinstance(value, (float, str)):
            return _text(value, column) if isinstance(value, str) else value
        if isinstance(value, bool):
            return int(value) if self.is_sqlite else value
        if isinstance(value, int):
            if self.is_sqlite and not -(2**63) <= value < 2**63:
                raise _no_value(column, "is a whole number of more than 64 bits, which SQLite does not have")
            return value
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        if isinstance(value, (dt.datetime, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID)):
            return json_value(value) if self.is_sqlite else value
        return _text(json.dumps(json_value(value), ensure_ascii=False, separators=(",", ":")), column)

    def is_lost(self, error: BaseException | None) -> bool:
        """Whether an error is one of the connection, so that another one may have an answer.

        Told by what a driver has to tell it by: the SQLSTATE, the status of ADBC, the code of SQLite; of a driver that
        gives none of them, by the names of PEP 249. Of SQLite through ADBC it cannot be told: it gives all errors one
        status.
        """
        state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
        if state is not None:
            return str(state)[:2] == "08" or state in _LOST_STATES
        status = getattr(error, "status_code", None)
        if status is not None:
            return not self.is_sqlite and getattr(status, "name", None) in ("IO", "INVALID_STATE")
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None:
            return code & 0xFF in _LOST_FILES
        kinds = {kind.__name__ for kind in type(error).__mro__}
        return isinstance(error, (OSError, EOFError)) or not kinds.isdisjoint(("OperationalError", "InterfaceError"))


def is_permanent(error: Exception) -> bool:
    """Whether an error of a database is met by every attempt; told by the names of PEP 249, as each has its own."""
    return any(kind.__name__ in _PERMANENT for kind in type(error).__mro__)


def _text(text: str, column: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _no_value(column, "is no text that UTF-8 can hold") from None
    return text


def _no_value(column: str, problem: str) -> ActionError:
    return ActionError(f"the value of `{column}` {problem}", code="sql-value", permanent=True)


def _paramstyle(module: str) -> str:
    while module:
        style = getattr(sys.modules.get(module), "paramstyle", None)
        if style in PARAMSTYLES:
            return str(style)
        module = module.rpartition(".")[0]
    raise invalid_action("the connection's module does not say how parameters are written; give paramstyle=")


def product_of(connection: Any) -> str | None:
    """The database that a connection leads to, in lower case; None: it is not known.

    ADBC says it; of others the module tells.
    """
    if hasattr(connection, "adbc_get_info"):
        return str(connection.adbc_get_info().get("vendor_name", "")).lower()
    module = type(connection).__module__.partition(".")[0].lstrip("_")
    return {"sqlite3": "sqlite", "duckdb": "duckdb", "psycopg": "postgresql", "psycopg2": "postgresql"}.get(module)
