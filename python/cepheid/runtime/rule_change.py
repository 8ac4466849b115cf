"""What a change of rules comes to: which of them begin anew, which go, and whether they can be together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from cepheid.engine import Engine
from cepheid.engine_options import Rule
from cepheid.errors import AppError, PatternError
from cepheid.processors import Processor
from cepheid.runtime.group_engine import GroupEngine
from cepheid.runtime.rule_links import RuleLinks

__all__ = ["RuleChange", "change_cold", "check_cold", "derivers_first", "says_the_same"]


@final
class RuleChange:
    """From some rules to others.

    Args:
        before: Rules that run, by name.
        rules: Those that are to run.
        everything: Whether all of them begin anew.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.runtime.rule_change import RuleChange
        >>> rule = cep.event("a", topic="t").named("r")
        >>> change = RuleChange({"r": rule}, {"r": rule, "s": cep.event("b", topic="r").named("s")})
        >>> (change.moved, change.behind, change.gone)
        ({'s'}, {'r'}, set())
    """

    __slots__ = ("_before", "after", "behind", "fresh", "gone", "is_whole", "moved", "rules")

    #: How the rules that are to run read each other.
    after: RuleLinks
    #: Rules that are new or changed, those that others read first.
    fresh: list[str]
    #: Rules that begin anew: these, and those that what they derive has a say in.
    moved: set[str]
    #: Rules that these read.
    behind: set[str]
    #: Rules that run no more.
    gone: set[str]
    #: Whether all rules begin anew.
    is_whole: bool

    def __init__(self, before: Mapping[str, Rule], rules: Mapping[str, Rule], *, everything: bool = False) -> None:
        self.rules = dict(rules)
        self.after = RuleLinks(self.rules)
        self._before = RuleLinks(before)
        self.gone = before.keys() - rules.keys()
        changed = {name for name, rule in rules.items() if name in before and not says_the_same(before[name], rule)}
        new = rules.keys() - before.keys()
        self.is_whole = everything or not before
        self.fresh = derivers_first(self.after, new | changed)
        # Whoever read what a changed rule derives no more has other things behind it, too.
        left = {reader for topic in self._before.derived(changed) for reader in self._before.readers(topic)}
        begin = set(rules) if self.is_whole else new | changed | (left & rules.keys())
        self.moved = self.after.moved_with(begin)
        self.behind = self.after.behind(self.moved)
        # Events of one topic come out together: an engine does not tell whose they are.
        while more := self._told_together():
            self.moved = self.after.moved_with(self.moved | more)
            self.behind = self.after.behind(self.moved)

    def _told_together(self) -> set[str]:
        own = self.after.derived(self.moved)
        return {name for name in self.behind if self.after.derived([name]) & own}

    @property
    def run(self) -> dict[str, Rule]:
        """The rules that an engine of those that begin anew runs."""
        return {name: rule for name, rule in self.rules.items() if name in self.moved or name in self.behind}

    def check(self, event_time: str, options: Mapping[str, Any]) -> None:
        """Checks that the rules can be together.

        Args:
            event_time: The column of the event time.
            options: Options of an engine.

        Raises:
            PatternError: A rule reads what none derives any more (code ``rule-read``), or as for `cepheid.Engine`.
            CepheidError: As for `cepheid.Engine`.
        """
        for topic in sorted(self._before.derived(self._before.names)):
            readers = self._before.readers(topic) & self.after.readers(topic)
            if readers and not self.after.derivers(topic):
                deriver, reader = min(self._before.derivers(topic)), min(readers)
                raise PatternError(
                    f"rule `{deriver}` derives `{topic}`, which rule `{reader}` reads; remove `{reader}` first",
                    code="rule-read",
                )
        if self.rules:
            Engine(list(self.rules.values()), event_time, **options)


def says_the_same(rule: Rule, other: Rule) -> bool:
    """Whether two rules are one; of processors, whether they call one function in the same way.

    Args:
        rule: A rule.
        other: Another.
    """
    if isinstance(rule, Processor) and isinstance(other, Processor):
        return (rule.function, rule.topic, rule.emits, rule.name) == (
            other.function,
            other.topic,
            other.emits,
            other.name,
        )
    return rule == other


def check_cold(change: RuleChange, engines: Sequence[GroupEngine]) -> None:
    """Checks that rules can begin without a history.

    Args:
        change: What is to change.
        engines: The engines there are.

    Raises:
        AppError: One reads what runs elsewhere, or what it derives is read elsewhere (code ``rule-needs-history``).
    """
    for name in change.fresh:
        _places(change, name, engines, set(change.fresh))


def change_cold(change: RuleChange, name: str, engines: Sequence[GroupEngine]) -> None:
    """Puts a rule into engines that run others; it begins with what comes.

    Args:
        change: What is to change.
        name: A rule that is new or changed.
        engines: The engines there are.

    Raises:
        CepheidError: As for `cepheid.Engine.add` and `cepheid.Engine.replace`.
    """
    places, is_there = _places(change, name, engines, set())
    for place in places:
        if is_there:
            engines[place].replace(name, change.rules[name])
        else:
            engines[place].add(change.rules[name])


def _places(change: RuleChange, name: str, engines: Sequence[GroupEngine], coming: set[str]) -> tuple[list[int], bool]:
    """The engines that a rule goes into, and whether it is in them. `coming`: rules that are to come as well."""
    behind = change.after.behind([name]) - coming
    readers = change.after.moved_with([name]) - {name} - coming
    topics = change.after.derived([name])
    holders = [place for place, engine in enumerate(engines) if name in engine.rules]
    if holders:
        fits = all(behind <= engines[place].rules.keys() for place in holders)
        heard = all(place in holders for place, engine in enumerate(engines) if readers & engine.rules.keys())
        if fits and heard:
            return holders, True
    else:
        for place, engine in enumerate(engines):
            unheard = change.after.derived((engine.rules.keys() - engine.owned) & change.rules.keys())
            others = any(readers & other.rules.keys() for other in engines if other is not engine)
            if behind <= engine.rules.keys() and not topics & unheard and not others:
                return [place], False
    raise AppError(
        f"rule `{name}` cannot begin without a history: it reads, or is read by, rules that run in other engines; give "
        "it one, see store_history()",
        code="rule-needs-history",
    )


def derivers_first(links: RuleLinks, names: set[str]) -> list[str]:
    """Rules in an order in which they can be added: none before those that it reads.

    Args:
        links: How rules read each other.
        names: Which of them.
    """
    found: list[str] = []
    left = set(names)
    while left:
        ready = sorted(name for name in left if not links.behind([name]) & left)
        # Rules that read each other in a circle are refused elsewhere.
        ready = ready or sorted(left)
        found += ready
        left -= set(ready)
    return found
