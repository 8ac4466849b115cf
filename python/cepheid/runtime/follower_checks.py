"""What a program registers with an app: sources, handlers, actions; each checked when it is said."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from cepheid.building import checked_name
from cepheid.cesql import CloudEventsSql
from cepheid.errors import AppError, PatternError, SqlError
from cepheid.options import checked_flag
from cepheid.rule_data import row_condition
from cepheid.runtime.follower_spec import FollowerSpec, Key
from cepheid.runtime.policy import CircuitBreaker, checked_rate, checked_retry, seconds
from cepheid.store.handle import checked_topics

__all__ = ["follower_spec"]

_PRIORITY_MAX = 9
_CONCURRENCY_MAX = 1024
_EVENTS_AHEAD = 1024


def follower_spec(
    function: Any,
    topics: str | Iterable[str],
    *,
    name: str | None,
    where: Any,
    is_action: bool,
    batch: Any,
    priority: Any,
    concurrency: Any,
    key: Key,
    retries: Any,
    timeout: Any,
    rate: Any,
    breaker: Any,
    idempotent_by: Key,
    from_start: Any,
) -> FollowerSpec:
    """What a handler or an action asks for, checked.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: One is out of range.
        AppError: No topic is named (code ``no-topic``), or arguments exclude each other (code ``app-option``).
        StoreError: A topic cannot have that name.
    """
    what = "an action" if is_action else "a handler"
    if not callable(function):
        raise TypeError(f"{what} is a function, or an object that can be called, not {type(function).__name__}")
    if name is None:
        name = getattr(function, "name", None) or getattr(function, "__name__", None)
        if not isinstance(name, str):
            raise TypeError(f"{what} without a name: say name='...'")
    if is_action and _is_generator(function):
        raise TypeError(f"{what} is called, and nobody would ask `{name}` for what it yields: do it, and return")
    wanted = wanted_topics(topics, f"{what} `{name}`")
    _check_takes_an_event(function, name)
    _check_where(where, f"the condition of `{name}`")
    is_batch = checked_flag(batch, "batch")
    if is_batch and (key is not None or idempotent_by is not None):
        raise AppError(
            f"`{name}` is given whole batches, which have no key: leave out key= and idempotent_by=",
            code="app-option",
        )
    if breaker is not None and not isinstance(breaker, CircuitBreaker):
        raise TypeError(f"breaker is a CircuitBreaker, not {type(breaker).__name__}")
    for what_key, value in (("key", key), ("idempotent_by", idempotent_by)):
        if value is not None and not isinstance(value, str) and not callable(value):
            raise TypeError(f"{what_key} is a column or a function, not {type(value).__name__}")
    return FollowerSpec(
        name=checked_name(name, "handler"),
        topics=wanted,
        where=where,
        function=function,
        is_action=is_action,
        is_batch=is_batch,
        takes_context=_takes_context(function),
        priority=_number(priority, "priority", 0, _PRIORITY_MAX),
        concurrency=_number(concurrency, "concurrency", 1, _CONCURRENCY_MAX),
        key="partitionkey" if key is None and not is_batch else key,
        retry=checked_retry(retries),
        timeout_s=None if timeout is None else _timeout(timeout),
        rate=checked_rate(rate),
        breaker=breaker,
        idempotent_by=idempotent_by,
        events_ahead=max(_EVENTS_AHEAD, 2 * concurrency),
        from_start=checked_flag(from_start, "from_start"),
    )


def _is_generator(function: Any) -> bool:
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    return inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)


def wanted_topics(topics: Any, whose: str) -> tuple[str, ...]:
    """Topics, and patterns of them.

    Raises:
        TypeError: They are none.
        AppError: There is none (code ``no-topic``).
        StoreError: A topic cannot have that name.
    """
    if callable(topics):
        raise TypeError(f'{whose} is for topics: @app.on("order.*") and not @app.on')
    wanted = tuple(checked_topics(topics))
    if not wanted:
        raise AppError(f'say which topics {whose} is for: "order.*", or ">" for all', code="no-topic")
    return wanted


def _check_takes_an_event(function: Callable[..., Any], name: str) -> None:
    """That a function can be given an event is said now, and not when the first one comes."""
    try:
        inspect.signature(function).bind(*([None] * (2 if _takes_context(function) else 1)))
    except TypeError as error:
        raise TypeError(f"`{name}` cannot be called with an event: {error}") from None
    except ValueError:
        # Functions of C may have no signature that can be seen.
        return


def _check_where(where: Any, what: str) -> None:
    """What is wrong with a condition is said now."""
    if not isinstance(where, CloudEventsSql):
        if where is not None:
            row_condition(where, what)
        return
    # It would be valid, and never hold.
    if where.missing_functions:
        raise SqlError(f"{what}: there is no function {', '.join(where.missing_functions)}", code="cesql-function")
    if where.result_type not in ("boolean", None):
        raise SqlError(f"{what}: it gives {where.result_type}, and not true or false", code="cesql-type")


def _timeout(timeout: Any) -> float:
    found = seconds(timeout, "timeout")
    if not found > 0:
        raise PatternError("a timeout is longer than no time", code="invalid-clause", context="timeout")
    return found


def _number(value: Any, what: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is a whole number, not {type(value).__name__}")
    number = int(value.__index__())
    if not least <= number <= most:
        raise PatternError(
            f"{what} is a number from {least} to {most}, not {number}", code="invalid-clause", context=what
        )
    return number


def _takes_context(function: Callable[..., Any]) -> bool:
    """Whether a function has room for a second argument that it has to be given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    places = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    required = [one for one in places if one.default is one.empty]
    return len(required) >= 2
