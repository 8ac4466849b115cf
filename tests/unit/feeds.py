"""A feed that keeps what is sent in memory, and commits it when it is told to: what sources are tested with."""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Callable, Generator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cepheid import AppError, Position, SchemaError
from cepheid.input import table_of


@dataclass
class Sent:
    """What was sent at once: rows as they came, or what was rejected."""

    rows: list[Any]
    topic: str | None
    offset: bytes | None
    rejected: tuple[bytes, str, str] | None
    ticket: MemoryTicket


class MemoryTicket:
    def __init__(self) -> None:
        self.future: Future[tuple[Position, ...]] = Future()

    def wait(self, timeout: float | None = None) -> tuple[Position, ...]:
        try:
            return self.future.result(timeout)
        except FutureTimeoutError:
            raise TimeoutError from None

    def __await__(self) -> Generator[Any, None, tuple[Position, ...]]:
        return asyncio.wrap_future(self.future).__await__()


class MemoryFeed:
    """Commits at once, or what is told; sources go on from the offset that was committed last.

    Args:
        offset: What was committed before.
        auto: Whether everything is committed as soon as it is sent.
        capacity: How many sends may wait for a commit before `send` waits.
        stop_after: How many sends until it says that it stops.
    """

    def __init__(
        self,
        offset: bytes | None = None,
        *,
        auto: bool = True,
        capacity: int | None = None,
        stop_after: int | None = None,
        stop_when_idle: bool = False,
    ) -> None:
        self._offset, self._auto, self._capacity, self._stop_after = offset, auto, capacity, stop_after
        self._stop_when_idle = stop_when_idle
        self._changed = threading.Condition()
        self._stopping = False
        self.pending: list[Sent] = []
        self.committed: list[Sent] = []
        self.failing: Exception | None = None
        self.waits = 0
        self._position = 0

    @property
    def offset(self) -> bytes | None:
        return self._offset

    @property
    def stopping(self) -> bool:
        return self._stopping

    def wait(self, seconds: float) -> bool:
        with self._changed:
            self.waits += 1
            self._changed.notify_all()
            if self._stop_when_idle:
                self._stopping = True
            if not self._stopping:
                self._changed.wait(seconds)
            return self._stopping

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()

    def send(self, data: Any, *, topic: str | None = None, offset: bytes | None = None) -> MemoryTicket:
        return self._take(rows_of(data), topic, offset, None)

    def reject(
        self, payload: bytes, reason: str, *, code: str, topic: str | None = None, offset: bytes | None = None
    ) -> MemoryTicket:
        return self._take([], topic, offset, (payload, reason, code))

    def _take(self, rows: list[Any], topic: Any, offset: Any, rejected: Any) -> MemoryTicket:
        ticket = MemoryTicket()
        with self._changed:
            assert offset is None or isinstance(offset, bytes)
            while self._capacity is not None and len(self.pending) >= self._capacity and not self._stopping:
                self._changed.wait(10)
            if self.failing is not None:
                raise self.failing
            if self._stopping:
                raise AppError("the app stops", code="app-stopped")
            self.pending.append(Sent(rows, topic, offset, rejected, ticket))
            self._changed.notify_all()
            if self._stop_after is not None and len(self.pending) + len(self.committed) >= self._stop_after:
                self._stopping = True
        if self._auto:
            self.commit()
        return ticket

    def commit(self, sends: int | None = None) -> None:
        """Commits what was sent first, with its offset."""
        with self._changed:
            taken = self.pending[:sends]
            self.pending = self.pending[len(taken) :]
            for sent in taken:
                self.committed.append(sent)
                if sent.offset is not None:
                    self._offset = sent.offset
                first, self._position = self._position, self._position + len(sent.rows)
                sent.ticket.future.set_result((Position(sent.topic or "mixed", first, len(sent.rows), first),))
            self._changed.notify_all()

    def until(self, holds: Callable[[MemoryFeed], bool], seconds: float = 20) -> None:
        """Waits, bounded, until something holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self), seconds), "waited in vain"

    def until_rows(self, rows: int) -> None:
        """Waits until so many rows have been committed."""
        self.until(lambda feed: len(feed.rows) >= rows)

    def until_looked(self, times: int = 3) -> None:
        """Waits until the source has looked for more so many times."""
        waits = self.waits
        self.until(lambda feed: feed.waits > waits + times)

    @property
    def rows(self) -> list[Any]:
        """All rows that have been committed."""
        return [row for sent in self.committed for row in sent.rows]

    @property
    def rejects(self) -> list[tuple[bytes, str, str]]:
        """All that has been rejected and committed."""
        return [sent.rejected for sent in self.committed if sent.rejected is not None]


def rows_of(data: Any) -> list[Any]:
    """Rows as Python has them; of JSON its lines, as nothing here reads them."""
    if hasattr(data, "payload"):
        return list(data.payload.split(b"\n"))
    return pa.table(table_of(data)).to_pylist()


@contextmanager
def running(source: Any, feed: MemoryFeed) -> Generator[None]:
    """A source that runs in a thread, as in an app; stopped at the end, and what it raised is raised."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            source.run(feed)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        feed.stop()
        thread.join(30)
    assert not thread.is_alive(), "the source does not stop"
    if raised:
        raise raised[0]


def json_text_module() -> None:
    """Stands in for `cepheid.schema` where it is not there: sources need no more of it than this."""
    try:
        import cepheid.schema  # noqa: F401
    except ModuleNotFoundError:

        @dataclass(frozen=True)
        class JsonText:
            payload: bytes

        module = types.ModuleType("cepheid.schema")

        def http_events(headers: dict[str, str], body: bytes) -> JsonText:
            media = headers.get("content-type", "").partition(";")[0]
            if media not in ("application/json", "application/x-ndjson", "application/cloudevents+json"):
                raise SchemaError(f"the content type is `{media}`", code="content-type")
            return JsonText(body)

        module.JsonText = JsonText  # type: ignore[attr-defined]
        module.http_events = http_events  # type: ignore[attr-defined]
        sys.modules["cepheid.schema"] = module
