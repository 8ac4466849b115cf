"""What rules cannot take: rows that a condition fails at, told before they wait to be matched; and what fails later.

A row is matched once the watermark is over its time, which may be long after it has been stored, and a deadline passes
when nothing comes at all. What fails then is the fault of no row that could be refused, and it would fail again and
again: the rule is disabled, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, final

from cepheid import nodes
from cepheid.errors import CepheidError, EvaluationError, InternalError, SchemaError, StoreError
from cepheid.expr import Expr
from cepheid.pattern import Pattern, event
from cepheid.runtime.rule_links import RuleLinks

if TYPE_CHECKING:
    import pyarrow as pa

    from cepheid.engine_options import Rule
    from cepheid.runtime.rule_group import RuleGroup

__all__ = ["RowChecks", "is_of_rules", "rules_at_fault"]

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

    __slots__ = ("_by_topic",)

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        # A pattern of one event each, which every row is asked that it is shown.
        self._by_topic: dict[str, list[Pattern]] = {}
        for rule in rules.values():
            body = getattr(rule, "_body", None)
            if body is None:
                continue
            for variable, condition in body.define.items():
                topic = body.topics.get(variable)
                if topic is not None and _can_fail(condition) and (own := _of_one_row(condition, variable)) is not None:
                    self._by_topic.setdefault(topic, []).append(event("row", own))

    def failures(self, topic: str, rows: pa.Table) -> dict[int, EvaluationError]:
        """The places of rows that a condition fails at, and how.

        Args:
            topic: Their topic.
            rows: The rows.
        """
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


def _can_fail(condition: Any) -> bool:
    return any(
        nodes.tag_of(part) not in _SAFE
        and not (nodes.tag_of(part) == "binary" and part["binary"]["op"] in _COMPARISONS)
        for part in nodes.walk(condition)
    )


def _of_one_row(condition: Any, variable: str) -> Expr | None:
    """A condition as one on a row alone; None: it asks for other rows, or for a function of Python's."""
    for part in nodes.walk(condition):
        tag = nodes.tag_of(part)
        if tag in ("udf", "aggregate", "classifier"):
            return None
        if tag == "column" and part["column"].get("at", {}).get("variable", variable) != variable:
            return None
        if tag == "column" and part["column"].get("at", {}).keys() - {"variable", "tested_row"}:
            return None
    bare = nodes.rewrite(condition, _without_variable)
    return Expr._of(bare)


def _without_variable(part: Any) -> Any:
    return {"column": {"name": part["column"]["name"]}} if nodes.tag_of(part) == "column" else part


def rules_at_fault(group: RuleGroup, copy: Callable[[], RuleGroup], call: Callable[[RuleGroup], Any]) -> set[str]:
    """The rules that have to be disabled for a call to succeed; none: nobody knows.

    Args:
        group: The rules, as they are.
        copy: Gives a group that is as they are.
        call: What fails.
    """
    rules = group.rules
    links = RuleLinks(rules)
    chosen = set(group.disabled)
    # Each alone first; where several are at fault, one after the other is left out.
    for name in [name for name in rules if name not in chosen]:
        if _succeeds(copy(), rules, chosen | _with_readers(links, name), call):
            return _with_readers(links, name) - chosen
    for name in [name for name in rules if name not in chosen]:
        if _fails_alone(copy(), rules, set(rules) - {name} | chosen, call):
            chosen |= _with_readers(links, name)
    added = chosen - group.disabled
    return added if added and _succeeds(copy(), rules, chosen, call) else set()


def _with_readers(links: RuleLinks, name: str) -> set[str]:
    """A rule, and those that cannot be without it."""
    found, left = set(), [name]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += [reader for topic in links.derived([one]) for reader in links.readers(topic)]
    return found


def _succeeds(
    group: RuleGroup, rules: Mapping[str, Rule], disabled: Iterable[str], call: Callable[[RuleGroup], Any]
) -> bool:
    try:
        group.change(rules, None, disabled=set(disabled), warm=False)
        call(group)
    except CepheidError:
        return False
    return True


def _fails_alone(
    group: RuleGroup, rules: Mapping[str, Rule], disabled: Iterable[str], call: Callable[[RuleGroup], Any]
) -> bool:
    try:
        group.change(rules, None, disabled=set(disabled), warm=False)
    except CepheidError:
        return False
    try:
        call(group)
    except CepheidError:
        return True
    return False
