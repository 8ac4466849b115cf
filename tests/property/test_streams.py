"""A stream derives what the whole table does: however rows arrive, are cut into pushes, move between engines, or spread
over threads."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from generated import EXAMPLES, PROFILE
from hypothesis import given
from hypothesis import strategies as st

import cepheid as cep
from cepheid import Pattern, absent, col, event, ref

# Times are whole microseconds.
LATENESS = 6
KINDS = "abcd"
RELATIONS = ["strict", "skip_till_next", "skip_till_any"]
TOPICS = ["left", "right"]


@dataclass(frozen=True)
class Stream:
    """Rows in the order of their arrival, and what happens between them."""

    rows: list[dict[str, Any]]
    # Rows of each push; what is left comes in the last.
    pushes: list[int]
    # After which pushes the engine is stopped and goes on from a snapshot, and on how many threads.
    restarts: dict[int, int]
    threads: int


@st.composite
def streams(draw: Any) -> Stream:
    count = draw(st.integers(0, 24))
    steps = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    delays = draw(st.lists(st.integers(0, LATENESS), min_size=count, max_size=count))
    rows, time = [], 0
    for step, delay in zip(steps, delays, strict=True):
        time += step
        row = {
            "ts": time,
            "key": draw(st.sampled_from([1, 1, 2, None])),
            "kind": draw(st.sampled_from(KINDS)),
            "x": draw(st.integers(0, 4)),
            "topic": draw(st.sampled_from(TOPICS)),
        }
        rows.append((time + delay, row))
    arrived = [row for _, row in sorted(rows, key=lambda entry: entry[0])]
    pushes = draw(st.lists(st.integers(0, 6), max_size=12))
    restarts = draw(st.dictionaries(st.integers(0, 12), st.integers(1, 3), max_size=3))
    return Stream(arrived, pushes, restarts, draw(st.integers(1, 3)))


@st.composite
def steps(draw: Any, name: str, earlier: list[str], topics: bool) -> Pattern:
    conditions: list[Any] = [col.kind == draw(st.sampled_from(KINDS))]
    if earlier and draw(st.integers(0, 2)) == 0:
        conditions.append(col.x >= ref(draw(st.sampled_from(earlier))).x)
    if draw(st.integers(0, 3)) == 0:
        conditions = []
    topic = draw(st.sampled_from(TOPICS)) if topics else None
    step = event(name, *conditions, topic=topic)
    how = draw(st.sampled_from(["once", "once", "more", "times", "optional"]))
    relation = draw(st.sampled_from(RELATIONS))
    match how:
        case "more":
            # Of n rows that any may be left out of there are 2^n matches: not of a loop without an upper count.
            relation = draw(st.sampled_from(RELATIONS[:2]))
            return step.one_or_more(contiguity=relation, greedy=draw(st.sampled_from([None, True, False])))
        case "times":
            return step.times(1, 2, contiguity=relation)
        case "optional":
            return step.optional()
    return step


@st.composite
def patterns(draw: Any, *, topics: bool = False) -> Pattern:
    names = ["p", "q", "r"][: draw(st.integers(1, 3))]
    whole = draw(steps("o", [], topics))
    for place, name in enumerate(names):
        following = draw(steps(name, ["o", *names[:place]], topics))
        relation = draw(st.sampled_from(["then", "then", "next", "then_any"]))
        if relation == "then" and draw(st.integers(0, 3)) == 0:
            whole = whole.then(absent(event(f"no {name}", col.kind == draw(st.sampled_from(KINDS)))))
        whole = getattr(whole, relation)(following)
    if draw(st.integers(0, 3)) == 0:
        gone = event("gone", col.kind == draw(st.sampled_from(KINDS)))
        whole = whole.then(absent(gone, for_=f"{draw(st.integers(1, 6))}us"))
    whole = whole.within(f"{draw(st.integers(2, 12))}us").select(n=ref("o").count(), last=ref(names[-1]).x, k="kind")
    if draw(st.booleans()):
        whole = whole.partition_by("key")
    if draw(st.booleans()):
        whole = whole.matches("all")
    if draw(st.integers(0, 2)) == 0:
        skips = ["past_last_row", "to_next_row", "none", "consume", ("to_last", names[-1])]
        whole = whole.after_match(draw(st.sampled_from(skips)))
    if draw(st.booleans()):
        whole = whole.timeouts()
    if draw(st.booleans()):
        whole = whole.emit_at(names[0], "begun", seen=ref(names[0]).x)
    return whole.named("rule")


class Collected:
    """What an engine derived, call by call, as one call would have given it."""

    def __init__(self) -> None:
        self.tables: dict[str, list[pa.Table]] = {}
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.counts: Counter[str] = Counter()

    def add(self, derived: cep.Derived) -> None:
        for topic, matches in derived.items():
            self.tables.setdefault(topic, []).append(matches.to_arrow())
            shift = self.counts[topic]
            rows = matches.rows.to_pylist()
            self.rows.setdefault(topic, []).extend({**row, "match": row["match"] + shift} for row in rows)
            self.counts[topic] += len(matches)

    def same_as(self, whole: cep.Derived) -> None:
        assert set(self.tables) == set(whole)
        for topic, matches in whole.items():
            assert pa.concat_tables(self.tables[topic]).to_pylist() == matches.to_arrow().to_pylist()
            assert self.rows[topic] == matches.rows.to_pylist()


SCHEMA = pa.schema(
    {"ts": pa.timestamp("us"), "key": pa.int64(), "kind": pa.string(), "x": pa.int64(), "topic": pa.string()}
)


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


def run(pattern: Pattern, stream: Stream, lateness: str | None, *, topics: bool = False) -> Collected:
    """Pushes the stream as it says."""
    engine = cep.Engine(
        pattern, lateness=lateness, late="error", future=None, threads=stream.threads, topics=TOPICS if topics else []
    )
    collected, start = Collected(), 0
    for number, size in enumerate([*stream.pushes, len(stream.rows)]):
        rows = stream.rows[start : start + size]
        start += size
        if topics:
            # Neighbours of one topic go in one push, so that arrival stays what it was.
            for topic in TOPICS:
                collected.add(engine.push(table_of([row for row in rows if row["topic"] == topic]), topic=topic))
        else:
            collected.add(engine.push(table_of(rows)))
        if lateness is None and rows:
            # Nothing behind this time will come: every later row arrives at its own time or after.
            last = max(row["ts"] for row in stream.rows[:start])
            collected.add(engine.advance_to((last - LATENESS - 1) * 1000))
        if number in stream.restarts:
            engine = cep.Engine.restore(engine.snapshot(), pattern, threads=stream.restarts[number])
    collected.add(engine.flush())
    return collected


def test_a_stream_derives_what_the_whole_table_does() -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(patterns(), streams(), st.sampled_from([f"{LATENESS}us", "1m", None]))
    def check(pattern: Pattern, stream: Stream, lateness: str | None) -> None:
        whole = cep.match(pattern, table_of(stream.rows), event_time="ts").derived
        run(pattern, stream, lateness).same_as(whole)
        seen["cases"] += 1
        seen["restarts"] += any(number <= len(stream.pushes) for number in stream.restarts)
        for topic in whole:
            seen[topic] += 1

    check()
    assert seen["cases"] >= EXAMPLES, seen
    # Enough of everything, or the test says nothing.
    for what in ("rule", "rule.timeout", "begun", "restarts"):
        assert seen[what] >= EXAMPLES // 60, seen


def test_streams_of_several_topics_derive_what_their_tables_do() -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(patterns(topics=True), streams())
    def check(pattern: Pattern, stream: Stream) -> None:
        tables = {topic: table_of([row for row in stream.rows if row["topic"] == topic]) for topic in TOPICS}
        whole = cep.match(pattern, tables, event_time="ts").derived
        read = set(pattern._body.topics.values())
        if len(read) < len(TOPICS):
            seen["of one topic"] += 1
            return
        run(pattern, stream, "1m", topics=True).same_as(whole)
        seen["cases"] += 1
        seen["with matches"] += "rule" in whole

    check()
    assert seen["cases"] >= EXAMPLES // 5, seen
    assert seen["with matches"] >= 1, seen


def test_an_engine_goes_on_after_an_error_as_if_it_had_not_been() -> None:
    seen: Counter[str] = Counter()
    wrong = [
        pa.table({"ts": [None], "key": [1], "kind": ["a"], "x": [1], "topic": [""]}, schema=SCHEMA),
        pa.table({"ts": [1]}),
        pa.table({"ts": pa.array([2.5])}),
    ]

    @PROFILE
    @given(patterns(), streams(), st.integers(0, 12), st.sampled_from(wrong))
    def check(pattern: Pattern, stream: Stream, when: int, broken: pa.Table) -> None:
        engine = cep.Engine(pattern, lateness=f"{LATENESS}us", future=None)
        collected, start = Collected(), 0
        for number, size in enumerate([*stream.pushes, len(stream.rows)]):
            collected.add(engine.push(table_of(stream.rows[start : start + size])))
            start += size
            if number == when:
                seen["errors"] += 1
                try:
                    engine.push(broken)
                except cep.SchemaError:
                    continue
                raise AssertionError("no error")
        collected.add(engine.flush())
        collected.same_as(cep.match(pattern, table_of(stream.rows), event_time="ts").derived)
        seen["cases"] += 1

    check()
    assert seen["cases"] >= EXAMPLES, seen
    assert seen["errors"] >= EXAMPLES // 10, seen
