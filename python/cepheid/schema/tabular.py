"""Tables whose rows are events: the envelope filled in, rows by type, columns in the types that are known."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

from cepheid.errors import SchemaError
from cepheid.schema.casting import (
    cast_column,
    instants,
    is_encoded,
    kept_field,
    one_array,
    shown_value,
    texts,
    without_encodings,
)
from cepheid.schema.envelope import ENVELOPE, STORE_COLUMNS, envelope_schema, is_json_field, name_fault, topic_fault
from cepheid.schema.faults import Faults
from cepheid.schema.known import COLUMNS_MAX, Known, KnownVersion

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Frame", "Part", "conformed", "major_version", "table_parts"]

# Times that 64 bits of nanoseconds hold, in microseconds: the engine's clock counts these.
_MICROS_MAX = (2**63 - 1) // 1000
_TEXTS = ("id", "source", "subject", "correlationid", "causationid", "partitionkey")


class Frame(NamedTuple):
    """What is said of a call's events besides what they say themselves."""

    topic: str | None
    source: str
    received: dt.datetime
    id_prefix: str


class Part(NamedTuple):
    """Events of one type, and of one version of its schema.

    Attributes:
        known: What is known of it; None: it is new.
        topic: The type.
        table: The envelope's columns, then those of the data.
        rows: Which of the call's events they are.
        columns: Columns that are new, the last ones.
    """

    known: KnownVersion | None
    topic: str
    table: pa.Table
    rows: np.ndarray[Any, Any]
    columns: list[pa.Field]


def table_parts(table: pa.Table, rows: np.ndarray[Any, Any], known: Known, frame: Frame, faults: Faults) -> list[Part]:
    """The events of a table, by type and version.

    Args:
        table: The rows; columns with names of the envelope are the envelope.
        rows: Which of the call's events they are.
        known: What is known.
        frame: What is said besides.
        faults: Where rows are noted that are no events.
    """
    if not len(rows):
        return []
    names = table.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        faults.add(rows, "field-name", f"two columns are named `{twice[:60]}`", frame.topic)
        return []
    for name in names:
        if why := _column_fault(name):
            # Rows that have nothing there are none the worse for it.
            faults.add(rows[_present(one_array(table[name]))], "field-name", why, frame.topic)
            table = table.drop_columns([name])
    table = without_encodings(table)
    for field in [field for field in table.schema if is_encoded(field.type)]:
        # Maps and unions of such, which no column can be.
        reason = f"`{field.name[:60]}` is of the type {field.type}, which no column has"
        faults.add(rows[_present(one_array(table[field.name]))], "field-type", reason, frame.topic)
        table = table.drop_columns([field.name])
    _check_sizes(table, rows, known.payload_bytes_max, frame, faults)
    envelope = _envelope(table, rows, frame, faults)
    data = table.drop_columns([name for name in table.column_names if name in ENVELOPE])
    keep = _good(rows, faults)
    if not len(keep):
        return []
    if len(keep) < len(rows):
        envelope, data, rows = envelope.take(keep), _taken(data, keep), rows[keep]
    return [
        part
        for topic, places in _by_topic(envelope, rows, frame, faults)
        for part in _versions(topic, envelope.take(places), _taken(data, places), rows[places], known, faults)
    ]


def _present(array: pa.Array) -> np.ndarray[Any, Any]:
    """Which values are not NULL."""
    found: np.ndarray[Any, Any] = array.is_valid().to_numpy(zero_copy_only=False)
    return found


def _taken(data: pa.Table, places: np.ndarray[Any, Any]) -> pa.Table:
    """Rows of a table that may have no columns, and has rows all the same."""
    import pyarrow as pa

    return data.take(places) if data.num_columns else pa.table({"": pa.nulls(len(places))}).select([])


def _column_fault(name: str) -> str | None:
    why = name_fault(name)
    if why is None and name in STORE_COLUMNS:
        why = "the store has a column of that name"
    return why and f"a column cannot be named `{name[:60]}`: {why}"


def _good(rows: np.ndarray[Any, Any], faults: Faults) -> np.ndarray[Any, Any]:
    """The places of rows that nothing is wrong with."""
    import numpy as np

    if not len(faults):
        return np.arange(len(rows))
    return np.array([place for place, row in enumerate(rows) if int(row) not in faults], dtype=np.int64)


def _check_sizes(table: pa.Table, rows: np.ndarray[Any, Any], limit: int, frame: Frame, faults: Faults) -> None:
    """Notes rows of more bytes than an event may have: of texts and bytes, and of nested values as memory has them."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if table.nbytes <= limit:
        return
    sizes = np.zeros(len(rows), np.int64)
    for column in table.columns:
        if pa.types.is_null(column.type):
            continue
        array = one_array(column)
        kind = array.type
        if pa.types.is_string(kind) or pa.types.is_binary(kind):
            sizes += pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
        elif pa.types.is_nested(kind):
            # The mean says nothing of one row; where all together are small, none is large.
            if array.nbytes > limit:
                sizes += np.array([array.slice(place, 1).nbytes for place in range(len(array))], np.int64)
        else:
            sizes += 8
    large = np.flatnonzero(sizes > limit)
    for place in large:
        reason = (
            f"it has {sizes[place]} bytes, and an event may have {limit}; keep what is large elsewhere, and its place "
            "in the event"
        )
        faults.add([rows[place]], "payload-too-large", reason, frame.topic)


def _envelope(table: pa.Table, rows: np.ndarray[Any, Any], frame: Frame, faults: Faults) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    count = len(rows)
    columns: dict[str, pa.Array] = {}
    for name in _TEXTS:
        if name not in table.column_names:
            columns[name] = pa.nulls(count, pa.string())
            continue
        array = one_array(table[name])
        columns[name], bad = texts(array)
        for place in bad:
            shown = shown_value(array, place)
            why = "empty; leave it out, or say what it is" if shown == "''" else f"{shown}, not a text"
            faults.add([rows[place]], "event-attribute", f"`{name}` is {why}", frame.topic)
    made = pc.binary_join_element_wise(
        pa.scalar(frame.id_prefix), pa.array(rows.astype("int64")).cast(pa.string()), pa.scalar("-")
    )
    columns["id"] = pc.coalesce(columns["id"], made)
    columns["correlationid"] = pc.coalesce(columns["correlationid"], columns["id"])
    columns["source"] = pc.fill_null(columns["source"], frame.source)
    columns["time"] = _times(table, rows, frame, faults)
    columns["type"] = _types(table, rows, frame, faults)
    columns["schemaversion"] = _schema_versions(table, rows, frame, faults)
    return pa.table([columns[name] for name in ENVELOPE], schema=envelope_schema())


def _times(table: pa.Table, rows: np.ndarray[Any, Any], frame: Frame, faults: Faults) -> pa.Array:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    field = envelope_schema().field("time")
    received = pa.scalar(frame.received, field.type)
    if "time" not in table.column_names:
        return pa.array(np.full(len(rows), received.value)).cast(field.type)
    array = one_array(table["time"])
    times, bad = cast_column(array, field) if not pa.types.is_string(array.type) else (instants(array), [])
    missing = pc.and_(array.is_valid(), times.is_null()).to_numpy(zero_copy_only=False)
    # NULLs may have any number behind them.
    counts = np.where(times.is_null().to_numpy(zero_copy_only=False), 0, pc.fill_null(times.cast(pa.int64()), 0))
    wrong = missing | (np.abs(counts) > _MICROS_MAX)
    wrong[bad] = True
    for place in np.flatnonzero(wrong):
        reason = (
            f"`time` is {shown_value(array, int(place))}; a time is a timestamp, or a text as RFC 3339 has it, of the "
            "years 1678 to 2261"
        )
        faults.add([rows[place]], "event-time", reason, frame.topic)
    return pc.fill_null(times, received)


def _types(table: pa.Table, rows: np.ndarray[Any, Any], frame: Frame, faults: Faults) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if "type" in table.column_names:
        array = one_array(table["type"])
        types = array if pa.types.is_string(array.type) else pa.nulls(len(array), pa.string())
        if not pa.types.is_string(array.type) and not pa.types.is_null(array.type):
            for place in _present(array).nonzero()[0].tolist():
                reason = f"`type` is {shown_value(array, place)}, not a text"
                faults.add([rows[place]], "event-type", reason, frame.topic)
    else:
        types = pa.nulls(len(rows), pa.string())
    if frame.topic is None:
        return types
    other = pc.fill_null(pc.not_equal(types, frame.topic), False).to_numpy(zero_copy_only=False)
    for place in other.nonzero()[0]:
        reason = f"it says that it is of type `{str(types[int(place)])[:60]}`, but was sent as `{frame.topic}`"
        faults.add([rows[place]], "event-type", reason, frame.topic)
    return pc.fill_null(types, frame.topic)


def _schema_versions(table: pa.Table, rows: np.ndarray[Any, Any], frame: Frame, faults: Faults) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    field = envelope_schema().field("schemaversion")
    if "schemaversion" not in table.column_names:
        return pa.nulls(len(rows), field.type)
    array = one_array(table["schemaversion"])
    if pa.types.is_string(array.type):
        versions = pa.array([major_version(text) for text in array.to_pylist()], field.type)
    else:
        versions, _ = cast_column(array, field)
    good = pc.fill_null(pc.greater_equal(versions, 1), False)
    for place in pc.and_not(array.is_valid(), good).to_numpy(zero_copy_only=False).nonzero()[0]:
        reason = f"the version of its schema is {shown_value(array, place)}, not a number from 1"
        faults.add([rows[place]], "schema-version", reason, frame.topic)
    return versions


def major_version(text: str | None) -> int | None:
    """The first part of a version: 2 of ``2``, ``v2`` and ``2.1``."""
    first, *rest = (text or "").removeprefix("v").removeprefix("V").split(".")
    digits = all(part.isascii() and part.isdigit() for part in [first, *rest])
    return int(first) if digits and len(first) < 10 else None


def _by_topic(
    envelope: pa.Table, rows: np.ndarray[Any, Any], frame: Frame, faults: Faults
) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """Types in the order in which they come first, with the places of their rows."""
    import numpy as np
    import pyarrow.compute as pc

    encoded = pc.dictionary_encode(one_array(envelope["type"]), null_encoding="encode")
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
    found = []
    for code, topic in enumerate(encoded.dictionary.to_pylist()):
        places = order[starts[code] : starts[code + 1]]
        why = None
        if topic is None:
            why = "it has no `type`, and was sent without a topic"
        elif fault := topic_fault(topic):
            why = f"`type` cannot be the name of a topic: {fault}"
        if why is None:
            found.append((topic, places))
        else:
            faults.add(rows[places], "event-type", why, frame.topic)
    return found


def _versions(
    topic: str,
    envelope: pa.Table,
    data: pa.Table,
    rows: np.ndarray[Any, Any],
    known: Known,
    faults: Faults,
) -> list[Part]:
    """The events of a type, by the version that they are of."""
    import numpy as np

    newest = known.newest(topic)
    if newest is None or newest.version is None:
        part = conformed(topic, newest, envelope, data, rows, faults)
        return [] if part is None else [part]
    by_version = {version.version: version for version in known.versions(topic)}
    stated = envelope["schemaversion"].fill_null(newest.version).to_numpy()
    filled = envelope.set_column(
        ENVELOPE.index("schemaversion"), envelope_schema().field("schemaversion"), [stated.astype(np.int32)]
    )
    parts = []
    for number in dict.fromkeys(stated.tolist()):
        places = np.flatnonzero(stated == number)
        version = by_version.get(number)
        if version is None:
            reason = f"`{topic}` has no version {number} of its schema (it has {list(by_version)})"
            faults.add(rows[places], "schema-version", reason, topic)
            continue
        part = conformed(topic, version, filled.take(places), _taken(data, places), rows[places], faults)
        if part is not None:
            parts.append(part)
    return parts


def conformed(
    topic: str,
    known: KnownVersion | None,
    envelope: pa.Table,
    data: pa.Table,
    rows: np.ndarray[Any, Any],
    faults: Faults,
) -> Part | None:
    """Rows in the columns that are known of their type; None: none of them fits.

    Args:
        topic: The type.
        known: What is known of it.
        envelope: The envelope's columns.
        data: The other columns, as they came.
        rows: Which of the call's events they are.
        faults: Where rows are noted that do not fit.
    """
    import numpy as np
    import pyarrow as pa

    fields = [] if known is None else list(known.columns)
    columns: list[pa.Array] = []
    for field in fields:
        if field.name not in data.column_names:
            columns.append(pa.nulls(len(rows), field.type))
        else:
            array = one_array(data[field.name])
            values, bad = cast_column(array, field)
            columns.append(values)
            _note_misfits(array, bad, field, rows, topic, faults)
        if not field.nullable:
            missing = np.flatnonzero(columns[-1].is_null().to_numpy(zero_copy_only=False))
            faults.add(rows[missing], "missing-field", f"`{field.name}` is missing, which `{topic}` must have", topic)
    names = {field.name for field in fields}
    others = [name for name in data.column_names if name not in names and not pa.types.is_null(data[name].type)]
    if known is not None and known.unknown == "reject":
        for name in others:
            faults.add(
                rows[_present(one_array(data[name]))], "unknown-field", f"`{topic}` has no field `{name[:60]}`", topic
            )
    keep = _good(rows, faults)
    if not len(keep):
        return None
    new: list[pa.Field] = []
    if known is None or known.unknown == "keep":
        keep = _new_columns(others, data, rows, keep, fields, columns, new, topic, faults)
        if not len(keep):
            return None
    schema = pa.schema([*envelope_schema(), *fields, *new])
    table = pa.Table.from_arrays([*envelope.columns, *columns], schema=schema)
    if len(keep) < len(rows):
        table, rows = table.take(keep), rows[keep]
    return Part(known, topic, table, rows, new)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _note_misfits(
    array: pa.Array, bad: list[int], field: pa.Field, rows: np.ndarray[Any, Any], topic: str, faults: Faults
) -> None:
    code = "number-range" if _is_number(array.type) and _is_number(field.type) else "field-type"
    wanted = "JSON" if is_json_field(field) else field.type
    for place in bad:
        reason = f"`{field.name}` is {shown_value(array, place)}, which is no {wanted}"
        faults.add([rows[place]], code, reason, topic)


def _nested_fault(kind: pa.DataType) -> str | None:
    """Why the name of a field of an object, at any depth, cannot be one."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        parts = [kind.field(place) for place in range(kind.num_fields)]
        if not parts:
            return "the object has no fields, of which Parquet has no form"
        return next((why for part in parts if (why := name_fault(part.name) or _nested_fault(part.type))), None)
    return _nested_fault(kind.value_type) if pa.types.is_list(kind) else None


def _new_columns(
    others: list[str],
    data: pa.Table,
    rows: np.ndarray[Any, Any],
    keep: np.ndarray[Any, Any],
    fields: list[pa.Field],
    columns: list[pa.Array],
    new: list[pa.Field],
    topic: str,
    faults: Faults,
) -> np.ndarray[Any, Any]:
    """Adds columns that have a value in some good row; the places of rows that are good then."""
    import numpy as np
    import pyarrow as pa

    for name in others:
        array = one_array(data[name])
        valid = _present(array)
        if not valid[keep].any():
            continue
        try:
            field = kept_field(name, data.schema.field(name).with_type(array.type))
        except SchemaError as error:
            why = _nested_fault(array.type)
            code = "field-type" if why is None else "field-name"
            reason = error.message if why is None else f"a field of `{name[:60]}` cannot be named so: {why}"
            faults.add(rows[keep[valid[keep]]], code, reason, topic)
            keep = keep[~valid[keep]]
            continue
        if len(fields) + len(new) >= COLUMNS_MAX:
            reason = f"with it the type would have more than {COLUMNS_MAX} columns; declare those it has"
            faults.add(rows[keep[valid[keep]]], "too-many-columns", reason, topic)
            keep = keep[~valid[keep]]
            continue
        values, bad = cast_column(array, field)
        _note_misfits(array, bad, field, rows, topic, faults)
        if bad:
            keep = keep[~np.isin(keep, bad)]
        columns.append(values)
        new.append(field)
    if len(new) and len(keep):
        used = [
            place
            for place, _ in enumerate(new)
            if columns[len(fields) + place].take(pa.array(keep)).null_count < len(keep)
        ]
        columns[len(fields) :] = [columns[len(fields) + place] for place in used]
        new[:] = [new[place] for place in used]
    return keep
