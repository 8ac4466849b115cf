"""Runs a query over tables in files and shows or writes what it selects."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cepheid.cli.query import query_text
from cepheid.cli.tables import add_table_argument, read_table, table_files, write_table
from cepheid.result import Matches
from cepheid.sql import parse, table_name

__all__ = ["add_arguments", "main"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb."""
    add_table_argument(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the result to a .parquet, .csv, .jsonl or .arrow file"
    )


def main(arguments: argparse.Namespace) -> int:
    """Runs the query; gives the exit status."""
    # The query is read first: a mistake in it must not wait for a large table.
    query = parse(query_text(arguments))
    files = table_files(arguments.table)
    table = read_table(files[table_name(query, list(files))])
    matches = Matches._of(query.run(table))
    if arguments.output is None:
        print(matches)
    else:
        write_table(matches.to_arrow(), Path(arguments.output))
        print(f"{matches.num_rows:,} rows written to {arguments.output}", file=sys.stderr)
    return 0
