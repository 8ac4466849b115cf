"""A graph as SVG.

Boxes hold their text. A state is a circle, with a dot if matches begin in it and two rings if they end in it. Its loops
and what they say stand above it, those of rows that are passed over below it, and below them its own words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cepheid.drawing import svg
from cepheid.drawing.graph import BOXES, ENDS, STARTS, Edge, EdgeKind, Graph, Node
from cepheid.drawing.layout import Extent, Point, layout
from cepheid.drawing.lettering import LINE_HEIGHT, cut, width
from cepheid.drawing.svg import number

LONGEST_LINE = 36
LINES_SHOWN = 6

_RADIUS = 13.0
_BAR = 5.0
_LOOP_HEIGHT = 26.0
_LOOP_STEP = 6.0
_LOOP_HALF = 7.0
_PADDING = 9.0

_DASHES: dict[EdgeKind, str] = {"skip_till_next": "7 4", "skip_till_any": "2 3", "free": "1 5", "waiting": "3 4"}


class _Side(NamedTuple):
    """The loops on one side of a state, and what they say, line by line."""

    loops: tuple[Edge, ...]
    lines: tuple[str, ...]

    @property
    def height(self) -> float:
        """Of the loops, without what they say."""
        return _LOOP_HEIGHT + _LOOP_STEP * (len(self.loops) - 1) if self.loops else 0.0


class _Body(NamedTuple):
    """What a node looks like: the room it takes, how far its middle is from its sides, and what it says."""

    extent: Extent
    half: float
    lines: tuple[str, ...]
    upper: _Side
    lower: _Side


def graph_svg(graph: Graph) -> str:
    """The graph as an SVG document."""
    loops: list[list[Edge]] = [[] for _ in graph.nodes]
    for edge in graph.edges:
        if edge.source == edge.target:
            loops[edge.source].append(edge)
    bodies = [_body(node, own) for node, own in zip(graph.nodes, loops, strict=True)]
    words = [() if edge.source == edge.target else shown_lines(edge.lines) for edge in graph.edges]
    ends = [(edge.source, edge.target) for edge in graph.edges]
    placed = layout([body.extent for body in bodies], ends, [_label_extent(lines) for lines in words])

    heading = cut(graph.heading, 120)
    notes = [cut(note, 160) for note in graph.notes]
    top = LINE_HEIGHT * 1.6
    places = [Point(place.x, place.y + top) for place in placed.places]
    parts = [svg.lines_of_text(0, LINE_HEIGHT / 2, [heading], anchor="start", bold=True)]
    for edge, route, lines in zip(graph.edges, placed.routes, words, strict=True):
        if route.points:
            way = [Point(point.x, point.y + top) for point in route.points]
            way = _to_sides(way, edge, bodies, places)
            label = None if route.label is None else Point(route.label.x, route.label.y + top)
            parts.append(_arrow(edge, way, lines, label))
    for node, body, place in zip(graph.nodes, bodies, places, strict=True):
        parts.append(_node(node, body, place))
    bottom = top + placed.height
    if notes:
        parts.append(svg.lines_of_text(0, bottom + LINE_HEIGHT, notes, anchor="start", paint="faint"))
        bottom += LINE_HEIGHT * (len(notes) + 0.5)
    # Bold letters are as wide as others.
    whole = max([placed.width, width(heading), *map(width, notes)])
    return svg.document(whole, bottom, graph.heading, parts)


def shown_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """Lines as far as there is room for them."""
    shown = [cut(line, LONGEST_LINE) for line in lines[:LINES_SHOWN]]
    if len(lines) > LINES_SHOWN:
        shown[-1] = f"… {len(lines) - LINES_SHOWN + 1} more"
    return tuple(shown)


def _label_extent(lines: Sequence[str]) -> Extent | None:
    return Extent(max(map(width, lines)) + 8, LINE_HEIGHT * len(lines) + 3, 4.0) if lines else None


def _body(node: Node, loops: Sequence[Edge]) -> _Body:
    lines = shown_lines(node.lines)
    widest = max(map(width, lines), default=0.0)
    upper = _side(edge for edge in loops if edge.kind != "waiting")
    lower = _side(edge for edge in loops if edge.kind == "waiting")
    if node.kind in BOXES:
        half = widest / 2 + _PADDING
        height = LINE_HEIGHT * len(lines) / 2 + 6
        return _Body(Extent(2 * half, height, height), half, lines, upper, lower)
    half = _BAR if node.kind == "fork" else _RADIUS
    above = _RADIUS + upper.height + LINE_HEIGHT * len(upper.lines)
    below = _RADIUS + lower.height + LINE_HEIGHT * (len(lower.lines) + len(lines))
    widest = max([widest, 2 * half, *map(width, upper.lines), *map(width, lower.lines)])
    return _Body(Extent(widest, above, below), half, lines, upper, lower)


def _side(loops: Iterable[Edge]) -> _Side:
    own = tuple(loops)
    return _Side(own, tuple(line for edge in own for line in shown_lines(edge.lines)))


def _to_sides(way: list[Point], edge: Edge, bodies: Sequence[_Body], places: Sequence[Point]) -> list[Point]:
    """The way from the side of one node to that of the other: their columns may be wider than they are."""
    first, last = way[0], way[-1]
    right = 1 if places[edge.target].x > places[edge.source].x else -1
    begin = Point(places[edge.source].x + right * bodies[edge.source].half, first.y)
    end = Point(places[edge.target].x - right * bodies[edge.target].half, last.y)
    return [begin, *way, end]


def _arrow(edge: Edge, way: Sequence[Point], lines: Sequence[str], label: Point | None) -> str:
    parts = [svg.path(svg.curve(way), "cep-edge", dashes=_DASHES.get(edge.kind, ""))]
    parts.append(svg.arrow_head(way[-1], dx=1 if way[-1].x > way[0].x else -1, dy=0))
    if label is not None:
        y = label.y - LINE_HEIGHT * (len(lines) - 0.5) - 3
        parts.append(svg.lines_of_text(label.x, y, lines))
    return svg.group("arrow", edge.title, parts)


def _node(node: Node, body: _Body, at: Point) -> str:
    if node.kind in BOXES:
        extent = body.extent
        corners = {"source": 3.0, "rule": 8.0}.get(node.kind, extent.above)
        box = svg.rectangle(
            at.x - body.half, at.y - extent.above, extent.width, extent.above + extent.below,
            f"cep-box cep-{node.kind}", radius=corners,
        )  # fmt: skip
        words = svg.lines_of_text(at.x, at.y - LINE_HEIGHT * (len(body.lines) - 1) / 2, body.lines)
        return svg.group(node.kind, node.title, [box, words])
    if node.kind == "fork":
        shape = [svg.rectangle(at.x - _BAR, at.y - _RADIUS, 2 * _BAR, 2 * _RADIUS, "cep-ink cep-line")]
    else:
        shape = [svg.circle(at.x, at.y, _RADIUS, "cep-box cep-line")]
        if node.kind in ENDS:
            shape.append(svg.circle(at.x, at.y, _RADIUS - 3.5, "cep-box cep-line"))
        if node.kind in STARTS:
            shape.append(svg.circle(at.x, at.y, 3.5, "cep-ink"))
    parts = [svg.group("state", node.title, shape)]
    y = at.y - _RADIUS
    parts += [_loop(edge, place, at.x, y, up=-1) for place, edge in enumerate(body.upper.loops)]
    y -= body.upper.height + LINE_HEIGHT * (len(body.upper.lines) - 0.5)
    parts.append(svg.lines_of_text(at.x, y, body.upper.lines))
    y = at.y + _RADIUS
    parts += [_loop(edge, place, at.x, y, up=1) for place, edge in enumerate(body.lower.loops)]
    y += body.lower.height + LINE_HEIGHT * 0.5
    parts.append(svg.lines_of_text(at.x, y, body.lower.lines, paint="faint"))
    parts.append(svg.lines_of_text(at.x, y + LINE_HEIGHT * len(body.lower.lines), body.lines))
    return "".join(parts)


def _loop(edge: Edge, place: int, x: float, y: float, *, up: int) -> str:
    """A loop that leaves and enters a state at its top, or its bottom, at `y`."""
    half = _LOOP_HALF + 3 * place
    foot = y - up * 3.5
    # The top of the curve is at three quarters of the height of what it bends to.
    far = number(y + up * (_LOOP_HEIGHT + _LOOP_STEP * place - 5) * 4 / 3)
    left, right = number(x - half), number(x + half)
    data = f"M{left} {number(foot)}C{number(x - 2 * half)} {far} {number(x + 2 * half)} {far} {right} {number(foot)}"
    parts = [
        svg.path(data, "cep-edge", dashes=_DASHES.get(edge.kind, "")),
        svg.arrow_head(Point(x + half, foot), dx=-0.4, dy=-0.9 * up),
    ]
    return svg.group("arrow", edge.title, parts)
