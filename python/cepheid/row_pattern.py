"""Row patterns as plain data: the tree of events, sequences and loops that the engine reads.

While a pattern is built, a relation between rows that nobody has spoken about is None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from cepheid import nodes
from cepheid.errors import PatternError
from cepheid.names import invalid_choice
from cepheid.nodes import Node

Contiguity = Literal["strict", "skip_till_next", "skip_till_any"]

CONTIGUITIES = ("strict", "skip_till_next", "skip_till_any")
PATTERN_DEPTH_MAX = 64
VARIABLES_MAX = 1024
REPEAT_MAX = 100_000
PERMUTE_PARTS_MAX = 6


class Body(NamedTuple):
    """A row pattern and what its events say: everything about a pattern but the clauses of the whole.

    Attributes:
        root: The tree.
        variables: The names of its events, absent ones too, in the order in which they are written.
        absent: Those of absent events.
        define: Conditions by variable.
        topics: Topics by variable; an event without one takes rows of any.
        depth: Levels of nesting; an event is 1.
    """

    root: Any
    variables: tuple[str, ...]
    absent: frozenset[str]
    define: dict[str, Node]
    topics: dict[str, str]
    depth: int


def root_tag(root: Any) -> str:
    """The kind of a row pattern."""
    return root if isinstance(root, str) else next(iter(root))


def root_parts(root: Any) -> list[Any]:
    """The direct parts of a row pattern, in the order in which they are written."""
    if isinstance(root, str):
        return []
    ((tag, body),) = root.items()
    match tag:
        case "sequence":
            return [step["node"] for step in body]
        case "alternation":
            return list(body)
        case "permute":
            return list(body["parts"])
        case "quantified" | "bounded":
            return [body["node"]]
        case "exclusion":
            return [body]
    return []


def with_parts(root: Any, change: Callable[[Any], Any]) -> Any:
    """The row pattern with every direct part changed."""
    if isinstance(root, str):
        return root
    ((tag, body),) = root.items()
    match tag:
        case "sequence":
            return {tag: [{**step, "node": change(step["node"])} for step in body]}
        case "alternation":
            return {tag: [change(part) for part in body]}
        case "permute":
            return {tag: {**body, "parts": [change(part) for part in body["parts"]]}}
        case "quantified" | "bounded":
            return {tag: {**body, "node": change(body["node"])}}
        case "exclusion":
            return {tag: change(body)}
    return root


def walk_root(root: Any) -> Iterator[Any]:
    """The row pattern and every part of it, the whole first."""
    yield root
    for part in root_parts(root):
        yield from walk_root(part)


def with_quantifiers(root: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The row pattern with the quantifier of every loop changed."""
    changed = with_parts(root, lambda part: with_quantifiers(part, change))
    if root_tag(changed) != "quantified":
        return changed
    body = changed["quantified"]
    return {"quantified": {**body, "quantifier": change(body["quantifier"])}}


def settled(root: Any, contiguity: str) -> Any:
    """The row pattern with every relation that nobody has spoken about set."""
    changed = with_parts(root, lambda part: settled(part, contiguity))
    match root_tag(changed):
        case "permute":
            body = changed["permute"]
            return {"permute": {**body, "contiguity": body.get("contiguity", "strict") or contiguity}}
        case "quantified":
            body = changed["quantified"]
            relation = body["quantifier"].get("contiguity", "strict") or contiguity
            return {"quantified": {**body, "quantifier": {**body["quantifier"], "contiguity": relation}}}
    return changed


def lowered_root(root: Any, known: list[str], selection: str | None) -> Any:
    """The row pattern as the engine reads it: relations that nobody has spoken about skip till the next.

    Args:
        root: The tree.
        known: The names that an `until` may refer to.
        selection: What greed that is not said means: where one match is preferred a loop is greedy unless it says
            otherwise. Where all are wanted, or for None, which is for spelling, greed stays as it was said.
    """

    def lowered(quantifier: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"min": quantifier["min"], "max": quantifier["max"]}
        greedy = quantifier.get("greedy")
        if selection == "first":
            made["greedy"] = greedy is not False
        elif greedy is not None:
            made["greedy"] = greedy
        if (relation := quantifier.get("contiguity", "strict") or "skip_till_next") != "strict":
            made["contiguity"] = relation
        if (until := quantifier.get("until")) is not None:
            # The row under test belongs to no variable: whatever is named was accepted before.
            made["until"] = nodes.marked_condition(nodes.resolve_names(until, known), None)
        return made

    return with_quantifiers(settled(root, "skip_till_next"), lowered)


def without_plain_greed(root: Any) -> Any:
    """The row pattern with greed left unsaid where it is what goes without saying: one match is preferred."""

    def plain(quantifier: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in quantifier.items() if key != "greedy" or value is not True}

    return with_quantifiers(root, plain)


def with_untils(root: Any, change: Callable[[Node], Node]) -> Any:
    """The row pattern with every condition that ends a loop changed."""

    def changed(quantifier: dict[str, Any]) -> dict[str, Any]:
        until = quantifier.get("until")
        return quantifier if until is None else {**quantifier, "until": change(until)}

    return with_quantifiers(root, changed)


def measured(root: Any, define: dict[str, Node], topics: dict[str, str]) -> Body:
    """A row pattern read from data, with its variables found and its depth counted."""
    names: dict[str, None] = {}
    absent: set[str] = set()
    deepest = 0

    def visit(node: Any, depth: int) -> None:
        nonlocal deepest
        deepest = max(deepest, depth)
        match root_tag(node):
            case "variable":
                names[node["variable"]] = None
            case "absent":
                names[node["absent"]["variable"]] = None
                absent.add(node["absent"]["variable"])
        for part in root_parts(node):
            visit(part, depth + 1)

    visit(root, 1)
    return Body(root, tuple(names), frozenset(absent), define, topics, deepest)


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
