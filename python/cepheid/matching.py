"""Patterns meet tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from cepheid.errors import PatternError, SchemaError
from cepheid.names import listed_names, nearest_name
from cepheid.options import checked_count
from cepheid.pattern import Pattern
from cepheid.result import UNNAMED_RULE, Matches

if TYPE_CHECKING:
    from cepheid._native import MatchTable

__all__ = ["is_topics", "match"]


def match(pattern: Pattern, data: Any, *, event_time: str | None = None, threads: int | None = None) -> Matches:
    """Finds the matches of a pattern in a table, or in several: the whole input, in one call.

    Args:
        pattern: The pattern.
        data: The table: an Arrow table (pyarrow, Polars, pandas, DuckDB, nanoarrow: anything with
            ``__arrow_c_stream__`` or ``__arrow_c_array__``), a dict of NumPy arrays or lists, a NumPy structured
            array, a list of dicts, or an iterable of these. Buffers are shared. Or several: a mapping of topics to
            such tables, each with columns of its own; one that is not there has no rows. They are merged by event time;
            rows of equal time go in the order of the topics, then by arrival.
        event_time: The column of the event time, where the pattern has no `Pattern.order_by`: rows are then put in
            its order.
        threads: How many threads share the rows: keys, and stretches of one key where the pattern allows that (see
            `Pattern.explain`). None: one. The matches are the same, in the same order, for any number.

    Returns:
        The matches, as Arrow. Of a pattern that wants all matches of conditions on single events there may be more
        than any memory holds: more than 65,536 are not built before they are asked for (see `Matches`). What else the
        pattern derives, timeouts and intermediate outputs, is in
        `Matches.derived`.

    Raises:
        TypeError: `pattern` is no pattern, `event_time` no name, or `threads` no whole number.
        PatternError: The pattern is impossible, or more than this version can match (code ``unsupported``); there are
            several topics, and no event time is named (code ``within-needs-order``); or `threads` is below one (code
            ``invalid-clause``).
        SchemaError: The data cannot be read as a table, or a column is missing or of another type; a topic is given
            that the pattern does not read, in place of one that it does (code ``unknown-topic``).
        EvaluationError: A value led to an overflow, a division by zero, or a failed conversion.
        MatchError: A strict skip target has no row, or is the first row of the match.
        StateLimitError: The search passed its limit of steps.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import event
        >>> pattern = cep.seq(event("low", "x < 2"), event("high", "x > 2"), contiguity="strict")
        >>> cep.match(pattern.select(low="low.x", high="high.x"), {"x": [1, 3, 1, 2, 1, 5]}).to_numpy()["high"]
        array([3, 5])
        >>> moved = event("login", topic="auth") >> event("transfer", topic="bank")
        >>> tables = {"auth": {"ts": [1, 5]}, "bank": {"ts": [3], "amount": [90]}}
        >>> cep.match(moved, tables, event_time="ts").rows.to_pylist()[1]
        {'match': 0, 'variable': 'transfer', 'row': 0, 'topic': 'bank'}
    """
    if not isinstance(pattern, Pattern):
        hint = "; for SQL use cepheid.sql() or pattern_from_sql()" if isinstance(pattern, str) else ""
        raise TypeError(f"match() takes a pattern, not {type(pattern).__name__}{hint}")
    threads = checked_count(threads, "threads")
    if is_topics(pattern._body.topics.values(), data):
        return _match_topics(pattern, data, event_time, threads)
    from cepheid.input import table_of

    native, predicates = pattern._compiled(event_time)
    table = table_of(data, predicates)
    topic = pattern._emitted(UNNAMED_RULE)
    if not pattern._derives_more():
        return Matches._of(native.match_compactly(table, event_time=event_time, threads=threads), topic)
    outputs = native.match_outputs(table, UNNAMED_RULE, event_time=event_time, threads=threads)
    return _with_others(topic, outputs)


def _with_others(topic: str, outputs: tuple[MatchTable, list[tuple[str, MatchTable]]]) -> Matches:
    matches, others = outputs
    return Matches._of(matches, topic, tuple((other, Matches._of(derived, other)) for other, derived in others))


def is_topics(topics: Collection[str], data: Any) -> bool:
    """Whether data are several tables by topic, rather than the columns of one.

    A list of dicts is a column of structs, unless there are names of topics, and this is how a table is given.
    """
    from cepheid.input import exports_arrow, is_event, is_table

    if not isinstance(data, Mapping) or exports_arrow(data) or not data:
        return False
    if all(is_table(table) for table in data.values()):
        return True

    def is_events(table: Any) -> bool:
        return isinstance(table, (list, tuple)) and all(isinstance(row, Mapping) and is_event(row) for row in table)

    return bool(topics) and all(is_table(table) or is_events(table) for table in data.values())


def _match_topics(pattern: Pattern, tables: Mapping[Any, Any], event_time: str | None, threads: int | None) -> Matches:
    """The same engine that runs over streams, with all that there is to come."""
    from cepheid.stream_input import StreamInput

    if event_time is None:
        event_time = pattern._ordered_by()
    if event_time is None:
        raise PatternError(
            'tables of several topics are merged by event time: name its column, match(..., event_time="ts")',
            code="within-needs-order",
        )
    _check_topics(pattern, list(tables))
    rule = pattern if pattern.name else pattern.named(UNNAMED_RULE)
    native, predicates = rule._compiled_rule()
    rows = StreamInput(lambda topic: None)
    rows.add_rule(rule, predicates)
    read = [(topic, rows.table(table, topic)) for topic, table in tables.items()]
    # An empty list says nothing of the columns, so nothing can come of it.
    given = [(topic, table) for topic, table in read if table is not None]
    outputs = native.match_topics(given, UNNAMED_RULE, event_time, threads=threads)
    return _with_others(rule._emitted(UNNAMED_RULE), outputs)


def _check_topics(pattern: Pattern, given: list[Any]) -> None:
    read = pattern._body.topics
    for topic in given:
        if not isinstance(topic, str):
            raise SchemaError(
                f"a topic is named by a string, not {type(topic).__name__}",
                code="unsupported-input",
                type_name=type(topic).__name__,
            )
    everywhere = any(variable not in read for variable in pattern.variables)
    known = list(dict.fromkeys(read.values()))
    unread = [topic for topic in given if topic not in known and not everywhere]
    missing = [topic for topic in known if topic not in given]
    # Rows of topics that nobody reads are not there; but where one that is read is missing, its name was meant.
    if unread and missing:
        hint = nearest_name(unread[0], missing)
        meant = f" (did you mean `{hint}`?)" if hint else ""
        raise SchemaError(
            f"no event of the pattern is of topic `{unread[0]}`{meant}; of those that it reads, "
            f"{listed_names(missing)} {'was' if len(missing) == 1 else 'were'} not given",
            code="unknown-topic",
            known=known,
            hint=hint,
        )
