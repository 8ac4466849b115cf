"""Row patterns as plain data: the tree of events, sequences and loops that the engine reads.

While a pattern is built, a relation between rows that nobody has spoken about is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from cepheid.clauses import invalid_choice
from cepheid.errors import PatternError

Contiguity = Literal["strict", "skip_till_next", "skip_till_any"]

CONTIGUITIES = ("strict", "skip_till_next", "skip_till_any")
PATTERN_DEPTH_MAX = 64
VARIABLES_MAX = 1024
REPEAT_MAX = 100_000
PERMUTE_PARTS_MAX = 6


def settled(root: Any, contiguity: str) -> Any:
    """The row pattern with every relation that nobody has spoken about set."""
    ((tag, body),) = root.items()
    match tag:
        case "sequence":
            return {tag: [{**step, "node": settled(step["node"], contiguity)} for step in body]}
        case "alternation":
            return {tag: [settled(part, contiguity) for part in body]}
        case "permute":
            parts = [settled(part, contiguity) for part in body["parts"]]
            return {tag: {"parts": parts, "contiguity": body["contiguity"] or contiguity}}
        case "quantified":
            quantifier = body["quantifier"]
            relation = quantifier.get("contiguity", "strict") or contiguity
            return {
                tag: {"node": settled(body["node"], contiguity), "quantifier": {**quantifier, "contiguity": relation}}
            }
    return root


def lowered_root(root: Any) -> Any:
    """The row pattern as the engine reads it: relations that nobody has spoken about skip till the next."""
    if not isinstance(root, dict):
        return root
    ((tag, body),) = root.items()
    match tag:
        case "sequence":
            return {tag: [{**step, "node": lowered_root(step["node"])} for step in body]}
        case "alternation":
            return {tag: [lowered_root(part) for part in body]}
        case "permute":
            parts = [lowered_root(part) for part in body["parts"]]
            return {tag: {"parts": parts, "contiguity": body["contiguity"] or "skip_till_next"}}
        case "exclusion":
            return {tag: lowered_root(body)}
        case "quantified":
            quantifier = dict(body["quantifier"])
            relation = quantifier.pop("contiguity", "strict") or "skip_till_next"
            if relation != "strict":
                quantifier["contiguity"] = relation
            return {tag: {"node": lowered_root(body["node"]), "quantifier": quantifier}}
    return root


def measured(root: Any) -> tuple[tuple[str, ...], int]:
    """The variables, each once, and the depth of a row pattern read from data."""
    names: dict[str, None] = {}
    deepest = 0

    def visit(node: Any, depth: int) -> None:
        nonlocal deepest
        deepest = max(deepest, depth)
        if not isinstance(node, dict):
            return
        ((tag, body),) = node.items()
        if tag == "variable":
            names[body] = None
        for part in root_parts(tag, body):
            visit(part, depth + 1)

    visit(root, 1)
    return tuple(names), deepest


def root_parts(tag: str, body: Any) -> Iterator[Any]:
    """The direct parts of a row pattern, in the order in which they are written."""
    match tag:
        case "sequence":
            yield from (step["node"] for step in body)
        case "alternation":
            yield from body
        case "permute":
            yield from body["parts"]
        case "quantified":
            yield body["node"]
        case "exclusion":
            yield body


def root_tag(root: Any) -> str:
    """The kind of a row pattern."""
    return root if isinstance(root, str) else next(iter(root))


def default_skip(selection: str) -> str:
    """Where the search goes on if the pattern does not say."""
    return "none" if selection == "all" else "past_last_row"


def checked_contiguity(value: Any) -> str | None:
    """A contiguity by name, or None."""
    if value is None or (isinstance(value, str) and value in CONTIGUITIES):
        return value
    if not isinstance(value, str):
        raise TypeError(f"contiguity is a string, not {type(value).__name__}")
    raise invalid_choice("contiguity", value, list(CONTIGUITIES))


def checked_count(value: Any, what: str) -> int:
    """A count of repetitions or rows."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is an integer, not {type(value).__name__}")
    number = int(value.__index__())
    if number < 0:
        raise PatternError(f"{what} cannot be negative", code="invalid-quantifier")
    if what != "rows" and number > REPEAT_MAX:
        raise PatternError(f"{what} is at most {REPEAT_MAX}", code="limit-exceeded", limit=REPEAT_MAX)
    if number >= 2**63:
        raise PatternError(f"{what} is too great", code="limit-exceeded", limit=2**63 - 1)
    return number
