"""Creates at the target what a restore needs, and at its end says which retention policy is the default one."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from copying import rights
from copying.restore.plan import PolicyPlan, RestorePlan
from influx.errors import AccessDenied, InfluxError
from influx.influxql import Policy
from influx_client import InfluxClient
from settings.keys import Job

logger = logging.getLogger(__name__)


def missing_rights(plan: RestorePlan, job: Job, target: InfluxClient) -> Iterator[str]:
    """What the user may not do at the target, with what to do about it. `job` is the one turned round."""
    for database in plan.databases:
        policies = [p for p in plan.policies if p.database == database]
        missing = [p.policy for p in policies if p.there is None]
        exists = database.target not in plan.new
        try:
            if exists:
                target.check_write(database.target)
            if missing:
                target.check_admin()
        except AccessDenied as error:
            if not missing:
                yield (
                    f"{database.target} cannot be written by {_user(job)} ({error}): an administrator should "
                    "grant ALL on it, or set RESTORE_USER and RESTORE_PASSWORD to somebody who may"
                )
            elif exists:
                yield from (rights.missing_policy(job, database.target, policy) for policy in missing)
            else:
                yield rights.missing_database(job, database.target, _first_default(policies))


def _user(job: Job) -> str:
    return f"user {job.destination.user!r}" if job.destination.user else "this user"


def create(plan: RestorePlan, target: InfluxClient) -> None:
    """The databases, and the retention policies. Of an existing database the default one stays as it is.

    Raises InfluxError.
    """
    for database in plan.databases:
        policies = [p for p in plan.policies if p.database == database]
        there: set[str] = set()
        if database.target in plan.new and policies:
            default = _first_default(policies)
            target.create_database(database.target, default)
            logger.info("created database %s", database.target)
            there = {p.name for p in target.get_retention_policies(database.target)}
        for policy in policies:
            if policy.there is None and policy.policy.name not in there:
                target.create_retention_policy(database.target, replace(policy.policy, is_default=False))
                logger.info("created retention policy %s.%s", database.target, policy.policy.name)


def _first_default(policies: list[PolicyPlan]) -> Policy | None:
    """The default one of them; a database cannot be without, so else the first."""
    return next((p.policy for p in policies if p.policy.is_default), policies[0].policy if policies else None)


def set_defaults(plan: RestorePlan, target: InfluxClient) -> Iterator[str]:
    """Make policies the default ones, as the plan says; yields what went wrong."""
    for database, policy in plan.defaults:
        try:
            target.catalog.set_default_policy(database, policy)
            logger.info("%s is the default retention policy of %s now", policy, database)
        except InfluxError as error:
            yield f"{policy} is not the default retention policy of {database}: {error}"
