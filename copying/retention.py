"""What the retention policies of both sides keep. Pure."""

from basics.times import HOUR, MIN_TIME, format_duration
from copying.task import Target
from influx import shard_groups
from influx.influxql import Policy


def comparable_since(target: Target, now: int) -> int:
    """From when on both policies surely still hold all their points.

    A margin keeps points out that either side gives up while the run goes on.
    """
    durations = [policy.duration for policy in (target.source, target.destination) if policy.duration]
    return _kept_since(min(durations), now) if durations else MIN_TIME


def whole_since(target: Target, now: int) -> int:
    """From when on the source surely holds all that it ever held: policies give up whole shard groups."""
    policy = target.source
    if not policy.duration:
        return MIN_TIME
    kept = _kept_since(policy.duration, now)
    return shard_groups.group_around(kept, policy.shard_duration, target.groups or ()).start


def _kept_since(duration: int, now: int) -> int:
    return now - duration + min(HOUR, duration // 10)


def shorter(database: str, there: Policy, policy: Policy) -> str:
    """A policy of the destination that keeps less than the source's, in words."""
    return (
        f"retention policy {database}.{there.name} keeps points for {kept(there)} at the destination, but for "
        f"{kept(policy)} at the source: older points cannot be stored"
    )


def kept(policy: Policy) -> str:
    """How long a policy keeps points, in words: `7d`, `ever`."""
    return format_duration(policy.duration) if policy.duration else "ever"
