"""Whatever a source sends, as parts: events of one type each, and rows that are none."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cepheid.errors import SchemaError
from cepheid.input import arrow_table, exports_arrow, is_event, is_pandas, table_of
from cepheid.schema.casting import OBJECTS_MARK, json_value, python_value
from cepheid.schema.envelope import ENVELOPE, JSON_MARK
from cepheid.schema.faults import Faults
from cepheid.schema.json_text import JsonText
from cepheid.schema.known import Known
from cepheid.schema.mapping import mapped
from cepheid.schema.tabular import Frame, Part, table_parts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Incoming", "incoming", "read_parts"]

#: JSON text, events one by one, or tables.
Incoming = JsonText | list[Any]

_Function = Callable[["pa.Table"], Any] | None
_KIND_DEPTH_MAX = 8
_INT64 = 2**63
_SHAPES = ("specversion", "eventId", "eventType")


def incoming(data: Any) -> Incoming:
    """What was sent, to be read as often as need be.

    Raises:
        SchemaError: It is nothing that can be read as a table (code ``unsupported-input``).
    """
    if isinstance(data, JsonText):
        return data
    if type(data) is list and data and all(map(_is_plain, data)):
        # Nothing is lost on the way through JSON, which is ten times as fast as columns of Python values.
        return JsonText(json.dumps(data, separators=(",", ":")).encode())
    if isinstance(data, Mapping):
        return [data] if data and is_event(data) else [arrow_table(table_of(data))]
    if exports_arrow(data) or is_pandas(data) or not isinstance(data, Iterable) or hasattr(data, "dtype"):
        return [arrow_table(table_of(data))]
    if isinstance(data, (str, bytes, bytearray, memoryview)):
        table_of(data)
    parts = [part if isinstance(part, Mapping) and is_event(part) else _table_or_none(part) for part in data]
    unreadable = [part for part in parts if isinstance(part, _Unreadable)]
    if unreadable and len(unreadable) == len(parts):
        raise unreadable[0].error
    return parts


def _is_plain(event: Any) -> bool:
    """Whether an event says in JSON what it says in Python: names, texts, truth values, and numbers of 64 bits."""
    if type(event) is not dict:
        return False
    for name, value in event.items():
        kind = type(value)
        if type(name) is not str:
            return False
        if kind is str or kind is bool or value is None:
            continue
        if kind is int and -_INT64 <= value < _INT64:
            continue
        # A version of a schema is a whole number in a column, and part of a text or a number in JSON.
        if kind is float and math.isfinite(value) and name != "schemaversion":
            continue
        return False
    return True


class _Unreadable(NamedTuple):
    """What stands among events and is neither one nor a table."""

    value: Any
    error: SchemaError


def _table_or_none(part: Any) -> Any:
    try:
        return arrow_table(table_of(part))
    except SchemaError as error:
        return _Unreadable(part, error)


def read_parts(data: Incoming, known: Known, frame: Frame, function: _Function) -> tuple[list[Part], Faults]:
    """Events by type, and rows that are none.

    Args:
        data: What was sent.
        known: What is known of types.
        frame: What is said of events besides what they say themselves.
        function: What the mapper does.
    """
    if isinstance(data, JsonText):
        return _json_parts(data.payload, known, frame, function)
    events: list[tuple[int, Mapping[Any, Any]]] = []
    tables: list[tuple[pa.Table, np.ndarray[Any, Any]]] = []
    sent: list[tuple[int, Any]] = []
    unreadable: list[tuple[int, SchemaError]] = []
    count = 0
    import numpy as np

    for part in data:
        sent.append((count, part))
        if isinstance(part, Mapping):
            events.append((count, part))
            count += 1
        elif isinstance(part, _Unreadable):
            unreadable.append((count, part.error))
            count += 1
        else:
            tables.append((part, np.arange(count, count + part.num_rows)))
            count += part.num_rows
    faults = Faults(lambda rows: _payloads(sent, rows))
    for row, error in unreadable:
        faults.add([row], error.code, error.message, frame.topic)
    parts: list[Part] = []
    shaped = [] if function is not None else [row for row, event in events if _is_shaped(event)]
    if shaped:
        parts += _shaped_parts(dict(events), shaped, count, known, frame, faults)
    flat = set(shaped)
    tables += _event_tables([(row, event) for row, event in events if row not in flat], faults)
    for table, rows in tables:
        parts += _table_parts(table, rows, known, frame, function, faults)
    return parts, faults


def _table_parts(
    table: pa.Table, rows: np.ndarray[Any, Any], known: Known, frame: Frame, function: _Function, faults: Faults
) -> list[Part]:
    if function is not None and len(rows):
        try:
            table = mapped(function, table)
        except SchemaError as error:
            faults.add(rows, error.code, error.message, frame.topic)
            return []
    return table_parts(table, rows, known, frame, faults)


def _json_parts(text: bytes, known: Known, frame: Frame, function: _Function) -> tuple[list[Part], Faults]:
    import pyarrow as pa

    if function is not None:
        raw, found, spans = known.reader.read_rows(text)
        faults = _json_faults(text, found, spans)
        parts = []
        for batch, numbers in raw:
            rows = pa.table(numbers)["row"].to_numpy()
            parts += _table_parts(pa.table(batch), rows, known, frame, function, faults)
        return parts, faults
    batches, found, spans = _read(text, known, frame)
    return [_json_part(batch, known) for batch in batches], _json_faults(text, found, spans)


def _read(text: bytes, known: Known, frame: Frame) -> Any:
    received = micros(frame.received)
    return known.reader.read(
        text, topic=frame.topic, source=frame.source, received_us=received, id_prefix=frame.id_prefix
    )


def micros(moment: dt.datetime) -> int:
    """A moment in microseconds since 1970."""
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def _json_part(batch: Any, known: Known) -> Part:
    import pyarrow as pa

    topic, version, events, numbers, new = batch
    table = pa.table(events)
    of_type = next((one for one in known.versions(topic) if one.version == version), None)
    fields = list(table.schema)[table.num_columns - new :]
    return Part(of_type, topic, table, pa.table(numbers)["row"].to_numpy().astype("int64"), fields)


def _json_faults(text: bytes, found: list[Any], spans: Any) -> Faults:
    import pyarrow as pa

    bounds = pa.table(spans)
    starts, ends = bounds["start"].to_numpy(), bounds["end"].to_numpy()
    faults = Faults(lambda rows: [text[int(starts[row]) : int(ends[row])] for row in rows])
    for row, _, _, code, reason, topic in found:
        faults.add([row], code, reason, topic)
    return faults


def _is_shaped(event: Mapping[Any, Any]) -> bool:
    """Whether an event is no flat one: a CloudEvent, of the older shape, or an envelope around data."""
    if any(name in event for name in _SHAPES):
        return True
    data = event.get("data")
    return isinstance(data, Mapping) and all(name == "data" or name in ENVELOPE for name in event)


def _shaped_parts(
    events: Mapping[int, Mapping[Any, Any]],
    shaped: Sequence[int],
    count: int,
    known: Known,
    frame: Frame,
    faults: Faults,
) -> list[Part]:
    """Events that are read as JSON; the places of the others are kept, so that ids count all of the call."""
    texts = ["null"] * count
    wanted = set(shaped)
    for row in shaped:
        try:
            texts[row] = json.dumps(events[row], default=json_value)
        except (TypeError, ValueError, RecursionError) as error:
            faults.add([row], "field-type", f"it cannot be written as JSON: {error}", frame.topic)
            wanted.discard(row)
    batches, found, _ = _read(f"[{','.join(texts)}]".encode("utf-8", "surrogatepass"), known, frame)
    for row, _, _, code, reason, topic in found:
        if row in wanted:
            faults.add([row], code, reason, topic)
    return [_json_part(batch, known) for batch in batches]


def _event_tables(
    events: list[tuple[int, Mapping[Any, Any]]], faults: Faults
) -> list[tuple[pa.Table, np.ndarray[Any, Any]]]:
    """Events as tables: one, unless values of different types stand in one column."""
    if not events:
        return []
    if (whole := _event_table(events)) is not None:
        return [whole]
    alike: dict[Any, list[tuple[int, Mapping[Any, Any]]]] = {}
    for row, event in events:
        alike.setdefault(_kind(event), []).append((row, event))
    tables = []
    for some in alike.values():
        if (table := _event_table(some)) is not None:
            tables.append(table)
            continue
        for one in some:
            if (table := _event_table([one], faults)) is not None:
                tables.append(table)
    return tables


def _kind(value: Any, depth: int = 0) -> Any:
    """What has to be the same of values for them to stand in one column, as a rule."""
    if isinstance(value, Mapping) and depth < _KIND_DEPTH_MAX:
        return frozenset((str(name), _kind(part, depth + 1)) for name, part in value.items() if part is not None)
    if isinstance(value, (list, tuple)) and depth < _KIND_DEPTH_MAX:
        return frozenset(_kind(part, depth + 1) for part in value if part is not None)
    return type(value)


def _event_table(
    events: list[tuple[int, Mapping[Any, Any]]], faults: Faults | None = None
) -> tuple[pa.Table, np.ndarray[Any, Any]] | None:
    """Events as one table; None: their values do not meet. With faults, one that cannot be a row is noted there."""
    import numpy as np

    rows = np.array([row for row, _ in events], np.int64)
    found = [event for _, event in events]
    for attempt in (_with_objects, _with_texts):
        try:
            return attempt(found), rows
        except (SchemaError, ValueError, TypeError, OverflowError, RecursionError) as error:
            if faults is None:
                break
            faults.add(rows if attempt is _with_texts else (), "field-type", f"it cannot be a row: {error}")
    return None


def _with_objects(events: list[Mapping[Any, Any]]) -> pa.Table:
    """Events with objects and lists as Arrow has them, marked as what differs from event to event."""
    import pyarrow as pa

    table = arrow_table(table_of(events))
    fields = [
        field.with_metadata({OBJECTS_MARK: b"1"}) if pa.types.is_nested(field.type) else field for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _with_texts(events: list[Mapping[Any, Any]]) -> pa.Table:
    """Events with objects and lists as JSON: those that Arrow has no type for, such as lists of this and that."""
    import pyarrow as pa

    nested = {name for event in events for name, value in event.items() if isinstance(value, (Mapping, list, tuple))}
    made = [
        {name: json.dumps(value, default=json_value) if name in nested else value for name, value in event.items()}
        for event in events
    ]
    table = arrow_table(table_of(made))
    fields = [field.with_metadata({JSON_MARK: b"1"}) if field.name in nested else field for field in table.schema]
    return table.cast(pa.schema(fields))


def _payloads(sent: list[tuple[int, Any]], rows: list[int]) -> list[bytes]:
    """Rows as JSON, or as near to it as they come.

    Args:
        sent: What was sent, each part with the number of its first row.
        rows: The rows, in their order.
    """
    import bisect
    import itertools

    def place_of(row: int) -> int:
        return bisect.bisect_right(sent, row, key=lambda part: part[0]) - 1

    found: list[bytes] = []
    for place, some in itertools.groupby(rows, place_of):
        first, part = sent[place]
        places = [row - first for row in some]
        if isinstance(part, _Unreadable):
            values = [part.value]
        else:
            values = [part] if isinstance(part, Mapping) else _python_rows(part, places)
        found += [_text(value) for value in values]
    return found


def _python_rows(table: pa.Table, places: list[int]) -> list[Any]:
    """Rows as dicts; those with a value that Python does not have, such as a time of the year 20000, as their text."""
    if not table.num_columns:
        # Arrow has no rows of it to take.
        return [{} for _ in places]
    try:
        rows: list[Any] = table.take(places).to_pylist()
    except (ValueError, OverflowError, TypeError, NotImplementedError):
        rows = []
        for place in places:
            row = table.slice(place, 1)
            try:
                rows += row.to_pylist()
            except (ValueError, OverflowError):
                rows.append({name: python_value(row[name], 0) for name in row.column_names})
    return rows


def _text(value: Any) -> bytes:
    try:
        return json.dumps(value, default=json_value).encode("utf-8", "surrogatepass")
    except Exception:
        # What cannot be written down must not keep the others from being told of.
        return b""
