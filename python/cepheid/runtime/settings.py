"""What an app is told when it is made, checked."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from cepheid.engine_options import checked_late, memory_bytes
from cepheid.errors import PatternError
from cepheid.event_time import span_ns
from cepheid.options import checked_count

__all__ = ["Settings"]


def _span(value: Any, what: str) -> dt.timedelta:
    return dt.timedelta(microseconds=span_ns(value, what) // 1_000)


@dataclass(frozen=True, slots=True)
class Settings:
    """See `cepheid.App`, whose arguments these are.

    Attributes:
        lateness: How late events may come; None: only the clock moves event time.
        late: What becomes of those that come later.
        idle: How far a topic may be behind the others and hold them up; None: as far as it likes.
        future: How far ahead of the clock an event may be dated; None: as far as it likes.
        quiet: How long nothing comes before event time goes on with the clock; None: it does not.
        latency_s: The latency from arrival to the disk that is aimed at, in seconds.
        workers: How many calls may be under way at once.
        threads: How many threads match rules; None: one.
        memory_limit: Bytes that the state of rules may take, or None.
        checkpoint_s: How often what rules know is saved, in seconds.
        waiting_max: How many events may wait to be stored.
        depth_max: How many events may come of each other through handlers; None: any number.
    """

    lateness: dt.timedelta | None
    late: Any
    idle: dt.timedelta | None
    future: dt.timedelta | None
    quiet: dt.timedelta | None
    latency_s: float
    workers: int
    threads: int | None
    memory_limit: int | None
    checkpoint_s: float
    waiting_max: int
    depth_max: int | None

    @classmethod
    def checked(
        cls,
        *,
        lateness: Any,
        late: Any,
        idle: Any,
        future: Any,
        quiet: Any,
        latency: Any,
        workers: Any,
        threads: Any,
        memory_limit: Any,
        checkpoint: Any,
        waiting_max: Any,
        depth_max: Any,
    ) -> Settings:
        """The settings that arguments spell.

        Raises:
            TypeError: One is of the wrong type.
            PatternError: One is out of range, or spells nothing.
        """
        checked_late(late)
        workers_checked, waiting_checked = checked_count(workers, "workers"), checked_count(waiting_max, "waiting_max")
        if workers_checked is None or waiting_checked is None:
            raise TypeError("workers and waiting_max are whole numbers, not NoneType")
        if lateness is None and quiet is None:
            raise PatternError(
                "with lateness=None only the clock moves event time, and with quiet=None it does not: say quiet='10s'",
                code="invalid-clause",
                context="quiet",
            )
        return cls(
            lateness=None if lateness is None else _span(lateness, "lateness"),
            late=late,
            idle=None if idle is None else _span(idle, "idle"),
            future=None if future is None else _span(future, "future"),
            quiet=None if quiet is None else _span(quiet, "quiet"),
            latency_s=_span(latency, "latency").total_seconds(),
            workers=workers_checked,
            threads=checked_count(threads, "threads"),
            memory_limit=memory_bytes(memory_limit),
            checkpoint_s=_span(checkpoint, "checkpoint").total_seconds(),
            waiting_max=waiting_checked,
            depth_max=checked_count(depth_max, "depth_max"),
        )

    def engine_options(self) -> dict[str, Any]:
        """What rules are told."""
        return {
            "lateness": self.lateness,
            "late": self.late,
            "idle": self.idle,
            "threads": self.threads,
            "memory_limit": self.memory_limit,
        }
