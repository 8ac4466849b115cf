"""What is known of types of events at one moment: a picture that does not change while a call reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid._native import EventReader
    from cepheid.schema.event_schema import EventSchema

__all__ = ["Known", "KnownVersion"]

COLUMNS_MAX = 1000


class KnownVersion(NamedTuple):
    """One version of a type, or a type that nobody has declared.

    Attributes:
        topic: The type.
        version: The version; None: nobody has declared it.
        columns: The columns of its data, those that have come beside the declared ones behind them.
        unknown: What becomes of other fields.
        schema: What has been declared.
    """

    topic: str
    version: int | None
    columns: pa.Schema
    unknown: str
    schema: EventSchema | None


class Known:
    """All types that something is known of."""

    __slots__ = ("_reader", "by_type", "payload_bytes_max")

    def __init__(self, by_type: Mapping[str, tuple[KnownVersion, ...]], payload_bytes_max: int) -> None:
        self.by_type = by_type
        self.payload_bytes_max = payload_bytes_max
        self._reader: EventReader | None = None

    def versions(self, topic: str) -> tuple[KnownVersion, ...]:
        """The versions of a type, the newest last; none of a type that is new."""
        return self.by_type.get(topic, ())

    def newest(self, topic: str) -> KnownVersion | None:
        """The version that events have that say none."""
        versions = self.by_type.get(topic)
        return versions[-1] if versions else None

    @property
    def reader(self) -> Any:
        """What reads JSON with this knowledge, made when it is first asked for."""
        from cepheid import _native

        reader = self._reader
        if reader is None:
            entries = [
                (version.topic, version.version, version.columns, version.unknown)
                for versions in self.by_type.values()
                for version in versions
            ]
            reader = _native.EventReader(entries, payload_bytes_max=self.payload_bytes_max, columns_max=COLUMNS_MAX)
            self._reader = reader
        return reader

    def with_columns(self, learned: Iterable[tuple[str, list[pa.Field]]]) -> Known:
        """The same with columns that have come newly."""
        import pyarrow as pa

        by_type = dict(self.by_type)
        for topic, fields in learned:
            versions = by_type.get(topic)
            if versions is None:
                by_type[topic] = (KnownVersion(topic, None, pa.schema(fields), "keep", None),)
                continue
            newest = versions[-1]
            columns = pa.schema(
                [*newest.columns, *(field for field in fields if field.name not in newest.columns.names)]
            )
            by_type[topic] = (*versions[:-1], newest._replace(columns=columns))
        return Known(by_type, self.payload_bytes_max)
