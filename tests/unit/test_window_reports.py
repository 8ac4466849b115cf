"""Windows that are reported early, and windows without rows: how they are asked for, and what they say of tables."""

import datetime as dt

import pyarrow as pa
import pyarrow.compute
import pytest

import cepheid as cep
from cepheid import col

SECOND = 1_000_000_000


def per_shop():
    return cep.window(total=col.amount.sum(), n=cep.count(), by="shop")


def test_what_is_reported_early_is_said_once_and_said_right():
    hours = cep.window(n=cep.count()).tumbling("1h")
    assert hours.early(rows=2).early(rows=3) == hours.early(rows=3)
    assert hours.with_empty("1d").with_empty() == hours.with_empty()
    assert hours.early(rows=2).fingerprint != hours.fingerprint != hours.with_empty().fingerprint
    assert hours.early(every=dt.timedelta(minutes=1)) == hours.early(every="1m")
    for wrong in ({}, {"every": "1m", "rows": 2}, {"rows": True}, {"rows": 1.5}, {"every": 1.5}):
        with pytest.raises(TypeError):
            hours.early(**wrong)
    for wrong, code in (({"every": "0s"}, "invalid-within"), ({"rows": 0}, "invalid-clause")):
        with pytest.raises(cep.PatternError) as caught:
            hours.early(**wrong)
        assert caught.value.code == code
    with pytest.raises(cep.PatternError, match="longer than zero"):
        hours.with_empty("0s")
    for window in (per_shop().rows(10), per_shop().sliding("1m")):
        with pytest.raises(cep.PatternError, match="decided by their rows"):
            window.early(rows=2)
    for window in (per_shop().rows(10), per_shop().sliding("1m"), per_shop().session("1m")):
        with pytest.raises(cep.PatternError, match="only tumbling and hopping"):
            window.with_empty()


def test_more_empty_windows_than_there_is_room_for_are_an_error_not_a_standstill():
    instants = cep.window(n=cep.count()).tumbling("1ms").with_empty()
    far = {"ts": pa.array([0, 10**9 * 86_400 * 30], pa.timestamp("ns"))}
    with pytest.raises(cep.StateLimitError) as caught:
        cep.aggregate(instants, far)
    assert caught.value.code == "too-large"
    assert "16777216 windows" in str(caught.value)
    assert len(cep.aggregate(cep.window(n=cep.count()).tumbling("1ms").with_empty(for_="1s"), far)) == 1_001


def test_early_reports_and_empty_windows_read_like_any_others():
    window = per_shop().tumbling("10s").early(every="5s").with_empty(for_="20s")
    ts = [second * SECOND for second in (1, 2, 3, 9, 10, 12, 31)]
    orders = {"ts": ts, "shop": ["a", "a", "b", "a", "a", "b", None], "amount": [5, 3, 7, None, 9, 1, 4]}
    found = cep.aggregate(window, orders)
    assert found.column_names == ["shop", "window_start", "window_end", "window_timing", "total", "n"]
    said = [(row["window_timing"], row["window_end"] // SECOND, row["shop"], row["n"]) for row in found]
    assert said == [
        ("early", 10, "a", 2), ("early", 10, "b", 1),
        ("on_time", 10, "a", 3), ("on_time", 10, "b", 1),
        ("early", 20, "a", 1), ("early", 20, "b", 1),
        ("on_time", 20, "a", 1), ("on_time", 20, "b", 1),
        ("on_time", 30, "a", 0), ("on_time", 30, "b", 0),
        ("early", 40, None, 1), ("on_time", 40, None, 1),
    ]  # fmt: skip
    assert cep.aggregate(window, orders, threads=3).to_arrow() == found.to_arrow()


def test_a_row_may_be_in_very_many_windows_that_are_reported_early():
    ts = [0, 40_000 * SECOND, 86_399 * SECOND]
    window = cep.window(n=cep.count()).hopping("1d", every="1s").early(rows=2)
    found = cep.aggregate(window, {"ts": ts}).to_arrow()
    counts = found.group_by("window_timing").aggregate([("n", "sum")]).to_pylist()
    # Each row is in 86,400 windows: of 46,400 the second row is the second one, of 40,000 the third.
    assert {row["window_timing"]: row["n_sum"] for row in counts}["on_time"] == 3 * 86_400
    assert found.filter(pa.compute.equal(found["window_timing"], "early")).num_rows == 46_400 + 40_000


def test_what_is_left_of_a_silence_is_counted_not_all_of_it():
    keys = 5_000
    window = cep.window(n=cep.count(), by="k").tumbling("1s").with_empty("20s").named("w")
    engine = cep.Engine(window, event_time="ts", lateness="0s", future=None)
    engine.push({"ts": [0] * keys, "k": list(range(keys))})
    engine.advance_to(10 * SECOND)
    # As many windows as 25 million end until then, of which ten of each key are reported.
    assert len(engine.advance_to(5_000 * SECOND)["w"]) == 10 * keys
    assert engine.advance_to(9_000 * SECOND) == {}


@pytest.mark.parametrize("every", [dt.timedelta(days=1), dt.timedelta(days=60_000)])
def test_the_clock_of_early_reports_strikes_at_whole_multiples_to_the_ends_of_time(every):
    day = 86_400 * SECOND
    first_time, first_day = -(2**63), -(2**63) // day * day + day
    ts = [first_time + 5, first_day + 5, first_day + 6]
    window = cep.window(n=cep.count()).session("2d").early(every=every).named("w")
    expected = [("early", 1), ("early", 3), ("on_time", 3)] if every.days == 1 else [("on_time", 3)]
    assert [(row["window_timing"], row["n"]) for row in cep.aggregate(window, {"ts": ts})] == expected
    engine, said = cep.Engine(window, event_time="ts", lateness="0s", future=None), []
    for time in ts:
        derived = engine.push({"ts": [time]})
        said += [(row["window_timing"], row["n"]) for row in derived.get("w", ())]
        engine = cep.Engine.restore(engine.snapshot(), window)
    assert said + [(row["window_timing"], row["n"]) for row in engine.flush()["w"]] == expected
    engine = cep.Engine(window, event_time="ts", lateness="0s", future=None)
    engine.push({"ts": [2**63 - 3 * day]})
    cep.Engine.restore(engine.snapshot(), window).push({"ts": [2**63 - 3 * day + 1]})
