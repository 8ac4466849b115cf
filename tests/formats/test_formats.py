"""Stored patterns stay readable, mean what they meant, and keep their fingerprints."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import cepheid as cep

FOLDER = Path(__file__).parent / "v1"
FILES = sorted(FOLDER.glob("*.json"))
FINGERPRINTS = tomllib.loads((FOLDER / "fingerprints.toml").read_text("utf-8"))
WINDOWS = sorted((FOLDER / "windows").glob("*.json"))
WINDOW_FINGERPRINTS = tomllib.loads((FOLDER / "windows" / "fingerprints.toml").read_text("utf-8"))

ROW_PATTERNS = {
    "sequence", "alternation", "permute", "quantified", "exclusion", "anchor", "start", "end", "empty", "absent",
    "for_ns", "bounded", "between", "neighbours", "until",
}  # fmt: skip
EXPRESSIONS = {
    "literal", "column", "classifier", "match_number", "aggregate", "negate", "binary", "and", "or", "not", "is_null",
    "in", "between", "like", "case", "cast", "call",
}  # fmt: skip
OPERATORS = {
    "add", "subtract", "multiply", "divide", "modulo", "equal", "not_equal", "less", "less_or_equal", "greater",
    "greater_or_equal", "is_distinct_from", "concat",
}  # fmt: skip
LITERALS = {"null", "boolean", "integer", "float", "decimal", "string", "date", "time", "timestamp", "interval"}
CLAUSES = {
    "name", "partition_by", "order_by", "subsets", "define", "measures", "within", "initial", "emit", "one",
    "all_show_empty", "all_omit_empty", "all_with_unmatched", "past_last_row", "to_next_row", "to_variable", "none",
    "consume", "selection", "all", "allowed", "excluded", "standard", "derived", "skip_till_next", "skip_till_any",
    "topics", "having", "timeouts", "emit_at", "rows", "unbounded", "trend", "values", "every_ns",
}  # fmt: skip
POINTERS = {"final", "first", "logical_offset", "physical_offset", "tested_row", "quoted", "distinct", "lenient"}
CONSTRUCTS = ROW_PATTERNS | EXPRESSIONS | OPERATORS | LITERALS | CLAUSES | POINTERS
TYPES = 18


def names_of(enum: str) -> set[str]:
    """The names of the functions of one table in Rust: the first, where a function has several."""
    source = (Path(__file__).parents[2] / "rust" / "ir" / "src" / "function.rs").read_text("utf-8")
    table = re.search(rf"^functions! \{{\n(?:    ///[^\n]*\n)*    {enum} .*?^\}}$", source, re.MULTILINE | re.DOTALL)
    assert table is not None, f"no table of {enum}; has it changed its form?"
    return set(re.findall(r'^ {8}[A-Z]\w+ = "(\w+)"', table[0], re.MULTILINE))


def words(value: Any) -> set[str]:
    """The keys and strings of a JSON document."""
    if isinstance(value, dict):
        return set(value) | {word for part in value.values() for word in words(part)}
    if isinstance(value, list):
        return {word for part in value for word in words(part)}
    return {value} if isinstance(value, str) else set()


def bodies(value: Any, tag: str) -> list[Any]:
    """What stands under a key, anywhere in a JSON document."""
    if isinstance(value, list):
        return [body for part in value for body in bodies(part, tag)]
    if not isinstance(value, dict):
        return []
    own = [value[tag]] if tag in value else []
    return own + [body for part in value.values() for body in bodies(part, tag)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_stored_pattern_is_read_and_written_again_byte_by_byte(path: Path) -> None:
    text = path.read_text("utf-8").removesuffix("\n")
    pattern = cep.Pattern.from_json(text)
    assert pattern.to_json() == text
    assert pattern.fingerprint == FINGERPRINTS[path.stem]
    assert pattern.named("another name").fingerprint == FINGERPRINTS[path.stem]
    data = json.loads(text)
    assert pattern.to_dict() == data
    again = cep.Pattern.from_dict(data)
    assert again == pattern
    assert again.fingerprint == FINGERPRINTS[path.stem]


@pytest.mark.parametrize("path", WINDOWS, ids=lambda path: path.stem)
def test_a_stored_window_is_read_and_written_again_byte_by_byte(path: Path) -> None:
    text = path.read_text("utf-8").removesuffix("\n")
    window = cep.Window.from_json(text)
    assert window.to_json() == text
    assert window.fingerprint == WINDOW_FINGERPRINTS[path.stem]
    assert cep.Window.from_dict(json.loads(text)) == window


def of_windows() -> set[str]:
    """The aggregates of the stored windows, which no pattern may ask for."""
    assert {path.stem for path in WINDOWS} == set(WINDOW_FINGERPRINTS)
    assert WINDOWS
    found: set[str] = set()
    for path in WINDOWS:
        for body in bodies(json.loads(path.read_text("utf-8")), "aggregate"):
            with pytest.raises(cep.PatternError) as caught:
                cep.match(cep.event("a").select(m=cep.Expr.from_dict({"aggregate": body})), {"ts": [1]})
            assert caught.value.code == "unsupported"
            found.add(body["function"])
    return found


def test_the_stored_patterns_use_every_construct() -> None:
    assert len(FILES) == len(FINGERPRINTS) == 17
    assert {path.stem for path in FILES} == set(FINGERPRINTS)
    assert len(set(FINGERPRINTS.values())) == len(FINGERPRINTS)
    documents = [json.loads(path.read_text("utf-8")) for path in FILES]
    used = words(documents)
    assert used >= CONSTRUCTS, CONSTRUCTS - used
    functions, aggregates = names_of("Function"), names_of("AggregateFunction")
    assert len(functions) >= 72
    assert len(aggregates) >= 15
    assert {call["function"] for call in bodies(documents, "call")} == functions
    assert {aggregate["function"] for aggregate in bodies(documents, "aggregate")} == aggregates - of_windows()
    assert len({json.dumps(cast["to"]) for cast in bodies(documents, "cast")}) == TYPES


def test_a_newer_version_is_refused_by_its_number() -> None:
    with pytest.raises(cep.PatternError) as caught:
        cep.Pattern.from_dict({"cepheid_ir": 2, "pattern": {}})
    assert caught.value.code == "wire-version"
