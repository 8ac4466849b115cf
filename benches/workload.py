"""A workload: a question in SQL, the table it is put to, and the answer. Each is a file in `workloads/`.

A file with a `[sweep]` is a curve: the same question for several values of one parameter, which stands in braces in
its text and its options. "rows" may be such a parameter too.
"""

from __future__ import annotations

import math
import os
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from benches.generators import GENERATORS

FOLDER = Path(__file__).parent / "workloads"
# Whole numbers up to here are compared digit by digit, floats up to the second.
EXACT_MAX = 2**127
FLOAT_EXACT_MAX = 2**53
FLOAT_MAX = Decimal(2) ** 1023

Option = int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What must be equal before times are compared: the number of matches and the sum of every measure.

    Attributes:
        matches: A whole number. Right answers past `EXACT_MAX` are decimals; engines may give floats for them.
        sums: One for each measure; none where matches are only counted. Those of floats are floats.
    """

    matches: int | float | Decimal
    sums: tuple[int | float, ...]

    def agrees(self, right: Answer) -> bool:
        """Whether this is right; to nine digits where it cannot be exact, and inf past the greatest float."""
        if len(self.sums) != len(right.sums) or not all(map(_same_sum, self.sums, right.sums)):
            return False
        if right.matches <= (FLOAT_EXACT_MAX if isinstance(self.matches, float) else EXACT_MAX):
            return self.matches == right.matches
        if self.matches == float("inf"):
            return right.matches > FLOAT_MAX
        return abs(Decimal(self.matches) / Decimal(right.matches) - 1) < Decimal("1e-9")


def _same_sum(found: int | float, right: int | float) -> bool:
    if isinstance(found, float) or isinstance(right, float):
        return math.isclose(found, right, rel_tol=1e-9)
    return found == right


@dataclass(frozen=True, slots=True)
class Sweep:
    """What varies in a curve, and what the curve must be.

    Attributes:
        over: The parameter.
        unit: What its values count, for the page.
        per: What the time is divided by before points are compared: "row", or "mark": a row of a match.
        ratio_max: Between the greatest and the smallest of them; None: the curve is shown and not judged.
        value: That of this point.
        values: Those of all.
    """

    over: str
    unit: str
    per: Literal["row", "mark"]
    ratio_max: float | None
    value: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """One question at one size.

    Attributes:
        name: File name without its ending, the value of the parameter if one varies, and the size.
        group: File name without its ending.
        shape: Which question it is: peers have one hand-written form a shape.
        sql: The query, over the table `t`; with `{rule}` in it, a template of `rules` queries. Windows that reach back
            from every row are said as window functions, which cepheid reads no text of.
        output: "matches": every measure of every match; "count": how many there are.
        rules: How many patterns run at once; None: the query is put to a table.
        measures: Names of the measures, in order.
        scanned: The column that the yardstick scans.
        parameters: What stands in braces in the file, by name: hand-written forms need it too.
        sweep: Set if this is a point of a curve. Curves are asked of cepheid alone, unless the file says otherwise.
        peers: Whether others are asked too.
        guarded: Whether an engine that keeps every partial match would never end; the file says so.
        answer: The right answer; `benches.oracle` works it out.
    """

    name: str
    group: str
    title: str
    shape: str
    sql: str
    output: Literal["matches", "count"]
    rules: int | None
    measures: tuple[str, ...]
    scanned: str
    generator: str
    options: tuple[tuple[str, Option], ...]
    parameters: tuple[tuple[str, int], ...]
    rows: int
    sweep: Sweep | None
    peers: bool
    guarded: bool
    answer: Answer

    @property
    def keyed(self) -> bool:
        return "PARTITION BY" in self.sql

    @property
    def is_pattern(self) -> bool:
        """Whether it asks for matches; else for windows."""
        return "MATCH_RECOGNIZE" in self.sql

    @property
    def is_vast(self) -> bool:
        """Whether an engine that goes through all matches, or keeps all partial ones, would never end."""
        return self.guarded or self.answer.matches > 30_000_000

    def parameter(self, name: str) -> int:
        return dict(self.parameters)[name]

    def table(self) -> pa.Table:
        """The table in one chunk; made outside the clock, and kept: several peers want it in turn."""
        return _table(self.generator, self.options, self.rows)

    def __str__(self) -> str:
        return self.name


# Two: a question at full size is first put to a small table.
@lru_cache(maxsize=2)
def _table(generator: str, options: tuple[tuple[str, Option], ...], rows: int) -> pa.Table:
    return GENERATORS[generator](rows, **dict(options)).combine_chunks()


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def sizes(data: dict[str, Any], which: str) -> list[int]:
    """`check`: a few thousand rows, for the tests. `full`: those that are published."""
    return [data["check_rows"]] if which == "check" else list(data["rows"])


def points(data: dict[str, Any], which: str) -> list[tuple[int, int | None]]:
    """The sizes, with every value of the parameter that varies, or None.

    Tests ask only for the values in `check`, if there are any: today's engine may be too slow for the others.
    """
    sweep = data.get("sweep")
    if sweep is None:
        return [(rows, None) for rows in sizes(data, which)]
    values = sweep["check"] if which == "check" and "check" in sweep else sweep["values"]
    if sweep["over"] == "rows":
        return [(value, value) for value in values]
    return [(rows, value) for rows in sizes(data, which) for value in values]


def key_of(rows: int, value: int | None) -> str:
    """What an answer is filed under."""
    return str(rows) if value is None or value == rows else f"{rows}/{value}"


def made(path: Path, data: dict[str, Any], rows: int, value: int | None, answer: Answer) -> Workload:
    """The workload of one size and one value."""
    parameters = dict(data.get("parameters", {}))
    sweep = data.get("sweep")
    if sweep is not None and value is not None:
        parameters[sweep["over"]] = value

    def filled(option: Any) -> Option:
        if isinstance(option, str):
            return int(parameters[option.strip("{}")])
        return tuple(option) if isinstance(option, list) else option

    sql = data["sql"]
    for name, part in data.get("repeated", {}).items():
        steps = (part["each"].replace("{step}", str(step)) for step in range(parameters["steps"]))
        sql = sql.replace("{" + name + "}", part["between"].join(steps))
    for parameter, said in parameters.items():
        sql = sql.replace("{" + parameter + "}", str(said))
    middle = "" if sweep is None or sweep["over"] == "rows" else f"-{value}"
    return Workload(
        name=f"{path.stem}{middle}-{rows}",
        group=path.stem,
        title=data["title"],
        shape=data["shape"],
        sql=sql,
        output=data.get("output", "matches"),
        rules=parameters.get("rules"),
        measures=tuple(data.get("measures", ())),
        scanned=data["scanned"],
        generator=data["generator"],
        options=tuple(sorted((name, filled(option)) for name, option in data.get("options", {}).items())),
        parameters=tuple(sorted(parameters.items())),
        rows=rows,
        sweep=None if sweep is None or value is None else swept(sweep, value),
        peers=data.get("peers", sweep is None),
        guarded=data.get("guarded", False),
        answer=answer,
    )


def swept(sweep: dict[str, Any], value: int) -> Sweep:
    return Sweep(
        over=sweep["over"],
        unit=sweep["unit"],
        per=sweep.get("per", "row"),
        ratio_max=sweep.get("ratio_max"),
        value=value,
        values=tuple(sweep["values"]),
    )


def load_answer(data: dict[str, Any], rows: int, value: int | None) -> Answer:
    """The right answer that the file holds."""
    answer = data["answers"][key_of(rows, value)]
    matches = answer["matches"]
    return Answer(Decimal(matches) if isinstance(matches, str) else matches, tuple(answer["sums"]))


def load_workloads(which: str | None = None) -> list[Workload]:
    """Every workload at the sizes that CEPHEID_BENCH_SIZE (`check`, `short` or `full`) asks for.

    `short` leaves out what has more than a million rows: a run that shows that everything works.
    """
    which = which or os.environ.get("CEPHEID_BENCH_SIZE", "full")
    if which not in ("check", "short", "full"):
        raise ValueError(f"CEPHEID_BENCH_SIZE is {which!r}; it can be 'check', 'short' or 'full'")
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        data = read(path)
        for rows, value in points(data, "check" if which == "check" else "full"):
            if which != "short" or rows <= 1_000_000:
                found.append(made(path, data, rows, value, load_answer(data, rows, value)))
    assert len(found) >= 40, f"only {len(found)} workloads under {FOLDER}; has the folder moved?"
    return found


def small_twin(workload: Workload) -> Workload:
    """The same question at the size of the tests: what it costs there tells whether the full size is worth asking."""
    path = FOLDER / f"{workload.group}.toml"
    data = read(path)
    value = workload.sweep.value if workload.sweep else None
    if workload.sweep and workload.sweep.over == "rows":
        rows = value = min(points(data, "check"))[0]
    else:
        rows = data["check_rows"]
    return made(path, data, rows, value, Answer(0, ()))
