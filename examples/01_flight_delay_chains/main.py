"""Delay chains: how one late aircraft makes the next flights late, in a year of New York's departures.

Standard output is the same on every machine and is kept in `expected.txt`; times go to standard error.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from chains import DELAY_CHAIN, DELAY_CHAIN_SQL, MEASURES
from flights import read_flights
from timeline import Leg, as_svg, as_text

import cepheid as cep

WORST_SHOWN = 10
PICTURE = "delay_chain.svg"


def main() -> None:
    flights = read_flights()
    began = time.perf_counter()
    matches = cep.match(DELAY_CHAIN, flights)
    seconds = time.perf_counter() - began
    sys.stderr.write(f"{flights.num_rows:,} flights matched in {seconds * 1000:.1f} ms\n")
    chains = matches.to_arrow()

    in_sql = cep.sql(DELAY_CHAIN_SQL, flights=flights).to_arrow()
    keys = ("tailnum", "date", *MEASURES)
    assert rows_of(chains, keys) == rows_of(in_sql, keys), "the algebra and SQL disagree"

    print(summary(flights, chains))
    print()
    print(table_of_worst(chains))
    legs, title = worst_day(flights, matches, chains)
    print()
    print(title)
    print(as_text(legs))
    print("\n| scheduled   = waiting   > left   · other times of the day")
    Path(PICTURE).write_text(as_svg(legs, title), "utf-8")
    sys.stderr.write(f"the same as a picture: {PICTURE}\n")


def rows_of(table: pa.Table, columns: tuple[str, ...]) -> list[str]:
    """The rows as text, in an order that does not depend on how they were found."""
    return sorted(map(str, table.select(columns).to_pylist()))


def summary(flights: pa.Table, chains: pa.Table) -> str:
    """The year in three lines."""
    late = pc.sum(pc.greater_equal(flights["dep_delay"], 15)).as_py()
    inherited = pc.sum(pc.subtract(chains["flights"], 1)).as_py()
    recovered = pc.sum(chains["recovered"]).as_py()
    minutes = pc.sum(chains["handed_on_minutes"]).as_py()
    return (
        f"{flights.num_rows:,} flights, {late:,} of them left 15 minutes late or more.\n"
        f"{chains.num_rows:,} delay chains: {inherited:,} late departures handed on from an earlier leg of the same "
        f"aircraft,\n{minutes:,} minutes in all. After {recovered} chains the next leg was punctual again."
    )


def table_of_worst(chains: pa.Table) -> str:
    """The chains that cost most minutes; the tail number settles ties, so that the order is always the same."""
    order = [("handed_on_minutes", "descending"), ("tailnum", "ascending"), ("date", "ascending")]
    rows = chains.sort_by(order).slice(0, WORST_SHOWN).to_pylist()
    lines = ["aircraft  date        carrier  flights  first arrival  worst departure  handed on"]
    for row in rows:
        lines.append(
            f"{row['tailnum']:<8}  {row['date']}  {row['carrier']:<7}  {row['flights']:>7}  "
            f"{row['root_delay']:>+9} min  {row['worst_delay']:>+11} min  {row['handed_on_minutes']:>5} min"
        )
    return "\n".join(lines)


def worst_day(flights: pa.Table, matches: cep.Matches, chains: pa.Table) -> tuple[list[Leg], str]:
    """The rows of the longest chain: `matches.rows` says which flight was matched to which variable."""
    longest = sorted(
        range(chains.num_rows),
        key=lambda i: (
            -chains["flights"][i].as_py(),
            -chains["handed_on_minutes"][i].as_py(),
            chains["tailnum"][i].as_py(),
            chains["date"][i].as_py(),
        ),
    )[0]
    chain = chains.slice(longest, 1).to_pylist()[0]
    members = pa.table(matches.rows).filter(pc.field("match") == longest).to_pylist()
    assert len(members) >= chain["flights"], (members, chain)
    legs = []
    for member in members:
        flight = flights.slice(member["row"], 1).to_pylist()[0]
        scheduled = flight["scheduled"].hour * 60 + flight["scheduled"].minute
        legs.append(Leg(f"{flight['origin']}-{flight['dest']}", member["variable"], scheduled, flight["dep_delay"]))
    return legs, f"The longest chain: {chain['tailnum']} ({chain['carrier']}) on {chain['date']}"


if __name__ == "__main__":
    main()
