"""Matches as a timeline: where their rows are, by what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from cepheid.drawing.axis import Unit, axis_of, value_text
from cepheid.drawing.lettering import plain
from cepheid.drawing.timeline import Bar, Mark, Timeline
from cepheid.errors import PatternError, SchemaError
from cepheid.names import listed_names, nearest_name, resolve_name

_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_DAY_NS = 86_400_000_000_000
_START, _END = "window_start", "window_end"


class Times(NamedTuple):
    """Values of a column that can be an axis; None where there is none."""

    values: list[float | None]
    unit: Unit


class MatchedRow(NamedTuple):
    """A row of a match, as `Matches.rows` gives it; without topic: None."""

    match: int
    variable: str
    row: int
    topic: str | None


def matched_rows(membership: pa.Table, limit: int) -> list[MatchedRow]:
    """The rows of the first matches."""
    import pyarrow.compute as pc

    shown = membership.filter(pc.less(membership["match"], limit)).to_pydict()
    topics = shown.get("topic", [None] * len(shown["match"]))
    return list(map(MatchedRow, shown["match"], shown["variable"], shown["row"], topics))


def match_timeline(
    counted: str,
    rows: Sequence[MatchedRow],
    table: pa.Table | None,
    given: Mapping[str | None, Times] | None,
    shown: int,
) -> Timeline:
    """The timeline of matches.

    Args:
        counted: How many there are, in words.
        rows: The rows of those that are shown.
        table: The result, if it has one row a match.
        given: By topic the times of all its rows; of no topic: None.
        shown: How many are shown.
    """
    notes = []
    times: list[float | None] | None = None
    unit: Unit = "row"
    if given is not None:
        times, unit = _looked_up(rows, given)
    elif table is not None and (ends := _ends(rows, table)) is not None:
        times, unit = ends
    elif table is not None and "match_start" in table.column_names and rows:
        notes.append("by row number: times of rows are not kept; plot(data=..., event_time=...) finds them")
    of_topics = len({row.topic for row in rows}) > 1
    if times is None and of_topics:
        notes.append("each topic has row numbers of its own")
    lanes: dict[tuple[str | None, str], int] = {}
    marks: list[Mark] = []
    for place, row in enumerate(rows):
        value = row.row if times is None else times[place]
        lane = lanes.setdefault((row.topic, row.variable), len(lanes))
        if value is None:
            continue
        of = "" if row.topic is None else f" of {row.topic}"
        title = [f"match {row.match}", row.variable, f"row {row.row}{of}"]
        if times is not None:
            title.append(value_text(value, unit))
        marks.append(Mark(row.match, lane, value, "\n".join(title)))
    if without := len(rows) - len(marks):
        notes.append(f"{without:,} rows without time are not shown")
    if bare := shown - len({row.match for row in rows}):
        notes.append(f"{bare:,} of those shown are made of no row")
    names = tuple(variable if topic is None else f"{variable} of {topic}" for topic, variable in lanes)
    axis = axis_of([mark.value for mark in marks], unit)
    return Timeline(counted, tuple(map(plain, names)), axis, tuple(marks), (), tuple(notes))


def _ends(rows: Sequence[MatchedRow], table: pa.Table) -> tuple[list[float | None], Unit] | None:
    """The times of rows from those of the first and the last of each match, if none has more.

    A table of as many rows as matches has one for each: only SQL leaves rows and matches out, and what it gives has no
    such columns.
    """
    if "match_start" not in table.column_names or "match_end" not in table.column_names:
        return None
    starts, ends = times_of(table["match_start"]), times_of(table["match_end"])
    if starts is None or ends is None:
        return None
    found: list[float | None] = []
    place_in_match: dict[int, int] = {}
    for row in rows:
        place = place_in_match.get(row.match, 0)
        if place == 2:
            return None
        place_in_match[row.match] = place + 1
        found.append((ends if place else starts).values[row.match])
    return found, starts.unit


def _looked_up(rows: Sequence[MatchedRow], given: Mapping[str | None, Times]) -> tuple[list[float | None], Unit]:
    found: list[float | None] = []
    unit: Unit = "number"
    for row in rows:
        times = given.get(row.topic)
        if times is None:
            of = "no topic that is said" if row.topic is None else f"topic `{row.topic}`"
            raise SchemaError(
                f"a match has rows of {of}, of which no table was given",
                code="unknown-topic",
                known=[topic for topic in given if topic is not None],
            )
        if row.row >= len(times.values):
            raise SchemaError(
                f"a match has row {row.row:,}, and the data have {len(times.values):,} rows; give plot() all rows that "
                "were matched, in the order in which they came",
                code="unsupported-input",
            )
        found.append(times.values[row.row])
        unit = times.unit
    return found, unit


def given_times(table: pa.Table, column: str) -> Times:
    """The times of all rows of a table.

    Raises:
        SchemaError: It has no such column, or one that cannot be an axis.
    """
    name = resolve_name(column, table.column_names)
    if name not in table.column_names:
        hint = nearest_name(column, table.column_names)
        raise SchemaError(
            f"no column `{column}` in the data (they have {listed_names(table.column_names)})",
            code="unknown-column",
            column=column,
            known=table.column_names,
            hint=hint,
        )
    times = times_of(table[name])
    if times is None:
        raise SchemaError(
            f"column `{name}` is of type {table[name].type}; an axis takes times, dates or numbers",
            code="column-type",
            column=name,
        )
    return times


def times_of(column: pa.ChunkedArray) -> Times | None:
    """A column as values of an axis, if it can be that."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return Times(_scaled(column.cast(pa.int64()).to_pylist(), _UNIT_NS[kind.unit]), "time")
    if pa.types.is_date(kind):
        return Times(_scaled(column.cast(pa.date32()).cast(pa.int32()).to_pylist(), _DAY_NS), "time")
    if pa.types.is_integer(kind):
        return Times(column.to_pylist(), "number")
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = [None if value is None else float(value) for value in column.to_pylist()]
        # What is no number has no place, nor has what is so great that distances have none.
        return Times([value if value is not None and abs(value) <= 1e300 else None for value in values], "number")
    return None


def _scaled(values: Sequence[int | None], by: int) -> list[float | None]:
    return [None if value is None else value * by for value in values]


def window_timeline(table: pa.Table, limit: int) -> Timeline:
    """The timeline of what windows say: bars, by key.

    Raises:
        PatternError: They have no begin and end (code ``unsupported``).
    """
    names = table.column_names
    starts = times_of(table[_START]) if _START in names and _END in names else None
    ends = times_of(table[_END]) if starts is not None else None
    if starts is None or ends is None:
        raise PatternError(
            "plot() draws windows from `window_start` to `window_end`; sliding ones have neither: draw their measures "
            "over their column of event time, as a chart of lines",
            code="unsupported",
        )
    table = table.slice(0, limit)
    first = names.index(_START)
    keys = [list(map(_text, table.column(place))) for place in range(first)]
    measures = [(names[place], list(map(_text, table.column(place)))) for place in range(first + 2, len(names))]
    lanes: dict[str, int] = {}
    bars = []
    for row, (begin, end) in enumerate(zip(starts.values[:limit], ends.values[:limit], strict=True)):
        key = ", ".join(column[row] for column in keys) or "all rows"
        lane = lanes.setdefault(key, len(lanes))
        if begin is None or end is None:
            continue
        span = [f"from {value_text(begin, starts.unit)}", f"to {value_text(end, starts.unit)}"]
        said = [f"{name} {values[row]}" for name, values in measures]
        bars.append(Bar(lane, begin, end, "\n".join([key, *span, *said])))
    whole = len(starts.values)
    heading = f"{whole:,} window{'' if whole == 1 else 's'}" + (f", the first {limit:,} shown" if whole > limit else "")
    values = [value for bar in bars for value in (bar.begin, bar.end)]
    return Timeline(heading, tuple(map(plain, lanes)), axis_of(values, starts.unit), (), tuple(bars))


def _text(scalar: Any) -> str:
    if not scalar.is_valid:
        return "NULL"
    try:
        return str(scalar.as_py())
    except (ValueError, OverflowError):
        # Nanoseconds, or years, that Python's own types do not have.
        return str(getattr(scalar, "value", "?"))
