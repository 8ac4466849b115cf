"""What could be better in a schema: names, sizes, and what nobody will know in a year."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from cepheid.schema.event_schema import EventSchema, example_bytes

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Lint", "lints_of"]

_DOTTED = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9][a-z0-9_-]*)*")
_PAST = re.compile(r"(?:ed|en|wn|ought|ent|one|ept|old|ade|aid|eft|ost|ound|un|et|ut)$")
_ENVELOPE_LIKE = {
    "event_id": "id",
    "eventid": "id",
    "event_type": "type",
    "eventtype": "type",
    "timestamp": "time",
    "event_time": "time",
    "eventtime": "time",
    "ts": "time",
    "correlation_id": "correlationid",
    "causation_id": "causationid",
    "schema_version": "schemaversion",
    "partition_key": "partitionkey",
}
_COLUMNS_MANY = 50


@final
@dataclass(frozen=True, slots=True)
class Lint:
    """Something that could be better in a schema.

    Attributes:
        code: A stable name for it.
        level: ``"warning"``, or ``"advice"`` where it is a matter of taste.
        message: What it is, and what to do.

    Example:
        >>> from cepheid.schema import EventSchema, SchemaRegistry
        >>> registry = SchemaRegistry()
        >>> [lint.code for lint in registry.lint(EventSchema("OrderCreated", {"ts": "timestamp"}))]
        ['type-name', 'envelope-column', 'no-description', 'no-owner', 'no-key']
    """

    code: str
    level: str
    message: str


def lints_of(schema: EventSchema, payload_bytes_max: int) -> list[Lint]:
    """What could be better in a schema.

    Args:
        schema: The schema.
        payload_bytes_max: How many bytes an event may have.
    """
    found = []

    def note(code: str, level: str, message: str) -> None:
        found.append(Lint(code, level, f"`{schema.type}` version {schema.version}: {message}"))

    if not _DOTTED.fullmatch(schema.type):
        note("type-name", "warning", "types are dotted lower case, such as `order.created`")
    elif "." not in schema.type:
        note("type-name", "advice", "types say what it is about and what happened, such as `order.created`")
    elif not _PAST.search(schema.type.rpartition(".")[2]):
        note("type-tense", "advice", "an event has happened: its last part is best a verb in the past tense")
    for name in schema.arrow.names:
        if own := _ENVELOPE_LIKE.get(name.lower()):
            note("envelope-column", "warning", f"`{name}` says what the column `{own}` of the envelope is for")
    size = example_bytes(schema)
    if size > payload_bytes_max:
        note("payload-large", "warning", f"its example has {size} bytes, and an event may have {payload_bytes_max}")
    elif size > payload_bytes_max // 2:
        note("payload-large", "advice", f"its example has {size} bytes, half of what an event may have")
    if (columns := _leaves(schema.arrow)) > _COLUMNS_MANY:
        note("many-columns", "advice", f"{columns} columns are many; keep events to what their readers need")
    if not schema.description:
        note("no-description", "advice", "say what such an event means: description=...")
    if not schema.owner:
        note("no-owner", "advice", "say who answers for it: owner=...")
    if schema.key is None:
        note("no-key", "advice", "say which column tells what belongs together, so that order is kept by it: key=...")
    return found


def _leaves(schema: pa.Schema) -> int:
    import pyarrow as pa

    def count(kind: pa.DataType) -> int:
        if pa.types.is_struct(kind):
            return sum(count(kind.field(place).type) for place in range(kind.num_fields))
        return count(kind.value_type) if pa.types.is_list(kind) else 1

    return sum(count(field.type) for field in schema)
