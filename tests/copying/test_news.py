"""What counts as new, against what the destination had already."""

from __future__ import annotations

import pytest

from copying.news import Tally
from influx.written import Written

CASES = {
    "nothing was there": ({}, 2, [Written(3, 6, 60)], (3, 6)),
    "all of it was": ({"a": 3, "b": 3}, 2, [Written(3, 6, 60)], (0, 0)),
    "the first three, in two requests": ({"a": 3}, 1, [Written(2, 2, 20), Written(4, 4, 40)], (3, 3)),
    "points with one field each": ({"a": 1, "b": 1}, 2, [Written(2, 2, 20), Written(1, 1, 10)], (1, 1)),
    "a value that a known point lacked": ({"a": 3}, 2, [Written(3, 4, 40)], (1, 1)),
    "more was there than is read": ({"a": 5}, 1, [Written(3, 3, 30)], (0, 0)),
    "many fields in few points": ({"a": 1}, 10, [Written(2, 20, 200)], (2, 19)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_there_before_is_not_new(case: str) -> None:
    """In the sum of what is told piece by piece, which never gets smaller."""
    had, fields, pieces, expected = CASES[case]
    tally = Tally(had, fields)
    told = [tally.add(piece) for piece in pieces]
    assert (sum(t.points for t in told), sum(t.values for t in told)) == expected
    assert sum(t.points + t.repeated for t in told) == sum(piece.points for piece in pieces)
    assert all(t.points >= 0 and t.values >= 0 and 0 <= t.bytes <= piece.bytes
               for t, piece in zip(told, pieces, strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("has", "points", "values"),
    [
        ({"a": 10, "b": 10}, 7, 14),
        ({"a": 13, "b": 10}, 7, 14),
        ({"a": 3, "b": 3}, 0, 0),
        ({"a": 10, "b": 3}, 7, 7),
    ],
)
def test_values_of_other_origin_are_not_taken_for_those_written_again(
    has: dict[str, int], points: int, values: int
) -> None:
    """What the destination has gained is new, as far as it was written."""
    tally = Tally({"a": 3, "b": 3}, 2)
    told = tally.add(Written(4, 8, 80)), tally.add(Written(3, 6, 60)), tally.settle(has)
    expected = max(points, 4), max(values, 8)
    assert (sum(t.points for t in told), sum(t.values for t in told)) == expected
    assert sum(t.points + t.repeated for t in told) == 7


@pytest.mark.parametrize(
    ("held", "has", "points", "values"),
    [
        ({}, {"a": 3, "b": 3}, 3, 6),
        ({}, {"a": 5, "b": 5}, 5, 10),
        ({}, {"a": 5}, 5, 6),
        ({"a": 2}, {"a": 5, "b": 5}, 5, 8),
        ({"a": 9}, {"a": 9, "b": 4}, 4, 6),
        ({}, {}, 3, 6),
    ],
)
def test_what_was_written_and_not_heard_of_is_new_too(
    held: dict[str, int], has: dict[str, int], points: int, values: int
) -> None:
    """After a stop: whatever is at its places that was not there before, and no less than what was told."""
    tally = Tally({}, 2, held=held)
    told = tally.add(Written(3, 6, 60)), tally.there(has)
    assert (sum(t.points for t in told), sum(t.values for t in told)) == (points, values)
    assert not any(sum(getattr(t, name) for name in ("points", "values")) for t in [tally.there(has)])
    assert told[-1].repeated == 0


def test_what_was_there_and_is_found_new_after_a_stop_was_not_written_again() -> None:
    """As many points are told as were written, new ones and others."""
    tally = Tally({"a": 3}, 1)
    told = tally.add(Written(3, 3, 30)), tally.there({"a": 2})
    assert [(t.points, t.values, t.repeated) for t in told] == [(0, 0, 3), (2, 2, -2)]
