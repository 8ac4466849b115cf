"""Expressions over the rows of a table: which rows satisfy one, and what one gives for each row."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cepheid import nodes
from cepheid.errors import EvaluationError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from cepheid.expr import Expr
    from cepheid.pattern import Pattern

__all__ = ["columns_of", "computing", "rows_that_hold"]


def columns_of(expr: Expr) -> list[str]:
    """The columns that an expression reads."""
    found = [node["column"]["name"] for node in nodes.walk(expr._node) if isinstance(node, dict) and "column" in node]
    return list(dict.fromkeys(found))


def _padded(table: pa.Table, names: list[str]) -> pa.Table:
    """The table with columns that are NULL for names that it does not have."""
    import pyarrow as pa

    known = {name.casefold() for name in table.column_names}
    for name in names:
        if name.casefold() not in known:
            table = table.append_column(name, pa.nulls(table.num_rows))
    return table


@functools.lru_cache(maxsize=1024)
def _asked(check: Expr) -> Pattern:
    """What asks a condition of rows; kept, as it is asked of each batch anew, and to compile it takes as long."""
    from cepheid.pattern import event

    return event("row", check)


def rows_that_hold(check: Expr, table: pa.Table) -> tuple[np.ndarray[Any, Any], dict[int, str]]:
    """Which rows satisfy a condition, and why it could not be asked of some.

    Raises:
        CepheidError: It is no condition over these columns.
    """
    import numpy as np
    import pyarrow as pa

    from cepheid.matching import match

    pattern = _asked(check)
    holds = np.zeros(table.num_rows, bool)
    failed: dict[int, str] = {}
    waiting = [(0, table.num_rows)]
    while waiting:
        start, end = waiting.pop()
        try:
            found = pa.table(match(pattern, table.slice(start, end - start)).rows)["row"].to_numpy()
            holds[start + found] = True
        except EvaluationError as error:
            # Halved until the rows are found that it fails at.
            if end - start == 1:
                failed[start] = error.message
            else:
                middle = (start + end) // 2
                waiting += [(start, middle), (middle, end)]
    return holds, failed


def computing(exprs: Mapping[str, Expr]) -> Callable[[pa.Table], pa.Table]:
    """What computes expressions for each row of a table; columns that a table does not have are NULL.

    The function raises a CepheidError if one cannot be computed.
    """
    from cepheid.matching import match
    from cepheid.pattern import event

    # Names of their own, as a result has columns that targets could be named like.
    measures = {f"target_{place}": expr for place, expr in enumerate(exprs.values())}
    columns = [name for expr in exprs.values() for name in columns_of(expr)]

    @functools.cache
    def pattern() -> Pattern:
        return event("row").select(**measures)

    def computed(table: pa.Table) -> pa.Table:
        import pyarrow as pa

        if not exprs or not table.num_rows:
            return pa.table({name: pa.nulls(table.num_rows) for name in exprs})
        found = pa.table(match(pattern(), _padded(table, columns)))
        return pa.table([found[name] for name in measures], names=list(exprs))

    return computed
