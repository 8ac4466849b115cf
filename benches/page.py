"""docs/results.md: made of a record and of `results_template.md`, which holds what is written by hand.

`python -m benches.page [RECORD]` (`make results`) writes it, of the newest record unless one is named.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benches.goals import OURS, best_of, curve_points, outcomes
from benches.streams import CURVES

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "benches" / "record"
TEMPLATE = ROOT / "benches" / "results_template.md"
PAGE = ROOT / "docs" / "results.md"
SCAN = "column scan"
TIMES = "\N{MULTIPLICATION SIGN}"
VERDICTS = ("reached", "missed", "not measured")
# Ratios below this are within the noise of a shared machine.
NOISE = 1.2


def main() -> int:
    path = Path(sys.argv[1]) if sys.argv[1:] else newest_record()
    PAGE.write_text(rendered(path), "utf-8")
    print(f"{PAGE.relative_to(ROOT)}: from {path.name}")
    return 0


def newest_record() -> Path:
    """The last record; of a part of the questions, the page says so."""
    records = [path for path in sorted(RECORDS.glob("*.json")) if "whole" in json.loads(path.read_text("utf-8"))]
    if not records:
        raise SystemExit("no record: `make bench` makes one")
    return records[-1]


def rendered(path: Path) -> str:
    """The page: every `{name}` line of the template becomes the part that is made of the record, between two marks."""
    record = json.loads(path.read_text("utf-8"))
    lines = []
    for line in TEMPLATE.read_text("utf-8").splitlines():
        name = line.strip("{}")
        if line == "{" + name + "}" and name in PARTS:
            part = PARTS[name](record, path.stem)
            lines += [f"<!-- made of the record: {name} -->", "", *part, "", "<!-- end -->"]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def machine(record: dict[str, Any], name: str) -> list[str]:
    cpu = record["machine"].get("cpu", {})
    versions = ", ".join(f"{package} {number}" for package, number in record["versions"].items() if number)
    lines = [
        f"Record `{name}`, commit `{str(record['commit'])[:12]}`: {cpu.get('count', '?')} cores of "
        f"{cpu.get('brand_raw', record['machine'].get('machine', 'an unknown processor'))}, "
        f"{record['machine']['system']}, {record['machine']['python_implementation']} "
        f"{record['machine']['python_version']}; each engine on {record['machine']['threads']} thread.",
        "",
        f"Versions: {versions}.",
    ]
    if record.get("size") != "full":
        lines += ["", "**This is a short run, which shows that everything works: its figures are no results.**"]
    if not record["whole"]:
        lines += ["", "**A part of the questions was asked; what is empty below was not measured in this run.**"]
    lines += [f"\nNot installed: {peer}: {reason}." for peer, reason in record["absent"].items()]
    return lines


def goals(record: dict[str, Any], name: str) -> list[str]:
    found = outcomes(record)
    counts = {verdict: sum(outcome.verdict == verdict for outcome in found) for verdict in VERDICTS}
    lines = [", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + f", of {len(found)}.", ""]
    lines += ["| Goal | Measured | |", "|---|---|---|"]
    return lines + [f"| {outcome.says} | {outcome.measured} | {outcome.verdict} |" for outcome in found]


def questions(record: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Times by question; curves that only cepheid was asked are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in record["times"]:
        found.setdefault(entry["workload"], []).append(entry)
    return {name: entries for name, entries in found.items() if any(entry["peer"] == SCAN for entry in entries)}


def rates(record: dict[str, Any], name: str) -> list[str]:
    asked = questions(record)
    peers = sorted({entry["peer"] for entries in asked.values() for entry in entries} - {SCAN})
    ours = [peer for peer in peers if peer.startswith(OURS)]
    others = [peer for peer in peers if peer not in ours]
    lines = [
        f"| Question | {' | '.join(ours + others)} | scans | beside the fastest other |",
        "|---|" + "---|" * (len(peers) + 2),
    ]
    for question, entries in asked.items():
        found = {entry["peer"]: entry for entry in entries}
        cells = [rate_of(found.get(peer)) for peer in ours + others]
        best = best_of(entries)
        scans = f"{best['median_ms'] / found[SCAN]['median_ms']:,.1f}" if best else ""
        lines.append(f"| {shown(question)} | {' | '.join(cells)} | {scans} | {beside(entries)} |")
    titles = {entry["group"]: entry["title"] for entry in record["times"] if "group" in entry}
    lines += ["", "| | Question |", "|---|---|"]
    return lines + [f"| `{group}` | {title} |" for group, title in sorted(titles.items())]


def shown(question: str) -> str:
    """`seq3_any-1000000` as a name and rows."""
    name, *values, rows = question.split("-")
    size = f"{int(rows) // 1_000_000} M" if int(rows) >= 1_000_000 else f"{int(rows):,}"
    return f"`{name}`" + "".join(f", {int(value):,}" for value in values) + f", {size} rows"


def rate_of(entry: dict[str, Any] | None) -> str:
    """Million rows a second, in three digits."""
    if entry is None:
        return ""
    rate = entry["rows"] / entry["median_ms"] / 1000
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def beside(entries: list[dict[str, Any]]) -> str:
    """How many times as fast the faster one is."""
    best = best_of(entries)
    theirs = [entry for entry in entries if entry["peer"] != SCAN and not entry["peer"].startswith(OURS)]
    if best is None or not theirs:
        return "not answered" if best is None else "nobody else"
    other = min(theirs, key=lambda entry: float(entry["median_ms"]))
    ours, fastest = best["median_ms"], other["median_ms"]
    ratio = max(ours, fastest) / min(ours, fastest)
    if ratio < NOISE:
        return "even"
    spelled = f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"
    return f"{spelled} {TIMES} {'faster' if ours < fastest else 'slower'}"


def wins(record: dict[str, Any], name: str) -> list[str]:
    verdicts = {question: beside(entries) for question, entries in questions(record).items()}

    def listed(ending: str) -> str:
        found = [
            shown(question) + ("" if verdict == ending else f" ({verdict})")
            for question, verdict in verdicts.items()
            if verdict.endswith(ending)
        ]
        return "; ".join(found) or "none"

    return [
        f"**Faster than everyone else**: {listed('faster')}.",
        "",
        f"**Slower than someone**: {listed('slower')}.",
        "",
        f"**Even**: {listed('even')}. **Nobody else answers**: {listed('nobody else')}. "
        f"**Not answered by cepheid**: {listed('not answered')}.",
    ]


def curves(record: dict[str, Any], name: str) -> list[str]:
    groups = {entry["group"]: entry for entry in record["times"] if "values" in entry}
    lines = ["| Curve | Points: value, and ns a row | Slowest to fastest | At most |", "|---|---|---|---|"]
    for group, any_point in sorted(groups.items()):
        points = curve_points(group, record)
        measures = {value: nanoseconds(entry, any_point["per"]) for value, entry in points.items()}
        missing = [value for value in any_point["values"] if value not in points]
        listed = "; ".join(f"{value:,}: {measure:,.3g}" for value, measure in measures.items())
        listed += "".join(f"; {value:,}: not answered" for value in missing)
        ratio = f"{max(measures.values()) / min(measures.values()):.2f}" if measures else ""
        unit = any_point["unit"] + (", ns a row of a match" if any_point["per"] == "mark" else "")
        most = "" if any_point["ratio_max"] is None else f"{any_point['ratio_max']:g}"
        lines.append(f"| {any_point['title']} ({unit}) | {listed} | {ratio} | {most} |")
    return lines


def nanoseconds(entry: dict[str, Any], per: str) -> float:
    over = float(entry["rows"])
    if per == "mark":
        over = max(float(entry["answer"]) * entry["measures"], 1)
    return float(entry["median_ms"]) * 1e6 / over


def streams(record: dict[str, Any], name: str) -> list[str]:
    lines = ["| Curve | Line | Points: value, and measure | Measure | At most |", "|---|---|---|---|---|"]
    for curve, about in CURVES.items():
        points = [point for point in record.get("streams", []) if point["curve"] == curve]
        for series in dict.fromkeys(point["series"] for point in points):
            listed = "; ".join(
                f"{point['value']:,}: " + (point["note"] if point["measure"] is None else f"{point['measure']:,.3g}")
                for point in points
                if point["series"] == series
            )
            most = f"{about.most:g}" if about.most else f"{about.ratio_max:g} {TIMES}" if about.ratio_max else ""
            lines.append(f"| {about.title} ({about.over}) | {series} | {listed} | {about.unit} | {most} |")
    return lines


def resources(record: dict[str, Any], name: str) -> list[str]:
    found = record["resources"]
    wheel = f", wheel {found['wheel_bytes'] / 1e6:.1f} MB" if found["wheel_bytes"] else ""
    extra = {key: value for key, value in found["extra_bytes_per_row"].items() if value is not None}
    lines = [f"`import cepheid`: {found['import_ms']:.0f} ms{wheel}."]
    if extra:
        lines += ["", "| Question | Bytes a row beyond input and output |", "|---|---|"]
        lines += [f"| {shown(question)} | {value:.1f} |" for question, value in extra.items()]
    return lines


def not_timed(record: dict[str, Any], name: str) -> list[str]:
    """Who was not timed and why, wrong answers first: reasons with the questions they stand for, of any size."""
    reasons: dict[str, list[str]] = {}
    for line in record["not_timed"]:
        test, reason = line.split(": ", 1)
        question = test
        for peer in sorted({entry["peer"] for entry in record["times"]} | {reason.split(": ", 1)[0]}):
            question = question.removesuffix(f"-{peer}")
        group = question.split("-")[0]
        named = reasons.setdefault(reason, [])
        if group not in named:
            named.append(group)
    ordered = sorted(reasons.items(), key=lambda item: ("wrong answer" not in item[0], item[0]))
    return [f"- {reason}: {', '.join(f'`{question}`' for question in names)}" for reason, names in ordered] or ["none"]


PARTS = {part.__name__: part for part in (machine, goals, rates, wins, curves, streams, resources, not_timed)}


if __name__ == "__main__":
    sys.exit(main())
