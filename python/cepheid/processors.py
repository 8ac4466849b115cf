"""Python functions of whole batches as rules of an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from cepheid._native import Processor as NativeProcessor
from cepheid.building import checked_name
from cepheid.input import table_of
from cepheid.predicate import PREDICATE_PREFIX, UserPredicate

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Processor", "processor"]

Function = Callable[["pa.RecordBatch"], Any]


@final
class Processor:
    """A Python function as a rule of an engine: it is given the rows of a topic, and gives events of another.

    The function is called once for each call of the engine that releases rows of the topic, with all of them in one
    `pyarrow.RecordBatch`, in the order of their event time, late rows left out; how many they are depends on how rows
    are pushed. It gives whatever `cepheid.match` takes for a table, in Arrow form or as columns, or None. The columns
    that it gives first are those that its topic keeps. The event time is the column of that name; without one, and
    with a row for each that it was given, it is theirs. Rows may be put forward in time, but not back beyond the first
    that it was given.

    What it gives must depend on the rows alone: a call that is refused for another reason has asked it already, and
    what it remembers is in no snapshot. Where each row is answered on its own and none is overtaken by another, the
    answers do not depend on how rows are pushed.

    Args:
        function: The function.
        topic: The topic that it reads.
        emits: The topic of what it gives. None: the name.
        name: The name of the rule. None: that of the function.

    Raises:
        TypeError: `function` cannot be called, or a name is no string.
        PatternError: A name is empty (code ``empty-name``).

    Example:
        >>> import cepheid as cep
        >>> import pyarrow.compute as pc
        >>> def in_euro(batch):
        ...     return batch.append_column("euro", pc.multiply(batch["amount"], 0.9))
        >>> convert = cep.Processor(in_euro, "txn", emits="converted")
        >>> big = cep.event("big", "euro > 100", topic="converted").select(euro="big.euro").named("big")
        >>> engine = cep.Engine([convert, big])
        >>> _ = engine.push([{"ts": 1, "amount": 200.0}], "txn")
        >>> engine.flush()["big"].to_arrow()["euro"].to_pylist()
        [180.0]
    """

    __slots__ = ("_emits", "_function", "_name", "_topic")

    def __init__(self, function: Function, topic: str, *, emits: str | None = None, name: str | None = None) -> None:
        if not callable(function):
            raise TypeError(f"a processor is a function, not {type(function).__name__}")
        name = getattr(function, "__name__", None) if name is None else name
        self._function = function
        self._topic = checked_name(topic, "topic")
        self._emits = None if emits is None else checked_name(emits, "topic")
        self._name = None if name is None else checked_name(name, "rule")

    @property
    def topic(self) -> str:
        """The topic that it reads.

        Example:
            >>> import cepheid as cep
            >>> cep.Processor(lambda batch: batch, "txn", name="same").topic
            'txn'
        """
        return self._topic

    @property
    def name(self) -> str | None:
        """The name of the rule.

        Example:
            >>> import cepheid as cep
            >>> cep.Processor(lambda batch: batch, "txn", name="same").name
            'same'
        """
        return self._name

    @property
    def emits(self) -> str | None:
        """The topic of what it gives; None: the name of the rule.

        Example:
            >>> import cepheid as cep
            >>> cep.Processor(lambda batch: batch, "txn", emits="copies").emits
            'copies'
        """
        return self._emits

    @property
    def function(self) -> Function:
        """The function.

        Example:
            >>> import cepheid as cep
            >>> def same(batch):
            ...     return batch
            >>> cep.Processor(same, "txn").function is same
            True
        """
        return self._function

    def named(self, name: str) -> Processor:
        """The same under another name.

        Args:
            name: The name.

        Raises:
            TypeError: It is no string.
            PatternError: It is empty (code ``empty-name``).

        Example:
            >>> import cepheid as cep
            >>> cep.Processor(lambda batch: batch, "txn").named("same").name
            'same'
        """
        return Processor(self._function, self._topic, emits=self._emits, name=checked_name(name, "rule"))

    def __call__(self, batch: pa.RecordBatch) -> Any:
        """Calls the function: what it would give for a batch.

        Args:
            batch: The batch.

        Example:
            >>> import cepheid as cep
            >>> import pyarrow as pa
            >>> count = cep.Processor(lambda batch: batch.num_rows, "txn")
            >>> count(pa.record_batch({"ts": [1, 2]}))
            2
        """
        return self._function(batch)

    def __repr__(self) -> str:
        emits = "" if self._emits is None else f", emits={self._emits!r}"
        return f"<Processor: {self._name}, of {self._topic!r}{emits}>"

    def _compiled_rule(self) -> tuple[NativeProcessor, tuple[UserPredicate, ...]]:
        assert self._name is not None
        return NativeProcessor(self._asked, self._name, self._topic, self._emits), ()

    def _asked(self, exported: Any) -> Any:
        """What the engine calls: Arrow in, Arrow or None out."""
        import pyarrow as pa

        table = pa.table(exported)
        table = table.select([name for name in table.column_names if not name.startswith(PREDICATE_PREFIX)])
        # Never without rows, and of one piece.
        (batch,) = table.to_batches()
        given = self._function(batch)
        if given is None:
            return None
        table = pa.table(table_of(given))
        # What has neither rows nor columns says nothing of either.
        return table if table.num_columns or table.num_rows else None

    def _topics_of(self, _predicate: UserPredicate) -> set[str]:
        return set()

    def _emitted(self, rule: str) -> str:
        """The topic of its events, if it is a rule of this name, unless it has one of its own."""
        return self._emits or self._name or rule

    def _read_topics(self) -> tuple[str | None, ...]:
        """The topic that it reads."""
        return (self._topic,)

    def _derived_topics(self, rule: str) -> set[str]:
        """The topics that it derives as a rule of this name."""
        return {self._emitted(rule)}


def processor(topic: str, *, emits: str | None = None, name: str | None = None) -> Callable[[Function], Processor]:
    """Makes a `Processor` of the function below it, to be given to an engine.

    Args:
        topic: The topic that it reads.
        emits: The topic of what it gives. None: the name.
        name: The name of the rule. None: that of the function.

    Raises:
        TypeError: A name is no string.
        PatternError: A name is empty (code ``empty-name``).

    Example:
        >>> import cepheid as cep
        >>> import pyarrow.compute as pc
        >>> @cep.processor("txn", emits="large")
        ... def only_large(batch):
        ...     return batch.filter(pc.greater(batch["amount"], 5))
        >>> engine = cep.Engine(only_large)
        >>> derived = engine.push([{"ts": 1, "amount": 9}, {"ts": 2, "amount": 1}], "txn")
        >>> [event["amount"] for event in derived["large"]]
        [9]
    """
    checked_name(topic, "topic")

    def decorate(function: Function) -> Processor:
        return Processor(function, topic, emits=emits, name=name)

    return decorate
