"""What is said of rules that begin without events that the store keeps no longer."""

from __future__ import annotations

import datetime as dt

from fed_groups import Fed, rising, spike, values

import cepheid as cep
from cepheid import event
from cepheid.runtime.rule_group import RuleGroup


def test_events_that_are_kept_no_longer_are_done_without():
    store = cep.EventStore(clock=lambda: dt.datetime(1970, 1, 1, microsecond=1))
    fed = Fed(store, RuleGroup(rising(within="1us"), "ts"))
    fed.append((1, "x", 1))
    fed.append((500, "x", 2))
    fed.append((900, "x", 3))
    store.keep("in", for_="600ns")
    store.retain()
    assert store.info().topics["in"].removed == 1
    warmed = fed.group.replace("rising", rising(1, within="1us"), fed.history)
    assert (warmed.events, warmed.missing) == (2, {"rising": {"in": 1}})
    assert fed.group.missing == warmed.missing
    found = fed.append((901, "x", 4))
    assert values(found, "rising", "a", "b", "causationid") == [(2, 4, "in#3")]
    # What reads it knows as little; what reaches no further back than what is kept does not miss it.
    chained = event("one", topic="rising").within("1ns").named("chained")
    assert fed.group.add(chained, fed.history).missing == {"chained": {"in": 1}}
    both = fed.group.replace("rising", rising(2, within="1us"), fed.history)
    assert both.missing == {"rising": {"in": 1}, "chained": {"in": 1}}
    assert fed.group.add(rising(within="300ns").named("near"), fed.history).missing == {}
    assert fed.group.add(spike(), fed.history).missing == {}
    ever = cep.window(n=cep.count(), topic="in").session(gap="1us").named("ever")
    assert fed.group.add(ever, fed.history).missing == {"ever": {"in": 1}}
    assert set(fed.group.missing) == {"rising", "chained", "ever"}
    # One that begins with what comes is asked for nothing; one that is gone is forgotten.
    fed.group.replace("rising", rising(3, within="1us"), warm=False)
    fed.group.remove("ever")
    assert set(fed.group.missing) == {"chained"}
    store.close()


def test_of_a_topic_of_which_all_is_gone_a_rule_knows_that_it_knows_nothing():
    store = cep.EventStore(clock=lambda: dt.datetime(1970, 1, 1, microsecond=1))
    fed = Fed(store, RuleGroup(event("x", topic="other").named("others"), "ts"))
    fed.append((1, "x", 1), (2, "x", 2))
    fed.append((900, "x", 3), topic="other")
    store.keep("in", for_="600ns")
    store.retain()
    assert fed.group.add(rising(within="1us"), fed.history).missing == {"rising": {"in": 2}}
    assert fed.group.add(event("a", topic="in").named("single"), fed.history).missing == {}
    store.close()
