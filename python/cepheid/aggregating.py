"""Windows meet tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cepheid.building import checked_name
from cepheid.errors import PatternError, SchemaError
from cepheid.matching import is_topics
from cepheid.names import listed_names, nearest_name, resolve_name
from cepheid.options import checked_count
from cepheid.result import UNNAMED_RULE, Matches
from cepheid.window import NO_FRAME, Window, WindowBuilder

__all__ = ["aggregate"]

# The column that event times are in unless something else is said.
_USUAL_TIME = "ts"


def aggregate(window: Window, data: Any, *, event_time: str | None = None, threads: int | None = None) -> Matches:
    """What a window says of the rows of a table: the whole input, in one call.

    The columns are those of `by`, then ``window_start`` and ``window_end`` (of `WindowBuilder.sliding` instead the
    event time), then the measures. Rows come in the order in which windows end; of `WindowBuilder.sliding` in that of
    the event times.

    Args:
        window: The window, with its frame.
        data: The table, as for `cepheid.match`; or a mapping of topics to tables, of which the window's is read.
        event_time: The column of the event time. None: the one that the window names, else ``ts``, else the only
            column of timestamps.
        threads: How many threads share the rows. The answer is the same for any number. None: one.

    Returns:
        The rows, as Arrow. Which rows a window is made of is not kept: `Matches.rows` raises `PatternError`.

    Raises:
        TypeError: `window` is no window or has no frame yet, `event_time` is no name, or `threads` no whole number.
        PatternError: `threads` is below one (code ``invalid-clause``), there are several topics, and the window names
            none (code ``unsupported``), or the event time is of a type that windows cannot go by (code
            ``invalid-expression``).
        SchemaError: The data cannot be read as a table, a column is missing or of another type, an event time is NULL,
            or it is not clear which column holds it (code ``unknown-column`` or ``ambiguous-column``).
        EvaluationError: A value led to an overflow, a division by zero, or a failed conversion.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col
        >>> orders = {"ts": [0, 4_000_000_000, 11_000_000_000], "shop": ["a", "b", "a"], "amount": [5, 7, 9]}
        >>> totals = cep.window(col.amount.sum(), by="shop").tumbling("10s")
        >>> [(row["shop"], row["amount_sum"]) for row in cep.aggregate(totals, orders)]
        [('a', 5), ('b', 7), ('a', 9)]
    """
    if isinstance(window, WindowBuilder):
        raise TypeError(NO_FRAME)
    if not isinstance(window, Window):
        raise TypeError(f"aggregate() takes a window, not {type(window).__name__}; see cepheid.window()")
    if event_time is not None:
        if not isinstance(event_time, str):
            raise TypeError(f"event_time is the name of a column, not {type(event_time).__name__}")
        checked_name(event_time, "column")
    threads = checked_count(threads, "threads")
    from cepheid.input import table_of

    if is_topics([] if window.topic is None else [window.topic], data):
        data = _table_of_topic(window, data)
    native, predicates = window._compiled()
    table = table_of(data, predicates)
    if event_time is None and window._data.get("event_time") is None:
        table, event_time = _with_time(table)
    found = native.aggregate(table, event_time=event_time, threads=threads)
    return Matches._of(found, window._emitted(UNNAMED_RULE))


def _table_of_topic(window: Window, tables: Mapping[Any, Any]) -> Any:
    """The table whose rows the window is asked of."""
    names = list(tables)
    if window.topic is None:
        if len(names) == 1:
            return tables[names[0]]
        raise PatternError(
            f"the window names no topic, and there are tables of several ({listed_names([str(n) for n in names])}); "
            "say which: cep.window(..., topic=...)",
            code="unsupported",
        )
    if window.topic not in names:
        hint = nearest_name(window.topic, [name for name in names if isinstance(name, str)])
        meant = f" (did you mean `{hint}`?)" if hint else ""
        raise SchemaError(
            f"no table of the window's topic `{window.topic}` was given{meant}",
            code="unknown-topic",
            known=[str(name) for name in names],
            hint=hint,
        )
    return tables[window.topic]


def _with_time(table: Any) -> tuple[Any, str]:
    """A table that can be read, and its column of event time."""
    import pyarrow as pa

    from cepheid.input import arrow_table

    if not hasattr(table, "__arrow_c_schema__"):
        # A stream can be read once.
        table = arrow_table(table)
    schema = pa.schema(table) if not isinstance(table, pa.Table) else table.schema
    if (usual := resolve_name(_USUAL_TIME, schema.names)) in schema.names:
        return table, usual
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    if len(times) == 1:
        return table, times[0]
    example = (times or schema.names or [_USUAL_TIME])[0]
    problem = f"could be any of {listed_names(times)}" if times else "is unknown: none is `ts`, none of timestamps"
    raise SchemaError(
        f"which column is the event time {problem}; name it, aggregate(..., event_time={example!r})",
        code="ambiguous-column" if times else "unknown-column",
        column=_USUAL_TIME,
        known=times or schema.names,
    )
