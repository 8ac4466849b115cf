"""Ids of derived events: which they are, what they come of, and what story they belong to."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col

SECOND = 1_000_000_000
COLUMNS = ["id", "correlationid", "causationid"]


def id_of(*parts: str) -> str:
    """The id as the documentation says it is made."""
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    return hashed.hexdigest()[:32]


def rules() -> list[Any]:
    small = cep.event("small", "amount < 5", topic="txn").times(1, 2)
    fraud = (small >> cep.event("big", "amount > 5", topic="txn")).partition_by("card").within("20s").matches("all")
    totals = cep.window(total=col.amount.sum(), topic="txn", by="card").tumbling("10s")
    recent = cep.window(mean=col.amount.avg(), topic="txn", by="card").sliding("10s")
    odd = cep.anomaly("amount", topic="txn", by="card").rate_of_change(1).all_rows()
    rising = cep.event("low", "total < 9", topic="totals") >> cep.event("high", "total > low.total", topic="totals")
    again = cep.event("one", topic="fraud").times(2).partition_by("card").within("1m")

    @cep.processor("txn", emits="doubled")
    def doubled(rows: pa.RecordBatch) -> pa.Table:
        return pa.table({"ts": rows["ts"], "twice": pa.compute.multiply(rows["amount"], 2)})

    named = {"fraud": fraud, "totals": totals.with_empty("30s"), "recent": recent, "odd": odd, "again": again}
    named["rising"] = rising.partition_by("card").within("1m").timeouts(True)
    return [*(rule.named(name) for name, rule in named.items()), doubled]


def stream(seed: int, rows: int = 60) -> pa.Table:
    draw = random.Random(seed)
    times = sorted(draw.randrange(120) * SECOND for _ in range(rows))
    return pa.table(
        {
            "ts": times,
            "card": [draw.choice("abc") for _ in times],
            "amount": [draw.randrange(10) for _ in times],
            "id": [draw.choice([f"e{place}", None]) for place in range(rows)],
            "correlationid": pa.array(
                [draw.choice([f"story-{place % 4}", None]) for place in range(rows)], pa.string()
            ),
        }
    )


def derive(engine: cep.Engine, table: pa.Table, draw: random.Random | None) -> dict[str, list[dict[str, Any]]]:
    """Everything that comes of a table, pushed at once or in pieces, saved and restored between some of them."""
    found: dict[str, list[dict[str, Any]]] = {}
    first, calls = 0, []
    while first < len(table):
        rows = len(table) if draw is None else draw.randrange(1, 9)
        calls.append(engine.push(table.slice(first, rows), "txn"))
        first += rows
        if draw is not None and draw.random() < 0.2:
            engine = cep.Engine.restore(engine.snapshot(), rules(), threads=draw.choice([None, 2]))
    calls.append(engine.flush())
    for derived in calls:
        for topic, events in derived.items():
            found.setdefault(topic, []).extend(events.to_arrow().to_pylist())
    return found


def test_ids_are_the_same_however_the_input_is_cut_and_each_is_of_one_event() -> None:
    events = 0
    for seed in range(25):
        table = stream(seed)
        whole = derive(cep.Engine(rules(), ids=True, future=None), table, None)
        cut = derive(cep.Engine(rules(), ids=True, future=None, threads=2), table, random.Random(seed))
        assert cut == whole
        ids = [event["id"] for topic in whole.values() for event in topic]
        assert len(set(ids)) == len(ids)
        assert all(list(event)[:3] == COLUMNS for topic in whole.values() for event in topic)
        events += len(ids)
        # Beside the ids it is what there is without them.
        plain = derive(cep.Engine(rules(), future=None), table, None)
        without = {
            topic: [{key: value for key, value in event.items() if key not in COLUMNS} for event in events]
            for topic, events in whole.items()
        }
        assert plain == without
    assert events > 4_000


def test_a_match_is_known_by_its_rule_and_its_events_and_caused_by_the_last() -> None:
    checked = 0
    for seed in range(10):
        table = stream(seed)
        engine = cep.Engine(rules(), ids=True, future=None)
        derived = engine.push(table, "txn")
        fingerprint = next(rule.fingerprint for rule in engine.stats().rules if rule.name == "fraud")
        if "fraud" not in derived:
            continue
        rows = table.to_pylist()
        known = [row["id"] or f"txn#{place}" for place, row in enumerate(rows)]
        members = derived["fraud"].rows.to_pylist()
        for number, event in enumerate(derived["fraud"]):
            own = [(member["variable"], member["row"]) for member in members if member["match"] == number]
            parts = [part for variable, row in own for part in (variable, known[row])]
            assert event["id"] == id_of(fingerprint, "fraud", *parts)
            last = own[-1][1]
            assert event["causationid"] == known[last]
            assert event["correlationid"] == rows[last]["correlationid"] or known[last]
            checked += 1
    assert checked > 100


def test_what_is_derived_of_derived_events_carries_their_story_on() -> None:
    table = pa.table(
        {
            "ts": [SECOND, 2 * SECOND, 3 * SECOND, 4 * SECOND, 30 * SECOND],
            "card": ["a"] * 5,
            "amount": [1, 9, 2, 8, 0],
            "id": ["e1", "e2", "e3", "e4", "e5"],
            "correlationid": ["s1", "s2", "s3", "s4", "s5"],
        }
    )
    found = derive(cep.Engine(rules(), ids=True, future=None), table, None)
    by_id = {event["id"]: event for events in found.values() for event in events}
    assert found["again"]
    for event in found["again"]:
        cause = by_id[event["causationid"]]
        assert cause in found["fraud"]
        assert event["correlationid"] == cause["correlationid"] in ("s2", "s4")
    (timeout, *_) = found["rising.timeout"]
    assert by_id[timeout["causationid"]] in found["totals"]
    assert [event["causationid"] for event in found["totals"]] == ["e4", None, None, "e5"]
    assert [event["correlationid"] for event in found["totals"]] == ["s4", None, None, "s5"]
    assert [event["causationid"] for event in found["doubled"]] == [None] * 5


def test_a_late_report_is_another_event_than_the_one_on_time() -> None:
    window = cep.window(n=cep.count()).tumbling("10s").early(every="4s").with_late("1h").named("w")
    engine = cep.Engine(window, ids=True, future=None)
    rows = {"ts": [1 * SECOND, 6 * SECOND, 15 * SECOND, 2 * SECOND], "id": ["a", "b", "c", "d"]}
    found = engine.push(rows)["w"].to_arrow().to_pylist()
    assert [event["window_timing"] for event in found] == ["early", "early", "on_time", "late"]
    assert [event["causationid"] for event in found] == ["a", "b", "b", "b"]
    assert len({event["id"] for event in found}) == 4


def test_windows_of_other_events_are_others() -> None:
    def of(*ids: str) -> list[str]:
        engine = cep.Engine(cep.window(n=cep.count()).tumbling("10s").named("w"), ids=True, future=None)
        engine.push({"ts": list(range(len(ids))), "id": list(ids)})
        return [event["id"] for event in engine.flush()["w"]]

    assert of("a", "b", "c") == of("a", "b", "c")
    assert of("a", "b", "c") != of("a", "x", "c")
    assert of("a", "b", "c") != of("a", "c")


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pa.array([7, 8]), ["7", "8"]),
        (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
        (pa.array(["x", "y"], pa.string_view()), ["x", "y"]),
        (pa.array(["x", None]).dictionary_encode(), ["x", "#1"]),
        (pa.array([b"x", b"\xff"]), ["x", "#1"]),
        (pa.array([bytes(16), None], pa.binary(16)), ["0" * 32, "#1"]),
        (pa.array([0, 10**17], pa.timestamp("s")), ["1970-01-01T00:00:00", "#1"]),
        (pa.array([[0], [10**17]], pa.list_(pa.timestamp("s"))), ["[1970-01-01T00:00:00]", "#1"]),
        (pa.array([[1], [2]]), ["[1]", "[2]"]),
        (pa.array([1.5, None]), ["1.5", "#1"]),
        (pa.array([None, None]), ["#0", "#1"]),
    ],
)
def test_an_id_is_what_its_column_says_as_text(ids: pa.Array, expected: list[str]) -> None:
    rule = cep.anomaly("v").rate_of_change(1).all_rows().named("odd")
    found = cep.Engine(rule, ids=True, future=None).push(pa.table({"ts": [1, 2], "v": [1, 2], "id": ids}))["odd"]
    assert [event["causationid"] for event in found] == expected


def test_a_rule_keeps_columns_of_its_own() -> None:
    rule = cep.event("a").partition_by("correlationid").select(id=col.name, n=col.v).named("own")
    engine = cep.Engine(rule, ids=True, future=None)
    rows = {"ts": [1], "id": ["e1"], "name": ["mine"], "v": [2], "correlationid": ["s"]}
    (event,) = engine.push(rows)["own"]
    expected = {"causationid": "e1", "correlationid": "s", "id": "mine", "n": 2}
    assert {name: event[name] for name in expected} == expected
    assert next(iter(event)) == "causationid"


def test_columns_of_rows_that_are_passed_on_are_replaced() -> None:
    pairs = (cep.event("one", "v = 1") >> cep.event("two", "v = 2")).within("1h").rows_per_match("all")

    def passed(rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows

    engine = cep.Engine([pairs.named("pairs"), cep.Processor(passed, "in", name="passed")], ids=True, future=None)
    rows = {"ts": [1, 2], "v": [1, 2], "id": ["e1", "e2"], "correlationid": ["s", None], "causationid": ["x", "y"]}
    derived = engine.push(rows, "in")
    pair = derived["pairs"].to_arrow().to_pylist()
    first, second = (event.pop("id") for event in pair)
    assert (first, second) == (first.replace("/1", "/0"), first.replace("/0", "/1"))
    assert [(event["causationid"], event["correlationid"], event["v"]) for event in pair] == [
        ("e2", "e2", 1),
        ("e2", "e2", 2),
    ]
    found = derived["passed"].to_arrow().to_pylist()
    assert list(found[0]) == [*COLUMNS, "ts", "v"]
    assert [(event["causationid"], event["correlationid"]) for event in found] == [("e1", "s"), ("e2", "e2")]
    assert {event["id"] for event in found}.isdisjoint(("e1", "e2"))


def test_what_a_rule_says_in_several_ways_are_several_events() -> None:
    open_ = (cep.event("a", "v = 1") >> cep.absent(cep.event("b", "v = 2"), for_="5ns")).emit_at("a", "r", n="a.v")
    twice = (cep.event("a", "v = 1") >> cep.event("b", "v = 2")).within("10ns").timeouts(True)
    twice = twice.emit_at("a", "x", n="a.v").emit_at("a", "x", n="a.v + 1").emit_at("a", "x.timeout")
    engine = cep.Engine([open_.select(n="a.v").named("r"), twice.select(n="a.v").named("y")], ids=True, future=None)
    calls = [engine.push({"ts": [1, 2, 30], "v": [1, 3, 3]}), engine.flush()]
    ids = [event["id"] for derived in calls for topic in derived.values() for event in topic]
    assert len(ids) >= 5
    assert len(set(ids)) == len(ids)


def test_what_another_function_gives_is_another_event() -> None:
    def once(rows: pa.RecordBatch) -> pa.Table:
        return pa.table({"ts": rows["ts"], "a": rows["v"]})

    engine = cep.Engine(cep.Processor(once, "in", name="p"), ids=True, future=None)
    (first,) = engine.push({"ts": [1], "v": [2]}, "in")["p"]
    engine.replace("p", cep.Processor(lambda rows: once(rows), "in", name="p"))
    (second,) = engine.push({"ts": [2], "v": [3]}, "in")["p"]
    assert first["id"] != second["id"]


def test_windows_without_rows_are_told_apart_by_their_keys() -> None:
    window = cep.window(n=cep.count(), by="k").tumbling("10s").with_empty("30s").named("w")
    engine = cep.Engine(window, ids=True, future=None)
    rows = {"ts": [1, 1, 40 * SECOND], "k": [None, "\0", "z"]}
    found = [*engine.push(rows)["w"], *engine.flush()["w"]]
    assert len({event["id"] for event in found}) == len(found) == 9


def test_rules_of_one_topic_agree_on_its_ids() -> None:
    first = cep.event("a", "v = 1").select(v=col.v).named("one").emit("both")
    second = cep.event("a", "v = 2").select(v=col.v).named("two").emit("both")
    engine = cep.Engine([first, second], ids=True, future=None)
    found = engine.push({"ts": [1, 2, 3], "v": [1, 2, 1]})["both"].to_arrow().to_pylist()
    assert [(event["v"], event["causationid"]) for event in found] == [(1, "#0"), (2, "#1"), (1, "#2")]
    assert len({event["id"] for event in found}) == 3


def test_ids_are_asked_for_with_true_or_false() -> None:
    with pytest.raises(TypeError, match="ids is True or False"):
        cep.Engine(cep.event("a"), ids=1)  # type: ignore[arg-type]


def test_what_caused_what_is_a_join() -> None:
    small = cep.event("small", "amount < 5", topic="txn").select(amount=col.amount).named("small")
    found = cep.Engine(small, ids=True, future=None).push(stream(3), "txn")["small"].to_arrow()
    # The event has its cause's time here, and may stand in front of it.
    effects = found.append_column("ts", pa.array(range(len(found))))
    causes = pa.table({"ts": [0] * 60, "id": [f"e{place}" for place in range(60)]})
    join = cep.interval_join("txn", "small", on={"id": "causationid"}, after="1h", right_columns=["amount"])
    pairs = cep.match(join, {"txn": causes, "small": effects}, event_time="ts")
    expected = [
        (event["causationid"], event["amount"]) for event in found.to_pylist() if event["causationid"][0] == "e"
    ]
    assert sorted((pair["id"], pair["amount"]) for pair in pairs) == sorted(expected)
    assert len(expected) > 5
