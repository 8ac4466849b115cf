"""Joins of events of two topics: those that happen near each other in time, and what held when one happened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from cepheid.building import checked_name
from cepheid.columns import col, ref
from cepheid.errors import PatternError
from cepheid.event_time import span_ns
from cepheid.expr import Expr
from cepheid.functions import coalesce
from cepheid.names import invalid_choice
from cepheid.pattern import Pattern, absent, event

__all__ = ["asof_join", "interval_join"]

HOW = ("inner", "left")
# As far as times go.
FOR_EVER = f"{2**63 - 1}ns"

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
    _check_topics(left, right, "interval_join")
    pairs_of_keys = dict(on) if isinstance(on, Mapping) else {name: name for name in _names(on, "on")}
    _names(pairs_of_keys.values(), "on")
    if not _names(pairs_of_keys, "on"):
        raise PatternError("on names one column at least", code="invalid-clause", context="on")
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
    reported_right = _names(right_columns, "right_columns")
    _check_unreported(reported_left, pairs_of_keys)
    _check_unreported(reported_right, keys)
    of_left = {name: coalesce(ref("left")[name], ref("later_left")[name]) for name in (*renamed, *reported_left)}
    reported = _of_right(reported_right, of_left, lambda name: coalesce(ref("right")[name], ref("earlier_right")[name]))
    return joined.select(reported) if reported else joined


def asof_join(
    left: str,
    right: str,
    *,
    on: str | Iterable[str],
    tolerance: Span | None = None,
    how: Literal["inner", "left"] = "inner",
    left_columns: Iterable[str] = (),
    right_columns: Iterable[str] = (),
) -> Pattern:
    """Every event of one topic with the last of another that is not behind it and has the same key: what held then.

    Of several events of the right topic at one time it is the one that came last. Those of the left event's own time
    count if their topic goes first, as it does where no other rule, and no ``topics=`` of the engine, says otherwise.
    It is a pattern as any other, for `cepheid.match` and for an engine, which reports a left event as soon as the
    watermark has reached it. What held may be a table instead: see ``since`` of `enrich`.

    Time: O(1) a row by key. Space: the last right event of each key, for no longer than `tolerance`.

    Args:
        left: The topic whose events are reported, each once.
        right: The topic of what held.
        on: The columns of the key, which both topics have, under one name and in one type. NULL equals NULL.
        tolerance: How far in front of its left event a right one may be. None: however far (with ``how="left"`` 292
            years), so that an engine keeps the last of every key that there has been.
        how: ``"inner"``: left events without a right one are left out; ``"left"``: they are reported, and columns of
            the right topic are NULL.
        left_columns: Columns of the left topic to report, beside the key.
        right_columns: Columns of the right topic; one that the left reports, too, is named ``<name>_right``.

    Raises:
        TypeError: A topic or a column is no string, `on` a mapping, or `tolerance` neither text nor a timedelta.
        PatternError: The topics are one or `how` is no such word (code ``invalid-clause``), a span spells none or is
            negative, or a column is reported twice.

    Example:
        >>> import cepheid as cep
        >>> trades = {"ts": [5, 30], "pair": ["EUR", "EUR"], "amount": [10, 20]}
        >>> quotes = {"ts": [1, 20, 40], "pair": ["EUR", "EUR", "EUR"], "rate": [1.0, 1.5, 9.9]}
        >>> priced = cep.asof_join("trades", "quotes", on="pair", left_columns=["amount"], right_columns=["rate"])
        >>> found = cep.match(priced, {"quotes": quotes, "trades": trades}, event_time="ts")
        >>> [(trade["amount"], trade["rate"]) for trade in found]
        [(10, 1.0), (20, 1.5)]
    """
    _check_topics(left, right, "asof_join")
    if how not in HOW:
        raise invalid_choice("how", how, list(HOW))
    if isinstance(on, Mapping):
        raise TypeError("on names columns that both topics have; asof_join() takes no mapping of other names")
    keys = _names(on, "on")
    # A bound leaves its end out; an event at the very end is near enough.
    bound = None if tolerance is None else f"{span_ns(tolerance, 'tolerance') + 1}ns"
    if bound is None and how == "left":
        # What is nothing to the one alternative must be nothing to the other.
        bound = FOR_EVER
    # The last of the right topic is the one that no newer one follows before the left event.
    held = event("right", topic=right).then(absent(event("newer", topic=right))).then_any(event("left", topic=left))
    if how == "left":
        assert bound is not None
        nothing = absent(event("none", topic=right), for_=bound)
        held = held | nothing.then(event("alone", topic=left))
    joined = (held.partition_by(*keys) if keys else held).within(bound).matches("all")
    reported_left = _names(left_columns, "left_columns")
    reported_right = _names(right_columns, "right_columns")
    _check_unreported((*reported_left, *reported_right), keys)

    def of_left(name: str) -> Expr:
        return ref("left")[name] if how == "inner" else coalesce(ref("left")[name], ref("alone")[name])

    reported = {name: of_left(name) for name in reported_left}
    reported = _of_right(reported_right, reported, lambda name: ref("right")[name])
    return joined.select(reported) if reported else joined


def _check_topics(left: str, right: str, join: str) -> None:
    if checked_name(left, "topic") == checked_name(right, "topic"):
        raise PatternError(
            f"{join}() is of two topics, and both are `{left}`; pairs of one topic are a pattern of two events",
            code="invalid-clause",
            context=join,
        )


def _check_unreported(columns: Iterable[str], keys: Iterable[str]) -> None:
    if repeated := [name for name in columns if name in keys]:
        raise PatternError(
            f"a join reports `{repeated[0]}` anyway, as a column of the key; leave it out",
            code="measure-name-taken",
            context="on",
        )


def _of_right(columns: list[str], of_left: dict[str, Expr], value: Callable[[str], Expr]) -> dict[str, Expr]:
    """What is reported of the left topic, and of the right one behind it."""
    of_right: dict[str, Expr] = {}
    for name in columns:
        reported = f"{name}_right" if name in of_left else name
        if reported in of_right or reported in of_left:
            raise PatternError(
                f"a join reports two columns named `{reported}`; leave one out, or rename it before",
                code="measure-name-taken",
                context="right_columns",
            )
        of_right[reported] = value(name)
    return {**of_left, **of_right}


def _names(columns: Any, what: str) -> list[str]:
    if isinstance(columns, str):
        columns = [columns]
    names = [checked_name(column, f"column of {what}") for column in columns]
    if len(set(names)) < len(names):
        raise PatternError(f"{what} names a column twice", code="invalid-clause", context=what)
    return names
