"""What windows say, by plain loops. Sizes are seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa

Values = tuple[int | float, ...]
SECOND = 1_000_000


def rows_of(table: pa.Table) -> Iterator[tuple[int, int, float]]:
    """Key, microseconds, value."""
    columns = (table["key"], table["ts"].cast(pa.int64()), table["value"])
    return zip(*(column.to_pylist() for column in columns), strict=True)


def known(values: list[float]) -> Values:
    """How many there are, their sum, mean, least, greatest, and deviation, which a single one has none of."""
    mean = sum(values) / len(values)
    squares = sum((value - mean) ** 2 for value in values)
    deviation = math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0
    return len(values), sum(values), mean, min(values), max(values), deviation


def hops(table: pa.Table, parameters: Mapping[str, int]) -> Iterator[Values]:
    """Each row is in all windows that cover its time."""
    size, every = parameters["size"] * SECOND, parameters["every"] * SECOND
    windows: dict[tuple[int, int], list[float]] = {}
    for key, time, value in rows_of(table):
        last = time // every
        for number in range((time - size) // every + 1, last + 1):
            windows.setdefault((key, number), []).append(value)
    return map(known, windows.values())


def ranges(table: pa.Table, parameters: Mapping[str, int]) -> Iterator[Values]:
    """From every row back; no two rows are of one time."""
    size = parameters["size"] * SECOND
    series: dict[int, list[tuple[int, float]]] = {}
    for key, time, value in rows_of(table):
        series.setdefault(key, []).append((time, value))
    for points in series.values():
        first = 0
        for place, (time, _) in enumerate(points):
            while points[first][0] < time - size:
                first += 1
            values = [value for _, value in points[first : place + 1]]
            yield sum(values), sum(values) / len(values), min(values), max(values)


WINDOWS: dict[str, Callable[[pa.Table, Mapping[str, int]], Iterator[Values]]] = {
    "tumble": hops,
    "hop": hops,
    "range": ranges,
}
