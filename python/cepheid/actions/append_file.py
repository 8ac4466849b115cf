"""Files that grow by a line an event."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, final
from urllib.parse import quote

from cepheid.actions.checking import checked_name, checked_texts, invalid_action, missing_column
from cepheid.actions.event_json import json_bytes, text_of
from cepheid.actions.line_file import LineFile
from cepheid.actions.template import Template
from cepheid.errors import ActionError
from cepheid.names import invalid_choice
from cepheid.options import checked_flag

if TYPE_CHECKING:
    from cepheid.actions.protocol import ActionContext

__all__ = ["AppendFile"]

_KEY = "idempotencykey"
_FILES_MAX = 64
_PART_BYTES_MAX = 150
_FIRST_VALUE = re.compile(r'"((?:[^"]|"")*)"(?:,|$)|([^",]*)(?:,|$)')
# What SQLite and the store have beside a database.
_NOT_LINES = ("-journal", "-shm", "-wal", "-writer")


@final
class AppendFile:
    r"""Appends a line to a file for each event: JSON or CSV, each with the idempotency key in ``idempotencykey``.

    - **Once**: an event whose key is among the last lines is not written again. When a file is opened the keys of its
      last lines are read, and a last line that was not written to its end is cut off; so after a crash each event is
      there once. That holds for as many lines as `keys_kept` says.
    - **Durable**: with `fsync` a line is on the disk when the call returns. If the disk is full or does not take it, no
      part of the line remains, and the event is tried again.
    - **One writer**: a file is locked while it is open (not on Windows); a second process is refused, and tries again.
    - **Rotation**: a file that has been moved away is noticed, and a new one begun.
    - **Limits**: lines are written one after the other. With columns in the path 64 files are open at most; the one
      that has been silent for longest is closed first.

    A path may have columns: ``"out/{type}.jsonl"``. Values make names of files and never of folders: all but letters,
    digits, ``-``, ``_`` and ``~`` and dots that are not at the beginning is written as ``%`` and two digits. What is
    made stays below the folder that the path begins with, links included.

    CSV has a line for the names of the columns first, and one line an event: line breaks in values are written as
    ``\n``. Values are written as they are; a spreadsheet may take one that begins with ``=`` for a formula.

    Args:
        path: The file.
        format: ``"jsonl"`` or ``"csv"``.
        columns: The columns that are written. None: all; for CSV those of the file, or of its first event.
        fsync: Whether a line is on the disk when the call returns.
        keys_kept: Of how many lines the keys are known.
        name: The name of the action. None: ``file:`` and the path.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: An argument says something impossible (code ``invalid-action``).

    Example:
        >>> from cepheid.actions import AppendFile
        >>> AppendFile("out/{type}.jsonl")
        AppendFile('out/{type}.jsonl', format='jsonl', name='file:out/{type}.jsonl')
    """

    __slots__ = ("_columns", "_files", "_format", "_fsync", "_headers", "_keys_kept", "_lock", "_path", "_root", "name")

    #: The name under which it is saved what has been done.
    name: str
    #: Calls block; they are made in threads.
    is_coroutine = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: str = "jsonl",
        columns: Iterable[str] | None = None,
        fsync: bool = True,
        keys_kept: int = 10_000,
        name: str | None = None,
    ) -> None:
        text = os.fspath(path)
        if not isinstance(text, str):
            raise TypeError(f"path is text, not {type(text).__name__}")
        self._path = Template(text, "path")
        if not text or "\0" in text or text.endswith(("/", os.sep)):
            raise invalid_action("path names a file")
        # Columns that stand in the folder part below this may make folders, and nothing above it.
        self._root = os.path.dirname(self._path.beginning)
        if ".." in text[len(self._root) :].replace(os.sep, "/").split("/"):
            raise invalid_action("path leads up again behind its first column")
        if format not in ("jsonl", "csv"):
            raise invalid_choice("format", format, ["jsonl", "csv"])
        self._format = format
        self._columns = None if columns is None else checked_texts(columns, "columns")
        if self._columns is not None and (
            not self._columns or _KEY in self._columns or len(set(self._columns)) < len(self._columns)
        ):
            raise invalid_action(f"columns are one at least, none of them twice, and none of them `{_KEY}`")
        if isinstance(keys_kept, bool) or not isinstance(keys_kept, int):
            raise TypeError(f"keys_kept is a whole number, not {type(keys_kept).__name__}")
        if not 1 <= keys_kept <= 10_000_000:
            raise invalid_action(f"keys_kept is from 1 to 10,000,000, not {keys_kept}")
        self._fsync, self._keys_kept = checked_flag(fsync, "fsync"), keys_kept
        self.name = checked_name(name, f"file:{text}"[:200])
        self._files: OrderedDict[str, LineFile] = OrderedDict()
        # Of CSV: the columns of each open file.
        self._headers: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Mapping[str, Any], context: ActionContext) -> None:
        """Appends an event.

        Args:
            event: The event, by column.
            context: What an action is told.

        Raises:
            ActionError: The file cannot be written, or another process has it (code ``file-failed``); it is no file of
                this action, or the path would leave its folder (``file-refused``), or the event does not fit it
                (``action-column``, ``event-json``): permanent.
        """
        path = self._path_of(event)
        try:
            with self._lock:
                self._append(path, event, context.key)
        except OSError as error:
            raise ActionError(
                f"{self.name}: {type(error).__name__}: {error.strerror or error}", code="file-failed", action=self.name
            ) from None

    def _path_of(self, event: Mapping[str, Any]) -> str:
        if not self._path.columns:
            return self._path.text
        path = self._path.fill(event, self.name, made_safe=self._file_name)
        folder = os.path.realpath(self._root or ".")
        if os.path.commonpath([folder, os.path.realpath(path)]) != folder:
            raise self._refused(f"{path} leads out of {self._root or '.'} by a link")
        if path.endswith(_NOT_LINES):
            raise self._refused(f"{path} has the name of a file that belongs to a database")
        return path

    def _file_name(self, column: str, text: str) -> str:
        """A value as part of the name of a file; no two values have one, but for what is cut."""
        if not text:
            raise self._refused(f"the path needs a value of `{column}`, and the event has none")
        name = quote(text, safe="", errors="replace")
        name = "%2E" + name[1:] if name.startswith(".") else name
        if len(name) > _PART_BYTES_MAX:
            digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
            # Not in the middle of an escape.
            name = f"{name[: _PART_BYTES_MAX - 40].rpartition('%')[0] or name[:100]}-{digest[:32]}"
        return name

    def _append(self, path: str, event: Mapping[str, Any], key: str) -> None:
        file = self._opened(path)
        if file.has(key):
            return
        if self._format == "jsonl":
            chosen = event if self._columns is None else {name: self._value(event, name) for name in self._columns}
            line = json_bytes({_KEY: key, **{name: value for name, value in chosen.items() if name != _KEY}}) + b"\n"
        else:
            columns = self._headers.get(path)
            if columns is None:
                columns = [_KEY, *(self._columns or [name for name in event if name != _KEY])]
                file.append(_csv_line(columns), None)
                self._headers[path] = columns
            if unknown := [name for name in event if name not in columns] if self._columns is None else []:
                raise self._refused(f"the event has a column `{unknown[0]}`, which {path} does not have")
            line = _csv_line([key if name == _KEY else text_of(self._value(event, name)) for name in columns])
        file.append(line, key)

    def _value(self, event: Mapping[str, Any], name: str) -> Any:
        if name not in event:
            raise missing_column(name, event, self.name)
        return event[name]

    def _opened(self, path: str) -> LineFile:
        file = self._files.get(path)
        if file is not None and not file.is_there():
            self._close(path)
            file = None
        if file is None:
            while len(self._files) >= _FILES_MAX:
                self._close(next(iter(self._files)))
            if self._path.columns and os.path.dirname(path):
                os.makedirs(os.path.dirname(path), exist_ok=True)
            file = LineFile(path, self._fsync, self._keys_kept, self._key_of)
            try:
                if self._format == "csv" and (first := file.first_line()) is not None:
                    columns = _csv_values(first)
                    if columns[:1] != [_KEY]:
                        raise self._refused(f"{path} does not begin with `{_KEY}`; it is no file of this action")
                    if self._columns is not None and columns != [_KEY, *self._columns]:
                        raise self._refused(f"{path} has other columns than those that are asked for")
                    self._headers[path] = columns
                file.read_keys()
            except BaseException:
                file.close()
                self._headers.pop(path, None)
                raise
            self._files[path] = file
        self._files.move_to_end(path)
        return file

    def _key_of(self, line: bytes) -> str | None:
        """The key in a line; None: it has none, as somebody else wrote it."""
        if self._format == "csv":
            # The rest of it is not read: `csv` has a limit on what a value may have.
            field = _FIRST_VALUE.match(line.decode(errors="replace"))
            return field and (field[1].replace('""', '"') if field[1] is not None else field[2])
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return None
        key = found.get(_KEY) if isinstance(found, dict) else None
        return key if isinstance(key, str) else None

    def _refused(self, problem: str) -> ActionError:
        return ActionError(f"{self.name}: {problem}", code="file-refused", action=self.name, permanent=True)

    def _close(self, path: str) -> None:
        self._headers.pop(path, None)
        self._files.pop(path).close()

    def close(self) -> None:
        """Closes the files. An event after that opens them again.

        Example:
            >>> from cepheid.actions import AppendFile
            >>> AppendFile("out.jsonl").close()
        """
        with self._lock:
            for path in list(self._files):
                self._close(path)

    def __repr__(self) -> str:
        return f"AppendFile({self._path.text!r}, format={self._format!r}, name={self.name!r})"


def _csv_line(values: list[str]) -> bytes:
    text = io.StringIO()
    one_line = [value.replace("\r\n", "\\n").replace("\r", "\\n").replace("\n", "\\n") for value in values]
    csv.writer(text, lineterminator="\n").writerow(one_line)
    return text.getvalue().encode(errors="replace")


def _csv_values(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode(errors="replace")]), [])
    except csv.Error:
        return []
