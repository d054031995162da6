"""Copies one measurement: what is late, then what is new, and then what was lost without a trace."""

import functools
import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from basics.humanize import counted
from basics.spans import Span, describe
from basics.stopping import Stopped, StopRequest, unless_stopping
from basics.text import warned
from basics.times import SECOND
from copying import late, retention
from copying.late import Lack, Lateness, LookBack
from copying.listener import RunListener
from copying.news import News
from copying.planner import Planner
from copying.quarantine import Quarantine
from copying.results import MeasurementResult
from copying.retention import kept
from copying.segments import Segment, cut, plan_segments
from copying.small_measurements import GroupProgress
from copying.task import Copy
from copying.windows import Window
from copying.writing import Writer
from influx import line_protocol
from influx.errors import InfluxError
from influx.frames import Frame
from influx.influxql import Location
from influx.written import Written
from settings.keys import Job

logger = logging.getLogger(__name__)

BACKFILLS = 3
"""How often windows are copied again in a run, while the destination still differs there."""

MOST_LACKS = 100_000
"""So many values that the destination lacks are told apart from those that come meanwhile; in memory, 50 MB."""

T = TypeVar("T")


class MeasurementCopier:
    """Of one job, in a run whose time is `now` (nanoseconds), `elapsed` ago. Safe to use from several threads.

    `quarantine` gives that of a measurement.
    """

    def __init__(
        self,
        job: Job,
        planner: Planner,
        look_back: LookBack,
        writer: Writer,
        *,
        now: int,
        elapsed: int,
        stopping: StopRequest,
        quarantine: Callable[[Location], Quarantine],
        listener: RunListener,
        news: News,
    ) -> None:
        self._job = job
        self._planner = planner
        self._look_back = look_back
        self._writer = writer
        self._now = now
        self._begun = time.monotonic() - elapsed / SECOND
        self._stopping = stopping
        self._quarantine = quarantine
        self._listener = listener
        self._news = news

    def copy(
        self, lateness: Mapping[Location, Lateness], done: Mapping[Location, GroupProgress], copy: Copy
    ) -> MeasurementResult:
        """Copy what is late, then what is new.

        In this order, because what is new moves the newest points at the destination, from which the next run
        would look back. So when the late ones cannot be brought, nothing new is.
        """
        self._listener.begun(copy.source)
        result = self._backfill(copy, lateness.get(copy.source, Lateness()))
        if result.is_whole:
            result += self._process_measurement(copy, done.get(copy.source))
            result = self._with_hidden_losses(copy, result)
        result = self.with_losses(copy, result)
        warned(logger, *result.cautions)
        self._listener.finished(copy.source, result, stopped=self._stopping.is_set())
        return result

    def segments(self, copy: Copy) -> tuple[Segment, ...]:
        """What is new, from where each field resumes."""
        return plan_segments(self._planner.starts(copy), self._planner.end())

    def _process_measurement(self, copy: Copy, done: GroupProgress | None = None) -> MeasurementResult:
        """Copy what is new of one measurement, but for what is done already."""
        segments, written = self.segments(copy), Written()
        if done:
            clipped = [Segment(s.fields, s.span.clip(done.since, s.span.end)) for s in segments]
            segments, written = tuple(s for s in clipped if s.span.length > 0), done.written
        result = self.copy_segments(copy, segments)
        return replace(result, written=written + result.written)

    def copy_segments(
        self, copy: Copy, segments: Sequence[Segment], *, independent: bool = False
    ) -> MeasurementResult:
        """Copy ranges, oldest first. The first failure ends it: what is later must not come before.

        `independent` ranges are all older than the newest points at the destination: there the others go on.
        """
        begun = time.monotonic()
        written = Written(refusals=copy.refusals)
        problems: list[str] = []
        is_whole = True
        dropped: Counter[Span] = Counter()
        for segment in cut(segments, self._holdable_since(copy)):
            try:
                for part in self._writer.transfer(copy, segment):
                    written += part
                    dropped[segment.span] += part.expired
            except Stopped:
                logger.debug("%s: stopped", copy.source)
                is_whole = False
                break
            except InfluxError as error:
                problems += self._told(f"copy {copy.source} {error}")
                is_whole = False
                if error.retryable or not independent or self._quarantine(copy.destination).is_full:
                    break
        seconds = time.monotonic() - begun
        if not problems and written.points:
            logger.info("%s: %s in %.1f s", copy.source, counted(written.points, "point"), seconds)
        early = tuple(retention.dropped_early(copy, dropped, self._clock))
        return MeasurementResult(str(copy.source), written, tuple(problems), is_whole=is_whole, warnings=early)

    @property
    def _clock(self) -> int:
        """What the time is now, nanoseconds."""
        return self._now + int((time.monotonic() - self._begun) * SECOND)

    def _holdable_since(self, copy: Copy) -> int:
        """From when on the destination can surely hold points; whole windows of means."""
        since, window = retention.holdable_since(copy.target, self._clock), self._job.source.group_by or 1
        return since + -since % window

    def with_losses(self, copy: Copy, result: MeasurementResult) -> MeasurementResult:
        """The result with what was written off as problems of it."""
        losses = [f"copy {copy.source}: {loss}" for loss in _losses(copy, result.written)]
        for loss in losses:
            logger.error("%s", loss)
        return replace(result, problems=(*result.problems, *losses))

    def write_frames(self, copy: Copy, frames: Iterable[Frame]) -> Iterator[Written]:
        """Write points of a measurement as they are, yielding what was acknowledged. Raises InfluxError."""
        return self._writer.write(copy, frames)

    # ------------------------------------------------------------ late data

    def _backfill(self, copy: Copy, lateness: Lateness) -> MeasurementResult:
        """Copy the windows of one measurement again in which the destination lacks values, or has others.

        What comes to the source while they are copied for the last time is for the next run. What was there
        before that has to be at the destination then.
        """
        windows = lateness.windows
        if not windows:
            problems = self._told(lateness.problem) if lateness.problem else []
            return MeasurementResult(
                str(copy.source), problems=tuple(problems), is_whole=not lateness.problem, extra=lateness.extra
            )
        result, late_values, extra = MeasurementResult(str(copy.source)), 0, lateness.extra
        lacked: frozenset[Lack] | None = None
        for number in range(BACKFILLS):
            before = _differing(windows)
            lacked = self._lacking(windows) if number == BACKFILLS - 1 else None
            copied = self._copy_windows(windows)
            # what is too old is dropped each time, and told once, by what is missing in the end
            result = replace(result, written=replace(result.written, expired=0)) + replace(copied, warnings=())
            if self._stopping.is_set() or result.problems:
                return result
            left = self._unless_stopped(functools.partial(self._look_back.settle, windows))
            if left is None:
                return replace(result, is_whole=False)
            windows, extra = left.windows, extra + left.extra
            late_values += max(0, before - _differing(windows))
            # What was written off would be missed each time.
            if not windows or any(_losses(copy, result.written)):
                return replace(result, late=late_values, extra=extra)
        result = replace(result, late=late_values, extra=extra)
        if late.are_too_old(windows, result.written.expired):
            early = retention.dropped_early(copy, {_span(windows): result.written.expired}, self._clock)
            return replace(result, warnings=tuple(early))
        return self._with_unsettled(copy, windows, lacked, result)

    def _with_unsettled(
        self, copy: Copy, windows: Sequence[Window], lacked: frozenset[Lack] | None, result: MeasurementResult
    ) -> MeasurementResult:
        """The result with what to say of windows that differ, though they were copied again and again.

        What lacks since before the last time is not kept by the destination. The rest came meanwhile: that is for
        the next run, where that surely looks there.
        """
        where, left = f"{copy.source} {describe(_span(windows))}", self._lacking(windows)
        lost = lacked & left if lacked and left else None  # None: too many, or fingerprints alone tell of them
        if lost == frozenset() and self._is_looked_at_again(copy, windows):
            came = (
                f"{where}: somebody writes there at this moment: the next run copies the "
                f"{counted(_differing(windows), 'value')} that came or changed meanwhile"
            )
            if self._job.options.range is not None:  # maybe there is no next run
                return replace(result, warnings=(*result.warnings, came))
            logger.info("%s", came)
            return result
        number = len(lost) if lost else _differing(windows)
        cause = (
            "it does not keep them" if lost else "somebody writes there at this moment, or it does not keep them"
        )
        problem = (
            f"copy {where}: after {BACKFILLS} copies the destination still lacks {counted(number, 'value')}, "
            f"or has others: {cause}; the next run copies them again"
        )
        return replace(result, problems=(*result.problems, *self._told(problem)), is_whole=False)

    def _is_looked_at_again(self, copy: Copy, windows: Sequence[Window]) -> bool:
        """Whether the next run surely finds what differs there, though this one goes on to what is new.

        Where nobody sees which shards were written to, it looks no further back than `lookback` from there.
        """
        sees = copy.target.groups is not None and copy.target.written_groups is not None
        return sees or self._job.options.range is not None or windows[0].span.start >= self._now

    def _lacking(self, windows: Sequence[Window]) -> frozenset[Lack] | None:
        """What the destination lacks there; None where that is too much to tell, or the run is stopped."""
        if _differing(windows) > MOST_LACKS:
            return None
        found = self._unless_stopped(
            lambda: frozenset(itertools.islice(self._look_back.lacking(windows), MOST_LACKS + 1))
        )
        return None if found is None or len(found) > MOST_LACKS else found

    def _with_hidden_losses(self, copy: Copy, result: MeasurementResult) -> MeasurementResult:
        """The result of a measurement, after what InfluxDB lost of it without a trace was copied again.

        Where the destination had points before, these answer for a request that was lost.
        """
        span = self._overwritten(copy)
        if span is None or not result.is_whole or any(_losses(copy, result.written)):
            return result
        try:
            lateness = self._unless_stopped(functools.partial(self._look_back.over, copy, span, self._clock))
        except InfluxError as error:
            return result + self._backfill(
                copy, Lateness(problem=f"copy {copy.source}: comparing what was copied: {error}")
            )
        if lateness is None:
            return replace(result, is_whole=False)
        return result + self._backfill(copy, lateness)

    def _overwritten(self, copy: Copy) -> Span | None:
        """Where points were written over others that the destination had, and how far; None: nowhere.

        Nor where the next run looks, or who restores. Means are computed again.
        """
        limits = self._job.options.range
        if self._stopping.is_set() or self._job.restores or self._job.source.group_by is not None:
            return None
        start = self._now if limits is None else limits.start
        return None if copy.there is None or copy.there < start else Span(start, copy.there + 1)

    def _copy_windows(self, windows: Sequence[Window]) -> MeasurementResult:
        """Copy windows of one measurement again, all of them older than the newest points at the destination."""
        copy, span = windows[0].copy, describe(_span(windows))
        if missing := sum(window.missing for window in windows):
            logger.info(
                "%s: the destination lacks %s in %s; copying them", copy.source, counted(missing, "value"), span
            )
        if changed := sum(window.overwritten for window in windows):
            logger.info(
                "%s: %s with a difference in %s; copying again", copy.source, counted(changed, "value"), span
            )
        self._news.expect_late(copy, windows)
        result = self.copy_segments(copy, late.segments(windows), independent=True)
        self._unless_stopped(lambda: self._news.expect([copy]))
        return result

    # ------------------------------------------------------------ while the run is stopped

    def _unless_stopped(self, ask: Callable[[], T]) -> T | None:
        """What is asked; None where a stop has interrupted that."""
        try:
            return ask()
        except InfluxError:
            if not self._stopping.is_set():
                raise
            return None

    def _told(self, problem: str) -> list[str]:
        return unless_stopping(self._stopping, logger, problem)


def _span(windows: Sequence[Window]) -> Span:
    """From the first of them (oldest first) to the last."""
    return Span(windows[0].span.start, windows[-1].span.end)


def _differing(windows: Iterable[Window]) -> int:
    """How many values the destination lacks, or has others of, in these windows."""
    return sum(window.missing + window.overwritten for window in windows)


def _losses(copy: Copy, written: Written) -> Iterator[str]:
    """What was written off: what the destination cannot keep, refused lines, points too old for the policy."""
    for refusal in line_protocol.add_up(written.refusals):
        yield f"{refusal.name} {refusal.reason}: {refusal.points:,} not sent; {refusal.remedy}"
    for part in written.put_aside:
        yield (
            f"{counted(part.lines, 'line')} refused and put aside in {part.file}; remove the "
            f"cause, then write that file as its head says: {part.answer}"
        )
    source, destination = copy.target.source, copy.target.destination
    if written.expired and destination.keeps_less_than(source):
        yield (
            f"not stored: {counted(written.expired, 'point')} older than retention policy {destination.name} of "
            f"{copy.target.database} keeps ({kept(destination)}, the source: {kept(source)}); "
            "alter the policy, or set options.incremental.fallback_days"
        )
