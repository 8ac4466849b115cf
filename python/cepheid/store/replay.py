"""Replaying what was stored through rules: at any speed, in steps, up to where a rule fires."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, final

from cepheid._native import concat_matches
from cepheid.derived import Derived
from cepheid.errors import StoreError
from cepheid.event_time import datetime_of
from cepheid.result import Matches
from cepheid.store.handle import checked_topics
from cepheid.store.times import nanoseconds, nanoseconds_or

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid._native import ArrowBatch, StoredReader
    from cepheid.engine import Engine
    from cepheid.store.event_store import EventStore
    from cepheid.store.events import StoredEvents

    # Rows with the store's columns and without; the position after them, the number of the first, and how many.
    _StoredRows = tuple[ArrowBatch, ArrowBatch, tuple[int, int, int]]

__all__ = ["Replay", "ReplayStep", "merged", "replayed_topics"]

# Columns that the store puts in front of a topic's own.
_POSITION, _ROW, _OWN = 0, 1, 5

# How long is slept at a time, so that a signal is answered.
_NAP_S = 0.05


@final
class ReplayStep(NamedTuple):
    """One step of a replay.

    Attributes:
        topic: The topic of its events.
        position: The position after the last of them.
        events: The events, in the topic's own columns.
        derived: What they have derived.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     position = store.append("txn", {"ts": [1], "amount": [900]})
        ...     step = next(store.step(cep.Engine(cep.event("any", topic="txn").named("any"))))
        ...     (step.topic, step.position, step.derived.total)
        ('txn', 1, 1)
    """

    topic: str
    position: int
    events: pa.Table
    derived: Derived


@final
class Replay:
    """A replay under way: an iterator of its steps, made by `EventStore.step`.

    Between steps the engine is what it was at that position: ask it for `Engine.stats`, take a `Engine.snapshot`, or
    draw it.

    Example:
        >>> import cepheid as cep
        >>> large = cep.event("large", "amount > 500", topic="txn").named("large")
        >>> with cep.EventStore() as store:
        ...     position = store.append("txn", {"ts": [1, 2, 3], "amount": [5, 900, 7]})
        ...     replay = store.step(cep.Engine(large))
        ...     step = replay.run_to("large")
        ...     (step.events["amount"].to_pylist(), replay.position)
        ([900], 2)
    """

    __slots__ = ("_steps", "engine", "position")

    #: The engine that the events are pushed to.
    engine: Engine
    #: The position after what has been pushed to it.
    position: int

    _steps: Iterator[ReplayStep]

    def __init__(self) -> None:
        raise TypeError("a replay in steps is what EventStore.step() returns")

    @classmethod
    def _of(cls, engine: Engine, steps: Iterator[ReplayStep], position: int) -> Replay:
        replay = object.__new__(cls)
        replay.engine = engine
        replay.position = position
        replay._steps = steps
        return replay

    def __iter__(self) -> Replay:
        return self

    def __next__(self) -> ReplayStep:
        step = next(self._steps)
        self.position = step.position
        return step

    def run_to(self, rule: str | None = None, *, position: int | None = None) -> ReplayStep | None:
        """Goes on up to the step in which a rule fires, or in which a position is reached.

        Args:
            rule: The name of a rule, or the topic of what it derives. None: none stops it.
            position: Events before it are pushed. None: up to the end.

        Returns:
            The step that it stopped after; None: there was none up to the end.

        Example:
            >>> import cepheid as cep
            >>> large = cep.event("large", "amount > 500", topic="txn").named("large")
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", {"ts": [1, 2, 3], "amount": [5, 900, 7]})
            ...     replay = store.step(cep.Engine(large))
            ...     step = replay.run_to(position=1)
            ...     (step.position, replay.run_to("small"))
            (1, None)
        """
        topics = set()
        if rule is not None:
            topics.add(rule)
            known = self.engine._rules.get(rule)
            if known is not None and hasattr(known, "_emitted"):
                topics.add(known._emitted(rule))
        for step in self:
            if topics & set(step.derived) or (position is not None and step.position >= position):
                return step
        return None


def replayed_topics(store: EventStore, engine: Engine, topics: str | Iterable[str] | None) -> list[str]:
    """The topics that a replay reads: those that are named, or that the engine's rules read.

    Raises:
        StoreError: The store has none of them, or the rules name none and the store has several.
    """
    if topics is not None:
        return checked_topics(topics)
    known = store._view.topics()
    reads = engine._native.reads()
    if None in reads:
        if len(known) > 1:
            raise StoreError(
                "a rule reads whatever it is given, and the store has several topics: say which are replayed",
                code="unknown-in-store",
                known=known,
            )
        return known
    found = [topic for topic in reads if topic in known]
    if not found:
        raise StoreError(
            f"the store has none of the topics that the rules read ({', '.join(str(topic) for topic in reads)})",
            code="unknown-in-store",
            known=known,
        )
    return [topic for topic in found if topic is not None]


def steps(engine: Engine, events: StoredEvents, *, rows_max: int | None, speed: float | None) -> Iterator[ReplayStep]:
    """Pushes stored events to an engine, so many rows at a time, no faster than their times allow."""
    pace = None if speed is None else _Pace(speed, engine._native.event_time())
    pushing = _Pushing(engine)
    # Each event is shown, and what comes in its own time is waited for: none is passed over.
    reader = events._native.reader([])
    while (found := reader.next_rows()) is not None:
        topic, rows, _ = found
        assert rows is not None
        yield from pushing.rows(topic, rows, rows_max, pace)


def pushes(
    engine: Engine, store: EventStore, events: StoredEvents, topics: list[str], *, eager: bool
) -> Iterator[tuple[int, Derived]]:
    """Pushes stored events to an engine as fast as can be: how many went by, time and again, and what they derived.

    `eager`: whether that is told as soon as something is derived.
    """
    pushing = _Pushing(engine)
    if engine._input.has_predicates:
        # Functions of Python see rows before the engine does.
        reader = events._native.reader([])
        while (found := reader.next_rows()) is not None:
            topic, rows, _ = found
            assert rows is not None
            yield pushing.whole(topic, rows)
        return
    _declare(engine, store, topics)
    # Columns of which nothing is asked are left where they are; of several topics rows would wait for each other.
    columns = engine._native.columns_needed(topics[0]) if len(topics) == 1 else None
    reader = events._native.reader(_mattering(engine, store, topics), columns)
    for told, refused in pushing.through(reader, whole=columns is None, eager=eager):
        yield told
        if refused is not None:
            # One of them would be late, or dated ahead, or wait: what becomes of it is the engine's to say.
            topic, first, count = refused
            again = store._rows_of(topic, first, first + count).reader([])
            for told_late, _ in pushing.through(again, whole=True, eager=eager):
                yield told_late


class _Pushing:
    """Rows on their way to an engine, which numbers them as the store does."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counted = {source.topic: source.rows for source in engine.stats().sources}

    def through(
        self, reader: StoredReader, *, whole: bool, eager: bool
    ) -> Iterator[tuple[tuple[int, Derived], tuple[str, int, int] | None]]:
        """Pushes all that a reader gives: how many events went by, what they derived, and rows that were refused."""
        ended = False
        while not ended:
            pushed = self.push_on(reader, whole=whole, eager=eager)
            ended = pushed["ended"]
            yield (sum(pushed["rows"]), Derived._of_native(pushed["outputs"])), pushed["refused"]

    def push_on(self, reader: StoredReader, *, whole: bool, eager: bool) -> dict[str, Any]:
        """Pushes what a reader gives next, many pieces at a time; `whole`: with all columns."""
        engine = self._engine
        pushed = reader.push_to(engine._native, self._counted, engine._clock(), whole, eager)
        self._counted = pushed["counted"]
        return pushed

    def whole(self, topic: str, stored: _StoredRows) -> tuple[int, Derived]:
        """Pushes rows whose numbers follow each other."""
        _, own, (_, first, count) = stored
        self._number(topic, first, count)
        return count, self._engine.push(own, topic)

    def rows(self, topic: str, stored: _StoredRows, rows_max: int | None, pace: _Pace | None) -> Iterator[ReplayStep]:
        """Pushes rows whose numbers follow each other, piece by piece."""
        import pyarrow as pa

        for piece in _pieces(pa.table(stored[0]), rows_max):
            for part in [piece] if pace is None else pace.parts(piece):
                self._number(topic, part.column(_ROW)[0].as_py(), part.num_rows)
                events = part.select(range(_OWN, part.num_columns))
                yield ReplayStep(
                    topic, part.column(_POSITION)[-1].as_py() + 1, events, self._engine.push(events, topic)
                )

    def _number(self, topic: str, first: int, count: int) -> None:
        before = self._counted.get(topic, 0)
        if first > before:
            self._engine._native.skip(topic, first - before)
            before = first
        self._counted[topic] = before + count


def _declare(engine: Engine, store: EventStore, topics: list[str]) -> None:
    """Tells the engine what columns topics have that it has not seen yet."""
    native = engine._native
    for topic in topics:
        if native.columns(topic) is None and topic in (native.reads() or []):
            native.declare(store.read(topic)._native.no_rows(), topic)


def _mattering(engine: Engine, store: EventStore, topics: list[str]) -> list[tuple[str, str]]:
    """By topic what holds of the rows that can matter to a rule, where that can be told."""
    if engine._native.event_time() != store._event_time:
        # Of another time nothing is known.
        return []
    found = [(topic, engine._native.relevant(topic)) for topic in topics]
    return [(topic, condition) for topic, condition in found if condition is not None]


def _pieces(rows: pa.Table, rows_max: int | None) -> Iterator[pa.Table]:
    """Rows, at most so many at a time."""
    step = rows.num_rows if rows_max is None else rows_max
    for first in range(0, rows.num_rows, step):
        yield rows.slice(first, step)


class _Pace:
    """Lets event time pass so many times as fast as that of the clock on the wall."""

    def __init__(self, speed: float, event_time: str) -> None:
        self._speed = speed
        self._event_time = event_time
        self._began: tuple[float, int] | None = None

    def parts(self, rows: pa.Table) -> Iterator[pa.Table]:
        """Rows as they come due."""
        import numpy as np

        if self._event_time not in rows.column_names:
            yield rows
            return
        # A row that comes late, or without a time, is due with those before it.
        column = rows.column(self._event_time)
        least = self._began[1] if self._began else _first(column)
        due = np.maximum.accumulate(nanoseconds_or(column, least))
        if self._began is None:
            self._began = (time.monotonic(), int(due[0]))
        began, first = self._began
        start = 0
        while start < rows.num_rows:
            now = first + (time.monotonic() - began) * self._speed * 1e9
            end = int(np.searchsorted(due, now, side="right"))
            if end > start:
                yield rows.slice(start, end - start)
                start = end
            else:
                time.sleep(min(_NAP_S, max(0.0, (int(due[start]) - now) / 1e9 / self._speed)))


def _first(column: Any) -> int:
    """The first event time that there is, in nanoseconds; 0: none."""
    known = nanoseconds(column.drop_null())
    return int(known[0]) if len(known) else 0


def merged(parts: dict[str, list[Matches]]) -> Derived:
    """What many calls have derived, as one."""
    found = []
    for topic, several in parts.items():
        if len(several) == 1:
            found.append((topic, several[0]))
        else:
            found.append((topic, Matches._of(concat_matches([part._native for part in several]))))
    return Derived._of(found)


def run(
    engine: Engine,
    of: Iterator[tuple[int, Derived]],
    on_derived: Callable[[Derived], None] | None,
    *,
    end: dt.datetime | int | None,
    flush: bool,
) -> Derived:
    """Goes through all pushes; gives what they derived, unless that is handed on."""
    parts: dict[str, list[Matches]] = {}

    def take(derived: Derived) -> None:
        if not derived:
            return
        if on_derived is not None:
            on_derived(derived)
            return
        for topic, matches in derived.items():
            parts.setdefault(topic, []).append(matches)

    for _, derived in of:
        take(derived)
    if end is not None:
        moment = datetime_of(end) if isinstance(end, int) else end
        assert moment is not None
        take(engine.advance_to(moment))
    if flush:
        take(engine.flush())
    return merged(parts)
