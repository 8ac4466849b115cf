"""Files that grow, are rotated, copied, cut short, while the source is stopped and killed anywhere: each line once."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from feeds import MemoryFeed
from hypothesis import event, given, settings
from hypothesis import strategies as st

from cepheid.connectors.formats import RowFormat
from cepheid.connectors.generations import Follower, rotated_name
from cepheid.connectors.reading import LinesOfFile

LINE_MAX = 40
TEXT = RowFormat(lambda line: (line,), lambda: pa.schema([("line", "string")]), topic="line")


class Rig:
    """A file, who writes it, and a source of it that can be killed."""

    def __init__(self, folder: str, chunk: int) -> None:
        self.path = os.path.join(folder, "app.log")
        self.chunk = chunk
        self.written: list[str] = []
        self.partial = ""
        self.count = 0
        self.clock = 1_700_000_000_000_000_000
        self.feed = MemoryFeed(auto=False)
        self.begun: Follower | None = None

    def line(self, long: bool = False) -> str:
        self.count += 1
        return f"{self.count}" + "x" * (LINE_MAX if long else self.count % 7)

    def append(self, text: str) -> None:
        with open(self.path, "a", newline="") as file:
            file.write(text)
        self.touched(self.path)

    def touched(self, path: str) -> None:
        """A clock that goes on with every write: that of the system may stand still between two."""
        self.clock += 1_000_000
        os.utime(path, ns=(self.clock, self.clock))

    def write(self, lines: int, long: bool, crlf: bool) -> None:
        for number in range(lines):
            text = self.line(long and number == 0)
            self.append(text + ("\r\n" if crlf else "\n"))
            self.written.append(self.partial + text)
            self.partial = ""

    def begin_line(self) -> None:
        text = self.line()
        self.append(text)
        self.partial += text

    def end_partial(self) -> None:
        """A line without an end has ended when its file has."""
        if self.partial:
            self.written.append(self.partial)
            self.partial = ""

    def shift(self) -> None:
        for number in range(40, 0, -1):
            if os.path.exists(f"{self.path}.{number}"):
                os.rename(f"{self.path}.{number}", f"{self.path}.{number + 1}")

    def rename(self) -> None:
        self.end_partial()
        self.shift()
        os.rename(self.path, f"{self.path}.1")
        self.append("")

    def copy_and_cut(self, keep_times: bool) -> None:
        if self.begun is not None and self.begun.place is not None and not self.begun.place["at"]:
            # The limit: of a file that was empty when it was looked at last, nobody sees that it was cut short.
            self.pump(None)
        self.end_partial()
        self.shift()
        (shutil.copy2 if keep_times else shutil.copyfile)(self.path, f"{self.path}.1")
        if not keep_times:
            self.touched(f"{self.path}.1")
        os.truncate(self.path, 0)
        self.touched(self.path)

    def cut(self) -> None:
        """Nobody can know what was cut off and not read; so all is read before, and committed."""
        if self.partial:
            self.write(1, False, False)
        self.pump(None)
        self.feed.commit()
        os.truncate(self.path, 0)
        self.touched(self.path)

    @property
    def follower(self) -> Follower:
        if self.begun is None:
            place = None if self.feed.offset is None else eval_place(self.feed.offset)

            def reading(file, place):
                return LinesOfFile(file, TEXT, place, line_bytes_max=LINE_MAX, chunk_bytes=self.chunk)

            self.begun = Follower(self.path, reading, place, follow=True, rotate_wait=0)
        return self.begun

    def pump(self, steps: int | None) -> None:
        """So many steps, or until there is nothing more."""
        taken = 0
        while steps is None or taken < steps:
            for piece in self.follower.step():
                offset = repr(piece.place).encode()
                if piece.rejected is None:
                    self.feed.send(piece.data, offset=offset)
                else:
                    self.feed.reject(piece.rejected.payload, "", code=piece.rejected.code, offset=offset)
            taken += 1
            assert taken < 10_000
            if self.follower.idle and steps is None:
                return

    def kill(self) -> None:
        self.feed.pending.clear()
        if self.begun is not None:
            self.begun.close()
            self.begun = None

    def seen(self) -> list[str]:
        lines = []
        for sent in self.feed.committed:
            lines += [row["line"] for row in sent.rows]
            if sent.rejected is not None:
                assert sent.rejected[2] == "line-too-long"
                lines.append(sent.rejected[0].decode())
        return lines


def eval_place(offset: bytes):
    import ast

    return ast.literal_eval(offset.decode())


OPERATIONS = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 6), st.booleans(), st.booleans()),
    st.tuples(st.just("begin_line")),
    st.tuples(st.just("rename")),
    st.tuples(st.just("copy_and_cut"), st.booleans()),
    st.tuples(st.just("cut")),
    st.tuples(st.just("pump"), st.one_of(st.none(), st.integers(1, 4))),
    st.tuples(st.just("commit"), st.integers(1, 4)),
    st.tuples(st.just("kill")),
)


# More where there is time: CEPHEID_FILE_EXAMPLES=5000.
@settings(deadline=None, max_examples=int(os.environ.get("CEPHEID_FILE_EXAMPLES", "150")))
@given(operations=st.lists(OPERATIONS, max_size=25), chunk=st.sampled_from([7, 64, 100_000]))
def test_every_line_comes_once_and_in_order_whatever_happens_to_the_file(operations, chunk) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(folder, chunk)
        # What was rotated away before a first offset was committed is of nobody's concern.
        rig.write(1, False, False)
        rig.pump(None)
        rig.feed.commit()
        for name, *arguments in operations:
            if name == "commit":
                rig.feed.commit(*arguments)
            else:
                getattr(rig, name)(*arguments)
        if rig.partial:
            rig.write(1, False, False)
        rig.pump(None)
        rig.feed.commit()
        event(f"rotations={sum(name in ('rename', 'copy_and_cut') for name, *_ in operations)}")
        event(f"kills={sum(name == 'kill' for name, *_ in operations)}")
        try:
            # Of lines that are too long the beginning is kept: more than is allowed, less than all.
            assert [line[: LINE_MAX + 1] for line in rig.seen()] == [line[: LINE_MAX + 1] for line in rig.written]
        finally:
            rig.kill()


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("app.log.1", "app.log"),
        ("app.log-20260131", "app.log"),
        ("app.log.2026-01-31_10", "app.log"),
        ("app.log.old", "app.log"),
        ("app.log", None),
        ("app.log.1.gz", None),
        ("app.log.offset", None),
        (".1", None),
    ],
)
def test_names_of_rotated_files_are_known(name: str, of: str | None) -> None:
    assert rotated_name(name) == of


def test_a_file_that_was_rotated_away_unread_and_is_gone_is_told_of(tmp_path: Path, caplog) -> None:
    rig = Rig(str(tmp_path), 64)
    rig.write(3, False, False)
    rig.pump(1)
    rig.feed.commit()
    rig.kill()
    # Made before the old one is gone, so that it is given another number.
    Path(f"{rig.path}.new").write_text("anew\n")
    os.replace(f"{rig.path}.new", rig.path)
    rig.pump(None)
    rig.feed.commit()
    assert rig.seen()[-1] == "anew"
    assert "is gone" in caplog.text
    rig.kill()


def test_a_file_that_only_begins_like_the_one_before_is_another(tmp_path: Path) -> None:
    rig = Rig(str(tmp_path), 100_000)
    preface = "".join(f"preface {number}\n" for number in range(200))
    rig.append(f"{preface}first\n")
    rig.pump(None)
    rig.feed.commit()
    rig.kill()
    os.truncate(rig.path, 0)
    rig.append(f"{preface}other\nsecond\n")
    rig.pump(None)
    rig.feed.commit()
    assert len(preface) > 2 * 1024
    lines = preface.splitlines()
    assert rig.seen() == [*lines, "first", *lines, "other", "second"]
    rig.kill()


def test_dates_and_numbers_are_read_in_their_order(tmp_path: Path) -> None:
    for suffixes in (["-20260101", "-20260102", "-20260103"], [".10", ".9", ".1"]):
        folder = tmp_path / suffixes[0]
        folder.mkdir()
        rig = Rig(str(folder), 64)
        rig.write(1, False, False)
        rig.pump(None)
        rig.feed.commit()
        rig.kill()
        for suffix in suffixes:
            os.rename(rig.path, rig.path + suffix)
            rig.write(2, False, False)
        # The last word of a writer that still had the old file open makes its time the latest.
        os.utime(rig.path + suffixes[0])
        rig.pump(None)
        rig.feed.commit()
        assert rig.seen() == rig.written
        assert len(rig.written) == 7
        rig.kill()


def test_an_old_file_is_read_on_while_there_is_no_new_one(tmp_path: Path) -> None:
    rig = Rig(str(tmp_path), 64)
    rig.write(1, False, False)
    rig.pump(None)
    os.rename(rig.path, rig.path + ".1")
    rig.pump(None)
    with open(rig.path + ".1", "a") as file:
        file.write("late\n")
    rig.pump(None)
    rig.append("new\n")
    rig.pump(None)
    rig.feed.commit()
    assert rig.seen() == [*rig.written, "late", "new"]
    rig.kill()


def test_a_renamed_file_is_waited_for_until_it_is_quiet(tmp_path: Path) -> None:
    path = str(tmp_path / "app.log")
    Path(path).write_text("1\n")

    def reading(file, place):
        return LinesOfFile(file, TEXT, place, line_bytes_max=LINE_MAX)

    follower = Follower(path, reading, None, follow=True, rotate_wait=3600)

    def lines():
        return [row["line"] for _ in range(3) for piece in follower.step() for row in piece.data.to_pylist()]

    assert lines() == ["1"]
    os.rename(path, path + ".1")
    Path(path).write_text("3\n")
    assert lines() == []
    assert follower.idle
    with open(path + ".1", "a") as file:
        file.write("2\n")
    assert lines() == ["2"]
    follower._rotate_wait = 0
    assert lines() == ["3"]
    follower.close()
