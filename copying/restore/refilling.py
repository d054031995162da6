"""Writes the points of one server to another: all of them, or only those that the other lacks.

A run of a job goes on from the newest points at its destination. A restore cannot: its target may be live again,
and so have newer points than the backup, every other point of a series, or some fields of a point. So the whole
range is compared, series by series, and only what the target lacks is written: what it has stays as it is.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from backup import BackupManager
from basics.spans import Span, describe
from basics.stopping import Stopped, StopRequest
from basics.times import MIN_TIME
from config import Config
from copying.compare import Comparer
from copying.listener import RunListener
from copying.mismatches import lacking_parts
from copying.planner import Planner
from copying.reading import Reader
from copying.restore.asked import EVER
from copying.restore.plan import Sample
from copying.results import DatabaseResult, JobResult, MeasurementResult
from copying.segments import Segment
from copying.task import Copy, Target
from copying.windows import Question, Window, comparable_types
from influx import line_protocol, shard_groups
from influx.counting import Count
from influx.errors import InfluxError
from influx.influxql import Location, Policy
from influx.written import Written
from influx_client import InfluxClient

logger = logging.getLogger(__name__)

BATCH = 50
"""How many windows of a measurement are compared in one go."""

Work = Callable[[Copy], MeasurementResult]


class ServerCopier:
    """From the server `backup` to `target`; `config` has the job turned round. `now`: nanoseconds, fixed."""

    def __init__(
        self,
        config: Config,
        backup: InfluxClient,
        target: InfluxClient,
        *,
        now: int,
        stopping: StopRequest,
        listener: RunListener,
    ) -> None:
        self._job = config.job
        self._backup = backup
        self._target = target
        self._now = now
        self._stopping = stopping
        self._comparer = Comparer(backup, target)
        self._planner = Planner(config.job, backup, target, now)
        self._listener = listener
        self._manager = BackupManager(config, backup, target, now=now, stopping=stopping, listener=listener)
        limits = config.job.options.range
        self._span = Span(limits.start, limits.end) if limits else EVER

    def sample(self, location: Location, types: Mapping[str, tuple[str, ...]]) -> Sample:
        """What the first page of a measurement takes. Raises InfluxError."""
        policy = next(
            p for p in self._backup.get_retention_policies(location.database) if p.name == location.policy
        )
        copy = self._alone(location, policy, types)
        begun = time.monotonic()
        reader = Reader(self._job, self._backup, self._now, self._stopping)
        page = next((page for page in reader.pages(copy, self._all(copy)) if page.rows), None)
        frames = page.frames if page else ()
        lines = [line for frame in frames for line in line_protocol.frame_lines(frame, location.measurement)]
        values = sum(frame.values for frame in frames)
        return Sample(values, sum(map(len, lines)) + len(lines), time.monotonic() - begun)

    def _alone(self, location: Location, policy: Policy, types: Mapping[str, tuple[str, ...]]) -> Copy:
        """A measurement to read, that is written nowhere."""
        found = Target(location.database, policy, policy, None, (), {}, is_new=True)
        tags = self._backup.get_tag_keys(location.database).get(location.measurement, ())
        copy = Copy(location, found, types, tags)
        (groups,) = self._comparer.shard_groups([copy], self._now)
        return replace(copy, target=replace(found, groups=groups))

    def _all(self, copy: Copy) -> Segment:
        return Segment(tuple(sorted(copy.types)), self._span)

    # ------------------------------------------------------------ everything

    def write(self) -> JobResult:
        """Everything, to a target that has none of it."""
        return self._manager.run_backup()

    def overwrite(self, since: Mapping[Location, int]) -> JobResult:
        """Every point, whatever the target has; of some measurements what is older is written already."""

        def work(copy: Copy) -> MeasurementResult:
            span = self._span.clip(since.get(copy.source, MIN_TIME), self._span.end)
            segments = [Segment(tuple(sorted(copy.types)), span)] if span.length > 0 else []
            return self._manager.copier.with_losses(copy, self._manager.copier.copy_segments(copy, segments))

        return self._each(self._planned, work)

    def _planned(self, database: str, target: Target) -> Sequence[Copy]:
        return self._planner.plan(database, target, self._backup.get_tag_keys(database))

    # ------------------------------------------------------------ what is missing

    def fill(self) -> JobResult:
        """Only what the target lacks: nothing that it has is changed."""
        return self._each(self._compared, self._fill)

    def _compared(self, database: str, target: Target) -> Sequence[Copy]:
        """What the backup has, with the fields of both sides."""
        known = self._backup.get_field_keys(database, target.source.name)
        copies = self._planner.compared(database, target, self._span)
        return [copy for copy in copies if copy.source.measurement in known]

    def _fill(self, copy: Copy) -> MeasurementResult:
        written = Written(refusals=copy.refusals)
        problems: list[str] = []
        is_whole = True
        result = MeasurementResult(str(copy.source))
        copy = replace(copy, refusals=())
        try:
            written += Written(expired=self._too_old(copy))
            for windows in self._lacking(copy):
                holes = [window for window in windows if not window.destination]
                result += self._manager.copier.copy_segments(copy, _segments(holes), independent=True)
                for window in windows:
                    if window.destination:
                        written += sum(self._add(copy, window.span), Written())
        except Stopped:
            is_whole = False
        except InfluxError as error:
            problem = f"restore {copy.source} {error}"
            if not self._stopping.is_set():
                logger.error("%s", problem)  # noqa: TRY400 -- a server's trouble needs no traceback
                problems.append(problem)
            is_whole = False
        result += MeasurementResult(str(copy.source), written, tuple(problems), is_whole=is_whole)
        return self._manager.copier.with_losses(copy, result)

    def _lacking(self, copy: Copy) -> Iterator[list[Window]]:
        """The windows in which the target may lack something, oldest first, and some at a time."""
        spans = self._windows(copy)
        for begin in range(0, len(spans), BATCH):
            self._stopping.check()
            part = spans[begin : begin + BATCH]
            if not copy.written_types:
                yield [Window(copy, span, source=dict.fromkeys(copy.types, 1)) for span in part]
            elif comparable_types(copy).keys() != copy.types.keys():  # no fingerprint tells
                both = dict.fromkeys(copy.types, 1)
                yield [Window(copy, span, both, both) for span in part]
            else:
                looked = self._comparer.look([Question(copy, span) for span in part])
                differing = [window for found in looked for window in found if _is_open(window)]
                yield sorted(self._comparer.narrow(differing, _is_open, _is_small), key=lambda w: w.span)

    def _too_old(self, copy: Copy) -> int:
        """How many points the target would drop at once, so that they are not sent: by the fullest field."""
        target = copy.target
        end = min(self._span.end, self._now - target.destination.duration)
        if not target.destination.keeps_less_than(target.source) or end <= self._span.start:
            return 0
        (values,) = self._backup.count_many([Count(copy.source, copy.types, Span(self._span.start, end))])
        return max(values.values(), default=0)

    def _windows(self, copy: Copy) -> tuple[Span, ...]:
        """The shard groups of both sides, but for what the target would drop at once."""
        target, span = copy.target, self._span
        if target.destination.duration:
            span = span.clip(self._now - target.destination.duration, span.end)
        (groups,) = self._comparer.shard_groups([copy], self._now)
        spans = shard_groups.data_spans((*groups, *(target.written_groups or ())), self._now, exact=True)
        if target.groups is None or target.written_groups is None:
            spans = shard_groups.with_gaps(spans)
        return shard_groups.calculate_date_ranges(span.start, span.end, spans)

    def _add(self, copy: Copy, span: Span) -> Iterator[Written]:
        """Write the fields that points of the target lack in a window, and the points that it lacks."""
        for sides in self._comparer.read_both(copy, span):
            self._stopping.check()
            parts = lacking_parts(sides["source"], sides["destination"], copy.source.measurement)
            frames = [frame.with_fields(names) for frame, names in parts]
            try:
                for written in self._manager.copier.write_frames(copy, frames):
                    self._listener.wrote(copy.source, written)
                    yield written
            except InfluxError as error:
                raise error.during(describe(span)) from error

    # ------------------------------------------------------------ every measurement

    def _each(self, copies: Callable[[str, Target], Sequence[Copy]], work: Work) -> JobResult:
        begun = time.monotonic()
        databases = [
            self._database(mapping.name, mapping.destination, copies, work)
            for mapping in self._job.source.databases
        ]
        seconds = time.monotonic() - begun
        return JobResult(self._job.name, tuple(databases), (), seconds, self._stopping.is_set())

    def _database(
        self, name: str, target: str, copies: Callable[[str, Target], Sequence[Copy]], work: Work
    ) -> DatabaseResult:
        results: list[MeasurementResult] = []
        problems: list[str] = []
        try:
            policies, refused = self._planner.policies.prepare(name, target)
            problems += [f"database {name}: {problem}" for problem in refused]
            for policy in policies:
                self._stopping.check()
                with ThreadPoolExecutor(self._job.options.parallel_workers) as pool:
                    results += pool.map(work, copies(name, policy))
        except Stopped:
            pass
        except InfluxError as error:
            if not self._stopping.is_set():
                problems.append(f"database {name}: {error}")
        for problem in problems:
            logger.error("%s", problem)
        return DatabaseResult(name, tuple(results), tuple(problems))


def _segments(windows: Iterable[Window]) -> list[Segment]:
    """What to copy of windows (oldest first) of which the target has nothing; those that touch are one."""
    joined: list[Segment] = []
    for window in windows:
        last, fields = joined[-1] if joined else None, tuple(sorted(window.source))
        if last and last.fields == fields and last.span.end == window.span.start:
            joined[-1] = Segment(fields, Span(last.span.start, window.span.end))
        else:
            joined.append(Segment(fields, window.span))
    return joined


def _is_open(window: Window) -> bool:
    """Whether the target may lack something in it: equal counts may hide that as well."""
    return bool(window.differs and window.source)


def _is_small(window: Window) -> bool:
    """Whether to look at its values: it holds little, or most of it is missing."""
    return not window.destination or window.is_small or 2 * window.missing >= window.values
