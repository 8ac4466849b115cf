"""Following the store for a handler or an action: what it is to be given next, in which order, and what is left.

The store's log is the outbox: an event that a rule derived was committed with the rows that it came of, and whoever
acts upon it follows the log. What is saved of a follower is how far it has got: the position before which all has been
dealt with, and what has been dealt with behind it. It is committed with what came of dealing with it.
"""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, final

from cepheid.cesql import CloudEventsSql
from cepheid.errors import AppError, StoreError
from cepheid.runtime.follower_spec import FollowerSpec, key_of
from cepheid.runtime.given import event_dicts
from cepheid.runtime.own_topics import OWN_PREFIX
from cepheid.runtime.task import Outcome, Task
from cepheid.store.rows import OWN_COLUMNS, read_runs, saved_name, topic_fits

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.store.event_store import EventStore
    from cepheid.store.position import Position
    from cepheid.store.transaction import Transaction

__all__ = ["Follower", "memory_name"]

_FORMAT = 1
# How many rows a batch has at most.
_BATCH_ROWS = 8192
# How far a follower that has nothing to do gets before that is saved: less is looked through again after a restart.
_SAVE_EVERY = 100_000


@final
class Follower:
    """Reads events for a handler or an action, keeps them in order, and remembers what has been dealt with.

    Tasks of one key go one after the other; others wait for nobody. Once one has been given up, those behind it of its
    key are put aside in their order, until it is tried again or let go.

    Args:
        app: The app's name.
        spec: What is asked for.
        store: The store.
    """

    __slots__ = (
        "_app",
        "_heads",
        "_lanes",
        "_open",
        "_parked",
        "_reviving",
        "_runs",
        "_saved_at",
        "_settled",
        "_store",
        "breaker",
        "counts",
        "parking",
        "pass_",
        "read_to",
        "running",
        "spec",
    )

    #: What is asked for.
    spec: FollowerSpec
    #: The position after what has been read.
    read_to: int
    #: How many attempts are under way.
    running: int
    #: Tasks that wait behind one that was given up, and are to be put aside.
    parking: list[Task]

    def __init__(self, app: str, spec: FollowerSpec, store: EventStore) -> None:
        self._app = app
        self._store = store
        self.spec = spec
        self.breaker = None if spec.breaker is None else spec.breaker._fresh()
        self.running = 0
        # By lane: its tasks in order. The first may be under way.
        self._lanes: dict[str, deque[Task]] = {}
        # The first of each lane that is not under way: when it is due, its position, its lane.
        self._heads: list[tuple[float, int, str]] = []
        # First positions of tasks that are not settled, in order, and the last position of each.
        self._open: dict[int, int] = {}
        self._settled: dict[int, int] = {}
        # How many dead letters there are of each key.
        self._parked: dict[str, int] = {}
        # Keys whose dead letters are being tried again.
        self._reviving: set[str] = set()
        self.parking = []
        self._runs = 0
        # When it was its turn, as the dispatcher counts.
        self.pass_ = 0.0
        self.counts = dict.fromkeys(("done", "failed", "retried", "dead", "repeated", "timed_out"), 0)
        self.read_to = 0
        self._load()
        self._saved_at = self.read_to

    # What is saved.

    @property
    def state_name(self) -> str:
        """What its progress is saved under."""
        return saved_name("app/follower", self.spec.name)

    @property
    def queue(self) -> str:
        """The queue of its dead letters."""
        return saved_name("app/dead", self.spec.name)

    def _load(self) -> None:
        saved = self._store.load(self.state_name)
        if saved is not None:
            try:
                state = json.loads(saved)
                version, self.read_to = state["format"], int(state["position"])
                self._settled = {int(first): int(last) for first, last in state["settled"]}
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(f"how far `{self.spec.name}` has got cannot be read", code="store-corrupt") from error
            if version != _FORMAT:
                raise StoreError(
                    f"how far `{self.spec.name}` has got is of format {version}; this version reads {_FORMAT}",
                    code="store-format",
                )
        for _, payload in self._store.waiting(self.queue):
            key = json.loads(payload)["key"]
            if key is not None:
                self._parked[key] = self._parked.get(key, 0) + 1

    def start_at(self, position: int) -> None:
        """Begins at a position, if nothing is saved of it."""
        if self._store.load(self.state_name) is None:
            self.read_to = self._saved_at = position

    @property
    def position(self) -> int:
        """Everything before it has been dealt with."""
        return next(iter(self._open), self.read_to)

    def save_to(self, changes: Transaction) -> None:
        """Adds to a transaction how far it has got."""
        position = self.position
        settled = [[first, last] for first, last in self._settled.items() if first >= position]
        state = {"format": _FORMAT, "position": position, "settled": settled}
        changes.save(self.state_name, json.dumps(state).encode())
        self._saved_at = position

    @property
    def worth_saving(self) -> bool:
        """Whether it has got so far without anything to do that this should be saved."""
        return not self._open and self.read_to - self._saved_at >= _SAVE_EVERY

    # Reading.

    @property
    def waiting(self) -> int:
        """How many tasks have been read and not been dealt with."""
        return len(self._open)

    def is_behind(self, end: int) -> bool:
        """Whether there is something to read, and room for it."""
        return self.read_to < end and self.waiting < self._room

    @property
    def _room(self) -> int:
        # A batch is made when it can start, so that it is as great as it can be.
        return 2 * self.spec.concurrency if self.spec.is_batch else self.spec.events_ahead

    def fill(self, topics: Iterable[str], end: int) -> None:
        """Reads on, while there is room.

        Args:
            topics: The topics that there are.
            end: The position after the last event that is known of.
        """
        names = [name for name in topics if self._fits(name)]
        if not names:
            self.read_to = end
            return
        limit = _BATCH_ROWS if self.spec.is_batch else max(1, self._room - self.waiting)
        found = read_runs(self._store, names, from_=self.read_to, limit=limit, topics=names, where=self._condition)
        for topic, rows in found.runs:
            self._add(topic, self._without_settled(self._masked(rows)))
        self.read_to = found.position
        if not self._open and self._settled:
            self._settled = {first: last for first, last in self._settled.items() if first >= self.read_to}

    def offer(self, begin: int, end: int, appended: Iterable[tuple[Position, pa.Table]]) -> None:
        """Gives it what has just been committed, if it has read all there was before.

        What it cannot take, as it has no room or asks for what only the store can tell, it reads.

        Args:
            begin: The position of the first event of it.
            end: The position after the last.
            appended: Where the events are, and they themselves.
        """
        if self.read_to != begin or not begin <= end:
            return
        wanted = [(position, rows) for position, rows in appended if self._fits(position.topic)]
        if wanted:
            tasks = len(wanted) if self.spec.is_batch else sum(position.events for position, _ in wanted)
            again = max(self._settled, default=-1) >= begin
            if self._condition is not None or again or self.waiting + tasks > self._room:
                return
            for position, rows in wanted:
                self._add(position.topic, self._masked(_as_read(position, rows)))
        self.read_to = end

    @property
    def _condition(self) -> Any:
        """What the store is asked; None: all, or what it knows nothing of."""
        return None if isinstance(self.spec.where, CloudEventsSql) else self.spec.where

    def _masked(self, rows: pa.Table) -> pa.Table:
        """Rows that a condition holds for that the store knows nothing of."""
        return self.spec.where.filter(rows) if isinstance(self.spec.where, CloudEventsSql) else rows

    def _fits(self, topic: str) -> bool:
        for pattern in self.spec.topics:
            # What an app says of itself is told only to those who ask for it.
            if topic.startswith(OWN_PREFIX) and not pattern.startswith(OWN_PREFIX):
                continue
            if topic_fits(pattern, topic):
                return True
        return False

    def _without_settled(self, rows: pa.Table) -> pa.Table:
        if not self._settled:
            return rows
        import numpy as np
        import pyarrow as pa

        positions = rows["_position"].to_numpy()
        kept = np.ones(len(positions), bool)
        for first, last in self._settled.items():
            kept &= (positions < first) | (positions > last)
        return rows if kept.all() else rows.filter(pa.array(kept))

    def _add(self, topic: str, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        if self.spec.is_batch:
            for start in range(0, rows.num_rows, _BATCH_ROWS):
                self._enter(self._batch_task(topic, rows.slice(start, _BATCH_ROWS)))
            return
        for task in self._event_tasks(topic, rows):
            self._enter(task)

    def _batch_task(self, topic: str, rows: pa.Table) -> Task:
        first, last = rows["_position"][0].as_py(), rows["_position"][-1].as_py()
        event_id = _text(rows, "id") or f"{topic}#{rows['_row'][0].as_py()}"
        return Task(
            self,
            topic,
            first,
            last,
            rows.drop_columns(list(OWN_COLUMNS)),
            event_id,
            _text(rows, "correlationid"),
            # Batches go in order, if one goes at a time.
            lane="batch" if self.spec.concurrency == 1 else f"#{first}",
            key=None,
            idempotency_key=f"{self._app}/{self.spec.name}/{event_id}",
        )

    def _event_tasks(self, topic: str, rows: pa.Table) -> Iterator[Task]:
        positions, numbers = rows["_position"].to_pylist(), rows["_row"].to_pylist()
        events = event_dicts(rows.drop_columns(list(OWN_COLUMNS)))
        for position, number, event in zip(positions, numbers, events, strict=True):
            yield self._event_task(topic, position, number, event)

    def _event_task(self, topic: str, position: int, row: int, event: dict[str, Any]) -> Task:
        event_id = str(event.get("id") or f"{topic}#{row}")
        key = key_of(self.spec.key, event, f"the key of `{self.spec.name}`")
        once_for = event_id
        if self.spec.idempotent_by is not None:
            told = key_of(self.spec.idempotent_by, event, f"what `{self.spec.name}` is idempotent by")
            once_for = event_id if told is None else told
            if key is None and told is not None:
                # Two of one value must not be under way at once.
                key = told
        correlation = event.get("correlationid")
        return Task(
            self,
            topic,
            position,
            position,
            event,
            event_id,
            None if correlation is None else str(correlation),
            lane=f"#{position}" if key is None else f"={key}",
            key=key,
            idempotency_key=f"{self._app}/{self.spec.name}/{once_for}",
        )

    def _enter(self, task: Task) -> None:
        self._open[task.first] = task.last
        if task.key is not None and task.key in self._parked:
            self.parking.append(task)
            return
        self._queue(task)

    def _queue(self, task: Task) -> None:
        lane = self._lanes.setdefault(task.lane, deque())
        lane.append(task)
        if len(lane) == 1:
            heapq.heappush(self._heads, (task.due, task.first, task.lane))

    # Attempts.

    def next_start(self, elapsed: float) -> float | None:
        """How long until an attempt may start, in seconds; 0: now; None: nothing waits, or it waits for another."""
        if not self._heads or self.running >= self.spec.concurrency:
            return None
        wait = max(0.0, self._heads[0][0] - elapsed)
        if self.breaker is not None:
            closed = self.breaker.wait(elapsed)
            if closed is None:
                return None
            wait = max(wait, closed)
        return wait if self.spec.rate is None else max(wait, self.spec.rate.wait(elapsed))

    def start(self, elapsed: float) -> Task:
        """Begins an attempt at what is due."""
        _, _, lane = heapq.heappop(self._heads)
        task = self._lanes[lane][0]
        if task.given_up is None:
            task.attempts += 1
        else:
            task.undone += 1
        self._runs += 1
        task.run, task.started = self._runs, elapsed
        self.running += 1
        if self.spec.rate is not None:
            self.spec.rate.take(elapsed)
        if self.breaker is not None:
            self.breaker.started()
        return task

    def again(self, task: Task, due: float) -> None:
        """Has a task wait for another attempt, in front of its lane."""
        task.due = due
        heapq.heappush(self._heads, (due, task.first, task.lane))

    def settle(self, outcome: Outcome) -> None:
        """A task is dealt with: one way or another it is not to be given any more. To be told twice changes nothing."""
        task = outcome.task
        lane = self._lanes.get(task.lane)
        if lane and lane[0] is task:
            lane.popleft()
            if outcome.what == "dead" and task.key is not None:
                self._put_aside(task.lane, lane)
            elif lane:
                heapq.heappush(self._heads, (lane[0].due, lane[0].first, task.lane))
            else:
                del self._lanes[task.lane]
        if task.dead_letter is None and self._open.pop(task.first, None) is not None:
            self._settled[task.first] = task.last
            position = self.position
            if position > task.first:
                self._settled = {first: last for first, last in self._settled.items() if first >= position}
        if outcome.what in ("dead", "parked") and task.key is not None and task.dead_letter is None:
            self._parked.setdefault(task.key, 0)

    def _put_aside(self, name: str, lane: deque[Task]) -> None:
        """What waits behind a task that was given up."""
        del self._lanes[name]
        self.parking.extend(task for task in lane if task.dead_letter is None)

    # Dead letters.

    def letter_name(self, task: Task) -> str:
        """The name of a task's dead letter: in the order of positions."""
        return task.dead_letter or f"{task.first:020d}"

    def letter(self, outcome: Outcome) -> bytes:
        """What is kept of a task that was given up."""
        task = outcome.task
        return json.dumps(
            {
                "key": task.key,
                "topic": task.topic,
                "position": task.first,
                "last": task.last,
                "id": task.event_id,
                "attempts": task.attempts,
                "what": outcome.what,
                "code": outcome.code,
                "reason": outcome.reason,
            }
        ).encode()

    def committed(self, outcomes: Iterable[Outcome]) -> None:
        """What was settled is on the disk."""
        for task, what, *_ in outcomes:
            if what in ("dead", "parked"):
                if task.dead_letter is not None:
                    # It was tried again in vain: the others of its key stay where they are.
                    self._reviving.discard(task.key or "")
                elif task.key is not None:
                    self._parked[task.key] = self._parked.get(task.key, 0) + 1
            elif task.dead_letter is not None and task.key is not None:
                self._left(task.key)

    def _left(self, key: str) -> None:
        """A dead letter of a key is no more."""
        left = self._parked.get(key, 1) - 1
        if left > 0:
            self._parked[key] = left
            if key in self._reviving and f"={key}" not in self._lanes:
                # More have been put aside since it was begun to try them again.
                self._revive(lambda letter: letter["key"] == key)
            return
        self._parked.pop(key, None)
        self._reviving.discard(key)

    def revive(self, key: str | None = None, position: int | None = None) -> int:
        """Has dead letters tried again, in their order; gives how many.

        Args:
            key: Those of a key. None: all.
            position: That of an event, and with it those of its key.
        """
        if position is not None:
            letters = [json.loads(payload) for _, payload in self._store.waiting(self.queue)]
            letter = next((letter for letter in letters if letter["position"] == position), None)
            if letter is None:
                raise AppError(
                    f"`{self.spec.name}` has no dead letter of position {position}", code="unknown-dead-letter"
                )
            if letter["key"] is None:
                return self._revive(lambda one: one["position"] == position)
            key = letter["key"]
        return self._revive(lambda one: key is None or one["key"] == key)

    def discard(self, key: str | None = None, position: int | None = None) -> int:
        """Lets go of dead letters; gives how many there were.

        Args:
            key: Those of a key. None: all.
            position: That of an event.
        """
        letters = [(name, json.loads(payload)) for name, payload in self._store.waiting(self.queue)]
        gone = [
            (name, letter)
            for name, letter in letters
            if (key is None or letter["key"] == key) and (position is None or letter["position"] == position)
        ]
        if position is not None and not gone:
            raise AppError(f"`{self.spec.name}` has no dead letter of position {position}", code="unknown-dead-letter")
        with self._store.transaction() as changes:
            for name, letter in gone:
                changes.done(self.queue, name)
                changes.forget(memory_name(self.spec.name, letter["position"]))
        for _, letter in gone:
            if letter["key"] is not None:
                self._left(letter["key"])
        return len(gone)

    def _revive(self, wanted: Callable[[dict[str, Any]], bool]) -> int:
        revived = 0
        for name, payload in self._store.waiting(self.queue):
            letter = json.loads(payload)
            if not wanted(letter) or self._is_queued(letter, name):
                continue
            self._queue(self._revived(name, letter))
            if letter["key"] is not None:
                self._reviving.add(letter["key"])
            revived += 1
        return revived

    def _is_queued(self, letter: dict[str, Any], name: str) -> bool:
        lane = self._lanes.get(f"#{letter['position']}" if letter["key"] is None else f"={letter['key']}", ())
        return any(task.dead_letter == name for task in lane)

    def _revived(self, name: str, letter: dict[str, Any]) -> Task:
        topic, first, last = letter["topic"], int(letter["position"]), int(letter["last"])
        found = self._store.read(topic, from_=first, to=last + 1, where=self._condition, metadata=True)
        rows = self._masked(found.to_arrow())
        if not rows.num_rows:
            raise StoreError(
                f"the event of a dead letter of `{self.spec.name}`, at position {first}, is kept no longer",
                code="events-removed",
                position=first,
            )
        rows = rows.drop_columns(["_topic"])
        task = self._batch_task(topic, rows) if self.spec.is_batch else next(self._event_tasks(topic, rows))
        task.dead_letter = name
        return task


def memory_name(handler: str, position: int) -> str:
    """The name of what an action remembers of an event."""
    return saved_name("app/memory", handler, str(position))


def _as_read(position: Position, rows: pa.Table) -> pa.Table:
    """Rows that have been appended, as they would be read: in the store's own columns what is asked of them here."""
    import numpy as np
    import pyarrow as pa

    numbers = np.arange(position.events, dtype=np.int64)
    own = {"_position": pa.array(numbers + position.first), "_row": pa.array(numbers + position.row)}
    for name in OWN_COLUMNS:
        column = own[name] if name in own else pa.nulls(position.events)
        rows = rows.append_column(name, column)
    return rows


def _text(rows: pa.Table, column: str) -> str | None:
    if column not in rows.column_names:
        return None
    value = rows[column][0].as_py()
    return None if value is None else str(value)
