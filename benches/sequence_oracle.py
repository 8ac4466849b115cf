"""The answers about event sequences, by loops over the rows that matter.

Where there are too many matches to go through they are counted by closed forms, which are themselves checked against
the plainest loops, at small sizes, in `test_answers.py`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Measures = tuple[int, ...]
Parameters = Mapping[str, int]


def rows_where(mask: Any) -> list[int]:
    return [int(row) for row in np.flatnonzero(np.asarray(mask))]


def rows_of(table: pa.Table, column: str, value: object) -> list[int]:
    """The numbers of the rows that hold a value."""
    return rows_where(pc.equal(table[column], pa.scalar(value)).to_numpy())


def steps_of(table: pa.Table) -> tuple[list[int], list[int], list[int]]:
    """The rows of A, B and C."""
    if "kind" in table.column_names:
        return rows_of(table, "kind", "A"), rows_of(table, "kind", "B"), rows_of(table, "kind", "C")
    first, middle, last = (rows_of(table, "symbol", f"SYM{number:03d}") for number in range(3))
    return first, middle, last


def triples(table: pa.Table, parameters: Parameters) -> tuple[int, Measures]:
    """Every (A, B, C) in this order with C at most `window` rows behind A.

    Of one C, with the As and Bs of its window: a B goes with the As before it. Sums over Bs are differences of
    running sums.
    """
    window = parameters["window"]
    a_rows, b_rows, c_rows = steps_of(table)
    before = [bisect_left(a_rows, b) for b in b_rows]
    a_sums = [0, *accumulate(a_rows)]
    counts = [0, *accumulate(before)]
    b_sums = [0, *accumulate(b_rows)]
    weighted = [0, *accumulate(b * count for b, count in zip(b_rows, before, strict=True))]
    summed = [0, *accumulate(a_sums[count] for count in before)]
    matches = first = middle = last = 0
    for c in c_rows:
        a_low = bisect_left(a_rows, c - window)
        if a_low == len(a_rows):
            continue
        low, high = bisect_right(b_rows, a_rows[a_low]), bisect_left(b_rows, c)
        if high <= low:
            continue
        found = counts[high] - counts[low] - a_low * (high - low)
        matches += found
        first += summed[high] - summed[low] - a_sums[a_low] * (high - low)
        middle += weighted[high] - weighted[low] - a_low * (b_sums[high] - b_sums[low])
        last += c * found
    return matches, (first, middle, last)


def choices_of_bs(table: pa.Table, parameters: Parameters) -> tuple[int, Measures]:
    """A, any choice of one B or more, C: two to the power of the Bs between, less one, for each pair of A and C."""
    window = parameters["window"]
    a_rows, b_rows, c_rows = steps_of(table)
    events = sorted([(row, "a") for row in a_rows] + [(row, "b") for row in b_rows] + [(row, "c") for row in c_rows])
    waiting: list[tuple[int, int]] = []
    expired = seen = matches = 0
    # The sum over the As of the window of two to the power of the Bs since.
    power = 0
    for row, step in events:
        while expired < len(waiting) and row - waiting[expired][0] > window:
            power -= 1 << (seen - waiting[expired][1])
            expired += 1
        if step == "a":
            waiting.append((row, seen))
            power += 1
        elif step == "b":
            seen += 1
            power *= 2
        else:
            matches += power - (len(waiting) - expired)
    return matches, ()


def next_of(rows: list[int], row: int) -> int | None:
    """The first of the rows behind a row."""
    index = bisect_right(rows, row)
    return rows[index] if index < len(rows) else None


def next_triples(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    a_rows, b_rows, c_rows = steps_of(table)
    for a in a_rows:
        b = next_of(b_rows, a)
        c = None if b is None else next_of(c_rows, b)
        if b is not None and c is not None and c - a <= parameters["window"]:
            yield a, b, c


def never(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    assert steps_of(table)[2] == []
    yield from ()


def consumed_triples(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    """Every pair that is waiting and in time when a C comes; then everything that waits is forgotten."""
    window = parameters["window"]
    begun: list[int] = []
    pairs: list[tuple[int, int]] = []
    for row, kind in enumerate(table["kind"].to_pylist()):
        if kind == "A":
            begun.append(row)
        elif kind == "B":
            pairs += [(a, row) for a in begun if row - a <= window]
        elif kind == "C":
            done = [(a, b, row) for a, b in pairs if row - a <= window]
            yield from done
            if done:
                begun, pairs = [], []
        if row % 1000 == 0:
            begun = [a for a in begun if row - a <= window]
            pairs = [(a, b) for a, b in pairs if row - a <= window]


def frauds(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    """Small payments of a card that are less than ten minutes old when a big one comes: three or more are a match."""
    ten_minutes = 10 * 60 * 1000  # rows: one a millisecond
    waiting: dict[int, list[int]] = {}
    amount = table["amount"].to_numpy()
    card = table["card"].to_numpy()
    for row in rows_where((amount < 5) | (amount >= 500)):
        small = waiting.setdefault(int(card[row]), [])
        if amount[row] < 5:
            small.append(row)
            continue
        while small and row - small[0] >= ten_minutes:
            small.pop(0)
        if len(small) >= 3:
            yield len(small), int(amount[row]), row
            small.clear()


def same_account(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    account = table["account"].to_pylist()
    yield from related_triples(table, parameters, lambda a, b: bool(account[a] == account[b]))


def dearer(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    price = table["price"].to_pylist()
    yield from related_triples(table, parameters, lambda a, b: bool(price[b] > price[a]))


def related_triples(table: pa.Table, parameters: Parameters, related: Callable[[int, int], bool]) -> Iterator[Measures]:
    window = parameters["window"]
    a_rows, b_rows, c_rows = steps_of(table)
    for a in a_rows:
        for b in b_rows[bisect_right(b_rows, a) : bisect_right(b_rows, a + window)]:
            if related(a, b):
                for c in c_rows[bisect_right(c_rows, b) : bisect_right(c_rows, a + window)]:
                    yield a, b, c


def increasing_loops(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    """From each A: every next B that is dearer than the last taken, until a C comes when there are three."""
    price = table["price"].to_pylist()
    a_rows, b_rows, c_rows = steps_of(table)
    later = sorted([(row, True) for row in b_rows] + [(row, False) for row in c_rows])
    for a in a_rows:
        last, taken = price[a], 0
        for row, is_b in later[bisect_right(later, (a, True)) :]:
            if row - a > parameters["window"]:
                break
            if is_b and price[row] > last:
                last, taken = price[row], taken + 1
            elif not is_b and taken >= 3:
                yield a, taken, row
                break


def many_pairs(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    """Of each pattern, every row of its first code with the next of its second, less than ten seconds later."""
    ten_seconds = 10 * 1000  # rows: one a millisecond
    rows_by_code: dict[int, list[int]] = {}
    code = table["code"].to_numpy()
    for row in rows_where(code < 2 * parameters["rules"]):
        rows_by_code.setdefault(int(code[row]), []).append(row)
    for rule in range(parameters["rules"]):
        for a in rows_by_code.get(2 * rule, []):
            b = next_of(rows_by_code.get(2 * rule + 1, []), a)
            if b is not None and b - a < ten_seconds:
                yield a, b


def selective_triples(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    """Without overlap: the earliest A from which the next B and the next C are in time, then on behind that C."""
    code = table["code"].to_numpy()
    b_rows, c_rows = rows_where(code < 1000), rows_where((code >= 1000) & (code < 2000))
    floor = 0
    for a in rows_where(code >= 1_000_000 - parameters["share_ppm"]):
        if a < floor:
            continue
        b = next_of(b_rows, a)
        c = None if b is None else next_of(c_rows, b)
        if c is not None and c - a <= parameters["window"]:
            yield a, c
            floor = c + 1


def chains(table: pa.Table, parameters: Parameters) -> Iterator[Measures]:
    """From each row of code 0 the next of code 1, from there the next of code 2, and so on."""
    code = table["code"].to_numpy()
    rows = [rows_where(code == step) for step in range(parameters["steps"])]
    for first in rows[0]:
        last: int | None = first
        for later in rows[1:]:
            last = None if last is None else next_of(later, last)
        if last is not None and last - first <= parameters["window"]:
            yield first, last


SEQUENCES: dict[str, Callable[[pa.Table, Parameters], Iterator[Measures]]] = {
    "seq3_next": next_triples,
    "seq5_never": never,
    "abc_consume": consumed_triples,
    "fraud": frauds,
    "correlated_equality": same_account,
    "correlated_inequality": dearer,
    "increasing_loop": increasing_loops,
    "many_patterns": many_pairs,
    "first_selectivity": selective_triples,
    "pattern_length": chains,
}
# Those whose matches are counted and summed without going through them.
COUNTED: dict[str, Callable[[pa.Table, Parameters], tuple[int, Measures]]] = {
    "seq3_any": triples,
    "abc": triples,
    "kleene": choices_of_bs,
}
