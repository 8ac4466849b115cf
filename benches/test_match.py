"""Each question to each engine: the right answer first, then the time."""

from __future__ import annotations

import os
from dataclasses import asdict
from decimal import Context, Decimal
from typing import Any

import pytest

from benches.__main__ import as_table, to_record
from benches.peers import PEERS, Peer, load_peers
from benches.probe import too_slow
from benches.workload import EXACT_MAX, Workload, load_workloads

READY, ABSENT = load_peers()
OURS = ("cepheid, SQL", "cepheid, built")
SIZE = os.environ.get("CEPHEID_BENCH_SIZE", "full")


def asked() -> list[Any]:
    """Who is asked what. A curve is about cepheid alone, and once is enough, unless its file says otherwise."""
    return [
        pytest.param(workload, peer, id=f"{workload}-{peer}", marks=pytest.mark.benchmark(timer=peer.clock))
        for workload in load_workloads()
        for peer in READY
        if workload.peers or peer.name == OURS[1] or (SIZE == "check" and peer.name in OURS)
    ]


@pytest.mark.parametrize(("workload", "peer"), asked())
def test_match(benchmark: Any, workload: Workload, peer: Peer) -> None:
    note(benchmark, workload, peer.name, peer.version)
    if reason := peer.cannot_run(workload) or too_slow(workload, peer):
        pytest.skip(f"{peer.name}: {reason}")
    prepared = peer.prepare(workload, workload.table())
    try:
        armed = peer.arm(workload, prepared)
        began = peer.clock()
        result = peer.run(workload, armed)
        first = peer.clock() - began
        found = peer.answer(workload, result)
        # A large result is given back before the clock starts.
        del result, armed
        if not found.agrees(workload.answer) and not peer.by_hand:
            pytest.skip(f"{peer.name}: wrong answer, so no time: {found} instead of {workload.answer}")
        assert found.agrees(workload.answer), f"{found} instead of {workload.answer}"
        benchmark.extra_info.update(answer=shown(found.matches))
        benchmark.pedantic(
            peer.run,
            setup=lambda: ((workload, peer.arm(workload, prepared)), {}),
            rounds=rounds(workload, first),
            iterations=1,
            warmup_rounds=1 if first < 1 else 0,
        )
    finally:
        peer.close(prepared)


@pytest.mark.parametrize("workload", [workload for workload in load_workloads() if workload.peers], ids=str)
def test_scan(benchmark: Any, workload: Workload) -> None:
    """The yardstick: one comparison over one column, counted. No engine can be faster than this and read the column."""
    column = workload.table()[workload.scanned].to_numpy()
    middle = int(column[len(column) // 2])
    note(benchmark, workload, "column scan", "NumPy")
    benchmark.pedantic(
        lambda: int((column > middle).sum()), rounds=rounds(workload, 0.01), iterations=1, warmup_rounds=1
    )


def test_cepheid_is_among_the_engines() -> None:
    names = {peer.name for peer in READY}
    assert names.issuperset(OURS), f"only {names}; absent: {ABSENT}"


def test_a_record_names_the_peers_that_are_absent_and_why() -> None:
    raw: dict[str, Any] = {"benchmarks": [], "machine_info": {}}
    record = to_record(raw, ["pair: a reason"], {"Polars": "not installed"})
    assert record["absent"] == {"Polars": "not installed"}
    shown = as_table(record)
    assert "absent:\n  Polars: not installed" in shown
    assert "not timed:\n  pair: a reason" in shown
    assert len(READY) + len(ABSENT) == len(PEERS)


def shown(matches: int | float | Decimal) -> str:
    """A number, in twelve digits where it has very many."""
    return str(matches) if matches <= EXACT_MAX else str(Context(prec=12).create_decimal(Decimal(matches)))


def note(benchmark: Any, workload: Workload, peer: str, version: str) -> None:
    """What the record says beside the time."""
    benchmark.group = workload.name
    benchmark.extra_info.update(
        workload=workload.name,
        group=workload.group,
        title=workload.title,
        output=workload.output,
        measures=len(workload.measures),
        peer=peer,
        version=version,
        rows=workload.rows,
    )
    if workload.sweep is not None:
        benchmark.extra_info.update({name: value for name, value in asdict(workload.sweep).items() if name != "over"})


def rounds(workload: Workload, first: float) -> int:
    """Quick answers are asked for often, as other work outlasts one of them; slow ones seldom: the day is short."""
    if workload.rows <= 1_000:
        return 200
    if first > (1 if SIZE == "short" else 5):
        return 1
    if first > 1 or SIZE == "short":
        return 3
    return max(5, min(25, int(1 / first)), min(100, int(0.2 / first)))
