"""Python predicates: once per batch, whole columns, and the errors they can make."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import cepheid as cep
from cepheid import col, event, prev

TABLE = pa.table({"x": [1, 2, 3, 4], "y": [4, 3, 2, 1]})


def test_a_predicate_is_called_once_per_batch_with_arrow_arrays():
    calls = []

    def bigger(x, y):
        calls.append((type(x), len(x)))
        return pc.greater(x, y)

    pattern = event("a", cep.udf(bigger, columns=["x", "Y"])).select(x="a.x")
    chunked = pa.concat_tables([TABLE.slice(0, 3), TABLE.slice(3)])
    assert [row["x"] for row in cep.match(pattern, chunked)] == [3, 4]
    assert calls == [(pa.Int64Array, 3), (pa.Int64Array, 1)]
    assert pattern.count(TABLE) == 2
    assert pattern.exists(TABLE)
    assert len(calls) == 4


@pytest.mark.parametrize(
    "give",
    [
        lambda x: np.asarray(x) > 2,
        lambda x: [value > 2 for value in x.to_pylist()],
        lambda x: pa.chunked_array([pc.greater(x, 2)]),
        lambda x: pc.greater(x, 2),
    ],
)
def test_what_a_predicate_may_give(give):
    assert event("a", cep.udf(give, columns=["x"])).count(TABLE) == 2


def test_null_does_not_match():
    assert event("a", cep.udf(lambda x: [None, True, None, False], columns=["x"])).count(TABLE) == 1
    assert event("a", cep.udf(lambda x: [None] * len(x), columns=["x"])).count(TABLE) == 0


def test_a_predicate_is_a_column_like_any_other():
    odd = cep.udf(lambda x: pc.equal(pc.bit_wise_and(x, 1), 1), columns=["x"])
    assert event("a", prev(odd)).select(x="a.x").count(TABLE) == 2
    assert event("a", ~odd & (col.x > 2)).count(TABLE) == 1
    assert event("a").select(o=odd).explain()
    assert [row["o"] for row in cep.match(event("a").select(o=odd), TABLE)] == [True, False, True, False]


def test_equal_predicates_are_one_column():
    calls = []
    odd = cep.udf(lambda x: calls.append(1) or [True] * len(x), columns=["x"])
    assert event("a", odd, odd & (col.x > 1)).count(TABLE) == 3
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("give", "code"),
    [(lambda x: [1] * len(x), "udf-result"), (lambda x: [True], "udf-result"), (lambda x: 5, "udf-result")],
)
def test_what_a_predicate_may_not_give(give, code):
    with pytest.raises(cep.SchemaError) as caught:
        event("a", cep.udf(give, columns=["x"])).count(TABLE)
    assert caught.value.code == code


def test_errors_of_the_function_and_of_its_columns():
    with pytest.raises(ZeroDivisionError):
        event("a", cep.udf(lambda x: 1 / 0, columns=["x"])).count(TABLE)
    with pytest.raises(cep.SchemaError) as caught:
        event("a", cep.udf(len, columns=["z"])).count(TABLE)
    assert (caught.value.code, caught.value.column) == ("unknown-column", "z")


def test_patterns_with_predicates_compare_by_function():
    one = cep.udf(len, columns=["x"])
    assert event("a", one) == event("a", cep.udf(len, columns=["x"]))
    assert event("a", one) != event("a", cep.udf(len, columns=["y"]))
    assert "cep.udf(" in repr(event("a", one))
