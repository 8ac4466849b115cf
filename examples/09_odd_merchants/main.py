"""Merchants whose refunds are out of the ordinary, and regions in which several are: five rules, one behind the other.

Payments are enriched with the region of their merchant, summed up by the minute, compared with the minutes before, and
what stands out is matched twice. The payments are generated, always the same; a picture of the rules is written beside.
"""

from __future__ import annotations

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cepheid as cep
from cepheid import col, event, ref

START = datetime(2024, 11, 29, 8, tzinfo=UTC)
MERCHANTS = {"merchant": [f"m{number}" for number in range(12)], "region": ["north", "south", "west"] * 4}

# Level 0: what a table says of each payment.
PLACED = cep.enrich("payments", MERCHANTS, on="merchant", emits="placed")

# Level 1: the refunds of each merchant, every minute.
REFUNDS = (
    cep.window(refunds=(-col.amount).sum(), topic="placed", by=["region", "merchant"], where=col.amount < 0)
    .tumbling("1m")
    .named("refunds")
)

# Level 2: minutes that are far from those of the merchant before. They are not learned from, or the next would pass.
ODD = (
    cep.anomaly(col.refunds, topic="refunds", by=["region", "merchant"])
    .ewma(alpha=0.1, threshold=4, warm_up=20, learn_anomalies=False)
    .named("odd")
)

# Level 3: two odd minutes of a merchant within five.
SUSPECTS = (
    (event("one", topic="odd") >> event("two", topic="odd"))
    .partition_by("region", "merchant")
    .within("5m")
    .select(refunds=ref("one").value + ref("two").value)
    .named("suspects")
)

# Level 4: two suspects of a region within ten minutes.
RINGS = (
    (event("a", topic="suspects") >> event("b", col.merchant != ref("a").merchant, topic="suspects"))
    .partition_by("region")
    .within("10m")
    .select(first=ref("a").merchant, second=ref("b").merchant)
    .named("rings")
)


def payments() -> list[dict[str, Any]]:
    """Two hours of payments in order of time: 3 % are refunds, but two merchants of the west give many from 9:20 on."""
    chance = random.Random(20241129)
    rows = []
    for second in range(7_200):
        for number in range(12):
            if chance.random() > 0.25:
                continue
            amount = round(chance.uniform(5, 80), 2)
            ring = number in (2, 8) and 4_800 <= second < 5_040 + 60 * number
            refunded = chance.random() < (0.5 if ring else 0.03)
            rows.append({
                "ts": START + timedelta(seconds=second),
                "merchant": f"m{number}",
                "amount": -amount if refunded else amount,
            })  # fmt: skip
    return rows


def main() -> None:
    rows = payments()
    # In any order: the engine finds out who reads whom.
    engine = cep.Engine([RINGS, SUSPECTS, ODD, REFUNDS, PLACED])
    seen = 0
    for first in range(0, len(rows), 100):
        derived = engine.push(rows[first : first + 100], topic="payments")
        seen += len(derived.get("odd", ()))
        for suspect in derived.get("suspects", ()):
            refunds = f"{suspect['refunds']:.2f} in two odd minutes"
            print(f"{suspect['match_end']:%H:%M}  {suspect['merchant']} refunded {refunds}")
        for ring in derived.get("rings", ()):
            print(f"{ring['match_end']:%H:%M}  {ring['region']}: {ring['first']} and then {ring['second']}")
    print(f"\n{len(rows):,} payments, {seen} odd minutes.")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(engine.to_svg(), "utf-8")


if __name__ == "__main__":
    main()
