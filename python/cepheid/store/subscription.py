"""Following a store: what is there, and then what comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid._native import StoredReader
    from cepheid.store.event_store import EventStore

__all__ = ["Subscription"]

# How long is waited before the store is looked at again: another process may append to it. A store's own appends wake
# whoever waits.
_LOOK_AGAIN_S = 0.05


@final
class Subscription:
    """Events of a store in the order of their positions: first what is there, then what comes.

    How far it has been dealt with is saved under its name by `acknowledge`; a subscription of that name goes on from
    there, in another process too. What was given and not acknowledged before a crash is given again.

    Made by `EventStore.subscribe`.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     position = store.append("order.created", [{"ts": 1, "order": 7}])
        ...     subscription = store.subscribe("mailer", "order.*")
        ...     found = subscription.next()
        ...     subscription.acknowledge()
        ...     position = store.append("order.paid", [{"ts": 2, "order": 7}])
        ...     (found["_topic"].to_pylist(), subscription.next()["_topic"].to_pylist(), subscription.next())
        (['order.created'], ['order.paid'], None)
    """

    __slots__ = ("_query", "_reader", "_reader_end", "_store", "name", "position")

    #: The name under which it is saved how far it has been dealt with.
    name: str
    #: The position after what has been given.
    position: int

    _store: EventStore
    _query: dict[str, object]
    _reader: StoredReader | None
    _reader_end: int

    def __init__(self) -> None:
        raise TypeError("a subscription is what EventStore.subscribe() returns")

    @classmethod
    def _of(cls, store: EventStore, name: str, query: dict[str, object], position: int) -> Subscription:
        subscription = object.__new__(cls)
        subscription._store = store
        subscription._query = query
        subscription._reader = None
        subscription._reader_end = 0
        subscription.name = name
        subscription.position = position
        return subscription

    def next(self, timeout: float | None = 0) -> pa.Table | None:
        """The next events, with the store's own columns in front: some thousands at a time while there are so many.

        Args:
            timeout: How long to wait for one if there is none, in seconds; None: until there is one.

        Returns:
            The events, in the order of positions; None: there is none yet.

        Raises:
            StoreError: The store has been closed, or is damaged.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     store.subscribe("mailer").next(timeout=0.01) is None
            True
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            if (found := self._read()) is not None:
                return found
            left = _LOOK_AGAIN_S if deadline is None else min(_LOOK_AGAIN_S, deadline - time.monotonic())
            if left <= 0:
                return None
            self._store._wait_for_appends(self._reader_end, left)

    def _read(self) -> pa.Table | None:
        import pyarrow as pa

        while True:
            if self._reader is None:
                if self._store._view.next_position() <= self.position:
                    self._reader_end = self.position
                    return None
                events = self._store.read(**self._query, from_=self.position, metadata=True)  # type: ignore[arg-type]
                self._reader = events._native.reader([])
                self._reader_end = events._native.end() or 0
            batch = self._reader.next_batch()
            if batch is not None:
                table: pa.Table = pa.table(batch)
                self.position = table["_position"][-1].as_py() + 1
                return table
            # Nothing more that was asked for, up to where the store ended when it was asked.
            self._reader = None
            self.position = max(self.position, self._reader_end)

    def acknowledge(self) -> None:
        """Saves that all that has been given has been dealt with. `Transaction.acknowledge` does it with other changes.

        Raises:
            StoreError: The store cannot be written, or is open to be read only.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", [{"ts": 1, "amount": 900}])
            ...     subscription = store.subscribe("large", "txn")
            ...     found = subscription.next()
            ...     subscription.acknowledge()
            ...     store.subscribe("large", "txn").position
            1
        """
        with self._store.transaction() as changes:
            changes.acknowledge(self)

    def _cursor(self) -> tuple[str, bytes]:
        return self.name, str(self.position).encode()

    def __repr__(self) -> str:
        return f"Subscription({self.name!r}, position={self.position})"
