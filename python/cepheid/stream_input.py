"""Rows of a stream in: each topic's in the columns that its first rows had, with those that Python predicates add.

Whoever pushes Arrow says what type a column has. Of lists and dicts the types are guessed, anew with each push: an
integer where there was a float, or nothing but None, is then meant as what the topic has had from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cepheid.engine_options import Rule
from cepheid.errors import PatternError
from cepheid.input import arrow_table, exports_arrow, is_event, is_pandas, table_of, with_predicate_columns
from cepheid.predicate import PREDICATE_PREFIX, UserPredicate, predicate_column

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["StreamInput", "arrow_schema", "means_the_same"]


class StreamInput:
    """What is needed to read what is pushed to an engine.

    Args:
        columns: Gives the columns that a topic has, as something that exports their schema; None before its first rows.
    """

    __slots__ = ("_columns", "_derived", "_plain_topics", "_predicates", "_schemas", "_tables")

    def __init__(self, columns: Callable[[str | None], object | None]) -> None:
        self._columns = columns
        # By rule: its predicates by the name of their column, with the topics that must have what they take.
        self._predicates: dict[str, dict[str, tuple[UserPredicate, set[str]]]] = {}
        # By rule: the topics that it derives.
        self._derived: dict[str, set[str]] = {}
        # What `columns` gave, as it does not change.
        self._schemas: dict[str | None, pa.Schema] = {}
        # Topics whose columns are known, with none of a predicate; and types that are tables whatever they hold.
        self._plain_topics: set[str | None] = set()
        self._tables: set[type] = set()

    def add_rule(self, rule: Rule, predicates: Sequence[UserPredicate]) -> None:
        """Has the predicates of a rule computed from now on, in place of those of a rule of the same name."""
        assert rule.name is not None
        if predicates:
            self._predicates[rule.name] = {
                predicate_column(position, rule.name): (predicate, rule._topics_of(predicate))
                for position, predicate in enumerate(predicates)
            }
        else:
            self._predicates.pop(rule.name, None)
        self._derived[rule.name] = rule._derived_topics(rule.name)

    @property
    def has_predicates(self) -> bool:
        """Whether some rule asks functions of Python."""
        return bool(self._predicates)

    def remove_rule(self, name: str) -> None:
        """Has them computed no more."""
        self._predicates.pop(name, None)
        self._derived.pop(name, None)

    def check_topics(self, rule: Rule, predicates: Sequence[UserPredicate]) -> None:
        """Checks that, with a rule, no Python predicate is of a derived topic: they are computed of what is pushed.

        Args:
            rule: The rule.
            predicates: Its predicates.

        Raises:
            PatternError: One is (code ``unsupported``).
        """
        assert rule.name is not None
        derived = {rule.name: rule._derived_topics(rule.name)}
        # Of most rules there is none, and one call may check thousands.
        for reader, asked in self._predicates.items():
            if reader != rule.name:
                _refuse_derived(reader, {topic for _, topics in asked.values() for topic in topics}, derived)
        if predicates:
            own = {topic for predicate in predicates for topic in rule._topics_of(predicate)}
            _refuse_derived(rule.name, own, {**self._derived, **derived})

    def check_addable(
        self, rule: Rule, predicates: Sequence[UserPredicate], topics: Iterable[str], *, waiting: int
    ) -> None:
        """Checks that rows that have come leave room for a rule's predicates, which need columns of their own.

        Args:
            rule: The rule.
            predicates: Its predicates.
            topics: The topics that there are.
            waiting: How many rows wait; they hold what the predicates of before gave.

        Raises:
            PatternError: They do not (code ``unsupported``).
        """
        assert rule.name is not None
        added = {predicate_column(position, rule.name): predicate for position, predicate in enumerate(predicates)}
        schemas = [schema for topic in topics if (schema := self._schema(topic)) is not None]
        if any(not added.keys() <= set(schema.names) for schema in schemas):
            raise PatternError(
                f"rule `{rule.name}` has a Python predicate, whose values are a column of every topic; rows have come "
                "without it. Give the engine such rules before the first push, or compute the column yourself",
                code="unsupported",
            )
        asked = {name: predicate for name, (predicate, _) in self._predicates.get(rule.name, {}).items()}
        if waiting and any(asked.get(name) != predicate for name, predicate in added.items()):
            raise PatternError(
                f"rule `{rule.name}` has a Python predicate that the {waiting:,} rows that wait have not been asked; "
                "change the rule once they are matched: advance_to() or flush() sees to that",
                code="unsupported",
            )

    def table(self, data: Any, topic: str | None) -> Any | None:
        """`data` as an object that exports Arrow; None if it is an empty list of a topic whose columns are not known.

        Raises:
            SchemaError: It cannot be read as a table, or a column that a predicate takes is missing.
        """
        if type(data) in self._tables and topic in self._plain_topics:
            # The way of every push of a stream in Arrow but the first two.
            return data
        if exports_arrow(data) and not is_pandas(data):
            table = data
            if not type(data).__name__.endswith("Array"):
                self._tables.add(type(data))
        else:
            table = self._guessed(data, topic)
            if table is None:
                return None
        added = self._added(topic)
        if added:
            return with_predicate_columns(arrow_table(table), added)
        if topic in self._schemas:
            self._plain_topics.add(topic)
        return table

    def _schema(self, topic: str | None) -> pa.Schema | None:
        if topic not in self._schemas:
            columns = self._columns(topic)
            if columns is None:
                return None
            import pyarrow as pa

            self._schemas[topic] = pa.schema(columns)
        return self._schemas[topic]

    def _added(self, topic: str | None) -> list[tuple[str, UserPredicate | None, bool]]:
        """The columns that predicates add to a topic."""
        known = {name: entry for rule in self._predicates.values() for name, entry in rule.items()}
        schema = self._schema(topic)
        # Columns of rules that are gone have to be there all the same.
        names = known if schema is None else [name for name in schema.names if name.startswith(PREDICATE_PREFIX)]
        added: list[tuple[str, UserPredicate | None, bool]] = []
        for name in names:
            predicate, topics = known.get(name, (None, set()))
            added.append((name, predicate, topic is None or topic in topics))
        return added

    def plain_schema(self, topic: str | None) -> pa.Schema | None:
        """The columns of a topic without those of predicates; None if they are not known."""
        schema = self._schema(topic)
        if schema is None:
            return None
        import pyarrow as pa

        return pa.schema([field for field in schema if not field.name.startswith(PREDICATE_PREFIX)])

    def _guessed(self, data: Any, topic: str | None) -> pa.Table | None:
        if isinstance(data, Iterator):
            data = list(data)
        schema = self.plain_schema(topic)
        listed = isinstance(data, (list, tuple))
        if listed and not data:
            return None if schema is None else schema.empty_table()
        table: pa.Table = table_of(data)
        if schema is None or table.schema.equals(schema, check_metadata=False):
            return table
        events = listed and isinstance(data[0], Mapping) and is_event(data[0])
        return _conformed(table, schema, fill=events)


def _refuse_derived(reader: str, topics: set[str], derived: Mapping[str, set[str]]) -> None:
    """Refuses a Python predicate of topics of which rules derive some."""
    for deriver, of in derived.items():
        for topic in sorted(topics & of):
            raise PatternError(
                f"rule `{reader}` has a Python predicate on the topic `{topic}`, which rule `{deriver}` derives; "
                "predicates are computed of the rows that are pushed. Say it with expressions, or match the "
                "derived events in an engine of their own",
                code="unsupported",
            )


def arrow_schema(schema: Any) -> pa.Schema:
    """Columns as something that exports them, or as a mapping of names to types.

    Raises:
        TypeError: It is neither.
    """
    import pyarrow as pa

    if not isinstance(schema, Mapping) and not hasattr(schema, "__arrow_c_schema__"):
        raise TypeError(f"a schema is a pyarrow.Schema, or exports one as Arrow; this is a {type(schema).__name__}")
    return pa.schema(schema)


def _conformed(table: pa.Table, schema: pa.Schema, *, fill: bool) -> pa.Table:
    """The table in the columns of its topic, if that loses nothing; else as it is, for the engine to refuse.

    `fill`: a column may be missing, and is NULL.
    """
    import pyarrow as pa

    names = table.column_names
    if len(set(names)) < len(names) or not set(names) <= set(schema.names):
        return table
    columns = []
    for field in schema:
        if field.name in names:
            column = table.column(field.name)
            if column.type != field.type:
                if not means_the_same(column.type, field.type):
                    return table
                try:
                    column = column.cast(field.type)
                except pa.ArrowException:
                    return table
        elif fill:
            column = pa.chunked_array([pa.nulls(table.num_rows, field.type)])
        else:
            return table
        columns.append(column)
    return pa.table(columns, schema=schema)


def means_the_same(guessed: pa.DataType, known: pa.DataType) -> bool:
    """Whether values of a guessed type may be meant as of a known one."""
    from pyarrow import types

    if types.is_null(guessed):
        return True
    if types.is_integer(guessed):
        return bool(types.is_integer(known) or types.is_floating(known) or types.is_decimal(known))
    if types.is_floating(guessed):
        return bool(types.is_floating(known))
    if types.is_timestamp(guessed):
        return bool(types.is_timestamp(known) and (guessed.tz is None) == (known.tz is None))
    text = (types.is_string, types.is_large_string, types.is_string_view)
    if any(kind(guessed) for kind in text):
        return any(kind(known) for kind in text) or bool(
            types.is_dictionary(known) and any(kind(known.value_type) for kind in text)
        )
    return bool(types.is_duration(guessed) and types.is_duration(known))
