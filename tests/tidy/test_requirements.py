"""A fresh machine gets what the package and its tests import: an environment long in use proves nothing of it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

from files import ROOT, sources

OURS = {"cepheid", "benches"}


def installed_by_setup() -> set[str]:
    """Names of the distributions that `make setup` installs."""
    lines = subprocess.run(
        [sys.executable, ".ci/requirements.py"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return {re.split(r"[\[<>=!~ ]", line, maxsplit=1)[0].lower() for line in lines}


def imported(text: str) -> set[str]:
    """The first part of the name of every module that a source imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_setup_installs_whatever_the_package_and_the_tests_import() -> None:
    installed, distributions = installed_by_setup(), packages_distributions()
    assert {"numpy", "pyarrow", "pytest", "cachetools", "rich"} <= installed
    seen: set[str] = set()
    for folder in ("python/", "tests/"):
        beside = {name.rsplit("/", 1)[-1].removesuffix(".py") for name, _ in sources(".py", under=folder)}
        packages = {part for name, _ in sources(".py", under=folder) for part in name.split("/")[:-1]}
        for name, text in sources(".py", under=folder):
            for module in imported(text) - OURS - beside - packages - sys.stdlib_module_names:
                given = {distribution.lower() for distribution in distributions.get(module, (module,))}
                assert given & installed, f"{name} imports {module}, which `make setup` does not install"
                seen.add(module)
    assert len(seen) >= 7, f"found only {sorted(seen)}"
