"""`main.py check`: what a run of a job would do now, and what would keep it from doing so. Changes nothing."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from basics.stopping import StopRequest
from checking.archive_check import archive_line, archived_databases
from checking.cluster_check import cluster_line
from checking.findings import DatabasePlan, Findings, MeasurementPlan, PolicyPlan
from checking.next_drill import drill_line
from checking.type_conflicts import TypeConflicts
from config import Config
from copying import inventory, rights
from copying.inventory import Inventory, take_inventory
from copying.metadata import store
from copying.metadata.capture import Capture
from copying.metadata.running import running_queries
from copying.metadata.snapshot import amount
from copying.planner import Planner
from copying.reading import Reader
from copying.retention import kept, other_settings, shorter
from copying.same_server import check_apart
from copying.segments import plan_segments
from copying.source_age import source_age, staleness
from copying.task import Copy, Target
from influx.errors import AccessDenied, InfluxError, QueryRefused
from influx.influxql import Policy
from influx_client import InfluxClient, connect
from settings.keys import Job
from settings.next_run import next_run

SAMPLE_SECONDS = 0.5
"""For how long pages of the source are read at most to see how long a copy takes,"""

WRITING = 2.0
"""and how much longer it takes to write them, too: as a rule as long as to read them."""


class _Checker:
    """Looks at the two servers of one job."""

    def __init__(self, config: Config, source: InfluxClient, destination: InfluxClient) -> None:
        self._job = config.job
        self._source = source
        self._destination = destination
        self._now = time.time_ns()
        self._planner = Planner(config.job, source, destination, self._now)
        self._inventory = Inventory()
        self._reader = Reader(config.job, source, self._now, StopRequest())
        self._conflicts = TypeConflicts(source, destination)
        self._capture = Capture(source, self._job.source, self._job.options.metadata)
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.servers: list[str] = []
        self.databases: list[DatabasePlan] = []
        self._largest: tuple[int, Copy | None] = 0, None

    def look(self) -> None:
        """Fill the lists with what is found. Raises InfluxError where it cannot go on."""
        source, destination = self._job.source, self._job.destination
        self.servers.append(f"source {source.url}: InfluxDB {self._source.version}, {_shards(self._source)}")
        self.servers.append(f"destination {destination.url}: InfluxDB {self._destination.version}")
        check_apart(self._job, self._source, self._destination)
        self._take_inventory()
        databases = self._destination.get_databases()
        for name in [d.name for d in source.databases] or self._source.get_databases():
            try:
                self._look_at(name, databases)
            except InfluxError as error:
                self.problems.append(f"database {name}: {error}")
        self.warnings += self._capture.warnings

    def _metadata(self, name: str) -> str:
        """What a run would save of the database besides points, where, and what is saved there; empty: nothing."""
        options = self._job.options
        counts = self._capture.take(name).counts
        if not counts:
            return ""
        directory = store.choose_directory(
            options.metadata_directory, options.quarantine_directory, options.log_directory, os.environ
        )
        folder = store.directory_of(directory, self._job.name, name)
        newest = store.newest_file(folder)
        saved = f"the newest there is {newest.name}" if newest else "nothing is saved there yet"
        return f"{', '.join(amount(*pair) for pair in counts)} -> {folder}; {saved}"

    def _check_queries(self, target: str) -> None:
        """Name continuous queries that would write beside the run."""
        text, runs = running_queries(self._destination, target)
        if text:
            (self.problems if runs else self.warnings).append(text)

    def _take_inventory(self) -> None:
        """Name rules that match nothing, and what only the destination has."""
        found = self._inventory = take_inventory(self._job, self._source, self._destination)
        self.problems += inventory.unmatched_rules(self._job, found)
        self.problems += filter(None, [inventory.emptiness(self._job, found)])
        self.warnings += filter(None, [inventory.lost_databases(self._job, found)])
        for database in found.databases:
            texts = (
                inventory.empty_database(self._job, database),
                inventory.lost_measurements(self._job, database),
            )
            self.warnings += filter(None, texts)

    def _check_age(self, name: str) -> None:
        """Warn of a database that has had nothing new for too long."""
        age = source_age(self._job, self._planner, name, None, self._now)
        self.warnings += filter(None, [staleness(age, self._job.options.max_lag)])

    def _look_at(self, name: str, there: tuple[str, ...]) -> None:
        target = self._job.source.destination_name(name)
        place = len(self.databases)
        plan = DatabasePlan(name, target, target in there)
        self.databases.append(plan)
        targets = self._planner.policies.foresee(name, target)
        self._check_rights(target, [t.source for t in targets if t.is_new], exists=target in there)
        plan = self.databases[place] = replace(plan, metadata=self._metadata(name))
        if target in there:
            self._check_queries(target)
        tags = self._source.get_tag_keys(name)
        for policy in targets:
            copies = self._planner.plan(name, policy, tags, exact=True)
            if policy.destination.keeps_less_than(policy.source):
                self.problems.append(shorter(target, policy.destination, policy.source))
            measurements = tuple(map(self._measurement, copies))
            found = PolicyPlan(policy.source.name, _state(policy), measurements, tuple(other_settings(policy)))
            plan = replace(plan, policies=(*plan.policies, found))
            self.databases[place] = plan
            for copy in copies:
                self.problems += self._would_fail(copy)
                self.problems += [f"{copy.source}: {refusal.name} {refusal.reason}" for refusal in copy.refusals]
        for known in self._inventory.of(name):
            self.warnings += inventory.find_lost(self._job, known, self._planner, self._destination, self._now)
        self._check_age(name)

    def _check_rights(self, target: str, missing: Sequence[Policy], *, exists: bool) -> None:
        """Name what may not be written, or not be created, as the run would."""
        try:
            if exists:
                self._destination.check_write(target)
        except AccessDenied as error:
            self.problems.append(f"{target} cannot be written: grant ALL on it ({error})")
        try:
            if missing:
                self._destination.check_admin()
        except AccessDenied:
            if exists:
                self.problems += [rights.missing_policy(self._job, target, policy) for policy in missing]
            else:
                default = next((policy for policy in missing if policy.is_default), None)
                self.problems.append(rights.missing_database(self._job, target, default))

    def _would_fail(self, copy: Copy) -> Iterator[str]:
        """What a run would say of a measurement that it cannot copy, or not all of it."""
        there = copy.written_types
        odd = [name for name, types in copy.types.items() if len(types) > 1 or {*there.get(name, ())} - {*types}]
        if self._job.source.group_by is not None:  # means are floats, whatever they are made of
            odd = []
        found: set[str] = set()
        for segment in plan_segments(self._planner.starts(copy), self._planner.end()):
            try:
                spans = self._reader.ranges(copy, segment)
            except QueryRefused as error:
                yield f"copy {copy.source} {error}"
                return
            for name in [n for n in odd if n in segment.fields and n not in found]:
                if problem := self._conflicts.find(copy, name, spans):
                    found.add(name)
                    yield problem

    def _measurement(self, copy: Copy) -> MeasurementPlan:
        starts, end = self._planner.starts(copy), self._planner.end()
        name = copy.source.measurement
        if not starts:
            return MeasurementPlan(name)
        begin, fields = min(starts.values()), [(copy.source, f, t) for f, t in copy.types.items()]
        newest = self._source.get_edges("last", fields, start=begin, end=end, unknowable=begin)
        until = max((edge for edge in newest if edge is not None), default=None)
        if until is None:
            return MeasurementPlan(name)
        counts = []
        for segment in plan_segments(starts, end):
            types = {field: copy.types[field] for field in segment.fields}
            counts.append(max(self._source.count_values(copy.source, types, segment.span).values()))
        if sum(counts) > self._largest[0]:
            self._largest = sum(counts), copy
        return MeasurementPlan(name, len(starts), sum(counts), begin, until)

    def seconds(self, points: int) -> float | None:
        """How long it would take to copy so many points, by reading some of the largest measurement."""
        _, copy = self._largest
        if copy is None or self._job.source.group_by is not None:
            return None
        begun, rows = time.monotonic(), 0
        for segment in plan_segments(self._planner.starts(copy), self._planner.end()):
            try:
                for page in self._reader.pages(copy, segment):
                    rows += page.rows
                    if time.monotonic() - begun > SAMPLE_SECONDS:
                        break
            except InfluxError:  # which is told as a problem where a run would meet it
                return None
            if time.monotonic() - begun > SAMPLE_SECONDS:
                break
        return (time.monotonic() - begun) * points / rows * WRITING if rows else None


def _shards(source: InfluxClient) -> str:
    try:
        source.check_admin()
    except AccessDenied:
        return "the user may not see shard groups: ranges follow the policy's shard duration"
    return "shard groups visible"


def _state(target: Target) -> str:
    """What becomes of a policy; one that keeps longer than the source's is what some backups are for."""
    if target.is_new:
        return "will be created"
    there, here = kept(target.destination), kept(target.source)
    return f"keeps points for {there}" + (f", the source for {here}" if there != here else "")


def check_job(config: Config) -> Findings:
    """What a run of the job would do now. Servers that cannot be reached are problems, not exceptions."""
    job = config.job
    found = Findings(job.name, str(config.path), job.options.backup_mode, inherited=job.inherited)
    times = job.options.incremental
    if times.schedule is not None:
        at = next_run(times.schedule, str(times.timezone), datetime.now(UTC))
        found = replace(found, schedule=times.schedule.text, timezone=str(times.timezone), next_run=at)
    problems: list[str] = []
    if line := drill_line(job, os.environ, problems):
        found = replace(found, servers=(line,), problems=tuple(problems))
    if job.options.distribute:
        line = cluster_line(job, problems)
        found = replace(found, servers=(*found.servers, line), problems=tuple(problems))
    try:
        stopping = StopRequest()
        source = connect(job.options, job.source, "source", stopping, retries=0)
        if job.destination.archive:
            servers = (archive_line(job, problems), *found.servers)
            found = replace(found, servers=servers, problems=tuple(problems))
        if not job.destination.url:
            return _archived(job, source, found)
        destination = connect(job.options, job.destination, "destination", stopping, retries=0)
    except InfluxError as error:
        return replace(found, problems=(*problems, str(error)))
    checker = _Checker(config, source, destination)
    try:
        checker.look()
    except InfluxError as error:
        checker.problems.append(str(error))
    found = replace(
        found,
        servers=(*checker.servers, *found.servers),
        databases=tuple(checker.databases),
        problems=(*found.problems, *checker.problems),
        warnings=tuple(checker.warnings),
    )
    return replace(found, seconds=checker.seconds(found.points))


def _archived(job: Job, source: InfluxClient, found: Findings) -> Findings:
    """What a snapshot would hold, where the archive is the only destination."""
    problems: list[str] = []
    warnings: list[str] = []
    servers = (f"source {job.source.url}: InfluxDB {source.version}, {_shards(source)}", *found.servers)
    lines = archived_databases(job, source, problems, warnings)
    return replace(
        found, servers=(*servers, *lines), problems=(*found.problems, *problems), warnings=tuple(warnings)
    )
