"""How far back the state of a rule can reach: what has to be replayed for a new version to know what it would know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cepheid import nodes
from cepheid.engine_options import Rule, checked_rule
from cepheid.processors import Processor
from cepheid.rule import NativeRule

__all__ = ["horizon_ns", "is_chained"]


def horizon_ns(rule: Rule) -> int | None:
    """How far back the state of a rule can reach.

    Whatever a rule derives after a moment depends on rows that are no older than that before the moment, and on no
    others. It is read from what the rule says:

    - A pattern: its `within`, and the times for which events are absent. Of one that matches single rows: zero.
    - A window by time: its size, how long late rows are waited for, how long it is reported without rows. A sliding
      one: what it reaches back.
    - An anomaly rule: the span of recent rows, where all are learnt from.
    - A processor: zero. It is to depend on the rows that it is given alone.

    None is what no span bounds: a pattern without `within` by time, one that asks for the row before another one
    (`prev`), an edge of a partition or the number of a match; sessions, windows by rows, those that are reported
    without rows for ever; every other anomaly rule.

    Where matches rule each other out one horizon need not be enough: see `is_chained`.

    Args:
        rule: A rule.

    Returns:
        Nanoseconds; None: no span is enough.

    Raises:
        TypeError: It is no rule.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.runtime.rule_horizon import horizon_ns
        >>> horizon_ns((cep.event("a") >> cep.event("b")).within("1us"))
        1000
        >>> horizon_ns(cep.window(n=cep.count()).session(gap="1us")) is None
        True
    """
    rule = checked_rule(rule)
    if isinstance(rule, Processor):
        return 0
    kind, said = _said(rule)
    match kind:
        case "pattern":
            return _pattern(said)
        case "window":
            return _window(said)
        case _:
            return _anomaly(said)


def is_chained(rule: Rule) -> bool:
    """Whether matches of a rule rule later ones out: its state may then depend on ones further back than a horizon.

    A match that skips past its last row forgets runs that had begun; whether it was one depends on the match before it,
    and so on, for as long as they overlap. The chain ends where nothing is being matched. Only patterns of several rows
    that skip further than to the next row are so.

    Args:
        rule: A rule.

    Raises:
        TypeError: It is no rule.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.runtime.rule_horizon import is_chained
        >>> pair = (cep.event("a") >> cep.event("b")).within("1m")
        >>> is_chained(pair), is_chained(pair.matches("all"))
        (True, False)
    """
    rule = checked_rule(rule)
    if isinstance(rule, Processor):
        return False
    kind, said = _said(rule)
    if kind != "pattern":
        return False
    if said.get("rows_per_match") == "all_with_unmatched":
        return True
    return said["after_match"] not in ("none", "to_next_row") and _extent(said["root"]) != 0


def _said(rule: NativeRule) -> tuple[str, dict[str, Any]]:
    """The kind of a rule, and what it says."""
    native, _ = rule._compiled_rule()
    data: dict[str, Any] = json.loads(native.to_json())
    (kind,) = data.keys() - {"cepheid_ir"}
    return kind, data[kind]


# Patterns.


def _pattern(said: dict[str, Any]) -> int | None:
    if "trend" in said or said.get("initial") or any(_looks_beyond(node) for node in _expressions(said)):
        return None
    parts = list(_parts(said["root"]))
    if any("anchor" in part for part in parts if isinstance(part, dict)):
        return None
    extents = [_extent(said["root"]), _time(said.get("within"))]
    bounds = [extent for extent in extents if extent is not None]
    if not bounds:
        return None
    absent = [part["absent"].get("for_ns") or 0 for part in parts if isinstance(part, dict) and "absent" in part]
    return min(bounds) + sum(absent)


def _time(within: Any) -> int | None:
    """A bound by time, in nanoseconds."""
    return within["time"]["nanoseconds"] if isinstance(within, dict) and "time" in within else None


def _extent(node: Any) -> int | None:
    """How long it may be from the first row of a part of a pattern to its last; None: as long as it likes."""
    if not isinstance(node, dict):
        return 0
    ((tag, body),) = node.items()
    match tag:
        case "variable" | "anchor":
            return 0
        case "absent":
            # Without a time of its own it lasts till the window of the pattern is over.
            return 0 if body.get("for_ns") is not None else None
        case "alternation":
            return _greatest(body)
        case "sequence":
            steps = [step["node"] for step in body]
            several = sum(not (isinstance(step, dict) and "absent" in step) for step in steps) > 1
            return None if several else _greatest(steps)
        case "permute":
            return None
        case "quantified":
            most = body["quantifier"]["max"]
            return _extent(body["node"]) if most is not None and most <= 1 else None
        case "bounded":
            inner, bound = _extent(body["node"]), _time(body["within"])
            if body.get("between", "first_to_last") != "first_to_last" or bound is None:
                return inner
            return bound if inner is None else min(inner, bound)
        case "exclusion":
            return _extent(body)
    return None


def _greatest(of: list[Any]) -> int | None:
    extents = [_extent(node) for node in of]
    known = [extent for extent in extents if extent is not None]
    return max(known, default=0) if len(known) == len(extents) else None


def _parts(node: Any) -> Iterator[Any]:
    """A part of a pattern, and those below it."""
    yield node
    if not isinstance(node, dict):
        return
    ((tag, body),) = node.items()
    match tag:
        case "sequence":
            below = [step["node"] for step in body]
        case "alternation":
            below = body
        case "permute":
            below = body["parts"]
        case "quantified" | "bounded":
            below = [body["node"]]
        case "exclusion":
            below = [body]
        case _:
            below = []
    for part in below:
        yield from _parts(part)


def _expressions(said: dict[str, Any]) -> Iterator[Any]:
    yield from (entry["condition"] for entry in said.get("define", ()))
    yield from (measure["value"] for measure in said.get("measures", ()))
    for entry in said.get("emit_at", ()):
        yield from (measure["value"] for measure in entry.get("measures", ()))
    if "having" in said:
        yield said["having"]
    for part in _parts(said["root"]):
        if isinstance(part, dict) and "quantified" in part and (until := part["quantified"]["quantifier"].get("until")):
            yield until


def _looks_beyond(node: Any) -> bool:
    """Whether an expression asks for rows that the match need not have, or how many matches there have been."""
    for part in nodes.walk(node):
        tag = nodes.tag_of(part)
        if tag == "match_number" or (tag in nodes.POINTER_TAGS and nodes.pointer_of(part).get("physical_offset")):
            return True
    return False


# The other kinds.


def _window(said: dict[str, Any]) -> int | None:
    ((frame, body),) = said["frame"].items()
    reports = said.get("reports", {})
    late = reports.get("late_ns") or 0
    empty = reports.get("empty")
    match frame:
        case "time":
            if empty is not None and empty.get("for_ns") is None:
                return None
            return int(body["size_ns"] + late + (0 if empty is None else empty["for_ns"] + body["every_ns"]))
        case "range":
            return int(body["preceding_ns"] + late)
        case _:
            # A session lasts as long as rows come; windows by rows begin with the first row of their key.
            return None


def _anomaly(said: dict[str, Any]) -> int | None:
    ((method, body),) = said["method"].items()
    if method in ("mad", "quantile_band") and body.get("learn_anomalies", True):
        span = body["recent"].get("span_ns")
        return None if span is None else int(span)
    return None
