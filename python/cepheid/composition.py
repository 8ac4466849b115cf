"""Larger patterns of smaller ones: what may be joined, and the tree that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from cepheid import absence
from cepheid.bounds import bounded_part
from cepheid.clauses import CLAUSE_METHODS, condition_node
from cepheid.errors import PatternError
from cepheid.literal import duration_ns
from cepheid.pattern_data import PatternData
from cepheid.row_pattern import (
    PERMUTE_PARTS_MAX,
    VARIABLES_MAX,
    Body,
    checked_contiguity,
    checked_count,
    root_tag,
    settled,
)

P = TypeVar("P", bound=PatternData)


def sequence(parts: Sequence[P], relations: list[str]) -> P:
    """The parts in order, each with its relation to the one before; sequences among them are spliced in."""
    bodies, whole = _all_parts(parts, "seq()")
    if len(parts) == 1:
        return parts[0]
    steps: list[Any] = []
    depth = 0
    for body, relation in zip(bodies, relations, strict=True):
        if steps and relation == "skip_till_any" and body.absent:
            absence.check_skip_till_any(body.root)
        nested = root_tag(body.root) == "sequence"
        inner = body.root["sequence"] if nested else [{"node": body.root}]
        depth = max(depth, body.depth - nested)
        steps.append(_step(inner[0]["node"], relation if steps else "strict"))
        steps.extend(inner[1:])
    return made(parts[0], whole._replace(root={"sequence": steps}, depth=depth + 1))


def _all_parts(parts: Sequence[P], caller: str) -> tuple[list[Body], Body]:
    """The row pattern of each part, of which there must be one at least, and what they have together."""
    if not parts:
        raise PatternError(f"{caller} needs at least one part", code="too-few-parts")
    bodies = [part_body(part) for part in parts]
    return bodies, joined(bodies)


def _step(node: Any, relation: str) -> dict[str, Any]:
    return {"node": node} if relation == "strict" else {"contiguity": relation, "node": node}


def settled_parts(parts: Sequence[P], relation: str) -> list[P]:
    """The parts, with every relation in them that nobody has spoken about set."""
    changed = []
    for part in parts:
        # Clauses are kept: a single part stands for itself.
        part_body(part)
        root = settled(part._body.root, relation)
        if part._body.absent:
            absence.check_relations(root)
        changed.append(part._of(part._body._replace(root=root), part._clauses))
    return changed


def quantified(part: P, low: Any, high: Any, contiguity: Any, greedy: Any, until: Any = None) -> P:
    """The part repeated `low` to `high` times; `high` is None for no bound."""
    body = part_body(part)
    least = checked_count(low, "a count")
    most = None if high is None else checked_count(high, "a count")
    relation = "strict" if most == 1 else checked_contiguity(contiguity)
    if greedy is not None and not isinstance(greedy, bool):
        raise TypeError(f"greedy is True, False or None, not {type(greedy).__name__}")
    if most is not None and (most < 1 or most < least):
        raise PatternError(
            f"a part cannot repeat {least} to {most} times; the upper count must be at least 1 and not below the lower",
            code="invalid-quantifier",
        )
    absence.check_repeatable(body.root)
    if relation == "skip_till_any" and body.absent:
        absence.check_skip_till_any(body.root)
    quantifier: dict[str, Any] = {"min": least, "max": most, "greedy": greedy, "contiguity": relation}
    if until is not None:
        quantifier["until"] = condition_node(until, "until")
    elif least == most == 1:
        return part
    root = {"quantified": {"node": body.root, "quantifier": quantifier}}
    return made(part, body._replace(root=root, depth=body.depth + 1))


def alternation(parts: Sequence[P]) -> P:
    """One of the parts, the earlier preferred; alternations among them are spliced in."""
    bodies, whole = _all_parts(parts, "|")
    branches: list[Any] = []
    depth = 0
    for body in bodies:
        nested = root_tag(body.root) == "alternation"
        branches.extend(body.root["alternation"] if nested else [body.root])
        depth = max(depth, body.depth - nested)
    return made(parts[0], whole._replace(root={"alternation": branches}, depth=depth + 1))


def permutation(parts: Sequence[P], relation: str | None) -> P:
    """All of the parts, in any order."""
    bodies, whole = _all_parts(parts, "all_of()")
    if len(parts) == 1:
        return parts[0]
    if len(parts) > PERMUTE_PARTS_MAX:
        raise PatternError(
            f"all_of() takes at most {PERMUTE_PARTS_MAX} parts, not {len(parts)}: their orders number the factorial",
            code="limit-exceeded",
            limit=PERMUTE_PARTS_MAX,
        )
    roots = [body.root for body in bodies]
    if whole.absent:
        absence.check_permuted(roots)
    root = {"permute": {"parts": roots, "contiguity": relation}}
    if whole.absent:
        absence.check_relations(root)
    return made(parts[0], whole._replace(root=root, depth=whole.depth + 1))


def absent_event(part: P, for_: Any) -> P:
    """The absence of an event, for a span of time or not."""
    body = part_body(part)
    name = body.variables[0]
    match root_tag(body.root):
        case "variable":
            pass
        case "quantified" if len(body.variables) == 1:
            raise absence.invalid_absence(
                name, "what is not there can be neither repeated nor optional; leave the quantifier out"
            )
        case "bounded" if len(body.variables) == 1:
            raise absence.invalid_absence(name, "what is not there has no extent to bound; leave within() out")
        case "absent":
            raise absence.invalid_absence(name, "it is absent already; write absent() once")
        case _:
            raise absence.invalid_absence(
                name, "absent() takes a single event; write one condition for all that must not come"
            )
    node: dict[str, Any] = {"variable": name}
    if for_ is not None:
        node["for_ns"] = duration_ns(for_)
        if node["for_ns"] <= 0:
            raise PatternError(f"absent `{name}`: for_ must be longer than zero", code="invalid-within", variable=name)
    return made(part, body._replace(root={"absent": node}, absent=frozenset(body.variables)))


def made(part: P, body: Body) -> P:
    """A pattern of the part's class, once its absent events are known to stand where they can."""
    if body.absent:
        absence.check_spans(body.root)
    return type(part)._of(body)


def part_body(part: Any) -> Body:
    """The row pattern of a part of a larger pattern, its bounds around it."""
    if not isinstance(part, PatternData):
        raise TypeError(f"a part of a pattern is a pattern, not {type(part).__name__}; write event(name, condition)")
    for key in part._clauses:
        if key == "within":
            continue
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
    return bounded_part(part._body, part._clauses.get("within", {}))


def joined(bodies: Sequence[Body]) -> Body:
    """The events of parts that share none, and the greatest depth; the tree is still to be made."""
    variables: dict[str, None] = {}
    whole = Body(None, (), frozenset(), {}, {}, 0)
    for body in bodies:
        for name in body.variables:
            if name in variables:
                raise PatternError(
                    f"two events are named `{name}`; give each event of a pattern a name of its own",
                    code="duplicate-variable",
                    variable=name,
                )
            variables[name] = None
        whole.define.update(body.define)
        whole.topics.update(body.topics)
    if len(variables) > VARIABLES_MAX:
        raise PatternError(
            f"the pattern has {len(variables)} variables; the limit is {VARIABLES_MAX}",
            code="limit-exceeded",
            limit=VARIABLES_MAX,
        )
    absent = frozenset().union(*(body.absent for body in bodies))
    deepest = max((body.depth for body in bodies), default=0)
    return whole._replace(variables=tuple(variables), absent=absent, depth=deepest)
