"""A replay that leaves columns where they are, of which no rule asks anything, derives what one of whole rows does."""

import decimal
import os
import random

import pyarrow as pa
from derived_calls import shown

import cepheid as cep
from cepheid import col, event
from cepheid.store import replay

CASES = 2_000 if os.environ.get("CEPHEID_DEEP") else 100


def rules(chance):
    """Rules that mention some of the columns, in one spelling or another, of one topic."""
    rare = col.Kind == "rare"
    found = [
        event("a", rare, topic="t").named("plain"),
        event("a", rare, topic="t").select(n="a.n", name="a.NAME").named("told"),
        (event("a", rare, topic="t") >> event("b", col.n > cep.ref("a").n, topic="t")).within("60ns").named("more"),
        (event("a", rare, topic="t") >> event("b", col.price > 50, topic="t"))
        .partition_by("who")
        .within("99ns")
        .named("by"),
        (event("a", rare, topic="t").next(event("b", topic="t"))).within("30ns").select(at="b.inside").named("next"),
        event("a", rare, topic="t").rows_per_match("all").named("rows"),
        cep.window(n=cep.count(), topic="t").tumbling("100ns").named("counted"),
        cep.window(top=col.price.max(), total=col.n.sum(), topic="t", by="who")
        .hopping("40ns", every="20ns")
        .named("hops"),
        cep.pattern_from_sql(
            'SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts MEASURES LAST(b."Kind") AS kind, COUNT(b.n) AS many '
            "PATTERN (a b{1,2}) DEFINE a AS a.price > 90, b AS b.price < 20)"
        ).named("sql"),
        event("x", topic="plain").named("chained"),
        event("x", topic="told").select(n="x.n").rows_per_match("all").named("chained_rows"),
    ]
    picked = chance.sample(found[:-2], chance.randrange(1, 4))
    names = [rule.name for rule in picked]
    return picked + [rule for rule, reads in ((found[-2], "plain"), (found[-1], "told")) if reads in names]


SCHEMA = pa.schema(
    [
        pa.field("ts", pa.int64(), nullable=False),
        pa.field("Kind", pa.string()),
        pa.field("n", pa.int64()),
        pa.field("price", pa.float64(), nullable=False),
        pa.field("who", pa.dictionary(pa.int32(), pa.string())),
        pa.field("name", pa.string(), nullable=False),
        pa.field("paid", pa.decimal128(9, 2), nullable=False),
        pa.field("inside", pa.struct([pa.field("deep", pa.int32()), pa.field("text", pa.string())])),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("seen", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("flag", pa.bool_()),
    ]
)


def batch(chance, time, length):
    """Rows mostly in order, of which few are rare; and the last of their times."""
    rows = []
    for _ in range(length):
        time += chance.choice([0, 1, 1, 3])
        number = chance.randrange(100)
        row = {
            "ts": max(0, time - chance.choice([0] * 300 + [7])),
            "Kind": chance.choice(["dull"] * 60 + ["rare", None]),
            "n": chance.choice([None, number, number]),
            "price": float(number),
            "who": chance.choice(["w1", "w2", None]),
            "name": f"name{number}",
            "paid": decimal.Decimal(number) / 4,
            "inside": chance.choice([None, {"deep": number, "text": "t"}]),
            "tags": chance.choice([None, [], ["a", None]]),
            "seen": number,
            "flag": chance.choice([None, True]),
        }
        rows.append(row)
    return pa.Table.from_pylist(rows, SCHEMA), time


def test_columns_that_no_rule_mentions_need_not_be_read(monkeypatch):
    push_on = replay._Pushing.push_on
    seen = {"left": 0, "whole": 0, "refused": 0, "rows": 0, "derived": 0, "late": 0, "afterwards": 0}

    def counting(self, reader, *, whole, eager):
        pushed = push_on(self, reader, whole=whole, eager=eager)
        if not whole:
            seen["rows"] += pushed["rows"][0]
            seen["refused"] += pushed["refused"] is not None
        return pushed

    monkeypatch.setattr(replay._Pushing, "push_on", counting)
    for case in range(CASES):
        chance = random.Random(case)
        picked = rules(chance)
        options = {
            "lateness": chance.choice(["0ns", "0ns", "0ns", "20ns", None]),
            "late": chance.choice(["side_output", "drop"]),
            "ids": chance.random() < 0.5,
            "future": None,
        }
        expected_of, found_of = cep.Engine(picked, **options), cep.Engine(picked, **options)
        time = 0
        with cep.EventStore() as store:
            for _ in range(chance.randrange(1, 5)):
                rows, time = batch(chance, time, chance.choice([1, 40, 300]))
                store.append("t", rows)
                if chance.random() < 0.5:
                    store.seal()
            flush = chance.random() < 0.3
            calls = [step.derived for step in store.step(expected_of, "t", events=50)]
            expected = shown([*calls, *([expected_of.flush()] if flush else [])])
            found = shown([store.replay(found_of, "t", flush=flush)])
        assert found == expected, case
        left = found_of._native.columns_needed("t")
        seen["left" if left is not None else "whole"] += 1
        if left is not None:
            assert "flag" not in left
            assert "tags" not in left
            assert "ts" in left
        seen["derived"] += sum(len(events) for events, _ in found.values())
        seen["late"] += found_of.stats().late
        # What comes later, rules among it, meets the same rows, unless some that were passed over would still wait.
        if not flush and options["lateness"] != "0ns":
            continue
        further = event("a", col.flag, topic="t").select(tags="a.tags", name="a.name", paid="a.paid").named("further")
        rows, time = batch(chance, time, 60)
        later = []
        for engine in (expected_of, found_of):
            engine.add(further)
            later.append(shown([engine.push(rows, "t"), engine.flush()]))
        assert later[0] == later[1], case
        seen["afterwards"] += sum(len(events) for events, _ in later[1].values())
        numbers = [
            (stats.rows, stats.late, stats.waiting, stats.watermark, stats.sources)
            for stats in (expected_of.stats(), found_of.stats())
        ]
        assert numbers[0] == numbers[1], case
    assert min(seen.values()) > CASES / 10, seen
    assert seen["derived"] > 5 * CASES, seen
