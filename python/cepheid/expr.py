"""Expressions: conditions of events and measures of matches, built from Python operators.

Every expression is a value. Operators build a larger one and leave their operands as they are; nothing is computed
before a table is matched. NULL follows SQL: a comparison with NULL is NULL, and a condition that is NULL does not
hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, final

from cepheid import nodes
from cepheid.errors import PatternError
from cepheid.literal import data_type_node, is_literal_value, literal_node
from cepheid.nodes import Node

if TYPE_CHECKING:
    from cepheid.namespaces import TemporalFunctions, TextFunctions

__all__ = ["ColumnBuilder", "Expr", "Ref", "col", "expr_from_sql", "lit", "ref"]

OFFSET_MAX = 2**31 - 1

# Inside `Expr`, `str` is the property.
Text: TypeAlias = str


class Expr:
    """An expression over the columns of the row under test and of the rows accepted before.

    Built with `col`, `ref`, `lit` and the functions of this package. ``==`` builds an expression too; to compare two
    of them, use `equals`. The truth of an expression is not known before it meets a row, so ``and``, ``or``, ``not``
    and chained comparisons raise `TypeError`: use ``&``, ``|``, ``~`` and `between`.

    Example:
        >>> from cepheid import col, prev
        >>> (col.price > prev(col.price)) & (col.volume >= 100)
        (col.price > prev(col.price)) & (col.volume >= 100)
    """

    __slots__ = ("_alias", "_depth", "_node")

    _node: Node
    _depth: int
    _alias: Text | None

    # NumPy scalars hand their operators over.
    __array_ufunc__ = None

    def __init__(self) -> None:
        raise TypeError("expressions are built with col, ref, lit and functions, not with Expr()")

    @classmethod
    def _of(cls, node: Node, depth: int | None = None, alias: Text | None = None) -> Expr:
        expr = object.__new__(Expr)
        depth = nodes.depth_of(node) if depth is None else depth
        if depth > nodes.EXPR_DEPTH_MAX:
            raise nodes.too_deep()
        object.__setattr__(expr, "_node", node)
        object.__setattr__(expr, "_depth", depth)
        object.__setattr__(expr, "_alias", alias)
        return expr

    def __setattr__(self, name: Text, value: object) -> NoReturn:
        raise AttributeError("expressions cannot be changed; build another")

    def __delattr__(self, name: Text) -> NoReturn:
        raise AttributeError("expressions cannot be changed; build another")

    # Identity, comparison and spelling.

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "the truth of an expression is not known before it meets a row; use & | ~ instead of and, or, not, "
            "and .between(a, b) instead of a chained comparison (to compare two expressions: .equals())"
        )

    __hash__ = object.__hash__

    def __repr__(self) -> Text:
        from cepheid.spelling import expr_code

        code = expr_code(self._node)
        return code if self._alias is None else f"({code}).alias({self._alias!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._node, self._alias)

    def equals(self, other: Expr) -> bool:
        """Whether the other is the same expression: the same columns, constants and operators in the same places.

        Args:
            other: An expression.

        Raises:
            TypeError: `other` is no expression.

        Example:
            >>> from cepheid import col
            >>> (col.price > 1).equals(col.price > 1), (col.price > 1).equals(1 < col.price)
            (True, True)
        """
        if not isinstance(other, Expr):
            raise TypeError(f"expressions compare with expressions, not with {type(other).__name__}")
        return _same(self._node, other._node) and self._alias == other._alias

    def to_dict(self) -> Any:
        """The expression as plain data, in the shape that patterns are stored in.

        Raises:
            PatternError: It holds a Python function (code ``not-serialisable``).

        Example:
            >>> from cepheid import col
            >>> col.price.to_dict()
            {'column': {'name': 'price'}}
        """
        if any(nodes.tag_of(part) == "udf" for part in nodes.walk(self._node)):
            raise not_serialisable()
        return json.loads(json.dumps(self._node))

    @staticmethod
    def from_dict(data: Any) -> Expr:
        """Reads what `to_dict` gave.

        Args:
            data: A dict or, for the simplest expressions, a string.

        Raises:
            PatternError: It is no expression (code ``malformed``).

        Example:
            >>> import cepheid as cep
            >>> cep.Expr.from_dict({"column": {"name": "price"}})
            col.price
        """
        from cepheid import _native

        text = json_text(data, "an expression")
        return Expr._of(json.loads(_native.check_expression(text)))

    def alias(self, name: Text) -> Expr:
        """The expression with a name for the output column.

        Args:
            name: A name, not empty.

        Raises:
            TypeError: The name is no string.
            PatternError: The name is empty (code ``empty-name``).

        Example:
            >>> import cepheid as cep
            >>> cep.event("a").select(cep.col.price.max().alias("top")).to_dict()["pattern"]["measures"][0]["name"]
            'top'
        """
        return Expr._of(self._node, self._depth, checked_name(name, "measure"))

    # Arithmetic.

    def __add__(self, other: Any) -> Expr:
        return _binary("add", self, other)

    def __radd__(self, other: Any) -> Expr:
        return _binary("add", other, self)

    def __sub__(self, other: Any) -> Expr:
        return _binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return _binary("subtract", other, self)

    def __mul__(self, other: Any) -> Expr:
        return _binary("multiply", self, other)

    def __rmul__(self, other: Any) -> Expr:
        return _binary("multiply", other, self)

    def __truediv__(self, other: Any) -> Expr:
        return _binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return _binary("divide", other, self)

    def __mod__(self, other: Any) -> Expr:
        return _binary("modulo", self, other)

    def __rmod__(self, other: Any) -> Expr:
        return _binary("modulo", other, self)

    def __pow__(self, other: Any) -> Expr:
        return call("power", self, other)

    def __rpow__(self, other: Any) -> Expr:
        return call("power", other, self)

    def __neg__(self) -> Expr:
        return Expr._of({"negate": self._node}, self._depth + 1)

    def __pos__(self) -> Expr:
        return self

    def __abs__(self) -> Expr:
        return self.abs()

    def __round__(self, digits: int | None = None) -> Expr:
        return self.round(digits)

    # Comparison.

    def __eq__(self, other: Any) -> Expr:  # type: ignore[override]
        return _comparison("equal", self, other)

    def __ne__(self, other: Any) -> Expr:  # type: ignore[override]
        return _comparison("not_equal", self, other)

    def __lt__(self, other: Any) -> Expr:
        return _binary("less", self, other)

    def __le__(self, other: Any) -> Expr:
        return _binary("less_or_equal", self, other)

    def __gt__(self, other: Any) -> Expr:
        return _binary("greater", self, other)

    def __ge__(self, other: Any) -> Expr:
        return _binary("greater_or_equal", self, other)

    # Logic.

    def __and__(self, other: Any) -> Expr:
        return _logic("and", self, other)

    def __rand__(self, other: Any) -> Expr:
        return _logic("and", other, self)

    def __or__(self, other: Any) -> Expr:
        return _logic("or", self, other)

    def __ror__(self, other: Any) -> Expr:
        return _logic("or", other, self)

    def __invert__(self) -> Expr:
        return Expr._of({"not": self._node}, self._depth + 1)

    # Tests.

    def is_null(self) -> Expr:
        """Whether the value is NULL; never NULL itself.

        Example:
            >>> from cepheid import col
            >>> col.price.is_null()
            col.price.is_null()
        """
        return Expr._of({"is_null": self._node}, self._depth + 1)

    def is_not_null(self) -> Expr:
        """Whether the value is not NULL; never NULL itself.

        Example:
            >>> from cepheid import col
            >>> col.price.is_not_null()
            col.price.is_not_null()
        """
        return ~self.is_null()

    def is_in(self, values: Iterable[Any]) -> Expr:
        """Whether the value equals one of these; NULL if it is NULL, or if none is equal and one of them is NULL.

        Args:
            values: Constants or expressions: a list, set, NumPy array, or any other iterable but a string.
                Of no values the answer is False.

        Raises:
            TypeError: `values` is a string or not iterable, or holds something that is no constant.

        Example:
            >>> from cepheid import col
            >>> col.side.is_in(["buy", "sell"])
            col.side.is_in(['buy', 'sell'])
        """
        if isinstance(values, (str, bytes, Expr)) or not isinstance(values, Iterable):
            raise TypeError(f"is_in() takes a list of values, not {type(values).__name__}")
        items = [operand(value) for value in values]
        if isinstance(values, (set, frozenset)):
            # A set has no order; the same pattern must have the same fingerprint.
            items.sort(key=lambda item: json.dumps(item._node, default=repr))
        if not items:
            return lit(False)
        depth = max(self._depth, *(item._depth for item in items)) + 1
        return Expr._of({"in": {"operand": self._node, "list": [item._node for item in items]}}, depth)

    def between(self, low: Any, high: Any) -> Expr:
        """Whether the value lies between two others, both included.

        Args:
            low: The lower bound, a constant or an expression.
            high: The upper bound.

        Raises:
            TypeError: A bound is neither.

        Example:
            >>> from cepheid import col
            >>> col.price.between(10, 20)
            col.price.between(10, 20)
        """
        lower, upper = operand(low), operand(high)
        depth = max(self._depth, lower._depth, upper._depth) + 1
        return Expr._of({"between": {"operand": self._node, "low": lower._node, "high": upper._node}}, depth)

    def is_distinct_from(self, other: Any) -> Expr:
        """Whether the two differ, NULL taken as a value like any other; never NULL itself.

        Args:
            other: A constant or an expression.

        Raises:
            TypeError: It is neither.

        Example:
            >>> from cepheid import col, prev
            >>> col.status.is_distinct_from(prev(col.status))
            col.status.is_distinct_from(prev(col.status))
        """
        return _comparison("is_distinct_from", self, other)

    def is_not_distinct_from(self, other: Any) -> Expr:
        """Whether the two are equal, or both NULL; never NULL itself.

        Args:
            other: A constant or an expression.

        Raises:
            TypeError: It is neither.

        Example:
            >>> from cepheid import col
            >>> col.status.is_not_distinct_from(None)
            ~col.status.is_distinct_from(None)
        """
        return ~_comparison("is_distinct_from", self, other)

    def is_nan(self) -> Expr:
        """Whether a float is NaN.

        Example:
            >>> from cepheid import col
            >>> col.price.is_nan()
            col.price.is_nan()
        """
        return call("is_nan", self)

    def is_finite(self) -> Expr:
        """Whether a float is neither NaN nor infinite.

        Example:
            >>> from cepheid import col
            >>> col.price.is_finite()
            col.price.is_finite()
        """
        return call("is_finite", self)

    def like(self, pattern: Any, escape: Text | None = None) -> Expr:
        """Whether the text fits an SQL ``LIKE`` pattern: ``%`` stands for any text, ``_`` for one character.

        Args:
            pattern: The pattern, a string or an expression.
            escape: A character that makes the next one in the pattern stand for itself.

        Raises:
            TypeError: `escape` is no string.
            PatternError: `escape` is not one character (code ``invalid-literal``).

        Example:
            >>> from cepheid import col
            >>> col.flight.like("AA%")
            col.flight.like('AA%')
        """
        wanted = operand(pattern)
        body = {"operand": self._node, "pattern": wanted._node}
        if escape is not None:
            if not isinstance(escape, str):
                raise TypeError(f"escape is a character, not {type(escape).__name__}")
            if len(escape) != 1 or "\ud800" <= escape <= "\udfff":
                raise PatternError(f"escape is one character, not {escape!r}", code="invalid-literal")
            body["escape"] = escape
        return Expr._of({"like": body}, max(self._depth, wanted._depth) + 1)

    # Conversion and numbers.

    def cast(self, data_type: Any, *, strict: bool = True) -> Expr:
        """The value in another type.

        Args:
            data_type: ``"int64"``, ``"float64"``, ``"string"``, ``"date"``, ``"timestamp"``, ``"decimal(10, 2)"`` and
                the like, a Python type, or a NumPy, pyarrow or Polars type.
            strict: True: a value that does not convert is an `EvaluationError`; False: it becomes NULL.

        Raises:
            PatternError: The type is unknown (code ``unknown-type``).

        Example:
            >>> from cepheid import col
            >>> col.price.cast("int64")
            col.price.cast('int64')
        """
        body = {"operand": self._node, "to": data_type_node(data_type)}
        if not strict:
            body["lenient"] = True
        return Expr._of({"cast": body}, self._depth + 1)

    def fill_null(self, value: Any) -> Expr:
        """The value, or another where it is NULL.

        Args:
            value: A constant or an expression.

        Raises:
            TypeError: It is neither.

        Example:
            >>> from cepheid import col
            >>> col.delay.fill_null(0)
            cep.coalesce(col.delay, 0)
        """
        return call("coalesce", self, value)

    def abs(self) -> Expr:
        """The absolute value; of the least integer, an `EvaluationError` when matched.

        Example:
            >>> from cepheid import col
            >>> abs(col.change)
            col.change.abs()
        """
        return call("abs", self)

    def round(self, digits: int | None = None) -> Expr:
        """The nearest number with so many digits after the point; halves go away from zero.

        Args:
            digits: How many; none by default.

        Raises:
            TypeError: `digits` is no integer.

        Example:
            >>> from cepheid import col
            >>> round(col.price, 2)
            col.price.round(2)
        """
        return call("round", self) if digits is None else call("round", self, checked_offset(digits, "digits", -38, 38))

    def floor(self) -> Expr:
        """The greatest integer not above the value, in its type.

        Example:
            >>> from cepheid import col
            >>> col.price.floor()
            col.price.floor()
        """
        return call("floor", self)

    def ceil(self) -> Expr:
        """The least integer not below the value, in its type.

        Example:
            >>> from cepheid import col
            >>> col.price.ceil()
            col.price.ceil()
        """
        return call("ceil", self)

    def truncate(self) -> Expr:
        """The value without its fraction.

        Example:
            >>> from cepheid import col
            >>> col.price.truncate()
            col.price.truncate()
        """
        return call("truncate", self)

    def sign(self) -> Expr:
        """-1, 0 or 1, in the type of the value.

        Example:
            >>> from cepheid import col
            >>> col.change.sign()
            col.change.sign()
        """
        return call("sign", self)

    def sqrt(self) -> Expr:
        """The square root, a float; NaN below zero.

        Example:
            >>> from cepheid import col
            >>> col.variance.sqrt()
            col.variance.sqrt()
        """
        return call("sqrt", self)

    @property
    def str(self) -> TextFunctions:
        """Functions of text.

        Example:
            >>> from cepheid import col
            >>> col.name.str.lower()
            col.name.str.lower()
        """
        from cepheid.namespaces import TextFunctions

        return TextFunctions(self)

    @property
    def dt(self) -> TemporalFunctions:
        """Functions of dates and times.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.hour()
            col.time.dt.hour()
        """
        from cepheid.namespaces import TemporalFunctions

        return TemporalFunctions(self)

    # Rows of the match.

    def first(self, offset: int = 0) -> Expr:
        """The value at the first row accepted, or `offset` rows after it; NULL if there is none.

        Of ``ref("a").price`` the rows are those of ``a``; of a bare column, all rows of the match. In a condition they
        are those accepted before the row under test; in a measure, those of the whole match.

        Args:
            offset: Rows to move on, from 0.

        Raises:
            TypeError: `offset` is no integer.
            PatternError: It is negative, or the expression is one that cannot be read elsewhere
                (code ``invalid-expression``).

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").price.first()
            cep.ref('a').price.first()
        """
        return navigated(self, "first", {"anchor": "first", **_logical(offset)})

    def last(self, offset: int = 0) -> Expr:
        """The value at the last row accepted so far, or `offset` rows before it; NULL if there is none.

        Args:
            offset: Rows to move back, from 0.

        Raises:
            TypeError: `offset` is no integer.
            PatternError: It is negative, or the expression is one that cannot be read elsewhere
                (code ``invalid-expression``).

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").price.last(1)
            cep.ref('a').price.last(1)
        """
        return navigated(self, "last", _logical(offset))

    def sum(self) -> Expr:
        """The sum over the rows accepted; NULL of none. Integers give int64, and overflow is an error.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.sum()
            cep.ref('a').amount.sum()
        """
        return aggregate("sum", self)

    def avg(self) -> Expr:
        """The mean over the rows accepted, a float; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.avg()
            cep.ref('a').amount.avg()
        """
        return aggregate("avg", self)

    def min(self) -> Expr:
        """The least value of the rows accepted; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.min()
            cep.ref('a').amount.min()
        """
        return aggregate("min", self)

    def max(self) -> Expr:
        """The greatest value of the rows accepted; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.max()
            cep.ref('a').amount.max()
        """
        return aggregate("max", self)

    def count(self) -> Expr:
        """How many of the rows accepted have a value that is not NULL.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.count()
            cep.ref('a').amount.count()
        """
        return aggregate("count", self)

    def n_unique(self) -> Expr:
        """How many different values, NULL apart, the rows accepted have.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").user.n_unique()
            cep.ref('a').user.n_unique()
        """
        return aggregate("count", self, distinct=True)

    def stddev(self) -> Expr:
        """The sample standard deviation over the rows accepted; NULL of fewer than two.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.stddev()
            cep.ref('a').amount.stddev()
        """
        return aggregate("stddev", self)

    def var(self) -> Expr:
        """The sample variance over the rows accepted; NULL of fewer than two.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.var()
            cep.ref('a').amount.var()
        """
        return aggregate("variance", self)

    def list(self) -> Expr:
        """The values of the rows accepted as a list, in row order, NULL included.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.list()
            cep.ref('a').amount.list()
        """
        return aggregate("array_agg", self)

    def all(self) -> Expr:
        """Whether a condition holds for all rows accepted; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> (cep.ref("a").amount > 0).all()
            (cep.ref('a').amount > 0).all()
        """
        return aggregate("bool_and", self)

    def any(self) -> Expr:
        """Whether a condition holds for any row accepted; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> (cep.ref("a").amount > 0).any()
            (cep.ref('a').amount > 0).any()
        """
        return aggregate("bool_or", self)


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


def parsed(text: str, dialect: str) -> Node:
    """The node that an SQL text spells."""
    from cepheid import _native

    try:
        text.encode()
    except UnicodeEncodeError:
        from cepheid.errors import SqlError

        raise SqlError("the text holds a lone surrogate, which is no Unicode text") from None
    return json.loads(_native.parse_expression(text, dialect))


def column(name: str, *, exact: bool = False, at: dict[str, Any] | None = None) -> Expr:
    """A column at a row; `at` as the engine reads it, the row under test by default."""
    body: dict[str, Any] = {"name": checked_name(name, "column")}
    if exact:
        body["quoted"] = True
    if at:
        body["at"] = at
    return Expr._of({"column": body}, 1)


def operand(value: Any) -> Expr:
    """An expression as it is, a Python value as a constant."""
    return value if isinstance(value, Expr) else lit(value)


def expression(value: Any) -> Expr:
    """An expression as it is, a string as SQL text, any other value as a constant."""
    return expr_from_sql(value) if isinstance(value, str) else operand(value)


def call(function: str, *args: Any) -> Expr:
    """A scalar function of expressions and constants."""
    operands = [operand(arg) for arg in args]
    depth = max((item._depth for item in operands), default=0) + 1
    return Expr._of({"call": {"function": function, "args": [item._node for item in operands]}}, depth)


def aggregate(function: str, *args: Expr, distinct: bool = False) -> Expr:
    """An aggregate over the rows of the one variable that the columns of `args` name, or over the whole match."""
    variables: set[str | None] = set()
    for arg in args:
        for part in nodes.walk(arg._node):
            tag = nodes.tag_of(part)
            if tag == "aggregate":
                raise PatternError(f"{function}() cannot stand around another aggregate", code="invalid-expression")
            if tag not in nodes.POINTER_TAGS:
                continue
            at = nodes.pointer_of(part)
            if at.keys() - {"variable", "tested_row"}:
                raise PatternError(
                    f"{function}() reads every row accepted; first(), last(), prev() and next_() cannot stand inside",
                    code="invalid-expression",
                )
            variables.add(at.get("variable"))
    if len(variables) > 1:
        names = ", ".join("bare columns" if name is None else repr(name) for name in sorted(variables, key=str))
        raise PatternError(
            f"{function}() is over the rows of one variable, but its columns are those of {names}",
            code="invalid-expression",
        )

    def bare(part: Node) -> Node:
        return nodes.with_pointer(part, {}) if nodes.tag_of(part) in nodes.POINTER_TAGS else part

    body: dict[str, Any] = {"function": function, "args": [nodes.rewrite(arg._node, bare) for arg in args]}
    if distinct:
        body["distinct"] = True
    variable = next(iter(variables), None)
    if variable is not None:
        body["variable"] = variable
    body["tested_row"] = "excluded"
    return Expr._of({"aggregate": body}, max(arg._depth for arg in args) + 1)


def navigated(expr: Expr, what: str, logical: dict[str, Any]) -> Expr:
    """The expression with every column read at another of the rows accepted."""
    seen: set[str | None] = set()

    def moved(part: Node) -> Node:
        tag = nodes.tag_of(part)
        if tag == "aggregate":
            raise PatternError(f"{what}() cannot stand around an aggregate", code="invalid-expression")
        if tag not in nodes.POINTER_TAGS:
            return part
        at = nodes.pointer_of(part)
        if at.keys() - {"variable", "tested_row"}:
            raise PatternError(
                f"{what}() cannot stand around first(), last(), prev() or next_(); write prev({what}(...)) instead",
                code="invalid-expression",
            )
        seen.add(at.get("variable"))
        variable = {"variable": at["variable"]} if "variable" in at else {}
        return nodes.with_pointer(part, {**variable, **logical, "tested_row": "excluded"})

    node = nodes.rewrite(expr._node, moved)
    if len(seen) != 1:
        problem = "names no column" if not seen else "names columns of several variables"
        raise PatternError(f"{what}() reads one row, but its expression {problem}", code="invalid-expression")
    return Expr._of(node, expr._depth)


def physically_moved(expr: Expr, what: str, rows: int) -> Expr:
    """The expression with every column read so many rows on in the partition."""
    seen = False

    def moved(part: Node) -> Node:
        nonlocal seen
        tag = nodes.tag_of(part)
        if tag == "aggregate":
            raise PatternError(f"{what}() cannot stand around an aggregate", code="invalid-expression")
        if tag not in nodes.POINTER_TAGS:
            return part
        seen = True
        at = dict(nodes.pointer_of(part))
        offset = at.pop("physical_offset", 0) + rows
        if abs(offset) > OFFSET_MAX:
            raise PatternError(f"{what}() moves at most {OFFSET_MAX} rows", code="invalid-expression")
        return nodes.with_pointer(part, {**at, "physical_offset": offset} if offset else at)

    node = nodes.rewrite(expr._node, moved)
    if not seen:
        raise PatternError(f"{what}() moves to another row, but its expression names no column",
                           code="invalid-expression")
    return Expr._of(node, expr._depth)


def checked_name(name: Any, what: str) -> str:
    """A name that is a string and not empty."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a {what} is a string, not {type(name).__name__}")
    if not name:
        raise PatternError(f"the name of a {what} is empty", code="empty-name")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise PatternError(f"{name!r} holds a lone surrogate, which is no text", code="invalid-literal")
    return str.__str__(name)


def checked_offset(value: Any, what: str, low: int, high: int) -> int:
    """An integer between two bounds."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is an integer, not {type(value).__name__}")
    number = int(value.__index__())
    if not low <= number <= high:
        raise PatternError(f"{what} must be between {low} and {high}", code="invalid-expression")
    return number


def not_serialisable() -> PatternError:
    """The error for writing down a Python function."""
    return PatternError(
        "a Python function (cep.udf) cannot be written down; compute it as a column of the input instead",
        code="not-serialisable",
    )


def json_text(data: Any, what: str) -> str:
    """Plain data as JSON."""
    try:
        return json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise PatternError(f"not {what} as plain data: {error}", code="malformed") from None


def _logical(offset: Any) -> dict[str, Any]:
    rows = checked_offset(offset, "offset", 0, OFFSET_MAX)
    return {"logical_offset": rows} if rows else {}


def _binary(op: str, left: Any, right: Any) -> Expr:
    if not isinstance(left, Expr) and not is_literal_value(left):
        return NotImplemented
    if not isinstance(right, Expr) and not is_literal_value(right):
        return NotImplemented
    first, second = operand(left), operand(right)
    depth = max(first._depth, second._depth) + 1
    return Expr._of({"binary": {"op": op, "left": first._node, "right": second._node}}, depth)


def _comparison(op: str, left: Expr, right: Any) -> Expr:
    # Left to itself, Python would answer == and != by identity.
    return _binary(op, left, operand(right))


def _logic(tag: str, left: Any, right: Any) -> Expr:
    for side in (left, right):
        if not isinstance(side, (Expr, bool)) and side is not None:
            return NotImplemented
    first, second = operand(left), operand(right)
    chain = nodes.conjunction if tag == "and" else nodes.disjunction
    # A chain is one level, however long.
    inner = [item._depth - 1 if nodes.tag_of(item._node) == tag else item._depth for item in (first, second)]
    return Expr._of(chain([first._node, second._node]), max(inner) + 1)


def _same(left: Any, right: Any) -> bool:
    """Equality of plain data in which True is not 1, 1 is not 1.0, and 0.0 is not -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, float):
        return left.hex() == right.hex()
    return bool(left == right)


same_data = _same


def _unpickle(node: Node, alias: str | None) -> Expr:
    return Expr._of(node, None, alias)
