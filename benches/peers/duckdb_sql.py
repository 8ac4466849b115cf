"""DuckDB, with the fastest form that we could find by hand: gaps and islands over *streaming* windows.

`OVER ()` with `lag`, `lead` and `row_number` makes DuckDB go through the rows in the order in which they lie in the
table, without sorting; for keys, one sort and the key compared at each seam. At full size that was 2 to 19 times as
fast as the same windows with `ORDER BY ts`. It takes for granted that the table is in time order, as the form for
Polars does, and cepheid does not. No MATCH_RECOGNIZE is in the DuckDB that this was written against (2.0.1).

Rows are in a DuckDB table before the clock starts; results leave as Arrow.
"""

from __future__ import annotations

import os
from typing import Any

import duckdb
import pyarrow as pa

from benches.forms import duckdb_sequences, duckdb_windows
from benches.peers.peer import Peer
from benches.workload import Workload

# Direction of each step; only the rows at which it turns are kept.
#
# A falling run with a rising run right behind it is a V unless its first row is taken: SKIP PAST LAST ROW gives the
# top between two adjacent Vs to the earlier one. The later then has to begin one row on, for which a fall of one row
# is too short. So in a chain of adjacent Vs, every V with a longer fall matches and starts the count anew, and of the
# short ones behind it every second does.
#
# A symbol's first row neither falls nor rises, so no run reaches across a seam.
V_SHAPE = """
WITH steps AS (
    SELECT price, row_number() OVER () AS n, {key} {step} AS direction, {next_step} AS next_direction FROM {rows}
), turns AS (
    SELECT * FROM steps WHERE direction IS DISTINCT FROM next_direction
), runs AS (
    SELECT {key} n, direction, price AS peak,
           lag(price) OVER () AS bottom,
           lag(direction) OVER () AS before,
           lag(direction, 2) OVER () AS before_fall,
           lag(direction, 3) OVER () AS before_rise,
           lag(n) OVER () - lag(n, 2) OVER () AS fall
    FROM turns
), vs AS (
    SELECT *, row_number() OVER () AS i, before_fall = 1 AND before_rise = -1 AND fall = 1 AS is_short
    FROM runs WHERE direction = 1 AND before = -1
), chains AS (
    SELECT *, max(CASE WHEN is_short THEN NULL ELSE i END) OVER (ROWS UNBOUNDED PRECEDING) AS begun FROM vs
)
SELECT {key} bottom, peak FROM chains WHERE (i - begun) % 2 = 0
"""
ONE_SERIES = {
    "key": "",
    "rows": "t",
    "step": "coalesce(sign(price - lag(price) OVER ()), 0)",
    "next_step": "sign(lead(price) OVER () - price)",
}
BY_SYMBOL = {
    "key": "symbol,",
    "rows": "(SELECT symbol, price FROM t ORDER BY symbol, ts)",
    "step": "CASE WHEN lag(symbol) OVER () = symbol THEN sign(price - lag(price) OVER ()) ELSE 0 END",
    "next_step": "CASE WHEN lead(symbol) OVER () = symbol THEN sign(lead(price) OVER () - price) END",
}

PAIR = """
SELECT closing FROM (SELECT reading, lead(reading) OVER () AS closing FROM t) WHERE reading < 100 AND closing >= 900
"""

LEVEL_THEN_RISE = """
SELECT n - coalesce(lag(n) OVER (), 0) AS taken
FROM (SELECT level, row_number() OVER () AS n FROM t)
WHERE level = 2
"""

# Right only because every row satisfies both variables.
OVERLAPPING_RUNS = """
SELECT (SELECT count(*) FROM t) - row_number() OVER () + 1 AS taken FROM t QUALIFY taken >= 2
"""


def start_relative_bounded() -> str:
    """Twenty-one rows ahead beside each row; the first that is not above the start is the way back."""
    distances = range(1, 22)
    ahead = ", ".join(
        f"lead(price, {d}) OVER () AS price_{d}, lead(symbol, {d}) OVER () AS symbol_{d}" for d in distances
    )
    back = [f"WHEN symbol_{d} = symbol AND price_{d} <= price THEN" for d in distances]
    dwell = " ".join(f"{when} {d - 1}" for when, d in zip(back, distances, strict=True))
    closing = " ".join(f"{when} price_{d}" for when, d in zip(back, distances, strict=True))
    return f"""
        SELECT symbol, CASE {dwell} END AS dwell, CASE {closing} END AS closing
        FROM (SELECT symbol, price, {ahead} FROM (SELECT symbol, price FROM t ORDER BY symbol, ts))
        WHERE dwell >= 1
    """


FORMS = {
    "pair": PAIR,
    "level_then_rise": LEVEL_THEN_RISE,
    "overlapping_runs": OVERLAPPING_RUNS,
    "start_relative_bounded": start_relative_bounded(),
}


class DuckDb(Peer):
    """Window functions and joins."""

    name = "DuckDB, by hand"
    version = duckdb.__version__

    def cannot_run(self, workload: Workload) -> str | None:
        if workload.shape in {"v_shape", *FORMS, *duckdb_sequences.FORMS, *duckdb_windows.FORMS}:
            return super().cannot_run(workload)
        return "no form without recursion known: what comes next depends on what was matched or taken before"

    def prepare(self, workload: Workload, table: pa.Table) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        connection.execute(f"SET threads = {int(os.environ.get('CEPHEID_BENCH_THREADS', '1'))}")
        columns = []
        for field in table.schema:
            name = field.name
            if pa.types.is_dictionary(field.type):
                values = ", ".join(f"'{value}'" for value in table[name].chunk(0).dictionary.to_pylist())
                connection.execute(f"CREATE TYPE {name}_enum AS ENUM ({values})")
                name = f"{name}::VARCHAR::{name}_enum AS {name}"
            columns.append(name)
        connection.register("arrow_rows", table)
        connection.execute(f"CREATE TABLE t AS SELECT {', '.join(columns)} FROM arrow_rows")
        connection.unregister("arrow_rows")
        return connection

    def run(self, workload: Workload, armed: duckdb.DuckDBPyConnection) -> Any:
        if form := duckdb_sequences.FORMS.get(workload.shape):
            return form(armed, workload)
        if workload.shape in duckdb_windows.FORMS:
            return duckdb_windows.windows(armed, workload)
        return armed.sql(self.form(workload)).to_arrow_table()

    def close(self, prepared: duckdb.DuckDBPyConnection) -> None:
        prepared.close()

    @staticmethod
    def form(workload: Workload) -> str:
        if workload.shape == "v_shape":
            return V_SHAPE.format(**(BY_SYMBOL if workload.keyed else ONE_SERIES))
        return FORMS[workload.shape]
