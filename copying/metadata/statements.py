"""Saved metadata as InfluxQL: one text that a server runs as it stands, and that people can read. Pure."""

from collections.abc import Iterator

from basics.text import printable
from copying.metadata.snapshot import KINDS, NOUNS, SavedMetadata
from influx import influxql


def script(saved: SavedMetadata) -> str:
    """All statements, in an order in which they can be run."""
    lines = [_comment(f"Database {saved.database}, without its points. InfluxDB runs this file as it stands:")]
    lines.append(_comment("curl -XPOST 'http://localhost:8086/query' --data-urlencode 'q@FILE'"))
    missing = [NOUNS[kind] for kind in KINDS if getattr(saved, kind) is None]
    if missing:
        lines.append(_comment(f"Not saved: {', '.join(missing)}."))
    return "\n".join((*lines, *_statements(saved))) + "\n"


def _statements(saved: SavedMetadata) -> Iterator[str]:
    database = saved.database
    policies = saved.policies or ()
    default = next((policy for policy in policies if policy.is_default), None)
    yield f"{influxql.create_database(database, default)};"
    for policy in policies:
        if policy != default:
            yield f"{influxql.create_retention_policy(database, policy)};"
    for query in saved.queries or ():
        yield f"{query.text};"
    for s in saved.subscriptions or ():
        yield f"{influxql.create_subscription(database, s.policy, s.name, s.mode, s.destinations)};"
    if saved.users:
        yield _comment("No server tells the passwords of its users: choose new ones.")
    for user in saved.users or ():
        yield _comment(f"{influxql.create_user(user.name, '...', is_admin=user.is_admin)};")
    for grant in saved.grants or ():
        yield f"{influxql.grant(grant.privilege, database, grant.user)};"


def _comment(text: str) -> str:
    return f"-- {printable(text)}"
