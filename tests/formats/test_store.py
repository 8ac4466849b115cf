"""A store that an older build wrote is read, verified and written on."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
import zipfile
from decimal import Decimal
from pathlib import Path

import cepheid as cep

FOLDER = Path(__file__).parent
# What the frozen store was signed with.
SECRET = bytes(range(32))
DAY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_frozen_stores_are_read_as_they_were_written(tmp_path: Path) -> None:
    frozen = sorted(FOLDER.glob("v*/store.zip"))
    checks = {"v1": check, "v2": check_without_keys, "v3": check_planes}
    assert [file.parent.name for file in frozen] == sorted(checks)
    for file in frozen:
        folder = tmp_path / file.parent.name
        with zipfile.ZipFile(file) as packed:
            packed.extractall(folder)
        assert format_of(folder) == int(file.parent.name.removeprefix("v"))
        # To open one changes nothing: what wrote it still reads it.
        cep.EventStore(folder / "s.db", author="today").close()
        assert format_of(folder) == int(file.parent.name.removeprefix("v"))
        with cep.EventStore(folder / "s.db", author="today") as store:
            checks[file.parent.name](store)
        # Rows were appended, as they are kept today.
        assert format_of(folder) == 3


def format_of(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "s.db")) as database:
        (found,) = database.execute("PRAGMA user_version").fetchone()
    assert isinstance(found, int)
    return found


def check(store: cep.EventStore) -> None:
    orders = store.read("order.created", metadata=True).to_arrow().to_pylist()
    assert [order["order"] for order in orders] == [7, 8, 9, 10]
    assert [order["total"] for order in orders] == [Decimal("1.50"), None, None, None]
    assert [order["tags"] for order in orders] == [["a"], [], None, None]
    assert [order["kind"] for order in orders] == ["x", "y", None, None]
    assert orders[2]["note"] == "new column"
    assert orders[3]["note"].startswith("in the journal, long")
    assert [(order["_position"], order["_stream"], order["_version"]) for order in orders] == [
        (0, "order-7", 1),
        (1, "order-7", 2),
        (5, "order-7", 3),
        (6, None, None),
    ]
    assert {order["_recorded"] for order in orders} == {DAY}
    # Erased, and kept under a key; removed.
    assert store.read("signup").to_arrow()["email"].to_pylist() == [None, "d@e.f"]
    info = store.info().topics
    assert (info["old"].removed, info["old"].keep_for, info["signup"].protected) == (1, dt.timedelta(30), ("email",))
    assert (info["order.created"].archived, info["plain"].archived) == (3, 0)
    assert store.read("order.created", where="note LIKE '%journal%'").count() == 1
    assert store.load("engine") == b"state"
    assert store.offset("file") == b"17"
    assert store.waiting("notify") == [("a", b"do it")]
    assert store.subscribe("mailer", "order.*").position == 7
    assert store.append("order.created", store.read("order.created", to=2), idempotency_key="k1").repeated
    found = store.verify(store.sign(SECRET))
    assert (found.ok, found.events, found.removed) == (True, 8, 1)
    assert len(found.signatures) == 2
    assert [change["what"] for change in store.report().changes][:2] == ["protect", "seal"]
    assert (
        store.append(
            "order.created", {"ts": [DAY + dt.timedelta(hours=6)], "order": [11]}, stream="order-7", expected_version=3
        ).first
        == 9
    )
    assert store.replay(cep.Engine(cep.event("any", topic="order.created").named("any")))["any"].num_rows == 5
    assert store.verify()


def check_without_keys(store: cep.EventStore) -> None:
    """Keys of idempotency have gone, with their events and before them."""
    assert store.read("a", metadata=True).to_arrow()["_position"].to_pylist() == [4, 6]
    assert store.read("b").to_arrow()["x"].to_pylist() == [0, 1, 2, 3]
    info = store.info().topics
    assert (info["a"].keep_for, info["a"].keep_keys_for) == (dt.timedelta(days=2), None)
    assert (info["b"].keep_for, info["b"].keep_keys_for) == (None, dt.timedelta(days=1))
    assert store.append("a", {"ts": [DAY], "x": [9]}, idempotency_key="k2").repeated
    assert store.append("b", {"ts": [DAY], "x": [9]}, idempotency_key="k3").repeated
    found = store.verify(store.sign(SECRET))
    assert (found.ok, found.events, found.removed) == (True, 6, 2)
    assert not store.append("a", {"ts": [DAY], "x": [9]}, idempotency_key="k0").repeated
    assert store.verify().ok


def check_planes(store: cep.EventStore) -> None:
    """Numbers are kept byte by byte, some as differences; the first 150 rows are archived."""
    rows = store.read("numbers").to_arrow()
    numbers = range(400)
    assert rows["ts"].to_pylist() == [DAY + dt.timedelta(seconds=3 * i + i % 2) for i in numbers]
    assert rows["count"].to_pylist() == [1_000_000 - 7 * i for i in numbers]
    assert rows["small"].to_pylist() == [None if i % 5 == 0 else i * 37 % 1000 - 500 for i in numbers]
    assert rows["share"].to_pylist() == [i * 7919 % 10007 / 100 for i in numbers]
    assert rows["total"].to_pylist() == [Decimal(i * 31 % 977) / 100 for i in numbers]
    assert rows["name"].to_pylist() == [f"n{i * i % 83}" for i in numbers]
    assert rows["kind"].to_pylist() == [("card", "cash", None)[i % 3] for i in numbers]
    assert rows["tags"].to_pylist() == [[i, i + 1][: i % 3] for i in numbers]
    assert store.info().topics["numbers"].archived == 150
    assert store.read("numbers", where="name = 'n16' AND share > 50").count() == sum(
        i * i % 83 == 16 and i * 7919 % 10007 / 100 > 50 for i in numbers
    )
    found = store.verify(store.sign(bytes(range(32))))
    assert (found.ok, found.events, len(found.signatures)) == (True, 401, 2)
    store.append("few", {"ts": [DAY], "x": [2]})
    store.seal()
    assert store.verify().ok
    assert store.read("numbers").to_arrow() == rows
