"""Schedules: cron's meaning in every time zone, no run lost, none doubled, and an end when asked."""

from __future__ import annotations

import datetime as dt
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basics.stopping import StopRequest
from scheduler import Scheduler, run_job_once
from settings.cron import parse_cron
from settings.next_run import next_run

MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def local(text: str, zone: str) -> dt.datetime:
    """The moment when a clock in the zone shows the text; for a time that comes twice, the first."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def runs(text: str, zone: str, now: dt.datetime) -> Iterator[dt.datetime]:
    """The runs of an expression after now, one after the other."""
    cron = parse_cron(text)
    while True:
        now = next_run(cron, zone, now)
        yield now


def shown(text: str, zone: str, now: str, count: int) -> list[str]:
    """The next runs as text, with their offset from UTC."""
    return [run.isoformat(" ", "minutes") for run in itertools.islice(runs(text, zone, local(now, zone)), count)]


# --- Expressions against known dates -----------------------------------------------------------------

KNOWN = [
    # 2026-01-01 is a Thursday
    ("0 2 * * 0", ["01-04 02:00", "01-11 02:00", "01-18 02:00"]),
    ("0 2 * * 7", ["01-04 02:00", "01-11 02:00", "01-18 02:00"]),
    ("0 2 * * sun", ["01-04 02:00", "01-11 02:00", "01-18 02:00"]),
    ("0 2 * * 1", ["01-05 02:00", "01-12 02:00"]),
    ("0 2 * * 6", ["01-03 02:00", "01-10 02:00"]),
    ("0 2 * * mon-fri", ["01-01 02:00", "01-02 02:00", "01-05 02:00", "01-06 02:00"]),
    ("0 2 * * 1-5", ["01-01 02:00", "01-02 02:00", "01-05 02:00", "01-06 02:00"]),
    ("0 2 * * 5-7", ["01-02 02:00", "01-03 02:00", "01-04 02:00", "01-09 02:00"]),
    ("0 2 * * sat,sun", ["01-03 02:00", "01-04 02:00", "01-10 02:00"]),
    ("0 2 * * 0,3", ["01-04 02:00", "01-07 02:00", "01-11 02:00"]),
    ("*/2 * * * *", ["01-01 00:02", "01-01 00:04", "01-01 00:06"]),
    ("0 */2 * * *", ["01-01 02:00", "01-01 04:00", "01-01 06:00"]),
    ("0 0 */2 * *", ["01-03 00:00", "01-05 00:00", "01-07 00:00"]),
    ("0 0 1 */2 *", ["03-01 00:00", "05-01 00:00", "07-01 00:00"]),
    ("0 0 * * */2", ["01-03 00:00", "01-04 00:00", "01-06 00:00", "01-08 00:00", "01-10 00:00"]),
    ("*/15 * * * *", ["01-01 00:15", "01-01 00:30", "01-01 00:45", "01-01 01:00"]),
    ("* * * * *", ["01-01 00:01", "01-01 00:02"]),
    ("5,35 8-9 * * *", ["01-01 08:05", "01-01 08:35", "01-01 09:05", "01-01 09:35", "01-02 08:05"]),
    ("10-40/15 3 * * *", ["01-01 03:10", "01-01 03:25", "01-01 03:40", "01-02 03:10"]),
    ("0 22-23,0 * * *", ["01-01 22:00", "01-01 23:00", "01-02 00:00"]),
    ("59 23 31 12 *", ["12-31 23:59"]),
    ("0 0 13 * 5", ["01-02 00:00", "01-09 00:00", "01-13 00:00", "01-16 00:00"]),
    ("0 0 13 feb 5", ["02-06 00:00", "02-13 00:00", "02-20 00:00"]),
    ("0 0 */2 * 5", ["01-09 00:00", "01-23 00:00", "02-13 00:00"]),
    ("0 0 31 * *", ["01-31 00:00", "03-31 00:00", "05-31 00:00", "07-31 00:00", "08-31 00:00"]),
    ("0 0 30 * *", ["01-30 00:00", "03-30 00:00", "04-30 00:00"]),
    ("0 0 28-31 2 *", ["02-28 00:00"]),
    ("0 0 31 2 mon", ["02-02 00:00", "02-09 00:00", "02-16 00:00", "02-23 00:00"]),
    ("0 0 1 * *", ["02-01 00:00", "03-01 00:00", "04-01 00:00", "05-01 00:00"]),
    ("0 0 * jan-mar/2 mon", ["01-05 00:00", "01-12 00:00", "01-19 00:00", "01-26 00:00", "03-02 00:00"]),
]


@pytest.mark.parametrize("zone", ["UTC", BERLIN, NEW_YORK, "Asia/Kathmandu"])
@pytest.mark.parametrize(("text", "expected"), KNOWN)
def test_an_expression_runs_at_these_times_of_its_time_zone(text: str, expected: list[str], zone: str) -> None:
    """Checked against a calendar; the clock changes of the year are on the way of some and lose none of them."""
    found = itertools.islice(runs(text, zone, local("2026-01-01 00:00", zone)), len(expected))
    assert [run.strftime("%m-%d %H:%M") for run in found] == expected


@pytest.mark.parametrize("zone", ["UTC", BERLIN, NEW_YORK])
def test_a_leap_day_comes_every_four_years(zone: str) -> None:
    """29 February is not replaced by a day of other years; 2100 has none."""
    found = itertools.islice(runs("0 0 29 2 *", zone, local("2026-01-01 00:00", zone)), 3)
    assert [run.date().isoformat() for run in found] == ["2028-02-29", "2032-02-29", "2036-02-29"]
    assert next_run(parse_cron("0 0 29 2 *"), zone, local("2097-01-01 00:00", zone)).year == 2104


def test_a_leap_day_on_a_sunday_can_be_forty_years_away() -> None:
    """A weekday field that starts with * narrows the day down, however rare that becomes."""
    run = next_run(parse_cron("0 0 29 2 */7"), "UTC", local("2088-03-01 00:00", "UTC"))
    assert run.date() == dt.date(2128, 2, 29)


def test_the_next_run_is_after_now_and_in_the_zone_of_the_schedule() -> None:
    """A run that begins exactly on time is not found again; what it is asked in does not matter."""
    cron, at = parse_cron("0 2 * * *"), local("2026-06-10 02:00", BERLIN)
    for zone in ("UTC", BERLIN, "Asia/Tokyo"):
        now = at.astimezone(ZoneInfo(zone))
        assert next_run(cron, BERLIN, now - dt.datetime.resolution).isoformat() == "2026-06-10T02:00:00+02:00"
        assert next_run(cron, BERLIN, now).isoformat() == "2026-06-11T02:00:00+02:00"


def test_an_unknown_time_zone_is_an_error() -> None:
    """It is never replaced by UTC or the machine's own."""
    with pytest.raises(ZoneInfoNotFoundError):
        next_run(parse_cron("0 2 * * *"), "Europe/Berln", dt.datetime.now(dt.UTC))


# --- The days on which the clocks change -------------------------------------------------------------

CLOCK_CHANGES = [
    # spring, Berlin: 02:00 becomes 03:00
    ("30 2 * * *", BERLIN, "2026-03-28 00:00", ["28 02:30+01:00", "29 03:30+02:00", "30 02:30+02:00"]),
    ("0 2 * * 0", BERLIN, "2026-03-28 00:00", ["29 03:00+02:00", "05 02:00+02:00"]),
    ("0 3 * * *", BERLIN, "2026-03-28 12:00", ["29 03:00+02:00", "30 03:00+02:00"]),
    ("0 0 * * *", BERLIN, "2026-03-28 12:00", ["29 00:00+01:00", "30 00:00+02:00", "31 00:00+02:00"]),
    ("30 0 * * *", BERLIN, "2026-03-29 00:10", ["29 00:30+01:00", "30 00:30+02:00", "31 00:30+02:00"]),
    ("0 0 1 * *", BERLIN, "2026-03-01 12:00", ["01 00:00+02:00", "01 00:00+02:00"]),
    ("0 2,3 * * *", BERLIN, "2026-03-29 00:00", ["29 03:00+02:00", "30 02:00+02:00", "30 03:00+02:00"]),
    ("0 * * * *", BERLIN, "2026-03-29 00:30", ["29 01:00+01:00", "29 03:00+02:00", "29 04:00+02:00"]),
    ("15 * * * *", BERLIN, "2026-03-29 00:30", ["29 01:15+01:00", "29 03:15+02:00", "29 04:15+02:00"]),
    ("0 */2 * * *", BERLIN, "2026-03-28 23:00", ["29 00:00+01:00", "29 03:00+02:00", "29 04:00+02:00"]),
    ("*/30 * * * *", BERLIN, "2026-03-29 01:10", ["29 01:30+01:00", "29 03:00+02:00", "29 03:30+02:00"]),
    # autumn, Berlin: 03:00 becomes 02:00
    ("30 2 * * *", BERLIN, "2026-10-24 12:00", ["25 02:30+02:00", "26 02:30+01:00", "27 02:30+01:00"]),
    ("0 2 * * 7", BERLIN, "2026-10-24 12:00", ["25 02:00+02:00", "01 02:00+01:00"]),
    ("0 0 * * *", BERLIN, "2026-10-24 12:00", ["25 00:00+02:00", "26 00:00+01:00", "27 00:00+01:00"]),
    ("0 3 * * *", BERLIN, "2026-10-24 12:00", ["25 03:00+01:00", "26 03:00+01:00"]),
    ("*/20 2 * * *", BERLIN, "2026-10-25 02:10", ["25 02:20+02:00", "25 02:40+02:00", "26 02:00+01:00"]),
    ("0 * * * *", BERLIN, "2026-10-25 01:30", ["25 02:00+02:00", "25 02:00+01:00", "25 03:00+01:00"]),
    ("0 1-5 * * *", BERLIN, "2026-10-25 01:30", ["25 02:00+02:00", "25 02:00+01:00", "25 03:00+01:00"]),
    ("0 */2 * * *", BERLIN, "2026-10-25 01:30", ["25 02:00+02:00", "25 04:00+01:00"]),
    ("*/30 * * * *", BERLIN, "2026-10-25 02:10", ["25 02:30+02:00", "25 02:00+01:00", "25 02:30+01:00"]),
    # New York: 02:00 becomes 03:00 on 8 March, and 01:00 on 1 November
    ("30 2 * * *", NEW_YORK, "2026-03-07 12:00", ["08 03:30-04:00", "09 02:30-04:00"]),
    ("30 1 * * *", NEW_YORK, "2026-10-31 12:00", ["01 01:30-04:00", "02 01:30-05:00"]),
    ("30 * * * *", NEW_YORK, "2026-11-01 01:00", ["01 01:30-04:00", "01 01:30-05:00", "01 02:30-05:00"]),
    # zones with a change at midnight, and one of half an hour
    ("30 0 * * *", "America/Santiago", "2026-09-05 12:00", ["06 01:30-03:00", "07 00:30-03:00"]),
    ("30 23 * * *", "America/Santiago", "2026-04-04 12:00", ["04 23:30-03:00", "05 23:30-04:00"]),
    ("*/20 * * * *", LORD_HOWE, "2026-10-04 01:30", ["04 01:40+10:30", "04 02:30+11:00", "04 02:40+11:00"]),
    ("45 1 * * *", LORD_HOWE, "2026-04-05 00:00", ["05 01:45+11:00", "06 01:45+10:30"]),
    # Samoa left out a whole day
    ("30 2 * * *", "Pacific/Apia", "2011-12-29 12:00", ["31 02:30+14:00", "01 02:30+14:00"]),
    # UTC changes never
    ("30 2 * * *", "UTC", "2026-03-28 12:00", ["29 02:30+00:00", "30 02:30+00:00"]),
]


@pytest.mark.parametrize(("text", "zone", "now", "expected"), CLOCK_CHANGES)
def test_a_schedule_survives_the_change_of_the_clocks(text: str, zone: str, now: str, expected: list[str]) -> None:
    """A skipped time is made up for, a repeated one counts once, and what is hourly or denser has no pause."""
    assert [run[len("2026-03-") :] for run in shown(text, zone, now, len(expected))] == expected


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, "America/Santiago", "Atlantic/Azores"])
@pytest.mark.parametrize(
    ("text", "step"), [("*/15 * * * *", 15 * MINUTE), ("7 * * * *", HOUR), ("1 0-23 * * *", HOUR)]
)
def test_hourly_and_denser_schedules_never_pause_and_never_double(
    zone: str, text: str, step: dt.timedelta
) -> None:
    """Over both days of change, the time that really passes between two runs is always the same."""
    for start in ("2026-03-07", "2026-03-28", "2026-04-04", "2026-09-05", "2026-10-24", "2026-10-31"):
        begin = local(start + " 00:00", zone)
        found = [run.astimezone(dt.UTC) for run in itertools.islice(runs(text, zone, begin), 2 * DAY // step)]
        assert {later - run for run, later in itertools.pairwise(found)} == {step}


@pytest.mark.parametrize("zone", ["UTC", BERLIN, NEW_YORK, LORD_HOWE, "America/Santiago", "Atlantic/Azores"])
@pytest.mark.parametrize("clock", ["0 0", "30 0", "30 1", "15 2", "30 2", "0 3", "30 23"])
def test_a_daily_schedule_runs_once_on_every_day_of_the_year(zone: str, clock: str) -> None:
    """Whatever its time of day, it has 365 runs in 2026, each on its own date."""
    found = itertools.takewhile(
        lambda run: run.year == 2026, runs(clock + " * * *", zone, local("2025-12-31 23:45", zone))
    )
    dates = [run.date() for run in found]
    assert len(dates) == len(set(dates)) == 365


# --- Against an independent reading of cron, minute by minute ----------------------------------------

LIMITS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


class Minutes:
    """Says of each single minute whether an expression runs in it; shares nothing with the code under test."""

    def __init__(self, text: str, zone: str) -> None:
        self.fields = text.split()
        self.zone = ZoneInfo(zone)
        names = dict(zip(("sun", "mon", "tue", "wed", "thu", "fri", "sat"), "0123456", strict=True))
        for name, number in names.items():
            self.fields[4] = self.fields[4].replace(name, number)
        self.sets = [self._numbers(field, *limits) for field, limits in zip(self.fields, LIMITS, strict=True)]

    @staticmethod
    def _numbers(field: str, low: int, high: int) -> set[int]:
        numbers: set[int] = set()
        for part in field.split(","):
            base, _, step = part.partition("/")
            first, _, last = (f"{low}-{high}" if base == "*" else base).partition("-")
            end = last or (str(high) if step else first)
            numbers.update(range(int(first), int(end) + 1, int(step or "1")))
        return numbers

    def match(self, reading: dt.datetime) -> bool:
        """Whether the clock shows a time of the schedule."""
        minute, hour, day, month, weekday = self.sets
        on_day = reading.day in day
        on_weekday = reading.isoweekday() in weekday or (reading.isoweekday() == 7 and 0 in weekday)
        either = self.fields[2][0] != "*" and self.fields[4][0] != "*"
        today = (on_day or on_weekday) if either else (on_day and on_weekday)
        return reading.minute in minute and reading.hour in hour and reading.month in month and today

    def run_at(self, moment: dt.datetime) -> bool:
        """Whether the schedule runs at this moment, also on the days of change."""
        clock = moment.astimezone(self.zone)
        reading = clock.replace(tzinfo=None, fold=0)
        if self.match(reading) and (clock.fold == 0 or self.match(reading + HOUR)):
            return True
        before = (moment - DAY).astimezone(self.zone).utcoffset()
        assert before is not None
        unchanged = (moment + before).replace(tzinfo=None)
        back = unchanged.replace(tzinfo=self.zone).astimezone(dt.UTC).astimezone(self.zone)
        return back.replace(tzinfo=None, fold=0) != unchanged and self.match(unchanged)

    def between(self, start: dt.datetime, end: dt.datetime) -> list[dt.datetime]:
        """All runs after start, up to end, both on full minutes of UTC."""
        minutes = (start + number * MINUTE for number in range(1, (end - start) // MINUTE + 1))
        return [moment for moment in minutes if self.run_at(moment)]


def found_between(text: str, zone: str, start: dt.datetime, end: dt.datetime) -> list[dt.datetime]:
    """The same from the code under test."""
    moments = (run.astimezone(dt.UTC) for run in runs(text, zone, start))
    return list(itertools.takewhile(lambda run: run <= end, moments))


SPARSE = [
    "0 2 * * 0",
    "30 2 * * mon-fri",
    "0 */2 * * *",
    "0 0 13 * 5",
    "15,45 1-3 * * *",
    "5 0-23/5 1,15,28-31 * 6,7",
]
DENSE = ["*/15 * * * *", "* 1-3 * * *", "*/7 */2 1-31 * *", "10-50/20 0,1,2,23 * * *"]
CHANGING = [
    ("UTC", "2026-02-15"), (BERLIN, "2026-03-29"), (BERLIN, "2026-10-25"), (NEW_YORK, "2026-03-08"),
    (NEW_YORK, "2026-11-01"), (LORD_HOWE, "2026-04-05"), (LORD_HOWE, "2026-10-04"),
    ("America/Santiago", "2026-04-05"), ("America/Santiago", "2026-09-06"), ("Atlantic/Azores", "2026-10-25"),
    ("Asia/Kathmandu", "2026-02-28"), ("Pacific/Apia", "2011-12-30"),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "day"), [place for place in CHANGING if place[0] != "Pacific/Apia"])
def test_every_minute_of_some_weeks_is_decided_as_cron_would(zone: str, day: str) -> None:
    """Eight days for sparse schedules and one for dense ones, around a change of the clocks of each zone."""
    middle = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    for texts, span in ((SPARSE, 4 * DAY), (DENSE, 12 * HOUR)):
        for text in texts:
            expected = Minutes(text, zone).between(middle - span, middle + span)
            assert expected, text
            assert found_between(text, zone, middle - span, middle + span) == expected, text


@st.composite
def cron_texts(draw: st.DrawFn) -> str:
    """Valid expressions that run often enough to be checked minute by minute."""

    def field(low: int, high: int) -> str:
        first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        step = draw(st.integers(1, min(12, high - low)))
        several = f"{first}-{last}" if first < last else f"{first}"
        return draw(st.sampled_from(["*", f"*/{step}", f"{first},{last}", several, f"{low}-{high}/{step}"]))

    minute, hour, day, _, weekday = (field(*limits) for limits in LIMITS)
    return f"{minute} {hour} {day} * {weekday}"


@st.composite
def moments_near_a_change(draw: st.DrawFn) -> tuple[str, dt.datetime]:
    """A time zone, and a time within two days of one of its changes."""
    zone, day = draw(st.sampled_from(CHANGING))
    seconds = draw(st.integers(-2 * 86_400, 2 * 86_400))
    return zone, dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)


@settings(max_examples=100, deadline=None)
@given(cron_texts(), moments_near_a_change())
def test_the_next_run_is_the_first_minute_that_matches(text: str, place: tuple[str, dt.datetime]) -> None:
    """For any expression and time: nothing that matches lies before it, and it matches itself."""
    zone, now = place
    found = next_run(parse_cron(text), zone, now).astimezone(dt.UTC)
    minutes = Minutes(text, zone)
    assert found > now
    assert minutes.run_at(found)
    floor = now.replace(second=0)
    assert minutes.between(floor, min(found, floor + 2 * DAY)) in ([], [found])


@settings(max_examples=50, deadline=None)
@given(cron_texts(), moments_near_a_change(), st.floats(0, 1, exclude_max=True))
def test_asking_again_before_the_next_run_gives_the_same_answer(
    text: str, place: tuple[str, dt.datetime], share: float
) -> None:
    """So it does not matter when a daemon starts, and the runs always follow one another in time."""
    zone, now = place
    cron = parse_cron(text)
    found = next_run(cron, zone, now).astimezone(dt.UTC)
    later = now + (found - now) * share
    assert later >= found or next_run(cron, zone, later).astimezone(dt.UTC) == found
    assert next_run(cron, zone, found).astimezone(dt.UTC) > found


def test_a_schedule_with_a_day_that_never_comes_is_not_slow() -> None:
    """`31 2 mon` is every Monday of February; the search for the 31st does not delay each answer."""
    begun = time.process_time()
    found = list(itertools.islice(runs("*/5 * 31 2 mon", BERLIN, local("2026-02-02 00:00", BERLIN)), 200))
    assert {run.date().isoformat() for run in found} == {"2026-02-02"}
    assert time.process_time() - begun < 20  # a search each time takes more than a minute


# --- Running -----------------------------------------------------------------------------------------


class FastTime(StopRequest):
    """Time that passes only while somebody waits or works; at its end, it asks to stop."""

    def __init__(self, start: str, end: str, zone: str = "UTC") -> None:
        super().__init__()
        self.zone = zone
        self.now, self.end = (local(text, zone).astimezone(dt.UTC) for text in (start, end))
        self.waits: list[float] = []
        self.begun: list[str] = []

    def clock(self) -> dt.datetime:
        """What the clock shows."""
        return self.now

    def wait(self, seconds: float) -> bool:
        """Let the time pass at once."""
        self.waits.append(seconds)
        return self.work(dt.timedelta(seconds=seconds))

    def work(self, span: dt.timedelta) -> bool:
        """Let time pass; says whether to stop."""
        self.now += span
        self.requested = self.requested or self.now >= self.end
        return self.requested

    def begin(self) -> None:
        """Note that a run begins now."""
        self.begun.append(self.now.astimezone(ZoneInfo(self.zone)).isoformat(" ", "minutes")[len("2026-") :])

    def run(self, text: str, job: Callable[[], object] | None = None, *, run_on_start: bool = False) -> list[str]:
        """When the runs of a schedule began."""
        cron = parse_cron(text)
        Scheduler(
            job or self.begin, cron, self.zone, run_on_start=run_on_start, stopping=self, clock=self.clock
        ).start()
        return self.begun


def test_a_job_runs_at_each_of_its_times() -> None:
    """Once each, to the second, and not at the start."""
    days = FastTime("2026-06-10 12:00", "2026-06-13 12:00", BERLIN)
    assert days.run("0 2 * * *") == ["06-11 02:00+02:00", "06-12 02:00+02:00", "06-13 02:00+02:00"]


def test_run_on_start_runs_at_once_and_then_at_each_time() -> None:
    """Whoever restarts a daemon need not wait for the night to see whether it works."""
    days = FastTime("2026-06-10 12:34", "2026-06-11 12:00", BERLIN)
    assert days.run("0 2 * * *", run_on_start=True) == ["06-10 12:34+02:00", "06-11 02:00+02:00"]


def test_a_daemon_works_through_the_days_when_the_clocks_change() -> None:
    """Each night has its run in spring and autumn."""
    spring = FastTime("2026-03-28 12:00", "2026-03-30 12:00", BERLIN)
    assert spring.run("30 2 * * *") == ["03-29 03:30+02:00", "03-30 02:30+02:00"]
    autumn = FastTime("2026-10-24 12:00", "2026-10-26 12:00", BERLIN)
    assert autumn.run("30 2 * * *") == ["10-25 02:30+02:00", "10-26 02:30+01:00"]


def test_runs_missed_during_a_long_run_become_one_that_follows_at_once() -> None:
    """A run of 3 hours on an hourly schedule: the next begins when it ends, the one after that on time."""
    hours = FastTime("2026-06-10 00:30", "2026-06-10 07:30")
    lengths = iter([3 * HOUR + 10 * MINUTE])

    def job() -> None:
        hours.begin()
        hours.work(next(lengths, MINUTE))

    begun = hours.run("0 * * * *", job)
    assert begun == [f"06-10 {clock}+00:00" for clock in ("01:00", "04:10", "05:00", "06:00", "07:00")]


def test_a_run_that_takes_longer_than_the_interval_never_waits() -> None:
    """A daily backup of 25 hours runs without a break, not every other day."""
    days = FastTime("2026-06-10 01:00", "2026-06-13 12:00")

    def job() -> None:
        days.begin()
        days.work(25 * HOUR)

    begun = days.run("0 2 * * *", job)
    assert begun == ["06-10 02:00+00:00", "06-11 03:00+00:00", "06-12 04:00+00:00", "06-13 05:00+00:00"]


def test_a_run_that_ends_exactly_at_the_next_time_is_followed_at_once() -> None:
    """The boundary belongs to the next run: it is neither lost nor doubled."""
    hours = FastTime("2026-06-10 00:30", "2026-06-10 03:30")

    def job() -> None:
        hours.begin()
        hours.work(HOUR)

    assert hours.run("0 * * * *", job) == [f"06-10 0{hour}:00+00:00" for hour in (1, 2, 3)]


def test_what_the_job_raises_is_the_callers() -> None:
    """The scheduler hides no error; who gives it a job that must go on makes it so."""

    def job() -> None:
        raise ZeroDivisionError

    days = FastTime("2026-06-10 12:00", "2026-06-13 12:00")
    with pytest.raises(ZeroDivisionError):
        days.run("0 2 * * *", job)


# --- Clocks that jump --------------------------------------------------------------------------------


class Jump(FastTime):
    """Once, when a wait ends after `at`, the clock shows something else."""

    def __init__(self, start: str, end: str, *, at: str, to: str) -> None:
        super().__init__(start, end)
        self.jumps = [(local(at, "UTC"), local(to, "UTC"))]

    def wait(self, seconds: float) -> bool:
        """Let the time pass, and jump when it is time to."""
        super().wait(seconds)
        if self.jumps and self.now >= self.jumps[0][0]:
            self.now = self.jumps.pop()[1]
        return self.requested


def test_the_clock_is_read_at_least_every_thirty_seconds() -> None:
    """A wait is never longer: monotonic time stands still while a machine is suspended, and clocks get set."""
    days = FastTime("2026-06-10 12:00", "2026-06-11 12:00")
    days.run("0 2 * * *")
    assert 0 < max(days.waits) <= 30
    assert min(days.waits) > 0


def test_a_machine_that_wakes_up_late_runs_once_for_all_missed_times() -> None:
    """Suspended from 02:30 to 09:10 on an hourly schedule: one run at once, then on time."""
    hours = Jump("2026-06-10 01:30", "2026-06-10 11:30", at="2026-06-10 02:30", to="2026-06-10 09:10")
    assert hours.run("0 * * * *") == [f"06-10 {clock}+00:00" for clock in ("02:00", "09:10", "10:00", "11:00")]


def test_a_small_correction_of_the_clock_does_not_repeat_a_run() -> None:
    """A clock that is put back by seconds, just after a run has begun, passes the time again without one."""
    days = FastTime("2026-06-10 01:00", "2026-06-11 12:00")

    def job() -> None:
        days.begin()
        days.work(dt.timedelta(seconds=-5))

    assert days.run("0 2 * * *", job) == ["06-10 02:00+00:00", "06-11 02:00+00:00"]


def test_a_clock_that_was_years_ahead_does_not_stop_the_schedule(caplog: pytest.LogCaptureFixture) -> None:
    """A machine that boots in 2030 and then learns the date goes on from there, and says so."""
    caplog.set_level(logging.WARNING)
    days = Jump("2030-01-01 00:00", "2030-01-02 00:00", at="2030-01-01 00:05", to="2026-06-10 00:00")
    days.end = local("2030-01-01 00:06", "UTC")

    def job() -> None:
        days.begin()
        days.requested = len(days.begun) == 2

    assert days.run("0 2 * * *", job) == ["06-10 02:00+00:00", "06-11 02:00+00:00"]
    assert caplog.messages == ["the clock was set back to 2026-06-10 00:00:00+00:00"]


def test_a_clock_that_is_set_back_during_a_run_does_not_stop_the_schedule() -> None:
    """The next time counts from what the clock says now."""
    days = FastTime("2027-06-10 01:00", "2027-06-11 00:00")

    def job() -> None:
        days.begin()
        if len(days.begun) == 1:
            days.now = local("2026-06-10 01:00", "UTC")
        days.requested = len(days.begun) == 3

    assert days.run("0 2 * * *", job)[1:] == ["06-10 02:00+00:00", "06-11 02:00+00:00"]


# --- Stopping, in real time --------------------------------------------------------------------------

NIGHTLY = parse_cron("0 2 29 2 *")


def clock_from(text: str) -> Callable[[], dt.datetime]:
    """A clock that shows the time when it is first looked at, and goes on as fast as real ones."""
    shifts: list[dt.timedelta] = []

    def clock() -> dt.datetime:
        now = dt.datetime.now(dt.UTC)
        if not shifts:
            shifts.append(local(text, "UTC") - now)
        return now + shifts[0]

    return clock


def test_a_signal_ends_the_wait() -> None:
    """Nobody waits for the night to stop a daemon; the handler does no more than to set the flag."""
    stopping, ran = StopRequest(), []

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.requested = True

    before = signal.signal(signal.SIGUSR1, stop)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        begun = time.monotonic()
        timer.start()
        Scheduler(lambda: ran.append(1), NIGHTLY, BERLIN, stopping=stopping).start()
        assert 0.2 < time.monotonic() - begun < 60  # of years
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert ran == []


def test_a_run_in_progress_ends_before_the_scheduler_returns() -> None:
    """A stop during a run is the job's to notice; no other run begins, even if one is due."""
    stopping, events = StopRequest(), []

    def job() -> None:
        events.append("begun")
        stopping.requested = True
        time.sleep(0.3)
        events.append("ended")

    Scheduler(job, parse_cron("* * * * *"), "UTC", run_on_start=True, stopping=stopping).start()
    assert events == ["begun", "ended"]


def test_a_scheduler_that_is_stopped_before_it_starts_runs_nothing() -> None:
    """Not even with run_on_start."""
    stopping, ran = StopRequest(), []
    stopping.requested = True
    Scheduler(lambda: ran.append(1), NIGHTLY, "UTC", run_on_start=True, stopping=stopping).start()
    assert ran == []


def test_a_run_begins_on_time_and_only_once() -> None:
    """With a real clock and real waits, a second before the full hour."""
    stopping, clock = StopRequest(), clock_from("2026-06-10 01:59:59")
    begun: list[dt.datetime] = []

    def job() -> None:
        begun.append(clock())
        threading.Timer(1, setattr, (stopping, "requested", True)).start()  # a second run would begin before

    Scheduler(job, parse_cron("0 2 * * *"), "UTC", stopping=stopping, clock=clock).start()
    assert len(begun) == 1
    assert dt.timedelta() <= begun[0] - local("2026-06-10 02:00", "UTC") < dt.timedelta(minutes=1)


def test_a_run_that_is_going_is_not_started_a_second_time() -> None:
    """A real run over a full minute: the run for it begins when the first has ended, not beside it."""
    stopping, clock = StopRequest(), clock_from("2026-06-10 01:59:59.5")
    events: list[str] = []

    def job() -> None:
        events.append("begun")
        time.sleep(1)
        events.append("ended")
        stopping.requested = len(events) == 4

    Scheduler(job, parse_cron("* * * * *"), "UTC", run_on_start=True, stopping=stopping, clock=clock).start()
    assert events == ["begun", "ended", "begun", "ended"]
    assert clock() < local("2026-06-10 02:01", "UTC")


def test_a_job_that_runs_once_gives_its_result() -> None:
    """Without a schedule the job runs at once, and only once."""
    assert run_job_once(lambda: 7) == 7


# --- The log -----------------------------------------------------------------------------------------


def test_the_log_says_at_the_start_and_after_each_run_when_the_next_is(caplog: pytest.LogCaptureFixture) -> None:
    """In the time zone of the schedule, with its offset, and how long until then; one line each."""
    caplog.set_level(logging.INFO)
    days = FastTime("2026-03-28 12:00", "2026-03-29 12:00", BERLIN)

    def job() -> None:
        days.begin()
        days.work(5 * MINUTE)

    days.run("30 2 * * *", job)
    assert caplog.messages == [
        "next run at 2026-03-29 03:30:00+02:00, in 14h30m (schedule '30 2 * * *' in Europe/Berlin)",
        "next run at 2026-03-30 02:30:00+02:00, in 22h55m (schedule '30 2 * * *' in Europe/Berlin)",
    ]


def test_the_log_names_the_first_run_and_one_that_is_late(caplog: pytest.LogCaptureFixture) -> None:
    """An operator sees why a run begins at an odd time."""
    caplog.set_level(logging.INFO)
    hours = FastTime("2026-06-10 00:30", "2026-06-10 02:30")

    def job() -> None:
        hours.begin()
        hours.work(HOUR)

    hours.run("0 * * * *", job, run_on_start=True)
    assert caplog.messages == [
        "first run now, then at 2026-06-10 01:00:00+00:00, in 30m (schedule '0 * * * *' in UTC)",
        "next run now, due since 2026-06-10 01:00:00+00:00 (schedule '0 * * * *' in UTC)",
    ]
