"""What time it is, for an app: the system's, or one that a test moves."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any, Protocol, final

from cepheid.errors import AppError
from cepheid.event_time import span_ns

__all__ = ["Clock", "SystemClock", "VirtualClock"]


class Clock(Protocol):
    """What an app asks for the time."""

    def now(self) -> dt.datetime:
        """The time of day, in UTC. It may step back, as clocks are set."""

    def elapsed(self) -> float:
        """Seconds since some moment, which never go back: what delays are measured by."""


@final
class SystemClock:
    """The clock of the system."""

    __slots__ = ()

    def now(self) -> dt.datetime:
        """The time of day, in UTC."""
        return dt.datetime.now(dt.UTC)

    def elapsed(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()


@final
class VirtualClock:
    """A clock that stands still until it is moved: for tests.

    Args:
        start: What time it is at first; a naive one is UTC.

    Example:
        >>> import datetime as dt
        >>> from cepheid.runtime.clock import VirtualClock
        >>> clock = VirtualClock(dt.datetime(2024, 1, 1))
        >>> clock.advance("90s")
        >>> clock.now().isoformat()
        '2024-01-01T00:01:30+00:00'
    """

    __slots__ = ("_now", "_start")

    def __init__(self, start: dt.datetime = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)) -> None:
        if not isinstance(start, dt.datetime):
            raise TypeError(f"a clock starts at a datetime, not {type(start).__name__}")
        self._start = start if start.tzinfo is not None else start.replace(tzinfo=dt.UTC)
        self._now = self._start

    def now(self) -> dt.datetime:
        """The time that it was moved to.

        Example:
            >>> from cepheid.runtime.clock import VirtualClock
            >>> VirtualClock().now().year
            2024
        """
        return self._now

    def elapsed(self) -> float:
        """Seconds since its start.

        Example:
            >>> from cepheid.runtime.clock import VirtualClock
            >>> VirtualClock().elapsed()
            0.0
        """
        return (self._now - self._start).total_seconds()

    def advance(self, by: str | dt.timedelta) -> None:
        """Lets time pass.

        Args:
            by: How long: text such as ``"5m"``, or a timedelta; whole microseconds of it count.

        Raises:
            PatternError: It is negative, or spells no span.

        Example:
            >>> from cepheid.runtime.clock import VirtualClock
            >>> clock = VirtualClock()
            >>> clock.advance("1h")
            >>> clock.elapsed()
            3600.0
        """
        self._now += dt.timedelta(microseconds=span_ns(by, "advance()") // 1_000)

    def advance_to(self, time: dt.datetime) -> None:
        """Moves it to a time, which must not be before its own.

        Args:
            time: A datetime; a naive one is UTC.

        Raises:
            AppError: It is before (code ``clock-backwards``).

        Example:
            >>> import datetime as dt
            >>> from cepheid.runtime.clock import VirtualClock
            >>> clock = VirtualClock()
            >>> clock.advance_to(dt.datetime(2024, 1, 2))
            >>> clock.elapsed()
            86400.0
        """
        time = time if time.tzinfo is not None else time.replace(tzinfo=dt.UTC)
        if time < self._now:
            raise AppError(
                f"the clock is at {self._now.isoformat()} and does not go back to {time.isoformat()}",
                code="clock-backwards",
            )
        self._now = time


def checked_app_clock(clock: Any) -> Clock:
    """A clock: one that has both methods, or None for that of the system."""
    if clock is None:
        return SystemClock()
    if not callable(getattr(clock, "now", None)) or not callable(getattr(clock, "elapsed", None)):
        raise TypeError(f"a clock has now() and elapsed(), as VirtualClock has; this is {type(clock).__name__}")
    found: Clock = clock
    return found
