"""A thread in which requests are made, so that one that stalls can be given up as a whole."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar, final

from cepheid.errors import ActionError

__all__ = ["HttpLoop"]

T = TypeVar("T")

_THREAD = "cepheid-actions-http"


@final
class HttpLoop:
    """An event loop in a thread of its own, begun at the first call, with one client.

    The time-outs of a client are those of single steps: a server that sends a byte a minute keeps to all of them. Here
    a call as a whole has an end, whatever it waits for, and any thread may call.

    Args:
        make: Makes the client, in the loop.
        once: Whether it can be made once only: closed is closed then; else the next call begins anew.
    """

    __slots__ = ("_client", "_closed", "_lock", "_loop", "_make", "_once", "_process", "_thread")

    def __init__(self, make: Callable[[], Any], *, once: bool) -> None:
        self._make = make
        self._once = once
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client: Any = None
        self._process = 0
        self._closed = False

    def run(self, call: Callable[[Any], Coroutine[Any, Any, T]], timeout: float | None) -> T:
        """What a coroutine function of the client gives.

        Raises:
            TimeoutError: It has not been given within so many seconds.
            ActionError: The action has been closed (code ``action-closed``).
        """

        async def whole() -> T:
            async with asyncio.timeout(timeout):
                if self._client is None:
                    self._client = self._make()
                return await call(self._client)

        with self._lock:
            if self._closed:
                raise ActionError("the action has been closed", code="action-closed")
            # Asked with the lock held, so that `close` comes either before or behind it.
            asked = asyncio.run_coroutine_threadsafe(whole(), self._running())
        try:
            return asked.result()
        except CancelledError:
            raise ActionError("the action was closed while it was under way", code="action-closed") from None
        except BaseException:
            asked.cancel()
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        # A forked process has the loop, and not the thread that runs it.
        if self._loop is None or self._process != os.getpid():
            _keep_addresses_out_of_logs()
            self._loop, self._client, self._process = asyncio.new_event_loop(), None, os.getpid()
            self._thread = threading.Thread(target=self._loop.run_forever, name=_THREAD, daemon=True)
            self._thread.start()
        return self._loop

    def close(self) -> None:
        """Ends what is under way, closes the client, and ends the thread. More than once is as good as once."""
        with self._lock:
            self._closed = self._once
            loop, thread, client = self._loop, self._thread, self._client
            self._loop = self._thread = self._client = None
            if loop is None or thread is None or self._process != os.getpid():
                return

        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            if client is not None:
                await client.aclose()

        try:
            asyncio.run_coroutine_threadsafe(end(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


class _OwnRequests(logging.Filter):
    """Drops what `httpx` logs of requests that are made here: it has the whole address in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.threadName != _THREAD


_FILTER = _OwnRequests()


def _keep_addresses_out_of_logs() -> None:
    # Adding it twice is as good as once.
    logging.getLogger("httpx").addFilter(_FILTER)
