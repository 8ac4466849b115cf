"""Every error code that Rust or Python can give is explained in docs/reference/errors.md, and nothing else is."""

from __future__ import annotations

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


def test_every_code_of_rust_is_explained() -> None:
    codes = rust_codes()
    assert len(codes) >= 25, f"found only {sorted(codes)}; has code() changed its form?"
    missing = {code: where for code, where in codes.items() if code not in documented_codes()}
    assert not missing, f"explain in docs/reference/errors.md: {missing}"


def test_every_code_of_python_is_explained() -> None:
    missing = {code: where for code, where in python_codes().items() if code not in documented_codes()}
    assert not missing, f"explain in docs/reference/errors.md: {missing}"


def test_no_code_is_explained_that_is_never_given() -> None:
    text = "\n".join(text for _, text in sources(".rs", under="rust/"))
    text += "\n".join(text for _, text in sources(".py", under="python/cepheid/"))
    codes = documented_codes()
    assert len(codes) == len(set(codes)), "a code is explained twice"
    stale = [code for code in codes if f'"{code}"' not in text]
    assert not stale, f"no error has these codes any more: {stale}"
    assert len(codes) >= 25
