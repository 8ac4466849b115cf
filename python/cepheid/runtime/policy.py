"""When an attempt may be made: after a failure, within a rate, and not against a wall."""

from __future__ import annotations

import random
import re
from typing import Any, final

from cepheid.errors import PatternError
from cepheid.event_time import span_ns
from cepheid.names import invalid_choice

__all__ = ["CircuitBreaker", "RateLimit", "Retry", "checked_rate", "checked_retry", "seconds"]

_RATE = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*/\s*([a-z]+)\s*")
_PER = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DOUBLINGS_MAX = 62


def seconds(span: Any, what: str) -> float:
    """A span of time, text or a timedelta, in seconds."""
    return span_ns(span, what) / 1e9


@final
class Retry:
    """How often something is tried, and how long is waited in between.

    The delay doubles from `first` up to `greatest`, and each is drawn from its upper half, so that those who failed
    together do not come back together.

    Args:
        times: How often it is tried again: 0 makes one attempt, 3 makes four.
        first: The delay after the first failure: text such as ``"1s"`` or a timedelta.
        greatest: The greatest delay.

    Raises:
        TypeError: `times` is no whole number.
        PatternError: It is negative, or a delay is no span (code ``invalid-clause`` or ``invalid-duration``).

    Example:
        >>> import cepheid as cep
        >>> retry = cep.Retry(5, first="1s", greatest="10s")
        >>> [0.5 * most <= retry.delay(failures) <= most for failures, most in [(1, 1), (2, 2), (5, 10)]]
        [True, True, True]
    """

    __slots__ = ("_first_s", "_greatest_s", "times")

    #: How often it is tried again.
    times: int

    def __init__(self, times: int = 5, *, first: Any = "1s", greatest: Any = "5m") -> None:
        if isinstance(times, bool) or not hasattr(times, "__index__"):
            raise TypeError(f"retries are a whole number, not {type(times).__name__}")
        self.times = int(times.__index__())
        if not 0 <= self.times <= 1_000_000:
            raise PatternError(f"retries are a number from 0, not {times}", code="invalid-clause", context="retries")
        self._first_s = seconds(first, "first")
        self._greatest_s = seconds(greatest, "greatest")

    def delay(self, failures: int) -> float:
        """How long to wait after so many failures, in seconds.

        Args:
            failures: How many there were, from 1.

        Example:
            >>> import cepheid as cep
            >>> cep.Retry(first="0s").delay(3)
            0.0
        """
        longest = min(self._greatest_s, self._first_s * 2.0 ** min(failures - 1, _DOUBLINGS_MAX))
        return longest * (0.5 + 0.5 * random.random())

    def __repr__(self) -> str:
        return f"Retry({self.times}, first='{self._first_s:g}s', greatest='{self._greatest_s:g}s')"


@final
class RateLimit:
    """So many starts in a span of time, evenly: a bucket that fills with the clock and holds a second's worth.

    Args:
        per_second: How many a second.
    """

    __slots__ = ("_filled_at", "_level", "_per_second", "_room")

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._room = max(1.0, per_second)
        self._level = self._room
        self._filled_at: float | None = None

    def _fresh(self) -> RateLimit:
        """One of the same rate that nothing has started under: each follower of each run has its own."""
        return RateLimit(self._per_second)

    def wait(self, elapsed: float) -> float:
        """How long until one may start, in seconds; 0: now."""
        self._fill(elapsed)
        # What rounding leaves out of a whole one is none.
        return 0.0 if self._level >= 1.0 - 1e-9 else (1.0 - self._level) / self._per_second

    def take(self, elapsed: float) -> None:
        """Counts one that starts."""
        self._fill(elapsed)
        self._level -= 1.0

    def _fill(self, elapsed: float) -> None:
        if self._filled_at is not None:
            gained = max(0.0, elapsed - self._filled_at) * self._per_second
            self._level = min(self._room, self._level + gained)
        self._filled_at = elapsed


@final
class CircuitBreaker:
    """Stops attempts at what fails again and again, and lets one through after a pause to see.

    Args:
        failures: After so many in a row it opens.
        pause: How long it stays open: text or a timedelta.

    Raises:
        PatternError: `failures` is below 1, or `pause` no span.

    Example:
        >>> import cepheid as cep
        >>> breaker = cep.CircuitBreaker(failures=2, pause="30s")
        >>> breaker.failed(0.0), breaker.failed(1.0)
        (False, True)
        >>> breaker.wait(11.0)
        20.0
    """

    __slots__ = ("_failed", "_failures", "_open_until", "_pause_s", "_probing", "opened")

    #: How often it has opened.
    opened: int

    def __init__(self, failures: int = 5, *, pause: Any = "30s") -> None:
        if isinstance(failures, bool) or not isinstance(failures, int):
            raise TypeError(f"failures are a whole number, not {type(failures).__name__}")
        if failures < 1:
            raise PatternError(
                f"a breaker opens after 1 failure at least, not {failures}", code="invalid-clause", context="failures"
            )
        self._failures = failures
        self._pause_s = seconds(pause, "pause")
        self._failed = 0
        self._open_until: float | None = None
        self._probing = False
        self.opened = 0

    def _fresh(self) -> CircuitBreaker:
        """One of the same settings that has seen nothing: each action has its own."""
        made = object.__new__(CircuitBreaker)
        made._failures, made._pause_s = self._failures, self._pause_s
        made._failed, made._open_until, made._probing, made.opened = 0, None, False, 0
        return made

    def wait(self, elapsed: float) -> float | None:
        """How long until an attempt may be made, in seconds; 0: now; None: not before the one under way has ended.

        Args:
            elapsed: The time, in seconds of the app's clock.

        Example:
            >>> import cepheid as cep
            >>> cep.CircuitBreaker().wait(0.0)
            0.0
        """
        if self._open_until is None:
            return 0.0
        if self._probing:
            return None
        return max(0.0, self._open_until - elapsed)

    def started(self) -> None:
        """An attempt starts; after a pause it is the one that shows whether to go on.

        Example:
            >>> import cepheid as cep
            >>> cep.CircuitBreaker().started()
        """
        if self._open_until is not None:
            self._probing = True

    def succeeded(self) -> None:
        """An attempt has succeeded: it closes.

        Example:
            >>> import cepheid as cep
            >>> cep.CircuitBreaker().succeeded()
        """
        self._failed, self._open_until, self._probing = 0, None, False

    def _unasked(self) -> None:
        """What started has not been attempted after all."""
        self._probing = False

    def failed(self, elapsed: float) -> bool:
        """An attempt has failed; gives whether this opens it.

        Args:
            elapsed: The time, in seconds of the app's clock.

        Example:
            >>> import cepheid as cep
            >>> cep.CircuitBreaker(failures=1).failed(0.0)
            True
        """
        self._failed += 1
        opens = self._probing or (self._open_until is None and self._failed >= self._failures)
        self._probing = False
        if opens:
            self._open_until = elapsed + self._pause_s
            self.opened += 1
        return opens

    def __repr__(self) -> str:
        return f"CircuitBreaker({self._failures}, pause='{self._pause_s:g}s')"


def checked_retry(retries: Any) -> Retry:
    """Retries: a number, or how exactly."""
    return retries if isinstance(retries, Retry) else Retry(retries)


def checked_rate(rate: Any) -> RateLimit | None:
    """A rate: a number a second, text such as ``"10/s"`` or ``"100/m"``, or None for none.

    Raises:
        TypeError: It is nothing of these.
        PatternError: It is not above zero, or spells no rate (code ``invalid-clause``).
    """
    if rate is None:
        return None
    if isinstance(rate, str):
        spelled = _RATE.fullmatch(rate.lower())
        if spelled is None:
            raise PatternError(
                f"`{rate[:50]}` is no rate; write a number and what it is in: 10/s, 100/m, 5000/h",
                code="invalid-clause",
                context="rate",
            )
        if spelled[2] not in _PER:
            raise invalid_choice("rate", spelled[2], list(_PER))
        per_second = float(spelled[1]) / _PER[spelled[2]]
    elif isinstance(rate, (int, float)) and not isinstance(rate, bool):
        per_second = float(rate)
    else:
        raise TypeError(f"a rate is a number a second or text such as '10/s', not {type(rate).__name__}")
    if not 0 < per_second < float("inf"):
        raise PatternError(f"a rate is above zero, not {rate}", code="invalid-clause", context="rate")
    return RateLimit(per_second)
