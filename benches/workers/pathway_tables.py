"""The package `pathway`: tables kept up to date by a dataflow in Rust (differential), here over one that never changes.

Its batch mode: a static table of a pandas frame, which it reads inside the clock as it keeps none of its own, and the
whole result as Python's values. It has no deviation: that is made of sums of squares, as in the other forms. From every
row back: `intervals_over` knows no keys, so rows are joined with those before them, by key and interval.

It is under the BSL. It sends telemetry only with a licence key that says so, and none is set, whatever the environment
holds; nor is a server that watches it.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("PATHWAY_THREADS", os.environ.get("CEPHEID_BENCH_THREADS", "1"))

import pathway as pw
import pyarrow as pa
from pathway.internals.parse_graph import G

from benches.peers.peer import Peer
from benches.workload import Answer, Workload

pw.set_license_key(None)
pw.set_monitoring_config(server_endpoint=None, detailed_metrics_dir=None)

SECOND = 1_000_000
VALUE = pw.this.value


def windows(rows: Any, workload: Workload) -> Any:
    """End to end or overlapping: rows get the windows that they are in, and are grouped by them."""
    size = workload.parameter("size") * SECOND
    if workload.shape == "tumble":
        window = pw.temporal.tumbling(duration=size)
    else:
        window = pw.temporal.sliding(hop=workload.parameter("every") * SECOND, duration=size)
    squared = rows.with_columns(square=VALUE * VALUE)
    sums = squared.windowby(squared.ts, window=window, instance=squared.key).reduce(
        key=pw.this._pw_instance,
        start=pw.this._pw_window_start,
        n=pw.reducers.count(),
        total=pw.reducers.sum(VALUE),
        squares=pw.reducers.sum(pw.this.square),
        mean=pw.reducers.avg(VALUE),
        least=pw.reducers.min(VALUE),
        most=pw.reducers.max(VALUE),
    )
    n, total = pw.this.n, pw.this.total
    # Both branches are worked out for every row: no division by none.
    deviation = ((pw.this.squares - total * total / n) / pw.if_else(n > 1, n - 1, 1)) ** 0.5
    return sums.with_columns(deviation=pw.if_else(n > 1, deviation, None)).without(pw.this.squares)


def reaching_back(rows: Any, workload: Workload) -> Any:
    """No two rows of a key are of one time, so a time is a row."""
    before = rows.copy()
    reached = pw.temporal.interval(-workload.parameter("size") * SECOND, 0)
    pairs = rows.interval_join_inner(before, rows.ts, before.ts, reached, rows.key == before.key)
    return (
        pairs.select(key=pw.left.key, ts=pw.left.ts, value=pw.right.value)
        .groupby(pw.this.key, pw.this.ts)
        .reduce(
            pw.this.key,
            pw.this.ts,
            total=pw.reducers.sum(VALUE),
            mean=pw.reducers.avg(VALUE),
            least=pw.reducers.min(VALUE),
            most=pw.reducers.max(VALUE),
        )
    )


class PathwayTables(Peer):
    """Times are whole microseconds. All rows are there at once, so none is late."""

    def prepare(self, workload: Workload, table: pa.Table) -> Any:
        G.clear()
        micros = table["ts"].cast(pa.int64())
        frame = table.set_column(table.schema.get_field_index("ts"), "ts", micros).to_pandas()
        rows = pw.debug.table_from_pandas(frame)
        return (reaching_back if workload.shape == "range" else windows)(rows, workload)

    def run(self, workload: Workload, armed: Any) -> dict[str, dict[Any, Any]]:
        return pw.debug.table_to_dicts(armed, default_logging=False)[1]

    def answer(self, workload: Workload, result: dict[str, dict[Any, Any]]) -> Answer:
        return super().answer(workload, pa.table({name: list(column.values()) for name, column in result.items()}))

    def close(self, prepared: Any) -> None:
        """The frame belongs to a graph that is kept for the whole process."""
        G.clear()
