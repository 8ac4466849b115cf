"""Every exception that cepheid raises for what a caller gave it.

Each has a stable ``code``, a message that says what is wrong, where, and what to do, and the parts of the message as
attributes. All can be pickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "ActionError",
    "AppError",
    "CepheidError",
    "EvaluationError",
    "FoldError",
    "InternalError",
    "LateEventError",
    "MatchError",
    "PatternError",
    "ProcessorError",
    "SchemaError",
    "SqlError",
    "StateLimitError",
    "StoreError",
    "UpcastError",
    "VersionConflictError",
]


class CepheidError(Exception):
    """Base of all errors of cepheid.

    Attributes:
        message: What is wrong, where, and what to do.
        code: A stable name for the mistake, the same in every version.
        hint: What was perhaps meant, or what to do instead; None where there is nothing to say.

    Example:
        >>> import cepheid as cep
        >>> try:
        ...     cep.event("")
        ... except cep.CepheidError as error:
        ...     print(error.code)
        empty-name
    """

    default_code: str = "error"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code if code is not None else type(self).default_code
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        parts = {name: value for name, value in vars(self).items() if not name.startswith("_") and name != "message"}
        return _rebuild, (type(self), self.message, parts)


def _rebuild(error_class: type[CepheidError], message: str, parts: dict[str, Any]) -> CepheidError:
    error = error_class(message)
    vars(error).update(parts)
    return error


class PatternError(CepheidError):
    """The pattern, or an expression of it, says something impossible. No row has been read.

    Attributes:
        variable: The pattern variable at fault, or None.
        context: The clause or measure at fault, or None.
        known: The names that could have stood there; empty where that says nothing.
        limit: The limit that was passed, or None.
        expression: The expression at fault, or None.
    """

    default_code = "pattern"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        variable: str | None = None,
        context: str | None = None,
        known: Sequence[str] = (),
        limit: int | None = None,
        expression: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.variable = variable
        self.context = context
        self.known = tuple(known)
        self.limit = limit
        self.expression = expression


class SqlError(CepheidError):
    """A text that is not SQL as cepheid reads it. The message shows the line, with a caret under the fault.

    Attributes:
        line: The line of the fault, from 1; None where the text as a whole is at fault.
        column_number: Its place in that line, in characters, from 1.
        span: The fault, as a range of bytes of the UTF-8 text.
        expected: What could have stood there; empty where that says nothing.
        snippet: The line of the fault.
        variable: The pattern variable at fault, or None.
        known: The names that could have stood there.
    """

    default_code = "syntax"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        line: int | None = None,
        column_number: int | None = None,
        span: tuple[int, int] | None = None,
        expected: Sequence[str] = (),
        snippet: str | None = None,
        variable: str | None = None,
        known: Sequence[str] = (),
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.line = line
        self.column_number = column_number
        self.span = span
        self.expected = tuple(expected)
        self.snippet = snippet
        self.variable = variable
        self.known = tuple(known)


class SchemaError(CepheidError):
    """A table, or an object given for one, that does not fit what is asked of it.

    Attributes:
        column: The column at fault, or None.
        known: The columns, or the topics, that there are; empty where that says nothing.
        found: The type that was found, or None.
        expected: What was needed, or None.
        row: The row at fault, in arrival order from 0, or None.
        type_name: The Python type at fault, or None.
        expression: The expression at fault, or None.
        context: The condition, measure or clause that it stands in, or None.
    """

    default_code = "schema"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        column: str | None = None,
        known: Sequence[str] = (),
        found: str | None = None,
        expected: str | None = None,
        row: int | None = None,
        type_name: str | None = None,
        expression: str | None = None,
        context: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.column = column
        self.known = tuple(known)
        self.found = found
        self.expected = expected
        self.row = row
        self.type_name = type_name
        self.expression = expression
        self.context = context


class EvaluationError(CepheidError):
    """A value that an expression cannot take: overflow, division by zero, a failed conversion.

    Attributes:
        expression: The expression at fault, or None.
        context: The condition, measure or clause that it stands in, or None.
    """

    default_code = "evaluation"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        expression: str | None = None,
        context: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.expression = expression
        self.context = context


class MatchError(CepheidError):
    """A match after which the search cannot go on as the pattern says: its skip target has no row, or is its start.

    Attributes:
        variable: The skip target.
        row: The first row of the match, in arrival order from 0, or None where it is not known.
    """

    default_code = "match"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        variable: str | None = None,
        row: int | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.variable = variable
        self.row = row


class LateEventError(CepheidError):
    """An event behind the watermark, where late events are errors. Nothing of what was pushed with it has been taken.

    Attributes:
        topic: The topic that it was pushed to, or None.
        row: Its place among the rows pushed, from 0, or None.
        event_time: Its time, in nanoseconds since 1970, or None.
        watermark: What it is behind, in nanoseconds since 1970, or None; equal to `event_time` where the clock was
            moved by hand or the input flushed, for then a row of that very time is late too.
    """

    default_code = "late-event"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        topic: str | None = None,
        row: int | None = None,
        event_time: int | None = None,
        watermark: int | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.topic = topic
        self.row = row
        self.event_time = event_time
        self.watermark = watermark


class StateLimitError(CepheidError):
    """A computation that would pass a limit on its state or its steps. An engine is then as it was before the call.

    Attributes:
        limit: The limit, or None.
        rule: The rule whose state it is, or None.
        key: The key whose row could not be matched, as text, or None.
        event_time: The time of that row, in nanoseconds since 1970, or None.
        needed: What would have been needed, in bytes, or None.
    """

    default_code = "state-limit"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        limit: int | None = None,
        rule: str | None = None,
        key: str | None = None,
        event_time: int | None = None,
        needed: int | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.limit = limit
        self.rule = rule
        self.key = key
        self.event_time = event_time
        self.needed = needed


class ProcessorError(CepheidError):
    """A processor failed, or gave what cannot be events. What it raised is the ``__cause__``.

    Attributes:
        processor: Its name, or None.
    """

    default_code = "processor-failed"

    def __init__(
        self, message: str, *, code: str | None = None, hint: str | None = None, processor: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.processor = processor


class StoreError(CepheidError):
    """A stored log or checkpoint that cannot be read or written.

    Attributes:
        position: The position of the first event concerned, or None.
        path: The file concerned, or None.
        known: The names that there are, of which none was meant; empty where that says nothing.
    """

    default_code = "store"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        path: str | None = None,
        known: Sequence[str] = (),
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.position = position
        self.path = path
        self.known = tuple(known)


class VersionConflictError(StoreError):
    """A stream has other events than whoever appends to it knows of. Nothing has been appended.

    Attributes:
        stream: The stream, or None.
        expected: How many events it was to have, or None.
        actual: How many it has, or None.
    """

    default_code = "version-conflict"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        stream: str | None = None,
        expected: int | None = None,
        actual: int | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.stream = stream
        self.expected = expected
        self.actual = actual


class FoldError(StoreError):
    """A function that folds events of a store failed, or an event is none of those it knows.

    What a function raised is the ``__cause__``. Nothing has been saved.

    Attributes:
        topic: The topic of the event, or of the first of them, or None.
        stream: Its stream, or None.
        version: How many events the stream has with it, or None.
    """

    default_code = "fold-failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        topic: str | None = None,
        stream: str | None = None,
        version: int | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint, position=position)
        self.topic = topic
        self.stream = stream
        self.version = version


class UpcastError(StoreError):
    """An event of a version that cannot be read as the newest one.

    Attributes:
        topic: Its topic, or None.
        version: The version that nothing leads on from, or that is not known, or None.
    """

    default_code = "upcaster-missing"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        topic: str | None = None,
        version: int | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.topic = topic
        self.version = version


class AppError(CepheidError):
    """An app, or a source of one, that cannot do what is asked of it.

    Attributes:
        source: The source at fault, or None.
        known: The names that there are, of which none was meant; empty where that says nothing.
    """

    default_code = "app"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        source: str | None = None,
        known: Sequence[str] = (),
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.source = source
        self.known = tuple(known)


class ActionError(CepheidError):
    """An action that did not succeed. Raised by an action, it says whether to try again, and when.

    Attributes:
        action: The action, or None.
        permanent: Whether it has no use to try again.
        retry_after: Seconds that should pass before the next attempt, or None.
    """

    default_code = "action-failed"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        action: str | None = None,
        permanent: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.action = action
        self.permanent = permanent
        self.retry_after = retry_after


class InternalError(CepheidError):
    """A mistake in cepheid itself. Please report it; nothing that the caller holds has been changed."""

    default_code = "internal"
