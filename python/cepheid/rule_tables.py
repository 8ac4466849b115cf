"""Tables that a rule is asked of: the one of its topic, and the column of event time in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cepheid.building import checked_name
from cepheid.compiled_rule import CompiledRule
from cepheid.errors import PatternError, SchemaError
from cepheid.matching import is_topics
from cepheid.names import listed_names, nearest_name, resolve_name

# The column that event times are in unless something else is said.
_USUAL_TIME = "ts"


def read_table(rule: CompiledRule, data: Any, event_time: Any, call: str) -> tuple[Any, str | None]:
    """The table that a rule is asked of with its predicates' columns, and its event time unless the rule names it.

    Args:
        rule: The rule.
        data: A table, or a mapping of topics to tables.
        event_time: The column of the event time, if it is said.
        call: The function that asks, for messages.

    Raises:
        TypeError: The event time is no name.
        PatternError: There are several topics, and the rule names none (code ``unsupported``).
        SchemaError: The data cannot be read, or it is not clear which column holds the event time.
    """
    if event_time is not None:
        if not isinstance(event_time, str):
            raise TypeError(f"event_time is the name of a column, not {type(event_time).__name__}")
        checked_name(event_time, "column")
    from cepheid.input import table_of

    if is_topics([] if rule.topic is None else [rule.topic], data):
        data = _table_of_topic(rule, data)
    table = table_of(data, rule._compiled()[1])
    if event_time is None and rule._data.get("event_time") is None:
        table, event_time = _with_time(table, call)
    return table, event_time


def _table_of_topic(rule: CompiledRule, tables: Mapping[Any, Any]) -> Any:
    """The table whose rows a rule is asked of."""
    names = list(tables)
    if rule.topic is None:
        if len(names) == 1:
            return tables[names[0]]
        raise PatternError(
            f"the {rule._noun()} names no topic, and there are tables of several "
            f"({listed_names([str(n) for n in names])}); say which: cep.{rule._KEY}(..., topic=...)",
            code="unsupported",
        )
    if rule.topic not in names:
        hint = nearest_name(rule.topic, [name for name in names if isinstance(name, str)])
        meant = f" (did you mean `{hint}`?)" if hint else ""
        raise SchemaError(
            f"no table of the {rule._noun()}'s topic `{rule.topic}` was given{meant}",
            code="unknown-topic",
            known=[str(name) for name in names],
            hint=hint,
        )
    return tables[rule.topic]


def _with_time(table: Any, call: str) -> tuple[Any, str]:
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
        f"which column is the event time {problem}; name it, {call}(..., event_time={example!r})",
        code="ambiguous-column" if times else "unknown-column",
        column=_USUAL_TIME,
        known=times or schema.names,
    )
