"""Parcels that are not scanned again in time: what did not happen, told when the time is up.

The scans are generated, always the same: sixty parcels on their way through a depot, of which some get stuck.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import cepheid as cep
from cepheid import absent, col, event, ref

START = datetime(2024, 5, 6, 6, tzinfo=UTC)

# Accepted, and not sorted within four hours. Nothing more has to come: the clock alone tells.
NOT_SORTED = (
    (event("accepted", col.scan == "accepted") >> absent(event("sorted", col.scan == "sorted"), for_="4h"))
    .partition_by("parcel")
    .select(depot=ref("accepted").depot, since=ref("accepted").ts)
    .named("scan.missing")
)

# From acceptance to delivery within two days; if not, the run that expires says how far the parcel got.
DELIVERED = (
    (event("accepted", col.scan == "accepted") >> event("sorted", col.scan == "sorted").optional()
     >> event("delivered", col.scan == "delivered"))
    .partition_by("parcel")
    .within("2d")
    .select(sorted=ref("sorted").ts)
    .timeouts()
    .named("delivery")
)  # fmt: skip


def scans() -> list[dict[str, Any]]:
    """The scans in the order in which the scanners report them: up to twenty minutes behind."""
    chance = random.Random(20240506)
    rows = []
    for number in range(60):
        parcel, depot = f"P{number:03d}", chance.choice(["north", "south"])
        accepted = START + timedelta(minutes=chance.randint(0, 600))
        stuck = number % 15 == 7
        sorting = accepted + timedelta(minutes=chance.randint(250, 900) if stuck else chance.randint(20, 230))
        delivery = sorting + timedelta(hours=chance.randint(50, 60) if number % 20 == 3 else chance.randint(4, 30))
        rows.append((accepted, parcel, depot, "accepted"))
        if number % 30 != 7:
            rows.append((sorting, parcel, depot, "sorted"))
        rows.append((delivery, parcel, depot, "delivered"))
    rows = [(at + timedelta(minutes=chance.randint(0, 20)), at, *rest) for at, *rest in rows]
    names = ("ts", "parcel", "depot", "scan")
    return [dict(zip(names, row[1:], strict=True)) for row in sorted(rows)]


def main() -> None:
    rows = scans()
    engine = cep.Engine([NOT_SORTED, DELIVERED], lateness="20m")
    print(f"{len(rows)} scans of {len({row['parcel'] for row in rows})} parcels.\n")
    delivered = 0
    for row in rows:
        delivered += report(engine.push([row]))
    # Two quiet days: not a scan, but time passes.
    delivered += report(engine.advance_to(rows[-1]["ts"] + timedelta(days=2)))
    print(f"\n{delivered} parcels were delivered within two days. Late scans: {engine.stats().late}.")


def report(derived: cep.Derived) -> int:
    """Prints what is amiss; gives the number of parcels delivered in time."""
    for alert in derived.get("scan.missing", ()):
        print(f"{alert['parcel']}  {alert['depot']}  accepted {alert['since']:%d %H:%M}, not sorted within four hours")
    for timeout in derived.get("delivery.timeout", ()):
        sorted_at = f"sorted {timeout['sorted']:%d %H:%M}" if timeout["sorted"] else "never sorted"
        print(
            f"{timeout['parcel']}  accepted {timeout['match_start']:%d %H:%M}, {sorted_at}, not delivered in two days"
        )
    return len(derived.get("delivery", ()))


if __name__ == "__main__":
    main()
