"""Joins of events that are near in time, against the join that SQL would write."""

from __future__ import annotations

import random

import duckdb
import pyarrow as pa
import pytest

import cepheid as cep

SECOND = 1_000_000_000


def tables(seed: int, rows: int = 60) -> dict[str, pa.Table]:
    draw = random.Random(seed)

    def table(value: str) -> pa.Table:
        times = sorted(draw.randrange(40) * SECOND for _ in range(rows))
        keys = [draw.choice(["a", "b", "c", None]) for _ in times]
        columns = {"ts": times, "k": keys, value: range(rows), "both": [draw.randrange(9) for _ in times]}
        return pa.table({**columns, "k": pa.array(keys, pa.string())})

    return {"bids": table("bid"), "asks": table("ask")}


def in_sql(tables: dict[str, pa.Table], before: int, after: int) -> list[tuple[object, ...]]:
    bids, asks = tables["bids"], tables["asks"]  # noqa: F841 (DuckDB finds them by name)
    query = f"""
        SELECT bids.k, bid, bids.both, ask, asks.both AS both_right FROM bids JOIN asks
        ON bids.k IS NOT DISTINCT FROM asks.k AND asks.ts BETWEEN bids.ts - {before} AND bids.ts + {after}
        ORDER BY ALL
    """
    return duckdb.sql(query).fetchall()


def joined(before: int, after: int) -> cep.Pattern:
    columns = {"left_columns": ["bid", "both"], "right_columns": ["ask", "both"]}
    spans = {"before": f"{before}ns", "after": f"{after}ns"}
    return cep.interval_join("bids", "asks", on="k", **spans, **columns)


def pairs(found: pa.Table) -> list[tuple[object, ...]]:
    rows = found.select(["k", "bid", "both", "ask", "both_right"]).to_pylist()
    return sorted((tuple(row.values()) for row in rows), key=lambda row: (row[0] is None, row[0] or "", row[1:]))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 5), (5, 0), (3, 10)])
def test_pairs_are_those_of_sql_whichever_topic_comes_first(before: int, after: int, turned: bool):
    checked = 0
    for seed in range(10):
        given = tables(seed)
        expected = in_sql(given, before * SECOND, after * SECOND)
        data = dict(reversed(given.items())) if turned else given
        found = cep.match(joined(before * SECOND, after * SECOND), data, event_time="ts")
        assert pairs(found.to_arrow()) == expected
        checked += len(expected)
    assert checked > 100


def test_a_stream_reports_each_pair_with_its_later_event():
    given = tables(7)
    engine = cep.Engine(joined(3 * SECOND, 10 * SECOND).named("pairs"), lateness="60s")
    draw = random.Random(1)
    arrivals = [(topic, row) for topic, table in given.items() for row in range(table.num_rows)]
    draw.shuffle(arrivals)
    found = []
    for topic, row in arrivals:
        found.append(engine.push(given[topic].slice(row, 1), topic))
    found.append(engine.flush())
    derived = pa.concat_tables([one["pairs"].to_arrow() for one in found if "pairs" in one])
    assert pairs(derived) == in_sql(given, 3 * SECOND, 10 * SECOND)


def test_the_events_of_a_pair_are_named():
    data = {"l": {"ts": [10], "k": [1]}, "r": {"ts": [9, 11], "k": [1, 1]}}
    found = cep.match(cep.interval_join("l", "r", on=["k"], after="5ns", before="5ns"), data, event_time="ts")
    rows = [(row["match"], row["variable"], row["topic"], row["row"]) for row in found.rows.to_pylist()]
    assert rows == [
        (0, "earlier_right", "r", 0), (0, "later_left", "l", 0), (1, "left", "l", 0), (1, "right", "r", 1),
    ]  # fmt: skip


def test_what_is_no_join_is_refused():
    for build, problem, code in (
        (lambda: cep.interval_join("a", "a", on="k"), "two topics", "invalid-clause"),
        (lambda: cep.interval_join("a", "b", on=[]), "one column at least", "invalid-clause"),
        (lambda: cep.interval_join("a", "b", on=["k", "k"]), "names a column twice", "invalid-clause"),
        (lambda: cep.interval_join("a", "b", on="k", after="-1s"), "span", None),
        (lambda: cep.interval_join("a", "b", on="k", right_columns=["k"]), "anyway", "measure-name-taken"),
        (
            lambda: cep.interval_join("a", "b", on="k", left_columns=["x", "x_right"], right_columns=["x"]),
            "two columns named `x_right`",
            "measure-name-taken",
        ),
    ):
        with pytest.raises(cep.PatternError, match=problem) as caught:
            build()
        assert code is None or caught.value.code == code
    with pytest.raises(TypeError):
        cep.interval_join("a", "b", on=5)
    with pytest.raises(cep.SchemaError, match=r"unknown|no column"):
        cep.match(cep.interval_join("a", "b", on="k"), {"a": {"ts": [1], "k": [1]}, "b": {"ts": [1]}}, event_time="ts")
