"""Every ```python block of the pages runs, a page in one namespace; `>>>` blocks must print what they say."""

from __future__ import annotations

import ast
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
MUST_RUN |= {"docs/guide/streams.md", "docs/guide/testing.md", "docs/guide/windows.md", "docs/guide/anomalies.md"}
MUST_RUN |= {"docs/guide/joins.md", "docs/guide/pictures.md", "docs/guide/mining.md", "docs/guide/store.md"}
MUST_RUN |= {"docs/guide/event-sourcing.md", "docs/guide/app.md", "docs/guide/ingestion.md", "docs/guide/sources.md"}
MUST_RUN |= {"docs/guide/routing.md", "docs/guide/actions.md", "docs/guide/changing-rules.md"}
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
                if "*" in entry:
                    folder = (ROOT / name).parent
                    listed |= {path.relative_to(ROOT).as_posix() for path in folder.glob(f"{entry}.md")}
                elif entry and not entry.startswith(":"):
                    listed.add((Path(name).parent / f"{entry}.md").as_posix())
    pages = {name for name in PAGES if name.startswith("docs/")} - {"docs/index.md"}
    assert len(pages) >= 12, f"only {sorted(pages)}"
    assert pages - listed == set(), "not in any toctree"
    assert listed <= pages | {"docs/index.md"}, f"in a toctree, but no page: {sorted(listed - pages)}"


def test_links_between_pages_lead_somewhere() -> None:
    followed = anchored = 0
    for name in [*PAGES, *(page for page in house_files() if page.endswith(".md") and page not in PAGES)]:
        text = (ROOT / name).read_text("utf-8")
        for target, anchor in re.findall(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)", text):
            page = (ROOT / name).parent.joinpath(target) if target else ROOT / name
            assert page.exists(), f"{name} links to {target}"
            if anchor:
                assert anchor in anchors(page.read_text("utf-8")), f"{name} links to {target}#{anchor}"
                anchored += 1
            followed += 1
    assert followed >= 15, f"only {followed} links"
    assert anchored >= 1, f"only {anchored} links into pages"


def anchors(text: str) -> set[str]:
    """What headings can be linked to as."""
    headings = re.findall(
        r"^#{1,3} (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_block_of_the_guides_can_fail() -> None:
    """A block that only runs says nothing: it asserts, or makes what a later one asserts, and an error is asked for."""
    seen = 0
    for name in WITH_CODE:
        blocks = [block[1] for block in BLOCK.finditer((ROOT / name).read_text("utf-8"))]
        for block in blocks:
            tree = ast.parse("" if ">>>" in block else block)
            tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
            assert all(node.orelse for node in tries), f"{name}: `try` without `else` passes when nothing is raised"
            last = tree.body[-1] if tree.body else None
            printed = isinstance(last, ast.Expr) and isinstance(last.value, ast.Call)
            assert not (printed and getattr(last.value.func, "id", "") == "print"), f"{name}: prints to nobody: {block}"
            seen += 1
        assert any("assert " in block or ">>>" in block for block in blocks), f"{name} asserts nothing"
    assert seen >= 25, f"only {seen} blocks"


def test_every_function_of_the_language_is_on_the_page_of_expressions() -> None:
    source = (ROOT / "rust" / "ir" / "src" / "function.rs").read_text("utf-8")
    names = re.findall(r'^ {8}[A-Z]\w+ = "(\w+)"', source, re.MULTILINE)
    assert len(names) >= 80, f"found only {len(names)} functions; has the table changed its form?"
    page = (ROOT / "docs" / "reference" / "expressions.md").read_text("utf-8")
    told = [
        name for row in re.findall(r"^\| ([^|]*\(.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)\(", row)
    ]
    missing = sorted(set(names) - set(told))
    assert not missing, f"say on docs/reference/expressions.md what they do: {missing}"
    unknown = sorted(set(told) - set(names))
    assert not unknown, f"docs/reference/expressions.md tells of what is no function: {unknown}"


def test_every_name_of_the_package_is_on_the_page_of_the_api() -> None:
    init = ast.parse((ROOT / "python" / "cepheid" / "__init__.py").read_text("utf-8"))
    [exported] = [
        ast.literal_eval(node.value)
        for node in init.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    assert len(exported) >= 50, f"only {len(exported)} names"
    page = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    entries = re.findall(r"^\.\. auto(?:function|class|data|exception):: cepheid\.(\w+)$", page, re.MULTILINE)
    assert len(entries) == len(set(entries)), "a name has two entries"
    assert set(entries) == set(exported), sorted(set(entries) ^ set(exported))
