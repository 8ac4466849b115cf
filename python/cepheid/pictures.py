"""What can be drawn: a graph, as SVG that is laid out here, or as DOT. Nothing that draws is imported before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from cepheid.errors import PatternError

if TYPE_CHECKING:
    from cepheid.drawing.graph import Graph

__all__ = ["Pictured"]

# A notebook shows no picture of more nodes than this unless it is asked for.
_SHOWN_NODES = 100


class Pictured(ABC):
    """The methods of what is drawn as a graph: patterns, engines and process maps."""

    __slots__ = ()

    @abstractmethod
    def _graph(self) -> Graph:
        """What is drawn."""

    def to_svg(self) -> str:
        """A picture as an SVG document, from left to right; what is cut short is whole where one points at it.

        Of a pattern, its automaton: states, and the rows that lead from one to the next. Of an engine, its rules as
        they are now: the topics that each reads, and those that it derives. Of a process map, its activities and which
        follows which. The same text for the same rules.

        Raises:
            PatternError: The pattern is impossible.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import event
            >>> picture = (event("small", "amount < 10") >> event("big", "amount > 500")).to_svg()
            >>> picture.startswith("<svg"), "amount &gt; 500" in picture
            (True, True)
            >>> "rule seen reads topic auth" in cep.Engine(event("login", topic="auth").named("seen")).to_svg()
            True
        """
        from cepheid.drawing.graph_svg import graph_svg

        return graph_svg(self._graph())

    def to_graphviz(self) -> str:
        """The same graph in the DOT language, for Graphviz and whatever reads it.

        Raises:
            PatternError: The pattern is impossible.

        Example:
            >>> import cepheid as cep
            >>> engine = cep.Engine(cep.event("login", topic="auth").named("seen"))
            >>> [line.split(" [")[0].strip() for line in engine.to_graphviz().splitlines() if "->" in line]
            ['n0 -> n1', 'n1 -> n2']
        """
        from cepheid.drawing.graphviz import graphviz

        return graphviz(self._graph())

    def _repr_svg_(self) -> str | None:
        try:
            graph = self._graph()
        except PatternError:
            # A part that is no pattern yet, or an impossible one: its code is shown.
            return None
        if len(graph.nodes) > _SHOWN_NODES:
            return None
        from cepheid.drawing.graph_svg import graph_svg

        return graph_svg(graph)
