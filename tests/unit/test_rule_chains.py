"""Rules that read what other rules derive."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import absent, col, event, ref

SPIKE = event("a", col.v > 9, topic="in").partition_by("k").select(v=ref("a").v).named("spike")
PAIR = (
    (event("one", topic="spike") >> event("two", topic="spike"))
    .partition_by("k")
    .within("10ns")
    .select(first=ref("one").v, second=ref("two").v, began=ref("one").ts)
    .named("pair")
)


def rows(*of: tuple[int, str, int]) -> list[dict[str, object]]:
    return [{"ts": ts, "k": k, "v": v} for ts, k, v in of]


def found(*derived: cep.Derived) -> dict[str, list[dict[str, object]]]:
    all_of: dict[str, list[dict[str, object]]] = {}
    for each in derived:
        for topic, matches in each.items():
            table = matches.to_arrow()
            own = [name for name in table.column_names if not name.startswith("match_")]
            all_of.setdefault(topic, []).extend(table.select(own).to_pylist())
    return all_of


@pytest.mark.parametrize("order", [(SPIKE, PAIR), (PAIR, SPIKE)])
def test_a_pattern_reads_the_matches_of_another_in_whatever_order_they_are_given(order):
    engine = cep.Engine(list(order))
    first = engine.push(rows((1, "x", 10), (2, "y", 11), (3, "x", 5), (4, "x", 12)), "in")
    # Of time 4 more may come: what reads derived events waits till the time is over.
    assert [row["v"] for row in found(first)["spike"]] == [10, 11, 12]
    assert "pair" not in first
    second = engine.push(rows((5, "z", 0)), "in")
    assert found(second) == {"pair": [{"k": "x", "first": 10, "second": 12, "began": 1}]}
    assert second["pair"].rows.to_pylist() == [
        {"match": 0, "variable": "one", "row": 0, "topic": "spike"},
        {"match": 0, "variable": "two", "row": 2, "topic": "spike"},
    ]


def test_advance_to_closes_a_time_for_all_levels():
    engine = cep.Engine([SPIKE, PAIR], lateness=None)
    engine.push(rows((1, "x", 10), (4, "x", 12)), "in")
    assert list(engine.advance_to(4)) == ["spike", "pair"]


def test_a_pattern_reads_windows_and_a_window_reads_patterns():
    totals = cep.window(total=col.v.sum(), topic="in", by="k").tumbling("10ns").named("totals")
    rising = (
        cep.seq(event("low", topic="totals"), event("high", col.total > ref("low").total, topic="totals"))
        .partition_by("k").within("1us").select(rise=ref("high").total - ref("low").total, at=ref("high").ts)
        .named("rising")
    )  # fmt: skip
    alarms = cep.window(n=cep.count(), most=col.rise.max(), topic="rising").tumbling("100ns").named("alarms")
    engine = cep.Engine([alarms, rising, totals])
    got = found(
        engine.push(rows((1, "x", 1), (2, "x", 2), (11, "x", 7)), "in"),
        engine.push(rows((21, "x", 9)), "in"),
        engine.push(rows((35, "x", 1)), "in"),
        engine.flush(),
    )
    assert [row["total"] for row in got["totals"]] == [3, 7, 9, 1]
    # The time of a window is its end.
    assert got["rising"] == [{"k": "x", "rise": 4, "at": 20}]
    assert got["alarms"] == [{"window_start": 0, "window_end": 100, "n": 1, "most": 4}]


def test_timeouts_and_intermediate_outputs_are_read_at_the_time_of_their_decision():
    order = (
        (event("order", col.kind == "order") >> event("paid", col.kind == "paid"))
        .partition_by("k").within("5ns").timeouts(True).emit_at("order", "placed", k2=ref("order").k)
        .select(k2=ref("order").k).named("done")
    )  # fmt: skip
    unpaid = event("t", topic="done.timeout").select(late=ref("t").k2, at=ref("t").ts).named("unpaid")
    placed = event("p", topic="placed").select(k=ref("p").k2, at=ref("p").ts).named("seen")
    engine = cep.Engine([unpaid, placed, order.partition_by("k")])
    events = [
        {"ts": 1, "k": "x", "kind": "order"},
        {"ts": 2, "k": "y", "kind": "order"},
        {"ts": 3, "k": "y", "kind": "paid"},
    ]
    got = found(engine.push(events), engine.push([{"ts": 9, "k": "z", "kind": "other"}]), engine.flush())
    assert got["unpaid"] == [{"late": "x", "at": 6}]
    assert got["seen"] == [{"k": "x", "at": 1}, {"k": "y", "at": 2}]


def test_a_deadline_of_a_rule_that_reads_derived_events_fires_when_the_clock_reaches_it():
    quiet = (
        (event("s", topic="spike") >> absent(event("n", topic="spike"), for_="5ns")).partition_by("k").named("quiet")
    )
    engine = cep.Engine([SPIKE, quiet])
    assert "quiet" not in engine.push(rows((1, "x", 10)), "in")
    assert "quiet" not in engine.push(rows((5, "x", 0)), "in")
    assert len(engine.push(rows((6, "x", 0)), "in")["quiet"]) == 1


def test_a_rule_reads_sources_and_derived_topics_together_and_equal_times_go_by_topic():
    both = (
        cep.seq(event("raw", topic="in"), event("spike", topic="spike"), contiguity="strict")
        .within("1us").select(raw=ref("raw").v, spike=ref("spike").v, at=ref("spike").ts).named("both")
    )  # fmt: skip
    other = (
        cep.seq(event("spike", topic="spike"), event("raw", topic="in"), contiguity="strict")
        .within("1us").select(raw=ref("raw").v, spike=ref("spike").v).named("other")
    )  # fmt: skip
    for topics, expected in ((["in", "spike"], "both"), (["spike", "in"], "other")):
        engine = cep.Engine([SPIKE, both, other], topics=topics, lateness=None)
        engine.push(rows((1, "x", 10), (2, "x", 20)), "in")
        got = found(engine.advance_to(2))
        assert [(row["raw"], row["spike"]) for row in got[expected]] == [(10, 10), (20, 20)]


def test_two_rules_derive_a_topic_that_a_third_reads():
    small = event("a", col.v < 3, topic="in").partition_by("k").select(v=ref("a").v).emit("odd").named("small")
    large = event("a", col.v > 9, topic="in").partition_by("k").select(v=ref("a").v).emit("odd").named("large")
    third = (event("b", topic="odd") >> event("c", topic="odd")).within("1us").select(b=ref("b").v, c=ref("c").v)
    engine = cep.Engine([third.named("third"), small, large])
    got = found(engine.push(rows((1, "x", 10), (2, "y", 5), (3, "x", 1)), "in"), engine.flush())
    assert [row["v"] for row in got["odd"]] == [10, 1]
    assert got["third"] == [{"b": 10, "c": 1}]


def test_a_row_of_a_topic_that_a_rule_does_not_read_says_nothing_of_rows_of_its_own():
    """All predicates are asked of all rows; those of other topics are left out of what a rule is given."""
    pair = (event("a", "k = 'b'", topic="left") >> event("b", "k = 'a'", topic="left")).within("1us").named("pair")
    other = cep.window(n=cep.count(), topic="right").tumbling("1us").named("other")
    engine = cep.Engine([pair, other], lateness=None)
    engine.push(rows((4, "a", 0), (5, "a", 0), (7, "a", 0)), "left")
    engine.push(rows((6, "b", 0), *((8 + n, "c", 0) for n in range(6))), "right")
    assert list(engine.flush()) == ["other"]


def test_cycles_are_refused_with_the_way_round():
    first = event("x", topic="second").named("first")
    second = event("x", topic="first").named("second")
    with pytest.raises(cep.PatternError) as caught:
        cep.Engine([first, second])
    assert caught.value.code == "rule-cycle"
    assert "first -> second -> first" in str(caught.value) or "second -> first -> second" in str(caught.value)
    with pytest.raises(cep.PatternError, match="alone -> alone") as caught:
        cep.Engine(event("x", topic="alone").named("alone"))
    assert caught.value.code == "rule-cycle"
    engine = cep.Engine([SPIKE, PAIR])
    with pytest.raises(cep.PatternError) as caught:
        engine.replace("spike", event("a", topic="pair").partition_by("k").select(v=ref("a").first).named("spike"))
    assert caught.value.code == "rule-cycle"
    assert "pair -> spike -> pair" in str(caught.value)
    assert found(engine.push(rows((1, "x", 10), (2, "x", 11)), "in"), engine.flush()).keys() == {"spike", "pair"}


def test_rules_that_others_read_do_not_go_and_do_not_come_behind_them():
    engine = cep.Engine([SPIKE, PAIR])
    for change in (lambda: engine.remove("spike"), lambda: engine.replace("spike", SPIKE.emit("elsewhere"))):
        with pytest.raises(cep.PatternError, match="remove `pair` first") as caught:
            change()
        assert caught.value.code == "rule-read"
    engine.remove("pair")
    engine.remove("spike")
    engine.add(PAIR)
    with pytest.raises(cep.PatternError) as caught:
        engine.add(SPIKE)
    assert caught.value.code == "rule-order"
    assert engine.rules == ("pair",)
    engine.remove("pair")
    engine.add(SPIKE)
    engine.add(PAIR)
    assert found(engine.push(rows((1, "x", 10), (2, "x", 11)), "in"), engine.flush()).keys() == {"spike", "pair"}


def test_one_topic_is_derived_on_one_level():
    with pytest.raises(cep.SchemaError, match="both emit `loud`") as caught:
        cep.Engine([SPIKE, PAIR.emit("loud"), event("b", topic="in").emit("loud").named("other")])
    assert caught.value.code == "topic-levels"


def test_rows_of_a_derived_topic_are_not_pushed():
    engine = cep.Engine([SPIKE, PAIR])
    with pytest.raises(cep.SchemaError) as caught:
        engine.push(rows((1, "x", 1)), "spike")
    assert caught.value.code == "derived-topic"
    # The topic may be left out: rules read one that is pushed.
    assert len(engine.push(rows((1, "x", 10)))["spike"]) == 1


def test_a_pattern_says_of_all_its_variables_which_topics_they_are_of():
    with pytest.raises(cep.PatternError, match="any topic") as caught:
        cep.Engine([SPIKE, (event("a", topic="spike") >> event("b")).within("1us").named("mixed")])
    assert caught.value.code == "unsupported"


def test_an_error_on_any_level_leaves_everything_as_it_was():
    ratio = cep.window(r=(col.first / (col.second - 11)).max(), topic="pair").tumbling("10ns").named("ratio")
    counts = cep.window(n=cep.count(), topic="spike").rows(2).named("counts")
    engine = cep.Engine([SPIKE, PAIR, ratio, counts], lateness=None)
    engine.push(rows((1, "x", 10), (2, "x", 11), (21, "x", 12)), "in")
    before = engine.snapshot()
    with pytest.raises(cep.EvaluationError):
        engine.advance_to(30)
    assert engine.snapshot() == before
    engine.replace("ratio", cep.window(n=cep.count(), topic="pair").tumbling("10ns"))
    got = found(engine.advance_to(30))
    assert (len(got["spike"]), len(got["pair"]), got["counts"], [row["n"] for row in got["ratio"]]) == (3, 1, [
        {"window_start": 1, "window_end": 2, "n": 2}
    ], [1])  # fmt: skip


def test_a_column_that_no_derived_event_has_is_told_of_with_the_first_rows():
    engine = cep.Engine([SPIKE, event("b", col.colour == 1, topic="spike").named("blind")])
    with pytest.raises(cep.SchemaError) as caught:
        engine.push(rows((1, "x", 1)), "in")
    assert caught.value.code == "unknown-column"
    assert "colour" in str(caught.value)


def test_the_time_of_a_derived_event_is_the_column_of_the_event_time_whatever_the_rule_calls_so():
    named = event("a", topic="in").select(ts=ref("a").v, v=ref("a").v).named("named")
    read = event("b", topic="named").select(at=ref("b").ts).named("read")
    engine = cep.Engine([named, read])
    got = found(engine.push(rows((5, "x", 100)), "in"), engine.flush())
    assert got["named"] == [{"ts": 100, "v": 100}]
    assert got["read"] == [{"at": 5}]


def test_the_times_are_of_the_type_of_the_sources():
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    pair = PAIR.within("1h")
    engine = cep.Engine([SPIKE, pair])
    events = [{"ts": start + dt.timedelta(minutes=m), "k": "x", "v": 10} for m in (0, 3)]
    got = found(engine.push(events, "in"), engine.flush())
    assert got["pair"][0]["began"] == start


@pytest.mark.parametrize("threads", [1, 3])
def test_snapshots_hold_all_levels(threads):
    totals = cep.window(total=col.first.sum(), topic="pair", by="k").sliding("20ns").named("totals")
    rules = [PAIR, totals, SPIKE]
    events = rows(*((t, "xy"[t % 2], 8 + t % 5) for t in range(1, 40)))
    whole = cep.Engine(rules)
    expected = found(whole.push(events, "in"), whole.flush())
    assert len(expected["totals"]) > 3
    engine, got = cep.Engine(rules), []
    for row in events:
        got.append(engine.push([row], "in"))
        engine = cep.Engine.restore(engine.snapshot(), rules, threads=threads)
    assert found(*got, engine.flush()) == expected
    assert engine.stats().waiting == 0


def test_a_snapshot_is_of_rules_that_read_each_other_in_the_same_way():
    blob = cep.Engine([SPIKE, PAIR]).snapshot()
    with pytest.raises(cep.StoreError):
        cep.Engine.restore(blob, [SPIKE, event("one", topic="in").named("pair")])


def test_state_of_every_level_counts_against_the_limit():
    engine = cep.Engine([SPIKE, PAIR.within(None).matches("all")], memory_limit="64kB", lateness=None)
    with pytest.raises(cep.StateLimitError):
        for t in range(1, 4000):
            engine.push(rows((t, "x", 10)), "in")
            engine.advance_to(t)
    assert engine.stats().bytes <= 64_000


def test_after_the_end_of_the_input_levels_go_on():
    engine = cep.Engine([SPIKE, PAIR])
    engine.push(rows((1, "x", 10)), "in")
    assert not engine.flush().keys() - {"spike"}
    got = found(engine.push(rows((2, "x", 11), (3, "x", 12)), "in"), engine.flush())
    assert got["pair"] == [{"k": "x", "first": 11, "second": 12, "began": 2}]


def test_many_levels():
    chain = [event("a", topic="in").select(v=ref("a").v).named("r0")]
    chain += [
        event("a", topic=f"r{n}").select(v=ref("a").v + 1).named(f"r{n + 1}") for n in range(60)
    ]  # fmt: skip
    engine = cep.Engine(chain[::-1])
    got = found(engine.push(rows((1, "x", 0)), "in"), engine.push(rows((2, "x", 0)), "in"))
    assert got["r60"] == [{"v": 60}]


PAIRS = (event("left", topic="l") >> event("right", topic="r")).within("1m").select(x="right.x").named("pairs")


def test_columns_of_a_topic_that_has_sent_nothing_get_their_type_with_its_first_rows():
    total = cep.window(total=col.x.sum(), topic="pairs").tumbling("10ns").named("total")
    for rules in ([PAIRS, total], [total, PAIRS]):
        engine = cep.Engine(rules, lateness=None)
        engine.push({"ts": [1], "k": ["a"]}, "l")
        assert not engine.advance_to(2), "the left event waits for one whose columns nobody knows"
        engine = cep.Engine.restore(engine.snapshot(), rules)
        engine.push({"ts": [3], "x": [2.5]}, "r")
        derived = engine.flush()
        assert derived["pairs"].to_arrow()["x"].to_pylist() == [2.5]
        assert derived["total"].to_arrow()["total"].to_pylist() == [2.5]


def test_what_has_no_type_yet_is_not_told_to_rules_that_would_keep_it():
    late = PAIRS.timeouts(True)
    reader = cep.window(n=cep.count(), worst=col.x.max(), topic="pairs.timeout").tumbling("1h").named("late")
    engine = cep.Engine([late, reader], lateness=None)
    engine.push({"ts": [1], "k": ["a"]}, "l")
    after = 61_000_000_000
    before = engine.snapshot()
    for _ in range(2):
        with pytest.raises(cep.SchemaError, match="reports columns of topic `r`, which has") as caught:
            engine.advance_to(after)
        assert caught.value.code == "schema-unknown"
        assert engine.snapshot() == before
    columns = pa.schema({"ts": pa.int64(), "x": pa.float64()})
    assert not engine.push(columns.empty_table(), "r")
    assert engine.advance_to(after)["pairs.timeout"].to_arrow().schema.field("x").type == pa.float64()
    assert engine.flush()["late"].to_arrow().select(["n", "worst"]).to_pylist() == [{"n": 1, "worst": None}]
    # Nobody reads it: it is told as it is.
    alone = cep.Engine(late, lateness=None)
    alone.push({"ts": [1], "k": ["a"]}, "l")
    assert len(alone.advance_to(after)["pairs.timeout"]) == 1
