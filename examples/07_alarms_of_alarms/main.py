"""Windows, alarms over windows, and alarms over alarms: rules that read what other rules derive.

The readings are generated, always the same: four machines, a reading every ten seconds, for two hours.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import cepheid as cep
from cepheid import col, event, ref

START = datetime(2024, 7, 1, tzinfo=UTC)

# Level 0 reads the sources: the mean heat of each machine, every minute.
MEANS = cep.window(heat=col.heat.avg(), topic="readings", by="machine").tumbling("1m").named("means")

# Level 1 reads the windows: a mean that is five degrees above that of the minute before.
JUMPS = (
    cep.seq(
        event("before", topic="means"),
        event("after", col.heat > ref("before").heat + 5, topic="means"),
        contiguity="strict",
    )
    .partition_by("machine")
    .within("5m")
    .after_match("to_next_row")
    .select(degrees=cep.round(ref("after").heat - ref("before").heat, 1))
    .named("jumps")
)

# Level 2 reads the alarms: jumps of two machines within three minutes, whichever they are.
SPREADING = (
    (event("one", topic="jumps") >> event("two", col.machine != ref("one").machine, topic="jumps"))
    .within("3m")
    .select(first=ref("one").machine, second=ref("two").machine, began=ref("one").ts, seen=ref("two").ts)
    .named("spreading")
)


def readings() -> list[dict[str, Any]]:
    """The readings in order of time; the machines m1 and m2 stand beside each other."""
    chance = random.Random(20240701)
    rows = []
    for step in range(720):
        minute = step // 6
        for number in range(4):
            heat = 60 + chance.gauss(0, 1)
            heat += 9 * (number == 0 and 20 <= minute < 30)
            heat += 9 * (number == 1 and 70 <= minute < 80) + 8 * (number == 2 and 72 <= minute < 90)
            rows.append({"ts": START + timedelta(seconds=10 * step), "machine": f"m{number}", "heat": round(heat, 1)})
    return rows


def main() -> None:
    rows = readings()
    # In any order: the engine finds out who reads whom.
    engine = cep.Engine([SPREADING, JUMPS, MEANS])
    count = 0
    for first in range(0, len(rows), 24):
        derived = engine.push(rows[first : first + 24], topic="readings")
        count += len(derived.get("means", ()))
        for jump in derived.get("jumps", ()):
            print(f"{jump['match_end']:%H:%M}  {jump['machine']}  jumped by {jump['degrees']} degrees")
        for alarm in derived.get("spreading", ()):
            way = f"from {alarm['first']} to {alarm['second']}"
            print(f"{alarm['seen']:%H:%M}  spreading {way} since {alarm['began']:%H:%M}")
    print(f"\n{len(rows):,} readings, {count} means of a minute.")


if __name__ == "__main__":
    main()
