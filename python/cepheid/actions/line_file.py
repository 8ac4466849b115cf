"""A file of lines, each whole or not there, and the keys of its last ones."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import final

from cepheid.actions.sqlite_file import application_id
from cepheid.errors import ActionError

if sys.platform != "win32":
    import fcntl

__all__ = ["LineFile"]

_BLOCK_BYTES = 65_536
# So much of the end of a file is looked through for keys, however long its lines are.
_TAIL_BYTES_MAX = 256 * 2**20
_SQLITE = b"SQLite format 3\0"


@final
class LineFile:
    """A file that is open to be appended to. One thread at a time uses it.

    Args:
        path: Where it is; made if it is not there, with its entry in the folder on the disk.
        fsync: Whether a line is on the disk when it has been appended.
        keys_kept: Of how many lines the keys are known.
        key_of: The key in a line; None: it has none.

    Raises:
        OSError: It cannot be opened.
        ActionError: Another process has it (code ``file-failed``), or it is a database (``file-refused``, permanent).
    """

    __slots__ = ("_descriptor", "_fsync", "_key_of", "_keys", "_keys_kept", "_path", "_size")

    def __init__(self, path: str, fsync: bool, keys_kept: int, key_of: Callable[[bytes], str | None]) -> None:
        self._path, self._fsync, self._keys_kept, self._key_of = path, fsync, keys_kept, key_of
        self._keys: OrderedDict[str, None] = OrderedDict()
        # Not even opened: to close it would let go of the locks that SQLite has on it in this process.
        if os.path.exists(os.path.realpath(path) + "-writer") or application_id(path) is not None:
            raise _database(path)
        binary = getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | binary, 0o666)
        try:
            self._lock()
            self._size = os.fstat(self._descriptor).st_size
            if self._read(0, len(_SQLITE)) == _SQLITE:
                raise _database(path)
            self._cut_torn_line()
            if self._size == 0 and fsync:
                _sync_folder(path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ActionError(f"another process appends to {self._path}", code="file-failed") from None

    def _read(self, start: int, count: int) -> bytes:
        os.lseek(self._descriptor, start, os.SEEK_SET)
        read = bytearray()
        while len(read) < count and (part := os.read(self._descriptor, count - len(read))):
            read += part
        return bytes(read)

    def _cut_torn_line(self) -> None:
        """A last line without its end was being written when the process or the machine stopped."""
        end = self._size
        while end > 0:
            start = max(end - _BLOCK_BYTES, 0)
            at = self._read(start, end - start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
        if end < self._size:
            os.ftruncate(self._descriptor, end)
            self._size = end

    def first_line(self) -> bytes | None:
        """Its first line, as far as 64 KiB go; None: it is empty."""
        return self._read(0, min(self._size, _BLOCK_BYTES)).partition(b"\n")[0] if self._size else None

    def read_keys(self) -> None:
        """Reads the keys of its last lines."""
        start, lines, tail = self._size, 0, [b""]
        while start > 0 and lines <= self._keys_kept and self._size - start < _TAIL_BYTES_MAX:
            size = min(_BLOCK_BYTES, start)
            start -= size
            tail.append(self._read(start, size))
            lines += tail[-1].count(b"\n")
        last = b"".join(reversed(tail)).split(b"\n")[-self._keys_kept - 1 : -1]
        for line in last:
            if (key := self._key_of(line)) is not None:
                self._remember(key)

    def has(self, key: str) -> bool:
        """Whether an event of this key is among its last lines."""
        return key in self._keys

    def is_there(self) -> bool:
        """Whether the file is still where it was opened, and as long as it was left."""
        try:
            there, own = os.stat(self._path), os.fstat(self._descriptor)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino, there.st_size) == (own.st_dev, own.st_ino, self._size)

    def append(self, line: bytes, key: str | None) -> None:
        """Appends a line, wholly or not at all.

        Raises:
            OSError: It could not be written. What was written of it has been cut off.
        """
        try:
            written = 0
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
            if self._fsync:
                os.fsync(self._descriptor)
        except BaseException:
            # After a sync that fails nobody knows what is on the disk: written anew, it is synced anew.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(line)
        if key is not None:
            self._remember(key)

    def _remember(self, key: str) -> None:
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > self._keys_kept:
            self._keys.popitem(last=False)

    def close(self) -> None:
        """Closes it, and lets others have it."""
        os.close(self._descriptor)


def _sync_folder(path: str) -> None:
    if sys.platform == "win32":
        return
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _database(path: str) -> ActionError:
    return ActionError(f"{path} is a database, and no file of lines", code="file-refused", permanent=True)
