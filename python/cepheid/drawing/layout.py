"""Where the nodes of a graph go: level by level from left to right, and its arrows between them.

The manner is that of Sugiyama: arrows that would lead back are turned round, each node stands behind all that lead to
it, arrows that pass a level have a place on it, each level is put in an order that crosses few arrows, and then moved
up or down so that arrows are nearly straight. An arrow that says something has a level of its own for that between
those of its nodes, so no two labels share a place.

- Time: O(ROUNDS * (n log n)), n = nodes and places of arrows on levels that they pass.
- Space: O(n).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

ROUNDS = 8
# An arrow over more levels than this has no places on them: it crosses whatever there is, and costs no space.
LONGEST_ROUTED = 40

_GAP_Y = 14.0
_GAP_X = 30.0


class Extent(NamedTuple):
    """The room that something takes: to the left and right in all, and above and below the line of its arrows."""

    width: float
    above: float
    below: float


class Point(NamedTuple):
    """A point; y grows downwards."""

    x: float
    y: float


class Route(NamedTuple):
    """The way of an arrow.

    Attributes:
        points: From the side of the first column to that of the last; columns between are crossed straight, from one
            point to the next, so that arrows bend only where nothing else is.
        label: Where the middle of what it says is, on its line; None if it says nothing.
    """

    points: tuple[Point, ...]
    label: Point | None


class Layout(NamedTuple):
    """Places.

    Attributes:
        places: The middle of each node.
        routes: The way of each arrow, that of loops empty.
        width: Of the whole; all is right of 0.
        height: Of the whole; all is below 0.
    """

    places: tuple[Point, ...]
    routes: tuple[Route, ...]
    width: float
    height: float


class _Grid:
    """Things on levels: nodes first, then the places of arrows on the levels that they pass."""

    def __init__(self, extents: Sequence[Extent], levels: Sequence[int]) -> None:
        self.extents = list(extents)
        self.levels = list(levels)
        self.before: list[list[int]] = [[] for _ in extents]
        self.behind: list[list[int]] = [[] for _ in extents]

    def add(self, extent: Extent, level: int) -> int:
        self.extents.append(extent)
        self.levels.append(level)
        self.before.append([])
        self.behind.append([])
        return len(self.extents) - 1

    def join(self, left: int, right: int) -> None:
        self.behind[left].append(right)
        self.before[right].append(left)


def layout(nodes: Sequence[Extent], edges: Sequence[tuple[int, int]], labels: Sequence[Extent | None]) -> Layout:
    """Finds places.

    Args:
        nodes: The room that each node takes.
        edges: Arrows, as positions of nodes.
        labels: The room that what each arrow says takes; None: nothing.
    """
    turned = _turned(len(nodes), edges)
    forward = [(b, a) if back else (a, b) for (a, b), back in zip(edges, turned, strict=True)]
    # Every other level is for labels.
    levels = [2 * level for level in _levels(len(nodes), forward)]
    grid = _Grid(nodes, levels)
    chains: list[list[int]] = []
    label_places: list[int | None] = []
    for (left, right), label in zip(forward, labels, strict=True):
        chain, place = _chain(grid, left, right, label)
        chains.append(chain)
        label_places.append(place)
    columns = _ordered(grid)
    ys = _heights(grid, columns)
    sides, whole = _columns_x(grid, columns)
    top = min((ys[item] - grid.extents[item].above for item in range(len(ys))), default=0.0)
    bottom = max((ys[item] + grid.extents[item].below for item in range(len(ys))), default=0.0)
    points = [Point(sum(sides[level]) / 2, y - top) for level, y in zip(grid.levels, ys, strict=True)]
    routes = []
    for chain, place, back in zip(chains, label_places, turned, strict=True):
        way = [Point(x, points[item].y) for item in chain for x in sides[grid.levels[item]]][1:-1]
        routes.append(Route(tuple(reversed(way) if back else way), None if place is None else points[place]))
    return Layout(tuple(points[: len(nodes)]), tuple(routes), whole, bottom - top)


def _turned(count: int, edges: Sequence[tuple[int, int]]) -> list[bool]:
    """Which arrows lead back to a node that leads to them; the others have no circles."""
    leaving: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for place, (source, target) in enumerate(edges):
        leaving[source].append((place, target))
    turned = [False] * len(edges)
    unseen, open_, done = 0, 1, 2
    state = [unseen] * count
    for root in range(count):
        if state[root] != unseen:
            continue
        state[root] = open_
        path = [(root, iter(leaving[root]))]
        while path:
            node, rest = path[-1]
            for place, target in rest:
                if state[target] == open_:
                    turned[place] = node != target
                elif state[target] == unseen:
                    state[target] = open_
                    path.append((target, iter(leaving[target])))
                    break
            else:
                state[node] = done
                path.pop()
    return turned


def _levels(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The length of the longest way to each node."""
    leaving: list[list[int]] = [[] for _ in range(count)]
    awaited = [0] * count
    for source, target in edges:
        if source != target:
            leaving[source].append(target)
            awaited[target] += 1
    levels = [0] * count
    ready = [node for node in range(count) if not awaited[node]]
    for node in ready:
        for target in leaving[node]:
            levels[target] = max(levels[target], levels[node] + 1)
            awaited[target] -= 1
            if not awaited[target]:
                ready.append(target)
    assert len(ready) == count, "arrows that were turned round left a circle"
    return levels


def _chain(grid: _Grid, left: int, right: int, label: Extent | None) -> tuple[list[int], int | None]:
    """The things that an arrow goes through, its nodes among them, and the one that holds its label."""
    if left == right:
        return [], None
    first, last = grid.levels[left], grid.levels[right]
    passed = range(first + 1, last)
    if len(passed) > 2 * LONGEST_ROUTED:
        passed = passed[: 1 if label else 0]
    chain, place = [left], None
    for level in passed:
        holds = label is not None and place is None
        item = grid.add(label if label is not None and holds else Extent(0.0, 4.0, 4.0), level)
        if holds:
            place = item
        grid.join(chain[-1], item)
        chain.append(item)
    # Over levels that it has no place on, it pulls nothing.
    if grid.levels[right] == grid.levels[chain[-1]] + 1:
        grid.join(chain[-1], right)
    return [*chain, right], place


def _ordered(grid: _Grid) -> list[list[int]]:
    """The things on each level, from top to bottom."""
    columns: list[list[int]] = [[] for _ in range(max(grid.levels, default=-1) + 1)]
    for item, level in enumerate(grid.levels):
        columns[level].append(item)
    rank = [0.0] * len(grid.levels)

    def number(column: list[int]) -> None:
        for place, item in enumerate(column):
            rank[item] = place / max(len(column), 1)

    for column in columns:
        number(column)
    for turn in range(ROUNDS):
        ahead = turn % 2 == 0
        near = grid.before if ahead else grid.behind
        for column in columns if ahead else reversed(columns):
            middle = {
                item: sum(rank[other] for other in near[item]) / len(near[item]) if near[item] else rank[item]
                for item in column
            }
            column.sort(key=lambda item: (middle[item], rank[item]))
            number(column)
    return columns


def _heights(grid: _Grid, columns: list[list[int]]) -> list[float]:
    """How far down each thing is: as near to those that it is joined to as its column lets it be."""
    ys = [0.0] * len(grid.levels)
    for column in columns:
        for item, y in zip(column, _settled(grid, column, [0.0] * len(column)), strict=True):
            ys[item] = y
    for turn in range(ROUNDS + 1):
        ahead = turn % 2 == 0
        near = grid.before if ahead else grid.behind
        for column in columns if ahead else reversed(columns):
            wanted = [
                sum(ys[other] for other in near[item]) / len(near[item]) if near[item] else ys[item] for item in column
            ]
            for item, y in zip(column, _settled(grid, column, wanted), strict=True):
                ys[item] = y
    return ys


def _settled(grid: _Grid, column: list[int], wanted: Sequence[float]) -> list[float]:
    """The places nearest to those wanted, by least squares, at which nothing overlaps and the order stays.

    Where things would overlap they form a block, which lies where its things want it on average.
    """
    # What a place would be, were all things without height.
    offsets = [0.0]
    for upper, lower in pairwise(column):
        offsets.append(offsets[-1] + grid.extents[upper].below + _GAP_Y + grid.extents[lower].above)
    blocks: list[tuple[float, int]] = []
    for y, offset in zip(wanted, offsets, strict=False):
        mean, size = y - offset, 1
        while blocks and blocks[-1][0] >= mean:
            other, count = blocks.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        blocks.append((mean, size))
    flat = [mean for mean, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(flat, offsets, strict=False)]


def _columns_x(grid: _Grid, columns: list[list[int]]) -> tuple[list[tuple[float, float]], float]:
    """The left and the right side of each column, and the width of all."""
    sides: list[tuple[float, float]] = []
    x = 0.0
    for column in columns:
        width = max((grid.extents[item].width for item in column), default=0.0)
        sides.append((x, x + width))
        x += width + _GAP_X
    return sides, max(x - _GAP_X, 0.0)
