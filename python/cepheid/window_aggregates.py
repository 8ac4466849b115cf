"""Aggregates that windows know and patterns do not."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cepheid import building

if TYPE_CHECKING:
    from cepheid.expr import Expr


class WindowAggregates:
    """What a window is asked about an `Expr` beside the aggregates of matches. In a pattern they are refused."""

    __slots__ = ()

    def median(self) -> Expr:
        """The number in the middle of a window, or halfway between the two in the middle: a float; NULL of none.

        Exact: it keeps every number of the window. NaN is greater than every other number.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> window = cep.window(col.price.median(), by="symbol").tumbling("1m")
            >>> cep.aggregate(window, {"ts": [1, 2, 3], "symbol": ["a", "a", "a"], "price": [7, 1, 3]}).to_arrow()[
            ...     "price_median"
            ... ].to_pylist()
            [3.0]
        """
        return building.aggregate("median", building.operand(self))

    def quantile(self, q: float) -> Expr:
        """The number below which a share of a window's numbers lies, linear between neighbours: a float; NULL of none.

        As DuckDB's ``quantile_cont`` and Polars' ``quantile(q, interpolation="linear")``. Exact: it keeps every number
        of the window, once for all quantiles of one expression.

        Args:
            q: The share, from 0 (the least) to 1 (the greatest).

        Raises:
            TypeError: `q` is no constant.
            PatternError: It is no number from 0 to 1 (code ``invalid-expression``, when the window gets its frame).

        Example:
            >>> from cepheid import col
            >>> col.latency.quantile(0.99)
            col.latency.quantile(0.99)
        """
        return building.aggregate("quantile", building.operand(self), building.operand(q))

    def top_k(self, k: int) -> Expr:
        """The most frequent values of a window, most frequent first, as a list; NULL of none.

        Among values that are equally frequent the first to come stands first. Exact.

        Args:
            k: How many at most, from 1 to 10,000.

        Raises:
            TypeError: `k` is no constant.
            PatternError: It is no such number (code ``invalid-expression``, when the window gets its frame).

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> window = cep.window(pages=col.page.top_k(2)).tumbling("1h")
            >>> list(cep.aggregate(window, {"ts": [1, 2, 3, 4], "page": ["/", "/a", "/b", "/b"]}))[0]["pages"]
            ['/b', '/']
        """
        return building.aggregate("top_k", building.operand(self), building.operand(k))

    def ewma(self, alpha: float | None = None, *, half_life: str | dt.timedelta | None = None) -> Expr:
        """The exponentially weighted mean of a window's numbers, by rows or by time: a float; NULL of none.

        With `alpha`, by rows: the first number, and from then on ``alpha * number + (1 - alpha) * mean``, as Polars'
        ``ewm_mean(alpha=alpha, adjust=False, ignore_nulls=True)``. With `half_life`, by event time: a mean weighted by
        age, in which a number counts half as much as one that is so much younger, as pandas'
        ``ewm(halflife=half_life, times=...).mean()``; numbers of one time count the same.

        Args:
            alpha: The share of each new number, above 0 and at most 1.
            half_life: The time in which a weight halves, longer than zero, instead.

        Raises:
            TypeError: `alpha` is no constant, `half_life` no span of time, or both or neither are given.
            PatternError: `alpha` is no such number (code ``invalid-expression``, when the window gets its frame), or
                `half_life` is not longer than zero (code ``invalid-within``).

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> window = cep.window(smooth=col.price.ewma(0.5)).rows(3)
            >>> list(cep.aggregate(window, {"ts": [1, 2, 3], "price": [2.0, 4.0, 8.0]}))[0]["smooth"]
            5.5
            >>> window = cep.window(smooth=col.price.ewma(half_life="1s")).rows(2)
            >>> list(cep.aggregate(window, {"ts": [0, 1_000_000_000], "price": [2.0, 5.0]}))[0]["smooth"]
            4.0
        """
        if (alpha is None) == (half_life is None):
            raise TypeError("ewma() takes a share of each new number, or half_life=<span of time>")
        weight = building.operand(alpha) if half_life is None else building.span_operand(half_life, "a half-life")
        return building.aggregate("ewma", building.operand(self), weight)

    def approx_top_k(self, k: int, error: float = 0.001) -> Expr:
        """About the most frequent values of a window, most frequent first, as a list; NULL of none.

        Misra and Gries' counters, ``1 / error`` of them with room for as many again, each some 80 bytes: a frequency is
        too small by at most `error` times the rows of the window, so values that are more frequent than that are among
        those counted, and with no more than ``2 / error`` different values the answer is `top_k`'s. In sliding windows
        and windows by rows that overlap, whose rows share what is counted, it is `top_k`, and takes as much room.

        Args:
            k: How many at most, from 1 to 10,000, and to ``1 / error``.
            error: From 0.0001 to 0.1.

        Raises:
            TypeError: One is no constant.
            PatternError: One is no such number (code ``invalid-expression``, when the window gets its frame).

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> window = cep.window(pages=col.page.approx_top_k(1)).tumbling("1h")
            >>> list(cep.aggregate(window, {"ts": [1, 2, 3], "page": ["/", "/b", "/b"]}))[0]["pages"]
            ['/b']
        """
        constants = [building.operand(k)] if error == 0.001 else [building.operand(k), building.operand(error)]
        return building.aggregate("approx_top_k", building.operand(self), *constants)

    def approx_n_unique(self) -> Expr:
        """About how many different values, NULL apart, a window has, in 4 KiB at most; `n_unique` keeps them all.

        HyperLogLog: the standard error is 1.6 %, so that 95 of 100 answers are within 3.2 % of the truth. Up to 256
        values are counted exactly. The same rows give the same answer, however they are cut.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> window = cep.window(users=col.user.approx_n_unique()).tumbling("1h")
            >>> list(cep.aggregate(window, {"ts": [1, 2, 3], "user": ["a", "b", "a"]}))[0]["users"]
            2
        """
        return building.aggregate("approx_n_unique", building.operand(self))

    def approx_quantile(self, q: float, error: float = 0.01) -> Expr:
        """About the number below which a share of a window's numbers lies: a float; NULL of none.

        DDSketch: `quantile`, of neighbours that are each within a relative error of the true ones, in some hundred
        buckets for each power of ten (at 1 %) instead of every number. In sliding windows it takes as much room as
        `quantile`, which is exact.

        Args:
            q: The share, from 0 (the least) to 1 (the greatest).
            error: The relative error, from 0.0001 to 0.5.

        Raises:
            TypeError: One is no constant.
            PatternError: One is no such number (code ``invalid-expression``, when the window gets its frame).

        Example:
            >>> from cepheid import col
            >>> col.latency.approx_quantile(0.99, error=0.05)
            col.latency.approx_quantile(0.99, 0.05)
        """
        constants = [building.operand(q)] if error == 0.01 else [building.operand(q), building.operand(error)]
        return building.aggregate("approx_quantile", building.operand(self), *constants)
