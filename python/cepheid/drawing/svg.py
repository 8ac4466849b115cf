"""An SVG document: a frame with its colours, for light and for dark, and the few shapes that pictures are made of.

Colours are those of Okabe and Ito, which no kind of colour blindness mixes up; nothing is said by colour alone. Class
names begin with ``cep-``, as a page may hold several pictures, whose styles then are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cepheid.drawing.layout import Point
from cepheid.drawing.lettering import LINE_HEIGHT, paragraphs, xml

MARGIN = 16.0

# By class: what is painted, in the light and in the dark.
_PAINTED = {
    "paper": ("fill", "#ffffff", "#1b1d20"),
    "ink": ("fill", "#1f2328", "#e6e6e6"),
    "faint": ("fill", "#5b636d", "#a4acb5"),
    "line": ("stroke", "#4a525c", "#b4bcc5"),
    "head": ("fill", "#4a525c", "#b4bcc5"),
    "grid": ("stroke", "#d5d9de", "#3a3f45"),
    "edge": ("stroke", "#4a525c", "#b4bcc5"),
    "box": ("fill", "#f6f7f8", "#26292d"),
    "source": ("stroke", "#0072b2", "#56b4e9"),
    "rule": ("stroke", "#b35900", "#e69f00"),
    "topic": ("stroke", "#00785a", "#2fc79a"),
    "c0": ("stroke", "#0072b2", "#56b4e9"),
    "c1": ("stroke", "#b35900", "#e69f00"),
    "c2": ("stroke", "#00785a", "#2fc79a"),
    "c3": ("stroke", "#a8487f", "#cc79a7"),
    "c4": ("stroke", "#4a525c", "#f0e442"),
}
MATCH_CLASSES = ("c0", "c1", "c2", "c3", "c4")


def _style() -> str:
    light = "".join(f".cep-{name}{{{what}:{colour}}}" for name, (what, colour, _) in _PAINTED.items())
    dark = "".join(f".cep-{name}{{{what}:{colour}}}" for name, (what, _, colour) in _PAINTED.items())
    return (
        "<style>.cep-text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
        ".cep-bold{font-weight:bold}"
        f"{light}@media (prefers-color-scheme:dark){{{dark}}}</style>"
    )


def document(width: float, height: float, heading: str, body: Iterable[str]) -> str:
    """The document.

    Args:
        width: Of what is in it, without margins.
        height: The same.
        heading: What it is a picture of.
        body: What is in it; its places begin at 0.
    """
    w, h = number(width + 2 * MARGIN), number(height + 2 * MARGIN)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" role="img">',
            title(heading),
            _style(),
            f'<rect class="cep-paper" width="{w}" height="{h}"/>',
            f'<g transform="translate({number(MARGIN)} {number(MARGIN)})">',
            *body,
            "</g>",
            "</svg>",
            "",
        ]
    )


def number(value: float) -> str:
    """A length, to a tenth."""
    text = f"{value:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def title(text: str) -> str:
    """What is shown when one points at something."""
    return f"<title>{xml(paragraphs(text))}</title>"


def group(name: str, text: str, parts: Iterable[str]) -> str:
    """Things that are one to whoever points at them."""
    return f'<g class="cep-{name}-group">{title(text) if text else ""}{"".join(parts)}</g>'


def lines_of_text(
    x: float, y: float, lines: Sequence[str], *, anchor: str = "middle", paint: str = "ink", bold: bool = False
) -> str:
    """Lines of text, the first with its middle at `y`."""
    weight = " cep-bold" if bold else ""
    return "".join(
        f'<text class="cep-text cep-{paint}{weight}" x="{number(x)}" y="{number(y + place * LINE_HEIGHT)}" '
        f'text-anchor="{anchor}" dominant-baseline="central" xml:space="preserve">{xml(line)}</text>'
        for place, line in enumerate(lines)
        if line
    )


def rectangle(x: float, y: float, width: float, height: float, classes: str, *, radius: float = 0.0) -> str:
    """A rectangle, by its upper left corner."""
    rounded = f' rx="{number(radius)}"' if radius else ""
    return (
        f'<rect class="{classes}" x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
        f'{rounded} stroke-width="1.5"/>'
    )


def circle(x: float, y: float, radius: float, classes: str) -> str:
    """A circle."""
    return f'<circle class="{classes}" cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" stroke-width="1.5"/>'


def path(data: str, classes: str, *, dashes: str = "", width: float = 1.5) -> str:
    """A line."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path class="{classes}" d="{data}" fill="none" stroke-width="{number(width)}"{dashed}/>'


def curve(points: Sequence[Point]) -> str:
    """The way through the points: straight from the first to the second, then bent to the third, and so on."""
    first = points[0]
    data = [f"M{number(first.x)} {number(first.y)}"]
    for place in range(1, len(points)):
        before, point = points[place - 1], points[place]
        if before == point:
            continue
        if place % 2 or abs(before.y - point.y) < 0.05:
            data.append(f"L{number(point.x)} {number(point.y)}")
        else:
            middle = number((before.x + point.x) / 2)
            data.append(f"C{middle} {number(before.y)} {middle} {number(point.y)} {number(point.x)} {number(point.y)}")
    return "".join(data)


def arrow_head(tip: Point, *, dx: float, dy: float) -> str:
    """The head of an arrow that flies towards (dx, dy), of length 1."""
    back_x, back_y = tip.x - 8 * dx, tip.y - 8 * dy
    side_x, side_y = -3.5 * dy, 3.5 * dx
    corners = [
        (tip.x, tip.y),
        (back_x + side_x, back_y + side_y),
        (back_x - side_x, back_y - side_y),
    ]
    return f'<polygon class="cep-head" points="{" ".join(f"{number(x)},{number(y)}" for x, y in corners)}"/>'
