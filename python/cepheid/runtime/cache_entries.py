"""The values of a cache: so many, and for so long."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, final

__all__ = ["CacheEntries", "Entry"]


class Entry(NamedTuple):
    """A value, and until when it holds.

    Attributes:
        value: The value.
        fresh_until: Until when it is given without a load, on the clock of the cache.
        kept_until: Until when it is given if a load fails.
    """

    value: Any
    fresh_until: float
    kept_until: float


@final
class CacheEntries:
    """Entries by key; those over the bound, and those whose time is over, go. One thread at a time uses it.

    Args:
        size: How many are kept.
        clock: What time it is, in seconds.

    Attributes:
        expired: How many have gone because their time was over.
        evicted: How many have gone because there were too many.
    """

    __slots__ = ("_entries", "evicted", "expired")

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        try:
            import cachetools
        except ImportError as error:
            raise ImportError("values are kept by `cachetools`; install cepheid[enrich]") from error
        self.expired = 0
        self.evicted = 0
        counts = self

        class Kept(cachetools.TLRUCache[Any, Any]):
            """Counts what goes, whoever asks for it to go."""

            def expire(self, time: float | None = None) -> Any:
                gone = super().expire(time)
                counts.expired += len(gone)
                return gone

            def peek(self, key: Hashable) -> Entry | None:
                # As the class reads it that knows of no order.
                return cachetools.Cache.__getitem__(self, key) if key in self else None

            def popitem(self) -> Any:
                gone = super().popitem()
                counts.evicted += 1
                return gone

        self._entries = Kept(size, lambda key, entry, now: entry.kept_until, timer=clock)

    def get(self, key: Hashable) -> Entry | None:
        """That of a key, which has then been asked for last; None: there is none."""
        found: Entry | None = self._entries.get(key)
        return found

    def peek(self, key: Hashable) -> Entry | None:
        """That of a key, without its having been asked for; None: there is none."""
        return self._entries.peek(key)

    def put(self, key: Hashable, entry: Entry) -> None:
        """Puts one in, the last that was asked for."""
        self._entries[key] = entry

    def remove(self, key: Hashable) -> bool:
        """Removes one; whether there was one."""
        return self._entries.pop(key, None) is not None

    def clear(self) -> int:
        """Removes all; how many there were."""
        count = len(self)
        self._entries.clear()
        return count

    def __len__(self) -> int:
        return len(self._entries)
