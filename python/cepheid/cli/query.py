"""The query of a command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cepheid.cli.failure import CommandError

__all__ = ["query_text"]


def query_text(arguments: argparse.Namespace) -> str:
    """The text given with ``-c``, in a file, or on standard input.

    Raises:
        CommandError: The file cannot be read.
    """
    if arguments.command is not None:
        return str(arguments.command)
    try:
        if arguments.file == "-":
            return sys.stdin.read()
        return Path(arguments.file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read the query from {arguments.file}: {error}") from error
