"""The envelope of an event: its columns, which stand in front of those of the data."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ENVELOPE",
    "JSON_MARK",
    "STORE_COLUMNS",
    "data_column",
    "data_field",
    "envelope_schema",
    "is_json_field",
    "name_fault",
    "topic_fault",
]

#: The columns of the envelope, in their order, by the names that CloudEvents gives them.
ENVELOPE = (
    "id",
    "type",
    "source",
    "time",
    "subject",
    "correlationid",
    "causationid",
    "schemaversion",
    "partitionkey",
)

#: Names that the store gives to columns of its own.
STORE_COLUMNS = ("_position", "_topic", "_row", "_stream", "_version", "_recorded")

#: The key of a field's metadata that says that its texts are JSON; the same in Rust.
JSON_MARK = b"cepheid:json"

_NAME_BYTES_MAX = 255

# Names of fields of data that have another meaning as columns, with what may stand in front of them already.
_ESCAPED = re.compile(
    rf"(?:data_)*(?:{'|'.join((*ENVELOPE, *STORE_COLUMNS, 'specversion', 'data_base64', 'data'))})", re.ASCII
)


@functools.cache
def envelope_schema() -> pa.Schema:
    """The columns of the envelope with their types."""
    import pyarrow as pa

    types = {"time": pa.timestamp("us", "UTC"), "schemaversion": pa.int32()}
    return pa.schema([pa.field(name, types.get(name, pa.string())) for name in ENVELOPE])


def data_column(field: str) -> str:
    """The column of a field of the data: its name, or ``data_`` and its name if that means something else."""
    return f"data_{field}" if _ESCAPED.fullmatch(field) else field


def data_field(column: str) -> str:
    """The field of the data that a column is of."""
    shorter = column.removeprefix("data_")
    return shorter if shorter != column and _ESCAPED.fullmatch(shorter) else column


def is_json_field(field: pa.Field) -> bool:
    """Whether a column holds JSON as text."""
    return JSON_MARK in (field.metadata or {})


def name_fault(name: str) -> str | None:
    """Why a text cannot be the name of a column; None: it can."""
    if not name:
        return "it is empty"
    if len(name.encode("utf-8", "surrogatepass")) > _NAME_BYTES_MAX:
        return "it has more than 255 bytes"
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in name):
        return "it has control characters"
    if any("\ud800" <= char <= "\udfff" for char in name):
        return "it has half a surrogate pair, which is no text"
    return None


def topic_fault(name: str) -> str | None:
    """Why a text cannot be the name of a type, which is a topic; None: it can."""
    why = name_fault(name)
    if why is None and any(part in ("*", ">") for part in name.split(".")):
        why = "`*` and `>` stand for parts of names in patterns"
    return why
