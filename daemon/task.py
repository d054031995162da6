"""What a process of a job is started for, and what it answers. Nothing else goes between it and its parent."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from daemon.turns import Doubt
from scheduler import Timetable, spread
from settings.keys import Job
from settings.overlaps import Rival
from watching.events import Event, Totals

Purpose = Literal["reach", "run"]
"""To see whether the servers of a scheduled job answer, or to run the job."""


@dataclass(frozen=True, slots=True)
class Task:
    """What it is started for. What `worker` and `totals` say goes on from the last process of the job."""

    purpose: Purpose = "run"
    times: Timetable | None = None
    """Of a scheduled job that runs; None: it runs once."""
    begun: dt.datetime = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    waited: float = 0.0
    """Seconds for which it waited for its turn."""
    worker: int = 0
    totals: Totals = field(default_factory=Totals)
    rivals: Sequence[Rival] = ()
    doubts: Sequence[Doubt] = ()


@dataclass(frozen=True, slots=True)
class Reached:
    """The servers answer; the job waits for its time."""

    times: Timetable


@dataclass(frozen=True, slots=True)
class Unreached:
    """A server does not answer; it is asked again after so many seconds."""

    role: str
    problem: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HasRun:
    """The run is over: when the next one is, and what its process goes on from."""

    times: Timetable
    totals: Totals
    told: Sequence[Event]
    """What a monitor that is started later should hear of it."""
    untold: Sequence[Event] = ()
    """What it could not tell the monitor of now."""
    apart: Sequence[str] = ()
    """The jobs whose destination turned out to be another server."""


@dataclass(frozen=True, slots=True)
class NoRoom:
    """One of its servers turned out to be one at which enough runs go on: it waits for its turn again."""

    why: str


Answer = Reached | Unreached | HasRun | NoRoom
"""The last word of a process of a scheduled job; one that ends without it has died."""


def first_times(job: Job, now: dt.datetime) -> Timetable:
    """The timetable of a scheduled job whose servers answer. Raises ValueError for one without a schedule."""
    times = job.options.incremental
    if times.schedule is None:
        raise ValueError(f"{job.name} has no schedule")
    later = spread(job.name, times.jitter)
    return Timetable.of(times.schedule, str(times.timezone), now, at_once=times.run_on_start, later=later)
