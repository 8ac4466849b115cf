"""Every ```python block of the pages runs, a page in one namespace; `>>>` blocks must print what they say."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from files import ROOT, house_files

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    name
    for name in house_files()
    if name.endswith(".md") and (name.startswith("docs/") or name in ("README.md", "CONTRIBUTING.md"))
]
WITH_CODE = [name for name in PAGES if BLOCK.search((ROOT / name).read_text("utf-8"))]
# Pages that a newcomer reads first; they must have something that runs.
MUST_RUN = {"README.md", "CONTRIBUTING.md", "docs/getting-started.md", "docs/guide/sql.md", "docs/guide/algebra.md"}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", WITH_CODE)
def test_page_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "page"}
    text = (ROOT / page).read_text("utf-8")
    ran = 0
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(1))
        if ">>>" in block[1]:
            test = doctest.DocTestParser().get_doctest(block[1], namespace, page, page, line)
            runner = doctest.DocTestRunner(optionflags=OPTIONS)
            output: list[str] = []
            runner.run(test, out=output.append, clear_globs=False)
            assert not runner.failures, f"{page}:\n{''.join(output)}"
            namespace.update(test.globs)
        else:
            # Blank lines before it, so that a traceback names the page's own line.
            exec(compile("\n" * line + block[1], page, "exec"), namespace)
        ran += 1
    assert ran >= 1


def test_the_first_pages_have_something_to_run() -> None:
    assert set(WITH_CODE) >= MUST_RUN


def test_every_page_is_reached_from_the_index() -> None:
    listed = set()
    for name in PAGES:
        text = (ROOT / name).read_text("utf-8")
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for entry in (line.strip() for line in tree.splitlines()):
                if entry and not entry.startswith(":"):
                    listed.add((Path(name).parent / f"{entry}.md").as_posix())
    pages = {name for name in PAGES if name.startswith("docs/")} - {"docs/index.md"}
    assert len(pages) >= 12, f"only {sorted(pages)}"
    decisions = {name for name in pages if name.startswith("docs/developers/decisions/")}
    assert pages - listed - decisions == set(), "not in any toctree"
    assert listed <= pages | {"docs/index.md"}, f"in a toctree, but no page: {sorted(listed - pages)}"


def test_links_between_pages_lead_somewhere() -> None:
    followed = 0
    for name in [*PAGES, *(page for page in house_files() if page.endswith(".md") and page not in PAGES)]:
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", (ROOT / name).read_text("utf-8")):
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"
            followed += 1
    assert followed >= 15, f"only {followed} links"


def test_every_function_of_the_language_is_on_the_page_of_expressions() -> None:
    source = (ROOT / "rust" / "ir" / "src" / "function.rs").read_text("utf-8")
    names = re.findall(r'^ {8}[A-Z]\w+ = "(\w+)"', source, re.MULTILINE)
    assert len(names) >= 80, f"found only {len(names)} functions; has the table changed its form?"
    page = (ROOT / "docs" / "reference" / "expressions.md").read_text("utf-8")
    missing = [name for name in names if not re.search(rf"^\| [^|]*`{name}\(", page, re.MULTILINE)]
    assert not missing, f"say on docs/reference/expressions.md what they do: {missing}"
