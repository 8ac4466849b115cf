"""Event times of columns, in nanoseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["nanoseconds", "nanoseconds_or"]

_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def nanoseconds(column: Any) -> npt.NDArray[np.int64]:
    """The event times of a column that the store takes for one, whatever its type; n values, without NULLs."""
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_date(kind):
        column, step = column.cast(pa.timestamp("s")).cast(pa.int64()), _UNIT_NS["s"]
    elif types.is_time32(kind):
        column, step = column.cast(pa.int32()), _UNIT_NS[kind.unit]
    elif types.is_timestamp(kind) or types.is_duration(kind) or types.is_time64(kind):
        column, step = column.cast(pa.int64()), _UNIT_NS[kind.unit]
    else:
        step = 1
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    values: npt.NDArray[np.int64] = column.cast(pa.int64()).to_numpy(zero_copy_only=False) * step
    return values


def nanoseconds_or(column: Any, absent: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The same of a topic with batches that have no such column: NULL is `absent`, one number or that of each row."""
    import numpy as np

    times = np.array(np.broadcast_to(absent, len(column)), np.int64)
    times[column.is_valid().to_numpy(zero_copy_only=False)] = nanoseconds(column.drop_null())
    return times
