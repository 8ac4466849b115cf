"""What an app has done, and what it is at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from cepheid.engine_stats import EngineStats
from cepheid.runtime.batching import BatchStats

__all__ = ["AppStats", "HandlerStats"]


@final
@dataclass(frozen=True, slots=True)
class HandlerStats:
    """What a handler or an action has done since the app was started.

    Attributes:
        name: Its name.
        position: Everything before it has been dealt with.
        waiting: How many events have been read and not been dealt with.
        running: How many calls are under way.
        done: How many calls succeeded.
        failed: How many did not.
        retried: How many of those are made again.
        timed_out: How many of those took too long.
        dead: How many events were given up.
        repeated: How many were not needed, as what they are idempotent by had been dealt with.
        breaker_opened: How often its breaker has opened.

    Example:
        >>> import cepheid as cep
        >>> app = cep.App("shop")
        >>> @app.on("order.paid")
        ... def thank(event):
        ...     return None
        >>> with app.test() as test:
        ...     _ = test.publish("order.paid", order=7)
        ...     app.stats().handlers["thank"].done
        1
    """

    name: str
    position: int
    waiting: int
    running: int
    done: int
    failed: int
    retried: int
    timed_out: int
    dead: int
    repeated: int
    breaker_opened: int


@final
@dataclass(frozen=True, slots=True)
class AppStats:
    """What an app has done since it was started, and what it is at.

    Attributes:
        events: How many events have been stored.
        derived: How many events rules have derived.
        rejected: What could not become an event, or be matched.
        commits: Transactions of the store.
        checkpoints: How often what rules know has been saved.
        waiting: How many events wait to be stored.
        end: The position after the last event of the store.
        batches: How batches are made at the moment.
        handlers: Handlers and actions, by name.
        rules: What rules have seen and hold.
        missing_history: Rules that have begun anew without events that their state may depend on, as the store keeps
            them no longer: by rule, by topic how many of its first events are gone.

    Example:
        >>> import cepheid as cep
        >>> app = cep.App("shop")
        >>> with app.test() as test:
        ...     _ = test.publish("order.paid", order=7)
        ...     stats = app.stats()
        ...     (stats.events, stats.rejected, stats.waiting)
        (1, 0, 0)
    """

    events: int
    derived: int
    rejected: int
    commits: int
    checkpoints: int
    waiting: int
    end: int
    batches: BatchStats
    handlers: dict[str, HandlerStats]
    rules: EngineStats
    missing_history: dict[str, dict[str, int]]
