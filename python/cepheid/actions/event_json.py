"""Events as JSON, and as CloudEvents: what actions send."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from cepheid.errors import ActionError
from cepheid.schema.envelope import ENVELOPE, data_field

__all__ = ["cloudevent", "json_bytes", "json_value", "text_of"]

_DEPTH_MAX = 100


def json_value(value: Any) -> Any:
    """A value of an event as one that JSON has.

    - Times with a zone are RFC 3339 in UTC with ``Z``; times without one have none here either.
    - Spans of time are seconds, as a number.
    - Decimals and UUIDs are text, as a number of JSON is a float to most readers.
    - Bytes are base64.
    - NaN and the infinities, which JSON lacks, are the texts ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.
    - Whole numbers stay as they are, however large.

    Args:
        value: The value, nested up to 100 deep.

    Raises:
        ActionError: It is of a type that has no JSON, or nested too deep (code ``event-json``, permanent).

    Example:
        >>> import datetime as dt
        >>> from cepheid.actions.event_json import json_value
        >>> json_value({"at": dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc), "raw": b"ab", "x": float("nan")})
        {'at': '2026-01-02T00:00:00Z', 'raw': 'YWI=', 'x': 'NaN'}
    """
    return _value(value, 0)


def json_bytes(value: Any) -> bytes:
    """A value of an event, or a whole event, as JSON in UTF-8, on one line and without spaces.

    Args:
        value: As for `json_value`.

    Raises:
        ActionError: As for `json_value`.

    Example:
        >>> from cepheid.actions.event_json import json_bytes
        >>> json_bytes({"order": 7, "total": 1.5, "note": None})
        b'{"order":7,"total":1.5,"note":null}'
    """
    plain = _value(value, 0)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Halves of surrogate pairs have no UTF-8; as escapes they get through.
        return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode()


def cloudevent(event: Mapping[str, Any], *, topic: str, key: str) -> dict[str, Any]:
    """An event as a CloudEvent 1.0 in structured mode: the envelope as attributes, all other columns as ``data``.

    A column ``data_id`` is the field ``id`` again, as `cepheid.schema.to_cloudevents` has it.

    What the envelope lacks is left out, but for what CloudEvents asks for: the id is then the idempotency key, the type
    the topic, the source ``cepheid``.

    Args:
        event: The event, by column.
        topic: Its topic.
        key: The idempotency key of the action.

    Raises:
        ActionError: As for `json_value`.

    Example:
        >>> from cepheid.actions.event_json import cloudevent
        >>> cloudevent({"id": "e1", "source": "shop", "subject": None, "order": 7}, topic="order.created", key="k")
        {'specversion': '1.0', 'id': 'e1', 'type': 'order.created', 'source': 'shop',
         'datacontenttype': 'application/json', 'data': {'order': 7}}
    """
    made: dict[str, Any] = {"specversion": "1.0", "id": key, "type": topic, "source": "cepheid"}
    for name in ENVELOPE:
        value = event.get(name)
        if value is not None and value != "":
            made[name] = json_value(value)
    made["datacontenttype"] = "application/json"
    made["data"] = json_value({data_field(name): value for name, value in event.items() if name not in ENVELOPE})
    return made


def text_of(value: Any) -> str:
    """A value of an event as text, for a template: None is no text, truth ``true`` or ``false``, the rest as in JSON.

    Args:
        value: As for `json_value`.

    Raises:
        ActionError: As for `json_value`.

    Example:
        >>> from cepheid.actions.event_json import text_of
        >>> [text_of(value) for value in (None, True, 1.5, "a", [1, "b"])]
        ['', 'true', '1.5', 'a', '[1,"b"]']
    """
    if value is None:
        return ""
    if type(value) is str:
        return value
    plain = _value(value, 0)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _value(value: Any, depth: int) -> Any:
    if value is None or value is True or value is False or type(value) is str or type(value) is int:
        return value
    if isinstance(value, float):
        return _number(float(value))
    if isinstance(value, (dt.datetime, dt.date, dt.time, dt.timedelta)):
        return _time(value)
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, enum.Enum):
        return _value(value.value, depth + 1)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if depth >= _DEPTH_MAX:
        raise ActionError(f"a value is nested more than {_DEPTH_MAX} deep", code="event-json", permanent=True)
    if isinstance(value, Mapping):
        return {_name(name): _value(part, depth + 1) for name, part in value.items()}
    if isinstance(value, (Sequence, AbstractSet)):
        return [_value(part, depth + 1) for part in value]
    # Scalars of Arrow, then arrays and scalars of NumPy, which know what they are in Python.
    for method in ("as_py", "tolist"):
        if callable(convert := getattr(value, method, None)):
            converted = convert()
            if type(converted) is not type(value):
                return _value(converted, depth + 1)
    raise ActionError(
        f"a value of type {type(value).__name__} has no JSON; put what is to be sent in a column of another type",
        code="event-json",
        permanent=True,
    )


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _time(value: dt.datetime | dt.date | dt.time | dt.timedelta) -> str | float:
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    # NaT of pandas is a datetime, and no time.
    if value != value:
        return "NaT"
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat() + "Z"
    return value.isoformat()


def _name(name: Any) -> str:
    if isinstance(name, str):
        return str(name)
    raise ActionError(
        f"a mapping has a key of type {type(name).__name__}; in JSON names are text", code="event-json", permanent=True
    )
