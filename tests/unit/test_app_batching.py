"""How batches are made, and when attempts are: as the clock of a simulation says."""

import threading

import pytest

import cepheid as cep
from cepheid.errors import AppError, PatternError
from cepheid.runtime.batching import AdaptiveBatching
from cepheid.runtime.inbox import Inbox, Submission
from cepheid.runtime.policy import checked_rate

FIXED_S, ROW_S = 0.002, 1e-6


def simulated(per_second: float, seconds: float, *, target_s: float = 0.02, fixed_s: float = FIXED_S):
    """Rows that come evenly, in steps of a fixed cost and so much a row; gives latencies, sizes, the controller."""
    batching = AdaptiveBatching(target_s)
    now, arrived, latencies, sizes = 0.0, 0, [], []
    while now < seconds:
        waiting = int(now * per_second) - arrived
        if waiting <= 0:
            now = (arrived + 1) / per_second
            continue
        first = (arrived + 1) / per_second
        now = max(now, min(first + batching.linger_s, now + batching.linger_s))
        waiting = int(now * per_second) - arrived
        rows = min(waiting, batching.rows_max)
        started = now
        now += fixed_s + rows * ROW_S
        arrived += rows
        latencies.append(now - first)
        sizes.append(rows)
        batching.observe(started=started, ended=now, rows=rows, waiting=int(now * per_second) - arrived)
    return latencies, sizes, batching


def test_few_events_wait_for_nobody():
    latencies, sizes, batching = simulated(10, 20)
    assert max(sizes) == 1
    assert max(latencies) < 2 * FIXED_S
    assert batching.linger_s == 0.0


@pytest.mark.parametrize("per_second", [1_000, 10_000, 100_000])
def test_the_latency_that_is_aimed_at_is_kept_while_it_can_be(per_second):
    latencies, _, batching = simulated(per_second, 5)
    assert sorted(latencies)[int(len(latencies) * 0.99)] <= 0.02
    assert batching.stats().busy <= 1


def test_batches_grow_with_what_comes():
    few, many, most = (simulated(rate, 3)[1] for rate in (1_000, 100_000, 800_000))
    average = [sum(sizes) / len(sizes) for sizes in (few, many, most)]
    assert average[0] < average[1] / 5
    assert average[1] < average[2] / 2


def test_more_than_can_be_done_makes_batches_as_great_as_they_may_be():
    _, sizes, batching = simulated(2_000_000, 3)
    assert batching.rows_max == 262_144
    assert max(sizes) > 100_000


def test_batches_shrink_when_they_take_too_long_and_nothing_waits():
    batching = AdaptiveBatching(0.02)
    before = batching.rows_max
    for step in range(20):
        batching.observe(started=step, ended=step + 0.5, rows=batching.rows_max, waiting=0)
    assert batching.rows_max == 1024 < before


# The inbox.


def submission(rows):
    import pyarrow as pa

    return Submission(batches=[("t", pa.table({"x": list(range(rows))}))])


def test_an_inbox_takes_so_much_and_no_more():
    inbox = Inbox(10)
    inbox.put(submission(6), at=0.0)
    waiting = threading.Thread(target=inbox.put, args=(submission(6),), kwargs={"at": 0.0}, daemon=True)
    waiting.start()
    while not inbox._line:
        assert waiting.is_alive()
    assert (inbox.rows, len(inbox)) == (6, 1)
    inbox.put(submission(6), at=0.0, wait=False)
    assert (inbox.rows, len(inbox)) == (12, 2)
    assert [one.rows for one in inbox.take(7)] == [6]
    assert inbox._line
    assert [one.rows for one in inbox.take(1)] == [6]
    waiting.join(60)
    assert [one.rows for one in inbox.take(1)] == [6]
    inbox.put(submission(50), at=0.0)
    assert inbox.rows == 50, "what is greater than all the room goes in alone"


def test_what_is_put_back_comes_first():
    inbox = Inbox(100)
    for rows in (1, 2, 3):
        inbox.put(submission(rows), at=0.0)
    taken = inbox.take(3)
    inbox.put_back(taken)
    assert [one.rows for one in inbox.take(100)] == [1, 2, 3]
    assert inbox.rows == 0


def test_a_closed_inbox_gives_what_waited_and_takes_nothing():
    inbox = Inbox(100)
    inbox.put(submission(1), at=0.0)
    assert len(inbox.close(AppError("closed", code="app-closed"))) == 1
    with pytest.raises(AppError) as caught:
        inbox.put(submission(1), at=0.0)
    assert caught.value.code == "app-closed"


# When attempts are made.


def test_delays_double_up_to_the_greatest():
    retry = cep.Retry(10, first="1s", greatest="8s")
    for failures, most in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (500, 8)]:
        delays = [retry.delay(failures) for _ in range(200)]
        assert most / 2 <= min(delays) <= max(delays) <= most
    assert len(set(delays)) > 100, "drawn"


@pytest.mark.parametrize(("rate", "pause"), [("10/s", 0.1), ("60/m", 1.0), (2, 0.5), ("36/h", 100.0), ("0.5/s", 2.0)])
def test_rates_are_kept(rate, pause):
    limit, now, starts = checked_rate(rate), 0.0, []
    while len(starts) < 60:
        wait = limit.wait(now)
        if wait:
            now += wait
            continue
        limit.take(now)
        starts.append(now)
    room = max(1.0, 1 / pause)
    assert starts[-1] == pytest.approx((60 - room) * pause)


@pytest.mark.parametrize("rate", ["", "10", "10/x", "-1/s", "1/s/s", 0, -1, float("inf"), float("nan"), "0/s"])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(PatternError) as caught:
        checked_rate(rate)
    assert caught.value.code == "invalid-clause"


def test_a_breaker_opens_closes_and_opens_again():
    breaker = cep.CircuitBreaker(2, pause="10s")
    assert not breaker.failed(0.0)
    breaker.succeeded()
    assert not breaker.failed(1.0)
    assert breaker.failed(2.0)
    assert breaker.wait(5.0) == 7.0
    assert breaker.wait(12.0) == 0.0
    breaker.started()
    assert breaker.wait(12.0) is None, "one at a time"
    assert breaker.failed(13.0)
    assert breaker.wait(13.0) == 10.0
    breaker.started()
    breaker.succeeded()
    assert breaker.wait(13.0) == 0.0
    assert breaker.opened == 2


@pytest.mark.parametrize(("as_action", "commits_max"), [(False, 2), (True, 11)])
def test_what_handlers_have_done_is_committed_together_and_what_actions_have_done_at_once(as_action, commits_max):
    app = cep.App("shop")
    seen = []
    follow = app.action if as_action else app.on
    follow("order", concurrency=4, name="note")(lambda event: seen.append(event["number"]))
    with app.test() as test:
        test.publish([{"type": "order", "number": number} for number in range(40)])
        assert seen == list(range(40))
        # One of them is that of the events. A crash has an action done again for as many as may be under way.
        commits = app.stats().commits
    assert commits <= commits_max
    assert not as_action or commits == commits_max
