"""Process maps: which activity directly follows which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, final

from cepheid._native import column_places
from cepheid.expr import Expr
from cepheid.history import checked_column, history_of
from cepheid.options import checked_count
from cepheid.pictures import Pictured

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from cepheid.drawing.graph import Graph

__all__ = ["ProcessMap", "process_map"]


@final
class ProcessMap(Pictured):
    """The activities of the cases of a history, and which directly follows which: `process_map` makes it.

    It is a table of its edges for any library that reads Arrow, and a picture.

    Attributes:
        cases: How many cases there are.
        nodes: A table: ``activity``, its ``count``, and how many cases begin (``starts``) and end (``ends``) with it;
            the most frequent first.
        edges: A table: ``source``, ``target``, the ``count`` of times that this came directly after that, and
            ``median``, the median of the time between the two by nearest rank, in nanoseconds; the most frequent first.

    Example:
        >>> import cepheid as cep
        >>> orders = {"order": [1, 1, 2], "ts": [0, 5, 9], "step": ["placed", "paid", "placed"]}
        >>> cep.process_map(orders, case="order", activity="step")
        ProcessMap: 2 activities and 1 edge of 2 cases
        placed -> paid  1  0:00:00
    """

    __slots__ = ("cases", "edges", "nodes")

    cases: int
    nodes: pa.Table
    edges: pa.Table

    def __init__(self) -> None:
        raise TypeError("process maps come from cepheid.process_map()")

    @classmethod
    def _of(cls, cases: int, nodes: pa.Table, edges: pa.Table) -> ProcessMap:
        made = object.__new__(cls)
        for name, value in (("cases", cases), ("nodes", nodes), ("edges", edges)):
            object.__setattr__(made, name, value)
        return made

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("process maps cannot be changed")

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.edges.__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> pa.Table:
        """The edges as a `pyarrow.Table`.

        Example:
            >>> import cepheid as cep
            >>> orders = {"order": [1, 1], "ts": [0, 5], "step": ["placed", "paid"]}
            >>> cep.process_map(orders, case="order", activity="step").to_arrow()["target"].to_pylist()
            ['paid']
        """
        return self.edges

    def at_least(self, count: int) -> ProcessMap:
        """The map with the edges that have been taken so many times, and all activities.

        Raises:
            TypeError: The count is no whole number.
            PatternError: It is below one (code ``invalid-clause``).

        Example:
            >>> import cepheid as cep
            >>> orders = {"order": [1, 1, 2, 2, 2], "ts": [0, 5, 0, 5, 6], "step": ["a", "b", "a", "b", "a"]}
            >>> cep.process_map(orders, case="order", activity="step").at_least(2).edges["count"].to_pylist()
            [2]
        """
        import pyarrow.compute as pc

        fewest = checked_count(count, "count") or 1
        return self._of(self.cases, self.nodes, self.edges.filter(pc.greater_equal(self.edges["count"], fewest)))

    def _graph(self) -> Graph:
        from cepheid.drawing.graph import Edge, Graph, Node
        from cepheid.drawing.lettering import plain

        nodes: list[Node] = []
        # By their words: NaN is no key of a dict.
        places: dict[str, int] = {}
        for row in self.nodes.to_pylist():
            places[str(row["activity"])] = len(nodes)
            kind: Any = {(True, True): "start_end", (True, False): "start", (False, True): "end"}.get(
                (row["starts"] > 0, row["ends"] > 0), "state"
            )
            told = (f"{row['count']:,} times", f"first of {row['starts']:,} cases", f"last of {row['ends']:,}")
            title = "\n".join([str(row["activity"]), *told])
            nodes.append(Node((plain(str(row["activity"])), f"{row['count']:,}"), title, kind))
        edges = []
        for row, median in zip(self.edges.to_pylist(), _spans(self.edges["median"]), strict=True):
            title = f"{row['source']} then {row['target']}\n{row['count']:,} times\nmedian time {median}"
            edges.append(
                Edge(places[str(row["source"])], places[str(row["target"])], (f"{row['count']:,}", median), title)
            )
        return Graph(self._title(), tuple(nodes), tuple(edges))

    def _title(self) -> str:
        count, edges = self.nodes.num_rows, self.edges.num_rows
        return (
            f"{count:,} activit{'y' if count == 1 else 'ies'} and {edges:,} edge{'' if edges == 1 else 's'} "
            f"of {self.cases:,} case{'' if self.cases == 1 else 's'}"
        )

    def __repr__(self) -> str:
        lines = [f"ProcessMap: {self._title()}"]
        shown = self.edges.slice(0, 20)
        rows = [
            (f"{row['source']} -> {row['target']}", f"{row['count']:,}", median)
            for row, median in zip(shown.to_pylist(), _spans(shown["median"]), strict=True)
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += [f"{edge.ljust(widths[0])}  {count.rjust(widths[1])}  {median}" for edge, count, median in rows]
        if self.edges.num_rows > shown.num_rows:
            lines.append(f"... {self.edges.num_rows - shown.num_rows:,} more")
        return "\n".join(lines)


def process_map(
    data: Any, *, case: str | Expr, activity: str | Expr, event_time: str | Expr = "ts", where: str | Expr | None = None
) -> ProcessMap:
    """Which activity directly follows which, case by case: the directly-follows graph.

    Rows go by event time, those of one time by arrival. Rows without case, activity or both are left out, as if they
    were not there.

    Time: O(n log n), n rows. Space: some 120 bytes a row.

    Args:
        data: The table, as `cepheid.match` takes it. Rows may come in any order.
        case: The column that says which case a row is of.
        activity: The column that says what happened.
        event_time: The column of the event time.
        where: A condition, as an expression or SQL text: only rows that satisfy it are there.

    Raises:
        TypeError: A column is no name.
        PatternError: The condition is impossible.
        SqlError: The condition is no SQL expression.
        SchemaError: The data cannot be read as a table, a column is missing or of a type that cannot play its part, or
            an event time is NULL (code ``null-time``).

    Example:
        >>> import cepheid as cep
        >>> orders = {
        ...     "order": [1, 1, 1, 2, 2],
        ...     "ts": [0, 3_600_000_000_000, 9_000_000_000_000, 0, 7_200_000_000_000],
        ...     "step": ["placed", "paid", "sent", "placed", "paid"],
        ... }
        >>> steps = cep.process_map(orders, case="order", activity="step")
        >>> steps
        ProcessMap: 3 activities and 2 edges of 2 cases
        placed -> paid  2  1:00:00
        paid -> sent    1  1:30:00
        >>> steps.nodes.to_pylist()[0]
        {'activity': 'paid', 'count': 2, 'starts': 0, 'ends': 1}
    """
    import numpy as np

    history = history_of(data, [checked_column(case)], [checked_column(activity)], checked_column(event_time), where)
    [place] = column_places(history.table.schema, [checked_column(case)])
    of_case = history.table.column(place).is_valid().to_numpy()[history.rows]
    keys, times, symbols = (values[of_case] for values in (history.keys, history.times, history.symbols))
    goes_on = keys[1:] == keys[:-1]
    first, last = np.append(True, ~goes_on)[: len(keys)], np.append(~goes_on, True)[: len(keys)]
    counted = [
        np.bincount(happened, minlength=len(history.values)) for happened in (symbols, symbols[first], symbols[last])
    ]
    elapsed = (times[1:] - times[:-1])[goes_on]
    edges = _edges(history.values, symbols[:-1][goes_on], symbols[1:][goes_on], elapsed)
    return ProcessMap._of(int(first.sum()), _nodes(history.values, *counted), edges)


def _nodes(
    values: pa.Array, counts: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    # Activities of rows without case alone did not happen.
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    columns = {"count": counts[order], "starts": starts[order], "ends": ends[order]}
    return pa.table({"activity": values.take(pa.array(order)), **columns})


def _edges(
    values: pa.Array,
    sources: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    elapsed: npt.NDArray[np.int64],
) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    pairs = sources * len(values) + targets
    order = np.lexsort((elapsed, pairs))
    found, starts, counts = np.unique(pairs[order], return_index=True, return_counts=True)
    # By nearest rank: a time that one of them took.
    medians = elapsed[order][starts + (counts + 1) // 2 - 1]
    by_count = np.argsort(-counts, kind="stable")
    sources, targets = np.divmod(found[by_count], max(len(values), 1))
    return pa.table(
        {
            "source": values.take(pa.array(sources)),
            "target": values.take(pa.array(targets)),
            "count": counts[by_count],
            "median": pa.array(medians[by_count]).cast(pa.duration("ns")),
        }
    )


def _spans(column: pa.ChunkedArray) -> list[str]:
    """Spans in words, without what is finer than a second."""
    import datetime as dt

    import pyarrow as pa

    return [str(dt.timedelta(seconds=span // 1_000_000_000)) for span in column.cast(pa.int64()).to_pylist()]
