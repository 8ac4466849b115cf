"""Mappers, and whatever is mixed: good rows come out, and each bad one is told of once."""

from __future__ import annotations

import datetime as dt
import json
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_calls import NOW, codes, ingest, only, table_of

import cepheid as cep
from cepheid import Pattern, col
from cepheid.schema import EventSchema, JsonText, SchemaRegistry, incoming, to_cloudevents

# Mappers.


def test_a_mapper_names_fields_of_objects_and_computes():
    mapper = {
        "type": cep.when(cep.col("event.kind") == "new").then("order.created").otherwise("order.paid"),
        "time": "event.at",
        "total": "cents / 100.0",
        "missing": "no.such.field",
        "flag": "absent IS NULL",
    }
    events = [
        {"event": {"kind": "new", "at": "2026-07-01T10:00:00Z"}, "cents": 1950},
        {"event": {"kind": "old"}, "cents": 100},
    ]
    done = ingest(SchemaRegistry(), JsonText(json.dumps(events)), mapper=mapper)
    assert done.rejected == []
    assert [(topic, table["total"].to_pylist()) for topic, table in done.batches] == [
        ("order.created", [19.5]),
        ("order.paid", [1.0]),
    ]
    assert done.batches[0][1]["time"].to_pylist() == [dt.datetime(2026, 7, 1, 10, tzinfo=dt.UTC)]
    assert done.batches[0][1]["flag"].to_pylist() == [True]
    assert "missing" not in done.batches[0][1].column_names


def test_a_mapper_of_paths_works_on_dicts_and_tables_too():
    events = [{"customer": {"name": "ann", "home": {"city": "Graz"}}, "epoch": 0}]
    mapper = {"who": "customer.name", "where": "customer.home.city", "time": cep.from_unixtime(col.epoch)}
    for data in (events, table_of(events), JsonText(json.dumps(events))):
        done = ingest(SchemaRegistry(), data, topic="t", mapper=mapper)
        assert only(done, "t") == [{"who": "ann", "where": "Graz"}]
        assert done.batches[0][1]["time"].to_pylist() == [dt.datetime(1970, 1, 1, tzinfo=dt.UTC)]


def test_a_mapper_of_json_whose_fields_differ_in_type_sees_them_apart():
    text = JsonText('{"k":"a","v":1}\n{"k":"b","v":"x"}\n{"k":"a","v":2}\nnonsense\n{"k":"b","v":"y"}')
    done = ingest(SchemaRegistry(), text, mapper={"type": "k", "v": "v"})
    assert [(topic, table["v"].to_pylist(), table["id"].to_pylist()) for topic, table in done.batches] == [
        ("a", [1, 2], ["p-0", "p-2"]),
        ("b", ["x", "y"], ["p-1", "p-4"]),
    ]
    assert codes(done) == ["json-syntax"]


def test_a_mapper_that_fails_rejects_its_rows_with_what_it_said():
    def broken(table: pa.Table) -> pa.Table:
        raise RuntimeError("no such shop")

    for mapper, words in (
        (broken, "RuntimeError: no such shop"),
        (lambda table: table.slice(1), "1 rows for 2"),
        (lambda table: 7, "int"),
        ({"type": "n + 'x'"}, "n"),
    ):
        done = ingest(SchemaRegistry(), [{"n": 1}, {"n": 2}], mapper=mapper)
        assert (codes(done), done.batches) == (["mapper-failed"] * 2, [])
        assert words in done.rejected[0].reason
        assert [json.loads(one.payload) for one in done.rejected] == [{"n": 1}, {"n": 2}]
    with pytest.raises(TypeError, match="mapper"):
        ingest(SchemaRegistry(), [{"n": 1}], mapper=7)
    with pytest.raises(cep.SqlError):
        ingest(SchemaRegistry(), [{"n": 1}], mapper={"type": "n +"})


# Whatever is mixed, good rows come out, and each bad one is told of once.

GOOD = st.builds(
    lambda n, text, shape: (n, text, shape),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=8),
    st.sampled_from(["flat", "cloud", "older", "wrapped"]),
)
BAD = st.sampled_from(
    [
        {},
        {"type": None},
        {"type": "t"},
        {"type": "t", "n": "1"},
        {"type": "t", "n": 1.5},
        {"type": "t", "n": 1, "extra": True},
        {"type": "t", "n": 1, "time": "x"},
        {"type": "t", "n": 1, "time": 5},
        {"type": "t", "n": 1, "text": 7},
        {"type": "t", "n": 1, "text": {"a": [1]}},
        {"type": "t", "n": [1]},
        {"type": "t", "n": 1, "id": ""},
        {"type": "t", "n": 1, "schemaversion": 9},
        {"type": "t", "n": -5},
        {"specversion": "1.0", "type": "t", "data": {"n": 1}},
        {"eventId": "1", "eventType": "t", "data": {"n": "x"}},
    ]
)


def shaped(n: int, text: str, shape: str) -> dict:
    data = {"n": n, "text": text}
    if shape == "cloud":
        return {"specversion": "1.0", "id": f"i{n}", "source": "s", "type": "t", "data": data}
    if shape == "older":
        return {"eventId": f"i{n}", "eventType": "t", "timestamp": "2026-01-01T00:00:00Z", "data": data}
    return {"type": "t", "data": data} if shape == "wrapped" else {"type": "t", **data}


@given(
    events=st.lists(st.one_of(GOOD, BAD), max_size=10),
    form=st.sampled_from(["array", "lines", "pretty", "dicts", "generator"]),
)
def test_good_rows_come_out_and_bad_ones_are_rejected_once_however_the_batch_is_made(events, form):
    schema = EventSchema("t", {"n": "int64", "text": "string"}, required=["n"], check="n <> -5")
    made = [shaped(*event) if isinstance(event, tuple) else event for event in events]
    good = [(n, text) for event in events if isinstance(event, tuple) for n, text, _ in [event] if n != -5]
    texts = [json.dumps(event) for event in made]
    data = {
        "array": JsonText("[" + ",".join(texts) + "]"),
        "lines": JsonText("\n".join(texts)),
        "pretty": JsonText("\n".join(json.dumps(event, indent=2) for event in made)),
        "dicts": made,
        "generator": iter(made),
    }[form]
    done = ingest(SchemaRegistry([schema]), data)
    found = [
        row for _, table in done.batches for row in zip(table["n"].to_pylist(), table["text"].to_pylist(), strict=True)
    ]
    assert found == good
    bad = [
        event
        for event in made
        if json.dumps(event) not in {json.dumps(shaped(n, t, s)) for n, t in good for s in SHAPES}
    ]
    assert [json.loads(one.payload) for one in done.rejected] == bad


SHAPES = ["flat", "cloud", "older", "wrapped"]


@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.just("t"), st.just("u"), st.just("")),
            st.one_of(st.none(), st.floats(), st.integers(-5, 5).map(float)),
            st.one_of(st.none(), st.sampled_from(["2026-01-01T00:00:00Z", "never", ""])),
        ),
        max_size=12,
    )
)
def test_rows_of_tables_are_events_or_rejected_and_none_is_lost(rows):
    table = pa.table(
        {
            "type": pa.array([row[0] for row in rows], pa.string()),
            "n": pa.array([row[1] for row in rows], pa.float64()),
            "time": pa.array([row[2] for row in rows], pa.string()),
        }
    )
    schemas = [EventSchema("t", {"n": "int64"}), EventSchema("u", {"n": "float64"})]
    done = ingest(SchemaRegistry(schemas), table)

    def is_good(kind, n, time):
        whole = n is None or (n == n and abs(n) < 2**63 and n == int(n))
        return kind in ("t", "u") and time in (None, "2026-01-01T00:00:00Z") and (kind == "u" or whole)

    expected = [f"p-{place}" for place, row in enumerate(rows) if is_good(*row)]
    found = [name for _, events in done.batches for name in events["id"].to_pylist()]
    assert sorted(found) == sorted(expected)
    assert len(found) + len(done.rejected) == len(rows)


# What is JSON in a column, whichever way it comes.

JSON_VALUES = ["5", "null", "call me", "", '{"a":1}', 5, 1.5, True, [1, "x"], {"a": None, "b": [None]}, [], {}]


def sent(events: list[dict]) -> dict:
    """The same events in every form in which they may be sent; with a time, which JSON lacks, dicts are not plain."""
    moved = [{**event, "time": NOW} for event in events]
    return {
        "JSON": JsonText(json.dumps(events)),
        "a list": events,
        "a tuple": tuple(events),
        "a generator": iter(events),
        "with times": moved,
        "with one time": [*events[:-1], moved[-1]],
    }


@pytest.mark.parametrize("value", JSON_VALUES, ids=str)
def test_a_value_of_json_is_the_same_whichever_way_it_comes(value):
    declared = EventSchema("t", {"any": "json", "home": {"extra": "json"}, "lines": [{"note": "json"}]})
    event = {"type": "t", "any": value, "home": {"extra": value}, "lines": [{"note": value}, {}, None]}
    forms = sent([event, {"type": "t"}])
    assert len(forms) == 6
    for data in (*forms.values(), {**event, "time": NOW}):
        first = only(ingest(SchemaRegistry([declared]), data), "t")[0]
        texts = [first["any"], first["home"]["extra"], first["lines"][0]["note"]]
        assert [json.loads(text) for text in texts] == [value] * 3
        assert first["lines"][1:] == [{"note": None}, None]


def test_what_is_beside_objects_that_nobody_has_declared_is_json_too_whichever_way_it_comes():
    values = [None, {"a": 1}, *JSON_VALUES]
    events = [{"type": "t", "o": value, "o2": "text"} for value in values] + [{"type": "u", "o": "text"}]
    for data in sent(events).values():
        registry = SchemaRegistry()
        done = ingest(registry, data)
        assert done.rejected == []
        [(_, table), (_, other)] = done.batches
        assert [text and json.loads(text) for text in table["o"].to_pylist()] == values
        assert set(table["o2"].to_pylist()) == set(other["o"].to_pylist()) == {"text"}
        # And in calls after that.
        assert only(ingest(registry, [{"type": "t", "o": "5", "time": NOW}]), "t")[0]["o"] == '"5"'


def test_what_is_no_json_is_in_no_column_of_json():
    declared = EventSchema("t", {"any": "json"})
    for event in ({"any": {"a": float("nan")}}, {"any": float("inf")}, {"any": {1j: 2}}):
        assert codes(ingest(SchemaRegistry([declared]), [event, {"any": 1}], topic="t")) == ["field-type"]
        done = ingest(SchemaRegistry([declared]), [{"type": "t", "data": event}, {"type": "t", "data": {"any": 1}}])
        assert codes(done) == ["field-type"]
    assert codes(ingest(SchemaRegistry(), [{"type": "t", "o": [float("nan")]}, {"type": "t"}])) == ["field-type"]
    texts = pa.table({"any": ['{"a": [1]}', "call me", "NaN", "[" * 60_000, None, '"call me"']})
    done = ingest(SchemaRegistry([declared]), texts, topic="t")
    assert codes(done) == ["field-type"] * 3
    assert done.rejected[0].reason == "`any` is 'call me', which is no JSON"
    assert done.batches[0][1]["any"].to_pylist() == ['{"a": [1]}', None, '"call me"']


def test_objects_may_hold_what_json_has_another_word_for():
    value = {"at": dt.date(2026, 1, 1), "b": b"hi", "n": np.array([1, 2]), "m": MappingProxyType({"x": np.int8(3)})}
    [row] = only(ingest(SchemaRegistry(), [{"type": "t", "o": value}]), "t")
    assert json.loads(row["o"]) == {"at": "2026-01-01", "b": "aGk=", "n": [1, 2], "m": {"x": 3}}


@pytest.mark.parametrize("bad", [{"n": 2**70}, {"n": object()}, {"lines": [1, "x"]}], ids=str)
def test_events_are_read_together_although_one_of_them_is_bad(bad, monkeypatch):
    tables = []
    read = incoming.table_parts
    monkeypatch.setattr(incoming, "table_parts", lambda table, *rest: tables.append(table) or read(table, *rest))
    good = {"type": "t", "n": 1, "lines": [1], "time": NOW}
    events = [{**good, "n": place} for place in range(1000)]
    events[300] |= bad
    done = ingest(SchemaRegistry([EventSchema("t", {"n": "int64", "lines": "list<int64>"})]), events)
    assert codes(done) == ["field-type"]
    assert done.batches[0][1]["n"].to_pylist() == [place for place in range(1000) if place != 300]
    assert len(tables) < 30


def test_a_mapper_is_read_once_however_many_calls_there_are(monkeypatch):
    compiled = []
    read = Pattern._native_with
    monkeypatch.setattr(Pattern, "_native_with", lambda *args: compiled.append(args) or read(*args))
    registry = SchemaRegistry([EventSchema("t", {"n": "int64"}, check=col.n > 0)])
    mapper = {"n": "m + 1", "type": cep.lit("t")}
    before = len(compiled)
    found = [only(ingest(registry, [{"m": number}], mapper=mapper), "t") for number in range(5)]
    assert found == [[{"n": number + 1}] for number in range(5)]
    # The check has been compiled when the schema was registered.
    assert len(compiled) == before + 1
    # Another mapper is another, even if it has been made of the same dict.
    mapper["n"] = "m + 2"
    assert only(ingest(registry, [{"m": 0}], mapper=mapper), "t") == [{"n": 2}]


def test_what_a_value_becomes_does_not_depend_on_events_of_other_types():
    events = [
        {"type": "a", "v": 1.5, "w": 7, "time": NOW},
        {"type": "b", "v": False, "w": 2.5, "time": NOW},
    ]
    together = ingest(SchemaRegistry(), events)
    apart = [ingest(SchemaRegistry(), [event]).batches[0] for event in events]
    assert together.rejected == []
    for (topic, table), (_, alone) in zip(together.batches, apart, strict=True):
        assert table.schema.equals(alone.schema), topic
    assert [table["v"].to_pylist() for _, table in together.batches] == [[1.5], [False]]


def test_a_mapper_sees_truths_and_floats_apart():
    events = [{"v": 1.5, "time": NOW}, {"v": False, "time": NOW}]
    done = ingest(
        SchemaRegistry(), events, mapper={"type": cep.when(col.v.is_null()).then("a").otherwise("b"), "v": "v"}
    )
    assert codes(done) == ["field-type"]
    assert done.batches[0][1]["v"].to_pylist() == [1.5]


def test_a_truth_is_no_float_although_floats_come_beside_it():
    declared = {"n": "float64", "l": "list<float64>", "o": {"x": "float64"}}
    for bad in ({"n": True}, {"n": np.bool_(True)}, {"l": [1.5, True]}, {"o": {"x": False}}):
        events = [{"n": 1.5, "l": [2.5], "o": {"x": 3.5}, "time": NOW}, {**bad, "time": NOW}, {"n": None, "time": NOW}]
        for registry in (SchemaRegistry(), SchemaRegistry([EventSchema("t", declared)])):
            if "n" not in bad and registry.columns("t") is None:
                # Objects and arrays that nobody has declared are JSON, which has both.
                continue
            done = ingest(registry, events, topic="t")
            assert codes(done) == ["field-type"]
            assert done.batches[0][1]["n"].to_pylist() == [1.5, None]


def test_durations_are_whole_microseconds_in_json_as_they_go_out():
    registry = SchemaRegistry([EventSchema("t", {"took": "duration"})])
    done = ingest(registry, JsonText('[{"took":1500000},{"took":-0},{"took":1e3},{"took":1.5},{"took":"1 s"}]'), "t")
    assert codes(done) == ["field-type", "field-type"]
    [(_, table)] = done.batches
    assert table["took"].to_pylist() == [dt.timedelta(seconds=1.5), dt.timedelta(0), dt.timedelta(milliseconds=1)]
    sent = JsonText(json.dumps(to_cloudevents(table)))
    [(_, again)] = ingest(registry, sent).batches
    assert again["took"].equals(table["took"])


@pytest.mark.parametrize("form", ["json", "dicts", "table"])
def test_a_field_that_is_null_is_not_there(form):
    rows = [{"n": 1, "more": None}]
    data = {"json": JsonText(json.dumps(rows)), "dicts": [{**rows[0], "time": NOW}], "table": table_of(rows)}[form]
    assert only(ingest(SchemaRegistry([EventSchema("t", {"n": "int64"})]), data, "t"), "t") == [{"n": 1}]
