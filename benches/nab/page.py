"""docs/anomalies-nab.md, made of the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
RECORD = Path(__file__).parent / "record.json"
PAGE = ROOT / "docs" / "anomalies-nab.md"


LIMITS = """\
## What it says, and what not

- Labels are of people, and windows a tenth of a series: a flag that knows nothing counts as found if it falls into
  one, so a detector that knows nothing does better here than it deserves; the row that flags every nth row says
  how much.
- Counting every flag outside a window favours detectors that speak rarely. A sum that stays beyond its threshold, or
  a level that has moved, is counted row by row.
- The score of river's GaussianScorer is a probability, and a float that is close to 1 ends at some eight deviations,
  where `ewma` does best at fifteen. Half-space trees are for rows of several numbers; here they get one.
- A limit on the rate of change that is one number for requests, degrees and dollars cannot be right; it is here
  because it was measured. In use it comes from what the value is.
- To make it again: `pip install river`, then `CEPHEID_DATA=... python -m benches.nab`."""


def rendered(record: dict[str, Any]) -> str:
    """The page."""
    detectors = sorted(record["detectors"], key=lambda detector: -detector["others"]["f1"])
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items() if number)
    subset = record["chosen_on"].rstrip("/")
    held_out = detectors[0]["others"]["windows"]
    ours = [detector for detector in detectors if detector["name"].startswith("cepheid")]
    others = [detector for detector in detectors if detector not in ours]
    head = f"""\
# Anomalies on the Numenta benchmark

<!-- made by `python -m benches.nab` of benches/nab/record.json -->

The Numenta Anomaly Benchmark has {record["series"]} series with windows that people have labelled as anomalous,
{record["rows"]:,} rows in all. Every detector has one set of parameters for all series, the best of those that were
tried on the series of `{subset}`; it is judged on the others, which have {held_out} windows. Nothing is fitted to a
series.

A window is *found* if a flag lies in it. *Every* flag outside is a false alarm, however close to another: five in a
row are five. Precision is the windows found over these and the false alarms, recall the windows found over all, F1
their harmonic mean. *Lead* is the median time from the first flag in a window to the moment that it was drawn around;
negative: after it. These are not the benchmark's own scores, which weigh flags by their place in a window.

Record of {record["date"]}: {versions}.

| On the other series | found of {held_out} | false alarms | precision | recall | F1 | lead |
|---|---|---|---|---|---|---|"""
    lines = head.splitlines()
    for detector in detectors:
        own = detector["others"]
        lines.append(
            f"| {detector['name']} | {own['found']} | {own['false_alarms']:,} | {own['precision']:.3f} | "
            f"{own['recall']:.2f} | {own['f1']:.3f} | {_lead(own['lead_hours'])} |"
        )
    lines += ["", *_verdict(ours, others), "", "## With which parameters", ""]
    lines += [f"| | chosen of | parameters | F1 on `{subset}` |", "|---|---|---|---|"]
    for detector in detectors:
        parameters = ", ".join(f"{name}={value!r}" for name, value in detector["parameters"].items())
        lines.append(
            f"| {detector['name']} | {detector['tried']} | `{parameters}` | {detector['chosen_on']['f1']:.3f} |"
        )
    groups = list(detectors[0]["groups"])
    lines += ["", "## By kind of series", "", "F1, and windows found of those that there are.", ""]
    lines += [f"| | {' | '.join(groups)} |", "|---" * (len(groups) + 1) + "|"]
    for detector in detectors:
        cells = []
        for group in groups:
            own = detector["groups"][group]
            cells.append(
                f"{own['f1']:.2f} ({own['found']}/{own['windows']})"
                if own["windows"]
                else f"{own['false_alarms']:,} false alarms"
            )
        lines.append(f"| {detector['name']} | {' | '.join(cells)} |")
    lines += ["", *LIMITS.splitlines()]
    return "\n".join(lines) + "\n"


def _lead(hours: float | None) -> str:
    return "" if hours is None else f"{hours:.1f} h"


def _verdict(ours: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[str]:
    """Who is ahead, said of the record."""
    peers = [detector for detector in others if detector["name"].startswith("river")]
    if not peers:
        return ["No detector of others was installed."]
    best = {"ours": ours[0], "theirs": peers[0]}
    ahead, behind = sorted(best.values(), key=lambda detector: -detector["others"]["f1"])
    lines = [
        f"The best of ours is {ours[0]['name']} ({ours[0]['others']['f1']:.3f}), the best peer {peers[0]['name']} "
        f"({peers[0]['others']['f1']:.3f}): {ahead['name']} is ahead of {behind['name']}."
    ]
    beaten = [own["name"] for own in ours if own["others"]["f1"] < peers[0]["others"]["f1"]]
    if beaten:
        lines.append(f"Where we lose: {', '.join(beaten)} {'do' if len(beaten) > 1 else 'does'} worse than that peer.")
    knows_nothing = next(other for other in others if other not in peers)
    worse = [own["name"] for own in [*ours, *peers] if own["others"]["f1"] < knows_nothing["others"]["f1"]]
    lines.append(
        f"Flags that know nothing, one every {knows_nothing['parameters']['n']} rows, get "
        f"{knows_nothing['others']['f1']:.3f}, more than {', '.join(worse) or 'nobody'}."
    )
    return lines
