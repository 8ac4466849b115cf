"""What the event store costs: appending durably beside raw writes of as many bytes, sealing, reading, and replaying."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event

ROWS = 40_000 if os.environ.get("CEPHEID_BENCH_SIZE") == "check" else 4_000_000
BATCH_ROWS = 8192
# One in 100,000, as the goal has it; of a few rows at least some.
ALARMS = max(1e-5, 20 / ROWS)


def payments() -> pa.Table:
    """Payments in the order of their times: a key of many values, an amount, a name, and rare alarms."""
    random = np.random.default_rng(1)
    kinds = np.array(["card", "cash", "mail", "wire"])[random.integers(0, 4, ROWS)]
    kinds = np.where(random.random(ROWS) < ALARMS, "alarm", kinds)
    names = np.array([f"m{name}" for name in range(5_000)])
    return pa.table(
        {
            "ts": pa.array(np.arange(ROWS) * 1_000, pa.timestamp("us", "UTC")),
            "card": random.integers(0, 100_000, ROWS),
            "amount": np.round(random.exponential(50, ROWS), 2),
            "merchant": names[random.integers(0, 5_000, ROWS)],
            "kind": kinds,
        }
    )


TABLE = payments()
BATCHES = [TABLE.slice(start, BATCH_ROWS) for start in range(0, ROWS, BATCH_ROWS)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[cep.EventStore]:
    """A store whose events are all archived."""
    with cep.EventStore(tmp_path_factory.mktemp("store") / "s.db") as store:
        for batch in BATCHES:
            store.append("payment", batch)
        store.seal()
        yield store


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Path]:
    """A new file for each round."""
    return (tmp_path / f"{number}.db" for number in range(10**6))


@pytest.mark.parametrize("what", ["append", "append_batches", "raw write and fsync"])
def test_durable_append(benchmark: Any, places: Iterator[Path], what: str) -> None:
    with cep.EventStore(next(places)) as store:
        for batch in BATCHES:
            store.append("payment", batch)
        size = store.info().topics["payment"].journal_bytes // len(BATCHES)
        assert store.end == ROWS
    body = os.urandom(size)

    def append() -> int:
        with cep.EventStore(next(places)) as store:
            for batch in BATCHES:
                store.append("payment", batch)
            return store.end

    def write() -> int:
        with next(places).open("wb", buffering=0) as file:
            for _ in BATCHES:
                file.write(body)
                os.fsync(file.fileno())
        return ROWS

    def append_batches() -> int:
        with cep.EventStore(next(places)) as store:
            return store.append_batches("payment", BATCHES)[-1].end

    benchmark.extra_info.update(events=ROWS, bytes_a_batch=size)
    run = {"append": append, "append_batches": append_batches}.get(what, write)
    assert benchmark.pedantic(run, rounds=3, iterations=1) == ROWS


def test_reading(benchmark: Any, archive: cep.EventStore) -> None:
    benchmark.extra_info["events"] = ROWS
    assert benchmark(archive.read("payment").count) == ROWS


def test_reading_what_is_rare(benchmark: Any, archive: cep.EventStore) -> None:
    expected = TABLE["kind"].to_pylist().count("alarm")
    benchmark.extra_info.update(events=ROWS, found=expected)
    assert benchmark(archive.read("payment", where=col.kind == "alarm").count) == expected > 0


@pytest.mark.parametrize(
    "what", ["rows that matter", "rows that have to be looked at", "every row", "every row and column"]
)
def test_replay(benchmark: Any, archive: cep.EventStore, what: str) -> None:
    condition = col.kind == "alarm"
    if what == "rows that have to be looked at":
        # The same rows, but nobody can tell from what is known of a page.
        condition = condition | (col.amount * 2 > 1e9)
    rules = [event("alarm", condition, topic="payment").named("alarm")]
    # Beside it one that cares for all rows, and one that cares for what is in them.
    counted = {"n": cep.count()}
    if what == "every row and column":
        counted |= {name: col(name) for name in ("card", "amount", "merchant")}
    if what.startswith("every"):
        rules.append(cep.window(**counted, topic="payment").tumbling("1h").named("counted"))
    expected = TABLE["kind"].to_pylist().count("alarm")

    def run() -> int:
        return len(archive.replay(cep.Engine(rules))["alarm"])

    benchmark.extra_info.update(events=ROWS, found=expected)
    assert benchmark(run) == expected
