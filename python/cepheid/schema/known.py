"""What is known of types of events at one moment: a picture that does not change while a call reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid._native import EventReader
    from cepheid.schema.event_schema import EventSchema

__all__ = ["COLUMNS_MAX", "TYPES_MAX", "Known", "KnownVersion"]

#: Most columns of the data that a type has.
COLUMNS_MAX = 1000
#: Most types that nobody has declared, of those that come in: each costs every later call a little.
TYPES_MAX = 1000


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

    __slots__ = ("_reader", "by_type", "payload_bytes_max", "undeclared")

    def __init__(self, by_type: Mapping[str, tuple[KnownVersion, ...]], payload_bytes_max: int) -> None:
        self.by_type = by_type
        self.payload_bytes_max = payload_bytes_max
        self.undeclared = sum(versions[-1].version is None for versions in by_type.values())
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
