"""Patterns meet tables."""

from __future__ import annotations

from typing import Any

from cepheid.pattern import Pattern
from cepheid.result import Matches

__all__ = ["match"]


def match(pattern: Pattern, data: Any, *, event_time: str | None = None) -> Matches:
    """Finds the matches of a pattern in a table: the whole input, in one call.

    Args:
        pattern: The pattern.
        data: The table: an Arrow table (pyarrow, Polars, pandas, DuckDB, nanoarrow: anything with
            ``__arrow_c_stream__`` or ``__arrow_c_array__``), a dict of NumPy arrays or lists, a NumPy structured
            array, a list of dicts, or an iterable of these. Buffers are shared.
        event_time: The column of the event time, where the pattern has no `Pattern.order_by`: rows are then put in
            its order.

    Returns:
        The matches, as Arrow.

    Raises:
        TypeError: `pattern` is no pattern, or `event_time` no name.
        PatternError: The pattern is impossible, or more than this version can match (code ``unsupported``).
        SchemaError: The data cannot be read as a table, or a column is missing or of another type.
        EvaluationError: A value led to an overflow, a division by zero, or a failed conversion.
        MatchError: A strict skip target has no row, or is the first row of the match.
        StateLimitError: The search passed its limit of steps.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import event
        >>> pattern = cep.seq(event("low", "x < 2"), event("high", "x > 2"), contiguity="strict")
        >>> cep.match(pattern.select(low="low.x", high="high.x"), {"x": [1, 3, 1, 2, 1, 5]}).to_numpy()["high"]
        array([3, 5])
    """
    if not isinstance(pattern, Pattern):
        hint = "; for SQL use cepheid.sql() or pattern_from_sql()" if isinstance(pattern, str) else ""
        raise TypeError(f"match() takes a pattern, not {type(pattern).__name__}{hint}")
    from cepheid.input import table_of

    native, predicates = pattern._compiled(event_time)
    return Matches._of(native.match_table(table_of(data, predicates), event_time=event_time))
