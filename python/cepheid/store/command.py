"""Commands: what is decided on a state, as events to append, and how a repeat is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

from cepheid.building import checked_name
from cepheid.store.position import Position
from cepheid.store.rows import read_runs

if TYPE_CHECKING:
    from cepheid.store.aggregate import Aggregate
    from cepheid.store.event_store import EventStore
    from cepheid.store.upcasting import Upcasters

__all__ = ["Command", "Given", "decided", "given_events", "outcome_positions", "recorded_outcome", "together"]


class Given(NamedTuple):
    """An event to append.

    Attributes:
        topic: Its topic.
        event: Its columns.
    """

    topic: str
    event: dict[str, Any]


@final
@dataclass(frozen=True, slots=True, repr=False)
class Command:
    """A command that waits to be handled: `Aggregate.command`.

    Attributes:
        aggregate: Of what kind of thing.
        stream: The stream that it decides on.
        function: What decides.
        args: What it is given beside the state.

    Example:
        >>> import cepheid as cep
        >>> cep.Aggregate("order").command(7, lambda state: []).stream
        'order-7'
    """

    aggregate: Aggregate
    stream: str
    function: Callable[..., Any]
    args: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"Command({self.stream})"


def decided(
    command: Callable[..., Any], state: Any, args: Iterable[Any], upcasters: Upcasters | None, whose: str
) -> list[Given]:
    """The events that a command gives for a state; what it raises is its own business."""
    if not callable(command):
        raise TypeError(f"a command of {whose} is a function of the state, not {type(command).__name__}")
    return given_events(command(state, *args), upcasters, f"a command of {whose}")


def given_events(found: Any, upcasters: Upcasters | None, whose: str) -> list[Given]:
    """What a function gave, as events to append.

    Raises:
        TypeError: It is no list of pairs of a topic and a dict.
    """
    if found is None:
        return []
    if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Iterable):
        raise TypeError(f"{whose} gives a list of pairs of a topic and a dict, not {type(found).__name__}")
    # A generator is run to its end before anything is appended: it may yet raise.
    events = list(found)
    if len(events) == 2 and isinstance(events[0], str) and isinstance(events[1], Mapping):
        raise TypeError(f"{whose} gives a list of pairs: put the pair of {events[0]!r} and its dict into a list")
    return [_given(event, upcasters, whose) for event in events]


def _given(event: Any, upcasters: Upcasters | None, whose: str) -> Given:
    if not (isinstance(event, (tuple, list)) and len(event) == 2 and isinstance(event[1], Mapping)):
        raise TypeError(f"{whose} gives pairs of a topic and a dict, not {event!r:.100}")
    topic, columns = checked_name(event[0], "topic"), dict(event[1])
    return Given(topic, columns if upcasters is None else upcasters.stamped(topic, columns))


def together(given: Iterable[Given]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Events next to each other of one topic and the same columns, as batches."""
    batches: list[tuple[str, list[dict[str, Any]]]] = []
    for topic, event in given:
        if batches and batches[-1][0] == topic and batches[-1][1][-1].keys() == event.keys():
            batches[-1][1].append(event)
        else:
            batches.append((topic, [event]))
    return batches


def recorded_outcome(stream: str, before: int, after: int) -> bytes:
    """What a command with a key has done, for whoever repeats it: between which versions its events are."""
    return json.dumps({"stream": stream, "before": before, "after": after}).encode()


def outcome_positions(store: EventStore, recorded: bytes) -> tuple[Position, ...]:
    """Where the events of a command are that came before; those that are kept no longer are left out."""
    says = json.loads(recorded)
    before, after = says["before"], says["after"]
    if before == after:
        return ()
    positions = []
    for topic, rows in read_runs(store, (">",), stream=says["stream"]).runs:
        versions = rows["_version"].to_pylist()
        places = [place for place, version in enumerate(versions) if before < version <= after]
        if places:
            first, row = rows["_position"][places[0]].as_py(), rows["_row"][places[0]].as_py()
            positions.append(Position(topic, first, len(places), row, versions[places[-1]], repeated=True))
    return tuple(positions)
