"""Anomaly rules meet tables."""

from __future__ import annotations

from typing import Any

from cepheid.anomaly import NO_METHOD, Anomaly, AnomalyBuilder
from cepheid.options import checked_count
from cepheid.result import UNNAMED_RULE, Matches
from cepheid.rule_tables import read_table

__all__ = ["detect"]


def detect(rule: Anomaly, data: Any, *, event_time: str | None = None, threads: int | None = None) -> Matches:
    """The rows of a table that stand out from those of their key before them: the whole input, in one call.

    The columns are those of `by`, the event time, then ``value``, ``expected``, ``score``, and with
    `Anomaly.all_rows` also ``is_anomaly``. What is expected, and the score, are NULL while there are too few rows to
    judge by. Rows come in the order of the event times, equal times in that of arrival.

    Args:
        rule: The rule, with its method.
        data: The table, as for `cepheid.match`; or a mapping of topics to tables, of which the rule's is read.
        event_time: The column of the event time. None: the one that the rule names, else ``ts``, else the only
            column of timestamps.
        threads: How many threads share the keys. The answer is the same for any number. None: one.

    Returns:
        The rows, as Arrow. `Matches.rows` raises `PatternError`: an anomaly is one row.

    Raises:
        TypeError: `rule` is no anomaly rule or has no method yet, `event_time` is no name, or `threads` no whole
            number.
        PatternError: `threads` is below one (code ``invalid-clause``), there are several topics, and the rule names
            none (code ``unsupported``), or a key or the event time has the name of a column that is reported beside it
            (code ``invalid-expression``).
        SchemaError: The data cannot be read as a table, a column is missing or of another type, an event time is NULL,
            or it is not clear which column holds it (code ``unknown-column`` or ``ambiguous-column``).
        EvaluationError: A value led to an overflow, a division by zero, or a failed conversion.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col
        >>> readings = {"ts": [0, 1, 2, 3, 4], "sensor": ["a"] * 5, "value": [1.0, 2.0, 3.0, 2.0, 10.0]}
        >>> rule = cep.anomaly(col.value, by="sensor").mad(rows=100, warm_up=3)
        >>> [(row["ts"], row["expected"], row["score"]) for row in cep.detect(rule, readings)]
        [(4, 2.0, 10.792)]
    """
    if isinstance(rule, AnomalyBuilder):
        raise TypeError(NO_METHOD)
    if not isinstance(rule, Anomaly):
        raise TypeError(f"detect() takes an anomaly rule, not {type(rule).__name__}; see cepheid.anomaly()")
    threads = checked_count(threads, "threads")
    table, event_time = read_table(rule, data, event_time, "detect")
    found = rule._compiled()[0].detect(table, event_time=event_time, threads=threads)
    return Matches._of(found, rule._emitted(UNNAMED_RULE))
