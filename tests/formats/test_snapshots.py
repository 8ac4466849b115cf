"""Snapshots of engines that were saved by an older build go on where they stood."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

import cepheid as cep
from cepheid import absent, col, event, ref

FOLDER = Path(__file__).parent
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def rules() -> dict[str, cep.Pattern]:
    """Rules whose runs hold something of every kind: loops, what they remember, deadlines, several threads."""
    small = event("small", col.amount < 50).at_least(2)
    spree = small >> event("big", col.amount > 500, col.amount > ref("small").amount.sum())
    silent = event("order", col.kind == "order") >> absent(event("paid", col.kind == "paid"), for_="10m")
    rise = cep.seq(event("low"), event("up", col.amount > ref("low").amount).times(2, 4), contiguity="skip_till_any")
    return {
        "spree": spree.within("1h").partition_by("card").select(total=ref("small").amount.sum()),
        "silent": silent.partition_by("card"),
        "rise": rise.within("30m").matches("all").partition_by("card").having(ref("up").amount.max() > 90),
    }


def rules_of(version: str) -> dict[str, cep.Pattern | cep.Window]:
    """Since version 2 there are step lists and windows, since version 3 ids, and windows that take late rows."""
    if version == "v1":
        return rules()
    order, paid = event("order", col.kind == "order"), event("paid", col.kind == "paid")
    pairs = order.at_least(1).then(paid).within("2h").partition_by("card").matches("all")
    by_rows = order.then(event("other", col.kind == "other")).within(rows=4).matches("all").after_match("consume")
    total = {"total": col.amount.sum(), "mean": col.amount.avg(), "kinds": col.kind.n_unique()}
    asked = cep.window(total, first=col.kind.first(), by="card")
    windows = {
        "tumbling": asked.tumbling("5m"),
        "hopping": asked.hopping("6m", every="2m"),
        "sliding": asked.sliding("10m"),
        "session": asked.session(gap="4m"),
        "counted": asked.rows(2),
        "overlapping": asked.rows(3, every=2),
    }
    if version == "v3":
        windows["late_rows"] = asked.tumbling("5m").early(every="2m").with_empty(for_="10m").with_late(for_="1h")
    return {**rules(), "pairs": pairs, "by_rows": by_rows, **windows}


def row(minute: int, card: int, amount: float, kind: str) -> dict[str, object]:
    return {"ts": START + dt.timedelta(minutes=minute), "card": card, "amount": amount, "kind": kind}


BEFORE = [
    row(0, 1, 10.0, "order"), row(1, 2, 20.0, "order"), row(2, 1, 30.0, "other"), row(3, 2, 95.0, "paid"),
    row(4, 1, 40.0, "order"), row(9, 3, 5.0, "order"),
]  # fmt: skip
AFTER = [row(7, 1, 700.0, "paid"), row(12, 2, 96.0, "order"), row(13, 3, 99.0, "other"), row(40, 3, 1.0, "other")]


def engine_before(version: str) -> cep.Engine:
    engine = cep.Engine(rules_of(version), event_time="ts", lateness="3m", future=None, threads=2, ids=version == "v3")
    engine.push(BEFORE)
    if version == "v3":
        # Late, of a window that goes on and of one that has ended.
        engine.push([row(5, 3, 6.0, "order"), row(4, 3, 7.0, "other")])
    return engine


def ending(engine: cep.Engine) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for derived in (engine.push(AFTER), engine.flush()):
        for topic, matches in derived.items():
            found.setdefault(topic, []).extend(matches.to_arrow().to_pylist())
    return found


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_a_snapshot_of_every_version_goes_on_where_it_stood(version: str, threads: int) -> None:
    saved = (FOLDER / version / "engine.snapshot").read_bytes()
    expected = ending(engine_before(version))
    assert expected.keys() >= ({"spree", "silent", "rise"} if version == "v1" else rules_of(version).keys())
    engine = cep.Engine.restore(saved, rules_of(version), threads=threads)
    strategies = {rule.name: rule.strategy for rule in engine.stats().rules}
    assert all((strategies[name] == "step lists") == (name in ("pairs", "by_rows")) for name in strategies)
    assert list(strategies.values()).count("windows") == {"v1": 0, "v2": 6, "v3": 7}[version]
    assert ending(engine) == expected
