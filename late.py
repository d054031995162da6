"""Late data: which stretches of time the look-back compares, and which of them lack values at the destination."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from compare import Comparer, Question, Window
from plan import Copy
from timeline import Segment, Span
from values import DAY, HOUR, MIN_TIME

SMALL = 10_000
"""So many values are copied again without looking closer: asking would take as long."""


@dataclass(slots=True)
class Walk:
    """The look-back of one copy: the hours of the last day, then shard groups, from the newest backwards.

    Everything down to `floor` is compared in any case. Older shard groups are compared until one that is
    whole and holds values lacks nothing.
    """

    copy: Copy
    hours: Span
    floor: int
    groups: list[Span]
    """Not compared yet, newest first, clipped to what is older than the hours."""
    partial: frozenset[Span] = frozenset()
    """Those of them whose newer part is not compared with them."""
    since: Mapping[str, int] = field(default_factory=dict)
    """Field -> what is older than this is not wanted at the destination."""
    settled: bool = False
    ahead: int = 2
    lacking: list[Window] = field(default_factory=list)

    def next_groups(self) -> list[Span]:
        """The groups to compare next: all that have to be, and twice as many more as the time before."""
        if self.settled:
            return []
        due = sum(group.end > self.floor for group in self.groups) + self.ahead
        self.ahead *= 2
        taken, self.groups = self.groups[:due], self.groups[due:]
        return taken

    def see(self, windows: Sequence[Window]) -> None:
        """Take in what was counted in groups, newest first."""
        for window in map(self.wanted, windows):
            if window.missing:
                self.lacking.append(window)
            is_whole = window.span not in self.partial and window.span.end <= self.floor
            if is_whole and window.source and not window.missing:
                self.settled = True

    def wanted(self, window: Window) -> Window:
        """The window without the fields that begin later at the destination, and those that are not there yet.

        A field is copied from its own newest point on; what is newer than that is not late.
        """
        lacks = {
            name: n
            for name, n in window.lacks.items()
            if self.since.get(name, MIN_TIME) <= window.span.start <= self.copy.resumed.get(name, MIN_TIME - 1)
        }
        return window if lacks == window.lacks else replace(window, lacks=lacks)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the look-back goes from the time `now` of the run: at least `lookback`, never before `earliest`."""

    now: int
    lookback: int
    earliest: int


def plan_walk(copy: Copy, groups: Iterable[Span], reach: Reach, since: Mapping[str, int] | None = None) -> Walk:
    """The look-back of a copy that has points at the destination, and whose source has these shard groups.

    What is newer than those points is about to be copied, so it ends there. `since` tells from when each field is
    wanted; groups are cut there.
    """
    newest = max(min(time, reach.now) for time in copy.resumed.values())
    day = reach.now - DAY
    hours = Span(max(day - day % HOUR, reach.earliest), newest + 1)
    until = min(hours.start, newest + 1)
    kept: list[Span] = []
    partial: set[Span] = set()
    for group in sorted(groups, reverse=True):
        part = group.clip(reach.earliest, until)
        edges = sorted({part.start, part.end, *(t for t in (since or {}).values() if part.start < t < part.end)})
        pieces = [Span(a, b) for a, b in pairwise(edges)] if part.length > 0 else []
        kept += reversed(pieces)
        if len(pieces) > 1 or part.end < group.end:
            partial.update(pieces)
    floor = min(newest - reach.lookback, copy.hidden_since)
    return Walk(copy, hours, floor, kept, frozenset(partial), since or {})


def find_late(comparer: Comparer, walks: Sequence[Walk]) -> list[Window]:
    """The windows in which the destination lacks values, oldest first, as small as it takes to copy them.

    Each walk also looks at one older shard group, so that in the course of many runs everything is compared.
    """
    asked = [(walk, Question(walk.copy, walk.hours, HOUR)) for walk in walks if walk.hours.length > 0]
    answers = comparer.count([question for _, question in asked])
    for (walk, _), windows in zip(asked, answers, strict=True):
        walk.lacking.extend(w for w in map(walk.wanted, windows) if w.missing)
    active = list(walks)
    while active:
        batch = [(walk, group) for walk in active for group in walk.next_groups()]
        _count_groups(comparer, batch)
        active = [walk for walk in active if walk.groups and not walk.settled]
    _count_groups(comparer, [(walk, random.choice(walk.groups)) for walk in walks if walk.groups])  # noqa: S311
    wanted = {walk.copy.source: walk.wanted for walk in walks}
    lacking = [window for walk in walks for window in walk.lacking]
    narrowed = comparer.narrow(lacking, lambda w: wanted[w.copy.source](w).missing > 0, _is_small)
    return sorted((wanted[w.copy.source](w) for w in narrowed), key=lambda window: window.span)


def _is_small(window: Window) -> bool:
    """Whether to copy it as a whole: it holds little, or most of it is missing."""
    return window.values <= SMALL or 2 * window.missing >= window.values


def _count_groups(comparer: Comparer, batch: Sequence[tuple[Walk, Span]]) -> None:
    answers = comparer.count([Question(walk.copy, group) for walk, group in batch])
    for (walk, _), windows in zip(batch, answers, strict=True):
        walk.see(windows)


def segments(windows: Iterable[Window]) -> list[Segment]:
    """What to copy for these windows of one copy (oldest first): each range with the fields that lack values."""
    joined: list[Segment] = []
    for window in windows:
        last = joined[-1] if joined else None
        if last and last.span.end == window.span.start and last.fields == window.lacking:
            joined[-1] = Segment(last.fields, Span(last.span.start, window.span.end))
        else:
            joined.append(Segment(window.lacking, window.span))
    return joined
