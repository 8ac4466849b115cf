"""What a new rule is warmed with: rows of a store, from where a group of rules wants them to where it has got to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, final

from cepheid.errors import AppError
from cepheid.event_time import time_ns
from cepheid.runtime.clock_marks import ClockMark
from cepheid.runtime.group_engine import GroupEngine
from cepheid.store.rows import OWN_COLUMNS, read_runs

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.store.event_store import EventStore

__all__ = ["History", "StoreHistory", "store_history", "warm"]

#: Gives rows of topics in the order in which they came, as triples of a topic, the number of the first row in it, and
#: the rows. It is asked for topics, by topic for the number of the first row wanted, and for a time in nanoseconds: of
#: topics that have no number rows from that time on are wanted; None: all.
History = Callable[[Sequence[str], Mapping[str, int], int | None], Iterator[tuple[str, int, "pa.Table"]]]

# How many events are read from a store at a time.
_READ_EVENTS = 8192


@final
class StoreHistory:
    """The events of a store before a position; `store_history` makes it.

    Args:
        store: The store.
        end: The position.
    """

    __slots__ = ("_added", "_end", "_store")

    def __init__(self, store: EventStore, end: int) -> None:
        self._store, self._end = store, end
        # By topic, columns that it has got since.
        self._added: dict[str, pa.Schema] = {}

    def __call__(
        self, topics: Sequence[str], rows: Mapping[str, int], since: int | None
    ) -> Iterator[tuple[str, int, pa.Table]]:
        """See `History`."""
        store, end = self._store, self._end
        known = store.info().topics
        begins = {topic: _begin(store, topic, rows.get(topic), since, end) for topic in topics if topic in known}
        wanted = [topic for topic, begin in begins.items() if begin is not None]
        position = min((begin for begin in begins.values() if begin is not None), default=end)
        while wanted and position < end:
            found = read_runs(store, wanted, from_=position, limit=_READ_EVENTS, topics=wanted, end=end)
            for topic, run in found.runs:
                kept = _wanted(run, store._event_time, rows.get(topic), since)
                for piece in _following(kept):
                    yield topic, piece["_row"][0].as_py(), self._widened(topic, piece.drop_columns(list(OWN_COLUMNS)))
            position = found.position

    def widened(self, topic: str, columns: pa.Schema) -> StoreHistory:
        """The same with columns of a topic that it has got since, which are NULL.

        Args:
            topic: The topic.
            columns: Its columns.
        """
        made = StoreHistory(self._store, self._end)
        made._added = {**self._added, topic: columns}
        return made

    def _widened(self, topic: str, table: pa.Table) -> pa.Table:
        import pyarrow as pa

        for field in self._added.get(topic, ()):
            if field.name not in table.column_names:
                table = table.append_column(field, pa.nulls(table.num_rows, field.type))
        return table

    def removed(self, topics: Iterable[str], since: int | None) -> dict[str, int]:
        """How many rows of topics the store keeps no longer, where some may be of a time or later.

        Of rows that are gone no times are known: where what is kept begins before the time, what is gone is taken for
        older.

        Args:
            topics: The topics.
            since: The time, in nanoseconds; None: all rows are of it or later.
        """
        known = self._store.info().topics
        found = {}
        for topic in topics:
            told = known.get(topic)
            if told is None or not told.removed:
                continue
            first = None if told.first_time is None else time_ns(told.first_time, "the first time")
            if since is None or first is None or first > since:
                found[topic] = told.removed
        return found


def store_history(store: EventStore, until: int) -> StoreHistory:
    """The events of a store before a position, as what rules are warmed with.

    Args:
        store: The store.
        until: The position that the group has got to: every event before it has been pushed, and none behind it.

    Returns:
        A function to be given to `RuleGroup.add`, `RuleGroup.replace` and others.

    Raises:
        TypeError: `until` is no position.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.runtime.rule_history import store_history
        >>> with cep.EventStore() as store:
        ...     position = store.append("txn", {"ts": [1, 2, 3], "amount": [5, 900, 7]})
        ...     history = store_history(store, position.end)
        ...     [(first, rows["amount"].to_pylist()) for topic, first, rows in history(["txn"], {"txn": 1}, None)]
        [(1, [900, 7])]
    """
    if isinstance(until, bool) or not hasattr(until, "__index__"):
        raise TypeError(f"until is a position, not {type(until).__name__}")
    return StoreHistory(store, int(until))


def _begin(store: EventStore, topic: str, row: int | None, since: int | None, end: int) -> int | None:
    """The position of the first event of a topic that is wanted; None: there is none."""
    from cepheid.store.events import StoredEvents

    if row is None:
        found = store.read(topic, since=since, to=end, limit=1, metadata=True)
    else:
        native = store._view.read(
            [topic],
            stream=None,
            positions=(None, end),
            rows=(row, 2**63 - 1),
            times=(None, None),
            condition=None,
            columns=None,
            metadata=True,
            limit=1,
            missing=False,
        )
        found = StoredEvents._of(native)
    events = found.to_arrow()
    return int(events["_position"][0].as_py()) if events.num_rows else None


def _wanted(run: pa.Table, event_time: str, row: int | None, since: int | None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    from cepheid.store.rows import times_ns

    if row is not None:
        return run.filter(pc.greater_equal(run["_row"], row))
    if since is not None:
        return run.filter(pc.greater_equal(pa.array(times_ns(run, event_time), pa.int64()), since))
    return run


def _following(rows: pa.Table) -> Iterator[pa.Table]:
    """Rows in pieces in which their numbers follow each other."""
    import numpy as np

    if not rows.num_rows:
        return
    numbers = rows["_row"].to_numpy()
    start = 0
    for stop in [*(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), rows.num_rows]:
        yield rows.slice(start, stop - start)
        start = stop


def warm(
    engine: GroupEngine,
    history: History,
    begin: ClockMark | None,
    marks: Sequence[ClockMark],
    since: int | None,
    counted: Mapping[str, int],
) -> int:
    """Has an engine that has seen nothing see what a group has, and drops what it derives.

    Args:
        engine: The engine.
        history: The rows.
        begin: Where to begin; None: where the history does.
        marks: Where the clock was later on, the last being where it is now.
        since: From which time on rows are wanted of topics that were not read at `begin`.
        counted: How many rows the group has numbered, of topics that it reads.

    Returns:
        How many rows were pushed.

    Raises:
        AppError: The history ends before the group does (code ``history-short``).
        CepheidError: As for `cepheid.Engine.push`.
    """
    rows = {} if begin is None else {topic: row for topic, row in begin.rows.items() if topic in engine.sources}
    if begin is not None:
        engine.begin_at(begin)
    pushed = 0
    ahead = list(marks)
    reached: dict[str, int] = {}
    for topic, first, table in history(engine.sources, rows, since):
        if topic in counted and first + table.num_rows > counted[topic]:
            # They have not been pushed to the group yet: it will be given them.
            table = table.slice(0, max(0, counted[topic] - first))
        while table.num_rows:
            place, row = _next_mark(ahead, topic)
            if row <= first:
                for mark in ahead[: place + 1]:
                    engine.reach(mark, ended=True)
                del ahead[: place + 1]
                continue
            part = table.slice(0, row - first)
            engine.push(part, topic, first)
            pushed += part.num_rows
            first += part.num_rows
            reached[topic] = first
            table = table.slice(part.num_rows)
    for mark in ahead:
        engine.reach(mark, ended=True)
    for topic, count in counted.items():
        if topic not in engine.sources:
            continue
        # What was asked for by time may leave the last rows out.
        by_number = topic in rows or since is None
        if by_number and reached.get(topic, count) < count:
            raise AppError(
                f"the history of topic `{topic}` ends before row {reached[topic]}, and the group has seen rows up to "
                f"{count - 1}: give it up to where the group is",
                code="history-short",
                known=[topic],
            )
        engine.number(topic, count)
    return pushed


def _next_mark(marks: Sequence[ClockMark], topic: str) -> tuple[int, int]:
    """Which is the next mark that knows of a topic, and the number of the first row of it that came after that.

    Marks before it may be of a time at which no row of the topic had come: it is behind these as well.
    """
    for place, mark in enumerate(marks):
        if topic in mark.rows:
            return place, mark.rows[topic]
    return len(marks), 2**63 - 1
