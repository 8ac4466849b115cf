"""Histories: the rows of a table by key, in order of (time, arrival), with numbers for what happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cepheid._native import column_places, numbered_rows
from cepheid.clauses import column_name
from cepheid.columns import col
from cepheid.errors import PatternError, SchemaError
from cepheid.expr import Expr
from cepheid.input import arrow_table, table_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = [
    "ColumnName",
    "History",
    "NumberedRows",
    "checked_column",
    "checked_columns",
    "history_of",
    "numbered",
    "plain_column",
    "read_table",
]


class ColumnName(NamedTuple):
    """A column as it was asked for.

    Attributes:
        name: Its name.
        exact: Whether a name that differs in case is another one.
    """

    name: str
    exact: bool

    def expr(self) -> Expr:
        """The column of a row."""
        return col(self.name, exact=True) if self.exact else col(self.name)

    def clause(self) -> str | Expr:
        """The column as the clauses of a pattern take it."""
        return self.expr() if self.exact else self.name


class NumberedRows(NamedTuple):
    """Rows as numbers, in order of arrival.

    Attributes:
        times: Nanoseconds, one a row.
        sets: For each set of columns a number a row: equal if the values are, from 0 in order of appearance.
    """

    times: npt.NDArray[np.int64]
    sets: list[npt.NDArray[np.int64]]


class History(NamedTuple):
    """The rows of a table that say what happened, by key, in order of (time, arrival).

    Attributes:
        table: The table, in order of arrival; rows that a condition kept out are not in it.
        rows: n row numbers of that table: those where something happened.
        keys: n numbers of keys, ascending; they are given in order of appearance.
        times: n times in nanoseconds, ascending within a key.
        symbols: n numbers of what happened, in the order of `values`.
        key_count: How many keys the table has, those without a row in `rows` included.
        values: What can happen: distinct values in ascending order, structs of them if there are several columns.
    """

    table: pa.Table
    rows: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    symbols: npt.NDArray[np.int64]
    key_count: int
    values: pa.Array


def checked_column(column: Any) -> ColumnName:
    """A column, by name or as ``col.name``."""
    named = column_name(column)
    return ColumnName(named["name"], named.get("quoted", False))


def checked_columns(columns: Any, what: str) -> tuple[ColumnName, ...]:
    """One column or several, at least one."""
    several = [columns] if isinstance(columns, (str, Expr)) else columns
    if not isinstance(several, Iterable):
        raise TypeError(f"{what} is a column or several, not {type(columns).__name__}")
    found = tuple(checked_column(column) for column in several)
    if not found:
        raise PatternError(f"{what} names one column at least", code="invalid-clause", context=what)
    return found


def history_of(
    data: Any, by: Sequence[ColumnName], event: Sequence[ColumnName], event_time: ColumnName, where: Any = None
) -> History:
    """The history that a table tells. Rows where a column of `event` is NULL are left out.

    Time: O(n log n), n rows; O(n) but for the sort. Space: some 80 bytes a row.
    """
    import numpy as np

    table = read_table(data, where)
    happened = column_places(table.schema, event)
    numbers = numbered(table, event_time, [column_places(table.schema, by), happened])
    keys, codes = numbers.sets
    kept = np.ones(table.num_rows, np.bool_)
    for place in happened:
        # Asked of each row: a dictionary's NULLs are in no count.
        kept &= table.column(place).is_valid().to_numpy()
    rows = np.flatnonzero(kept)
    # Stable: rows of one key and one time stay as they arrived.
    rows = rows[np.lexsort((numbers.times[rows], keys[rows]))]
    symbols, values = _in_order_of_value(table, happened, rows, codes[rows])
    key_count = int(keys.max(initial=-1)) + 1
    return History(table, rows, keys[rows], numbers.times[rows], symbols, key_count, values)


def numbered(table: pa.Table, event_time: ColumnName, sets: Sequence[Sequence[int]]) -> NumberedRows:
    """The rows of a table as numbers; each set is of the columns at these places."""
    import pyarrow as pa

    [time] = column_places(table.schema, [event_time])
    numbers = pa.table(numbered_rows(table, time, sets))
    times, *columns = [column.to_numpy() for column in numbers.columns]
    return NumberedRows(times, [column.astype("int64") for column in columns])


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with its values in place of numbers in a dictionary."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def read_table(data: Any, where: Any = None) -> pa.Table:
    """The rows that satisfy a condition, in order of arrival."""
    import pyarrow as pa

    table = arrow_table(table_of(data))
    for place, column in enumerate(table.schema):
        if str(column.type) in ("string_view", "binary_view"):
            # Arrow takes no rows of views yet.
            plain = pa.large_string() if str(column.type) == "string_view" else pa.large_binary()
            table = table.set_column(place, column.name, table.column(place).cast(plain))
    if where is None:
        return table
    from cepheid.matching import match
    from cepheid.pattern import event

    # As the pattern that is made of a sequence asks it.
    satisfied = match(event("row", where).after_match("to_next_row"), table).rows
    return table.take(satisfied["row"])


def _in_order_of_value(
    table: pa.Table, columns: Sequence[int], rows: npt.NDArray[np.int64], codes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """The codes of rows anew, in the order of what they stand for; and that."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    # Some row of each code.
    example = np.full(codes.max(initial=-1) + 1, -1, np.int64)
    example[codes] = rows
    present = np.flatnonzero(example >= 0)
    distinct = [plain_column(table.column(place)).take(pa.array(example[present])) for place in columns]
    for column, place in zip(distinct, columns, strict=True):
        _check_values(table.schema.field(place).name, column.type)
    named = pa.table([_sortable(column) for column in distinct], names=[str(place) for place in range(len(distinct))])
    order = pc.sort_indices(named, sort_keys=[(name, "ascending") for name in named.column_names]).to_numpy()
    ranks = np.zeros(len(example), np.int64)
    ranks[present[order]] = np.arange(len(present))
    arrays = [column.combine_chunks().take(pa.array(order)) for column in distinct]
    names = [table.schema.field(place).name for place in columns]
    return ranks[codes], arrays[0] if len(arrays) == 1 else pa.StructArray.from_arrays(arrays, names)


def _check_values(name: str, kind: pa.DataType) -> None:
    import pyarrow as pa

    if pa.types.is_nested(kind) or "binary" in str(kind):
        raise SchemaError(
            f"column `{name}` has type {kind}, whose values no condition can be asked for; an event is named by text, "
            "a number, a boolean or a time",
            code="column-type",
            column=name,
            found=str(kind),
            expected="text, a number, a boolean or a time",
        )


def _sortable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column in a type that Arrow sorts by."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.int8())
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    return column
