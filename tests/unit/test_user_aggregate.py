"""Aggregates of windows that are written in Python."""

from __future__ import annotations

import copy
import pickle
import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import cepheid as cep
from cepheid import col

SECOND = 1_000_000_000

joined = cep.user_aggregate(
    "joined",
    lift=lambda values: pc.cast(values, pa.string()),
    combine=lambda left, right: pc.binary_join_element_wise(left, right, ","),
    state=pa.string(),
)
moments = cep.user_aggregate(
    "moments",
    lift=lambda x, y: {"n": np.ones(len(x)), "xy": np.asarray(x, float) * np.asarray(y, float)},
    combine=lambda left, right: {name: pc.add(left.field(name), right.field(name)) for name in ("n", "xy")},
    finish=lambda states: np.asarray(states.field("xy")) / np.asarray(states.field("n")),
    state=pa.struct({"n": pa.float64(), "xy": pa.float64()}),
    result="float64",
)
WINDOWS = {
    "tumbling": lambda asked: asked.tumbling("10s"),
    "hopping": lambda asked: asked.hopping("20s", every="4s"),
    "sliding": lambda asked: asked.sliding("15s"),
    "session": lambda asked: asked.session(gap="3s"),
    "rows": lambda asked: asked.rows(7),
    "overlapping rows": lambda asked: asked.rows(7, every=3),
    "reported": lambda asked: asked.tumbling("10s").early(every="3s").with_empty("30s").with_late("1m"),
}


def table(seed: int, rows: int = 300) -> pa.Table:
    draw = random.Random(seed)
    return pa.table(
        {
            "ts": pa.array(sorted(draw.randrange(400) * SECOND for _ in range(rows)), pa.int64()),
            "k": [draw.choice("abc") for _ in range(rows)],
            "x": [draw.choice([None, *range(8)]) for _ in range(rows)],
            "y": [draw.choice([None, *range(8)]) for _ in range(rows)],
        }
    )


def asked(kind: str) -> cep.Window:
    measures = {
        "listed": joined(col.x),
        "product": moments(col.x, col.y + 1),
        "more": moments(col.x, col.y + 1) + 1,
        "values": "ARRAY_AGG(x)",
        "expected": (col.x * (col.y + 1)).avg(),
    }
    return WINDOWS[kind](cep.window(measures, by="k")).named("found")


def check(rows: list[dict[str, object]]) -> int:
    for row in rows:
        values = [str(value) for value in row["values"] or () if value is not None]
        assert row["listed"] == (",".join(values) if values else None)
        assert row["product"] == (None if row["expected"] is None else pytest.approx(row["expected"]))
        assert row["more"] == (None if row["expected"] is None else pytest.approx(row["expected"] + 1))
    return len(rows)


@pytest.mark.parametrize("kind", WINDOWS)
def test_it_says_what_the_engine_says_of_the_same_rows(kind: str) -> None:
    checked = 0
    for seed in range(4):
        data, draw = table(seed), random.Random(seed)
        whole = cep.aggregate(asked(kind), data, threads=draw.choice([None, 2])).to_arrow()
        checked += check(whole.to_pylist())
        engine = cep.Engine(asked(kind), lateness="0s", future=None)
        first, derived = 0, []
        while first < len(data):
            rows = draw.randrange(1, 60)
            derived.append(engine.push(data.slice(first, rows)))
            first += rows
            if draw.random() < 0.3:
                engine = cep.Engine.restore(engine.snapshot(), asked(kind))
        derived.append(engine.flush())
        streamed = pa.concat_tables([one["found"].to_arrow() for one in derived if "found" in one])
        assert check(streamed.to_pylist()) == len(whole)
        assert streamed.select(["k", "listed", "values"]) == whole.select(["k", "listed", "values"])
    assert checked > 80


def test_late_rows_stand_in_their_places() -> None:
    window = cep.window(listed=joined(col.x)).tumbling("10s").with_late("1h").named("w")
    engine = cep.Engine(window, lateness="0s", future=None)
    rows = {"ts": [1 * SECOND, 5 * SECOND, 15 * SECOND, 3 * SECOND], "x": [1, 5, 15, 3]}
    assert [row["listed"] for row in engine.push(rows)["w"]] == ["1,5", "1,3,5"]


def test_it_is_asked_as_often_as_windows_double_not_as_often_as_there_are_rows() -> None:
    calls = {"lift": 0, "combine": 0, "finish": 0}

    def counted(step, function):
        def count(*arrays):
            calls[step] += 1
            return function(*arrays)

        return count

    total = cep.user_aggregate(
        "total",
        lift=counted("lift", lambda x: x),
        combine=counted("combine", pc.add),
        finish=counted("finish", lambda states: states),
        state="int64",
    )
    rows = {"ts": np.arange(10_000), "x": np.arange(10_000), "k": np.arange(10_000) % 100}
    window = cep.window(own=total(col.x), known=col.x.sum(), by="k").tumbling("1us")
    found = cep.aggregate(window, rows).to_arrow()
    assert found["own"] == found["known"]
    assert (len(found), calls["lift"], calls["combine"]) == (1_000, 1, 4)
    assert calls["finish"] <= 2


def test_what_it_raises_is_the_cause_and_changes_nothing() -> None:
    def fail(left, right):
        raise ValueError("no such sum")

    broken = cep.user_aggregate("broken", lift=lambda x: x, combine=fail, state="int64")
    engine = cep.Engine(cep.window(n=broken(col.x)).tumbling("10s").named("w"), lateness="0s", future=None)
    engine.push({"ts": [0], "x": [1]})
    before = engine.snapshot()
    with pytest.raises(cep.EvaluationError, match=r"measure `n`.*`broken`.*no such sum") as caught:
        engine.push({"ts": [1 * SECOND, 20 * SECOND], "x": [1, 2]})
    assert caught.value.code == "aggregate-failed"
    assert isinstance(caught.value.__cause__, ValueError)
    assert engine.snapshot() == before
    assert [row["n"] for row in engine.push({"ts": [20 * SECOND], "x": [1]})["w"]] == [1]


@pytest.mark.parametrize(
    ("functions", "problem"),
    [
        ({"lift": lambda x: x.slice(1)}, "lift gave 2 values of type int64, not 3|gave 2 values"),
        ({"combine": lambda left, right: pa.concat_arrays([left, right])}, "combine gave 2 values"),
        ({"finish": lambda states: states.slice(1)}, "finish gave 0 values"),
        ({"finish": lambda states: pa.array(["x"] * len(states))}, "finish gave 1 values of type Utf8, not 1 of"),
        ({"finish": lambda states: [1.9] * len(states)}, "finish gave 1 values of type Float64, not 1 of"),
        ({"finish": lambda states: 6}, "finish gave what is no column"),
        ({"lift": lambda x: ["x"] * len(x)}, "lift gave what is no column of type int64"),
        ({"lift": lambda x: [1.9] * len(x)}, "lift gave what is no column of type int64"),
        ({"combine": lambda left, right: np.array([1.9] * len(left))}, "combine gave what is no column of type int64"),
        ({"lift": lambda x: None}, "lift gave what is no column"),
        ({"lift": lambda: None}, "argument"),
    ],
)
def test_what_is_no_answer_is_told(functions, problem) -> None:
    given = {"lift": lambda x: x, "combine": pc.add, **functions}
    odd = cep.user_aggregate("odd", state="int64", **given)
    with pytest.raises(cep.EvaluationError, match=problem) as caught:
        cep.aggregate(cep.window(n=odd(col.x)).rows(3), {"ts": [1, 2, 3], "x": [1, 2, 3]})
    assert caught.value.code == "aggregate-failed"


def test_what_leaves_python_is_handed_on() -> None:
    def stop(x):
        raise KeyboardInterrupt

    odd = cep.user_aggregate("odd", lift=stop, combine=pc.add, state="int64")
    with pytest.raises(KeyboardInterrupt):
        cep.aggregate(cep.window(n=odd(col.x)).rows(3), {"ts": [1], "x": [1]})


def test_no_rows_or_nothing_but_nulls_are_null() -> None:
    window = cep.window(n=joined(col.x), m=moments(col.x, 1)).tumbling("10s").with_empty()
    nothing = pa.table({"ts": pa.array([], pa.int64()), "x": pa.array([], pa.int64())})
    assert len(cep.aggregate(window, nothing)) == 0
    rows = pa.table({"ts": [0, 25 * SECOND], "x": pa.array([None, None], pa.int64())})
    assert [(row["n"], row["m"]) for row in cep.aggregate(window, rows)] == [(None, None)] * 3


def test_its_states_may_be_lists_and_bytes() -> None:
    flags = cep.user_aggregate(
        "flags",
        lift=lambda x: [bytes([1 << value]) for value in x.to_pylist()],
        combine=lambda left, right: [bytes([a[0] | b[0]]) for a, b in zip(left.to_pylist(), right.to_pylist())],  # noqa: B905
        finish=lambda states: [value[0].bit_count() for value in states.to_pylist()],
        state=pa.binary(),
        result="int64",
    )
    window = cep.window(n=flags(col.x), known=col.x.n_unique()).hopping("20s", every="10s").named("w")
    rows = {"ts": [place * SECOND for place in range(60)], "x": [place * place % 7 for place in range(60)]}
    engine = cep.Engine(window, lateness="0s", future=None)
    engine.push({name: values[:31] for name, values in rows.items()})
    engine = cep.Engine.restore(engine.snapshot(), window)
    found = [*engine.push({name: values[31:] for name, values in rows.items()})["w"], *engine.flush()["w"]]
    assert [row["n"] for row in found] == [row["known"] for row in found]
    assert len(found) > 3


def lifted(values):
    return values


def test_it_is_copied_and_pickled_as_its_functions_are() -> None:
    total = cep.user_aggregate("total", lift=lifted, combine=pc.add, state="int64")
    window = cep.window(n=total(col.x)).rows(2).named("w")
    for copied in (copy.deepcopy(window), copy.copy(window), copy.deepcopy(total)):
        assert copied in (window, total)
    again = pickle.loads(pickle.dumps(cep.user_aggregate("total", lift=pc.abs, combine=pc.add, state="int64")))
    assert [row["n"] for row in cep.aggregate(cep.window(n=again(col.x)).rows(2), {"ts": [1, 2], "x": [1, -2]})] == [3]
    same = cep.user_aggregate("total", lift=lifted, combine=pc.add, state="int64")
    assert (same, hash(same)) == (total, hash(total))
    assert same != cep.user_aggregate("total", lift=lifted, combine=pc.add, state="int32")
    assert cep.window(n=total(col.x), m=same(col.x)).rows(2)


def test_it_cannot_be_written_down_and_is_of_windows_alone() -> None:
    window = cep.window(n=joined(col.x)).rows(3)
    assert window == cep.window(n=joined(col.x)).rows(3)
    assert window != cep.window(n=joined(col.y)).rows(3)
    assert repr(window) == "cep.window(n=joined(col.x)).rows(3)"
    for ask in (window.to_json, window.to_dict, joined(col.x).to_dict, lambda: window.fingerprint):
        with pytest.raises(cep.PatternError) as caught:
            ask()
        assert caught.value.code == "not-serialisable"
    with pytest.raises(cep.PatternError) as caught:
        cep.match(cep.event("a").select(n=joined(col.x)), {"ts": [1], "x": [1]})
    assert caught.value.code == "unsupported"
    with pytest.raises(cep.PatternError, match="nobody has said what the aggregate `joined` is"):
        cep.aggregate(
            cep.window("USER_DEFINED(x, 'joined', CAST(NULL AS VARCHAR)) AS n").rows(3), {"ts": [1], "x": [1]}
        )
    same_name = cep.user_aggregate("joined", lift=lambda x: x, combine=pc.add, state="int64")
    with pytest.raises(cep.PatternError, match="two aggregates are named `joined`"):
        cep.window(n=joined(col.x), m=same_name(col.x)).rows(3)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"lift": 5}, TypeError),
        ({"combine": None}, TypeError),
        ({"finish": "x"}, TypeError),
        ({"state": "nothing"}, TypeError),
        ({"state": 5}, TypeError),
        ({"state": pa.list_(pa.int64())}, cep.PatternError),
        ({"result": "nothing"}, cep.PatternError),
        ({"name": ""}, cep.PatternError),
        ({"name": 5}, TypeError),
    ],
)
def test_what_defines_nothing_is_refused(arguments, error) -> None:
    given = {"name": "x", "lift": lambda x: x, "combine": pc.add, "state": "int64", **arguments}
    with pytest.raises(error):
        cep.user_aggregate(given.pop("name"), **given)
    with pytest.raises(cep.PatternError, match="one column at least"):
        joined()
    with pytest.raises(TypeError):
        joined(object())
    with pytest.raises(cep.PatternError, match="another aggregate"):
        joined(col.x.sum())
