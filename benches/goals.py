"""What was to be reached, held against a record."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

FILE = Path(__file__).parent / "goals.toml"
OURS = "cepheid"

Verdict = Literal["reached", "missed", "not measured"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One goal.

    Attributes:
        says: The goal, in words.
        measured: What the record says of it.
        verdict: Whether that is enough.
    """

    says: str
    measured: str
    verdict: Verdict


def outcomes(record: dict[str, Any]) -> list[Outcome]:
    """Every goal, in the order of the file."""
    return [outcome(goal, record) for goal in tomllib.loads(FILE.read_text("utf-8"))["goal"]]


def outcome(goal: dict[str, Any], record: dict[str, Any]) -> Outcome:
    if "stream" in goal:
        return _of_stream(goal, record)
    times = _of_curve(goal, record) if "curve" in goal else _of_workload(goal, record)
    if not times:
        return Outcome(goal["says"], "", "not measured")
    if "beside" in goal:
        beside = best_of(_named(goal["beside"], record))
        if beside is None:
            return Outcome(goal["says"], "", "not measured")
        ratio = times[0]["median_ms"] / beside["median_ms"]
        return _judged(goal, f"{ratio:,.2f}", ratio <= goal["ratio_max"])
    if "times_min" in goal:
        others = [entry for entry in _named(goal["workload"], record) if entry["peer"] == goal["peer"]]
        if not others:
            return Outcome(goal["says"], "", "not measured")
        reached = others[0]["median_ms"] / times[0]["median_ms"]
        return _judged(goal, f"{reached:,.1f} times", reached >= goal["times_min"])
    rates = [entry["rows"] / entry["median_ms"] / 1000 for entry in times]
    if "rate_min" in goal:
        shown = f"{min(rates):,.0f} M rows/s" if min(rates) >= 10 else f"{min(rates):,.2f} M rows/s"
        return _judged(goal, shown + _gap(goal, times), min(rates) >= goal["rate_min"] and not _gap(goal, times))
    ratio = max(rates) / min(rates)
    return _judged(goal, f"{ratio:,.2f}" + _gap(goal, times), ratio <= goal["ratio_max"] and not _gap(goal, times))


def best_of(entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Our better time."""
    ours = [entry for entry in entries if entry["peer"].startswith(OURS)]
    return min(ours, key=lambda entry: float(entry["median_ms"]), default=None)


def curve_points(group: str, record: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Our better times along a curve, by value."""
    found: dict[int, list[dict[str, Any]]] = {}
    for entry in record["times"]:
        if entry.get("group") == group:
            found.setdefault(entry["value"], []).append(entry)
    best = {value: best_of(entries) for value, entries in found.items()}
    return {value: entry for value, entry in sorted(best.items()) if entry is not None}


def _named(workload: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in record["times"] if entry["workload"] == workload]


def _of_workload(goal: dict[str, Any], record: dict[str, Any]) -> list[dict[str, Any]]:
    best = best_of(_named(goal["workload"], record))
    return [best] if best else []


def _of_curve(goal: dict[str, Any], record: dict[str, Any]) -> list[dict[str, Any]]:
    points = curve_points(goal["curve"], record)
    return [entry for value, entry in points.items() if value in goal.get("values", points)]


def _gap(goal: dict[str, Any], times: list[dict[str, Any]]) -> str:
    """Points of the curve that have no time: a curve with a hole is no flat one."""
    if "curve" not in goal:
        return ""
    wanted = goal.get("values") or times[0]["values"]
    missing = len(wanted) - len(times)
    return f", {missing} of {len(wanted)} points not answered" if missing else ""


def _of_stream(goal: dict[str, Any], record: dict[str, Any]) -> Outcome:
    points = [
        point
        for point in record.get("streams", [])
        if point["curve"] == goal["stream"]
        and point["series"] == goal.get("series", point["series"])
        and point["value"] in goal.get("values", [point["value"]])
        and point["value"] >= goal.get("from", 0)
    ]
    measures = [point["measure"] for point in points if point["measure"] is not None]
    if not measures:
        return Outcome(goal["says"], "", "not measured")
    if "falls_by" in goal:
        ratio = measures[0] / measures[-1]
        return _judged(goal, f"{ratio:.2f} times", ratio >= goal["falls_by"])
    holes = f", {len(points) - len(measures)} not measured" if len(measures) < len(points) else ""
    return _judged(goal, f"{max(measures):,.0f}{holes}", max(measures) <= goal["most"] and not holes)


def _judged(goal: dict[str, Any], measured: str, reached: bool) -> Outcome:
    return Outcome(goal["says"], measured, "reached" if reached else "missed")
