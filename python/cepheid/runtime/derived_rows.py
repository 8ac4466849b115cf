"""Derived events as they are stored: with the envelope in front, and their own columns behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from cepheid.engine_options import Rule
from cepheid.result import Matches
from cepheid.runtime.rule_events import rule_text
from cepheid.schema.envelope import ENVELOPE, data_column

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["derived_rows", "partition_columns"]

# What engines say of derived events themselves.
_IDS = ("id", "correlationid", "causationid")


def partition_columns(rules: Mapping[str, Rule]) -> dict[str, tuple[str, ...]]:
    """The columns that rules match by, by the topics that they derive; of topics whose rules do not agree, none.

    Args:
        rules: The rules, by name.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, rule in rules.items():
        text = rule_text(rule)
        # What rules with Python functions say cannot be written down; a processor has no keys.
        said = {} if text is None else next(one for one in json.loads(text).values() if isinstance(one, dict))
        columns = tuple(key["name"] for key in said.get("partition_by", ()))
        for topic in rule._derived_topics(name):
            found[topic] = columns if found.get(topic, columns) == columns else ()
    return found


def derived_rows(topic: str, matches: Matches, source: str, keys: tuple[str, ...] = ()) -> pa.Table:
    """Rows of a topic that rules derive, or late ones.

    A column that is named as one of the envelope, and is none of the engine's, gets ``data_`` in front. Their time is
    when they were decided; what has a time of its own, as late rows and what processors give have, keeps it. Their
    ``partitionkey`` is what they were matched by, so that what is done about those of one key keeps its order.

    Args:
        topic: The topic.
        matches: The events, of an engine with ids.
        source: Who derived them.
        keys: The columns that they were matched by.
    """
    import pyarrow as pa

    table = matches.to_arrow()
    decided = matches._native.times()
    if decided is None:
        # Late rows have their envelope, and are of another topic now.
        place = table.column_names.index("type")
        return table.set_column(place, "type", _constant(topic, table.num_rows))
    own = table.column_names
    # A processor that was given events with their envelope passes it on.
    passed_on = {"type", "source", "time"} <= set(own)
    envelope = {name: table[name] for name in own if name in ENVELOPE and (passed_on or name in _IDS)}
    envelope["type"] = _constant(topic, table.num_rows)
    envelope["source"] = _constant(source, table.num_rows)
    if not passed_on:
        nanoseconds = pa.table(decided)["time"].to_numpy()
        envelope["time"] = pa.array(nanoseconds // 1_000, pa.timestamp("us", "UTC"))
    if "partitionkey" not in envelope and keys and set(keys) <= set(own):
        envelope["partitionkey"] = _key(table, keys)
    columns = {name: envelope[name] for name in ENVELOPE if name in envelope}
    for name in own:
        if name not in ENVELOPE:
            columns[name if passed_on else data_column(name)] = table[name]
        elif not passed_on and name not in _IDS:
            columns[data_column(name)] = table[name]
    return pa.table(columns)


def _key(table: pa.Table, keys: tuple[str, ...]) -> pa.ChunkedArray:
    """What rows were matched by, as text: one column as it is, several with a stroke between them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        texts = [table[name].cast(pa.string()) for name in keys]
    except pa.ArrowException:
        # Bytes and nested values have no text.
        return pa.nulls(table.num_rows, pa.string())
    if len(texts) == 1:
        return texts[0]
    return pc.binary_join_element_wise(*texts, "/", null_handling="replace", null_replacement="")


def _constant(text: str, rows: int) -> pa.Array:
    import pyarrow as pa

    return pa.repeat(pa.scalar(text, pa.string()), rows)
