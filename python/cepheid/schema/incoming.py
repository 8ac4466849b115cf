"""Whatever a source sends, as parts: events of one type each, and rows that are none."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cepheid.errors import SchemaError
from cepheid.input import arrow_table, exports_arrow, is_event, is_pandas, table_of
from cepheid.schema.casting import OBJECTS_MARK, has_json, json_text, json_value, python_value, without_encodings
from cepheid.schema.envelope import ENVELOPE, JSON_MARK, is_json_field
from cepheid.schema.faults import Faults
from cepheid.schema.json_text import JsonText
from cepheid.schema.known import Known, KnownVersion
from cepheid.schema.mapping import mapped
from cepheid.schema.tabular import Frame, Part, major_version, table_parts

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Incoming", "incoming", "read_parts"]

#: JSON text, events one by one, or tables.
Incoming = JsonText | list[Any]

_Function = Callable[["pa.Table"], Any] | None
#: An event with its number in the call, and a table with those of its rows.
_Event = tuple[int, Mapping[Any, Any]]
_Rows = tuple["pa.Table", "np.ndarray[Any, Any]"]
_Maker = Callable[[list[Mapping[Any, Any]]], "pa.Table"]
_NoneType = type(None)
#: What is raised where values do not meet in a column, or one has no type that Arrow has.
_NO_TABLE = (SchemaError, ValueError, TypeError, OverflowError, RecursionError)
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
    if isinstance(data, Mapping):
        if not data or not is_event(data):
            return [arrow_table(table_of(data))]
        data = [data]
    elif type(data) is not list:
        if exports_arrow(data) or is_pandas(data) or not isinstance(data, Iterable) or hasattr(data, "dtype"):
            return [arrow_table(table_of(data))]
        if isinstance(data, (str, bytes, bytearray, memoryview)):
            table_of(data)
        data = list(data)
    if data and all(map(_is_plain, data)):
        # Nothing is lost on the way through JSON, which is ten times as fast as columns of Python values.
        return JsonText(json.dumps(data, separators=(",", ":")).encode())
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
    taken = set(shaped)
    flat = [(row, event) for row, event in events if row not in taken]
    if function is None:
        for some in _by_type(flat, known, frame, faults):
            tables += _event_tables(some.events, [some.table], faults)
    else:
        tables += _event_tables(flat, [_with_objects, _with_texts], faults)
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
            texts[row] = json_text(events[row])
        except (TypeError, ValueError, RecursionError) as error:
            faults.add([row], "field-type", f"it cannot be written as JSON: {error}", frame.topic)
            wanted.discard(row)
    batches, found, _ = _read(f"[{','.join(texts)}]".encode("utf-8", "surrogatepass"), known, frame)
    for row, _, _, code, reason, topic in found:
        if row in wanted:
            faults.add([row], code, reason, topic)
    return [_json_part(batch, known) for batch in batches]


def _by_type(events: list[_Event], known: Known, frame: Frame, faults: Faults) -> list[_OfType]:
    """Events by type and version: what is beside them of other types must not make others of their values."""
    by_type: dict[Any, _OfType] = {}
    for row, event in events:
        topic, stated = event.get("type"), event.get("schemaversion")
        topic = frame.topic if topic is None else topic
        # What is no type, or no version, is refused later.
        is_named = isinstance(topic, str) and isinstance(stated, (str, int, _NoneType))
        key = (topic, stated) if is_named else None
        columns = by_type.get(key)
        if columns is None:
            versions = known.versions(str(topic)) if is_named else ()
            columns = by_type[key] = _OfType(_version_of(stated, versions))
        try:
            columns.events.append((row, columns.written(event)))
        except (TypeError, ValueError, RecursionError) as error:
            faults.add([row], "field-type", f"it cannot be written as JSON: {error}", frame.topic)
    return list(by_type.values())


def _version_of(stated: Any, versions: tuple[KnownVersion, ...]) -> KnownVersion | None:
    """The version that an event says it is of, the newest if there is no such."""
    number = major_version(stated) if isinstance(stated, str) else stated
    return next((one for one in versions if one.version == number), versions[-1]) if versions else None


class _OfType:
    """Events of one type and version, with what stands in columns of JSON as its text.

    Texts are quoted there, as they are in what is JSON already: which values came beside them must make no difference.

    Attributes:
        events: The events.
    """

    __slots__ = ("_columns", "events")

    def __init__(self, version: KnownVersion | None) -> None:
        # By name: False is no JSON, True a new column of it, a field one that has it.
        self._columns: dict[Any, Any] = dict.fromkeys(ENVELOPE, False)
        if version is not None:
            self._columns |= {field.name: has_json(field) and field for field in version.columns}
        self.events: list[_Event] = []

    def written(self, event: Mapping[Any, Any]) -> Mapping[Any, Any]:
        """The event with what is JSON as its text."""
        made: dict[Any, Any] = {}
        for name, value in event.items():
            if value is None:
                continue
            how = self._columns.get(name)
            if how is None:
                # Objects and arrays that come first make it a column of JSON, as they do in JSON.
                how = self._columns[name] = isinstance(value, (Mapping, list, tuple))
            if how is not False:
                made[name] = json_text(value) if how is True else _written(value, how)
        return {**event, **made} if made else event

    def table(self, events: list[Mapping[Any, Any]]) -> pa.Table:
        """Some of the events, with objects and lists as Arrow has them, and new columns of JSON marked as such.

        Raises:
            SchemaError: Their values do not meet in columns.
        """
        return _marked(_table(events), {name for name, how in self._columns.items() if how is True})


def _table(events: Sequence[Mapping[Any, Any]]) -> pa.Table:
    """Events as Arrow has them, but that it makes 1.0 of True where floats are: these do not meet."""
    table = arrow_table(table_of(events))
    for field in table.schema:
        if _has_floats(field.type) and any(_is_truth_in(event.get(field.name), field.type) for event in events):
            raise SchemaError(f"`{field.name}` is a float and a truth", code="unsupported-input", column=field.name)
    return table


def _has_floats(kind: pa.DataType) -> bool:
    import pyarrow as pa

    parts = [kind.field(place).type for place in range(kind.num_fields)]
    return any(map(_has_floats, parts)) if parts else bool(pa.types.is_floating(kind))


def _is_truth_in(value: Any, kind: pa.DataType) -> bool:
    """Whether a value has a truth where its column has floats."""
    if isinstance(value, Mapping):
        parts = [kind.field(place) for place in range(kind.num_fields)]
        return any(_is_truth_in(value.get(part.name), part.type) for part in parts if _has_floats(part.type))
    if isinstance(value, (list, tuple)) and kind.num_fields:
        return any(_is_truth_in(part, kind.field(0).type) for part in value)
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")


def _written(value: Any, field: pa.Field) -> Any:
    """A value of a column that is JSON, or has it at some depth, with that as text."""
    if value is None:
        return None
    if is_json_field(field):
        return json_text(value)
    if isinstance(value, Mapping) and field.type.num_fields:
        parts = {field.type.field(place).name: field.type.field(place) for place in range(field.type.num_fields)}
        return {name: _written(part, parts[name]) if name in parts else part for name, part in value.items()}
    if isinstance(value, (list, tuple)) and field.type.num_fields:
        return [_written(part, field.type.field(0)) for part in value]
    return value


def _event_tables(events: list[_Event], makers: Sequence[_Maker], faults: Faults) -> list[_Rows]:
    """Events as tables: one, unless values of different types stand in one column.

    Args:
        events: The events.
        makers: What makes a table of events, each of those of which the one before can make none.
        faults: Where events are noted that no table can be made of.
    """
    if not events:
        return []
    tables, left = _made(events, makers[0], halve=False)
    alike: dict[Any, list[_Event]] = {}
    for row, event in left:
        alike.setdefault(_kind(event), []).append((row, event))
    left = []
    for some in alike.values():
        more, bad = _made(some, makers[0])
        tables += more
        left += bad
    for maker in makers[1:]:
        more, left = _made(left, maker)
        tables += more
    for row, event in left:
        try:
            makers[-1]([event])
        except _NO_TABLE as error:
            faults.add([row], "field-type", f"it cannot be a row: {error}")
    return tables


def _made(events: list[_Event], maker: _Maker, *, halve: bool = True) -> tuple[list[_Rows], list[_Event]]:
    """Events as tables, halved until those are found of which none can be made; not halved, it is all or none."""
    import numpy as np

    tables: list[_Rows] = []
    left: list[_Event] = []
    waiting = [events] if events else []
    while waiting:
        some = waiting.pop()
        try:
            tables.append((maker([event for _, event in some]), np.array([row for row, _ in some], np.int64)))
        except _NO_TABLE:
            if halve and len(some) > 1:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]
            else:
                left += some
    return tables, left


def _kind(value: Any, depth: int = 0) -> Any:
    """What has to be the same of values for them to stand in one column, as a rule."""
    if isinstance(value, Mapping) and depth < _KIND_DEPTH_MAX:
        return frozenset((str(name), _kind(part, depth + 1)) for name, part in value.items() if part is not None)
    if isinstance(value, (list, tuple)) and depth < _KIND_DEPTH_MAX:
        return frozenset(_kind(part, depth + 1) for part in value if part is not None)
    return type(value)


def _marked(table: pa.Table, json_names: Collection[str]) -> pa.Table:
    import pyarrow as pa

    fields = [field.with_metadata({JSON_MARK: b"1"}) if field.name in json_names else field for field in table.schema]
    return table.cast(pa.schema(fields))


def _with_objects(events: list[Mapping[Any, Any]]) -> pa.Table:
    """Events with objects and lists as Arrow has them, marked as what differs from event to event."""
    import pyarrow as pa

    table = _table(events)
    fields = [
        field.with_metadata({OBJECTS_MARK: b"1"}) if pa.types.is_nested(field.type) else field for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _with_texts(events: list[Mapping[Any, Any]]) -> pa.Table:
    """Events with objects and lists as JSON: those that Arrow has no type for, such as lists of this and that."""
    nested = {name for event in events for name, value in event.items() if isinstance(value, (Mapping, list, tuple))}
    made = [
        {name: json_text(value) if name in nested and value is not None else value for name, value in event.items()}
        for event in events
    ]
    return _marked(_table(made), nested)


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
    import pyarrow as pa

    if not table.num_columns:
        # Arrow has no rows of it to take.
        return [{} for _ in places]
    try:
        rows: list[Any] = without_encodings(table).take(places).to_pylist()
    except (ValueError, OverflowError, pa.ArrowException):
        # A time or a date that Python does not have is an OverflowError, a zone or a text that is none a ValueError;
        # of maps of views Arrow can take no rows, and says so by an error of its own: they can be sliced.
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
