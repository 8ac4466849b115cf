"""The last step of both hand-written forms of `fraud`: which match forgets which payments, one after the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]


def settled(card: Ints, microseconds: Ints, amount: Ints, row: Ints) -> pa.Table:
    """Matches of the few cards that have a candidate.

    Args:
        card: Cards, equal ones together.
        microseconds: Times, ascending for each card.
        amount: Below 5 for a small payment, 500 or more for a big one.
        row: Where the payment lies in the table.
    """
    ten_minutes = 600_000_000
    probes, taken, at_row = [], [], []
    current = -1
    waiting: list[int] = []
    for owner, time, paid, number in zip(
        card.tolist(), microseconds.tolist(), amount.tolist(), row.tolist(), strict=True
    ):
        if owner != current:
            current, waiting = owner, []
        if paid < 5:
            waiting.append(time)
            continue
        waiting = [begun for begun in waiting if time - begun < ten_minutes]
        if len(waiting) >= 3:
            probes.append(len(waiting))
            taken.append(paid)
            at_row.append(number)
            waiting = []
    order = np.argsort(np.array(at_row, dtype=np.int64), kind="stable")
    columns = {"probes": probes, "taken": taken, "at_row": at_row}
    return pa.table({name: np.array(values, dtype=np.int64)[order] for name, values in columns.items()})
