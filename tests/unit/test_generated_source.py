"""Functions that yield events as sources of an app."""

from __future__ import annotations

import asyncio
import threading

import pytest

import cepheid as cep
from cepheid.runtime.generated_source import GeneratedSource


class Feed:
    """What a source is given, of an app that stops when it is told to."""

    offset = None

    def __init__(self):
        self.sent, self.stops = [], threading.Event()

    @property
    def stopping(self):
        return self.stops.is_set()

    def wait(self, seconds):
        return self.stops.wait(seconds)

    def send(self, data, **where):
        self.sent.append((data, where))
        self.stops.set()


def test_a_coroutine_that_waits_when_the_app_stops_ends_as_it_wants_to():
    ended = []

    async def ticks():
        try:
            yield ("tick", {"n": 1})
            await asyncio.sleep(60)
        finally:
            # To close a connection takes a moment.
            await asyncio.sleep(0.01)
            ended.append(True)

    feed = Feed()
    GeneratedSource(ticks, "ticks").run(feed)
    assert feed.sent == [({"n": 1}, {"topic": "tick"})]
    assert ended == [True]


@pytest.mark.parametrize("waits", [False, True])
def test_what_a_generator_raises_is_told_of(waits):
    async def later():
        yield {"n": 1}
        raise OSError("no connection")

    def now():
        yield {"n": 1}
        raise OSError("no connection")

    feed = Feed()
    feed.send = lambda data, **_: feed.sent.append(data)
    with pytest.raises(OSError, match="no connection"):
        GeneratedSource(later if waits else now, "ticks").run(feed)
    assert feed.sent == [{"n": 1}]


def test_an_app_takes_what_a_coroutine_yields():
    app = cep.App("shop")
    seen = []

    @app.source(topic="tick")
    async def ticks():
        for n in range(3):
            await asyncio.sleep(0)
            yield {"n": n}

    @app.on("tick")
    def tick(event):
        seen.append(event["n"])

    app.run()
    assert seen == [0, 1, 2]
