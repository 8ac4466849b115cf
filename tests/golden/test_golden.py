"""What is shown to users, word by word: the data that SQL is read into, and plans in prose.

`CEPHEID_UPDATE_GOLDEN=1 pytest tests/golden` writes the files anew; the difference is then for a reader to judge.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col, event, prev, ref

FOLDER = Path(__file__).parent
QUERIES = sorted((FOLDER / "queries").glob("*.sql"))
WINDOWS = sorted((FOLDER / "windows").glob("*.sql"))
SCHEMA = pa.schema({"symbol": pa.string(), "time": pa.timestamp("us"), "price": pa.float64()})
STRATEGIES = {"bit streams", "reverse automaton", "start runs", "backtracking"}

FALL = event("fall", col.price < prev(col.price)).one_or_more()
RISE = event("rise", col.price > prev(col.price)).one_or_more()
EXPLAINED = {
    "two_rows": cep.seq(event("low", "price < 1"), event("high", "price > 2"), contiguity="strict"),
    "valley": cep.seq(event("top"), FALL, RISE, contiguity="strict").partition_by("symbol").order_by("time"),
    "rise_of_a_tenth_within_ten_minutes": cep.seq(
        event("start"), event("rise", col.price > ref("start").price * 1.1).one_or_more(), contiguity="strict"
    )
    .order_by("time")
    .within("10m")
    .named("rise"),
    "sum_in_a_condition": cep.seq(
        event("part", ref("part").price.sum().fill_null(0) < 100).one_or_more(), event("rest"), contiguity="strict"
    ).after_match("to_next_row"),
    "sum_of_one_of_two": cep.seq(
        (event("a", "price > 1") | event("b")).one_or_more(),
        event("end", col.price > ref("a").price.sum()),
        contiguity="strict",
    ),
    "either_and_empty": cep.pattern_from_sql(
        """MATCH_RECOGNIZE (
            ORDER BY time DESC ALL ROWS PER MATCH AFTER MATCH SKIP TO LAST B
            PATTERN ((A | B)* C?) DEFINE A AS price > 1, B AS price > 2, C AS price > 3)"""
    ),
    "permutation": cep.all_of(event("a", "price > 1"), event("b", "price > 2"), contiguity="strict").within(rows=5),
}


def check(path: Path, text: str) -> None:
    if os.environ.get("CEPHEID_UPDATE_GOLDEN"):
        path.write_text(text, "utf-8")
    assert path.exists(), f"{path.name} is not there yet; see the head of this file"
    assert text == path.read_text("utf-8")


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_sql_is_read_into_the_same_data(path: Path) -> None:
    data = cep.pattern_from_sql(path.read_text("utf-8")).to_dict()
    check(path.with_suffix(".json"), json.dumps(data, indent=2, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("path", WINDOWS, ids=lambda path: path.stem)
def test_windows_in_sql_are_read_into_the_same_data(path: Path) -> None:
    data = cep.window_from_sql(path.read_text("utf-8")).to_dict()
    check(path.with_suffix(".json"), json.dumps(data, indent=2, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("name", EXPLAINED)
def test_plans_are_explained_in_the_same_words(name: str) -> None:
    check(FOLDER / "explained" / f"{name}.txt", EXPLAINED[name].explain(SCHEMA))


def test_every_golden_file_is_checked_and_every_strategy_explained() -> None:
    assert len(QUERIES) == 13
    assert len(WINDOWS) == 2
    assert {path.stem for path in (FOLDER / "windows").glob("*.json")} == {path.stem for path in WINDOWS}
    assert {path.stem for path in (FOLDER / "queries").glob("*.json")} == {path.stem for path in QUERIES}
    texts = {path.stem: path.read_text("utf-8") for path in (FOLDER / "explained").glob("*.txt")}
    assert set(texts) == set(EXPLAINED)
    assert len(texts) == 7
    chosen = {strategy for strategy in STRATEGIES for text in texts.values() if f"  strategy: {strategy};" in text}
    assert chosen == STRATEGIES
