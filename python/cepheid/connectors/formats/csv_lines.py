"""Lines of comma-separated values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

from cepheid.connectors.arguments import checked_bytes, checked_columns, wrong_option
from cepheid.connectors.formats.line_format import Line, LineReader, Rejected, Rows
from cepheid.names import listed_names
from cepheid.options import checked_flag

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CsvLines"]


@final
class CsvLines:
    """Comma-separated values (RFC 4180), with the names of the columns in the first line.

    Columns have the types that `columns` says; the others are text. So a type never hangs on which rows came first, nor
    changes between two files. A row that does not fit is rejected, and no other with it. An empty value is NULL, one
    between quotes is a text of no characters.

    Args:
        columns: The types of columns, by name: a pyarrow schema, or names with types (``"int64"``, ``pa.int64()``).
            Columns that stand here and not in a file: the rows of that file are rejected.
        header: Whether the first line of a file names the columns; if not, `columns` does, in order.
        delimiter: What stands between values; one character.
        newlines: Whether values between quotes may have line breaks. If so, a quote that is not closed holds up the
            rows behind it, for `row_bytes_max` at most.
        row_bytes_max: How long a row with line breaks may be.

    Raises:
        TypeError: An argument is of the wrong type.
        AppError: There are no columns where there is no header, a type that no text can be read as, or another argument
            that fits no file (code ``source-option``).

    Example:
        >>> from cepheid.connectors.formats import CsvLines
        >>> reader = CsvLines(columns={"total": "float64"}).reader(None)
        >>> lines = [(b"order,total", 12), (b"7,20.5", 19), (b"8,much", 26)]
        >>> rows, rejected = reader.read(lines, last=True)
        >>> rows.data.to_pylist(), rejected.payload
        ([{'order': '7', 'total': 20.5}], b'8,much')
        >>> reader.state
        {'header': ['order', 'total']}
    """

    __slots__ = ("_columns", "_delimiter", "_header", "_newlines", "_row_bytes_max")

    def __init__(
        self,
        *,
        columns: Any = None,
        header: bool = True,
        delimiter: str = ",",
        newlines: bool = False,
        row_bytes_max: str | int = "1MB",
    ) -> None:
        self._columns = _schema_of(columns)
        self._header = checked_flag(header, "header")
        self._newlines = checked_flag(newlines, "newlines")
        self._row_bytes_max = checked_bytes(row_bytes_max, "row_bytes_max")
        if not isinstance(delimiter, str):
            raise TypeError(f"delimiter is text, not {type(delimiter).__name__}")
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
            raise wrong_option(f"delimiter is one ASCII character, and no quote or line break; not {delimiter[:20]!r}")
        self._delimiter = delimiter
        if not header and self._columns is None:
            raise wrong_option("a CSV file without a header needs columns=, which name its columns in their order")

    @property
    def topic(self) -> str | None:
        """None: a column ``type`` says the type of each row.

        Example:
            >>> from cepheid.connectors.formats import CsvLines
            >>> CsvLines().topic is None
            True
        """
        return None

    def reader(self, state: Any) -> LineReader:
        """A reader of a file.

        Args:
            state: The names of the columns, where the file is not read from its beginning.

        Example:
            >>> from cepheid.connectors.formats import CsvLines
            >>> [rows] = CsvLines().reader({"header": ["a", "b"]}).read([(b"1,2", 40)], last=True)
            >>> rows.data.to_pylist()
            [{'a': '1', 'b': '2'}]
        """
        if state is None and not self._header:
            assert self._columns is not None
            state = {"header": list(self._columns)}
        return _CsvReader(self._columns or {}, self._delimiter, self._newlines, self._row_bytes_max, state)


class _CsvReader:
    __slots__ = (
        "_begun",
        "_begun_at",
        "_columns",
        "_delimiter",
        "_names",
        "_newlines",
        "_row",
        "_row_bytes_max",
        "_wrong",
    )

    def __init__(
        self, columns: dict[str, pa.DataType], delimiter: str, newlines: bool, row_bytes_max: int, state: Any
    ) -> None:
        self._columns, self._delimiter = columns, delimiter
        self._newlines, self._row_bytes_max = newlines, row_bytes_max
        value = rf'(?:"(?:[^"]|"")*"|[^"{re.escape(delimiter)}]*)'
        self._row = re.compile(rf"{value}(?:{re.escape(delimiter)}{value})*".encode())
        self._names: list[str] | None = None
        # Why no row of the file can be read.
        self._wrong: str | None = None
        # Lines of a row whose last value is not closed.
        self._begun: list[Line] = []
        self._begun_at = 0
        if isinstance(state, dict):
            self._names, self._wrong = state.get("header"), state.get("wrong")

    @property
    def state(self) -> Any:
        if self._wrong is not None:
            return {"wrong": self._wrong}
        return None if self._names is None else {"header": self._names}

    def read(self, lines: list[Line], last: bool) -> Iterator[Rows | Rejected]:
        rows: list[Line] = []
        for item in self._whole(lines, last):
            if isinstance(item, Rejected):
                yield from self._read(rows)
                rows = []
                self.skip()
                yield item
            elif self._names is None and self._wrong is None:
                self._wrong = self._read_header(item[0])
                if self._wrong is not None:
                    yield Rejected(item[0], self._wrong, code="csv-header", end=item[1])
            elif self._wrong is not None:
                yield Rejected(item[0], f"the file has no good header: {self._wrong}", code="csv-header", end=item[1])
            else:
                rows.append(item)
        yield from self._read(rows)

    def skip(self) -> None:
        # The line after it would be taken for the names of the columns.
        if self._names is None and self._wrong is None:
            self._wrong = "the names of the columns cannot be read"

    def _whole(self, lines: list[Line], last: bool) -> Iterator[Line | Rejected]:
        """Lines that are put together where a value between quotes has line breaks."""
        waiting = lines[::-1]
        while waiting or (last and self._begun):
            if not waiting:
                waiting = self._unclosed()
                yield self._unclosed_row(waiting.pop())
                continue
            payload, end = waiting.pop()
            if self._begun:
                self._begun.append((payload, end))
                if payload.count(b'"') & 1:
                    text = b"\n".join(line for line, _ in self._begun)
                    self._begun = []
                    yield text, end
                elif end - self._begun_at > self._row_bytes_max:
                    again = self._unclosed()
                    yield self._unclosed_row(again.pop())
                    waiting += again
            elif payload.count(b'"') & 1:
                if self._newlines:
                    self._begun, self._begun_at = [(payload, end)], end
                else:
                    yield self._unclosed_row((payload, end))
            elif payload and not payload.isspace():
                yield payload, end

    def _unclosed(self) -> list[Line]:
        """Gives up a row that has begun: its lines, in reverse, of which the first is rejected and the others tried."""
        lines, self._begun = self._begun[::-1], []
        return lines

    def _unclosed_row(self, line: Line) -> Rejected:
        return Rejected(line[0], "a quote of the row is not closed", code="bad-line", end=line[1])

    def _read_header(self, payload: bytes) -> str | None:
        import csv

        try:
            names = next(csv.reader([payload.decode()], delimiter=self._delimiter, strict=True))
        except (csv.Error, StopIteration):
            return "the names of the columns cannot be read"
        names = [name.strip() for name in names]
        if not all(names) or len(set(names)) < len(names):
            return "a column has no name, or two have the same"
        if missing := [name for name in self._columns if name not in names]:
            return f"there is no column `{missing[0]}`; the file has {listed_names(names)}"
        self._names = names
        return None

    def _read(self, rows: list[Line]) -> Iterator[Rows | Rejected]:
        """Reads rows at once; where that fails, halves of them, down to the ones at fault."""
        waiting = [rows] if rows else []
        while waiting:
            part = waiting.pop()
            found = self._table(part)
            if not isinstance(found, str):
                yield Rows(found, part[-1][1])
            elif len(part) == 1:
                yield Rejected(part[0][0], found, code="bad-line", end=part[0][1])
            else:
                half = len(part) // 2
                waiting += [part[half:], part[:half]]

    def _table(self, rows: list[Line]) -> pa.Table | str:
        """The rows as a table; or what is wrong with them."""
        import pyarrow as pa
        from pyarrow import csv

        assert self._names is not None
        for payload, _ in rows:
            if b'"' in payload and not self._row.fullmatch(payload):
                return "a quote stands within a value that does not begin with one, or text stands behind one"
        text = b"\n".join(payload for payload, _ in rows) + b"\n"
        try:
            table = csv.read_csv(
                pa.py_buffer(text),
                # One block: a row may be longer than blocks are by default.
                read_options=csv.ReadOptions(column_names=self._names, use_threads=False, block_size=len(text) + 1),
                parse_options=csv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True, ignore_empty_lines=False
                ),
                convert_options=csv.ConvertOptions(
                    column_types={name: self._columns.get(name, pa.string()) for name in self._names},
                    # Texts such as NA and null are what they say.
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except pa.ArrowException as error:
            return _reason(str(error))
        return table if table.num_rows == len(rows) else "the row is several rows"


def _reason(message: str) -> str:
    """What Arrow says, without the row that it says it of, and without its number among rows read at once."""
    message = re.sub(r"Row #\d+: ", "", message.removeprefix("CSV parse error: "))
    found = re.match(r"(Expected \d+ columns, got \d+)", message)
    return found[1].lower() if found else message.partition("\n")[0][:300]


def _schema_of(columns: Any) -> dict[str, pa.DataType] | None:
    if columns is None:
        return None
    types = checked_columns(columns)
    for name, data_type in types.items():
        _check_readable(name, data_type)
    return types


def _check_readable(name: str, data_type: pa.DataType) -> None:
    import pyarrow as pa
    from pyarrow import csv

    try:
        csv.read_csv(
            pa.py_buffer(b"\n"),
            read_options=csv.ReadOptions(column_names=["x"], use_threads=False),
            parse_options=csv.ParseOptions(ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(column_types={"x": data_type}),
        )
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise wrong_option(f"column `{name}` cannot be {data_type}: no text of a CSV file is read as that") from None
