"""Names that people type: found without regard to case, and guessed at when they are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cepheid.errors import PatternError

__all__ = ["invalid_choice", "listed_names", "nearest_name", "resolve_name"]


def resolve_name(name: str, known: Sequence[str]) -> str:
    """`name` itself if it is known or fits no single other name, else the one that differs only in case."""
    if name in known:
        return name
    folded = name.casefold()
    fitting = [candidate for candidate in known if candidate.casefold() == folded]
    return fitting[0] if len(fitting) == 1 else name


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was perhaps meant to be, if one is near."""
    # Imported when a name is wrong, which should be seldom.
    from difflib import get_close_matches

    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = get_close_matches(name[:100].casefold(), by_folded, 1)
    return by_folded[found[0]] if found else None


def listed_names(names: Sequence[str]) -> str:
    """Names for a message, the first of them where they are many."""
    return ", ".join(f"`{name}`" for name in names[:12]) + (" and more" if len(names) > 12 else "") or "none"


def invalid_choice(what: str, value: Any, choices: list[Any]) -> PatternError:
    """The error for a word that is none of those there are."""
    listed = ", ".join(repr(choice) for choice in choices)
    names = [choice for choice in choices if isinstance(choice, str)]
    hint = nearest_name(str(value), names)
    return PatternError(
        f"{what} takes {listed}; not {str(value)[:100]!r}", code="invalid-clause", known=names, hint=hint
    )
