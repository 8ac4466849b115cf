"""Handlers that go round in a circle: how deep events have come of each other, and which way round."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, final

from cepheid.engine_options import Rule
from cepheid.errors import AppError

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.runtime.task import Task

__all__ = ["Circles"]

_LOG = logging.getLogger("cepheid.app")

# The id of an event that a handler has given says how deep it is: `…~3-0`, or `…~3.1-0`.
_DEPTH = re.compile(r"~(\d{1,9})(?:\.\d+)?-\d+$")


@final
class Circles:
    """See the module.

    What a handler gives is not known before it does, so that a circle is seen when it is gone round. Whether it ends is
    not known then either; so what bounds it is how many events have come of each other. That stands in their ids, which
    outlive a restart; what a rule derives of such an event is as deep as that.

    Args:
        app: The app's name: the source of what its handlers give.
        depth_max: How many events may come of each other; None: any number.
        rules: Gives the rules that run, by name.
    """

    __slots__ = ("_app", "_depth_max", "_given", "_lock", "_rules", "_told")

    def __init__(self, app: str, depth_max: int | None, rules: Callable[[], Mapping[str, Rule]]) -> None:
        self._app = app
        self._depth_max = depth_max
        self._rules = rules
        # By topic, what handlers that were given an event of it have given: their names, and topics.
        self._given: dict[str, set[tuple[str, str]]] = {}
        self._lock = threading.Lock()
        # By topic and handler, the way round.
        self._told: dict[tuple[str, str], str] = {}

    def depth(self, task: Task) -> int:
        """How deep the events of a task have come of each other; 0: they come from outside.

        Args:
            task: The task.
        """
        events = task.events
        if isinstance(events, Mapping):
            return self._depth(events.get("source"), events.get("id"), events.get("causationid"))
        import pyarrow.compute as pc

        source, *ids = (_texts(events, name) for name in ("source", "id", "causationid"))
        if source is None:
            return 0
        own = pc.equal(source, self._app)
        deep = (one.filter(pc.and_(own, pc.match_substring(one, "~"))) for one in ids if one is not None)
        # An event's own depth is one more than that of what it comes of.
        return max((self._depth(self._app, text) for texts in deep for text in texts.to_pylist()), default=0)

    def _depth(self, source: Any, *ids: Any) -> int:
        if source != self._app:
            return 0
        found = (_DEPTH.search(one) for one in ids if isinstance(one, str))
        return next((int(one[1]) for one in found if one is not None), 0)

    def marked(self, prefix: str, task: Task) -> str:
        """What ids of events begin with that come of a task.

        Args:
            prefix: What they would begin with.
            task: The task.
        """
        return f"{prefix}~{self.depth(task) + 1}"

    def note(self, task: Task, topics: Iterable[str]) -> None:
        """Takes note of what has come of a task; the first time that closes a circle, it is told.

        Args:
            task: The task.
            topics: The topics of what has come of it.
        """
        name = task.follower.spec.name
        for topic in topics:
            with self._lock:
                given = self._given.setdefault(task.topic, set())
                if (name, topic) in given:
                    continue
                given.add((name, topic))
                way = self._way(task.topic, name, topic)
            if way:
                bound = "without a bound" if self._depth_max is None else f"at most {self._depth_max:,} events deep"
                _LOG.warning("handlers go round in a circle, %s: %s", bound, way)

    def fault(self, task: Task) -> AppError | None:
        """Why a task is not to be given to anybody: it is too deep; None: it is not.

        Args:
            task: The task.
        """
        if self._depth_max is None or self.depth(task) < self._depth_max:
            return None
        name = task.follower.spec.name
        with self._lock:
            if (task.topic, name) not in self._told:
                ways = (self._way(task.topic, own, topic) for own, topic in sorted(self._given.get(task.topic, ())))
                self._told[task.topic, name] = next(filter(None, ways), "")
            way = self._told[task.topic, name]
        round_which = f", round {way}" if way else ""
        return AppError(
            f"{self._depth_max:,} events have come of each other through handlers{round_which}: have one of them give "
            "nothing at some point, or say depth_max=... if they are to be more",
            code="handler-circle",
        )

    def _way(self, topic: str, name: str, given: str) -> str:
        """The way from a topic by a handler to what that has given, and back to the topic; nothing: there is none.

        Time: O(rules + what handlers have given).
        """
        links: dict[str, list[tuple[str, str]]] = {}
        for start, by, end in self._links():
            links.setdefault(start, []).append((by, end))
        back: dict[str, tuple[str, str]] = {}
        ahead = deque([given])
        while ahead and topic not in back and given != topic:
            at = ahead.popleft()
            for by, end in links.get(at, ()):
                if end not in back and end != given:
                    back[end] = (at, by)
                    ahead.append(end)
        if given != topic and topic not in back:
            return ""
        parts, at = [topic], topic
        while at != given:
            at, by = back[at]
            parts += [by, at]
        return " -> ".join([topic, name, *reversed(parts)])

    def _links(self) -> Iterator[tuple[str, str, str]]:
        for topic, given in self._given.items():
            for name, end in sorted(given):
                yield topic, name, end
        for name, rule in self._rules().items():
            for start in rule._read_topics():
                for end in sorted(rule._derived_topics(name)):
                    if start is not None:
                        yield start, name, end


def _texts(events: pa.Table, name: str) -> pa.ChunkedArray | None:
    """A column as text; None: there is none. A topic that is no app's may have anything under these names."""
    import pyarrow as pa

    if name not in events.column_names:
        return None
    column = events[name]
    data_type = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(data_type) or pa.types.is_large_string(data_type) or pa.types.is_string_view(data_type)
    return column.cast(pa.string()) if is_text else None
