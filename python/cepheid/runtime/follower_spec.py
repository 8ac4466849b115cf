"""What a handler or an action asks for: which events, how many at once, how often again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cepheid.errors import AppError
from cepheid.runtime.policy import CircuitBreaker, RateLimit, Retry
from cepheid.runtime.telling import told_of
from cepheid.store.rows import saved_name

__all__ = ["FollowerSpec", "event_key", "key_of", "memory_name", "once_name"]

Key = str | Callable[[Mapping[str, Any]], Any] | None


@dataclass(frozen=True, slots=True)
class FollowerSpec:
    """See `cepheid.App.on` and `cepheid.App.action`, whose arguments these are.

    Attributes:
        name: What its progress is saved under.
        topics: Topics, or patterns of them.
        where: A condition on events, or None.
        function: What is called.
        is_action: Whether it is an action, of which it is written down what it did.
        is_batch: Whether it is given whole tables.
        takes_context: Whether it is given an `ActionContext` too.
        priority: From 0 to 9.
        concurrency: How many calls may be under way at once.
        key: The column, or the function, that says what events keep their order with; None: nothing.
        retry: How often it is tried again.
        timeout_s: How long an attempt may take, in seconds; None: as long as it takes.
        rate: How often it may start, or None.
        breaker: What stops attempts that fail again and again, or None.
        idempotent_by: The column, or the function, whose value it happens once for; None: each event.
        events_ahead: How many events may have been read and not been dealt with.
        from_start: Whether it begins at the first event of the store when it is new, and not at the next.
    """

    name: str
    topics: tuple[str, ...]
    where: Any
    function: Any
    is_action: bool
    is_batch: bool
    takes_context: bool
    priority: int
    concurrency: int
    key: Key
    retry: Retry
    timeout_s: float | None
    rate: RateLimit | None
    breaker: CircuitBreaker | None
    idempotent_by: Key
    events_ahead: int
    from_start: bool


def key_of(key: Key, event: Mapping[str, Any], what: str) -> str | None:
    """The text of a key of an event; None: it has none.

    Raises:
        AppError: The event has no such column (code ``unknown-key``), or the function failed (code ``key-failed``).
    """
    if key is None:
        return None
    if callable(key):
        try:
            value = key(event)
            # The text of half a surrogate pair is none that can be saved.
            return None if value is None else str(value).encode(errors="backslashreplace").decode()
        except Exception as error:
            raise AppError(f"{what} failed: {told_of(error)}", code="key-failed") from error
    elif key in event:
        value = event[key]
    elif key == "partitionkey":
        return None
    else:
        raise AppError(
            f"{what} `{key}` is no column of the event, which has {', '.join(event)}",
            code="unknown-key",
            known=tuple(event),
        )
    return None if value is None else str(value)


# What a name in the store has at most, in bytes.
_NAME_BYTES_MAX = 255


def once_name(app: str, handler: str, value: str) -> str:
    """The idempotency key of a value: with the value in it, or, where the store takes no such name, with its hash."""
    name = f"{app}/{handler}/{value}"
    if len(name.encode()) <= _NAME_BYTES_MAX and name.isprintable():
        return name
    told = json.dumps([app, handler, value]).encode()
    return f"sha256/{hashlib.sha256(told).hexdigest()}"


def event_key(app: str, handler: str, source: object, event_id: str) -> str:
    """The idempotency key of an event. With its id in it; and with its source, unless that is the app itself.

    Its source and its id together tell an event from all others. Where the id alone could be taken for both, as there
    is a slash in it, both are there as well.
    """
    said = str(source or app)
    return once_name(
        app, handler, event_id if said == app and "/" not in event_id else f"{quote(said, ':')}/{event_id}"
    )


def memory_name(handler: str, position: int) -> str:
    """The name of what an action remembers of an event."""
    return saved_name("app/memory", handler, str(position))
