"""What is on its way to the store: events, and what is to be saved with them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, final

from cepheid.errors import AppError
from cepheid.store.position import Position

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.runtime.task import Outcome

__all__ = ["CommitTicket", "Inbox", "Rejection", "Submission"]


class Rejection(NamedTuple):
    """What could not become an event.

    Attributes:
        payload: What came.
        reason: What is wrong with it, as a sentence.
        code: A stable name for the mistake.
        topic: The type that it was to have; None: not known.
        source: Where it came from.
    """

    payload: bytes
    reason: str
    code: str
    topic: str | None
    source: str


@final
class CommitTicket:
    """What was sent, and may not be on the disk yet. It can be waited for in threads and in coroutines."""

    __slots__ = ("_callbacks", "_done", "_error", "_help", "_lock", "_positions")

    def __init__(self, help_along: Callable[[], None] | None = None) -> None:
        self._done = threading.Event()
        self._positions: tuple[Position, ...] = ()
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        # Where nothing else would bring it to the disk, whoever waits does.
        self._help = help_along

    @property
    def done(self) -> bool:
        """Whether it is on the disk, or refused."""
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> tuple[Position, ...]:
        """Waits until it is on the disk, and gives where. See `cepheid.connectors.Ticket`."""
        if self._help is not None and not self._done.is_set():
            self._help()
        if not self._done.wait(timeout):
            raise TimeoutError(f"what was sent is not on the disk after {timeout} s")
        return self._result()

    def __await__(self) -> Generator[Any, None, tuple[Position, ...]]:
        if self._help is not None and not self._done.is_set():
            self._help()
        if not self._done.is_set():
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()

            def wake() -> None:
                if not waiter.done():
                    waiter.set_result(None)

            def done() -> None:
                # A loop that has been closed has nobody who waits.
                if not loop.is_closed():
                    loop.call_soon_threadsafe(wake)

            if self._on_done(done):
                yield from waiter.__await__()
        return self._result()

    def _on_done(self, callback: Callable[[], None]) -> bool:
        """Has a function called in the end; False: it is over already."""
        with self._lock:
            if self._done.is_set():
                return False
            self._callbacks.append(callback)
            return True

    def _result(self) -> tuple[Position, ...]:
        if self._error is not None:
            raise self._error
        return self._positions

    def resolve(self, positions: tuple[Position, ...]) -> None:
        """It is on the disk."""
        self._positions = positions
        self._end()

    def fail(self, error: BaseException) -> None:
        """It is not, and will not be."""
        self._error = error
        self._end()

    def _end(self) -> None:
        with self._lock:
            self._done.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


@dataclass(slots=True)
class Submission:
    """Events and other changes that are committed together.

    Attributes:
        batches: Topics, and rows with their envelope.
        rejected: What could not become an event.
        source: Whose offset this is; None: nobody's.
        offset: How far that has been read with it.
        outcome: What has become of an event that a handler or an action was given; None: nothing of the kind.
        ticket: Whoever waits for it.
    """

    batches: list[tuple[str, pa.Table]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    source: str | None = None
    offset: bytes | None = None
    outcome: Outcome | None = None
    ticket: CommitTicket = field(default_factory=CommitTicket)

    @property
    def rows(self) -> int:
        """How many events it has."""
        return sum((int(table.num_rows) for _, table in self.batches), len(self.rejected))


@final
class Inbox:
    """A queue of submissions that has an end: who brings more waits, or is told.

    What an app brings itself, what handlers have done for one, never waits: it makes room for others.

    Args:
        rows_max: How many rows may wait.
    """

    __slots__ = ("_arrived", "_changed", "_closed", "_queue", "_rows", "_rows_max", "_woken")

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._queue: deque[Submission] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._closed: BaseException | None = None
        self._woken = False
        # When the first of those that wait came.
        self._arrived = 0.0

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return self._rows

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, submission: Submission, *, at: float, wait: bool = True, timeout: float | None = None) -> None:
        """Puts one in, once there is room: of one that is greater than all the room, once nothing waits.

        Raises:
            AppError: There was no room in time (code ``app-busy``).
            Exception: What the inbox was closed with.
        """
        rows = submission.rows
        with self._changed:
            if self._closed is None and wait and not self._fits(rows):
                self._changed.wait_for(lambda: self._closed is not None or self._fits(rows), timeout)
            if self._closed is not None:
                raise self._closed
            if wait and not self._fits(rows):
                raise AppError(
                    f"{self._rows:,} rows wait to be stored; the app takes {self._rows_max:,} at most, and none for "
                    f"{timeout} s",
                    code="app-busy",
                )
            if not self._queue:
                self._arrived = at
            self._queue.append(submission)
            self._rows += rows
            self._changed.notify_all()

    def _fits(self, rows: int) -> bool:
        return self._rows == 0 or self._rows + rows <= self._rows_max

    def take(self, rows_max: int) -> list[Submission]:
        """Takes what waits, in its order, up to so many rows, and one at least if there is one."""
        taken: list[Submission] = []
        rows = 0
        with self._changed:
            while self._queue and (not taken or rows + self._queue[0].rows <= rows_max):
                submission = self._queue.popleft()
                rows += submission.rows
                taken.append(submission)
            self._rows -= rows
            if taken:
                self._changed.notify_all()
        return taken

    def put_back(self, submissions: list[Submission]) -> None:
        """Puts what was taken to the front again."""
        with self._changed:
            self._queue.extendleft(reversed(submissions))
            self._rows += sum(submission.rows for submission in submissions)

    def wait(self, seconds: float | None) -> None:
        """Waits until there is something, `wake` is called, or time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._woken or self._closed is not None, seconds)
            self._woken = False

    def wait_for_more(self, rows: int, linger_s: float, now: Callable[[], float]) -> None:
        """Waits for so many rows, until the first has waited so long."""
        with self._changed:
            left = self._arrived + linger_s - now()
            if self._queue and left > 0:
                self._changed.wait_for(lambda: self._rows >= rows or self._closed is not None, left)

    def wake(self) -> None:
        """Ends a wait."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self, error: BaseException) -> list[Submission]:
        """Takes nothing more: who brings something gets the error. Gives what waited."""
        with self._changed:
            self._closed = error
            left = list(self._queue)
            self._queue.clear()
            self._rows = 0
            self._changed.notify_all()
        return left
