"""What becomes of a file that is written to for long: it is renamed, copied and cut short, and begun anew."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, final

from cepheid.connectors.reading import OpenFile, Piece, Place, Reading, begins_as, fits, opened, unreadable

__all__ = ["Follower", "rotated_name"]

_LOG = logging.getLogger("cepheid.connectors")

# What log rotation puts behind a name: a number, a date, or a word; nothing that says that it has been compressed.
_SUFFIX = re.compile(r"[._-](\d[\dT:._-]*|old|prev)")
_NUMBER_DIGITS_MAX = 5

Open = Callable[[OpenFile, "Place | None"], Reading]


def rotated_name(name: str) -> str | None:
    """The name of the file that a file was before it was rotated, by its name; None: it does not look rotated.

    Example:
        >>> from cepheid.connectors.generations import rotated_name
        >>> rotated_name("app.log.1"), rotated_name("app.log-20260131"), rotated_name("app.log.1.gz")
        ('app.log', 'app.log', None)
    """
    for match in re.finditer(r"[._-]", name):
        if match.start() and _SUFFIX.fullmatch(name, match.start()):
            return name[: match.start()]
    return None


class _Older(NamedTuple):
    """A file that was under the name before."""

    path: str
    identity: tuple[int, int]
    modified: int


@final
class Follower:
    """Reads a file, and goes on with the next of its name when it is rotated.

    - Renamed: the old file is read to its end, until nothing has been added to it for `rotate_wait`; then those that
      came between, and then the new one.
    - Copied and cut short: the rest is read from the copy, if it is there.
    - Written anew: it is read from its beginning.
    - Missing: it is waited for.

    Args:
        path: Where the file is.
        open_reading: Makes what reads an open file.
        place: Where a file of this name was left; None: nothing of it has been read.
        follow: Whether to go on at the end of the file.
        rotate_wait: Seconds.
        follow_links: Whether the path may be a symbolic link.
    """

    __slots__ = (
        "_follow", "_follow_links", "_left", "_open", "_path", "_quiet_since", "_reading", "_rotate_wait", "idle",
        "over",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        open_reading: Open,
        place: Place | None,
        *,
        follow: bool,
        rotate_wait: float,
        follow_links: bool = True,
    ) -> None:
        self._path, self._open = path, open_reading
        self._follow, self._rotate_wait, self._follow_links = follow, rotate_wait, follow_links
        self._reading: Reading | None = None
        # Where the file was left that was read before, or is not open yet.
        self._left = place
        self._quiet_since: float | None = None
        # Whether there was nothing more to read; and whether nothing more will come.
        self.idle = self.over = False
        if place is not None:
            self._reading = self._found_again(place)

    def renamed(self, path: str) -> None:
        """Says that the file that is open has another name, which is followed from now on."""
        self._path = path

    @property
    def identity(self) -> tuple[int, int] | None:
        """What tells the file that is open from others."""
        return None if self._reading is None else self._reading.file.identity

    @property
    def place(self) -> Place | None:
        """Where the file was left; None: nothing of it has been read."""
        return self._left if self._reading is None else self._reading.place

    def finish(self) -> Iterator[Piece]:
        """Gives what has begun and not ended, as nothing will be added to the file."""
        if self._reading is not None:
            yield from self._reading.finish()

    def close(self) -> None:
        """Closes the file."""
        if self._reading is not None:
            self._left = self._reading.place
            self._reading.file.close()
            self._reading = None

    def step(self) -> Iterator[Piece]:
        """Gives some of what comes next, if there is something; `idle` says then that it is to be waited for."""
        self.idle = False
        reading = self._reading
        if reading is None:
            self._reading = reading = self._next(self._left)
            if reading is None:
                self.idle, self.over = True, not self._follow
                return
        if reading.changed():
            yield from self._begun_anew(reading)
            return
        yield from reading.step()
        if not reading.at_end:
            self._quiet_since = None
            return
        is_present = _identity(self._path) == reading.file.identity
        if is_present and self._follow:
            self._quiet_since, self.idle = None, True
            return
        if not is_present and not self._has_ended(reading):
            self.idle = True
            return
        yield from reading.finish()
        following = None if is_present else self._next(reading.place)
        if following is not None:
            reading.file.close()
            self._reading, self._quiet_since = following, None
        else:
            self.idle, self.over = True, not self._follow

    def _has_ended(self, reading: Reading) -> bool:
        """Whether a file that has lost its name will hardly be written to again, and there is one to go on with."""
        if not self._follow:
            return True
        if self._quiet_since is None:
            self._quiet_since = time.monotonic()
            if self._rotate_wait:
                return False
        # What was written before the last read has been read: it came to the end after the wait.
        is_quiet = time.monotonic() - self._quiet_since >= self._rotate_wait
        return is_quiet and self._successor(reading.place) is not None

    def _begun_anew(self, reading: Reading) -> Iterator[Piece]:
        """Goes on after the file was cut short or written over: with a copy of what it was, or from its beginning."""
        seen = reading.seen
        copy = self._copy_of(seen)
        if copy is not None:
            following = self._open(copy, reading.place)
        else:
            # What had begun ends here.
            yield from reading.finish()
            following = self._from_beginning(reading.file, seen)
        if following.file is not reading.file:
            reading.file.close()
        self._reading, self._quiet_since = following, None

    def _from_beginning(self, file: OpenFile, seen: Place) -> Reading:
        """A file that has been cut short, from its beginning; or what was rotated before that."""
        _LOG.warning("%s has been cut short or written anew; it is read from its beginning", self._path)
        listed = self._older()
        present = [number for number, older in enumerate(listed) if older.identity == file.identity]
        # If the file has been renamed since, what came before it under the name is what was rotated before.
        for older in self._unseen(listed[: present[0]] if present else listed, seen):
            before = self._opened(older.path)
            if before is not None and before.identity == older.identity:
                return self._open(before, None)
            if before is not None:
                before.close()
        return self._open(file, None)

    def _found_again(self, place: Place) -> Reading | None:
        """The file that was left at a place, open there; None: what comes next is read from its beginning."""
        identity = place["device"], place["inode"]
        older = self._older()
        copies: list[str] = []
        for path in [self._path, *(file.path for file in reversed(older))]:
            file = self._opened(path)
            if file is None:
                continue
            if fits(file, place):
                if file.identity == identity:
                    return self._open(file, place)
                copies.append(path)
            elif file.identity == identity:
                copy = self._copy_of(place)
                reading = self._from_beginning(file, place) if copy is None else self._open(copy, place)
                if reading.file is not file:
                    file.close()
                return reading
            file.close()
        for path in copies:
            file = self._opened(path)
            if file is not None and fits(file, place):
                return self._open(file, place)
            if file is not None:
                file.close()
        _LOG.warning("what had been read of %s is gone; what came after it is read, if it is there", self._path)
        return None

    def _copy_of(self, place: Place) -> OpenFile | None:
        """A file beside the path that holds what was read, and perhaps more: log rotation has copied it."""
        # Of nothing everything is a copy.
        for older in reversed(self._older() if place["at"] else []):
            if older.modified < place["modified"] or older.identity == (place["device"], place["inode"]):
                continue
            file = self._opened(older.path)
            if file is not None and fits(file, place):
                return file
            if file is not None:
                file.close()
        return None

    def _next(self, place: Place | None) -> Reading | None:
        """The file after the one left at a place, open at its beginning; None: there is none yet."""
        # What is listed may have another name by the time that it is opened.
        for _ in range(3):
            following = (self._path, _identity(self._path)) if place is None else self._successor(place)
            if following is None or following[1] is None:
                return None
            file = self._opened(following[0])
            if file is not None and file.identity == following[1]:
                return self._open(file, None)
            if file is not None:
                file.close()
        return None

    def _successor(self, place: Place) -> tuple[str, tuple[int, int] | None] | None:
        """Which file comes after the one left at a place: its path and identity; None: there is none yet."""
        identity = place["device"], place["inode"]
        older = self._older()
        places = [number for number, file in enumerate(older) if file.identity == identity]
        after = older[places[0] + 1 :] if places else self._unseen(older, place)
        for file in after:
            return file.path, file.identity
        present = _identity(self._path)
        return None if present is None or present == identity else (self._path, present)

    def _unseen(self, older: list[_Older], place: Place) -> list[_Older]:
        """Those that were begun after the file that was left at a place, where that is not among them."""
        found = []
        for candidate in older:
            if candidate.modified <= place["modified"] or candidate.identity == (place["device"], place["inode"]):
                continue
            file = self._opened(candidate.path)
            if file is None:
                continue
            # A copy that lacks what was written while it was made begins as the file did that was read.
            if not begins_as(file, place):
                found.append(candidate)
            file.close()
        return found

    def _older(self) -> list[_Older]:
        """The files that were under the name before, from the oldest on."""
        folder, name = os.path.split(self._path)
        dated: list[tuple[str, _Older]] = []
        numbered: list[tuple[int, _Older]] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(folder or ".") as entries:
            for entry in entries:
                suffix = _SUFFIX.fullmatch(entry.name, len(name)) if entry.name.startswith(name) else None
                if suffix is None or not entry.is_file(follow_symlinks=False):
                    continue
                try:
                    status = os.stat(entry.path, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                older = _Older(entry.path, (status.st_dev, status.st_ino), status.st_mtime_ns)
                if suffix[1].isdigit() and len(suffix[1]) <= _NUMBER_DIGITS_MAX:
                    numbered.append((-int(suffix[1]), older))
                else:
                    dated.append((suffix[1], older))
        return [older for _, older in sorted(dated)] + [older for _, older in sorted(numbered)]

    def _opened(self, path: str) -> OpenFile | None:
        return opened(path, follow_links=self._follow_links and path == self._path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise unreadable(path, str(error)) from None
    return status.st_dev, status.st_ino
