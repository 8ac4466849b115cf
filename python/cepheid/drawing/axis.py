"""The axis of a timeline: what its values are, and where its ticks stand."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

Unit = Literal["row", "number", "time"]

_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
# Steps that are read easily, in nanoseconds; below a second and from ten days on it is 1, 2, 5, 10, 20 and so on.
_TIME_STEPS = [
    *(step * _SECOND for step in (1, 2, 5, 10, 15, 30)),
    *(step * 60 * _SECOND for step in (1, 2, 5, 10, 15, 30)),
    *(step * 3600 * _SECOND for step in (1, 2, 3, 6, 12)),
    *(step * _DAY for step in (1, 2, 5)),
]


class Axis(NamedTuple):
    """An axis.

    Attributes:
        low: The value at its left end.
        high: That at its right end, not below `low`. Times are nanoseconds since 1970.
        unit: What the values are.
    """

    low: float
    high: float
    unit: Unit

    def share(self, value: float) -> float:
        """How far to the right a value is, from 0 to 1; in the middle if there is but one."""
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5


def axis_of(values: Sequence[float], unit: Unit) -> Axis:
    """The axis that holds values; of none, from 0 to 1."""
    return Axis(min(values), max(values), unit) if values else Axis(0, 1, "row")


def ticks(axis: Axis, most: int = 5) -> list[tuple[float, str]]:
    """Values and what stands at them, about `most` of them."""
    span = axis.high - axis.low
    if not span:
        return [(axis.low, value_text(axis.low, axis.unit))]
    if isinstance(axis.low, int) and isinstance(axis.high, int):
        return _whole_ticks(axis.low, axis.high, most, axis.unit)
    least = max(span / most, 1e-300)
    power = 10.0 ** math.floor(math.log10(least))
    step = next((step for step in (power, power * 2, power * 5) if step >= least), power * 10)
    values = [place * step for place in range(math.ceil(axis.low / step), math.floor(axis.high / step) + 1)]
    # Rounding may take the outermost beyond the ends.
    return [(value, value_text(value, axis.unit)) for value in values if axis.low <= value <= axis.high]


def axis_text(axis: Axis) -> str:
    """What is to be said of the axis beside its ticks."""
    if axis.unit == "time":
        return f"{value_text(axis.low, axis.unit)} to {value_text(axis.high, axis.unit)}"
    return "row number" if axis.unit == "row" else ""


def _whole_ticks(low: int, high: int, most: int, unit: Unit) -> list[tuple[float, str]]:
    """In whole numbers throughout: floats do not tell nanoseconds of today from each other."""
    step = _whole_step(-(-(high - low) // most), unit)
    values = range(-(-low // step) * step, high + 1, step)
    return [(value, _tick_text(value, step) if unit == "time" else value_text(value, unit)) for value in values]


def _whole_step(least: int, unit: Unit) -> int:
    if unit == "time" and _SECOND // 2 < least <= _TIME_STEPS[-1]:
        return next(step for step in _TIME_STEPS if step >= least)
    step = _DAY if unit == "time" and least > _DAY else 1
    while step * 10 < least:
        step *= 10
    return next(step * many for many in (1, 2, 5, 10) if step * many >= least)


def _tick_text(value: int, step: int) -> str:
    day, _, clock = value_text(value, "time").partition(" ")
    # A day's begin is told by its date.
    return day if step >= _DAY or clock == "00:00:00" else clock or day


def value_text(value: float, unit: Unit) -> str:
    """A value in full: of a time all digits that are not zero."""
    if unit != "time":
        return f"{value:,}" if isinstance(value, int) else f"{value:.10g}"
    seconds, rest = divmod(int(value), _SECOND)
    try:
        moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)
    except OverflowError:
        # A date that Python does not have.
        return f"{seconds} s"
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction}"
