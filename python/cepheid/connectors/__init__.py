"""Where events come from: sources that an app follows, each with how far it has been read."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cepheid.connectors.directory_source import DirectorySource
    from cepheid.connectors.file_source import FileSource
    from cepheid.connectors.http_source import HttpSource
    from cepheid.connectors.memory_source import MemorySource
    from cepheid.connectors.protocol import Feed, Source, Ticket
    from cepheid.connectors.sqlite_source import SqliteSource

__all__ = [
    "DirectorySource",
    "Feed",
    "FileSource",
    "HttpSource",
    "MemorySource",
    "Source",
    "SqliteSource",
    "Ticket",
]

_HOMES = {
    "DirectorySource": "directory_source",
    "Feed": "protocol",
    "FileSource": "file_source",
    "HttpSource": "http_source",
    "MemorySource": "memory_source",
    "Source": "protocol",
    "SqliteSource": "sqlite_source",
    "Ticket": "protocol",
}


def __getattr__(name: str) -> Any:
    # Each is read when it is asked for: who follows a file needs no server.
    if name in _HOMES:
        return getattr(import_module(f"cepheid.connectors.{_HOMES[name]}"), name)
    raise AttributeError(f"module `cepheid.connectors` has no attribute `{name}`")
