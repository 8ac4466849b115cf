"""One engine of a group of rules: rules of its own, rules that it runs for these alone, and the clock of the group."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from cepheid.derived import Derived
from cepheid.engine import Engine
from cepheid.engine_options import Rule
from cepheid.pattern import event
from cepheid.result import Matches
from cepheid.runtime.clock_marks import ClockMark
from cepheid.runtime.rule_links import RuleLinks

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OWN_PREFIX", "GroupEngine", "readers_first"]

#: How the names of a group's own rules begin, each of which has an engine listen to a topic and finds nothing.
OWN_PREFIX = "cepheid:"

Output = tuple[str, Matches]


@final
class GroupEngine:
    """One engine of a group. All engines of a group listen to the same topics, so that their clocks are one.

    Args:
        engine: The engine; besides the rules it has one for each topic that it listens to.
        rules: The rules that it runs, by name.
        owned: Which of them are its own: what the others derive is told by another engine.
        sources: The topics that it listens to.
    """

    __slots__ = ("_counted", "_silent", "engine", "owned", "rules", "sources")

    engine: Engine
    rules: dict[str, Rule]
    owned: set[str]
    sources: tuple[str, ...]

    # By topic, how many rows of it the engine has numbered.
    _counted: dict[str, int]
    # Topics that rules derive which are not its own.
    _silent: set[str]

    def __init__(self, engine: Engine, rules: Mapping[str, Rule], owned: Iterable[str], sources: Sequence[str]) -> None:
        self.engine = engine
        self.rules = dict(rules)
        self.owned = set(owned)
        self.sources = tuple(sources)
        self._counted = {source["topic"]: source["rows"] for source in engine._native.stats()["sources"]}
        self._learn()

    @classmethod
    def made(
        cls,
        rules: Mapping[str, Rule],
        owned: Iterable[str],
        sources: Sequence[str],
        event_time: str,
        options: Mapping[str, Any],
    ) -> GroupEngine:
        """An engine that has seen nothing.

        Args:
            rules: Rules by name.
            owned: Names of those that are its own.
            sources: The topics that the group listens to.
            event_time: The column of the event time.
            options: Options of the engine.

        Raises:
            CepheidError: As for `cepheid.Engine`.
        """
        everything = [*rules.values(), *map(_listener, sources)]
        return cls(Engine(everything, event_time, **options), rules, owned, sources)

    @classmethod
    def restored(
        cls, blob: bytes, rules: Mapping[str, Rule], owned: Iterable[str], sources: Sequence[str], **options: Any
    ) -> GroupEngine:
        """The engine that a snapshot was taken of.

        Args:
            blob: The snapshot.
            rules: Its rules, as they were.
            owned: Names of those that were its own.
            sources: The topics that it listened to.
            options: As for `cepheid.Engine.restore`.

        Raises:
            StoreError: It is no snapshot, or of other rules.
        """
        everything = [*rules.values(), *map(_listener, sources)]
        return cls(Engine.restore(blob, everything, **options), rules, owned, sources)

    def _learn(self) -> None:
        links = RuleLinks(self.rules)
        self._silent = links.derived(self.rules.keys() - self.owned) - links.derived(self.owned)

    # Rows and time.

    def push(self, table: pa.Table, topic: str, row: int) -> list[Output]:
        """Takes rows of a topic that it listens to, and gives what its own rules derive.

        Args:
            table: The rows.
            topic: Their topic.
            row: The number of the first in its topic.

        Raises:
            CepheidError: As for `cepheid.Engine.push`. No row has been taken.
        """
        self.number(topic, row)
        found = self.engine.push(self._fitting(table, topic), topic)
        self._counted[topic] = row + table.num_rows
        return self._told(found)

    def advance_to(self, time: dt.datetime | int) -> list[Output]:
        """Moves the clock: see `cepheid.Engine.advance_to`.

        Args:
            time: A datetime, or nanoseconds since 1970.
        """
        return self._told(self.engine.advance_to(time))

    def flush(self) -> list[Output]:
        """Ends the input: see `cepheid.Engine.flush`."""
        return self._told(self.engine.flush())

    def number(self, topic: str, row: int) -> None:
        """Has the next row of a topic have a number.

        Args:
            topic: A topic that it listens to.
            row: The number; one that has been given before is given again.
        """
        before = self._counted.get(topic, 0)
        if row > before:
            self.engine._native.skip(topic, row - before)
            self._counted[topic] = row

    def counted(self, topic: str) -> int:
        """How many rows of a topic have been numbered.

        Args:
            topic: The topic.
        """
        return self._counted.get(topic, 0)

    def _fitting(self, table: pa.Table, topic: str) -> pa.Table:
        """The table without columns that the topic has got since the engine learnt of it."""
        known = self.engine._input.plain_schema(topic)
        if known is None or table.schema.names == known.names or not set(known.names) <= set(table.schema.names):
            return table
        return table.select(known.names)

    def learn_columns(self, topic: str, columns: pa.Schema) -> None:
        """Says what columns a topic has, if no row of it has come: rules that do not fit them are told of now.

        Args:
            topic: A topic that it listens to.
            columns: The columns.

        Raises:
            SchemaError: A rule does not fit them.
        """
        rows = self.engine._input
        known = rows.plain_schema(topic) or columns
        self.engine._native.declare(rows.table(known.empty_table(), topic), topic)

    def _told(self, derived: Derived) -> list[Output]:
        if not derived:
            return []
        return [(topic, matches) for topic, matches in derived.items() if topic not in self._silent]

    # Clock.

    def begin_at(self, mark: ClockMark) -> None:
        """Sets the clock and the numbers of rows of an engine that has seen nothing.

        Args:
            mark: Where the clock was.
        """
        native = self.engine._native
        # Those that are furthest behind come first: nothing is late then, and who is silent is waited for from there.
        for topic, greatest in sorted(mark.greatest.items(), key=lambda entry: entry[1]):
            if topic in self.sources:
                native.pass_over(topic, 0, (greatest, greatest), None)
        for topic, rows in mark.rows.items():
            if topic in self.sources:
                self.number(topic, rows)
        self.reach(mark, ended=False)

    def reach(self, mark: ClockMark, *, ended: bool) -> None:
        """Moves the clock to where it was by hand, if it is not there.

        Args:
            mark: Where the clock was.
            ended: Whether the end of the input there is one here.
        """
        if mark.watermark is None:
            return
        if ended and mark.ended:
            self.flush()
        if mark.closed is not None:
            self.advance_to(mark.closed)
        if all(topic in mark.rows for topic in self.sources):
            # Rows of the time of the watermark itself are not late.
            self.advance_to(max(mark.watermark - 1, -(2**63)))

    # Rules.

    def add(self, rule: Rule) -> None:
        """Adds a rule, its own, which sees what is matched from now on.

        Args:
            rule: The rule, with its name.

        Raises:
            CepheidError: As for `cepheid.Engine.add`.
        """
        self.engine.add(rule)
        assert rule.name is not None
        self.rules[rule.name] = rule
        self.owned.add(rule.name)
        self._learn()

    def replace(self, name: str, rule: Rule) -> None:
        """Puts a rule in the place of another, whose partial matches are forgotten.

        Args:
            name: The rule that goes.
            rule: The one that comes.

        Raises:
            CepheidError: As for `cepheid.Engine.replace`.
        """
        self.engine.replace(name, rule)
        self.rules[name] = rule
        self._learn()

    def remove(self, names: Iterable[str]) -> None:
        """Takes rules out, and those that it ran for these alone.

        Args:
            names: Names of rules; those that it does not run are passed over.
        """
        links = RuleLinks(self.rules)
        going = self.rules.keys() & set(names)
        kept = self.owned - going
        going |= self.rules.keys() - kept - links.behind(kept)
        for name in readers_first(links, going):
            self.engine.remove(name)
            del self.rules[name]
        self.owned -= going
        self._learn()

    def listen_to(self, sources: Sequence[str], greatest: Mapping[str, int], rows: Mapping[str, int]) -> None:
        """Listens to topics, and to no others.

        Args:
            sources: The topics.
            greatest: Of such as it did not listen to, the greatest time of the rows that others have seen.
            rows: Of such, how many there have been.
        """
        before = set(self.sources)
        for topic in sources:
            if topic not in before:
                self.engine.add(_listener(topic))
                self.number(topic, rows.get(topic, 0))
                if topic in greatest:
                    # Behind the watermark it is late, and is waited for as one that has sent nothing.
                    self.engine._native.pass_over(topic, 0, (greatest[topic], greatest[topic]), None)
        for topic in self.sources:
            if topic not in sources:
                self.engine.remove(f"{OWN_PREFIX}{topic}")
        self.sources = tuple(sources)


def _listener(topic: str) -> Rule:
    return event("row", "FALSE", topic=topic).named(f"{OWN_PREFIX}{topic}")


def readers_first(links: RuleLinks, names: set[str]) -> Iterator[str]:
    """Rules in an order in which they can be taken out: none before those that read it.

    Args:
        links: How rules read each other.
        names: Which of them.
    """
    left = set(names)
    while left:
        unread = {name for name in left if not _read_by(links, name) & left}
        yield from sorted(unread)
        left -= unread


def _read_by(links: RuleLinks, name: str) -> set[str]:
    return set().union(*(links.readers(topic) for topic in links.derived([name])))
