"""A disk that is full, that fails, that may only be read; two who want to write; a clock that steps back."""

import datetime as dt
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import cepheid as cep

HERE = Path(__file__).parent
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def run(script: str, *arguments: object, seconds: float = 100, **environment: str) -> str:
    """Runs a script in a process of its own; gives what it has printed."""
    # What all of these scripts begin with.
    begin = "import os, signal, sys\nimport cepheid as cep\nargs = sys.argv[1:]\n" + textwrap.dedent(HELPERS)
    command = [sys.executable, "-c", begin + textwrap.dedent(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=os.environ | environment)
    assert done.returncode in (0, -9), done.stderr
    return done.stdout


HELPERS = """
    def code(call, *arguments, **named):
        try:
            call(*arguments, **named)
        except cep.StoreError as error:
            return error.code
        return "none"

    def values(store):
        return [row["value"] for row in store.read() if row["value"] is not None]

    ROWS = {"ts": list(range(2_000)), "value": [f"{i * 2654435761 % 2**32:x}" for i in range(2_000)]}
"""

# Appends until it is refused; then goes on with the same handle, or with a new one, and says what happened.
FULL = """
    from pathlib import Path

    def fill(store):
        kept = 0
        for _ in range(2_000):
            refused = code(store.append, "t", ROWS)
            if refused != "none":
                return kept, refused
            kept += 1
        return kept, "never"

    path = Path(args[0])
    store = cep.EventStore(path)
    store.append("first", [{"ts": 1, "value": "a"}])
    limit_space()
    kept, refused = fill(store)
    # What could not be written has left nothing, and what was there can be read.
    before = (store.end, store.read("t").count(), values(store)[0])
    sealed = code(store.seal)
    again = code(store.append, "t", ROWS)
    free_space()
    after = code(store.append, "t", ROWS)
    store.close()
    with cep.EventStore(path) as store:
        fresh = code(store.append, "last", [{"ts": 1, "value": "b"}])
        ok = store.verify().ok
        left = [str(file) for file in Path(f"{path}-archive").rglob("*.unfinished")]
        events = store.end
        counted = store.read("t").count()
        resealed = code(store.seal)
        ok = ok and store.verify().ok
    names = "kept refused before sealed again after fresh ok left events counted resealed".split()
    print(repr({name: globals()[name] for name in names}))
"""


def check_full(said: str) -> dict[str, object]:
    found = eval(said.splitlines()[-1])
    kept = found["kept"]
    assert kept > 2
    assert found["refused"] in ("disk-full", "disk")
    assert found["before"] == (1 + 2_000 * kept, 2_000 * kept, "a")
    assert found["sealed"] in ("disk-full", "disk", "store-poisoned")
    assert found["again"] in ("disk-full", "disk", "store-poisoned")
    assert (found["after"], found["refused"]) in [("none", "disk-full"), ("store-poisoned", "disk")]
    assert (found["fresh"], found["resealed"], found["ok"], found["left"]) == ("none", "none", True, [])
    appended = kept + (found["after"] == "none")
    assert found["counted"] == 2_000 * appended
    assert found["events"] == 2 + 2_000 * appended
    return found


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    space = """
    import resource
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit_space():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))

    def free_space():
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    """
    check_full(run(space + FULL, tmp_path / "events.db"))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not IS_ROOT or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_keeps_what_is_there_and_goes_on_when_there_is_room(mounted: Path) -> None:
    space = """
    ballast = os.path.join(os.path.dirname(args[0]), "ballast")
    with open(ballast, "wb") as file:
        file.write(bytes(1_200_000))

    def limit_space():
        pass

    def free_space():
        os.remove(ballast)
    """
    found = check_full(run(space + FULL, mounted / "events.db"))
    assert found["refused"] == "disk-full"


def test_a_disk_that_is_full_from_the_beginning_is_said_to_be(mounted: Path) -> None:
    try:
        with open(mounted / "ballast", "wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
    except OSError:
        pass
    with pytest.raises(cep.StoreError) as caught:
        cep.EventStore(mounted / "events.db")
    assert caught.value.code == "disk-full"
    os.remove(mounted / "ballast")
    with cep.EventStore(mounted / "events.db") as store:
        assert store.append("t", [{"ts": 1}]).first == 0


# A failing fsync.


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a library to be preloaded needs a C compiler, and Linux")
    made = tmp_path_factory.mktemp("shim") / "failing_fsync.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, HERE / "failing_fsync.c", "-ldl"], check=True)
    return made


def run_failing(shim: Path, folder: Path, script: str) -> dict[str, object]:
    flag = folder / "flag"
    helpers = """
    def fail(names=""):
        with open(os.environ["FAILING_FSYNC"], "w") as file:
            file.write(names)

    def heal():
        os.remove(os.environ["FAILING_FSYNC"])
    """
    said = run(helpers + script, folder / "events.db", LD_PRELOAD=str(shim), FAILING_FSYNC=str(flag))
    flag.unlink(missing_ok=True)
    assert (folder / "flag-count").stat().st_size > 0, "no fsync has failed"
    return eval(said.splitlines()[-1])


CALLS = """
    calls = {
        "append": lambda: store.append("t", [{"ts": 3, "value": "again"}]),
        "transaction": lambda: store.transaction().commit(),
        "save": lambda: store.save("engine", b"x"),
        "seal": lambda: store.seal(),
        "compact": lambda: store.compact(),
        "keep": lambda: store.keep("t", for_="1d"),
        "retain": lambda: store.retain(),
        "protect": lambda: store.protect("t", subject="a", columns=["b"]),
        "erase": lambda: store.erase("x"),
        "sign": lambda: store.sign(bytes(32)),
    }
"""


@pytest.mark.parametrize("end", ["close", "kill"])
def test_after_an_fsync_that_failed_the_handle_is_refused_and_a_new_one_has_all_that_was_acknowledged(
    tmp_path: Path, shim: Path, end: str
) -> None:
    script = """
    store = cep.EventStore(args[0])
    for number in range(5):
        store.append("t", [{"ts": number, "value": str(number)}])
    fail("-wal")
    first = code(store.append, "t", [{"ts": 9, "value": "unknown"}])
    heal()
    later = {name: code(call) for name, call in calls.items()}
    print(repr((first, later, values(store))), flush=True)
    """ + ("store.close()" if end == "close" else "os.kill(os.getpid(), signal.SIGKILL)")
    first, later, read = run_failing(shim, tmp_path, CALLS + script)
    assert first == "disk"
    assert len(later) == 10
    assert set(later.values()) == {"store-poisoned"}, later
    acknowledged = [str(number) for number in range(5)]
    assert read[:5] == acknowledged
    with cep.EventStore(tmp_path / "events.db") as store:
        found = [row["value"] for row in store.read()]
        assert found in (acknowledged, [*acknowledged, "unknown"])
        assert store.verify().ok
        assert store.append("t", [{"ts": 9, "value": "more"}]).first == len(found)


@pytest.mark.parametrize("end", ["close", "kill"])
@pytest.mark.parametrize("names", ["-wal", "parquet", ""])
@pytest.mark.parametrize("action", ["seal", "compact", "retain"])
def test_an_fsync_that_fails_while_events_are_archived_loses_none(
    tmp_path: Path, shim: Path, action: str, names: str, end: str
) -> None:
    if action == "retain" and names == "parquet":
        pytest.skip("retaining writes no file of the archive")
    script = f"""
    store = cep.EventStore(args[0])
    for number in range(4):
        store.append("t", [{{"ts": number, "value": str(number)}}])
        if "{action}" != "seal":
            store.seal()
    if "{action}" == "retain":
        store.keep("t", bytes=1)
    fail("{names}")
    print(repr(code(store.{action})), flush=True)
    heal()
    """ + ("store.close()" if end == "close" else "os.kill(os.getpid(), signal.SIGKILL)")
    assert run_failing(shim, tmp_path, script) == "disk"
    with cep.EventStore(tmp_path / "events.db") as store:
        assert store.verify().ok, store.verify()
        found = [row["value"] for row in store.read()]
        # What is kept no longer may be gone, or not yet.
        assert found in ([["0", "1", "2", "3"]] if action != "retain" else [["0", "1", "2", "3"], ["3"]])
        archive = Path(f"{store.path}-archive")
        assert len(list(archive.rglob("*.parquet"))) == store.info().topics["t"].segments
        assert not list(archive.rglob("*.unfinished"))


# A disk that may only be read.


def made_store(folder: Path) -> Path:
    path = folder / "events.db"
    with cep.EventStore(path) as store:
        store.append("t", [{"ts": 1, "value": "a"}])
        store.seal()
        store.append("t", [{"ts": 2, "value": "b"}])
    return path


def check_read_only(path: Path) -> None:
    with cep.EventStore(path, read_only=True) as store:
        assert [row["value"] for row in store.read("t")] == ["a", "b"]
        assert store.verify().ok
        for call in (lambda: store.append("t", [{"ts": 1}]), store.seal, store.transaction, lambda: store.erase("x")):
            with pytest.raises(cep.StoreError) as caught:
                call()
            assert caught.value.code == "store-read-only"
    with pytest.raises(cep.StoreError) as caught:
        cep.EventStore(path)
    assert caught.value.code == "disk"
    assert str(path) in str(caught.value)


def test_a_store_on_a_disk_that_may_only_be_read_is_read(tmp_path: Path) -> None:
    path = made_store(tmp_path)
    folder = tmp_path / "bound"
    folder.mkdir()
    if not IS_ROOT or shutil.which("mount") is None:
        pytest.skip("mounting a folder to be read only needs root")
    for options in (["--bind", tmp_path], ["-o", "remount,ro,bind"]):
        done = subprocess.run(["mount", *options, folder], capture_output=True, text=True)
        if done.returncode != 0:
            subprocess.run(["umount", "-l", folder], check=False, capture_output=True)
            pytest.skip(f"no folder can be mounted to be read only here: {done.stderr.strip()}")
    try:
        check_read_only(folder / path.name)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(IS_ROOT, reason="root may write to what may not be written to")
def test_a_store_whose_files_may_only_be_read_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = made_store(folder)
    for file in [*folder.rglob("*"), folder]:
        file.chmod(0o555 if file.is_dir() else 0o444)
    try:
        check_read_only(path)
    finally:
        for file in [folder, *folder.rglob("*")]:
            file.chmod(0o755)


# Two who want to write.


def test_there_is_one_writer_and_who_it_is_is_said(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    store = cep.EventStore(path)
    with pytest.raises(cep.StoreError) as caught:
        cep.EventStore(path)
    assert caught.value.code == "store-locked"
    assert f"process {os.getpid()}" in str(caught.value)
    says = "try:\n    cep.EventStore(args[0])\nexcept cep.StoreError as error:\n    print(error.code, error)"
    said = run(says, path)
    assert said.startswith("store-locked")
    assert f"process {os.getpid()}" in said
    # Refused, nobody has taken anything from who writes.
    assert store.append("t", [{"ts": 1}]).first == 0
    assert run("with cep.EventStore(args[0], read_only=True) as store: print(store.end)", path) == "1\n"
    store.close()
    assert run("with cep.EventStore(args[0]) as store: print(store.append('t', [{'ts': 1}]).first)", path) == "1\n"
    with cep.EventStore(path) as store:
        assert store.end == 2


def test_a_writer_that_is_killed_leaves_its_place(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    script = "s = cep.EventStore(args[0]); s.append('t', [{'ts': 1}]); print('open', flush=True); signal.pause()"
    begin = "import os, signal, sys\nimport cepheid as cep\nargs = sys.argv[1:]\n"
    writer = subprocess.Popen([sys.executable, "-c", begin + script, path], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "open\n"
    with pytest.raises(cep.StoreError, match=f"process {writer.pid}"):
        cep.EventStore(path)
    writer.kill()
    writer.communicate()
    with cep.EventStore(path) as store:
        assert store.append("t", [{"ts": 1}]).first == 1


def test_readers_of_other_processes_see_appends_as_they_are_made(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with cep.EventStore(path) as store:
        store.append("t", [{"ts": 0, "value": 0}])
        script = """
        with cep.EventStore(args[0], read_only=True) as store:
            subscription = store.subscribe("reader", "t")
            while (found := subscription.next(timeout=30)) is not None:
                print(*found["value"].to_pylist(), flush=True)
                if found["value"][-1].as_py() == 20:
                    break
        """
        begin = "import os, signal, sys\nimport cepheid as cep\nargs = sys.argv[1:]\n"
        command = [sys.executable, "-c", begin + textwrap.dedent(script), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            seen = [int(number) for number in reader.stdout.readline().split()]
            assert seen == [0]
            for value in range(1, 21):
                store.append("t", [{"ts": value, "value": value}])
                if value % 7 == 0:
                    store.seal()
                if value % 5 == 0:
                    # It has seen it before the next is appended.
                    while seen[-1] < value:
                        seen += [int(number) for number in reader.stdout.readline().split()]
            assert reader.wait(timeout=30) == 0
        assert seen == list(range(21))


@pytest.mark.parametrize("action", ["close", "erase"])
def test_a_read_under_way_keeps_nobody_waiting(tmp_path: Path, action: str) -> None:
    script = f"""
    store = cep.EventStore(args[0])
    store.protect("t", subject="user", columns=["mail"])
    for number in range(3):
        store.append("t", {{"ts": [number], "user": ["u"], "mail": ["a@b.c"]}})
    batches = store.read("t").batches()
    next(batches)
    store.append("t", {{"ts": [9], "user": ["u"], "mail": ["a@b.c"]}})
    print("begun", flush=True)
    {"store.close()" if action == "close" else "store.erase('u')"}
    print("done", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    try:
        said = run(script, tmp_path / "events.db", seconds=6)
    except subprocess.TimeoutExpired as expired:
        assert b"begun" in (expired.stdout or b"")
        pytest.fail(f"{action} waits for a read that is under way")
    assert said.endswith("done\n")


@pytest.mark.parametrize("reading", [False, True], ids=["nobody reads", "somebody reads"])
def test_a_key_is_gone_from_the_disk_once_it_is_erased(tmp_path: Path, reading: bool) -> None:
    import sqlite3

    path = tmp_path / "events.db"
    script = """
    store = cep.EventStore(args[0])
    store.protect("t", subject="user", columns=["mail"])
    store.append("t", {"ts": [1], "user": ["u"], "mail": ["a@b.c"]})
    import subprocess
    # In another process: a file closed here would end the locks that the store has on it.
    ask = "import sqlite3, sys; database = sqlite3.connect(sys.argv[1])"
    ask += "; print(database.execute('SELECT hex(secret) FROM subjects').fetchone()[0])"
    subprocess.run([sys.executable, "-c", ask, args[0]], check=True)
    batches = store.read("t").batches()
    if args[1] == "True":
        next(batches)
    store.erase("u")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    secret = bytes.fromhex(run(script, path, reading).strip())
    assert len(secret) == 32
    if reading:
        # Who reads what was before keeps the log as it was: it goes when the store is opened and closed once more.
        with cep.EventStore(path) as store:
            assert store.read("t").to_arrow()["mail"].to_pylist() == [None]
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert secret not in file.read_bytes(), file
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT secret FROM subjects").fetchall() == [(None,)]
    database.close()


# Time.


def test_a_clock_that_steps_back_does_not_take_the_store_with_it(tmp_path: Path) -> None:
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    steps = [0, 5, 3, -(10**6), 5, 6, 2, 7]
    now = [begin]
    path = tmp_path / "events.db"
    for part in (steps[:4], steps[4:]):
        # A store that is opened again too.
        with cep.EventStore(path, clock=lambda: now[0]) as store:
            for step in part:
                now[0] = begin + dt.timedelta(seconds=step)
                store.append("t", [{"ts": 1}])
                if step == 3:
                    store.seal()
    with cep.EventStore(path, read_only=True) as store:
        recorded = store.read(metadata=True).to_arrow()["_recorded"].to_pylist()
        assert store.verify().ok
    assert recorded == [begin + dt.timedelta(seconds=second) for second in (0, 5, 5, 5, 5, 6, 6, 7)]


def test_a_clock_that_fails_leaves_the_store_as_it_is() -> None:
    answers = iter([1, "x", None, float("nan"), dt.date(2026, 1, 1), dt.datetime(1, 1, 1), dt.datetime(9999, 1, 1)])
    refused = 0
    with cep.EventStore(clock=lambda: next(answers)) as store:
        for _ in range(7):
            end = store.end
            try:
                store.append("t", [{"ts": 1}])
            except (TypeError, ValueError, cep.CepheidError) as error:
                assert not isinstance(error, cep.InternalError)
                refused += 1
                assert store.end == end
        assert store.verify().ok
    assert refused >= 5
