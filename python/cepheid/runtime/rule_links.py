"""Which rules read what other rules derive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import final

from cepheid.engine_options import Rule
from cepheid.runtime.rule_horizon import horizon_ns, is_chained

__all__ = ["RuleLinks"]


@final
class RuleLinks:
    """Rules as a graph: from those that derive a topic to those that read it.

    Args:
        rules: Rules by name; each names its topics.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.runtime.rule_links import RuleLinks
        >>> big = cep.event("a", "amount > 500", topic="txn").named("big")
        >>> links = RuleLinks({"big": big, "again": cep.event("b", topic="big").named("again")})
        >>> links.sources, links.moved_with({"big"}) == {"big", "again"}
        (('txn',), True)
    """

    __slots__ = ("_derivers", "_derives", "_readers", "_reads", "_rules", "sources")

    #: Topics that rules read and none derives, in the order in which the rules name them.
    sources: tuple[str, ...]

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._reads: dict[str, tuple[str, ...]] = {}
        self._derives: dict[str, set[str]] = {}
        self._readers: dict[str, set[str]] = {}
        self._derivers: dict[str, set[str]] = {}
        for name, rule in rules.items():
            self._reads[name] = tuple(topic for topic in rule._read_topics() if topic is not None)
            self._derives[name] = rule._derived_topics(name)
            for topic in self._reads[name]:
                self._readers.setdefault(topic, set()).add(name)
            for topic in self._derives[name]:
                self._derivers.setdefault(topic, set()).add(name)
        named = (topic for name in rules for topic in self._reads[name])
        self.sources = tuple(dict.fromkeys(topic for topic in named if topic not in self._derivers))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the rules."""
        return tuple(self._rules)

    def derived(self, names: Iterable[str]) -> set[str]:
        """The topics that some of the rules derive.

        Args:
            names: Names of rules.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_links import RuleLinks
            >>> RuleLinks({"big": cep.event("a", topic="txn").named("big")}).derived(["big"])
            {'big'}
        """
        return set().union(*(self._derives[name] for name in names))

    def topics(self) -> list[str]:
        """All topics that rules read, in the order in which they name them.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_links import RuleLinks
            >>> RuleLinks({"big": cep.event("a", topic="txn").named("big")}).topics()
            ['txn']
        """
        return list(dict.fromkeys(topic for name in self._rules for topic in self._reads[name]))

    def readers(self, topic: str) -> set[str]:
        """The rules that read a topic.

        Args:
            topic: The topic.
        """
        return self._readers.get(topic, set())

    def derivers(self, topic: str) -> set[str]:
        """The rules that derive a topic.

        Args:
            topic: The topic.
        """
        return self._derivers.get(topic, set())

    def moved_with(self, names: Iterable[str]) -> set[str]:
        """Rules, and those that what they derive has a say in: their readers, and who derives the same for readers.

        Args:
            names: Names of rules.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_links import RuleLinks
            >>> big = cep.event("a", "amount > 500", topic="txn").named("big")
            >>> links = RuleLinks({"big": big, "again": cep.event("b", topic="big").named("again")})
            >>> links.moved_with(["again"])
            {'again'}
        """
        found, ahead = set(names), list(names)
        while ahead:
            for topic in self._derives[ahead.pop()]:
                readers = self.readers(topic)
                # Events of one topic that is read come out of one engine, in one order.
                more = (readers | self.derivers(topic) if readers else readers) - found
                found |= more
                ahead.extend(more)
        return found

    def behind(self, names: Iterable[str]) -> set[str]:
        """Rules that some of the rules read, directly or through others, beside these.

        Args:
            names: Names of rules.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_links import RuleLinks
            >>> big = cep.event("a", "amount > 500", topic="txn").named("big")
            >>> links = RuleLinks({"big": big, "again": cep.event("b", topic="big").named("again")})
            >>> links.behind(["again"])
            {'big'}
        """
        given = set(names)
        found, ahead = set(given), list(given)
        while ahead:
            for topic in self._reads[ahead.pop()]:
                more = self.derivers(topic) - found
                found |= more
                ahead.extend(more)
        return found - given

    def sources_of(self, name: str) -> set[str]:
        """The topics from outside that what a rule knows comes of: those that it reads, and those of rules behind it.

        Args:
            name: The rule.
        """
        return {topic for one in {name, *self.behind([name])} for topic in self._reads[one] if topic in self.sources}

    def horizon_ns(self, names: Iterable[str], chained: int) -> int | None:
        """How far back what some rules know can reach: along rules that read each other, the sum.

        Args:
            names: Names of rules.
            chained: How many horizons are counted of rules whose matches rule each other out.

        Returns:
            Nanoseconds; None: no span is enough.

        Example:
            >>> import cepheid as cep
            >>> from cepheid.runtime.rule_links import RuleLinks
            >>> pair = (cep.event("a", topic="txn") >> cep.event("b", topic="txn")).within("1us").named("pair")
            >>> minutes = cep.window(n=cep.count(), topic="pair").tumbling("3us").named("minutes")
            >>> RuleLinks({"pair": pair, "minutes": minutes}).horizon_ns(["minutes"], 4)
            7000
        """
        known: dict[str, int | None] = {}
        # No rules read each other in a circle; a chain may be as long as there are rules, so there is no recursion.
        ahead = list(names)
        wanted = tuple(ahead)
        while ahead:
            name = ahead[-1]
            before = [rule for topic in self._reads[name] for rule in self.derivers(topic)]
            if missing := [rule for rule in before if rule not in known]:
                ahead.extend(missing)
                continue
            ahead.pop()
            known[name] = self._own_horizon(name, chained, [known[rule] for rule in before])
        spans = [known[name] for name in wanted]
        return None if None in spans else max((span for span in spans if span is not None), default=0)

    def _own_horizon(self, name: str, chained: int, before: list[int | None]) -> int | None:
        rule = self._rules[name]
        own = horizon_ns(rule)
        if own is None or None in before:
            return None
        times = chained if is_chained(rule) else 1
        return own * times + max((span for span in before if span is not None), default=0)
