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
    "a misspelt key": PAIR.partition_by("costumer").named("odd"),
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


def kinds(test, rule):
    return [one["kind"] for one in test.events("cepheid.rule", where=f"rule = '{rule}'")]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("others", [[], [event("b", topic="order").named("all")]], ids=["alone", "beside another"])
def test_a_rule_on_a_column_that_comes_later_runs_again_with_the_event_that_brings_it(restarted, others):
    app = cep.App("shop", [GOOD, event("c", topic="good").named("reader"), *others])
    with app.test() as test:
        test.publish("order", n=1)
        test.publish("order", n=2, note="no amount yet")
        if restarted:
            test.restart()
        assert kinds(test, "good") == kinds(test, "reader") == ["added", "failed"]
        test.publish([{"type": "order", "n": 3, "amount": 7}, {"type": "order", "n": 4, "amount": 900}])
        test.publish("order", n=5, amount=901)
        test.publish("order", n=6)
        test.restart()
        test.publish("order", n=7, amount=902)
        assert [one["n"] for one in test.events("good")] == [4, 5, 7]
        test.advance("1m")
        assert len(test.events("reader")) == 3
        assert kinds(test, "good") == kinds(test, "reader") == ["added", "failed", "enabled"]
        assert test.events("cepheid.rejected") == []


def test_a_rule_that_runs_again_knows_what_came_before():
    pair = event("a", topic="login") >> event("b", "amount > 500", topic="order")
    late = (event("early", topic="order") >> event("b", "amount > 500", topic="order")).within("1h")
    app = cep.App("shop", [pair.within("1h").named("pair"), late.named("late")])
    with app.test() as test:
        test.publish("order", n=1)
        test.publish("login", user="ada")
        test.advance("1s")
        test.publish("order", n=2, amount=900)
        assert len(test.events("pair")) == 1
        assert [one["match_start"] for one in test.events("late")] == [test.events("order")[0]["time"]]


def test_two_rules_that_wait_for_columns_run_each_once_its_own_has_come():
    app = cep.App("shop", [GOOD, event("z", "size > 3", topic="order").select(n=ref("z").n).named("sized")])
    with app.test() as test:
        test.publish("order", n=1)
        test.publish("order", n=2, amount=900)
        assert (kinds(test, "good")[-1], kinds(test, "sized")[-1]) == ("enabled", "failed")
        test.publish("order", n=3, size=4)
        assert [one["n"] for one in test.events("good")] == [2]
        assert [one["n"] for one in test.events("sized")] == [3]


@pytest.mark.parametrize("how", ["disabled", "removed", "enabled and disabled"])
def test_what_somebody_decides_of_a_failed_rule_holds(how):
    app = cep.App("shop", [GOOD])
    with app.test() as test:
        test.publish("order", n=1)
        if how == "removed":
            app.remove("good")
        else:
            app.disable("good")
        test.publish("order", n=2, amount=900)
        if how == "enabled and disabled":
            app.enable("good")
            app.disable("good")
        test.publish("order", n=3, amount=900, note="x")
        assert test.events("good") == []
        assert "enabled" not in kinds(test, "good") or how == "enabled and disabled"


@pytest.mark.parametrize("running", [True, False])
def test_a_failed_rule_runs_again_once_it_is_replaced(tmp_path, running):
    rules = {"odd": MISFITS["a misspelt column"]}
    mended = event("a", "amount > 500", topic="order").named("odd")

    def run(rules, number, replacement=None):
        with cep.App("shop", rules, store=tmp_path / "s.db") as app:
            if replacement is not None:
                app.replace("odd", replacement)
            app.send({"type": "order", "amount": 900, "number": number}).wait(30)
            return app._running.pipeline.rules.disabled

    assert run(rules, 1) == {"odd"}
    # Another that does not fit either, and then one that does.
    still = event("a", "amuont > 501", topic="order").named("odd")
    if running:
        assert run(rules, 2, still) == {"odd"}
        assert run({"odd": still}, 3, mended) == set()
    else:
        assert run({"odd": still}, 3) == {"odd"}
    assert run({"odd": mended}, 4) == set()
    with cep.EventStore(tmp_path / "s.db", read_only=True) as store:
        assert len(store.read("odd").to_arrow()) == (2 if running else 1)
        told = [one for one in store.read("cepheid.rule").to_arrow().to_pylist() if one["kind"] == "failed"]
        # Once for each version.
        assert ["amuont" in one["reason"] for one in told] == [True, True]


def test_readers_of_a_failed_rule_run_again_with_it():
    app = cep.App("shop", {"odd": MISFITS["a misspelt column"], "reader": event("c", topic="odd")})
    with app.test() as test:
        test.publish("order", amount=100)
        assert app._running.pipeline.rules.disabled == {"odd", "reader"}
        app.replace("odd", event("a", "amount > 500", topic="order").named("odd"))
        test.publish("order", amount=901)
        test.advance("1m")
        assert (len(test.events("odd")), len(test.events("reader"))) == (1, 1)
