"""The pattern algebra: events, how they follow each other, and what bounds them.

A pattern is a value: every method gives a new one. It is plain data underneath, the same that SQL text is read into,
and crosses into the engine once.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from cepheid import absence
from cepheid.bounds import BETWEEN, Between, check_gaps, checked_bound, with_bound
from cepheid.building import checked_name
from cepheid.clauses import UNSET, conditions_node
from cepheid.composition import absent_event, alternation, permutation, quantified, sequence, settled_parts
from cepheid.names import invalid_choice
from cepheid.pattern_clauses import PatternClauses
from cepheid.row_pattern import Body, Contiguity, checked_contiguity

__all__ = ["Pattern", "absent", "all_of", "event", "seq"]


class Pattern(PatternClauses):
    """A pattern: events, how they follow each other, and what to report.

    Begin with `event`, `seq`, `all_of` or `absent`. The methods here make larger patterns of smaller ones and bound
    them; those that it inherits, such as `partition_by` and `select`, are clauses of the whole pattern: one that has
    any cannot be a part of another.

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
            PatternError: The two share a variable (code ``duplicate-variable``), one has clauses of a whole pattern
                (code ``clause-on-part``), or an absent event with `for_` comes to stand between rows (code
                ``invalid-absence``).

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
            PatternError: As for `then`, or `following` begins with an absent event (code ``invalid-absence``): where
                any row may lie between, none can be forbidden.

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
        self,
        low: int,
        high: int | None = None,
        *,
        contiguity: Contiguity | None = None,
        greedy: bool | None = None,
        until: Any = None,
    ) -> Pattern:
        """Repeated: ``times(3)`` exactly three times, ``times(2, 4)`` two to four times.

        Args:
            low: The fewest repetitions, from 0.
            high: The most, at least 1; as many as `low` by default.
            contiguity: May rows lie between repetitions? ``"strict"``, ``"skip_till_next"`` or ``"skip_till_any"``. By
                default what a `seq` around it says, else ``"skip_till_next"``.
            greedy: Where one match is preferred: prefer more repetitions to fewer, the default, or fewer to more.
                Where all are wanted: True: a match that has left the loop passes over no row that the loop would
                take; else every number of repetitions is a match of its own.
            until: A condition, as an expression or SQL text, that ends the loop once it has begun: a row for which it
                holds is none of the loop's. A group it ends in any run that is inside it or waits for its first row.
                It looks back as the conditions of events do.

        Raises:
            TypeError: A count is no integer, or `until` is no condition.
            PatternError: A count is impossible (code ``invalid-quantifier``), what is repeated is absent (code
                ``invalid-absence``), or the pattern has clauses of a whole pattern (code ``clause-on-part``).
            SqlError: `until` is no SQL expression.

        Example:
            >>> from cepheid import event
            >>> event("a").times(2, 4)
            event('a').times(2, 4)
            >>> event("a", "x > 1").times(1, 9, until="x > a.x * 2")
            event('a', col.x > 1).times(1, 9, until=col.x > cep.ref('a').x * 2)
        """
        return quantified(self, low, low if high is None else high, contiguity, greedy, until)

    def at_least(
        self,
        low: int,
        *,
        contiguity: Contiguity | None = None,
        greedy: bool | None = None,
        until: Any = None,
    ) -> Pattern:
        """Repeated so many times or more.

        Args:
            low: The fewest repetitions, from 0.
            contiguity: As for `times`.
            greedy: As for `times`.
            until: As for `times`.

        Raises:
            TypeError: The count is no integer, or `until` is no condition.
            PatternError: As for `times`.
            SqlError: As for `times`.

        Example:
            >>> from cepheid import event
            >>> event("a").at_least(3, greedy=False)
            event('a').at_least(3, greedy=False)
        """
        return quantified(self, low, None, contiguity, greedy, until)

    def one_or_more(
        self, *, contiguity: Contiguity | None = None, greedy: bool | None = None, until: Any = None
    ) -> Pattern:
        """Repeated once or more.

        Args:
            contiguity: As for `times`.
            greedy: As for `times`.
            until: As for `times`.

        Raises:
            TypeError: `until` is no condition.
            PatternError: As for `times`.
            SqlError: As for `times`.

        Example:
            >>> from cepheid import col, event
            >>> event("a").one_or_more(contiguity="strict", until=col.x == 0)
            event('a').one_or_more(contiguity='strict', until=col.x == 0)
        """
        return quantified(self, 1, None, contiguity, greedy, until)

    def zero_or_more(
        self, *, contiguity: Contiguity | None = None, greedy: bool | None = None, until: Any = None
    ) -> Pattern:
        """Repeated any number of times, or not there at all.

        Args:
            contiguity: As for `times`.
            greedy: As for `times`.
            until: As for `times`.

        Raises:
            TypeError: `until` is no condition.
            PatternError: As for `times`.
            SqlError: As for `times`.

        Example:
            >>> from cepheid import event
            >>> event("a").zero_or_more()
            event('a').zero_or_more()
        """
        return quantified(self, 0, None, contiguity, greedy, until)

    def optional(self, *, greedy: bool | None = None) -> Pattern:
        """There once, or not at all; of a loop, as often as it says or not at all.

        Args:
            greedy: As for `times`.

        Raises:
            PatternError: What is optional is absent (code ``invalid-absence``), or the pattern has clauses of a whole
                pattern (code ``clause-on-part``).

        Example:
            >>> from cepheid import event
            >>> event("a") >> event("b").optional() >> event("c").times(2, 3).optional()
            event('a') >> event('b').optional() >> event('c').times(2, 3).optional()
        """
        return quantified(self, 0, 1, "strict", greedy)

    def within(
        self,
        span: str | dt.timedelta | None = UNSET,
        *,
        rows: int | None = None,
        between: Between = "first_to_last",
    ) -> Pattern:
        """Bounds how far apart rows are: of the whole match, or of the part that it is called on.

        Bounds of different kinds (time or rows; first to last or neighbours) hold together; one of the same kind
        takes the place of the one before.

        Args:
            span: The time that the distance is shorter than: text such as ``"10m"`` or a timedelta. None: no bound; a
                pattern that may wait for ever says so when it is matched in a stream.
            rows: Instead, how many rows on the last may be.
            between: ``"first_to_last"``: the first row and the last. ``"neighbours"``: each row and the one before
                it; of a single event: its row and the one accepted before it.

        Raises:
            TypeError: Neither or both are given, or one is of the wrong type.
            PatternError: The span is not longer than zero (code ``invalid-within``), a gap between neighbours is
                longer than the window around it (code ``gap-exceeds-window``), or what is bounded is absent (code
                ``invalid-absence``).

        Example:
            >>> from cepheid import event
            >>> (event("a") >> event("b")).within("1h30m")
            (event('a') >> event('b')).within('1h30m')
            >>> event("a") >> event("b").one_or_more().within("5s", between="neighbours")
            event('a') >> event('b').one_or_more().within('5s', between='neighbours')
        """
        if (span is UNSET) == (rows is None):
            raise TypeError("within() takes a span of time, rows=..., or None for no bound")
        if not isinstance(between, str):
            raise TypeError(f"between is a string, not {type(between).__name__}")
        if between not in BETWEEN:
            raise invalid_choice("between", between, list(BETWEEN))
        kind, bound = checked_bound(span, rows, between)
        if self._body.absent:
            absence.check_bounded(self._body.root)
        bounds = with_bound(self._clauses.get("within", {}), kind, bound)
        check_gaps(self._body.root, bounds)
        return self._with(within=bounds or None)


def event(name: str, *conditions: Any, topic: str | None = None) -> Pattern:
    """A row that satisfies conditions: the smallest pattern.

    Args:
        name: The event's name in the pattern: any string that is not empty.
        conditions: Expressions or SQL text; all must hold. Without any, every row will do.
        topic: The topic that the row is of, where a pattern is matched against several. By default any.

    Raises:
        TypeError: A name is no string, or a condition is neither expression nor text.
        PatternError: A name is empty (code ``empty-name``).
        SqlError: A text is no SQL expression.

    Example:
        >>> from cepheid import col, event
        >>> event("big", col.amount > 1000, "status = 'ok'")
        event('big', col.amount > 1000, col.status == 'ok')
        >>> event("login", topic="auth") >> event("transfer", "amount > 1000", topic="bank")
        event('login', topic='auth') >> event('transfer', col.amount > 1000, topic='bank')
    """
    variable = checked_name(name, "variable")
    define = {variable: conditions_node(conditions, f"the condition of `{variable}`")} if conditions else {}
    topics = {} if topic is None else {variable: checked_name(topic, "topic")}
    return Pattern._of(Body({"variable": variable}, (variable,), frozenset(), define, topics, 1))


def absent(event: Pattern, for_: str | dt.timedelta | None = None) -> Pattern:
    """No such event here: a step of a sequence that takes no row.

    What it forbids follows from the relation written before it. After `then`: no row that satisfies the event comes
    before the next row of the match. After `next`: the very next row does not satisfy it. The relation written after it
    is that of the next step. As the first step it speaks of the rows of the partition before the match. As the last
    step after `then` it needs `for_`, or a bound on the pattern: the match is known once that time is over.

    Args:
        event: An `event`, neither repeated nor optional.
        for_: As the first step: for how long before the first row; without it: ever. As the last: for how long after
            the last row; without it: until the `within` of the whole pattern is over. Text such as ``"24h"`` or a
            timedelta.

    Raises:
        TypeError: `event` is no pattern, or `for_` no span of time.
        PatternError: `event` is more than an event (code ``invalid-absence``), `for_` is not longer than zero (code
            ``invalid-within``).

    Example:
        >>> from cepheid import absent, event
        >>> event("order") >> absent(event("paid"), for_="24h")
        event('order') >> cep.absent(event('paid'), for_='1d')
        >>> event("login") >> absent(event("logout")) >> event("transfer")
        event('login') >> cep.absent(event('logout')) >> event('transfer')
    """
    return absent_event(event, for_)


def seq(*parts: Pattern, contiguity: Contiguity = "skip_till_next") -> Pattern:
    """Patterns one after the other.

    Args:
        parts: Patterns, at least one.
        contiguity: May rows lie between? ``"strict"``: no. ``"skip_till_next"``: rows that do not fit the next part.
            ``"skip_till_any"``: any rows. Loops inside take it too, unless they say otherwise.

    Raises:
        TypeError: A part is no pattern.
        PatternError: Two parts share a variable (code ``duplicate-variable``), there is no part (code
            ``too-few-parts``), a part has clauses of a whole pattern (code ``clause-on-part``), or an absent event
            stands where none can (code ``invalid-absence``).

    Example:
        >>> import cepheid as cep
        >>> from cepheid import event
        >>> cep.seq(event("a"), event("b").one_or_more(), contiguity="strict")
        cep.seq(event('a'), event('b').one_or_more(), contiguity='strict')
    """
    relation = checked_contiguity(contiguity)
    assert relation is not None
    return sequence(settled_parts(parts, relation), ["strict", *[relation] * (len(parts) - 1)])


def all_of(*parts: Pattern, contiguity: Contiguity | None = None) -> Pattern:
    """Patterns that must all be there, in any order; the order in which they are written is preferred.

    Args:
        parts: Patterns, at least one and at most six.
        contiguity: May rows lie between one part and the next? As for `seq`. By default what a `seq` around it says,
            else ``"skip_till_next"``.

    Raises:
        TypeError: A part is no pattern.
        PatternError: Two parts share a variable (code ``duplicate-variable``), there is no part (code
            ``too-few-parts``) or more than six (code ``limit-exceeded``), a part has clauses of a whole pattern (code
            ``clause-on-part``), or one is an absent event (code ``invalid-absence``).

    Example:
        >>> import cepheid as cep
        >>> from cepheid import event
        >>> cep.all_of(event("paid"), event("packed"), contiguity="strict")
        cep.all_of(event('paid'), event('packed'), contiguity='strict')
    """
    return permutation(parts, checked_contiguity(contiguity))
