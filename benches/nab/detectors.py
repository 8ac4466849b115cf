"""The detectors, each with the parameters that are tried for it: one set is chosen for all series."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import cepheid as cep
from benches.nab.scoring import Labels

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """A detector with parameters, and the thresholds that are tried on its scores."""

    name: str
    parameters: dict[str, Any]
    thresholds: tuple[float, ...]
    # The score of every row; NaN while it warms up. Where the threshold changes the scores, there is one of it.
    scores: Callable[[Labels], Floats]


def candidates() -> Iterator[Candidate]:
    """Ours, then those of river if it is installed."""
    deviations = (3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100)
    for alpha, warm_up in itertools.product((0.002, 0.005, 0.01, 0.02, 0.05, 0.1), (100, 300)):
        yield ours("ewma", {"alpha": alpha, "warm_up": warm_up}, deviations)
    for rows in (100, 300, 1000, 2000):
        yield ours("mad", {"rows": rows, "warm_up": 100}, deviations)
    for drift, threshold, warm_up in itertools.product((0.5, 1, 2, 4, 8), (5, 20, 50, 200, 1000, 5000), (100, 300)):
        yield ours("cusum", {"drift": drift, "threshold": threshold, "warm_up": warm_up}, (threshold,))
    margins = (0, 0.1, 0.25, 0.5, 1, 2, 4)
    for (low, high), rows in itertools.product(((0, 1), (0.005, 0.995), (0.05, 0.95)), (500, 1000, 2000)):
        yield ours("quantile_band", {"low": low, "high": high, "rows": rows, "warm_up": 100}, margins)
    for rows in (20, 50, 100, 200, 500, 1000, 2000):
        yield Candidate("no detector: every nth row", {"n": rows}, (0.5,), every_nth(rows))
    yield ours("rate_of_change", {"limit": 1, "per": "5m"}, tuple(10.0**power for power in range(-2, 11)))
    for (period, every), alpha, warm_up in itertools.product(
        (("1d", "1h"), ("1d", "15m"), ("7d", "1h")), (0.02, 0.05, 0.1, 0.3), (1, 2, 3)
    ):
        parameters = {"period": period, "every": every, "alpha": alpha, "warm_up": warm_up}
        yield ours("seasonal", parameters, deviations)
    try:
        import river  # noqa: F401
    except ImportError:
        return
    for window in (None, 1000):
        yield theirs("river GaussianScorer", {"window_size": window, "grace_period": 100}, gaussian)
    for window in (250, 1000):
        yield theirs("river HalfSpaceTrees", {"n_trees": 10, "height": 8, "window_size": window}, half_space_trees)


def ours(method: str, parameters: dict[str, Any], thresholds: tuple[float, ...]) -> Candidate:
    def scores(labels: Labels) -> Floats:
        asked = cep.anomaly("value", by="series")
        found = cep.detect(getattr(asked, method)(**parameters).all_rows(), table_of(labels)).to_arrow()
        # They come in order of time over all series: back to one series behind the other.
        places = {series: place for place, series in enumerate(dict.fromkeys(labels.series.tolist()))}
        back = np.argsort([places[series] for series in found["series"].to_pylist()], kind="stable")
        return np.asarray(found["score"].to_numpy(zero_copy_only=False), dtype=np.float64)[back]

    return Candidate(f"cepheid {method}", parameters, thresholds, scores)


def table_of(labels: Labels) -> pa.Table:
    return pa.table({"series": labels.series, "ts": labels.times, "value": labels.values})


def every_nth(rows: int) -> Callable[[Labels], Floats]:
    """What flags are worth that know nothing."""

    def scores(labels: Labels) -> Floats:
        _, first = np.unique(labels.series.astype(str), return_index=True)
        start = np.zeros(len(labels.series), dtype=np.int64)
        start[first] = first
        place = np.arange(len(labels.series)) - np.maximum.accumulate(start)
        return np.asarray(place % rows == rows - 1, dtype=np.float64)

    return scores


def theirs(name: str, parameters: dict[str, Any], make: Callable[..., Any]) -> Candidate:
    def scores(labels: Labels) -> Floats:
        result, judge, series = np.full(len(labels.values), np.nan), None, None
        for row, (own, value) in enumerate(zip(labels.series.tolist(), labels.values.tolist(), strict=True)):
            if own != series:
                series, judge = own, make(**parameters)
            result[row] = judge(value)
        return result

    # Of a distribution function: up to where floats end.
    thresholds = (0.8, 0.9, 0.95, 0.98, 0.995, *(1 - 10.0**-nines for nines in range(2, 16)))
    return Candidate(name, parameters, thresholds, scores)


def gaussian(**parameters: Any) -> Callable[[float], float]:
    """How unlikely a value is under the normal distribution of those before it, or of the last so many."""
    from river import anomaly

    scorer = anomaly.GaussianScorer(**parameters)

    def judge(value: float) -> float:
        score: float = scorer.score_one(None, value)
        scorer.learn_one(None, value)
        return score

    return judge


def half_space_trees(**parameters: Any) -> Callable[[float], float]:
    """Half-space trees want values between 0 and 1: they are scaled by the least and the greatest so far."""
    from river import anomaly, compose, preprocessing

    model = compose.Pipeline(preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=42, **parameters))

    def judge(value: float) -> float:
        row = {"value": value}
        score: float = model.score_one(row)
        model.learn_one(row)
        return score

    return judge
