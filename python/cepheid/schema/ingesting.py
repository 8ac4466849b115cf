"""Events on their way in: what their schema asks of them, old versions made new, one table for each type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

from cepheid.schema.envelope import ENVELOPE, envelope_schema
from cepheid.schema.expressions import rows_that_hold
from cepheid.schema.faults import Faults, Rejected
from cepheid.schema.incoming import Incoming, read_parts
from cepheid.schema.known import TYPES_MAX, Known, KnownVersion
from cepheid.schema.tabular import Frame, Part, conformed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Ingested", "Outcome", "Upcast", "ingested"]

#: A function that makes rows of one version those of the next.
Upcast = Callable[["pa.Table"], Any]


@final
@dataclass(frozen=True, slots=True)
class Ingested:
    """What has become of what was sent: each row is in one of the two.

    Attributes:
        batches: One table for each type, in the order in which types come first, its rows in the order in which they
            came: the envelope's columns, then those of the data.
        rejected: What is no event, in the order in which it came.

    Example:
        >>> import datetime as dt
        >>> from cepheid.schema import SchemaRegistry
        >>> done = SchemaRegistry().ingest([{"type": "order.created", "total": 20}, {"total": 7}], topic=None,
        ...     source="till", received=dt.datetime.now(dt.UTC), id_prefix="till-1")
        >>> [(topic, table["id"].to_pylist()) for topic, table in done.batches], done.rejected[0].code
        ([('order.created', ['till-1-0'])], 'event-type')
    """

    batches: list[tuple[str, pa.Table]]
    rejected: list[Rejected]


class Outcome(NamedTuple):
    """What a call found.

    Attributes:
        result: What is given back.
        learned: Columns that types have newly, to be remembered before it is.
    """

    result: Ingested
    learned: dict[str, list[pa.Field]]


def ingested(
    data: Incoming,
    known: Known,
    frame: Frame,
    function: Callable[[pa.Table], Any] | None,
    upcasts: Mapping[tuple[str, int], Upcast | None],
) -> Outcome:
    """Events as tables by type, and what is none.

    Args:
        data: What was sent.
        known: What is known of types.
        frame: What is said of events besides what they say themselves.
        function: What the mapper does.
        upcasts: Functions that lead on from versions of types; None: rows are compatible as they are.
    """
    import pyarrow as pa

    parts, faults = read_parts(data, known, frame, function)
    learned: dict[str, list[pa.Field]] = {}
    by_topic: dict[str, list[Part]] = {}
    # Types with the columns that have come in this call.
    newest: dict[str, KnownVersion] = {}
    undeclared = known.undeclared
    for part in parts:
        settled: Part | None = _checked(part, faults)
        last = newest.get(part.topic) or known.newest(part.topic)
        if settled is not None and last is not None and settled.known is not last:
            settled = _newest(settled, last, known, upcasts, faults)
        if settled is None:
            continue
        if last is None and undeclared >= TYPES_MAX:
            reason = f"there are {TYPES_MAX} types already that nobody has declared; declare it"
            faults.add(part.rows, code="too-many-types", reason=reason, topic=part.topic)
            continue
        if settled.columns or last is None:
            learned.setdefault(part.topic, []).extend(settled.columns)
            undeclared += last is None
            last = last or KnownVersion(part.topic, None, pa.schema([]), "keep", None)
            newest[part.topic] = last._replace(columns=pa.schema([*last.columns, *settled.columns]))
        by_topic.setdefault(part.topic, []).append(settled)
    tables = [(topic, *_together(some, newest.get(topic) or known.newest(topic))) for topic, some in by_topic.items()]
    tables.sort(key=lambda found: int(found[2][0]))
    rejected = [one for _, one in faults.rejected()]
    return Outcome(Ingested([(topic, table) for topic, table, _ in tables], rejected), learned)


def _checked(part: Part, faults: Faults) -> Part | None:
    """Events with what their schema takes from their data, those that satisfy it."""
    import numpy as np

    schema = None if part.known is None else part.known.schema
    if schema is None:
        return part
    table = part.table
    for name, column in (("subject", schema.subject), ("partitionkey", schema.key)):
        if column is not None:
            table = _filled(table, name, column)
    if schema.check is not None:
        holds, failed = rows_that_hold(schema.check, table)
        for place in np.flatnonzero(~holds):
            reason = f"it does not satisfy the check of `{part.topic}`: {schema.check!r}"
            if (why := failed.get(int(place))) is not None:
                reason = f"the check of `{part.topic}` failed: {why}"
            faults.add([part.rows[place]], code="check-failed", reason=reason, topic=part.topic)
        if not holds.all():
            table, rows = table.take(np.flatnonzero(holds)), part.rows[holds]
            return part._replace(table=table, rows=rows) if len(rows) else None
    return part._replace(table=table)


def _filled(table: pa.Table, name: str, column: str) -> pa.Table:
    """The table with the text of a column where the envelope says nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    place = ENVELOPE.index(name)
    stated = table.column(place)
    if stated.null_count == 0:
        return table
    source = table[column]
    try:
        texts = source if pa.types.is_string(source.type) else source.cast(pa.string())
    except pa.ArrowException:
        texts = pa.chunked_array([pa.array([None if v is None else str(v) for v in source.to_pylist()], pa.string())])
    # An empty text is nobody's key.
    texts = pc.if_else(pc.equal(pc.binary_length(texts), 0), None, texts)
    return table.set_column(place, envelope_schema().field(name), pc.coalesce(stated, texts))


def _newest(
    part: Part,
    newest: KnownVersion,
    known: Known,
    upcasts: Mapping[tuple[str, int], Upcast | None],
    faults: Faults,
) -> Part | None:
    """Events of an old version as those of the newest; those of a type that became known meanwhile in its columns."""
    envelope, data, rows = part.table.select(list(ENVELOPE)), part.table.drop_columns(list(ENVELOPE)), part.rows
    version = None if part.known is None else part.known.version
    for step in known.versions(part.topic):
        if version is None or step.version is None or step.version <= version:
            continue
        upcast = upcasts.get((part.topic, step.version))
        if upcast is not None:
            try:
                data = _upcast(upcast, envelope, data, step)
            except Exception as error:
                reason = f"the upcaster to version {step.version} of `{part.topic}` failed: {error}"
                faults.add(rows, "upcaster-failed", reason, part.topic)
                return None
        envelope = _stamped(envelope, step.version)
        done = conformed(part.topic, step._replace(unknown=_lenient(step)), envelope, data, rows, faults)
        if done is None:
            return None
        checked = _checked(done._replace(known=step), faults)
        if checked is None:
            return None
        envelope, rows = checked.table.select(list(ENVELOPE)), checked.rows
        data = checked.table.drop_columns(list(ENVELOPE))
    done = conformed(part.topic, newest._replace(unknown=_lenient(newest)), envelope, data, rows, faults)
    return None if done is None else done._replace(known=newest)


def _lenient(step: KnownVersion) -> str:
    # A column that the next version has no more is left behind, as those who changed the schema decided.
    return "keep" if step.unknown == "keep" else "drop"


def _upcast(upcast: Upcast, envelope: pa.Table, data: pa.Table, step: KnownVersion) -> pa.Table:
    import pyarrow as pa

    whole = pa.table([*envelope.columns, *data.columns], names=[*envelope.column_names, *data.column_names])
    made = upcast(whole)
    if isinstance(made, pa.RecordBatch):
        made = pa.Table.from_batches([made])
    if not isinstance(made, pa.Table) or made.num_rows != data.num_rows:
        raise ValueError("it has to give a pyarrow.Table of as many rows as it was given")
    made = made.drop_columns([name for name in made.column_names if name in ENVELOPE])
    if len(set(made.column_names)) < made.num_columns:
        raise ValueError("it gave two columns of one name")
    if unknown := [name for name in made.column_names if name not in step.columns.names and step.unknown == "reject"]:
        raise ValueError(f"it gave a column `{unknown[0]}`, which the schema does not have")
    return made


def _stamped(envelope: pa.Table, version: int) -> pa.Table:
    """The envelope of rows that are of a version now."""
    import pyarrow as pa

    place = ENVELOPE.index("schemaversion")
    versions = pa.repeat(pa.scalar(version, pa.int32()), envelope.num_rows)
    return envelope.set_column(place, envelope_schema().field("schemaversion"), versions)


def _together(parts: list[Part], newest: KnownVersion | None) -> tuple[pa.Table, np.ndarray[Any, Any]]:
    """The events of a type in all its columns, in the order in which they came."""
    import numpy as np
    import pyarrow as pa

    fields = [] if newest is None else list(newest.columns)
    schema = pa.schema([*envelope_schema(), *fields])
    tables = []
    for part in parts:
        if part.table.schema.equals(schema, check_metadata=True):
            tables.append(part.table)
            continue
        names = set(part.table.column_names)
        columns = [
            part.table[field.name] if field.name in names else pa.nulls(part.table.num_rows, field.type)
            for field in schema
        ]
        tables.append(pa.Table.from_arrays(columns, schema=schema))
    rows = np.concatenate([part.rows for part in parts])
    if len(parts) == 1:
        return tables[0], rows
    order = np.argsort(rows, kind="stable")
    return pa.concat_tables(tables).take(order), rows[order]
