"""The cases of aggregations over all matches, read from the folder `trends`: in Python and in SQL."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from sequences.write_ir import built
from text_tables import TextTable

import cepheid as cep

FOLDER = Path(__file__).parent / "trends"
KEYS = {"name", "pattern", "sql", "events", "event-time", "output", "error"}
CASES: list[Any] = [
    pytest.param(entry, id=f"{path.stem}/{entry['name']}")
    for path in sorted(FOLDER.glob("*.toml"))
    for entry in tomllib.loads(path.read_text("utf-8"))["test"]
]
IN_SQL = [case for case in CASES if "sql" in case.values[0]]


def check(entry: dict[str, Any], pattern: cep.Pattern) -> None:
    events = TextTable.parse(entry["events"]).to_arrow()
    found = cep.match(pattern, events, event_time=entry.get("event-time"))
    expected = TextTable.parse(entry["output"])
    expected.check(found.to_arrow().select(expected.names), same_strings=True)
    assert len(found) == found.num_rows
    assert found.rows.num_rows == 0
    assert cep.Pattern.from_json(pattern.to_json()) == pattern
    assert cep.Pattern.from_dict(pattern.to_dict()).fingerprint == pattern.fingerprint
    assert built(repr(pattern)) == pattern


@pytest.mark.parametrize("entry", CASES)
def test_the_algebra_gives_what_the_case_expects(entry: dict[str, Any]) -> None:
    assert entry.keys() <= KEYS
    if "error" not in entry:
        check(entry, built(entry["pattern"]))
        return
    with pytest.raises(cep.CepheidError) as caught:
        check({**entry, "output": "x\n"}, built(entry["pattern"]))
    assert caught.value.code == entry["error"], str(caught.value)


@pytest.mark.parametrize("entry", IN_SQL)
def test_sql_gives_what_the_case_expects(entry: dict[str, Any]) -> None:
    if "error" not in entry:
        check(entry, cep.pattern_from_sql(entry["sql"]))
        return
    with pytest.raises(cep.CepheidError) as caught:
        check({**entry, "output": "x\n"}, cep.pattern_from_sql(entry["sql"]))
    assert caught.value.code == entry["error"], str(caught.value)


def test_the_cases_are_all_there() -> None:
    assert len(CASES) >= 43
    assert len(IN_SQL) >= 34
