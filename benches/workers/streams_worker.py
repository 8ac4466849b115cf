"""The process in which bytewax, pathway or csp runs: `python -m benches.workers.streams_worker MODULE:CLASS FOLDER`.

Reads the question and the rows from the folder, then a word a line: "prepare", "arm", "run", "answer"; says one line of
JSON for each. To "run" that is how many seconds it took. Without arguments it says what is installed.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import sys
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from benches.peers.peer import Peer
from benches.workload import Workload

PACKAGES = ("bytewax", "pathway", "csp")


def main() -> None:
    # What libraries print must not come between the answers.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        if sys.argv[1:]:
            module, _, name = sys.argv[1].partition(":")
            serve(getattr(import_module(module), name)(), Path(sys.argv[2]), answers)
        else:
            say({package: installed(package) for package in PACKAGES}, answers)


def installed(package: str) -> dict[str, str]:
    try:
        import_module(package)
    except ImportError as error:
        return {"error": str(error)}
    return {"version": version(package)}


def serve(peer: Peer, folder: Path, answers: IO[str]) -> None:
    workload: Workload = pickle.loads((folder / "question").read_bytes())
    with pa.OSFile(str(folder / "rows"), "rb") as source:
        table = pa.ipc.open_file(source).read_all().combine_chunks()
    prepared: Any = None
    armed: Any = None
    result: Any = None
    for word in map(str.strip, sys.stdin):
        said: Any = None
        if word == "prepare":
            prepared = peer.prepare(workload, table)
        elif word == "arm":
            result = None
            armed = peer.arm(workload, prepared)
        elif word == "run":
            # As pytest-benchmark is told to ask the others.
            gc.disable()
            began = time.perf_counter()
            result = peer.run(workload, armed)
            said = time.perf_counter() - began
            gc.enable()
            armed = None
        elif word == "answer":
            answer = peer.answer(workload, result)
            said = [answer.matches, answer.sums]
        say(said, answers)
    peer.close(prepared)


def say(value: object, answers: IO[str]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
