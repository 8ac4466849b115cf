"""A file that is read piece by piece, each piece with the place behind it; and the lines of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol, final

from cepheid.connectors.formats.line_format import Line, LineFormat, Rejected, Rows
from cepheid.errors import AppError

__all__ = ["LinesOfFile", "OpenFile", "Piece", "Reading", "opened"]

#: Where a file is left, as plain data for JSON.
Place = dict[str, Any]

# What tells a file from others: a hash of its first bytes, and one of the last that have been read.
HEAD_BYTES = 1024
TAIL_BYTES = 256
_BOM = b"\xef\xbb\xbf"
# What is kept of a line that is too long, for the dead letter.
_KEPT_OF_LONG = 4096


@final
@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file.

    Attributes:
        data: Rows; None where it is rejected.
        rejected: What is no row.
        place: Where the file is left after it.
    """

    data: Any
    rejected: Rejected | None
    place: Place


class Reading(Protocol):
    """A file that is being read."""

    @property
    def file(self) -> OpenFile:
        """The file."""

    @property
    def place(self) -> Place:
        """Where it has been left: behind the last piece."""

    @property
    def seen(self) -> Place:
        """A place behind all that has been read, also of what has not ended; nothing is to be read on from there."""

    def changed(self) -> bool:
        """Whether what has been read is no longer what stands there: the file has been cut short, or written anew."""

    def step(self) -> Iterator[Piece]:
        """Reads some of what comes next."""

    @property
    def at_end(self) -> bool:
        """Whether the last step found nothing more."""

    def finish(self) -> Iterator[Piece]:
        """Gives what has begun and not ended, when nothing will be added to the file: a line without an end."""


@final
class OpenFile:
    """A regular file, open to be read; it stays the same file when its name is given to another.

    Args:
        raw: The file.
        name: What it was opened by.
    """

    __slots__ = ("device", "inode", "name", "raw")

    def __init__(self, raw: BinaryIO, name: str) -> None:
        self.raw, self.name = raw, name
        status = os.fstat(raw.fileno())
        self.device, self.inode = status.st_dev, status.st_ino

    @property
    def identity(self) -> tuple[int, int]:
        """What tells it from other files that are there at the same time."""
        return self.device, self.inode

    def status(self) -> os.stat_result:
        """What the system says of it."""
        return os.fstat(self.raw.fileno())

    def read_at(self, place: int, size: int) -> bytes:
        """So many bytes from a place on, or what there is of them."""
        self.raw.seek(place)
        parts = []
        while size > 0 and (part := self.raw.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Closes it."""
        self.raw.close()


def opened(path: str, *, follow_links: bool = True) -> OpenFile | None:
    """Opens a regular file; None: there is none of that name.

    Args:
        path: Where it is.
        follow_links: Whether it may be a symbolic link.

    Raises:
        AppError: It is no regular file, or cannot be read (code ``source-file``).
    """
    # A pipe would keep whoever opens it waiting for its other end.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if not follow_links:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise unreadable(path, str(error)) from None
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise unreadable(path, "it is no regular file")
        stack.pop_all()
    return OpenFile(os.fdopen(descriptor, "rb", buffering=0), path)


def unreadable(path: str, reason: str) -> AppError:
    """The error for a file that a source cannot read."""
    return AppError(f"{path} cannot be read as a source: {reason}", code="source-file", hint=None)


def hashed(part: bytes) -> str:
    """What stands for bytes in an offset, so that an offset has none of them."""
    return hashlib.blake2b(part, digest_size=12).hexdigest()


def fits(file: OpenFile, place: Place) -> bool:
    """Whether a file begins as the one that was left at a place, up to there: it is that file, or a copy."""
    at = int(place["at"])
    tail = min(TAIL_BYTES, at)
    if file.status().st_size < at or not begins_as(file, place):
        return False
    return hashed(file.read_at(at - tail, tail)) == str(place["tail"])


def begins_as(file: OpenFile, place: Place) -> bool:
    """Whether the first bytes of a file are those of the one that was left at a place."""
    return hashed(file.read_at(0, min(HEAD_BYTES, int(place["at"])))) == str(place["head"])


@final
class LinesOfFile:
    """The lines of a file, read by a format. One piece is at most what one read of the file gives.

    Memory: one chunk, and `line_bytes_max`; with line breaks in values of CSV also a row.

    Args:
        file: The file.
        line_format: How its lines are read.
        place: Where it was left; None: from its beginning.
        line_bytes_max: Lines that are longer are rejected, and not kept.
        encoding: What its text is encoded in; a line break is one byte in it, as in all that hold ASCII.
        chunk_bytes: How much is read at once.
    """

    __slots__ = (
        "_at", "_chunk_bytes", "_encoding", "_head", "_line_bytes_max", "_long", "_modified", "_partial", "_place",
        "_read_to", "_reader", "_recent", "_recent_from", "_size", "at_end", "file",
    )  # fmt: skip

    def __init__(
        self,
        file: OpenFile,
        line_format: LineFormat,
        place: Place | None,
        *,
        line_bytes_max: int,
        encoding: str = "utf-8",
        chunk_bytes: int = 1 << 18,
    ) -> None:
        self.file = file
        self._line_bytes_max, self._chunk_bytes, self._encoding = line_bytes_max, chunk_bytes, encoding
        self._reader = line_format.reader(None if place is None else place.get("state"))
        self._at = self._read_to = 0 if place is None else int(place["at"])
        self._head = file.read_at(0, min(HEAD_BYTES, self._at))
        # The bytes that have been read last, back to 256 before the end of the last piece.
        self._recent_from = max(0, self._at - TAIL_BYTES)
        self._recent = file.read_at(self._recent_from, self._at - self._recent_from)
        # The line that has begun; and of one that is too long its beginning, while its end is looked for.
        self._partial = b""
        self._long: bytes | None = None
        # As they were before the last read: what is written of the file must not be later than what was read of it.
        self._size, self._modified = -1, file.status().st_mtime_ns
        self.at_end = False
        self._place = self._place_at(self._at)

    @property
    def place(self) -> Place:
        """Where it has been left: behind the last piece."""
        return self._place

    @property
    def seen(self) -> Place:
        """A place behind all that has been read."""
        return self._place_at(self._read_to)

    def changed(self) -> bool:
        """Whether what has been read is no longer what stands there."""
        status = self.file.status()
        if (status.st_size, status.st_mtime_ns) == (self._size, self._modified):
            return False
        tail = self._recent[-TAIL_BYTES:]
        if status.st_size < self._read_to or self.file.read_at(self._read_to - len(tail), len(tail)) != tail:
            return True
        self._size, self._modified = status.st_size, status.st_mtime_ns
        return False

    def step(self) -> Iterator[Piece]:
        """Reads a chunk of the file."""
        chunk = self.file.read_at(self._read_to, self._chunk_bytes)
        self.at_end = not chunk
        if len(self._head) < HEAD_BYTES and self._read_to == len(self._head):
            self._head += chunk[: HEAD_BYTES - len(self._head)]
        if chunk:
            yield from map(self._piece, self._items(chunk, False))
            self._forget()

    def finish(self) -> Iterator[Piece]:
        """Gives the line that has no end."""
        yield from map(self._piece, self._items(b"", True))

    def _items(self, chunk: bytes, last: bool) -> Iterator[Rows | Rejected]:
        started = self._read_to - len(self._partial)
        self._read_to += len(chunk)
        self._recent += chunk
        text = self._partial + chunk
        self._partial = b""
        if self._long is not None:
            place = text.find(b"\n")
            if place < 0 and not last:
                return
            # What was read up to the end of the line has not been kept.
            end = started + place + 1 if place >= 0 else self._read_to
            self._reader.skip()
            yield self._too_long(self._long, end)
            self._long = None
            started, text = end, text[place + 1 :] if place >= 0 else b""
        cut = len(text) if last else text.rfind(b"\n") + 1
        self._partial = text[cut:]
        payloads = text[:cut].split(b"\n")
        if not payloads[-1]:
            # What stands behind the last line break: nothing.
            payloads.pop()
        batch: list[Line] = []
        end = started
        for payload in payloads:
            start, end = end, min(end + len(payload) + 1, started + cut)
            if start == 0:
                payload = payload.removeprefix(_BOM)
            line = self._checked(payload, end)
            if isinstance(line, Rejected):
                yield from self._reader.read(batch, True)
                batch = []
                self._reader.skip()
                yield line
            else:
                batch.append(line)
        long = len(self._partial.removesuffix(b"\r")) > self._line_bytes_max
        # Before a place is given that is behind it, what has begun is given up.
        yield from self._reader.read(batch, last or long)
        if long:
            self._long, self._partial = self._partial[:_KEPT_OF_LONG], b""

    def _checked(self, payload: bytes, end: int) -> Line | Rejected:
        payload = payload.removesuffix(b"\r")
        if len(payload) > self._line_bytes_max:
            return self._too_long(payload[:_KEPT_OF_LONG], end)
        if payload.isascii():
            return payload, end
        try:
            text = payload.decode(self._encoding)
            return (payload if self._encoding == "utf-8" else text.encode()), end
        except UnicodeError:
            reason = f"the line is no text in {self._encoding}"
            return Rejected(payload, reason, code="bad-encoding", end=end)

    def _too_long(self, kept: bytes, end: int) -> Rejected:
        reason = f"the line has more than {self._line_bytes_max} bytes; what is kept of it is its beginning"
        return Rejected(kept, reason, code="line-too-long", end=end)

    def _piece(self, item: Rows | Rejected) -> Piece:
        self._at = item.end
        self._place = self._place_at(item.end)
        return Piece(None, item, self._place) if isinstance(item, Rejected) else Piece(item.data, None, self._place)

    def _place_at(self, end: int) -> Place:
        behind = end - self._recent_from
        place = {
            "device": self.file.device,
            "inode": self.file.inode,
            "modified": self._modified,
            "at": end,
            "head": hashed(self._head[: min(HEAD_BYTES, end)]),
            "tail": hashed(self._recent[max(0, behind - TAIL_BYTES) : behind]),
        }
        state = self._reader.state
        return place if state is None else {**place, "state": state}

    def _forget(self) -> None:
        """Bytes before those that a place may still be told by."""
        keep_from = max(0, (self._read_to if self._long is not None else self._at) - TAIL_BYTES)
        if keep_from > self._recent_from:
            self._recent = self._recent[keep_from - self._recent_from :]
            self._recent_from = keep_from
