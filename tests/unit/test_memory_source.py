"""Events handed to an app within its process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest
from feeds import MemoryFeed, running

from cepheid import AppError
from cepheid.connectors import MemorySource, Source


def test_threads_hand_events_over_and_are_told_when_they_are_on_the_disk() -> None:
    source = MemorySource("orders")
    feed = MemoryFeed(auto=False)
    with running(source, feed):
        threads = [
            threading.Thread(target=lambda n=n: source.send([{"n": n}], topic="t", offset=b"%d" % n)) for n in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        ticket = source.send({"n": [20, 21]}, topic="t")
        with pytest.raises(TimeoutError):
            ticket.wait(0.001)
        feed.commit()
        assert ticket.wait(20)[0].events == 2
        assert source.offset == feed.offset is not None
    assert sorted(row["n"] for row in feed.rows) == list(range(22))
    assert source.offset is None
    assert isinstance(source, Source)
    assert repr(source) == "MemorySource('orders')"


def test_coroutines_hand_events_over_while_others_go_on() -> None:
    source = MemorySource()
    feed = MemoryFeed(auto=False, capacity=1)

    async def hand_over() -> list[int]:
        sends = [asyncio.ensure_future(source.send_async([{"n": n}], topic="t")) for n in range(5)]
        ticks = 0
        while not all(send.done() for send in sends):
            ticks += 1
            await asyncio.sleep(0.001)
            feed.commit(1)
        assert ticks > 1
        return [(await send)[0].events for send in sends]

    with running(source, feed):
        assert asyncio.run(hand_over()) == [1] * 5
    assert sorted(row["n"] for row in feed.rows) == list(range(5))


def test_a_send_waits_until_the_app_runs() -> None:
    source = MemorySource()
    feed = MemoryFeed()
    early = threading.Thread(target=lambda: source.send([{"n": 1}], topic="t", timeout=20))
    early.start()
    with running(source, feed):
        early.join(20)
        feed.until_rows(1)
    with pytest.raises(AppError) as error:
        source.send([{"n": 2}])
    assert error.value.code == "source-closed"
    # An app that begins anew takes events again.
    with running(source, feed := MemoryFeed()):
        # Until it runs, the source says that the one before has stopped.
        while True:
            try:
                source.send([{"n": 3}], topic="t")
                break
            except AppError:
                continue
    assert feed.rows == [{"n": 3}]


def test_a_source_that_is_closed_ends_and_takes_nothing() -> None:
    source = MemorySource()
    feed = MemoryFeed()
    thread = threading.Thread(target=source.run, args=(feed,))
    thread.start()
    source.send([{"n": 1}], topic="t", timeout=20)
    source.close()
    thread.join(20)
    assert not thread.is_alive()
    assert feed.rows == [{"n": 1}]
    for send in (lambda: source.send([]), lambda: asyncio.run(source.send_async([]))):
        with pytest.raises(AppError) as error:
            send()
        assert error.value.code == "source-closed"


def test_two_apps_do_not_run_one_source() -> None:
    source = MemorySource()
    with running(source, MemoryFeed()):
        source.send([{"n": 1}], topic="t", timeout=20)
        with pytest.raises(AppError):
            source.run(MemoryFeed())


def test_what_an_app_raises_reaches_who_sends() -> None:
    source = MemorySource()
    feed = MemoryFeed()
    with running(source, feed):
        source.send([{"n": 1}], topic="t", timeout=20)
        feed.failing = AppError("the disk is full", code="app-failed")
        with pytest.raises(AppError, match="disk is full"):
            source.send([{"n": 2}], topic="t")
        with pytest.raises(AppError, match="disk is full"):
            asyncio.run(source.send_async([{"n": 2}], topic="t"))


def test_names_that_are_none_are_refused() -> None:
    for name, error in ((7, TypeError), ("", AppError), ("a\nb", AppError)):
        with pytest.raises(error):
            MemorySource(name)


def test_the_package_and_sources_of_files_read_no_server() -> None:
    code = (
        "import sys, cepheid, cepheid.connectors as c; c.FileSource('a.jsonl'); c.MemorySource(); "
        "c.SqliteSource('a.db', 't'); "
        "print([m for m in sys.modules if m.partition('.')[0] in ('starlette', 'uvicorn', 'httpx', 'h11')])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
    names = "import sys, cepheid.connectors as c; print([getattr(c, n) for n in c.__all__]); c.Nothing"
    failed = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=False)
    assert failed.stdout.count("class") == 8
    assert "has no attribute `Nothing`" in failed.stderr
