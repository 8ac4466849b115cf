"""What a delay chain is, twice: in the Python algebra and in SQL."""

from __future__ import annotations

import cepheid as cep
from cepheid import col, event, prev, ref

LATE_MINUTES = 15  # the aviation authorities' own limit

DELAY_CHAIN = (
    cep.seq(
        # The aircraft comes in late from somewhere: whatever the cause, it lies here.
        event("root", col.arr_delay >= LATE_MINUTES),
        # It leaves late again, and the leg before had come in late: the delay is handed on.
        event("handed_on", col.dep_delay >= LATE_MINUTES, prev(col.arr_delay) >= LATE_MINUTES).at_least(2),
        # The next leg, if there is one and it is punctual: the slack was enough.
        event("recovered", col.dep_delay < LATE_MINUTES).optional(),
        contiguity="strict",
    )
    .partition_by("tailnum", "date")
    .order_by("scheduled")
    .select(
        carrier=ref("root").carrier.first(),
        flights=ref("root").count() + ref("handed_on").count(),
        root_delay=ref("root").arr_delay,
        worst_delay=ref("handed_on").dep_delay.max(),
        handed_on_minutes=ref("handed_on").dep_delay.sum(),
        recovered=ref("recovered").count() > 0,
    )
    .named("delay-chain")
)

DELAY_CHAIN_SQL = f"""
SELECT * FROM flights MATCH_RECOGNIZE (
    PARTITION BY tailnum, date
    ORDER BY scheduled
    MEASURES
        FIRST(root.carrier)          AS carrier,
        COUNT(root.*) + COUNT(handed_on.*) AS flights,
        root.arr_delay               AS root_delay,
        MAX(handed_on.dep_delay)     AS worst_delay,
        SUM(handed_on.dep_delay)     AS handed_on_minutes,
        COUNT(recovered.*) > 0       AS recovered
    ONE ROW PER MATCH
    AFTER MATCH SKIP PAST LAST ROW
    PATTERN (root handed_on{{2,}} recovered?)
    DEFINE
        root      AS arr_delay >= {LATE_MINUTES},
        handed_on AS dep_delay >= {LATE_MINUTES} AND PREV(arr_delay) >= {LATE_MINUTES},
        recovered AS dep_delay < {LATE_MINUTES}
)
"""
MEASURES = ("carrier", "flights", "root_delay", "worst_delay", "handed_on_minutes", "recovered")
