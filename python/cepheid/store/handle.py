"""What all parts of a store's Python side have in common: the two native handles, and what may be asked of them."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cepheid.building import checked_name
from cepheid.errors import StoreError
from cepheid.event_time import time_ns

if TYPE_CHECKING:
    from cepheid._native import EventLog, StoreView
    from cepheid.store.columns import TopicColumns
    from cepheid.store.event_store import EventStore

__all__ = ["StoreHandle", "checked_topics", "checked_version", "optional_name"]


class StoreHandle(ABC):
    """A store's two handles, and what its parts share beside them."""

    __slots__ = ()

    _native: EventLog | None
    _view: StoreView
    _columns: TopicColumns
    # The column of the event time.
    _event_time: str
    _clock: Callable[[], dt.datetime] | None

    @abstractmethod
    def _store(self) -> EventStore:
        """The store that this is a part of."""

    def _log(self, action: str) -> EventLog:
        """The writer, told what time it is.

        Raises:
            StoreError: The store is open to be read only (code ``store-read-only``), or it takes batches from an
                iterable that the call comes from (code ``store-in-use``).
        """
        self._store()._check_not_taking(action)
        if self._native is None:
            raise StoreError(
                f"the store is open to be read only; to {action}, open it without `read_only`", code="store-read-only"
            )
        if self._clock is not None:
            self._native.set_time(time_ns(self._clock(), "the clock"))
        return self._native


def checked_topics(topics: str | Iterable[str]) -> list[str]:
    """Names or patterns of topics, one or several."""
    names = [topics] if isinstance(topics, str) else list(topics)
    return [checked_name(name, "topic") for name in names]


def optional_name(value: Any, what: str) -> str | None:
    """A string, or None."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{what} is a string, not {type(value).__name__}")
    return value


def checked_version(value: Any) -> int | None:
    """How many events a stream is to have; None: any number."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"expected_version is a number of events, not {type(value).__name__}")
    version = int(value.__index__())
    if version < 0:
        raise StoreError(f"expected_version is a number of events, from 0 on, not {version}", code="store-option")
    # No stream has so many: it is told how many there are.
    return min(version, 2**63 - 1)
