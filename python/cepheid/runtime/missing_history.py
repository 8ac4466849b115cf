"""Rules that have begun without all the events that they would have seen, as the store keeps them no longer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cepheid.runtime.rule_group import RuleGroup
    from cepheid.runtime.rule_history import History

__all__ = ["noting_missing", "told_of_missing"]

_LOG = logging.getLogger("cepheid.app")


def told_of_missing(rules: RuleGroup, name: str, why: str = "") -> str:
    """What is said of a rule that has begun anew: why, and what it has begun without.

    Args:
        rules: The rules.
        name: The rule.
        why: What else there is to say.

    Returns:
        It, or nothing.
    """
    missing = rules.missing.get(name)
    if not missing:
        return why
    topics = ", ".join(f"the first {rows} of `{topic}`" for topic, rows in sorted(missing.items()))
    told = f"it begins without events that its state may depend on, as the store keeps them no longer: {topics}"
    _LOG.warning("rule `%s`: %s", name, told)
    return f"{why}; {told}" if why else told


def noting_missing(
    change: Callable[[RuleGroup, History], Any] | None, changed: Sequence[dict[str, Any]]
) -> Callable[[RuleGroup, History], Any] | None:
    """A change of rules, after which the events of it say what rules have begun without.

    Args:
        change: The change; None: there is none.
        changed: The events of it: see `rule_change_event`.
    """
    if change is None:
        return None

    def noted(rules: RuleGroup, history: History) -> None:
        change(rules, history)
        for event in changed:
            if event["kind"] in ("added", "replaced", "enabled"):
                event["reason"] = told_of_missing(rules, event["rule"], event["reason"] or "") or None

    return noted
