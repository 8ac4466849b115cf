"""Sources of files and directories, as an app runs them: what they send, what they reject, and where they go on."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feeds import MemoryFeed, json_text_module, running
from hypothesis import given, settings
from hypothesis import strategies as st

from cepheid import AppError, PatternError
from cepheid.connectors import DirectorySource, FileSource, Source
from cepheid.connectors.arguments import read_offset, written_offset

json_text_module()


def run(source: Any, feed: MemoryFeed | None = None) -> MemoryFeed:
    """Runs a source until there is nothing more."""
    feed = MemoryFeed(stop_when_idle=True) if feed is None else feed
    source.run(feed)
    return feed


def test_a_file_is_read_and_then_followed(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    source = FileSource(path, topic="order.created", poll="1ms")
    feed = MemoryFeed()
    with running(source, feed):
        feed.until(lambda feed: feed.waits > 1)
        path.write_text('{"a": 1}\n{"a": ')
        feed.until(lambda feed: len(feed.committed) == 1)
        with path.open("a") as file:
            file.write('2}\r\n\n{"a": 3}\n')
        feed.until(lambda feed: len(feed.rows) == 3)
    assert feed.rows == [b'{"a": 1}', b'{"a": 2}', b'{"a": 3}']
    assert {sent.topic for sent in feed.committed} == {"order.created"}
    assert isinstance(source, Source)


def test_a_file_that_is_not_followed_ends_with_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}')
    feed = MemoryFeed()
    FileSource(path, follow=False).run(feed)
    assert feed.rows == [b'{"a": 1}', b'{"a": 2}']
    again = MemoryFeed(feed.offset)
    FileSource(path, follow=False).run(again)
    assert again.rows == []
    with pytest.raises(AppError) as error:
        FileSource(tmp_path / "missing.jsonl", follow=False).run(MemoryFeed())
    assert error.value.code == "source-file"


def test_bad_lines_are_rejected_and_hold_up_no_others(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfn,s\n1,a\n2,\xff\xfe\n3," + b"x" * 200 + b"\n\n4,b\r\nfive,c\n6,d\n")
    feed = run(FileSource(path, topic="t", columns={"n": "int64"}, line_bytes_max=100))
    assert feed.rows == [{"n": 1, "s": "a"}, {"n": 4, "s": "b"}, {"n": 6, "s": "d"}]
    assert [(payload[:6], code) for payload, _, code in feed.rejects] == [
        (b"2,\xff\xfe", "bad-encoding"),
        (b"3,xxxx", "line-too-long"),
        (b"five,c", "bad-line"),
    ]


@pytest.mark.parametrize("line_format", ["jsonl", "syslog", "apache"])
def test_no_format_is_upset_by_lines_that_cannot_be_read_at_all(tmp_path: Path, line_format: str) -> None:
    path = tmp_path / "a.txt"
    good = {
        "jsonl": b'{"n": "\xc3\xa9"}',
        "syslog": b"Jun 15 04:06:20 combo logrotate: \xc3\xa9",
        "apache": b'h - - [17/May/2015:10:05:03 +0000] "GET /\xc3\xa9" 200 5',
    }[line_format]
    path.write_bytes(b"\n".join([good, b"\xff", good, b"x" * 200, good, b"\0", good, b"y" * 100_000, good, b""]))
    feed = run(FileSource(path, format=line_format, line_bytes_max=100))
    assert len(feed.rows) == 5
    assert [code for _, _, code in feed.rejects] == ["bad-encoding", "line-too-long", "bad-line", "line-too-long"]


def test_a_line_without_end_is_not_held_in_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 100_000)
        file.write(b'\n{"a": 1}\n')
    tracemalloc.start()
    feed = run(FileSource(path, line_bytes_max="100KB"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert feed.rows == [b'{"a": 1}']
    assert [(len(payload), code) for payload, _, code in feed.rejects] == [(4096, "line-too-long")]
    assert peak < 8_000_000, f"{peak} bytes for a line of 20 MB"


def test_text_in_other_encodings_is_read_and_those_that_hold_no_ascii_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("s\nGrüße\n".encode("latin-1"))
    assert run(FileSource(path, topic="t", encoding="latin-1")).rows == [{"s": "Grüße"}]
    assert run(FileSource(path, topic="t")).rejects[0][2] == "bad-encoding"
    for encoding in ("utf-16", "utf-7", "nonsense", "base64", "iso2022_jp", "cp037", "hz"):
        with pytest.raises(AppError) as error:
            FileSource(path, encoding=encoding)
        assert error.value.code == "source-option"


def test_a_header_that_cannot_be_read_makes_no_row_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for header in (b"n,\xff", b"n," + b"x" * 200):
        path.write_bytes(header + b"\n1,2\n")
        feed = run(FileSource(path, topic="t", line_bytes_max=100))
        assert feed.rows == []
        assert len(feed.rejects) == 2


@pytest.mark.parametrize("suffix", ["csv", "syslog", "log"])
def test_formats_go_on_after_a_restart_at_any_line(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    line = {
        "csv": lambda n: f"{n},x",
        "syslog": lambda n: f"Dec 31 23:00:{n:02} h app[{n}]: x",
        "log": lambda n: f'h - - [17/May/2015:10:05:{n:02} +0000] "GET /{n} HTTP/1.1" 200 5',
    }[suffix]
    key = {"csv": "n", "syslog": "pid", "log": "path"}[suffix]
    lines = [line(n) if n % 5 else "bad" for n in range(1, 40)]
    path.write_text(("n,s\n" if suffix == "csv" else "") + "\n".join(lines) + "\n")
    options: dict[str, Any] = {"log": {"format": "apache"}}.get(suffix, {"topic": "t"})
    whole = run(FileSource(path, **options))
    assert len(whole.rows) + len(whole.rejects) == 39
    offset, rows, rejects, restarts = None, [], [], 0
    while True:
        # Committed one by one, and killed after each.
        feed = MemoryFeed(offset, auto=False, stop_when_idle=True)
        FileSource(path, **options).run(feed)
        feed.commit(1)
        if not feed.committed:
            break
        offset, restarts = feed.offset, restarts + 1
        rows += [row[key] for row in feed.rows]
        rejects += feed.rejects
    assert rows == [row[key] for row in whole.rows]
    assert rejects == whole.rejects
    assert restarts >= 14


def test_offsets_hold_nothing_of_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"secret": "swordfish"}\n')
    feed = run(FileSource(path))
    assert feed.offset is not None
    assert b"swordfish" not in feed.offset


def test_an_offset_is_read_however_many_files_it_tells_of() -> None:
    done = [f"{number:0200}" for number in range(100_000)]
    said = read_offset(written_offset("directory", done=done), "many", "directory")
    assert said is not None
    assert said["done"] == done


def test_what_another_source_saved_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("")
    for offset in (b"", b"{", b"[]", b'{"kind":"sqlite","version":1}', b'{"kind":"file","version":2}', b"[" * 100_000):
        with pytest.raises(AppError) as error:
            FileSource(path).run(MemoryFeed(offset))
        assert error.value.code == "source-offset"


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", Path(os.devnull)):
        with pytest.raises(AppError) as error:
            FileSource(path, format="jsonl").run(MemoryFeed())
        assert error.value.code == "source-file"


def test_a_full_app_holds_a_source_up_and_its_stop_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\nbad\n' * 50)
    feed = MemoryFeed(auto=False, capacity=3)
    with running(FileSource(path), feed):
        feed.until(lambda feed: len(feed.pending) == 3)
        feed.commit(2)
        feed.until(lambda feed: len(feed.pending) == 3)
    assert len(feed.committed) == 2


def test_an_app_that_fails_ends_the_source_with_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n')
    feed = MemoryFeed()
    feed.failing = AppError("the disk is full", code="app-failed")
    with pytest.raises(AppError, match="the disk is full"):
        FileSource(path).run(feed)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"path": 7}, TypeError),
        ({"path": b"a.jsonl"}, TypeError),
        ({"path": ""}, AppError),
        ({"path": "a\0.jsonl"}, AppError),
        ({"path": "a.txt"}, AppError),
        ({"path": "a.txt", "format": "xml"}, AppError),
        ({"path": "a.txt", "format": 7}, TypeError),
        ({"path": "a.jsonl", "columns": {"a": "int64"}}, AppError),
        ({"path": "a.jsonl", "topic": ""}, AppError),
        ({"path": "a.jsonl", "topic": 7}, TypeError),
        ({"path": "a.jsonl", "follow": 1}, TypeError),
        ({"path": "a.jsonl", "poll": "soon"}, PatternError),
        ({"path": "a.jsonl", "poll": "0s"}, AppError),
        ({"path": "a.jsonl", "poll": 1}, TypeError),
        ({"path": "a.jsonl", "name": ""}, AppError),
        ({"path": "a.jsonl", "name": 7}, TypeError),
        ({"path": "a.jsonl", "line_bytes_max": 0}, AppError),
        ({"path": "a.jsonl", "line_bytes_max": "1 lot"}, AppError),
        ({"path": "a.jsonl", "encoding": 7}, TypeError),
    ],
)
def test_arguments_that_fit_no_file_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        FileSource(**arguments)


# --- Parquet


def parquet(path: Path, first: int, rows: int, group: int = 3) -> list[int]:
    """Written beside, and renamed when it is whole."""
    numbers = list(range(first, first + rows))
    pq.write_table(pa.table({"n": numbers}), f"{path}.part", row_group_size=group)
    os.rename(f"{path}.part", path)
    return numbers


def test_row_groups_are_steps_and_a_restart_goes_on_behind_the_last(tmp_path: Path) -> None:
    numbers = parquet(tmp_path / "a.parquet", 0, 10)
    seen: list[int] = []
    offset, restarts = None, 0
    while True:
        feed = MemoryFeed(offset, auto=False)
        FileSource(tmp_path / "a.parquet", topic="t", follow=False).run(feed)
        feed.commit(1)
        if not feed.committed:
            break
        seen += [row["n"] for row in feed.rows]
        offset, restarts = feed.offset, restarts + 1
    assert seen == numbers
    assert restarts == 4


def test_a_large_row_group_is_sent_in_parts_and_gone_on_with_between_them(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", 0, 150_000, group=150_000)
    feed = MemoryFeed(auto=False, stop_after=1)
    FileSource(tmp_path / "a.parquet", topic="t", follow=False).run(feed)
    feed.commit()
    assert len(feed.rows) == 65_536
    rest = MemoryFeed(feed.offset)
    FileSource(tmp_path / "a.parquet", topic="t", follow=False).run(rest)
    assert [row["n"] for row in rest.rows] == list(range(65_536, 150_000))


def test_a_parquet_file_that_is_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    numbers = parquet(path, 0, 5)
    feed = MemoryFeed()
    with running(FileSource(path, topic="t", poll="1ms", rotate_wait="0s"), feed):
        feed.until(lambda feed: len(feed.rows) == 5)
        numbers += parquet(path, 5, 4)
        feed.until(lambda feed: len(feed.rows) == 9)
    assert [row["n"] for row in feed.rows] == numbers


def test_a_damaged_parquet_file_is_rejected_once_and_the_next_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nothing PAR1")
    (tmp_path / "b.parquet").write_bytes(b"")
    good = parquet(tmp_path / "c.parquet", 0, 4)
    damaged = (tmp_path / "c.parquet").read_bytes()
    (tmp_path / "d.parquet").write_bytes(damaged[:20] + b"\xff" * 30 + damaged[50:])
    source = DirectorySource(tmp_path, "*.parquet", topic="t")
    feed = run(source)
    assert [row["n"] for row in feed.rows][:4] == good
    assert {code for _, _, code in feed.rejects} == {"bad-parquet"}
    assert len(feed.rejects) >= 2
    again = run(source, MemoryFeed(feed.offset, stop_when_idle=True))
    assert again.committed == []


# --- directories


def test_files_are_read_in_order_of_name_as_they_appear(tmp_path: Path) -> None:
    feed = MemoryFeed()
    numbers: list[int] = []
    with running(DirectorySource(tmp_path, "*.parquet", topic="t", poll="1ms"), feed):
        for number in range(5):
            numbers += parquet(tmp_path / f"part-{number}.parquet", number * 10, 7)
            feed.until_rows(len(numbers))
    assert [row["n"] for row in feed.rows] == numbers
    assert feed.offset is not None
    # However many were read: one name.
    assert len(feed.offset) < 500


def test_a_file_that_comes_with_an_earlier_name_is_not_read_and_told_of(tmp_path: Path, caplog) -> None:
    (tmp_path / "b.jsonl").write_text('{"n": 1}')
    feed = MemoryFeed()
    with running(DirectorySource(tmp_path, follow=False, poll="1ms"), feed):
        feed.until(lambda feed: len(feed.rows) == 1 and feed.waits > 2)
        (tmp_path / "a.jsonl").write_text('{"n": 0}')
        (tmp_path / "c.jsonl").write_text('{"n": 2}')
        feed.until(lambda feed: len(feed.rows) == 2)
        feed.until_looked()
    assert feed.rows == [b'{"n": 1}', b'{"n": 2}']
    assert "a.jsonl" in caplog.text


def test_in_order_of_time_any_name_may_come(tmp_path: Path) -> None:
    for number, name in enumerate(["c", "a", "b"]):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"n": {number}}}')
        os.utime(tmp_path / f"{name}.jsonl", (1_700_000_000 + number,) * 2)
    source = DirectorySource(tmp_path, follow=False, order="mtime", files_max=3)
    feed = run(source)
    assert feed.rows == [b'{"n": 0}', b'{"n": 1}', b'{"n": 2}']
    os.remove(tmp_path / "c.jsonl")
    (tmp_path / "0.jsonl").write_text('{"n": 3}')
    again = run(source, MemoryFeed(feed.offset, stop_when_idle=True))
    assert again.rows == [b'{"n": 3}']
    for name in ("1", "2"):
        (tmp_path / f"{name}.jsonl").write_text("{}")
    with pytest.raises(AppError) as error:
        run(source, MemoryFeed(again.offset, stop_when_idle=True))
    assert error.value.code == "source-files"


def test_a_directory_that_is_not_watched_is_read_to_its_end(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text(f'{{"n": "{name}"}}')
    feed = MemoryFeed()
    DirectorySource(tmp_path, watch=False).run(feed)
    assert feed.rows == [b'{"n": "a"}', b'{"n": "b"}']


def test_links_that_leave_the_directory_are_refused(tmp_path: Path, caplog) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.jsonl").write_text('{"secret": 1}\n')
    (inside / "real.txt").write_text('{"n": 1}\n')
    os.symlink(outside / "secret.jsonl", inside / "a.jsonl")
    os.symlink("../out/secret.jsonl", inside / "b.jsonl")
    os.symlink("real.txt", inside / "c.jsonl")
    os.symlink("missing", inside / "d.jsonl")
    os.symlink("e.jsonl", inside / "e.jsonl")
    os.mkfifo(inside / "f.jsonl")
    (inside / "g.jsonl").mkdir()
    for follow in (True, False):
        feed = run(DirectorySource(inside, follow=follow))
        assert feed.rows == [b'{"n": 1}']
    assert caplog.text.count("leads out") >= 2
    with pytest.raises(AppError):
        DirectorySource(inside, "../out/*.jsonl")


def test_an_offset_leads_to_no_file_outside(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (tmp_path / "secret.jsonl").write_text('{"secret": 1}\n')
    place = '{"device":0,"inode":0,"modified":0,"at":0,"head":"","tail":""}'
    for name in ("../secret.jsonl", str(tmp_path / "secret.jsonl")):
        for follow in (True, False):
            offset = f'{{"kind":"directory","version":1,"files":{{"{name}":{place}}}}}'.encode()
            assert run(DirectorySource(inside, follow=follow), MemoryFeed(offset, stop_when_idle=True)).rows == []


def test_files_of_a_directory_are_followed_through_rotation_and_renaming(tmp_path: Path) -> None:
    feed = MemoryFeed()
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"

    def add(path: Path, number: int) -> None:
        with path.open("a") as file:
            file.write(f'{{"n": {number}}}\n')
        feed.until(lambda feed: len(feed.rows) > number)

    with running(DirectorySource(tmp_path, "*.jsonl*", format="jsonl", poll="1ms", rotate_wait="0s"), feed):
        add(first, 0)
        add(second, 1)
        os.rename(first, f"{first}.1")
        add(first, 2)
        os.rename(second, tmp_path / "c.jsonl")
        add(tmp_path / "c.jsonl", 3)
        add(first, 4)
        os.remove(first)
        feed.until_looked()
        add(first, 5)
    assert feed.rows == [f'{{"n": {number}}}'.encode() for number in range(6)]


def test_a_followed_file_that_cannot_be_opened_for_a_while_is_gone_on_with_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": 0}\n')
    (tmp_path / "b.jsonl").write_text('{"n": 1}\n')
    feed = run(DirectorySource(tmp_path))
    assert len(feed.rows) == 2
    later = MemoryFeed(feed.offset)
    refusals = [3]
    open_really = os.open

    def refusing(opened: Any, *rest: Any, **options: Any) -> int:
        if str(opened) == str(path) and refusals[0] > 0:
            refusals[0] -= 1
            raise PermissionError(13, "Permission denied", str(path))
        return open_really(opened, *rest, **options)

    monkeypatch.setattr(os, "open", refusing)
    with running(DirectorySource(tmp_path, poll="1ms"), later):
        with (tmp_path / "b.jsonl").open("a") as file:
            file.write('{"n": 2}\n')
        later.until(lambda feed: refusals[0] == 0 and len(feed.rows) > 0)
        with path.open("a") as file:
            file.write('{"n": 3}\n')
        later.until(lambda feed: b'{"n": 3}' in feed.rows)
    assert later.rows == [b'{"n": 2}', b'{"n": 3}']


def test_files_that_were_followed_can_be_read_to_their_end_from_there(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.jsonl" for name in "abc"]
    for path in paths:
        path.write_text('{"n": 1}\n')
    followed = run(DirectorySource(tmp_path))
    assert len(followed.rows) == 3
    for path in paths:
        with path.open("a") as file:
            file.write('{"n": 2}\n')
    for order in ("name", "mtime"):
        rest = MemoryFeed(followed.offset)
        DirectorySource(tmp_path, watch=False, order=order).run(rest)
        assert rest.rows == [b'{"n": 2}'] * 3


def test_a_directory_of_many_files_is_looked_through_now_and_then_and_not_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        (tmp_path / f"{number:03}.jsonl").write_text(f'{{"n": {number}}}')
    # What has been changed just now may change again at the same time.
    os.utime(tmp_path, (1_700_000_000,) * 2)
    looks = [0]
    scan_really = os.scandir

    def counting(folder: Any) -> Any:
        looks[0] += str(folder) == str(tmp_path)
        return scan_really(folder)

    for order in ("name", "mtime"):
        looks[0] = 0
        monkeypatch.setattr(os, "scandir", counting)
        feed = MemoryFeed()
        DirectorySource(tmp_path, watch=False, order=order, poll="10m").run(feed)
        assert sorted(feed.rows) == sorted(f'{{"n": {number}}}'.encode() for number in range(200))
        assert looks[0] <= 3


def test_a_file_that_comes_while_others_wait_is_read_in_its_turn(tmp_path: Path) -> None:
    for number in (0, 2):
        (tmp_path / f"{number}.jsonl").write_text(f'{{"n": {number}}}')

    class Growing(MemoryFeed):
        def send(self, data: Any, **options: Any) -> Any:
            (tmp_path / "1.jsonl").write_text('{"n": 1}')
            return super().send(data, **options)

    feed = Growing()
    DirectorySource(tmp_path, watch=False, poll="10m").run(feed)
    assert feed.rows == [b'{"n": 0}', b'{"n": 1}', b'{"n": 2}']


def test_a_directory_with_too_many_files_to_follow_is_an_error(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
    with pytest.raises(AppError) as error:
        run(DirectorySource(tmp_path, files_max=2))
    assert error.value.code == "source-files"
    with pytest.raises(AppError) as error:
        run(DirectorySource(tmp_path / "missing"))
    assert error.value.code == "source-file"


@pytest.mark.parametrize(
    "arguments",
    [
        {"pattern": ""},
        {"pattern": "a/*.jsonl"},
        {"pattern": "*"},
        {"order": "size"},
        {"pattern": "*.parquet", "follow": True},
        {"watch": False, "follow": True},
        {"files_max": 0},
    ],
)
def test_arguments_that_fit_no_directory_are_refused(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(AppError) as error:
        DirectorySource(tmp_path, **arguments)
    assert error.value.code == "source-option"


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**9), follow=st.booleans(), order=st.sampled_from(["name", "mtime"]))
def test_every_row_of_a_directory_comes_once_wherever_it_is_killed(seed: int, follow: bool, order: str) -> None:
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        source = DirectorySource(folder, "*.csv", topic="t", follow=follow, order=order, rotate_wait="0s", files_max=50)
        written: list[str] = []
        seen: list[str] = []
        offset = None
        for step in range(draw.randrange(1, 12)):
            for _ in range(draw.randrange(3)):
                names = sorted(os.listdir(folder))
                append = follow and names and draw.random() < 0.5
                path = os.path.join(folder, draw.choice(names) if append else f"{step:02}-{len(names)}.csv")
                rows = [str(len(written) + n) for n in range(draw.randrange(5))]
                head = "" if append else "n,s\n"
                with open(path, "a") as file:
                    file.write(head + "".join(f"{n},x\n" if draw.random() < 0.8 else f"{n},x,y\n" for n in rows))
                os.utime(path, (1_700_000_000 + step,) * 2)
                written += rows
            feed = MemoryFeed(offset, auto=False, stop_when_idle=True, stop_after=draw.choice([None, 1, 3]))
            source.run(feed)
            last = len(feed.pending)
            feed.commit(draw.choice([last, draw.randrange(last + 1)]))
            offset = feed.offset
            for sent in feed.committed:
                seen += [row["n"] for row in sent.rows]
                if sent.rejected is not None:
                    seen.append(sent.rejected[0].decode().partition(",")[0])
        feed = run(source, MemoryFeed(offset, stop_when_idle=True))
        seen += [row["n"] for row in feed.rows] + [payload.decode().partition(",")[0] for payload, _, _ in feed.rejects]
        assert sorted(seen, key=int) == written
