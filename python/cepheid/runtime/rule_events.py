"""Changes of rules as events: who changed what, when, and what it says now."""

from __future__ import annotations

import datetime as dt
from typing import Any

from cepheid.building import checked_name
from cepheid.engine_options import Rule, checked_rule, rule_version
from cepheid.names import invalid_choice
from cepheid.runtime.group_snapshot import rule_text

__all__ = ["RULE_CHANGES", "RULE_TOPIC", "rule_change_event", "rule_fingerprint", "rule_text"]

#: The topic of changes of rules.
RULE_TOPIC = "cepheid.rule"
#: What a change may be.
RULE_CHANGES = ("added", "replaced", "removed", "disabled", "enabled", "failed", "refused")

# So much of a text, and of a reason, is kept.
_TEXT_MAX = 1 << 20
_REASON_MAX = 4096


def rule_change_event(
    kind: str,
    name: str,
    fingerprint: str | None,
    text: str | None,
    author: str,
    time: dt.datetime,
    *,
    reason: str | None = None,
    column: str = "time",
) -> dict[str, Any]:
    """The event of the topic ``cepheid.rule`` that says how a rule was changed.

    `EventStore.note_rules` writes into the store's chain which versions are in force, as its report has them; this
    says what they say.

    Args:
        kind: ``"added"``, ``"replaced"``, ``"removed"``, ``"disabled"``, ``"enabled"``, ``"failed"`` or
            ``"refused"``.
        name: The rule.
        fingerprint: Its version now; None where it is removed or refused.
        text: What it says now, as JSON or SQL, see `rule_text`; None where it is removed or holds Python functions.
            More than 1 MiB is cut off.
        author: Who changed it.
        time: When, with its zone, or in UTC.
        reason: Why it was refused or changed, or how it failed; more than 4,096 characters are cut off.
        column: The column of the event time.

    Returns:
        The event, to be appended: its columns are the same for every kind.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: `kind` is none of these (code ``invalid-clause``), or a name is empty (code ``empty-name``).

    Example:
        >>> import datetime as dt
        >>> import cepheid as cep
        >>> from cepheid.runtime.rule_events import rule_change_event, rule_text
        >>> rule = cep.event("a", topic="txn").named("seen")
        >>> now = dt.datetime(2030, 1, 1, tzinfo=dt.timezone.utc)
        >>> event = rule_change_event("added", "seen", rule.fingerprint, rule_text(rule), "ada", now)
        >>> event["kind"], event["rule"], event["author"]
        ('added', 'seen', 'ada')
    """
    if not isinstance(kind, str):
        raise TypeError(f"kind is a string, not {type(kind).__name__}")
    if kind not in RULE_CHANGES:
        raise invalid_choice("kind", kind, list(RULE_CHANGES))
    for value, what in ((fingerprint, "fingerprint"), (text, "text"), (reason, "reason")):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{what} is a string or None, not {type(value).__name__}")
    if not isinstance(time, dt.datetime):
        raise TypeError(f"time is a datetime, not {type(time).__name__}")
    return {
        checked_name(column, "column"): time if time.tzinfo is not None else time.replace(tzinfo=dt.UTC),
        "subject": checked_name(name, "rule"),
        "kind": kind,
        "rule": name,
        "version": fingerprint,
        "text": None if text is None else text[:_TEXT_MAX],
        "author": checked_name(author, "author"),
        "reason": None if reason is None else reason[:_REASON_MAX],
    }


def rule_fingerprint(rule: Rule) -> str:
    """The version of a rule, as it is told of: its fingerprint, of one with Python functions what it says beside them.

    Args:
        rule: The rule, with its name.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.runtime.rule_events import rule_fingerprint
        >>> rule = cep.event("a", topic="txn").named("seen")
        >>> rule_fingerprint(rule) == rule.fingerprint
        True
    """
    return rule_version(checked_rule(rule))
