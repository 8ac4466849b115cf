"""Clauses of a whole pattern that go beyond SQL's: topics, having, timeouts, intermediate outputs, selection."""

import pytest
from written_down import check_written_down, refused

import cepheid as cep
from cepheid import absent, col, event, ref

A, B, C = (event(name) for name in "abc")
AB = A >> B
CODE = "(event('a') >> event('b'))"

SPELLED = [
    (event("a", "x > 1", topic="t") >> event("b", topic="it's"),
     "event('a', col.x > 1, topic='t') >> event('b', topic=\"it's\")"),
    (AB.having("SUM(a.x) > b.x"), CODE + ".having(cep.ref('a').x.sum() > cep.ref('b').x)"),
    (AB.having(col.x > 1).having(ref("a").x.first() > 2),
     CODE + ".having((col.x > 1) & (cep.ref('a').x.first() > 2))"),
    (AB.within("1m").timeouts(True), CODE + ".within('1m').timeouts(True)"),
    (AB.within("1m").timeouts(True).timeouts(False), CODE + ".within('1m')"),
    (AB.emit_at("a", "seen"), CODE + ".emit_at('a', 'seen')"),
    (AB.emit_at("B", "raised", n=ref("a").count(), last="LAST(b.x)").emit_at("a", "seen", {"odd name": col.x}),
     CODE + ".emit_at('b', 'raised', n=cep.ref('a').count(), last=cep.ref('b').x)"
     ".emit_at('a', 'seen', {'odd name': col.x})"),
    (AB.matches("all").after_match("consume"), CODE + ".matches('all').after_match('consume')"),
    (AB.matches("all").after_match(("to_first", "b"), strict=True),
     CODE + ".matches('all').after_match(('to_first', 'b'), strict=True)"),
    (AB.select(n=ref("a").count()).having(ref("b").x.max() > 1).emit("t").named("r").partition_by("k"),
     CODE + ".select(n=cep.ref('a').count()).having(cep.ref('b').x.max() > 1).emit('t').named('r').partition_by('k')"),
]  # fmt: skip


def test_every_spelling_is_listed():
    assert len(SPELLED) == 10


@pytest.mark.parametrize(("pattern", "code"), SPELLED, ids=[code for _, code in SPELLED])
def test_clauses_survive_every_way_of_writing_them_down(pattern, code):
    check_written_down(pattern, code)


def test_topics_are_told_variable_by_variable_in_the_order_of_the_pattern():
    pattern = event("b", topic="t") >> A >> absent(event("x", topic="u")) >> C
    assert pattern.to_dict()["pattern"]["topics"] == [
        {"variable": "b", "topic": "t"},
        {"variable": "x", "topic": "u"},
    ]
    assert "topics" not in AB.to_dict()["pattern"]
    for whole in (event("a", topic="t") | B, event("a", topic="t").times(2), cep.all_of(B, event("a", topic="t"))):
        assert whole.to_dict()["pattern"]["topics"] == [{"variable": "a", "topic": "t"}]
    assert event("a", topic="t") != event("a")
    assert event("a", topic="t").fingerprint != event("a", topic="u").fingerprint


def test_having_sees_the_match_as_a_measure_does():
    text, built = AB.having("SUM(a.x) > 1"), AB.having(ref("a").x.sum() > 1)
    assert text == built
    having = text.to_dict()["pattern"]["having"]
    assert having == AB.select(m="SUM(a.x) > 1").to_dict()["pattern"]["measures"][0]["value"]
    assert having["binary"]["left"]["aggregate"]["semantics"] == "final"
    assert AB.having("x > 1").having("y > 1") == AB.having("x > 1 AND y > 1")
    assert AB.having("x > A.x") == AB.having(col.x > ref("a").x)


def test_intermediate_outputs_are_added_and_their_measures_are_like_those_of_select():
    pattern = AB.emit_at("b", "raised", total=ref("a").x.sum()).emit_at("b", "raised", total="SUM(a.x)")
    first, second = pattern.to_dict()["pattern"]["emit_at"]
    assert first == second
    assert first["measures"] == AB.select(total="SUM(a.x)").to_dict()["pattern"]["measures"]
    named = AB.emit_at("b", "t", (col.x + 1).alias("more"), topic=col.x, variable=col.y)
    names = [measure["name"] for measure in named.to_dict()["pattern"]["emit_at"][0]["measures"]]
    assert names == ["more", "topic", "variable"]


def test_functions_in_python_are_taken_as_columns_wherever_they_stand():
    wanted = cep.udf(len, columns=["x"])
    pattern = AB.having(wanted).emit_at("b", "t", ok=wanted).select(ok=wanted)
    native, predicates = pattern._compiled()
    assert len(predicates) == 1
    assert native.to_json().count("__cepheid_udf_0") == 3
    assert pattern == AB.having(wanted).emit_at("b", "t", ok=wanted).select(ok=wanted)


def test_timeouts_are_off_unless_wanted():
    assert "timeouts" not in AB.to_dict()["pattern"]
    assert AB.timeouts().to_dict()["pattern"]["timeouts"] is True
    assert AB.timeouts(False) == AB


REFUSED = [
    (lambda: event("a", topic=""), "empty-name"),
    (lambda: AB.having("c.x > 1"), "unknown-variable"),
    (lambda: AB.having(ref("c").count() > 1), "unknown-variable"),
    (lambda: AB.emit_at("c", "t"), "unknown-variable"),
    (lambda: AB.emit_at("a", ""), "empty-name"),
    (lambda: AB.emit_at("", "t"), "empty-name"),
    (lambda: AB.emit_at("a", "t", col.x), "empty-name"),
    (lambda: AB.emit_at("a", "t", {"x": col.x}, x=col.y), "duplicate-measure"),
    (lambda: AB.emit_at("a", "t", x="c.x"), "unknown-variable"),
    (lambda: AB.matches("every"), "invalid-clause"),
    (lambda: AB.after_match("consumed"), "invalid-clause"),
]


def test_every_refusal_is_listed():
    assert len(REFUSED) == 11


@pytest.mark.parametrize(("build", "code"), REFUSED)
def test_a_clause_that_cannot_be_is_refused_where_it_stands(build, code):
    assert refused(build).code == code


CLAUSES = {
    "partition_by": lambda p: p.partition_by("k"),
    "order_by": lambda p: p.order_by("t"),
    "define": lambda p: p.define(a="x > 1"),
    "select": lambda p: p.select(x=col.x),
    "having": lambda p: p.having("x > 1"),
    "matches": lambda p: p.matches("first"),
    "after_match": lambda p: p.after_match("consume"),
    "rows_per_match": lambda p: p.rows_per_match("all"),
    "timeouts": lambda p: p.timeouts(True),
    "emit": lambda p: p.emit("t"),
    "emit_at": lambda p: p.emit_at("a", "t"),
    "named": lambda p: p.named("r"),
}
WAYS = {
    "then": lambda p: p >> C,
    "then, as the second": lambda p: C >> p,
    "next": lambda p: p.next(C),
    "then_any": lambda p: C.then_any(p),
    "or": lambda p: C | p,
    "seq": lambda p: cep.seq(C, p, contiguity="strict"),
    "seq alone": lambda p: cep.seq(p),
    "all_of": lambda p: cep.all_of(p, C),
    "times": lambda p: p.times(2),
    "optional": lambda p: p.optional(),
    "absent": lambda p: absent(p),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("clause", CLAUSES)
def test_a_clause_of_the_whole_pattern_on_a_part_is_refused(clause, way):
    error = refused(lambda: WAYS[way](CLAUSES[clause](A)))
    assert (error.code, error.context) == ("clause-on-part", clause)
    assert f"{clause}()" in str(error)


def test_wrong_types_are_type_errors():
    for build in (
        lambda: event("a", topic=1),
        lambda: AB.having(1),
        lambda: AB.having(None),
        lambda: AB.timeouts("yes"),
        lambda: AB.emit_at(1, "t"),
        lambda: AB.emit_at("a", 1),
        lambda: AB.emit_at("a", "t", 1),
        lambda: AB.emit_at("a", "t", x=object()),
    ):
        with pytest.raises(TypeError):
            build()


CONDITIONS = {
    # The last row accepted, of another event and of the loop's own.
    "x > a.x": col.x > ref("a").x,
    "x > b.x": col.x > ref("b").x,
    # Offsets, from either end.
    "x > FIRST(b.x)": col.x > ref("b").x.first(),
    "x > FIRST(b.x, 2)": col.x > ref("b").x.first(2),
    "x > LAST(b.x, 1)": col.x > ref("b").x.last(1),
    "x > LAST(a.x, 1)": col.x > ref("a").x.last(1),
    "x > PREV(LAST(a.x, 1), 2)": col.x > cep.prev(ref("a").x.last(1), 2),
    # Running aggregates.
    "SUM(b.x) > 9": ref("b").x.sum() > 9,
    "COUNT(b.*) < 3": ref("b").count() < 3,
    "COUNT(b.x) < 3": ref("b").x.count() < 3,
    "COUNT(DISTINCT b.x) < 3": ref("b").x.n_unique() < 3,
    "AVG(a.x) + MIN(b.x) > MAX(a.x)": ref("a").x.avg() + ref("b").x.min() > ref("a").x.max(),
    # Of all rows accepted so far, whichever event they are of.
    "x > FIRST(x)": col.x > col.x.first(),
    "x > LAST(x, 1)": col.x > col.x.last(1),
    "SUM(x) > 9 AND COUNT(*) < 3": (col.x.sum() > 9) & (cep.count() < 3),
    # Columns that are named like methods.
    'a."count" > 1': ref("a")["count"] > 1,
    "a.sum > b.last": ref("a")["sum"] > ref("b")["last"],
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_conditions_look_back_alike_in_text_and_in_python(text):
    spelled = A >> event("b", text).one_or_more()
    built = A >> event("b", CONDITIONS[text]).one_or_more()
    if '"' in text:
        # A quoted name must be the same, case included: data tells the two apart.
        assert repr(spelled).startswith("event('a') >> event('b', cep.Expr.from_dict(")
        return
    assert spelled == built
    assert eval(repr(built), {"cep": cep, "col": col, "prev": cep.prev, "event": event}) == built


def test_the_row_under_test_does_not_count_among_the_rows_of_its_own_event():
    def marks(pattern):
        condition = pattern.to_dict()["pattern"]["define"][0]["condition"]
        found = []
        for node in cep.nodes.walk(condition):
            tag = cep.nodes.tag_of(node)
            body = node[tag] if tag == "aggregate" else cep.nodes.pointer_of(node) if tag == "column" else {}
            if body.get("variable"):
                found.append((body["variable"], body.get("tested_row")))
        return found

    own = A >> event("b", "x > b.x AND SUM(b.x) > 1 AND x > FIRST(b.x, 1)")
    assert marks(own) == [("b", "excluded")] * 3
    # Of another event it could not have counted: the mark is left out.
    other = A >> event("b", "x > a.x AND SUM(a.x) > 1")
    assert marks(other) == [("a", None)] * 2
