"""What every peer answers to."""

from __future__ import annotations

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
    """

    name: str
    version: str

    def cannot_run(self, workload: Workload) -> str | None:
        """Why it is not asked, or None."""
        return None

    @abstractmethod
    def prepare(self, workload: Workload, table: pa.Table) -> Any:
        """Puts the rows where this engine likes them best. Outside the clock."""

    @abstractmethod
    def run(self, workload: Workload, prepared: Any) -> Any:
        """Asks the question; the result is complete, with every measure of every match. Inside the clock."""

    def answer(self, workload: Workload, result: Any) -> Answer:
        """Adds up a result. Outside the clock."""
        table = pa.table(result)
        columns = {name.lower(): name for name in table.column_names}
        sums = (pc.sum(table[columns[name]].cast(pa.int64())).as_py() or 0 for name in workload.measures)
        return Answer(table.num_rows, tuple(sums))

    def __str__(self) -> str:
        return self.name
