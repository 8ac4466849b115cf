"""Derived events as they are stored: with the envelope in front, and their own columns behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cepheid.result import Matches

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ENVELOPE", "derived_rows"]

#: The columns of the envelope, in their order.
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
# What engines say of derived events themselves.
_IDS = ("id", "correlationid", "causationid")
# In front of a column that is named as one of the envelope, and says something else.
_DATA_PREFIX = "data_"


def derived_rows(topic: str, matches: Matches, source: str) -> pa.Table:
    """Rows of a topic that rules derive, or late ones.

    A column that is named as one of the envelope, and is none of the engine's, gets ``data_`` in front. Their time is
    when they were decided; what has a time of its own, as late rows and what processors give have, keeps it.

    Args:
        topic: The topic.
        matches: The events, of an engine with ids.
        source: Who derived them.
    """
    import pyarrow as pa

    table = matches.to_arrow()
    decided = matches._native.times()
    if decided is None:
        # Late rows have their envelope.
        return table
    own = table.column_names
    # A processor that was given events with their envelope passes it on.
    passed_on = {"type", "source", "time"} <= set(own)
    envelope = {name: table[name] for name in own if name in ENVELOPE and (passed_on or name in _IDS)}
    envelope["type"] = _constant(topic, table.num_rows)
    envelope["source"] = _constant(source, table.num_rows)
    if not passed_on:
        nanoseconds = pa.table(decided)["time"].to_numpy()
        envelope["time"] = pa.array(nanoseconds // 1_000, pa.timestamp("us", "UTC"))
    columns = {name: envelope[name] for name in ENVELOPE if name in envelope}
    for name in own:
        if name not in ENVELOPE:
            columns[name] = table[name]
        elif not passed_on and name not in _IDS:
            columns[_DATA_PREFIX + name] = table[name]
    return pa.table(columns)


def _constant(text: str, rows: int) -> pa.Array:
    import pyarrow as pa

    return pa.repeat(pa.scalar(text, pa.string()), rows)
