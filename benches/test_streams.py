"""The curves of streams, at small sizes: they check what engines derive, and here that every one has its points."""

from __future__ import annotations

import pytest

from benches.streams import CURVES


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_of_streams_has_points(name: str) -> None:
    points = list(CURVES[name].points("check"))
    assert len(points) >= 2
    assert {point.curve for point in points} == {name}
    for point in points:
        assert (point.measure is None) == bool(point.note), point
        assert point.measure is None or point.measure >= 0
