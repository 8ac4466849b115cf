"""Expressions: conditions of events and measures of matches, built from Python operators.

Every expression is a value. Operators build a larger one and leave their operands as they are; nothing is computed
before a table is matched. NULL follows SQL: a comparison with NULL is NULL, and a condition that is NULL does not
hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from cepheid import building, nodes
from cepheid.errors import PatternError
from cepheid.literal import data_type_node
from cepheid.nodes import Node
from cepheid.operators import Operators
from cepheid.window_aggregates import WindowAggregates

if TYPE_CHECKING:
    from cepheid.namespaces import TemporalFunctions, TextFunctions

__all__ = ["Expr"]

# Inside `Expr`, `str` is the property.
Text: TypeAlias = str


class Expr(Operators, WindowAggregates):
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
        return building.same_data(self._node, other._node) and self._alias == other._alias

    def to_dict(self) -> Any:
        """The expression as plain data, in the shape that patterns are stored in.

        Raises:
            PatternError: It holds a Python function (code ``not-serialisable``).

        Example:
            >>> from cepheid import col
            >>> col.price.to_dict()
            {'column': {'name': 'price'}}
        """
        if any(nodes.tag_of(part) == "udf" for part in nodes.walk(self._node)) or any(nodes.defined_in(self._node)):
            raise building.not_serialisable()
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

        text = building.json_text(data, "an expression")
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
        return Expr._of(self._node, self._depth, building.checked_name(name, "measure"))

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
        items = [building.operand(value) for value in values]
        if isinstance(values, (set, frozenset)):
            # A set has no order; the same pattern must have the same fingerprint.
            items.sort(key=lambda item: json.dumps(item._node, default=repr))
        if not items:
            return building.operand(False)
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
        lower, upper = building.operand(low), building.operand(high)
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
        return building.comparison("is_distinct_from", self, other)

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
        return ~building.comparison("is_distinct_from", self, other)

    def is_nan(self) -> Expr:
        """Whether a float is NaN.

        Example:
            >>> from cepheid import col
            >>> col.price.is_nan()
            col.price.is_nan()
        """
        return building.call("is_nan", self)

    def is_finite(self) -> Expr:
        """Whether a float is neither NaN nor infinite.

        Example:
            >>> from cepheid import col
            >>> col.price.is_finite()
            col.price.is_finite()
        """
        return building.call("is_finite", self)

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
        wanted = building.operand(pattern)
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
        return building.call("coalesce", self, value)

    def abs(self) -> Expr:
        """The absolute value; of the least integer, an `EvaluationError` when matched.

        Example:
            >>> from cepheid import col
            >>> abs(col.change)
            col.change.abs()
        """
        return building.call("abs", self)

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
        return building.rounded(self, digits)

    def floor(self) -> Expr:
        """The greatest integer not above the value, in its type.

        Example:
            >>> from cepheid import col
            >>> col.price.floor()
            col.price.floor()
        """
        return building.call("floor", self)

    def ceil(self) -> Expr:
        """The least integer not below the value, in its type.

        Example:
            >>> from cepheid import col
            >>> col.price.ceil()
            col.price.ceil()
        """
        return building.call("ceil", self)

    def truncate(self) -> Expr:
        """The value without its fraction.

        Example:
            >>> from cepheid import col
            >>> col.price.truncate()
            col.price.truncate()
        """
        return building.call("truncate", self)

    def sign(self) -> Expr:
        """-1, 0 or 1, in the type of the value.

        Example:
            >>> from cepheid import col
            >>> col.change.sign()
            col.change.sign()
        """
        return building.call("sign", self)

    def sqrt(self) -> Expr:
        """The square root, a float; NaN below zero.

        Example:
            >>> from cepheid import col
            >>> col.variance.sqrt()
            col.variance.sqrt()
        """
        return building.call("sqrt", self)

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
        return building.navigated(self, "first", {"anchor": "first", **building.logical_offset(offset)})

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
        return building.navigated(self, "last", building.logical_offset(offset))

    def sum(self) -> Expr:
        """The sum over the rows accepted; NULL of none. Integers give int64, and overflow is an error.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.sum()
            cep.ref('a').amount.sum()
        """
        return building.aggregate("sum", self)

    def avg(self) -> Expr:
        """The mean over the rows accepted, a float; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.avg()
            cep.ref('a').amount.avg()
        """
        return building.aggregate("avg", self)

    def min(self) -> Expr:
        """The least value of the rows accepted; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.min()
            cep.ref('a').amount.min()
        """
        return building.aggregate("min", self)

    def max(self) -> Expr:
        """The greatest value of the rows accepted; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.max()
            cep.ref('a').amount.max()
        """
        return building.aggregate("max", self)

    def count(self) -> Expr:
        """How many of the rows accepted have a value that is not NULL.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.count()
            cep.ref('a').amount.count()
        """
        return building.aggregate("count", self)

    def n_unique(self) -> Expr:
        """How many different values, NULL apart, the rows accepted have.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").user.n_unique()
            cep.ref('a').user.n_unique()
        """
        return building.aggregate("count", self, distinct=True)

    def stddev(self) -> Expr:
        """The sample standard deviation over the rows accepted; NULL of fewer than two.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.stddev()
            cep.ref('a').amount.stddev()
        """
        return building.aggregate("stddev", self)

    def var(self) -> Expr:
        """The sample variance over the rows accepted; NULL of fewer than two.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.var()
            cep.ref('a').amount.var()
        """
        return building.aggregate("variance", self)

    def list(self) -> Expr:
        """The values of the rows accepted as a list, in row order, NULL included.

        Example:
            >>> import cepheid as cep
            >>> cep.ref("a").amount.list()
            cep.ref('a').amount.list()
        """
        return building.aggregate("array_agg", self)

    def all(self) -> Expr:
        """Whether a condition holds for all rows accepted; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> (cep.ref("a").amount > 0).all()
            (cep.ref('a').amount > 0).all()
        """
        return building.aggregate("bool_and", self)

    def any(self) -> Expr:
        """Whether a condition holds for any row accepted; NULL of none.

        Example:
            >>> import cepheid as cep
            >>> (cep.ref("a").amount > 0).any()
            (cep.ref('a').amount > 0).any()
        """
        return building.aggregate("bool_or", self)


def _unpickle(node: Node, alias: str | None) -> Expr:
    return Expr._of(node, None, alias)
