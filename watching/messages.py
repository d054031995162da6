"""What people and checks are told about a job, decided by comparing two snapshots of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal
from zoneinfo import ZoneInfo

from basics.humanize import counted, format_bytes
from basics.text import printable
from basics.times import SECOND
from settings.cron import parse_cron
from settings.keys import Job, Occasion
from settings.next_run import next_run
from watching.events import Drilled, RunRecord
from watching.repeats import once
from watching.state import Cause, JobState, job_key

Ping = Literal["/start", "", "/fail"]

FAILURES_TOLD: Final = 10
NAMES_TOLD: Final = 50


@dataclass(frozen=True, slots=True)
class Message:
    """For people."""

    occasion: Occasion
    at: int
    """Of what it tells; nanoseconds since 1970."""
    title: str
    text: str
    job: str = ""
    """What it is about; empty: all jobs. What follows is for many jobs of which the same is told at once:"""
    kind: str = ""
    """what every title of its kind says after the name of the job,"""
    errors: tuple[str, ...] = ()
    """what is wrong,"""
    about: tuple[str, ...] = ()
    """and since when, with what to do."""


@dataclass(frozen=True, slots=True)
class Signal:
    """For a check: what is put after its URL, and the summary."""

    ping: Ping
    at: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the daemon is: its host, and the URL of its page as others reach it; empty: not known."""

    host: str = ""
    page: str = ""

    @property
    def lines(self) -> list[str]:
        """It, for a message about all jobs."""
        found = {"Host": self.host, "Page": f"{self.page.rstrip('/')}/" if self.page else ""}
        return [f"{label}: {text}" for label, text in found.items() if text]


NOWHERE: Final = Place()

ADVICE: Final[Mapping[Cause, str]] = {
    "file": "Correct the file, then have the daemon read it again (SIGHUP, or restart it).",
    "worker": "It is started again by itself. SIGKILL is mostly the kernel, out of memory: see dmesg.",
    "server": "Start the server, or correct its URL: the job goes on by itself.",
    "run": "Look the message up in docs/troubleshooting.md; to copy now: main.py run --once --config {job}.yaml",
}
"""The runbook in a line, by what is wrong."""

DIFFERENCE_ADVICE: Final = "main.py verify --full --config {job}.yaml names what differs; main.py repair copies."
DAMAGE_ADVICE: Final = (
    "main.py archive verify --config {job}.yaml names the files; delete them: the next run writes them again."
)
DRILL_ADVICE: Final = "docs/archive.md, Rehearse a restore; to drill now: main.py drill --config {job}.yaml"
WARNING_ADVICE: Final = "docs/operating.md, Warnings, says what each means."


@dataclass(frozen=True, slots=True)
class Told:
    """What people know about a job: since when it is failing (0: not), and whether only a run can mend that."""

    failing_since: int = 0
    needs_run: bool = False
    warned: frozenset[str] = frozenset()
    """What they were warned of, by its kind."""


def message(
    told: Told, before: JobState, after: JobState, on: Collection[str], now: int, place: Place = NOWHERE
) -> tuple[Told, Message | None]:
    """What people know after this change, and the message about it if it is one of state that they asked for.

    A worker that is started again, or a run that begins, is not yet a recovery: that takes a run that succeeds.
    Only servers that answer again and files that are corrected are mended without. A warning is told once, until a
    run no longer has it.
    """
    succeeded = after.last_success is not None and after.last_success != before.last_success
    if after.is_failing:
        needs_run = told.needs_run or bool(after.troubles.keys() & {"run", "worker"})
        since = told.failing_since or after.failing_since or now
        is_new = not told.failing_since and "failure" in on
        return Told(since, needs_run, told.warned), _failure(after, since, now, place) if is_new else None
    recovered = told.failing_since and (succeeded or not told.needs_run)
    if told.failing_since and not recovered:
        return told, None
    now_told = Told(warned=frozenset(map(kind, after.warnings)))
    if now_told.warned - told.warned and "warning" in on:
        return now_told, _warning(after, now, place)
    if recovered and "recovery" in on:
        return now_told, _recovery(told, after, now, place, succeeded=succeeded)
    if told.warned and not now_told.warned and "recovery" in on:
        return now_told, _all_clear(after, place)
    return now_told, _good(before, after, place, succeeded=succeeded) if "success" in on else None


def kind(warning: str) -> str:
    """The warning without its numbers and times, which differ from run to run."""
    return re.sub(r"\d[\d,.:TZ-]*", "#", warning)


def signals(before: JobState, after: JobState) -> Iterator[Signal]:
    """What a check is told: each run's start and end, and what keeps the job from running."""
    if after.run is not None and before.run is None:
        yield Signal("/start", after.run.started)
    record = after.history[-1] if after.history else None
    if record is not None and record not in before.history[-1:]:
        if record.outcome == "ok":
            yield Signal("", record.ended, _summary(record))
        elif record.failures:
            yield Signal("/fail", record.ended, _summary(record))
    for cause in after.troubles.keys() - before.troubles.keys() - {"run"}:
        yield Signal("/fail", after.troubles[cause].at, after.troubles[cause].text)


def _failure(job: JobState, since: int, now: int, place: Place) -> Message:
    next_try, began = _next_try(job, now), f"Since: {_at(since, job)}"
    errors = [line for trouble in job.troubles.values() for line in trouble.text.split("\n")]
    advice = _advice(job, *(ADVICE[cause] for cause in ADVICE if cause in job.troubles))
    lines = [
        f"Job {job.name} is failing.",
        "",
        *first_lines(once(errors)),
        "",
        began,
        f"Last success: {_at(job.last_success, job) if job.last_success else 'none since the daemon was started'}",
        f"Next try: {_at(next_try, job) if next_try else 'none: it was to run once'}",
        *_about(job, place),
        *advice,
    ]
    found = _message("failure", since, job.name, "backup is failing", lines)
    return replace(found, errors=tuple(errors), about=(began, *advice))


def _warning(job: JobState, now: int, place: Place) -> Message:
    lines = [f"Job {job.name} does not fail, but look at this:", "", *first_lines(once(job.warnings))]
    lines += ["", *(f"Last run: {_summary(record).splitlines()[0]}" for record in job.history[-1:])]
    found = _findings(job)
    advice = _advice(job, *([text for _, text in found] or [WARNING_ADVICE]))
    lines += [*_about(job, place), *advice]
    since = found[0][0] if found else job.judged.ended if job.judged else now
    message = _message("warning", since, job.name, "backup has warnings", lines)
    return replace(message, errors=job.warnings, about=tuple(advice))


def _findings(job: JobState) -> list[tuple[int, str]]:
    """What verify and drills found that is not good: when, and what to do; the latest first."""
    drill = job.drill if job.drill and job.drill.result != "passed" else None
    found = ((job.difference, DIFFERENCE_ADVICE), (job.damage, DAMAGE_ADVICE), (drill, DRILL_ADVICE))
    return sorted(((verdict.at, advice) for verdict, advice in found if verdict), reverse=True)


def _all_clear(job: JobState, place: Place) -> Message:
    lines = [f"Job {job.name} is fine again: its last run has no warnings.", ""]
    lines += [f"Last run: {_summary(job.history[-1])}"] if job.history else []
    lines += _about(job, place)
    return _message("recovery", job.last_success or job.since, job.name, "backup is fine again", lines)


def _recovery(told: Told, job: JobState, now: int, place: Place, *, succeeded: bool) -> Message:
    next_run_at = _next_try(job, now)
    lines = [
        f"Job {job.name} is fine again.",
        "",
        f"It was failing since {_at(told.failing_since, job)}:",
        *first_lines(once(job.last_error.split("\n"))),
        "",
    ]
    lines += [f"Last run: {_summary(job.history[-1])}"] if succeeded and job.history else []
    lines += [f"Next run: {_at(next_run_at, job)}"] if next_run_at else []
    lines += _about(job, place)
    at = job.last_success if succeeded and job.last_success else job.since
    return _message("recovery", at, job.name, "backup is fine again", lines)


def trial_message(job: Job, host: str) -> Message:
    """What shows that a service can be reached: where it comes from, and of what it will tell."""
    lines = [
        f"This is a test: job {job.name} on {host} can tell you something here.",
        "",
        f"From: {job.source.url}",
        f"To: {job.destination.url}",
        f"It tells of: {', '.join(job.options.notify.occasions)}",
    ]
    if daily := job.options.notify.daily:
        lines.append(f"Every day at {daily:%H:%M} {job.options.incremental.timezone}: a digest of all jobs")
    return _message("success", 0, job.name, "test message", lines)


def _success(job: JobState, place: Place) -> Message:
    summary = _summary(job.history[-1]) if job.history else "ok"
    lines = [f"Job {job.name}: {summary}", *_about(job, place)]
    return _message("success", job.last_success or 0, job.name, "backup succeeded", lines)


def _good(before: JobState, after: JobState, place: Place, *, succeeded: bool) -> Message | None:
    """What is told of a run that succeeded, or of a drill that passed."""
    if after.rehearsed is not None and after.rehearsed != before.rehearsed:
        return _rehearsed(after, after.rehearsed, place)
    return _success(after, place) if succeeded else None


def _rehearsed(job: JobState, drill: Drilled, place: Place) -> Message:
    lines = [f"Job {job.name}: restore drill {printable(drill.sentence)}", *_about(job, place)]
    return _message("success", drill.at, job.name, "restore drill passed", lines)


def _about(job: JobState, place: Place) -> list[str]:
    """Which copy it is, where the daemon is, and where to look."""
    lines = {
        "From": printable(f"{job.source} to {job.destination}") if job.source else "",
        "Host": place.host,
        "Page": f"{place.page.rstrip('/')}/jobs/{job_key(job.name)}" if place.page else "",
    }
    return [f"{label}: {text}" for label, text in lines.items() if text]


def _advice(job: JobState, *texts: str) -> list[str]:
    return [f"What to do: {printable(text.format(job=job.name))}" for text in texts]


def _message(occasion: Occasion, at: int, job: str, kind: str, lines: list[str]) -> Message:
    return Message(occasion, at, printable(f"{job}: {kind}"), "\n".join(lines), printable(job), kind)


def together(messages: Sequence[Message], place: Place = NOWHERE) -> Message:
    """One message for several of one kind: a server that is down fails all of its jobs, and is one news."""
    if len(messages) == 1:
        return messages[0]
    first = messages[0]
    names = sorted(message.job for message in messages)
    more = f" and {len(names) - NAMES_TOLD:,} more" if len(names) > NAMES_TOLD else ""
    lines = [", ".join(names[:NAMES_TOLD]) + more, ""]
    if errors := once([error for message in messages for error in message.errors]):
        lines += [*first_lines(errors), ""]
    title = f"{counted(len(names), 'job')}: {first.kind}"
    return Message(first.occasion, first.at, title, "\n".join([*lines, *place.lines, *first.about]))


def first_lines(texts: Sequence[str]) -> list[str]:
    """Texts line by line, and where to find more of them."""
    lines = [printable(line) for text in texts for line in text.split("\n")]
    return lines if len(lines) <= FAILURES_TOLD else [*lines[:FAILURES_TOLD], "... and more, see the log"]


def _summary(record: RunRecord) -> str:
    """A run in one line, and its failures and warnings in one each."""
    done = record.amounts
    late = f", {done.late:,} of them late" if done.late else ""
    lost = f", {counted(done.quarantined, 'line')} quarantined" if done.quarantined else ""
    points, values = counted(done.points, "point"), counted(done.values, "value")
    numbers = f"{points}, {values}{late}, {format_bytes(done.bytes)}{lost}"
    is_new = done.values or done.quarantined or record.outcome != "ok"
    first = f"{record.outcome}: {numbers if is_new else 'nothing new'} in {record.seconds:.1f} s"
    taken = [f"snapshot {record.snapshot.sentence}"] if record.snapshot else []
    return "\n".join([first, *map(printable, (*taken, *record.failures, *record.warnings))])


def _next_try(job: JobState, now: int) -> int | None:
    """When the job is tried again; None for one that is over."""
    due = job.restart_at or job.retry_at or job.next_run
    if due is not None or job.ended or not job.schedule:
        return due
    at = next_run(parse_cron(job.schedule), job.timezone, datetime.fromtimestamp(now / SECOND, UTC))
    return int(at.timestamp() * SECOND)


def _at(time_ns: int, job: JobState) -> str:
    """A time to the second, in the time zone of the job's schedule."""
    moment = datetime.fromtimestamp(time_ns // SECOND, ZoneInfo(job.timezone))
    return f"{moment:%Y-%m-%d %H:%M:%S} {job.timezone}"
