"""The pattern algebra: which rows, in which order, and what to report of them.

A pattern is a value: every method gives a new one. It is plain data underneath, the same that SQL text is read into,
and crosses into the engine once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

from cepheid.building import checked_name
from cepheid.clauses import (
    AFTER_MATCH,
    ROWS_PER_MATCH,
    UNSET,
    RowsPerMatch,
    checked_flags,
    column_name,
    conditions_node,
    entries,
    invalid_choice,
    measure_node,
)
from cepheid.composition import alternation, checked_part, joined, quantified, sequence
from cepheid.errors import PatternError
from cepheid.expr import Expr
from cepheid.literal import duration_ns
from cepheid.pattern_data import PatternData
from cepheid.row_pattern import (
    PERMUTE_PARTS_MAX,
    Contiguity,
    checked_contiguity,
    checked_count,
    settled,
)

__all__ = ["Pattern", "all_of", "event", "seq"]


class Pattern(PatternData):
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

    __slots__ = ()

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
        return sequence([self, following], ["strict", "skip_till_next"])

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
        return sequence([self, following], ["strict", "strict"])

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
        return sequence([self, following], ["strict", "skip_till_any"])

    def __or__(self, other: Pattern) -> Pattern:
        if not isinstance(other, Pattern):
            return NotImplemented
        return alternation([self, other])

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
        return quantified(self, low, low if high is None else high, contiguity, greedy)

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
        return quantified(self, low, None, contiguity, greedy)

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
        return quantified(self, 1, None, contiguity, greedy)

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
        return quantified(self, 0, None, contiguity, greedy)

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
        return quantified(self, 0, 1, "strict", greedy)

    # Clauses of the whole pattern.

    def within(self, span: str | dt.timedelta | None = UNSET, *, rows: int | None = None) -> Pattern:
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
        if (span is UNSET) == (rows is None):
            raise TypeError("within() takes a span of time, rows=..., or None for no bound")
        if rows is not None:
            count = checked_count(rows, "rows")
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
        return self._with(partition_by=[column_name(column) for column in columns])

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
        names = [column_name(column) for column in columns]
        down = checked_flags(descending, len(names), "descending")
        first = checked_flags(nulls_first, len(names), "nulls_first")
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
        for name, condition in entries(mapping, conditions, "define"):
            variable = self._known(name, "DEFINE names", "undefined-variable")
            if variable in define:
                raise PatternError(
                    f"variable `{variable}` is defined twice; join the conditions with &",
                    code="duplicate-definition",
                    variable=variable,
                )
            define[variable] = conditions_node((condition,), f"the condition of `{variable}`")
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
                        f'the measure {measure!r} has no name; write select(name=...) or .alias("name")',
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
                    f"two measures are named `{name}`; rename one",
                    code="duplicate-measure",
                    context=f"measure `{name}`",
                )
            taken.add(name)
            node = measure_node(value, f"measure `{name}`")
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
            if skip not in AFTER_MATCH:
                raise invalid_choice("after_match()", skip, [*AFTER_MATCH, ("to_first", "x"), ("to_last", "x")])
            if strict:
                raise PatternError(
                    'strict=True needs a variable to skip to: after_match(("to_first", variable), strict=True)',
                    code="invalid-clause",
                )
            return self._with(after_match=skip)
        if not isinstance(skip, (tuple, list)) or len(skip) != 2:
            raise TypeError(f'after_match() takes a string or a pair such as ("to_first", "x"), not {skip!r}')
        where, target = skip
        if not isinstance(where, str) or where not in ("to_first", "to_last"):
            raise invalid_choice("after_match()", where, ["to_first", "to_last"])
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
        if rows not in ROWS_PER_MATCH:
            raise invalid_choice("rows_per_match()", rows, list(ROWS_PER_MATCH))
        return self._with(rows_per_match=ROWS_PER_MATCH[rows])

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
            raise invalid_choice("matches()", selection, ["first", "all"])
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
    define = {variable: conditions_node(conditions, f"the condition of `{variable}`")} if conditions else {}
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
    relation = checked_contiguity(contiguity)
    assert relation is not None
    for part in parts:
        checked_part(part)
    parts_settled = [
        Pattern._of(settled(part._root, relation), part._define, part._variables, part._depth, part._clauses)
        for part in parts
    ]
    return sequence(parts_settled, ["strict", *[relation] * (len(parts) - 1)])


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
    relation = checked_contiguity(contiguity)
    define, variables, depth = joined(parts)
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
