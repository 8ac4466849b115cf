"""Whether a file is a database of SQLite, asked of SQLite."""

from __future__ import annotations

import contextlib
import os
from urllib.parse import quote

__all__ = ["application_id"]


def application_id(path: str) -> int | None:
    """The `application_id` of a database; None: it is none, or there is no such file.

    The file is not opened by anybody but SQLite: POSIX lets go of all locks that a process has on a file when one of
    its descriptors is closed, and other connections of this process may be using it. SQLite knows how to wait for them.

    Example:
        >>> from cepheid.actions.sqlite_file import application_id
        >>> application_id("/missing.sqlite") is None
        True
    """
    import sqlite3

    try:
        if os.path.getsize(path) == 0:
            return None
    except OSError:
        return None
    # Its first page is read as it stands, whoever has it locked.
    asked = f"file:{quote(os.path.realpath(path))}?mode=ro&immutable=1"
    try:
        with contextlib.closing(sqlite3.connect(asked, uri=True)) as database:
            return int(database.execute("PRAGMA application_id").fetchone()[0])
    except sqlite3.Error:
        return None
