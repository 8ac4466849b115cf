"""How the state of a stream is made of its events, from a saved state on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cepheid.errors import FoldError, StoreError
from cepheid.store.rows import OWN_COLUMNS, Run, python_rows, times_ns
from cepheid.store.stream_event import StreamEvent

if TYPE_CHECKING:
    from cepheid.store.handlers import Handlers

__all__ = ["Folded", "Snapshot", "checked_fold_version", "fold_event", "fold_runs", "removed"]

_FORMAT = 1


@dataclass(slots=True)
class Folded:
    """A state under way.

    Attributes:
        state: What it is so far.
        version: How many events of the stream have gone by.
        position: The position after the last of them.
        time_max: The greatest event time among them, or None.
        since_snapshot: How many of them are in no snapshot.
        topics: The topics of these.
    """

    state: Any
    version: int = 0
    position: int = 0
    time_max: int | None = None
    since_snapshot: int = 0
    topics: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A saved state, and how far it goes.

    Attributes:
        fold: The version of the fold that made it, as text.
        version: How many events it is made of.
        position: The position after the last of them.
        time_max: The greatest event time among them, or None.
        state: The state, encoded.
    """

    fold: str
    version: int
    position: int
    time_max: int | None
    state: bytes

    def to_bytes(self) -> bytes:
        """It as it is saved: a line of JSON, and the state."""
        says = {
            "format": _FORMAT,
            "fold": self.fold,
            "version": self.version,
            "position": self.position,
            "time_max": self.time_max,
        }
        return json.dumps(says).encode() + b"\n" + self.state

    @classmethod
    def from_bytes(cls, data: bytes) -> Snapshot | None:
        """What was saved; None: it is of another format, and so of no use."""
        head, _, state = data.partition(b"\n")
        says = json.loads(head)
        if says["format"] != _FORMAT:
            return None
        return cls(says["fold"], says["version"], says["position"], says["time_max"], state)


def fold_runs(
    folded: Folded,
    runs: Iterable[Run],
    handlers: Handlers,
    *,
    stream: str,
    owner: str,
    event_time: str,
    unknown_is_error: bool,
    version: int | None = None,
    time_ns: int | None = None,
    lift: Callable[[list[Run]], list[Run]] | None = None,
) -> None:
    """Folds events of a stream, up to a version, or those up to a time.

    Raises:
        StoreError: Events between are kept no longer (code ``events-removed``).
        FoldError: A function failed, or there is none for an event.
        UpcastError: An event cannot be read as the newest version.
    """
    wanted = list(runs)
    for run in wanted if lift is None else lift(wanted):
        times = times_ns(run.rows, event_time)
        own = python_rows(run.rows.select(OWN_COLUMNS[:4]))
        columns = python_rows(run.rows.drop_columns(list(OWN_COLUMNS)))
        # A table of no columns has no rows in Python.
        columns = columns or [{} for _ in own]
        for says, values, time in zip(own, columns, times, strict=True):
            if version is not None and folded.version >= version:
                return
            if says["_version"] != folded.version + 1:
                raise removed(stream, folded.version + 1, says["_version"] - 1, owner)
            folded.version = says["_version"]
            folded.position = says["_position"] + 1
            folded.time_max = time if folded.time_max is None else max(folded.time_max, time)
            folded.since_snapshot += 1
            folded.topics.add(run.topic)
            if time_ns is not None and time > time_ns:
                # A later event may be of an earlier time: the order of a stream is that of its versions.
                continue
            event = StreamEvent._of(run.topic, stream, folded.version, says["_position"], time, values)
            fold_event(folded, event, handlers, owner=owner, unknown_is_error=unknown_is_error)


def fold_event(folded: Folded, event: StreamEvent, handlers: Handlers, *, owner: str, unknown_is_error: bool) -> None:
    """Gives one event to its function."""
    function = handlers.of(event.topic)

    def failed(problem: str, code: str | None = None) -> FoldError:
        return FoldError(
            f"event {event.version} of stream `{event.stream}` (`{event.topic}`): {problem}",
            code=code,
            position=event.position,
            topic=event.topic,
            stream=event.stream,
            version=event.version,
        )

    if function is None:
        if unknown_is_error:
            problem = f'{owner} has no function for it; register one, or have `unknown="ignore"`'
            raise failed(problem, code="unknown-event")
        return
    try:
        state = function(folded.state, event)
    except Exception as error:
        raise failed(f"{owner} raised {type(error).__name__}: {error}") from error
    if state is None and folded.state is not None:
        raise failed(f"the function of {owner} gave None; it has to return the state")
    folded.state = state


def removed(stream: str, first: int, last: int, owner: str) -> StoreError:
    """Events that a fold needs are gone."""
    events = f"event {first}" if first == last else f"events {first} to {last}"
    return StoreError(
        f"{events} of stream `{stream}` are kept no longer, and no snapshot of {owner} covers them",
        code="events-removed",
    )


def checked_fold_version(value: Any) -> int | str:
    """What tells functions that fold from former ones."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise TypeError(f"version is a whole number or text, not {type(value).__name__}")
    return value
