"""Matches do not depend on threads or batches, and are those that a plain program finds."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from generated import EXAMPLES, PROFILE, cut, tables
from hypothesis import given
from hypothesis import strategies as st

import cepheid as cep
from cepheid import col, event, prev, ref

THREADS = 4

FALL = event("fall", col.x < prev(col.x)).one_or_more()
RISE = event("rise", col.x > prev(col.x)).one_or_more()
# One for each strategy, and each of the shapes of output.
PATTERNS = {
    "bit streams": cep.seq(event("top"), FALL, RISE, contiguity="strict")
    .partition_by("p")
    .order_by("t")
    .select(low=ref("fall").x, n=ref("rise").count()),
    "reverse automaton": cep.pattern_from_sql(
        """MATCH_RECOGNIZE (
            PARTITION BY p ORDER BY t MEASURES CLASSIFIER() AS c, MATCH_NUMBER() AS m, SUM(x) AS s
            ALL ROWS PER MATCH WITH UNMATCHED ROWS AFTER MATCH SKIP TO NEXT ROW
            PATTERN ((A | B)* C?) DEFINE A AS kind = 'a', B AS x > 2, C AS kind = 'c')"""
    ),
    "start runs": cep.seq(event("a"), event("b", col.x > ref("a").x).one_or_more(), contiguity="strict")
    .order_by("t", descending=True)
    .select(total=ref("b").x.sum()),
    "backtracking": cep.seq(
        (event("a", "kind = 'a'") | event("b")).times(1, 5),
        event("end", col.x > ref("a").x.sum()),
        contiguity="strict",
    ).rows_per_match("all"),
}


def same(left: cep.Matches, right: cep.Matches) -> bool:
    return left.to_arrow().equals(right.to_arrow()) and left.rows.equals(right.rows) and len(left) == len(right)


def test_the_patterns_are_run_by_every_strategy() -> None:
    schema = pa.schema({"p": pa.string(), "t": pa.int64(), "x": pa.int64(), "kind": pa.string()})
    for strategy, pattern in PATTERNS.items():
        assert f"  strategy: {strategy};" in pattern.explain(schema)
    assert len(PATTERNS) == 4


@pytest.mark.parametrize("name", PATTERNS)
def test_matches_are_the_same_however_the_rows_are_cut_into_batches(name: str) -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(table=tables(), places=st.lists(st.integers(0, 30), max_size=6))
    def check(table: pa.Table, places: list[int]) -> None:
        pieces = cut(table, places)
        assert pieces.num_rows == table.num_rows
        whole = cep.match(PATTERNS[name], table)
        assert same(cep.match(PATTERNS[name], pieces), whole)
        reader = pa.RecordBatchReader.from_batches(pieces.schema, pieces.to_batches())
        assert same(cep.match(PATTERNS[name], reader), whole)
        assert PATTERNS[name].count(pieces) == len(whole)
        assert PATTERNS[name].exists(pieces) == (len(whole) > 0)
        seen["examples"] += 1
        seen["matched"] += len(whole) > 0
        seen["cut"] += pieces.num_rows > 1 and pieces.column(0).num_chunks > 1

    check()
    assert seen["examples"] >= EXAMPLES
    assert min(seen["matched"], seen["cut"]) >= EXAMPLES / 30, seen


@pytest.mark.parametrize("name", PATTERNS)
def test_threads_that_share_a_pattern_and_a_table_find_the_same(name: str) -> None:
    pattern = PATTERNS[name]
    kinds = [0, 5, 3, 2, 4, 1, None, 2, 1, 3, 5, 5, 4, 0, 2]
    rows = 600
    table = pa.table(
        {
            "p": pa.array([["u", "v", None][row * 7 % 3] for row in range(rows)]),
            "t": pa.array([row // 2 for row in range(rows)], pa.int64()),
            "x": pa.array([kinds[row * row % len(kinds)] for row in range(rows)], pa.int64()),
            "kind": pa.array(["abc"[row * 5 % 7 % 3] for row in range(rows)]),
        }
    )
    expected = cep.match(pattern, table)
    assert len(expected) >= 10
    fresh = cep.Pattern.from_json(pattern.to_json())
    barrier = Barrier(THREADS, timeout=30)

    def match_again(_: int) -> list[cep.Matches]:
        barrier.wait()
        return [cep.match(fresh, table) for _ in range(5)]

    with ThreadPoolExecutor(THREADS) as pool:
        found = [matches for answers in pool.map(match_again, range(THREADS)) for matches in answers]
    assert len(found) == THREADS * 5
    assert all(same(matches, expected) for matches in found)


def partitions(table: pa.Table) -> list[list[tuple[int, Any]]]:
    """The (arrival, x) pairs of each partition by `p`, in the order of `t`; NULL is a partition of its own."""
    rows: dict[Any, list[tuple[int, int, Any]]] = {}
    for arrival, row in enumerate(table.to_pylist()):
        rows.setdefault(row["p"], []).append((row["t"], arrival, row["x"]))
    return [[(arrival, x) for _, arrival, x in sorted(part, key=lambda r: r[:2])] for part in rows.values()]


def valleys(rows: list[tuple[int, Any]]) -> list[list[int]]:
    """A row, one or more that fall, one or more that rise; the next begins past the last row."""

    def runs_on(place: int, sign: int) -> bool:
        if place >= len(rows) or rows[place][1] is None or rows[place - 1][1] is None:
            return False
        return (rows[place][1] - rows[place - 1][1]) * sign > 0

    found, start = [], 0
    while start < len(rows):
        bottom = start
        while runs_on(bottom + 1, -1):
            bottom += 1
        end = bottom
        while runs_on(end + 1, 1):
            end += 1
        if start < bottom < end:
            found.append([arrival for arrival, _ in rows[start : end + 1]])
            start = end + 1
        else:
            start += 1
    return found


def test_valleys_are_those_of_a_plain_loop() -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(table=tables(max_rows=50))
    def check(table: pa.Table) -> None:
        expected = [rows for partition in partitions(table) for rows in valleys(partition)]
        matches = cep.match(PATTERNS["bit streams"], table)
        found: list[list[int]] = [[] for _ in range(len(matches))]
        for member in matches.rows.to_pylist():
            found[member["match"]].append(member["row"])
        assert sorted(found) == sorted(expected)
        sql = cep.sql(
            """SELECT * FROM t MATCH_RECOGNIZE (
                PARTITION BY p ORDER BY t MEASURES LAST(B.x) AS low, COUNT(C.*) AS n
                PATTERN (A B+ C+) DEFINE B AS x < PREV(x), C AS x > PREV(x))""",
            t=table,
        )
        in_order: list[list[int]] = [[] for _ in range(len(sql))]
        for member in sql.rows.to_pylist():
            in_order[member["match"]].append(member["row"])
        assert in_order == expected
        x = table["x"].to_pylist()
        assert sql.to_arrow()["low"].to_pylist() == [min(x[row] for row in rows) for rows in expected]
        seen["examples"] += 1
        seen["matches"] += len(expected)

    check()
    assert seen["examples"] >= EXAMPLES
    assert seen["matches"] >= EXAMPLES / 15, seen


def test_two_rows_are_those_of_a_window_in_duckdb() -> None:
    seen: Counter[str] = Counter()
    database = duckdb.connect()

    @PROFILE
    @given(table=tables(max_rows=40))
    def check(table: pa.Table) -> None:
        numbered = table.append_column("arrival", pa.array(range(table.num_rows), pa.int64()))
        database.register("numbered", numbered)
        expected = database.sql(
            """
            SELECT arrival AS a, following AS b, x + next_x AS total
            FROM (
                SELECT *, lead(arrival) OVER rows_of AS following, lead(x) OVER rows_of AS next_x
                FROM numbered
                WINDOW rows_of AS (PARTITION BY p ORDER BY t, arrival)
            )
            WHERE kind <> 'c' AND next_x > x
            ORDER BY a
            """
        ).fetchall()
        matches = cep.sql(
            """
            SELECT a, b, total FROM numbered MATCH_RECOGNIZE (
                PARTITION BY p ORDER BY t
                MEASURES A.arrival AS a, B.arrival AS b, A.x + B.x AS total
                AFTER MATCH SKIP TO NEXT ROW
                PATTERN (A B) DEFINE A AS kind <> 'c', B AS x > A.x
            ) ORDER BY a
            """,
            numbered=numbered,
        )
        assert [tuple(row.values()) for row in matches] == expected
        seen["examples"] += 1
        seen["matches"] += len(expected)

    check()
    assert seen["examples"] >= EXAMPLES
    assert seen["matches"] >= EXAMPLES / 15, seen
