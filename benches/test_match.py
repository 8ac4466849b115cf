"""Each question to each engine: the right answer first, then the time."""

from __future__ import annotations

from typing import Any

import pytest

from benches.__main__ import as_table, to_record
from benches.peers import PEERS, Peer, load_peers
from benches.workload import Workload, load_workloads

READY, ABSENT = load_peers()
OURS = ("cepheid, SQL", "cepheid, built")
# Asked as its authors made it: its wrong answers go into the record. The forms by hand are ours: wrong is a failure.
MAY_BE_WRONG = "pandas-match-recognize"


@pytest.mark.parametrize("peer", READY, ids=str)
@pytest.mark.parametrize("workload", load_workloads(), ids=str)
def test_match(benchmark: Any, workload: Workload, peer: Peer) -> None:
    benchmark.group = workload.name
    benchmark.extra_info.update(workload=workload.name, peer=peer.name, version=peer.version, rows=workload.rows)
    if reason := peer.cannot_run(workload):
        pytest.skip(f"{peer.name}: {reason}")
    prepared = peer.prepare(workload, workload.table())
    found = peer.answer(workload, peer.run(workload, prepared))
    if found != workload.answer and peer.name == MAY_BE_WRONG:
        pytest.skip(f"{peer.name}: wrong answer, so no time: {found} instead of {workload.answer}")
    assert found == workload.answer
    benchmark.pedantic(peer.run, (workload, prepared), rounds=rounds(workload), iterations=1, warmup_rounds=1)


@pytest.mark.parametrize("workload", load_workloads(), ids=str)
def test_scan(benchmark: Any, workload: Workload) -> None:
    """The yardstick: one comparison over one column, counted. No engine can be faster than this and read the column."""
    column = workload.table()[workload.scanned].to_numpy()
    middle = int(column[len(column) // 2])
    benchmark.group = workload.name
    benchmark.extra_info.update(workload=workload.name, peer="column scan", version="NumPy", rows=workload.rows)
    benchmark.pedantic(lambda: int((column > middle).sum()), rounds=rounds(workload), iterations=1, warmup_rounds=1)


def test_cepheid_is_among_the_engines() -> None:
    names = {peer.name for peer in READY}
    assert names.issuperset(OURS), f"only {names}; absent: {ABSENT}"


def test_a_record_names_the_peers_that_are_absent_and_why() -> None:
    raw = {"benchmarks": [], "machine_info": {}}
    record = to_record(raw, ["pair: a reason"], {"Polars": "not installed"})
    assert record["absent"] == {"Polars": "not installed"}
    shown = as_table(record)
    assert "absent:\n  Polars: not installed" in shown
    assert "not timed:\n  pair: a reason" in shown
    assert len(READY) + len(ABSENT) == len(PEERS)


def rounds(workload: Workload) -> int:
    """Small questions are asked often, as a clock tick matters there."""
    return 200 if workload.rows <= 1_000 else 5
