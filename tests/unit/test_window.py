"""Windows in Python: how they are said and written down, and what they say of tables."""

import copy
import datetime as dt
import json
import pickle

import numpy as np
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import Window, col, prev, ref

NAMES = {"cep": cep, "col": col, "prev": prev}
SECOND = 1_000_000_000
# Event times are seconds in nanoseconds; the last row comes late.
ORDERS = {
    "ts": [second * SECOND for second in (1, 3, 9, 10, 12, 31, 2)],
    "shop": ["a", "b", "a", "a", "b", None, "a"],
    "amount": [5, 7, None, 9, 1, 4, 3],
}


def per_shop():
    return cep.window(total=col.amount.sum(), n=cep.count(), by="shop")


def starts(rows):
    """Start and end of each window, in seconds."""
    return [(row["window_start"] // SECOND, row["window_end"] // SECOND) for row in rows]


# How they are said.

CODES = [
    "cep.window(n=cep.count()).tumbling('10s')",
    "cep.window(n=cep.count()).tumbling('1h', offset='15m')",
    "cep.window(total=col.amount.sum(), by='card').hopping('1m', every='5s')",
    "cep.window(total=col.amount.sum(), by='card').hopping('5s', every='1m', offset='7s')",
    "cep.window(m=col.x.avg(), topic='t', by=['a', col('B', exact=True)], where=col.x > 1).sliding('10m')",
    "cep.window(n=cep.count()).sliding('0s')",
    "cep.window(f=col.x.first(), l=col.x, event_time='time').session(gap='30m').named('visit')",
    "cep.window({'odd name': col.x.max() - col.x.min(), 'by': col.x.n_unique()}).rows(100).emit('b.c')",
    "cep.window({'topic': cep.count()}, by='k').rows(100, every=10).named('r').emit('b')",
    "cep.window(n=cep.count()).tumbling('1h').early(every='1m')",
    "cep.window(n=cep.count()).session(gap='1h').early(rows=100).named('visit')",
    "cep.window(n=cep.count(), by='k').tumbling('1h').with_empty()",
    "cep.window(n=cep.count(), by='k').hopping('1h', every='5m').early(every='1m').with_empty(for_='1d').emit('b')",
    "cep.window(n=cep.count(), by='k').tumbling('1h').with_late(for_='1d')",
    "cep.window(a=cep.max_by(col.x, col.y), s=col.x.stddev(), l=col.x.list()).rows(1)",
]


@pytest.mark.parametrize("code", CODES)
def test_a_window_is_spelled_by_its_repr_and_survives_being_written_down(code):
    window = eval(code, dict(NAMES))
    assert repr(window) == code
    for again in (
        Window.from_json(window.to_json()),
        Window.from_dict(json.loads(json.dumps(window.to_dict()))),
        pickle.loads(pickle.dumps(window)),
        copy.deepcopy(window),
    ):
        assert again == window
        assert again.equals(window)
        assert hash(again) == hash(window)
        assert again.fingerprint == window.fingerprint
        assert again.to_json() == window.to_json()
        assert repr(again) == code


def test_one_meaning_has_one_spelling():
    window = cep.window("SUM(amount) AS total", l=col.x.last(), f="FIRST(x)", u="COUNT(DISTINCT x)", by=col.k)
    same = cep.window({"total": col.amount.sum()}, col.x.alias("l"), f=col.x.first(), u=col.x.n_unique(), by=["k"])
    assert window.tumbling("1m") == same.hopping(dt.timedelta(minutes=1), every="60s")
    assert window.tumbling("1m", offset="61s") == same.tumbling("60s", offset=dt.timedelta(seconds=-59))
    assert window.rows(5) == same.rows(5, every=5)
    assert window.rows(5) != same.rows(5, every=4)
    assert window.rows(5) != window.rows(5).named("x")
    assert window.rows(5).fingerprint == window.rows(5).named("x").fingerprint
    assert window != window.rows(5)


def test_aggregates_of_one_column_name_themselves():
    window = cep.window(
        cep.count(), col.x.sum(), "AVG(x)", col.x.n_unique(), "STDDEV(y)", (col.x > 1).any().alias("big")
    )
    names = [measure["name"] for measure in window.rows(1).to_dict()["window"]["measures"]]
    assert names == ["count", "x_sum", "x_avg", "x_n_unique", "y_stddev", "big"]
    for measure in (col.x.sum() / 2, "SUM(x) / 2", col.x, (col.x + 1).sum(), "SUM(DISTINCT x)"):
        with pytest.raises(cep.PatternError, match="has no name") as caught:
            cep.window(measure)
        assert caught.value.code == "empty-name"


def test_what_cannot_be_a_measure_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match="name=expression"):
        cep.window(5)
    with pytest.raises(TypeError, match="measure `n`"):
        cep.window(n=len)
    with pytest.raises(cep.PatternError, match="one measure at least"):
        cep.window()
    with pytest.raises(cep.PatternError, match="two measures are named `x_sum`"):
        cep.window(col.x.sum(), x_sum=col.y.sum())
    with pytest.raises(cep.SqlError, match="line 1, column 6"):
        cep.window("SUM(x")
    for measure, problem in (
        (ref("a").x.sum(), "has no variables"),
        (prev(col.x), "only the first and the last"),
        ("LAST(x, 1)", "only the first and the last"),
        (cep.classifier(), "no variables and no matches"),
        ("MATCH_NUMBER()", "no variables and no matches"),
    ):
        with pytest.raises(cep.PatternError, match=problem) as caught:
            cep.window(m=measure).rows(1)
        assert caught.value.context == "measure `m`"
    for name in ("shop", "window_start", "window_end"):
        with pytest.raises(cep.PatternError) as caught:
            cep.window({name: cep.count()}, by="shop").tumbling("1s")
        assert caught.value.code == "measure-name-taken"
    assert cep.window(window_end=cep.count()).sliding("1s").name is None, "there is no such column"


def test_conditions_are_asked_of_a_row_alone():
    assert cep.window(n=cep.count()).rows(1).where("x > 1").where(col.y == 2) == (
        cep.window(n=cep.count(), where=(col.x > 1) & (col.y == 2)).rows(1)
    )
    for condition in (col.x.sum() > 1, prev(col.x) > 1, "FIRST(x) > 1", col.x.last() > 1, "a.x > 1", "COUNT(*) > 1"):
        with pytest.raises(cep.PatternError, match="asked of a row alone") as caught:
            cep.window(n=cep.count(), where=condition)
        assert caught.value.code == "invalid-expression"
    with pytest.raises(TypeError, match="the condition of a window"):
        cep.window(n=cep.count(), where=5)


def test_frames_that_cannot_be_are_refused():
    n = cep.window(n=cep.count())
    for make, code in (
        (lambda: n.tumbling("0s"), "invalid-within"),
        (lambda: n.tumbling(dt.timedelta(seconds=-1)), "invalid-within"),
        (lambda: n.hopping("1s", every="0s"), "invalid-within"),
        (lambda: n.session(gap="0s"), "invalid-within"),
        (lambda: n.sliding(dt.timedelta(seconds=-1)), "invalid-clause"),
        (lambda: n.tumbling("ten seconds"), "invalid-duration"),
        (lambda: n.rows(0), "invalid-clause"),
        (lambda: n.rows(5, every=0), "invalid-clause"),
        (lambda: n.rows(2**31 + 1), "invalid-expression"),
    ):
        with pytest.raises(cep.PatternError) as caught:
            make()
        assert caught.value.code == code
    for make in (lambda: n.tumbling(10), lambda: n.rows("5"), lambda: n.rows(None), lambda: n.rows(True)):
        with pytest.raises(TypeError):
            make()


def test_a_window_without_a_frame_says_so():
    window = cep.window(n=cep.count())
    with pytest.raises(TypeError, match=r"no frame yet; say \.tumbling"):
        cep.aggregate(window, ORDERS)
    for name in ("to_json", "fingerprint", "from_dict"):
        with pytest.raises(AttributeError, match="no frame yet"):
            getattr(window, name)
    with pytest.raises(AttributeError, match="has no 'tumble'"):
        window.tumble("1s")
    assert window.named("x").where("y > 1").rows(2).name == "x"
    assert pickle.loads(pickle.dumps(window)) == window
    assert eval(repr(window), dict(NAMES)) == window


def test_windows_cannot_be_changed():
    window = cep.window(n=cep.count()).rows(2)
    for change in (lambda: setattr(window, "_data", {}), lambda: delattr(window, "_kept")):
        with pytest.raises(AttributeError, match="cannot be changed"):
            change()
    for made in (Window, cep.WindowBuilder):
        with pytest.raises(TypeError, match="built with window"):
            made()


def test_data_that_is_no_window_is_refused():
    data = cep.window(n=cep.count()).rows(2).to_dict()
    for broken, code in (
        ({}, "malformed"),
        ([], "malformed"),
        ({**data, "cepheid_ir": 99}, "wire-version"),
        ({**data, "window": {**data["window"], "frame": {"rows": {"rows": 0, "every": 1}}}}, "invalid-expression"),
        ({**data, "window": {**data["window"], "measures": []}}, "too-few-parts"),
        (cep.event("a").to_dict(), "malformed"),
        ({"x": object()}, "malformed"),
    ):
        with pytest.raises(cep.PatternError) as caught:
            Window.from_dict(broken)
        assert caught.value.code == code
    with pytest.raises(cep.PatternError, match="surrogate"):
        Window.from_json("\ud800")
    with pytest.raises(TypeError):
        Window.from_json(b"{}")


def test_a_python_predicate_is_a_condition_but_cannot_be_written_down():
    even = cep.udf(_even, columns=["amount"])
    window = cep.window(n=cep.count(), where=even & (col.amount > 3)).tumbling("1m")
    assert pickle.loads(pickle.dumps(window)) == window
    with pytest.raises(cep.PatternError) as caught:
        window.to_json()
    assert caught.value.code == "not-serialisable"


def _even(amount):
    return [value is not None and value % 2 == 0 for value in amount.to_pylist()]


# What they say of tables.


def test_tumbling_windows_of_a_key_come_in_the_order_of_their_ends():
    rows = list(cep.aggregate(per_shop().tumbling("10s"), ORDERS))
    assert list(rows[0]) == ["shop", "window_start", "window_end", "total", "n"]
    assert starts(rows) == [(0, 10), (0, 10), (10, 20), (10, 20), (30, 40)]
    assert [(row["shop"], row["total"], row["n"]) for row in rows] == [
        ("a", 8, 3),
        ("b", 7, 1),
        ("a", 9, 1),
        ("b", 1, 1),
        (None, 4, 1),
    ]


def test_hopping_windows_overlap_and_leave_gaps_out():
    n = cep.window(n=cep.count())
    rows = list(cep.aggregate(n.hopping("10s", every="5s"), {"ts": [0, 6 * SECOND]}))
    assert starts(rows) == [(-5, 5), (0, 10), (5, 15)]
    assert [row["n"] for row in rows] == [1, 2, 1]
    rows = list(cep.aggregate(n.hopping("2s", every="10s", offset="1s"), {"ts": [0, SECOND, 3 * SECOND]}))
    assert starts(rows) == [(1, 3)]
    rows = list(cep.aggregate(n.tumbling("10s"), {"ts": [-SECOND, 0]}))
    assert starts(rows) == [(-10, 0), (0, 10)]


def test_a_session_ends_a_gap_after_its_last_row():
    rows = list(cep.aggregate(cep.window(n=cep.count()).session(gap="3s"), ORDERS))
    assert starts(rows) == [(1, 6), (9, 15), (31, 34)]
    assert [row["n"] for row in rows] == [3, 3, 1]


def test_windows_by_rows_are_reported_with_their_last_row_and_what_is_left_at_the_end():
    last = cep.window(n=cep.count(), last=col.amount, by="shop")
    rows = list(cep.aggregate(last.rows(2), ORDERS))
    assert starts(rows) == [(1, 2), (9, 10), (3, 12), (31, 31)]
    assert [(row["shop"], row["n"], row["last"]) for row in rows] == [
        ("a", 2, 3),
        ("a", 2, 9),
        ("b", 2, 1),
        (None, 1, 4),
    ]


def test_a_sliding_window_gives_one_output_a_row():
    window = cep.window(n=cep.count(), most=col.amount.max(), own=col.amount, by="shop").sliding("8s")
    rows = list(cep.aggregate(window, ORDERS))
    assert list(rows[0]) == ["shop", "ts", "n", "most", "own"]
    assert [row["ts"] // SECOND for row in rows] == [1, 2, 3, 9, 10, 12, 31]
    assert [(row["n"], row["most"], row["own"]) for row in rows] == [
        (1, 5, 5),
        (2, 5, 3),
        (1, 7, 7),
        (3, 5, None),
        (3, 9, 9),
        (1, 1, 1),
        (1, 4, 4),
    ]


def test_aggregates_are_those_of_measures():
    window = cep.window(
        cep.count(), col.amount.count(), col.amount.sum(), col.amount.avg(), col.amount.min(), col.amount.max(),
        col.amount.stddev(), col.shop.n_unique(), big=cep.count_if(col.amount > 4), first=col.amount.first(),
        last=col.amount, values=col.amount.list(), share=col.amount.max() * 1.0 / col.amount.sum(),
        top=cep.max_by(col.shop, col.amount),
    ).tumbling("1m")  # fmt: skip
    (row,) = cep.aggregate(window, ORDERS)
    assert row["count"] == 7
    assert row["amount_count"] == 6
    assert (row["amount_sum"], row["amount_min"], row["amount_max"]) == (29, 1, 9)
    assert row["amount_avg"] == pytest.approx(29 / 6)
    assert row["amount_stddev"] == pytest.approx(np.std([5, 7, 9, 1, 4, 3], ddof=1))
    assert (row["shop_n_unique"], row["big"]) == (2, 3)
    assert (row["first"], row["last"]) == (5, 4)
    assert row["values"] == [5, 3, 7, None, 9, 1, 4]
    assert row["share"] == pytest.approx(9 / 29)
    assert row["top"] == "a"


def test_only_rows_that_satisfy_the_condition_count():
    window = cep.window(n=cep.count(), where="amount > 3").tumbling("1m")
    assert [row["n"] for row in cep.aggregate(window, ORDERS)] == [4]
    even = cep.udf(_even, columns=["amount"])
    window = cep.window(n=cep.count(), where=even).tumbling("1m")
    assert [row["n"] for row in cep.aggregate(window, ORDERS)] == [1]


def test_keys_are_equal_as_values_are():
    data = {"ts": [0, 0, 0, 0, 0, 0], "k": pa.array([0.0, -0.0, float("nan"), -float("nan"), None, None])}
    rows = list(cep.aggregate(cep.window(n=cep.count(), by="k").tumbling("1s"), data))
    assert [row["n"] for row in rows] == [2, 2, 2]


def test_the_answer_is_the_same_for_every_split_and_thread_count():
    table = pa.table(ORDERS)
    for window in (per_shop().hopping("10s", every="3s"), per_shop().sliding("5s"), per_shop().rows(3, every=1)):
        whole = cep.aggregate(window, table).to_arrow()
        for threads in (1, 2, 5):
            for size in (1, 2, 4):
                split = pa.Table.from_batches(table.to_batches(max_chunksize=size))
                assert cep.aggregate(window, split, threads=threads).to_arrow().equals(whole)
    assert whole.num_rows > 3


# Event time, topics, and what comes out.


def test_the_event_time_is_named_or_the_only_one_there_is():
    n = cep.window(n=cep.count()).tumbling("1s")
    times = pa.array([0, SECOND], pa.timestamp("ns"))
    for data, event_time in (
        ({"ts": [0, SECOND], "at": times}, None),
        ({"TS": [0, SECOND], "x": [1, 2]}, None),
        ({"x": [0, 0], "at": times}, None),
        ({"ts": [0, 0], "x": [0, SECOND]}, "x"),
    ):
        assert len(cep.aggregate(n, data, event_time=event_time)) == 2
    own = cep.window(n=cep.count(), event_time="x").tumbling("1s")
    assert len(cep.aggregate(own, {"ts": [0, 0], "x": [0, SECOND]})) == 2
    assert len(cep.aggregate(own, {"ts": [0, 0], "x": [0, SECOND]}, event_time="ts")) == 1
    assert len(cep.aggregate(n, iter(pa.table({"at": times}).to_batches()))) == 2
    assert len(cep.aggregate(n, pa.RecordBatchReader.from_batches(*_reader(times)))) == 2


def _reader(times):
    table = pa.table({"at": times})
    return table.schema, table.to_batches()


def test_an_event_time_that_is_not_clear_names_the_candidates():
    n = cep.window(n=cep.count()).tumbling("1s")
    times = pa.array([0], pa.timestamp("ns"))
    with pytest.raises(cep.SchemaError, match=r"any of `a`, `b`; name it.*event_time='a'") as caught:
        cep.aggregate(n, {"a": times, "b": times})
    assert (caught.value.code, caught.value.known) == ("ambiguous-column", ("a", "b"))
    with pytest.raises(cep.SchemaError, match="none of timestamps") as caught:
        cep.aggregate(n, {"x": [1]})
    assert (caught.value.code, caught.value.known) == ("unknown-column", ("x",))
    with pytest.raises(TypeError, match="name of a column"):
        cep.aggregate(n, {"x": [1]}, event_time=5)
    with pytest.raises(cep.PatternError, match="number from 1"):
        cep.aggregate(n, {"ts": [1]}, threads=0)
    for other in (cep.event("a"), "SELECT", None):
        with pytest.raises(TypeError, match="takes a window"):
            cep.aggregate(other, {"ts": [1]})


def test_a_null_event_time_is_an_error():
    n = cep.window(n=cep.count()).tumbling("1s")
    with pytest.raises(cep.SchemaError) as caught:
        cep.aggregate(n, {"ts": pa.array([0, None], pa.int64())})
    assert caught.value.row == 1


def test_of_several_topics_the_window_reads_its_own():
    n = cep.window(n=cep.count(), topic="orders").tumbling("1m")
    tables = {"orders": ORDERS, "refunds": {"ts": [0]}}
    assert [row["n"] for row in cep.aggregate(n, tables)] == [7]
    assert [row["n"] for row in cep.aggregate(n, {"orders": [{"ts": 1}, {"ts": 2}]})] == [2]
    assert [row["n"] for row in cep.aggregate(n, ORDERS)] == [7], "one table is the window's"
    with pytest.raises(cep.SchemaError, match="did you mean `order`") as caught:
        cep.aggregate(n, {"order": ORDERS, "refunds": ORDERS})
    assert (caught.value.code, caught.value.hint) == ("unknown-topic", "order")
    with pytest.raises(cep.PatternError, match="names no topic"):
        cep.aggregate(per_shop().tumbling("1s"), tables)


def test_what_comes_out_is_a_table():
    found = cep.aggregate(per_shop().tumbling("10s").named("shops").emit("shop.totals"), ORDERS)
    assert len(found) == found.num_rows == found.count() == 5
    assert found.column_names == ["shop", "window_start", "window_end", "total", "n"]
    assert found.strategy == "windows"
    assert pa.table(found).equals(found.to_arrow())
    assert found.to_numpy()["n"].tolist() == [3, 1, 1, 1, 1]
    assert found.head(2).num_rows == found.sample(2).num_rows == 2
    assert repr(found).startswith("Matches: 5 rows of windows\n")
    assert "5 rows of windows" in found._repr_html_()
    assert list(found.derived) == ["shop.totals"]
    with pytest.raises(cep.PatternError, match="which rows a window is made of is not kept"):
        _ = found.rows
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    assert found.to_pandas()["total"].tolist() == [8, 7, 9, 1, 4]
    assert found.to_polars()["total"].to_list() == [8, 7, 9, 1, 4]
    for table in (pandas.DataFrame(ORDERS), polars.DataFrame(ORDERS), pa.table(ORDERS).to_pylist()):
        assert cep.aggregate(per_shop().tumbling("10s"), table).to_arrow()["n"].to_pylist() == [3, 1, 1, 1, 1]


def test_bounds_have_the_type_of_the_event_time():
    for kind in (pa.timestamp("us", "Europe/Oslo"), pa.timestamp("ms"), pa.int64()):
        data = pa.table({"ts": pa.array([0, 1], pa.int64()).cast(kind), "x": [1, 2]})
        found = cep.aggregate(cep.window(n=cep.count()).tumbling("1s"), data).to_arrow()
        assert found.schema.field("window_start").type == found.schema.field("window_end").type == kind


def test_an_empty_table_has_no_windows_but_columns():
    data = {"ts": pa.array([], pa.int64()), "shop": pa.array([], pa.string()), "amount": pa.array([], pa.int64())}
    found = cep.aggregate(per_shop().tumbling("10s"), data)
    assert (len(found), found.column_names) == (0, ["shop", "window_start", "window_end", "total", "n"])


def test_a_row_is_in_no_more_windows_than_can_be_told_of():
    asked = cep.window(n=cep.count())
    assert len(cep.aggregate(asked.hopping("1s", every="1ms"), {"ts": [5]})) == 1000
    with pytest.raises(cep.PatternError, match="more than 2\\^20 windows"):
        asked.hopping("1h", every="1us")


def test_columns_are_checked():
    with pytest.raises(cep.SchemaError) as caught:
        cep.aggregate(cep.window(n=col.amont.sum()).tumbling("1s"), ORDERS)
    assert (caught.value.code, caught.value.hint) == ("unknown-column", "amount")
    with pytest.raises(cep.SchemaError):
        cep.aggregate(cep.window(n=cep.count(), by="shopp").tumbling("1s"), ORDERS)
    with pytest.raises(cep.SchemaError, match="an event time is a timestamp"):
        cep.aggregate(cep.window(n=cep.count()).tumbling("1s"), ORDERS, event_time="shop")
    with pytest.raises(cep.EvaluationError):
        cep.aggregate(cep.window(n=col.x.sum()).tumbling("1s"), {"ts": [0, 0], "x": [2**62, 2**62]})


# Aggregates that patterns do not have.

BESIDE = {
    "cep.window(col.x.median(), col.x.quantile(0.25)).rows(1)": {
        "x_median": "MEDIAN(x)",
        "x_quantile": "QUANTILE_CONT(x, 0.25)",
    },
    "cep.window(col.x.top_k(3), mean=(col.x * 2).ewma(0.5)).rows(1)": {
        "x_top_k": "TOP_K(x, 3)",
        "mean": "EWMA(x * 2, 0.5)",
    },
    "cep.window(col.x.approx_n_unique(), a=col.x.approx_quantile(0.5), b=col.x.approx_quantile(0.5, 0.1)).rows(1)": {
        "x_approx_n_unique": "APPROX_COUNT_DISTINCT(x)",
        "a": "APPROX_QUANTILE(x, 0.5)",
        "b": "APPROX_PERCENTILE(x, 0.5, 0.1)",
    },
    "cep.window(a=col.x.approx_quantile(0.5)).rows(1)": {"a": "APPROX_QUANTILE(x, 0.5, 0.01)"},
    "cep.window(a=col.x.approx_top_k(3), b=col.x.approx_top_k(3, 0.01)).rows(1)": {
        "a": "APPROX_TOP_K(x, 3, 0.001)",
        "b": "APPROX_TOP_K(x, 3, 0.01)",
    },
    "cep.window(a=(col.x + 1).ewma(half_life='1m30s'), b=col.x.ewma(half_life='7ns')).rows(1)": {
        "a": "EWMA(x + 1, INTERVAL '90' SECOND)",
        "b": "EWMA(x, INTERVAL '0.000000007' SECOND)",
    },
}


@pytest.mark.parametrize("code", BESIDE)
def test_aggregates_of_windows_are_spelled_alike_in_python_and_in_sql(code):
    window = eval(code, dict(NAMES))
    assert window == cep.window(BESIDE[code]).rows(1)
    assert eval(repr(window), dict(NAMES)) == window
    assert Window.from_json(window.to_json()) == window


def test_quantiles_are_those_of_numpy():
    values = np.random.default_rng(7).normal(size=1_000)
    shares = [0, 0.01, 0.25, 0.5, 0.75, 0.999, 1]
    measures = {f"q{place}": col.v.quantile(share) for place, share in enumerate(shares)}
    window = cep.window(measures, col.v.median().alias("middle")).tumbling("1m")
    (row,) = cep.aggregate(window, {"ts": np.arange(1_000), "v": values})
    assert [row[f"q{place}"] for place in range(len(shares))] == pytest.approx(np.quantile(values, shares).tolist())
    assert row["middle"] == pytest.approx(np.median(values))


def test_the_most_frequent_are_a_list_of_their_own_type():
    data = {"ts": [1, 2, 3, 4], "v": pa.array(["b", "a", "a", None]).dictionary_encode()}
    found = cep.aggregate(cep.window(top=col.v.top_k(5)).tumbling("1m"), data).to_arrow()
    assert found["top"].to_pylist() == [["a", "b"]]
    assert found.schema.field("top").type == pa.list_(pa.string())


def test_a_weighted_mean_is_that_of_its_recurrence():
    values = [5.0, None, 7.0, 3.0, 9.0]
    (row,) = cep.aggregate(cep.window(mean=col.v.ewma(0.3)).tumbling("1m"), {"ts": [1, 2, 3, 4, 5], "v": values})
    mean = 5.0
    for value in (7.0, 3.0, 9.0):
        mean = 0.3 * value + 0.7 * mean
    assert row["mean"] == pytest.approx(mean)


def test_their_constants_are_checked_when_the_window_gets_its_frame():
    for measure in (
        col.x.quantile(1.5),
        col.x.quantile(col.x),
        col.x.top_k(0),
        col.x.top_k(0.5),
        col.x.ewma(0),
        col.x.approx_quantile(2),
        col.x.approx_top_k(0),
        col.x.ewma(dt.timedelta(0)),
    ):
        with pytest.raises(cep.PatternError, match="the second argument of") as caught:
            cep.window(m=measure).rows(1)
        assert caught.value.code == "invalid-expression"
    with pytest.raises(TypeError):
        col.x.quantile(len)


def test_a_pattern_that_asks_for_them_is_told_to_ask_a_window():
    for build in (
        lambda: cep.event("a").select(m=col.x.median()),
        lambda: cep.event("a") >> cep.event("b", col.x > cep.ref("a").x.quantile(0.5)),
        lambda: cep.pattern_from_sql("MATCH_RECOGNIZE (MEASURES TOP_K(x, 3) AS m PATTERN (a))"),
    ):
        with pytest.raises(cep.CepheidError, match="ask a window") as caught:
            cep.match(build(), {"x": [1]})
        assert caught.value.code == "unsupported"


def test_estimates_are_as_near_as_they_say():
    values = np.random.default_rng(11).lognormal(sigma=3, size=50_000)
    window = cep.window(
        users=col.u.approx_n_unique(), p50=col.v.approx_quantile(0.5), p999=col.v.approx_quantile(0.999, error=0.001)
    ).tumbling("1m")
    (row,) = cep.aggregate(window, {"ts": np.arange(50_000), "u": np.arange(50_000) % 20_000, "v": values})
    assert row["users"] == pytest.approx(20_000, rel=0.065)
    assert row["p50"] == pytest.approx(np.quantile(values, 0.5), rel=0.01)
    assert row["p999"] == pytest.approx(np.quantile(values, 0.999), rel=0.001)
    for wrong in (col.x.approx_quantile(0.5, error=0), col.x.approx_top_k(1, error=1)):
        with pytest.raises(cep.PatternError, match="the third argument of approx_"):
            cep.window(m=wrong).rows(1)
    with pytest.raises(cep.PatternError, match="has counters for 100 values"):
        cep.window(m=col.x.approx_top_k(101, error=0.01)).rows(1)


def test_a_mean_by_half_life_is_that_of_pandas():
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(5)
    ts = np.cumsum(random.integers(0, 4, 300) * 3 * SECOND)
    values = np.where(random.random(300) < 0.1, np.nan, random.normal(size=300))
    times = pandas.to_datetime(ts)
    expected = pandas.Series(values).ewm(halflife="20s", times=times).mean()
    window = cep.window(mean=col.v.ewma(half_life="20s")).sliding("10000s")
    table = {"ts": ts, "v": pa.array(values, from_pandas=True)}
    found = cep.aggregate(window, table).to_arrow()["mean"].to_numpy()
    # Of rows of one time the last has seen all of them; a window here shows each that all.
    last = np.append(ts[1:] != ts[:-1], True)
    assert 200 < last.sum() < 300
    np.testing.assert_allclose(found[last], expected.to_numpy()[last], rtol=1e-9)


def test_a_mean_takes_a_share_or_a_half_life():
    for wrong in ({}, {"alpha": 0.5, "half_life": "1s"}, {"half_life": 2.5}):
        with pytest.raises(TypeError):
            col.x.ewma(**wrong)
    with pytest.raises(cep.PatternError, match="a half-life must be longer than zero"):
        col.x.ewma(half_life="0s")
    with pytest.raises(cep.PatternError, match="in a pattern"):
        cep.event("a").select(m=col.x.ewma(half_life="1s"))._compiled()


def test_what_is_old_fades_however_large_it_is():
    mean = cep.window(m=col.x.ewma(half_life="1ms"))
    for window in (mean.tumbling("1h"), mean.rows(2), mean.sliding("1h")):
        found = cep.aggregate(window, {"ts": [0, 2 * SECOND], "x": [1e308, 1.0]}).to_arrow()
        assert found["m"].to_pylist()[-1] == 1.0
    hundred_years = dt.timedelta(days=36_500)
    ages = cep.aggregate(
        cep.window(m=col.x.ewma(half_life=hundred_years)).rows(2), {"ts": [-9 * 10**18, 9 * 10**18], "x": [0.0, 1.0]}
    )
    left = 2 ** -(18 * 10**18 / (36_500 * 86_400 * SECOND))
    assert [row["m"] for row in ages] == [pytest.approx(1 / (1 + left), rel=1e-12)]
