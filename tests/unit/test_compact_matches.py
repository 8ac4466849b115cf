"""Matches that are counted and looked at without being built."""

from __future__ import annotations

import pyarrow as pa
import pytest

import cepheid as cep
from cepheid import PatternError, StateLimitError, event, ref


def rising(*, within: int | None = None) -> cep.Pattern:
    """One a, any number of the b's behind it, one c behind them: every choice of them is a match."""
    pattern = (
        event("a", "x = 1")
        .then_any(event("b", "x = 2").one_or_more(contiguity="skip_till_any"))
        .then_any(event("c", "x = 3"))
        .matches("all")
        .select(last=ref("b").row.last(), n=ref("b").count())
    )
    return pattern.within(rows=within) if within else pattern


def table(bs: int) -> pa.Table:
    kinds = [1, *[2] * bs, 3]
    return pa.table({"x": kinds, "row": list(range(len(kinds)))})


def test_more_matches_than_any_memory_holds_can_be_counted_and_looked_at() -> None:
    matches = cep.match(rising(), table(500))
    assert matches.count() == 2**500 - 1
    assert matches.head(3).to_pydict() == {
        "match_number": [1, 2, 3],
        "match_start": [None] * 3,
        "match_end": [None] * 3,
        "last": [500, 499, 500],
        "n": [500, 499, 499],
    }
    assert matches.column_names == ["match_number", "match_start", "match_end", "last", "n"]
    assert matches.strategy == "step lists"
    assert "2^499 or more" in repr(matches)
    assert "not built" in matches._repr_html_()
    for build in (len, list, cep.Matches.to_arrow, lambda every: every.rows, lambda every: every.sample(2)):
        with pytest.raises(StateLimitError) as caught:
            build(matches)
        assert caught.value.code == "too-large"
    # And it is as it was.
    assert matches.head(0).num_rows == 0
    assert matches.count() == 2**500 - 1


def test_matches_that_are_not_built_yet_are_the_same_once_they_are() -> None:
    matches = cep.match(rising(), table(17))
    first = matches.head(5)
    assert "not built" in repr(matches)
    assert len(matches) == matches.count() == matches.num_rows == 2**17 - 1
    assert "not built" not in repr(matches)
    assert matches.to_arrow().slice(0, 5) == first == matches.head(5)
    assert matches.rows.num_rows == sum(matches.to_arrow()["n"].to_pylist()) + 2 * len(matches)


def test_few_matches_are_built_at_once() -> None:
    matches = cep.match(rising(), table(10))
    assert "not built" not in repr(matches)
    assert len(matches) == 2**10 - 1


def test_a_sample_is_of_the_matches_and_the_same_for_the_same_seed() -> None:
    matches = cep.match(rising(), table(17))
    sampled = matches.sample(50, seed=3)
    numbers = sampled["match_number"].to_pylist()
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 50
    assert sampled == matches.sample(50, seed=3) != matches.sample(50, seed=4)
    assert matches.to_arrow().take([number - 1 for number in numbers]) == sampled
    assert cep.match(rising(), table(2)).sample(100).num_rows == 3


@pytest.mark.parametrize("method", ["head", "sample"])
def test_a_number_of_rows_is_one(method: str) -> None:
    matches = cep.match(rising(), table(17))
    with pytest.raises(TypeError, match="takes a number of rows, not str"):
        getattr(matches, method)("3")
    with pytest.raises(PatternError, match="takes a number of rows from 0"):
        getattr(matches, method)(-1)


def test_whether_there_are_matches_is_told_without_building_them():
    pattern = cep.seq(cep.event("a"), cep.event("b").one_or_more(), contiguity="skip_till_any").matches("all")
    many = cep.match(pattern, {"x": list(range(64))})
    assert many
    assert many.head(3).num_rows == 3
    assert many.count() == 2**64 - 65
    assert not cep.match(pattern, {"x": [1]})
    few = cep.match(pattern, {"x": [1, 2, 3]})
    assert few.head(2**70).num_rows == few.count() == 4
