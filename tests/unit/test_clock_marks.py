"""Moments of a clock that a replay can begin at."""

from __future__ import annotations

from cepheid.runtime.clock_marks import ClockMark, ClockMarks


def test_marks_are_few_and_reach_far():
    marks = ClockMarks()
    for row in range(1, 5000):
        marks.add(ClockMark({"t": row}, {"t": row * 10}, row * 10, None, row == 700))
    kept = list(marks)
    assert len(kept) == 64
    assert (kept[0].rows, kept[-1].rows) == ({"t": 1}, {"t": 4999})
    # However far back one looks, the mark before it is not much further back.
    for time in (100, 1_000, 20_000, 40_000, 49_000, 49_900):
        begin = marks.before(time)
        ago = 49_990 - time
        assert 0 < time - begin.newest <= max(200, ago // 2), time
    assert sum(mark.ended for mark in kept) == 1
    assert [list(mark) for mark in ClockMarks.from_data(marks.to_data())] == [list(mark) for mark in kept]
