"""Anomaly rules: which values stand out from those of the rows of their key before them.

A rule is a value, as a pattern is: every method gives a new one. It is checked and brought to its normal spelling
when it gets its method, so what is wrong with it shows where it is written.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, final

from cepheid._native import Anomaly as NativeAnomaly
from cepheid.anomaly_data import AnomalyData
from cepheid.building import parsed, span_ns
from cepheid.compiled_rule import CompiledRule
from cepheid.errors import PatternError
from cepheid.expr import Expr
from cepheid.literal import duration_ns
from cepheid.nodes import Node
from cepheid.options import checked_count, checked_flag
from cepheid.rule_data import checked_row_node, source_data

__all__ = ["NO_METHOD", "Anomaly", "AnomalyBuilder", "anomaly"]

NO_METHOD = (
    "the rule has no method yet; say .ewma(), .mad(), .cusum(), .quantile_band(), .rate_of_change() or .seasonal()"
)
Span = str | dt.timedelta


@final
class AnomalyBuilder(AnomalyData):
    """What is judged, before it is said how: `anomaly` makes it.

    Each method gives a row a score, and a row is an anomaly if its score is greater than the threshold.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col
        >>> per_sensor = cep.anomaly(col.value, by="sensor")
        >>> per_sensor.ewma(alpha=0.05, threshold=4)
        cep.anomaly(col.value, by='sensor').ewma(alpha=0.05, threshold=4, warm_up=30)
        >>> per_sensor.rate_of_change(limit=2, per="1m")
        cep.anomaly(col.value, by='sensor').rate_of_change(limit=2, per='1m')
    """

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if hasattr(Anomaly, name):
                raise AttributeError(f"{name}: {NO_METHOD}")
            raise AttributeError(f"an anomaly rule has no {name!r}")

    def ewma(self, alpha: float, *, threshold: float = 3, warm_up: int = 30, learn_anomalies: bool = True) -> Anomaly:
        """The distance from an exponentially weighted mean of the rows before, in weighted standard deviations.

        Args:
            alpha: The weight of the newest row, between 0 and 1: the mean reaches back some ``1 / alpha`` rows.
            threshold: Greatest score that is no anomaly.
            warm_up: How many rows of a key come before the first that is judged.
            learn_anomalies: Whether later rows are compared with an anomaly, too.

        Raises:
            TypeError: One is no number.
            PatternError: One is out of its range (code ``invalid-expression`` or ``invalid-clause``), or the value or
                the condition is impossible.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> jumps = cep.anomaly(col.v).ewma(alpha=0.5, threshold=2.5, warm_up=2)
            >>> found = cep.detect(jumps, {"ts": [1, 2, 3], "v": [0, 4, 8]})
            >>> [(row["value"], row["expected"], row["score"]) for row in found]
            [(8.0, 2.0, 3.0)]
        """
        parameters = {"alpha": _number(alpha, "alpha"), "threshold": _number(threshold, "threshold")}
        return self._judged("ewma", {**parameters, "warm_up": _count(warm_up, "warm_up")}, learn_anomalies)

    def mad(
        self,
        *,
        rows: int | None = None,
        span: Span | None = None,
        threshold: float = 3.5,
        warm_up: int | None = None,
        learn_anomalies: bool = True,
    ) -> Anomaly:
        """The distance from the median of recent rows, in median absolute deviations: ``0.6745 |x - median| / MAD``.

        Args:
            rows: How many rows of the key before a row are recent; 100 if no span is said.
            span: Instead, how long before it they may be.
            threshold: Greatest score that is no anomaly.
            warm_up: Fewest recent rows that a row is judged by; 30 by default, or `rows` if that is less.
            learn_anomalies: Whether later rows are compared with an anomaly, too.

        Raises:
            TypeError: One is no number, or the span none of time.
            PatternError: Rows and a span are both said (code ``invalid-clause``), or as for `ewma`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> cep.anomaly(col.value).mad(rows=50)
            cep.anomaly(col.value).mad(rows=50, threshold=3.5, warm_up=30)
            >>> cep.anomaly(col.value).mad(span="1h", warm_up=10)
            cep.anomaly(col.value).mad(span='1h', threshold=3.5, warm_up=10)
        """
        recent = _recent(rows, span, usual=100)
        parameters = {"recent": recent, "threshold": _number(threshold, "threshold")}
        return self._judged("mad", {**parameters, "warm_up": _warm_up(warm_up, recent, usual=30)}, learn_anomalies)

    def cusum(self, *, drift: float = 0.5, threshold: float = 5, warm_up: int = 30) -> Anomaly:
        """Sums of deviations beyond a drift, up or down: levels that move by little, and stay.

        Values are measured by the mean and the standard deviation of the first rows of their key. After an alarm the
        sums begin anew at zero.

        Args:
            drift: Deviation that adds nothing, in standard deviations: half of the shift that matters.
            threshold: Greatest sum that is no anomaly.
            warm_up: The first rows of a key, two at least, that say what is usual and are not judged.

        Raises:
            TypeError: One is no number.
            PatternError: As for `ewma`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> cep.anomaly(col.value, by="machine").cusum(drift=0.25, warm_up=100)
            cep.anomaly(col.value, by='machine').cusum(drift=0.25, threshold=5, warm_up=100)
        """
        parameters = {"drift": _number(drift, "drift"), "threshold": _number(threshold, "threshold")}
        return self._judged("cusum", {**parameters, "warm_up": _count(warm_up, "warm_up")})

    def quantile_band(
        self,
        *,
        low: float = 0.01,
        high: float = 0.99,
        rows: int | None = None,
        span: Span | None = None,
        margin: float = 0,
        warm_up: int | None = None,
        learn_anomalies: bool = True,
    ) -> Anomaly:
        """How far beyond the band between two quantiles of recent rows, in widths of the band.

        Args:
            low: Where the band begins, between 0 and 1.
            high: Where it ends.
            rows: How many rows of the key before a row are recent; 1000 if no span is said.
            span: Instead, how long before it they may be.
            margin: Greatest score that is no anomaly.
            warm_up: Fewest recent rows that a row is judged by; 100 by default, or `rows` if that is less.
            learn_anomalies: Whether later rows are compared with an anomaly, too.

        Raises:
            TypeError: One is no number, or the span none of time.
            PatternError: As for `mad`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> cep.anomaly(col.value).quantile_band(low=0, high=1, rows=50, margin=0.5)
            cep.anomaly(col.value).quantile_band(low=0, high=1, rows=50, margin=0.5, warm_up=50)
        """
        recent = _recent(rows, span, usual=1000)
        band = {"low": _number(low, "low"), "high": _number(high, "high")}
        parameters = {**band, "recent": recent, "margin": _number(margin, "margin")}
        parameters["warm_up"] = _warm_up(warm_up, recent, usual=100)
        return self._judged("quantile_band", parameters, learn_anomalies)

    def rate_of_change(self, limit: float, *, per: Span = "1s") -> Anomaly:
        """How fast the value changes from the last row of an earlier time, in limits.

        Args:
            limit: The greatest change in the time `per` that is no anomaly.
            per: That time.

        Raises:
            TypeError: One is no number, or no span of time.
            PatternError: The time is not longer than zero (code ``invalid-within``), or as for `ewma`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> fast = cep.anomaly(col.celsius).rate_of_change(limit=2, per="1m")
            >>> readings = {"ts": [0, 30_000_000_000, 60_000_000_000], "celsius": [20, 20.5, 23]}
            >>> [row["score"] for row in cep.detect(fast, readings)]
            [2.5]
        """
        return self._judged(
            "rate_of_change", {"limit": _number(limit, "limit"), "per_ns": span_ns(per, "the time that a rate is per")}
        )

    def seasonal(
        self,
        period: Span = "7d",
        every: Span = "1h",
        *,
        offset: Span | None = None,
        alpha: float = 0.3,
        threshold: float = 3,
        warm_up: int = 2,
        learn_anomalies: bool = True,
    ) -> Anomaly:
        """As `ewma`, of the rows in the same part of every period: the same hour of the week.

        Args:
            period: How long a period is.
            every: How long a part of it is; a period is a whole number of parts.
            offset: Where periods begin, counted from 1970-01-01, which was a Thursday: weeks begin on Mondays with
                ``"4d"``. Negative as a timedelta.
            alpha: The weight of the newest row of a part, between 0 and 1.
            threshold: Greatest score that is no anomaly.
            warm_up: How many earlier periods have rows in a part before the first that is judged.
            learn_anomalies: Whether later rows are compared with an anomaly, too.

        Raises:
            TypeError: One is no number, or no span of time.
            PatternError: A span is not longer than zero (code ``invalid-within``), or as for `ewma`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> cep.anomaly(col.load, by="host").seasonal("1d", every="15m", warm_up=7)
            cep.anomaly(col.load, by='host').seasonal(period='1d', every='15m', alpha=0.3, threshold=3, warm_up=7)
        """
        length = span_ns(period, "a period")
        parameters: dict[str, Any] = {"period_ns": length, "every_ns": span_ns(every, "a part of a period")}
        # One period on, the parts are the same.
        if offset is not None and (shift := duration_ns(offset) % length):
            parameters["offset_ns"] = shift
        parameters |= {"alpha": _number(alpha, "alpha"), "threshold": _number(threshold, "threshold")}
        return self._judged("seasonal", {**parameters, "warm_up": _count(warm_up, "warm_up")}, learn_anomalies)

    def _judged(self, method: str, parameters: dict[str, Any], learn_anomalies: Any = True) -> Anomaly:
        if not checked_flag(learn_anomalies, "learn_anomalies"):
            parameters = {**parameters, "learn_anomalies": False}
        return Anomaly._of({**self._data, "method": {method: parameters}})


@final
class Anomaly(CompiledRule, AnomalyData):
    """A value of each row, and the method that says which of them stand out: a rule, to be asked of tables.

    Begin with `anomaly`, then say how values are judged: `AnomalyBuilder.ewma`, `AnomalyBuilder.mad`,
    `AnomalyBuilder.cusum`, `AnomalyBuilder.quantile_band`, `AnomalyBuilder.rate_of_change` or
    `AnomalyBuilder.seasonal`.

    Rules compare by what they say, ``repr`` is code that builds the rule again.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col
        >>> rule = cep.anomaly(col.value, by="sensor").mad(span="1h")
        >>> rule == cep.anomaly("value", by=["sensor"]).mad(span="60m", threshold=3.5)
        True
    """

    __slots__ = ()

    _NATIVE: ClassVar[Any] = NativeAnomaly
    _KEY: ClassVar[str] = "anomaly"

    def all_rows(self) -> Anomaly:
        """Reports every row that is judged or warms up, and whether it is an anomaly in a column ``is_anomaly``.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> rule = cep.anomaly(col.v).ewma(alpha=0.5, threshold=2.5, warm_up=2).all_rows()
            >>> [(row["score"], row["is_anomaly"]) for row in cep.detect(rule, {"ts": [1, 2, 3], "v": [0, 4, 8]})]
            [(None, False), (None, False), (3.0, True)]
        """
        return self._with(rows="all")

    def _values(self, replaced: Callable[[Node], Node]) -> dict[str, Any]:
        return {"value": replaced(self._data["value"])}


def anomaly(
    value: Expr | str,
    *,
    topic: str | None = None,
    by: str | Expr | Iterable[str | Expr] = (),
    where: Any = None,
    event_time: str | Expr | None = None,
) -> AnomalyBuilder:
    """Asks which values stand out from those of the rows before them; how is said next, as ``.mad(span="1h")``.

    Args:
        value: What is judged: a number of the row, as an expression or SQL text. Rows where it is NULL or NaN are
            passed over, as if they had not come; infinite values, and those beyond 1e150, are anomalies, and no later
            row is compared with them.
        topic: The topic that the rows are of, where there are several. By default any.
        by: Columns: a row is compared with rows of the same values alone, by name or as ``col.name``: one or several.
        where: A condition that rows must satisfy, as an expression or SQL text.
        event_time: The column of the event time, if it is always the same.

    Raises:
        TypeError: The value, a column or the condition is none.
        PatternError: The value or the condition asks for more than the row (code ``invalid-expression``).
        SqlError: A text is no SQL expression.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col
        >>> cep.anomaly(col.bytes / col.seconds, topic="flows", by=["host", "port"], where="seconds > 0").mad(rows=100)
        cep.anomaly(col.bytes / col.seconds, topic='flows', by=['host', 'port'], where=col.seconds > 0).mad(rows=100,
        threshold=3.5, warm_up=30)
    """
    context = "the value of an anomaly rule"
    if isinstance(value, str):
        node = parsed(value, "algebra_condition")
    elif isinstance(value, Expr):
        node = value._node
    else:
        raise TypeError(f"{context} is an expression or SQL text, not {type(value).__name__}")
    judged = {"value": checked_row_node(node, context)}
    return AnomalyBuilder._of({**judged, **source_data(AnomalyData._WHAT, topic, by, where, event_time)})


def _number(value: Any, what: str) -> float:
    """A finite number as a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{what} is a number, not {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise PatternError(f"{what} is a finite number, not {number}", code="invalid-expression", context=what)
    return number


def _count(value: Any, what: str) -> int:
    """A number from 1."""
    count = checked_count(value, what)
    if count is None:
        raise TypeError(f"{what} is a whole number, not None")
    return count


def _recent(rows: Any, span: Any, *, usual: int) -> dict[str, int]:
    """Which rows are recent."""
    if span is None:
        return {"rows": usual if rows is None else _count(rows, "rows")}
    if rows is not None:
        raise PatternError("rows are recent by number or by time: say rows= or span=, not both", code="invalid-clause")
    return {"span_ns": span_ns(span, "the span of recent rows")}


def _warm_up(value: Any, recent: dict[str, int], *, usual: int) -> int:
    return min(usual, recent.get("rows", usual)) if value is None else _count(value, "warm_up")
