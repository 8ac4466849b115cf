"""Following the store for a handler or an action: what it is to be given next, in which order, and what is left.

The store's log is the outbox: an event that a rule derived was committed with the rows that it came of, and whoever
acts upon it follows the log. What is saved of a follower is how far it has read, and what it has read and not dealt
with: of that there is only so much, however long one event is tried again. It is committed with what came of dealing
with it; and only then does the follower take it for dealt with.
"""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, final

from cepheid.cesql import CloudEventsSql
from cepheid.errors import AppError, EvaluationError, SchemaError, StoreError
from cepheid.runtime.circles import Circles
from cepheid.runtime.follower_rows import Failures, apart, as_read, chosen, events_of, text_of, until, within
from cepheid.runtime.follower_spec import FollowerSpec, event_key, key_of, memory_name, once_name
from cepheid.runtime.own_topics import OWN_PREFIX
from cepheid.runtime.task import Outcome, Task
from cepheid.store.rows import OWN_COLUMNS, read_runs, saved_name, topic_fits

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.store.event_store import EventStore
    from cepheid.store.position import Position
    from cepheid.store.transaction import Transaction

__all__ = ["Follower"]

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
        circles: How deep events have come of each other.
    """

    __slots__ = (
        "_again",
        "_app",
        "_circles",
        "_doing",
        "_heads",
        "_held",
        "_lanes",
        "_open",
        "_parked",
        "_rate",
        "_reviving",
        "_runs",
        "_saved_at",
        "_store",
        "_under_way",
        "breaker",
        "counts",
        "parking",
        "pass_",
        "read_to",
        "spec",
    )

    #: What is asked for.
    spec: FollowerSpec
    #: The position after what has been read.
    read_to: int
    #: Tasks that are to be put aside: they wait behind one that was given up, or cannot be given to anybody.
    parking: list[Task]

    def __init__(self, app: str, spec: FollowerSpec, store: EventStore, circles: Circles) -> None:
        self._app = app
        self._circles = circles
        self._store = store
        self.spec = spec
        self.breaker = None if spec.breaker is None else spec.breaker._fresh()
        self._rate = None if spec.rate is None else spec.rate._fresh()
        # Whose attempts are under way; of an action until it is written down what they came to. So a crash has no more
        # of them done again than may be under way.
        self._under_way: set[Task] = set()
        # By lane: its tasks in order. The first may be under way.
        self._lanes: dict[str, deque[Task]] = {}
        # The first of each lane that is not under way: when it is due, its position, its lane.
        self._heads: list[tuple[float, int, str]] = []
        # First positions of tasks that are not settled, in order, and the last position of each.
        self._open: dict[int, int] = {}
        # First and last positions of what had been read before the last end, and is to be read again.
        self._again: deque[tuple[int, int]] = deque()
        # Of actions that happen once for a value: what is being done, by its idempotency key, and what waits for it.
        self._doing: dict[str, Task] = {}
        self._held: dict[str, list[Task]] = {}
        # How many dead letters there are of each key, those that are about to be ones among them.
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
                version, self.read_to = state["format"], int(state["read_to"])
                self._again.extend((int(first), int(last)) for first, last in state["open"])
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
        while True:
            try:
                first = next(iter(self._open), self.read_to)
                return min(first, self._again[0][0]) if self._again else first
            except (RuntimeError, IndexError):
                # Another thread asks, and it has changed meanwhile.
                continue

    def save_to(self, changes: Transaction, dealt_with: Iterable[Task] = ()) -> None:
        """Adds to a transaction how far it has got.

        Args:
            changes: The transaction.
            dealt_with: Tasks that will be settled once the transaction is committed.
        """
        gone = {task.first for task in dealt_with if task.dead_letter is None}
        still = [(first, last) for first, last in self._open.items() if first not in gone]
        state = {"format": _FORMAT, "read_to": self.read_to, "open": [*still, *self._again]}
        changes.save(self.state_name, json.dumps(state).encode())
        self._saved_at = self.read_to

    @property
    def worth_saving(self) -> bool:
        """Whether it has got so far without anything to do that this should be saved."""
        return not self._open and not self._again and self.read_to - self._saved_at >= _SAVE_EVERY

    # Reading.

    @property
    def waiting(self) -> int:
        """How many tasks have been read and not been dealt with."""
        return len(self._open)

    def is_behind(self, end: int) -> bool:
        """Whether there is something to read, and room for it."""
        return bool(self._again) or (self.read_to < end and self.waiting < self._room)

    @property
    def _room(self) -> int:
        # A batch is made when it can start, so that it is as great as it can be.
        return 2 * self.spec.concurrency if self.spec.is_batch else self.spec.events_ahead

    def fill(self, topics: Iterable[str], end: int) -> None:
        """Reads on, while there is room.

        Args:
            topics: The topics that there are.
            end: The position after the last event that is known of; asked for before the topics, for one that came in
                between has events behind it.
        """
        names = [name for name in topics if self._fits(name)]
        if not names:
            self._again.clear()
            self.read_to = end
            return
        if self._again:
            self._read_again(names, end)
            return
        limit = _BATCH_ROWS if self.spec.is_batch else max(1, self._room - self.waiting)
        position, runs = self._read(names, self.read_to, limit, end)
        for topic, rows, failed in runs:
            self._add(topic, rows, failed)
        self.read_to = position

    def _read_again(self, names: list[str], end: int) -> None:
        """What had been read before the last end and not been dealt with. It is never more than there is room for."""
        position, runs = self._read(names, self._again[0][0], _BATCH_ROWS, end)
        for topic, rows, failed in runs:
            # A batch that ends behind what was read now goes on there.
            self._add(topic, within(rows, self._again), failed)
        left = ((max(first, position), last) for first, last in self._again if last >= position)
        self._again = deque(left) if position < self.read_to else deque()

    def _read(
        self, names: list[str], from_: int, limit: int, end: int
    ) -> tuple[int, list[tuple[str, pa.Table, Failures]]]:
        """Events between positions, by runs of a topic, and why the condition could not be asked of some.

        Gives the position to read on at, and each topic with rows and the failures by position.
        """
        try:
            found = read_runs(
                self._store, names, from_=from_, limit=limit, topics=names, end=end, where=self._condition
            )
            return found.position, [(topic, self._masked(rows), {}) for topic, rows in found.runs]
        except (EvaluationError, SchemaError):
            if self._condition is None:
                raise
        # The condition fails at some event, or speaks of what no topic here has: it is asked of each.
        found = read_runs(self._store, names, from_=from_, limit=limit, topics=names, end=end)
        name = self.spec.name
        return found.position, [(topic, *chosen(self._condition, rows, name)) for topic, rows in found.runs]

    def offer(self, begin: int, end: int, appended: Iterable[tuple[Position, pa.Table]]) -> None:
        """Gives it what has just been committed, if it has read all there was before.

        What it cannot take, as it has no room or asks for what only the store can tell, it reads.

        Args:
            begin: The position of the first event of it.
            end: The position after the last.
            appended: Where the events are, and they themselves.
        """
        if self._again or self.read_to != begin or not begin <= end:
            return
        wanted = [(position, rows) for position, rows in appended if self._fits(position.topic)]
        if wanted:
            tasks = len(wanted) if self.spec.is_batch else sum(position.events for position, _ in wanted)
            if self._condition is not None or self.waiting + tasks > self._room:
                return
            for position, rows in wanted:
                self._add(position.topic, self._masked(as_read(position, rows)), {})
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

    def _add(self, topic: str, rows: pa.Table, failed: Failures) -> None:
        if not rows.num_rows:
            return
        if self.spec.is_batch:
            for some, why in apart(rows, failed):
                for start in range(0, some.num_rows, _BATCH_ROWS):
                    task = self._batch_task(topic, some.slice(start, _BATCH_ROWS))
                    task.unfit = why
                    self._enter(task)
            return
        for task in self._event_tasks(topic, rows, failed):
            self._enter(task)

    def _batch_task(self, topic: str, rows: pa.Table) -> Task:
        first, last = rows["_position"][0].as_py(), rows["_position"][-1].as_py()
        event_id = text_of(rows, "id") or f"{topic}#{rows['_row'][0].as_py()}"
        return Task(
            self,
            topic,
            first,
            last,
            rows.drop_columns(list(OWN_COLUMNS)),
            event_id,
            text_of(rows, "correlationid"),
            # Batches go in order, if one goes at a time.
            lane="batch" if self.spec.concurrency == 1 else f"#{first}",
            key=None,
            idempotency_key=event_key(self._app, self.spec.name, text_of(rows, "source"), event_id),
        )

    def _event_tasks(self, topic: str, rows: pa.Table, failed: Failures) -> Iterator[Task]:
        positions, numbers = rows["_position"].to_pylist(), rows["_row"].to_pylist()
        events = events_of(rows.drop_columns(list(OWN_COLUMNS)))
        for position, number, (event, unreadable) in zip(positions, numbers, events, strict=True):
            yield self._event_task(topic, position, number, event, failed.get(position, unreadable))

    def _event_task(self, topic: str, position: int, row: int, event: dict[str, Any], unfit: Exception | None) -> Task:
        event_id = str(event.get("id") or f"{topic}#{row}")
        who, key, told = (self._app, self.spec.name), None, None
        if unfit is None:
            try:
                key = key_of(self.spec.key, event, f"the key of `{self.spec.name}`")
                if self.spec.idempotent_by is not None:
                    told = key_of(self.spec.idempotent_by, event, f"what `{self.spec.name}` is idempotent by")
                    # Two of one value are of one key, if they have no other.
                    key = told if key is None else key
            except AppError as error:
                # It cannot be put in order: it is given up, and others go on.
                key, unfit = None, error
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
            idempotency_key=event_key(*who, event.get("source"), event_id) if told is None else once_name(*who, told),
            unfit=unfit,
        )

    def _enter(self, task: Task) -> None:
        self._open[task.first] = task.last
        task.unfit = task.unfit or self._circles.fault(task)
        if task.unfit is not None:
            self.parking.append(task)
        elif task.key is not None and task.key in self._parked:
            self._park(task, task.key)
        else:
            self._queue(task)

    def _park(self, task: Task, key: str) -> None:
        """Has a task put aside behind one of its key that was given up."""
        self._parked[key] = self._parked.get(key, 0) + 1
        self.parking.append(task)

    def _queue(self, task: Task) -> None:
        lane = self._lanes.setdefault(task.lane, deque())
        lane.append(task)
        if len(lane) == 1:
            heapq.heappush(self._heads, (task.due, task.first, task.lane))

    # Attempts.

    @property
    def running(self) -> int:
        """How many attempts are under way."""
        return len(self._under_way)

    def ended(self, task: Task) -> None:
        """An attempt has ended, and it is to be said what has come of it."""
        if not self.spec.is_action:
            self._under_way.discard(task)

    def next_start(self, elapsed: float) -> float | None:
        """How long until an attempt may start, in seconds; 0: now; None: nothing waits, or it waits for another."""
        if self.running >= self.spec.concurrency:
            return None
        self._hold_back()
        if not self._heads:
            return None
        wait = max(0.0, self._heads[0][0] - elapsed)
        if self.breaker is not None:
            closed = self.breaker.wait(elapsed)
            if closed is None:
                return None
            wait = max(wait, closed)
        return wait if self._rate is None else max(wait, self._rate.wait(elapsed))

    def start(self, elapsed: float) -> Task:
        """Begins an attempt at what is due."""
        _, _, lane = heapq.heappop(self._heads)
        task = self._lanes[lane][0]
        if task.given_up is None:
            task.attempts += 1
        else:
            task.undone += 1
        if self.spec.idempotent_by is not None:
            self._doing[task.idempotency_key] = task
        self._runs += 1
        task.run, task.started = self._runs, elapsed
        self._under_way.add(task)
        if self._rate is not None:
            self._rate.take(elapsed)
        if self.breaker is not None:
            self.breaker.started()
        return task

    def _hold_back(self) -> None:
        """Two events of one value that something happens once for are not dealt with at the same time."""
        while self._doing and self._heads:
            task = self._lanes[self._heads[0][2]][0]
            if self._doing.get(task.idempotency_key, task) is task:
                return
            heapq.heappop(self._heads)
            self._held.setdefault(task.idempotency_key, []).append(task)

    def again(self, task: Task, due: float) -> None:
        """Has a task wait for another attempt, in front of its lane."""
        task.due = due
        self._under_way.discard(task)
        heapq.heappush(self._heads, (due, task.first, task.lane))

    def committed(self, outcomes: Iterable[Outcome]) -> None:
        """What has become of tasks is on the disk: they are not to be given any more."""
        for outcome in outcomes:
            self._settle(outcome)

    def _settle(self, outcome: Outcome) -> None:
        task, what = outcome.task, outcome.what
        self._under_way.discard(task)
        lane = self._lanes.get(task.lane)
        if lane and lane[0] is task:
            lane.popleft()
            if what == "dead" and task.key is not None:
                self._put_aside(task.lane, lane, task.key)
            elif lane:
                heapq.heappush(self._heads, (lane[0].due, lane[0].first, task.lane))
            else:
                del self._lanes[task.lane]
        if self._doing.get(task.idempotency_key) is task:
            del self._doing[task.idempotency_key]
            for held in self._held.pop(task.idempotency_key, ()):
                heapq.heappush(self._heads, (held.due, held.first, held.lane))
        if task.dead_letter is None:
            self._open.pop(task.first, None)
            if task.key is not None and what == "dead":
                self._parked[task.key] = self._parked.get(task.key, 0) + 1
            elif what == "parked" and task.key in self._reviving and task.lane not in self._lanes:
                # Those before it have been tried again meanwhile.
                self._revive(task.key)
        elif what == "dead":
            # It was tried again in vain: the others of its key stay where they are.
            self._reviving.discard(task.key or "")
        elif task.key is not None and not task.let_go:
            self._left(task.key)

    def _put_aside(self, name: str, lane: deque[Task], key: str) -> None:
        """What waits behind a task that was given up."""
        del self._lanes[name]
        for task in lane:
            if task.dead_letter is None:
                self._park(task, key)

    # Dead letters.

    def _left(self, key: str) -> None:
        """A dead letter of a key is no more."""
        left = self._parked.get(key, 1) - 1
        if left > 0:
            self._parked[key] = left
            if key in self._reviving and f"={key}" not in self._lanes:
                # More have been put aside since it was begun to try them again.
                self._revive(key)
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
                return self._revive(position=position)
            key = letter["key"]
        return self._revive(key)

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
        for name, letter in gone:
            self._let_go(name, letter)
        for _, letter in gone:
            if letter["key"] is not None:
                self._left(letter["key"])
        return len(gone)

    def _let_go(self, name: str, letter: dict[str, Any]) -> None:
        """Takes a dead letter that is tried again out of what waits; what is under way changes nothing any more."""
        place = self._lane_of(letter)
        lane = self._lanes.get(place, deque())
        task = next((task for task in lane if task.dead_letter == name), None)
        if task is None:
            return
        task.let_go = True
        if lane[0] is not task:
            lane.remove(task)
        elif any(own == place for _, _, own in self._heads):
            lane.popleft()
            self._heads = [head for head in self._heads if head[2] != place]
            if lane:
                self._heads.append((lane[0].due, lane[0].first, place))
            else:
                del self._lanes[place]
            heapq.heapify(self._heads)

    def _revive(self, key: str | None = None, position: int | None = None) -> int:
        revived = 0
        # By position: a letter that has been written anew stands behind the others of its queue.
        for name, payload in sorted(self._store.waiting(self.queue)):
            letter = json.loads(payload)
            wanted = key in (None, letter["key"]) and position in (None, letter["position"])
            if not wanted or self._is_queued(letter, name):
                continue
            task = self._revived(name, letter)
            revived += 1
            if task.unfit is not None:
                self.parking.append(task)
                continue
            self._queue(task)
            if task.key is not None:
                self._reviving.add(task.key)
        return revived

    def _is_queued(self, letter: dict[str, Any], name: str) -> bool:
        return any(task.dead_letter == name for task in self._lanes.get(self._lane_of(letter), ()))

    def _lane_of(self, letter: dict[str, Any]) -> str:
        if letter["key"] is not None:
            return f"={letter['key']}"
        return "batch" if self.spec.is_batch and self.spec.concurrency == 1 else f"#{letter['position']}"

    def _revived(self, name: str, letter: dict[str, Any]) -> Task:
        topic, first, last = letter["topic"], int(letter["position"]), int(letter["last"])
        _, runs = self._read([topic], first, last + 1 - first, last + 1)
        rows, failed = next(((until(rows, last), failed) for _, rows, failed in runs if rows.num_rows), (None, {}))
        if rows is None or not rows.num_rows:
            raise StoreError(
                f"the event of a dead letter of `{self.spec.name}`, at position {first}, is kept no longer",
                code="events-removed",
                position=first,
            )
        if self.spec.is_batch:
            rows, unfit = next(apart(rows, failed))
            task = self._batch_task(topic, rows)
            task.unfit = unfit
        else:
            task = next(self._event_tasks(topic, rows, failed))
        task.dead_letter = name
        return task
