"""Pictures, byte by byte: whoever changes how they look sees it here, and looks at them.

`CEPHEID_UPDATE_GOLDEN=1 pytest tests/golden` writes the files anew.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

import cepheid as cep
from cepheid import absent, col, event, prev

FOLDER = Path(__file__).parent / "pictures"
# Those that the guide shows.
SHOWN = Path(__file__).parents[2] / "docs" / "guide" / "pictures"
MINUTES = [dt.datetime(2024, 5, 1, 23, 57) + dt.timedelta(minutes=minute) for minute in range(12)]
TABLE = {"time": MINUTES, "price": [9, 7, 6, 8, 10, 10, 8, 9, 7, 5, 6, 7]}

FALL = event("fall", col.price < prev(col.price)).one_or_more()
RISE = event("rise", col.price > prev(col.price)).one_or_more()
VALLEY = cep.seq(event("top"), FALL, RISE, contiguity="strict").order_by("time")
PAID = (
    (event("order", topic="orders") >> absent(event("cancelled", topic="orders")) >> event("paid", topic="payments"))
    .partition_by("order_id")
    .within("1d")
    .timeouts(True)
    .named("paid & <shipped>")
)
TOTALS = cep.window(total=col.amount.sum(), topic="payments", by="shop").tumbling("1h").named("totals")
BIG = event("big", col.total > 1000, topic="totals").emit("big sales").named("big")
STANDARD = cep.pattern_from_sql(
    "MATCH_RECOGNIZE (ORDER BY time PATTERN (^ A {- B*? -} PERMUTE(C, D) (E | F){2,4} $) DEFINE B AS price > 1)"
)
ANY_ORDER = (
    cep.all_of(event("a"), event("b").one_or_more(until="x = 9"), event("c"), event("d"))
    .then_any(event("e").optional())
    .next((event("f") >> event("g")).times(2, 5))
)
DRAWN = {"valley": VALLEY, "paid": PAID, "standard": STANDARD, "any_order": ANY_ORDER}


def place_of(name: str) -> Path:
    return (SHOWN if name in ("paid.svg", "rules.svg", "valleys.svg") else FOLDER) / name


def pictures() -> dict[str, str]:
    """By file what is in it."""
    texts = {f"{name}.svg": pattern.to_svg() for name, pattern in DRAWN.items()}
    texts |= {f"{name}.dot": pattern.to_graphviz() for name, pattern in DRAWN.items()}
    engine = cep.Engine([PAID, TOTALS, BIG, event("any").named("all")])
    windows = cep.aggregate(cep.window(n=cep.count()).hopping("4m", every="2m"), TABLE, event_time="time")
    return texts | {
        "rules.svg": engine.to_svg(),
        "rules.dot": engine.to_graphviz(),
        "valleys.svg": cep.match(VALLEY, TABLE).plot(data=TABLE, event_time="time").to_svg(),
        "windows.svg": windows.plot(limit=5).to_svg(),
    }


@pytest.mark.parametrize("name", pictures())
def test_pictures_are_the_same(name: str) -> None:
    text = pictures()[name]
    if os.environ.get("CEPHEID_UPDATE_GOLDEN"):
        place_of(name).write_text(text, "utf-8", newline="\n")
    assert text == place_of(name).read_bytes().decode()


def test_every_picture_is_checked() -> None:
    assert {*FOLDER.iterdir(), *SHOWN.iterdir()} == set(map(place_of, pictures()))
    assert len(pictures()) == 12
