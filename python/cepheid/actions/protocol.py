"""What an action is to an app, and what it is told."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

__all__ = ["Action", "ActionContext", "GivesUp", "Memory", "is_coroutine_action"]


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


@runtime_checkable
class GivesUp(Protocol):
    """An action that has something left to do when the app gives up on an event: taking back what it has begun.

    The app calls `give_up` before an event becomes a dead letter: when an attempt has failed for good, and when no
    attempts are left. It is optional; an action without it has nothing to take back.
    """

    def give_up(self, event: Mapping[str, Any], context: ActionContext, error: Exception) -> Any:
        """Takes back what has been begun. It may be a coroutine function, if the action is one.

        It can be called more than once for an event, after a crash for one, and is to do what is left then. What it
        raises is as with the action itself: tried again, unless it is an `cepheid.ActionError` that says that this has
        no use; the event then becomes a dead letter with that error instead of the other.

        Args:
            event: The event, by column.
            context: That of the last attempt: the same key, the same memory.
            error: Why the app gives up.
        """


def is_coroutine_action(action: Any) -> bool:
    """Whether calls of an action are to be awaited: it says so (``is_coroutine``), or is a coroutine function.

    Args:
        action: The action, or any function.

    Returns:
        Whether it is.

    Example:
        >>> from cepheid.actions import is_coroutine_action
        >>> async def later(event, context):
        ...     pass
        >>> is_coroutine_action(later), is_coroutine_action(print)
        (True, False)
    """
    said = getattr(action, "is_coroutine", None)
    if isinstance(said, bool):
        return said
    while isinstance(action, functools.partial):
        action = action.func
    called = action if inspect.isroutine(action) or not callable(action) else type(action).__call__
    return inspect.iscoroutinefunction(called)
