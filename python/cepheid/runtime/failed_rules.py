"""Rules that are off because they failed, and what has them run again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from cepheid.errors import CepheidError, InternalError, SchemaError
from cepheid.runtime.missing_history import told_of_missing
from cepheid.runtime.rule_faults import with_stranded
from cepheid.runtime.rule_history import History, StoreHistory
from cepheid.runtime.rule_links import RuleLinks

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.runtime.rule_group import RuleGroup

__all__ = ["FailedRules", "RuleTold"]

#: What has become of a rule by itself: the kind of change, the rule, the reason.
RuleTold = tuple[str, str, str]

_LOG = logging.getLogger("cepheid.app")


@final
class FailedRules:
    """Rules that are off because they failed.

    One that names a column which no event of an undeclared type has had yet is tried again when events of that type
    bring columns; each is when a new version of it comes. What somebody disables is not.

    Args:
        topics: By rule, the topic whose columns it did not fit; None: it failed for another reason.
    """

    __slots__ = ("_names", "topics")

    #: By rule, in the order in which they failed, the topic whose columns it did not fit, or None.
    topics: dict[str, str | None]

    def __init__(self, topics: Mapping[str, str | None]) -> None:
        self.topics = dict(topics)
        # By topic, the names of the columns with which rules did not fit it.
        self._names: dict[str, frozenset[str]] = {}

    def note(self, names: Iterable[str], topic: str | None) -> None:
        """Takes note of rules that have failed, those that others read first.

        Args:
            names: The rules.
            topic: The topic that they do not fit; None: they failed for another reason.
        """
        self.topics |= dict.fromkeys(names, topic)

    def run_again(self, rules: RuleGroup, topic: str, columns: pa.Schema, history: StoreHistory) -> list[RuleTold]:
        """Enables rules that fit a topic now that it has more columns.

        They begin with the state that they would have had, if the columns had been there from the start and been NULL.

        Args:
            rules: The rules.
            topic: The topic that rows have come of, and that rules have not seen yet.
            columns: The columns of these rows.
            history: All that rules have seen.
        """
        waiting = [name for name, unfit in self.topics.items() if unfit == topic]
        names = frozenset(columns.names)
        if not waiting or names <= self._names.get(topic, frozenset()):
            return []
        self._names[topic] = names
        with contextlib.suppress(SchemaError):
            # Of rules that run, those that do not fit are found when they see the rows.
            rules.learn(topic, columns)
        found, _ = self._enabled(rules, waiting, history.widened(topic, columns))
        why = f"events of type `{topic}` have columns now that it fits"
        return [("enabled", name, told_of_missing(rules, name, why)) for name in found]

    def changed(self, rules: RuleGroup, changes: Sequence[Mapping[str, Any]], history: History) -> list[RuleTold]:
        """Enables rules that had failed and have got a new version, and those that read what they derive.

        Args:
            rules: The rules as they are now.
            changes: What has been changed, as events of the topic ``cepheid.rule``.
            history: All that rules have seen.
        """
        replaced = set()
        for change in changes:
            name, kind = change["rule"], change["kind"]
            if kind == "replaced" and name in self.topics and name in rules.disabled:
                replaced.add(name)
            elif kind != "refused":
                self.topics.pop(name, None)
        links = RuleLinks(rules.rules)
        found, reasons = self._enabled(
            rules, [name for name in self.topics if name in replaced or replaced & links.behind([name])], history
        )
        why = "what had failed has been replaced"
        told: list[RuleTold] = [("enabled", name, told_of_missing(rules, name, why)) for name in found]
        return told + [("failed", name, reason) for name, reason in reasons.items() if name in replaced]

    def _enabled(self, rules: RuleGroup, names: Iterable[str], history: History) -> tuple[list[str], dict[str, str]]:
        """Enables rules; gives those that it can, and why it cannot do so with others."""
        found: list[str] = []
        reasons: dict[str, str] = {}
        links = RuleLinks(rules.rules)
        for name in names:
            if name in with_stranded(links, rules.disabled - {name}):
                reasons[name] = "it reads what a rule derives that is disabled"
                continue
            try:
                rules.enable(name, history)
            except InternalError:
                raise
            except CepheidError as error:
                _LOG.warning("rule `%s` stays disabled: %s", name, error)
                reasons[name] = str(error)
            else:
                del self.topics[name]
                found.append(name)
        return found, reasons
