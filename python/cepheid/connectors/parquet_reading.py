"""A Parquet file, read row group by row group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

from cepheid.connectors.formats.line_format import Rejected
from cepheid.connectors.reading import HEAD_BYTES, TAIL_BYTES, OpenFile, Piece, Place, hashed

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["ParquetReading"]

# Rows of a row group that are sent at once.
_ROWS = 65_536


@final
class ParquetReading:
    """The rows of a Parquet file; a step is a row group, of which pieces are up to 65,536 rows.

    The file must be whole when it has its name. One that cannot be read is rejected, or what is left of it.

    Memory: the pages of a row group that are read at once, and one piece.

    Args:
        file: The file.
        place: Where it was left; None: from its beginning.
    """

    __slots__ = ("_group", "_over", "_parquet", "_place", "_row", "at_end", "file")

    def __init__(self, file: OpenFile, place: Place | None) -> None:
        self.file = file
        # Row groups that have been read, and rows of the one after them.
        self._group, self._row = (0, 0) if place is None else (int(place["group"]), int(place["row"]))
        self._over = False
        self._parquet: pq.ParquetFile | None = None
        self.at_end = False
        status = file.status()
        head, tail = min(HEAD_BYTES, status.st_size), min(TAIL_BYTES, status.st_size)
        self._place = {
            "device": file.device,
            "inode": file.inode,
            "modified": status.st_mtime_ns,
            "at": status.st_size,
            "head": hashed(file.read_at(0, head)),
            # The end of a Parquet file says where everything is in it.
            "tail": hashed(file.read_at(status.st_size - tail, tail)),
        }

    @property
    def place(self) -> Place:
        """Where it has been left: behind the last piece."""
        return {**self._place, "group": self._group, "row": self._row}

    @property
    def seen(self) -> Place:
        """A place behind all that has been read."""
        return self.place

    def changed(self) -> bool:
        """False: a Parquet file is written once."""
        return False

    def step(self) -> Iterator[Piece]:
        """Reads a row group."""
        import pyarrow as pa

        self.at_end = self._over
        if self._over:
            return
        try:
            yield from self._row_group()
        except (pa.ArrowException, OSError, ValueError) as error:
            self._over = True
            reason = f"the Parquet file {self.file.name} cannot be read: {str(error)[:300]}"
            rejected = Rejected(self.file.name.encode(errors="replace"), reason, code="bad-parquet", end=0)
            # Past the last row group, so that it is not tried again.
            self._group, self._row = 2**31, 0
            yield Piece(None, rejected, self.place)

    def finish(self) -> Iterator[Piece]:
        """Nothing: a Parquet file is whole."""
        return iter(())

    def _row_group(self) -> Iterator[Piece]:
        import pyarrow.parquet as pq

        if self._parquet is None and self._group < 2**31:
            # Told not to close what it has not opened.
            self._parquet = pq.ParquetFile(self.file.raw)
        if self._parquet is None or self._group >= self._parquet.num_row_groups:
            self._over = self.at_end = True
            return
        passed = 0
        rows = self._parquet.metadata.row_group(self._group).num_rows
        for batch in self._parquet.iter_batches(_ROWS, row_groups=[self._group]):
            before, passed = passed, passed + batch.num_rows
            if passed <= self._row:
                continue
            data = _table(batch.slice(max(0, self._row - before)))
            self._row = passed
            place = {**self.place, "group": self._group + 1, "row": 0} if passed == rows else self.place
            yield Piece(data, None, place)
        self._group, self._row = self._group + 1, 0


def _table(batch: Any) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch])
