"""Rules of a folder in an app that runs: what is changed in the folder is changed in the app."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, final

from cepheid.errors import AppError, CepheidError
from cepheid.runtime.rules_folder import FolderChange, RulesFolder

if TYPE_CHECKING:
    from cepheid.engine_options import Rule
    from cepheid.runtime.running import Running

__all__ = ["RulesWatcher"]

_LOG = logging.getLogger("cepheid.app")


@final
class RulesWatcher:
    """Looks at a folder of rules now and then, and has an app follow it.

    Args:
        folder: The folder.
        own: Names of rules that the program has itself, which no file may take.
    """

    __slots__ = ("_ends", "_folder", "_own", "_thread", "refused")

    #: What was refused when the app was started, to be written down once it runs.
    refused: list[FolderChange]

    def __init__(self, folder: RulesFolder, own: set[str]) -> None:
        self._folder = folder
        self._own = own
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        self.refused = []

    def first(self) -> tuple[dict[str, Rule], set[str]]:
        """The rules that the folder has when the app is started, and the names of those that are disabled."""
        for change in self._folder.scan():
            if change.kind == "refused":
                self.refused.append(change)
            elif change.name in self._own:
                self.refused.append(self._taken(change))
        rules = {name: rule for name, rule in self._folder.rules.items() if name not in self._own}
        return rules, {name for name in self._folder.disabled if name in rules}

    def start(self, running: Running) -> None:
        """Begins to follow the folder, in a thread."""
        for change in self.refused:
            self._apply(running, change)
        self.refused = []
        self._thread = threading.Thread(target=self._watch, args=(running,), name="cepheid-rules", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self, running: Running) -> None:
        while not self._ends.wait(max(0.01, self._folder.poll_seconds)):
            try:
                self.look(running)
            except AppError as error:
                # The folder is gone for now: the rules stay as they are.
                _LOG.warning("%s", error)
            except CepheidError:
                # The app has failed; who runs it is told.
                return

    def look(self, running: Running) -> None:
        """Looks at the folder once, and changes what is not as it was."""
        for change in self._folder.scan():
            self._apply(running, self._taken(change) if change.name in self._own else change)

    def _taken(self, change: FolderChange) -> FolderChange:
        error = AppError(f"the program has a rule `{change.name}` of its own", code="rule-file")
        return change._replace(kind="refused", rule=None, error=error)

    def _apply(self, running: Running, change: FolderChange) -> None:
        name, rule = change.name, change.rule
        if change.kind != "refused":
            try:
                if change.kind in ("added", "replaced") and rule is not None:
                    is_there = name in running.pipeline.rules.rules
                    running.change_rules(
                        change.kind,
                        name,
                        rule,
                        lambda group, past: group.replace(name, rule, past) if is_there else group.add(rule, past),
                        author=str(change.path.name),
                    )
                elif change.kind == "removed":
                    running.change_rules("removed", name, None, lambda group, _: group.remove(name))
                elif change.kind == "disabled":
                    running.change_rules("disabled", name, rule, lambda group, _: group.disable(name))
                else:
                    running.change_rules("enabled", name, rule, lambda group, past: group.enable(name, past))
                return
            except CepheidError as error:
                if running.failure is not None:
                    raise
                change = change._replace(kind="refused", error=error)
        _LOG.warning("rule file %s is refused: %s", change.path.name, change.error)
        running.note_refusal(name, change.text, str(change.error))
