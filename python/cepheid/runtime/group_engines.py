"""The engines of a group of rules: told the same, all or none; one more where rules begin anew, warmed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self, final

from cepheid.engine_options import Rule, optional_span_ns
from cepheid.result import Matches
from cepheid.runtime.clock_marks import ClockMark, ClockMarks, mark_of
from cepheid.runtime.group_engine import GroupEngine
from cepheid.runtime.redo import Call, Redo, tell
from cepheid.runtime.rule_change import RuleChange, change_cold, check_cold
from cepheid.runtime.rule_history import History, StoreHistory, warm
from cepheid.runtime.rule_links import RuleLinks

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GroupEngines", "Warmed"]

# Of rules whose matches rule each other out so many horizons are replayed: chains of matches seldom last longer.
_CHAINED_HORIZONS = 8


class Warmed(NamedTuple):
    """What a change of rules came to.

    Attributes:
        rules: The rules that have begun anew: those that were changed, and those that read what they derive.
        horizon_ns: How far back their state was said to reach, in nanoseconds; None: without bound, or not asked.
        events: How many events were replayed.
        missing: By rule that has begun without events that its state may depend on, by topic how many of its first
            events the store keeps no longer. Those that are older than the state reaches back do not count; of erased
            values nothing is known.
    """

    rules: tuple[str, ...]
    horizon_ns: int | None
    events: int
    missing: Mapping[str, Mapping[str, int]] = {}


@final
class GroupEngines:
    """The engines of a group, and where their clock has been.

    Args:
        rules: The rules that run, by name.
        event_time: The column of the event time.
        options: Options of the engines.
        topics: The order of topics, for rows of equal times.
    """

    __slots__ = (
        "_closed", "_counted", "_event_time", "_marks", "_options", "_redo", "_schemas", "_topics", "engines",
        "missing",
    )  # fmt: skip

    #: The engines; the first tells of late rows.
    engines: list[GroupEngine]
    #: What rules have begun without, since this was made: see `Warmed`.
    missing: dict[str, Mapping[str, int]]

    _marks: ClockMarks
    # By topic that has been read, how many of its rows have been taken.
    _counted: dict[str, int]
    # Up to where the clock has been moved by hand.
    _closed: int | None
    # By topic, the columns of the rows that came last.
    _schemas: dict[str, pa.Schema]

    def __init__(
        self, rules: Mapping[str, Rule], event_time: str, options: Mapping[str, Any], topics: Sequence[str]
    ) -> None:
        self._begin(event_time, options, topics)
        self.engines = [self._made(rules, rules)]

    def _begin(self, event_time: str, options: Mapping[str, Any], topics: Sequence[str]) -> None:
        self._event_time = event_time
        self._options = dict(options)
        self._topics = list(dict.fromkeys(topics))
        self._redo = Redo(self._restored)
        self._marks = ClockMarks()
        self._counted = {}
        self._closed = None
        self._schemas = {}
        self.missing = {}

    @property
    def sources(self) -> tuple[str, ...]:
        """The topics that are read from outside."""
        return self.engines[0].sources

    @property
    def has_seen(self) -> bool:
        """Whether rows have been taken, or the clock moved."""
        return bool(self._counted) or self._closed is not None

    def counted(self, topic: str) -> int:
        """How many rows of a topic have been taken.

        Args:
            topic: The topic.
        """
        return self._counted.get(topic, 0)

    # Rows and time.

    def push(self, table: pa.Table, topic: str, row: int) -> list[tuple[str, Matches]]:
        """Takes rows of a topic that is read.

        Args:
            table: The rows.
            topic: Their topic.
            row: The number of the first.

        Raises:
            CepheidError: As for `cepheid.Engine.push`. No engine has taken any of them.
        """
        found = self._tell(lambda engine: engine.push(table, topic, row), table.num_rows)
        self._counted[topic] = row + table.num_rows
        self._schemas[topic] = table.schema
        if self._marks.is_due(table.num_rows, len(self.engines[0].rules)):
            self._marks.add(self._mark(ended=False))
        return found

    def advance_to(self, moment: int) -> list[tuple[str, Matches]]:
        """Moves the clock by hand.

        Args:
            moment: Nanoseconds since 1970.

        Raises:
            CepheidError: As for `cepheid.Engine.advance_to`; the clock has not moved.
        """
        found = self._tell(lambda engine: engine.advance_to(moment), 0)
        mark = self._mark(ended=False)
        if mark.watermark == moment:
            self._closed = moment
            self._marks.add(mark._replace(closed=moment))
        return found

    def flush(self) -> list[tuple[str, Matches]]:
        """Ends the input.

        Raises:
            CepheidError: As for `cepheid.Engine.flush`; nothing has changed.
        """
        found = self._tell(lambda engine: engine.flush(), 0)
        self._closed = self._mark(ended=True).watermark
        self._marks.add(self._mark(ended=True))
        return found

    def _tell(self, call: Call, rows: int) -> list[tuple[str, Matches]]:
        return tell(self.engines, self._redo, call, rows)

    def _mark(self, *, ended: bool) -> ClockMark:
        mark = mark_of(self.engines[0].engine._native.stats(), self._closed, ended)
        rows = {topic: self._counted[topic] for topic in mark.rows if topic in self._counted}
        return mark._replace(rows=rows)

    # Rules.

    def change(self, change: RuleChange, history: History | None, spans: Any) -> Warmed:
        """Has the engines run the rules that there are to be.

        Args:
            change: What is to change.
            history: What rules that begin anew are warmed with, or None.
            spans: How much of it: so many nanoseconds, ``"horizon"`` or ``"history"``.

        Raises:
            CepheidError: The rules are impossible together, or a row is refused. Nothing has changed.
        """
        topics = list(dict.fromkeys([*self._topics, *change.after.topics()]))
        change.check(self._event_time, {**self._options, "topics": topics})
        known, self._topics = self._topics, topics
        try:
            if change.moved or change.gone:
                return self._change(change, history, spans)
            return Warmed((), None, 0)
        except BaseException:
            self._topics = known
            raise

    def _change(self, change: RuleChange, history: History | None, spans: Any) -> Warmed:
        """Warms what begins anew, which may be refused, and then changes engines, or puts them back."""
        horizon, events, beside = None, 0, None
        missing: dict[str, dict[str, int]] = {}
        if history is None and not self.has_seen:
            self.engines = [self._made(change.rules, change.rules)]
            return Warmed(tuple(sorted(change.moved)), None, 0)
        if history is not None and change.moved:
            horizon = spans if isinstance(spans, int) else None
            if spans == "horizon":
                horizon = change.after.horizon_ns(change.moved, _CHAINED_HORIZONS)
            beside = self._made(change.run, change.moved, change.after.sources, beside=not change.is_whole)
            events = self._warm(beside, history, horizon)
            if isinstance(history, StoreHistory):
                missing = self._missing(beside, change, history, horizon)
            self._check_columns(beside)
        elif change.moved:
            check_cold(change, self.engines)
        shapes = [(dict(engine.rules), set(engine.owned), engine.sources) for engine in self.engines]
        blobs = [engine.engine.snapshot() for engine in self.engines]
        counted, marks = dict(self._counted), self._marks.to_data()
        engines = list(self.engines)
        try:
            self._settle(change, beside)
            self._save()
        except BaseException:
            self._counted, self._marks = counted, ClockMarks.from_data(marks)
            self.engines = engines
            for place, (blob, shape) in enumerate(zip(blobs, shapes, strict=True)):
                self.engines[place] = self._restored_of(blob, *shape)
            self._save(blobs)
            raise
        names = change.moved if beside is not None else change.fresh
        anew = tuple(name for name in change.rules if name in names)
        left = {name: topics for name, topics in self.missing.items() if name in change.rules and name not in anew}
        self.missing = {**left, **missing}
        return Warmed(anew, horizon, events, missing)

    def _missing(
        self, beside: GroupEngine, change: RuleChange, history: StoreHistory, horizon: int | None
    ) -> dict[str, dict[str, int]]:
        """What rules that begin anew are not shown, as the store keeps it no longer."""
        if horizon == 0:
            return {}
        watermark = mark_of(beside.engine._native.stats(), None, False).watermark
        since = None if horizon is None or watermark is None else watermark - horizon - self._lateness_ns()
        removed = history.removed(beside.sources, since)
        if not removed:
            return {}
        found = {name: change.after.sources_of(name) & removed.keys() for name in change.rules if name in change.moved}
        return {name: {topic: removed[topic] for topic in topics} for name, topics in found.items() if topics}

    def _lateness_ns(self) -> int:
        return optional_span_ns(self._options.get("lateness", "0s"), "lateness") or 0

    def _warm(self, beside: GroupEngine, history: History, horizon: int | None) -> int:
        now = self._mark(ended=False)
        begin = None
        if horizon is not None and now.watermark is not None:
            begin = self._marks.before(now.watermark - horizon)
        since = None
        if begin is not None and horizon is not None and now.watermark is not None:
            since = now.watermark - horizon - self._lateness_ns()
        counted = {topic: self._counted[topic] for topic in self.sources if topic in self._counted}
        return warm(beside, history, begin, [*self._marks.after(begin), now], since, counted)

    def learn(self, topic: str, columns: pa.Schema) -> None:
        """Says what columns a topic has: of one that has sent nothing to all rules, else to those that are yet to come.

        Args:
            topic: The topic.
            columns: Its columns.

        Raises:
            SchemaError: A rule does not fit them.
        """
        if topic in self.sources and self._columns(topic) is None:
            for engine in self.engines:
                engine.learn_columns(topic, columns)
        else:
            self._schemas[topic] = columns

    def _columns(self, topic: str) -> pa.Schema | None:
        """The columns of a topic; None: no row of it has come."""
        return self._schemas.get(topic) or self.engines[0].engine._input.plain_schema(topic)

    def _check_columns(self, engine: GroupEngine) -> None:
        """Checks that rules fit the columns of topics: the next row would be refused otherwise."""
        for topic in self.sources:
            if topic in engine.sources and (columns := self._columns(topic)) is not None:
                engine.learn_columns(topic, columns)

    def _settle(self, change: RuleChange, beside: GroupEngine | None) -> None:
        """Takes out of all engines what goes, and puts in what comes.

        Rows that waited for a topic that is read no more come out by the next call.
        """
        greatest: dict[str, int] = {}
        if beside is None:
            for name in change.fresh:
                change_cold(change, name, self.engines)
        else:
            greatest = mark_of(beside.engine._native.stats(), None, False).greatest
            for topic in beside.sources:
                self._counted[topic] = max(self._counted.get(topic, 0), beside.counted(topic))
        going = change.gone | (change.moved if beside is not None else set())
        kept = []
        for place, engine in enumerate(self.engines):
            engine.remove(going)
            if engine.owned or (place == 0 and not (beside is not None and change.is_whole)):
                kept.append(engine)
        for engine in kept:
            engine.listen_to(change.after.sources, greatest, self._counted)
        self.engines = kept if beside is None else [*kept, beside]
        if not change.after.sources:
            # Nothing holds a clock any more.
            self.engines = [self._made({}, ())]
            self._marks.clear()
            self._closed = None

    def _made(
        self,
        rules: Mapping[str, Rule],
        owned: Iterable[str],
        sources: Sequence[str] | None = None,
        *,
        beside: bool = False,
    ) -> GroupEngine:
        """An engine that has seen nothing; without `sources` it listens to what the rules read."""
        options = {**self._options, "topics": self._topics}
        if beside:
            # Late rows are told of once.
            options["late"] = "drop"
        return GroupEngine.made(
            rules, owned, RuleLinks(rules).sources if sources is None else sources, self._event_time, options
        )

    # State.

    def snapshots(self) -> tuple[list[bytes], dict[str, Any]]:
        """A snapshot of each engine, and what is known beside them, as plain data."""
        blobs = [engine.engine.snapshot() for engine in self.engines]
        self._save(blobs)
        options: dict[str, Any] = {name: self._options[name] for name in ("late", "ids") if name in self._options}
        for name in ("lateness", "idle"):
            if name in self._options:
                span = optional_span_ns(self._options[name], name)
                options[name] = None if span is None else f"{span}ns"
        return blobs, {
            "event_time": self._event_time,
            "options": options,
            "topics": self._topics,
            "counted": self._counted,
            "closed": self._closed,
            "marks": self._marks.to_data(),
        }

    @classmethod
    def restored(
        cls, blobs: list[bytes], known: Mapping[str, Any], rules: Mapping[str, Rule], options: Mapping[str, Any]
    ) -> Self:
        """Engines that go on where snapshots were taken.

        Args:
            blobs: The snapshots.
            known: What `snapshots` gave beside them, and what is said of each engine.
            rules: The rules, by name.
            options: ``threads`` and ``memory_limit``.

        Raises:
            StoreError: A snapshot is damaged, or of other rules.
        """
        made = object.__new__(cls)
        made._begin(known["event_time"], {**known["options"], **options, "future": None}, known["topics"])
        made._counted = dict(known["counted"])
        made._closed = known["closed"]
        made._marks = ClockMarks.from_data(known["marks"])
        made.engines = [
            made._restored_of(blob, {name: rules[name] for name in says["rules"]}, says["owned"], says["sources"])
            for says, blob in zip(known["engines"], blobs, strict=True)
        ]
        made._save(blobs)
        return made

    def _save(self, blobs: list[bytes] | None = None) -> None:
        if len(self.engines) > 1:
            self._redo.save(self.engines, blobs)
        else:
            # One puts itself back: nothing is kept for it.
            self._redo.save([])

    def _restored(self, engine: GroupEngine, blob: bytes) -> GroupEngine:
        return self._restored_of(blob, engine.rules, engine.owned, engine.sources)

    def _restored_of(
        self, blob: bytes, rules: Mapping[str, Rule], owned: Iterable[str], sources: Sequence[str]
    ) -> GroupEngine:
        options = {name: self._options[name] for name in ("threads", "memory_limit") if name in self._options}
        return GroupEngine.restored(blob, rules, owned, sources, **options)
