"""How far a comparison is: a share, values, and the time left."""

import time
from collections import Counter

import pytest

from checking.progress import Copying, Progress
from influx.influxql import Location
from influx.written import Written


def row(progress: Progress, width: int) -> str:
    """The live line."""
    return "  ".join(text for text, _ in progress.row("prod", width))


def test_windows_that_are_done_count_and_inside_of_them_the_values_that_were_read() -> None:
    """So one long shard group does not stand still at nought."""
    progress = Progress()
    assert (progress.share, progress.line(), row(progress, 80)) == (0.0, "planning", "prod  planning")
    assert (progress.windows, progress.of, progress.values) == (0, 0, 0)
    progress.begin("comparing", 4)
    progress.batch(2, 1000)
    read = progress.reading()
    read["source"] += 250
    assert progress.share == 0.125
    read["destination"] += 250
    progress.read(read)
    assert progress.share == 0.25
    progress.done()
    assert progress.share == 0.5
    assert progress.line().startswith("comparing, 50.0%, 500 values read")
    assert row(progress, 80).startswith("prod  comparing  ━━━━━━━━━━──────────   50%  500 values read")
    assert row(progress, 30) == "prod  comparing   50%"


def test_more_values_than_were_expected_are_no_more_than_all_windows() -> None:
    """Somebody may write while they are read."""
    progress = Progress()
    progress.begin("comparing", 1)
    progress.batch(1, 10)
    progress.read(_read(progress, 1_000))
    assert progress.share == 1.0
    assert "1,000 values read" in progress.line()


def test_what_a_repair_writes_is_its_progress() -> None:
    """In values, of those that it copies."""
    progress = Progress()
    progress.begin("copying", 1, verb="written")
    progress.batch(1, 4)
    Copying(progress).wrote(Location("d", "p", "m"), Written(1, 1, 10))
    assert progress.line().startswith("copying, 25.0%, 1 value written")


def test_a_file_that_was_read_counts_by_its_bytes() -> None:
    """And with its values."""
    progress = Progress()
    progress.begin("reading", 1000)
    progress.passed(250, 7)
    progress.passed(500, 1)
    assert progress.line().startswith("reading, 75.0%, 8 values read")


def test_the_time_left_is_that_of_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the present phase; nothing is said of it in the first second, and while nothing is done."""
    now = 10.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress()
    progress.begin("comparing", 10)
    progress.batch(4, 100)
    now += 0.9
    progress.done()
    assert progress.seconds_left is None
    now += 0.1
    assert progress.seconds_left == pytest.approx(1.5)
    now += 79
    assert progress.line() == "comparing, 40.0%, 2m left"
    progress.begin("looking closer", 10)
    now += 10
    assert progress.seconds_left is None
    progress.passed(1, 5)
    assert progress.line() == "looking closer, 10.0%, 5 values read, 1m30s left"
    progress.passed(9, 5)
    assert progress.seconds_left == 0


def test_in_a_narrow_line_what_matters_least_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar, the number of values, the time left, the share, the phase; never the name of the job."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress()
    progress.begin("comparing", 4, verb="written")
    progress.passed(1, 2000)
    now += 30
    assert row(progress, 200) == "prod  comparing  ━━━━━───────────────   25%  2.00k values written  1m30s left"
    shown = [row(progress, width) for width in range(200, 0, -1)]
    assert list(dict.fromkeys(shown))[1:] == [
        "prod  comparing   25%  2.00k values written  1m30s left",
        "prod  comparing   25%  1m30s left",
        "prod  comparing   25%",
        "prod  comparing",
        "prod",
    ]


def test_a_phase_begins_at_nothing() -> None:
    """Whatever the one before has left: what it read in a batch that did not end, too."""
    progress = Progress()
    progress.begin("comparing", 2)
    progress.passed(1, 5)
    progress.batch(1, 10)
    progress.read(_read(progress, 7))
    progress.begin("looking closer", 4)
    assert (progress.share, progress.line()) == (0.0, "looking closer, 0.0%")
    progress.read(_read(progress, 7))
    assert progress.share == 0
    progress.batch(1, 10)
    assert progress.share == 0
    progress.done()
    progress.done()
    assert progress.share == 0.25


def _read(progress: Progress, count: int) -> Counter[str]:
    """A window of which so many values were read."""
    read = progress.reading()
    read["source"] += count
    return read
