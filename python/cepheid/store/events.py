"""Events of a store, read when they are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, final

from cepheid.result import not_installed, numpy_column

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from cepheid._native import StoredEvents as NativeEvents

__all__ = ["StoredEvents"]


@final
class StoredEvents:
    """Events of a store: what `EventStore.read` asked for, as it was then, read batch by batch when it is wanted.

    It has ``__arrow_c_stream__``, so that Polars, DuckDB, pandas and pyarrow read it as they read any table; each time
    anew, from the disk. What has been appended since it was asked for is no part of it; what has been removed since is
    gone.

    Example:
        >>> import cepheid as cep
        >>> with cep.EventStore() as store:
        ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
        ...     store.read("order.*").to_arrow().to_pylist()
        [{'ts': 1, 'order': 7}, {'ts': 2, 'order': 8}]
    """

    __slots__ = ("_native",)

    _native: NativeEvents

    def __init__(self) -> None:
        raise TypeError("events of a store are what EventStore.read() returns")

    @classmethod
    def _of(cls, native: NativeEvents) -> StoredEvents:
        events = object.__new__(cls)
        events._native = native
        return events

    def __arrow_c_schema__(self) -> object:
        return self._native.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._native.__arrow_c_stream__(requested_schema)

    @property
    def schema(self) -> pa.Schema:
        """Their columns.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1], "order": [7]})
            ...     store.read().schema.names
            ['ts', 'order']
        """
        import pyarrow as pa

        return pa.schema(self)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.batches():
            yield from batch.to_pylist()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Them batch by batch, so that not all of them are in memory at a time.

        Raises:
            StoreError: What is on the disk is not what was written (code ``store-corrupt``).
            EvaluationError: A condition fails for a value.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
            ...     [batch.num_rows for batch in store.read().batches()]
            [2]
        """
        import pyarrow as pa

        reader = self._native.reader([])
        while (batch := reader.next_batch()) is not None:
            yield from pa.table(batch).to_batches()

    def to_arrow(self) -> pa.Table:
        """Them as a `pyarrow.Table`.

        Raises:
            StoreError: What is on the disk is not what was written (code ``store-corrupt``).
            EvaluationError: A condition fails for a value.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
            ...     store.read(columns=["order"]).to_arrow().to_pylist()
            [{'order': 7}, {'order': 8}]
        """
        import pyarrow as pa

        return pa.Table.from_batches(self.batches(), self.schema)

    def to_polars(self) -> pl.DataFrame:
        """Them as a `polars.DataFrame`.

        Raises:
            ModuleNotFoundError: polars is not installed.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
            ...     store.read().to_polars()["order"].to_list()
            [7, 8]
        """
        try:
            import polars
        except ModuleNotFoundError as error:
            raise not_installed("to_polars", "polars") from error
        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_pandas(self) -> pd.DataFrame:
        """Them as a `pandas.DataFrame`.

        Raises:
            ModuleNotFoundError: pandas is not installed.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
            ...     store.read().to_pandas()["order"].tolist()
            [7, 8]
        """
        try:
            import pandas  # noqa: F401
        except ModuleNotFoundError as error:
            raise not_installed("to_pandas", "pandas") from error
        return self.to_arrow().to_pandas()

    def to_numpy(self) -> dict[str, Any]:
        """Them as a dict of NumPy arrays.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
            ...     store.read().to_numpy()["order"]
            array([7, 8])
        """
        table = self.to_arrow()
        return {name: numpy_column(table.column(name)) for name in table.column_names}

    def count(self) -> int:
        """How many they are. They are read for it.

        Example:
            >>> import cepheid as cep
            >>> with cep.EventStore() as store:
            ...     position = store.append("order.created", {"ts": [1, 2], "order": [7, 8]})
            ...     store.read(where="order > 7").count()
            1
        """
        return sum(batch.num_rows for batch in self.batches())

    def __repr__(self) -> str:
        return f"StoredEvents: columns {', '.join(self.schema.names)}"
