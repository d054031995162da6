"""Why a run may trust what an earlier one has compared: what the servers have counted adds up. Pure.

At a moment in which nobody was writing to the source its counters were read, and its points from a time `since` on
were counted. All that it held then came to be equal at the destination. At a later such moment so many points were
written to it since, and it has so many more from `since` on. Each point that is written adds one at most, so where
both numbers are the same, all of them went there, and whatever is older is as it was: nothing came late, nothing
was overwritten. Anything that upsets the balance (a point that was sent twice, a deletion, a restart) makes the
numbers differ, and then the run compares as if nothing were known.

At the destination nobody but us may have written, nor asked anything: a deletion moves no counter of a shard, but
it is a request. tests/facts/test_balance.py shows what this rests on.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from basics.spans import Span
from basics.times import DAY, HOUR, MINUTE
from copying.task import Copy, Target
from influx.activity import Activity, Writes

MARGIN = 5 * MINUTE
"""So much older than the newest point `since` is: hosts do not all write at once."""

STILL = 6 * HOUR
"""A policy in which nothing happens is looked at all the same when a piece of it was compared longer ago."""

AGAIN_VALUES = 200_000
"""About so many values are compared again in a run, to see what no counter tells."""

SHORTEST, LONGEST = 10 * MINUTE, 7 * DAY
"""How long the piece is that is compared again."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The source while nobody wrote to it."""

    activity: Activity
    newer: Mapping[int, int]
    """A time -> how many points it held from then on: of each measurement as many values as its fullest field."""


@dataclass(frozen=True, slots=True)
class Patrol:
    """How far what is proved was compared again, from its newest part to its oldest, and then anew."""

    compared_at: int = 0
    reached: int = 0
    length: int = SHORTEST

    def piece(self, whole: Span, now: int) -> Span | None:
        """What to compare again in a run at `now`; None while it is not due: all of it takes a day at least."""
        if whole.length <= 0:
            return None
        length = min(self.length, whole.length)
        if 0 <= now - self.compared_at < DAY * length // whole.length:
            return None
        end = self.reached if whole.start < self.reached <= whole.end else whole.end
        return Span(end - length, end).clip(*whole.edges)

    def after(self, piece: Span, values: int, now: int) -> "Patrol":
        """What is known once a piece was compared that held so many values."""
        length = self.length * 2 if values < AGAIN_VALUES // 2 else self.length
        length = length // 2 if values > AGAIN_VALUES else length
        return Patrol(now, piece.start, min(max(length, SHORTEST), LONGEST))


@dataclass(frozen=True, slots=True)
class Proof:
    """Of one retention policy: all that the source held at a moment became equal at the destination."""

    selection: str
    """What was compared: the names of it."""
    since: int
    newer: int
    """How many points the source held from `since` on."""
    source: Activity
    destination: Activity
    """Before we wrote, then."""
    written: int = 0
    """How many points we wrote since."""
    asked: int = 0
    """How many questions we asked since."""
    newest: Mapping[str, int] = field(default_factory=dict)
    """Measurement -> its newest point, not counting those after now."""
    patrol: Patrol = field(default_factory=Patrol)

    def is_untouched(self, now: Activity) -> bool:
        """Whether nobody else has done anything at the destination since, by what it says now."""
        then = self.destination
        return (
            now.started == then.started
            and now.shards.keys() >= then.shards.keys()
            and now.stored - then.stored == self.written
            and now.lost == then.lost
            and now.asked - then.asked == self.asked
        )

    def is_balanced(self, moment: Moment) -> bool:
        """Whether all that was written to the source since is no older than `since`, and came once."""
        then, now = self.source, moment.activity
        return (
            now.started == then.started
            and now.shards.keys() == then.shards.keys()
            and now.lost == then.lost
            and now.stored - then.stored == moment.newer[self.since] - self.newer
        )

    def is_still(self, source: Activity, destination: Activity, now: int) -> bool:
        """Whether nothing at all has happened at either server, and it need not be looked at once more."""
        is_recent = 0 <= now - self.patrol.compared_at < STILL
        return is_recent and not source.has_written(self.source) and self.is_untouched(destination)

    def to_json(self) -> dict[str, Any]:
        """As a document."""
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Proof":
        """From a document. Raises TypeError, KeyError, ValueError or AttributeError for one that is none."""
        return cls(
            str(found["selection"]),
            int(found["since"]),
            int(found["newer"]),
            _activity(found["source"]),
            _activity(found["destination"]),
            int(found["written"]),
            int(found["asked"]),
            {str(name): int(time) for name, time in found["newest"].items()},
            Patrol(**{name: int(value) for name, value in found["patrol"].items()}),
        )


def _activity(found: Mapping[str, Any]) -> Activity:
    shards = {str(number): Writes(*map(int, counters)) for number, counters in found["shards"].items()}
    return Activity(str(found["started"]), shards, int(found["asked"]))


def is_still(before: Activity, after: Activity) -> bool:
    """Whether nobody has written between two looks at a server, nor was about to."""
    return before.is_idle and not after.has_written(before)


def next_since(copies: Iterable[Copy], now: int) -> int:
    """From when on points are counted: younger than almost all of them, older than what comes next.

    It does not count what this run copies: that is compared once, in the next one.
    """
    newest = max(min(time, now) for copy in copies for time in copy.resumed.values())
    return newest - MARGIN


def selection(target: Target, copies: Sequence[Copy]) -> str:
    """A short text for all measurements and fields of a policy, and those of them that are copied."""
    chosen = sorted((copy.source.measurement, sorted(copy.types.items())) for copy in copies)
    all_types = sorted((name, sorted(types.items())) for name, types in target.source_types.items())
    text = repr((all_types, chosen, target.source, target.destination))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
