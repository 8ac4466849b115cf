"""The cases of event sequences say the same in Python and as IR."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from sequence_cases import FOLDER, SequenceCase, load
from sequences.write_ir import stale

import cepheid as cep

CASES = load()


def test_the_ir_of_every_case_is_that_of_its_pattern() -> None:
    assert [path.name for path in stale()] == [], "run tests/conformance/sequences/write_ir.py"


def test_every_case_in_the_files_is_read() -> None:
    written = sum(
        len(re.findall(r"^\[\[test\]\]", path.read_text("utf-8"), re.MULTILINE)) for path in FOLDER.glob("*.toml")
    )
    assert len(CASES) == written >= 380
    names = Counter(case.entry["name"] for case in CASES)
    assert len(names) == len(CASES), [name for name, count in names.items() if count > 1]
    constructs = Counter(case.construct for case in CASES)
    assert len(constructs) >= 28, constructs
    assert min(constructs.values()) >= 6, constructs
    assert sum(case.error is not None for case in CASES) >= 25


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_rows_that_a_case_expects_are_rows_of_its_input(case: SequenceCase) -> None:
    sizes = {topic: len(table.rows) for topic, table in case.events.items()}
    for event in case.entry.get("derived", ()):
        for row in (row for rows in event["rows"].values() for row in rows):
            topic, _, ordinal = row.rpartition(":") if isinstance(row, str) else ("", "", row)
            assert int(ordinal) < sizes[topic]


@pytest.mark.parametrize("case", [case for case in CASES if case.error is None], ids=lambda case: case.id)
def test_a_pattern_comes_back_from_its_ir(case: SequenceCase) -> None:
    pattern = case.pattern()
    assert cep.Pattern.from_dict(json.loads(case.entry["ir"])) == pattern
    assert eval(repr(pattern), {**vars(cep), "cep": cep}) == pattern
