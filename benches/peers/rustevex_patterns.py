"""The package `rustevex`: patterns over tokens with times, in Rust. The stream is read into its own form beforehand."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
from rustevex import EventExpressions, Pattern

from benches.peers.peer import Peer
from benches.workload import Answer, Workload


class Rustevex(Peer):
    """Gives every combination of its steps; knows no loops, no keys and no consumption."""

    name = "rustevex"
    version = version("rustevex")
    by_hand = False

    def cannot_run(self, workload: Workload) -> str | None:
        if workload.shape not in ("seq3_any", "abc"):
            return "knows sequences of single events alone, each combination a match"
        if workload.is_vast:
            return "goes through all matches"
        return None

    def prepare(self, workload: Workload, table: pa.Table) -> Any:
        column, names = ("kind", "ABC") if workload.shape == "abc" else ("symbol", ("SYM000", "SYM001", "SYM002"))
        pattern = Pattern(max_dt=float(workload.parameter("window")))
        for name in names:
            pattern.add_event(name)
        engine = EventExpressions(pattern)
        # Row numbers as times: the window is one of rows.
        stream = engine.preprocess(table[column].to_pylist(), [float(row) for row in range(table.num_rows)])
        return engine, stream

    def run(self, workload: Workload, armed: Any) -> Any:
        engine, stream = armed
        return engine.match_preprocessed(stream)

    def answer(self, workload: Workload, result: Any) -> Answer:
        rows = np.asarray(result["el_stream_idx"], dtype=np.int64).reshape(-1, 3)
        if workload.output == "count":
            return Answer(len(rows), ())
        return Answer(len(rows), tuple(int(total) for total in rows.sum(axis=0)))
