"""The commands that README and CI promise exist, and the licence is whole."""

from __future__ import annotations

import re
import tomllib

from files import ROOT, sources

TARGETS = ["help", "setup", "build", "test", "test-deep", "lint", "fmt", "bench", "docs", "demo"]


def test_makefile_has_every_command_that_is_promised() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert explained.issuperset(TARGETS), set(TARGETS) - explained
    named = {
        target
        for name, text in sources(".md", ".yml")
        for target in re.findall(r"(?:`|run: |^)make ([a-z][a-z-]*)", text, re.MULTILINE)
    }
    assert len(named) >= 6, f"pages name only {sorted(named)}"
    assert named <= explained, f"no such command: {sorted(named - explained)}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert re.search(r"^exec make test$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert ".ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    workflows = {path.stem for path in (ROOT / ".github" / "workflows").glob("*.yml")}
    assert workflows >= {"ci", "wheels", "fuzz", "bench", "docs"}


def test_both_languages_have_one_version_and_one_licence() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))["workspace"]["package"]
    python = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert cargo["version"] == python["version"]
    assert cargo["license"] == python["license"] == "Apache-2.0"
    licence = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_workflows_name_no_branch_of_an_action_that_moves_without_a_version() -> None:
    used = [action for _, text in sources(".yml", under=".github/") for action in re.findall(r"uses: (\S+)", text)]
    assert len(used) >= 20, f"found only {len(used)}"
    allowed = {"dtolnay/rust-toolchain@master", "taiki-e/install-action@nextest"}
    loose = [action for action in used if action not in allowed and not re.search(r"@(v\d|release/v\d|stable)", action)]
    assert not loose
