"""What to copy, as values: a retention policy on both sides, and one measurement in it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from basics.spans import Span
from basics.times import END_OF_TIME
from influx.influxql import Location, Policy
from influx.written import Refusal
from settings.keys import FieldRules


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
    source_types: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    """The same at the source, of all measurements, wanted or not."""
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
    there: int | None = None
    """The newest time at which the destination had one of its fields before this run; None: nowhere, or not asked.

    Up to there points are written over others, which answer when a request is looked for.
    """
    refusals: tuple[Refusal, ...] = ()
    unstorable: tuple[str, ...] = ()
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
