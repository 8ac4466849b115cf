"""The table in benches/README.md says what the record that it cites says."""

from __future__ import annotations

import json
import re

from files import ROOT

ENGINES = ("cepheid, SQL", "cepheid, built", "DuckDB, by hand", "Polars, by hand")
SCAN = "column scan"


def cited() -> tuple[str, dict[str, dict[str, float]]]:
    """The page, and the medians of its record in milliseconds, by question and engine."""
    page = (ROOT / "benches" / "README.md").read_text("utf-8")
    [name] = set(re.findall(r"Record `([\w-]+)`", page))
    record = json.loads((ROOT / "benches" / "record" / f"{name}.json").read_text("utf-8"))
    medians: dict[str, dict[str, float]] = {}
    for entry in record["times"]:
        medians.setdefault(entry["workload"], {})[entry["peer"]] = entry["median_ms"]
    return page, medians


def test_every_row_of_the_table_is_in_the_record_and_no_question_is_left_out() -> None:
    page, medians = cited()
    shown = set()
    for name, millions, *cells in re.findall(
        r"^\| `(\w+)`, (\d+) M rows \|" + r" ([^|]*?) \|" * 5 + r"(?: ([^|]*))? \|$", page, re.MULTILINE
    ):
        question = f"{name}-{int(millions) * 1_000_000}"
        found = medians[question]
        expected = [f"{found[engine]:,.1f}" if engine in found else "no form known" for engine in ENGINES]
        ours = min(median for engine, median in found.items() if engine.startswith("cepheid"))
        expected.append(f"{ours / found[SCAN]:,.1f}")
        assert cells[:5] == expected, question
        theirs = min((found[engine] for engine in ENGINES[2:] if engine in found), default=None)
        assert cells[5].strip() == beside(ours, theirs), question
        shown.add(question)
    assert shown == set(medians), f"not in the table: {sorted(set(medians) - shown)}"
    assert len(shown) >= 9


def beside(ours: float, theirs: float | None) -> str:
    """How many times as fast the faster one is, in two digits."""
    if theirs is None:
        return ""
    ratio = max(ours, theirs) / min(ours, theirs)
    spelled = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
    return f"{spelled} \N{MULTIPLICATION SIGN} {'faster' if ours < theirs else 'slower'}"
