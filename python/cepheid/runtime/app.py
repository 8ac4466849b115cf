"""The event-driven application: what comes is stored, matched, routed, processed, and acted upon."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, final

from cepheid.building import checked_name
from cepheid.connectors.protocol import Source
from cepheid.engine_options import Rule, named_rules
from cepheid.errors import AppError
from cepheid.runtime.app_parts import AppParts
from cepheid.runtime.app_test import AppTest
from cepheid.runtime.clock import Clock, VirtualClock, checked_app_clock
from cepheid.runtime.dispatcher import CURRENT_TASK
from cepheid.runtime.follower_spec import FollowerSpec
from cepheid.runtime.given import of_story
from cepheid.runtime.inbox import CommitTicket
from cepheid.runtime.policy import seconds
from cepheid.runtime.running import Running
from cepheid.runtime.settings import Settings
from cepheid.runtime.stopping import StopEvent, stop_signals
from cepheid.schema import EventSchema, SchemaRegistry
from cepheid.store.event_store import EventStore
from cepheid.store.position import Position

if TYPE_CHECKING:
    from cepheid.engine import Rules

__all__ = ["App"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

# How often it is looked whether all is dealt with, once all sources have ended.
_LOOK_AGAIN_S = 0.05


@final
class App(AppParts):
    """An event-driven application around a store.

    Events come in through sources and `publish`. Each batch of them is committed in one transaction, on the disk, with
    all that rules derive of it and with how far sources have been read. Handlers and actions follow the store: what
    a handler gives is published again, and committed with how far the handler has got; what an action has done is
    written down. After ``kill -9`` nothing that was acknowledged is lost, no event is derived twice, what handlers give
    is there once, and an action whose end was not written down is called again, with the idempotency key that it was
    called with before.

    Events have an envelope, in CloudEvents' names (`id`, `type`, `source`, `time`, ...), whose missing parts are filled
    in; the type of an event is the topic that it is stored in. Rules match by the column ``time``.

    Args:
        name: Its name: the source of what it derives, and part of idempotency keys.
        rules: Patterns, windows, anomaly rules, processors: as for `cepheid.Engine`. Each names the topics it reads.
        store: The path of its store, or an `EventStore` that is open (event time ``time``). None: one that is gone in
            the end.
        schemas: What events look like: each an `EventSchema`, or a `SchemaRegistry`. Types that have none take the
            columns of their first events.
        lateness: How far behind the greatest time of its topic an event may come. None: only the clock moves time.
        late: What becomes of one that comes later still: ``"side_output"``: it is stored in the topic ``<topic>.late``
            too; ``"drop"``: it is stored and not matched; ``"error"``: it is rejected.
        idle: A topic that is further behind the others than this, and `lateness`, does not hold them up: what then
            comes of it is late. None: it does, so that topics that are read from files are matched in step.
        future: An event that is dated further ahead of the clock than this is rejected (code ``future-event``), so that
            one broken clock does not make the events of all others late. None: no guard.
        quiet: While nothing has come for so long, event time follows the clock, so much and `lateness` behind it, and
            deadlines pass. Not after events of more than an hour ago, as when history is read. None: never.
        latency: What is aimed at from the arrival of an event to the disk. While there is little to do nothing waits;
            when there is much, events wait for others at most so long.
        workers: How many calls of handlers and actions may be under way at once, of all together.
        threads: How many threads match rules that have keys. None: one.
        memory_limit: Bytes that the state of rules may take, or text such as ``"64MB"``. An event that needs more is
            rejected (code ``state-limit``). None: no limit.
        checkpoint: How often what rules know is saved at most; what came since is matched once more after a crash.
        waiting_max: How many events may wait to be stored, before who brings more has to wait.
        depth_max: How many events may come of each other through handlers: what goes round in a circle ends there, as a
            dead letter that says which way round (code ``handler-circle``). None: any number.
        clock: What gives the time: an object with ``now()``, a datetime in UTC, and ``elapsed()``, seconds that never
            go back. None: the system's.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: A rule is impossible, or an argument out of range.
        AppError: A rule names no topic (code ``rule-topic``).

    Example:
        >>> import cepheid as cep
        >>> small = cep.event("small", "amount < 10", topic="payment").at_least(2)
        >>> fraud = small >> cep.event("big", "amount > 500", topic="payment")
        >>> app = cep.App("bank", fraud.partition_by("card").within("10m").named("fraud"))
        >>> told = []
        >>> @app.action("fraud")
        ... def tell(event):
        ...     told.append(event["card"])
        >>> with app.test() as test:
        ...     for amount in (3, 2, 900):
        ...         _ = test.publish("payment", card="c", amount=amount)
        >>> told
        ['c']
    """

    def __init__(
        self,
        name: str,
        rules: Rules = (),
        *,
        store: str | os.PathLike[str] | EventStore | None = None,
        schemas: Iterable[EventSchema] | SchemaRegistry = (),
        lateness: str | dt.timedelta | None = "0s",
        late: str = "side_output",
        idle: str | dt.timedelta | None = "0s",
        future: str | dt.timedelta | None = "1h",
        quiet: str | dt.timedelta | None = "10s",
        latency: str | dt.timedelta = "10ms",
        workers: int = 16,
        threads: int | None = None,
        memory_limit: int | str | None = None,
        checkpoint: str | dt.timedelta = "10s",
        waiting_max: int = 1_000_000,
        depth_max: int | None = 1_000,
        clock: Clock | None = None,
    ) -> None:
        self._name = checked_name(name, "app")
        if store is not None and not isinstance(store, (str, os.PathLike, EventStore)):
            raise TypeError(f"a store is a path or an EventStore, not {type(store).__name__}")
        self._store_given = store
        self._registry = schemas if isinstance(schemas, SchemaRegistry) else SchemaRegistry(schemas)
        self._settings = Settings.checked(
            lateness=lateness,
            late=late,
            idle=idle,
            future=future,
            quiet=quiet,
            latency=latency,
            workers=workers,
            threads=threads,
            memory_limit=memory_limit,
            checkpoint=checkpoint,
            waiting_max=waiting_max,
            depth_max=depth_max,
        )
        self._clock = checked_app_clock(clock)
        self._rules: dict[str, Rule] = {}
        self._specs: dict[str, FollowerSpec] = {}
        self._sources: dict[str, tuple[Source, str | None, Any]] = {}
        self._rules_path: tuple[Path, Any] | None = None
        self._running: Running | None = None
        self._test_folder: tempfile.TemporaryDirectory[str] | None = None
        for rule in named_rules(rules):
            self.add(rule)

    # What it is made of.

    @property
    def name(self) -> str:
        """Its name.

        Example:
            >>> import cepheid as cep
            >>> cep.App("shop").name
            'shop'
        """
        return self._name

    @property
    def schemas(self) -> SchemaRegistry:
        """What its events look like.

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop", schemas=[cep.EventSchema("order.paid", {"order": "int64"})])
            >>> app.schemas.types
            ('order.paid',)
        """
        return self._registry

    @property
    def store(self) -> EventStore:
        """Its store, while it runs.

        What rules read is to be appended by `publish`, so that rules see it.

        Raises:
            AppError: It does not run (code ``app-not-running``).

        Example:
            >>> import cepheid as cep
            >>> with cep.App("shop") as app:
            ...     app.store.end
            0
        """
        return self._running_now().store

    # Publishing.

    async def publish(self, events: Any, topic: str | None = None) -> tuple[Position, ...]:
        """Publishes events; they are on the disk, and rules have seen them, when it returns.

        What a handler publishes is of the story of the event that it was called for. It waits while more waits to be
        stored than the app takes.

        Args:
            events: An event as a dict with its ``type``, a list of them, a table in any form that `cepheid.match`
                takes, or `JsonText`.
            topic: Their type, if they do not say.

        Returns:
            Where they are in the store, one for each topic. What could not become an event is not among them: it is in
            the topic ``cepheid.rejected``.

        Raises:
            AppError: The app does not run (code ``app-not-running``), or has been closed.
            CepheidError: It has failed.

        Example:
            >>> import asyncio
            >>> import cepheid as cep
            >>> async def main():
            ...     async with cep.App("shop") as app:
            ...         return await app.publish({"type": "order.paid", "order": 7})
            >>> [(position.topic, position.events) for position in asyncio.run(main())]
            [('order.paid', 1)]
        """
        running = self._running_now()
        return await (await running.take_soon(self._told_of(events), topic=topic, source=self._name))

    def send(self, events: Any, topic: str | None = None) -> CommitTicket:
        """Sends events, from any thread, and does not wait for the disk: the ticket that it gives can be waited for.

        Args:
            events: As for `publish`.
            topic: As for `publish`.

        Raises:
            AppError: As for `publish`.

        Example:
            >>> import cepheid as cep
            >>> with cep.App("shop") as app:
            ...     ticket = app.send({"order": [7, 8]}, "order.paid")
            ...     ticket.wait()[0].events
            2
        """
        return self._take(events, topic, wait=True)

    def _take(self, events: Any, topic: str | None, *, wait: bool) -> CommitTicket:
        return self._running_now().take(self._told_of(events), topic=topic, source=self._name, wait=wait)

    @staticmethod
    def _told_of(events: Any) -> Any:
        """Events that say of which story they are, if they come of one."""
        task = CURRENT_TASK.get()
        return events if task is None else of_story(events, task)

    # Running.

    def run(self, *, grace: str | dt.timedelta = "10s") -> None:
        """Runs until it is told to stop, by SIGINT or SIGTERM, or until its sources have ended.

        Once all of them have, what came of them is dealt with first. An app without sources waits to be told.

        Args:
            grace: How long calls under way have to end when it is told to stop. What has not ended is called again
                after the next start.

        Raises:
            AppError: A source failed (code ``source-failed``), or it runs already (code ``app-running``).
            CepheidError: The store failed.

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("clock")
            >>> @app.source(topic="tick")
            ... def ticks():
            ...     yield {"count": 1}
            >>> app.run()
        """
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise AppError(
                f"app `{self._name}` is to run where an event loop runs already: say `async with app:` there",
                code="app-running",
            )
        asyncio.run(self._run(seconds(grace, "grace")))

    async def _run(self, grace_s: float) -> None:
        stop = StopEvent()
        with stop_signals(stop):
            running = self._start(asyncio.get_running_loop(), stop)
            try:
                while not stop.told and running.failure is None:
                    if running.sources_ended and await asyncio.to_thread(running.drain, 1.0):
                        break
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), _LOOK_AGAIN_S if running.sources_ended else None)
                    stop.clear()
            finally:
                await asyncio.to_thread(self._stop, grace_s)
        if running.failure is not None:
            raise running.failure

    def _start(self, loop: asyncio.AbstractEventLoop | None, stop: StopEvent | None = None) -> Running:
        self._check_stopped()
        running = Running(
            self._name,
            self._store_given,
            self._registry,
            dict(self._rules),
            self._settings,
            self._specs.values(),
            self._clock,
            folder=self._folder_now(),
            inline=False,
        )
        self._running = running
        if loop is not None and stop is not None:
            running.on_change(lambda: _set(loop, stop))
        running.start(self._sources.values(), loop)
        return running

    def _check_stopped(self) -> None:
        if self._running is not None:
            raise AppError(f"app `{self._name}` runs already", code="app-running")

    def _stop(self, grace_s: float = 10.0) -> None:
        running = self._running
        if running is None:
            return
        try:
            # What is under way may publish meanwhile.
            running.close(grace_s)
        finally:
            self._running = None

    def _stopped(self, kind: type[BaseException] | None) -> None:
        """Ends a block that it ran in; what has ended it before is said there, if nothing else is."""
        failure = None if self._running is None else self._running.failure
        self._stop()
        if failure is not None and kind is None:
            raise failure

    def __enter__(self) -> App:
        self._start(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped(kind)

    async def __aenter__(self) -> App:
        self._start(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stopped, kind)

    # In a test.

    def test(self, clock: VirtualClock | None = None) -> AppTest:
        """The app in a test: in virtual time, one thing after the other, with a store of the test's own.

        Args:
            clock: The clock, if the test wants to share it. None: one that begins in 2024.

        Raises:
            TypeError: It is no `VirtualClock`.

        Example:
            >>> import cepheid as cep
            >>> app = cep.App("shop")
            >>> @app.on("order.paid", retries=3)
            ... def unlucky(event):
            ...     raise OSError("no connection")
            >>> with app.test() as test:
            ...     _ = test.publish("order.paid", order=7)
            ...     test.advance("1h")
            ...     [(letter["handler"], letter["attempts"]) for letter in test.events("cepheid.deadletter")]
            [('unlucky', 4)]
        """
        if clock is not None and not isinstance(clock, VirtualClock):
            raise TypeError(f"a test has a VirtualClock, not {type(clock).__name__}")
        return AppTest._of(self, VirtualClock() if clock is None else clock)

    def _start_test(self, clock: VirtualClock) -> None:
        self._check_stopped()
        if self._test_folder is None:
            self._test_folder = tempfile.TemporaryDirectory(prefix="cepheid-test-", ignore_cleanup_errors=True)
        self._running = Running(
            self._name,
            Path(self._test_folder.name) / "events.db",
            self._registry,
            dict(self._rules),
            self._settings,
            self._specs.values(),
            clock,
            folder=self._folder_now(),
            inline=True,
        )

    def _restart_test(self) -> None:
        running = self._running_now()
        self._running = None
        running.abandon()
        self._start_test(running.clock)  # type: ignore[arg-type]

    def _end_test(self) -> None:
        try:
            self._stop()
        finally:
            if self._test_folder is not None:
                self._test_folder.cleanup()
                self._test_folder = None

    def __repr__(self) -> str:
        parts = (
            (self._rules, "rule"),
            (self._sources, "source"),
            (self._specs, "handler"),
        )
        told = ", ".join(f"{len(found)} {word}{'' if len(found) == 1 else 's'}" for found, word in parts)
        return f"<App {self._name!r}: {told}; {'running' if self._running is not None else 'not running'}>"


def _set(loop: asyncio.AbstractEventLoop, stop: StopEvent) -> None:
    # What ends when the loop has ended has nobody to tell.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)
