"""Pages: how much is asked for, and in how large parts it is encoded."""

from __future__ import annotations

import pytest

from basics.spans import Span
from basics.times import END_OF_TIME
from influx import frames, pages
from influx.frames import Frame
from influx.pages import Page
from influx.transport import Meter

SPAN = Span(0, 10)


def part(count: int, *, fields: int = 1, tags: int = 0, missing: int = 0) -> Frame:
    """So many rows; some of the fields have a value in the first row alone."""
    there = fields - missing
    rows = [
        (n, *[1.0 if n == 0 or i < there else None for i in range(fields)], *[b"x"] * tags) for n in range(count)
    ]
    return frames.to_frame(rows, [f"f{i}" for i in range(fields)], [f"t{i}" for i in range(tags)])


def page(size: int = 0, waited: float = 0.0, seconds: float = 0.0, rows: int = 3) -> Page:
    """One that took so many bytes and seconds."""
    return Page((part(rows), part(rows)), SPAN, meter=Meter(size, waited, seconds))


@pytest.mark.parametrize(
    ("waited", "seconds", "is_slow"), [(0.0, 10.0, False), (1.0, 10.0, False), (1.1, 10.0, True), (0.1, 0.1, True)]
)
def test_a_page_that_is_waited_for_began_slowly(waited: float, seconds: float, is_slow: bool) -> None:
    """From a tenth of all its time on."""
    assert page(1, waited, seconds).slow_start is is_slow


def test_as_many_rows_fit_into_a_page_as_take_three_quarters_of_its_bytes() -> None:
    """Some may be longer; of rows that nobody has seen any number."""
    assert page(size=6000).rows == 6
    assert page(size=6000).fitting == pages.PAGE_BYTES * 3 // 4 // 1000
    assert page(size=0).fitting == page(size=10, rows=0).fitting == END_OF_TIME
    assert Page((), SPAN).tags == ()


def test_a_page_has_fewer_rows_the_more_columns_there_are() -> None:
    """And two at least: the last time is left to the next page."""
    assert pages.page_rows(0) == pages.PAGE_CELLS
    assert pages.page_rows(9) == pages.PAGE_CELLS // 10
    assert pages.page_rows(pages.PAGE_CELLS * 2) == pages.FEWEST_ROWS == 2


@pytest.mark.parametrize(
    ("frame", "cells", "rows"),
    [
        (part(20), 20, [10, 10]),  # a time and a value each
        (part(25), 20, [10, 10, 5]),
        (part(20, fields=2, tags=1), 20, [5, 5, 5, 5]),
        (part(20, fields=9, missing=8), 20, [8, 8, 4]),  # what is missing counts nothing
        (part(3), 1, [1, 1, 1]),
        (part(3), 1000, [3]),
        (part(0), 20, []),
    ],
)
def test_a_page_is_encoded_in_blocks(
    frame: Frame, cells: int, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of about so many times, tags and values."""
    monkeypatch.setattr(pages, "BLOCK_CELLS", cells)
    found = list(pages.blocks(frame))
    assert [len(block) for block in found] == rows
    assert [time for block in found for time in block.times.tolist()] == frame.times.tolist()


def test_types_have_changed_where_one_is_not_known() -> None:
    """Not where a field has fewer of them by now, nor of fields that nobody asked for."""
    known = {"same": ("float",), "more": ("float",), "other": ("float",), "fewer": ("float", "string"), "gone": ()}
    found = {"same": ("float",), "more": ("integer", "float"), "other": ("string",), "fewer": ("string",)}
    found["unasked"] = ("boolean",)
    assert pages.changed_types(known, found) == {"more": ("integer", "float"), "other": ("string",)}
