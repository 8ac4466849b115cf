"""Larger patterns of smaller ones: what may be joined, and the tree that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from cepheid.clauses import CLAUSE_METHODS
from cepheid.errors import PatternError
from cepheid.nodes import Node
from cepheid.pattern_data import PatternData
from cepheid.row_pattern import VARIABLES_MAX, checked_contiguity, checked_count, root_tag

P = TypeVar("P", bound=PatternData)


def sequence(parts: Sequence[P], relations: list[str]) -> P:
    """The parts in order, each with its relation to the one before; sequences among them are spliced in."""
    define, variables, _ = joined(parts)
    if not parts:
        raise PatternError("seq() needs at least one part", code="too-few-parts")
    if len(parts) == 1:
        return parts[0]
    steps: list[Any] = []
    depth = 0
    for part, relation in zip(parts, relations, strict=True):
        nested = root_tag(part._root) == "sequence"
        inner = part._root["sequence"] if nested else [{"node": part._root}]
        depth = max(depth, part._depth - nested)
        steps.append(_step(inner[0]["node"], relation if steps else "strict"))
        steps.extend(inner[1:])
    return type(parts[0])._of({"sequence": steps}, define, variables, depth + 1)


def _step(node: Any, relation: str) -> dict[str, Any]:
    return {"node": node} if relation == "strict" else {"contiguity": relation, "node": node}


def quantified(part: P, low: Any, high: Any, contiguity: Any, greedy: Any) -> P:
    """The part repeated `low` to `high` times; `high` is None for no bound."""
    checked_part(part)
    least = checked_count(low, "a count")
    most = None if high is None else checked_count(high, "a count")
    relation = "strict" if most == 1 else checked_contiguity(contiguity)
    if not isinstance(greedy, bool):
        raise TypeError(f"greedy is True or False, not {type(greedy).__name__}")
    if most is not None and (most < 1 or most < least):
        raise PatternError(
            f"a part cannot repeat {least} to {most} times; the upper count must be at least 1 and not below the lower",
            code="invalid-quantifier",
        )
    if least == most == 1:
        return part
    quantifier = {"min": least, "max": most, "greedy": greedy, "contiguity": relation}
    root = {"quantified": {"node": part._root, "quantifier": quantifier}}
    return type(part)._of(root, part._define, part._variables, part._depth + 1)


def checked_part(part: Any) -> None:
    """Checks that something can be a part of a larger pattern."""
    if not isinstance(part, PatternData):
        raise TypeError(f"a part of a pattern is a pattern, not {type(part).__name__}; write event(name, condition)")
    for key in part._clauses:
        if key == "within":
            raise PatternError(
                "within() on a part cannot be matched by this version; call it on the whole pattern",
                code="unsupported",
                hint="call within() on the whole pattern",
            )
        if key in ("empty_matches", "output", "subsets", "initial"):
            raise PatternError(
                "a pattern with SQL's meaning cannot be a part of another; write the whole in SQL",
                code="clause-on-part",
            )
        method = CLAUSE_METHODS.get(key, key)
        raise PatternError(
            f"{method}() is a clause of the whole pattern; call it on the outermost one, after the parts are joined",
            code="clause-on-part",
            context=method,
        )


def joined(parts: Any) -> tuple[dict[str, Node], tuple[str, ...], int]:
    """The conditions, variables and greatest depth of parts that share no variable."""
    define: dict[str, Node] = {}
    variables: dict[str, None] = {}
    depth = 0
    for part in parts:
        checked_part(part)
        depth = max(depth, part._depth)
        for name in part._variables:
            if name in variables:
                raise PatternError(
                    f"two events are named `{name}`; give each event of a pattern a name of its own",
                    code="duplicate-variable",
                    variable=name,
                )
            variables[name] = None
        define.update(part._define)
    if len(variables) > VARIABLES_MAX:
        raise PatternError(
            f"the pattern has {len(variables)} variables; the limit is {VARIABLES_MAX}",
            code="limit-exceeded",
            limit=VARIABLES_MAX,
        )
    return define, tuple(variables), depth


def alternation(parts: Sequence[P]) -> P:
    """One of the parts, the earlier preferred; alternations among them are spliced in."""
    define, variables, _ = joined(parts)
    branches: list[Any] = []
    depth = 0
    for part in parts:
        nested = root_tag(part._root) == "alternation"
        branches.extend(part._root["alternation"] if nested else [part._root])
        depth = max(depth, part._depth - nested)
    return type(parts[0])._of({"alternation": branches}, define, variables, depth + 1)
