"""The package `bytewax`: dataflows in Rust (timely) whose steps are functions in Python. Events are built beforehand.

Windows are `fold_window`, over values in whatever order they come: all that is asked for is added up, so nothing has to
wait for its turn. Its clock of event time lets the watermark run on with the time of day, which is right for live
streams; of rows that are read as fast as they can be, it would call some late on a slow machine and others on a fast
one. So its time of day is made to stand still, and only events move the watermark.

From every row back there is no window: `stateful_map` keeps the last rows of each key.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import pyarrow as pa
from bytewax.dataflow import Dataflow
from bytewax.operators import windowing
from bytewax.testing import TestingSink, TestingSource, cluster_main

from benches.peers.peer import Peer
from benches.workload import Answer, Workload

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Rows of a batch of its source; of a tenth of them it was a sixth slower.
BATCH = 10_000

Event = tuple[datetime, float]
# How many, their sum, that of their squares, least, greatest.
Sums = tuple[int, float, float, float, float]


def nothing() -> Sums:
    return 0, 0.0, 0.0, math.inf, -math.inf


def added(sums: Sums, event: Event) -> Sums:
    n, total, squares, least, most = sums
    value = event[1]
    # As `min` and `max`, which are slower by a call each.
    least = least if least < value else value
    most = most if most > value else value
    return n + 1, total + value, squares + value * value, least, most


def merged(one: Sums, other: Sums) -> Sums:
    """Windows of fixed size are never merged, but `fold_window` wants to know how."""
    n, total, squares = (a + b for a, b in zip(one[:3], other[:3], strict=True))
    return int(n), total, squares, min(one[3], other[3]), max(one[4], other[4])


def known(window: tuple[int, Sums]) -> tuple[Any, ...]:
    """The number of a window and its six aggregates."""
    number, (n, total, squares, least, most) = window
    deviation = math.sqrt((squares - total * total / n) / (n - 1)) if n > 1 else None
    return number, n, total, total / n, least, most, deviation


class Reaching:
    """The rows of a key that a window reaches back to; of extremes, those that can still become one."""

    __slots__ = ("highs", "lows", "rows", "total")

    def __init__(self) -> None:
        self.rows: deque[Event] = deque()
        self.lows: deque[Event] = deque()
        self.highs: deque[Event] = deque()
        self.total = 0.0

    def add(self, event: Event, size: timedelta) -> tuple[Any, ...]:
        time, value = event
        rows, lows, highs = self.rows, self.lows, self.highs
        first = time - size
        while rows and rows[0][0] < first:
            self.total -= rows.popleft()[1]
        for extremes in (lows, highs):
            while extremes and extremes[0][0] < first:
                extremes.popleft()
        while lows and lows[-1][1] >= value:
            lows.pop()
        while highs and highs[-1][1] <= value:
            highs.pop()
        for kept in (rows, lows, highs):
            kept.append(event)
        self.total += value
        return time, self.total, self.total / len(rows), lows[0][1], highs[0][1]


def reaching_back(size: timedelta) -> Callable[[Reaching | None, Event], tuple[Reaching, tuple[Any, ...]]]:
    def step(state: Reaching | None, event: Event) -> tuple[Reaching, tuple[Any, ...]]:
        state = state or Reaching()
        return state, state.add(event, size)

    return step


class BytewaxFlows(Peer):
    """Keys are strings, as it wants them."""

    def prepare(self, workload: Workload, table: pa.Table) -> list[tuple[str, Event]]:
        keys = table["key"].cast(pa.string()).to_pylist()
        times = table["ts"].cast(pa.timestamp("us", "UTC")).to_pylist()
        # Times that have one and the same zone object are compared without asking it.
        events = zip((time.replace(tzinfo=UTC) for time in times), table["value"].to_pylist(), strict=True)
        return list(zip(keys, events, strict=True))

    def arm(self, workload: Workload, prepared: list[tuple[str, Event]]) -> tuple[Dataflow, list[Any]]:
        found: list[Any] = []
        flow = Dataflow("windows")
        rows = op.input("rows", flow, TestingSource(prepared, batch_size=BATCH))
        size = timedelta(seconds=workload.parameter("size"))
        if workload.shape == "range":
            answers = op.stateful_map("reach back", rows, reaching_back(size))
        else:
            late = timedelta(microseconds=int(dict(workload.options).get("late_us_max", 0)))  # type: ignore[arg-type]
            clock: Any = windowing.EventClock(
                ts_getter=lambda event: event[0],
                wait_for_system_duration=late,
                now_getter=lambda: EPOCH,
                to_system_utc=lambda _: None,
            )
            windower: Any
            if workload.shape == "tumble":
                windower = windowing.TumblingWindower(length=size, align_to=EPOCH)
            else:
                every = timedelta(seconds=workload.parameter("every"))
                windower = windowing.SlidingWindower(length=size, offset=every, align_to=EPOCH)
            windows = windowing.fold_window("fold", rows, clock, windower, nothing, added, merged, ordered=False)
            answers = op.map_value("known", windows.down, known)
        op.output("answers", answers, TestingSink(found))
        return flow, found

    def run(self, workload: Workload, armed: tuple[Dataflow, list[Any]]) -> list[tuple[str, tuple[Any, ...]]]:
        flow, found = armed
        workers = int(os.environ.get("CEPHEID_BENCH_THREADS", "1"))
        cluster_main(flow, [], 0, worker_count_per_proc=workers)
        return found

    def answer(self, workload: Workload, result: list[tuple[str, tuple[Any, ...]]]) -> Answer:
        columns = zip(*(values[1:] for _, values in result), strict=True)
        return super().answer(workload, pa.table(dict(zip(workload.measures, map(list, columns), strict=True))))
