"""Who may know whom: the arrows between the crates, as ARCHITECTURE.md draws them."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib

from files import ROOT, sources

MAY_USE = {
    "ir": set(),
    "event": set(),
    "eval": {"ir", "event"},
    "sql": {"ir"},
    "matcher": {"ir", "event", "eval"},
    "window": {"ir", "event", "eval"},
    "anomaly": {"ir", "event", "eval"},
    "mining": set(),
    "cesql": set(),
    "ingest": set(),
    "store": {"ir", "event", "eval"},
    "engine": {"ir", "event", "eval", "matcher", "window", "anomaly"},
    "python": {"ir", "event", "eval", "sql", "matcher", "mining", "cesql", "ingest", "store", "engine"},
    "testkit": {"ir"},
}
# Tests may look further than what they test: the definition is put to the SQL text, the engine to the definition.
TESTS_MAY_USE = {
    "testkit": {"sql"},
    "engine": {"sql", "testkit"},
    "eval": {"testkit"},
    "event": {"testkit"},
    "matcher": {"testkit"},
    "window": {"testkit"},
    "store": {"testkit"},
}


def crates() -> dict[str, dict[str, set[str]]]:
    """Our crates by folder name, and which of ours each depends on, by kind of dependency."""
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    found = {}
    for package in metadata["packages"]:
        kinds: dict[str, set[str]] = {"normal": set(), "dev": set(), "build": set()}
        for dependency in package["dependencies"]:
            if dependency["name"].startswith("cepheid-"):
                kinds[dependency["kind"] or "normal"].add(dependency["name"].removeprefix("cepheid-"))
        found[package["name"].removeprefix("cepheid-")] = kinds
    return found


def test_crates_know_only_whom_they_may() -> None:
    found = crates()
    assert set(found) == set(MAY_USE), "a crate was added or removed: draw it in ARCHITECTURE.md and here"
    for name, uses in found.items():
        # Exactly: an arrow that nobody uses is drawn wrong.
        assert uses["normal"] == MAY_USE[name], (
            f"{name} uses {sorted(uses['normal'])}, drawn is {sorted(MAY_USE[name])}"
        )
        assert uses["dev"] == TESTS_MAY_USE.get(name, set()), f"tests of {name} use {sorted(uses['dev'])}"
        assert not uses["build"], f"the build of {name} uses {sorted(uses['build'])}"
    assert sum(len(uses["normal"]) for uses in found.values()) >= 10, "hardly any arrows: is this still the workspace?"


def test_every_dependency_of_the_workspace_is_used() -> None:
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))
    offered = set(manifest["workspace"]["dependencies"])
    assert len(offered) >= 25, f"found only {sorted(offered)}"
    taken: set[str] = set()
    for name, text in sources("/Cargo.toml", under="rust/"):
        folder = name.removesuffix("Cargo.toml")
        code = "\n".join(source for _, source in sources(".rs", under=folder))
        crate = tomllib.loads(text)
        for dependency in {**crate.get("dependencies", {}), **crate.get("dev-dependencies", {})}:
            assert re.search(rf"\b{dependency.replace('-', '_')}\b", code), f"{folder} does not use {dependency}"
            taken.add(dependency)
    assert taken == offered, f"in the workspace, but in no crate: {sorted(offered - taken)}"


def test_architecture_page_draws_the_same_arrows() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    drawn = {
        row[1]: {name.strip("` ") for name in row[2].split(",")} - {"nothing of ours"}
        for row in re.finditer(r"^\| `(\w+)` \|[^|]*\| ([^|]*) \|$", page, re.MULTILINE)
    }
    assert drawn == MAY_USE


def test_every_crate_forbids_unsafe_code_or_explains_each_use() -> None:
    roots = [(name, text) for name, text in sources("/src/lib.rs", under="rust/")]
    assert len(roots) == len(MAY_USE), [name for name, _ in roots]
    open_crates = {name.split("/")[1] for name, text in roots if "#![forbid(unsafe_code)]" not in text}
    # Door and hot loops may open it; the others have no reason to.
    assert open_crates <= {"python", "matcher", "eval"}, f"add #![forbid(unsafe_code)] to {sorted(open_crates)}"
    checked = 0
    for name, text in sources(".rs", under="rust/"):
        lines = text.splitlines()
        for number, line in enumerate(lines):
            code = line.split("//")[0]
            if re.search(r"\bunsafe\s*(\{|impl|fn)", code):
                before = "\n".join(lines[max(0, number - 8) : number])
                assert "SAFETY" in before or "# Safety" in before, f"{name}:{number + 1}: no SAFETY comment"
                assert name.split("/")[1] in open_crates, f"{name}:{number + 1}: unsafe in a crate that forbids it"
                checked += 1
        assert "allow(unsafe_code)" not in text or name.split("/")[1] in open_crates, name
    print(f"{checked} uses of unsafe, each with its reason")


def test_every_class_of_the_native_module_is_frozen() -> None:
    found = 0
    for name, text in sources(".rs", under="rust/python/src/"):
        code = re.sub(r"//.*", "", text)
        attributes = re.findall(r"#\[(?:pyo3::)?pyclass\b(?:\((.*?)\))?\]", code, re.DOTALL)
        for options in attributes:
            assert "frozen" in re.split(r"\s*,\s*", options.strip()), f"{name}: #[pyclass({options})]"
            found += 1
        # Under `cfg_attr` or another name it would be seen by nobody.
        assert len(re.findall(r"\bpyclass\b", code)) == len(attributes), f"{name}: a pyclass in another form"
    assert found >= 4, "no #[pyclass] in rust/python/src: has the shell moved?"
