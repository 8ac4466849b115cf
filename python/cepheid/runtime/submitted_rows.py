"""Rows of submissions by topic, and whose they are: a step shows rules all rows of a topic at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cepheid.runtime.inbox import Submission

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Part", "Taken", "by_topic", "newest_of", "owner"]


class Part(NamedTuple):
    """Rows of a submission among those of their topic."""

    submission: int
    table: pa.Table


class Taken(NamedTuple):
    """Rows that go to the store: which append they are of, and where each submission's are among them."""

    append: int
    topic: str
    # Submission, first row, how many.
    shares: list[tuple[int, int, int]]


def by_topic(submissions: Sequence[Submission]) -> dict[str, list[Part]]:
    """Rows by topic, in the order of the submissions."""
    topics: dict[str, list[Part]] = {}
    for place, submission in enumerate(submissions):
        for topic, table in submission.batches:
            if table.num_rows:
                topics.setdefault(topic, []).append(Part(place, table))
    return topics


def owner(parts: list[Part], row: int) -> int:
    """The submission that a row of a topic is of."""
    before = 0
    for submission, table in parts:
        before += table.num_rows
        if row < before:
            return submission
    return parts[-1].submission


def newest_of(rows: pa.Table) -> dt.datetime | None:
    """The greatest time of rows; None: what others had stored before there was an app may have none, or other kinds."""
    import pyarrow.compute as pc

    newest = pc.max(rows["time"]).as_py() if "time" in rows.column_names else None
    return newest if isinstance(newest, dt.datetime) and newest.tzinfo is not None else None
