"""Damages copies of a store, one by one, and says what is made of each: ``damage_check.py FOLDER FIRST END SEED``.

`FOLDER` holds ``store``, the files of a store, and ``answers.pickle``: what it answers as it is, at the end of its
history and, for one that has a log, after each commit. A line is said before a damage is looked at and one after it, so
that whoever reads them knows which one a crash is of.
"""

from __future__ import annotations

import hashlib
import pickle
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa

import cepheid as cep

NAME = "events.db"
# A damage that is not dealt with after so many seconds never is: the process is ended by the signal.
SECONDS = 10
KINDS = ["bit", "bit", "bit", "bit", "byte", "zeros", "truncate"]

QUESTIONS: dict[str, Any] = {
    "all": lambda s: table(s.read(metadata=True)),
    **{
        name: (lambda s, name=name: table(s.read(name, metadata=True)))
        for name in ("plain", "order.paid", "people", "large", "derived.alert", "old")
    },
    "where": lambda s: table(s.read(where="value >= 4000 AND value < 8000", metadata=True)),
    "where text": lambda s: table(s.read(where="text = '1b0e'", metadata=True)),
    "since": lambda s: table(s.read(since=1767225605 * 10**9, until=1767225620 * 10**9)),
    "stream": lambda s: table(s.read(stream="order-1", metadata=True)),
    "streams": lambda s: s.streams(),
    "version": lambda s: s.version("order-1"),
    "saved": lambda s: (s.saved(), s.load("engine"), s.offset("source")),
    "waiting": lambda s: s.waiting("notify"),
    "get": lambda s: s.get("plain#3"),
    "info": lambda s: [
        (name, topic.events, topic.removed, topic.archived, topic.keep_for, topic.subject, topic.protected)
        for name, topic in s.info().topics.items()
    ],
    "positions": lambda s: [row["_position"] for row in s.read(columns=["value"], metadata=True)],
    "end": lambda s: (s.end, s.info().event_time),
}


def table(found: cep.StoredEvents) -> str:
    read = found.to_arrow()
    return hashlib.sha256(repr((read.schema, read.to_pylist())).encode()).hexdigest()


def answers(path: Path, *, read_only: bool = True) -> tuple[dict[str, Any], list[str], bool]:
    """What a store answers, the errors that it raises, and what `verify` says."""
    told: dict[str, Any] = {}
    try:
        store = cep.EventStore(path, read_only=read_only)
    except cep.CepheidError as error:
        return told, [checked(error)], False
    errors = []
    with store:
        for name, ask in QUESTIONS.items():
            try:
                told[name] = ask(store)
            except cep.StoreError as error:
                # At the beginning of a history there is no such topic.
                if error.code == "unknown-in-store":
                    told[name] = "no such topic"
                else:
                    errors.append(f"{name}: {checked(error)}")
            except cep.CepheidError as error:
                errors.append(f"{name}: {checked(error)}")
            except pa.ArrowException as error:
                # It was read, and means nothing to Python: a time in a zone that there is not, for one.
                told[name] = repr(error)
        try:
            verified = bool(store.verify())
        except cep.CepheidError as error:
            errors.append(f"verify: {checked(error)}")
            verified = False
    return told, errors, verified


def checked(error: cep.CepheidError) -> str:
    assert not isinstance(error, cep.InternalError), error
    return f"{error.code}: {error}"


def damage(folder: Path, number: int, seed: int, index_pages: list[tuple[int, int]]) -> tuple[str, bool]:
    """Damages one file of a store in one place; says which, and whether the store is then opened to be written."""
    chosen = random.Random(seed * 1_000_003 + number)
    # What says who writes is no part of the store.
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != f"{NAME}-writer")
    files = [file for file in files if not file.name.endswith("-shm") and file.stat().st_size > 0]
    # Half of the damages are of the database, whatever there is beside it.
    file = folder / NAME if chosen.random() < 0.5 else chosen.choice(files)
    content = bytearray(file.read_bytes())
    kind = chosen.choice(KINDS)
    place = chosen.randrange(len(content))
    # Most of a page of SQLite is often empty: half of the damages are where something is.
    if chosen.random() < 0.7:
        for _ in range(200):
            if content[place] != 0:
                break
            place = chosen.randrange(len(content))
    if kind == "bit" and file.name == NAME and chosen.random() < 0.5:
        # An index says again what tables say: what it says wrongly is read as well.
        begin, end = chosen.choice(index_pages)
        used = [place for place in range(begin, end) if content[place] != 0]
        place = chosen.choice(used)
    if kind == "bit":
        content[place] ^= 1 << chosen.randrange(8)
    elif kind == "byte":
        content[place] = (content[place] + chosen.randrange(1, 256)) % 256
    elif kind == "zeros":
        end = min(len(content), place + chosen.choice([1, 16, 512, 4096]))
        content[place:end] = bytes(end - place)
    else:
        content = content[:place]
    file.write_bytes(content)
    return f"{kind} at {place} of {file.relative_to(folder)}", chosen.random() < 0.4


def verdict(copy: Path, histories: list[dict[str, Any]], *, read_only: bool) -> str:
    told, errors, verified = answers(copy / NAME, read_only=read_only)
    # All that is told has to be of one moment of the history.
    right = any(all(told[name] == known[name] for name in told) for known in histories)
    if right and not errors and verified:
        return "harmless"
    if right or not verified:
        return "noticed"
    last = histories[-1]
    return f"WRONG {[name for name in told if told[name] != last[name]]} {errors[:1]}"


def main(folder: Path, first: int, end: int, seed: int) -> None:
    histories, index_pages = pickle.loads((folder / "answers.pickle").read_bytes())
    for number in range(first, end):
        copy = folder / f"copy-{first}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder / "store", copy)
        what, to_write = damage(copy, number, seed, index_pages)
        print(f"look {number} {what}", flush=True)
        if hasattr(signal, "alarm"):
            signal.alarm(SECONDS)
        found = verdict(copy, histories, read_only=not to_write)
        print(f"found {number} {found}", flush=True)
    shutil.rmtree(folder / f"copy-{first}", ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
