"""Files that grow by a line an event, whole, once, and nowhere else."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from acting import HOSTILE, context, order
from hypothesis import given, settings
from hypothesis import strategies as st

import cepheid as cep
from cepheid.actions import Action, AppendFile


@contextlib.contextmanager
def append(*arguments, **options):
    action = AppendFile(*arguments, **options)
    try:
        yield action
    finally:
        action.close()


def lines(path):
    text = path.read_bytes()
    assert not text or text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]


def test_an_event_is_a_line_with_its_key(tmp_path):
    path = tmp_path / "out.jsonl"
    with append(path) as action:
        assert isinstance(action, Action)
        action(order(note="a\nb"), context("k1"))
        action(order(order=8), context("k2"))
    first, second = lines(path)
    assert (first["idempotencykey"], first["order"], first["note"]) == ("k1", 7, "a\nb")
    assert first["time"] == "2026-01-02T03:04:05Z"
    assert (second["idempotencykey"], second["order"]) == ("k2", 8)
    with append(path, columns=["order", "id"]) as action:
        action(order(), context("k3"))
    assert path.read_text().splitlines()[-1] == '{"idempotencykey":"k3","order":7,"id":"e1"}'


def test_an_event_that_comes_again_is_not_written_again(tmp_path):
    path = tmp_path / "out.jsonl"
    for _ in range(2):
        with append(path) as action:
            for key in ("k1", "k2", "k1"):
                action(order(), context(key))
    assert [line["idempotencykey"] for line in lines(path)] == ["k1", "k2"]


def test_keys_are_known_for_as_many_lines_as_was_said(tmp_path):
    path = tmp_path / "out.jsonl"
    for _ in range(2):
        with append(path, keys_kept=3) as action:
            for number in range(5):
                action(order(note="x" * 40_000), context(f"k{number}"))
            for number in (2, 3, 4):
                action(order(), context(f"k{number}"))
            assert len(action._files[str(path)]._keys) == 3
    assert [line["idempotencykey"] for line in lines(path)] == [f"k{number}" for number in [*range(5)] * 2]


@pytest.mark.parametrize("torn", [b"{", b'{"idempotencykey":"k3"', b"\0" * 5_000, b"x" * 200_000])
def test_a_line_that_was_not_written_to_its_end_is_cut_off(tmp_path, torn):
    path = tmp_path / "out.jsonl"
    with append(path) as action:
        action(order(), context("k1"))
    with open(path, "ab") as file:
        file.write(torn)
    with append(path) as action:
        action(order(), context("k1"))
        action(order(), context("k3"))
    assert [line["idempotencykey"] for line in lines(path)] == ["k1", "k3"]


def test_a_file_that_holds_nothing_but_a_torn_line_is_begun_anew(tmp_path):
    for format_ in ("jsonl", "csv"):
        path = tmp_path / f"out.{format_}"
        path.write_bytes(b"idempotencyk")
        with append(path, format=format_) as action:
            action({"a": 1}, context("k1"))
    assert (tmp_path / "out.csv").read_text() == "idempotencykey,a\nk1,1\n"
    assert (tmp_path / "out.jsonl").read_text() == '{"idempotencykey":"k1","a":1}\n'


def test_lines_of_others_are_left_as_they_are(tmp_path):
    path = tmp_path / "out.jsonl"
    others = b'not json\n[1]\n{"idempotencykey": 5}\n\n' + b"[" * 100_000 + b"\n"
    path.write_bytes(others)
    with append(path) as action:
        action(order(), context("k1"))
        action(order(), context("k1"))
    assert path.read_bytes().startswith(others)
    assert path.read_bytes().count(b"\n") == others.count(b"\n") + 1


def test_csv_has_a_line_of_names_and_columns_that_stay(tmp_path):
    path = tmp_path / "out.csv"
    with append(path, format="csv", columns=["order", "note", "subject", "total"]) as action:
        action(order(note='a,"b"\r\nc'), context("k1"))
        action(order(note=True, total=float("nan")), context('k"2,\n'))
        action(order(note=None), context("k1"))
    with append(path, format="csv") as action:
        action({"order": 9, "note": [1], "subject": b"x", "total": 0}, context("k3"))
        action(order(), context('k"2,\n'.replace("\n", "\\n")))
        with pytest.raises(cep.ActionError) as caught:
            action({"order": 9, "note": [1], "subject": "s", "total": 0, "more": 1}, context("k4"))
        assert (caught.value.code, caught.value.permanent) == ("file-refused", True)
        with pytest.raises(cep.ActionError) as caught:
            action({"order": 9}, context("k4"))
        assert (caught.value.code, caught.value.permanent) == ("action-column", True)
    assert list(csv.reader(io.StringIO(path.read_text()))) == [
        ["idempotencykey", "order", "note", "subject", "total"],
        ["k1", "7", 'a,"b"\\nc', "", "12.5"],
        ['k"2,\\n', "7", "true", "", "NaN"],
        ["k3", "9", "[1]", "eA==", "0"],
    ]
    assert len(path.read_text().splitlines()) == 4


def test_a_csv_value_of_any_length_does_not_hide_its_key(tmp_path):
    path = tmp_path / "out.csv"
    for _ in range(2):
        with append(path, format="csv") as action:
            action({"note": "x" * 1_000_000}, context("k1"))
    assert len(path.read_text().splitlines()) == 2


def test_a_file_that_is_something_else_is_not_touched(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("a,b\n1,2\n")
    with append(path, format="csv") as action, pytest.raises(cep.ActionError) as caught:
        action({"a": 1, "b": 2}, context())
    assert (caught.value.code, caught.value.permanent) == ("file-refused", True)
    assert path.read_text() == "a,b\n1,2\n"
    path.write_text("idempotencykey,a\nk1,2\n")
    with append(path, format="csv", columns=["b"]) as action, pytest.raises(cep.ActionError, match="other columns"):
        action({"a": 1, "b": 2}, context())


def test_databases_and_stores_are_not_appended_to(tmp_path):
    database, store_path = tmp_path / "a.sqlite", tmp_path / "events.db"
    with contextlib.closing(sqlite3.connect(database)) as made:
        made.execute("CREATE TABLE t (a)")
    with cep.EventStore(store_path) as store:
        store.append("a.b", [{"ts": 1}])
        for path in (database, store_path):
            before = path.read_bytes() if path == database else None
            with append(path) as action, pytest.raises(cep.ActionError) as caught:
                action(order(), context())
            assert (caught.value.code, caught.value.permanent) == ("file-refused", True)
            assert before is None or path.read_bytes() == before
        with append(tmp_path / "{name}") as action, pytest.raises(cep.ActionError, match="database"):
            action({"name": "events.db-wal"}, context())
        store.append("a.b", [{"ts": 2}])
        assert store.verify()


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("template", ["{type}.jsonl", "{type}/events.jsonl", "a-{type}-{subject}"])
def test_no_value_makes_a_path_that_leads_out_of_its_folder(tmp_path, template, value):
    (tmp_path / "in").mkdir()
    with append(tmp_path / "in" / template) as action:
        try:
            action(order(type=value, subject="s"), context())
        except cep.ActionError as error:
            assert (error.code, error.permanent) == ("file-refused", True)
            assert value == ""
    assert os.listdir(tmp_path) == ["in"]
    found = [path.relative_to(tmp_path / "in") for path in (tmp_path / "in").rglob("*") if path.is_file()]
    assert len(found) == (value != "")
    for path in found:
        assert len(path.parts) == template.count("/") + 1
        assert not path.name.startswith(".")


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.text(min_size=1, max_size=300), min_size=2, max_size=2, unique=True))
def test_two_values_have_two_files(values):
    action = AppendFile("{type}")
    names = [action._path_of({"type": value}) if not value.endswith(("-wal", "-shm", "-journal", "-writer")) else value
             for value in values]  # fmt: skip
    readable = [value.encode(errors="replace") for value in values]
    assert names[0] != names[1] or readable[0] == readable[1]
    for name in names:
        assert "/" not in name
        assert len(os.fsencode(name)) < 255


def test_a_link_does_not_lead_out_of_the_folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "out.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    (tmp_path / "in" / "folder").symlink_to(tmp_path)
    for template in ("{type}.jsonl", "{kind}/x.jsonl"):
        with append(tmp_path / "in" / template) as action, pytest.raises(cep.ActionError) as caught:
            action(order(type="out", kind="folder"), context())
        assert (caught.value.code, caught.value.permanent) == ("file-refused", True)
    assert sorted(os.listdir(tmp_path)) == ["in"]


def test_files_by_type_are_open_as_many_as_are_allowed(tmp_path):
    with append(tmp_path / "{type}.jsonl", fsync=False) as action:
        for turn in range(2):
            for number in range(100):
                action(order(type=f"t{number}"), context(f"{turn}/{number}"))
        assert len(action._files) == 64
    assert len(os.listdir(tmp_path)) == 100
    assert all(len(lines(path)) == 2 for path in tmp_path.iterdir())


def test_a_second_process_is_refused_while_the_first_has_the_file(tmp_path):
    path = tmp_path / "out.jsonl"
    with append(path) as one, append(path) as other:
        one(order(), context("k1"))
        with pytest.raises(cep.ActionError) as caught:
            other(order(), context("k2"))
        assert (caught.value.code, caught.value.permanent) == ("file-failed", False)
        one.close()
        other(order(), context("k1"))
        other(order(), context("k2"))
    assert [line["idempotencykey"] for line in lines(path)] == ["k1", "k2"]


def test_a_file_that_is_moved_away_or_cut_is_noticed(tmp_path):
    path = tmp_path / "out.jsonl"
    with append(path) as action:
        action(order(), context("k1"))
        os.rename(path, tmp_path / "out.jsonl.1")
        action(order(), context("k2"))
        os.truncate(path, 10)
        action(order(), context("k3"))
    assert [line["idempotencykey"] for line in lines(path)] == ["k3"]
    assert [line["idempotencykey"] for line in lines(tmp_path / "out.jsonl.1")] == ["k1"]


@pytest.mark.parametrize("failing", ["write", "fsync"])
def test_a_disk_that_takes_nothing_leaves_whole_lines_and_another_attempt(tmp_path, monkeypatch, failing):
    path = tmp_path / "out.jsonl"
    real = getattr(os, failing)

    def fail(descriptor, *rest):
        if failing == "write":
            # Half of it gets there.
            real(descriptor, rest[0][: len(rest[0]) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with append(path) as action:
        action(order(), context("k1"))
        with monkeypatch.context() as patched:
            patched.setattr(os, failing, fail)
            with pytest.raises(cep.ActionError) as caught:
                action(order(), context("k2"))
        assert (caught.value.code, caught.value.permanent) == ("file-failed", False)
        assert [line["idempotencykey"] for line in lines(path)] == ["k1"]
        action(order(), context("k2", attempt=2))
    assert [line["idempotencykey"] for line in lines(path)] == ["k1", "k2"]


def test_a_folder_that_is_not_there_or_a_full_one_is_tried_again(tmp_path):
    for path in (tmp_path / "no" / "out.jsonl", tmp_path):
        with append(path) as action, pytest.raises(cep.ActionError) as caught:
            action(order(), context())
        assert (caught.value.code, caught.value.permanent) == ("file-failed", False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
def test_a_full_device_is_an_error():
    with append("/dev/full") as action, pytest.raises(cep.ActionError, match="No space"):
        action(order(), context())


WRITER = """
import sys
sys.path[:0] = [sys.argv[2]]
from acting import context, order
from cepheid.actions import AppendFile
action = AppendFile(sys.argv[1], format=sys.argv[3], columns=["order", "note"], fsync=False)
start = int(sys.argv[4])
for number in range(start, 10**9):
    action(order(order=number, note="x" * (number % 5_000)), context(f"k{number}"))
    if number == start + 3:
        print("begun", flush=True)
"""


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_however_often_it_is_killed_each_event_is_there_once_and_in_order(tmp_path, format_):
    path = tmp_path / "out"
    draw = random.Random(5)
    kept = 0
    for _ in range(4):
        # An event or two before the last that is known are given again, as after a crash.
        start = max(kept - 2, 0)
        command = [sys.executable, "-c", WRITER, str(path), os.path.dirname(__file__), format_, str(start)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout.readline() == b"begun\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                writer.wait(draw.uniform(0, 0.1))
            writer.send_signal(signal.SIGKILL)
        kept = path.read_bytes().count(b"\n") - (format_ == "csv")
    with append(path, format=format_, columns=["order", "note"]) as action:
        action(order(order=kept, note=""), context(f"k{kept}"))
    text = path.read_bytes().splitlines()[format_ == "csv" :]
    keys = [json.loads(line)["idempotencykey"] if format_ == "jsonl" else line.split(b",")[0].decode() for line in text]
    assert len(keys) > 12
    assert keys == [f"k{number}" for number in range(len(keys))]


def test_threads_write_whole_lines(tmp_path):
    path = tmp_path / "out.jsonl"
    with append(path, fsync=False) as action:

        def write(thread):
            for number in range(50):
                action(order(note="x" * 1_000), context(f"{thread}/{number}"))

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert len({line["idempotencykey"] for line in lines(path)}) == 200 == len(lines(path))


@pytest.mark.parametrize(
    ("path", "options", "error"),
    [
        ("", {}, cep.AppError),
        ("folder/", {}, cep.AppError),
        ("a\0b", {}, cep.AppError),
        ("{type.__class__}", {}, cep.AppError),
        ("out/{type}/../../x", {}, cep.AppError),
        (7, {}, TypeError),
        (b"a", {}, TypeError),
        ("a", {"format": "xml"}, cep.PatternError),
        ("a", {"columns": []}, cep.AppError),
        ("a", {"columns": ["a", "a"]}, cep.AppError),
        ("a", {"columns": ["idempotencykey"]}, cep.AppError),
        ("a", {"columns": "a"}, TypeError),
        ("a", {"fsync": 1}, TypeError),
        ("a", {"keys_kept": 0}, cep.AppError),
        ("a", {"keys_kept": 1.5}, TypeError),
    ],
)
def test_what_cannot_be_a_file_is_refused_when_it_is_made(path, options, error):
    with pytest.raises(error):
        AppendFile(path, **options)
