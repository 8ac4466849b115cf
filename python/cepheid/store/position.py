"""Where appended events are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["Position"]


@final
@dataclass(frozen=True, slots=True)
class Position:
    """Where appended events are. As an integer it is the position of the first of them: what `EventStore.read` takes.

    Attributes:
        topic: The topic.
        first: The position of the first of them: its number among all events of the store, from 0.
        events: How many they are. They stand next to each other.
        row: The number of the first of them among those of its topic, from 0.
        version: How many events their stream has with them; None: they are of none.
        repeated: Whether they were there before: their idempotency key is known, and nothing has been appended.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     store.append("order.created", [{"ts": 1, "order": 7}])
        ...     position = store.append("order.paid", [{"ts": 2, "order": 7}, {"ts": 3, "order": 8}])
        ...     (position.first, position.end, position.row)
        Position(topic='order.created', first=0, events=1, row=0, version=None, repeated=False)
        (1, 3, 0)
    """

    topic: str
    first: int
    events: int
    row: int
    version: int | None = None
    repeated: bool = False

    @property
    def end(self) -> int:
        """The position after the last of them.

        Example:
            >>> from cepheid import Position
            >>> Position("order.paid", first=4, events=3, row=0).end
            7
        """
        return self.first + self.events

    def __int__(self) -> int:
        return self.first

    def __index__(self) -> int:
        return self.first
