"""CloudEvents 1.0, in and out: over HTTP in its three modes, as JSON, and back; and the older shape."""

from __future__ import annotations

import base64
import datetime as dt
import json
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cepheid as cep
from cepheid.schema import EventSchema, JsonText, SchemaRegistry, http_events, to_cloudevents, to_legacy

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
MINIMAL = {"specversion": "1.0", "id": "7", "source": "/till", "type": "order.created"}


def ingest(data, registry=None):
    registry = SchemaRegistry() if registry is None else registry
    return registry.ingest(data, topic=None, source="http", received=NOW, id_prefix="p")


def row_of(data) -> dict:
    """The one row that came, without what it does not say."""
    done = ingest(data)
    assert done.rejected == []
    [(_, table)] = done.batches
    [row] = table.to_pylist()
    return {name: value for name, value in row.items() if value is not None}


def binary(content_type: str, body: bytes, **headers: str) -> JsonText:
    given_headers = {f"ce-{name}": value for name, value in {**MINIMAL, **headers}.items()}
    return http_events({**given_headers, "Content-Type": content_type}, body)


BASE = {"id": "7", "source": "/till", "type": "order.created", "time": NOW, "correlationid": "7"}


def test_the_three_modes_of_http_say_the_same():
    event = {**MINIMAL, "time": "2026-07-01T10:00:00Z", "subject": "order-7", "data": {"total": 20}}
    body = json.dumps(event).encode()
    told = [
        row_of(http_events({"content-type": "application/cloudevents+json; charset=UTF-8"}, body)),
        row_of(http_events({"CONTENT-TYPE": "application/cloudevents-batch+json"}, b"[" + body + b"]")),
        row_of(http_events({"Content-Type": "application/json"}, body)),
        row_of(binary("application/json", b'{"total": 20}', time="2026-07-01T10:00:00Z", subject="order-7")),
        row_of([event]),
        row_of(event),
    ]
    expected = {**BASE, "time": dt.datetime(2026, 7, 1, 10, tzinfo=dt.UTC), "subject": "order-7", "total": 20}
    assert told == [expected] * 6


@pytest.mark.parametrize(
    ("content_type", "body", "more"),
    [
        ("application/json", b"", {}),
        ("application/json", b'{"a": [1, 2]}', {"a": "[1, 2]"}),
        ("application/json", b' [1, {"b": 2}]\n', {"data": '[1, {"b": 2}]'}),
        ("application/json", b'"text"', {"data": "text"}),
        ("application/json", b"null", {}),
        ("application/vnd.shop+json", b'{"a": 1}', {"a": 1}),
        ("", b'{"a": 1}', {"a": 1}),
        ("text/plain", "grüße".encode(), {"data": "grüße", "datacontenttype": "text/plain"}),
        ("text/plain", b"\xff", {"data": b"\xff", "datacontenttype": "text/plain"}),
        ("text/plain", b" \n", {"data": " \n", "datacontenttype": "text/plain"}),
        (
            "text/plain; charset=latin-1",
            b"\xc3\xa9",
            {"data": b"\xc3\xa9", "datacontenttype": "text/plain; charset=latin-1"},
        ),
        ("application/octet-stream", b" ", {"data": b" ", "datacontenttype": "application/octet-stream"}),
        ("application/json", b" \n", {}),
        ("image/png", b"\x89PNG\0", {"data": b"\x89PNG\0", "datacontenttype": "image/png"}),
    ],
)
def test_a_binary_request_carries_any_data(content_type, body, more):
    assert row_of(binary(content_type, body)) == {**BASE, **more}


def test_headers_are_percent_decoded():
    told = row_of(
        binary("application/json", b"{}", subject="%E2%82%AC%20%22x%22", region='"a\\"b"', source="/caf%C3%A9")
    )
    assert (told["subject"], told["region"], told["source"]) == ('€ "x"', 'a"b', "/café")


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({}, b"{}", "content-type"),
        ({"content-type": "application/xml"}, b"<a/>", "content-type"),
        ({"content-type": "application/cloudevents+avro"}, b"", "content-type"),
        ({"content-type": "application/json; charset=latin-1"}, b"{}", "content-type"),
        ({"ce-id": "7"}, b"{}", "event-attribute"),
        ({"ce-specversion": "1.0", "ce-bad_name": "x"}, b"{}", "event-attribute"),
        ({"ce-specversion": "1.0", "ce-data": "x"}, b"{}", "event-attribute"),
        ({"ce-specversion": "1.0", "ce-datacontenttype": "x"}, b"{}", "event-attribute"),
        ({"ce-specversion": "1.0", "ce-id": "%ff"}, b"{}", "event-attribute"),
        ({"ce-specversion": "1.0", "ce-id": "\udcff"}, b"{}", "event-attribute"),
        ({"ce-specversion": "1.0", "content-type": "application/json; charset=latin-1"}, b"{}", "content-type"),
        ({"ce-specversion": "1.0", **{f"ce-x{n}": "" for n in range(201)}}, b"{}", "event-attribute"),
        ({"ce-specversion": "1.0", "content-type": "application/json"}, b"{", "json-syntax"),
        ({"ce-specversion": "1.0", "content-type": "application/json"}, b'1},{"a":2', "json-syntax"),
        ({"ce-specversion": "1.0", "content-type": "application/json"}, b'{}, "type": "other"', "json-syntax"),
        ({"ce-specversion": "1.0", "content-type": "application/json"}, b"NaN", "json-syntax"),
        ({"ce-specversion": "1.0", "content-type": "application/json"}, b"\xff", "json-syntax"),
        ({"ce-specversion": "1.0", "content-type": "application/json"}, b"[" * 100_000, "json-syntax"),
    ],
)
def test_a_request_that_is_no_event_is_refused(headers, body, code):
    with pytest.raises(cep.SchemaError) as caught:
        http_events(headers, body)
    assert caught.value.code == code


def test_a_body_is_bytes():
    with pytest.raises(TypeError):
        http_events({"content-type": "application/json"}, "{}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"specversion": "0.3"}, "event-attribute"),
        ({"specversion": 1.0}, "event-attribute"),
        ({"id": None}, "event-attribute"),
        ({"id": ""}, "event-attribute"),
        ({"id": 7}, "event-attribute"),
        ({"source": None}, "event-attribute"),
        ({"source": ""}, "event-attribute"),
        ({"subject": ""}, "event-attribute"),
        ({"type": None}, "event-type"),
        ({"type": ""}, "event-type"),
        ({"time": "yesterday"}, "event-time"),
        ({"Upper": "x"}, "event-attribute"),
        ({"with_underscore": "x"}, "event-attribute"),
        ({"with-dash": "x"}, "event-attribute"),
        ({"object": {}}, "event-attribute"),
        ({"float": 1.5}, "event-attribute"),
        ({"large": 2**31}, "event-attribute"),
        ({"datacontenttype": 7}, "event-attribute"),
        ({"data": 1, "data_base64": "aGk="}, "event-attribute"),
        ({"data_base64": "??"}, "event-attribute"),
        ({"data_base64": 7}, "event-attribute"),
        ({"schemaversion": "zero"}, "schema-version"),
    ],
)
def test_rules_of_cloudevents_are_kept_event_by_event(change, code):
    good = {**MINIMAL, "data": {"n": 1}}
    for data in (JsonText(json.dumps([good, {**MINIMAL, **change}, good])), [good, {**MINIMAL, **change}, good]):
        done = ingest(data)
        assert [one.code for one in done.rejected] == [code]
        assert [table.num_rows for _, table in done.batches] == [2]


def test_extensions_become_columns_and_those_of_the_envelope_its_own():
    event = {
        **MINIMAL,
        "correlationid": "c",
        "causationid": "b",
        "partitionkey": 5,
        "dataschema": "https://shop.example/order/v3",
        "traceparent": "00-1",
        "sampled": True,
        "absent": None,
        "data": {"id": 9, "data": {"x": 1}, "data_id": "d", "total": 1},
    }
    told = row_of(JsonText(json.dumps(event)))
    assert told == {
        **BASE,
        "correlationid": "c",
        "causationid": "b",
        "partitionkey": "5",
        "schemaversion": 3,
        "dataschema": "https://shop.example/order/v3",
        "traceparent": "00-1",
        "sampled": True,
        "data_id": 9,
        "data_data_id": "d",
        "data_data": '{"x": 1}',
        "total": 1,
    }


def test_attributes_beside_the_data_never_have_an_event_of_a_declared_type_rejected():
    registry = SchemaRegistry([EventSchema("order.created", {"total": "int64", "region": "string"})])
    event = {**MINIMAL, "traceparent": "00-1", "region": "eu", "data": {"total": 1}}
    done = ingest(JsonText(json.dumps(event)), registry)
    assert done.rejected == []
    row = done.batches[0][1].to_pylist()[0]
    assert (row["total"], row["region"], "traceparent" in row) == (1, "eu", False)


def test_the_older_shape_comes_in_and_goes_out():
    event = {
        "eventId": "e1",
        "eventType": "order.created",
        "timestamp": "2026-07-01T10:00:00Z",
        "source": "/till",
        "correlationId": "c1",
        "data": {"order": 7, "id": "inner"},
        "metadata": {"version": "2.0", "region": "eu-west"},
    }
    done = ingest(JsonText(json.dumps(event)))
    [(topic, table)] = done.batches
    assert topic == "order.created"
    [row] = table.to_pylist()
    assert (row["schemaversion"], row["region"], row["data_id"]) == (2, "eu-west", "inner")
    [back] = to_legacy(table)
    assert back == {**event, "metadata": {"version": 2, "region": "eu-west"}}
    [again] = ingest([back]).batches
    assert again[1].equals(table)


def test_the_older_shape_says_a_thing_once():
    event = {"eventId": "e1", "eventType": "t", "data": {}}
    for change in ({"id": "e2"}, {"metadata": 7}, {"correlationId": "a", "correlationid": "b"}):
        assert [one.code for one in ingest([{**event, **change}]).rejected] == ["event-attribute"]
    assert [one.code for one in ingest([{**event, "metadata": {"version": "x"}}]).rejected] == ["schema-version"]


def test_rows_go_out_in_values_of_json():
    columns = {
        "amount": pa.array([Decimal("1.50")], pa.decimal128(10, 2)),
        "day": pa.array([dt.date(2026, 1, 2)]),
        "at": pa.array([dt.datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=dt.UTC)], pa.timestamp("ns", "Europe/Vienna")),
        "local": pa.array([dt.datetime(2026, 1, 2)], pa.timestamp("s")),
        "bad": pa.array([float("nan")]),
        "far": pa.array([float("-inf")]),
        "bytes": pa.array([b"hi"]),
        "nested": pa.array([{"a": [b"x", None], "b": Decimal("2.0")}]),
        "span": pa.array([dt.timedelta(seconds=1)]),
        "big": pa.array([2**63 - 1]),
        "none": pa.array([None], pa.string()),
    }
    table = pa.table({"id": ["7"], "type": ["order.created"], "source": ["/till"], "_position": [3], **columns})
    [event] = to_cloudevents(table)
    assert json.loads(json.dumps(event, allow_nan=False)) == {
        **MINIMAL,
        "data": {
            "amount": "1.50",
            "day": "2026-01-02",
            "at": "2026-01-02T03:04:05.600000Z",
            "local": "2026-01-02T00:00:00",
            "bytes": "aGk=",
            "nested": {"a": ["eA==", None], "b": "2.0"},
            "span": 1_000_000,
            "big": 2**63 - 1,
        },
    }


def test_no_column_is_lost_where_its_name_would_be_an_attribute():
    columns = {"ce_id": "x", "ce_data": "y", "ce_Upper": 1, "ce_list": [1], "ce_float": 1.5, "ce_": 2, "ce_big": 2**31}
    [event] = to_cloudevents([{**MINIMAL, **columns, "ce_region": "eu", "ce_sampled": True, "datacontenttype": "a/b"}])
    attributes = {name: value for name, value in event.items() if name not in ("data", "specversion")}
    assert attributes == {
        **{name: value for name, value in MINIMAL.items() if name != "specversion"},
        "region": "eu",
        "sampled": True,
        "datacontenttype": "a/b",
    }
    assert event["data"] == {**columns, "specversion": "1.0"}


def test_a_region_of_the_data_and_one_of_the_metadata_both_go_out_in_the_older_shape():
    event = {"eventId": "e1", "eventType": "t", "data": {"region": "eu"}, "metadata": {"region": "us"}}
    [(_, table)] = ingest([event]).batches
    [back] = to_legacy(table)
    assert (back["data"], back["metadata"]) == (event["data"], event["metadata"])
    [row] = to_legacy([{**MINIMAL, "schemaversion": 3, "metadata_version": "x", "metadata_": "y"}])
    assert row["metadata"] == {"version": 3}
    assert row["data"] == {"specversion": "1.0", "metadata_version": "x", "metadata_": "y"}


def test_what_is_stored_as_json_and_is_none_goes_out_as_json_all_the_same():
    schema = pa.schema(
        [*((name, pa.string()) for name in MINIMAL), pa.field("o", pa.string(), True, {"cepheid:json": ""})]
    )
    deep = "[" * 100_000
    wanted = {'{"a": NaN, "b": [-Infinity]}': {"a": None, "b": [None]}, "call me": "call me", deep: deep}
    for text, expected in wanted.items():
        [event] = to_cloudevents(pa.table([[value] for value in (*MINIMAL.values(), text)], schema=schema))
        assert event["data"]["o"] == expected


def test_data_that_is_no_object_goes_out_as_it_came():
    for data in ("text", 7, True, [1, {"a": None}]):
        [(_, table)] = ingest([{**MINIMAL, "data": data}]).batches
        assert to_cloudevents(table)[0]["data"] == data
    [(_, table)] = ingest([{**MINIMAL, "data_base64": "aGk=", "datacontenttype": "image/png"}]).batches
    [event] = to_cloudevents(table)
    assert base64.b64decode(event["data_base64"]) == b"hi"
    assert event["datacontenttype"] == "image/png"
    assert "data" not in event


def test_a_row_without_an_envelope_goes_nowhere():
    for out in (to_cloudevents, to_legacy):
        with pytest.raises(cep.SchemaError) as caught:
            out([{"id": "7", "source": "s", "n": 1}])
        assert caught.value.code == "event-attribute"
    with pytest.raises(cep.SchemaError):
        to_cloudevents(7)
    assert to_cloudevents(pa.table({"id": pa.array([], pa.string())})) == []


NAMES = st.one_of(
    st.sampled_from(
        ["id", "time", "data", "data_id", "data_data", "type", "specversion", "_row", "n", "data_n", "region"]
    ),
    st.text('abcé "\\', min_size=1, max_size=4),
)
VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=5),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(data=st.dictionaries(NAMES, VALUES, max_size=6), region=st.one_of(st.none(), st.text(min_size=1, max_size=3)))
def test_what_comes_in_as_a_cloudevent_goes_out_as_the_same_and_in_again(data, region):
    event = {**MINIMAL, "time": "2026-07-01T10:00:00Z", "correlationid": "c", "data": data}
    if region is not None:
        event["origin"] = region
    done = ingest(JsonText(json.dumps(event)))
    assert done.rejected == []
    [(_, table)] = done.batches
    [back] = to_cloudevents(table)
    # An extension is a column as those of the data are: which it was is not kept.
    expected = {**data, **({} if region is None else {"ce_origin" if "origin" in data else "origin": region})}
    assert back.get("data", {}) == expected
    assert {name: value for name, value in back.items() if name != "data"} == {
        name: value for name, value in event.items() if name not in ("data", "origin")
    }
    [(_, again)] = ingest(JsonText(json.dumps(back))).batches
    assert again.to_pylist() == table.to_pylist()
