"""Which rules are at fault when a call fails, and which rows conditions fail at."""

from __future__ import annotations

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import event
from cepheid.runtime.rule_faults import RowChecks, rules_at_fault
from cepheid.runtime.rule_group import RuleGroup

ROWS = pa.table({"time": [1, 2, 3], "x": [1, 0, 7]})


def good(name, topic="t"):
    return event("a", "x >= 0", topic=topic).select(x="a.x").named(name)


def bad(name, topic="t", emit=None):
    return event("a", "10 / x > -1", topic=topic).select(x="a.x").named(name)


def found(rules):
    """Who is at fault, and how many groups were tried."""
    group = RuleGroup(rules)
    blob, tried = group.snapshot(), []

    def copy():
        tried.append(True)
        return RuleGroup.restore(blob, rules).group

    return rules_at_fault(group, copy, lambda one: one.push(ROWS, "t", 0)), len(tried)


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ([good("a"), bad("b"), good("c")], {"b"}),
        ([bad("a"), good("b"), bad("c"), good("d"), bad("e")], {"a", "c", "e"}),
        ([good("a"), bad("b", "a"), good("c", "b")], {"b", "c"}),
        ([bad("a"), good("b"), bad("c", "b"), good("d", "b")], {"a", "c"}),
        ([bad("a").emit("one"), good("b").emit("one"), good("c", "one")], {"a"}),
        ([bad("a").emit("one"), bad("b").emit("one"), good("c", "one")], {"a", "b", "c"}),
        ([good("a"), good("b")], set()),
    ],
    ids=["one", "several", "a reader", "one and a reader", "one of two derivers", "both derivers", "none"],
)
def test_the_rules_at_fault_are_found_and_who_cannot_be_without_them(rules, names):
    assert found(rules)[0].keys() == names


def test_each_rule_at_fault_is_told_with_its_own_reason():
    text = event("a", "CAST(x / 0 AS VARCHAR) = '1'", topic="t").named("text")
    names, _ = found([bad("b"), good("c", "b"), text])
    assert "10 / " in names["b"]
    assert "10 / " not in names["text"]
    assert "rule `b` derived" in names["c"]


def test_few_rules_of_many_are_found_by_few_calls():
    rules = [bad(f"r{number}") if number in (7, 150) else good(f"r{number}") for number in range(200)]
    names, tried = found(rules)
    assert names.keys() == {"r7", "r150"}
    assert tried <= 25


def test_what_fails_without_any_rule_is_the_fault_of_none():
    group = RuleGroup(good("a"))

    def fails(_):
        raise cep.AppError("whatever", code="whatever")

    assert rules_at_fault(group, lambda: RuleGroup(good("a")), fails) == {}


def checks(*conditions):
    rules = [event("row", text, topic="t").named(f"r{place}") for place, text in enumerate(conditions)]
    return RowChecks({rule.name: rule for rule in rules})


def test_rows_that_any_of_many_conditions_fails_at_are_told():
    rows = pa.table({"time": [1, 2, 3, 4], "x": [1, 0, 7, 5], "s": ["1", "2", "3", "four"]})
    many = [f"x + {number} > 3" for number in range(300)]
    failures = checks(*many, "10 / x > 1", "CAST(s AS BIGINT) > 1", "x > 3 AND 10 / (x - 5) > 1").failures("t", rows)
    assert failures.keys() == {1, 3}
    assert "division by zero" in str(failures[1])
    assert checks(*many).failures("t", rows) == {}
    assert checks(*many, "10 / x > 1").failures("other", rows) == {}


def test_a_condition_that_does_not_fit_the_columns_hides_no_other():
    failures = checks("missing + 1 > 1", "x + 'a' > 1", "10 / x > 1").failures("t", ROWS)
    assert failures.keys() == {1}


def test_rows_are_asked_once_for_all_conditions(monkeypatch):
    asked = []
    count = cep.Pattern.count
    monkeypatch.setattr(cep.Pattern, "count", lambda self, rows: asked.append(rows.num_rows) or count(self, rows))
    assert checks(*(f"10 / (x + {number}) > 1" for number in range(1, 50))).failures("t", ROWS) == {}
    assert asked == [3]
