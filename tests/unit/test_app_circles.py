"""Handlers that give events to each other in a circle."""

from __future__ import annotations

from types import SimpleNamespace

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import event, ref
from cepheid.runtime.circles import Circles


def letters(test):
    return [(one["handler"], one["topic"], one["code"], one["reason"]) for one in test.events("cepheid.deadletter")]


def test_a_handler_that_gives_what_it_is_given_ends_and_says_which_way_round(caplog):
    app = cep.App("shop", depth_max=20)
    seen = []

    @app.on("order.>")
    def tell(one):
        seen.append(one["type"])
        return {"type": "order.seen", "n": one["n"]}

    with app.test() as test:
        test.publish("order.paid", n=1)
        assert seen == ["order.paid"] + ["order.seen"] * 19
        ((handler, topic, code, reason),) = letters(test)
        assert (handler, topic, code) == ("tell", "order.seen", "handler-circle")
        assert "round order.seen -> tell -> order.seen:" in reason
        depths = [one["id"].partition("~")[2] for one in test.events("order.seen")]
        assert depths == [f"{depth}-0" for depth in range(1, 21)]
        assert app.stats().handlers["tell"].dead == 1
        # Another story is told of for itself.
        test.publish("order.paid", n=2)
        assert len(seen) == 40
        assert len(letters(test)) == 2
    told = [record.getMessage() for record in caplog.records if "circle" in record.getMessage()]
    assert told[0] == "handlers go round in a circle, at most 20 events deep: order.seen -> tell -> order.seen"
    assert sum("at most 20 events deep" in one for one in told) == 1


@pytest.mark.parametrize("by", ["giving", "publishing", "batches"])
def test_a_circle_of_several_handlers_and_a_rule_is_told_with_all_of_them(by):
    large = event("a", "n > 0", topic="b").select(n=ref("a").n).named("large")
    app = cep.App("shop", large, depth_max=9)
    calls = []

    def make(name, topic, gives):
        if by == "batches":

            @app.on(topic, batch=True, name=name)
            def handle(rows):
                calls.append(name)
                return gives, rows.select(["n"])
        else:

            @app.on(topic, name=name)
            def handle(one):
                calls.append(name)
                if by == "giving":
                    return {"type": gives, "n": one["n"]}
                app.send({"n": one["n"]}, gives)
                return None

    make("first", "a", "b")
    make("second", "large", "a")
    with app.test() as test:
        test.publish("a", n=1)
        assert calls == ["first", "second"] * 4 + ["first"]
        ((handler, topic, code, reason),) = letters(test)
        assert (handler, topic, code) == ("second", "large", "handler-circle")
        assert "round large -> second -> a -> first -> b -> large -> large:" in reason


def test_a_restart_goes_on_counting():
    app = cep.App("shop", depth_max=30)
    calls = []

    @app.on("step")
    def step(one):
        calls.append(one["n"])
        if len(calls) == 10:
            raise RuntimeError("not now")
        return {"type": "step", "n": one["n"] + 1}

    with app.test() as test:
        test.publish("step", n=0)
        test.restart()
        test.advance("1h")
        assert calls == [*range(10), *range(9, 30)]
        assert [code for _, _, code, _ in letters(test)] == ["handler-circle"]


def test_long_chains_that_end_are_left_alone_and_outside_events_have_no_depth():
    app = cep.App("shop", depth_max=5)
    others = cep.App("shop", depth_max=None)
    calls = {"shop": 0, "others": 0}

    @app.on("step")
    def step(one):
        calls["shop"] += 1
        return {"type": "step", "n": one["n"] - 1} if one["n"] else None

    @others.on("step")
    def go(one):
        calls["others"] += 1
        return {"type": "step", "n": one["n"] - 1} if one["n"] else None

    with app.test() as test:
        test.publish("step", n=4)
        test.publish([{"type": "step", "id": "x~900-0", "source": "till", "n": 0}])
        assert letters(test) == []
        assert calls["shop"] == 6
    with others.test() as test:
        test.publish("step", n=1200)
        assert letters(test) == []
        assert calls["others"] == 1201


@pytest.mark.parametrize("wrong", [0, -1, 2**70])
def test_a_depth_is_a_number_above_none(wrong):
    with pytest.raises((cep.PatternError, cep.CepheidError)):
        cep.App("shop", depth_max=wrong)
    with pytest.raises(TypeError):
        cep.App("shop", depth_max="1")


def test_columns_that_only_have_the_names_of_the_envelope_have_no_depth():
    store = cep.EventStore(event_time="time")
    when = pa.array([0, 1], pa.timestamp("us", "UTC"))
    ids = pa.array(["x~7-0", "y"]).dictionary_encode()
    store.append("texts", pa.table({"time": when, "source": pa.array(["shop"] * 2).dictionary_encode(), "id": ids}))
    store.append("lists", pa.table({"time": when, "source": [["shop"]] * 2, "id": [1, 2], "causationid": [b"a", b"b"]}))
    circles = Circles("shop", 5, dict)
    found = [circles.depth(SimpleNamespace(events=store.read(topic).to_arrow())) for topic in ("texts", "lists")]
    assert found == [7, 0]
    store.close()
