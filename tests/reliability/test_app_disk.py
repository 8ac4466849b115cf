"""An app whose disk is full, or fails: it waits, or it ends and says so; what was acknowledged is there in any case."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import cepheid as cep

HERE = Path(__file__).parent
EVENTS = 600
WAIT_S = 120

# An app of large events: two small ones and a large one of a card are a fraud; each fraud has a case opened.
PROGRAM = """
import os, sys, threading, time
import cepheid as cep

WAIT_S = 120
path = sys.argv[1]
small = cep.event("small", "amount < 5", topic="payment").at_least(2)
fraud = (small >> cep.event("big", "amount > 500", topic="payment")).partition_by("card").within("1h").named("fraud")
app = cep.App("bank", fraud, store=path, quiet=None, waiting_max=50, checkpoint="10ms")

@app.on("fraud", key="card", concurrency=2)
def open_case(event):
    return {"type": "case", "card": event["card"], "of": event["id"]}

@app.action("fraud", key="card")
def tell(event, context):
    with open(path + ".told", "a") as file:
        file.write(context.key + "\\n")

def payment(number):
    return {
        "type": "payment", "id": f"p-{number}", "card": f"c-{number % 3}", "text": os.urandom(2000).hex(),
        "amount": 900 if number // 3 % 3 == 2 else 1,
    }

def fill_disk():
    open(os.environ["FULL_DISK"], "w").close()

def free_space():
    os.remove(os.environ["FULL_DISK"])

def code(call, *arguments):
    try:
        call(*arguments)
    except cep.CepheidError as error:
        return error.code
    return "none"
"""


def run(script: str, *arguments: object, **environment: str) -> list[str]:
    """Runs the program and what a test does with it; gives the lines that it has printed."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM + textwrap.dedent(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check(path: Path, acknowledged: set[str]) -> set[str]:
    """What is in the store, once all of it has been dealt with; gives the ids of payments."""
    left = run(
        """
        with app:
            assert app._running.drain(WAIT_S)
            print(len(app.dead_letters()))
        """,
        path,
    )
    assert left == ["0"]
    with cep.EventStore(path, read_only=True) as store:
        assert store.verify().ok
        payments = store.read("payment").to_arrow()["id"].to_pylist()
        frauds = store.read("fraud").to_arrow()["id"].to_pylist()
        cases = store.read("case").to_arrow()["of"].to_pylist()
        assert "cepheid.rejected" not in store.info().topics
    assert acknowledged <= set(payments)
    assert len(payments) == len(set(payments))
    assert len(frauds) == len(set(frauds)) > 0
    assert sorted(cases) == sorted(frauds), "one case for each fraud"
    told = set(Path(f"{path}.told").read_text().split())
    assert told == {f"bank/tell/{one}" for one in frauds}
    return set(payments)


def compiled(folder: Path, name: str) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a library to be preloaded needs a C compiler, and Linux")
    made = folder / f"{name}.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, HERE / f"{name}.c", "-ldl"], check=True)
    return made


@pytest.fixture
def full(tmp_path: Path) -> dict[str, str]:
    """What a process is told so that its disk can be full."""
    return {"LD_PRELOAD": str(compiled(tmp_path, "full_disk")), "FULL_DISK": str(tmp_path / "flag")}


def test_an_app_waits_for_room_on_the_disk_and_takes_no_more_than_may_wait(
    tmp_path: Path, full: dict[str, str]
) -> None:
    path = tmp_path / "s.db"
    said = run(
        f"""
        acknowledged = []
        refused = []

        def bring(first):
            for number in range(first, {EVENTS}, 3):
                ticket = app.send(payment(number))
                try:
                    ticket.wait(WAIT_S)
                    acknowledged.append(f"p-{{number}}")
                except cep.CepheidError as error:
                    refused.append(error.code)

        with app:
            threads = [threading.Thread(target=bring, args=(first,)) for first in range(3)]
            for thread in threads:
                thread.start()
            while len(acknowledged) < 50:
                time.sleep(0.001)
            fill_disk()
            # It is full once nothing more comes through.
            before, same = -1, 0
            while same < 30:
                time.sleep(0.02)
                same = same + 1 if len(acknowledged) == before else 0
                before = len(acknowledged)
            failed = app._running.failure
            alone = code(lambda: app.remove("nothing"))
            change = code(lambda: app.disable("fraud"))
            cpu = time.process_time()
            time.sleep(0.5)
            cpu = time.process_time() - cpu
            waiting = app.stats().waiting
            free_space()
            for thread in threads:
                thread.join(WAIT_S)
            assert app._running.drain(WAIT_S)
        print(failed, alone, change, cpu < 0.4, waiting <= 50, before < {EVENTS} // 2, refused)
        print(" ".join(acknowledged))
        """,
        path,
        **full,
    )
    assert said[0] == "None unknown-rule disk-full True True True []"
    acknowledged = set(said[1].split())
    assert len(acknowledged) == EVENTS
    assert len(check(path, acknowledged)) == EVENTS


def test_who_waits_for_room_when_the_app_ends_is_told(tmp_path: Path, full: dict[str, str]) -> None:
    path = tmp_path / "s.db"
    said = run(
        """
        tickets = []

        def bring():
            try:
                for number in range(400):
                    tickets.append((number, app.send(payment(number))))
            except cep.CepheidError as error:
                print("told", error.code, flush=True)

        def end():
            with app:
                thread = threading.Thread(target=bring)
                thread.start()
                while sum(ticket.done for _, ticket in tickets) < 50:
                    time.sleep(0.001)
                fill_disk()
                before, same = -1, 0
                while same < 30:
                    time.sleep(0.02)
                    done = sum(ticket.done for _, ticket in tickets)
                    same, before = (same + 1 if done == before else 0), done
                app._stop(0.1)
                thread.join(WAIT_S)

        print("ended", code(end))
        free_space()
        answers = {}
        for number, ticket in tickets:
            assert ticket.done, number
            answers.setdefault(code(ticket.wait, 0), []).append(f"p-{number}")
        print(sorted(answers))
        print(" ".join(answers["none"]))
        """,
        path,
        **full,
    )
    assert said[0] == "told app-closed"
    # What it knows it cannot save either, or there was room for so little.
    assert said[1] in ("ended disk-full", "ended none")
    assert said[2] == "['disk-full', 'none']"
    acknowledged = set(said[3].split())
    assert 10 < len(acknowledged) < 400
    assert check(path, acknowledged) == acknowledged, "what was refused is not there"


def test_an_app_whose_disk_fails_ends_with_an_error_and_goes_on_when_it_is_started_again(
    tmp_path: Path,
) -> None:
    shim = compiled(tmp_path, "failing_fsync")
    path = tmp_path / "s.db"
    said = run(
        """
        acknowledged = []

        def work():
            with app:
                for number in range(200):
                    if number == 90:
                        assert app._running.drain(WAIT_S)
                        open(os.environ["FAILING_FSYNC"], "w").close()
                    app.send(payment(number)).wait(WAIT_S)
                    acknowledged.append(f"p-{number}")

        print(code(work))
        print(app._running)
        os.remove(os.environ["FAILING_FSYNC"])
        print(" ".join(acknowledged))
        with app:
            app.send(payment(1000)).wait(WAIT_S)
        """,
        path,
        LD_PRELOAD=str(shim),
        FAILING_FSYNC=str(tmp_path / "flag"),
    )
    assert said[0] in ("disk", "store-poisoned")
    assert said[1] == "None"
    acknowledged = set(said[2].split()) | {"p-1000"}
    assert len(acknowledged) == 91
    # Of the one that was under way nobody knows.
    assert check(path, acknowledged) - acknowledged <= {"p-90"}


def test_an_app_with_a_store_that_may_only_be_read_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with cep.App("bank", store=path) as app:
        app.send({"type": "payment"}).wait(WAIT_S)
    with cep.EventStore(path, event_time="time", read_only=True) as store:
        app = cep.App("bank", store=store)
        app.on("payment", name="note")(print)
        with pytest.raises(cep.StoreError) as caught:
            app.__enter__()
        assert caught.value.code == "store-read-only"
        assert store.read("payment").count() == 1
