"""When a job runs: once, or on a cron schedule, in this thread."""

import datetime as dt
import logging
import zoneinfo
from collections.abc import Callable
from typing import TypeVar

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
