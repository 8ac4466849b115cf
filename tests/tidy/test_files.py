"""Size, names and contents of the files."""

from __future__ import annotations

import re
import subprocess
from pathlib import PurePosixPath

import pytest
from files import ROOT, house_files, sources

LINES_MAX = 600
# A file that is longer stands here with the reason.
LONGER = {"python/cepheid/_native.pyi": "a compiled module has one stub"}
VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "tools"}

PRIVATE = {
    "a path of somebody's machine": r"(?<![\w.])/(?:home|Users|root|work|private/var|mnt)/[\w.-]+",
    "a path of somebody's machine (Windows)": r"\b[A-Z]:\\\\?(?:Users|Documents)\b",
    "a package index": r"(?:index|static)\.crates\.io|crates\.io/api|files\.pythonhosted|pypi\.org/simple",
    "an index in a command": r"--(?:extra-)?index-url|replace-with\s*=",
    "an address inside a network": r"\b(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}\b",
}


def test_no_file_is_longer_than_600_lines() -> None:
    files = sources(".rs", ".py", ".pyi", ".md", ".yml", "Makefile")
    assert len(files) > 90, f"found only {len(files)} files under {ROOT}; has the layout moved?"
    lengths = {name: len(text.splitlines()) for name, text in files}
    long = {name: lines for name, lines in lengths.items() if lines > LINES_MAX and name not in LONGER}
    assert not long, f"over {LINES_MAX} lines, split by idea: {long}"
    stale = [name for name in LONGER if lengths.get(name, 0) <= LINES_MAX]
    assert not stale, f"no longer over {LINES_MAX} lines, strike from the list: {stale}"


def test_no_module_has_a_name_that_says_nothing() -> None:
    names = [PurePosixPath(name) for name in house_files() if name.endswith((".rs", ".py"))]
    assert len(names) > 80
    vague = [str(name) for name in names if {name.stem, *name.parent.parts} & VAGUE]
    assert not vague, f"name it after what it does: {vague}"


@pytest.mark.parametrize("what", PRIVATE)
def test_no_file_names(what: str) -> None:
    rule = re.compile(PRIVATE[what])
    read = 0
    for name in house_files():
        if name == "Cargo.lock" or name.endswith((".parquet", ".arrow", ".png", ".ico")):
            continue
        text = (ROOT / name).read_text("utf-8", errors="replace")
        found = rule.search(text)
        assert not found, f"{name} has {what}: {found and found[0]!r}"
        read += 1
    assert read > 100, f"read only {read} files"


# In pieces, so that this file passes its own test.
@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a path of somebody's machine", "see /ho" + "me/ada/notes"),
        ("a package index", "https://pypi.org/sim" + "ple/"),
        ("an index in a command", "pip install --index" + "-url x"),
        ("an address inside a network", "http://192.168" + ".1.20:8080"),
    ],
)
def test_the_rule_would_see(what: str, text: str) -> None:
    assert re.search(PRIVATE[what], text)


def test_what_is_built_is_not_kept() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    if not tracked:
        pytest.skip("no git here")
    built = [name for name in tracked if name.endswith((".so", ".pyd", ".whl", ".pyc")) or name.startswith("target/")]
    assert not built
    assert len(tracked) > 30


def test_decisions_are_numbered_once_each_and_say_their_number() -> None:
    folder = ROOT / "docs" / "developers" / "decisions"
    numbers = {}
    for page in sorted(folder.glob("[0-9]*.md")):
        number = int(page.name.partition("-")[0])
        assert number not in numbers, f"{page.name} and {numbers[number]} are both number {number}"
        numbers[number] = page.name
        assert page.read_text("utf-8").startswith(f"# {number}. "), page.name
    assert list(numbers) == list(range(1, len(numbers) + 1)), "a number is missing"
    assert len(numbers) >= 15
