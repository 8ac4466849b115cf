"""Virtual time for users' own tests: it must fail when it should, and say why."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import event, ref
from cepheid.testing import START, Scenario

PAIR = (
    (event("a", "k = 'a'") >> event("b", "k = 'b'"))
    .partition_by("id")
    .within("10m")
    .timeouts()
    .select(x=ref("b").x)
    .named("pair")
)


def test_events_happen_when_the_test_says_so():
    stream = Scenario(PAIR)
    stream.feed({"k": "a", "id": 1, "x": 1.5}, {"k": "a", "id": 2, "x": 2.5}, at="1m")
    stream.feed(at=dt.timedelta(minutes=2), k="b", id=2, x=3).expect("pair", {"id": 2, "x": 3.0, "match_start": "1m"})
    assert stream.now == START + dt.timedelta(minutes=2)
    stream.advance(to="11m").expect("pair.timeout", {"id": 1, "match_end": START + dt.timedelta(minutes=1)})
    stream.expect_nothing()
    assert repr(stream) == "<Scenario at 0:11:00: nothing waits to be expected>"


def test_times_are_relative_absolute_or_those_of_a_table():
    start = dt.datetime(2030, 6, 1)
    stream = Scenario(event("a").named("seen"), start=start, event_time="when")
    stream.feed({"when": "5m"}, {"when": dt.datetime(2030, 6, 1, 0, 6, tzinfo=dt.UTC)})
    stream.feed(pa.table({"when": pa.array([start + dt.timedelta(minutes=7)], pa.timestamp("us", "UTC"))}))
    stream.expect("seen", {"match_start": "5m"}, {"match_start": "6m"}, {"match_start": "7m"})
    assert stream.now == dt.datetime(2030, 6, 1, 0, 7, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"x": 2}], ["event 0: `x` is 1, expected 2"]),
        ([{"x": 1}], ["expected 1 event, got 2", "event 1: not expected, got {", "x: 2"]),
        ([{"x": 1}, {"x": 2}, {"x": 3}], ["expected 3 events, got 2", "event 2: missing, expected {x: 3}"]),
        ([{"x": 2}, {"x": 1}], ["event 0: `x` is 1, expected 2", "event 1: `x` is 2, expected 1"]),
        ([{"y": 1}, {"x": 2}], ["event 0: there is no column `y` (there are `match_number`"]),
        ([{"x": True}, {"x": 2}], ["event 0: `x` is 1, expected True"]),
        ([{"match_start": "1m"}, {"x": 2}], ["event 0: `match_start` is", "expected '1m'"]),
    ],
)
def test_other_events_than_expected_fail_and_say_how(rows, said):
    stream = Scenario(event("a").select(x="a.x").named("seen")).feed({"x": 1}, {"x": 2}, at="0s")
    with pytest.raises(AssertionError) as caught:
        stream.expect("seen", *rows)
    for text in said:
        assert text in str(caught.value)
    stream.expect("seen", {"x": 1}, {"x": 2})


def test_a_count_will_do():
    stream = Scenario(event("a").named("seen")).feed({"x": 1}, {"x": 2}, at="0s")
    with pytest.raises(AssertionError, match="expected 3 events, got 2"):
        stream.expect("seen", count=3)
    stream.expect("seen", count=2).expect("seen", count=0)


def test_what_nobody_expected_fails_at_the_end():
    with pytest.raises(AssertionError, match=r"(?s)at 0:00:01 nothing was expected.*'seen': \{"):  # noqa: SIM117
        with Scenario(event("a").named("seen")) as stream:
            stream.feed(at="1s", x=1)
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117
        with Scenario(event("a").named("seen")) as stream:
            stream.feed(at="1s", x=1)
            raise ZeroDivisionError
    stream = Scenario([event("a").named("one"), event("a").named("two")]).feed(at="1s", x=1)
    stream.expect("one", {}).expect_nothing("one")
    with pytest.raises(AssertionError, match="'two'"):
        stream.expect_nothing()
    with pytest.raises(AssertionError, match="of other topics: 'two' 1"):
        stream.expect("one", {})


def test_late_and_idle_topics_behave_as_in_an_engine():
    both = (event("a", topic="left") >> event("b", topic="right")).within("1h").named("both")
    stream = Scenario(both, idle="10m")
    stream.feed(at="0m", topic="left", x=1).feed(at="1m", topic="right", x=1).expect_nothing()
    stream.feed(at="30m", topic="left", x=1).expect("both", {"match_start": "0m"})
    stream.feed(at="2m", topic="right", x=1).expect("right.late", {"ts": "2m", "x": 1})


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_a_restart_in_the_middle_changes_nothing(threads):
    stream = Scenario(PAIR, lateness="1m").feed(at="0m", k="a", id=1, x=1.0)
    stream.restart(threads=threads).feed(at="1m", k="b", id=1, x=None)
    stream.restart(threads=threads).flush().expect("pair", {"id": 1, "x": None})


def test_a_restart_keeps_the_limit_on_memory():
    many = [{"k": "a", "id": 1, "x": 1.0}] * 2_000
    for stream in (Scenario(PAIR, memory_limit="20kB"), Scenario(PAIR, memory_limit="20kB").restart()):
        with pytest.raises(cep.StateLimitError) as caught:
            stream.feed(*many, at="1m")
        assert caught.value.limit == 20_000


@pytest.mark.parametrize(
    "call",
    [
        lambda stream: stream.feed(),
        lambda stream: stream.feed(x=1),
        lambda stream: stream.feed({"x": 1}, pa.table({"ts": [1]}), at="0s"),
        lambda stream: stream.feed(pa.table({"ts": [1]}), at="0s"),
        lambda stream: stream.advance(),
        lambda stream: stream.advance(to="1m", by="1m"),
        lambda stream: stream.expect("seen"),
        lambda stream: stream.expect("seen", {}, count=1),
    ],
)
def test_calls_that_say_nothing_or_too_much_are_refused(call):
    with pytest.raises(TypeError):
        call(Scenario(event("a")))


def test_the_engine_is_there_to_be_asked():
    stream = Scenario(PAIR).feed(at="0m", k="a", id=1, x=1.0)
    assert isinstance(stream.engine, cep.Engine)
    assert stream.engine.stats().live_runs == 1
    assert stream.pending == {}
