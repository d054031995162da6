"""Jobs that would write the same measurements of the same destination: found among the files, and refused.

Two writers of one measurement would each move the newest point past what the other has yet to bring, and the
next run would take the gap for copied.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from urllib.parse import urlsplit

from basics.patterns import NamePattern, is_selected
from basics.urls import same_host
from settings.keys import Destination, Job, MeasurementRules
from settings.kinds import url_host, url_port


@dataclass(frozen=True, slots=True)
class Rival:
    """A job that would write the same if its destination, which has another name, were the same server."""

    job: str
    destination: Destination
    database: str
    """What both would write, in words."""


def find_rivals(job: Job, jobs: Iterable[Job]) -> tuple[Rival, ...]:
    """Those of a job among all jobs. Only the servers can tell whether two names are one server."""
    others = (other for other in jobs if _both_have_servers(job, other))
    others = (other for other in others if other.name != job.name and _address(other) != _address(job))
    found = ((other, _shared_names(job, other)) for other in others)
    return tuple(
        Rival(other.name, other.destination, database)
        for other, database in found
        if database and not _are_disjoint(job.measurements, other.measurements)
    )


def find_overlaps(jobs: Sequence[Job]) -> dict[str, str]:
    """Job name -> why it cannot run beside another one. Every job of an overlapping pair is in it."""
    found: dict[str, str] = {}
    for one, other in _together(jobs):
        database = _shared_names(one, other)
        if database and not _are_disjoint(one.measurements, other.measurements):
            found.setdefault(one.name, _message(other, database))
            found.setdefault(other.name, _message(one, database))
    return found


def _together(jobs: Sequence[Job]) -> Iterator[tuple[Job, Job]]:
    """The pairs that could write the same: of one address, and not both with databases of other names."""
    at: dict[tuple[str, int, str], list[Job]] = {}
    for job in jobs:
        if job.destination.url:  # two writers of one archive cannot hurt each other
            at.setdefault(_address(job), []).append(job)
    for there in at.values():
        named: dict[str, list[Job]] = {}
        everything = [job for job in there if not job.source.databases]
        yield from combinations(everything, 2)
        for job in (job for job in there if job.source.databases):
            yield from ((job, other) for other in everything)
            for name in _names(job):
                yield from ((other, job) for other in named.get(name, ()))
                named.setdefault(name, []).append(job)


def _names(job: Job) -> set[str]:
    """Those that a job with a list of databases gives them."""
    return {job.source.destination_name(database.name) for database in job.source.databases}


def _message(other: Job, database: str) -> str:
    return (
        f"the job {other.name!r} also writes {database} at {other.destination.url}; two writers of one measurement"
        " could lose points: change a destination name, or separate them by measurements.include and .exclude"
    )


def _both_have_servers(one: Job, other: Job) -> bool:
    """Two writers of one archive cannot hurt each other."""
    return bool(one.destination.url and other.destination.url)


def _shared_names(one: Job, other: Job) -> str:
    """A database that both write, whatever their destinations are, in words; empty when there is none."""
    names = [_names(job) for job in (one, other)]
    if all(names):
        shared = names[0] & names[1]
        return f"database {min(shared)!r}" if shared else ""
    if not any(names):
        return "all databases" if _may_meet(one, other) else ""
    listed, everything = (names[0], other) if names[0] else (names[1], one)
    shared = {name for name in listed if _could_make(everything, name)}
    return f"database {min(shared)!r}" if shared else ""


def _address(job: Job) -> tuple[str, int, str]:
    return _address_in(job.destination.url)


@functools.lru_cache(maxsize=10_000)
def _address_in(url: str) -> tuple[str, int, str]:
    return same_host(url_host(url)), url_port(url), urlsplit(url).path


def _could_make(job: Job, name: str) -> bool:
    """Whether a job without a list of databases could have a destination of this name."""
    prefix, suffix = job.source.prefix, job.source.suffix
    return len(name) > len(prefix + suffix) and name.startswith(prefix) and name.endswith(suffix)


def _may_meet(one: Job, other: Job) -> bool:
    """Whether two jobs without lists could make the same name: not unless one prefix begins the other."""
    a, b = one.source, other.source
    begins = a.prefix.startswith(b.prefix) or b.prefix.startswith(a.prefix)
    return begins and (a.suffix.endswith(b.suffix) or b.suffix.endswith(a.suffix))


def _are_disjoint(one: MeasurementRules, other: MeasurementRules) -> bool:
    """Whether no measurement can be selected by both, as far as the patterns show it."""
    if one.include and other.include and all(_apart(a, b) for a in one.include for b in other.include):
        return True
    return _excludes_all(one.include, other) or _excludes_all(other.include, one)


def _apart(a: NamePattern, b: NamePattern) -> bool:
    """Whether no name matches both: exact names and globs are told apart by how they begin."""
    if _is_regex(a) or _is_regex(b):
        return False
    if _is_exact(a):
        return not b.matches(a.text)
    if _is_exact(b):
        return not a.matches(b.text)
    starts = [re.split(r"[*?\[]", pattern.text, maxsplit=1)[0] for pattern in (a, b)]
    return not (starts[0].startswith(starts[1]) or starts[1].startswith(starts[0]))


def _excludes_all(include: Sequence[NamePattern], other: MeasurementRules) -> bool:
    """Whether the other rules leave out whatever is included: pattern by pattern, or by its exact name."""
    excluded = {pattern.text for pattern in other.exclude}
    return bool(include) and all(
        pattern.text in excluded
        or (_is_exact(pattern) and not is_selected(pattern.text, other.include, other.exclude))
        for pattern in include
    )


def _is_regex(pattern: NamePattern) -> bool:
    return len(pattern.text) > 1 and pattern.text.startswith("/") and pattern.text.endswith("/")


def _is_exact(pattern: NamePattern) -> bool:
    return not _is_regex(pattern) and not set(pattern.text) & set("*?[")
