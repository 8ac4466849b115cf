"""Projections that are folded in the transaction that appends their events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cepheid.input import arrow_table
from cepheid.store.pending import pending_rows
from cepheid.store.rows import OWN_COLUMNS, Run

if TYPE_CHECKING:
    from cepheid._native import EventLog
    from cepheid.store.event_store import EventStore
    from cepheid.store.projection import Projection

__all__ = ["InlineProjections"]

Made = list[tuple[int, int, int, int | None, bool]]

# Changes are told apart by their length: an append has five parts, whatever is saved has four.
_APPEND_PARTS = 5


class InlineProjections:
    """Projections that are as new as the store, because whatever is appended goes by them.

    Where events will be is known before they are appended: one handle writes, and while a projection is attached its
    commits happen one by one.
    """

    __slots__ = ("_projections", "_store")

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._projections: dict[str, Projection] = {}

    def attach(self, projections: Iterable[Projection]) -> None:
        """Brings projections up to the present, and keeps them there."""
        for projection in projections:
            projection.catch_up(self._store)
            self._projections[projection.name] = projection

    def detach(self, projections: Iterable[Projection]) -> bool:
        """Lets projections go, all if none is named; gives whether there are any left."""
        names = [projection.name for projection in projections] or list(self._projections)
        for name in names:
            self._projections.pop(name, None)
        return bool(self._projections)

    def commit(self, native: EventLog, changes: list[tuple[Any, ...]]) -> Made:
        """Makes changes, and saves with them what they make of the projections."""
        store = self._store
        with store._states:
            changes = list(changes)
            runs = self._runs(changes)
            concerned = [
                projection
                for projection in self._projections.values()
                if any(projection._folding.concerns(run.topic) for run in runs or ())
            ]
            if not runs or not concerned:
                # Nothing to fold, or the store will say what is wrong with it.
                return native.commit(changes)
            begin = store.end
            befores = []
            for projection in concerned:
                current, before = projection._current(store)
                while projection._folding.advance(store, current, None):
                    pass
                topics = store.info().topics
                wanted = [run for run in runs if projection._folding.concerns(run.topic)]
                projection._folding.fold(current, wanted, topics)
                for run in wanted:
                    current.rows[run.topic] = run.rows["_row"][-1].as_py() + 1
                current.position = begin + sum(run.rows.num_rows for run in runs)
                changes.append(("save", "state", projection._saved, projection._to_bytes(current)))
                befores.append((projection, before))
            made = native.commit(changes)
            first = next(position for position, events, *_, repeated in made if events and not repeated)
            if first != begin:
                self._mend(befores)
            return made

    def _mend(self, befores: list[tuple[Projection, bytes | None]]) -> None:
        """Folds anew from before: a call that was under way when a projection was attached has appended in between."""
        for projection, before in befores:
            with self._store.transaction() as changes:
                if before is None:
                    changes.forget(projection._saved)
                else:
                    changes.save(projection._saved, before)
            projection.catch_up(self._store)

    def _runs(self, changes: list[tuple[Any, ...]]) -> list[Run] | None:
        """What will be read of the appends of a transaction; None: the store will refuse them."""
        store = self._store
        topics = store.info().topics
        rows_by_topic = {name: info.events for name, info in topics.items()}
        versions: dict[str, int] = {}
        keys: set[tuple[str, str]] = set()
        position, runs = store.end, []
        for place, change in enumerate(changes):
            if len(change) != _APPEND_PARTS:
                continue
            topic, batch, stream, expected, key = change
            table = arrow_table(batch)
            if {*OWN_COLUMNS, "_topic"} & set(table.column_names):
                return None
            # What exports Arrow may do so once.
            changes[place] = (topic, table, stream, expected, key)
            known = store._known_columns(topic) if topic in topics else None
            if key is not None:
                if (topic, key) in keys or store._view.has_key(topic, key):
                    continue
                keys.add((topic, key))
            version = None
            if stream is not None:
                version = versions.get(stream, store.version(stream) if stream else 0)
                if expected is not None and expected != version:
                    return None
                versions[stream] = version + table.num_rows
            if not table.num_rows:
                continue
            row = rows_by_topic.get(topic, 0)
            rows = pending_rows(table, known, position=position, row=row, stream=stream, version=version)
            runs.append(Run(topic, rows))
            rows_by_topic[topic] = row + table.num_rows
            position += table.num_rows
        return runs
