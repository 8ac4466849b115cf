"""Workflows: several steps about one event, and the way back if one of them cannot be done."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Generator, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from cepheid.actions.checking import checked_name, invalid_action
from cepheid.actions.protocol import is_coroutine_action
from cepheid.actions.workflow_state import (
    COMPENSATED,
    COMPENSATING,
    COMPENSATION_FAILED,
    DONE,
    RUNNING,
    WorkflowState,
    plain_result,
)
from cepheid.errors import ActionError

if TYPE_CHECKING:
    from cepheid.actions.protocol import ActionContext

__all__ = ["Step", "Workflow", "WorkflowError"]

StepFunction = Callable[[Mapping[str, Any], "ActionContext", Mapping[str, Any]], Any]
# What is to be called, with what: a workflow says it, and who runs it calls.
_Call = tuple[Callable[..., Any], tuple[Any, ...]]

_STEPS_MAX = 100
_MEMORY = "workflow"


class WorkflowError(ActionError):
    """A workflow that was not done to its end.

    Attributes:
        state: ``compensated``: what was done has been undone; ``compensation-failed``: something could not be undone;
            ``compensating``: something could not be undone yet, and the next attempt goes on with it.
        step: The step that could not be done; where `state` is ``compensating``, the one that could not be undone.
        failed: The steps that could not be undone.
    """

    default_code = "workflow-compensated"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        action: str | None = None,
        permanent: bool = False,
        retry_after: float | None = None,
        state: str = COMPENSATED,
        step: str | None = None,
        failed: Iterable[str] = (),
    ) -> None:
        super().__init__(message, code=code, hint=hint, action=action, permanent=permanent, retry_after=retry_after)
        self.state = state
        self.step = step
        self.failed = tuple(failed)


@final
@dataclasses.dataclass(frozen=True)
class Step:
    """A step of a workflow: what is done, and what undoes it.

    Both are functions, or coroutine functions, of the event, the context, and the results of the steps before by their
    names. In the context the key is the step's own: it is the same at every attempt for the step of this event, and
    another for `undo`. The results of `undo` have the step's own among them, if it gave one.

    Either can be called more than once for an event: a process may end after it has done something and before that is
    remembered. Whoever is called tells by the key.

    Attributes:
        name: Its name, one of its own in the workflow.
        do: Does it. What it returns is remembered: None, or what JSON has, up to 256 KiB.
        undo: Undoes it. None: there is nothing to undo.
        undo_if_unsure: Whether `undo` is also called if it is not known whether the step has been done, as the last
            attempt ended in a time-out, say. `undo` has then to bear that there is nothing to undo. An `ActionError`
            that is permanent says that it has not been done.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: The name is none, or `undo_if_unsure` goes without `undo` (code ``invalid-action``).

    Example:
        >>> from cepheid.actions import Step
        >>> Step("reserve", lambda event, context, results: {"reservation": 5}).name
        'reserve'
    """

    name: str
    do: StepFunction
    undo: StepFunction | None = None
    undo_if_unsure: bool = False

    def __post_init__(self) -> None:
        checked_name(self.name, "")
        if not self.name:
            raise TypeError("the name of a step is text, not NoneType")
        if not callable(self.do) or not (self.undo is None or callable(self.undo)):
            raise TypeError(f"what step {self.name!r} does, and what undoes it, are functions")
        if self.undo_if_unsure and self.undo is None:
            raise invalid_action(f"step {self.name!r} has nothing to undo if it is unsure; give undo=")


@final
class Workflow:
    """An action of several steps, one after the other, with compensation.

    What is done is remembered on the disk after each step (`ActionContext.memory`), so that neither another attempt nor
    a restart does it again. Where a step fails the attempt fails, and the next one goes on with that step. When there
    is no use in another attempt (an `ActionError` that is permanent, or the app gives up), what has been done is undone
    in reverse order, which is remembered, and tried again, in the same way.

    - **States**: ``done``; ``compensated``, and a `WorkflowError` says which step could not be done;
      ``compensation-failed``, if an `undo` said that it has no use to try again: the others are called all the same.
    - **Dead letters**: a workflow that is compensated ends as one. Given again, it runs anew, with other keys for its
      steps. One whose compensation failed first tries again to undo what is left.
    - **Coroutines**: with a coroutine function among the steps calls of the workflow are to be awaited; the others are
      then called in threads.
    - **Limits**: 100 steps. A step that was under way when the process ended is done again, with the same key; so is an
      `undo`.

    Args:
        name: The name of the action.
        steps: The steps. Their names are remembered: while events are under way steps may be added behind the others,
            and not be removed or renamed.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: There are no steps, too many, or two of one name (code ``invalid-action``).

    Example:
        >>> from cepheid.actions import Step, Workflow
        >>> def reserve(event, context, results):
        ...     return {"place": 12}
        >>> def charge(event, context, results):
        ...     return f"charged for place {results['reserve']['place']}"
        >>> Workflow("booking", [Step("reserve", reserve), Step("charge", charge)])
        Workflow('booking', steps=['reserve', 'charge'])
    """

    __slots__ = ("_steps", "is_coroutine", "name")

    #: The name under which it is saved what has been done.
    name: str
    #: Whether calls are to be awaited.
    is_coroutine: bool

    def __init__(self, name: str, steps: Iterable[Step]) -> None:
        if not isinstance(name, str):
            raise TypeError(f"the name of a workflow is text, not {type(name).__name__}")
        self.name = checked_name(name, "")
        listed = list(steps)
        for step in listed:
            if not isinstance(step, Step):
                raise TypeError(f"the steps of a workflow are Steps; one is {type(step).__name__}")
        if not 1 <= len(listed) <= _STEPS_MAX:
            raise invalid_action(f"a workflow has from 1 to {_STEPS_MAX} steps, not {len(listed)}")
        names = [step.name for step in listed]
        if twice := [step for step in names if names.count(step) > 1]:
            raise invalid_action(f"two steps have the name {twice[0]!r}")
        self._steps = {step.name: step for step in listed}
        self.is_coroutine = any(
            is_coroutine_action(function) for step in listed for function in (step.do, step.undo) if function
        )

    def __call__(self, event: Mapping[str, Any], context: ActionContext) -> Any:
        """Does what is left to do of the steps.

        Args:
            event: The event, by column.
            context: What an action is told.

        Returns:
            The results of the steps by their names; with coroutine functions something to await that gives them.

        Raises:
            WorkflowError: A step cannot be done, and what was done before it has been undone (code
                ``workflow-compensated``, permanent), has not been undone yet (``workflow-compensating``), or could not
                be (``workflow-compensation-failed``, permanent).
            ActionError: What is remembered does not fit the steps (code ``workflow-memory``, permanent).
            Exception: Whatever a step raised; another attempt goes on with it.
        """
        return self._run(self._attempt(event, context))

    def give_up(self, event: Mapping[str, Any], context: ActionContext, error: Exception) -> Any:
        """Undoes what has been done. The app calls it before the event becomes a dead letter.

        Args:
            event: The event, by column.
            context: That of the last attempt.
            error: Why it gives up.

        Returns:
            None; with coroutine functions something to await.

        Raises:
            WorkflowError: As for an attempt, but for ``workflow-compensated``, which is what is asked for.

        Example:
            >>> import datetime as dt
            >>> from cepheid.actions import ActionContext, Step, Workflow
            >>> class Remembered(dict):
            ...     put = dict.__setitem__
            >>> def reserve(event, context, results):
            ...     print("reserved")
            >>> def cancel(event, context, results):
            ...     print("cancelled")
            >>> def charge(event, context, results):
            ...     raise OSError("no answer")
            >>> booking = Workflow("booking", [Step("reserve", reserve, cancel), Step("charge", charge)])
            >>> now = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
            >>> context = ActionContext("booking", "k1", 1, "order.created", 7, now, None, Remembered())
            >>> try:
            ...     booking({}, context)
            ... except OSError as error:
            ...     booking.give_up({}, context, error)
            reserved
            cancelled
        """
        return self._run(self._giving_up(event, context, error))

    def _attempt(self, event: Mapping[str, Any], context: ActionContext) -> Generator[_Call, Any, Mapping[str, Any]]:
        state = yield from self._state(context)
        if state.state in (COMPENSATING, COMPENSATION_FAILED):
            yield from self._compensate(state, event, context)
            raise self._ended(state)
        if state.state == COMPENSATED:
            # It was given up on before, and is asked for again: the steps get keys of their own, as what has been
            # undone under the old ones is over.
            state = WorkflowState(state.run + 1)
        for step in self._steps.values():
            if step.name not in state.done:
                try:
                    yield from self._do(step, state, event, context)
                except ActionError as error:
                    if not error.permanent:
                        raise
                    yield from self._turn_back(state, step.name, error, context)
                    yield from self._compensate(state, event, context)
                    raise self._ended(state, step.name) from error
        if state.state != DONE:
            state.state = DONE
            yield self._remembered(state, context)
        return dict(state.results)

    def _giving_up(
        self, event: Mapping[str, Any], context: ActionContext, error: Exception
    ) -> Generator[_Call, Any, None]:
        state = yield from self._state(context)
        if state.state == RUNNING:
            at = next((name for name in self._steps if name not in state.done), None)
            yield from self._turn_back(state, at, error, context)
        if state.state == COMPENSATING:
            yield from self._compensate(state, event, context)
        if state.state == COMPENSATION_FAILED:
            raise self._ended(state)

    def _do(
        self, step: Step, state: WorkflowState, event: Mapping[str, Any], context: ActionContext
    ) -> Generator[_Call, Any, None]:
        unsure_before = step.name in state.begun
        if step.undo_if_unsure and not unsure_before:
            state.begun.append(step.name)
            yield self._remembered(state, context)
        try:
            result = yield step.do, (event, self._context(context, state, step, ""), _results(state))
        except ActionError as error:
            # It says that it has not been done; an attempt before may have been, and did not say so.
            if error.permanent and step.name in state.begun and not unsure_before:
                state.begun.remove(step.name)
            raise
        state.done.append(step.name)
        if step.name in state.begun:
            state.begun.remove(step.name)
        try:
            state.results[step.name] = plain_result(result, step.name, self.name)
        except ActionError:
            # Done it is, all the same.
            state.results[step.name] = None
            yield self._remembered(state, context)
            raise
        yield self._remembered(state, context)

    def _turn_back(
        self, state: WorkflowState, step: str | None, error: Exception, context: ActionContext
    ) -> Generator[_Call, Any, None]:
        state.state = COMPENSATING
        state.why = f"step `{step}`: {type(error).__name__}: {error}"[:1_000]
        yield self._remembered(state, context)

    def _compensate(
        self, state: WorkflowState, event: Mapping[str, Any], context: ActionContext
    ) -> Generator[_Call, Any, None]:
        # Where some could not be undone, it is asked for again.
        state.state = COMPENSATING
        state.done += state.failed
        state.failed = []
        unsure = [name for name in state.begun if name not in state.done]
        for name in reversed([name for name in self._steps if name in state.done or name in unsure]):
            step = self._steps[name]
            if step.undo is not None:
                try:
                    yield step.undo, (event, self._context(context, state, step, "/undo"), _results(state))
                except ActionError as error:
                    if not error.permanent:
                        raise self._not_undone(name, error, error.retry_after) from error
                    state.failed.append(name)
                except Exception as error:
                    raise self._not_undone(name, error, None) from error
            for names in (state.done, state.begun):
                if name in names:
                    names.remove(name)
            yield self._remembered(state, context)
        state.state = COMPENSATION_FAILED if state.failed else COMPENSATED
        yield self._remembered(state, context)

    def _state(self, context: ActionContext) -> Generator[_Call, Any, WorkflowState]:
        remembered = yield context.memory.get, (_MEMORY,)
        return WorkflowState.read(remembered, list(self._steps), self.name)

    def _remembered(self, state: WorkflowState, context: ActionContext) -> _Call:
        return context.memory.put, (_MEMORY, state.written())

    def _context(self, context: ActionContext, state: WorkflowState, step: Step, what: str) -> ActionContext:
        run = "" if state.run == 1 else f"/{state.run}"
        return dataclasses.replace(context, key=f"{context.key}{run}/{step.name}{what}")

    def _ended(self, state: WorkflowState, step: str | None = None) -> WorkflowError:
        begin = f"the workflow {self.name} could not be done, and what"
        if state.state == COMPENSATED:
            return WorkflowError(
                f"{begin} was done before has been undone: {state.why}", action=self.name, permanent=True, step=step
            )
        return WorkflowError(
            f"{begin} {', '.join(state.failed)} did could not be undone: {state.why}",
            code="workflow-compensation-failed",
            action=self.name,
            permanent=True,
            state=COMPENSATION_FAILED,
            step=step,
            failed=state.failed,
        )

    def _not_undone(self, step: str, error: Exception, retry_after: float | None) -> WorkflowError:
        return WorkflowError(
            f"the workflow {self.name} has not undone step `{step}` yet: {type(error).__name__}: {error}"[:1_000],
            code="workflow-compensating",
            action=self.name,
            retry_after=retry_after,
            state=COMPENSATING,
            step=step,
        )

    def _run(self, calls: Generator[_Call, Any, Any]) -> Any:
        return _awaited(calls) if self.is_coroutine else _called(calls)

    def __repr__(self) -> str:
        return f"Workflow({self.name!r}, steps={list(self._steps)!r})"


def _results(state: WorkflowState) -> Mapping[str, Any]:
    return MappingProxyType(state.results)


def _called(calls: Generator[_Call, Any, Any]) -> Any:
    """Makes the calls that a workflow asks for, here."""
    given: Any = None
    failed: BaseException | None = None
    try:
        while True:
            function, arguments = calls.send(given) if failed is None else calls.throw(failed)
            given, failed = None, None
            try:
                given = function(*arguments)
                if hasattr(given, "__await__"):
                    if hasattr(given, "close"):
                        given.close()
                    raise TypeError("a step gave something to await, and is no coroutine function; make it one")
            except BaseException as error:
                failed = error
    except StopIteration as end:
        return end.value


async def _awaited(calls: Generator[_Call, Any, Any]) -> Any:
    """The same in a coroutine: what would block is called in threads."""
    given: Any = None
    failed: BaseException | None = None
    try:
        while True:
            function, arguments = calls.send(given) if failed is None else calls.throw(failed)
            given, failed = None, None
            try:
                if is_coroutine_action(function):
                    given = await function(*arguments)
                else:
                    given = await asyncio.to_thread(function, *arguments)
                    if hasattr(given, "__await__"):
                        given = await given
            except BaseException as error:
                failed = error
    except StopIteration as end:
        return end.value
