"""What the retention policies of both sides keep. Pure."""

from collections.abc import Iterator, Mapping

from basics.humanize import counted
from basics.spans import Span, describe
from basics.text import printable
from basics.times import HOUR, MIN_TIME, format_duration
from copying.task import Copy, Target
from influx import shard_groups
from influx.influxql import Policy, quote


def comparable_since(target: Target, now: int) -> int:
    """From when on both policies surely still hold all their points.

    A margin keeps points out that either side gives up while the run goes on.
    """
    durations = [policy.duration for policy in (target.source, target.destination) if policy.duration]
    return kept_since(min(durations), now) if durations else MIN_TIME


def holdable_since(target: Target, now: int) -> int:
    """From when on the destination can surely hold points, if its clock is right."""
    duration = target.destination.duration
    return kept_since(duration, now) if duration else MIN_TIME


def whole_since(target: Target, now: int) -> int:
    """From when on the source surely holds all that it ever held: policies give up whole shard groups."""
    policy = target.source
    if not policy.duration:
        return MIN_TIME
    kept = kept_since(policy.duration, now)
    return shard_groups.group_around(kept, policy.shard_duration, target.groups or ()).start


def kept_since(duration: int, now: int) -> int:
    """From when on a policy with this duration surely still holds its points, with a margin."""
    return now - duration + min(HOUR, duration // 10)


def dropped_early(copy: Copy, dropped: Mapping[Span, int], now: int) -> Iterator[str]:
    """What to say of points that the destination dropped as too old, though by our clock it could hold them.

    Nothing where there are none, and where it keeps less than the source: then it is a failure that they are not
    there.
    """
    there = copy.target.destination
    young = {span: points for span, points in dropped.items() if points and span.start >= now - there.duration}
    if not young or there.keeps_less_than(copy.target.source):
        return
    span = Span(min(span.start for span in young), min(max(span.end for span in young), now))
    points = counted(sum(young.values()), "point")
    yield (
        f"{copy.source} {describe(span)}: the destination dropped {points} as older than retention policy "
        f"{printable(there.name)} keeps ({kept(there)}), though by this machine's clock it could still hold them; "
        "compare the clocks of both machines"
    )


def shorter(database: str, there: Policy, policy: Policy) -> str:
    """A policy of the destination that keeps less than the source's, in words."""
    return (
        f"retention policy {database}.{there.name} keeps points for {kept(there)} at the destination, but for "
        f"{kept(policy)} at the source: older points cannot be stored"
    )


_PLAIN = "SELECT * FROM cpu"


def other_settings(target: Target) -> Iterator[str]:
    """In what else an existing policy of the destination differs from the source's, with what comes of it."""
    here, there, name = target.source, target.destination, f"{target.database}.{target.destination.name}"
    if here.is_default and not there.is_default:
        yield (
            f"retention policy {name} is not the default one at the destination, but at the source: a query that "
            f"names no policy, such as {_PLAIN}, finds nothing of it there; "
            f"ALTER RETENTION POLICY {quote(there.name)} ON {quote(target.database)} DEFAULT changes that"
        )
    if here.shard_duration != there.shard_duration:
        yield (
            f"retention policy {name} has shard groups of {format_duration(there.shard_duration)} at the "
            f"destination, but of {format_duration(here.shard_duration)} at the source: points expire there by "
            "other groups, and a field that changes its type inside one of them cannot be kept"
        )


def kept(policy: Policy) -> str:
    """How long a policy keeps points, in words: `7d`, `ever`."""
    return format_duration(policy.duration) if policy.duration else "ever"
