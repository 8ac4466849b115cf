"""Enrichment: columns of a reference table beside the rows of a topic, as a rule of an engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, final

from cepheid.building import checked_name
from cepheid.errors import PatternError, SchemaError
from cepheid.input import table_of
from cepheid.names import invalid_choice, nearest_name
from cepheid.options import checked_count
from cepheid.processors import Processor

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Enrichment", "LookupStats", "enrich"]

Lookup = Callable[["pa.Table"], Any]
HOW = ("left", "inner")
# Stands for every NaN, as they are one key.
_NAN = "NaN", float


class LookupStats(NamedTuple):
    """What has become of keys that a lookup was asked for.

    Attributes:
        hits: Keys that were known.
        misses: Keys that the lookup was asked for.
        kept: Keys that are known now.

    Example:
        >>> import cepheid as cep
        >>> cep.LookupStats(hits=9, misses=1, kept=1).hits
        9
    """

    hits: int
    misses: int
    kept: int


@final
class Enrichment:
    """The function of an enriching `Processor`: rows in, the same with columns of the reference out; `enrich` makes it.

    Example:
        >>> import cepheid as cep
        >>> rule = cep.enrich("txn", {"card": [1], "country": ["NZ"]}, on="card")
        >>> isinstance(rule.function, cep.Enrichment)
        True
    """

    __slots__ = (
        "_columns",
        "_event_time",
        "_hits",
        "_how",
        "_kept",
        "_lock",
        "_lookup",
        "_misses",
        "_on",
        "_reference",
        "_since",
        "_types",
    )

    def __init__(
        self, reference: Any, on: list[str], columns: list[str] | None, how: str, since: str | None, event_time: str
    ) -> None:
        import threading

        self._on, self._columns, self._how, self._since, self._event_time = on, columns, how, since, event_time
        self._lookup: Lookup | None = None
        self._reference: _Reference | None = None
        self._kept: Any = None
        self._hits = self._misses = 0
        # Of a lookup: the types of its columns, as they were first.
        self._types: dict[str, pa.DataType] = {}
        self._lock = threading.Lock()
        if callable(reference):
            self._lookup = reference
        else:
            self._reference = _Reference(_reference_table(reference), on, columns, since)

    def _keep(self, keys: int, ttl: float | None) -> None:
        """Keeps so many keys of a lookup, for so many seconds each."""
        try:
            import cachetools
        except ImportError as error:
            raise ImportError("lookups are kept by `cachetools`; install cepheid[enrich]") from error
        self._kept = cachetools.LRUCache(keys) if ttl is None else cachetools.TTLCache(keys, ttl)

    @property
    def stats(self) -> LookupStats:
        """What has become of keys; of a reference table nothing.

        Example:
            >>> import cepheid as cep
            >>> cep.enrich("txn", {"card": [1], "country": ["NZ"]}, on="card").function.stats
            LookupStats(hits=0, misses=0, kept=0)
        """
        return LookupStats(self._hits, self._misses, 0 if self._kept is None else len(self._kept))

    def __call__(self, batch: pa.RecordBatch) -> pa.Table:
        """The rows with the columns of the reference.

        Args:
            batch: The rows.

        Raises:
            SchemaError: They have no column of the key (code ``unknown-column``), one of another type (code
                ``column-type``), or one that the reference has, too (code ``ambiguous-column``).

        Example:
            >>> import cepheid as cep
            >>> import pyarrow as pa
            >>> rule = cep.enrich("txn", {"card": [1], "country": ["NZ"]}, on="card")
            >>> rule.function(pa.record_batch({"ts": [5, 6], "card": [1, 2]})).to_pydict()
            {'ts': [5, 6], 'card': [1, 2], 'country': ['NZ', None]}
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        rows = pa.table(batch)
        check_columns(rows, [*self._on, *([] if self._since is None else [self._event_time])], "the rows")
        keys = [plain_values(rows[name], name) for name in self._on]
        reference = self._reference
        if reference is None:
            with self._lock:
                reference = self._looked_up(pa.table(keys, names=self._on))
        known = {name.lower() for name in rows.column_names}
        if taken := [name for name in reference.added if name.lower() in known]:
            raise SchemaError(
                f"reference and rows both have a column `{taken[0]}`; name those that are wanted: columns=[...]",
                code="ambiguous-column",
                column=taken[0],
            )
        times = None if self._since is None else _times(rows, self._event_time)
        places = reference.places(keys, times)
        for name in reference.added:
            rows = rows.append_column(name, reference.table[name].combine_chunks().take(places))
        # Arrow has no filter of views.
        return _without_views(rows).filter(pc.is_valid(places)) if self._how == "inner" else rows

    def _looked_up(self, keys: pa.Table) -> _Reference:
        """A reference of these keys, those that are not known asked for at once."""
        import pyarrow as pa

        assert self._lookup is not None
        distinct = keys.drop_null().group_by(self._on).aggregate([])
        names = _names_of(distinct, self._on)
        unknown = object()
        answers = {name: self._kept.get(name, unknown) for name in names}
        missing = [place for place, name in enumerate(names) if answers[name] is unknown]
        self._hits += len(names) - len(missing)
        self._misses += len(missing)
        found = [answer for answer in answers.values() if answer is not unknown and answer is not None]
        if missing or not self._types:
            # Without a key it is asked all the same: it knows what columns there are.
            asked = distinct.take(pa.array(missing, pa.int64()))
            fresh = self._typed(_Reference(_reference_table(self._lookup(asked)), self._on, self._columns, None).table)
            of_name = {name: place for place, name in enumerate(_names_of(fresh, self._on))}
            for place in missing:
                row = of_name.get(names[place])
                # A row of its own: a slice would keep all that came with it. A key that there is not is known as such.
                self._kept[names[place]] = None if row is None else fresh.take([row])
            found.append(fresh)
        empty = pa.schema(list(self._types.items())).empty_table()
        return _Reference(pa.concat_tables([empty, *found]), self._on, self._columns, None)

    def _typed(self, fresh: pa.Table) -> pa.Table:
        """An answer in the types of the first, as rows of one topic have one type."""
        import pyarrow as pa

        for name in fresh.column_names:
            known = self._types.get(name)
            if known is None and pa.types.is_null(fresh[name].type):
                raise SchemaError(
                    f"the lookup gave a column `{name}` without a type; give an Arrow table that says what it is, "
                    "with rows or without",
                    code="column-type",
                    column=name,
                )
            self._types.setdefault(name, fresh[name].type)
        if missing := [name for name in self._types if name not in fresh.column_names]:
            raise SchemaError(
                f"the lookup gave a column `{missing[0]}` before, and now none",
                code="unknown-column",
                column=missing[0],
            )
        try:
            return fresh.select(list(self._types)).cast(pa.schema(list(self._types.items())))
        except pa.ArrowException as error:
            raise SchemaError(f"the lookup gave other types than before: {error}", code="column-type") from error


class _Reference:
    """A table, whose rows are found by their keys."""

    __slots__ = ("_codes", "_known", "_times", "_types", "added", "table")

    def __init__(self, table: pa.Table, on: list[str], columns: list[str] | None, since: str | None) -> None:
        import pyarrow as pa

        if repeated := [name for name in table.column_names if table.column_names.count(name) > 1]:
            raise SchemaError(
                f"the reference has several columns `{repeated[0]}`", code="ambiguous-column", column=repeated[0]
            )
        beside = [] if since is None else [since]
        if columns is not None:
            wanted = list(dict.fromkeys([*on, *beside, *columns]))
            check_columns(table, wanted, "the reference")
            table = table.select(wanted)
        check_columns(table, [*on, *beside], "the reference")
        keys = [plain_values(table[name], name) for name in on]
        plain = pa.table(keys, names=on).drop_null()
        if since is None and plain.num_rows > plain.group_by(on).aggregate([]).num_rows:
            raise SchemaError(
                f"the reference has several rows of one key ({', '.join(on)}); leave one of each, or say with "
                "since=... from when on each holds",
                code="duplicate-key",
            )
        self.table = _without_views(table)
        self.added = (
            columns if columns is not None else [name for name in table.column_names if name not in (*on, since)]
        )
        self._times = None if since is None else _times(table, since)
        self._types = [(name, key.type) for name, key in zip(on, keys, strict=True)]
        # Of each column of the key its values, and of it and those in front of it the pairs that there are.
        self._known: list[tuple[pa.Array, pa.Array | None]] = []
        codes = None
        for key in keys:
            values = key.drop_null().unique()
            codes, pairs = _paired(codes, _index_in(key, values), len(values), None)
            self._known.append((values, pairs))
        assert codes is not None
        self._codes: pa.Array = codes

    def places(self, keys: list[pa.Array], times: _Times | None) -> pa.Array:
        """Which row of the reference each row meets; NULL: none."""
        import pyarrow as pa

        codes = None
        for key, (name, wanted), (values, pairs) in zip(keys, self._types, self._known, strict=True):
            if key.type != wanted and not pa.types.is_null(wanted) and not pa.types.is_null(key.type):
                raise SchemaError(
                    f"`{name}` is {key.type} in the rows and {wanted} in the reference, and cannot be compared",
                    code="column-type",
                    column=name,
                )
            none = key.type != wanted
            own = pa.nulls(len(key), pa.int64()) if none else _index_in(key, values)
            codes, _ = _paired(codes, own, len(values), pairs)
        if times is None:
            return _index_in(codes, self._codes)
        assert self._times is not None
        if times.temporal != self._times.temporal:
            raise SchemaError("times of the rows and of the reference are of different kinds", code="column-type")
        places = _last_since(codes, times.values, self._codes, self._times.values)
        return pa.array(places, pa.int64(), mask=places < 0)


def enrich(
    topic: str,
    reference: Any,
    on: str | Iterable[str],
    *,
    columns: Iterable[str] | None = None,
    how: str = "left",
    since: str | None = None,
    event_time: str = "ts",
    emits: str | None = None,
    name: str | None = None,
    keys_kept: int = 100_000,
    ttl: float | None = None,
) -> Processor:
    """A rule that puts columns of a reference beside the rows of a topic.

    The reference is a table, whose rows are found by hash, or a function that looks keys up wherever they are: it is
    given a `pyarrow.Table` of distinct keys, and gives a table of those that there are, which are remembered. With
    `since`, a row meets what held at its time: of the rows of its key the last that is not of a later time (an as-of
    join); without it the reference has one row a key.

    Time: O(rows + keys of the reference) a call, by columns, with `since` O((rows + reference) log): it pays to push
    many rows at once. Space: the reference, or the rows of the keys that are kept.

    Args:
        topic: The topic whose rows are enriched.
        reference: A table in any form that `cepheid.match` takes, the path of a Parquet file, or a function.
        on: The columns of the key, in rows and reference: of one kind (integers of any width, floats, text, times), or
            of one type. NULL meets nothing.
        columns: Those of the reference to be added. None: all.
        how: ``"left"``: rows that meet nothing have NULLs; ``"inner"``: they are left out.
        since: The column of the reference that says from when on a row of it holds. Of a table only.
        event_time: The column of the rows that this is compared with.
        emits: The topic of the enriched rows. None: the name.
        name: The name of the rule. None: ``<topic>.enriched``.
        keys_kept: Most keys that are remembered of a function; those that have not been asked for longest go.
        ttl: Seconds after which a key is looked up again. None: never.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: `how` is none of these, or an argument fits no function, or no table (code ``invalid-clause``).
        SchemaError: The reference is no table, lacks a column, or has several rows of one key (code ``duplicate-key``).
        ImportError: A function is given, and `cachetools` is not installed.

    Example:
        >>> import cepheid as cep
        >>> cards = {"card": [1, 2], "country": ["NZ", "CL"]}
        >>> abroad = cep.event("abroad", "country <> 'NZ'", topic="known").select(card="abroad.card").named("abroad")
        >>> engine = cep.Engine([cep.enrich("txn", cards, on="card", emits="known"), abroad])
        >>> _ = engine.push([{"ts": 1, "card": 1}, {"ts": 2, "card": 2}], "txn")
        >>> [found["card"] for found in engine.flush()["abroad"]]
        [2]
    """
    checked_name(topic, "topic")
    names = _names(on, "on")
    if not isinstance(how, str) or how not in HOW:
        raise invalid_choice("how", str(how), list(HOW))
    if since is not None:
        checked_name(since, "column")
    if callable(reference) and since is not None:
        raise PatternError("enrich(): since= is of a table, not of a function", code="invalid-clause", context="since")
    kept = checked_count(keys_kept, "keys_kept")
    if ttl is not None and not callable(reference):
        raise PatternError("enrich(): ttl= is of a function, not of a table", code="invalid-clause", context="ttl")
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not ttl > 0):
        raise PatternError(f"enrich(): ttl is seconds above 0, not {ttl!r}", code="invalid-clause", context="ttl")
    wanted = None if columns is None else _names(columns, "columns")
    checked_name(event_time, "column")
    function = Enrichment(reference, names, wanted, how, since, event_time)
    if callable(reference):
        assert kept is not None
        function._keep(kept, ttl)
    return Processor(function, topic, emits=emits, name=f"{topic}.enriched" if name is None else name)


def _names(columns: Any, what: str) -> list[str]:
    if isinstance(columns, str):
        columns = [columns]
    if not isinstance(columns, Iterable):
        raise TypeError(f"{what} is a column or a list of columns, not {type(columns).__name__}")
    names = [checked_name(column, "column") for column in columns]
    if not names or len(set(names)) < len(names):
        raise PatternError(
            f"enrich(): {what} names one column at least, and none twice", code="invalid-clause", context=what
        )
    return names


def _reference_table(reference: Any) -> pa.Table:
    import pyarrow as pa

    if isinstance(reference, (str, os.PathLike)):
        import pyarrow.parquet as pq

        return pq.read_table(reference)
    return pa.table(table_of(reference))


def check_columns(table: pa.Table, names: list[str], what: str) -> None:
    """Sees to it that a table has columns, each once.

    Raises:
        SchemaError: It has none of a name (code ``unknown-column``), or several (code ``ambiguous-column``).
    """
    for name in names:
        if table.column_names.count(name) != 1:
            raise SchemaError(
                f"{what} have {'several columns' if name in table.column_names else 'no column'} `{name}`",
                code="ambiguous-column" if name in table.column_names else "unknown-column",
                column=name,
                known=table.column_names,
                hint=nearest_name(name, table.column_names),
            )


def _index_in(values: pa.Array, known: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.index_in(values, value_set=known, skip_nulls=True).cast("int64")


def _paired(
    codes: pa.Array | None, own: pa.Array, count: int, pairs: pa.Array | None
) -> tuple[pa.Array, pa.Array | None]:
    """Codes of what is in front and of a column, as codes of both; the pairs that there are, found if not given.

    Coded anew after each column they stay below the number of rows, and a product of two within 64 bits.
    """
    import pyarrow.compute as pc

    if codes is None:
        return own, None
    both = pc.add(pc.multiply(codes, count), own)
    pairs = both.drop_null().unique() if pairs is None else pairs
    return _index_in(both, pairs), pairs


def plain_values(column: pa.ChunkedArray, name: str) -> pa.Array:
    """The values of a key in the one type of their kind: integers, floats, text, bytes, times, dates, or as they are.

    Raises:
        SchemaError: They are nested, or do not fit that type (code ``column-type``).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.types
    values = column.combine_chunks()
    data_type = values.type
    if kind.is_dictionary(data_type):
        data_type = data_type.value_type
    if kind.is_nested(data_type):
        raise SchemaError(f"`{name}` holds nested values, which are no key", code="column-type", column=name)
    if kind.is_integer(data_type):
        data_type = pa.int64()
    elif kind.is_floating(data_type):
        data_type = pa.float64()
    elif kind.is_string(data_type) or kind.is_large_string(data_type) or kind.is_string_view(data_type):
        data_type = pa.string()
    elif kind.is_binary(data_type) or kind.is_large_binary(data_type) or kind.is_binary_view(data_type):
        data_type = pa.binary()
    elif kind.is_date(data_type):
        data_type = pa.date32()
    elif kind.is_timestamp(data_type):
        data_type = pa.timestamp("ns", None if data_type.tz is None else "UTC")
    try:
        plain = values.cast(data_type)
        # To Arrow, 0.0 and -0.0 are two; as keys they are one. Their sum is 0.0.
        return pc.add(plain, 0.0) if kind.is_floating(data_type) else plain
    except pa.ArrowException as error:
        raise SchemaError(f"`{name}` is no key: {error}", code="column-type", column=name) from error


def _names_of(keys: pa.Table, on: list[str]) -> list[tuple[Any, ...]]:
    """Keys as values of Python that are equal where keys are: NaN is not equal to itself."""

    def known(value: Any) -> Any:
        return _NAN if isinstance(value, float) and value != value else value

    columns = [plain_values(keys[name], name).to_pylist() for name in on]
    return [tuple(map(known, row)) for row in zip(*columns, strict=True)]


def _without_views(table: pa.Table) -> pa.Table:
    """Columns of views as plain ones, which every kernel of Arrow knows; and each of one piece."""
    import pyarrow as pa

    views = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    fields = [field.with_type(views.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields)).combine_chunks()


class _Times(NamedTuple):
    """Times as numbers: of nanoseconds, or of whatever integers count."""

    values: np.ndarray[Any, Any]
    temporal: bool


def _times(table: pa.Table, column: str) -> _Times:
    import pyarrow as pa

    times = table[column].combine_chunks()
    if times.null_count:
        raise SchemaError(f"`{column}` has NULLs; each row of the reference holds from some time on", code="null-time")
    temporal = pa.types.is_timestamp(times.type) or pa.types.is_date(times.type)
    if not temporal and not pa.types.is_integer(times.type):
        raise SchemaError(
            f"`{column}` is {times.type}; times are timestamps, dates or integers", code="column-type", column=column
        )
    try:
        if temporal:
            times = times.cast(pa.timestamp("ns", times.type.tz if pa.types.is_timestamp(times.type) else None))
        return _Times(times.cast("int64").to_numpy(), temporal)
    except ValueError as error:
        raise SchemaError(
            f"`{column}` has a time that 64 bits of nanoseconds do not hold (the years 1677 to 2262)",
            code="column-type",
            column=column,
        ) from error


def _last_since(
    codes: pa.Array, times: np.ndarray[Any, Any], known: pa.Array, since: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """For each row the last of the known rows of its code that is not of a later time; -1: none."""
    import numpy as np

    own = codes.fill_null(-1).to_numpy(zero_copy_only=False)
    other = known.fill_null(-2).to_numpy(zero_copy_only=False)
    every, when = np.concatenate([other, own]), np.concatenate([since, times])
    is_row = np.concatenate([np.zeros(len(other), bool), np.ones(len(own), bool)])
    # Of one time, what holds from then on stands in front of the rows; the last of several is the one that holds.
    order = np.lexsort((is_row, when, every))
    latest = np.maximum.accumulate(np.where(is_row[order], -1, np.arange(len(order))))
    met = np.where(latest >= 0, order[latest], -1)
    met = np.where((met >= 0) & (every[met] == every[order]), met, -1)
    places = np.full(len(order), -1)
    places[order] = met
    return places[len(other) :]
