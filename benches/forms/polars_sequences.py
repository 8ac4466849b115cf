"""Event sequences in Polars: filter the few rows that matter, then join them by where they lie.

Joins are ranges of positions by binary search, unfolded; `join_where` and equi-joins of buckets took two and five
times as long on the rows of `seq3_any`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from benches.forms.cards import settled
from benches.workload import Workload

A, B, C = ("SYM000", "SYM001", "SYM002")


def steps(rows: pl.LazyFrame, workload: Workload, *kept: str) -> list[pl.DataFrame]:
    """The rows of A, B and C, with what else is kept of them: one scan."""
    column, names = ("kind", ("A", "B", "C")) if workload.generator == "kinds" else ("symbol", (A, B, C))
    first, second, third = (pl.col(column) == name for name in names)
    wanted = first | second | third
    relevant = rows.filter(wanted).select("n", column, *kept).collect()
    return [relevant.filter(pl.col(column) == name).drop(column) for name in names]


def unfolded(left: pl.DataFrame, low: pl.Series, high: pl.Series) -> pl.DataFrame:
    """Each row of `left` once for every position from `low` to below `high`, which is in `i`."""
    return (
        left.with_columns(low=low, high=high)
        .filter(pl.col("high") > pl.col("low"))
        .with_columns(i=pl.int_ranges("low", "high"))
        .drop("low", "high")
        .explode("i")
    )


def pairs(a: pl.DataFrame, b: pl.DataFrame, window: int) -> pl.DataFrame:
    """Every b with each a at most `window` rows before it, as positions `i` of a; b's columns stay."""
    return unfolded(b, a["n"].search_sorted(b["n"] - window), a["n"].search_sorted(b["n"]))


def closed(ab: pl.DataFrame, c: pl.DataFrame, window: int) -> pl.DataFrame:
    """Every pair with each c behind it and in the window."""
    low = c["n"].search_sorted(ab["middle_row"], side="right")
    high = c["n"].search_sorted(ab["first_row"] + window, side="right")
    found = unfolded(ab, low, high)
    return found.select("first_row", "middle_row", c["n"].gather(found["i"]).alias("last_row"))


def every_triple(rows: pl.LazyFrame, workload: Workload) -> Any:
    if workload.output == "count":
        return triple_count(rows, workload)
    a, b, c = steps(rows, workload)
    if c.is_empty():
        return pl.DataFrame(schema=dict.fromkeys(workload.measures, pl.Int64()))
    window = workload.parameter("window")
    found = pairs(a, b, window)
    ab = found.select(a["n"].gather(found["i"]).alias("first_row"), pl.col("n").alias("middle_row"))
    return closed(ab, c, window)


def triple_count(rows: pl.LazyFrame, workload: Workload) -> int:
    """Of each C: the pairs that lie before it, less those whose A is out of its window, by running sums."""
    a, b, c = (step["n"] for step in steps(rows, workload))
    if a.is_empty():
        return 0
    before = a.search_sorted(b).cast(pl.Int64)
    running = pl.concat([pl.Series([0], dtype=pl.Int64), before.cum_sum()])
    low = a.search_sorted(c - workload.parameter("window")).cast(pl.Int64)
    # As in the window begin at `low`, so the Bs that count begin behind that A.
    b_low = b.search_sorted(a.gather(low.clip(0, len(a) - 1)))
    b_high = b.search_sorted(c)
    found = running.gather(b_high) - running.gather(b_low) - low * (b_high.cast(pl.Int64) - b_low.cast(pl.Int64))
    return int(found.filter((low < len(a)) & (b_high > b_low)).sum())


def next_triple(rows: pl.LazyFrame, workload: Workload) -> pl.DataFrame:
    a, b, c = steps(rows, workload)
    later_b = b.select(pl.col("n").alias("middle_row"))
    later_c = c.select(pl.col("n").alias("last_row"))
    at_b = later_b["middle_row"].search_sorted(a["n"], side="right")
    found = a.select(first_row="n").with_columns(at=at_b).filter(pl.col("at") < len(b))
    found = found.with_columns(middle_row=later_b["middle_row"].gather(found["at"]))
    at_c = later_c["last_row"].search_sorted(found["middle_row"], side="right")
    found = found.with_columns(at=at_c).filter(pl.col("at") < len(c))
    found = found.with_columns(last_row=later_c["last_row"].gather(found["at"])).drop("at")
    return found.filter(pl.col("last_row") - pl.col("first_row") <= workload.parameter("window"))


def kleene(rows: pl.LazyFrame, workload: Workload) -> float:
    """Two to the power of the Bs between, less one, of each A and C: a closed form, in floats."""
    a, b, c = steps(rows, workload)
    found = pairs(a, c, workload.parameter("window"))
    between = b["n"].search_sorted(found["n"]) - b["n"].search_sorted(a["n"].gather(found["i"]))
    counts = pl.DataFrame({"between": between.cast(pl.Float64)})
    return float(counts.select((pl.lit(2.0).pow("between") - 1).sum()).item())


def same_account(rows: pl.LazyFrame, workload: Workload) -> pl.DataFrame:
    return related(rows, workload, "account", lambda mine, other: mine == other)


def dearer(rows: pl.LazyFrame, workload: Workload) -> pl.DataFrame:
    return related(rows, workload, "price", lambda mine, other: mine > other)


def related(
    rows: pl.LazyFrame, workload: Workload, column: str, holds: Callable[[pl.Expr, pl.Expr], pl.Expr]
) -> pl.DataFrame:
    a, b, c = steps(rows, workload, column)
    window = workload.parameter("window")
    found = pairs(a, b, window)
    ab = (
        found.with_columns(first_row=a["n"].gather(found["i"]), other=a[column].gather(found["i"]))
        .filter(holds(pl.col(column), pl.col("other")))
        .select("first_row", middle_row="n")
    )
    return closed(ab, c, window)


def fraud(rows: pl.LazyFrame, workload: Workload) -> Any:
    """Big payments whose third last small one is in time, then the few cards that have such one by a loop."""
    relevant = (
        rows.filter((pl.col("amount") < 5) | (pl.col("amount") >= 500))
        .select("card", "ts", "amount", "n")
        .collect()
        .sort("card", maintain_order=True)
    )
    within = pl.duration(minutes=10)
    small = relevant.filter(pl.col("amount") < 5).select(
        "card", "ts", third=pl.when(pl.col("card") == pl.col("card").shift(2)).then(pl.col("ts").shift(2))
    )
    thrice = small.filter(pl.col("ts") - pl.col("third") < within).sort("ts")
    candidates = (
        relevant.filter(pl.col("amount") >= 500)
        .sort("ts")
        .join_asof(thrice, on="ts", by="card", check_sortedness=False)
        .filter(pl.col("ts") - pl.col("third") < within)
    )
    few = relevant.join(candidates.select("card").unique(), on="card", how="semi", maintain_order="left")
    columns = few.select("card", pl.col("ts").to_physical(), "amount", "n")
    return settled(*(column.to_numpy() for column in columns))


def many_patterns(rows: pl.LazyFrame, workload: Workload) -> pl.DataFrame:
    """Codes tell which pattern a row is of, and which step: one sort, and the next second step filled back."""
    second = pl.col("code") % 2 == 1
    return (
        rows.filter(pl.col("code") < 2 * int(workload.rules or 0))
        .with_columns(rule=pl.col("code") // 2)
        .sort("rule", maintain_order=True)
        .with_columns(
            last_row=pl.when(second).then(pl.col("n")).backward_fill(),
            other=pl.when(second).then(pl.col("rule")).backward_fill(),
        )
        .filter(~second & (pl.col("other") == pl.col("rule")) & (pl.col("last_row") - pl.col("n") < 10_000))
        .select(pl.col("n").alias("first_row"), "last_row")
        .collect()
    )


FORMS: dict[str, Callable[[pl.LazyFrame, Workload], Any]] = {
    "seq3_any": every_triple,
    "seq3_next": next_triple,
    "abc": every_triple,
    "kleene": kleene,
    "correlated_equality": same_account,
    "correlated_inequality": dearer,
    "fraud": fraud,
    "many_patterns": many_patterns,
}
