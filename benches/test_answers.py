"""The answers that the workloads hold, worked out again at the small sizes, and what the questions are worth."""

from __future__ import annotations

from pathlib import Path

from benches.generators import random_bits
from benches.oracle import ORACLES, right_answer
from benches.peers import PEERS
from benches.workload import FOLDER, load_workloads


def test_answers_of_the_small_sizes_are_right_and_not_empty() -> None:
    checked = 0
    for workload in load_workloads("check"):
        found = right_answer(workload.shape, workload.table(), len(workload.measures))
        assert found == workload.answer, workload.name
        assert found.matches > 0, f"{workload.name} has no match: a wrong engine would pass"
        checked += 1
    assert checked == len(list(FOLDER.glob("*.toml"))) >= 12


def test_every_shape_is_asked_for_and_every_question_has_published_sizes() -> None:
    assert {workload.shape for workload in load_workloads("full")} == set(ORACLES)


def test_every_file_of_a_peer_is_in_the_list() -> None:
    files = {path.stem for path in Path(__file__).parent.glob("peers/*.py")} - {"__init__", "peer"}
    assert files == {module.rsplit(".", 1)[1] for module, _ in PEERS}
    assert len(files) == 4


def test_random_numbers_are_the_same_everywhere() -> None:
    assert random_bits(1, 3).tolist() == [17629623748622851610, 13810761654074628661, 15286609552136564448]
