"""An alarm with a beginning and an end: too hot for three readings in a row, until it has cooled down.

The readings are generated, always the same: five machines, a reading a minute, for six hours.
"""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import cepheid as cep
from cepheid import col, event, prev, ref

START = datetime(2024, 7, 1, tzinfo=UTC)
LIMIT, RECOVERED, READINGS = 90, 80, 3

# `alarm.raised` is told at the third hot reading, while the match is still growing; the match itself is the whole
# alarm, known when a reading is below 80. Between the two limits the alarm stands.
ALARM = (
    cep.seq(
        # The first of a hot spell: a run that began at the second would only raise the same alarm again.
        event("begin", col.heat > LIMIT, (prev(col.heat) <= LIMIT) | prev(col.heat).is_null()),
        event("hot", col.heat > LIMIT).times(READINGS - 2),
        event("alarm", col.heat > LIMIT),
        event("lasting", col.heat >= RECOVERED).zero_or_more(),
        event("cleared", col.heat < RECOVERED),
        contiguity="strict",
    )
    .partition_by("machine")
    .within("12h")
    .select(raised=ref("alarm").ts, peak=cep.greatest(ref("alarm").heat, ref("lasting").heat.max()))
    .emit_at("alarm", "alarm.raised", heat=ref("alarm").heat)
    .named("alarm.cleared")
)


def readings() -> list[dict[str, Any]]:
    """The readings in order of time."""
    chance = random.Random(20240701)
    rows = []
    for minute in range(360):
        for number in range(5):
            wave = math.sin((minute + 70 * number) / 40) * 14 + chance.gauss(0, 1.5)
            rows.append({"ts": START + timedelta(minutes=minute), "machine": f"m{number}", "heat": round(77 + wave, 1)})
    return rows


def main() -> None:
    rows = readings()
    engine = cep.Engine(ALARM)
    print(f"{len(rows):,} readings, {sum(row['heat'] > LIMIT for row in rows)} of them above {LIMIT} degrees.\n")
    open_since: dict[str, datetime] = {}
    for minute in range(0, len(rows), 5):
        derived = engine.push(rows[minute : minute + 5])
        for alarm in derived.get("alarm.raised", ()):
            if alarm["machine"] not in open_since:
                open_since[alarm["machine"]] = alarm["match_end"]
                print(f"{alarm['match_end']:%H:%M}  {alarm['machine']}  raised at {alarm['heat']} degrees")
        for alarm in derived.get("alarm.cleared", ()):
            lasted = alarm["match_end"] - open_since.pop(alarm["machine"])
            peak = alarm["peak"]
            print(f"{alarm['match_end']:%H:%M}  {alarm['machine']}  cleared after {lasted}, peak {peak} degrees")
    print(f"\nStill raised: {', '.join(sorted(open_since)) or 'none'}.")


if __name__ == "__main__":
    main()
