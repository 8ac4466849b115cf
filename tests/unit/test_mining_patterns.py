"""Mined sequences, run as patterns: their matches are in as many keys as was said, in tables and in streams."""

import itertools
import os
import random

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import col

CASES = 2_000 if os.environ.get("CEPHEID_DEEP") else 300


def random_history(chance):
    rows = chance.randrange(1, 40)
    spread = chance.randrange(1, 15)
    return pa.table(
        {
            "row": pa.array(range(rows)),
            "k": pa.array([chance.choice([None, "a", "b", "c", "d"]) for _ in range(rows)], pa.string()),
            "j": pa.array([chance.choice([0.0, -0.0, None]) for _ in range(rows)], pa.float64()),
            "ts": pa.array([chance.randrange(spread) for _ in range(rows)]),
            "x": pa.array([chance.choice(["p", "q", "r", None]) for _ in range(rows)], pa.string()),
            "y": pa.array([chance.choice([1, 2]) for _ in range(rows)]),
            "ok": pa.array([chance.random() < 0.8 for _ in range(rows)]),
        }
    )


def random_question(chance):
    gap = chance.choice([None, None, chance.randrange(1, 6)])
    within = chance.choice([None, None, chance.randrange(gap or 1, 15)])
    return {
        "by": chance.choice(["k", "k", ["k", "j"]]),
        "event": chance.choice(["x", "x", ["x", "y"]]),
        "min_support": chance.choice([1, 2, 0.5]),
        "min_length": chance.choice([1, 2]),
        "max_length": chance.choice([2, 3, 4]),
        "max_gap": gap and f"{gap}ns",
        "within": within and f"{within}ns",
        "keep": chance.choice(["all", "closed", "maximal"]),
        "where": chance.choice([None, None, "ok", col.ok & (col.y == 1)]),
    }


def keys_of(question, rows):
    by = [question["by"]] if isinstance(question["by"], str) else question["by"]
    return {tuple(row[column] for column in by) for row in rows}


def supporting_keys(history, question, events):
    """By the definition: every choice of rows of each key is tried."""
    by = [question["by"]] if isinstance(question["by"], str) else question["by"]
    names = [question["event"]] if isinstance(question["event"], str) else question["event"]
    gap, within = (int(bound[:-2]) if bound else 10**9 for bound in (question["max_gap"], question["within"]))
    condition = question["where"]
    rows = [
        row
        for row in history.to_pylist()
        if condition is None or (row["ok"] and (condition == "ok" if isinstance(condition, str) else row["y"] == 1))
    ]
    found = set()
    keyed = {}
    for row in sorted(rows, key=lambda row: row["ts"]):
        keyed.setdefault(tuple(row[column] for column in by), []).append(row)
    for key, own in keyed.items():
        wanted = [value if isinstance(value, tuple) else (value,) for value in events]
        candidates = [row for row in own if tuple(row[name] for name in names) in wanted]
        for chosen in itertools.combinations(candidates, len(events)):
            if (
                [tuple(row[name] for name in names) for row in chosen] == wanted
                and all(later["ts"] - earlier["ts"] < gap for earlier, later in itertools.pairwise(chosen))
                and chosen[-1]["ts"] - chosen[0]["ts"] < within
            ):
                found.add(key)
                break
    return found


def streamed(pattern, history, chance):
    """The rows, in order of time and cut into batches, through an engine."""
    engine = cep.Engine([pattern], event_time="ts", lateness="0s")
    rows, derived = history.sort_by("ts"), []
    cut = sorted(chance.randrange(rows.num_rows + 1) for _ in range(3))
    for start, end in itertools.pairwise([0, *cut, rows.num_rows]):
        derived.append(engine.push(rows.slice(start, end - start)))
    derived.append(engine.flush())
    return [match for part in derived for matches in part.values() for match in matches]


def test_patterns_of_sequences_match_in_exactly_the_keys_that_support_them():
    compared = bounded = several = 0
    for seed in range(CASES):
        chance = random.Random(seed)
        history, question = random_history(chance), random_question(chance)
        found = cep.frequent_sequences(history, **question)
        for sequence in chance.sample(list(found), min(len(found), 6)):
            expected = supporting_keys(history, question, sequence.events)
            pattern = sequence.pattern("mined")
            told = (seed, question, sequence)
            assert sequence.support == len(expected), told
            assert keys_of(question, cep.match(pattern, history)) == expected, told
            assert keys_of(question, streamed(pattern, history, chance)) == expected, told
            assert pattern.exists(history), told
            compared += 1
            bounded += question["max_gap"] is not None and question["within"] is not None
            several += len(expected) > 1
    print(f"{compared} sequences of {CASES} histories, {bounded} with both bounds, {several} in several keys")
    assert compared >= CASES * 2
    assert bounded >= CASES // 10
    assert several >= CASES // 2


def test_sorting_by_time_keeps_the_arrival_of_equal_times():
    """What the test above relies on."""
    rows = pa.table({"ts": [1, 0] * 500, "row": range(1000)}).sort_by("ts")
    assert rows["row"].to_pylist() == [*range(1, 1000, 2), *range(0, 1000, 2)]


def test_the_preferred_run_may_be_out_of_bounds_where_another_is_not():
    # From the first `a` the nearest `b` leads nowhere; the next one does.
    history = {"k": [1] * 4, "ts": [0, 1, 5, 8], "x": ["a", "b", "b", "c"]}
    question = {"by": "k", "event": "x", "min_support": 1, "min_length": 3, "max_gap": "6ns", "keep": "all"}
    sequences = {sequence.events: sequence for sequence in cep.frequent_sequences(history, **question)}
    matches = cep.match(sequences["a", "b", "c"].pattern(), history)
    assert matches.rows["row"].to_pylist() == [0, 2, 3]


def test_an_alert_comes_with_the_row_that_completes_a_sequence():
    history = {"k": [1, 1, 2, 2], "ts": [1, 2, 1, 2], "x": ["a", "b", "a", "b"]}
    [sequence] = cep.frequent_sequences(history, by="k", event="x", min_support=2)
    engine = cep.Engine([sequence.pattern("a then b")], event_time="ts", lateness="0s")
    assert not engine.push({"k": [7, 8], "ts": [10, 11], "x": ["a", "b"]})
    [alert] = engine.push({"k": [7], "ts": [12], "x": ["b"]})["a then b"]
    assert alert["k"] == 7


@pytest.mark.parametrize("bounds", [{}, {"max_gap": "1h"}, {"within": "1h"}, {"max_gap": "30m", "within": "1h"}])
def test_patterns_say_their_bounds_and_survive_being_written_down(bounds):
    history = {"k": [1, 1], "ts": [1, 2], "x": ["a", "b"]}
    [sequence] = cep.frequent_sequences(history, by="k", event="x", min_support=1, **bounds)
    pattern = sequence.pattern()
    assert eval(repr(pattern), {"cep": cep, "col": col, "event": cep.event}) == pattern
    assert cep.Pattern.from_json(pattern.to_json()) == pattern
    [single] = cep.frequent_sequences(history, by="k", event="x", min_support=1, min_length=1, max_length=1)[:1]
    assert len(cep.match(single.pattern(), history)) == 1
