"""Rules that change while they run: a new version begins with the state that it would have had."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, final

from cepheid.building import checked_name
from cepheid.engine import Rules, Span
from cepheid.engine_options import Rule, checked_rule, checked_topics
from cepheid.engine_stats import EngineStats, stats_of
from cepheid.errors import AppError, PatternError
from cepheid.event_time import time_ns
from cepheid.options import checked_flag
from cepheid.result import Matches
from cepheid.runtime.group_engines import GroupEngines, Warmed
from cepheid.runtime.group_rules import group_rules, replay_spans, unknown_rule
from cepheid.runtime.group_snapshot import RuleDifferences, saved, taken_apart
from cepheid.runtime.rule_change import RuleChange
from cepheid.runtime.rule_history import History
from cepheid.runtime.rule_links import RuleLinks

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RestoredGroup", "RuleGroup"]

_OWN_OPTIONS = {"clock", "future"}
_OPTIONS = {"lateness", "late", "idle", "threads", "memory_limit", "topics"}


class RestoredGroup(NamedTuple):
    """A group that was restored.

    Attributes:
        group: The group, with the rules that were saved.
        differences: What tells the rules that were given from those.
    """

    group: RuleGroup
    differences: RuleDifferences


@final
class RuleGroup:
    """Rules over streams that can be changed while they run, without losing what the others, or they themselves, know.

    It takes rows and gives derived events as `cepheid.Engine` does, with the numbers, and so the ids, that rows have in
    the store. A rule that is replaced begins in an engine beside the others, which is first shown what the store has of
    as much time as the state of the rule can reach back (see `horizon_ns`); what it derives of that is dropped. Rules
    that read what it derives, and those that derive the same for them, move with it; rules that it reads run there as
    well, unheard. All others go on where they are, as if nothing had happened.

    Every rule names its topics. Calls from several threads wait for each other. After an error everything is as it was.

    Cost: one engine takes each row once; n engines take it n times, and rules that moved rules read run as often as
    there are engines that need them. While there are several, each is saved every 65,536 rows or 1,024 calls, and these
    rows are kept, so that all can be put back if one refuses what others have taken. `join` makes them one again.

    Args:
        rules: Rules, as for `cepheid.Engine`.
        event_time: The column of the event time, in every topic.
        ids: As for `cepheid.Engine`.
        options: Options of the engine: ``lateness``, ``late``, ``idle``, ``threads``, ``topics``, ``memory_limit`` (of
            each engine). Stored events may be of any time: there is no guard against those ahead of the clock.

    Raises:
        TypeError: An argument is of the wrong type, or no option of a group.
        AppError: A rule does not say which topic it reads (code ``rule-topic``), or has a name that begins with
            ``cepheid:`` (code ``rule-name``).
        CepheidError: As for `cepheid.Engine`.

    Example:
        >>> import cepheid as cep
        >>> import pyarrow as pa
        >>> from cepheid.runtime.rule_group import RuleGroup
        >>> from cepheid.runtime.rule_history import store_history
        >>> def pair(more):
        ...     return (cep.event("a", topic="txn") >> cep.event("b", f"amount > {more}", topic="txn")).within("1m")
        >>> with cep.EventStore() as store:
        ...     position = store.append("txn", {"ts": [1, 2], "amount": [5, 700]})
        ...     group = RuleGroup({"pair": pair(900)}, "ts")
        ...     before = group.push(store.read("txn").to_arrow(), "txn", 0)
        ...     warmed = group.replace("pair", pair(800), store_history(store, position.end))
        ...     after = group.push(pa.table({"ts": [3], "amount": [850]}), "txn", 2)
        >>> before, [(topic, len(matches)) for topic, matches in after]
        ([], [('pair', 1)])
    """

    __slots__ = ("_disabled", "_engines", "_lock", "_rules")

    # All rules by name, the disabled ones too.
    _rules: dict[str, Rule]
    _disabled: set[str]
    _engines: GroupEngines

    def __init__(self, rules: Rules, event_time: str = "time", *, ids: bool = True, **options: Any) -> None:
        if own := options.keys() & _OWN_OPTIONS:
            raise TypeError(
                f"a group of rules takes no {' and no '.join(sorted(own))}: a row means the same when it is replayed"
            )
        if wrong := options.keys() - _OPTIONS:
            raise TypeError(f"a group of rules has no option {', '.join(sorted(wrong))} (it has {sorted(_OPTIONS)})")
        options = {**options, "ids": checked_flag(ids, "ids"), "future": None}
        self._lock = threading.RLock()
        self._disabled = set()
        self._rules = group_rules(rules)
        topics = [*checked_topics(options.pop("topics", ())), *RuleLinks(self._rules).topics()]
        self._engines = GroupEngines(self._rules, checked_name(event_time, "column"), options, topics)

    # What there is.

    @property
    def rules(self) -> dict[str, Rule]:
        """The rules by name, those that are disabled too.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> list(RuleGroup(cep.event("a", topic="txn").named("seen")).rules)
            ['seen']
        """
        return dict(self._rules)

    @property
    def disabled(self) -> frozenset[str]:
        """The names of the rules that are disabled.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> RuleGroup(cep.event("a", topic="txn").named("seen")).disabled
            frozenset()
        """
        return frozenset(self._disabled)

    @property
    def engines(self) -> tuple[tuple[str, ...], ...]:
        """The rules of each engine that are its own, the engine of the rules that have not moved first.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> RuleGroup(cep.event("a", topic="txn").named("seen")).engines
            (('seen',),)
        """
        return tuple(tuple(name for name in self._rules if name in engine.owned) for engine in self._engines.engines)

    @property
    def missing(self) -> dict[str, Mapping[str, int]]:
        """What rules that run now have begun without, since the group was made or restored: see `Warmed.missing`."""
        return dict(self._engines.missing)

    def reads(self) -> tuple[str, ...]:
        """The topics that rules read from outside: those whose rows are to be pushed.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> RuleGroup(cep.event("a", topic="txn").named("seen")).reads()
            ('txn',)
        """
        return self._engines.sources

    def stats(self) -> EngineStats:
        """What the group has seen, what it holds, and what it has set aside; the state of all its engines counted.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> [rule.name for rule in RuleGroup(cep.event("a", topic="txn").named("seen")).stats().rules]
            ['seen']
        """
        with self._lock:
            found = [stats_of(engine.engine._native.stats()) for engine in self._engines.engines]
            own = {
                rule.name: rule
                for engine, stats in zip(self._engines.engines, found, strict=True)
                for rule in stats.rules
                if rule.name in engine.owned
            }
            return found[0]._replace(
                live_runs=sum(stats.live_runs for stats in found),
                bytes=sum(stats.bytes for stats in found),
                rules=tuple(own[name] for name in self._rules if name in own),
            )

    # Rows and time.

    def push(self, table: pa.Table, topic: str, row: int) -> list[tuple[str, Matches]]:
        """Takes rows of a topic, and gives the events that they derive.

        Args:
            table: The rows, in Arrow form. Columns that the topic did not have when an engine first read it are seen by
                rules that begin later on.
            topic: Their topic. One that no rule reads is passed over.
            row: The number of the first of them in its topic: events get the ids that they have in the store.

        Returns:
            Topics with their events. A topic that rules of several engines derive comes once for each of them.

        Raises:
            TypeError: An argument is of the wrong type.
            AppError: The row has been taken already (code ``row-order``).
            CepheidError: As for `cepheid.Engine.push`. No engine has taken any of them.

        Example:
            >>> import cepheid as cep
            >>> import pyarrow as pa
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> group = RuleGroup(cep.event("a", topic="txn").named("seen"))
            >>> [(topic, len(found)) for topic, found in group.push(pa.table({"time": [1]}), "txn", 7)]
            [('seen', 1)]
        """
        if not hasattr(table, "num_rows") or not hasattr(table, "schema"):
            raise TypeError(f"rows are a pyarrow.Table, not {type(table).__name__}")
        if not isinstance(topic, str):
            raise TypeError(f"a topic is named by a string, not {type(topic).__name__}")
        if isinstance(row, bool) or not isinstance(row, int):
            raise TypeError(f"row is the number of the first row, not {type(row).__name__}")
        with self._lock:
            if topic not in self.reads():
                return []
            counted = self._engines.counted(topic)
            if row < counted:
                raise AppError(
                    f"row {row} of topic `{topic}` has been taken already: the next is row {counted}", code="row-order"
                )
            return self._engines.push(table, topic, row)

    def learn(self, topic: str, columns: pa.Schema) -> None:
        """Says what columns a topic has before a row of it has come.

        Of one that has sent rows, the rules that there are know them; rules that begin later on have to fit these.

        Args:
            topic: The topic.
            columns: Its columns.

        Raises:
            SchemaError: A rule does not fit them (code ``unknown-column`` and others).

        Example:
            >>> import cepheid as cep
            >>> import pyarrow as pa
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> group = RuleGroup(cep.event("a", "amuont > 5", topic="txn").named("seen"))
            >>> try:
            ...     group.learn("txn", pa.schema({"time": pa.int64(), "amount": pa.int64()}))
            ... except cep.SchemaError as error:
            ...     error.hint
            'amount'
        """
        with self._lock:
            self._engines.learn(topic, columns)

    def advance_to(self, time: dt.datetime | int) -> list[tuple[str, Matches]]:
        """Moves the clock by hand: see `cepheid.Engine.advance_to`.

        Args:
            time: A datetime (a naive one is UTC), or nanoseconds since 1970.

        Returns:
            Topics with the events that become known by it.

        Raises:
            CepheidError: As for `cepheid.Engine.advance_to`; the clock has not moved.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> RuleGroup(cep.event("a", topic="txn").named("seen")).advance_to(7)
            []
        """
        moment = time_ns(time, "advance_to()")
        with self._lock:
            return self._engines.advance_to(moment)

    def flush(self) -> list[tuple[str, Matches]]:
        """Ends the input: see `cepheid.Engine.flush`.

        Returns:
            Topics with the events that become known by it.

        Raises:
            CepheidError: As for `cepheid.Engine.flush`; nothing has changed.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> RuleGroup(cep.event("a", topic="txn").named("seen")).flush()
            []
        """
        with self._lock:
            return self._engines.flush()

    # Rules.

    def add(
        self, rule: Rule, history: History | None = None, *, warm: bool | Span = True, name: str | None = None
    ) -> Warmed:
        """Adds a rule.

        Args:
            rule: The rule; it has a name.
            history: What it is warmed with: `store_history`. None: it begins with what comes.
            warm: As for `replace`; it says nothing where there is no history.
            name: What it is called, instead of what it calls itself.

        Returns:
            What has begun anew.

        Raises:
            PatternError: There is a rule of that name (code ``duplicate-rule``), or as for `cepheid.Engine.add`.
            CepheidError: As for `change`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> group = RuleGroup([])
            >>> group.add(cep.event("a", topic="txn").named("seen")).rules
            ('seen',)
        """
        rule = checked_rule(rule)
        rule = rule if name is None else rule.named(checked_name(name, "rule"))
        if rule.name is None:
            raise PatternError("a rule that is added has a name: rule.named(...)", code="empty-name")
        with self._lock:
            if rule.name in self._rules:
                raise PatternError(f"there is a rule `{rule.name}` already; replace it", code="duplicate-rule")
            return self._become({**self._rules, rule.name: rule}, self._disabled, history, warm)

    def replace(self, name: str, rule: Rule, history: History | None = None, *, warm: bool | Span = True) -> Warmed:
        """Puts a new version of a rule in the place of the old one. One that says the same changes nothing.

        Args:
            name: The rule.
            rule: The new version; it takes over the name.
            history: What it is warmed with: `store_history`. It may be left out if `warm` is False.
            warm: True: it begins with the state that it would have had, as far as its horizon tells (of rules whose
                matches rule each other out, eight horizons). ``"history"``: all events are replayed. A span, such as
                ``"2h"`` or a timedelta: those of so much time before the watermark. False: it begins with what comes.

        Returns:
            What has begun anew. Of a rule that is disabled: nothing.

        Raises:
            TypeError: An argument is of the wrong type.
            PatternError: There is no such rule (code ``unknown-rule``), others read what it derived no more (code
                ``rule-read``), or the rules are impossible together.
            AppError: There is no history, and it is needed (code ``rule-needs-history``), or as for the group's own.
            CepheidError: An event of the history is refused.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> group = RuleGroup(cep.event("a", topic="txn").named("seen"))
            >>> group.replace("seen", cep.event("a", "amount > 5", topic="txn"), warm=False).rules
            ('seen',)
        """
        rule = checked_rule(rule).named(checked_name(name, "rule"))
        with self._lock:
            self._known(name)
            if history is None and warm is not False and name not in self._disabled and self._engines.has_seen:
                raise AppError(
                    f"rule `{name}` is to begin with the state that it would have had: give a history, see "
                    "store_history(), or say warm=False",
                    code="rule-needs-history",
                )
            return self._become({**self._rules, name: rule}, self._disabled, history, warm)

    def remove(self, name: str) -> Warmed:
        """Takes a rule out.

        Args:
            name: The rule.

        Raises:
            PatternError: There is none, or another reads what it alone derives (code ``rule-read``).

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> group = RuleGroup({"a": cep.event("a", topic="t"), "b": cep.event("b", topic="t")})
            >>> _ = group.remove("a")
            >>> list(group.rules)
            ['b']
        """
        with self._lock:
            self._known(name)
            left = {own: rule for own, rule in self._rules.items() if own != name}
            return self._become(left, self._disabled - {name}, None, False)

    def disable(self, name: str) -> Warmed:
        """Has a rule derive nothing, and keep no state, until it is enabled.

        Args:
            name: The rule.

        Raises:
            PatternError: There is none, or another reads what it alone derives (code ``rule-read``).

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> group = RuleGroup(cep.event("a", topic="txn").named("seen"))
            >>> _ = group.disable("seen")
            >>> (group.disabled, group.reads())
            (frozenset({'seen'}), ())
        """
        with self._lock:
            self._known(name)
            return self._become(self._rules, self._disabled | {name}, None, False)

    def enable(self, name: str, history: History | None = None, *, warm: bool | Span = True) -> Warmed:
        """Has a rule that was disabled derive events again.

        Args:
            name: The rule.
            history: As for `add`.
            warm: As for `replace`.

        Raises:
            PatternError: There is no such rule (code ``unknown-rule``).
            CepheidError: As for `change`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> group = RuleGroup(cep.event("a", topic="txn").named("seen"))
            >>> _ = group.disable("seen")
            >>> group.enable("seen").rules
            ('seen',)
        """
        with self._lock:
            self._known(name)
            return self._become(self._rules, self._disabled - {name}, history, warm)

    def change(
        self, rules: Rules, history: History | None = None, *, warm: bool | Span = True, disabled: Iterable[str] = ()
    ) -> Warmed:
        """Makes several changes at once: from then on there are these rules, and no others.

        Rules that say what they said go on as they are, unless they read what a changed one derives.

        Args:
            rules: All rules.
            history: What new and changed rules are warmed with. None: they begin with what comes.
            warm: As for `replace`.
            disabled: Names of those that are disabled.

        Returns:
            What has begun anew.

        Raises:
            CepheidError: As for `replace`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> group = RuleGroup({"a": cep.event("a", topic="t"), "b": cep.event("b", topic="t")})
            >>> group.change({"a": cep.event("a", topic="t"), "c": cep.event("c", topic="t")}).rules
            ('c',)
        """
        wanted = group_rules(rules)
        if isinstance(disabled, (str, bytes)):
            raise TypeError(f"disabled is a list of names, not {type(disabled).__name__}")
        names = {checked_name(name, "rule") for name in disabled}
        with self._lock:
            if unknown := names - wanted.keys():
                raise unknown_rule(min(unknown), wanted)
            return self._become(wanted, names, history, warm)

    def join(self, history: History, *, warm: bool | Span = True) -> Warmed:
        """Makes all engines one again, each rule warmed. Of a group that has seen nothing: begins with a history.

        Args:
            history: As for `replace`.
            warm: As for `replace`. Where one rule has no horizon, all events are replayed.

        Returns:
            What has begun anew: every rule that is not disabled.

        Raises:
            CepheidError: As for `replace`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> from cepheid.runtime.rule_history import store_history
            >>> with cep.EventStore(event_time="time") as store:
            ...     position = store.append("txn", {"time": [1, 2]})
            ...     group = RuleGroup(cep.event("a", topic="txn").named("seen"))
            ...     group.join(store_history(store, position.end)).events
            2
        """
        if not callable(history) or warm is False:
            raise TypeError("rules are joined by a replay: give a history, see store_history(), and how much of it")
        with self._lock:
            return self._become(self._rules, self._disabled, history, warm, join=True)

    def _known(self, name: str) -> None:
        if checked_name(name, "rule") not in self._rules:
            raise unknown_rule(name, self._rules)

    def _become(
        self,
        rules: Mapping[str, Rule],
        disabled: Iterable[str],
        history: History | None,
        warm: bool | Span,
        *,
        join: bool = False,
    ) -> Warmed:
        if history is not None and not callable(history):
            raise TypeError(f"a history is a function, see store_history(), not {type(history).__name__}")
        rules, off = group_rules(rules), set(disabled)
        change = RuleChange(
            {name: rule for name, rule in self._rules.items() if name not in self._disabled},
            {name: rule for name, rule in rules.items() if name not in off},
            everything=join,
        )
        spans = replay_spans(warm)
        warmed = self._engines.change(change, None if spans is None else history, spans)
        self._rules, self._disabled = rules, off
        return warmed

    # State.

    def snapshot(self) -> bytes:
        """All that the group knows, as bytes: the state of its engines, its rules as data, where its clock has been.

        It has a version and checksums, and holds no code.

        Raises:
            CepheidError: As for `cepheid.Engine.snapshot`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> rule = cep.event("a", topic="txn").named("seen")
            >>> group, differences = RuleGroup.restore(RuleGroup(rule).snapshot(), rule)
            >>> bool(differences)
            False
        """
        with self._lock:
            blobs, known = self._engines.snapshots()
            return saved(self._rules, self.disabled, self._engines.engines, blobs, known)

    @classmethod
    def restore(
        cls, blob: bytes, rules: Rules, *, threads: int | None = None, memory_limit: int | str | None = None
    ) -> RestoredGroup:
        """A group that goes on where a snapshot was taken, with the rules that it had then.

        Args:
            blob: What `snapshot` gave.
            rules: The rules that there are to be. Where they differ from those that were saved, `change` makes it so.
            threads: As for `cepheid.Engine`.
            memory_limit: As for `cepheid.Engine`. The other options are in the snapshot.

        Returns:
            The group, and what tells the rules that are given from those that were saved.

        Raises:
            TypeError: An argument is of the wrong type.
            StoreError: It is no snapshot or damaged (code ``invalid-snapshot``), or of a newer version (code
                ``snapshot-version``).
            AppError: A saved rule holds Python functions, and is not among those given (code ``rule-unknown``).

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_group import RuleGroup
            >>> blob = RuleGroup(cep.event("a", topic="txn").named("seen")).snapshot()
            >>> restored = RuleGroup.restore(blob, cep.event("a", "amount > 5", topic="txn").named("seen"))
            >>> restored.differences
            RuleDifferences(new=(), changed=('seen',), gone=())
        """
        given = group_rules(rules)
        of = taken_apart(blob)
        group = object.__new__(cls)
        group._lock = threading.RLock()
        group._rules = {name: rule.rule(given) for name, rule in of.rules.items()}
        group._disabled = {name for name, rule in of.rules.items() if not rule.enabled}
        options = {"threads": threads, "memory_limit": memory_limit}
        group._engines = GroupEngines.restored(of.engines, of.head, group._rules, options)
        return RestoredGroup(group, of.differences(given))

    def __repr__(self) -> str:
        off = f", {len(self._disabled)} disabled" if self._disabled else ""
        return f"<RuleGroup: {len(self._rules)} rules{off}, in {len(self._engines.engines)} engines>"
