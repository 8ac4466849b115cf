"""Values over all matches: what can be asked, how numbers of any size come out, what is refused."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event, ref


def loop(name: str = "b") -> cep.Pattern:
    return event(name, col.k == name).one_or_more(contiguity="skip_till_any")


def kleene() -> cep.Pattern:
    return event("a", col.k == "a").then_any(loop()).then_any(event("c", col.k == "c"))


def rows(count: int) -> pa.Table:
    """An a, so many b and a c: the subsets of the b that are not empty are matches."""
    return pa.table({"k": ["a", *["b"] * count, "c"], "v": list(range(count + 2)), "x": [0.5] * (count + 2)})


@pytest.mark.parametrize("count", [1, 10, 126, 127, 128, 1000, 5000])
def test_a_count_is_exact_of_any_size(count: int) -> None:
    pattern = kleene().matches("all")
    assert pattern.count(rows(count)) == 2**count - 1
    assert pattern.exists(rows(count))
    assert pattern.within(rows=count + 1).count(rows(count)) == 2**count - 1
    assert pattern.within(rows=count).count(rows(count)) == 0


@pytest.mark.parametrize("count", [100, 126, 127, 200, 1000, 3000])
def test_whole_numbers_say_when_they_are_too_long_and_are_near_then(count: int) -> None:
    pattern = kleene().aggregate(
        n=cep.count(), taken=ref("b").count(), total=ref("b").v.sum(), mean=ref("b").v.avg(), x=ref("b").x.avg()
    )
    (row,) = cep.match(pattern, rows(count)).to_arrow().to_pylist()
    matches, taken = 2**count - 1, count * 2 ** (count - 1)
    total = sum(range(1, count + 1)) * 2 ** (count - 1)
    for name, value in (("n", matches), ("taken", taken), ("total", total)):
        if value < 10**38:
            assert row[name] == Decimal(value)
        else:
            assert row[name] is None
        near = float(value) if value < 2**1023 else math.inf
        assert row[f"{name}_approx"] == pytest.approx(near, rel=1e-12)
    assert row["exact"] is (total < 10**38)
    # A mean is as near however many matches there are.
    assert row["mean"] == pytest.approx(float(Fraction(total, taken)), rel=1e-9)
    assert row["x"] == pytest.approx(0.5)


def test_types_do_not_depend_on_the_data() -> None:
    pattern = kleene().aggregate(n=cep.count(), total=ref("b").v.sum(), x=ref("b").x.sum(), most=ref("b").v.max())
    expected = {
        "n": pa.decimal128(38, 0),
        "n_approx": pa.float64(),
        "total": pa.decimal128(38, 0),
        "total_approx": pa.float64(),
        "x": pa.float64(),
        "most": pa.int64(),
        "exact": pa.bool_(),
    }
    for table in (rows(3), rows(300), rows(3).slice(0, 0)):
        schema = cep.match(pattern, table).to_arrow().schema
        assert {field.name: field.type for field in schema} == expected


def test_windows_by_time() -> None:
    base = dt.datetime(2026, 1, 1)
    table = pa.table({"ts": [base + dt.timedelta(minutes=m) for m in (0, 1, 9, 10, 25)], "k": list("aabba")})
    pattern = event("a", col.k == "a").then_any(event("b", col.k == "b"))
    asked = pattern.aggregate(n=cep.count(), every="10m")
    assert asked == pattern.aggregate({"n": "COUNT(*)"}, every=dt.timedelta(minutes=10))
    found = cep.match(asked, table, event_time="ts").to_arrow().to_pylist()
    assert [(row["window_start"], row["window_end"], int(row["n"])) for row in found] == [
        (base, base + dt.timedelta(minutes=10), 2),
        (base + dt.timedelta(minutes=10), base + dt.timedelta(minutes=20), 2),
    ]
    assert found[0]["window_start"].tzinfo is None


def test_what_is_asked_for_adds_up_and_is_code() -> None:
    pattern = kleene().aggregate(n=cep.count()).aggregate(most=ref("b").v.max(), every="1h")
    assert repr(pattern).endswith(".aggregate(n=cep.count(), most=cep.ref('b').v.max(), every='1h')")
    assert pattern.matches("all") == pattern
    assert "ALL MATCHES" in pattern.order_by("ts").to_sql()
    assert cep.pattern_from_sql(pattern.order_by("ts").to_sql()).variables == pattern.variables
    assert "trend vectors" in pattern.order_by("v").explain(rows(2))


@pytest.mark.parametrize(
    ("built", "code"),
    [
        (lambda: kleene().aggregate(), "too-few-parts"),
        (lambda: kleene().aggregate(n=cep.count(), every="0s"), "invalid-within"),
        (lambda: kleene().aggregate(n=ref("q").count()), "unknown-variable"),
        (lambda: kleene().aggregate(n=cep.count()).aggregate(n=cep.count()), "duplicate-measure"),
        (lambda: kleene().aggregate(n=cep.count(), n_approx=cep.count()), "measure-name-taken"),
        (lambda: kleene().aggregate(window_start=cep.count(), every="1s"), "measure-name-taken"),
        (lambda: kleene().aggregate(n=cep.count()).matches("first"), "conflicting-clauses"),
        (lambda: kleene().aggregate(n=cep.count()).having(ref("b").count() > 1), "conflicting-clauses"),
        (lambda: kleene().aggregate(n=cep.count()).rows_per_match("all"), "conflicting-clauses"),
        (lambda: kleene().aggregate(n=cep.count()).timeouts(True), "conflicting-clauses"),
        (lambda: kleene().aggregate(n=cep.count()) >> event("d"), "clause-on-part"),
        (lambda: kleene().aggregate(n=ref("b").k.sum()), "type-mismatch"),
        (lambda: kleene().aggregate(n=cep.count()).partition_by("n"), "unknown-column"),
    ],
)
def test_what_cannot_be_is_refused_by_code(built: object, code: str) -> None:
    with pytest.raises(cep.CepheidError) as caught:
        cep.match(built(), rows(3))  # type: ignore[operator]
    assert caught.value.code == code, str(caught.value)


def test_a_partition_column_keeps_its_name_to_itself() -> None:
    with pytest.raises(cep.PatternError, match="exact") as caught:
        cep.match(kleene().partition_by("exact").aggregate(n=cep.count()), rows(2).append_column("exact", [[1] * 4]))
    assert caught.value.code == "measure-name-taken"


def test_a_stream_refuses_it_and_says_so() -> None:
    with pytest.raises(cep.PatternError, match="stream") as caught:
        cep.Engine(kleene().within("1m").aggregate(n=cep.count()), "ts")
    assert caught.value.code == "unsupported"


def test_an_ambiguous_pattern_is_named_and_still_counted_one_by_one() -> None:
    pattern = event("a", col.k == "b").one_or_more(contiguity="skip_till_any").one_or_more()
    with pytest.raises(cep.PatternError, match="several ways lead to one match, which part at `a`"):
        cep.match(pattern.aggregate(n=cep.count()), rows(3))
    assert pattern.matches("all").count(rows(3)) == 7


def test_results_go_where_others_go() -> None:
    matches = cep.match(kleene().aggregate(n=cep.count(), mean=ref("b").v.avg()), rows(3))
    assert len(matches) == matches.num_rows == 1
    assert matches.strategy == "trend vectors"
    assert "n_approx" in repr(matches)
    assert matches.to_numpy()["mean"].tolist() == [2.0]
    assert matches.to_pandas()["n"].tolist() == [7]
    assert pa.table(matches.rows).num_rows == 0


def test_a_query_may_compute_with_the_values() -> None:
    query = """
        SELECT n, total / n AS each FROM t MATCH_RECOGNIZE (
            AGGREGATE COUNT(*) AS n, SUM(b.x) AS total PATTERN (a ->> b+ [->>] ->> c)
            DEFINE a AS k = 'a', b AS k = 'b', c AS k = 'c'
        ) WHERE n > 1
    """
    assert cep.sql(query, t=rows(2)).num_rows == 1
    assert cep.sql(query, t=rows(1)).num_rows == 0


def test_python_predicates_count_too() -> None:
    import pyarrow.compute as pc

    even = cep.udf(lambda v: pc.equal(pc.bit_wise_and(v, 1), 0), columns=["v"])
    pattern = event("a", even).one_or_more(contiguity="skip_till_any").aggregate(n=cep.count(), most=ref("a").v.max())
    (row,) = cep.match(pattern, rows(4)).to_arrow().to_pylist()
    assert (row["n"], row["most"]) == (7, 4)
