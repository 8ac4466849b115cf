"""docs/anomalies-nab.md is what its generator makes of the record, and flags are scored as the page says."""

from __future__ import annotations

import json
import sys

import numpy as np
from files import ROOT

sys.path.insert(0, str(ROOT))

from benches.nab.page import PAGE, RECORD, rendered
from benches.nab.scoring import Labels, score


def test_the_page_is_what_the_generator_makes_of_the_record() -> None:
    record = json.loads(RECORD.read_text("utf-8"))
    assert PAGE.read_text("utf-8") == rendered(record)
    ours = [detector for detector in record["detectors"] if detector["name"].startswith("cepheid")]
    assert len(ours) == 6, [detector["name"] for detector in ours]
    assert record["series"] == 58
    assert all(detector["others"]["windows"] > 50 for detector in record["detectors"])


def test_a_window_is_found_once_and_every_flag_outside_is_a_false_alarm() -> None:
    windows = np.array([-1, 0, 0, 0, -1, 1, 1, -1, 0, 0])
    labels = Labels(
        series=np.array(["a"] * 8 + ["b"] * 2),
        times=np.arange(10) * np.timedelta64(1, "h") + np.datetime64("2026-01-01"),
        values=np.zeros(10),
        windows=windows,
        instants=np.array([0, 0, 1, 0, 0, 0, 1, 0, 1, 0], dtype=bool),
    )
    flags = np.zeros(10, dtype=bool)
    assert score(labels, flags).f1 == 0
    flags[[1, 2, 4, 7, 9]] = True
    found = score(labels, flags)
    assert (found.windows, found.found, found.false_alarms) == (3, 2, 2)
    assert (found.precision, round(found.recall, 3)) == (0.5, 0.667)
    # An hour before the labelled moment in one, an hour after it in the other.
    assert found.lead_hours == 0
    assert score(labels, windows >= 0).f1 == 1
