"""Apps with their threads: back-pressure, what does not end, what ends the wrong way, and closing in its midst."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid.errors import AppError
from cepheid.runtime.core import Core
from cepheid.runtime.inbox import CommitTicket, Inbox, Submission

WAIT_S = 60.0


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Whatever happens, an app that has been closed has no thread of its own."""
    yield
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("cepheid-") and thread.name != "cepheid-worker":
            thread.join(WAIT_S)
            assert not thread.is_alive(), thread.name


def submission(rows):
    return Submission(batches=[("t", pa.table({"x": range(rows)}))] if rows else [])


def started(target):
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


# The inbox.


def test_who_waits_for_room_is_let_in_in_turn_however_large():
    inbox = Inbox(10)
    inbox.put(submission(8), at=0.0)
    threads = []
    # There would be room for the last, and others stand before it.
    for rows in (30, 1, 2, 1):
        threads.append(started(lambda rows=rows: inbox.put(submission(rows), at=0.0)))
        while len(inbox._line) < len(threads):
            pass
    assert (len(inbox), inbox.rows) == (1, 8)
    taken = []
    while len(taken) < 5:
        taken += [one.rows for one in inbox.take(5)]
    assert taken == [8, 30, 1, 2, 1]
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_one_that_gives_up_waiting_lets_those_behind_it_in():
    inbox = Inbox(10)
    inbox.put(submission(8), at=0.0)

    async def main():
        large = asyncio.ensure_future(inbox.put_soon(submission(30), at=0.0))
        small = asyncio.ensure_future(inbox.put_soon(submission(1), at=0.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        large.cancel()
        await asyncio.wait_for(small, WAIT_S)
        assert large.cancelled() or await asyncio.gather(large, return_exceptions=True)

    asyncio.run(main())
    assert [one.rows for one in inbox.take(100)] == [8, 1]


def test_nothing_in_great_numbers_fills_an_inbox_too():
    inbox = Inbox(10)
    for _ in range(10):
        inbox.put(submission(0), at=0.0)
    waiting = started(lambda: inbox.put(submission(0), at=0.0))
    while not inbox._line:
        assert waiting.is_alive()
    assert len(inbox) == 10
    inbox.take(1)
    waiting.join(WAIT_S)
    assert not waiting.is_alive()


def test_closing_an_inbox_answers_all_who_wait():
    inbox = Inbox(1)
    inbox.put(submission(1), at=0.0)
    told = []

    def bring():
        try:
            inbox.put(submission(1), at=0.0)
        except AppError as error:
            told.append(error.code)

    async def bring_soon():
        await inbox.put_soon(submission(1), at=0.0)

    threads = [started(bring) for _ in range(4)]

    async def main():
        waiting = asyncio.ensure_future(bring_soon())
        while len(inbox._line) < 5:
            await asyncio.sleep(0)
        left = inbox.close(AppError("closed", code="app-closed"))
        assert [one.rows for one in left] == [1]
        with pytest.raises(AppError):
            await asyncio.wait_for(waiting, WAIT_S)

    asyncio.run(main())
    for thread in threads:
        thread.join(WAIT_S)
    assert told == ["app-closed"] * 4


def test_a_ticket_is_answered_once_and_survives_whoever_waited():
    ticket = CommitTicket()
    loop = asyncio.new_event_loop()

    async def give_up():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_wait(ticket), 0.001)

    loop.run_until_complete(give_up())
    loop.close()
    # Its loop is gone; who commits must not be told so.
    ticket.resolve(())
    ticket.fail(AppError("too late", code="app-closed"))
    assert ticket.done
    assert ticket.wait(0) == ()


async def _wait(ticket):
    return await ticket


# Back-pressure.


def test_no_more_waits_than_may_wait_whoever_brings_it():
    app = cep.App("shop", waiting_max=20)
    most = []

    @app.on("order", concurrency=4)
    async def ship(event):
        most.append(app.stats().waiting)
        await app.publish({"type": "shipped", "order": event["order"]})

    async def main():
        async with app:

            async def one(number):
                await app.publish({"type": "order", "order": number})
                most.append(app._running.inbox.rows)

            async def thread(first):
                for number in range(first, first + 50):
                    await asyncio.to_thread(lambda number=number: app.send({"type": "order", "order": number}))

            await asyncio.gather(*(one(number) for number in range(200)), *(thread(first) for first in (200, 250)))
            assert await asyncio.to_thread(app._running.drain, WAIT_S)
            shipped = app.store.read("shipped").to_arrow()["order"].to_pylist()
        assert sorted(shipped) == list(range(300))

    asyncio.run(main())
    # What handlers have done makes room for others, and does not wait itself.
    assert max(most) <= 20 + 4 * 2


def test_an_iterator_is_not_lost_while_there_is_no_room():
    app = cep.App("shop", waiting_max=1)

    async def main():
        async with app:
            for_each = [app.publish(iter([{"type": "order", "order": number}])) for number in range(50)]
            found = await asyncio.gather(*for_each)
        assert sum(position.events for positions in found for position in positions) == 50

    asyncio.run(main())


def test_a_handler_that_sends_does_not_wait_for_itself():
    app = cep.App("shop", waiting_max=1, workers=2)

    @app.on("order", concurrency=2)
    def split(event):
        if event["depth"]:
            tickets = [app.send({"type": "order", "depth": event["depth"] - 1}) for _ in range(2)]
            for ticket in tickets:
                ticket.wait(WAIT_S)

    with app:
        app.send({"type": "order", "depth": 5}).wait(WAIT_S)
        assert app._running.drain(WAIT_S)
        assert app.store.read("order").count() == 2**6 - 1
        assert app.dead_letters() == []


def test_what_happens_once_for_a_value_is_not_begun_twice_at_the_same_time():
    app = cep.App("shop")
    told, under_way, most = [], [], []
    enough = threading.Event()

    @app.action("order", key="customer", idempotent_by="order", concurrency=8, retries=cep.Retry(3, first="1ms"))
    def tell(event):
        under_way.append(event["order"])
        most.append(under_way.count(event["order"]))
        enough.wait(0.02)
        under_way.remove(event["order"])
        if event["customer"] == 0 and event["order"] == 8 and len(told) == 0:
            raise OSError("not now")
        told.append(event["order"])

    with app:
        rows = [{"type": "order", "order": order, "customer": who} for who in range(4) for order in (7, 8)]
        app.send(rows).wait(WAIT_S)
        assert app._running.drain(WAIT_S)
        outcomes = app.store.read("cepheid.action").to_arrow()["outcome"].to_pylist()
        assert app.dead_letters() == []
    assert sorted(told) == [7, 8]
    assert max(most) == 1
    assert sorted(outcomes) == ["done"] * 2 + ["repeated"] * 6


# What does not end, and what ends the wrong way.


class Odd(BaseException):
    """No `Exception`."""


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, Odd])
@pytest.mark.parametrize("is_async", [False, True])
def test_whatever_a_handler_raises_the_app_goes_on(kind, is_async):
    app = cep.App("shop")
    seen = []

    def plain(event):
        if event["order"] == 1:
            raise kind("away")
        seen.append(event["order"])

    async def soon(event):
        plain(event)

    app.on("order", retries=0, name="handle")(soon if is_async else plain)
    with app:
        for order in (1, 2):
            app.send({"type": "order", "order": order}).wait(WAIT_S)
        assert app._running.drain(WAIT_S)
        [letter] = app.dead_letters()
    assert seen == [2]
    assert kind.__name__ in letter.reason


@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_that_takes_too_long_fails_and_what_a_call_says_itself_is_told(is_async):
    app = cep.App("shop")
    stalled = threading.Event()

    def own(event):
        raise TimeoutError("the other side is slow")

    async def own_soon(event):
        own(event)

    def stall(event):
        stalled.wait(WAIT_S)

    async def stall_soon(event):
        await asyncio.sleep(WAIT_S)

    app.action("order", own_soon if is_async else own, retries=0, timeout="50s", name="own")
    app.action("order", stall_soon if is_async else stall, retries=0, timeout="10ms", name="stall")
    with app:
        app.send({"type": "order"}).wait(WAIT_S)
        assert app._running.drain(WAIT_S)
        letters = {letter.handler: letter for letter in app.dead_letters()}
        stats = app.stats().handlers
        stalled.set()
    assert (letters["own"].code, stats["own"].timed_out) == ("failed", 0)
    assert "the other side is slow" in letters["own"].reason
    assert (letters["stall"].code, stats["stall"].timed_out) == ("timeout", 1)


def test_calls_that_hang_take_their_threads_and_no_more():
    app = cep.App("shop", workers=4)
    release, seen = threading.Event(), []
    app.action("order", name="hang", concurrency=2, timeout="10ms", retries=0, where="order < 3")(
        lambda event: release.wait(WAIT_S)
    )
    app.on("order", name="note")(lambda event: seen.append(event["order"]))
    with app:
        app.send([{"type": "order", "order": order} for order in range(20)]).wait(WAIT_S)
        assert app._running.drain(WAIT_S)
        assert len(app.dead_letters("hang")) == 3
        assert len(seen) == 20
        assert sum(thread.name == "cepheid-worker" for thread in threading.enumerate()) <= 20
        release.set()


# Failing, and closing.


def test_an_app_that_fails_says_so_to_everybody(caplog, monkeypatch):
    app = cep.App("shop")
    broken = RuntimeError("a mistake of ours")

    def fail(*arguments):
        raise broken

    app.on("order", name="note")(lambda event: None)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError), app:
        running = app._running
        patch.setattr(Core, "_fill", fail)
        ticket = app.send({"type": "order"})
        with pytest.raises(RuntimeError):
            while ticket.wait(WAIT_S) is not None:
                ticket = app.send({"type": "order"})
        with pytest.raises(RuntimeError):
            app.retry("note")
        assert not running.drain(WAIT_S)
    assert "app `shop` has failed" in caplog.text
    # It can be started again.
    with app:
        app.send({"type": "order"}).wait(WAIT_S)


def test_a_source_that_fails_is_told_of_at_the_end_of_a_block():
    app = cep.App("shop")

    @app.source(topic="tick")
    def ticks():
        yield {"count": 1}
        raise OSError("the line is dead")

    def until_it_has_failed():
        for _ in range(int(100 * WAIT_S)):
            if app._running.failure is not None:
                return
            time.sleep(0.01)
        raise AssertionError("it has not failed")

    with pytest.raises(AppError) as caught, app:
        until_it_has_failed()
    assert caught.value.code == "source-failed"
    with pytest.raises(ValueError, match="mine"), app:
        until_it_has_failed()
        raise ValueError("mine")


def test_what_is_under_way_may_publish_while_the_app_ends(tmp_path):
    path = tmp_path / "s.db"
    app = cep.App("shop", store=path)
    begun, go_on = threading.Event(), threading.Event()

    @app.on("order", retries=0)
    async def ship(event):
        begun.set()
        while not go_on.is_set():
            await asyncio.sleep(0.001)
        await app.publish({"type": "shipped"})
        return {"type": "letter"}

    with app:
        app.send({"type": "order"}).wait(WAIT_S)
        assert begun.wait(WAIT_S)
        # The block ends with this thread still on its way out.
        started(lambda: (threading.Event().wait(0.05), go_on.set()))
    with cep.EventStore(path, read_only=True) as store:
        assert {"shipped", "letter"} <= set(store.info().topics)
        assert "cepheid.deadletter" not in store.info().topics


def test_who_asks_while_the_app_ends_gets_an_answer():
    app = cep.App("shop")
    app.on("order", name="note")(lambda event: None)
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            try:
                answers.append(app.retry("note"))
                app.send({"type": "order"})
            except AppError as error:
                answers.append(error.code)
                if error.code == "app-not-running":
                    return

    with app:
        threads = [started(ask) for _ in range(3)]
        app.send({"type": "order"}).wait(WAIT_S)
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive(), "nobody answers"
    stop.set()
    assert set(answers) <= {0, "app-closed", "app-not-running"}


def test_stats_can_be_asked_for_while_everything_moves():
    app = cep.App("shop", cep.event("a", "x > 3", topic="order").named("large"))
    app.on("order", concurrency=4, key="x", name="note")(lambda event: {"type": "seen"})
    wrong = []

    def ask():
        while app._running is not None:
            try:
                app.stats()
                app.dead_letters()
            except BaseException as error:
                # It has ended meanwhile.
                if getattr(error, "code", None) in ("app-not-running", "store-closed"):
                    return
                wrong.append(error)
                return

    with app:
        threads = [started(ask) for _ in range(2)]
        for _ in range(20):
            app.send([{"type": "order", "x": x % 7} for x in range(50)]).wait(WAIT_S)
        assert app._running.drain(WAIT_S)
    for thread in threads:
        thread.join(WAIT_S)
    assert wrong == []


def test_an_app_publishes_from_several_loops():
    app = cep.App("shop", waiting_max=10)
    with app:

        def loop(first):
            async def main():
                await asyncio.gather(*(app.publish({"type": "order", "order": first + n}) for n in range(40)))

            asyncio.run(main())

        threads = [started(lambda first=first: loop(first)) for first in (0, 40, 80)]
        for thread in threads:
            thread.join(WAIT_S)
        assert sorted(app.store.read("order").to_arrow()["order"].to_pylist()) == list(range(120))


# The program.

PROGRAM = """
import asyncio, sys, threading, time
import cepheid as cep
app = cep.App("shop", store=sys.argv[1])
@app.on("tick")
async def slow(event):
    print("begun", flush=True)
    await asyncio.sleep(float(sys.argv[2]))
    print("done", flush=True)
    return {"type": "tock"}
@app.source(topic="tick")
async def ticks():
    try:
        yield {"count": 1}
        while True:
            await asyncio.sleep(0.01)
    finally:
        print("source ended", flush=True)
app.run(grace=sys.argv[3])
print("ended", flush=True)
"""


def run_program(tmp_path, slow, grace, *signals):
    code = textwrap.dedent(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "s.db"), str(slow), grace],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    for number in signals:
        process.send_signal(number)
    out, errors = process.communicate(timeout=WAIT_S)
    with cep.EventStore(tmp_path / "s.db") as store:
        topics = set(store.info().topics)
    return process.returncode, out, errors, topics


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_is_told_to_stop_ends_what_is_under_way(tmp_path, number):
    code, out, errors, topics = run_program(tmp_path, 0.3, "30s", number)
    assert (code, errors) == (0, "")
    assert out.split("\n")[-4:] == ["source ended", "done", "ended", ""] or "done" in out
    assert "tock" in topics


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals as POSIX has them")
def test_a_program_does_not_wait_for_ever_for_what_is_under_way(tmp_path):
    code, out, errors, topics = run_program(tmp_path, 1000, "50ms", signal.SIGTERM)
    assert (code, errors) == (0, "")
    assert out.endswith("ended\n")
    assert "tick" in topics
    assert "tock" not in topics


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals as POSIX has them")
def test_a_second_signal_ends_a_program_at_once(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path / "s.db"), "1000", "1000s"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "source ended\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_S) == -signal.SIGTERM
    process.stdout.close()
    with cep.EventStore(tmp_path / "s.db") as store:
        assert "tick" in store.info().topics


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_of_an_app_that_runs_harms_nobody():
    app = cep.App("shop")
    with app, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        app.send({"type": "order"}).wait(WAIT_S)
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        app.send({"type": "order"}).wait(WAIT_S)
        assert app.store.end == 2
