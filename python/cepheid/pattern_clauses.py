"""Clauses of the whole pattern: which rows it sees, which matches count, and what is reported of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal, Self

from cepheid import nodes
from cepheid.building import checked_name, span_ns
from cepheid.clauses import (
    AFTER_MATCH,
    ROWS_PER_MATCH,
    RowsPerMatch,
    checked_flags,
    chosen_measures,
    column_name,
    conditions_node,
    entries,
    finished_condition_node,
    measure_node,
)
from cepheid.errors import PatternError
from cepheid.expr import Expr
from cepheid.names import invalid_choice
from cepheid.pattern_data import PatternData


class PatternClauses(PatternData):
    """The methods of a pattern that speak of the whole; a part of a larger pattern can have none of them said."""

    __slots__ = ()

    def partition_by(self, *columns: str | Expr) -> Self:
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
    ) -> Self:
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

    def define(self, mapping: Mapping[str, Any] | None = None, /, **conditions: Any) -> Self:
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
        define = dict(self._body.define)
        for name, condition in entries(mapping, conditions, "define"):
            variable = self._known(name, "DEFINE names", "undefined-variable", list(self.variables))
            if variable in define:
                raise PatternError(
                    f"variable `{variable}` is defined twice; join the conditions with &",
                    code="duplicate-definition",
                    variable=variable,
                )
            define[variable] = conditions_node((condition,), f"the condition of `{variable}`")
        return self._of(self._body._replace(define=define), {**self._clauses, "define": True})

    def select(self, *measures: Expr | Mapping[str, Any], **named: Any) -> Self:
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
        selected = list(self._clauses.get("measures", ()))
        return self._with(measures=self._measures(selected, "select", measures, named))

    def _measures(
        self, selected: list[dict[str, Any]], method: str, measures: tuple[Any, ...], named: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The measures with more of them, each with a name of its own and of variables that there are."""
        selected = list(selected)
        taken = {measure["name"] for measure in selected}
        for name, value in chosen_measures(method, measures, named):
            checked_name(name, "measure")
            context = f"measure `{name}`"
            if name in taken:
                raise PatternError(
                    f"two measures are named `{name}`; rename one", code="duplicate-measure", context=context
                )
            taken.add(name)
            node = measure_node(value, context)
            self._check_references(node, context)
            selected.append({"name": name, "value": node})
        return selected

    def having(self, condition: Any) -> Self:
        """Keeps a match only if a condition holds for it; said again, all must hold.

        It is asked of a finished match, before `after_match`: one that fails is no match and forgets nothing.

        Args:
            condition: An expression or SQL text, which sees the match as a measure does: ``ref("a").price.sum()``
                covers the whole match, a bare column is that of its last row.

        Raises:
            TypeError: It is neither.
            PatternError: A variable is unknown (code ``unknown-variable``).
            SqlError: A text is no SQL expression.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import event
            >>> (event("a").one_or_more() >> event("b")).having(cep.ref("a").count() > 2).having("SUM(a.x) < b.x")
            (event('a').one_or_more() >> event('b')).having((cep.ref('a').count() > 2) & (cep.ref('a').x.sum() <
            cep.ref('b').x))
        """
        node = finished_condition_node(condition, "the condition of having()")
        self._check_references(node, "having()")
        before = [self._clauses["having"]] if "having" in self._clauses else []
        return self._with(having=nodes.conjunction([*before, node]))

    def after_match(self, skip: str | tuple[str, str], *, strict: bool = False) -> Self:
        """Says where the search goes on after a match.

        Args:
            skip: ``"past_last_row"`` (the default), ``"to_next_row"``, ``("to_first", variable)``, ``("to_last",
                variable)``, ``"none"`` or ``"consume"``.
            strict: With a variable: a match in which it has no row, or is the first row, is a `MatchError`. By default
                the search then goes on at the next row.

        Raises:
            TypeError: `skip` is neither a string nor a pair.
            PatternError: It is none of these (code ``invalid-clause``), or the variable is unknown (code
                ``unknown-skip-target``): an absent event, which has no rows, is none to skip to.

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
        names = [name for name in self._names() if name not in self._body.absent]
        body: dict[str, Any] = {
            "variable": self._known(target, "AFTER MATCH SKIP names", "unknown-skip-target", names),
            "row": where.removeprefix("to_"),
        }
        if strict:
            body["strict"] = True
        return self._with(after_match={"to_variable": body})

    def rows_per_match(self, rows: RowsPerMatch) -> Self:
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

    def matches(self, selection: Literal["first", "all"]) -> Self:
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

    def timeouts(self, report: bool = True) -> Self:
        """Also reports the partial matches that the time bound of the whole pattern ends, with the rows they have.

        Args:
            report: Whether to. Their topic is that of the pattern's derived events with ``.timeout`` after it.

        Raises:
            TypeError: It is neither True nor False.

        Example:
            >>> from cepheid import event
            >>> (event("a") >> event("b")).within("10m").timeouts(True)
            (event('a') >> event('b')).within('10m').timeouts(True)
        """
        if not isinstance(report, bool):
            raise TypeError(f"timeouts() takes True or False, not {type(report).__name__}")
        return self._with(timeouts=report or None)

    def aggregate(
        self, *values: Expr | Mapping[str, Any], every: str | dt.timedelta | None = None, **named: Any
    ) -> Self:
        """Reports values over all matches together, none of which is built; adds to what has been asked for before.

        All matches are meant: `matches` need not say so. The result has one row a partition, or one a partition and
        window in which a match ends. A whole number, which can have any size, comes as a decimal of up to 38 digits,
        NULL beyond, and beside it as a float in a column by its name and ``_approx``; ``exact`` says whether all of
        a row are given exactly.

        Args:
            values: Mappings from name to value, or expressions with an `alias`.
            every: The length of the windows, by the time of a match's last row, aligned to the epoch: text such as
                ``"10m"`` or a timedelta. Columns ``window_start`` and ``window_end`` tell them.
            named: Values by name, each an aggregate or its SQL text. ``cep.count()`` is the number of matches,
                ``ref("b").count()`` that of the rows of ``b`` in all of them, ``ref("b").amount.sum()`` the sum over
                these rows; ``avg``, ``min`` and ``max`` likewise.

        Raises:
            TypeError: A value is none of these, or `every` is no span.
            PatternError: Two have one name (code ``duplicate-measure``), a variable is unknown (code
                ``unknown-variable``), or `every` is not longer than zero (code ``invalid-within``).
            SqlError: A text is no SQL expression.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import event
            >>> ups = event("a", "x = 1").then_any(event("b", "x = 2").one_or_more(contiguity="skip_till_any"))
            >>> counted = ups.aggregate(n=cep.count(), most=cep.ref("b").v.max())
            >>> rows = cep.match(counted, {"x": [1, 2, 2, 2], "v": [0, 5, 7, 6]}).to_arrow().to_pylist()
            >>> int(rows[0]["n"]), rows[0]["most"], rows[0]["exact"]
            (7, 7, True)
        """
        known: dict[str, Any] = self._clauses.get("trend") or {}
        chosen = self._measures(list(known.get("values", ())), "aggregate", values, named)
        changed: dict[str, Any] = {**known, "values": chosen}
        if every is not None:
            changed["every_ns"] = span_ns(every, "every")
        return self._with(trend=changed)

    def emit_at(self, variable: str, topic: str, /, *measures: Expr | Mapping[str, Any], **named: Any) -> Self:
        """Also derives an event whenever a row is accepted for a variable, while the match is still growing.

        It does not wait for the match to be completed, and nothing takes it back. Said again, it adds another.

        Args:
            variable: An event of the pattern, no absent one.
            topic: The type of the events derived.
            measures: What they report, as for `select`, of the rows accepted so far, the new one included.
            named: Measures by name.

        Raises:
            TypeError: A name is no string, or a measure is none of those that `select` takes.
            PatternError: The variable is unknown (code ``unknown-variable``), a name is empty (code ``empty-name``),
                or as for `select`.
            SqlError: A text is no SQL expression.

        Example:
            >>> import cepheid as cep
            >>> from cepheid import col, event
            >>> hot = event("hot", col.heat > 90).times(3) >> event("cool", col.heat < 80)
            >>> hot.emit_at("cool", "cleared", peak=cep.ref("hot").heat.max())
            (event('hot', col.heat > 90).times(3) >> event('cool', col.heat < 80)).emit_at('cool', 'cleared',
            peak=cep.ref('hot').heat.max())
        """
        names = [name for name in self.variables if name not in self._body.absent]
        entry: dict[str, Any] = {
            "variable": self._known(variable, "emit_at() names", "unknown-variable", names),
            "topic": checked_name(topic, "topic"),
        }
        if chosen := self._measures([], "emit_at", measures, named):
            entry["measures"] = chosen
        return self._with(emit_at=[*self._clauses.get("emit_at", ()), entry])
