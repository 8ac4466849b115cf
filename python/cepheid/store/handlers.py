"""Which function an event goes to, by its topic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from cepheid.errors import StoreError
from cepheid.store.handle import checked_topics
from cepheid.store.rows import topic_fits

__all__ = ["Handlers"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Handlers:
    """Functions by names and patterns of topics.

    An event goes to one function: that of its topic's own name, or of the first pattern that fits it, in the order in
    which they were registered.
    """

    __slots__ = ("_by_pattern", "_found")

    def __init__(self) -> None:
        self._by_pattern: dict[str, Callable[..., Any]] = {}
        # What has been looked up: there are many events of few topics.
        self._found: dict[str, Callable[..., Any] | None] = {}

    def register(self, topics: tuple[str, ...], owner: str) -> Callable[[_Function], _Function]:
        """A decorator that registers a function.

        Raises:
            StoreError: No topic is named (code ``store-option``), or one has a function already (code
                ``duplicate-handler``).
        """
        names = checked_topics(topics)
        if not names:
            raise StoreError(f"say which topics the function of {owner} is for", code="store-option")

        def decorate(function: _Function) -> _Function:
            if not callable(function):
                raise TypeError(f"what handles events is a function, not {type(function).__name__}")
            for name in names:
                if name in self._by_pattern:
                    raise StoreError(f"{owner} has a function for `{name}` already", code="duplicate-handler")
                self._by_pattern[name] = function
            self._found.clear()
            return function

        return decorate

    def of(self, topic: str) -> Callable[..., Any] | None:
        """The function of a topic; None: there is none."""
        try:
            return self._found[topic]
        except KeyError:
            pass
        found = self._by_pattern.get(topic)
        if found is None:
            fitting = (function for pattern, function in self._by_pattern.items() if topic_fits(pattern, topic))
            found = next(fitting, None)
        self._found[topic] = found
        return found

    def __iter__(self) -> Iterator[str]:
        """The names and patterns."""
        return iter(self._by_pattern)

    def __len__(self) -> int:
        return len(self._by_pattern)
