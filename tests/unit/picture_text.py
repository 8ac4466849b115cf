"""Pictures read back: what an SVG document and a DOT text say, for tests to ask."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from typing import NamedTuple

SPACE = "{http://www.w3.org/2000/svg}"
_STRING = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf"(?:{_STRING}|[\w.#]+)"
_ATTRIBUTES = rf"\[\w+={_VALUE}(?:, \w+={_VALUE})*\]"
_NODE = re.compile(rf"  (n\d+) ({_ATTRIBUTES})")
_EDGE = re.compile(rf"  (n\d+) -> (n\d+) ({_ATTRIBUTES})")
_DEFAULT = re.compile(rf"  (graph|node|edge) ({_ATTRIBUTES})")


class Dot(NamedTuple):
    """What a DOT text says: by node its attributes, the arrows with theirs, and the whole with its own."""

    nodes: dict[str, dict[str, str]]
    edges: list[tuple[str, str, dict[str, str]]]
    whole: dict[str, str]

    def lines(self) -> set[str]:
        """Every line of every label."""
        all_of = [self.whole, *self.nodes.values(), *(attributes for _, _, attributes in self.edges)]
        return {
            line for said in all_of for name in ("label", "xlabel") if name in said for line in said[name].split("\n")
        }

    def arrows(self) -> set[tuple[str, str]]:
        """The arrows, from the first line of one node's label to that of another's."""
        names = {node: attributes["label"].split("\n")[0] for node, attributes in self.nodes.items()}
        return {(names[source], names[target]) for source, target, _ in self.edges}


def read_dot(text: str) -> Dot:
    """Reads the part of the language that pictures are written in; anything else is refused."""
    lines = text.split("\n")
    assert lines[0] == "digraph {"
    assert lines[-2:] == ["}", ""]
    dot = Dot({}, [], {})
    for line in lines[1:-2]:
        if node := _NODE.fullmatch(line):
            assert node[1] not in dot.nodes
            dot.nodes[node[1]] = _attributes(node[2])
        elif edge := _EDGE.fullmatch(line):
            dot.edges.append((edge[1], edge[2], _attributes(edge[3])))
        else:
            default = _DEFAULT.fullmatch(line)
            assert default, line
            if default[1] == "graph":
                dot.whole.update(_attributes(default[2]))
    for source, target, _ in dot.edges:
        assert {source, target} <= dot.nodes.keys()
    return dot


def _attributes(text: str) -> dict[str, str]:
    return {name: _said(value) for name, value in re.findall(rf"(\w+)=({_VALUE})", text)}


def _said(value: str) -> str:
    if not value.startswith('"'):
        return value
    unescaped = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value[1:-1])
    return html.unescape(unescaped)


class Picture(NamedTuple):
    """What an SVG document says.

    Attributes:
        titles: What is shown when one points at something; the first is that of the whole.
        texts: Every line of text.
        shapes: The boxes and circles of nodes, as left, top, right, bottom.
        groups: By class of group how many there are.
        size: Width and height.
    """

    titles: list[str]
    texts: list[str]
    shapes: list[tuple[float, float, float, float]]
    groups: dict[str, int]
    size: tuple[float, float]


def read_svg(text: str) -> Picture:
    """Reads a document, which must be well-formed and inside its own frame."""
    root = ET.fromstring(text)
    assert root.tag == f"{SPACE}svg"
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    titles = [element.text or "" for element in root.iter(f"{SPACE}title")]
    texts = [element.text or "" for element in root.iter(f"{SPACE}text")]
    shapes, groups = [], {}
    for group in root.iter(f"{SPACE}g"):
        kind = group.attrib.get("class", "")
        groups[kind] = groups.get(kind, 0) + 1
        if kind in {f"cep-{name}-group" for name in ("source", "rule", "topic", "state")}:
            shapes.append(_room(group))
    for left, top, right, bottom in shapes:
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height
    return Picture(titles, texts, shapes, groups, (width, height))


def _room(group: ET.Element) -> tuple[float, float, float, float]:
    shape = next(element for element in group if element.tag in (f"{SPACE}rect", f"{SPACE}circle"))
    at = {
        name: float(value)
        for name, value in shape.attrib.items()
        if name in ("x", "y", "width", "height", "cx", "cy", "r")
    }
    if "r" in at:
        return at["cx"] - at["r"], at["cy"] - at["r"], at["cx"] + at["r"], at["cy"] + at["r"]
    return at["x"], at["y"], at["x"] + at["width"], at["y"] + at["height"]


def check_apart(shapes: list[tuple[float, float, float, float]]) -> None:
    """No two of them overlap."""
    by_left = sorted(shapes)
    for place, (left, top, right, bottom) in enumerate(by_left):
        for other in by_left[place + 1 :]:
            if other[0] >= right:
                break
            assert other[1] >= bottom or other[3] <= top, ((left, top, right, bottom), other)
