"""The package `pandas-match-recognize`: the same SQL text over a data frame."""

from __future__ import annotations

import contextlib
import io
import logging
from importlib.metadata import version

import pandas as pd
import pyarrow as pa
from pandas_match_recognize import match_recognize

from benches.peers.peer import Peer
from benches.workload import Workload


class PandasMatchRecognize(Peer):
    """Row patterns over pandas."""

    name = "pandas-match-recognize"
    version = version("pandas_match_recognize")

    by_hand = False

    def cannot_run(self, workload: Workload) -> str | None:
        if not workload.is_pattern:
            return "knows MATCH_RECOGNIZE alone"
        if any(word in workload.sql for word in ("->", "WITHIN", "ALL MATCHES")):
            return "SQL has no words for event sequences, nor this package for WITHIN"
        slow = workload.shape in ("start_relative", "start_relative_bounded", "overlapping_runs")
        if (slow or "20000_keys" in workload.name) and workload.rows > 1_000:
            return "20,000 rows of this kind take over 25 s"
        return None

    def prepare(self, workload: Workload, table: pa.Table) -> pd.DataFrame:
        logging.disable(logging.WARNING)
        return table.to_pandas()

    def run(self, workload: Workload, prepared: pd.DataFrame) -> pd.DataFrame:
        with contextlib.redirect_stdout(io.StringIO()):
            return match_recognize(workload.sql, prepared)
