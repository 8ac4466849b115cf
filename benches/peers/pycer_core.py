"""CORE, by its package `pycer`: complex event recognition in C++, the engine of the paper "CORE" (PVLDB 15(9), 2022).

It is under the GPL and runs in a process of its own, and it is built for CPython 3.13 alone. CEPHEID_BENCH_PYCER names
a Python that has it installed; without, the running one is tried. It is never installed from here.
Its offline server is asked, which gives back all matches as one text; events are built beforehand.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from benches.peers.peer import Peer
from benches.workload import Answer, Workload

PYTHON = os.environ.get("CEPHEID_BENCH_PYCER", sys.executable)
WORKER = Path(__file__).parent.parent / "workers" / "pycer_worker.py"


def installed() -> str:
    """The version of pycer in that Python."""
    ask = "import importlib.metadata as m, pycer; print(m.version('pycer'))"
    try:
        # Its logs go where it runs.
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=True, cwd=folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ImportError("needs CPython 3.13 with pycer; CEPHEID_BENCH_PYCER can name one") from error
    return done.stdout.strip()


VERSION = installed()


class Worker:
    """The other process, and one question to it."""

    def __init__(self, setting: dict[str, Any], columns: dict[str, list[Any]]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "rows"
        path.write_bytes(pickle.dumps({**setting, "columns": columns}))
        self._process = subprocess.Popen(
            [PYTHON, str(WORKER), str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=self._folder.name,
        )

    def ask(self, word: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()


class PycerCore(Peer):
    """Every combination, or with CONSUME BY ANY all that a row completes; neither next match nor correlation."""

    name = "pycer (CORE)"
    version = VERSION
    by_hand = False

    def cannot_run(self, workload: Workload) -> str | None:
        if workload.shape not in ("seq3_any", "abc", "abc_consume", "kleene"):
            return (
                "knows neither the next match nor conditions between events, and gives every choice of a loop's events"
            )
        if workload.rows > 2_000_000:
            return "a million events tell its rate; building more of them takes longer than all the rest"
        return "goes through all matches" if workload.is_vast else None

    def prepare(self, workload: Workload, table: pa.Table) -> Worker:
        window = workload.parameter("window")
        kinds = workload.generator == "kinds"
        if kinds:
            steps = "A as a; B+ as b; C as c" if workload.shape == "kleene" else "A as a; B as b; C as c"
            names = table["kind"].chunk(0).dictionary.to_pylist()
            events = ", ".join(f"EVENT {name} {{ n:int, ts:primary_time }}" for name in names)
        else:
            steps = "(E as a; E as b; E as c) FILTER a[symbol='SYM000'] AND b[symbol='SYM001'] AND c[symbol='SYM002']"
            events = "EVENT E { n:int, symbol:string, ts:primary_time }"
        consume = " CONSUME BY ANY" if workload.shape == "abc_consume" else ""
        setting = {
            "stream": f"CREATE STREAM S {{ {events} }}",
            "query": f"SELECT * FROM S WHERE {steps} WITHIN {window} EVENTS{consume}",
        }
        columns = {"n": table["n"].to_pylist()}
        if kinds:
            columns["type"] = table["kind"].chunk(0).indices.to_pylist()
        else:
            columns["symbol"] = table["symbol"].to_pylist()
        worker = Worker(setting, columns)
        assert worker.ask("ready") == "ready"
        return worker

    def arm(self, workload: Workload, prepared: Worker) -> Worker:
        assert prepared.ask("arm") == "armed"
        return prepared

    def run(self, workload: Workload, armed: Worker) -> Worker:
        armed.ask("run")
        return armed

    def answer(self, workload: Workload, result: Worker) -> Answer:
        matches, sums = result.ask("answer")
        return Answer(matches, () if workload.output == "count" else tuple(sums))

    def close(self, prepared: Worker) -> None:
        prepared.end()
