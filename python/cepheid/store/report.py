"""A compliance report of a store, as Markdown and as HTML."""

from __future__ import annotations

import datetime as dt
import html
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from cepheid.event_time import datetime_of, span_ns
from cepheid.store.times import nanoseconds
from cepheid.store.verification import StoreInfo, Verification, counted

if TYPE_CHECKING:
    from cepheid.store.event_store import EventStore

__all__ = ["StoreReport", "make_report", "noted_rules"]

# Topics of events that came too late or were refused end like this.
_LATE, _REJECTED = ("late",), ("rejected", "dead-letter", "dead_letter")

_KINDS = {
    "keep": "said how long events are kept",
    "remove": "removed events that are kept no longer",
    "forget": "forgot idempotency keys that are kept no longer",
    "protect": "protected columns",
    "erase": "erased a subject",
    "seal": "archived events",
    "sign": "signed the chain",
    "rule": "changed a rule",
}


@final
@dataclass(frozen=True, slots=True)
class StoreReport:
    """What a store says of itself to those who have to know: `EventStore.report`.

    Attributes:
        title: What stands at its head.
        made: When it was made.
        info: The store, by and large.
        verification: Whether it is what was written.
        authors: Who has appended what: ``author``, ``topic``, ``batches``, ``events``, ``first``, ``last``.
        gaps: Silences, in event time: ``topic``, ``from``, ``to``.
        rules: Versions of rules: ``rule``, ``version`` (None: no longer in force), ``since``, ``author``.
        changes: Changes to what is kept: ``entry``, ``when``, ``author``, ``what``, ``details``.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore(author="till-3") as store:
        ...     position = store.append("txn", [{"ts": 1, "amount": 900}])
        ...     report = store.report()
        ...     [(row["author"], row["topic"], row["events"]) for row in report.authors]
        [('till-3', 'txn', 1)]
    """

    title: str
    made: dt.datetime
    info: StoreInfo
    verification: Verification
    authors: list[dict[str, Any]]
    gaps: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    changes: list[dict[str, Any]]

    def _sections(self) -> list[tuple[str, list[str], list[list[str]], str]]:
        """Heading, columns, rows, and what is said where there is none."""
        topics = [
            [
                topic.name,
                f"{topic.events:,}",
                f"{topic.removed:,}",
                f"{topic.archived:,}",
                _shown(topic.first_time),
                _shown(topic.last_time),
                _shown(topic.keep_for) or "for ever",
            ]
            for topic in self.info.topics.values()
        ]
        late = [
            [topic.name, kind, f"{topic.events:,}"]
            for topic in self.info.topics.values()
            for kind, endings in (("late", _LATE), ("rejected", _REJECTED))
            if topic.name.rsplit(".", 1)[-1] in endings
        ]
        authors = [
            [
                row["author"],
                row["topic"],
                f"{row['batches']:,}",
                f"{row['events']:,}",
                _shown(row["first"]),
                _shown(row["last"]),
            ]
            for row in self.authors
        ]
        gaps = [
            [row["topic"], _shown(row["from"]), _shown(row["to"]), _shown(row["to"] - row["from"])] for row in self.gaps
        ]
        rules = [
            [row["rule"], row["version"] or "no longer in force", _shown(row["since"]), row["author"]]
            for row in self.rules
        ]
        erasures = [
            [_shown(row["when"]), row["author"], str(row["details"].get("subject_sha256"))]
            for row in self.changes
            if row["what"] == "erase"
        ]
        changes = [
            [str(row["entry"]), _shown(row["when"]), row["author"], _KINDS.get(row["what"], row["what"]), _details(row)]
            for row in self.changes
            if row["what"] not in ("rule", "erase")
        ]
        return [
            (
                "Events by topic",
                ["Topic", "Appended", "Removed", "Archived", "First", "Last", "Kept"],
                topics,
                "There is no topic.",
            ),
            (
                "Events by source",
                ["Author", "Topic", "Batches", "Events", "First recorded", "Last recorded"],
                authors,
                "Nobody has appended anything.",
            ),
            ("Late and rejected events", ["Topic", "What", "Events"], late, "No topic of late or rejected events."),
            ("Gaps", ["Topic", "From", "To", "Length"], gaps, "None that is longer than was asked for."),
            ("Rules in force", ["Rule", "Version", "Since", "Noted by"], rules, "No rule has been noted."),
            ("Erasures", ["When", "By", "SHA-256 of the subject"], erasures, "Nobody has been erased."),
            ("Changes to what is kept", ["Entry", "When", "By", "What", "Details"], changes, "None."),
        ]

    def _summary(self) -> list[str]:
        found = self.verification
        state = "All of it is what was written." if found else f"**Not all of it is what was written**: {found.reason}."
        signed = f", {counted(len(found.signatures), 'signature', 'signatures')}" if found.signatures else ""
        return [
            f"Made {_shown(self.made)}: {counted(self.info.events, 'event', 'events')} of "
            f"{counted(len(self.info.topics), 'topic', 'topics')}, "
            f"{counted(self.info.entries, 'entry', 'entries')} of the chain{signed}. {state}",
            f"The chain's last hash is `{self.info.chain}`.",
        ]

    def to_markdown(self) -> str:
        """It as Markdown.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     print(store.report(title="Till 3").to_markdown().splitlines()[0])
            # Till 3
        """
        lines = [f"# {_plain(self.title)}", ""]
        for paragraph in self._summary():
            lines += [paragraph, ""]
        for heading, columns, rows, nothing in self._sections():
            lines += [f"## {heading}", ""]
            if rows:
                lines.append("| " + " | ".join(columns) + " |")
                lines.append("|" + "---|" * len(columns))
                lines += ["| " + " | ".join(_plain(cell) for cell in row) + " |" for row in rows]
            else:
                lines.append(nothing)
            lines.append("")
        return "\n".join(lines)

    def to_html(self) -> str:
        """It as an HTML page.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     "<h1>Till 3</h1>" in store.report(title="Till 3").to_html()
            True
        """
        style = (
            "body{font-family:system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
            "table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left}"
            "td{overflow-wrap:anywhere}"
        )
        parts = [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            f"<style>{style}</style></head><body>",
            f"<h1>{html.escape(self.title)}</h1>",
        ]
        parts += [f"<p>{_bold(html.escape(paragraph))}</p>" for paragraph in self._summary()]
        for heading, columns, rows, nothing in self._sections():
            parts.append(f"<h2>{heading}</h2>")
            if not rows:
                parts.append(f"<p>{nothing}</p>")
                continue
            head = "".join(f"<th>{column}</th>" for column in columns)
            body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            parts.append(f"<table><tr>{head}</tr>{body}</table>")
        return "\n".join([*parts, "</body></html>", ""])


def make_report(store: EventStore, gap: str | None, title: str) -> StoreReport:
    """See `EventStore.report`."""
    span = None if gap is None else span_ns(gap, "gap")
    info = store.info()
    history = store._view.history()
    authors = [
        {"author": author, "topic": topic, "batches": batches, "events": events}
        | {"first": datetime_of(first), "last": datetime_of(last)}
        for author, topic, batches, events, first, last in store._view.authors()
    ]
    changes = [
        {"entry": entry, "when": datetime_of(recorded), "author": author, "what": kind, "details": json.loads(said)}
        for entry, kind, recorded, author, said in history
    ]
    return StoreReport(
        title=str(title),
        made=store._clock() if store._clock is not None else dt.datetime.now(dt.UTC),
        info=info,
        verification=store.verify(),
        authors=authors,
        gaps=[] if span is None else _gaps(store, info, span),
        rules=noted_rules(history),
        changes=changes,
    )


def noted_rules(history: list[tuple[int, str, int, str, str]]) -> list[dict[str, Any]]:
    """The version of each rule that was noted last, of entries of a store's chain."""
    rules: dict[str, dict[str, Any]] = {}
    for _, kind, recorded, author, said in history:
        if kind == "rule":
            details = json.loads(said)
            rules[details["rule"]] = details | {"since": datetime_of(recorded), "author": author}
    return list(rules.values())


def _gaps(store: Any, info: StoreInfo, span: int) -> list[dict[str, Any]]:
    """Silences longer than a span: from the greatest time so far to the next one."""
    import numpy as np

    gaps = []
    for topic in info.topics.values():
        if topic.first_time is None:
            continue
        before: int | None = None
        for batch in store.read(topic.name, columns=[info.event_time]).batches():
            # Batches of a topic may come without the column: the silence is between those that have a time.
            times = nanoseconds(batch.column(0).drop_null())
            if len(times) == 0:
                continue
            greatest = np.maximum.accumulate(times if before is None else np.concatenate([[before], times]))
            for place in np.flatnonzero(np.diff(greatest) > span):
                ends = datetime_of(int(greatest[place])), datetime_of(int(greatest[place + 1]))
                gaps.append({"topic": topic.name, "from": ends[0], "to": ends[1]})
            before = int(greatest[-1])
    return gaps


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat(sep=" ", timespec="seconds") if isinstance(value, dt.datetime) else str(value)


def _details(change: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in change["details"].items() if value not in (None, []))


def _plain(text: str) -> str:
    """Text that means nothing to Markdown's tables, nor to the HTML that it may become."""
    text = html.escape(text, quote=False)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("`", "\\`")


def _bold(text: str) -> str:
    parts = text.split("**")
    text = "".join(f"<strong>{part}</strong>" if place % 2 else part for place, part in enumerate(parts))
    parts = text.split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))
