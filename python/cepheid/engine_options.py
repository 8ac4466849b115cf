"""What an engine can be told: each option checked, and turned into what the engine counts in."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, get_args

from cepheid.anomaly import NO_METHOD, Anomaly, AnomalyBuilder
from cepheid.building import checked_name
from cepheid.errors import PatternError
from cepheid.event_time import span_ns, time_ns
from cepheid.names import invalid_choice
from cepheid.pattern import Pattern
from cepheid.processors import Processor
from cepheid.window import NO_FRAME, Window, WindowBuilder

__all__ = [
    "LATE",
    "Rule",
    "checked_clock",
    "checked_late",
    "checked_topics",
    "memory_bytes",
    "named_rules",
    "optional_span_ns",
    "rule_version",
]

Rule = Pattern | Window | Anomaly | Processor

_RULE = "a pattern, a window, an anomaly rule or a processor"

LATE = ("side_output", "drop", "error")

_SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([kmgt]?i?b)\s*", re.IGNORECASE)
_UNIT_BYTES = {
    "b": 1,
    **{unit + "b": 1000 ** (power + 1) for power, unit in enumerate("kmgt")},
    **{unit + "ib": 1024 ** (power + 1) for power, unit in enumerate("kmgt")},
}


def named_rules(rules: Any) -> list[Rule]:
    """Rules, each with a name: its own, that of the mapping, or, of the second in a list, ``rule-2``.

    Raises:
        TypeError: They are no rule, no rules, or named by something else than text.
        PatternError: A name is empty (code ``empty-name``).
    """
    if isinstance(rules, (*get_args(Rule), WindowBuilder, AnomalyBuilder)):
        rules = [rules]
    if isinstance(rules, Mapping):
        return [_named(checked_rule(rule), checked_name(name, "rule")) for name, rule in rules.items()]
    if isinstance(rules, (str, bytes)) or not isinstance(rules, Iterable):
        raise TypeError(_no_rule(rules, f"rules are {_RULE}, a list of them, or a mapping of names to them"))
    checked = [checked_rule(rule) for rule in rules]
    return [rule if rule.name else _named(rule, f"rule-{place}") for place, rule in enumerate(checked, 1)]


def _named(rule: Rule, name: str) -> Rule:
    return rule._named_once(name) if isinstance(rule, Pattern) else rule.named(name)


def checked_rule(rule: Any) -> Rule:
    """A pattern, a window with its frame, an anomaly rule with its method, or a processor."""
    if isinstance(rule, WindowBuilder):
        raise TypeError(f"a rule is {_RULE}; {NO_FRAME}")
    if isinstance(rule, AnomalyBuilder):
        raise TypeError(f"a rule is {_RULE}; {NO_METHOD}")
    if not isinstance(rule, Rule):
        raise TypeError(_no_rule(rule, f"a rule is {_RULE}"))
    return rule


def _no_rule(rule: Any, expected: str) -> str:
    hint = "; of SQL make one with pattern_from_sql()" if isinstance(rule, str) else ""
    return f"{expected}, not {type(rule).__name__}{hint}"


def optional_span_ns(value: Any, what: str) -> int | None:
    """A span in nanoseconds, or None."""
    return None if value is None else span_ns(value, what)


def checked_late(late: Any) -> str:
    """What is to become of late rows."""
    if not isinstance(late, str):
        raise TypeError(f"late is a string, not {type(late).__name__}")
    if late not in LATE:
        raise invalid_choice("late", late, list(LATE))
    return late


def checked_topics(topics: Any) -> list[str]:
    """Names of topics."""
    if isinstance(topics, (str, bytes)) or not isinstance(topics, Iterable):
        raise TypeError(f"topics is a list of names, not {type(topics).__name__}")
    return [checked_name(topic, "topic") for topic in topics]


def memory_bytes(value: Any) -> int | None:
    """A number of bytes, from itself or from text such as ``"64MB"`` (10^6) or ``"64MiB"`` (2^20).

    Raises:
        TypeError: It is neither, nor None.
        PatternError: The text spells no size, or it is not a size from 1 byte (code ``invalid-clause``).
    """
    if value is None:
        return None
    if isinstance(value, str):
        if len(value) > 100 or not (size := _SIZE.fullmatch(value)):
            raise PatternError(
                f'memory_limit: {value[:100]!r} is no size; write a number with a unit, such as "64MB" or "2GiB"',
                code="invalid-clause",
                context="memory_limit",
            )
        count = int(Decimal(size[1]) * _UNIT_BYTES[size[2].lower()])
    elif isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f'memory_limit is bytes, text such as "64MB", or None, not {type(value).__name__}')
    else:
        count = int(value.__index__())
    if not 1 <= count < 2**63:
        raise PatternError(
            f"memory_limit is a size from 1 byte, not {count}", code="invalid-clause", context="memory_limit"
        )
    return count


def checked_clock(clock: Callable[[], Any] | None) -> Callable[[], int]:
    """What tells the time on the wall, in nanoseconds."""
    if clock is None:
        return time.time_ns
    if not callable(clock):
        raise TypeError(f"clock is a function that gives a datetime, not {type(clock).__name__}")
    return lambda: time_ns(clock(), "the clock")


def rule_version(rule: Rule) -> str:
    """What tells a version of a rule: its fingerprint; of one that holds Python functions, what it says beside them.

    Args:
        rule: The rule, with its name.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.engine_options import rule_version
        >>> rule = cep.event("a", topic="t").named("r")
        >>> rule_version(rule) == rule.fingerprint
        True
    """
    if isinstance(rule, Processor):
        return f"processor {json.dumps([rule.topic, rule.emits])}"
    native, _ = rule._compiled_rule()
    return str(native.fingerprint())
