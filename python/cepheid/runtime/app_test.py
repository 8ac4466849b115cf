"""An app in a test: everything happens at once, in virtual time, in the thread of the test."""

from __future__ import annotations

import datetime as dt
from types import TracebackType
from typing import TYPE_CHECKING, Any, final

from cepheid.errors import AppError
from cepheid.event_time import span_ns
from cepheid.runtime.clock import VirtualClock
from cepheid.runtime.given import event_dicts
from cepheid.runtime.own_topics import OWN_PREFIX
from cepheid.store.rows import OWN_COLUMNS, read_runs

if TYPE_CHECKING:
    from cepheid.runtime.app import App
    from cepheid.store.event_store import EventStore
    from cepheid.store.position import Position

__all__ = ["AppTest"]

# What is due so often at one moment is due for ever.
_ROUNDS_MAX = 10_000_000


@final
class AppTest:
    """An app that runs in a test. `cepheid.App.test` makes it.

    Nothing happens by itself: `publish` stores an event, has it matched, and calls whoever is to be called, before it
    returns. Time stands still until `advance`, which goes from one moment at which something is due to the next:
    retries, deadlines, pauses of breakers. The store is the test's own, gone in the end. Sources do not start. Handlers
    and actions are called as they are: the test replaces what it does not want called.

    Example:
        >>> import cepheid as cep
        >>> large = cep.event("large", "amount > 500", topic="order").select(order="large.order")
        >>> app = cep.App("shop", {"big": large})
        >>> @app.on("big")
        ... def thank(event):
        ...     return {"type": "letter", "order": event["order"]}
        >>> with app.test() as test:
        ...     _ = test.publish({"type": "order", "order": 7, "amount": 900})
        ...     [event["order"] for event in test.events("letter")]
        [7]
    """

    __slots__ = ("_app", "_clock")

    _app: App
    _clock: VirtualClock

    def __init__(self) -> None:
        raise TypeError("a test of an app begins with App.test()")

    @classmethod
    def _of(cls, app: App, clock: VirtualClock) -> AppTest:
        test = object.__new__(cls)
        test._app = app
        test._clock = clock
        return test

    @property
    def now(self) -> dt.datetime:
        """The virtual time.

        Example:
            >>> import cepheid as cep
            >>> cep.App("shop").test().now.year
            2024
        """
        return self._clock.now()

    @property
    def store(self) -> EventStore:
        """The store of the test.

        Example:
            >>> import cepheid as cep
            >>> with cep.App("shop").test() as test:
            ...     _ = test.publish({"type": "order"})
            ...     test.store.end
            1
        """
        return self._app.store

    def publish(self, events: Any, topic: str | None = None, **columns: Any) -> tuple[Position, ...]:
        """Publishes events, as `App.publish` does, and goes on until nothing is to be done at this time.

        Args:
            events: Events, as for `App.publish`; or, as text, the type of one whose columns follow.
            topic: Their type, if they do not say.
            columns: The columns of one event.

        Returns:
            Where they are in the store.

        Example:
            >>> import cepheid as cep
            >>> with cep.App("shop").test() as test:
            ...     [position.topic for position in test.publish("order.paid", order=7)]
            ['order.paid']
        """
        if isinstance(events, str):
            topic, events = events, dict(columns)
        elif columns:
            raise TypeError("columns stand beside the type of one event: publish('order.paid', order=7)")
        running = self._app._running_now()
        ticket = self._app._take(events, topic, wait=False)
        positions = ticket.wait()
        running.run_round_until_idle()
        return positions

    def advance(self, by: str | dt.timedelta | None = None, *, to: dt.datetime | None = None) -> None:
        """Lets time pass: what falls due meanwhile happens when it is due.

        Args:
            by: How long: text such as ``"5m"``, or a timedelta.
            to: Instead, until when.

        Raises:
            TypeError: Neither or both are given.
            AppError: `to` is in the past (code ``clock-backwards``).

        Example:
            >>> import cepheid as cep
            >>> paid = cep.event("paid", topic="order.paid")
            >>> late = (cep.event("made", topic="order.made") >> cep.absent(paid, for_="1h")).named("unpaid")
            >>> with cep.App("shop", late).test() as test:
            ...     _ = test.publish("order.made", order=7)
            ...     test.advance("2h")
            ...     len(test.events("unpaid"))
            1
        """
        if (by is None) == (to is None):
            raise TypeError("advance() takes either how long, or to=...")
        if to is None:
            end = self._clock.now() + dt.timedelta(microseconds=span_ns(by, "advance()") // 1_000)
        else:
            end = to if to.tzinfo is not None else to.replace(tzinfo=dt.UTC)
            if end < self._clock.now():
                # Says so.
                self._clock.advance_to(end)
        running = self._app._running_now()
        for _ in range(_ROUNDS_MAX):
            wait = running.run_round_until_idle()
            left = (end - self._clock.now()).total_seconds()
            if left <= 0:
                return
            if wait is None or wait >= left:
                self._clock.advance_to(end)
            else:
                # A microsecond at least, or time would stand still.
                self._clock.advance(dt.timedelta(microseconds=max(1, round(wait * 1e6))))
        raise AppError("something is due again and again, and time does not go on", code="no-progress")

    def events(self, topics: str = ">", *, where: Any = None) -> list[dict[str, Any]]:
        """The events of topics, as dicts, in the order in which they were stored.

        Args:
            topics: A topic, or a pattern. Topics of the app's own, ``cepheid.*``, are named by patterns that begin so.
            where: A condition on events.

        Example:
            >>> import cepheid as cep
            >>> with cep.App("shop").test() as test:
            ...     _ = test.publish("order.paid", order=7)
            ...     [event["order"] for event in test.events("order.*")]
            [7]
        """
        found = read_runs(self.store, [topics], where=where)
        return [
            event
            for topic, rows in found.runs
            if topics.startswith(OWN_PREFIX) or not topic.startswith(OWN_PREFIX)
            for event in event_dicts(rows.drop_columns(list(OWN_COLUMNS)))
        ]

    def restart(self) -> None:
        """Ends the app as a crash would, and starts it again on the same store: what was not on the disk is lost.

        Example:
            >>> import cepheid as cep
            >>> with cep.App("shop").test() as test:
            ...     _ = test.publish("order.paid", order=7)
            ...     test.restart()
            ...     test.store.end
            1
        """
        self._app._restart_test()

    def __enter__(self) -> AppTest:
        try:
            self._app._start_test(self._clock)
        except BaseException:
            # Its folder goes with it, unless somebody else runs the app.
            if self._app._running is None:
                self._app._end_test()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._app._end_test()

    def __repr__(self) -> str:
        return f"<AppTest of {self._app.name!r} at {self._clock.now().isoformat()}>"
