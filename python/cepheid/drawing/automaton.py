"""The automaton of a row pattern: states, and what leads from one to another.

The construction is Thompson's, with a free arrow only where sharing a state would let in what the pattern does not say:
a sequence shares the state between two steps, the ways of an alternation share their first state and their last, a
single event that repeats is a loop. A group that repeats has an arrow back, with the counts and the relation between
repetitions on it. Parts in any order are spelled out if they are three single events at most; more go between two bars.

- Time and space: O(n) of a pattern of n parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from cepheid.drawing.wording import absence_text, bound_text, condition_text, counts_text, relation_text
from cepheid.row_pattern import root_parts, root_tag, walk_root

STRICT = "strict"
# More single events in any order than this have too many orders to be spelled out.
SPELLED_ORDERS = 3

Role = Literal["row", "pass", "again", "skip", "anchor", "absence", "all_of"]


class Arrow(NamedTuple):
    """What leads from a state to another.

    Attributes:
        source: The state that it leaves.
        target: The state that it leads to.
        role: ``row``: a row of `variable` is taken. The others take none: ``again``: a group repeats; ``skip``: a part
            is left out; ``anchor``: only at an edge of the partition; ``absence``: once it is over; ``all_of``: a part
            among others of any order begins; ``pass``: nothing is asked.
        variable: Of whom the row is.
        contiguity: How what comes next follows the row before it: by a ``row``, or by the first one behind ``again``.
        awaited: The variables that may come next, of ``again``.
        notes: What else is said of it.
    """

    source: int
    target: int
    role: Role
    variable: str | None = None
    contiguity: str = STRICT
    awaited: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Automaton(NamedTuple):
    """States, numbered from 0, where matches begin.

    Attributes:
        arrows: The arrows, in the order in which the pattern is written.
        guards: By state: variables of which no row may come while a match waits there, each with how that is said.
        bars: States between which all parts are there, in any order.
        end: The state in which matches end.
        states: How many states there are.
    """

    arrows: tuple[Arrow, ...]
    guards: dict[int, tuple[tuple[str, str], ...]]
    bars: frozenset[int]
    end: int
    states: int


class _Scope(NamedTuple):
    """What is known of the place of a part.

    Attributes:
        contiguity: How its first row follows the row before it.
        shared: Other parts may begin in its first state: nothing may lead back there.
        first: Nothing of the pattern comes before it.
        last: Nothing of the pattern comes behind it.
        notes: What is said of every row of it.
    """

    contiguity: str = STRICT
    shared: bool = False
    first: bool = True
    last: bool = True
    notes: tuple[str, ...] = ()


def automaton(root: Any) -> Automaton:
    """The automaton of a row pattern: of the tree that `Pattern.to_dict` gives."""
    builder = _Builder()
    end = builder.part(root, 0, _Scope())
    if end in builder.bars:
        # A bar is no state to end in.
        end = builder.free(end, builder.state())
    return Automaton(
        tuple(builder.arrows),
        {state: tuple(guards) for state, guards in builder.guards.items()},
        frozenset(builder.bars),
        end,
        builder.states,
    )


class _Builder:
    """Adds parts of a pattern, one behind the other or beside each other."""

    def __init__(self) -> None:
        self.arrows: list[Arrow] = []
        self.guards: dict[int, list[tuple[str, str]]] = {}
        self.bars: set[int] = set()
        self.states = 1
        # States that an arrow leaves.
        self._left: set[int] = set()

    def part(self, root: Any, start: int, scope: _Scope, into: int | None = None) -> int:
        """Adds a part.

        Args:
            root: The part.
            start: The state in which it begins.
            scope: What is known of its place.
            into: The state in which it is to end; by default one that nothing else leads to or leaves, or `start`.

        Returns:
            The state in which it ends.
        """
        match root_tag(root):
            case "variable":
                return self._row(start, self._target(into), root["variable"], scope)
            case "sequence":
                return self._sequence(root["sequence"], start, scope, into)
            case "alternation":
                return self._ways(root["alternation"], start, scope, self._target(into))
            case "permute":
                return self._any_order(root["permute"], start, scope, into)
            case "quantified":
                return self._repeated(root["quantified"], start, scope, into)
            case "exclusion":
                return self.part(root["exclusion"], start, _noted(scope, "not reported"), into)
            case "bounded":
                return self.part(root["bounded"]["node"], start, _noted(scope, bound_text(root["bounded"])), into)
            case "absent":
                return self._absence(root["absent"], start, scope, into)
            case "anchor":
                return self.free(start, self._target(into), "anchor", f"at the {root['anchor']} of its partition")
        assert root == "empty", root_tag(root)
        return start if into is None else self.free(start, into, "skip")

    def state(self) -> int:
        """A new state."""
        self.states += 1
        return self.states - 1

    def _target(self, into: int | None) -> int:
        return self.state() if into is None else into

    def _add(self, arrow: Arrow) -> int:
        self.arrows.append(arrow)
        self._left.add(arrow.source)
        return arrow.target

    def free(self, source: int, target: int, role: Role = "pass", *notes: str) -> int:
        """Adds an arrow that takes no row, and gives the state that it leads to."""
        return self._add(Arrow(source, target, role, notes=notes))

    def _row(self, source: int, target: int, variable: str, scope: _Scope) -> int:
        return self._add(Arrow(source, target, "row", variable, scope.contiguity, notes=scope.notes))

    def _own(self, state: int, scope: _Scope) -> int:
        """The state, or one behind it, if something else leaves or may leave it."""
        return self.free(state, self.state()) if scope.shared or state in self._left else state

    def _ended(self, end: int, into: int | None) -> int:
        return end if into is None else self.free(end, into)

    def _sequence(self, steps: Sequence[Any], start: int, scope: _Scope, into: int | None) -> int:
        takes = [_takes_rows(step["node"]) for step in steps]
        at = start
        for place, step in enumerate(steps):
            first = scope.first and not any(takes[:place])
            # Before the first row there is none that it could follow.
            contiguity = STRICT if first else step.get("contiguity", STRICT) if place else scope.contiguity
            inner = scope._replace(
                contiguity=contiguity,
                shared=scope.shared and at == start,
                first=first,
                last=scope.last and not any(takes[place + 1 :]),
            )
            at = self.part(step["node"], at, inner, into if place == len(steps) - 1 else None)
        return at

    def _ways(self, parts: Sequence[Any], start: int, scope: _Scope, end: int) -> int:
        for part in parts:
            self.part(part, start, scope._replace(shared=True), end)
        return end

    def _any_order(self, body: dict[str, Any], start: int, scope: _Scope, into: int | None) -> int:
        parts, contiguity = body["parts"], body.get("contiguity", STRICT)
        if len(parts) <= SPELLED_ORDERS and all(root_tag(part) == "variable" for part in parts):
            return self._orders([part["variable"] for part in parts], contiguity, start, scope, into)
        fork, join = self.state(), self.state()
        self.bars |= {fork, join}
        # The arrows behind the bar say how each follows the one before.
        said = (
            [] if scope.first or scope.contiguity == contiguity else [f"the first: {relation_text(scope.contiguity)}"]
        )
        self.free(start, fork, "all_of", "all of these, in any order", *said)
        inner = scope._replace(first=False, last=False, contiguity=contiguity)
        return self._ended(self._ways(parts, fork, inner, join), into)

    def _orders(self, variables: Sequence[str], contiguity: str, start: int, scope: _Scope, into: int | None) -> int:
        """Every order of single events: a state for each choice of those that are there."""
        whole = (1 << len(variables)) - 1
        states = {0: start, whole: self._target(into)}
        for there in range(whole):
            at = scope._replace(contiguity=contiguity) if there else scope
            for place, variable in enumerate(variables):
                behind = there | 1 << place
                if behind != there:
                    if behind not in states:
                        states[behind] = self.state()
                    self._row(states[there], states[behind], variable, at)
        return states[whole]

    def _repeated(self, body: dict[str, Any], start: int, scope: _Scope, into: int | None) -> int:
        part, quantifier = body["node"], body["quantifier"]
        low, high = quantifier["min"], quantifier["max"]
        if high == 0:
            return self.free(start, self._target(into), "skip")
        if high == 1:
            said = _noted(scope, *_until(quantifier))
            if low:
                return self.part(part, start, said, into)
            end = self.part(part, start, said._replace(shared=True), self._target(into))
            return self.free(start, end, "skip", *_preference(quantifier))
        counted = counts_text(low, high)
        notes = (*([counted] if counted else []), *_preference(quantifier), *_until(quantifier))
        relation = quantifier.get("contiguity", STRICT)
        if root_tag(part) == "variable":
            end = self._row(start, self.state(), part["variable"], scope)
            self._row(end, end, part["variable"], _noted(scope, *notes)._replace(contiguity=relation))
        else:
            begin = self._own(start, scope)
            # What leaves the part out leaves `start`, too.
            shared = not low and begin == start
            end = self.part(part, begin, scope._replace(shared=shared, first=False, last=False))
            if end != begin:
                self._add(Arrow(end, begin, "again", None, relation, tuple(leading(part)), notes))
        if low:
            return self._ended(end, into)
        outer = self.free(end, self._target(into))
        return self.free(start, outer, "skip")

    def _absence(self, body: dict[str, Any], start: int, scope: _Scope, into: int | None) -> int:
        text = absence_text(
            body["variable"],
            for_ns=body.get("for_ns"),
            contiguity=scope.contiguity,
            first=scope.first,
            last=scope.last,
        )
        if scope.last and not scope.first:
            return self._add(Arrow(start, self._target(into), "absence", body["variable"], notes=(text, *scope.notes)))
        at = self._own(start, scope)
        self.guards.setdefault(at, []).append((body["variable"], text))
        return self._ended(at, into)


def leading(root: Any) -> dict[str, None]:
    """The variables that a row pattern may begin with, in the order in which they are written."""
    found: dict[str, None] = {}
    match root_tag(root):
        case "variable":
            found[root["variable"]] = None
        case "sequence":
            for part in root_parts(root):
                found |= leading(part)
                if not _may_be_empty(part):
                    break
        case _:
            for part in root_parts(root):
                found |= leading(part)
    return found


def _noted(scope: _Scope, *notes: str) -> _Scope:
    return scope._replace(notes=(*scope.notes, *notes))


def _until(quantifier: dict[str, Any]) -> list[str]:
    until = quantifier.get("until")
    return [] if until is None else [f"until {condition_text(until)}"]


def _preference(quantifier: dict[str, Any]) -> list[str]:
    """What is said of greed where it is not what goes without saying."""
    return ["rather fewer"] if quantifier.get("greedy") is False else []


def _takes_rows(root: Any) -> bool:
    return any(root_tag(part) == "variable" for part in walk_root(root))


def _may_be_empty(root: Any) -> bool:
    parts = root_parts(root)
    match root_tag(root):
        case "variable":
            return False
        case "alternation":
            return any(map(_may_be_empty, parts))
        case "quantified":
            return root["quantified"]["quantifier"]["min"] == 0 or _may_be_empty(parts[0])
    return all(map(_may_be_empty, parts))
