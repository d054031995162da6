"""Late data: which stretches of time the look-back compares, and which of them lack values at the destination."""

import logging
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from basics.spans import Span
from basics.text import printable
from basics.times import DAY, HOUR, MIN_TIME
from copying.compare import Comparer, Question, Window
from copying.resume import fallback_since
from copying.retention import comparable_since
from copying.segments import Segment
from copying.task import Copy
from influx.errors import InfluxError
from influx.influxql import Location
from settings.keys import Job

logger = logging.getLogger(__name__)

SMALL = 10_000
"""So many values are copied again without looking closer: asking would take as long."""


@dataclass(slots=True)
class MeasurementLookBack:
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

    @property
    def parts(self) -> list[Span]:
        """The hours, cut where a field begins to be wanted: an hour around that is compared in two windows."""
        return _cut(self.hours, self.since)

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
class Limits:
    """How far the look-back goes from the time `now` of the run: at least `lookback`, never before `earliest`."""

    now: int
    lookback: int
    earliest: int


def plan_look_back(
    copy: Copy, groups: Iterable[Span], limits: Limits, since: Mapping[str, int] | None = None
) -> MeasurementLookBack:
    """The look-back of a copy that has points at the destination, and whose source has these shard groups.

    What is newer than those points is about to be copied, so it ends there. `since` tells from when each field is
    wanted; groups are cut there.
    """
    newest = max(min(time, limits.now) for time in copy.resumed.values())
    day = limits.now - DAY
    hours = Span(max(day - day % HOUR, limits.earliest), newest + 1)
    until = min(hours.start, newest + 1)
    kept: list[Span] = []
    partial: set[Span] = set()
    for group in sorted(groups, reverse=True):
        part = group.clip(limits.earliest, until)
        pieces = _cut(part, since or {})
        kept += reversed(pieces)
        if len(pieces) > 1 or part.end < group.end:
            partial.update(pieces)
    floor = min(newest - limits.lookback, copy.hidden_since)
    return MeasurementLookBack(copy, hours, floor, kept, frozenset(partial), since or {})


def _cut(part: Span, since: Mapping[str, int]) -> list[Span]:
    """The stretch in pieces, oldest first, none of which goes across the beginning of a field."""
    edges = sorted({part.start, part.end, *(t for t in since.values() if part.start < t < part.end)})
    return [Span(a, b) for a, b in pairwise(edges)] if part.length > 0 else []


def find_late(comparer: Comparer, look_backs: Sequence[MeasurementLookBack]) -> list[Window]:
    """The windows in which the destination lacks values, oldest first, as small as it takes to copy them.

    Each look_back also looks at one older shard group, so that in the course of many runs everything is compared.
    """
    asked = [
        (look_back, Question(look_back.copy, part, HOUR)) for look_back in look_backs for part in look_back.parts
    ]
    answers = comparer.count([question for _, question in asked])
    for (look_back, _), windows in zip(asked, answers, strict=True):
        look_back.lacking.extend(w for w in map(look_back.wanted, windows) if w.missing)
    active = list(look_backs)
    while active:
        batch = [(look_back, group) for look_back in active for group in look_back.next_groups()]
        _count_groups(comparer, batch)
        active = [look_back for look_back in active if look_back.groups and not look_back.settled]
    older = [(look_back, random.choice(look_back.groups)) for look_back in look_backs if look_back.groups]  # noqa: S311
    _count_groups(comparer, older)
    wanted = {look_back.copy.source: look_back.wanted for look_back in look_backs}
    lacking = [window for look_back in look_backs for window in look_back.lacking]
    narrowed = comparer.narrow(lacking, lambda w: wanted[w.copy.source](w).missing > 0, _is_small)
    return sorted((wanted[w.copy.source](w) for w in narrowed), key=lambda window: window.span)


def _is_small(window: Window) -> bool:
    """Whether to copy it as a whole: it holds little, or most of it is missing."""
    return window.values <= SMALL or 2 * window.missing >= window.values


def _count_groups(comparer: Comparer, batch: Sequence[tuple[MeasurementLookBack, Span]]) -> None:
    answers = comparer.count([Question(look_back.copy, group) for look_back, group in batch])
    for (look_back, _), windows in zip(batch, answers, strict=True):
        look_back.see(windows)


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


@dataclass(frozen=True, slots=True)
class Lateness:
    """In which windows the destination lacks values of a measurement, oldest first, or why that is not known."""

    windows: tuple[Window, ...] = ()
    problem: str = ""


class LookBack:
    """Looks for late data of one job, in a run whose time is `now` (nanoseconds)."""

    def __init__(self, job: Job, comparer: Comparer, now: int) -> None:
        self._comparer = comparer
        self._now = now
        self._times = job.options.incremental
        self._is_off = job.options.range is not None or job.source.group_by is not None or not self._times.lookback

    def find(self, copies: Sequence[Copy]) -> dict[Location, Lateness]:
        """What is late of the measurements of one retention policy; those of which nothing is are left out.

        Raises InfluxError when a server does not answer.
        """
        there = [replace(copy, refusals=()) for copy in copies if copy.resumed]
        if self._is_off or not there:
            return {}
        try:
            windows = self._find(there)
        except InfluxError as error:
            if error.retryable:
                raise error.during("looking for late data") from error
            return {copy.source: self._find_of_one(copy) for copy in there}
        return {source: Lateness(tuple(parts)) for source, parts in windows.items()}

    def still_missing(self, windows: Iterable[Window]) -> int:
        """How many values the destination lacks in these windows now."""
        again = self._comparer.count([Question(w.copy, w.span, by_series=w.by_series) for w in windows])
        return sum(window.missing for found in again for window in found)

    def _find_of_one(self, copy: Copy) -> Lateness:
        """One measurement whose counts are refused does not keep the others from going on."""
        try:
            return Lateness(tuple(self._find([copy]).get(copy.source, ())))
        except InfluxError as error:
            return Lateness(problem=f"copy {copy.source}: looking for late data: {error}")

    def _find(self, copies: Sequence[Copy]) -> dict[Location, list[Window]]:
        found = self._lacking(copies)
        # points that are never sent are not late
        lacking = [copy for copy in copies if copy.source in found]
        tags = self._comparer.unstorable_tags(lacking)
        refused = [replace(copy, unstorable=t) for copy, t in zip(lacking, tags, strict=True) if t]
        again = self._lacking(refused) if refused else {}
        for copy in refused:
            never_sent = sum(w.missing for w in found[copy.source])
            found[copy.source] = again.get(copy.source, [])
            never_sent -= sum(w.missing for w in found[copy.source])
            logger.warning(
                "%s: values of tag %s cannot be kept by InfluxDB; %s field values are not at the destination",
                copy.source,
                ", ".join(map(printable, copy.unstorable)),
                f"{never_sent:,}",
            )
        return found

    def _lacking(self, copies: Sequence[Copy]) -> dict[Location, list[Window]]:
        kept_since = comparable_since(copies[0].target, self._now)
        first: list[dict[str, int]] = [{}] * len(copies)
        fallback = fallback_since(self._times, self._now)
        if fallback is not None:
            found_first = self._comparer.edges_at_destination("first", copies, unknowable=MIN_TIME)
            first = [{name: min(time, fallback) for name, time in times.items()} for times in found_first]
        look_backs = []
        for copy, groups, since in zip(copies, self._comparer.shard_groups(copies, self._now), first, strict=True):
            earliest = max(kept_since, min(since.values(), default=MIN_TIME))
            look_backs.append(
                plan_look_back(copy, groups, Limits(self._now, self._times.lookback, earliest), since)
            )
        found: dict[Location, list[Window]] = {}
        for window in find_late(self._comparer, look_backs):
            found.setdefault(window.copy.source, []).append(window)
        return found
