"""One event of a stream, as the functions of an aggregate are given it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, final

from cepheid.event_time import datetime_of

__all__ = ["StreamEvent"]


@final
class StreamEvent(Mapping[str, Any]):
    """One event of a stream: a mapping of its topic's columns to values, and what the store says of it.

    A value that is missing, or has been erased, is None.

    Example:
        >>> import cepheid as cep
        >>> orders = cep.Aggregate("order", initial=list)
        >>> @orders.on("order.*")
        ... def seen(state, event):
        ...     return [*state, (event.topic, event.version, event["amount"])]
        >>> with cep.EventStore() as store:
        ...     position = store.append("order.paid", [{"ts": 1, "amount": 9.5}], stream="order-7")
        ...     orders.load(store, 7).state
        [('order.paid', 1, 9.5)]
    """

    __slots__ = ("_columns", "position", "stream", "time_ns", "topic", "version")

    #: Its topic.
    topic: str
    #: The stream that it is of.
    stream: str
    #: How many events the stream has with it.
    version: int
    #: Its number among all events of the store.
    position: int
    #: When it happened, in nanoseconds since 1970; of a topic without event time, when it was recorded.
    time_ns: int

    _columns: Mapping[str, Any]

    def __init__(self) -> None:
        raise TypeError("events of a stream are what the functions of a cepheid.Aggregate are given")

    @classmethod
    def _of(cls, topic: str, stream: str, version: int, position: int, time_ns: int, columns: Any) -> StreamEvent:
        event = object.__new__(cls)
        event.topic = topic
        event.stream = stream
        event.version = version
        event.position = position
        event.time_ns = time_ns
        event._columns = columns
        return event

    @property
    def time(self) -> dt.datetime:
        """When it happened, in UTC; what is finer than a microsecond is cut off.

        Example:
            >>> import cepheid as cep
            >>> years = cep.Aggregate("order", initial=list)
            >>> @years.on("order.*")
            ... def seen(state, event):
            ...     return [*state, event.time.year]
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 0}], stream="order-7")
            ...     years.load(store, 7).state
            [1970]
        """
        moment = datetime_of(self.time_ns)
        assert moment is not None
        return moment

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"StreamEvent({self.topic!r}, {self.stream!r}, version={self.version}, {dict(self._columns)!r})"
