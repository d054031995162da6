"""Reader: the points of a copy, page by page, by queries as long as the answers allow."""

import logging
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from basics.spans import Span, describe
from basics.stopping import StopRequest
from basics.times import DAY, END_OF_TIME, HOUR, MIN_TIME
from copying import order
from copying.pace import Pace
from copying.segments import Segment
from copying.selection import fits, split_for_downsampling
from copying.shares import divided
from copying.task import Copy
from influx import shard_groups
from influx.errors import InfluxError, QueryRefused, QueryTooLarge, TooManySeries, TypesChanged
from influx.influxql import Share
from influx.pages import FIRST_ROWS, Page, page_rows
from influx_client import InfluxClient
from settings.keys import Job

logger = logging.getLogger(__name__)


T = TypeVar("T")


def read_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items; the next one is made in another thread while the caller works on this one."""
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(next, items, None)
        while (item := upcoming.result()) is not None:
            upcoming = pool.submit(next, items, None)
            yield item


@dataclass(slots=True)
class _Course:
    """How the reading of a copy goes on."""

    copy: Copy
    fields: Sequence[str]
    pace: Pace
    tags: tuple[str, ...]


class Reader:
    """Reads from the source of one job, in a run whose time is `now` (nanoseconds)."""

    def __init__(self, job: Job, source: InfluxClient, now: int, stopping: StopRequest) -> None:
        self._job = job
        self._source = source
        self._now = now
        self._stopping = stopping

    def pages(self, copy: Copy, segment: Segment, *, is_free: bool = False) -> Iterator[Page]:
        """Every point of the segment, oldest first, by queries as long as the answers allow.

        Where they may go in any order (`is_free`), very many series are read share by share (copying/shares.py)
        inside one shard group of the destination. Pages of shares have a floor; behind the last one comes an empty
        page that has none.
        """
        course = _Course(copy, segment.fields, self._first_pace(copy, segment), copy.tags)
        position = segment.span.start
        try:
            for range_ in self.ranges(copy, segment):
                position = max(position, range_.start)
                while position < range_.end:
                    page = self._next(course, Span(position, range_.end))
                    position = page.span.end
                    yield page
                    if is_free and (divided := self._divided(course, page, range_.end)):
                        rest, shares = divided
                        for share in shares:
                            yield from self._share(course, rest, share)
                        position = rest.end
                        yield Page((), rest, course.tags)
        except TypesChanged as change:
            logger.info("%s: %s; reading on shard group by shard group", copy.source, change)
            mixed = replace(copy, types={**copy.types, **change.types})
            yield from self.pages(mixed, Segment(segment.fields, Span(position, segment.span.end)))

    def _next(self, course: "_Course", rest: Span, share: Share | None = None) -> Page:
        """The oldest points of the rest, as many as one answer allows; the course keeps what that tells."""
        while True:
            self._stopping.check()
            window = self._window(course.copy, course.pace, rest)
            try:
                page = self._read(course, window, share)
            except QueryTooLarge as error:
                if isinstance(error, TooManySeries) and self._has_one_shard(course.copy, window):
                    raise error.during(describe(window)) from error
                course.pace = _eased(course.pace, window, error.during(describe(window)))
                continue
            except TypesChanged:
                raise
            except InfluxError as error:
                raise error.during(describe(window)) from error
            course.pace = course.pace.after(
                window, page.span, page.rows, page.limit, slow_start=page.slow_start, fitting=page.fitting
            )
            course.tags = page.tags
            return page

    def _share(self, course: "_Course", rest: Span, share: Share) -> Iterator[Page]:
        """Every point of a share of the series, oldest first."""
        position = rest.start
        while position < rest.end:
            page = self._next(course, Span(position, rest.end), share)
            position = page.span.end
            yield replace(page, floor=rest.start)

    def _divided(self, course: "_Course", page: Page, end: int) -> tuple[Span, tuple[Share, ...]] | None:
        """What to read share by share behind this page; None where the next page does as well."""
        copy = course.copy
        if len(page.frames) != 1 or self._job.source.group_by is not None or not self._source.tells_shares:
            return None
        if not fits(copy, {name: copy.types[name][0] for name in course.fields}):
            return None  # their order decides which type counts
        (frame,) = page.frames
        rest = order.rest_of_stretch(page.span.end, copy.target, self._now).clip(page.span.end, end)
        seen = page.span.end - int(frame.times[0])
        left = len(frame) * max(0, rest.length) // max(1, seen)
        most = min(page_rows(len(course.fields) + len(course.tags)), page.fitting)
        shares = divided(frame, most, left)
        return (rest, shares) if shares else None

    @staticmethod
    def _has_one_shard(copy: Copy, window: Span) -> bool:
        """Whether the window cannot have fewer shards: none lasts less than an hour."""
        return window.length <= HOUR or shard_groups.is_inside_one(window, copy.target.groups or ())

    def _window(self, copy: Copy, pace: Pace, rest: Span) -> Span:
        """The next stretch to ask for: to the end of a shard group at least, unless that was too much before."""
        window = pace.window(rest.start, rest.end)
        if self._job.source.group_by is not None or pace.was_eased:
            return window
        longer = shard_groups.within_group(window, copy.target.groups or (), pace.longest)
        return longer.clip(rest.start, rest.end)

    def _first_pace(self, copy: Copy, segment: Segment) -> Pace:
        rows = page_rows(len(segment.fields) + len(copy.tags))
        days = self._job.options.days_of_pagination
        longest = int(days * DAY) if days else END_OF_TIME - MIN_TIME
        window = self._job.source.group_by
        if window:
            return Pace(8 * window, rows, longest, window)
        return Pace(copy.target.source.shard_duration, min(rows, FIRST_ROWS), longest, ceiling=rows)

    def ranges(self, copy: Copy, segment: Segment) -> tuple[Span, ...]:
        """The parts of the segment where data can be, cut so that every type read in one of them is exact.

        Raises QueryRefused where that cannot be.
        """
        target, span, window = copy.target, segment.span, self._job.source.group_by
        groups = target.groups
        if groups is None:
            _check_types_are_plain(copy)
            span = span.clip(span.start, self._newest_in_source(copy) + 1)
            groups = shard_groups.assumed_groups(span, target.source.shard_duration, self._now)
        if window:
            split_for_downsampling({name: copy.types[name] for name in segment.fields}, copy.rules)
            spans = shard_groups.aligned_spans(groups, window)
        else:
            _check_overlaps(copy, groups, segment.span)
            spans = shard_groups.data_spans(groups, self._now, exact=copy.is_mixed)
        return shard_groups.calculate_date_ranges(span.start, span.end, spans)

    def _newest_in_source(self, copy: Copy) -> int:
        edges = self._source.get_edges(
            "last", [(copy.source, f, types) for f, types in copy.types.items()], unknowable=END_OF_TIME - 1
        )
        return max((edge for edge in edges if edge is not None), default=MIN_TIME)

    def _read(self, course: "_Course", window: Span, share: Share | None) -> Page:
        copy, fields = course.copy, course.fields
        if self._job.source.group_by is None:
            types, groups = {f: copy.types[f] for f in fields}, copy.target.groups or ()
            one = shard_groups.is_inside_one(window, groups)
            return self._source.read_page(
                copy.source, types, course.tags, window, course.pace.rows, one_group=one, share=share
            )
        averaged, latest = split_for_downsampling({name: copy.types[name] for name in fields}, copy.rules)
        return self._source.read_windows(copy.source, averaged, latest, window, self._job.source.group_by)


def _eased(pace: Pace, window: Span, error: QueryTooLarge) -> Pace:
    smaller = pace.eased(window)
    if smaller is None:
        raise error
    logger.info("%s; asking for less", error)
    return smaller


def _mixed(copy: Copy) -> str:
    return ", ".join(f"{name} ({' and '.join(types)})" for name, types in copy.types.items() if len(types) > 1)


def _check_types_are_plain(copy: Copy) -> None:
    if copy.is_mixed:
        raise QueryRefused(
            "[beginning, end): these fields have different types in different shards, and only an administrator "
            f"may see where shards begin: {_mixed(copy)}; use an admin at the source, or exclude them"
        )


def _check_overlaps(copy: Copy, groups: Sequence[Span], span: Span) -> None:
    inside = (overlap.clip(span.start, span.end) for overlap in shard_groups.overlaps(groups))
    doubtful = [overlap for overlap in inside if overlap.length > 0]
    if copy.is_mixed and doubtful:
        raise QueryRefused(
            f"{describe(doubtful[0])}: shard groups overlap there, and these fields have several types, so the "
            f"server's answers are not exact: {_mixed(copy)}"
        )
