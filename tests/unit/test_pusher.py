"""Events one at a time: `Engine.pusher`."""

from __future__ import annotations

import datetime as dt
import gc
import time
import weakref

import numpy as np
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event, ref

SCHEMA = pa.schema({"ts": pa.timestamp("us"), "card": pa.string(), "amount": pa.float64()})


def fraud() -> cep.Pattern:
    return (
        (event("small", col.amount < 10).at_least(2) >> event("big", col.amount > 500))
        .partition_by("card")
        .within("10m")
        .select(taken=ref("big").amount)
        .named("fraud")
    )


def every() -> cep.Pattern:
    return event("any").named("seen")


def rows(count: int) -> list[tuple[int, str, float]]:
    return [(row * 1_000_000, f"c{row * 7 % 5}", 900.0 if row % 6 == 5 else 5.0) for row in range(count)]


def test_a_pusher_derives_what_one_batch_does_whatever_its_size():
    events = rows(200)
    batch = pa.table([list(column) for column in zip(*events, strict=True)], names=SCHEMA.names).cast(
        pa.schema({"ts": pa.int64(), "card": pa.string(), "amount": pa.float64()})
    )
    batch = batch.set_column(0, "ts", pa.array([ts // 1000 for ts, *_ in events], pa.timestamp("us")))
    expected = cep.Engine(fraud()).push(batch)["fraud"].to_arrow().drop_columns("match_number").to_pylist()
    assert len(expected) > 10
    for max_rows in (1, 3, 64, 4096):
        pusher = cep.Engine(fraud()).pusher(schema=SCHEMA, max_rows=max_rows, max_delay=None)
        found = []
        for number, one in enumerate(events, 1):
            derived = pusher.push(*one) if number % 2 else pusher.push_dict(dict(zip(SCHEMA.names, one, strict=True)))
            assert (derived is None) == (number % max_rows != 0)
            if derived:
                found += derived["fraud"].to_arrow().drop_columns("match_number").to_pylist()
        if last := pusher.flush():
            found += last["fraud"].to_arrow().drop_columns("match_number").to_pylist()
        assert found == expected
        assert pusher.waiting == 0


def test_the_call_that_comes_after_the_delay_pushes():
    pusher = cep.Engine(every()).pusher(schema=SCHEMA, max_delay="20ms")
    assert pusher.push(1000, "c", 1.0) is None
    assert pusher.poll() is None
    time.sleep(0.03)
    assert len(pusher.push(2000, "c", 1.0)["seen"]) == 2
    assert pusher.push(3000, "c", 1.0) is None
    time.sleep(0.03)
    assert len(pusher.poll()["seen"]) == 1
    assert pusher.poll() is None
    at_once = cep.Engine(every()).pusher(schema=SCHEMA, max_delay="0s")
    assert len(at_once.push(1000, "c", 1.0)["seen"]) == 1


def test_every_type_comes_out_as_it_went_in():
    fields = {
        "ts": pa.timestamp("ns", "UTC"),
        "truth": pa.bool_(),
        "i8": pa.int8(),
        "u16": pa.uint16(),
        "i64": pa.int64(),
        "u64": pa.uint64(),
        "f32": pa.float32(),
        "day": pa.date32(),
        "span": pa.duration("ms"),
        "text": pa.string(),
        "large": pa.large_string(),
        "view": pa.string_view(),
        "code": pa.dictionary(pa.int16(), pa.string()),
    }
    moment = dt.datetime(2024, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    one = {
        "ts": moment,
        "truth": True,
        "i8": -128,
        "u16": 65535,
        "i64": -(2**63),
        "u64": 2**64 - 1,
        "f32": 1.5,
        "day": dt.date(1969, 12, 31),
        "span": dt.timedelta(days=-1, milliseconds=5),
        "text": "naïve",
        "large": "",
        "view": "x" * 40,
        "code": "a",
    }
    none = dict.fromkeys(one) | {"ts": moment}
    numpy = one | {
        "truth": np.True_,
        "i8": np.int8(-128),
        "f32": np.float32(1.5),
        "text": np.str_("naïve"),
        "i64": np.int64(-(2**63)),
    }
    pusher = cep.Engine(every()).pusher(schema=pa.schema(fields), max_delay=None)
    for row in (one, none, numpy):
        pusher.push_dict(row)
    taken = pusher.take()
    assert taken.schema == pa.schema(fields)
    utc = moment.astimezone(dt.UTC)
    shown = [
        row | {"ts": row["ts"].to_pydatetime() if hasattr(row["ts"], "to_pydatetime") else row["ts"]}
        for row in taken.to_pylist()
    ]
    assert shown == [one | {"ts": utc}, none | {"ts": utc}, one | {"ts": utc}]


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        (dt.datetime(1970, 1, 1, 0, 0, 1), 1_000_000_000),
        (dt.datetime(1970, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))), 0),
        (dt.datetime(1969, 12, 31, 23, 59, 59, 999_999), -1_000),
        (np.datetime64("1970-01-01T00:00:01", "s"), 1_000_000_000),
        (np.int64(5_000), 5_000),
        (7_000, 7_000),
    ],
)
def test_times_are_datetimes_or_nanoseconds_whatever_the_unit(value, nanoseconds):
    for unit in ("us", "ns"):
        pusher = cep.Engine(every()).pusher(schema=pa.schema({"ts": pa.timestamp(unit)}), max_delay=None)
        pusher.push(value)
        assert pusher.take()["ts"].cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist() == [nanoseconds]


BAD = {
    "text for a number": (1000, "c", "5"),
    "a truth value for a number": (1000, "c", True),
    "a number for text": (1000, 5, 1.0),
    "bytes for text": (1000, b"c", 1.0),
    "no time": (None, "c", 1.0),
    "text for a time": ("2024-01-01", "c", 1.0),
    "a time finer than the column": (1, "c", 1.0),
    "a time beyond 64 bits": (2**63, "c", 1.0),
    "a year beyond 64 bits": (dt.datetime(9999, 1, 1), "c", 1.0),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_is_refused_by_column_and_leaves_no_trace(name):
    engine = cep.Engine(every())
    pusher = engine.pusher(schema=SCHEMA, max_delay=None)
    pusher.push(1000, "c", None)
    before = engine.stats()
    with pytest.raises(cep.SchemaError) as raised:
        pusher.push(*BAD[name])
    assert raised.value.code == "column-type"
    assert raised.value.column in str(raised.value)
    with pytest.raises(cep.SchemaError):
        pusher.push_dict(dict(zip(SCHEMA.names, BAD[name], strict=True)))
    assert (pusher.waiting, engine.stats()) == (1, before)
    pusher.push(2000, None, 2.0)
    assert pusher.take().to_pydict() == {
        "ts": [dt.datetime(1970, 1, 1, 0, 0, 0, 1), dt.datetime(1970, 1, 1, 0, 0, 0, 2)],
        "card": ["c", None],
        "amount": [None, 2.0],
    }


def test_a_string_that_is_no_unicode_is_refused():
    pusher = cep.Engine(every()).pusher(schema=SCHEMA, max_delay=None)
    with pytest.raises(cep.SchemaError, match="surrogates") as caught:
        pusher.push(1000, "\ud800", 1.0)
    assert (caught.value.code, caught.value.column) == ("column-type", "card")
    assert pusher.waiting == 0


def test_missing_and_unknown_fields_are_named():
    pusher = cep.Engine(every()).pusher(schema=SCHEMA, max_delay=None)
    with pytest.raises(TypeError, match=r"3 values \(ts, card, amount\), not 2"):
        pusher.push(1000, "c")
    with pytest.raises(cep.SchemaError, match="`amount`") as raised:
        pusher.push_dict({"ts": 1000, "card": "c"})
    assert raised.value.code == "unknown-column"
    with pytest.raises(cep.SchemaError, match="`amuont`"):
        pusher.push_dict({"ts": 1000, "card": "c", "amount": 1.0, "amuont": 1.0})
    with pytest.raises(cep.SchemaError, match="`amount`"):
        pusher.push_dict({"ts": 1000, "card": "c", "amuont": 1.0})
    with pytest.raises(TypeError):
        pusher.push_dict([("ts", 1000)])
    assert pusher.waiting == 0


def test_a_push_that_raises_has_not_taken_its_event_and_the_others_wait_on():
    engine = cep.Engine(every(), late="error")
    engine.push(pa.table({"ts": pa.array([5], pa.timestamp("us")), "card": ["c"], "amount": [1.0]}))
    pusher = engine.pusher(max_rows=3, max_delay=None)
    assert pusher.columns == ("ts", "card", "amount")
    pusher.push(9_000, "first", 1.0)
    pusher.push(1_000, "late", 1.0)
    for _ in range(2):
        with pytest.raises(cep.LateEventError) as raised:
            pusher.push(9_000, "last", 1.0)
        assert raised.value.row == 1
        assert (pusher.waiting, engine.stats().rows) == (2, 1)
    with pytest.raises(cep.LateEventError):
        pusher.flush()
    refused = pusher.take()
    assert refused["card"].to_pylist() == ["first", "late"]
    assert len(engine.push(refused.slice(0, 1))["seen"]) == 1
    pusher.push(9_000, "last", 1.0)
    assert len(pusher.flush()["seen"]) == 1
    assert engine.stats().rows == 3


def test_the_clock_does_not_pass_events_that_wait():
    engine = cep.Engine(every())
    pusher = engine.pusher(schema=SCHEMA, max_delay=None)
    pusher.push(1_000, "c", 1.0)
    for call in (engine.snapshot, engine.flush, lambda: engine.advance_to(5)):
        with pytest.raises(cep.CepheidError) as raised:
            call()
        assert raised.value.code == "events-waiting"
    del pusher
    gc.collect()
    with pytest.raises(cep.CepheidError):
        engine.snapshot()


def test_a_pusher_and_its_engine_are_forgotten_together():
    class Marker:
        pass

    marker = Marker()
    kept = weakref.ref(marker)

    def clock(_: object = marker) -> dt.datetime:
        return dt.datetime(2024, 1, 1)

    engine = cep.Engine(every(), clock=clock)
    pusher = engine.pusher(schema=SCHEMA)
    del engine, pusher, marker, clock
    gc.collect()
    assert kept() is None


def test_what_cannot_be_pushed_is_refused_when_the_pusher_is_made():
    with pytest.raises(cep.SchemaError) as raised:
        cep.Engine(every()).pusher()
    assert raised.value.code == "schema-unknown"
    with pytest.raises(cep.SchemaError, match="`tags`") as raised:
        cep.Engine(every()).pusher(schema=pa.schema({"ts": pa.timestamp("us"), "tags": pa.list_(pa.string())}))
    assert raised.value.code == "column-type"
    with pytest.raises(cep.SchemaError) as raised:
        cep.Engine(every()).pusher(schema=pa.schema({"time": pa.timestamp("us")}))
    assert raised.value.code == "unknown-column"
    with pytest.raises(cep.CepheidError, match="amount"):
        cep.Engine(fraud()).pusher(schema=pa.schema({"ts": pa.timestamp("us"), "card": pa.string()}))
    engine = cep.Engine(every())
    engine.push([{"ts": 1, "other": 2}])
    with pytest.raises(cep.SchemaError) as raised:
        engine.pusher(schema=SCHEMA)
    assert raised.value.code == "schema-changed"
    for wrong in ({"max_rows": 0}, {"max_delay": "-1s"}):
        with pytest.raises(cep.PatternError):
            cep.Engine(every()).pusher(schema=SCHEMA, **wrong)
    for wrong in ({"max_rows": None}, {"max_rows": 1.5}, {"topic": 3}, {"schema": 3}):
        with pytest.raises(TypeError):
            cep.Engine(every()).pusher(**({"schema": SCHEMA} | wrong))


def test_predicates_in_python_are_asked_of_what_a_pusher_pushes():
    def odd(amount):
        return pa.array([value % 2 == 1 for value in amount.to_pylist()])

    engine = cep.Engine(event("odd", cep.udf(odd, columns=["amount"])).named("odd"))
    pusher = engine.pusher(schema=SCHEMA, max_rows=2, max_delay=None)
    pusher.push(1_000, "c", 1.0)
    assert len(pusher.push(2_000, "c", 2.0)["odd"]) == 1
    assert engine.pusher().columns == ("ts", "card", "amount")


def test_a_processor_that_calls_its_own_pusher_is_told():
    engine = cep.Engine(every())
    pusher = engine.pusher(schema=SCHEMA, max_rows=1)

    class Clock:
        def __call__(self) -> dt.datetime:
            with pytest.raises(RuntimeError, match="in the middle"):
                pusher.push(1_000, "c", 1.0)
            return dt.datetime(2024, 1, 1)

    engine._clock = lambda: int(Clock()().timestamp())
    pusher.push(1_000, "c", 1.0)
    assert engine.stats().rows == 1


@pytest.mark.parametrize("codes", [pa.int8(), pa.uint8(), pa.int16()])
def test_events_that_wait_may_have_more_values_than_narrow_codes_tell_apart(codes: pa.DataType):
    engine = cep.Engine(every())
    schema = pa.schema({"ts": pa.int64(), "k": pa.dictionary(codes, pa.string())})
    pusher = engine.pusher(schema=schema, max_rows=1_000, max_delay=None)
    for number in range(400):
        pusher.push(number, f"k{number}")
    assert pusher.waiting == 400
    assert len(pusher.flush()["seen"]) == engine.stats().rows == 400
    # Tables with such codes are still of the topic's columns.
    narrow = pa.table({"ts": [400], "k": pa.array(["k"]).dictionary_encode().cast(schema.field("k").type)})
    assert len(engine.push(narrow)["seen"]) == 1
    pusher.push(500, "a")
    assert pusher.take()["k"].to_pylist() == ["a"]
