"""A day of Wikipedia edits, the CloudTrail deliveries and a year of flights in one store.

They are sealed, verified, queried by others, and replayed with the same derived events as when they came.

The data are not part of the repository: name the folder in `CEPHEID_DATA`. Their README says where they come from.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import cepheid as cep
from cepheid import absent, col, event, ref

DATA = Path(os.environ.get("CEPHEID_DATA", "there is no such folder"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="CEPHEID_DATA names no folder with the data")


def flights() -> pa.Table:
    """Departures in the order of their times; the table itself is sorted by schedule."""
    table = pq.read_table(DATA / "nyc_flights_2013.parquet")
    table = table.filter(pc.is_valid(table["dep_ts"]))
    table = table.append_column("ts", table["dep_ts"])
    return table.take(pc.sort_indices(table, [("ts", "ascending")]))


RULES = {
    "reverts": (
        event("edit", topic="wikipedia.edit")
        >> event("revert", col.comment.str.contains("evert"), topic="wikipedia.edit")
    )
    .partition_by("page")
    .within("10m"),
    "made-and-gone": (
        event("made", col.event_name == "CreateUser", topic="aws.call")
        >> event("gone", col.event_name == "DeleteUser", topic="aws.call")
    )
    .within("1h")
    .select(lived=ref("gone").ts - ref("made").ts),
    "delay-chain": event("late", col.dep_delay > 60, topic="flight.departed")
    .times(3)
    .partition_by("tailnum")
    .within("24h"),
    "never-again": (
        event("late", col.dep_delay > 600, topic="flight.departed")
        >> absent(event("next", topic="flight.departed"), for_="7d")
    ).partition_by("tailnum"),
}
BATCHES = 40


def derived_when_it_came(tables: dict[str, pa.Table], store: cep.EventStore) -> dict[str, list[dict[str, object]]]:
    """Appends the tables, batches of them taking turns, and feeds an engine with them."""
    engine = cep.Engine(RULES, lateness="10m", ids=True)
    found: dict[str, list[dict[str, object]]] = {}

    def take(derived: cep.Derived) -> None:
        for topic, matches in derived.items():
            found.setdefault(topic, []).extend(matches.to_arrow().to_pylist())

    for part in range(BATCHES):
        for topic, table in tables.items():
            size = -(-table.num_rows // BATCHES)
            batch = table.slice(part * size, size)
            store.append(topic, batch, idempotency_key=f"part-{part}")
            take(engine.push(batch, topic))
    take(engine.flush())
    return found


def test_what_is_stored_is_found_by_others_and_by_rules_of_today(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    tables = {
        "wikipedia.edit": pq.read_table(DATA / "wikipedia_edits_2015_09_12.parquet"),
        "aws.call": pq.read_table(DATA / "aws_cloudtrail_attack_sim.parquet"),
        "flight.departed": flights(),
    }
    with cep.EventStore(tmp_path / "world.db") as store:
        expected = derived_when_it_came(tables, store)
        assert {"reverts", "made-and-gone", "delay-chain", "never-again"} <= set(expected)
        store.seal()
        found = store.verify()
        assert found
        assert found.events == sum(table.num_rows for table in tables.values()) > 350_000
        for topic, table in tables.items():
            assert store.read(topic).to_arrow().equals(table.combine_chunks()), topic
            files = tmp_path / "world.db-archive" / topic / "*.parquet"
            assert duckdb.sql(f"SELECT count(*) FROM '{files}'").fetchall() == [(table.num_rows,)]
        files = tmp_path / "world.db-archive" / "flight.departed" / "*.parquet"
        by_carrier = duckdb.sql(f"SELECT carrier, count(*) FROM '{files}' GROUP BY 1").fetchall()
        counts = tables["flight.departed"]["carrier"].value_counts().to_pylist()
        assert dict(by_carrier) == {entry["values"]: entry["counts"] for entry in counts}

        again = store.replay(cep.Engine(RULES, lateness="10m", ids=True), flush=True)
        assert {topic: matches.to_arrow().to_pylist() for topic, matches in again.items()} == expected
        # A rule of today finds what was, and reads no more than it has to.
        today = event("far", (col.dest == "HNL") & (col.dep_delay > 120), topic="flight.departed").named("today")
        whole = cep.match(today, tables["flight.departed"], event_time="ts").to_arrow()
        assert store.replay(cep.Engine(today))["today"].to_arrow()["match_start"].equals(whole["match_start"])
        assert whole.num_rows > 0
