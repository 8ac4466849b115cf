"""Writes the `ir` of every case from its `pattern`: run it after adding cases, or after a change of the IR.

``python tests/conformance/sequences/write_ir.py`` writes the files, ``--check`` only says which are out of date. Where
Python refuses to build a pattern, as the case expects, the `ir` written by hand is left as it is.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import cepheid as cep
from cepheid import absent, all_of, col, event, prev, ref, seq

FOLDER = Path(__file__).parent
NAMES = {
    "absent": absent,
    "all_of": all_of,
    "cep": cep,
    "col": col,
    "event": event,
    "prev": prev,
    "ref": ref,
    "seq": seq,
}


def built(code: str) -> cep.Pattern:
    """The pattern that a case spells in Python."""
    pattern = eval(code, dict(NAMES))
    assert isinstance(pattern, cep.Pattern), code
    return pattern


def ir_of(case: dict[str, Any]) -> str:
    """The IR of a case as JSON; that of an impossible pattern as it is written."""
    try:
        return json.dumps(built(case["pattern"]).to_dict(), separators=(", ", ": "))
    except cep.CepheidError as error:
        expected = case.get("error")
        assert error.code == expected, f"{case['name']}: expected {expected or 'a pattern'}, got {error!r}"
        assert "ir" in case, f"{case['name']}: Python does not build it; write its `ir` by hand"
        return str(case["ir"])


def with_ir(text: str) -> str:
    """A file of cases with the `ir` of each behind its `pattern`."""
    cases = iter(tomllib.loads(text)["test"])
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("ir = "):
            continue
        lines.append(line)
        if line.startswith("pattern = "):
            written = ir_of(next(cases))
            assert "'" not in written, "JSON goes between single quotes; write strings in `pattern` without them"
            lines.append(f"ir = '{written}'")
    left = [case["name"] for case in cases]
    assert not left, f"no line begins with `pattern = ` in {left}"
    return "\n".join(lines) + "\n"


def stale() -> list[Path]:
    """The files in which some `ir` is not that of its `pattern`."""
    texts = {path: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.toml"))}
    return [path for path, text in texts.items() if text != with_ir(text)]


if __name__ == "__main__":
    changed = stale()
    for path in changed:
        print(path.name)
        if "--check" not in sys.argv:
            path.write_text(with_ir(path.read_text("utf-8")), "utf-8")
    sys.exit(1 if changed and "--check" in sys.argv else 0)
