"""Every case of event sequences, run from Python: over whole tables, and over streams however they are cut."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from sequence_cases import SequenceCase, load

import cepheid as cep

CASES = load()
RUN = [case for case in CASES if case.error is None]
# An engine keeps no rows to look around in and needs a time for each: it says so, case by case.
REFUSED = {"unsupported", "null-time"}
IDS = {"ids": lambda case: case.id}


def tables(case: SequenceCase) -> dict[str, pa.Table]:
    return {topic: table.to_arrow() for topic, table in case.events.items()}


def kinds(case: SequenceCase) -> dict[str, str]:
    """The topic of each kind of derived event."""
    pattern = case.pattern()
    topic = pattern._emitted("rule-1")
    emitted = {entry["topic"]: entry["topic"] for entry in pattern._clauses.get("emit_at", ())}
    return {"match": topic, "timeout": f"{topic}.timeout", **emitted}


def derived_rows(case: SequenceCase, derived: cep.Derived) -> dict[str, list[dict[str, list[Any]]]]:
    return {kind: case.members(derived[topic]) for kind, topic in kinds(case).items() if topic in derived}


def expected(case: SequenceCase) -> dict[str, list[dict[str, list[Any]]]]:
    wanted = {kind: case.expected(kind) for kind in kinds(case)}
    return {kind: rows for kind, rows in wanted.items() if rows}


def times_of(case: SequenceCase, given: dict[str, pa.Table]) -> tuple[str, dict[str, pa.Table]]:
    """The event time, and the tables with it: where a case has none, rows are as far apart as they stand."""
    name = case.event_time or case.pattern()._ordered_by()
    if name is not None:
        return name, given
    assert not case.has_topics
    numbers = {topic: pa.array(range(table.num_rows), pa.int64()) for topic, table in given.items()}
    return "the time", {topic: table.append_column("the time", numbers[topic]) for topic, table in given.items()}


@pytest.mark.parametrize("case", RUN, **IDS)
def test_a_whole_table_gives_what_the_case_expects(case: SequenceCase) -> None:
    given = tables(case)
    data = given if case.has_topics else given[""]
    matches = cep.match(case.pattern(), data, event_time=case.event_time)
    case.check_output(matches)
    assert case.members(matches) == case.expected("match")
    assert derived_rows(case, matches.derived) == expected(case)


@pytest.mark.parametrize("case", RUN, **IDS)
@pytest.mark.parametrize("restored", [False, True], ids=["", "restored"])
def test_a_stream_gives_what_the_case_expects(case: SequenceCase, restored: bool) -> None:
    if reason := not_streamed(case):
        pytest.skip(reason)
    assert streamed(case, restored=restored) == expected(case)


def not_streamed(case: SequenceCase) -> str | None:
    try:
        streamed(case)
    except cep.CepheidError as error:
        if error.code in REFUSED:
            return f"{error.code}: {error}"
        raise
    return None


def streamed(case: SequenceCase, *, restored: bool = False) -> dict[str, list[dict[str, list[Any]]]]:
    """What comes of pushing row by row, the clock at rest until all is there."""
    event_time, given = times_of(case, tables(case))
    pattern = case.pattern()
    if "within" not in pattern._clauses:
        pattern = pattern.within(None)
    topics = list(given) if case.has_topics else []
    engine = cep.Engine(pattern, event_time, lateness=None, future=None, threads=2, topics=topics)
    found: dict[str, list[dict[str, list[Any]]]] = {}

    def keep(derived: cep.Derived) -> None:
        for kind, rows in derived_rows(case, derived).items():
            found.setdefault(kind, []).extend(rows)

    read = set(pattern._body.topics.values())
    everywhere = set(pattern.variables) - set(pattern._body.topics)
    for topic, table in given.items():
        if topic not in read and not everywhere:
            # An engine refuses rows of a topic that no rule reads.
            continue
        for start in range(table.num_rows) or [0]:
            keep(engine.push(table.slice(start, 1), topic=topic or None))
            if restored:
                engine = cep.Engine.restore(engine.snapshot(), pattern, threads=1)
    keep(engine.flush())
    return found


def test_hardly_a_case_is_refused_by_streams() -> None:
    refused = Counter(reason.partition(":")[0] for case in RUN if (reason := not_streamed(case)))
    assert sum(refused.values()) <= len(RUN) // 10, refused
    assert len(RUN) >= 350
