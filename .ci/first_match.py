"""Finds one V in six rows with the installed package, in both spellings: a wheel that cannot is not published."""

import cepheid as cep
from cepheid import col, event, prev

ticks = {"symbol": ["x"] * 6, "ts": list(range(6)), "price": [5, 4, 3, 4, 6, 6]}

pattern = (
    cep.seq(
        event("start"),
        event("down", col.price < prev(col.price)).one_or_more(),
        event("up", col.price > prev(col.price)).one_or_more(),
        contiguity="strict",
    )
    .partition_by("symbol")
    .order_by("ts")
    .select(bottom=cep.ref("down").price, top=cep.ref("up").price)
)
[match] = list(cep.match(pattern, ticks))
assert (match["symbol"], match["bottom"], match["top"]) == ("x", 3, 6), match

[row] = list(
    cep.sql(
        """
        SELECT symbol, bottom, top FROM ticks MATCH_RECOGNIZE (
            PARTITION BY symbol ORDER BY ts
            MEASURES LAST(down.price) AS bottom, LAST(up.price) AS top
            PATTERN (start down+ up+)
            DEFINE down AS price < PREV(price), up AS price > PREV(price)
        )
        """,
        ticks=ticks,
    )
)
assert row == {"symbol": "x", "bottom": 3, "top": 6}, row
print(f"cepheid {cep.__version__}: one match, {row}")
