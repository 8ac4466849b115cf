"""`CEPHEID_DATA=... python -m benches.nab`: chooses parameters, scores every series, writes the record and the page.

`python -m benches.nab --page` makes the page of the record that there is.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benches.nab.detectors import Candidate, candidates
from benches.nab.page import PAGE, RECORD, rendered
from benches.nab.scoring import Labels, score

FILE = "nab_labelled_series.parquet"
# Parameters are chosen on these series, and judged on the others.
CHOSEN_ON = "realAWSCloudwatch/"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.nab")
    parser.add_argument("--page", action="store_true", help="make the page of the record that there is")
    if not parser.parse_args().page:
        folder = os.environ.get("CEPHEID_DATA")
        if folder is None or not (Path(folder) / FILE).is_file():
            sys.exit(f"CEPHEID_DATA names no folder with {FILE}")
        RECORD.write_text(json.dumps(measured(read(Path(folder) / FILE)), indent=1) + "\n", "utf-8")
    PAGE.write_text(rendered(json.loads(RECORD.read_text("utf-8"))), "utf-8")
    return 0


def read(path: Path) -> Labels:
    table = pq.read_table(path)
    column = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    labels = Labels(
        column["series"], column["ts"], column["value"], column["anomaly_window"], column["is_anomaly"].astype(bool)
    )
    # One series behind the other, each in order of time.
    order = np.lexsort((labels.times, labels.series.astype(str)))
    return Labels(*(values[order] for values in vars(labels).values()))


def measured(labels: Labels) -> dict[str, Any]:
    """The record."""
    chosen_on = np.char.startswith(labels.series.astype(str), CHOSEN_ON)
    subset, others = labels.of(chosen_on), labels.of(~chosen_on)
    best: dict[str, tuple[float, Candidate, float]] = {}
    tried: dict[str, int] = {}
    for candidate in candidates():
        scores = candidate.scores(subset)
        for threshold in candidate.thresholds:
            tried[candidate.name] = tried.get(candidate.name, 0) + 1
            f1 = score(subset, scores > threshold).f1
            if candidate.name not in best or f1 > best[candidate.name][0]:
                best[candidate.name] = (f1, candidate, threshold)
    detectors = []
    for name, (_, candidate, threshold) in best.items():
        flags = candidate.scores(labels) > threshold
        groups = np.array([series.partition("/")[0] for series in labels.series])
        by_group = {
            str(group): score(labels.of(groups == group), flags[groups == group]).as_data()
            for group in np.unique(groups)
        }
        detectors.append(
            {
                "name": name,
                "parameters": {**candidate.parameters, "threshold": threshold},
                "tried": tried[name],
                "chosen_on": score(subset, flags[chosen_on]).as_data(),
                "others": score(others, flags[~chosen_on]).as_data(),
                "groups": by_group,
            }
        )
    return {
        "date": datetime.date.today().isoformat(),
        "versions": {package: _version(package) for package in ("cepheid", "river", "numpy", "pyarrow")},
        "rows": len(labels.values),
        "series": len(np.unique(labels.series)),
        "chosen_on": CHOSEN_ON,
        "detectors": detectors,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    sys.exit(main())
