"""The app's heart: one thread that commits what comes, and has followers given what they are to be given.

    round
      ▼ completions    what has become of attempts: done, once more, or given up
      │ dispatch       others start, and run while the next steps are under way
      │ commands       what the program asks for: rules, dead letters
      │ commit         what waits in the inbox, outcomes among it, once it has waited for more as long as it may
      │ clock          the watermark moves on while nothing comes
      │ fill           followers read on
      ▼ dispatch       attempts start

All that it knows is touched by this thread alone, so that nothing of it needs a lock; in a test that is the test's own.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from cepheid.errors import AppError, StoreError
from cepheid.runtime.batching import AdaptiveBatching
from cepheid.runtime.clock import Clock
from cepheid.runtime.dispatcher import Completion, Dispatcher
from cepheid.runtime.inbox import Inbox, Submission
from cepheid.runtime.missing_history import noting_missing
from cepheid.runtime.outcomes import add_outcomes
from cepheid.runtime.own_topics import rejections
from cepheid.runtime.pipeline import Append, Change, Pipeline
from cepheid.runtime.task import Outcome
from cepheid.runtime.telling import code_of, storable, told_of

if TYPE_CHECKING:
    from cepheid.store.event_store import EventStore
    from cepheid.store.transaction import Transaction

__all__ = ["Core"]

# How long is waited before it is tried again to write to a full disk.
_DISK_PAUSE_S = 1.0
# How long what handlers have done may wait for more of it: nobody waits for that, and one sync of the disk carries all.
_OUTCOMES_WAIT_S = 0.005
_OUTCOMES_MAX = 1024
# Others may append to the store: how often it is looked.
_LOOK_AGAIN_S = 0.25
#: What the disk has no room for is kept, and tried again.
_FULL = "disk-full"
# What the store says of what it was given, and not of itself: whoever gave it is told, and the app goes on.
_OF_ROWS = frozenset(
    (
        "invalid-name",
        "key-reused",
        "reserved-column",
        "schema-conflict",
        "too-long",
        "unprotectable",
        "version-conflict",
    )
)


@final
class Core:
    """See the module.

    Args:
        name: The app's name.
        store: Its store.
        pipeline: What commits.
        inbox: What is to be committed.
        dispatcher: What starts attempts.
        batching: How many rows go together.
        clock: The app's clock.
        quiet: How long nothing comes before the watermark moves on with the clock, and how far behind it stays; None:
            it does not.
        lateness: How late events may come.
        new_id: Gives ids.
        looks_again: Whether it is looked now and then if others have appended to the store.
    """

    __slots__ = (
        "_batching",
        "_came",
        "_clock",
        "_commands",
        "_dispatcher",
        "_end",
        "_end_known",
        "_ends",
        "_hurries",
        "_inbox",
        "_last_arrival",
        "_lateness",
        "_looks_again",
        "_moved_at",
        "_name",
        "_new_id",
        "_over",
        "_pipeline",
        "_quiet",
        "_rows_wanted",
        "_store",
        "_thread",
        "_topics",
        "_watermark",
        "failure",
        "on_failure",
    )

    #: What has ended it; None: nothing has.
    failure: BaseException | None
    #: Is told when it fails.
    on_failure: Callable[[BaseException], None] | None

    def __init__(
        self,
        name: str,
        store: EventStore,
        pipeline: Pipeline,
        inbox: Inbox,
        dispatcher: Dispatcher,
        batching: AdaptiveBatching,
        clock: Clock,
        *,
        quiet: dt.timedelta | None,
        lateness: dt.timedelta | None,
        new_id: Callable[[], str],
        looks_again: bool,
    ) -> None:
        self._name = name
        self._store = store
        self._pipeline = pipeline
        self._inbox = inbox
        self._dispatcher = dispatcher
        self._batching = batching
        self._clock = clock
        self._quiet = quiet
        self._lateness = lateness
        self._new_id = new_id
        self._looks_again = looks_again
        self._commands: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._ends = False
        self._thread: threading.Thread | None = None
        self._last_arrival = clock.elapsed()
        # How many submissions had come when the last round ended, and how many rows are to wait before the next.
        self._came = self._rows_wanted = 0
        # Whether what an action has done is to be written down: it would be done again after a crash.
        self._hurries = False
        # Whether its thread has ended.
        self._over = False
        # When the clock was moved last.
        self._moved_at = clock.elapsed()
        self._watermark = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._topics: set[str] = set()
        # The position after the last event, as far as it is known, and when it was looked.
        self._end = -1
        self._end_known = 0.0
        self._look()
        self.failure = None
        self.on_failure = None

    # Its thread.

    def start(self) -> None:
        """Begins to run in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name=f"cepheid-{self._name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._ends:
                wait = self.round()
                if not self._ends and wait != 0.0:
                    self._inbox.wait(wait, self._came, self._rows_wanted)
        except BaseException as error:
            self._fail(error)
        self._over = True
        self._answer(AppError(f"app `{self._name}` has been closed", code="app-closed"))

    def _answer(self, error: BaseException) -> None:
        """Whoever has asked for something gets an answer."""
        while self._commands:
            self._commands.popleft()[1].set_exception(error)

    def _fail(self, error: BaseException) -> None:
        self.failure = error
        for submission in self._inbox.close(error):
            submission.ticket.fail(error)
        self._answer(error)
        if self.on_failure is not None:
            self.on_failure(error)

    def stop(self) -> None:
        """Ends its thread, after the round under way."""
        self._ends = True
        self._inbox.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None

    def ask(self, command: Callable[[], Any]) -> Any:
        """Has its thread do something between two rounds, and gives what came of it."""
        if self._thread is threading.current_thread() or not self._looks_again:
            return command()
        if self.failure is not None:
            raise self.failure
        future: Future[Any] = Future()
        self._commands.append((command, future))
        self._inbox.wake()
        while True:
            try:
                return future.result(timeout=_LOOK_AGAIN_S)
            except TimeoutError:
                if future.done():
                    continue
                if self.failure is not None:
                    raise self.failure from None
                if self._over or self._thread is None:
                    raise AppError(f"app `{self._name}` has been closed", code="app-closed") from None

    # A round.

    def round(self) -> float | None:
        """One round; gives how long nothing is to be done after it, in seconds: 0: there is more; None: for ever."""
        self._complete()
        self._dispatcher.dispatch()
        while self._commands:
            command, future = self._commands.popleft()
            try:
                future.set_result(command())
            except BaseException as error:
                future.set_exception(error)
        if not self._until_commit():
            self.commit_some()
        self._move_clock()
        behind = self._fill()
        self._park()
        self._dispatcher.dispatch()
        if behind:
            return 0.0
        self._came = self._inbox.came
        waits = [self._dispatcher.next_due(), self._until_moved(), self._until_looked()]
        if len(self._inbox):
            waits.append(self._until_commit())
        # Those that come while others wait for more wait with them.
        self._rows_wanted = self._batching.rows_max if self._inbox.rows else 0
        due = [wait for wait in waits if wait is not None]
        return min(due) if due else None

    def _until_commit(self) -> float:
        """How long what waits in the inbox waits for more to be committed with it, in seconds."""
        inbox = self._inbox
        if inbox.rows:
            linger = 0.0 if inbox.rows >= self._batching.rows_max else self._batching.linger_s
        else:
            more = self._dispatcher.running and not self._hurries and len(inbox) < _OUTCOMES_MAX
            linger = _OUTCOMES_WAIT_S if more else 0.0
        return max(0.0, inbox.arrived + linger - self._clock.elapsed()) if linger else 0.0

    def _until_looked(self) -> float | None:
        return _LOOK_AGAIN_S if self._looks_again and self._dispatcher.followers else None

    def _complete(self) -> None:
        for completion in self._dispatcher.completions():
            outcome = self._dispatcher.judge(completion)
            if outcome is not None:
                self._hurries |= outcome.task.follower.spec.is_action
                self._inbox.put(self._submission(completion, outcome), at=self._clock.elapsed(), wait=False)

    def _submission(self, completion: Completion, outcome: Outcome) -> Submission:
        if outcome.what != "done" or completion.value is None:
            return Submission(outcome=outcome)
        batches, rejected, repeated = completion.value
        if repeated:
            outcome.task.follower.counts["repeated"] += 1
            outcome = outcome._replace(what="repeated")
        return Submission(batches=batches, rejected=rejected, outcome=outcome)

    def _park(self) -> None:
        for follower in self._dispatcher.followers.values():
            if follower.parking:
                parking, follower.parking = follower.parking, []
                for task in parking:
                    if task.unfit is None:
                        reason = f"an event of key `{task.key}` before it was given up"
                        outcome = Outcome(task, "parked", "parked", reason)
                    else:
                        follower.counts["dead"] += 1
                        outcome = Outcome(task, "dead", code_of(task.unfit, "failed"), storable(str(task.unfit)))
                    self._inbox.put(Submission(outcome=outcome), at=self._clock.elapsed(), wait=False)

    def commit_some(self) -> int:
        """Commits what waits, up to a batch; gives how many submissions."""
        taken = self._inbox.take(self._batching.rows_max)
        self._hurries = False
        if not taken:
            self._save_idle_followers()
            return 0
        started = self._clock.elapsed()
        dealt_with = self._commit(taken)
        if dealt_with < len(taken):
            # What has come waits until there is room on the disk, and so does who brings more.
            self._inbox.put_back(taken[dealt_with:])
            taken = taken[:dealt_with]
            self._inbox.pause(_DISK_PAUSE_S)
        rows = sum(submission.rows for submission in taken)
        if rows and any(submission.outcome is None for submission in taken):
            self._last_arrival = self._clock.elapsed()
        self._batching.observe(started=started, ended=self._clock.elapsed(), rows=rows, waiting=self._inbox.rows)
        return len(taken)

    def _commit(self, taken: Sequence[Submission]) -> int:
        """Commits what was taken; gives how much of it is dealt with: not all if the disk is full."""
        try:
            self._pipeline.commit(taken, self._settle)
        except Exception as error:
            return self._not_committed(taken, error)
        except BaseException as error:
            self._refuse(taken, error)
            raise
        outcomes = [submission.outcome for submission in taken if submission.outcome is not None]
        for follower in dict.fromkeys(outcome.task.follower for outcome in outcomes):
            follower.committed(outcome for outcome in outcomes if outcome.task.follower is follower)
        self._tell_followers()
        return len(taken)

    def _not_committed(self, taken: Sequence[Submission], error: Exception) -> int:
        """Nothing of it has been written: the fault of one of them, or of the store."""
        try:
            of_store = isinstance(error, StoreError) and error.code not in _OF_ROWS
            if isinstance(error, MemoryError) or (of_store and not self._is_full(error)):
                raise error
            self._pipeline.recover()
            if of_store:
                return 0
            if len(taken) == 1:
                return self._refused(taken[0], error)
            # One of them is at fault.
            for place, submission in enumerate(taken):
                if not self._commit([submission]):
                    return place
            return len(taken)
        except BaseException as fatal:
            self._refuse(taken, fatal)
            raise

    def _is_full(self, error: Exception) -> bool:
        """Whether the disk is full, and whoever commits can wait: in a test nothing would make room meanwhile."""
        return isinstance(error, StoreError) and error.code == _FULL and self._looks_again

    def _refused(self, submission: Submission, error: Exception) -> int:
        """One that cannot be committed, whatever comes with it: what it brought is told of, and the app goes on."""
        code, reason = code_of(error, "failed"), told_of(error)
        if submission.outcome is not None:
            if submission.outcome.what == "dead":
                raise error
            # What a handler gave cannot be stored: it has failed.
            outcome = submission.outcome._replace(what="dead", code=code, reason=reason)
            return self._commit([Submission(outcome=outcome)])
        if not submission.batches:
            submission.ticket.fail(error)
            return 1
        rejected = [*submission.rejected]
        for topic, table in submission.batches:
            rejected += rejections(topic, table, submission.source or self._name, code, reason)
        return self._commit([replace(submission, batches=[], rejected=rejected)])

    @staticmethod
    def _refuse(taken: Sequence[Submission], error: BaseException) -> None:
        for submission in taken:
            submission.ticket.fail(error)

    def _settle(self, changes: Transaction, outcomes: Sequence[Outcome], append: Append) -> None:
        add_outcomes(changes, outcomes, app=self._name, now=self._pipeline.now, new_id=self._new_id, append=append)

    def _save_idle_followers(self) -> None:
        idle = [one for one in self._dispatcher.followers.values() if one.worth_saving]
        if not idle:
            return
        try:
            with self._store.transaction() as changes:
                for follower in idle:
                    follower.save_to(changes)
        except StoreError as error:
            # It only spares work after a restart.
            if not self._is_full(error):
                raise

    def change_rules(self, change: Change | None, changed: Sequence[dict[str, Any]]) -> None:
        """Changes rules, in its own thread. See `Pipeline.change_rules`."""
        try:
            self._pipeline.change_rules(noting_missing(change, changed), changed, self._settle)
            self._tell_followers()
        except StoreError as error:
            # They have changed, and it could not be written; whatever else is wrong with the store ends the app.
            if error.code == _FULL or error.code in _OF_ROWS:
                self._pipeline.recover()
            raise

    # The clock.

    def _until_moved(self) -> float | None:
        """How long until the clock is to move on, in seconds; None: it does not."""
        if self._quiet is None or not self._pipeline.live or not self._pipeline.rules.reads():
            # No rule waits for anything.
            return None
        quiet = self._quiet.total_seconds()
        # Once it is quiet the clock moves on in steps of a tenth, and of a second at most.
        step = max(0.01, min(1.0, quiet / 10))
        elapsed = self._clock.elapsed()
        if self._lateness is None:
            # Nothing but the clock moves time: while events come, too.
            return max(0.0, step - (elapsed - self._moved_at))
        if self._inbox.rows:
            # What has come is older than the clock would be.
            return None
        since = elapsed - self._last_arrival
        return quiet - since if since < quiet else max(0.0, step - (elapsed - self._moved_at))

    def _move_clock(self) -> None:
        if self._quiet is None or self._until_moved() != 0.0:
            return
        self._moved_at = self._clock.elapsed()
        watermark = self._clock.now() - self._quiet - (self._lateness or dt.timedelta())
        if watermark <= self._watermark:
            return
        try:
            self._pipeline.advance(watermark, self._settle)
        except StoreError as error:
            if not self._is_full(error):
                raise
            self._pipeline.recover()
            return
        self._watermark = watermark
        self._tell_followers()

    # Followers.

    def _fill(self) -> bool:
        """Has followers read on; gives whether there is more for one that has room."""
        if self._clock.elapsed() - self._end_known >= _LOOK_AGAIN_S or not self._looks_again:
            self._look()
        behind = [one for one in self._dispatcher.followers.values() if one.is_behind(self._end)]
        for follower in behind:
            follower.fill(self._topics, self._end)
        return any(one.is_behind(self._end) for one in behind)

    def _look(self) -> None:
        """Looks where the store ends: others may have appended to it."""
        end = self._store.end
        self._end_known = self._clock.elapsed()
        if end != self._end:
            self._end = end
            self._topics = set(self._store.info().topics)

    def _tell_followers(self) -> None:
        """Those that have read all there was are given what has just been committed, and need not read it."""
        appended = self._pipeline.appended
        if not appended:
            return
        begin, end = appended[0][0].first, appended[-1][0].end
        self._topics.update(position.topic for position, _ in appended)
        if begin == self._end:
            self._end = end
            for follower in self._dispatcher.followers.values():
                follower.offer(begin, end, appended)
        else:
            # Somebody else has appended in between.
            self._look()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing waits that could start now."""
        return (
            not len(self._inbox)
            and not self._dispatcher.running
            and not self._commands
            and self._dispatcher.next_due() != 0.0
            and not any(one.is_behind(self._end) or one.parking for one in self._dispatcher.followers.values())
        )

    @property
    def is_done(self) -> bool:
        """Whether all that has come has been dealt with: nothing waits for another attempt either."""
        return self.is_idle and not any(one.waiting for one in self._dispatcher.followers.values())

    def commit_last(self, submissions: list[Submission]) -> None:
        """Commits what was left when the inbox was closed; who waits for what the disk has no room for is told."""
        dealt_with = self._commit(submissions)
        full = StoreError("the disk is full, and the app has been closed: it is not stored", code=_FULL)
        self._refuse(submissions[dealt_with:], full)

    def close(self) -> None:
        """Saves what is known, in the end."""
        self._pipeline.close(self._settle)
        with self._store.transaction() as changes:
            for follower in self._dispatcher.followers.values():
                follower.save_to(changes)
