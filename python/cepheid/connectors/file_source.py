"""A file that is followed."""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Callable
from typing import Any, final

from cepheid.connectors.arguments import (
    checked_bytes,
    checked_seconds,
    checked_source_name,
    checked_topic,
    read_offset,
    written_offset,
    wrong_option,
)
from cepheid.connectors.formats import FORMATS, SUFFIXES, CsvLines, LineFormat
from cepheid.connectors.generations import Follower
from cepheid.connectors.parquet_reading import ParquetReading
from cepheid.connectors.protocol import Feed
from cepheid.connectors.reading import LinesOfFile, OpenFile, Piece, Place, Reading, unreadable
from cepheid.errors import AppError, CepheidError
from cepheid.names import nearest_name
from cepheid.options import checked_flag

__all__ = ["FileSource"]

# A line break must be one byte, and ASCII stand for itself, so that lines can be told before they are decoded.
_ASCII = bytes(range(128))


@final
class FileSource:
    """A file that is read, and then followed: what is written to it goes on to the app.

    It goes on where it was left when the app last committed, also when the file has been rotated since. A line that has
    not ended waits. Lines that cannot be read go to dead letters, and do not hold up the others.

    - Renamed (``app.log.1``, ``app.log-20260131``): the old file is read to its end, then those between, then the new.
    - Copied and cut short: the rest is read from the copy. Without a copy, what had not been read is lost.
    - Written anew in place: it is read from its beginning. Seen if what had been read is no longer there.
    - Deleted, moved away or compressed before it was read to its end: the rest is lost, if that happens while the
      source does not run.

    Args:
        path: The file. It may appear later, if it is followed.
        format: ``"jsonl"``, ``"csv"``, ``"parquet"``, ``"syslog"``, ``"apache"``, or a `LineFormat`. None: by the end
            of the name.
        topic: The type of all events. None: what the format says (``syslog.line``, ``apache.request``), or each event.
        follow: Whether to go on at the end of the file. If not, a last line without an end counts.
        poll: How often to look whether more has come.
        rotate_wait: How long nothing must have been added to a file that has been renamed, before the next is read.
        name: What offsets are saved under. None: ``file:`` and the path.
        columns: Of CSV: the types of columns, by name; the others are text.
        encoding: What the text is encoded in; any encoding in which ASCII stands for itself.
        line_bytes_max: Lines that are longer go to dead letters, cut to 4,096 bytes.

    Raises:
        TypeError: An argument is of the wrong type.
        PatternError: A span of time is none (code ``invalid-duration``).
        AppError: Another argument fits no file (code ``source-option``).

    Example:
        >>> from cepheid.connectors import FileSource
        >>> FileSource("orders.jsonl", topic="order.created")
        FileSource('orders.jsonl', format='jsonl', topic='order.created')
    """

    __slots__ = ("_follow", "_format", "_name", "_path", "_poll", "_reading", "_rotate_wait", "_topic")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | LineFormat | None = None,
        topic: str | None = None,
        follow: bool = True,
        poll: Any = "250ms",
        rotate_wait: Any = "1s",
        name: str | None = None,
        columns: Any = None,
        encoding: str = "utf-8",
        line_bytes_max: str | int = "1MB",
    ) -> None:
        self._path = checked_path(path)
        self._reading = ReadingOf(self._path, format, columns, encoding, line_bytes_max)
        self._topic = checked_topic(topic)
        self._follow = checked_flag(follow, "follow")
        self._poll = checked_seconds(poll, "poll")
        self._rotate_wait = checked_seconds(rotate_wait, "rotate_wait", zero=True)
        self._name = f"file:{self._path}" if name is None else checked_source_name(name)

    @property
    def name(self) -> str:
        """What its offsets are saved under.

        Example:
            >>> from cepheid.connectors import FileSource
            >>> FileSource("orders.jsonl").name
            'file:orders.jsonl'
        """
        return self._name

    def run(self, feed: Feed) -> None:
        """Reads the file, and follows it until the app stops; or to its end, if it is not followed.

        Args:
            feed: Where its events go.

        Raises:
            AppError: The file cannot be read, is no regular file, or is not there and not followed (code
                ``source-file``); or what is saved under the name is of another source (code ``source-offset``).
        """
        said = read_offset(feed.offset, self._name, "file")
        place = None if said is None else said.get("place")
        follower = Follower(self._path, self._reading, place, follow=self._follow, rotate_wait=self._rotate_wait)
        if not self._follow and place is None and not os.path.exists(self._path):
            raise unreadable(self._path, "there is no such file")
        topic = self._topic if self._topic is not None else self._reading.topic
        with contextlib.closing(follower):
            while not feed.stopping and not follower.over:
                for piece in follower.step():
                    if not send_piece(feed, piece, topic, written_offset("file", place=piece.place)):
                        return
                if follower.idle and not follower.over:
                    feed.wait(self._poll)

    def __repr__(self) -> str:
        topic = "" if self._topic is None else f", topic={self._topic!r}"
        return f"FileSource({self._path!r}, format={self._reading.format_name!r}{topic})"


@final
class ReadingOf:
    """Makes what reads a file, by the arguments that sources of files share.

    Args:
        path: The path, or a pattern of names, whose end says the format where none is said.
        line_format: The format.
        columns: The types of CSV columns.
        encoding: The encoding.
        line_bytes_max: How long lines may be.
    """

    __slots__ = ("_encoding", "_format", "_line_bytes_max", "format_name")

    def __init__(self, path: str, line_format: Any, columns: Any, encoding: str, line_bytes_max: str | int) -> None:
        self._line_bytes_max = checked_bytes(line_bytes_max, "line_bytes_max")
        self._encoding = _checked_encoding(encoding)
        if line_format is None:
            line_format = SUFFIXES.get(os.path.splitext(path)[1].lower())
            if line_format is None:
                raise wrong_option(
                    f"the end of {path} does not say what is in the file; say format=, one of {', '.join(_names())}"
                )
        self._format: LineFormat | None = None
        if not isinstance(line_format, str):
            if not isinstance(line_format, LineFormat):
                raise TypeError(f"format is the name of one, or a LineFormat, not {type(line_format).__name__}")
            self._format, self.format_name = line_format, type(line_format).__name__
        else:
            self.format_name = line_format
            if line_format in FORMATS:
                # `columns` is checked by the format that knows them.
                made: Callable[[], LineFormat] = FORMATS[line_format]
                self._format = CsvLines(columns=columns) if line_format == "csv" else made()
            elif line_format != "parquet":
                raise AppError(
                    f"there is no format {line_format[:100]!r}; there are {', '.join(_names())}",
                    code="source-option",
                    known=_names(),
                    hint=nearest_name(line_format, _names()),
                )
        if columns is not None and line_format != "csv":
            raise wrong_option("columns= says the types of CSV columns; of a CsvLines, say them there")

    @property
    def topic(self) -> str | None:
        """The topic of rows where none is said."""
        return None if self._format is None else self._format.topic

    @property
    def is_whole(self) -> bool:
        """Whether a file is complete when it appears."""
        return self._format is None

    def __call__(self, file: OpenFile, place: Place | None) -> Reading:
        if self._format is None:
            return ParquetReading(file, place)
        return LinesOfFile(file, self._format, place, line_bytes_max=self._line_bytes_max, encoding=self._encoding)


def send_piece(feed: Feed, piece: Piece, topic: str | None, offset: bytes) -> bool:
    """Sends a piece of a file to an app, or to its dead letters; whether to go on."""
    rejected = piece.rejected
    try:
        if rejected is None:
            feed.send(piece.data, topic=topic, offset=offset)
        else:
            feed.reject(rejected.payload, rejected.reason, code=rejected.code, topic=topic, offset=offset)
    except CepheidError:
        # An app that stops takes nothing; what was not taken is read again.
        if not feed.stopping:
            raise
    return not feed.stopping


def checked_path(path: Any) -> str:
    """A path as text.

    Raises:
        TypeError: It is none.
        AppError: It is empty, or has a NUL (code ``source-option``).
    """
    try:
        text = os.fspath(path)
    except TypeError:
        raise TypeError(f"a path is text or a Path, not {type(path).__name__}") from None
    if not isinstance(text, str):
        raise TypeError(f"a path is text or a Path, not {type(text).__name__}")
    if not text or "\0" in text:
        raise wrong_option("a path is empty, or has a NUL")
    return text


def _checked_encoding(encoding: Any) -> str:
    if not isinstance(encoding, str):
        raise TypeError(f"encoding is the name of one, not {type(encoding).__name__}")
    try:
        name = codecs.lookup(encoding).name
        fits = _ASCII.decode(name) == _ASCII.decode("ascii") and "\n".encode(name) == b"\n"
    except (LookupError, ValueError, AttributeError, TypeError):
        name, fits = encoding, False
    # The mark at the beginning of a file is left out in any case.
    if name == "utf-8-sig":
        return "utf-8"
    # These say with ASCII characters how what follows is meant.
    if not fits or name.startswith("iso2022"):
        raise wrong_option(
            f"encoding {encoding[:100]!r} is none in which ASCII stands for itself, such as utf-8 and latin-1; "
            "convert the file before"
        )
    return name


def _names() -> list[str]:
    return sorted([*FORMATS, "parquet"])
