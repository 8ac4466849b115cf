"""A timeline, drawn as SVG: a lane for each variable, a mark for each row, a line through the rows of each match.

Windows are bars, in a lane for each key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cepheid.drawing import svg
from cepheid.drawing.axis import Axis, axis_text, ticks
from cepheid.drawing.layout import Point
from cepheid.drawing.lettering import LINE_HEIGHT, cut, width
from cepheid.drawing.svg import MATCH_CLASSES, number

_WIDTH = 760.0
_LANE = 38.0
_BAR = 14.0
_NAME_CELLS = 32
_RADIUS = 4.0
# Matches are drawn beside each other, so many ways.
_WAYS = 5
_STEP = 5.0


class Mark(NamedTuple):
    """A matched row: the match, from 0; its lane; where it is on the axis; and all that is said of it."""

    match: int
    lane: int
    value: float
    title: str


class Bar(NamedTuple):
    """A window: its lane, where it begins and ends on the axis, and all that is said of it."""

    lane: int
    begin: float
    end: float
    title: str


class Timeline(NamedTuple):
    """What is drawn.

    Attributes:
        heading: What it is a picture of, and how much of it is shown.
        lanes: The names of the lanes, from top to bottom.
        axis: The axis.
        marks: Matched rows, those of a match one after the other, in order.
        bars: Windows.
        notes: What else is to be said.
    """

    heading: str
    lanes: tuple[str, ...]
    axis: Axis
    marks: tuple[Mark, ...] = ()
    bars: tuple[Bar, ...] = ()
    notes: tuple[str, ...] = ()


def timeline_svg(drawn: Timeline) -> str:
    """The timeline as an SVG document."""
    names = [cut(name, _NAME_CELLS) for name in drawn.lanes]
    left = max(map(width, names), default=0.0) + 12
    rows = _stacked(drawn.bars)
    heights = [max(_LANE, (_BAR + 3) * depth + 10) for depth in _depths(drawn, rows)]
    tops = [LINE_HEIGHT * 1.8]
    for height in heights:
        tops.append(tops[-1] + height)
    bottom = tops[-1]

    def x(value: float) -> float:
        # Marks at the ends are whole.
        return left + 8 + drawn.axis.share(value) * (_WIDTH - 16)

    parts = [svg.lines_of_text(0, LINE_HEIGHT / 2, [cut(drawn.heading, 100)], anchor="start", bold=True)]
    for value, text in ticks(drawn.axis) if drawn.lanes else ():
        parts.append(svg.path(f"M{number(x(value))} {number(tops[0])}V{number(bottom + 4)}", "cep-grid", width=1))
        parts.append(svg.lines_of_text(x(value), bottom + LINE_HEIGHT, [text], paint="faint"))
    for lane, name in enumerate(names):
        middle = tops[lane] + heights[lane] / 2
        text = svg.lines_of_text(left - 12, middle, [name], anchor="end")
        parts.append(svg.group("lane", drawn.lanes[lane], [text]))
        parts.append(svg.path(f"M{number(left)} {number(middle)}H{number(left + _WIDTH)}", "cep-grid", width=1))
    for bar, row in zip(drawn.bars, rows, strict=True):
        parts.append(_bar(bar, x(bar.begin), x(bar.end), tops[bar.lane] + 5 + row * (_BAR + 3)))
    places = [
        Point(x(mark.value), tops[mark.lane] + heights[mark.lane] / 2 + (mark.match % _WAYS - _WAYS // 2) * _STEP)
        for mark in drawn.marks
    ]
    parts += _lines(drawn.marks, places)
    for mark, place in zip(drawn.marks, places, strict=True):
        shape = svg.circle(place.x, place.y, _RADIUS, f"cep-box cep-{_class(mark.match)}")
        parts.append(svg.group("mark", mark.title, [shape]))
    said = axis_text(drawn.axis) if drawn.lanes else ""
    notes = [cut(note, 160) for note in ([said] if said else []) + list(drawn.notes)]
    parts.append(svg.lines_of_text(0, bottom + LINE_HEIGHT * 2.5, notes, anchor="start", paint="faint"))
    whole = max(left + _WIDTH, width(cut(drawn.heading, 100)), *map(width, notes), 0.0)
    return svg.document(whole, bottom + LINE_HEIGHT * (2 + len(notes)), drawn.heading, parts)


def _class(place: int) -> str:
    return MATCH_CLASSES[place % len(MATCH_CLASSES)]


def _lines(marks: Sequence[Mark], places: Sequence[Point]) -> list[str]:
    """A line through the marks of each match that has more than one."""
    ways: dict[int, list[Point]] = {}
    for mark, place in zip(marks, places, strict=True):
        ways.setdefault(mark.match, []).append(place)
    return [
        svg.path("M" + "L".join(f"{number(p.x)} {number(p.y)}" for p in way), f"cep-{_class(match)}")
        for match, way in ways.items()
        if len(way) > 1
    ]


def _bar(bar: Bar, begin: float, end: float, top: float) -> str:
    # One that has no length is seen all the same.
    shape = svg.rectangle(begin, top, max(end - begin, 2.0), _BAR, f"cep-box cep-{_class(bar.lane)}", radius=2)
    return svg.group("bar", bar.title, [shape])


def _stacked(bars: Sequence[Bar]) -> list[int]:
    """For each bar the row of its lane in which none overlaps it, the first there is."""
    rows = [0] * len(bars)
    ends: dict[int, list[float]] = {}
    for place in sorted(range(len(bars)), key=lambda place: (bars[place].begin, place)):
        bar = bars[place]
        own = ends.setdefault(bar.lane, [])
        # One without length takes its place, too.
        row = next((row for row, end in enumerate(own) if end <= bar.begin), len(own))
        own[row:] = [max(bar.end, bar.begin), *own[row + 1 :]]
        rows[place] = row
    return rows


def _depths(drawn: Timeline, rows: Sequence[int]) -> list[int]:
    depths = [1] * len(drawn.lanes)
    for bar, row in zip(drawn.bars, rows, strict=True):
        depths[bar.lane] = max(depths[bar.lane], row + 1)
    return depths
