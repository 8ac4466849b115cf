"""Arguments of sources, checked: spans of time, sizes, names and topics."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cepheid.errors import AppError
from cepheid.literal import duration_ns

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "checked_bytes",
    "checked_columns",
    "checked_number",
    "checked_seconds",
    "checked_source_name",
    "checked_topic",
    "read_offset",
]

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b?)\s*", re.IGNORECASE)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}


def wrong_option(message: str) -> AppError:
    """The error for an argument that fits no source."""
    return AppError(message, code="source-option")


def checked_seconds(value: Any, what: str, *, zero: bool = False) -> float:
    """A span of time in seconds, longer than zero, or also zero.

    Args:
        value: Text such as ``"250ms"``, or a timedelta.
        what: The name of the argument.
        zero: Whether it may be zero.

    Raises:
        TypeError: It is no span of time.
        PatternError: The text spells none (code ``invalid-duration``).
        AppError: It is not longer than zero (code ``source-option``).

    Example:
        >>> from cepheid.connectors.arguments import checked_seconds
        >>> checked_seconds("250ms", "poll")
        0.25
    """
    seconds = duration_ns(value) / 1_000_000_000
    if seconds < 0 or (seconds == 0 and not zero):
        raise wrong_option(f"{what} is a span of time {'from zero on' if zero else 'longer than zero'}, not {value!r}")
    return seconds


def checked_bytes(value: Any, what: str) -> int:
    """A number of bytes.

    Args:
        value: A whole number, or text such as ``"1MB"`` (a million), ``"64KiB"`` (65,536).
        what: The name of the argument.

    Raises:
        TypeError: It is neither.
        AppError: It spells no size, or is not between 1 byte and 1 TB (code ``source-option``).

    Example:
        >>> from cepheid.connectors.arguments import checked_bytes
        >>> checked_bytes("1.5MB", "body_bytes_max"), checked_bytes("64KiB", "body_bytes_max")
        (1500000, 65536)
    """
    if isinstance(value, str):
        match = _SIZE.fullmatch(value[:100])
        unit = match[2].lower().removesuffix("b") if match else "?"
        if match is None or unit not in _UNITS:
            raise wrong_option(f'{what} is a size such as "1MB" or "64KiB", not {value[:100]!r}')
        size = float(match[1]) * _UNITS[unit]
    elif isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{what} is a number of bytes, or text such as "1MB", not {type(value).__name__}')
    else:
        size = value
    if not 1 <= size <= 10**12:
        raise wrong_option(f"{what} is between 1 byte and 1 TB, not {value!r}")
    return int(size)


def checked_number(value: Any, what: str, low: int, high: int) -> int:
    """A whole number between two bounds.

    Raises:
        TypeError: It is no whole number.
        AppError: It is not between the two (code ``source-option``).
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is a whole number, not {type(value).__name__}")
    if not low <= value <= high:
        raise wrong_option(f"{what} is between {low} and {high}, not {value}")
    return value


def checked_source_name(name: Any) -> str:
    """The name of a source: what its offsets are saved under.

    Raises:
        TypeError: It is no text.
        AppError: It is empty, too long, or has characters that cannot be printed (code ``source-option``).
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a source is text, not {type(name).__name__}")
    if not name or len(name) > 1_000 or not name.isprintable():
        raise wrong_option(f"the name of a source is printable text of 1 to 1,000 characters, not {name[:100]!r}")
    return str.__str__(name)


def checked_topic(topic: Any) -> str | None:
    """A topic, or None.

    Raises:
        TypeError: It is neither.
        AppError: It is empty (code ``source-option``).
    """
    if topic is None:
        return None
    if not isinstance(topic, str):
        raise TypeError(f"topic is text or None, not {type(topic).__name__}")
    if not topic:
        raise wrong_option("topic is empty; give the type of the events, or None where each says its own")
    return str.__str__(topic)


def checked_columns(columns: Any) -> dict[str, pa.DataType]:
    """The types of columns, by name, in their order.

    Args:
        columns: A pyarrow schema, or a mapping of names to types (``"int64"``, ``pa.int64()``).

    Raises:
        TypeError: It is neither.
        AppError: A column has no name, or two have the same (code ``source-option``).
    """
    import pyarrow as pa

    try:
        schema = columns if isinstance(columns, pa.Schema) else pa.schema(list(dict(columns).items()))
    except (TypeError, ValueError) as error:
        raise TypeError(f"columns is a pyarrow schema, or types by the names of columns: {error}") from None
    types = dict(zip(schema.names, schema.types, strict=True))
    if len(types) < len(schema.names) or not all(types):
        raise wrong_option("columns has a column without a name, or two of the same name")
    return types


def read_offset(offset: bytes | None, source: str, kind: str) -> dict[str, Any] | None:
    """What a source has saved of how far it got; None: nothing yet.

    Args:
        offset: What the feed gives.
        source: The name of the source.
        kind: The kind of source that must have written it.

    Raises:
        AppError: Another kind of source wrote it, or nobody that is known (code ``source-offset``).
    """
    if offset is None:
        return None
    try:
        said = json.loads(offset)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("kind") != kind or said.get("version") != 1:
        raise AppError(
            f"what is saved of how far source `{source}` has been read was not written by a source of this kind "
            f"({kind}); give this source another name, or remove what is saved under that name",
            code="source-offset",
            source=source,
        )
    return said


def written_offset(kind: str, **parts: Any) -> bytes:
    """How far a source has been read, as `read_offset` reads it."""
    return json.dumps({"kind": kind, "version": 1, **parts}, separators=(",", ":")).encode()
