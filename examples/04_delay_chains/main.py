"""Delays handed on, over three kinds of events as they come in: a flight is scheduled, has departed, has landed.

Every row of the flights of January 2013 gives up to three events, so in the order of the file times go back and forth
by many hours. The engine puts them in order; the same tables matched in one call give the same chains.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

import cepheid as cep
from cepheid import col, event, ref

sys.path.insert(0, str(Path(__file__).parents[1] / "01_flight_delay_chains"))
from flights import read_flights

LATE_MINUTES = 15
ROWS_A_PUSH = 500

# An aircraft lands late; the next flight it is scheduled for leaves late as well.
HANDED_ON = (
    (
        event("out", topic="departed")
        >> event("landed", col.arr_delay >= LATE_MINUTES, col.flight == ref("out").flight, topic="landed")
        >> event("due", topic="scheduled")
        >> event("handed_on", col.dep_delay >= LATE_MINUTES, col.flight == ref("due").flight, topic="departed")
    )
    .partition_by("tailnum")
    .within("12h")
    .select(
        route=ref("out").route,
        landed_late=ref("landed").arr_delay,
        next_route=ref("handed_on").route,
        left_late=ref("handed_on").dep_delay,
    )
    .named("delay.handed_on")
)


def three_topics(flights: pa.Table) -> dict[str, pa.Table]:
    """Scheduled, departed and landed, each in the order of the file; what did not happen is not there."""
    route = pc.binary_join_element_wise(flights["origin"], flights["dest"], "-")
    both = {"tailnum": flights["tailnum"], "flight": flights["flight"], "route": route}

    def later(times: pa.ChunkedArray, minutes: pa.ChunkedArray) -> pa.ChunkedArray:
        return pc.add(times, pc.cast(pc.multiply(pc.cast(minutes, pa.int64()), 60), pa.duration("s")))

    departed = later(flights["scheduled"], flights["dep_delay"])
    landed = later(departed, flights["air_time"])
    topics = {
        "scheduled": pa.table({"ts": flights["scheduled"], **both}),
        "departed": pa.table({"ts": departed, **both, "dep_delay": flights["dep_delay"]}),
        "landed": pa.table({"ts": landed, **both, "arr_delay": flights["arr_delay"]}),
    }
    return {topic: table.filter(pc.is_valid(table["ts"])) for topic, table in topics.items()}


def main() -> None:
    flights = read_flights()
    january = flights.filter(pc.and_(pc.equal(flights["month"], 1), pc.is_valid(flights["tailnum"])))
    engine = cep.Engine(HANDED_ON, lateness="2d", topics=["scheduled", "departed", "landed"])
    chains = []
    for start in range(0, january.num_rows, ROWS_A_PUSH):
        for topic, rows in three_topics(january.slice(start, ROWS_A_PUSH)).items():
            chains += engine.push(rows, topic=topic).get(HANDED_ON.name, ())
    chains += engine.flush().get(HANDED_ON.name, ())
    stats = engine.stats()

    assert stats.late == 0, stats
    for topic in stats.sources:
        print(f"{topic.topic:<9}  {topic.rows:>6,} events")
    at_once = cep.match(HANDED_ON, three_topics(january), event_time="ts")
    same = [{**chain, "match_number": None} for chain in chains] == [{**c, "match_number": None} for c in at_once]
    print(f"{len(chains):,} delays handed on; the same in one call over whole tables: {'yes' if same else 'no'}.\n")
    print("aircraft  departed     route    landed late  next     left late  in all")
    worst = sorted(chains, key=lambda chain: (-chain["left_late"], chain["tailnum"], chain["match_start"]))[:8]
    for chain in worst:
        minutes = (chain["match_end"] - chain["match_start"]) // timedelta(minutes=1)
        first = f"{chain['tailnum']:<8}  {chain['match_start']:%m-%d %H:%M}  {chain['route']}"
        late = f"{chain['landed_late']:>7} min  {chain['next_route']}  {chain['left_late']:>5} min"
        print(f"{first}  {late}  {minutes // 60:>3}:{minutes % 60:02d}")


if __name__ == "__main__":
    main()
