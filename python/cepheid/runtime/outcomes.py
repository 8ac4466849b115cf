"""What handlers give, and what becomes of tasks, as rows and changes of a transaction."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from cepheid.errors import AppError
from cepheid.input import exports_arrow
from cepheid.runtime.circles import Circles
from cepheid.runtime.follower import Follower
from cepheid.runtime.follower_spec import memory_name
from cepheid.runtime.given import of_story
from cepheid.runtime.inbox import Rejection
from cepheid.runtime.own_topics import ACTION, DEAD_LETTER, OWN_PREFIX, action_rows, dead_letter_rows
from cepheid.runtime.task import Outcome, Task

if TYPE_CHECKING:
    import datetime as dt

    import pyarrow as pa

    from cepheid.runtime.pipeline import Append
    from cepheid.schema import SchemaRegistry
    from cepheid.store.event_store import EventStore
    from cepheid.store.transaction import Transaction

__all__ = ["StoredMemory", "add_outcomes", "events_given"]


def events_given(
    task: Task, given: Any, registry: SchemaRegistry, circles: Circles, *, source: str, now: dt.datetime
) -> tuple[list[tuple[str, pa.Table]], list[Rejection]]:
    """What a handler gave, as rows: with the story of what it was given, and ids that the same call gives again.

    Args:
        task: What it was given.
        given: What it gave: an event as a dict with its ``type``, a pair of a type and an event or a table, a table, or
            any number of these; None: nothing.
        registry: The schemas.
        circles: How deep events have come of each other.
        source: The app.
        now: When they are, if they do not say.

    Raises:
        AppError: It is nothing of these (code ``handler-result``).
        CepheidError: As for `SchemaRegistry.ingest`.
    """
    batches: list[tuple[str, pa.Table]] = []
    rejected: list[Rejection] = []
    prefix = circles.marked(hashlib.sha256(task.idempotency_key.encode()).hexdigest()[:24], task)
    for place, (topic, data) in enumerate(_each(given, task)):
        found = registry.ingest(
            of_story(data, task),
            topic=topic,
            source=source,
            received=now,
            id_prefix=prefix if place == 0 else f"{prefix}.{place}",
        )
        batches += found.batches
        rejected += [Rejection(one.payload, one.reason, one.code, one.topic, source) for one in found.rejected]
    return batches, rejected


def _each(given: Any, task: Task) -> Iterator[tuple[str | None, Any]]:
    if given is None:
        return
    if isinstance(given, Mapping) or exports_arrow(given):
        yield None, given
    elif isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str):
        yield given[0], given[1]
    elif isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        for one in given:
            yield from _each(one, task)
    else:
        raise AppError(
            f"`{task.follower.spec.name}` gave a value of type {type(given).__name__}; it gives events: a dict with "
            "its type, a pair of a type and a dict or a table, any number of these, or None",
            code="handler-result",
        )


def add_outcomes(
    changes: Transaction,
    outcomes: Sequence[Outcome],
    *,
    app: str,
    now: dt.datetime,
    new_id: Callable[[], str],
    append: Append,
) -> None:
    """Adds to a transaction what has become of tasks, and how far their followers are with it.

    Args:
        changes: The transaction.
        outcomes: What has become of them.
        app: The app's name.
        now: When.
        new_id: Gives ids.
        append: Appends rows to a topic, with an idempotency key or None.
    """
    letters, actions = [], []
    followers: dict[Follower, list[Task]] = {}
    for outcome in outcomes:
        task, what, code, reason = outcome
        follower = task.follower
        followers.setdefault(follower, []).append(task)
        # What is said of what the app says of itself would have to be said of again, and so on for ever.
        of_own = task.topic.startswith(OWN_PREFIX)
        story = {"causationid": task.event_id, "correlationid": task.correlation_id}
        if what in ("dead", "parked"):
            if task.let_go:
                continue
            if task.dead_letter is not None:
                # What is said of it is what came of it last.
                changes.done(follower.queue, task.dead_letter)
            changes.put(follower.queue, task.letter_name, outcome.letter())
            letter: dict[str, Any] = {
                "handler": follower.spec.name,
                "topic": task.topic,
                "position": task.first,
                "key": task.key,
            }
            if not of_own:
                letters.append({**story, **letter, "attempts": task.attempts, "code": code, "reason": reason})
        elif task.dead_letter is not None:
            changes.done(follower.queue, task.dead_letter)
        if follower.spec.is_action and not of_own and what in ("done", "repeated", "dead"):
            row: dict[str, Any] = {**story, "action": follower.spec.name, "key": task.idempotency_key, "outcome": what}
            row |= {"attempts": task.attempts, "topic": task.topic, "position": task.first}
            if what == "done" and follower.spec.idempotent_by is not None:
                # By its key another event of that value is known to be dealt with.
                append(ACTION, action_rows([row], now=now, new_id=new_id, source=app), task.idempotency_key)
            else:
                actions.append(row)
        if what in ("done", "repeated"):
            changes.forget(memory_name(follower.spec.name, task.first))
    if actions:
        append(ACTION, action_rows(actions, now=now, new_id=new_id, source=app), None)
    if letters:
        append(DEAD_LETTER, dead_letter_rows(letters, now=now, new_id=new_id, source=app), None)
    for follower, tasks in followers.items():
        follower.save_to(changes, tasks)


@final
class StoredMemory:
    """What an action remembers of one event, in the store. See `cepheid.actions.Memory`."""

    __slots__ = ("_name", "_store", "_values")

    def __init__(self, store: EventStore, task: Task) -> None:
        self._store = store
        self._name = memory_name(task.follower.spec.name, task.first)
        self._values: dict[str, str] | None = None

    def _all(self) -> dict[str, str]:
        if self._values is None:
            saved = self._store.load(self._name)
            self._values = {} if saved is None else json.loads(saved)
        return self._values

    def get(self, name: str) -> bytes | None:
        """What is remembered under a name; None: nothing."""
        value = self._all().get(name)
        return None if value is None else base64.b64decode(value)

    def put(self, name: str, value: bytes) -> None:
        """Remembers something. It is on the disk when the call returns."""
        values = {**self._all(), name: base64.b64encode(value).decode()}
        self._store.save(self._name, json.dumps(values).encode())
        self._values = values
