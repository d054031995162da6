"""Looks at a backup and at the target of a restore, and plans it. Changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from basics.patterns import NamePattern, is_selected
from basics.spans import Span
from basics.text import printable
from basics.times import MIN_TIME
from copying.restore import plan as plans
from copying.restore.asked import Asked, Mapped, UnknownName
from copying.restore.backups import Backup, Copier
from copying.restore.plan import Holding, PolicyPlan, RestorePlan
from copying.retention import kept
from influx.counting import Count
from influx.errors import AccessDenied, QueryRefused
from influx.influxql import Location, Policy
from influx_client import InfluxClient
from settings.keys import Job

Fields = Mapping[str, tuple[str, ...]]
"""Field -> its types."""


@dataclass(slots=True)
class Survey:
    """Both sides of a restore. `now` is nanoseconds."""

    job: Job
    backup: Backup
    target: InfluxClient
    asked: Asked
    now: int

    def plan(self, databases: Sequence[Mapped], absent: Sequence[str]) -> RestorePlan:
        """All but the sample. Raises InfluxError, and UnknownName for a retention policy that is nowhere."""
        there = self.target.get_databases()
        known = {d: self.backup.get_retention_policies(d.backup) for d in databases}
        self._check_policies({policy.name for policies in known.values() for policy in policies})
        policies: list[PolicyPlan] = []
        left_out: set[str] = set()
        for database in databases:
            exists = database.target in there
            present = {p.name: p for p in self.target.get_retention_policies(database.target)} if exists else {}
            for policy in known[database]:
                if not self.asked.policies or policy.name in self.asked.policies:
                    found = self._policy(database, policy, present.get(policy.name), left_out)
                    policies += [found] if found.holdings or not self.asked.is_part else []
        queries = [found for d in databases if d.target in there for found in self._queries(d.target)]
        notes = plans.notes(self.job.source.group_by, queries, sorted(map(printable, left_out)), absent)
        return RestorePlan(
            self.job.name,
            self.backup.url,
            self.target.url,
            self.asked.span,
            self.asked.existing,
            tuple(databases),
            frozenset(d.target for d in databases if d.target not in there),
            tuple(policies),
            notes=(*notes, *self._differences(policies)),
        )

    def _check_policies(self, known: set[str]) -> None:
        for name in self.asked.policies:
            if name not in known:
                shown = ", ".join(map(printable, sorted(known))) or "none"
                raise UnknownName(f"retention policy {printable(name)!r} is not in the backup; it holds: {shown}")

    def _policy(self, database: Mapped, policy: Policy, there: Policy | None, left_out: set[str]) -> PolicyPlan:
        fields = self.backup.get_field_keys(database.backup, policy.name)
        patterns = tuple(map(NamePattern, self.asked.measurements))
        meant = {m: types for m, types in sorted(fields.items()) if is_selected(m, patterns, ())}
        wanted = {m: types for m, types in meant.items() if self.job.wants(m)}
        left_out |= meant.keys() - wanted.keys()
        place = Location(database.backup, policy.name, "")
        counts = self._counts(place, wanted, self.asked.span)
        wanted = {m: types for m, types in wanted.items() if any(counts[m].values())}
        first, newest = (self._edges(self.backup, edge, place, wanted) for edge in ("first", "last"))
        occupied = {} if there is None else self._occupied(database, policy, wanted)
        holdings = tuple(
            Holding(
                measurement,
                max(counts[measurement].values()),
                sum(counts[measurement].values()),
                first.get(measurement),
                newest.get(measurement),
                occupied.get(measurement),
            )
            for measurement in wanted
        )
        dropped = self._dropped(place, wanted, there or policy)
        return PolicyPlan(database, policy, there, holdings, dropped)

    def _counts(self, place: Location, wanted: Mapping[str, Fields], span: Span) -> dict[str, dict[str, int]]:
        asked = [Count(replace(place, measurement=m), types, span) for m, types in wanted.items()]
        return dict(zip(wanted, self.backup.count_many(asked), strict=True))

    def _dropped(self, place: Location, wanted: Mapping[str, Fields], there: Policy) -> int:
        """How many values are older than the target's policy keeps."""
        span = self.asked.span.clip(MIN_TIME, self.now - there.duration)
        if not there.duration or span.length <= 0:
            return 0
        return sum(sum(counts.values()) for counts in self._counts(place, wanted, span).values())

    def _occupied(self, database: Mapped, policy: Policy, wanted: Mapping[str, Fields]) -> dict[str, int]:
        """The measurements that the target has points of in the range: the newest of them."""
        fields = self.target.get_field_keys(database.target, policy.name)
        there = {m: fields[m] for m in wanted if m in fields}
        return self._edges(self.target, "last", Location(database.target, policy.name, ""), there)

    def _edges(self, server: Backup, edge: str, place: Location, fields: Mapping[str, Fields]) -> dict[str, int]:
        span = self.asked.span
        asked = [(replace(place, measurement=m), f, t) for m, types in fields.items() for f, t in types.items()]
        times = server.get_edges(edge, asked, start=span.start, end=span.end, unknowable=span.start)
        found: dict[str, int] = {}
        best = max if edge == "last" else min
        for (location, _, _), time in zip(asked, times, strict=True):
            if time is not None:
                found[location.measurement] = best(time, found.get(location.measurement, time))
        return found

    def _queries(self, database: str) -> list[tuple[str, str]]:
        """The continuous queries of a database of the target, where they may run: database, name."""
        try:
            found = self.target.catalog.get_continuous_queries(database)
        except AccessDenied:
            return []
        runs = self.target.catalog.runs_continuous_queries() if found else False
        return [(database, query.name) for query in found] if runs is not False else []

    def _differences(self, policies: Sequence[PolicyPlan]) -> Iterator[str]:
        for policy in policies:
            here, there = policy.policy, policy.there
            if there is not None and there.keeps_less_than(here):
                name = printable(f"{policy.database.target}.{there.name}")
                yield (
                    f"retention policy {name} keeps points for {kept(there)} at the target, but for {kept(here)} "
                    "in the backup; alter it first if older points are to come back"
                )


def sampled(plan: RestorePlan, backup: Backup, copier: Copier) -> RestorePlan:
    """The plan with the speed of the first page of the largest measurement. Raises InfluxError."""
    found = [(holding, policy) for policy in plan.policies for holding in policy.holdings]
    if not found:
        return plan
    holding, policy = max(found, key=lambda pair: pair[0].values)
    location = Location(policy.database.backup, policy.policy.name, holding.measurement)
    types = backup.get_field_keys(location.database, location.policy)[location.measurement]
    try:
        return replace(plan, sample=copier.sample(location, types))
    except QueryRefused:  # the restore itself says why
        return plan


def with_defaults(plan: RestorePlan, target: InfluxClient) -> RestorePlan:
    """The plan of whole databases with the default policies that their targets lack. Raises InfluxError."""
    defaults = []
    for database in plan.databases:
        if database.target in plan.new:
            continue
        now = next((p.name for p in target.get_retention_policies(database.target) if p.is_default), None)
        wanted = next(
            (p.policy.name for p in plan.policies if p.database == database and p.policy.is_default), now
        )
        if wanted is not None and wanted != now:
            defaults.append((database.target, wanted))
    return replace(plan, defaults=tuple(defaults))
