"""Polars, with the fastest form that we could find by hand: one stable sort by key, then shifts over the whole column.

The key is compared at each seam. (`.over("symbol")` reads better, but two shifts of that kind alone took longer than
all of this.) It takes for granted that the rows are in time order, which cepheid does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", os.environ.get("CEPHEID_BENCH_THREADS", "1"))

import polars as pl
import pyarrow as pa

from benches.forms import polars_sequences, polars_windows
from benches.peers.peer import Peer
from benches.workload import Workload


def v_shape(rows: pl.LazyFrame, keyed: bool) -> pl.LazyFrame:
    """As DuckDB's form (see there why every second short V of a chain is dropped), on turns found by shifts."""
    price = pl.col("price")
    step, next_step = (price - price.shift(1)).sign(), (price.shift(-1) - price).sign()
    if keyed:
        rows = rows.sort("symbol", maintain_order=True)
        same = pl.col("symbol") == pl.col("symbol").shift(1)
        next_same = pl.col("symbol") == pl.col("symbol").shift(-1)
        step = pl.when(same).then(step).otherwise(0)
        # 2 is no direction: the last row of a symbol always ends a run.
        next_step = pl.when(next_same).then(next_step).otherwise(2)
    turns = (
        rows.with_columns(step.fill_null(0).alias("direction"), next_step.fill_null(2).alias("next"))
        .with_row_index("n")
        .filter(pl.col("direction") != pl.col("next"))
    )
    # A symbol's first row never falls or rises, so no run reaches across a seam.
    direction, n = pl.col("direction"), pl.col("n").cast(pl.Int64)
    vs = turns.select(
        *(["symbol"] if keyed else []),
        pl.col("price").shift(1).alias("bottom"),
        price.alias("peak"),
        ((direction == 1) & (direction.shift(1) == -1)).fill_null(False).alias("is_v"),
        ((direction.shift(2) == 1) & (direction.shift(3) == -1) & (n.shift(1) - n.shift(2) == 1))
        .fill_null(False)
        .alias("short"),
    ).filter("is_v")
    anew = ~pl.col("short")
    index = pl.int_range(pl.len(), dtype=pl.Int64)
    begun = pl.when(anew).then(index).otherwise(None).forward_fill()
    return vs.filter((index - begun) % 2 == 0).drop("is_v", "short")


def pair(rows: pl.LazyFrame, keyed: bool) -> pl.LazyFrame:
    reading, following = pl.col("reading"), pl.col("reading").shift(-1)
    return (
        rows.select(reading, following.alias("closing"))
        .filter((reading < 100) & (pl.col("closing") >= 900))
        .select("closing")
    )


def level_then_rise(rows: pl.LazyFrame, keyed: bool) -> pl.LazyFrame:
    n = pl.col("n").cast(pl.Int64)
    return (
        rows.with_row_index("n", offset=1)
        .filter(pl.col("level") == 2)
        .select((n - n.shift(1, fill_value=0)).alias("taken"))
    )


def overlapping_runs(rows: pl.LazyFrame, keyed: bool) -> pl.LazyFrame:
    """Right only because every row satisfies both variables."""
    return rows.select(pl.int_range(pl.len(), 1, -1, dtype=pl.Int64).alias("taken"))


def start_relative_bounded(rows: pl.LazyFrame, keyed: bool) -> pl.LazyFrame:
    """Twenty-one shifts; the first that is not above the start is the way back."""
    price, symbol = pl.col("price"), pl.col("symbol")
    back, closing = pl.lit(None, pl.Int64), pl.lit(None, pl.Int64)
    for distance in range(21, 0, -1):
        later = price.shift(-distance)
        found = (symbol.shift(-distance) == symbol) & (later <= price)
        back = pl.when(found).then(distance).otherwise(back)
        closing = pl.when(found).then(later).otherwise(closing)
    return (
        rows.sort("symbol", maintain_order=True)
        .select("symbol", (back - 1).alias("dwell"), closing.alias("closing"))
        .filter(pl.col("dwell") >= 1)
    )


FORMS: dict[str, Callable[[pl.LazyFrame, bool], pl.LazyFrame]] = {
    form.__name__: form for form in (v_shape, pair, level_then_rise, overlapping_runs, start_relative_bounded)
}


class Polars(Peer):
    """Shifts over the whole column; joins of the few rows that matter."""

    name = "Polars, by hand"
    version = pl.__version__

    def cannot_run(self, workload: Workload) -> str | None:
        if workload.shape in {*FORMS, *polars_sequences.FORMS, *polars_windows.FORMS}:
            return super().cannot_run(workload)
        return "no form without a loop known: what comes next depends on what was matched or taken before"

    def prepare(self, workload: Workload, table: pa.Table) -> pl.LazyFrame:
        frame = pl.DataFrame(table)
        # An Enum is compared as a small number.
        enums = {
            field.name: pl.Enum(table[field.name].chunk(0).dictionary.to_pylist())
            for field in table.schema
            if pa.types.is_dictionary(field.type)
        }
        return frame.with_columns(pl.col(name).cast(kind) for name, kind in enums.items()).lazy()

    def run(self, workload: Workload, armed: pl.LazyFrame) -> Any:
        if form := polars_sequences.FORMS.get(workload.shape) or polars_windows.FORMS.get(workload.shape):
            return form(armed, workload)
        return FORMS[workload.shape](armed, workload.keyed).collect()
