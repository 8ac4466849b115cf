"""A program that appends batches in a pipeline, and says how many it has given: ``batch_program.py STORE [held]``.

Held, it does not end by itself, however late it is killed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import cepheid as cep

BATCHES = 300
# So many are given at most before those in front of them are on the disk.
AHEAD = 100
HELD = sys.argv[2:] == ["held"]


def length(number: int) -> int:
    """The rows of a batch: of a few sizes, some of which are worth a thread."""
    return (1, 40, 3_000, 7, 0, 500)[number % 6]


def rows_of(number: int) -> dict[str, Any]:
    rows = length(number)
    return {"ts": [number] * rows, "text": [f"{number * 7919 % 10007:x}-{row % 13}" for row in range(rows)]}


def given(store: cep.EventStore) -> Iterator[dict[str, Any]]:
    for number in range(BATCHES):
        print("gives", number, flush=True)
        while store.end < sum(length(before) for before in range(number - AHEAD)):
            time.sleep(0.001)
        yield rows_of(number)
    while HELD:
        time.sleep(1)


if __name__ == "__main__":
    with cep.EventStore(sys.argv[1]) as events:
        print("open", flush=True)
        made = events.append_batches("t", given(events), stream="s", idempotency_key="all")
        print("done", sum(not position.repeated for position in made), flush=True)
