"""Mappers: what makes events of rows as a source has them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cepheid import building
from cepheid.errors import SchemaError
from cepheid.expr import Expr
from cepheid.input import arrow_table, table_of
from cepheid.schema.casting import one_array
from cepheid.schema.expressions import computing

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Mapper", "mapped", "prepared_mapper"]

#: A function of a table, or targets with where each comes from.
Mapper = Callable[["pa.Table"], Any] | Mapping[str, Any]

# A field, or one within an object: `customer.name`.
_PATH = re.compile(r"[^\W\d][\w-]*(?:\.[^\W\d][\w-]*)*")


def prepared_mapper(mapper: Any) -> Callable[[pa.Table], pa.Table] | None:
    """What a mapper does, as a function of a table.

    Raises:
        TypeError: It is neither a function nor a mapping of texts to texts and expressions.
        SchemaError: It has no target (code ``mapper-failed``).
        SqlError: A text is neither a field nor an expression.
    """
    if mapper is None:
        return None
    if isinstance(mapper, Mapping):
        for target, source in mapper.items():
            if not isinstance(target, str):
                raise TypeError(f"a mapper names targets by texts, not {type(target).__name__}")
            if not isinstance(source, (str, Expr)):
                raise TypeError(f"`{target}` comes of a field or an expression, not of {type(source).__name__}")
        if not mapper:
            raise SchemaError("a mapper has one target at least", code="mapper-failed")
        return _of_targets(tuple(mapper.items()))
    if not callable(mapper):
        raise TypeError(f"a mapper is a function or a mapping, not {type(mapper).__name__}")
    function: Callable[[pa.Table], pa.Table] = mapper
    return function


@functools.lru_cache(maxsize=256)
def _of_targets(targets: tuple[tuple[str, str | Expr], ...]) -> Callable[[pa.Table], pa.Table]:
    """What a mapping does; kept, as a source has each of its batches mapped with the same."""
    paths: dict[str, str] = {}
    exprs: dict[str, Expr] = {}
    for target, source in targets:
        if isinstance(source, str) and _PATH.fullmatch(source) and source.lower() not in ("true", "false", "null"):
            paths[target] = source
        else:
            exprs[target] = building.expression(source)
    computed = computing(exprs)

    def apply(table: pa.Table) -> pa.Table:
        import pyarrow as pa

        made = computed(table)
        columns, fields = [], []
        for target, _ in targets:
            if target in exprs:
                column, field = made[target], pa.field(target, made[target].type)
            else:
                column, source = _at(table, paths[target])
                field = source.with_name(target).with_nullable(True)
            columns.append(column)
            fields.append(field)
        return pa.table(columns, schema=pa.schema(fields))

    return apply


def _at(table: pa.Table, path: str) -> tuple[pa.Array, pa.Field]:
    """The column of a path, which may lead into objects; NULL where there is none."""
    import pyarrow as pa

    if path in table.column_names:
        return one_array(table[path]), table.schema.field(path).with_type(one_array(table[path]).type)
    name, _, rest = path.partition(".")
    if name in table.column_names and rest and pa.types.is_struct(table[name].type):
        array = one_array(table[name])
        fields = [array.type.field(place) for place in range(array.type.num_fields)]
        return _at(pa.table(array.flatten(), schema=pa.schema(fields)), rest)
    return pa.nulls(table.num_rows), pa.field(path, pa.null())


def mapped(function: Callable[[pa.Table], Any], table: pa.Table) -> pa.Table:
    """What a mapper makes of a table.

    Raises:
        SchemaError: It raised, which is the ``__cause__``, or gave no table of as many rows (code ``mapper-failed``).
    """
    try:
        made = arrow_table(table_of(function(table)))
    except Exception as error:
        raise SchemaError(f"the mapper failed: {type(error).__name__}: {error}", code="mapper-failed") from error
    if made.num_rows != table.num_rows:
        raise SchemaError(
            f"the mapper gave {made.num_rows} rows for {table.num_rows}; which is which cannot be told",
            code="mapper-failed",
        )
    return made
