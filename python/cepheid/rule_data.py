"""What rules that are no patterns are made of: plain data, compared by what it says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn, Self

from cepheid import nodes
from cepheid.building import checked_name, same_data
from cepheid.clauses import column_name, condition_node, name_code
from cepheid.errors import PatternError
from cepheid.expr import Expr
from cepheid.nodes import Node
from cepheid.rule import NamedRule
from cepheid.spelling import expr_code


class RuleData(NamedRule):
    """A rule so far, as the engine reads it; Python predicates are still in place."""

    __slots__ = ("_data", "_kept")

    # What it is called, with its article.
    _WHAT: ClassVar[str]
    # What makes one.
    _MADE_BY: ClassVar[str]

    _data: dict[str, Any]
    _kept: dict[str, Any]

    def __init__(self) -> None:
        raise TypeError(f"{self._noun()}s are built with {self._MADE_BY}")

    @classmethod
    def _noun(cls) -> str:
        return cls._WHAT.partition(" ")[2]

    @classmethod
    def _of(cls, data: dict[str, Any]) -> Self:
        made = object.__new__(cls)
        object.__setattr__(made, "_data", data)
        object.__setattr__(made, "_kept", {})
        made._check()
        return made

    def _check(self) -> None:
        """Finds what is wrong with what has been said."""

    def _with(self, **changes: Any) -> Self:
        return self._of({**self._data, **changes})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{self._noun()}s cannot be changed; their methods give new ones")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self._noun()}s cannot be changed; their methods give new ones")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, RuleData)
        return same_data(self._data, other._data)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (type(self), self._data)

    def _source_code(self) -> list[str]:
        """Arguments that say which rows it is about, as code."""
        data, arguments = self._data, []
        if data.get("topic") is not None:
            arguments.append(f"topic={data['topic']!r}")
        if by := data.get("partition_by"):
            columns = ", ".join(map(name_code, by))
            arguments.append(f"by={columns if len(by) == 1 else f'[{columns}]'}")
        if "condition" in data:
            arguments.append(f"where={expr_code(data['condition'])}")
        if "event_time" in data:
            arguments.append(f"event_time={name_code(data['event_time'])}")
        return arguments

    def _name_code(self) -> str:
        """The method calls that name it and its events."""
        named = [(method, self._data.get(key)) for key, method in (("name", "named"), ("emit", "emit"))]
        return "".join(f".{method}({name!r})" for method, name in named if name is not None)

    def where(self, condition: Any) -> Self:
        """Passes over rows that do not satisfy a condition, as if they had not come; said again, all must hold.

        Args:
            condition: An expression over the row, or SQL text.

        Raises:
            TypeError: It is neither.
            PatternError: It asks for more than the row (code ``invalid-expression``).
            SqlError: The text is no SQL expression.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> cep.window(n=cep.count()).tumbling("1m").where(col.amount > 0).where("status = 'ok'")
            cep.window(n=cep.count(), where=(col.amount > 0) & (col.status == 'ok')).tumbling('1m')
        """
        before = [self._data["condition"]] if "condition" in self._data else []
        more = row_condition(condition, f"the condition of {self._WHAT}")
        return self._with(condition=nodes.conjunction([*before, more]))


def source_data(what: str, topic: Any, by: Any, where: Any, event_time: Any) -> dict[str, Any]:
    """Which rows a rule is about, as it is asked for in Python."""
    columns = [by] if isinstance(by, (str, Expr)) else by
    if not isinstance(columns, Iterable):
        raise TypeError(f"by is a column or several, not {type(by).__name__}")
    data: dict[str, Any] = {}
    if topic is not None:
        data["topic"] = checked_name(topic, "topic")
    if keys := [column_name(column) for column in columns]:
        data["partition_by"] = keys
    if where is not None:
        data["condition"] = row_condition(where, f"the condition of {what}")
    if event_time is not None:
        data["event_time"] = column_name(event_time)
    return data


def row_condition(condition: Any, context: str) -> Node:
    """A condition on a row alone."""
    return checked_row_node(condition_node(condition, context), context)


def checked_row_node(node: Node, context: str) -> Node:
    """An expression of a row alone."""
    for part in nodes.walk(node):
        tag = nodes.tag_of(part)
        if tag == "aggregate" or (tag in nodes.POINTER_TAGS and nodes.pointer_of(part)):
            raise PatternError(
                f"{context} is asked of a row alone; it can name columns, but no other rows",
                code="invalid-expression",
                context=context,
            )
    return node


def _unpickle(cls: type[RuleData], data: dict[str, Any]) -> RuleData:
    return cls._of(data)
