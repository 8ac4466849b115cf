"""Rows on their way in: what becomes events, with whole envelopes, and what is rejected and why."""

from __future__ import annotations

import datetime as dt
import json
import threading
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from ingest_calls import ENVELOPE, NOW, codes, ingest, only, table_of

import cepheid as cep
from cepheid import col
from cepheid.schema import EventSchema, Ingested, JsonText, Rejected, SchemaRegistry

TABLES = {
    "a list of dicts": [{"type": "t", "n": 1}, {"type": "t", "n": 2}],
    "a dict of lists": {"type": ["t", "t"], "n": [1, 2]},
    "Arrow": pa.table({"type": ["t", "t"], "n": [1, 2]}),
    "a record batch": pa.record_batch({"type": ["t", "t"], "n": pa.array([1, 2], pa.int8())}),
    "a reader": pa.table({"type": ["t", "t"], "n": [1, 2]}).to_reader(),
    "Polars": pl.DataFrame({"type": ["t", "t"], "n": [1, 2]}),
    "pandas": pd.DataFrame({"type": ["t", "t"], "n": [1, 2]}),
    "pandas with categories": pd.DataFrame({"type": pd.Categorical(["t", "t"]), "n": [1.0, 2.0]}),
    "NumPy": {"type": np.array(["t", "t"]), "n": np.array([1, 2], np.uint16)},
    "tables one after the other": [pa.table({"type": ["t"], "n": [1]}), {"type": ["t"], "n": [2]}],
    "JSON in an array": JsonText('[{"type": "t", "n": 1}, {"type": "t", "n": 2}]'),
    "JSON in lines": JsonText('{"type": "t", "n": 1}\n{"type": "t", "n": 2}\n'),
}


@pytest.mark.parametrize("form", TABLES)
def test_every_form_of_data_becomes_the_same_events(form):
    declared = SchemaRegistry([EventSchema("t", {"n": "int64"})])
    [(topic, table)] = ingest(declared, TABLES[form]).batches
    assert topic == "t"
    assert table.column_names == [*ENVELOPE, "n"]
    assert table["n"].to_pylist() == [1, 2]
    assert table["n"].type == pa.int64()
    assert table["id"].to_pylist() == table["correlationid"].to_pylist() == ["p-0", "p-1"]
    assert table["time"].to_pylist() == [NOW, NOW]
    assert table["time"].type == pa.timestamp("us", "UTC")
    assert table["source"].to_pylist() == ["till", "till"]
    assert table["schemaversion"].to_pylist() == [1, 1]
    assert table["causationid"].null_count == table["subject"].null_count == table["partitionkey"].null_count == 2


def test_one_event_is_data_too():
    assert only(ingest(SchemaRegistry(), {"type": "t", "n": 1}), "t") == [{"n": 1}]
    assert only(ingest(SchemaRegistry(), {"n": 1}, topic="t"), "t") == [{"n": 1}]
    assert ingest(SchemaRegistry(), []) == ingest(SchemaRegistry(), JsonText("")) == Ingested([], [])
    assert ingest(SchemaRegistry(), pa.table({"type": pa.array([], pa.string())})) == Ingested([], [])


def test_what_the_envelope_says_is_kept_and_carried():
    event = {
        "id": "7",
        "type": "t",
        "source": "/shop",
        "time": "2026-06-01T10:00:00+02:00",
        "subject": "order-7",
        "correlationid": "c",
        "causationid": "b",
        "schemaversion": 3,
        "partitionkey": "k",
    }
    expected = {**event, "time": dt.datetime(2026, 6, 1, 8, tzinfo=dt.UTC)}
    for data in (JsonText(json.dumps(event)), [event], table_of([event])):
        [(_, table)] = ingest(SchemaRegistry(), data).batches
        assert table.to_pylist() == [expected]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dt.datetime(2026, 6, 1, 8, tzinfo=dt.UTC), NOW.replace(month=6, day=1, hour=8)),
        (dt.datetime(2026, 6, 1, 8), NOW.replace(month=6, day=1, hour=8)),
        (dt.date(2026, 6, 1), NOW.replace(month=6, day=1, hour=0)),
        (np.datetime64("2026-06-01T08:00:00.123456789"), NOW.replace(month=6, day=1, hour=8, microsecond=123456)),
        ("2026-06-01T08:00:00Z", NOW.replace(month=6, day=1, hour=8)),
        (None, NOW),
    ],
)
def test_times_of_tables_are_times_in_any_form(value, expected):
    column = np.array([value]) if isinstance(value, np.datetime64) else [value]
    [(_, table)] = ingest(SchemaRegistry(), {"time": column, "n": [1]}, topic="t").batches
    assert table["time"].to_pylist() == [expected]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"n": 1}, "event-type"),
        ({"type": None, "n": 1}, "event-type"),
        ({"type": "", "n": 1}, "event-type"),
        ({"type": 7, "n": 1}, "event-type"),
        ({"type": "a.*", "n": 1}, "event-type"),
        ({"type": "x" * 256, "n": 1}, "event-type"),
        ({"type": "a\nb", "n": 1}, "event-type"),
        ({"type": "t", "time": 1_700_000_000}, "event-time"),
        ({"type": "t", "time": "soon"}, "event-time"),
        ({"type": "t", "time": "2026-06-01T08:00:00"}, "event-time"),
        ({"type": "t", "time": "0001-01-01T00:00:00Z"}, "event-time"),
        ({"type": "t", "time": "9999-01-01T00:00:00Z"}, "event-time"),
        ({"type": "t", "time": True}, "event-time"),
        ({"type": "t", "id": ""}, "event-attribute"),
        ({"type": "t", "id": 1.5}, "event-attribute"),
        ({"type": "t", "subject": True}, "event-attribute"),
        ({"type": "t", "correlationid": ["c"]}, "event-attribute"),
        ({"type": "t", "schemaversion": 0}, "schema-version"),
        ({"type": "t", "schemaversion": "latest"}, "schema-version"),
        ({"type": "t", "schemaversion": 2**40}, "schema-version"),
        ({"type": "t", "": 1}, "field-name"),
        ({"type": "t", "_row": 1}, "field-name"),
        ({"type": "t", "n": 2**70}, None),
    ],
)
def test_a_bad_row_is_rejected_alone_as_json_and_as_a_dict(event, code):
    good = {"type": "t", "n": 1}
    for data in (JsonText(json.dumps([good, event, good])), [good, event, good]):
        done = ingest(SchemaRegistry(), data)
        if code is None:
            # JSON knows that it is a number; Python's lists only that Arrow has none for it.
            assert codes(done) in (["number-range"], ["field-type"])
        else:
            assert codes(done) == [code]
        assert json.loads(done.rejected[0].payload) == event
        assert [table["id"].to_pylist() for _, table in done.batches] == [["p-0", "p-2"]]


def test_a_field_that_cannot_be_a_column_takes_only_its_own_event():
    done = ingest(SchemaRegistry(), [{"type": "t", "n": 1}, {"type": "t", "_row": 1}, {"type": "t", "n": 2}])
    assert codes(done) == ["field-name"]
    assert done.batches[0][1]["n"].to_pylist() == [1, 2]


def test_objects_whose_fields_cannot_be_named_so_take_only_their_own_row():
    nested = pa.array([None, {"": 1}, None], pa.struct([("", pa.int64())]))
    done = ingest(SchemaRegistry(), {"type": ["t"] * 3, "n": [1, None, 2], "o": nested})
    assert codes(done) == ["field-name"]
    assert done.batches[0][1]["n"].to_pylist() == [1, 2]


def test_objects_of_undeclared_types_may_differ_from_event_to_event_in_dicts_as_in_json():
    objects = [{"a": 1}, {"b": [1, None]}, {}, {"a": "x"}, [1, {"c": 2}], []]
    expected = ['{"a": 1}', '{"b": [1, null]}', "{}", '{"a": "x"}', '[1, {"c": 2}]', "[]"]
    events = [{"type": "t", "o": value} for value in objects]
    for data in (events, JsonText(json.dumps(events))):
        registry = SchemaRegistry()
        assert [row["o"] for row in only(ingest(registry, data), "t")] == expected
        assert [row["o"] for one in events for row in only(ingest(registry, one), "t")] == expected
    tables = ingest(SchemaRegistry(), pa.table({"type": ["t"], "o": [{"a": 1}]}))
    assert only(tables, "t") == [{"o": {"a": 1}}]


def test_what_stands_among_events_and_is_none_is_rejected_alone():
    done = ingest(SchemaRegistry(), [{"type": "t", "n": 1}, None, 7, pa.table({"type": ["t"], "n": [2]}), "x"])
    assert codes(done) == ["unsupported-input"] * 3
    assert [one.payload for one in done.rejected] == [b"null", b"7", b'"x"']
    assert done.batches[0][1]["id"].to_pylist() == ["p-0", "p-3"]


def test_integers_are_ids_and_bytes_are_not():
    [(_, table)] = ingest(SchemaRegistry(), [{"type": "t", "id": 7, "partitionkey": 8}]).batches
    assert (table["id"].to_pylist(), table["partitionkey"].to_pylist()) == (["7"], ["8"])
    assert codes(ingest(SchemaRegistry(), [{"type": "t", "id": b"7"}])) == ["event-attribute"]


def test_types_come_in_the_order_of_their_first_rows_and_rows_in_theirs():
    events = [{"type": kind, "n": n} for n, kind in enumerate("babcab")]
    for data in (events, JsonText(json.dumps(events))):
        done = ingest(SchemaRegistry(), data)
        assert [(topic, table["n"].to_pylist()) for topic, table in done.batches] == [
            ("b", [0, 2, 5]),
            ("a", [1, 4]),
            ("c", [3]),
        ]


def test_what_was_sent_as_one_type_and_says_another_is_rejected():
    events = [{"n": 1}, {"type": "t", "n": 2}, {"type": "other", "n": 3}]
    for data in (events, JsonText(json.dumps(events))):
        done = ingest(SchemaRegistry(), data, topic="t")
        assert done.batches[0][1]["n"].to_pylist() == [1, 2]
        assert [(one.code, one.topic) for one in done.rejected] == [("event-type", "t")]
        assert "`other`" in done.rejected[0].reason


# What nobody has declared.


def test_an_undeclared_type_keeps_its_columns_over_calls():
    registry = SchemaRegistry()
    ingest(registry, JsonText('{"type": "t", "a": 1, "b": "x"}'))
    done = ingest(registry, [{"type": "t", "c": True, "a": 2}])
    [(_, table)] = done.batches
    assert table.drop_columns(ENVELOPE).to_pylist() == [{"a": 2, "b": None, "c": True}]
    [(_, table)] = ingest(registry, {"type": ["t"], "b": ["y"]}).batches
    assert table.drop_columns(ENVELOPE).to_pylist() == [{"a": None, "b": "y", "c": None}]
    assert registry.columns("t").names == [*ENVELOPE, "a", "b", "c"]
    assert registry.columns("u") is None


def test_what_does_not_fit_the_type_that_came_first_is_rejected_and_what_does_is_cast():
    registry = SchemaRegistry()
    ingest(registry, [{"type": "t", "whole": 1, "float": 1.5, "text": "x"}])
    for data in (
        [{"type": "t", "whole": 2.0, "float": 3, "text": None}, {"type": "t", "whole": 2.5}, {"type": "t", "text": 7}],
        JsonText('[{"type":"t","whole":2.0,"float":3,"text":null},{"type":"t","whole":2.5},{"type":"t","text":7}]'),
    ):
        done = ingest(registry, data)
        [(_, table)] = done.batches
        assert table.drop_columns(ENVELOPE).to_pylist() == [{"whole": 2, "float": 3.0, "text": None}]
        assert codes(done) == ["number-range", "field-type"]


def test_rejected_rows_teach_no_columns():
    registry = SchemaRegistry()
    done = ingest(registry, JsonText('[{"type":"t","n":1},{"type":"t","time":"never","x":1},{"type":"t","x":"text"}]'))
    assert codes(done) == ["event-time"]
    assert registry.columns("t").field("x").type == pa.string()


def test_objects_and_arrays_of_undeclared_types_are_kept_as_json():
    registry = SchemaRegistry()
    text = '[{"type":"t","o":{"a":1, "b":[true]}},{"type":"t","o":[1, "x"]},{"type":"t","o":null},{"type":"t","o":"y"}]'
    [(_, table)] = ingest(registry, JsonText(text)).batches
    assert table["o"].to_pylist() == ['{"a":1, "b":[true]}', '[1, "x"]', None, '"y"']
    [(_, table)] = ingest(registry, [{"type": "t", "o": {"a": dt.date(2026, 1, 1)}}]).batches
    assert table["o"].to_pylist() == ['{"a": "2026-01-01"}']


def test_a_type_keeps_the_columns_that_it_has_in_a_store():
    with cep.EventStore(event_time="time") as store:
        first = SchemaRegistry()
        [(topic, table)] = ingest(first, JsonText('{"type":"t","n":1,"o":{"a":1}}')).batches
        store.append(topic, table)
        again = SchemaRegistry()
        again.learn("t", store.read("t").to_arrow().schema)
        [(topic, table)] = ingest(again, JsonText('{"type":"t","o":[1],"n":2,"m":true}')).batches
        assert table.column_names == [*ENVELOPE, "n", "o", "m"]
        store.append(topic, table)
        assert store.read("t").to_arrow()["o"].to_pylist() == ['{"a":1}', "[1]"]
    with pytest.raises(cep.SchemaError) as caught:
        again.learn("t", pa.schema({"n": pa.string()}))
    assert caught.value.code == "schema-conflict"


def test_a_type_has_at_most_a_thousand_columns():
    registry = SchemaRegistry(payload_bytes_max="1MB")
    wide = {"type": "t", **{f"c{n}": n for n in range(999)}}
    assert codes(ingest(registry, JsonText(json.dumps(wide)))) == []
    events = [{"type": "t", "x": 1, "y": 2}, {"type": "t", "x": 1}, {"type": "t", "z": 1}]
    done = ingest(registry, JsonText(json.dumps(events)))
    assert (codes(done), done.batches[0][1]["x"].to_pylist()) == (["too-many-columns"] * 2, [1])
    assert codes(ingest(registry, pa.table({"type": ["t", "t"], "z": [1, None]}))) == ["too-many-columns"]


def test_there_are_at_most_a_thousand_types_that_nobody_has_declared():
    registry = SchemaRegistry([EventSchema("declared", {"n": "int64"})])
    events = [{"type": f"t.{n}"} for n in range(1001)]
    done = ingest(registry, JsonText(json.dumps([{"type": "declared"}, *events])))
    assert (len(done.batches), codes(done)) == (1001, ["too-many-types"])
    assert codes(ingest(registry, [{"type": "t.0", "n": 1}, {"type": "new"}])) == ["too-many-types"]
    registry.register(EventSchema("new", {"n": "int64"}))
    assert codes(ingest(registry, [{"type": "new"}])) == []


@pytest.mark.parametrize(
    ("column", "code"),
    [("time", "event-time"), ("id", "event-attribute"), ("schemaversion", "schema-version"), ("type", "event-type")],
)
def test_rows_with_values_that_python_does_not_have_are_rejected_all_the_same(column, code):
    far = pa.array([2**62, None], pa.timestamp("us"))
    done = ingest(SchemaRegistry(), pa.table({"n": [1, 2], column: far}), topic="t")
    assert codes(done) == [code]
    assert json.loads(done.rejected[0].payload) == {"n": 1, column: 2**62}
    assert done.batches[0][1]["n"].to_pylist() == [2]


def test_times_that_python_does_not_have_are_no_json():
    registry = SchemaRegistry([EventSchema("t", {"at": "json"})])
    done = ingest(registry, pa.table({"at": pa.array([[2**62], [0]], pa.list_(pa.timestamp("us")))}), topic="t")
    assert codes(done) == ["field-type"]
    assert done.batches[0][1]["at"].to_pylist() == ['["1970-01-01T00:00:00"]']


def test_threads_that_bring_one_type_first_agree_on_its_columns():
    registry = SchemaRegistry()
    done: list[Ingested] = []
    barrier = threading.Barrier(4)

    def work(place: int) -> None:
        barrier.wait(10)
        for n in range(20):
            value = n if place % 2 else f"text {n}"
            done.append(ingest(registry, [{"type": f"t.{n}", "v": value, f"own_{place}": 1}]))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 80
    kinds: dict[str, set[str]] = {}
    taken = rejected = 0
    for one in done:
        for topic, table in one.batches:
            taken += table.num_rows
            kinds.setdefault(topic, set()).add(str(table.schema.field("v").type))
        rejected += len(one.rejected)
        assert set(codes(one)) <= {"field-type"}
    assert taken + rejected == 80
    assert len(kinds) == 20
    assert all(len(types) == 1 for types in kinds.values())


# What has been declared.

ORDER = EventSchema(
    "order.created",
    {
        "order": "int64",
        "total": "decimal(10,2)",
        "due": "date",
        "at": "timestamp",
        "lines": [{"sku": "string", "n": "int32"}],
        "note": "json",
    },
    required=["order"],
    check=col.total >= 0,
    key="order",
    subject="order",
)


def test_declared_columns_have_their_types_whatever_comes():
    event = {
        "type": "order.created",
        "order": 7,
        "total": "19.50",
        "due": "2026-07-02",
        "at": "2026-07-01T10:00:00Z",
        "lines": [{"sku": "a", "n": 2}, {"sku": "b"}, None],
        "note": {"any": ["thing"]},
    }
    expected = {
        "order": 7,
        "total": Decimal("19.50"),
        "due": dt.date(2026, 7, 2),
        "at": dt.datetime(2026, 7, 1, 10, tzinfo=dt.UTC),
        "lines": [{"sku": "a", "n": 2}, {"sku": "b", "n": None}, None],
    }
    for data in (JsonText(json.dumps(event)), [event], table_of([event])):
        done = ingest(SchemaRegistry([ORDER]), data)
        assert done.rejected == []
        [(_, table)] = done.batches
        [row] = table.to_pylist()
        assert json.loads(row["note"]) == {"any": ["thing"]}
        assert {name: row[name] for name in expected} == expected
        assert (row["partitionkey"], row["subject"], row["schemaversion"]) == ("7", "7", 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"order": None}, "missing-field"),
        ({"order": "7"}, "field-type"),
        ({"order": 7.5}, "number-range"),
        ({"total": -1}, "check-failed"),
        ({"total": None}, "check-failed"),
        ({"total": "much"}, "field-type"),
        ({"total": "1e12"}, "field-type"),
        ({"due": "tomorrow"}, "field-type"),
        ({"at": 12}, "field-type"),
        ({"lines": [{"sku": 1}]}, "field-type"),
        ({"lines": [{"price": 1}]}, "unknown-field"),
        ({"lines": "none"}, "field-type"),
        ({"amount": 1}, "unknown-field"),
        ({"schemaversion": 2}, "schema-version"),
    ],
)
def test_a_row_that_breaks_the_contract_is_rejected_alone(change, code):
    good = {"type": "order.created", "order": 7, "total": 1}
    bad = {**good, **change}
    for data in (JsonText(json.dumps([good, bad, good])), [good, bad, good]):
        done = ingest(SchemaRegistry([ORDER]), data)
        told = codes(done)
        # Of a table it is told of the column, which says less than JSON does of the value.
        assert told == [code] or (isinstance(data, list) and told in (["field-type"], ["number-range"])), done.rejected
        assert done.rejected[0].topic == "order.created"
        assert json.loads(done.rejected[0].payload) == bad
        assert done.batches[0][1]["id"].to_pylist() == ["p-0", "p-2"]


def test_a_check_that_cannot_be_computed_rejects_the_rows_that_it_fails_at():
    schema = EventSchema("t", {"n": "int64"}, check="10 / n > 1")
    done = ingest(SchemaRegistry([schema]), {"type": ["t"] * 4, "n": [1, 0, 2, 100]})
    assert done.batches[0][1]["n"].to_pylist() == [1, 2]
    assert [("zero" in one.reason) for one in done.rejected] == [True, False]


@pytest.mark.parametrize(
    ("unknown", "columns", "rejected"),
    [("reject", ["n"], ["unknown-field"]), ("drop", ["n"], []), ("keep", ["n", "more"], [])],
)
def test_fields_that_are_not_declared_are_rejected_dropped_or_kept(unknown, columns, rejected):
    events = [{"type": "t", "n": 1}, {"type": "t", "n": 2, "more": "x"}]
    for data in (events, JsonText(json.dumps(events)), table_of(events)):
        registry = SchemaRegistry([EventSchema("t", {"n": "int64"}, unknown=unknown)])
        done = ingest(registry, data)
        assert codes(done) == rejected
        assert done.batches[0][1].column_names == [*ENVELOPE, *columns]
        assert registry.columns("t").names == [*ENVELOPE, *columns]


def test_events_of_old_versions_become_those_of_the_newest():
    registry = SchemaRegistry([EventSchema("t", {"amount": "int64", "gone": "string"}, key="amount")])
    registry.register(
        EventSchema("t", {"cents": "int64"}, version=2, required=["cents"], check="cents < 1000"),
        upcast=lambda rows: pa.table({"cents": pa.compute.multiply(rows["amount"], 100)}),
    )
    registry.register(EventSchema("t", {"cents": "float64", "till": "string"}, version=3))
    events = [
        {"type": "t", "cents": 1.5, "till": "a"},
        {"type": "t", "schemaversion": 1, "amount": 2, "gone": "x"},
        {"type": "t", "schemaversion": "2", "cents": 3},
        {"type": "t", "schemaversion": 1, "amount": 20},
        {"type": "t", "schemaversion": 1},
        {"type": "t", "schemaversion": 4, "cents": 1},
    ]
    for data in (events, JsonText(json.dumps(events))):
        done = ingest(registry, data)
        [(_, table)] = done.batches
        assert table["cents"].to_pylist() == [1.5, 200.0, 3.0]
        assert table["till"].to_pylist() == ["a", None, None]
        assert table["schemaversion"].to_pylist() == [3, 3, 3]
        assert table["partitionkey"].to_pylist() == [None, "2", None]
        assert table["id"].to_pylist() == ["p-0", "p-1", "p-2"]
        assert codes(done) == ["check-failed", "missing-field", "schema-version"]


def test_an_upcaster_that_fails_rejects_its_rows_and_no_others():
    registry = SchemaRegistry([EventSchema("t", {"a": "int64"})])
    registry.register(EventSchema("t", {"b": "int64"}, version=2), upcast=lambda rows: rows.slice(1))
    done = ingest(registry, [{"type": "t", "schemaversion": 1, "a": 1}, {"type": "t", "b": 2}])
    assert codes(done) == ["upcaster-failed"]
    assert done.batches[0][1]["b"].to_pylist() == [2]


def test_the_same_functions_read_what_is_in_a_store():
    registry = SchemaRegistry([EventSchema("t", {"a": "int64"})])
    registry.register(EventSchema("t", {"b": "int64"}, version=2), upcast=lambda rows: rows.rename_columns({"a": "b"}))
    with cep.EventStore() as store:
        store.append("t", [{"ts": 1, "a": 1}])
        store.append("t", [{"ts": 2, "b": 2, "schemaversion": 2}])
        assert registry.upcasters.read(store, "t")["b"].to_pylist() == [1, 2]


# What may be said of a call, and bounds.


def test_a_call_that_says_nonsense_takes_nothing():
    registry = SchemaRegistry()
    event = [{"n": 1}]
    for options, code in (
        ({"topic": "a.>"}, "invalid-name"),
        ({"topic": "a\0"}, "invalid-name"),
        ({"topic": "t", "received": dt.datetime(2026, 1, 1)}, "event-time"),
        ({"topic": "t", "received": dt.datetime(9000, 1, 1, tzinfo=dt.UTC)}, "event-time"),
        ({"topic": "t", "received": dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5)))}, "event-time"),
        ({"topic": "t", "source": ""}, "invalid-name"),
        ({"topic": "t", "source": "\ud800"}, "invalid-name"),
        ({"topic": "t", "id_prefix": "x" * 1001}, "invalid-name"),
    ):
        with pytest.raises(cep.SchemaError) as caught:
            ingest(registry, event, **options)
        assert caught.value.code == code
    for options in ({"source": 7}, {"received": 7}, {"topic": b"t"}):
        with pytest.raises(TypeError):
            ingest(registry, event, **{"topic": "t", **options})
    for data in (7, "text", b"bytes", None, [1, 2], pa.array([1])):
        with pytest.raises(cep.SchemaError) as caught:
            ingest(registry, data, topic="t")
        assert caught.value.code == "unsupported-input"
    assert registry.columns("t") is None


def test_an_event_has_at_most_so_many_bytes():
    registry = SchemaRegistry(payload_bytes_max="1KB")
    events = [{"type": "t", "x": "a" * n} for n in (10, 2000, 900)]
    for data in (events, JsonText(json.dumps(events)), table_of(events)):
        done = ingest(registry, data)
        assert codes(done) == ["payload-too-large"]
        assert done.batches[0][1]["x"].to_pylist() == ["a" * 10, "a" * 900]
    nested = [{"type": "u", "x": [1]}, {"type": "u", "x": list(range(1000))}]
    assert codes(ingest(registry, table_of(nested))) == ["payload-too-large"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\xff", ["json-syntax"]),
        (b'{"type":"t","x":"\xff"}', ["json-utf8"]),
        (b'{"type":"t","x":"\xc3\xa9"}', []),
        (b"\xef\xbb\xbf{}", ["event-type"]),
        (b'{"type":"t","x":NaN}', ["json-syntax"]),
        (b'{"type":"t","x":-Infinity}', ["json-syntax"]),
        (b'{"type":"t","x":1,"x":2}', ["json-duplicate-key"]),
        (b'{"type":"t","x":9223372036854775808}', ["number-range"]),
        (b'{"type":"t","x":1e400}', ["number-range"]),
        (b'{"type":"t","x":"\\ud800"}', ["json-syntax"]),
        (b'{"type":"t","x":' + b"[" * 100 + b"]" * 100 + b"}", ["json-depth"]),
        (b'{"type":"t","x":' + b"[" * 100_000, ["json-depth"]),
        (b'[{"type":"t"},', ["json-syntax"]),
        (b'[{"type":"t"}', ["json-syntax"]),
        (b"[[]]", ["json-not-object"]),
        (b"[null]", ["json-not-object"]),
        (b'"text"', ["json-not-object"]),
        (b"{} {}", ["json-syntax"]),
    ],
)
def test_json_is_read_strictly(text, expected):
    done = ingest(SchemaRegistry(), JsonText(text))
    assert codes(done) == expected
    assert all(one.payload in text for one in done.rejected)


def test_what_came_is_in_no_repr():
    assert "secret" not in repr(JsonText("secret"))
    assert "secret" not in repr(Rejected(b"secret", "it is bad", "json-syntax", None))


def test_rows_that_cannot_be_written_down_are_rejected_all_the_same():
    loop: dict = {"type": "t", "specversion": "1.0"}
    loop["data"] = loop
    done = ingest(SchemaRegistry(), [{"type": "t", "x": object()}, loop, {"type": "t", "x": 1}])
    assert codes(done) == ["field-type", "field-type"]
    assert done.batches[0][1]["x"].to_pylist() == [1]
    assert done.rejected[1].payload == b""


def test_what_polars_holds_comes_in_as_what_it_is():
    frame = pl.DataFrame(
        {
            "type": ["t", "t", "t"],
            "o": [{"a": "x", "b": [b"y"]}, None, {"a": None, "b": []}],
            "l": [["q", "r"], [], None],
            "deep": [[{"s": "1"}], None, [{"s": "2"}, {"s": None}]],
            "kind": pl.Series(["a", None, "b"], dtype=pl.Categorical),
            "kinds": pl.Series([{"k": "a"}, {"k": "b"}, None], dtype=pl.Struct({"k": pl.Enum(["a", "b"])})),
        }
    )
    columns = frame.columns[1:]
    expected = frame.select(columns).to_dicts()
    declared = {
        "o": {"a": "string", "b": "list<binary>"},
        "l": "list<string>",
        "deep": [{"s": "string"}],
        "kind": "string",
        "kinds": {"k": "string"},
    }
    for registry in (SchemaRegistry(), SchemaRegistry([EventSchema("t", declared)])):
        assert only(ingest(registry, frame), "t") == expected
        # Rows of a slice begin in the middle of the lists.
        assert only(ingest(registry, frame.slice(1)), "t") == expected[1:]
        # And once more, with rows left out.
        done = ingest(registry, frame.with_columns(type=pl.Series(["t", "", "t"])))
        assert codes(done) == ["event-type"]
        assert done.batches[0][1].select(columns).to_pylist() == [expected[0], expected[2]]


def test_encodings_within_what_no_column_can_be_are_rejected_alone():
    entries = pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string_view()))
    done = ingest(SchemaRegistry(), pa.table({"type": ["t", "t"], "m": entries, "n": [1, 2]}))
    assert codes(done) == ["field-type"]
    assert done.batches[0][1]["n"].to_pylist() == [2]
    run_ends = pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["x"]))
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), run_ends)
    assert only(ingest(SchemaRegistry(), pa.table({"type": ["t", "t"], "l": lists})), "t") == [{"l": ["x"]}] * 2
