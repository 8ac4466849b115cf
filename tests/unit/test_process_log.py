"""Event logs as files: read back with other parsers, and held against what the formats are documented to be."""

import datetime as dt
import decimal
import json
import os
import re
import xml.etree.ElementTree as ET

import pyarrow as pa
import pytest

import cepheid as cep

XES = "{http://www.xes-standard.org/}"
# The extensions that define the keys, as the standard has them.
EXTENSIONS = {
    "concept": ("Concept", "http://www.xes-standard.org/concept.xesext"),
    "time": ("Time", "http://www.xes-standard.org/time.xesext"),
    "org": ("Organizational", "http://www.xes-standard.org/org.xesext"),
}
UTC_TIME = re.compile(r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")

ORDERS = {
    "order": [7, 8, 7, None, 8, 7],
    "ts": pa.array([30, 20, 10, 40, 50, 30], pa.timestamp("s", "Europe/Berlin")),
    "step": ["paid", "placed", "placed", "lost", None, "sent"],
    "who": ["ann", None, "bob", "cy", "ann", "ann"],
}


def written_xes(tmp_path, data, **options):
    path = tmp_path / "log.xes"
    cep.to_xes(data, path, **{"case": "order", "activity": "step", **options})
    assert os.listdir(tmp_path) == ["log.xes"], "something unfinished was left"
    log = ET.parse(path).getroot()
    check_xes(log)
    return log


def check_xes(log):
    """The structure of the standard: which elements stand where, in which order, with which attributes."""
    assert log.tag == f"{XES}log"
    assert set(log.attrib) == {"xes.version", "xes.features"}
    order = ["extension", "global", "classifier", "trace"]
    tags = [child.tag.removeprefix(XES) for child in log]
    assert tags == sorted(tags, key=order.index)
    declared = {}
    for extension in log.iter(f"{XES}extension"):
        declared[extension.get("prefix")] = (extension.get("name"), extension.get("uri"))
        assert len(extension.attrib) == 3
    assert declared.items() <= EXTENSIONS.items()
    assert [scope.get("scope") for scope in log.iter(f"{XES}global")] == ["trace", "event"]
    for classifier in log.iter(f"{XES}classifier"):
        assert set(classifier.attrib) == {"name", "keys"}
    for parent in (*log.iter(f"{XES}trace"), *log.iter(f"{XES}event"), *log.iter(f"{XES}global")):
        attributes = [child for child in parent if child.tag != f"{XES}event"]
        keys = [child.get("key") for child in attributes]
        assert len(keys) == len(set(keys)), keys
        for child in attributes:
            assert set(child.attrib) == {"key", "value"}
            prefix, _, name = child.get("key").partition(":")
            assert not name or prefix not in EXTENSIONS or prefix in declared
            check_value(child.tag.removeprefix(XES), child.get("value"))
    for event in log.iter(f"{XES}event"):
        # What is said to be global is there.
        assert {"concept:name", "time:timestamp"} <= {child.get("key") for child in event}


def check_value(tag, value):
    match tag:
        case "date":
            assert UTC_TIME.fullmatch(value), value
        case "int":
            int(value)
        case "float":
            assert value in ("NaN", "INF", "-INF") or float(value) is not None
        case "boolean":
            assert value in ("true", "false")
        case _:
            assert tag == "string"


def traces(log):
    """Name of the case, and for each event its attributes by key."""
    return [
        (
            trace.find(f"{XES}string").get("value"),
            [{child.get("key"): child.get("value") for child in event} for event in trace.iter(f"{XES}event")],
        )
        for trace in log.iter(f"{XES}trace")
    ]


def test_xes_has_a_trace_for_each_case_and_its_events_in_order(tmp_path):
    log = written_xes(tmp_path, ORDERS, resource="who")
    at = "1970-01-01T00:00:{}+00:00".format
    assert traces(log) == [
        (
            "7",
            [
                {"concept:name": "placed", "time:timestamp": at(10), "org:resource": "bob"},
                {"concept:name": "paid", "time:timestamp": at(30), "org:resource": "ann"},
                {"concept:name": "sent", "time:timestamp": at(30), "org:resource": "ann"},
            ],
        ),
        ("8", [{"concept:name": "placed", "time:timestamp": at(20)}]),
    ]
    prefixes = [extension.get("prefix") for extension in log.iter(f"{XES}extension")]
    assert prefixes == ["concept", "time", "org"]
    assert [extension.get("prefix") for extension in written_xes(tmp_path, ORDERS).iter(f"{XES}extension")] == prefixes[
        :2
    ]


TYPED = {
    "order": [1, 1],
    "ts": [1, 1_000],
    "step": pa.array(["a", "b"]).dictionary_encode(),
    "text": ["x", None],
    "number": pa.array([2**62, None]),
    "small": pa.array([None, -3], pa.int8()),
    "real": [0.1, None],
    "odd": [float("nan"), float("-inf")],
    "money": pa.array([decimal.Decimal("1.50"), None]),
    "ok": [True, False],
    "moment": pa.array([dt.datetime(2024, 2, 29, 12, 0, 0, 5), None], pa.timestamp("us")),
    "day": pa.array([dt.date(1, 1, 1), None]),
    "span": pa.array([dt.timedelta(seconds=90), None], pa.duration("s")),
}


def test_xes_attributes_have_the_types_of_their_columns(tmp_path):
    log = written_xes(tmp_path, TYPED)
    first, second = (
        {child.get("key"): (child.tag.removeprefix(XES), child.get("value")) for child in event}
        for event in log.iter(f"{XES}event")
    )
    assert first == {
        "concept:name": ("string", "a"),
        "time:timestamp": ("date", "1970-01-01T00:00:00.000000001+00:00"),
        "text": ("string", "x"),
        "number": ("int", str(2**62)),
        "real": ("float", "0.1"),
        "odd": ("float", "NaN"),
        "money": ("float", "1.50"),
        "ok": ("boolean", "true"),
        "moment": ("date", "2024-02-29T12:00:00.000005+00:00"),
        "day": ("date", "0001-01-01T00:00:00+00:00"),
        "span": ("string", "PT90S"),
    }
    assert second == {
        "concept:name": ("string", "b"),
        "time:timestamp": ("date", "1970-01-01T00:00:00.000001000+00:00"),
        "small": ("int", "-3"),
        "odd": ("float", "-INF"),
        "ok": ("boolean", "false"),
    }
    none = written_xes(tmp_path, TYPED, attributes=())
    assert {child.get("key") for event in none.iter(f"{XES}event") for child in event} == {
        "concept:name",
        "time:timestamp",
    }
    one = written_xes(tmp_path, TYPED, attributes=["OK"])
    assert [child.get("key") for child in next(one.iter(f"{XES}event"))] == ["concept:name", "time:timestamp", "ok"]


def test_spans_are_exact(tmp_path):
    spans = [0, -1, 1_500_000_000, 90 * 10**9]
    history = {"order": [1] * 4, "ts": range(4), "step": ["x"] * 4, "span": pa.array(spans, pa.duration("ns"))}
    [(_, events)] = traces(written_xes(tmp_path, history))
    assert [event["span"] for event in events] == ["PT0S", "-PT0.000000001S", "PT1.5S", "PT90S"]


def test_xes_gives_back_any_text_that_xml_can_hold(tmp_path):
    texts = ["<&>\"'", "a\tb\nc\rd", " blanks  ", "ä€😀", "", "]]>", "\ufffd"]
    history = {"order": texts, "ts": [1] * len(texts), "step": texts, 'a <b> & "c"': texts}
    log = written_xes(tmp_path, history)
    assert traces(log) == [
        (text, [{"concept:name": text, "time:timestamp": "1970-01-01T00:00:00.000000001+00:00", 'a <b> & "c"': text}])
        for text in texts
    ]


@pytest.mark.parametrize("text", ["a\0b", "\x1b[0m", "\x0b", "\ufffe", "\uffff"])
@pytest.mark.parametrize("column", ["order", "step", "note"])
def test_xes_refuses_what_xml_cannot_hold_and_leaves_what_was_there(tmp_path, text, column):
    path = tmp_path / "log.xes"
    path.write_text("older")
    history = {"order": ["x"] * 9, "ts": range(9), "step": ["x"] * 9, "note": ["x"] * 9}
    history[column][8] = text
    with pytest.raises(cep.SchemaError, match="XML cannot hold") as caught:
        cep.to_xes(history, path, case="order", activity="step")
    assert caught.value.code == "xml-character"
    assert os.listdir(tmp_path) == ["log.xes"]
    assert path.read_text() == "older"


def test_long_logs_are_written_in_parts_and_whole(tmp_path):
    rows = 10_000
    history = {
        "order": [row // 3 for row in range(rows)],
        "ts": range(rows),
        "step": [f"s{row % 7}" for row in range(rows)],
    }
    log = traces(written_xes(tmp_path, history))
    assert [name for name, _ in log] == [str(order) for order in range(3_334)]
    assert sum(len(events) for _, events in log) == rows
    assert [event["concept:name"] for _, events in log for event in events] == history["step"]


def test_logs_without_events_are_logs(tmp_path):
    empty = pa.table({name: pa.array([], pa.int64()) for name in ("order", "ts", "step")})
    assert traces(written_xes(tmp_path, empty)) == []
    log = written_ocel(tmp_path, empty, objects={"order": "order"})
    assert (log["events"], log["objects"], log["eventTypes"]) == ([], [], [])


@pytest.mark.parametrize(
    ("changes", "options", "code"),
    [
        ({"list": [[1]]}, {}, "column-type"),
        ({"blob": [b"x"]}, {}, "column-type"),
        ({"ts": pa.array([None], pa.int64())}, {}, "null-time"),
        ({}, {"case": "nothing"}, "unknown-column"),
        ({}, {"resource": "nothing"}, "unknown-column"),
        ({}, {"attributes": ["nothing"]}, "unknown-column"),
        ({"concept:name": ["other"]}, {}, "ambiguous-column"),
        ({}, {"attributes": ["order", "order"]}, "ambiguous-column"),
    ],
)
def test_xes_refuses_tables_that_do_not_fit(tmp_path, changes, options, code):
    data = {"order": [1], "ts": [1], "step": ["x"], **changes}
    with pytest.raises(cep.SchemaError) as caught:
        cep.to_xes(data, tmp_path / "log.xes", **{"case": "order", "activity": "step", **options})
    assert caught.value.code == code
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path):
    data = {"order": [1], "ts": [1], "step": ["x"]}
    with pytest.raises(FileNotFoundError):
        cep.to_xes(data, tmp_path / "none" / "log.xes", case="order", activity="step")
    with pytest.raises(OSError, match="log"):
        (tmp_path / "log").mkdir()
        cep.to_xes(data, tmp_path / "log", case="order", activity="step")
    assert os.listdir(tmp_path) == ["log"]


def written_ocel(tmp_path, data, **options):
    path = tmp_path / "log.json"
    cep.to_ocel(data, path, **{"activity": "step", **options})
    log = json.loads(path.read_text("utf-8"), parse_constant=lambda constant: pytest.fail(constant))
    check_ocel(log)
    path.unlink()
    return log


def check_ocel(log):
    """The structure of OCEL 2.0 in JSON: names, types, and that what is referred to is there."""
    assert set(log) == {"objectTypes", "eventTypes", "objects", "events"}
    declared = {}
    for part in ("objectTypes", "eventTypes"):
        for kind in log[part]:
            assert set(kind) == {"name", "attributes"}
            for attribute in kind["attributes"]:
                assert set(attribute) == {"name", "type"}
                assert attribute["type"] in ("string", "time", "integer", "float", "boolean")
        declared[part] = {kind["name"]: {a["name"]: a["type"] for a in kind["attributes"]} for kind in log[part]}
        assert len(declared[part]) == len(log[part])
    ids = [thing["id"] for thing in log["objects"]]
    assert len(set(ids)) == len(ids)
    for thing in log["objects"]:
        assert set(thing) == {"id", "type", "attributes", "relationships"}
        assert thing["type"] in declared["objectTypes"]
    assert len({event["id"] for event in log["events"]}) == len(log["events"])
    python = {"string": str, "time": str, "integer": int, "float": float, "boolean": bool}
    for event in log["events"]:
        assert set(event) == {"id", "type", "time", "attributes", "relationships"}
        assert isinstance(event["id"], str)
        assert UTC_TIME.fullmatch(event["time"])
        attributes = declared["eventTypes"][event["type"]]
        for attribute in event["attributes"]:
            kind = attributes[attribute["name"]]
            assert type(attribute["value"]) is python[kind]
            assert kind != "time" or UTC_TIME.fullmatch(attribute["value"])
        for relation in event["relationships"]:
            assert set(relation) == {"objectId", "qualifier"}
            assert relation["objectId"] in ids


PACKED = {
    "ts": [20, 10, 10, 30],
    "step": ["sent", "placed", "packed", None],
    "order_id": [1, 1, 2, 3],
    "items": [[1, 2, 1], [1], None, [9]],
    "from_person": ["ann", None, "bob", "cy"],
    "to_person": ["bob", "ann", "bob", "cy"],
    "weight": [1.5, float("nan"), None, 2.0],
}


def test_ocel_has_an_event_for_each_row_and_relations_to_its_objects(tmp_path):
    objects = {"order": "order_id", "item": "items", "person": ["from_person", "to_person"]}
    log = written_ocel(tmp_path, PACKED, objects=objects)
    assert [kind["name"] for kind in log["objectTypes"]] == ["order", "item", "person"]
    assert log["eventTypes"] == [
        {"name": name, "attributes": [{"name": "weight", "type": "float"}]} for name in ("placed", "packed", "sent")
    ]
    # One id a type, though an order and an item are both called 1; things of rows without activity are not there.
    assert [thing["id"] for thing in log["objects"]] == [
        "order:1", "order:2", "item:1", "item:2", "person:bob", "person:ann",
    ]  # fmt: skip
    told = [
        (event["id"], event["type"], event["time"], [(r["objectId"], r["qualifier"]) for r in event["relationships"]])
        for event in log["events"]
    ]
    at = "1970-01-01T00:00:00.000000{}Z".format
    assert told == [
        ("e1", "placed", at("010"), [("order:1", "order_id"), ("item:1", "items"), ("person:ann", "to_person")]),
        (
            "e2", "packed", at("010"),
            [("order:2", "order_id"), ("person:bob", "from_person"), ("person:bob", "to_person")],
        ),
        (
            "e0", "sent", at("020"),
            [("order:1", "order_id"), ("item:1", "items"), ("item:2", "items"),
             ("person:ann", "from_person"), ("person:bob", "to_person")],
        ),
    ]  # fmt: skip
    # NaN is no value: JSON has none.
    assert [event["attributes"] for event in log["events"]] == [[], [], [{"name": "weight", "value": 1.5}]]


def test_ocel_attributes_have_the_types_of_their_columns(tmp_path):
    log = written_ocel(tmp_path, TYPED, objects={"order": "order"})
    declared = {attribute["name"]: attribute["type"] for attribute in log["eventTypes"][0]["attributes"]}
    assert declared == {
        "text": "string", "number": "integer", "small": "integer", "real": "float", "odd": "float", "money": "float",
        "ok": "boolean", "moment": "time", "day": "time", "span": "string",
    }  # fmt: skip
    values = {attribute["name"]: attribute["value"] for attribute in log["events"][0]["attributes"]}
    assert values == {
        "text": "x", "number": 2**62, "real": 0.1, "money": 1.5, "ok": True, "moment": "2024-02-29T12:00:00.000005Z",
        "day": "0001-01-01T00:00:00Z", "span": "PT90S",
    }  # fmt: skip


def test_ocel_takes_ids_that_are_each_their_own(tmp_path):
    data = {"ts": [2, 1], "step": ["a", "b"], "no": [10, 11], "thing": ["x", "x"]}
    log = written_ocel(tmp_path, data, objects={"thing": "thing"}, id="no")
    assert [event["id"] for event in log["events"]] == ["11", "10"]
    for ids, words in (([1, 1], "twice"), ([1, None], "NULL")):
        with pytest.raises(cep.SchemaError, match=words) as caught:
            written_ocel(tmp_path, {**data, "no": ids}, objects={"thing": "thing"}, id="no")
        assert caught.value.code == "event-id"


NESTED = [{"a": 1}]
BLOBS = pa.array([b"\xff"], pa.binary())


@pytest.mark.parametrize("values", [NESTED, BLOBS, [[["x"]]]])
@pytest.mark.parametrize("column", ["order", "step", "who"])
def test_names_are_made_of_what_has_words(tmp_path, column, values):
    data = {"ts": [1], "order": ["o"], "step": ["a"], "who": ["w"], column: values}
    with pytest.raises(cep.SchemaError) as caught:
        cep.to_xes(data, tmp_path / "log", case="order", activity="step", resource="who")
    assert caught.value.code == "column-type"
    with pytest.raises(cep.SchemaError) as caught:
        cep.to_ocel(data, tmp_path / "log", activity="step", objects={"order": "order"}, id="who")
    assert caught.value.code == "column-type"
    assert os.listdir(tmp_path) == []


def test_ocel_needs_types_of_objects(tmp_path):
    with pytest.raises(cep.PatternError, match="objects names one type") as caught:
        written_ocel(tmp_path, PACKED, objects={})
    assert caught.value.code == "invalid-clause"
    with pytest.raises(TypeError):
        written_ocel(tmp_path, PACKED, objects={3: "order_id"})
