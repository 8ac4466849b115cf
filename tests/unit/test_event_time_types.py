"""What event times may be of: the same for every spelling, strategy and way of asking."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import absent, event

RELAXED = event("a") >> event("b")
STRICT = event("a").next(event("b"))
BOUNDED = {
    "relaxed": RELAXED.within("2ns"),
    "strict": STRICT.within("2ns"),
    "group": (event("z") >> RELAXED.within("2ns")).within("1s"),
    "gap": RELAXED.within("2ns", between="neighbours"),
    "absence": event("a") >> absent(event("b"), for_="2ns"),
    "loop": event("a").one_or_more().within("2ns"),
}
NO_TIMES = [
    pa.array(["2024-01-01T00:00:00", "2024-01-02T00:00:00", "2024-01-03T00:00:00"]),
    pa.array([1.0, 2.0, 3.0]),
    pa.array([Decimal(1), Decimal(2), Decimal(3)]),
    pa.array([False, True, True]),
    pa.array([1, 2, 3], pa.int8()),
    pa.array([1, 2, 3], pa.uint64()),
]
ASKED: dict[str, Callable[[cep.Pattern, Any], object]] = {
    "match": lambda pattern, table: cep.match(pattern, table, event_time="ts"),
    "all": lambda pattern, table: cep.match(pattern.matches("all"), table, event_time="ts").count(),
    "ordered": lambda pattern, table: cep.match(pattern.order_by("ts"), table),
    "topics": lambda pattern, table: cep.match(pattern, {"t": table}, event_time="ts"),
    "stream": lambda pattern, table: cep.Engine(pattern.named("rule"), event_time="ts").push(table),
}


@pytest.mark.parametrize("times", NO_TIMES, ids=lambda times: str(times.type))
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("bounded", BOUNDED)
def test_what_is_no_time_bounds_nothing_and_is_refused(bounded: str, asked: str, times: pa.Array):
    with pytest.raises(cep.SchemaError) as caught:
        ASKED[asked](BOUNDED[bounded], pa.table({"ts": times, "x": [1, 2, 3]}))
    assert (caught.value.code, caught.value.column) == ("column-type", "ts")


@pytest.mark.parametrize("times", NO_TIMES, ids=lambda times: str(times.type))
def test_what_is_no_time_orders_rows_where_nothing_is_bounded_by_it(times: pa.Array):
    table = pa.table({"ts": times, "x": [1, 2, 3]})
    for pattern in (RELAXED, STRICT, RELAXED.within(rows=5)):
        assert len(cep.match(pattern, table, event_time="ts")) > 0


def test_sums_over_matches_are_bounded_by_times_alone():
    table = pa.table({"ts": ["2024-01-01", "2024-01-02"], "x": [1, 2]})
    with pytest.raises(cep.SchemaError) as caught:
        cep.match(RELAXED.within("2ns").aggregate(n=cep.count()), table, event_time="ts")
    assert caught.value.code == "column-type"


@pytest.mark.parametrize("of", [pa.int32(), pa.int64()])
def test_whole_numbers_are_nanoseconds_whatever_the_spelling(of: pa.DataType):
    table = pa.table({"ts": pa.array([1, 2, 4, 6, 7], of), "x": range(5)})
    found = {}
    for name in ("relaxed", "strict", "gap"):
        found[name] = cep.match(BOUNDED[name], table, event_time="ts").rows["row"].to_pylist()
        engine = cep.Engine(BOUNDED[name].named("rule"), event_time="ts")
        pushed = [engine.push(table), engine.flush()]
        streamed = [row for derived in pushed for m in derived.values() for row in m.rows["row"].to_pylist()]
        assert streamed == found[name]
    assert list(found.values()) == [[0, 1, 3, 4]] * 3


def test_rows_that_go_back_in_time_are_in_no_window():
    table = pa.table({"ts": pa.array([1, 2, 3, 100], pa.timestamp("s"))})
    text = """SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts DESC MEASURES FIRST(ts) AS f
        PATTERN (a b+) WITHIN INTERVAL '3' SECOND)"""
    with pytest.raises(cep.PatternError) as caught:
        cep.sql(text, t=table)
    assert caught.value.code == "within-needs-order"
    for pattern in (STRICT, RELAXED):
        with pytest.raises(cep.PatternError) as refused:
            cep.match(pattern.within("3s").order_by("ts", descending=True), table)
        assert refused.value.code == "within-needs-order"
    assert len(cep.match(STRICT.within(rows=1).order_by("ts", descending=True), table)) == 2


@pytest.mark.parametrize("seconds", [-9_223_372_037, 2**62])
@pytest.mark.parametrize("pattern", [RELAXED.within("1h"), RELAXED.matches("all").within("1h")])
def test_times_beyond_nanoseconds_are_told_as_such(pattern: cep.Pattern, seconds: int):
    table = pa.table({"ts": pa.array([0, seconds], pa.timestamp("s"))})
    with pytest.raises(cep.SchemaError) as caught:
        cep.match(pattern, table, event_time="ts")
    assert caught.value.code == "time-overflow"
    assert f"the time {seconds} s in row 1, which is beyond 64 bits" in str(caught.value)
