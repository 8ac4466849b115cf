"""What matching gives back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

from cepheid._native import CompactMatches
from cepheid.errors import PatternError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from cepheid._native import MatchTable
    from cepheid.derived import Derived
    from cepheid.drawing.plot import Plot

__all__ = ["UNNAMED_RULE", "Matches", "not_installed", "numpy_column"]

# The name of a rule that has none, and is the only one.
UNNAMED_RULE = "rule-1"

# What found the rows that windows give.
WINDOWS = "windows"

_SHOWN_ROWS = 10
_SHOWN_COLUMNS = 12
_SHOWN_WIDTH = 32


@final
class Matches:
    """The matches of a pattern in a table, or what a window says of its rows, as Arrow.

    The result is itself a table, with one row a match (or one a matched row, if the pattern says so), for any library
    that reads Arrow; `rows` is the table that says which input rows each match is made of.

    ``len()`` is the number of matches. Where a pattern wants all matches of conditions on single events and these are
    more than 65,536, they are *compact*: `count` and `head` ask for them without building any, everything else builds
    them all when it is first used. More than 268,435,456 are not built: that raises `StateLimitError` (code
    ``too-large``). What a measure raises then comes when matches are built.

    Iteration gives the rows of the table as dicts.

    Example:
        >>> import cepheid as cep
        >>> matches = cep.match(cep.event("up", "price > 10").select(price="up.price"), {"price": [9, 11, 12]})
        >>> len(matches), [row["price"] for row in matches]
        (2, [11, 12])
    """

    __slots__ = ("_compact", "_found", "_others", "_rows", "_table", "_topic")

    # One of the two: what is built, and what it is to be built from.
    _found: MatchTable | None
    _compact: CompactMatches | None
    _topic: str
    # What the same call derived of other topics.
    _others: tuple[tuple[str, Matches], ...]
    _table: pa.Table | None
    _rows: pa.Table | None

    def __init__(self) -> None:
        raise TypeError("matches come from cepheid.match(), cepheid.aggregate(), cepheid.sql() and cepheid.Engine")

    @classmethod
    def _of(
        cls,
        native: MatchTable | CompactMatches,
        topic: str = UNNAMED_RULE,
        others: tuple[tuple[str, Matches], ...] = (),
    ) -> Matches:
        matches = object.__new__(cls)
        matches._found = None if isinstance(native, CompactMatches) else native
        matches._compact = native if isinstance(native, CompactMatches) else None
        matches._topic = topic
        matches._others = others
        matches._table = None
        matches._rows = None
        return matches

    @property
    def _native(self) -> MatchTable:
        if self._found is None:
            assert self._compact is not None
            self._found = self._compact.build()
        return self._found

    def __arrow_c_schema__(self) -> object:
        return self._native.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._native.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return self._native.num_matches

    def __bool__(self) -> bool:
        # As `len` would say it, but of matches that are not built no more than one is.
        return self._first(1).num_matches > 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.to_arrow().to_batches(max_chunksize=4096):
            yield from batch.to_pylist()

    def count(self) -> int:
        """The number of matches, none of them built: an integer of any size.

        Raises:
            StateLimitError: They can only be counted one by one, and are more than 64 bits can count (code
                ``too-large``).

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up", "price > 10"), {"price": [9, 11, 12]}).count()
            2
            >>> rising = cep.event("a", "x = 1").then_any(
            ...     cep.event("b", "x = 2").one_or_more(contiguity="skip_till_any")
            ... ).then_any(cep.event("c", "x = 3"))
            >>> cep.match(rising.matches("all"), {"x": [1] + [2] * 100 + [3]}).count() == 2**100 - 1
            True
        """
        if self._found is None and self._compact is not None:
            return self._compact.count()
        return self._native.num_matches

    @property
    def num_rows(self) -> int:
        """The number of rows of the table.

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up", "price > 10"), {"price": [9, 11, 12]}).num_rows
            2
        """
        return self._native.num_rows

    @property
    def column_names(self) -> list[str]:
        """The names of the table's columns.

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up").select(p="up.price"), {"price": [9]}).column_names
            ['match_number', 'match_start', 'match_end', 'p']
        """
        if self._found is None and self._compact is not None:
            return self._compact.head(0).column_names
        return self._native.column_names

    @property
    def strategy(self) -> str:
        """The name of the strategy that found them; of events that several rules derive, those of all, behind commas.

        Example:
            >>> import cepheid as cep
            >>> isinstance(cep.match(cep.event("up"), {"price": [9]}).strategy, str)
            True
        """
        if self._found is None and self._compact is not None:
            return self._compact.head(0).strategy
        return self._native.strategy

    @property
    def rows(self) -> pa.Table:
        """Which input rows make up which match: columns ``match``, ``variable`` and ``row``.

        ``match`` is the ordinal of the match in this result and ``row`` that of the input row in arrival order, both
        from 0. Of several topics there is a column ``topic`` too, and ``row`` counts the rows of that topic. In a
        stream it counts all that have been pushed, late ones included.

        Raises:
            PatternError: These are rows of a window (see `cepheid.aggregate`), of which it is not kept which rows they
                are made of (code ``invalid-expression``).

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up", "price > 10"), {"price": [9, 11, 12]}).rows["row"].to_pylist()
            [1, 2]
        """
        if self._rows is None:
            import pyarrow as pa

            self._rows = pa.table(self._native.membership())
        return self._rows

    @property
    def derived(self) -> Derived:
        """All that the same call derived, by topic: these matches and, if the pattern has them, events of other topics.

        Those are the timeouts (`Pattern.timeouts`) and the intermediate outputs (`Pattern.emit_at`). The topic of the
        matches themselves is what the pattern emits, else its name, else ``rule-1``.

        Example:
            >>> import cepheid as cep
            >>> hot = cep.event("hot", "heat > 90").times(2) >> cep.event("cool", "heat < 80")
            >>> matches = cep.match(hot.emit_at("hot", "warning").named("alarm"), {"heat": [95, 96]})
            >>> matches.derived
            Derived: 3 events of 1 topic
              warning  3
        """
        from cepheid.derived import Derived

        return Derived._of([(self._topic, self), *self._others])

    def to_arrow(self) -> pa.Table:
        """The table as a `pyarrow.Table`; buffers are shared.

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up").select(p="up.price"), {"price": [9]}).to_arrow()["p"].to_pylist()
            [9]
        """
        if self._table is None:
            native = self._native
            # Of rules that report alike all tables are parts of one, which is read once.
            self._table = native.part()
        if self._table is None:
            import pyarrow as pa

            # What pa.table() comes to, without asking first what else it could be.
            self._table = pa.RecordBatchReader.from_stream(native).read_all()
        return self._table

    def to_polars(self) -> pl.DataFrame:
        """The table as a `polars.DataFrame`.

        Raises:
            ModuleNotFoundError: Polars is not installed.

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up").select(p="up.price"), {"price": [9]}).to_polars()["p"].to_list()
            [9]
        """
        try:
            import polars
        except ModuleNotFoundError as error:
            raise not_installed("to_polars()", "polars") from error
        return polars.DataFrame(self)

    def to_pandas(self) -> pd.DataFrame:
        """The table as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: pandas is not installed.

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up").select(p="up.price"), {"price": [9]}).to_pandas()["p"].tolist()
            [9]
        """
        try:
            import pandas  # noqa: F401
        except ModuleNotFoundError as error:
            raise not_installed("to_pandas()", "pandas") from error
        return self.to_arrow().to_pandas()

    def to_numpy(self) -> dict[str, Any]:
        """The table as a dict of NumPy arrays.

        Numbers, booleans and times keep their type; text and lists are arrays of objects. Integers and booleans with
        NULL among them come as masked arrays, floats have NaN for NULL, times NaT, objects None.

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up").select(p="up.price"), {"price": [9, 10]}).to_numpy()["p"]
            array([ 9, 10])
        """
        table = self.to_arrow()
        return {name: numpy_column(table.column(place)) for place, name in enumerate(table.column_names)}

    def head(self, k: int = 5) -> pa.Table:
        """The first rows of the table. Matches that are not built are only built as far as that.

        Args:
            k: How many.

        Raises:
            TypeError: `k` is no integer.
            PatternError: It is negative.

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up"), {"price": [9, 10, 11]}).head(2).num_rows
            2
        """
        count = _row_count("head", k)
        if self._found is None:
            import pyarrow as pa

            # A match shows at least one row.
            return pa.table(self._first(count)).slice(0, count)
        return self.to_arrow().slice(0, min(count, self.num_rows))

    def _first(self, count: int) -> MatchTable:
        """At least the first matches: those alone, if they are not built."""
        if self._found is None and self._compact is not None:
            return self._compact.head(count)
        return self._native

    def sample(self, k: int = 5, *, seed: int = 0) -> pa.Table:
        """Some rows of the table, each as likely as any other, in the order of the table. All matches are built.

        Args:
            k: How many; all, if there are fewer.
            seed: The same rows come of the same seed.

        Raises:
            TypeError: `k` is no integer.
            PatternError: It is negative.
            StateLimitError: There are too many matches to be built (code ``too-large``).

        Example:
            >>> import cepheid as cep
            >>> cep.match(cep.event("up"), {"price": [9, 10, 11]}).sample(2).num_rows
            2
        """
        import random

        count = _row_count("sample", k)
        table = self.to_arrow()
        return table.take(sorted(random.Random(seed).sample(range(table.num_rows), min(count, table.num_rows))))

    def plot(self, *, limit: int = 50, data: Any = None, event_time: str | None = None) -> Plot:
        """A timeline of the matched rows: a lane for each variable, a line through the rows of each match.

        Rows stand at their event times where these are known: matches keep those of their first and last rows, so that
        suffices if none has more than two; with `data` those of all are looked up. Else they stand at their row
        numbers. Windows are bars from ``window_start`` to ``window_end``, in a lane for each key.

        Args:
            limit: How many matches, or windows, are shown: the first.
            data: The rows that were matched, as they were given to `cepheid.match`; of a stream all that were pushed,
                in that order. Of several topics, a mapping of these to such tables.
            event_time: The column of `data` that the rows stand at: times, dates or numbers.

        Returns:
            A picture, with `to_svg` and `save`; notebooks show it.

        Raises:
            TypeError: `limit` is no whole number, or one of `data` and `event_time` is given without the other.
            PatternError: `limit` is below 1 (code ``invalid-clause``), or these are rows of sliding windows, which have
                no begin and end (code ``unsupported``).
            SchemaError: The data cannot be read as a table, lack the column, or rows that were matched (code
                ``unsupported-input``).

        Example:
            >>> import cepheid as cep
            >>> from cepheid import event
            >>> rise = cep.seq(event("low", "x < 2"), event("high", "x > 2").one_or_more(), contiguity="strict")
            >>> table = {"day": [1, 2, 3, 4, 5], "x": [1, 3, 4, 1, 5]}
            >>> cep.match(rise, table).plot(data=table, event_time="day")
            <Plot of 2 matches>
        """
        from cepheid.drawing.matches_plot import matches_plot

        return matches_plot(self, limit, data, event_time)

    def __repr__(self) -> str:
        if self._found is None:
            return f"Matches: {counted_matches(self.count())}, not built; head() shows the first"
        title = self._title()
        if not self.column_names:
            return title
        header, rows = self._cells()
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        numeric = self._numeric(len(header))
        lines = [title]
        for number, cells in enumerate([header, *rows]):
            if number == 1:
                lines.append("  ".join("-" * width for width in widths))
            aligned = (
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(cells, widths, numeric, strict=True)
            )
            lines.append("  ".join(aligned).rstrip())
        if self.num_rows > _SHOWN_ROWS:
            lines.append(f"... {self.num_rows - _SHOWN_ROWS:,} more rows")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        import html

        if self._found is None:
            return f"<div><p>{html.escape(repr(self))}</p></div>"
        header, rows = self._cells()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows)
        more = f"<p>... {self.num_rows - _SHOWN_ROWS:,} more rows</p>" if self.num_rows > _SHOWN_ROWS else ""
        return (
            f"<div><p>{html.escape(self._title())}</p><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{more}</div>"
        )

    def _title(self) -> str:
        count, rows = len(self), self.num_rows
        if self.strategy == WINDOWS:
            return f"Matches: {rows:,} row{'' if rows == 1 else 's'} of windows"
        return f"Matches: {counted_matches(count)}" + ("" if rows == count else f" in {rows:,} rows")

    def _shown(self) -> pa.Table:
        table = self.to_arrow().slice(0, _SHOWN_ROWS)
        return table.select(list(range(min(table.num_columns, _SHOWN_COLUMNS))))

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        table = self._shown()
        columns = [[_cell_text(value) for value in column] for column in table.columns]
        header = [_cut(name) for name in table.column_names]
        rows = [list(cells) for cells in zip(*columns, strict=True)]
        if len(self.column_names) > _SHOWN_COLUMNS:
            header.append("...")
            rows = [[*cells, "..."] for cells in rows]
        return header, rows

    def _numeric(self, columns: int) -> list[bool]:
        import pyarrow as pa

        def is_number(kind: Any) -> bool:
            return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))

        flags = [is_number(field.type) for field in self._shown().schema]
        return flags + [False] * (columns - len(flags))


def _row_count(method: str, k: Any) -> int:
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise TypeError(f"{method}() takes a number of rows, not {type(k).__name__}")
    count: int = k.__index__()
    if count < 0:
        raise PatternError(f"{method}() takes a number of rows from 0", code="invalid-clause")
    # More than any table has.
    return min(count, 2**63 - 1)


def counted_matches(count: int) -> str:
    """So many matches, in words."""
    return f"{_count_text(count)} match{'' if count == 1 else 'es'}"


def _count_text(count: int) -> str:
    # Python writes no integer out that has more than some thousand digits.
    return f"{count:,}" if count < 2**64 else f"2^{count.bit_length() - 1} or more"


def _cell_text(scalar: Any) -> str:
    if not scalar.is_valid:
        return "NULL"
    try:
        value = scalar.as_py()
    except (ValueError, OverflowError):
        # Nanoseconds, or years, that Python's own types do not have.
        return _cut(str(getattr(scalar, "value", "?")))
    return _cut(f"{value:.6g}" if isinstance(value, float) else str(value))


def _cut(text: str) -> str:
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= _SHOWN_WIDTH else text[: _SHOWN_WIDTH - 3] + "..."


def numpy_column(column: Any) -> Any:
    """A column as an array of NumPy: of objects where it has no other."""
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        mask = column.is_null().to_numpy()
        filled = column.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy()
        return np.ma.MaskedArray(filled, mask=mask)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # NumPy has no time zones: the instant, in UTC.
        column = column.cast(pa.timestamp(kind.unit))
    return column.to_numpy()


def not_installed(method: str, package: str) -> ModuleNotFoundError:
    """What a method raises whose result needs a package that is not there."""
    return ModuleNotFoundError(f"{method} needs {package}: pip install 'cepheid[{package}]'", name=package)
