"""After ``kill -9`` an app has lost nothing, derived nothing twice, and done everything at least once, in order."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import app_program
import pytest

import cepheid as cep

KILLS = 2_000 if os.environ.get("CEPHEID_DEEP") else 20
KILLS_OF_A_STORE = 20
EVENTS = 10_000


def run_for(store: Path, lines: Path, seconds: float | None, done: int = 0) -> bool:
    """Runs the program, for so long at most and until it has done so many actions; gives whether it was killed."""
    command = [sys.executable, app_program.__file__, str(store), str(lines), str(EVENTS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "starting\n"
    if seconds is not None:
        until, goal = time.monotonic() + seconds, written(lines) + done
        while time.monotonic() < until and written(lines) < goal:
            time.sleep(0.002)
        process.kill()
    _, errors = process.communicate(timeout=300)
    if process.returncode == -9:
        return True
    assert process.returncode == 0, errors
    assert not errors
    return False


def written(lines: Path) -> int:
    """How many actions have been done, some of them twice."""
    return lines.read_bytes().count(b"\n") if lines.exists() else 0


def story(store: Path) -> dict[str, list[dict]]:
    """What is in a store, by topic."""
    told = {}
    with cep.EventStore(store, read_only=True) as kept:
        for topic in ("payment", "fraud", "case.opened", "case.letter"):
            told[topic] = kept.read(topic).to_arrow().to_pylist()
        assert kept.verify().ok
    return told


@pytest.mark.parametrize("number", range(KILLS // KILLS_OF_A_STORE))
def test_kills_lose_and_double_nothing(tmp_path: Path, number: int) -> None:
    chosen = random.Random(number)
    store, lines = tmp_path / "app.db", tmp_path / "lines"
    kills = 0
    while kills < KILLS_OF_A_STORE:
        # Starting takes some 0.5 s, of which some are hit too. A fast machine must not have ended after a few.
        if not run_for(store, lines, 0.2 + chosen.random() * 0.8, chosen.randrange(1, 50)):
            break
        kills += 1
    assert kills >= 8, f"only {kills} kills before it had ended"
    assert not run_for(store, lines, None)

    other, other_lines = tmp_path / "uninterrupted.db", tmp_path / "uninterrupted"
    assert not run_for(other, other_lines, None)
    expected, found = story(other), story(store)
    assert len(expected["payment"]) == EVENTS
    assert len(expected["fraud"]) > 500
    for topic in ("payment", "fraud"):
        assert found[topic] == expected[topic], topic
    for topic in ("case.opened", "case.letter"):
        # Handlers of several cards overtake each other; those of one do not.
        assert len(found[topic]) == len(expected[topic])
        for card in {event["card"] for event in expected[topic]}:
            own = [[event for event in one[topic] if event["card"] == card] for one in (found, expected)]
            assert own[0] == own[1]

    with cep.EventStore(store, read_only=True) as kept:
        counted = sum(kept.read("counted").to_arrow()["rows"].to_pylist())
        outcomes = kept.read("cepheid.action").to_arrow()["key"].to_pylist()
        assert not [name for name in kept.info().topics if name in ("cepheid.rejected", "cepheid.deadletter")]
    assert counted == EVENTS

    told = [line.split() for line in lines.read_text().splitlines()]
    keys = [key for _, key, _ in told]
    wanted = [line.split()[1] for line in other_lines.read_text().splitlines()]
    assert set(keys) == set(wanted)
    assert sorted(outcomes) == sorted(wanted), "each is written down once"
    # Again only what a kill came between: of each kill as many as may be under way.
    assert len(keys) - len(set(keys)) <= 3 * kills
    for card in {card for card, _, _ in told}:
        first = list(dict.fromkeys(int(position) for owner, _, position in told if owner == card))
        assert first == sorted(first), f"{card} out of order"
