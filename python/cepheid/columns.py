"""Where expressions begin: columns, references to rows accepted before, constants, and SQL text."""

from __future__ import annotations

from typing import Any, final

from cepheid.building import checked_name, column, parsed
from cepheid.expr import Expr
from cepheid.literal import literal_node

__all__ = ["ColumnBuilder", "Ref", "col", "expr_from_sql", "lit", "ref"]


@final
class ColumnBuilder:
    """Makes columns: ``col("price")`` or ``col.price``.

    Example:
        >>> from cepheid import col
        >>> col.price.equals(col("price"))
        True
    """

    __slots__ = ()

    def __call__(self, name: str, *, exact: bool = False) -> Expr:
        """The column of this name, of the row under test.

        Args:
            name: The name. A column that differs from it only in case is found where it is the only one.
            exact: The name must be the same, case included.

        Raises:
            TypeError: The name is no string.
            PatternError: The name is empty (code ``empty-name``).

        Example:
            >>> from cepheid import col
            >>> col("order id")
            col('order id')
        """
        return column(name, exact=exact)

    def __getattr__(self, name: str) -> Expr:
        if name.startswith("__"):
            raise AttributeError(name)
        return column(name)

    def __repr__(self) -> str:
        return "col"

    def __reduce__(self) -> str:
        return "col"


col = ColumnBuilder()


@final
class Ref:
    """The rows accepted for a variable; attributes are their columns. Built with `ref`.

    Example:
        >>> import cepheid as cep
        >>> cep.ref("a").price, cep.ref("a")["count"]
        (cep.ref('a').price, cep.ref('a')['count'])
    """

    __slots__ = ("_variable",)

    _variable: str

    def __init__(self, variable: str) -> None:
        self._variable = checked_name(variable, "variable")

    def __getattr__(self, name: str) -> Expr:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Expr:
        return column(name, at={"variable": self._variable, "tested_row": "excluded"})

    # Without it, `in` and `for` would count columns named 0, 1, 2 and so on.
    __iter__ = None

    def count(self) -> Expr:
        """How many rows were accepted for the variable: in a condition so far, in a measure in the whole match.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").count() < 3
            cep.ref('a').count() < 3
        """
        body = {"function": "count", "variable": self._variable, "tested_row": "excluded"}
        return Expr._of({"aggregate": body}, 1)

    def __repr__(self) -> str:
        return f"cep.ref({self._variable!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Ref, (self._variable,)


def ref(variable: str) -> Ref:
    """The rows accepted for a variable.

    In a condition these are the rows accepted before, the row under test not included; in a measure, all rows of the
    variable in the match. ``ref("a").price`` is the price of the last of them, NULL if there is none;
    ``ref("a").price.first()``, ``.sum()`` and so on look at them all.

    Args:
        variable: The name of an event of the pattern.

    Raises:
        TypeError: The name is no string.
        PatternError: The name is empty (code ``empty-name``).

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col, event
        >>> event("drop", col.price < cep.ref("peak").price * 0.9)
        event('drop', col.price < cep.ref('peak').price * 0.9)
    """
    return Ref(variable)


def lit(value: Any) -> Expr:
    """A constant as an expression.

    Args:
        value: A number, str, bool, None, date, datetime, time, timedelta or Decimal, or a NumPy or pyarrow scalar.

    Raises:
        TypeError: It is none of these.
        PatternError: It is outside the range of its type (code ``invalid-literal``).

    Example:
        >>> import cepheid as cep
        >>> cep.lit(10) - cep.col.price
        cep.lit(10) - col.price
    """
    return Expr._of(literal_node(value), 1)


def expr_from_sql(text: str) -> Expr:
    """An expression written in SQL.

    A bare column is that of the row under test, ``b.price`` the price of the last row accepted for ``b``.

    Args:
        text: The expression.

    Raises:
        TypeError: It is no string.
        SqlError: It is no SQL expression.

    Example:
        >>> import cepheid as cep
        >>> cep.expr_from_sql("price > b.price + 1")
        col.price > cep.ref('b').price + 1
    """
    if not isinstance(text, str):
        raise TypeError(f"SQL is text, not {type(text).__name__}")
    return Expr._of(parsed(text, "algebra_condition"))
