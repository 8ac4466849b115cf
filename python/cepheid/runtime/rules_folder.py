"""A folder of rules, looked at again and again: what has come, what has changed, what is gone."""

from __future__ import annotations

import datetime as dt
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, final

from cepheid.engine_options import Rule
from cepheid.errors import AppError, CepheidError
from cepheid.event_time import span_ns
from cepheid.runtime.rule_text import checked_text, rule_of_json, rule_of_sql

__all__ = ["DISABLED", "FolderChange", "RulesFolder"]

# The greatest file, and how many files there may be.
_BYTES_MAX = 1 << 20
_FILES_MAX = 10_000

_READERS = {".json": rule_of_json, ".sql": rule_of_sql}
#: How the name of a file ends whose rule is disabled.
DISABLED = ".disabled"

Kind = Literal["added", "replaced", "removed", "disabled", "enabled", "refused"]
# What tells whether a file is as it was: of which file, how long, and when it was written.
Signature = tuple[int, int, int, int]


class FolderChange(NamedTuple):
    """Something that is not as it was when the folder was looked at before.

    Attributes:
        kind: ``"added"``, ``"replaced"``, ``"removed"``, ``"disabled"``, ``"enabled"``, or ``"refused"``: the file
            cannot be taken, and what was known of the rule stays.
        name: The name of the rule: that of the file without its ending.
        path: The file.
        rule: The rule as it is now; None where it is removed or refused.
        text: The text of the file; None where it is removed or has not been read.
        error: Why it is refused, or None.
    """

    kind: Kind
    name: str
    path: Path
    rule: Rule | None = None
    text: str | None = None
    error: CepheidError | None = None


class _Found(NamedTuple):
    """A file of a rule."""

    path: Path
    ending: str
    enabled: bool
    signature: Signature


class _Known(NamedTuple):
    """A rule as it was last taken."""

    path: Path
    rule: Rule
    enabled: bool


@final
class RulesFolder:
    """Files with rules in a folder, one a file.

    ``NAME.json`` is what `to_json` of a pattern, a window or an anomaly rule gives; ``NAME.sql`` a query, whose table
    is the topic (see `rule_of_sql`). The rule is called ``NAME``. A file that is renamed to ``NAME.json.disabled`` or
    ``NAME.sql.disabled`` stays known and is disabled. Others, those that begin with a dot, and folders are passed over;
    no file is ever run as a program.

    A file is taken once it has not changed between two looks, or for as long as `poll`, so that one that is half
    written is waited for; put under its name by renaming it is whole in any case. A rule is gone when its file was
    missing at two looks. Symbolic links and files of more than 1 MiB are refused.

    Args:
        path: The folder.
        poll: How often it is going to be looked at: text such as ``"1s"`` or a timedelta.
        clock: Gives the time on the wall, in seconds since 1970.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: There is no such folder (code ``rules-folder``).

    Example:
        >>> import pathlib, tempfile
        >>> import cepheid as cep
        >>> from cepheid.runtime.rules_folder import RulesFolder
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = pathlib.Path(folder.name) / "large.json"
        >>> _ = path.write_text(cep.event("a", "amount > 500", topic="txn").to_json())
        >>> rules = RulesFolder(folder.name, poll="0s")
        >>> [(change.kind, change.name) for change in rules.scan()]
        [('added', 'large')]
        >>> rules.scan()
        []
        >>> folder.cleanup()
    """

    __slots__ = ("_clock", "_known", "_missing", "_poll_ns", "_refused", "_seen", "is_settled", "path")

    #: The folder.
    path: Path
    #: Whether the last look passed over no file because it may be half written.
    is_settled: bool

    def __init__(
        self,
        path: str | os.PathLike[str],
        poll: str | dt.timedelta = "1s",
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise AppError(f"there is no folder {str(self.path)!r} to read rules from", code="rules-folder")
        self._poll_ns = span_ns(poll, "poll")
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._seen: dict[Path, Signature] = {}
        self._refused: dict[str, object] = {}
        self._missing: set[str] = set()
        self.is_settled = True

    @property
    def poll_seconds(self) -> float:
        """How often the folder is to be looked at.

        Example:
            >>> import tempfile
            >>> from cepheid.runtime.rules_folder import RulesFolder
            >>> RulesFolder(tempfile.gettempdir(), poll="500ms").poll_seconds
            0.5
        """
        return self._poll_ns / 1e9

    @property
    def rules(self) -> dict[str, Rule]:
        """The rules that have been taken, by name, those that are disabled too.

        Example:
            >>> import tempfile
            >>> from cepheid.runtime.rules_folder import RulesFolder
            >>> RulesFolder(tempfile.gettempdir()).rules
            {}
        """
        return {name: known.rule for name, known in self._known.items()}

    @property
    def disabled(self) -> frozenset[str]:
        """The names of those that are disabled.

        Example:
            >>> import tempfile
            >>> from cepheid.runtime.rules_folder import RulesFolder
            >>> RulesFolder(tempfile.gettempdir()).disabled
            frozenset()
        """
        return frozenset(name for name, known in self._known.items() if not known.enabled)

    def scan(self) -> list[FolderChange]:
        """Looks at the folder, and gives what is not as it was: rules that are gone first, then others by name.

        A file that is refused is so once, until it changes.

        Raises:
            AppError: The folder is gone, or has more than 10,000 files (code ``rules-folder``). What was known stands.

        Example:
            >>> import tempfile
            >>> from cepheid.runtime.rules_folder import RulesFolder
            >>> with tempfile.TemporaryDirectory() as path:
            ...     RulesFolder(path).scan()
            []
        """
        files = self._files()
        before, self._seen = self._seen, {found.path: found.signature for group in files.values() for found in group}
        now = int(self._clock() * 1e9)
        changes = self._gone(files)
        self.is_settled = True
        for name, group in sorted(files.items()):
            if all(self._is_whole(found, before, now) for found in group):
                changes += self._taken(name, group)
            else:
                self.is_settled = False
        return changes

    def _files(self) -> dict[str, list[_Found]]:
        """Files by the names of their rules."""
        found: dict[str, list[_Found]] = {}
        count = 0
        try:
            with os.scandir(self.path) as entries:
                for entry in entries:
                    count += 1
                    if count > _FILES_MAX:
                        raise AppError(
                            f"folder {str(self.path)!r} has more than {_FILES_MAX:,} files: keep rules in one of "
                            "their own",
                            code="rules-folder",
                        )
                    self._look_at(entry, found)
        except OSError as error:
            raise AppError(
                f"folder {str(self.path)!r} cannot be read: {error.strerror}", code="rules-folder"
            ) from error
        return found

    def _look_at(self, entry: os.DirEntry[str], found: dict[str, list[_Found]]) -> None:
        enabled = not entry.name.endswith(DISABLED)
        name, ending = os.path.splitext(entry.name.removesuffix(DISABLED))
        if ending not in _READERS or not name or name.startswith("."):
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            # It has gone since the folder was listed.
            return
        if not stat.S_ISDIR(status.st_mode):
            found.setdefault(name, []).append(_Found(Path(entry.path), ending, enabled, _signature(status)))

    def _is_whole(self, found: _Found, before: dict[Path, Signature], now: int) -> bool:
        age = now - found.signature[3]
        return before.get(found.path) == found.signature or age >= self._poll_ns

    def _gone(self, files: dict[str, list[_Found]]) -> list[FolderChange]:
        missing = self._known.keys() - files.keys()
        gone = sorted(missing & self._missing)
        self._missing = missing - set(gone)
        self._refused = {name: why for name, why in self._refused.items() if name in files}
        return [FolderChange("removed", name, self._known.pop(name).path) for name in gone]

    def _taken(self, name: str, group: list[_Found]) -> list[FolderChange]:
        found = group[0]
        tried = tuple(sorted((str(file.path), file.signature) for file in group))
        if self._refused.get(name) == tried:
            return []
        known = self._known.get(name)
        text = None
        try:
            if not _is_text(name):
                raise AppError(f"the name of file {found.path.name!a} is no text", code="rule-file")
            if len(group) > 1:
                names = ", ".join(sorted(file.path.name for file in group))
                raise AppError(f"rule `{name}` is in several files, {names}: leave one", code="rule-file")
            text = checked_text(self._read(name, found), name)
            rule = _READERS[found.ending](text, name)
        except CepheidError as error:
            self._refused[name] = tried
            return [FolderChange("refused", name, found.path, text=text, error=error)]
        self._refused.pop(name, None)
        self._known[name] = _Known(found.path, rule, found.enabled)
        return [FolderChange(kind, name, found.path, rule, text) for kind in _kinds(known, rule, found.enabled)]

    def _read(self, name: str, found: _Found) -> bytes:
        """What a file holds. It is what has been opened that is asked what it is: its name may be another's by now."""
        path = found.path
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            if path.is_symlink():
                raise AppError(f"rule `{name}`: {path.name} is a symbolic link: put a file there", code="rule-file")
            with os.fdopen(os.open(path, flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise AppError(f"rule `{name}`: {path.name} is no plain file", code="rule-file")
                data = file.read(_BYTES_MAX + 1)
        except OSError as error:
            raise AppError(f"rule `{name}`: {path.name} cannot be read: {error.strerror}", code="rule-file") from error
        if len(data) > _BYTES_MAX:
            raise AppError(f"rule `{name}`: {path.name} is longer than {_BYTES_MAX:,} bytes", code="rule-file")
        return data


def _signature(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_size, status.st_mode, status.st_mtime_ns


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kinds(known: _Known | None, rule: Rule, enabled: bool) -> list[Kind]:
    """What has happened to a rule; one that is new, or says something else, may be disabled as well."""
    found: list[Kind] = []
    if known is None:
        found.append("added")
    elif known.rule != rule:
        found.append("replaced")
    was_enabled = known is None or known.enabled
    if was_enabled != enabled:
        found.append("enabled" if enabled else "disabled")
    return found
