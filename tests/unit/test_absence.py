"""Absent events in the algebra: what they are lowered to, how they are spelled, and where they cannot stand."""

import datetime as dt

import pytest
from written_down import check_written_down, refused, root_of

import cepheid as cep
from cepheid import Pattern, absent, col, event

A, B, C, X, Y = (event(name) for name in "abcxy")
DAY = 86_400_000_000_000

SPELLED = [
    (A >> absent(X) >> C, "event('a') >> cep.absent(event('x')) >> event('c')"),
    (A.next(absent(X)), "cep.seq(event('a'), cep.absent(event('x')), contiguity='strict')"),
    (A.next(absent(X)).then(C), "event('a').next(cep.absent(event('x'))).then(event('c'))"),
    (A >> absent(X, for_="24h"), "event('a') >> cep.absent(event('x'), for_='1d')"),
    (absent(X, for_=dt.timedelta(minutes=90)) >> A, "cep.absent(event('x'), for_='1h30m') >> event('a')"),
    (absent(X) >> A, "cep.absent(event('x')) >> event('a')"),
    ((A >> absent(X)).within("1d"), "(event('a') >> cep.absent(event('x'))).within('1d')"),
    (A >> (B | absent(X)) >> C, "event('a') >> (event('b') | cep.absent(event('x'))) >> event('c')"),
    (A >> (absent(X) >> B).times(2), "event('a') >> (cep.absent(event('x')) >> event('b')).times(2)"),
    ((A >> absent(X) >> B).optional() >> C,
     "(event('a') >> cep.absent(event('x')) >> event('b')).optional() >> event('c')"),
    (A >> absent(X) >> absent(Y) >> C, "event('a') >> cep.absent(event('x')) >> cep.absent(event('y')) >> event('c')"),
    (A >> absent(event("x", "v > a.v", topic="t")) >> C,
     "event('a') >> cep.absent(event('x', col.v > cep.ref('a').v, topic='t')) >> event('c')"),
    ((A >> absent(X) >> C).define(x="v > A.v"),
     "event('a') >> cep.absent(event('x', col.v > cep.ref('a').v)) >> event('c')"),
    (A >> cep.all_of(absent(X) >> B, C), "event('a') >> cep.all_of(cep.absent(event('x')) >> event('b'), event('c'))"),
    (cep.seq(A, absent(X), C, contiguity="strict"),
     "cep.seq(event('a'), cep.absent(event('x')), event('c'), contiguity='strict')"),
    (A >> absent(X).then_any(C), "event('a').then(cep.absent(event('x'))).then_any(event('c'))"),
]  # fmt: skip


def test_every_spelling_is_listed():
    assert len(SPELLED) == 16


@pytest.mark.parametrize(("pattern", "code"), SPELLED, ids=[code for _, code in SPELLED])
def test_absence_survives_every_way_of_writing_it_down(pattern, code):
    check_written_down(pattern, code)


def test_absence_is_a_step_with_the_relation_written_before_it():
    assert root_of(A >> absent(X) >> C)["sequence"] == [
        {"node": {"variable": "a"}},
        {"contiguity": "skip_till_next", "node": {"absent": {"variable": "x"}}},
        {"contiguity": "skip_till_next", "node": {"variable": "c"}},
    ]
    assert root_of(A.next(absent(X)).then_any(C))["sequence"][1:] == [
        {"node": {"absent": {"variable": "x"}}},
        {"contiguity": "skip_till_any", "node": {"variable": "c"}},
    ]
    for span in ("24h", "1d", dt.timedelta(days=1)):
        trailing = root_of(A >> absent(X, for_=span))["sequence"][1]
        assert trailing["node"] == {"absent": {"variable": "x", "for_ns": DAY}}


def test_an_absent_event_is_a_variable_of_the_pattern_with_its_own_condition():
    pattern = A >> absent(event("x", col.v > cep.ref("a").v)) >> C
    assert pattern.variables == ("a", "x", "c")
    assert [entry["variable"] for entry in pattern.to_dict()["pattern"]["define"]] == ["x"]
    assert pattern == (A >> absent(X) >> C).define(x="v > A.v")
    # Its name may be spoken of: it has no rows.
    assert (A >> absent(X) >> C).select(n=cep.ref("x").count()).to_dict()["pattern"]["measures"][0]["name"] == "n"


REFUSED = [
    (lambda: absent(X.one_or_more()), "x", "repeated nor optional"),
    (lambda: absent(X.optional()), "x", "repeated nor optional"),
    (lambda: absent(X.times(2)), "x", "repeated nor optional"),
    (lambda: absent(X).optional(), "x", "repeated nor optional"),
    (lambda: absent(X).times(2), "x", "repeated nor optional"),
    (lambda: (absent(X) >> absent(Y)).one_or_more(), "x", "repeated nor optional"),
    (lambda: absent(absent(X)), "x", "absent already"),
    (lambda: absent(X >> Y), "x", "single event"),
    (lambda: absent(X | Y), "x", "single event"),
    (lambda: absent((X >> Y).optional()), "x", "single event"),
    (lambda: absent(X.within("5m")), "x", "no extent"),
    (lambda: absent(X).within("5m"), "x", "no extent"),
    (lambda: A.then_any(absent(X)), "x", "then_any()"),
    (lambda: A.then_any(absent(X) >> C), "x", "then_any()"),
    (lambda: A.then_any(absent(X) | B), "x", "then_any()"),
    (lambda: A.then_any((absent(X) >> B).times(2)), "x", "then_any()"),
    (lambda: cep.seq(A, absent(X), C, contiguity="skip_till_any"), "x", "then_any()"),
    (lambda: cep.seq(A, B >> (absent(X) >> C).times(2), contiguity="skip_till_any"), "x", "then_any()"),
    (lambda: (absent(X) >> C).one_or_more(contiguity="skip_till_any"), "x", "then_any()"),
    (lambda: cep.all_of(absent(X) >> B, C, contiguity="skip_till_any"), "x", "then_any()"),
    (lambda: cep.all_of(A, absent(X)), "x", "any order"),
    (lambda: cep.all_of(absent(X).then(absent(Y)), A), "x", "any order"),
    (lambda: A >> absent(X, for_="1h") >> C, "x", "between two rows"),
    (lambda: A >> (absent(X, for_="1h") >> C), "x", "between two rows"),
    (lambda: A >> absent(X, for_="1h") >> C.optional(), "x", "between two rows"),
    (lambda: (absent(X, for_="1h") >> A).times(2), "x", "between two rows"),
    (lambda: cep.all_of(A >> absent(X, for_="1h"), B), "x", "between two rows"),
    (lambda: (A | B >> absent(X, for_="1h")) >> C, "x", "between two rows"),
    # Only the whole can tell: raised as the pattern is first used.
    (lambda: (A >> absent(X)).to_dict(), "x", "within()"),
    (lambda: (A >> absent(X)).within(rows=5).fingerprint, "x", "within()"),
    (lambda: (A >> (B | absent(X))).explain(), "x", "within()"),
    (lambda: absent(X).to_dict(), "x", "at least one row"),
]


def test_every_refusal_is_listed():
    assert len(REFUSED) == 32


@pytest.mark.parametrize(("build", "variable", "words"), REFUSED)
def test_an_absent_event_that_cannot_be_is_refused(build, variable, words):
    error = refused(build)
    assert (error.code, error.variable) == ("invalid-absence", variable)
    assert words in str(error)


def test_where_an_absent_event_may_stand():
    allowed = [
        A.next(absent(X)),
        absent(X, for_="1h") >> A >> absent(Y, for_="1h"),
        A >> absent(X, for_="1h") >> absent(Y, for_="2h"),
        (A | B) >> absent(X, for_="1h"),
        (A >> absent(X, for_="1h")) | (B >> absent(Y, for_="1h")),
        (absent(X, for_="1h") >> A).optional(),
        (A.then_any(B) >> absent(X)).within(None).within("1h"),
        absent(X).then_any(A),
    ]
    for pattern in allowed:
        assert pattern.to_dict()["cepheid_ir"] == 1


@pytest.mark.parametrize("span", ["0s", dt.timedelta(0), dt.timedelta(-1)])
def test_the_time_of_an_absence_is_longer_than_zero(span):
    error = refused(lambda: absent(X, for_=span))
    assert (error.code, error.variable) == ("invalid-within", "x")
    assert refused(lambda: absent(X, for_="soon")).code == "invalid-duration"


def test_absent_takes_an_event_without_clauses():
    for wrong in ("x", None, col.x):
        with pytest.raises(TypeError):
            absent(wrong)
    with pytest.raises(TypeError):
        absent(X, for_=5)
    assert refused(lambda: absent(X.partition_by("k"))).code == "clause-on-part"


def test_an_absent_event_has_no_row_to_skip_to_or_to_derive_an_event_at():
    pattern = A >> absent(X) >> C
    for where in ("to_first", "to_last"):
        error = refused(lambda where=where: pattern.after_match((where, "x")))
        assert (error.code, error.variable, error.known) == ("unknown-skip-target", "x", ("a", "c"))
    error = refused(lambda: pattern.emit_at("x", "topic"))
    assert (error.code, error.variable, error.known) == ("unknown-variable", "x", ("a", "c"))
    assert pattern.after_match(("to_first", "C")).to_dict()["pattern"]["after_match"]["to_variable"]["variable"] == "c"


def test_two_events_share_no_name_though_one_is_absent():
    assert refused(lambda: A >> absent(event("a"))).code == "duplicate-variable"


def test_data_is_held_to_the_same_rules_as_what_is_built():
    def absent_(name="x", **body):
        return {"absent": {"variable": name, **body}}

    def sequence(*parts, contiguity="skip_till_next"):
        return {"sequence": [{"contiguity": contiguity, "node": part} for part in parts]}

    def loop(node, low=0, high=None, contiguity="skip_till_next"):
        return {"quantified": {"node": node, "quantifier": {"min": low, "max": high, "contiguity": contiguity}}}

    a, c, hour = {"variable": "a"}, {"variable": "c"}, {"for_ns": 3_600_000_000_000}
    any_ = "skip_till_any"
    refused_roots = {
        "repeated": loop(absent_()),
        "two repeated": loop(sequence(absent_(), absent_("y"))),
        "bounded": sequence(a, {"bounded": {"node": absent_(), "within": {"rows": 1}}}, c),
        "then_any": sequence(a, absent_(), c, contiguity=any_),
        "then_any into a group": sequence(a, loop(sequence(absent_(), c)), contiguity=any_),
        "then_any into a choice": sequence(a, {"alternation": [absent_(), {"variable": "b"}]}, c, contiguity=any_),
        "then_any between repetitions": loop(sequence(absent_(), a), contiguity=any_),
        "of any order": {"permute": {"parts": [a, absent_()], "contiguity": "strict"}},
        "time between rows": sequence(a, absent_(**hour), c),
        "time between repetitions": loop(sequence(absent_(**hour), a), 2, 2),
        "time between parts of any order": {"permute": {"parts": [sequence(absent_(**hour), a), c]}},
        "time before what is optional": sequence(a, absent_(**hour), loop(c, 0, 1)),
        "last without a time": sequence(a, absent_()),
        "last without a time if the rest is passed over": sequence(a, absent_(), loop(c, 0, 1)),
        "nothing else": sequence(absent_(), absent_("y", **hour)),
    }
    assert len(refused_roots) == 15
    for name, root in refused_roots.items():
        data = {"cepheid_ir": 1, "pattern": {"root": root, "empty_matches": "excluded", "output": "derived"}}
        error = refused(lambda data=data: Pattern.from_dict(data))
        assert (error.code, error.variable) in {("invalid-absence", "x"), ("invalid-absence", "y")}, name


def test_a_run_that_something_absent_has_taken_a_step_from_goes_on_with_the_others():
    # The `d` behind the first `a` forbids the way past `b` and `c`, so the second `a` is not that run's `e`.
    pattern = cep.pattern_from_sql(
        """SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts MEASURES a.n AS first, b.n AS second, f.n AS last
        AFTER MATCH SKIP NONE PATTERN (a -> (b? [->] | c? [->]) -> ABSENT(d) -> e -> f) WITHIN INTERVAL '6' MINUTE
        DEFINE a AS k = 'a', b AS k = 'b', c AS k = 'c', d AS k = 'd', e AS k = 'a', f AS k = 'b')"""
    )
    minutes = [1, 1, 1, 2, 2, 3, 4, 5, 5, 6]
    table = {"ts": [minute * 60_000_000_000 for minute in minutes], "k": list("dadabcabca"), "n": list(range(10))}
    expected = [(1, 4, 7), (3, 4, 7)]
    found = cep.match(pattern, table, event_time="ts").to_arrow().to_pylist()
    assert [tuple(row.values()) for row in found] == expected
    engine = cep.Engine(pattern.named("rule"), lateness="0s")
    derived = [engine.push({name: values[row : row + 1] for name, values in table.items()}) for row in range(10)]
    rows = [
        row for call in [*derived, engine.flush()] for found in call.values() for row in found.to_arrow().to_pylist()
    ]
    assert [(row["first"], row["second"], row["last"]) for row in rows] == expected
