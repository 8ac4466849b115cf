"""Clauses of a whole pattern: what their arguments mean, and how they are spelled."""

from __future__ import annotations

import keyword
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from cepheid import nodes
from cepheid.bounds import bound_code
from cepheid.building import checked_name, operand, parsed
from cepheid.errors import PatternError
from cepheid.expr import Expr
from cepheid.literal import duration_text
from cepheid.nodes import Node
from cepheid.spelling import expr_code

RowsPerMatch = Literal["one", "all", "all_omit_empty", "all_with_unmatched"]

ROWS_PER_MATCH = {
    "one": "one",
    "all": "all_show_empty",
    "all_omit_empty": "all_omit_empty",
    "all_with_unmatched": "all_with_unmatched",
}
AFTER_MATCH = ("past_last_row", "to_next_row", "none", "consume")
# What a clause is called by the method that sets it.
CLAUSE_METHODS = {"measures": "select", "trend": "aggregate", "selection": "matches", "name": "named"}
UNSET: Any = object()


def conditions_node(conditions: tuple[Any, ...], context: str) -> Node:
    """The node of conditions that must all hold, each an expression or SQL text."""
    return nodes.conjunction([condition_node(condition, context) for condition in conditions])


def condition_node(condition: Any, context: str) -> Node:
    """The node of a condition: an expression, SQL text, True or False."""
    if isinstance(condition, str):
        return parsed(condition, "algebra_condition")
    if isinstance(condition, (Expr, bool)):
        return operand(condition)._node
    raise TypeError(f"{context} is an expression or SQL text, not {type(condition).__name__}")


def measure_node(value: Any, context: str) -> Node:
    """The node of a measure: an expression, SQL text, or a constant."""
    if isinstance(value, str):
        return nodes.measure_form(parsed(value, "algebra_measure"), from_text=True)
    if callable(value) and not isinstance(value, Expr):
        raise TypeError(f"{context} is an expression or SQL text, not {type(value).__name__}")
    return nodes.measure_form(operand(value)._node)


def finished_condition_node(condition: Any, context: str) -> Node:
    """The node of a condition on a finished match: an expression, SQL text, True or False."""
    if not isinstance(condition, (Expr, str, bool)):
        raise TypeError(f"{context} is an expression or SQL text, not {type(condition).__name__}")
    return measure_node(condition, context)


def chosen_measures(method: str, measures: tuple[Any, ...], named: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Measures by name, from mappings, expressions with an alias, and keywords."""
    chosen: list[tuple[Any, Any]] = []
    for measure in measures:
        if isinstance(measure, Mapping):
            chosen.extend(measure.items())
        elif isinstance(measure, Expr):
            if measure._alias is None:
                raise PatternError(
                    f'the measure {measure!r} has no name; write {method}(name=...) or .alias("name")',
                    code="empty-name",
                )
            chosen.append((measure._alias, measure))
        else:
            raise TypeError(f"{method}() takes name=expression, not {type(measure).__name__}")
    return [*chosen, *named.items()]


def references(node: Node) -> Iterator[str]:
    """The variables that an expression names."""
    for part in nodes.walk(node):
        tag = nodes.tag_of(part)
        if tag in nodes.POINTER_TAGS:
            name = nodes.pointer_of(part).get("variable")
        else:
            name = part["aggregate"].get("variable") if tag == "aggregate" else None
        if name is not None:
            yield name


def entries(mapping: Any, keywords: dict[str, Any], method: str) -> list[tuple[Any, Any]]:
    """What a mapping and keywords give together."""
    if mapping is None:
        return list(keywords.items())
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{method}() takes a mapping or keywords, not {type(mapping).__name__}")
    return [*mapping.items(), *keywords.items()]


def column_name(column: Any) -> dict[str, Any]:
    """The column that a clause names, by name or as ``col.name``."""
    if isinstance(column, Expr):
        node = column._node
        if nodes.tag_of(node) != "column" or nodes.pointer_of(node):
            raise PatternError(f"{column!r} is no column of the table", code="invalid-expression")
        return {key: value for key, value in node["column"].items() if key != "at"}
    return {"name": checked_name(column, "column")}


def checked_flags(value: Any, count: int, what: str) -> list[bool]:
    """One flag a column, from one for all or a list."""
    if isinstance(value, bool):
        return [value] * count
    if not isinstance(value, (list, tuple)) or not all(isinstance(flag, bool) for flag in value):
        raise TypeError(f"{what} is True, False, or a list of them")
    if len(value) != count:
        raise PatternError(f"{what} has {len(value)} flags for {count} columns", code="invalid-clause")
    return list(value)


def clause_code(key: str, value: Any) -> str:
    """The method call that sets a clause."""
    match key:
        case "within":
            return "".join(bound_code(kind, value[kind]) for kind in value)
        case "partition_by":
            return f".partition_by({', '.join(map(name_code, value))})"
        case "order_by":
            return f".order_by({', '.join([*(name_code(key['column']) for key in value), *_flag_code(value)])})"
        case "measures":
            return f".select({measures_code(value)})"
        case "after_match":
            if isinstance(value, str):
                return f".after_match({value!r})"
            target = value["to_variable"]
            strict = ", strict=True" if target.get("strict") else ""
            return f".after_match(({'to_' + target['row']!r}, {target['variable']!r}){strict})"
        case "rows_per_match":
            name = next(name for name, lowered in ROWS_PER_MATCH.items() if lowered == value)
            return f".rows_per_match({name!r})"
        case "selection":
            return f".matches({value!r})"
        case "having":
            return f".having({expr_code(nodes.condition_form(value))})"
        case "timeouts":
            return ".timeouts(True)" if value else ""
        case "trend":
            every = f", every={duration_text(value['every_ns'])!r}" if value.get("every_ns") is not None else ""
            return f".aggregate({measures_code(value['values'], ('every',))}{every})"
        case "emit_at":
            return "".join(map(_emit_at_code, value))
        case "name" | "emit":
            return f".{CLAUSE_METHODS.get(key, key)}({value!r})" if value is not None else ""
    return ""


def measures_code(measures: list[dict[str, Any]], taken: Collection[str] = ()) -> str:
    """The arguments that name measures: keywords, unless a name is none for a keyword, or `taken` by another."""
    codes = {measure["name"]: expr_code(nodes.condition_form(measure["value"])) for measure in measures}
    if all(_is_keyword_argument(name) and name not in taken for name in codes):
        return ", ".join(f"{name}={code}" for name, code in codes.items())
    return f"{{{', '.join(f'{name!r}: {code}' for name, code in codes.items())}}}"


def _emit_at_code(entry: dict[str, Any]) -> str:
    arguments = [repr(entry["variable"]), repr(entry["topic"])]
    if measures := entry.get("measures"):
        arguments.append(measures_code(measures))
    return f".emit_at({', '.join(arguments)})"


def name_code(column: dict[str, Any]) -> str:
    """The argument that names a column."""
    return f"col({column['name']!r}, exact=True)" if column.get("quoted") else repr(column["name"])


def _flag_code(keys: list[dict[str, Any]]) -> Iterator[str]:
    for flag in ("descending", "nulls_first"):
        values = [key.get(flag, False) for key in keys]
        if any(values):
            yield f"{flag}={True if all(values) else values}"


def _is_keyword_argument(name: str) -> bool:
    return name.isascii() and name.isidentifier() and not keyword.iskeyword(name) and name != "self"
