"""What an engine says of itself."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from cepheid.event_time import datetime_of

__all__ = ["EngineStats", "RuleStats", "SourceStats", "stats_of"]


class SourceStats(NamedTuple):
    """What is known of one topic that is read.

    Attributes:
        topic: Its name; ``""`` where the rules name none.
        active: Whether a rule reads it; the counts of one that none reads any more are kept.
        rows: Rows pushed, late ones included.
        late: Rows that were late.
        future: Rows further ahead of the clock than `future` allows: they moved no clock.
        waiting: Rows that wait for the watermark.
        greatest: The greatest time seen, or None.
        watermark: Its own watermark, or None.
        idle: Whether it is too far behind to hold the others back.

    Example:
        >>> import cepheid as cep
        >>> engine = cep.Engine(cep.event("a"), lateness="1s")
        >>> _ = engine.push([{"ts": 1_500_000_000}])
        >>> [source.waiting for source in engine.stats().sources]
        [1]
    """

    topic: str
    active: bool
    rows: int
    late: int
    future: int
    waiting: int
    greatest: dt.datetime | None
    watermark: dt.datetime | None
    idle: bool


class RuleStats(NamedTuple):
    """What is known of one rule.

    Attributes:
        name: Its name.
        fingerprint: The fingerprint of its pattern.
        live_runs: Partial matches; under step lists rows that wait, once for each step that they have reached.
        keys: Keys that have partial matches or other state.
        matches: Matches reported.
        rows_visited: Rows looked at: how often the matcher met a row, all keys together.
        runs_visited: How often a row or a deadline was put to a partial match, or to a step of step lists.
        bytes: Bytes of its state.
        strategy: How its matches are found: "waiting runs" or "step lists", of a window "windows". It settles with the
            first rows of the rule.

    Example:
        >>> import cepheid as cep
        >>> [rule.name for rule in cep.Engine(cep.event("a").named("seen")).stats().rules]
        ['seen']
    """

    name: str
    fingerprint: str
    live_runs: int
    keys: int
    matches: int
    rows_visited: int
    runs_visited: int
    bytes: int
    strategy: str


class EngineStats(NamedTuple):
    """What is known of an engine. Nothing is lost silently: whatever was not matched is counted here.

    Attributes:
        rows: Rows pushed, of all topics, late ones included.
        late: Rows that were late.
        dropped: Late rows that were dropped.
        future: Rows further ahead of the clock than `future` allows.
        waiting: Rows that wait for the watermark.
        live_runs: Partial matches of all rules.
        bytes: Bytes held: state of rules, and rows that wait or that a partial match refers to.
        watermark: Up to where rows have been matched, or None before the first.
        sources: One entry a topic, in the order in which the rules name them.
        rules: One entry a rule, in order.

    Example:
        >>> import cepheid as cep
        >>> engine = cep.Engine(cep.event("a"))
        >>> _ = engine.push([{"ts": 1}, {"ts": 2}])
        >>> engine.stats().rows
        2
    """

    rows: int
    late: int
    dropped: int
    future: int
    waiting: int
    live_runs: int
    bytes: int
    watermark: dt.datetime | None
    sources: tuple[SourceStats, ...]
    rules: tuple[RuleStats, ...]


def stats_of(native: dict[str, Any]) -> EngineStats:
    """What an engine counts, with times as datetimes."""
    sources = tuple(
        SourceStats(
            **{**source, "greatest": datetime_of(source["greatest"]), "watermark": datetime_of(source["watermark"])}
        )
        for source in native["sources"]
    )
    rules = tuple(RuleStats(**rule) for rule in native["rules"])
    return EngineStats(**{**native, "watermark": datetime_of(native["watermark"]), "sources": sources, "rules": rules})
