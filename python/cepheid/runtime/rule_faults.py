"""What rules cannot take: rows that a condition fails at, told before they wait to be matched; and what fails later.

A row is matched once the watermark is over its time, which may be long after it has been stored, and a deadline passes
when nothing comes at all. What fails then is the fault of no row that could be refused, and it would fail again and
again: the rule is disabled, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, final

from cepheid import nodes
from cepheid.errors import CepheidError, EvaluationError, InternalError, PatternError, SchemaError, StoreError
from cepheid.expr import Expr
from cepheid.pattern import Pattern, event
from cepheid.runtime.rule_change import derivers_first
from cepheid.runtime.rule_links import RuleLinks

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.engine_options import Rule
    from cepheid.runtime.rule_group import RuleGroup

__all__ = ["RowChecks", "is_of_rules", "rules_at_fault", "with_stranded"]

# What cannot fail, whatever the values are: reading a column, comparing, and putting conditions together.
_SAFE = {"column", "literal", "and", "or", "not", "is_null", "in", "between", "like", "case"}
_COMPARISONS = {"equal", "not_equal", "less", "less_or_equal", "greater", "greater_or_equal", "is_distinct_from"}


def is_of_rules(error: Exception) -> bool:
    """Whether an error says that a rule failed at what it was shown, and not that a row or the store is at fault."""
    return isinstance(error, CepheidError) and not isinstance(error, (InternalError, SchemaError, StoreError))


@final
class RowChecks:
    """Conditions of patterns on single rows that can fail: those that compute.

    Args:
        rules: The rules, by name.
    """

    __slots__ = ("_by_topic", "_together")

    # By topic, a pattern of one event for each condition, which every row is asked that it is shown.
    _by_topic: dict[str, list[Pattern]]
    # By topic, one that asks for all of these at once: none fails at most rows. None: they are too many for that.
    _together: dict[str, Pattern | None]

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        conditions: dict[str, list[Any]] = {}
        for rule in rules.values():
            body = getattr(rule, "_body", None)
            if body is None:
                continue
            for variable, condition in body.define.items():
                topic = body.topics.get(variable)
                if topic is not None and _can_fail(condition) and (own := _of_one_row(condition, variable)) is not None:
                    conditions.setdefault(topic, []).append(own)
        self._by_topic = {topic: [event("row", Expr._of(own)) for own in some] for topic, some in conditions.items()}
        self._together = {topic: _together(some) for topic, some in conditions.items()}

    def failures(self, topic: str, rows: pa.Table) -> dict[int, EvaluationError]:
        """The places of rows that a condition fails at, and how.

        Args:
            topic: Their topic.
            rows: The rows.
        """
        together = self._together.get(topic)
        if together is not None and rows.num_rows and _is_taken(together, rows):
            return {}
        found: dict[int, EvaluationError] = {}
        for check in self._by_topic.get(topic, ()):
            waiting = [(0, rows.num_rows)]
            while waiting:
                start, end = waiting.pop()
                try:
                    # Counted, as nothing is to be built of it.
                    check.count(rows.slice(start, end - start))
                except EvaluationError as error:
                    if end - start == 1:
                        found.setdefault(start, error)
                    else:
                        middle = (start + end) // 2
                        waiting += [(start, middle), (middle, end)]
                except CepheidError:
                    # What is wrong with all of them the rules say themselves.
                    break
        return found


def _together(conditions: list[Any]) -> Pattern | None:
    """A condition that asks for all of some: unlike AND, which asks no more once one is false, a comparison does so."""
    level = conditions
    while len(level) > 1:
        pairs = [level[place : place + 2] for place in range(0, len(level), 2)]
        level = [
            {"binary": {"op": "is_distinct_from", "left": pair[0], "right": pair[1]}} if len(pair) > 1 else pair[0]
            for pair in pairs
        ]
    try:
        return event("row", Expr._of(level[0]))
    except PatternError:
        return None


def _is_taken(check: Pattern, rows: pa.Table) -> bool:
    try:
        check.count(rows)
    except CepheidError:
        return False
    return True


def _can_fail(condition: Any) -> bool:
    return any(
        nodes.tag_of(part) not in _SAFE
        and not (nodes.tag_of(part) == "binary" and part["binary"]["op"] in _COMPARISONS)
        for part in nodes.walk(condition)
    )


def _of_one_row(condition: Any, variable: str) -> Any:
    """A condition as one on a row alone; None: it asks for other rows, or for a function of Python's."""
    for part in nodes.walk(condition):
        tag = nodes.tag_of(part)
        if tag in ("udf", "aggregate", "classifier"):
            return None
        if tag == "column" and part["column"].get("at", {}).get("variable", variable) != variable:
            return None
        if tag == "column" and part["column"].get("at", {}).keys() - {"variable", "tested_row"}:
            return None
    return nodes.rewrite(condition, _without_variable)


def _without_variable(part: Any) -> Any:
    return {"column": {"name": part["column"]["name"]}} if nodes.tag_of(part) == "column" else part


def rules_at_fault(group: RuleGroup, copy: Callable[[], RuleGroup], call: Callable[[RuleGroup], Any]) -> dict[str, str]:
    """The rules that have to be disabled for a call to succeed, each with the reason; none: nobody knows.

    Time: as many calls as there are rules at fault, times the logarithm of how many rules there are.

    Args:
        group: The rules, as they are.
        copy: Gives a group that is as they are.
        call: What fails.
    """
    links = RuleLinks({name: rule for name, rule in group.rules.items() if name not in group.disabled})
    # The first so many of these are never without what they read.
    order = derivers_first(links, set(links.names))
    chosen: dict[str, str] = {}

    def failure(count: int) -> CepheidError | None:
        return _failure(copy(), chosen.keys() | set(order[count:]), call)

    while (error := failure(len(order))) is not None:
        good, bad = 0, len(order)
        if failure(good) is not None:
            return {}
        while bad - good > 1:
            middle = (good + bad) // 2
            found = failure(middle)
            if found is None:
                good = middle
            else:
                bad, error = middle, found
        name = order[good]
        if name in chosen:
            return {}
        chosen[name] = str(error)
        for other in with_stranded(links, set(chosen)) - chosen.keys():
            chosen[other] = f"it reads what rule `{name}` derived, which has failed: {error}"
    return chosen


def _failure(group: RuleGroup, disabled: set[str], call: Callable[[RuleGroup], Any]) -> CepheidError | None:
    group.change(group.rules, None, disabled=group.disabled | disabled, warm=False)
    try:
        call(group)
    except CepheidError as error:
        return error
    return None


def with_stranded(links: RuleLinks, gone: Iterable[str]) -> set[str]:
    """Rules, and those that read what none derives any more without them.

    Args:
        links: The rules that there are.
        gone: Names of those that are off, or are to be.
    """
    found, ahead = set(gone), list(gone)
    while ahead:
        for topic in links.derived([ahead.pop()]):
            if not links.derivers(topic) - found:
                more = links.readers(topic) - found
                found |= more
                ahead.extend(more)
    return found
