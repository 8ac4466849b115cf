"""The answers, by plain loops that read like the questions. Slow, and sharing no code with any peer.

`python -m benches.oracle` writes them into `workloads/`; the tests work out those of the small sizes again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from decimal import Context
from pathlib import Path

import pyarrow as pa

from benches.sequence_oracle import COUNTED, SEQUENCES, Measures
from benches.window_oracle import WINDOWS
from benches.workload import EXACT_MAX, FOLDER, Answer, Workload, key_of, made, points, read


def partitions(table: pa.Table, column: str) -> list[list[int]]:
    """The values of a column, by symbol if there is one; the generators' tables are in time order already."""
    values = table[column].to_pylist()
    if "symbol" not in table.column_names:
        return [values]
    groups: dict[int, list[int]] = {}
    for symbol, value in zip(table["symbol"].to_pylist(), values, strict=True):
        groups.setdefault(symbol, []).append(value)
    return list(groups.values())


def v_shapes(table: pa.Table) -> Iterator[Measures]:
    for price in partitions(table, "price"):
        start, size = 0, len(price)
        while start < size:
            bottom = start
            while bottom + 1 < size and price[bottom + 1] < price[bottom]:
                bottom += 1
            peak = bottom
            while peak + 1 < size and price[peak + 1] > price[peak]:
                peak += 1
            if start < bottom < peak:
                yield price[bottom], price[peak]
                start = peak + 1
            else:
                start += 1


def pairs(table: pa.Table) -> Iterator[Measures]:
    [reading] = partitions(table, "reading")
    row = 0
    while row + 1 < len(reading):
        if reading[row] < 100 and reading[row + 1] >= 900:
            yield (reading[row + 1],)
            row += 2
        else:
            row += 1


def level_then_rise(table: pa.Table) -> Iterator[Measures]:
    """Ones, at least one of them, and then a two: the same rows whichever of the hard patterns asks for it."""
    [level] = partitions(table, "level")
    ones = 0
    for value in level:
        if value == 2:
            yield (ones + 1,)
            ones = 0
        else:
            ones += 1


def overlapping_runs(table: pa.Table) -> Iterator[Measures]:
    """Every row satisfies both variables: from each row but the last, all rows to the end."""
    [level] = partitions(table, "level")
    assert min(level) >= 1
    for row in range(len(level) - 1):
        yield (len(level) - row,)


def start_relative_bounded(table: pa.Table) -> Iterator[Measures]:
    for price in partitions(table, "price"):
        for start, floor in enumerate(price):
            for back in range(start + 1, min(start + 22, len(price))):
                if price[back] <= floor:
                    if back - start >= 2:
                        yield back - start - 1, price[back]
                    break


def start_relative(table: pa.Table) -> Iterator[Measures]:
    for price in partitions(table, "price"):
        back_of = next_at_or_below(price)
        start = 0
        while start < len(price):
            back = back_of[start]
            if back is not None and back - start >= 2:
                yield back - start - 1, price[back]
                start = back + 1
            else:
                start += 1


def next_at_or_below(price: list[int]) -> list[int | None]:
    """For each row the next one whose price is not higher. (A loop from every start would take all day.)"""
    found: list[int | None] = [None] * len(price)
    waiting: list[int] = []
    for row, value in enumerate(price):
        while waiting and price[waiting[-1]] >= value:
            found[waiting.pop()] = row
        waiting.append(row)
    return found


def bounded_sums(table: pa.Table) -> Iterator[Measures]:
    """As many rows as fit into the sum, then one that is high; if that one is low, one fewer before it, and so on."""
    [reading] = partitions(table, "reading")
    start = 0
    while start < len(reading):
        end, total = start, 0
        while end < len(reading) and total + reading[end] <= 5000:
            total += reading[end]
            end += 1
        while end - start >= 2 and not (end < len(reading) and reading[end] >= 500):
            end -= 1
            total -= reading[end]
        if end - start >= 2:
            yield end - start + 1, total
            start = end + 1
        else:
            start += 1


ORACLES: dict[str, Callable[[pa.Table], Iterator[Measures]]] = {
    "v_shape": v_shapes,
    "pair": pairs,
    "level_then_rise": level_then_rise,
    "overlapping_runs": overlapping_runs,
    "start_relative_bounded": start_relative_bounded,
    "start_relative": start_relative,
    "bounded_sum": bounded_sums,
}


def right_answer(workload: Workload) -> Answer:
    """Counts and adds up what the oracle yields, or counts without."""
    table = workload.table()
    if workload.shape in COUNTED:
        matches, found = COUNTED[workload.shape](table, dict(workload.parameters))
        return Answer(matches, found if workload.output == "matches" else ())
    found_all = (
        ORACLES[workload.shape](table)
        if workload.shape in ORACLES
        else {**SEQUENCES, **WINDOWS}[workload.shape](table, dict(workload.parameters))
    )
    matches = 0
    sums: list[int | float] = [0] * len(workload.measures)
    for values in found_all:
        matches += 1
        for index, value in enumerate(values):
            sums[index] += value
    return Answer(matches, tuple(sums))


def write_answers(path: Path) -> None:
    """Replaces the `[answers]` of one workload."""
    data = read(path)
    wanted = {(rows, value or 0): value for rows, value in points(data, "check") + points(data, "full")}
    lines = []
    for (rows, _), value in sorted(wanted.items()):
        answer = right_answer(made(path, data, rows, value, Answer(0, ())))
        matches: object = answer.matches
        if answer.matches > EXACT_MAX:
            matches = f'"{Context(prec=30).create_decimal(int(answer.matches))}"'
        key = key_of(rows, value)
        key = key if key.isdigit() else f'"{key}"'
        lines.append(f"{key} = {{ matches = {matches}, sums = {list(answer.sums)} }}\n")
    text = path.read_text("utf-8")
    path.write_text(re.sub(r"(?s)(?<=^\[answers\]\n).*", "".join(lines), text, flags=re.MULTILINE), "utf-8")
    print(f"{path.name}: {len(lines)} answers", flush=True)


if __name__ == "__main__":
    for workload in sorted(FOLDER.glob(sys.argv[1] if sys.argv[1:] else "*.toml")):
        write_answers(workload)
