"""From what has come to what is on the disk: rules see the rows, and all that comes of them is committed together.

    submissions
      ▼ by topic       rows of one topic next to each other
      │ rules          derive events; rows that they cannot take are told apart
      │ rejected       what is no event, with the reason
      │ outcomes       what handlers and actions have done, and how far they are
      │ offsets        how far sources have been read
      │ checkpoint     now and then: what rules know
      ▼ commit         one transaction, one sync of the disk

After a crash rules are restored from the checkpoint and see the rows behind it once more: what they derived then was
committed with the rows, so that it is not wanted again.
"""

from __future__ import annotations

import datetime as dt
import logging
import zoneinfo  # noqa: F401
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

# What Arrow and NumPy read from the disk when they first need it is read now: no event waits for that.
import numpy.ma  # noqa: F401
import pyarrow as pa
import pyarrow.compute as pc

from cepheid.errors import AppError, CepheidError, InternalError, SchemaError
from cepheid.event_time import time_ns
from cepheid.result import Matches
from cepheid.runtime.checkpoint import CHECKPOINT, Checkpoint
from cepheid.runtime.clock import Clock
from cepheid.runtime.derived_rows import derived_rows, partition_columns
from cepheid.runtime.failed_rules import FailedRules, RuleTold
from cepheid.runtime.inbox import Rejection, Submission
from cepheid.runtime.own_topics import (
    CLOCK,
    OWN_PREFIX,
    REJECTED,
    RULE,
    clock_rows,
    rejected_rows,
    rejections,
    rule_rows,
)
from cepheid.runtime.rule_events import rule_change_event
from cepheid.runtime.rule_faults import RowChecks, is_of_rules, rules_at_fault
from cepheid.runtime.rule_history import History, store_history
from cepheid.runtime.rule_links import RuleLinks
from cepheid.runtime.submitted_rows import Part, Taken, by_topic, newest_of, owner
from cepheid.store.position import Position
from cepheid.store.rows import OWN_COLUMNS, joined, read_runs, stretches

if TYPE_CHECKING:
    from cepheid.runtime.group_snapshot import RuleDifferences
    from cepheid.runtime.rule_group import RuleGroup
    from cepheid.runtime.task import Outcome
    from cepheid.store.event_store import EventStore
    from cepheid.store.transaction import Transaction

__all__ = ["Pipeline"]

_LOG = logging.getLogger("cepheid.app")

# How many rows are read at a time when rules see them once more.
_REPLAY_ROWS = 65_536
# So many rows at most between two checkpoints, and so much longer than one takes: it is to cost a twentieth at most.
_CHECKPOINT_ROWS = 1_000_000
_CHECKPOINT_PAUSE = 20.0
# Events that are older than this when they come are not of now: the clock does not move on after them.
_LIVE = dt.timedelta(hours=1)

#: Appends rows to a topic, with an idempotency key or None.
Append = Callable[[str, pa.Table, "str | None"], None]
#: Adds to a transaction what outcomes come to; its rows by the function that it is given.
Settle = Callable[["Transaction", "Sequence[Outcome]", Append], None]
#: Changes rules, with what warms them.
Change = Callable[["RuleGroup", History], Any]


@final
class Pipeline:
    """Takes submissions, shows them to the rules, and commits what comes of it.

    Args:
        name: The app's name: the source of what it derives.
        store: Where it is kept.
        make_rules: Gives the rules as they are to be: new ones, or those that a snapshot has, with what is to be
            changed about them once they know what came since.
        clock: The app's clock.
        checkpoint_s: How often what rules know is saved, in seconds at least.
        future: How far ahead of the clock an event may be dated; None: as far as it likes.
        lateness: How late an event may come; None: the clock alone says what is late.
        new_id: Gives ids that nobody else has.
    """

    __slots__ = (
        "_checkpoint_s",
        "_checks",
        "_clock",
        "_fresh",
        "_future",
        "_keys",
        "_lateness",
        "_looks_for_faults",
        "_make_rules",
        "_name",
        "_new_id",
        "_next_checkpoint",
        "_now",
        "_rows_since",
        "_seen",
        "_store",
        "_tick",
        "_told",
        "appended",
        "counts",
        "derives",
        "differences",
        "failed",
        "live",
        "rules",
    )

    #: The rules.
    rules: RuleGroup
    #: Topics that are its own to append to: those that rules derive, and those of late rows.
    derives: frozenset[str]
    #: What tells the rules that are wanted from those that were saved.
    differences: RuleDifferences
    #: Rules that are off because they failed.
    failed: FailedRules
    #: What the last commit appended: where, and the rows.
    appended: list[tuple[Position, pa.Table]]
    #: What has been done, by name.
    counts: dict[str, int]
    #: Whether the last events were of now when they came, so that time goes on with the clock after them.
    live: bool

    def __init__(
        self,
        name: str,
        store: EventStore,
        make_rules: Callable[[bytes | None], tuple[RuleGroup, RuleDifferences]],
        clock: Clock,
        *,
        checkpoint_s: float,
        future: dt.timedelta | None,
        lateness: dt.timedelta | None,
        new_id: Callable[[], str],
    ) -> None:
        self._name = name
        self._store = store
        self._make_rules = make_rules
        self._clock = clock
        self._checkpoint_s = checkpoint_s
        self._future = future
        self._lateness = lateness
        # Changes of rules since the step began, and whether it is looked for rules that fail.
        self._told: list[dict[str, Any]] = []
        self._looks_for_faults = True
        self._new_id = new_id
        self._now = clock.now()
        # Topics and rows of the transaction that is being put together, in their order.
        self._fresh: list[tuple[str, pa.Table]] = []
        self.appended = []
        # Of each topic, how many rows there are in the store.
        self._seen: dict[str, int] = {}
        # Where the watermark has been moved to, which is not written down yet; in nanoseconds since 1970.
        self._tick: int | None = None
        self._rows_since = 0
        self.live = False
        self._next_checkpoint = clock.elapsed() + checkpoint_s
        self.counts = dict.fromkeys(("events", "derived", "rejected", "commits", "checkpoints"), 0)

    @property
    def now(self) -> dt.datetime:
        """The time of the step under way: when what it commits is recorded, and what rules take for the time."""
        return self._now

    def _show_again(self, topic: str, rows: pa.Table, first: int) -> None:
        """Shows stored rows to the rules; those that they cannot take, which others have stored, are passed over."""
        try:
            self.rules.push(rows, topic, first)
        except InternalError:
            raise
        except CepheidError as error:
            if rows.num_rows == 1:
                _LOG.warning("rules cannot take row %d of topic `%s`, and it is passed over: %s", first, topic, error)
                return
            middle = rows.num_rows // 2
            self._show_again(topic, rows.slice(0, middle), first)
            self._show_again(topic, rows.slice(middle), first + middle)

    def _note_time(self, newest: dt.datetime | None) -> None:
        """Takes note of whether rows that come are of now. Older ones do not have the clock move on."""
        if newest is not None:
            self.live = newest >= self._now - _LIVE

    def claims(self, topic: str) -> bool:
        """Whether rows of a topic are to come by it alone, as rules have to see them, or derive them."""
        return topic in self.derives or topic.startswith(OWN_PREFIX) or topic in self.rules.reads()

    def _note_topics(self) -> None:
        rules = self.rules.rules
        late = (f"{topic}.late" for topic in self.rules.reads())
        self.derives = frozenset((*RuleLinks(rules).derived(rules), *late))
        off = self.rules.disabled
        self._keys = partition_columns(rules)
        self._checks = RowChecks({name: rule for name, rule in rules.items() if name not in off})

    # What has been before.

    def recover(self) -> None:
        """Has the rules know what they knew when the last transaction was committed.

        Time: O(rows since the last checkpoint).
        """
        saved = self._store.load(CHECKPOINT)
        checkpoint = None if saved is None else Checkpoint.from_bytes(saved)
        self.rules, self.differences = self._make_rules(None if checkpoint is None else checkpoint.snapshot)
        self.failed = FailedRules({} if checkpoint is None else checkpoint.failed)
        self._note_topics()
        self._tick = None
        # Before the topics: one that comes in between has events behind it.
        end = self._store.end
        self._seen = {name: topic.events for name, topic in self._store.info().topics.items()}
        begin = 0 if checkpoint is None else checkpoint.position
        known = {} if checkpoint is None else checkpoint.rows
        self._rows_since = 0
        self.live = False if checkpoint is None else checkpoint.live
        for topic, rows in self._rows_between(begin, end):
            first = rows["_row"][0].as_py()
            seen = known.get(topic, 0)
            if first + rows.num_rows <= seen:
                continue
            if first < seen:
                rows, first = rows.slice(seen - first), seen
            self._now = rows["_recorded"][0].as_py()
            self._rows_since += rows.num_rows
            own = rows.drop_columns(list(OWN_COLUMNS))
            if topic == CLOCK:
                for moment in own["time"].to_pylist():
                    self.rules.advance_to(moment)
            else:
                self._show_again(topic, own, first)
                self._note_time(newest_of(own))
        self._now = max(self._now, self._clock.now())

    def _rows_between(self, position: int, end: int) -> Iterable[tuple[str, pa.Table]]:
        """Rows that rules read, between positions: of one topic each, and of one step."""
        topics = [*self.rules.reads(), CLOCK]
        while position < end:
            found = read_runs(self._store, topics, from_=position, limit=_REPLAY_ROWS, topics=self._seen, end=end)
            for topic, rows in found.runs:
                for start, stop in stretches(rows["_recorded"]):
                    yield topic, rows.slice(start, stop - start)
            position = found.position

    # Going on.

    def commit(self, submissions: Sequence[Submission], settle: Settle) -> None:
        """Shows what has come to the rules, and commits it with what they derive. The tickets are answered.

        Args:
            submissions: What has come.
            settle: Adds to a transaction what the outcomes among it come to.

        Raises:
            CepheidError: It could not be committed; the rules have to `recover`.
        """
        self._begin()
        changes = self._store._unclaimed_transaction()
        rejected = [one for submission in submissions for one in submission.rejected]
        derived: list[tuple[str, Matches]] = []
        self._append_tick(changes)
        appends = len(self._fresh)
        taken: list[Taken] = []
        topics = by_topic(submissions)
        self._run_again(topics)
        for topic, parts in topics.items():
            table, shares = self._take(topic, parts, submissions, derived, rejected)
            if table is not None:
                self._append(changes, topic, table)
                taken.append(Taken(appends, topic, shares))
                appends += 1
        self._finish(changes, submissions, derived, rejected, settle)
        positions = changes.commit()
        self._committed(submissions, taken, positions, len(rejected))

    def advance(self, watermark: dt.datetime, settle: Settle) -> None:
        """Moves the watermark, as time goes on and nothing comes. What this derives is committed.

        Raises:
            CepheidError: As for `commit`.
        """
        self._begin()
        try:
            outputs = self.rules.advance_to(watermark)
        except CepheidError as error:
            if not is_of_rules(error) or not self._disable_failing(lambda rules: rules.advance_to(watermark)):
                raise
            outputs = self.rules.advance_to(watermark)
        # It is written down with what it has derived, or with the next rows.
        self._tick = time_ns(watermark, "the watermark")
        if not outputs and not self._told:
            return
        changes = self._store._unclaimed_transaction()
        self._append_tick(changes)
        self._finish(changes, (), outputs, [], settle)
        self._committed((), [], changes.commit(), 0)

    def change_rules(self, change: Change | None, changed: Sequence[dict[str, Any]], settle: Settle) -> None:
        """Changes rules: with an event of each change, and with what rules know from then on.

        Args:
            change: Changes them, given all that has been; None: it is only written down.
            changed: What is written down: see `rule_change_event`.
            settle: As for `commit`.

        Raises:
            CepheidError: The rules cannot be so; nothing has changed. Or the change could not be written: then the
                rules have to `recover`.
        """
        self._begin()
        if change is not None:
            # Rows that waited for a topic which nobody reads any more are matched with the next that come.
            history = store_history(self._store, self._store.end)
            change(self.rules, history)
            self._tell(self.failed.changed(self.rules, changed, history))
        self._note_topics()
        changes = self._store._unclaimed_transaction()
        self._append_tick(changes)
        self._told = [*changed, *self._told]
        self._append_told(changes)
        self._settle(changes, (), settle)
        self._save_rules(changes)
        self._committed((), [], changes.commit(), 0)

    def _begin(self) -> None:
        self._now = max(self._now, self._clock.now())
        self._fresh = []
        self._told = []
        self._looks_for_faults = True
        self.appended = []

    def _append_tick(self, changes: Transaction) -> None:
        if self._tick is not None:
            moment = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=self._tick // 1_000)
            self._append(changes, CLOCK, clock_rows(moment, new_id=self._new_id, source=self._name))

    def _append(self, changes: Transaction, topic: str, table: pa.Table, key: str | None = None) -> None:
        changes.append(topic, table, idempotency_key=key)
        self._fresh.append((topic, table))
        self._seen[topic] = self._seen.get(topic, 0) + table.num_rows

    def _settle(self, changes: Transaction, outcomes: Sequence[Outcome], settle: Settle) -> None:
        settle(changes, outcomes, lambda topic, rows, key: self._append(changes, topic, rows, key))

    def _take(
        self,
        topic: str,
        parts: list[Part],
        submissions: Sequence[Submission],
        derived: list[tuple[str, Matches]],
        rejected: list[Rejection],
    ) -> tuple[pa.Table | None, list[tuple[int, int, int]]]:
        """Shows rows of a topic to the rules; gives those that they took, and whose they are."""
        table = joined([part.table for part in parts])
        kept: list[tuple[int, int]] = []

        def refuse(start: int, stop: int, error: CepheidError) -> None:
            source = submissions[owner(parts, start)].source or self._name
            rows = table.slice(start, stop - start)
            rejected.extend(rejections(topic, rows, source, error.code, str(error)))

        newest = newest_of(table)
        for begin, end in self._of_now(table, newest, refuse):
            for start, stop in self._that_can_be_asked(topic, table, begin, end, refuse):
                self._show(topic, table, start, stop, derived, kept, refuse)
        shares, before = [], 0
        bounds = 0
        for submission, part in parts:
            first, last = bounds, bounds + part.num_rows
            bounds = last
            count = sum(max(0, min(stop, last) - max(start, first)) for start, stop in kept)
            shares.append((submission, before, count))
            before += count
        if not kept:
            return None, shares
        if not all(submissions[place].outcome for place, _, count in shares if count):
            # What handlers give is of when they ran.
            self._note_time(newest)
        pieces = [table.slice(start, stop - start) for start, stop in kept]
        return pieces[0] if len(pieces) == 1 else pa.concat_tables(pieces), shares

    def _of_now(
        self, table: pa.Table, newest: dt.datetime | None, refuse: Callable[[int, int, CepheidError], None]
    ) -> list[tuple[int, int]]:
        """Rows that are not dated further ahead of the clock than they may be: one that is makes all others late."""
        if self._future is None or newest is None or newest <= (limit := self._now + self._future):
            return [(0, table.num_rows)]
        ahead = pc.greater(table["time"], limit)
        kept = []
        for start, stop in stretches(ahead):
            if not ahead[start].as_py():
                kept.append((start, stop))
                continue
            message = f"the event is dated further ahead of the clock, {self._now.isoformat()}, than {self._future}"
            refuse(start, stop, AppError(message, code="future-event"))
        return kept

    def _that_can_be_asked(
        self, topic: str, table: pa.Table, start: int, stop: int, refuse: Callable[[int, int, CepheidError], None]
    ) -> list[tuple[int, int]]:
        """Rows that no condition fails at: one that does would do so once its time is over, when it is too late."""
        failures = self._checks.failures(topic, table.slice(start, stop - start))
        kept, begin = [], start
        for place in sorted(failures):
            row = start + place
            kept.append((begin, row))
            refuse(row, row + 1, failures[place])
            begin = row + 1
        return [*kept, (begin, stop)]

    def _run_again(self, topics: Mapping[str, list[Part]]) -> None:
        """Enables rules that had not fitted the columns of topics, if rows bring others."""
        waited_for = set(self.failed.topics.values())
        for topic in [topic for topic in topics if topic in waited_for]:
            columns = pa.unify_schemas([part.table.schema for part in topics[topic]])
            found = self.failed.run_again(self.rules, topic, columns, store_history(self._store, self._store.end))
            self._tell(found)
            if found:
                self._note_topics()

    def _disable_failing(self, call: Callable[[RuleGroup], Any], unfit: str | None = None) -> bool:
        """Disables the rules that a call fails at, if they are found; it is told of with what is committed next.

        Args:
            call: The call.
            unfit: The topic whose columns rules have to fit for it to succeed, or None.
        """
        if not self._looks_for_faults:
            return False
        snapshot = self.rules.snapshot()
        found = rules_at_fault(self.rules, lambda: self._make_rules(snapshot)[0], call)
        if not found:
            return False
        for name, reason in sorted(found.items()):
            _LOG.critical("rule `%s` has failed, and is disabled: %s; replace or enable it", name, reason)
        self._tell(("failed", name, reason) for name, reason in found.items())
        self.failed.note(found, unfit)
        self.rules.change(self.rules.rules, None, disabled=self.rules.disabled | found.keys(), warm=False)
        self._note_topics()
        return True

    def _is_blameless(self, row: pa.Table, error: CepheidError) -> bool:
        """Whether rules fail as soon as it is as late as a row says, without the row; those are disabled then."""
        if not self._looks_for_faults or not is_of_rules(error):
            return False
        moment = time_ns(row["time"][0].as_py() - (self._lateness or dt.timedelta()), "the watermark")
        probe, _ = self._make_rules(self.rules.snapshot())
        try:
            probe.advance_to(moment)
        except CepheidError as other:
            if str(other) == str(error) and self._disable_failing(lambda rules: rules.advance_to(moment)):
                return True
        # It costs much to look: once for all that a step refuses.
        self._looks_for_faults = bool(self._told)
        return False

    def _show(
        self,
        topic: str,
        table: pa.Table,
        start: int,
        stop: int,
        derived: list[tuple[str, Matches]],
        kept: list[tuple[int, int]],
        refuse: Callable[[int, int, CepheidError], None],
    ) -> None:
        """Shows rows to the rules; where they refuse some, halves are tried, down to the row that is at fault."""
        if start == stop:
            return
        taken = sum(last - first for first, last in kept)
        try:
            rows = table.slice(start, stop - start)
            derived.extend(self.rules.push(rows, topic, self._seen.get(topic, 0) + taken))
        except InternalError:
            raise
        except CepheidError as error:
            whole = isinstance(error, SchemaError) and error.row is None
            if (whole and self._disable_failing(lambda rules: rules.learn(topic, rows.schema), topic)) or (
                stop - start == 1 and self._is_blameless(table.slice(start, 1), error)
            ):
                # Rules that do not fit the first rows of a topic, or that fail anyway, are disabled.
                self._show(topic, table, start, stop, derived, kept, refuse)
                return
            if stop - start == 1 or whole:
                # Columns that do not fit do so in no row.
                refuse(start, stop, error)
                return
            middle = (start + stop) // 2
            self._show(topic, table, start, middle, derived, kept, refuse)
            self._show(topic, table, middle, stop, derived, kept, refuse)
            return
        if kept and kept[-1][1] == start:
            kept[-1] = (kept[-1][0], stop)
        else:
            kept.append((start, stop))

    def _finish(
        self,
        changes: Transaction,
        submissions: Sequence[Submission],
        derived: Sequence[tuple[str, Matches]],
        rejected: Sequence[Rejection],
        settle: Settle,
    ) -> None:
        """What is committed beside the rows that came."""
        self._derive(changes, derived)
        if rejected:
            rows = rejected_rows(rejected, now=self._now, new_id=self._new_id, source=self._name)
            self._append(changes, REJECTED, rows)
        outcomes = [submission.outcome for submission in submissions if submission.outcome is not None]
        self._settle(changes, outcomes, settle)
        offsets = {one.source: one.offset for one in submissions if one.source is not None and one.offset is not None}
        for source, offset in offsets.items():
            changes.save_offset(source, offset)
        self._rows_since += sum(submission.rows for submission in submissions)
        self._append_told(changes)
        if self._told or self._checkpoint_due():
            self._save_rules(changes)

    def _tell(self, found: Iterable[RuleTold]) -> None:
        for kind, name, why in found:
            self._told.append(rule_change_event(kind, name, None, None, f"app {self._name}", self._now, reason=why))

    def _append_told(self, changes: Transaction) -> None:
        if self._told:
            self._append(changes, RULE, rule_rows(self._told, now=self._now, new_id=self._new_id, source=self._name))

    def _derive(self, changes: Transaction, derived: Sequence[tuple[str, Matches]]) -> None:
        """What rules have derived, topic by topic."""
        by_topic: dict[str, list[pa.Table]] = {}
        for topic, matches in derived:
            by_topic.setdefault(topic, []).append(derived_rows(topic, matches, self._name, self._keys.get(topic, ())))
        for topic, tables in by_topic.items():
            table = joined(tables)
            self._append(changes, topic, table)
            self.counts["derived"] += table.num_rows

    def _checkpoint_due(self) -> bool:
        if self._rows_since >= _CHECKPOINT_ROWS:
            return True
        return self._rows_since > 0 and self._clock.elapsed() >= self._next_checkpoint

    def _save_rules(self, changes: Transaction) -> None:
        started = self._clock.elapsed()
        snapshot = self.rules.snapshot()
        # Others may append to other topics meanwhile: what is certain is that all rows before this position were seen.
        topics = [*self.rules.reads(), CLOCK]
        rows = {topic: self._seen[topic] for topic in topics if topic in self._seen}
        changes.save(CHECKPOINT, Checkpoint(self._store.end, rows, snapshot, self.live, self.failed.topics).to_bytes())
        ended = self._clock.elapsed()
        self._next_checkpoint = ended + max(self._checkpoint_s, _CHECKPOINT_PAUSE * (ended - started))
        self._rows_since = 0
        self.counts["checkpoints"] += 1

    def _committed(
        self,
        submissions: Sequence[Submission],
        taken: Sequence[Taken],
        positions: Sequence[Position],
        rejected: int,
    ) -> None:
        self._tick = None
        fresh = zip(positions, self._fresh, strict=True)
        self.appended = [(position, rows) for position, (_, rows) in fresh if not position.repeated]
        self.counts["commits"] += 1
        self.counts["rejected"] += rejected
        own: list[list[Position]] = [[] for _ in submissions]
        for append, topic, shares in taken:
            at = positions[append]
            for submission, before, count in shares:
                if count:
                    own[submission].append(Position(topic, at.first + before, count, at.row + before))
                    self.counts["events"] += count
        for one, found in zip(submissions, own, strict=True):
            one.ticket.resolve(tuple(found))

    def close(self, settle: Settle) -> None:
        """Saves what rules know, so that the next start has nothing to see once more."""
        self._begin()
        changes = self._store._unclaimed_transaction()
        self._settle(changes, (), settle)
        self._append_tick(changes)
        self._save_rules(changes)
        changes.commit()
