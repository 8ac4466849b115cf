"""Tables from files and to files: Parquet, CSV, JSON lines and Arrow IPC."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cepheid.cli.failure import CommandError
from cepheid.cli.progress import progress

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["add_table_argument", "read_table", "table_files", "write_table"]

_PARQUET = (".parquet", ".pq")
_CSV = (".csv",)
_JSON_LINES = (".jsonl", ".ndjson")
_ARROW_FILE = (".arrow", ".feather", ".ipc")
_ARROW_STREAM = (".arrows",)
_BATCH_ROWS = 131_072


def add_table_argument(parser: argparse.ArgumentParser) -> None:
    """Adds ``--table``."""
    parser.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a table the query reads: a .parquet, .csv, .jsonl or .arrow file; may be given several times",
    )


def table_files(given: list[str]) -> dict[str, Path]:
    """The file of each table named on the command line.

    Raises:
        CommandError: One is not NAME=FILE, or a name is given twice.
    """
    files: dict[str, Path] = {}
    for item in given:
        name, equals, file = item.partition("=")
        if not (name and equals and file):
            raise CommandError(f"--table takes NAME=FILE, not {item!r}")
        if name in files:
            raise CommandError(f"--table names `{name}` twice")
        files[name] = Path(file)
    return files


def read_table(path: Path) -> pa.Table:
    """The table in a file, by the file's suffix, with a progress bar if it takes long.

    Raises:
        CommandError: The file cannot be read.
    """
    import pyarrow as pa

    suffix = path.suffix.lower()
    reader = _readers().get(suffix)
    if reader is None:
        raise CommandError(f"cannot read {path}: the suffix {suffix!r} is none of {', '.join(_readers())}")
    try:
        with reader(path) as (schema, batches, total):
            kept = list(progress(batches, f"reading {path.name}", total))
        return pa.Table.from_batches(kept, schema=schema)
    except (OSError, pa.ArrowException) as error:
        raise CommandError(f"cannot read {path}: {error}") from error


_Batches = tuple[Any, Iterator[Any], int | None]


def _readers() -> dict[str, Callable[[Path], Any]]:
    by_format: list[tuple[tuple[str, ...], Callable[[Path], Any]]] = [
        (_PARQUET, _read_parquet),
        (_CSV, _read_csv),
        (_JSON_LINES, _read_json_lines),
        (_ARROW_FILE, _read_arrow_file),
        (_ARROW_STREAM, _read_arrow_stream),
    ]
    return {suffix: reader for suffixes, reader in by_format for suffix in suffixes}


@contextmanager
def _read_parquet(path: Path) -> Iterator[_Batches]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield file.schema_arrow, file.iter_batches(batch_size=_BATCH_ROWS), file.metadata.num_rows


@contextmanager
def _read_csv(path: Path) -> Iterator[_Batches]:
    import pyarrow.csv as csv

    with csv.open_csv(path, read_options=csv.ReadOptions(block_size=1 << 24)) as reader:
        yield reader.schema, reader, None


@contextmanager
def _read_json_lines(path: Path) -> Iterator[_Batches]:
    import pyarrow as pa
    import pyarrow.json as json_lines

    # A file without a line is a table without rows, which the reader would refuse.
    table = json_lines.read_json(path) if path.stat().st_size else pa.table({})
    yield table.schema, iter(table.to_batches(max_chunksize=_BATCH_ROWS)), table.num_rows


@contextmanager
def _read_arrow_file(path: Path) -> Iterator[_Batches]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        if source.size() >= 6 and source.read(6) != b"ARROW1":
            # A stream by the name of a file.
            source.seek(0)
            stream = pa.ipc.open_stream(source)
            yield stream.schema, stream, None
            return
        source.seek(0)
        file = pa.ipc.open_file(source)
        yield file.schema, (file.get_batch(place) for place in range(file.num_record_batches)), None


@contextmanager
def _read_arrow_stream(path: Path) -> Iterator[_Batches]:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        stream = pa.ipc.open_stream(source)
        yield stream.schema, stream, None


def write_table(table: pa.Table, path: Path) -> None:
    """Writes a table in the format of the file's suffix; a file that was there is replaced once all is written.

    Raises:
        CommandError: The suffix is unknown, or the file cannot be written.
    """
    import pyarrow as pa

    suffix = path.suffix.lower()
    writers: dict[str, Callable[[Any, Path], None]] = {
        **dict.fromkeys(_PARQUET, _write_parquet),
        **dict.fromkeys(_CSV, _write_csv),
        **dict.fromkeys(_JSON_LINES, _write_json_lines),
        **dict.fromkeys(_ARROW_FILE, _write_arrow_file),
        **dict.fromkeys(_ARROW_STREAM, _write_arrow_stream),
    }
    if suffix not in writers:
        raise CommandError(f"cannot write {path}: the suffix {suffix!r} is none of {', '.join(writers)}")
    # Not named after the process, so that a crash leaves at most one behind.
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        writers[suffix](table, unfinished)
        os.replace(unfinished, path)
    except (OSError, pa.ArrowException) as error:
        unfinished.unlink(missing_ok=True)
        raise CommandError(f"cannot write {path}: {error}") from error


def _write_parquet(table: Any, path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd")


def _write_csv(table: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv as csv

    # CSV has no lists: they are written as JSON.
    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = [json.dumps(value, default=str) for value in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    csv.write_csv(table, path)


def _write_json_lines(table: Any, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            for row in batch.to_pylist():
                file.write(json.dumps(row, default=str, ensure_ascii=False) + "\n")


def _write_arrow_file(table: Any, path: Path) -> None:
    import pyarrow as pa

    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def _write_arrow_stream(table: Any, path: Path) -> None:
    import pyarrow as pa

    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)
