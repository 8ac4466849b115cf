"""`threads=` of all that matches tables, and of rules of streams: the same answers, and the same checks everywhere."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import cepheid as cep
from cepheid import col, event, prev, ref

# More than a thread takes for itself.
ROWS = 20_000

QUERY = """
    SELECT low, high FROM t MATCH_RECOGNIZE (
        PARTITION BY key MEASURES A.x AS low, LAST(B.x) AS high PATTERN (A B+) DEFINE B AS x > PREV(x)
    ) WHERE high > 20 ORDER BY high, low
"""


def table(keys: int = 7) -> pa.Table:
    random = np.random.default_rng(8)
    columns = {
        "ts": np.arange(ROWS) // 3,
        "key": random.integers(0, keys, ROWS),
        "x": random.integers(0, 40, ROWS),
    }
    return pa.table(columns)


def rise() -> cep.Pattern:
    return cep.seq(event("a"), event("b", col.x > prev(col.x)).one_or_more(), contiguity="strict").select(x="LAST(b.x)")


PATTERNS = {
    "row pattern": rise().partition_by("key"),
    "runs": (event("a", col.x < 3) >> event("b", col.x > ref("a").x + 35)).partition_by("key").within(rows=50),
    "runs, all by key": event("a", col.x < 3)
    .then_any(event("b", (col.x > 37) & (col.key == ref("a").key)))
    .matches("all")
    .within("60ns"),
    "step lists": event("a", col.x < 3)
    .then_any(event("b", col.x > 37))
    .matches("all")
    .partition_by("key")
    .within(rows=20),
    "step lists, one key": event("a", col.x < 3).then_any(event("b", col.x > 37)).matches("all").within(rows=20),
    "trend": event("a", col.x < 3)
    .then_any(event("b", col.x > 37))
    .within(rows=20)
    .aggregate(n=cep.count(), total=ref("b").x.sum()),
    "timeouts": (event("a", col.x < 1) >> event("b", col.x > 38)).partition_by("key").within("30ns").timeouts(True),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_table_gives_the_same_on_any_number_of_threads(name: str) -> None:
    pattern, data = PATTERNS[name], table()
    alone = cep.match(pattern, data, event_time="ts")
    assert alone.to_arrow().num_rows > 0
    for threads in (1, 2, 3):
        found = cep.match(pattern, data, event_time="ts", threads=threads)
        assert found.to_arrow() == alone.to_arrow()
        assert pa.table(found.rows) == pa.table(alone.rows)
        assert list(found.derived) == list(alone.derived)
        assert pattern.count(data, event_time="ts", threads=threads) == pattern.count(data, event_time="ts")
        assert pattern.exists(data, event_time="ts", threads=threads)


def test_matches_that_are_not_built_are_counted_on_threads_too() -> None:
    pattern = event("a", col.x < 20).then_any(event("b", col.x >= 20)).matches("all").within(rows=100)
    alone, shared = cep.match(pattern, table()), cep.match(pattern, table(), threads=2)
    assert shared.count() == alone.count() > 65_536
    assert shared.head(1000).to_pydict() == alone.head(1000).to_pydict()


def test_topics_and_queries_are_matched_on_threads_too() -> None:
    assert cep.sql(QUERY, t=table(), threads=2).to_arrow() == cep.sql(QUERY, t=table()).to_arrow()
    moved = (event("low", col.x < 1, topic="left") >> event("high", col.x > 38, topic="right")).partition_by("key")
    tables = {"left": table(), "right": table()}
    shared = cep.match(moved.within("9ns"), tables, event_time="ts", threads=2)
    assert shared.to_arrow() == cep.match(moved.within("9ns"), tables, event_time="ts").to_arrow()
    assert len(shared) > 0


RULES = {
    "sliding": cep.window(n=cep.count(), total=col.x.sum(), middle=col.x.median(), by="key").sliding("40ns"),
    "user_aggregate": cep.window(
        total=cep.user_aggregate("plus", lift=lambda x: x, combine=pc.add, state="int64")(col.x), by="key"
    ).sliding("40ns"),
    "rows": cep.window(total=col.y.sum(), least=col.y.min(), by="key").rows(30, every=7),
    "tumbling": cep.window(total=col.y.sum(), last=col.x.last(), by="key").tumbling("50ns"),
    "late": cep.window(total=col.y.sum(), by="key").tumbling("50ns").with_late("500ns"),
    "mad": cep.anomaly(col.y, by="key").mad(rows=30),
    "quantile_band": cep.anomaly(col.y, by="key").quantile_band(rows=30).all_rows(),
    "ewma": cep.anomaly(col.y, by="key").ewma(alpha=0.2).all_rows(),
}


@pytest.mark.parametrize("name", RULES)
def test_rules_of_a_stream_give_the_same_on_any_number_of_threads(name: str) -> None:
    rows = table(keys=300)
    rows = rows.append_column("y", pa.array(np.random.default_rng(9).normal(size=ROWS)))
    rule = RULES[name]

    def derived(*threads: int) -> tuple[list[pa.Table], Any, bytes]:
        engine = cep.Engine({"rule": rule}, lateness="10ns", threads=threads[0], ids=True)
        found = []
        for number, part in enumerate((rows.slice(0, 9_000), rows.slice(9_000))):
            if number:
                engine = cep.Engine.restore(engine.snapshot(), {"rule": rule}, threads=threads[-1])
            found += [(topic, events.to_arrow()) for topic, events in engine.push(part).items()]
        before_end = (engine.stats(), engine.snapshot())
        found += [(topic, events.to_arrow()) for topic, events in engine.flush().items()]
        return found, *before_end

    alone = derived(1)
    assert sum(len(events) for _, events in alone[0]) > 50
    for threads in [(2,), (3,), (1, 4), (2, 1)]:
        assert derived(*threads) == alone


def test_a_table_may_be_named_threads() -> None:
    query = QUERY.replace("FROM t", "FROM threads")
    assert cep.sql(query, threads=table()).to_arrow() == cep.sql(QUERY, t=table()).to_arrow()


MATCHING: list[Callable[..., Any]] = [
    lambda threads: cep.match(rise(), table(), threads=threads),
    lambda threads: cep.match(rise(), {"left": table()}, event_time="ts", threads=threads),
    lambda threads: rise().count(table(), threads=threads),
    lambda threads: rise().exists(table(), threads=threads),
]


@pytest.mark.parametrize("matching", MATCHING, ids=["match", "topics", "count", "exists"])
def test_threads_are_a_number_from_one(matching: Callable[..., Any]) -> None:
    for refused in ("two", 1.5, True):
        with pytest.raises(TypeError, match="threads is a whole number"):
            matching(refused)
    for refused in (0, -1, 2**40):
        with pytest.raises(cep.PatternError) as caught:
            matching(refused)
        assert (caught.value.code, caught.value.context) == ("invalid-clause", "threads")


def test_a_query_takes_no_number_of_threads_below_one() -> None:
    with pytest.raises(cep.PatternError, match="threads is a number from 1"):
        cep.sql(QUERY, t=table(), threads=0)


def test_very_many_threads_are_as_many_as_are_of_use() -> None:
    expected = cep.match(PATTERNS["row pattern"], table())
    assert cep.match(PATTERNS["row pattern"], table(), threads=2**32).to_arrow() == expected.to_arrow()


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers no SIGINT to one process")
@pytest.mark.parametrize("least", [0, 1], ids=["both at work", "one waiting"])
def test_a_long_search_on_threads_can_be_interrupted(least: int) -> None:
    # With a least value of one there is nothing to do in the first key, which the thread that asks begins with.
    keys = np.repeat([0, 1], 50_000)
    query = f"""SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY key MEASURES COUNT(*) AS c PATTERN (A+ B)
                DEFINE A AS key >= {least} AND x >= FIRST(A.x), B AS x < 0)"""
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        cep.sql(query, t=pa.table({"key": keys, "x": np.ones(100_000, "int64")}), threads=2)
    timer.join()


def key_columns(numbers: np.ndarray[Any, Any]) -> dict[str, pa.Array]:
    """Keys of every kind that is numbered in another way."""
    texts = pa.array(numbers).cast(pa.string())
    return {
        "number": pa.array(numbers),
        "far apart": pa.array(numbers * (1 << 40)),
        "text": texts,
        "dictionary": texts.dictionary_encode(),
        "with NULLs": pa.array(numbers, mask=numbers == 3),
    }


@pytest.mark.parametrize("grouped", [False, True], ids=["mixed", "grouped"])
@pytest.mark.parametrize("kind", ["number", "far apart", "text", "dictionary", "with NULLs"])
def test_a_table_that_threads_group_and_put_out_is_as_one_does_it(kind: str, grouped: bool) -> None:
    # More than each of two threads takes to number keys, and to see whether rows are in order.
    rows = 1_100_000
    random = np.random.default_rng(21)
    numbers = random.integers(0, 300, rows)
    numbers = np.sort(numbers) if grouped else numbers
    x = random.integers(0, 40, rows)
    for falls in (False, True):
        ts = np.arange(rows)
        if falls:
            # Where the rows of two threads meet, one is out of order.
            ts[rows // 2] = 7
        table = pa.table({"ts": ts, "key": key_columns(numbers)[kind], "x": x, "half": x / 2})
        for pattern in (
            rise().partition_by("key"),
            (event("a", col.x < 1) >> event("b", col.x > 38)).partition_by("key").within("50us").select(half="b.half"),
        ):
            alone, shared = (cep.match(pattern, table, event_time="ts", threads=threads) for threads in (1, 2))
            assert len(alone) > 1_000
            assert shared.to_arrow() == alone.to_arrow()
            assert shared.rows == alone.rows


def answer_of_child(question: Callable[[], bytes]) -> bytes:
    """What a forked child answers; nothing if it has not within 30 seconds."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            os.write(write, question())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return answer


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own_also_if_those_of_its_parent_are_at_work() -> None:
    pattern, events = PATTERNS["row pattern"], table()

    def count() -> bytes:
        return str(len(cep.match(pattern, events, threads=2))).encode()

    expected = str(len(cep.match(pattern, events))).encode()
    assert count() == expected
    assert answer_of_child(count) == expected
    is_over = threading.Event()

    def work() -> None:
        while not is_over.is_set():
            count()

    others = [threading.Thread(target=work) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for _ in range(20):
            assert answer_of_child(count) == expected
            # A child of a child.
            assert answer_of_child(lambda: answer_of_child(count)) == expected
    finally:
        is_over.set()
        for other in others:
            other.join()
    assert count() == expected


def test_python_threads_that_ask_at_once_get_what_one_does() -> None:
    pattern, events = PATTERNS["runs"], table()
    expected = cep.match(pattern, events).to_arrow()
    answers: list[bool] = []

    def ask(threads: int) -> None:
        answers.extend(cep.match(pattern, events, threads=threads).to_arrow() == expected for _ in range(20))

    asking = [threading.Thread(target=ask, args=(threads,)) for threads in (1, 2, 3, 2, 4)]
    for other in asking:
        other.start()
    for other in asking:
        other.join()
    assert answers == [True] * 100
