"""Pictures of engines and patterns say what the rules say."""

from __future__ import annotations

import itertools

import pytest
from picture_text import check_apart, read_dot, read_svg

import cepheid as cep
from cepheid import Pattern, absent, col, event

HOSTILE = [
    "<&\"'>",
    "a\\b\\",
    '\\N\\"',
    "-->]]>",
    "🐟👩‍👩‍👧",
    "日本語",
    "zero\0\x1b[31m\nline",
    "‮evil",
    "&lt;",
    "a" * 500,
]


def sizes(pattern: Pattern) -> tuple[int, int]:
    """States, and arrows that take a row, of the picture of a pattern."""
    dot = read_dot(pattern.to_graphviz())
    rows = [1 for source, target, attributes in dot.edges if "color" not in attributes]
    picture = read_svg(pattern.to_svg())
    check_apart(picture.shapes)
    assert len(picture.shapes) == len(dot.nodes)
    assert picture.groups.get("cep-arrow-group", 0) == len(dot.edges)
    return len(dot.nodes), len(rows)


def arrows(engine: cep.Engine) -> set[tuple[str, str]]:
    dot = read_dot(engine.to_graphviz())
    picture = read_svg(engine.to_svg())
    check_apart(picture.shapes)
    assert len(picture.shapes) == len(dot.nodes)
    assert picture.groups.get("cep-arrow-group", 0) == len(dot.edges)
    return dot.arrows()


# Engines.

TOTALS = cep.window(total=col.amount.sum(), topic="payments", by="card").tumbling("1m").named("totals")
RISING = (event("low", topic="totals") >> event("high", topic="totals")).within("1h").timeouts(True).named("rising")
TWICE = (event("one", topic="rising") >> event("two", topic="rising")).within("1h").emit("twice-risen").named("twice")
CHAIN = {
    ("payments", "totals"),
    ("totals", "rising"),
    ("rising", "rising"),
    ("rising", "rising.timeout"),
    ("rising", "twice"),
    ("twice", "twice-risen"),
    ("totals", "totals"),
}


@pytest.mark.parametrize("order", list(itertools.permutations([TOTALS, RISING, TWICE])))
def test_rules_stand_between_what_they_read_and_what_they_derive(order):
    engine = cep.Engine(list(order))
    assert arrows(engine) == CHAIN
    titles = read_svg(engine.to_svg()).titles
    for said in ("rule twice reads topic rising", "rule rising derives topic rising.timeout", "source: topic payments"):
        assert said in titles


def test_a_chain_goes_from_left_to_right():
    engine = cep.Engine([TWICE, RISING, TOTALS])
    left = [shape[0] for shape in read_svg(engine.to_svg()).shapes]
    labels = [attributes["label"] for attributes in read_dot(engine.to_graphviz()).nodes.values()]
    at = dict(zip(labels, left, strict=True))
    chain = ["payments", "totals\nwindow", "totals", "rising\npattern", "rising", "twice\npattern", "twice-risen"]
    assert sorted(chain, key=at.__getitem__) == chain


def test_a_rule_that_names_no_topic_reads_every_source():
    engine = cep.Engine([event("any").named("seen"), event("login", topic="auth").named("logins")])
    named = {
        ("auth", "logins"),
        ("auth", "every source"),
        ("every source", "seen"),
        ("seen", "seen"),
        ("logins", "logins"),
    }
    assert arrows(engine) == named
    engine.push([{"ts": 1}], "bank")
    assert arrows(engine) == named | {("bank", "every source")}


def test_one_without_any_topic_has_a_source_all_the_same():
    engine = cep.Engine(event("any").named("seen"))
    assert arrows(engine) == {("every source", "seen"), ("seen", "seen")}
    engine.push([{"ts": 1}])
    assert ("rows without topic", "every source") in arrows(engine)


def test_the_picture_is_that_of_the_rules_as_they_are():
    engine = cep.Engine([TOTALS])
    assert arrows(engine) == {("payments", "totals"), ("totals", "totals")}
    engine.add(RISING)
    engine.add(TWICE)
    assert arrows(engine) == CHAIN
    restored = cep.Engine.restore(engine.snapshot(), [TOTALS, RISING, TWICE])
    assert restored.to_svg() == engine.to_svg()
    assert restored.to_graphviz() == engine.to_graphviz()
    engine.replace("twice", event("one", topic="orders"))
    assert ("orders", "twice") in arrows(engine)
    assert ("twice", "twice") in arrows(engine)
    assert ("rising", "twice") not in arrows(engine)
    engine.remove("twice")
    engine.remove("rising")
    assert arrows(engine) == {("payments", "totals"), ("totals", "totals")}
    with pytest.raises(cep.PatternError):
        engine.remove("rising")
    with pytest.raises(cep.PatternError):
        engine.add(event("late").named("totals"))
    assert arrows(engine) == {("payments", "totals"), ("totals", "totals")}


def test_several_rules_may_derive_one_topic():
    engine = cep.Engine(
        [event("a", topic="x").emit("alarm").named("one"), event("b", topic="y").emit("alarm").named("two")]
    )
    assert arrows(engine) == {("x", "one"), ("y", "two"), ("one", "alarm"), ("two", "alarm")}


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_rules_and_topics_are_text_whatever_is_in_them(name):
    engine = cep.Engine(event("a", topic=name + "in").emit(name + "out").named(name))
    arrows(engine)
    dot = read_dot(engine.to_graphviz())
    shown = name.replace("\0", "\ufffd").replace("\x1b", "\ufffd").replace("\u202e", "\ufffd").replace("\n", " ")
    labels = [attributes["label"] for attributes in dot.nodes.values()]
    assert labels[1].split("\n")[1] == "pattern"
    if len(name) < 40:
        assert labels == [shown + "in", f"{shown}\npattern", shown + "out"]
        assert {shown + "in", shown, shown + "out"} <= set(read_svg(engine.to_svg()).texts)
    else:
        assert all(len(label) < 60 and "…" in label for label in labels)
    titles = read_svg(engine.to_svg()).titles
    plain = shown.replace(" line", "\nline")
    assert any(f"rule {plain} reads topic {plain}in" == title for title in titles)


def test_two_hundred_rules_are_all_there():
    rules = [event("a", topic=f"t{place % 40}").named(f"r{place}") for place in range(100)]
    rules += [event("a", topic=f"r{place}").named(f"s{place}") for place in range(100)]
    engine = cep.Engine(rules)
    drawn = arrows(engine)
    assert len(drawn) == 100 + 100 + 100 + 100
    assert {f"r{place}" for place in range(100)} | {f"s{place}" for place in range(100)} <= set(
        read_svg(engine.to_svg()).texts
    )
    assert engine._repr_svg_() is None


def test_notebooks_are_given_the_same_picture():
    engine = cep.Engine(TOTALS)
    assert engine._repr_svg_() == engine.to_svg()
    assert TWICE._repr_svg_() == TWICE.to_svg()
    assert event("a").then(absent(event("b")))._repr_svg_() is None


# Patterns.


def test_a_sequence_is_a_row_of_states():
    pattern = cep.seq(event("a", "x > 1"), event("b", "x < 2"), contiguity="strict")
    assert sizes(pattern) == (3, 2)
    picture = read_svg(pattern.to_svg())
    assert {"a", "b", "x > 1", "x < 2"} <= set(picture.texts)
    assert not any("over" in text for text in picture.texts)
    left = [shape[0] for shape in picture.shapes]
    assert left == sorted(left)
    assert "a\nx > 1\nthe very next row" in picture.titles


def test_contiguity_is_the_manner_of_the_arrow_and_a_loop_where_rows_may_be_passed_over():
    pattern = (event("a") >> event("b", "x = 1")).then_any(event("c"))
    dot = read_dot(pattern.to_graphviz())
    said = {(source, target): attributes for source, target, attributes in dot.edges}
    assert "style" not in said["n0", "n1"]
    assert said["n1", "n2"]["style"] == "dashed"
    assert said["n2", "n3"]["style"] == "dotted"
    assert said["n1", "n1"]["label"] == "over others till b"
    assert said["n2", "n2"]["label"] == "over any till c"
    assert len(said) == 5


@pytest.mark.parametrize(
    ("pattern", "states", "rows"),
    [
        (event("a"), 2, 1),
        (event("a").optional() >> event("b"), 3, 2),
        (event("a").one_or_more() >> event("b"), 3, 3),
        (event("a").zero_or_more() >> event("b"), 4, 3),
        (event("a") | event("b"), 2, 2),
        ((event("a") | event("b")).one_or_more(contiguity="strict") >> event("c"), 3, 4),
        (cep.all_of(event("a"), event("b")), 4, 4),
        (cep.all_of(event("a"), event("b"), event("c")), 8, 12),
        (cep.all_of(event("a"), event("b"), event("c"), event("d")), 4, 4),
        (cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN (^ A $))"), 4, 1),
        (cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN ())"), 1, 0),
        (cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN (A B A))"), 4, 3),
    ],
)
def test_parts_have_the_states_that_they_need(pattern, states, rows):
    assert sizes(pattern) == (states, rows)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (event("a").times(2, 4), "2 to 4 times in all"),
        (event("a").times(3), "3 times in all"),
        (event("a").at_least(2), "2 times or more"),
        (event("a").times(0, 3) >> event("b"), "up to 3 times in all"),
        (event("a").one_or_more(greedy=False) >> event("b"), "rather fewer"),
        (event("a").one_or_more(until="x = 9") >> event("b"), "until x = 9"),
        (event("a").optional() >> event("b"), "left out"),
        ((event("a") >> event("b")).one_or_more(), "again"),
        (event("a") >> absent(event("x")) >> event("b"), "no x till the next row"),
        (event("a").next(absent(event("x"))) >> event("b"), "next row is not x"),
        (absent(event("x"), for_="1d") >> event("b"), "no x before, for 1d"),
        (absent(event("x")) >> event("b"), "no x before"),
        (event("a") >> absent(event("x", "v = 7")) >> event("b"), "v = 7"),
        (event("a") >> absent(event("x"), for_="2h"), "no x for 2h"),
        ((event("a") >> absent(event("x"))).within("1h"), "no x till the bound is over"),
        ((event("a") >> event("b")).within("90s"), "first row to last: less than 1m30s"),
        ((event("a") >> event("b")).within(rows=1), "first row to last: at most 1 row"),
        (event("a") >> event("b").one_or_more().within("5m"), "part takes less than 5m"),
        (event("a") >> event("b").within("5s", between="neighbours"), "less than 5s behind the row before"),
        (event("a").partition_by("card", "shop"), "for each card, shop"),
        (event("a").matches("all"), "every match"),
        (event("a").having("a.x > 1"), 'having FINAL LAST("a".x) > 1'),
        (event("a", topic="auth") >> event("b"), "of auth"),
        (event("a") >> absent(event("x", topic="auth")) >> event("b"), "of auth"),
        (event("a") >> absent(event("x", "v = 7"), for_="2h"), "v = 7"),
        (event("a").named("fraud"), "pattern fraud"),
        (cep.all_of(*map(event, "abcd")), "all of these, in any order"),
        (event("e").next(cep.all_of(*map(event, "abcd"))), "the first: the very next row"),
        (cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN (A {- B -} C))"), "not reported"),
        (cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN (^ A))"), "at the start of its partition"),
        (cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN (A $))"), "at the end of its partition"),
        (cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN (A B*?) DEFINE B AS B.x > PREV(B.x))"), "rather fewer"),
    ],
)
def test_what_a_pattern_says_stands_in_its_picture(pattern, words):
    sizes(pattern)
    assert words in read_svg(pattern.to_svg()).texts
    assert words in read_dot(pattern.to_graphviz()).lines()


def test_a_group_goes_back_to_where_nothing_else_begins():
    # Were the state shared, a second round could take c, or leave the first loop twice.
    either = (event("a") >> event("b")).one_or_more() | event("c")
    after = (event("a") >> event("b")).one_or_more() >> (event("c") >> event("d")).one_or_more()
    for pattern in (either, after):
        dot = read_dot(pattern.to_graphviz())
        leaving: dict[str, set[str]] = {}
        for source, target, attributes in dot.edges:
            if source != target and "color" not in attributes:
                leaving.setdefault(source, set()).add(attributes["label"].split("\n")[0])
        for source, target, attributes in dot.edges:
            if attributes.get("label", "").startswith("again"):
                assert leaving[target] in ({"a"}, {"c"}), (source, target)


def test_python_predicates_are_called_by_their_names():
    def is_big(amounts):
        return amounts

    pattern = event("a", cep.udf(is_big, columns=["amount"]))
    assert '"is_big(amount)"' in read_svg(pattern.to_svg()).texts


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_conditions_of_events_are_text_whatever_is_in_them(name):
    clean = name.replace("\0", "")
    pattern = event(name, col.x == clean, topic=name).optional() >> event("end", col(name) > 1).one_or_more()
    assert sizes(pattern.named(name)) == (3, 3)


def test_three_hundred_steps_are_drawn():
    steps = [event(f"s{place}", f"x = {place}") for place in range(300)]
    long = cep.seq(*steps)
    assert sizes(long) == (301, 300)
    optional = cep.seq(*(step.optional() for step in steps), event("end"))
    assert sizes(optional) == (302, 301)
    assert long._repr_svg_() is None


def test_many_ways_of_unequal_length_are_drawn():
    long = cep.seq(*(event(f"s{place}") for place in range(200)))
    ways = [event(f"w{place}") for place in range(200)]
    pattern = long
    for way in ways:
        pattern = pattern | way
    assert sizes(pattern) == (201, 400)


def test_deep_nesting_is_drawn():
    pattern = event("a")
    for place in range(30):
        pattern = (pattern >> event(f"b{place}")).one_or_more()
    assert sizes(pattern)[1] == 31 + 30
    nested = event("a")
    for _ in range(60):
        nested = nested.optional() if _ % 2 else nested.one_or_more()
    sizes(nested)


def test_an_impossible_pattern_is_refused_as_ever():
    with pytest.raises(cep.PatternError):
        event("a").then(absent(event("b"))).to_svg()
    with pytest.raises(cep.PatternError):
        event("a").then(absent(event("b"))).to_graphviz()


def test_the_same_pattern_gives_the_same_text():
    def built() -> Pattern:
        return (event("a", "x > 1") | event("b")).one_or_more() >> cep.all_of(event("c"), event("d"))

    assert built().to_svg() == built().to_svg() == Pattern.from_json(built().to_json()).to_svg()
    assert built().to_graphviz() == built().to_graphviz()
