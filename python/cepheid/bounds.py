"""Bounds on the extent of a pattern or a part: what kinds there are, how they nest, and how they are spelled.

A pattern may hold one bound of each kind. The time from first row to last is a clause of the whole pattern (or, where
there is none, the rows from first to last are); every other bound is a node around the row pattern, in the order of
`KINDS`, so that equal patterns are equal data in whatever order they were said.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from cepheid.errors import PatternError
from cepheid.literal import duration_ns, duration_text
from cepheid.row_pattern import Body, checked_count, root_parts, root_tag

Between = Literal["first_to_last", "neighbours"]

BETWEEN = ("first_to_last", "neighbours")
# Outermost first: what is measured, and in what.
KINDS = (
    ("first_to_last", "time"),
    ("first_to_last", "rows"),
    ("neighbours", "time"),
    ("neighbours", "rows"),
)
UNBOUNDED = None

Kind = tuple[str, str]
# Nanoseconds or rows; UNBOUNDED, of the time from first row to last: none, and that is meant.
Bounds = dict[Kind, int | None]


def checked_bound(span: str | dt.timedelta | None, rows: int | None, between: str) -> tuple[Kind, int | None]:
    """A bound as it was said; `span` is of no meaning where `rows` are given."""
    if rows is not None:
        return (between, "rows"), checked_count(rows, "rows")
    if span is None:
        return (between, "time"), UNBOUNDED
    nanoseconds = duration_ns(span)
    if nanoseconds <= 0:
        raise PatternError("WITHIN must be longer than zero", code="invalid-within")
    return (between, "time"), nanoseconds


def with_bound(bounds: Bounds, kind: Kind, bound: int | None) -> Bounds:
    """The bounds with one more, which replaces that of its kind."""
    changed = {**bounds, kind: bound}
    if bound is UNBOUNDED and kind != KINDS[0]:
        del changed[kind]
    return changed


def check_gaps(root: Any, bounds: Bounds) -> None:
    """Checks that no gap between neighbours is longer than a window around it."""
    windows = {unit: bound for (between, unit), bound in bounds.items() if between == "first_to_last"}
    for (between, unit), bound in bounds.items():
        if between == "neighbours":
            _check_gap(unit, bound, windows)
    _check_gaps_within(root, windows)


def _check_gaps_within(root: Any, windows: dict[str, int | None]) -> None:
    if root_tag(root) == "bounded":
        (between, unit), bound = bound_of(root)
        if between == "neighbours":
            _check_gap(unit, bound, windows)
        else:
            around = windows.get(unit)
            tighter = bound if around is None or (bound is not None and bound < around) else around
            windows = {**windows, unit: tighter}
    for part in root_parts(root):
        _check_gaps_within(part, windows)


def _check_gap(unit: str, gap: int | None, windows: dict[str, int | None]) -> None:
    window = windows.get(unit)
    if gap is not None and window is not None and gap > window:
        raise PatternError(
            "a gap between neighbours cannot be longer than the window around them; shorten the gap",
            code="gap-exceeds-window",
        )


def bounded_part(body: Body, bounds: Bounds) -> Body:
    """A part of a larger pattern: all of its bounds are nodes around it."""
    root, depth = body.root, body.depth
    for kind in reversed(KINDS):
        if bounds.get(kind) is not None:
            root, depth = _bounded(root, kind, bounds[kind]), depth + 1
    return body._replace(root=root, depth=depth)


def whole_root(root: Any, bounds: Bounds) -> tuple[Any, Any]:
    """The row pattern of a whole pattern with its bounds around it, and the clause, or None."""
    first = _clause_kind(bounds)
    for kind in reversed(KINDS):
        if kind != first and bounds.get(kind) is not None:
            root = _bounded(root, kind, bounds[kind])
    return root, None if first is None else _within(first, bounds[first])


def opened(root: Any, clause: Any) -> tuple[Any, Bounds]:
    """What stands inside the nodes that `whole_root` put around a row pattern, and the bounds; of any other nothing."""
    bounds: Bounds = {} if clause is None else dict([_read("first_to_last", clause)])
    allowed = KINDS[1:] if _clause_kind(bounds) == KINDS[0] else KINDS[2:]
    for kind in allowed:
        if root_tag(root) == "bounded" and bound_of(root)[0] == kind:
            bounds[kind] = bound_of(root)[1]
            root = root["bounded"]["node"]
    return root, bounds


def _clause_kind(bounds: Bounds) -> Kind | None:
    return next((kind for kind in KINDS[:2] if kind in bounds), None)


def _bounded(root: Any, kind: Kind, bound: int | None) -> Any:
    body = {"node": root, "within": _within(kind, bound)}
    if kind[0] != "first_to_last":
        body["between"] = kind[0]
    return {"bounded": body}


def _within(kind: Kind, bound: int | None) -> Any:
    if bound is UNBOUNDED:
        return "unbounded"
    return {"time": {"nanoseconds": bound}} if kind[1] == "time" else {"rows": bound}


def bound_of(root: Any) -> tuple[Kind, int | None]:
    """The bound that a node says."""
    body = root["bounded"]
    return _read(body.get("between", "first_to_last"), body["within"])


def _read(between: str, within: Any) -> tuple[Kind, int | None]:
    if within == "unbounded":
        return (between, "time"), UNBOUNDED
    if "rows" in within:
        return (between, "rows"), within["rows"]
    return (between, "time"), within["time"]["nanoseconds"]


def bound_code(kind: Kind, bound: int | None) -> str:
    """The method call that says a bound."""
    between = "" if kind[0] == "first_to_last" else f", between={kind[0]!r}"
    if kind[1] == "rows":
        return f".within(rows={bound}{between})"
    return f".within({None if bound is UNBOUNDED else duration_text(bound)!r}{between})"
