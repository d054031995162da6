"""The operator's view as JSON: every number that the pages show, in plain units. Pure.

Times are RFC 3339 in UTC, durations seconds, shares 0 to 1. What is not known is null. Keys may be added, but
never change their meaning.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from basics.text import printable
from basics.times import format_time
from watching.events import Drilled, MeasurementState, Proved, RestoreState, RunRecord, RunState, Verified
from watching.standing import (
    headline,
    is_protected,
    problems,
    protection,
    protection_line,
    snapshot_time,
    tone,
    word,
)
from watching.state import JobState, State

FINE, WARNING, FAILING = "fine", "warning", "failing"


def status_document(state: State, now: int) -> dict[str, Any]:
    """`/api/status`: all jobs, without their measurements and earlier runs."""
    found = protection(state, now)
    return {
        "status": status(state),
        "headline": headline(state)[0],
        "shard": state.shard or None,
        "protection": {
            **asdict(found),
            "compared_at": _time(found.compared_at),
            "drilled_at": _time(found.drilled_at),
            "line": protection_line(found, now),
        },
        "now": format_time(now),
        "started": _time(state.started),
        "jobs": [_job(job, now) for job in state.jobs.values()],
    }


def status(state: State) -> str:
    """The whole in one word: a warning is neither fine nor a failure."""
    if state.failing or not (state.jobs or state.shard):
        return FAILING
    return WARNING if state.warned else FINE


def job_document(job: JobState, now: int) -> dict[str, Any]:
    """`/api/jobs/NAME`: one job with its measurements and its last runs, oldest first."""
    return {
        **_job(job, now),
        "measurements": [_measurement(m) for m in job.measurements.values()],
        "runs": [_record(run) for run in job.history],
    }


def health(state: State) -> str:
    """What is wrong, one line for each problem; empty when all is well."""
    if not state.jobs and not state.shard:  # of a shard that has none, that is well
        return "no job is known yet"
    return "\n".join(_lines(state.failing))


def cautions(state: State) -> str:
    """What the jobs that are not failing warn of, one line for each warning."""
    return "\n".join(_lines(state.warned))


def _lines(jobs: Iterable[JobState]) -> Iterator[str]:
    return (f"{printable(job.name)}: {printable(text)}" for job in jobs for text in problems(job))


def _job(job: JobState, now: int) -> dict[str, Any]:
    return {
        "name": job.name,
        "condition": job.condition,
        "state": word(job),
        "tone": tone(job),
        "protected": is_protected(job),
        "since": _time(job.since),
        "failing": job.is_failing,
        "failing_since": _time(job.failing_since),
        "problem": job.problem,
        "warnings": list(job.warnings),
        "mode": job.mode,
        "schedule": job.schedule or None,
        "timezone": job.timezone,
        "source": job.source,
        "destination": job.destination,
        "run": _run(job.run, now) if job.run else None,
        "restores": [_restore(restore) for restore in job.restores],
        "next_run": _time(job.next_run),
        "waits_for_turn": job.turn or None,
        "last_attempt": _time(job.last_attempt),
        "last_success": _time(job.last_success),
        "last_error": job.last_error or None,
        "last_error_at": _time(job.last_error_at),
        "last_run": _record(job.history[-1]) if job.history else None,
        "databases": [
            {"name": d.name, "newest": _time(d.newest), "lag_seconds": d.lag(now)} for d in job.databases.values()
        ],
        "verification": _verification(job.verification) if job.verification else None,
        "difference": _verification(job.difference) if job.difference else None,
        "archive": _archive(job) if job.archive else None,
        "drill_schedule": job.drill_schedule or None,
        "drill": _found(job.drill),
        "last_passed_drill": _found(job.rehearsed),
        "totals": asdict(job.totals),
    }


def _verification(found: Verified) -> dict[str, Any]:
    times = {name: _time(getattr(found, name)) for name in ("at", "start", "end")}
    return {key: value for key, value in asdict(found).items() if key != "job"} | times


def _archive(job: JobState) -> dict[str, Any]:
    """What is known of the archive of a job."""
    return {
        "place": job.archive,
        "snapshot": asdict(job.snapshot) | {"taken": _time(snapshot_time(job.snapshot))} if job.snapshot else None,
        "proof": _found(job.proof),
        "damage": _found(job.damage),
    }


def _found(found: Proved | Drilled | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {key: value for key, value in asdict(found).items() if key != "job"} | {"at": _time(found.at)}


def _run(run: RunState, now: int) -> dict[str, Any]:
    return {
        "started": _time(run.started),
        "phase": run.phase,
        "database": run.database or None,
        "database_number": run.number,
        "databases": run.databases,
        "measurement": run.measurement,
        "measurements": run.measurements,
        "share": round(run.share, 4),
        "points_per_second": round(run.rate, 1),
        "seconds_left": run.seconds_left(now),
        "trouble": run.trouble or None,
        "amounts": asdict(run.amounts),
    }


def _restore(restore: RestoreState) -> dict[str, Any]:
    return {**asdict(restore), "begun": _time(restore.begun), "share": round(restore.share, 4)}


def _record(run: RunRecord) -> dict[str, Any]:
    times = {"started": _time(run.started), "ended": _time(run.ended)}
    lists = {"failures": list(run.failures), "warnings": list(run.warnings)}
    ages = [asdict(age) | {"newest": _time(age.newest)} for age in run.ages]
    return {**asdict(run), **times, **lists, "ages": ages}


def _measurement(m: MeasurementState) -> dict[str, Any]:
    times = ("run", "begin", "end", "position", "newest")
    return {**asdict(m), **{name: _time(getattr(m, name)) for name in times}, "problems": list(m.problems)}


def _time(at: int | None) -> str | None:
    return format_time(at) if at else None
