"""Reading goes on, or says that it cannot, whatever is done to the store meanwhile: no event is passed over."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cepheid as cep

ROWS = 10_000
PARTS = 6


def filled(path: Path) -> cep.EventStore:
    store = cep.EventStore(path)
    for part in range(PARTS):
        values = list(range(part * ROWS, (part + 1) * ROWS))
        store.append("t", {"ts": values, "value": values})
        store.seal()
    return store


def again(store: cep.EventStore) -> None:
    store.seal()
    store.compact()


MEANWHILE: dict[str, Callable[[cep.EventStore], Any]] = {
    "seal": lambda store: store.seal(),
    "compact": lambda store: store.compact(),
    "compact twice": lambda store: (store.compact(), MEANWHILE["append"](store), again(store)),
    "append": lambda store: store.append("t", {"ts": [ROWS * PARTS], "value": [-1]}),
    "protect": lambda store: store.protect("t", subject="user", columns=["mail"]),
}  # fmt: skip


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_subscription_gives_every_event_whatever_is_done_meanwhile(tmp_path: Path, meanwhile: str) -> None:
    assert len(MEANWHILE) == 5
    with filled(tmp_path / "events.db") as store:
        subscription = store.subscribe("reader", "t")
        found = subscription.next()
        assert found is not None
        seen = found["value"].to_pylist()
        MEANWHILE[meanwhile](store)
        errors = 0
        while errors < 3:
            try:
                found = subscription.next()
            except cep.StoreError:
                # It says that it is to be asked again.
                errors += 1
                continue
            if found is None:
                break
            seen += found["value"].to_pylist()
        assert [value for value in seen if value >= 0] == list(range(ROWS * PARTS))


def test_a_subscription_whose_condition_fails_for_a_value_does_not_pass_it_over() -> None:
    with cep.EventStore() as store:
        for value in (1, 0, 2):
            store.append("t", [{"ts": 1, "value": value}])
        subscription = store.subscribe("reader", "t", where="10 / value > 1")
        failed = 0
        for _ in range(3):
            try:
                found = subscription.next()
            except cep.CepheidError:
                failed += 1
            else:
                assert found is not None or failed, "nothing is said of the event that could not be asked"
        # An error that comes for an event comes again, as long as nobody does anything about it.
        assert failed == 0 or subscription.position <= 1, subscription.position


def test_many_who_append_and_one_who_archives_do_not_get_into_each_others_way(tmp_path: Path) -> None:
    writers, each = 6, 40
    acknowledged: list[tuple[int, int, int]] = []
    errors: list[BaseException] = []
    with cep.EventStore(tmp_path / "events.db") as store:
        store.append("w0", [{"ts": 0, "writer": -1, "number": -1}])

        def write(writer: int) -> None:
            try:
                for number in range(each):
                    row = {"ts": number, "writer": writer, "number": number}
                    position = store.append(f"w{writer % 3}", [row], stream=f"s{writer}", expected_version=number)
                    acknowledged.append((position.first, writer, number))
            except BaseException as error:
                errors.append(error)

        def archive() -> None:
            try:
                for _ in range(10):
                    store.seal()
                    store.compact()
                    assert store.verify().ok
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
        threads.append(threading.Thread(target=archive))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert len(acknowledged) == writers * each
        rows = {row["_position"]: (row["writer"], row["number"]) for row in store.read(metadata=True)}
        assert all(rows[position] == (writer, number) for position, writer, number in acknowledged)
        assert len(rows) == writers * each + 1
        assert store.streams() == {f"s{writer}": each for writer in range(writers)}
        assert store.verify().ok
