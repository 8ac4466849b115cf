"""States of streams: how events fold into them, commands that decide on them, snapshots that shorten the way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, final

from cepheid.building import checked_name
from cepheid.errors import StoreError, VersionConflictError
from cepheid.event_time import time_ns
from cepheid.names import invalid_choice
from cepheid.options import checked_count
from cepheid.store.command import Command, Given, decided, outcome_positions, recorded_outcome, together
from cepheid.store.folding import Folded, Snapshot, checked_fold_version, fold_runs, removed
from cepheid.store.handlers import Handlers
from cepheid.store.position import Position
from cepheid.store.rows import Run, read_runs, saved_name
from cepheid.store.state_codec import Decode, Encode, checked_codec, decoded, encoded
from cepheid.store.upcasting import Upcasters

if TYPE_CHECKING:
    from cepheid.store.event_store import EventStore
    from cepheid.store.transaction import Transaction

__all__ = ["Aggregate", "Handled", "Loaded"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


@final
class Loaded(NamedTuple):
    """A stream's state: `Aggregate.load`.

    Attributes:
        state: What its events fold into.
        version: How many there are: what an append expects as ``expected_version``.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     state, version = cep.Aggregate("order", initial=0).load(store, 7)
        >>> (state, version)
        (0, 0)
    """

    state: Any
    version: int


@final
class Handled(NamedTuple):
    """What a command has done: `Aggregate.handle`.

    Attributes:
        state: The state after its events.
        version: How many events the stream has with them.
        positions: Where they are, in order; empty if there were none.
        repeated: Whether the command came with this key before: nothing has been appended now, and the positions are
            those of then.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     done = cep.Aggregate("order").handle(store, 7, lambda state: [("order.created", {"ts": 1})])
        >>> (done.version, [int(position) for position in done.positions], done.repeated)
        (1, [0], False)
    """

    state: Any
    version: int
    positions: tuple[Position, ...]
    repeated: bool = False


@final
class Aggregate:
    """How the state of a thing, an order for one, is made of the events of its stream.

    Functions fold events, one by one, into a state; commands look at the state and decide on new events, which are
    appended only if nobody else's have come in between. Nothing but events is the truth: the state of any version, or
    any time, can be asked for.

    (Not to be confused with aggregates of windows, `cepheid.aggregate`.)

    Args:
        name: What kind of thing it is. Streams are called ``<name>-<id>``.
        initial: The state before the first event: a function that makes it, or a value, of which each fold has a copy.
        version: The version of the functions, a number or text: change it when they change, so that snapshots of the
            former ones are not used.
        snapshot_every: `handle` saves a snapshot when so many events have come since the last. None: it does not.
            Streams with events of protected topics (`EventStore.protect`) have none: what is to be erased one day may
            not be kept in a state.
        unknown: What becomes of events without a function: ``"ignore"`` or ``"error"``.
        stream: A function that gives the name of a stream for an id. None: ``<name>-<id>``; an id that begins with
            ``<name>-`` is the name of a stream already.
        upcasters: What old events go through first.
        encode: Makes bytes of a state, for snapshots. None: JSON, with times, decimals, bytes, tuples, sets and keys
            of any kind.
        decode: Makes a state of such bytes again.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: An option has a value that it cannot take (code ``invalid-clause``).
        StoreError: One of `encode` and `decode` is given without the other (code ``store-option``).

    Example:
        >>> import cepheid as cep
        >>> orders = cep.Aggregate("order", initial=dict)
        >>> @orders.on("order.created")
        ... def created(state, event):
        ...     return {"total": event["total"], "paid": False}
        >>> @orders.on("order.paid")
        ... def paid(state, event):
        ...     return {**state, "paid": True}
        >>> def pay(state, ts):
        ...     if state["paid"]:
        ...         raise ValueError("paid already")
        ...     return [("order.paid", {"ts": ts})]
        >>> with cep.EventStore() as store:
        ...     position = store.append("order.created", [{"ts": 1, "total": 9.5}], stream="order-7")
        ...     done = orders.handle(store, 7, pay, 2)
        ...     (done.state, done.version, orders.state_at(store, 7, version=1)["paid"])
        ({'total': 9.5, 'paid': True}, 2, False)
    """

    __slots__ = (
        "_decode", "_encode", "_handlers", "_initial", "_snapshot_every", "_stream", "_unknown", "_upcasters",
        "name", "version",
    )  # fmt: skip

    #: What kind of thing it is.
    name: str
    #: The version of its functions.
    version: int | str

    _handlers: Handlers

    def __init__(
        self,
        name: str,
        *,
        initial: Any = dict,
        version: int | str = 1,
        snapshot_every: int | None = 100,
        unknown: Literal["ignore", "error"] = "ignore",
        stream: Callable[[Any], str] | None = None,
        upcasters: Upcasters | None = None,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> None:
        self.name = checked_name(name, "aggregate")
        self.version = checked_fold_version(version)
        if unknown not in ("ignore", "error"):
            raise invalid_choice("unknown", unknown, ["ignore", "error"])
        if stream is not None and not callable(stream):
            raise TypeError(f"stream is a function that names one for an id, not {type(stream).__name__}")
        if upcasters is not None and not isinstance(upcasters, Upcasters):
            raise TypeError(f"upcasters are cepheid.Upcasters, not {type(upcasters).__name__}")
        self._encode, self._decode = checked_codec(encode, decode)
        self._initial = initial
        self._snapshot_every = checked_count(snapshot_every, "snapshot_every")
        self._unknown = unknown
        self._stream = stream
        self._upcasters = upcasters
        self._handlers = Handlers()

    # What it is made of.

    def on(self, *topics: str) -> Callable[[_Function], _Function]:
        """Has a function fold the events of topics: it is given the state and a `StreamEvent`, and returns the state.

        It has to depend on nothing else: the same events give the same state, always.

        Args:
            topics: Names, or patterns such as ``order.*``. The function of a topic's own name comes before those of
                patterns, and of these the first that fits is taken.

        Raises:
            StoreError: A topic has a function already (code ``duplicate-handler``).

        Example:
            >>> import cepheid as cep
            >>> counts = cep.Aggregate("order", initial=0)
            >>> @counts.on("order.*")
            ... def count(state, event):
            ...     return state + 1
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2]}, stream="order-7")
            ...     counts.load(store, 7)
            Loaded(state=2, version=2)
        """
        return self._handlers.register(topics, self._whose)

    def stream(self, id: Any) -> str:
        """The name of the stream of an id.

        Example:
            >>> import cepheid as cep
            >>> orders = cep.Aggregate("order")
            >>> (orders.stream(7), orders.stream("order-7"))
            ('order-7', 'order-7')
        """
        if self._stream is not None:
            return checked_name(self._stream(id), "stream")
        text = str(id)
        return text if text.startswith(f"{self.name}-") else f"{self.name}-{checked_name(text, 'id')}"

    # States.

    def load(self, store: EventStore, id: Any) -> Loaded:
        """The state of a thing now. Of one without events it is the initial state, of version 0.

        Args:
            store: The store.
            id: Which one.

        Raises:
            StoreError: Events that it is made of are kept no longer, and no snapshot covers them (code
                ``events-removed``); a snapshot cannot be decoded (code ``state-encoding``); the store is damaged.
            FoldError: A function raised or gave None, or there is none for an event, which is an error here (code
                ``unknown-event``).
            UpcastError: An event cannot be read as the newest version.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     cep.Aggregate("order").load(store, 7)
            Loaded(state={}, version=0)
        """
        folded = self._folded(store, self.stream(id))
        return Loaded(folded.state, folded.version)

    def state_at(self, store: EventStore, id: Any, *, version: int | None = None, time: Any = None) -> Any:
        """The state of a thing as it was.

        Args:
            store: The store.
            id: Which one.
            version: After so many events. 0: before the first.
            time: When: a datetime (a naive one is UTC) or nanoseconds. Of the events whose event time is not after it;
                where a topic has none, the time of recording. Say this or `version`.

        Raises:
            TypeError: Both are given, or none.
            StoreError: The stream has not had so many events yet (code ``unknown-version``), or as for `load`. A
                snapshot helps only where it is not of later.
            FoldError: As for `load`.
            UpcastError: As for `load`.

        Example:
            >>> import cepheid as cep
            >>> counts = cep.Aggregate("order", initial=0)
            >>> @counts.on("order.*")
            ... def count(state, event):
            ...     return state + 1
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [10, 20, 30]}, stream="order-7")
            ...     (counts.state_at(store, 7, version=1), counts.state_at(store, 7, time=20))
            (1, 2)
        """
        if (version is None) == (time is None):
            raise TypeError("state_at() takes a version or a time, one of them")
        stream = self.stream(id)
        if version is None:
            return self._folded(store, stream, at_ns=time_ns(time, "time")).state
        if isinstance(version, bool) or not hasattr(version, "__index__"):
            raise TypeError(f"a version is a number of events, not {type(version).__name__}")
        wanted, there = int(version.__index__()), store.version(stream)
        if not 0 <= wanted <= there:
            raise StoreError(
                f"stream `{stream}` has versions 0 to {there}, and no version {wanted}", code="unknown-version"
            )
        return self._folded(store, stream, version=wanted).state

    def _folded(
        self, store: EventStore, stream: str, *, version: int | None = None, at_ns: int | None = None
    ) -> Folded:
        # Asked first: events that come while it is read are welcome, those that are missing are not.
        there = store.version(stream) if version is None else version
        folded = self._start(store, stream, version, at_ns)
        self._go_on(store, stream, folded, version=version, at_ns=at_ns)
        if folded.version < there:
            raise removed(stream, folded.version + 1, there, self._whose)
        return folded

    def _start(self, store: EventStore, stream: str, version: int | None, at_ns: int | None) -> Folded:
        saved = store.load(self._snapshot_name(stream))
        snapshot = None if saved is None else Snapshot.from_bytes(saved)
        usable = (
            snapshot is not None
            and snapshot.fold == repr(self.version)
            and (version is None or snapshot.version <= version)
            and (at_ns is None or snapshot.time_max is None or snapshot.time_max <= at_ns)
        )
        if not usable:
            initial = self._initial
            return Folded(initial() if callable(initial) else copy.deepcopy(initial))
        assert snapshot is not None
        state = decoded(self._decode, snapshot.state, self._whose)
        return Folded(state, snapshot.version, snapshot.position, snapshot.time_max)

    def _go_on(
        self,
        store: EventStore,
        stream: str,
        folded: Folded,
        *,
        version: int | None = None,
        at_ns: int | None = None,
    ) -> None:
        if version is not None and folded.version >= version:
            return
        found = read_runs(store, (">",), stream=stream, from_=folded.position)
        if found.runs:
            self._fold(store, stream, folded, found.runs, version=version, at_ns=at_ns)

    def _fold(
        self,
        store: EventStore,
        stream: str,
        folded: Folded,
        runs: list[Run],
        *,
        version: int | None = None,
        at_ns: int | None = None,
    ) -> None:
        fold_runs(
            folded,
            runs,
            self._handlers,
            stream=stream,
            owner=self._whose,
            event_time=store._event_time,
            unknown_is_error=self._unknown == "error",
            version=version,
            time_ns=at_ns,
            lift=None if self._upcasters is None else self._upcasters.lift,
        )

    # Snapshots.

    def snapshot(self, store: EventStore, id: Any) -> int:
        """Saves the state of a thing, so that loading it folds only what comes after; gives its version.

        Raises:
            StoreError: The stream has events of a topic with protected columns, which a state would keep from being
                erased (code ``protected-state``); or as for `load`.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 1}], stream="order-7")
            ...     cep.Aggregate("order").snapshot(store, 7)
            1
        """
        stream = self.stream(id)
        folded = self._folded(store, stream)
        if secret := _protected(store, folded.topics):
            raise StoreError(
                f"stream `{stream}` has events of `{secret}`, of which columns are protected: a snapshot would keep "
                "what is erased",
                code="protected-state",
            )
        if folded.since_snapshot:
            store.save(self._snapshot_name(stream), self._snapshot_of(folded))
        return folded.version

    def _snapshot_name(self, stream: str) -> str:
        return saved_name("snapshot", self.name, stream)

    def _snapshot_of(self, folded: Folded) -> bytes:
        state = encoded(self._encode, folded.state, self._whose)
        return Snapshot(repr(self.version), folded.version, folded.position, folded.time_max, state).to_bytes()

    def _save_due(self, store: EventStore, stream: str, folded: Folded, changes: Transaction) -> None:
        """Saves the state that was loaded with what is decided on it: as it was read, and no commit of its own."""
        every = self._snapshot_every
        if every is not None and folded.since_snapshot >= every and not _protected(store, folded.topics):
            changes.save(self._snapshot_name(stream), self._snapshot_of(folded))

    # Commands.

    def command(self, id: Any, function: Callable[..., Any], *args: Any) -> Command:
        """A command to be handled by a `ProcessManager`, with whatever else it does.

        Example:
            >>> import cepheid as cep
            >>> orders = cep.Aggregate("order")
            >>> orders.command(7, lambda state: [("order.cancelled", {"ts": 1})])
            Command(order-7)
        """
        return Command(self, self.stream(id), function, args)

    def handle(
        self,
        store: EventStore,
        id: Any,
        command: Callable[..., Any],
        *args: Any,
        retries: int = 3,
        idempotency_key: str | None = None,
    ) -> Handled:
        """Decides on the state of a thing, and appends what is decided, all of it or nothing.

        Should somebody else append to the stream in between, it is loaded, and decided on, anew.

        Args:
            store: The store.
            id: Which one.
            command: Is given the state (a copy) and `args`, and gives the events to append, pairs of a topic and a
                dict: in a list, or by yielding them; nothing, or None, if there is nothing to do. What it raises is
                raised here, and nothing is appended.
            args: What else it is given.
            retries: How often it is decided anew before the conflict is an error.
            idempotency_key: What tells a repeat: a command that came for this stream with the key before is not decided
                again.

        Returns:
            The state after it, where the events are, and whether it was a repeat.

        Raises:
            TypeError: An argument, or what the command gave, is of the wrong type.
            VersionConflictError: Others appended each time. Nothing has been appended.
            StoreError: As for `load` and `EventStore.append`.

        Example:
            >>> import cepheid as cep
            >>> orders = cep.Aggregate("order")
            >>> def create(state, ts):
            ...     yield "order.created", {"ts": ts}
            >>> with cep.EventStore() as store:
            ...     first = orders.handle(store, 7, create, 1, idempotency_key="request-1")
            ...     again = orders.handle(store, 7, create, 1, idempotency_key="request-1")
            ...     (first.version, again.version, again.repeated)
            (1, 1, True)
        """
        stream = self.stream(id)
        attempts = _checked_retries(retries) + 1
        name = None
        if idempotency_key is not None:
            name = saved_name("command", self.name, stream, checked_name(idempotency_key, "idempotency_key"))
        while True:
            if name is not None and (before := store.load(name)) is not None:
                loaded = self.load(store, id)
                return Handled(loaded.state, loaded.version, outcome_positions(store, before), repeated=True)
            folded = self._folded(store, stream)
            # The command's own: what it changes must not be folded on.
            given = decided(command, copy.deepcopy(folded.state), args, self._upcasters, self._whose)
            if not given and name is None:
                return Handled(folded.state, folded.version, ())
            try:
                positions = self._append(store, stream, folded, given, name)
            except VersionConflictError as error:
                attempts -= 1
                if not attempts or error.stream != stream:
                    raise
                continue
            self._go_on(store, stream, folded, version=folded.version + len(given))
            return Handled(folded.state, folded.version, positions)

    def _append(
        self, store: EventStore, stream: str, folded: Folded, given: list[Given], name: str | None
    ) -> tuple[Position, ...]:
        changes = store.transaction()
        version = folded.version
        for topic, events in together(given):
            changes.append(topic, events, stream=stream, expected_version=version)
            version += len(events)
        if given:
            self._save_due(store, stream, folded, changes)
        if name is not None:
            # Where they are is known only afterwards: that they come next to each other is known now.
            changes.save(name, recorded_outcome(stream, folded.version, version))
        return changes.commit()

    @property
    def _whose(self) -> str:
        return f"aggregate `{self.name}`"

    def __repr__(self) -> str:
        topics = ", ".join(self._handlers) or "no topics"
        return f"<Aggregate {self.name!r}, version {self.version!r}: folds {topics}>"


def _protected(store: EventStore, topics: set[str]) -> str | None:
    """One of the topics of which columns are protected, or None."""
    known = store.info().topics
    return next((topic for topic in sorted(topics) if topic in known and known[topic].protected), None)


def _checked_retries(value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"retries is a whole number, not {type(value).__name__}")
    retries = int(value.__index__())
    if retries < 0:
        raise StoreError(f"retries is a number from 0, not {retries}", code="store-option")
    return retries
