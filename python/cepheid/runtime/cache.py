"""Caches: what has been looked up is remembered, for so long and so many, and each is looked up once at a time."""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, Generic, TypeVar, final

from cepheid.actions.protocol import is_coroutine_action
from cepheid.errors import AppError
from cepheid.event_time import span_ns
from cepheid.runtime.cache_entries import CacheEntries, Entry
from cepheid.runtime.cache_stats import CacheStats

__all__ = ["Cache", "CacheStats"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_SIZE_MAX = 100_000_000
# Stands for every NaN, as they are one key.
_NAN = (float, "NaN")
# The loads that this thread, or this coroutine, is in the middle of.
_LOADING: contextvars.ContextVar[tuple[_Flight, ...]] = contextvars.ContextVar("loading", default=())


@final
class _Flight:
    """A load that is under way, and who waits for it."""

    __slots__ = ("future", "is_wanted")

    def __init__(self) -> None:
        self.future: Future[Any] = Future()
        # Whoever gives up waiting must not take it from the others.
        self.future.set_running_or_notify_cancel()
        # False: it was forgotten while it was loaded, and may be of before.
        self.is_wanted = True


class _Abandoned(Exception):
    """Who was to load it did not come to the end of it; those who wait begin anew."""


@final
class Cache(Generic[K, V]):
    """What a function gives for a key, remembered.

    - **One load at a time**: however many threads and coroutines ask for a key that is not known, one loads it, and the
      others wait for what it gives, or raises.
    - **Time**: a value holds for `ttl`, on a clock that can be given. With `stale` it is given for so much longer if a
      load fails. What a load raises is not remembered.
    - **Nothing there**: None is a value as others are, so that what there is not is not looked up again and again; with
      `none_ttl` it holds for another time.
    - **Bound**: `size` values; those that have not been asked for longest go first.
    - **Limits**: loads that wait for each other's keys wait for ever; one that asks for its own key is an error. Where
      two processes have caches, neither knows of the other's. The lock is held for the bookkeeping alone, never during
      a load. Keys that are equal are one key, as in a dict: 1, 1.0 and True.

    Time: a hit costs some microseconds; it pays for what is asked over a network or of a disk.

    Args:
        load: The value of a key: a function, or a coroutine function; then only `aget` and `aget_many` can load.
        ttl: How long a value holds: text such as ``"5m"``, or a timedelta. None: for ever.
        size: How many values are kept.
        none_ttl: How long None holds. None: as all else.
        stale: How long after that a value is still given if a load raises. None: not at all.
        load_many: The values of several keys at once, given a list of them: a mapping, in which what is missing is
            None. For `get_many` and `aget_many`; a coroutine function if `load` is one.
        clock: What time it is, in seconds; anything that does not go back.
        name: Its name, for whoever watches it.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: An argument says something impossible (code ``invalid-cache``).
        PatternError: A span of time is none (code ``invalid-duration``).
        ImportError: `cachetools` is not installed.

    Example:
        >>> from cepheid.runtime.cache import Cache
        >>> asked = []
        >>> def country(card):
        ...     asked.append(card)
        ...     return {7: "NZ"}.get(card)
        >>> cards = Cache(country, ttl="5m")
        >>> cards[7], cards[7], cards[8], cards[8], asked
        ('NZ', 'NZ', None, None, [7, 8])
    """

    __slots__ = (
        "_clock",
        "_entries",
        "_failures",
        "_flights",
        "_hits",
        "_is_coroutine",
        "_load",
        "_load_many",
        "_loads",
        "_lock",
        "_misses",
        "_none_ttl",
        "_size",
        "_stale",
        "_stale_given",
        "_ttl",
        "name",
    )

    #: Its name, or None.
    name: str | None

    def __init__(
        self,
        load: Callable[[K], Any],
        *,
        ttl: str | dt.timedelta | None = "5m",
        size: int = 10_000,
        none_ttl: str | dt.timedelta | None = None,
        stale: str | dt.timedelta | None = None,
        load_many: Callable[[list[K]], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        name: str | None = None,
    ) -> None:
        for function, what in ((load, "load"), (load_many, "load_many"), (clock, "clock")):
            if not callable(function) and not (function is None and what == "load_many"):
                raise TypeError(f"{what} is a function, not {type(function).__name__}")
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"size is a whole number, not {type(size).__name__}")
        if not 1 <= size <= _SIZE_MAX:
            raise AppError(f"size is from 1 to {_SIZE_MAX:,}, not {size}", code="invalid-cache")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name is text or None, not {type(name).__name__}")
        self._ttl = _seconds(ttl, "ttl")
        self._none_ttl = self._ttl if none_ttl is None else _seconds(none_ttl, "none_ttl")
        self._stale = 0.0 if stale is None else _seconds(stale, "stale")
        self._is_coroutine = is_coroutine_action(load)
        if load_many is not None and is_coroutine_action(load_many) != self._is_coroutine:
            raise AppError("load and load_many are both functions, or both coroutine functions", code="invalid-cache")
        self._load, self._load_many, self._clock = load, load_many, clock
        self._size, self.name = size, name
        self._entries = CacheEntries(size, clock)
        self._flights: dict[Hashable, _Flight] = {}
        self._lock = threading.Lock()
        self._hits = self._misses = self._loads = self._failures = self._stale_given = 0

    def get(self, key: K) -> V:
        """The value of a key, loaded if it is not known. ``cache[key]`` is the same.

        Args:
            key: The key; anything that a dict can have.

        Returns:
            The value.

        Raises:
            AppError: `load` is a coroutine function, and the value is not known (code ``cache-coroutine``); or `load`
                asks for the key that it loads (code ``cache-recursion``).
            Exception: Whatever `load` raised, in everyone who waited for it.

        Example:
            >>> from cepheid.runtime.cache import Cache
            >>> Cache(len).get("abc")
            3
        """
        return self._got([key])[0]

    __getitem__ = get

    def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """The values of several keys: with `load_many` those that are not known are loaded at once.

        Args:
            keys: The keys.

        Returns:
            The values by key, in the order of the keys.

        Raises:
            AppError: As for `get`.
            Exception: As for `get`; what has been loaded before that is remembered.

        Example:
            >>> from cepheid.runtime.cache import Cache
            >>> calls = []
            >>> def lengths(words):
            ...     calls.append(words)
            ...     return {word: len(word) for word in words}
            >>> Cache(len, load_many=lengths).get_many(["a", "bc"]), calls
            ({'a': 1, 'bc': 2}, [['a', 'bc']])
        """
        listed = list(dict.fromkeys(keys))
        return dict(zip(listed, self._got(listed), strict=True))

    async def aget(self, key: K) -> V:
        """The same as `get`, in a coroutine: a `load` that is no coroutine function is called in a thread.

        Args:
            key: The key.

        Returns:
            The value.

        Raises:
            AppError: `load` asks for the key that it loads (code ``cache-recursion``).
            Exception: As for `get`.

        Example:
            >>> import asyncio
            >>> from cepheid.runtime.cache import Cache
            >>> async def length(word):
            ...     return len(word)
            >>> asyncio.run(Cache(length).aget("abc"))
            3
        """
        return (await self._agot([key]))[0]

    async def aget_many(self, keys: Iterable[K]) -> dict[K, V]:
        """The same as `get_many`, in a coroutine.

        Args:
            keys: The keys.

        Returns:
            The values by key, in the order of the keys.

        Raises:
            AppError: As for `aget`.
            Exception: As for `get_many`.

        Example:
            >>> import asyncio
            >>> from cepheid.runtime.cache import Cache
            >>> asyncio.run(Cache(len).aget_many(["a", "bc"]))
            {'a': 1, 'bc': 2}
        """
        listed = list(dict.fromkeys(keys))
        return dict(zip(listed, await self._agot(listed), strict=True))

    def invalidate(self, key: K) -> bool:
        """Forgets a key: the next who asks for it has it loaded. What is being loaded at this moment is not kept.

        Args:
            key: The key.

        Returns:
            Whether there was a value.

        Example:
            >>> from cepheid.runtime.cache import Cache
            >>> lengths = Cache(len)
            >>> lengths["abc"], lengths.invalidate("abc"), lengths.invalidate("abc")
            (3, True, False)
        """
        place = _place(key)
        with self._lock:
            if (flight := self._flights.pop(place, None)) is not None:
                flight.is_wanted = False
            return self._entries.remove(place)

    def clear(self) -> int:
        """Forgets all keys.

        Returns:
            How many there were.

        Example:
            >>> from cepheid.runtime.cache import Cache
            >>> lengths = Cache(len)
            >>> lengths["abc"], lengths.clear(), len(lengths)
            (3, 1, 0)
        """
        with self._lock:
            for flight in self._flights.values():
                flight.is_wanted = False
            self._flights.clear()
            return self._entries.clear()

    def stats(self) -> CacheStats:
        """What has become of what it was asked for.

        Example:
            >>> from cepheid.runtime.cache import Cache
            >>> Cache(len).stats().kept
            0
        """
        with self._lock:
            return CacheStats(
                hits=self._hits,
                misses=self._misses,
                loads=self._loads,
                failures=self._failures,
                stale=self._stale_given,
                kept=len(self._entries),
                expired=self._entries.expired,
                evicted=self._entries.evicted,
            )

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Whether a key is known; it does not count as being asked for."""
        with self._lock:
            entry = self._entries.peek(_place(key))
            return entry is not None and self._clock() < entry.fresh_until

    # `in` and `[]` would otherwise make it a sequence without an end.
    __iter__ = None

    def _got(self, keys: list[K], *, counted: bool = True) -> list[V]:
        found: dict[K, V] = {}
        first = counted
        while left := [key for key in keys if key not in found]:
            own, others = self._sorted(left, found, first)
            first = False
            if own:
                if self._is_coroutine:
                    problem = AppError(
                        "load is a coroutine function, and the value is not known yet; await aget()",
                        code="cache-coroutine",
                    )
                    self._landed(own, _Abandoned())
                    raise problem
                self._loaded(own, found)
            for key, flight in others.items():
                try:
                    found[key] = flight.future.result()
                except _Abandoned:
                    continue
        return [found[key] for key in keys]

    async def _agot(self, keys: list[K]) -> list[V]:
        found: dict[K, V] = {}
        first = True
        while left := [key for key in keys if key not in found]:
            if self._is_coroutine:
                own, others = self._sorted(left, found, first)
                if own:
                    await self._aloaded(own, found)
            else:
                unknown, others = self._looked(left, found, first)
                if unknown:
                    # Begun there, so that nobody waits for a load that was given up before it had a thread. It goes on
                    # if nobody waits for it any more, and is known then.
                    given = await asyncio.to_thread(self._got, unknown, counted=False)
                    found.update(zip(unknown, given, strict=True))
            first = False
            for key, flight in others.items():
                try:
                    found[key] = await asyncio.wrap_future(flight.future)
                except _Abandoned:
                    continue
        return [found[key] for key in keys]

    def _looked(self, keys: list[K], found: dict[K, V], counted: bool) -> tuple[list[K], dict[K, _Flight]]:
        """Puts what is known into `found`; gives the keys that nobody loads, and those that somebody does."""
        unknown: list[K] = []
        flights: dict[K, _Flight] = {}
        with self._lock:
            now = self._clock()
            for key in keys:
                place = _place(key)
                entry = self._entries.get(place)
                if entry is not None and now < entry.fresh_until:
                    self._hits += counted
                    found[key] = entry.value
                    continue
                self._misses += counted
                flight = self._flights.get(place)
                if flight is None:
                    unknown.append(key)
                else:
                    flights[key] = flight
        self._check_recursion(flights)
        return unknown, flights

    def _sorted(self, keys: list[K], found: dict[K, V], counted: bool) -> tuple[dict[K, _Flight], dict[K, _Flight]]:
        """Puts what is known into `found`; gives the keys that the caller is to load, and those that others load."""
        unknown, others = self._looked(keys, found, counted)
        own: dict[K, _Flight] = {}
        if unknown:
            with self._lock:
                now = self._clock()
                for key in unknown:
                    place = _place(key)
                    # Somebody may have begun meanwhile, or come to the end of it.
                    entry = self._entries.get(place)
                    if entry is not None and now < entry.fresh_until:
                        found[key] = entry.value
                    elif place in self._flights:
                        others[key] = self._flights[place]
                    else:
                        own[key] = self._flights[place] = _Flight()
        return own, others

    def _check_recursion(self, flights: dict[K, _Flight]) -> None:
        inside = _LOADING.get()
        for key, flight in flights.items():
            if flight in inside:
                raise AppError(
                    f"the load of a key asks for the same key ({str(key)[:100]!r}), and would wait for itself",
                    code="cache-recursion",
                )

    def _loaded(self, own: dict[K, _Flight], found: dict[K, V]) -> None:
        """Loads keys, and tells those who wait."""
        open_flights = dict(own)
        outer = _LOADING.set((*_LOADING.get(), *own.values()))
        try:
            for keys in self._portions(own):
                try:
                    values = self._values(keys, self._call(keys))
                except Exception as error:
                    self._failed(keys, open_flights, found, error)
                    continue
                self._put(keys, values, open_flights, found)
        finally:
            _LOADING.reset(outer)
            self._landed(open_flights, _Abandoned())

    async def _aloaded(self, own: dict[K, _Flight], found: dict[K, V]) -> None:
        open_flights = dict(own)
        outer = _LOADING.set((*_LOADING.get(), *own.values()))
        try:
            for keys in self._portions(own):
                try:
                    values = self._values(keys, await self._call(keys))
                except Exception as error:
                    self._failed(keys, open_flights, found, error)
                    continue
                self._put(keys, values, open_flights, found)
        finally:
            _LOADING.reset(outer)
            self._landed(open_flights, _Abandoned())

    def _portions(self, own: dict[K, _Flight]) -> list[list[K]]:
        """The keys that are loaded by one call each."""
        if self._load_many is not None and len(own) > 1:
            return [list(own)]
        return [[key] for key in own]

    def _call(self, keys: list[K]) -> Any:
        return self._load(keys[0]) if len(keys) == 1 else self._load_many(keys)  # type: ignore[misc]

    def _values(self, keys: list[K], given: Any) -> dict[K, Any]:
        if len(keys) == 1:
            return {keys[0]: given}
        if not isinstance(given, Mapping):
            raise TypeError(f"load_many gives a mapping of keys to values, not {type(given).__name__}")
        return {key: given.get(key) for key in keys}

    def _put(self, keys: list[K], values: dict[K, Any], flights: dict[K, _Flight], found: dict[K, V]) -> None:
        landed = []
        with self._lock:
            now = self._clock()
            for key in keys:
                flight, value = flights.pop(key), values[key]
                self._loads += 1
                if flight.is_wanted:
                    fresh_until = now + (self._none_ttl if value is None else self._ttl)
                    self._entries.put(_place(key), Entry(value, fresh_until, fresh_until + self._stale))
                    del self._flights[_place(key)]
                landed.append((flight, value))
        for flight, value in landed:
            flight.future.set_result(value)
        found.update(values)

    def _failed(self, keys: list[K], flights: dict[K, _Flight], found: dict[K, V], error: Exception) -> None:
        """Gives values whose time is over, where there are some for all of the keys; else tells what was raised."""
        landed: list[tuple[_Flight, Any]] = []
        with self._lock:
            self._failures += 1
            old = {key: self._entries.get(_place(key)) for key in keys}
            is_error = any(entry is None for entry in old.values())
            for key, entry in old.items():
                flight = flights.pop(key)
                if flight.is_wanted:
                    del self._flights[_place(key)]
                if entry is not None and not is_error:
                    self._stale_given += 1
                    found[key] = entry.value
                landed.append((flight, entry))
        for flight, entry in landed:
            if is_error:
                flight.future.set_exception(error)
            else:
                flight.future.set_result(entry.value)
        if is_error:
            raise error

    def _landed(self, flights: dict[K, _Flight], error: Exception) -> None:
        """Wakes those who wait for loads that will not come to their end."""
        with self._lock:
            for key, flight in flights.items():
                if flight.is_wanted and self._flights.get(_place(key)) is flight:
                    del self._flights[_place(key)]
        for flight in flights.values():
            flight.future.set_exception(error)

    def __repr__(self) -> str:
        return f"Cache(name={self.name!r}, size={self._size}, kept={len(self)})"


def _place(key: Any) -> Hashable:
    """What a key is known under: NaN is not equal to itself, and would be loaded each time."""
    return _NAN if isinstance(key, float) and key != key else key


def _seconds(span: str | dt.timedelta | None, what: str) -> float:
    if span is None:
        return float("inf")
    seconds = span_ns(span, what) / 1e9
    if not seconds > 0:
        raise AppError(f"{what} is longer than zero", code="invalid-cache")
    return seconds
