"""Functions of text and of times, reached as ``expr.str`` and ``expr.dt``."""

from __future__ import annotations

from typing import Any, final

from cepheid.building import call
from cepheid.errors import PatternError
from cepheid.expr import Expr

__all__ = ["TemporalFunctions", "TextFunctions"]

TRUNCATION_UNITS = (
    "nanosecond", "microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year",
)  # fmt: skip


@final
class TextFunctions:
    """Functions of text. Positions and lengths count characters; positions start at 1. NULL in, NULL out.

    Example:
        >>> from cepheid import col
        >>> col.name.str.upper().str.starts_with("A")
        col.name.str.upper().str.starts_with('A')
    """

    __slots__ = ("_expr",)

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def lower(self) -> Expr:
        """In lower case.

        Example:
            >>> from cepheid import col
            >>> col.name.str.lower()
            col.name.str.lower()
        """
        return call("lower", self._expr)

    def upper(self) -> Expr:
        """In upper case.

        Example:
            >>> from cepheid import col
            >>> col.name.str.upper()
            col.name.str.upper()
        """
        return call("upper", self._expr)

    def length(self) -> Expr:
        """How many characters.

        Example:
            >>> from cepheid import col
            >>> col.name.str.length() > 3
            col.name.str.length() > 3
        """
        return call("length", self._expr)

    def trim(self) -> Expr:
        """Without white space at either end.

        Example:
            >>> from cepheid import col
            >>> col.name.str.trim()
            col.name.str.trim()
        """
        return call("trim", self._expr)

    def ltrim(self) -> Expr:
        """Without white space at the start.

        Example:
            >>> from cepheid import col
            >>> col.name.str.ltrim()
            col.name.str.ltrim()
        """
        return call("ltrim", self._expr)

    def rtrim(self) -> Expr:
        """Without white space at the end.

        Example:
            >>> from cepheid import col
            >>> col.name.str.rtrim()
            col.name.str.rtrim()
        """
        return call("rtrim", self._expr)

    def reverse(self) -> Expr:
        """The characters from last to first.

        Example:
            >>> from cepheid import col
            >>> col.name.str.reverse()
            col.name.str.reverse()
        """
        return call("reverse", self._expr)

    def substring(self, start: Any, length: Any = None) -> Expr:
        """The characters from `start` on, at most `length` of them.

        Args:
            start: Position from 1; from the end if negative.
            length: How many; all by default.

        Example:
            >>> from cepheid import col
            >>> col.flight.str.substring(1, 2)
            col.flight.str.substring(1, 2)
        """
        return call("substring", self._expr, start, *(() if length is None else (length,)))

    def strpos(self, part: Any) -> Expr:
        """Where `part` first begins, from 1; 0 if it does not occur.

        Args:
            part: The text looked for.

        Example:
            >>> from cepheid import col
            >>> col.name.str.strpos("-")
            col.name.str.strpos('-')
        """
        return call("strpos", self._expr, part)

    def starts_with(self, prefix: Any) -> Expr:
        """Whether it starts with `prefix`.

        Args:
            prefix: The text looked for.

        Example:
            >>> from cepheid import col
            >>> col.name.str.starts_with("A")
            col.name.str.starts_with('A')
        """
        return call("starts_with", self._expr, prefix)

    def ends_with(self, suffix: Any) -> Expr:
        """Whether it ends with `suffix`.

        Args:
            suffix: The text looked for.

        Example:
            >>> from cepheid import col
            >>> col.name.str.ends_with("z")
            col.name.str.ends_with('z')
        """
        return call("ends_with", self._expr, suffix)

    def contains(self, part: Any) -> Expr:
        """Whether `part` occurs, taken as it is; for regular expressions see `regexp_like`.

        Args:
            part: The text looked for.

        Example:
            >>> from cepheid import col
            >>> col.name.str.contains("error")
            col.name.str.contains('error')
        """
        return call("contains", self._expr, part)

    def replace(self, old: Any, new: Any) -> Expr:
        """With every occurrence of `old` replaced.

        Args:
            old: The text looked for, taken as it is.
            new: What stands in its place.

        Example:
            >>> from cepheid import col
            >>> col.name.str.replace("-", "")
            col.name.str.replace('-', '')
        """
        return call("replace", self._expr, old, new)

    def lpad(self, size: Any, fill: Any = " ") -> Expr:
        """Filled at the start to `size` characters, or cut to them.

        Args:
            size: How many characters.
            fill: What to fill with.

        Example:
            >>> from cepheid import col
            >>> col.code.str.lpad(8, "0")
            col.code.str.lpad(8, '0')
        """
        return call("lpad", self._expr, size, fill)

    def rpad(self, size: Any, fill: Any = " ") -> Expr:
        """Filled at the end to `size` characters, or cut to them.

        Args:
            size: How many characters.
            fill: What to fill with.

        Example:
            >>> from cepheid import col
            >>> col.code.str.rpad(8)
            col.code.str.rpad(8, ' ')
        """
        return call("rpad", self._expr, size, fill)

    def split_part(self, separator: Any, index: Any) -> Expr:
        """One of the fields between separators; NULL if there are fewer.

        Args:
            separator: What lies between fields.
            index: Which field, from 1.

        Example:
            >>> from cepheid import col
            >>> col.route.str.split_part("-", 2)
            col.route.str.split_part('-', 2)
        """
        return call("split_part", self._expr, separator, index)

    def regexp_like(self, pattern: Any) -> Expr:
        """Whether a regular expression occurs.

        Args:
            pattern: The regular expression.

        Example:
            >>> from cepheid import col
            >>> col.name.str.regexp_like("^N[0-9]+")
            col.name.str.regexp_like('^N[0-9]+')
        """
        return call("regexp_like", self._expr, pattern)

    def regexp_extract(self, pattern: Any, group: Any = None) -> Expr:
        """The first occurrence of a regular expression, or a group of it; NULL if there is none.

        Args:
            pattern: The regular expression.
            group: Which group, from 1; the whole occurrence by default.

        Example:
            >>> from cepheid import col
            >>> col.name.str.regexp_extract("([0-9]+)", 1)
            col.name.str.regexp_extract('([0-9]+)', 1)
        """
        return call("regexp_extract", self._expr, pattern, *(() if group is None else (group,)))

    def regexp_replace(self, pattern: Any, new: Any) -> Expr:
        """With every occurrence of a regular expression replaced.

        Args:
            pattern: The regular expression.
            new: What stands in its place; ``$1`` is the first group.

        Example:
            >>> from cepheid import col
            >>> col.name.str.regexp_replace("[0-9]", "#")
            col.name.str.regexp_replace('[0-9]', '#')
        """
        return call("regexp_replace", self._expr, pattern, new)


@final
class TemporalFunctions:
    """Functions of dates, times and spans of time. Parts are read in the time zone of the column.

    Example:
        >>> from cepheid import col
        >>> col.time.dt.day_of_week() <= 5
        col.time.dt.day_of_week() <= 5
    """

    __slots__ = ("_expr",)

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def year(self) -> Expr:
        """The year.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.year()
            col.time.dt.year()
        """
        return call("year", self._expr)

    def quarter(self) -> Expr:
        """The quarter, 1 to 4.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.quarter()
            col.time.dt.quarter()
        """
        return call("quarter", self._expr)

    def month(self) -> Expr:
        """The month, 1 to 12.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.month()
            col.time.dt.month()
        """
        return call("month", self._expr)

    def week(self) -> Expr:
        """The ISO week, 1 to 53.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.week()
            col.time.dt.week()
        """
        return call("week", self._expr)

    def day(self) -> Expr:
        """The day of the month, 1 to 31.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.day()
            col.time.dt.day()
        """
        return call("day", self._expr)

    def day_of_week(self) -> Expr:
        """The day of the week; Monday is 1, Sunday 7.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.day_of_week()
            col.time.dt.day_of_week()
        """
        return call("day_of_week", self._expr)

    def day_of_year(self) -> Expr:
        """The day of the year, 1 to 366.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.day_of_year()
            col.time.dt.day_of_year()
        """
        return call("day_of_year", self._expr)

    def hour(self) -> Expr:
        """The hour, 0 to 23.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.hour()
            col.time.dt.hour()
        """
        return call("hour", self._expr)

    def minute(self) -> Expr:
        """The minute, 0 to 59.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.minute()
            col.time.dt.minute()
        """
        return call("minute", self._expr)

    def second(self) -> Expr:
        """The second, 0 to 59.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.second()
            col.time.dt.second()
        """
        return call("second", self._expr)

    def millisecond(self) -> Expr:
        """The millisecond of the second, 0 to 999.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.millisecond()
            col.time.dt.millisecond()
        """
        return call("millisecond", self._expr)

    def microsecond(self) -> Expr:
        """The microsecond of the second, 0 to 999999.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.microsecond()
            col.time.dt.microsecond()
        """
        return call("microsecond", self._expr)

    def nanosecond(self) -> Expr:
        """The nanosecond of the second, 0 to 999999999.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.nanosecond()
            col.time.dt.nanosecond()
        """
        return call("nanosecond", self._expr)

    def date(self) -> Expr:
        """The day of a timestamp.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.date()
            col.time.dt.date()
        """
        return call("date", self._expr)

    def truncate(self, unit: str) -> Expr:
        """The start of the unit that the time lies in.

        Args:
            unit: ``"second"``, ``"minute"``, ``"hour"``, ``"day"``, ``"week"``, ``"month"``, ``"quarter"``,
                ``"year"``, or a fraction of a second by name.

        Raises:
            PatternError: The unit is unknown (code ``unknown-unit``).

        Example:
            >>> from cepheid import col
            >>> col.time.dt.truncate("hour")
            col.time.dt.truncate('hour')
        """
        return call("date_trunc", checked_unit(unit), self._expr)

    def to_unixtime(self) -> Expr:
        """Seconds since 1970, a float.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.to_unixtime()
            col.time.dt.to_unixtime()
        """
        return call("to_unixtime", self._expr)

    def at_timezone(self, zone: Any) -> Expr:
        """The same instant, its parts read in another time zone.

        Args:
            zone: A name such as ``"Europe/Berlin"`` or an offset such as ``"+02:00"``.

        Example:
            >>> from cepheid import col
            >>> col.time.dt.at_timezone("UTC")
            col.time.dt.at_timezone('UTC')
        """
        return call("at_timezone", self._expr, zone)

    def total_seconds(self) -> Expr:
        """A span of time in seconds, a float.

        Example:
            >>> from cepheid import col, prev
            >>> (col.time - prev(col.time)).dt.total_seconds()
            (col.time - prev(col.time)).dt.total_seconds()
        """
        return call("total_seconds", self._expr)


def checked_unit(unit: Any) -> str:
    """The name of a unit of time."""
    if not isinstance(unit, str):
        raise TypeError(f"a unit of time is a string, not {type(unit).__name__}")
    if unit.lower() not in TRUNCATION_UNITS:
        raise PatternError(f"{unit[:50]!r} is no unit of time", code="unknown-unit", known=TRUNCATION_UNITS)
    return unit.lower()
