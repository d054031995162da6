"""Arithmetic of shard groups: where data can be, what lies inside one group, where writes must be cut. Pure.

All times are `int` nanoseconds, all ranges half-open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from basics.later import Later
from basics.spans import Span
from basics.times import END_OF_TIME, MIN_TIME, SECOND

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
else:
    np = Later("numpy")

_YEAR_ONE = -62135596800 * SECOND
"""Shard groups are multiples of their duration since year 1, not since 1970, so a week starts on Monday."""


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
