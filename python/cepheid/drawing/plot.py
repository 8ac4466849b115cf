"""A picture that can be shown and saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import final

__all__ = ["Plot"]


@final
class Plot:
    """A picture of matches: notebooks show it, `save` writes it. `Matches.plot` makes it.

    Example:
        >>> import cepheid as cep
        >>> cep.match(cep.event("up", "x > 1"), {"x": [1, 2]}).plot()
        <Plot of 1 match>
    """

    __slots__ = ("_heading", "_svg")

    def __init__(self, svg: str, heading: str) -> None:
        self._svg = svg
        self._heading = heading

    def to_svg(self) -> str:
        """The picture as an SVG document.

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up", "x > 1"), {"x": [1, 2]}).plot().to_svg()[:4]
            '<svg'
        """
        return self._svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the SVG document to a file, in place of what may be there.

        Args:
            path: The file, such as ``"matches.svg"``.

        Raises:
            OSError: It cannot be written.

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up", "x > 1"), {"x": [1, 2]}).plot().save("up.svg")  # doctest: +SKIP
        """
        Path(path).write_text(self._svg, "utf-8", newline="\n")

    def _repr_svg_(self) -> str:
        return self._svg

    def __repr__(self) -> str:
        return f"<Plot of {self._heading}>"
