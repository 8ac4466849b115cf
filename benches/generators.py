"""Seeded tables. The random numbers are defined here, so that no library's next release changes a workload."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

START_MICROSECONDS = 1_700_000_000_000_000


def random_bits(seed: int, count: int) -> npt.NDArray[np.uint64]:
    """SplitMix64 by counter: the i-th number depends on `seed` and i alone."""
    state = np.arange(1, count + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        state = state * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed) * np.uint64(0xD1342543DE82EF95)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def below(limit: int, seed: int, count: int) -> npt.NDArray[np.int64]:
    """Numbers from 0 to `limit` - 1."""
    return (random_bits(seed, count) % np.uint64(limit)).astype(np.int64)


def times(rows: int) -> pa.Array:
    """One row a millisecond."""
    return pa.array(np.arange(rows, dtype=np.int64) * 1000 + START_MICROSECONDS).cast(pa.timestamp("us"))


def price_walks(rows: int, seed: int, keys: int) -> pa.Table:
    """`keys` symbols taking turns at random, each with a price that walks by -3 to 3 a step; in time order."""
    symbol = below(keys, seed, rows)
    step = below(7, seed + 1, rows) - 3
    order = np.argsort(symbol, kind="stable")
    walked = np.cumsum(step[order])
    first = np.flatnonzero(np.diff(symbol[order], prepend=-1))
    base = np.repeat(walked[first] - step[order][first], np.diff(first, append=rows))
    price = np.empty(rows, dtype=np.int64)
    price[order] = 10_000 + walked - base
    return pa.table({"symbol": symbol, "ts": times(rows), "price": price})


def price_walk(rows: int, seed: int) -> pa.Table:
    """One series."""
    price = 10_000 + np.cumsum(below(7, seed, rows) - 3)
    return pa.table({"ts": times(rows), "price": price})


def readings(rows: int, seed: int) -> pa.Table:
    """Independent values from 0 to 999."""
    return pa.table({"ts": times(rows), "reading": below(1000, seed, rows)})


def equal_rows(rows: int, differing: int | None = None) -> pa.Table:
    """Rows that all hold 1, but for row number `differing`, which holds 2."""
    level = np.ones(rows, dtype=np.int64)
    if differing is not None:
        level[differing] = 2
    return pa.table({"ts": times(rows), "level": level})


GENERATORS: dict[str, Callable[..., pa.Table]] = {
    function.__name__: function for function in (price_walks, price_walk, readings, equal_rows)
}
