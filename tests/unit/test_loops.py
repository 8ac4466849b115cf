"""Loops in the algebra: greed that is said or not, conditions that end them, and what is optional."""

import pytest
from written_down import check_written_down, refused, root_of

import cepheid as cep
from cepheid import Pattern, absent, col, event

A, B, C = (event(name) for name in "abc")

SPELLED = [
    (A.one_or_more(), "event('a').one_or_more()"),
    (A.one_or_more(greedy=True), "event('a').one_or_more(greedy=True)"),
    (A.one_or_more(greedy=False), "event('a').one_or_more(greedy=False)"),
    (A.one_or_more(greedy=True).matches("all"), "event('a').one_or_more(greedy=True).matches('all')"),
    (A.one_or_more(greedy=False).matches("all"), "event('a').one_or_more(greedy=False).matches('all')"),
    (A.times(2, 3).optional(), "event('a').times(2, 3).optional()"),
    (A.times(2, 3).optional(greedy=False), "event('a').times(2, 3).optional(greedy=False)"),
    (A.times(1, 4, until="x > 1"), "event('a').times(1, 4, until=col.x > 1)"),
    (A.times(1, until="x > 1"), "event('a').times(1, until=col.x > 1)"),
    (A.times(0, 1, until="x > 1"), "event('a').times(0, 1, until=col.x > 1)"),
    (A.at_least(2, until=col.x > 1, contiguity="strict", greedy=True),
     "event('a').at_least(2, contiguity='strict', greedy=True, until=col.x > 1)"),
    (A.one_or_more(until="x > 1 AND y = 2"), "event('a').one_or_more(until=(col.x > 1) & (col.y == 2))"),
    (A.zero_or_more(until=True) >> B, "event('a').zero_or_more(until=cep.lit(True)) >> event('b')"),
    (A >> B.one_or_more(until="x > A.x + FIRST(b.x, 1)"),
     "event('a') >> event('b').one_or_more(until=col.x > cep.ref('a').x + cep.ref('b').x.first(1))"),
    ((A >> B.one_or_more()).times(2, until=cep.ref("b").x.sum() > 9),
     "(event('a') >> event('b').one_or_more()).times(2, until=cep.ref('b').x.sum() > 9)"),
]  # fmt: skip


def test_every_spelling_is_listed():
    assert len(SPELLED) == 15


@pytest.mark.parametrize(("pattern", "code"), SPELLED, ids=[code for _, code in SPELLED])
def test_loops_survive_every_way_of_writing_them_down(pattern, code):
    check_written_down(pattern, code)


def quantifier(pattern):
    return root_of(pattern)["quantified"]["quantifier"]


def test_greed_that_goes_without_saying_is_left_out_where_all_matches_are_wanted():
    assert "greedy" not in quantifier(A.one_or_more().matches("all"))
    assert quantifier(A.one_or_more(greedy=False).matches("all"))["greedy"] is False
    assert quantifier(A.one_or_more(greedy=True).matches("all"))["greedy"] is True
    assert A.one_or_more(greedy=True).matches("all") != A.one_or_more().matches("all")


def test_loops_are_greedy_where_one_match_is_preferred_unless_they_say_otherwise():
    assert A.one_or_more() == A.one_or_more(greedy=True)
    assert quantifier(A.one_or_more())["greedy"] is True
    assert quantifier(A.one_or_more(greedy=False))["greedy"] is False
    assert A.one_or_more() != A.one_or_more(greedy=False)


def test_greed_is_remembered_until_the_selection_is_known():
    said = A.one_or_more(greedy=True)
    assert eval(repr(said), {"event": event}).matches("all") == said.matches("all")
    read = Pattern.from_dict(A.one_or_more().to_dict())
    assert read.matches("all") == A.one_or_more().matches("all"), "reading it says nothing of greed"


def test_a_loop_made_optional_is_a_loop_or_nothing():
    inner = {"min": 2, "max": 3, "greedy": True, "contiguity": "skip_till_next"}
    assert root_of(A.times(2, 3).optional()) == {
        "quantified": {
            "node": {"quantified": {"node": {"variable": "a"}, "quantifier": inner}},
            "quantifier": {"min": 0, "max": 1, "greedy": True},
        }
    }
    assert A.times(2, 3).optional() != A.times(0, 3)
    assert quantifier(A.times(0, 3))["min"] == 0


def test_until_looks_back_at_rows_accepted_before_and_belongs_to_no_variable():
    text = A >> B.one_or_more(until="x > b.x AND SUM(B.x) > a.x")
    built = A >> B.one_or_more(until=(col.x > cep.ref("b").x) & (cep.ref("b").x.sum() > cep.ref("a").x))
    assert text == built
    until = root_of(text)["sequence"][1]["node"]["quantified"]["quantifier"]["until"]["and"]
    excluded = {"tested_row": "excluded"}
    assert until[0]["binary"]["right"] == {"column": {"name": "x", "at": {"variable": "b", **excluded}}}
    assert until[1]["binary"]["left"]["aggregate"] == {
        "function": "sum", "args": [{"column": {"name": "x"}}], "variable": "b", **excluded
    }  # fmt: skip
    assert until[1]["binary"]["right"] == {"column": {"name": "x", "at": {"variable": "a", **excluded}}}


def test_until_in_data_without_marks_means_the_same():
    data = (A >> B.one_or_more(until="x > a.x AND SUM(b.x) > 1")).to_dict()
    until = data["pattern"]["root"]["sequence"][1]["node"]["quantified"]["quantifier"]["until"]["and"]
    del until[0]["binary"]["right"]["column"]["at"]["tested_row"]
    del until[1]["binary"]["left"]["aggregate"]["tested_row"]
    assert Pattern.from_dict(data) == A >> B.one_or_more(until="x > a.x AND SUM(b.x) > 1")


def test_names_in_until_resolve_without_regard_to_case_where_that_is_unique():
    big = event("Big") >> event("small").one_or_more(until="x > BIG.x")
    assert big == event("Big") >> event("small").one_or_more(until=col.x > cep.ref("Big").x)


def test_a_loop_of_one_with_an_until_is_still_a_loop():
    assert A.times(1) is A
    assert quantifier(A.times(1, until="x > 1"))["min"] == 1


def test_until_of_a_python_function_is_taken_as_a_column():
    wanted = cep.udf(len, columns=["x"])
    pattern = A.one_or_more(until=wanted)
    native, predicates = pattern._compiled()
    assert [predicate.columns for predicate in predicates] == [("x",)]
    assert "__cepheid_udf_0" in native.to_json()
    assert refused(pattern.to_dict).code == "not-serialisable"
    assert pattern == A.one_or_more(until=wanted)
    assert pattern != A.one_or_more(until=cep.udf(str, columns=["x"]))


REFUSED = [
    (lambda: A.times(2, 1), "invalid-quantifier"),
    (lambda: A.times(0, 0, until="x > 1"), "invalid-quantifier"),
    (lambda: A.times(-1, 2), "invalid-quantifier"),
    (lambda: A.at_least(-1, until="x > 1"), "invalid-quantifier"),
    (lambda: A.one_or_more(until="x > c.x").to_dict(), "unknown-variable"),
    (lambda: absent(A).one_or_more(until="x > 1"), "invalid-absence"),
    (lambda: A.within("1s").named("r").one_or_more(until="x > 1"), "clause-on-part"),
]


@pytest.mark.parametrize(("build", "code"), REFUSED)
def test_a_loop_that_cannot_be_is_refused(build, code):
    assert refused(build).code == code


def test_wrong_types_and_wrong_text_are_refused_where_they_stand():
    for wrong in (1, object(), ["x > 1"]):
        with pytest.raises(TypeError, match="until"):
            A.one_or_more(until=wrong)
    with pytest.raises(TypeError, match="greedy"):
        A.one_or_more(greedy="yes")
    with pytest.raises(cep.SqlError):
        A.one_or_more(until="x >")
