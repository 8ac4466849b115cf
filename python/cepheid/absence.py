"""Where absent events can stand in a row pattern. The engine checks the same of patterns that come as data."""

from __future__ import annotations

from typing import Any

from cepheid.errors import PatternError
from cepheid.row_pattern import root_parts, root_tag, walk_root


def invalid_absence(variable: str, problem: str) -> PatternError:
    """The error for an absent event where none can be."""
    return PatternError(f"absent `{variable}`: {problem}", code="invalid-absence", variable=variable)


def check_repeatable(root: Any) -> None:
    """Checks that a part takes rows, as it must to be repeated or optional."""
    if (variable := _absent_alone(root)) is not None:
        raise invalid_absence(
            variable, "what is not there can be neither repeated nor optional; leave the quantifier out"
        )


def check_bounded(root: Any) -> None:
    """Checks that a part takes rows, as it must to have an extent."""
    if (variable := _absent_alone(root)) is not None:
        raise invalid_absence(variable, "what is not there has no extent to bound; say for_=...")


def check_permuted(parts: list[Any]) -> None:
    """Checks that each part of `all_of` takes rows."""
    for part in parts:
        if (variable := _absent_alone(part)) is not None:
            raise invalid_absence(variable, "it has no place among parts of any order; put it before or after them")


def check_skip_till_any(following: Any) -> None:
    """Checks what follows under skip till any: such a relation forbids no row, so no absent event can come first."""
    if (variable := _leading(following)) is not None:
        raise invalid_absence(variable, "then_any() lets any row lie between, and so cannot forbid one; use then()")


def check_relations(root: Any) -> None:
    """Checks every relation of a row pattern, those between repetitions too."""
    for part in walk_root(root):
        match root_tag(part):
            case "sequence":
                for step in part["sequence"][1:]:
                    if step.get("contiguity") == "skip_till_any":
                        check_skip_till_any(step["node"])
            case "permute":
                if part["permute"]["contiguity"] == "skip_till_any":
                    for inner in part["permute"]["parts"]:
                        check_skip_till_any(inner)
            case "quantified":
                quantifier = part["quantified"]["quantifier"]
                if quantifier["max"] != 1 and quantifier.get("contiguity") == "skip_till_any":
                    check_skip_till_any(part["quantified"]["node"])


def check_spans(root: Any, *, before: bool = False, after: bool = False) -> None:
    """Checks that no absent event with `for_` can come to stand between two rows.

    Args:
        root: The row pattern.
        before: A row may come before it.
        after: A row may come after it.
    """
    ((tag, body),) = root.items()
    parts = root_parts(root)
    match tag:
        case "absent":
            if body.get("for_ns") is not None and before and after:
                raise invalid_absence(
                    body["variable"],
                    "for_ says how long before the first row or after the last; between two rows absence lasts until "
                    "the next one is accepted: leave for_ out",
                )
        case "sequence":
            takes = [_takes_rows(part) for part in parts]
            for place, part in enumerate(parts):
                check_spans(part, before=before or any(takes[:place]), after=after or any(takes[place + 1 :]))
        case "permute":
            _check_every(parts, around=sum(map(_takes_rows, parts)) > 1, before=before, after=after)
        case "quantified":
            _check_every(parts, around=body["quantifier"]["max"] != 1, before=before, after=after)
        case _:
            _check_every(parts, around=False, before=before, after=after)


def _check_every(parts: list[Any], *, around: bool, before: bool, after: bool) -> None:
    for part in parts:
        check_spans(part, before=before or around, after=after or around)


def _takes_rows(root: Any) -> bool:
    return any(root_tag(part) == "variable" for part in walk_root(root))


def _absent_alone(root: Any) -> str | None:
    """The first absent event of a part that holds nothing else."""
    if _takes_rows(root):
        return None
    absent = (part["absent"]["variable"] for part in walk_root(root) if root_tag(part) == "absent")
    return next(absent, None)


def _leading(root: Any) -> str | None:
    """An absent event that a part may begin with."""
    match root_tag(root):
        case "absent":
            return str(root["absent"]["variable"])
        case "sequence":
            return _leading(root["sequence"][0]["node"])
    return next((found for part in root_parts(root) if (found := _leading(part)) is not None), None)
