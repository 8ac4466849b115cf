"""What becomes of a store's events in time: archived, removed, kept secret, erased."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from cepheid.building import checked_name
from cepheid.engine_options import memory_bytes
from cepheid.errors import StoreError
from cepheid.event_time import span_ns
from cepheid.options import checked_count
from cepheid.store.handle import StoreHandle, checked_topics

__all__ = ["StoreKeeping"]


class StoreKeeping(StoreHandle):
    """The keeping half of an `EventStore`."""

    __slots__ = ()

    def seal(self, topics: str | Iterable[str] = (), *, min_events: int = 1) -> int:
        """Archives what is in the journal: into Parquet files that DuckDB and Polars read as they are.

        They stand in the folder ``<store>-archive``, one folder a topic, the store's own columns in front. Appends go
        on meanwhile. After a crash in the middle everything is where it was.

        Args:
            topics: Names or patterns; none given: all.
            min_events: Topics with fewer events in the journal are left alone.

        Returns:
            How many events were archived.

        Raises:
            StoreError: A column has a type that Parquet does not have (code ``unarchivable``); the disk is full or
                fails.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", {"ts": [1, 2], "amount": [5, 6]})
            ...     (store.seal(), store.read("txn").count(), store.info().topics["txn"].segments)
            (2, 2, 1)
        """
        least = checked_count(min_events, "min_events")
        assert least is not None
        _, events, _ = self._log("archive events").seal(checked_topics(topics), least)
        return events

    def compact(self, topics: str | Iterable[str] = ()) -> int:
        """Puts small archived files that follow each other together; gives how many events were written anew.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     for day in (1, 2):
            ...         position = store.append("txn", {"ts": [day], "amount": [5]})
            ...         sealed = store.seal()
            ...     (store.compact(), store.info().topics["txn"].segments)
            (2, 1)
        """
        _, events, _ = self._log("archive events").compact(checked_topics(topics))
        return events

    def keep(
        self,
        topic: str,
        *,
        for_: str | dt.timedelta | None = None,
        bytes: int | str | None = None,
        keys_for: str | dt.timedelta | None = None,
    ) -> None:
        """Says how long, and how much of, a topic is to be kept. `retain` removes what is beyond it.

        Args:
            topic: Its name.
            for_: Since an event's time (or its recording, if it has none); None: for ever.
            bytes: Bytes on the disk, as a number or as text such as ``"10GB"``; None: all.
            keys_for: How long idempotency keys are known, since they came by the store's clock, whether or not their
                events are still kept; None: as long as their events. A batch that comes again with a key that is known
                no longer is appended again.

        Raises:
            PatternError: It spells no span, or no size.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     store.keep("txn", for_="90d", bytes="10GB")
            ...     store.info().topics["txn"].keep_for.days
            90
        """
        age = None if for_ is None else span_ns(for_, "for_")
        keys = None if keys_for is None else span_ns(keys_for, "keys_for")
        self._log("say what is kept").keep(checked_name(topic, "topic"), age, memory_bytes(bytes), keys)

    def retain(self, topics: str | Iterable[str] = ()) -> int:
        """Removes what topics no longer keep, the oldest first, in whole batches and files: what is younger stays.

        Idempotency keys that are kept no longer go, too.

        The chain of hashes goes on to say that they were there, and `verify` that they are gone by rule.

        Returns:
            How many events were removed.

        Example:
            >>> import cepheid as cep, datetime as dt
            >>> now = dt.datetime(2026, 1, 1)
            >>> with cep.EventStore(clock=lambda: now) as store:
            ...     for year in (2024, 2025):
            ...         position = store.append("txn", {"ts": [dt.datetime(year, 12, 1)]})
            ...     store.keep("txn", for_="90d")
            ...     (store.retain(), store.read("txn").count(), store.end)
            (1, 1, 2)
        """
        events, _ = self._log("remove events").retain(checked_topics(topics))
        return events

    def protect(self, topic: str, *, subject: str, columns: Iterable[str]) -> None:
        """Has columns of a topic kept secret from now on: each value under a key of the person that the event is about.

        They read as before, until `erase` removes the key of a person: then their values are NULL, in the journal, in
        the archive, and in copies of archived files; a copy of the database that was made before has the keys. Files
        in the archive hold bytes in the place of such a column.

        Args:
            topic: Its name.
            subject: The column that says whom the event is about; it is not secret itself.
            columns: The columns that are. Numbers, times, booleans and text can be; they are kept as text, encrypted
                with AES-256-GCM.

        Raises:
            StoreError: No column is named, or that of the subject or of the event time (code ``store-option``).

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     store.protect("signup", subject="user", columns=["email"])
            ...     position = store.append("signup", {"ts": [1, 2], "user": ["u1", "u2"], "email": ["a@b.c", "d@e.f"]})
            ...     keys = store.erase("u1")
            ...     store.read("signup").to_arrow()["email"].to_pylist()
            [None, 'd@e.f']
        """
        names = [columns] if isinstance(columns, str) else list(columns)
        names = [checked_name(name, "column") for name in names]
        self._log("protect columns").protect(checked_name(topic, "topic"), checked_name(subject, "column"), names)
        self._columns.forget()

    def erase(self, subject: object) -> int:
        """Erases what is protected of a person, for good: their keys are overwritten.

        What is appended later has a new one. Whoever reads what was before while it is erased keeps the old key in
        the log beside the file until the store is opened or erased from again.

        Args:
            subject: Who, as the column of the subject has it; what is no text is taken as its text.

        Returns:
            How many keys there were: none, if nothing of theirs is protected.

        Raises:
            StoreError: The store cannot be written.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     store.protect("signup", subject="user", columns=["email"])
            ...     position = store.append("signup", {"ts": [1], "user": [17], "email": ["a@b.c"]})
            ...     (store.erase(17), store.erase(17))
            (1, 0)
        """
        name = subject if isinstance(subject, str) else str(subject)
        if subject is None or not name:
            raise StoreError("say who is erased: None is nobody", code="store-option")
        return self._log("erase a subject").erase(name)
