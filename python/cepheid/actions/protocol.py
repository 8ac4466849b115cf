"""What an action is to an app, and what it is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

__all__ = ["Action", "ActionContext", "Memory"]


class Memory(Protocol):
    """What an action remembers of one event between attempts, on the disk: which steps it has done, for one.

    It is forgotten when the action has succeeded, or the event is discarded.
    """

    def get(self, name: str) -> bytes | None:
        """What is remembered under a name; None: nothing."""

    def put(self, name: str, value: bytes) -> None:
        """Remembers something. It is on the disk when the call returns."""


@final
@dataclass(frozen=True, slots=True)
class ActionContext:
    """What an action is told besides the event.

    Attributes:
        action: The name of the action.
        key: The idempotency key: the same for every attempt, after a crash too, and for no other event. Whoever is told
            twice can tell by it.
        attempt: Which attempt it is, from 1.
        topic: The topic of the event.
        position: Its position in the store.
        now: The app's time.
        timeout: Seconds that the attempt may take; None: as long as it takes.
        memory: What the action remembers of the event between attempts.
    """

    action: str
    key: str
    attempt: int
    topic: str
    position: int
    now: dt.datetime
    timeout: float | None
    memory: Memory


@runtime_checkable
class Action(Protocol):
    """Something that is done about an event.

    It may be a coroutine function. Whatever it raises is tried again, except an `cepheid.ActionError` that says that
    this has no use; one may also say how long to wait.
    """

    def __call__(self, event: Mapping[str, Any], context: ActionContext) -> Any:
        """Does it; the attempt has succeeded if it returns."""
