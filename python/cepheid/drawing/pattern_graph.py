"""The automaton of a pattern as a graph, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cepheid import nodes
from cepheid.drawing.automaton import STRICT, Arrow, Automaton, automaton
from cepheid.drawing.graph import Edge, EdgeKind, Graph, Node, NodeKind
from cepheid.drawing.lettering import plain
from cepheid.drawing.wording import condition_text, distance_text, relation_text
from cepheid.row_pattern import with_untils

_STYLES: dict[str, tuple[EdgeKind, str]] = {
    "strict": ("strict", "solid"),
    "skip_till_next": ("skip_till_next", "dashed"),
    "skip_till_any": ("skip_till_any", "dotted"),
}
_NAMES_SHOWN = 12

# What is asked of the rows of a variable: their topic, and their condition.
Asked = Callable[[str], list[str]]


def pattern_graph(data: Mapping[str, Any], predicates: Mapping[str, str]) -> Graph:
    """The graph of a pattern.

    Args:
        data: The pattern, as it is in `Pattern.to_dict`.
        predicates: How the columns of Python predicates are to be called.
    """

    def called(node: nodes.Node) -> nodes.Node:
        return nodes.rewrite(node, lambda part: _called(part, predicates))

    drawn = automaton(with_untils(data["root"], called))
    conditions = {entry["variable"]: condition_text(called(entry["condition"])) for entry in data.get("define", ())}
    topics = {entry["variable"]: entry["topic"] for entry in data.get("topics", ())}

    def asked(variable: str) -> list[str]:
        of = [f"of {topics[variable]}"] if variable in topics else []
        return of + ([conditions[variable]] if variable in conditions else [])

    leaving: list[list[Arrow]] = [[] for _ in range(drawn.states)]
    for arrow in drawn.arrows:
        leaving[arrow.source].append(arrow)
    edges = [_edge(arrow, asked) for arrow in drawn.arrows]
    edges += [loop for state, own in enumerate(leaving) if (loop := _waiting(state, own)) is not None]
    states = tuple(_state(state, drawn, own, asked) for state, own in enumerate(leaving))
    names = list(dict.fromkeys(arrow.variable for arrow in drawn.arrows if arrow.variable is not None))
    shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
    heading = f"pattern {data['name']}" if data.get("name") else f"pattern of {shown}" if names else "pattern"
    having = data.get("having")
    notes = [*_clauses(data), *([f"having {condition_text(called(having))}"] if having is not None else [])]
    return Graph(heading, states, tuple(edges), (*map(plain, notes), *_legend(drawn)))


def _called(node: nodes.Node, predicates: Mapping[str, str]) -> nodes.Node:
    if nodes.tag_of(node) != "column" or node["column"]["name"] not in predicates:
        return node
    return {"column": {"name": predicates[node["column"]["name"]], "quoted": True}}


def _state(state: int, drawn: Automaton, leaving: Sequence[Arrow], asked: Asked) -> Node:
    guards = [line for variable, text in drawn.guards.get(state, ()) for line in (text, *asked(variable))]
    kind: NodeKind = "state"
    if state in drawn.bars:
        kind = "fork"
    elif state == 0:
        kind = "start_end" if drawn.end == 0 else "start"
    elif state == drawn.end:
        kind = "end"
    title = [f"state {state}" + {"start": ": matches begin", "end": ": matches end"}.get(kind, "")]
    next_ = dict.fromkeys(name for arrow in leaving for name in _awaited(arrow))
    if next_:
        title.append(f"next: {', '.join(next_)}")
    return Node(tuple(map(plain, guards)), "\n".join([*title, *guards]), kind)


def _awaited(arrow: Arrow) -> Sequence[str]:
    return [arrow.variable] if arrow.role == "row" and arrow.variable is not None else arrow.awaited


def _edge(arrow: Arrow, asked: Asked) -> Edge:
    notes = tuple(map(plain, arrow.notes))
    if arrow.role not in ("row", "again"):
        said = ("left out", *notes) if arrow.role == "skip" else notes
        # Of an absence, what must not come.
        said = (*said, *map(plain, asked(arrow.variable))) if arrow.variable is not None else said
        return Edge(arrow.source, arrow.target, said, "\n".join([*said, "no row is taken"]), "free")
    kind, _ = _STYLES[arrow.contiguity]
    if arrow.variable is None:
        lines: tuple[str, ...] = ("again", *notes)
        title = [*lines, f"next: {', '.join(arrow.awaited)}"]
    else:
        lines = (*map(plain, (arrow.variable, *asked(arrow.variable))), *notes)
        title = [arrow.variable, *(asked(arrow.variable) or ["every row"]), *notes]
    return Edge(arrow.source, arrow.target, lines, "\n".join([*title, relation_text(arrow.contiguity)]), kind)


def _waiting(state: int, leaving: Sequence[Arrow]) -> Edge | None:
    """The loop of what may be passed over in a state, before what comes next."""
    lines = []
    for contiguity, over in (("skip_till_next", "others"), ("skip_till_any", "any")):
        arrows = [arrow for arrow in leaving if arrow.contiguity == contiguity]
        if names := dict.fromkeys(name for arrow in arrows for name in _awaited(arrow)):
            lines.append(f"over {over} till {', '.join(names)}")
    if not lines:
        return None
    return Edge(state, state, tuple(map(plain, lines)), "\n".join(f"passes {line}" for line in lines), "waiting")


def _clauses(data: Mapping[str, Any]) -> list[str]:
    """What is said of the whole pattern and is not in its automaton."""
    notes = []
    if keys := data.get("partition_by"):
        notes.append(f"for each {', '.join(key['name'] for key in keys)}")
    if (within := data.get("within")) is not None:
        notes.append(f"first row to last: {distance_text(within)}")
    if data.get("initial"):
        notes.append("from the first row of its partition only")
    if data.get("selection") == "all":
        notes.append("every match")
    return notes


def _legend(drawn: Automaton) -> list[str]:
    """What the arrows mean, if not all are of one kind that goes without saying."""
    used = {arrow.contiguity for arrow in drawn.arrows if arrow.role in ("row", "again")} - {STRICT}
    if not used:
        return []
    shown = [(style, name) for name, (_, style) in _STYLES.items() if name in used or name == STRICT]
    return ["; ".join(f"{style}: {relation_text(name)}" for style, name in shown)]
