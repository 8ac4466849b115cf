"""`make bench`: measures, writes a record with machine and versions, prints it as a table, and makes the results page.

`python -m benches [-k EXPRESSION]` measures (a part, which makes no page); `--short` leaves out what has more than a
million rows; `python -m benches --show RECORD` prints a record again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from benches.page import RECORDS, SCAN
from benches.peers import load_peers
from benches.resources import measure_resources
from benches.streams import measure_streams
from benches.workload import load_workloads

PACKAGES = (
    "cepheid",
    "duckdb",
    "polars",
    "pandas-match-recognize",
    "rustevex",
    "bobocep",
    "pandas",
    "pyarrow",
    "numpy",
)


class Skipped:
    """Collects why engines were not timed: that belongs into the record as much as the times."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            test = report.nodeid.rsplit("[", 1)[-1].rstrip("]")
            self.reasons.append(f"{test}: {report.longrepr[2].removeprefix('Skipped: ')}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches")
    parser.add_argument("-k", default="", help="only what this expression names, as in pytest")
    parser.add_argument("--short", action="store_true", help="nothing of more than a million rows")
    parser.add_argument("--show", type=Path, help="print this record")
    arguments = parser.parse_args()
    if arguments.show:
        print(as_table(json.loads(arguments.show.read_text("utf-8"))))
        return 0
    size = "short" if arguments.short else "full"
    # Read where the questions are collected.
    os.environ["CEPHEID_BENCH_SIZE"] = size
    skipped = Skipped()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.json"
        options = [str(Path(__file__).parent), "-q", "-k", arguments.k, f"--benchmark-json={raw}", "--benchmark-quiet"]
        status = pytest.main([*options, "--benchmark-disable-gc", "-p", "no:cacheprovider"], plugins=[skipped])
        if not raw.exists() or not raw.stat().st_size:
            return int(status) or 1
        record = to_record(json.loads(raw.read_text("utf-8")), skipped.reasons, load_peers()[1])
    asked = [] if arguments.k else [workload for workload in load_workloads() if workload.sweep is None]
    # These are asked in another Python, which is where their versions are known.
    for package in ("pycer", "bytewax", "pathway", "csp"):
        versions = (peer.version for peer in load_peers()[0] if peer.name.split()[0] == package)
        record["versions"][package] = next(versions, None)
    record["size"], record["whole"] = size, False
    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"{record['date'].replace(':', '')}.json"
    # What has been measured is kept, should one of the others fail.
    written(path, record)
    record["streams"] = [] if arguments.k else measure_streams(size)
    written(path, record)
    record["resources"] = measure_resources(asked)
    record["whole"] = not arguments.k
    written(path, record)
    print(as_table(record))
    print(f"\nrecord: {path.relative_to(Path(__file__).parent.parent)}")
    if record["whole"]:
        subprocess.run([sys.executable, "-m", "benches.page", str(path)], check=True)
    return int(status)


def written(path: Path, record: dict[str, Any]) -> None:
    path.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def to_record(raw: dict[str, Any], skipped: list[str], absent: dict[str, str]) -> dict[str, Any]:
    """Of pytest-benchmark's file, what a reader wants to know."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    times = [
        {
            **bench["extra_info"],
            "median_ms": bench["stats"]["median"] * 1000,
            "min_ms": bench["stats"]["min"] * 1000,
            "rounds": bench["stats"]["rounds"],
        }
        for bench in raw["benchmarks"]
        # Benches of single calls are about no workload: pytest-benchmark shows them.
        if "workload" in bench["extra_info"]
    ]
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": raw.get("commit_info", {}).get("id"),
        "machine": raw["machine_info"],
        "versions": versions,
        "times": times,
        "not_timed": skipped,
        "absent": absent,
    }


def as_table(record: dict[str, Any]) -> str:
    """A line an engine: its median, rows a second, how often the scan fits into it, and how it compares with ours."""
    lines = [f"{'workload':<34}{'engine':<24}{'median':>12}{'M rows/s':>10}{'x scan':>9}{'x cepheid':>11}"]
    by_workload: dict[str, list[dict[str, Any]]] = {}
    for entry in record["times"]:
        by_workload.setdefault(entry["workload"], []).append(entry)
    for workload, entries in by_workload.items():
        entries.sort(key=lambda entry: entry["median_ms"])
        scan = next((entry["median_ms"] for entry in entries if entry["peer"] == SCAN), None)
        ours = min((entry["median_ms"] for entry in entries if entry["peer"].startswith("cepheid")), default=None)
        for entry in entries:
            median = entry["median_ms"]
            rate = entry["rows"] / median / 1000
            ratios = f"{_ratio(median, scan):>9}{_ratio(median, ours):>11}"
            lines.append(f"{workload:<34}{entry['peer']:<24}{median:>9.3f} ms{rate:>10.2f}{ratios}")
            workload = ""
    if record["not_timed"]:
        lines += ["", "not timed:", *(f"  {reason}" for reason in record["not_timed"])]
    if record.get("absent"):
        lines += ["", "absent:", *(f"  {peer}: {reason}" for peer, reason in record["absent"].items())]
    resources = record.get("resources", {})
    if resources:
        wheel = resources["wheel_bytes"]
        lines += ["", f"import cepheid: {resources['import_ms']:.1f} ms"]
        lines += [f"wheel: {wheel / 1e6:.2f} MB" if wheel else "wheel: none in dist/; make build first"]
        for name, extra in resources["extra_bytes_per_row"].items():
            lines.append(
                f"memory beyond input and output: {name}: "
                + ("not known here" if extra is None else f"{extra:.1f} bytes a row")
            )
    return "\n".join(lines)


def _ratio(value: float, base: float | None) -> str:
    return f"{value / base:.2f}" if base else "-"


if __name__ == "__main__":
    sys.exit(main())
