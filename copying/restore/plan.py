"""What a restore would do, as values, and in words. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from basics.humanize import counted, format_bytes, lasting
from basics.spans import Span, describe
from basics.text import printable
from basics.times import END_OF_TIME, MIN_TIME, format_duration, format_time
from copying.metadata.restoring import MetadataPlan
from copying.restore.asked import EVER, Existing, Mapped
from copying.retention import kept
from influx.influxql import Policy

MOST = 20
"""How many measurements of a retention policy the text lists; JSON has them all."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What the backup holds of a measurement in the range, in one retention policy."""

    measurement: str
    points: int
    """About: as many as the fullest field has values."""
    values: int
    first: int | None = None
    newest: int | None = None
    occupied: int | None = None
    """The newest point that the target has in the range already."""


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """One retention policy of a database. `there` is that of the target."""

    database: Mapped
    policy: Policy
    there: Policy | None
    holdings: tuple[Holding, ...] = ()
    dropped: int = 0
    """How many values the target's policy would drop at once."""

    @property
    def occupied(self) -> list[Holding]:
        """The measurements that the target has in the range already."""
        return [holding for holding in self.holdings if holding.occupied is not None]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the first page of the largest measurement took."""

    values: int = 0
    bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """All of it. `notes` are what else somebody should know who is asked whether to go on."""

    job: str
    backup: str
    target: str
    span: Span
    existing: Existing
    databases: tuple[Mapped, ...]
    new: frozenset[str]
    """The databases that the target lacks."""
    policies: tuple[PolicyPlan, ...] = ()
    sample: Sample = Sample()
    defaults: tuple[tuple[str, str], ...] = ()
    """Databases of the target with the retention policy that becomes the default one at the end."""
    notes: tuple[str, ...] = ()
    metadata: tuple[MetadataPlan, ...] = ()
    """What comes at the end besides points."""
    begun: int | None = None
    """When the same restore was begun that was stopped before its end, nanoseconds."""
    problems: tuple[str, ...] = ()
    """Why it cannot begin."""

    @property
    def holdings(self) -> list[Holding]:
        """All measurements."""
        return [holding for policy in self.policies for holding in policy.holdings]

    @property
    def points(self) -> int:
        """About."""
        return sum(holding.points for holding in self.holdings)

    @property
    def values(self) -> int:
        """Field values, exactly."""
        return sum(holding.values for holding in self.holdings)

    @property
    def bytes(self) -> int:
        """About: line protocol, by the first page."""
        return self.values * self.sample.bytes // self.sample.values if self.sample.values else 0

    @property
    def seconds(self) -> float:
        """About, by the speed of the first page."""
        return self.values * self.sample.seconds / self.sample.values if self.sample.values else 0.0

    @property
    def dropped(self) -> int:
        """How many values the target's policies would drop at once."""
        return sum(policy.dropped for policy in self.policies)

    @property
    def is_occupied(self) -> bool:
        """Whether the target holds points in the range already."""
        return any(policy.occupied for policy in self.policies)


def judged(plan: RestorePlan, now: int) -> RestorePlan:
    """The plan with why it must not begin: nothing to restore, or points that nobody said what to do with."""
    if plan.problems:
        return plan
    if not plan.holdings:
        return replace(plan, problems=(f"the backup holds nothing of that in {describe(plan.span)}",))
    if plan.is_occupied and plan.existing == "refuse" and plan.begun is None:
        return replace(plan, problems=(refusal(plan, now),))
    return plan


def refusal(plan: RestorePlan, now: int) -> str:
    """Why a target that holds points already is left alone, and the ways on."""
    policy = next(policy for policy in plan.policies if policy.occupied)
    place = printable(f"{policy.database.target}.{policy.policy.name}.{policy.occupied[0].measurement}")
    others = sum(len(policy.occupied) for policy in plan.policies) - 1
    also = f" (and {counted(others, 'other measurement')})" if others else ""
    day = format_time(now - now % 10**9).translate({ord("-"): None, ord(":"): None})
    new = f"{policy.database.original}:{policy.database.original}_restored_{day}"
    return (
        f"the target already holds points in that range: {place}{also}. Say --existing fill to copy only what is "
        "missing there, --existing overwrite to write every point of the backup over it (nothing is deleted), or "
        f"restore beside it: --database {printable(new)}"
    )


# ---------------------------------------------------------------- in words


def text(plan: RestorePlan) -> str:
    """The plan for people."""
    lines = [f"{plan.job}: restore from {plan.backup} to {plan.target}{_range(plan.span)}"]
    for database in plan.databases:
        lines += [f"  {line}" for line in _database(plan, database)]
    lines += [f"  {line}" for line in _sums(plan)]
    lines += [f"  note: {note}" for note in plan.notes]
    lines += [f"  NOT POSSIBLE: {problem}" for problem in plan.problems]
    return "\n".join(map(printable, lines))


def _range(span: Span) -> str:
    return "" if span == EVER else f", {describe(span)}"


def _database(plan: RestorePlan, database: Mapped) -> Iterator[str]:
    state = "will be created" if database.target in plan.new else "exists"
    yield f"{database.backup} -> {database.target} ({state})"
    for policy in plan.policies:
        if policy.database == database:
            yield from (f"  {line}" for line in _policy(policy))
    for metadata in plan.metadata:
        if metadata.database == database.target:
            yield from (f"  at the end: {line}" for line in metadata.lines)


def _policy(plan: PolicyPlan) -> Iterator[str]:
    state = f"will be created, keeps points for {kept(plan.policy)}"
    if plan.there is not None:
        state = f"keeps points for {kept(plan.there)}"
    yield f"{plan.policy.name} ({state}): {counted(len(plan.holdings), 'measurement')}"
    for holding in plan.holdings[:MOST]:
        yield f"  {holding.measurement}: about {counted(holding.points, 'point')}{_from_to(holding)}"
    hidden = len(plan.holdings) - MOST
    if hidden > 0:
        yield f"  and {counted(hidden, 'more measurement')}"


def _from_to(holding: Holding) -> str:
    if holding.first is None or holding.newest is None:
        return ""
    return f" from {format_time(holding.first)} to {format_time(holding.newest)}"


def _sums(plan: RestorePlan) -> Iterator[str]:
    if plan.holdings:
        yield (
            f"in all about {counted(plan.points, 'point')}, {counted(plan.values, 'value')}, "
            f"{format_bytes(plan.bytes)}; about {lasting(max(1.0, plan.seconds))} by the speed of the first page"
        )
    if plan.dropped:
        yield (
            f"the target's retention policies would drop {counted(plan.dropped, 'value')} of that at once: "
            "they are too old for them"
        )
    for database, policy in plan.defaults:
        yield f"at the end {policy} becomes the default retention policy of {database}"
    if plan.begun is not None:
        begun = format_time(plan.begun)
        yield f"goes on with the restore that was begun at {begun}: what is there is not copied again"


def notes(
    window: int | None, queries: Sequence[tuple[str, str]], left_out: Sequence[str], absent: Sequence[str]
) -> tuple[str, ...]:
    """What else somebody should know: means, continuous queries that fire, what is not restored."""
    found = []
    if window is not None:
        found.append(
            f"this job keeps one point for each {format_duration(window)} (source.group_by): means come back, "
            "not the points that they were made of"
        )
    found += [
        f"continuous query {name} of {database} fires at the target while data arrives, and may compute anew"
        for database, name in queries
    ]
    if left_out:
        names = ", ".join(left_out[:5]) + (f" and {len(left_out) - 5:,} more" if len(left_out) > 5 else "")
        found.append(f"not restored, because measurements.include and .exclude do not select them: {names}")
    found += [f"database {name} of the job is not in the backup" for name in absent]
    return tuple(found)


def as_json(plan: RestorePlan) -> dict[str, Any]:
    """The same for machines. Times are RFC 3339 text."""
    return {
        "job": plan.job,
        "backup": plan.backup,
        "target": plan.target,
        "start": None if plan.span.start == MIN_TIME else format_time(plan.span.start),
        "end": None if plan.span.end == END_OF_TIME else format_time(plan.span.end),
        "existing": plan.existing,
        "points": plan.points,
        "values": plan.values,
        "bytes": plan.bytes,
        "seconds": round(plan.seconds, 1),
        "dropped_values": plan.dropped,
        "goes_on": plan.begun is not None,
        "notes": list(plan.notes),
        "problems": list(plan.problems),
        "databases": [
            {
                "backup": database.backup,
                "target": database.target,
                "is_new": database.target in plan.new,
                "at_the_end": [line for m in plan.metadata if m.database == database.target for line in m.lines],
                "policies": [_policy_json(policy) for policy in plan.policies if policy.database == database],
            }
            for database in plan.databases
        ],
    }


def _policy_json(plan: PolicyPlan) -> dict[str, Any]:
    return {
        "policy": plan.policy.name,
        "is_new": plan.there is None,
        "measurements": [
            {
                "measurement": holding.measurement,
                "points": holding.points,
                "values": holding.values,
                "first": None if holding.first is None else format_time(holding.first),
                "newest": None if holding.newest is None else format_time(holding.newest),
                "target_holds_points": holding.occupied is not None,
            }
            for holding in plan.holdings
        ],
    }
