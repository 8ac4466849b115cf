"""Rules of an app that go while rows wait for their topics."""

from __future__ import annotations

import datetime as dt

import pytest

import cepheid as cep
from cepheid import event, ref

SEEN = event("a", topic="order").select(n=ref("a").n).named("seen")
HELD = event("b", topic="slow").named("held")


@pytest.mark.parametrize("restarted", [False, True])
def test_what_waited_for_a_topic_that_no_rule_reads_any_more_is_derived_and_stored(restarted):
    app = cep.App("shop", [SEEN, HELD], idle=None, quiet=None)
    with app.test() as test:
        begin = test.now
        test.publish("slow", time=begin, n=0)
        test.publish("order", time=begin + dt.timedelta(seconds=5), n=7)
        assert test.events("seen") == []
        app.remove("held")
        if restarted:
            test.restart()
        test.publish("order", time=begin + dt.timedelta(seconds=6), n=8)
        assert [event["n"] for event in test.events("seen")] == [7, 8]


def large(limit):
    return event("a", f"amount > {limit}", topic="order").select(n=ref("a").n).named("large")


def test_a_rule_that_begins_without_events_which_are_kept_no_longer_says_so(caplog):
    pair = (event("a", topic="order") >> event("b", topic="order")).within("1h")
    app = cep.App("shop", large(500))
    with app.test() as test:
        for n in range(3):
            test.publish("order", n=n, amount=100)
            test.advance("10m")
        app.add(pair.named("whole"))
        assert app.stats().missing_history == {}
        assert test.events("cepheid.rule")[-1]["reason"] is None
        store = app._running.store
        store.keep("order", for_="15m")
        assert store.retain() == 2
        app.add(pair.named("short"))
        told = test.events("cepheid.rule")[-1]
        assert (told["kind"], told["rule"]) == ("added", "short")
        assert told["reason"].endswith("as the store keeps them no longer: the first 2 of `order`")
        assert "`short`" in caplog.text
        assert app.stats().missing_history == {"short": {"order": 2}}
        app.add(pair.named("cold"), history=False)
        app.replace("large", large(400))
        assert test.events("cepheid.rule")[-1]["reason"] is None
        assert app.stats().missing_history == {"short": {"order": 2}}
        assert "reads" not in caplog.text


def test_rules_that_were_changed_run_in_one_engine_again_and_know_what_they_knew():
    pair = (event("a", topic="order") >> event("b", topic="order")).partition_by("card").within("1h").named("pair")
    app = cep.App("shop", [pair, large(500), HELD])
    with app.test() as test:
        test.publish("order", n=1, amount=100, card="a")
        for limit in (400, 300, 200):
            app.replace("large", large(limit))
            app.disable("held")
            app.enable("held")
        assert len(app._running.pipeline.rules.engines) == 3
        before = len(test.events("cepheid.rule"))
        app.join_rules()
        assert app._running.pipeline.rules.engines == (("pair", "large", "held"),)
        assert len(test.events("cepheid.rule")) == before
        test.publish("order", n=2, amount=250, card="a")
        test.restart()
        test.publish("order", n=3, amount=250, card="b")
        test.advance("1m")
        assert [one["n"] for one in test.events("large")] == [2, 3]
        assert len(test.events("pair")) == 1
        app.disable("large")
        app.join_rules()
        assert app._running.pipeline.rules.disabled == {"large"}
    with pytest.raises(cep.AppError) as caught:
        app.join_rules()
    assert caught.value.code == "app-not-running"
