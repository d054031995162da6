"""Stretches: which stretches of time the look-back of a measurement compares, and where it ends. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from basics.spans import Span
from basics.times import DAY, HOUR, MIN_TIME
from copying.task import Copy
from copying.windows import Window


@dataclass(frozen=True, slots=True)
class Limits:
    """How far the look-back goes from the time `now` of the run: at least `lookback`, never before `earliest`."""

    now: int
    lookback: int
    earliest: int
    proved: int = MIN_TIME
    """Everything older is known to be equal, but for the `piece` of it that is compared all the same."""
    piece: Span | None = None


@dataclass(slots=True)
class MeasurementLookBack:
    """The look-back of one copy: the last day, then shard groups, from the newest backwards.

    Where it is not known who was written to, everything down to `floor` is compared, and older shard groups until
    one that is whole and holds values is equal.
    """

    copy: Copy
    recent: list[Span]
    floor: int
    groups: list[Span]
    """Not compared yet, newest first, clipped to what is older than the last day."""
    whole: frozenset[Span] = frozenset()
    """Those of them that are a shard group from its beginning to its end, on both sides."""
    settled: bool = False
    ahead: int = 2
    differing: list[Window] = field(default_factory=list)

    def next_groups(self) -> list[Span]:
        """The groups to compare next: all that have to be, and twice as many more as the time before."""
        if self.settled:
            return []
        due = sum(group.end > self.floor for group in self.groups) + self.ahead
        self.ahead *= 2
        taken, self.groups = self.groups[:due], self.groups[due:]
        return taken

    def see(self, window: Window, *, is_open: bool) -> None:
        """Take in a compared window. `is_open`: it differs, and it is not known that nothing is lacking in it."""
        if is_open:
            self.differing.append(window)
        is_whole = window.span in self.whole and window.span.end <= self.floor
        if is_whole and window.source and not is_open:
            self.settled = True


def plan_look_back(copy: Copy, groups: Iterable[Span], limits: Limits) -> MeasurementLookBack:
    """The look-back of a copy that has points at the destination, and whose source has these shard groups.

    What is newer than those points is about to be copied, so it ends there. All is cut where shard groups of
    either side begin, because only inside one the fingerprints of equal points are equal.
    """
    groups = sorted(groups, reverse=True)
    edges = [edge for group in (*groups, *(copy.target.written_groups or ())) for edge in (group.start, group.end)]
    newest = max(min(time, limits.now) for time in copy.resumed.values())
    day = limits.now - DAY
    earliest = max(limits.earliest, limits.proved)
    recent = Span(max(day - day % HOUR, earliest), newest + 1)
    piece = limits.piece.clip(limits.earliest, min(limits.proved, newest + 1)) if limits.piece else Span(0, 0)
    until = min(recent.start, newest + 1)
    kept: list[Span] = []
    for group in groups:
        kept += reversed(cut_at(group.clip(earliest, until), edges))
    floor = min(newest - limits.lookback, copy.hidden_since)
    spans = [*cut_at(piece, edges), *cut_at(recent, edges)]
    return MeasurementLookBack(copy, spans, floor, kept, frozenset(kept).intersection(groups))


def cut_at(span: Span, edges: Iterable[int]) -> list[Span]:
    """The parts of a stretch between these times, oldest first; none of an empty one."""
    if span.length <= 0:
        return []
    inner = sorted({edge for edge in edges if span.start < edge < span.end})
    return [Span(a, b) for a, b in pairwise((span.start, *inner, span.end))]
