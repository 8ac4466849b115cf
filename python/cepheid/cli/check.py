"""Checks a query and points at what is wrong with it."""

from __future__ import annotations

import argparse
import sys

from cepheid.cli.query import query_text
from cepheid.errors import SqlError
from cepheid.sql import parse

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb: none."""


def main(arguments: argparse.Namespace) -> int:
    """Checks the query; gives the exit status: 1 if it is wrong."""
    try:
        query = parse(query_text(arguments))
    except SqlError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"the query is valid: it reads table `{query.table}`")
    return 0
