"""Calls of a registry as its tests make them, and what they look at in what comes back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

from cepheid.schema import Ingested, SchemaRegistry

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
# Written down here as well, as these names and their order are promised.
ENVELOPE = ["id", "type", "source", "time", "subject", "correlationid", "causationid", "schemaversion", "partitionkey"]


def ingest(registry: SchemaRegistry, data: Any, topic: str | None = None, **options: Any) -> Ingested:
    options = {"source": "till", "received": NOW, "id_prefix": "p", **options}
    return registry.ingest(data, topic=topic, **options)


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    """A table with all columns that some row has."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def only(done: Ingested, topic: str) -> list[dict[str, Any]]:
    """The rows of the one type that came, without the envelope."""
    assert done.rejected == []
    [(found, table)] = done.batches
    assert found == topic
    rows: list[dict[str, Any]] = table.drop_columns(ENVELOPE).to_pylist()
    return rows


def codes(done: Ingested) -> list[str]:
    return [rejected.code for rejected in done.rejected]
