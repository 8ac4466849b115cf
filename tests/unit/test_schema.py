"""Schemas of events and their registry: what is declared, how versions follow each other, what could be better."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import warnings

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cepheid as cep
from cepheid import col
from cepheid.schema import EventSchema, SchemaRegistry

FULL = {
    "flag": "bool",
    "small": "int8",
    "large": "uint64",
    "ratio": "float32",
    "text": "string",
    "bytes": "binary",
    "day": "date",
    "at": "timestamp",
    "local": "timestamp[ms]",
    "elsewhere": "timestamp[ns, Europe/Vienna]",
    "clock": "time",
    "span": "duration",
    "price": "decimal(12,4)",
    "any": "json",
    "tags": "list<string>",
    "grid": "list<list<int64>>",
    "home": {"city": "string", "geo": {"lat": "float64", "lon": "float64"}, "extra": "json"},
    "lines": [{"sku": "string", "n": "int64"}],
}


def test_a_schema_is_a_value_that_is_written_down_and_read_back():
    schema = EventSchema(
        "order.created",
        FULL,
        version=3,
        required=["text", "price"],
        check=(col.price > 0) & col.text.is_not_null(),
        key="text",
        subject="text",
        unknown="keep",
        description="An order was placed.",
        owner="tills",
        example={"text": "a", "price": "1.0000"},
    )
    assert schema.columns == FULL
    assert len(FULL) == 18
    text = json.dumps(schema.to_dict())
    for again in (EventSchema.from_dict(json.loads(text)), pickle.loads(pickle.dumps(schema))):
        assert again == schema
        assert hash(again) == hash(schema)
        assert again.arrow.equals(schema.arrow, check_metadata=True)
    assert schema.required == ("text", "price")
    assert schema != EventSchema("order.created", FULL, version=3)
    assert eval(repr(schema), {"EventSchema": EventSchema, "col": col, "cep": cep}) == schema
    with pytest.raises(AttributeError):
        schema.version = 4  # type: ignore[misc]


def test_an_arrow_schema_is_taken_without_its_encodings():
    arrow = pa.schema(
        [
            pa.field("id_of_order", pa.dictionary(pa.int8(), pa.large_string()), nullable=False),
            ("views", pa.string_view()),
            ("hash", pa.binary(4)),
            ("lists", pa.large_list(pa.float16())),
            ("day", pa.date64()),
        ]
    )
    schema = EventSchema("t", arrow)
    assert schema.columns == {
        "id_of_order": "string",
        "views": "string",
        "hash": "binary",
        "lists": "list<float32>",
        "day": "date",
    }
    assert schema.required == ("id_of_order",)


@pytest.mark.parametrize(
    ("arguments", "error", "code"),
    [
        ({"type": ""}, cep.SchemaError, "invalid-name"),
        ({"type": "a.*"}, cep.SchemaError, "invalid-name"),
        ({"type": "x" * 256}, cep.SchemaError, "invalid-name"),
        ({"type": "\ud800"}, cep.SchemaError, "invalid-name"),
        ({"type": 7}, TypeError, None),
        ({"columns": {"id": "int64"}}, cep.SchemaError, "reserved-column"),
        ({"columns": {"_row": "int64"}}, cep.SchemaError, "reserved-column"),
        ({"columns": {"": "int64"}}, cep.SchemaError, "invalid-name"),
        ({"columns": {"\ud800": "int64"}}, cep.SchemaError, "invalid-name"),
        ({"columns": {"n": {"\ud800": "int64"}}}, cep.SchemaError, "invalid-name"),
        ({"columns": {"n": "integer"}}, cep.SchemaError, "unknown-type"),
        ({"columns": {"n": "decimal(39,2)"}}, cep.SchemaError, "unknown-type"),
        ({"columns": {"n": "decimal(2,3)"}}, cep.SchemaError, "unknown-type"),
        ({"columns": {"n": "list<>"}}, cep.SchemaError, "unknown-type"),
        ({"columns": {"n": {}}}, cep.SchemaError, "unknown-type"),
        ({"columns": {"n": {"a\0": "bool"}}}, cep.SchemaError, "invalid-name"),
        ({"columns": {"n": [{"": "bool"}]}}, cep.SchemaError, "invalid-name"),
        ({"columns": {"n": pa.month_day_nano_interval()}}, cep.SchemaError, "unknown-type"),
        ({"columns": {"n": pa.null()}}, cep.SchemaError, "unknown-type"),
        ({"columns": {"n": 7}}, TypeError, None),
        ({"columns": {7: "int64"}}, TypeError, None),
        ({"columns": ["n"]}, TypeError, None),
        ({"columns": {f"c{n}": "int64" for n in range(1001)}}, cep.SchemaError, "too-many-columns"),
        ({"required": ["m"]}, cep.SchemaError, "unknown-column"),
        ({"key": "m"}, cep.SchemaError, "unknown-column"),
        ({"subject": 7}, TypeError, None),
        ({"version": 0}, cep.SchemaError, "schema-version"),
        ({"version": "1"}, TypeError, None),
        ({"version": True}, TypeError, None),
        ({"check": "n >"}, cep.SqlError, "syntax"),
        ({"check": 7}, TypeError, None),
        ({"unknown": "ignore"}, cep.PatternError, "invalid-clause"),
        ({"description": 7}, TypeError, None),
        ({"example": "x"}, TypeError, None),
    ],
)
def test_a_schema_that_makes_no_sense_is_refused_where_it_is_written(arguments, error, code):
    with pytest.raises(error) as caught:
        EventSchema(**{"type": "t", "columns": {"n": "int64"}, **arguments})
    if code is not None:
        assert caught.value.code == code


def test_a_name_of_the_envelope_says_what_the_column_is_called_instead():
    with pytest.raises(cep.SchemaError, match="`data_id`"):
        EventSchema("t", {"id": "int64"})


def test_types_that_lie_too_deep_are_refused():
    kind: object = "int64"
    for _ in range(100):
        kind = {"n": kind}
    with pytest.raises(cep.SchemaError) as caught:
        EventSchema("t", {"n": kind})
    assert caught.value.code == "unknown-type"
    with pytest.raises(cep.SchemaError):
        EventSchema("t", {"n": "list<" * 1000 + "int64" + ">" * 1000})


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"type": "t"},
        {"type": "t", "columns": {"n": "int64"}, "more": 1},
        {"type": "t", "columns": 7},
        {"type": "t", "columns": {"n": "int64"}, "format": 2},
        {"type": "t", "columns": {"n": "int64"}, "required": [7]},
    ],
)
def test_what_is_no_schema_is_not_read_as_one(data):
    with pytest.raises(cep.SchemaError) as caught:
        EventSchema.from_dict(data)
    assert caught.value.code == "malformed"


# Versions.

BEFORE = {"a": "int32", "b": "string"}


@pytest.mark.parametrize(
    ("columns", "required", "backward", "forward"),
    [
        ({**BEFORE}, ["a"], True, True),
        ({**BEFORE, "c": "string"}, ["a"], True, True),
        ({**BEFORE, "c": "string"}, ["a", "c"], False, True),
        ({"a": "int32"}, ["a"], True, True),
        ({"b": "string"}, [], True, False),
        ({**BEFORE}, [], True, False),
        ({**BEFORE}, ["a", "b"], False, True),
        ({**BEFORE, "a": "int64"}, ["a"], True, False),
        ({**BEFORE, "a": "int16"}, ["a"], False, True),
        ({**BEFORE, "a": "float64"}, ["a"], True, False),
        ({**BEFORE, "a": "decimal(12,0)"}, ["a"], True, False),
        ({**BEFORE, "a": "string"}, ["a"], False, False),
        ({**BEFORE, "b": "json"}, ["a"], False, False),
    ],
)
def test_a_new_version_is_compatible_or_every_reason_is_named(columns, required, backward, forward):
    old = EventSchema("t", BEFORE, required=["a"])
    new = EventSchema("t", columns, version=2, required=required)
    wanted = {"backward": backward, "forward": forward, "full": backward and forward, "none": True}
    for mode, fits in wanted.items():
        registry = SchemaRegistry([old], compatibility=mode, lint="off")
        if fits:
            registry.register(new)
            assert registry.schema("t") == new
        else:
            with pytest.raises(cep.SchemaError, match=r"`[abc]`") as caught:
                registry.register(new)
            assert caught.value.code == "schema-incompatible"
            assert registry.versions("t") == (old,)
            registry.register(new, upcast=lambda rows: rows)
            assert registry.versions("t") == (old, new)


def test_every_reason_is_named():
    registry = SchemaRegistry([EventSchema("t", {"a": "int64", "b": "int64"})])
    with pytest.raises(cep.SchemaError) as caught:
        registry.register(EventSchema("t", {"a": "bool", "b": "date", "c": "int64"}, version=2, required=["c"]))
    assert all(f"`{name}`" in str(caught.value) for name in "abc")


def test_nested_types_are_compared_part_by_part():
    registry = SchemaRegistry([EventSchema("t", {"o": {"a": "int32"}, "l": [{"x": "date"}]})])
    registry.register(
        EventSchema("t", {"o": {"a": "int64", "b": "bool"}, "l": [{"x": "date", "y": "date"}]}, version=2)
    )
    with pytest.raises(cep.SchemaError):
        registry.register(EventSchema("t", {"o": {"b": "bool"}}, version=3))
    with pytest.raises(cep.SchemaError):
        registry.register(EventSchema("t", {"l": [{"x": "timestamp", "y": "date"}]}, version=3))
    assert registry.schema("t").version == 2


def test_versions_follow_each_other_and_the_same_may_be_said_twice():
    registry = SchemaRegistry([EventSchema("t", {"n": "int64"}, version=4)])
    registry.register(EventSchema("t", {"n": "int64"}, version=4))
    for version, code in ((4, "schema-conflict"), (6, "schema-version"), (3, "schema-version")):
        with pytest.raises(cep.SchemaError) as caught:
            registry.register(EventSchema("t", {"n": "int64", "m": "int64"}, version=version))
        assert caught.value.code == code
    assert registry.types == ("t",)
    assert registry.schema("t", 4).version == 4
    for arguments, code in ((("u",), "unknown-topic"), (("t", 3), "schema-version")):
        with pytest.raises(cep.SchemaError) as caught:
            registry.schema(*arguments)
        assert caught.value.code == code


def test_a_check_over_columns_that_there_are_not_is_refused_when_it_is_registered():
    registry = SchemaRegistry()
    for check in ("m > 1", "n", "n + 'x' = 'y'"):
        with pytest.raises(cep.CepheidError):
            registry.register(EventSchema("t", {"n": "int64"}, check=check))
    assert registry.types == ()
    registry.register(EventSchema("t", {"n": "int64"}, check="n > 1 AND source <> 'test'"))


def test_a_registry_refuses_options_that_there_are_not():
    for options in ({"lint": "loud"}, {"compatibility": "sideways"}, {"payload_bytes_max": "large"}):
        with pytest.raises(cep.PatternError) as caught:
            SchemaRegistry(**options)
        assert caught.value.code == "invalid-clause"
        assert next(iter(options)) in str(caught.value)
    for options in ({"payload_bytes_max": None}, {"payload_bytes_max": 1.5}, {"schemas": ["t"]}):
        with pytest.raises(TypeError):
            SchemaRegistry(**options)
    with pytest.raises(TypeError):
        SchemaRegistry().register(EventSchema("t", {"n": "int64"}), upcast=7)


# What could be better.


@pytest.mark.parametrize(
    ("schema", "code", "level"),
    [
        (EventSchema("OrderCreated", {"n": "int64"}), "type-name", "warning"),
        (EventSchema("order created", {"n": "int64"}), "type-name", "warning"),
        (EventSchema("orders", {"n": "int64"}), "type-name", "advice"),
        (EventSchema("order.create", {"n": "int64"}), "type-tense", "advice"),
        (EventSchema("order.created", {"timestamp": "int64"}), "envelope-column", "warning"),
        (EventSchema("order.created", {"n": "string"}, example={"n": "x" * 2000}), "payload-large", "warning"),
        (EventSchema("order.created", {"n": "string"}, example={"n": "x" * 600}), "payload-large", "advice"),
        (EventSchema("order.created", {f"c{n}": "int64" for n in range(51)}), "many-columns", "advice"),
        (EventSchema("order.created", {"n": "int64"}, owner="a", key="n"), "no-description", "advice"),
        (EventSchema("order.created", {"n": "int64"}, description="a", key="n"), "no-owner", "advice"),
        (EventSchema("order.created", {"n": "int64"}, description="a", owner="a"), "no-key", "advice"),
    ],
)
def test_what_could_be_better_is_told(schema, code, level):
    registry = SchemaRegistry(payload_bytes_max=1000)
    assert (code, level) in [(lint.code, lint.level) for lint in registry.lint(schema)]
    if level == "warning":
        with pytest.warns(UserWarning, match="version 1"):
            registry.register(schema)
        with pytest.raises(cep.SchemaError) as caught:
            SchemaRegistry(lint="error", payload_bytes_max=1000).register(schema)
        assert caught.value.code == "schema-lint"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            SchemaRegistry(lint="off", payload_bytes_max=1000).register(schema)
    else:
        SchemaRegistry(lint="error", payload_bytes_max=1000).register(schema)


def test_a_schema_that_says_everything_leaves_nothing_to_tell():
    schema = EventSchema("order.paid", {"n": "int64"}, description="It was paid.", owner="tills", key="n")
    assert SchemaRegistry().lint(schema) == []


# Whatever a schema says, it is read back; whatever fits it, comes in.

SCALARS = [
    "bool",
    "int8",
    "int64",
    "uint32",
    "float64",
    "string",
    "date",
    "timestamp",
    "decimal(9,3)",
    "binary",
    "json",
]
TYPES = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.one_of(
        st.dictionaries(
            st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=5), inner, min_size=1, max_size=3
        ),
        st.lists(inner, min_size=1, max_size=1),
    ),
    max_leaves=6,
)
VALUES = {
    "bool": st.booleans(),
    "int8": st.integers(-128, 127),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "float64": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(max_size=5),
    "date": st.dates(min_value=dt.date(1, 1, 1)).map(str),
    "timestamp": st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)).map(lambda t: f"{t.isoformat()}Z"),
    "decimal(9,3)": st.integers(-(10**8), 10**8).map(lambda n: n / 1000),
    "binary": st.just("aGVsbG8="),
    "json": st.sampled_from([{"a": [1]}, "x", 7, None, [[]]]),
}


def values_of(kind):
    if isinstance(kind, dict):
        return st.fixed_dictionaries({name: values_of(part) for name, part in kind.items()})
    if isinstance(kind, list):
        return st.lists(values_of(kind[0]), max_size=3)
    return st.one_of(st.none(), VALUES[kind])


@given(data=st.data(), kinds=st.dictionaries(st.text("abcdef", min_size=1, max_size=3), TYPES, max_size=4))
def test_events_that_fit_a_schema_come_in_whatever_it_says(data, kinds):
    from cepheid.schema import JsonText

    schema = EventSchema("t", kinds)
    assert EventSchema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    events = [
        data.draw(st.fixed_dictionaries({name: values_of(kind) for name, kind in kinds.items()})) for _ in range(3)
    ]
    now = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    done = SchemaRegistry([schema]).ingest(
        JsonText(json.dumps(events)), topic="t", source="s", received=now, id_prefix="p"
    )
    assert done.rejected == []
    [(_, table)] = done.batches
    assert table.num_rows == 3
    table.validate(full=True)
    for name, kind in kinds.items():
        if kind in ("int64", "string", "bool", "float64"):
            assert table[name].to_pylist() == [event[name] for event in events]
