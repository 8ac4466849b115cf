"""What a process manager is about to append: events, and what commands decide on states that these have changed."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from cepheid.building import checked_name
from cepheid.input import arrow_table
from cepheid.store.command import Command, Given, decided, given_events, recorded_outcome
from cepheid.store.pending import pending_rows
from cepheid.store.rows import Run, saved_name

if TYPE_CHECKING:
    from cepheid.store.event_store import EventStore
    from cepheid.store.folding import Folded
    from cepheid.store.transaction import Transaction

__all__ = ["Reactions"]


class _Append(NamedTuple):
    """An event that is to be appended.

    Attributes:
        given: It.
        stream: Its stream, or None.
        version: How many events that has to have before it, or None.
        key: Its idempotency key, or None.
    """

    given: Given
    stream: str | None
    version: int | None
    key: str | None


class Reactions:
    """Events and commands in their order, to be appended in one transaction.

    A command decides on the state of its stream as it will be: with the events before it that are not appended yet.
    """

    __slots__ = ("_appends", "_outcomes", "_states", "_store")

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._appends: list[_Append] = []
        # States as commands have left them, and how many of the appends have been folded into each.
        self._states: dict[tuple[int, str], tuple[Folded, int]] = {}
        # What is saved of commands that have keys.
        self._outcomes: dict[str, bytes] = {}

    def add(self, item: Any, key: str | None) -> None:
        """Takes an event or a command, with what tells a repeat.

        Raises:
            TypeError: It is neither.
            CepheidError: Whatever loading the state raises; and whatever the command does.
        """
        if isinstance(item, Command):
            self._decide(item, key)
            return
        stream = None
        if isinstance(item, (tuple, list)) and len(item) == 3:
            *item, stream = item
        [given] = given_events([item], None, "a reaction")
        stream = None if stream is None else checked_name(stream, "stream")
        self._appends.append(_Append(given, stream, None, key))

    def _decide(self, command: Command, key: str | None) -> None:
        aggregate, stream = command.aggregate, command.stream
        name = None if key is None else saved_name("command", aggregate.name, stream, key)
        if name is not None and (name in self._outcomes or self._store.load(name) is not None):
            return
        folded = self._state(command)
        given = decided(
            command.function, copy.deepcopy(folded.state), command.args, aggregate._upcasters, aggregate._whose
        )
        if name is not None:
            self._outcomes[name] = recorded_outcome(stream, folded.version, folded.version + len(given))
        for place, event in enumerate(given):
            self._appends.append(_Append(event, stream, folded.version + place, None))

    def _state(self, command: Command) -> Folded:
        aggregate, stream = command.aggregate, command.stream
        place = (id(aggregate), stream)
        folded, done = self._states.get(place) or (aggregate._folded(self._store, stream), 0)
        for append in self._appends[done:]:
            # Of one that came before nothing is appended now; it is among the events that were loaded.
            if append.stream == stream and not self._repeats(append):
                aggregate._fold(self._store, stream, folded, [self._pending(append.given, stream, folded)])
        self._states[place] = (folded, len(self._appends))
        return folded

    def _repeats(self, append: _Append) -> bool:
        if append.key is None:
            return False
        return self._store._view.has_key(append.given.topic, append.key)

    def _pending(self, given: Given, stream: str, folded: Folded) -> Run:
        store = self._store
        table = arrow_table(store._columns.table([given.event], given.topic))
        known = store._known_columns(given.topic)
        rows = pending_rows(table, known, position=store.end, row=0, stream=stream, version=folded.version)
        return Run(given.topic, rows)

    def append_to(self, changes: Transaction) -> None:
        """Puts all of it into a transaction."""
        for (topic, event), stream, version, key in self._appends:
            changes.append(topic, [event], stream=stream, expected_version=version, idempotency_key=key)
        for name, outcome in self._outcomes.items():
            changes.save(name, outcome)

    def forget(self) -> None:
        """Forgets what columns events that are not appended would have had."""
        self._store._columns.forget()
