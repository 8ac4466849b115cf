"""What is on its way to the store: events, and what is to be saved with them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, final

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

            if self._on_done(lambda: _wake_soon(loop, waiter)):
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
        self._end(positions, None)

    def fail(self, error: BaseException) -> None:
        """It is not, and will not be; what is on the disk stays so."""
        self._end((), error)

    def _end(self, positions: tuple[Position, ...], error: BaseException | None) -> None:
        with self._lock:
            if self._done.is_set():
                return
            self._positions, self._error = positions, error
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
        rows: How many events it has.
    """

    batches: list[tuple[str, pa.Table]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    source: str | None = None
    offset: bytes | None = None
    outcome: Outcome | None = None
    ticket: CommitTicket = field(default_factory=CommitTicket)
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = sum((int(table.num_rows) for _, table in self.batches), len(self.rejected))


class _Waiter:
    """Who waits for room with a submission. It is put in for him, in his turn."""

    __slots__ = ("admitted", "at", "error", "rows", "submission", "wake")

    def __init__(self, submission: Submission, rows: int, at: float, wake: Callable[[], None]) -> None:
        self.submission = submission
        self.rows = rows
        self.at = at
        self.wake = wake
        self.admitted = False
        self.error: BaseException | None = None


@final
class Inbox:
    """A queue of submissions that has an end: who brings more waits in line, or is told.

    What an app brings itself, what handlers have done for one, never waits: it makes room for others.

    Args:
        rows_max: How many rows may wait.
    """

    __slots__ = ("_changed", "_closed", "_line", "_queue", "_rows", "_rows_max", "_woken", "arrived", "came")

    #: When the first of those that wait came.
    arrived: float
    #: How many have come so far.
    came: int

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._queue: deque[Submission] = deque()
        self._line: deque[_Waiter] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._closed: BaseException | None = None
        self._woken = False
        self.arrived = 0.0
        self.came = 0

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return self._rows

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, submission: Submission, *, at: float, wait: bool = True) -> None:
        """Puts one in, once there is room: of one that is greater than all the room, once nothing waits.

        Raises:
            Exception: What the inbox was closed with.
        """
        done = threading.Event()
        waiter = self._enter(submission, at, done.set, wait)
        if waiter is not None:
            done.wait()
            self._leave(waiter)

    async def put_soon(self, submission: Submission, *, at: float) -> None:
        """Puts one in, once there is room, without holding up the loop.

        Raises:
            Exception: What the inbox was closed with.
        """
        loop = asyncio.get_running_loop()
        room: asyncio.Future[None] = loop.create_future()
        waiter = self._enter(submission, at, lambda: _wake_soon(loop, room))
        if waiter is None:
            return
        try:
            await room
        finally:
            self._leave(waiter)

    def _enter(self, submission: Submission, at: float, wake: Callable[[], None], wait: bool = True) -> _Waiter | None:
        # One without rows takes room too.
        rows = max(1, submission.rows) if wait else submission.rows
        with self._changed:
            if self._closed is not None:
                raise self._closed
            if wait and (self._line or not self._fits(rows)):
                waiter = _Waiter(submission, rows, at, wake)
                self._line.append(waiter)
                return waiter
            self._append(submission, at)
            return None

    def _leave(self, waiter: _Waiter) -> None:
        """Who has waited waits no more."""
        with self._changed:
            if not waiter.admitted and waiter in self._line:
                self._line.remove(waiter)
                # Whoever stood behind one that was too large may fit.
                self._admit()
        if waiter.error is not None:
            raise waiter.error

    def _admit(self) -> None:
        """Lets in who stands in line, as far as there is room."""
        while self._line and self._fits(self._line[0].rows):
            waiter = self._line.popleft()
            self._append(waiter.submission, waiter.at)
            waiter.admitted = True
            waiter.wake()

    def _append(self, submission: Submission, at: float) -> None:
        if not self._queue:
            self.arrived = at
        self._queue.append(submission)
        self._rows += submission.rows
        self.came += 1
        self._changed.notify_all()

    def _fits(self, rows: int) -> bool:
        waiting = max(self._rows, len(self._queue))
        return waiting == 0 or waiting + rows <= self._rows_max

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
            self._admit()
        return taken

    def put_back(self, submissions: list[Submission]) -> None:
        """Puts what was taken to the front again."""
        with self._changed:
            self._queue.extendleft(reversed(submissions))
            self._rows += sum(submission.rows for submission in submissions)

    def wait(self, seconds: float | None, came: int, rows: int) -> None:
        """Waits until something has come after so many, and so many rows wait; or for `wake`, or for so long."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._woken or self._closed is not None or (self.came > came and self._rows >= rows), seconds
            )
            self._woken = False

    def pause(self, seconds: float) -> None:
        """Waits, though there is something, until `wake` is called or time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._closed is not None, seconds)
            self._woken = False

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
            while self._line:
                waiter = self._line.popleft()
                waiter.error = error
                waiter.wake()
            self._changed.notify_all()
        return left


def _wake_soon(loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
    def wake() -> None:
        if not future.done():
            future.set_result(None)

    # A loop that has been closed has nobody who waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(wake)
