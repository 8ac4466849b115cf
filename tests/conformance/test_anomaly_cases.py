"""The cases of anomaly rules, built and run in Python."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from text_tables import TextTable

import cepheid as cep

FOLDER = Path(__file__).parent / "anomalies"
KEYS = {"name", "rule", "method", "rows", "topic", "by", "where", "value", "events", "event-time", "output", "error"}
CASES = [
    pytest.param(entry, id=f"{path.stem}/{entry['name']}")
    for path in sorted(FOLDER.glob("*.toml"))
    for entry in tomllib.loads(path.read_text("utf-8"))["test"]
]


def rule_of(entry: dict[str, Any]) -> cep.Anomaly:
    """The rule as a user would write it."""
    by = [cep.expr_from_sql(column) for column in entry.get("by", ())]
    asked = cep.anomaly(entry.get("value", "v"), topic=entry.get("topic"), by=by, where=entry.get("where"))
    ((method, data),) = entry["method"].items()
    arguments: dict[str, Any] = {}
    for key, value in data.items():
        if key == "recent":
            ((kind, extent),) = value.items()
            arguments |= {"rows": extent} if kind == "rows" else {"span": f"{extent}ns"}
        elif key.endswith("_ns"):
            arguments[key.removesuffix("_ns")] = f"{value}ns"
        else:
            arguments[key] = value
    rule: cep.Anomaly = getattr(asked, method)(**arguments)
    return rule if entry.get("rows") == "flagged" else rule.all_rows()


def found(entry: dict[str, Any]) -> cep.Matches:
    rule = rule_of(entry)
    assert cep.Anomaly.from_json(rule.to_json()) == rule
    assert eval(repr(rule), {**vars(cep), "cep": cep}) == rule
    events = entry["events"]
    data: Any = TextTable.parse(events).to_arrow() if isinstance(events, str) else None
    if data is None:
        data = {topic: TextTable.parse(text).to_arrow() for topic, text in events.items()}
    # Without a name Python looks for the column itself, and finds `ts`.
    return cep.detect(rule, data, event_time=entry.get("event-time") or None)


def test_every_case_in_the_files_is_read() -> None:
    written = sum(
        len(re.findall(r"^\[\[test\]\]", path.read_text("utf-8"), re.MULTILINE)) for path in FOLDER.glob("*.toml")
    )
    assert len(CASES) == written >= 107
    entries = [case.values[0] for case in CASES]
    assert all(entry.keys() <= KEYS and ("output" in entry) != ("error" in entry) for entry in entries)
    methods = Counter(method for entry in entries for method in entry["method"])
    assert len(methods) == 6, methods
    assert min(methods.values()) >= 9, methods


@pytest.mark.parametrize("entry", [case for case in CASES if "output" in case.values[0]])
def test_a_case_gives_what_was_worked_out_by_hand(entry: dict[str, Any]) -> None:
    # Lists and dictionaries of columns come in as other string types than the case says.
    TextTable.parse(entry["output"]).check(found(entry).to_arrow(), same_strings=False)


@pytest.mark.parametrize("entry", [case for case in CASES if "error" in case.values[0]])
def test_a_case_raises_what_it_says(entry: dict[str, Any]) -> None:
    if entry.get("event-time") == "":
        pytest.skip("Python finds a column of event time that nobody names")
    with pytest.raises((cep.CepheidError, TypeError)) as raised:
        found(entry)
    # What is wrong with an argument shows where it is written, and has the code of arguments.
    codes = {entry["error"], "invalid-clause"} if entry["error"] == "invalid-expression" else {entry["error"]}
    assert getattr(raised.value, "code", None) in codes, raised.value


def test_the_type_of_the_added_columns_does_not_depend_on_the_rows() -> None:
    rule = cep.anomaly("v").rate_of_change(1).all_rows()
    schema = (
        cep.detect(rule, pa.table({"ts": pa.array([], pa.int64()), "v": pa.array([], pa.int8())})).to_arrow().schema
    )
    assert [str(field.type) for field in schema] == ["int64", "double", "double", "double", "bool"]
