"""Says how a query would be run: its strategy and why, its complexity, its bound on state."""

from __future__ import annotations

import argparse

from cepheid.cli.query import query_text
from cepheid.cli.tables import add_table_argument, read_table, table_files
from cepheid.sql import parse, table_name

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    add_table_argument(parser)


def main(arguments: argparse.Namespace) -> int:
    """Explains the query; gives the exit status. With its table, the types of columns are checked as well."""
    query = parse(query_text(arguments))
    files = table_files(arguments.table)
    schema = read_table(files[table_name(query, list(files))]).schema if files else None
    print(query.explain(schema))
    return 0
