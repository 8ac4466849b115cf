"""Read models: states that are folded over topics, and kept beside the events with the position they are at."""

from __future__ import annotations

import copy
import datetime as dt
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, final

from cepheid.building import checked_name
from cepheid.errors import StoreError
from cepheid.event_time import span_ns
from cepheid.names import invalid_choice
from cepheid.options import checked_count, checked_flag
from cepheid.store.folding import checked_fold_version
from cepheid.store.handlers import Handlers
from cepheid.store.projection_state import Folding, ProjectionState
from cepheid.store.rows import saved_name
from cepheid.store.state_codec import Decode, Encode, checked_codec, decoded, encoded
from cepheid.store.upcasting import Upcasters

if TYPE_CHECKING:
    from cepheid.store.event_store import EventStore

__all__ = ["Projection", "ProjectionHealth"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

# How many events are folded between two commits.
_BATCH_EVENTS = 4096
# How long is waited for events before it is looked whether to stop.
_LOOK_AGAIN_S = 0.05


@final
class ProjectionHealth(NamedTuple):
    """Whether a projection is alive: `Projection.health`.

    Attributes:
        position: The position that the saved state is at.
        lag: How many events of its topics it has not folded.
        seen: When whoever runs it last said that it does; None: nobody has.
        version: The version of the functions that made the saved state, as `repr` has it; None: there is none.

    Example:
        >>> import cepheid as cep
        >>> count = cep.Projection("count", initial=0)
        >>> with cep.EventStore() as store:
        ...     folded = count.run(store, until=0)
        ...     health = count.health(store)
        >>> (health.lag, health.seen is not None)
        (0, True)
    """

    position: int
    lag: int
    seen: dt.datetime | None
    version: str | None


@final
class Projection:
    """A read model: a state that is folded over the events of topics, and saved with the position that it is at.

    State and position are saved together, so each event is folded into what is saved exactly once, whatever crashes.
    A projection is kept up to date in one of three ways:

    - *inline*: `EventStore.attach` folds events in the transaction that appends them;
    - *catching up*: `catch_up` folds what is new, batch by batch, and `run` goes on as events come;
    - *live*: ``state(store, fresh=True)`` folds what is new in memory, and saves nothing.

    All give the same state, provided that the functions treat a table as they would treat its rows one after another.

    Args:
        name: What its state is saved under.
        initial: The state before the first event: a function that makes it, or a value, of which each fold has a copy.
        version: The version of the functions, a number or text: change it when they change, and `rebuild`.
        upcasters: What old events go through first.
        encode: Makes bytes of a state. None: JSON, with times, decimals, bytes, tuples, sets and keys of any kind.
        decode: Makes a state of such bytes again.
        secrets: Whether protected columns (`EventStore.protect`) are handed to the functions. If not, they are NULL, as
            if erased: a saved state holds nothing of what is to be erased. If so, `rebuild` it after each `erase`.
        removed: What becomes of events that it has not folded and that are kept no longer: ``"error"`` or ``"ignore"``.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: An option has a value that it cannot take (code ``invalid-clause``).
        StoreError: One of `encode` and `decode` is given without the other (code ``store-option``).

    Example:
        >>> import cepheid as cep
        >>> turnover = cep.Projection("turnover", initial=dict)
        >>> @turnover.on("order.paid")
        ... def paid(state, events):
        ...     for event in events.to_pylist():
        ...         state[event["shop"]] = state.get(event["shop"], 0) + event["amount"]
        ...     return state
        >>> with cep.EventStore() as store:
        ...     position = store.append("order.paid", {"ts": [1, 2], "shop": ["a", "b"], "amount": [5, 7]})
        ...     folded = turnover.catch_up(store)
        ...     (folded, turnover.state(store), turnover.position(store), turnover.lag(store))
        (2, {'a': 5, 'b': 7}, 2, 0)
    """

    __slots__ = ("_decode", "_encode", "_folding", "_initial", "name", "version")

    #: What its state is saved under.
    name: str
    #: The version of its functions.
    version: int | str

    _folding: Folding

    def __init__(
        self,
        name: str,
        *,
        initial: Any = dict,
        version: int | str = 1,
        upcasters: Upcasters | None = None,
        encode: Encode | None = None,
        decode: Decode | None = None,
        secrets: bool = False,
        removed: Literal["error", "ignore"] = "error",
    ) -> None:
        self.name = checked_name(name, "projection")
        self.version = checked_fold_version(version)
        if upcasters is not None and not isinstance(upcasters, Upcasters):
            raise TypeError(f"upcasters are cepheid.Upcasters, not {type(upcasters).__name__}")
        if removed not in ("error", "ignore"):
            raise invalid_choice("removed", removed, ["error", "ignore"])
        self._encode, self._decode = checked_codec(encode, decode)
        self._initial = initial
        self._folding = Folding(
            self._whose, Handlers(), upcasters, checked_flag(secrets, "secrets"), removed == "error"
        )

    def on(self, *topics: str) -> Callable[[_Function], _Function]:
        """Has a function fold the events of topics: it is given the state and a `pyarrow.Table`, and returns the state.

        The table has events in the order of their positions, with the columns ``_position``, ``_topic``, ``_stream``
        and ``_version`` in front. Those of different functions are never out of order: one is given a table up to
        where an event of the other comes. Where a function is for several topics, a column that one of them does not
        have is NULL.

        Args:
            topics: Names, or patterns such as ``order.*``. The function of a topic's own name comes before those of
                patterns, and of these the first that fits is taken.

        Raises:
            StoreError: A topic has a function already (code ``duplicate-handler``).

        Example:
            >>> import cepheid as cep
            >>> latest = cep.Projection("latest", initial=dict)
            >>> @latest.on("order.*")
            ... def seen(state, events):
            ...     return {**state, **dict(zip(events["_stream"].to_pylist(), events["_topic"].to_pylist()))}
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 1}], stream="order-7")
            ...     position = store.append("order.paid", [{"ts": 2}], stream="order-7")
            ...     latest.state(store, fresh=True)
            {'order-7': 'order.paid'}
        """
        return self._folding.handlers.register(topics, self._whose)

    # Questions.

    def state(self, store: EventStore, *, fresh: bool = False) -> Any:
        """The saved state; the initial one, if none is saved yet.

        It may be of an older version of the functions, until `rebuild` has replaced it.

        Args:
            store: The store; it may be open to be read only.
            fresh: Whether what is new is folded in memory first.

        Raises:
            StoreError: The saved state cannot be decoded (code ``state-encoding``). If it is to be fresh, as for
                `catch_up`.

        Example:
            >>> import cepheid as cep
            >>> count = cep.Projection("count", initial=0)
            >>> @count.on("order.*")
            ... def seen(state, events):
            ...     return state + events.num_rows
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 1}])
            ...     (count.state(store), count.state(store, fresh=True))
            (0, 1)
        """
        current, _ = self._load(store, self._saved)
        if checked_flag(fresh, "fresh"):
            self._check_version(current)
            while self._folding.advance(store, current, _BATCH_EVENTS):
                pass
        return current.state

    def position(self, store: EventStore) -> int:
        """The position that the saved state is at: it has folded all events of its topics before it.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     cep.Projection("count").position(store)
            0
        """
        return self._head(store)[0].position

    def lag(self, store: EventStore) -> int:
        """How many events of its topics the saved state has not folded.

        Example:
            >>> import cepheid as cep
            >>> count = cep.Projection("count", initial=0)
            >>> @count.on("order.*")
            ... def seen(state, events):
            ...     return state + events.num_rows
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2]})
            ...     position = store.append("stock.counted", {"ts": [1, 2]})
            ...     count.lag(store)
            2
        """
        rows = self._head(store)[0].rows
        topics = store.info().topics.items()
        return sum(info.events - rows.get(name, 0) for name, info in topics if self._folding.concerns(name))

    def health(self, store: EventStore) -> ProjectionHealth:
        """Whether it is alive: how far it is, what it has not folded, and when whoever runs it last said so.

        A projection that stands still lags behind only once something happens; one that nobody runs is not seen.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     cep.Projection("count").health(store)
            ProjectionHealth(position=0, lag=0, seen=None, version=None)
        """
        head, saved = self._head(store)
        beat = store.load(self._beat)
        seen = None if beat is None else dt.datetime.fromisoformat(beat.decode())
        return ProjectionHealth(head.position, self.lag(store), seen, head.fold if saved else None)

    # Going on.

    def catch_up(self, store: EventStore, *, batch_events: int = _BATCH_EVENTS) -> int:
        """Folds everything new, batch by batch, and saves state and position after each; gives how many events.

        Args:
            store: The store.
            batch_events: About so many events are folded between two commits.

        Raises:
            StoreError: The saved state is of another version of the functions (code ``projection-version``); events are
                kept no longer (code ``events-removed``); the state cannot be encoded (code ``state-encoding``).
            FoldError: A function raised, or gave None. What it was given is folded anew next time.
            UpcastError: An event cannot be read as the newest version.

        Example:
            >>> import cepheid as cep
            >>> count = cep.Projection("count", initial=0)
            >>> @count.on("order.*")
            ... def seen(state, events):
            ...     return state + events.num_rows
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2]})
            ...     (count.catch_up(store), count.catch_up(store))
            (2, 0)
        """
        limit = checked_count(batch_events, "batch_events")
        current, saved = self._current(store)
        total = 0
        while True:
            begin = current.position
            events = self._folding.advance(store, current, limit)
            if not events and current.position - begin < _BATCH_EVENTS:
                # Positions without events of its topics are passed over again, but for many of them.
                return total
            data = self._to_bytes(current)
            if self._replace(store, saved, data):
                saved, total = data, total + events
            else:
                # Another thread has been here: what it saved counts.
                current, saved = self._current(store)
            if not events:
                return total

    def run(
        self,
        store: EventStore,
        *,
        until: int | Callable[[], bool] | None = None,
        batch_events: int = _BATCH_EVENTS,
        heartbeat: str | dt.timedelta = "10s",
    ) -> int:
        """Follows the store: folds what is there, and then what comes; gives how many events.

        Args:
            store: The store.
            until: Where to stop: a position, once all events before it are folded, or a function that is asked between
                batches. None: never.
            batch_events: As for `catch_up`.
            heartbeat: How often, at least, it is saved that somebody runs it, for `health`.

        Raises:
            TypeError: `until` is neither.
            CepheidError: As for `catch_up`. It stands still then, and whoever runs it knows.

        Example:
            >>> import cepheid as cep
            >>> count = cep.Projection("count", initial=0)
            >>> @count.on("order.*")
            ... def seen(state, events):
            ...     return state + events.num_rows
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2]})
            ...     count.run(store, until=position.end)
            2
        """
        if until is not None and not callable(until) and (isinstance(until, bool) or not hasattr(until, "__index__")):
            raise TypeError(f"until is a position or a function, not {type(until).__name__}")
        every = span_ns(heartbeat, "heartbeat") / 1e9
        total, beaten = 0, float("-inf")
        while True:
            if time.monotonic() - beaten >= every:
                now = dt.datetime.now(dt.UTC) if store._clock is None else store._clock()
                store.save(self._beat, now.isoformat().encode())
                beaten = time.monotonic()
            end = store.end
            total += self.catch_up(store, batch_events=batch_events)
            if until is not None and (until() if callable(until) else end >= int(until)):
                return total
            store._wait_for_appends(end, min(_LOOK_AGAIN_S, every))

    def rebuild(self, store: EventStore, *, batch_events: int = 16 * _BATCH_EVENTS, resume: bool = False) -> int:
        """Makes the state anew of all events, beside the old one, which goes on to serve; then swaps them.

        Who asks for the state has the old one up to the swap, and the new one from then on: nobody sees part of it.

        Args:
            store: The store.
            batch_events: About so many events are folded between two commits.
            resume: Whether to go on with what a rebuild by the same version of the functions left when it was
                interrupted. If not, it begins at the first event.

        Returns:
            How many events were folded.

        Raises:
            CepheidError: As for `catch_up`. The old state goes on to serve.

        Example:
            >>> import cepheid as cep
            >>> def counting(version, step):
            ...     count = cep.Projection("count", initial=0, version=version)
            ...     count.on("order.*")(lambda state, events: state + step * events.num_rows)
            ...     return count
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2]})
            ...     folded = counting(1, step=1).catch_up(store)
            ...     new = counting(2, step=10)
            ...     (new.state(store), new.rebuild(store), new.state(store))
            (2, 2, 20)
        """
        limit = checked_count(batch_events, "batch_events")
        current = self._begin()
        if checked_flag(resume, "resume"):
            left, saved = self._load(store, self._building)
            if saved is not None and left.fold == current.fold:
                current = left
        while self._folding.advance(store, current, limit):
            store.save(self._building, self._to_bytes(current))
        with store._states:
            # What came meanwhile; with the lock, so that the state that is replaced is not newer.
            while self._folding.advance(store, current, limit):
                pass
            with store.transaction() as changes:
                changes.save(self._saved, self._to_bytes(current))
                changes.forget(self._building)
        return current.events

    # What is saved.

    @property
    def _whose(self) -> str:
        return f"projection `{self.name}`"

    @property
    def _saved(self) -> str:
        return saved_name("projection", self.name)

    @property
    def _building(self) -> str:
        return saved_name("projection", self.name, "rebuild")

    @property
    def _beat(self) -> str:
        return saved_name("projection", self.name, "seen")

    def _begin(self) -> ProjectionState:
        initial = self._initial
        return ProjectionState(initial() if callable(initial) else copy.deepcopy(initial), fold=repr(self.version))

    def _head(self, store: EventStore) -> tuple[ProjectionState, bool]:
        """What is saved, but for the state."""
        data = store.load(self._saved)
        return (self._begin(), False) if data is None else (ProjectionState.from_bytes(data, self.name)[0], True)

    def _load(self, store: EventStore, name: str) -> tuple[ProjectionState, bytes | None]:
        data = store.load(name)
        return (self._begin(), None) if data is None else (self._from_bytes(data), data)

    def _from_bytes(self, data: bytes) -> ProjectionState:
        found, state = ProjectionState.from_bytes(data, self.name)
        found.state = decoded(self._decode, state, self._whose)
        return found

    def _to_bytes(self, current: ProjectionState) -> bytes:
        return current.to_bytes(encoded(self._encode, current.state, self._whose))

    def _current(self, store: EventStore) -> tuple[ProjectionState, bytes | None]:
        current, saved = self._load(store, self._saved)
        self._check_version(current)
        return current, saved

    def _check_version(self, current: ProjectionState) -> None:
        if current.fold != repr(self.version):
            raise StoreError(
                f"the saved state of {self._whose} is of version {current.fold}, and its functions are of version "
                f"{self.version!r}: rebuild() it",
                code="projection-version",
            )

    def _replace(self, store: EventStore, before: bytes | None, data: bytes) -> bool:
        """Saves a state if what it was made of is still there."""
        with store._states:
            if store.load(self._saved) != before:
                return False
            store.save(self._saved, data)
            return True

    def __repr__(self) -> str:
        topics = ", ".join(self._folding.handlers) or "no topics"
        return f"<Projection {self.name!r}, version {self.version!r}: folds {topics}>"
