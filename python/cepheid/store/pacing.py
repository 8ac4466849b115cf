"""How fast a replay goes, and how far it is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from cepheid.errors import PatternError
from cepheid.store.replay import ReplayStep

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
    """A step with its events as the progress bar counts them."""

    __slots__ = ("num_rows", "step")

    def __init__(self, step: ReplayStep) -> None:
        self.step = step
        self.num_rows = step.events.num_rows


def shown(steps: Iterable[ReplayStep], total: int) -> Iterator[ReplayStep]:
    """The steps, counted on standard error."""
    from cepheid.cli.progress import progress

    for counted in progress((_Counted(step) for step in steps), "replaying", total):
        yield counted.step
