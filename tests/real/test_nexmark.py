"""Queries in the manner of Nexmark over generated events, pushed in the order in which they arrived: windows, joins and
chains of rules answer what DuckDB answers of the sorted table.

The data are not part of the repository: name the folder in `CEPHEID_DATA`. Their README says how they were generated.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import cepheid as cep
from cepheid import col

DATA = Path(os.environ.get("CEPHEID_DATA", "there is no such folder"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="CEPHEID_DATA names no folder with the data")

EVENTS = 600_000
# No event comes later than this behind another.
LATENESS = "3s"
# Rows pushed at once, of both topics as they arrived.
ROWS_A_CALL = 5_000


@pytest.fixture(scope="module")
def events() -> pa.Table:
    table = pq.read_table(DATA / "nexmark_synthetic.parquet").sort_by(
        [("arrival_ts", "ascending"), ("seq", "ascending")]
    )
    assert table.num_rows == EVENTS
    late = pc.less(table["ts"], pa.array(_greatest_so_far(table["ts"]), table["ts"].type))
    assert pc.sum(late).as_py() > 10_000, "rows come in disorder"
    return table


def _greatest_so_far(times: pa.ChunkedArray) -> pa.Array:
    return pc.cumulative_max(times.cast("int64")).cast(times.type)


def derived(rules: list[cep.Pattern | cep.Window], events: pa.Table, topic: str) -> pa.Table:
    """What a topic derives of a stream of bids and auctions."""
    engine = cep.Engine(rules, lateness=LATENESS, topics=["auctions", "bids"])
    read = {rule.topic for rule in rules if isinstance(rule, cep.Window)} | {"auctions", "bids"}
    columns = {"auctions": ["ts", "auction_id", "seller", "category"], "bids": ["ts", "auction_id", "bidder", "price"]}
    found = []
    for start in range(0, events.num_rows, ROWS_A_CALL):
        part = events.slice(start, ROWS_A_CALL)
        for source, kind in (("auctions", "auction"), ("bids", "bid")):
            if source in read and any(_reads(rule, source) for rule in rules):
                found.append(engine.push(part.filter(pc.equal(part["kind"], kind)).select(columns[source]), source))
    found.append(engine.flush())
    assert engine.stats().late == 0
    return pa.concat_tables([one[topic].to_arrow() for one in found if topic in one])


def _reads(rule: cep.Pattern | cep.Window, topic: str) -> bool:
    return topic in rule._read_topics()


def same(found: pa.Table, expected: str, events: pa.Table, columns: Iterable[str]) -> int:
    """Checks that a table holds the rows of a query, in whatever order; gives how many they are."""
    names = ", ".join(columns)
    duckdb.sql("SET TimeZone = 'UTC'")
    wanted = duckdb.sql(f"SELECT {names} FROM ({expected}) ORDER BY ALL").to_arrow_table()
    got = duckdb.sql(f"SELECT {names} FROM found ORDER BY ALL").to_arrow_table()
    assert got.num_rows == wanted.num_rows > 0
    for name in columns:
        assert got[name].cast(wanted[name].type).equals(wanted[name]), name
    return got.num_rows


BIDS = "SELECT * FROM events WHERE kind = 'bid'"


def test_the_highest_bid_of_each_auction_in_each_ten_seconds(events: pa.Table) -> None:
    highest = cep.window(highest=col.price.max(), bids=cep.count(), topic="bids", by="auction_id").tumbling("10s")
    expected = f"""
        SELECT auction_id, time_bucket(INTERVAL 10 SECOND, ts) AS window_start, max(price) AS highest, count(*) AS bids
        FROM ({BIDS}) GROUP BY ALL
    """
    found = derived([highest.named("highest")], events, "highest")
    assert same(found, expected, events, ["auction_id", "window_start", "highest", "bids"]) > 50_000


def test_the_bids_of_the_hottest_item_over_hops(events: pa.Table) -> None:
    bids = cep.window(bids=cep.count(), topic="bids", by="auction_id").hopping("60s", every="5s").named("bids_of")
    # A window that ends at a time is an event of that time: those of one hop share the window that begins there.
    hottest = cep.window(hottest=col.bids.max(), items=cep.count(), topic="bids_of").tumbling("5s").named("hottest")
    expected = f"""
        WITH hops AS (
            SELECT auction_id, time_bucket(INTERVAL 5 SECOND, ts) - hop * INTERVAL 5 SECOND AS window_start
            FROM ({BIDS}), range(12) AS hops(hop)
        ), counted AS (SELECT auction_id, window_start, count(*) AS bids FROM hops GROUP BY ALL)
        SELECT window_start + INTERVAL 60 SECOND AS window_start, max(bids) AS hottest, count(*) AS items
        FROM counted GROUP BY counted.window_start
    """
    found = derived([bids, hottest], events, "hottest")
    assert same(found, expected, events, ["window_start", "hottest", "items"]) > 600


def test_the_average_price_of_a_category_of_bids_joined_to_auctions(events: pa.Table) -> None:
    joined = cep.interval_join(
        "auctions", "bids", on="auction_id", after="20s", left_columns=["category"], right_columns=["price"]
    ).named("sold")
    # A pair is an event of the time of its later row: the bid.
    means = (
        cep.window(mean=col.price.avg(), pairs=cep.count(), topic="sold", by="category").tumbling("1m").named("means")
    )
    expected = f"""
        SELECT auctions.category, time_bucket(INTERVAL 1 MINUTE, bids.ts) AS window_start, avg(bids.price) AS mean,
            count(*) AS pairs
        FROM events AS auctions JOIN ({BIDS}) AS bids ON auctions.auction_id = bids.auction_id
        WHERE auctions.kind = 'auction' AND bids.ts BETWEEN auctions.ts AND auctions.ts + INTERVAL 20 SECOND
        GROUP BY ALL
    """
    found = derived([means, joined], events, "means")
    assert same(found, expected, events, ["category", "window_start", "mean", "pairs"]) > 100


def test_sessions_of_bidders(events: pa.Table) -> None:
    sessions = cep.window(bids=cep.count(), spent=col.price.sum(), topic="bids", by="bidder").session(gap="10s")
    expected = f"""
        WITH begun AS (
            SELECT *, ts >= lag(ts) OVER (PARTITION BY bidder ORDER BY ts) + INTERVAL 10 SECOND AS new FROM ({BIDS})
        ), numbered AS (
            SELECT *, sum(coalesce(new, true)::int) OVER (PARTITION BY bidder ORDER BY ts) AS number FROM begun
        )
        SELECT bidder, min(ts) AS window_start, max(ts) + INTERVAL 10 SECOND AS window_end, count(*) AS bids,
            sum(price)::bigint AS spent
        FROM numbered GROUP BY bidder, number
    """
    found = derived([sessions.named("sessions")], events, "sessions")
    assert same(found, expected, events, ["bidder", "window_start", "window_end", "bids", "spent"]) > 10_000
