"""The conformance suite, run through the Python package: both front ends, every form in which a table can come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from cases import FOLDER, Case, load
from text_tables import is_text

import cepheid as cep

CASES = load()

polars = pytest.importorskip("polars")
pytest.importorskip("pandas")


def forms(case: Case) -> dict[str, Any]:
    """The input in every form that holds it without loss; those that are read only once come as functions."""
    table = case.events.to_arrow()
    found: dict[str, Any] = {
        "whole": table,
        "batches of 1": pa.Table.from_batches(table.to_batches(max_chunksize=1), table.schema),
        "reader of 4": lambda: pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=4)),
    }
    if len(set(table.column_names)) == table.num_columns:
        found["polars"] = polars.from_arrow(table)
        frame = table.to_pandas()
        if unchanged(table, pa.Table.from_pandas(frame, preserve_index=False)):
            found["pandas"] = frame
    return found


def unchanged(table: pa.Table, returned: pa.Table) -> bool:
    """Whether a table came through pandas as it was, strings laid out as they may be."""
    if table.column_names != returned.column_names:
        return False
    pairs = list(zip(table.columns, returned.columns, strict=True))
    alike = all(left.type == right.type or (is_text(left.type) and is_text(right.type)) for left, right in pairs)
    return alike and all(left.equals(right.cast(left.type)) for left, right in pairs)


def questions(case: Case) -> dict[str, Callable[[Any], cep.Matches]]:
    """The ways to ask for the answer of a case."""
    if case.is_algebra:
        return {"algebra": lambda data: cep.match(case.algebra_pattern(), data)}
    text = case.sql_text()
    asked = {"sql": lambda data: cep.sql(text, t=data)}
    if case.is_plain:
        asked["pattern"] = lambda data: cep.match(cep.pattern_from_sql(text), data)
        asked["data"] = lambda data: cep.match(cep.Pattern.from_dict(cep.pattern_from_sql(text).to_dict()), data)
    return asked


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case) -> None:
    ran = 0
    tables = forms(case)
    asked = questions(case)
    for question, ask in asked.items():
        for form, data in tables.items():
            __tracebackhide__ = True
            given = data() if callable(data) else data
            try:
                matches = ask(given)
            except cep.CepheidError as error:
                assert error.code == case.error, f"[{question}, {form}] expected {case.error}, got {error!r}"
            else:
                assert case.error is None, f"[{question}, {form}] expected the error {case.error}, got {matches}"
                try:
                    case.check(matches, same_strings=form not in ("polars", "pandas"))
                except AssertionError as error:
                    error.add_note(f"[{question}, {form}] {case.sql_text()}")
                    raise
            ran += 1
    assert ran == len(asked) * len(tables) >= 3


def test_every_case_in_the_files_is_run_in_every_form_that_holds_its_input() -> None:
    written = sum(
        len(re.findall(r"^\[\[test\]\]", path.read_text("utf-8"), re.MULTILINE)) for path in FOLDER.glob("*.toml")
    )
    assert len(CASES) == written >= 250
    names = Counter(case.entry["name"] for case in CASES)
    assert len(names) == len(CASES), [name for name, count in names.items() if count > 1]
    ran = Counter(form for case in CASES for form in forms(case))
    asked = Counter(question for case in CASES for question in questions(case))
    assert ran["whole"] == ran["batches of 1"] == ran["reader of 4"] == len(CASES)
    assert ran["polars"] >= len(CASES) - 5, ran
    assert ran["pandas"] >= 200, ran
    assert asked["sql"] + asked["algebra"] == len(CASES)
    assert asked["algebra"] >= 20
    assert asked["pattern"] == asked["data"] >= 220, asked
