"""Takes a snapshot of what a job names: reads what is new, proves it, and publishes it when all of it is there.

For each shard group of each policy, oldest first: what the snapshot before holds of it is taken over where nobody
wrote to it since. The rest is read, written as files, read back, and added up as the source adds it up.
"""

import logging
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from basics.spans import Span
from basics.stopping import Stopped, StopRequest
from basics.text import printable, warned
from basics.times import MIN_TIME
from copying import inventory
from copying.archive import losses, reusing, sums
from copying.archive.contents import Archive
from copying.archive.errors import StoreFailed
from copying.archive.making import PartMaker
from copying.archive.manifest import DatabaseHeld, DataFile, Entry, Group, Part, PolicyHeld, Snapshot
from copying.archive.reusing import Trust
from copying.archive.sums import Told
from copying.inventory import Inventory, take_inventory
from copying.listener import Planned, RunListener, SilentRun
from copying.metadata import snapshot as metadata
from copying.metadata.capture import Capture
from copying.reading import Reader
from copying.results import DatabaseResult, JobResult, MeasurementResult, SnapshotTaken, SourceAge
from copying.selection import allowed_types, field_rules, get_fields_to_backup
from copying.source_age import is_fresh, staleness
from copying.task import Copy, Target
from copying.windows import comparable_types
from influx import shard_groups, storable
from influx.errors import AccessDenied, InfluxError
from influx.fingerprints import Look
from influx.frames import Frame
from influx.influxql import Location, Policy
from influx.written import Written
from influx_client import InfluxClient
from settings.keys import Job

logger = logging.getLogger(__name__)

TOGETHER = 50
"""Of so many measurements the source is asked at once."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A policy, and what of it is wanted."""

    database: str
    policy: Policy
    copies: tuple[Copy, ...]
    groups: tuple[Span, ...]
    """Of the source; where nobody may see them those there should be."""
    signatures: Mapping[Span, str]
    refused: tuple[Location, ...] = ()
    """The measurements of which nothing can be kept."""

    @property
    def places(self) -> list[Location]:
        """Every measurement that is wanted."""
        return [*(copy.source for copy in self.copies), *self.refused]


@dataclass(slots=True)
class _Tally:
    """What became of a measurement so far."""

    written: Written = field(default_factory=Written)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class SnapshotRun:
    """Takes one snapshot of the job whose file is `path`.

    `now` (nanoseconds) is fixed for the run. `stopping` ends it after a file.
    """

    def __init__(
        self,
        job: Job,
        source: InfluxClient,
        archive: Archive,
        *,
        path: Path,
        now: int | None = None,
        stopping: StopRequest | None = None,
        listener: RunListener | None = None,
    ) -> None:
        self._job = job
        self._source = source
        self._archive = archive
        self._path = path
        self._inventory = Inventory()
        self._now = time.time_ns() if now is None else now
        self._stopping = stopping or StopRequest()
        self._listener = listener or SilentRun()
        reader = Reader(job, source, self._now, self._stopping)
        self._maker = PartMaker(source, reader, archive, self._stopping, self._count)
        self._capture = Capture(source, job.source, job.options.metadata)
        self._before: dict[tuple[str, str, Span], Group] = {}
        self._metadata: dict[str, Any] = {}
        self._tallies: dict[Location, _Tally] = {}
        self._known_files: Mapping[str, DataFile] = {}

    def run(self) -> JobResult:
        """Take it. Failures are collected; with one of them nothing is published."""
        begun = time.monotonic()
        held: list[DatabaseHeld] = []
        results: list[DatabaseResult] = []
        problems: list[str] = []
        unmatched: tuple[str, ...] = ()
        lost: tuple[str, ...] = ()
        taken: SnapshotTaken | None = None
        is_stopped = False
        try:
            before = self._archive.begin(self._job.name, self._now)
            if before:
                self._before, self._known_files = before.groups, before.files
            unmatched = self._look_around()
            for number, name in enumerate(self._databases(), 1):
                self._listener.database(name, number)
                found, result = self._database(name)
                held.append(found)
                results.append(result)
            problems += self._emptiness(held)
            done = JobResult(self._job.name, tuple(results), tuple(problems))
            if done.succeeded and not self._stopping.is_set():
                taken = self._publish(held)
                lost = warned(logger, *losses.lost(self._job, before, self._now, held)) if before else ()
        except StoreFailed as error:
            problems += self._told(f"{error}; nothing is published, and the next run goes on")
        except InfluxError as error:
            problems += self._told(str(error))
        except Stopped:
            is_stopped = True
        seconds = time.monotonic() - begun
        is_stopped = is_stopped or self._stopping.is_set()
        warnings = (*unmatched, *lost, *self._archive.warnings, *self._capture.warnings)
        return JobResult(
            self._job.name, tuple(results), tuple(problems), seconds, is_stopped, warnings, snapshot=taken
        )

    def _look_around(self) -> tuple[str, ...]:
        """Warn of rules that match nothing; where the job copies to a server too, that run has done so."""
        if not self._job.destination.url:
            self._inventory = take_inventory(self._job, self._source)
        unmatched = inventory.unmatched_rules(self._job, self._inventory)
        return warned(logger, *(f"{self._path}: {text}" for text in unmatched))

    def _publish(self, held: Sequence[DatabaseHeld]) -> SnapshotTaken:
        snapshot = Snapshot(
            self._job.name, self._now, self._source.url, tuple(held), self._source.version, self._metadata
        )
        size = self._archive.publish(snapshot)
        files = snapshot.files
        new = [file.bytes for key, file in files.items() if key not in self._known_files]
        taken = SnapshotTaken(
            self._archive.url,
            snapshot.name,
            len(files),
            snapshot.bytes,
            len(new),
            sum(new),
            snapshot.rows,
            size,
            self._archive.earlier + 1,
            self._archive.size,
        )
        logger.info("snapshot %s", taken.sentence)
        return taken

    def _told(self, problem: str) -> list[str]:
        """The problem, but for one that comes from a request given up in order to stop."""
        if self._stopping.is_set():
            return []
        logger.error("%s", problem)
        return [problem]

    def _databases(self) -> tuple[str, ...]:
        names = tuple(mapping.name for mapping in self._job.source.databases) or self._source.get_databases()
        self._listener.databases(len(names))
        return names

    def _emptiness(self, held: Sequence[DatabaseHeld]) -> list[str]:
        """Why there is nothing at all to keep, unless that may be."""
        if self._job.options.allow_empty or any(self._tallies):
            return []
        names = ", ".join(printable(database.name) for database in held) or "no database but _internal"
        return self._told(
            f"nothing to keep: {self._job.source.url} shows this user no measurement that the rules select in "
            f"{names}; correct that, or set options.allow_empty: true if it may be so"
        )

    def _emptiness_of(self, name: str, *, has_met: bool) -> Iterator[str]:
        """The same of one database beside others; whether points of it were met, or somebody failed."""
        for database in self._inventory.of(name):
            yield inventory.empty_database(self._job, database)
            if not has_met:
                yield inventory.no_points(self._job, name, sum(map(self._job.wants, database.measurements)))

    # ------------------------------------------------------------ a database

    def _database(self, name: str) -> tuple[DatabaseHeld, DatabaseResult]:
        self._stopping.check()
        problems: list[str] = []
        held: list[PolicyHeld] = []
        mine: list[Location] = []
        try:
            tags = self._source.get_tag_keys(name)
            for policy in self._source.get_retention_policies(name):
                self._listener.phase("planning")
                asked = self._asked(name, policy, tags)
                mine += asked.places
                held.append(self._policy(asked))
            if self._job.options.metadata:
                self._metadata[name] = metadata.as_bytes(self._capture.take(name)).decode()
        except StoreFailed:
            raise
        except InfluxError as error:
            problems += self._told(f"database {printable(name)}: {error}")
        self._listener.failed(problems)
        results = [self._result(location) for location in dict.fromkeys(mine)]
        age = self._age(name, held)
        has_met = any(policy.groups for policy in held) or any(self._tallies[place].problems for place in mine)
        empty = self._emptiness_of(name, has_met=has_met or bool(problems))
        warnings = warned(logger, *empty, staleness(age, self._job.options.max_lag))
        database = DatabaseResult(name, tuple(results), tuple(problems), warnings, age)
        return DatabaseHeld(name, tuple(held)), database

    def _age(self, name: str, held: Iterable[PolicyHeld]) -> SourceAge:
        """How old a database is at the source, by what was read.

        The source is asked of what has points after now beside older ones: mostly, they came while it was read.
        """
        limit, now = self._job.options.max_lag, self._now
        parts = [(policy.policy.name, part) for policy in held for group in policy.groups for part in group.parts]
        times = [file.last for _, part in parts for file in part.files if file.last <= now]
        mixed = [
            (Location(name, policy, part.measurement), key, (type_,))
            for policy, part in parts
            if any(file.first <= now < file.last for file in part.files)
            for key, type_ in part.fields.items()
        ]
        try:
            times += [time for time in self._source.get_edges("last", mixed, end=now + 1) if time is not None]
        except InfluxError as error:  # no failure of the snapshot
            logger.warning("database %s: its newest point at the source is not known: %s", printable(name), error)
            return SourceAge(name)
        newest = max(times, default=None)
        return SourceAge(name, newest, None if limit is None else not is_fresh(newest, limit, now))

    def _result(self, location: Location) -> MeasurementResult:
        tally = self._tallies[location]
        result = MeasurementResult(
            str(location),
            tally.written,
            tuple(tally.problems),
            is_whole=not tally.problems,
            warnings=tuple(dict.fromkeys(tally.warnings)),
        )
        self._listener.finished(location, result, stopped=self._stopping.is_set())
        return result

    # ------------------------------------------------------------ a policy

    def _asked(self, database: str, policy: Policy, tags: Mapping[str, tuple[str, ...]]) -> _Asked:
        # before anything is read, so that what is written from now on shows
        states = self._source.get_shard_states(database, policy.name, self._now)
        known = self._source.get_field_keys(database, policy.name)
        groups = self._shard_groups(database, policy.name)
        target = Target(database, policy, policy, groups, (), {}, is_new=True)
        every = [
            self._copy(Location(database, policy.name, measurement), target, types, tags)
            for measurement, types in sorted(known.items())
            if self._job.wants(measurement)
        ]
        copies = [copy for copy in every if copy.types]
        refused = [copy.source for copy in every if not copy.types and self._tallies[copy.source].problems]
        if groups is None:
            groups = self._assumed(copies, policy)
        spans = shard_groups.data_spans(groups, self._now, exact=True)
        signatures = {span: reusing.signature(self._job, states, span) for span in spans}
        return _Asked(database, policy, tuple(copies), spans, signatures, tuple(refused))

    def _shard_groups(self, database: str, policy: str) -> tuple[Span, ...] | None:
        try:
            return self._source.get_shard_groups(database, policy)
        except AccessDenied:
            return None

    def _assumed(self, copies: Sequence[Copy], policy: Policy) -> tuple[Span, ...]:
        """The shard groups there should be, for a user who may not see them."""
        asked = [(copy.source, name, types) for copy in copies for name, types in copy.types.items()]
        first = [edge for edge in self._source.get_edges("first", asked, unknowable=MIN_TIME) if edge is not None]
        last = [edge for edge in self._source.get_edges("last", asked, unknowable=self._now) if edge is not None]
        return shard_groups.coarse_grid(min(first), max(last), policy.shard_duration) if first and last else ()

    def _copy(
        self,
        location: Location,
        target: Target,
        types: Mapping[str, tuple[str, ...]],
        tags: Mapping[str, tuple[str, ...]],
    ) -> Copy:
        fields = field_rules(self._job.measurements, location.measurement)
        tally = self._tallies[location] = _Tally()
        wanted = get_fields_to_backup(types, fields)
        reason = storable.measurement_problem(location.measurement)
        odd = {name: reason or storable.field_problem(name) for name in wanted}
        for name, problem in odd.items():
            if problem:
                shown = "measurement" if reason else f"field {printable(name)!r}"
                tally.problems += self._told(f"copy {location}: {shown} {problem}; rename it at the source")
        kept = {name: kinds for name, kinds in wanted.items() if not odd[name]}
        return Copy(location, target, kept, tags.get(location.measurement, ()), fields)

    def _policy(self, asked: _Asked) -> PolicyHeld:
        begin = min((span.start for span in asked.groups), default=self._now)
        end = min(max((span.end for span in asked.groups), default=self._now), max(begin + 1, self._now))
        self._listener.planned([Planned(place, begin, end) for place in asked.places])
        self._listener.copying()
        untouched = [span for span in asked.groups if self._trust(asked, span) is Trust.UNTOUCHED]
        # points that are deleted from files change no counter for hours: one group is looked at by chance
        doubted = {random.choice(untouched)} if untouched else set()  # noqa: S311
        groups = [self._group(asked, span, doubted) for span in asked.groups]
        return PolicyHeld(asked.policy, tuple(group for group in groups if group.parts))

    def _known(self, asked: _Asked, span: Span) -> Group | None:
        return self._before.get((asked.database, asked.policy.name, span))

    def _trust(self, asked: _Asked, span: Span) -> Trust:
        known = self._known(asked, span)
        return Trust.WRITTEN if known is None else reusing.trust(known.signature, asked.signatures[span])

    def _group(self, asked: _Asked, span: Span, doubted: set[Span]) -> Group:
        self._stopping.check()
        known, trust = self._known(asked, span), self._trust(asked, span)
        parts = {part.measurement: part for part in (known.parts if known else ())}
        is_doubted = span in doubted
        there = {n: part for n, part in parts.items() if self._is_there(asked, span, part, is_doubted=is_doubted)}
        if known and trust is Trust.UNTOUCHED and not is_doubted and len(there) == len(parts):
            self._reached(asked.copies, span)
            return known
        trust = Trust.QUIET if trust is Trust.UNTOUCHED else trust
        found: list[Part] = []
        for begin in range(0, len(asked.copies), TOGETHER):
            found += self._some(asked.copies[begin : begin + TOGETHER], span, there, trust)
        return Group(span, asked.signatures[span], tuple(found))

    def _is_there(self, asked: _Asked, span: Span, part: Part, *, is_doubted: bool) -> bool:
        """Whether the archive has the files of a part, by their size; by their content where that is doubted."""
        entry = Entry(Location(asked.database, asked.policy.name, part.measurement), span, part)
        there = [(entry.key(file), file) for file in part.files if self._archive.has(entry.key(file), file.bytes)]
        is_whole = len(there) == len(part.files)
        return is_whole and (not is_doubted or all(self._archive.is_sound(key, file) for key, file in there))

    def _reached(self, copies: Iterable[Copy], span: Span) -> None:
        for copy in copies:
            self._listener.reached(copy.source, span.end)

    def _some(self, copies: Sequence[Copy], span: Span, there: Mapping[str, Part], trust: Trust) -> Iterator[Part]:
        """Of some measurements what the shard group holds: parts of the snapshot before, or new ones."""
        looks = [Look(copy.source, _told_types(copy), span) for copy in copies]
        one = [shard_groups.is_inside_one(span, copy.target.groups or ()) for copy in copies]
        answers = sums.ask(self._source, looks, one_shard=all(one))
        due: list[tuple[Copy, Told]] = []
        kept: dict[str, Part] = {}
        for copy, look, told in zip(copies, looks, answers, strict=True):
            is_all_told = look.types.keys() == copy.types.keys()
            part = there.get(copy.source.measurement)
            if part and reusing.stands_for(part, told, trust, is_all_told=is_all_told):
                kept[copy.source.measurement] = part
            elif told.values or not is_all_told:
                due.append((copy, told))
        with ThreadPoolExecutor(self._job.options.parallel_workers) as pool:
            made = list(pool.map(self._measurement, due))
        self._reached(copies, span)
        kept |= {part.measurement: part for part in made if part}
        for name in sorted(kept):
            yield kept[name]

    # ------------------------------------------------------------ a measurement of a shard group

    def _measurement(self, due: tuple[Copy, Told]) -> Part | None:
        """It, read and proved; None where it holds nothing, or failed."""
        copy, told = due
        self._listener.begun(copy.source)
        try:
            return self._maker.make(copy, told)
        except Stopped:
            pass
        except StoreFailed:  # the others would wait for the same store
            raise
        except InfluxError as error:
            self._tallies[copy.source].problems += self._told(f"copy {copy.source} {error}")
        return None

    def _count(self, copy: Copy, key: str, file: DataFile, points: Frame) -> None:
        """A file is written; one that the snapshot before has as well brings nothing new."""
        written = Written(file.rows, sum(file.values.values()), file.bytes)
        written = Written(repeated=file.rows) if key in self._known_files else written
        self._tallies[copy.source].written += written
        self._listener.wrote(copy.source, written)
        self._listener.reached(copy.source, file.last + 1, _newest(points, self._now))


def _told_types(copy: Copy) -> dict[str, tuple[str, ...]]:
    """The fields of which the source tells what files hold: its first rows show values of unwanted types, too."""
    allowed = allowed_types(copy.rules)
    return {name: types for name, types in comparable_types(copy).items() if allowed.issuperset(copy.types[name])}


def _newest(frame: Frame, now: int) -> int | None:
    """The newest time that is not later than `now`; in a file points are ordered by series."""
    past = frame.times[frame.times <= now]
    return int(past.max()) if len(past) else None
