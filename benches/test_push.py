"""What it costs to push: single events through a pusher, batches of one row, and many rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event, ref

SCHEMA = pa.schema({"ts": pa.timestamp("ns"), "card": pa.string(), "amount": pa.float64()})
EVENTS = [(row * 1_000_000, f"c{row * 7919 % 1000}", float(row * 31 % 1000)) for row in range(20_000)]


def fraud() -> cep.Engine:
    small = event("small", col.amount < 10).at_least(2)
    pattern = (small >> event("big", col.amount > 500)).partition_by("card").within("10m")
    return cep.Engine(pattern.select(taken=ref("big").amount).named("fraud"), future=None)


@pytest.mark.parametrize("form", ["typed", "dict"])
def test_single_events(benchmark: Any, form: str) -> None:
    dicts = [dict(zip(SCHEMA.names, values, strict=True)) for values in EVENTS]

    def run() -> int:
        engine = fraud()
        pusher = engine.pusher(schema=SCHEMA, max_rows=4096, max_delay="5ms")
        if form == "typed":
            push = pusher.push
            for ts, card, amount in EVENTS:
                push(ts, card, amount)
        else:
            push_dict = pusher.push_dict
            for one in dicts:
                push_dict(one)
        pusher.flush()
        return engine.stats().rules[0].matches

    columns = [pa.array(column, kind) for column, kind in zip(zip(*EVENTS, strict=True), SCHEMA.types, strict=True)]
    expected = fraud().push(pa.record_batch(columns, schema=SCHEMA)).get("fraud", ())
    benchmark.extra_info["events"] = len(EVENTS)
    assert benchmark(run) == len(expected)


def test_batches_of_one_row(benchmark: Any) -> None:
    columns = [pa.array(column, kind) for column, kind in zip(zip(*EVENTS, strict=True), SCHEMA.types, strict=True)]
    batch = pa.record_batch(columns, schema=SCHEMA)
    rows = [batch.slice(row, 1) for row in range(2_000)]

    def run() -> int:
        engine = fraud()
        for row in rows:
            engine.push(row)
        return engine.stats().rows

    benchmark.extra_info["events"] = len(rows)
    assert benchmark(run) == len(rows)


@pytest.mark.parametrize("rules", [1, 1000])
def test_many_rules(benchmark: Any, rules: int) -> None:
    count = 500_000
    random = np.random.default_rng(1)
    names = pa.array([f"S{symbol}" for symbol in range(2 * 1000)])
    symbol = pa.DictionaryArray.from_arrays(pa.array(random.integers(0, 2000, count).astype(np.int32)), names)
    times = pa.array(np.arange(count) * 1_000_000, pa.timestamp("ns"))
    batch = pa.record_batch([times, symbol], names=["ts", "symbol"])
    pairs = {
        f"r{rule}": (event("a", col.symbol == f"S{2 * rule}") >> event("b", col.symbol == f"S{2 * rule + 1}")).within(
            "10s"
        )
        for rule in range(rules)
    }
    # What each rule finds by itself: a few of them are asked.
    alone = {name: len(cep.match(pairs[name], batch, event_time="ts")) for name in list(pairs)[:3]}

    def run() -> dict[str, int]:
        engine = cep.Engine(pairs, future=None)
        engine.push(batch)
        return {rule.name: rule.matches for rule in engine.stats().rules[:3]}

    benchmark.extra_info["events"] = count
    assert benchmark(run) == alone
