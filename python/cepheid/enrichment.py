"""Enrichment: columns of a reference table beside the rows of a topic, as a rule of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
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
        "_lookup",
        "_misses",
        "_on",
        "_reference",
        "_since",
    )

    def __init__(
        self, reference: Any, on: list[str], columns: list[str] | None, how: str, since: str | None, event_time: str
    ) -> None:
        self._on, self._columns, self._how, self._since, self._event_time = on, columns, how, since, event_time
        self._lookup: Lookup | None = None
        self._reference: pa.Table | None = None
        self._kept: Any = None
        self._hits = self._misses = 0
        if callable(reference):
            self._lookup = reference
        else:
            self._reference = self._checked(_reference_table(reference))

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
        _check_columns(rows, [*self._on, *([] if self._since is None else [self._event_time])], "the rows")
        reference = self._reference if self._lookup is None else self._looked_up(rows.select(self._on))
        assert reference is not None
        added = self._columns
        if added is None:
            added = [name for name in reference.column_names if name not in (*self._on, self._since)]
        if taken := [name for name in added if name in rows.column_names]:
            raise SchemaError(
                f"reference and rows both have a column `{taken[0]}`; name those that are wanted: columns=[...]",
                code="ambiguous-column",
                column=taken[0],
            )
        places = self._places(rows, reference)
        for name in added:
            rows = rows.append_column(name, reference[name].combine_chunks().take(places))
        return rows.filter(pc.is_valid(places)) if self._how == "inner" else rows

    def _places(self, rows: pa.Table, reference: pa.Table) -> pa.Array:
        """Which row of the reference each row meets; NULL: none."""
        import pyarrow as pa

        codes, known = _codes(rows, reference, self._on)
        if self._since is None:
            return _index_in(codes, known)
        times = _times(rows, self._event_time), _times(reference, self._since)
        places = _last_since(codes, times[0], known, times[1])
        return pa.array(places, pa.int64(), mask=places < 0)

    def _checked(self, reference: pa.Table) -> pa.Table:
        import pyarrow as pa

        wanted = [*self._on, *([] if self._since is None else [self._since]), *(self._columns or ())]
        wanted = list(dict.fromkeys(wanted))
        _check_columns(reference, wanted, "the reference")
        if self._columns is not None:
            reference = reference.select(wanted)
        if nested := [name for name in self._on if pa.types.is_nested(reference.schema.field(name).type)]:
            raise SchemaError(
                f"`{nested[0]}` holds nested values, which are no key", code="column-type", column=nested[0]
            )
        if self._since is None and reference.num_rows > reference.group_by(self._on).aggregate([]).num_rows:
            raise SchemaError(
                f"the reference has several rows of one key ({', '.join(self._on)}); leave one of each, or say with "
                "since=... from when on each holds",
                code="duplicate-key",
            )
        return reference

    def _looked_up(self, keys: pa.Table) -> pa.Table:
        """A reference of these keys, those that are not known asked for at once."""
        import pyarrow as pa

        assert self._lookup is not None
        distinct = keys.drop_null().group_by(self._on).aggregate([])
        names = [tuple(row.values()) for row in distinct.to_pylist()]
        known = {name: self._kept[name] for name in names if name in self._kept}
        missing = [place for place, name in enumerate(names) if name not in known]
        self._hits += len(known)
        self._misses += len(missing)
        if not missing and names:
            return pa.concat_tables([known[name] for name in names])
        # Without a key it is asked all the same: it knows what columns there are.
        fresh = self._checked(_reference_table(self._lookup(distinct.take(pa.array(missing, pa.int64())))))
        of_name = dict(
            zip(zip(*(fresh[name].to_pylist() for name in self._on), strict=True), range(len(fresh)), strict=True)
        )
        for place in missing:
            # A key that there is not is known as such, in the columns of those that there are.
            found = of_name.get(names[place])
            self._kept[names[place]] = fresh.slice(0, 0) if found is None else fresh.slice(found, 1)
        return pa.concat_tables([fresh, *known.values()])


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

    Time: O(rows) by columns, with `since` O((rows + reference) log). Space: the reference, or the keys that are kept.

    Args:
        topic: The topic whose rows are enriched.
        reference: A table in any form that `cepheid.match` takes, the path of a Parquet file, or a function.
        on: The columns of the key, in rows and reference. NULL meets nothing.
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

    if isinstance(reference, (str, Path)):
        import pyarrow.parquet as pq

        return pq.read_table(reference)
    return pa.table(table_of(reference)).combine_chunks()


def _check_columns(table: pa.Table, names: list[str], what: str) -> None:
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

    return pc.index_in(values, value_set=known, skip_nulls=True)


def _codes(rows: pa.Table, reference: pa.Table, on: list[str]) -> tuple[pa.Array, pa.Array]:
    """Keys of both as numbers, the same for the same key; NULL where a part is, or is not in the reference."""
    import pyarrow.compute as pc

    codes: list[pa.Array] = []
    for name in on:
        asked, there = _alike(rows[name], reference[name], name)
        known = there.drop_null().unique()
        own = [_index_in(asked, known), _index_in(there, known)]
        own = [code.cast("int64") for code in own]
        codes = (
            own
            if not codes
            else [pc.add(pc.multiply(left, len(known)), right) for left, right in zip(codes, own, strict=True)]
        )
    return codes[0], codes[1]


def _alike(asked: pa.ChunkedArray, there: pa.ChunkedArray, name: str) -> tuple[pa.Array, pa.Array]:
    """Two columns in one type."""
    import pyarrow as pa

    def plain(column: pa.ChunkedArray) -> pa.Array:
        values = column.combine_chunks()
        return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values

    left, right = plain(asked), plain(there)
    if left.type == right.type:
        return left, right
    for common in (left.type, right.type):
        try:
            return left.cast(common), right.cast(common)
        except (ValueError, NotImplementedError):
            continue
    raise SchemaError(
        f"`{name}` is {left.type} in the rows and {right.type} in the reference, and cannot be compared",
        code="column-type",
        column=name,
    )


def _times(table: pa.Table, column: str) -> np.ndarray[Any, Any]:
    """Times as numbers of nanoseconds, or of whatever they count."""
    import pyarrow as pa

    times = table[column].combine_chunks()
    if times.null_count:
        raise SchemaError(f"`{column}` has NULLs; each row of the reference holds from some time on", code="null-time")
    if pa.types.is_timestamp(times.type):
        times = times.cast(pa.timestamp("ns", times.type.tz))
    elif pa.types.is_date(times.type):
        times = times.cast(pa.timestamp("ns"))
    numbers: np.ndarray[Any, Any] = times.cast("int64").to_numpy()
    return numbers


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
