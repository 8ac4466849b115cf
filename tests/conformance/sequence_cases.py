"""The cases of event sequences, read from the TOML files of the folder `sequences`; its README describes the format."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sequences.write_ir import built
from text_tables import TextTable

import cepheid as cep

FOLDER = Path(__file__).parent / "sequences"
KEYS = {"name", "rule", "pattern", "ir", "events", "event-time", "derived", "output", "error"}


@dataclass(frozen=True)
class SequenceCase:
    """One `[[test]]`."""

    construct: str
    entry: dict[str, Any]

    def __post_init__(self) -> None:
        assert self.entry.keys() <= KEYS, f"{self.id}: unknown keys {self.entry.keys() - KEYS}"
        assert ("derived" in self.entry) != ("error" in self.entry), f"{self.id}: give either `derived` or `error`"
        assert "ir" in self.entry, f"{self.id}: run sequences/write_ir.py"

    @property
    def id(self) -> str:
        return f"{self.construct}/{self.entry['name']}"

    @property
    def error(self) -> str | None:
        return self.entry.get("error")

    @property
    def event_time(self) -> str | None:
        return self.entry.get("event-time")

    @property
    def has_topics(self) -> bool:
        return isinstance(self.entry["events"], dict)

    @cached_property
    def events(self) -> dict[str, TextTable]:
        """Tables by topic, in the order in which they are given; a single one has the empty name."""
        events = self.entry["events"] if self.has_topics else {"": self.entry["events"]}
        return {topic: TextTable.parse(events[topic]) for topic in sorted(events)}

    @cached_property
    def output(self) -> TextTable | None:
        return TextTable.parse(self.entry["output"]) if "output" in self.entry else None

    def pattern(self) -> cep.Pattern:
        """The pattern, from its Python code."""
        return built(self.entry["pattern"])

    def expected(self, kind: str) -> list[dict[str, list[int | str]]]:
        """The rows of the events of a kind, in order."""
        return [event["rows"] for event in self.entry["derived"] if event["kind"] == kind]

    def members(self, matches: cep.Matches) -> list[dict[str, list[int | str]]]:
        """The rows of each event, by variable, written as the case writes them."""
        found: list[dict[str, list[int | str]]] = [{} for _ in range(len(matches))]
        for member in matches.rows.to_pylist():
            row = f"{member['topic']}:{member['row']}" if self.has_topics else member["row"]
            found[member["match"]].setdefault(member["variable"], []).append(row)
        return found

    def check_output(self, matches: cep.Matches) -> None:
        """Asserts that the measures of the matches are those of the case, if it gives any."""
        if self.output is not None:
            self.output.check(matches.to_arrow().select(self.output.names), same_strings=True)


def load() -> list[SequenceCase]:
    return [
        SequenceCase(path.stem, entry)
        for path in sorted(FOLDER.glob("*.toml"))
        for entry in tomllib.loads(path.read_text("utf-8"))["test"]
    ]
