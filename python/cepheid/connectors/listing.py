"""Which files of a directory a source may read."""

from __future__ import annotations

import fnmatch
import logging
import os
import time
from typing import NamedTuple, final

from cepheid.connectors.reading import unreadable

__all__ = ["Listing", "Named"]

_LOG = logging.getLogger("cepheid.connectors")
# Of how many files it is remembered that they were told of.
_TOLD_MAX = 1_000
# What is written within so many nanoseconds may have one time.
_ONE_TIME_NS = 100_000_000


class Named(NamedTuple):
    """A file of a directory.

    Attributes:
        name: What it is called there.
        path: Where it is opened: the file itself, if its name is a link.
        identity: What tells it from other files.
        modified: When it was written to last, in nanoseconds.
    """

    name: str
    path: str
    identity: tuple[int, int]
    modified: int


@final
class Listing:
    """The regular files of one directory whose names fit a pattern.

    A symbolic link counts if it leads to a file of the same directory that the pattern does not name itself; others are
    refused, so that a link cannot lead a source out of its directory.

    Args:
        folder: The directory.
        pattern: As a shell has it: ``*``, ``?``, ``[a-z]``; names that begin with a dot need one in it.
    """

    __slots__ = ("_changed", "_folder", "_found", "_looked", "_pattern", "_told")

    def __init__(self, folder: str, pattern: str) -> None:
        self._folder, self._pattern = folder, pattern
        self._told: set[str] = set()
        # What was found last, when that was, and when the directory had been changed last; None: it is not known.
        self._found: list[Named] | None = None
        self._looked, self._changed = 0.0, 0

    def files(self, *, known_for: float = 0.0) -> list[Named]:
        """The files that are there now, by name.

        Args:
            known_for: For how many seconds the list that was given last is given again, if the directory says that
                nothing has come or gone since. Not all file systems say so.

        Raises:
            AppError: The directory cannot be read (code ``source-file``).
        """
        found = []
        try:
            # Asked before it is looked through: what comes in between changes it again.
            changed = os.stat(self._folder).st_mtime_ns
            is_recent = time.monotonic() - self._looked < known_for
            if self._found is not None and is_recent and changed == self._changed:
                return self._found
            self._looked, self._changed = time.monotonic(), changed
            is_settled = time.time_ns() - changed > _ONE_TIME_NS
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if self._fits(entry.name) and (named := self._named(entry)) is not None:
                        found.append(named)
        except OSError as error:
            raise unreadable(self._folder, str(error)) from None
        found.sort()
        self._found = found if is_settled else None
        return found

    def path_of(self, name: str) -> str:
        """Where a file of the directory is, that may not be there; what is no name of one leads nowhere."""
        return os.path.join(self._folder, os.path.basename(name) or "-")

    def tell_once(self, name: str, reason: str) -> None:
        """Logs, once a file, why it is not read."""
        if name not in self._told and len(self._told) < _TOLD_MAX:
            self._told.add(name)
            _LOG.warning("%s in %s is not read: %s", name, self._folder, reason)

    def _fits(self, name: str) -> bool:
        hidden = name.startswith(".") and not self._pattern.startswith(".")
        return not hidden and fnmatch.fnmatchcase(name, self._pattern)

    def _named(self, entry: os.DirEntry[str]) -> Named | None:
        path = entry.path
        try:
            if entry.is_symlink():
                path = os.path.realpath(path)
                folder, name = os.path.split(path)
                if folder != os.path.realpath(self._folder):
                    self.tell_once(entry.name, "it is a link that leads out of the directory")
                    return None
                if self._fits(name):
                    return None
                if not os.path.isfile(path):
                    return None
            elif not entry.is_file(follow_symlinks=False):
                return None
            status = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            # It has gone meanwhile.
            return None
        return Named(entry.name, path, (status.st_dev, status.st_ino), status.st_mtime_ns)
