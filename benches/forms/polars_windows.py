"""Windows in Polars: grids by whole division, deviations by sums of squares, as in DuckDB's forms (see there why).

`group_by_dynamic` took seven times as long for windows end to end. From every row back, `rolling` was the fastest of
the three ways that we know.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from benches.workload import Workload

N, TOTAL, SQUARES = pl.col("n"), pl.col("total"), pl.col("squares")
VALUE = pl.col("value")


def panes(rows: pl.LazyFrame, workload: Workload) -> pl.LazyFrame:
    """What the stretches that no window ends in say."""
    every = workload.parameter("every") * 1_000_000
    pane = (pl.col("ts").to_physical() // every).alias("pane")
    return rows.group_by("key", pane).agg(
        pl.len().cast(pl.Int64).alias("n"),
        VALUE.sum().alias("total"),
        (VALUE * VALUE).sum().alias("squares"),
        VALUE.min().alias("least"),
        VALUE.max().alias("most"),
    )


def known(windows: pl.LazyFrame) -> pl.DataFrame:
    squares = (SQUARES - TOTAL * TOTAL / N) / (N - 1)
    deviation = pl.when(N > 1).then(squares.sqrt())
    return windows.with_columns(mean=TOTAL / N, deviation=deviation).drop("squares").collect()


def tumble(rows: pl.LazyFrame, workload: Workload) -> pl.DataFrame:
    return known(panes(rows, workload))


def hop(rows: pl.LazyFrame, workload: Workload) -> pl.DataFrame:
    back = workload.parameter("size") // workload.parameter("every") - 1
    pane = pl.col("pane")
    unfolded = panes(rows, workload).with_columns(pane=pl.int_ranges(pane - back, pane + 1)).explode("pane")
    totals = [pl.col(name).sum() for name in ("n", "total", "squares")]
    return known(unfolded.group_by("key", "pane").agg(*totals, pl.col("least").min(), pl.col("most").max()))


def sliding(rows: pl.LazyFrame, workload: Workload) -> pl.DataFrame:
    reaching = rows.rolling("ts", period=f"{workload.parameter('size')}s", closed="both", group_by="key")
    values = (VALUE.sum().alias("total"), VALUE.mean().alias("mean"), VALUE.min().alias("least"))
    return reaching.agg(*values, VALUE.max().alias("most")).collect()


FORMS: dict[str, Callable[[pl.LazyFrame, Workload], pl.DataFrame]] = {"tumble": tumble, "hop": hop, "range": sliding}
