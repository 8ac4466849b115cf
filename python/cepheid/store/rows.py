"""Events of a store as runs of rows: one topic each, in its own columns, in the order of positions."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from cepheid.errors import SchemaError
from cepheid.store.times import nanoseconds, nanoseconds_or

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.store.event_store import EventStore

__all__ = [
    "OWN_COLUMNS",
    "Run",
    "Runs",
    "joined",
    "python_rows",
    "read_runs",
    "saved_name",
    "stretches",
    "times_ns",
    "topic_fits",
]

# The store's own columns of a run, which stand in front of the topic's.
OWN_COLUMNS = ("_position", "_row", "_stream", "_version", "_recorded")

# Positions that are read at a time where topics have to be read one by one.
_WINDOW = 8192

# Names under which states are saved have so many bytes at most.
_NAME_BYTES_MAX = 255


class Run(NamedTuple):
    """Rows of one topic that follow each other.

    Attributes:
        topic: The topic.
        rows: The rows, the store's `OWN_COLUMNS` in front.
    """

    topic: str
    rows: pa.Table


class Runs:
    """What was read."""

    __slots__ = ("_columns", "_runs", "position", "table")

    #: The position after all that was looked at: where to read on.
    position: int
    #: The rows in one table with all their columns, ``_topic`` among them; None: their types do not meet.
    table: pa.Table | None

    def __init__(
        self, runs: list[Run] | None, position: int, table: pa.Table | None = None, columns: Any = None
    ) -> None:
        self._runs = runs
        self._columns = columns
        self.position = position
        self.table = table

    @property
    def runs(self) -> list[Run]:
        """The rows as runs of one topic each, in the order of positions."""
        if self._runs is None:
            assert self.table is not None
            self._runs = _cut(self.table, self._columns)
        return self._runs

    @property
    def events(self) -> int:
        """How many rows there are."""
        return sum(run.rows.num_rows for run in self.runs) if self.table is None else int(self.table.num_rows)

    def columns_of(self, topic: str) -> list[str]:
        """The columns of a topic's own that are among those of the table."""
        own: list[str] = self._columns(topic)
        return own

    def row_numbers(self) -> Iterator[tuple[str, int, int]]:
        """Topics, and the numbers of the first and the last of their rows here."""
        import pyarrow.compute as pc

        if self.table is None:
            for topic, rows in self.runs:
                yield topic, rows["_row"][0].as_py(), rows["_row"][-1].as_py()
            return
        for topic in pc.unique(self.table["_topic"]).to_pylist():
            rows = self.table["_row"].filter(pc.equal(self.table["_topic"], topic))
            yield topic, rows[0].as_py(), rows[-1].as_py()


def read_runs(
    store: EventStore,
    patterns: Iterable[str],
    *,
    stream: str | None = None,
    from_: int = 0,
    limit: int | None = None,
    topics: Iterable[str] | None = None,
    end: int | None = None,
    where: Any = None,
) -> Runs:
    """Events of topics from a position on, as the store is now.

    `EventStore.read` puts all topics into one schema, which columns of one name and different types do not have. Here
    topics keep their own: where they do not meet, they are read one by one and put in order.

    Args:
        store: The store.
        patterns: Names or patterns of topics; a name of a topic that is not there yet is no error.
        stream: The stream that they are of.
        from_: The first position.
        limit: About so many events at most.
        topics: Names of the topics that there are, if the caller knows them already.
        end: The position to read to, which the store had when these were asked for, or before: a topic that came
            since has events behind it. None: the store's end now, for callers to whom no topic is new.
        where: A condition on events.
    """
    end = store.end if end is None else end
    if end <= from_:
        return Runs([], from_)
    wanted = tuple(patterns)
    known = store.info().topics if topics is None else topics
    names = [name for name in known if any(topic_fits(pattern, name) for pattern in wanted)]
    if not names:
        return Runs([], end)
    try:
        found = store.read(names, where=where, stream=stream, from_=from_, to=end, limit=limit, metadata=True)
    except SchemaError as error:
        if error.code != "schema-conflict" or len(names) == 1:
            raise
        return _one_by_one(store, names, stream, from_, end, limit, where)
    events = found.to_arrow()
    full = limit is not None and events.num_rows >= limit
    position = events["_position"][-1].as_py() + 1 if full else end

    @functools.cache
    def columns(topic: str) -> list[str]:
        own = set(store.read(topic).schema.names)
        return [name for name in events.column_names if name in own]

    return Runs(None, position, events, columns)


def stretches(labels: pa.ChunkedArray) -> list[tuple[int, int]]:
    """Where rows next to each other have one label: from which row, and before which."""
    import pyarrow.compute as pc

    if not len(labels):
        return []
    plain = labels.combine_chunks()
    changes = pc.not_equal(plain.slice(1), plain.slice(0, len(plain) - 1)).to_numpy(zero_copy_only=False)
    return list(itertools.pairwise([0, *(changes.nonzero()[0] + 1).tolist(), len(plain)]))


def _cut(events: pa.Table, columns: Callable[[str], list[str]]) -> list[Run]:
    """Events of many topics as runs, each in the columns of its own topic."""
    tables: dict[str, pa.Table] = {}
    runs = []
    for start, stop in stretches(events["_topic"]):
        topic = events["_topic"][start].as_py()
        if topic not in tables:
            tables[topic] = events.select([*OWN_COLUMNS, *columns(topic)])
        runs.append(Run(topic, tables[topic].slice(start, stop - start)))
    return runs


def _one_by_one(
    store: EventStore, names: list[str], stream: str | None, from_: int, end: int, limit: int | None, where: Any
) -> Runs:
    import numpy as np

    # A stream has few events among many: all are read at once.
    window = end - from_ if stream is not None or limit is None else _WINDOW
    runs: list[Run] = []
    position, events = from_, 0
    while position < end and (limit is None or events < limit):
        to = min(position + window, end)
        tables = [
            store.read(name, where=where, stream=stream, from_=position, to=to, metadata=True).to_arrow()
            for name in names
        ]
        position = to
        parts = [
            Run(name, table.drop_columns(["_topic"])) for name, table in zip(names, tables, strict=True) if len(table)
        ]
        if not parts:
            continue
        positions = np.concatenate([run.rows["_position"].to_numpy() for run in parts])
        owners = np.repeat(np.arange(len(parts)), [run.rows.num_rows for run in parts])
        offsets = np.concatenate([np.arange(run.rows.num_rows) for run in parts])
        order = np.argsort(positions, kind="stable")
        owners, offsets = owners[order], offsets[order]
        starts = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(owners)]
        for start, stop in itertools.pairwise(starts):
            part = parts[int(owners[start])]
            runs.append(Run(part.topic, part.rows.slice(int(offsets[start]), stop - start)))
        events += len(owners)
    return Runs(runs, position)


def joined(tables: list[pa.Table]) -> pa.Table:
    """Tables below each other; columns that one does not have are NULL in its rows, and numbers meet as floats.

    Raises:
        SchemaError: Columns have types that do not meet (code ``schema-conflict``).
    """
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise SchemaError(
            f"events of several topics have columns whose types do not meet: {error}; handle the topics one by one",
            code="schema-conflict",
        ) from error


def topic_fits(pattern: str, topic: str) -> bool:
    """Whether a pattern names a topic: ``*`` is any one part between dots, ``>`` at the end one or more."""
    if pattern == topic:
        return True
    wanted, parts = pattern.split("."), topic.split(".")
    if wanted[-1] == ">" and len(parts) >= len(wanted):
        wanted, parts = wanted[:-1], parts[: len(wanted) - 1]
    return len(wanted) == len(parts) and all(want in ("*", part) for want, part in zip(wanted, parts, strict=True))


def python_rows(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as dicts. Times that are finer than a microsecond are cut off, as Python's have no more."""
    import pyarrow as pa

    for place, field in enumerate(rows.schema):
        kind = field.type
        if (pa.types.is_timestamp(kind) or pa.types.is_duration(kind)) and kind.unit == "ns":
            coarse = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("us")
            rows = rows.set_column(place, field.with_type(coarse), rows.column(place).cast(coarse, safe=False))
    found: list[dict[str, Any]] = rows.to_pylist()
    return found


def times_ns(rows: pa.Table, event_time: str) -> list[int]:
    """When rows happened, in nanoseconds: their event time, or when they were recorded if they came without one."""
    column = rows.column(event_time if event_time in rows.column_names else "_recorded")
    if column.null_count > 0:
        times = nanoseconds_or(column, nanoseconds(rows.column("_recorded")))
    else:
        times = nanoseconds(column)
    found: list[int] = times.tolist()
    return found


def saved_name(*parts: str) -> str:
    """A name for what is saved; one that would be too long ends in a hash."""
    name = "/".join(parts)
    if len(name.encode()) <= _NAME_BYTES_MAX:
        return name
    return f"{parts[0]}/sha256/{hashlib.sha256(name.encode()).hexdigest()}"
