"""The pattern algebra: which rows, in which order, and what to report of them.

A pattern is a value: every method gives a new one. It is plain data underneath, the same that SQL text is read into,
and crosses into the engine once.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Literal, NoReturn

from cepheid import nodes
from cepheid._native import Pattern as NativePattern
from cepheid.errors import PatternError
from cepheid.expr import (
    Expr,
    checked_name,
    json_text,
    not_serialisable,
    operand,
    parsed,
    same_data,
)
from cepheid.functions import UserPredicate
from cepheid.literal import duration_ns, duration_text
from cepheid.nodes import Node

__all__ = ["Pattern", "all_of", "event", "seq"]

Contiguity = Literal["strict", "skip_till_next", "skip_till_any"]
RowsPerMatch = Literal["one", "all", "all_omit_empty", "all_with_unmatched"]

PATTERN_DEPTH_MAX = 64
VARIABLES_MAX = 1024
REPEAT_MAX = 100_000
PERMUTE_PARTS_MAX = 6

_CONTIGUITIES = ("strict", "skip_till_next", "skip_till_any")
_ROWS_PER_MATCH = {
    "one": "one",
    "all": "all_show_empty",
    "all_omit_empty": "all_omit_empty",
    "all_with_unmatched": "all_with_unmatched",
}
_AFTER_MATCH = ("past_last_row", "to_next_row", "none", "consume")
# What a clause is called by the method that sets it.
_CLAUSE_METHODS = {"measures": "select", "selection": "matches", "name": "named"}
_UNSET: Any = object()


class Pattern:
    """A pattern: events, how they follow each other, and what to report.

    Begin with `event`, `seq` or `all_of`. Methods up to `optional` make larger patterns of smaller ones; those from
    `partition_by` on are clauses of the whole pattern and cannot be called on a part of another.

    Patterns compare by what they say, ``repr`` is code that builds the pattern again.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import col, event, prev
        >>> fall = event("fall", col.price < prev(col.price)).one_or_more()
        >>> rise = event("rise", col.price > prev(col.price)).one_or_more()
        >>> pattern = cep.seq(fall, rise, contiguity="strict").partition_by("symbol").order_by("time")
        >>> pattern.variables
        ('fall', 'rise')
    """

    __slots__ = ("_clauses", "_define", "_depth", "_kept", "_root", "_variables")

    _root: Any
    _define: dict[str, Node]
    _clauses: dict[str, Any]
    _variables: tuple[str, ...]
    _depth: int
    _kept: dict[str, Any]

    def __init__(self) -> None:
        raise TypeError("patterns are built with event(), seq(), all_of(), pattern_from_sql() or Pattern.from_dict()")

    @classmethod
    def _of(
        cls,
        root: Any,
        define: dict[str, Node],
        variables: tuple[str, ...],
        depth: int,
        clauses: dict[str, Any] | None = None,
    ) -> Pattern:
        if depth > PATTERN_DEPTH_MAX:
            raise PatternError(
                f"the pattern has more than {PATTERN_DEPTH_MAX} levels of nesting",
                code="limit-exceeded",
                limit=PATTERN_DEPTH_MAX,
            )
        pattern = object.__new__(cls)
        for slot, value in (
            ("_root", root),
            ("_define", define),
            ("_variables", variables),
            ("_depth", depth),
            ("_clauses", clauses or {}),
            ("_kept", {}),
        ):
            object.__setattr__(pattern, slot, value)
        return pattern

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("patterns cannot be changed; their methods give new ones")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("patterns cannot be changed; their methods give new ones")

    # Larger patterns of smaller ones.

    def then(self, following: Pattern) -> Pattern:
        """Followed by: rows that do not fit `following` may lie between. ``a >> b`` is the same.

        Args:
            following: A pattern.

        Raises:
            TypeError: It is no pattern.
            PatternError: The two share a variable (code ``duplicate-variable``), or one has clauses of a whole
                pattern.

        Example:
            >>> from cepheid import event
            >>> event("a").then(event("b"))
            event('a') >> event('b')
        """
        return _sequence([self, following], ["strict", "skip_till_next"])

    def __rshift__(self, following: Pattern) -> Pattern:
        if not isinstance(following, Pattern):
            return NotImplemented
        return self.then(following)

    def next(self, following: Pattern) -> Pattern:
        """Followed by, with no row between: the very next row of the partition.

        Args:
            following: A pattern.

        Raises:
            TypeError: It is no pattern.
            PatternError: As for `then`.

        Example:
            >>> from cepheid import event
            >>> event("a").next(event("b"))
            cep.seq(event('a'), event('b'), contiguity='strict')
        """
        return _sequence([self, following], ["strict", "strict"])

    def then_any(self, following: Pattern) -> Pattern:
        """Followed by, with any rows between, even such as fit `following`.

        Args:
            following: A pattern.

        Raises:
            TypeError: It is no pattern.
            PatternError: As for `then`.

        Example:
            >>> from cepheid import event
            >>> event("a").then_any(event("b"))
            cep.seq(event('a'), event('b'), contiguity='skip_till_any')
        """
        return _sequence([self, following], ["strict", "skip_till_any"])

    def __or__(self, other: Pattern) -> Pattern:
        if not isinstance(other, Pattern):
            return NotImplemented
        define, variables, depth = _joined([self, other])
        parts: list[Any] = []
        for part in (self, other):
            parts.extend(part._root["alternation"] if _tag(part._root) == "alternation" else [part._root])
        flat = [p._depth - 1 if _tag(p._root) == "alternation" else p._depth for p in (self, other)]
        return Pattern._of({"alternation": parts}, define, variables, 1 + max(flat, default=depth))

    def times(
        self, low: int, high: int | None = None, *, contiguity: Contiguity | None = None, greedy: bool = True
    ) -> Pattern:
        """Repeated: ``times(3)`` exactly three times, ``times(2, 4)`` two to four times.

        Args:
            low: The fewest repetitions, from 0.
            high: The most, at least 1; as many as `low` by default.
            contiguity: May rows lie between repetitions? ``"strict"``, ``"skip_till_next"`` or ``"skip_till_any"``. By
                default what a `seq` around it says, else ``"skip_till_next"``.
            greedy: Prefer more repetitions to fewer.

        Raises:
            TypeError: A count is no integer.
            PatternError: A count is impossible (code ``invalid-quantifier``), or the pattern has clauses of a whole
                pattern.

        Example:
            >>> from cepheid import event
            >>> event("a").times(2, 4)
            event('a').times(2, 4)
        """
        return _quantified(self, low, low if high is None else high, contiguity, greedy)

    def at_least(self, low: int, *, contiguity: Contiguity | None = None, greedy: bool = True) -> Pattern:
        """Repeated so many times or more.

        Args:
            low: The fewest repetitions, from 0.
            contiguity: As for `times`.
            greedy: As for `times`.

        Raises:
            TypeError: The count is no integer.
            PatternError: As for `times`.

        Example:
            >>> from cepheid import event
            >>> event("a").at_least(3)
            event('a').at_least(3)
        """
        return _quantified(self, low, None, contiguity, greedy)

    def one_or_more(self, *, contiguity: Contiguity | None = None, greedy: bool = True) -> Pattern:
        """Repeated once or more.

        Args:
            contiguity: As for `times`.
            greedy: As for `times`.

        Raises:
            PatternError: As for `times`.

        Example:
            >>> from cepheid import event
            >>> event("a").one_or_more(contiguity="strict")
            event('a').one_or_more(contiguity='strict')
        """
        return _quantified(self, 1, None, contiguity, greedy)

    def zero_or_more(self, *, contiguity: Contiguity | None = None, greedy: bool = True) -> Pattern:
        """Repeated any number of times, or not there at all.

        Args:
            contiguity: As for `times`.
            greedy: As for `times`.

        Raises:
            PatternError: As for `times`.

        Example:
            >>> from cepheid import event
            >>> event("a").zero_or_more()
            event('a').zero_or_more()
        """
        return _quantified(self, 0, None, contiguity, greedy)

    def optional(self, *, greedy: bool = True) -> Pattern:
        """There once, or not at all.

        Args:
            greedy: Prefer it to be there.

        Raises:
            PatternError: The pattern has clauses of a whole pattern.

        Example:
            >>> from cepheid import event
            >>> event("a") >> event("b").optional() >> event("c")
            event('a') >> event('b').optional() >> event('c')
        """
        return _quantified(self, 0, 1, "strict", greedy)

    # Clauses of the whole pattern.

    def within(self, span: str | dt.timedelta | None = _UNSET, *, rows: int | None = None) -> Pattern:
        """Bounds the match, from its first row to its last.

        Args:
            span: The time that the match is shorter than: text such as ``"10m"`` or a timedelta. None: no bound.
            rows: Instead, how many rows on from the first the last may be.

        Raises:
            TypeError: Neither or both are given, or one is of the wrong type.
            PatternError: The span is not longer than zero (code ``invalid-within``).

        Example:
            >>> from cepheid import event
            >>> (event("a") >> event("b")).within("1h30m")
            (event('a') >> event('b')).within('1h30m')
        """
        if (span is _UNSET) == (rows is None):
            raise TypeError('within() takes a span of time, rows=..., or None for no bound')
        if rows is not None:
            count = _count(rows, "rows")
            return self._with(within={"rows": count})
        if span is None:
            return self._with(within=None)
        nanoseconds = duration_ns(span)
        if nanoseconds <= 0:
            raise PatternError("WITHIN must be longer than zero", code="invalid-within")
        return self._with(within={"time": {"nanoseconds": nanoseconds}})

    def partition_by(self, *columns: str | Expr) -> Pattern:
        """Matches rows with equal values in these columns among themselves; NULL equals NULL.

        Args:
            columns: Columns, by name or as ``col.name``.

        Raises:
            TypeError: One is neither.
            PatternError: A name is empty (code ``empty-name``), or an expression is no column.

        Example:
            >>> from cepheid import event
            >>> event("a").partition_by("card")
            event('a').partition_by('card')
        """
        return self._with(partition_by=[_column_name(column) for column in columns])

    def order_by(
        self,
        *columns: str | Expr,
        descending: bool | list[bool] = False,
        nulls_first: bool | list[bool] = False,
    ) -> Pattern:
        """Puts the rows of a partition in order; rows that are equal in all these columns go by arrival.

        Args:
            columns: Columns, by name or as ``col.name``; the first is the event time.
            descending: Greatest first: for all columns, or a list with one flag a column.
            nulls_first: NULL before all values rather than after: for all columns, or a list.

        Raises:
            TypeError: A column is neither name nor column.
            PatternError: A list of flags has another length than the columns (code ``invalid-clause``).

        Example:
            >>> from cepheid import event
            >>> event("a").order_by("day", "hour", descending=[True, False])
            event('a').order_by('day', 'hour', descending=[True, False])
        """
        names = [_column_name(column) for column in columns]
        down = _flags(descending, len(names), "descending")
        first = _flags(nulls_first, len(names), "nulls_first")
        keys: list[dict[str, Any]] = []
        for name, is_descending, nulls in zip(names, down, first, strict=True):
            key: dict[str, Any] = {"column": name}
            if is_descending:
                key["descending"] = True
            if nulls:
                key["nulls_first"] = True
            keys.append(key)
        return self._with(order_by=keys)

    def define(self, mapping: Mapping[str, Any] | None = None, /, **conditions: Any) -> Pattern:
        """Gives events of the pattern their conditions.

        Args:
            mapping: Conditions by the name of the event.
            conditions: The same, as keywords. A condition is an expression or SQL text.

        Raises:
            TypeError: A condition is neither.
            PatternError: The pattern has no event of that name (code ``undefined-variable``), or it has a condition
                already (code ``duplicate-definition``).
            SqlError: A text is no SQL expression.

        Example:
            >>> from cepheid import event
            >>> (event("a") >> event("b")).define(b="price > a.price")
            event('a') >> event('b', col.price > cep.ref('a').price)
        """
        define = dict(self._define)
        for name, condition in _entries(mapping, conditions, "define"):
            variable = self._known(name, "DEFINE names", "undefined-variable")
            if variable in define:
                raise PatternError(
                    f"variable `{variable}` is defined twice; join the conditions with &",
                    code="duplicate-definition",
                    variable=variable,
                )
            define[variable] = _conditions((condition,), f"the condition of `{variable}`")
        clauses = {**self._clauses, "define": True}
        return Pattern._of(self._root, define, self._variables, self._depth, clauses)

    def select(self, *measures: Expr | Mapping[str, Any], **named: Any) -> Pattern:
        """Chooses what to report of a match; adds to what has been chosen before.

        A reference such as ``ref("a").price.sum()`` covers the whole match, a bare column is that of the last row
        (of each row, where all rows are reported).

        Args:
            measures: Mappings from name to measure, or expressions with an `alias`.
            named: Measures by name. A measure is an expression, SQL text, or a constant that is no string.

        Raises:
            TypeError: A measure is none of these.
            PatternError: Two have one name (code ``duplicate-measure``), or a variable is unknown (code
                ``unknown-variable``).
            SqlError: A text is no SQL expression.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import event
            >>> event("a").one_or_more().select(total=cep.ref("a").amount.sum(), last="LAST(a.amount)")
            event('a').one_or_more().select(total=cep.ref('a').amount.sum(), last=cep.ref('a').amount)
        """
        chosen: list[tuple[Any, Any]] = []
        for measure in measures:
            if isinstance(measure, Mapping):
                chosen.extend(measure.items())
            elif isinstance(measure, Expr):
                if measure._alias is None:
                    raise PatternError(
                        f"the measure {measure!r} has no name; write select(name=...) or .alias(\"name\")",
                        code="empty-name",
                    )
                chosen.append((measure._alias, measure))
            else:
                raise TypeError(f"select() takes name=expression, not {type(measure).__name__}")
        chosen.extend(named.items())
        selected = list(self._clauses.get("measures", ()))
        taken = {measure["name"] for measure in selected}
        for name, value in chosen:
            checked_name(name, "measure")
            if name in taken:
                raise PatternError(
                    f"two measures are named `{name}`; rename one", code="duplicate-measure",
                    context=f"measure `{name}`",
                )
            taken.add(name)
            node = _measure(value, f"measure `{name}`")
            self._check_references(node, f"measure `{name}`")
            selected.append({"name": name, "value": node})
        return self._with(measures=selected)

    def after_match(self, skip: str | tuple[str, str], *, strict: bool = False) -> Pattern:
        """Says where the search goes on after a match.

        Args:
            skip: ``"past_last_row"`` (the default), ``"to_next_row"``, ``("to_first", variable)``, ``("to_last",
                variable)``, ``"none"`` or ``"consume"``.
            strict: With a variable: a match in which it has no row, or is the first row, is a `MatchError`. By default
                the search then goes on at the next row.

        Raises:
            TypeError: `skip` is neither a string nor a pair.
            PatternError: It is none of these (code ``invalid-clause``), or the variable is unknown (code
                ``unknown-skip-target``).

        Example:
            >>> from cepheid import event
            >>> (event("a") >> event("b")).after_match(("to_first", "b"))
            (event('a') >> event('b')).after_match(('to_first', 'b'))
        """
        if isinstance(skip, str):
            if skip not in _AFTER_MATCH:
                raise _invalid_choice("after_match()", skip, [*_AFTER_MATCH, ("to_first", "x"), ("to_last", "x")])
            if strict:
                raise PatternError(
                    "strict=True needs a variable to skip to: after_match((\"to_first\", variable), strict=True)",
                    code="invalid-clause",
                )
            return self._with(after_match=skip)
        if not isinstance(skip, (tuple, list)) or len(skip) != 2:
            raise TypeError(f"after_match() takes a string or a pair such as (\"to_first\", \"x\"), not {skip!r}")
        where, target = skip
        if not isinstance(where, str) or where not in ("to_first", "to_last"):
            raise _invalid_choice("after_match()", where, ["to_first", "to_last"])
        checked_name(target, "variable")
        body: dict[str, Any] = {
            "variable": self._known(target, "AFTER MATCH SKIP names", "unknown-skip-target"),
            "row": where.removeprefix("to_"),
        }
        if strict:
            body["strict"] = True
        return self._with(after_match={"to_variable": body})

    def rows_per_match(self, rows: RowsPerMatch) -> Pattern:
        """Says how many rows to report of a match.

        Args:
            rows: ``"one"`` (the default); ``"all"``: one for each of its rows; ``"all_omit_empty"``: none for a match
                without rows; ``"all_with_unmatched"``: also one for each row that is in no match.

        Raises:
            TypeError: It is no string.
            PatternError: It is none of these (code ``invalid-clause``).

        Example:
            >>> from cepheid import event
            >>> event("a").rows_per_match("all")
            event('a').rows_per_match('all')
        """
        if not isinstance(rows, str):
            raise TypeError(f"rows_per_match() takes a string, not {type(rows).__name__}")
        if rows not in _ROWS_PER_MATCH:
            raise _invalid_choice("rows_per_match()", rows, list(_ROWS_PER_MATCH))
        return self._with(rows_per_match=_ROWS_PER_MATCH[rows])

    def matches(self, selection: Literal["first", "all"]) -> Pattern:
        """Says how many matches a start row gives.

        Args:
            selection: ``"first"`` (the default): the preferred one; ``"all"``: every one.

        Raises:
            TypeError: It is no string.
            PatternError: It is none of these (code ``invalid-clause``).

        Example:
            >>> from cepheid import event
            >>> (event("a") >> event("b")).matches("all")
            (event('a') >> event('b')).matches('all')
        """
        if not isinstance(selection, str):
            raise TypeError(f"matches() takes a string, not {type(selection).__name__}")
        if selection not in ("first", "all"):
            raise _invalid_choice("matches()", selection, ["first", "all"])
        return self._with(selection=selection)

    def named(self, rule: str) -> Pattern:
        """Names the rule. The name is no part of its fingerprint.

        Args:
            rule: A name, not empty.

        Raises:
            TypeError: It is no string.
            PatternError: It is empty (code ``empty-name``).

        Example:
            >>> from cepheid import event
            >>> event("a").named("spike").name
            'spike'
        """
        return self._with(name=checked_name(rule, "rule"))

    def emit(self, topic: str) -> Pattern:
        """Names the type of the derived events; the rule's name by default.

        Args:
            topic: A name, not empty.

        Raises:
            TypeError: It is no string.
            PatternError: It is empty (code ``empty-name``).

        Example:
            >>> from cepheid import event
            >>> event("a").emit("price.spike")
            event('a').emit('price.spike')
        """
        return self._with(emit=checked_name(topic, "topic"))

    # What it is.

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of its events, in the order in which they are written.

        Example:
            >>> from cepheid import event
            >>> (event("a") >> event("b")).variables
            ('a', 'b')
        """
        return self._variables

    @property
    def name(self) -> str | None:
        """The rule's name, or None.

        Example:
            >>> from cepheid import event
            >>> event("a").name is None
            True
        """
        return self._clauses.get("name")

    @property
    def fingerprint(self) -> str:
        """A hash of what the pattern says, the name apart: the version of the rule, as 64 hex digits.

        Raises:
            PatternError: The pattern is impossible, or holds a Python function.

        Example:
            >>> from cepheid import event
            >>> event("a", "x > 1").fingerprint == event("a", "x>1").named("rule").fingerprint
            True
        """
        return self._serialisable().fingerprint()

    def to_json(self) -> str:
        """The pattern as JSON, in its one normal spelling, with the version of the format.

        Raises:
            PatternError: The pattern is impossible, or holds a Python function (code ``not-serialisable``).

        Example:
            >>> from cepheid import Pattern, event
            >>> Pattern.from_json(event("a").to_json())
            event('a')
        """
        return self._serialisable().to_json()

    def to_dict(self) -> dict[str, Any]:
        """The pattern as plain data: what `to_json` gives, parsed.

        Raises:
            PatternError: The pattern is impossible, or holds a Python function (code ``not-serialisable``).

        Example:
            >>> from cepheid import event
            >>> event("a").to_dict()["pattern"]["root"]
            {'variable': 'a'}
        """
        data: dict[str, Any] = json.loads(self.to_json())
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Pattern:
        """Reads what `to_dict` gave.

        Args:
            data: The dict.

        Raises:
            PatternError: It is no pattern (code ``malformed``), of a newer version (code ``wire-version``), or an
                impossible one.

        Example:
            >>> from cepheid import Pattern, event
            >>> Pattern.from_dict(event("a").to_dict()) == event("a")
            True
        """
        if not isinstance(data, Mapping):
            raise PatternError(f"not a serialised pattern: {type(data).__name__} is no dict", code="malformed")
        return Pattern.from_json(json_text(dict(data), "a pattern"))

    @staticmethod
    def from_json(text: str) -> Pattern:
        """Reads what `to_json` gave.

        Args:
            text: The JSON.

        Raises:
            TypeError: It is no string.
            PatternError: As for `from_dict`.

        Example:
            >>> from cepheid import Pattern, event
            >>> Pattern.from_json(event("a").to_json()).variables
            ('a',)
        """
        if not isinstance(text, str):
            raise TypeError(f"JSON is text, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise PatternError("not a serialised pattern: it holds a lone surrogate", code="malformed") from None
        return Pattern._from_native(NativePattern.from_json(text))

    def to_sql(self) -> str:
        """The pattern as an SQL ``MATCH_RECOGNIZE`` clause.

        Raises:
            PatternError: The pattern is impossible, or holds a Python function (code ``not-serialisable``).

        Example:
            >>> import cepheid as cep
            >>> sql = cep.pattern_from_sql("MATCH_RECOGNIZE (PATTERN (A B) DEFINE B AS x > 1)").to_sql()
            >>> cep.pattern_from_sql(sql).variables
            ('A', 'B')
        """
        return self._serialisable().to_sql()

    def explain(self, data: Any = None) -> str:
        """The plan in prose: the strategy and why, its complexity, its bound on state.

        Args:
            data: A table or an Arrow schema, to have the types of columns checked as well.

        Raises:
            PatternError: The pattern is impossible.
            SchemaError: The table does not fit it.

        Example:
            >>> from cepheid import event
            >>> print(event("a", "x > 1").explain())  # doctest: +SKIP
        """
        from cepheid.input import schema_of

        native, predicates = self._compiled()
        return native.explain(None if data is None else schema_of(data, predicates))

    def count(self, data: Any, *, event_time: str | None = None) -> int:
        """The number of matches in a table, none of them built.

        Args:
            data: As for `cepheid.match`.
            event_time: As for `cepheid.match`.

        Raises:
            CepheidError: As for `cepheid.match`.

        Example:
            >>> from cepheid import event
            >>> event("a", "x > 1").count({"x": [1, 2, 3]})
            2
        """
        from cepheid.input import table_of

        native, predicates = self._compiled(event_time)
        return native.count(table_of(data, predicates), event_time=event_time)

    def exists(self, data: Any, *, event_time: str | None = None) -> bool:
        """Whether a table has a match; the search stops at the first.

        Args:
            data: As for `cepheid.match`.
            event_time: As for `cepheid.match`.

        Raises:
            CepheidError: As for `cepheid.match`.

        Example:
            >>> from cepheid import event
            >>> event("a", "x > 5").exists({"x": [1, 2, 3]})
            False
        """
        from cepheid.input import table_of

        native, predicates = self._compiled(event_time)
        return native.exists(table_of(data, predicates), event_time=event_time)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pattern):
            return NotImplemented
        left, right = self._canonical(), other._canonical()
        if isinstance(left, str) or isinstance(right, str):
            return left == right
        return same_data(left, right)

    def __hash__(self) -> int:
        canonical = self._canonical()
        return hash(canonical if isinstance(canonical, str) else (self._variables, self.name))

    def __repr__(self) -> str:
        return self._code()

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._root, self._define, self._variables, self._depth, self._clauses)

    # Lowering.

    def _with(self, **clauses: Any) -> Pattern:
        return Pattern._of(self._root, self._define, self._variables, self._depth, {**self._clauses, **clauses})

    def _names(self) -> list[str]:
        return [*self._variables, *(subset["name"] for subset in self._clauses.get("subsets", ()))]

    def _known(self, name: Any, who: str, code: str) -> str:
        checked_name(name, "variable")
        names = self._names() if code == "unknown-skip-target" else list(self._variables)
        found = nodes.resolve_name(name, names)
        if found not in names:
            hint = next(iter(get_close_matches(name[:100], names, 1)), None)
            listed = ", ".join(f"`{known}`" for known in names[:12]) + (" and more" if len(names) > 12 else "")
            raise PatternError(
                f"{who} `{name[:100]}`, which is no variable of the pattern (it has {listed})",
                code=code,
                variable=name,
                known=names,
                hint=hint,
            )
        return found

    def _check_references(self, node: Node, context: str) -> None:
        for name in _references(node):
            try:
                self._known(name, f"{context} refers to", "unknown-variable")
            except PatternError as error:
                if name not in self._names():
                    error.context = context
                    raise

    def _lowered(self) -> dict[str, Any]:
        """The pattern as the engine reads it, predicates in Python still in place."""
        if (kept := self._kept.get("lowered")) is not None:
            return dict(kept)
        known = self._names()
        clauses = {key: value for key, value in self._clauses.items() if key != "define" and value is not None}
        lowered: dict[str, Any] = {
            "rows_per_match": "one",
            "after_match": _default_skip(clauses.get("selection", "first")),
            "empty_matches": "excluded",
            "output": "derived",
            **clauses,
            "root": _lowered_root(self._root),
        }
        define = {
            variable: nodes.resolve_names(condition, known) for variable, condition in self._define.items()
        }
        if lowered["empty_matches"] == "excluded":
            define = {variable: nodes.normal_condition(node, variable) for variable, node in define.items()}
        # In the order of the variables, however they were given.
        lowered["define"] = [
            {"variable": variable, "condition": define[variable]} for variable in self._variables if variable in define
        ]
        lowered["measures"] = [
            {"name": measure["name"], "value": nodes.resolve_names(measure["value"], known)}
            for measure in lowered.get("measures", ())
        ]
        self._kept["lowered"] = lowered
        return dict(lowered)

    def _compiled(self, event_time: str | None = None) -> tuple[NativePattern, tuple[UserPredicate, ...]]:
        """The pattern in the engine, and the predicates whose columns it expects to find."""
        if event_time is not None:
            if not isinstance(event_time, str):
                raise TypeError(f"event_time is the name of a column, not {type(event_time).__name__}")
            if not self._clauses.get("order_by"):
                key = ("ordered", event_time)
                ordered = self._kept.get(key)
                if ordered is None:
                    ordered = self._kept[key] = self.order_by(event_time)
                return ordered._compiled()  # type: ignore[no-any-return]
        if "native" not in self._kept:
            predicates: list[UserPredicate] = []
            lowered = self._lowered()
            for key, part in (("define", "condition"), ("measures", "value")):
                lowered[key] = [
                    {**entry, part: _without_predicates(entry[part], predicates)} for entry in lowered[key]
                ]
            native = NativePattern.from_json(json.dumps({"cepheid_ir": 1, "pattern": lowered}, allow_nan=False))
            self._kept["native"] = (native, tuple(predicates))
        compiled: tuple[NativePattern, tuple[UserPredicate, ...]] = self._kept["native"]
        return compiled

    def _serialisable(self) -> NativePattern:
        native, predicates = self._compiled()
        if predicates:
            raise not_serialisable()
        return native

    def _canonical(self) -> Any:
        """What patterns are compared by: the normal JSON, or, of a part that is no pattern yet, the data."""
        if "canonical" not in self._kept:
            try:
                self._kept["canonical"] = self._serialisable().to_json()
            except PatternError:
                self._kept["canonical"] = self._lowered()
        return self._kept["canonical"]

    @staticmethod
    def _from_native(native: NativePattern) -> Pattern:
        data = json.loads(native.to_json())["pattern"]
        root = data.pop("root")
        define = {entry["variable"]: entry["condition"] for entry in data.pop("define", ())}
        defaults = {
            "rows_per_match": "one",
            "after_match": _default_skip(data.get("selection", "first")),
            "empty_matches": "excluded",
            "output": "derived",
        }
        clauses = {key: value for key, value in data.items() if value != defaults.get(key, _UNSET)}
        variables, depth = _measured(root)
        pattern = Pattern._of(root, define, variables, depth, clauses)
        pattern._kept["native"] = (native, ())
        return pattern

    def _code(self) -> str:
        from cepheid.spelling import NotSpellable, root_code

        lowered = self._lowered()
        foreign = lowered.keys() & {"subsets", "initial"} or lowered["empty_matches"] != "excluded"
        try:
            if foreign or lowered["output"] != "derived":
                raise NotSpellable
            define = {entry["variable"]: entry["condition"] for entry in lowered["define"]}
            code, whole = root_code(lowered["root"], define)
        except NotSpellable:
            return self._foreign_code()
        clauses = "".join(_clause_code(key, value) for key, value in self._clauses.items())
        return code + clauses if whole or not clauses else f"({code}){clauses}"

    def _foreign_code(self) -> str:
        """A pattern with SQL's meaning: as SQL, if that says it all, else as data."""
        try:
            bare = self._with(name=None, emit=None)._serialisable()
            sql = bare.to_sql()
            if NativePattern.from_sql(sql).to_json() == bare.to_json():
                name = f".named({self._clauses['name']!r})" if self._clauses.get("name") else ""
                emit = f".emit({self._clauses['emit']!r})" if self._clauses.get("emit") else ""
                return f"cep.pattern_from_sql({sql!r}){name}{emit}"
            return f"cep.Pattern.from_dict({self.to_dict()!r})"
        except (PatternError, ValueError) as error:
            return f"<Pattern that cannot be spelled: {error}>"


def event(name: str, *conditions: Any) -> Pattern:
    """A row that satisfies conditions: the smallest pattern.

    Args:
        name: The event's name in the pattern: any string that is not empty.
        conditions: Expressions or SQL text; all must hold. Without any, every row will do.

    Raises:
        TypeError: The name is no string, or a condition is neither expression nor text.
        PatternError: The name is empty (code ``empty-name``).
        SqlError: A text is no SQL expression.

    Example:
        >>> from cepheid import col, event
        >>> event("big", col.amount > 1000, "status = 'ok'")
        event('big', col.amount > 1000, col.status == 'ok')
    """
    variable = checked_name(name, "variable")
    define = {variable: _conditions(conditions, f"the condition of `{variable}`")} if conditions else {}
    return Pattern._of({"variable": variable}, define, (variable,), 1)


def seq(*parts: Pattern, contiguity: Contiguity = "skip_till_next") -> Pattern:
    """Patterns one after the other.

    Args:
        parts: Patterns, at least one.
        contiguity: May rows lie between? ``"strict"``: no. ``"skip_till_next"``: rows that do not fit the next part.
            ``"skip_till_any"``: any rows. Loops inside take it too, unless they say otherwise.

    Raises:
        TypeError: A part is no pattern.
        PatternError: Two parts share a variable (code ``duplicate-variable``), there is no part (code
            ``too-few-parts``), or a part has clauses of a whole pattern.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import event
        >>> cep.seq(event("a"), event("b").one_or_more(), contiguity="strict")
        cep.seq(event('a'), event('b').one_or_more(), contiguity='strict')
    """
    relation = _contiguity(contiguity)
    assert relation is not None
    for part in parts:
        _part(part)
    settled = [
        Pattern._of(_settled(part._root, relation), part._define, part._variables, part._depth, part._clauses)
        for part in parts
    ]
    return _sequence(settled, ["strict", *[relation] * (len(parts) - 1)])


def all_of(*parts: Pattern, contiguity: Contiguity | None = None) -> Pattern:
    """Patterns that must all be there, in any order; the order in which they are written is preferred.

    Args:
        parts: Patterns, at least one and at most six.
        contiguity: May rows lie between one part and the next? As for `seq`. By default what a `seq` around it says,
            else ``"skip_till_next"``.

    Raises:
        TypeError: A part is no pattern.
        PatternError: Two parts share a variable (code ``duplicate-variable``), there is no part (code
            ``too-few-parts``) or more than six (code ``limit-exceeded``), or a part has clauses of a whole pattern.

    Example:
        >>> import cepheid as cep
        >>> from cepheid import event
        >>> cep.all_of(event("paid"), event("packed"), contiguity="strict")
        cep.all_of(event('paid'), event('packed'), contiguity='strict')
    """
    relation = _contiguity(contiguity)
    define, variables, depth = _joined(parts)
    if not parts:
        raise PatternError("all_of() needs at least one part", code="too-few-parts")
    if len(parts) == 1:
        return parts[0]
    if len(parts) > PERMUTE_PARTS_MAX:
        raise PatternError(
            f"all_of() takes at most {PERMUTE_PARTS_MAX} parts, not {len(parts)}: their orders number the factorial",
            code="limit-exceeded",
            limit=PERMUTE_PARTS_MAX,
        )
    root = {"permute": {"parts": [part._root for part in parts], "contiguity": relation}}
    return Pattern._of(root, define, variables, depth + 1)


def _sequence(parts: list[Pattern], relations: list[str]) -> Pattern:
    define, variables, _ = _joined(parts)
    if not parts:
        raise PatternError("seq() needs at least one part", code="too-few-parts")
    if len(parts) == 1:
        return parts[0]
    steps: list[Any] = []
    depth = 0
    for part, relation in zip(parts, relations, strict=True):
        nested = _tag(part._root) == "sequence"
        inner = part._root["sequence"] if nested else [{"node": part._root}]
        depth = max(depth, part._depth - nested)
        steps.append(_step(inner[0]["node"], relation if steps else "strict"))
        steps.extend(inner[1:])
    return Pattern._of({"sequence": steps}, define, variables, depth + 1)


def _step(node: Any, relation: str) -> dict[str, Any]:
    return {"node": node} if relation == "strict" else {"contiguity": relation, "node": node}


def _quantified(part: Any, low: Any, high: Any, contiguity: Any, greedy: Any) -> Pattern:
    _part(part)
    least = _count(low, "a count")
    most = None if high is None else _count(high, "a count")
    relation = "strict" if most == 1 else _contiguity(contiguity)
    if not isinstance(greedy, bool):
        raise TypeError(f"greedy is True or False, not {type(greedy).__name__}")
    if most is not None and (most < 1 or most < least):
        raise PatternError(
            f"a part cannot repeat {least} to {most} times; the upper count must be at least 1 and not below the lower",
            code="invalid-quantifier",
        )
    if least == most == 1:
        return part  # type: ignore[no-any-return]
    quantifier = {"min": least, "max": most, "greedy": greedy, "contiguity": relation}
    root = {"quantified": {"node": part._root, "quantifier": quantifier}}
    return Pattern._of(root, part._define, part._variables, part._depth + 1)


def _part(part: Any) -> None:
    """Checks that something can be a part of a larger pattern."""
    if not isinstance(part, Pattern):
        raise TypeError(f"a part of a pattern is a pattern, not {type(part).__name__}; write event(name, condition)")
    for key in part._clauses:
        if key == "within":
            raise PatternError(
                "within() on a part cannot be matched by this version; call it on the whole pattern",
                code="unsupported",
                hint="call within() on the whole pattern",
            )
        if key in ("empty_matches", "output", "subsets", "initial"):
            raise PatternError(
                "a pattern with SQL's meaning cannot be a part of another; write the whole in SQL",
                code="clause-on-part",
            )
        method = _CLAUSE_METHODS.get(key, key)
        raise PatternError(
            f"{method}() is a clause of the whole pattern; call it on the outermost one, after the parts are joined",
            code="clause-on-part",
            context=method,
        )


def _joined(parts: Any) -> tuple[dict[str, Node], tuple[str, ...], int]:
    """The conditions, variables and greatest depth of parts that share no variable."""
    define: dict[str, Node] = {}
    variables: dict[str, None] = {}
    depth = 0
    for part in parts:
        _part(part)
        depth = max(depth, part._depth)
        for name in part._variables:
            if name in variables:
                raise PatternError(
                    f"two events are named `{name}`; give each event of a pattern a name of its own",
                    code="duplicate-variable",
                    variable=name,
                )
            variables[name] = None
        define.update(part._define)
    if len(variables) > VARIABLES_MAX:
        raise PatternError(
            f"the pattern has {len(variables)} variables; the limit is {VARIABLES_MAX}",
            code="limit-exceeded",
            limit=VARIABLES_MAX,
        )
    return define, tuple(variables), depth


def _settled(root: Any, contiguity: str) -> Any:
    """The row pattern with every relation that nobody has spoken about set."""
    ((tag, body),) = root.items()
    match tag:
        case "sequence":
            return {tag: [{**step, "node": _settled(step["node"], contiguity)} for step in body]}
        case "alternation":
            return {tag: [_settled(part, contiguity) for part in body]}
        case "permute":
            parts = [_settled(part, contiguity) for part in body["parts"]]
            return {tag: {"parts": parts, "contiguity": body["contiguity"] or contiguity}}
        case "quantified":
            quantifier = body["quantifier"]
            relation = quantifier.get("contiguity", "strict") or contiguity
            return {tag: {"node": _settled(body["node"], contiguity), "quantifier": {**quantifier, "contiguity": relation}}}
    return root


def _lowered_root(root: Any) -> Any:
    if not isinstance(root, dict):
        return root
    ((tag, body),) = root.items()
    match tag:
        case "sequence":
            return {tag: [{**step, "node": _lowered_root(step["node"])} for step in body]}
        case "alternation":
            return {tag: [_lowered_root(part) for part in body]}
        case "permute":
            parts = [_lowered_root(part) for part in body["parts"]]
            return {tag: {"parts": parts, "contiguity": body["contiguity"] or "skip_till_next"}}
        case "exclusion":
            return {tag: _lowered_root(body)}
        case "quantified":
            quantifier = dict(body["quantifier"])
            relation = quantifier.pop("contiguity", "strict") or "skip_till_next"
            if relation != "strict":
                quantifier["contiguity"] = relation
            return {tag: {"node": _lowered_root(body["node"]), "quantifier": quantifier}}
    return root


def _measured(root: Any) -> tuple[tuple[str, ...], int]:
    """The variables, each once, and the depth of a row pattern read from data."""
    names: dict[str, None] = {}
    deepest = 0

    def visit(node: Any, depth: int) -> None:
        nonlocal deepest
        deepest = max(deepest, depth)
        if not isinstance(node, dict):
            return
        ((tag, body),) = node.items()
        if tag == "variable":
            names[body] = None
        for part in _root_parts(tag, body):
            visit(part, depth + 1)

    visit(root, 1)
    return tuple(names), deepest


def _root_parts(tag: str, body: Any) -> Iterator[Any]:
    match tag:
        case "sequence":
            yield from (step["node"] for step in body)
        case "alternation":
            yield from body
        case "permute":
            yield from body["parts"]
        case "quantified":
            yield body["node"]
        case "exclusion":
            yield body


def _tag(root: Any) -> str:
    return root if isinstance(root, str) else next(iter(root))


def _default_skip(selection: str) -> str:
    return "none" if selection == "all" else "past_last_row"


def _conditions(conditions: tuple[Any, ...], context: str) -> Node:
    return nodes.conjunction([_condition(condition, context) for condition in conditions])


def _condition(condition: Any, context: str) -> Node:
    if isinstance(condition, str):
        return parsed(condition, "algebra_condition")
    if isinstance(condition, (Expr, bool)):
        return operand(condition)._node
    raise TypeError(f"{context} is an expression or SQL text, not {type(condition).__name__}")


def _measure(value: Any, context: str) -> Node:
    if isinstance(value, str):
        return nodes.measure_form(parsed(value, "algebra_measure"), from_text=True)
    if callable(value) and not isinstance(value, Expr):
        raise TypeError(f"{context} is an expression or SQL text, not {type(value).__name__}")
    return nodes.measure_form(operand(value)._node)


def _references(node: Node) -> Iterator[str]:
    for part in nodes.walk(node):
        tag = nodes.tag_of(part)
        if tag in nodes.POINTER_TAGS:
            name = nodes.pointer_of(part).get("variable")
        else:
            name = part["aggregate"].get("variable") if tag == "aggregate" else None
        if name is not None:
            yield name


def _without_predicates(node: Node, predicates: list[UserPredicate]) -> Node:
    """The node with a column in place of every Python predicate, which is added to the list."""

    def column(part: Node) -> Node:
        if nodes.tag_of(part) != "udf":
            return part
        predicate = part["udf"]["predicate"]
        if predicate not in predicates:
            predicates.append(predicate)
        name = predicate_column(predicates.index(predicate))
        return nodes.with_pointer({"column": {"name": name, "quoted": True}}, nodes.pointer_of(part))

    return nodes.rewrite(node, column)


def predicate_column(position: int) -> str:
    """The name of the column that holds what a Python predicate gave."""
    return f"__cepheid_udf_{position}"


def _entries(mapping: Any, keywords: dict[str, Any], method: str) -> list[tuple[Any, Any]]:
    if mapping is None:
        return list(keywords.items())
    if not isinstance(mapping, Mapping):
        raise TypeError(f"{method}() takes a mapping or keywords, not {type(mapping).__name__}")
    return [*mapping.items(), *keywords.items()]


def _column_name(column: Any) -> dict[str, Any]:
    if isinstance(column, Expr):
        node = column._node
        if nodes.tag_of(node) != "column" or nodes.pointer_of(node):
            raise PatternError(f"{column!r} is no column of the table", code="invalid-expression")
        return {key: value for key, value in node["column"].items() if key != "at"}
    return {"name": checked_name(column, "column")}


def _flags(value: Any, count: int, what: str) -> list[bool]:
    if isinstance(value, bool):
        return [value] * count
    if not isinstance(value, (list, tuple)) or not all(isinstance(flag, bool) for flag in value):
        raise TypeError(f"{what} is True, False, or a list of them")
    if len(value) != count:
        raise PatternError(f"{what} has {len(value)} flags for {count} columns", code="invalid-clause")
    return list(value)


def _count(value: Any, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is an integer, not {type(value).__name__}")
    number = int(value.__index__())
    if number < 0:
        raise PatternError(f"{what} cannot be negative", code="invalid-quantifier")
    if what != "rows" and number > REPEAT_MAX:
        raise PatternError(f"{what} is at most {REPEAT_MAX}", code="limit-exceeded", limit=REPEAT_MAX)
    if number >= 2**63:
        raise PatternError(f"{what} is too great", code="limit-exceeded", limit=2**63 - 1)
    return number


def _contiguity(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in _CONTIGUITIES):
        return value
    if not isinstance(value, str):
        raise TypeError(f"contiguity is a string, not {type(value).__name__}")
    raise _invalid_choice("contiguity", value, list(_CONTIGUITIES))


def _invalid_choice(what: str, value: Any, choices: list[Any]) -> PatternError:
    listed = ", ".join(repr(choice) for choice in choices)
    names = [choice for choice in choices if isinstance(choice, str)]
    hint = next(iter(get_close_matches(str(value)[:100], names, 1)), None)
    return PatternError(
        f"{what} takes {listed}; not {str(value)[:100]!r}", code="invalid-clause", known=names, hint=hint
    )


def _clause_code(key: str, value: Any) -> str:
    from cepheid.spelling import expr_code

    match key:
        case "within":
            if value is None:
                return ".within(None)"
            if "rows" in value:
                return f".within(rows={value['rows']})"
            return f".within({duration_text(value['time']['nanoseconds'])!r})"
        case "partition_by":
            return f".partition_by({', '.join(map(_name_code, value))})"
        case "order_by":
            return f".order_by({', '.join([*(_name_code(key['column']) for key in value), *_flag_code(value)])})"
        case "measures":
            plain = [m for m in value if m["name"].isascii() and m["name"].isidentifier() and not _is_keyword(m["name"])]
            codes = {m["name"]: expr_code(nodes.condition_form(m["value"])) for m in value}
            if len(plain) == len(value) and "self" not in codes:
                return f".select({', '.join(f'{name}={code}' for name, code in codes.items())})"
            return f".select({{{', '.join(f'{name!r}: {code}' for name, code in codes.items())}}})"
        case "after_match":
            if isinstance(value, str):
                return f".after_match({value!r})"
            target = value["to_variable"]
            strict = ", strict=True" if target.get("strict") else ""
            return f".after_match(({'to_' + target['row']!r}, {target['variable']!r}){strict})"
        case "rows_per_match":
            name = next(name for name, lowered in _ROWS_PER_MATCH.items() if lowered == value)
            return f".rows_per_match({name!r})"
        case "selection":
            return f".matches({value!r})"
        case "name" | "emit":
            return f".{_CLAUSE_METHODS.get(key, key)}({value!r})" if value is not None else ""
    return ""


def _is_keyword(name: str) -> bool:
    import keyword

    return keyword.iskeyword(name)


def _name_code(column: dict[str, Any]) -> str:
    return f"col({column['name']!r}, exact=True)" if column.get("quoted") else repr(column["name"])


def _flag_code(keys: list[dict[str, Any]]) -> Iterator[str]:
    for flag in ("descending", "nulls_first"):
        values = [key.get(flag, False) for key in keys]
        if any(values):
            yield f"{flag}={True if all(values) else values}"


def _unpickle(root: Any, define: Any, variables: Any, depth: int, clauses: Any) -> Pattern:
    return Pattern._of(root, define, variables, depth, clauses)
