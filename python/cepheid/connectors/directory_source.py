"""A directory whose files are read as they appear."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, final

from cepheid.connectors.arguments import (
    checked_number,
    checked_seconds,
    checked_source_name,
    checked_topic,
    read_offset,
    written_offset,
    wrong_option,
)
from cepheid.connectors.file_source import ReadingOf, checked_path, send_piece
from cepheid.connectors.formats import LineFormat
from cepheid.connectors.generations import Follower, rotated_name
from cepheid.connectors.listing import Listing, Named
from cepheid.connectors.protocol import Feed
from cepheid.connectors.reading import Place
from cepheid.errors import AppError
from cepheid.options import checked_flag

__all__ = ["DirectorySource"]

ORDERS = ("name", "mtime")


@final
class DirectorySource:
    """The files of a directory, read as they appear: each once, or followed like a `FileSource`.

    Read once, a file must be whole when it has its name: write it under another, and rename it. Files are read one
    after the other. In order of name, that a file has been read is known by the last name that was, so that later files
    must have later names; one that comes with an earlier name is not read, and the log says so. In order of time the
    names of those that have been read and are still there are remembered, up to `files_max`.

    Followed, all files are read at the same time, in turns; files that log rotation renames are known again. What is
    rotated and what is deleted goes on as in `FileSource`.

    Directories within are not read. Symbolic links that lead out of the directory are refused.

    Args:
        path: The directory. It must be there.
        pattern: Which names, as a shell has it: ``*.jsonl``, ``orders-*.csv``.
        format: As in `FileSource`. None: by the end of the pattern.
        topic: As in `FileSource`.
        follow: Whether files are followed. None: those of lines are, Parquet files are not. Files that were followed
            may be read once from there on; those that were read once are read anew if they are followed.
        watch: Whether to wait for more files. If not, `run` returns when those that are there have been read; they are
            not followed then.
        order: ``"name"`` or ``"mtime"``: in which order files are read once.
        poll: How often to look whether there is more.
        rotate_wait: As in `FileSource`.
        name: What offsets are saved under. None: ``directory:``, the path and the pattern.
        columns: As in `FileSource`.
        encoding: As in `FileSource`.
        line_bytes_max: As in `FileSource`.
        files_max: How many files may be followed, or remembered by name. What the offset of one takes is committed with
            each piece.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: A span of time is none (code ``invalid-duration``).
        AppError: Another argument fits no directory (code ``source-option``).

    Example:
        >>> from cepheid.connectors import DirectorySource
        >>> DirectorySource("incoming", "*.parquet", topic="order.created")
        DirectorySource('incoming', '*.parquet', format='parquet', topic='order.created')
    """

    __slots__ = (
        "_files_max",
        "_follow",
        "_listing",
        "_name",
        "_order",
        "_path",
        "_pattern",
        "_poll",
        "_reading",
        "_rotate_wait",
        "_topic",
        "_watch",
    )

    def __init__(
        self,
        path: str | os.PathLike[str],
        pattern: str = "*.jsonl",
        *,
        format: str | LineFormat | None = None,
        topic: str | None = None,
        follow: bool | None = None,
        watch: bool = True,
        order: str = "name",
        poll: Any = "250ms",
        rotate_wait: Any = "1s",
        name: str | None = None,
        columns: Any = None,
        encoding: str = "utf-8",
        line_bytes_max: str | int = "1MB",
        files_max: int = 256,
    ) -> None:
        self._path = checked_path(path)
        if not isinstance(pattern, str):
            raise TypeError(f"pattern is text, not {type(pattern).__name__}")
        if not pattern or "/" in pattern or os.sep in pattern or "\0" in pattern or len(pattern) > 255:
            raise wrong_option("pattern is of names in the directory, such as *.jsonl; it names no other directory")
        self._pattern = pattern
        self._reading = ReadingOf(pattern, format, columns, encoding, line_bytes_max)
        self._topic = checked_topic(topic)
        self._watch = checked_flag(watch, "watch")
        self._follow = not self._reading.is_whole and watch if follow is None else checked_flag(follow, "follow")
        if self._follow and not watch:
            raise wrong_option("files are followed only while the directory is watched: leave out watch=, or follow=")
        if self._follow and self._reading.is_whole:
            raise wrong_option("Parquet files are whole when they appear, and not followed: leave out follow=")
        if order not in ORDERS:
            raise wrong_option(f"order is one of {', '.join(ORDERS)}, not {str(order)[:100]!r}")
        self._order = order
        self._poll = checked_seconds(poll, "poll")
        self._rotate_wait = checked_seconds(rotate_wait, "rotate_wait", zero=True)
        self._name = f"directory:{self._path}/{pattern}" if name is None else checked_source_name(name)
        self._files_max = checked_number(files_max, "files_max", 1, 100_000)
        self._listing = Listing(self._path, pattern)

    @property
    def name(self) -> str:
        """What its offsets are saved under.

        Example:
            >>> from cepheid.connectors import DirectorySource
            >>> DirectorySource("incoming", "*.csv").name
            'directory:incoming/*.csv'
        """
        return self._name

    def run(self, feed: Feed) -> None:
        """Reads the files, and those that come, until the app stops; or those that are there, if it is not watched.

        Args:
            feed: Where their events go.

        Raises:
            AppError: The directory cannot be read (code ``source-file``), has more files than it may
                (code ``source-files``), or what is saved under the name is of another source (code ``source-offset``).
        """
        said = read_offset(feed.offset, self._name, "directory")
        topic = self._topic if self._topic is not None else self._reading.topic
        places: dict[str, Place] = {} if said is None else dict(said.get("files", {}))
        if self._follow:
            _Followed(self, feed, topic, places).run()
        else:
            _ReadOnce(self, feed, topic, None if said is None else said.get("done"), places).run()

    def __repr__(self) -> str:
        topic = "" if self._topic is None else f", topic={self._topic!r}"
        return f"DirectorySource({self._path!r}, {self._pattern!r}, format={self._reading.format_name!r}{topic})"


class _ReadOnce:
    """Files that are read one after the other."""

    def __init__(
        self, source: DirectorySource, feed: Feed, topic: str | None, done: Any, places: dict[str, Place]
    ) -> None:
        self._source, self._feed, self._topic, self._places = source, feed, topic, places
        # The last name that was read; or all of them that are there.
        self._last: str | None = done if isinstance(done, str) else None
        self._done: dict[str, None] = dict.fromkeys(done) if isinstance(done, list) else {}
        self._by_name = source._order == "name"
        # Names up to the last that was read, when the directory was looked at last.
        self._passed: set[str] = set()
        # The files that were there then, and those of them that are to be read.
        self._listed: list[Named] | None = None
        self._waiting: deque[Named] = deque()

    def run(self) -> None:
        feed, source = self._feed, self._source
        while not feed.stopping:
            named = self._next()
            if named is not None:
                self._read(named)
            elif not source._watch:
                return
            else:
                feed.wait(source._poll)

    def _next(self) -> Named | None:
        source = self._source
        # While some wait there is no need to look through all of them for each; that there are none is seen anew.
        files = source._listing.files(known_for=source._poll if self._waiting else 0.0)
        if files is not self._listed:
            self._waiting = deque(self._to_read(files))
            self._listed = files
        if len(self._done) > source._files_max:
            raise too_many(source, "remembered; move those that have been read elsewhere, or raise files_max=")
        return self._waiting.popleft() if self._waiting else None

    def _to_read(self, files: list[Named]) -> list[Named]:
        """The files that are to be read, in order; those that have been begun come first."""
        begun = [named for named in files if named.name in self._places]
        if self._by_name:
            self._tell_of_late(files)
            last = max((self._last or "", *(named.name for named in begun)))
            return [*begun, *(named for named in files if named.name > last)]
        # Names of files that have been moved away may come again.
        there = {named.name for named in files}
        self._done = {name: None for name in self._done if name in there}
        waiting = [named for named in files if named.name not in self._done and named.name not in self._places]
        return [*begun, *sorted(waiting, key=lambda named: (named.modified, named.name))]

    def _tell_of_late(self, files: list[Named]) -> None:
        last = self._last
        passed = set() if last is None else {named.name for named in files if named.name <= last}
        for name in passed - self._passed if self._listed is not None else ():
            reason = f"files are read in order of name, and {last} has been read before it came"
            self._source._listing.tell_once(name, reason)
        self._passed = passed

    def _read(self, named: Named) -> None:
        source, feed = self._source, self._feed
        place = self._places.get(named.name)
        follower: Follower | None = None
        try:
            follower = Follower(named.path, source._reading, place, follow=False, rotate_wait=0, follow_links=False)
            while not follower.over:
                for piece in follower.step():
                    self._places[named.name] = piece.place
                    if not send_piece(feed, piece, self._topic, self._offset()):
                        return
        except AppError as error:
            if error.code != "source-file":
                raise
            self._finish(named)
            reason = f"the file {named.name} cannot be read"
            feed.reject(named.name.encode(errors="replace"), reason, code="bad-file", offset=self._offset())
            return
        finally:
            if follower is not None:
                follower.close()
        self._finish(named)

    def _finish(self, named: Named) -> None:
        self._places.pop(named.name, None)
        if self._by_name:
            self._last = named.name if self._last is None else max(self._last, named.name)
            self._passed.add(named.name)
        else:
            self._done[named.name] = None

    def _offset(self) -> bytes:
        done: Any = self._last if self._by_name else list(self._done)
        return written_offset("directory", done=done, files=self._places)


class _Followed:
    """Files that are followed, in turns."""

    def __init__(self, source: DirectorySource, feed: Feed, topic: str | None, places: dict[str, Place]) -> None:
        self._source, self._feed, self._topic = source, feed, topic
        # Where files were left of which nobody knows yet what has become of them.
        self._places = places
        self._followers: dict[str, Follower] = {}
        self._missing: dict[str, float] = {}
        # Where files were left that have gone, while there are some that log rotation has made of them.
        self._gone: dict[str, Place] = {}

    def run(self) -> None:
        feed, source = self._feed, self._source
        looked: float | None = None
        try:
            while not feed.stopping:
                if looked is None or time.monotonic() - looked >= source._poll:
                    self._look()
                    looked = time.monotonic()
                idle = True
                for name in sorted(self._followers):
                    if not self._step(name):
                        return
                    idle &= name not in self._followers or self._followers[name].idle
                if idle:
                    feed.wait(source._poll)
        finally:
            for follower in self._followers.values():
                follower.close()

    def _step(self, name: str) -> bool:
        """Reads some of a file; whether to go on."""
        follower = self._followers[name]
        try:
            if not self._send(follower.step()):
                return False
        except AppError as error:
            if error.code != "source-file":
                raise
            # One that cannot be read does not hold up the others; it is tried again when the directory is looked at.
            self._source._listing.tell_once(name, error.message)
            self._drop(name)
            return True
        if follower.idle and self._is_gone(name):
            if not self._send(follower.finish()):
                return False
            self._drop(name)
        return True

    def _drop(self, name: str) -> None:
        follower = self._followers.pop(name)
        follower.close()
        if follower.place is not None:
            self._gone[name] = follower.place

    def _send(self, pieces: Iterator[Any]) -> bool:
        """Sends what a file gives; whether to go on."""
        return all(send_piece(self._feed, piece, self._topic, self._offset()) for piece in pieces)

    def _offset(self) -> bytes:
        places = {name: follower.place for name, follower in self._followers.items()}
        known = {name: place for name, place in places.items() if place is not None}
        return written_offset("directory", files={**self._places, **self._gone, **known})

    def _look(self) -> None:
        """Begins to follow files that have come, and takes note of those that have gone."""
        files = self._source._listing.files()
        there = {named.name: named for named in files}
        rotated = {rotated_name(name) for name in there}
        self._gone = {name: place for name, place in self._gone.items() if name in rotated or name in there}
        known = {*self._followers, *self._places, *self._gone}
        held = {follower.identity: name for name, follower in self._followers.items() if follower.identity is not None}
        for named in files:
            if named.name in self._followers or rotated_name(named.name) in known:
                # What is rotated is read under the name that it had.
                continue
            if (holder := held.get(named.identity)) is not None:
                if holder not in there:
                    self._followers[named.name] = self._followers.pop(holder)
                    self._followers[named.name].renamed(named.path)
                continue
            self._begin(named.name, named.path, self._left(named))
        for name in list(self._places):
            self._begin(name, self._source._listing.path_of(name), self._places.pop(name))
        now = time.monotonic()
        self._missing = {name: self._missing.get(name, now) for name in self._followers if name not in there}

    def _left(self, named: Named) -> Place | None:
        """Where a file was left, by its name or by what it was called before."""
        for places in (self._places, self._gone):
            if named.name in places:
                return places.pop(named.name)
        for name, place in self._places.items():
            if (place.get("device"), place.get("inode")) == named.identity:
                return self._places.pop(name)
        return None

    def _begin(self, name: str, path: str, place: Place | None) -> None:
        source = self._source
        if len(self._followers) >= source._files_max:
            raise too_many(source, "followed; move those that are no longer written to elsewhere, or raise files_max=")
        try:
            self._followers[name] = Follower(
                path, source._reading, place, follow=True, rotate_wait=source._rotate_wait, follow_links=False
            )
        except AppError as error:
            if error.code != "source-file":
                raise
            source._listing.tell_once(name, error.message)
            if place is not None:
                # It is gone on with there once it can be opened.
                self._gone[name] = place

    def _is_gone(self, name: str) -> bool:
        since = self._missing.get(name)
        return since is not None and time.monotonic() - since >= self._source._rotate_wait


def too_many(source: DirectorySource, what: str) -> AppError:
    """The error for a directory with more files than a source can have in hand."""
    return AppError(
        f"{source._path} has more than {source._files_max} files that would have to be {what}",
        code="source-files",
        source=source.name,
    )
