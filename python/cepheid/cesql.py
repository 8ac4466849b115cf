"""CloudEvents SQL: expressions over the attributes of events, to route by."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple, final

from cepheid import _native
from cepheid.building import encodable
from cepheid.input import arrow_table, table_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CesqlFault", "CesqlMask", "CesqlResult", "CloudEventsSql"]

_INT64 = range(-(2**63), 2**63)
# Arrow's widest decimals have 76 digits.
_DECIMAL_PLACES_MAX = 80


class CesqlFault(NamedTuple):
    """An error that an evaluation met and went on from.

    Attributes:
        kind: ``missing-attribute``, ``cast``, ``math``, ``missing-function``, ``function-evaluation``, or ``generic``.
        message: What is wrong, and with which values.

    Example:
        >>> from cepheid.cesql import CloudEventsSql
        >>> CloudEventsSql("7 / 0").evaluate({}).errors
        (CesqlFault(kind='math', message='7 / 0 is a division by 0'),)
    """

    kind: str
    message: str


class CesqlResult(NamedTuple):
    """What an expression says of an event.

    Attributes:
        value: True or False, a whole number of 32 bits, or text. With an error, what stands for it: False, 0, or the
            empty text, or what the function at fault gives nevertheless.
        errors: The errors in order of appearance; empty: the value holds.

    Example:
        >>> from cepheid.cesql import CloudEventsSql
        >>> CloudEventsSql("priority + 1").evaluate({"priority": "4"})
        CesqlResult(value=5, errors=())
    """

    value: bool | int | str
    errors: tuple[CesqlFault, ...]


class CesqlMask(NamedTuple):
    """Which rows of a table an expression selects.

    Attributes:
        selected: A truth for each row, without NULL.
        errors: In how many rows the evaluation met an error; they are not selected.

    Example:
        >>> from cepheid.cesql import CloudEventsSql
        >>> CloudEventsSql("subject LIKE 'a%'").mask({"subject": ["ab", None, "ba"]}).errors
        1
    """

    selected: pa.BooleanArray
    errors: int


@final
@dataclass(frozen=True, slots=True, repr=False)
class CloudEventsSql:
    """An expression of CloudEvents SQL, version 1.0 of its specification.

    It reads attributes of events, in a table the columns of their names, and not their data. Equal texts are equal.

    Args:
        text: The expression: 64 KiB and 128 levels of nesting at most.

    Raises:
        TypeError: The text is no string.
        SqlError: It is no expression (codes ``cesql-syntax``, ``cesql-literal`` and ``cesql-limit``); the message shows
            where.

    Example:
        >>> from cepheid.cesql import CloudEventsSql
        >>> large = CloudEventsSql("type = 'order.created' AND priority > 3")
        >>> large
        CloudEventsSql("type = 'order.created' AND priority > 3")
        >>> large.evaluate({"type": "order.created", "priority": 5}).value
        True
        >>> CloudEventsSql("priority >")
        Traceback (most recent call last):
            ...
        cepheid.errors.SqlError: line 1, column 11: the expression ends too early
          priority >
                    ^
        expected an attribute, a constant, a function, NOT, EXISTS or (
    """

    text: str
    #: The expression, read.
    _filter: _native.CesqlFilter = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"an expression of CloudEvents SQL is text, not {type(self.text).__name__}")
        object.__setattr__(self, "_filter", _native.CesqlFilter(encodable(self.text)))

    def __repr__(self) -> str:
        return f"CloudEventsSql({self.text!r})"

    def __reduce__(self) -> tuple[type[CloudEventsSql], tuple[str]]:
        return CloudEventsSql, (self.text,)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that it names, in lower case, each once, in order of appearance.

        Example:
            >>> from cepheid.cesql import CloudEventsSql
            >>> CloudEventsSql("EXISTS Subject AND (type = 'a' OR subject = 'b')").attributes
            ('subject', 'type')
        """
        return tuple(self._filter.attributes)

    @property
    def missing_functions(self) -> tuple[str, ...]:
        """Functions that it calls and that do not exist, or not with so many arguments.

        The specification makes them an error of each evaluation, not of the text. A filter with one selects nothing
        where the call is reached; refuse it before.

        Example:
            >>> from cepheid.cesql import CloudEventsSql
            >>> CloudEventsSql("LENGHT(subject) > 5 OR LEFT(type) = 'a'").missing_functions
            ('LENGHT/1', 'LEFT/1')
        """
        return tuple(f"{name}/{arguments}" for name, arguments in self._filter.missing_functions)

    @property
    def result_type(self) -> str | None:
        """``boolean``, ``integer`` or ``string``; None where it depends on the event. Only a Boolean selects rows.

        Example:
            >>> from cepheid.cesql import CloudEventsSql
            >>> [CloudEventsSql(text).result_type for text in ("a = 1", "a + 1", "LOWER(a)", "a")]
            ['boolean', 'integer', 'string', None]
        """
        return self._filter.result_type

    def evaluate(self, event: Mapping[str, Any]) -> CesqlResult:
        """What it says of one event.

        Args:
            event: Attributes by their names, which are in lower case. None is as good as missing. Truths and whole
                numbers of 32 bits are what they are; larger numbers, floats and decimals are their digits; times are
                RFC 3339 in UTC (without a zone they are taken for UTC); bytes are base64.

        Raises:
            TypeError: The event is no mapping.

        Example:
            >>> from cepheid.cesql import CloudEventsSql
            >>> unequal = CloudEventsSql("coupon != 'SPRING'")
            >>> unequal.evaluate({"coupon": "SUMMER"})
            CesqlResult(value=True, errors=())
            >>> unequal.evaluate({}).value
            False
        """
        if not isinstance(event, Mapping):
            raise TypeError(f"an event is a mapping of attributes, not {type(event).__name__}")
        value, errors = self._filter.evaluate([_attribute(event.get(name)) for name in self._filter.attributes])
        return CesqlResult(value, tuple(CesqlFault(kind, message) for kind, message in errors))

    def mask(self, data: Any) -> CesqlMask:
        """Which rows of a table it selects: those of which it is true without an error.

        Args:
            data: The table: what `cepheid.match` takes. An attribute is the column of its name, in lower case; NULL and
                a column that is not there are missing.

        Raises:
            SchemaError: It cannot be read as a table (code ``unsupported-input``).

        Example:
            >>> from cepheid.cesql import CloudEventsSql
            >>> orders = {"subject": ["ab", None, "ba"], "priority": [1, 2, 3]}
            >>> CloudEventsSql("priority > 1 AND EXISTS subject").mask(orders).selected.to_pylist()
            [False, False, True]
        """
        import pyarrow as pa

        batch, errors = self._filter.mask(table_of(data))
        selected = pa.table(batch)["selected"].combine_chunks()
        return CesqlMask(selected if isinstance(selected, pa.Array) else selected.chunk(0), errors)

    def filter(self, data: Any) -> pa.Table:
        """The rows of a table that it selects, in their order.

        Args:
            data: The table, as for `mask`.

        Raises:
            SchemaError: It cannot be read as a table (code ``unsupported-input``).

        Example:
            >>> from cepheid.cesql import CloudEventsSql
            >>> orders = {"subject": ["ab", None, "ba"], "priority": [1, 2, 3]}
            >>> CloudEventsSql("subject LIKE 'b%'").filter(orders).to_pylist()
            [{'subject': 'ba', 'priority': 3}]
        """
        import pyarrow as pa

        table = arrow_table(table_of(data))
        kept = [pa.table(batch) for batch in self._filter.filter(table)]
        return pa.concat_tables(kept) if kept else table.schema.empty_table()


def _attribute(value: Any) -> bool | int | float | str | tuple[str] | None:
    """A value of an attribute as the native half takes it: as a tuple, what it is if the language has no such."""
    if value is None or isinstance(value, bool):
        return value
    try:
        return _known(value)
    except UnicodeEncodeError:
        return ("text with half a surrogate pair",)
    except (OverflowError, ValueError):
        # Numbers of thousands of digits, and times that UTC has none of.
        return (f"a value of type {type(value).__name__} that cannot be written",)


def _known(value: Any) -> bool | int | float | str | tuple[str] | None:
    if isinstance(value, str):
        value.encode()
        return str(value)
    if isinstance(value, Integral):
        number = int(value)
        return number if number in _INT64 else str(number)
    if isinstance(value, decimal.Decimal):
        # Digits only, as long as that is not many more than were given.
        return format(value, "f") if abs(value.adjusted()) < _DECIMAL_PLACES_MAX else str(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, dt.datetime):
        # The time that pandas has for none is unequal to itself.
        if value != value:
            return None
        moment = value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
        return f"{moment.date().isoformat()}T{_clock(moment.time())}Z"
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dt.time):
        return _clock(value)
    kind = type(value)
    # NumPy's truths are none of Python's.
    if kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"):
        return bool(value)
    return (f"of type {kind.__name__}",)


def _clock(time: dt.time) -> str:
    """``HH:MM:SS``, with 3 or 6 digits of a fraction if it has one."""
    fraction = "seconds" if time.microsecond == 0 else "microseconds" if time.microsecond % 1_000 else "milliseconds"
    return time.replace(tzinfo=None).isoformat(timespec=fraction)
