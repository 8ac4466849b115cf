"""A rule that is whole: written down, compared, and handed to the engine."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from cepheid import nodes
from cepheid.building import json_text, not_serialisable
from cepheid.errors import PatternError
from cepheid.nodes import Node
from cepheid.pattern_data import without_predicates
from cepheid.predicate import UserPredicate, predicate_column
from cepheid.rule import NativeRule
from cepheid.rule_data import RuleData


class CompiledRule(NativeRule, RuleData):
    """A rule that is no pattern, checked and in its normal spelling."""

    __slots__ = ()

    # Its class in the engine, and what it is called where it is written down.
    _NATIVE: ClassVar[Any]
    _KEY: ClassVar[str]

    @property
    def name(self) -> str | None:
        """The rule's name, or None.

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count()).rows(10).name is None
            True
        """
        return self._data.get("name")

    @property
    def topic(self) -> str | None:
        """The topic whose rows it is asked of; None: any.

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count(), topic="txn").rows(10).topic
            'txn'
        """
        return self._data.get("topic")

    @property
    def fingerprint(self) -> str:
        """A hash of what the rule says, the name apart: the version of the rule, as 64 hex digits.

        Raises:
            PatternError: It holds a Python function (code ``not-serialisable``).

        Example:
            >>> import cepheid as cep
            >>> tens = cep.window(n=cep.count()).tumbling("10s")
            >>> tens.fingerprint == cep.window(n="COUNT(*)").tumbling("10s").named("rule").fingerprint
            True
        """
        fingerprint: str = self._serialisable().fingerprint()
        return fingerprint

    def equals(self, other: Self) -> bool:
        """Whether two rules say the same, as ``==`` does.

        Args:
            other: A rule of the same kind.

        Raises:
            TypeError: It is none.

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count()).rows(5).equals(cep.window(n="COUNT(*)").rows(5))
            True
        """
        if type(other) is not type(self):
            raise TypeError(f"equals() takes {self._WHAT}, not {type(other).__name__}")
        return self == other

    def to_json(self) -> str:
        """The rule as JSON, in its one normal spelling, with the version of the format.

        Raises:
            PatternError: It holds a Python function (code ``not-serialisable``).

        Example:
            >>> import cepheid as cep
            >>> cep.Window.from_json(cep.window(n=cep.count()).rows(10).to_json())
            cep.window(n=cep.count()).rows(10)
        """
        text: str = self._serialisable().to_json()
        return text

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain data: what `to_json` gives, parsed.

        Raises:
            PatternError: It holds a Python function (code ``not-serialisable``).

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count()).tumbling("1s").to_dict()["window"]["frame"]
            {'time': {'size_ns': 1000000000, 'every_ns': 1000000000}}
        """
        data: dict[str, Any] = json.loads(self.to_json())
        return data

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` gave.

        Args:
            text: The JSON.

        Raises:
            TypeError: It is no string.
            PatternError: It is no such rule (code ``malformed``), of a newer version (code ``wire-version``), or an
                impossible one.

        Example:
            >>> import cepheid as cep
            >>> cep.Window.from_json(cep.window(n=cep.count()).rows(10).named("tens").to_json()).name
            'tens'
        """
        if not isinstance(text, str):
            raise TypeError(f"JSON is text, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise PatternError(f"not a serialised {cls._noun()}: it holds a lone surrogate", code="malformed") from None
        return cls._from_native(cls._NATIVE.from_json(text))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads what `to_dict` gave.

        Args:
            data: The dict.

        Raises:
            PatternError: As for `from_json`.

        Example:
            >>> import cepheid as cep
            >>> window = cep.window(n=cep.count()).rows(10)
            >>> cep.Window.from_dict(window.to_dict()) == window
            True
        """
        if not isinstance(data, Mapping):
            raise PatternError(f"not a serialised {cls._noun()}: {type(data).__name__} is no dict", code="malformed")
        return cls.from_json(json_text(dict(data), cls._WHAT))

    # Lowering.

    @abstractmethod
    def _values(self, replaced: Callable[[Node], Node]) -> dict[str, Any]:
        """What its expressions are, the condition apart, each changed."""

    @classmethod
    def _from_native(cls, native: Any) -> Self:
        return cls._of(json.loads(native.to_json())[cls._KEY])

    def _check(self) -> None:
        native, predicates = self._compiled()
        if not predicates and not self._kept["defined"]:
            object.__setattr__(self, "_data", json.loads(native.to_json())[self._KEY])

    def _compiled(self) -> tuple[Any, tuple[UserPredicate, ...]]:
        """The rule in the engine, and the predicates whose columns it expects to find."""
        if "native" not in self._kept:
            self._kept["native"] = self._native_with(predicate_column)
        compiled: tuple[Any, tuple[UserPredicate, ...]] = self._kept["native"]
        return compiled

    def _native_with(self, column_of: Callable[[int], str]) -> tuple[Any, tuple[UserPredicate, ...]]:
        predicates: list[UserPredicate] = []

        defined: dict[str, Any] = {}

        def replaced(node: Node) -> Node:
            for aggregate in nodes.defined_in(node):
                if defined.setdefault(aggregate.name, aggregate) != aggregate:
                    raise PatternError(
                        f"two aggregates are named `{aggregate.name}`; give each a name of its own",
                        code="invalid-expression",
                    )
            return without_predicates(node, predicates, column_of)

        lowered = {**self._data, **self._values(replaced)}
        if "condition" in lowered:
            lowered["condition"] = replaced(lowered["condition"])
        self._kept["defined"] = defined
        text = json_text({"cepheid_ir": 1, self._KEY: lowered}, self._WHAT)
        return self._native_of(text, defined), tuple(predicates)

    def _native_of(self, text: str, defined: dict[str, Any]) -> Any:
        """The rule in the engine. `defined`: aggregates that are written in Python, by name."""
        return self._NATIVE.from_json(text)

    def _topics_of(self, _predicate: UserPredicate) -> set[str]:
        """The topics whose rows a predicate is asked of by name."""
        return set() if self.topic is None else {self.topic}

    def _read_topics(self) -> tuple[str | None, ...]:
        """The topic that it reads; None: whatever there is."""
        return (self.topic,)

    def _derived_topics(self, rule: str) -> set[str]:
        """The topics that it derives as a rule of this name."""
        return {self._emitted(rule)}

    def _serialisable(self) -> Any:
        native, predicates = self._compiled()
        if predicates or self._kept["defined"]:
            raise not_serialisable()
        return native

    def _emitted(self, rule: str) -> str:
        """The topic of its events, if it is a rule of this name, unless it has one of its own."""
        return self._data.get("emit") or self.name or rule
