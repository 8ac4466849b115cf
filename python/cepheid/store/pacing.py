"""How fast a replay goes, and how far it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from cepheid.derived import Derived
from cepheid.errors import PatternError

__all__ = ["checked_speed", "shown"]


def checked_speed(speed: Any) -> float | None:
    """How fast event time passes; None: as fast as can be."""
    if speed is None:
        return None
    if isinstance(speed, bool) or not isinstance(speed, (int, float)):
        raise TypeError(f"speed is a number, or None, not {type(speed).__name__}")
    if not (math.isfinite(speed) and speed > 0):
        raise PatternError(f"speed is above zero, not {speed}", code="invalid-clause", context="speed")
    return float(speed)


class _Counted:
    """Events that have gone by, as the progress bar counts them, and what they derived."""

    __slots__ = ("derived", "num_rows")

    def __init__(self, events: int, derived: Derived) -> None:
        self.num_rows = events
        self.derived = derived


def shown(pushes: Iterable[tuple[int, Derived]], total: int) -> Iterator[tuple[int, Derived]]:
    """The pushes, counted on standard error."""
    from cepheid.cli.progress import progress

    for counted in progress((_Counted(*push) for push in pushes), "replaying", total):
        yield counted.num_rows, counted.derived
