"""When a job runs: once, or on a cron schedule, in this thread."""

import datetime as dt
import logging
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from basics.hashing import stable_number
from basics.stopping import StopRequest
from basics.times import SECOND, format_duration
from settings.cron import CronExpression
from settings.next_run import next_run

logger = logging.getLogger(__name__)


T = TypeVar("T")


_LONGEST_WAIT = 30.0
"""Seconds after which the clock is read again: it may be set, and it goes on while a machine is suspended."""


_SET_BACK = dt.timedelta(minutes=1)
"""From here on a clock that goes backwards was set; less is the fine adjustment that all clocks get."""


def run_job_once(job: Callable[[], T]) -> T:
    """Run the job now, in this thread; whatever it raises is the caller's."""
    return job()


# --- Running on it -----------------------------------------------------------------------------------


def _clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass
class Timetable:
    """When a job is due: `due`, as it was worked out at `planned`. It is asked, and never waits.

    A time that comes while a run is going on, or while the machine is suspended, is made up for at once; any
    number of them are one run. `later` is by how much each time is put off, so that equal schedules are spread.
    """

    cron: CronExpression
    timezone: str
    planned: dt.datetime
    due: dt.datetime
    later: dt.timedelta = dt.timedelta()

    @classmethod
    def of(
        cls,
        cron: CronExpression,
        timezone: str,
        now: dt.datetime,
        *,
        at_once: bool = False,
        later: dt.timedelta = dt.timedelta(),
    ) -> "Timetable":
        """From now on; `at_once` has it due now, too."""
        made = cls(cron, timezone, now, now, later)
        if not at_once:
            made.plan(now)
        return made

    def plan(self, after: dt.datetime) -> None:
        """The next time is the first one after this."""
        self.planned, self.due = after, self._next(after)

    def was_set_back(self, now: dt.datetime) -> bool:
        """Whether the clock was: then it is planned anew, else it might stand still for years."""
        return now < self.planned - _SET_BACK

    def announcement(self, now: dt.datetime) -> str:
        """The next run in a sentence; of a job that is due at once, the one after it, too."""
        schedule = f"schedule {self.cron.text!r} in {self.timezone}"
        at_once, due = self.due == self.planned, self.due
        if at_once:
            due = self._next(now)
        if due > now:
            wait = format_duration(round((due - now).total_seconds()) * SECOND)
            lead = "first run now, then" if at_once else "next run"
            return f"{lead} at {self.shown(due)}, in {wait} ({schedule})"
        return f"next run now, due since {self.shown(due)} ({schedule})"

    def shown(self, moment: dt.datetime) -> str:
        """A time as the clocks of its time zone show it."""
        return moment.astimezone(zoneinfo.ZoneInfo(self.timezone)).isoformat(" ", "seconds")

    def _next(self, after: dt.datetime) -> dt.datetime:
        return next_run(self.cron, self.timezone, after - self.later) + self.later


def spread(job: str, jitter: int) -> dt.timedelta:
    """By how much the times of a job are put off: always the same, below `jitter` (nanoseconds).

    It comes from the name alone, so that it is the same on every machine and after every start.
    """
    seconds = jitter // SECOND
    return dt.timedelta(seconds=stable_number(job) % seconds if seconds else 0)


class Scheduler:
    """Runs a job on a schedule, in the calling thread, until it is asked to stop.

    So a run is never started while another is going on. `announce` hears of each next time, in nanoseconds. The
    daemon, which has many jobs, keeps their timetables itself: daemon/supervisor.py.

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
        later: dt.timedelta = dt.timedelta(),
    ) -> None:
        self._job = job
        self._cron = cron
        self._timezone = timezone
        self._run_on_start = run_on_start
        self._stopping = stopping or StopRequest()
        self._clock = clock
        self._tell = announce
        self._later = later

    def start(self) -> None:
        """Run the job at its times; returns when stopping is requested, after the run in progress has ended.

        What the job raises is the caller's, and ends the schedule.
        """
        now = self._clock()
        times = Timetable.of(self._cron, self._timezone, now, at_once=self._run_on_start, later=self._later)
        self._announce(times, now)
        while begun := self._wait(times):
            self._job()
            if not self._stopping.is_set():
                times.plan(begun)
                self._announce(times, self._clock())

    def _wait(self, times: Timetable) -> dt.datetime | None:
        """Wait for the next run. Gives the time when it is due, None if to stop."""
        while not self._stopping.is_set():
            now = self._clock()
            if times.was_set_back(now):
                times.plan(now)
                logger.warning("the clock was set back to %s", times.shown(now))
                self._announce(times, now)
            elif now >= times.due:
                return now
            self._stopping.wait(min((times.due - now).total_seconds(), _LONGEST_WAIT))
        return None

    def _announce(self, times: Timetable, now: dt.datetime) -> None:
        self._tell(int(times.due.timestamp()) * SECOND)
        logger.info("%s", times.announcement(now))
