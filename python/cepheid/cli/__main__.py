"""Reads the command line and hands over to the verb."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cepheid import __version__
from cepheid.cli import check, explain, run, store
from cepheid.cli.failure import CommandError
from cepheid.errors import CepheidError

__all__ = ["main"]

# The query is wrong (`check`), or the command could not be carried out.
EXIT_INVALID, EXIT_FAILED, EXIT_INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and gives the exit status: 0, 1 if `check` finds the query wrong, 2 for other failures.

    Args:
        arguments: The arguments; those of the process by default.

    Example:
        >>> from cepheid.cli.__main__ import main
        >>> main(["check", "-c", "SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A))"])
        the query is valid: it reads table `t`
        0
    """
    parsed = _parser().parse_args(arguments)
    try:
        status: int = parsed.verb(parsed)
    except (CepheidError, CommandError) as error:
        print(f"cepheid: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        sys.stderr.close()
        return EXIT_FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cepheid", description="Find row patterns in tables with SQL MATCH_RECOGNIZE; look at event stores."
    )
    parser.add_argument("--version", action="version", version=f"cepheid {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for name, module in (("run", run), ("check", check), ("explain", explain)):
        summary = (module.__doc__ or "").splitlines()[0]
        verb = verbs.add_parser(name, help=summary, description=summary)
        query = verb.add_argument_group("the query").add_mutually_exclusive_group(required=True)
        query.add_argument("file", nargs="?", metavar="QUERY.sql", help="file with the query; - for standard input")
        query.add_argument("-c", "--command", metavar="SQL", help="the query itself")
        module.add_arguments(verb)
        verb.set_defaults(verb=module.main)
    summary = (store.__doc__ or "").splitlines()[0]
    store.add_arguments(verbs.add_parser("store", help=summary, description=summary))
    return parser


if __name__ == "__main__":
    sys.exit(main())
