"""Patterns that act: what rules find in a store's events becomes new events, each exactly once."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, final

from cepheid.building import checked_name
from cepheid.derived import Derived
from cepheid.errors import ProcessorError, StoreError, VersionConflictError
from cepheid.options import checked_count
from cepheid.store.command import Command
from cepheid.store.handlers import Handlers
from cepheid.store.reactions import Reactions
from cepheid.store.rows import OWN_COLUMNS, read_runs, saved_name

if TYPE_CHECKING:
    from cepheid.engine import Engine, Rules
    from cepheid.store.event_store import EventStore

__all__ = ["ProcessManager"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_FORMAT = 1
# How many events are pushed between two commits, each of which saves the engine.
_BATCH_EVENTS = 1024
# How often what is decided is decided anew, because somebody else appended to the stream in between.
_CONFLICTS_MAX = 16
# How long is waited for events before it is looked whether to stop.
_LOOK_AGAIN_S = 0.05


@final
class ProcessManager:
    """Rules that follow a store, and functions that turn what they find into new events.

    The events go to an engine in the order of their positions; what it derives goes to functions, which give events to
    append, or commands to handle. The engine's state, how far the store has been read, and all that is appended are
    committed together: after ``kill -9`` it goes on from there, and nothing is lost or done twice. Derived events have
    ids that the same input gives again, which are the idempotency keys of what is appended: a manager whose state has
    been lost appends nothing twice either.

    Rules that follow up what others find read what those derive, by naming its topic, and not the events that are made
    of it: those come when the clock has gone on, and may be late.

    Args:
        name: What its state is saved under.
        rules: Rules, as for `cepheid.Engine`.
        from_: The position where it begins if nothing is saved under its name. None: at the first event.
        event_time: The column of the event time. None: that of the store.
        options: Options of the engine: ``lateness``, ``late``, ``idle``, ``future``, ``topics``, ``threads``,
            ``memory_limit``. A store's events may be of long ago, or of a time to come in a test: ``future`` is None
            unless it is said.

    Raises:
        TypeError: An argument is of the wrong type, or no option of an engine that can be said here.
        StoreError: A rule names no topic (code ``store-option``).

    Example:
        >>> import cepheid as cep
        >>> from cepheid import absent, event
        >>> shipped = event("shipped", topic="order.shipped")
        >>> late = event("paid", topic="order.paid") >> absent(shipped, for_="10ns")
        >>> manager = cep.ProcessManager("delays", late.partition_by("order").named("late"))
        >>> @manager.on("late")
        ... def delayed(found):
        ...     return [("order.delayed", {"ts": found["match_end"] + 10, "order": found["order"]})]
        >>> with cep.EventStore() as store:
        ...     position = store.append("order.paid", {"ts": [5, 40], "order": [7, 8]})
        ...     position = store.append("order.shipped", [{"ts": 41, "order": 8}])
        ...     appended = manager.catch_up(store)
        ...     (appended, store.read("order.delayed").to_arrow().to_pylist())
        (1, [{'ts': 15, 'order': 7}])
    """

    __slots__ = ("_event_time", "_from", "_handlers", "_kept", "_options", "_rules", "name")

    #: What its state is saved under.
    name: str

    # The engine after the last commit: of which store, what was saved of it, and itself.
    _kept: tuple[EventStore, bytes, Engine] | None

    def __init__(
        self, name: str, rules: Rules, *, from_: int | None = None, event_time: str | None = None, **options: Any
    ) -> None:
        if wrong := options.keys() & {"ids", "clock"}:
            raise TypeError(f"a process manager says {' and '.join(sorted(wrong))} itself")
        self.name = checked_name(name, "process manager")
        self._from = 0 if from_ is None else int(from_)
        self._event_time = event_time
        self._options = {"future": None, **options}
        self._rules = rules
        self._handlers = Handlers()
        self._kept = None
        # What is wrong with the rules, or an option, is said now.
        reads = self._new_engine("ts" if event_time is None else event_time)._native.reads()
        if None in reads:
            raise StoreError(
                f"a rule of {self._whose} reads whatever it is given, what the manager appends among it: say which "
                "topic it reads, event(..., topic=...)",
                code="store-option",
            )

    def on(self, *topics: str) -> Callable[[_Function], _Function]:
        """Has a function react to the derived events of topics.

        It is given one, as a dict, and gives a list (or yields) of what is to be done: events to append, as pairs of a
        topic and a dict, or as triples with the stream that they are of; and commands, made by `Aggregate.command`.
        Nothing, or None: nothing. It may be called again for what was not committed, so it should do nothing else.

        Args:
            topics: Names of rules, or of the topics of what they derive, or patterns.

        Raises:
            StoreError: A topic has a function already (code ``duplicate-handler``).

        Example:
            >>> import cepheid as cep
            >>> manager = cep.ProcessManager("alarms", cep.event("big", "amount > 500", topic="txn").named("big"))
            >>> @manager.on("big")
            ... def alarm(found):
            ...     yield "alarm", {"ts": found["match_end"]}, "alarms-7"
        """
        return self._handlers.register(topics, self._whose)

    # Going on.

    def catch_up(self, store: EventStore, *, batch_events: int = _BATCH_EVENTS) -> int:
        """Goes through everything new, what it appends itself included; gives how many events it has appended.

        Args:
            store: The store.
            batch_events: So many events at most are pushed between two commits.

        Raises:
            ProcessorError: A function, or a command, raised, or gave what cannot be appended (code
                ``reaction-failed``). Nothing of the batch is committed.
            VersionConflictError: Others keep appending to a stream that a command is for.
            StoreError: The saved state is of other rules (code ``snapshot-rules``), events that it has not read are
                kept no longer (code ``events-removed``), or other threads run it too (code ``process-busy``).
            CepheidError: Whatever `Engine.push` raises.

        Example:
            >>> import cepheid as cep
            >>> manager = cep.ProcessManager("alarms", cep.event("big", "amount > 500", topic="txn").named("big"))
            >>> @manager.on("big")
            ... def alarm(found):
            ...     yield "alarm", {"ts": found["match_end"]}
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", {"ts": [1, 2], "amount": [900, 5]})
            ...     (manager.catch_up(store), manager.catch_up(store))
            (1, 0)
        """
        limit = checked_count(batch_events, "batch_events")
        total = 0
        while (appended := self._batch(store, lambda engine, at: self._pushed(store, engine, at, limit))) is not None:
            total += appended
        return total

    def advance_to(self, store: EventStore, time: dt.datetime | int) -> int:
        """Goes through everything new, and then moves the clock: deadlines up to a time are over.

        Args:
            store: The store.
            time: A datetime (a naive one is UTC), or nanoseconds since 1970. Events at or before it are late from then
                on.

        Returns:
            How many events it has appended.

        Raises:
            CepheidError: As for `catch_up` and `Engine.advance_to`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import absent, event
            >>> late = event("paid", topic="paid") >> absent(event("sent", topic="sent"), for_="10ns")
            >>> manager = cep.ProcessManager("delays", late.named("late"))
            >>> @manager.on("late")
            ... def delayed(found):
            ...     yield "delayed", {"ts": found["match_end"]}
            >>> with cep.EventStore() as store:
            ...     position = store.append("paid", [{"ts": 5}])
            ...     (manager.catch_up(store), manager.advance_to(store, 15))
            (0, 1)
        """
        total = self.catch_up(store)
        moved = self._batch(store, lambda engine, at: (at, [engine.advance_to(time)]))
        return total + (moved or 0)

    def run(
        self,
        store: EventStore,
        *,
        until: int | Callable[[], bool] | None = None,
        batch_events: int = _BATCH_EVENTS,
    ) -> int:
        """Follows the store: goes through what is there, and then through what comes; gives how many it has appended.

        Args:
            store: The store.
            until: Where to stop: a position, once all events before it have been read, or a function that is asked
                between batches. None: never.
            batch_events: As for `catch_up`.

        Raises:
            TypeError: `until` is neither.
            CepheidError: As for `catch_up`.

        Example:
            >>> import cepheid as cep
            >>> manager = cep.ProcessManager("alarms", cep.event("big", "amount > 500", topic="txn").named("big"))
            >>> @manager.on("big")
            ... def alarm(found):
            ...     yield "alarm", {"ts": found["match_end"]}
            >>> with cep.EventStore() as store:
            ...     position = store.append("txn", {"ts": [1, 2], "amount": [900, 5]})
            ...     manager.run(store, until=position.end)
            1
        """
        if until is not None and not callable(until) and (isinstance(until, bool) or not hasattr(until, "__index__")):
            raise TypeError(f"until is a position or a function, not {type(until).__name__}")
        total = 0
        while True:
            end = store.end
            total += self.catch_up(store, batch_events=batch_events)
            if until is not None and (until() if callable(until) else end >= int(until)):
                return total
            store._wait_for_appends(end, _LOOK_AGAIN_S)

    def position(self, store: EventStore) -> int:
        """The position that its saved state is at: all events of its topics before it have been dealt with.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     cep.ProcessManager("alarms", cep.event("big", topic="txn").named("big")).position(store)
            0
        """
        saved = store.load(self._saved)
        return self._from if saved is None else int(_parts(saved)[0])

    # One batch.

    def _batch(
        self, store: EventStore, move: Callable[[Engine, int], tuple[int, Iterable[Derived]] | None]
    ) -> int | None:
        """Moves the engine as it is saved, and commits what comes of it; gives how many events were appended.

        None: there was nothing to move it by.
        """
        for left in reversed(range(_CONFLICTS_MAX)):
            with store._states:
                saved = store.load(self._saved)
                engine, begin = self._engine(store, saved)
            moved = move(engine, begin)
            if moved is None:
                if saved is not None:
                    self._kept = (store, saved, engine)
                return None
            position, derived = moved
            reactions = Reactions(store)
            for found in derived:
                for topic, matches in found.items():
                    for event in matches:
                        self._react(reactions, topic, event)
            changes = store.transaction()
            reactions.append_to(changes)
            data = _joined(position, engine.snapshot())
            changes.save(self._saved, data)
            try:
                with store._states:
                    if store.load(self._saved) != saved:
                        # Another thread has dealt with these events.
                        continue
                    positions = changes.commit()
                    self._kept = (store, data, engine)
            except VersionConflictError:
                if not left:
                    raise
                continue
            return sum(made.events for made in positions if not made.repeated)
        raise StoreError(
            f"{self._whose} is run by others at the same time, who are always faster: have one of them run it",
            code="process-busy",
        )

    def _pushed(
        self, store: EventStore, engine: Engine, begin: int, limit: int | None
    ) -> tuple[int, list[Derived]] | None:
        topics = self._topics(store, engine)
        found = read_runs(store, topics, from_=begin, limit=limit)
        if not found.runs:
            return None
        counted = {source.topic: source.rows for source in engine.stats().sources}
        derived = []
        for topic, rows in found.runs:
            first, before = rows["_row"][0].as_py(), counted.get(topic, 0)
            if first > before:
                # The engine numbers its rows; these have the numbers, and so the ids, that they have in the store.
                engine._native.skip(topic, first - before)
            derived.append(engine.push(rows.drop_columns(list(OWN_COLUMNS)), topic))
            counted[topic] = first + rows.num_rows
        return found.position, derived

    def _topics(self, store: EventStore, engine: Engine) -> list[str]:
        """The topics that the rules read, and that there are."""
        known = store.info().topics
        reads = engine._native.reads()
        names = [name for name in reads if name is not None and name in known]
        counted = {source.topic: source.rows for source in engine.stats().sources}
        for name in names:
            # Of a topic that it has not read yet nobody knows where it was to begin.
            if name in counted and known[name].removed > counted[name] > 0:
                raise StoreError(
                    f"events of topic `{name}` that {self._whose} has not read are kept no longer (rows "
                    f"{counted[name]} to {known[name].removed - 1})",
                    code="events-removed",
                )
        return names

    def _react(self, reactions: Reactions, topic: str, event: Mapping[str, Any]) -> None:
        function = self._handlers.of(topic)
        if function is None:
            return
        try:
            found = function(dict(event))
            key = event.get("id")
            for place, item in enumerate(_listed(found)):
                # One derived event may lead to several: each has its own key.
                reactions.add(item, None if key is None else f"{self.name}/{key}/{place}")
        except Exception as error:
            # What was decided and is not appended has no say in what columns are meant as.
            reactions.forget()
            raise ProcessorError(
                f"{self._whose} reacting to `{topic}`: {type(error).__name__}: {error}",
                code="reaction-failed",
                processor=self.name,
            ) from error

    # What is saved.

    @property
    def _whose(self) -> str:
        return f"process manager `{self.name}`"

    @property
    def _saved(self) -> str:
        return saved_name("process", self.name)

    def _new_engine(self, event_time: str) -> Engine:
        from cepheid.engine import Engine

        return Engine(self._rules, event_time, ids=True, **self._options)

    def _engine(self, store: EventStore, saved: bytes | None) -> tuple[Engine, int]:
        from cepheid.engine import Engine

        # Once moved, it is of no use unless what comes of it is committed.
        kept, self._kept = self._kept, None
        if saved is not None and kept is not None and kept[0] is store and kept[1] == saved:
            return kept[2], _parts(saved)[0]
        if saved is None:
            event_time = store._event_time if self._event_time is None else self._event_time
            return self._new_engine(event_time), self._from
        position, blob = _parts(saved)
        options = {name: self._options[name] for name in ("threads", "memory_limit") if name in self._options}
        return Engine.restore(blob, self._rules, **options), position

    def __repr__(self) -> str:
        return f"<ProcessManager {self.name!r}: reacts to {', '.join(self._handlers) or 'no topics'}>"


def _listed(found: Any) -> Iterator[Any]:
    if found is None:
        return iter(())
    if isinstance(found, (str, bytes, Mapping, Command)) or not isinstance(found, Iterable):
        raise TypeError(f"a reaction is a list of events and commands, not {type(found).__name__}")
    items = list(found)
    if len(items) in (2, 3) and isinstance(items[0], str):
        raise TypeError(f"a reaction is a list of events: put that of {items[0]!r} into a list")
    return iter(items)


def _joined(position: int, snapshot: bytes) -> bytes:
    return json.dumps({"format": _FORMAT, "position": position}).encode() + b"\n" + snapshot


def _parts(saved: bytes) -> tuple[int, bytes]:
    head, _, snapshot = saved.partition(b"\n")
    says = json.loads(head)
    if says["format"] != _FORMAT:
        raise StoreError(
            f"the saved state is of format {says['format']}, which is newer: read it with the version that wrote it",
            code="store-format",
        )
    return says["position"], snapshot
