"""What an app holds does not grow with what it has done: an hour, a day of virtual time; a key that fails for ever."""

import gc
import os
import sys
from pathlib import Path

import pytest

import cepheid as cep

DEEP = bool(os.environ.get("CEPHEID_DEEP"))
SOAK_S = 86_400 if DEEP else 300
EVENTS = 200_000 if DEEP else 2_000
# After what is made once, memory may still be given back late.
GROWTH_MAX = 1.15

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_day_with_an_event_a_second_leaves_nothing_behind() -> None:
    small = cep.event("small", "amount < 5", topic="payment").at_least(2)
    big = cep.event("big", "amount > 500", topic="payment")
    fraud = (small >> big).partition_by("card").within("10m").named("fraud")
    paid = cep.event("paid", "amount > 500", topic="payment")
    idle = (cep.event("one", "amount = 3", topic="payment") >> cep.absent(paid, for_="1m")).partition_by("card")
    app = cep.App("bank", [fraud, idle.named("idle")], checkpoint="1m")
    counts = dict.fromkeys(("cases", "told"), 0)

    @app.on("fraud", key="card")
    def open_case(event: dict) -> dict:
        counts["cases"] += 1
        return {"type": "case", "card": event["card"]}

    @app.action("case", key="card", retries=cep.Retry(3, first="1s"))
    def tell(event: dict, context: cep.actions.ActionContext) -> None:
        if context.attempt == 1 and context.position % 7 == 0:
            raise OSError("not now")
        counts["told"] += 1

    with app.test() as test:
        warm = 0
        for second in range(SOAK_S):
            turn = second // 10
            amount = 900 if turn % 9 == 8 else turn % 7
            test.publish("payment", card=f"c-{second % 10}", amount=amount)
            test.advance("1s")
            if second == SOAK_S // 4:
                warm = resident_bytes()
        grown = resident_bytes() / warm
        test.advance("1h")
        stats = app.stats()
        assert stats.events == SOAK_S + counts["cases"]
        assert counts["cases"] == counts["told"] == len(test.events("fraud")) > SOAK_S // 100
        assert app.dead_letters() == []
        assert not any(handler.waiting for handler in stats.handlers.values())
        assert stats.rules.live_runs < 100
    assert not DEEP or grown < GROWTH_MAX, f"{grown:.2f} times as much"


def test_a_key_that_fails_for_ever_takes_no_memory_for_each_event(tmp_path: Path) -> None:
    app = cep.App("shop", store=tmp_path / "s.db", quiet=None)

    @app.on("order", key="customer", retries=0, concurrency=64)
    def handle(event: dict) -> None:
        if event["customer"] == 0:
            raise OSError("never")

    warm = 0
    with app:
        follower = app._running.dispatcher.followers["handle"]
        for first in range(0, EVENTS, 1_000):
            numbers = range(first, first + 1_000)
            app.send({"customer": [number % 10 for number in numbers], "number": list(numbers)}, "order").wait(300)
            assert app._running.drain(600)
            held = [follower._open, follower._lanes, follower._heads, follower.parking, follower._again]
            assert sum(map(len, held)) == 0
            assert follower._parked == {"0": (first + 1_000) // 10}
            assert len(app.store.load(follower.state_name)) < 200
            if first == EVENTS // 4:
                warm = resident_bytes()
        grown = resident_bytes() / warm if warm else 1.0
        assert len(app.dead_letters()) == EVENTS // 10
        done = app.stats().handlers["handle"].done
    assert done == EVENTS * 9 // 10
    assert not DEEP or grown < GROWTH_MAX, f"{grown:.2f} times as much"
