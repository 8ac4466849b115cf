"""A program that appends batches in a pipeline, and says how many it has given: ``batch_program.py STORE``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import cepheid as cep

BATCHES = 300


def rows_of(number: int) -> dict[str, Any]:
    """The rows of a batch: of a few sizes, some of which are worth a thread."""
    rows = (1, 40, 3_000, 7, 0, 500)[number % 6]
    return {"ts": [number] * rows, "text": [f"{number * 7919 % 10007:x}-{row % 13}" for row in range(rows)]}


def given() -> Iterator[dict[str, Any]]:
    for number in range(BATCHES):
        print("gives", number, flush=True)
        yield rows_of(number)


if __name__ == "__main__":
    with cep.EventStore(sys.argv[1]) as events:
        print("open", flush=True)
        made = events.append_batches("t", given(), stream="s", idempotency_key="all")
        print("done", sum(not position.repeated for position in made), flush=True)
