"""Windows as rules of an engine: reported as soon as no row of them can come any more."""

import pytest

import cepheid as cep
from cepheid import col, event

SECOND = 1_000_000_000


def orders(*rows):
    return [{"ts": second * SECOND, "shop": shop, "amount": amount} for second, shop, amount in rows]


def totals():
    return cep.window(total=col.amount.sum(), by="shop").tumbling("10s").named("totals")


def told(derived, topic="totals"):
    return [(row["shop"], row["window_end"] // SECOND, row["total"]) for row in derived.get(topic, ())]


def test_a_window_is_told_once_the_clock_has_passed_its_end():
    engine = cep.Engine(totals(), lateness="2s")
    assert told(engine.push(orders((1, "a", 5), (9, "b", 7)))) == []
    assert told(engine.push(orders((11, "a", 1)))) == [], "a row at 9 may still come"
    assert told(engine.push(orders((9, "a", 3)))) == []
    assert told(engine.push(orders((12, "b", 2)))) == [("a", 10, 8), ("b", 10, 7)]
    assert told(engine.flush()) == [("a", 20, 1), ("b", 20, 2)]
    assert engine.stats().rules[0].strategy == "windows"


def test_events_of_windows_say_that_their_rows_are_not_kept():
    both = cep.window(n=cep.count()).tumbling("10s").named("counts").emit("seen")
    engine = cep.Engine([both, totals()])
    derived = engine.push(orders((1, "a", 5), (11, "a", 5)))
    for topic in ("seen", "totals"):
        assert derived[topic].strategy == "windows"
        with pytest.raises(cep.PatternError, match="not kept"):
            _ = derived[topic].rows


def test_derived_events_say_how_their_rule_is_run():
    runs = (event("a") >> event("b", col.amount > cep.ref("a").amount)).named("rises").within("1h")
    lists = (event("a") >> event("b", col.amount > 4)).matches("all").named("pairs").within("1h").emit("found")
    engine = cep.Engine([runs, lists, totals(), cep.window(n=cep.count()).tumbling("10s").named("n").emit("n")])
    derived = engine.push(orders((1, "a", 3), (2, "b", 5), (11, "a", 1)))
    strategies = {rule.name: rule.strategy for rule in engine.stats().rules}
    assert {topic: derived[topic].strategy for topic in derived} == {
        "rises": strategies["rises"],
        "found": strategies["pairs"],
        "totals": "windows",
        "n": "windows",
    }
    assert {strategies["rises"], strategies["pairs"]} == {"waiting runs", "step lists"}


def test_a_python_predicate_of_derived_events_is_refused():
    big = cep.udf(lambda total: [value.as_py() > 3 for value in total], columns=["total"])
    reader = event("big", big, topic="totals").named("reader")

    def refused(build):
        with pytest.raises(
            cep.PatternError, match=r"`reader` .* `totals`, which rule `(totals|other)` derives"
        ) as caught:
            build()
        assert caught.value.code == "unsupported"

    refused(lambda: cep.Engine([totals(), reader]))
    refused(lambda: cep.Engine([reader, totals()]))
    engine = cep.Engine(totals())
    refused(lambda: engine.add(reader))
    assert engine.rules == ("totals",)
    engine = cep.Engine(reader)
    refused(lambda: engine.add(event("a").emit("totals").named("other")))
    refused(lambda: engine.add(event("a").emit_at("a", "totals", total=cep.ref("a").amount).named("other")))


def test_a_window_and_a_pattern_that_share_a_topic_must_have_one_shape():
    counts = cep.window(n=cep.count(), topic="left").tumbling("10s").named("counts").emit("seen")
    right = event("r", topic="right").select(n=cep.count()).named("rights").emit("seen")
    engine = cep.Engine([counts, right], lateness=None)
    engine.push(orders((1, "a", 5)), topic="left")
    before = engine.snapshot()
    # As soon as the columns of both are known: which call has events of both is a matter of how rows are pushed.
    with pytest.raises(cep.SchemaError) as caught:
        engine.push(orders((2, "a", 5)), topic="right")
    assert caught.value.code == "topic-conflict"
    assert "window_start" in str(caught.value)
    assert engine.snapshot() == before


def test_windows_and_patterns_stand_side_by_side():
    dear = event("dear", col.amount > 6).named("dear")
    engine = cep.Engine([totals().emit("shop.totals"), dear])
    assert engine.rules == ("totals", "dear")
    derived = engine.push(orders((1, "a", 5), (2, "a", 7), (13, "a", 1)))
    assert sorted(derived) == ["dear", "shop.totals"]
    assert told(derived, "shop.totals") == [("a", 10, 12)]


def test_windows_come_and_go_while_the_engine_runs():
    engine = cep.Engine({"n": cep.window(n=cep.count()).rows(2)})
    with pytest.raises(TypeError, match="no frame yet"):
        engine.add(cep.window(n=cep.count()))
    engine.add(totals().named("sums"))
    engine.replace("n", cep.window(n=cep.count()).rows(3))
    assert engine.rules == ("n", "sums")
    derived = engine.push(orders((1, "a", 5), (2, "a", 7), (3, "a", 1)))
    assert [row["n"] for row in derived["n"]] == [3]
    engine.remove("n")
    assert engine.rules == ("sums",)
    assert told(engine.flush(), "sums") == [("a", 10, 13)]


def test_a_snapshot_holds_windows_that_are_not_full():
    rule = totals()
    engine = cep.Engine(rule)
    engine.push(orders((1, "a", 5)))
    again = cep.Engine.restore(engine.snapshot(), rule)
    for one in (engine, again):
        assert told(one.push(orders((2, "a", 7), (10, "a", 1)))) == [("a", 10, 12)]


def test_a_python_predicate_is_a_condition_in_a_stream_too():
    even = cep.udf(lambda amount: [value % 2 == 0 for value in amount.to_pylist()], columns=["amount"])
    engine = cep.Engine(totals().where(even))
    assert told(engine.push(orders((1, "a", 5), (2, "a", 8), (10, "a", 1)))) == [("a", 10, 8)]


def test_a_window_reads_its_own_topic():
    rule = cep.window(n=cep.count(), topic="orders").tumbling("10s").named("n")
    engine = cep.Engine(rule)
    derived = engine.push(orders((1, "a", 5), (2, "a", 7)), topic="orders")
    assert [row["n"] for row in engine.flush()["n"]] == [2]
    assert not derived


def test_a_window_from_sql_is_a_rule():
    rule = cep.window_from_sql(
        """SELECT shop, window_end, SUM(amount) AS total
        FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND))
        GROUP BY shop, window_start, window_end"""
    )
    engine = cep.Engine({"totals": rule})
    assert told(engine.push(orders((1, "a", 5), (10, "a", 1)))) == [("a", 10, 5)]
    with pytest.raises(cep.PatternError, match="it goes by `ts`"):
        cep.Engine(rule, event_time="time")


def test_a_stream_says_what_the_table_says():
    rows = orders(*((second * 7 % 45, "abc"[second % 3], second) for second in range(60)))
    rows.sort(key=lambda row: row["ts"])
    asked = cep.window(cep.count(), col.amount.sum(), last=col.amount, by="shop")
    for window in (asked.hopping("9s", every="4s"), asked.session("5s"), asked.rows(4, every=3), asked.sliding("6s")):
        whole = list(cep.aggregate(window, rows))
        for size in (1, 7, 60):
            engine = cep.Engine(window.named("w"))
            found = []
            for first in range(0, len(rows), size):
                found += list(engine.push(rows[first : first + size]).get("w", ()))
            found += list(engine.flush().get("w", ()))
            assert found == whole
    assert len(whole) == 60


def test_what_is_no_rule_is_refused():
    for rules in (5, "SELECT", [cep.window(n=cep.count())], cep.window(n=cep.count()), {"a": 5}):
        with pytest.raises(TypeError, match=r"rule|no frame"):
            cep.Engine(rules)


def test_a_call_that_fails_leaves_windows_as_they_were():
    # Sums of integers may leave 64 bits, and the second rule divides by what comes.
    shares = cep.window(share="SUM(100 / amount)", by="shop").rows(2).named("shares")
    engine = cep.Engine([totals(), shares])
    engine.push(orders((1, "a", 5), (2, "b", 7)))
    before = engine.snapshot()
    with pytest.raises(cep.EvaluationError):
        engine.push(orders((3, "a", 1), (4, "a", 0)))
    assert engine.snapshot() == before
    with pytest.raises(cep.EvaluationError):
        engine.push(orders((3, "a", 2**62), (4, "a", 2**62), (30, "a", 1)))
    assert engine.snapshot() == before
    assert told(engine.push(orders((12, "a", 1)))) == [("a", 10, 5), ("b", 10, 7)]


def test_rows_that_were_refused_say_nothing_of_columns():
    engine = cep.Engine(cep.window(total="SUM(6 / x)", last=col.note).tumbling("10s").named("totals"))
    with pytest.raises(cep.EvaluationError):
        engine.push([{"ts": 1, "x": 0, "note": "a"}])
    engine.push([{"note": 5, "x": 2.0, "ts": 1}])
    assert [dict(row)["last"] for row in engine.flush()["totals"]] == [5]


def test_a_restored_engine_loses_nothing_when_its_first_call_fails():
    rules = [totals(), cep.window(share="SUM(100 / amount)").rows(2).named("shares")]
    engine = cep.Engine(rules)
    engine.push(orders((1, "a", 5)))
    engine = cep.Engine.restore(engine.snapshot(), rules)
    with pytest.raises(cep.EvaluationError):
        engine.push(orders((2, "a", 0), (3, "a", 0)))
    assert told(engine.flush()) == [("a", 10, 5)]


def test_a_limit_on_memory_names_the_window_and_changes_nothing():
    engine = cep.Engine(
        cep.window(all="ARRAY_AGG(amount)", by="shop").tumbling("1h").named("lists"), memory_limit="1MB"
    )
    engine.push(orders((1, "a", 5)))
    before = engine.snapshot()
    with pytest.raises(cep.StateLimitError) as caught:
        engine.push(orders(*((2, "a", amount) for amount in range(50_000))))
    assert "lists" in str(caught.value)
    assert engine.snapshot() == before


def test_two_windows_of_one_topic_must_have_one_shape():
    first = cep.window(n=cep.count()).tumbling("10s").named("first").emit("counts")
    other = cep.window(m=cep.count()).tumbling("10s").named("other").emit("counts")
    engine = cep.Engine([first, other])
    before = engine.snapshot()
    # As soon as the columns of both are known, before there are events.
    with pytest.raises(cep.SchemaError) as caught:
        engine.push(orders((1, "a", 5)))
    assert caught.value.code == "topic-conflict"
    assert engine.snapshot() == before
    alike = cep.Engine([first, cep.window(n=col.amount.count()).tumbling("5s").named("fives").emit("counts")])
    derived = alike.push(orders((1, "a", 5), (6, "a", 5), (11, "a", 5)))
    assert [(row["window_end"] // SECOND, row["n"]) for row in derived["counts"]] == [(5, 1), (10, 2), (10, 1)]


def test_keys_that_nothing_is_kept_of_are_forgotten():
    engine = cep.Engine(cep.window(n=cep.count(), by="shop").tumbling("10s").named("totals"))
    for second in range(0, 200, 10):
        engine.push(orders(*((second, f"{second}-{shop}", 1) for shop in range(500))))
    [rule] = engine.stats().rules
    assert rule.matches == 500 * 19
    assert rule.keys < 4_000
    assert len(engine.flush()["totals"]) == 500


@pytest.mark.parametrize("rows", [[], [{"ts": 1, "shop": None, "amount": None}]])
def test_little_or_nothing_is_no_harm(rows):
    engine = cep.Engine(totals())
    engine.push(rows)
    found = engine.flush()
    assert told(found) == ([] if not rows else [(None, 10, None)])


def test_windows_are_reported_early_and_empty_ones_when_their_time_is_over():
    beats = cep.window(n=cep.count(), by="host").tumbling("10s").early(every="4s").with_empty().named("beats")
    engine = cep.Engine(beats, event_time="ts", lateness="2s", future=None)

    def said(derived):
        rows = derived["beats"].to_arrow().to_pylist() if "beats" in derived else []
        return [(row["window_timing"], row["host"], row["window_end"] // SECOND, row["n"]) for row in rows]

    assert said(engine.push({"ts": [1 * SECOND, 5 * SECOND], "host": ["a", "b"]})) == []
    # The clock stands 2 s behind.
    assert said(engine.push({"ts": [6 * SECOND], "host": ["b"]})) == [("early", "a", 10, 1)]
    assert said(engine.push({"ts": [13 * SECOND], "host": ["b"]})) == [
        ("early", "b", 10, 2),
        ("on_time", "a", 10, 1),
        ("on_time", "b", 10, 2),
    ]
    engine = cep.Engine.restore(engine.snapshot(), beats)
    assert said(engine.advance_to(30 * SECOND)) == [
        ("early", "b", 20, 1),
        ("on_time", "b", 20, 1),
        ("on_time", "a", 20, 0),
        ("on_time", "a", 30, 0),
        ("on_time", "b", 30, 0),
    ]
    assert said(engine.flush()) == []


def test_a_pattern_reads_that_nothing_has_come():
    beats = cep.window(n=cep.count(), by="host").tumbling("10s").with_empty(for_="1m").named("beats")
    silent = cep.event("quiet", "n = 0", topic="beats").times(2, contiguity="strict").partition_by("host")
    engine = cep.Engine([beats, silent.named("silent").within("1m")], event_time="ts", lateness="0s", future=None)
    ts = [second * SECOND for second in (1, 2, 11, 21, 31, 41)]
    (found,) = engine.push({"ts": ts, "host": ["a", "b", "a", "a", "a", "a"]})["silent"]
    assert (found["host"], found["match_start"], found["match_end"]) == ("b", 20 * SECOND, 30 * SECOND)


def test_too_many_empty_windows_change_nothing():
    beats = cep.window(n=cep.count()).tumbling("1ms").with_empty().named("beats")
    engine = cep.Engine(beats, event_time="ts", lateness="0s", future=None)
    engine.push({"ts": [0, 2_000_000]})
    before = engine.snapshot()
    with pytest.raises(cep.StateLimitError, match="16777216 windows"):
        engine.push({"ts": [2_592_000 * SECOND]})
    with pytest.raises(cep.StateLimitError, match="16777216 windows"):
        engine.advance_to(2_592_000 * SECOND)
    assert engine.snapshot() == before
    assert [row["n"] for row in engine.push({"ts": [4_000_000]})["beats"]] == [1, 0]


@pytest.mark.parametrize(
    "rule",
    [
        cep.window(n=cep.count(), topic="t").tumbling("10s"),
        cep.window(n=cep.count(), topic="t").tumbling("10s").with_late("5s"),
        cep.anomaly("amount", topic="t").rate_of_change(1).all_rows(),
    ],
)
def test_a_condition_is_not_asked_of_rows_of_other_topics(rule):
    few = rule.where(col.amount / col.parts > 2).named("few")
    engine = cep.Engine([few, event("x", topic="u").named("other")], lateness="0s")
    own = [{"ts": 1, "amount": 9, "parts": 1}, {"ts": 2, "amount": 1, "parts": 1}]
    calls = [engine.push(own, "t"), engine.push([{"ts": 3, "amount": 1, "parts": 0}], "u")]
    calls += [
        engine.push([{"ts": 4, "amount": 9, "parts": 3}], "t"),
        engine.push([{"ts": 5, "amount": 1, "parts": 0}], "u"),
    ]
    calls.append(engine.flush())
    assert sum(len(derived["other"]) for derived in calls if "other" in derived) == 2
    found = [row for derived in calls for row in derived.get("few", ())]
    assert [row.get("n", 1) for row in found] in ([2], [1, 1])
    engine.push([{"ts": 60 * SECOND, "amount": 1, "parts": 0}], "t")
    with pytest.raises(cep.EvaluationError, match="division by zero"):
        engine.flush()
