"""What the monitor knows: the present state of every job and a bounded history, made from events. Pure.

`applied(state, event)` gives the state after an event. Whoever shows something reads only these values, and passes
the time as `now`; all times are nanoseconds since 1970.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from itertools import accumulate, islice, takewhile
from typing import Literal
from urllib.parse import quote

from copying.results import SnapshotTaken
from watching.days import Days, with_difference, with_run
from watching.events import (
    HISTORY,
    Drilled,
    Event,
    FileChecked,
    JobEnded,
    JobKnown,
    JobRemoved,
    MeasurementsChanged,
    MeasurementState,
    NextRun,
    Proved,
    RestoreState,
    Restoring,
    RunFinished,
    RunProgress,
    RunRecord,
    RunStarted,
    RunState,
    Totals,
    Verdict,
    Verified,
    WaitingForServer,
    WaitingForTurn,
    WorkerDied,
    WorkerRests,
    WorkerStarted,
)

Condition = Literal[
    "running",
    "idle",
    "failing",
    "waiting for server",
    "waiting for its turn",
    "finished",
    "stopped",
    "invalid file",
    "worker died",
    "starting",
]
"""What a job is doing, in words. A job that runs although its last run failed is `running`, and is_failing."""

Cause = Literal["file", "worker", "server", "run"]

MOST_MEASUREMENTS = 10_000
"""How many measurements of a job are kept; of more, the first."""

BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 10_800.0, 43_200.0, 86_400.0)
"""Upper bounds of the histogram of run durations, seconds; the last bucket has none."""


def job_key(name: str) -> str:
    """The name of a job in a URL, and as an id."""
    return quote(name.encode("utf-8", "surrogateescape"), safe="")


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a job is failing, and since when."""

    text: str
    since: int
    at: int
    """When it was last met."""


@dataclass(frozen=True, slots=True)
class Durations:
    """How long runs took: how many for each bucket, and one more for those that took longer."""

    counts: tuple[int, ...] = (0,) * (len(BUCKETS) + 1)
    seconds: float = 0.0

    def plus(self, seconds: float) -> "Durations":
        """With one run more."""
        index = bisect_left(BUCKETS, seconds)
        return Durations(
            tuple(count + (i == index) for i, count in enumerate(self.counts)), self.seconds + seconds
        )

    @property
    def cumulative(self) -> tuple[int, ...]:
        """How many took at most as long as each bound; the last is how many there were."""
        return tuple(accumulate(self.counts))


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """A database of the source, by the newest of its points that the destination is known to hold."""

    name: str
    newest: int | None = None

    def lag(self, now: int) -> float | None:
        """Seconds from that point to now; None while none is known."""
        return None if self.newest is None else max(0, now - self.newest) / 1e9


@dataclass(frozen=True, slots=True)
class JobState:
    """Everything about one job."""

    name: str
    schedule: str = ""
    timezone: str = "UTC"
    mode: str = "incremental"
    source: str = ""
    destination: str = ""
    since: int = 0
    """Since when its condition is what it is."""
    pid: int = 0
    """Of its process; 0: none."""
    run: RunState | None = None
    """The run that goes on."""
    next_run: int | None = None
    restart_at: int | None = None
    """When its worker, which died, is started again."""
    retry_at: int | None = None
    """When a server that does not answer is tried again."""
    turn: str = ""
    """Why it waits although its time has come; empty when it does not."""
    ended: str = ""
    """The outcome of a job that will not run again."""
    last_attempt: int | None = None
    last_success: int | None = None
    """When the last run began; when the last run that succeeded was over,"""
    complete_at: int | None = None
    """and when it began: the copy holds what the source had then."""
    last_error: str = ""
    """In full, also when it is over;"""
    last_error_at: int | None = None
    troubles: Mapping[Cause, Trouble] = field(default_factory=dict)
    """Why it is failing now."""
    measurements: Mapping[tuple[str, str, str], MeasurementState] = field(default_factory=dict)
    databases: Mapping[str, DatabaseState] = field(default_factory=dict)
    history: tuple[RunRecord, ...] = ()
    """The last runs, oldest first."""
    durations: Durations = field(default_factory=Durations)
    verification: Verified | None = None
    """What a comparison of both sides found last;"""
    difference: Verified | None = None
    """and the last one that found them not equal, until one shows that they are again."""
    archive: str = ""
    """Where it keeps snapshots; empty: nowhere."""
    snapshot: SnapshotTaken | None = None
    """The last that a run has published there."""
    proof: Proved | None = None
    """What came of it when files of the archive were read last;"""
    damage: Proved | None = None
    """and the last time that some were damaged, until all are known to be whole again."""
    drill_schedule: str = ""
    """When a restore is rehearsed, cron text; empty: never by itself."""
    drill: Drilled | None = None
    """The last drill;"""
    rehearsed: Drilled | None = None
    """and the last one that passed."""
    days: Days = field(default_factory=dict)
    """How its last days went."""
    named: tuple[str, ...] = ()
    """The databases that its file names; empty: all."""
    markers: str = ""
    """The folder in which restores of it leave their markers."""
    restores: tuple[RestoreState, ...] = ()
    """Those that are not complete."""
    earlier: Totals = field(default_factory=Totals)
    """What workers that are gone had done;"""
    present: Totals = field(default_factory=Totals)
    """and what this one has done, that `worker` tells from others."""
    worker: int = 0

    @property
    def totals(self) -> Totals:
        """All that its workers have done since the daemon was started."""
        return self.earlier + self.present

    @property
    def is_failing(self) -> bool:
        """Whether something is wrong that has not been made good yet."""
        return bool(self.troubles)

    @property
    def failing_since(self) -> int | None:
        """Since when."""
        return min((trouble.since for trouble in self.troubles.values()), default=None)

    @property
    def problem(self) -> str:
        """What is wrong, the latest first; empty when nothing is."""
        latest = sorted(self.troubles.values(), key=lambda trouble: -trouble.at)
        return "; ".join(trouble.text for trouble in latest)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What verify and drills found, which restores were given up, what the last run warned of.

        A job that has any protects less.
        """
        return (*self._own_warnings, *(self.judged.warnings if self.judged else ()))

    @property
    def _own_warnings(self) -> tuple[str, ...]:
        """Those that are not of its last run."""
        found = self.difference
        differs = (f"verify: {found.detail.partition(chr(10))[0] or found.result}",) if found else ()
        given_up = (restore.name for restore in self.restores if not restore.is_running)
        remedy = "was stopped, and the target is not complete: run the same command again"
        return (*differs, *self._unproved, *(f"the restore of {name} {remedy}" for name in given_up))

    @property
    def _unproved(self) -> tuple[str, ...]:
        """What the last look at the archive, and the last drill, warn of."""
        damage = self.damage
        damaged = (f"archive verify: {damage.detail.partition(chr(10))[0] or damage.result}",) if damage else ()
        return (*damaged, *((self.drill.problem,) if self.drill and self.drill.problem else ()))

    @property
    def restoring(self) -> RestoreState | None:
        """The restore that goes on."""
        return next((restore for restore in self.restores if restore.is_running), None)

    @property
    def compared(self) -> Verified | None:
        """What is known of both sides: a difference that was not cleared, else what was found last."""
        return self.difference or self.verification

    @property
    def warned(self) -> int:
        """How many warnings there are; `warnings` holds the first of them."""
        return len(self._own_warnings) + (self.judged.warned if self.judged else 0)

    @property
    def judged(self) -> RunRecord | None:
        """The last run that was not stopped before its end."""
        return next((record for record in reversed(self.history) if record.outcome != "stopped"), None)

    @property
    def is_warned(self) -> bool:
        """Whether it is not failing, and not all is well either."""
        return bool(self.warnings) and not self.is_failing

    @property
    def condition(self) -> Condition:
        """What it is doing."""
        cases: tuple[tuple[bool, Condition], ...] = (
            ("file" in self.troubles and not (self.source or self.next_run or self.ended), "invalid file"),
            ("worker" in self.troubles and not self.pid, "worker died"),
            (self.run is not None, "running"),
            ("server" in self.troubles, "waiting for server"),
            (bool(self.turn), "waiting for its turn"),
            (self.is_failing, "failing"),
            (self.ended == "stopped", "stopped"),
            (bool(self.ended), "finished"),
            (bool(self.last_attempt or self.next_run), "idle"),
        )
        return next((condition for holds, condition in cases if holds), "starting")

    def overdue(self, now: int) -> float:
        """Seconds since its next run should have begun, while none goes on."""
        return max(0, now - self.next_run) / 1e9 if self.next_run is not None and self.run is None else 0.0


@dataclass(frozen=True, slots=True)
class State:
    """Everything, by the names of the jobs, in their order."""

    started: int = 0
    """When the daemon was started."""
    jobs: Mapping[str, JobState] = field(default_factory=dict)
    remembered: Mapping[str, JobState] = field(default_factory=dict)
    """What is known from earlier of jobs that are not known yet."""
    shard: str = ""
    """Which part of all jobs these are; empty: all of them."""

    @property
    def failing(self) -> tuple[JobState, ...]:
        """The jobs that are failing."""
        return tuple(job for job in self.jobs.values() if job.is_failing)

    @property
    def warned(self) -> tuple[JobState, ...]:
        """Those that are neither failing nor fine."""
        return tuple(job for job in self.jobs.values() if job.is_warned)


# ---------------------------------------------------------------- events


def applied(state: State, event: Event) -> State:
    """The state after the event."""
    if isinstance(event, JobRemoved):
        jobs = {name: job for name, job in state.jobs.items() if name != event.job}
        gone = state.jobs.get(event.job)
        kept = {**state.remembered, event.job: _kept(gone)} if gone else state.remembered
        return replace(state, jobs=jobs, remembered=kept)
    if event.job not in state.jobs and isinstance(event, Verdict):
        return state  # of a job that this daemon does not run
    known = state.remembered.get(event.job, JobState(event.job))
    before = state.jobs.get(event.job) or replace(known, since=event.at)
    after = _after(event, before)
    if after.condition != before.condition:
        after = replace(after, since=event.at)
    jobs = {**state.jobs, event.job: after}
    if event.job not in state.jobs:
        jobs = dict(sorted(jobs.items()))
    return replace(state, jobs=jobs)


@singledispatch
def _after(event: Event, job: JobState) -> JobState:  # noqa: ARG001 -- the event that nobody knows changes nothing
    return job


@_after.register
def _(event: JobKnown, job: JobState) -> JobState:
    return replace(
        _still_named(job, event),
        named=event.databases,
        markers=event.markers,
        schedule=event.schedule,
        timezone=event.timezone,
        mode=event.mode,
        source=event.source,
        destination=event.destination,
        archive=event.archive,
        drill_schedule=event.drill,
    )


@_after.register
def _(event: FileChecked, job: JobState) -> JobState:
    return _troubled(job, "file", event.problem, event.at) if event.problem else _untroubled(job, "file")


@_after.register
def _(event: WorkerStarted, job: JobState) -> JobState:
    return replace(job, pid=event.pid, ended="", restart_at=None, run=None)


@_after.register
def _(_event: WorkerRests, job: JobState) -> JobState:
    return replace(job, pid=0, run=None)


@_after.register
def _(event: WaitingForTurn, job: JobState) -> JobState:
    job = replace(job, turn=event.why, next_run=event.due or job.next_run, retry_at=None, run=None)
    return _untroubled(job, "server", "worker")


@_after.register
def _(event: WorkerDied, job: JobState) -> JobState:
    text = f"its worker process died ({event.death})" if event.was_started else event.death
    if job.run is not None:  # which is over, and not until the next one has succeeded can all be well
        job = _troubled(job, "run", f"{text} in the middle of a run", event.at)
    job = replace(
        job,
        pid=0,
        run=None,
        next_run=None,
        retry_at=None,
        turn="",
        restart_at=event.restart_at or None,
        ended="" if event.restart_at else "FAILED",
    )
    return _troubled(_untroubled(job, "server"), "worker", text, event.at)


@_after.register
def _(event: JobEnded, job: JobState) -> JobState:
    job = replace(
        job, pid=0, run=None, next_run=None, retry_at=None, restart_at=None, turn="", ended=event.outcome
    )
    job = _untroubled(job, "worker", "server")
    if event.failures:
        return _troubled(job, "run", "\n".join(event.failures), event.at)
    return _untroubled(job, "run") if event.outcome == "ok" else job


@_after.register
def _(event: WaitingForServer, job: JobState) -> JobState:
    text = f"waiting for the {event.role}: {event.problem}"
    job = replace(_untroubled(job, "worker"), retry_at=event.retry_at, run=None)
    return _troubled(job, "server", text, event.at)


@_after.register
def _(event: NextRun, job: JobState) -> JobState:
    return _untroubled(replace(job, next_run=event.when, retry_at=None, turn="", run=None), "server", "worker")


@_after.register
def _(event: RunStarted, job: JobState) -> JobState:
    job = replace(job, run=RunState(event.at), last_attempt=event.at, next_run=None, retry_at=None, turn="")
    return _untroubled(job, "server", "worker")


@_after.register
def _(event: RunProgress, job: JobState) -> JobState:
    if job.history and event.run.started <= job.history[-1].started:
        return job  # of a run that is over
    job = _counted(job, event.worker, event.totals)
    return replace(job, run=event.run, last_attempt=event.run.started)


@_after.register
def _(event: MeasurementsChanged, job: JobState) -> JobState:
    measurements = {**job.measurements, **{m.key: _added_up(m, job.measurements) for m in event.measurements}}
    if len(measurements) > MOST_MEASUREMENTS:
        measurements = dict(islice(measurements.items(), MOST_MEASUREMENTS))
    return replace(job, measurements=measurements, databases=_databases(job.databases, event.measurements))


@_after.register
def _(event: RunFinished, job: JobState) -> JobState:
    record = event.record
    job = replace(_counted(job, event.worker, event.totals), run=None)
    if any(known.started == record.started for known in job.history):
        return job  # told again
    measurements = job.measurements
    if record.outcome == "ok":  # others are gone from the source
        measurements = {key: m for key, m in measurements.items() if m.run == record.started}
    job = replace(
        job,
        history=(*job.history, record)[-HISTORY:],
        durations=job.durations.plus(record.seconds),
        last_attempt=record.started,
        measurements=measurements,
        databases=_databases({}, measurements.values()),
        days=with_run(job.days, record, job.timezone),
        snapshot=record.snapshot or job.snapshot,
    )
    if record.outcome == "ok":
        return _untroubled(replace(job, last_success=event.at, complete_at=record.started), "run")
    return _troubled(job, "run", "\n".join(record.failures), event.at) if record.failures else job


@_after.register
def _(event: Verified, job: JobState) -> JobState:
    known = event if event.result == "differs" else job.difference
    if event.result == "differs" and event != job.difference:
        job = replace(job, days=with_difference(job.days, event.at, job.timezone))
    return replace(job, verification=event, difference=None if known and event.clears(known) else known)


@_after.register
def _(event: Proved, job: JobState) -> JobState:
    known = event if event.result == "damaged" else job.damage
    return replace(job, proof=event, damage=None if known and event.clears(known) else known)


@_after.register
def _(event: Drilled, job: JobState) -> JobState:
    if job.drill and job.drill.at > event.at:  # one from before, told again
        event, rehearsed = job.drill, event
    else:
        rehearsed = event
    known = [drill for drill in (job.rehearsed, rehearsed) if drill and drill.result == "passed"]
    return replace(job, drill=event, rehearsed=max(known, key=lambda drill: drill.at, default=None))


@_after.register
def _(event: Restoring, job: JobState) -> JobState:
    return replace(job, restores=event.restores)


# ---------------------------------------------------------------- parts of them


def _kept(job: JobState) -> JobState:
    """What is worth remembering of it."""
    return JobState(
        job.name,
        last_success=job.last_success,
        complete_at=job.complete_at,
        history=job.history,
        days=job.days,
        verification=job.verification,
        difference=job.difference,
        snapshot=job.snapshot,
        proof=job.proof,
        damage=job.damage,
        drill=job.drill,
        rehearsed=job.rehearsed,
        # of a run that failed nothing but one that succeeds makes good
        troubles={cause: trouble for cause, trouble in job.troubles.items() if cause == "run"},
        last_error=job.troubles["run"].text if "run" in job.troubles else "",
        last_error_at=job.troubles["run"].at if "run" in job.troubles else None,
    )


def remembering(job: JobState) -> JobState:
    """A job of which only its history is known: one whose last run failed is failing until one succeeds."""
    last = job.judged
    if last is None or not last.failures:
        return job
    failed = takewhile(lambda record: record.outcome != "ok", reversed(job.history))
    since = min(record.ended for record in failed if record.failures)
    text = "\n".join(last.failures)
    trouble = Trouble(text, since, last.ended)
    return replace(job, troubles={"run": trouble}, last_error=text, last_error_at=last.ended)


def _still_named(job: JobState, event: JobKnown) -> JobState:
    """Without what it knew of databases that its file no longer names, or of another server."""
    moved = job.destination not in ("", event.destination) or job.source not in ("", event.source)
    if job.archive not in ("", event.archive):
        job = replace(job, snapshot=None, proof=None, damage=None, drill=None, rehearsed=None)
    kept = {name for name in job.databases if not moved and (not event.databases or name in event.databases)}
    return replace(
        job,
        databases={name: database for name, database in job.databases.items() if name in kept},
        measurements={key: m for key, m in job.measurements.items() if m.database in kept},
    )


def _troubled(job: JobState, cause: Cause, text: str, at: int) -> JobState:
    since = job.troubles[cause].since if cause in job.troubles else at
    troubles = {**job.troubles, cause: Trouble(text, since, at)}
    return replace(job, troubles=troubles, last_error=text, last_error_at=at)


def _untroubled(job: JobState, *causes: Cause) -> JobState:
    if not job.troubles.keys() & set(causes):
        return job
    left = {cause: trouble for cause, trouble in job.troubles.items() if cause not in causes}
    return replace(job, troubles=left)


def _counted(job: JobState, worker: int, totals: Totals) -> JobState:
    """With the totals of a worker, which only grow; a new worker begins at nothing."""
    earlier = job.earlier if worker == job.worker else job.earlier + job.present
    return replace(job, earlier=earlier, present=totals, worker=worker)


def _added_up(m: MeasurementState, known: Mapping[tuple[str, str, str], MeasurementState]) -> MeasurementState:
    """With the points of earlier runs."""
    before = known.get(m.key)
    if before is None:
        return replace(m, all_points=m.points)
    earlier = before.all_points - (before.points if before.run == m.run else 0)
    return replace(m, all_points=earlier + m.points)


def _databases(
    known: Mapping[str, DatabaseState], measurements: Iterable[MeasurementState]
) -> Mapping[str, DatabaseState]:
    """With the newest points of these measurements."""
    newest = {name: database.newest for name, database in known.items()}
    for m in measurements:
        times = (time for time in (m.newest, newest.get(m.database)) if time is not None)
        newest[m.database] = max(times, default=None)
    return {name: DatabaseState(name, newest[name]) for name in sorted(newest)}
