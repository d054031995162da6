"""Range mode: exactly the points of [start, end), and nothing else."""

import pytest

from basics.times import END_OF_TIME, format_time
from tests.integration.harness import DAY, MONDAY, WEEK, Pair, run_main, write_job


def sections(start: int, end: int) -> dict[str, object]:
    """A range job's part."""
    dates = {"start_date": format_time(start), "end_date": format_time(end)}
    return {"options": {"backup_mode": "range", "range": dates}}


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (MONDAY, MONDAY + WEEK),
        (MONDAY - 1, MONDAY + WEEK + 1),
        (MONDAY + 1, MONDAY + WEEK - 1),
        (MONDAY + 12_345_678_901, MONDAY + 12_345_678_902),
        (-9223372036854775806, 9223372036854775806),
    ],
)
def test_the_start_is_included_and_the_end_is_not(start: int, end: int, pair: Pair) -> None:
    """Points a nanosecond either side of the range's and the shard groups' edges fall on the right side."""
    times = {edge + delta for edge in (MONDAY, MONDAY + WEEK, MONDAY + DAY) for delta in (-2, -1, 0, 1, 2)}
    times |= {MONDAY + 12_345_678_900 + delta for delta in range(4)}
    pair.write("\n".join(f"m,s=x v={t}i {t}" for t in times))
    assert pair.backup(sections(start, end)).failures == ()
    found = {at[4] for at in pair.found().points}
    assert found == {t for t in times if start <= t < end}


def test_a_range_can_have_the_last_nanosecond_that_influxdb_stores(pair: Pair) -> None:
    """The end is exclusive, so it may be one more; `verify` takes it too."""
    pair.write(f"m v=1 {END_OF_TIME - 1}\nm v=2 {END_OF_TIME - 2}")
    assert pair.backup(sections(END_OF_TIME - 2, END_OF_TIME)).failures == ()
    pair.assert_equal(points=2)
    path = write_job(pair.directory, pair.config(sections(END_OF_TIME - 2, END_OF_TIME)))
    done = run_main("verify", "--config", path, "--end", format_time(END_OF_TIME), "--full")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_range_is_copied_whole_whatever_the_destination_holds(pair: Pair) -> None:
    """Newer points in the destination do not count as a watermark for a range."""
    pair.write("\n".join(f"m v={i} {MONDAY + i}" for i in range(100)))
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=99 {MONDAY + 99}", pair.database)
    assert pair.backup(sections(MONDAY, MONDAY + 100)).succeeded
    pair.assert_equal(points=100)


@pytest.mark.parametrize("days", [0.001, 1, 3.5, 1000])
def test_days_of_pagination_changes_nothing_but_the_queries(days: float, pair: Pair) -> None:
    """Short or long queries: the same points."""
    pair.write("\n".join(f"m,s={i % 3} v={i}i {MONDAY + i * 7 * 60 * 10**9}" for i in range(400)))
    part = sections(MONDAY, MONDAY + 2 * WEEK)
    part["options"] = {**dict(part["options"]), "days_of_pagination": days}  # type: ignore[call-overload]
    result = pair.backup(part)
    assert result.succeeded
    assert result.written.points == 400
    pair.assert_equal(points=400)
