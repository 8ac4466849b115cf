"""Windows meet tables."""

from __future__ import annotations

from typing import Any

from cepheid.options import checked_count
from cepheid.result import UNNAMED_RULE, Matches
from cepheid.rule_tables import read_table
from cepheid.window import NO_FRAME, Window, WindowBuilder

__all__ = ["aggregate"]


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
    threads = checked_count(threads, "threads")
    table, event_time = read_table(window, data, event_time, "aggregate")
    found = window._compiled()[0].aggregate(table, event_time=event_time, threads=threads)
    return Matches._of(found, window._emitted(UNNAMED_RULE))
