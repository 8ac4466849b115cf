"""`cepheid store ...`, run as a user runs it."""

import json
import os
import signal
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cepheid as cep
from cepheid.cli.__main__ import main


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "shop.db"
    with cep.EventStore(path, author="till-3") as store:
        times = pa.array([0, 60_000_000, 120_000_000], pa.timestamp("us", "UTC"))
        store.append("order.created", pa.table({"ts": times, "order": [7, 8, 9], "total": [20.0, 900.0, 3.5]}))
        store.seal()
        store.append("order.paid", pa.table({"ts": times[1:], "order": [7, 8]}), stream="s")
    return path


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_info_says_what_there_is(store, capsys):
    assert main(["store", "info", str(store)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{store}: 5 events, 3 entries, event time `ts`"
    assert shown[2].split() == ["topic", "events", "archived", "removed", "bytes", "first", "last"]
    assert shown[3].split()[:4] == ["order.created", "3", "3", "0"]
    assert shown[3].endswith("1970-01-01 00:00:00  1970-01-01 00:02:00")


def test_read_asks_by_all_that_is_said(store, capsys):
    assert main(["store", "read", str(store), "order.*", "--where", "order = 7", "--columns", "order,total"]) == 0
    assert lines(capsys) == [{"order": 7, "total": 20.0}, {"order": 7, "total": None}]
    assert (
        main(["store", "read", str(store), "--since", "1970-01-01T00:01", "--until", "1970-01-01T00:02", "--metadata"])
        == 0
    )
    assert [(event["_topic"], event["_position"]) for event in lines(capsys)] == [
        ("order.created", 1),
        ("order.paid", 3),
    ]
    assert main(["store", "read", str(store), "--from", "1", "--to", "4", "--limit", "2"]) == 0
    assert [event["order"] for event in lines(capsys)] == [8, 9]
    assert main(["store", "read", str(store), "--stream", "s"]) == 0
    assert len(lines(capsys)) == 2


def test_tail_gives_the_last_events_of_a_topic_however_far_back(store, capsys):
    assert main(["store", "tail", str(store), "order.created", "-n", "2"]) == 0
    assert [event["order"] for event in lines(capsys)] == [8, 9]
    assert main(["store", "tail", str(store), "-n", "0"]) == 0
    assert lines(capsys) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child")
def test_tail_follows_until_it_is_told_to_stop(store):
    command = [sys.executable, "-m", "cepheid", "store", "tail", str(store), "-f", "-n", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert json.loads(child.stdout.readline())["order"] == 8
        with cep.EventStore(store) as writer:
            writer.append("order.paid", pa.table({"ts": pa.array([9], pa.timestamp("us", "UTC")), "order": [99]}))
            assert json.loads(child.stdout.readline())["order"] == 99
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=20) == 130


def test_verify_ends_with_one_if_something_was_changed(store, capsys):
    with cep.EventStore(store) as writer:
        public = writer.sign(bytes(32))
    assert main(["store", "verify", str(store), "--key", public]) == 0
    assert f"signed by {public}" in capsys.readouterr().out
    (file,) = store.parent.rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert main(["store", "verify", str(store)]) == 1
    assert "position 0" in capsys.readouterr().out


def test_replay_gives_what_rules_derive(store, tmp_path, capsys):
    rule = cep.event("large", "total > 500", topic="order.created").select(order="large.order").named("large")
    (tmp_path / "large.json").write_text(rule.to_json())
    (tmp_path / "rising.sql").write_text(
        "SELECT * FROM t MATCH_RECOGNIZE (ORDER BY ts PATTERN (A B) DEFINE B AS B.order > A.order)"
    )
    window = cep.window(cep.count().alias("n"), topic="order.paid").tumbling("1h")
    (tmp_path / "hourly.json").write_text(window.to_json())
    rules = [str(tmp_path / name) for name in ("large.json", "hourly.json")]
    assert main(["store", "replay", str(store), *rules, "-o", str(tmp_path / "out")]) == 0
    assert pq.read_table(tmp_path / "out" / "large.parquet")["order"].to_pylist() == [8]
    assert pq.read_table(tmp_path / "out" / "hourly.parquet")["n"].to_pylist() == [2]
    assert "1 events of large" in capsys.readouterr().err
    assert main(["store", "replay", str(store), str(tmp_path / "rising.sql"), "--topic", "order.paid"]) == 0
    assert "rising" in capsys.readouterr().out


def test_export_and_report_write_files(store, tmp_path, capsys):
    assert main(["store", "export", str(store), "order.paid", "-o", str(tmp_path / "paid.parquet")]) == 0
    assert pq.read_table(tmp_path / "paid.parquet").num_rows == 2
    assert main(["store", "report", str(store)]) == 0
    assert "| till-3 | order.created | 1 | 3 |" in capsys.readouterr().out
    assert main(["store", "report", str(store), "-o", str(tmp_path / "report.html"), "--gap", "30s"]) == 0
    assert "<td>0:01:00</td>" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "none.db"],
        ["read", "{store}", "order.creatd"],
        ["read", "{store}", "--where", "order >"],
        ["read", "{store}", "--since", "yesterday"],
        ["replay", "{store}", "none.sql"],
        ["replay", "{store}", "{text}"],
        ["export", "{store}", "-o", "paid.xls"],
        ["report", "{store}", "--gap", "long"],
    ],
)
def test_failures_are_a_message_and_a_status(store, tmp_path, capsys, arguments):
    text = tmp_path / "rule.json"
    text.write_text("[")
    given = [part.format(store=store, text=text) for part in arguments]
    assert main(["store", *given]) == 2
    assert capsys.readouterr().err.startswith("cepheid: ")
