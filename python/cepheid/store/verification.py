"""What a store is, and what verifying it has shown."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import final

__all__ = ["StoreInfo", "TopicInfo", "Verification"]


@final
@dataclass(frozen=True, slots=True)
class Verification:
    """What verifying a store has shown: `EventStore.verify`. It is true if nothing is wrong.

    Attributes:
        entries: Entries of the chain whose hashes are right, from the first on.
        events: Events whose bytes are those that were appended.
        removed: Events that are kept no longer, which the chain says.
        segments: Archived files that are as they were written.
        signatures: The entry and the public key, in hexadecimal, of each signature that fits.
        position: The first bad position; None: nothing is wrong, or it is not known which events it concerns.
        entry: The first bad entry of the chain, or None.
        reason: What is wrong first of all, or None.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     position = store.append("txn", [{"ts": 1, "amount": 900}])
        ...     store.verify()
        Verification(1 entry, 1 event: all as written)
    """

    entries: int
    events: int
    removed: int = 0
    segments: int = 0
    signatures: tuple[tuple[int, str], ...] = ()
    position: int | None = None
    entry: int | None = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     store.verify().ok
            True
        """
        return self.reason is None

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        checked = f"{counted(self.entries, 'entry', 'entries')}, {counted(self.events, 'event', 'events')}"
        if self.reason is None:
            return f"Verification({checked}: all as written)"
        place = [f"entry {self.entry}"] if self.entry is not None else []
        place += [f"position {self.position}"] if self.position is not None else []
        return f"Verification({checked} as written; then {', '.join([*place, self.reason])})"


def counted(count: int, one: str, several: str) -> str:
    """A number and what it counts."""
    return f"{count:,} {one if count == 1 else several}"


@final
@dataclass(frozen=True, slots=True)
class TopicInfo:
    """A topic of a store.

    Attributes:
        name: Its name.
        events: Events that have been appended.
        removed: Of these the first so many are kept no longer.
        archived: Events in archived files.
        segments: Archived files.
        archived_bytes: Bytes of them.
        journal_bytes: Bytes of what is not archived.
        first_time: The least event time of what is kept, or None.
        last_time: The greatest, or None.
        keep_for: How long events are kept; None: for ever.
        keep_bytes: How many bytes are kept; None: all.
        keep_keys_for: How long idempotency keys are kept since they came; None: as long as their events.
        subject: The column that says what protected columns are about, or None.
        protected: The columns that are kept secret.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     position = store.append("txn", {"ts": [1, 2], "amount": [5, 900]})
        ...     topic = store.info().topics["txn"]
        ...     (topic.events, topic.archived, topic.last_time.isoformat())
        (2, 0, '1970-01-01T00:00:00+00:00')
    """

    name: str
    events: int
    removed: int
    archived: int
    segments: int
    archived_bytes: int
    journal_bytes: int
    first_time: dt.datetime | None = None
    last_time: dt.datetime | None = None
    keep_for: dt.timedelta | None = None
    keep_bytes: int | None = None
    subject: str | None = None
    protected: tuple[str, ...] = ()
    keep_keys_for: dt.timedelta | None = None


@final
@dataclass(frozen=True, slots=True)
class StoreInfo:
    """A store, by and large: `EventStore.info`.

    Attributes:
        events: Events that have been appended: the position of the next one.
        entries: Entries of the chain: batches, and changes to what is kept.
        chain: The chain's last hash, in hexadecimal: who has written it down elsewhere knows what the store was.
        event_time: The column of the event time.
        database_bytes: Bytes of the database; archived files are counted with their topics.
        topics: Topics by name, in the order in which they came.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     position = store.append("txn", {"ts": [1, 2], "amount": [5, 900]})
        ...     info = store.info()
        ...     (info.events, info.entries, info.event_time, list(info.topics))
        (2, 1, 'ts', ['txn'])
    """

    events: int
    entries: int
    chain: str
    event_time: str
    database_bytes: int
    topics: dict[str, TopicInfo] = field(default_factory=dict)
