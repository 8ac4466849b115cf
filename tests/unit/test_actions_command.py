"""Commands that are really run: what they are given, how they end, and what is left of them."""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import time

import pytest
from acting import HOSTILE, answer, context, http_server, order

import cepheid as cep
from cepheid.actions import Action, Command, CommandError

PYTHON = sys.executable
# Writes what it has been given as JSON to the file that the environment names.
REPORT = """
import json, os, sys
with open(os.environ["REPORT"], "w") as file:
    json.dump({"arguments": sys.argv[1:], "input": sys.stdin.read(), "env": dict(os.environ), "cwd": os.getcwd()}, file)
"""


@pytest.fixture
def report(tmp_path, tmp_path_factory):
    # In a file: the braces of a program in an argument would be those of columns.
    script = tmp_path_factory.mktemp("script") / "report.py"
    script.write_text(REPORT)

    def run(arguments, event, *, at="key-1", **options):
        env = {"REPORT": str(tmp_path / "report.json"), **options.pop("env", {})}
        action = Command([PYTHON, str(script), *arguments], env=env, cwd=tmp_path, **options)
        assert isinstance(action, Action)
        action(event, context(at))
        return json.loads((tmp_path / "report.json").read_text())

    return run


def test_a_program_is_given_the_event_its_values_and_the_key(report, tmp_path):
    found = report(["--id={order}", "{type}", "plain {{x}}", "{subject}", "{total:.2f}"], order(), at="k/1")
    assert found["arguments"] == ["--id=7", "order.created", "plain {x}", "", "12.50"]
    assert found["cwd"] == os.path.realpath(tmp_path)
    assert found["input"].endswith("}\n")
    assert json.loads(found["input"])["order"] == 7
    assert {name: value for name, value in found["env"].items() if name.startswith("CEPHEID")} == {
        "CEPHEID_IDEMPOTENCY_KEY": "k/1",
        "CEPHEID_TOPIC": "order.created",
        "CEPHEID_ATTEMPT": "1",
    }


def test_a_program_finds_of_the_environment_what_it_is_given(report, monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "s3cr3t")
    found = report([], order(), env={"OWN": "yes"}, input=None)
    assert found["env"]["OWN"] == "yes"
    assert found["env"]["PATH"] == os.environ["PATH"]
    assert "DATABASE_PASSWORD" not in found["env"]
    assert found["input"] == ""


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_one_argument_whatever_is_in_it(report, tmp_path, value):
    found = report(["{note}", "a={note}b"], order(note=value))
    assert found["arguments"] == [value, f"a={value}b"]
    assert json.loads(found["input"])["note"] == value
    assert sorted(os.listdir(tmp_path)) == ["report.json"]


@pytest.mark.parametrize(
    ("argument", "columns", "refused"),
    [
        ("{note}", {"note": "--exec=rm"}, True),
        ("{note}", {"note": "-"}, True),
        ("{total}", {"total": -5}, True),
        ("{note}{order}", {"note": ""}, False),
        ("{note}-{order}", {"note": ""}, True),
        ("{note}-{order}", {"note": "a"}, False),
        ("--total={total}", {"total": -5}, False),
        ("-{note}", {"note": "-x"}, False),
        ("./{note}", {"note": "-x"}, False),
    ],
)
def test_a_value_cannot_pass_for_an_option(report, argument, columns, refused):
    if not refused:
        assert len(report([argument], order(**columns))["arguments"]) == 1
        return
    with pytest.raises(cep.ActionError) as caught:
        report([argument], order(**columns))
    assert (caught.value.code, caught.value.permanent) == ("command-argument", True)
    assert report([argument], order(**columns), options_allowed=True)["arguments"][0].startswith("-")


@pytest.mark.parametrize("value", ["a\0b", "x" * 65_537, "\ud800", "\udcff\ud800"])
def test_what_cannot_be_an_argument_is_refused_for_good(report, value):
    with pytest.raises(cep.ActionError) as caught:
        report(["{note}"], order(note=value))
    assert (caught.value.code, caught.value.permanent) == ("command-argument", True)


def test_a_column_that_the_event_lacks_is_an_error_that_names_the_one_that_was_meant(report):
    with pytest.raises(cep.ActionError) as caught:
        report(["{ordr}"], order())
    assert (caught.value.code, caught.value.permanent, caught.value.hint) == ("action-column", True, "order")


@pytest.mark.parametrize(
    ("ends", "exit_code", "permanent"),
    [
        ("sys.exit(1)", 1, False),
        ("sys.exit(64)", 64, True),
        ("sys.exit(65)", 65, True),
        ("sys.exit(255)", 255, False),
        ("os.kill(os.getpid(), 9)", -9, False),
        ("os.kill(os.getpid(), 15)", -15, False),
        ("raise SystemError('broken')", 1, False),
    ],
)
def test_how_it_ends_says_whether_to_try_again(ends, exit_code, permanent):
    action = Command([PYTHON, "-c", f"import os, sys; print('was here', flush=True); {ends}"])
    with pytest.raises(CommandError) as caught:
        action(order(), context())
    error = caught.value
    assert (error.code, error.exit_code, error.permanent) == ("command-failed", exit_code, permanent)
    assert error.output.startswith(b"was here")
    assert "was here" in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (again.exit_code, again.output, again.permanent, str(again)) == (
        exit_code,
        error.output,
        permanent,
        str(error),
    )


def test_other_codes_can_be_for_good():
    action = Command([PYTHON, "-c", "raise SystemExit(3)"], permanent_codes=[3])
    with pytest.raises(CommandError) as caught:
        action(order(), context())
    assert caught.value.permanent


def test_of_the_output_the_end_is_kept_and_nothing_that_moves_a_cursor_is_shown():
    writes = "import sys; sys.stdout.write('a' * 10_000_000); sys.stderr.write('\\x1b[2Jthe end'); sys.exit(1)"
    with pytest.raises(CommandError) as caught:
        Command([PYTHON, "-c", writes], output_bytes_max=1_000)(order(), context())
    assert len(caught.value.output) == 1_000
    assert caught.value.output.endswith(b"\x1b[2Jthe end")
    assert "\x1b" not in str(caught.value)
    assert str(caught.value).endswith("the end")
    assert len(str(caught.value)) < 1_500


def test_a_program_need_not_read_what_it_is_given():
    large = order(note="x" * 5_000_000)
    Command([PYTHON, "-c", "pass"])(large, context())
    Command([PYTHON, "-c", "import sys; sys.stdin.close()"])(large, context())


def running(pid):
    """Whether a process is there and is not only waited for to be taken leave of."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with open(os.environ["PIDS"] + ".part", "w") as file:
    file.write("%s %s" % (os.getpid(), child.pid))
os.rename(os.environ["PIDS"] + ".part", os.environ["PIDS"])
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes in /proc")
@pytest.mark.parametrize("parent", ["hangs", "ignores signals", "ends"])
def test_nothing_of_it_is_left_running(tmp_path, parent):
    pids = tmp_path / "pids"
    rest = {
        "hangs": "time.sleep(60)",
        "ignores signals": "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
        "ends": "print('done')",
    }
    action = Command([PYTHON, "-S", "-c", f"{PARENT}\n{rest[parent]}"], env={"PIDS": str(pids)})
    if parent == "ends":
        action(order(), context(timeout=30))
    else:
        with pytest.raises(CommandError) as caught:
            action(order(), context(timeout=3))
        assert (caught.value.code, caught.value.permanent, caught.value.exit_code) == ("command-timeout", False, None)
    found = [int(pid) for pid in pids.read_text().split()]
    assert len(found) == 2
    deadline = time.monotonic() + 10
    while any(running(pid) for pid in found) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(running(pid) for pid in found)


def test_one_that_leaves_its_group_with_the_output_in_its_hands_holds_nothing_up():
    leaves = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n    os.setsid()\n    time.sleep(3)\n    os._exit(0)\n"
        "print('started', flush=True)\nos._exit(3)"
    )
    with pytest.raises(CommandError) as caught:
        Command([PYTHON, "-c", leaves])(order(), context(timeout=30))
    assert (caught.value.exit_code, caught.value.output) == (3, b"started\n")


def test_a_program_that_is_not_there_is_tried_again_and_no_shell_is_asked(tmp_path):
    for program in ("no-such-program-at-all", str(tmp_path), "echo hello"):
        with pytest.raises(CommandError) as caught:
            Command([program])(order(), context())
        assert (caught.value.code, caught.value.permanent) == ("command-not-started", False)


def test_many_may_run_at_once(tmp_path):
    write = "import os; open(os.environ['CEPHEID_IDEMPOTENCY_KEY'], 'x').close()"
    action = Command([PYTHON, "-S", "-c", write], cwd=tmp_path)
    threads = [threading.Thread(target=action, args=(order(), context(f"k{number}"))) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(os.listdir(tmp_path)) == 12


def test_its_repr_does_not_show_the_environment():
    action = Command(["true"], env={"TOKEN": "s3cr3t"})
    assert "s3cr3t" not in repr(action) + action.name
    assert action.name == "command:true"


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ([], {}, cep.AppError),
        ([""], {}, cep.AppError),
        ("rm -rf", {}, TypeError),
        (None, {}, TypeError),
        ([b"ls"], {}, TypeError),
        (["{program}"], {}, cep.AppError),
        (["/bin/{program}"], {}, cep.AppError),
        (["run.bat"], {}, cep.AppError),
        (["ls", "a\0b"], {}, cep.AppError),
        (["ls", "{type.__class__}"], {}, cep.AppError),
        (["ls", "{0}"], {}, cep.AppError),
        (["ls", "{}"], {}, cep.AppError),
        (["ls", "{type!r}"], {}, cep.AppError),
        (["ls", "{type[0]}"], {}, cep.AppError),
        (["ls", "{order:{width}}"], {}, cep.AppError),
        (["ls", "{order:>99999999}"], {}, cep.AppError),
        (["ls", "{order"], {}, cep.AppError),
        (["ls"], {"input": "xml"}, cep.PatternError),
        (["ls"], {"env": {"A=B": "c"}}, cep.AppError),
        (["ls"], {"env": {"A": 1}}, TypeError),
        (["ls"], {"env": [("A", "b")]}, TypeError),
        (["ls"], {"permanent_codes": [0]}, cep.AppError),
        (["ls"], {"permanent_codes": ["1"]}, cep.AppError),
        (["ls"], {"output_bytes_max": 2**31}, cep.AppError),
        (["ls"], {"timeout": -1}, cep.AppError),
        (["ls"], {"options_allowed": 1}, TypeError),
    ],
)
def test_what_cannot_be_a_command_is_refused_when_it_is_made(arguments, options, error):
    with pytest.raises(error):
        Command(arguments, **options)


def test_a_command_can_call_what_a_webhook_would(tmp_path):
    with http_server() as server:
        server.answers = [answer(200)]
        post = (
            "import os, sys, urllib.request\n"
            "urllib.request.urlopen(urllib.request.Request(sys.argv[1], sys.stdin.buffer.read(), method='POST'))"
        )
        Command([PYTHON, "-c", post, server.url])(order(), context())
        assert server.heard[0].json()["order"] == 7
