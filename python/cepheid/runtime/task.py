"""An event, or a run of them, that a handler or an action is to be given; and what has become of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from cepheid.runtime.follower import Follower

__all__ = ["Outcome", "Task"]


@dataclass(slots=True, eq=False)
class Task:
    """What a follower is to be given.

    Attributes:
        follower: Who is to be given it.
        topic: The topic of the events.
        first: The position of the first of them.
        last: The position of the last.
        events: The event as a dict, or, where whole batches are wanted, a table.
        event_id: The id of the event, of a batch of its first.
        correlation_id: The story that it is of.
        lane: What it must not overtake: tasks of one lane go one after the other.
        key: The key that `lane` was made of; None: it has none, and no other task waits for it.
        idempotency_key: What the attempts have in common.
        attempts: How many have been made.
        due: When the next may be made, in seconds of the app's clock.
        dead_letter: The name of the dead letter that is tried again; None: it is none.
        run: Which attempt is under way; answers to others come too late.
        started: When that began.
        given_up: Why it is given up: attempts are now those of taking back what was begun; None: it is not.
        undone: How many of those have been made.
        unfit: Why it cannot be given to anybody: its key cannot be made, for one; None: it can.
        let_go: Whether it is a dead letter that has been let go while it was tried again.
    """

    follower: Follower
    topic: str
    first: int
    last: int
    events: Any
    event_id: str
    correlation_id: str | None
    lane: str
    key: str | None
    idempotency_key: str
    attempts: int = 0
    due: float = 0.0
    dead_letter: str | None = None
    run: int = 0
    started: float = 0.0
    given_up: Exception | None = None
    undone: int = 0
    unfit: Exception | None = None
    let_go: bool = False

    @property
    def letter_name(self) -> str:
        """The name of its dead letter: in the order of positions."""
        return self.dead_letter or f"{self.first:020d}"


class Outcome(NamedTuple):
    """What has become of a task.

    Attributes:
        task: The task.
        what: ``done``; ``repeated``: its idempotency key had been dealt with before; ``dead``: given up; ``parked``:
            it waits behind one that was given up.
        code: Of one that was given up, a stable name for the reason.
        reason: The reason as a sentence.
    """

    task: Task
    what: Literal["done", "repeated", "dead", "parked"]
    code: str = ""
    reason: str = ""

    def letter(self) -> bytes:
        """What is kept of a task that was given up."""
        task = self.task
        return json.dumps(
            {
                "key": task.key,
                "topic": task.topic,
                "position": task.first,
                "last": task.last,
                "id": task.event_id,
                "attempts": task.attempts,
                "what": self.what,
                "code": self.code,
                "reason": self.reason,
            }
        ).encode()
