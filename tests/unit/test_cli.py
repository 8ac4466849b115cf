"""The command line, run as a user runs it."""

import io
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest

import cepheid as cep
from cepheid.cli import progress as progress_module
from cepheid.cli.__main__ import main
from cepheid.cli.progress import progress

QUERY = """SELECT * FROM trades MATCH_RECOGNIZE (
    PARTITION BY s ORDER BY t MEASURES A.x AS low, LAST(B.x) AS high, ARRAY_AGG(B.x) AS climb
    PATTERN (A B+) DEFINE B AS x > PREV(x))"""
TABLE = pa.table({"s": ["u", "v", "u", "u"], "t": [1, 2, 3, 4], "x": [1, 9, 2, 3]})
ROWS = [{"s": "u", "low": 1, "high": 3, "climb": [2, 3]}]


@pytest.fixture
def folder(tmp_path):
    pq.write_table(TABLE, tmp_path / "trades.parquet")
    csv.write_csv(TABLE, tmp_path / "trades.csv")
    (tmp_path / "trades.jsonl").write_text("".join(json.dumps(row) + "\n" for row in TABLE.to_pylist()))
    with pa.ipc.new_file(str(tmp_path / "trades.arrow"), TABLE.schema) as writer:
        writer.write_table(TABLE)
    with pa.ipc.new_stream(str(tmp_path / "trades.arrows"), TABLE.schema) as writer:
        writer.write_table(TABLE)
    with pa.ipc.new_stream(str(tmp_path / "stream.arrow"), TABLE.schema) as writer:
        writer.write_table(TABLE)
    (tmp_path / "query.sql").write_text(QUERY)
    (tmp_path / "wrong.sql").write_text("SELECT *\nFROM t MATCH_RECOGNIZE (PATTERN (A B) DEFINE C AS x > 1)")
    return tmp_path


def test_the_module_and_its_version():
    shown = subprocess.run([sys.executable, "-m", "cepheid", "--version"], check=True, capture_output=True, text=True)
    assert shown.stdout == f"cepheid {cep.__version__}\n"


@pytest.mark.parametrize(
    "name", ["trades.parquet", "trades.csv", "trades.jsonl", "trades.arrow", "trades.arrows", "stream.arrow"]
)
def test_run_reads_every_format_and_prints_a_table(folder, capsys, name):
    assert main(["run", str(folder / "query.sql"), "--table", f"trades={folder / name}"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "Matches: 1 match"
    assert printed.err == ""


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "arrow", "arrows"])
def test_run_writes_every_format(folder, capsys, suffix):
    output = folder / f"out.{suffix}"
    assert main(["run", "-c", QUERY, "--table", f"TRADES={folder / 'trades.parquet'}", "-o", str(output)]) == 0
    assert "1 rows written" in capsys.readouterr().err
    if suffix == "jsonl":
        assert [json.loads(line) for line in output.read_text().splitlines()] == ROWS
    else:
        from cepheid.cli.tables import read_table

        assert read_table(output).to_pylist() == ROWS
    assert list(folder.glob("*.unfinished")) == []


def test_csv_holds_lists_as_json(folder):
    output = folder / "out.csv"
    assert main(["run", "-c", QUERY, "--table", f"trades={folder / 'trades.csv'}", "-o", str(output)]) == 0
    assert output.read_text().splitlines() == ['"s","low","high","climb"', '"u",1,3,"[2, 3]"']


def test_the_query_may_come_from_standard_input(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(QUERY))
    assert main(["run", "-", "--table", f"trades={folder / 'trades.parquet'}"]) == 0
    assert "1 match" in capsys.readouterr().out


def test_check_shows_the_caret_and_fails(folder, capsys):
    assert main(["check", str(folder / "query.sql")]) == 0
    assert "valid" in capsys.readouterr().out
    assert main(["check", str(folder / "wrong.sql")]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "line 2" in shown.err
    assert "^" in shown.err


def test_explain_names_the_strategy(folder, capsys):
    assert main(["explain", str(folder / "query.sql")]) == 0
    assert "strategy" in capsys.readouterr().out
    assert main(["explain", str(folder / "query.sql"), "--table", f"trades={folder / 'trades.parquet'}"]) == 0
    assert "strategy" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "missing.sql"],
        ["run", "query.sql"],
        ["run", "wrong.sql", "--table", "t=trades.parquet"],
        ["run", "query.sql", "--table", "trades"],
        ["run", "query.sql", "--table", "trades=trades.parquet", "--table", "trades=trades.csv"],
        ["run", "query.sql", "--table", "trades=missing.parquet"],
        ["run", "query.sql", "--table", "trades=missing.csv"],
        ["run", "query.sql", "--table", "trades=missing.arrow"],
        ["run", "query.sql", "--table", "trades=missing.jsonl"],
        ["run", "query.sql", "--table", "trades=query.sql"],
        ["run", "query.sql", "--table", "trades=broken.parquet"],
        ["run", "query.sql", "--table", "trades=trades.parquet", "-o", "out.xlsx"],
        ["run", "query.sql", "--table", "trades=trades.parquet", "-o", "nowhere/out.csv"],
        ["run", "-c", "SELECT * FROM trades MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS nothing > 1)", "--table",
         "trades=trades.parquet"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_failures_are_a_message_and_a_status_never_a_traceback(folder, capsys, monkeypatch, arguments):
    monkeypatch.chdir(folder)
    (folder / "broken.parquet").write_bytes(b"PAR1 no")
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("cepheid: ")
    assert "Traceback" not in shown.err


def test_wrong_usage_is_told_by_argparse(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["run"])
    assert caught.value.code == 2
    assert "required" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def slow_batches(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(clock))
    return iter(TABLE.to_batches(max_chunksize=1))


def test_progress_is_drawn_on_a_terminal_without_rich(monkeypatch):
    terminal = Terminal()
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert len(list(progress(slow_batches(monkeypatch), "reading", 4, to=terminal))) == 4
    assert "reading: [#######" in terminal.getvalue()
    assert "4 of 4 rows" in terminal.getvalue()


def test_progress_is_silent_elsewhere():
    quiet = io.StringIO()
    assert len(list(progress(iter(TABLE.to_batches()), "reading", None, to=quiet))) == 1
    assert quiet.getvalue() == ""
