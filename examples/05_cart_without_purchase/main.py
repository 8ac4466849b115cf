"""Shopping carts that are left behind: an item in the cart, and no purchase within half an hour.

The clicks are generated, always the same: eighty visits to a shop.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

import cepheid as cep
from cepheid import absent, col, event, ref

START = datetime(2024, 11, 29, 8, tzinfo=UTC)

# The last item put into the cart counts: as long as things are added, nobody has left. `greedy=False`: once the half
# hour is over the cart is left, whatever else might be added to it one day.
ABANDONED = (
    (
        event("add", col.action == "add").one_or_more(greedy=False)
        >> absent(event("act", col.action.is_in(["add", "purchase"])), for_="30m")
    )
    .partition_by("visitor")
    .within(None)
    .select(items=ref("add").count(), worth=ref("add").price.sum(), last=ref("add").item)
    .named("cart.abandoned")
)
BOUGHT = (
    (event("add", col.action == "add").one_or_more() >> event("purchase", col.action == "purchase"))
    .partition_by("visitor")
    .within("2h")
    .select(worth=ref("add").price.sum())
    .named("cart.bought")
)
PRICES = {"lamp": 49, "chair": 120, "desk": 310, "rug": 85, "clock": 25}


def clicks() -> list[dict[str, Any]]:
    """The clicks in order of time."""
    chance = random.Random(20241129)
    rows = []
    for number in range(80):
        at, visitor = START + timedelta(seconds=chance.randint(0, 14_400)), f"v{number:02d}"
        for _ in range(chance.choice([0, 1, 1, 2, 3])):
            at += timedelta(seconds=chance.randint(20, 600))
            item = chance.choice(list(PRICES))
            rows += [(at, visitor, "view", item, None)] * chance.randint(1, 3)
            rows.append((at + timedelta(seconds=5), visitor, "add", item, PRICES[item]))
        if rows and rows[-1][1] == visitor and chance.random() < 0.6:
            rows.append((at + timedelta(seconds=chance.randint(30, 900)), visitor, "purchase", None, None))
    names = ("ts", "visitor", "action", "item", "price")
    return [dict(zip(names, row, strict=True)) for row in sorted(rows, key=lambda row: (row[0], row[1]))]


def main() -> None:
    rows = clicks()
    print(f"{len(rows)} clicks: {dict(sorted(Counter(row['action'] for row in rows).items()))}\n")
    # The whole afternoon in one call: the end of the input counts as the end of every wait.
    abandoned = cep.match(ABANDONED, rows, event_time="ts")
    bought = cep.match(BOUGHT, rows, event_time="ts")
    print("visitor  last click  items  worth  last item")
    for cart in sorted(abandoned, key=lambda cart: (-cart["worth"], cart["visitor"]))[:8]:
        when, items, worth = f"{cart['match_end']:%H:%M:%S}", cart["items"], cart["worth"]
        print(f"{cart['visitor']:<7}  {when}    {items:>5}  {worth:>5}  {cart['last']}")
    print(
        f"\n{len(abandoned)} carts worth {sum(cart['worth'] for cart in abandoned):,} were left behind, "
        f"{len(bought)} worth {sum(cart['worth'] for cart in bought):,} were bought."
    )
    # The same as it happens: each left cart is known half an hour after its last click, not at the end of the day. A
    # table says what type the prices have, which a first click without one could not.
    table, engine = pa.Table.from_pylist(rows), cep.Engine(ABANDONED)
    in_time = sum(len(engine.push(table.slice(row, 1)).get("cart.abandoned", ())) for row in range(table.num_rows))
    at_the_end = len(engine.flush().get("cart.abandoned", ()))
    print(f"As a stream: {in_time} of them are known while clicks go on, {at_the_end} at the end.")


if __name__ == "__main__":
    main()
