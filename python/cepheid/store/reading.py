"""What a store is asked: events by what they say, histories of streams and stories, what is saved beside them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cepheid.building import checked_name
from cepheid.clauses import column_name
from cepheid.errors import StoreError
from cepheid.event_time import datetime_of, time_ns
from cepheid.options import checked_count, checked_flag
from cepheid.rule_data import row_condition
from cepheid.store.events import StoredEvents
from cepheid.store.handle import StoreHandle, checked_topics, optional_name
from cepheid.store.verification import StoreInfo, TopicInfo

if TYPE_CHECKING:
    from cepheid._native import StoredEvents as NativeEvents

__all__ = ["StoreReading"]

#: A moment: a datetime (a naive one is UTC), a NumPy datetime64, or nanoseconds since 1970.
Moment = Any


class StoreReading(StoreHandle):
    """The reading half of an `EventStore`."""

    __slots__ = ()

    def read(
        self,
        topics: str | Iterable[str] = (),
        *,
        where: Any = None,
        columns: Iterable[Any] | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        from_: Any = None,
        to: Any = None,
        stream: str | None = None,
        metadata: bool = False,
        limit: int | None = None,
    ) -> StoredEvents:
        """Events in the order in which they were appended, of one topic or of many.

        All that is said has to hold of them. What cannot be asked for is not read: batches and pages are passed over by
        the times and values that they have, and columns that nobody wants are left where they are.

        Args:
            topics: Names, or patterns of names: ``*`` is any one part between dots, ``>`` at the end one or more. None
                given: all.
            where: A condition: an expression, or SQL text. A column that a topic does not have is NULL. It may read the
                store's own columns.
            columns: Those that are wanted, in this order. None: all.
            since: Event times from this one on; of topics without event time, the times of recording.
            until: Event times before this one.
            from_: Positions from this one on: a number, or a `Position`.
            to: Positions before this one.
            stream: The stream that they are of.
            metadata: Whether the store's own columns stand in front: ``_position`` (the event's number in the store),
                ``_topic``, ``_row`` (its number in the topic), ``_stream``, ``_version`` (how many events the stream
                has with it) and ``_recorded`` (when it was appended).
            limit: So many at most, the first.

        Returns:
            The events as the store is now, read when they are wanted. Of several topics, or several versions of one,
            they have all columns, NULL where a topic has none; types that differ become one that holds both.

        Raises:
            TypeError: An argument is of the wrong type.
            StoreError: No topic has a name, or no column (code ``unknown-in-store``); a name that is none (code
                ``invalid-name``); what is on the disk is damaged (code ``store-corrupt``).
            SchemaError: A column has types, in one topic and another, that do not meet (code ``schema-conflict``), or
                the condition cannot be asked of the columns.
            PatternError: The condition is more than one on a row, or a time is none.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
            ...     position = store.append("order.paid", {"ts": [5], "order": [7], "amount": [9.5]})
            ...     store.read("order.*", where=cep.col.order == 7).to_arrow().to_pylist()
            [{'ts': 1, 'order': 7, 'amount': None}, {'ts': 5, 'order': 7, 'amount': 9.5}]
        """
        condition = None if where is None else json.dumps(row_condition(where, "the condition of a read"))
        return StoredEvents._of(
            self._view.read(
                checked_topics(topics),
                stream=optional_name(stream, "stream"),
                positions=(_position(from_, "from_"), _position(to, "to")),
                rows=(None, None),
                times=(
                    None if since is None else time_ns(since, "since"),
                    None if until is None else time_ns(until, "until"),
                ),
                condition=condition,
                columns=None if columns is None else [column_name(column)["name"] for column in columns],
                metadata=checked_flag(metadata, "metadata"),
                limit=None if limit is None else _limit(limit),
                missing=False,
            )
        )

    def get(self, id: str) -> dict[str, Any] | None:
        """The event of an id; None: there is none.

        An id is what a topic's column ``id`` says. Events of topics without one are ``topic#row``, as engines call
        them.

        Args:
            id: The id.

        Raises:
            TypeError: It is no string.
            StoreError: What is on the disk is damaged.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
            ...     (store.get("order.created#1"), store.get("order.created#5"))
            ({'ts': 2, 'order': 8}, None)
        """
        checked_name(id, "id")
        topic, _, row = id.rpartition("#")
        known = self._view.topics()
        is_row = row.isdecimal() and row.isascii() and len(row) < 19
        if topic in known and is_row and "id" not in self.read(topic).schema.names:
            return next(iter(StoredEvents._of(self._rows_of(topic, int(row), int(row) + 1))), None)
        with_ids = [name for name in known if "id" in self.read(name).schema.names]
        for name in with_ids:
            for event in self.read(name, where=_equals_text("id", id), limit=1):
                return event
        return None

    def trace(self, correlation_id: str) -> StoredEvents:
        """All events of one story, in the order in which they were appended.

        Those whose ``correlationid`` it is, and the one that began it, whose ``id`` it is.

        Args:
            correlation_id: What the story is called: the column ``correlationid``, which engines with ``ids=True`` fill
                in.

        Returns:
            The events, with the store's own columns in front. Topics without ``correlationid`` and ``id`` have no part
            in it, unless the story begins with one of their events.

        Raises:
            TypeError: It is no string.
            SchemaError: Columns of the topics have types that do not meet (code ``schema-conflict``).

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", [{"ts": 1, "id": "t1"}, {"ts": 2, "id": "t2"}])
            ...     position = store.append("alert", [{"ts": 2, "id": "a", "correlationid": "t1", "causationid": "t1"}])
            ...     store.trace("t1").to_arrow()["_topic"].to_pylist()
            ['txn', 'alert']
        """
        checked_name(correlation_id, "correlation_id")
        text = correlation_id
        known = self._view.topics()
        names = {name: self.read(name).schema.names for name in known}
        told = [name for name, columns in names.items() if "correlationid" in columns or "id" in columns]
        topic, _, row = text.rpartition("#")
        parts: list[Any] = []
        if any("correlationid" in names[name] for name in told):
            parts.append(_equals_text("correlationid", text))
        if any("id" in names[name] for name in told):
            parts.append(_equals_text("id", text))
        if topic in known and topic not in told and row.isdecimal() and row.isascii() and len(row) < 19:
            told.append(topic)
            parts.append((_column("_topic") == topic) & (_column("_row") == int(row)))
        if not parts:
            # Nobody has such columns: no event is of any story.
            return self.read(limit=0, metadata=True)
        condition = parts[0]
        for part in parts[1:]:
            condition = condition | part
        return self.read(told, where=condition, metadata=True)

    def streams(self, prefix: str = "") -> dict[str, int]:
        """Streams, and how many events each has, by name; those whose names begin with a text.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 1}], stream="order-7")
            ...     store.streams("order-")
            {'order-7': 1}
        """
        return dict(self._view.streams(prefix))

    def version(self, stream: str) -> int:
        """How many events a stream has: what `append` expects as ``expected_version``. 0 of one that there is not.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 1}], stream="order-7")
            ...     (store.version("order-7"), store.version("order-8"))
            (1, 0)
        """
        return self._view.stream_version(checked_name(stream, "stream"))

    @property
    def end(self) -> int:
        """The position after the last event: how many have been appended.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2]})
            ...     store.end
            2
        """
        return self._view.next_position()

    def info(self) -> StoreInfo:
        """What there is: topics, events, bytes.

        Raises:
            SchemaError: A topic's batches have columns whose types do not meet (code ``schema-conflict``).

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
            ...     (store.info().events, store.info().topics["order.created"].events)
            (2, 2)
        """
        events, entries, size, event_time, chain, topics = self._view.info()
        by_name = {}
        for (name, appended, removed, archived, segments, archive, journal), times, (
            age,
            most,
            keys,
        ), protected in topics:
            first, last = times or (None, None)
            subject, secret = protected or (None, [])
            by_name[name] = TopicInfo(
                name,
                events=appended,
                removed=removed,
                archived=archived,
                segments=segments,
                archived_bytes=archive,
                journal_bytes=journal,
                first_time=datetime_of(first),
                last_time=datetime_of(last),
                keep_for=None if age is None else dt.timedelta(microseconds=age // 1000),
                keep_bytes=most,
                keep_keys_for=None if keys is None else dt.timedelta(microseconds=keys // 1000),
                subject=subject,
                protected=tuple(secret),
            )
        return StoreInfo(events, entries, bytes(chain).hex(), event_time, size, by_name)

    def load(self, name: str) -> bytes | None:
        """The state that was saved under a name; None: there is none.

        Raises:
            StoreError: It is not what was saved (code ``store-corrupt``).

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     store.save("engine", b"state")
            ...     store.load("engine")
            b'state'
        """
        return self._view.value("state", checked_name(name, "state"))

    def saved(self) -> list[str]:
        """Names under which states are saved.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     store.save("engine", b"state")
            ...     store.saved()
            ['engine']
        """
        return self._view.names("state")

    def offset(self, source: str) -> bytes | None:
        """How far a source has been read, as `Transaction.save_offset` has it; None: not at all.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     store.offset("payments.jsonl") is None
            True
        """
        return self._view.value("offset", checked_name(source, "source"))

    def waiting(self, queue: str, limit: int | None = None) -> list[tuple[str, bytes]]:
        """What waits in a queue to be done, in the order in which it was put there: keys and payloads.

        Args:
            queue: Its name.
            limit: So many at most. None: all.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     with store.transaction() as changes:
            ...         changes.put("notify", "alert-1", b"a large payment")
            ...     store.waiting("notify", limit=10)
            [('alert-1', b'a large payment')]
        """
        return self._view.waiting(checked_name(queue, "queue"), 2**63 - 1 if limit is None else _limit(limit))

    def _following(self, topics: list[str], condition: str | None, position: int) -> NativeEvents:
        """What a subscription reads next: a topic that it names may not be there yet."""
        return self._view.read(
            topics,
            stream=None,
            positions=(position, None),
            rows=(None, None),
            times=(None, None),
            condition=condition,
            columns=None,
            metadata=True,
            limit=None,
            missing=True,
        )

    def _rows_of(self, topic: str, first: int, end: int) -> NativeEvents:
        """Rows of a topic by their numbers."""
        return self._view.read(
            [topic],
            stream=None,
            positions=(None, None),
            rows=(first, end),
            times=(None, None),
            condition=None,
            columns=None,
            metadata=False,
            limit=None,
            missing=False,
        )


def _position(value: Any, what: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is a position: a number, or what append() returned, not {type(value).__name__}")
    position = int(value.__index__())
    if position < 0:
        raise StoreError(f"{what} is a position, from 0 on, not {position}", code="store-option")
    # There are no more positions than that.
    return min(position, 2**63 - 1)


def _limit(value: Any) -> int:
    if value == 0 and not isinstance(value, bool):
        return 0
    count = checked_count(value, "limit")
    assert count is not None
    return count


def _column(name: str) -> Any:
    from cepheid.columns import col

    return col(name)


def _equals_text(name: str, text: str) -> Any:
    return _column(name) == text
