"""What a format of lines is: lines of a file in, rows and rejects out, in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, final, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Line", "LineFormat", "LineReader", "Rejected", "RowFormat", "Rows"]

#: A line without its end, as UTF-8, and the number of bytes of the file up to the line after it.
Line = tuple[bytes, int]


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a file.

    Attributes:
        data: What `Feed.send` takes.
        end: How many bytes of the file have been read with them.
    """

    data: Any
    end: int


@final
@dataclass(frozen=True, slots=True)
class Rejected:
    """What of a file is no row.

    Attributes:
        payload: What stands there.
        reason: What is wrong with it, as a sentence.
        code: A stable name for the mistake.
        end: How many bytes of the file have been read with it.
    """

    payload: bytes
    reason: str
    code: str
    end: int


class LineReader(Protocol):
    """Reads the lines of one file, from wherever it was left."""

    @property
    def state(self) -> Any:
        """What must be known of the lines up to what was given last, as plain data for JSON; None: nothing."""

    def read(self, lines: list[Line], last: bool) -> Iterator[Rows | Rejected]:
        """Reads lines, and gives what they are in their order. `state` fits what was given, until it is asked for more.

        Args:
            lines: Lines of good UTF-8. What has begun and not ended with them is kept for the next call.
            last: Whether nothing more comes that could end it.
        """

    def skip(self) -> None:
        """Takes note of a line that cannot be read at all, and has been rejected: it is behind those given before."""


@runtime_checkable
class LineFormat(Protocol):
    """A format of lines. `RowFormat` is one for those that are made of a function from a line to a row."""

    @property
    def topic(self) -> str | None:
        """The topic of its rows where none is said; None: each says its type."""

    def reader(self, state: Any) -> LineReader:
        """A reader of a file.

        Args:
            state: What `LineReader.state` was where the file was left; None: from its beginning.
        """


@final
class RowFormat:
    """A format in which each line is a row, whatever stands before it.

    Args:
        parse: Makes a tuple of a line, in the order of `schema`. Raises ValueError, with a sentence, for what is none.
        schema: A function that gives the columns; called when the first file is read.
        topic: The topic of the rows where none is said.

    Example:
        >>> import pyarrow as pa
        >>> from cepheid.connectors.formats import RowFormat
        >>> def parse(line):
        ...     level, _, text = line.partition(" ")
        ...     if level not in ("INFO", "ERROR"):
        ...         raise ValueError("it begins with no level")
        ...     return level, text
        >>> levels = RowFormat(parse, lambda: pa.schema([("level", "string"), ("text", "string")]), topic="log.line")
        >>> rows, rejected = levels.reader(None).read([(b"INFO up", 8), (b"what?", 14)], last=True)
        >>> rows.data.to_pylist(), rejected.reason
        ([{'level': 'INFO', 'text': 'up'}], 'it begins with no level')
    """

    __slots__ = ("_parse", "_schema", "_topic")

    def __init__(
        self, parse: Callable[[str], tuple[Any, ...]], schema: Callable[[], pa.Schema], *, topic: str | None = None
    ) -> None:
        self._parse, self._schema, self._topic = parse, schema, topic

    @property
    def topic(self) -> str | None:
        """The topic of its rows where none is said.

        Example:
            >>> from cepheid.connectors.formats import APACHE
            >>> APACHE.topic
            'apache.request'
        """
        return self._topic

    def reader(self, state: Any) -> LineReader:
        """A reader of a file.

        Args:
            state: Of no use: a line says all.

        Example:
            >>> from cepheid.connectors.formats import APACHE
            >>> APACHE.reader(None).state is None
            True
        """
        return RowReader(self._parse, self._schema())


class RowReader:
    """Reads lines with a function, and puts good ones that follow each other in one table."""

    __slots__ = ("_parse", "_schema")

    def __init__(self, parse: Callable[[str], tuple[Any, ...]], schema: pa.Schema) -> None:
        self._parse, self._schema = parse, schema

    @property
    def state(self) -> Any:
        """Nothing: a line says all."""
        return None

    def read(self, lines: list[Line], last: bool) -> Iterator[Rows | Rejected]:
        """Reads lines; blank ones are passed over."""
        rows: list[tuple[Any, ...]] = []
        end = 0
        for payload, after in lines:
            if not payload or payload.isspace():
                continue
            try:
                row = self._parse(payload.decode())
            except ValueError as error:
                if rows:
                    yield Rows(self._table(rows), end)
                    rows = []
                yield Rejected(payload, str(error), code="bad-line", end=after)
                continue
            rows.append(row)
            end = after
        if rows:
            yield Rows(self._table(rows), end)

    def skip(self) -> None:
        """Nothing: a line says all."""

    def _table(self, rows: list[tuple[Any, ...]]) -> pa.Table:
        import pyarrow as pa

        columns = zip(*rows, strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self._schema)
