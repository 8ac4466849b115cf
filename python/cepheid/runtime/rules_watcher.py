"""Rules of a folder in an app that runs: what is changed in the folder is changed in the app."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, final

from cepheid.errors import AppError, CepheidError
from cepheid.runtime.group_engine import readers_first
from cepheid.runtime.own_topics import RULE, check_rule_topics
from cepheid.runtime.rule_links import RuleLinks
from cepheid.runtime.rules_folder import DISABLED, FolderChange, RulesFolder

if TYPE_CHECKING:
    from cepheid.engine_options import Rule
    from cepheid.runtime.rule_group import RuleGroup
    from cepheid.runtime.rule_history import History
    from cepheid.runtime.running import Running

__all__ = ["RulesWatcher"]

_LOG = logging.getLogger("cepheid.app")

# How often a folder is looked at for files that are being written when the app is started, and how long apart at most.
_FIRST_LOOKS = 5
_FIRST_WAIT_S = 1.0


@final
class RulesWatcher:
    """Looks at a folder of rules now and then, and has an app follow it.

    Args:
        folder: The folder.
        own: Names of rules that the program has itself, which no file may take.
    """

    __slots__ = ("_ahead", "_ends", "_files", "_folder", "_own", "_thread", "refused")

    #: What was refused when the app was started, to be written down once it runs.
    refused: list[FolderChange]

    def __init__(self, folder: RulesFolder, own: set[str]) -> None:
        self._folder = folder
        self._own = own
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        # What has been seen of the folder and is still to be changed.
        self._ahead: list[FolderChange] = []
        # What the first look found, by rule.
        self._files: dict[str, FolderChange] = {}
        self.refused = []

    def first(self) -> tuple[dict[str, Rule], set[str]]:
        """The rules that the folder has when the app is started, and the names of those that are disabled.

        Files that have just been written are waited for: their rules would be gone for a while, with what they know.
        """
        changes = self._folder.scan()
        for _ in range(_FIRST_LOOKS):
            if self._folder.is_settled:
                break
            time.sleep(min(_FIRST_WAIT_S, self._folder.poll_seconds))
            changes += self._folder.scan()
        checked = [self._checked(change) for change in changes]
        self.refused = [change for change in checked if change.kind == "refused"]
        self._files = {change.name: change for change in checked if change.kind == "added"}
        rules = {name: rule for name, rule in self._folder.rules.items() if name in self._files}
        return rules, {name for name in self._folder.disabled if name in rules}

    def start(self, running: Running) -> None:
        """Begins to follow the folder, in a thread."""
        for change in [*self.refused, *self._enabled_since(running)]:
            self._apply(running, change)
        self.refused = []
        self._thread = threading.Thread(target=self._watch, args=(running,), name="cepheid-rules", daemon=True)
        self._thread.start()

    def _enabled_since(self, running: Running) -> list[FolderChange]:
        """Rules that their files disabled when the app ran last, and do so no more; not those that others disabled."""
        off = running.pipeline.rules.disabled & self._files.keys() - self._folder.disabled - self._own
        if not off:
            return []
        # When the app is started its files disable rules without a word.
        by = dict.fromkeys(off, DISABLED)
        told = running.store.read(RULE).to_arrow().select(["kind", "rule", "author"]).to_pylist()
        for one in told:
            if one["rule"] in off and one["kind"] in ("added", "enabled"):
                by[one["rule"]] = DISABLED
            elif one["rule"] in off and one["kind"] in ("disabled", "failed"):
                by[one["rule"]] = one["author"]
        return [self._files[name]._replace(kind="enabled") for name in sorted(off) if by[name].endswith(DISABLED)]

    def stop(self) -> None:
        """Ends it."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, running: Running) -> None:
        while not self._ends.wait(max(0.01, self._folder.poll_seconds)):
            try:
                self.look(running)
            except CepheidError as error:
                if running.failure is not None:
                    # Who runs the app is told.
                    return
                # The folder is gone for now, or the disk is full: the rules stay as they are.
                _LOG.warning("%s", error)

    def look(self, running: Running) -> None:
        """Looks at the folder once, and changes what is not as it was."""
        if not self._ahead:
            self._ahead = _readers_first(self._folder.scan(), running.pipeline.rules.rules)
        while self._ahead:
            change = self._ahead[0]
            if change.kind != "removed" or change.name not in self._own:
                self._apply(running, self._checked(change))
            self._ahead.pop(0)

    def _checked(self, change: FolderChange) -> FolderChange:
        """A change, or that it is refused: the app cannot have the rule."""
        try:
            if change.name in self._own:
                raise AppError(f"the program has a rule `{change.name}` of its own", code="rule-file")
            if change.rule is not None:
                check_rule_topics(change.rule)
        except AppError as error:
            return change._replace(kind="refused", rule=None, error=error)
        return change

    def _apply(self, running: Running, change: FolderChange) -> None:
        if change.kind != "refused":
            try:
                running.change_rules(change.kind, change.name, change.rule, self._made(change), author=change.path.name)
                return
            except CepheidError as error:
                # That the disk is full is no fault of the rule: it is tried again.
                if running.failure is not None or error.code == "disk-full":
                    raise
                change = change._replace(kind="refused", error=error)
        _LOG.warning("rule file %s is refused: %s", change.path.name, change.error)
        running.note_refusal(change.name, change.text, str(change.error))

    def _made(self, change: FolderChange) -> Callable[[RuleGroup, History], Any]:
        """What changes rules so."""
        name, rule = change.name, change.rule
        if change.kind == "removed":
            return lambda group, _: group.remove(name)
        if change.kind == "disabled":
            return lambda group, _: group.disable(name)
        if change.kind == "enabled" or rule is None:
            return lambda group, past: group.enable(name, past)
        # One that its file disables never runs at all; what somebody else has disabled stays so.
        off = self._folder.disabled & {name}
        return lambda group, past: group.change({**group.rules, name: rule}, past, disabled=group.disabled | off)


def _readers_first(changes: list[FolderChange], rules: Mapping[str, Rule]) -> list[FolderChange]:
    """Changes in an order in which they can be made: no rule goes before those that read it.

    That a file is gone whose rule was refused when it came changes nothing.
    """
    changes = [change for change in changes if change.kind != "removed" or change.name in rules]
    going = {change.name for change in changes if change.kind in ("removed", "disabled")} & rules.keys()
    places = {name: place for place, name in enumerate(readers_first(RuleLinks(rules), going))}
    return sorted(changes, key=lambda change: places.get(change.name, len(places)))
