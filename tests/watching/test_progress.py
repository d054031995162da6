"""Progress in words: the line of the log, the row of a terminal at any width, numbers that are short."""

from __future__ import annotations

import io
import os
import pty
from dataclasses import replace

import pytest

from watching.events import RunState, Totals
from watching.progress import can_draw, duration, live_row, progress_line, short, what

SECOND = 1_000_000_000
RUN = RunState(
    0,
    phase="copying",
    database="telegraf",
    number=2,
    databases=3,
    measurements=120,
    measurements_done=36,
    covered=25,
    span=100,
    copying_since=10 * SECOND,
    amounts=Totals(points=1_234_567, values=5_678_901),
    rate=123_456.7,
)
"""A run at one quarter, ten seconds after its first point."""


def row(run: RunState, width: int, name: str = "prod") -> str:
    """The text of a row."""
    return "  ".join(text for text, _ in live_row(name, run, 20 * SECOND, width))


def test_a_line_of_the_log_has_all_of_it() -> None:
    """Numbers in full."""
    assert progress_line(RUN, 20 * SECOND) == (
        "telegraf (2 of 3), measurement 37 of 120, 25.0% of the time range, 1,234,567 points, 5,678,901 values, "
        "123,457 points/s, 30s left"
    )


def test_what_a_run_does_before_it_copies() -> None:
    """In its own words; a single database needs no number."""
    only = replace(RUN, number=1, databases=1)
    assert what(RunState(0)) == "connecting"
    assert what(replace(only, phase="looking for late data")) == "telegraf: looking for late data"
    assert what(only) == "telegraf"
    planning = progress_line(replace(only, phase="planning", amounts=Totals()), 20 * SECOND)
    assert planning == "telegraf: planning, 0 points, 0 values, 123,457 points/s"


def test_failures_and_retries_are_told() -> None:
    """Where there are any."""
    run = replace(
        RUN, amounts=replace(RUN.amounts, failures=2), trouble="source x: HTTP 503; retry 1 of 3 in 5.0 s"
    )
    line = progress_line(run, 20 * SECOND)
    assert line.endswith("2 failures, trying again: source x: HTTP 503; retry 1 of 3 in 5.0 s")
    assert "1 failure," in progress_line(replace(run, amounts=replace(run.amounts, failures=1)), 20 * SECOND)
    assert row(run, 200).endswith("2 failures  trying again: source x: HTTP 503; retry 1 of 3 in 5.0 s")


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (
            130,
            "prod  telegraf (2 of 3)  ━━━━━───────────────   25%  37 of 120  1.23M points  5.68M values  123k/s"
            "  30s left",
        ),
        (90, "prod  telegraf (2 of 3)   25%  37 of 120  1.23M points  5.68M values  123k/s  30s left"),
        (70, "prod  telegraf (2 of 3)   25%  37 of 120  1.23M points  30s left"),
        (50, "prod  telegraf (2 of 3)   25%  1.23M points"),
        (25, "prod  telegraf (2 of 3)"),
        (10, "prod"),
        (1, "prod"),
    ],
)
def test_a_row_leaves_out_what_matters_least(width: int, expected: str) -> None:
    """And is never wider than asked for, but for the name."""
    assert row(RUN, width) == expected


def test_a_name_that_is_no_plain_text_cannot_move_the_cursor() -> None:
    """Databases may have any name."""
    text = row(replace(RUN, database="a\x1b[2Jb\nc"), 200)
    assert text.isprintable()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (1000, "1.00k"),
        (9_994, "9.99k"),
        (9_996, "10.0k"),
        (99_960, "100k"),
        (999_400, "999k"),
        (999_600, "1.00M"),
        (12_345_678, "12.3M"),
        (1_234_567_890, "1.23G"),
        (2.5e12, "2.50T"),
    ],
)
def test_short_numbers(count: float, text: str) -> None:
    """Three digits, rounded, never `1000k`."""
    assert short(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (42, "42s"), (310, "5m10s"), (3_600, "1h"), (12_059, "3h20m"), (187_300, "2d4h")],
)
def test_durations_are_no_more_exact_than_can_be_known(seconds: float, text: str) -> None:
    """The two largest units."""
    assert duration(seconds) == text


def test_what_can_be_drawn_on() -> None:
    """A terminal that can take back what was written on it."""
    own, theirs = pty.openpty()
    with os.fdopen(own, "rb"), os.fdopen(theirs, "w") as terminal:
        assert can_draw(terminal, {"TERM": "xterm"})
        assert not can_draw(terminal, {"TERM": "dumb"})
        assert not can_draw(terminal, {})
    assert not can_draw(io.StringIO(), {"TERM": "xterm"})
