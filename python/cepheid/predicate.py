"""Conditions computed by a Python function, over whole columns, before anything is matched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from cepheid.building import checked_name
from cepheid.errors import PatternError
from cepheid.expr import Expr

__all__ = ["PREDICATE_PREFIX", "UserPredicate", "predicate_column", "udf"]


PREDICATE_PREFIX = "__cepheid_udf_"


def predicate_column(position: int, rule: str | None = None) -> str:
    """The name of the column that holds what a Python predicate gave; of a rule's among other rules, with its name."""
    return f"{PREDICATE_PREFIX}{position}" if rule is None else f"{PREDICATE_PREFIX}{rule}_{position}"


@final
class UserPredicate:
    """A Python function and the columns it is called with; part of an expression made by `udf`."""

    __slots__ = ("columns", "function")

    def __init__(self, function: Callable[..., Any], columns: tuple[str, ...]) -> None:
        self.function = function
        self.columns = columns

    @property
    def called(self) -> str:
        """How it is said in words: the function's name, and the columns that it is given."""
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"{name}({', '.join(self.columns)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UserPredicate):
            return NotImplemented
        return self.function == other.function and self.columns == other.columns

    def __hash__(self) -> int:
        return hash((self.function, self.columns))


def udf(function: Callable[..., Any], columns: Sequence[str]) -> Expr:
    """A condition computed by a Python function, over whole columns.

    The function is called once per batch, before anything is matched, with one pyarrow array for each column; it
    returns as many booleans, as an Arrow or NumPy array or a list. Its value in a row is then like that of any
    boolean column. A pattern that holds one cannot be written down as data.

    Args:
        function: The function.
        columns: The columns it takes, at least one.

    Raises:
        TypeError: `function` cannot be called, or `columns` is no list of names.
        PatternError: There are no columns, or a name is empty.

    Example:
        >>> import cepheid as cep
        >>> import pyarrow.compute as pc
        >>> event = cep.event("even", cep.udf(lambda x: pc.equal(pc.bit_wise_and(x, 1), 0), columns=["x"]))
    """
    if not callable(function):
        raise TypeError(f"udf() takes a function, not {type(function).__name__}")
    if isinstance(columns, (str, bytes)) or not isinstance(columns, Sequence):
        raise TypeError(f"columns is a list of column names, not {type(columns).__name__}")
    names = tuple(checked_name(name, "column") for name in columns)
    if not names:
        raise PatternError("a udf needs the columns it is called with", code="too-few-parts")
    return Expr._of({"udf": {"predicate": UserPredicate(function, names)}}, 1)
