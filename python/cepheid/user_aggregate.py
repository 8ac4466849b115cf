"""Aggregates of windows that are written in Python: monoids, asked for whole columns of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, final

from cepheid import building
from cepheid._native import UserAggregate as NativeAggregate
from cepheid.building import checked_name
from cepheid.errors import PatternError
from cepheid.expr import Expr
from cepheid.literal import data_type_node

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["UserAggregate", "user_aggregate"]


@final
class UserAggregate:
    """An aggregate of one's own, called with the columns that it is of; `user_aggregate` makes it.

    Example:
        >>> import cepheid as cep
        >>> import pyarrow.compute as pc
        >>> product = cep.user_aggregate("product", lift=lambda x: x, combine=pc.multiply, state="double")
        >>> product(cep.col.growth)
        product(col.growth)
        >>> window = cep.window(growth=product(cep.col.growth)).tumbling("1h")
        >>> [row["growth"] for row in cep.aggregate(window, {"ts": [1, 2, 3], "growth": [1.5, 2.0, 0.5]})]
        [1.5]
    """

    __slots__ = ("_combine", "_finish", "_lift", "_name", "_native", "_result", "_state")

    def __init__(
        self,
        name: str,
        lift: Callable[..., Any],
        combine: Callable[[Any, Any], Any],
        finish: Callable[[Any], Any] | None,
        state: pa.DataType,
        result: Any,
    ) -> None:
        import pyarrow as pa

        self._name, self._lift, self._combine, self._finish = name, lift, combine, finish
        self._state, self._result = state, result
        self._native = NativeAggregate(self._asked, pa.schema([pa.field("", state)]))

    @property
    def name(self) -> str:
        """Its name, which is its version, too: what a function does cannot be compared.

        Example:
            >>> import cepheid as cep
            >>> cep.user_aggregate("first", lift=lambda x: x, combine=lambda left, _: left, state="int64").name
            'first'
        """
        return self._name

    def __call__(self, *columns: Any) -> Expr:
        """The aggregate of some columns, for a measure of a window; rows where one of them is NULL are passed over.

        Args:
            columns: Expressions or constants, one at least.

        Raises:
            TypeError: One is neither.
            PatternError: There is none (code ``too-few-parts``), or one holds an aggregate (code
                ``invalid-expression``).

        Example:
            >>> import cepheid as cep
            >>> import pyarrow.compute as pc
            >>> longest = cep.user_aggregate("longest", lift=lambda x: x, combine=pc.max_element_wise, state="int64")
            >>> longest(cep.col.a + 1)
            longest(col.a + 1)
        """
        if not columns:
            raise PatternError(f"{self._name}() is of one column at least", code="too-few-parts")
        args = [building.operand(column) for column in columns]
        constants = building.operand(self._name), building.operand(None).cast(self._result)
        made = building.aggregate("user_defined", *args, *constants)
        return Expr._of({"aggregate": {**made._node["aggregate"], "defined": self}}, made._depth)

    def _parts(self) -> tuple[Any, ...]:
        return self._name, self._lift, self._combine, self._finish, self._state, self._result

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UserAggregate):
            return NotImplemented
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((self._name, self._lift, self._combine, self._finish))

    def __reduce__(self) -> tuple[Any, ...]:
        return UserAggregate, self._parts()

    def __repr__(self) -> str:
        return f"<aggregate {self._name}, written in Python>"

    def _asked(self, step: str, exported: Any) -> pa.Table:
        """What windows call."""
        import pyarrow as pa

        columns = [column.combine_chunks() for column in pa.table(exported).columns]
        if step == "lift":
            return self._column(step, self._lift(*columns), self._state)
        if step == "combine":
            return self._column(step, self._combine(*columns), self._state)
        return self._column(step, columns[0] if self._finish is None else self._finish(*columns), None)

    @staticmethod
    def _column(step: str, given: Any, wanted: pa.DataType | None) -> pa.Table:
        """What a function gave as a table of one column."""
        import pyarrow as pa

        try:
            return UserAggregate._read(given, wanted)
        except (TypeError, KeyError, ValueError, pa.ArrowException) as error:
            of = "" if wanted is None else f" of type {wanted}"
            raise TypeError(f"{step} gave what is no column{of}: {error}") from error

    @staticmethod
    def _read(given: Any, wanted: pa.DataType | None) -> pa.Table:
        import pyarrow as pa

        if isinstance(given, Mapping) and wanted is not None and pa.types.is_struct(wanted):
            fields = [wanted.field(place) for place in range(wanted.num_fields)]
            parts = [UserAggregate._array(given[field.name], field.type) for field in fields]
            given = pa.StructArray.from_arrays(parts, fields=fields)
        return pa.table([UserAggregate._array(given, wanted)], names=[""])

    @staticmethod
    def _array(given: Any, wanted: pa.DataType | None) -> Any:
        import pyarrow as pa

        if isinstance(given, pa.ChunkedArray):
            given = given.combine_chunks()
        if not isinstance(given, pa.Array):
            if wanted is not None and pa.types.is_integer(wanted):
                # To be made integers, floats would lose what is behind the point without a word.
                given = pa.array(given)
            else:
                return pa.array(given, wanted)
        return given if wanted is None or given.type == wanted else given.cast(wanted)


def user_aggregate(
    name: str,
    *,
    lift: Callable[..., Any],
    combine: Callable[[Any, Any], Any],
    finish: Callable[[Any], Any] | None = None,
    state: Any,
    result: Any = None,
) -> UserAggregate:
    """Defines an aggregate of windows by what is kept of one row, and of two runs of rows together.

    All three functions take and give whole columns: `lift` is called once for the rows of a call, `combine` for many
    pairs of states at once, so that it is asked as many times as the logarithm of the rows of a window. The engine
    shares states among overlapping windows, keeps them in snapshots, and joins them again when late rows come; so
    `combine` must be associative. It need not commute: the rows of ``left`` come before those of ``right``.

    A window that has one cannot be written down as data, and a pattern cannot ask for one.

    Cost: O(1) joins a row (as many as its window has rows in `Window.sliding`). Space: a state for each open window.

    Args:
        name: Its name.
        lift: Of the columns that it is of, as `pyarrow` arrays without NULL, the states of their rows.
        combine: Of two arrays of states, those of the rows of both.
        finish: Of an array of states, what they say. None: the states themselves.
        state: The type of a state: a `pyarrow` type or its alias, such as ``"double"``. Of a struct, functions may give
            a mapping from field to array.
        result: The type of what `finish` gives, as for `Expr.cast`. None: that of a state.

    Raises:
        TypeError: A function cannot be called, or a type is none.
        PatternError: The name is empty (code ``empty-name``), or `result` is a type that no expression has (code
            ``unknown-type``).

    Example:
        >>> import cepheid as cep
        >>> import pyarrow as pa
        >>> import pyarrow.compute as pc
        >>> geometric_mean = cep.user_aggregate(
        ...     "geometric_mean",
        ...     lift=lambda x: {"logs": pc.ln(x), "n": [1] * len(x)},
        ...     combine=lambda left, right: {
        ...         name: pc.add(left.field(name), right.field(name)) for name in ("logs", "n")
        ...     },
        ...     finish=lambda states: pc.exp(pc.divide(states.field("logs"), states.field("n"))),
        ...     state=pa.struct({"logs": pa.float64(), "n": pa.int64()}),
        ...     result="float64",
        ... )
        >>> window = cep.window(mean=geometric_mean(cep.col.price)).rows(3)
        >>> found = cep.aggregate(window, {"ts": [1, 2, 3, 4], "price": [1.0, 3.0, 9.0, 5.0]})
        >>> [round(row["mean"], 9) for row in found]
        [3.0, 5.0]
    """
    import pyarrow as pa

    for function, what in ((lift, "lift"), (combine, "combine"), (finish, "finish")):
        if not callable(function) and not (what == "finish" and function is None):
            raise TypeError(f"{what} is a function, not {type(function).__name__}")
    if isinstance(state, str):
        try:
            state = pa.type_for_alias(state)
        except ValueError as error:
            raise TypeError(f"state is a pyarrow type or its alias, and {state!r} is none") from error
    if not isinstance(state, pa.DataType):
        raise TypeError(f"state is a pyarrow type or its alias, not {type(state).__name__}")
    wanted = state if result is None else result
    data_type_node(wanted)
    return UserAggregate(checked_name(name, "aggregate"), lift, combine, finish, state, wanted)
