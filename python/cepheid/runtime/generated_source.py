"""Functions that yield events as sources."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from typing import Any, final

from cepheid.connectors.protocol import Feed

__all__ = ["GeneratedSource"]


@final
class GeneratedSource:
    """A generator function as a source: what it yields is sent, one after the other.

    It may be an asynchronous one. It has no offset: it begins anew with every start of the app.

    Args:
        function: The function; it takes nothing.
        name: The name of the source.
    """

    __slots__ = ("_function", "name")

    #: What it is called.
    name: str

    def __init__(self, function: Callable[[], Any], name: str) -> None:
        self._function = function
        self.name = name

    def run(self, feed: Feed) -> None:
        """Sends what the function yields, until it ends or the app stops."""
        if inspect.isasyncgenfunction(self._function):
            asyncio.run(self._run(feed))
            return
        for data in self._function():
            if feed.stopping:
                return
            _send(feed, data)

    async def _run(self, feed: Feed) -> None:
        events = self._function()
        ended = threading.Event()
        stopped = asyncio.ensure_future(asyncio.to_thread(_until_stopped, feed, ended))
        try:
            while True:
                following = asyncio.ensure_future(anext(events))
                await asyncio.wait({following, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    # What the generator does in the end it does here: closing it meanwhile would be one call too many.
                    await asyncio.wait({following})
                    return
                try:
                    data = following.result()
                except StopAsyncIteration:
                    return
                await asyncio.to_thread(_send, feed, data)
        finally:
            # Else the loop would wait for its thread.
            ended.set()
            await events.aclose()

    def __repr__(self) -> str:
        return f"<source {self.name!r}: {getattr(self._function, '__name__', 'a function')}()>"


def _until_stopped(feed: Feed, ended: threading.Event) -> None:
    while not ended.is_set() and not feed.wait(0.1):
        pass


def _send(feed: Feed, data: Any) -> None:
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], str):
        feed.send(data[1], topic=data[0])
    else:
        feed.send(data)
