"""The package `csp`: a graph of nodes in C++ that time series tick through; here its library of statistics.

Rows are one series of values and one of keys, as NumPy arrays, parted by key inside the clock. Each key has nodes of
its own, so Python takes up to half a minute to put the graph for 10,000 keys together: that is done beforehand, and
once. Results are NumPy arrays, one for each key and aggregate, put together here.

Statistics are taken over the time up to a trigger, its first moment excluded and its last included, so the trigger
comes a microsecond, the unit of these times, before a window ends. It asks every key; windows without rows are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import csp
import numpy as np
import pyarrow as pa
from csp import stats

from benches.peers.peer import Peer
from benches.workload import Workload

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1)
# `min_window` none: results from the first row on, not only when a whole window has gone by.
ANY = timedelta(0)

WINDOWED: dict[str, Callable[..., Any]] = {
    "n": stats.count,
    "total": stats.sum,
    "mean": stats.mean,
    "least": stats.min,
    "most": stats.max,
    "deviation": stats.stddev,
}


@dataclass(frozen=True, slots=True)
class Graph:
    """What is asked, from when to when, and the keys that there are."""

    context: Any
    start: datetime
    end: datetime
    keys: list[int]


class CspStats(Peer):
    """Its time never goes back. One thread, always."""

    def prepare(self, workload: Workload, table: pa.Table) -> Graph:
        times = table["ts"].to_numpy().astype("datetime64[ns]")
        keys, values = table["key"].to_numpy(), table["value"].to_numpy()
        known = np.unique(keys).tolist()
        first, last = (table["ts"][row].as_py() for row in (0, -1))
        size = timedelta(seconds=workload.parameter("size"))
        every = timedelta(seconds=dict(workload.parameters).get("every", workload.parameter("size")))
        start = EPOCH + (first - EPOCH) // every * every - MICROSECOND

        def graph() -> None:
            series = csp.demultiplex(csp.curve(float, (times, values)), csp.curve(int, (times, keys)), known)
            # From every row back, what was exactly that long ago still counts, and each row asks.
            over = (
                {"interval": size + MICROSECOND}
                if workload.shape == "range"
                else {"interval": size, "trigger": csp.timer(every)}
            )
            for key, one in series.items():
                for measure in workload.measures:
                    csp.add_graph_output((key, measure), WINDOWED[measure](one, min_window=ANY, **over))

        end = last + size + every
        return Graph(csp.build_graph(graph, starttime=start, endtime=end), start, end, known)

    def run(self, workload: Workload, armed: Graph) -> pa.Table:
        found = csp.run(armed.context, starttime=armed.start, endtime=armed.end, output_numpy=True)
        by_key = [[found[key, measure] for key in armed.keys] for measure in workload.measures]
        ticks = [len(times) for times, _ in by_key[0]]
        columns: dict[str, Any] = {
            "key": np.repeat(armed.keys, ticks),
            "time": np.concatenate([times for times, _ in by_key[0]]),
        }
        for measure, results in zip(workload.measures, by_key, strict=True):
            columns[measure] = np.concatenate([values for _, values in results])
        if workload.shape != "range":
            filled = columns["n"] > 0
            columns = {name: column[filled] for name, column in columns.items()}
        # It has NaN where a deviation is of a single row.
        return pa.table({name: pa.array(column, from_pandas=True) for name, column in columns.items()})
