"""Orders from creation to delivery, kept as what happened: states, delays, an overview, and yesterday.

Each order is a stream of events. Commands decide on its state; a pattern finds paid orders that are not shipped within
two days and raises `order.delayed`; a projection keeps the orders that are open. The orders are generated, always the
same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

import cepheid as cep
from cepheid import absent, event

START = datetime(2025, 3, 3, 8, tzinfo=UTC)
ORDERS = 40
Events = Iterator[tuple[str, dict[str, Any]]]

# What an order is: a fold over the events of its stream.

orders = cep.Aggregate("order", initial=lambda: {"status": "none", "delays": 0}, snapshot_every=4)


@orders.on("order.created")
def created(state: dict[str, Any], found: cep.StreamEvent) -> dict[str, Any]:
    return {**state, "status": "created", "total": found["total"]}


@orders.on("order.*")
def went_on(state: dict[str, Any], found: cep.StreamEvent) -> dict[str, Any]:
    return {**state, "status": found.topic.removeprefix("order.")}


@orders.on("order.delayed")
def was_delayed(state: dict[str, Any], found: cep.StreamEvent) -> dict[str, Any]:
    return {**state, "delays": state["delays"] + 1}


# What may be done with it: commands, which say no or give events.

BEFORE = {"created": "none", "paid": "created", "packed": "paid", "shipped": "packed", "delivered": "shipped"}


def step(state: dict[str, Any], at: datetime, order: int, to: str, more: dict[str, Any]) -> Events:
    if state["status"] != BEFORE[to]:
        raise ValueError(f"order {order} is {state['status']}, and so it cannot be {to}")
    yield f"order.{to}", {"ts": at, "order": order, **more}


def delay(state: dict[str, Any], at: datetime, order: int) -> Events:
    yield "order.delayed", {"ts": at, "order": order, "was": state["status"]}


# What does not happen: paid, and not shipped within two days.

NOT_SHIPPED = (
    (event("paid", topic="order.paid") >> absent(event("shipped", topic="order.shipped"), for_="2d"))
    .partition_by("order")
    .select(due=cep.expr_from_sql("paid.ts + INTERVAL '2' DAY"))
    .named("not.shipped")
)
delays = cep.ProcessManager("delays", NOT_SHIPPED, idle="12h")


@delays.on("not.shipped")
def raise_delay(found: dict[str, Any]) -> list[Any]:
    return [orders.command(found["order"], delay, found["due"], found["order"])]


# An overview: the orders that are open, by what they wait for.

Fold = Callable[[dict[int, str], pa.Table], dict[int, str]]


def overview(version: int, fold: Fold) -> cep.Projection:
    made = cep.Projection("open-orders", initial=dict, version=version)
    made.on("order.*")(fold)
    return made


def open_orders(state: dict[int, str], events: pa.Table) -> dict[int, str]:
    for topic, order in zip(events["_topic"].to_pylist(), events["order"].to_pylist(), strict=True):
        if topic == "order.delivered":
            state.pop(order, None)
        else:
            state[order] = topic.removeprefix("order.")
    return state


def open_orders_marked(state: dict[int, str], events: pa.Table) -> dict[int, str]:
    """A delay is no step of an order: it stays what it was, and is marked."""
    for topic, order in zip(events["_topic"].to_pylist(), events["order"].to_pylist(), strict=True):
        if topic == "order.delivered":
            state.pop(order, None)
        elif topic == "order.delayed":
            state[order] += " late"
        else:
            mark = " late" if state.get(order, "").endswith(" late") else ""
            state[order] = topic.removeprefix("order.") + mark
    return state


def days() -> list[tuple[datetime, int, str, dict[str, Any]]]:
    """What is done with which order and when, in order of time; some hang between payment and shipment."""
    chance = random.Random(20250303)
    found: list[tuple[datetime, int, str, dict[str, Any]]] = []
    for order in range(ORDERS):
        at = START + timedelta(minutes=chance.randint(0, 5 * 24 * 60))
        found.append((at, order, "created", {"total": round(chance.uniform(10, 200), 2)}))
        for to, hours in (("paid", 6), ("packed", 20), ("shipped", 24), ("delivered", 30)):
            hangs = to == "packed" and order % 7 == 3
            at += timedelta(minutes=chance.randint(10, hours * 60) + (2_700 if hangs else 0))
            found.append((at, order, to, {"carrier": chance.choice("AB")} if to == "shipped" else {}))
    return sorted(found, key=lambda done: done[:2])


def counted(state: dict[int, str]) -> str:
    statuses = sorted(state.values())
    return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))


def main() -> None:
    now = START + timedelta(days=5, hours=4)
    first = overview(1, open_orders)
    with cep.EventStore() as store:
        # Each append brings the overview along.
        store.attach(first)
        for at, order, to, more in days():
            if at > now:
                break
            orders.handle(store, order, step, at, order, to, more)
            delays.catch_up(store)
        delays.advance_to(store, now)

        print(f"{store.end} events of {len(store.streams('order-'))} orders by {now:%A %H:%M}.\n")
        for late in store.read("order.delayed"):
            print(f"{late['ts']:%a %H:%M}  order {late['order']:2}  not shipped for two days, only {late['was']}")

        print(f"\nopen: {counted(first.state(store))}")
        order = next(iter(store.read("order.delayed", limit=1)))["order"]
        yesterday = now - timedelta(days=1)
        print(f"order {order} is {orders.load(store, order).state['status']};", end=" ")
        print(f"yesterday it was {store.state_at(orders, order, time=yesterday)['status']};", end=" ")
        print(f"of its {store.version(orders.stream(order))} events the first made it", end=" ")
        print(store.state_at(orders, order, version=1)["status"])
        try:
            orders.handle(store, order, step, now, order, "paid", {})
        except ValueError as error:
            print(f"refused: {error}")

        # Another fold: made beside the old one, which serves until they are swapped.
        second = overview(2, open_orders_marked)
        store.detach(first)
        before = second.state(store)
        folded = second.rebuild(store)
        store.attach(second)
        print(f"\nrebuilt of {folded} events: {counted(before)}\n           becomes {counted(second.state(store))}")


if __name__ == "__main__":
    main()
