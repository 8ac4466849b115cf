"""Rows of equal times go in the order of topics, after a restore as before."""

from __future__ import annotations

import pytest

import cepheid as cep
from cepheid import event, ref


@pytest.mark.parametrize("times", ["once", "twice"])
@pytest.mark.parametrize("restored", [False, True])
def test_equal_times_go_in_the_order_of_topics_in_levels_that_come_after_a_snapshot(restored, times):
    spike = event("s", "n > 5", topic="in").select(n=ref("s").n).named("spike")
    engine = cep.Engine([spike], event_time="ts", topics=["spike", "in"], lateness=None, future=None)
    engine.push({"ts": [1], "n": [1]}, "in")
    if restored:
        for _ in range(2 if times == "twice" else 1):
            engine = cep.Engine.restore(engine.snapshot(), [spike])
    both = event("x", topic="in").then(event("y", topic="spike")).within("5ns").matches("all").named("both")
    engine.add(both)
    engine.push({"ts": [3, 3, 4], "n": [1, 9, 9]}, "in")
    # 1 with the spike of 3, and what came at 3 with that of 4: at 3 the spike comes first.
    assert [(row["match_start"], row["match_end"]) for row in engine.flush()["both"]] == [(1, 3), (3, 4), (3, 4)]
