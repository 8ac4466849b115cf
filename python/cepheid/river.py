"""Detectors of `river` as rules of an engine: models that learn online, a row at a time."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, final

from cepheid.building import checked_name
from cepheid.errors import PatternError, SchemaError
from cepheid.names import listed_names
from cepheid.options import checked_count, checked_flag
from cepheid.processors import Processor

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RiverDetector", "river_detector"]

_ADDED = ("score", "is_anomaly")


@final
class RiverDetector:
    """The function of a detecting `Processor`: rows in, the same with a score out; `river_detector` makes it.

    Example:
        >>> import cepheid as cep
        >>> from river.anomaly import HalfSpaceTrees
        >>> rule = cep.river_detector(HalfSpaceTrees, "txn", columns="amount", threshold=0.9)
        >>> isinstance(rule.function, cep.RiverDetector)
        True
    """

    __slots__ = (
        "_by",
        "_columns",
        "_detectors",
        "_drift",
        "_keys_kept",
        "_learn_anomalies",
        "_make",
        "_target",
        "_threshold",
        "_warm_up",
    )

    def __init__(
        self,
        make: Callable[[], Any],
        columns: list[str],
        by: list[str],
        target: str | None,
        threshold: float | None,
        warm_up: int,
        learn_anomalies: bool,
        keys_kept: int,
    ) -> None:
        self._make, self._columns, self._by, self._target = make, columns, by, target
        self._threshold, self._warm_up, self._learn_anomalies = threshold, warm_up, learn_anomalies
        self._keys_kept = keys_kept
        # Each with how many rows it has learned; the key that came last stands last.
        self._detectors: OrderedDict[tuple[Any, ...], list[Any]] = OrderedDict()
        self._drift = self._checked(make())

    def _checked(self, detector: Any) -> bool:
        """Whether it is one of drift; else it gives scores."""
        if hasattr(detector, "update") and hasattr(detector, "drift_detected"):
            if self._target is not None or len(self._columns) > 1:
                raise PatternError(
                    "a detector of drift is given one column, and no target", code="invalid-clause", context="columns"
                )
            return True
        supervised = getattr(detector, "_supervised", self._target is not None)
        if hasattr(detector, "score_one") and supervised != (self._target is not None):
            problem = "predicts a target: say target=" if supervised else "takes no target: leave target= out"
            raise PatternError(f"{type(detector).__name__} {problem}", code="invalid-clause", context="target")
        if not (hasattr(detector, "score_one") and hasattr(detector, "learn_one")):
            raise TypeError(
                f"make() gives a detector of river, with score_one and learn_one, or update and drift_detected; "
                f"{type(detector).__name__} has neither"
            )
        if self._threshold is None and not hasattr(detector, "classify"):
            raise PatternError(
                f"{type(detector).__name__} says no more than a score: say from which threshold= on it is an anomaly, "
                "or put a filter of river around it",
                code="invalid-clause",
                context="threshold",
            )
        return False

    @property
    def keys(self) -> int:
        """How many keys have a detector.

        Example:
            >>> import cepheid as cep
            >>> from river.drift import ADWIN
            >>> cep.river_detector(ADWIN, "txn", columns="amount").function.keys
            0
        """
        return len(self._detectors)

    def __call__(self, batch: pa.RecordBatch) -> pa.Table:
        """The rows with ``score`` (float64) and ``is_anomaly`` (bool).

        Args:
            batch: The rows, in the order in which they are to be learned.

        Raises:
            SchemaError: They lack a column (code ``unknown-column``), have one of ``score`` and ``is_anomaly`` already
                (code ``ambiguous-column``), or one that is no number (code ``column-type``).

        Example:
            >>> import cepheid as cep
            >>> import pyarrow as pa
            >>> from river.drift import PageHinkley
            >>> rule = cep.river_detector(lambda: PageHinkley(min_instances=3, threshold=2), "txn", columns="v")
            >>> rows = rule.function(pa.record_batch({"ts": list(range(8)), "v": [1, 1, 1, 1, 1, 9, 9, 9]}))
            >>> rows["is_anomaly"].to_pylist()
            [False, False, False, False, False, True, False, False]
        """
        import pyarrow as pa

        rows = pa.table(batch)
        features = [self._numbers(rows, name) for name in self._columns]
        targets = [None] * len(rows) if self._target is None else self._numbers(rows, self._target)
        keys = [_column(rows, name).to_pylist() for name in self._by]
        if taken := [name for name in rows.column_names if name.lower() in _ADDED]:
            raise SchemaError(
                f"the rows have a column `{taken[0]}` already; leave it out, or rename it before",
                code="ambiguous-column",
                column=taken[0],
            )
        scores: list[float | None] = []
        flags: list[bool] = []
        for place, values in enumerate(zip(*features, strict=True)):
            target = targets[place]
            if None in values or (self._target is not None and target is None):
                score, flag = None, False
            else:
                score, flag = self._judged(tuple(_key(column[place]) for column in keys), values, target)
            scores.append(score)
            flags.append(flag)
        added = [pa.array(scores, pa.float64()), pa.array(flags, pa.bool_())]
        for name, column in zip(_ADDED, added, strict=True):
            rows = rows.append_column(name, column)
        return rows

    def _judged(
        self, key: tuple[Any, ...], values: tuple[float, ...], target: float | None
    ) -> tuple[float | None, bool]:
        kept = self._detectors.get(key)
        if kept is None:
            kept = self._detectors[key] = [self._make(), 0]
            if len(self._detectors) > self._keys_kept:
                self._detectors.popitem(last=False)
        else:
            self._detectors.move_to_end(key)
        detector, learned = kept
        kept[1] += 1
        if self._drift:
            detector.update(values[0])
            flag = bool(detector.drift_detected) and learned >= self._warm_up
            return (1.0 if flag else 0.0, flag) if learned >= self._warm_up else (None, False)
        given = (dict(zip(self._columns, values, strict=True)), *(() if self._target is None else (target,)))
        score: float | None = None
        flag = False
        if learned >= self._warm_up:
            score = float(detector.score_one(*given))
            flag = score > self._threshold if self._threshold is not None else bool(detector.classify(score))
        if self._learn_anomalies or not flag:
            detector.learn_one(*given)
        return score, flag

    def _numbers(self, rows: pa.Table, name: str) -> list[float | None]:
        import pyarrow as pa

        column = _column(rows, name)
        kinds = pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null
        if not any(is_kind(column.type) for is_kind in kinds):
            raise SchemaError(
                f"a detector of river judges numbers, and column `{name}` is {column.type}",
                code="column-type",
                column=name,
            )
        # Large integers are judged as the floats that they are nearest to.
        return column.cast(pa.float64(), safe=False).to_pylist()  # type: ignore[no-any-return]


def _column(rows: pa.Table, name: str) -> Any:
    if rows.column_names.count(name) != 1:
        raise SchemaError(
            f"the rows have no column `{name}`; they have {listed_names(rows.column_names)}",
            code="unknown-column",
            column=name,
        )
    return rows[name]


def _key(value: Any) -> Any:
    """A value that can be looked up: every NaN is one key."""
    if value != value:
        return float, "NaN"
    return value if value.__hash__ is not None else repr(value)


def river_detector(
    make: Callable[[], Any],
    topic: str,
    *,
    columns: str | Iterable[str],
    by: str | Iterable[str] = (),
    target: str | None = None,
    threshold: float | None = None,
    warm_up: int = 0,
    learn_anomalies: bool = True,
    keys_kept: int = 10_000,
    emits: str | None = None,
    name: str = "river",
) -> Processor:
    """A rule that puts what a detector of `river` says beside the rows of a topic, each key with a detector of its own.

    Every row is scored first and learned then, one by one: `river` is Python, so that a row costs tens of microseconds;
    the methods of `anomaly` cost a thousandth of that. What a detector has learned is in no snapshot of the engine, and
    rows of a call that the engine refuses for another reason have been learned.

    Cost: that of the detector, a row. Space: `keys_kept` detectors; the key that has been silent for longest goes first
    and begins anew when it comes again.

    Args:
        make: Makes a detector, as `river`'s classes do: one that scores (``river.anomaly``), or one of drift
            (``river.drift``), whose score is 1 where there is drift.
        topic: The topic that it reads.
        columns: The columns of numbers that are judged, under these names. A row with a NULL among them is passed over:
            its score is NULL.
        by: The columns of the key.
        target: The column of numbers that a supervised detector is to predict (``GaussianScorer`` and the like).
        threshold: A score above it is an anomaly. None: a filter of `river` (``QuantileFilter``) decides, or drift.
        warm_up: How many rows of a key are learned before one is judged.
        learn_anomalies: Whether anomalies are learned, too.
        keys_kept: How many keys have a detector.
        emits: The topic of the rows with ``score`` and ``is_anomaly``. None: the name.
        name: The name of the rule.

    Raises:
        TypeError: `make` makes no detector, or an argument is of the wrong type.
        PatternError: A scoring detector has neither threshold nor filter, one of drift several columns, a name is
            empty, or a number is below one (code ``invalid-clause`` or ``empty-name``).

    Example:
        >>> import cepheid as cep
        >>> from river.anomaly import GaussianScorer
        >>> def usual():
        ...     return GaussianScorer(grace_period=4)
        >>> scored = cep.river_detector(
        ...     usual, "txn", columns="amount", target="amount", threshold=0.99, warm_up=4, emits="scored"
        ... )
        >>> odd = cep.event("odd", "is_anomaly", topic="scored").select(amount="odd.amount").named("odd")
        >>> engine = cep.Engine([scored, odd], future=None)
        >>> derived = engine.push({"ts": list(range(7)), "amount": [1, 2, 1, 2, 1, 90, 2]}, "txn")
        >>> [found["amount"] for found in derived["odd"]]
        [90]
    """
    if not callable(make):
        raise TypeError(f"make is a function that makes a detector, not {type(make).__name__}")
    if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, (int, float))):
        raise TypeError(f"threshold is a number or None, not {type(threshold).__name__}")
    if isinstance(warm_up, bool) or not isinstance(warm_up, int):
        raise TypeError(f"warm_up is a whole number, not {type(warm_up).__name__}")
    if warm_up < 0:
        raise PatternError(f"warm_up is no number below zero, as {warm_up}", code="invalid-clause", context="warm_up")
    if threshold is not None and not -sys.float_info.max <= threshold <= sys.float_info.max:
        raise PatternError("threshold is a finite number", code="invalid-clause", context="threshold")
    names = _names(columns, "columns")
    if not names or len(set(names)) < len(names):
        raise PatternError("columns names one column at least, and each once", code="invalid-clause", context="columns")
    function = RiverDetector(
        make,
        names,
        _names(by, "by"),
        None if target is None else checked_name(target, "column"),
        None if threshold is None else float(threshold),
        warm_up,
        checked_flag(learn_anomalies, "learn_anomalies"),
        checked_count(keys_kept, "keys_kept") or 1,
    )
    return Processor(function, topic, emits=emits, name=name)


def _names(columns: Any, what: str) -> list[str]:
    if not isinstance(columns, Iterable):
        raise TypeError(f"{what} is the name of a column, or several, not {type(columns).__name__}")
    return [checked_name(column, "column") for column in ([columns] if isinstance(columns, str) else columns)]
