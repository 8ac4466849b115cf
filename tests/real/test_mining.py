"""Sequences that are frequent in real histories: their patterns find as many keys as was said, and so do loops.

The data are not part of the repository: name the folder in `CEPHEID_DATA`. Their README says where they come from.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import cepheid as cep

DATA = Path(os.environ.get("CEPHEID_DATA", "there is no such folder"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="CEPHEID_DATA names no folder with the data")

CLICKS: dict[str, Any] = {"by": "session_id", "event": "event", "event_time": "ts"}
FLIGHTS: dict[str, Any] = {"by": "tailnum", "event": "dest", "event_time": "sched_dep_ts"}
RETAIL: dict[str, Any] = {"by": "customer_id", "event": "stock_code", "event_time": "ts"}


def table(name: str, key: str) -> pa.Table:
    rows = pq.read_table(DATA / f"{name}.parquet")
    return rows.filter(pc.is_valid(rows[key]))


@pytest.mark.parametrize(
    ("name", "question", "fewest"),
    [
        ("ecom_clickstream_synthetic", {**CLICKS, "min_support": 0.05}, 900),
        ("ecom_clickstream_synthetic", {**CLICKS, "min_support": 0.02, "within": "10m", "max_gap": "5m"}, 400),
        ("nyc_flights_2013", {**FLIGHTS, "min_support": 0.05, "within": "24h"}, 10),
        ("nyc_flights_2013", {**FLIGHTS, "event": ["origin", "dest"], "min_support": 0.02, "max_gap": "12h"}, 10),
        ("nyc_flights_2013", {**FLIGHTS, "event": "carrier", "min_support": 0.01, "where": "arr_delay > 60"}, 5),
        ("online_retail", {**RETAIL, "min_support": 0.05, "within": "90d"}, 10),
    ],
)
def test_patterns_of_what_is_frequent_match_in_as_many_keys(name: str, question: dict[str, Any], fewest: int) -> None:
    rows = table(name, question["by"])
    found = cep.frequent_sequences(rows, **question)
    assert len(found) >= fewest
    # From the most to the least frequent.
    for sequence in found[:: max(1, len(found) // 25)]:
        matched = cep.match(sequence.pattern(), rows).to_arrow()[question["by"]]
        assert pc.count_distinct(matched).as_py() == sequence.support, sequence


def test_loops_count_the_same_sessions() -> None:
    rows = table("ecom_clickstream_synthetic", "session_id").sort_by("ts")
    sessions: dict[str, list[str]] = {}
    for row in rows.select(["session_id", "event"]).to_pylist():
        sessions.setdefault(row["session_id"], []).append(row["event"])

    def happens(wanted: tuple[str, ...], events: list[str]) -> bool:
        rest = iter(events)
        return all(event in rest for event in wanted)

    found = cep.frequent_sequences(rows, **CLICKS, min_support=0.05)
    assert found.keys == len(sessions) == 3_605
    for sequence in found:
        assert sequence.support == sum(happens(sequence.events, events) for events in sessions.values()), sequence


def test_event_logs_of_real_sessions_can_be_read(tmp_path: Path) -> None:
    import json
    import xml.etree.ElementTree as ET

    rows = table("ecom_clickstream_synthetic", "session_id")
    cep.to_xes(rows, tmp_path / "clicks.xes", case="session_id", activity="event", resource="user_id")
    log = ET.parse(tmp_path / "clicks.xes").getroot()
    xes = "{http://www.xes-standard.org/}"
    assert (len(log.findall(f"{xes}trace")), len(log.findall(f".//{xes}event"))) == (3_605, rows.num_rows)
    objects = {"session": "session_id", "user": "user_id"}
    cep.to_ocel(rows, tmp_path / "clicks.json", activity="event", objects=objects)
    written = json.loads((tmp_path / "clicks.json").read_text("utf-8"))
    assert (len(written["events"]), len(written["objects"])) == (rows.num_rows, 3_605 + 600)
    steps = cep.process_map(rows, case="session_id", activity="event")
    assert pc.sum(steps.nodes["count"]).as_py() == rows.num_rows
    assert pc.sum(steps.edges["count"]).as_py() == rows.num_rows - steps.cases
