"""A graph in the DOT language, for Graphviz to lay out."""

from __future__ import annotations

from collections.abc import Sequence

from cepheid.drawing.graph import EdgeKind, Graph, Node, NodeKind
from cepheid.drawing.lettering import cut, paragraphs, plain

LONGEST_LINE = 48

_NODES: dict[NodeKind, str] = {
    "source": 'shape=box, color="#0072b2"',
    "rule": 'shape=box, style=rounded, color="#b35900"',
    "topic": 'shape=box, style="rounded,diagonals", color="#00785a"',
    "state": "shape=circle",
    "start": "shape=circle, style=bold",
    "end": "shape=doublecircle",
    "start_end": "shape=doublecircle, style=bold",
    "fork": 'shape=box, style=filled, fillcolor="#4a525c", width=0.1',
}
_EDGES: dict[EdgeKind, str] = {
    "skip_till_next": "style=dashed",
    "skip_till_any": "style=dotted",
    "free": 'color="#8a929b", style=dotted, arrowhead=empty',
    "waiting": 'color="#8a929b", style=dashed',
}


def graphviz(graph: Graph) -> str:
    """The graph as DOT. Nodes are called ``n0``, ``n1`` and so on; what they say is in their labels."""
    whole = quoted([graph.heading, *graph.notes])
    lines = [
        "digraph {",
        f"  graph [rankdir=LR, labelloc=t, fontname=monospace, label={whole}]",
        "  node [fontname=monospace, fontsize=11]",
        "  edge [fontname=monospace, fontsize=10]",
    ]
    lines += [f"  n{place} [{_node(node)}]" for place, node in enumerate(graph.nodes)]
    for edge in graph.edges:
        said = f"label={quoted(edge.lines)}, " if edge.lines else ""
        shape = f", {_EDGES[edge.kind]}" if edge.kind in _EDGES else ""
        lines.append(f"  n{edge.source} -> n{edge.target} [{said}tooltip={tooltip(edge.title)}{shape}]")
    return "\n".join([*lines, "}", ""])


def _node(node: Node) -> str:
    # The words of a state stand beside it.
    beside = node.kind in ("state", "start", "end", "start_end", "fork")
    words = f'label="", xlabel={quoted(node.lines)}' if beside else f"label={quoted(node.lines)}"
    return f"{words}, tooltip={tooltip(node.title)}, {_NODES[node.kind]}"


def quoted(lines: Sequence[str]) -> str:
    r"""Lines as a string of DOT: ``\``, ``"`` and ``&``, which begins an entity, stand for themselves."""
    return '"' + "\\n".join(_escaped(cut(line, LONGEST_LINE)) for line in lines) + '"'


def tooltip(text: str) -> str:
    """What is shown when one points at something, uncut."""
    return '"' + "\\n".join(_escaped(plain(line)) for line in paragraphs(text).split("\n")) + '"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
