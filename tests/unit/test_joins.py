"""Joins of events that are near in time, against the join that SQL would write."""

from __future__ import annotations

import datetime as dt
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


def held_in_sql(tables: dict[str, pa.Table], tolerance: int | None, how: str) -> list[tuple[object, ...]]:
    bids, asks = tables["bids"], tables["asks"]  # noqa: F841 (DuckDB finds them by name)
    near = "" if tolerance is None else f"AND asks.ts >= bids.ts - {tolerance}"
    query = f"""
        SELECT bids.k, bid, bids.both, ask, asks.both AS both_right FROM bids {how.upper()} JOIN asks
        ON bids.k IS NOT DISTINCT FROM asks.k AND asks.ts <= bids.ts {near}
        QUALIFY row_number() OVER (PARTITION BY bid ORDER BY asks.ts DESC, ask DESC) = 1 ORDER BY ALL
    """
    return sorted(duckdb.sql(query).fetchall(), key=str)


def held(tolerance: int | None, how: str) -> cep.Pattern:
    columns = {"left_columns": ["bid", "both"], "right_columns": ["ask", "both"]}
    return cep.asof_join(
        "bids", "asks", on="k", tolerance=None if tolerance is None else f"{tolerance}ns", how=how, **columns
    )


@pytest.mark.parametrize("how", ["inner", "left"])
@pytest.mark.parametrize("tolerance", [None, 0, 3, 10])
def test_what_held_is_what_sql_says_in_a_table_and_in_a_stream(tolerance: int | None, how: str):
    span = None if tolerance is None else tolerance * SECOND
    checked = 0
    for seed in range(12):
        given = tables(seed)
        expected = held_in_sql(given, span, how)
        data = dict(reversed(given.items()))
        columns = ["k", "bid", "both", "ask", "both_right"]
        found = cep.match(held(span, how), data, event_time="ts").to_arrow().select(columns)
        assert sorted((tuple(row.values()) for row in found.to_pylist()), key=str) == expected
        engine = cep.Engine(held(span, how).named("held"), lateness="60s")
        draw = random.Random(seed)
        arrivals = [(topic, row) for topic, table in given.items() for row in range(table.num_rows)]
        draw.shuffle(arrivals)
        # Rows of one topic come in the order in which they are in its table: of one time the last counts.
        arrivals.sort(key=lambda arrival: given[arrival[0]]["ts"][arrival[1]].as_py() + draw.randrange(2) * SECOND)
        order = {topic: iter(range(60)) for topic in given}
        derived = [engine.push(given[topic].slice(next(order[topic]), 1), topic) for topic, _ in arrivals]
        derived.append(engine.flush())
        streamed = pa.concat_tables([one["held"].to_arrow() for one in derived if "held" in one]).select(columns)
        assert sorted((tuple(row.values()) for row in streamed.to_pylist()), key=str) == expected
        checked += len(expected)
    assert checked > 150


def test_what_held_is_reported_at_once_and_little_is_kept_of_it():
    engine = cep.Engine(held(None, "left").named("held"), lateness="0s", future=None)
    sizes = []
    for second in range(400):
        quote = {"ts": [second * SECOND], "k": ["ab"[second % 2]], "ask": [second], "both": [0]}
        engine.push(quote, "asks")
        trade = {"ts": [second * SECOND], "k": ["a"], "bid": [second], "both": [1]}
        (found,) = engine.push(trade, "bids").get("held", [{"ask": None}])
        assert second == 0 or found["ask"] == second - second % 2
        sizes.append(engine.stats().live_runs)
    assert max(sizes) <= 6


def test_what_is_no_join_with_what_held_is_refused():
    for build, code in (
        (lambda: cep.asof_join("a", "a", on="k"), "invalid-clause"),
        (lambda: cep.asof_join("a", "b", on="k", how="outer"), "invalid-clause"),
        (lambda: cep.asof_join("a", "b", on="k", left_columns=["k"]), "measure-name-taken"),
        (lambda: cep.asof_join("a", "b", on="k", tolerance="-1s"), "invalid-duration"),
    ):
        with pytest.raises(cep.PatternError) as caught:
            build()
        assert caught.value.code == code, caught.value
    with pytest.raises(TypeError):
        cep.asof_join("a", "b", on="k", tolerance=5)
    with pytest.raises(TypeError, match="no mapping"):
        cep.asof_join("a", "b", on={"k": "q"})


def test_columns_may_be_named_one_by_one():
    data = {"b": {"ts": [5], "k": [1], "q": [2]}, "a": {"ts": [5], "k": [1], "p": [3]}}
    for join in (cep.interval_join, cep.asof_join):
        pairs = join("a", "b", on=iter(["k"]), left_columns=iter(["p"]), right_columns=(name for name in ["q"]))
        assert [(row["p"], row["q"]) for row in cep.match(pairs, data, event_time="ts")] == [(3, 2)]


def test_each_left_event_is_reported_once_though_the_right_one_is_from_another_age():
    far = (
        pa.array([dt.datetime(1700, 1, 1)], pa.timestamp("us")),
        pa.array([dt.datetime(2020, 1, 1)], pa.timestamp("us")),
    )
    data = {"b": pa.table({"ts": far[0], "k": [1], "q": [5]}), "a": pa.table({"ts": far[1], "k": [1]})}
    for how, found in (("left", [None]), ("inner", [5])):
        pairs = cep.asof_join("a", "b", on="k", how=how, right_columns=["q"])
        assert [row["q"] for row in cep.match(pairs, data, event_time="ts")] == found
