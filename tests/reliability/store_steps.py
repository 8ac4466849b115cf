"""What a program does to a store, step by step, and what the store is after any number of steps.

As a script it is the program: it goes on from what the store says, and says when each call has returned, until it is
killed, or has done so many steps: ``store_steps.py STORE UNTIL``.
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import Any

import pyarrow  # noqa: F401, here, and not within the first step

import cepheid as cep

BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PERIOD = 12
# What a period does, in its order.
TRANSACTION, PLAIN, STREAM, PEOPLE, SEAL, OLD, LARGE, RETAIN, ERASE, COMPACT = range(10)
KINDS = [TRANSACTION, PLAIN, STREAM, PEOPLE, OLD, SEAL, LARGE, PEOPLE, RETAIN, ERASE, PLAIN, COMPACT]
KEPT = 30
WAITING = 3


def time_of(step: int) -> dt.datetime:
    return BEGIN + dt.timedelta(seconds=step)


def nanoseconds(time: dt.datetime) -> int:
    return int((time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds()) * 10**9


def kind_of(step: int) -> int:
    return KINDS[step % PERIOD]


def values(step: int) -> list[int]:
    count = 1 + step % 5 if kind_of(step) != LARGE else 150
    return [step * 1000 + number for number in range(count)]


def rows_of(step: int) -> dict[str, Any]:
    numbers = values(step)
    rows: dict[str, Any] = {
        "ts": [nanoseconds(time_of(step))] * len(numbers),
        "value": numbers,
        "text": [f"{number * 7919 % 10007:x}" for number in numbers],
    }
    if kind_of(step) == PEOPLE:
        rows["user"] = [person(step)] * len(numbers)
    return rows


def person(step: int) -> str:
    return f"u{step // PERIOD}"


TOPICS = {
    TRANSACTION: "derived.alert",
    PLAIN: "plain",
    STREAM: "order.paid",
    PEOPLE: "people",
    OLD: "old",
    LARGE: "large",
}


def stream_of(step: int) -> str | None:
    return f"order-{step // PERIOD % 4}" if kind_of(step) == STREAM else None


def do(store: cep.EventStore, step: int, clock: list[dt.datetime], version: int) -> cep.Position | None:
    """One step. `version` is what the stream has before it, by what the program knows."""
    clock[0] = time_of(step)
    kind = kind_of(step)
    if kind == TRANSACTION:
        number = step // PERIOD
        with store.transaction() as changes:
            changes.append(TOPICS[kind], rows_of(step), idempotency_key=f"step-{step}")
            changes.save("engine", b"state %d" % step)
            changes.save_offset("source", b"%d" % step)
            changes.put("notify", f"alert-{number}", b"payload %d" % step)
            if number >= WAITING:
                changes.done("notify", f"alert-{number - WAITING}")
        return changes.positions[0]
    if kind == SEAL:
        store.seal(["plain", "order.*", "people", "large"])
    elif kind == COMPACT:
        store.compact()
    elif kind == RETAIN:
        store.retain("old")
    elif kind == ERASE:
        store.erase(f"u{step // PERIOD - 1}")
    else:
        stream = stream_of(step)
        return store.append(
            TOPICS[kind],
            rows_of(step),
            stream=stream,
            expected_version=None if stream is None else version,
            idempotency_key=f"step-{step}",
        )
    return None


class Model:
    """What the store is after steps, and nothing of how."""

    def __init__(self) -> None:
        self.steps = 0
        self.events: list[dict[str, Any]] = []
        self.rows: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.saved = -1
        self.positions: dict[int, tuple[int, int]] = {}
        self.erased = -1

    def step(self) -> None:
        step, kind = self.steps, kind_of(self.steps)
        self.steps += 1
        if kind == RETAIN:
            oldest = nanoseconds(time_of(step) - dt.timedelta(seconds=KEPT))
            self.events = [row for row in self.events if row["_topic"] != "old" or row["ts"] >= oldest]
        if kind == ERASE:
            self.erased = step // PERIOD - 1
            for row in self.events:
                if row["user"] == f"u{self.erased}":
                    row["text"] = None
        if kind not in TOPICS:
            return
        if kind == TRANSACTION:
            self.saved = step
        rows = rows_of(step)
        topic, stream = TOPICS[kind], stream_of(step)
        first = self.end
        for number in range(len(rows["ts"])):
            if stream is not None:
                self.versions[stream] = self.versions.get(stream, 0) + 1
            row = self.rows.get(topic, 0)
            self.rows[topic] = row + 1
            self.events.append({
                "_position": first + number,
                "_topic": topic,
                "_row": row,
                "_stream": stream,
                "_version": None if stream is None else self.versions[stream],
                "_recorded": time_of(step),
                "ts": rows["ts"][number],
                "value": rows["value"][number],
                "text": rows["text"][number],
                "user": rows["user"][number] if "user" in rows else None,
            })  # fmt: skip
        self.positions[step] = (first, len(rows["ts"]))

    @property
    def end(self) -> int:
        return sum(self.rows.values())

    def beside(self) -> dict[str, Any]:
        """What is saved beside the events."""
        number = -1 if self.saved < 0 else self.saved // PERIOD
        waiting = range(max(0, number - WAITING + 1), number + 1)
        return {
            "state": None if self.saved < 0 else b"state %d" % self.saved,
            "offset": None if self.saved < 0 else b"%d" % self.saved,
            "waiting": [(f"alert-{each}", b"payload %d" % (each * PERIOD)) for each in waiting],
            "streams": self.versions,
            "end": self.end,
        }


def beside(store: cep.EventStore) -> dict[str, Any]:
    return {
        "state": store.load("engine"),
        "offset": store.offset("source"),
        "waiting": store.waiting("notify"),
        "streams": store.streams(),
        "end": store.end,
    }


def events(store: cep.EventStore) -> list[dict[str, Any]]:
    """All events, each with the columns of all topics."""
    names = ["ts", "value", "text", "user"]
    found = store.read(metadata=True).to_arrow().to_pylist()
    return [{name: row.get(name) for name in [*list(row)[:6], *names]} for row in found]


class WithoutPandas:
    """Pyarrow imports pandas if it is there, which takes longer than all that is done here."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def main(path: str, until: int) -> None:
    clock = [BEGIN]
    print("opening", flush=True)
    with cep.EventStore(path, author="steps", clock=lambda: clock[0]) as store:
        # What is said again changes nothing.
        known = store.info().topics
        if "people" not in known or not known["people"].protected:
            store.protect("people", subject="user", columns=["text"])
        if "old" not in known or known["old"].keep_for is None:
            store.keep("old", for_=dt.timedelta(seconds=KEPT))
        print("open", flush=True)
        begin = store.offset("source")
        model = Model()
        while model.steps < (0 if begin is None else int(begin) + 1):
            model.step()
        for step in range(model.steps, until):
            stream = stream_of(step)
            version = 0 if stream is None else model.versions.get(stream, 0)
            position = do(store, step, clock, version)
            model.step()
            said = "- - -" if position is None else f"{position.first} {position.events} {position.row}"
            print(f"done {step} {said}", flush=True)


if __name__ == "__main__":
    sys.meta_path.insert(0, WithoutPandas())
    main(sys.argv[1], int(sys.argv[2]))
