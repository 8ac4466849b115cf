"""``kill -9`` in the midst of `append_batches`: what is there are the first batches, whole, and the rest can follow."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import batch_program
import pytest
from batch_program import AHEAD, BATCHES, rows_of

import cepheid as cep

STORES = 60 if os.environ.get("CEPHEID_DEEP") else 3
KILLS_OF_A_STORE = 8


def started(path: Path, *how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, batch_program.__file__, str(path), *how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def whole_batches(path: Path) -> int:
    """How many batches are there, the last that have no rows aside: the events are those of these, and no others."""
    with cep.EventStore(path) as store:
        assert store.verify().ok
        found = store.read("t").to_arrow() if "t" in store.info().topics else None
        version = store.version("s")
    count, rows = 0, 0
    expected: list[str] = []
    while rows < version:
        expected += rows_of(count)["text"]
        count, rows = count + 1, len(expected)
    assert rows == version
    assert (found["text"].to_pylist() if found is not None else []) == expected
    return count


@pytest.mark.parametrize("number", range(STORES))
def test_a_kill_leaves_whole_batches_and_the_rest_can_follow(tmp_path: Path, number: int) -> None:
    chosen = random.Random(number)
    path = tmp_path / "events.db"
    counts = [0]
    stretch = (BATCHES - 10) // KILLS_OF_A_STORE
    for kill in range(KILLS_OF_A_STORE):
        program = started(path, "held")
        assert program.stdout is not None
        # Further in each time, and as deep into what follows as it may get.
        until = stretch * kill + chosen.randrange(stretch)
        for line in program.stdout:
            if line.split() == ["gives", str(until)]:
                break
        time.sleep(chosen.random() * 0.01)
        assert program.poll() is None
        program.kill()
        program.communicate()
        counts.append(whole_batches(path))
        # The next may have no rows, by which it would be seen.
        assert counts[-1] >= until - AHEAD - 1
    assert counts == sorted(counts)
    # None of them was made in one go.
    assert len(set(counts)) > 2, counts
    said, errors = started(path).communicate(timeout=120)
    assert not errors
    assert said.splitlines()[-1].startswith("done ")
    assert whole_batches(path) == BATCHES
