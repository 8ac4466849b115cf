"""Patterns that several engines have as rules, one after another or at once."""

from __future__ import annotations

import threading

import pyarrow as pa

import cepheid as cep
from cepheid import col, event, ref


def pair() -> cep.Pattern:
    small, big = event("small", col.amount < 5), event("big", col.amount >= 500)
    return (small >> big).within("10m").select(first=ref("small").amount, last=ref("big").amount)


def rows(amount: pa.DataType, **more: list[int]) -> pa.Table:
    amounts = pa.array([1, 7, 600, 2, 3, 500], amount)
    return pa.table({**more, "ts": pa.array(range(6), pa.timestamp("s")), "amount": amounts})


def derived(pattern: cep.Pattern, table: pa.Table, name: str = "pair") -> list[pa.Table]:
    engine = cep.Engine({name: pattern})
    return [matches.to_arrow() for part in (engine.push(table), engine.flush()) for matches in part.values()]


def test_a_pattern_that_was_a_rule_before_derives_what_a_new_one_does() -> None:
    known, asked = pair(), 0
    tables = [rows(pa.int64()), rows(pa.float64()), rows(pa.int64(), other=[0] * 6), rows(pa.int64())]
    for table in tables:
        for _ in range(2):
            found, right = derived(known, table), derived(pair(), table)
            assert [part.num_rows for part in right] == [2]
            assert found == right
            assert [part.schema for part in found] == [part.schema for part in right]
            asked += 1
    assert asked == 8


def test_a_name_gives_the_same_pattern_again() -> None:
    pattern = pair()
    assert pattern._named_once("a") is pattern._named_once("a")
    assert pattern._named_once("b").name == "b"
    assert pattern._named_once("a").name == "a"
    assert pattern.name is None
    named = pattern.named("a")
    assert named._named_once("a") is named
    assert named._named_once("c").name == "c"
    assert derived(pattern, rows(pa.int64()), "x") == derived(pattern, rows(pa.int64()), "y")
    both = cep.Engine({"x": pattern, "y": pattern}).push(rows(pa.int64()))
    assert both.topics == ("x", "y")
    assert both["x"].to_arrow() == both["y"].to_arrow()


def test_tables_of_rules_that_report_alike_are_parts_of_one() -> None:
    rules = {f"at{number}": cep.event("at", col.amount == number).select(amount="at.amount") for number in (1, 2, 3, 9)}
    # One that reports something else comes in between, so that the first has nobody like it beside it.
    rules = {"first": rules.pop("at3"), "pair": pair(), **rules}
    derived = cep.Engine(rules).push(rows(pa.int64(), other=[0] * 6))
    assert derived.topics == ("first", "pair", "at1", "at2")
    for topic, matches in derived.items():
        assert matches.to_arrow() is matches.to_arrow()
        assert matches.to_arrow() == pa.table(matches), topic
        assert matches.to_arrow().schema == pa.table(matches).schema
        alone = cep.Engine({topic: rules[topic]}).push(rows(pa.int64(), other=[0] * 6))[topic]
        assert alone._native.part() is None
        assert matches.to_arrow() == alone.to_arrow()
        assert matches.rows == alone.rows
    parts = {topic: matches._native.part() for topic, matches in derived.items()}
    assert [topic for topic, part in parts.items() if part is not None] == ["at1", "at2"]
    with_ids = cep.Engine(rules, ids=True).push(rows(pa.int64()))
    assert all(matches._native.part() is None for matches in with_ids.values())
    assert [table.column_names[0] for table in (matches.to_arrow() for matches in with_ids.values())] == ["id"] * 4


def test_threads_may_make_engines_of_one_pattern_at_once() -> None:
    pattern, found = pair(), []
    tables = [rows(pa.int64()), rows(pa.float64())]
    right = [derived(pair(), table) for table in tables]

    def run(number: int) -> None:
        for turn in range(20):
            which = (number + turn) % 2
            found.append(derived(pattern, tables[which]) == right[which])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80
