"""What an action is made of, checked when it is made: a mistake shows at that line, and not at the first event."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from cepheid.errors import ActionError, AppError
from cepheid.names import listed_names, nearest_name

__all__ = [
    "checked_bytes_max",
    "checked_name",
    "checked_seconds",
    "checked_texts",
    "invalid_action",
    "missing_column",
]


def invalid_action(message: str, *, known: Iterable[str] = ()) -> AppError:
    """The error for an action that cannot be made of what was given."""
    return AppError(message, code="invalid-action", known=tuple(known))


def checked_name(name: Any, default: str) -> str:
    """The name of an action: what was given, or its default. It stands in cursors and logs, so that it is printable."""
    if name is None:
        return default
    if not isinstance(name, str):
        raise TypeError(f"the name of an action is text or None, not {type(name).__name__}")
    if not name.strip() or not name.isprintable() or len(name) > 200:
        raise invalid_action("the name of an action is printable text of 1 to 200 characters")
    return name


def checked_texts(values: Any, what: str) -> list[str]:
    """A list of texts; one text alone is none, as it is too easily meant for its letters."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{what} is a list of texts, not {type(values).__name__}")
    texts = list(values)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{what} is a list of texts; one of them is {type(text).__name__}")
    return texts


def checked_bytes_max(value: Any, what: str) -> int:
    """A bound in bytes, from 1 up to 1 GiB."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is a whole number of bytes, not {type(value).__name__}")
    if not 1 <= value <= 2**30:
        raise invalid_action(f"{what} is from 1 byte to 1 GiB, not {value}")
    return value


def checked_seconds(value: Any, what: str) -> float:
    """A span in seconds, above 0 and finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{what} is a number of seconds, not {type(value).__name__}")
    if not (math.isfinite(value) and value > 0):
        raise invalid_action(f"{what} is a number of seconds above 0, not {value}")
    return float(value)


def missing_column(column: str, event: Mapping[str, Any], action: str) -> ActionError:
    """The error for an event that lacks a column that an action needs: no attempt will find it."""
    names = [name for name in event if isinstance(name, str)]
    return ActionError(
        f"{action} needs a column `{column[:100]}`, and the event has none of that name; it has {listed_names(names)}",
        code="action-column",
        action=action,
        permanent=True,
        hint=nearest_name(column, names),
    )
