"""One message a day about all jobs, to each service that a job names with `notify.daily`.

A service gets one digest a day, whatever number of jobs ask for it: at the time of the first of them, by name. One
that was missed comes once, as soon as the daemon is there again, where a file remembers when the last one went.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from basics.files import write_whole
from basics.humanize import ago, counted, lasting
from basics.text import printable
from basics.times import SECOND
from settings.cron import parse_cron
from settings.keys import Occasion
from settings.next_run import next_run
from watching.days import Day, day_of
from watching.events import Contact
from watching.messages import Message, Place, first_lines
from watching.repeats import once
from watching.standing import first_alike, headline, in_order, problems, protection, protection_line, tone, word
from watching.state import JobState, State

logger = logging.getLogger(__name__)

MOST_LINES = 100
"""How many jobs have a line of their own."""


def asked_for(contacts: Mapping[str, Contact], jobs: Mapping[str, JobState]) -> dict[str, tuple[str, str]]:
    """The URLs that get a digest, with time and zone: those of the first job, by name, that asks for it there."""
    found: dict[str, tuple[str, str]] = {}
    for name in sorted(contacts.keys() & jobs.keys()):
        if contacts[name].daily:
            for url in contacts[name].urls:
                found.setdefault(url, (contacts[name].daily, jobs[name].timezone))
    return found


def next_digest(daily: str, zone: str, after: int) -> int:
    """The first time after a moment at which it is due: 07:00 on every day, whatever the clocks do."""
    hour, _, minute = daily.partition(":")
    cron = parse_cron(f"{int(minute)} {int(hour)} * * *")
    return int(next_run(cron, zone, datetime.fromtimestamp(after / SECOND, UTC)).timestamp()) * SECOND


class Calendar:
    """When each service got its last digest; one that never got any waits from `born` on. Times are nanoseconds.

    `file` remembers it over restarts, by fingerprints of the URLs; None: nothing does.
    """

    def __init__(self, born: int, file: Path | None = None) -> None:
        self._born, self._file = born, file
        self._last: dict[str, int] = {}
        if file is not None:
            with suppress(OSError, ValueError, TypeError, AttributeError):  # none yet, or none of ours
                self._last = {str(key): int(at) for key, at in json.loads(file.read_text()).items()}

    def due(self, asked: Mapping[str, tuple[str, str]], now: int) -> Iterator[str]:
        """The URLs whose time has come; each once."""
        for url, (daily, zone) in asked.items():
            key = hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
            if now >= next_digest(daily, zone, self._last.get(key, self._born)):
                self._last[key] = now
                self._keep()
                yield url

    def _keep(self) -> None:
        if self._file is not None:
            try:
                write_whole(self._file, json.dumps(self._last).encode())
            except OSError as error:
                logger.warning("%s cannot be written: a digest may come twice: %s", self._file, error.strerror)


# ---------------------------------------------------------------- what it says


def digest(state: State, zone: str, now: int, place: Place) -> Message:
    """All jobs in one message: those that need attention first, with what is wrong, then a line for each."""
    words, colour = headline(state)
    jobs = in_order(state.jobs.values())
    lines = [f"{words}.", protection_line(protection(state, now), now), *_yesterday(jobs, zone, now), ""]
    firsts = first_alike(jobs)
    for job in jobs:
        if tone(job) in ("bad", "wait") and firsts.get(job.name, job.name) == job.name:
            lines += _attention([job, *(j for j in jobs if firsts.get(j.name) == job.name != j.name)], now)
    lines += [_line(job, now) for job in jobs[:MOST_LINES]]
    lines += [f"and {counted(len(jobs) - MOST_LINES, 'more job')}"] * (len(jobs) > MOST_LINES)
    lines += ["", *place.lines]
    day = datetime.fromtimestamp(now // SECOND, ZoneInfo(zone))
    occasion: Occasion = "failure" if colour == "bad" else "success"
    return Message(occasion, now, f"Backups on {day:%Y-%m-%d}: {words}", "\n".join(lines))


def _yesterday(jobs: list[JobState], zone: str, now: int) -> Iterator[str]:
    """How the runs of the last whole day went, as far as it is known."""
    day = day_of(now, zone) - timedelta(days=1)
    days = [job.days.get(day, Day()) for job in jobs]
    runs, failed, warned = (
        sum(counts) for counts in zip(*((d.runs, d.failed, d.warned) for d in days), strict=True)
    )
    if runs:
        yield f"yesterday {counted(runs, 'run')}: {failed:,} failed, {warned:,} with warnings"


def _attention(alike: list[JobState], now: int) -> list[str]:
    """What is wrong with a job, or with several of the same."""
    since = min((job.failing_since for job in alike if job.failing_since), default=None)
    names = ", ".join(printable(job.name) for job in alike)
    told = f"{names}: {word(alike[0])}" + (f", for {lasting((now - since) / 1e9)}" if since else "")
    return [told, *(f"  {line}" for line in first_lines(once(problems(alike[0])))), ""]


def _line(job: JobState, now: int) -> str:
    success = f"last success {ago(job.last_success, now)}" if job.last_success else "no success yet"
    lags = [lag for database in job.databases.values() if (lag := database.lag(now)) is not None]
    behind = f", lag {lasting(max(lags))}" if lags and job.mode != "range" else ""
    return printable(f"{job.name}: {word(job)}, {success}{behind}")
