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
