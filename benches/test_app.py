"""What an app costs end to end: rows of Arrow and JSON over HTTP to the disk, and from an event to an action."""

from __future__ import annotations

import datetime as dt
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

import cepheid as cep
from cepheid.connectors import HttpSource
from cepheid.signing import WebhookSecret

CHECK = os.environ.get("CEPHEID_BENCH_SIZE") == "check"
ROWS = 40_000 if CHECK else 4_000_000
BATCH_ROWS = 65_536
REQUESTS, EVENTS_A_REQUEST = (4, 100) if CHECK else (200, 1_000)
SENDERS = 2
SECONDS, PER_SECOND, TOGETHER = (0.5, 1_000, 10) if CHECK else (10.0, 10_000, 10)
SECRET = "correct horse battery staple"


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Path]:
    """A new file for each round."""
    return (tmp_path / f"{number}.db" for number in range(10**6))


def bank(store: Path, told: list[int], **options: Any) -> cep.App:
    """An app with one pattern and one action."""
    small = cep.event("small", "amount < 2", topic="payment")
    big = cep.event("big", "amount > 997", topic="payment")
    fraud = (small >> big).partition_by("card").within("1s").select(number="big.number").named("fraud")
    app = cep.App("bank", fraud, store=store, future=None, **options)

    @app.action("fraud", concurrency=4)
    def tell(event: Any) -> None:
        told.append(event["number"])

    return app


def payments() -> list[pa.Table]:
    """Payments in the order of their times."""
    random = np.random.default_rng(1)
    begin = np.datetime64("2026-01-01T00:00:00", "us")
    table = pa.table(
        {
            "time": pa.array(begin + np.arange(ROWS) * 100).cast(pa.timestamp("us", "UTC")),
            "card": random.integers(0, 1_000, ROWS),
            "amount": random.integers(0, 1_000, ROWS),
            "number": np.arange(ROWS),
        }
    )
    return [table.slice(start, BATCH_ROWS) for start in range(0, ROWS, BATCH_ROWS)]


def test_rows_of_arrow_to_the_disk(benchmark: Any, places: Iterator[Path]) -> None:
    batches = payments()
    told: list[int] = []

    def run() -> int:
        told.clear()
        with bank(next(places), told) as app:
            tickets = [app.send(batch, "payment") for batch in batches]
            for ticket in tickets:
                ticket.wait()
            assert app.drain("5m")
            return app.stats().events

    assert run() == ROWS
    small = cep.event("small", "amount < 2", topic="payment")
    big = cep.event("big", "amount > 997", topic="payment")
    pattern = (small >> big).partition_by("card").within("1s").select(number="big.number")
    expected = cep.match(pattern, {"payment": pa.concat_tables(batches)}, event_time="time")
    assert sorted(told) == sorted(found["number"] for found in expected)
    benchmark.extra_info.update(events=ROWS, derived=len(told))
    benchmark.pedantic(run, rounds=1 if CHECK else 3)


def request_bodies(sender: int) -> list[bytes]:
    """Batches of CloudEvents."""
    bodies = []
    for request in range(REQUESTS // SENDERS):
        events = []
        for place in range(EVENTS_A_REQUEST):
            number = request * EVENTS_A_REQUEST + place
            time_of = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=number)
            data = {"card": place % 97, "amount": number % 1000, "number": number, "note": "by card, in the shop"}
            events.append(
                {
                    "specversion": "1.0",
                    "id": f"{sender}-{number}",
                    "source": "till",
                    "type": "payment",
                    "time": time_of.isoformat(),
                    "data": data,
                }
            )
        bodies.append(json.dumps(events).encode())
    return bodies


def test_json_over_http_to_the_disk(benchmark: Any, places: Iterator[Path]) -> None:
    bodies = [request_bodies(sender) for sender in range(SENDERS)]
    secret = WebhookSecret(SECRET)
    events = (REQUESTS // SENDERS) * SENDERS * EVENTS_A_REQUEST

    def post(port: int, sender: int) -> None:
        headers = {"content-type": "application/cloudevents-batch+json"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            for request, body in enumerate(bodies[sender]):
                name, now = f"{sender}-{request}", int(time.time())
                signed = {"webhook-id": name, "webhook-timestamp": str(now)}
                signed["webhook-signature"] = secret.sign(name, now, body)
                assert client.post("/events", content=body, headers=signed).is_success

    def run() -> int:
        source = HttpSource(port=0, secret=SECRET)
        app = bank(next(places), [], lateness="1h")
        app.source(source)
        with app, ThreadPoolExecutor(SENDERS) as senders:
            port = source.listening(30)
            list(senders.map(lambda sender: post(port, sender), range(SENDERS)))
            return app.stats().events

    assert run() == events
    benchmark.extra_info.update(events=events, requests=REQUESTS)
    benchmark.pedantic(run, rounds=1 if CHECK else 3)


def test_from_an_event_to_its_action(benchmark: Any, places: Iterator[Path]) -> None:
    """Events come one call of ten after the other, at a fixed rate; one in a hundred is acted upon."""
    events = int(SECONDS * PER_SECOND)

    def run() -> list[float]:
        sent: dict[int, float] = {}
        done: dict[int, float] = {}
        rule = cep.event("a", "number % 100 = 0", topic="payment").select(number="a.number").named("hundredth")
        app = cep.App("bank", rule, store=next(places))

        @app.action("hundredth", concurrency=4)
        def tell(event: Any) -> None:
            done[event["number"]] = time.perf_counter()

        with app:
            begin = time.perf_counter()
            for first in range(0, events, TOGETHER):
                wait = begin + first / PER_SECOND - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                numbers = range(first, first + TOGETHER)
                now = time.perf_counter()
                sent.update((number, now) for number in numbers if number % 100 == 0)
                app.send([{"type": "payment", "card": number % 97, "number": number} for number in numbers])
            assert app.drain("1m")
        assert sent.keys() == done.keys()
        return sorted(done[number] - sent[number] for number in sent)

    latencies = run()
    benchmark.extra_info.update(events=events)
    threads = threading.active_count()
    latencies = benchmark.pedantic(run, rounds=1 if CHECK else 3)
    assert threading.active_count() <= threads + 1
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        benchmark.extra_info[f"{name}_ms"] = round(1e3 * latencies[int(len(latencies) * share)], 2)
