"""Values of SQLite as columns of Arrow: the type that a column declares is what its values are read as."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["declared_type", "instant", "reader_of"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def declared_type(declared: str) -> pa.DataType | None:
    """The Arrow type of a declared type, by SQLite's own rules of affinity, and by name for times and truth values.

    Args:
        declared: What stands behind the name of the column; empty: nothing does.

    Returns:
        The type; None where nothing is declared.

    Example:
        >>> from cepheid.connectors.sqlite_values import declared_type
        >>> [str(declared_type(name)) for name in ("BIGINT", "varchar(20)", "DATETIME", "DECIMAL(10, 2)", "")]
        ['int64', 'string', 'timestamp[us, tz=UTC]', 'double', 'None']
    """
    import pyarrow as pa

    name = declared.strip().upper()
    if not name:
        return None
    if name.startswith("BOOL"):
        return pa.bool_()
    if name.startswith(("TIMESTAMP", "DATETIME")):
        return pa.timestamp("us", "UTC")
    if name == "DATE":
        return pa.date32()
    if "INT" in name:
        return pa.int64()
    if any(part in name for part in ("CHAR", "CLOB", "TEXT", "JSON", "UUID")):
        return pa.string()
    if "BLOB" in name:
        return pa.binary()
    return pa.float64()


def reader_of(data_type: pa.DataType) -> Callable[[Any], Any]:
    """What makes a value of Python of a value of SQLite, for an Arrow type; raises ValueError where there is none.

    Args:
        data_type: The type of the column.

    Example:
        >>> import pyarrow as pa
        >>> from cepheid.connectors.sqlite_values import reader_of
        >>> reader_of(pa.bool_())(1), reader_of(pa.date32())("2026-01-31")
        (True, datetime.date(2026, 1, 31))
    """
    import pyarrow as pa

    if pa.types.is_boolean(data_type):
        return _truth
    if pa.types.is_timestamp(data_type):
        return instant if data_type.tz is not None else lambda value: instant(value).replace(tzinfo=None)
    if pa.types.is_date(data_type):
        return _date
    if pa.types.is_integer(data_type):
        return _integer
    if pa.types.is_floating(data_type):
        return _number
    if pa.types.is_string(data_type) or pa.types.is_large_string(data_type):
        return _text
    if pa.types.is_binary(data_type) or pa.types.is_large_binary(data_type):
        return _bytes
    raise ValueError(f"no value of SQLite is read as {data_type}")


def instant(value: Any) -> dt.datetime:
    """A moment, from text of ISO 8601 (without a zone: UTC), or from seconds since 1970.

    Args:
        value: The text or the number.

    Raises:
        ValueError: It is neither.

    Example:
        >>> from cepheid.connectors.sqlite_values import instant
        >>> instant("2026-01-31 12:00:00").isoformat(), instant(0).isoformat()
        ('2026-01-31T12:00:00+00:00', '1970-01-01T00:00:00+00:00')
    """
    if isinstance(value, str):
        moment = dt.datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    if isinstance(value, (int, float)) and math.isfinite(value):
        try:
            return _EPOCH + dt.timedelta(seconds=value)
        except OverflowError:
            raise ValueError("it is no time of the years 1 to 9999") from None
    raise ValueError("it is neither text nor a number")


def _truth(value: Any) -> bool:
    if value in (0, 1):
        return bool(value)
    raise ValueError("it is neither 0 nor 1")


def _date(value: Any) -> dt.date:
    return dt.date.fromisoformat(value.strip()) if isinstance(value, str) else instant(value).date()


def _integer(value: Any) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError("it is no whole number")


def _number(value: Any) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    raise ValueError("it is no number")


def _text(value: Any) -> str:
    if isinstance(value, str):
        if not value.isascii():
            # Raises for bytes that are no text.
            value.encode()
        return value
    if isinstance(value, (int, float)):
        return str(value)
    raise ValueError("it is no text")


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode(errors="surrogateescape")
    raise ValueError("it is neither bytes nor text")
