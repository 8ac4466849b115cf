"""Old forms of events read as the newest: functions that lead from each version of a topic's schema to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, final

from cepheid.building import checked_name
from cepheid.errors import StoreError, UpcastError
from cepheid.options import checked_flag
from cepheid.store.handle import checked_topics, optional_name
from cepheid.store.rows import OWN_COLUMNS, Run, joined, read_runs

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.store.event_store import EventStore

__all__ = ["VERSION_COLUMN", "Upcasters"]

#: The column that says of which version of its topic's schema an event is; absent or NULL is 1.
VERSION_COLUMN = "schemaversion"

Upcaster = Callable[["pa.Table"], "pa.Table"]
_Function = TypeVar("_Function", bound=Callable[..., Any])


@final
class Upcasters:
    """Functions that lead from each version of a topic's schema to the next, applied when events are read.

    What is stored stays as it was written. An event says of which version it is in the column ``schemaversion``; absent
    or NULL is 1. It goes through the functions of its version, of the next, and so on, up to the newest that is known;
    the column says that one then.

    Args:
        known: The newest version of topics that have no function yet, or whose last ones have been lost: of an event
            that is newer than what is known nobody knows what it says, so it is an error. Topics that are neither here
            nor have a function are passed on as they are.

    Raises:
        StoreError: A version is none (code ``store-option``).

    Example:
        >>> import cepheid as cep
        >>> import pyarrow.compute as pc
        >>> upcasters = cep.Upcasters()
        >>> @upcasters.on("order.created", from_version=1)
        ... def cents(events):
        ...     return events.append_column("cents", pc.multiply(events["amount"], 100)).drop_columns(["amount"])
        >>> with cep.EventStore() as store:
        ...     position = store.append("order.created", [{"ts": 1, "amount": 7}])
        ...     position = store.append("order.created", [{"ts": 2, "cents": 950, "schemaversion": 2}])
        ...     upcasters.read(store, "order.*")["cents"].to_pylist()
        [700, 950]
    """

    __slots__ = ("_functions", "_known")

    _functions: dict[str, dict[int, Upcaster]]
    _known: dict[str, int]

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        self._functions = {}
        self._known = {
            checked_name(topic, "topic"): _checked_version(version, "a known version")
            for topic, version in (known or {}).items()
        }

    def on(self, topic: str, *, from_version: int) -> Callable[[_Function], _Function]:
        """Has a function lead from a version of a topic to the next.

        It is given a `pyarrow.Table` of the topic's own columns, all rows of that version, and gives one of as many
        rows in the same order.

        Args:
            topic: The topic: a name and no pattern, as each has its own versions.
            from_version: The version that it takes.

        Raises:
            StoreError: There is one already (code ``duplicate-handler``), or the version is none.

        Example:
            >>> import cepheid as cep
            >>> upcasters = cep.Upcasters()
            >>> @upcasters.on("order.created", from_version=1)
            ... def renamed(events):
            ...     return events.rename_columns({"user": "customer"})
            >>> upcasters.latest("order.created")
            2
        """
        checked_name(topic, "topic")
        version = _checked_version(from_version, "from_version")

        def register(function: _Function) -> _Function:
            if not callable(function):
                raise TypeError(f"an upcaster is a function, not {type(function).__name__}")
            functions = self._functions.setdefault(topic, {})
            if version in functions:
                raise StoreError(
                    f"topic `{topic}` has an upcaster from version {version} already", code="duplicate-handler"
                )
            functions[version] = function
            return function

        return register

    def latest(self, topic: str) -> int:
        """The version that events of a topic have when they have been read: what new ones have to say.

        Example:
            >>> import cepheid as cep
            >>> cep.Upcasters().latest("order.created")
            1
        """
        return max(self._known.get(topic, 1), *(version + 1 for version in self._functions.get(topic, ())), 1)

    def concerns(self, topic: str) -> bool:
        """Whether anything is known of a topic's versions.

        Example:
            >>> import cepheid as cep
            >>> cep.Upcasters({"order.created": 2}).concerns("order.created")
            True
        """
        return topic in self._functions or topic in self._known

    def upcast(self, topic: str, events: pa.Table) -> pa.Table:
        """Events of a topic in their newest form.

        Args:
            topic: The topic.
            events: Rows of it. The store's own columns, if they are there, are kept from the functions.

        Raises:
            UpcastError: No function leads from a version to the next (code ``upcaster-missing``); an event is of a
                newer version than is known (code ``event-version``), or of none; a function raised, or gave something
                else than as many rows (code ``upcaster-failed``).

        Example:
            >>> import cepheid as cep
            >>> import pyarrow as pa
            >>> upcasters = cep.Upcasters()
            >>> @upcasters.on("order.created", from_version=1)
            ... def with_currency(events):
            ...     return events.append_column("currency", pa.array(["EUR"] * events.num_rows))
            >>> upcasters.upcast("order.created", pa.table({"ts": [1]})).to_pylist()
            [{'ts': 1, 'currency': 'EUR', 'schemaversion': 2}]
        """
        import numpy as np
        import pyarrow as pa

        if not self.concerns(topic) or not events.num_rows:
            return events
        latest = self.latest(topic)
        versions = np.asarray(self._versions(topic, events), dtype=np.int64)
        if (versions > latest).any() or (versions < 1).any():
            self._refuse(topic, int(versions[(versions > latest) | (versions < 1)][0]), latest)
        own = [name for name in events.column_names if name in (*OWN_COLUMNS, "_topic")]
        front, body = events.select(own), events.drop_columns(own)
        parts, places = [], []
        for version in np.unique(versions).tolist():
            rows = np.flatnonzero(versions == version)
            part = body if len(rows) == len(versions) else body.take(pa.array(rows))
            parts.append(self._lifted(topic, part, version, latest))
            places.append(rows)
        made = joined(parts)
        if len(parts) > 1:
            made = made.take(pa.array(np.argsort(np.concatenate(places), kind="stable")))
        for place, name in enumerate(own):
            made = made.add_column(place, front.schema.field(name), front.column(name))
        return made

    def _versions(self, topic: str, events: pa.Table) -> list[int]:
        import pyarrow as pa
        import pyarrow.compute as pc

        if VERSION_COLUMN not in events.column_names:
            return [1] * events.num_rows
        try:
            column = events.column(VERSION_COLUMN).cast(pa.int64())
        except pa.ArrowException as error:
            raise UpcastError(
                f"the column `{VERSION_COLUMN}` of topic `{topic}` says no versions: {error}",
                code="event-version",
                topic=topic,
            ) from error
        versions: list[int] = pc.fill_null(column, 1).to_pylist()
        return versions

    def _refuse(self, topic: str, version: int, latest: int) -> None:
        if version < 1:
            problem = f"version {version}, which is none: they count from 1"
        else:
            problem = f"version {version}, and {latest} is the newest known: read it with the program that wrote it"
        raise UpcastError(f"an event of topic `{topic}` is of {problem}", code="event-version", topic=topic,
                          version=version)  # fmt: skip

    def _lifted(self, topic: str, events: pa.Table, version: int, latest: int) -> pa.Table:
        import pyarrow as pa

        count = events.num_rows
        for step in range(version, latest):
            function = self._functions.get(topic, {}).get(step)
            if function is None:
                raise UpcastError(
                    f"nothing leads from version {step} of topic `{topic}` to {step + 1}: register a function with "
                    f"`on({topic!r}, from_version={step})`",
                    code="upcaster-missing",
                    topic=topic,
                    version=step,
                )
            try:
                events = function(events)
            except Exception as error:
                raise _failed(topic, step, f"raised {type(error).__name__}: {error}") from error
            if not isinstance(events, pa.Table):
                raise _failed(topic, step, f"gives a pyarrow.Table, not {type(events).__name__}")
            if events.num_rows != count:
                raise _failed(topic, step, f"was given {count} rows and gave {events.num_rows}")
            events = _without_doubles(topic, step, events)
        says = pa.array([latest] * count, pa.int64())
        if VERSION_COLUMN in events.column_names:
            return events.set_column(events.column_names.index(VERSION_COLUMN), VERSION_COLUMN, says)
        return events.append_column(VERSION_COLUMN, says)

    def read(
        self,
        store: EventStore,
        topics: str | list[str] | tuple[str, ...] = (),
        *,
        stream: str | None = None,
        from_: Any = None,
        limit: int | None = None,
        metadata: bool = False,
    ) -> pa.Table:
        """Events of a store in their newest form, in the order in which they were appended.

        Args:
            store: The store.
            topics: Names or patterns; none given: all.
            stream: The stream that they are of.
            from_: Positions from this one on.
            limit: So many at most, the first.
            metadata: Whether the store's own columns stand in front, as in `EventStore.read`.

        Raises:
            UpcastError: As for `upcast`.
            SchemaError: Columns of different topics have types that do not meet (code ``schema-conflict``).

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", [{"ts": 1, "schemaversion": 3}])
            ...     try:
            ...         cep.Upcasters({"order.created": 2}).read(store)
            ...     except cep.UpcastError as error:
            ...         print(error.code, error.topic, error.version)
            event-version order.created 3
        """
        import pyarrow as pa

        patterns = checked_topics(topics) or [">"]
        checked_flag(metadata, "metadata")
        begin = 0 if from_ is None else int(from_)
        found = read_runs(store, patterns, stream=optional_name(stream, "stream"), from_=begin, limit=limit)
        tables = []
        for topic, rows in self.lift(found.runs):
            if metadata:
                rows = rows.add_column(1, "_topic", pa.array([topic] * rows.num_rows, pa.string()))
            else:
                rows = rows.drop_columns(list(OWN_COLUMNS))
            tables.append(rows)
        table = joined(tables) if tables else pa.table({})
        return table if limit is None else table.slice(0, limit)

    def lift(self, runs: list[Run]) -> list[Run]:
        """Runs of rows in their newest form: all runs of a topic go through its functions together.

        Example:
            >>> import cepheid as cep
            >>> cep.Upcasters().lift([])
            []
        """
        import pyarrow as pa

        by_topic: dict[str, list[int]] = {}
        for place, run in enumerate(runs):
            if self.concerns(run.topic):
                by_topic.setdefault(run.topic, []).append(place)
        lifted = list(runs)
        for topic, places in by_topic.items():
            # One call of a function for many short runs: a call costs more than a row.
            table = self.upcast(topic, joined([runs[place].rows for place in places]))
            start = 0
            for place in places:
                count = runs[place].rows.num_rows
                lifted[place] = Run(topic, pa.Table.slice(table, start, count))
                start += count
        return lifted

    def stamped(self, topic: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """A new event, which says of which version it is if it does not yet: the newest.

        Example:
            >>> import cepheid as cep
            >>> cep.Upcasters({"order.created": 2}).stamped("order.created", {"ts": 1})
            {'ts': 1, 'schemaversion': 2}
        """
        if not self.concerns(topic) or self.latest(topic) == 1:
            return dict(event)
        return {**event, VERSION_COLUMN: event.get(VERSION_COLUMN) or self.latest(topic)}

    def __repr__(self) -> str:
        topics = sorted({*self._functions, *self._known})
        return f"<Upcasters: {', '.join(f'{topic} to {self.latest(topic)}' for topic in topics) or 'none'}>"


def _checked_version(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is a whole number, not {type(value).__name__}")
    if value < 1:
        raise StoreError(f"{what} is a version, from 1 on, not {value}", code="store-option")
    return value


def _failed(topic: str, version: int, problem: str) -> UpcastError:
    return UpcastError(
        f"the upcaster of topic `{topic}` from version {version} {problem}",
        code="upcaster-failed",
        topic=topic,
        version=version,
    )


def _without_doubles(topic: str, version: int, events: pa.Table) -> pa.Table:
    """A table in which each column has a name of its own.

    An old event has the columns of newer ones too, NULL, since they are columns of its topic: what a function adds, or
    renames to, stands beside one of these.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names = events.column_names
    if len(set(names)) == len(names):
        return events
    columns: dict[str, pa.ChunkedArray] = {}
    for name, column in zip(names, events.columns, strict=True):
        before = columns.get(name)
        if before is None or before.null_count == len(before):
            columns[name] = column
        elif column.null_count < len(column):
            if pc.any(pc.and_(pc.is_valid(before), pc.is_valid(column))).as_py():
                raise _failed(topic, version, f"gave two columns named `{name}`")
            columns[name] = pc.coalesce(column, before)
    return pa.table(columns)
