"""Anomaly rules in Python: how they are said and written down, and what they say of tables."""

import copy
import datetime as dt
import json
import pickle
import random

import numpy as np
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import Anomaly, col, prev

NAMES = {"cep": cep, "col": col}
READINGS = {"ts": [1, 2, 3, 4], "sensor": ["a", "a", "a", "b"], "v": [0.0, 4.0, 8.0, 8.0]}

CODES = [
    "cep.anomaly(col.v).ewma(alpha=0.05, threshold=4, warm_up=30)",
    "cep.anomaly(col.v).ewma(alpha=0.05, threshold=2.5, warm_up=1, learn_anomalies=False).all_rows()",
    "cep.anomaly(col.v / col.w, topic='t', by=['a', col('B', exact=True)], where=col.v > 1).mad(rows=100, "
    "threshold=3.5, warm_up=30)",
    "cep.anomaly(col.v).mad(span='1h', threshold=3.5, warm_up=10).emit('b.c')",
    "cep.anomaly(col.v, by='k', event_time='time').cusum(drift=0.5, threshold=5, warm_up=2).named('shift')",
    "cep.anomaly(col.v).quantile_band(low=0, high=1, rows=9, margin=0.25, warm_up=9)",
    "cep.anomaly(col.v).quantile_band(low=0.01, high=0.99, span='2h', margin=0, warm_up=100, learn_anomalies=False)",
    "cep.anomaly(col.v.abs()).rate_of_change(limit=0.5, per='1m').all_rows().named('n').emit('e')",
    "cep.anomaly(col.v).seasonal(period='7d', every='1h', offset='4d', alpha=0.3, threshold=3, warm_up=2)",
]


def jumps():
    return cep.anomaly(col.v).ewma(alpha=0.5, threshold=2.5, warm_up=2)


@pytest.mark.parametrize("code", CODES)
def test_a_rule_is_spelled_by_its_repr_and_survives_being_written_down(code):
    rule = eval(code, dict(NAMES))
    assert repr(rule) == code
    for again in (
        Anomaly.from_json(rule.to_json()),
        Anomaly.from_dict(json.loads(json.dumps(rule.to_dict()))),
        pickle.loads(pickle.dumps(rule)),
        copy.deepcopy(rule),
    ):
        assert again == rule
        assert again.equals(rule)
        assert hash(again) == hash(rule)
        assert again.fingerprint == rule.fingerprint
        assert repr(again) == code


def test_one_meaning_has_one_spelling():
    rule = cep.anomaly("v", by=["k"]).mad(span=dt.timedelta(hours=1), threshold=3)
    assert rule == cep.anomaly(col.v, by=col.k).mad(span="60m", threshold=np.float64(3.0), warm_up=30)
    assert rule.fingerprint == rule.named("x").fingerprint != rule.all_rows().fingerprint
    assert rule != rule.named("x")
    weekly = cep.anomaly(col.v).seasonal("7d", "1h", offset="4d")
    assert weekly == cep.anomaly(col.v).seasonal(offset=dt.timedelta(days=-3))
    assert rule.to_dict()["cepheid_ir"] == 1
    assert rule.to_dict()["anomaly"]["method"]["mad"]["recent"] == {"span_ns": 3_600_000_000_000}
    assert (rule.name, rule.named("x").name, rule.topic) == (None, "x", None)


def test_warm_ups_have_room_in_few_rows():
    method = cep.anomaly(col.v).mad(rows=5).to_dict()["anomaly"]["method"]["mad"]
    assert (method["warm_up"], method["threshold"]) == (5, 3.5)
    assert cep.anomaly(col.v).quantile_band(rows=50).to_dict()["anomaly"]["method"]["quantile_band"]["warm_up"] == 50
    assert cep.anomaly(col.v).quantile_band().to_dict()["anomaly"]["method"]["quantile_band"]["warm_up"] == 100


def test_a_rule_cannot_be_changed():
    rule = jumps()
    with pytest.raises(AttributeError, match="anomaly rules cannot be changed"):
        rule.name = "x"
    with pytest.raises(TypeError, match="anomaly rules are built with anomaly"):
        Anomaly()
    assert cep.anomaly(col.v) != rule
    assert cep.anomaly(col.v) == cep.anomaly("v")


MISTAKES = [
    (lambda a: a.ewma("half"), TypeError, None, "alpha is a number"),
    (lambda a: a.ewma(True), TypeError, None, "alpha is a number"),
    (lambda a: a.ewma(2), cep.PatternError, "invalid-expression", "alpha"),
    (lambda a: a.ewma(float("nan")), cep.PatternError, "invalid-expression", "finite"),
    (lambda a: a.ewma(10**400), cep.PatternError, "invalid-expression", "finite"),
    (lambda a: a.ewma(0.5, warm_up=None), TypeError, None, "warm_up"),
    (lambda a: a.ewma(0.5, warm_up=1.5), TypeError, None, "warm_up"),
    (lambda a: a.ewma(0.5, warm_up=0), cep.PatternError, "invalid-clause", "warm_up"),
    (lambda a: a.ewma(0.5, learn_anomalies=1), TypeError, None, "learn_anomalies"),
    (lambda a: a.mad(rows=5, span="1h"), cep.PatternError, "invalid-clause", "not both"),
    (lambda a: a.mad(rows=5, warm_up=6), cep.PatternError, "invalid-expression", "lower warm_up"),
    (lambda a: a.mad(span="0s"), cep.PatternError, "invalid-within", "longer than zero"),
    (lambda a: a.mad(span=3), TypeError, None, None),
    (lambda a: a.cusum(warm_up=1), cep.PatternError, "invalid-expression", "cusum"),
    (lambda a: a.quantile_band(low=0.9, high=0.1), cep.PatternError, "invalid-expression", "band"),
    (lambda a: a.rate_of_change(0), cep.PatternError, "invalid-expression", "limit"),
    (lambda a: a.rate_of_change(1, per="0s"), cep.PatternError, "invalid-within", "per"),
    (lambda a: a.seasonal("1d", "7h"), cep.PatternError, "invalid-expression", "whole number of its parts"),
    (lambda _: cep.anomaly(3), TypeError, None, "the value of an anomaly rule"),
    (lambda _: cep.anomaly(col.v, by=3), TypeError, None, "by is a column"),
    (lambda _: cep.anomaly(col.v.sum()), cep.PatternError, "invalid-expression", "asked of a row alone"),
    (lambda _: cep.anomaly(prev(col.v)), cep.PatternError, "invalid-expression", "asked of a row alone"),
    (lambda _: cep.anomaly("v +"), cep.SqlError, None, None),
    (lambda a: a.where("COUNT(*) > 1"), cep.PatternError, "invalid-expression", "the condition of an anomaly rule"),
    (lambda _: Anomaly.from_json("{}"), cep.PatternError, "malformed", None),
    (lambda _: Anomaly.from_json('"\ud800"'), cep.PatternError, "malformed", "anomaly rule"),
    (lambda _: Anomaly.from_dict([]), cep.PatternError, "malformed", "anomaly rule"),
    (lambda _: Anomaly.from_dict({"cepheid_ir": 2, "anomaly": {}}), cep.PatternError, "wire-version", None),
    (lambda _: jumps().equals(cep.window(n=cep.count()).rows(1)), TypeError, None, "an anomaly rule, not Window"),
    (lambda a: cep.detect(a, READINGS), TypeError, None, "no method yet"),
    (lambda _: cep.detect(cep.window(n=cep.count()).rows(1), READINGS), TypeError, None, "not Window"),
    (lambda _: cep.detect(jumps(), READINGS, threads=0), cep.PatternError, "invalid-clause", "threads"),
    (lambda _: cep.detect(jumps(), READINGS, event_time=3), TypeError, None, "event_time"),
    (lambda _: cep.detect(jumps(), {"at": [1], "v": [1]}), cep.SchemaError, "unknown-column", "detect"),
    (lambda _: cep.detect(jumps(), READINGS).rows, cep.PatternError, "invalid-expression", "one row"),
]


@pytest.mark.parametrize(("mistake", "error", "code", "text"), MISTAKES)
def test_a_mistake_is_told_where_it_is_made(mistake, error, code, text):
    with pytest.raises(error, match=text) as raised:
        mistake(cep.anomaly(col.v))
    if code is not None:
        assert raised.value.code == code


def test_methods_of_the_whole_rule_need_its_method():
    with pytest.raises(AttributeError, match="no method yet"):
        cep.anomaly(col.v).to_json()
    with pytest.raises(AttributeError, match="has no 'slope'"):
        cep.anomaly(col.v).slope(3)


def test_rows_that_stand_out():
    found = cep.detect(jumps(), READINGS)
    assert found.column_names == ["ts", "value", "expected", "score"]
    assert list(found) == [{"ts": 3, "value": 8.0, "expected": 2.0, "score": 3.0}]
    assert found.strategy == "anomalies"
    by_sensor = cep.detect(cep.anomaly(col.v, by="sensor").ewma(alpha=0.5, warm_up=2, threshold=2.5), READINGS)
    assert by_sensor.column_names == ["sensor", "ts", "value", "expected", "score"]
    assert len(by_sensor) == 1
    assert len(cep.detect(jumps().all_rows(), READINGS)) == 4


def test_a_table_of_its_topic_is_read():
    rule = cep.anomaly(col.v, topic="left").ewma(alpha=0.5, threshold=2.5, warm_up=2)
    assert len(cep.detect(rule, {"left": READINGS, "right": {"ts": [1], "v": [1.0]}})) == 1
    with pytest.raises(cep.SchemaError, match="anomaly rule's topic"):
        cep.detect(rule, {"lefts": READINGS})
    with pytest.raises(cep.PatternError, match=r"cep\.anomaly\(\.\.\., topic"):
        cep.detect(jumps(), {"left": pa.table(READINGS), "right": pa.table(READINGS)})


def test_a_python_function_may_be_the_condition():
    usual = cep.udf(lambda v: pa.compute.less(v, 9), columns=["v"])
    rule = cep.anomaly(col.v, where=usual).ewma(alpha=0.5, threshold=2.5, warm_up=2)
    found = cep.detect(rule, {"ts": [1, 2, 3, 4], "v": [0.0, 99.0, 4.0, 8.0]})
    assert [row["expected"] for row in found] == [2.0]
    with pytest.raises(cep.PatternError) as raised:
        rule.to_json()
    assert raised.value.code == "not-serialisable"


def test_event_time_is_found_and_a_named_one_comes_first():
    start = dt.datetime(2026, 1, 1)
    hours = pa.table({"at": [start + dt.timedelta(hours=hour) for hour in range(3)], "v": [0, 4, 8]})
    assert cep.detect(jumps(), hours).to_arrow()["at"].to_pylist() == [start + dt.timedelta(hours=2)]
    rule = cep.anomaly(col.v, event_time="b").rate_of_change(1, per="1ns")
    table = {"a": [1, 2], "b": [2, 1], "v": [0, 5]}
    assert [row["b"] for row in cep.detect(rule, table)] == [2]
    assert [row["a"] for row in cep.detect(rule, table, event_time="a")] == [2]


def test_answers_are_equal_for_every_number_of_threads():
    draw = random.Random(7)
    count = 100_000
    table = pa.table(
        {
            "ts": pa.array(range(count)),
            "k": [draw.randrange(50) for _ in range(count)],
            "v": [draw.gauss(0, 1) for _ in range(count)],
        }
    )
    asked = cep.anomaly(col.v, by="k")
    flags = 0
    for rule in (
        asked.ewma(alpha=0.05),
        asked.mad(rows=200),
        asked.cusum(),
        asked.quantile_band(rows=200),
        asked.rate_of_change(limit=0.5, per="1ns"),
        asked.seasonal(period="1us", every="100ns"),
    ):
        one = cep.detect(rule, table)
        assert one.to_arrow() == cep.detect(rule, table, threads=4).to_arrow()
        flags += len(one)
    assert flags > 1_000
