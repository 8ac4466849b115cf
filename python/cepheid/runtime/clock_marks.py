"""Where a group of rules has been: moments of its clock that a replay can begin at, few for long ago."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, final

__all__ = ["ClockMark", "ClockMarks", "mark_of"]

# Rows between two marks, and how many there are at most: between those of long ago lie more rows.
_ROWS_BETWEEN = 4096
_MARKS_MAX = 64
_RULES = 256


class ClockMark(NamedTuple):
    """How far the clock of a group was at some moment. Times are in nanoseconds since 1970.

    Attributes:
        rows: By topic that was read, how many rows of it there had been.
        greatest: By topic, the greatest time of these; topics without rows are not in it.
        watermark: Up to where rows had been matched, or None.
        closed: Up to where the clock had been moved by hand, or None.
        ended: Whether the input was said to have ended since the mark before.
    """

    rows: dict[str, int]
    greatest: dict[str, int]
    watermark: int | None
    closed: int | None
    ended: bool

    @property
    def total(self) -> int:
        """How many rows there had been."""
        return sum(self.rows.values())

    @property
    def newest(self) -> int | None:
        """The greatest time of any row; None: there had been none."""
        return max(self.greatest.values(), default=None)


@final
class ClockMarks:
    """Marks, the oldest first. At most 64 are kept: of those that lie far back, the fewer the further.

    Example:
        >>> from cepheid.runtime.clock_marks import ClockMark, ClockMarks
        >>> marks = ClockMarks()
        >>> marks.add(ClockMark({"t": 10}, {"t": 100}, 100, None, False))
        >>> marks.add(ClockMark({"t": 20}, {"t": 200}, 200, None, False))
        >>> marks.before(150).rows
        {'t': 10}
    """

    __slots__ = ("_marks", "_rows")

    def __init__(self, marks: list[ClockMark] | None = None) -> None:
        self._marks = [] if marks is None else marks
        self._rows = 0

    def is_due(self, rows: int, rules: int = 0) -> bool:
        """Whether so many rows more make a mark due.

        Args:
            rows: How many have come since this was asked last.
            rules: How many rules there are: of many a mark is made more seldom, as it asks all of them.

        Example:
            >>> from cepheid.runtime.clock_marks import ClockMarks
            >>> ClockMarks().is_due(1)
            False
        """
        self._rows += rows
        return self._rows >= _ROWS_BETWEEN * max(1, rules // _RULES)

    def add(self, mark: ClockMark) -> None:
        """Keeps a mark; the last one makes room for one with as many rows.

        Args:
            mark: The mark.

        Example:
            >>> from cepheid.runtime.clock_marks import ClockMark, ClockMarks
            >>> marks = ClockMarks()
            >>> marks.add(ClockMark({"t": 10}, {"t": 100}, 100, None, False))
            >>> marks.add(ClockMark({"t": 10}, {"t": 100}, 140, 140, False))
            >>> [mark.closed for mark in marks]
            [140]
        """
        self._rows = 0
        last = self._marks[-1] if self._marks else None
        if last is not None and last.rows == mark.rows:
            self._marks[-1] = mark._replace(ended=mark.ended or last.ended)
            return
        self._marks.append(mark)
        if len(self._marks) > _MARKS_MAX:
            self._thin()

    def _thin(self) -> None:
        """Lets go of the mark whose neighbours are nearest to each other, for how long ago they are."""
        end = self._marks[-1].total + 1
        totals = [mark.total for mark in self._marks]

        def nearness(place: int) -> float:
            return (totals[place + 1] - totals[place - 1]) / (end - totals[place - 1])

        place = min(range(1, len(totals) - 1), key=nearness)
        gone, following = self._marks[place], self._marks[place + 1]
        self._marks[place + 1] = following._replace(ended=following.ended or gone.ended)
        del self._marks[place]

    def before(self, time: int) -> ClockMark | None:
        """The last mark at which no row had come of a time, or of one after it; None: there is none.

        Args:
            time: Nanoseconds since 1970.

        Example:
            >>> from cepheid.runtime.clock_marks import ClockMarks
            >>> ClockMarks().before(5) is None
            True
        """
        fitting = (mark for mark in reversed(self._marks) if mark.newest is None or mark.newest < time)
        return next(fitting, None)

    def after(self, mark: ClockMark | None) -> list[ClockMark]:
        """The marks behind one of them; all, if it is None.

        Args:
            mark: The mark.

        Example:
            >>> from cepheid.runtime.clock_marks import ClockMarks
            >>> ClockMarks().after(None)
            []
        """
        if mark is None:
            return list(self._marks)
        return self._marks[next(place for place, own in enumerate(self._marks) if own is mark) + 1 :]

    def clear(self) -> None:
        """Forgets all.

        Example:
            >>> from cepheid.runtime.clock_marks import ClockMarks
            >>> ClockMarks().clear()
        """
        self._marks = []
        self._rows = 0

    def __iter__(self) -> Iterator[ClockMark]:
        return iter(self._marks)

    def to_data(self) -> list[list[Any]]:
        """The marks as plain data.

        Example:
            >>> from cepheid.runtime.clock_marks import ClockMarks
            >>> ClockMarks().to_data()
            []
        """
        return [list(mark) for mark in self._marks]

    @classmethod
    def from_data(cls, data: list[list[Any]]) -> ClockMarks:
        """Reads what `to_data` gave.

        Args:
            data: The data.

        Example:
            >>> from cepheid.runtime.clock_marks import ClockMarks
            >>> list(ClockMarks.from_data([]))
            []
        """
        return cls([ClockMark(*entry) for entry in data])


def mark_of(stats: Mapping[str, Any], closed: int | None, ended: bool) -> ClockMark:
    """The mark of what an engine counts.

    Args:
        stats: What the native engine says of itself.
        closed: Up to where the clock has been moved by hand.
        ended: Whether the input has been said to have ended.
    """
    active = [source for source in stats["sources"] if source["active"]]
    return ClockMark(
        {source["topic"]: source["rows"] for source in active},
        {source["topic"]: source["greatest"] for source in active if source["greatest"] is not None},
        stats["watermark"],
        closed,
        ended,
    )
