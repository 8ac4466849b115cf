"""Rules of an app that do not fit the columns of what comes."""

from __future__ import annotations

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import event, ref
from cepheid.runtime.rule_group import RuleGroup

GOOD = event("a", "amount > 500", topic="order").select(n=ref("a").n).named("good")
PAIR = (event("a", topic="order") >> event("b", topic="order")).within("1m")
MISFITS = {
    "a misspelt column": event("a", "amuont > 500", topic="order").named("odd"),
    "a misspelt key": (event("a", topic="order") >> event("b", topic="order"))
    .within("1m")
    .partition_by("costumer")
    .named("odd"),
    "a misspelt measure": event("a", topic="order").select(x=ref("a").amuont).named("odd"),
    "text for a number": event("a", "amount > 'much'", topic="order").named("odd"),
    "a window": cep.window(total=cep.col.amuont.sum(), topic="order").tumbling("1h").named("odd"),
    "a column that no derived event has": event("a", "m > 1", topic="good").named("odd"),
}


@pytest.mark.parametrize("rule", MISFITS.values(), ids=list(MISFITS))
@pytest.mark.parametrize("restarted", [False, True])
def test_a_rule_that_does_not_fit_the_first_events_is_disabled_and_no_event_is_refused(rule, restarted, caplog):
    app = cep.App("shop", [GOOD, rule, event("c", topic="odd").named("reader")])
    with app.test() as test:
        test.publish("order", amount=900, n=1)
        if restarted:
            test.restart()
        test.publish("order", amount=901, n=2)
        assert [one["n"] for one in test.events("good")] == [1, 2]
        assert test.events("cepheid.rejected") == []
        told = {one["rule"]: one["reason"] for one in test.events("cepheid.rule", where="kind = 'failed'")}
        assert told.keys() == app._running.pipeline.rules.disabled == {"odd", "reader"}
        assert "rule `odd` derived" in told["reader"]
        assert "`odd` has failed" in caplog.text


def test_two_rules_that_do_not_fit_are_told_each_with_its_reason():
    app = cep.App("shop", [GOOD, MISFITS["a misspelt column"], MISFITS["text for a number"].named("text")])
    with app.test() as test:
        test.publish("order", amount=900, n=1)
        told = {one["rule"]: one["reason"] for one in test.events("cepheid.rule", where="kind = 'failed'")}
        assert "did you mean `amount`" in told["odd"]
        assert "two values of one kind" in told["text"]


def test_rows_that_are_not_as_those_before_are_the_fault_of_no_rule():
    group = RuleGroup(GOOD)
    rows = pa.table({"time": [1], "amount": [900], "n": [1]})
    group.push(rows, "order", 0)
    for one in (group, RuleGroup.restore(group.snapshot(), GOOD).group):
        one.learn("order", pa.schema({"time": pa.int64()}))
        one.learn("nobody", pa.schema({"time": pa.int64()}))
        with pytest.raises(cep.SchemaError):
            one.push(pa.table({"time": [2], "amount": ["900"], "n": [1]}), "order", 1)
        assert [topic for topic, _ in one.push(rows, "order", 1)] == ["good"]
