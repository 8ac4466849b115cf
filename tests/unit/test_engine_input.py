"""Rows that are pushed: every form that a table has, and every form that none has."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from engine_state import state

import cepheid as cep
from cepheid import event

UTC = dt.UTC
SEEN = event("a", "x > 1").named("seen")
BOTH = (event("a", topic="left") >> event("b", topic="right")).within("1h").named("both")


def found(derived: cep.Derived) -> list[int]:
    return derived["seen"].rows["row"].to_pylist()


@pytest.mark.parametrize(
    "data",
    [
        {"ts": [1, 2], "x": [1, 2]},
        [{"ts": 1, "x": 1}, {"ts": 2, "x": 2}],
        ({"ts": ts, "x": ts} for ts in (1, 2)),
        pa.table({"ts": [1, 2], "x": [1, 2]}),
        pa.record_batch({"ts": [1, 2], "x": [1, 2]}),
        pa.table({"ts": [1, 2], "x": [1, 2]}).to_reader(),
        [pa.table({"ts": [1], "x": [1]}), pa.table({"ts": [2], "x": [2]})],
        pa.table({"ts": [0, 1, 2, 3], "x": [9, 1, 2, 9]}).slice(1, 2),
        pa.table({"ts": pa.chunked_array([[1], [], [2]]), "x": pa.chunked_array([[1, 2]])}),
    ],
    ids=["dict", "events", "iterable", "table", "batch", "reader", "tables", "slice", "chunks"],
)
def test_every_form_of_a_table_can_be_pushed(data):
    assert found(cep.Engine(SEEN).push(data)) == [1]


def test_numpy_polars_and_pandas_can_be_pushed():
    np, pl, pd = map(pytest.importorskip, ("numpy", "polars", "pandas"))
    columns = {"ts": [1, 2], "x": [1, 2]}
    arrays = {name: np.array(values) for name, values in columns.items()}
    structured = np.array([(1, 1), (2, 2)], dtype=[("ts", "i8"), ("x", "i8")])
    tables = [arrays, structured, pl.DataFrame(columns), pd.DataFrame(columns)]
    for table in tables:
        assert found(cep.Engine(SEEN).push(table)) == [1]
    assert len(tables) == 4


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("s"), pa.date32()])
def test_every_type_of_time_will_do(kind):
    times = pa.array([dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)]).cast(pa.timestamp("us")).cast(kind)
    engine = cep.Engine(SEEN)
    assert found(engine.push(pa.table({"ts": times, "x": [2, 3]}))) == [0, 1]
    assert engine.stats().watermark == dt.datetime(2024, 1, 2, tzinfo=UTC)


def test_nothing_is_pushed_in_many_ways():
    engine = cep.Engine(SEEN)
    empty = pa.table({"ts": pa.array([], pa.int64()), "x": pa.array([], pa.int64())})
    for data in ([], (), iter([]), empty, empty.to_batches(), [empty, empty], {"ts": [], "x": []}):
        assert not engine.push(data)
    assert found(engine.push([{"ts": 1, "x": 2}])) == [0]


def test_guessed_types_follow_those_of_the_first_push():
    engine = cep.Engine(event("a", "note IS NULL").named("seen"))
    engine.push([{"ts": 1, "x": 1.5, "note": "n"}])
    assert found(engine.push([{"ts": 2, "x": 2, "note": None}])) == [1]
    assert found(engine.push([{"note": None, "ts": 3, "x": None}, {"ts": 4}])) == [2, 3]
    with pytest.raises(cep.SchemaError) as caught:
        engine.push([{"ts": 5, "x": "text", "note": None}])
    assert caught.value.code == "schema-changed"
    with pytest.raises(cep.SchemaError):
        engine.push([{"ts": 5, "x": 1.0, "note": None, "more": 1}])
    assert engine.stats().rows == 4


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"ts": [1, None], "x": [2, 2]}, "null-time"),
        ({"x": [2]}, "unknown-column"),
        ({"ts": ["now"], "x": [2]}, "column-type"),
        ({"ts": [1], "x": ["text"]}, "type-mismatch"),
        ({"ts": [1], "y": [1]}, "unknown-column"),
        (3, "unsupported-input"),
        ("text", "unsupported-input"),
        ({"ts": [1, 2], "x": [1]}, "unequal-lengths"),
        ([{"ts": 1}, 3], "unsupported-input"),
        (pa.table({"ts": pa.array([2**62], pa.timestamp("s")), "x": [1]}), "time-overflow"),
    ],
)
def test_what_is_no_table_of_the_topic_is_refused_and_nothing_is_taken(data, code):
    engine = cep.Engine(SEEN)
    before = state(engine)
    with pytest.raises(cep.CepheidError) as caught:
        engine.push(data)
    assert caught.value.code == code
    assert state(engine) == before
    assert found(engine.push([{"ts": 1, "x": 2}])) == [0]


@pytest.mark.parametrize(
    ("table", "code"),
    [
        (pa.table({"ts": [2], "x": ["text"]}), "schema-changed"),
        (pa.table({"ts": [2]}), "schema-changed"),
        (pa.table({"ts": [2], "x": [2], "y": [2]}), "schema-changed"),
        (pa.table({"ts": pa.array([None], pa.int64()), "x": [2]}), "null-time"),
    ],
)
def test_a_topic_keeps_its_columns(table, code):
    engine = cep.Engine(SEEN)
    engine.push(pa.table({"ts": [1], "x": [1]}))
    before = state(engine)
    with pytest.raises(cep.SchemaError) as caught:
        engine.push(table)
    assert caught.value.code == code
    assert state(engine) == before


def test_an_error_of_a_value_takes_nothing():
    engine = cep.Engine(event("a", "10 / x > 1").named("seen"))
    engine.push([{"ts": 1, "x": 2}])
    before = state(engine)
    with pytest.raises(cep.EvaluationError) as caught:
        engine.push([{"ts": 2, "x": 1}, {"ts": 3, "x": 0}])
    assert caught.value.code == "division-by-zero"
    assert state(engine) == before
    assert found(engine.push([{"ts": 2, "x": 1}])) == [1]


def test_a_stream_that_fails_takes_nothing():
    def broken():
        yield {"ts": 1, "x": 2}
        raise OSError("gone")

    engine = cep.Engine(SEEN)
    with pytest.raises(OSError, match="gone"):
        engine.push(broken())
    assert engine.stats().rows == 0


def test_equal_rows_are_told_apart_by_arrival():
    engine = cep.Engine((event("a") >> event("b")).within("1h").named("seen"))
    assert found(engine.push([{"ts": 1, "x": 1}] * 4)) == [0, 1, 2, 3]


def test_topics_are_named_where_the_rules_name_them():
    engine = cep.Engine(BOTH)
    row = [{"ts": 1}]
    with pytest.raises(cep.SchemaError) as caught:
        engine.push(row, topic="lift")
    assert (caught.value.code, caught.value.hint) == ("unknown-topic", "left")
    with pytest.raises(cep.SchemaError) as caught:
        engine.push(row)
    assert (caught.value.code, caught.value.known) == ("topic-needed", ("left", "right"))
    with pytest.raises(TypeError, match="a topic is named by a string"):
        engine.push(row, topic=3)
    assert engine.stats().rows == 0
    assert not engine.push(row, topic="left")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"late": "keep"}, cep.PatternError),
        ({"late": 3}, TypeError),
        ({"lateness": "soon"}, cep.PatternError),
        ({"lateness": 3}, TypeError),
        ({"lateness": dt.timedelta(seconds=-1)}, cep.PatternError),
        ({"idle": "-1s"}, cep.PatternError),
        ({"threads": 0}, cep.PatternError),
        ({"threads": "two"}, TypeError),
        ({"memory_limit": "much"}, cep.PatternError),
        ({"memory_limit": 0}, cep.PatternError),
        ({"memory_limit": 1.5}, TypeError),
        ({"future": 3}, TypeError),
        ({"clock": 3}, TypeError),
        ({"event_time": ""}, cep.PatternError),
        ({"event_time": 3}, TypeError),
    ],
)
def test_an_option_that_cannot_be_is_refused(options, error):
    with pytest.raises(error):
        cep.Engine(SEEN, **options)


@pytest.mark.parametrize("rules", [3, "SELECT", [3], {"a": "b"}, {3: SEEN}, [[SEEN]]])
def test_what_is_no_rule_is_refused(rules):
    with pytest.raises(TypeError):
        cep.Engine(rules)


def test_a_clock_that_is_none_is_refused_and_nothing_is_taken():
    engine = cep.Engine(SEEN, clock=lambda: "noon")
    with pytest.raises(TypeError, match="the clock takes a datetime"):
        engine.push([{"ts": 1, "x": 2}])
    assert engine.stats().rows == 0


@pytest.mark.parametrize("moment", ["noon", 1.5, None, True, dt.date(2024, 1, 1)])
def test_what_is_no_time_does_not_move_the_clock(moment):
    with pytest.raises(TypeError):
        cep.Engine(SEEN).advance_to(moment)


@pytest.mark.parametrize("moment", [2**63, dt.datetime(1600, 1, 1), dt.datetime(2300, 1, 1)])
def test_a_time_that_does_not_fit_does_not_move_the_clock(moment):
    with pytest.raises(cep.PatternError) as caught:
        cep.Engine(SEEN).advance_to(moment)
    assert caught.value.code == "invalid-clause"


def test_dictionaries_of_a_table_may_need_wider_codes_than_the_topic_began_with():
    def part(begin: int) -> pa.Table:
        values = pa.array([f"v{begin}_{number}" for number in range(100)])
        codes = pa.DictionaryArray.from_arrays(pa.array(range(100), pa.int8()), values)
        return pa.table({"ts": range(begin, begin + 100), "k": codes})

    for tables in (
        [part(0), pa.concat_tables([part(100), part(200)])],
        [pa.concat_tables([part(0), part(100)]), part(200)],
    ):
        engine = cep.Engine(cep.event("a", "k IN ('v0_7', 'v100_7', 'v200_7')").named("w"), future=None)
        assert sum(len(engine.push(table)["w"]) for table in tables) == 3
    with pytest.raises(cep.SchemaError) as caught:
        engine.push(pa.table({"ts": [900], "k": [5]}))
    assert caught.value.code == "schema-changed"
