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


def named(codes: npt.NDArray[np.int64], names: list[str], text: bool = False) -> pa.Array:
    """Codes as a dictionary column of names; as plain utf8 if `text`."""
    column = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names))
    return column.cast(pa.string()) if text else column


def price_walks(rows: int, seed: int, keys: int, text: bool = False) -> pa.Table:
    """`keys` symbols taking turns at random, each with a price that walks by -3 to 3 a step; in time order.

    `text`: symbols are strings rather than numbers.
    """
    symbol = below(keys, seed, rows)
    step = below(7, seed + 1, rows) - 3
    order = np.argsort(symbol, kind="stable")
    walked = np.cumsum(step[order])
    first = np.flatnonzero(np.diff(symbol[order], prepend=-1))
    base = np.repeat(walked[first] - step[order][first], np.diff(first, append=rows))
    price = np.empty(rows, dtype=np.int64)
    price[order] = 10_000 + walked - base
    shown = named(symbol, [f"SYM{number:05d}" for number in range(keys)], text=True) if text else symbol
    return pa.table({"symbol": shown, "ts": times(rows), "price": price})


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


def level_runs(rows: int, length: int) -> pa.Table:
    """Runs of ones, each `length` rows with the two that ends it."""
    level = np.ones(rows, dtype=np.int64)
    level[length - 1 :: length] = 2
    return pa.table({"ts": times(rows), "level": level})


def symbols(rows: int, seed: int, relevant_ppm: int, never: bool = False, text: bool = False) -> pa.Table:
    """One of 500 symbols a row. `relevant_ppm` of a million rows hold SYM000, SYM001 or SYM002, a third each.

    Of the others each has its even share. `never`: no row holds SYM002. With an account from 0 to 19 and a price from
    0 to 999 beside it.
    """
    draw = below(1_000_000, seed, rows)
    wanted = draw % 3
    if never:
        wanted[wanted == 2] = 3
    code = np.where(draw < relevant_ppm, wanted, 3 + below(497, seed + 1, rows))
    return pa.table(
        {
            "ts": times(rows),
            "n": np.arange(rows, dtype=np.int64),
            "symbol": named(code, [f"SYM{number:03d}" for number in range(500)], text),
            "account": below(20, seed + 2, rows),
            "price": below(1000, seed + 3, rows),
        }
    )


def kinds(rows: int, seed: int, total: int, shares: tuple[int, ...]) -> pa.Table:
    """Kinds A, B, C and so on, `shares` of `total` rows each; the rest is of the kind after the last."""
    kind = np.searchsorted(np.cumsum(shares), below(total, seed, rows), side="right")
    names = [chr(ord("A") + number) for number in range(len(shares) + 1)]
    return pa.table({"ts": times(rows), "n": np.arange(rows, dtype=np.int64), "kind": named(kind, names)})


def cards(rows: int, seed: int, keys: int, skew_tenths: int = 0) -> pa.Table:
    """Payments of `keys` cards: 5 % below 5, 1 % from 500 on. Every thousandth row begins a planted series of four.

    `skew_tenths`: 0: cards are drawn evenly; otherwise from Zipf's law with a tenth of this as exponent.
    """
    card = below(keys, seed, rows)
    if skew_tenths:
        cumulated = np.cumsum(np.arange(1, keys + 1, dtype=np.float64) ** (-skew_tenths / 10))
        drawn = below(1 << 40, seed, rows) / float(1 << 40) * cumulated[-1]
        card = np.minimum(np.searchsorted(cumulated, drawn, side="right"), keys - 1).astype(np.int64)
    share, within = below(100, seed + 1, rows), below(495, seed + 2, rows)
    amount = np.where(share < 5, 1 + within % 4, np.where(share == 99, 500 + within, 5 + within))
    first = np.arange(0, rows - 300, 1000)
    for step, paid in enumerate((1, 2, 3, 900)):
        card[first + 100 * step] = card[first]
        amount[first + 100 * step] = paid
    return pa.table({"ts": times(rows), "n": np.arange(rows, dtype=np.int64), "card": card, "amount": amount})


def values(rows: int, seed: int, keys: int, spacing_us: int, late_ppm: int = 0, late_us_max: int = 0) -> pa.Table:
    """Quarters from 0 to 250 of `keys` keys, a row every `spacing_us`.

    `late_ppm` of a million rows are of a time up to `late_us_max` before the one at which they come.
    """
    ts = np.arange(rows, dtype=np.int64) * spacing_us + START_MICROSECONDS
    if late_ppm:
        ts -= np.where(below(1_000_000, seed + 2, rows) < late_ppm, below(late_us_max + 1, seed + 3, rows), 0)
    return pa.table(
        {
            "key": below(keys, seed, rows),
            "ts": pa.array(ts).cast(pa.timestamp("us")),
            # Sums of quarters are exact, in whatever order they are added.
            "value": below(1001, seed + 1, rows) / 4,
        }
    )


def codes(rows: int, seed: int, limit: int) -> pa.Table:
    """Independent codes from 0 to `limit` - 1."""
    return pa.table({"ts": times(rows), "n": np.arange(rows, dtype=np.int64), "code": below(limit, seed, rows)})


GENERATORS: dict[str, Callable[..., pa.Table]] = {
    function.__name__: function
    for function in (price_walks, price_walk, readings, equal_rows, level_runs, symbols, kinds, cards, codes, values)
}
