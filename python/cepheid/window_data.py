"""What is said of a window, with or without its frame: plain data, compared by what it says, spelled as code."""

from __future__ import annotations

from typing import Any, NoReturn, Self

from cepheid import nodes
from cepheid.building import checked_name, same_data
from cepheid.clauses import condition_node, measures_code, name_code
from cepheid.errors import PatternError
from cepheid.literal import duration_text
from cepheid.nodes import Node
from cepheid.spelling import expr_code

# Names that arguments of `window` have, so that no measure can have them as a keyword.
_ARGUMENTS = ("topic", "by", "where", "event_time")


class WindowData:
    """A window so far, as the engine reads it; Python predicates are still in place."""

    __slots__ = ("_data", "_kept")

    _data: dict[str, Any]
    _kept: dict[str, Any]

    def __init__(self) -> None:
        raise TypeError("windows are built with window(), window_from_sql() or Window.from_dict()")

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
        raise AttributeError("windows cannot be changed; their methods give new ones")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("windows cannot be changed; their methods give new ones")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, WindowData)
        return same_data(self._data, other._data)

    def __hash__(self) -> int:
        return hash((self._data.get("name"), *(measure["name"] for measure in self._data["measures"])))

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (type(self), self._data)

    def __repr__(self) -> str:
        data = self._data
        # Names that are no keywords stand in a dict, which comes first.
        arguments = [measures_code(data["measures"], _ARGUMENTS)]
        if data.get("topic") is not None:
            arguments.append(f"topic={data['topic']!r}")
        if by := data.get("partition_by"):
            columns = ", ".join(map(name_code, by))
            arguments.append(f"by={columns if len(by) == 1 else f'[{columns}]'}")
        if "condition" in data:
            arguments.append(f"where={expr_code(data['condition'])}")
        if "event_time" in data:
            arguments.append(f"event_time={name_code(data['event_time'])}")
        code = f"cep.window({', '.join(arguments)})"
        if "frame" in data:
            code += _frame_code(data["frame"])
        for key, method in (("name", "named"), ("emit", "emit")):
            if data.get(key) is not None:
                code += f".{method}({data[key]!r})"
        return code

    def named(self, rule: str) -> Self:
        """Names the rule. The name is no part of its fingerprint.

        Args:
            rule: A name, not empty.

        Raises:
            TypeError: It is no string.
            PatternError: It is empty (code ``empty-name``).

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count()).tumbling("1m").named("per-minute").name
            'per-minute'
        """
        return self._with(name=checked_name(rule, "rule"))

    def emit(self, topic: str) -> Self:
        """Names the type of the derived events; the rule's name by default.

        Args:
            topic: A name, not empty.

        Raises:
            TypeError: It is no string.
            PatternError: It is empty (code ``empty-name``).

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count()).tumbling("1m").emit("orders.minute")
            cep.window(n=cep.count()).tumbling('1m').emit('orders.minute')
        """
        return self._with(emit=checked_name(topic, "topic"))

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
        return self._with(condition=nodes.conjunction([*before, row_condition(condition)]))


def row_condition(condition: Any) -> Node:
    """A condition on a row alone."""
    context = "the condition of a window"
    node = condition_node(condition, context)
    for part in nodes.walk(node):
        tag = nodes.tag_of(part)
        if tag == "aggregate" or (tag in nodes.POINTER_TAGS and nodes.pointer_of(part)):
            raise PatternError(
                f"{context} is asked of a row alone; it can name columns, but no other rows",
                code="invalid-expression",
                context=context,
            )
    return node


def _frame_code(frame: dict[str, Any]) -> str:
    """The method call that gives a window its frame."""
    ((kind, body),) = frame.items()
    if kind == "rows":
        every = f", every={body['every']}" if body["every"] != body["rows"] else ""
        return f".rows({body['rows']}{every})"
    spans = {key.removesuffix("_ns"): repr(duration_text(span)) for key, span in body.items()}
    match kind:
        case "range":
            return f".sliding({spans['preceding']})"
        case "session":
            return f".session(gap={spans['gap']})"
    offset = f", offset={spans['offset']}" if "offset" in spans else ""
    if spans["size"] == spans["every"]:
        return f".tumbling({spans['size']}{offset})"
    return f".hopping({spans['size']}, every={spans['every']}{offset})"


def _unpickle(cls: type[WindowData], data: dict[str, Any]) -> WindowData:
    return cls._of(data)
