"""Events on their way out: rows as CloudEvents 1.0, and in the older shape."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import json
import re
from typing import TYPE_CHECKING, Any

from cepheid.errors import SchemaError
from cepheid.input import arrow_table, table_of
from cepheid.schema.envelope import ENVELOPE, STORE_COLUMNS, data_field, is_json_field

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["json_value", "to_cloudevents", "to_legacy"]

_ATTRIBUTE = re.compile(r"[a-z0-9]+")


def to_cloudevents(table: Any) -> list[dict[str, Any]]:
    """Rows as CloudEvents 1.0 in their JSON form: ready for `json.dumps`.

    The envelope's columns are attributes; the others are the fields of ``data``, without those that are NULL. A column
    ``data_id`` is the field ``id`` again, and likewise for other names of the envelope; a column ``data`` without
    others is the data itself, bytes as ``data_base64``; ``ce_x`` is the attribute ``x`` if there is none yet and it can
    be one, and so are ``dataschema`` and ``datacontenttype``. Whole numbers, floats and booleans are numbers and
    booleans of JSON, where NaN and infinities are null; decimals are text, so that no digit is lost, and times are text
    as RFC 3339 has it.

    Args:
        table: Rows of one type or of several, with the envelope's columns, as they are read from a store.

    Raises:
        SchemaError: It is no table, or lacks ``id``, ``type`` or ``source``, or one of these is NULL (code
            ``event-attribute``).

    Example:
        >>> import datetime as dt
        >>> from cepheid.schema import to_cloudevents
        >>> time = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
        >>> row = {"id": "7", "type": "order.paid", "source": "till", "time": time, "order": 9}
        >>> to_cloudevents([row])[0]["time"], to_cloudevents([row])[0]["data"]
        ('2026-07-01T00:00:00Z', {'order': 9})
    """
    events = []
    for envelope, data in _rows(table):
        event: dict[str, Any] = {"specversion": "1.0"}
        for name in ("id", "source", "type"):
            event[name] = _needed(envelope, name)
        event.update(
            (name, envelope[name]) for name in ENVELOPE if envelope.get(name) is not None and name not in event
        )
        whole = data.pop("data", None)
        for name in [name for name in data if name.startswith("ce_") or name in ("dataschema", "datacontenttype")]:
            attribute = name.removeprefix("ce_")
            # What is said already, and what no attribute can be, stays where it is.
            if _can_be_attribute(attribute, data[name]) and attribute not in event:
                event[attribute] = data.pop(name)
        if whole is not None and data:
            data["data"] = whole
        elif isinstance(whole, _Bytes):
            event["data_base64"] = str(whole)
        elif whole is not None:
            event["data"] = whole
        if data:
            event["data"] = {data_field(name): value for name, value in data.items()}
        events.append(event)
    return events


def to_legacy(table: Any) -> list[dict[str, Any]]:
    """Rows in the older shape: ``eventId``, ``eventType``, ``timestamp``, ``data``, ``metadata`` and so on.

    ``metadata`` has the version of the schema and the column ``region``, and columns ``metadata_x`` as ``x``. Beside
    ``metadata_region`` the column ``region`` is one of the data.

    Args:
        table: As for `to_cloudevents`.

    Raises:
        SchemaError: As for `to_cloudevents`.

    Example:
        >>> from cepheid.schema import to_legacy
        >>> [event] = to_legacy([{"id": "7", "type": "order.paid", "source": "till", "order": 9, "region": "eu"}])
        >>> event["eventId"], event["data"], event["metadata"]
        ('7', {'order': 9}, {'region': 'eu'})
    """
    names = {
        "time": "timestamp",
        "subject": "subject",
        "correlationid": "correlationId",
        "causationid": "causationId",
        "partitionkey": "partitionKey",
    }
    events = []
    for envelope, data in _rows(table):
        event: dict[str, Any] = {"eventId": _needed(envelope, "id"), "eventType": _needed(envelope, "type")}
        event["source"] = _needed(envelope, "source")
        event.update((new, envelope[own]) for own, new in names.items() if envelope.get(own) is not None)
        metadata: dict[str, Any] = {}
        if envelope.get("schemaversion") is not None:
            metadata["version"] = envelope["schemaversion"]
        if "metadata_region" not in data and "region" in data:
            metadata["region"] = data.pop("region")
        for name in [name for name in data if name.startswith("metadata_")]:
            if (own := name.removeprefix("metadata_")) not in ("", "version"):
                metadata[own] = data.pop(name)
        whole = data.pop("data", None)
        event["data"] = {data_field(name): value for name, value in data.items()}
        if whole is not None:
            if data:
                event["data"]["data"] = whole
            else:
                event["data"] = whole
        if metadata:
            event["metadata"] = metadata
        events.append(event)
    return events


def _can_be_attribute(name: str, value: Any) -> bool:
    if _ATTRIBUTE.fullmatch(name) is None or name == "data":
        return False
    return isinstance(value, (bool, str)) or (isinstance(value, int) and -(2**31) <= value < 2**31)


class _Bytes(str):
    """Bytes in base64."""


def _needed(envelope: dict[str, Any], name: str) -> Any:
    value = envelope.get(name)
    if value is None:
        raise SchemaError(f"a row has no `{name}`, which an event must have", code="event-attribute", column=name)
    return value


def _rows(data: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each row as its envelope and its data, both without what is NULL, in values of JSON."""
    table = arrow_table(table_of(data))
    columns: list[tuple[bool, str, list[Any]]] = []
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.name not in STORE_COLUMNS:
            columns.append((field.name in ENVELOPE, field.name, _values(field, column)))
    rows = []
    for place in range(table.num_rows):
        envelope: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for is_envelope, name, values in columns:
            if (value := values[place]) is not None:
                (envelope if is_envelope else own)[name] = value
        rows.append((envelope, own))
    return rows


def _values(field: pa.Field, column: pa.ChunkedArray) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if is_json_field(field):
        return [None if text is None else _parsed(text) for text in column.to_pylist()]
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        # Python's times have no nanoseconds.
        column = pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    try:
        return [json_value(value) for value in column.to_pylist()]
    except (ValueError, OverflowError) as error:
        raise SchemaError(
            f"`{field.name}` has a value that cannot be written as JSON: {error}", code="column-type", column=field.name
        ) from error


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_null)
    except (ValueError, RecursionError):
        return text


def _null(word: str) -> None:
    """NaN and the infinities, which JSON does not have."""


def json_value(value: Any) -> Any:
    """A value as it goes out in JSON."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            return value.isoformat()
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value // dt.timedelta(microseconds=1)
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, bytes):
        return _Bytes(base64.b64encode(value).decode())
    if isinstance(value, dict):
        return {name: json_value(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(part) for part in value]
    return str(value)
