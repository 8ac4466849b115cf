"""Rules as text: JSON as `to_json` writes it, or SQL; never Python."""

from __future__ import annotations

import json

from cepheid.anomaly import Anomaly
from cepheid.errors import AppError
from cepheid.pattern import Pattern
from cepheid.sql import parse, pattern_from_sql, window_from_sql
from cepheid.window import Window

__all__ = ["RULE_KINDS", "TextRule", "checked_text", "rule_of_json", "rule_of_sql"]

TextRule = Pattern | Window | Anomaly

#: Rules that can be said by data, by what JSON calls them.
RULE_KINDS: dict[str, type[Pattern] | type[Window] | type[Anomaly]] = {
    "pattern": Pattern,
    "window": Window,
    "anomaly": Anomaly,
}


def rule_of_json(text: str, name: str) -> TextRule:
    """The rule that JSON says.

    Args:
        text: What `Pattern.to_json`, `Window.to_json` or `Anomaly.to_json` gave.
        name: The name of the rule. One that names itself has to have it.

    Raises:
        AppError: It says no rule, another name, or not which topics the rule reads (code ``rule-file``).
        CepheidError: It says an impossible rule.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.runtime.rule_text import rule_of_json
        >>> rule_of_json(cep.event("a", "amount > 500", topic="txn").to_json(), "large").name
        'large'
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AppError(f"rule `{name}` is no JSON: {error}", code="rule-file") from error
    kinds = [kind for kind in RULE_KINDS if isinstance(said, dict) and kind in said]
    if len(kinds) != 1:
        raise AppError(
            f"rule `{name}` is JSON of no rule: write what to_json() of a pattern, a window or an anomaly rule gives",
            code="rule-file",
        )
    return _named(RULE_KINDS[kinds[0]].from_json(text), name)


def rule_of_sql(text: str, name: str) -> TextRule:
    """The rule that a query says: a pattern or a window, of the topic that it selects from.

    Args:
        text: ``SELECT * FROM topic MATCH_RECOGNIZE (...)``, or what `cepheid.window_from_sql` takes. A topic with dots
            in its name stands in double quotes.
        name: The name of the rule.

    Raises:
        SqlError: It is no such query.
        CepheidError: It says an impossible rule.

    Example:
        >>> from cepheid.runtime.rule_text import rule_of_sql
        >>> text = 'SELECT * FROM "order.paid" MATCH_RECOGNIZE (ORDER BY time PATTERN (A) DEFINE A AS total > 500)'
        >>> rule = rule_of_sql(text, "large")
        >>> rule.name, rule._read_topics()
        ('large', ('order.paid',))
    """
    query = parse(text)
    if query.pattern() is None:
        return _named(Window.from_dict(_with_topic(window_from_sql(text), query.table)), name)
    pattern = pattern_from_sql(text)
    said = pattern.to_dict()
    # All its variables are of the one topic that is selected from.
    said["pattern"]["topics"] = [{"variable": variable, "topic": query.table} for variable in pattern.variables]
    return _named(Pattern.from_dict(said), name)


def _with_topic(window: Window, topic: str) -> dict[str, object]:
    said = window.to_dict()
    said["window"]["topic"] = topic
    return said


def _named(rule: TextRule, name: str) -> TextRule:
    if rule.name not in (None, name):
        raise AppError(
            f"rule `{name}` calls itself `{rule.name}`: leave that out, or name the file so", code="rule-file"
        )
    if None in rule._read_topics():
        raise AppError(f"rule `{name}` does not say which topics it reads: name one for each event", code="rule-file")
    return rule.named(name)


def checked_text(data: bytes, name: str) -> str:
    """Bytes of a file as text.

    Args:
        data: The bytes.
        name: The name of the rule.

    Raises:
        AppError: They are not UTF-8 (code ``rule-file``).
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AppError(f"rule `{name}` is not text in UTF-8", code="rule-file") from error
