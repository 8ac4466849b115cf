"""Caches: one load at a time, for so long and so many, in threads and coroutines."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import cepheid as cep
from cepheid.runtime.cache import Cache, CacheStats


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Loader:
    """A function that says how often it was asked, and fails when it is told to."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.error: BaseException | None = None

    def __call__(self, key):
        self.asked.append(key)
        if self.error is not None:
            raise self.error
        return f"{key}/{self.asked.count(key)}"

    def many(self, keys):
        self.asked.append(list(keys))
        return {key: f"{key}/many" for key in keys if key != "none"}


class Gate:
    """A load that waits to be let through."""

    def __init__(self, value="value") -> None:
        self.begun, self.open = threading.Event(), threading.Event()
        self.value, self.calls = value, 0

    def __call__(self, key):
        self.calls += 1
        self.begun.set()
        assert self.open.wait(20)
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


def in_threads(count, call):
    """What a function gives or raises in so many threads at once; and the threads."""
    found = []

    def run():
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    return found, threads


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_value_is_loaded_once_and_known_then():
    load = Loader()
    cache = Cache(load, name="cards")
    assert [cache["a"], cache.get("a"), cache["b"]] == ["a/1", "a/1", "b/1"]
    assert load.asked == ["a", "b"]
    assert ("a" in cache, "c" in cache, len(cache)) == (True, False, 2)
    assert cache.stats() == CacheStats(hits=1, misses=2, loads=2, failures=0, stale=0, expired=0, evicted=0, kept=2)
    assert repr(cache) == "Cache(name='cards', size=10000, kept=2)"


def test_a_value_holds_for_its_time_on_the_clock_that_was_given():
    load, clock = Loader(), Clock()
    cache = Cache(load, ttl=dt.timedelta(seconds=10), clock=clock)
    assert cache["a"] == "a/1"
    clock.now += 9.999
    assert cache["a"] == "a/1"
    clock.now += 0.001
    assert "a" not in cache
    assert cache["a"] == "a/2"
    assert (cache.stats().expired, cache.stats().hits, cache.stats().misses) == (1, 1, 2)
    forever = Cache(load, ttl=None, clock=clock)
    assert forever["b"] == "b/1"
    clock.now += 1e12
    assert forever["b"] == "b/1"


def test_those_that_have_not_been_asked_for_longest_go_first():
    load = Loader()
    cache = Cache(load, size=2, ttl=None)
    for key in ("a", "b", "a", "c"):
        cache[key]
    assert ("a" in cache, "b" in cache, "c" in cache) == (True, False, True)
    # To look whether it is there is not to ask for it.
    assert "a" in cache
    cache["c"], cache["d"]
    assert "a" not in cache
    assert (cache.stats().evicted, cache.stats().kept) == (2, 2)


def test_what_there_is_not_is_remembered_for_a_time_of_its_own():
    asked, clock = [], Clock()
    cache = Cache(asked.append, ttl="1h", none_ttl="10s", clock=clock)
    assert [cache["a"], cache["a"]] == [None, None]
    assert asked == ["a"]
    clock.now += 10
    assert cache["a"] is None
    assert asked == ["a", "a"]


def test_what_a_load_raises_is_told_and_not_remembered():
    load = Loader()
    load.error = OSError("down")
    cache = Cache(load)
    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            cache["a"]
    load.error = None
    assert cache["a"] == "a/3"
    assert (cache.stats().failures, cache.stats().loads, len(cache._flights)) == (2, 1, 0)


def test_a_value_whose_time_is_over_is_given_for_so_long_if_a_load_fails():
    load, clock = Loader(), Clock()
    cache = Cache(load, ttl="10s", stale="20s", clock=clock)
    assert cache["a"] == "a/1"
    clock.now += 10
    load.error = OSError("down")
    assert cache["a"] == "a/1"
    clock.now += 19.999
    assert cache["a"] == "a/1"
    load.error = None
    assert cache["a"] == "a/4"
    load.error = OSError("down")
    clock.now += 30
    with pytest.raises(OSError, match="down"):
        cache["a"]
    assert cache.stats().stale == 2


def test_many_threads_that_ask_for_one_key_load_it_once():
    gate = Gate()
    cache = Cache(gate)
    found, threads = in_threads(20, lambda: cache["a"])
    wait_for(lambda: cache.stats().misses == 20)
    gate.open.set()
    for thread in threads:
        thread.join(20)
    assert (found, gate.calls) == (["value"] * 20, 1)
    assert (cache.stats().loads, len(cache._flights)) == (1, 0)


def test_a_load_that_raises_wakes_all_who_wait_with_the_error():
    error = OSError("down")
    gate = Gate(error)
    cache = Cache(gate)
    found, threads = in_threads(10, lambda: cache["a"])
    wait_for(lambda: cache.stats().misses == 10)
    gate.open.set()
    for thread in threads:
        thread.join(20)
    assert found == [error] * 10
    assert (gate.calls, cache.stats().failures) == (1, 1)


def test_loads_of_other_keys_do_not_wait():
    gate = Gate()
    cache = Cache(lambda key: gate(key) if key == "slow" else key)
    _, [thread] = in_threads(1, lambda: cache["slow"])
    assert gate.begun.wait(20)
    assert cache["quick"] == "quick"
    gate.open.set()
    thread.join(20)


def test_who_was_to_load_and_was_interrupted_leaves_it_to_the_others():
    gate = Gate(KeyboardInterrupt())
    cache = Cache(gate)
    found, threads = in_threads(1, lambda: cache["a"])
    assert gate.begun.wait(20)
    more, others = in_threads(3, lambda: cache["a"])
    wait_for(lambda: cache.stats().misses == 4)
    cache._load = Loader()
    gate.open.set()
    for thread in threads + others:
        thread.join(20)
    assert [type(one) for one in found] == [KeyboardInterrupt]
    assert more == ["a/1"] * 3


def test_what_was_forgotten_while_it_was_loaded_is_not_kept():
    for forget in (lambda cache: cache.invalidate("a"), lambda cache: cache.clear()):
        gate = Gate("old")
        cache = Cache(gate)
        found, [thread] = in_threads(1, lambda cache=cache: cache["a"])
        assert gate.begun.wait(20)
        forget(cache)
        cache._load = lambda key: "new"
        assert cache["a"] == "new"
        gate.open.set()
        thread.join(20)
        assert found == ["old"]
        assert cache["a"] == "new"
        assert len(cache._flights) == 0


def test_forgetting_says_whether_there_was_something():
    cache = Cache(Loader())
    cache.get_many(["a", "b", "c"])
    assert (cache.invalidate("a"), cache.invalidate("a"), cache.invalidate("x")) == (True, False, False)
    assert (cache.clear(), cache.clear(), len(cache)) == (2, 0, 0)


def test_a_load_that_asks_for_its_own_key_is_an_error_and_for_another_none():
    cache = Cache(lambda key: cache[key - 1] + 1 if key > 0 else 0)
    assert cache[5] == 5
    looped = Cache(lambda key: looped[key])
    with pytest.raises(cep.AppError) as caught:
        looped["a"]
    assert caught.value.code == "cache-recursion"
    assert len(looped._flights) == 0

    async def aloop(key):
        return await again.aget(key)

    again = Cache(aloop)
    with pytest.raises(cep.AppError) as caught:
        asyncio.run(again.aget("a"))
    assert caught.value.code == "cache-recursion"


def test_several_keys_are_loaded_at_once():
    load = Loader()
    cache = Cache(load, load_many=load.many)
    assert cache["a"] == "a/1"
    assert cache.get_many(["c", "a", "b", "c", "none"]) == {
        "c": "c/many",
        "a": "a/1",
        "b": "b/many",
        "none": None,
    }
    assert list(cache.get_many(["b", "a"])) == ["b", "a"]
    assert cache.get_many([]) == {}
    assert load.asked == ["a", ["c", "b", "none"]]
    assert asyncio.run(cache.aget_many(["d", "a", "e"])) == {"d": "d/many", "a": "a/1", "e": "e/many"}
    without = Cache(Loader())
    assert without.get_many(["a", "b"]) == {"a": "a/1", "b": "b/1"}


def test_several_keys_of_which_one_fails_keep_what_was_loaded():
    load = Loader()

    def fail(key):
        if key == "b":
            raise OSError("down")
        return load(key)

    cache = Cache(fail)
    with pytest.raises(OSError, match="down"):
        cache.get_many(["a", "b", "c"])
    assert (load.asked, len(cache._flights)) == (["a"], 0)
    many = Cache(load, load_many=lambda keys: [1, 2])
    with pytest.raises(TypeError, match="mapping"):
        many.get_many(["a", "b"])
    assert len(many._flights) == 0


def test_threads_that_ask_for_the_same_keys_in_other_orders_load_each_once():
    calls = []
    cache = Cache(lambda key: calls.append(key) or key, size=1_000)
    found, threads = in_threads(1, lambda: None)
    for turn in range(8):
        keys = list(range(200))[:: 1 if turn % 2 else -1]
        more, started = in_threads(1, lambda keys=keys: cache.get_many(keys))
        threads += started
        found += more
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert sorted(calls) == list(range(200))


def test_coroutines_that_ask_for_one_key_load_it_once():
    calls = []

    async def load(key):
        calls.append(key)
        await asyncio.sleep(0.01)
        return key

    async def ask():
        return await asyncio.gather(*(cache.aget("a") for _ in range(50)))

    cache = Cache(load)
    assert asyncio.run(ask()) == ["a"] * 50
    assert calls == ["a"]
    # What is known may be asked for without a coroutine.
    assert cache["a"] == "a"
    with pytest.raises(cep.AppError) as caught:
        cache["b"]
    assert caught.value.code == "cache-coroutine"
    assert len(cache._flights) == 0


def test_coroutines_of_several_loops_and_threads_share_a_load():
    gate = Gate()
    cache = Cache(gate)

    async def ask():
        return await asyncio.gather(*(cache.aget("a") for _ in range(30)))

    found, threads = in_threads(3, lambda: asyncio.run(ask()))
    more, others = in_threads(3, lambda: cache["a"])
    wait_for(lambda: cache.stats().misses >= 93)
    gate.open.set()
    for thread in threads + others:
        thread.join(20)
    assert (found, more, gate.calls) == ([["value"] * 30] * 3, ["value"] * 3, 1)


def test_a_coroutine_that_is_cancelled_takes_nothing_from_the_others():
    calls = []

    async def load(key):
        calls.append(key)
        await asyncio.sleep(60 if len(calls) == 1 else 0)
        return key

    async def ask():
        cache = Cache(load)
        first = asyncio.create_task(cache.aget("a"))
        await asyncio.sleep(0)
        others = [asyncio.create_task(cache.aget("a")) for _ in range(3)]
        await asyncio.sleep(0)
        # One who waits goes, and then the one who loads.
        others.pop().cancel()
        await asyncio.sleep(0)
        first.cancel()
        return await asyncio.gather(*others), len(cache._flights)

    assert asyncio.run(ask()) == (["a", "a"], 0)
    assert calls == ["a", "a"]


def test_a_coroutine_that_is_cancelled_leaves_its_thread_to_load():
    gate = Gate()
    cache = Cache(gate)

    async def ask():
        task = asyncio.create_task(cache.aget("a"))
        while not gate.begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        gate.open.set()

    asyncio.run(ask())
    wait_for(lambda: "a" in cache)
    assert (cache["a"], gate.calls) == ("value", 1)


def test_a_loop_goes_on_while_a_function_loads():
    gate = Gate()
    cache = Cache(gate)

    async def ask():
        task = asyncio.create_task(cache.aget("a"))
        while not gate.begun.is_set():
            await asyncio.sleep(0.001)
        gate.open.set()
        return await task

    assert asyncio.run(ask()) == "value"


def test_keys_that_are_equal_are_one_and_nan_is_one_too():
    calls = []
    cache = Cache(lambda key: calls.append(key) or str(key))
    for key in (float("nan"), float("nan"), 1, 1.0, True, ("a", 1), ("a", 1)):
        cache[key]
    assert len(calls) == 3
    with pytest.raises(TypeError):
        cache[[1]]
    with pytest.raises(TypeError):
        iter(cache)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"load": None}, TypeError),
        ({"load_many": 5}, TypeError),
        ({"clock": 5}, TypeError),
        ({"size": 0}, cep.AppError),
        ({"size": 10**9}, cep.AppError),
        ({"size": 1.5}, TypeError),
        ({"size": True}, TypeError),
        ({"ttl": "0s"}, cep.AppError),
        ({"ttl": "-1s"}, cep.PatternError),
        ({"ttl": "soon"}, cep.PatternError),
        ({"ttl": 5}, TypeError),
        ({"none_ttl": "0s"}, cep.AppError),
        ({"stale": "0s"}, cep.AppError),
        ({"name": 5}, TypeError),
    ],
)
def test_what_cannot_be_a_cache_is_refused_when_it_is_made(options, error):
    with pytest.raises(error):
        Cache(**{"load": len, **options})


def test_functions_and_coroutine_functions_are_not_mixed():
    async def later(keys):
        return {}

    with pytest.raises(cep.AppError) as caught:
        Cache(len, load_many=later)
    assert caught.value.code == "invalid-cache"


def test_a_hit_rate_is_a_share():
    cache = Cache(Loader())
    assert cache.stats().hit_rate == 0.0
    for key in "aaab":
        cache[key]
    assert cache.stats().hit_rate == 0.5


class AsADict(RuleBasedStateMachine):
    """Against a dict with times in it, that looks through all of it each time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.loads = Clock(), 0
        self.cache = Cache(self.load, ttl="10s", stale="5s", size=3, clock=self.clock)
        self.model: dict[int, tuple[int, float]] = {}
        self.fails = False

    def load(self, key):
        if self.fails:
            raise OSError
        self.loads += 1
        return self.loads

    def kept(self):
        return {key: entry for key, entry in self.model.items() if self.clock.now < entry[1] + 5}

    @rule(key=st.integers(0, 5), fails=st.booleans())
    def get(self, key, fails):
        self.fails = fails
        self.model = self.kept()
        known = self.model.pop(key, None)
        if known is not None and self.clock.now < known[1]:
            self.model[key] = known
            assert self.cache[key] == known[0]
        elif not fails:
            self.model[key] = (self.loads + 1, self.clock.now + 10)
            assert self.cache[key] == self.model[key][0]
            if len(self.model) > 3:
                del self.model[next(iter(self.model))]
        elif known is not None:
            self.model[key] = known
            assert self.cache[key] == known[0]
        else:
            with pytest.raises(OSError):  # noqa: PT011
                self.cache[key]

    @rule(seconds=st.sampled_from([1, 4, 5, 10]))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(key=st.integers(0, 5))
    def invalidate(self, key):
        self.model = self.kept()
        assert self.cache.invalidate(key) == (self.model.pop(key, None) is not None)

    @invariant()
    def same(self):
        assert len(self.cache) == len(self.kept())
        stats = self.cache.stats()
        assert stats.loads == self.loads
        for key in range(6):
            entry = self.kept().get(key)
            assert (key in self.cache) == (entry is not None and self.clock.now < entry[1])


TestAsADict = AsADict.TestCase
TestAsADict.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
