"""Which sequences of events many keys have in common, each of which is a pattern to run."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, final, overload

from cepheid._native import frequent_sequences as native_frequent_sequences
from cepheid.building import span_ns
from cepheid.errors import PatternError, SchemaError
from cepheid.expr import Expr
from cepheid.history import ColumnName, checked_column, checked_columns, history_of
from cepheid.literal import literal_node
from cepheid.names import invalid_choice
from cepheid.options import checked_count
from cepheid.pattern import Pattern
from cepheid.pattern import event as pattern_event
from cepheid.rule_data import row_condition

if TYPE_CHECKING:
    from fractions import Fraction

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from cepheid.history import History

__all__ = ["FrequentSequence", "FrequentSequences", "frequent_sequences"]

KEEP = ("all", "closed", "maximal")
Span = str | dt.timedelta

_SHOWN_SEQUENCES = 20
_SHOWN_WIDTH = 100


class Asked(NamedTuple):
    """What was asked for, as far as a pattern has to say it again."""

    by: tuple[ColumnName, ...]
    event: tuple[ColumnName, ...]
    event_time: ColumnName
    max_gap: Span | None
    within: Span | None
    where: Expr | None


@final
class FrequentSequence:
    """What happens, one after the other, for so many keys: `frequent_sequences` finds it.

    Attributes:
        events: What happens, in order: values of the event's column, or tuples of them if there are several columns.
        support: How many keys have an occurrence.
        keys: How many keys there are.
        span_median_ns: See `span_median`, in nanoseconds.
        span_p95_ns: See `span_p95`, in nanoseconds.

    Example:
        >>> import cepheid as cep
        >>> clicks = {"user": [1, 1, 2, 2], "ts": [1, 4, 2, 3], "page": ["cart", "paid", "cart", "paid"]}
        >>> [bought] = cep.frequent_sequences(clicks, by="user", event="page", min_support=2)
        >>> bought
        FrequentSequence(events=('cart', 'paid'), support=2, keys=2, span_median_ns=1, span_p95_ns=3)
    """

    # No dataclass: to import what makes them takes a tenth of the time that `import cepheid` has.
    __slots__ = ("_asked", "events", "keys", "span_median_ns", "span_p95_ns", "support")

    events: tuple[Any, ...]
    support: int
    keys: int
    span_median_ns: int
    span_p95_ns: int
    _asked: Asked

    def __init__(self) -> None:
        raise TypeError("frequent sequences come from cepheid.frequent_sequences()")

    @classmethod
    def _of(
        cls, events: tuple[Any, ...], support: int, keys: int, span_median_ns: int, span_p95_ns: int, asked: Asked
    ) -> FrequentSequence:
        made = object.__new__(cls)
        parts = {"events": events, "support": support, "keys": keys, "_asked": asked}
        for name, value in {**parts, "span_median_ns": span_median_ns, "span_p95_ns": span_p95_ns}.items():
            object.__setattr__(made, name, value)
        return made

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("frequent sequences cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("frequent sequences cannot be changed")

    def _parts(self) -> tuple[Any, ...]:
        return self.events, self.support, self.keys, self.span_median_ns, self.span_p95_ns

    def _compared(self) -> tuple[Any, ...]:
        # Expressions do not compare by what they say, but what they are written as does.
        where = self._asked.where
        return (*self._parts(), self._asked._replace(where=None), None if where is None else repr(where))

    def __eq__(self, other: object) -> bool:
        return self._compared() == other._compared() if isinstance(other, FrequentSequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared())

    def __reduce__(self) -> tuple[Any, ...]:
        return FrequentSequence._of, (*self._parts(), self._asked)

    def __repr__(self) -> str:
        return (
            f"FrequentSequence(events={self.events!r}, support={self.support}, keys={self.keys}, "
            f"span_median_ns={self.span_median_ns}, span_p95_ns={self.span_p95_ns})"
        )

    @property
    def frequency(self) -> float:
        """The share of the keys that have an occurrence, from 0 to 1.

        Example:
            >>> import cepheid as cep
            >>> clicks = {"user": [1, 1, 2], "ts": [1, 4, 2], "page": ["cart", "paid", "cart"]}
            >>> cep.frequent_sequences(clicks, by="user", event="page", min_support=1)[0].frequency
            0.5
        """
        return self.support / self.keys

    @property
    def span_median(self) -> dt.timedelta:
        """The median of the keys' shortest occurrences: half of the keys that have one have one that takes no longer.

        An occurrence takes the time from its first row to its last. The median is the least span that at least half of
        the keys do not pass (nearest rank), rounded up to a microsecond.

        Example:
            >>> import cepheid as cep
            >>> clicks = {"user": [1, 1, 1], "ts": [0, 5_000, 8_000], "page": ["cart", "cart", "paid"]}
            >>> cep.frequent_sequences(clicks, by="user", event="page", min_support=1, max_length=2)[1].span_median
            datetime.timedelta(microseconds=3)
        """
        return _timedelta(self.span_median_ns)

    @property
    def span_p95(self) -> dt.timedelta:
        """The span that the shortest occurrences of 95 of 100 keys do not pass, as `span_median`.

        It tells what ``within`` costs: as bounds leave their end out, a bound that is longer than this by any time
        keeps at least 95 of 100 of the keys.

        Example:
            >>> import cepheid as cep
            >>> clicks = {"user": [1, 1, 2, 2], "ts": [0, 5_000, 0, 8_000], "page": ["cart", "paid", "cart", "paid"]}
            >>> [bought] = cep.frequent_sequences(clicks, by="user", event="page", min_support=2)
            >>> bought.span_p95
            datetime.timedelta(microseconds=8)
        """
        return _timedelta(self.span_p95_ns)

    def pattern(self, name: str | None = None) -> Pattern:
        """The sequence as a pattern, for `cepheid.match` and for an engine; its events are ``e1``, ``e2`` and so on.

        It has the keys, the order and the bounds of the search, and any rows may lie between its events. For each row
        that can begin it there is one match at most (the pattern is not one of ``matches("all")``), and a match forgets
        those that began before it ended. Over the rows that were mined, the keys with a match are those that support
        the sequence, `support` in number: a key's first match is forgotten for no other, so a key that has an
        occurrence has a match.

        Args:
            name: The name of the rule, if it is to have one.

        Raises:
            TypeError: The name is no string.
            PatternError: It is empty.

        Example:
            >>> import cepheid as cep
            >>> clicks = {"user": [1, 1, 2, 2], "ts": [1, 4, 2, 3], "page": ["cart", "paid", "cart", "paid"]}
            >>> [bought] = cep.frequent_sequences(clicks, by="user", event="page", min_support=2, within="5m")
            >>> bought.pattern("bought")
            cep.seq(event('e1', col.page == 'cart'), event('e2', col.page == 'paid'),
            contiguity='skip_till_any').partition_by('user').order_by('ts').within('5m').named('bought')
            >>> [row["user"] for row in cep.match(bought.pattern(), clicks)]
            [2, 1]
        """
        asked = self._asked
        several = len(asked.event) > 1
        steps = []
        for number, value in enumerate(self.events, 1):
            values = value if several else (value,)
            conditions = [column.expr() == part for column, part in zip(asked.event, values, strict=True)]
            also = [] if asked.where is None else [asked.where]
            steps.append(pattern_event(f"e{number}", *conditions, *also))
        pattern = steps[0]
        for step in steps[1:]:
            pattern = pattern.then_any(step)
        pattern = pattern.partition_by(*(column.clause() for column in asked.by)).order_by(asked.event_time.clause())
        # A single event takes no time. None is said too: it is what lets an engine run what can wait for ever.
        alone = len(steps) == 1
        if asked.max_gap is not None and not alone:
            pattern = pattern.within(asked.max_gap, between="neighbours")
        pattern = pattern.within(None if alone else asked.within)
        return pattern if name is None else pattern.named(name)


@final
class FrequentSequences(Sequence[FrequentSequence]):
    """The frequent sequences of a history: by support, then length, the greatest first, then by their events.

    It is also a table, with one row a sequence, for any library that reads Arrow. A slice is one too.

    Example:
        >>> import cepheid as cep
        >>> clicks = {"user": [1, 1, 2, 2, 3], "ts": [1, 4, 2, 3, 3], "page": ["cart", "paid", "cart", "paid", "cart"]}
        >>> cep.frequent_sequences(clicks, by="user", event="page", min_support=2)
        FrequentSequences: 1 sequence of 3 keys
        support  share   median span  95 % span       events
              2  66.7 %  0:00:00.000001  0:00:00.000001  'cart', 'paid'
    """

    __slots__ = ("_codes", "_sequences", "_values", "keys")

    keys: int
    _sequences: tuple[FrequentSequence, ...]
    # Of each sequence the places of its events among the values.
    _codes: tuple[tuple[int, ...], ...]
    _values: pa.Array

    def __init__(self) -> None:
        raise TypeError("frequent sequences come from cepheid.frequent_sequences()")

    @classmethod
    def _of(
        cls, sequences: Iterable[FrequentSequence], codes: Iterable[tuple[int, ...]], values: pa.Array, keys: int
    ) -> FrequentSequences:
        found = object.__new__(cls)
        found._sequences, found._codes, found._values, found.keys = tuple(sequences), tuple(codes), values, keys
        return found

    def __len__(self) -> int:
        return len(self._sequences)

    @overload
    def __getitem__(self, place: int) -> FrequentSequence: ...
    @overload
    def __getitem__(self, place: slice) -> FrequentSequences: ...
    def __getitem__(self, place: int | slice) -> FrequentSequence | FrequentSequences:
        if isinstance(place, slice):
            return self._of(self._sequences[place], self._codes[place], self._values, self.keys)
        return self._sequences[place]

    def __iter__(self) -> Iterator[FrequentSequence]:
        return iter(self._sequences)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> pa.Table:
        """The sequences as a `pyarrow.Table`.

        Its columns: ``events`` (a list of values, or of structs if the event has several columns), ``support``,
        ``frequency``, ``span_median`` and ``span_p95`` (durations in nanoseconds).

        Example:
            >>> import cepheid as cep
            >>> clicks = {"user": [1, 1, 2], "ts": [1, 4, 2], "page": ["cart", "paid", "cart"]}
            >>> found = cep.frequent_sequences(clicks, by="user", event="page", min_support=1, min_length=1)
            >>> found.to_arrow().select(["events", "support"]).to_pylist()
            [{'events': ['cart'], 'support': 2}, {'events': ['cart', 'paid'], 'support': 1}]
        """
        import numpy as np
        import pyarrow as pa

        offsets = np.cumsum([0, *map(len, self._codes)])
        flat = np.fromiter((code for codes in self._codes for code in codes), np.int64, offsets[-1])
        events = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), self._values.take(pa.array(flat)))

        def spans(values: Iterable[int]) -> Any:
            # Two times of 64 bits may be further apart than a duration of 64 bits can say.
            return pa.array([min(value, 2**63 - 1) for value in values], pa.int64()).cast(pa.duration("ns"))

        return pa.table(
            {
                "events": events,
                "support": pa.array([sequence.support for sequence in self], pa.int64()),
                "frequency": pa.array([sequence.frequency for sequence in self], pa.float64()),
                "span_median": spans(sequence.span_median_ns for sequence in self),
                "span_p95": spans(sequence.span_p95_ns for sequence in self),
            }
        )

    def to_polars(self) -> pl.DataFrame:
        """The sequences as a `polars.DataFrame`.

        Raises:
            ModuleNotFoundError: Polars is not installed.

        Example:
            >>> import cepheid as cep
            >>> clicks = {"user": [1, 1], "ts": [1, 4], "page": ["cart", "paid"]}
            >>> cep.frequent_sequences(clicks, by="user", event="page", min_support=1).to_polars()["support"].to_list()
            [1]
        """
        import polars

        return polars.DataFrame(self.to_arrow())

    def to_pandas(self) -> pd.DataFrame:
        """The sequences as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: pandas is not installed.

        Example:
            >>> import cepheid as cep
            >>> clicks = {"user": [1, 1], "ts": [1, 4], "page": ["cart", "paid"]}
            >>> cep.frequent_sequences(clicks, by="user", event="page", min_support=1).to_pandas()["support"].tolist()
            [1]
        """
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        count = len(self)
        title = f"FrequentSequences: {count:,} sequence{'' if count == 1 else 's'} of {self.keys:,} keys"
        if not count:
            return title
        shown = [("support", "share", "median span", "95 % span", "events")]
        for sequence in self._sequences[:_SHOWN_SEQUENCES]:
            events = ", ".join(map(repr, sequence.events))
            if len(events) > _SHOWN_WIDTH:
                events = events[: _SHOWN_WIDTH - 3] + "..."
            spans = (str(sequence.span_median), str(sequence.span_p95))
            shown.append((f"{sequence.support:,}", f"{sequence.frequency:.1%}".replace("%", " %"), *spans, events))
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        lines = [
            "  ".join([*(cell.rjust(width) for cell, width in zip(row, widths[:4], strict=False)), row[4]])
            for row in shown
        ]
        if count > _SHOWN_SEQUENCES:
            lines.append(f"... {count - _SHOWN_SEQUENCES:,} more")
        return "\n".join([title, *lines])


def frequent_sequences(
    data: Any,
    *,
    by: str | Expr | Iterable[str | Expr],
    event: str | Expr | Iterable[str | Expr],
    event_time: str | Expr = "ts",
    min_support: int | float,
    min_length: int = 2,
    max_length: int = 5,
    max_gap: Span | None = None,
    within: Span | None = None,
    keep: Literal["all", "closed", "maximal"] = "closed",
    where: str | Expr | None = None,
    max_sequences: int = 10_000,
) -> FrequentSequences:
    """Finds the sequences of events that many keys have in common, each of which is a pattern to run.

    A key supports a sequence if rows of it with these events stand in this order, any rows between them, and keep both
    bounds. Rows go by event time, those of one time by arrival, so that two rows of one time are one before the other.
    The support of a sequence is how many keys support it, however often each of them does. Keys that are NULL are equal
    to each other, as those of `Pattern.partition_by` are; rows whose event is NULL are left out.

    Sequences are grown as PrefixSpan grows them (Pei, Han et al., *Mining Sequential Patterns by Pattern-Growth*, IEEE
    TKDE 2004), from every row where one can end. Time: O(n log n) to put n rows in order, and for each frequent
    sequence O(r), r = rows that may follow an end of it, n at most. Space: some 100 bytes a row, 8 at most a row and
    event of the longest sequence, and the sequences. On one thread; Ctrl-C ends it.

    Args:
        data: The table, as `cepheid.match` takes it. Rows may come in any order.
        by: The columns of the key.
        event: The column that says what happened: text, numbers, booleans or times. Or several: what happened is then
            all of their values, and NULL where one of them is.
        event_time: The column of the event time.
        min_support: The fewest keys that a frequent sequence has, or as a float in ``(0, 1]`` the least share of the
            keys.
        min_length: The fewest events of a sequence.
        max_length: The most.
        max_gap: From an event to the next passes less time than this.
        within: From the first event to the last passes less time than this.
        keep: Which frequent sequences are told. ``"closed"``: those that no frequent sequence of one event more, in any
            place, has exactly the keys of; ``"maximal"``: those that none of one event more is frequent of; ``"all"``.
            Sequences longer than `max_length` have no say in it. Without `max_gap` a longer sequence has no keys that
            what is in it has not, so one of equal support has the same keys; with it, leaving out an event in the
            middle makes a gap longer, and a sequence may be less frequent than a longer one.
        where: A condition, as an expression or SQL text: only rows that satisfy it are there, keys among them.
        max_sequences: If there are more frequent sequences than this, of 1 to `max_length` events and before `keep` has
            its say, that is an error.

    Returns:
        The sequences, by support, then length, the greatest first, then by their events.

    Raises:
        TypeError: An argument is of another type.
        PatternError: A number or a span is out of its range (code ``invalid-clause`` or ``invalid-within``), the gap is
            longer than the window (code ``gap-exceeds-window``), or the condition is impossible.
        SqlError: The condition is no SQL expression.
        SchemaError: The data cannot be read as a table, a column is missing or of a type that cannot play its part, or
            an event time is NULL (code ``null-time``).
        EvaluationError: The condition fails on a row.
        StateLimitError: There are more than `max_sequences` (code ``too-many-sequences``).

    Example:
        >>> import cepheid as cep
        >>> clicks = {
        ...     "user": [1, 1, 1, 2, 2, 2, 3],
        ...     "ts": [1, 2, 3, 1, 2, 9, 5],
        ...     "page": ["home", "cart", "paid", "home", "cart", "paid", "home"],
        ... }
        >>> found = cep.frequent_sequences(clicks, by="user", event="page", min_support=0.5)
        >>> [(sequence.events, sequence.support) for sequence in found]
        [(('home', 'cart', 'paid'), 2)]
        >>> len(cep.match(found[0].pattern(), clicks))
        2
    """
    condition = None if where is None else Expr._of(row_condition(where, "the condition of rows"))
    keys, happened = checked_columns(by, "by"), checked_columns(event, "event")
    time = checked_column(event_time)
    asked = Asked(keys, happened, time, max_gap, within, condition)
    gap_ns = None if max_gap is None else span_ns(max_gap, "max_gap")
    within_ns = None if within is None else span_ns(within, "within")
    if gap_ns is not None and within_ns is not None and gap_ns > within_ns:
        raise PatternError(
            "max_gap cannot be longer than the window around all events; shorten the gap", code="gap-exceeds-window"
        )
    shortest, longest = _count(min_length, "min_length"), _count(max_length, "max_length")
    if shortest > longest:
        raise PatternError(
            f"min_length is {shortest}, and max_length {longest}, which is less",
            code="invalid-clause",
            context="min_length",
        )
    if keep not in KEEP:
        raise invalid_choice("keep", keep, list(KEEP))
    most, least = _count(max_sequences, "max_sequences"), _least_support(min_support)
    history = history_of(data, keys, happened, time, condition)
    found = native_frequent_sequences(
        _numbers(history),
        min_support=least if isinstance(least, int) else max(1, math.ceil(least * history.key_count)),
        min_length=shortest,
        max_length=longest,
        max_gap_ns=gap_ns,
        within_ns=within_ns,
        max_sequences=most,
        keep=keep,
    )
    values = _values(history, happened, {code for codes, *_ in found for code in codes})
    sequences = (
        FrequentSequence._of(tuple(values[code] for code in codes), support, history.key_count, median, p95, asked)
        for codes, support, median, p95 in found
    )
    return FrequentSequences._of(sequences, (tuple(codes) for codes, *_ in found), history.values, history.key_count)


def _numbers(history: History) -> pa.Table:
    import pyarrow as pa

    columns = {"key": history.keys.astype("uint32"), "time": history.times, "symbol": history.symbols.astype("uint32")}
    return pa.table(columns)


def _values(history: History, event: Sequence[ColumnName], codes: Iterable[int]) -> dict[int, Any]:
    """What codes stand for, as Python has it, and an expression can hold it."""
    found = {}
    for code in codes:
        try:
            value = history.values[code].as_py()
            parts = tuple(value.values()) if len(event) > 1 else (value,)
            for part in parts:
                literal_node(part)
        except (PatternError, ValueError, OverflowError) as error:
            column = event[0].name
            raise SchemaError(
                f"column `{column}` has a value that no condition can hold ({error}); cast it to another type",
                code="column-type",
                column=column,
                found=str(history.values.type),
            ) from error
        found[code] = parts if len(event) > 1 else value
    return found


def _count(value: Any, what: str) -> int:
    count = checked_count(value, what)
    if count is None:
        raise TypeError(f"{what} is a whole number, not None")
    return count


def _least_support(value: Any) -> int | Fraction:
    """A number of keys, or a share of them as it is written: 0.1 of 30 keys are 3."""
    if isinstance(value, float):
        if not 0 < value <= 1:
            raise PatternError(
                f"min_support is a number of keys from 1, or a share of them above 0.0 up to 1.0, not {value}",
                code="invalid-clause",
                context="min_support",
            )
        from fractions import Fraction

        return Fraction(repr(value))
    return _count(value, "min_support")


def _timedelta(nanoseconds: int) -> dt.timedelta:
    return dt.timedelta(microseconds=-(-nanoseconds // 1_000))
