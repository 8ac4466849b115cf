"""The cases of the conformance suite, read from the TOML files beside this one; the README describes the format."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from text_tables import TextTable

import cepheid as cep

FOLDER = Path(__file__).parent
KEYS = {
    "name", "rule", "mode", "events", "sql", "pattern", "define", "partition-by", "order-by", "subset", "measures",
    "rows-per-match", "after-match", "within", "initial", "matches", "output", "error",
}  # fmt: skip
ROWS_PER_MATCH = {
    "one": "ONE ROW PER MATCH",
    "all": "ALL ROWS PER MATCH",
    "all-show-empty": "ALL ROWS PER MATCH SHOW EMPTY MATCHES",
    "all-omit-empty": "ALL ROWS PER MATCH OMIT EMPTY MATCHES",
    "all-with-unmatched": "ALL ROWS PER MATCH WITH UNMATCHED ROWS",
}
AFTER_MATCH = {
    "skip-past-last-row": "SKIP PAST LAST ROW",
    "skip-to-next-row": "SKIP TO NEXT ROW",
    "skip-to-first": "SKIP TO FIRST",
    "skip-to-last": "SKIP TO LAST",
    "skip-to": "SKIP TO",
}


@dataclass(frozen=True)
class Case:
    """One `[[test]]`."""

    construct: str
    entry: dict[str, Any]

    def __post_init__(self) -> None:
        assert self.entry.keys() <= KEYS, f"{self.id}: unknown keys {self.entry.keys() - KEYS}"
        assert self.entry.keys() & {"matches", "output", "error"}, f"{self.id}: nothing is expected"
        assert ("sql" in self.entry) != ("pattern" in self.entry), f"{self.id}: give either `sql` or `pattern`"
        assert self.entry.get("mode", "sql") in ("sql", "algebra"), self.id

    @property
    def id(self) -> str:
        return f"{self.construct}/{self.entry['name']}"

    @property
    def error(self) -> str | None:
        return self.entry.get("error")

    @property
    def is_algebra(self) -> bool:
        return self.entry.get("mode") == "algebra"

    @property
    def is_plain(self) -> bool:
        """Whether the query is no more than its pattern."""
        if "pattern" in self.entry:
            return True
        return bool(re.fullmatch(r"\s*SELECT \* FROM t MATCH_RECOGNIZE\s*\(.*\)\s*", self.entry["sql"], re.S))

    @cached_property
    def events(self) -> TextTable:
        return TextTable.parse(self.entry["events"])

    @cached_property
    def output(self) -> TextTable | None:
        return TextTable.parse(self.entry["output"]) if "output" in self.entry else None

    def sql_text(self, *, with_define: bool = True) -> str:
        entry = self.entry
        if "sql" in entry:
            return entry["sql"]
        clauses = [
            f"{words} {entry[key]}"
            for key, words in (("partition-by", "PARTITION BY"), ("order-by", "ORDER BY"), ("measures", "MEASURES"))
            if key in entry
        ]
        if "rows-per-match" in entry:
            clauses.append(ROWS_PER_MATCH[entry["rows-per-match"]])
        if "after-match" in entry:
            skip, _, target = entry["after-match"].partition(" ")
            clauses.append(f"AFTER MATCH {AFTER_MATCH[skip]} {target}".strip())
        if entry.get("initial"):
            clauses.append("INITIAL")
        clauses.append(f"PATTERN ({entry['pattern']})")
        if "within" in entry:
            clauses.append(f"WITHIN {entry['within']}")
        if "subset" in entry:
            clauses.append(f"SUBSET {entry['subset']}")
        if with_define and entry.get("define"):
            definitions = [f"{variable} AS {condition}" for variable, condition in entry["define"].items()]
            clauses.append(f"DEFINE {', '.join(definitions)}")
        return "SELECT * FROM t MATCH_RECOGNIZE (\n  " + "\n  ".join(clauses) + "\n)"

    def algebra_pattern(self) -> cep.Pattern:
        """The pattern of a case of the algebra: read as SQL, then given the algebra's meaning and conditions."""
        data = cep.pattern_from_sql(self.sql_text(with_define=False)).to_dict()
        data["pattern"] |= {"empty_matches": "excluded", "output": "derived"}
        if isinstance(skip := data["pattern"]["after_match"], dict):
            skip["to_variable"].pop("strict", None)
        conditions = {variable_name(name): text for name, text in self.entry.get("define", {}).items()}
        return cep.Pattern.from_dict(data).define(conditions)

    def check(self, matches: cep.Matches, *, same_strings: bool = True) -> None:
        """Asserts that these are the matches, and this the output, that the case expects."""
        if (expected := self.entry.get("matches")) is not None:
            found: list[dict[str, list[int]]] = [{} for _ in range(len(matches))]
            for member in matches.rows.to_pylist():
                found[member["match"]].setdefault(member["variable"], []).append(member["row"])
            assert found == expected
        if self.output is not None:
            self.output.check(matches.to_arrow(), same_strings=same_strings)


def variable_name(written: str) -> str:
    if written.startswith('"'):
        return written[1:-1].replace('""', '"')
    return written.upper()


def load() -> list[Case]:
    return [
        Case(path.stem, entry)
        for path in sorted(FOLDER.glob("*.toml"))
        for entry in tomllib.loads(path.read_text("utf-8"))["test"]
    ]
