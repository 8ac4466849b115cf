"""A group of rules as bytes: a head that says what there is, and a snapshot of each engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cepheid.engine_options import Rule, checked_rule, rule_version
from cepheid.errors import AppError, PatternError, StoreError
from cepheid.processors import Processor
from cepheid.runtime.group_engine import GroupEngine
from cepheid.runtime.rule_text import RULE_KINDS

__all__ = ["RuleDifferences", "SavedGroup", "SavedRule", "rule_text", "saved", "taken_apart"]

_MAGIC = b"cepheid-rule-group\n"
_FORMAT = 1


class SavedRule(NamedTuple):
    """A rule that was saved.

    Attributes:
        name: Its name.
        kind: Its kind.
        version: What tells its version.
        text: Itself as JSON; None: it holds Python functions.
        enabled: Whether it was not disabled.
    """

    name: str
    kind: str
    version: str
    text: str | None
    enabled: bool

    def rule(self, given: Mapping[str, Rule]) -> Rule:
        """The rule: the one that is given, if it is that version, or what was saved.

        Args:
            given: Rules by name.

        Raises:
            AppError: It holds Python functions, and the one that is given is another (code ``rule-unknown``).
        """
        rule = given.get(self.name)
        if rule is not None and (_kind(rule), rule_version(rule)) == (self.kind, self.version):
            return rule
        if self.text is None:
            raise AppError(
                f"the snapshot has state of rule `{self.name}`, which holds Python functions, in a version that is not "
                "given: give it as it was, or make a new RuleGroup and call join() with the history",
                code="rule-unknown",
                known=sorted(given),
            )
        return RULE_KINDS[self.kind].from_json(self.text)


class RuleDifferences(NamedTuple):
    """What tells rules that are given from those that were saved, by name.

    Attributes:
        new: Those that were not saved.
        changed: Those that were saved in another version.
        gone: Those that were saved and are not given.
    """

    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)


class SavedGroup(NamedTuple):
    """What a snapshot of a group says.

    Attributes:
        head: Its head.
        rules: Its rules, by name.
        engines: Snapshots of its engines.
    """

    head: dict[str, Any]
    rules: dict[str, SavedRule]
    engines: list[bytes]

    def differences(self, given: Mapping[str, Rule]) -> RuleDifferences:
        """What tells rules from those that were saved.

        Args:
            given: Rules by name.
        """
        changed = (name for name in given if name in self.rules)
        return RuleDifferences(
            tuple(name for name in given if name not in self.rules),
            tuple(name for name in changed if self.rules[name].version != rule_version(given[name])),
            tuple(name for name in self.rules if name not in given),
        )


def _kind(rule: Rule) -> str:
    return type(rule).__name__.lower()


def rule_text(rule: Rule) -> str | None:
    """What a rule says, as JSON; None if it holds Python functions.

    Args:
        rule: The rule.

    Raises:
        TypeError: It is no rule.

    Example:
        >>> import cepheid as cep
        >>> from cepheid.runtime.group_snapshot import rule_text
        >>> rule_text(cep.Processor(lambda batch: batch, "txn", name="same")) is None
        True
    """
    rule = checked_rule(rule)
    if isinstance(rule, Processor):
        return None
    try:
        return rule.to_json()
    except PatternError as error:
        if error.code != "not-serialisable":
            raise
        return None


def saved(
    rules: Mapping[str, Rule],
    disabled: frozenset[str],
    engines: Sequence[GroupEngine],
    snapshots: Sequence[bytes],
    clock: dict[str, Any],
) -> bytes:
    """A group as bytes.

    Args:
        rules: All rules, by name.
        disabled: Which of them are disabled.
        engines: Its engines.
        snapshots: A snapshot of each.
        clock: What the group itself knows, as plain data.
    """
    head = {
        "format": _FORMAT,
        "rules": [
            [name, _kind(rule), rule_version(rule), rule_text(rule), name not in disabled]
            for name, rule in rules.items()
        ],
        "engines": [
            {"bytes": len(blob), "rules": list(engine.rules), "owned": sorted(engine.owned), "sources": engine.sources}
            for engine, blob in zip(engines, snapshots, strict=True)
        ],
        **clock,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    digest = hashlib.sha256(text).digest()
    return b"".join([_MAGIC, len(text).to_bytes(8, "little"), digest, text, *snapshots])


def taken_apart(blob: bytes) -> SavedGroup:
    """What a snapshot of a group says.

    Args:
        blob: The snapshot.

    Raises:
        TypeError: It is not bytes.
        StoreError: It is no such snapshot, or damaged (code ``invalid-snapshot``), or of a newer
            version (code ``snapshot-version``).
    """
    if not isinstance(blob, (bytes, bytearray, memoryview)):
        raise TypeError(f"a snapshot is bytes, not {type(blob).__name__}")
    data = bytes(blob)
    begin = len(_MAGIC) + 40
    if not data.startswith(_MAGIC) or len(data) < begin:
        raise StoreError("this is no snapshot of a group of rules", code="invalid-snapshot")
    size = int.from_bytes(data[len(_MAGIC) : len(_MAGIC) + 8], "little")
    text = data[begin : begin + size]
    if len(text) != size or hashlib.sha256(text).digest() != data[begin - 32 : begin]:
        raise StoreError("the snapshot of a group of rules is damaged", code="invalid-snapshot")
    head = json.loads(text)
    if head["format"] != _FORMAT:
        raise StoreError(
            f"the snapshot is of format {head['format']}, which is newer: read it with the version that wrote it",
            code="snapshot-version",
        )
    engines, position = [], begin + size
    for engine in head["engines"]:
        engines.append(data[position : position + engine["bytes"]])
        position += engine["bytes"]
    if position != len(data):
        raise StoreError("the snapshot of a group of rules is damaged", code="invalid-snapshot")
    rules = [SavedRule(*entry) for entry in head["rules"]]
    return SavedGroup(head, {rule.name: rule for rule in rules}, engines)
