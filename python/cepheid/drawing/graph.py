"""A graph to be drawn: what its nodes and arrows say, and nothing of where they go."""

from __future__ import annotations

from typing import Literal, NamedTuple

NodeKind = Literal["source", "rule", "topic", "state", "start", "end", "start_end", "fork"]
EdgeKind = Literal["plain", "strict", "skip_till_next", "skip_till_any", "free", "waiting"]

BOXES: tuple[NodeKind, ...] = ("source", "rule", "topic")
STARTS: tuple[NodeKind, ...] = ("start", "start_end")
ENDS: tuple[NodeKind, ...] = ("end", "start_end")


class Node(NamedTuple):
    """A node.

    Attributes:
        lines: What stands in a box, or, of a state, under it.
        title: All that there is to say of it.
        kind: How it is drawn.
    """

    lines: tuple[str, ...]
    title: str
    kind: NodeKind


class Edge(NamedTuple):
    """An arrow.

    Attributes:
        source: The position of the node that it leaves.
        target: That of the node that it leads to; the same one: a loop.
        lines: What stands beside it.
        title: All that there is to say of it.
        kind: How it is drawn.
    """

    source: int
    target: int
    lines: tuple[str, ...] = ()
    title: str = ""
    kind: EdgeKind = "plain"


class Graph(NamedTuple):
    """Nodes, arrows between them, a heading, and what is to be said of the whole."""

    heading: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    notes: tuple[str, ...] = ()
