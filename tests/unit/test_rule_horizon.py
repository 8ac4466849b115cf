"""How far back rules can see."""

from __future__ import annotations

import pytest

import cepheid as cep
from cepheid import absent, col, event, ref
from cepheid.runtime.rule_horizon import horizon_ns, is_chained

A, B = event("a", topic="t"), event("b", topic="t")
WINDOW = cep.window(n=cep.count(), topic="t")

HORIZONS = [
    (A, 0),
    (A.optional() >> B, None),
    ((A >> B).within("5ns"), 5),
    ((A >> B).within(None), None),
    ((A >> B).within(rows=5), None),
    ((A >> B).within("7ns").within(rows=5), 7),
    ((A.within("9ns") >> B).within("7ns"), 7),
    ((A >> B).within("5ns", between="neighbours").within("7ns"), 7),
    (A.one_or_more().within("4ns"), 4),
    (A.one_or_more().within(None), None),
    (A | B, 0),
    ((A >> absent(B, for_="6ns")), 6),
    ((absent(B, for_="6ns") >> A), 6),
    ((A >> event("c", topic="t") >> absent(B, for_="6ns")).within("4ns"), 10),
    ((A >> absent(B)).within("4ns"), 4),
    (event("a", col.x > cep.prev(col.x), topic="t"), None),
    ((A >> event("b", col.x > ref("a").x, topic="t")).within("5ns"), 5),
    ((A >> B).within("5ns").select(n=cep.prev(col.x)), None),
    (WINDOW.tumbling("5ns"), 5),
    (WINDOW.hopping("5ns", every="20ns"), 5),
    (WINDOW.tumbling("5ns").with_late(for_="4ns"), 9),
    (WINDOW.tumbling("5ns").with_empty(for_="4ns"), 14),
    (WINDOW.tumbling("5ns").with_empty(), None),
    (WINDOW.sliding("5ns"), 5),
    (WINDOW.session(gap="5ns"), None),
    (WINDOW.rows(5), None),
    (cep.anomaly(col.x, topic="t").mad(span="5ns", threshold=3, warm_up=2), 5),
    (cep.anomaly(col.x, topic="t").mad(span="5ns", threshold=3, warm_up=2, learn_anomalies=False), None),
    (cep.anomaly(col.x, topic="t").mad(rows=5, threshold=3, warm_up=2), None),
    (cep.anomaly(col.x, topic="t").ewma(alpha=0.1, threshold=3, warm_up=2), None),
    (cep.Processor(lambda batch: batch, "t", name="p"), 0),
]


@pytest.mark.parametrize(("rule", "horizon"), HORIZONS, ids=[str(place) for place in range(len(HORIZONS))])
def test_how_far_back_a_rule_can_see_is_read_from_what_it_says(rule, horizon):
    assert horizon_ns(rule) == horizon


def test_matches_that_rule_each_other_out_are_told():
    found = [
        (is_chained((A >> B).within("5ns").after_match(skip)), skip)
        for skip in ("past_last_row", "consume", ("to_last", "b"), "to_next_row", "none")
    ]
    assert [chained for chained, _ in found] == [True, True, True, False, False]
    assert not is_chained(A)
    assert not is_chained(WINDOW.rows(3))
    assert not is_chained(cep.Processor(lambda batch: batch, "t", name="p"))
    with pytest.raises(TypeError):
        is_chained("A")
