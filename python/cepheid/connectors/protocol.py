"""What a source is to an app, and what an app is to a source."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from cepheid.store.position import Position

__all__ = ["Feed", "Source", "Ticket"]


class Ticket(Protocol):
    """What was sent and may not be on the disk yet."""

    def wait(self, timeout: float | None = None) -> tuple[Position, ...]:
        """Waits until it is on the disk, and gives where; in threads.

        Args:
            timeout: Seconds; None: as long as it takes.

        Raises:
            TimeoutError: It is not, yet.
            CepheidError: The app has failed; what was sent was not taken.
        """

    def __await__(self) -> Generator[Any, None, tuple[Position, ...]]:
        """The same, in coroutines."""


class Feed(Protocol):
    """What an app gives a source: a way in, how far the source has got, and when to stop.

    Calls are safe from any thread.
    """

    @property
    def offset(self) -> bytes | None:
        """How far the source had been read when the app last committed: what it gave as `offset` then.

        It is in the store with the events, so that a source which goes on from there sends nothing twice and leaves
        nothing out.
        """

    @property
    def stopping(self) -> bool:
        """Whether the app stops: `run` is to return."""

    def wait(self, seconds: float) -> bool:
        """Waits a while, or until the app stops; gives whether it stops."""

    def send(self, data: Any, *, topic: str | None = None, offset: bytes | None = None) -> Ticket:
        """Sends events. It waits while the app has more than it can take: that is how a fast source is held back.

        Rows that cannot be events go to dead letters with the reason, and do not hold up the rest.

        Args:
            data: Whatever `cepheid.match` takes for a table; or `cepheid.schema.JsonText`. Each event says its type,
                unless `topic` does.
            topic: The type of all of them.
            offset: How far the source has been read with them; committed with them.

        Raises:
            CepheidError: The app has failed, or stops.
        """

    def reject(
        self, payload: bytes, reason: str, *, code: str, topic: str | None = None, offset: bytes | None = None
    ) -> Ticket:
        """Sends what is no event to dead letters.

        Args:
            payload: What came.
            reason: What is wrong with it, as a sentence.
            code: A stable name for the mistake.
            topic: The type that it was to have, if that is known.
            offset: As for `send`.
        """


@runtime_checkable
class Source(Protocol):
    """Where events come from.

    An app calls `run` in a thread of its own and expects it to return once `Feed.stopping` is true, or when there is
    nothing more to come. What it raises stops the app.
    """

    @property
    def name(self) -> str:
        """What its offsets are saved under: the same after a restart."""

    def run(self, feed: Feed) -> None:
        """Sends what there is, and then what comes."""
