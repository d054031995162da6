"""BackupManager: which databases, retention policies, measurements, fields and times to copy, and the copying.

The core is one sentence: for each range of a measurement, oldest first, read a page from the source, write it
to the destination. Where to resume is asked of the destination at the start of every run; nothing else is kept.
"""

import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from basics.humanize import counted
from basics.later import load_soon
from basics.spans import Span
from basics.stopping import Grace, Stopped, StopRequest, unless_stopping
from basics.text import warned
from basics.times import END_OF_TIME, format_time
from basics.together import both
from config import Config
from copying import inventory, memory, order, quarantine
from copying.compare import Comparer
from copying.inventory import Inventory, take_inventory
from copying.late import Lateness, LookBack
from copying.listener import Planned, RunListener, SilentRun
from copying.measurement import MeasurementCopier
from copying.metadata import store
from copying.metadata.running import running_queries
from copying.metadata.saving import Saver
from copying.news import News
from copying.planner import Planner
from copying.proving import Prover
from copying.quarantine import Quarantine
from copying.reading import Reader
from copying.requests import Requests
from copying.results import DatabaseResult, JobResult, MeasurementResult, Saved, SourceAge
from copying.same_server import check_apart
from copying.small_measurements import MOST, GroupCopy, GroupProgress, may_be_grouped
from copying.source_age import source_age, staleness
from copying.task import Copy, Target
from copying.unfinished import Marks, Unfinished
from copying.writing import Writer
from influx.errors import InfluxError
from influx.influxql import Location
from influx.written import Written
from influx_client import InfluxClient, connect

if TYPE_CHECKING:
    from copying.distribution.cluster import Cluster

logger = logging.getLogger(__name__)

GRACE = 2.0
"""Seconds that a run which is stopped takes to ask what has arrived, and for each answer."""
T = TypeVar("T")
R = TypeVar("R")


class BackupManager:
    """Copies what one job names from `source` to `destination`.

    `now` (nanoseconds) is fixed for the whole run, and was `elapsed` nanoseconds ago. `stopping` ends the run
    after the batch in flight. With a `cluster` its workers copy the measurements; each has a manager of its own,
    to which `marks` and `quarantines` stand for the disk of the machine that plans.
    """

    def __init__(
        self,
        config: Config,
        source: InfluxClient,
        destination: InfluxClient,
        *,
        now: int | None = None,
        elapsed: int = 0,
        stopping: StopRequest | None = None,
        listener: RunListener | None = None,
        cluster: "Cluster | None" = None,
        marks: Marks | None = None,
        quarantines: Callable[[Location], Quarantine] | None = None,
    ) -> None:
        self._job = config.job
        self._options = config.job.options
        self._source = source
        self._destination = destination
        self._now = time.time_ns() if now is None else now
        self._planner = Planner(config.job, source, destination, self._now)
        self._stopping = stopping or StopRequest()
        self._listener = listener or SilentRun()
        self._memory = memory.load(self._memory_file, memory.about(config.job))
        comparer = Comparer(source, destination)
        self._prover = Prover(config.job, comparer, self._now, self._memory)
        self._look_back = LookBack(config.job, comparer, self._now, self._memory, self._prover)
        self._cluster = cluster
        self._quarantines: dict[Location, Quarantine] = {}
        self._new_quarantine = quarantines or self._quarantine_here
        self._news = News(destination, self._planner)
        self._unfinished = Unfinished(self._memory_file.with_suffix(".unfinished"))
        self.copier = MeasurementCopier(
            config.job,
            self._planner,
            self._look_back,
            Writer(
                destination,
                Reader(config.job, source, self._now, self._stopping),
                Requests(config.job, destination, self._now, marks or self._unfinished),
                stopping=self._stopping,
                quarantine=self._quarantine,
                listener=self._listener,
                news=self._news,
            ),
            now=self._now,
            elapsed=elapsed,
            stopping=self._stopping,
            quarantine=self._quarantine,
            listener=self._listener,
            news=self._news,
        )
        """Copies single measurements."""
        self._saver = Saver(config.job, source, self._metadata_directory, self._now)
        self._path = config.path
        self._inventory = Inventory()
        self._are_compared: list[bool] = []
        self._warnings: tuple[str, ...] = ()

    def run_backup(self) -> JobResult:
        """Copy every database of the job. Failures are collected: one does not keep the others from going on."""
        begun = time.monotonic()
        databases: list[DatabaseResult] = []
        problems: tuple[str, ...] = ()
        stopped = False
        try:
            check_apart(self._job, self._source, self._destination)
            problems = self._look_around()
            for number, name in enumerate(self._databases() if not problems else (), 1):
                self._listener.database(name, number)
                databases.append(self._process_database(name))
        except InfluxError as error:
            problems = tuple(self._told(str(error)))
        except Stopped:
            stopped = True
        self._prover.close()
        memory.save(self._memory_file, self._memory)
        self._warnings += warned(logger, *self._saver.warnings)
        waiting = quarantine.left_over(self._quarantine_directory / self._job.name)
        problems += self._still_quarantined(waiting)
        seconds = time.monotonic() - begun
        stopped = stopped or self._stopping.is_set()
        result = JobResult(
            self._job.name,
            tuple(databases),
            problems,
            seconds,
            stopped,
            self._warnings,
            sum(count for _, count in waiting),
        )
        if self._are_compared and all(self._are_compared) and not stopped and not result.failures:
            self._unfinished.end_all()
        return result

    def _look_around(self) -> tuple[str, ...]:
        """Warn of rules that match nothing, and of what only the destination has; why there is nothing to copy."""
        self._inventory = take_inventory(self._job, self._source, self._destination)
        unmatched = (f"{self._path}: {text}" for text in inventory.unmatched_rules(self._job, self._inventory))
        self._warnings = warned(logger, *unmatched, inventory.lost_databases(self._job, self._inventory))
        problem = inventory.emptiness(self._job, self._inventory)
        return tuple(self._told(problem)) if problem else ()

    def _still_quarantined(self, waiting: Sequence[tuple[Path, int]]) -> tuple[str, ...]:
        """Lines that an earlier run put aside stay a failure until somebody has seen to them."""
        met = {found.file for found in self._quarantines.values() if found.was_used}
        problems = tuple(
            f"{file} still holds {counted(count, 'line')} that an earlier run put aside; remove "
            "the cause, write that file as its head says, and delete it"
            for file, count in waiting
            if file not in met
        )
        for problem in problems:
            logger.error("%s", problem)
        return problems

    @property
    def _memory_file(self) -> Path:
        return self._quarantine_directory / ".compared" / f"{self._job.name}.json"

    @property
    def _quarantine_directory(self) -> Path:
        return quarantine.directory_of(self._options, os.environ)

    @property
    def _metadata_directory(self) -> Path:
        options = self._options
        return store.choose_directory(
            options.metadata_directory, options.quarantine_directory, options.log_directory, os.environ
        )

    def _databases(self) -> tuple[str, ...]:
        configured = tuple(d.name for d in self._job.source.databases)
        names = configured or self._source.get_databases()
        self._listener.databases(len(names))
        return names

    def _process_database(self, name: str) -> DatabaseResult:
        self._stopping.check()
        results: list[MeasurementResult] = []
        problems: list[str] = []
        saved: Saved | None = None
        running = ""
        target = self._job.source.destination_name(name)
        try:
            policies, refused = self._planner.policies.prepare(name, target)
            problems += (text for problem in refused for text in self._told(f"database {name}: {problem}"))
            saved, (running, tags) = both(
                lambda: self._saver.save(name),
                lambda: (self._running_queries(target), self._source.get_tag_keys(name)),
            )
            for policy in policies:
                try:
                    results += self._process_policy(name, policy, tags)
                except InfluxError as error:
                    if error.retryable:  # the server is gone; what one policy is refused does not stop the others
                        raise
                    problems += self._told(f"database {name}, {policy.source.name}: {error}")
        except InfluxError as error:
            problems += self._told(f"database {name}: {error}")
        self._listener.failed(problems)
        is_done = not problems and not self._stopping.is_set()
        age = self._age(name) if is_done else None
        warnings = (*warned(logger, running), *self._warnings_of(name, results, age, is_done=is_done))
        return DatabaseResult(name, tuple(results), tuple(problems), warnings, age, saved)

    def _running_queries(self, target: str) -> str:
        return "" if self._job.restores else running_queries(self._destination, target)[0]

    def _process_policy(
        self, database: str, policy: Target, tags: Mapping[str, tuple[str, ...]]
    ) -> list[MeasurementResult]:
        self._listener.phase("planning")
        copies = self._plan(database, policy, tags)
        self._mark(policy, copies)
        self._listener.planned(map(self._planned, copies))
        self._listener.phase("looking for late data")
        lateness = {} if self._stopping.is_set() else self._look_back.find(copies)
        self._listener.copying()
        if self._cluster is None:
            results = self.copy_measurements(copies, lateness)
        else:
            results = self._copy_elsewhere(self._cluster, policy, copies, lateness)
        if not self._stopping.is_set():
            self._prover.conclude(copies, results, self._news.newest_of(copies))
            whole = [copy for copy, result in zip(copies, results, strict=True) if result.is_whole]
            has_compared = self._has_compared(policy, copies)
            self._unfinished.end(whole, has_compared=has_compared)
            if copies:
                known = copies[0].target.source_types
                self._are_compared.append(has_compared and len(copies) == len(known))
        return results

    def copy_measurements(
        self, copies: Sequence[Copy], lateness: Mapping[Location, Lateness]
    ) -> list[MeasurementResult]:
        """Copy these measurements of one policy: of each what is late, then what is new. Raises InfluxError."""
        self._news.expect(copies)
        done = self._copy_small_measurements([copy for copy in copies if copy.source not in lateness])
        return self._copied(copies, lateness, done)

    def copy_together(
        self, copies: Sequence[Copy]
    ) -> tuple[dict[Location, MeasurementResult], dict[Location, GroupProgress]]:
        """Copy those of these measurements that are small, and say how far the others have come.

        Raises InfluxError.
        """
        self._news.expect(copies)
        done = self._copy_small_measurements(copies)
        left = {source: progress for source, progress in done.items() if progress.since < END_OF_TIME}
        small = [copy for copy in copies if copy.source not in left]
        results = self._copied(small, {}, done)
        return {copy.source: result for copy, result in zip(small, results, strict=True)}, left

    def _copied(
        self, copies: Sequence[Copy], lateness: Mapping[Location, Lateness], done: Mapping[Location, GroupProgress]
    ) -> list[MeasurementResult]:
        results = list(self._in_parallel(functools.partial(self.copier.copy, lateness, done), copies))
        return self._settled(copies, results)

    def _copy_elsewhere(
        self,
        cluster: "Cluster",
        policy: Target,
        copies: Sequence[Copy],
        lateness: Mapping[Location, Lateness],
    ) -> list[MeasurementResult]:
        """The same by the workers of a cluster, but for what there is nothing to copy of."""
        is_due = {copy.source: copy.source in lateness or bool(self.copier.segments(copy)) for copy in copies}
        due = [copy for copy in copies if is_due[copy.source]]
        rest = [copy for copy in copies if not is_due[copy.source]]
        results = self.copy_measurements(rest, {}) if rest else []
        found = {copy.source: result for copy, result in zip(rest, results, strict=True)}
        is_marked = all(self._unfinished.holds(copy) for copy in due if order.is_free(copy, self._job))
        done = cluster.copy(
            due,
            lateness,
            now=self._now,
            is_marked=is_marked,
            directory=self._quarantine_directory,
            quarantine=self._quarantine,
        )
        self._warnings += warned(logger, *done.warnings)
        self._destination.count_elsewhere(policy.database, policy.destination.name, *done.counted)
        for source, newest in done.newest.items():
            self._news.read(source, newest)
        for source, result in done.results.items():
            self._listener.finished(source, result, stopped=self._stopping.is_set())
        found |= done.results
        return [found[copy.source] for copy in copies]

    def _mark(self, policy: Target, copies: Sequence[Copy]) -> None:
        """Points go in any order only while a mark says so. Raises NotCompared where one was left."""
        free = [copy for copy in copies if order.is_free(copy, self._job)]
        if free and not self._prover.is_still:
            self._unfinished.begin(free)
        elif copies and self._options.range is None and not self._has_compared(policy, copies):
            self._unfinished.check(copies)

    def _has_compared(self, policy: Target, copies: Sequence[Copy]) -> bool:
        """Whether this run compares the newest shard group of these, before it goes on from there."""
        planned = copies[0].target if copies else policy  # with the source's shard groups
        return self._options.range is None and order.is_compared(planned, self._job)

    def _plan(self, database: str, policy: Target, tags: Mapping[str, tuple[str, ...]]) -> list[Copy]:
        """What to copy of a policy. Where nothing has happened there since it was equal, nothing more is asked."""
        if self._prover.begin(database, policy):
            copies = self._prover.still(self._planner.plan(database, policy, tags, is_still=True))
            if copies is not None:
                for copy in copies:
                    self._news.read(copy.source, max(copy.resumed.values(), default=None))
                return copies
        load_soon("polars")  # while the servers are asked
        return self._planner.plan(database, policy, tags)

    def _settled(self, copies: Sequence[Copy], results: Sequence[MeasurementResult]) -> list[MeasurementResult]:
        """The results of these copies, with all that is new."""
        if self._stopping.is_set():
            sound = [copy for copy, result in zip(copies, results, strict=True) if not result.problems]
            more = self._there(sound)
        else:
            more = self._news.settle(copies)
        settled = []
        for copy, result in zip(copies, results, strict=True):
            else_new = more.get(copy.source, Written())
            self._listener.wrote(copy.source, else_new)
            settled.append(replace(result, written=result.written + else_new))
        return settled

    def _there(self, copies: Sequence[Copy]) -> dict[Location, Written]:
        """What else is new of these when the run is stopped: the destination is asked once, for a moment.

        In a thread of its own, which nobody waits for any longer: a server that is slow would be asked for less
        and less, again and again.
        """
        found: dict[Location, Written] = {}
        asking = threading.Thread(target=lambda: found.update(self._asked(copies)), daemon=True)
        asking.start()
        asking.join(2 * GRACE)
        return dict(found)

    def _asked(self, copies: Sequence[Copy]) -> dict[Location, Written]:
        grace = Grace(GRACE)
        options = self._options.model_copy(update={"timeout_client": min(GRACE, self._options.timeout_client)})
        try:
            with closing(connect(options, self._job.destination, "destination", grace, retries=0)) as destination:
                return self._news.there(copies, destination, grace)
        except InfluxError as error:
            logger.info("more points may be there than are told: %s", error)
            return {}

    def _age(self, database: str) -> SourceAge | None:
        """How old it is at the source; None where that cannot be asked now, which is no failure of the copy."""
        try:
            return source_age(self._job, self._planner, database, self._news.newest(database), self._now)
        except InfluxError as error:
            logger.warning("database %s: its newest point at the source is not known: %s", database, error)
            return None

    def _warnings_of(
        self, name: str, results: Sequence[MeasurementResult], age: SourceAge | None, *, is_done: bool
    ) -> tuple[str, ...]:
        texts: list[str] = []
        has_met = self._news.newest(name) is not None or any(r.written != Written() or r.problems for r in results)
        for found in self._inventory.of(name):
            texts += inventory.empty_database(self._job, found), inventory.lost_measurements(self._job, found)
            if is_done:
                wanted = sum(map(self._job.wants, found.measurements))
                texts += () if has_met else (inventory.no_points(self._job, name, wanted),)
                lost = inventory.find_lost(self._job, found, self._planner, self._destination, self._now)
                texts += () if self._stopping.is_set() else lost
        return warned(logger, *texts, staleness(age, self._options.max_lag) if age else "")

    def _in_parallel(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """The results in the order of the items."""
        with ThreadPoolExecutor(self._options.parallel_workers) as pool:
            yield from pool.map(work, items)

    def _told(self, problem: str) -> list[str]:
        return unless_stopping(self._stopping, logger, problem)

    # ------------------------------------------------------------ one measurement

    def _copy_small_measurements(self, copies: Iterable[Copy]) -> dict[Location, GroupProgress]:
        """Copy what is new of measurements that have little of it, many at a time, as far as that goes well."""
        if self._job.source.group_by is not None:
            return {}
        able = [
            (copy, segments)
            for copy in copies
            if may_be_grouped(copy) and (segments := self.copier.segments(copy))
        ]
        able.sort(key=lambda pair: pair[1][0].span.start)
        groups = [
            GroupCopy(
                self._source,
                self._destination,
                able[first : first + MOST],
                now=self._now,
                days=self._options.days_of_pagination,
                stopping=self._stopping,
                quarantine=self._quarantine,
                listener=self._listener,
                news=self._news,
            )
            for first in range(0, len(able) - 1, MOST)  # one alone gains nothing
        ]
        found: dict[Location, GroupProgress] = {}
        for part in self._in_parallel(GroupCopy.copy, groups):
            found |= part
        return found

    def _planned(self, copy: Copy) -> Planned:
        """What is about to be copied of a measurement, as far as there is data; the future counts as none."""
        newest = max(copy.resumed.values(), default=None)
        if not copy.starts:
            return Planned(copy.source, newest=newest)
        span = Span(min(copy.starts.values()), min(self._planner.end(), self._now))
        if copy.target.groups:
            span = span.clip(copy.target.groups[0].start, copy.target.groups[-1].end)
        return Planned(copy.source, span.start, span.end, newest)

    def _quarantine(self, location: Location) -> Quarantine:
        """The quarantine of a measurement, the same one for the whole run."""
        if location not in self._quarantines:
            self._quarantines[location] = self._new_quarantine(location)
        return self._quarantines[location]

    def _quarantine_here(self, location: Location) -> Quarantine:
        directory, url = self._quarantine_directory, self._job.destination.url
        return Quarantine(directory, self._job.name, url, location, format_time(self._now))
