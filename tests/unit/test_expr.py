"""Expressions: what they build, what they refuse, and that their repr is code."""

import datetime as dt
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event, prev

NAMES = {"cep": cep, "col": col, "prev": prev, "event": event}

a = cep.ref("a")

SPELLED = [
    (col.price > 1, "col.price > 1"),
    (col.price + 1 * col.qty, "col.price + cep.lit(1) * col.qty"),
    ((col.price + 1) * 2, "(col.price + 1) * 2"),
    (col.a - (col.b - col.c), "col.a - (col.b - col.c)"),
    (col.a - col.b - col.c, "col.a - col.b - col.c"),
    (col.a / col.b % 3, "col.a / col.b % 3"),
    (-col.a, "-col.a"),
    (-(col.a + 1), "-(col.a + 1)"),
    (2**col.a, "cep.power(2, col.a)"),
    ((col.a == 1) & (col.b != 2) | ~(col.c >= 3), "(col.a == 1) & (col.b != 2) | ~(col.c >= 3)"),
    (((col.a == 1) | (col.b == 2)) & (col.c == 3), "((col.a == 1) | (col.b == 2)) & (col.c == 3)"),
    ((col.a == 1) == (col.b == 2), "(col.a == 1) == (col.b == 2)"),
    (col.a > 1, "col.a > 1"),
    (col("a b"), "col('a b')"),
    (col("class"), "col('class')"),
    (col("Ärger"), "col('Ärger')"),
    (col("X", exact=True), "col('X', exact=True)"),
    (col.a.is_null(), "col.a.is_null()"),
    (col.a.is_not_null(), "col.a.is_not_null()"),
    (col.a.is_in([1, None, "x"]), "col.a.is_in([1, None, 'x'])"),
    (col.a.is_in([]), "cep.lit(False)"),
    (col.a.between(1, col.b), "col.a.between(1, col.b)"),
    (col.a.is_distinct_from(None), "col.a.is_distinct_from(None)"),
    (col.a.like("x!%", escape="!"), "col.a.like('x!%', escape='!')"),
    (col.a.cast("int64"), "col.a.cast('int64')"),
    (col.a.cast("decimal(10, 2)", strict=False), "col.a.cast('decimal(10, 2)', strict=False)"),
    (col.a.cast("uint8"), "col.a.cast('uint8')"),
    (abs(col.a), "col.a.abs()"),
    (round(col.a, 2), "col.a.round(2)"),
    (col.a.fill_null(0), "cep.coalesce(col.a, 0)"),
    (col.s.str.upper().str.length(), "col.s.str.upper().str.length()"),
    (col.t.dt.truncate("hour"), "col.t.dt.truncate('hour')"),
    (cep.when(col.a > 1).then("x").when(col.a > 0).then("y").otherwise(None),
     "cep.when(col.a > 1).then('x').when(col.a > 0).then('y').otherwise(None)"),
    (prev(col.a), "prev(col.a)"),
    (prev(col.a, 2), "prev(col.a, 2)"),
    (cep.next_(col.a + col.b), "cep.next_(col.a) + cep.next_(col.b)"),
    (a.price, "cep.ref('a').price"),
    (a["count"], "cep.ref('a')['count']"),
    (a.count(), "cep.ref('a').count()"),
    (a.price.first(2), "cep.ref('a').price.first(2)"),
    (a.price.last(1), "cep.ref('a').price.last(1)"),
    (col.price.first(), "col.price.first()"),
    (col.price.last(), "col.price.last()"),
    (prev(a.price.first(1), 3), "prev(cep.ref('a').price.first(1), 3)"),
    ((a.price * a.qty).sum(), "(cep.ref('a').price * cep.ref('a').qty).sum()"),
    (col.price.avg(), "col.price.avg()"),
    (a.x.n_unique(), "cep.ref('a').x.n_unique()"),
    (cep.count(), "cep.count()"),
    (cep.count_if(a.x > 1), "cep.count_if(cep.ref('a').x > 1)"),
    (cep.min_by(a.x, a.y), "cep.min_by(cep.ref('a').x, cep.ref('a').y)"),
    (cep.classifier(), "cep.classifier()"),
    (cep.classifier("a"), "cep.classifier('a')"),
    (cep.match_number(), "cep.match_number()"),
    (cep.date_diff("day", a.t, col.t), "cep.date_diff('day', cep.ref('a').t, col.t)"),
    (col.t - prev(col.t) < dt.timedelta(minutes=90), "col.t - prev(col.t) < cep.duration('1h30m')"),
    (cep.log(10, col.x), "cep.log(10, col.x)"),
    (col.x == Decimal("1.50"), "col.x == cep.expr_from_sql(\"DECIMAL '1.50'\")"),
    (col.x == dt.date(2024, 2, 29), "col.x == cep.expr_from_sql(\"DATE '2024-02-29'\")"),
    (col.x == dt.datetime(2024, 1, 2, 3, 4, 5, 600000),
     "col.x == cep.expr_from_sql(\"TIMESTAMP '2024-01-02 03:04:05.6'\")"),
    (col.x == dt.datetime(2024, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
     "col.x == cep.expr_from_sql(\"TIMESTAMP '2024-01-01 22:00:00 UTC'\")"),
    (col.x == float("nan"), "col.x == float('nan')"),
    (col.x == 1e300, "col.x == 1e+300"),
    (col.x == "it's", 'col.x == "it\'s"'),
    (col.x + "s", "col.x + 's'"),
    (cep.lit(-5) + col.x, "cep.lit(-5) + col.x"),
]  # fmt: skip


def test_every_spelling_is_listed():
    assert len(SPELLED) == 65


@pytest.mark.parametrize(("expr", "code"), SPELLED, ids=[code for _, code in SPELLED])
def test_repr_is_code_that_builds_an_equal_expression(expr, code):
    assert repr(expr) == code
    assert eval(code, dict(NAMES)).equals(expr)
    assert pickle.loads(pickle.dumps(expr)).equals(expr)
    assert cep.Expr.from_dict(expr.to_dict()).equals(expr)


OTHER_LITERALS = [dt.time(1, 2, 3), dt.timedelta(-1), Decimal("-1.5"), np.timedelta64(3, "M"), float("-inf"), True]


@pytest.mark.parametrize("value", OTHER_LITERALS, ids=repr)
def test_every_constant_is_spelled_somehow(value):
    expr = col.x == value
    assert eval(repr(expr), dict(NAMES)).equals(expr)


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (None, "null"),
        (True, {"boolean": True}),
        (np.bool_(False), {"boolean": False}),
        (7, {"integer": 7}),
        (np.int8(-3), {"integer": -3}),
        (-(2**63), {"integer": -(2**63)}),
        (1.5, {"float": 1.5}),
        (np.float32(0.5), {"float": 0.5}),
        (float("inf"), {"float": "inf"}),
        ("é", {"string": "é"}),
        (np.str_("x"), {"string": "x"}),
        (Decimal("-1.50"), {"decimal": {"unscaled": "-150", "scale": 2}}),
        (Decimal("2E+3"), {"decimal": {"unscaled": "2000", "scale": 0}}),
        (dt.date(1969, 12, 31), {"date": -1}),
        (dt.time(0, 0, 1, 5), {"time": 1_000_005_000}),
        (dt.datetime(1970, 1, 1, 0, 0, 1), {"timestamp": {"nanoseconds": 10**9, "zoned": False}}),
        (dt.datetime(1970, 1, 1, 1, tzinfo=dt.UTC), {"timestamp": {"nanoseconds": 3600 * 10**9, "zoned": True}}),
        (pd.Timestamp("1970-01-01 00:00:00.000000001"), {"timestamp": {"nanoseconds": 1, "zoned": False}}),
        (pd.NaT, "null"),
        (pd.NA, "null"),
        (dt.timedelta(microseconds=-1), {"interval": {"months": 0, "nanoseconds": -1000}}),
        (pd.Timedelta(3, "ns"), {"interval": {"months": 0, "nanoseconds": 3}}),
        (np.datetime64("1970-01-02"), {"date": 1}),
        (np.datetime64("1970-01-01T00:00:00.000000007", "ns"), {"timestamp": {"nanoseconds": 7, "zoned": False}}),
        (np.datetime64("NaT"), "null"),
        (np.timedelta64(2, "h"), {"interval": {"months": 0, "nanoseconds": 7200 * 10**9}}),
        (np.timedelta64(2, "Y"), {"interval": {"months": 24, "nanoseconds": 0}}),
        (pa.scalar(5), {"integer": 5}),
    ],
    ids=repr,
)
def test_python_values_become_constants(value, literal):
    assert cep.lit(value).to_dict() == {"literal": literal}


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, 10**5000, Decimal("NaN"), Decimal("1e-39"), dt.datetime(1600, 1, 1),
     dt.time(1, tzinfo=dt.UTC), np.uint64(2**63), np.datetime64("9999-01-01T00:00:00", "s"), "\ud800"],
    ids=lambda value: repr(value)[:20] if not isinstance(value, int) or value < 10**30 else "huge",
)  # fmt: skip
def test_constants_out_of_range_are_refused(value):
    with pytest.raises(cep.PatternError) as caught:
        cep.lit(value)
    assert caught.value.code == "invalid-literal"


@pytest.mark.parametrize("value", [object(), b"x", [1], {"a": 1}, 1j, np.array([1]), {1}], ids=repr)
def test_other_values_are_no_constants(value):
    for build in (lambda: cep.lit(value), lambda: col.x == value, lambda: col.x != value, lambda: col.x + value):
        with pytest.raises(TypeError):
            build()


def test_the_truth_of_an_expression_is_refused_with_a_hint():
    for use in (
        lambda: bool(col.a > 1),
        lambda: (col.a > 1) and (col.b > 1),
        lambda: 1 < col.a < 3,
        lambda: not (col.a > 1),
        lambda: col.a in [col.b],
    ):
        with pytest.raises(TypeError, match="between"):
            use()


def test_expressions_are_neither_iterable_nor_changeable():
    with pytest.raises(TypeError):
        list(col.a)
    with pytest.raises(TypeError):
        list(a)
    with pytest.raises(AttributeError):
        col.a._node = 1
    with pytest.raises(TypeError):
        cep.Expr()
    assert len({col.a, col.a}) == 2, "hashed by identity"


def test_numpy_scalars_leave_operators_to_the_expression():
    assert (np.float64(2) * col.a).equals(cep.lit(2.0) * col.a)
    assert (np.int64(2) < col.a).equals(col.a > 2)


def test_equals_tells_types_of_constants_apart():
    assert not cep.lit(1).equals(cep.lit(True))
    assert not cep.lit(1).equals(cep.lit(1.0))
    assert not cep.lit(0.0).equals(cep.lit(-0.0))
    assert cep.lit(float("nan")).equals(cep.lit(float("nan")))
    with pytest.raises(TypeError):
        cep.lit(1).equals(1)


def test_long_chains_are_one_level_and_deep_trees_are_refused():
    chain = col.a > 0
    for i in range(3000):
        chain = chain & (col.a > i)
    assert chain._depth == 3
    assert event("a", chain).to_dict()["pattern"]["define"]
    deep = col.a
    with pytest.raises(cep.PatternError) as caught:
        for _ in range(200):
            deep = deep + 1
    assert (caught.value.code, caught.value.limit) == ("limit-exceeded", 128)


@pytest.mark.parametrize(
    "build",
    [
        lambda: a.x.first().first(),
        lambda: prev(a.x).first(),
        lambda: a.x.sum().sum(),
        lambda: a.x.sum().first(),
        lambda: prev(a.x.sum()),
        lambda: prev(cep.lit(1)),
        lambda: cep.lit(1).first(),
        lambda: (a.x + col.y).sum(),
        lambda: (a.x + cep.ref("b").y).first(),
        lambda: a.x.first().sum(),
        lambda: prev(col.x, -1),
        lambda: col.x.first(-1),
        lambda: prev(col.x, 2**40),
        lambda: cep.coalesce(),
        lambda: cep.greatest(*range(256)),
    ],
)
def test_meaningless_navigation_is_refused(build):
    with pytest.raises(cep.PatternError) as caught:
        build()
    assert caught.value.code == "invalid-expression"


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (lambda: col(""), "empty-name"),
        (lambda: cep.ref(""), "empty-name"),
        (lambda: col.x.alias(""), "empty-name"),
        (lambda: col.x.cast("int65"), "unknown-type"),
        (lambda: col.x.cast("decimal(39, 2)"), "unknown-type"),
        (lambda: col.t.dt.truncate("fortnight"), "unknown-unit"),
        (lambda: cep.duration("10 parsecs"), "invalid-duration"),
        (lambda: cep.duration("1" * 300 + "d"), "invalid-duration"),
        (lambda: cep.duration("900000000000d"), "invalid-duration"),
        (lambda: col.x.like("a", escape="ab"), "invalid-literal"),
        (lambda: cep.Expr.from_dict({"colum": 1}), "malformed"),
        (lambda: cep.Expr.from_dict(float("nan")), "malformed"),
        (lambda: cep.udf(len, columns=[]), "too-few-parts"),
        (lambda: cep.udf(len, columns=["x"]).to_dict(), "not-serialisable"),
    ],
)
def test_refusals_have_stable_codes(build, code):
    with pytest.raises(cep.PatternError) as caught:
        build()
    assert caught.value.code == code


@pytest.mark.parametrize(
    "build",
    [
        lambda: col(1),
        lambda: cep.ref(1),
        lambda: col.x.is_in("abc"),
        lambda: col.x.is_in(3),
        lambda: prev(col.x, 1.5),
        lambda: prev(col.x, True),
        lambda: cep.udf("f", columns=["x"]),
        lambda: cep.udf(len, columns="x"),
        lambda: cep.expr_from_sql(1),
        lambda: cep.duration(5),
        lambda: col.x & "y > 1",
        lambda: cep.when(object()),
    ],
)
def test_wrong_types_are_type_errors(build):
    with pytest.raises(TypeError):
        build()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("bool", "boolean"), (int, "int64"), (float, "float64"), (str, "string"), (np.dtype("int16"), "int16"),
     (np.float32, "float32"), (pa.string(), "string"), (pa.date32(), "date"), (pa.timestamp("us"), "timestamp"),
     (pa.timestamp("us", tz="UTC"), "timestamp_tz"), (pa.decimal128(5, 1), {"decimal": {"precision": 5, "scale": 1}}),
     (pa.duration("ns"), "duration"), ("UINT64", "uint64"), (dt.date, "date"), (pa.float64(), "float64")],
    ids=str,
)  # fmt: skip
def test_casts_take_types_of_other_libraries(given, wanted):
    assert col.x.cast(given).to_dict()["cast"]["to"] == wanted


def test_polars_types_are_taken_too():
    pl = pytest.importorskip("polars")
    types = [(pl.Int64, "int64"), (pl.String, "string"), (pl.Boolean, "boolean"), (pl.Float32, "float32")]
    for given, wanted in types:
        assert col.x.cast(given).to_dict()["cast"]["to"] == wanted


def test_sql_text_and_python_spell_the_same_expression():
    pairs = [
        ("price > 10 AND side = 'buy'", (col.price > 10) & (col.side == "buy")),
        ("a.price", a.price),
        ("FIRST(a.price, 2)", a.price.first(2)),
        ("LAST(a.price, 1)", a.price.last(1)),
        ("PREV(price)", prev(col.price)),
        ("NEXT(price, 2)", cep.next_(col.price, 2)),
        ("PREV(FIRST(a.price, 1), 3)", prev(a.price.first(1), 3)),
        ("SUM(a.price * a.qty)", (a.price * a.qty).sum()),
        ("COUNT(a.*)", a.count()),
        ("COUNT(DISTINCT a.user)", a.user.n_unique()),
        ("price BETWEEN 1 AND 2", col.price.between(1, 2)),
        ("x IN (1, 2)", col.x.is_in([1, 2])),
        ("x IS NOT NULL", col.x.is_not_null()),
        ("CASE WHEN x > 0 THEN 'p' ELSE 'n' END", cep.when(col.x > 0).then("p").otherwise("n")),
        ("CAST(x AS DOUBLE)", col.x.cast("float64")),
        ("INTERVAL '10' MINUTE", cep.duration("10m")),
        ("lower(s) LIKE 'a%'", col.s.str.lower().like("a%")),
        ('"Price"', col("Price", exact=True)),
    ]
    assert len(pairs) == 18
    for text, expr in pairs:
        assert cep.expr_from_sql(text).equals(expr), text


def test_sets_give_the_same_expression_in_every_process():
    assert repr(col.x.is_in({"b", "a", "c"})) == "col.x.is_in(['a', 'b', 'c'])"
