"""How flags are scored against labelled windows, and parameters chosen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labels:
    """Rows of all series, one series behind the other, each in order of time."""

    series: npt.NDArray[Any]
    times: npt.NDArray[np.datetime64]
    values: npt.NDArray[np.float64]
    # Number of the labelled window of a row within its series, or -1.
    windows: npt.NDArray[np.int64]
    # Whether it is the moment that the window was drawn around.
    instants: Bits

    def of(self, rows: Bits) -> Labels:
        return Labels(*(column[rows] for column in vars(self).values()))


@dataclass(frozen=True)
class Score:
    """What flags are worth.

    A window is found if a flag lies in it; each flag in no window is a false alarm.
    """

    windows: int
    found: int
    false_alarms: int
    precision: float
    recall: float
    f1: float
    # Median, over the windows found, of how long before its labelled moment the first flag in a window comes.
    lead_hours: float | None

    def as_data(self) -> dict[str, Any]:
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}


def score(labels: Labels, flags: Bits) -> Score:
    """Scores the flags of all rows."""
    inside = labels.windows >= 0
    false_alarms = int(np.count_nonzero(flags & ~inside))
    windows, leads = 0, []
    rows = np.flatnonzero(inside)
    # A window is rows of one series and one number behind each other.
    edges = [
        place
        for place in range(1, len(rows))
        if rows[place] != rows[place - 1] + 1
        or labels.windows[rows[place]] != labels.windows[rows[place - 1]]
        or labels.series[rows[place]] != labels.series[rows[place - 1]]
    ]
    for window in np.split(rows, edges) if len(rows) else []:
        windows += 1
        hit = window[flags[window]]
        if len(hit):
            labelled = window[labels.instants[window]]
            moment = labelled[0] if len(labelled) else window[len(window) // 2]
            leads.append((labels.times[moment] - labels.times[hit[0]]) / np.timedelta64(1, "h"))
    found = len(leads)
    precision = found / (found + false_alarms) if found else 0.0
    recall = found / windows if windows else 0.0
    f1 = 2 * precision * recall / (precision + recall) if found else 0.0
    lead = float(np.median(leads)) if leads else None
    return Score(windows, found, false_alarms, precision, recall, f1, lead)
