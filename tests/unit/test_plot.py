"""Timelines of matches: every row in its lane, at its time, in the line of its match."""

from __future__ import annotations

import datetime as dt
import re
import xml.etree.ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_text import SPACE, read_svg

import cepheid as cep
from cepheid import event
from cepheid.drawing.axis import Axis, ticks, value_text

NOON = dt.datetime(2024, 5, 1, 12)
TABLE = {
    "ts": [NOON + dt.timedelta(minutes=minute) for minute in range(8)],
    "x": [1, 5, 6, 1, 0, 1, 7, 0],
}
RISE = cep.seq(event("low", "x = 1"), event("high", "x > 4").one_or_more(), contiguity="strict")
PAIR = event("low", "x = 1") >> event("high", "x > 4")


def marks(plot: object) -> list[tuple[str, float, float]]:
    """What is said of each mark, and where it is."""
    root = ET.fromstring(plot.to_svg())
    groups = [group for group in root.iter(f"{SPACE}g") if group.attrib.get("class") == "cep-mark-group"]
    return [(group[0].text or "", float(group[1].attrib["cx"]), float(group[1].attrib["cy"])) for group in groups]


def bars(plot: object) -> list[tuple[str, float, float, float]]:
    root = ET.fromstring(plot.to_svg())
    groups = [group for group in root.iter(f"{SPACE}g") if group.attrib.get("class") == "cep-bar-group"]
    return [
        (group[0].text or "", float(group[1].attrib["x"]), float(group[1].attrib["width"]), float(group[1].attrib["y"]))
        for group in groups
    ]


def test_rows_stand_at_their_numbers_where_there_is_no_time():
    matches = cep.match(RISE, TABLE)
    plot = matches.plot()
    found = marks(plot)
    wanted = [f"match {row['match']}\n{row['variable']}\nrow {row['row']}" for row in matches.rows.to_pylist()]
    assert [title for title, _, _ in found] == wanted
    numbers = [row["row"] for row in matches.rows.to_pylist()]
    step = (found[-1][1] - found[0][1]) / (numbers[-1] - numbers[0])
    for (_, x, _), number in zip(found, numbers, strict=True):
        assert x == pytest.approx(found[0][1] + step * (number - numbers[0]), abs=0.2)
    assert "row number" in read_svg(plot.to_svg()).texts
    assert repr(plot) == f"<Plot of {len(matches)} matches>"
    assert plot._repr_svg_() == plot.to_svg()


def test_rows_stand_at_their_times_where_the_data_are_given():
    matches = cep.match(RISE, TABLE)
    titles = [title for title, _, _ in marks(matches.plot(data=TABLE, event_time="ts"))]
    assert titles[0] == "match 0\nlow\nrow 0\n2024-05-01 12:00:00"
    assert titles[1] == "match 0\nhigh\nrow 1\n2024-05-01 12:01:00"
    texts = read_svg(matches.plot(data=TABLE, event_time="ts").to_svg()).texts
    assert "2024-05-01 12:00:00 to 2024-05-01 12:06:00" in texts


def test_matches_of_two_rows_know_their_times():
    matches = cep.match(PAIR.order_by("ts"), TABLE)
    titles = [title for title, _, _ in marks(matches.plot())]
    assert titles[:2] == ["match 0\nlow\nrow 0\n2024-05-01 12:00:00", "match 0\nhigh\nrow 1\n2024-05-01 12:01:00"]
    longer = cep.match(RISE.order_by("ts"), TABLE).plot()
    assert any(text.startswith("by row number: times of rows are not kept") for text in read_svg(longer.to_svg()).texts)


def test_rows_of_a_variable_share_a_lane_and_rows_of_a_match_a_line():
    plot = cep.match(RISE, TABLE).plot()
    picture = read_svg(plot.to_svg())
    assert picture.groups["cep-lane-group"] == 2
    assert {"low", "high"} <= set(picture.texts)
    low = {y for title, _, y in marks(plot) if "\nlow\n" in title}
    high = {y for title, _, y in marks(plot) if "\nhigh\n" in title}
    assert max(low) < min(high)
    lines = re.findall(r'<path class="cep-c\d" d="(M[^"]*)"', plot.to_svg())
    assert sorted(line.count("L") + 1 for line in lines) == [2, 3]


def test_no_more_matches_are_drawn_than_asked_for_and_the_picture_says_so():
    matches = cep.match(event("any"), {"x": list(range(200))})
    assert len(marks(matches.plot())) == 50
    assert "200 matches, the first 50 shown" in read_svg(matches.plot().to_svg()).texts
    assert len(marks(matches.plot(limit=3))) == 3
    assert len(marks(matches.plot(limit=1000))) == 200
    assert "200 matches" in read_svg(matches.plot(limit=1000).to_svg()).texts


def test_matches_that_are_not_built_stay_so():
    choices = event("a").one_or_more(contiguity="skip_till_any").matches("all")
    matches = cep.match(choices, {"x": list(range(100))})
    plot = matches.plot(limit=4)
    assert {title.split("\n")[0] for title, _, _ in marks(plot)} == {f"match {place}" for place in range(4)}
    assert "not built" in repr(matches)


def test_no_matches_are_a_picture_too():
    plot = cep.match(event("a", "x = 99"), TABLE).plot()
    assert marks(plot) == []
    assert "0 matches" in read_svg(plot.to_svg()).texts
    assert repr(plot) == "<Plot of 0 matches>"


def test_of_several_topics_each_has_lanes_of_its_own():
    tables = {"auth": {"ts": [1, 5]}, "bank": {"ts": [3, 9], "amount": [90, 1]}}
    moved = event("login", topic="auth") >> event("transfer", topic="bank")
    matches = cep.match(moved, tables, event_time="ts")
    assert {"login of auth", "transfer of bank"} <= set(read_svg(matches.plot().to_svg()).texts)
    given = marks(matches.plot(data=tables, event_time="ts"))
    assert [title.split("\n")[-1] for title, _, _ in given] == ["1", "3", "5", "9"]
    rows = ["row 0 of auth", "row 0 of bank", "row 1 of auth", "row 1 of bank"]
    assert [title.split("\n")[2] for title, _, _ in given] == rows
    for missing in ({"auth": tables["auth"]}, tables["auth"]):
        with pytest.raises(cep.SchemaError) as caught:
            matches.plot(data=missing, event_time="ts")
        assert caught.value.code == "unknown-topic"


def test_what_a_stream_derives_is_drawn_topic_by_topic():
    warned = PAIR.within("1h").emit_at("low", "warning").timeouts(True).named("alarm")
    engine = cep.Engine(warned)
    derived = engine.push(TABLE)
    assert {"alarm", "warning"} <= set(derived)
    assert marks(derived["alarm"].plot())[0][0] == "match 0\nlow\nrow 0\n2024-05-01 12:00:00"
    assert len(marks(derived["warning"].plot())) == len(derived["warning"])
    for matches in engine.flush().values():
        assert len(marks(matches.plot())) == len(matches)


def test_late_rows_are_matches_of_no_rows_and_the_picture_says_so():
    engine = cep.Engine(event("a").named("seen"))
    engine.push([{"ts": 5}])
    plot = engine.push([{"ts": 1}])["late"].plot()
    assert marks(plot) == []
    assert "1 of those shown are made of no row" in read_svg(plot.to_svg()).texts


def test_windows_are_bars_in_a_lane_for_each_key():
    table = {"ts": [0, 10**9, 12 * 10**9, 3 * 10**9], "shop": ["a", "b", "a", None], "n": [1, 2, 3, 4]}
    windows = cep.aggregate(cep.window(total="SUM(n)", by="shop").tumbling("10s"), table)
    plot = windows.plot()
    assert repr(plot) == "<Plot of 4 windows>"
    found = {title: (x, width, y) for title, x, width, y in bars(plot)}
    assert len(found) == 4
    assert {"a", "b", "NULL"} <= set(read_svg(plot.to_svg()).texts)
    first, second = (title for title in found if title.startswith("a\n"))
    assert "total 1" in first.split("\n")
    assert found[first][2] == found[second][2]
    assert found[first][0] + found[first][1] == pytest.approx(found[second][0], abs=0.2)
    hopping = cep.aggregate(cep.window(n=cep.count()).hopping("10s", every="1s"), table)
    drawn = bars(hopping.plot(limit=20))
    assert len(drawn) == 20
    assert "the first 20 shown" in hopping.plot(limit=20).to_svg()
    for place, one in enumerate(drawn):
        for other in drawn[place + 1 :]:
            assert one[3] != other[3] or one[1] + one[2] <= other[1] + 0.2 or other[1] + other[2] <= one[1] + 0.2


def test_windows_of_a_stream_are_bars_too():
    engine = cep.Engine(cep.window(n=cep.count(), by="k").session("2ns").named("visits"))
    engine.push([{"ts": ts, "k": k} for ts, k in [(1, "u"), (2, "u"), (3, "v"), (9, "u")]])
    derived = engine.flush()
    assert len(bars(derived["visits"].plot())) == len(derived["visits"].to_arrow())


def test_sliding_windows_are_refused():
    windows = cep.aggregate(cep.window(n=cep.count()).sliding("10s"), {"ts": [1, 2]})
    with pytest.raises(cep.PatternError) as caught:
        windows.plot()
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"limit": 0}, cep.PatternError),
        ({"limit": -1}, cep.PatternError),
        ({"limit": "many"}, TypeError),
        ({"limit": None}, TypeError),
        ({"limit": True}, TypeError),
        ({"data": TABLE}, TypeError),
        ({"event_time": "ts"}, TypeError),
        ({"data": TABLE, "event_time": 3}, TypeError),
        ({"data": TABLE, "event_time": "tz"}, cep.SchemaError),
        ({"data": {**TABLE, "ts": list("abcdefgh")}, "event_time": "ts"}, cep.SchemaError),
        ({"data": {"ts": [1]}, "event_time": "ts"}, cep.SchemaError),
        ({"data": 7, "event_time": "ts"}, cep.SchemaError),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_its_type(arguments, kind):
    with pytest.raises(kind):
        cep.match(RISE, TABLE).plot(**arguments)


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        (pa.array([1.5, None, float("nan"), float("inf")]), 1),
        (pa.array([dt.date(2024, 1, 1), dt.date(1, 1, 1), dt.date(9999, 12, 31), None]), 3),
        (pa.array([-(2**63), 2**63 - 1, 0, None]), 3),
        (pa.array([0, 1, 2, 3], pa.timestamp("s", "Europe/Rome")), 4),
        (pa.array([0, 2**62, -(2**62), None], pa.timestamp("ns")), 3),
        (pa.array([-(2**63), 2**63 - 1, 0, None], pa.timestamp("s")), 3),
        (pa.array([None] * 4, pa.timestamp("us")), 0),
    ],
)
def test_times_of_every_kind_have_their_place(times, shown):
    table = pa.table({"at": times})
    plot = cep.match(event("any"), table).plot(data=table, event_time="at")
    assert len(marks(plot)) == shown
    width = read_svg(plot.to_svg()).size[0]
    assert all(0 < x < width for _, x, _ in marks(plot))
    said = f"{4 - shown} rows without time are not shown" in read_svg(plot.to_svg()).texts
    assert said == (shown < 4)


def test_names_are_text_whatever_is_in_them():
    name = "<&\"'>\0]]>"
    matches = cep.match(event(name), {"x": [1]})
    plot = matches.plot()
    assert marks(plot)[0][0] == "match 0\n<&\"'>\ufffd]]>\nrow 0"


def test_a_picture_is_saved_as_it_is(tmp_path):
    plot = cep.match(RISE, TABLE).plot()
    plot.save(tmp_path / "matches.svg")
    assert (tmp_path / "matches.svg").read_bytes().decode() == plot.to_svg()
    with pytest.raises(OSError, match=r"nowhere"):
        plot.save(tmp_path / "nowhere" / "matches.svg")


# The axis.

whole = st.integers(-(2**63), 2**63 - 1)
real = st.floats(-1e300, 1e300)


@given(st.tuples(whole, whole) | st.tuples(real, real), st.sampled_from(["number", "time", "row"]))
def test_ticks_are_few_in_order_and_on_the_axis(ends, unit):
    low, high = sorted(ends)
    if isinstance(low, float):
        unit = "number"
    found = ticks(Axis(low, high, unit))
    values = [value for value, _ in found]
    assert values == sorted(values)
    assert len(found) <= 12
    assert all(low <= value <= high for value in values)
    assert all(text for _, text in found)
    if isinstance(low, int):
        assert found


def test_ticks_stand_at_whole_units_of_the_clock():
    start = 1_714_564_800 * 10**9
    hours = ticks(Axis(start, start + 30 * 3600 * 10**9, "time"))
    assert [text for _, text in hours] == ["12:00:00", "18:00:00", "2024-05-02", "06:00:00", "12:00:00", "18:00:00"]
    assert [text for _, text in ticks(Axis(start, start + 4, "time"))][1] == "12:00:00.000000001"
    assert value_text(start + 1, "time") == "2024-05-01 12:00:00.000000001"
    assert [text for _, text in ticks(Axis(0, 3, "row"))] == ["0", "1", "2", "3"]
    assert [text for _, text in ticks(Axis(0.0, 1.0, "number"))] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
