"""Detectors of `river` as rules of an engine."""

from __future__ import annotations

import pyarrow as pa
import pytest

import cepheid as cep

river = pytest.importorskip("river")
from river import anomaly, drift  # noqa: E402 (there may be none)

VALUES = [(place * 7 % 5) / 4 for place in range(60)] + [9.0] + [(place * 7 % 5) / 4 for place in range(20)]


def by_hand(make, rows, columns, *, threshold, warm_up, learn_anomalies=True):
    """What the detector says when it is called as river's documentation calls it."""
    detector, said = make(), []
    for place, row in enumerate(rows):
        given = {name: float(row[name]) for name in columns}
        score, flag = None, False
        if place >= warm_up:
            score = detector.score_one(given)
            flag = score > threshold
        if learn_anomalies or not flag:
            detector.learn_one(given)
        said.append((score, flag))
    return said


@pytest.mark.parametrize("learn_anomalies", [True, False])
def test_each_key_is_judged_by_a_detector_of_its_own_however_rows_are_pushed(learn_anomalies):
    def make():
        return anomaly.HalfSpaceTrees(n_trees=5, height=4, window_size=10, limits={"v": (0, 10)}, seed=3)

    rows = [{"ts": place, "k": "ab"[place % 3 == 0], "v": value, "w": place} for place, value in enumerate(VALUES)]
    expected = {}
    for key in "ab":
        own = [row for row in rows if row["k"] == key]
        said = by_hand(make, own, ["v"], threshold=0.8, warm_up=20, learn_anomalies=learn_anomalies)
        expected |= {row["ts"]: verdict for row, verdict in zip(own, said, strict=True)}
    assert 1 <= sum(flag for _, flag in expected.values()) <= 10
    for rows_a_push in (1, 7, 100):
        rule = cep.river_detector(
            make, "txn", columns="v", by="k", threshold=0.8, warm_up=20, learn_anomalies=learn_anomalies, emits="said"
        )
        engine = cep.Engine(rule, future=None)
        derived = [engine.push(rows[first : first + rows_a_push], "txn") for first in range(0, len(rows), rows_a_push)]
        derived.append(engine.flush())
        said = pa.concat_tables([one["said"].to_arrow() for one in derived if "said" in one]).to_pylist()
        assert [(row["ts"], row["k"], row["v"], row["w"]) for row in said] == [tuple(row.values()) for row in rows]
        assert {row["ts"]: (row["score"], row["is_anomaly"]) for row in said} == expected
        assert rule.function.keys == 2


def test_a_filter_of_river_decides_without_a_threshold():
    rule = cep.river_detector(
        lambda: anomaly.QuantileFilter(anomaly.GaussianScorer(grace_period=10), q=0.99),
        "txn",
        columns="v",
        target="v",
        warm_up=30,
    )
    table = pa.table({"ts": range(len(VALUES)), "v": VALUES})
    flags = rule.function(table.to_batches()[0])["is_anomaly"].to_pylist()
    assert flags[60]
    assert sum(flags) < 10


def test_drift_has_the_score_one():
    rule = cep.river_detector(lambda: drift.PageHinkley(min_instances=5, threshold=3), "txn", columns="v", warm_up=2)
    said = rule.function(pa.record_batch({"ts": list(range(30)), "v": [0.0] * 15 + [5.0] * 15}))
    scores = said["score"].to_pylist()
    assert scores[:2] == [None, None]
    assert 1.0 in scores[15:]
    assert 1.0 not in scores[2:15]
    assert said["is_anomaly"].to_pylist() == [score == 1.0 for score in scores]


def test_rows_without_a_value_are_passed_over():
    rule = cep.river_detector(
        lambda: anomaly.HalfSpaceTrees(window_size=2), "txn", columns=["v", "w"], threshold=0.5, warm_up=1
    )
    rows = pa.record_batch({"ts": [1, 2, 3, 4], "v": [1.0, None, 2.0, 3.0], "w": [1.0, 1.0, None, 1.0]})
    scores = rule.function(rows)["score"].to_pylist()
    assert scores[:3] == [None, None, None]
    assert scores[3] is not None
    assert rule.function(rows.slice(0, 0)).num_rows == 0


def test_keys_that_are_silent_for_longest_go_first():
    rule = cep.river_detector(
        anomaly.HalfSpaceTrees, "txn", columns="v", by=["k", "l"], threshold=0.5, keys_kept=3, warm_up=1
    )
    keys = [1, 2, 3, float("nan"), float("nan"), 1, 2]
    rows = pa.record_batch({"ts": list(range(7)), "k": keys, "l": [None] * 7, "v": [1] * 7})
    # The second NaN is the first again; 1 and 2 have been forgotten.
    assert [score is None for score in rule.function(rows)["score"].to_pylist()] == [True] * 4 + [False, True, True]
    assert rule.function.keys == 3


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"make": object}, TypeError, "object has neither"),
        ({"make": 5}, TypeError, "make is a function"),
        ({"threshold": None}, cep.PatternError, "no more than a score"),
        ({"threshold": "x"}, TypeError, "threshold is a number"),
        ({"columns": []}, cep.PatternError, "one column at least"),
        ({"columns": [""]}, cep.PatternError, "empty|no name"),
        ({"warm_up": -1}, cep.PatternError, "below zero"),
        ({"warm_up": 1.5}, TypeError, "whole number"),
        ({"learn_anomalies": 1}, TypeError, "True or False"),
        ({"keys_kept": 0}, cep.PatternError, "from 1"),
        ({"threshold": float("nan")}, cep.PatternError, "finite"),
        ({"threshold": 10**400}, cep.PatternError, "finite"),
        ({"columns": 5}, TypeError, "columns is the name"),
        ({"columns": ["v", "v"]}, cep.PatternError, "each once"),
        ({"target": "v"}, cep.PatternError, "takes no target"),
        ({"make": anomaly.GaussianScorer}, cep.PatternError, "predicts a target"),
        ({"make": drift.ADWIN, "columns": ["v", "w"]}, cep.PatternError, "one column"),
    ],
)
def test_what_is_no_detector_is_refused(arguments, error, problem):
    given = {"make": anomaly.HalfSpaceTrees, "columns": "v", "threshold": 0.5, **arguments}
    with pytest.raises(error, match=problem):
        cep.river_detector(given.pop("make"), "txn", **given)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ({"ts": [1], "w": [1]}, "unknown-column"),
        ({"ts": [1], "v": ["x"]}, "column-type"),
        ({"ts": [1], "v": ["1"]}, "column-type"),
        ({"ts": [1], "v": [1], "Score": [1]}, "ambiguous-column"),
    ],
)
def test_rows_that_do_not_fit_change_nothing(rows, code):
    rule = cep.river_detector(anomaly.HalfSpaceTrees, "txn", columns="v", threshold=0.5, emits="said")
    engine = cep.Engine(rule, future=None)
    before = engine.snapshot()
    with pytest.raises(cep.CepheidError) as caught:
        engine.push(rows, "txn")
    assert code in (caught.value.code, getattr(caught.value.__cause__, "code", None))
    assert engine.snapshot() == before


def test_large_integers_and_decimals_are_judged_as_floats():
    rule = cep.river_detector(anomaly.HalfSpaceTrees, "txn", columns="v", threshold=0.5)
    for values in (pa.array([2**53 + 1]), pa.array([1], pa.decimal128(20, 4)), pa.array([True])):
        assert rule.function(pa.record_batch({"ts": [1], "v": values}))["score"].to_pylist() == [0.0]
