"""Snapshots of engines that were saved by an older build go on where they stood."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

import cepheid as cep
from cepheid import absent, col, event, ref

FOLDER = Path(__file__).parent / "v1"
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


def row(minute: int, card: int, amount: float, kind: str) -> dict[str, object]:
    return {"ts": START + dt.timedelta(minutes=minute), "card": card, "amount": amount, "kind": kind}


BEFORE = [
    row(0, 1, 10.0, "order"), row(1, 2, 20.0, "order"), row(2, 1, 30.0, "other"), row(3, 2, 95.0, "paid"),
    row(4, 1, 40.0, "order"), row(9, 3, 5.0, "order"),
]  # fmt: skip
AFTER = [row(7, 1, 700.0, "paid"), row(12, 2, 96.0, "order"), row(13, 3, 99.0, "other"), row(40, 3, 1.0, "other")]


def engine_before() -> cep.Engine:
    engine = cep.Engine(rules(), event_time="ts", lateness="3m", future=None, threads=2)
    engine.push(BEFORE)
    return engine


def ending(engine: cep.Engine) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = {}
    for derived in (engine.push(AFTER), engine.flush()):
        for topic, matches in derived.items():
            found.setdefault(topic, []).extend(matches.to_arrow().to_pylist())
    return found


@pytest.mark.parametrize("threads", [1, 4])
def test_a_snapshot_of_version_1_goes_on_where_it_stood(threads: int) -> None:
    saved = (FOLDER / "engine.snapshot").read_bytes()
    expected = ending(engine_before())
    assert {"spree", "silent", "rise"} <= expected.keys()
    assert ending(cep.Engine.restore(saved, rules(), threads=threads)) == expected
