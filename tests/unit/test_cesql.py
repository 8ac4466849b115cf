"""CloudEvents SQL: the cases of the suite, tables of all types, and what is no expression."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import pickle
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cepheid as cep
from cepheid.cesql import CesqlFault, CloudEventsSql

FOLDER = Path(__file__).parents[1] / "conformance" / "cesql"
CASES = [
    pytest.param(case, id=f"{path.stem}/{case['name']}")
    for path in sorted(FOLDER.glob("*.toml"))
    for case in tomllib.loads(path.read_text("utf-8"))["test"]
]
REQUIRED = {"id": "a-1", "source": "/shop", "type": "shop.order.created"}


def test_the_suite_is_whole():
    cases: list[Any] = [case.values[0] for case in CASES]
    assert len(cases) == 459
    assert len({case["name"] for case in cases}) == 459, "a name is used twice"
    # As many as the published kit has.
    assert sum(case.get("kit", False) for case in cases) == 282
    assert sum("syntax-error" in case for case in cases) == 35


@pytest.mark.parametrize("case", CASES)
def test_a_case_gives_the_value_and_the_errors_that_it_names(case: dict[str, Any]):
    if code := case.get("syntax-error"):
        with pytest.raises(cep.SqlError) as caught:
            CloudEventsSql(case["expression"])
        assert caught.value.code == code
        return
    expression = CloudEventsSql(case["expression"])
    event = REQUIRED | case.get("event", {})
    result = expression.evaluate(event)
    assert (result.value, type(result.value)) == (case["value"], type(case["value"]))
    assert [fault.kind for fault in result.errors] == case.get("errors", [])
    assert all(fault.message for fault in result.errors)
    table = pa.table({name: [value] for name, value in event.items()})
    passes = result.value is True and not result.errors
    assert expression.mask(table).selected.to_pylist() == [passes]
    assert expression.mask(table).errors == bool(result.errors)
    assert expression.filter(table).num_rows == passes
    # Where the value's type is known before, it is the one that comes.
    if (kind := expression.result_type) is not None:
        assert {"boolean": bool, "integer": int, "string": str}[kind] is type(result.value)


# One column `x` of each type, and what its values are as text.
NAIVE = [dt.datetime(2031, 2, 3, 4, 5, 6), None, dt.datetime(1969, 12, 31, 23, 59, 59)]
FINE = [dt.datetime(2031, 2, 3, 4, 5, 6, 7_000), None, dt.datetime(1600, 2, 29, 1, 2, 3, 4)]
COLUMNS: dict[str, tuple[Any, list[str | None]]] = {
    "string": (pa.array(["a", None, "ß"]), ["a", None, "ß"]),
    "large_string": (pa.array(["a", None, "ß"], pa.large_string()), ["a", None, "ß"]),
    "string_view": (pa.array(["a", None, "longer than twelve"], pa.string_view()), ["a", None, "longer than twelve"]),
    "dictionary": (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
    "dictionary of int8": (pa.array(["a", None, "a"]).cast(pa.dictionary(pa.int8(), pa.string())), ["a", None, "a"]),
    "dictionary with a null value": (
        pa.DictionaryArray.from_arrays(pa.array([0, None, 1]), pa.array(["a", None])), ["a", None, None],
    ),
    "dictionary without values": (
        pa.DictionaryArray.from_arrays(pa.array([None, None, None], pa.int32()), pa.array([], pa.string())), [None] * 3,
    ),
    "dictionary of nulls": (pa.DictionaryArray.from_arrays(pa.array([0, None, 0]), pa.nulls(1)), [None] * 3),
    "dictionary of integers": (
        pa.DictionaryArray.from_arrays(pa.array([0, None, 1]), pa.array([7, 2**40])), ["7", None, str(2**40)],
    ),
    "null": (pa.nulls(3), [None] * 3),
    "bool": (pa.array([True, None, False]), ["true", None, "false"]),
    "int8": (pa.array([-1, None, 127], pa.int8()), ["-1", None, "127"]),
    "uint16": (pa.array([1, None, 65535], pa.uint16()), ["1", None, "65535"]),
    "int64": (pa.array([-(2**31), None, -(2**31) - 1]), ["-2147483648", None, "-2147483649"]),
    "uint64": (pa.array([2**31 - 1, None, 2**64 - 1], pa.uint64()), ["2147483647", None, "18446744073709551615"]),
    "float64": (pa.array([1.0, None, 0.1]), ["1.0", None, "0.1"]),
    "float64 beyond numbers": (pa.array([float("nan"), None, float("-inf")]), ["NaN", None, "-inf"]),
    "float64 that is large": (pa.array([1e300, None, -2.5e-7]), ["1e300", None, "-2.5e-7"]),
    "decimal128": (
        pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-0.05")], pa.decimal128(9, 2)),
        ["1.50", None, "-0.05"],
    ),
    "date32": (pa.array([dt.date(2031, 2, 3), None, dt.date(1, 1, 1)]), ["2031-02-03", None, "0001-01-01"]),
    "date64": (
        pa.array([dt.date(2000, 2, 29), None, dt.date(9999, 12, 31)], pa.date64()), ["2000-02-29", None, "9999-12-31"],
    ),
    "time32": (pa.array([dt.time(4, 5, 6), None, dt.time(23, 59, 59)], pa.time32("s")), ["04:05:06", None, "23:59:59"]),
    "time64": (
        pa.array([dt.time(4, 5, 6, 70), None, dt.time(0)], pa.time64("us")), ["04:05:06.000070", None, "00:00:00"],
    ),
    "timestamp of seconds": (
        pa.array(NAIVE, pa.timestamp("s")), ["2031-02-03T04:05:06Z", None, "1969-12-31T23:59:59Z"],
    ),
    "timestamp of microseconds": (
        pa.array(FINE, pa.timestamp("us", "UTC")), ["2031-02-03T04:05:06.007Z", None, "1600-02-29T01:02:03.000004Z"],
    ),
    "timestamp of a zone": (
        pa.array([dt.datetime(2031, 7, 1, 12, tzinfo=dt.UTC), None, None], pa.timestamp("ms", "Europe/Berlin")),
        ["2031-07-01T12:00:00Z", None, None],
    ),
    "binary": (pa.array([b"", None, b"\x00\xff\x10"]), ["", None, "AP8Q"]),
    "large_binary": (pa.array([b"a", None, b"ab"], pa.large_binary()), ["YQ==", None, "YWI="]),
    "binary_view": (pa.array([b"a", None, b"ab"], pa.binary_view()), ["YQ==", None, "YWI="]),
    "fixed_size_binary": (pa.array([b"abc", None, b"abd"], pa.binary(3)), ["YWJj", None, "YWJk"]),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_any_type_is_what_its_values_are_one_by_one(name: str):
    column, texts = COLUMNS[name]
    assert len(texts) == 3
    for text in {*texts, "other"} - {None}:
        expression = CloudEventsSql(f"STRING(x) = '{text}'")
        mask = expression.mask(pa.table({"x": column}))
        assert mask.selected.to_pylist() == [text == value for value in texts]
        assert mask.errors == texts.count(None)
        for value, one in zip(column.to_pylist(), texts, strict=True):
            assert expression.evaluate({"x": value}).value is (text == one)
    mask = CloudEventsSql("EXISTS x").mask(pa.table({"x": column}))
    assert (mask.selected.to_pylist(), mask.errors) == ([text is not None for text in texts], 0)
    # A part of the column, which begins in the middle of a byte of its bits.
    longer = pa.table({"x": pa.chunked_array([column] * 3)}).slice(2, 5)
    mask = CloudEventsSql("NOT EXISTS x").mask(longer)
    assert mask.selected.to_pylist() == [(texts * 3)[row] is None for row in range(2, 7)]
    rows = CloudEventsSql("EXISTS x").filter(longer)
    assert rows.schema == longer.schema
    assert rows.num_rows == 5 - mask.selected.to_pylist().count(True)


def test_types_that_were_looked_at_are_all_that_have_text():
    assert len(COLUMNS) == 30


def test_numbers_and_truths_keep_their_type():
    table = pa.table({"n": pa.array([5, 50], pa.uint8()), "b": [True, False]})
    assert CloudEventsSql("n < 10 AND b").mask(table).selected.to_pylist() == [True, False]
    # Were they text, it would be the other way round.
    assert CloudEventsSql("n IN ('05')").mask(table).selected.to_pylist() == [True, False]
    assert CloudEventsSql("n").evaluate({"n": np.int16(7)}) == (7, ())
    assert CloudEventsSql("b").evaluate({"b": np.bool_(True)}) == (True, ())
    assert CloudEventsSql("n").evaluate({"n": 2**100}) == (str(2**100), ())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (pa.array([[1]]), [1]),
        (pa.array([{"a": 1}]), {"a": 1}),
        (pa.array([dt.timedelta(1)]), dt.timedelta(1)),
        (pa.array([2**60], pa.timestamp("s")), object()),
        (None, "\ud800"),
        (None, 1j),
        pytest.param(None, 10**5_000, id="digits"),
        pytest.param(None, Fraction(10**400), id="fraction"),
        (None, dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=14)))),
    ],
)
def test_a_value_that_the_language_has_not_is_an_error_of_the_row(column: pa.Array | None, value: Any):
    for text in ("x = 'a'", "x", "NOT x", "LENGTH(x) = 1"):
        result = CloudEventsSql(text).evaluate({"x": value})
        assert [fault.kind for fault in result.errors] == ["generic"]
        assert "`x`" in result.errors[0].message
        if column is not None:
            mask = CloudEventsSql(text).mask(pa.table({"x": column}))
            assert (mask.selected.to_pylist(), mask.errors) == ([False], 1)
    assert CloudEventsSql("EXISTS x").evaluate({"x": value}) == (True, ())
    if column is not None:
        assert CloudEventsSql("EXISTS x").mask(pa.table({"x": column})).selected.to_pylist() == [True]


def test_values_of_other_libraries_are_what_they_stand_for():
    for value, text in (
        (np.str_("a"), "a"),
        (np.float64(0.5), "0.5"),
        (Fraction(1, 2), "0.5"),
        (decimal.Decimal("1E+5"), "100000"),
        (decimal.Decimal("1E+999999"), "1E+999999"),
        (memoryview(b"a-b-")[::2], "YWI="),
        (pd.Timestamp("2031-02-03T04:05:06.007", tz="Europe/Berlin"), "2031-02-03T03:05:06.007Z"),
        (dt.time(4, 5, tzinfo=dt.UTC), "04:05:00"),
    ):
        assert CloudEventsSql("x").evaluate({"x": value}) == (text, ())
    assert CloudEventsSql("EXISTS x").evaluate({"x": pd.NaT}) == (False, ())


ATOMS = st.sampled_from(["a", "b", "c", "1", "'1'", "'a'", "TRUE", "'true'", "EXISTS b", "a LIKE '_'", "b IN (a, '1')"])
TEXTS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR", "XOR", "=", "!=", "<", "+", "/"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        inner.map(lambda text: f"NOT ({text})"),
        inner.map(lambda text: f"LEFT({text}, 1)"),
    ),
    max_leaves=8,
)
ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "1", "true", "", None]),
        st.sampled_from(["a", "1", "true", None]),
        st.sampled_from([0, 1, -1, 2**31, None]),
    ),
    max_size=8,
)


@given(text=TEXTS, rows=ROWS)
def test_a_table_gives_what_its_rows_give_one_by_one(text: str, rows: list[tuple[Any, ...]]):
    expression = CloudEventsSql(text)
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    table = pa.table(
        {
            "a": pa.array(columns[0], pa.string()),
            "b": pa.array(columns[1], pa.string()).dictionary_encode(),
            "c": pa.array(columns[2], pa.int64()),
        }
    )
    results = [expression.evaluate(row) for row in table.to_pylist()]
    mask = expression.mask(table)
    assert mask.selected.to_pylist() == [result.value is True and not result.errors for result in results]
    assert mask.errors == sum(bool(result.errors) for result in results)


def test_tables_of_all_kinds_are_taken():
    texts = {"x": ["a", "b", None]}
    for table in (
        texts,
        pl.DataFrame(texts),
        pa.table(texts),
        pa.table(texts).to_batches()[0],
        pl.DataFrame(texts).to_pandas(),
    ):
        assert CloudEventsSql("x = 'b'").mask(table).selected.to_pylist() == [False, True, False]
        assert CloudEventsSql("x = 'b'").filter(table).to_pylist() == [{"x": "b"}]
    assert CloudEventsSql("x = 'b'").mask([{"x": "a"}, {"x": "b"}]).selected.to_pylist() == [False, True]
    with pytest.raises(cep.SchemaError) as caught:
        CloudEventsSql("x = 'b'").mask(5)
    assert caught.value.code == "unsupported-input"


def test_a_table_without_rows_or_columns_selects_nothing():
    expression = CloudEventsSql("x = 'b' OR TRUE")
    none = pa.table({"x": pa.array([], pa.string())})
    assert (len(expression.mask(none).selected), expression.mask(none).errors) == (0, 0)
    assert expression.filter(none).schema == none.schema
    assert len(expression.mask(pa.table({"x": pa.chunked_array([], pa.string())})).selected) == 0
    # Without the column, every row misses the attribute.
    mask = expression.mask(pa.table({"y": [1, 2]}))
    assert (mask.selected.to_pylist(), mask.errors) == ([False, False], 2)
    assert CloudEventsSql("TRUE").mask(pa.table({"y": [1, 2]})).selected.to_pylist() == [True, True]


def test_attributes_are_columns_in_lower_case():
    table = pa.table({"Region": ["north"], "region": ["south"]})
    assert CloudEventsSql("REGION = 'south'").mask(table).selected.to_pylist() == [True]
    mask = CloudEventsSql("region = 'north'").mask(table.select(["Region"]))
    assert (mask.selected.to_pylist(), mask.errors) == ([False], 1)


def test_every_event_has_the_attributes_that_are_required():
    for name in ("id", "source", "type", "specversion"):
        assert CloudEventsSql(f"EXISTS {name}").mask(pa.table({"y": [1]})).selected.to_pylist() == [True]
    assert CloudEventsSql("specversion").evaluate({}) == ("1.0", ())
    assert CloudEventsSql("specversion").evaluate({"specversion": "1.1"}) == ("1.1", ())
    assert CloudEventsSql("id").evaluate({}).errors == (
        CesqlFault("missing-attribute", "the event has no attribute `id`"),
    )


def test_a_mistake_shows_where_it_is():
    with pytest.raises(cep.SqlError) as caught:
        CloudEventsSql("type = 'a' AND\nregion LIKE größe")
    error = caught.value
    assert (error.code, error.line, error.column_number) == ("cesql-syntax", 2, 15)
    assert error.span == (29, 31)
    assert str(error).splitlines()[1:3] == ["  region LIKE größe", "                ^"]
    with pytest.raises(cep.SqlError) as caught:
        CloudEventsSql("x LIKE y")
    assert caught.value.expected == ("a pattern in quotes",)
    assert str(caught.value).endswith("expected a pattern in quotes")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.code, again.span) == ("cesql-syntax", (7, 8))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("(" * 1_000_000, "cesql-limit"),
        ("'" + "x" * 1_000_000, "cesql-limit"),
        ("NOT " * 10_000 + "TRUE", "cesql-limit"),
        ("-" * 60_000 + "1", "cesql-limit"),
        ("1" + "+1" * 20_000, "cesql-limit"),
        ("'" + "x" * 60_000, "cesql-syntax"),
        ("9" * 60_000, "cesql-literal"),
        ("\0", "cesql-syntax"),
        ("\ud800", "syntax"),
    ],
)
def test_hostile_text_is_refused(text: str, code: str):
    with pytest.raises(cep.SqlError) as caught:
        CloudEventsSql(text)
    assert caught.value.code == code
    assert len(str(caught.value)) < 1_000


def test_a_long_list_of_alternatives_is_an_expression():
    expression = CloudEventsSql(" OR ".join(f"x = 'x{number}'" for number in range(3_000)))
    mask = expression.mask({"x": ["x0", "x2999", "y", None] * 5})
    assert mask.selected.to_pylist() == [True, True, False, False] * 5
    assert mask.errors == 5


def test_an_expression_is_a_value():
    one, same, other = (CloudEventsSql(text) for text in ("x = 'it\\'s'", "x = 'it\\'s'", "y"))
    assert one == same != other
    assert one != one.text
    assert len({one, same, other}) == 2
    assert eval(repr(one), {"CloudEventsSql": CloudEventsSql}) == one
    for copied in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):
        assert copied == one
        assert copied.evaluate({"x": "it's"}).value is True
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.text = "z"  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [None, 5, b"x", ["x"]])
def test_wrong_types_are_type_errors(wrong: Any):
    with pytest.raises(TypeError, match="text"):
        CloudEventsSql(wrong)
    with pytest.raises(TypeError, match="mapping"):
        CloudEventsSql("x").evaluate(wrong)


def test_what_is_known_before_any_event():
    expression = CloudEventsSql("LEFT(b, 2) = a AND NOSUCH() OR nosuch(1) AND NOSUCH() AND TRIM()")
    assert expression.attributes == ("b", "a")
    assert expression.missing_functions == ("NOSUCH/0", "NOSUCH/1", "TRIM/0")
    assert expression.result_type == "boolean"
    assert CloudEventsSql("x").missing_functions == ()


def test_threads_share_an_expression():
    from concurrent.futures import ThreadPoolExecutor

    expression = CloudEventsSql("x LIKE '%7%'")
    tables = [pa.table({"x": [str(number) for number in range(start, start + 5_000)]}) for start in range(8)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda table: expression.mask(table).selected.true_count, tables))
    assert found == [sum("7" in str(number) for number in range(start, start + 5_000)) for start in range(8)]
