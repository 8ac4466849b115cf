"""Pictures of random patterns are whole, and their automata take just the rows that the patterns do."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from typing import Any

from generated import EXAMPLES, PROFILE, algebra_patterns, sql_patterns
from hypothesis import given
from hypothesis import strategies as st

from cepheid import Pattern, event
from cepheid.drawing.automaton import Automaton, automaton
from cepheid.drawing.layout import Extent, Layout, layout

LONGEST_WORD = 4


def expression(root: Any, letters: dict[str, str]) -> str:
    """A regular expression of the rows that a row pattern takes, but that a loop may go round as often as it likes."""
    if root == "empty":
        return ""
    ((tag, body),) = root.items()

    def of(part: Any) -> str:
        return f"(?:{expression(part, letters)})"

    match tag:
        case "variable":
            return letters[body]
        case "sequence":
            return "".join(of(step["node"]) for step in body)
        case "alternation":
            return "|".join(map(of, body))
        case "permute":
            if len(body["parts"]) > 3 or any(part == "empty" or "variable" not in part for part in body["parts"]):
                # Between bars: that all are taken is what the bars say.
                return "|".join(map(of, body["parts"]))
            return "|".join("".join(map(of, order)) for order in itertools.permutations(body["parts"]))
        case "quantified":
            low, high = body["quantifier"]["min"], body["quantifier"]["max"]
            if high == 0:
                return ""
            if high == 1:
                return of(body["node"]) + ("" if low else "?")
            return of(body["node"]) + ("+" if low else "*")
        case "exclusion":
            return of(body)
        case "bounded":
            return of(body["node"])
    assert tag in ("absent", "anchor"), tag
    return ""


def takes(drawn: Automaton, word: str, letters: dict[str, str]) -> bool:
    """Whether the arrows lead from the first state to the last by rows of these variables."""

    def freely(states: set[int]) -> set[int]:
        reached = set(states)
        ahead = list(states)
        while ahead:
            state = ahead.pop()
            for arrow in drawn.arrows:
                if arrow.source == state and arrow.role != "row" and arrow.target not in reached:
                    reached.add(arrow.target)
                    ahead.append(arrow.target)
        return reached

    states = freely({0})
    for letter in word:
        rows = (arrow for arrow in drawn.arrows if arrow.role == "row" and arrow.source in states)
        states = freely({arrow.target for arrow in rows if letters[arrow.variable or ""] == letter})
    return drawn.end in states


def check_automaton(pattern: Pattern, seen: Counter[str]) -> None:
    root = pattern.to_dict()["pattern"]["root"]
    drawn = automaton(root)
    letters = dict(zip(pattern.variables, "abcdefghijk", strict=False))
    wanted = re.compile(expression(root, letters))
    used = sorted({letters[arrow.variable] for arrow in drawn.arrows if arrow.role == "row" and arrow.variable})
    for length in range(LONGEST_WORD + 1):
        for word in map("".join, itertools.product(used, repeat=length)):
            assert takes(drawn, word, letters) == bool(wanted.fullmatch(word)), (word, root)
            seen["words"] += 1
            seen["taken"] += bool(wanted.fullmatch(word))
    assert all(0 <= arrow.source < drawn.states and 0 <= arrow.target < drawn.states for arrow in drawn.arrows)
    reached = {0, *(arrow.target for arrow in drawn.arrows)}
    assert reached == set(range(drawn.states))
    assert pattern.to_svg().endswith("</svg>\n")
    assert pattern.to_graphviz().endswith("}\n")
    seen["examples"] += 1
    seen["loops"] += any(arrow.role == "again" for arrow in drawn.arrows)


def test_automata_of_the_algebra_take_what_the_patterns_do() -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(pattern=algebra_patterns())
    def check(pattern: Pattern) -> None:
        check_automaton(pattern, seen)

    check()
    assert seen["examples"] >= EXAMPLES
    assert seen["loops"] >= EXAMPLES / 10, seen
    assert seen["taken"] >= EXAMPLES, seen


def test_a_loop_that_may_be_left_out_is_not_left_out_in_its_middle() -> None:
    inner = (event("a").times(0, 2) >> event("b").times(0, 2)).times(0, 2)
    check_automaton((inner >> event("c")).times(0, 2) >> event("end"), Counter())


def test_automata_of_sql_take_what_the_patterns_do() -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(pattern=sql_patterns())
    def check(pattern: Pattern) -> None:
        check_automaton(pattern, seen)

    check()
    assert seen["examples"] >= EXAMPLES
    assert seen["loops"] >= EXAMPLES / 20, seen
    assert seen["taken"] >= EXAMPLES, seen


# Layouts.


@st.composite
def graphs(draw: Any) -> tuple[list[Extent], list[tuple[int, int]], list[Extent | None]]:
    extent = st.builds(Extent, st.integers(1, 200), st.integers(1, 60), st.integers(1, 60))
    nodes = draw(st.lists(extent, min_size=2, max_size=12))
    place = st.integers(0, len(nodes) - 1)
    edges = draw(st.lists(st.tuples(place, place), min_size=2, max_size=25))
    return nodes, edges, [draw(extent | st.none()) for _ in edges]


def test_nodes_and_labels_never_overlap_and_arrows_bend_between_columns_only() -> None:
    seen: Counter[str] = Counter()

    @PROFILE
    @given(graph=graphs())
    def check(graph: tuple[list[Extent], list[tuple[int, int]], list[Extent | None]]) -> None:
        nodes, edges, labels = graph
        placed = layout(nodes, edges, labels)
        check_layout(nodes, edges, labels, placed)
        assert layout(nodes, edges, labels) == placed
        seen["examples"] += 1
        seen["labels"] += sum(route.label is not None for route in placed.routes)

    check()
    assert seen["examples"] >= EXAMPLES
    assert seen["labels"] >= EXAMPLES, seen


def check_layout(
    nodes: list[Extent], edges: list[tuple[int, int]], labels: list[Extent | None], placed: Layout
) -> None:
    rooms = [
        (at.x - room.width / 2, at.y - room.above, at.x + room.width / 2, at.y + room.below)
        for at, room in [
            *zip(placed.places, nodes, strict=True),
            *((route.label, room) for route, room in zip(placed.routes, labels, strict=True) if route.label and room),
        ]
    ]
    for left, top, right, bottom in rooms:
        assert left >= -1e-6
        assert top >= -1e-6
        assert right <= placed.width + 1e-6
        assert bottom <= placed.height + 1e-6
    for one, other in itertools.combinations(rooms, 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] + 1e-6 or other[3] <= one[1] + 1e-6
        assert apart, (one, other)
    for (source, target), route, label in zip(edges, placed.routes, labels, strict=True):
        if source == target:
            assert route == ((), None)
            continue
        assert (route.label is None) == (label is None)
        first, last = route.points[0], route.points[-1]
        assert (first.y, last.y) == (placed.places[source].y, placed.places[target].y)
        ahead = placed.places[target].x > placed.places[source].x
        xs = [point.x for point in route.points]
        assert xs == sorted(xs, reverse=not ahead)
        # Where an arrow changes its height, no node and no label is.
        for one, other in zip(route.points[::2], route.points[1::2], strict=True):
            low, high = sorted((one.x, other.x))
            assert all(room[2] <= low + 1e-6 or room[0] >= high - 1e-6 for room in rooms)
