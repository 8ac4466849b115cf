"""Expressions and patterns as the Python code that builds them."""

from __future__ import annotations

import datetime as dt
import keyword
from typing import Any

from cepheid import nodes
from cepheid.literal import data_type_name, duration_text
from cepheid.nodes import Node

# How tightly code binds, loosest first.
_COMPARISON, _OR, _AND, _ADD, _MULTIPLY, _UNARY, _POSTFIX = range(7)

_OPERATORS = {
    "add": ("+", _ADD),
    "subtract": ("-", _ADD),
    "multiply": ("*", _MULTIPLY),
    "divide": ("/", _MULTIPLY),
    "modulo": ("%", _MULTIPLY),
    "equal": ("==", _COMPARISON),
    "not_equal": ("!=", _COMPARISON),
    "less": ("<", _COMPARISON),
    "less_or_equal": ("<=", _COMPARISON),
    "greater": (">", _COMPARISON),
    "greater_or_equal": (">=", _COMPARISON),
}
_METHODS = {"abs", "round", "floor", "ceil", "truncate", "sign", "sqrt", "is_nan", "is_finite"}
_TEXT = {
    "lower", "upper", "length", "trim", "ltrim", "rtrim", "reverse", "substring", "strpos", "starts_with", "ends_with",
    "contains", "replace", "lpad", "rpad", "split_part", "regexp_like", "regexp_extract", "regexp_replace",
}  # fmt: skip
_TEMPORAL = {
    "year", "quarter", "month", "week", "day", "day_of_week", "day_of_year", "hour", "minute", "second", "millisecond",
    "microsecond", "nanosecond", "date", "to_unixtime", "at_timezone", "total_seconds",
}  # fmt: skip
_FUNCTIONS = {"coalesce", "greatest", "least", "concat", "nullif", "power", "exp", "ln", "log", "from_unixtime",
              "date_diff", "date_add"}  # fmt: skip
# A string given to these is read as SQL.
_TAKE_SQL = {"power", "exp", "ln", "log", "from_unixtime", "date_diff", "date_add"}
_UNIT_FIRST = {"date_diff", "date_add"}
_AGGREGATES = {
    "sum": "sum", "avg": "avg", "min": "min", "max": "max", "count": "count", "stddev": "stddev", "variance": "var",
    "array_agg": "list", "bool_and": "all", "bool_or": "any", "median": "median", "quantile": "quantile",
    "top_k": "top_k", "ewma": "ewma", "approx_n_unique": "approx_n_unique", "approx_quantile": "approx_quantile",
    "approx_top_k": "approx_top_k",
}  # fmt: skip
_COLUMN_METHODS = frozenset({"count", "_variable"})


def expr_code(node: Node) -> str:
    """Code that builds the expression, given ``cep``, ``col`` and ``prev``."""
    return _code(node)[0]


def _code(node: Node) -> tuple[str, int]:
    """The code, and how tightly it binds."""
    if node == "match_number":
        return "cep.match_number()", _POSTFIX
    ((tag, body),) = node.items()
    match tag:
        case "literal":
            return f"cep.lit({plain})" if (plain := _plain_literal(body)) else _special_literal(body), _POSTFIX
        case "column" | "classifier" | "udf":
            return _pointed(tag, body), _POSTFIX
        case "aggregate":
            return _aggregate(body), _POSTFIX
        case "negate":
            return f"-{_tight(body, _UNARY)}", _UNARY
        case "not":
            if nodes.tag_of(body) == "is_null":
                return f"{_tight(body['is_null'])}.is_not_null()", _POSTFIX
            return f"~{_tight(body, _UNARY)}", _UNARY
        case "binary":
            return _binary(body)
        case "and" | "or":
            symbol, level = (" & ", _AND) if tag == "and" else (" | ", _OR)
            return symbol.join([_tight(body[0], level), *(_tight(part, level + 1) for part in body[1:])]), level
        case "is_null":
            return f"{_tight(body)}.is_null()", _POSTFIX
        case "in":
            return f"{_tight(body['operand'])}.is_in([{', '.join(map(_operand, body['list']))}])", _POSTFIX
        case "between":
            low, high = _operand(body["low"]), _operand(body["high"])
            return f"{_tight(body['operand'])}.between({low}, {high})", _POSTFIX
        case "like":
            escape = f", escape={body['escape']!r}" if body.get("escape") is not None else ""
            return f"{_tight(body['operand'])}.like({_operand(body['pattern'])}{escape})", _POSTFIX
        case "case":
            branches = ".".join(f"when({expr_code(b['when'])}).then({_operand(b['then'])})" for b in body["branches"])
            end = f".otherwise({_operand(body['otherwise'])})" if body.get("otherwise") is not None else ""
            return f"cep.{branches}{end}", _POSTFIX
        case "cast":
            strict = ", strict=False" if body.get("lenient") else ""
            return f"{_tight(body['operand'])}.cast({data_type_name(body['to'])!r}{strict})", _POSTFIX
        case "call":
            return _call(node, body), _POSTFIX
    return _as_data(node), _POSTFIX


def _tight(node: Node, level: int = _POSTFIX) -> str:
    code, binds = _code(node)
    return code if binds >= level else f"({code})"


def _operand(node: Node) -> str:
    """As an argument: constants stand for themselves."""
    if nodes.tag_of(node) == "literal" and (plain := _plain_literal(node["literal"])):
        return plain
    return expr_code(node)


def _binary(body: dict[str, Any]) -> tuple[str, int]:
    left, right = body["left"], body["right"]
    if body["op"] == "is_distinct_from":
        return f"{_tight(left)}.is_distinct_from({_operand(right)})", _POSTFIX
    if body["op"] == "concat":
        return _as_data({"binary": body}), _POSTFIX
    symbol, level = _OPERATORS[body["op"]]
    plain = _plain_literal(right["literal"]) if nodes.tag_of(right) == "literal" else ""
    return f"{_tight(left, level + (level == _COMPARISON))} {symbol} {plain or _tight(right, level + 1)}", level


def _plain_literal(literal: Any) -> str:
    """A constant that Python spells as it is, or nothing."""
    if literal == "null":
        return "None"
    ((kind, value),) = literal.items()
    if kind in ("boolean", "integer", "string"):
        return repr(value)
    if kind == "float":
        return f"float({value!r})" if isinstance(value, str) else repr(float(value))
    return ""


def _special_literal(literal: Any) -> str:
    ((kind, value),) = literal.items()
    if kind == "interval" and not value.get("months") and value.get("nanoseconds", 0) >= 0:
        return f"cep.duration({duration_text(value.get('nanoseconds', 0))!r})"
    if kind == "date" and (text := _date_text(value)):
        return f"cep.expr_from_sql(\"DATE '{text}'\")"
    if kind == "timestamp" and (text := _timestamp_text(value["nanoseconds"])):
        return f"cep.expr_from_sql(\"TIMESTAMP '{text}{' UTC' if value['zoned'] else ''}'\")"
    if kind == "decimal" and "-" not in value["unscaled"]:
        digits = value["unscaled"].rjust(value["scale"] + 1, "0")
        whole, fraction = digits[: len(digits) - value["scale"]], digits[len(digits) - value["scale"] :]
        return f"cep.expr_from_sql(\"DECIMAL '{whole}{'.' if fraction else ''}{fraction}'\")"
    return _as_data({"literal": literal})


def _date_text(days: int) -> str:
    try:
        return (dt.date(1970, 1, 1) + dt.timedelta(days=days)).isoformat()
    except OverflowError:
        return ""


def _timestamp_text(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction}"


def _as_data(node: Node) -> str:
    return f"cep.Expr.from_dict({node!r})"


def _pointed(tag: str, body: dict[str, Any]) -> str:
    at = body.get("at", {})
    marked = at.get("tested_row") == "excluded"
    logical = at.keys() & {"variable", "anchor", "logical_offset"}
    if at.get("semantics", "running") != "running" or bool(logical) > marked:
        # SQL's meaning, which the algebra has no spelling for.
        return _as_data({tag: body})
    variable = at.get("variable")
    if tag == "udf":
        predicate = body["predicate"]
        base = f"cep.udf({predicate.function!r}, columns={list(predicate.columns)!r})"
    elif tag == "classifier":
        base = f"cep.classifier({'' if variable is None else repr(variable)})"
    elif variable is None:
        base = _column(body)
    elif body.get("quoted"):
        return _as_data({tag: body})
    else:
        base = _member(f"cep.ref({variable!r})", body["name"])
    offset = at.get("logical_offset", 0)
    if at.get("anchor", "last") == "first":
        base += f".first({offset or ''})"
    elif offset or (marked and variable is None):
        base += f".last({offset or ''})"
    if moved := at.get("physical_offset", 0):
        function = "prev" if moved < 0 else "cep.next_"
        base = f"{function}({base}{'' if abs(moved) == 1 else f', {abs(moved)}'})"
    return base


def _column(body: dict[str, Any]) -> str:
    if body.get("quoted"):
        return f"col({body['name']!r}, exact=True)"
    return f"col.{body['name']}" if _is_attribute(body["name"]) else f"col({body['name']!r})"


def _member(base: str, name: str) -> str:
    plain = _is_attribute(name) and name not in _COLUMN_METHODS
    return f"{base}.{name}" if plain else f"{base}[{name!r}]"


def _is_attribute(name: str) -> bool:
    # An identifier that Python would normalise names another column.
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")


def _aggregate(body: dict[str, Any]) -> str:
    if "defined" in body:
        # The last two are constants that it adds itself.
        return f"{body['defined'].name}({', '.join(map(_operand, body['args'][:-2]))})"
    if body.get("tested_row") != "excluded" or body.get("semantics", "running") != "running":
        return _as_data({"aggregate": body})
    function, args, variable = body["function"], body.get("args", []), body.get("variable")
    if not args:
        return f"cep.ref({variable!r}).count()" if variable is not None else "cep.count()"

    # An aggregate over a variable names it in its columns; without columns there is no place for the name.
    def of_variable(part: Node) -> Node:
        if nodes.tag_of(part) not in nodes.POINTER_TAGS or variable is None:
            return part
        return nodes.with_pointer(part, {"variable": variable, "tested_row": "excluded"})

    named = any(nodes.tag_of(part) in nodes.POINTER_TAGS for arg in args for part in nodes.walk(arg))
    distinct = body.get("distinct", False)
    if (variable is not None and not named) or (distinct and function != "count"):
        return _as_data({"aggregate": body})
    parts = [nodes.rewrite(arg, of_variable) for arg in args]
    if function in ("count_if", "min_by", "max_by"):
        return f"cep.{function}({', '.join(expr_code(part) for part in parts)})"
    method = aggregate_method(body)
    if function == "ewma" and (half_life := _span_ns(parts[1])) is not None:
        return f"{_tight(parts[0])}.ewma(half_life={duration_text(half_life)!r})"
    constants = ", ".join(map(_operand, parts[1:]))
    return f"{_tight(parts[0])}.{method}({constants})" if method else _as_data({"aggregate": body})


def _span_ns(node: Node) -> int | None:
    """The nanoseconds of a constant span that has no months and is longer than zero."""
    span = node["literal"].get("interval") if nodes.tag_of(node) == "literal" else None
    if span is None or span.get("months") or span.get("nanoseconds", 0) <= 0:
        return None
    return int(span["nanoseconds"])


def aggregate_method(body: dict[str, Any]) -> str | None:
    """The method of an expression that spells an aggregate of it, if one does."""
    if body.get("distinct"):
        return "n_unique" if body["function"] == "count" else None
    return _AGGREGATES.get(body["function"])


def _call(node: Node, body: dict[str, Any]) -> str:
    function, args = body["function"], body["args"]
    if function == "date_trunc" and len(args) == 2 and isinstance(unit := _string(args[0]), str):
        return f"{_tight(args[1])}.dt.truncate({unit!r})"
    if function in _METHODS and args:
        return f"{_tight(args[0])}.{function}({', '.join(map(_operand, args[1:]))})"
    if function in _TEXT and args:
        return f"{_tight(args[0])}.str.{function}({', '.join(map(_operand, args[1:]))})"
    if function in _TEMPORAL and args:
        return f"{_tight(args[0])}.dt.{function}({', '.join(map(_operand, args[1:]))})"
    if function in _FUNCTIONS and args:
        sql = function in _TAKE_SQL
        spelled = [expr_code(arg) if sql and _string(arg) is not None else _operand(arg) for arg in args]
        if function in _UNIT_FIRST:
            unit = _string(args[0])
            if unit is None:
                return _as_data(node)
            spelled[0] = repr(unit)
        return f"cep.{function}({', '.join(spelled)})"
    return _as_data(node)


def _string(node: Node) -> str | None:
    literal = node["literal"] if nodes.tag_of(node) == "literal" else None
    return literal.get("string") if isinstance(literal, dict) else None
