"""What has become of what a cache was asked for."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CacheStats"]


class CacheStats(NamedTuple):
    """What has become of what a cache was asked for, since it was made.

    Attributes:
        hits: Asked for, and known.
        misses: Asked for, and not known: loaded, or waited for while another loaded it.
        loads: Loads that gave a value; in loads of many each key counts.
        failures: Loads that raised.
        stale: Asked for, and given although its time was over, as the load failed.
        expired: Values that went because their time was over.
        evicted: Values that went because there were too many; those that had not been asked for longest.
        kept: Values that are known now.

    Example:
        >>> from cepheid.runtime.cache import Cache
        >>> squares = Cache(lambda number: number * number)
        >>> [squares[3], squares[3], squares[4]]
        [9, 9, 16]
        >>> squares.stats().hits, squares.stats().misses, round(squares.stats().hit_rate, 2)
        (1, 2, 0.33)
    """

    hits: int
    misses: int
    loads: int
    failures: int
    stale: int
    expired: int
    evicted: int
    kept: int

    @property
    def hit_rate(self) -> float:
        """The share of hits, from 0 to 1; 0 if nothing has been asked for.

        Example:
            >>> from cepheid.runtime.cache_stats import CacheStats
            >>> CacheStats(hits=3, misses=1, loads=1, failures=0, stale=0, expired=0, evicted=0, kept=1).hit_rate
            0.75
        """
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0
