"""What every rule can be asked: its name, its topic, and itself in the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from cepheid.building import checked_name
from cepheid.predicate import UserPredicate, predicate_column

__all__ = ["NamedRule", "NativeRule"]


class NativeRule(ABC):
    """A rule that the engine takes as data."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def name(self) -> str | None:
            """The rule's name, or None."""

    @abstractmethod
    def _compiled(self) -> tuple[Any, tuple[UserPredicate, ...]]:
        """The rule in the engine, and the predicates whose columns it expects to find."""

    @abstractmethod
    def _native_with(self, column_of: Callable[[int], str]) -> tuple[Any, tuple[UserPredicate, ...]]:
        """The same, where the columns of predicates have these names."""

    def _compiled_rule(self) -> tuple[Any, tuple[UserPredicate, ...]]:
        """The rule as one of an engine: the columns of its predicates are not those of other rules."""
        native, predicates = self._compiled()
        if predicates:
            native, predicates = self._native_with(lambda position: predicate_column(position, self.name))
        return native, predicates


class NamedRule(ABC):
    """A rule that is written down, whole or not yet."""

    __slots__ = ()

    @abstractmethod
    def _with(self, **changes: Any) -> Self:
        """The same, with some of it changed."""

    def named(self, rule: str) -> Self:
        """Names the rule. The name is no part of its fingerprint.

        Args:
            rule: A name, not empty.

        Raises:
            TypeError: It is no string.
            PatternError: It is empty (code ``empty-name``).

        Example:
            >>> import cepheid as cep
            >>> cep.event("a").named("spike").name
            'spike'
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
            >>> cep.event("a").emit("price.spike")
            event('a').emit('price.spike')
            >>> cep.window(n=cep.count()).tumbling("1m").emit("orders.minute")
            cep.window(n=cep.count()).tumbling('1m').emit('orders.minute')
        """
        return self._with(emit=checked_name(topic, "topic"))
