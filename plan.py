"""What to copy, as values and decisions: measurements, fields, and from where each field resumes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import influxql
from answers import QueryRefused
from config import FieldRules
from influxql import Location, Policy, Tags
from report import Refusal
from timeline import END_OF_TIME, Span
from values import HOUR, MIN_TIME, format_duration, is_selected

NUMERIC = ("float", "integer", "unsigned")


@dataclass(frozen=True, slots=True)
class Target:
    """One retention policy on both sides."""

    database: str
    source: Policy
    destination: Policy
    groups: tuple[Span, ...] | None
    """Shard groups of the source; None when the user may not see them."""
    written_groups: tuple[Span, ...] | None
    """Shard groups of the destination; None when the user may not see them."""
    written_types: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Measurement -> field -> its types at the destination."""
    is_new: bool = False
    """Whether the destination lacked it."""
    is_foreign: bool = False
    """Whether the source lacks it."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One measurement to copy: from where, to where, and what of it."""

    source: Location
    target: Target
    types: Mapping[str, tuple[str, ...]]
    """Field -> its types in the source's shards, of the fields that are wanted."""
    tags: tuple[str, ...]
    rules: FieldRules = field(default_factory=FieldRules)
    starts: Mapping[str, int] = field(default_factory=dict)
    """Field -> where to begin; a field that has nothing to copy is not in it."""
    resumed: Mapping[str, int] = field(default_factory=dict)
    """Field -> its newest time at the destination, of the fields that are there, not counting forecasts."""
    hidden_since: int = END_OF_TIME
    """Since when forecasts at the destination may hide that points before them are missing."""
    refusals: tuple[Refusal, ...] = ()
    unkeepable: tuple[str, ...] = ()
    """Tags with values that InfluxDB cannot keep; series that have them are not looked for at the destination."""

    @property
    def destination(self) -> Location:
        """Where its points go."""
        return Location(self.target.database, self.target.destination.name, self.source.measurement)

    @property
    def is_mixed(self) -> bool:
        """Whether a field has different types in different shards."""
        return any(len(types) > 1 for types in self.types.values())

    @property
    def written_types(self) -> Mapping[str, tuple[str, ...]]:
        """Field -> its types at the destination."""
        return self.target.written_types.get(self.source.measurement, {})


# ---------------------------------------------------------------- decisions, pure


def get_fields_to_backup(types: Mapping[str, tuple[str, ...]], rules: FieldRules) -> dict[str, tuple[str, ...]]:
    """The fields that the rules select, with their types: by name first, then by type."""
    allowed = allowed_types(rules)
    return {
        name: kinds
        for name, kinds in types.items()
        if is_selected(name, rules.include, rules.exclude) and allowed.intersection(kinds)
    }


def allowed_types(rules: FieldRules) -> frozenset[str]:
    """The field types that the rules let through."""
    if not rules.types:
        return frozenset({"float", "integer", "string", "boolean", "unsigned"})
    numeric = NUMERIC if "numeric" in rules.types else ()
    return frozenset({*rules.types, *numeric} - {"numeric"})


def fits(copy: Copy, types: Mapping[str, str]) -> bool:
    """Whether none of these types of fields can be in conflict with one at the destination."""
    there = copy.written_types
    return not copy.is_mixed and all(
        theirs == ours for name, ours in types.items() for theirs in there.get(name, ())
    )


def is_obsolete(copied: int | None, newest: int | None, threshold: int, now: int) -> bool:
    """Whether the newest copied value is older than the threshold and the source has nothing newer."""
    if copied is None or copied >= now - threshold:
        return False
    return newest is None or newest <= copied


def filter_obsolete_fields(
    copied: Mapping[str, int | None], newest: Mapping[str, int | None], threshold: int, now: int
) -> tuple[str, ...]:
    """The fields that are still worth a query."""
    return tuple(f for f in copied if not is_obsolete(copied[f], newest.get(f), threshold, now))


def resume_points(
    copied: Mapping[str, int | None], first: Mapping[str, int | None], fallback: int | None
) -> dict[str, int]:
    """Where each field begins: at its newest copied value, else at its first one in the source.

    `fallback` replaces the first one while nothing of the measurement has been copied. A field without any
    value is left out.
    """
    is_empty = all(time is None for time in copied.values())
    starts = {}
    for name, watermark in copied.items():
        start = watermark if watermark is not None else first.get(name)
        if is_empty and fallback is not None and start is not None:
            start = max(start, fallback)
        if start is not None:
            starts[name] = start
    return starts


def hidden_since(source: Mapping[Tags, int], destination: Mapping[Tags, int]) -> int:
    """The oldest of the newest times at the destination of those series that have newer points at the source.

    A series that the destination lacks may have points of any age.
    """
    behind = [destination.get(tags, MIN_TIME) for tags, newest in source.items()
              if newest > destination.get(tags, MIN_TIME)]  # fmt: skip
    return min(behind, default=END_OF_TIME)


def comparable_since(target: Target, now: int) -> int:
    """From when on both policies surely still hold all their points.

    A margin keeps points out that either side gives up while the run goes on.
    """
    durations = [policy.duration for policy in (target.source, target.destination) if policy.duration]
    if not durations:
        return MIN_TIME
    shortest = min(durations)
    return now - shortest + min(HOUR, shortest // 10)


def split_for_downsampling(types: Mapping[str, tuple[str, ...]]) -> tuple[list[str], list[str]]:
    """The fields to average, and those of which the last value of a window stands for it.

    Raises QueryRefused for a field whose values of one window cannot be seen together: one that is not only a
    number and has several types, or one whose name only a regex can select.
    """
    averaged: list[str] = []
    latest: list[str] = []
    for name, kinds in types.items():
        numbers = all(kind in NUMERIC for kind in kinds)
        if not influxql.is_quotable(name) or (len(kinds) > 1 and not numbers):
            shown = influxql.printable(name)
            raise QueryRefused(
                f"field {shown!r} ({' and '.join(kinds)} in different shards) cannot be downsampled exactly; "
                "exclude it, or copy without source.group_by"
            )
        (averaged if numbers else latest).append(name)
    return averaged, latest


def shorter(database: str, there: Policy, policy: Policy) -> str:
    """A policy of the destination that keeps less than the source's, in words."""
    return (
        f"retention policy {database}.{there.name} keeps points for {kept(there)} at the destination, but for "
        f"{kept(policy)} at the source: older points cannot be stored"
    )


def kept(policy: Policy) -> str:
    """How long a policy keeps points, in words: `7d`, `ever`."""
    return format_duration(policy.duration) if policy.duration else "ever"
