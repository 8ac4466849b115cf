"""Putting engines back that have taken what another one refused: from when they were last saved, done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

from cepheid.runtime.group_engine import GroupEngine, Output

__all__ = ["Redo", "tell"]

# So many rows, or calls, are kept at most before engines are saved anew.
_ROWS_MAX = 65_536
_CALLS_MAX = 1024

Call = Callable[[GroupEngine], list[Output]]


@final
class Redo:
    """What engines were when they were last saved, and what they have been told since.

    Args:
        restore: Makes the engine at a place of a group again, of what was saved.
    """

    __slots__ = ("_calls", "_restore", "_rows", "_saved")

    def __init__(self, restore: Callable[[GroupEngine, bytes], GroupEngine]) -> None:
        self._restore = restore
        self._saved: list[bytes] = []
        self._calls: list[Call] = []
        self._rows = 0

    def save(self, engines: Sequence[GroupEngine], saved: list[bytes] | None = None) -> None:
        """Saves engines as they are. What they have been told before is forgotten.

        Args:
            engines: The engines.
            saved: What has just been saved of them, if it has.
        """
        self._saved = [engine.engine.snapshot() for engine in engines] if saved is None else saved
        self._calls = []
        self._rows = 0

    def told(self, engines: Sequence[GroupEngine], call: Call, rows: int) -> None:
        """Keeps what all of some engines have been told.

        Args:
            engines: The engines.
            call: What tells an engine.
            rows: How many rows it brings.
        """
        self._calls.append(call)
        self._rows += rows
        if self._rows >= _ROWS_MAX or len(self._calls) >= _CALLS_MAX:
            self.save(engines)

    def put_back(self, engine: GroupEngine, place: int) -> GroupEngine:
        """The engine at a place as it was before a call that another refused.

        Args:
            engine: The engine, which has taken it.
            place: Its place.
        """
        fresh = self._restore(engine, self._saved[place])
        for call in self._calls:
            call(fresh)
        return fresh


def tell(engines: list[GroupEngine], redo: Redo, call: Call, rows: int) -> list[Any]:
    """Tells all engines, or none; gives what they derive.

    Args:
        engines: The engines; one that had to be put back stands in the place of the one that was.
        redo: What they have been told before.
        call: What tells an engine.
        rows: How many rows it brings.

    Raises:
        CepheidError: One of them refuses it. They are as they were.
    """
    found: list[Any] = []
    for place, engine in enumerate(engines):
        try:
            found += call(engine)
        except BaseException:
            for before in range(place):
                engines[before] = redo.put_back(engines[before], before)
            raise
    if len(engines) > 1:
        redo.told(engines, call, rows)
    return found
