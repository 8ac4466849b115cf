"""Looks at an event store: what is in it, whether it is whole, and what rules find in it."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cepheid.cli.failure import CommandError
from cepheid.cli.tables import write_table

if TYPE_CHECKING:
    from cepheid.store import EventStore, StoredEvents

__all__ = ["add_arguments", "main"]

# The store is not what was written.
EXIT_DAMAGED = 1

# How long `tail --follow` waits before it looks at Ctrl-C again.
_WAIT_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verbs of a store, each with its arguments."""
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for name, verb, summary in (
        ("info", _info, "topics, events and bytes"),
        ("tail", _tail, "the last events, and with --follow those that come"),
        ("read", _read, "events by topic, time, position and what they say"),
        ("verify", _verify, "whether all is what was written; status 1 if not"),
        ("replay", _replay, "what rules derive from the events"),
        ("export", _export, "events into a .parquet, .csv, .jsonl or .arrow file"),
        ("report", _report, "a compliance report as Markdown or HTML"),
    ):
        own = verbs.add_parser(name, help=summary, description=summary)
        own.add_argument("store", metavar="STORE", help="the store's file")
        if verb in (_tail, _read, _export):
            own.add_argument(
                "topics", nargs="*", metavar="TOPIC", help="topics, or patterns such as order.*; none: all"
            )
        if verb in (_read, _export):
            _add_query(own)
        own.set_defaults(verb=verb)
        if verb is _tail:
            own.add_argument("-n", type=int, default=10, metavar="EVENTS", help="how many; 10 by default")
            own.add_argument("-f", "--follow", action="store_true", help="go on with what is appended")
        if verb is _verify:
            own.add_argument("--key", metavar="HEX", help="the public key that has signed it last")
        if verb is _replay:
            _add_replay(own)
        if verb is _export:
            own.add_argument("-o", "--output", metavar="FILE", required=True, help="where to write them")
        if verb is _report:
            own.add_argument("-o", "--output", metavar="FILE", help="a .md or .html file; standard output by default")
            own.add_argument("--gap", metavar="SPAN", default="1d", help="list silences that are longer; 1d by default")


def _add_query(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--where", metavar="SQL", help='a condition, such as "amount > 500"')
    parser.add_argument("--columns", metavar="A,B", help="columns that are wanted")
    parser.add_argument("--since", metavar="TIME", help="event times from this one on: 2026-01-31, 2026-01-31T12:00")
    parser.add_argument("--until", metavar="TIME", help="event times before this one")
    parser.add_argument("--from", dest="from_", type=int, metavar="POSITION", help="positions from this one on")
    parser.add_argument("--to", type=int, metavar="POSITION", help="positions before this one")
    parser.add_argument("--stream", metavar="NAME", help="the stream that they are of")
    parser.add_argument("--limit", type=int, metavar="EVENTS", help="so many at most")
    parser.add_argument("--metadata", action="store_true", help="with the store's own columns in front")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rules", nargs="+", metavar="RULE", help="a .sql file with MATCH_RECOGNIZE, or a rule as .json")
    parser.add_argument("--topic", action="append", metavar="TOPIC", help="what is replayed; by default what they read")
    parser.add_argument("--event-time", default="ts", metavar="COLUMN", help="the column of the event time")
    parser.add_argument("--speed", type=float, metavar="FACTOR", help="how fast event time passes: 1 as it was")
    parser.add_argument("--since", metavar="TIME", help="event times from this one on")
    parser.add_argument("--until", metavar="TIME", help="event times before this one")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="write each derived topic as a Parquet file into it")


def main(arguments: argparse.Namespace) -> int:
    """Carries out a verb of a store; gives the exit status."""
    status: int = arguments.verb(arguments)
    return status


def _opened(arguments: argparse.Namespace) -> EventStore:
    from cepheid.store import EventStore

    return EventStore(arguments.store, read_only=True)


def _info(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as store:
        info = store.info()
    print(f"{arguments.store}: {info.events:,} events, {info.entries:,} entries, event time `{info.event_time}`")
    print(f"database {info.database_bytes:,} bytes; chain {info.chain}")
    rows = [
        (
            topic.name,
            f"{topic.events:,}",
            f"{topic.archived:,}",
            f"{topic.removed:,}",
            f"{topic.archived_bytes + topic.journal_bytes:,}",
            _moment(topic.first_time),
            _moment(topic.last_time),
        )
        for topic in info.topics.values()
    ]
    if rows:
        _print_table(("topic", "events", "archived", "removed", "bytes", "first", "last"), rows)
    return 0


def _tail(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as store:
        # A topic that is followed may not be there yet.
        end = store.end
        wanted = max(arguments.n, 0)
        step = wanted
        found: list[dict[str, Any]] = []
        begin = end
        while wanted and begin > 0 and len(found) < wanted:
            # Of some topics the last events may stand far back.
            begin = max(0, end - step)
            found = list(store.read(arguments.topics, from_=begin, to=end, metadata=True))
            step *= 8
        for event in found[len(found) - wanted :] if wanted else []:
            _print_event(event)
        if arguments.follow:
            following = store.subscribe("tail", arguments.topics)
            following.position = end
            while True:
                sys.stdout.flush()
                come = following.next(timeout=_WAIT_S)
                for event in come.to_pylist() if come is not None else []:
                    _print_event(event)
    return 0


def _read(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as store:
        for event in _asked(store, arguments):
            _print_event(event)
    return 0


def _asked(store: EventStore, arguments: argparse.Namespace) -> StoredEvents:
    return store.read(
        arguments.topics,
        where=arguments.where,
        columns=None if arguments.columns is None else arguments.columns.split(","),
        since=_time(arguments.since, "--since"),
        until=_time(arguments.until, "--until"),
        from_=arguments.from_,
        to=arguments.to,
        stream=arguments.stream,
        metadata=arguments.metadata,
        limit=arguments.limit,
    )


def _verify(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as store:
        found = store.verify(arguments.key)
    print(found)
    for entry, key in found.signatures:
        print(f"entry {entry}: signed by {key}")
    return 0 if found else EXIT_DAMAGED


def _replay(arguments: argparse.Namespace) -> int:
    from cepheid.engine import Engine

    rules = [_rule(Path(file)) for file in arguments.rules]
    with _opened(arguments) as store:
        derived = store.replay(
            Engine(rules, arguments.event_time, lateness="0s", ids=True),
            arguments.topic,
            from_=_time(arguments.since, "--since"),
            to=_time(arguments.until, "--until"),
            speed=arguments.speed,
            progress=True,
            flush=True,
        )
    if arguments.output is None:
        print(derived)
        return 0
    folder = Path(arguments.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot make the folder {folder}: {error}") from error
    for topic, matches in derived.items():
        if not all(part.isprintable() and part not in "/\\" for part in topic) or topic.startswith("."):
            raise CommandError(f"topic `{topic}` cannot name a file; replay it without -o")
        write_table(matches.to_arrow(), folder / f"{topic}.parquet")
        print(f"{matches.num_rows:,} events of {topic} written to {folder / topic}.parquet", file=sys.stderr)
    return 0


def _rule(file: Path) -> Any:
    from cepheid.anomaly import Anomaly
    from cepheid.pattern import Pattern
    from cepheid.sql import pattern_from_sql
    from cepheid.window import Window

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read the rule from {file}: {error}") from error
    if file.suffix.lower() != ".json":
        return pattern_from_sql(text).named(file.stem)
    try:
        kinds = set(json.loads(text))
    except (ValueError, TypeError) as error:
        raise CommandError(f"the rule in {file} is no JSON: {error}") from error
    rule: Any = Window if "window" in kinds else Anomaly if "anomaly" in kinds else Pattern
    read = rule.from_json(text)
    return read if read.name else read.named(file.stem)


def _export(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as store:
        table = _asked(store, arguments).to_arrow()
    write_table(table, Path(arguments.output))
    print(f"{table.num_rows:,} events written to {arguments.output}", file=sys.stderr)
    return 0


def _report(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as store:
        report = store.report(gap=arguments.gap, title=f"Event store {Path(arguments.store).name}")
    if arguments.output is None:
        print(report.to_markdown())
        return 0
    file = Path(arguments.output)
    text = report.to_html() if file.suffix.lower() in (".html", ".htm") else report.to_markdown()
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write {file}: {error}") from error
    return 0


def _time(text: str | None, option: str) -> dt.datetime | None:
    if text is None:
        return None
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"{option} takes a time such as 2026-01-31T12:00, not {text!r}") from error


def _moment(time: dt.datetime | None) -> str:
    return "" if time is None else time.strftime("%Y-%m-%d %H:%M:%S")


def _print_event(event: dict[str, Any]) -> None:
    print(json.dumps(event, default=str, ensure_ascii=False))


def _print_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    for row in [heads, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
