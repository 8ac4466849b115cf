"""Windows: what is asked of the rows that stand in one stretch of time, or of rows.

A window is a value, as a pattern is: every method gives a new one. It is checked and brought to its normal spelling
when it gets its frame, so what is wrong with it shows where it is written.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, final

from cepheid import nodes
from cepheid._native import Window as NativeWindow
from cepheid.building import checked_name, json_text, not_serialisable, parsed_measure
from cepheid.clauses import column_name, measure_node, span_ns
from cepheid.errors import PatternError
from cepheid.event_time import span_ns as span_from_zero
from cepheid.expr import Expr
from cepheid.literal import duration_ns
from cepheid.nodes import Node
from cepheid.options import checked_count
from cepheid.pattern_data import without_predicates
from cepheid.predicate import UserPredicate, predicate_column
from cepheid.spelling import aggregate_method
from cepheid.window_data import WindowData, row_condition

__all__ = ["NO_FRAME", "Window", "WindowBuilder", "window"]

NO_FRAME = "the window has no frame yet; say .tumbling(), .hopping(), .sliding(), .session() or .rows()"


@final
class WindowBuilder(WindowData):
    """What is asked of windows, before it is said which rows share one: `window` makes it.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col
        >>> per_card = cep.window(total=col.amount.sum(), by="card")
        >>> per_card.tumbling("10s")
        cep.window(total=col.amount.sum(), by='card').tumbling('10s')
        >>> per_card.rows(100)
        cep.window(total=col.amount.sum(), by='card').rows(100)
    """

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if hasattr(Window, name):
                raise AttributeError(f"{name}: {NO_FRAME}")
            raise AttributeError(f"a window has no {name!r}")

    def tumbling(self, size: str | dt.timedelta, *, offset: str | dt.timedelta | None = None) -> Window:
        """Windows of one length, each beginning where the one before ends; aligned to 1970.

        Args:
            size: How long one is: text such as ``"10s"`` or a timedelta.
            offset: What the grid is shifted by; negative as a timedelta.

        Raises:
            TypeError: One is no span of time.
            PatternError: The size is not longer than zero (code ``invalid-within``), or a measure or a condition is
                impossible.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> minutes = cep.window(total=col.amount.sum(), n=cep.count(), by="card").tumbling("1m")
            >>> orders = {"ts": [1, 2, 61_000_000_000], "card": ["a", "a", "a"], "amount": [5, 7, 9]}
            >>> cep.aggregate(minutes, orders).to_arrow()["total"].to_pylist()
            [12, 9]
        """
        length = span_ns(size, "a window")
        return self._timed(length, length, offset)

    def hopping(
        self, size: str | dt.timedelta, every: str | dt.timedelta, *, offset: str | dt.timedelta | None = None
    ) -> Window:
        """Windows of one length, one beginning every so often: a row is in each that covers its time.

        Args:
            size: How long one is.
            every: From the start of one to that of the next. Longer than `size`, it leaves rows between windows out.
            offset: As for `tumbling`.

        Raises:
            TypeError: One is no span of time.
            PatternError: As for `tumbling`.

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count()).hopping("60s", every="5s")
            cep.window(n=cep.count()).hopping('1m', every='5s')
        """
        return self._timed(span_ns(size, "a window"), span_ns(every, "the step from window to window"), offset)

    def _timed(self, size: int, every: int, offset: str | dt.timedelta | None) -> Window:
        frame = {"size_ns": size, "every_ns": every}
        # One step on, the grid is the same.
        if offset is not None and (shift := duration_ns(offset) % every):
            frame["offset_ns"] = shift
        return self._framed({"time": frame})

    def sliding(self, preceding: str | dt.timedelta) -> Window:
        """One output for every row, over the rows of its key up to it: the last of them `preceding` before it.

        Rows at exactly that distance count, and so do all of the row's own time, as in SQL's ``RANGE BETWEEN ...
        PRECEDING AND CURRENT ROW``.

        Args:
            preceding: How far it reaches back, from zero.

        Raises:
            TypeError: It is no span of time.
            PatternError: It is negative (code ``invalid-clause``), or as for `tumbling`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> cep.window(mean=col.amount.avg(), by="card").sliding("10m")
            cep.window(mean=col.amount.avg(), by='card').sliding('10m')
        """
        return self._framed({"range": {"preceding_ns": span_from_zero(preceding, "sliding()")}})

    def session(self, gap: str | dt.timedelta) -> Window:
        """Windows of rows that follow each other closely: a row `gap` or more after the one before begins the next.

        Args:
            gap: How long nothing comes between two windows. A window ends this long after its last row.

        Raises:
            TypeError: It is no span of time.
            PatternError: As for `tumbling`.

        Example:
            >>> import cepheid as cep
            >>> cep.window(clicks=cep.count(), by="user").session(gap="30m")
            cep.window(clicks=cep.count(), by='user').session(gap='30m')
        """
        return self._framed({"session": {"gap_ns": span_ns(gap, "the gap of a session")}})

    def rows(self, count: int, *, every: int | None = None) -> Window:
        """Windows of so many rows of a key; at the end of the input those that are not full are reported, too.

        Args:
            count: How many rows a window has.
            every: From the first row of one to that of the next; `count` by default.

        Raises:
            TypeError: One is no whole number.
            PatternError: One is below 1 or above 2^31 (code ``invalid-clause`` or ``invalid-expression``), or as for
                `tumbling`.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> cep.window(mean=col.price.avg(), by="symbol").rows(100, every=10)
            cep.window(mean=col.price.avg(), by='symbol').rows(100, every=10)
        """
        if count is None:
            raise TypeError("rows() takes how many rows a window has")
        step = count if every is None else every
        rows = {"rows": checked_count(count, "rows()"), "every": checked_count(step, "every")}
        return self._framed({"rows": rows})

    def _framed(self, frame: dict[str, Any]) -> Window:
        return Window._of({**self._data, "frame": frame})


@final
class Window(WindowData):
    """Values of the rows of a key that stand in one stretch of time, or of rows: a rule, to be asked of tables.

    Begin with `window`, then say which rows share a window: `WindowBuilder.tumbling`, `WindowBuilder.hopping`,
    `WindowBuilder.sliding`, `WindowBuilder.session` or `WindowBuilder.rows`.

    Windows compare by what they say, ``repr`` is code that builds the window again.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col
        >>> window = cep.window(total=col.amount.sum(), by="card").tumbling("10s")
        >>> window == cep.window("SUM(amount) AS total", by=["card"]).tumbling("10000ms")
        True
    """

    __slots__ = ()

    @property
    def name(self) -> str | None:
        """The rule's name, or None.

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count()).rows(10).name is None
            True
        """
        return self._data.get("name")

    @property
    def topic(self) -> str | None:
        """The topic whose rows it is asked of; None: any.

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count(), topic="txn").rows(10).topic
            'txn'
        """
        return self._data.get("topic")

    @property
    def fingerprint(self) -> str:
        """A hash of what the window says, the name apart: the version of the rule, as 64 hex digits.

        Raises:
            PatternError: It holds a Python function (code ``not-serialisable``).

        Example:
            >>> import cepheid as cep
            >>> tens = cep.window(n=cep.count()).tumbling("10s")
            >>> tens.fingerprint == cep.window(n="COUNT(*)").tumbling("10s").named("rule").fingerprint
            True
        """
        return self._serialisable().fingerprint()

    def equals(self, other: Window) -> bool:
        """Whether two windows say the same, as ``==`` does.

        Args:
            other: A window.

        Raises:
            TypeError: It is none.

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count()).rows(5).equals(cep.window(n="COUNT(*)").rows(5))
            True
        """
        if not isinstance(other, Window):
            raise TypeError(f"equals() takes a window, not {type(other).__name__}")
        return self == other

    def to_json(self) -> str:
        """The window as JSON, in its one normal spelling, with the version of the format.

        Raises:
            PatternError: It holds a Python function (code ``not-serialisable``).

        Example:
            >>> import cepheid as cep
            >>> cep.Window.from_json(cep.window(n=cep.count()).rows(10).to_json())
            cep.window(n=cep.count()).rows(10)
        """
        return self._serialisable().to_json()

    def to_dict(self) -> dict[str, Any]:
        """The window as plain data: what `to_json` gives, parsed.

        Raises:
            PatternError: It holds a Python function (code ``not-serialisable``).

        Example:
            >>> import cepheid as cep
            >>> cep.window(n=cep.count()).tumbling("1s").to_dict()["window"]["frame"]
            {'time': {'size_ns': 1000000000, 'every_ns': 1000000000}}
        """
        data: dict[str, Any] = json.loads(self.to_json())
        return data

    @classmethod
    def from_json(cls, text: str) -> Window:
        """Reads what `to_json` gave.

        Args:
            text: The JSON.

        Raises:
            TypeError: It is no string.
            PatternError: It is no window (code ``malformed``), of a newer version (code ``wire-version``), or an
                impossible one.

        Example:
            >>> import cepheid as cep
            >>> cep.Window.from_json(cep.window(n=cep.count()).rows(10).named("tens").to_json()).name
            'tens'
        """
        if not isinstance(text, str):
            raise TypeError(f"JSON is text, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise PatternError("not a serialised window: it holds a lone surrogate", code="malformed") from None
        return cls._from_native(NativeWindow.from_json(text))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Window:
        """Reads what `to_dict` gave.

        Args:
            data: The dict.

        Raises:
            PatternError: As for `from_json`.

        Example:
            >>> import cepheid as cep
            >>> window = cep.window(n=cep.count()).rows(10)
            >>> cep.Window.from_dict(window.to_dict()) == window
            True
        """
        if not isinstance(data, Mapping):
            raise PatternError(f"not a serialised window: {type(data).__name__} is no dict", code="malformed")
        return cls.from_json(json_text(dict(data), "a window"))

    # Lowering.

    @classmethod
    def _from_native(cls, native: NativeWindow) -> Window:
        return cls._of(json.loads(native.to_json())["window"])

    def _check(self) -> None:
        native, predicates = self._compiled()
        if not predicates:
            object.__setattr__(self, "_data", json.loads(native.to_json())["window"])

    def _compiled(self) -> tuple[NativeWindow, tuple[UserPredicate, ...]]:
        """The window in the engine, and the predicates whose columns it expects to find."""
        if "native" not in self._kept:
            self._kept["native"] = self._native_with(predicate_column)
        compiled: tuple[NativeWindow, tuple[UserPredicate, ...]] = self._kept["native"]
        return compiled

    def _compiled_rule(self) -> tuple[NativeWindow, tuple[UserPredicate, ...]]:
        """The window as a rule of an engine: the columns of its predicates are not those of other rules."""
        native, predicates = self._compiled()
        if predicates:
            native, predicates = self._native_with(lambda position: predicate_column(position, self.name))
        return native, predicates

    def _native_with(self, column_of: Callable[[int], str]) -> tuple[NativeWindow, tuple[UserPredicate, ...]]:
        predicates: list[UserPredicate] = []

        def replaced(node: Node) -> Node:
            return without_predicates(node, predicates, column_of)

        measures = [{**entry, "value": replaced(entry["value"])} for entry in self._data["measures"]]
        lowered = {**self._data, "measures": measures}
        if "condition" in lowered:
            lowered["condition"] = replaced(lowered["condition"])
        native = NativeWindow.from_json(json_text({"cepheid_ir": 1, "window": lowered}, "a window"))
        return native, tuple(predicates)

    def _topics_of(self, _predicate: UserPredicate) -> set[str]:
        """The topics whose rows a predicate is asked of by name."""
        return set() if self.topic is None else {self.topic}

    def _read_topics(self) -> tuple[str | None, ...]:
        """The topic that it reads; None: whatever there is."""
        return (self.topic,)

    def _derived_topics(self, rule: str) -> set[str]:
        """The topics that it derives as a rule of this name."""
        return {self._emitted(rule)}

    def _serialisable(self) -> NativeWindow:
        native, predicates = self._compiled()
        if predicates:
            raise not_serialisable()
        return native

    def _emitted(self, rule: str) -> str:
        """The topic of its events, if it is a rule of this name, unless it has one of its own."""
        return self._data.get("emit") or self.name or rule


def window(
    *measures: Expr | str | Mapping[str, Any],
    topic: str | None = None,
    by: str | Expr | Iterable[str | Expr] = (),
    where: Any = None,
    event_time: str | Expr | None = None,
    **named: Any,
) -> WindowBuilder:
    """Asks for values of the rows that share a window; which do is said next, as ``.tumbling("10s")``.

    Args:
        measures: Expressions or SQL text over aggregates, with a name (``.alias("total")``, ``SUM(amount) AS total``),
            or mappings from name to measure. One aggregate of one column has a name without saying so:
            ``col.amount.sum()`` is ``amount_sum``, ``cep.count()`` is ``count``. A column without an aggregate is
            that of the window's last row, ``col.x.first()`` that of its first.
        topic: The topic that the rows are of, where there are several. By default any.
        by: Columns whose values rows of a window share, by name or as ``col.name``: one or several.
        where: A condition that rows must satisfy, as an expression or SQL text.
        event_time: The column of the event time, if it is always the same.
        named: Measures by name.

    Raises:
        TypeError: A measure, column or condition is none.
        PatternError: There is no measure, two have one name (code ``duplicate-measure``), or one has none (code
            ``empty-name``).
        SqlError: A text is no SQL expression.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col
        >>> orders = cep.window(col.amount.sum(), mean="SUM(amount) / COUNT(*)", topic="orders", by=["shop", "till"])
        >>> orders.tumbling("1h")
        cep.window(amount_sum=col.amount.sum(), mean=col.amount.sum() / cep.count(), topic='orders', by=['shop',
        'till']).tumbling('1h')
    """
    chosen: list[dict[str, Any]] = []
    taken: set[str] = set()
    for name, value in [*(pair for measure in measures for pair in _named(measure)), *named.items()]:
        checked_name(name, "measure")
        context = f"measure `{name}`"
        if name in taken:
            raise PatternError(
                f"two measures are named `{name}`; rename one", code="duplicate-measure", context=context
            )
        taken.add(name)
        chosen.append({"name": name, "value": measure_node(value, context)})
    if not chosen:
        raise PatternError("window() takes one measure at least, such as n=cep.count()", code="too-few-parts")
    columns = [by] if isinstance(by, (str, Expr)) else by
    if not isinstance(columns, Iterable):
        raise TypeError(f"by is a column or several, not {type(by).__name__}")
    data: dict[str, Any] = {"measures": chosen}
    if topic is not None:
        data["topic"] = checked_name(topic, "topic")
    if keys := [column_name(column) for column in columns]:
        data["partition_by"] = keys
    if where is not None:
        data["condition"] = row_condition(where)
    if event_time is not None:
        data["event_time"] = column_name(event_time)
    return WindowBuilder._of(data)


def _named(measure: Any) -> list[tuple[Any, Any]]:
    """A measure with its name; a mapping gives several."""
    if isinstance(measure, Mapping):
        return list(measure.items())
    if isinstance(measure, str):
        node, name = parsed_measure(measure)
        value = Expr._of(node)
    elif isinstance(measure, Expr):
        node, name, value = measure._node, measure._alias, measure
    else:
        raise TypeError(f"window() takes name=expression, not {type(measure).__name__}")
    if name is None:
        name = _default_name(node)
    if name is None:
        raise PatternError(
            f'the measure {measure!r} has no name; write window(name=...) or .alias("name")', code="empty-name"
        )
    return [(name, value)]


def _default_name(node: Node) -> str | None:
    """The name of an aggregate of one column: that of the column and of the method that spells it."""
    if nodes.tag_of(node) != "aggregate":
        return None
    body = node["aggregate"]
    args = body.get("args", [])
    if not args:
        return str(body["function"])
    method = aggregate_method(body)
    constants = all(nodes.tag_of(arg) == "literal" for arg in args[1:])
    if not constants or method is None or nodes.tag_of(args[0]) != "column":
        return None
    return f"{args[0]['column']['name']}_{method}"
