"""Tables in: every kind of object that can be given for one, and what is refused."""

import datetime as dt
import sys
import types
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event

# Rows 1 and 3 match.
PATTERN = event("hit", col.x > 1).select(x="hit.x", s="hit.s")
COLUMNS = {"x": [1, 2, None, 3], "s": ["a", "b", None, "d"]}
EXPECTED = [{"x": 2, "s": "b"}, {"x": 3, "s": "d"}]

TABLE = pa.table(COLUMNS)


def polars_frame():
    return pytest.importorskip("polars").DataFrame(COLUMNS)


def duckdb_relation():
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    return connection.sql("SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (NULL, NULL), (3, 'd')) AS t(x, s)")


class OnlyStream:
    """The least that an Arrow object can be."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class OnlyArray:
    def __init__(self, batch):
        self.batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self.batch.__arrow_c_array__(requested_schema)


def batches():
    yield TABLE.slice(0, 1)
    yield TABLE.slice(1, 0)
    yield TABLE.slice(1, 3)


INPUTS = {
    "pyarrow table": lambda: TABLE,
    "pyarrow chunked table": lambda: pa.concat_tables([TABLE.slice(0, 2), TABLE.slice(2, 0), TABLE.slice(2)]),
    "pyarrow sliced table": lambda: pa.concat_tables([TABLE.slice(3, 1), TABLE, TABLE.slice(0, 1)]).slice(1, 4),
    "pyarrow record batch": lambda: TABLE.combine_chunks().to_batches()[0],
    "pyarrow sliced record batch": lambda: pa.concat_tables([TABLE, TABLE]).combine_chunks().to_batches()[0].slice(4),
    "pyarrow reader": lambda: TABLE.to_reader(),
    "pyarrow struct array": lambda: TABLE.to_struct_array().combine_chunks(),
    "stream capsule": lambda: OnlyStream(TABLE),
    "array capsule": lambda: OnlyArray(TABLE.combine_chunks().to_batches()[0]),
    "polars": polars_frame,
    "pandas": lambda: TABLE.to_pandas(types_mapper=pd.ArrowDtype),
    "duckdb": duckdb_relation,
    "dict of lists": lambda: COLUMNS,
    "dict of arrow arrays": lambda: {"x": pa.array(COLUMNS["x"]), "s": pa.chunked_array([["a"], ["b", None, "d"]])},
    "dict of a masked array": lambda: {
        "x": np.ma.MaskedArray([1, 2, 9, 3], mask=[0, 0, 1, 0]),
        "s": np.array(["a", "b", None, "d"], dtype=object),
    },
    "dict of series": lambda: {"x": pd.Series([1, 2, None, 3], dtype="Int64"), "s": pd.Series(["a", "b", None, "d"])},
    "list of dicts": lambda: [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)],
    "list of uneven dicts": lambda: [{"x": 1, "s": "a"}, {"s": "b", "x": 2}, {}, {"x": 3, "s": "d"}],
    "generator of dicts": lambda: ({"x": x, "s": s} for x, s in zip(COLUMNS["x"], COLUMNS["s"], strict=True)),
    "generator of tables": batches,
    "list of record batches": lambda: [batch for part in batches() for batch in part.to_batches()],
    "list of dicts of lists": lambda: [{"x": [1, 2], "s": ["a", "b"]}, {"x": [None, 3], "s": [None, "d"]}],
    "another result": lambda: cep.match(event("any").select(x="any.x", s="any.s"), TABLE),
}


def test_every_kind_of_input_is_listed():
    assert len(INPUTS) == 23


@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_table_gives_the_same_matches(kind):
    matches = cep.match(PATTERN, INPUTS[kind]())
    assert [{"x": row["x"], "s": row["s"]} for row in matches] == EXPECTED
    assert matches.rows["row"].to_pylist() == [1, 3]
    assert PATTERN.count(INPUTS[kind]()) == 2
    assert PATTERN.exists(INPUTS[kind]())


NUMPY = {
    "int8": np.array([1, 2, 0, 3], np.int8),
    "uint64": np.array([1, 2, 0, 3], np.uint64),
    "float16 widened by Arrow": np.array([1, 2, 0, 3], np.float32),
    "float64": np.array([1, 2, np.nan, 3]),
    "big endian": np.array([1, 2, 0, 3], ">i4"),
    "strided": np.arange(8)[::2],
    "reversed": np.array([3, 0, 2, 1])[::-1],
    "read only": np.array([1, 2, 0, 3]),
}


@pytest.mark.parametrize("kind", NUMPY)
def test_numpy_numbers_of_every_width_are_read(kind):
    values = NUMPY[kind]
    values.flags.writeable = False
    want = [float(x) for x in values if x > 1]
    got = [row["x"] for row in cep.match(event("a", col.x > 1).select(x="a.x"), {"x": values})]
    assert [float(x) for x in got if x == x] == want


def test_numpy_columns_keep_their_types():
    columns = {
        "b": np.array([True, False]),
        "u": np.array(["x", "yy"]),
        "d": np.array(["2024-01-01", "NaT"], "M8[D]"),
        "h": np.array(["2024-01-01T05", "NaT"], "M8[h]"),
        "n": np.array(["2024-01-01T05:00:00.000000001", "NaT"], "M8[ns]"),
        "t": np.array([1, 2], "m8[m]"),
        "o": np.array([Decimal("1.5"), None], object),
    }
    types = {
        "b": pa.bool_(), "u": pa.string(), "d": pa.date32(), "h": pa.timestamp("s"), "n": pa.timestamp("ns"),
        "t": pa.duration("s"), "o": pa.decimal128(2, 1),
    }  # fmt: skip
    matches = cep.match(event("a").select({name: f"a.{name}" for name in columns}), columns).to_arrow()
    assert {name: matches.schema.field(name).type for name in types} == types
    assert matches["h"].to_pylist() == [dt.datetime(2024, 1, 1, 5), None]
    assert matches["t"].to_pylist() == [dt.timedelta(minutes=1), dt.timedelta(minutes=2)]


def test_structured_arrays_are_tables():
    data = np.array([(1, "a"), (2, "b"), (3, "c")], dtype=[("x", "i8"), ("s", "U3")])
    assert [(row["x"], row["s"]) for row in cep.match(PATTERN, data)] == [(2, "b"), (3, "c")]


ARROW_TYPES = {
    **{str(t): pa.array([1, None, 3], t) for t in (
        pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
        pa.float32(), pa.float64(), pa.decimal128(10, 2), pa.date32(), pa.time32("s"), pa.time32("ms"),
        pa.time64("us"), pa.time64("ns"), pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us", "UTC"),
        pa.timestamp("ns", "Europe/Berlin"), pa.duration("s"), pa.duration("ns"))},
    "date64": pa.array([dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)], pa.date64()),
    "bool": pa.array([True, None, False]),
    "string": pa.array(["a", None, "c"]),
    "large_string": pa.array(["a", None, "c"], pa.large_string()),
    "string_view": pa.array(["a", None, "a string longer than twelve bytes"], pa.string_view()),
    "dictionary": pa.array(["a", None, "c"]).dictionary_encode(),
    "list": pa.array([[1, 2], None, []]),
    "struct": pa.array([{"x": 1}, None, {"x": None}]),
}  # fmt: skip


def test_every_arrow_type_of_the_contract_is_listed():
    assert len(ARROW_TYPES) == 30


@pytest.mark.parametrize("kind", ARROW_TYPES)
def test_every_arrow_type_passes_through_unchanged(kind):
    values = ARROW_TYPES[kind]
    table = pa.table({"v": values, "i": [0, 1, 2]})
    for shape in (
        table,
        pa.concat_tables([table, table]).slice(3),
        pa.concat_tables([table.slice(0, 1), table.slice(1)]),
    ):
        got = cep.match(event("a").select(v="a.v"), shape).to_arrow()["v"]
        assert got.type == values.type
        assert got.to_pylist() == values.to_pylist()


def test_dictionaries_may_change_from_batch_to_batch():
    chunks = [pa.array(["a", "b"]).dictionary_encode(), pa.array(["b", "c", None]).dictionary_encode()]
    table = pa.table({"s": pa.chunked_array(chunks)})
    matches = cep.match(event("b", "s = 'b'").next(event("any")).select(s="any.s"), table)
    assert [row["s"] for row in matches] == ["b"]
    assert matches.rows["row"].to_pylist() == [1, 2]
    by_key = cep.match(event("k").partition_by("s").select(n=cep.match_number()), table)
    assert sorted(row["n"] for row in by_key) == [1, 1, 1, 1, 2]


@pytest.mark.parametrize(
    "empty",
    [
        TABLE.slice(0, 0),
        {"x": np.array([], np.int64), "s": np.array([], "U1")},
        TABLE.schema.empty_table().to_reader(),
    ],
    ids=["table", "numpy", "reader"],
)
def test_a_table_without_rows_has_no_matches(empty):
    matches = cep.match(PATTERN, empty)
    assert (len(matches), matches.num_rows, list(matches), matches.rows.num_rows) == (0, 0, [], 0)
    assert matches.column_names[-2:] == ["x", "s"]


def test_a_named_index_of_pandas_is_a_column_and_a_mere_row_number_is_none():
    frame = pd.DataFrame({"x": [1, 2, 3]}, index=pd.Index([10, 20, 30], name="t"))
    text = "SELECT * FROM f MATCH_RECOGNIZE (ALL ROWS PER MATCH PATTERN (A) DEFINE A AS x > 1)"
    assert sorted(cep.sql(text, f=frame).column_names) == ["t", "x"]
    filtered = pd.DataFrame({"x": [1, 2, 3]}).query("x > 1")
    assert cep.sql(text, f=filtered).column_names == ["x"]
    assert [row["x"] for row in cep.sql(text, f=filtered)] == [2, 3]
    with pytest.raises(cep.SchemaError) as caught:
        cep.sql(text, f=pd.DataFrame({"x": [1, "a"]}))
    assert (caught.value.code, caught.value.type_name) == ("unsupported-input", "DataFrame")


def test_buffers_are_shared_on_the_way_in():
    values = np.arange(1000)
    assert pa.array(values).buffers()[1].address == values.ctypes.data
    from cepheid.input import table_of

    assert table_of({"x": values})["x"].chunk(0).buffers()[1].address == values.ctypes.data
    assert table_of(TABLE) is TABLE


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (1, "unsupported-input"),
        (None, "unsupported-input"),
        ("table.csv", "unsupported-input"),
        (b"x", "unsupported-input"),
        (object(), "unsupported-input"),
        ([1, 2], "unsupported-input"),
        ([{"x": 1}, TABLE], "unsupported-input"),
        (np.arange(3), "unsupported-input"),
        (np.zeros((2, 2), dtype=[("x", "i8")]), "unsupported-input"),
        (pa.array([1, 2]), "unsupported-input"),
        (pa.chunked_array([[1]]), "unsupported-input"),
        (pd.Series([1]), "unsupported-input"),
        ({"x": np.zeros((2, 2))}, "unsupported-input"),
        ({"x": np.array([1j])}, "unsupported-input"),
        ({"x": 5}, "unsupported-input"),
        ({"x": "abc"}, "unsupported-input"),
        ({"x": [1, "a"]}, "unsupported-input"),
        ({"x": [object()]}, "unsupported-input"),
        ({1: [1]}, "unsupported-input"),
        ([{1: 2}], "unsupported-input"),
        ({"x": [1, 2], "s": ["a"]}, "unequal-lengths"),
        ({"a": TABLE, "b": [1, 2]}, "unsupported-input"),
        ([TABLE, pa.table({"y": [1]})], "schema-changed"),
        ({"y": [1]}, "unknown-column"),
        ({"x": ["a"], "s": ["b"]}, "type-mismatch"),
        ({"X": [1], "x ": [1], "s": ["a"]}, None),
        (pa.table([[1], [2], ["a"]], names=["x", "x", "s"]), "ambiguous-column"),
        (pa.table({"x": pa.array([b"a"]), "s": ["b"]}), "type-mismatch"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else type(value).__name__,
)
def test_what_is_no_fitting_table_is_a_schema_error(data, code):
    if code is None:
        assert PATTERN.count(data) == 0
        return
    with pytest.raises(cep.SchemaError) as caught:
        cep.match(PATTERN, data)
    assert caught.value.code == code


def test_the_error_for_an_object_names_its_type_and_what_is_taken():
    with pytest.raises(cep.SchemaError, match="__arrow_c_stream__") as caught:
        cep.match(PATTERN, 3.5)
    assert caught.value.type_name == "float"


def test_an_error_of_the_stream_itself_is_handed_on():
    class Broken:
        def __arrow_c_stream__(self, requested_schema=None):
            raise RuntimeError("no data today")

    with pytest.raises(cep.SchemaError, match="no data today"):
        cep.match(PATTERN, Broken())

    def failing():
        yield TABLE.to_batches()[0]
        raise OSError("the disk is gone")

    with pytest.raises(cep.SchemaError, match="the disk is gone"):
        cep.match(PATTERN, pa.RecordBatchReader.from_batches(TABLE.schema, failing()))
    with pytest.raises(OSError, match="the disk is gone"):
        cep.match(PATTERN, failing())


def test_event_time_orders_rows_where_the_pattern_does_not():
    data = {"t": [3, 1, 2], "x": [30, 10, 20]}
    pattern = cep.seq(event("a"), event("b"), event("c"), contiguity="strict").select(x="a.x", y="c.x")
    assert [(row["x"], row["y"]) for row in cep.match(pattern, data, event_time="t")] == [(10, 30)]
    assert [(row["x"], row["y"]) for row in cep.match(pattern, data)] == [(30, 20)]
    assert pattern.count(data, event_time="T") == 1
    with pytest.raises(cep.SchemaError) as caught:
        cep.match(pattern, data, event_time="u")
    assert caught.value.code == "unknown-column"
    with pytest.raises(TypeError):
        cep.match(pattern, data, event_time=3)


def test_within_can_be_measured_by_the_event_time_of_the_call():
    pattern = cep.seq(event("a"), event("b"), contiguity="strict").within("10s")
    times = np.array(["2024-01-01T00:00:00", "2024-01-01T00:00:10", "2024-01-01T00:00:19"], "M8[us]")
    assert cep.match(pattern, {"t": times}, event_time="t").rows["row"].to_pylist() == [1, 2]


@pytest.mark.parametrize("library", ["pandas", "numpy"])
def test_a_library_that_another_thread_is_importing_is_not_there_yet(monkeypatch, library):
    # As `import` leaves it until the library's own code has got that far.
    monkeypatch.setitem(sys.modules, library, types.ModuleType(library))
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    for data in (COLUMNS, TABLE, rows):
        assert cep.match(PATTERN, data).to_arrow().select(["x", "s"]).to_pylist() == EXPECTED
