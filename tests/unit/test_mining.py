"""Frequent sequences of tables: what is counted, what is told, and what is refused."""

import copy
import datetime as dt
import decimal
import os
import pickle
import signal
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import _native, col

CLICKS = {
    "user": ["ann", "ann", "ann", "bob", "bob", "bob", "cy"],
    "ts": [1, 2, 3, 1, 2, 9, 5],
    "page": ["home", "cart", "paid", "home", "cart", "paid", "home"],
}


def mined(data=CLICKS, **options):
    return cep.frequent_sequences(data, **{"by": "user", "event": "page", "min_support": 2, **options})


def shown(found):
    return [(sequence.events, sequence.support) for sequence in found]


def test_all_closed_and_maximal_sequences_of_a_small_history():
    everything = mined(keep="all", min_length=1)
    assert shown(everything) == [
        (("home",), 3),
        (("home", "cart", "paid"), 2),
        (("cart", "paid"), 2),
        (("home", "cart"), 2),
        (("home", "paid"), 2),
        (("cart",), 2),
        (("paid",), 2),
    ]
    assert {sequence.keys for sequence in everything} == {everything.keys} == {3}
    assert shown(mined(keep="closed", min_length=1)) == [(("home",), 3), (("home", "cart", "paid"), 2)]
    assert shown(mined(keep="maximal", min_length=1)) == [(("home", "cart", "paid"), 2)]
    # What is longer than was asked for has no say.
    assert [events for events, _ in shown(mined(max_length=2))] == [
        ("cart", "paid"),
        ("home", "cart"),
        ("home", "paid"),
    ]


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"max_gap": "7ns"}, [("home", "cart")]),
        ({"max_gap": "8ns"}, [("home", "cart", "paid")]),
        ({"within": "8ns"}, [("cart", "paid"), ("home", "cart")]),
        ({"within": "9ns"}, [("home", "cart", "paid")]),
        ({"within": dt.timedelta(seconds=1), "max_gap": "2ns"}, [("home", "cart")]),
        ({"within": "8ns", "max_gap": "8ns"}, [("cart", "paid"), ("home", "cart")]),
    ],
)
def test_bounds_leave_their_end_out_as_those_of_patterns_do(bounds, expected):
    assert [events for events, _ in shown(mined(**bounds))] == expected


def test_support_is_a_number_of_keys_or_a_share_as_it_is_written():
    history = {"user": list(range(30)), "ts": [1] * 30, "page": ["a"] * 3 + ["b"] * 2 + [None] * 25}
    options = {"min_length": 1, "keep": "all"}
    # 0.1 is a little more than a tenth, and 30 * 0.1 than 3.
    assert shown(mined(history, min_support=0.1, **options)) == [(("a",), 3)]
    assert shown(mined(history, min_support=0.0001, **options)) == [(("a",), 3), (("b",), 2)]
    assert shown(mined(history, min_support=1, **options)) == [(("a",), 3), (("b",), 2)]
    # Keys without any event are keys.
    assert mined(history, min_support=3, **options)[0].frequency == pytest.approx(0.1)
    assert shown(mined(history, min_support=1.0, **options)) == []


def test_spans_are_those_of_the_shortest_occurrences_by_nearest_rank():
    # Each user waits for its number of seconds, and then does it once more within ten times that.
    users = range(1, 21)
    rows = [(user, start, "a") for user in users for start in (0, 1000)]
    rows += [(user, start + user * more, "b") for user in users for start, more in ((0, 10), (1000, 1))]
    history = [{"user": user, "ts": at * 10**9, "page": page} for user, at, page in rows]
    [once] = mined(history, min_support=20, max_length=2, within="500s")
    assert (once.events, once.span_median, once.span_p95) == (("a", "b"), dt.timedelta(0, 10), dt.timedelta(0, 19))
    assert (once.span_median_ns, once.span_p95_ns) == (10 * 10**9, 19 * 10**9)
    # What a bound keeps: every span below it.
    [kept] = mined(history, min_support=1, max_length=2, within=once.span_p95 + dt.timedelta(microseconds=1))
    assert kept.support == 19
    [kept] = mined(history, min_support=1, max_length=2, within=once.span_p95)
    assert kept.support == 18


def test_rows_of_one_time_go_by_arrival_and_others_by_time():
    history = {"user": [1, 1, 1], "ts": [5, 5, 1], "page": ["b", "c", "a"]}
    assert shown(mined(history, min_support=1)) == [(("a", "b", "c"), 1)]


def test_null_keys_are_one_key_and_null_events_none():
    history = {"user": [None, None, 1, 1, 1], "ts": [1, 2, 1, 2, 3], "page": ["a", "b", "a", None, "b"]}
    [found] = mined(history)
    assert (found.events, found.support, found.keys) == (("a", "b"), 2, 2)


def test_keys_and_events_may_be_several_columns():
    history = {
        "shop": [1, 1, 2, 2, 1],
        "user": [1, 1, 1, 1, 2],
        "ts": [1, 2, 1, 2, 3],
        "page": ["a", "b", "a", "b", "a"],
        "code": [200, 404, 200, 404, None],
    }
    [found] = mined(history, by=["shop", col.user], event=["page", "code"])
    assert found.events == (("a", 200), ("b", 404))
    assert (found.support, found.keys) == (2, 3)
    assert len(cep.match(found.pattern(), history)) == 2
    rows = mined(history, by=["shop", "user"], event=["page", "code"]).to_arrow()["events"].to_pylist()
    assert rows == [[{"page": "a", "code": 200}, {"page": "b", "code": 404}]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"], pa.string()),
        (["a", "b"], pa.large_string()),
        (["a", "b"], pa.string_view()),
        (["a", "b"], pa.dictionary(pa.int8(), pa.string())),
        ([1, 2], pa.int8()),
        ([1, 2], pa.uint64()),
        ([False, True], pa.bool_()),
        ([-1.5, float("inf")], pa.float32()),
        ([decimal.Decimal("1.50"), decimal.Decimal("2.00")], pa.decimal128(5, 2)),
        ([dt.date(2020, 1, 1), dt.date(2021, 1, 1)], pa.date32()),
        ([dt.time(1), dt.time(2)], pa.time64("us")),
        ([dt.timedelta(1), dt.timedelta(2)], pa.duration("s")),
        ([dt.datetime(2020, 1, 1), dt.datetime(2021, 1, 1)], pa.timestamp("ms")),
    ],
)
def test_what_happens_may_be_of_any_type_that_a_condition_can_hold(values, kind):
    history = pa.table({"user": [1, 1, 2, 2], "ts": [2, 1, 2, 3], "page": pa.array([values[1], values[0]] * 2, kind)})
    history = pa.concat_tables([history.slice(0, 1), history.slice(1)])
    first, second = mined(history, min_support=1, max_length=2)
    assert [first.events, second.events] == [tuple(values), tuple(reversed(values))]
    for sequence in (first, second):
        assert len(cep.match(sequence.pattern(), history)) == sequence.support == 1


def test_nan_equals_itself_and_both_zeros_are_one():
    nan = float("nan")
    history = {"user": [1, 1, 2, 2], "ts": [1, 2, 1, 2], "page": pa.array([0.0, nan, -0.0, nan])}
    [found] = mined(history)
    assert found.support == len(cep.match(found.pattern(), history)) == 2


def test_columns_are_found_without_regard_to_case_unless_they_are_exact():
    history = {"User": [1, 1], "TS": [1, 2], "page": ["a", "b"], "PAGE": ["x", "y"]}
    [found] = mined(history, event=col("PAGE", exact=True), event_time="ts", min_support=1)
    assert found.events == ("x", "y")
    assert len(cep.match(found.pattern(), history)) == 1
    assert "col('PAGE', exact=True)" in repr(found.pattern())
    with pytest.raises(cep.SchemaError, match="fits several columns") as caught:
        mined(history, event="Page", event_time="ts")
    assert caught.value.code == "ambiguous-column"


@pytest.mark.parametrize("condition", ["page <> 'cart'", col.page != "cart"])
def test_rows_that_a_condition_keeps_out_are_not_there(condition):
    [found] = mined(where=condition)
    assert (found.events, found.keys) == (("home", "paid"), 3)
    assert len(cep.match(found.pattern(), CLICKS)) == 2
    [found] = mined(where="user <> 'cy'")
    assert found.keys == 2


def test_sequences_compare_by_what_they_are_and_how_they_were_asked_for():
    text, expression = mined(where="page <> 'cart'")[0], mined(where=col.page != "cart")[0]
    assert text == expression == pickle.loads(pickle.dumps(expression))
    assert hash(text) == hash(expression)
    assert text.pattern() == expression.pattern() == pickle.loads(pickle.dumps(expression)).pattern()
    assert text != mined(where="page <> 'cart' and ts > 0")[0]
    assert mined()[0] != mined(within="1h")[0]


def test_a_condition_can_be_a_function_of_columns():
    early = cep.udf(lambda at: at.to_numpy() < 9, columns=["ts"])
    assert [sequence.support for sequence in mined(where=early, min_support=1, max_length=3)] == [2, 1]
    found = mined(where=early, min_support=1)[-1]
    assert found.events == ("home", "cart", "paid")
    assert len(cep.match(found.pattern(), CLICKS)) == 1


@pytest.mark.parametrize("make", [pa.table, pd.DataFrame, pl.DataFrame, lambda data: iter([pa.table(data)])])
def test_data_come_from_anything_that_match_takes(make):
    assert shown(mined(make(CLICKS))) == [(("home", "cart", "paid"), 2)]


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.timestamp("us", "Europe/Berlin"), pa.date32(), pa.int32()])
def test_times_are_of_any_type_that_event_times_have(kind):
    plain = pa.int64() if pa.types.is_timestamp(kind) else pa.int32()
    data = pa.table({**CLICKS, "ts": pa.array(CLICKS["ts"], plain).cast(kind)})
    [found] = mined(data, within="365d")
    step = {"timestamp[s]": 10**9, "date32[day]": 86_400 * 10**9, "int32": 1}.get(str(kind), 1_000)
    assert (found.span_median_ns, found.span_p95_ns) == (2 * step, 8 * step)
    assert len(cep.match(found.pattern(), data)) == 2


def test_tables_without_rows_have_no_sequences():
    empty = pa.table({name: pa.array([], pa.int64()) for name in ("user", "ts", "page")})
    found = mined(empty)
    assert (len(found), found.keys) == (0, 0)
    assert found.to_arrow().num_rows == 0
    assert repr(found) == "FrequentSequences: 0 sequences of 0 keys"


def test_the_result_is_a_sequence_and_a_table():
    found = mined(keep="all")
    assert found[0].events == ("home", "cart", "paid")
    assert isinstance(found[1:], cep.FrequentSequences)
    assert shown(found[1:]) == shown(found)[1:]
    table = found[1:].to_arrow()
    assert table.schema == pa.schema(
        {
            "events": pa.list_(pa.string()),
            "support": pa.int64(),
            "frequency": pa.float64(),
            "span_median": pa.duration("ns"),
            "span_p95": pa.duration("ns"),
        }
    )
    assert table["events"].to_pylist() == [["cart", "paid"], ["home", "cart"], ["home", "paid"]]
    assert pa.table(found).equals(found.to_arrow())
    assert found.to_polars()["support"].to_list() == found.to_pandas()["support"].tolist() == [2] * 4
    assert pickle.loads(pickle.dumps(found[0])) == copy.deepcopy(found[0]) == found[0]
    for made_by_a_search in (cep.FrequentSequences, cep.FrequentSequence):
        with pytest.raises(TypeError, match="frequent_sequences"):
            made_by_a_search()
    with pytest.raises(AttributeError):
        found[0].support = 3
    with pytest.raises(AttributeError):
        del found[0].support
    with pytest.raises(IndexError):
        found[9]


def test_long_results_are_shown_in_part():
    history = {"user": [1] * 8, "ts": range(8), "page": [f"page {number} " + "x" * 50 for number in range(8)]}
    lines = repr(mined(history, min_support=1, keep="all", max_length=3)).splitlines()
    assert lines[0] == "FrequentSequences: 84 sequences of 1 keys"
    assert (len(lines), lines[-1]) == (23, "... 64 more")
    assert lines[2].endswith("...")
    assert len(lines[2]) < 170


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"min_support": 0}, "invalid-clause", "min_support is a number from 1"),
        ({"min_support": 0.0}, "invalid-clause", "a share of them above 0.0"),
        ({"min_support": 1.5}, "invalid-clause", "not 1.5"),
        ({"min_support": float("nan")}, "invalid-clause", "not nan"),
        ({"max_length": 0}, "invalid-clause", "max_length"),
        ({"min_length": 3, "max_length": 2}, "invalid-clause", "min_length is 3"),
        ({"max_gap": "0s"}, "invalid-within", "max_gap must be longer than zero"),
        ({"within": "-1s"}, "invalid-duration", "-1s"),
        ({"within": "1s", "max_gap": "2s"}, "gap-exceeds-window", "shorten the gap"),
        ({"keep": "close"}, "invalid-clause", "'closed'"),
        ({"by": []}, "invalid-clause", "by names one column"),
        ({"event": ()}, "invalid-clause", "event names one column"),
        ({"event": col.page + 1}, "invalid-expression", "no column"),
        ({"where": "prev(page) = 'x'"}, "invalid-expression", "row alone"),
    ],
)
def test_what_is_asked_for_must_be_possible(options, code, words):
    with pytest.raises(cep.PatternError, match=words) as caught:
        mined(**options)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "options",
    [{"min_support": "2"}, {"min_support": None}, {"max_length": 2.0}, {"by": 3}, {"within": 3}, {"where": 1}],
)
def test_arguments_of_other_types_are_refused(options):
    with pytest.raises(TypeError):
        mined(**options)


@pytest.mark.parametrize(
    ("changes", "options", "code"),
    [
        ({}, {"event": "pag"}, "unknown-column"),
        ({}, {"event_time": "time"}, "unknown-column"),
        ({"ts": [1, 2, 3, None, 2, 9, 5]}, {}, "null-time"),
        ({"ts": pa.array([2**60] * 7, pa.timestamp("s"))}, {}, "time-overflow"),
        ({"ts": ["x"] * 7}, {}, "column-type"),
        ({"page": [[1]] * 7}, {}, "column-type"),
        ({"page": [b"x"] * 7}, {}, "column-type"),
        ({"page": pa.array([2**63] * 7, pa.uint64())}, {"min_length": 1}, "column-type"),
    ],
)
def test_tables_that_do_not_fit_are_refused(changes, options, code):
    with pytest.raises(cep.SchemaError) as caught:
        mined({**CLICKS, **changes}, **options)
    assert caught.value.code == code


def test_too_many_sequences_are_an_error_that_says_what_to_do():
    history = {"user": [1] * 8, "ts": range(8), "page": range(8)}
    assert len(mined(history, min_support=1, max_length=3, keep="all", max_sequences=92)) == 84
    with pytest.raises(cep.StateLimitError, match="raise min_support") as caught:
        mined(history, min_support=1, max_length=3, keep="all", max_sequences=91)
    assert (caught.value.code, caught.value.limit) == ("too-many-sequences", 91)


def test_rows_out_of_order_are_no_history():
    rows = pa.table({"key": pa.array([1, 0], pa.uint32()), "time": [0, 0], "symbol": pa.array([0, 0], pa.uint32())})
    with pytest.raises(cep.SchemaError, match="in order of key and time") as caught:
        _native.frequent_sequences(
            rows,
            min_support=1,
            min_length=1,
            max_length=1,
            max_gap_ns=None,
            within_ns=None,
            max_sequences=1,
            keep="all",
        )
    assert (caught.value.code, caught.value.row) == ("invalid-history", 1)


def test_a_long_search_can_be_interrupted_and_leaves_others_their_turn():
    rows, ticks = 100_000, []
    history = {"user": np.zeros(rows, int), "ts": np.arange(rows), "page": np.arange(rows) % 50}
    done = threading.Event()

    def interrupt():
        # That this thread runs at all says that the GIL is free.
        while not done.wait(0.05):
            ticks.append(None)
            if len(ticks) == 5:
                os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            mined(history, min_support=1, max_length=9, max_sequences=2**32)
    finally:
        done.set()
        thread.join()
    assert len(ticks) >= 5
