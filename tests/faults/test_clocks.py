"""Clocks that are a day off, and points at unusual times."""

import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.harness import Ended, assert_honest, assert_mended, fresh, run
from tests.faults.rounds import Rounds
from tests.integration.harness import DAY, HOUR, MONDAY, Pair
from tests.support.reader import FIRST_TIME, LAST_TIME

FAKETIME = "faketime/libfaketimeMT.so.1"
LIBRARY_FOLDERS = (Path("/usr/lib"), Path("/usr/local/lib"))

OFF = pytest.mark.parametrize("off", [1, -1], ids=["a day ahead", "a day behind"])
MINUTE = HOUR // 60


def another_clock(days: int) -> dict[str, str]:
    """The environment of a process whose clock is so many days off."""
    found = next((path for folder in LIBRARY_FOLDERS for path in sorted(folder.glob(f"*/{FAKETIME}"))), None)
    assert found, "libfaketime was not found: install it (on Debian: apt-get install faketime)"
    return {
        **os.environ,
        "LD_PRELOAD": str(found),
        "FAKETIME": f"{days:+}d",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def assert_clock_was_off(found: Ended, days: int) -> None:
    """The first line of the log has the time of the other clock."""
    printed = datetime.fromisoformat(found.output.split(maxsplit=1)[0])
    off = printed - datetime.now(UTC)
    assert abs(off - timedelta(days=days)) < timedelta(hours=1), f"the clock was not off\n{found}"


def both_hosts(value: int, moments: Iterable[int]) -> str:
    """A point of two hosts at each of the moments."""
    return "\n".join(f"m,host={h} v={value}i {moment}" for moment in moments for h in "ab")


def around(now: int, value: int) -> str:
    """Points of the last three days and of the next two, every ten minutes."""
    return both_hosts(value, range(now - 3 * DAY, now + 2 * DAY, 10 * MINUTE))


def past(now: int) -> str:
    """Points of the last three days up to now."""
    return "\n".join(
        f"m,host={h} v=1i {moment}" for moment in range(now - 3 * DAY, now, 10 * MINUTE) for h in "ab"
    )


@OFF
def test_the_clock_of_the_tool_is_off(pair: Pair, rounds: Rounds, off: int) -> None:
    """What was there is copied, what comes later too, with the clock still wrong and with the right one."""
    for number in rounds.of(f"clock of the tool {'a day ahead' if off > 0 else 'a day behind'}", 10):
        with fresh(pair, number) as round_:
            now = time.time_ns()
            round_.write(past(now))
            environ = another_clock(off)
            found = run(round_, environ=environ)
            assert_clock_was_off(found, off)
            assert found.code == 0, found
            round_.assert_equal()
            round_.write(both_hosts(2, range(now, now + 10 * MINUTE, MINUTE)))
            found = run(round_, environ=environ)
            assert_clock_was_off(found, off)
            assert found.code == 0, found
            round_.assert_equal()
            round_.write(both_hosts(3, range(now + 10 * MINUTE, now + 20 * MINUTE, MINUTE)))
            assert_mended(round_)


def test_a_clock_ahead_gives_nothing_up_too_early(pair: Pair, rounds: Rounds) -> None:
    """What a retention policy still keeps is copied, although the tool's clock says that its time is over."""
    for number in rounds.of("clock of the tool a day ahead, with a retention policy", 10):
        with fresh(pair, number) as round_:
            round_.source.create_database(round_.database)
            round_.source.query(f'CREATE RETENTION POLICY short ON "{round_.database}" DURATION 75h REPLICATION 1')
            round_.write(past(time.time_ns()), "short")
            found = run(round_, environ=another_clock(1))
            assert_clock_was_off(found, 1)
            assert_honest(round_, found)
            assert_mended(round_)


def test_points_of_yesterday_and_tomorrow(pair: Pair, rounds: Rounds) -> None:
    """Points a day and two ahead of the tool's clock are copied, also when they were rewritten since."""
    for number in rounds.of("points up to two days ahead of the clock", 10):
        with fresh(pair, number) as round_:
            now = time.time_ns()
            round_.write(around(now, 1))
            assert_mended(round_)
            round_.write("\n".join(f"m,host=a v=2i {now + n * HOUR + 1}" for n in range(-1, 48)))
            round_.write("\n".join(f"m,host=b v=3i {now - 3 * DAY + n * 10 * MINUTE}" for n in range(432, 700)))
            assert_mended(round_)


def test_points_at_the_ends_of_time(pair: Pair, rounds: Rounds) -> None:
    """In the year 2100, and at the first and the last nanosecond that InfluxDB knows."""
    in_2100 = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * 10**9
    for number in rounds.of("points in 2100 and at the ends of time", 5):
        with fresh(pair, number) as round_:
            for edge, inwards in ((FIRST_TIME, 1), (MONDAY, 1), (in_2100, 1), (LAST_TIME, -1)):
                round_.write(
                    "\n".join(f"m,host={h} v={n}i {edge + inwards * n}" for n in range(100) for h in "ab")
                )
            assert_mended(round_)
            for edge, inwards in ((MONDAY + DAY, 1), (in_2100 + DAY, 1), (LAST_TIME - DAY, -1)):
                round_.write(
                    "\n".join(f"m,host={h} v={n}i {edge + inwards * n}" for n in range(100) for h in "ab")
                )
            assert_mended(round_)
