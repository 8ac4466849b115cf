"""Changes of rules as events."""

from __future__ import annotations

import datetime as dt

import pytest

import cepheid as cep
from cepheid import event
from cepheid.runtime.rule_events import RULE_TOPIC, rule_change_event, rule_fingerprint, rule_text


def spike(more=9):
    return event("a", f"v > {more}", topic="in").named("spike")


def test_the_report_of_a_store_shows_the_changes():
    store = cep.EventStore()
    now = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    old, new = spike(), spike(3)
    store.note_rules([old])
    for kind, rule in (("added", old), ("replaced", new), ("removed", None)):
        store.note_rules({"spike": rule})
        version = None if rule is None else rule_fingerprint(rule)
        text = None if rule is None else rule_text(rule)
        store.append(RULE_TOPIC, [rule_change_event(kind, "spike", version, text, "ada", now, column="ts")])
    report = store.report()
    assert [rule["version"] for rule in report.rules][-1] is None
    assert store.info().topics[RULE_TOPIC].events == 3
    said = store.read(RULE_TOPIC).to_arrow().to_pylist()
    assert cep.Pattern.from_json(said[1]["text"]) == new
    assert [row["version"] for row in said] == [old.fingerprint, new.fingerprint, None]
    store.close()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("changed", "a", None, None, "ada", dt.datetime(2030, 1, 1)), cep.PatternError),
        (("added", "", None, None, "ada", dt.datetime(2030, 1, 1)), cep.PatternError),
        (("added", "a", 5, None, "ada", dt.datetime(2030, 1, 1)), TypeError),
        (("added", "a", None, None, "ada", 5), TypeError),
        ((5, "a", None, None, "ada", dt.datetime(2030, 1, 1)), TypeError),
    ],
)
def test_an_event_of_a_change_is_checked(arguments, error):
    with pytest.raises(error):
        rule_change_event(*arguments)


def test_a_rule_that_failed_is_told_of_as_every_change_is():
    made = rule_change_event("failed", "a", None, None, "app shop", dt.datetime(2030, 1, 1), reason="division by zero")
    assert (made["kind"], made["reason"]) == ("failed", "division by zero")


def test_a_text_of_a_change_is_bounded():
    made = rule_change_event("refused", "a", None, "x" * 2**21, "ada", dt.datetime(2030, 1, 1), reason="y" * 9999)
    assert (len(made["text"]), len(made["reason"]), made["time"].tzinfo) == (2**20, 4096, dt.UTC)
