"""Types of columns as text and back: ``int64``, ``list<string>``; mappings for objects, lists of one for arrays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cepheid.errors import SchemaError
from cepheid.names import nearest_name
from cepheid.schema.envelope import JSON_MARK, is_json_field, name_fault

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["field_of", "text_of"]

_DEPTH_MAX = 32
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:,\s*(?:tz=)?([\w/+:-]+))?\]")
_NAMES = {
    "bool": "bool_",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "float32": "float32",
    "float64": "float64",
    "string": "string",
    "binary": "binary",
    "date": "date32",
}
_KNOWN = [*_NAMES, "timestamp", "time", "duration", "decimal(10,2)", "list<int64>", "json"]


def field_of(name: str, kind: Any, *, nullable: bool = True, depth: int = 0) -> pa.Field:
    """A column of a type: a text, a mapping of an object's fields, a list of its items' type, or one of pyarrow's.

    Raises:
        TypeError: It is none of these.
        SchemaError: There is no such type (code ``unknown-type``).
    """
    import pyarrow as pa

    if depth > _DEPTH_MAX:
        raise _unknown(name, "...", f"it lies more than {_DEPTH_MAX} deep")
    if isinstance(kind, pa.Field):
        plain = _plain(name, kind.type, depth)
        return pa.field(name, plain, nullable, {JSON_MARK: b"1"} if is_json_field(kind) else None)
    if isinstance(kind, pa.DataType):
        return pa.field(name, _plain(name, kind, depth), nullable)
    if isinstance(kind, Mapping):
        if not kind:
            raise _unknown(name, "{}", "an object has one field at least; say json for any")
        fields = [field_of(_checked(name, own), part, depth=depth + 1) for own, part in kind.items()]
        return pa.field(name, pa.struct(fields), nullable)
    if isinstance(kind, (list, tuple)) and len(kind) == 1:
        return pa.field(name, pa.list_(field_of("item", kind[0], depth=depth + 1)), nullable)
    if not isinstance(kind, str):
        raise TypeError(f"the type of `{name}` is a text, a mapping or a pyarrow.DataType, not {type(kind).__name__}")
    text = kind.strip()
    if text == "json":
        return pa.field(name, pa.string(), nullable, {JSON_MARK: b"1"})
    if text.startswith("list<") and text.endswith(">"):
        item = field_of("item", text[5:-1], depth=depth + 1)
        return pa.field(name, pa.list_(item), nullable)
    return pa.field(name, _scalar(name, text), nullable)


def _checked(name: str, field: Any) -> str:
    if not isinstance(field, str):
        raise TypeError(f"fields of `{name}` are named by strings, not {type(field).__name__}")
    if why := name_fault(field):
        raise SchemaError(
            f"a field of `{name}` cannot be named {field[:60]!r}: {why}", code="invalid-name", column=name
        )
    return field


def _scalar(name: str, text: str) -> pa.DataType:
    import pyarrow as pa

    if text in _NAMES:
        return getattr(pa, _NAMES[text])()
    if text == "timestamp":
        return pa.timestamp("us", "UTC")
    if text == "time":
        return pa.time64("us")
    if text == "duration":
        return pa.duration("us")
    if match := _DECIMAL.fullmatch(text):
        precision, scale = int(match[1]), int(match[2])
        if not 1 <= precision <= 38 or scale > precision:
            raise _unknown(name, text, "a decimal has 1 to 38 digits, and no more behind the point")
        return pa.decimal128(precision, scale)
    if match := _TIMESTAMP.fullmatch(text):
        return pa.timestamp(match[1], match[2])
    raise _unknown(name, text)


def _unknown(name: str, text: str, why: str = "") -> SchemaError:
    hint = nearest_name(text, _KNOWN)
    return SchemaError(
        f"`{name}` cannot be of the type `{text[:100]}`{f': {why}' if why else ''}; types are {', '.join(_KNOWN)}, and "
        "mappings of fields to types for objects",
        code="unknown-type",
        column=name,
        found=text[:100],
        hint=hint,
    )


def _plain(name: str, kind: pa.DataType, depth: int = 0) -> pa.DataType:
    """A type without what only says how values are encoded."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _plain(name, kind.value_type, depth)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    if types.is_struct(kind):
        if not kind.num_fields:
            raise _unknown(name, str(kind), "an object has one field at least")
        fields = [
            field_of(_checked(name, kind.field(place).name), kind.field(place), depth=depth + 1)
            for place in range(kind.num_fields)
        ]
        return pa.struct(fields)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(field_of("item", kind.value_field, depth=depth + 1))
    if types.is_date64(kind):
        return pa.date32()
    if types.is_time(kind):
        return pa.time64("us")
    if types.is_duration(kind):
        return pa.duration("us")
    if types.is_float16(kind):
        return pa.float32()
    if (types.is_primitive(kind) or types.is_string(kind) or types.is_binary(kind)) and not types.is_interval(kind):
        return kind
    if types.is_decimal128(kind):
        return kind
    raise _unknown(name, str(kind))


def text_of(field: pa.Field) -> Any:
    """The type of a column as `field_of` reads it."""
    import pyarrow as pa

    types, kind = pa.types, field.type
    if is_json_field(field):
        return "json"
    if types.is_struct(kind):
        return {kind.field(place).name: text_of(kind.field(place)) for place in range(kind.num_fields)}
    if types.is_list(kind):
        item = text_of(kind.value_field)
        return f"list<{item}>" if isinstance(item, str) else [item]
    if types.is_timestamp(kind):
        if kind == pa.timestamp("us", "UTC"):
            return "timestamp"
        return f"timestamp[{kind.unit}{f', {kind.tz}' if kind.tz else ''}]"
    if types.is_decimal128(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if types.is_date(kind):
        return "date"
    if types.is_time(kind):
        return "time"
    if types.is_duration(kind):
        return "duration"
    return {"double": "float64", "float": "float32"}.get(str(kind), str(kind))
