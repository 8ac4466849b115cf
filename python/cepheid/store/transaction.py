"""Several changes to a store that are made together, or not at all."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, final

from cepheid.building import checked_name
from cepheid.store.handle import checked_version, optional_name
from cepheid.store.position import Position

if TYPE_CHECKING:
    from cepheid.store.event_store import EventStore
    from cepheid.store.subscription import Subscription

__all__ = ["Transaction"]


@final
class Transaction:
    """Changes to a store that are made together, or not at all: appends, and what a program saves with them.

    After a crash a program goes on from one and the same moment in all of them: the rows that it took in, how far it
    has read its source, the state of its engine, what that derived, and what is still to be done about it.

    As a context manager it is committed at the end, and left alone if that is not reached.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     with store.transaction() as changes:
        ...         changes.append("txn", [{"ts": 1, "amount": 900}])
        ...         changes.save_offset("payments.jsonl", b"line 17")
        ...         changes.put("notify", "alert-1", b"a large payment")
        ...     (store.offset("payments.jsonl"), store.waiting("notify"))
        (b'line 17', [('alert-1', b'a large payment')])
    """

    __slots__ = ("_appends", "_changes", "_is_claimed", "_store", "positions")

    _store: EventStore
    # Whether topics that somebody has for himself are refused.
    _is_claimed: bool
    _changes: list[tuple[Any, ...]]
    # Topics of appends, in their order.
    _appends: list[str]
    #: Where its appends are, in their order, once it is committed.
    positions: tuple[Position, ...]

    def __init__(self) -> None:
        raise TypeError("a transaction begins with EventStore.transaction()")

    @classmethod
    def _of(cls, store: EventStore, *, claimed: bool = True) -> Transaction:
        transaction = object.__new__(cls)
        transaction._store = store
        transaction._is_claimed = claimed
        transaction._changes = []
        transaction._appends = []
        transaction.positions = ()
        return transaction

    def append(
        self,
        topic: str,
        batch: Any,
        *,
        stream: str | None = None,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Appends rows, as `EventStore.append` does.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     with store.transaction() as changes:
            ...         changes.append("order.created", [{"ts": 1, "order": 7}])
            ...         changes.append("order.paid", [{"ts": 1, "order": 7}])
            ...     [position.first for position in changes.positions]
            [0, 1]
        """
        checked_name(topic, "topic")
        if self._is_claimed:
            self._store._check_unclaimed(topic)
        table = self._store._columns.table(batch, topic)
        stream = optional_name(stream, "stream")
        key = optional_name(idempotency_key, "idempotency_key")
        self._changes.append((topic, table, stream, checked_version(expected_version), key))
        self._appends.append(topic)

    def save(self, name: str, value: bytes) -> None:
        """Saves a state, an engine's snapshot for one, in the place of what was under this name.

        Example:
            >>> import cepheid as cep
            >>> engine = cep.Engine(cep.event("login", topic="auth").named("seen"))
            >>> with cep.EventStore() as store:
            ...     with store.transaction() as changes:
            ...         changes.save("engine", engine.snapshot())
            ...     len(store.load("engine")) > 0
            True
        """
        self._save("state", name, value)

    def save_offset(self, source: str, value: bytes) -> None:
        """Saves how far a source has been read.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     with store.transaction() as changes:
            ...         changes.save_offset("payments.jsonl", b"17")
            ...     store.offset("payments.jsonl")
            b'17'
        """
        self._save("offset", source, value)

    def forget(self, name: str) -> None:
        """Removes the state that is saved under a name.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     with store.transaction() as changes:
            ...         changes.forget("engine")
            ...     store.load("engine")
        """
        self._changes.append(("forget", "state", checked_name(name, "state"), None))

    def put(self, queue: str, key: str, payload: bytes) -> None:
        """Puts something to be done into a queue. If one with this key waits there, it stays as it is.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     with store.transaction() as changes:
            ...         changes.put("notify", "alert-1", b"a large payment")
            ...     store.waiting("notify")
            [('alert-1', b'a large payment')]
        """
        self._changes.append(("put", checked_name(queue, "queue"), checked_name(key, "key"), _checked_bytes(payload)))

    def done(self, queue: str, key: str) -> None:
        """Takes what is done out of a queue.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     with store.transaction() as changes:
            ...         changes.put("notify", "alert-1", b"a large payment")
            ...     with store.transaction() as changes:
            ...         changes.done("notify", "alert-1")
            ...     store.waiting("notify")
            []
        """
        self._changes.append(("done", checked_name(queue, "queue"), checked_name(key, "key"), None))

    def acknowledge(self, subscription: Subscription) -> None:
        """Saves that all that a subscription has given has been dealt with: by the changes of this transaction.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", [{"ts": 1, "amount": 900}])
            ...     subscription = store.subscribe("large", "txn")
            ...     found = subscription.next()
            ...     with store.transaction() as changes:
            ...         changes.append("alert", [{"ts": 1, "text": "a large payment"}])
            ...         changes.acknowledge(subscription)
            ...     store.subscribe("large", "txn").next() is None
            True
        """
        from cepheid.store.subscription import Subscription

        if not isinstance(subscription, Subscription):
            raise TypeError(f"what is acknowledged is a Subscription, not {type(subscription).__name__}")
        self._save("cursor", *subscription._cursor())

    def _save(self, kind: str, name: str, value: bytes) -> None:
        self._changes.append(("save", kind, checked_name(name, kind), _checked_bytes(value)))

    def commit(self) -> tuple[Position, ...]:
        """Makes the changes; gives where the appends are, in their order. It begins anew with none.

        Raises:
            VersionConflictError: A stream has other events than expected. Nothing has been changed.
            StoreError: The store cannot be written. Nothing has been changed, unless the disk failed: the error's code
                is ``disk``, and the store has to be opened again to see.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     changes = store.transaction()
            ...     changes.append("order.created", [{"ts": 1, "order": 7}])
            ...     [position.first for position in changes.commit()]
            [0]
        """
        try:
            made = self._store._commit(self._changes)
        except BaseException:
            self._store._columns.forget()
            raise
        named = zip(self._appends, made, strict=True)
        self.positions = tuple(Position(topic, *position) for topic, position in named)
        self._changes, self._appends = [], []
        if made:
            self._store._announce(self.positions)
        return self.positions

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()


def _checked_bytes(value: Any) -> bytes:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"what is saved is bytes, not {type(value).__name__}")
    return bytes(value)
