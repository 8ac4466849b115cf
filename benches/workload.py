"""A workload: a question in SQL, the table it is put to, and the answer. Each is a file in `workloads/`."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from benches.generators import GENERATORS

FOLDER = Path(__file__).parent / "workloads"


@dataclass(frozen=True, slots=True)
class Answer:
    """What must be equal before times are compared: the number of matches and the sum of every measure."""

    matches: int
    sums: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Workload:
    """One question at one size.

    Attributes:
        name: File name without its ending, and the size.
        shape: Which question it is: peers have one hand-written form a shape.
        sql: The query, over the table `t`.
        measures: Names of the measures, in order.
        scanned: The column that the yardstick scans.
        answer: The right answer; `benches.oracle` works it out.
    """

    name: str
    title: str
    shape: str
    sql: str
    measures: tuple[str, ...]
    scanned: str
    generator: str
    options: tuple[tuple[str, int], ...]
    rows: int
    answer: Answer

    @property
    def keyed(self) -> bool:
        return "PARTITION BY" in self.sql

    def table(self) -> pa.Table:
        """The table in one chunk; made outside the clock, and kept: several peers want it in turn."""
        return _table(self.generator, self.options, self.rows)

    def __str__(self) -> str:
        return self.name


@lru_cache(maxsize=1)
def _table(generator: str, options: tuple[tuple[str, int], ...], rows: int) -> pa.Table:
    return GENERATORS[generator](rows, **dict(options)).combine_chunks()


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def sizes(data: dict[str, Any], which: str) -> list[int]:
    """`check`: a few thousand rows, for the tests. `full`: those that are published."""
    return [data["check_rows"]] if which == "check" else list(data["rows"])


def load_workloads(which: str | None = None) -> list[Workload]:
    """Every workload at the sizes that CEPHEID_BENCH_SIZE (`check` or `full`) asks for."""
    which = which or os.environ.get("CEPHEID_BENCH_SIZE", "full")
    if which not in ("check", "full"):
        raise ValueError(f"CEPHEID_BENCH_SIZE is {which!r}; it can be 'check' or 'full'")
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        data = read(path)
        for rows in sizes(data, which):
            answer = data["answers"][str(rows)]
            found.append(
                Workload(
                    name=f"{path.stem}-{rows}",
                    title=data["title"],
                    shape=data["shape"],
                    sql=data["sql"],
                    measures=tuple(data["measures"]),
                    scanned=data["scanned"],
                    generator=data["generator"],
                    options=tuple(sorted(data.get("options", {}).items())),
                    rows=rows,
                    answer=Answer(answer["matches"], tuple(answer["sums"])),
                )
            )
    assert len(found) >= 10, f"only {len(found)} workloads under {FOLDER}; has the folder moved?"
    return found
