"""Columns in the types that are known of them; what does not fit is told row by row."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from cepheid.schema.envelope import JSON_MARK, is_json_field
from cepheid.schema.type_text import field_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "OBJECTS_MARK",
    "cast_column",
    "has_json",
    "instants",
    "is_encoded",
    "json_text",
    "json_value",
    "kept_field",
    "one_array",
    "python_value",
    "shown_value",
    "texts",
    "without_encodings",
]

#: The key of a field's metadata that says that its values were objects and lists of Python, of types that may differ.
OBJECTS_MARK = b"cepheid:objects"

_Cast = tuple["pa.Array", list[int]]


def one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece, its values as they are and not encoded."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return _plain(column)


def _plain(array: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    types, kind = pa.types, array.type
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    if types.is_dictionary(kind):
        # Of views, as Polars has its categories, Arrow cannot decode one either.
        return pa.DictionaryArray.from_arrays(array.indices, _plain(array.dictionary)).dictionary_decode()
    if types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(array))
    if types.is_large_string(kind) or types.is_string_view(kind):
        return array.cast(pa.string())
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return array.cast(pa.binary())
    if types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _plain(array.cast(pa.list_(kind.value_field)))
    if is_encoded(kind):
        return _plain_parts(array)
    return array


def is_encoded(kind: pa.DataType) -> bool:
    """Whether Arrow cannot take rows of a type, as it, or what is in it, is a view or run-end encoded."""
    import pyarrow as pa

    types = pa.types
    if types.is_string_view(kind) or types.is_binary_view(kind) or types.is_run_end_encoded(kind):
        return True
    if types.is_dictionary(kind):
        return is_encoded(kind.value_type)
    return any(is_encoded(kind.field(place).type) for place in range(kind.num_fields))


def without_encodings(table: pa.Table) -> pa.Table:
    """A table with its columns as they are, and not encoded, of which Arrow cannot take rows otherwise."""
    for place, field in enumerate(table.schema):
        if is_encoded(field.type):
            array = one_array(table.column(place))
            table = table.set_column(place, field.with_type(array.type), array)
    return table


def _plain_parts(array: pa.Array) -> pa.Array:
    """Objects and lists, as Polars gives them, with what is in them as it is and not encoded."""
    import pyarrow as pa

    types, kind = pa.types, array.type
    if types.is_struct(kind):
        parts = [_plain(part) for part in array.flatten()]
        fields = [kind.field(place).with_type(part.type) for place, part in enumerate(parts)]
        return pa.StructArray.from_arrays(parts, fields=fields, mask=array.is_null())
    if types.is_list(kind):
        values = _plain(array.flatten())
        return _list_array(array, values, pa.list_(kind.value_field.with_type(values.type)))
    return array


def kept_field(name: str, field: pa.Field) -> pa.Field:
    """The column that becomes of one that nobody has declared: numbers as wide as JSON has them, so that others fit.

    Raises:
        SchemaError: There is no such type (code ``unknown-type``).
    """
    import pyarrow as pa

    types, kind = pa.types, field.type
    if is_json_field(field) or OBJECTS_MARK in (field.metadata or {}):
        # As those of JSON text: what is in objects differs from event to event.
        return pa.field(name, pa.string(), metadata={JSON_MARK: b"1"})
    if types.is_integer(kind) and kind != pa.uint64():
        kind = pa.int64()
    elif types.is_floating(kind):
        kind = pa.float64()
    else:
        # As it will be learned from the store when the app starts again.
        kind = field_of(name, field).type
    return pa.field(name, kind)


def cast_column(array: pa.Array, field: pa.Field) -> _Cast:
    """A column in the type of a field, and the places of values that it cannot take, which are NULL.

    Args:
        array: The values, in one piece and plain.
        field: What they are to be.
    """
    import pyarrow as pa

    types, source, kind = pa.types, array.type, field.type
    if types.is_null(source):
        return pa.nulls(len(array), kind), []
    if is_json_field(field):
        return _json_texts(array)
    if source == kind and not has_json(field):
        return array, []
    if types.is_struct(source) and types.is_struct(kind):
        return _structs(array, kind)
    if types.is_list(source) and types.is_list(kind):
        return _lists(array, kind)
    if types.is_string(source) and types.is_timestamp(kind) and kind.tz is not None:
        times = instants(array)
        bad = _places(array.is_valid(), times.is_null())
        return times.cast(kind, safe=False), bad
    convert = _conversion(source, kind)
    if convert is None:
        return pa.nulls(len(array), kind), _places(array.is_valid())
    return _attempt(array, convert, kind)


def _places(*masks: pa.Array) -> list[int]:
    """Where all masks hold."""
    import numpy as np

    both = np.logical_and.reduce([mask.to_numpy(zero_copy_only=False) for mask in masks])
    return [int(place) for place in np.flatnonzero(both)]


def _conversion(source: pa.DataType, kind: pa.DataType) -> Callable[[pa.Array], pa.Array] | None:
    """How values become others that mean the same; None: they do not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if types.is_decimal(kind) and (types.is_integer(source) or types.is_floating(source)):
        # By their digits, so that a float is the decimal that it is written as, or none.
        return lambda array: array.cast(pa.string()).cast(kind)
    number = types.is_integer, types.is_floating, types.is_decimal
    if any(is_kind(source) for is_kind in number) and any(is_kind(kind) for is_kind in number):
        # Whole numbers past 2^53 lose their last digits as floats, as they do in Polars and DuckDB.
        safe = not types.is_floating(kind)
        return lambda array: array.cast(kind, safe=safe)
    if types.is_timestamp(source) and types.is_timestamp(kind):
        # Finer digits are cut off; what overflows is an error.
        units = ["s", "ms", "us", "ns"]
        safe = units.index(source.unit) <= units.index(kind.unit)

        def moved(array: pa.Array) -> pa.Array:
            if source.tz is None and kind.tz is not None:
                array = pc.assume_timezone(array, "UTC")
            return array.cast(kind, safe=safe)

        return moved
    if types.is_date(source) and types.is_timestamp(kind):
        bare = pa.timestamp(kind.unit)
        if kind.tz is None:
            return lambda array: array.cast(bare)
        return lambda array: pc.assume_timezone(array.cast(bare), "UTC").cast(kind)
    if types.is_string(source) and (
        types.is_timestamp(kind) or types.is_date(kind) or types.is_time(kind) or types.is_decimal(kind)
    ):
        return lambda array: array.cast(kind)
    alike = [(types.is_date, types.is_date), (types.is_time, types.is_time), (types.is_duration, types.is_duration)]
    if any(one(source) and other(kind) for one, other in alike):
        # Nanoseconds are cut off; what overflows is an error.
        safe = str(source) not in ("time64[ns]", "duration[ns]")
        return lambda array: array.cast(kind, safe=safe)
    return None


def _attempt(array: pa.Array, convert: Callable[[pa.Array], pa.Array], kind: pa.DataType) -> _Cast:
    """Converts all at once; if that fails, halves it until the values are found that do not fit."""
    import pyarrow as pa

    try:
        return convert(array), []
    except pa.ArrowException:
        pass
    pieces: list[pa.Array] = []
    bad: list[int] = []
    waiting = [(0, len(array))]
    while waiting:
        start, end = waiting.pop()
        try:
            pieces.append(convert(array.slice(start, end - start)))
        except pa.ArrowException:
            if end - start == 1:
                bad.append(start)
                pieces.append(pa.nulls(1, kind))
            else:
                middle = (start + end) // 2
                waiting += [(middle, end), (start, middle)]
    return pa.concat_arrays(pieces), bad


def _structs(array: pa.StructArray, kind: pa.StructType) -> _Cast:
    import pyarrow as pa

    known = {array.type.field(place).name: place for place in range(array.type.num_fields)}
    children = array.flatten()
    bad: list[int] = []
    built = []
    for place in range(kind.num_fields):
        own = kind.field(place)
        found = known.pop(own.name, None)
        if found is None:
            built.append(pa.nulls(len(array), own.type))
        else:
            values, wrong = cast_column(_plain(children[found]), own)
            built.append(values)
            bad += wrong
    for place in known.values():
        # A field that the type does not have must not be lost in silence.
        bad += _places(children[place].is_valid())
    fields = [kind.field(place) for place in range(kind.num_fields)]
    return pa.StructArray.from_arrays(built, fields=fields, mask=array.is_null()), sorted(set(bad))


def _lists(array: pa.ListArray, kind: pa.ListType) -> _Cast:
    import numpy as np

    values, wrong = cast_column(_plain(array.flatten()), kind.value_field)
    built = _list_array(array, values, kind)
    bad = sorted({int(np.searchsorted(built.offsets, place, side="right")) - 1 for place in wrong})
    return built, bad


def _list_array(array: pa.ListArray, values: pa.Array, kind: pa.ListType) -> pa.ListArray:
    """Lists as long as others, with other values."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    # Those of the array may begin anywhere, and NULLs may have values behind them.
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=kind, mask=array.is_null())


def has_json(field: pa.Field) -> bool:
    """Whether a column is JSON, or has it at some depth."""
    kind = field.type
    return is_json_field(field) or any(has_json(kind.field(place)) for place in range(kind.num_fields))


def _json_texts(array: pa.Array) -> _Cast:
    """Values as JSON; a text is JSON already, or does not fit."""
    import pyarrow as pa

    is_text = pa.types.is_string(array.type)
    made: list[str | None] = []
    bad: list[int] = []
    for place, scalar in enumerate(array):
        try:
            value = scalar.as_py()
            if is_text and value is not None:
                # Whoever reads the column takes it for JSON.
                json.loads(value, parse_constant=_refused, parse_int=str)
            made.append(value if is_text or value is None else json_text(_present(value)))
        except (ValueError, OverflowError, RecursionError):
            made.append(None)
            bad.append(place)
    return (array, []) if is_text and not bad else (pa.array(made, pa.string()), bad)


def _refused(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def json_text(value: Any) -> str:
    """A value of Python as JSON.

    Raises:
        TypeError, ValueError, RecursionError: It has none: NaN, names that are no text, a value that holds itself.
    """
    return json.dumps(value, default=json_value, allow_nan=False)


def python_value(array: pa.Array | pa.ChunkedArray, place: int) -> Any:
    """A value as Python has it, or as a number or the name of its type where Python has none, as of the year 20000."""
    import pyarrow as pa

    scalar = array[place]
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        pass
    try:
        return scalar.cast(pa.int64()).as_py()
    except pa.ArrowException:
        return f"a value of the type {array.type}"


def shown_value(array: pa.Array, place: int) -> str:
    """A value for a message."""
    text = repr(python_value(array, int(place)))
    return text if len(text) <= 60 else f"{text[:60]}..."


def _present(value: Any) -> Any:
    """A value without fields that are NULL: Arrow has those of all objects of a column in each of them."""
    if isinstance(value, dict):
        return {name: _present(part) for name, part in value.items() if part is not None}
    return [_present(part) for part in value] if isinstance(value, list) else value


def json_value(value: Any) -> Any:
    """A value that JSON does not have as one that it has."""
    import base64
    import datetime as dt

    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        # Scalars of NumPy, and its arrays.
        return value.tolist()
    return str(value)


def instants(array: pa.Array) -> pa.Array:
    """Texts as times in microseconds and UTC; NULL where a text is none."""
    import pyarrow as pa

    from cepheid import _native

    if not len(array):
        return pa.array([], pa.timestamp("us", "UTC"))
    return one_array(pa.table(_native.rfc3339_times(pa.table({"text": array.cast(pa.string())})))["time"])


def texts(array: pa.Array) -> _Cast:
    """Texts of a column of the envelope: whole numbers as their digits; and the places of what is neither."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if types.is_null(array.type):
        return pa.nulls(len(array), pa.string()), []
    if types.is_integer(array.type):
        return array.cast(pa.string()), []
    if not types.is_string(array.type):
        return pa.nulls(len(array), pa.string()), _places(array.is_valid())
    return array, _places(pc.fill_null(pc.equal(pc.binary_length(array), 0), False))
