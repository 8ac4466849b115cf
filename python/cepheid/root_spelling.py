"""Row patterns as the Python code that builds them."""

from __future__ import annotations

from typing import Any

from cepheid import nodes
from cepheid.bounds import KINDS, bound_code, bound_of
from cepheid.literal import duration_text
from cepheid.nodes import Node
from cepheid.row_pattern import root_tag
from cepheid.spelling import expr_code

# How tightly code binds, loosest first.
_ALTERNATION, _SEQUENCE, _WHOLE = range(3)

_METHODS = {"strict": "next", "skip_till_next": "then", "skip_till_any": "then_any"}


class NotSpellable(Exception):
    """The algebra has no words for it."""


def root_code(root: Any, define: dict[str, Node], topics: dict[str, str]) -> tuple[str, bool]:
    """Code that builds the row pattern, conditions included, and whether a method can be called on it as it is.

    Raises:
        NotSpellable: It holds what only SQL can say, or bounds that nest as the algebra does not nest them.
    """
    if root_tag(root) == "bounded":
        # What is said of the whole is a clause, or has been taken off; said again, it would become one.
        raise NotSpellable
    code, binds = _Speller(define, topics).spelled(root, "skip_till_next")
    return code, binds == _WHOLE


class _Speller:
    """Spells parts of one pattern. `inherited` is what a loop that says nothing takes for its contiguity."""

    def __init__(self, define: dict[str, Node], topics: dict[str, str]) -> None:
        self.define = define
        self.topics = topics

    def spelled(self, node: Any, inherited: str) -> tuple[str, int]:
        """The code, and how tightly it binds."""
        if not isinstance(node, dict):
            raise NotSpellable
        ((tag, body),) = node.items()
        match tag:
            case "variable":
                return self.event(body), _WHOLE
            case "absent":
                span = body.get("for_ns")
                said = "" if span is None else f", for_={duration_text(span)!r}"
                return f"cep.absent({self.event(body['variable'])}{said})", _WHOLE
            case "sequence":
                return self.sequence(body, inherited)
            case "alternation":
                return " | ".join(self.enclosed(part, inherited, _SEQUENCE) for part in body), _ALTERNATION
            case "permute":
                contiguity = body.get("contiguity", "strict")
                parts = [self.spelled(part, inherited)[0] for part in body["parts"]]
                said = "" if contiguity == inherited else f", contiguity={contiguity!r}"
                return f"cep.all_of({', '.join(parts)}{said})", _WHOLE
            case "quantified":
                return self.quantified(body, inherited), _WHOLE
            case "bounded":
                return self.bounded(node, inherited), _WHOLE
        raise NotSpellable

    def enclosed(self, node: Any, inherited: str, level: int) -> str:
        """The code, in parentheses if it binds less tightly than it must."""
        code, binds = self.spelled(node, inherited)
        return code if binds >= level else f"({code})"

    def event(self, name: str) -> str:
        arguments = [repr(name)]
        condition = self.define.get(name)
        if condition is not None:
            condition = nodes.marked_condition(condition, name)
            conditions = condition["and"] if nodes.tag_of(condition) == "and" else [condition]
            arguments += map(expr_code, conditions)
        if name in self.topics:
            arguments.append(f"topic={self.topics[name]!r}")
        return f"event({', '.join(arguments)})"

    def sequence(self, steps: list[Any], inherited: str) -> tuple[str, int]:
        relations = [step.get("contiguity", "strict") for step in steps[1:]]
        if all(relation == "skip_till_next" for relation in relations):
            parts = [self.enclosed(step["node"], inherited, _SEQUENCE + (i > 0)) for i, step in enumerate(steps)]
            return " >> ".join(parts), _SEQUENCE
        if len(set(relations)) == 1:
            parts = [self.spelled(step["node"], relations[0])[0] for step in steps]
            return f"cep.seq({', '.join(parts)}, contiguity={relations[0]!r})", _WHOLE
        code = self.enclosed(steps[0]["node"], inherited, _WHOLE)
        for step, relation in zip(steps[1:], relations, strict=True):
            code += f".{_METHODS[relation]}({self.spelled(step['node'], inherited)[0]})"
        return code, _WHOLE

    def quantified(self, body: dict[str, Any], inherited: str) -> str:
        quantifier = body["quantifier"]
        low, high, until = quantifier["min"], quantifier["max"], quantifier.get("until")
        call: str
        args: list[str]
        match low, high:
            case 0, 1 if until is None:
                call, args = "optional", []
            case 0, None:
                call, args = "zero_or_more", []
            case 1, None:
                call, args = "one_or_more", []
            case _, None:
                call, args = "at_least", [str(low)]
            case _ if low == high:
                call, args = "times", [str(low)]
            case _:
                call, args = "times", [str(low), str(high)]
        contiguity = quantifier.get("contiguity", "strict")
        if contiguity != inherited and high != 1:
            args.append(f"contiguity={contiguity!r}")
        if (greedy := quantifier.get("greedy")) is not None:
            args.append(f"greedy={greedy}")
        if until is not None:
            args.append(f"until={expr_code(until)}")
        return f"{self.enclosed(body['node'], inherited, _WHOLE)}.{call}({', '.join(args)})"

    def bounded(self, node: Any, inherited: str) -> str:
        calls = ""
        place = -1
        while root_tag(node) == "bounded":
            kind, bound = bound_of(node)
            if bound is None or KINDS.index(kind) <= place:
                raise NotSpellable
            place = KINDS.index(kind)
            calls += bound_code(kind, bound)
            node = node["bounded"]["node"]
        return self.enclosed(node, inherited, _WHOLE) + calls
