"""Functions of Python as actions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, final

from cepheid.actions.checking import checked_name, invalid_action
from cepheid.actions.protocol import ActionContext, is_coroutine_action

__all__ = ["Function"]


@final
class Function:
    """A function as an action: of the event alone, or of the event and the `ActionContext`.

    What it raises is tried again, and so may happen more than once: `ActionContext.key` tells attempts for one event.

    Args:
        function: The function, or coroutine function. With two parameters that can be given by place it is told the
            context; with one it is not.
        name: Its name. None: the function's own.

    Raises:
        TypeError: It is no function, or one that yields.
        AppError: It takes neither one argument nor two, or it has no name of its own (code ``invalid-action``).

    Example:
        >>> from cepheid.actions import Function
        >>> def large(event):
        ...     return event["total"] > 100
        >>> action = Function(large)
        >>> action.name, action({"total": 500}, None)
        ('large', True)
    """

    __slots__ = ("_function", "_with_context", "is_coroutine", "name")

    #: The name under which it is saved what has been done.
    name: str
    #: Whether calls are to be awaited.
    is_coroutine: bool

    _function: Callable[..., Any]
    _with_context: bool

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        if not callable(function):
            raise TypeError(f"an action is a function, not {type(function).__name__}")
        inner = function
        while isinstance(inner, functools.partial):
            inner = inner.func
        called = inner if inspect.isroutine(inner) else type(inner).__call__
        if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
            raise TypeError("an action is a function that does something when it is called; one that yields does not")
        default = getattr(inner, "__name__", type(inner).__name__)
        if name is None and default == "<lambda>":
            raise invalid_action("a lambda has no name under which it could be saved what it has done; give name=")
        self.name = checked_name(name, default)
        self._with_context = _takes_context(function, self.name)
        self._function = function
        self.is_coroutine = is_coroutine_action(function)

    def __call__(self, event: Mapping[str, Any], context: ActionContext) -> Any:
        """Calls it.

        Args:
            event: The event, by column.
            context: What an action is told.

        Returns:
            What it returns: of a coroutine function something to await.
        """
        return self._function(event, context) if self._with_context else self._function(event)

    def __repr__(self) -> str:
        return f"Function({self.name!r})"


def _takes_context(function: Callable[..., Any], name: str) -> bool:
    try:
        signature = inspect.signature(function)
    except ValueError:
        # Some that are written in C say nothing: those take what is to be printed, sent or kept.
        return False
    for count in (2, 1):
        # A second parameter with a default of its own is somebody else's.
        try:
            bound = signature.bind(*([None] * count))
        except TypeError:
            continue
        if count == 1:
            return False
        second = list(bound.signature.parameters.values())[1:2]
        if not second or (second[0].default is inspect.Parameter.empty and second[0].kind in _BY_PLACE):
            return bool(second)
    raise invalid_action(f"the action {name!r} takes the event, or the event and the context, and nothing else")


_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
