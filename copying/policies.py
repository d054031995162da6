"""Policies: the retention policies of a database on both sides. What the destination lacks is created."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from basics.spans import Span
from basics.together import both
from copying import rights
from copying.retention import other_settings, shorter
from copying.task import Target
from influx.errors import AccessDenied, NotFound
from influx.influxql import Policy
from influx_client import InfluxClient
from settings.keys import Job

logger = logging.getLogger(__name__)


class Policies:
    """Of one job. It remembers those of the database that was looked at last."""

    def __init__(self, job: Job, source: InfluxClient, destination: InfluxClient) -> None:
        self._job = job
        self._source = source
        self._destination = destination
        self._planned: dict[str, dict[str, Target]] = {}
        self._only_there: dict[str, list[Policy]] = {}

    # ------------------------------------------------------------ both sides of a database

    def prepare(self, name: str, target: str) -> tuple[list[Target], tuple[str, ...]]:
        """Create what is missing at the destination, and look at each retention policy on both sides.

        What may not be created is left out, and comes second, as a problem each. Raises AccessDenied where that
        is the database.
        """
        policies, there = self._both_sides(name, target)
        there, refused = self._create_missing(target, policies, there)
        able = [p for p in policies if p.name not in refused]
        return self._targets(target, able, there), tuple(refused.values())

    def foresee(self, name: str, target: str) -> list[Target]:
        """The same without creating anything: what is missing counts as if it had just been created."""
        return self._targets(target, *self._both_sides(name, target))

    def _both_sides(self, name: str, target: str) -> tuple[tuple[Policy, ...], Mapping[str, Policy]]:
        policies, there = both(lambda: self.at_source(name), lambda: self._there(target))
        self._planned, self._only_there = {}, {name: self._others(policies, there)}  # not of all databases
        return policies, there

    def at_source(self, name: str) -> tuple[Policy, ...]:
        """Those that the job wants. Raises NotFound, which names the databases that are there."""
        try:
            return tuple(filter(self._is_meant, self._source.get_retention_policies(name)))
        except NotFound as error:
            known = ", ".join(self._source.get_databases()) or "none that this user may see"
            raise NotFound(f"{error}; the source has: {known}") from error

    def _is_meant(self, policy: Policy) -> bool:
        return not self._job.policies or policy.name in self._job.policies

    def _there(self, target: str) -> dict[str, Policy]:
        """The destination's policies; none when it lacks the database."""
        if target not in self._destination.get_databases():
            return {}
        return {p.name: p for p in self._destination.get_retention_policies(target)}

    def _create_missing(
        self, target: str, policies: Sequence[Policy], there: Mapping[str, Policy]
    ) -> tuple[Mapping[str, Policy], dict[str, str]]:
        """Create the database and the policies that it lacks. Existing ones are never altered.

        What is there then comes back, and the policies that this user may not create, each with what to do.
        """
        if not there:
            self._create_database(target, next((p for p in policies if p.is_default), None))
            there = self._there(target)
        refused: dict[str, str] = {}
        for policy in policies:
            if policy.name in there:
                continue
            try:
                self._destination.create_retention_policy(target, policy)
                logger.info("created retention policy %s.%s", target, policy.name)
            except AccessDenied:
                refused[policy.name] = rights.missing_policy(self._job, target, policy)
        lacked = {policy.name for policy in policies} - there.keys() - refused.keys()
        return (self._there(target) if lacked else there), refused

    def _create_database(self, target: str, default: Policy | None) -> None:
        try:
            self._destination.create_database(target, default)
        except AccessDenied as error:
            raise error.reworded(rights.missing_database(self._job, target, default)) from error
        logger.info("created database %s", target)

    # ------------------------------------------------------------ one policy on both sides

    def _targets(self, target: str, policies: Sequence[Policy], there: Mapping[str, Policy]) -> list[Target]:
        return [self._target(target, policy, there.get(policy.name)) for policy in policies]

    def _target(self, target: str, policy: Policy, there: Policy | None) -> Target:
        if there is None:
            return Target(target, policy, policy, None, (), {}, is_new=True)
        if there.keeps_less_than(policy):
            logger.warning("%s", shorter(target, there, policy))
        groups, fields = both(
            lambda: self._groups(self._destination, target, policy),
            lambda: self._destination.get_field_keys(target, policy.name),
        )
        found = Target(target, policy, there, None, groups, fields)
        for difference in other_settings(found):
            logger.warning("%s", difference)
        return found

    def groups_at_source(self, database: str, policy: Policy) -> tuple[Span, ...] | None:
        """The source's shard groups of a policy; None where this user may not see them."""
        return self._groups(self._source, database, policy)

    def _groups(self, client: InfluxClient, database: str, policy: Policy) -> tuple[Span, ...] | None:
        try:
            return client.get_shard_groups(database, policy.name)
        except AccessDenied:
            logger.info("%s: no right to see shard groups; assuming the policy's shard duration", client.name)
            return None

    def refreshed(self, database: str, target: Target) -> Target:
        """The policy as both servers show it now."""
        return replace(
            self._target(target.database, target.source, target.destination),
            groups=self.groups_at_source(database, target.source),
        )

    # ------------------------------------------------------------ what only the destination has

    def foreign(self, name: str, target: str) -> list[Target]:
        """The retention policies that only the destination has."""
        others = self._others(self.at_source(name), self._there(target))
        return [replace(self._target(target, p, p), groups=(), is_foreign=True) for p in others]

    def _others(self, policies: Sequence[Policy], there: Mapping[str, Policy]) -> list[Policy]:
        known = {policy.name for policy in policies}
        return [p for p in filter(self._is_meant, there.values()) if p.name not in known]

    def remember(self, database: str, planned: Target) -> None:
        """A policy as it was planned."""
        self._planned.setdefault(database, {})[planned.source.name] = planned

    def with_foreign(self, name: str, target: str) -> list[Target]:
        """The policies of the database that was looked at last, as they were planned, and its foreign ones.

        Of these nothing but the fields is known.
        """
        fields = [(p, self._destination.get_field_keys(target, p.name)) for p in self._only_there.get(name, ())]
        others = [Target(target, p, p, (), None, types, is_foreign=True) for p, types in fields]
        return [*self._planned.get(name, {}).values(), *others]
