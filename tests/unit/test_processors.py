"""Python functions of whole batches as rules: what they are given, what becomes of what they give, how they fail."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import cepheid as cep
from cepheid import absent, col, event


def doubled(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.append_column("twice", pc.multiply(batch["amount"], 2))


BIG = event("big", col.twice > 10, topic="doubled").select(twice=cep.ref("big").twice).named("big")


def rows(*times: int, **columns: list) -> pa.Table:
    return pa.table({"ts": list(times), **columns})


def test_rules_read_what_a_processor_gives():
    engine = cep.Engine([BIG, cep.Processor(doubled, "txn")])
    derived = engine.push(rows(1, 2, amount=[3, 6]), "txn")
    assert derived["doubled"].to_arrow().to_pydict() == {"ts": [1, 2], "amount": [3, 6], "twice": [6, 12]}
    assert derived["doubled"].strategy == "processor"
    with pytest.raises(cep.PatternError, match="not of what a processor gives"):
        _ = derived["doubled"].rows
    # The time of the last row is over when the clock has passed it.
    assert "big" not in derived
    assert engine.flush()["big"].to_arrow()["twice"].to_pylist() == [12]
    stats = {rule.name: rule for rule in engine.stats().rules}["doubled"]
    assert (stats.strategy, stats.matches, stats.rows_visited) == ("processor", 2, 2)


def test_it_is_given_rows_in_order_once_the_clock_lets_them_and_none_of_other_topics():
    seen = []

    def look(batch):
        seen.append(batch.to_pydict())

    engine = cep.Engine([cep.Processor(look, "txn"), event("a", topic="other").named("a")], lateness=None)
    engine.push(rows(5, 3, amount=[1, 2]), "txn")
    engine.push(rows(4, x=[1]), "other")
    engine.push(rows(3, amount=[3]), "txn")
    assert seen == []
    engine.advance_to(dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=1))
    assert seen == [{"ts": [3, 3, 5], "amount": [2, 3, 1]}]
    engine.push(rows(1, amount=[9]), "txn")
    engine.flush()
    assert len(seen) == 1, "a late row is no row of the topic, and without rows nobody is asked"


@pytest.mark.parametrize("give", [lambda batch: batch, lambda batch: pa.table(batch), lambda batch: batch.to_pydict()])
def test_it_may_give_a_table_in_any_form(give):
    engine = cep.Engine(cep.Processor(give, "txn", name="same"))
    assert engine.push(rows(1, 2, amount=[3, 6]), "txn")["same"].to_arrow()["amount"].to_pylist() == [3, 6]


def test_without_a_time_rows_have_that_of_those_they_were_given_for():
    engine = cep.Engine(cep.Processor(lambda batch: {"twice": pc.multiply(batch["amount"], 2)}, "txn", name="p"))
    assert engine.push(rows(7, 8, amount=[3, 6]), "txn")["p"].to_arrow().to_pydict() == {
        "twice": [6, 12],
        "ts": [7, 8],
    }


def test_rows_put_forward_come_in_the_order_of_their_times():
    def later(batch):
        shifted = pc.add(batch["ts"], pa.array([10, 0][: len(batch)]))
        return batch.set_column(0, "ts", shifted)

    engine = cep.Engine([cep.Processor(later, "txn"), event("a", topic="later").select(v="a.v").named("a")])
    assert engine.push(rows(1, 2, v=[1, 2]), "txn")["later"].to_arrow()["v"].to_pylist() == [2, 1]
    assert engine.push(rows(12, v=[3]), "txn")["a"].to_arrow()["v"].to_pylist() == [2, 1]
    assert engine.flush()["a"].to_arrow()["v"].to_pylist() == [3]


def test_processors_form_chains_and_circles_are_refused():
    first = cep.Processor(doubled, "txn", emits="once")
    second = cep.Processor(lambda batch: {"amount": batch["twice"]}, "once")
    third = cep.Processor(doubled, "second", name="third")
    engine = cep.Engine([third, second.named("second"), first])
    engine.push(rows(1, amount=[3]), "txn")
    assert engine.flush()["third"].to_arrow()["twice"].to_pylist() == [12]
    with pytest.raises(cep.PatternError, match="circle") as caught:
        cep.Engine([cep.Processor(doubled, "a", emits="b"), cep.Processor(doubled, "b", emits="a", name="back")])
    assert caught.value.code == "rule-cycle"


def test_what_it_raises_is_the_cause_of_an_error_that_names_it_and_nothing_changes():
    broken = [True]

    def flaky(batch):
        if broken[0]:
            raise KeyError("rates")
        return batch

    totals = cep.window(n=cep.count(), topic="txn").tumbling("10ns").named("totals")
    engine = cep.Engine([totals, cep.Processor(flaky, "txn")])
    before = engine.snapshot()
    for _ in range(2):
        with pytest.raises(cep.ProcessorError, match="`flaky` failed: KeyError") as caught:
            engine.push(rows(1, 11, amount=[1, 2]), "txn")
        assert caught.value.code == "processor-failed"
        assert caught.value.processor == "flaky"
        assert isinstance(caught.value.__cause__, KeyError)
        assert engine.snapshot() == before
    broken[0] = False
    derived = engine.push(rows(1, 11, amount=[1, 2]), "txn")
    assert (len(derived["flaky"]), derived["totals"].to_arrow()["n"].to_pylist()) == (2, [1])


def test_ctrl_c_is_no_failure_of_the_processor():
    def stop(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cep.Engine(cep.Processor(stop, "txn")).push(rows(1, x=[1]), "txn")


GIVEN = {
    "no table": (lambda batch: 5, "processor-failed", "cannot be read|no table|int"),
    "too few rows": (lambda batch: {"x": [1]}, "processor-output", "1 rows for 2 without the event time `ts`"),
    "no time": (lambda batch: {"ts": [None, 5], "x": [1, 2]}, "processor-output", "ts"),
    "text for a time": (lambda batch: {"ts": ["a", "b"]}, "processor-output", "ts"),
    "the past": (lambda batch: {"ts": [5, 1]}, "processor-output", "row 1 .* put forward"),
    "two times": (lambda batch: {"ts": [5, 6], "TS": [5, 6]}, None, None),
    "a name twice": (
        lambda batch: pa.table([batch["ts"], batch["x"], batch["x"]], names=["ts", "x", "x"]), "processor-output", "x",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_what_cannot_be_events_is_refused(name):
    give, code, text = GIVEN[name]
    engine = cep.Engine(cep.Processor(give, "txn", name="p"))
    if code is None:
        assert len(engine.push(rows(5, 6, x=[1, 2]), "txn")["p"]) == 2
        return
    with pytest.raises(cep.ProcessorError, match=text) as caught:
        engine.push(rows(5, 6, x=[1, 2]), "txn")
    assert caught.value.code == code


def test_a_topic_keeps_the_columns_that_were_given_first():
    gives = [{"x": [1], "ts": [1]}, {"ts": [2], "x": [2]}, {"ts": [3], "x": ["a"]}, {"ts": [3]}]
    engine = cep.Engine(cep.Processor(lambda batch: gives.pop(0), "txn", name="p"))
    engine.push(rows(1, v=[1]), "txn")
    assert engine.push(rows(2, v=[1]), "txn")["p"].to_arrow().column_names == ["x", "ts"]
    for _ in range(2):
        with pytest.raises(cep.ProcessorError, match="a topic keeps its columns") as caught:
            engine.push(rows(3, v=[1]), "txn")
        assert caught.value.code == "processor-output"


def test_processors_that_share_a_topic_give_it_the_same_columns_in_whatever_calls():
    def gives(column):
        return lambda batch: {column: batch["v"]}

    engine = cep.Engine(
        [cep.Processor(gives("u"), "a", emits="o", name="p"), cep.Processor(gives("w"), "b", emits="o", name="q")],
        lateness=None,
    )
    engine.push(rows(1, v=[1]), "a")
    assert list(engine.advance_to(1)["o"]) == [{"u": 1, "ts": 1}]
    engine.push(rows(2, v=[1]), "b")
    before = engine.snapshot()
    # Whether the two speak in one call is a matter of how rows are pushed.
    with pytest.raises(cep.SchemaError, match="`p` and `q` both emit `o`") as caught:
        engine.advance_to(2)
    assert caught.value.code == "topic-conflict"
    assert engine.snapshot() == before


def test_a_column_like_the_event_time_but_for_case_is_there_for_readers():
    both = cep.Processor(lambda batch: batch.append_column("TS", batch["v"]), "a", emits="p", name="p")
    engine = cep.Engine([both, event("x", cep.col("TS") == 7, topic="p").select(own=cep.ref("x")["TS"]).named("x")])
    derived = engine.push(rows(1, 2, v=[7, 8]), "a")
    assert derived["x"].to_arrow()["own"].to_pylist() == [7]


def test_nothing_and_no_rows_are_no_events():
    gives = [None, {"ts": pa.array([], pa.int64()), "x": pa.array([], pa.int64())}, {"ts": [3], "x": [1]}]
    engine = cep.Engine([cep.Processor(lambda batch: gives.pop(0), "txn", name="p"), event("a", topic="p").named("a")])
    assert not engine.push(rows(1, v=[1]), "txn")
    assert not engine.push(rows(2, v=[1]), "txn")
    assert list(engine.push(rows(3, v=[1]), "txn")) == ["p"]
    assert list(engine.flush()) == ["a"]


def test_events_may_be_given_as_dicts_and_an_empty_list_says_nothing():
    gives = [[], {}, [{"ts": 3, "x": 1}]]
    engine = cep.Engine(cep.Processor(lambda batch: gives.pop(0), "txn", name="p"))
    assert not engine.push(rows(1, v=[1]), "txn")
    assert not engine.push(rows(2, v=[1]), "txn")
    assert engine.push(rows(3, v=[1]), "txn")["p"].to_arrow().to_pydict() == {"ts": [3], "x": [1]}


def test_a_processor_that_cannot_take_a_row_is_put_out_of_the_way():
    def picky(batch):
        if 13 in batch["x"].to_pylist():
            raise ValueError("13")
        return batch

    engine = cep.Engine(cep.Processor(picky, "txn"), lateness="1s")
    engine.push(rows(1, x=[13]), "txn")
    for _ in range(2):
        with pytest.raises(cep.ProcessorError):
            engine.flush()
    engine.replace("picky", cep.Processor(lambda batch: batch, "txn"))
    assert len(engine.flush()["picky"]) == 1


def test_snapshots_hold_what_is_known_of_processors():
    rules = [BIG, cep.Processor(doubled, "txn")]
    engine = cep.Engine(rules)
    engine.push(rows(1, amount=[30]), "txn")
    engine = cep.Engine.restore(engine.snapshot(), rules)
    assert {rule.name: rule.matches for rule in engine.stats().rules} == {"big": 0, "doubled": 1}
    assert engine.flush()["big"].to_arrow()["twice"].to_pylist() == [60]
    for other in ([BIG], [BIG, cep.Processor(doubled, "other")], [BIG, cep.Processor(doubled, "txn", name="x")]):
        with pytest.raises(cep.StoreError):
            cep.Engine.restore(engine.snapshot(), other)


def test_rules_are_added_replaced_and_removed_while_it_runs():
    engine = cep.Engine(event("a", topic="txn").named("a"))

    @engine.processor("txn", emits="twice")
    def twice(batch):
        return doubled(batch)

    assert isinstance(twice, cep.Processor)
    assert engine.rules == ("a", "twice")
    engine.add(event("big", col.twice > 1, topic="twice").named("big"))
    with pytest.raises(cep.PatternError, match="reads") as caught:
        engine.remove("twice")
    assert caught.value.code == "rule-read"
    engine.replace(
        "twice", cep.Processor(lambda batch: batch.append_column("twice", batch["amount"]), "txn", emits="twice")
    )
    engine.push(rows(1, amount=[1]), "txn")
    assert "big" not in engine.flush()
    engine.remove("big")
    engine.remove("twice")
    assert engine.rules == ("a",)


def test_the_engine_cannot_be_called_from_within():
    def again(batch):
        engine.push(batch, "txn")

    engine = cep.Engine(cep.Processor(again, "txn"))
    with pytest.raises(cep.ProcessorError, match="in the middle of a call") as caught:
        engine.push(rows(1, x=[1]), "txn")
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_columns_of_python_predicates_are_not_shown():
    seen = []

    def look(batch):
        seen.append(batch.schema.names)

    even = event("even", cep.udf(lambda x: pc.equal(pc.bit_wise_and(x, 1), 0), columns=["x"]), topic="txn").named("e")
    engine = cep.Engine([even, cep.Processor(look, "txn")])
    assert len(engine.push(rows(1, 2, x=[1, 2]), "txn")["e"]) == 1
    assert seen == [["ts", "x"]]


def test_what_is_no_processor_is_refused_where_it_is_written():
    with pytest.raises(TypeError, match="a processor is a function, not int"):
        cep.Processor(5, "txn")
    with pytest.raises(TypeError, match="topic"):
        cep.Processor(doubled, 5)
    for build in (
        lambda: cep.Processor(doubled, ""),
        lambda: cep.processor(""),
        lambda: cep.Processor(doubled, "t", emits=""),
    ):
        with pytest.raises(cep.PatternError) as caught:
            build()
        assert caught.value.code == "empty-name"
    with pytest.raises(TypeError, match="a pattern, a window, an anomaly rule or a processor"):
        cep.Engine([doubled])
    assert repr(cep.Processor(doubled, "txn", emits="x")) == "<Processor: doubled, of 'txn', emits='x'>"


@pytest.mark.parametrize("of", [pa.date32(), pa.timestamp("s"), pa.duration("ms")])
def test_a_deadline_between_two_steps_of_the_event_time_is_not_put_back(of: pa.DataType):
    unpaid = event("a", topic="t") >> absent(event("b", "x = 9", topic="t"), for_="300us")
    engine = cep.Engine([unpaid.partition_by("k").named("w")])
    engine.processor("w", emits="o")(lambda rows: rows)
    engine.add(event("seen", topic="o").named("read"))
    ts = pa.array([0, 0, 5], pa.int32() if of == pa.date32() else pa.int64()).cast(of)
    engine.push(pa.table({"ts": ts, "x": [1, 2, 3], "k": [1, 2, 3]}), "t")
    assert [engine.stats().rows, len(engine.flush()["read"])] == [3, 1]


def test_rows_that_a_processor_puts_back_in_time_are_refused_as_before():
    engine = cep.Engine([event("a", topic="t").named("w")])
    engine.processor("w", emits="o")(lambda rows: [{"ts": 4}])
    engine.push([{"ts": 5, "x": 1}], "t")
    with pytest.raises(cep.ProcessorError, match="before the first row"):
        engine.flush()
