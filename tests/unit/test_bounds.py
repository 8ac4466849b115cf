"""Bounds: of whole patterns and of parts, of time and of rows, first to last and between neighbours."""

import datetime as dt

import pytest
from written_down import check_written_down, refused, root_of

import cepheid as cep
from cepheid import Pattern, absent, event

A, B, C = (event(name) for name in "abc")
MINUTE = 60_000_000_000

SPELLED = [
    ((A >> B).within("10m"), "(event('a') >> event('b')).within('10m')"),
    ((A >> B).within(rows=3), "(event('a') >> event('b')).within(rows=3)"),
    ((A >> B).within(None), "(event('a') >> event('b')).within(None)"),
    ((A >> B).within("5s", between="neighbours"), "(event('a') >> event('b')).within('5s', between='neighbours')"),
    ((A >> B).within(rows=2, between="neighbours"), "(event('a') >> event('b')).within(rows=2, between='neighbours')"),
    ((A >> B).within(rows=9).within("10m").within(rows=2, between="neighbours").within("5s", between="neighbours"),
     "(event('a') >> event('b')).within(rows=9).within('10m').within(rows=2, between='neighbours')"
     ".within('5s', between='neighbours')"),
    ((A >> B).within(rows=9).within(None), "(event('a') >> event('b')).within(rows=9).within(None)"),
    (A.within("10m") >> B, "event('a').within('10m') >> event('b')"),
    (A >> B.within("10m", between="neighbours") >> C,
     "event('a') >> event('b').within('10m', between='neighbours') >> event('c')"),
    (A >> B.one_or_more().within("10m").within("5s", between="neighbours"),
     "event('a') >> event('b').one_or_more().within('10m').within('5s', between='neighbours')"),
    ((A >> B).within(rows=4).within("10m") >> C,
     "(event('a') >> event('b')).within('10m').within(rows=4) >> event('c')"),
    (((A >> B).within("10m") | C).times(2).within("1h"),
     "((event('a') >> event('b')).within('10m') | event('c')).times(2).within('1h')"),
    (cep.seq((A >> B.one_or_more()).within(rows=4), C, contiguity="strict"),
     "cep.seq((event('a') >> event('b').one_or_more()).within(rows=4), event('c'), contiguity='strict')"),
    (cep.all_of(A.times(2).within("1m"), B).within("2m"),
     "cep.all_of(event('a').times(2).within('1m'), event('b')).within('2m')"),
    ((A >> B).within("10m").partition_by("k").within("5s", between="neighbours"),
     "(event('a') >> event('b')).within('10m').within('5s', between='neighbours').partition_by('k')"),
]  # fmt: skip


def test_every_spelling_is_listed():
    assert len(SPELLED) == 15


@pytest.mark.parametrize(("pattern", "code"), SPELLED, ids=[code for _, code in SPELLED])
def test_bounds_survive_every_way_of_writing_them_down(pattern, code):
    check_written_down(pattern, code)


def bounded(node, within, between=None):
    body = {"node": node, "within": within}
    return {"bounded": body if between is None else {**body, "between": between}}


def time(minutes):
    return {"time": {"nanoseconds": minutes * MINUTE}}


def test_the_time_from_first_row_to_last_is_a_clause_of_the_whole():
    data = (A >> B).within("10m").to_dict()["pattern"]
    assert data["within"] == time(10)
    assert "sequence" in data["root"]
    assert (A >> B).within(rows=7).to_dict()["pattern"]["within"] == {"rows": 7}
    assert (A >> B).within(None).to_dict()["pattern"]["within"] == "unbounded"
    assert "within" not in (A >> B).to_dict()["pattern"]


def test_bounds_of_one_kind_replace_and_of_different_kinds_hold_together():
    one = A.within("1h").within(rows=7).within("10m")
    assert one.to_dict()["pattern"]["within"] == time(10)
    assert root_of(one) == bounded({"variable": "a"}, {"rows": 7})
    gaps = A.within("10m").within("1m", between="neighbours").within("2m", between="neighbours")
    assert root_of(gaps) == bounded({"variable": "a"}, time(2), "neighbours")
    # In whatever order they are said.
    every = [
        ("10m", None, "first_to_last"),
        (None, 7, "first_to_last"),
        ("2m", None, "neighbours"),
        (None, 3, "neighbours"),
    ]
    forwards, backwards = A, A
    for pattern_bounds, forward in ((every, True), (every[::-1], False)):
        for span, rows, between in pattern_bounds:
            said = {"rows": rows, "between": between} if rows else {"span": span, "between": between}
            if forward:
                forwards = forwards.within(**said)
            else:
                backwards = backwards.within(**said)
    assert forwards == backwards
    assert forwards.fingerprint == backwards.fingerprint
    inner = bounded(bounded({"variable": "a"}, {"rows": 3}, "neighbours"), time(2), "neighbours")
    assert root_of(forwards) == bounded(inner, {"rows": 7})


def test_no_bound_is_one_of_time_and_leaves_the_others():
    pattern = A.within("10m").within(rows=7).within(None)
    assert pattern.to_dict()["pattern"]["within"] == "unbounded"
    assert root_of(pattern) == bounded({"variable": "a"}, {"rows": 7})
    assert A.within(None).within("10m") == A.within("10m")
    assert A.within("5s", between="neighbours").within(None, between="neighbours") == A


def test_a_bound_stays_with_the_part_it_was_said_of():
    part = (A >> B).within("10m")
    node = bounded(root_of(A >> B), time(10))
    assert root_of(part >> C)["sequence"][0] == {"node": node}
    assert root_of(C >> part)["sequence"][1] == {"contiguity": "skip_till_next", "node": node}
    assert root_of(part | C)["alternation"][0] == node
    assert root_of(part.times(2))["quantified"]["node"] == node
    assert root_of(cep.all_of(part, C))["permute"]["parts"][0] == node
    assert root_of(cep.seq(part, C, contiguity="strict"))["sequence"][0] == {"node": node}
    for whole in (part >> C, part | C, part.times(2)):
        assert "within" not in whole.to_dict()["pattern"]
    both = (part >> C).within("1h").to_dict()["pattern"]
    assert both["within"] == time(60)
    assert both["root"]["sequence"][0]["node"] == node


def test_what_stands_for_itself_keeps_its_bound_as_a_clause():
    part = A.within("10m")
    for same in (part.times(1), cep.seq(part), cep.all_of(part), cep.seq(part, contiguity="strict")):
        assert same == part
        assert same.to_dict()["pattern"]["within"] == time(10)


def test_no_bound_on_a_part_is_none():
    assert A.within(None) >> B == A >> B
    assert A.within(rows=7).within(None) >> B == A.within(rows=7) >> B


def test_loops_in_a_bounded_part_take_the_contiguity_of_the_seq_around_it():
    part = (A >> B.one_or_more()).within("10m")
    inner = root_of(cep.seq(part, C, contiguity="strict"))["sequence"][0]["node"]["bounded"]["node"]["sequence"]
    assert "contiguity" not in inner[1]["node"]["quantified"]["quantifier"]


REFUSED = [
    (lambda: A.within("0s", between="neighbours"), "invalid-within"),
    (lambda: A.within(dt.timedelta(-1)), "invalid-within"),
    (lambda: A.within("10m", between="rows"), "invalid-clause"),
    (lambda: A.within(rows=-1, between="neighbours"), "invalid-quantifier"),
    (lambda: A.within("10m").within("11m", between="neighbours"), "gap-exceeds-window"),
    (lambda: A.within("11m", between="neighbours").within("10m"), "gap-exceeds-window"),
    (lambda: A.within(rows=3).within(rows=4, between="neighbours"), "gap-exceeds-window"),
    (lambda: A.within("10m").within(rows=3).within(rows=4, between="neighbours"), "gap-exceeds-window"),
    (lambda: A.within(rows=3).within("10m").within("11m", between="neighbours"), "gap-exceeds-window"),
    (lambda: (A >> B.within("11m", between="neighbours")).within("10m"), "gap-exceeds-window"),
    (lambda: (A >> B.times(2).within("11m", between="neighbours")).within("10m"), "gap-exceeds-window"),
    (lambda: ((A >> B.within(rows=4, between="neighbours")).within("1h") | C).within(rows=3), "gap-exceeds-window"),
]


def test_every_refusal_is_listed():
    assert len(REFUSED) == 12


@pytest.mark.parametrize(("build", "code"), REFUSED)
def test_a_bound_that_cannot_be_is_refused(build, code):
    assert refused(build).code == code


def test_a_gap_as_long_as_the_window_and_gaps_of_another_unit_are_no_fault():
    for pattern in (
        A.within("10m").within("10m", between="neighbours"),
        A.within("10m").within(rows=10**6, between="neighbours"),
        A.within(None).within("11m", between="neighbours"),
        A.within("10m").within(rows=3).within("10m", between="neighbours"),
        A.within("10m") >> B.within("11m", between="neighbours"),
    ):
        assert pattern.to_dict()["cepheid_ir"] == 1


def test_wrong_types_are_type_errors():
    for wrong in ({}, {"span": 5}, {"span": "1s", "rows": 1}, {"rows": "1"}, {"span": "1s", "between": 1}):
        with pytest.raises(TypeError):
            A.within(**wrong)


def test_bounds_count_as_levels_of_nesting():
    deep = A
    with pytest.raises(cep.PatternError, match="levels of nesting"):
        for _ in range(40):
            deep = deep.within("10m").optional()


def test_bounds_that_nest_as_the_algebra_does_not_are_spelled_as_data():
    node = bounded(bounded({"variable": "a"}, time(1)), {"rows": 3})
    for root in (node, {"sequence": [{"node": node}, {"node": {"variable": "b"}}]}):
        pattern = Pattern.from_dict(
            {"cepheid_ir": 1, "pattern": {"root": root, "empty_matches": "excluded", "output": "derived"}}
        )
        assert repr(pattern).startswith("cep.Pattern.from_dict(")
        assert eval(repr(pattern), {"cep": cep}) == pattern
        assert root_of(pattern) == root


def test_the_event_time_given_for_matching_orders_what_is_bounded_in_time():
    for pattern in (A.within("10m"), A.times(2).within("5s", between="neighbours") >> B, A >> absent(B, for_="1d")):
        native, _ = pattern._compiled("ts")
        assert '"order_by":[{"column":{"name":"ts"}}]' in native.to_json()
        ordered, _ = pattern.order_by("other")._compiled("ts")
        assert '"name":"other"' in ordered.to_json()
        assert '"ts"' not in ordered.to_json()


def test_gaps_in_data_are_held_against_every_window_around_them():
    gap = bounded({"variable": "a"}, time(2), "neighbours")
    rows = bounded(gap, {"rows": 5})
    for root, window in ((gap, time(1)), (rows, time(1)), (bounded(rows, time(1)), None)):
        pattern = {"root": root, "empty_matches": "excluded", "output": "derived"}
        data = {"cepheid_ir": 1, "pattern": pattern if window is None else {**pattern, "within": window}}
        assert refused(lambda data=data: Pattern.from_dict(data)).code == "gap-exceeds-window"
