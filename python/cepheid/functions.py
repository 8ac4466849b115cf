"""Functions of expressions that are no methods of one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, final

from cepheid.building import (
    OFFSET_MAX,
    aggregate,
    call,
    checked_name,
    checked_offset,
    expression,
    operand,
    physically_moved,
)
from cepheid.errors import PatternError
from cepheid.expr import Expr
from cepheid.literal import duration_ns
from cepheid.namespaces import checked_unit

__all__ = [
    "Then",
    "When",
    "abs",
    "classifier",
    "coalesce",
    "concat",
    "count",
    "count_if",
    "date_add",
    "date_diff",
    "duration",
    "exp",
    "from_unixtime",
    "greatest",
    "least",
    "ln",
    "log",
    "match_number",
    "max_by",
    "min_by",
    "next_",
    "nullif",
    "power",
    "prev",
    "round",
    "when",
]


def prev(expr: Expr | str, offset: int = 1) -> Expr:
    """The value so many rows before, in the partition, whether or not that row is in the match.

    Around a reference it moves from the row referred to: ``prev(ref("a").price.first())`` is the price in the row
    before the first row of ``a``. There is no row before the first: NULL.

    Args:
        expr: An expression or SQL text.
        offset: Rows to move back, from 0.

    Raises:
        TypeError: `offset` is no integer.
        PatternError: It is negative, or the expression names no column (code ``invalid-expression``).

    Example:
        >>> from cepheid import col, prev
        >>> col.price > prev(col.price, 2)
        col.price > prev(col.price, 2)
    """
    return physically_moved(expression(expr), "prev", -checked_offset(offset, "offset", 0, OFFSET_MAX))


def next_(expr: Expr | str, offset: int = 1) -> Expr:
    """The value so many rows after, in the partition, whether or not that row is in the match. See `prev`.

    Args:
        expr: An expression or SQL text.
        offset: Rows to move on, from 0.

    Raises:
        TypeError: `offset` is no integer.
        PatternError: It is negative, or the expression names no column (code ``invalid-expression``).

    Example:
        >>> import cepheid as cep
        >>> cep.col.price < cep.next_(cep.col.price)
        col.price < cep.next_(col.price)
    """
    return physically_moved(expression(expr), "next_", checked_offset(offset, "offset", 0, OFFSET_MAX))


def classifier(variable: str | None = None) -> Expr:
    """The name of the variable that the row was accepted for.

    Args:
        variable: Of the last row of this variable; by default, of the row itself.

    Raises:
        TypeError: The name is no string.
        PatternError: The name is empty (code ``empty-name``).

    Example:
        >>> import cepheid as cep
        >>> cep.event("a").select(last_variable=cep.classifier()).to_dict()["pattern"]["measures"][0]["value"]
        {'classifier': {}}
    """
    if variable is None:
        return Expr._of({"classifier": {}}, 1)
    at = {"variable": checked_name(variable, "variable"), "tested_row": "excluded"}
    return Expr._of({"classifier": {"at": at}}, 1)


def match_number() -> Expr:
    """The ordinal of the match in its partition, from 1.

    Example:
        >>> import cepheid as cep
        >>> cep.match_number()
        cep.match_number()
    """
    return Expr._of("match_number", 1)


def count() -> Expr:
    """How many rows the match has; in a condition, how many were accepted before the row under test.

    Example:
        >>> import cepheid as cep
        >>> cep.count()
        cep.count()
    """
    return Expr._of({"aggregate": {"function": "count", "tested_row": "excluded"}}, 1)


def count_if(condition: Expr | str) -> Expr:
    """How many of the rows accepted satisfy a condition.

    Args:
        condition: An expression or SQL text.

    Example:
        >>> import cepheid as cep
        >>> cep.count_if(cep.ref("a").price > 10)
        cep.count_if(cep.ref('a').price > 10)
    """
    return aggregate("count_if", expression(condition))


def min_by(value: Expr | str, key: Expr | str) -> Expr:
    """The value of the row, among those accepted, with the least key.

    Args:
        value: An expression or SQL text.
        key: An expression or SQL text.

    Example:
        >>> import cepheid as cep
        >>> cep.min_by(cep.ref("a").time, cep.ref("a").price)
        cep.min_by(cep.ref('a').time, cep.ref('a').price)
    """
    return aggregate("min_by", expression(value), expression(key))


def max_by(value: Expr | str, key: Expr | str) -> Expr:
    """The value of the row, among those accepted, with the greatest key.

    Args:
        value: An expression or SQL text.
        key: An expression or SQL text.

    Example:
        >>> import cepheid as cep
        >>> cep.max_by("a.time", "a.price")
        cep.max_by(cep.ref('a').time, cep.ref('a').price)
    """
    return aggregate("max_by", expression(value), expression(key))


def abs(expr: Any) -> Expr:
    """The absolute value.

    Args:
        expr: An expression, SQL text, or a number.

    Example:
        >>> import cepheid as cep
        >>> cep.abs("price - b.price")
        (col.price - cep.ref('b').price).abs()
    """
    return expression(expr).abs()


def round(expr: Any, digits: int | None = None) -> Expr:
    """The nearest number with so many digits after the point; halves go away from zero.

    Args:
        expr: An expression, SQL text, or a number.
        digits: How many; none by default.

    Example:
        >>> import cepheid as cep
        >>> cep.round(cep.col.price, 1)
        col.price.round(1)
    """
    return expression(expr).round(digits)


def power(base: Any, exponent: Any) -> Expr:
    """`base` to the power of `exponent`, a float.

    Args:
        base: An expression, SQL text, or a number.
        exponent: The same.

    Example:
        >>> import cepheid as cep
        >>> cep.col.x ** 2
        cep.power(col.x, 2)
    """
    return call("power", expression(base), expression(exponent))


def exp(expr: Any) -> Expr:
    """Euler's number to the power of the value, a float.

    Args:
        expr: An expression, SQL text, or a number.

    Example:
        >>> import cepheid as cep
        >>> cep.exp(cep.col.x)
        cep.exp(col.x)
    """
    return call("exp", expression(expr))


def ln(expr: Any) -> Expr:
    """The natural logarithm, a float.

    Args:
        expr: An expression, SQL text, or a number.

    Example:
        >>> import cepheid as cep
        >>> cep.ln(cep.col.x)
        cep.ln(col.x)
    """
    return call("ln", expression(expr))


def log(base: Any, expr: Any) -> Expr:
    """The logarithm to a base, a float.

    Args:
        base: An expression, SQL text, or a number.
        expr: The same.

    Example:
        >>> import cepheid as cep
        >>> cep.log(10, cep.col.x)
        cep.log(10, col.x)
    """
    return call("log", expression(base), expression(expr))


def coalesce(*values: Any) -> Expr:
    """The first value that is not NULL; those after it are not evaluated.

    Args:
        values: Expressions and constants, at least one; a string is text, not SQL.

    Raises:
        PatternError: There is none (code ``invalid-expression``).

    Example:
        >>> import cepheid as cep
        >>> cep.coalesce(cep.col.name, "unknown")
        cep.coalesce(col.name, 'unknown')
    """
    return _of_several("coalesce", values)


def greatest(*values: Any) -> Expr:
    """The greatest value; NULL if any is.

    Args:
        values: Expressions and constants, at least one; a string is text, not SQL.

    Raises:
        PatternError: There is none (code ``invalid-expression``).

    Example:
        >>> import cepheid as cep
        >>> cep.greatest(cep.col.bid, cep.col.ask, 0)
        cep.greatest(col.bid, col.ask, 0)
    """
    return _of_several("greatest", values)


def least(*values: Any) -> Expr:
    """The least value; NULL if any is.

    Args:
        values: Expressions and constants, at least one; a string is text, not SQL.

    Raises:
        PatternError: There is none (code ``invalid-expression``).

    Example:
        >>> import cepheid as cep
        >>> cep.least(cep.col.bid, cep.col.ask)
        cep.least(col.bid, col.ask)
    """
    return _of_several("least", values)


def concat(*values: Any) -> Expr:
    """Text one after the other; NULL if any is.

    Args:
        values: Expressions and constants, at least one; a string is text, not SQL.

    Raises:
        PatternError: There is none (code ``invalid-expression``).

    Example:
        >>> import cepheid as cep
        >>> cep.concat(cep.col.origin, "-", cep.col.dest)
        cep.concat(col.origin, '-', col.dest)
    """
    return _of_several("concat", values)


def nullif(value: Any, other: Any) -> Expr:
    """NULL if the two are equal, else the first.

    Args:
        value: An expression or a constant; a string is text, not SQL.
        other: The same.

    Example:
        >>> import cepheid as cep
        >>> cep.nullif(cep.col.code, "")
        cep.nullif(col.code, '')
    """
    return call("nullif", value, other)


def date_diff(unit: str, start: Any, end: Any) -> Expr:
    """Whole units of time from one to the other.

    Args:
        unit: ``"second"``, ``"minute"``, ``"hour"``, ``"day"``, ``"week"``, ``"month"``, ``"quarter"`` or ``"year"``.
        start: An expression or SQL text.
        end: The same.

    Raises:
        PatternError: The unit is unknown (code ``unknown-unit``).

    Example:
        >>> import cepheid as cep
        >>> cep.date_diff("minute", cep.ref("a").time, cep.col.time)
        cep.date_diff('minute', cep.ref('a').time, col.time)
    """
    return call("date_diff", checked_unit(unit), expression(start), expression(end))


def date_add(unit: str, amount: Any, time: Any) -> Expr:
    """A time moved by so many units.

    Args:
        unit: As in `date_diff`.
        amount: How many; negative moves back.
        time: An expression or SQL text.

    Raises:
        PatternError: The unit is unknown (code ``unknown-unit``).

    Example:
        >>> import cepheid as cep
        >>> cep.date_add("day", 1, cep.col.time)
        cep.date_add('day', 1, col.time)
    """
    return call("date_add", checked_unit(unit), operand(amount), expression(time))


def from_unixtime(seconds: Any) -> Expr:
    """The UTC timestamp so many seconds after 1970.

    Args:
        seconds: An expression, SQL text, or a number.

    Example:
        >>> import cepheid as cep
        >>> cep.from_unixtime(cep.col.epoch)
        cep.from_unixtime(col.epoch)
    """
    return call("from_unixtime", expression(seconds))


def duration(span: str | dt.timedelta) -> Expr:
    """A span of time as an expression.

    Args:
        span: Text such as ``"1h30m"`` (units w, d, h, m, s, ms, us, ns), or a timedelta.

    Raises:
        TypeError: It is neither.
        PatternError: The text spells no span (code ``invalid-duration``).

    Example:
        >>> import cepheid as cep
        >>> cep.col.time - cep.prev(cep.col.time) > cep.duration("10m")
        col.time - prev(col.time) > cep.duration('10m')
    """
    return Expr._of({"literal": {"interval": {"months": 0, "nanoseconds": duration_ns(span)}}}, 1)


@final
class When:
    """A condition that waits for its result; see `when`.

    Example:
        >>> import cepheid as cep
        >>> cep.when(cep.col.x > 0)
        cep.when(col.x > 0)
    """

    __slots__ = ("_branches", "_condition")

    def __init__(self, branches: Sequence[tuple[Expr, Expr]], condition: Expr) -> None:
        self._branches = tuple(branches)
        self._condition = condition

    def then(self, value: Any) -> Then:
        """The result when the condition is true.

        Args:
            value: An expression or a constant; a string is text, not SQL.

        Raises:
            TypeError: It is neither.

        Example:
            >>> import cepheid as cep
            >>> cep.when(cep.col.x > 0).then(1)
            cep.when(col.x > 0).then(1)
        """
        return Then._chain((*self._branches, (self._condition, operand(value))))

    def __repr__(self) -> str:
        head = repr(Then._chain(self._branches)) + "." if self._branches else "cep."
        return f"{head}when({self._condition!r})"


@final
class Then(Expr):
    """An expression that can be given more branches; NULL where no condition holds. See `when`.

    Example:
        >>> import cepheid as cep
        >>> cep.when("x > 0").then("up").when("x < 0").then("down")
        cep.when(col.x > 0).then('up').when(col.x < 0).then('down')
    """

    __slots__ = ("_branches",)

    _branches: tuple[tuple[Expr, Expr], ...]

    @classmethod
    def _chain(cls, branches: tuple[tuple[Expr, Expr], ...]) -> Then:
        whole = _case(branches, None)
        then = object.__new__(Then)
        object.__setattr__(then, "_node", whole._node)
        object.__setattr__(then, "_depth", whole._depth)
        object.__setattr__(then, "_alias", None)
        object.__setattr__(then, "_branches", branches)
        return then

    def when(self, condition: Expr | str | bool) -> When:
        """Another condition, asked where those before it do not hold.

        Args:
            condition: An expression or SQL text.

        Raises:
            TypeError: It is neither.

        Example:
            >>> import cepheid as cep
            >>> cep.when(cep.col.x > 0).then(1).when(cep.col.x < 0).then(-1)
            cep.when(col.x > 0).then(1).when(col.x < 0).then(-1)
        """
        return When(self._branches, expression(condition))

    def otherwise(self, value: Any) -> Expr:
        """The result where no condition holds.

        Args:
            value: An expression or a constant; a string is text, not SQL.

        Raises:
            TypeError: It is neither.

        Example:
            >>> import cepheid as cep
            >>> cep.when(cep.col.x > 0).then(1).otherwise(0)
            cep.when(col.x > 0).then(1).otherwise(0)
        """
        return _case(self._branches, operand(value))


def when(condition: Expr | str | bool) -> When:
    """Begins a choice: ``when(c).then(a).when(d).then(b).otherwise(e)``. Once one holds, later ones are not evaluated.

    Args:
        condition: An expression or SQL text.

    Raises:
        TypeError: It is neither.

    Example:
        >>> import cepheid as cep
        >>> cep.when(cep.col.price > 100).then("high").otherwise("low")
        cep.when(col.price > 100).then('high').otherwise('low')
    """
    return When((), expression(condition))


def _of_several(function: str, values: Sequence[Any]) -> Expr:
    if not 1 <= len(values) <= 255:
        raise PatternError(f"{function}() takes 1 to 255 values, not {len(values)}", code="invalid-expression")
    return call(function, *values)


def _case(branches: Sequence[tuple[Expr, Expr]], otherwise: Expr | None) -> Expr:
    parts = [part for branch in branches for part in branch] + ([] if otherwise is None else [otherwise])
    body: dict[str, Any] = {"branches": [{"when": c._node, "then": v._node} for c, v in branches]}
    if otherwise is not None:
        body["otherwise"] = otherwise._node
    return Expr._of({"case": body}, max(part._depth for part in parts) + 1)
