"""What matching gives back, and the doors out of it."""

import builtins
import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event

TABLE = pa.table({
    "k": ["a", "b", "a", "a", "b"],
    "t": pa.array([1, 2, 3, 4, 5], pa.timestamp("s")),
    "x": pa.array([1, 10, 5, None, 20]),
    "f": [0.5, 1.5, None, 2.5, 3.5],
})  # fmt: skip
PAIRS = (
    cep.seq(event("low"), event("high"), contiguity="strict")
    .partition_by("k")
    .order_by("t")
    .select(x="high.x", f="high.f", low="low.x")
)


@pytest.fixture
def matches():
    return cep.match(PAIRS, TABLE)


def test_a_derived_event_has_its_key_its_number_its_times_and_its_measures(matches):
    assert matches.column_names == ["k", "match_number", "match_start", "match_end", "x", "f", "low"]
    assert list(matches) == [
        {"k": "a", "match_number": 1, "match_start": dt.datetime(1970, 1, 1, 0, 0, 1),
         "match_end": dt.datetime(1970, 1, 1, 0, 0, 3), "x": 5, "f": None, "low": 1},
        {"k": "b", "match_number": 1, "match_start": dt.datetime(1970, 1, 1, 0, 0, 2),
         "match_end": dt.datetime(1970, 1, 1, 0, 0, 5), "x": 20, "f": 3.5, "low": 10},
    ]  # fmt: skip
    assert (len(matches), matches.count(), matches.num_rows) == (2, 2, 2)
    assert isinstance(matches.strategy, str)
    assert matches.strategy


def test_rows_name_the_input_rows_of_every_match(matches):
    assert matches.rows.column_names == ["match", "variable", "row"]
    assert matches.rows.schema.field("match").type == pa.int64()
    assert matches.rows.schema.field("row").type == pa.int64()
    assert matches.rows.to_pylist() == [
        {"match": 0, "variable": "low", "row": 0},
        {"match": 0, "variable": "high", "row": 2},
        {"match": 1, "variable": "low", "row": 1},
        {"match": 1, "variable": "high", "row": 4},
    ]
    assert matches.rows is matches.rows


def test_the_result_is_a_table_for_any_arrow_library(matches):
    pl, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    assert pa.table(matches).equals(matches.to_arrow())
    assert pl.DataFrame(matches)["x"].to_list() == [5, 20]
    stream = pa.RecordBatchReader.from_stream(matches)
    assert stream.schema.names == matches.column_names
    connection = duckdb.connect()
    connection.register("matches", matches.to_arrow())
    assert connection.sql("SELECT sum(x) FROM matches").fetchall() == [(25,)]


def test_a_requested_schema_is_followed(matches):
    wanted = matches.to_arrow().schema
    wanted = wanted.set(4, pa.field("x", pa.float64()))
    assert pa.table(pa.RecordBatchReader.from_stream(matches, schema=wanted).read_all())["x"].type == pa.float64()


def test_conversions(matches):
    assert matches.to_arrow() is matches.to_arrow()
    assert pytest.importorskip("polars").Series(matches.to_polars()["low"]).to_list() == [1, 10]
    assert matches.to_pandas()["low"].tolist() == [1, 10]
    arrays = matches.to_numpy()
    assert arrays["x"].dtype == np.int64
    assert arrays["match_start"].dtype == np.dtype("M8[s]")
    assert np.isnan(arrays["f"][0])
    assert arrays["k"].tolist() == ["a", "b"]


def test_numpy_keeps_integers_beside_null_exact():
    arrays = cep.match(event("a").select(x="a.x", b="a.x > 3"), {"x": [2**62 + 1, None]}).to_numpy()
    assert arrays["x"].dtype == np.int64
    assert arrays["x"][0] == 2**62 + 1
    assert arrays["x"].mask.tolist() == [False, True]
    assert arrays["b"].mask.tolist() == [False, True]


def test_numpy_has_the_instant_of_zoned_times_and_the_values_of_dictionaries():
    table = pa.table({
        "t": pa.array([dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)], pa.timestamp("us", "Europe/Berlin")),
        "d": pa.array(["x"]).dictionary_encode(),
        "l": [[1, 2]],
    })  # fmt: skip
    arrays = cep.match(event("a").select(t="a.t", d="a.d", l="a.l"), table).to_numpy()
    assert arrays["t"][0] == np.datetime64("2024-01-01T12:00:00")
    assert arrays["d"].tolist() == ["x"]
    assert arrays["l"][0].tolist() == [1, 2]


def test_missing_libraries_are_named_with_the_extra(matches, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name in ("polars", "pandas"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match=r"cepheid\[polars\]"):
        matches.to_polars()
    with pytest.raises(ModuleNotFoundError, match=r"cepheid\[pandas\]"):
        matches.to_pandas()


def test_repr_is_an_aligned_table(matches):
    assert repr(matches).splitlines() == [
        "Matches: 2 matches",
        "k  match_number  match_start          match_end             x     f  low",
        "-  ------------  -------------------  -------------------  --  ----  ---",
        "a             1  1970-01-01 00:00:01  1970-01-01 00:00:03   5  NULL    1",
        "b             1  1970-01-01 00:00:02  1970-01-01 00:00:05  20   3.5   10",
    ]


def test_repr_shows_the_first_rows_only_and_cuts_long_text():
    many = cep.match(event("a").select(x="a.x"), {"x": ["y" * 100] * 1000})
    lines = repr(many).splitlines()
    assert lines[0] == "Matches: 1,000 matches"
    assert lines[-1] == "... 990 more rows"
    assert len(lines) == 14
    assert max(map(len, lines)) < 90


def test_repr_survives_what_python_cannot_hold():
    table = pa.table({"t": pa.array([1], pa.timestamp("ns")), "y": pa.array([2**62], pa.timestamp("s"))})
    assert "00:00:00.000000001" in repr(cep.match(event("a").select(t="a.t"), table))
    assert str(2**62) in repr(cep.match(event("a").select(y="a.y"), table))


def test_html_is_a_table_and_escapes(matches):
    assert "<th>match_number</th>" in matches._repr_html_()
    evil = cep.match(event("a").select(x="a.x"), {"x": ["<script>"]})
    assert "<script>" not in evil._repr_html_()
    assert "&lt;script&gt;" in evil._repr_html_()


def test_all_rows_count_matches_not_rows():
    pattern = (
        cep.seq(event("a"), event("b"), contiguity="strict").rows_per_match("all").select(v=cep.classifier(), x=col.x)
    )
    matches = cep.match(pattern, {"x": [1, 2, 3, 4, 5]})
    assert (len(matches), matches.num_rows) == (2, 4)
    assert [(row["v"], row["x"]) for row in matches] == [("a", 1), ("b", 2), ("a", 3), ("b", 4)]
    assert repr(matches).startswith("Matches: 2 matches in 4 rows")


def test_head(matches):
    assert matches.head(1).num_rows == 1
    assert matches.head(10**30).num_rows == 2
    assert matches.head(0).num_rows == 0
    with pytest.raises(cep.PatternError):
        matches.head(-1)
    with pytest.raises(TypeError):
        matches.head(1.5)


def test_a_result_cannot_be_made_by_hand():
    with pytest.raises(TypeError):
        cep.Matches()


def test_a_result_outlives_its_input():
    table = pa.table({"x": pa.array(range(1000))})
    matches = cep.match(event("a", col.x > 997).select(x="a.x"), table)
    del table
    assert [row["x"] for row in matches] == [998, 999]
