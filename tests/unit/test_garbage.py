"""Whatever is thrown at the Python surface, only typed errors come back."""

import datetime as dt
import os
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cepheid as cep
from cepheid import Pattern, col, event

ALLOWED = (cep.CepheidError, TypeError)
DATA = pa.table({"x": [1, 2, 3], "s": ["a", None, "c"], "t": pa.array([1, 2, 3], pa.timestamp("us"))})

garbage = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=5)
    | st.decimals()
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.timedeltas()
    | st.sampled_from([col.x, event("a"), cep.ref("a"), DATA, np.arange(3), np.float32(1), object(), len, Decimal, dt,
                       np.datetime64("NaT"), cep.when(col.x > 1), cep.udf(len, columns=["x"]), 2**70, "x > 1", "("]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    | st.tuples(inner, inner),
    max_leaves=5,
)  # fmt: skip

EXAMPLES = 2_000 if os.environ.get("CEPHEID_DEEP") else 60
PROFILE = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def allowed(call):
    """Runs `call`; gives whether it succeeded. Any error but those allowed fails the test."""
    try:
        call()
    except ALLOWED as error:
        assert not isinstance(error, cep.InternalError), error
        return False
    return True


METHODS = [
    "alias", "is_in", "is_distinct_from", "like", "cast", "fill_null", "round", "first", "last", "equals",
    "__add__", "__radd__", "__truediv__", "__eq__", "__lt__", "__and__", "__or__", "__pow__",
]  # fmt: skip
CLAUSES = [
    "then", "next", "then_any", "times", "at_least", "within", "partition_by", "order_by", "define", "select",
    "after_match", "rows_per_match", "matches", "named", "emit", "count", "exists", "explain", "__or__", "__rshift__",
    "__eq__",
]  # fmt: skip
FUNCTIONS = [
    cep.event, cep.seq, cep.all_of, cep.lit, cep.ref, cep.col, cep.prev, cep.next_, cep.classifier, cep.count_if,
    cep.min_by, cep.abs, cep.round, cep.coalesce, cep.greatest, cep.nullif, cep.concat, cep.power, cep.log,
    cep.date_diff, cep.date_add, cep.duration, cep.when, cep.udf, cep.expr_from_sql, cep.pattern_from_sql, cep.sql,
    cep.match, Pattern.from_dict, Pattern.from_json, cep.Expr.from_dict,
]  # fmt: skip


@PROFILE
@given(method=st.sampled_from(METHODS), args=st.lists(garbage, max_size=2))
def test_methods_of_expressions(method, args):
    allowed(lambda: getattr(col.x, method)(*args))


@PROFILE
@given(method=st.sampled_from(CLAUSES), args=st.lists(garbage, max_size=2))
def test_methods_of_patterns(method, args):
    def call():
        made = getattr(event("a", col.x > 1), method)(*args)
        if isinstance(made, Pattern):
            repr(made)
            cep.match(made, DATA)

    allowed(call)


@PROFILE
@given(function=st.sampled_from(FUNCTIONS), args=st.lists(garbage, max_size=3))
def test_functions(function, args):
    allowed(lambda: function(*args))


@PROFILE
@given(data=garbage)
def test_data(data):
    allowed(lambda: cep.match(event("a", col.x > 1), data))
    allowed(lambda: cep.sql("SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A))", t=data))


@PROFILE
@given(value=garbage)
def test_values_beside_a_column_build_patterns_that_can_be_written_and_matched(value):
    def call():
        pattern = event("a", col.x == value)
        assert eval(repr(pattern), {"cep": cep, "col": col, "event": event}) == pattern
        cep.match(pattern, DATA)

    allowed(call)


@PROFILE
@given(text=st.text(max_size=40) | st.text(alphabet="ab.()*+?{}|,^$'\"-> 1x=", max_size=40))
def test_texts(text):
    allowed(lambda: cep.match(event("a", text), DATA))
    allowed(lambda: cep.pattern_from_sql(f"MATCH_RECOGNIZE (PATTERN ({text}))").count(DATA.slice(0, 2)))
    allowed(lambda: cep.sql(text, t=DATA))


def test_the_lists_above_name_what_there_is():
    assert (len(METHODS), len(CLAUSES), len(FUNCTIONS)) == (18, 21, 31)
    assert all(hasattr(col.x, name) for name in METHODS)
    assert all(hasattr(event("a"), name) for name in CLAUSES)
