"""The pattern algebra: what it builds, what it refuses, and that its repr is code."""

import datetime as dt
import pickle

import pytest
from written_down import NAMES, check_written_down

import cepheid as cep
from cepheid import Pattern, col, event

A, B, C = event("a", col.x > 1), event("b", "x < a.x"), event("c")

SPELLED = [
    (A, "event('a', col.x > 1)"),
    (A >> B >> C, "event('a', col.x > 1) >> event('b', col.x < cep.ref('a').x) >> event('c')"),
    (event("a").next(C), "cep.seq(event('a'), event('c'), contiguity='strict')"),
    (event("a").next(event("b")) >> C, "event('a').next(event('b')).then(event('c'))"),
    (event("a") >> event("b").next(C), "event('a').then(event('b')).next(event('c'))"),
    (cep.seq(event("a"), event("b").one_or_more(), contiguity="strict"),
     "cep.seq(event('a'), event('b').one_or_more(), contiguity='strict')"),
    (cep.seq(event("a"), event("b").one_or_more(contiguity="skip_till_any"), contiguity="strict"),
     "cep.seq(event('a'), event('b').one_or_more(contiguity='skip_till_any'), contiguity='strict')"),
    (event("a").next(event("b").one_or_more()),
     "cep.seq(event('a'), event('b').one_or_more(contiguity='skip_till_next'), contiguity='strict')"),
    ((event("a") | event("b")) >> C, "(event('a') | event('b')) >> event('c')"),
    (event("a") | event("b") >> C, "event('a') | event('b') >> event('c')"),
    ((event("a") | event("b") | C).at_least(2, greedy=False),
     "(event('a') | event('b') | event('c')).at_least(2, greedy=False)"),
    ((event("a") >> event("b")).times(2, 4), "(event('a') >> event('b')).times(2, 4)"),
    (event("a").times(2, 3).optional(), "event('a').times(2, 3).optional()"),
    (event("a").times(1), "event('a')"),
    (event("a").zero_or_more(greedy=False), "event('a').zero_or_more(greedy=False)"),
    (cep.all_of(event("a"), event("b"), contiguity="strict"),
     "cep.all_of(event('a'), event('b'), contiguity='strict')"),
    (cep.seq(cep.all_of(event("a"), event("b")), C, contiguity="strict"),
     "cep.seq(cep.all_of(event('a'), event('b')), event('c'), contiguity='strict')"),
    ((event("a") >> C).partition_by("k", col("K", exact=True)).order_by("t"),
     "(event('a') >> event('c')).partition_by('k', col('K', exact=True)).order_by('t')"),
    (A.order_by("s", "t", descending=[False, True], nulls_first=True),
     "event('a', col.x > 1).order_by('s', 't', descending=[False, True], nulls_first=True)"),
    (A.select(n=cep.ref("a").count(), first=cep.ref("a").x.first()).select({"odd name": col.x}),
     "event('a', col.x > 1).select({'n': cep.ref('a').count(), 'first': cep.ref('a').x.first(), 'odd name': col.x})"),
    (A.after_match(("to_last", "a"), strict=True).rows_per_match("all_with_unmatched"),
     "event('a', col.x > 1).after_match(('to_last', 'a'), strict=True).rows_per_match('all_with_unmatched')"),
    (A.within("90m").order_by("t").named("rule").emit("alert"),
     "event('a', col.x > 1).within('1h30m').order_by('t').named('rule').emit('alert')"),
    (A.within(rows=10).matches("all"), "event('a', col.x > 1).within(rows=10).matches('all')"),
    (A.within(None), "event('a', col.x > 1).within(None)"),
    (event("it's"), 'event("it\'s")'),
]  # fmt: skip


def test_every_spelling_is_listed():
    assert len(SPELLED) == 25


@pytest.mark.parametrize(("pattern", "code"), SPELLED, ids=[code for _, code in SPELLED])
def test_patterns_survive_every_way_of_writing_them_down(pattern, code):
    check_written_down(pattern, code)


def test_patterns_are_values():
    base = event("a")
    named = base.named("x")
    assert base.name is None
    assert named.name == "x"
    assert base != named
    assert base.fingerprint == named.fingerprint, "the name is no part of the version"
    assert base != "a"
    with pytest.raises(AttributeError, match="cannot be changed"):
        base._body = None
    with pytest.raises(AttributeError, match="cannot be changed"):
        del base._body
    with pytest.raises(TypeError):
        Pattern()


def test_conditions_look_back_without_the_row_under_test():
    pattern = event("a", col.x > cep.ref("a").x.sum()) >> event("b", col.x > cep.ref("a").x)
    define = {
        entry["variable"]: entry["condition"]["binary"]["right"] for entry in pattern.to_dict()["pattern"]["define"]
    }
    assert define["a"]["aggregate"]["tested_row"] == "excluded"
    assert define["b"] == {"column": {"name": "x", "at": {"variable": "a"}}}, "a mark that says nothing is dropped"


def test_measures_cover_the_whole_match():
    pattern = event("a").select(s=cep.ref("a").x.sum(), t="SUM(a.x)", l=cep.ref("a").x, b=col.x, f=col.x.first())
    values = {m["name"]: m["value"] for m in pattern.to_dict()["pattern"]["measures"]}
    assert values["s"] == values["t"]
    assert values["s"]["aggregate"]["semantics"] == "final"
    assert values["l"]["column"]["at"] == {"variable": "a", "semantics": "final"}
    assert values["b"] == {"column": {"name": "x"}}
    assert values["f"] == {"column": {"name": "x", "at": {"anchor": "first"}}}


def test_variable_names_in_text_resolve_without_regard_to_case_where_unique():
    pattern = event("Big", "x > 1") >> event("small", "x < BIG.x")
    assert pattern == event("Big", col.x > 1) >> event("small", col.x < cep.ref("Big").x)
    ambiguous = event("x") >> event("X") >> event("y", "v > x.v")
    assert ambiguous.to_dict()["pattern"]["define"][0]["condition"]["binary"]["right"]["column"]["at"] == {
        "variable": "x"
    }


def test_define_and_event_say_the_same():
    one = event("a", col.x > 1) >> event("b")
    other = (event("a") >> event("b")).define(a="x > 1")
    mapped = (event("a") >> event("b")).define({"a": col.x > 1})
    assert one == other == mapped


def test_several_conditions_must_all_hold():
    assert event("a", col.x > 1, "y > 2", True) == event("a", (col.x > 1) & (col.y > 2) & cep.lit(True))


def test_defaults_of_the_skip_follow_the_selection():
    assert event("a").to_dict()["pattern"]["after_match"] == "past_last_row"
    assert event("a").matches("all").to_dict()["pattern"]["after_match"] == "none"
    assert event("a").matches("all").after_match("past_last_row").to_dict()["pattern"]["after_match"] == "past_last_row"
    assert event("a").after_match("to_next_row").to_dict()["pattern"]["after_match"] == "to_next_row"


def test_loops_take_the_contiguity_of_the_seq_around_them_unless_they_say_otherwise():
    inner = (event("a") >> event("b").one_or_more()).times(2)
    strict = cep.seq(inner, event("c").at_least(2, contiguity="skip_till_any"), contiguity="strict")
    steps = strict.to_dict()["pattern"]["root"]["sequence"]
    assert "contiguity" not in steps[0]["node"]["quantified"]["quantifier"]
    loop = steps[0]["node"]["quantified"]["node"]["sequence"][1]
    assert loop["contiguity"] == "skip_till_next", "a relation that was written stays"
    assert "contiguity" not in loop["node"]["quantified"]["quantifier"]
    assert steps[1]["node"]["quantified"]["quantifier"]["contiguity"] == "skip_till_any"
    free = event("a").one_or_more().to_dict()["pattern"]["root"]["quantified"]["quantifier"]
    assert free["contiguity"] == "skip_till_next"


def test_within_takes_text_and_timedeltas():
    for span in ("1h30m", dt.timedelta(minutes=90), "5400s", "1.5h"):
        assert event("a").order_by("t").within(span).to_dict()["pattern"]["within"] == {
            "time": {"nanoseconds": 5_400_000_000_000}
        }


REFUSED = [
    (lambda: event(""), "empty-name"),
    (lambda: event("a") >> event("a"), "duplicate-variable"),
    (lambda: event("a") | event("a"), "duplicate-variable"),
    (lambda: cep.seq(event("a"), event("b") >> event("a")), "duplicate-variable"),
    (lambda: cep.all_of(event("a"), event("a")), "duplicate-variable"),
    (lambda: cep.seq(), "too-few-parts"),
    (lambda: cep.all_of(), "too-few-parts"),
    (lambda: cep.all_of(*[event(f"v{i}") for i in range(7)]), "limit-exceeded"),
    (lambda: event("a").times(0), "invalid-quantifier"),
    (lambda: event("a").times(-1), "invalid-quantifier"),
    (lambda: event("a").times(3, 2), "invalid-quantifier"),
    (lambda: event("a").times(0, 0), "invalid-quantifier"),
    (lambda: event("a").at_least(-1), "invalid-quantifier"),
    (lambda: event("a").at_least(10**6), "limit-exceeded"),
    (lambda: event("a").one_or_more(contiguity="loose"), "invalid-clause"),
    (lambda: cep.seq(event("a"), contiguity="loose"), "invalid-clause"),
    (lambda: event("a").define(b="x > 1"), "undefined-variable"),
    (lambda: event("a", col.x > 1).define(a="x > 1"), "duplicate-definition"),
    (lambda: event("a").select(x=col.x).select(x=col.y), "duplicate-measure"),
    (lambda: event("a").select({"x": col.x}, x=col.y), "duplicate-measure"),
    (lambda: event("a").select(col.x), "empty-name"),
    (lambda: event("a").select({"": col.x}), "empty-name"),
    (lambda: event("a").select(x=cep.ref("b").x), "unknown-variable"),
    (lambda: event("a").select(x="b.x"), "unknown-variable"),
    (lambda: event("a", cep.ref("b").x > 1).to_dict(), "unknown-variable"),
    (lambda: event("a").after_match(("to_first", "b")), "unknown-skip-target"),
    (lambda: event("a").after_match("somewhere"), "invalid-clause"),
    (lambda: event("a").after_match(("to_middle", "a")), "invalid-clause"),
    (lambda: event("a").after_match("to_next_row", strict=True), "invalid-clause"),
    (lambda: event("a").rows_per_match("some"), "invalid-clause"),
    (lambda: event("a").matches("best"), "invalid-clause"),
    (lambda: event("a").within("0s"), "invalid-within"),
    (lambda: event("a").within(dt.timedelta(-1)), "invalid-within"),
    (lambda: event("a").within("soon"), "invalid-duration"),
    (lambda: event("a").within(rows=-1), "invalid-quantifier"),
    (lambda: event("a").order_by("x", descending=[True, False]), "invalid-clause"),
    (lambda: event("a").partition_by(""), "empty-name"),
    (lambda: event("a").partition_by(col.x + 1), "invalid-expression"),
    (lambda: event("a").named(""), "empty-name"),
    (lambda: event("a").emit(""), "empty-name"),
    (lambda: event("a").partition_by("k") >> event("b"), "clause-on-part"),
    (lambda: event("b") >> event("a").select(x=col.x), "clause-on-part"),
    (lambda: event("b") | event("a").named("r"), "clause-on-part"),
    (lambda: event("a").after_match("to_next_row").one_or_more(), "clause-on-part"),
    (lambda: cep.all_of(event("a").matches("all"), event("b")), "clause-on-part"),
    (lambda: cep.seq(event("a").define(a="x > 1"), event("b")), "clause-on-part"),
    (lambda: cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN (A))") >> event("b"), "clause-on-part"),
    (lambda: Pattern.from_dict({}), "malformed"),
    (lambda: Pattern.from_dict([]), "malformed"),
    (lambda: Pattern.from_dict({"cepheid_ir": 99, "pattern": {}}), "wire-version"),
    (lambda: Pattern.from_json("{"), "malformed"),
    (lambda: event("a", cep.udf(len, columns=["x"])).to_dict(), "not-serialisable"),
    (lambda: event("a", cep.udf(len, columns=["x"])).fingerprint, "not-serialisable"),
]


def test_every_refusal_is_listed():
    assert len(REFUSED) == 53


@pytest.mark.parametrize(("build", "code"), REFUSED, ids=[f"{i}-{code}" for i, (_, code) in enumerate(REFUSED)])
def test_impossible_patterns_are_refused_when_built(build, code):
    with pytest.raises(cep.PatternError) as caught:
        build()
    assert caught.value.code == code


@pytest.mark.parametrize(
    "build",
    [
        lambda: event(1),
        lambda: event("a", 1),
        lambda: event("a", object()),
        lambda: event("a") >> "b",
        lambda: event("a").then("b"),
        lambda: event("a") | col.x,
        lambda: cep.seq("a"),
        lambda: event("a").times(1.5),
        lambda: event("a").times(True),
        lambda: event("a").one_or_more(greedy=1),
        lambda: event("a").within(),
        lambda: event("a").within("1s", rows=1),
        lambda: event("a").within(5),
        lambda: event("a").order_by(1),
        lambda: event("a").order_by("x", descending="yes"),
        lambda: event("a").partition_by(1),
        lambda: event("a").after_match(1),
        lambda: event("a").after_match(("to_first",)),
        lambda: event("a").rows_per_match(1),
        lambda: event("a").matches(None),
        lambda: event("a").select(1),
        lambda: event("a").select(x=object()),
        lambda: event("a").select(x=cep.ref("a")),
        lambda: event("a").define(1),
        lambda: event("a").define(a=1),
        lambda: event("a").named(1),
        lambda: event("a").emit(1),
        lambda: Pattern.from_json(1),
        lambda: cep.pattern_from_sql(1),
    ],
)
def test_wrong_types_are_type_errors(build):
    with pytest.raises(TypeError):
        build()


def test_an_unknown_name_is_answered_with_the_names_there_are():
    with pytest.raises(cep.PatternError) as caught:
        (event("rise") >> event("fall")).define(risse="x > 1")
    error = caught.value
    assert (error.variable, error.known, error.hint) == ("risse", ("rise", "fall"), "rise")
    assert "`rise`, `fall`" in str(error)


def test_depth_and_size_are_limited():
    deep = event("a")
    with pytest.raises(cep.PatternError, match="levels of nesting"):
        for _ in range(100):
            deep = deep.optional()
    with pytest.raises(cep.PatternError, match="variables"):
        cep.seq(*[event(f"v{i}") for i in range(1025)])
    assert len(cep.seq(*[event(f"v{i}") for i in range(1024)]).variables) == 1024


def test_patterns_from_sql_are_spelled_in_sql():
    clause = """MATCH_RECOGNIZE (
        PARTITION BY k ORDER BY t DESC NULLS FIRST
        MEASURES A.x AS ax, FINAL LAST(U.x) AS bx
        ALL ROWS PER MATCH WITH UNMATCHED ROWS AFTER MATCH SKIP TO FIRST B
        PATTERN (^ A+? (B | C){2,3} $) SUBSET U = (A, B) DEFINE B AS x > PREV(x))"""
    pattern = cep.pattern_from_sql(clause)
    assert pattern.variables == ("A", "B", "C")
    assert repr(pattern).startswith("cep.pattern_from_sql(")
    assert eval(repr(pattern), dict(NAMES)) == pattern
    named = pattern.named("r").emit("t")
    assert eval(repr(named), dict(NAMES)) == named
    assert cep.pattern_from_sql(pattern.to_sql()) == pattern
    assert Pattern.from_dict(pattern.to_dict()) == pattern
    assert pickle.loads(pickle.dumps(named)) == named
    assert pattern.select(n=cep.ref("U").count()).to_dict()["pattern"]["measures"][-1]["name"] == "n"


def test_explain_is_prose_and_checks_types_given_a_schema():
    import pyarrow as pa

    pattern = cep.seq(event("a", "x > 1"), event("b"), contiguity="strict")
    assert "strategy" in pattern.explain()
    assert pattern.explain(pa.schema({"x": pa.int64()})) == pattern.explain({"x": [1]})
    with pytest.raises(cep.SchemaError) as caught:
        pattern.explain(pa.schema({"y": pa.int64()}))
    assert caught.value.column == "x"
