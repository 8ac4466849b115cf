"""Expressions as plain data: walking and rewriting the tree that the engine reads.

A node is what `cepheid_ir` calls an `Expr`, in the shape of its JSON: ``{"column": {"name": "price"}}``,
``{"binary": {"op": "add", "left": ..., "right": ...}}``. Nodes are shared and never changed in place.

Pointers in the form of a *condition* mark rows found among those accepted before with ``tested_row: excluded``.
`measure_form` turns that into the whole match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cepheid.errors import PatternError
from cepheid.names import resolve_name

Node = Any

EXPR_DEPTH_MAX = 128
POINTER_TAGS = ("column", "classifier", "udf")

_FIRST_ROW = {"anchor": "first"}


def tag_of(node: Node) -> str:
    """The kind of a node."""
    return node if isinstance(node, str) else next(iter(node))


def children(node: Node) -> list[Node]:
    """The direct sub-expressions, in the order in which they are written."""
    if isinstance(node, str):
        return []
    ((tag, body),) = node.items()
    match tag:
        case "aggregate" | "call":
            return list(body.get("args", ()))
        case "negate" | "not" | "is_null":
            return [body]
        case "cast":
            return [body["operand"]]
        case "binary":
            return [body["left"], body["right"]]
        case "and" | "or":
            return list(body)
        case "in":
            return [body["operand"], *body["list"]]
        case "between":
            return [body["operand"], body["low"], body["high"]]
        case "like":
            return [body["operand"], body["pattern"]]
        case "case":
            parts = [part for branch in body["branches"] for part in (branch["when"], branch["then"])]
            return parts + ([body["otherwise"]] if body.get("otherwise") is not None else [])
    return []


def with_children(node: Node, parts: list[Node]) -> Node:
    """The node with other sub-expressions, as many as it has."""
    if isinstance(node, str):
        return node
    ((tag, body),) = node.items()
    match tag:
        case "aggregate" | "call":
            return {tag: {**body, "args": parts}} if parts else node
        case "negate" | "not" | "is_null":
            return {tag: parts[0]}
        case "cast":
            return {tag: {**body, "operand": parts[0]}}
        case "binary":
            return {tag: {**body, "left": parts[0], "right": parts[1]}}
        case "and" | "or":
            return {tag: parts}
        case "in":
            return {tag: {"operand": parts[0], "list": parts[1:]}}
        case "between":
            return {tag: {"operand": parts[0], "low": parts[1], "high": parts[2]}}
        case "like":
            return {tag: {**body, "operand": parts[0], "pattern": parts[1]}}
        case "case":
            count = len(body["branches"])
            branches = [{"when": parts[2 * i], "then": parts[2 * i + 1]} for i in range(count)]
            changed = {**body, "branches": branches}
            if len(parts) > 2 * count:
                changed["otherwise"] = parts[-1]
            return {tag: changed}
    return node


def rewrite(node: Node, change: Callable[[Node], Node]) -> Node:
    """Applies `change` to every node, sub-expressions first."""
    parts = children(node)
    if parts:
        changed = [rewrite(part, change) for part in parts]
        if any(new is not old for new, old in zip(changed, parts, strict=True)):
            node = with_children(node, changed)
    return change(node)


def walk(node: Node) -> Iterator[Node]:
    """The node and every node below it, parents first."""
    yield node
    for part in children(node):
        yield from walk(part)


def defined_in(node: Node) -> Iterator[Any]:
    """The aggregates that are written in Python."""
    for part in walk(node):
        if tag_of(part) == "aggregate" and "defined" in part["aggregate"]:
            yield part["aggregate"]["defined"]


def depth_of(node: Node) -> int:
    """Levels of nesting; a leaf is 1.

    Raises:
        PatternError: It is deeper than any expression may be (code ``limit-exceeded``).
    """
    deepest, pending = 0, [(node, 1)]
    while pending:
        part, depth = pending.pop()
        if depth > EXPR_DEPTH_MAX:
            raise too_deep()
        deepest = max(deepest, depth)
        pending.extend((child, depth + 1) for child in children(part))
    return deepest


def too_deep() -> PatternError:
    """The error for an expression past the limit of nesting."""
    return PatternError(
        f"the expression has more than {EXPR_DEPTH_MAX} levels of nesting; compute part of it as a column first",
        code="limit-exceeded",
        limit=EXPR_DEPTH_MAX,
    )


def pointer_of(node: Node) -> dict[str, Any]:
    """Where a column, classifier or predicate column is read; defaults are left out."""
    ((_, body),) = node.items()
    at: dict[str, Any] = body.get("at", {})
    return at


def with_pointer(node: Node, at: dict[str, Any]) -> Node:
    """The node read at another row."""
    ((tag, body),) = node.items()
    changed = {key: value for key, value in body.items() if key != "at"}
    if at:
        changed["at"] = at
    return {tag: changed}


def measure_form(node: Node, *, from_text: bool = False) -> Node:
    """The node as a measure: what a condition finds among the rows accepted before, a measure finds in the whole match.

    `from_text`: the node was parsed as a measure, where rows so far are spelled as SQL does, without a mark.
    """

    def finished(part: Node) -> Node:
        tag = tag_of(part)
        if tag in POINTER_TAGS:
            at = pointer_of(part)
            logical = any(key in at for key in ("variable", "anchor", "logical_offset"))
            if at.get("tested_row") == "excluded" or (from_text and logical):
                return with_pointer(part, _final(at))
        elif tag == "aggregate":
            body = part["aggregate"]
            if body.get("tested_row") == "excluded" or from_text:
                return {"aggregate": _final(body)}
        return part

    return rewrite(node, finished)


def _final(body: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in body.items() if key not in ("tested_row", "semantics")}
    # The first row of a match is known from the start: one spelling for it.
    return kept if kept == _FIRST_ROW else {**kept, "semantics": "final"}


def condition_form(node: Node) -> Node:
    """The inverse of `measure_form`, for spelling a measure as code."""

    def accepted(part: Node) -> Node:
        tag = tag_of(part)
        body = part[tag] if tag == "aggregate" else pointer_of(part) if tag in POINTER_TAGS else None
        if body is None or (body.get("semantics") != "final" and body != _FIRST_ROW):
            return part
        kept = {key: value for key, value in body.items() if key != "semantics"}
        marked = {**kept, "tested_row": "excluded"}
        return {"aggregate": marked} if tag == "aggregate" else with_pointer(part, marked)

    return rewrite(node, accepted)


def accepted_before(node: Node) -> Node:
    """The node with every row that is found by its place among the accepted ones marked as one accepted before.

    In text the parser marks what is said of a variable; this is the same of all rows: ``FIRST(x)``, ``COUNT(*)``.
    """

    def marked(part: Node) -> Node:
        tag = tag_of(part)
        if tag in POINTER_TAGS and pointer_of(part).keys() & {"anchor", "logical_offset"}:
            return with_pointer(part, {**pointer_of(part), "tested_row": "excluded"})
        if tag == "aggregate":
            return {"aggregate": {**part["aggregate"], "tested_row": "excluded"}}
        return part

    return rewrite(node, marked)


def resolve_names(node: Node, known: list[str]) -> Node:
    """Variables by the names the pattern gives them: as written, else the only one that differs but in case."""

    def resolved(part: Node) -> Node:
        tag = tag_of(part)
        if tag in POINTER_TAGS:
            at = pointer_of(part)
            name = at.get("variable")
            found = resolve_name(name, known) if name is not None else None
            return part if found == name else with_pointer(part, {**at, "variable": found})
        if tag == "aggregate" and (name := part["aggregate"].get("variable")) is not None:
            return {"aggregate": {**part["aggregate"], "variable": resolve_name(name, known)}}
        return part

    return rewrite(node, resolved)


def normal_condition(node: Node, variable: str) -> Node:
    """The condition of `variable` in its one normal spelling: marks that say nothing are dropped."""

    def normal(part: Node) -> Node:
        tag = tag_of(part)
        if tag in POINTER_TAGS:
            at = dict(pointer_of(part))
            own = at.get("variable") == variable
            if at.get("variable") is not None and not own:
                at.pop("tested_row", None)
            if own and not at.keys() & {"tested_row", "anchor", "logical_offset", "semantics"}:
                del at["variable"]
            return part if at == pointer_of(part) else with_pointer(part, at)
        if tag == "aggregate":
            body = part["aggregate"]
            if body.get("variable") not in (None, variable) and "tested_row" in body:
                return {"aggregate": {key: value for key, value in body.items() if key != "tested_row"}}
        return part

    return rewrite(node, normal)


def marked_condition(node: Node, variable: str | None) -> Node:
    """The inverse of `normal_condition`: every row of another variable is one accepted before.

    `variable` is None where the row under test belongs to none.
    """

    def marked(part: Node) -> Node:
        tag = tag_of(part)
        if tag in POINTER_TAGS:
            at = pointer_of(part)
            if at.get("variable") not in (None, variable):
                return with_pointer(part, {**at, "tested_row": "excluded"})
        elif tag == "aggregate" and part["aggregate"].get("variable") not in (None, variable):
            return {"aggregate": {**part["aggregate"], "tested_row": "excluded"}}
        return part

    return rewrite(node, marked)


def conjunction(nodes: list[Node]) -> Node:
    """All of them; one stands for itself."""
    return _chain("and", nodes)


def _chain(tag: str, nodes: list[Node]) -> Node:
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node[tag]) if tag_of(node) == tag else flat.append(node)
    return flat[0] if len(flat) == 1 else {tag: flat}


def disjunction(nodes: list[Node]) -> Node:
    """One of them at least; one stands for itself."""
    return _chain("or", nodes)
