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
    """Since version 2 there are step lists and windows, since version 3 ids, and windows that take late rows.

    Version 4 has these as well. Since version 5 there are step lists of runs without a choice, and of keys with few
    rows these.
    """
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
    if version >= "v3":
        windows["late_rows"] = asked.tumbling("5m").early(every="2m").with_empty(for_="10m").with_late(for_="1h")
    found = {**rules(), "pairs": pairs, "by_rows": by_rows, **windows}
    if version >= "v5":
        found["next"] = order.at_least(2).then(paid).within("2h").partition_by("card")
    return found


def row(minute: int, card: int, amount: float, kind: str) -> dict[str, object]:
    return {"ts": START + dt.timedelta(minutes=minute), "card": card, "amount": amount, "kind": kind}


BEFORE = [
    row(0, 1, 10.0, "order"), row(1, 2, 20.0, "order"), row(2, 1, 30.0, "other"), row(3, 2, 95.0, "paid"),
    row(4, 1, 40.0, "order"), row(9, 3, 5.0, "order"),
]  # fmt: skip
AFTER = [row(7, 1, 700.0, "paid"), row(12, 2, 96.0, "order"), row(13, 3, 99.0, "other"), row(40, 3, 1.0, "other")]


def engine_before(version: str) -> cep.Engine:
    late = version >= "v3"
    engine = cep.Engine(rules_of(version), event_time="ts", lateness="3m", future=None, threads=2, ids=late)
    # Since version 5 more rows of a key, too, than are kept as they are.
    many = [row(5 + nth / 20, 1, nth, "order") for nth in range(12)] if version >= "v5" else []
    engine.push([*BEFORE[:-1], *many, BEFORE[-1]])
    if late:
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
@pytest.mark.parametrize("version", ["v1", "v2", "v3", "v4", "v5"])
def test_a_snapshot_of_every_version_goes_on_where_it_stood(version: str, threads: int) -> None:
    saved = (FOLDER / version / "engine.snapshot").read_bytes()
    expected = ending(engine_before(version))
    assert expected.keys() >= ({"spree", "silent", "rise"} if version == "v1" else rules_of(version).keys())
    engine = cep.Engine.restore(saved, rules_of(version), threads=threads)
    strategies = {rule.name: rule.strategy for rule in engine.stats().rules}
    assert all((strategies[name] == "step lists") == (name in ("pairs", "by_rows", "next")) for name in strategies)
    assert list(strategies.values()).count("windows") == {"v1": 0, "v2": 6}.get(version, 7)
    assert ending(engine) == expected


SPIKE = event("s", col.amount > 50, topic="in").select(amount=ref("s").amount).named("spike")


def engine_that_is_due() -> cep.Engine:
    """One whose next call lets rows out that waited for a topic that is read no more, and that orders topics."""
    slow = event("s", topic="slow").named("other")
    engine = cep.Engine([SPIKE, slow], event_time="ts", topics=["spike", "in"], lateness="0s", future=None)
    engine.push([row(0, 1, 1.0, "order")], "slow")
    engine.push([row(1, 1, 60.0, "order"), row(2, 1, 70.0, "order")], "in")
    engine.remove("other")
    return engine


def test_a_snapshot_of_version_4_knows_what_is_to_come_out_and_the_order_of_topics() -> None:
    saved = (FOLDER / "v4" / "due.snapshot").read_bytes()
    found = []
    for engine in (cep.Engine.restore(saved, [SPIKE]), engine_that_is_due()):
        # It sees the rows that are still to come out, and of a time the spike before what it comes of.
        both = event("x", topic="in").then(event("y", topic="spike")).within("5m").matches("all")
        engine.add(both.named("both"))
        assert engine.stats().waiting == 2
        derived = engine.push([row(3, 1, 80.0, "order")], "in"), engine.flush()
        made = [matches.to_arrow().to_pylist() for one in derived for _, matches in sorted(one.items())]
        found.append(made)
    assert found[0] == found[1]
    assert [len(rows) for rows in found[0]] == [1, 3, 1]
