"""What events are given as, to an app and to its handlers: one, many, or columns; and the story that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cepheid.input import exports_arrow, is_event
from cepheid.schema.envelope import is_json_field
from cepheid.store.rows import python_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.runtime.task import Task

__all__ = ["event_dicts", "of_story", "several"]


def several(data: Any) -> Any:
    """Events as whatever holds many: one event is a list of it."""
    return [data] if _is_one(data) else data


def event_dicts(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows as events: objects and lists that nobody has declared, kept as text of JSON, are given as what it says."""
    events = python_rows(rows)
    for name in [field.name for field in rows.schema if is_json_field(field)]:
        for event in events:
            if event[name] is not None:
                event[name] = json.loads(event[name])
    return events


def _is_one(data: Any) -> bool:
    if not isinstance(data, Mapping) or exports_arrow(data):
        return False
    if "type" in data:
        # An event may hold lists; where it says its type, that tells it from columns.
        return isinstance(data["type"], str)
    return is_event(data)


def of_story(data: Any, task: Task) -> Any:
    """Events that say what they come of, if they do not say already."""
    told = {"causationid": task.event_id, "correlationid": task.correlation_id or task.event_id}
    data = several(data)
    if isinstance(data, list):
        return [{**told, **one} if isinstance(one, Mapping) else one for one in data]
    if not exports_arrow(data):
        # Columns, or what JSON says of itself.
        return data
    import pyarrow as pa

    table = pa.table(data)
    for name, value in told.items():
        if name not in table.column_names:
            table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
    return table
