"""AsyncAPI 3.0: the declared types as a document that machines read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cepheid.schema.cloudevents import json_value
from cepheid.schema.envelope import data_field, is_json_field
from cepheid.schema.event_schema import EventSchema

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["asyncapi_document"]

_SAFE = re.compile(r"[^A-Za-z0-9._-]")


def asyncapi_document(schemas: Sequence[Sequence[EventSchema]], title: str, version: str) -> dict[str, Any]:
    """The document.

    Args:
        schemas: The versions of each type, the newest last.
        title: Its title.
        version: The version of what it describes.

    Raises:
        TypeError: The title or the version is no text.
    """
    for what, text in (("title", title), ("version", version)):
        if not isinstance(text, str):
            raise TypeError(f"{what} is a text, not {type(text).__name__}")
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for versions in schemas:
        newest = versions[-1]
        name = _free(channels, _SAFE.sub("_", newest.type))
        own: dict[str, Any] = {}
        for schema in versions:
            key = f"{name}.v{schema.version}"
            data[key] = _data(schema)
            messages[key] = _message(schema, key)
            own[f"v{schema.version}"] = {"$ref": f"#/components/messages/{key}"}
        channels[name] = {"address": newest.type, "messages": own}
        if newest.description:
            channels[name]["description"] = newest.description
        operations[f"receive.{name}"] = {
            "action": "receive",
            "channel": {"$ref": f"#/channels/{name}"},
            "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in own],
        }
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version},
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": data,
            "correlationIds": {
                "correlation": {
                    "description": "What belongs to one story; the event's own id where nothing else is said.",
                    "location": "$message.payload#/correlationid",
                }
            },
        },
    }
    return document


def _free(taken: dict[str, Any], name: str) -> str:
    """The name, or the name with a number, as two types may differ only in what a name here cannot have."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _message(schema: EventSchema, key: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": schema.type,
        "title": f"{schema.type}, version {schema.version}",
        "contentType": "application/cloudevents+json",
        "correlationId": {"$ref": "#/components/correlationIds/correlation"},
        "payload": {
            "type": "object",
            "required": ["specversion", "id", "source", "type", *(["data"] if schema.required else [])],
            "properties": {
                "specversion": {"const": "1.0"},
                "id": {"type": "string", "minLength": 1},
                "source": {"type": "string", "minLength": 1},
                "type": {"const": schema.type},
                "time": {"type": "string", "format": "date-time"},
                "subject": {"type": "string", "minLength": 1},
                "correlationid": {"type": "string", "minLength": 1},
                "causationid": {"type": "string", "minLength": 1},
                "schemaversion": {"const": schema.version},
                "partitionkey": {"type": "string", "minLength": 1},
                "data": {"$ref": f"#/components/schemas/{key}"},
            },
        },
    }
    if schema.description:
        message["summary"] = schema.description
    if schema.owner:
        message["x-owner"] = schema.owner
    if schema.example is not None:
        example: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "example", "type": schema.type}
        example |= {"schemaversion": schema.version, "data": json_value(dict(schema.example))}
        message["examples"] = [{"name": "example", "payload": example}]
    return message


def _data(schema: EventSchema) -> dict[str, Any]:
    properties = {data_field(field.name): _typed(field, nullable=field.nullable) for field in schema.arrow}
    described: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": schema.unknown != "reject",
    }
    if schema.required:
        described["required"] = [data_field(name) for name in schema.required]
    if schema.check is not None:
        described["x-check"] = repr(schema.check)
    if schema.key is not None:
        described["x-key"] = data_field(schema.key)
    return described


def _typed(field: pa.Field, *, nullable: bool) -> dict[str, Any]:
    """A type as JSON Schema has it; what is not required may be null, too."""
    described = _described(field)
    if nullable and "type" in described:
        described["type"] = [described["type"], "null"]
    return described


def _described(field: pa.Field) -> dict[str, Any]:
    import pyarrow as pa

    types, kind = pa.types, field.type
    if is_json_field(field):
        return {}
    if types.is_boolean(kind):
        return {"type": "boolean"}
    if types.is_integer(kind):
        signed = types.is_signed_integer(kind)
        bits = kind.bit_width - signed
        return {"type": "integer", "minimum": -(2**bits) if signed else 0, "maximum": 2**bits - 1}
    if types.is_floating(kind):
        return {"type": "number"}
    if types.is_decimal(kind):
        whole, scale = kind.precision - kind.scale, kind.scale
        fraction = rf"(\.\d{{1,{scale}}})?" if scale else ""
        return {"type": "string", "format": "decimal", "pattern": rf"^-?\d{{1,{max(whole, 1)}}}{fraction}$"}
    if types.is_timestamp(kind):
        return {"type": "string", "format": "date-time"} if kind.tz else {"type": "string"}
    if types.is_date(kind):
        return {"type": "string", "format": "date"}
    if types.is_duration(kind):
        # Microseconds, as they go out.
        return {"type": "integer"}
    if types.is_binary(kind):
        return {"type": "string", "contentEncoding": "base64"}
    if types.is_list(kind):
        return {"type": "array", "items": _typed(kind.value_field, nullable=True)}
    if types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        properties = {part.name: _typed(part, nullable=True) for part in fields}
        return {"type": "object", "properties": properties, "additionalProperties": False}
    return {"type": "string"}
