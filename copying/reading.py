"""Reader: the points of a copy, page by page, by queries as long as the answers allow."""

import logging
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from basics.spans import Span, describe
from basics.stopping import StopRequest
from basics.times import DAY, END_OF_TIME, HOUR, MIN_TIME
from copying.pace import Pace
from copying.segments import Segment
from copying.selection import split_for_downsampling
from copying.task import Copy
from influx import shard_groups
from influx.errors import InfluxError, QueryRefused, QueryTooLarge, TooManySeries, TypesChanged
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


class Reader:
    """Reads from the source of one job, in a run whose time is `now` (nanoseconds)."""

    def __init__(self, job: Job, source: InfluxClient, now: int, stopping: StopRequest) -> None:
        self._job = job
        self._source = source
        self._now = now
        self._stopping = stopping

    def pages(self, copy: Copy, segment: Segment) -> Iterator[Page]:
        """Every point of the segment, oldest first, by queries as long as the answers allow."""
        pace, tags = self._first_pace(copy, segment), copy.tags
        for range_ in self.ranges(copy, segment):
            position = range_.start
            while position < range_.end:
                self._stopping.check()
                window = self._window(copy, pace, Span(position, range_.end))
                try:
                    page = self._read(copy, segment.fields, tags, window, pace.rows)
                except QueryTooLarge as error:
                    if isinstance(error, TooManySeries) and self._has_one_shard(copy, window):
                        raise error.during(describe(window)) from error
                    pace = _eased(pace, window, error.during(describe(window)))
                    continue
                except TypesChanged as change:
                    logger.info("%s: %s; reading on shard group by shard group", copy.source, change)
                    mixed = replace(copy, types={**copy.types, **change.types})
                    yield from self.pages(mixed, Segment(segment.fields, Span(position, segment.span.end)))
                    return
                except InfluxError as error:
                    raise error.during(describe(window)) from error
                pace = pace.after(
                    window, page.span, page.rows, page.limit, slow_start=page.slow_start, fitting=page.fitting
                )
                position, tags = page.span.end, page.tags
                yield page

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
            split_for_downsampling({name: copy.types[name] for name in segment.fields})
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

    def _read(self, copy: Copy, fields: Sequence[str], tags: Sequence[str], window: Span, rows: int) -> Page:
        if self._job.source.group_by is None:
            types, groups = {f: copy.types[f] for f in fields}, copy.target.groups or ()
            one = shard_groups.is_inside_one(window, groups)
            return self._source.read_page(copy.source, types, tags, window, rows, one_group=one)
        averaged, latest = split_for_downsampling({name: copy.types[name] for name in fields})
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
