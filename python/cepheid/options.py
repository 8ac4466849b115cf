"""Options that engines and tables share."""

from __future__ import annotations

from typing import Any

from cepheid.errors import PatternError

__all__ = ["checked_count", "checked_flag"]


def checked_flag(value: Any, what: str) -> bool:
    """True or False, and nothing that could be taken for either."""
    if not isinstance(value, bool):
        raise TypeError(f"{what} is True or False, not {type(value).__name__}")
    return value


def checked_count(value: Any, what: str) -> int | None:
    """A number from 1, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is a whole number or None, not {type(value).__name__}")
    count = int(value.__index__())
    if not 1 <= count <= 2**32:
        raise PatternError(f"{what} is a number from 1, not {count}", code="invalid-clause", context=what)
    return count
