"""What every peer answers to."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from benches.workload import Answer, Workload


class Peer(ABC):
    """An engine that is asked.

    Attributes:
        name: As shown in the table.
        version: Of the library that does the work.
        by_hand: Whether its forms are written by us: then a wrong answer is a failure of ours. Packages are asked as
            their authors made them, and a wrong answer goes into the record in place of a time.
        probe_rows: How many rows tell what more of them would cost, if those of the tests do not: they are few beside
            what a call or a window costs. 0: they do.
    """

    name: str
    version: str
    by_hand: bool = True
    probe_rows: int = 0

    def cannot_run(self, workload: Workload) -> str | None:
        """Why it is not asked, or None."""
        return None

    def clock(self) -> float:
        """In seconds; read before and after `run`. Of who runs elsewhere, the clock there."""
        return time.perf_counter()

    @abstractmethod
    def prepare(self, workload: Workload, table: pa.Table) -> Any:
        """Puts the rows where this engine likes them best. Outside the clock, once."""

    def arm(self, workload: Workload, prepared: Any) -> Any:
        """What one call uses up, such as an engine without state. Outside the clock, before every call."""
        return prepared

    @abstractmethod
    def run(self, workload: Workload, armed: Any) -> Any:
        """Asks; the result is complete: every measure of every match, or how many there are. Inside the clock."""

    def answer(self, workload: Workload, result: Any) -> Answer:
        """Adds up a result. Outside the clock."""
        if workload.output == "count":
            return Answer(result, ())
        table = pa.table(result)
        columns = {name.lower(): name for name in table.column_names}
        sums = (_sum(table[columns[name]]) for name in workload.measures)
        return Answer(table.num_rows, tuple(sums))

    def close(self, prepared: Any) -> None:
        """Ends what `prepare` began, if that needs an end."""
        del prepared

    def __str__(self) -> str:
        return self.name


def _sum(column: pa.ChunkedArray) -> int | float:
    """In whole numbers, unless it is of floats."""
    exact = column if pa.types.is_floating(column.type) else column.cast(pa.int64())
    return pc.sum(exact).as_py() or 0
