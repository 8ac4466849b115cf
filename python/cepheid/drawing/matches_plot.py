"""`Matches.plot`: what is asked for is checked, what is known of the matches is gathered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cepheid.drawing.match_timeline import Times, given_times, match_timeline, matched_rows, window_timeline
from cepheid.drawing.plot import Plot
from cepheid.drawing.timeline import timeline_svg
from cepheid.input import arrow_table, table_of
from cepheid.matching import is_topics
from cepheid.options import checked_count
from cepheid.result import WINDOWS, counted_matches

if TYPE_CHECKING:
    from cepheid.result import Matches


def matches_plot(matches: Matches, limit: Any, data: Any, event_time: Any) -> Plot:
    """See `Matches.plot`."""
    most = checked_count(limit, "limit")
    if most is None:
        raise TypeError("limit is a whole number, not NoneType")
    if (data is None) != (event_time is None):
        raise TypeError(
            "plot() takes data and the column of its event time, plot(data=..., event_time=...), or neither"
        )
    if event_time is not None and not isinstance(event_time, str):
        raise TypeError(f"event_time is the name of a column, not {type(event_time).__name__}")
    if WINDOWS in matches.strategy.split(", "):
        drawn = window_timeline(matches.to_arrow(), most)
        return Plot(timeline_svg(drawn), drawn.heading)
    count = matches.count()
    # Of matches that are not built, these alone are.
    first = matches._first(most)
    rows = matched_rows(pa.table(first.membership()), most)
    topics = {row.topic for row in rows if row.topic is not None}
    table = pa.table(first) if first.num_rows == first.num_matches else None
    heading = counted_matches(count) + (f", the first {most:,} shown" if count > most else "")
    drawn = match_timeline(heading, rows, table, _given(data, event_time, topics), min(count, most))
    return Plot(timeline_svg(drawn), heading)


def _given(data: Any, event_time: str | None, topics: set[str]) -> Mapping[str | None, Times] | None:
    """By topic the times of all rows; where rows are of no topic, under None."""
    if event_time is None:
        return None
    of = list(topics) if len(topics) == 1 else [None]
    tables = data if is_topics(topics, data) else dict.fromkeys(of, data)
    given = {topic: given_times(arrow_table(table_of(table)), event_time) for topic, table in tables.items()}
    return given if topics or len(given) > 1 else dict.fromkeys([None], *given.values())
