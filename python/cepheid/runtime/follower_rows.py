"""Rows as a follower takes them: those that are wanted, in pieces, as dicts; and why one cannot be had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from cepheid.errors import AppError, SchemaError
from cepheid.runtime.given import event_dicts
from cepheid.schema.expressions import rows_that_hold
from cepheid.store.rows import OWN_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.store.position import Position

__all__ = ["Failures", "apart", "as_read", "chosen", "events_of", "text_of", "until", "within"]

#: Why rows cannot be given to a follower, by their positions.
Failures = dict[int, Exception]


def chosen(where: Any, rows: pa.Table, name: str) -> tuple[pa.Table, Failures]:
    """The rows that a condition holds for, asked one by one where it has to be; and those that it fails at.

    Args:
        where: The condition.
        rows: Rows of one topic, the store's own columns in front.
        name: Whose condition it is.
    """
    import numpy as np

    try:
        holds, failed = rows_that_hold(where, rows)
    except SchemaError as error:
        if error.code != "unknown-column":
            # It cannot be asked of this topic: none of its events can be given.
            holds, failed = np.zeros(rows.num_rows, bool), dict.fromkeys(range(rows.num_rows), str(error))
        else:
            # What a topic does not have is NULL in its events.
            return rows.slice(0, 0), {}
    positions = rows["_position"].to_numpy()
    failures: Failures = {int(positions[place]): _where_failed(name, why) for place, why in failed.items()}
    holds[list(failed)] = True
    return rows.take(np.flatnonzero(holds)), failures


def _where_failed(name: str, why: str) -> AppError:
    """What is said of an event that a condition cannot be asked of."""
    return AppError(f"the condition of `{name}` failed: {why}", code="where-failed")


def within(rows: pa.Table, ranges: Iterable[tuple[int, int]]) -> pa.Table:
    """Rows whose positions are in one of some ranges, both ends included."""
    import numpy as np
    import pyarrow as pa

    positions = rows["_position"].to_numpy()
    kept = np.zeros(len(positions), bool)
    for first, last in ranges:
        kept[np.searchsorted(positions, first) : np.searchsorted(positions, last, side="right")] = True
    return rows if kept.all() else rows.filter(pa.array(kept))


def until(rows: pa.Table, last: int) -> pa.Table:
    """Rows up to a position."""
    import numpy as np

    return rows.slice(0, int(np.searchsorted(rows["_position"].to_numpy(), last, side="right")))


def apart(rows: pa.Table, failures: Failures) -> Iterator[tuple[pa.Table, Exception | None]]:
    """Rows in pieces: each that cannot be given alone, and those between together."""
    import numpy as np

    positions = rows["_position"].to_numpy()
    begin = 0
    for place in np.flatnonzero(np.isin(positions, list(failures))).tolist() if failures else ():
        if place > begin:
            yield rows.slice(begin, place - begin), None
        yield rows.slice(place, 1), failures[int(positions[place])]
        begin = place + 1
    if begin < rows.num_rows:
        yield rows.slice(begin), None


def events_of(rows: pa.Table) -> list[tuple[dict[str, Any], Exception | None]]:
    """Rows as dicts; and what is wrong with those that have values which Python has not, such as the year 20,000."""
    try:
        return [(event, None) for event in event_dicts(rows)]
    except (ArithmeticError, ValueError):
        pass
    return [_event_of(rows.slice(place, 1)) for place in range(rows.num_rows)]


def _event_of(row: pa.Table) -> tuple[dict[str, Any], Exception | None]:
    event: dict[str, Any] = {}
    wrong: Exception | None = None
    for name in row.column_names:
        try:
            event |= event_dicts(row.select([name]))[0]
        except (ArithmeticError, ValueError) as error:
            wrong = AppError(
                f"column `{name}` has a value that Python has not ({error}); give its type a schema, or handle the "
                "events in batches",
                code="event-unreadable",
            )
    return event, wrong


def as_read(position: Position, rows: pa.Table) -> pa.Table:
    """Rows that have been appended, as they would be read: in the store's own columns what is asked of them here."""
    import numpy as np
    import pyarrow as pa

    numbers = np.arange(position.events, dtype=np.int64)
    own = {"_position": pa.array(numbers + position.first), "_row": pa.array(numbers + position.row)}
    for name in OWN_COLUMNS:
        column = own[name] if name in own else pa.nulls(position.events)
        rows = rows.append_column(name, column)
    return rows


def text_of(rows: pa.Table, column: str) -> str | None:
    """The text of a column in the first of some rows; None: it has none."""
    if column not in rows.column_names:
        return None
    value = rows[column][0].as_py()
    return None if value is None else str(value)
