"""What a call of an engine derives: events by topic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, final

from cepheid.names import nearest_name
from cepheid.result import Matches

if TYPE_CHECKING:
    from cepheid._native import MatchTable

__all__ = ["Derived"]


@final
class Derived(Mapping[str, Matches]):
    """Derived events by topic: a mapping from the topic's name to its `Matches`.

    Only topics with events in them are there, so a `Derived` is false where nothing was derived. The order of the
    topics is the same for the same rules, whatever the number of threads.

    Example:
        >>> import cepheid as cep
        >>> engine = cep.Engine(cep.event("hot", "heat > 90").named("alarm"))
        >>> derived = engine.push([{"ts": 1, "heat": 95}, {"ts": 2, "heat": 80}])
        >>> list(derived), len(derived["alarm"])
        (['alarm'], 1)
    """

    __slots__ = ("_by_topic",)

    _by_topic: dict[str, Matches]

    def __init__(self) -> None:
        raise TypeError("derived events come from a cepheid.Engine, and from Matches.derived")

    @classmethod
    def _of(cls, topics: Iterable[tuple[str, Matches]]) -> Derived:
        derived = object.__new__(cls)
        derived._by_topic = {topic: matches for topic, matches in topics if len(matches) or matches.num_rows}
        return derived

    @classmethod
    def _of_native(cls, outputs: list[tuple[str, MatchTable]]) -> Derived:
        if not outputs:
            # Most calls of a stream derive nothing.
            return _NOTHING
        return cls._of((topic, Matches._of(native, topic)) for topic, native in outputs)

    def __getitem__(self, topic: str) -> Matches:
        try:
            return self._by_topic[topic]
        except KeyError:
            raise KeyError(self._missing(topic)) from None

    def _missing(self, topic: str) -> str:
        if not self._by_topic:
            return f"no events of topic {topic!r}: nothing was derived"
        listed = ", ".join(repr(known) for known in list(self._by_topic)[:12])
        nearest = nearest_name(topic, self._by_topic) if isinstance(topic, str) else None
        meant = f" (did you mean {nearest!r}?)" if nearest else ""
        return f"no events of topic {topic!r}{meant}: events were derived of {listed}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_topic)

    def __len__(self) -> int:
        return len(self._by_topic)

    def __bool__(self) -> bool:
        return bool(self._by_topic)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics, in order.

        Example:
            >>> import cepheid as cep
            >>> cep.Engine(cep.event("a").named("seen")).push([{"ts": 1}]).topics
            ('seen',)
        """
        return tuple(self._by_topic)

    @property
    def total(self) -> int:
        """The number of events of all topics.

        Example:
            >>> import cepheid as cep
            >>> cep.Engine(cep.event("a").named("seen")).push([{"ts": 1}, {"ts": 2}]).total
            2
        """
        return sum(map(len, self._by_topic.values()))

    def __repr__(self) -> str:
        if not self._by_topic:
            return "Derived: nothing"
        width = max(map(len, self._by_topic))
        lines = [f"  {topic:<{width}}  {len(matches):,}" for topic, matches in self._by_topic.items()]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        import html

        parts = [f"<h4>{html.escape(topic)}</h4>{matches._repr_html_()}" for topic, matches in self._by_topic.items()]
        return f"<div><p>{html.escape(self._title())}</p>{''.join(parts)}</div>"

    def _title(self) -> str:
        total, topics = self.total, len(self._by_topic)
        events = f"{total:,} event{'' if total == 1 else 's'}"
        return f"Derived: {events} of {topics:,} topic{'' if topics == 1 else 's'}"


_NOTHING = Derived._of(())
