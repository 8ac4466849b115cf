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

    # Seen on 100,000 rows: 0.4 to 2 s where the query has one partition or 500; over 25 s for the others.
    def cannot_run(self, workload: Workload) -> str | None:
        slow = workload.shape in ("start_relative", "start_relative_bounded", "overlapping_runs")
        slow = slow or "20000_keys" in workload.name
        rows_max = 1_000 if slow else 1_000_000
        if workload.rows > rows_max:
            return f"takes minutes for more than {rows_max:,} rows of this kind"
        return None

    def prepare(self, workload: Workload, table: pa.Table) -> pd.DataFrame:
        logging.disable(logging.WARNING)
        return table.to_pandas()

    def run(self, workload: Workload, prepared: pd.DataFrame) -> pd.DataFrame:
        with contextlib.redirect_stdout(io.StringIO()):
            return match_recognize(workload.sql, prepared)
