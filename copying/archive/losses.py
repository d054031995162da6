"""What the snapshot before held, and this one does not, because the source has lost it since. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from basics.humanize import counted
from basics.text import printable
from copying.archive.manifest import DatabaseHeld, Part, PolicyHeld, Snapshot
from copying.inventory import shown
from copying.retention import kept_since
from copying.selection import field_rules, get_fields_to_backup
from settings.keys import Job


def lost(job: Job, before: Snapshot, now: int, held: Iterable[DatabaseHeld]) -> Iterator[str]:
    """What to say of databases, policies and measurements that are gone.

    Not of what the job does not want any more, nor of points that are gone by their retention policy.
    """
    named = {mapping.name for mapping in job.source.databases}
    there = {database.name: {p.policy.name: p for p in database.policies} for database in held}
    for database in before.databases:
        if named and database.name not in named:
            continue
        policies = there.get(database.name)
        gone = {p.policy.name: _gone(job, p, (policies or {}).get(p.policy.name), now) for p in database.policies}
        if policies is None:
            points = sum(gone.values(), Counter[str]())
            yield from _told(f"database {printable(database.name)}", "which is gone", points, before)
            continue
        for name, points in gone.items():
            what = "which are gone" if name in policies else "which is gone"
            yield from _told(f"retention policy {printable(f'{database.name}.{name}')}", what, points, before)


def _gone(job: Job, held: PolicyHeld, there: PolicyHeld | None, now: int) -> Counter[str]:
    """Measurement -> how many points it had, as far as the policy would still keep them."""
    durations = [p.policy.duration for p in (held, there) if p and p.policy.duration]
    known = {part.measurement for group in (there.groups if there else ()) for part in group.parts}
    points: Counter[str] = Counter()
    for group in held.groups:
        if durations and group.span.end <= kept_since(min(durations), now):
            continue
        for part in group.parts:
            if part.measurement not in known and _is_wanted(job, part):
                points[part.measurement] += part.rows
    return points


def _is_wanted(job: Job, part: Part) -> bool:
    types = {name: (kind,) for name, kind in part.fields.items()}
    rules = field_rules(job.measurements, part.measurement)
    return job.wants(part.measurement) and bool(get_fields_to_backup(types, rules))


def _told(place: str, what: str, points: Mapping[str, int], before: Snapshot) -> Iterator[str]:
    if points:
        yield (
            f"{place}: snapshot {before.name} held {counted(len(points), 'measurement')} "
            f"({counted(sum(points.values()), 'point')}) of it, {what} at the source: {shown(sorted(points))}; "
            "snapshots that hold them stay until they are pruned"
        )
