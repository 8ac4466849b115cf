"""Windows in SQL: spelled as Flink does, grouped, and refused with a place where there is more."""

import pytest

import cepheid as cep
from cepheid import col

SECOND = 1_000_000_000
TRADES = {
    "ts": [second * SECOND for second in (1, 3, 9, 10, 12, 31)],
    "symbol": ["a", "b", "a", "a", "b", "a"],
    "price": [5, 7, 6, 9, 1, 4],
}
TUMBLE = "TUMBLE(TABLE trades, DESCRIPTOR(ts), INTERVAL '10' SECOND)"
GROUP = "GROUP BY symbol, window_start, window_end"


def run(items, function=TUMBLE, rest=GROUP):
    return cep.sql(f"SELECT {items} FROM TABLE({function}) {rest}", trades=TRADES)


def test_a_query_of_windows_is_read_into_the_window_that_python_says():
    hop = "HOP(TABLE trades, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '1' MINUTE)"
    session = "SESSION(TABLE trades PARTITION BY symbol, DESCRIPTOR(ts), INTERVAL '30' MINUTE)"
    total = cep.window(total=col.price.sum(), by="symbol", event_time="ts")
    for function, rest, window in (
        (TUMBLE, GROUP, total.tumbling("10s")),
        (hop, GROUP, total.hopping("1m", every="5s")),
        (session, GROUP, total.session(gap="30m")),
        (TUMBLE, f"AS w WHERE w.price > 1 {GROUP}", total.where("price > 1").tumbling("10s")),
    ):
        assert cep.window_from_sql(f"SELECT symbol, SUM(price) AS total FROM TABLE({function}) {rest}") == window


def test_the_columns_are_exactly_those_selected():
    found = run("symbol AS s, SUM(price) AS total, window_end, COUNT(*)")
    assert found.column_names == ["s", "total", "window_end", "_col3"]
    rows = list(found)
    assert [(row["s"], row["total"], row["window_end"] // SECOND) for row in rows] == [
        ("a", 11, 10),
        ("b", 7, 10),
        ("a", 9, 20),
        ("b", 1, 20),
        ("a", 4, 40),
    ]
    assert run("symbol", rest=GROUP).to_arrow()["symbol"].to_pylist() == ["a", "b", "a", "b", "a"]


def test_having_order_and_limit_see_keys_windows_and_aggregates():
    rest = f"{GROUP} HAVING COUNT(*) > 1 OR MAX(price) >= 7 AND window_start >= 0 ORDER BY total DESC, symbol LIMIT 2"
    found = run("symbol, SUM(price) AS total", rest=rest)
    assert list(found) == [{"symbol": "a", "total": 11}, {"symbol": "a", "total": 9}]
    found = run("symbol, SUM(price) AS total", rest=f"{GROUP} ORDER BY MIN(price), 1 OFFSET 1 ROWS FETCH NEXT ROW ONLY")
    assert list(found) == [{"symbol": "a", "total": 4}]


def test_the_row_condition_comes_before_the_windows():
    found = run("symbol, COUNT(*) AS n, LAST(price) AS last", rest=f"AS w WHERE w.price > 5 {GROUP}")
    assert [(row["symbol"], row["n"], row["last"]) for row in found] == [("b", 1, 7), ("a", 1, 6), ("a", 1, 9)]


def test_expressions_are_computed_of_aggregates_and_bounds():
    found = run("SUM(price) * 1.0 / COUNT(*) AS mean, (window_end - window_start) / 1000000000 AS seconds")
    assert [row["seconds"] for row in found] == [10] * 5
    assert next(iter(found))["mean"] == pytest.approx(5.5)


def test_hops_and_sessions_run_too():
    hop = "HOP(TABLE trades, DESCRIPTOR(ts), SLIDE => INTERVAL '5' SECOND, SIZE => INTERVAL '10' SECOND)"
    found = run("COUNT(*) AS n", hop, "GROUP BY window_start, window_end")
    assert [row["n"] for row in found] == [2, 3, 3, 2, 1, 1]
    session = "SESSION(TABLE trades, DESCRIPTOR(ts), INTERVAL '6' SECOND)"
    found = run("COUNT(*) AS n", session, "GROUP BY window_start, window_end")
    assert [row["n"] for row in found] == [2, 3, 1]


def test_errors_have_a_place_and_a_caret():
    with pytest.raises(cep.SqlError) as caught:
        run("symbol,\n  prise")
    error = caught.value
    assert (error.code, error.line, error.column_number) == ("invalid-expression", 2, 3)
    assert "neither grouped by nor in an aggregate" in str(error)
    assert "^^^^^" in str(error)
    with pytest.raises(cep.SqlError, match="did you mean `TUMBLE`"):
        run("COUNT(*)", "TUMBEL(TABLE trades)")
    for rest, construct in ((f"JOIN x ON TRUE {GROUP}", "a join"), (f"{GROUP} UNION ALL SELECT 1", "UNION")):
        with pytest.raises(cep.SqlError, match=f"{construct} cannot stand here.*DuckDB or Polars") as caught:
            run("COUNT(*) AS n", rest=rest)
        assert caught.value.code == "unsupported"


def test_an_unknown_table_is_answered_with_the_nearest():
    with pytest.raises(cep.SqlError, match="did you mean `trade`") as caught:
        cep.sql(f"SELECT COUNT(*) FROM TABLE({TUMBLE}) {GROUP}", trade=TRADES)
    assert caught.value.code == "unknown-table"


def test_patterns_and_windows_are_told_apart():
    query = f"SELECT COUNT(*) AS n FROM TABLE({TUMBLE}) {GROUP}"
    with pytest.raises(cep.SqlError, match="window_from_sql"):
        cep.pattern_from_sql(query)
    with pytest.raises(cep.SqlError, match="pattern_from_sql"):
        cep.window_from_sql("SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A))")
    with pytest.raises(TypeError):
        cep.window_from_sql(5)
    with pytest.raises(cep.SqlError, match="leave the clause out"):
        cep.window_from_sql(f"{query} LIMIT 1")
