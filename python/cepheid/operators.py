"""Python's operators on expressions. Each builds a larger expression; none computes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cepheid import building

if TYPE_CHECKING:
    from cepheid.expr import Expr


class Operators:
    """What `Expr` does with ``+``, ``==``, ``&`` and the rest. The other operand is an expression or a constant."""

    __slots__ = ()

    # NumPy scalars hand their operators over.
    __array_ufunc__ = None

    # Equality builds an expression, so an expression is hashed by what it is, not by what it says.
    __hash__ = object.__hash__

    # Arithmetic.

    def __add__(self, other: Any) -> Expr:
        return building.binary("add", self, other)

    def __radd__(self, other: Any) -> Expr:
        return building.binary("add", other, self)

    def __sub__(self, other: Any) -> Expr:
        return building.binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return building.binary("subtract", other, self)

    def __mul__(self, other: Any) -> Expr:
        return building.binary("multiply", self, other)

    def __rmul__(self, other: Any) -> Expr:
        return building.binary("multiply", other, self)

    def __truediv__(self, other: Any) -> Expr:
        return building.binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return building.binary("divide", other, self)

    def __mod__(self, other: Any) -> Expr:
        return building.binary("modulo", self, other)

    def __rmod__(self, other: Any) -> Expr:
        return building.binary("modulo", other, self)

    def __pow__(self, other: Any) -> Expr:
        return building.call("power", self, other)

    def __rpow__(self, other: Any) -> Expr:
        return building.call("power", other, self)

    def __neg__(self) -> Expr:
        return building.wrapped("negate", self)

    def __pos__(self) -> Expr:
        return building.operand(self)

    def __abs__(self) -> Expr:
        return building.call("abs", self)

    def __round__(self, digits: int | None = None) -> Expr:
        return building.rounded(self, digits)

    # Comparison.

    def __eq__(self, other: Any) -> Expr:  # type: ignore[override]
        return building.comparison("equal", self, other)

    def __ne__(self, other: Any) -> Expr:  # type: ignore[override]
        return building.comparison("not_equal", self, other)

    def __lt__(self, other: Any) -> Expr:
        return building.binary("less", self, other)

    def __le__(self, other: Any) -> Expr:
        return building.binary("less_or_equal", self, other)

    def __gt__(self, other: Any) -> Expr:
        return building.binary("greater", self, other)

    def __ge__(self, other: Any) -> Expr:
        return building.binary("greater_or_equal", self, other)

    # Logic.

    def __and__(self, other: Any) -> Expr:
        return building.logic("and", self, other)

    def __rand__(self, other: Any) -> Expr:
        return building.logic("and", other, self)

    def __or__(self, other: Any) -> Expr:
        return building.logic("or", self, other)

    def __ror__(self, other: Any) -> Expr:
        return building.logic("or", other, self)

    def __invert__(self) -> Expr:
        return building.wrapped("not", self)
