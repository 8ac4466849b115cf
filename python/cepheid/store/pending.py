"""Events that are about to be appended, as they will be read once they are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


__all__ = ["pending_rows"]


def pending_rows(
    table: pa.Table, known: pa.Schema | None, *, position: int, row: int, stream: str | None, version: int | None
) -> pa.Table:
    """Rows with the columns that they will have: the store's own in front, and all of their topic.

    Args:
        table: The rows.
        known: The columns that the topic has; None: it has had no event yet.
        position: The position of the first.
        row: Its number in the topic.
        stream: The stream, or None.
        version: How many events that has before them.
    """
    import pyarrow as pa

    table, count = _as_known(table, known), table.num_rows
    versions = None if version is None else range(version + 1, version + 1 + count)
    own = {
        "_position": pa.array(range(position, position + count), pa.int64()),
        "_row": pa.array(range(row, row + count), pa.int64()),
        "_stream": pa.array([stream] * count, pa.string()),
        "_version": pa.nulls(count, pa.int64()) if versions is None else pa.array(versions, pa.int64()),
        # About: when it is done is not known before.
        "_recorded": pa.array([time.time_ns()] * count, pa.timestamp("ns", "UTC")),
    }
    return pa.table({**own, **dict(zip(table.column_names, table.columns, strict=True))})


def _as_known(table: pa.Table, known: pa.Schema | None) -> pa.Table:
    import pyarrow as pa

    for field in () if known is None else known:
        place = table.schema.get_field_index(field.name)
        if place < 0:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
        elif table.schema.field(place).type != field.type:
            try:
                table = table.set_column(place, field, table.column(place).cast(field.type))
            except pa.ArrowException:
                # Types that do not meet: the store refuses the rows.
                continue
    return table
