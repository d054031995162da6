"""What an administrator has to do for a user who lacks a right, as the statement to run. Pure."""

from basics.text import printable
from influx import influxql
from influx.influxql import Policy
from settings.keys import Job


def missing_policy(job: Job, target: str, policy: Policy) -> str:
    """What to do about a retention policy that the destination lacks and this user may not create."""
    statement = influxql.create_retention_policy(target, policy)
    return (
        f"retention policy {printable(policy.name)} of {printable(target)} is not at the destination, and "
        f"{_user(job)} may not create it: an administrator of {job.destination.url} should run "
        f"{printable(statement)}; the other policies are copied"
    )


def missing_database(job: Job, target: str, default: Policy | None) -> str:
    """What to do about a database that the destination lacks and this user may not create."""
    statements = [influxql.create_database(target, default)]
    if job.destination.user:
        statements.append(f"GRANT ALL ON {influxql.quote(target)} TO {influxql.quote(job.destination.user)}")
    return (
        f"{printable(target)} is not at the destination (or hidden from this user), and {_user(job)} may not "
        f"create it: an administrator of {job.destination.url} should run {printable('; '.join(statements))}"
    )


def _user(job: Job) -> str:
    return f"user {job.destination.user!r}" if job.destination.user else "this user"
