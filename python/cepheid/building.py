"""How expressions are put together: checks of operands, and the moves of a reference from row to row."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

# The two modules need each other: this one makes expressions, and their methods call it.
from cepheid import expr as expr_module
from cepheid import nodes
from cepheid.errors import PatternError, SqlError
from cepheid.literal import duration_ns, is_literal_value, literal_node
from cepheid.nodes import Node

if TYPE_CHECKING:
    from cepheid.expr import Expr

OFFSET_MAX = 2**31 - 1


def parsed(text: str, dialect: str) -> Node:
    """The node that an SQL text spells."""
    from cepheid import _native

    node = json.loads(_native.parse_expression(encodable(text), dialect))
    return nodes.accepted_before(node) if dialect == "algebra_condition" else node


def parsed_measure(text: str) -> tuple[Node, str | None]:
    """The node of a measure, and its name, which SQL text spells: ``SUM(x) AS total``."""
    from cepheid import _native

    json_node, name = _native.parse_measure(encodable(text))
    return nodes.measure_form(json.loads(json_node), from_text=True), name


def encodable(text: str) -> str:
    """Text that can be handed to the parser."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SqlError("the text holds a lone surrogate, which is no Unicode text") from None
    return text


def column(name: str, *, exact: bool = False, at: dict[str, Any] | None = None) -> Expr:
    """A column at a row; `at` as the engine reads it, the row under test by default."""
    body: dict[str, Any] = {"name": checked_name(name, "column")}
    if exact:
        body["quoted"] = True
    if at:
        body["at"] = at
    return expr_module.Expr._of({"column": body}, 1)


def operand(value: Any) -> Expr:
    """An expression as it is, a Python value as a constant."""
    return value if isinstance(value, expr_module.Expr) else expr_module.Expr._of(literal_node(value), 1)


def expression(value: Any) -> Expr:
    """An expression as it is, a string as SQL text, any other value as a constant."""
    return expr_module.Expr._of(parsed(value, "algebra_condition")) if isinstance(value, str) else operand(value)


def call(function: str, *args: Any) -> Expr:
    """A scalar function of expressions and constants."""
    operands = [operand(arg) for arg in args]
    depth = max((item._depth for item in operands), default=0) + 1
    return expr_module.Expr._of({"call": {"function": function, "args": [item._node for item in operands]}}, depth)


def span_ns(span: Any, what: str) -> int:
    """A span of time in nanoseconds, longer than zero."""
    nanoseconds = duration_ns(span)
    if nanoseconds <= 0:
        raise PatternError(f"{what} must be longer than zero", code="invalid-within")
    return nanoseconds


def span_operand(span: Any, what: str) -> Expr:
    """A span of time, longer than zero, as a constant."""
    return expr_module.Expr._of({"literal": {"interval": {"months": 0, "nanoseconds": span_ns(span, what)}}})


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
    return expr_module.Expr._of({"aggregate": body}, max(arg._depth for arg in args) + 1)


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
    return expr_module.Expr._of(node, expr._depth)


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
        raise PatternError(
            f"{what}() moves to another row, but its expression names no column", code="invalid-expression"
        )
    return expr_module.Expr._of(node, expr._depth)


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
        "a Python function (cep.udf, cep.user_aggregate) cannot be written down; compute a column of the input instead",
        code="not-serialisable",
    )


def json_text(data: Any, what: str) -> str:
    """Plain data as JSON."""
    try:
        return json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise PatternError(f"not {what} as plain data: {error}", code="malformed") from None


def logical_offset(offset: Any) -> dict[str, Any]:
    """The part of a pointer that says how many accepted rows to move inwards."""
    rows = checked_offset(offset, "offset", 0, OFFSET_MAX)
    return {"logical_offset": rows} if rows else {}


def wrapped(tag: str, expr: Any) -> Expr:
    """A node around a single operand."""
    return expr_module.Expr._of({tag: expr._node}, expr._depth + 1)


def rounded(expr: Any, digits: Any) -> Expr:
    """Rounding to so many digits, none by default."""
    return call("round", expr, *(() if digits is None else (checked_offset(digits, "digits", -38, 38),)))


def binary(op: str, left: Any, right: Any) -> Expr:
    """A binary operation; NotImplemented, for Python to ask the other side, if one side is no operand."""
    if not isinstance(left, expr_module.Expr) and not is_literal_value(left):
        return NotImplemented  # type: ignore[no-any-return]
    if not isinstance(right, expr_module.Expr) and not is_literal_value(right):
        return NotImplemented  # type: ignore[no-any-return]
    first, second = operand(left), operand(right)
    depth = max(first._depth, second._depth) + 1
    return expr_module.Expr._of({"binary": {"op": op, "left": first._node, "right": second._node}}, depth)


def comparison(op: str, left: Any, right: Any) -> Expr:
    """A comparison that must be possible.

    Raises:
        TypeError: `right` is neither an expression nor a constant.
    """
    # Left to itself, Python would answer == and != by identity.
    return binary(op, left, operand(right))


def logic(tag: str, left: Any, right: Any) -> Expr:
    """A conjunction or disjunction; NotImplemented if one side is no condition."""
    for side in (left, right):
        if not isinstance(side, (expr_module.Expr, bool)) and side is not None:
            return NotImplemented  # type: ignore[no-any-return]
    first, second = operand(left), operand(right)
    chain = nodes.conjunction if tag == "and" else nodes.disjunction
    # A chain is one level, however long.
    inner = [item._depth - 1 if nodes.tag_of(item._node) == tag else item._depth for item in (first, second)]
    return expr_module.Expr._of(chain([first._node, second._node]), max(inner) + 1)


def same_data(left: Any, right: Any) -> bool:
    """Equality of plain data in which True is not 1, 1 is not 1.0, and 0.0 is not -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same_data(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same_data, left, right))
    if isinstance(left, float):
        return left.hex() == float(right).hex()
    return bool(left == right)
