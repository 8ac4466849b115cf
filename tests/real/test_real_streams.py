"""Real logs in the disorder in which they were written: as they stand, they derive what the whole table does, and what
the table does once it is sorted.

The data are not part of the repository: name the folder in `CEPHEID_DATA`. Their README says where they come from.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import cepheid as cep
from cepheid import Pattern, absent, col, event, ref

DATA = Path(os.environ.get("CEPHEID_DATA", "there is no such folder"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="CEPHEID_DATA names no folder with the data")


@dataclass(frozen=True)
class Log:
    """A file, its disorder, and a question with the number of its answers, which plain loops have counted too."""

    file: str
    source: str | None
    lateness: str
    rows: int
    pattern: Pattern
    expected: int
    timeouts: int = 0

    def table(self) -> pa.Table:
        # What a rule does not read need not come along.
        table = pq.read_table(DATA / f"{self.file}.parquet")
        if self.source is not None:
            table = table.filter(pc.equal(table["source"], self.source))
        return table


LOGS = {
    "bursts of pages not found": Log(
        "web_access_logs",
        "elastic_apache",
        "60s",
        10_000,
        event("missing", col.status == 404)
        .times(3)
        .partition_by("src_ip")
        .within("5m")
        .select(path=ref("missing").path),
        15,
    ),
    "visits that end in a page not found": Log(
        "web_access_logs",
        "elastic_apache",
        "60s",
        10_000,
        (event("page", col.status == 200).one_or_more(greedy=False) >> event("missing", col.status == 404))
        .partition_by("src_ip")
        .within("10m")
        .timeouts()
        .select(pages=ref("page").count()),
        55,
        8_663,
    ),
    "guessed passwords": Log(
        "ssh_auth_logs",
        "elastic",
        "0s",
        7_121,
        (
            event("failure", col.event == "failed_password").at_least(3, greedy=False)
            >> event("entered", col.event == "accepted")
        )
        .partition_by("src_ip")
        .within("1h")
        .select(failures=ref("failure").count(), user=ref("entered").user),
        3,
    ),
    "a user is made, and used": Log(
        "aws_cloudtrail_attack_sim",
        None,
        "10m",
        2_900,
        (event("made", col.event_name == "CreateUser") >> event("gone", col.event_name == "DeleteUser"))
        .within("1h")
        .select(lived=ref("gone").ts - ref("made").ts),
        1,
    ),
    "six hours of bad air": Log(
        "beijing_air_quality",
        None,
        "0s",
        420_768,
        event("bad", col.pm2_5 > 300)
        .times(6, contiguity="strict")
        .partition_by("station")
        .within("6h")
        .select(worst=ref("bad").pm2_5.max()),
        1_047,
    ),
    "carts without purchase": Log(
        "ecom_clickstream_synthetic",
        None,
        "0s",
        31_106,
        (event("add", col.event == "add_to_cart") >> absent(event("buy", col.event == "purchase"), for_="30m"))
        .partition_by("user_id")
        .select(session=ref("add").session_id),
        985,
    ),
}


def measures(matches: cep.Matches) -> list[dict[str, object]]:
    return matches.to_arrow().to_pylist()


@pytest.mark.parametrize("question", LOGS)
def test_a_log_as_it_was_written_gives_what_it_gives_sorted(question: str) -> None:
    log = LOGS[question]
    table = log.table()
    assert table.num_rows == log.rows, "other data than these questions were asked of"
    pattern = log.pattern.named("found")
    whole = cep.match(pattern, table, event_time="ts")
    in_order = cep.match(pattern, table.take(pc.sort_indices(table, [("ts", "ascending")])), event_time="ts")
    assert measures(whole) == measures(in_order)
    engine = cep.Engine(pattern, lateness=log.lateness, late="error", threads=2)
    found: list[dict[str, object]] = []
    timeouts: list[dict[str, object]] = []
    size = max(1, table.num_rows // 60)
    for start in range(0, table.num_rows, size):
        derived = engine.push(table.slice(start, size))
        found += derived.get("found", ())
        timeouts += derived.get("found.timeout", ())
        if start == 20 * size:
            engine = cep.Engine.restore(engine.snapshot(), pattern, threads=1)
    derived = engine.flush()
    found += derived.get("found", ())
    timeouts += derived.get("found.timeout", ())
    assert found == measures(whole)
    assert timeouts == list(whole.derived.get("found.timeout", ()))
    assert (len(found), len(timeouts)) == (log.expected, log.timeouts)


def test_flights_as_three_topics_give_what_their_tables_do() -> None:
    flights = pq.read_table(DATA / "nyc_flights_2013.parquet").slice(0, 60_000)
    keys = flights.select(["tailnum", "flight"])

    def topic(time: str, *more: str) -> pa.Table:
        table = keys.append_column("ts", flights[time])
        for name in more:
            table = table.append_column(name, flights[name])
        return table

    tables = {
        "scheduled": topic("sched_dep_ts"),
        "departed": topic("dep_ts", "dep_delay"),
        "landed": topic("arr_ts", "arr_delay"),
    }
    pattern = (
        (
            event("landed", col.arr_delay >= 15, topic="landed")
            >> event("due", topic="scheduled")
            >> event("left", col.dep_delay >= 15, col.flight == ref("due").flight, topic="departed")
        )
        .partition_by("tailnum")
        .within("12h")
        .select(landed_late=ref("landed").arr_delay, left_late=ref("left").dep_delay)
        .named("handed_on")
    )
    present = {name: table.filter(pc.is_valid(table["ts"])) for name, table in tables.items()}
    whole = cep.match(pattern, present, event_time="ts")
    in_order = {name: table.sort_by("ts") for name, table in present.items()}
    assert measures(cep.match(pattern, in_order, event_time="ts")) == measures(whole)
    engine = cep.Engine(pattern, lateness="3d", late="error", threads=2, topics=list(tables))
    found: list[dict[str, object]] = []
    for start in range(0, flights.num_rows, 1000):
        for name, table in tables.items():
            rows = table.slice(start, 1000)
            found += engine.push(rows.filter(pc.is_valid(rows["ts"])), topic=name).get("handed_on", ())
    found += engine.flush().get("handed_on", ())
    assert found == measures(whole)
    assert len(found) == 1_958
