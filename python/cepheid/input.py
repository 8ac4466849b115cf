"""Tables in: whatever a caller has, as something the engine reads through Arrow's capsules.

Objects that speak the capsule protocol pass through untouched. The rest (NumPy arrays, lists, dicts of events,
streams of tables) become pyarrow tables, sharing buffers wherever NumPy and Arrow agree on the layout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cepheid.errors import SchemaError
from cepheid.names import listed_names, resolve_name

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.predicate import UserPredicate

__all__ = [
    "arrow_table",
    "exports_arrow",
    "is_event",
    "is_pandas",
    "is_table",
    "schema_of",
    "table_of",
    "with_predicate_columns",
]

_ACCEPTED = (
    "an Arrow table (pyarrow, Polars, pandas, DuckDB, nanoarrow: anything with __arrow_c_stream__ or "
    "__arrow_c_array__), a dict of NumPy arrays or lists, a NumPy structured array, a list of dicts, or an iterable "
    "of these"
)


def table_of(data: Any, predicates: Sequence[UserPredicate] = ()) -> Any:
    """`data` as an object that exports Arrow, with a boolean column for each Python predicate.

    Raises:
        SchemaError: It is nothing that can be read as a table, or a column that a predicate takes is missing.
    """
    exported = exports_arrow(data) and not is_pandas(data)
    if exported and not predicates:
        return data
    table = data if exported else _as_pyarrow(data)
    return _with_predicates(arrow_table(table), predicates) if predicates else table


def schema_of(data: Any, predicates: Sequence[UserPredicate] = ()) -> Any:
    """The schema of a table, or a schema itself, as an object that exports it."""
    import pyarrow as pa

    if isinstance(data, pa.Schema) or (hasattr(data, "__arrow_c_schema__") and not exports_arrow(data)):
        schema = pa.schema(data)
    elif hasattr(data, "__arrow_c_schema__") and not predicates and not is_pandas(data):
        return data
    else:
        schema = arrow_table(table_of(data)).schema
    from cepheid.predicate import predicate_column

    for position in range(len(predicates)):
        schema = schema.append(pa.field(predicate_column(position), pa.bool_()))
    return schema


def exports_arrow(data: Any) -> bool:
    """Whether an object gives its rows through Arrow's capsules."""
    # A pandas or Polars *column* exports a stream too, but not of rows.
    return (hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")) and not _is_column(data)


def _is_column(data: Any) -> bool:
    module, name = type(data).__module__.partition(".")[0], type(data).__name__
    if module in ("pandas", "polars"):
        return name in ("Series", "Index")
    if module == "pyarrow":
        # A struct array is a record batch by another name; any other array is a column.
        return name.endswith("Array") and name not in ("StructArray",) and not _is_struct(data)
    return False


def _is_struct(data: Any) -> bool:
    return str(getattr(data, "type", "")).startswith("struct<")


def arrow_table(data: Any) -> pa.Table:
    """What exports Arrow, as a pyarrow table."""
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data
    try:
        if hasattr(data, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(data).read_all()
        return pa.Table.from_batches([pa.record_batch(data)])
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _unsupported(data, str(error)) from error


def _as_pyarrow(data: Any) -> pa.Table:
    if is_pandas(data):
        return _from_pandas(data)
    if isinstance(data, Mapping):
        return _from_columns(data)
    if _is_ndarray(data):
        return _from_structured(data)
    if isinstance(data, (str, bytes, bytearray, memoryview)) or _is_column(data) or not isinstance(data, Iterable):
        raise _unsupported(data)
    return _from_iterable(data)


def is_pandas(data: Any) -> bool:
    """Whether an object is a table of pandas."""
    return _is_of("pandas", "DataFrame", data)


def _is_ndarray(data: Any) -> bool:
    return _is_of("numpy", "ndarray", data)


def _is_of(module: str, name: str, data: Any) -> bool:
    """Whether an object is of a class of a library, which need not be there.

    pyarrow may be importing it on another thread: then the class is not there yet, and nothing is of it.
    """
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(data, kind)


def _from_pandas(data: Any) -> pa.Table:
    import pyarrow as pa

    # An index that was given a name is a column; the mere numbers of rows, left over from a filter, are none.
    named = any(name is not None for name in data.index.names)
    try:
        return pa.Table.from_pandas(data, preserve_index=named)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _unsupported(data, str(error)) from error


def _unsupported(data: Any, reason: str = "") -> SchemaError:
    name = type(data).__name__
    why = f" ({reason})" if reason else ""
    return SchemaError(
        f"an object of type {name} cannot be read as a table{why}; give {_ACCEPTED}",
        code="unsupported-input",
        type_name=name,
        expected=_ACCEPTED,
    )


def _from_columns(data: Mapping[Any, Any]) -> pa.Table:
    import pyarrow as pa

    arrays, names = [], []
    for name, values in data.items():
        _check_name(name)
        if is_table(values):
            raise SchemaError(
                f"`{name}` is a table, where a column was expected; only cepheid.match() takes a mapping of topics to "
                "tables, and then all of its values are tables",
                code="unsupported-input",
                column=name,
                type_name=type(values).__name__,
            )
        arrays.append(_column(name, values))
        names.append(name)
    lengths = {name: len(array) for name, array in zip(names, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"`{name}` has {length}" for name, length in list(lengths.items())[:12])
        raise SchemaError(f"the columns differ in length: {listed}", code="unequal-lengths", known=names)
    return pa.table(arrays, names=names)


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise SchemaError(
            f"a column is named by a string, not {type(name).__name__}: {str(name)[:100]!r}",
            code="unsupported-input",
            type_name=type(name).__name__,
        )
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise SchemaError(
            f"the column name {name[:100]!a} is no Unicode text: it holds half a surrogate pair",
            code="unsupported-input",
            type_name="str",
        ) from error


def is_table(values: Any) -> bool:
    """Whether an object is a table, not a column of one."""
    if _is_ndarray(values):
        return bool(values.dtype.names is not None)
    if isinstance(values, Mapping) or is_pandas(values):
        return True
    return exports_arrow(values) and hasattr(values, "columns")


def _column(name: str, values: Any) -> Any:
    """One column as a pyarrow array or chunked array."""
    import pyarrow as pa

    try:
        if isinstance(values, (pa.Array, pa.ChunkedArray)):
            return values
        if hasattr(values, "__arrow_c_stream__"):
            return pa.chunked_array(values)
        if hasattr(values, "__arrow_c_array__"):
            return pa.array(values)
        if _is_ndarray(values):
            return _from_numpy(name, values)
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise SchemaError(
                f"column `{name}` is a {type(values).__name__}; give an array or a list",
                code="unsupported-input",
                column=name,
                type_name=type(values).__name__,
            )
        return pa.array(values if isinstance(values, (list, tuple, range)) else list(values))
    except (pa.ArrowException, TypeError, ValueError, OverflowError, NotImplementedError) as error:
        raise SchemaError(
            f"column `{name}` cannot be read: {error}",
            code="unsupported-input",
            column=name,
            type_name=type(values).__name__,
        ) from error


def _from_numpy(name: str, values: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    if values.ndim != 1:
        raise SchemaError(
            f"column `{name}` is an array of {values.ndim} dimensions; a column has one",
            code="unsupported-input",
            column=name,
            type_name="ndarray",
        )
    mask = None
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)
        values = values.data
    if values.dtype.byteorder not in "=|" and not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    kind = values.dtype.kind
    if kind in "mM":
        values = _arrow_times(name, values)
    elif kind in "fiu" and values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    elif kind not in "biufUSOTV":
        raise SchemaError(
            f"column `{name}` has the NumPy type {values.dtype}, which Arrow does not have",
            code="unsupported-input",
            column=name,
            found=str(values.dtype),
            type_name="ndarray",
        )
    elif kind == "T":
        values = values.astype(object)
    return pa.array(values, mask=mask)


def _arrow_times(name: str, values: Any) -> Any:
    """Times and spans in a unit that Arrow has: days for dates, seconds and finer for the rest."""
    import numpy as np

    kind, (unit, count) = values.dtype.kind, np.datetime_data(values.dtype)
    if kind == "m" and unit in ("Y", "M"):
        raise SchemaError(
            f"column `{name}` has spans of {unit}, whose length depends on the calendar; give days or finer",
            code="unsupported-input",
            column=name,
            found=str(values.dtype),
            type_name="ndarray",
        )
    if kind == "M" and (unit, count) == ("D", 1):
        wanted, fits = values, np.abs(values.astype("int64").astype(float)) < 2**31
        fits |= np.isnat(values)
    elif count == 1 and unit in ("s", "ms", "us", "ns"):
        return values
    else:
        wanted = values.astype(f"{kind}8[{'s' if unit in ('Y', 'M', 'W', 'D', 'h', 'm', 's') else 'ns'}]")
        # NumPy wraps around in silence.
        fits = (wanted.astype(values.dtype) == values) | np.isnat(values)
    if not fits.all():
        raise SchemaError(
            f"column `{name}` of the NumPy type {values.dtype} has times that Arrow's {wanted.dtype} cannot hold",
            code="unsupported-input",
            column=name,
            found=str(values.dtype),
            type_name="ndarray",
        )
    return wanted


def _from_structured(data: Any) -> pa.Table:
    import pyarrow as pa

    if data.dtype.names is None:
        raise _unsupported(data, f"its type is {data.dtype}, without fields; name the columns in a dict")
    if data.ndim != 1:
        raise _unsupported(data, f"it has {data.ndim} dimensions; a table has one")
    names = list(data.dtype.names)
    return pa.table([_column(name, data[name]) for name in names], names=names)


def _from_iterable(data: Iterable[Any]) -> pa.Table:
    import pyarrow as pa

    events: list[Mapping[Any, Any]] = []
    tables: list[pa.Table] = []
    for position, part in enumerate(data):
        if isinstance(part, Mapping) and is_event(part):
            events.append(part)
        elif exports_arrow(part) or isinstance(part, Mapping) or is_pandas(part) or _is_structured(part):
            tables.append(arrow_table(table_of(part)))
        else:
            raise _unsupported(data, f"its part {position} is a {type(part).__name__}")
        if events and tables:
            raise _unsupported(data, f"its part {position} is not of the kind of the parts before")
    if events:
        return _from_events(events)
    if not tables:
        return pa.table({})
    schema = tables[0].schema
    for position, table in enumerate(tables):
        if not table.schema.equals(schema, check_metadata=False):
            raise SchemaError(
                f"batch {position} has the schema ({_shown(table.schema)}), but the table began with "
                f"({_shown(schema)})",
                code="schema-changed",
                found=_shown(table.schema),
                expected=_shown(schema),
            )
    return pa.Table.from_batches([batch for table in tables for batch in table.to_batches()], schema=schema)


def _shown(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _is_structured(part: Any) -> bool:
    return _is_ndarray(part) and part.dtype.names is not None


def is_event(part: Mapping[Any, Any]) -> bool:
    """A dict of values is an event, a dict of arrays a batch; a dict of lists is a batch too."""
    return not any(
        _is_ndarray(value) or hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__")
        for value in part.values()
    ) and not (bool(part) and all(isinstance(value, (list, tuple)) for value in part.values()))


def _from_events(events: list[Mapping[Any, Any]]) -> pa.Table:
    import pyarrow as pa

    names: dict[str, None] = {}
    for event in events:
        for name in event:
            _check_name(name)
            names[name] = None
    if not names:
        # Events without fields are rows all the same.
        return pa.Table.from_batches([pa.RecordBatch.from_struct_array(pa.array(events, pa.struct([])))])
    return _from_columns({name: [event.get(name) for event in events] for name in names})


def _with_predicates(table: pa.Table, predicates: Sequence[UserPredicate]) -> pa.Table:
    """The table with what each predicate gives, batch by batch, as a column of its own."""
    from cepheid.predicate import predicate_column

    columns = [(predicate_column(position), predicate, True) for position, predicate in enumerate(predicates)]
    return with_predicate_columns(table, columns)


def with_predicate_columns(table: pa.Table, columns: Iterable[tuple[str, UserPredicate | None, bool]]) -> pa.Table:
    """The table with columns of predicates.

    Args:
        table: The table.
        columns: For each its name, the predicate, and whether the table must have what the predicate takes. Where it
            need not, and has not, or where there is no predicate any more, the column is NULL.

    Raises:
        SchemaError: A column that a predicate takes is missing, or it gave no booleans.
    """
    import pyarrow as pa

    batches, own = table.to_batches(), table.column_names
    for name, predicate, needed in columns:
        if predicate is not None and (needed or all(resolve_name(taken, own) in own for taken in predicate.columns)):
            taken = [_resolved(column, own) for column in predicate.columns]
            chunks = [_predicate_values(predicate, [batch.column(column) for column in taken]) for batch in batches]
            values = pa.chunked_array(chunks, type=pa.bool_())
        else:
            values = pa.chunked_array([pa.nulls(table.num_rows, pa.bool_())])
        table = table.append_column(pa.field(name, pa.bool_()), values)
    return table


def _resolved(name: str, known: list[str]) -> str:
    found = resolve_name(name, known)
    if known.count(found) != 1:
        code = "unknown-column" if found not in known else "ambiguous-column"
        raise SchemaError(
            f"a udf takes the column `{name}`, but the table has {listed_names(known)}",
            code=code,
            column=name,
            known=known,
        )
    return found


def _predicate_values(predicate: UserPredicate, columns: list[Any]) -> Any:
    import pyarrow as pa

    given = predicate.function(*columns)
    name = getattr(predicate.function, "__name__", "udf")
    try:
        if isinstance(given, pa.ChunkedArray):
            values = given.combine_chunks()
        elif isinstance(given, pa.Array):
            values = given
        elif hasattr(given, "__arrow_c_stream__"):
            values = pa.chunked_array(given).combine_chunks()
        else:
            values = pa.array(given)
        if pa.types.is_null(values.type):
            values = values.cast(pa.bool_())
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SchemaError(
            f"udf {name} gave a {type(given).__name__}, which is no array of booleans: {error}",
            code="udf-result",
            type_name=type(given).__name__,
        ) from error
    if not pa.types.is_boolean(values.type) or len(values) != len(columns[0]):
        raise SchemaError(
            f"udf {name} gave {len(values)} values of type {values.type}; it must give {len(columns[0])} booleans",
            code="udf-result",
            found=str(values.type),
        )
    return values
