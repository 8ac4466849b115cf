"""Archiving in the background, while appends go on."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from cepheid.errors import CepheidError

__all__ = ["BackgroundSealing"]

_LOG = logging.getLogger("cepheid.store")


class BackgroundSealing:
    """Has a topic archived whenever so many of its events are in the journal, by a thread of its own.

    A topic that cannot be archived is said so of, once, to the log ``cepheid.store``, and left alone from then on: its
    events stay in the journal, where they are as safe.
    """

    __slots__ = ("_after", "_failed", "_lock", "_pending", "_queue", "_seal", "_thread")

    def __init__(self, seal: Callable[[str], object], after: int, pending: dict[str, int]) -> None:
        self._seal = seal
        self._after = after
        self._pending = dict.fromkeys(pending, 0)
        self._failed: set[str] = set()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="cepheid-sealing", daemon=True)
        self._thread.start()
        # What an earlier process has left in the journal.
        for topic, events in pending.items():
            self.appended(topic, events)

    def appended(self, topic: str, events: int) -> None:
        """Counts events that have been appended."""
        with self._lock:
            count = self._pending.get(topic, 0) + events
            due = count >= self._after and topic not in self._failed
            self._pending[topic] = 0 if due else count
        if due:
            self._queue.put(topic)

    def close(self) -> None:
        """Ends it, once what it is archiving is archived."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (topic := self._queue.get()) is not None:
            try:
                self._seal(topic)
            except CepheidError as error:
                with self._lock:
                    self._failed.add(topic)
                _LOG.warning("topic `%s` is not archived any more: %s", topic, error)
