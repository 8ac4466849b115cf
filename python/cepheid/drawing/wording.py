"""How pictures say what stands in a pattern's data: conditions, bounds and counts."""

from __future__ import annotations

import json
from typing import Any

from cepheid._native import unparse_expression
from cepheid.literal import duration_text
from cepheid.nodes import Node

_RELATIONS = {
    "strict": "the very next row",
    "skip_till_next": "rows that do not fit may lie between",
    "skip_till_any": "any rows may lie between",
}


def relation_text(contiguity: str) -> str:
    """How a row follows the one before."""
    return _RELATIONS[contiguity]


def condition_text(condition: Node) -> str:
    """A condition as SQL."""
    return unparse_expression(json.dumps(condition))


def distance_text(within: Any) -> str:
    """A bound without what it is between; of none that is meant, so much."""
    if within == "unbounded":
        return "for ever"
    ((kind, bound),) = within.items()
    if kind == "time":
        return f"less than {duration_text(bound['nanoseconds'])}"
    return f"at most {bound} row{'' if bound == 1 else 's'}"


def bound_text(body: dict[str, Any]) -> str:
    """The bound of a part."""
    if body.get("between") == "neighbours":
        return f"{distance_text(body['within'])} behind the row before"
    return f"part takes {distance_text(body['within'])}"


def counts_text(low: int, high: int | None) -> str:
    """How often something is there; nothing where that is any number from one."""
    if high is None:
        return f"{low} times or more" if low > 1 else ""
    if low == high:
        return f"{low} times in all"
    return f"{low} to {high} times in all" if low else f"up to {high} times in all"


def absence_text(variable: str, *, for_ns: int | None, contiguity: str, first: bool, last: bool) -> str:
    """What must not come, and till when."""
    span = "" if for_ns is None else duration_text(for_ns)
    if first:
        return f"no {variable} before" + (f", for {span}" if span else "")
    if contiguity == "strict":
        return f"next row is not {variable}"
    if last:
        return f"no {variable} " + (f"for {span}" if span else "till the bound is over")
    return f"no {variable} till the next row"
