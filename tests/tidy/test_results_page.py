"""docs/results.md is what the generator makes of the record that it cites, and of the template."""

from __future__ import annotations

import json
import re
import sys
import tomllib

from files import ROOT

sys.path.insert(0, str(ROOT))

from benches.goals import outcomes
from benches.page import PARTS, rendered


def test_the_page_is_what_the_generator_makes_of_the_record_that_it_cites() -> None:
    page = (ROOT / "docs" / "results.md").read_text("utf-8")
    [name] = re.findall(r"^Record `([\w-]+)`", page, re.MULTILINE)
    path = ROOT / "benches" / "record" / f"{name}.json"
    assert page == rendered(path), "say `make results`"
    is_part = not json.loads(path.read_text("utf-8"))["whole"]
    assert is_part == ("A part of the questions was asked" in page)
    assert re.findall(r"^<!-- made of the record: (\w+) -->$", page, re.MULTILINE) == [
        "machine",
        "goals",
        "rates",
        "wins",
        "curves",
        "streams",
        "resources",
        "not_timed",
    ]
    assert len(PARTS) == 8


def test_every_goal_names_a_question_or_a_curve_that_there_is() -> None:
    goals = tomllib.loads((ROOT / "benches" / "goals.toml").read_text("utf-8"))["goal"]
    assert len(goals) >= 25
    workloads = {path.stem for path in (ROOT / "benches" / "workloads").glob("*.toml")}
    streams = (ROOT / "benches" / "streams.py").read_text("utf-8")
    for goal in goals:
        if "stream" in goal:
            assert f'"{goal["stream"]}": Curve(' in streams, goal
        else:
            assert goal.get("curve", goal.get("workload", "").split("-")[0]) in workloads, goal


def test_a_goal_is_reached_missed_or_not_measured() -> None:
    def entry(peer: str, median_ms: float) -> dict[str, object]:
        return {"workload": "seq3_any-10000000", "peer": peer, "rows": 10_000_000, "median_ms": median_ms}

    slow = {"times": [entry("cepheid, built", 100.0), entry("Polars, by hand", 150.0)]}
    found = {outcome.says: outcome for outcome in outcomes(slow)}
    rate = next(outcome for says, outcome in found.items() if says.startswith("(A, B, C)"))
    assert (rate.verdict, rate.measured) == ("missed", "100 M rows/s")
    twice = next(outcome for says, outcome in found.items() if "Polars" in says)
    assert (twice.verdict, twice.measured) == ("missed", "1.5 times")
    fast = {"times": [entry("cepheid, SQL", 40.0), entry("Polars, by hand", 150.0)]}
    assert [outcome.verdict for outcome in outcomes(fast)].count("reached") == 2
    assert {outcome.verdict for outcome in outcomes({"times": []})} == {"not measured"}
