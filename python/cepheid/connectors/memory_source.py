"""A source that events are handed to within the process."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, final

from cepheid.connectors.arguments import checked_source_name
from cepheid.connectors.protocol import Feed, Ticket
from cepheid.errors import AppError

if TYPE_CHECKING:
    from cepheid.store.position import Position

__all__ = ["MemorySource"]

# How often it is looked whether the app stops, where nothing can wake who waits.
_LOOK_SECONDS = 0.1


@final
class MemorySource:
    """A way into an app for code of the same process: `send` from any thread, `send_async` from coroutines.

    Nothing is kept in it. What is sent is in the hands of the app when the call returns, and on the disk when the
    ticket says so; a call waits while the app has more than it can take.

    Args:
        name: What offsets are saved under, if they are sent.

    Raises:
        TypeError: The name is no text.
        AppError: The name is none (code ``source-option``).

    Example:
        >>> import cepheid as cep
        >>> from cepheid.connectors import MemorySource
        >>> source = MemorySource("orders")
        >>> source.close()
        >>> try:
        ...     source.send([{"order": 7}], topic="order.created")
        ... except cep.AppError as error:
        ...     print(error.code)
        source-closed
    """

    __slots__ = ("_changed", "_closed", "_feed", "_name", "_stopped")

    def __init__(self, name: str = "memory") -> None:
        self._name = checked_source_name(name)
        self._changed = threading.Condition()
        self._feed: Feed | None = None
        # Closed for good; or only since the app that ran it has stopped.
        self._closed = self._stopped = False

    @property
    def name(self) -> str:
        """What offsets are saved under.

        Example:
            >>> from cepheid.connectors import MemorySource
            >>> MemorySource("orders").name
            'orders'
        """
        return self._name

    def send(
        self, data: Any, *, topic: str | None = None, offset: bytes | None = None, timeout: float | None = None
    ) -> Ticket:
        """Sends events. Waits until the app runs, and while it has more than it can take.

        Args:
            data: Whatever `Feed.send` takes: a table in any form, or `cepheid.schema.JsonText`.
            topic: The type of all of them. None: each says its own.
            offset: How far whoever sends has got with them; `offset` gives it again after a restart.
            timeout: Seconds to wait until the app runs. None: as long as it takes.

        Returns:
            A ticket: ``ticket.wait()`` returns when they are on the disk.

        Raises:
            AppError: The source is closed, or the app has stopped (code ``source-closed``).
            TimeoutError: The app does not run yet.

        Example:
            >>> from cepheid.connectors import MemorySource
            >>> MemorySource().send([{"order": 7}], timeout=0.001)
            Traceback (most recent call last):
            ...
            TimeoutError: no app runs source `memory` yet
        """
        return self._running(timeout).send(data, topic=topic, offset=offset)

    async def send_async(
        self, data: Any, *, topic: str | None = None, offset: bytes | None = None
    ) -> tuple[Position, ...]:
        """Sends events from a coroutine, and waits until they are on the disk; others go on meanwhile.

        Args:
            data: As for `send`.
            topic: As for `send`.
            offset: As for `send`.

        Returns:
            Where they are in the store.

        Raises:
            AppError: As for `send`.

        Example:
            >>> import asyncio
            >>> import cepheid as cep
            >>> from cepheid.connectors import MemorySource
            >>> source = MemorySource()
            >>> source.close()
            >>> try:
            ...     asyncio.run(source.send_async([{"order": 7}]))
            ... except cep.AppError as error:
            ...     print(error)
            source `memory` is closed
        """
        # Not the loop's own executor: those who wait for a slow app would take it from all others.
        ticket: Ticket = await _in_thread(lambda: self.send(data, topic=topic, offset=offset))
        positions: tuple[Position, ...] = await ticket
        return positions

    @property
    def offset(self) -> bytes | None:
        """The offset that was committed last; None: none was sent, or no app runs the source.

        Example:
            >>> from cepheid.connectors import MemorySource
            >>> MemorySource().offset is None
            True
        """
        with self._changed:
            feed = self._feed
        return None if feed is None else feed.offset

    def close(self) -> None:
        """Says that nothing more comes: `run` returns.

        Example:
            >>> from cepheid.connectors import MemorySource
            >>> MemorySource().close()
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def run(self, feed: Feed) -> None:
        """Lets events through until it is closed, or the app stops.

        Args:
            feed: Where they go.

        Raises:
            AppError: Another app runs it (code ``source-closed``).
        """
        with self._changed:
            if self._feed is not None:
                raise AppError(
                    f"source `{self._name}` is run by another app already", code="source-closed", source=self._name
                )
            self._feed, self._stopped = feed, False
            self._changed.notify_all()
            try:
                while not self._closed and not feed.stopping:
                    self._changed.wait(_LOOK_SECONDS)
            finally:
                self._feed, self._stopped = None, True
                self._changed.notify_all()

    def _running(self, timeout: float | None) -> Feed:
        ends = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                if self._closed:
                    raise AppError(f"source `{self._name}` is closed", code="source-closed", source=self._name)
                if self._stopped:
                    raise AppError(
                        f"the app that ran source `{self._name}` has stopped", code="source-closed", source=self._name
                    )
                if self._feed is not None:
                    return self._feed
                left = None if ends is None else ends - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"no app runs source `{self._name}` yet")
                self._changed.wait(left)

    def __repr__(self) -> str:
        return f"MemorySource({self._name!r})"


async def _in_thread(call: Any) -> Any:
    """What a call gives, made in a thread of its own."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def tell(found: Any, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(found)
        else:
            future.set_exception(error)

    def work() -> None:
        try:
            found, error = call(), None
        except BaseException as raised:
            found, error = None, raised
        try:
            loop.call_soon_threadsafe(tell, found, error)
        except RuntimeError:
            # The loop has been closed: nobody waits any more.
            return

    threading.Thread(target=work, daemon=True, name="cepheid-send").start()
    return await future
