"""What the parent knows of each job: what it runs, has run, or waits for."""

import datetime as dt
import os
import time
from dataclasses import dataclass, field

from basics.locks import FileLock
from basics.processes import Delays
from basics.times import SECOND
from copying import quarantine
from copying.restore import marker
from copying.results import JobResult
from daemon.job_file import JobFile
from daemon.process import Worker
from daemon.task import Answer
from scheduler import Timetable
from settings.keys import Job
from watching.events import LONGEST_TEXTS, Contact, JobKnown, Totals, WaitingForTurn, bounded


@dataclass
class KeptJob:
    """A job that runs, has run, or waits: for its servers, its time, its turn, or its restart."""

    file: JobFile
    once: bool
    worker: Worker | None = None
    answer: Answer | None = None
    """The last word of the worker."""
    result: JobResult | None = None
    """What its process told last;"""
    has_told: bool = False
    """and whether the present one has told anything."""
    last: JobResult | None = None
    """What became of the last run that nobody stopped; that of a changed file, or of the daemon before, until it
    has one of its own."""
    waits_for: str = ""
    """The server that does not answer, and why; empty when none is waited for."""
    reach_at: float | None = None
    """When its servers are looked for, by the monotonic clock;"""
    times: Timetable | None = None
    """when it runs, once they were found;"""
    due: dt.datetime | None = None
    """since when it waits for its turn,"""
    obstacle: str = ""
    """and why, if it had to."""
    restart_at: float | None = None
    delays: Delays = field(default_factory=Delays)
    starts: int = 0
    """How often in a row its process could not be started."""
    successor: JobFile | None = None
    leaving: bool = False
    kill_at: float | None = None
    copied: int | None = None
    """When the last run that copied everything began, nanoseconds."""
    number: int = 0
    """That of a line of processes, of which each goes on from the one before it;"""
    totals: Totals = field(default_factory=Totals)
    """and what these have done."""
    apart: set[str] = field(default_factory=set)
    """Jobs that are known to write to another server."""
    lock: FileLock | None = None
    """Keeps a restore of the job from beginning."""

    def take(self, result: JobResult) -> None:
        """What became of a run."""
        self.result, self.has_told = result, True
        if result.outcome != "stopped":
            self.last = result
        if result.outcome == "ok":
            self.copied = time.time_ns() - int(result.seconds * SECOND)

    @property
    def is_scheduled(self) -> bool:
        """Whether it runs at its times."""
        return not self.once and self.file.config.job.options.incremental.schedule is not None

    @property
    def is_running(self) -> bool:
        """Whether it has a process for a run."""
        return self.worker is not None and self.worker.task.purpose == "run"

    @property
    def is_active(self) -> bool:
        """Whether anything is to come of it."""
        waits = (self.reach_at, self.times, self.due, self.restart_at)
        return self.worker is not None or any(wait is not None for wait in waits)

    @property
    def is_waiting_for_its_time(self) -> bool:
        """And for nothing else."""
        return (
            self.is_active and not self.worker and (self.due, self.reach_at, self.restart_at) == (None, None, None)
        )

    def stop(self, within: float) -> None:
        """Ask the worker to end, and set the time at which it will be killed."""
        self.reach_at = self.times = self.due = self.restart_at = None
        self.kill_at = time.monotonic() + within
        if self.worker:
            self.worker.process.terminate()

    def wait_for(self, server: str) -> None:
        """It does not answer: no run can begin, and none has failed."""
        self.waits_for = f"waiting for the {server}"
        self.result = JobResult(self.file.name, problems=(self.waits_for,))

    def hold(self) -> None:
        """Keep restores from beginning, from now on or, if one is going on, as soon as it has ended."""
        if self.is_scheduled:
            self.lock = self.lock or FileLock(quarantine.lock_file(self.file.config.job, os.environ))
            self.lock.share()

    def let_go(self) -> None:
        """Let them begin."""
        if self.lock:
            self.lock.release()

    @property
    def warning(self) -> str:
        """What the last run of a job warned of that is not failing."""
        return "; ".join(bounded(self.last.cautions)) if self.last and not self.problem else ""

    @property
    def problem(self) -> str:
        """Why the job counts as failing; empty when it does not."""
        if self.restart_at is not None:
            return "its worker has died, or could not be started, and is about to be started again"
        return "; ".join(filter(None, [self.waits_for, *(bounded(self.last.failures) if self.last else ())]))


def nanoseconds(moment: dt.datetime) -> int:
    """Since 1970, to the second."""
    return int(moment.timestamp()) * SECOND


def waits(state: KeptJob) -> WaitingForTurn:
    """What the monitor should know of a job that waits for its turn."""
    due = nanoseconds(state.due) if state.due else 0
    return WaitingForTurn(state.file.name, time.time_ns(), state.obstacle, due)


def job_known(file: JobFile, *, once: bool) -> JobKnown:
    """What the monitor should know of a job."""
    job = file.config.job
    times = job.options.incremental
    return JobKnown(
        job.name,
        time.time_ns(),
        "" if once or times.schedule is None else times.schedule.text,
        str(times.timezone),
        job.options.backup_mode,
        job.source.url,
        job.destination.where,
        contact(job),
        _named_databases(job),
        job.destination.archive,
        "" if once or job.options.drill.schedule is None else job.options.drill.schedule.text,
        str(marker.folder(job, os.environ).absolute()),
    )


def _named_databases(job: Job) -> tuple[str, ...]:
    """Those that its file names, where an event can hold them."""
    names = tuple(database.name for database in job.source.databases)
    return names if sum(map(len, names)) <= LONGEST_TEXTS else ()


def contact(job: Job) -> Contact:
    """Whom to tell about a job."""
    notify = job.options.notify
    urls = tuple(url.get_secret_value() for url in notify.urls)
    daily = f"{notify.daily:%H:%M}" if notify.daily else ""
    return Contact(urls, notify.occasions, job.options.ping_url.get_secret_value(), daily)
