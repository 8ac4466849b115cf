"""The registry: which types of events there are, and the way in for all of them."""

from __future__ import annotations

import datetime as dt
import threading
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, final

from cepheid.building import checked_name
from cepheid.engine_options import memory_bytes
from cepheid.errors import PatternError, SchemaError
from cepheid.event_time import time_ns
from cepheid.names import invalid_choice, listed_names, nearest_name
from cepheid.schema.compatibility import COMPATIBILITY, incompatibilities
from cepheid.schema.envelope import ENVELOPE, STORE_COLUMNS, envelope_schema, topic_fault
from cepheid.schema.event_schema import EventSchema
from cepheid.schema.expressions import rows_that_hold
from cepheid.schema.incoming import incoming
from cepheid.schema.ingesting import Ingested, Upcast, ingested
from cepheid.schema.known import Known, KnownVersion
from cepheid.schema.linting import Lint, lints_of
from cepheid.schema.mapping import Mapper, prepared_mapper
from cepheid.schema.tabular import Frame
from cepheid.schema.type_text import field_of

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.store.upcasting import Upcasters

__all__ = ["SchemaRegistry"]

_LINT = ("warn", "error", "off")
_PREFIX_BYTES_MAX = 1000


@final
class SchemaRegistry:
    """Which types of events there are, in which versions, and the way in for all of them.

    Types that nobody has declared are taken as they come: their columns are those of their first events, new ones stand
    behind, and what does not fit the type that a column had first is rejected. Calls are safe from any thread.

    Args:
        schemas: Schemas to begin with, versions of a type in their order.
        lint: What becomes of what could be better in a schema: ``"warn"``, ``"error"`` (code ``schema-lint``) or
            ``"off"``. Advice, which is a matter of taste, is only told by `lint`.
        payload_bytes_max: Most bytes that an event may have, as a number or as text such as ``"64KB"``.
        compatibility: What a new version must be, unless a function leads on from the one before: ``"backward"`` (its
            readers can read old events), ``"forward"`` (old readers can read its events), ``"full"`` or ``"none"``.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: `lint`, `compatibility` or `payload_bytes_max` is none that there is (code ``invalid-clause``).
        SchemaError: As for `register`.

    Example:
        >>> import datetime as dt
        >>> from cepheid.schema import EventSchema, JsonText, SchemaRegistry
        >>> registry = SchemaRegistry([EventSchema("order.created", {"total": "float64"}, required=["total"])])
        >>> text = JsonText(b'[{"type": "order.created", "total": 20}, {"type": "order.created", "total": "much"}]')
        >>> now = dt.datetime.now(dt.UTC)
        >>> done = registry.ingest(text, topic=None, source="till", received=now, id_prefix="till-1")
        >>> done.batches[0][1]["total"].to_pylist(), done.rejected[0].reason
        ([20.0], '`total` is the text "much", which is no float64')
    """

    __slots__ = (
        "_compatibility",
        "_extra",
        "_in_use",
        "_known",
        "_lint",
        "_lock",
        "_payload_bytes_max",
        "_schemas",
        "_upcasts",
    )

    def __init__(
        self,
        schemas: Iterable[EventSchema] = (),
        *,
        lint: str = "warn",
        payload_bytes_max: int | str = "64KB",
        compatibility: str = "backward",
    ) -> None:
        if not isinstance(lint, str) or lint not in _LINT:
            raise invalid_choice("lint", lint, list(_LINT))
        if not isinstance(compatibility, str) or compatibility not in COMPATIBILITY:
            raise invalid_choice("compatibility", compatibility, list(COMPATIBILITY))
        self._lint, self._compatibility = lint, compatibility
        self._payload_bytes_max = _size(payload_bytes_max)
        self._lock = threading.RLock()
        self._schemas: dict[str, list[EventSchema]] = {}
        self._upcasts: dict[tuple[str, int], Upcast | None] = {}
        # Columns that have come beside the declared ones, or of types that nobody has declared.
        self._extra: dict[str, list[pa.Field]] = {}
        # How many apps run with it.
        self._in_use = 0
        self._known = Known({}, self._payload_bytes_max)
        for schema in schemas:
            self.register(schema)

    def register(self, schema: EventSchema, *, upcast: Upcast | None = None) -> None:
        """Declares a type, or a new version of one.

        Args:
            schema: The schema. The first version of a type may be any; each later one is the next number. One that is
                there already, and the same, is left as it is.
            upcast: Makes rows of the version before those of this one: it is given a `pyarrow.Table` of the envelope's
                columns and those of the data, and gives one of as many rows in the same order. Events of old versions
                are taken through these functions when they come.

        Raises:
            TypeError: It is no schema, or `upcast` no function.
            SchemaError: The version is not the next (code ``schema-version``), or is there with another content (code
                ``schema-conflict``); it is not compatible with the one before and no function leads on from that (code
                ``schema-incompatible``); its check is no condition over its columns; or something could be better and
                that is an error (code ``schema-lint``). Nothing has been registered then.

        Example:
            >>> from cepheid.schema import EventSchema, SchemaRegistry
            >>> registry = SchemaRegistry([EventSchema("order.created", {"total": "int64"})])
            >>> registry.register(EventSchema("order.created", {"total": "float64", "till": "string"}, version=2))
            >>> registry.schema("order.created").version
            2
        """
        if not isinstance(schema, EventSchema):
            raise TypeError(f"a schema is an EventSchema, not {type(schema).__name__}")
        if upcast is not None and not callable(upcast):
            raise TypeError(f"upcast is a function, not {type(upcast).__name__}")
        with self._lock:
            versions = self._schemas.get(schema.type, [])
            same = next((one for one in versions if one.version == schema.version), None)
            if same is not None:
                if same == schema:
                    return
                raise SchemaError(
                    f"`{schema.type}` has a version {schema.version} already, with another content; give the new one "
                    f"version={versions[-1].version + 1}",
                    code="schema-conflict",
                )
            if versions:
                self._check_next(versions[-1], schema, upcast)
            if schema.check is not None:
                # It raises what is wrong with the condition now, and not when an event comes.
                rows_that_hold(schema.check, _empty(schema))
            self._tell_lints(schema)
            self._schemas[schema.type] = [*versions, schema]
            self._upcasts = {**self._upcasts, (schema.type, schema.version): upcast}
            self._remember()

    def _check_next(self, last: EventSchema, schema: EventSchema, upcast: Upcast | None) -> None:
        if schema.version != last.version + 1:
            raise SchemaError(
                f"`{schema.type}` has version {last.version}; the next is {last.version + 1}, not {schema.version}",
                code="schema-version",
            )
        reasons = [] if upcast is not None else incompatibilities(last, schema, self._compatibility)
        if reasons:
            raise SchemaError(
                f"version {schema.version} of `{schema.type}` is not {self._compatibility} compatible: "
                f"{'; '.join(reasons)}. Change it, or give upcast=... that makes rows of version {last.version} "
                f"those of {schema.version}",
                code="schema-incompatible",
            )

    def _tell_lints(self, schema: EventSchema) -> None:
        found = [lint.message for lint in self.lint(schema) if lint.level == "warning"]
        if not found or self._lint == "off":
            return
        if self._lint == "error":
            raise SchemaError("; ".join(found), code="schema-lint")
        for message in found:
            warnings.warn(message, UserWarning, stacklevel=3)

    def _remember(self) -> None:
        """Has the next calls know what is known now."""
        import pyarrow as pa

        by_type: dict[str, tuple[KnownVersion, ...]] = {}
        for topic, versions in self._schemas.items():
            by_type[topic] = tuple(
                KnownVersion(topic, schema.version, schema.arrow, schema.unknown, schema) for schema in versions
            )
            newest = by_type[topic][-1]
            if newest.unknown == "keep" and (extra := self._extra.get(topic)):
                fields = [field for field in extra if field.name not in newest.columns.names]
                newest = newest._replace(columns=pa.schema([*newest.columns, *fields]))
                by_type[topic] = (*by_type[topic][:-1], newest)
        for topic, fields in self._extra.items():
            if topic not in by_type:
                by_type[topic] = (KnownVersion(topic, None, pa.schema(fields), "keep", None),)
        self._known = Known(by_type, self._payload_bytes_max)

    def schema(self, type: str, version: int | None = None) -> EventSchema:
        """The schema of a type.

        Args:
            type: The type.
            version: The version. None: the newest.

        Raises:
            SchemaError: Nobody has declared it (code ``unknown-topic``), or not in this version (code
                ``schema-version``).

        Example:
            >>> from cepheid.schema import EventSchema, SchemaRegistry
            >>> SchemaRegistry([EventSchema("order.paid", {"order": "int64"})]).schema("order.paid").columns
            {'order': 'int64'}
        """
        versions = self._schemas.get(type)
        if not versions:
            raise SchemaError(
                f"nobody has declared the type `{type}` (declared are {listed_names(self.types)})",
                code="unknown-topic",
                known=self.types,
                hint=nearest_name(str(type), self.types),
            )
        if version is None:
            return versions[-1]
        for schema in versions:
            if schema.version == version:
                return schema
        raise SchemaError(
            f"`{type}` has no version {version} (it has {[schema.version for schema in versions]})",
            code="schema-version",
        )

    def versions(self, type: str) -> tuple[EventSchema, ...]:
        """All versions of a type, the newest last; none of a type that nobody has declared.

        Example:
            >>> from cepheid.schema import SchemaRegistry
            >>> SchemaRegistry().versions("order.paid")
            ()
        """
        return tuple(self._schemas.get(type, ()))

    @property
    def types(self) -> tuple[str, ...]:
        """The types that have been declared, in the order in which they were.

        Example:
            >>> from cepheid.schema import EventSchema, SchemaRegistry
            >>> SchemaRegistry([EventSchema("order.paid", {"order": "int64"})]).types
            ('order.paid',)
        """
        return tuple(self._schemas)

    def columns(self, type: str) -> pa.Schema | None:
        """The columns that events of a type have when they have come in, the envelope in front; None: it is not known.

        Example:
            >>> from cepheid.schema import EventSchema, SchemaRegistry
            >>> SchemaRegistry([EventSchema("order.paid", {"order": "int64"})]).columns("order.paid").names[-1]
            'order'
        """
        import pyarrow as pa

        newest = self._known.newest(type)
        return None if newest is None else pa.schema([*envelope_schema(), *newest.columns])

    def lint(self, schema: EventSchema) -> list[Lint]:
        """What could be better in a schema: names, the size of its example, and what it does not say.

        Example:
            >>> from cepheid.schema import EventSchema, SchemaRegistry
            >>> schema = EventSchema("order.paid", {"order": "int64"}, key="order", owner="tills")
            >>> SchemaRegistry().lint(schema)[0].message
            '`order.paid` version 1: say what such an event means: description=...'
        """
        return lints_of(schema, self._payload_bytes_max)

    def learn(self, type: str, columns: pa.Schema) -> None:
        """Says which columns a type has in the store already, so that it keeps them.

        Of a type that has been declared, only those count that come beside the declared ones, if these are kept.

        Args:
            type: The type.
            columns: The columns; those of the envelope and of the store are passed over.

        Raises:
            TypeError: They are no `pyarrow.Schema`.
            SchemaError: The type cannot be the name of a topic (code ``invalid-name``), or a column is known with
                another type (code ``schema-conflict``).

        Example:
            >>> import pyarrow as pa
            >>> from cepheid.schema import SchemaRegistry
            >>> registry = SchemaRegistry()
            >>> registry.learn("order.paid", pa.schema({"id": pa.string(), "order": pa.int64()}))
            >>> registry.columns("order.paid").names[-1]
            'order'
        """
        import pyarrow as pa

        if not isinstance(columns, pa.Schema):
            raise TypeError(f"columns is a pyarrow.Schema, not {_name_of(columns)}")
        _check_topic(type)
        with self._lock:
            known = {field.name: field for field in self._extra.get(type, ())}
            for field in columns:
                if field.name in ENVELOPE or field.name in STORE_COLUMNS:
                    continue
                own = field_of(field.name, field)
                before = known.setdefault(field.name, own)
                if before.type != own.type:
                    raise SchemaError(
                        f"`{field.name}` of `{type}` is {before.type}, not {own.type}",
                        code="schema-conflict",
                        column=field.name,
                    )
            self._extra = {**self._extra, type: list(known.values())}
            self._remember()

    def _begin(self) -> None:
        """An app begins to run with it: what was learned of events of stores that nobody has open is forgotten."""
        with self._lock:
            if not self._in_use and self._extra:
                self._extra = {}
                self._remember()
            self._in_use += 1

    def _end(self) -> None:
        """An app that ran with it has ended."""
        with self._lock:
            self._in_use -= 1

    def ingest(
        self,
        data: Any,
        *,
        topic: str | None,
        source: str,
        received: dt.datetime,
        id_prefix: str,
        mapper: Mapper | None = None,
    ) -> Ingested:
        """Events as tables by type, with whole envelopes, in the columns that are known of their types.

        A row that cannot be an event is rejected with the reason, and takes no other with it.

        Time: O(rows), by columns; each row that does not fit, or at which a check fails to be computed (a division by
        zero, for one), costs O(log rows) looks at the column, or at the check, more.

        Args:
            data: Whatever `cepheid.match` takes for a table, an event as a mapping, or `JsonText`.
            topic: The type of all of them. None: each says its own, in the column ``type``.
            source: The source of those that say none.
            received: The time of those that say none, with a zone.
            id_prefix: What the ids begin with of those that have none: ``-`` and the number in this call follow.
            mapper: What makes events of rows as the source has them: a function of a table, or targets with the field
                (``"customer.name"``) or expression that each comes of. Its columns are then those of flat events. Of
                JSON, fields of objects in objects are columns that are named by their path, with dots.

        Raises:
            TypeError: An argument is of the wrong type.
            SchemaError: The data can be read as no table (code ``unsupported-input``), are more than one call takes
                (code ``payload-too-large``), `topic` cannot be the name of a topic (code ``invalid-name``), or
                `received` has no zone, or lies beyond 64 bits of nanoseconds (code ``event-time``). Nothing has been
                taken then.

        Example:
            >>> import datetime as dt
            >>> from cepheid.schema import JsonText, SchemaRegistry
            >>> text = JsonText('{"shop": {"kind": "order.created"}, "cents": 1950}')
            >>> done = SchemaRegistry().ingest(text, topic=None, source="till", received=dt.datetime.now(dt.UTC),
            ...     id_prefix="till-1", mapper={"type": "shop.kind", "total": "cents / 100.0"})
            >>> [(topic, table["total"].to_pylist()) for topic, table in done.batches]
            [('order.created', [19.5])]
        """
        frame = _frame(topic, source, received, id_prefix)
        function = prepared_mapper(mapper)
        given = incoming(data)
        known, upcasts = self._known, self._upcasts
        outcome = ingested(given, known, frame, function, upcasts)
        if not outcome.learned:
            return outcome.result
        with self._lock:
            if self._known is not known:
                # Another call has taught something meanwhile, perhaps other types of the same columns.
                outcome = ingested(given, self._known, frame, function, self._upcasts)
            extra = dict(self._extra)
            for type, fields in outcome.learned.items():
                extra[type] = [*extra.get(type, ()), *fields]
            self._extra = extra
            self._remember()
            return outcome.result

    @property
    def upcasters(self) -> Upcasters:
        """The same functions for events that are in a store already: those of old versions are read as the newest.

        Example:
            >>> from cepheid.schema import EventSchema, SchemaRegistry
            >>> registry = SchemaRegistry([EventSchema("order.paid", {"order": "int64"})])
            >>> registry.register(EventSchema("order.paid", {"order": "int64", "till": "string"}, version=2))
            >>> registry.upcasters.latest("order.paid")
            2
        """
        from cepheid.store.upcasting import Upcasters

        upcasters = Upcasters({topic: versions[-1].version for topic, versions in self._schemas.items()})
        for topic, versions in self._schemas.items():
            for version in range(1, versions[0].version):
                upcasters.on(topic, from_version=version)(_unchanged)
            for schema in versions[1:]:
                function = self._upcasts[topic, schema.version]
                upcasters.on(topic, from_version=schema.version - 1)(_unchanged if function is None else function)
        return upcasters

    def asyncapi(self, title: str = "Events", version: str = "1.0.0") -> dict[str, Any]:
        """An AsyncAPI 3.0 document of the declared types: a channel each, a message for each version.

        Args:
            title: Its title.
            version: The version of what it describes.

        Example:
            >>> from cepheid.schema import EventSchema, SchemaRegistry
            >>> registry = SchemaRegistry([EventSchema("order.paid", {"order": "int64"})])
            >>> registry.asyncapi("Shop")["channels"]["order.paid"]["address"]
            'order.paid'
        """
        from cepheid.schema.asyncapi import asyncapi_document

        return asyncapi_document(list(self._schemas.values()), title, version)

    def catalogue(self, format: str = "markdown", *, title: str = "Events") -> str:
        """A page of the declared types, for people: what they mean, who answers for them, their columns and versions.

        Args:
            format: ``"markdown"`` or ``"html"``.
            title: What stands at its head.

        Raises:
            PatternError: `format` is neither (code ``invalid-clause``).

        Example:
            >>> from cepheid.schema import EventSchema, SchemaRegistry
            >>> registry = SchemaRegistry([EventSchema("order.paid", {"order": "int64"}, owner="tills")])
            >>> "| order | int64 |" in registry.catalogue()
            True
        """
        from cepheid.schema.catalogue import html_page, markdown_page

        if format not in ("markdown", "html"):
            raise invalid_choice("format", format, ["markdown", "html"])
        page = markdown_page if format == "markdown" else html_page
        return page(list(self._schemas.values()), title)

    def __repr__(self) -> str:
        return f"SchemaRegistry({len(self._schemas)} types)"


def _name_of(value: Any) -> str:
    return str(value.__class__.__name__)


def _unchanged(rows: pa.Table) -> pa.Table:
    return rows


def _size(value: Any) -> int:
    try:
        size = memory_bytes(value)
    except PatternError as error:
        raise PatternError(
            error.message.replace("memory_limit", "payload_bytes_max"),
            code="invalid-clause",
            context="payload_bytes_max",
        ) from None
    except TypeError:
        size = None
    if size is None:
        raise TypeError(f'payload_bytes_max is bytes, or text such as "64KB", not {type(value).__name__}')
    return size


def _empty(schema: EventSchema) -> pa.Table:
    import pyarrow as pa

    return pa.schema([*envelope_schema(), *schema.arrow]).empty_table()


def _check_topic(topic: str) -> None:
    checked_name(topic, "topic")
    if why := topic_fault(topic):
        raise SchemaError(f"{topic[:80]!r} cannot be the name of a topic: {why}", code="invalid-name")


def _frame(topic: str | None, source: str, received: dt.datetime, id_prefix: str) -> Frame:
    if topic is not None:
        _check_topic(topic)
    for what, text in (("source", source), ("id_prefix", id_prefix)):
        if not isinstance(text, str):
            raise TypeError(f"{what} is a text, not {type(text).__name__}")
        size = len(text.encode("utf-8", "surrogatepass"))
        if not 1 <= size <= _PREFIX_BYTES_MAX or text != text.encode("utf-8", "replace").decode():
            raise SchemaError(f"{what} is a text of 1 to {_PREFIX_BYTES_MAX} bytes in UTF-8", code="invalid-name")
    if not isinstance(received, dt.datetime):
        raise TypeError(f"received is a datetime, not {type(received).__name__}")
    if received.tzinfo is None:
        raise SchemaError("received has no zone: give datetime.now(UTC)", code="event-time")
    try:
        time_ns(received, "received")
    except PatternError as error:
        raise SchemaError(error.message, code="event-time") from None
    return Frame(topic, source, received.astimezone(dt.UTC), id_prefix)
