"""bytewax, pathway and csp, each in a process of its own: two of them hold pyarrow back to a release before ours.

CEPHEID_BENCH_STREAMS names a Python that has them installed (benches/streams.txt); without, the running one is tried.
How each is asked stands in `benches.workers`. Rows go there as an Arrow file. The clock runs there, around the same
calls as that of the others here; what has to be read, packed or said is in no time. Answers come back added up.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from benches.peers.peer import Peer
from benches.workload import Answer, Workload

PYTHON = os.environ.get("CEPHEID_BENCH_STREAMS", sys.executable)
ROOT = Path(__file__).parent.parent.parent
WORKER = "benches.workers.streams_worker"


@lru_cache(maxsize=1)
def installed() -> dict[str, dict[str, str]]:
    """For each of the three, its version there, or why it cannot be imported."""
    try:
        done = subprocess.run([PYTHON, "-m", WORKER], capture_output=True, text=True, check=True, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImportError(f"CEPHEID_BENCH_STREAMS names no Python that answers: {error}") from error
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


class Worker:
    """The other process, and one question to it."""

    def __init__(self, asked: str, workload: Workload, table: pa.Table) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        (folder / "question").write_bytes(pickle.dumps(workload))
        with pa.OSFile(str(folder / "rows"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)
        self._errors = (folder / "errors").open("w+")
        self._process = subprocess.Popen(
            [PYTHON, "-m", WORKER, asked, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
        )

    @property
    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def ask(self, word: str) -> Any:
        into, out = self._pipes
        with suppress(BrokenPipeError):
            into.write(word + "\n")
            into.flush()
        line = out.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read()[-2000:]
            self.end()
            raise RuntimeError(f"the process that was asked to {word} ended:\n{said}")
        return json.loads(line)

    def end(self) -> None:
        if self._errors.closed:
            return
        # What was not read by a process that ended early goes nowhere.
        with suppress(BrokenPipeError):
            self._pipes[0].close()
        self._process.wait()
        self._pipes[1].close()
        self._errors.close()
        self._folder.cleanup()


class StreamProcessor(Peer):
    """One of the three.

    Attributes:
        package: What it is installed as.
        asked: Module and class that ask it there.
        patterns: Why it is not asked about them.
    """

    package: str
    asked: str
    patterns: str

    def __init__(self) -> None:
        found = installed()[self.package]
        if "version" not in found:
            raise ImportError(f"{found['error']}; CEPHEID_BENCH_STREAMS can name a Python that has it")
        self.version = found["version"]
        self._seconds = 0.0

    def clock(self) -> float:
        """The time of the calls that were asked for. Whoever reads it before and after one has what that took there."""
        return self._seconds

    def cannot_run(self, workload: Workload) -> str | None:
        return None if workload.shape in ("tumble", "hop", "range") else self.patterns

    def prepare(self, workload: Workload, table: pa.Table) -> Worker:
        worker = Worker(self.asked, workload, table)
        worker.ask("prepare")
        return worker

    def arm(self, workload: Workload, prepared: Worker) -> Worker:
        prepared.ask("arm")
        return prepared

    def run(self, workload: Workload, armed: Worker) -> Worker:
        self._seconds += armed.ask("run")
        return armed

    def answer(self, workload: Workload, result: Worker) -> Answer:
        matches, sums = result.ask("answer")
        return Answer(matches, tuple(sums))

    def close(self, prepared: Worker) -> None:
        prepared.end()


class Bytewax(StreamProcessor):
    """Dataflows in Rust whose steps are functions in Python."""

    name = package = "bytewax"
    asked = "benches.workers.bytewax_flows:BytewaxFlows"
    patterns = "has windows and no patterns: a sequence would be an automaton of ours in a step of its own"
    # Of fewer, hardly two are in one window, and windows cost more than rows.
    probe_rows = 100_000


class Pathway(StreamProcessor):
    """Tables kept up to date by a dataflow in Rust."""

    name = package = "pathway"
    asked = "benches.workers.pathway_tables:PathwayTables"
    patterns = "has windows and joins of tables, and no patterns"
    # Of fewer, hardly two are in one window, and windows cost more than rows.
    probe_rows = 100_000


class Csp(StreamProcessor):
    """A graph of nodes in C++ that time series tick through."""

    name = package = "csp"
    asked = "benches.workers.csp_stats:CspStats"
    patterns = "has statistics and no patterns: a sequence would be an automaton of ours in a node of its own"
    # Every key is asked at every window's end: some two seconds, with rows or without.
    probe_rows = 200_000

    def cannot_run(self, workload: Workload) -> str | None:
        if "late_us_max" in dict(workload.options):
            return "its time never goes back: rows must be sorted before they come"
        return super().cannot_run(workload)
