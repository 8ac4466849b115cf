"""Tables of several topics in one call, and what a call derives beside its matches."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import cepheid as cep
from cepheid import absent, col, event, prev, ref

MOVED = (
    (event("login", topic="auth") >> event("transfer", col.amount > 5, topic="bank"))
    .partition_by("user")
    .select(amount=ref("transfer").amount)
    .named("moved")
)
TABLES = {
    "auth": pa.table({"ts": [1, 5, 9], "user": ["u", "v", "w"]}),
    "bank": pa.table({"ts": [2, 3, 6], "user": ["u", "u", "v"], "amount": [1, 9, 7]}),
}


def rows(matches: cep.Matches) -> list[tuple[str, str, int]]:
    return [(row["variable"], row["topic"], row["row"]) for row in matches.rows.to_pylist()]


def test_topics_have_columns_of_their_own_and_are_merged_by_time():
    matches = cep.match(MOVED, TABLES, event_time="ts")
    assert matches.to_arrow()["amount"].to_pylist() == [9, 7]
    assert rows(matches) == [
        ("login", "auth", 0),
        ("transfer", "bank", 1),
        ("login", "auth", 1),
        ("transfer", "bank", 2),
    ]
    assert matches.derived.topics == ("moved",)
    assert matches.derived["moved"] is matches


def test_the_time_may_be_named_by_the_pattern():
    assert len(cep.match(MOVED.order_by("ts"), TABLES)) == 2
    with pytest.raises(cep.PatternError) as caught:
        cep.match(MOVED, TABLES)
    assert caught.value.code == "within-needs-order"


@pytest.mark.parametrize("order", [("left", "right"), ("right", "left")])
def test_equal_times_go_in_the_order_of_the_topics_given(order):
    table = pa.table({"ts": [1]})
    pattern = event("a", topic="left") >> event("b", topic="right")
    matches = cep.match(pattern, dict.fromkeys(order, table), event_time="ts")
    assert len(matches) == (1 if order[0] == "left" else 0)


def test_without_matches_the_columns_are_those_of_matches():
    for table in (TABLES["bank"].slice(0, 0), TABLES["bank"].slice(0, 1)):
        matches = cep.match(MOVED, {"auth": TABLES["auth"], "bank": table}, event_time="ts")
        assert len(matches) == 0
        assert matches.column_names == ["user", "match_number", "match_start", "match_end", "amount"]
        assert matches.to_arrow().schema.field("amount").type == pa.int64()
        assert not matches.derived


def test_a_topic_may_be_a_list_of_events_or_a_dict():
    tables = {topic: table.to_pylist() for topic, table in TABLES.items()}
    assert rows(cep.match(MOVED, tables, event_time="ts")) == rows(cep.match(MOVED, TABLES, event_time="ts"))
    tables = {topic: table.to_pydict() for topic, table in TABLES.items()}
    assert len(cep.match(MOVED, tables, event_time="ts")) == 2
    assert len(cep.match(MOVED, {"auth": [], "bank": TABLES["bank"]}, event_time="ts")) == 0


def test_an_event_without_topic_takes_rows_of_any():
    pattern = event("a") >> event("b", topic="bank")
    assert rows(cep.match(pattern, TABLES, event_time="ts"))[:2] == [("a", "auth", 0), ("b", "bank", 0)]


def test_topics_that_nobody_reads_are_not_there_but_a_wrong_name_is_told():
    matches = cep.match(MOVED, {**TABLES, "more": pa.table({"ts": [4], "user": ["u"]})}, event_time="ts")
    assert len(matches) == 2
    assert len(cep.match(MOVED, {"auth": TABLES["auth"]}, event_time="ts")) == 0
    with pytest.raises(cep.SchemaError) as caught:
        cep.match(MOVED, {"auth": TABLES["auth"], "bnak": TABLES["bank"]}, event_time="ts")
    assert (caught.value.code, caught.value.hint, caught.value.known) == ("unknown-topic", "bank", ("auth", "bank"))


def test_what_no_topic_can_be_is_refused():
    with pytest.raises(cep.SchemaError):
        cep.match(MOVED, {3: TABLES["auth"]}, event_time="ts")
    with pytest.raises(cep.SchemaError):
        cep.match(MOVED, {"auth": TABLES["auth"], "bank": [1, 2]}, event_time="ts")
    with pytest.raises(cep.SchemaError) as caught:
        cep.match(MOVED, {"auth": [], "bank": []}, event_time="ts")
    assert caught.value.code == "schema-unknown"


def test_waiting_for_ever_is_no_matter_where_the_input_ends():
    unpaid = event("order", topic="orders") >> absent(event("paid", topic="payments"), for_="1h")
    tables = {"orders": {"ts": [1, 2]}, "payments": {"ts": pa.array([], pa.int64())}}
    assert len(cep.match(unpaid, tables, event_time="ts")) == 2


def test_predicates_in_python_see_the_columns_of_their_topic():
    large = cep.udf(lambda amount: pc.greater(amount, 8), columns=["amount"])
    pattern = (event("login", topic="auth") >> event("transfer", large, topic="bank")).rows_per_match("all")
    matches = cep.match(pattern, TABLES, event_time="ts")
    assert rows(matches)[1] == ("transfer", "bank", 1)
    assert not [name for name in matches.column_names if not name.isascii() or "udf" in name or "\0" in name]


def test_one_table_gives_what_else_is_derived_too():
    pattern = (
        (event("a", "k = 'a'") >> event("b", "k = 'b'"))
        .within("5ns")
        .timeouts()
        .emit_at("a", "begun", at=ref("a").ts)
        .emit("pair")
    )
    matches = cep.match(pattern, {"ts": [1, 2, 10], "k": ["a", "b", "a"]}, event_time="ts")
    assert {topic: len(found) for topic, found in matches.derived.items()} == {
        "pair": 1,
        "pair.timeout": 1,
        "begun": 2,
    }
    assert matches.derived["pair"] is matches
    assert matches.derived["begun"].to_arrow()["at"].to_pylist() == [1, 10]
    assert matches.derived["pair.timeout"].rows["row"].to_pylist() == [2]


def test_intermediate_outputs_of_one_topic_stand_in_order():
    pattern = (event("a", "k = 'a'") >> event("b", "k = 'b'")).emit_at("a", "seen", k=ref("a").k)
    matches = cep.match(pattern.emit_at("b", "seen", k=ref("b").k), {"k": ["a", "b", "a", "b"]})
    assert matches.derived["seen"].to_arrow()["k"].to_pylist() == ["a", "b", "a", "b"]
    assert matches.derived["seen"].rows["match"].to_pylist() == [0, 1, 1, 2, 3, 3]
    assert len(matches) == 2
    with pytest.raises(cep.SchemaError) as caught:
        cep.match(pattern.emit_at("b", "seen", other=ref("b").k), {"k": ["a", "b"]})
    assert caught.value.code == "topic-conflict"


def test_an_intermediate_output_may_share_the_topic_of_the_matches():
    pattern = (event("a", "k = 'a'") >> event("b", "k = 'b'")).select(k=ref("a").k).emit_at("a", "t", k=ref("a").k)
    matches = cep.match(pattern.emit("t"), {"k": ["a", "b"]})
    assert (len(matches), len(matches.derived["t"])) == (1, 2)


def test_a_pattern_without_a_name_is_the_first_rule():
    matches = cep.match(event("a"), {"x": [1]})
    assert list(matches.derived) == ["rule-1"]
    assert list(cep.match(event("a").named("n"), {"x": [1]}).derived) == ["n"]


def test_prev_reaches_a_row_that_was_matched_before_its_topic_had_sent_anything():
    rises = event("rise", col.v > prev(col.v), topic="right") | event("any", topic="left")
    engine = cep.Engine(rises.named("found"), lateness=None)
    assert not engine.push([{"ts": 1, "v": 1}], "left")
    assert len(engine.advance_to(dt.datetime.fromtimestamp(1, dt.UTC))["found"]) == 1
    engine.push([{"ts": 2_000_000_000, "v": 2}], "right")
    assert rows(engine.flush()["found"]) == [("rise", "right", 0)]


def two_topics():
    shown = cep.event("x", "v > 0", topic="a").rows_per_match("all").named("r")
    return shown, cep.event("y", topic="b").named("o"), cep.event("z", topic="r").select(v="z.v").named("z")


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("restored", [False, True])
def test_rows_are_shown_with_the_columns_of_the_topics_read_whatever_else_has_come(first, restored):
    rows = {"a": {"v": [1], "id": [7]}, "b": {"id": ["s"], "w": [2]}}
    engine = cep.Engine(two_topics(), future=None, topics=["a", "b"])
    derived = [engine.push({"ts": [1], **rows[topic]}, topic) for topic in (first, "ab".replace(first, ""))]
    if restored:
        engine = cep.Engine.restore(engine.snapshot(), two_topics())
    derived += [engine.push({"ts": [time], **rows[topic]}, topic) for time in (3, 5) for topic in "ab"]
    derived.append(engine.flush())
    found = [events["r"].to_arrow() for events in derived if "r" in events]
    assert {tuple(table.column_names) for table in found} == {
        ("match_number", "match_start", "match_end", "ts", "v", "id")
    }
    assert [row for table in found for row in table["id"].to_pylist()] == [7, 7, 7]
    assert sum(len(events["z"]) for events in derived if "z" in events) == 3
