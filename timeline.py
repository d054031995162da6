"""Time arithmetic: which ranges to read, how long one query may be, where writes must be cut. Pure.

All times are `int` nanoseconds, all ranges half-open.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from values import HOUR, MIN_TIME, SECOND

END_OF_TIME = 9223372036854775807

_YEAR_ONE = -62135596800 * SECOND
"""Shard groups are multiples of their duration since year 1, not since 1970, so a week starts on Monday."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of time, `[start, end)`."""

    start: int
    end: int

    def clip(self, start: int, end: int) -> "Span":
        """The part of it inside `[start, end)`; empty (end <= start) when there is none."""
        return Span(max(self.start, start), min(self.end, end))

    @property
    def length(self) -> int:
        """Nanoseconds."""
        return self.end - self.start


def halves(span: Span) -> tuple[Span, Span]:
    """The older and the newer half."""
    middle = span.start + span.length // 2
    return Span(span.start, middle), Span(middle, span.end)


def cut(span: Span, step: int) -> tuple[Span, ...]:
    """The windows of `step` nanoseconds since 1970 that make up a stretch."""
    first = span.start - span.start % step
    return tuple(Span(s, s + step).clip(span.start, span.end) for s in range(first, span.end, step))


def shard_grid(first: int, last: int, duration: int) -> tuple[Span, ...]:
    """The shard groups that a policy's shard duration makes between two points, both included."""
    start = first - (first - _YEAR_ONE) % duration
    spans = (Span(s, s + duration) for s in range(start, last + 1, duration))
    return tuple(s.clip(MIN_TIME, END_OF_TIME) for s in spans)


def coarse_grid(first: int, last: int, duration: int) -> tuple[Span, ...]:
    """The same, but no more than 10,000: neighbouring groups are taken together."""
    return shard_grid(first, last, duration * (1 + (last - first) // duration // 10_000))


def assumed_groups(span: Span, duration: int, now: int) -> tuple[Span, ...]:
    """Shard groups for a user who may not see the real ones: the past, the present group, and the future."""
    present = shard_grid(now, now, duration)[0]
    parts = (Span(MIN_TIME, present.start), present, Span(present.end, END_OF_TIME))
    return tuple(part for part in (p.clip(span.start, span.end) for p in parts) if part.length > 0)


def group_around(moment: int, duration: int, groups: Iterable[Span]) -> Span:
    """The shard group that a point at this moment is written into: an existing one, or a new one."""
    existing = next((g for g in sorted(groups) if g.start <= moment < g.end), None)
    return existing or shard_grid(moment, moment, duration)[0]


def aligned_spans(groups: Iterable[Span], window: int) -> tuple[Span, ...]:
    """Where data can be, widened to whole windows of `window` nanoseconds since 1970."""
    widened = (Span(g.start - g.start % window, g.end + -g.end % window) for g in groups)
    return tuple(_merge(sorted(g.clip(MIN_TIME, END_OF_TIME) for g in widened)))


def data_spans(groups: Iterable[Span], now: int, *, exact: bool) -> tuple[Span, ...]:
    """Where data can be, in order, without overlaps: shard groups that touch are one span.

    `exact`: no span crosses a shard group's boundary, because only inside one shard is every type exact.
    Groups that can still grow (their end is later than `now`) are kept apart in any case: a field may turn up
    in the newest with another type at any moment.
    """
    groups = sorted(groups)
    edges = sorted({e for g in groups for e in (g.start, g.end) if exact or g.end > now})
    spans: list[Span] = []
    for merged in _merge(groups):
        inner = [e for e in edges if merged.start < e < merged.end]
        cuts = [merged.start, *inner, merged.end]
        spans.extend(Span(a, b) for a, b in pairwise(cuts))
    return tuple(spans)


def within_group(window: Span, groups: Sequence[Span], longest: int) -> Span:
    """The window, longer where it ends inside the shard group (of these ordered ones) in which it begins.

    The rest of a group costs the server nothing that it has not opened already.
    """
    index = bisect_right(groups, window.start, key=lambda g: g.start) - 1
    end = groups[index].end if index >= 0 else window.end
    return Span(window.start, min(max(window.end, end), window.start + longest))


def is_inside_one(window: Span, groups: Sequence[Span]) -> bool:
    """Whether all of the window lies in one of these ordered shard groups, and in no other."""
    return sum(g.start < window.end and g.end > window.start for g in groups) == 1


def with_gaps(spans: Sequence[Span]) -> tuple[Span, ...]:
    """All of time, cut where these ordered spans begin and end."""
    edges = sorted({MIN_TIME, END_OF_TIME, *(e for s in spans for e in (s.start, s.end))})
    return tuple(Span(a, b) for a, b in pairwise(edges))


def _merge(groups: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for group in groups:
        if merged and group.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, group.end))
        else:
            merged.append(group)
    return merged


def overlaps(groups: Iterable[Span]) -> tuple[Span, ...]:
    """Stretches that more than one shard group covers, as after ALTER RETENTION POLICY ... SHARD DURATION."""
    ordered = sorted(groups)
    found, reach = [], MIN_TIME
    for group in ordered:
        if group.start < reach:
            found.append(Span(group.start, min(reach, group.end)))
        reach = max(reach, group.end)
    return tuple(found)


def calculate_date_ranges(start: int, end: int, spans: Sequence[Span]) -> tuple[Span, ...]:
    """The ranges to read between `start` and `end`: the parts of the (ordered) spans that lie inside."""
    first = max(0, bisect_right(spans, start, key=lambda s: s.start) - 1)
    clipped = []
    for span in spans[first:]:
        if span.start >= end:
            break
        part = span.clip(start, end)
        if part.length > 0:
            clipped.append(part)
    return tuple(clipped)


@dataclass(frozen=True, slots=True)
class Segment:
    """Fields that are read together in one range."""

    fields: tuple[str, ...]
    span: Span


SAME_PLACE = HOUR
"""Fields that resume within this of each other are read together; the overlap is written again, harmlessly."""


def plan_segments(starts: Mapping[str, int], end: int) -> tuple[Segment, ...]:
    """What to read when each field has its own start: oldest first, each range with every field due in it.

    Reading oldest first keeps each field's newest point in the destination a true watermark, and joining the
    fields as their starts are reached reads no value twice (but for those less than SAME_PLACE apart).
    """
    order = sorted((start, field) for field, start in starts.items() if start < end)
    groups: list[tuple[int, list[str]]] = []
    for start, field in order:
        if groups and start - groups[-1][0] <= SAME_PLACE:
            groups[-1][1].append(field)
        else:
            groups.append((start, [field]))
    segments, due = [], list[str]()
    for index, (start, fields) in enumerate(groups):
        due.extend(fields)
        stop = groups[index + 1][0] if index + 1 < len(groups) else end
        segments.append(Segment(tuple(sorted(due)), Span(start, stop)))
    return tuple(segments)


@dataclass(frozen=True, slots=True)
class Pace:
    """How much one query asks for: at most `rows` rows, from at most `length` nanoseconds.

    The row limit bounds memory. The length keeps the server from opening every shard up to the end of the
    range for each page; it grows while little comes back, so that ten thin years are not five hundred queries.
    """

    length: int
    rows: int
    longest: int = END_OF_TIME - MIN_TIME
    step: int = 1
    """Every length is a multiple of this: the windows of a downsampling query are never cut."""
    most_rows: int = 0
    """What `rows` grows back to after it had to shrink; 0: the `rows` of the beginning."""
    ceiling: int = 0
    """What `rows` may grow to where a longer page pays; 0: it may not."""
    was_eased: bool = False
    """Whether the server has found a request too large."""

    def window(self, start: int, end: int) -> Span:
        """The next stretch to ask for."""
        length = min(self.length, self.longest)
        return Span(start, min(end, start + max(self.step, length - length % self.step)))

    def after(
        self,
        asked: Span,
        got: Span,
        rows: int,
        limit: int = 0,
        *,
        slow_start: bool = False,
        fitting: int = END_OF_TIME,
    ) -> "Pace":
        """The pace for the next query, from how far the last one got and how many rows came back.

        `limit`: so many rows had to be asked for, because they share a time, and cannot be read apart.
        `slow_start`: it took the server long to begin, so fewer and longer pages cost less. `fitting`: so many
        rows like these fit into memory.
        """
        most = max(self.rows, self.most_rows)
        wanted = min(self.rows + self.rows // 4 + 1, most)
        if slow_start:
            wanted = most = max(most, min(2 * self.rows, self.ceiling))
        wanted = max(FEWEST_ROWS, min(wanted, fitting), limit if limit > self.rows else 0)
        if got.end < asked.end:
            return replace(self, length=2 * got.length * wanted // self.rows, rows=wanted, most_rows=most)
        if rows > self.rows:  # only an answer without a row limit can be too long
            return replace(self, length=max(self.step, asked.length // 2))
        if 4 * rows < self.rows:
            return replace(self, length=min(8 * self.length, self.longest))
        if slow_start:
            longer = self.length * max(wanted, self.rows) // self.rows
            return replace(self, length=min(longer, self.longest), rows=wanted, most_rows=most)
        return self

    def eased(self, asked: Span) -> "Pace | None":
        """A smaller request after the server found one too large; None when it cannot get smaller."""
        if asked.length <= max(SECOND, self.step) and self.rows <= FEWEST_ROWS:
            return None
        return replace(
            self,
            length=max(1, asked.length // 4),
            rows=max(FEWEST_ROWS, self.rows // 8),
            most_rows=max(self.rows, self.most_rows),
            was_eased=True,
        )


FEWEST_ROWS = 2
"""A page cannot get smaller: its last time is left to the next page, so one row would be no progress."""


def shard_numbers(times: npt.NDArray[np.int64], duration: int, groups: Iterable[Span]) -> npt.NDArray[np.int64]:
    """A number for each time, the same for two of them only when the server keeps them in the same shard group.

    They ascend with the times. `groups` are those that exist; the server makes others by `duration`.
    """
    # (t - year one) // duration, without overflow at the ends of int64
    offset = np.uint64(-_YEAR_ONE % duration)
    remainder = (times % duration).astype(np.uint64) + offset
    grid = times // duration + (remainder >= duration)
    edges = np.array(sorted({e for g in groups for e in (g.start, g.end)}), np.int64)
    return grid + np.searchsorted(edges, times, side="right")


def changes(numbers: npt.NDArray[np.int64]) -> list[int]:
    """The positions at which a number is not the one before it."""
    found: list[int] = (np.flatnonzero(np.diff(numbers)) + 1).tolist()
    return found


def shard_cuts(times: npt.NDArray[np.int64], duration: int, groups: Iterable[Span]) -> list[int]:
    """Row positions where ascending times pass from one shard group into the next.

    A write is atomic within one shard at best. Two shards in one request could keep its newer half and lose
    its older one, which would move the watermark past the hole, so no request may hold both.
    """
    return changes(shard_numbers(times, duration, groups))
