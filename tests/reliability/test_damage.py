"""Bits that flip and files that end too early are noticed, or harmless: no wrong answer is one `verify` calls right."""

import collections
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import damage_check
import pytest
import store_steps
from damage_check import NAME, answers
from store_steps import BEGIN, Model, do, stream_of

import cepheid as cep

DAMAGES = 7_000 if os.environ.get("CEPHEID_DEEP") else 50
TOGETHER = 500 if os.environ.get("CEPHEID_DEEP") else 50
STEPS = 30
STORES = ["journal", "sealed", "log"]


def make(folder: Path, *, kind: str) -> None:
    """Makes a store, and writes down what it answers."""
    path = folder / "store" / NAME
    path.parent.mkdir(parents=True)
    histories = []
    clock = [BEGIN]
    store = cep.EventStore(path, author="steps", clock=lambda: clock[0])
    store.protect("people", subject="user", columns=["text"])
    model = Model()
    archiving = (store_steps.SEAL, store_steps.COMPACT)
    for step in range(STEPS if kind != "log" else 16):
        if kind == "log":
            histories.append(answers(path)[0])
        if kind == "sealed" or store_steps.kind_of(step) not in archiving:
            do(store, step, clock, model.versions.get(stream_of(step) or "", 0))
        model.step()
    if kind == "log":
        # As `kill -9` leaves it: the log is not in the file yet.
        shutil.copytree(path.parent, folder / "killed")
    store.close()
    if kind == "log":
        shutil.rmtree(path.parent)
        (folder / "killed").rename(path.parent)
        assert Path(f"{path}-wal").stat().st_size > 100_000
    told, errors, verified = answers(path)
    # Asked, it made files that it needs to be asked.
    Path(f"{path}-shm").unlink(missing_ok=True)
    if kind != "log":
        Path(f"{path}-wal").unlink(missing_ok=True)
    assert not errors
    assert verified
    assert told.keys() == damage_check.QUESTIONS.keys()
    histories.append(told)
    (folder / "answers.pickle").write_bytes(pickle.dumps((histories, index_pages(path))))


def index_pages(path: Path) -> list[tuple[int, int]]:
    """Where in the file the roots of indexes are."""
    with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as database:
        ((size,),) = database.execute("PRAGMA page_size")
        # Those of a log are not in the file yet.
        pages = database.execute("SELECT rootpage FROM sqlite_schema WHERE type = 'index'").fetchall()
    database.close()
    count = path.stat().st_size // size
    return [((page - 1) * size, page * size) for (page,) in pages if page <= count] or [(0, size)]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("damage")
    for kind in STORES:
        make(folder / kind, kind=kind)
    return {kind: folder / kind for kind in STORES}


@pytest.mark.parametrize("kind", STORES)
def test_damage_is_noticed_or_harmless(stores: dict[str, Path], kind: str) -> None:
    folder = stores[kind]
    found: collections.Counter[str] = collections.Counter()
    faults = []
    for first in range(0, DAMAGES, TOGETHER):
        at = first
        end = min(first + TOGETHER, DAMAGES)
        while at < end:
            command = [sys.executable, damage_check.__file__, str(folder), str(at), str(end), str(STORES.index(kind))]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=30 * TOGETHER)
            except subprocess.TimeoutExpired as hung:
                raise AssertionError(f"it hangs: {(hung.stdout or b'')[-300:]!r}") from None
            lines = done.stdout.splitlines()
            looked = [line for line in lines if line.startswith("look ")]
            verdicts = [line.split(maxsplit=2)[2] for line in lines if line.startswith("found ")]
            for look, verdict in zip(looked, verdicts, strict=False):
                found[verdict.split()[0]] += 1
                if verdict.startswith("WRONG"):
                    faults.append(f"{look}: {verdict}")
            at += len(verdicts)
            if done.returncode != 0:
                # A crash, or an error of a class that it may not be.
                hangs = hasattr(signal, "SIGALRM") and done.returncode == -signal.SIGALRM
                error = done.stderr.strip().splitlines()[-1:] or [f"exit {done.returncode}"]
                error = ["it hangs"] if hangs else error
                faults.append(f"{looked[-1] if looked else '?'}: {error[0]}")
                found["crash"] += 1
                at += 1
    assert sum(found.values()) == DAMAGES
    assert not faults, f"{len(faults)} of {found}:\n" + "\n".join(faults[:20])
    assert found["noticed"] >= DAMAGES // 8, found
    assert found["harmless"] >= DAMAGES // 20, found


def test_a_bit_of_an_index_is_noticed_and_never_the_beginning_of_an_endless_read(
    stores: dict[str, Path], tmp_path: Path
) -> None:
    path = stores["journal"] / "store" / NAME
    with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as database:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'batches_in_journal'"
        ((page,),), ((size,),) = database.execute(query).fetchall(), database.execute("PRAGMA page_size").fetchall()
    database.close()
    content = path.read_bytes()
    # Types of values, mostly: an integer of one byte becomes a text of two.
    places = [place for place in range((page - 1) * size + 100, page * size) if content[place] == 1][::7]
    assert len(places) > 4
    script = (
        "import cepheid as cep, sys\nwith cep.EventStore(sys.argv[1], read_only=True) as store:\n"
        "    try:\n        print(store.read().count(), bool(store.verify()))\n"
        "    except cep.CepheidError as error:\n        print(error.code, bool(store.verify()))"
    )
    known = len(pickle.loads((stores["journal"] / "answers.pickle").read_bytes())[0][-1]["positions"])
    found = {}
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        copy = tmp_path / f"{place}.db"
        copy.write_bytes(damaged)
        try:
            done = subprocess.run([sys.executable, "-c", script, copy], capture_output=True, text=True, timeout=5)
            found[place] = done.stdout.strip() or done.stderr.strip()[-200:]
        except subprocess.TimeoutExpired:
            found[place] = "it hangs"
    wrong = {place: said for place, said in found.items() if not said.endswith("False") and said != f"{known} True"}
    assert not wrong


# What somebody, or a bit, may change in a table: SQL, and whether the store has to be sealed for it.
CHANGES = {
    "rows said to be removed": ("UPDATE batches SET segment = 0 WHERE batch = 3", "journal"),
    "rows and their body removed": (
        "UPDATE batches SET segment = 0 WHERE batch = 3; DELETE FROM bodies WHERE batch = 3",
        "journal",
    ),
    "a topic's name": ("UPDATE topics SET name = 'plaim' WHERE name = 'plain'", "journal"),
    "how many events a topic has": ("UPDATE topics SET events = events + 1 WHERE name = 'plain'", "journal"),
    "how many events were removed": ("UPDATE topics SET kept_from = 1 WHERE name = 'plain'", "journal"),
    "how long events are kept": ("UPDATE topics SET age_max = 1 WHERE name = 'plain'", "journal"),
    "what is protected": ("UPDATE topics SET protected = '[\"value\"]' WHERE name = 'people'", "journal"),
    "a key of a subject is gone": ("UPDATE subjects SET secret = NULL", "journal"),
    "a subject is gone": ("DELETE FROM subjects", "journal"),
    "the number of a subject's key": ("UPDATE subjects SET key = key + 1", "journal"),
    "a stream's version": ("UPDATE streams SET version = version + 1", "journal"),
    "a stream's name": ("UPDATE streams SET stream = stream || 'x'", "journal"),
    "a stream is gone": ("DELETE FROM streams", "journal"),
    "the column of the event time": ("UPDATE meta SET value = x'7472' WHERE name = 'event_time'", "journal"),
    "the identity": ("UPDATE meta SET value = zeroblob(16) WHERE name = 'identity'", "journal"),
    "a saved value": ("UPDATE saved SET value = x'00' WHERE kind = 'state'", "journal"),
    "a saved value's name": ("UPDATE saved SET name = 'enginf' WHERE kind = 'state'", "journal"),
    "a saved value's kind": ("UPDATE saved SET kind = 'cursor' WHERE kind = 'offset'", "journal"),
    "an item's payload": ("UPDATE outbox SET payload = x'00'", "journal"),
    "an item's key": ("UPDATE outbox SET key = key || 'x'", "journal"),
    "an item's queue": ("UPDATE outbox SET queue = 'notifz'", "journal"),
    "the time of a batch": ("UPDATE batches SET time_max = 0", "journal"),
    "the bytes of a batch": ("UPDATE batches SET bytes = 1", "journal"),
    "the key of a batch": ("UPDATE batches SET idempotency = NULL WHERE batch = 3", "journal"),
    "the events of a batch's key": ("UPDATE batches SET idempotency_events = 77", "journal"),
    "the stream of a batch": ("UPDATE batches SET stream = 'x' WHERE stream IS NOT NULL", "journal"),
    "the time of an entry": ("UPDATE entries SET recorded = recorded + 1", "journal"),
    "the author of an entry": ("UPDATE entries SET author = 'x' WHERE entry = 2", "journal"),
    "the last entry is gone": (
        "DELETE FROM entries WHERE entry = (SELECT max(entry) FROM entries)",
        "journal",
    ),
    "a summary": ("UPDATE summaries SET summary = x'00' WHERE batch = 3", "journal"),
    "what is known of texts": ("UPDATE filters SET filter = zeroblob(length(filter))", "journal"),
    "what is known of texts is gone": ("DELETE FROM filters", "journal"),
    "what is known of archived texts": ("UPDATE filters SET filter = zeroblob(length(filter))", "sealed"),
    "a schema": ("UPDATE schemas SET protected = '[\"value\"]'", "journal"),
    "the topic of a segment": ("UPDATE segments SET topic = 1", "sealed"),
    "the schema of a segment": ("UPDATE segments SET schema = 1", "sealed"),
    "the times of a segment": ("UPDATE segments SET time_min = 0, time_max = 0", "sealed"),
    "the bytes of a segment": ("UPDATE segments SET bytes = 1", "sealed"),
    "the file of a segment": ("UPDATE segments SET file = file || 'x'", "sealed"),
    "a segment is gone": ("DELETE FROM segments WHERE segment = (SELECT max(segment) FROM segments)", "sealed"),
    "the times of pages": ("UPDATE pages SET time_min = 0, time_max = 0", "sealed"),
    "the rows of a page": ("UPDATE pages SET events = 1", "sealed"),
    "the summary of pages": ("UPDATE pages SET summary = x'00'", "sealed"),
    "a page is gone": ("DELETE FROM pages", "sealed"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_verify_notices_what_was_changed_in_a_table(stores: dict[str, Path], tmp_path: Path, change: str) -> None:
    sql, kind = CHANGES[change]
    copy = tmp_path / "copy"
    shutil.copytree(stores[kind] / "store", copy)
    with sqlite3.connect(copy / NAME) as database:
        before = database.total_changes
        database.executescript(sql)
        assert database.total_changes > before
    database.close()
    told, errors, verified = answers(copy / NAME)
    known = pickle.loads((stores[kind] / "answers.pickle").read_bytes())[0][-1]
    wrong = [name for name in told if told[name] != known[name]]
    assert not verified or errors or not wrong, f"verify is content, and these answers are wrong: {wrong}"
    assert not verified or errors, "verify is content"


def test_there_are_so_many_changes() -> None:
    assert len(CHANGES) == 44
