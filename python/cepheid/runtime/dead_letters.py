"""Events that a handler or an action has given up, until they are tried again or let go."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import final

__all__ = ["DeadLetter"]


@final
@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a handler or an action was given in vain, or that waits behind one.

    Attributes:
        handler: The name of the handler or the action.
        topic: The topic of the event.
        position: Its position in the store.
        id: Its id.
        key: The key that it keeps its order with; None: it has none.
        attempts: How many were made; 0 of one that waits behind another.
        parked: Whether it waits behind another of its key.
        code: A stable name for the reason.
        reason: The reason, as a sentence.

    Example:
        >>> import cepheid as cep
        >>> app = cep.App("shop")
        >>> @app.on("order.paid", key="order", retries=0)
        ... def unlucky(event):
        ...     raise OSError("no connection")
        >>> with app.test() as test:
        ...     _ = test.publish("order.paid", order=7)
        ...     _ = test.publish("order.paid", order=7)
        ...     [(letter.position, letter.parked) for letter in app.dead_letters()]
        [(0, False), (2, True)]
    """

    handler: str
    topic: str
    position: int
    id: str
    key: str | None
    attempts: int
    parked: bool
    code: str
    reason: str

    @classmethod
    def _read(cls, handler: str, payload: bytes) -> DeadLetter:
        letter = json.loads(payload)
        return cls(
            handler,
            letter["topic"],
            letter["position"],
            letter["id"],
            letter["key"],
            letter["attempts"],
            letter["what"] == "parked",
            letter["code"],
            letter["reason"],
        )
