"""Topics of an app's own: what it refused, what it gave up, what it did, how its clock and its rules moved."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cepheid.errors import AppError
from cepheid.runtime.follower_rows import events_of
from cepheid.runtime.inbox import Rejection
from cepheid.runtime.rule_events import RULE_TOPIC
from cepheid.runtime.telling import storable
from cepheid.schema.envelope import topic_fault

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.engine_options import Rule

__all__ = [
    "ACTION",
    "CLOCK",
    "DEAD_LETTER",
    "OWN_PREFIX",
    "REJECTED",
    "RULE",
    "action_rows",
    "check_rule_topics",
    "clock_rows",
    "dead_letter_rows",
    "rejected_rows",
    "rule_rows",
]

#: What the names of an app's own topics begin with; patterns of handlers name them only if they begin with it too.
OWN_PREFIX = "cepheid."
#: What came and could not become an event, or could not be taken by a rule.
REJECTED = "cepheid.rejected"
#: Events that a handler or an action has given up, or that wait behind one.
DEAD_LETTER = "cepheid.deadletter"
#: What actions have done.
ACTION = "cepheid.action"
#: Where the watermark was moved to while nothing came.
CLOCK = "cepheid.clock"
#: Rules that were added, replaced, removed, that failed.
RULE = RULE_TOPIC

_TEXT = "string"
_COLUMNS: dict[str, dict[str, str]] = {
    REJECTED: {"topic": _TEXT, "code": _TEXT, "reason": _TEXT, "payload": "binary"},
    DEAD_LETTER: {
        "handler": _TEXT,
        "topic": _TEXT,
        "position": "int64",
        "key": _TEXT,
        "attempts": "int32",
        "code": _TEXT,
        "reason": _TEXT,
    },
    ACTION: {"action": _TEXT, "key": _TEXT, "outcome": _TEXT, "attempts": "int32", "topic": _TEXT, "position": "int64"},
    CLOCK: {},
    RULE: {
        "subject": _TEXT,
        "kind": _TEXT,
        "rule": _TEXT,
        "version": _TEXT,
        "text": _TEXT,
        "author": _TEXT,
        "reason": _TEXT,
    },
}


def check_rule_topics(rule: Rule) -> None:
    """Checks that what a rule reads and derives is none of an app's own, and that what it derives can be stored.

    Otherwise an app would take it for what it has written itself, and every event that the rule matches for one that
    cannot be stored.

    Args:
        rule: The rule, with its name.

    Raises:
        AppError: It is so (code ``rule-topic``).
    """
    assert rule.name is not None
    for topic in rule._read_topics():
        if topic is not None and topic.startswith(OWN_PREFIX):
            raise AppError(
                f"rule `{rule.name}` reads `{topic}`; what an app says of itself goes to handlers, not to rules",
                code="rule-topic",
            )
    for topic in sorted(rule._derived_topics(rule.name)):
        why = "names that begin so are of the app's own topics" if topic.startswith(OWN_PREFIX) else topic_fault(topic)
        if why is not None:
            raise AppError(
                f"a rule cannot derive {topic[:80]!r}: {why}; give the rule another name, or say emit(...)",
                code="rule-topic",
            )


def _rows(
    topic: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    source: str,
    now: dt.datetime,
    new_id: Callable[[], str],
) -> pa.Table:
    """Rows with the envelope: what a row does not say of it is filled in."""
    import pyarrow as pa

    envelope = {
        "id": pa.string(),
        "type": pa.string(),
        "source": pa.string(),
        "time": pa.timestamp("us", "UTC"),
        "correlationid": pa.string(),
        "causationid": pa.string(),
    }
    own = {name: getattr(pa, kind)() for name, kind in _COLUMNS[topic].items()}
    made = []
    for row in rows:
        row_id = new_id()
        common = {"id": row_id, "type": topic, "source": source, "time": now, "correlationid": row_id}
        made.append({**common, **{name: _told(value) for name, value in row.items() if value is not None}})
    return pa.Table.from_pylist(made, pa.schema({**envelope, **own}))


# Of an event that is refused so much at most is kept as text.
_PAYLOAD_BYTES_MAX = 65_536


def rejections(topic: str, rows: pa.Table, source: str, code: str, reason: str) -> list[Rejection]:
    """Rows that are refused, each as text, for people to read: what they were, if they were no text before.

    Args:
        topic: Their topic.
        rows: The rows.
        source: Where they come from.
        code: A stable name for the reason.
        reason: The reason.
    """
    told = (json.dumps(event, default=str, ensure_ascii=False) for event, _ in events_of(rows))
    payloads = (text.encode(errors="replace")[:_PAYLOAD_BYTES_MAX] for text in told)
    return [Rejection(payload, reason, code, topic, source) for payload in payloads]


def _told(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value


def rejected_rows(
    rejected: Iterable[Rejection], *, now: dt.datetime, new_id: Callable[[], str], source: str
) -> pa.Table:
    """What could not become an event."""
    rows = (
        {
            "source": one.source or source,
            "topic": one.topic,
            "code": one.code,
            "reason": one.reason,
            "payload": one.payload,
        }
        for one in rejected
    )
    return _rows(REJECTED, rows, source=source, now=now, new_id=new_id)


def dead_letter_rows(
    rows: Iterable[Mapping[str, Any]], *, now: dt.datetime, new_id: Callable[[], str], source: str
) -> pa.Table:
    """Events that were given up."""
    return _rows(DEAD_LETTER, rows, source=source, now=now, new_id=new_id)


def action_rows(
    rows: Iterable[Mapping[str, Any]], *, now: dt.datetime, new_id: Callable[[], str], source: str
) -> pa.Table:
    """What was done."""
    return _rows(ACTION, rows, source=source, now=now, new_id=new_id)


def clock_rows(watermark: dt.datetime, *, new_id: Callable[[], str], source: str) -> pa.Table:
    """Where the watermark was moved to."""
    return _rows(CLOCK, [{}], source=source, now=watermark, new_id=new_id)


def rule_rows(
    rows: Iterable[Mapping[str, Any]], *, now: dt.datetime, new_id: Callable[[], str], source: str
) -> pa.Table:
    """Rules that were changed."""
    return _rows(RULE, rows, source=source, now=now, new_id=new_id)
