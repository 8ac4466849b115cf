"""Formats of files that are followed line by line. Another one is a module here, and a line in `FORMATS`."""

from __future__ import annotations

from collections.abc import Callable

from cepheid.connectors.formats.apache import APACHE
from cepheid.connectors.formats.csv_lines import CsvLines
from cepheid.connectors.formats.json_lines import JsonLines
from cepheid.connectors.formats.line_format import Line, LineFormat, LineReader, Rejected, RowFormat, Rows
from cepheid.connectors.formats.syslog import SyslogLines

__all__ = [
    "APACHE",
    "FORMATS",
    "CsvLines",
    "JsonLines",
    "Line",
    "LineFormat",
    "LineReader",
    "Rejected",
    "RowFormat",
    "Rows",
    "SyslogLines",
]

#: What makes each format, by the name that `FileSource` and `DirectorySource` are given.
FORMATS: dict[str, Callable[[], LineFormat]] = {
    "apache": lambda: APACHE,
    "csv": CsvLines,
    "jsonl": JsonLines,
    "syslog": SyslogLines,
}

#: The format of a file whose name ends so, where none is said.
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet", ".syslog": "syslog"}
