"""Event logs as files, in the formats that tools for process mining read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

from cepheid._native import column_places
from cepheid.building import checked_name
from cepheid.errors import PatternError, SchemaError
from cepheid.expr import Expr
from cepheid.history import checked_column, checked_columns, history_of, numbered, plain_column, read_table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

__all__ = ["to_ocel", "to_xes"]

# Rows that are text at one time.
_CHUNK = 4_096

# In an attribute a reader takes line breaks and tabs for blanks, unless they are written as numbers.
_XML_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
_NOT_XML = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"

_XES_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1849.2016" xes.features="" xmlns="http://www.xes-standard.org/">
  <extension name="Concept" prefix="concept" uri="http://www.xes-standard.org/concept.xesext"/>
  <extension name="Time" prefix="time" uri="http://www.xes-standard.org/time.xesext"/>
"""
_XES_RESOURCES = """\
  <extension name="Organizational" prefix="org" uri="http://www.xes-standard.org/org.xesext"/>
"""
_XES_GLOBALS = """\
  <global scope="trace">
    <string key="concept:name" value=""/>
  </global>
  <global scope="event">
    <string key="concept:name" value=""/>
    <date key="time:timestamp" value="1970-01-01T00:00:00.000+00:00"/>
  </global>
  <classifier name="Activity" keys="concept:name"/>
"""

Columns = str | Expr | Iterable[str | Expr]


class _Kind(NamedTuple):
    """How values of a column are written.

    Attributes:
        xes: The element of XES.
        ocel: The type of OCEL.
        texts: The values of a column as XML schema spells them, None for NULL.
        values: The same as JSON has them.
    """

    xes: str
    ocel: str
    texts: Callable[[pa.ChunkedArray], list[str | None]]
    values: Callable[[pa.ChunkedArray], list[Any]]


def to_xes(
    data: Any,
    path: str | os.PathLike[str],
    *,
    case: str | Expr,
    activity: str | Expr,
    event_time: str | Expr = "ts",
    resource: str | Expr | None = None,
    attributes: Columns | None = None,
) -> None:
    """Writes an event log in XES (IEEE 1849-2016): a trace for each case, an event for each row.

    Traces go by their first rows as they arrived, events by time and then arrival. Rows without case, activity or both
    are left out. Times are UTC. Attributes are of the XES type that their column's is: ``string``, ``date``, ``int``,
    ``float`` (decimals too) or ``boolean``; spans, as ``PT90S``, and times of day are strings. NULL is no attribute.

    The file is written beside its place under another name and then renamed, so that it is whole or not there. Rows are
    written as they are made into text, some thousand at a time.

    Time: O(n log n), n rows. Space: some 80 bytes a row beside the table.

    Args:
        data: The table, as `cepheid.match` takes it. Rows may come in any order.
        path: The file.
        case: The column that says which case a row is of: ``concept:name`` of traces.
        activity: The column that says what happened: ``concept:name`` of events.
        event_time: The column of the event time: ``time:timestamp``.
        resource: The column that says who did it: ``org:resource``.
        attributes: Further columns to write, under their names; None: all.

    Raises:
        TypeError: A column is no name, or the path no path.
        SchemaError: The data cannot be read as a table; a column is missing or of a type that the format does not have
            (code ``column-type``); an event time is NULL; two attributes would have one name (code
            ``ambiguous-column``); or a text has a character that XML 1.0 cannot hold, as control characters are (code
            ``xml-character``).
        OSError: The file cannot be written.

    Example:
        >>> import cepheid as cep, pathlib, tempfile
        >>> orders = {"order": [7, 7], "ts": [0, 1_000_000_000], "step": ["placed", "paid"], "total": [9.5, None]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "orders.xes")
        ...     cep.to_xes(orders, path, case="order", activity="step")
        ...     lines = path.read_text().splitlines()
        >>> for line in lines[-6:-2]:
        ...     print(line.strip())
        <event>
        <string key="concept:name" value="paid"/>
        <date key="time:timestamp" value="1970-01-01T00:00:01.000+00:00"/>
        </event>
    """
    history = history_of(data, [checked_column(case)], [checked_column(activity)], checked_column(event_time))
    table = history.table
    named = [checked_column(column) for column in (case, activity, event_time)]
    case_place, activity_place, time_place = column_places(table.schema, named)
    standard = {case_place, activity_place, time_place}
    keys = {"concept:name": activity_place, "time:timestamp": time_place}
    if resource is not None:
        [keys["org:resource"]] = column_places(table.schema, [checked_column(resource)])
        standard.add(keys["org:resource"])
    written = dict(keys)
    for name, place in _named(table, attributes, standard):
        if name in written:
            raise _repeated(name)
        written[name] = place
    kinds = {key: _kind(table.schema.field(place)) for key, place in written.items()}
    _kind(table.schema.field(case_place))
    # Names, whatever they are made of.
    kinds |= dict.fromkeys(kinds.keys() & {"concept:name", "org:resource"}, _TEXT)
    of_case = table.column(case_place).is_valid().to_numpy()
    kept = of_case[history.rows]
    rows, cases = history.rows[kept], history.keys[kept]
    # What is no timestamp counts nanoseconds, whatever else it is.
    as_numbers = kinds["time:timestamp"].xes != "date"
    times = history.times[kept]

    with _whole_file(path) as file:
        file.write(_XES_HEAD)
        if "org:resource" in written:
            file.write(_XES_RESOURCES)
        file.write(_XES_GLOBALS)
        open_case = None
        for start in range(0, len(rows), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            taken = rows[chunk]
            names = _TEXT.texts(_taken(table, case_place, taken))
            columns: list[tuple[str, str, Sequence[str | None]]] = []
            for key, place in written.items():
                if key == "time:timestamp" and as_numbers:
                    columns.append(("date", key, [f"{moment}+00:00" for moment in _moments(times[chunk])]))
                else:
                    columns.append((kinds[key].xes, key, kinds[key].texts(_taken(table, place, taken))))
            events = _xes_events(columns, len(taken))
            for number, case_name, event in zip(cases[chunk].tolist(), names, events, strict=True):
                if number != open_case:
                    file.write("" if open_case is None else "  </trace>\n")
                    file.write(f'  <trace>\n    <string key="concept:name" value="{_xml(case_name or "", "case")}"/>\n')
                    open_case = number
                file.write(event)
        file.write("</log>\n" if open_case is None else "  </trace>\n</log>\n")


def to_ocel(
    data: Any,
    path: str | os.PathLike[str],
    *,
    activity: str | Expr,
    objects: Mapping[str, Columns],
    event_time: str | Expr = "ts",
    id: str | Expr | None = None,
    attributes: Columns | None = None,
) -> None:
    """Writes an object-centric event log in the JSON format of OCEL 2.0: an event for each row, and its objects.

    Events go by time and then arrival; their types are the activities. Rows without activity are left out. An object is
    a value of one of its type's columns, or one of its elements if that is a column of lists; its id is the type and
    the value, as ``order:17``, so that ids of two types never meet. A relation of an event to an object is qualified by
    the column. Attributes are of the OCEL type that their column's is: ``string``, ``time``, ``integer``, ``float``
    (decimals too) or ``boolean``; spans, as ``PT90S``, and times of day are strings. NULL is no attribute, nor are
    floats that JSON does not have: NaN and the infinities. Times are UTC.

    The file is written beside its place under another name and then renamed, so that it is whole or not there. Rows are
    written as they are made into text, some thousand at a time.

    Time: O(n log n), n rows. Space: some 40 bytes a row beside the table, and the distinct objects.

    Args:
        data: The table, as `cepheid.match` takes it. Rows may come in any order.
        path: The file.
        activity: The column that says what happened.
        objects: The types of objects, and for each the column, or the columns, with the objects that an event is of.
        event_time: The column of the event time.
        id: The column of the events' ids, text or numbers, each its own. None: ``e0``, ``e1`` and so on, as rows
            arrived.
        attributes: Further columns to write, under their names; None: all.

    Raises:
        TypeError: A column or a type is no name, or the path no path.
        PatternError: There are no objects (code ``invalid-clause``).
        SchemaError: The data cannot be read as a table; a column is missing or of a type that the format does not have
            (code ``column-type``); an event time is NULL; an id is NULL or there twice (code ``event-id``); or two
            attributes would have one name (code ``ambiguous-column``).
        OSError: The file cannot be written.

    Example:
        >>> import cepheid as cep, json, pathlib, tempfile
        >>> events = {"ts": [0], "step": ["packed"], "order_id": [7], "item_ids": [["a", "b"]]}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "orders.json")
        ...     cep.to_ocel(events, path, activity="step", objects={"order": "order_id", "item": "item_ids"})
        ...     log = json.loads(path.read_text())
        >>> log["events"][0]["relationships"][0]
        {'objectId': 'order:7', 'qualifier': 'order_id'}
    """
    types = {checked_name(kind, "type of objects"): checked_columns(columns, kind) for kind, columns in objects.items()}
    if not types:
        raise PatternError("objects names one type at least", code="invalid-clause", context="objects")
    table = read_table(data)
    schema = table.schema
    activity_place, time_place = column_places(schema, [checked_column(activity), checked_column(event_time)])
    of_types = {kind: column_places(schema, columns) for kind, columns in types.items()}
    standard = {activity_place, time_place, *(place for places in of_types.values() for place in places)}
    id_place = None
    if id is not None:
        [id_place] = column_places(schema, [checked_column(id)])
        standard.add(id_place)
    for place in standard - {time_place}:
        _kind(_element(schema.field(place)) if place not in (activity_place, id_place) else schema.field(place))
    written: dict[str, tuple[int, _Kind]] = {}
    for name, place in _named(table, attributes, standard):
        if name in written:
            raise _repeated(name)
        written[name] = (place, _kind(schema.field(place)))
    if id_place is not None:
        _check_ids(table, id_place)
    times = numbered(table, checked_column(event_time), []).times
    rows = _in_time(table, activity_place, times)
    declared = [{"name": name, "type": kind.ocel} for name, (_, kind) in written.items()]

    with _whole_file(path) as file:
        file.write('{"objectTypes": [')
        file.write(", ".join(_json({"name": kind, "attributes": []}) for kind in of_types))
        file.write('],\n"eventTypes": [')
        happened = _distinct(_TEXT.texts(_taken(table, activity_place, rows)))
        file.write(",\n".join(_json({"name": name, "attributes": declared}) for name in happened))
        file.write('],\n"objects": [\n')
        file.write(
            ",\n".join(
                _json({"id": f"{kind}:{name}", "type": kind, "attributes": [], "relationships": []})
                for kind, places in of_types.items()
                for name in _distinct(
                    name for place in places for names in _names(_taken(table, place, rows)) for name in names
                )
            )
        )
        file.write('],\n"events": [\n')
        for start in range(0, len(rows), _CHUNK):
            file.write(",\n" if start else "")
            taken = rows[start : start + _CHUNK]
            ids = (
                [f"e{row}" for row in taken.tolist()]
                if id_place is None
                else _TEXT.texts(_taken(table, id_place, taken))
            )
            activities = _TEXT.texts(_taken(table, activity_place, taken))
            moments = _moments(times[taken])
            values = [(name, kind.values(_taken(table, place, taken))) for name, (place, kind) in written.items()]
            related = [
                (kind, schema.field(place).name, _names(_taken(table, place, taken)))
                for kind, places in of_types.items()
                for place in places
            ]
            events = (
                {
                    "id": ids[row],
                    "type": activities[row],
                    "time": f"{moments[row]}Z",
                    "attributes": [
                        {"name": name, "value": column[row]} for name, column in values if column[row] is not None
                    ],
                    "relationships": [
                        {"objectId": f"{kind}:{name}", "qualifier": qualifier}
                        for kind, qualifier, names in related
                        for name in names[row]
                    ],
                }
                for row in range(len(taken))
            )
            file.write(",\n".join(map(_json, events)))
        file.write("]}\n")


def _xes_events(columns: Sequence[tuple[str, str, Sequence[str | None]]], count: int) -> list[str]:
    """So many events; of each column the element, the key and the values."""
    attributes: list[list[str]] = [[] for _ in range(count)]
    for tag, key, texts in columns:
        head = f'      <{tag} key="{_xml(key, key)}" value="'
        for place, text in enumerate(texts):
            if text is not None:
                attributes[place].append(f'{head}{_xml(text, key) if tag == "string" else text}"/>\n')
    return [f"    <event>\n{''.join(own)}    </event>\n" for own in attributes]


@contextmanager
def _whole_file(path: str | os.PathLike[str]) -> Iterator[IO[str]]:
    """A file that is there once all of it has been written, and else is as it was before."""
    from pathlib import Path

    final = Path(path)
    unfinished = final.with_name(f".{final.name}.{os.urandom(6).hex()}.part")
    try:
        with open(unfinished, "x", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, final)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _named(table: pa.Table, attributes: Columns | None, standard: set[int]) -> Iterator[tuple[str, int]]:
    """The columns that are attributes, by name and place."""
    if attributes is None:
        places = [place for place in range(table.num_columns) if place not in standard]
    elif not isinstance(attributes, (str, Expr)) and not (attributes := list(attributes)):
        places = []
    else:
        places = column_places(table.schema, checked_columns(attributes, "attributes"))
    for place in places:
        yield table.schema.field(place).name, place


def _repeated(name: str) -> SchemaError:
    return SchemaError(
        f"two attributes would be named `{name}`; name those to write in attributes=, or rename a column",
        code="ambiguous-column",
        column=name,
    )


def _taken(table: pa.Table, place: int, rows: npt.NDArray[np.int64]) -> pa.ChunkedArray:
    import pyarrow as pa

    return plain_column(table.column(place).take(pa.array(rows)))


def _in_time(table: pa.Table, activity: int, times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The rows with an activity, by time and then arrival."""
    import numpy as np

    rows = np.flatnonzero(table.column(activity).is_valid().to_numpy())
    return rows[np.argsort(times[rows], kind="stable")]


def _check_ids(table: pa.Table, place: int) -> None:
    import pyarrow.compute as pc

    column, name = plain_column(table.column(place)), table.schema.field(place).name
    wrong = "is NULL in a row" if column.null_count else "has a value twice"
    if column.null_count or pc.count_distinct(column).as_py() < table.num_rows:
        raise SchemaError(f"column `{name}` holds ids of events and {wrong}", code="event-id", column=name)


def _distinct(texts: Iterable[str | None]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text is not None]


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _element(field: pa.Field) -> pa.Field:
    """What lists are of, under the name of their column."""
    import pyarrow as pa

    return pa.field(field.name, field.type.value_type) if _is_list(field.type) else field


def _names(column: pa.ChunkedArray) -> list[list[str]]:
    """What each row names: nothing, one thing, or the elements of a list; each once."""
    if _is_list(column.type):
        # Lists of few elements each, whose values are text once made so.
        return [_distinct(map(_text, elements or [])) for elements in column.to_pylist()]
    return [[] if text is None else [text] for text in _TEXT.texts(column)]


def _kind(field: pa.Field) -> _Kind:
    """How the values of a column are written."""
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_boolean(kind):
        return _Kind("boolean", "boolean", _cast, lambda column: column.to_pylist())
    if pa.types.is_integer(kind):
        return _Kind("int", "integer", _cast, lambda column: column.to_pylist())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _Kind("float", "float", _floats, _finite)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _Kind("date", "time", lambda column: _dates(column, "+00:00"), lambda column: _dates(column, "Z"))
    if pa.types.is_nested(kind) or "binary" in str(kind):
        raise SchemaError(
            f"column `{field.name}` has type {kind}, which the format does not have; leave it out of attributes=",
            code="column-type",
            column=field.name,
            found=str(kind),
            expected="text, a number, a boolean or a time",
        )
    return _TEXT


def _text(value: Any) -> str | None:
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _cast(column: pa.ChunkedArray) -> list[str | None]:
    """The values as Arrow spells them."""
    import pyarrow as pa

    if pa.types.is_duration(column.type):
        steps = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[column.type.unit]
        return [None if span is None else _span(span, steps) for span in column.cast(pa.int64()).to_pylist()]
    texts: list[str | None] = column.cast(pa.large_string()).to_pylist()
    return texts


def _span(span: int, steps: int) -> str:
    """A span of so many steps, of which a second has some, as ISO 8601 has it."""
    seconds, rest = divmod(abs(span), steps)
    parts = f".{rest:0{len(str(steps)) - 1}}".rstrip("0") if rest else ""
    return f"{'-' if span < 0 else ''}PT{seconds}{parts}S"


_TEXT = _Kind("string", "string", _cast, _cast)


def _floats(column: pa.ChunkedArray) -> list[str | None]:
    """As XML schema spells them."""

    def spelled(value: Any) -> str | None:
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
        return _text(value)

    return [spelled(value) for value in column.to_pylist()]


def _finite(column: pa.ChunkedArray) -> list[float | None]:
    return [float(value) if value is not None and math.isfinite(value) else None for value in column.to_pylist()]


def _dates(column: pa.ChunkedArray, zone: str) -> list[str | None]:
    """Times in UTC, in the steps of their unit."""
    import numpy as np
    import pyarrow as pa

    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms" if pa.types.is_date64(column.type) else "s"))
    plain = column.cast(pa.timestamp(column.type.unit))
    texts = np.datetime_as_string(plain.to_numpy())
    return [None if text == "NaT" else f"{text}{zone}" for text in texts.tolist()]


def _moments(times: npt.NDArray[np.int64]) -> list[str]:
    """Times in nanoseconds as ISO 8601 has them, without a zone, in the coarsest unit that holds all of them."""
    import numpy as np

    unit: Literal["ms", "us", "ns"] = "ns"
    if not (times % 1_000).any():
        unit = "us" if (times % 1_000_000).any() else "ms"
    moments: list[str] = np.datetime_as_string(times.view("datetime64[ns]"), unit=unit).tolist()
    return moments


def _xml(text: str, what: str) -> str:
    """Text as the value of an attribute."""
    # Read here, as it takes milliseconds; `re` keeps it.
    import re

    if not text.isprintable() and (found := re.search(_NOT_XML, text)):
        raise SchemaError(
            f"{what}: the text {text[:100]!a} has the character {found[0]!a}, which XML cannot hold; replace it first",
            code="xml-character",
            column=what,
        )
    return text.translate(_XML_ESCAPES)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
