"""Joins of events that happen near each other in time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from cepheid.building import checked_name
from cepheid.columns import col, ref
from cepheid.errors import PatternError
from cepheid.event_time import span_ns
from cepheid.expr import Expr
from cepheid.functions import coalesce
from cepheid.pattern import Pattern, event

__all__ = ["interval_join"]

Span = str | dt.timedelta


def interval_join(
    left: str,
    right: str,
    *,
    on: str | Iterable[str] | Mapping[str, str],
    after: Span = "0s",
    before: Span = "0s",
    left_columns: Iterable[str] = (),
    right_columns: Iterable[str] = (),
) -> Pattern:
    """Every pair of an event of one topic and one of another that have equal keys and are near in time.

    A pair is one where ``left.time - before <= right.time <= left.time + after``. Keys of one name that are NULL are
    equal to each other, as those of `Pattern.partition_by` are; of keys of two names NULL equals nothing. It is a
    pattern as any other, for `cepheid.match` and for an engine, which reports a pair with its later event and forgets
    an event once no other can be near enough; `Matches.rows` tells which events a pair is made of (``left`` and
    ``right``, or ``earlier_right`` and ``later_left``).

    Time: as for all matches of two steps, O(1) a row by key, and a pair. Space: the events of the last
    ``max(before, after)``, by key.

    Args:
        left: The one topic.
        right: The other.
        on: The columns of the key, which both topics have in one type: their names, or a mapping of the names that they
            have in the left topic to those in the right. Of a key of two names the left one is reported.
        after: How far behind its left event a right one may be.
        before: How far in front of it.
        left_columns: Columns of the left topic to report, beside the key.
        right_columns: Columns of the right topic; one that the left reports, too, is named ``<name>_right``.

    Raises:
        TypeError: A topic or a column is no string, or a span neither text nor a timedelta.
        PatternError: The topics are one (code ``invalid-clause``), a span spells none or is negative, or a column is
            reported twice.

    Example:
        >>> import cepheid as cep
        >>> orders = {"ts": [0, 60_000_000_000], "id": [1, 2], "total": [10, 20]}
        >>> payments = {"ts": [5_000_000_000], "id": [1], "paid": [10]}
        >>> paid = cep.interval_join(
        ...     "orders", "payments", on="id", after="10s", left_columns=["total"], right_columns=["paid"]
        ... )
        >>> found = cep.match(paid, {"orders": orders, "payments": payments}, event_time="ts")
        >>> [(pair["id"], pair["total"], pair["paid"]) for pair in found]
        [(1, 10, 10)]
    """
    if checked_name(left, "topic") == checked_name(right, "topic"):
        raise PatternError(
            f"interval_join() is of two topics, and both are `{left}`; pairs of one topic are a pattern of two events",
            code="invalid-clause",
            context="interval_join",
        )
    pairs_of_keys = dict(on) if isinstance(on, Mapping) else {name: name for name in _names(on, "on")}
    _names(pairs_of_keys.values(), "on")
    if not _names(pairs_of_keys, "on"):
        raise PatternError("interval_join(): on names one column at least", code="invalid-clause", context="on")
    keys = [name for name, other in pairs_of_keys.items() if name == other]
    renamed = {name: other for name, other in pairs_of_keys.items() if name != other}
    # Bounds of patterns leave their end out; an event at the very end is near enough.
    after_ns, before_ns = span_ns(after, "after") + 1, span_ns(before, "before") + 1
    # Which of two events of one time comes first is said by the order of topics: either may.
    is_right = [col(other) == ref("left")[name] for name, other in renamed.items()]
    is_left = [col(name) == ref("earlier_right")[other] for name, other in renamed.items()]
    right_behind = event("left", topic=left).then_any(event("right", *is_right, topic=right))
    left_behind = event("earlier_right", topic=right).then_any(event("later_left", *is_left, topic=left))
    pairs = right_behind.within(f"{after_ns}ns") | left_behind.within(f"{before_ns}ns")
    by_key = pairs.partition_by(*keys) if keys else pairs
    joined = by_key.within(f"{max(after_ns, before_ns)}ns").matches("all")
    reported_left = _names(left_columns, "left_columns")
    taken = [name for name in reported_left if name in pairs_of_keys]
    if repeated := [*taken, *(name for name in _names(right_columns, "right_columns") if name in keys)]:
        raise PatternError(
            f"interval_join() reports `{repeated[0]}` anyway, as a column of the key; leave it out",
            code="measure-name-taken",
            context="on",
        )
    of_left = {name: coalesce(ref("left")[name], ref("later_left")[name]) for name in (*renamed, *reported_left)}
    of_right: dict[str, Expr] = {}
    for name in _names(right_columns, "right_columns"):
        reported = f"{name}_right" if name in of_left else name
        if reported in of_right or reported in of_left:
            raise PatternError(
                f"interval_join() reports two columns named `{reported}`; leave one out, or rename it before",
                code="measure-name-taken",
                context="right_columns",
            )
        of_right[reported] = coalesce(ref("right")[name], ref("earlier_right")[name])
    return joined.select({**of_left, **of_right}) if of_left or of_right else joined


def _names(columns: Any, what: str) -> list[str]:
    if isinstance(columns, str):
        columns = [columns]
    names = [checked_name(column, f"column of {what}") for column in columns]
    if len(set(names)) < len(names):
        raise PatternError(f"interval_join(): {what} names a column twice", code="invalid-clause", context=what)
    return names
