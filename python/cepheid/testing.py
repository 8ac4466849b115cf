"""Tests of rules in virtual time: feed events, move the clock, say exactly what must come out.

Nothing here sleeps, and no wall clock is asked: a day passes when the test says so.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self, final

from cepheid.derived import Derived
from cepheid.engine import Engine, Rules, Span
from cepheid.errors import PatternError
from cepheid.input import is_event
from cepheid.literal import duration_ns

__all__ = ["START", "Scenario"]

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
"""When scenarios begin, unless they say otherwise."""

Moment = str | dt.timedelta | dt.datetime
"""A time of a scenario: how long after its start, as text such as ``"5m"`` or as a timedelta; or a datetime."""


@final
class Scenario:
    """A stream in virtual time, and what the rules derive of it.

    Events that have been derived wait until they are expected. `expect` takes those of one topic and fails unless they
    are the ones that it names, all of them, in order. Used as a context, it fails at the end if any are left that
    nobody expected.

    Args:
        rules: As for `cepheid.Engine`.
        event_time: The column of the event time, which `feed` fills in.
        lateness: As for `cepheid.Engine`: with ``"0s"``, each event moves the clock to its own time.
        late: As for `cepheid.Engine`.
        idle: As for `cepheid.Engine`.
        threads: As for `cepheid.Engine`.
        memory_limit: As for `cepheid.Engine`.
        start: When the scenario begins.

    Example:
        >>> from cepheid import event
        >>> from cepheid.testing import Scenario
        >>> rule = (event("order", "kind = 'order'") >> event("paid", "kind = 'paid'")).within("1h").named("sold")
        >>> with Scenario(rule.partition_by("id")) as stream:
        ...     _ = stream.feed(at="0s", id=1, kind="order").feed(at="5m", id=1, kind="paid")
        ...     _ = stream.expect("sold", {"id": 1, "match_end": "5m"})
    """

    __slots__ = ("_engine", "_event_time", "_memory_limit", "_now", "_pending", "_rules", "_start")

    def __init__(
        self,
        rules: Rules,
        *,
        event_time: str = "ts",
        lateness: Span | None = "0s",
        late: Literal["side_output", "drop", "error"] = "side_output",
        idle: Span | None = None,
        threads: int | None = None,
        memory_limit: int | str | None = None,
        start: dt.datetime = START,
    ) -> None:
        self._rules = rules if isinstance(rules, Mapping) or not isinstance(rules, Iterable) else list(rules)
        self._event_time = event_time
        self._memory_limit = memory_limit
        self._start = start if start.tzinfo is not None else start.replace(tzinfo=dt.UTC)
        self._now = self._start
        self._pending: dict[str, list[dict[str, Any]]] = {}
        self._engine = Engine(
            self._rules,
            event_time,
            lateness=lateness,
            late=late,
            idle=idle,
            threads=threads,
            memory_limit=memory_limit,
            future=None,
        )

    @property
    def engine(self) -> Engine:
        """The engine, for its `Engine.stats`, or to change its rules.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.testing import Scenario
            >>> Scenario(cep.event("a")).feed(at="1s", x=1).engine.stats().rows
            1
        """
        return self._engine

    @property
    def now(self) -> dt.datetime:
        """The virtual time: the greatest that an event was fed at, or that the clock was moved to.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.testing import Scenario
            >>> Scenario(cep.event("a")).feed(at="90s", x=1).now
            datetime.datetime(2024, 1, 1, 0, 1, 30, tzinfo=datetime.timezone.utc)
        """
        return self._now

    @property
    def pending(self) -> dict[str, list[dict[str, Any]]]:
        """Events that were derived and not yet expected, by topic.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.testing import Scenario
            >>> list(Scenario(cep.event("a").named("seen")).feed(at="1s", x=1).pending)
            ['seen']
        """
        return {topic: list(rows) for topic, rows in self._pending.items()}

    # What happens.

    def feed(self, *events: Any, at: Moment | None = None, topic: str | None = None, **fields: Any) -> Self:
        """Feeds events, in one push.

        Args:
            events: Events as dicts, or tables, which have times of their own. An event's time may be given in the
                column of the event time, as a datetime or as how long after the start.
            at: The time of the events that have none.
            topic: Their topic, as for `Engine.push`.
            fields: One event, as keywords.

        Raises:
            TypeError: There is no event, or one has no time.
            CepheidError: As for `Engine.push`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.testing import Scenario
            >>> stream = Scenario(cep.event("a", "x > 1").named("seen"))
            >>> stream.feed({"x": 1}, {"x": 2}, at="1m").feed(at="2m", x=3)
            <Scenario at 0:02:00: seen 2>
        """
        given = [*events, *([fields] if fields else [])]
        if not given:
            raise TypeError("feed() takes events: dicts, keywords, or tables")
        single = [event for event in given if isinstance(event, Mapping) and is_event(event)]
        if len(single) not in (0, len(given)):
            raise TypeError("feed() takes either events or tables in one call, not both")
        if single:
            rows = [self._timed(event, at) for event in single]
            self._add(self._engine.push(rows, topic))
            self._now = max([self._now, *(row[self._event_time] for row in rows)])
            return self
        if at is not None:
            raise TypeError("a table has times of its own: leave `at` out")
        for table in given:
            self._add(self._engine.push(table, topic))
            greatest = [source.greatest for source in self._engine.stats().sources if source.greatest is not None]
            self._now = max([self._now, *greatest])
        return self

    def advance(self, *, to: Moment | None = None, by: str | dt.timedelta | None = None) -> Self:
        """Lets time pass without an event: deadlines up to then fire, and an event up to then is late.

        Args:
            to: The time that it is then.
            by: Instead, how long passes.

        Raises:
            TypeError: Neither or both are given.
            CepheidError: As for `Engine.advance_to`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.testing import Scenario
            >>> unpaid = cep.event("order") >> cep.absent(cep.event("paid", "kind = 'paid'"), for_="1d")
            >>> Scenario(unpaid.named("unpaid")).feed(at="0s", kind="order").advance(by="1d")
            <Scenario at 1 day, 0:00:00: unpaid 1>
        """
        if (to is None) == (by is None):
            raise TypeError("advance() takes either to=... or by=...")
        time = self._time(to) if to is not None else self._now + _span(by)
        self._add(self._engine.advance_to(time))
        self._now = max(self._now, time)
        return self

    def flush(self) -> Self:
        """Ends the input: rows that wait are matched, every deadline fires.

        Raises:
            CepheidError: As for `Engine.flush`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.testing import Scenario
            >>> Scenario(cep.event("a").named("seen"), lateness="1h").feed(at="0s", x=1).flush()
            <Scenario at 0:00:00: seen 1>
        """
        self._add(self._engine.flush())
        return self

    def restart(self, *, threads: int | None = None) -> Self:
        """Stops the engine and starts another where it stood, by way of a snapshot.

        The limit on memory stays. Rules that were changed through `engine` meanwhile cannot be restored: the rules are
        those of the beginning.

        Args:
            threads: The number of threads of the new one.

        Raises:
            StoreError: The rules have been changed.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.testing import Scenario
            >>> Scenario(cep.event("a").named("seen"), lateness="1h").feed(at="0s", x=1).restart().flush()
            <Scenario at 0:00:00: seen 1>
        """
        self._engine = Engine.restore(
            self._engine.snapshot(), self._rules, threads=threads, memory_limit=self._memory_limit
        )
        return self

    # What must have come of it.

    def expect(self, topic: str, *rows: Mapping[str, Any], count: int | None = None) -> Self:
        """Takes the events of a topic, which must be these and no others, in this order.

        Args:
            topic: The topic.
            rows: For each event, columns and their values; columns that are not named do not matter. Where the event
                has a time, it may be given as for `feed`.
            count: Instead, how many events there must be.

        Raises:
            AssertionError: They are others. The message says which, and what differs.
            TypeError: Neither rows nor a count are given, or both.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.testing import Scenario
            >>> stream = Scenario(cep.event("a").select(x="a.x").named("seen")).feed(at="0s", x=1)
            >>> try:
            ...     stream.expect("seen", {"x": 2})
            ... except AssertionError as error:
            ...     print(error)
            topic 'seen' at 0:00:00: expected 1 event, got 1
              event 0: `x` is 1, expected 2
        """
        if bool(rows) == (count is not None):
            raise TypeError("expect() takes the rows expected, or count=...; for none there is expect_nothing()")
        derived = self._pending.get(topic, [])
        expected = len(rows) if count is None else count
        problems = []
        if count is not None:
            problems += [_shown(row) for row in derived if len(derived) != count]
        else:
            for place in range(max(len(rows), len(derived))):
                if place >= len(derived):
                    problems.append(f"event {place}: missing, expected {_shown(rows[place])}")
                elif place >= len(rows):
                    problems.append(f"event {place}: not expected, got {_shown(derived[place])}")
                else:
                    problems += [
                        f"event {place}: {problem}" for problem in self._differences(rows[place], derived[place])
                    ]
        if problems or expected != len(derived):
            others = ", ".join(f"{name!r} {len(rest)}" for name, rest in self._pending.items() if name != topic)
            lines = [
                f"topic {topic!r} at {self._elapsed()}: expected {_events(expected)}, got {len(derived)}",
                *(f"  {problem}" for problem in problems),
                *([f"  of other topics: {others}"] if others else []),
            ]
            raise AssertionError("\n".join(lines))
        self._pending.pop(topic, None)
        return self

    def expect_nothing(self, topic: str | None = None) -> Self:
        """Nothing has been derived that was not expected.

        Args:
            topic: Of this topic; by default of any.

        Raises:
            AssertionError: Something has. The message shows it.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.testing import Scenario
            >>> Scenario(cep.event("a", "x > 1")).feed(at="0s", x=1).expect_nothing()
            <Scenario at 0:00:00: nothing waits to be expected>
        """
        left = {name: rows for name, rows in self._pending.items() if topic in (None, name)}
        if left:
            lines = [f"at {self._elapsed()} nothing was expected, but there is:"]
            for name, rows in left.items():
                lines += [f"  {name!r}: {_shown(row)}" for row in rows]
            raise AssertionError("\n".join(lines))
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.expect_nothing()

    def __repr__(self) -> str:
        counts = ", ".join(f"{topic} {len(rows)}" for topic, rows in self._pending.items())
        return f"<Scenario at {self._elapsed()}: {counts or 'nothing waits to be expected'}>"

    # Times.

    def _time(self, moment: Moment) -> dt.datetime:
        if isinstance(moment, dt.datetime):
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
        return self._start + _span(moment)

    def _elapsed(self) -> dt.timedelta:
        return self._now - self._start

    def _timed(self, event: Mapping[str, Any], at: Moment | None) -> dict[str, Any]:
        moment = event.get(self._event_time, at)
        if moment is None:
            raise TypeError(f"an event has no time: say at=..., or give it a field {self._event_time!r}")
        return {self._event_time: self._time(moment), **{k: v for k, v in event.items() if k != self._event_time}}

    def _add(self, derived: Derived) -> None:
        for topic, matches in derived.items():
            self._pending.setdefault(topic, []).extend(matches)

    def _differences(self, expected: Mapping[str, Any], derived: Mapping[str, Any]) -> list[str]:
        problems = []
        for column, value in expected.items():
            if column not in derived:
                known = ", ".join(f"`{name}`" for name in derived)
                problems.append(f"there is no column `{column}` (there are {known})")
            elif not self._same(value, derived[column]):
                problems.append(f"`{column}` is {derived[column]!r}, expected {value!r}")
        return problems

    def _same(self, expected: Any, derived: Any) -> bool:
        if isinstance(derived, dt.datetime) and isinstance(expected, (str, dt.timedelta, dt.datetime)):
            try:
                moment = self._time(expected)
            except PatternError:
                return False
            return moment == (derived if derived.tzinfo is not None else derived.replace(tzinfo=dt.UTC))
        if isinstance(expected, float) and isinstance(derived, float) and math.isnan(expected):
            return math.isnan(derived)
        # True is 1 to Python, but not to a column.
        return isinstance(expected, bool) == isinstance(derived, bool) and bool(expected == derived)


def _span(span: str | dt.timedelta | None) -> dt.timedelta:
    nanoseconds = duration_ns(span)
    if nanoseconds % 1_000:
        raise PatternError("times of a scenario are whole microseconds", code="invalid-duration")
    return dt.timedelta(microseconds=nanoseconds // 1_000)


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"


def _shown(row: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {value!r}" for name, value in row.items()) + "}"
