"""The event store: opened, written, followed, replayed."""

from __future__ import annotations

import datetime as dt
import getpass
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, final

from cepheid._native import EventLog, StoreView
from cepheid.building import checked_name
from cepheid.errors import StoreError
from cepheid.options import checked_count, checked_flag
from cepheid.rule_data import row_condition
from cepheid.store.appending import append_batches
from cepheid.store.auditing import StoreAuditing
from cepheid.store.columns import TopicColumns
from cepheid.store.handle import checked_topics, checked_version, optional_name
from cepheid.store.keeping import StoreKeeping
from cepheid.store.position import Position
from cepheid.store.reading import StoreReading
from cepheid.store.replay import Replay, pushes, replayed_topics, run, steps
from cepheid.store.sealing import BackgroundSealing
from cepheid.store.sourcing import StoreSourcing
from cepheid.store.subscription import Subscription
from cepheid.store.transaction import Transaction

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.derived import Derived
    from cepheid.engine import Engine
    from cepheid.store.events import StoredEvents

__all__ = ["EventStore"]


@final
class EventStore(StoreReading, StoreKeeping, StoreAuditing, StoreSourcing):
    """A durable log of events: what happened, in order, for as long as it is to be kept.

    It is one SQLite file, beside which a folder holds what has been archived as Parquet. Events are appended in batches
    to *topics*; each has a *position*, its number among all events of the store. What has been appended is on the disk
    when the call returns: it outlasts ``kill -9`` and a loss of power.

    One handle, of all processes, writes; any number read. Calls from several threads write together: the more wait for
    the disk, the more each commit holds.

    Args:
        path: The file; made if it is not there. None: a store of its own in a temporary folder, gone when it is closed.
        event_time: The column of the event time, in every topic that has one. None: the one that the store was made
            with; ``ts``, if it is made now.
        read_only: Whether it is only read; then another handle may write.
        author: Who appends, as the chain of hashes has it. None: the user.
        seal_after: How many events of a topic may be in the journal before they are archived in the background.
            None: they are archived by hand.
        clock: What events are recorded by when: a function that gives a datetime. None: the system's clock. Should it
            step back, the time of recording stands still.

    Raises:
        StoreError: Somebody else writes to it (code ``store-locked``); it is no store (``not-a-store``) or of a newer
            format (``store-format``); to be read only, there is none (``store-missing``); the disk fails.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     position = store.append("order.created", [{"ts": 1, "order": 7}])
        ...     position = store.append("order.paid", [{"ts": 2, "order": 7, "amount": 9.5}])
        ...     store.read("order.*", where="order = 7", metadata=True).to_arrow()["_topic"].to_pylist()
        ['order.created', 'order.paid']
    """

    __slots__ = (
        "_appended",
        "_claims",
        "_clock",
        "_columns",
        "_event_time",
        "_folder",
        "_inline",
        "_native",
        "_sealing",
        "_states",
        "_taking_from",
        "_view",
        "path",
    )

    #: The store's file.
    path: Path

    _native: EventLog | None
    _view: StoreView
    _clock: Callable[[], dt.datetime] | None
    _folder: tempfile.TemporaryDirectory[str] | None
    _sealing: BackgroundSealing | None
    # Says whether a topic's events come by one who holds the store, and by nobody else.
    _claims: Callable[[str], bool] | None
    # Threads that take batches from an iterable of the program's own.
    _taking_from: set[int]
    # Wakes whoever waits for events.
    _appended: threading.Condition

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        event_time: str | None = None,
        read_only: bool = False,
        author: str | None = None,
        seal_after: int | None = None,
        clock: Callable[[], dt.datetime] | None = None,
    ) -> None:
        if clock is not None and not callable(clock):
            raise TypeError(f"clock is a function that returns a datetime, not {type(clock).__name__}")
        after = None if seal_after is None else checked_count(seal_after, "seal_after")
        self._clock = clock
        self._folder = None
        self._sealing = None
        if path is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cepheid-", ignore_cleanup_errors=True)
            path = Path(self._folder.name) / "events.db"
        try:
            self._open(Path(os.path.realpath(os.fspath(path))), event_time, read_only, author, after)
        except BaseException:
            if self._folder is not None:
                self._folder.cleanup()
            raise

    def _open(self, path: Path, event_time: str | None, read_only: bool, author: str | None, after: int | None) -> None:
        self.path = path
        self._native = None
        if not checked_flag(read_only, "read_only"):
            name = _user() if author is None else checked_name(author, "author")
            self._native = EventLog(self.path, event_time=optional_name(event_time, "event_time"), author=name)
        self._view = StoreView(self.path)
        self._event_time = self._view.event_time()
        self._columns = TopicColumns(self._known_columns)
        self._appended = threading.Condition()
        native = self._native
        if after is not None and native is not None:
            kept = self.info().topics.values()
            journal = {topic.name: topic.events - topic.removed - topic.archived for topic in kept}
            self._sealing = BackgroundSealing(lambda topic: native.seal([topic], 1), after, journal)
        self._states = threading.RLock()
        self._inline = None
        self._claims = None
        self._taking_from = set()

    # Writing.

    def append(
        self,
        topic: str,
        batch: Any,
        *,
        stream: str | None = None,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Position:
        """Appends events to a topic. They are on the disk when it returns.

        Args:
            topic: Their topic: parts between dots, lower case by custom.
            batch: Rows: whatever `cepheid.match` takes for a table. A topic may get columns that it did not have;
                values of Python take the types that it has. A column of the event time has to have a value in each row.
            stream: What they are the history of, an order for one: its events have versions, which count up.
            expected_version: How many events the stream has to have before them: 0 for one that is to begin. None: any
                number.
            idempotency_key: What tells a repeat: if a batch of this topic came with it before, nothing is appended, and
                its position is given again. It is known as long as its events are kept, or as `keep` says.

        Returns:
            Where they are.

        Raises:
            TypeError: An argument is of the wrong type.
            SchemaError: `batch` is no table, an event has no time (code ``null-time``), or a column has a name that the
                store gives to its own (code ``reserved-column``).
            VersionConflictError: The stream has another number of events than expected. Nothing has been appended.
            StoreError: The key came with another number of events before (code ``key-reused``), the topic or the stream
                cannot have that name (code ``invalid-name``), an app that runs has the topic for itself (code
                ``claimed-topic``), there is no space left (code ``disk-full``): nothing has
                been appended. The disk failed (code ``disk``): nobody knows; this handle may not be used any more (code
                ``store-poisoned``), and one opened anew knows.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 1}], stream="order-7", expected_version=0)
            ...     try:
            ...         store.append("order.paid", [{"ts": 2}], stream="order-7", expected_version=0)
            ...     except cep.VersionConflictError as error:
            ...         print(error.expected, error.actual)
            0 1
        """
        self._check_unclaimed(checked_name(topic, "topic"))
        if self._inline is not None:
            with self.transaction() as changes:
                changes.append(
                    topic,
                    batch,
                    stream=stream,
                    expected_version=checked_version(expected_version),
                    idempotency_key=idempotency_key,
                )
            return changes.positions[0]
        native = self._log("append to it")
        table = self._columns.table(batch, topic)
        try:
            made = native.append(
                topic,
                table,
                stream=optional_name(stream, "stream"),
                expected_version=checked_version(expected_version),
                idempotency_key=optional_name(idempotency_key, "idempotency_key"),
            )
        except BaseException:
            self._columns.forget()
            raise
        position = Position(topic, *made)
        self._announce((position,))
        return position

    def append_batches(
        self,
        topic: str,
        batches: Any,
        *,
        stream: str | None = None,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> list[Position]:
        """Appends batches one after another, faster than `append` would in a loop: a history that is taken over.

        While some are written, the next are taken and made ready on other threads, and what is ready by then goes into
        one commit. Each batch is kept as `append` would keep it; all of them are on the disk when it returns.

        Should one be refused, or the iterable raise, all batches before it are in the store, it and those behind it are
        not, and a note of the exception says how many there are.

        Time: that of making batches ready by the number of cores, or that of writing them, whichever is more. Memory:
        batches of 131,072 rows together, or four if they are longer, and 16 MiB of what they have been compressed to.

        Args:
            topic: Their topic.
            batches: An iterable of what `append` takes for a batch, or an Arrow stream: a `pyarrow.RecordBatchReader`,
                or a table, of which each chunk is a batch. It may not write to this store or close it.
            stream: What they are the history of.
            expected_version: How many events the stream has to have before the first; before each of the others it has
                to have those of this call too.
            idempotency_key: What tells a repeat: each batch has this key with a colon and its number, from 0, behind
                it. So a call that has not got to its end can be made again, if it has the same batches.

        Returns:
            Where they are, in their order.

        Raises:
            TypeError: An argument is of the wrong type.
            CepheidError: As `append`. From within `batches`, what would write to the store (code ``store-in-use``).

        Example:
            >>> import cepheid as cep
            >>> days = ({"ts": [86_400 * day], "amount": [day]} for day in range(3))
            >>> with cep.EventStore() as store:
            ...     [position.first for position in store.append_batches("payment", days, idempotency_key="2026")]
            [0, 1, 2]
        """
        return append_batches(
            self,
            topic,
            batches,
            stream=stream,
            expected_version=expected_version,
            idempotency_key=idempotency_key,
        )

    def transaction(self) -> Transaction:
        """Changes that are made together, or not at all.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     with store.transaction() as changes:
            ...         changes.append("order.created", [{"ts": 1, "order": 7}])
            ...         changes.save("engine", b"state")
            ...     (store.end, store.load("engine"))
            (1, b'state')
        """
        self._log("change it")
        return Transaction._of(self)

    def save(self, name: str, value: bytes) -> None:
        """Saves a state under a name, in the place of what was there. `Transaction.save` does it with other changes.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     store.save("engine", b"state")
            ...     store.load("engine")
            b'state'
        """
        with self.transaction() as changes:
            changes.save(name, value)

    # Following.

    def subscribe(
        self,
        name: str,
        topics: str | Iterable[str] = (),
        *,
        where: Any = None,
        from_: Any = None,
    ) -> Subscription:
        """Follows topics: first what is there, then what comes; from where the subscription of this name has got to.

        Args:
            name: What it is saved under how far events have been dealt with.
            topics: Names or patterns; none given: all.
            where: A condition on events.
            from_: The position where it begins if nothing is saved under its name. None: at the first event.

        Raises:
            StoreError: What is saved under the name is damaged (code ``store-corrupt``).

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 1, "order": 7}])
            ...     store.subscribe("mailer", "order.*").next()["order"].to_pylist()
            [7]
        """
        saved = self._view.value("cursor", checked_name(name, "subscription"))
        begin = 0 if from_ is None else int(from_)
        condition = None if where is None else json.dumps(row_condition(where, "the condition of a subscription"))
        return Subscription._of(self, name, checked_topics(topics), condition, begin if saved is None else int(saved))

    # Replaying.

    def replay(
        self,
        engine: Engine,
        topics: str | Iterable[str] | None = None,
        *,
        from_: Any = None,
        to: Any = None,
        speed: float | None = None,
        progress: bool = False,
        flush: bool = False,
        on_derived: Callable[[Derived], None] | None = None,
    ) -> Derived:
        """Pushes stored events to an engine, in the order in which they were appended.

        Rows have the numbers, and so the ids, that they have in the store: an engine made as the one that was fed when
        they were appended derives the same events with the same ids.

        Rows that cannot matter to the engine's rules are passed over, and columns that no rule mentions are not read. A
        rule that is added afterwards does not see those of the rows passed over that would still wait for late ones.

        Args:
            engine: An engine; as it is, so that one restored from a snapshot goes on from there.
            topics: Names of topics. None: those that its rules read.
            from_: Where to begin: a position, or a datetime, from which on events are replayed. None: at the first
                event.
            to: Where to end, likewise: before it. None: at the last event.
            speed: How fast event time passes, as a multiple of that of the clock: 1.0 as it was, 60.0 an hour a minute.
                None: as fast as can be.
            progress: Whether a bar on standard error, if that is a terminal, shows how far it is.
            flush: Whether the input ends with the last event: every deadline is reached.
            on_derived: Is given what each step derives, instead of all being given at the end: for what is more than
                memory holds.

        Returns:
            What was derived; nothing, if `on_derived` was given it.

        Raises:
            StoreError: The store has none of the topics that the rules read (code ``unknown-in-store``); it is damaged.
            PatternError: `speed` is not above zero (code ``invalid-clause``).
            CepheidError: Whatever `Engine.push` raises.

        Example:
            >>> import cepheid as cep
            >>> large = cep.event("large", "amount > 500", topic="txn").select(amount="large.amount").named("large")
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", {"ts": [1, 2, 3], "amount": [5, 900, 7]})
            ...     [found["amount"] for found in store.replay(cep.Engine(large))["large"]]
            [900]
        """
        from cepheid.store.pacing import checked_speed, shown

        pace = checked_speed(speed)
        events, names = self._replayed(engine, topics, from_, to)
        if pace is None:
            under_way = pushes(engine, self, events, names, eager=on_derived is not None)
        else:
            paced = steps(engine, events, rows_max=None, speed=pace)
            under_way = ((step.events.num_rows, step.derived) for step in paced)
        if checked_flag(progress, "progress"):
            under_way = shown(under_way, self.end)
        end = to if isinstance(to, dt.datetime) else None
        return run(engine, under_way, on_derived, end=end, flush=checked_flag(flush, "flush"))

    def step(
        self,
        engine: Engine,
        topics: str | Iterable[str] | None = None,
        *,
        from_: Any = None,
        to: Any = None,
        events: int = 1,
    ) -> Replay:
        """A replay in steps: to look at the engine in between, or to stop where a rule fires.

        Args:
            engine: An engine.
            topics: Names of topics. None: those that its rules read.
            from_: Where to begin, as in `replay`.
            to: Where to end, as in `replay`.
            events: How many events a step pushes, at most.

        Example:
            >>> import cepheid as cep
            >>> large = cep.event("large", "amount > 500", topic="txn").named("large")
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", {"ts": [1, 2, 3], "amount": [5, 900, 7]})
            ...     [sorted(step.derived) for step in store.step(cep.Engine(large))]
            [[], ['large'], []]
        """
        rows_max = checked_count(events, "events")
        stored, _ = self._replayed(engine, topics, from_, to)
        under_way = steps(engine, stored, rows_max=rows_max, speed=None)
        begin = int(from_) if from_ is not None and not isinstance(from_, dt.datetime) else 0
        return Replay._of(engine, under_way, begin)

    def _replayed(
        self, engine: Engine, topics: str | Iterable[str] | None, from_: Any, to: Any
    ) -> tuple[StoredEvents, list[str]]:
        """The events that a replay is of, and their topics."""
        since = from_ if isinstance(from_, dt.datetime) else None
        until = to if isinstance(to, dt.datetime) else None
        names = replayed_topics(self, engine, topics)
        found = self.read(
            names,
            from_=from_ if since is None else None,
            to=to if until is None else None,
            since=since,
            until=until,
        )
        return found, names

    # Its end.

    def close(self) -> None:
        """Closes it: another handle may write then. A temporary store is removed.

        Example:
            >>> import cepheid as cep
            >>> store = cep.EventStore()
            >>> store.close()
        """
        self._check_not_taking("close it")
        if self._sealing is not None:
            self._sealing.close()
            self._sealing = None
        self._view.close()
        if self._native is not None:
            # The last: it removes the log beside the file, all of which is then in the file itself.
            self._native.close()
        with self._appended:
            self._appended.notify_all()
        if self._folder is not None:
            self._folder.cleanup()

    def __enter__(self) -> EventStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EventStore({str(self.path)!r})"

    # What its parts ask of it.

    def _store(self) -> EventStore:
        return self

    def _claim(self, claims: Callable[[str], bool] | None) -> None:
        """Has topics be appended to by one alone, who commits `_unclaimed_transaction`; None: by anybody."""
        self._claims = claims

    def _check_unclaimed(self, topic: str) -> None:
        if self._claims is not None and self._claims(topic):
            raise StoreError(
                f"topic `{topic}` is one of an app that runs, whose rules read it or derive it: publish its events by "
                "the app, so that rules see them",
                code="claimed-topic",
            )

    def _check_not_taking(self, action: str) -> None:
        if threading.get_ident() in self._taking_from:
            raise StoreError(
                f"the store takes batches from the iterable that this comes from: {action} once all are appended",
                code="store-in-use",
            )

    def _unclaimed_transaction(self) -> Transaction:
        """Changes of the one that claims topics."""
        self._log("change it")
        return Transaction._of(self, claimed=False)

    def _commit(self, changes: list[tuple[Any, ...]]) -> list[tuple[int, int, int, int | None, bool]]:
        native = self._log("change it")
        return native.commit(changes) if self._inline is None else self._inline.commit(native, changes)

    def _known_columns(self, topic: str) -> pa.Schema | None:
        try:
            return self.read(topic).schema
        except StoreError:
            # It has had no event yet.
            return None

    def _announce(self, positions: Iterable[Position]) -> None:
        with self._appended:
            self._appended.notify_all()
        if self._sealing is not None:
            for position in positions:
                self._sealing.appended(position.topic, 0 if position.repeated else position.events)

    def _wait_for_appends(self, end: int, seconds: float) -> None:
        with self._appended:
            if self._view.next_position() <= end:
                self._appended.wait(seconds)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # Nobody is logged in, as in some containers.
        return f"process {os.getpid()}"
