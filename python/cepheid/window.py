"""Windows: what is asked of the rows that stand in one stretch of time, or of rows.

A window is a value, as a pattern is: every method gives a new one. It is checked and brought to its normal spelling
when it gets its frame, so what is wrong with it shows where it is written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, final

from cepheid import nodes
from cepheid._native import Window as NativeWindow
from cepheid.building import checked_name, parsed_measure, span_ns
from cepheid.clauses import measure_node
from cepheid.compiled_rule import CompiledRule
from cepheid.errors import PatternError
from cepheid.event_time import span_ns as span_from_zero
from cepheid.expr import Expr
from cepheid.literal import duration_ns
from cepheid.nodes import Node
from cepheid.options import checked_count
from cepheid.rule_data import source_data
from cepheid.spelling import aggregate_method
from cepheid.window_data import WindowData

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
class Window(CompiledRule, WindowData):
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

    _NATIVE: ClassVar[Any] = NativeWindow
    _KEY: ClassVar[str] = "window"

    def early(self, *, every: str | dt.timedelta | None = None, rows: int | None = None) -> Window:
        """Reports windows before they end, too: what is in them so far; again when they end.

        The column ``window_timing`` then says which a report is: ``early`` or ``on_time``. Tables are told the same as
        streams. Of windows of which this is asked each has a state of its own, so that overlapping ones cost as much as
        there are windows that a row is in.

        Args:
            every: At every whole multiple of this span of event time, counted from 1970 as windows are: those windows
                that have rows before it that no report knows of. The rows of that very time are of the next report.
            rows: With every so many rows of a window, instead.

        Raises:
            TypeError: `every` is no span of time, `rows` no whole number, or both or neither are given.
            PatternError: One is not greater than zero (code ``invalid-within`` or ``invalid-clause``), or the window is
                one by rows or a sliding one, whose rows decide it (code ``invalid-expression``).

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> hours = cep.window(total=col.amount.sum()).tumbling("1h").early(every="1m")
            >>> minute = 60_000_000_000
            >>> found = cep.aggregate(hours, {"ts": [0, 5 * minute, 61 * minute], "amount": [3, 4, 5]})
            >>> [(row["window_timing"], row["total"]) for row in found]
            [('early', 3), ('early', 7), ('on_time', 7), ('early', 5), ('on_time', 5)]
        """
        if (every is None) == (rows is None):
            raise TypeError("early() takes every=<span of time> or rows=<number>")
        if rows is not None:
            return self._reporting(early={"rows": checked_count(rows, "rows")})
        return self._reporting(early={"every_ns": span_ns(every, "the time from one early report to the next")})

    def with_empty(self, for_: str | dt.timedelta | None = None) -> Window:
        """Reports windows in which a key has no row, too: from its first row on, up to where the clock stands.

        Counts are 0 in them, all other aggregates and columns NULL. In a stream they come when the watermark reaches
        their end, as others do: that nothing has come is known then. In a table, and when a stream is flushed, the
        clock stands at the greatest event time of all rows.

        Args:
            for_: Only windows that begin less than this after the key's last row; then nothing is kept of the key.
                None: without end, so that every key there has been is kept and reported with every window.

        Raises:
            TypeError: `for_` is no span of time.
            PatternError: It is not longer than zero (code ``invalid-within``), or the windows are neither tumbling nor
                hopping (code ``invalid-expression``).

        Example:
            >>> import cepheid as cep
            >>> beats = cep.window(n=cep.count(), by="host").tumbling("10s").with_empty(for_="1h")
            >>> second = 1_000_000_000
            >>> found = cep.aggregate(beats, {"ts": [0, 1 * second, 25 * second], "host": ["a", "b", "a"]})
            >>> [(row["host"], row["window_end"] // second, row["n"]) for row in found]
            [('a', 10, 1), ('b', 10, 1), ('a', 20, 0), ('b', 20, 0), ('a', 30, 1)]
        """
        empty = {} if for_ is None else {"for_ns": span_ns(for_, "for_")}
        return self._reporting(empty=empty)

    def with_late(self, for_: str | dt.timedelta) -> Window:
        """Reports windows again when a late row of theirs comes to a stream: all of their rows so far.

        A row is late if it comes further behind than the engine's ``lateness`` lets it; windows then do not take it.
        With this they do: one that has ended is reported once more for every late row, ``window_timing`` saying
        ``late`` (``on_time`` in reports at the end), and one that goes on has the row in its report on time. The values
        are those of its rows in their order, the late ones in their places. Beside that late rows remain late: they are
        counted, and given out or dropped, as the engine's ``late`` says; ``late="error"`` still refuses them. In a
        table no row is late. The rows of windows are kept for so long, so that it costs memory. No other rule may
        derive the same topic.

        Args:
            for_: How long after its end, on the engine's clock, a window is reported again.

        Raises:
            TypeError: `for_` is no span of time.
            PatternError: It is not longer than zero (code ``invalid-within``); the windows are neither tumbling nor
                hopping, or reported early with every so many rows (code ``invalid-expression``).

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col
            >>> totals = cep.window(total=col.amount.sum()).tumbling("10s").with_late(for_="1h").named("totals")
            >>> engine = cep.Engine(totals, event_time="ts", lateness="0s")
            >>> second = 1_000_000_000
            >>> derived = engine.push({"ts": [1 * second, 12 * second, 4 * second], "amount": [5, 6, 7]})
            >>> [(row["window_timing"], row["total"]) for row in derived["totals"]]
            [('on_time', 5), ('late', 12)]
        """
        return self._reporting(late_ns=span_ns(for_, "the time that late rows are waited for"))

    def _reporting(self, **more: Any) -> Window:
        return self._with(reports={**self._data.get("reports", {}), **more})

    def _native_of(self, text: str, defined: dict[str, Any]) -> NativeWindow:
        return NativeWindow.from_json(text, [(name, aggregate._native) for name, aggregate in defined.items()])

    def _values(self, replaced: Callable[[Node], Node]) -> dict[str, Any]:
        return {"measures": [{**entry, "value": replaced(entry["value"])} for entry in self._data["measures"]]}


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
    data = {"measures": chosen, **source_data(WindowData._WHAT, topic, by, where, event_time)}
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
