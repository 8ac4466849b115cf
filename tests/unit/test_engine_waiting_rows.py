"""Rows that waited for a topic that no rule reads any more come out by the next call."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import event, ref

IN = event("a", topic="in").select(n=ref("a").n).named("seen")
SLOW = event("b", topic="slow").named("held")


def told(derived: cep.Derived, topic: str = "seen") -> list[Any]:
    return [row["n"] for row in derived.get(topic, ())]


def waiting(**options: Any) -> cep.Engine:
    """An engine whose row 5 waits for `slow`, which has got to 1."""
    engine = cep.Engine([IN, SLOW], event_time="ts", lateness="0s", future=None, **options)
    engine.push({"ts": [1]}, "slow")
    assert told(engine.push({"ts": [5], "n": [7]}, "in")) == []
    return engine


NO_ROWS = pa.table({"ts": pa.array([], "int64"), "n": pa.array([], "int64")})

CALLS = {
    "push": lambda engine: engine.push({"ts": [6], "n": [8]}, "in"),
    "push of no rows": lambda engine: engine.push(NO_ROWS, "in"),
    "clock back": lambda engine: engine.advance_to(0),
    "clock": lambda engine: engine.advance_to(5),
    "flush": lambda engine: engine.flush(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("restored", [False, True, "twice"])
def test_rows_that_waited_for_a_topic_that_is_read_no_more_come_out_by_the_next_call(call, restored):
    engine = waiting()
    engine.remove("held")
    for _ in range(2 if restored == "twice" else int(restored)):
        engine = cep.Engine.restore(engine.snapshot(), [IN])
    assert engine.stats().waiting == 1
    assert told(CALLS[call](engine)) == ([7, 8] if call == "push" else [7])
    assert told(engine.flush()) == []


@pytest.mark.parametrize("restored", [False, True])
def test_rows_that_waited_come_out_though_the_topic_is_read_again(restored):
    engine = waiting()
    engine.remove("held")
    engine.add(SLOW)
    if restored:
        engine = cep.Engine.restore(engine.snapshot(), [IN, SLOW])
    # Up to 5 nothing comes any more, as has been said; behind it `slow` is waited for.
    assert told(engine.push({"ts": [6, 4], "n": [8, 9]}, "in")) == [7]
    assert engine.stats().late == 1
    assert told(engine.push({"ts": [6]}, "slow")) == [8]


@pytest.mark.parametrize("restored", [False, True])
def test_rows_that_waited_come_out_beside_the_first_rows_of_a_topic_with_other_columns(restored):
    other = event("c", topic="more").select(n=ref("c").other).named("others")
    engine = waiting()
    engine.remove("held")
    engine.add(other)
    if restored:
        engine = cep.Engine.restore(engine.snapshot(), [IN, other])
    derived = engine.push({"ts": [6], "other": [3]}, "more")
    assert (told(derived), told(derived, "others")) == ([7], [])
    derived = engine.flush()
    assert (told(derived), told(derived, "others")) == ([], [3])


def test_a_declaration_leaves_rows_that_are_to_come_out_to_the_next_call():
    engine = waiting()
    engine.remove("held")
    engine.add(event("c", topic="more").named("others"))
    engine.pusher("more", pa.schema({"ts": pa.int64(), "other": pa.int64()}))
    assert engine.stats().waiting == 1
    assert told(engine.advance_to(0)) == [7]


def test_a_call_that_fails_leaves_rows_that_are_to_come_out_to_the_next_one():
    engine = waiting(late="error")
    engine.remove("held")
    before = engine.snapshot()
    for rows in ({"ts": [4], "n": [1]}, {"ts": [6], "n": ["x"]}):
        with pytest.raises(cep.CepheidError):
            engine.push(rows, "in")
        assert engine.snapshot() == before
    assert told(engine.push({"ts": [6], "n": [8]}, "in")) == [7, 8]


def test_a_window_that_is_added_before_rows_come_out_counts_them():
    engine = waiting()
    engine.remove("held")
    engine.add(cep.window(rows=cep.count(), topic="in").tumbling("10ns").with_late("1h").named("counts"))
    derived = engine.push({"ts": [12], "n": [8]}, "in")
    assert told(derived) == [7, 8]
    assert [row["rows"] for row in derived["counts"]] == [1]


@pytest.mark.parametrize("restored", [False, True])
def test_rows_of_a_level_that_waited_come_out_as_well(restored):
    both = event("x", topic="seen").then(event("y", topic="in")).within("9ns").named("both")
    engine = cep.Engine([IN, SLOW, both], event_time="ts", lateness="0s", future=None)
    engine.push({"ts": [1]}, "slow")
    engine.push({"ts": [5, 7], "n": [7, 8]}, "in")
    engine.remove("held")
    if restored:
        engine = cep.Engine.restore(engine.snapshot(), [IN, both])
    derived = engine.advance_to(0)
    assert (told(derived), len(derived.get("both", ()))) == ([7, 8], 1)
    assert len(engine.push({"ts": [8], "n": [9]}, "in")["both"]) == 1
