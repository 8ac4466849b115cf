"""The annotations: strict on our side, right on the user's, and the stub equal to the compiled module."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")


def run(*arguments):
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_mypy_strict_finds_nothing_in_the_package_and_in_what_users_write():
    status, output = run("mypy", "--strict", "python/cepheid", "tests/typing/usage.py")
    assert status == 0, output
    checked = re.search(r"no issues found in (\d+) source files", output)
    assert checked is not None, output
    assert int(checked[1]) >= 30, output


def test_the_stub_says_what_the_compiled_module_has():
    status, output = run("mypy.stubtest", "cepheid._native", "--mypy-config-file", "pyproject.toml")
    assert status == 0, output
    assert "no issues found" in output
