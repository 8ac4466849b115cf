"""Rows of a call that cannot be events, each with the first thing that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, final

__all__ = ["Fault", "Faults", "Rejected"]


@final
@dataclass(frozen=True, slots=True)
class Rejected:
    """What came and is no event.

    Attributes:
        payload: The event's JSON, or what came.
        reason: What is wrong with it, as a sentence.
        code: A stable name for the mistake.
        topic: The type that it was to have; None: nobody knows.

    Example:
        >>> from cepheid.schema import Rejected
        >>> Rejected(payload=b'{"total": 7}', reason="it has no `type`", code="event-type", topic=None).code
        'event-type'
    """

    payload: bytes
    reason: str
    code: str
    topic: str | None

    def __repr__(self) -> str:
        # What is in it may be private.
        return f"Rejected({len(self.payload)} bytes, reason={self.reason!r}, code={self.code!r}, topic={self.topic!r})"


class Fault(NamedTuple):
    """What is wrong with a row."""

    code: str
    reason: str
    topic: str | None = None


class Faults:
    """What is wrong with the rows of a call, by their numbers in it."""

    __slots__ = ("_by_row", "_payloads")

    def __init__(self, payloads: Callable[[list[int]], list[bytes]]) -> None:
        self._by_row: dict[int, Fault] = {}
        self._payloads = payloads

    def add(self, rows: Iterable[Any], code: str, reason: str, topic: str | None = None) -> None:
        """Notes what is wrong with rows, unless something has been wrong with them before."""
        for row in rows:
            self._by_row.setdefault(int(row), Fault(code, reason, topic))

    def __len__(self) -> int:
        return len(self._by_row)

    def __contains__(self, row: int) -> bool:
        return row in self._by_row

    def rejected(self) -> list[tuple[int, Rejected]]:
        """Rows and what has become of them, in the order of the rows."""
        rows = sorted(self._by_row)
        return [
            (row, Rejected(payload, fault.reason, fault.code, fault.topic))
            for row, payload in zip(rows, self._payloads(rows), strict=True)
            for fault in [self._by_row[row]]
        ]
