"""Windows in DuckDB: grids by whole division, deviations by sums of squares.

Overlapping windows are made of panes, the stretches that no window ends in: twice as fast as each row in each of its
windows. Whole division was twice as fast as `time_bucket`, and sums of squares, which are exact here, a fifth faster
than `stddev`. From every row back: a window function, its mean as a quotient.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from benches.workload import Workload

PANES = """
SELECT key, epoch_us(ts) // {every} AS pane, count(*) AS n, sum(value) AS total, sum(value * value) AS squares,
       min(value) AS least, max(value) AS most
FROM t GROUP BY ALL
"""
KNOWN = """
n, total, total / n AS mean, least, most,
CASE WHEN n > 1 THEN sqrt((squares - total * total / n) / (n - 1)) END AS deviation
"""
TUMBLE = f"SELECT key, pane, {KNOWN} FROM ({PANES})"
HOP = f"""
SELECT key, number, {KNOWN} FROM (
    SELECT key, pane - back AS number, sum(n) AS n, sum(total) AS total, sum(squares) AS squares,
           min(least) AS least, max(most) AS most
    FROM ({PANES}), (SELECT unnest(range({{panes}})) AS back)
    GROUP BY ALL
)
"""
RANGE = """
SELECT key, ts, sum(value) OVER w AS total, sum(value) OVER w / count(*) OVER w AS mean,
       min(value) OVER w AS least, max(value) OVER w AS most
FROM t
WINDOW w AS (PARTITION BY key ORDER BY ts RANGE BETWEEN INTERVAL {size} SECOND PRECEDING AND CURRENT ROW)
"""
FORMS = {"tumble": TUMBLE, "hop": HOP, "range": RANGE}


def windows(connection: duckdb.DuckDBPyConnection, workload: Workload) -> pa.Table:
    """What the windows of a workload say."""
    size = workload.parameter("size")
    every = dict(workload.parameters).get("every", size)
    form = FORMS[workload.shape].format(every=every * 1_000_000, panes=size // every, size=size)
    return connection.sql(form).to_arrow_table()
