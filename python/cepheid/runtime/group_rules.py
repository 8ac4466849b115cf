"""Rules of a group, checked: each has a name of its own, and says which topics it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from cepheid.building import checked_name
from cepheid.engine import Rules
from cepheid.engine_options import Rule, checked_rule, named_rules
from cepheid.errors import AppError, PatternError
from cepheid.event_time import span_ns
from cepheid.names import nearest_name
from cepheid.runtime.group_engine import OWN_PREFIX

__all__ = ["group_rules", "replay_spans", "unknown_rule"]


def group_rules(rules: Rules) -> dict[str, Rule]:
    """Rules by name.

    Args:
        rules: As for `cepheid.Engine`.

    Raises:
        TypeError: They are no rules.
        PatternError: Two have one name (code ``duplicate-rule``), or one has none.
        AppError: One does not say which topics it reads (code ``rule-topic``), or has a name that begins with
            ``cepheid:`` (code ``rule-name``).

    Example:
        >>> import cepheid as cep
        >>> from cepheid.runtime.group_rules import group_rules
        >>> list(group_rules(cep.event("a", topic="txn").named("seen")))
        ['seen']
    """
    found: dict[str, Rule] = {}
    if isinstance(rules, Mapping):
        # To name a rule is to make it anew, which takes a while for thousands.
        rules = [rule if getattr(rule, "name", None) == name else _named(rule, name) for name, rule in rules.items()]
    for rule in named_rules(rules):
        name = rule.name
        assert name is not None
        if name in found:
            raise PatternError(f"two rules are named `{name}`", code="duplicate-rule")
        if name.startswith(OWN_PREFIX):
            raise AppError(f"rule `{name}`: names that begin with `{OWN_PREFIX}` are the group's own", code="rule-name")
        if None in rule._read_topics():
            raise AppError(
                f"rule `{name}` reads whatever there is: say which topic it reads, event(..., topic=...)",
                code="rule-topic",
            )
        found[name] = rule
    return found


def _named(rule: Any, name: Any) -> Rule:
    return checked_rule(rule).named(checked_name(name, "rule"))


def unknown_rule(name: str, rules: Iterable[str]) -> PatternError:
    """The error of a name that no rule has.

    Args:
        name: The name.
        rules: The names of those that there are.
    """
    known = list(rules)
    return PatternError(
        f"there is no rule `{name}` (there are {', '.join(known) or 'none'})",
        code="unknown-rule",
        known=known,
        hint=nearest_name(name, known),
    )


def replay_spans(warm: Any) -> int | Literal["horizon", "history"] | None:
    """How much is replayed, as it is said: so many nanoseconds, the horizon, or all; None: nothing.

    Args:
        warm: A flag, ``"history"``, or a span.

    Raises:
        TypeError: It is none of these.
        PatternError: The text spells no span (code ``invalid-clause``).
    """
    if isinstance(warm, bool):
        return "horizon" if warm else None
    return "history" if warm == "history" else span_ns(warm, "warm")
