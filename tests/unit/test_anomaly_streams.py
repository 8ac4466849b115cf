"""Anomaly rules in an engine: what they report, and what other rules make of it."""

from __future__ import annotations

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event

SECOND = 1_000_000_000
READINGS = pa.table({
    "ts": [place * SECOND for place in range(40)],
    "sensor": ["a", "b"] * 20,
    "value": [10.0 + place % 3 if place not in (30, 33) else 99.0 for place in range(40)],
})  # fmt: skip
ODD = cep.anomaly(col.value, by="sensor", topic="readings").ewma(alpha=0.1, threshold=4, warm_up=5).named("odd")


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_stream_reports_what_a_table_says(cut: int):
    expected = cep.detect(ODD, READINGS).to_arrow()
    assert expected["ts"].to_pylist() == [30 * SECOND, 33 * SECOND]
    engine, found = cep.Engine(ODD), []
    for start in range(0, 40, cut):
        found.append(engine.push(READINGS.slice(start, cut), "readings"))
        engine = cep.Engine.restore(engine.snapshot(), ODD)
    derived = [one["odd"] for one in found if "odd" in one]
    assert pa.concat_tables([one.to_arrow() for one in derived]) == expected
    assert derived[0].strategy == "anomalies"
    with pytest.raises(cep.PatternError, match="an anomaly is one row"):
        _ = derived[0].rows
    (stats,) = engine.stats().rules
    assert (stats.strategy, stats.keys, stats.matches, stats.rows_visited) == ("anomalies", 2, 2, 40)


def test_patterns_read_anomalies_of_windows():
    means = cep.window(mean=col.value.avg(), topic="readings").tumbling("4s").named("means")
    odd = cep.anomaly(col.mean, topic="means").mad(rows=5, threshold=3, warm_up=4).named("odd")
    twice = (event("a", topic="odd") >> event("b", topic="odd")).within("1m").select(score="b.score").named("twice")
    engine = cep.Engine([twice, odd, means], lateness="1h")
    engine.push(READINGS, "readings")
    found = engine.flush()
    assert len(found["odd"]) == 2
    assert found["twice"].to_arrow()["score"].to_pylist() == [found["odd"].to_arrow()["score"].to_pylist()[1]]


def test_a_call_that_fails_leaves_what_is_remembered():
    fails = [False]

    def flaky(batch):
        if fails[0]:
            raise ValueError("no")

    engine = cep.Engine([ODD, cep.Processor(flaky, "readings")])
    engine.push(READINGS.slice(0, 25), "readings")
    fails[0], before = True, engine.snapshot()
    with pytest.raises(cep.ProcessorError):
        engine.push(READINGS.slice(25), "readings")
    assert engine.snapshot() == before
    fails[0] = False
    assert len(engine.push(READINGS.slice(25), "readings")["odd"]) == 2


def test_rules_that_are_no_rules_yet_or_go_by_another_time_are_refused():
    with pytest.raises(TypeError, match="ewma"):
        cep.Engine(cep.anomaly(col.value))
    with pytest.raises(cep.PatternError, match="event time of the engine is `ts`"):
        cep.Engine(cep.anomaly(col.value, event_time="at").ewma(alpha=0.1))
    engine = cep.Engine(ODD)
    with pytest.raises(cep.SchemaError) as caught:
        engine.push({"ts": [1], "sensor": ["a"]}, "readings")
    assert caught.value.code == "unknown-column"
    with pytest.raises(cep.StoreError, match="another version"):
        cep.Engine.restore(engine.snapshot(), cep.anomaly(col.value, topic="readings").cusum().named("odd"))
