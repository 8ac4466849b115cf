"""Python values as constants of an expression, and spans of time written as text."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

from cepheid.errors import PatternError

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_UTC = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EPOCH_DATE = dt.date(1970, 1, 1)

_UNITS_NS = {
    "w": 7 * 86_400_000_000_000,
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_DURATION = re.compile(r"\s*(?:\d+(?:\.\d+)?\s*(?:ms|us|ns|w|d|h|m|s)\s*)+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|us|ns|w|d|h|m|s)")


def literal_node(value: Any) -> Any:
    """The constant as a node of the expression language.

    Raises:
        TypeError: The value is of a type that no column holds.
        PatternError: The value is outside the range of its type (code ``invalid-literal``).
    """
    return {"literal": _literal(value)}


def is_literal_value(value: Any) -> bool:
    """Whether `literal_node` takes values of this type."""
    return (
        value is None
        or isinstance(value, (bool, int, float, str, Decimal, dt.date, dt.time, dt.timedelta))
        or type(value).__module__ in ("numpy", "pyarrow.lib")
        or type(value).__name__ in ("NaTType", "NAType")
    )


def _literal(value: Any) -> Any:
    if value is None or type(value).__name__ in ("NaTType", "NAType"):
        return "null"
    if isinstance(value, bool):
        return {"boolean": value}
    if type(value).__module__ == "numpy":
        return _numpy_literal(value)
    if isinstance(value, int):
        return {"integer": _int64(int(value), value)}
    if isinstance(value, float):
        return {"float": _float(value)}
    if isinstance(value, str):
        return {"string": _text(str.__str__(value))}
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, dt.datetime):
        return _timestamp(value)
    if isinstance(value, dt.date):
        return {"date": (value - _EPOCH_DATE).days}
    if isinstance(value, dt.time):
        if value.tzinfo is not None:
            raise PatternError(
                f"{value!r} has a time zone, which a time of day without a date cannot have", code="invalid-literal"
            )
        seconds = (value.hour * 60 + value.minute) * 60 + value.second
        return {"time": seconds * 1_000_000_000 + value.microsecond * 1_000}
    if isinstance(value, dt.timedelta):
        return {"interval": {"months": 0, "nanoseconds": duration_ns(value)}}
    if type(value).__module__ == "pyarrow.lib" and hasattr(value, "as_py"):
        return _literal(value.as_py())
    raise TypeError(
        f"{type(value).__name__} is not a constant that an expression can hold; use a number, str, bool, None, "
        "datetime, date, time, timedelta or Decimal"
    )


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PatternError(f"{value!r} holds a lone surrogate, which is no text", code="invalid-literal") from None
    return value


def _int64(number: int, shown: object) -> int:
    if not INT64_MIN <= number <= INT64_MAX:
        text = f"{number:.6g}" if number.bit_length() < 1000 else f"an integer of {number.bit_length()} bits"
        raise PatternError(
            f"{text} is outside the range of int64; use a Decimal or a float",
            code="invalid-literal",
        )
    return number


def _float(number: float) -> Any:
    number = float(number)
    if number != number:
        return "nan"
    if number in (float("inf"), float("-inf")):
        return "inf" if number > 0 else "-inf"
    return number


def _decimal(value: Decimal) -> Any:
    if not value.is_finite():
        raise PatternError(f"{value!r} is no number that a decimal column holds", code="invalid-literal")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    scale = max(-exponent, 0)
    if scale > 38 or len(digits) + max(exponent, 0) > 38:
        raise PatternError(f"{value} has more than 38 digits", code="invalid-literal")
    unscaled = int("".join(map(str, digits)) or "0") * 10 ** max(exponent, 0)
    return {"decimal": {"unscaled": str(-unscaled if sign else unscaled), "scale": scale}}


def _timestamp(value: dt.datetime) -> Any:
    zoned = value.tzinfo is not None
    span = value - (_EPOCH_UTC if zoned else _EPOCH)
    # pandas.Timestamp is a datetime that knows nanoseconds; its differences do too, but only pandas' own.
    microseconds = (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
    nanoseconds = microseconds * 1_000 + int(getattr(value, "nanosecond", 0))
    return {"timestamp": {"nanoseconds": _time_range(nanoseconds, value), "zoned": zoned}}


def _time_range(nanoseconds: int, shown: object) -> int:
    if not INT64_MIN <= nanoseconds <= INT64_MAX:
        raise PatternError(
            f"{shown!r} is outside the range of nanoseconds in 64 bits (years 1678 to 2261)", code="invalid-literal"
        )
    return nanoseconds


def _numpy_literal(value: Any) -> Any:
    if getattr(value, "shape", None) != ():
        raise TypeError("a NumPy array is not a constant; compare with .is_in() or give one value")
    kind = value.dtype.kind
    if kind == "b":
        return {"boolean": bool(value)}
    if kind in "iu":
        return {"integer": _int64(int(value), value)}
    if kind == "f":
        return {"float": _float(float(value))}
    if kind == "U":
        return {"string": _text(str(value))}
    if kind in "mM" and str(value) == "NaT":
        return "null"
    if kind == "M":
        if value.dtype.name == "datetime64[D]":
            return {"date": int(value.astype("int64"))}
        return {"timestamp": {"nanoseconds": _exact_ns(value, "datetime64[ns]"), "zoned": False}}
    if kind == "m":
        if value.dtype.name in ("timedelta64[M]", "timedelta64[Y]"):
            months = int(value.astype("int64")) * (12 if value.dtype.name.endswith("[Y]") else 1)
            return {"interval": {"months": months, "nanoseconds": 0}}
        return {"interval": {"months": 0, "nanoseconds": _exact_ns(value, "timedelta64[ns]")}}
    raise TypeError(f"a NumPy value of type {value.dtype} is not a constant that an expression can hold")


def _exact_ns(value: Any, to: str) -> int:
    try:
        converted = value.astype(to)
    except (OverflowError, ValueError):
        converted = None
    # NumPy wraps round without a word: the way back tells.
    if converted is None or converted.astype(value.dtype) != value:
        raise PatternError(f"{value!r} is outside the range of nanoseconds in 64 bits", code="invalid-literal")
    return int(converted.astype("int64"))


def duration_ns(value: str | dt.timedelta | Any) -> int:
    """A span of time in nanoseconds, from text such as ``"1h30m"``, a timedelta, or a NumPy timedelta64.

    Raises:
        TypeError: It is none of these.
        PatternError: The text spells no span, or the span does not fit (code ``invalid-duration``).
    """
    if isinstance(value, str):
        nanoseconds = _duration_text_ns(value)
    elif isinstance(value, dt.timedelta):
        microseconds = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
        nanoseconds = microseconds * 1_000 + int(getattr(value, "nanoseconds", 0))
    elif type(value).__module__ == "numpy" and getattr(getattr(value, "dtype", None), "kind", "") == "m":
        literal = _numpy_literal(value)
        if literal == "null" or literal["interval"]["months"]:
            raise PatternError(f"{value!r} is no exact span of time", code="invalid-duration")
        nanoseconds = literal["interval"]["nanoseconds"]
    else:
        raise TypeError(
            f'a span of time is text such as "10m", a timedelta or a NumPy timedelta64, not {type(value).__name__}'
        )
    if not INT64_MIN <= nanoseconds <= INT64_MAX:
        raise PatternError("a span of time is at most 292 years", code="invalid-duration")
    return int(nanoseconds)


def _duration_text_ns(text: str) -> int:
    # The length is checked first, so that hostile text is refused before it is read.
    if len(text) > 200 or not _DURATION.fullmatch(text):
        raise PatternError(
            f'{text[:200]!r} is no span of time; write numbers with units, such as "10m", "1h30m", "500ms" '
            "(units: w, d, h, m, s, ms, us, ns)",
            code="invalid-duration",
        )
    total = Decimal(0)
    for number, unit in _DURATION_PART.findall(text):
        total += Decimal(number) * _UNITS_NS[unit]
    if total != total.to_integral_value():
        raise PatternError(f"{text!r} is not a whole number of nanoseconds", code="invalid-duration")
    return int(total)


def duration_text(nanoseconds: int) -> str:
    """The shortest text that `duration_ns` reads back; only for spans that are not negative."""
    if nanoseconds == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS_NS.items():
        if unit != "w" and nanoseconds >= size:
            count, nanoseconds = divmod(nanoseconds, size)
            parts.append(f"{count}{unit}")
    return "".join(parts)


_TYPE_NAMES: dict[str, str] = {
    "bool": "boolean",
    "boolean": "boolean",
    "int8": "int8",
    "tinyint": "int8",
    "int16": "int16",
    "smallint": "int16",
    "int32": "int32",
    "integer": "int32",
    "int64": "int64",
    "bigint": "int64",
    "int": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "float32": "float32",
    "float": "float64",
    "real": "float32",
    "float64": "float64",
    "double": "float64",
    "string": "string",
    "str": "string",
    "utf8": "string",
    "varchar": "string",
    "date": "date",
    "date32": "date",
    "time": "time",
    "timestamp": "timestamp",
    "datetime": "timestamp",
    "timestamptz": "timestamp_tz",
    "timestamp_tz": "timestamp_tz",
    "duration": "duration",
    "timedelta": "duration",
}
_DECIMAL = re.compile(r"decimal(?:128)?\(\s*(\d{1,3})\s*(?:,\s*(\d{1,3})\s*)?\)")


def data_type_node(data_type: Any) -> Any:
    """The type that a cast names, from text, a Python type, or a NumPy, pyarrow or Polars type.

    Raises:
        PatternError: The type cannot be named in a cast (code ``unknown-type``).
    """
    text = data_type.__name__ if isinstance(data_type, type) else str(data_type)
    text = text.strip().lower()
    bare = re.sub(r"\[.*\]$", "", text)
    if text.startswith("timestamp[") and "tz=" in text:
        bare = "timestamptz"
    if bare in _TYPE_NAMES:
        return _TYPE_NAMES[bare]
    if decimal := _DECIMAL.fullmatch(text):
        precision, scale = int(decimal[1]), int(decimal[2] or 0)
        if not (1 <= precision <= 38 and scale <= precision):
            raise PatternError(
                f"{text} is not possible: 1 to 38 digits, of which 0 or more behind the point", code="unknown-type"
            )
        return {"decimal": {"precision": precision, "scale": scale}}
    raise PatternError(
        f"{text[:100]!r} is no type that a cast can name",
        code="unknown-type",
        known=[*dict.fromkeys(_public_type_names()), "decimal(p, s)"],
    )


def _public_type_names() -> list[str]:
    return [data_type_name(node) for node in dict.fromkeys(_TYPE_NAMES.values())]


def data_type_name(node: Any) -> str:
    """The text that `data_type_node` reads back."""
    if isinstance(node, dict):
        return f"decimal({node['decimal']['precision']}, {node['decimal']['scale']})"
    return {"timestamp_tz": "timestamptz", "boolean": "bool"}.get(str(node), str(node))
