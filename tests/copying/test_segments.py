"""Ranges that are cut at a time, and fields that cannot be read alone; what is planned is in tests/influx."""

from __future__ import annotations

import pytest

from basics.spans import Span
from copying.segments import Segment, accompanied, cut

FIRST, SECOND = Segment(("a",), Span(0, 10)), Segment(("a", "b"), Span(10, 20))


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (-1, [FIRST, SECOND]),
        (0, [FIRST, SECOND]),
        (1, [Segment(("a",), Span(0, 1)), Segment(("a",), Span(1, 10)), SECOND]),
        (10, [FIRST, SECOND]),
        (19, [FIRST, Segment(("a", "b"), Span(10, 19)), Segment(("a", "b"), Span(19, 20))]),
        (20, [FIRST, SECOND]),
        (99, [FIRST, SECOND]),
    ],
)
def test_no_range_goes_across_the_time_and_nothing_is_lost(time: int, expected: list[Segment]) -> None:
    """Nor is there an empty one."""
    assert list(cut([FIRST, SECOND], time)) == expected
    assert list(cut([], time)) == []


def test_a_field_that_cannot_be_written_alone_brings_all_others() -> None:
    """Each once, in their order; the range stays."""
    lonely = Segment(("b", "\tx"), Span(3, 5))
    assert accompanied(lonely, ["c", "b", "a", "\tx"]) == Segment(("\tx", "a", "b", "c"), Span(3, 5))
    assert accompanied(SECOND, ["c", "d"]) is SECOND
