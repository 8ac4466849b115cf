"""Event sequences in DuckDB: filter the few rows that matter, then join them in buckets of the window's size.

A row goes with those of its own bucket and of a neighbour: an equi-join, five times as fast as the inequalities alone
on the rows of `seq3_any`. Symbols and kinds are ENUMs, unless the question is about strings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np

from benches.forms.cards import settled
from benches.workload import Workload

STEPS = """
WITH relevant AS MATERIALIZED (
    SELECT n, {column} AS step, account, price FROM t
    WHERE {column} = '{a}' OR {column} = '{b}' OR {column} = '{c}'
), a AS (SELECT * FROM relevant WHERE step = '{a}'
), b AS (SELECT * FROM relevant WHERE step = '{b}'
), c AS (SELECT * FROM relevant WHERE step = '{c}')
"""
TRIPLES = """
SELECT a.n AS first_row, b.n AS middle_row, c.n AS last_row
FROM (SELECT *, unnest([n // {window}, n // {window} + 1]) AS bucket FROM a) a
JOIN (SELECT *, n // {window} AS bucket FROM b) b
  ON a.bucket = b.bucket AND b.n > a.n AND b.n <= a.n + {window}{related}
JOIN (SELECT *, unnest([n // {window}, n // {window} - 1]) AS bucket FROM c) c
  ON a.n // {window} = c.bucket AND c.n > b.n AND c.n <= a.n + {window}
"""
# Of each C: the pairs before it, less those whose A is out of its window, told by running sums. The sums stream: with
# ORDER BY, and a FILTER in place of CASE, they took time in the square of the rows.
TRIPLE_COUNT = """
, marked AS (
    SELECT n, step, sum(CASE WHEN step = '{a}' THEN 1 ELSE 0 END) OVER running AS seen_a,
           sum(CASE WHEN step = '{b}' THEN 1 ELSE 0 END) OVER running AS seen_b FROM relevant
    WINDOW running AS (ROWS UNBOUNDED PRECEDING)
), summed AS MATERIALIZED (
    SELECT *, sum(CASE WHEN step = '{b}' THEN seen_a ELSE 0 END) OVER (ROWS UNBOUNDED PRECEDING) AS pairs FROM marked
)
SELECT coalesce(sum(now.pairs - coalesce(old.pairs, 0)
           - coalesce(old.seen_a, 0) * (now.seen_b - coalesce(old.seen_b, 0))), 0)::BIGINT AS matches
FROM (SELECT *, n - {window} - 1 AS gone FROM summed WHERE step = '{c}') now
ASOF LEFT JOIN summed old ON now.gone >= old.n
"""
NEXT_TRIPLES = """
SELECT a.n AS first_row, b.n AS middle_row, c.n AS last_row
FROM a ASOF JOIN b ON a.n < b.n ASOF JOIN c ON b.n < c.n
WHERE c.n - a.n <= {window}
"""
# Two to the power of the Bs between, less one, of each A and C: a closed form, in floats.
KLEENE = """
, marked AS MATERIALIZED (
    SELECT n, step, sum(CASE WHEN step = '{b}' THEN 1 ELSE 0 END) OVER (ROWS UNBOUNDED PRECEDING) AS seen FROM relevant
)
SELECT coalesce(sum(pow(2::DOUBLE, (c.seen - a.seen)::DOUBLE) - 1), 0) AS matches
FROM (SELECT *, unnest([n // {window}, n // {window} + 1]) AS bucket FROM marked WHERE step = '{a}') a
JOIN (SELECT *, n // {window} AS bucket FROM marked WHERE step = '{c}') c
  ON a.bucket = c.bucket AND c.n > a.n AND c.n <= a.n + {window}
"""
# Big payments whose third last small one is in time; the few cards that have such one go on to a loop.
FRAUD = """
WITH relevant AS MATERIALIZED (
    SELECT card, ts, amount, n FROM t WHERE amount < 5 OR amount >= 500
), small AS (
    SELECT card, ts, CASE WHEN lag(card, 2) OVER () = card THEN lag(ts, 2) OVER () END AS third
    FROM (SELECT card, ts FROM relevant WHERE amount < 5 ORDER BY card, ts)
), thrice AS (SELECT * FROM small WHERE ts - third < INTERVAL 10 MINUTE
), candidates AS (
    SELECT DISTINCT big.card FROM (SELECT * FROM relevant WHERE amount >= 500) big
    ASOF JOIN thrice ON big.card = thrice.card AND big.ts > thrice.ts
    WHERE big.ts - thrice.third < INTERVAL 10 MINUTE
)
SELECT card, epoch_us(ts) AS microseconds, amount, n FROM relevant SEMI JOIN candidates USING (card) ORDER BY card, ts
"""
MANY_PATTERNS = """
WITH relevant AS MATERIALIZED (SELECT n, code // 2 AS rule, code % 2 AS step FROM t WHERE code < 2 * {rules})
SELECT a.n AS first_row, b.n AS last_row
FROM (SELECT * FROM relevant WHERE step = 0) a
ASOF JOIN (SELECT * FROM relevant WHERE step = 1) b ON a.rule = b.rule AND a.n < b.n
WHERE b.n - a.n < 10000
"""
RELATED = {
    "correlated_equality": " AND b.account = a.account",
    "correlated_inequality": " AND b.price > a.price",
}


def text(workload: Workload) -> str:
    """The form of a question, filled in."""
    if workload.shape == "fraud":
        return FRAUD
    if workload.shape == "many_patterns":
        return MANY_PATTERNS.format(rules=workload.rules)
    kinds = workload.generator == "kinds"
    names = {"a": "A", "b": "B", "c": "C"} if kinds else {"a": "SYM000", "b": "SYM001", "c": "SYM002"}
    form = TRIPLES
    if workload.shape == "seq3_next":
        form = NEXT_TRIPLES
    elif workload.shape == "kleene":
        form = KLEENE
    elif workload.output == "count":
        form = TRIPLE_COUNT
    head = STEPS.replace(", account, price", "") if kinds else STEPS
    return (head + form).format(
        column="kind" if kinds else "symbol",
        window=workload.parameter("window"),
        related=RELATED.get(workload.shape, ""),
        **names,
    )


def asked(connection: duckdb.DuckDBPyConnection, workload: Workload) -> Any:
    """The answer: a table, or a number where matches are counted."""
    result = connection.sql(text(workload)).to_arrow_table()
    if workload.output == "count":
        return result["matches"][0].as_py()
    if workload.shape == "fraud":
        return settled(*(result[name].to_numpy().astype(np.int64) for name in result.column_names))
    return result


FORMS: dict[str, Callable[[duckdb.DuckDBPyConnection, Workload], Any]] = dict.fromkeys(
    (
        "seq3_any",
        "seq3_next",
        "abc",
        "kleene",
        "correlated_equality",
        "correlated_inequality",
        "fraud",
        "many_patterns",
    ),
    asked,
)
