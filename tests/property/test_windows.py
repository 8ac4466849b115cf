"""Windows say what their definition says, and whatever one is written as, reading it gives it again."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from generated import EXAMPLES, NAMES, PROFILE
from hypothesis import given
from hypothesis import strategies as st
from window_reference import Reported, reference_windows

import cepheid as cep
from cepheid import Expr, Window, col, prev

SPELLED = {"cep": cep, "col": col, "prev": prev}
MEASURES = st.sampled_from(
    [
        cep.count(), col.x.sum(), col.x.avg(), col.x.first(), col.x, col.x.n_unique(), col("count").max(),
        cep.max_by(col.x, col.y), (col.x > 1).any(), col.x.max() - col.x.min(), col.x.sum() / cep.count(),
        cep.when(col.x.max() > 5).then("high").otherwise(None), "SUM(x) * 2", "MIN(x)", "LAST(x)", "COUNT(DISTINCT x)",
    ]
)  # fmt: skip
CONDITIONS = st.sampled_from([None, col.x > 1, "y = 'a' AND x IS NOT NULL", ~col.x.is_in([1, 2]), True])


FRAMES = ["tumbling", "hopping", "sliding", "session", "rows"]


@st.composite
def frames(draw: Any, builder: cep.WindowBuilder, kind: str, unit: str = "s") -> Window:
    spans = st.integers(1, 20).map(lambda count: f"{count}{unit}")
    match kind:
        case "tumbling":
            return builder.tumbling(draw(spans), offset=draw(st.none() | spans))
        case "hopping":
            return builder.hopping(draw(spans), draw(spans), offset=draw(st.none() | spans))
        case "sliding":
            return builder.sliding(draw(spans | st.just("0s")))
        case "session":
            return builder.session(draw(spans))
        case _:
            return builder.rows(draw(st.integers(1, 6)), every=draw(st.none() | st.integers(1, 6)))


@st.composite
def windows(draw: Any) -> Window:
    names = draw(st.lists(st.sampled_from(["n", "total", *NAMES]), min_size=1, max_size=4, unique=True))
    builder = cep.window(
        {name: draw(MEASURES) for name in names},
        topic=draw(st.none() | st.sampled_from(NAMES)),
        by=draw(st.lists(st.sampled_from(["k", "K e y", col("x", exact=True)]), max_size=2, unique_by=repr)),
        where=draw(CONDITIONS),
        event_time=draw(st.none() | st.sampled_from(["ts", "when"])),
    )
    window = draw(frames(builder, draw(st.sampled_from(FRAMES))))
    ((kind, _),) = window.to_dict()["window"]["frame"].items()
    if kind in ("time", "session") and draw(st.booleans()):
        window = window.early(**draw(st.sampled_from([{"rows": 3}, {"every": "7s"}])))
    if kind == "time" and draw(st.booleans()):
        window = window.with_empty(draw(st.sampled_from([None, "90s"])))
    if draw(st.booleans()):
        window = window.named(draw(st.sampled_from(NAMES)))
    return window.emit("out") if draw(st.booleans()) else window


def test_windows_survive_data_json_pickle_and_repr() -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(window=windows())
    def check(window: Window) -> None:
        data = window.to_dict()
        assert Window.from_dict(data) == window
        assert Window.from_dict(json.loads(json.dumps(data))).to_dict() == data
        again = Window.from_json(window.to_json())
        assert again.to_json() == window.to_json()
        assert again.fingerprint == window.fingerprint
        assert pickle.loads(pickle.dumps(window)) == window
        spelled = eval(repr(window), dict(SPELLED))
        assert spelled == window, repr(window)
        assert repr(spelled) == repr(window)
        seen["examples"] += 1
        seen[next(iter(data["window"]["frame"]))] += 1

    check()
    assert seen["examples"] >= EXAMPLES
    for frame in ("time", "range", "session", "rows"):
        assert seen[frame] >= EXAMPLES / 30, seen


# Values of a window by the definition: of its rows, in order.
VALUES: dict[str, Expr] = {
    "n": cep.count(),
    "known": col.x.count(),
    "total": col.x.sum(),
    "least": col.x.min(),
    "most": col.x.max(),
    "different": col.x.n_unique(),
    "first": col.x.first(),
    "last": col.x,
}


def values_of(window: Reported) -> list[Any]:
    every = [row["x"] for row in window.rows]
    known = [value for value in every if value is not None]
    least, most, total = (min(known), max(known), sum(known)) if known else (None, None, None)
    return [len(every), len(known), total, least, most, len(set(known)), every[0], every[-1]]


ROWS = st.fixed_dictionaries(
    {
        "ts": st.integers(-30, 30),
        "k": st.sampled_from(["a", "b", None]),
        "x": st.none() | st.integers(-3, 9),
        "use": st.booleans(),
    }
)
# Left to themselves, lists are short.
TABLES = st.integers(0, 25).flatmap(lambda size: st.lists(ROWS, min_size=size, max_size=size))
SCHEMA = pa.schema({"ts": pa.int64(), "k": pa.string(), "x": pa.int64(), "use": pa.bool_()})


@pytest.mark.parametrize("kind", FRAMES)
def test_windows_say_of_tables_what_their_definition_says(kind: str) -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(rows=TABLES, keyed=st.booleans(), some=st.booleans(), size=st.integers(1, 9), data=st.data())
    def check(rows: list[dict[str, Any]], keyed: bool, some: bool, size: int, data: Any) -> None:
        by = "k" if keyed else None
        builder = cep.window(VALUES, by=by or (), where=col.use if some else None)
        window = data.draw(frames(builder, kind, unit="ns"))
        frame = window.to_dict()["window"]["frame"]
        sliding = "range" in frame
        ordered = [row for row in rows if row["use"] or not some]
        expected = []
        at_hand = iter(sorted(ordered, key=lambda row: row["ts"]))
        for reported in reference_windows(ordered, frame, by):
            bounds = [reported.start] if sliding else [reported.start, reported.end]
            measured = values_of(reported)
            if sliding:
                # A column without an aggregate is that of the row at hand.
                measured[-1] = next(at_hand)["x"]
            expected.append([*([reported.key] if keyed else []), *bounds, *measured])
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
        split = pa.Table.from_batches(table.to_batches(max_chunksize=size), schema=SCHEMA)
        found = cep.aggregate(window, split, threads=1 + size % 3).to_arrow()
        assert [list(row.values()) for row in found.to_pylist()] == expected
        seen["examples"] += 1
        seen["rows"] += found.num_rows
        seen["several"] += found.num_rows > 2

    check()
    assert seen["examples"] >= EXAMPLES
    assert seen["rows"] >= EXAMPLES
    assert seen["several"] >= EXAMPLES / 6, seen
