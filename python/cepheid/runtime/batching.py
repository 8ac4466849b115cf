"""How long events wait for others to be committed with them, and how many go together."""

from __future__ import annotations

from typing import NamedTuple, final

__all__ = ["AdaptiveBatching", "BatchStats"]

# How much a new measurement counts against those before it.
_WEIGHT = 0.2
# While steps take less than this part of the time, nothing is won by waiting.
_BUSY_ENOUGH = 0.5


class BatchStats(NamedTuple):
    """What the controller does at the moment.

    Attributes:
        rows_max: How many rows a batch may have.
        linger_s: How long the first event of a batch waits for others, in seconds.
        step_s: How long a batch takes from its start to the disk, in seconds, smoothed.
        busy: The part of the time in which batches are under way, from 0 to 1, smoothed.

    Example:
        >>> import cepheid as cep
        >>> with cep.App("shop") as app:
        ...     app.stats().batches.linger_s
        0.0
    """

    rows_max: int
    linger_s: float
    step_s: float
    busy: float


@final
class AdaptiveBatching:
    """Chooses the size of batches, and how long to wait for one to fill, by what batches have taken.

    While events are few, each is committed at once: nothing waits. Those that come while a step is under way share the
    next. As steps take up more of the time, events wait for others as long as a step takes, if the latency target
    leaves so much, so that each sync of the disk carries more. When more wait than a batch holds, batches grow twofold
    a step; when a step takes longer than the target and nothing waits, they shrink.

    Time: O(1) a step. Space: O(1).

    Args:
        target_s: The latency that is aimed at, from arrival to the disk, in seconds.
        rows_min: The least limit of a batch.
        rows_max: The greatest.
    """

    __slots__ = ("_busy", "_ended", "_limit", "_rows_max", "_rows_min", "_step_s", "_target_s")

    def __init__(self, target_s: float, *, rows_min: int = 1024, rows_max: int = 262_144) -> None:
        self._target_s = target_s
        self._rows_min = rows_min
        self._rows_max = rows_max
        self._limit = 8 * rows_min
        self._step_s = 0.0
        self._busy = 0.0
        self._ended: float | None = None

    @property
    def rows_max(self) -> int:
        """How many rows a batch may have now."""
        return self._limit

    @property
    def linger_s(self) -> float:
        """How long the first event of a batch waits for others, in seconds."""
        if self._busy < _BUSY_ENOUGH:
            return 0.0
        # As long as a step takes, so that half of the time is left to others, and less where the target is near.
        return max(0.0, min(self._step_s, self._target_s - 2.0 * self._step_s))

    def observe(self, *, started: float, ended: float, rows: int, waiting: int) -> None:
        """Takes note of a step.

        Args:
            started: When it began, in seconds.
            ended: When it was on the disk.
            rows: How many rows it had.
            waiting: How many wait now.
        """
        took = max(0.0, ended - started)
        since = took if self._ended is None else max(took, ended - self._ended)
        self._ended = ended
        self._step_s += _WEIGHT * (took - self._step_s)
        self._busy += _WEIGHT * ((took / since if since > 0 else 0.0) - self._busy)
        if waiting >= self._limit:
            self._limit = min(self._rows_max, 2 * self._limit)
        elif took > self._target_s and rows > self._limit // 2 and waiting == 0:
            self._limit = max(self._rows_min, self._limit // 2)

    def stats(self) -> BatchStats:
        """What it does at the moment."""
        return BatchStats(self._limit, self.linger_s, self._step_s, self._busy)
