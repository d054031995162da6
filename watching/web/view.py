"""What the pages say about each job: its card, its facts, its tables. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from basics.humanize import ago, counted, lasting, to_the_minute, took
from basics.text import printable
from watching.days import day_of
from watching.events import RunRecord, RunState
from watching.repeats import once
from watching.standing import tone, word
from watching.state import JobState, Trouble, job_key
from watching.web import archives
from watching.web.chart import Chart, Strip, chart, heartbeat
from watching.web.facts import Fact
from watching.web.tables import NONE

ERRORS_ON_CARD = 3
DATABASES_ON_CARD = 3
OVERDUE = 120.0
"""Seconds after which a run that has not begun is worth a word."""


MOST_IN_FULL = 6
"""Of more jobs that are well each has one line."""

GROUPS: Mapping[str, str] = {
    "failing": "Failing",
    "waiting": "Waiting",
    "warning": "With warnings",
    "running": "Running",
    "fine": "Fine",
    "other": "Others",
}

# ---------------------------------------------------------------- what is shown


@dataclass(frozen=True, slots=True)
class Bar:
    """A progress bar."""

    percent: int
    label: str
    tone: str = "busy"


@dataclass(frozen=True, slots=True)
class Problems:
    """What is or was wrong: a heading, the errors in full, and how many more there are."""

    title: str
    texts: tuple[str, ...]
    more: int
    tone: str


@dataclass(frozen=True, slots=True)
class Card:
    """A job at a glance."""

    name: str
    key: str
    tone: str
    condition: str
    source: str
    destination: str
    doing: str
    bar: Bar | None
    more: tuple[str, ...]
    facts: tuple[Fact, ...]
    chart: Chart
    days: Strip
    problems: Problems | None
    past: Problems | None
    """The last error, when it is over."""
    groups: tuple[str, ...] = ()
    """By which the page is filtered: those of GROUPS that it belongs to."""
    is_folded: bool = False
    """Whether it has one line."""


def card(job: JobState, now: int, *, errors: int = ERRORS_ON_CARD, is_folded: bool = False) -> Card:
    """The job as the overview shows it, or its own page with other limits."""
    doing, more = _doing(job, now)
    return Card(
        name=printable(job.name),
        key=job_key(job.name),
        tone=tone(job),
        condition=capital(word(job)),
        source=_short(job.source),
        destination=_short(job.destination),
        doing=printable(doing),
        bar=_bar(job),
        more=tuple(map(printable, more)),
        facts=tuple(_line(job, now) if is_folded else facts(job, now)),
        chart=chart(job.history),
        days=heartbeat(job.days, day_of(now, job.timezone)),
        problems=_problems(job, now, errors),
        past=_past(job, now, errors),
        groups=groups_of(job),
        is_folded=is_folded,
    )


def cards(jobs: Sequence[JobState], now: int) -> list[Card]:
    """Of all jobs; where many are well, these have one line each."""
    folds = sum(map(is_well, jobs)) > MOST_IN_FULL
    return [card(job, now, is_folded=folds and is_well(job)) for job in jobs]


def is_well(job: JobState) -> bool:
    """Whether nothing about it needs a look."""
    return tone(job) in ("good", "busy")


def groups_of(job: JobState) -> tuple[str, ...]:
    """Which of GROUPS it belongs to, as the sentence on top counts them."""
    found = ("running",) if job.run is not None else ()
    if job.is_failing:
        return (*found, "failing", *(("waiting",) if tone(job) == "wait" else ()))
    if job.is_warned:
        return (*found, "warning")
    return (*found, "fine") if is_well(job) else (*found, "other")


def groups(jobs: Sequence[JobState]) -> list[tuple[str, str, int]]:
    """Those that there are, with what they are called and how many jobs are in each."""
    found = [key for job in jobs for key in groups_of(job)]
    return [(key, words, found.count(key)) for key, words in GROUPS.items() if key in found]


def capital(text: str) -> str:
    """The text with a capital letter."""
    return text[:1].upper() + text[1:]


def _short(url: str) -> str:
    return printable(url.removeprefix("http://"))


# ---------------------------------------------------------------- what it does


def _doing(job: JobState, now: int) -> tuple[str, list[str]]:
    """What it does now, in one line, and some more."""
    if job.run is not None:
        return _phase(job, job.run), list(_amounts(job.run, now))
    match job.condition:
        case "invalid file":
            return "Correct its file, then have the daemon read it again (SIGHUP)", []
        case "worker died" if job.restart_at is not None:
            return f"Its process is started again {_in(job.restart_at, now)}", []
        case "waiting for server" if job.retry_at is not None:
            return f"Next attempt {_in(job.retry_at, now)}", []
        case "starting":
            return "Its process is starting", []
    return (_last_run(job.history[-1]) if job.history else "It has not run yet"), []


def _phase(job: JobState, run: RunState) -> str:
    database = f"{run.database} ({run.number} of {run.databases})" if run.databases > 1 else run.database
    match run.phase:
        case "connecting":
            return "Connecting to both servers"
        case "planning":
            return f"Planning {database}" if database else "Planning"
        case "looking for late data":
            return f"Looking for late data in {database}"
    busy = [m.measurement for m in job.measurements.values() if m.phase == "copying" and m.run == run.started]
    names = ", ".join(busy[:2]) + (f" and {len(busy) - 2} more" if len(busy) > 2 else "")
    where = f"Copying {database}, measurement {run.measurement:,} of {run.measurements:,}"
    return f"{where}: {names}" if names else where


def _amounts(run: RunState, now: int) -> Iterable[str]:
    if run.amounts.points:
        rate = f", {run.rate:,.0f} points a second" if run.rate else ""
        yield f"{counted(run.amounts.points, 'point')}, {counted(run.amounts.values, 'value')}{rate}"
    left = run.seconds_left(now)
    since = f"running for {lasting((now - run.started) / 1e9)}"
    yield f"{since}, about {lasting(left)} left" if left is not None and left >= 1 else since
    if run.trouble:
        yield f"Trying again: {run.trouble}"


def _bar(job: JobState) -> Bar | None:
    if job.run is None or (job.run.phase != "copying" and not job.run.share):
        return None
    percent = int(job.run.share * 100)
    return Bar(
        percent, f"Time range of {printable(job.run.database)} that is copied" if job.run.database else "Progress"
    )


def _last_run(record: RunRecord) -> str:
    points, time = counted(record.amounts.points, "point"), took(record.seconds)
    if record.outcome == "FAILED":
        failures = counted(max(record.amounts.failures, len(record.failures)), "error")
        return f"The last run failed: {failures}, {points} copied in {time}"
    if record.outcome == "stopped":
        return f"The last run was stopped: {points} copied in {time}"
    return (
        f"The last run copied {points} in {time}"
        if record.amounts.points
        else f"Nothing new in the last run, {time}"
    )


def _in(at: int, now: int) -> str:
    return "now" if at - now < 1e9 else f"in {lasting((at - now) / 1e9)}"


# ---------------------------------------------------------------- facts


def facts(job: JobState, now: int, databases: int = DATABASES_ON_CARD) -> Iterable[Fact]:
    """The last success, the lag of (so many) databases, the last comparison, the next run."""
    success = job.last_success
    if success is None:
        yield Fact("Last success", (("none yet", ""),), tone(job) if job.is_failing else "")
    else:
        yield Fact("Last success", ((ago(success, now), to_the_minute(success)),))
    # a range has an end: how far that is from now says nothing
    yield Fact("Lag", ((NONE, "of a range"),) if job.mode == "range" else tuple(_lags(job, now, databases)))
    yield _verified(job, now)
    yield from archives.glance(job, now)
    yield _next_run(job, now)


def _line(job: JobState, now: int) -> Iterable[Fact]:
    """What there is room for in one line."""
    more = {fact.label for fact in archives.glance(job, now)}
    return (fact for fact in facts(job, now) if fact.label not in more)


def _verified(job: JobState, now: int) -> Fact:
    """What a comparison of both sides found, and when; of an archive alone, what reading its files found."""
    if job.destination == job.archive and (proof := job.damage or job.proof):
        when = ago(proof.at, now)
        if proof.result == "whole":
            return Fact("Verified", ((when, to_the_minute(proof.at)),))
        return Fact("Verified", ((proof.result, when),), "wait")
    if (found := job.compared) is None:
        return Fact("Verified", (("never", ""),))
    if found.result == "equal":
        return Fact("Verified", ((ago(found.at, now), to_the_minute(found.at)),))
    return Fact("Verified", ((found.result, ago(found.at, now)),), "wait")


def _lags(job: JobState, now: int, most: int) -> Iterable[tuple[str, str]]:
    lags = sorted(((d.lag(now), d.name) for d in job.databases.values()), key=lambda lag: -(lag[0] or 0.0))
    for lag, name in lags[:most]:
        yield "not known" if lag is None else lasting(lag), printable(name)
    if len(lags) > most:
        yield "", f"less in {len(lags) - most} more"
    if not lags:
        yield "not known", ""


def _next_run(job: JobState, now: int) -> Fact:
    if job.next_run is not None and (late := job.overdue(now)) > OVERDUE:
        return Fact("Next run", ((f"overdue by {lasting(late)}", ""),), "bad")
    if job.next_run is not None:
        return Fact("Next run", ((_in(job.next_run, now), to_the_minute(job.next_run)),))
    if job.ended:
        return Fact("Next run", (("none", "it was stopped" if job.schedule else "it runs once"),))
    if not job.schedule and job.condition != "invalid file":
        return Fact("Next run", (("none", "it runs once"),))
    words = {"running": "after this one", "waiting for server": "when it answers"}
    return Fact("Next run", ((words.get(job.condition, NONE), ""),))


# ---------------------------------------------------------------- errors


def _problems(job: JobState, now: int, most: int) -> Problems | None:
    """What is wrong now, the latest first."""
    latest = sorted(job.troubles.items(), key=lambda item: -item[1].at)
    texts = [text for cause, trouble in latest for text in _texts(cause, trouble)]
    since = job.failing_since
    if since is None:
        return _warnings(job, now, most)
    waiting = tone(job) == "wait"
    word = "Waiting" if waiting else "Failing"
    title = f"{word} since {to_the_minute(since)}, {ago(since, now)}"
    last = max(trouble.at for _, trouble in latest)
    if last > since:
        title += f"; last error {ago(last, now)}"
    return _bounded(title, texts, most, "wait" if waiting else "bad")


def _warnings(job: JobState, now: int, most: int) -> Problems | None:
    """What the last run warned of, and what verify found."""
    if not job.warnings:
        return None
    last = (
        f" of the last run, {ago(job.judged.ended, now)}" if job.judged and job.judged.warned == job.warned else ""
    )
    found = _bounded(f"{counted(job.warned, 'warning')}{last}", job.warnings, most, "wait")
    return replace(found, more=found.more + job.warned - len(job.warnings))


def _texts(cause: str, trouble: Trouble) -> list[str]:
    """The failures of a run, or the one message."""
    return trouble.text.splitlines() if cause == "run" else [trouble.text]


def _past(job: JobState, now: int, most: int) -> Problems | None:
    if job.is_failing or not job.last_error or job.last_error_at is None:
        return None
    title = f"A past error, {ago(job.last_error_at, now)}, {to_the_minute(job.last_error_at)}"
    return _bounded(title, job.last_error.splitlines(), most, "quiet")


def _bounded(title: str, texts: Sequence[str], most: int, tone: str) -> Problems:
    texts = once(texts)
    return Problems(title, tuple(map(_printable_lines, texts[:most])), max(0, len(texts) - most), tone)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.splitlines()))


# ---------------------------------------------------------------- of the page of one job


def verified(job: JobState, now: int) -> Iterable[Fact]:
    """What a comparison of both sides found, in full."""
    if found := job.compared:
        when = f"{ago(found.at, now)}, by {found.how}" + (f": {found.detail}" if found.detail else "")
        yield Fact("Comparison", ((found.result, printable(when)),), "" if found.result == "equal" else "wait")
    yield from archives.in_full(job, now)


def settings(job: JobState) -> list[Fact]:
    """What its file says."""
    when = f"{job.schedule} ({job.timezone})" if job.schedule else "once"
    rows = {"From": job.source, "To": job.destination, "Mode": job.mode, "Schedule": when}
    rows["Archive"] = job.archive if job.archive != job.destination else ""
    rows["Drill"] = f"{job.drill_schedule} ({job.timezone})" if job.drill_schedule else ""
    return [Fact(label, ((printable(text), ""),)) for label, text in rows.items() if text]
