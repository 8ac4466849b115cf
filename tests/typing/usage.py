"""What a user writes, checked by `mypy --strict` and never run: an error here is a hole in the annotations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, assert_type

import cepheid as cep
from cepheid import Expr, Matches, Pattern, absent, col, event, prev
from cepheid.drawing.plot import Plot
from cepheid.testing import Scenario

condition: Expr = (col.price > prev(col.price)) & ~(col.volume < 100) | col.name.str.lower().like("a%")
assert_type(col.price, Expr)
assert_type(col("price"), Expr)
assert_type(col.price == 1, Expr)
assert_type(1 + col.price, Expr)
assert_type(-col.price, Expr)
assert_type(abs(col.price), Expr)
assert_type(cep.ref("a").price.first(2), Expr)
assert_type(cep.ref("a")["count"], Expr)
assert_type(cep.ref("a").count(), Expr)
assert_type(col.time.dt.truncate("hour"), Expr)
assert_type(cep.when(col.x > 1).then(1).otherwise(None), Expr)

pattern = (
    cep.seq(event("low", col.price < 10, "volume > 5"), event("rise", condition).one_or_more(), contiguity="strict")
    .partition_by("symbol", col.venue)
    .order_by("time", descending=False)
    .within(timedelta(minutes=5))
    .select(top=cep.ref("rise").price.max(), low="low.price")
    .select({"odd name": col.price})
    .after_match(("to_last", "rise"), strict=True)
    .rows_per_match("all")
    .named("rise")
)
assert_type(pattern, Pattern)
assert_type(absent(event("x", topic="t"), for_=timedelta(hours=1)), Pattern)
assert_type(event("a").times(1, 3, greedy=None, until="x > 1").within("1m", between="neighbours"), Pattern)
assert_type(pattern.within(None).within(rows=3), Pattern)
assert_type(pattern.having(condition).timeouts(True).matches("all").after_match("consume"), Pattern)
assert_type(pattern.emit_at("rise", "risen", cep.ref("rise").price.alias("top"), n=cep.ref("rise").count()), Pattern)
assert_type(event("a") >> event("b") | event("c"), Pattern)
assert_type(Pattern.from_dict(pattern.to_dict()), Pattern)
assert_type(pattern.fingerprint, str)
assert_type(pattern.variables, tuple[str, ...])

data: Mapping[str, Any] = {"price": [1.0]}
matches = cep.match(pattern, data, event_time="time")
assert_type(matches, Matches)
assert_type(cep.sql("SELECT ...", trades=data), Matches)
assert_type(len(matches), int)
assert_type(pattern.count(data), int)
assert_type(pattern.exists(data), bool)
for row in matches:
    assert_type(row, dict[str, Any])

assert_type(matches.derived, cep.Derived)

engine = cep.Engine({"rise": pattern}, event_time="ts", lateness="30s", late="drop", idle=None, memory_limit="64MB")
cep.Engine([pattern, pattern], "ts", lateness=timedelta(seconds=1), future=None, clock=datetime.now, topics=["a"])
derived = engine.push(data, topic="txn")
assert_type(derived, cep.Derived)
assert_type(derived["rise"], Matches)
assert_type(derived.get("rise"), Matches | None)
for topic, found in derived.items():
    assert_type(topic, str)
    assert_type(found, Matches)
assert_type(engine.advance_to(datetime.now()), cep.Derived)
assert_type(engine.flush(), cep.Derived)
assert_type(cep.Engine.restore(engine.snapshot(), pattern, threads=2), cep.Engine)
assert_type(engine.stats().sources, tuple[cep.SourceStats, ...])
assert_type(engine.stats().watermark, datetime | None)
assert_type(engine.rules, tuple[str, ...])
assert_type(engine.to_svg(), str)
assert_type(pattern.to_graphviz(), str)
assert_type(found.plot(limit=3), Plot)
assert_type(Scenario(pattern).feed({"ts": "5m"}, at="1m", x=1).advance(by="1h").expect("t", {"a": 1}), Scenario)

rule = cep.anomaly(col.value, by=["sensor", col.place], where="value > 0", topic="t")
assert_type(rule, cep.AnomalyBuilder)
assert_type(rule.mad(span=timedelta(hours=1), threshold=4).all_rows().named("n").emit("e"), cep.Anomaly)
assert_type(rule.seasonal("7d", "1h", offset="4d", learn_anomalies=False), cep.Anomaly)
assert_type(cep.Anomaly.from_dict(rule.cusum().to_dict()), cep.Anomaly)
assert_type(cep.detect(rule.ewma(0.1), data, threads=2), Matches)
assert_type(cep.Window.from_json(cep.window(n=cep.count()).rows(3).to_json()), cep.Window)

mined = cep.frequent_sequences(data, by="card", event=[col.kind, "place"], min_support=0.1, max_gap=timedelta(hours=1))
assert_type(mined, cep.FrequentSequences)
assert_type(mined[0], cep.FrequentSequence)
assert_type(mined[:3], cep.FrequentSequences)
assert_type(mined[0].span_p95, timedelta)
assert_type(mined[0].pattern("n"), Pattern)
assert_type([sequence.support for sequence in mined], list[int])
assert_type(cep.process_map(data, case="card", activity=col.kind).at_least(2).to_svg(), str)

orders = cep.Aggregate("order", initial=dict, upcasters=cep.Upcasters({"order.created": 2}))


@orders.on("order.*")
def folded(state: dict[str, int], found: cep.StreamEvent) -> dict[str, int]:
    return {**state, found.topic: found.version}


def source(store: cep.EventStore, seen: list[cep.StreamEvent]) -> None:
    assert_type(folded({}, next(iter(seen))), dict[str, int])
    assert_type(orders.load(store, 7), cep.Loaded)
    assert_type(orders.handle(store, 7, lambda state: []).positions, tuple[cep.Position, ...])
    assert_type(cep.Projection("open").catch_up(store), int)
    assert_type(cep.ProcessManager("delays", pattern).run(store, until=7), int)
    orders.handle(store, 7, "pay")  # type: ignore[arg-type]
    cep.Projection("open", removed="maybe")  # type: ignore[arg-type]
    store.attach(orders)  # type: ignore[arg-type]


try:
    cep.match(pattern, data)
except cep.PatternError as pattern_error:
    assert_type(pattern_error.variable, str | None)
except cep.SqlError as sql_error:
    assert_type(sql_error.span, tuple[int, int] | None)

# What must be refused; an ignore that is not needed is an error too.
pattern.after_match(3)  # type: ignore[arg-type]
pattern.rows_per_match("some")  # type: ignore[arg-type]
pattern.one_or_more(contiguity="loose")  # type: ignore[arg-type]
pattern.within("1m", between="rows")  # type: ignore[arg-type]
pattern.one_or_more(greedy="yes")  # type: ignore[arg-type]
absent("x")  # type: ignore[arg-type]
event(1)  # type: ignore[arg-type]
pattern >> "b"  # type: ignore[operator]
cep.match(pattern)  # type: ignore[call-arg]
cep.Engine("SELECT")  # type: ignore[arg-type]
cep.frequent_sequences(data, by="card", event="kind")  # type: ignore[call-arg]
cep.frequent_sequences(data, by="card", event="kind", min_support=2, keep="most")  # type: ignore[arg-type]
cep.detect(rule, data)  # type: ignore[arg-type]
rule.ewma("0.1")  # type: ignore[arg-type]
cep.Engine(pattern, late="keep")  # type: ignore[arg-type]
engine.push(data, topic=3)  # type: ignore[arg-type]
engine.advance_to("noon")  # type: ignore[arg-type]
