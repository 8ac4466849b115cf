"""Whether a question is worth asking: what it costs at the size of the tests tells that.

Of questions that an engine may never come back from that tells nothing. They are asked in a process of its own, which
is ended in time: `python -m benches.probe WORKLOAD PEER`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from benches.peers import Peer, load_peers
from benches.workload import Workload, load_workloads, small_twin

ROOT = Path(__file__).parent.parent
# How long one answer may take, in seconds. Who is slower is not asked at this size, and the record says so.
PATIENCE = float(os.environ.get("CEPHEID_BENCH_PATIENCE", "30"))


def too_slow(workload: Workload, peer: Peer) -> str | None:
    """Why it would take longer than the patience, or None."""
    twin = small_twin(workload)
    twin = replace(twin, rows=max(twin.rows, peer.probe_rows))
    if twin.rows >= workload.rows:
        return None
    if workload.is_vast:
        return None if answers_apart(workload, peer) else f"no answer in {PATIENCE:.0f} s"
    seconds = seconds_here(twin, peer)
    expected = seconds * workload.rows / twin.rows
    # What every call costs, however small, says nothing of more rows: then more are asked about.
    while expected > PATIENCE and seconds < PATIENCE / 30 and twin.rows * 10 < workload.rows:
        twin = replace(twin, rows=twin.rows * 10)
        seconds = seconds_here(twin, peer)
        expected = seconds * workload.rows / twin.rows
    if expected <= PATIENCE:
        return None
    return f"{twin.rows:,} rows take {seconds:.2f} s, so {workload.rows:,} would take some {expected:,.0f} s"


def seconds_here(workload: Workload, peer: Peer) -> float:
    """The better of two calls, in seconds."""
    prepared = peer.prepare(workload, workload.table())
    try:
        return min(_once(workload, peer, prepared) for _ in range(2))
    finally:
        peer.close(prepared)


def answers_apart(workload: Workload, peer: Peer) -> bool:
    """Whether another process has the answer in time; what it takes to prepare is allowed for."""
    command = [sys.executable, "-m", "benches.probe", workload.name, peer.name]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "prepared\n", "the other process ended early"
        try:
            return process.wait(PATIENCE) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            return False


def _once(workload: Workload, peer: Peer, prepared: object) -> float:
    armed = peer.arm(workload, prepared)
    began = peer.clock()
    peer.run(workload, armed)
    return peer.clock() - began


if __name__ == "__main__":
    [asked] = [workload for workload in load_workloads("full") if workload.name == sys.argv[1]]
    [answerer] = [peer for peer in load_peers()[0] if peer.name == sys.argv[2]]
    rows = answerer.prepare(asked, asked.table())
    print("prepared", flush=True)
    answerer.run(asked, answerer.arm(asked, rows))
