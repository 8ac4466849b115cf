"""Random patterns, of the algebra and of SQL, and random tables."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import cepheid as cep
from cepheid import Pattern, col, event, prev, ref

EXAMPLES = 1_500 if os.environ.get("CEPHEID_DEEP") else 60
PROFILE = settings(
    max_examples=EXAMPLES,
    # The same cases in every run, so that what is counted of them does not depend on luck; other ones when run deep.
    derandomize="CEPHEID_DEEP" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

NAMES = ["a", "b", "C", "d e", 'f"g', "é", "select", "count"]
CONTIGUITIES = ["strict", "skip_till_next", "skip_till_any"]
LITERALS = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
    | st.booleans()
    | st.decimals(-(10**9), 10**9, places=2)
    | st.dates()
    | st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))
)


# The algebra: patterns as a Python program builds them.


@st.composite
def conditions(draw: Any, earlier: list[str]) -> cep.Expr:
    column = st.sampled_from([col.x, col.price, col("a column"), prev(col.x), prev(col.x, 2)])
    operands: list[Any] = [column]
    if earlier:
        names = st.sampled_from(earlier)
        operands += [
            names.map(lambda name: ref(name).x),
            names.map(lambda name: ref(name).x.first()),
            names.map(lambda name: ref(name).x.sum()),
            names.map(lambda name: ref(name).count()),
        ]
    left = draw(st.one_of(operands))
    right = draw(st.one_of([*operands, LITERALS]))
    made = draw(st.sampled_from(["<", ">=", "==", "!=", "null", "in", "between", "+"]))
    match made:
        case "<":
            return left < right
        case ">=":
            return left >= right
        case "==":
            return left == right
        case "!=":
            return ~(left == right)
        case "null":
            return left.is_null() | (left > 1)
        case "in":
            return left.is_in([1, 2, 3])
        case "between":
            return left.between(1, right) & (left != 2)
        case _:
            return (left + 1) * 2 > right


@st.composite
def algebra_patterns(draw: Any) -> Pattern:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    parts = []
    for place, name in enumerate(names):
        found = draw(st.lists(conditions(names[: place + 1]), max_size=2))
        single = event(name, *found, topic=draw(st.sampled_from([None, None, None, "t", "a.b"])))
        if place and draw(st.integers(0, 4)) == 0:
            parts.append(cep.absent(single))
        else:
            parts.append(quantified(draw, single, names[: place + 1]))
    whole = parts.pop(0)
    while parts:
        whole = joined(draw, whole, parts.pop(0))
        if draw(st.booleans()):
            whole = quantified(draw, whole, names)
    # An absent event cannot be last without a time to be absent for.
    whole = whole.then(event("the end"))
    if draw(st.booleans()):
        whole = whole.then(cep.absent(event("never"), for_="1h"))
    return with_clauses(draw, whole, names)


def joined(draw: Any, left: Pattern, right: Pattern) -> Pattern:
    """The two in one of the ways there are; one that lets no absent event stand gives way to `then`."""
    how = draw(st.sampled_from(["then", "next", "then_any", "or", "all_of", "seq"]))
    try:
        match how:
            case "or":
                return left | right
            case "all_of":
                return cep.all_of(left, right, contiguity=draw(st.sampled_from([None, *CONTIGUITIES])))
            case "seq":
                return cep.seq(left, right, contiguity=draw(st.sampled_from(CONTIGUITIES)))
            case _:
                made: Pattern = getattr(left, how)(right)
                return made
    except cep.PatternError as error:
        assert error.code == "invalid-absence", error
        return left.then(right)


def quantified(draw: Any, part: Pattern, names: list[str]) -> Pattern:
    how = draw(st.sampled_from([None, None, "times", "at_least", "one_or_more", "zero_or_more", "optional", "within"]))
    if how is None:
        return part
    if how == "within":
        return bounded(draw, part)
    given: dict[str, Any] = {"greedy": draw(st.sampled_from([None, True, False]))}
    if how != "optional":
        given["contiguity"] = draw(st.sampled_from([None, "strict", "skip_till_next"]))
        given["until"] = draw(st.none() | conditions(names))
    counts = {"times": (draw(st.integers(0, 2)), draw(st.integers(2, 4))), "at_least": (draw(st.integers(0, 4)),)}
    made: Pattern = getattr(part, how)(*counts.get(how, ()), **given)
    return made


def bounded(draw: Any, part: Pattern) -> Pattern:
    """The part with bounds, whose gaps are shorter than their windows."""
    said: list[dict[str, Any]] = [
        {"span": draw(st.sampled_from(["10m", "1h30m", None, dt.timedelta(hours=1)]))},
        {"rows": draw(st.integers(9, 10**6))},
        {"span": draw(st.sampled_from(["1s", dt.timedelta(microseconds=1)])), "between": "neighbours"},
        {"rows": draw(st.integers(0, 9)), "between": "neighbours"},
    ]
    for bound in draw(st.lists(st.sampled_from(said), max_size=4)):
        part = part.within(**bound)
    return part


def with_clauses(draw: Any, pattern: Pattern, names: list[str]) -> Pattern:
    if draw(st.booleans()):
        pattern = pattern.partition_by("p", "a column")
    if draw(st.booleans()):
        pattern = pattern.order_by("t", "x", descending=[draw(st.booleans()), draw(st.booleans())])
    if draw(st.booleans()):
        pattern = bounded(draw, pattern)
    if draw(st.booleans()):
        pattern = pattern.having(draw(conditions(names)))
    if draw(st.booleans()):
        pattern = pattern.timeouts(True)
    if draw(st.booleans()):
        present = sorted(set(pattern.variables) - pattern._body.absent)
        if present:
            pattern = pattern.emit_at(draw(st.sampled_from(present)), "raised", n=ref(names[0]).count())
    if draw(st.booleans()):
        name = draw(st.sampled_from(names))
        pattern = pattern.select({"n": ref(name).count(), "the last": ref(name).x, "const": cep.lit(Decimal("1.50"))})
    if draw(st.booleans()):
        pattern = pattern.matches("all")
    skips = ["past_last_row", "to_next_row", "none", "consume", ("to_first", names[0]), ("to_last", names[0])]
    if draw(st.booleans()):
        pattern = pattern.after_match(draw(st.sampled_from(skips)))
    if draw(st.booleans()):
        pattern = pattern.rows_per_match(draw(st.sampled_from(["one", "all"])))
    if draw(st.booleans()):
        pattern = pattern.named(draw(st.text(min_size=1, max_size=4)))
    return pattern


# SQL: patterns as data, of all that the clause can say.

VARIABLES = ["A", "B", "lower", "with space", 'quo"te', "SELECT"]


def row_patterns() -> st.SearchStrategy[Any]:
    leaf = st.sampled_from(VARIABLES).map(lambda name: {"variable": name}) | st.sampled_from(
        [{"anchor": "start"}, {"anchor": "end"}, "empty"]
    )

    def larger(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(part, min_size=2, max_size=3)
        counts = st.tuples(st.integers(0, 3), st.none() | st.integers(0, 3), st.booleans())
        return (
            several.map(lambda parts: {"sequence": [{"node": part} for part in parts]})
            | several.map(lambda parts: {"alternation": parts})
            | several.map(lambda parts: {"permute": {"parts": parts}})
            | part.map(lambda inner: {"exclusion": inner})
            | st.tuples(part, counts).map(lambda pair: {"quantified": {"node": pair[0], "quantifier": loop(*pair[1])}})
        )

    return st.recursive(leaf, larger, max_leaves=6)


def loop(low: int, more: int | None, greedy: bool) -> dict[str, Any]:
    return {"min": low, "max": None if more is None else max(low + more, 1), "greedy": greedy}


def sql_expressions(variables: list[str], *, measure: bool) -> st.SearchStrategy[Any]:
    variable = st.none() | st.sampled_from(variables)
    semantics = st.sampled_from(["running", "final"]) if measure else st.just("running")
    pointer = st.fixed_dictionaries(
        {
            "variable": variable,
            "semantics": semantics,
            "anchor": st.sampled_from(["first", "last"]),
            "logical_offset": st.integers(0, 2),
            "physical_offset": st.integers(-2, 2),
        }
    )
    column = st.tuples(st.sampled_from(["x", "Two Words", "order"]), st.booleans(), pointer).map(
        lambda parts: {"column": {"name": parts[0], "quoted": parts[1] or " " in parts[0], "at": parts[2]}}
    )
    bare = st.sampled_from(["x", "y"]).map(lambda name: {"column": {"name": name}})
    text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
    literal = st.sampled_from(["null"]) | st.one_of(
        st.booleans().map(lambda value: {"boolean": value}),
        st.integers(-(2**63), 2**63 - 1).map(lambda value: {"integer": value}),
        st.floats(allow_nan=False, allow_infinity=False).map(lambda value: {"float": value}),
        text.map(lambda value: {"string": value}),
        st.integers(-(10**5), 10**5).map(lambda value: {"date": value}),
        st.integers(-(2**60), 2**60).map(lambda value: {"timestamp": {"nanoseconds": value, "zoned": False}}),
    )
    aggregate = st.tuples(st.sampled_from(["sum", "avg", "min", "array_agg"]), bare, variable, semantics).map(
        lambda parts: {
            "aggregate": {
                "function": parts[0],
                "args": [parts[1]],
                **({"variable": parts[2]} if parts[2] else {}),
                "semantics": parts[3],
            }
        }
    )
    leaf = column | bare | literal.map(lambda value: {"literal": value}) | aggregate

    def larger(part: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        pair = st.tuples(part, part)
        some = st.lists(part, min_size=2, max_size=3)
        operator = st.sampled_from(
            [
                "add",
                "subtract",
                "multiply",
                "divide",
                "modulo",
                "equal",
                "not_equal",
                "less",
                "greater_or_equal",
                "is_distinct_from",
                "concat",
            ]
        )
        return (
            st.tuples(operator, pair).map(
                lambda parts: {"binary": {"op": parts[0], "left": parts[1][0], "right": parts[1][1]}}
            )
            | some.map(lambda parts: {"and": parts})
            | some.map(lambda parts: {"or": parts})
            | part.map(lambda inner: {"not": inner})
            | part.map(lambda inner: {"negate": inner})
            | part.map(lambda inner: {"is_null": inner})
            | st.tuples(part, some).map(lambda parts: {"in": {"operand": parts[0], "list": parts[1]}})
            | st.tuples(part, pair).map(
                lambda parts: {"between": {"operand": parts[0], "low": parts[1][0], "high": parts[1][1]}}
            )
            | pair.map(lambda parts: {"case": {"branches": [{"when": parts[0], "then": parts[1]}]}})
            | st.tuples(part, st.booleans()).map(
                lambda parts: {"cast": {"operand": parts[0], "to": "int64", "lenient": parts[1]}}
            )
            | some.map(lambda parts: {"call": {"function": "coalesce", "args": parts}})
        )

    return st.recursive(leaf, larger, max_leaves=5)


@st.composite
def sql_patterns(draw: Any) -> Pattern:
    root = draw(row_patterns())
    variables = sorted(set(variables_of(root)))
    shapes = ["one", "all_show_empty", "all_omit_empty"]
    skips: list[Any] = ["past_last_row", "to_next_row"]
    pattern: dict[str, Any] = {
        "root": root,
        "partition_by": draw(st.sampled_from([[], [{"name": "p"}], [{"name": "P q", "quoted": True}, {"name": "r"}]])),
        "order_by": [{"column": {"name": "t"}, "descending": draw(st.booleans()), "nulls_first": draw(st.booleans())}],
        "initial": draw(st.booleans()),
        "empty_matches": "allowed",
        "output": "standard",
    }
    if draw(st.booleans()):
        pattern["within"] = draw(
            st.sampled_from([{"rows": 3}]) | st.integers(1, 2**62).map(lambda span: {"time": {"nanoseconds": span}})
        )
    if variables:
        if draw(st.booleans()):
            pattern["subsets"] = [{"name": "UNION", "variables": variables}]
        known = variables + (["UNION"] if "subsets" in pattern else [])
        defined = draw(st.lists(st.sampled_from(variables), unique=True))
        pattern["define"] = [
            {"variable": name, "condition": draw(sql_expressions(known, measure=False))} for name in defined
        ]
        measures = draw(st.lists(sql_expressions(known, measure=True), max_size=2))
        pattern["measures"] = [{"name": f"m {place}", "value": value} for place, value in enumerate(measures)]
        row = draw(st.sampled_from(["first", "last"]))
        skips.append({"to_variable": {"variable": draw(st.sampled_from(known)), "row": row, "strict": True}})
    pattern["rows_per_match"] = draw(st.sampled_from(shapes))
    pattern["after_match"] = draw(st.sampled_from(skips))
    return Pattern.from_dict({"cepheid_ir": 1, "pattern": pattern})


def variables_of(root: Any) -> list[str]:
    if isinstance(root, dict):
        own = [root["variable"]] if "variable" in root else []
        return own + [name for key, part in root.items() if key != "variable" for name in variables_of(part)]
    if isinstance(root, list):
        return [name for part in root for name in variables_of(part)]
    return []


# Tables: few values, so that ties, repeats and NULL are common.


@st.composite
def tables(draw: Any, max_rows: int = 30) -> pa.Table:
    row = st.tuples(
        st.sampled_from(["u", "v", None]), st.integers(0, 6), st.sampled_from([*range(6), None]), st.sampled_from("abc")
    )
    # Long ones as a rule: in few rows there is little to find.
    least = draw(st.sampled_from([max_rows // 2, max_rows // 2, 0]))
    rows = draw(st.lists(row, min_size=least, max_size=max_rows))
    p, t, x, kind = ([r[place] for r in rows] for place in range(4))
    return pa.table(
        {
            "p": pa.array(p, pa.string()),
            "t": pa.array(t, pa.int64()),
            "x": pa.array(x, pa.int64()),
            "kind": pa.array(kind, pa.string()),
        }
    )


def cut(table: pa.Table, places: list[int]) -> pa.Table:
    """The same rows in batches that end at these places; places that are equal make empty batches."""
    ends = sorted(min(place, table.num_rows) for place in places)
    whole = table.combine_chunks()
    pieces = [whole.slice(begin, end - begin) for begin, end in zip([0, *ends], [*ends, table.num_rows], strict=True)]
    batches = [batch for piece in pieces for batch in (piece.to_batches() or [empty(table.schema)])]
    return pa.Table.from_batches(batches, table.schema)


def empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], kind) for kind in schema.types], schema=schema)
