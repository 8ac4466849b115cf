"""Whose turn it is: attempts are started by priority, and none is left out for good."""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, final

from cepheid.errors import ActionError
from cepheid.runtime.clock import Clock
from cepheid.runtime.executors import AttemptTimeout, Executor
from cepheid.runtime.follower import Follower
from cepheid.runtime.task import Outcome, Task
from cepheid.runtime.telling import code_of, told_of

__all__ = ["CURRENT_TASK", "Completion", "Dispatcher"]

#: The task that the code which runs is called for: what it publishes is of the same story.
CURRENT_TASK: contextvars.ContextVar[Task | None] = contextvars.ContextVar("cepheid_task", default=None)


class Completion(NamedTuple):
    """What came of an attempt.

    Attributes:
        task: The task.
        run: Which attempt.
        value: What it gave, made ready to be committed.
        error: What it raised; None: it succeeded.
    """

    task: Task
    run: int
    value: Any
    error: BaseException | None


@final
class Dispatcher:
    """Starts attempts, and takes what comes of them.

    Each follower has a share of the starts that doubles with each step of its priority (stride scheduling): those of a
    higher one go first, and those of the lowest still go. What one does not use the others have.

    Time: O(followers) a start. Space: O(1) a follower.

    Args:
        followers: Who is to be given events.
        executor: Where functions run.
        clock: The app's clock.
        workers: How many attempts may be under way at once, of all followers.
        call: Makes the call of an attempt.
        wake: Is called when an attempt has ended.
    """

    __slots__ = (
        "_abandoned",
        "_call",
        "_clock",
        "_completed",
        "_executor",
        "_running",
        "_virtual",
        "_wake",
        "_workers",
        "followers",
        "starts",
    )

    #: By name.
    followers: dict[str, Follower]
    #: Whether attempts are started; those under way go on.
    starts: bool

    def __init__(
        self,
        followers: Iterable[Follower],
        executor: Executor,
        clock: Clock,
        *,
        workers: int,
        call: Callable[[Task], Any],
        wake: Callable[[], None],
    ) -> None:
        self.followers = {follower.spec.name: follower for follower in followers}
        self._executor = executor
        self._clock = clock
        self._workers = workers
        self._call = call
        self._wake = wake
        self._completed: deque[Completion] = deque()
        # Attempts under way, by their tasks.
        self._running: dict[Task, Follower] = {}
        # Attempts whose time was over and that have not ended.
        self._abandoned = 0
        self._virtual = 0.0
        self.starts = True

    @property
    def running(self) -> int:
        """How many attempts are under way."""
        return len(self._running)

    def dispatch(self) -> int:
        """Starts what can be started; gives how many."""
        started = 0
        while not self._is_full:
            elapsed = self._clock.elapsed()
            ready = [one for one in self.followers.values() if one.next_start(elapsed) == 0.0]
            if not ready:
                return started
            follower = min(ready, key=lambda one: (max(one.pass_, self._virtual), one.spec.name))
            # Who has had nothing to do has saved nothing up.
            self._virtual = max(follower.pass_, self._virtual)
            follower.pass_ = self._virtual + 2.0**-follower.spec.priority
            self._start(follower, elapsed)
            started += 1
        return started

    def _start(self, follower: Follower, elapsed: float) -> None:
        task = follower.start(elapsed)
        self._running[task] = follower
        run = task.run

        def done(value: Any, error: BaseException | None) -> None:
            self._completed.append(Completion(task, run, value, error))
            self._wake()

        context = contextvars.copy_context()
        context.run(CURRENT_TASK.set, task)
        self._executor.run(lambda: context.run(self._call, task), done, follower.spec.timeout_s)

    def completions(self) -> list[Completion]:
        """Attempts that have ended since it was last asked; those whose time is over among them."""
        found = []
        while self._completed:
            completion = self._completed.popleft()
            if completion.task not in self._running or completion.run != completion.task.run:
                # It was given up before.
                self._abandoned = max(0, self._abandoned - 1)
                continue
            del self._running[completion.task]
            completion.task.follower.ended(completion.task)
            found.append(completion)
        elapsed = self._clock.elapsed()
        for task, follower in list(self._running.items()):
            limit = follower.spec.timeout_s
            if limit is not None and elapsed - task.started > limit + _GRACE_S:
                # A thread cannot be stopped. It counts as one that works until it has ended.
                del self._running[task]
                self._abandoned += 1
                follower.ended(task)
                found.append(Completion(task, task.run, None, AttemptTimeout()))
        return found

    def judge(self, completion: Completion) -> Outcome | None:
        """What an attempt has come to: an outcome, or None: there will be another."""
        task, _, _, error = completion
        follower, elapsed = task.follower, self._clock.elapsed()
        spec = follower.spec
        if error is None:
            if follower.breaker is not None:
                _, _, repeated = completion.value
                if repeated:
                    # Nothing was tried: that says nothing of what is behind the breaker.
                    follower.breaker._unasked()
                else:
                    follower.breaker.succeeded()
            if task.given_up is not None:
                follower.counts["dead"] += 1
                return Outcome(task, "dead", *_told(task.given_up, spec.timeout_s))
            follower.counts["done"] += 1
            return Outcome(task, "done")
        follower.counts["failed"] += 1
        if isinstance(error, AttemptTimeout):
            follower.counts["timed_out"] += 1
        if follower.breaker is not None:
            follower.breaker.failed(elapsed)
        made = task.attempts if task.given_up is None else task.undone
        permanent = task.let_go or (isinstance(error, ActionError) and error.permanent)
        if permanent or made > spec.retry.times:
            if task.given_up is None and hasattr(spec.function, "give_up") and isinstance(error, Exception):
                # What it has begun is taken back first.
                task.given_up = error
                follower.again(task, elapsed)
                return None
            follower.counts["dead"] += 1
            return Outcome(task, "dead", *_told(error, spec.timeout_s))
        delay = spec.retry.delay(made)
        if isinstance(error, ActionError) and error.retry_after is not None:
            delay = _pause(error.retry_after, delay)
        follower.counts["retried"] += 1
        follower.again(task, elapsed + delay)
        return None

    def next_due(self) -> float | None:
        """How long until something can be started or is over, in seconds; None: nothing is in sight."""
        elapsed = self._clock.elapsed()
        found = [] if self._is_full else [one.next_start(elapsed) for one in self.followers.values()]
        for task, follower in self._running.items():
            if follower.spec.timeout_s is not None:
                found.append(max(0.0, task.started + follower.spec.timeout_s + _GRACE_S - elapsed))
        due = [wait for wait in found if wait is not None]
        return min(due) if due else None

    @property
    def _is_full(self) -> bool:
        return not self.starts or len(self._running) + self._abandoned >= self._workers

    def close(self) -> None:
        """Starts nothing more."""
        self._executor.close()


def _pause(asked: Any, delay: float) -> float:
    """How long to wait if an action says how long: a number that is none, or has no end, is not minded."""
    try:
        pause = float(asked)
    except (TypeError, ValueError, OverflowError):
        return delay
    return min(max(0.0, pause), _PAUSE_MAX_S) if pause == pause else delay


# What an action may ask for at most before it is tried again.
_PAUSE_MAX_S = 365 * 86_400.0
# Coroutines are cancelled when their time is over and say so themselves; only who does not is given up from outside.
_GRACE_S = 0.25


def _told(error: BaseException, timeout_s: float | None) -> tuple[str, str]:
    if isinstance(error, AttemptTimeout):
        return "timeout", f"it was not done after {timeout_s:g} s"
    return code_of(error, "failed"), told_of(error)
