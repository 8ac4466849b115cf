"""Rules that come while an engine runs fit the columns that have come, or are refused."""

from __future__ import annotations

from typing import Any

import pytest

import cepheid as cep
from cepheid import col, event, ref

IN = event("a", topic="in").select(n=ref("a").n).named("seen")


def told(derived: cep.Derived) -> list[Any]:
    return [row["n"] for row in derived.get("seen", ())]


WRONG = {
    "condition": event("a", "nothing > 1", topic="in"),
    "measure": event("a", topic="in").select(m=ref("a").nothing),
    "type": event("a", "n > 'x'", topic="in"),
    "key": event("a", topic="in").partition_by("nothing"),
    "any topic": event("a", "nothing > 1"),
    "later": event("a", topic="in").then(event("b", col.n > ref("a").nothing, topic="in")).within("1s"),
    "window": cep.window(total=col.nothing.sum(), topic="in").tumbling("1s"),
    "window by": cep.window(total=col.n.sum(), by="nothing", topic="in").tumbling("1s"),
    "anomaly": cep.anomaly(col.nothing, topic="in").mad(span="9s", threshold=1, warm_up=2),
    "derived": event("d", "nothing > 1", topic="seen"),
    "derived window": cep.window(total=col.nothing.sum(), topic="seen").tumbling("1s"),
    "derived of late": event("d", "nothing > 1", topic="sums"),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("how", ["add", "replace"])
def test_a_rule_that_does_not_fit_the_columns_that_have_come_is_refused_and_nothing_has_changed(wrong, how):
    sums = cep.window(total=col.n.sum(), topic="in").tumbling("1s").named("sums")
    other = event("o", topic="in").named("other")
    rules = [IN, sums, other]
    engine = cep.Engine(rules, event_time="ts", lateness="0s", future=None)
    engine.push({"ts": [1, 5], "n": [1, 2]}, "in")
    before = engine.snapshot()
    rule = WRONG[wrong].named("new")
    for _ in range(2):
        with pytest.raises(cep.SchemaError):
            engine.add(rule) if how == "add" else engine.replace("other", rule)
        assert engine.rules == ("seen", "sums", "other")
        assert engine.snapshot() == before
    derived = engine.push({"ts": [6], "n": [3]}, "in")
    assert (told(derived), len(derived["other"])) == ([3], 1)
    restored = cep.Engine.restore(before, rules)
    assert told(restored.push({"ts": [6], "n": [3]}, "in")) == [3]


def test_a_rule_that_fits_is_added_and_sees_what_comes():
    rules = {
        "seen": IN,
        "big": event("a", "n > 2", topic="in").select(m=ref("a").n),
        "sums": cep.window(total=col.m.sum(), topic="big").tumbling("10ns"),
        "later": event("a", "unknown > 2", topic="not yet"),
        "of sums": event("s", "total > 2", topic="sums"),
    }
    engine = cep.Engine({"seen": IN}, event_time="ts", lateness="0s", future=None)
    engine.push({"ts": [1, 5], "n": [1, 2]}, "in")
    for name in ("big", "sums", "later"):
        engine.add(rules[name].named(name))
    # What `sums` tells is known, though it has told nothing yet.
    with pytest.raises(cep.SchemaError, match="nothing"):
        engine.add(event("s", "nothing > 2", topic="sums").named("of sums"))
    engine.add(rules["of sums"].named("of sums"))
    engine = cep.Engine.restore(engine.snapshot(), rules)
    engine.push({"ts": [1], "unknown": [1]}, "not yet")
    derived = engine.push({"ts": [6, 7, 21], "n": [3, 4, 0]}, "in")
    found = dict(derived.items())
    for topic, matches in engine.flush().items():
        found.setdefault(topic, matches)
    assert [row["m"] for row in found["big"]] == [3, 4]
    assert [row["total"] for row in found["sums"]] == [7]
    assert len(found["of sums"]) == 1


def test_a_rule_that_gives_a_topic_other_columns_than_it_has_is_refused():
    engine = cep.Engine([IN], event_time="ts", lateness="0s", future=None)
    engine.push({"ts": [1], "n": [1]}, "in")
    before = engine.snapshot()
    with pytest.raises(cep.SchemaError):
        engine.add(event("a", topic="in").select(other=ref("a").n).named("more").emit("seen"))
    assert engine.snapshot() == before
    assert told(engine.push({"ts": [2], "n": [2]}, "in")) == [2]


def test_a_rule_gives_no_other_columns_to_those_who_read_what_it_derives():
    reader = event("x", "n > 1", topic="seen").named("reader")
    engine = cep.Engine([IN, reader], event_time="ts", lateness="0s", future=None)
    engine.push({"ts": [1], "n": [1]}, "in")
    before = engine.snapshot()
    with pytest.raises(cep.SchemaError, match="`seen` is read with the columns") as caught:
        engine.replace("seen", event("a", topic="in").select(other=ref("a").n))
    assert caught.value.code == "schema-changed"
    assert engine.snapshot() == before
    engine.replace("seen", event("a", "n < 9", topic="in").select(n=ref("a").n))
    derived = engine.push({"ts": [2, 3], "n": [2, 9]}, "in")
    assert (told(derived), len(derived["reader"])) == ([2], 1)
    engine.remove("reader")
    engine.replace("seen", event("a", topic="in").select(other=ref("a").n))
    assert [row["other"] for row in engine.push({"ts": [4], "n": [4]}, "in")["seen"]] == [4]
