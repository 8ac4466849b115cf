"""The answers that the workloads hold, worked out again at the small sizes, and what the questions are worth."""

from __future__ import annotations

from decimal import Decimal
from itertools import combinations
from pathlib import Path

from benches.generators import kinds, random_bits, symbols
from benches.oracle import ORACLES, right_answer
from benches.peers import PEERS
from benches.sequence_oracle import COUNTED, SEQUENCES, choices_of_bs, steps_of, triples
from benches.window_oracle import WINDOWS
from benches.workload import FOLDER, Answer, load_workloads

# Where the last step never comes, that is the question; its twin with a last step tells engines that say nothing.
NEVER = ("seq3_never", "seq5_partial_matches")


def test_answers_of_the_small_sizes_are_right_and_not_empty() -> None:
    checked = set()
    for workload in load_workloads("check"):
        assert right_answer(workload).agrees(workload.answer), workload.name
        empty = workload.answer.matches == 0
        assert empty == (workload.group in NEVER), f"{workload.name}: no match, so a wrong engine would pass"
        checked.add(workload.group)
    assert checked == {path.stem for path in FOLDER.glob("*.toml")}
    assert len(checked) >= 35


def test_every_shape_is_asked_for_and_every_question_has_published_sizes() -> None:
    assert {workload.shape for workload in load_workloads("full")} == {*ORACLES, *SEQUENCES, *COUNTED, *WINDOWS}


def test_closed_forms_count_what_the_plainest_loops_find() -> None:
    compared = 0
    for seed in range(40):
        table = kinds(40, seed, 5, (1, 1, 1))
        a_rows, b_rows, c_rows = steps_of(table)
        for window in (1, 7, 25, 100):
            found = [(a, b, c) for a in a_rows for b in b_rows for c in c_rows if a < b < c <= a + window]
            sums = tuple(sum(match[step] for match in found) for step in range(3))
            assert triples(table, {"window": window}) == (len(found), sums)
            choices = sum(
                1
                for a in a_rows
                for c in c_rows
                if a < c <= a + window
                for size in range(1, len(b_rows) + 1)
                for _ in combinations([b for b in b_rows if a < b < c], size)
            )
            assert choices_of_bs(table, {"window": window}) == (choices, ())
            compared += len(found) + choices
    assert compared > 10_000


def test_an_answer_is_compared_as_exactly_as_it_can_be() -> None:
    exact = Answer(2**60 + 1, ())
    assert exact.agrees(exact)
    assert not Answer(2**60, ()).agrees(exact)
    assert Answer(float(2**60), ()).agrees(exact)
    assert not Answer(1.001 * 2**60, ()).agrees(exact)
    assert not Answer(7.0, ()).agrees(Answer(8, ()))
    assert not Answer(1, (2,)).agrees(Answer(1, (3,)))
    assert Answer(1, (2.0 + 1e-12,)).agrees(Answer(1, (2.0,)))
    assert not Answer(1, (2.00001,)).agrees(Answer(1, (2.0,)))
    assert not Answer(1, ()).agrees(Answer(1, (2,)))
    beyond = Answer(Decimal(2) ** 4000, ())
    assert Answer(float("inf"), ()).agrees(beyond)
    assert Answer(2**4000, ()).agrees(beyond)
    assert not Answer(float("inf"), ()).agrees(exact)


def test_relevant_rows_are_as_many_as_a_workload_says() -> None:
    table = symbols(100_000, 1, 10_000)
    counts = [len(rows) for rows in steps_of(table)]
    assert all(270 < count < 400 for count in counts), counts
    assert steps_of(symbols(100_000, 1, 10_000, never=True))[2] == []


def test_every_file_of_a_peer_is_in_the_list() -> None:
    files = {path.stem for path in Path(__file__).parent.glob("peers/*.py")} - {"__init__", "peer"}
    assert files == {module.rsplit(".", 1)[1] for module, _ in PEERS}
    assert len(files) == 8


def test_random_numbers_are_the_same_everywhere() -> None:
    assert random_bits(1, 3).tolist() == [17629623748622851610, 13810761654074628661, 15286609552136564448]
