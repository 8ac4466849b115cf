"""Tables as text, as the suite's README describes them: a header, then one line a row, cells apart by white space."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

EPOCH = dt.date(1970, 1, 1)
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
NAMED_TYPES = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int": pa.int64(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float32": pa.float32(),
    "float": pa.float64(),
    "float64": pa.float64(),
    "str": pa.string(),
    "dict": pa.dictionary(pa.int32(), pa.string()),
    "date": pa.date32(),
    "timestamp": pa.timestamp("ns"),
    "timestamp_us": pa.timestamp("us"),
    "timestamp_ms": pa.timestamp("ms"),
}
CELL = re.compile(r"'((?:[^']|'')*)'|((?:\[[^\]]*\]|[^\s\[])+)")
INTEGER = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"nan|-?inf|[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Cell:
    """A cell as written; one in quotes is a string, never NULL."""

    text: str
    quoted: bool

    @property
    def is_null(self) -> bool:
        return not self.quoted and self.text in ("-", "NULL")


@dataclass(frozen=True)
class Instant:
    """A date or a time stamp, in nanoseconds since 1970 whatever the unit of its column."""

    nanoseconds: int
    is_date: bool


@dataclass(frozen=True)
class TextTable:
    """Names, types and values; `declared` has the columns whose type the header names."""

    names: list[str]
    types: list[pa.DataType]
    declared: list[bool]
    rows: list[list[Any]]

    @classmethod
    def parse(cls, text: str) -> TextTable:
        lines = [line.strip() for line in text.splitlines()]
        header, *body = [cells(line) for line in lines if line and not line.startswith("#")]
        names, types, declared = [], [], []
        for place, cell in enumerate(header):
            name, colon, word = cell.text.rpartition(":")
            declared.append(bool(colon) and not cell.quoted)
            names.append(name if declared[-1] else cell.text)
            assert all(len(row) == len(header) for row in body), f"rows of other lengths than the header: {text}"
            types.append(named_type(word) if declared[-1] else inferred([row[place] for row in body]))
        rows = [[parsed(cell, kind) for cell, kind in zip(row, types, strict=True)] for row in body]
        return cls(names, types, declared, rows)

    def to_arrow(self) -> pa.Table:
        columns = [list(column) for column in zip(*self.rows, strict=True)] or [[] for _ in self.names]
        arrays = [arrow_array(values, kind) for values, kind in zip(columns, self.types, strict=True)]
        return pa.table(arrays, schema=pa.schema(list(zip(self.names, self.types, strict=True))))

    def check(self, found: pa.Table, *, same_strings: bool) -> None:
        """Asserts that names, order, values and declared types are those of `found`.

        Args:
            found: What somebody computed.
            same_strings: False: any of Arrow's layouts of strings will do for another.
        """
        assert found.column_names == self.names
        rows = [list(row) for row in zip(*(cell_values(column) for column in found.columns), strict=True)]
        assert len(rows) == len(self.rows), f"expected {self.rows}, found {rows}"
        for number, (expected, row) in enumerate(zip(self.rows, rows, strict=True)):
            assert same(expected, row), f"row {number}: expected {expected}, found {row}"
        for name, kind, declared, column in zip(self.names, self.types, self.declared, found.columns, strict=True):
            alike = column.type == kind or (not same_strings and is_text(kind) and is_text(column.type))
            assert alike or not declared, f"column `{name}` has type {column.type}, expected {kind}"


def cells(line: str) -> list[Cell]:
    found = []
    for piece in CELL.finditer(line):
        quoted = piece[1] is not None
        found.append(Cell(piece[1].replace("''", "'") if quoted else piece[2], quoted))
    return found


def named_type(word: str) -> pa.DataType:
    if sizes := re.fullmatch(r"decimal\((\d+),(-?\d+)\)", word):
        return pa.decimal128(int(sizes[1]), int(sizes[2]))
    return NAMED_TYPES[word]


def inferred(column: list[Cell]) -> pa.DataType:
    """The narrowest of int64, float64, bool, list and string that holds every cell; int64 if all are NULL."""
    present = [cell for cell in column if not cell.is_null]

    def every(fits: Any) -> bool:
        return all(not cell.quoted and fits(cell.text) for cell in present)

    if every(lambda text: INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63):
        return pa.int64()
    if every(NUMBER.fullmatch):
        return pa.float64()
    if every(lambda text: text in ("true", "false")):
        return pa.bool_()
    if every(lambda text: text.startswith("[")):
        return pa.list_(pa.int64())
    return pa.string()


def parsed(cell: Cell, kind: pa.DataType) -> Any:
    if cell.is_null:
        return None
    text = cell.text
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}[text]
    if pa.types.is_floating(kind):
        return float(text)
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_decimal(kind):
        return Decimal(text)
    if pa.types.is_date(kind):
        return Instant(days(text) * 86_400 * 10**9, is_date=True)
    if pa.types.is_timestamp(kind):
        return Instant(timestamp_ns(text), is_date=False)
    if pa.types.is_list(kind):
        items = cells(text[1:-1].replace(",", " "))
        item_kind = inferred(items)
        return [parsed(item, item_kind) for item in items]
    return text


def days(text: str) -> int:
    return (dt.date.fromisoformat(text) - EPOCH).days


def timestamp_ns(text: str) -> int:
    date, _, time = text.replace(" ", "T").partition("T")
    hours, minutes, seconds = ([*time.split(":"), "0", "0"] if time else ["0"] * 3)[:3]
    whole, _, fraction = seconds.partition(".")
    clock = int(hours) * 3600 + int(minutes) * 60 + int(whole)
    return (days(date) * 86_400 + clock) * 10**9 + int(f"{fraction:0<9}")


def arrow_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    if pa.types.is_date(kind):
        return pa.array([value and value.nanoseconds // (86_400 * 10**9) for value in values], pa.int32()).cast(kind)
    if pa.types.is_timestamp(kind):
        return pa.array([value and value.nanoseconds // NANOSECONDS[kind.unit] for value in values], kind)
    return pa.array(values, kind)


def cell_values(column: Any) -> list[Any]:
    """The values of an Arrow column, as `parsed` would give them."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        unit = NANOSECONDS[kind.unit]
        ticks = column.cast(pa.int64()).to_pylist()
        return [None if tick is None else Instant(tick * unit, is_date=False) for tick in ticks]
    if pa.types.is_date32(kind):
        dates = column.cast(pa.int32()).to_pylist()
        return [None if date is None else Instant(date * 86_400 * 10**9, is_date=True) for date in dates]
    return column.to_pylist()


def same(left: Any, right: Any) -> bool:
    """Equal, types included; floats to a relative 1e-9, NaN to NaN."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9) or (math.isnan(left) and math.isnan(right))
    return type(left) is type(right) and left == right


def is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
