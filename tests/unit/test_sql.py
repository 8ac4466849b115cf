"""SQL from Python: tables by name, output as the standard has it, errors with a place."""

import pytest

import cepheid as cep
from cepheid import event, ref

QUERY = """
SELECT m.k, hi - lo AS rise FROM Prices MATCH_RECOGNIZE (
    PARTITION BY k ORDER BY t
    MEASURES A.x AS lo, LAST(B.x) AS hi
    PATTERN (A B+) DEFINE B AS x > PREV(x)
) AS m WHERE hi - lo > 1 ORDER BY rise DESC LIMIT 5
"""
PRICES = {"k": ["u", "u", "v", "v", "v"], "t": [1, 2, 1, 2, 3], "x": [1, 2, 1, 3, 9]}


def test_a_query_reads_its_table_by_name_whatever_the_case():
    for tables in ({"Prices": PRICES}, {"prices": PRICES}, {"PRICES": PRICES, "other": None}):
        matches = cep.sql(QUERY, **tables)
        assert list(matches) == [{"k": "v", "rise": 8}]
        assert len(matches) == 1


def test_the_name_as_written_wins_and_a_quoted_one_must_be_exact():
    assert len(cep.sql(QUERY, Prices=PRICES, prices={"k": [], "t": [], "x": []})) == 1
    quoted = QUERY.replace("Prices", '"Prices"')
    assert len(cep.sql(quoted, Prices=PRICES)) == 1
    with pytest.raises(cep.SqlError) as caught:
        cep.sql(quoted, prices=PRICES)
    assert caught.value.code == "unknown-table"


def test_an_unknown_table_is_answered_with_the_nearest():
    with pytest.raises(cep.SqlError, match="did you mean `price`") as caught:
        cep.sql(QUERY, price=PRICES, cost=PRICES)
    assert (caught.value.hint, caught.value.known) == ("price", ("price", "cost"))
    with pytest.raises(cep.SqlError):
        cep.sql(QUERY)


def test_select_star_gives_the_columns_of_the_standard():
    text = (
        "SELECT * FROM t MATCH_RECOGNIZE "
        "(PARTITION BY k ORDER BY t MEASURES A.x AS ax {} PATTERN (A) DEFINE A AS x > 2)"
    )
    assert cep.sql(text.format("ONE ROW PER MATCH"), t=PRICES).column_names == ["k", "ax"]
    assert cep.sql(text.format("ALL ROWS PER MATCH"), t=PRICES).column_names == ["k", "t", "ax", "x"]


def test_errors_have_a_place_and_a_caret():
    with pytest.raises(cep.SqlError) as caught:
        cep.sql("SELECT *\nFROM t MATCH_RECOGNISE (PATTERN (A))", t=PRICES)
    error = caught.value
    assert (error.line, error.code) == (2, "syntax")
    assert error.span is not None
    assert "^^^" in str(error)
    with pytest.raises(cep.SqlError) as caught:
        cep.sql("SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A B) DEFINE C AS x > 1)", t=PRICES)
    assert (caught.value.code, caught.value.variable) == ("undefined-variable", "C")
    with pytest.raises(cep.SqlError) as caught:
        cep.event("a", "pricee >")
    assert caught.value.line == 1


@pytest.mark.parametrize("text", ["", ";", "SELECT", "\0", "(" * 100_000, "SELECT * FROM t", "\ud800", "é é"])
def test_other_texts_are_sql_errors(text):
    for use in (lambda: cep.sql(text, t=PRICES), lambda: cep.pattern_from_sql(text), lambda: cep.event("a", text)):
        with pytest.raises(cep.SqlError):
            use()


@pytest.mark.parametrize("text", [None, 1, b"SELECT"])
def test_sql_is_text(text):
    with pytest.raises(TypeError):
        cep.sql(text, t=PRICES)


def test_beyond_one_pattern_is_refused_with_a_hint():
    with pytest.raises(cep.SqlError, match=r"DuckDB|Polars") as caught:
        cep.sql("SELECT k, count(*) FROM t MATCH_RECOGNIZE (PATTERN (A)) GROUP BY k", t=PRICES)
    assert caught.value.code == "unsupported"


def test_a_pattern_from_sql_can_be_matched_and_carries_a_name():
    pattern = cep.pattern_from_sql(
        "MATCH_RECOGNIZE (ORDER BY t MEASURES A.x AS x PATTERN (A) DEFINE A AS x > 2)"
    ).named("big")
    assert cep.match(pattern, PRICES).column_names == ["x"]
    assert pattern.count(PRICES) == 2


SAID = {
    "steps with gaps": event("a", "x > 1") >> event("b", "x > a.x"),
    "skip till any": event("a").then_any(event("b")).within(rows=9).after_match("consume"),
    "strict": cep.seq(event("a"), event("b", "y = 1").one_or_more(), contiguity="strict"),
    "clauses": (event("a") >> event("b")).partition_by("k").order_by("t").select(n=ref("b").count()).within("1h"),
    "names are no part of the clause": (event("a") >> event("b")).named("rule").emit("alerts"),
}
UNSAID = {
    "the condition of `a` leaves the row under test out": event("a", "x > LAST(a.x)").one_or_more(),
    "a skip to a row that need not be there": (event("a") >> event("b")).after_match(("to_first", "b")),
    "whether parts without rows match": cep.seq(event("a").optional(), contiguity="strict"),
}


@pytest.mark.parametrize("pattern", SAID.values(), ids=list(SAID))
def test_sql_of_a_pattern_of_the_algebra_means_the_same(pattern):
    found = cep.pattern_from_sql(pattern.to_sql()).to_dict()["pattern"]
    meant = pattern.to_dict()["pattern"]
    apart = {"name", "emit", "output", "empty_matches"}
    assert {key: value for key, value in found.items() if key not in apart} == {
        key: value for key, value in meant.items() if key not in apart
    }


@pytest.mark.parametrize("construct", UNSAID)
def test_what_sql_cannot_say_is_refused_by_name(construct):
    pattern = UNSAID[construct]
    with pytest.raises(cep.PatternError, match=construct) as caught:
        pattern.to_sql()
    assert caught.value.code == "unsupported"
    assert caught.value.hint
    assert pattern == cep.Pattern.from_json(pattern.to_json())


def test_a_pattern_that_sql_cannot_say_is_still_spelled_as_code():
    data = event("a", "x > LAST(a.x)").one_or_more().to_dict()
    data["pattern"]["output"] = "standard"
    pattern = cep.Pattern.from_dict(data)
    assert eval(repr(pattern), {"cep": cep}) == pattern
