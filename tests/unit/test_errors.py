"""Errors: classes, codes, parts as attributes, pickling, and errors that only data raises."""

import pickle

import pytest

import cepheid as cep
from cepheid import col, errors, event

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_every_class_is_public_and_an_error_of_cepheid():
    assert len(CLASSES) == 16
    for cls in CLASSES:
        assert issubclass(cls, cep.CepheidError)
        assert getattr(cep, cls.__name__) is cls
        assert cls("message").code == cls.default_code


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_pickle_with_their_parts(cls):
    error = cls("what is wrong", code="some-code", hint="other")
    error.extra = ("x", 1)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert str(again) == "what is wrong"
    assert vars(again) == vars(error)


GAPS = (event("a") >> event("b")).rows_per_match("all_with_unmatched")
RAISED = {
    "pattern": (lambda: event("a").define(b="x > 1"), cep.PatternError, "undefined-variable",
                {"variable": "b", "known": ("a",)}),
    "sql": (lambda: event("a", "x >"), cep.SqlError, "syntax", {"line": 1, "column_number": 4}),
    "column": (lambda: cep.match(event("a", col.pricee > 1), {"price": [1]}), cep.SchemaError, "unknown-column",
               {"column": "pricee", "known": ("price",), "hint": "price"}),
    "type": (lambda: cep.match(event("a", col.x > "y"), {"x": [1]}), cep.SchemaError, None, {}),
    "types": (lambda: cep.match(event("a", col.x > col.s), {"x": [1], "s": ["y"]}), cep.SchemaError, "type-mismatch",
              {"found": "x: Int64, s: Utf8"}),
    "overflow": (lambda: cep.match(event("a", col.x + 2**62 > 1), {"x": [2**62]}), cep.EvaluationError, "overflow", {}),
    "division": (lambda: cep.match(event("a", 1 / col.x > 0), {"x": [0]}), cep.EvaluationError, "division-by-zero", {}),
    "cast": (lambda: cep.match(event("a", col.s.cast("int64") > 0), {"s": ["y"]}), cep.EvaluationError,
             "invalid-cast", {}),
    "regex": (lambda: cep.match(event("a", col.s.str.regexp_like("(")), {"s": ["y"]}), cep.PatternError,
              "invalid-regex", {}),
    "skip": (lambda: cep.match(event("a").after_match(("to_first", "a"), strict=True), {"x": [1, 2]}), cep.MatchError,
             "skip-target-is-first-row", {"variable": "a", "row": 0}),
    "unsupported": (lambda: cep.match(GAPS, {"x": [1]}), cep.PatternError, "unsupported", {}),
}  # fmt: skip


def test_every_way_of_failing_is_listed():
    assert len(RAISED) == 11


@pytest.mark.parametrize("name", RAISED)
def test_errors_carry_class_code_and_parts(name):
    build, cls, code, parts = RAISED[name]
    with pytest.raises(cep.CepheidError) as caught:
        build()
    error = caught.value
    assert type(error) is cls, error
    if code is not None:
        assert error.code == code
    assert {key: getattr(error, key) for key in parts} == parts
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), vars(again), str(again)) == (type(error), vars(error), str(error))


def test_errors_of_expressions_name_the_expression_and_where_it_stands():
    with pytest.raises(cep.EvaluationError) as caught:
        cep.match(event("low", 10 / col.x > 0), {"x": [0]})
    assert caught.value.expression is not None
    assert "x" in caught.value.expression
    assert "low" in caught.value.context
    with pytest.raises(cep.EvaluationError) as caught:
        cep.match(event("low").select(half=col.x / 0), {"x": [1]})
    assert "half" in caught.value.context


def test_conditions_that_are_never_asked_raise_nothing():
    guarded = event("a", col.x != 0, 10 / col.x > 1)
    assert guarded.count({"x": [0, 2]}) == 1
