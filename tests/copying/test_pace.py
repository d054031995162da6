"""How much one query asks for: pages that pay to be longer, that do not fit, and that could not be cut."""

from __future__ import annotations

import pytest

from basics.spans import Span
from basics.times import END_OF_TIME, SECOND
from copying.pace import Pace
from influx.pages import FEWEST_ROWS

ASKED = Span(1000, 2000)
HALF = Span(1000, 1500)
PACE = Pace(length=1000, rows=100, longest=10_000, ceiling=350)


@pytest.mark.parametrize(
    ("slow_start", "rows", "length", "most_rows"),
    [
        (False, 100, 1000, 100),
        (True, 200, 2000, 200),
    ],
)
def test_a_page_that_had_to_wait_for_its_first_row_is_followed_by_a_longer_one(
    slow_start: bool, rows: int, length: int, most_rows: int
) -> None:
    """Twice as many rows, from a stretch that holds twice as many of them as the page did."""
    after = PACE.after(ASKED, HALF, 100, slow_start=slow_start)
    assert (after.rows, after.length, after.most_rows) == (rows, length, most_rows)


def test_pages_grow_up_to_the_ceiling_and_not_without_one() -> None:
    """Each time that the server takes long to begin."""
    pace, rows = PACE, []
    for _ in range(4):
        pace = pace.after(ASKED, HALF, pace.rows, slow_start=True)
        rows.append(pace.rows)
    assert rows == [200, 350, 350, 350]
    assert Pace(1000, 100).after(ASKED, HALF, 100, slow_start=True).rows == 100


@pytest.mark.parametrize(
    ("slow_start", "rows", "expected"),
    [
        (False, 60, (100, 1000)),
        (False, 25, (100, 1000)),
        (False, 24, (100, 8000)),
        (True, 60, (200, 2000)),
        (True, 24, (100, 8000)),
        (True, 101, (100, 500)),
    ],
)
def test_a_whole_stretch_is_followed_by_a_longer_one_where_little_came_or_slowly(
    slow_start: bool, rows: int, expected: tuple[int, int]
) -> None:
    """By eight while it brings less than a quarter of a page; more rows than a page were too many."""
    after = PACE.after(ASKED, ASKED, rows, slow_start=slow_start)
    assert (after.rows, after.length) == expected


def test_no_stretch_gets_longer_than_the_longest() -> None:
    """Whatever it brought."""
    for rows in (24, 60):
        assert Pace(6000, 100, 10_000, ceiling=900).after(ASKED, ASKED, rows, slow_start=True).length == 10_000


@pytest.mark.parametrize(
    ("fitting", "limit", "rows"),
    [
        (END_OF_TIME, 0, 100),
        (100, 0, 100),
        (99, 0, 99),
        (1, 0, FEWEST_ROWS),
        (END_OF_TIME, 300, 300),
        (50, 300, 300),
        (50, 100, 50),
        (50, 101, 101),
    ],
)
def test_a_page_holds_what_fits_into_memory_and_what_cannot_be_read_apart(
    fitting: int, limit: int, rows: int
) -> None:
    """Points that share a time are read together, however long they are."""
    after = PACE.after(ASKED, HALF, 100, limit, fitting=fitting)
    assert after.rows == rows
    assert after.length == 2 * HALF.length * rows // 100


def test_a_page_that_shrank_grows_back_by_a_quarter_at_a_time() -> None:
    """Up to what it was."""
    pace, rows = PACE.eased(ASKED), []
    assert pace is not None
    assert (pace.rows, pace.length, pace.most_rows, pace.was_eased) == (12, 250, 100, True)
    for _ in range(12):
        pace = pace.after(ASKED, HALF, pace.rows)
        rows.append(pace.rows)
    assert rows == [16, 21, 27, 34, 43, 54, 68, 86, 100, 100, 100, 100]
    assert pace.was_eased


@pytest.mark.parametrize(
    ("length", "rows", "step", "smaller"),
    [
        (SECOND, FEWEST_ROWS, 1, False),
        (SECOND + 1, FEWEST_ROWS, 1, True),
        (SECOND, FEWEST_ROWS + 1, 1, True),
        (60 * SECOND, FEWEST_ROWS, 60 * SECOND, False),
        (61 * SECOND, FEWEST_ROWS, 60 * SECOND, True),
    ],
)
def test_a_request_of_a_second_and_the_fewest_rows_cannot_get_smaller(
    length: int, rows: int, step: int, smaller: bool
) -> None:
    """Nor one of a single window of downsampling."""
    assert (Pace(length, rows, step=step).eased(Span(0, length)) is not None) == smaller


@pytest.mark.parametrize(("step", "length"), [(1, 500), (300, 500), (700, 700)])
def test_a_stretch_that_brought_too_many_rows_is_halved_but_not_below_a_window(step: int, length: int) -> None:
    """Only downsampling has no limit of rows."""
    assert Pace(1000, 100, step=step).after(ASKED, ASKED, 101).length == length
