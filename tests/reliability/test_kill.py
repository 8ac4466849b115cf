"""What a store acknowledged is there after ``kill -9``, once, and all that belongs together with it."""

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import store_steps
from store_steps import COMPACT, PERIOD, Model, beside, events, kind_of

import cepheid as cep

KILLS = 2_000 if os.environ.get("CEPHEID_DEEP") else 20
KILLS_OF_A_STORE = 20
# Most kills come after so many acknowledgements at most, and so many seconds then.
STEPS_BEFORE, LATEST = 16, 0.02


class Program:
    """The program under test, in a process of its own, and what it has said."""

    def __init__(self, path: Path, until: int) -> None:
        command = [sys.executable, store_steps.__file__, str(path), str(until)]
        # Unbuffered: what a buffer has read ahead of a line, communicate() does not give.
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.said: list[str] = []

    def wait_for(self, word: str, times: int = 1) -> None:
        """Waits until a line that begins with a word has come so many times."""
        assert self.process.stdout is not None
        while times > 0 and (line := self.process.stdout.readline().decode()):
            self.said.append(line.strip())
            times -= line.startswith(word)
        if times == 0:
            return
        assert self.process.stderr is not None
        raise AssertionError(f"the program ended before {word!r}: {self.process.stderr.read().decode()}")

    def kill(self) -> tuple[bool, list[str]]:
        """Kills it; gives whether it was alive, and what it had acknowledged."""
        alive = self.process.poll() is None
        self.process.kill()
        return alive, self.end()

    def end(self) -> list[str]:
        said, errors = self.process.communicate(timeout=120)
        assert not errors, errors.decode()
        # The last line may have been cut off by the kill; what it would have said was not acknowledged.
        rest = said.decode().splitlines(keepends=True)
        lines = [*self.said, *(line.strip() for line in rest if line.endswith("\n"))]
        return [line for line in lines if line.startswith("done ")]


def leftovers(path: Path) -> list[str]:
    """Files in the archive that no segment names."""
    archive = Path(f"{path}-archive")
    there = {file.relative_to(archive).as_posix() for file in archive.rglob("*") if file.is_file()}
    return sorted(there - set(segment_files(path)))


def segment_files(path: Path) -> list[str]:
    # No store is open in this process: closing a file here would end the locks that it has.
    with sqlite3.connect(path) as database:
        files = [file for (file,) in database.execute("SELECT file FROM segments")]
    database.close()
    return files


def check(path: Path, model: Model, acknowledged: int) -> int:
    """Checks a store of which so many steps were acknowledged; gives how many it has."""
    with cep.EventStore(path, author="checker") as store:
        found, told, verified = events(store), beside(store), store.verify()
    assert verified.ok, verified
    assert not leftovers(path)
    while model.steps < acknowledged:
        model.step()
    # The call that was under way has been made, or not at all.
    if (found, told) != (model.events, model.beside()):
        model.step()
    assert told == model.beside()
    assert found == model.events
    return model.steps


@pytest.mark.parametrize("number", range(KILLS // KILLS_OF_A_STORE))
def test_kill_loses_and_doubles_nothing(tmp_path: Path, number: int) -> None:
    chosen = random.Random(number)
    path = tmp_path / "events.db"
    model, hits, acknowledgements, opening = Model(), 0, 0, 0
    acknowledged = 0
    for kill in range(KILLS_OF_A_STORE):
        program = Program(path, 1_000_000)
        program.wait_for("opening")
        if kill % 4 == 3:
            opening += 1
            time.sleep(chosen.random() * 0.03)
        else:
            program.wait_for("open")
            program.wait_for("done", chosen.randrange(STEPS_BEFORE))
            time.sleep(chosen.random() * LATEST)
        alive, said = program.kill()
        hits += alive
        acknowledgements += len(said)
        for line in said:
            step, *position = line.split()[1:]
            while model.steps <= int(step):
                model.step()
            if position[0] != "-":
                # At the same position as ever.
                assert (int(position[0]), int(position[1])) == model.positions[int(step)]
            acknowledged = max(acknowledged, int(step) + 1)
        acknowledged = max(acknowledged, check_in_process(path, model, acknowledged))
    assert hits == KILLS_OF_A_STORE
    assert acknowledgements > 4 * KILLS_OF_A_STORE, acknowledgements
    assert opening == KILLS_OF_A_STORE // 4

    until = (acknowledged // PERIOD + 2) * PERIOD
    assert kind_of(until - 1) == COMPACT
    Program(path, until).end()
    other = tmp_path / "uninterrupted.db"
    Program(other, until).end()
    with cep.EventStore(path, read_only=True) as killed, cep.EventStore(other, read_only=True) as uninterrupted:
        assert killed.read(metadata=True).to_arrow() == uninterrupted.read(metadata=True).to_arrow()
        assert beside(killed) == beside(uninterrupted)
        one, two = killed.info(), uninterrupted.info()
        assert {name: (topic.events, topic.removed) for name, topic in one.topics.items()} == {
            name: (topic.events, topic.removed) for name, topic in two.topics.items()
        }
        assert killed.verify().ok
        assert uninterrupted.verify().ok
        assert one.topics["large"].archived > 0
        assert one.topics["old"].removed > 0


def check_in_process(path: Path, model: Model, acknowledged: int) -> int:
    """As `check`; a store that was never made has nothing."""
    if not path.exists():
        assert acknowledged == 0
        return 0
    again = Model()
    steps = check(path, again, acknowledged)
    assert steps <= acknowledged + 1
    return steps


def test_a_kill_while_the_store_is_made_leaves_one_that_opens(tmp_path: Path) -> None:
    # What the file is after its first page, and before the schema is committed.
    path = tmp_path / "events.db"
    script = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]);"
        "d.execute('PRAGMA page_size = 16384'); d.execute('PRAGMA journal_mode = WAL')"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert path.stat().st_size > 0
    with cep.EventStore(path) as store:
        assert store.append("t", [{"ts": 1}]).first == 0
