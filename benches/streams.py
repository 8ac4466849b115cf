"""Curves of engines that run: what a call, a late row, a further rule or thread costs, and what state takes.

Each gives points, and checks on the way that the engine derived what it must; seconds are the best of a few tries.
`python -m benches.streams [NAME]` prints them at the size of CEPHEID_BENCH_SIZE.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

import cepheid as cep
from benches.generators import below, cards, codes, symbols
from benches.peers.cepheid_engine import CepheidBuilt, window_of
from benches.sequence_oracle import frauds, many_pairs, rows_of
from benches.workload import FOLDER, Workload, load_workloads, read, sizes

MEMORY_LIMIT = "2GB"
Sizes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement.

    Attributes:
        curve: Which curve.
        series: Which of its lines.
        value: The parameter.
        measure: What was measured, in the curve's unit; None: it could not be, `note` says why.
        rows: Rows pushed.
        note: What a reader should know.
    """

    curve: str
    series: str
    value: int
    measure: float | None
    rows: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """What is measured.

    Attributes:
        title: For the page.
        over: What the values count.
        unit: What is measured.
        points: Measures.
        most: The most that a measure may be; None: shown and not judged.
        ratio_max: Between the greatest and the smallest measure of one line; None: not judged.
        judged_from: The value from which points are judged.
    """

    title: str
    over: str
    unit: str
    points: Callable[[str], Iterator[Point]]
    most: float | None = None
    ratio_max: float | None = None
    judged_from: int = 0


def pattern_of(workload: str, **parameters: int) -> cep.Pattern:
    """The pattern of a workload's file."""
    text = read(FOLDER / f"{workload}.toml")["sql"]
    for name, value in parameters.items():
        text = text.replace("{" + name + "}", str(value))
    return cep.pattern_from_sql(text)


def best(measured: Callable[[], float], tries: int) -> float:
    return min(measured() for _ in range(tries))


def pushed(engine: cep.Engine, batches: list[Any]) -> tuple[float, int]:
    """Seconds that the calls take, and how many matches come out."""
    found = 0
    began = time.perf_counter()
    for batch in batches:
        found += sum(map(len, engine.push(batch).values()))
    found += sum(map(len, engine.flush().values()))
    return time.perf_counter() - began, found


def cut(table: pa.Table, size: int) -> list[pa.Table]:
    return [table.slice(start, size) for start in range(0, table.num_rows, size)]


def batch_sizes(scale: str) -> Iterator[Point]:
    """The fraud rule over Arrow batches and lists of dicts of so many rows a call."""
    most = {"check": 4_000, "short": 400_000, "full": 1_000_000}[scale]
    sizes = [size for size in (1, 16, 256, 4_096, 65_536, 1_000_000) if size <= most]
    rule = pattern_of("fraud")
    for size in sizes:
        rows = min(most, max(20_000, 20 * size)) if scale != "check" else most
        table = cards(rows, 53, 1_000)
        right = len(list(frauds(table, {})))
        forms: list[tuple[str, list[Any]]] = [("Arrow", cut(table, size))]
        if size <= 256:
            events = table.to_pylist()
            forms.append(("dicts", [events[start : start + size] for start in range(0, rows, size)]))
        for series, batches in forms:

            def once(batches: list[Any] = batches, right: int = right) -> float:
                seconds, found = pushed(cep.Engine(rule, lateness="0s"), batches)
                assert found == right, (found, right)
                return seconds

            yield Point("batch_sizes", series, size, best(once, 2) / rows * 1e9, rows)


def single_events(scale: str) -> Iterator[Point]:
    """The fraud rule over events one a call, gathered into batches of so many."""
    rows = {"check": 4_000, "short": 100_000, "full": 400_000}[scale]
    table = cards(rows, 53, 1_000)
    right = len(list(frauds(table, {})))
    typed = list(
        zip(
            table["ts"].cast(pa.int64()).to_pylist(),
            *(table[name].to_pylist() for name in ("n", "card", "amount")),
            strict=True,
        )
    )
    dicts = [dict(zip(table.column_names, event, strict=True)) for event in typed]
    for gathered in (256, 4_096):
        for series in ("typed events", "dicts"):
            # Not every version has it.
            if not hasattr(cep.Engine, "pusher"):
                yield Point("single_events", series, gathered, None, rows, "no pusher in this version")
                continue

            def once(series: str = series, gathered: int = gathered) -> float:
                engine: Any = cep.Engine(pattern_of("fraud"))
                pusher = engine.pusher(schema=table.schema, max_rows=gathered, max_delay=None)
                found = 0
                began = time.perf_counter()
                if series == "dicts":
                    for event in dicts:
                        if (derived := pusher.push_dict(event)) is not None:
                            found += sum(map(len, derived.values()))
                else:
                    for values in typed:
                        if (derived := pusher.push(*values)) is not None:
                            found += sum(map(len, derived.values()))
                found += sum(map(len, pusher.flush().values())) + sum(map(len, engine.flush().values()))
                seconds = time.perf_counter() - began
                assert found == right, (found, right)
                return seconds

            yield Point("single_events", series, gathered, best(once, 3) / rows * 1e9, rows)


def late_rows(scale: str) -> Iterator[Point]:
    """The fraud rule over rows of which so many of a hundred come late, by up to 1,000 rows or up to a tenth of all."""
    rows = {"check": 4_000, "short": 300_000, "full": 2_000_000}[scale]
    table = cards(rows, 53, 1_000)
    right = len(list(frauds(table, {})))
    rule = pattern_of("fraud")
    for distance in (1_000, rows // 10):
        for percent in (0, 5, 50):
            behind = np.where(below(100, 73, rows) < percent, below(distance, 74, rows), 0)
            arrived = table.take(np.argsort(np.arange(rows) + behind, kind="stable"))
            batches = cut(arrived.combine_chunks(), 65_536)

            def once(batches: list[Any] = batches, distance: int = distance) -> float:
                seconds, found = pushed(cep.Engine(rule, lateness=f"{distance}ms"), batches)
                assert found == right, (found, right)
                return seconds

            yield Point("late_rows", f"up to {distance:,} rows late", percent, best(once, 2) / rows * 1e9, rows)


def state_of_windows(scale: str) -> Iterator[Point]:
    """Bytes of state for each relevant row of the window, (A, B, C) with C never: all that can begin has begun."""
    windows = {"check": (1_000, 10_000), "short": (10_000, 100_000), "full": (10_000, 100_000, 1_000_000, 10_000_000)}
    for series, name in (("every combination", "seq3_any"), ("next match", "seq3_next")):
        for window in windows[scale]:
            table = symbols(window, 41, 2_000, never=True)
            relevant = sum(len(rows_of(table, "symbol", f"SYM{number:03d}")) for number in range(2))
            rule = pattern_of(name, window=window).named("rule")
            engine = cep.Engine(rule, memory_limit=MEMORY_LIMIT)
            try:
                for batch in cut(table, 65_536):
                    assert not engine.push(batch)
            except cep.StateLimitError:
                yield Point("state_of_windows", series, window, None, window, f"more than {MEMORY_LIMIT}")
                continue
            [stats] = engine.stats().rules
            yield Point("state_of_windows", series, window, stats.bytes / relevant, window)


def state_of_long_streams(scale: str) -> Iterator[Point]:
    """Bytes of state of A, the next B, the next C within a fixed window, after so many rows."""
    rows, window = {"check": (8_000, 500), "short": (800_000, 50_000), "full": (6_400_000, 100_000)}[scale]
    table = symbols(rows, 41, 2_000, never=True)
    engine = cep.Engine(pattern_of("seq3_next", window=window).named("rule"))
    step = rows // 16
    seen = 0
    for batch in cut(table, step):
        engine.push(batch)
        seen += batch.num_rows
        if seen in (rows // 8, rows // 4, rows // 2, rows):
            yield Point("state_of_long_streams", "", seen, float(engine.stats().rules[0].bytes), seen)


def rules_added(scale: str) -> Iterator[Point]:
    """One more rule to an engine that has so many, and its removal."""
    for rules in (1, 100) if scale == "check" else (1, 10, 100, 1_000):
        made = {f"rule{number}": pattern_of("many_patterns", rule=number) for number in range(rules)}
        engine = cep.Engine(made)
        table = codes(2_000, 61, 100_000)
        further = pattern_of("many_patterns", rule=rules).named("further")
        engine.push(table)

        def once(engine: cep.Engine = engine, further: cep.Pattern = further) -> float:
            began = time.perf_counter()
            engine.add(further)
            engine.remove("further")
            return time.perf_counter() - began

        microseconds = best(once, 5) * 1e6
        found = sum(map(len, engine.flush().values()))
        assert found <= len(list(many_pairs(table, {"rules": rules})))
        yield Point("rules_added", "", rules, microseconds, 2_000)


def threads(scale: str) -> Iterator[Point]:
    """The fraud rule of 100,000 cards, on so many threads."""
    rows = {"check": 4_000, "short": 500_000, "full": 4_000_000}[scale]
    for series, keys in (("100,000 cards", 100_000), ("one card", 1)):
        table = cards(rows, 53, keys)
        right = len(list(frauds(table, {})))
        batches = cut(table, 262_144)

        def once(number: int, batches: list[Any] = batches, right: int = right) -> float:
            seconds, found = pushed(cep.Engine(pattern_of("fraud"), threads=number), batches)
            assert found == right, (found, right)
            return seconds

        for number, seconds in in_turns(once, (1, 2), scale, long=4).items():
            yield Point("threads", series, number, seconds / rows * 1e9, rows)


def in_turns(once: Callable[[int], float], values: tuple[int, ...], scale: str, long: float) -> dict[int, float]:
    """The fewest seconds that each of these takes, in turns for so long each: others use the machine, too."""
    tries, long = {"check": (2, 0), "short": (3, 1), "full": (9, long)}[scale]
    seconds: dict[int, list[float]] = {value: [] for value in values}
    began = time.perf_counter()
    while len(seconds[values[-1]]) < tries or time.perf_counter() - began < len(values) * long:
        for value, taken in seconds.items():
            taken.append(once(value))
    # The first call compiles.
    return {value: min(taken[1:]) for value, taken in seconds.items()}


# A question each of what threads share in another way: keys with few relevant rows and with many, no keys, and windows.
SHARED = ("fraud", "v_shape_500_keys", "seq3_any_utf8", "tumble", "hop", "range")


def threads_of_tables(scale: str) -> Iterator[Point]:
    """Questions about tables, each of the largest that it has, on so many threads.

    Windows also of ten times as many: a million rows are 200 seconds, and 55 of them in windows that threads share.
    """
    largest = {workload.group: workload for workload in load_workloads(scale) if workload.group in SHARED}
    for group in SHARED:
        asked = largest[group]
        if asked.is_pattern:
            yield from _threads_of_table(group, asked, scale)
            continue
        yield from _threads_of_table(f"{group}, {asked.rows:,} rows", asked, scale)
        # Which leaves out what has more than a million rows.
        if scale != "short":
            yield from _threads_of_table(group, replace(asked, rows=10 * asked.rows), scale)


def _threads_of_table(series: str, workload: Workload, scale: str) -> Iterator[Point]:
    table, peer = workload.table(), CepheidBuilt()
    question = cep.pattern_from_sql(workload.sql) if workload.is_pattern else window_of(workload)
    ask: Any = cep.match if workload.is_pattern else cep.aggregate
    answers = {number: peer.answer(workload, ask(question, table, threads=number).to_arrow()) for number in (1, 2)}
    assert answers[1] == answers[2], workload
    if workload.rows in sizes(read(FOLDER / f"{workload.group}.toml"), scale):
        assert answers[1].agrees(workload.answer), workload

    def once(number: int) -> float:
        began = time.perf_counter()
        result = ask(question, table, threads=number).to_arrow()
        seconds = time.perf_counter() - began
        assert result.num_rows > 0
        return seconds

    for number, seconds in in_turns(once, (1, 2), scale, long=3).items():
        yield Point("threads_of_tables", series, number, seconds / workload.rows * 1e9, workload.rows)


def late_rows_of_tables(scale: str) -> Iterator[Point]:
    """Windows of 10 s over the largest table in order, and over that of which some rows come late, in turns."""
    groups = {0: "tumble", 5: "tumble_late"}
    largest = {workload.group: workload for workload in load_workloads(scale) if workload.group in groups.values()}
    asked = {percent: largest[group] for percent, group in groups.items()}
    tables = {percent: workload.table() for percent, workload in asked.items()}
    window, peer = window_of(asked[0]), CepheidBuilt()
    for percent, workload in asked.items():
        answer = peer.answer(workload, cep.aggregate(window, tables[percent], threads=1).to_arrow())
        assert answer.agrees(workload.answer), workload

    def once(percent: int) -> float:
        began = time.perf_counter()
        result = cep.aggregate(window, tables[percent], threads=1).to_arrow()
        seconds = time.perf_counter() - began
        assert result.num_rows > 0
        return seconds

    for percent, seconds in in_turns(once, tuple(groups), scale, long=3).items():
        rows = asked[percent].rows
        yield Point("late_rows_of_tables", "windows of 10 s", percent, seconds / rows * 1e9, rows)


CURVES: dict[str, Curve] = {
    "batch_sizes": Curve("Rows of a call", "rows a call", "ns a row", batch_sizes, ratio_max=1.5, judged_from=4_096),
    "single_events": Curve("Events one a call", "events of a batch", "ns an event", single_events),
    "late_rows": Curve("Late rows", "rows of a hundred that are late", "ns a row", late_rows),
    "late_rows_of_tables": Curve(
        "Late rows of tables", "rows of a hundred that are late", "ns a row", late_rows_of_tables, ratio_max=1.5
    ),
    "state_of_windows": Curve(
        "State against the window", "rows of the window", "bytes a relevant row", state_of_windows, most=24
    ),
    "state_of_long_streams": Curve(
        "State against the length of the stream", "rows so far", "bytes", state_of_long_streams, ratio_max=1.5
    ),
    "rules_added": Curve("Adding and removing a rule", "rules there are", "\N{MICRO SIGN}s", rules_added, ratio_max=3),
    "threads": Curve("Threads", "threads", "ns a row", threads),
    "threads_of_tables": Curve("Threads over tables", "threads", "ns a row", threads_of_tables),
}


def measure_streams(scale: str) -> list[dict[str, Any]]:
    """All of them, as plain data for the record."""
    return [asdict(point) for curve in CURVES.values() for point in curve.points(scale)]


if __name__ == "__main__":
    for named in sys.argv[1:] or CURVES:
        for shown in CURVES[named].points(os.environ.get("CEPHEID_BENCH_SIZE", "full")):
            print(shown, flush=True)
