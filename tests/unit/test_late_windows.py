"""Windows that are reported again when late rows come to a stream."""

import datetime as dt
import random

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col

SECOND = 1_000_000_000
EVERY = cep.window(n=cep.count()).tumbling("10s").named("every")


def totals(**emitted):
    window = cep.window(total=col.amount.sum(), n=cep.count(), by="shop", **emitted)
    return window.tumbling("10s").with_late(for_="1m").named("totals")


def rows(*times, shop="a"):
    return {
        "ts": [time * SECOND for time in times],
        "shop": [shop] * len(times),
        "amount": [10 * time for time in times],
    }


def said(derived):
    found = derived.get("totals", ())
    return [(row["window_timing"], row["window_start"] // SECOND, row["total"], row["n"]) for row in found]


def test_how_long_late_rows_are_waited_for_is_said_once_and_said_right():
    hours = cep.window(n=cep.count()).tumbling("1h")
    assert hours.with_late("1d").with_late(dt.timedelta(hours=1)) == hours.with_late(for_="1h")
    assert hours.with_late("1d").fingerprint != hours.fingerprint
    for wrong, kind in (("0s", cep.PatternError), (1.5, TypeError), (None, TypeError)):
        with pytest.raises(kind):
            hours.with_late(wrong)
    for window in (hours.early(rows=2), cep.window(n=cep.count()).session("1h"), cep.window(n=cep.count()).rows(3)):
        with pytest.raises(cep.PatternError, match="late"):
            window.with_late("1h")
    with pytest.raises(cep.PatternError, match="window_timing"):
        cep.window(window_timing=cep.count()).tumbling("1h").with_late("1h")


@pytest.mark.parametrize("late", ["side_output", "drop"])
def test_late_rows_are_counted_and_given_out_as_before(late):
    engine = cep.Engine(totals(), event_time="ts", lateness="0s", late=late, future=None)
    derived = engine.push(rows(1, 15, 2))
    assert said(derived) == [("on_time", 0, 10, 1), ("late", 0, 30, 2)]
    assert engine.stats().late == 1
    assert ("late" in derived) == (late == "side_output")
    refusing = cep.Engine(totals(), event_time="ts", lateness="0s", late="error", future=None)
    with pytest.raises(cep.LateEventError):
        refusing.push(rows(1, 15, 2))
    assert said(refusing.push(rows(15))) == []


def test_after_a_flush_windows_begin_anew():
    engine = cep.Engine(totals(), event_time="ts", lateness="0s", future=None)
    engine.push(rows(1, 12))
    assert said(engine.flush()) == [("on_time", 10, 120, 1)]
    # What was told of it was told; the window that the clock is in goes on with what comes now.
    assert said(engine.push(rows(2, 11))) == []
    assert said(engine.push(rows(25))) == [("on_time", 10, 110, 1)]
    assert said(engine.push(rows(13))) == [("late", 10, 240, 2)]


def test_a_rule_knows_nothing_of_windows_that_ended_before_it_was_added():
    engine = cep.Engine(EVERY, event_time="ts", lateness="0s", future=None)
    engine.push(rows(1, 15))
    engine.add(totals())
    restored = cep.Engine.restore(engine.snapshot(), [EVERY, totals()])
    for each in (engine, restored):
        assert said(each.push(rows(2, 16))) == []
        assert said(each.push(rows(12, 21, 17))) == [("on_time", 10, 280, 2), ("late", 10, 450, 3)]


def test_a_topic_of_late_reports_has_one_rule():
    other = cep.window(total=col.amount.sum(), n=cep.count(), by="shop").tumbling("5s").named("other").emit("totals")
    with pytest.raises(cep.PatternError, match="a topic of its own"):
        cep.Engine([totals(), other], event_time="ts", lateness="0s")
    engine = cep.Engine(totals(), event_time="ts", lateness="0s", future=None)
    with pytest.raises(cep.PatternError, match="a topic of its own"):
        engine.add(other)
    with pytest.raises(cep.PatternError, match="a topic of its own"):
        engine.add(totals().named("more").emit("totals"))
    assert list(engine.rules) == ["totals"]
    engine.push(rows(1, 15))
    assert said(engine.push(rows(2))) == [("late", 0, 30, 2)]


def test_a_pattern_reads_a_correction_when_its_time_is_over():
    grown = cep.event("before", "window_timing = 'on_time'", topic="totals").then(
        cep.event("after", "window_timing = 'late' AND total > before.total + 100", topic="totals")
    )
    pattern = grown.partition_by("shop", "window_start").within("1h").named("grown")
    engine = cep.Engine([totals(), pattern], event_time="ts", lateness="0s", future=None)
    engine.push(rows(3, 15))
    derived = engine.push(rows(2, 9))
    assert said(derived) == [("late", 0, 50, 2), ("late", 0, 140, 3)]
    assert "grown" not in derived
    (found,) = engine.push(rows(16))["grown"]
    assert (found["shop"], found["window_start"]) == ("a", 0)


def test_rows_are_let_go_when_no_window_of_theirs_is_reported_again():
    engine = cep.Engine(totals(), event_time="ts", lateness="0s", future=None)
    sizes = []
    for minute in range(60):
        # Ten rows a second, two keys, in order; and one that is 30 s late.
        times = [minute * 60 * SECOND + tenth * SECOND // 10 for tenth in range(600)]
        amounts = [tenth % 7 for tenth in range(600)]
        shops = ["ab"[tenth % 2] for tenth in range(600)]
        engine.push({"ts": times, "shop": shops, "amount": amounts})
        late = engine.push({"ts": [times[-1] - 30 * SECOND], "shop": ["a"], "amount": [1_000]})
        ((timing, _, total, n),) = said(late)
        assert (timing, n) == ("late", 51)
        assert total == 1_000 + sum(
            amount
            for amount, shop, time in zip(amounts, shops, times, strict=True)
            if shop == "a" and (time // SECOND) // 10 == (times[-1] // SECOND - 30) // 10
        )
        sizes.append(engine.stats().bytes)
    assert max(sizes[20:]) <= 1.2 * max(sizes[5:20])


def test_keys_with_rows_that_are_kept_are_remembered():
    window = cep.window(n=cep.count(), by="k").tumbling("1s").with_late("1h").named("totals")
    engine = cep.Engine(window, event_time="ts", lateness="0s", future=None)
    order = random.Random(5).sample(range(3_000), 3_000)
    # Each key once, a second apart: its window is over with the next.
    engine.push({"ts": [place * SECOND for place in range(3_000)], "k": order})
    engine = cep.Engine.restore(engine.snapshot(), window)
    late = engine.push({"ts": [place * SECOND for place in (5, 2_500)], "k": [order[5], order[2_500]]})
    assert [(row["k"], row["n"], row["window_timing"]) for row in late["totals"]] == [
        (order[5], 2, "late"),
        (order[2_500], 2, "late"),
    ]


def test_a_late_row_without_an_order_of_its_own_is_refused_with_nothing_changed():
    engine = cep.Engine(totals(), event_time="ts", lateness="0s", future=None)
    engine.push(rows(1, 15))
    before = engine.snapshot()
    for wrong in (
        {"ts": [None], "shop": ["a"], "amount": [1]},
        {"ts": [2 * SECOND], "shop": ["a"], "amount": ["x"]},
        {"ts": [2 * SECOND], "shop": ["a"]},
    ):
        with pytest.raises(cep.CepheidError):
            engine.push(wrong)
    assert engine.snapshot() == before
    assert said(engine.push(rows(2))) == [("late", 0, 30, 2)]


def test_a_sum_that_a_late_row_makes_too_large_changes_nothing():
    engine = cep.Engine(totals(), event_time="ts", lateness="0s", future=None)
    engine.push({"ts": [1 * SECOND, 15 * SECOND], "shop": ["a", "a"], "amount": [2**62, 1]})
    before = engine.snapshot()
    with pytest.raises(cep.CepheidError):
        engine.push({"ts": [2 * SECOND], "shop": ["a"], "amount": [2**62]})
    assert engine.snapshot() == before
    assert said(engine.push({"ts": [2 * SECOND], "shop": ["a"], "amount": [1]})) == [("late", 0, 2**62 + 1, 2)]


@pytest.mark.parametrize("first", ["nothing", "no rows", "rows"])
@pytest.mark.parametrize("restored", [False, True])
def test_a_flush_is_known_to_rules_whose_topic_comes_later(first, restored):
    late = cep.window(n=cep.count(), topic="b").tumbling("10s").with_late("1h").named("totals")
    other = cep.window(n=cep.count(), topic="a").tumbling("10s").named("other")
    engine = cep.Engine([late, other], event_time="ts", lateness="0s", future=None)
    if first != "nothing":
        engine.push(pa.table({"ts": pa.array([SECOND] if first == "rows" else [], pa.int64())}), "b")
    engine.push({"ts": [75 * SECOND]}, "a")
    engine.flush()
    if restored:
        engine = cep.Engine.restore(engine.snapshot(), [late, other])
    assert "totals" not in engine.push({"ts": [58 * SECOND]}, "b")
    # The window that the clock is in has not ended.
    engine.push({"ts": [72 * SECOND]}, "b")
    engine.push({"ts": [90 * SECOND]}, "a")
    (found,) = engine.push({"ts": [90 * SECOND]}, "b")["totals"]
    assert (found["window_timing"], found["window_start"], found["n"]) == ("on_time", 70 * SECOND, 1)
