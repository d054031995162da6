"""In which order the points of a measurement are written, and so which requests may overlap. Pure.

Shard groups of the destination are written one after the other, oldest first: whatever stops a run, everything
older than the newest group that holds points is there. Inside that group points may go in any order, where the
next run surely compares all of it before it goes on (late.py). Everywhere else points go strictly by time.
"""

from typing import TYPE_CHECKING

from basics.spans import Span
from basics.times import DAY
from copying.retention import comparable_since
from copying.task import Copy, Target
from influx import shard_groups
from influx.frames import Frame
from settings.keys import Job

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def is_free(copy: Copy, job: Job) -> bool:
    """Whether the points of one shard group may be written in any order: where all of it is compared next time.

    They may not where the first type that arrives is the one that counts.
    """
    return is_compared(copy.target, job) and not copy.is_mixed


def is_compared(target: Target, job: Job) -> bool:
    """Whether the next run compares the whole of the newest shard group before it goes on.

    It does not without the look-back, without the right to see at both servers who was written to, where old
    measurements or fields are skipped, and where `fallback_days` lets the first point at the destination say how
    far back to compare. Means of downsampling are computed again instead of compared.
    """
    options, times = job.options, job.options.incremental
    looks_back = bool(times.lookback) and job.source.group_by is None and times.fallback_days is None
    is_skipped = times.obsolete_threshold is not None or options.field_obsolete_threshold is not None
    is_seen = target.groups is not None and target.written_groups is not None
    return looks_back and is_seen and not is_skipped


def rest_of_stretch(position: int, target: Target, now: int) -> Span:
    """What follows a time, as far as points may go in any order: to the end of a shard group; empty if nowhere."""
    if position < _lasting_since(target, now):
        return Span(position, position)
    edges = [edge for group in target.written_groups or () for edge in group.edges if edge > position]
    (group,) = shard_groups.shard_grid(position, position, target.destination.shard_duration)
    return Span(position, min(group.end, now + 1, *edges))


def cuts(frame: Frame, target: Target, now: int) -> list[int]:
    """Where rows (by time) come into another shard group of the destination, or leave what may go in any order."""
    found = shard_groups.shard_cuts(frame.times, target.destination.shard_duration, target.written_groups or ())
    edges = frame.times.searchsorted([_lasting_since(target, now), now + 1]).tolist()
    return sorted({*found, *edges} - {0, len(frame)})


def stretch(times: "npt.NDArray[np.int64]", target: Target, now: int) -> int | None:
    """The same number for requests that may overlap; None for one that goes alone.

    The times lie between two of the cuts. Those later than now go in their order: once that has passed, they are
    newer than others that nobody has copied yet. So do those that soon nobody will compare any more.
    """
    if not _lasting_since(target, now) <= times[0] <= now:
        return None
    groups = target.written_groups or ()
    return int(shard_groups.shard_numbers(times[:1], target.destination.shard_duration, groups)[0])


def _lasting_since(target: Target, now: int) -> int:
    """From when on all that both policies hold can still be compared a day later."""
    return comparable_since(target, now + DAY)
