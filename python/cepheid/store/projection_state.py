"""What a projection is at a position: how it is saved, and how it is brought further."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from cepheid.errors import FoldError, StoreError
from cepheid.store.rows import OWN_COLUMNS, Run, Runs, joined, read_runs, stretches, topic_fits

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from cepheid.store.event_store import EventStore
    from cepheid.store.handlers import Handlers
    from cepheid.store.upcasting import Upcasters
    from cepheid.store.verification import TopicInfo

__all__ = ["Folding", "ProjectionState"]

_FORMAT = 1

# What functions are shown of the store's own columns: what is known of events that are about to be appended too.
_SHOWN = ("_position", "_topic", "_stream", "_version")


@dataclass(slots=True)
class ProjectionState:
    """The state of a projection at a position.

    Attributes:
        state: What the events before it fold into.
        position: The position.
        rows: By topic, the number of the row that comes next: what is missing is noticed.
        fold: The version of the functions that made it, as text.
        events: How many events were folded since it was loaded.
    """

    state: Any
    position: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    fold: str = ""
    events: int = 0

    def to_bytes(self, encoded: bytes) -> bytes:
        """It as it is saved: a line of JSON, and the state."""
        says = {"format": _FORMAT, "fold": self.fold, "position": self.position, "rows": self.rows}
        return json.dumps(says, ensure_ascii=False).encode() + b"\n" + encoded

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> tuple[ProjectionState, bytes]:
        """What was saved, and the state as it is encoded.

        Raises:
            StoreError: It is of a newer format (code ``store-format``).
        """
        head, _, state = data.partition(b"\n")
        says = json.loads(head)
        if says["format"] != _FORMAT:
            raise StoreError(
                f"the saved state of projection `{name}` is of format {says['format']}, which is newer: read it with "
                "the version that wrote it",
                code="store-format",
            )
        return cls(None, says["position"], says["rows"], says["fold"]), state


@dataclass(frozen=True, slots=True)
class Folding:
    """How tables of events change a state.

    Attributes:
        owner: Whose functions they are, for messages.
        handlers: The functions.
        upcasters: What old events go through first, or None.
        keep_secrets: Whether protected columns are handed on; otherwise they are NULL.
        removed_is_error: Whether events that are kept no longer are missed.
    """

    owner: str
    handlers: Handlers
    upcasters: Upcasters | None
    keep_secrets: bool
    removed_is_error: bool

    def advance(self, store: EventStore, to: ProjectionState, limit: int | None) -> int:
        """Folds what comes next, about so many events; gives how many. None left: the state is as new as the store.

        Raises:
            StoreError: Events are kept no longer (code ``events-removed``).
            FoldError: A function raised.
            UpcastError: An event cannot be read as the newest version.
        """
        # First: a topic that comes between the two has its events behind this end, and they are read next.
        end = store.end
        topics = store.info().topics
        for name, topic in topics.items():
            if topic.removed > to.rows.get(name, 0) and self.concerns(name):
                self._miss(name, to, topic.removed)
        found = read_runs(store, self.handlers, from_=to.position, limit=limit, topics=topics, end=end)
        for name, first, last in found.row_numbers():
            if first > to.rows.get(name, 0):
                # Removed since the topics were looked at.
                self._miss(name, to, first)
            to.rows[name] = last + 1
        if found.table is None or any(self._changes(name, topics) for name in topics):
            self.fold(to, found.runs, topics)
        else:
            self._fold_table(to, found)
        to.position = found.position
        return found.events

    def concerns(self, topic: str) -> bool:
        """Whether a topic's events are folded."""
        return any(topic_fits(pattern, topic) for pattern in self.handlers)

    def _miss(self, topic: str, to: ProjectionState, kept_from: int) -> None:
        if self.removed_is_error:
            raise StoreError(
                f"events of topic `{topic}` that {self.owner} has not folded are kept no longer (rows "
                f'{to.rows.get(topic, 0)} to {kept_from - 1}); to go on without them, have `removed="ignore"`',
                code="events-removed",
            )
        to.rows[topic] = kept_from

    def _changes(self, topic: str, topics: Mapping[str, TopicInfo]) -> bool:
        """Whether rows of a topic are handed on otherwise than they are read."""
        lifted = self.upcasters is not None and self.upcasters.concerns(topic)
        return self.concerns(topic) and (lifted or (not self.keep_secrets and bool(topics[topic].protected)))

    def _fold_table(self, to: ProjectionState, found: Runs) -> None:
        """As `fold`, of what is one table anyway: to cut it where topics change, and join it again, takes longer."""
        import pyarrow as pa

        table = found.table
        assert table is not None
        topics = table["_topic"].to_pylist()
        functions = {topic: self.handlers.of(topic) for topic in set(topics)}
        numbers = {function: number for number, function in enumerate(set(functions.values()))}
        labels = pa.chunked_array([pa.array([numbers[functions[topic]] for topic in topics], pa.int64())])
        for start, stop in stretches(labels):
            names = {name for topic in set(topics[start:stop]) for name in found.columns_of(topic)}
            shown = [*_SHOWN, *(name for name in table.column_names if name in names)]
            self._apply(to, functions[topics[start]], table.select(shown).slice(start, stop - start))

    def fold(self, to: ProjectionState, runs: list[Run], topics: Mapping[str, TopicInfo]) -> None:
        """Gives runs of rows to their functions: those next to each other of one function in one table."""
        if not self.keep_secrets:
            runs = [_masked(run, topics) for run in runs]
        if self.upcasters is not None:
            runs = self.upcasters.lift(runs)
        for function, group in groupby(runs, lambda run: self.handlers.of(run.topic)):
            if function is not None:
                self._apply(to, function, _shown(group))

    def _apply(self, to: ProjectionState, function: Callable[..., Any] | None, events: pa.Table) -> None:
        if function is None:
            return
        first, position = events["_topic"][0].as_py(), events["_position"][0].as_py()
        where = f"{events.num_rows} events from position {position} on (`{first}`)"
        try:
            state = function(to.state, events)
        except Exception as error:
            problem = f"{where}: {self.owner} raised {type(error).__name__}: {error}"
            raise FoldError(problem, topic=first, position=position) from error
        if state is None and to.state is not None:
            problem = f"{where}: the function of {self.owner} gave None; it has to return the state"
            raise FoldError(problem, topic=first, position=position)
        to.state = state
        to.events += events.num_rows


def _masked(run: Run, topics: Mapping[str, TopicInfo]) -> Run:
    import pyarrow as pa

    info, rows = topics.get(run.topic), run.rows
    for name in () if info is None else info.protected:
        if name in rows.column_names:
            place = rows.column_names.index(name)
            column = pa.nulls(rows.num_rows, rows.schema.field(place).type)
            rows = rows.set_column(place, rows.schema.field(place), column)
    return Run(run.topic, rows)


def _shown(runs: Iterable[Run]) -> pa.Table:
    """Rows as functions are given them: without what is not known of events that are about to be appended."""
    import pyarrow as pa

    tables = []
    for topic, rows in runs:
        position, stream, version = (rows.column(name) for name in ("_position", "_stream", "_version"))
        own = {
            "_position": position,
            "_topic": pa.array([topic] * rows.num_rows, pa.string()),
            "_stream": stream,
            "_version": version,
        }
        body = rows.drop_columns(list(OWN_COLUMNS))
        tables.append(pa.table({**own, **dict(zip(body.column_names, body.columns, strict=True))}))
    return joined(tables)
