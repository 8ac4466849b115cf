"""Inputs that once gave a wrong answer, a foreign exception, or no end."""

import os
import signal
import threading

import numpy as np
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import event


def recognise(clauses: str, table: pa.Table) -> cep.Matches:
    return cep.sql(f"SELECT * FROM t MATCH_RECOGNIZE ({clauses})", t=table)


def test_a_missing_row_is_null_in_a_run_end_encoded_column() -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 4], pa.int32()), pa.array(["a", "b"]))
    matches = recognise("MEASURES B.r AS r PATTERN (A B?) DEFINE B AS FALSE", pa.table({"r": runs}))
    assert matches.to_arrow()["r"].to_pylist() == [None] * 4


def test_dictionaries_may_outgrow_their_code_type_together() -> None:
    codes = pa.array(range(100), pa.int8())
    chunks = [pa.DictionaryArray.from_arrays(codes, pa.array([f"{j}_{i}" for i in range(100)])) for j in range(3)]
    table = pa.table({"c": pa.chunked_array(chunks)})
    by_key = recognise("PARTITION BY c MEASURES COUNT(*) AS n PATTERN (A) DEFINE A AS TRUE", table)
    assert by_key.to_arrow()["c"].to_pylist() == table["c"].to_pylist()
    changes = recognise("MEASURES A.c AS c PATTERN (A) DEFINE A AS PREV(c) <> c", table)
    assert len(changes) == 299


@pytest.mark.parametrize(
    "zeros",
    [
        pa.array([0.0, -0.0]),
        pa.array(np.array([0.0, -0.0], "f2")),
        pa.array([0.0, -0.0]).dictionary_encode(),
    ],
    ids=["float64", "float16", "dictionary"],
)
def test_zero_is_one_key_whatever_its_sign(zeros: pa.Array) -> None:
    table = pa.table({"zero": zeros, "one": [1, 1]})
    for keys in ("zero", "zero, one"):
        assert len(recognise(f"PARTITION BY {keys} MEASURES COUNT(*) AS n PATTERN (A+) DEFINE A AS TRUE", table)) == 1


def test_the_outer_order_takes_both_zeros_for_one() -> None:
    table = pa.table({"zero": [0.0, -0.0], "i": [1, 2]})
    matches = cep.sql(
        "SELECT i FROM t MATCH_RECOGNIZE (MEASURES A.zero AS zero, A.i AS i PATTERN (A)) ORDER BY zero, i", t=table
    )
    assert matches.to_arrow()["i"].to_pylist() == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        {"\ud800": [1]},
        np.zeros(2, dtype=[("x", [("p", "i8"), ("q", "i8")]), ("y", "f4")]),
        {"x": np.array([2**40], "M8[D]")},
        {"x": np.array([2**62], "M8[h]")},
        {"x": np.array([1], "m8[Y]")},
    ],
    ids=["surrogate", "nested", "far-date", "far-hour", "years"],
)
def test_what_arrow_cannot_hold_is_a_schema_error(data: object) -> None:
    with pytest.raises(cep.SchemaError) as caught:
        cep.match(event("a"), data)
    assert caught.value.code == "unsupported-input"


def test_events_without_fields_are_rows() -> None:
    assert len(cep.match(event("a"), [{}, {}])) == 2


def test_far_dates_that_arrow_holds_pass_through() -> None:
    days = np.array(["1969-12-31", "2024-02-29", "NaT"], "M8[D]")
    hours = np.array(["1969-12-31T23", "NaT"], "M8[h]")
    assert len(cep.match(event("a"), {"x": days})) == 3
    assert len(cep.match(event("a"), {"x": hours})) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers no SIGINT to one process")
def test_a_long_search_can_be_interrupted() -> None:
    table = pa.table({"x": np.ones(100_000, "int64")})
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        # Every run is as long as the rest of the table: five billion steps.
        recognise("MEASURES COUNT(*) AS c PATTERN (A+ B) DEFINE A AS x >= FIRST(A.x), B AS x < 0", table)
    timer.join()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGUSR1")
def test_what_a_signal_handler_raises_is_what_the_caller_gets() -> None:
    def refuse(_signal: int, _frame: object) -> None:
        raise TimeoutError("enough")

    table = pa.table({"x": np.ones(100_000, "int64")})
    before = signal.signal(signal.SIGUSR1, refuse)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        with pytest.raises(TimeoutError, match="enough"):
            recognise("MEASURES COUNT(*) AS c PATTERN (A+ B) DEFINE A AS x >= FIRST(A.x), B AS x < 0", table)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
