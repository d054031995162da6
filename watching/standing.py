"""How a job stands, and all of them: the words, the colours and the counts that everything shows alike. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from basics.humanize import ago, counted, lasting
from basics.text import printable
from basics.times import parse_time
from copying.results import SnapshotTaken
from watching.events import Drilled
from watching.repeats import same_kind
from watching.state import JobState, State

TONES: Mapping[str, str] = {
    "running": "busy",
    "idle": "good",
    "finished": "good",
    "waiting for server": "wait",
    "waiting for its turn": "busy",
    "failing": "bad",
    "invalid file": "bad",
    "worker died": "bad",
}
"""The colour and the shape of a condition; any other is `quiet`."""

WARNED = ("idle", "running", "finished")
"""The conditions in which warnings colour a job."""


# ---------------------------------------------------------------- one job


def tone(job: JobState) -> str:
    """The colour and the shape of its state. A run that goes on after one that failed has not made it good yet."""
    if job.condition == "running" and job.is_failing:
        return "bad"
    if job.is_warned and job.condition in WARNED:
        return "wait"
    if job.restoring and job.condition in WARNED:
        return "busy"
    return TONES.get(job.condition, "quiet")


def word(job: JobState) -> str:
    """Its state in words."""
    if job.condition == "running" and job.is_failing:
        return "failing, running again"
    restores = ", restoring" if job.restoring else ""
    warns = ", with warnings" if job.is_warned and job.condition in WARNED else ""
    return f"{job.condition}{restores}{warns}"


def in_order(jobs: Iterable[JobState]) -> list[JobState]:
    """Those that need attention first: failing ones, those that wait, those that warn; else as they are."""
    return sorted(jobs, key=lambda job: {"bad": 0, "wait": 1 if job.is_failing else 2}.get(tone(job), 3))


def first_alike(jobs: Iterable[JobState]) -> dict[str, str]:
    """By name: the first of these jobs that fails of the same; a server that is down fails all of its jobs."""
    firsts: dict[tuple[str, ...], str] = {}
    failing = (job for job in jobs if job.is_failing)
    return {job.name: firsts.setdefault(same_kind(problems(job)), job.name) for job in failing}


def problems(job: JobState) -> list[str]:
    """What is wrong with a job that is failing, one line each; else what it warns of."""
    if not job.is_failing:
        return list(job.warnings)
    return [line for line in job.problem.splitlines() if line.strip()]


# ---------------------------------------------------------------- all of them


def headline(state: State) -> tuple[str, str]:
    """The whole in one sentence, and its tone."""
    if not state.jobs:
        return "No job is this shard's" if state.shard else "No job is known yet", "quiet"
    failing, warned = in_order(state.failing), list(state.warned)
    besides = f"; {len(warned)} more with warnings" if warned else ""
    if failing:
        waiting = [job for job in failing if tone(job) == "wait"]
        return _failing(failing, waiting, state) + besides, "bad" if len(waiting) < len(failing) else "wait"
    if warned:
        verb = "has" if len(warned) == 1 else "have"
        return f"{_share(warned, state)} {verb} warnings: {_names(warned)}", "wait"
    return "The only job is fine" if len(state.jobs) == 1 else f"All {len(state.jobs)} jobs are fine", "good"


def _failing(failing: Sequence[JobState], waiting: Sequence[JobState], state: State) -> str:
    names = _names(failing)
    if len(waiting) == len(failing):
        return f"{_share(failing, state)} {'waits' if len(failing) == 1 else 'wait'} for a server: {names}"
    verb = "is" if len(failing) == 1 else "are"
    of_them = f", {len(waiting)} of them waiting for a server" if waiting else ""
    return f"{_share(failing, state)} {verb} failing{of_them}: {names}"


def _share(some: Sequence[JobState], state: State) -> str:
    return f"{len(some)} of {counted(len(state.jobs), 'job')}"


def _names(jobs: Sequence[JobState], most: int = 4) -> str:
    names = ", ".join(printable(job.name) for job in jobs[:most])
    return f"{names} and {len(jobs) - most} more" if len(jobs) > most else names


# ---------------------------------------------------------------- what is protected


@dataclass(frozen=True, slots=True)
class Protection:
    """What a manager asks: how many databases are safe, how old their copies are, and who has looked."""

    protected: int
    databases: int
    """Of those that are known."""
    unknown: int
    """Jobs whose databases no run has found yet."""
    oldest: float | None
    """Seconds since the copy that is furthest behind was complete; None: of none that is known."""
    without: int
    """Scheduled jobs of which no run that copied everything is known."""
    compared: int
    """Jobs whose sides were found equal last,"""
    differing: int
    """those whose sides differ,"""
    jobs: int
    """of so many."""
    compared_at: int | None
    """When the one was compared that was not for longest; nanoseconds."""
    drills: int = 0
    """Jobs of which a restore is to be rehearsed, or was,"""
    drilled: int = 0
    """those whose last drill passed,"""
    undone: int = 0
    """those whose last drill did not,"""
    drilled_at: int | None = None
    """and when the one passed that did not for longest; nanoseconds."""


def databases(job: JobState) -> set[str]:
    """Those that it is about, as far as is known."""
    return {*job.named, *job.databases}


def is_protected(job: JobState) -> bool:
    """Whether a run has copied everything, and nothing is wrong since."""
    return job.complete_at is not None and not job.is_failing and not job.warnings


def protection(state: State, now: int) -> Protection:
    """Of all jobs together."""
    jobs = tuple(state.jobs.values())
    repeated = [job for job in jobs if job.mode != "range" and job.source]
    ages = [(now - job.complete_at) / 1e9 for job in repeated if job.complete_at is not None]
    equal = [at for at in map(_proven_at, jobs) if at is not None]
    drills = [job for job in jobs if job.drill or job.drill_schedule]
    passed = [drill.at for job in drills if (drill := _passed(job))]
    return Protection(
        protected=sum(len(databases(job)) for job in jobs if is_protected(job)),
        databases=sum(len(databases(job)) for job in jobs),
        unknown=sum(not databases(job) for job in jobs),
        oldest=max(ages, default=None),
        without=len(repeated) - len(ages),
        compared=len(equal),
        differing=sum(job.difference is not None for job in jobs),
        jobs=len(jobs),
        compared_at=min(equal, default=None),
        drills=len(drills),
        drilled=len(passed),
        undone=sum(job.drill is not None and job.drill.result != "passed" for job in drills),
        drilled_at=min(passed, default=None),
    )


def _proven_at(job: JobState) -> int | None:
    """When both sides were found equal, if that is what was found last; of an archive alone, that it is whole."""
    if job.archive and job.destination == job.archive:
        return job.proof.at if job.proof and job.proof.result == "whole" and not job.damage else None
    found = job.verification
    return found.at if found and found.result == "equal" and not job.difference else None


def _passed(job: JobState) -> Drilled | None:
    """The last drill, if it passed."""
    return job.drill if job.drill and job.drill.result == "passed" else None


def snapshot_time(taken: SnapshotTaken) -> int:
    """When a snapshot was taken, nanoseconds since 1970: its name says so."""
    return parse_time(
        f"{taken.name[:4]}-{taken.name[4:6]}-{taken.name[6:11]}:{taken.name[11:13]}:{taken.name[13:]}"
    )


def protection_line(found: Protection, now: int) -> str:
    """That in one line: `8 of 10 databases protected; oldest copy 5 days; verified 2 h ago`, and the drills."""
    return "; ".join((_protected(found), _oldest(found), _verified(found, now), *_drilled(found, now)))


def _protected(found: Protection) -> str:
    if not found.databases:
        return "no database is known yet"
    share = f"{found.protected:,} of {counted(found.databases, 'database')} protected"
    return f"{share} (of {counted(found.unknown, 'job')} none is known yet)" if found.unknown else share


def _oldest(found: Protection) -> str:
    if found.oldest is None:
        return "no complete copy is known yet"
    without = f" ({counted(found.without, 'job')} without one)" if found.without else ""
    return f"oldest copy {lasting(found.oldest)}{without}"


def _verified(found: Protection, now: int) -> str:
    differing = f", {found.differing} differ" if found.differing > 1 else ", 1 differs" if found.differing else ""
    if found.compared_at is None:
        return f"0 of {counted(found.jobs, 'job')} verified{differing}"
    when = ago(found.compared_at, now)
    if found.compared == found.jobs:
        return f"verified {when}"
    return f"{found.compared} of {counted(found.jobs, 'job')} verified, the oldest {when}{differing}"


def _drilled(found: Protection, now: int) -> list[str]:
    """Nothing where no job is drilled."""
    if not found.drills:
        return []
    undone = f", {found.undone} did not pass" if found.undone else ""
    if found.drilled_at is None:
        return [f"no restore drill has passed{undone}" if undone else "no restore drill yet"]
    when = ago(found.drilled_at, now)
    if found.drilled == found.drills:
        return [f"last restore drill {when}"]
    return [f"restore drills of {found.drilled} of {counted(found.drills, 'job')}, the oldest {when}{undone}"]
