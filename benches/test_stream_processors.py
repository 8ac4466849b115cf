"""Peers that run in another Python: what goes there, comes back and is timed, with cepheid in their place."""

from __future__ import annotations

import sys

import pytest

from benches.peers.stream_processors import Bytewax, Csp, Pathway, StreamProcessor
from benches.workload import load_workloads

CLASSES = (Bytewax, Pathway, Csp)
WINDOWS = [workload for workload in load_workloads("check") if workload.shape in ("tumble", "hop", "range")]


class Stand(StreamProcessor):
    """Asked as they are, and always there."""

    name = package = "cepheid"
    asked = "benches.peers.cepheid_engine:CepheidBuilt"
    patterns = "not asked"

    def __init__(self) -> None:
        self._seconds = 0.0


@pytest.fixture(autouse=True)
def in_this_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours is not in the other environment."""
    monkeypatch.setattr("benches.peers.stream_processors.PYTHON", sys.executable)


def test_answers_come_back_from_the_other_process_and_its_clock_is_read() -> None:
    assert len(WINDOWS) >= 4
    for workload in WINDOWS:
        peer = Stand()
        prepared = peer.prepare(workload, workload.table())
        try:
            assert peer.clock() == 0
            for _ in range(2):
                before = peer.clock()
                result = peer.run(workload, peer.arm(workload, prepared))
                assert before < peer.clock()
                assert peer.answer(workload, result).agrees(workload.answer), workload.name
        finally:
            peer.close(prepared)


def test_a_process_that_ends_says_why() -> None:
    peer = Stand()
    peer.asked = "benches.peers.cepheid_engine:Nobody"
    with pytest.raises(RuntimeError, match="Nobody"):
        peer.prepare(WINDOWS[0], WINDOWS[0].table())


def test_they_are_asked_about_windows_alone() -> None:
    asked = dict.fromkeys(CLASSES, 0)
    for workload in load_workloads("check"):
        for peer in CLASSES:
            reason = peer.cannot_run(peer.__new__(peer), workload)
            is_late = "late_us_max" in dict(workload.options)
            assert (reason is None) == (workload in WINDOWS and not (peer is Csp and is_late)), (peer, workload.name)
            asked[peer] += reason is None
    assert list(asked.values()) == [4, 4, 3]
