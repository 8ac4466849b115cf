"""Every error code that Rust or Python can give is explained in docs/reference/errors.md, and nothing else is."""

from __future__ import annotations

import ast
import re

from files import ROOT, sources

PAGE = ROOT / "docs" / "reference" / "errors.md"
# `fn code(&self) -> ... { ... }`: the string literals in its body, up to the closing brace in the column of `fn`.
CODE_FUNCTION = re.compile(
    r"^(?P<indent> *)pub(?:\([a-z]+\))? (?:const )?fn code\(.*?^(?P=indent)\}", re.MULTILINE | re.DOTALL
)
LITERAL = re.compile(r'"([a-z][a-z0-9]*(?:-[a-z0-9]+)*)"')
PYTHON_CODE = re.compile(r'\b(?:default_)?code\s*(?::\s*[\w\[\]., ]+)?=\s*"([a-z][a-z0-9]*(?:-[a-z0-9]+)*)"')


def rust_codes() -> dict[str, str]:
    """Code and the file that gives it. The definition's own errors are for tests alone."""
    found = {}
    for name, text in sources(".rs", under="rust/"):
        if name.startswith("rust/testkit/") or "/tests/" in name:
            continue
        for function in CODE_FUNCTION.finditer(text):
            for code in LITERAL.findall(function[0]):
                found[code] = name
        # Codes that are written where the error is made.
        for code in re.findall(r'\bcode:\s*"([a-z][a-z0-9-]*)"', text):
            found[code] = name
    return found


def python_codes() -> dict[str, str]:
    return {code: name for name, text in sources(".py", under="python/cepheid/") for code in PYTHON_CODE.findall(text)}


def documented_codes() -> list[str]:
    return re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)


def test_the_page_explains_the_codes_that_are_given_and_no_others() -> None:
    rust, python, explained = rust_codes(), python_codes(), documented_codes()
    assert len(rust) >= 45, f"found only {sorted(rust)}; has code() changed its form?"
    assert len(python) >= 15, f"found only {sorted(python)}"
    assert len(explained) == len(set(explained)), "a code is explained twice"
    given = rust | python
    missing = {code: where for code, where in given.items() if code not in explained}
    assert not missing, f"explain in docs/reference/errors.md: {missing}"
    stale = sorted(set(explained) - set(given))
    assert not stale, f"no error has these codes any more: {stale}"


def test_the_page_lists_every_class_with_its_attributes() -> None:
    module = ast.parse((ROOT / "python" / "cepheid" / "errors.py").read_text("utf-8"))
    base, *classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    common = {"message", "code", "hint"}
    assert attributes(base) == common
    page = PAGE.read_text("utf-8")
    told = {
        row[1]: set(re.findall(r"`(\w+)`", row[2]))
        for row in re.finditer(r"^\| `(\w+Error)` \|[^|]*\|([^|]*)\|$", page, re.MULTILINE)
    }
    assert len(classes) >= 9
    for class_ in classes:
        assert told.pop(class_.name) == attributes(class_), class_.name
    assert not told, f"rows of no class: {sorted(told)}"


def attributes(class_: ast.ClassDef) -> set[str]:
    """What `__init__` sets."""
    return {
        node.attr
        for node in ast.walk(class_)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
