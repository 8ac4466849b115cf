"""Times and spans of event time, as a caller gives them, in nanoseconds; and back."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cepheid.errors import PatternError
from cepheid.literal import INT64_MAX, INT64_MIN, duration_ns

__all__ = ["datetime_of", "span_ns", "time_ns"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def time_ns(value: Any, what: str) -> int:
    """A moment in nanoseconds since 1970: from a datetime (a naive one is UTC), a NumPy datetime64, or such a number.

    Raises:
        TypeError: It is none of these.
        PatternError: It is before 1677 or after 2262 (code ``invalid-clause``).
    """
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=dt.UTC)
        span = value - _EPOCH
        # pandas.Timestamp is a datetime that knows nanoseconds.
        microseconds = (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds
        nanoseconds = microseconds * 1_000 + int(getattr(value, "nanosecond", 0))
    elif getattr(getattr(value, "dtype", None), "kind", "") == "M" and getattr(value, "shape", None) == ():
        exact = value.astype("datetime64[ns]")
        if str(value) == "NaT" or exact.astype(value.dtype) != value:
            raise _out_of_range(value, what)
        nanoseconds = int(exact.astype("int64"))
    elif hasattr(value, "__index__") and not isinstance(value, bool):
        nanoseconds = int(value.__index__())
    else:
        raise TypeError(
            f"{what} takes a datetime, a NumPy datetime64 or nanoseconds since 1970, not {type(value).__name__}"
        )
    if not INT64_MIN <= nanoseconds <= INT64_MAX:
        raise _out_of_range(value, what)
    return int(nanoseconds)


def _out_of_range(value: Any, what: str) -> PatternError:
    return PatternError(
        f"{what}: {str(value)[:100]} is no time that 64 bits of nanoseconds hold (the years 1677 to 2262)",
        code="invalid-clause",
        context=what,
    )


def span_ns(value: Any, what: str) -> int:
    """A span of time that is not negative, in nanoseconds: from text such as ``"30s"`` or a timedelta.

    Raises:
        TypeError: It is neither.
        PatternError: It spells no span (code ``invalid-duration``), or is negative (code ``invalid-clause``).
    """
    nanoseconds = duration_ns(value)
    if nanoseconds < 0:
        raise PatternError(f"{what} is a span of time from 0, not {value!r}", code="invalid-clause", context=what)
    return nanoseconds


def datetime_of(nanoseconds: int | None) -> dt.datetime | None:
    """A moment as a datetime in UTC; what is finer than a microsecond is cut off."""
    return None if nanoseconds is None else _EPOCH + dt.timedelta(microseconds=nanoseconds // 1_000)
