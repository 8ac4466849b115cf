"""What a workflow remembers of an event between attempts."""

from __future__ import annotations

import json
from typing import Any, Final, final

from cepheid.errors import ActionError

__all__ = ["COMPENSATED", "COMPENSATING", "COMPENSATION_FAILED", "DONE", "RUNNING", "WorkflowState"]

#: Steps are being done.
RUNNING: Final = "running"
#: All of them are.
DONE: Final = "done"
#: What was done is being undone.
COMPENSATING: Final = "compensating"
#: All of it is undone.
COMPENSATED: Final = "compensated"
#: What could be undone is; something could not.
COMPENSATION_FAILED: Final = "compensation-failed"

_STATES = (RUNNING, DONE, COMPENSATING, COMPENSATED, COMPENSATION_FAILED)
_FORMAT = 1
# Of one step: a workflow remembers all of its results with each step.
_RESULT_BYTES_MAX = 262_144


@final
class WorkflowState:
    """Which steps of a run are done, with what results, and which are undone; JSON when it is remembered.

    Attributes:
        run: Which run it is, from 1: after one that was compensated comes another.
        state: One of the five.
        results: By step what it gave.
        done: The steps that are done and not undone, in the order in which they were done.
        begun: The steps of which it is not known whether they have been done.
        failed: The steps that could not be undone.
        why: What made it compensate.
    """

    __slots__ = ("begun", "done", "failed", "results", "run", "state", "why")

    def __init__(self, run: int = 1) -> None:
        self.run = run
        self.state: str = RUNNING
        self.results: dict[str, Any] = {}
        self.done: list[str] = []
        self.begun: list[str] = []
        self.failed: list[str] = []
        self.why = ""

    @classmethod
    def read(cls, remembered: bytes | None, steps: list[str], action: str) -> WorkflowState:
        """What was remembered; nothing: a first run.

        Raises:
            ActionError: It is of a workflow with other steps, or no state at all (code ``workflow-memory``, permanent).
        """
        state = cls()
        if remembered is None:
            return state
        try:
            read = json.loads(remembered)
            known = read["format"] == _FORMAT and read["state"] in _STATES
            for name in cls.__slots__:
                setattr(state, name, read[name])
            known = known and {*state.done, *state.begun, *state.failed} <= set(steps)
        except (ValueError, KeyError, TypeError):
            known = False
        if not known:
            raise ActionError(
                f"{action}: what is remembered of the event is of a workflow with other steps; give back the ones that "
                "it has begun with, or discard the event",
                code="workflow-memory",
                action=action,
                permanent=True,
            )
        return state

    def written(self) -> bytes:
        """It, to be remembered."""
        parts = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({"format": _FORMAT, **parts}, separators=(",", ":")).encode()


def plain_result(value: Any, step: str, action: str) -> Any:
    """What a step gave as it will be read after a restart: other steps must not see more before one.

    Raises:
        ActionError: It is nothing that JSON has, or too much (code ``workflow-result``, permanent).
    """
    problem = None
    try:
        text = json.dumps(value, allow_nan=False)
        plain = json.loads(text)
        if len(text) > _RESULT_BYTES_MAX:
            problem = f"has {len(text)} bytes as JSON; {_RESULT_BYTES_MAX} are remembered at most"
    except (TypeError, ValueError, RecursionError) as error:
        plain, problem = None, f"is nothing that JSON has: {str(error)[:200]}"
    if problem:
        raise ActionError(
            f"{action}: what step `{step}` gave {problem}; it is remembered for the steps behind it",
            code="workflow-result",
            action=action,
            permanent=True,
        )
    return plain
