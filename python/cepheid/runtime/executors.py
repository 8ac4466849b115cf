"""Where functions of handlers and actions run: in threads, in a loop, or at once, where a test asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import queue
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, final

__all__ = ["AttemptTimeout", "Executor", "InlineExecutor", "LoopThread", "ThreadedExecutor"]

Call = Callable[[], Any]
#: Is given what a call gave, or what it raised.
Done = Callable[[Any, BaseException | None], None]

# How long a thread waits for something to do before it ends.
_IDLE_S = 10.0


class AttemptTimeout(TimeoutError):
    """An attempt took longer than it may. What a function raises itself, as a socket does, is something else."""


class Executor(Protocol):
    """Runs calls."""

    def run(self, call: Call, done: Done, timeout_s: float | None) -> None:
        """Runs a call, which may give a coroutine, and says what came of it, in any thread."""

    def close(self) -> None:
        """Ends it. What still runs is left alone."""


@final
class LoopThread:
    """An event loop in a thread of its own."""

    __slots__ = ("_thread", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="cepheid-loop", daemon=True)
        self._thread.start()

    def result(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Runs a coroutine and waits for what it gives."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        """Ends the loop, and cancels what still runs in it."""

        async def cancel() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        with contextlib.suppress(RuntimeError, TimeoutError):
            asyncio.run_coroutine_threadsafe(cancel(), self.loop).result(5.0)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5.0)
        if not self.loop.is_running():
            self.loop.close()


@final
class ThreadedExecutor:
    """Runs functions in threads, and coroutines in a loop.

    Its threads are made when they are wanted and end when they are not. They do not keep the process from ending: an
    action that hangs for ever must not.

    Args:
        loop: The loop for coroutines.
    """

    __slots__ = ("_calls", "_closed", "_idle", "_lock", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: queue.SimpleQueue[tuple[Call, Done, float | None] | None] = queue.SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()
        self._closed = False

    def use(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has coroutines run in another loop from now on: that of the program."""
        self._loop = loop

    def run(self, call: Call, done: Done, timeout_s: float | None) -> None:
        """Runs a call. See `Executor`."""
        with self._lock:
            wanted = self._idle == 0
            if not wanted:
                self._idle -= 1
        self._calls.put((call, done, timeout_s))
        if wanted:
            threading.Thread(target=self._work, name="cepheid-worker", daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                given = self._calls.get(timeout=_IDLE_S)
            except queue.Empty:
                with self._lock:
                    # Whoever has just counted on this thread has put something in.
                    if self._idle == 0:
                        continue
                    self._idle -= 1
                    return
            if given is None:
                return
            self._do(*given)
            with self._lock:
                if self._closed:
                    return
                self._idle += 1

    def _do(self, call: Call, done: Done, timeout_s: float | None) -> None:
        try:
            made = call()
        except BaseException as error:
            done(None, error)
            return
        if not inspect.isawaitable(made):
            done(made, None)
            return
        try:
            asyncio.run_coroutine_threadsafe(_within(made, done, timeout_s), self._loop)
        except RuntimeError as error:
            # The loop has been closed.
            if inspect.iscoroutine(made):
                made.close()
            done(None, error)

    def close(self) -> None:
        """Ends the threads that wait. See `Executor`."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, 0
        for _ in range(idle):
            self._calls.put(None)


async def _within(made: Any, done: Done, timeout_s: float | None) -> None:
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            result = await made
    except TimeoutError as error:
        done(None, AttemptTimeout() if limit.expired() else error)
    except (asyncio.CancelledError, GeneratorExit) as error:
        done(None, error)
        raise
    except KeyboardInterrupt as error:
        done(None, error)
        if threading.current_thread() is threading.main_thread():
            # Somebody wants the program to end, and this happened to run.
            raise
    except BaseException as error:
        # SystemExit would end the loop, and all that others have in it: a call cannot end the app.
        done(None, error)
    else:
        done(result, None)


@final
class InlineExecutor:
    """Runs calls at once, in the thread that asks: for tests, where nothing is to happen at the same time."""

    __slots__ = ("_loop",)

    def __init__(self) -> None:
        self._loop: LoopThread | None = None

    def run(self, call: Call, done: Done, timeout_s: float | None) -> None:
        """Runs a call. Time stands still meanwhile: there is no timeout."""
        try:
            made = call()
            if inspect.isawaitable(made):
                if self._loop is None:
                    self._loop = LoopThread()
                made = self._loop.result(_awaited(made))
        except Exception as error:
            done(None, error)
        else:
            done(made, None)

    def close(self) -> None:
        """Ends the loop that coroutines ran in."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None


async def _awaited(made: Any) -> Any:
    return await made
