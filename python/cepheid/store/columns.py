"""Rows as they are appended: what Python values were meant as, where a topic's columns are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cepheid.input import exports_arrow, is_pandas, table_of
from cepheid.stream_input import means_the_same

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

__all__ = ["TopicColumns"]


class TopicColumns:
    """Remembers the columns of topics, so that values whose types were guessed become what the topic has.

    ``[{"amount": 2}]`` after ``[{"amount": 2.5}]`` is meant as a float. What comes as Arrow is taken as it is.
    """

    __slots__ = ("_known", "_schema")

    def __init__(self, schema: Callable[[str], pa.Schema | None]) -> None:
        self._schema = schema
        self._known: dict[str, pa.Schema] = {}

    def table(self, data: Any, topic: str, *, ahead: bool = False) -> Any:
        """`data` as something that exports Arrow.

        Args:
            data: Rows.
            topic: Their topic.
            ahead: Whether others follow before these are in the store, which is not to be asked what they were then.
        """
        if exports_arrow(data) and not is_pandas(data):
            # What is remembered of the topic is not asked of the store again.
            return self._noted(data, topic) if ahead or topic in self._known else data
        if isinstance(data, Iterator):
            data = list(data)
        return self._meant(table_of(data), topic)

    def _noted(self, data: Any, topic: str) -> Any:
        """The same rows; their columns are those of the topic from now on, beside what it has."""
        import pyarrow as pa

        rows = pa.RecordBatchReader.from_stream(data) if hasattr(data, "__arrow_c_stream__") else pa.record_batch(data)
        known = self._known.get(topic) or self._schema(topic)
        try:
            self._known[topic] = (
                rows.schema if known is None else pa.unify_schemas([known, rows.schema], promote_options="permissive")
            )
        except pa.ArrowException:
            # The store refuses them, or knows better how they meet.
            self._known[topic] = known
        return rows

    def _meant(self, table: pa.Table, topic: str) -> pa.Table:
        import pyarrow as pa

        known = self._known.get(topic) or self._schema(topic)
        if known is None:
            self._known[topic] = table.schema
            return table
        for place, field in enumerate(table.schema):
            meant = known.field(field.name).type if known.get_field_index(field.name) >= 0 else field.type
            if field.type != meant and means_the_same(field.type, meant):
                try:
                    column = table.column(place).cast(meant)
                except pa.ArrowException:
                    # Types that do not meet: the store refuses the rows.
                    continue
                table = table.set_column(place, field.with_type(meant), column)
        added = [field for field in table.schema if known.get_field_index(field.name) < 0]
        self._known[topic] = pa.schema([*known, *added])
        return table

    def forget(self) -> None:
        """Forgets what it has remembered of appends that may not have happened."""
        self._known.clear()
