"""When a job runs: once, or on a cron schedule, in this thread."""

import datetime as dt
import functools
import itertools
import logging
import zoneinfo
from collections.abc import Callable, Iterator
from typing import TypeVar

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

from stopping import StopRequest
from values import SECOND, CronExpression, format_duration

logger = logging.getLogger(__name__)
T = TypeVar("T")

_DAY, _HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
_LONGEST_WAIT = 30.0
"""Seconds after which the clock is read again: it may be set, and it goes on while a machine is suspended."""
_SET_BACK = dt.timedelta(minutes=1)
"""From here on a clock that goes backwards was set; less is the fine adjustment that all clocks get."""


def run_job_once(job: Callable[[], T]) -> T:
    """Run the job now, in this thread; whatever it raises is the caller's."""
    return job()


# --- The schedule ------------------------------------------------------------------------------------


def next_run(cron: CronExpression, timezone: str, now: dt.datetime) -> dt.datetime:
    """The first run after `now` (which has a time zone; a run at it is over), in the schedule's time zone.

    On the days when the clocks change:

    - A time that the clocks skip (02:30 in spring) comes as long after midnight as always: it reads 03:30.
      That is also what APScheduler makes of it. Where the schedule runs at that time anyway, it is one run.
    - A time that comes twice (02:30 in autumn) counts the first time. It counts the second time too if the
      schedule also runs an hour later: `*/15 * * * *` and `0 1-5 * * *` go on without a pause.

    Raises zoneinfo.ZoneInfoNotFoundError for an unknown time zone.
    """
    zone, now = zoneinfo.ZoneInfo(timezone), now.astimezone(dt.UTC)
    local = now.astimezone(zone).replace(tzinfo=dt.UTC)
    # Around a change of the clocks a later reading can come sooner, but by no more than the change.
    readings = _readings(_trigger(cron), local - _clock_change(zone, now))
    runs = (run for reading in readings for run in _moments(_trigger(cron), reading, zone) if run > now)
    first = next(runs)
    until = first + _clock_change(zone, first)
    return min(itertools.chain([first], itertools.takewhile(lambda run: run <= until, runs))).astimezone(zone)


@functools.lru_cache(maxsize=64)
def _trigger(cron: CronExpression) -> BaseTrigger:
    """What the expression says about readings of a clock, which it takes and gives as if they were UTC.

    APScheduler is not told the time zone: where the clocks change, its CronTrigger mixes readings and moments.
    `0 0 * * *` in Europe/Berlin would not run on the day after the change, and `0 0 1 * *` not on 1 April.
    """
    days = [(cron.day, "*"), ("*", cron.day_of_week)] if cron.either_day else [(cron.day, cron.day_of_week)]
    triggers = [
        CronTrigger(
            minute=cron.minute, hour=cron.hour, day=day, month=cron.month, day_of_week=weekday, timezone=dt.UTC
        )
        for day, weekday in days
    ]
    # Of `31 2 mon` only the Mondays come; looking for the other half takes a third of a second every time.
    since = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    return OrTrigger([trigger for trigger in triggers if trigger.get_next_fire_time(None, since)])


def _readings(trigger: BaseTrigger, after: dt.datetime) -> Iterator[dt.datetime]:
    """All readings of the clock at which the schedule runs, in order."""
    while True:
        after = trigger.get_next_fire_time(None, after + dt.datetime.resolution)
        yield after


def _moments(trigger: BaseTrigger, reading: dt.datetime, zone: zoneinfo.ZoneInfo) -> tuple[dt.datetime, ...]:
    """When the clock of the zone shows the reading and the schedule runs: once, or twice when it is set back."""
    first, second = (reading.replace(tzinfo=zone, fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    if second > first and trigger.get_next_fire_time(None, reading + _HOUR) == reading + _HOUR:
        return first, second
    return (first,)  # of a reading that is skipped, the one that counts on from before the change


def _clock_change(zone: zoneinfo.ZoneInfo, moment: dt.datetime) -> dt.timedelta:
    """By how much the clocks of the zone change within a day of the moment."""
    offsets = [(moment + days * _DAY).astimezone(zone).utcoffset() or dt.timedelta() for days in (-1, 0, 1)]
    return max(offsets) - min(offsets)


# --- Running on it -----------------------------------------------------------------------------------


def _clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Scheduler:
    """Runs a job on a schedule, in the calling thread, until it is asked to stop.

    So a run is never started while another is going on. A time that comes meanwhile, or while the machine is
    suspended, is made up for at once; any number of them are one run. `announce` hears of each next time, in
    nanoseconds.

    APScheduler's own schedulers would drop such a run instead ("maximum number of running instances reached"):
    a backup that takes 25 hours would run every other day.
    """

    def __init__(
        self,
        job: Callable[[], object],
        cron: CronExpression,
        timezone: str,
        *,
        run_on_start: bool = False,
        stopping: StopRequest | None = None,
        clock: Callable[[], dt.datetime] = _clock,
        announce: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._job = job
        self._cron = cron
        self._timezone = timezone
        self._run_on_start = run_on_start
        self._stopping = stopping or StopRequest()
        self._clock = clock
        self._tell = announce

    def start(self) -> None:
        """Run the job at its times; returns when stopping is requested, after the run in progress has ended.

        What the job raises is the caller's, and ends the schedule.
        """
        planned = self._clock()
        due = self._next(planned)
        self._announce(due, planned, "first run now, then" if self._run_on_start else "next run")
        if self._run_on_start:
            due = planned
        while begun := self._wait(planned, due):
            self._job()
            if not self._stopping.is_set():
                planned, due = begun, self._next(begun)
                self._announce(due, self._clock())

    def _wait(self, planned: dt.datetime, due: dt.datetime) -> dt.datetime | None:
        """Wait for the run that was planned at `planned`. Gives the time when it is due, None if to stop."""
        while not self._stopping.is_set():
            now = self._clock()
            if now < planned - _SET_BACK:
                planned, due = now, self._next(now)
                logger.warning("the clock was set back to %s", self._shown(now))
                self._announce(due, now)
            elif now >= due:
                return now
            self._stopping.wait(min((due - now).total_seconds(), _LONGEST_WAIT))
        return None

    def _next(self, after: dt.datetime) -> dt.datetime:
        return next_run(self._cron, self._timezone, after)

    def _announce(self, due: dt.datetime, now: dt.datetime, lead: str = "next run") -> None:
        self._tell(int(due.timestamp()) * SECOND)
        schedule = f"schedule {self._cron.text!r} in {self._timezone}"
        if due > now:
            wait = format_duration(round((due - now).total_seconds()) * SECOND)
            logger.info("%s at %s, in %s (%s)", lead, self._shown(due), wait, schedule)
        else:
            logger.info("%s now, due since %s (%s)", lead, self._shown(due), schedule)

    def _shown(self, moment: dt.datetime) -> str:
        return moment.astimezone(zoneinfo.ZoneInfo(self._timezone)).isoformat(" ", "seconds")
