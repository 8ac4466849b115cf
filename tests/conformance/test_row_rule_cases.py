"""The cases of windows and of anomaly rules, built and run in Python, in tables and in streams."""

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

FOLDER = Path(__file__).parent
COMMON = {"name", "rule", "topic", "by", "where", "events", "event-time", "output", "error"}
KEYS = {
    "windows": {"frame", "measures", "early", "empty", "late", "lateness"},
    "anomalies": {"method", "rows", "value"},
}
CASES = [
    pytest.param(kind, entry, id=f"{kind}/{path.stem}/{entry['name']}")
    for kind in KEYS
    for path in sorted((FOLDER / kind).glob("*.toml"))
    for entry in tomllib.loads(path.read_text("utf-8"))["test"]
]


def rule_of(kind: str, entry: dict[str, Any]) -> cep.Anomaly | cep.Window:
    """The rule as a user would write it."""
    return window_of(entry) if kind == "windows" else anomaly_of(entry)


def window_of(entry: dict[str, Any]) -> cep.Window:
    by = [cep.expr_from_sql(column) for column in entry.get("by", ())]
    asked = cep.window(*entry["measures"], topic=entry.get("topic"), by=by, where=entry.get("where"))
    window = framed(asked, entry["frame"])
    if early := entry.get("early"):
        kind, amount = early.split()
        window = window.early(rows=int(amount)) if kind == "rows" else window.early(every=amount)
    if empty := entry.get("empty"):
        window = window.with_empty(*empty.split()[1:])
    if late := entry.get("late"):
        window = window.with_late(for_=late)
    return window


def framed(asked: cep.WindowBuilder, frame: str) -> cep.Window:
    method, *words = frame.split()
    size, named = words[0], dict(zip(words[1::2], words[2::2], strict=True))
    if method == "rows":
        return asked.rows(int(size), **{name: int(rows) for name, rows in named.items()})
    if method == "session":
        return asked.session(gap=size)
    window: cep.Window = getattr(asked, method)(size, **named)
    return window


def anomaly_of(entry: dict[str, Any]) -> cep.Anomaly:
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


def tables_of(entry: dict[str, Any]) -> dict[str, pa.Table] | pa.Table:
    events = entry["events"]
    if isinstance(events, str):
        return TextTable.parse(events).to_arrow()
    return {topic: TextTable.parse(text).to_arrow() for topic, text in events.items()}


def found(kind: str, entry: dict[str, Any]) -> cep.Matches:
    rule = rule_of(kind, entry)
    assert type(rule).from_json(rule.to_json()) == rule
    assert eval(repr(rule), {**vars(cep), "cep": cep}) == rule
    # Without a name Python looks for the column itself, and finds `ts`.
    run = cep.aggregate if kind == "windows" else cep.detect
    return run(rule, tables_of(entry), event_time=event_time_of(kind, entry))


def event_time_of(kind: str, entry: dict[str, Any]) -> str | None:
    return entry.get("event-time") or (None if kind == "windows" else "ts")


def test_every_case_in_the_files_is_read() -> None:
    for kind, own in KEYS.items():
        texts = [path.read_text("utf-8") for path in (FOLDER / kind).glob("*.toml")]
        written = sum(len(re.findall(r"^\[\[test\]\]", text, re.MULTILINE)) for text in texts)
        entries = [case.values[1] for case in CASES if case.values[0] == kind]
        assert len(entries) == written >= (234 if kind == "windows" else 107)
        assert all(entry.keys() <= COMMON | own and ("output" in entry) != ("error" in entry) for entry in entries)
    methods = Counter(method for case in CASES for method in case.values[1].get("method", ()))
    assert len(methods) == 6, methods
    assert min(methods.values()) >= 9, methods
    frames = Counter(case.values[1]["frame"].split()[0] for case in CASES if case.values[0] == "windows")
    assert len(frames) >= 5, frames
    assert min(frames[name] for name in ("tumbling", "hopping", "sliding", "session", "rows")) >= 9, frames


@pytest.mark.parametrize(("kind", "entry"), [case for case in CASES if "output" in case.values[1]])
def test_a_case_gives_what_was_worked_out_by_hand(kind: str, entry: dict[str, Any]) -> None:
    if kind == "windows" and not isinstance(entry["events"], str) and entry.get("topic") is None:
        pytest.skip("a table has one topic; a stream asks windows of several")
    if "lateness" in entry:
        pytest.skip("in a table no row is late")
    # Lists and dictionaries of columns come in as other string types than the case says.
    TextTable.parse(entry["output"]).check(found(kind, entry).to_arrow(), same_strings=False)


@pytest.mark.parametrize("rows_a_push", [1, 1_000])
@pytest.mark.parametrize(("kind", "entry"), [case for case in CASES if "output" in case.values[1]])
def test_a_stream_gives_what_was_worked_out_by_hand(kind: str, entry: dict[str, Any], rows_a_push: int) -> None:
    tables = tables_of(entry)
    topics = list(tables) if isinstance(tables, dict) else [None]
    columns = (tables if isinstance(tables, pa.Table) else next(iter(tables.values()))).column_names
    wanted = event_time_of(kind, entry) or "ts"
    # In what is reported it has the name that the engine knows it by.
    event_time = next(name for name in columns if name.lower() == wanted.lower())
    # Rows of a case come in any order: unless it says how far behind they may, nothing is decided before all are there.
    lateness = entry.get("lateness")
    rules: list[Any] = [rule_of(kind, entry).named("found")]
    if lateness and topics != [None]:
        # What comes of other topics moves the clock, too.
        rules += [cep.event("never", "1 > 2", topic=topic).named(f"never-{topic}") for topic in topics]
    engine = cep.Engine(rules, event_time, lateness=lateness, future=None, topics=filter(None, topics))
    derived = []
    for topic in topics:
        table = tables if isinstance(tables, pa.Table) else tables[topic]
        if lateness or entry.get("topic") in (None, topic):
            for first in range(0, max(len(table), 1), rows_a_push):
                derived.append(engine.push(table.slice(first, rows_a_push), topic))
    derived.append(engine.flush())
    expected = TextTable.parse(entry["output"])
    events = [events["found"].to_arrow() for events in derived if "found" in events]
    if events:
        expected.check(pa.concat_tables(events), same_strings=False)
    else:
        assert expected.rows == []


@pytest.mark.parametrize(("kind", "entry"), [case for case in CASES if "error" in case.values[1]])
def test_a_case_raises_what_it_says(kind: str, entry: dict[str, Any]) -> None:
    if not event_time_of(kind, entry) or entry.get("event-time") == "":
        pytest.skip("Python finds a column of event time that nobody names")
    if entry["name"] == "an-offset-as-long-as-the-step":
        pytest.skip("Python takes the remainder, which shifts the grid as far")
    with pytest.raises((cep.CepheidError, TypeError)) as raised:
        found(kind, entry)
    # What is wrong with an argument shows where it is written, and has the code of arguments.
    of_arguments = {"invalid-clause", "invalid-duration", "invalid-within"}
    codes = {entry["error"]} | (of_arguments if entry["error"] in ("invalid-expression", "invalid-within") else set())
    assert getattr(raised.value, "code", None) in codes, raised.value


def test_the_type_of_the_added_columns_does_not_depend_on_the_rows() -> None:
    rule = cep.anomaly("v").rate_of_change(1).all_rows()
    schema = (
        cep.detect(rule, pa.table({"ts": pa.array([], pa.int64()), "v": pa.array([], pa.int8())})).to_arrow().schema
    )
    assert [str(field.type) for field in schema] == ["int64", "double", "double", "double", "bool"]
