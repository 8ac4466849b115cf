"""Rules over streams: rows go in as they come, derived events come out as soon as they are known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, final

from cepheid._native import Anomaly as NativeAnomaly
from cepheid._native import Engine as NativeEngine
from cepheid._native import Pattern as NativePattern
from cepheid._native import Processor as NativeProcessor
from cepheid._native import Pusher
from cepheid._native import Window as NativeWindow
from cepheid.building import checked_name
from cepheid.derived import Derived
from cepheid.engine_options import (
    Rule,
    checked_clock,
    checked_late,
    checked_rule,
    checked_topics,
    memory_bytes,
    named_rules,
    optional_span_ns,
)
from cepheid.engine_stats import EngineStats, stats_of
from cepheid.errors import CepheidError, SchemaError
from cepheid.event_time import time_ns
from cepheid.options import checked_count, checked_flag
from cepheid.pictures import Pictured
from cepheid.predicate import UserPredicate
from cepheid.processors import Function, Processor, processor
from cepheid.stream_input import StreamInput, arrow_schema

if TYPE_CHECKING:
    from cepheid.drawing.graph import Graph

__all__ = ["Engine", "Rules"]

Rules = Rule | Iterable[Rule] | Mapping[str, Rule]
Span = str | dt.timedelta


@final
class Engine(Pictured):
    """Matches rules in streams, in event time.

    Rows are pushed as they arrive, of one topic or of several, and matched in the order of their times: as soon as the
    watermark has reached them. Whatever they derive is given back by the call that makes it certain, the same for any
    way in which the rows are cut into calls, and for any number of threads.

    A rule that names a topic which another derives reads what that derives, once the time of it is over.

    An error leaves the engine as it was before the call. Calls from several threads wait for each other.

    Args:
        rules: A pattern, a window, an anomaly rule or a processor, a list of them, or a mapping of names to them. A
            rule without a name is ``rule-1`` if it is the first, and so on. A pattern that may wait for ever says so
            with `Pattern.within` ``(None)``.
        event_time: The column of the event time, in every topic: a timestamp, a date, or whole numbers, which count
            nanoseconds since 1970.
        lateness: How far behind the greatest time of its topic a row may come: text such as ``"30s"`` or a timedelta.
            Rows wait that long. None: only `advance_to` moves the clock.
        late: What becomes of a row that comes later still: ``"side_output"``: it is given back, in the topic
            ``<topic>.late`` (``late`` of rows without topic); ``"drop"``; ``"error"``: the call is refused. All are
            counted.
        idle: A topic that is further behind the others than this does not hold them up. None: it does, for ever.
        threads: How many threads share the keys of rules that have some (`Pattern.partition_by`, ``by=``), where a push
            has some thousands of rows: patterns, sliding windows, overlapping ones by rows, and the anomaly methods
            ``mad`` and ``quantile_band``; others cost so little by row that one thread is as fast. The answer is the
            same for any number. None: one.
        memory_limit: Bytes that state may take, as a number or as text such as ``"64MB"``. A call that would need more
            is refused with a `StateLimitError`. None: no limit.
        future: A row that is dated further ahead of the clock than this moves no watermark, so that one broken clock
            does not make the rows of all others late. None: no guard.
        clock: Gives the time for that: a function that returns a datetime. None: the system's clock.
        topics: The order in which rows of equal time go, of different topics, as far as they are matched together: a
            row that comes when the watermark stands at its own time goes behind those before it. By default that in
            which the rules name them.
        ids: Whether derived events say which they are and what they come of, in three columns of text in front of the
            others, named as in CloudEvents. ``id``: a hash of the rule's version and of the ids of the events that it
            was made of, so that the same input gives the same; of a row of several that a match reports, that and its
            number. ``causationid``: the id of the event that decided it, the last of those (of what a processor gives
            the ``id`` that it passes on); null where there is none. ``correlationid``: that of the event that decided
            it, or the id of that, if it has none. The id of a row that is pushed is its column ``id`` as text, or
            ``topic#ordinal``. A rule that reports a column of one of these names keeps its own; those of rows that are
            passed on are replaced.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: A rule is impossible, may wait for ever without saying so, two have one name, they read each other
            in a circle (code ``rule-cycle``), or an option has a value that it cannot take (code ``invalid-clause``).
        SchemaError: A rule derives a topic that late rows come out as (code ``topic-conflict``), or one that is derived
            on another level of rules (code ``topic-levels``).

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col, event
        >>> small = event("small", col.amount < 10).at_least(2)
        >>> fraud = (small >> event("big", col.amount > 500)).partition_by("card").within("10m").named("fraud")
        >>> engine = cep.Engine(fraud)
        >>> engine.push([{"ts": 1, "card": "c", "amount": 2}, {"ts": 2, "card": "c", "amount": 3}])
        Derived: nothing
        >>> derived = engine.push([{"ts": 3, "card": "c", "amount": 900}])
        >>> [found["card"] for found in derived["fraud"]]
        ['c']
    """

    __slots__ = ("_clock", "_input", "_native", "_pushers", "_rules")

    _native: NativeEngine
    # All that there have been: one with events that wait must not be forgotten.
    _pushers: list[Pusher]
    _input: StreamInput
    _clock: Callable[[], int]
    # By name, to be drawn.
    _rules: dict[str, Rule]

    def __init__(
        self,
        rules: Rules,
        event_time: str = "ts",
        *,
        lateness: Span | None = "0s",
        late: Literal["side_output", "drop", "error"] = "side_output",
        idle: Span | None = None,
        threads: int | None = None,
        memory_limit: int | str | None = None,
        future: Span | None = "1h",
        clock: Callable[[], dt.datetime] | None = None,
        topics: Sequence[str] = (),
        ids: bool = False,
    ) -> None:
        compiled = _compiled(rules)
        self._pushers = []
        self._clock = checked_clock(clock)
        self._native = NativeEngine(
            [native for _, native, _ in compiled],
            checked_name(event_time, "column"),
            topics=checked_topics(topics),
            lateness_ns=optional_span_ns(lateness, "lateness"),
            late=checked_late(late),
            idle_ns=optional_span_ns(idle, "idle"),
            future_ns=optional_span_ns(future, "future"),
            threads=checked_count(threads, "threads"),
            memory_limit=memory_bytes(memory_limit),
            ids=checked_flag(ids, "ids"),
        )

        self._input = _stream_input(self._native, compiled)
        self._rules = _by_name(compiled)

    # Rows and time.

    def push(self, data: Any, topic: str | None = None) -> Derived:
        """Takes rows as they arrived, and gives the events that they derive.

        Args:
            data: Rows: whatever `cepheid.match` takes for a table, in any order of times. A topic keeps the columns of
                its first rows.
            topic: The topic that they are of. It may be left out where the rules name none.

        Returns:
            The events, by topic; late rows too, unless they are dropped.

        Raises:
            TypeError: `topic` is no string.
            SchemaError: The data are no table, lack a column or have it in another type, a row has no time (code
                ``null-time``), no rule reads the topic (code ``unknown-topic``), a rule derives it for others (code
                ``derived-topic``), or it shows that two rules derive one topic with
                different columns, or one that late rows come out as (code ``topic-conflict``). No row has been taken.
            LateEventError: A row is late, and `late` is ``"error"``. No row has been taken.
            EvaluationError: A value led to an overflow, a division by zero, or a failed conversion. No row has been
                taken.
            StateLimitError: State would pass `memory_limit`. No row has been taken.

        Example:
            >>> import cepheid as cep
            >>> engine = cep.Engine(cep.event("login", topic="auth").named("seen"))
            >>> engine.push([{"ts": 1, "user": "u"}], topic="auth")
            Derived: 1 event of 1 topic
              seen  1
        """
        if topic is not None and not isinstance(topic, str):
            raise TypeError(f"a topic is named by a string, not {type(topic).__name__}")
        table = self._input.table(data, topic)
        if table is None:
            return Derived._of_native([])
        return Derived._of_native(self._native.push(table, topic, self._clock()))

    def pusher(
        self,
        topic: str | None = None,
        schema: object | None = None,
        *,
        max_rows: int = 4096,
        max_delay: Span | None = "5ms",
    ) -> Pusher:
        """Something that takes events one at a time, and pushes them in small batches: the fast way for single events.

        Args:
            topic: The topic that they are of. It may be left out where the rules name none.
            schema: Their columns: a `pyarrow.Schema`, or whatever exports one as Arrow. It may be left out once rows of
                the topic have come.
            max_rows: Events are pushed when so many wait.
            max_delay: They are pushed by a call that comes this long after the first of them, or later: text such as
                ``"5ms"`` or a timedelta. ``"0s"``: by the call that brings it. None: only `max_rows` and
                `Pusher.flush` push them.

        Returns:
            A `Pusher`, which the engine keeps for good. While events wait in it, `advance_to`, `flush` and `snapshot`
            refuse to leave them behind (code ``events-waiting``).

        Raises:
            TypeError: An argument is of the wrong type.
            SchemaError: The schema is not that of the topic's rows so far (code ``schema-changed``), has no column of
                event time, or one of a type that a pusher does not take (code ``column-type``); or none is known (code
                ``schema-unknown``).
            PatternError: `max_rows` or `max_delay` is out of range (code ``invalid-clause``).

        Example:
            >>> import cepheid as cep
            >>> import pyarrow as pa
            >>> engine = cep.Engine(cep.event("big", "amount > 500").named("alarm"))
            >>> schema = pa.schema({"ts": pa.timestamp("us"), "amount": pa.int64()})
            >>> pusher = engine.pusher(schema=schema, max_delay=None)
            >>> pusher.push_dict({"ts": 1_000, "amount": 900})
            >>> len(pusher.flush()["alarm"])
            1
        """
        rows = checked_count(max_rows, "max_rows")
        if rows is None:
            raise TypeError("max_rows is a whole number, not NoneType")
        delay = optional_span_ns(max_delay, "max_delay")
        if topic is not None and not isinstance(topic, str):
            raise TypeError(f"a topic is named by a string, not {type(topic).__name__}")
        columns = self._input.plain_schema(topic) if schema is None else arrow_schema(schema)
        if columns is None:
            raise SchemaError(
                "the topic's columns are not known yet; say them: pusher(schema=pyarrow.schema({...}))",
                code="schema-unknown",
            )
        self._native.declare(self._input.table(columns.empty_table(), topic), topic)
        names = columns.names
        wanted = self._native.event_time()
        time = names.index(wanted) if wanted in names else [name.lower() for name in names].index(wanted.lower())
        pusher = Pusher(
            columns,
            time,
            lambda batch: self.push(batch, topic),
            Derived._of_native([]),
            max_rows=rows,
            max_delay_ns=delay,
        )
        self._pushers.append(pusher)
        return pusher

    def _check_nothing_waits(self, call: str) -> None:
        waiting = sum(pusher.waiting for pusher in self._pushers)
        if waiting:
            raise CepheidError(
                f"{waiting:,} events wait in a pusher and would be left behind by {call}(); call its flush() first, or "
                "take() to have them back",
                code="events-waiting",
            )

    def advance_to(self, time: dt.datetime | int) -> Derived:
        """Moves the clock by hand: rows up to this time are matched, deadlines up to it fire.

        From then on a row at or before it is late. Going backwards does nothing.

        Args:
            time: A datetime (a naive one is UTC), or nanoseconds since 1970.

        Returns:
            The events that become known by it, by topic.

        Raises:
            TypeError: `time` is neither.
            PatternError: It is before 1677 or after 2262 (code ``invalid-clause``).
            CepheidError: As for `push`, or events wait in a pusher (code ``events-waiting``); the clock has not moved.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import absent, event
            >>> unpaid = (event("order") >> absent(event("paid", "kind = 'paid'"), for_="1ns")).named("unpaid")
            >>> engine = cep.Engine(unpaid)
            >>> engine.push([{"ts": 7, "kind": "order"}])
            Derived: nothing
            >>> len(engine.advance_to(8)["unpaid"])
            1
        """
        nanoseconds = time_ns(time, "advance_to()")
        self._check_nothing_waits("advance_to")
        return Derived._of_native(self._native.advance_to(nanoseconds))

    def flush(self) -> Derived:
        """Ends the input: every row that waits is matched, every deadline fires.

        Should more rows come after all, those up to the greatest time there has been are late.

        Returns:
            The events that become known by it, by topic.

        Raises:
            CepheidError: As for `push`, or events wait in a pusher (code ``events-waiting``); nothing has changed.

        Example:
            >>> import cepheid as cep
            >>> engine = cep.Engine(cep.event("a").named("seen"), lateness="1m")
            >>> engine.push([{"ts": 1}])
            Derived: nothing
            >>> len(engine.flush()["seen"])
            1
        """
        self._check_nothing_waits("flush")
        return Derived._of_native(self._native.flush())

    # Rules.

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules, in order.

        Example:
            >>> import cepheid as cep
            >>> cep.Engine({"seen": cep.event("a")}).rules
            ('seen',)
        """
        return tuple(self._native.rules())

    def add(self, rule: Rule) -> None:
        """Adds a rule while the engine runs. It sees the rows that are matched from now on.

        Args:
            rule: A pattern or a window; one without a name is called after its place, ``rule-3``.

        Raises:
            TypeError: It is neither.
            PatternError: As for the engine's own rules, it derives what a rule that is there reads as a source (code
                ``rule-order``), or it has a Python predicate that rows have come without (code ``unsupported``); none
                has been added.
            SchemaError: It does not fit the columns that have come, or it derives a topic that late rows come out as
                (code ``topic-conflict``).

        Example:
            >>> import cepheid as cep
            >>> engine = cep.Engine(cep.event("a"))
            >>> engine.add(cep.event("b").named("other"))
            >>> engine.rules
            ('rule-1', 'other')
        """
        rule = checked_rule(rule)
        if rule.name is None:
            taken = set(self.rules)
            place = len(taken) + 1
            while f"rule-{place}" in taken:
                place += 1
            rule = rule.named(f"rule-{place}")
        native, predicates = rule._compiled_rule()
        self._check_addable(rule, predicates)
        self._native.add(native)
        self._keep(rule, predicates)

    def processor(
        self, topic: str, *, emits: str | None = None, name: str | None = None
    ) -> Callable[[Function], Processor]:
        """Makes a rule of the function below it, and adds it: see `Processor`.

        To be added in front of the rules that read what it gives: those that run already cannot begin to.

        Args:
            topic: The topic that it reads.
            emits: The topic of what it gives. None: the name.
            name: The name of the rule. None: that of the function.

        Raises:
            TypeError: A name is no string.
            PatternError: A name is empty, or as for `add`.
            SchemaError: As for `add`.

        Example:
            >>> import cepheid as cep
            >>> import pyarrow.compute as pc
            >>> engine = cep.Engine([])
            >>> @engine.processor("txn", emits="enriched")
            ... def in_cents(batch):
            ...     return batch.append_column("cents", pc.multiply(batch["amount"], 100))
            >>> engine.add(cep.event("big", "cents > 500", topic="enriched").named("big"))
            >>> _ = engine.push([{"ts": 1, "amount": 9}], "txn")
            >>> list(engine.flush())
            ['big']
        """
        decorate = processor(topic, emits=emits, name=name)

        def add(function: Function) -> Processor:
            rule = decorate(function)
            self.add(rule)
            return rule

        return add

    def replace(self, name: str, rule: Rule) -> None:
        """Puts a rule in the place of another, whose partial matches are forgotten.

        Args:
            name: The rule that goes.
            rule: The one that comes. It takes over the name, whatever name it has.

        Raises:
            TypeError: `name` is no string, or `rule` neither a pattern nor a window.
            PatternError: There is no such rule, another reads what it alone derives (code ``rule-read``), or as for
                `add`; nothing has changed.
            SchemaError: As for `add`.

        Example:
            >>> import cepheid as cep
            >>> engine = cep.Engine({"hot": cep.event("a", "heat > 90")})
            >>> engine.replace("hot", cep.event("a", "heat > 95"))
            >>> engine.rules
            ('hot',)
        """
        rule = checked_rule(rule).named(checked_name(name, "rule"))
        native, predicates = rule._compiled_rule()
        self._check_addable(rule, predicates)
        self._native.replace(name, native)
        self._keep(rule, predicates)

    def remove(self, name: str) -> None:
        """Takes a rule out. Its partial matches are forgotten.

        Args:
            name: The rule.

        Raises:
            TypeError: `name` is no string.
            PatternError: There is no such rule, or another reads what it alone derives (code ``rule-read``).

        Example:
            >>> import cepheid as cep
            >>> engine = cep.Engine({"a": cep.event("a"), "b": cep.event("b")})
            >>> engine.remove("a")
            >>> engine.rules
            ('b',)
        """
        self._native.remove(checked_name(name, "rule"))
        self._input.remove_rule(name)
        del self._rules[name]

    def _keep(self, rule: Rule, predicates: Sequence[UserPredicate]) -> None:
        assert rule.name is not None
        self._input.add_rule(rule, predicates)
        self._rules[rule.name] = rule

    def _check_addable(self, rule: Rule, predicates: Sequence[UserPredicate]) -> None:
        self._input.check_topics(rule, predicates)
        if predicates:
            stats = self._native.stats()
            topics = [source["topic"] for source in stats["sources"]]
            self._input.check_addable(rule, predicates, topics, waiting=stats["waiting"])

    # State.

    def stats(self) -> EngineStats:
        """What the engine has seen, what it holds, and what it has set aside.

        Example:
            >>> import cepheid as cep
            >>> engine = cep.Engine(cep.event("a"))
            >>> _ = engine.push([{"ts": 2}, {"ts": 1}])
            >>> engine.stats().rows, engine.stats().late
            (2, 1)
        """
        return stats_of(self._native.stats())

    def snapshot(self) -> bytes:
        """All that the engine knows, as bytes: its clock, rows that wait, partial matches, counts, options.

        It has a version and a checksum, and holds no code: to restore it one needs the rules. It can be taken between
        any two calls.

        Raises:
            CepheidError: The state is greater than a snapshot can be, or events wait in a pusher (code
                ``events-waiting``).

        Example:
            >>> import cepheid as cep
            >>> rule = cep.event("a").named("seen")
            >>> engine = cep.Engine.restore(cep.Engine(rule, lateness="1m").snapshot(), rule)
        """
        self._check_nothing_waits("snapshot")
        return self._native.snapshot()

    @classmethod
    def restore(
        cls,
        blob: bytes,
        rules: Rules,
        *,
        threads: int | None = None,
        memory_limit: int | str | None = None,
        clock: Callable[[], dt.datetime] | None = None,
    ) -> Engine:
        """An engine that goes on where a snapshot was taken.

        Args:
            blob: What `snapshot` gave.
            rules: The same rules.
            threads: As for the engine; it need not be the number of before.
            memory_limit: As for the engine.
            clock: As for the engine. The other options are in the snapshot.

        Raises:
            TypeError: An argument is of the wrong type.
            StoreError: The bytes are no snapshot, damaged, of a newer version, or of other rules.

        Example:
            >>> import cepheid as cep
            >>> rule = (cep.event("a", "x = 1") >> cep.event("b", "x = 2")).within("1m").named("pair")
            >>> engine = cep.Engine(rule)
            >>> _ = engine.push([{"ts": 1, "x": 1}])
            >>> engine = cep.Engine.restore(engine.snapshot(), rule)
            >>> len(engine.push([{"ts": 2, "x": 2}])["pair"])
            1
        """
        if not isinstance(blob, (bytes, bytearray, memoryview)):
            raise TypeError(f"a snapshot is bytes, not {type(blob).__name__}")
        engine = object.__new__(cls)
        engine._pushers = []
        engine._clock = checked_clock(clock)
        compiled = _compiled(rules)
        engine._native = NativeEngine.restore(
            bytes(blob),
            [native for _, native, _ in compiled],
            threads=checked_count(threads, "threads"),
            memory_limit=memory_bytes(memory_limit),
        )
        engine._input = _stream_input(engine._native, compiled)
        engine._rules = _by_name(compiled)
        return engine

    # Pictures.

    def _graph(self) -> Graph:
        from cepheid.drawing.rule_graph import DrawnRule, rule_graph

        rules = [
            DrawnRule(name, type(rule).__name__.lower(), rule._read_topics(), tuple(sorted(rule._derived_topics(name))))
            for name in self.rules
            # Another thread may just have taken it out.
            if (rule := self._rules.get(name)) is not None
        ]
        return rule_graph(rules, [source["topic"] for source in self._native.stats()["sources"]])

    def __repr__(self) -> str:
        stats = self.stats()
        rules = ", ".join(rule.name for rule in stats.rules[:6]) + (", ..." if len(stats.rules) > 6 else "")
        until = f"matched up to {stats.watermark.isoformat()}" if stats.watermark else "no row matched yet"
        return f"<Engine: {len(stats.rules)} rules ({rules}); {stats.rows:,} rows, {stats.waiting:,} waiting; {until}>"


Compiled = tuple[Rule, NativePattern | NativeWindow | NativeAnomaly | NativeProcessor, tuple[UserPredicate, ...]]


def _compiled(rules: Rules) -> list[Compiled]:
    return [(rule, *rule._compiled_rule()) for rule in named_rules(rules)]


def _stream_input(native: NativeEngine, compiled: list[Compiled]) -> StreamInput:
    rows = StreamInput(native.columns)
    for rule, _, predicates in compiled:
        rows.check_topics(rule, predicates)
        rows.add_rule(rule, predicates)
    return rows


def _by_name(compiled: list[Compiled]) -> dict[str, Rule]:
    return {rule.name: rule for rule, _, _ in compiled if rule.name is not None}
