"""Sources under way: each in a thread, with a way into the app."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol, final

from cepheid.connectors.protocol import Source
from cepheid.errors import AppError
from cepheid.runtime.inbox import CommitTicket

__all__ = ["Entrance", "RunningSource", "SourceFeed"]


class Entrance(Protocol):
    """What takes events into an app."""

    def take(
        self, data: Any, *, topic: str | None, source: str, offset: bytes | None, mapper: Any, is_source: bool
    ) -> CommitTicket:
        """Takes events; waits while there is no room."""

    def take_rejected(
        self, payload: bytes, reason: str, *, code: str, topic: str | None, source: str, offset: bytes | None
    ) -> CommitTicket:
        """Takes what is no event."""

    def offset_of(self, source: str) -> bytes | None:
        """How far a source had been read at the last commit."""


@final
class SourceFeed:
    """What an app gives a source. See `cepheid.connectors.Feed`."""

    __slots__ = ("_entrance", "_mapper", "_name", "_stopping", "_topic")

    def __init__(self, entrance: Entrance, name: str, topic: str | None, mapper: Any) -> None:
        self._entrance = entrance
        self._name = name
        self._topic = topic
        self._mapper = mapper
        self._stopping = threading.Event()

    @property
    def offset(self) -> bytes | None:
        """How far the source had been read at the last commit."""
        return self._entrance.offset_of(self._name)

    @property
    def stopping(self) -> bool:
        """Whether the app stops."""
        return self._stopping.is_set()

    def wait(self, seconds: float) -> bool:
        """Waits a while, or until the app stops; gives whether it stops."""
        return self._stopping.wait(seconds)

    def stop(self) -> None:
        """Tells the source to end."""
        self._stopping.set()

    def send(self, data: Any, *, topic: str | None = None, offset: bytes | None = None) -> CommitTicket:
        """Sends events; waits while the app has more than it can take."""
        topic = self._topic if topic is None else topic
        return self._entrance.take(
            data, topic=topic, source=self._name, offset=offset, mapper=self._mapper, is_source=True
        )

    def reject(
        self, payload: bytes, reason: str, *, code: str, topic: str | None = None, offset: bytes | None = None
    ) -> CommitTicket:
        """Sends what is no event."""
        topic = self._topic if topic is None else topic
        return self._entrance.take_rejected(payload, reason, code=code, topic=topic, source=self._name, offset=offset)


@final
class RunningSource:
    """A source in its thread.

    Args:
        source: The source.
        feed: What it is given.
        ended: Is told when it has ended: None, or what it raised.
    """

    __slots__ = ("_ended", "_feed", "_source", "_thread", "has_ended")

    #: Whether it has returned, or failed.
    has_ended: bool

    def __init__(self, source: Source, feed: SourceFeed, ended: Callable[[AppError | None], None]) -> None:
        self._source = source
        self._feed = feed
        self._ended = ended
        self.has_ended = False
        self._thread = threading.Thread(target=self._run, name=f"cepheid-source-{source.name}", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def _run(self) -> None:
        failure = None
        try:
            self._source.run(self._feed)
        except BaseException as error:
            if not self._feed.stopping:
                name = self._source.name
                # One that says which source it is says it once.
                told = str(error) if isinstance(error, AppError) and f"`{name}`" in str(error) else None
                message = f"source `{name}` failed: {error}" if told is None else told
                failure = AppError(message, code="source-failed", source=name)
                failure.__cause__ = error
        self.has_ended = True
        self._ended(failure)

    def stop(self, seconds: float) -> bool:
        """Tells it to end, and waits; gives whether it has ended."""
        self._feed.stop()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)
        return not self._thread.is_alive()
