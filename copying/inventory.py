"""What there is before a run: whether the job's rules match anything, and what only the destination still has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from basics.humanize import counted
from basics.patterns import NamePattern, is_selected
from basics.spans import Span, describe
from basics.text import printable
from basics.times import END_OF_TIME
from basics.together import both
from copying.planner import Planner
from copying.retention import comparable_since
from copying.selection import NUMERIC, allowed_types, field_rules, get_fields_to_backup
from copying.task import Target
from influx.errors import InfluxError
from influx.influxql import Location
from influx_client import InfluxClient
from settings.keys import FieldRules, Job, MeasurementRules

FieldThere = tuple[Location, str, tuple[str, ...]]
"""A field of a measurement at the destination, with its types."""

Fields = Mapping[str, tuple[str, ...]]
"""Field -> its types."""

NAMES_SHOWN = 5

TOGETHER = 100
"""Of how many fields is asked at once whether there are values."""


@dataclass(frozen=True, slots=True)
class DatabaseInventory:
    """The measurements of a database at the source, and of its copy."""

    name: str
    measurements: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    """Those at the destination."""
    fields: Mapping[str, Fields] = field(default_factory=dict)
    """Of the measurements at the source, where the job has rules for fields."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """All databases of a job, and the databases of the destination that no database of the source is copied to."""

    databases: tuple[DatabaseInventory, ...] = ()
    orphans: tuple[str, ...] = ()
    is_whole: bool = True
    """Whether everything could be looked at: else nothing is said of rules that match nothing."""

    def of(self, name: str) -> tuple[DatabaseInventory, ...]:
        """The database of that name; nothing where it could not be looked at."""
        return tuple(database for database in self.databases if database.name == name)


def take_inventory(job: Job, source: InfluxClient, destination: InfluxClient | None = None) -> Inventory:
    """What there is now. What cannot be looked at is left out: the run itself says why.

    Without a destination, of the source alone.
    """
    listed = tuple(mapping.name for mapping in job.source.databases)
    known, there = both(source.get_databases, lambda: destination.get_databases() if destination else ())
    names = listed or known
    found: list[DatabaseInventory] = []
    is_whole = set(names) <= set(known)
    for name in (name for name in names if name in known):
        try:
            found.append(_database(job, name, source, destination, there))
        except InfluxError as error:
            is_whole = False
            if error.retryable:
                break
    orphans = () if listed else _orphans(job, names, there)
    return Inventory(tuple(found), orphans, is_whole)


def _database(
    job: Job, name: str, source: InfluxClient, destination: InfluxClient | None, there: Sequence[str]
) -> DatabaseInventory:
    target = job.source.destination_name(name)
    measurements, copied = both(
        lambda: source.get_measurements(name),
        lambda: destination.get_measurements(target) if destination and target in there else (),
    )
    fields = _fields(source, name) if job.measurements.specific else {}
    return DatabaseInventory(name, measurements, copied, fields)


def _fields(source: InfluxClient, database: str) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for policy in source.get_retention_policies(database):
        for measurement, fields in source.get_field_keys(database, policy.name).items():
            known = found.setdefault(measurement, {})
            known.update({name: (*known.get(name, ()), *types) for name, types in fields.items()})
    return found


def _orphans(job: Job, names: Iterable[str], there: Iterable[str]) -> tuple[str, ...]:
    """The databases that could be copies, by their names, of databases that the source does not have."""
    prefix, suffix = job.source.prefix, job.source.suffix
    targets = {job.source.destination_name(name) for name in names}
    could_be = (d for d in there if d.startswith(prefix) and d.endswith(suffix) and len(d) > len(prefix + suffix))
    return tuple(sorted(d for d in could_be if d not in targets))


def find_lost(
    job: Job, database: DatabaseInventory, planner: Planner, destination: InfluxClient, now: int
) -> tuple[str, ...]:
    """What to say of policies, measurements and fields that only the destination has; nothing in a restore.

    Its policies were planned before. Where it shows such, it is asked whether it holds values of them that the
    source should still have; a policy or field of which it holds none is nothing to warn of.
    """
    if job.restores:
        return ()
    try:
        targets = planner.policies.with_foreign(database.name, job.source.destination_name(database.name))
        held = [(target, _held(job, database, destination, target, now)) for target in targets]
    except InfluxError as error:
        return (f"database {printable(database.name)}: what only the destination holds is not known: {error}",)
    return lost_in_policies(job, database, held)


def _held(
    job: Job, database: DatabaseInventory, destination: InfluxClient, target: Target, now: int
) -> list[FieldThere]:
    """The fields that only the destination has values of; of a whole policy no more than it takes to know that."""
    asked = only_there(job, target)
    if not target.is_foreign:  # of measurements that no policy of the source has is told without that
        asked = [field for field in asked if field[0].measurement in database.measurements]
    limits = job.options.range
    span = Span(comparable_since(target, now), END_OF_TIME)
    span = span.clip(limits.start, limits.end) if limits else span
    if not asked or span.length <= 0:
        return []
    found: list[FieldThere] = []
    for first in range(0, len(asked), TOGETHER):
        part = asked[first : first + TOGETHER]
        newest = destination.get_edges("last", part, start=span.start, end=span.end, unknowable=span.start)
        found += [field for field, time in zip(part, newest, strict=True) if time is not None]
        if found and target.is_foreign:
            break
    return found


# ---------------------------------------------------------------- what it says, pure


def emptiness(job: Job, inventory: Inventory) -> str:
    """Why there is nothing at all to copy; empty when there is something, when that may be, or is not known."""
    if job.options.allow_empty or not inventory.is_whole:
        return ""
    remedy = "correct that, or set options.allow_empty: true if it may be so"
    if not inventory.databases:
        return f"nothing to copy: {job.source.url} shows this user no database but _internal; {remedy}"
    if any(map(job.wants, (m for database in inventory.databases for m in database.measurements))):
        return ""
    names = shown([database.name for database in inventory.databases])
    if not any(database.measurements for database in inventory.databases):
        return f"nothing to copy: {names} at {job.source.url} holds no measurement; {remedy}"
    return f"nothing to copy: measurements.include and .exclude leave no measurement of {names}; {remedy}"


def selected(rules: MeasurementRules, measurements: Iterable[str]) -> list[str]:
    """Those that the rules select."""
    return [m for m in measurements if is_selected(m, rules.include, rules.exclude)]


def empty_database(job: Job, database: DatabaseInventory) -> str:
    """What to say of a database of which nothing is copied, beside others; empty when something is."""
    if job.options.allow_empty or any(map(job.wants, database.measurements)):
        return ""
    which = "that the rules select" if database.measurements else f"at {job.source.url}"
    return f"database {printable(database.name)}: no measurement {which}; nothing of it is copied"


def no_points(job: Job, database: str, measurements: int) -> str:
    """What to say of a database that shows measurements, when no point of them was met; empty when that may be so.

    Means are only of whole windows, and who restores compares what there is.
    """
    if job.options.allow_empty or job.restores or job.source.group_by is not None or not measurements:
        return ""
    limits = job.options.range
    where = f"in {describe(Span(limits.start, limits.end))}" if limits else "where this run reads"
    found = f"{counted(measurements, 'measurement')} to copy, and not one point {where}"
    return f"database {printable(database)}: {found}; nothing of it is copied"


def lost_databases(job: Job, inventory: Inventory) -> str:
    """What to say of databases that only the destination has; empty when there are none."""
    if not inventory.orphans:
        return ""
    return (
        f"the destination holds {counted(len(inventory.orphans), 'database')} that {job.source.url} does not show "
        f"this user: {shown(inventory.orphans)}; dropped there, or of another origin: they stay as they are"
    )


def lost_measurements(job: Job, database: DatabaseInventory) -> str:
    """What to say of measurements that only the destination has; empty when there are none, or in a restore."""
    if job.restores:
        return ""
    lost = sorted(set(filter(job.wants, database.copied)) - set(database.measurements))
    if not lost:
        return ""
    return _lost(database.name, job.source.destination_name(database.name), "measurement", lost)


def only_there(job: Job, target: Target) -> list[FieldThere]:
    """The fields that the rules select, and that only the destination shows in a retention policy."""
    found: list[FieldThere] = []
    for measurement, types in sorted(target.written_types.items()):
        more = {f: t for f, t in types.items() if f not in target.source_types.get(measurement, {})}
        if not more or not job.wants(measurement):
            continue
        rules = field_rules(job.measurements, measurement)
        if job.source.group_by is not None and allowed_types(rules).intersection(NUMERIC):  # means are floats
            rules = rules.model_copy(update={"types": (*rules.types, "float") if rules.types else ()})
        place, allowed = Location(target.database, target.destination.name, measurement), allowed_types(rules)
        wanted = get_fields_to_backup(more, rules)
        found += [(place, f, tuple(t for t in kinds if t in allowed)) for f, kinds in wanted.items()]
    return found


def lost_in_policies(
    job: Job, database: DatabaseInventory, held: Sequence[tuple[Target, Sequence[FieldThere]]]
) -> tuple[str, ...]:
    """What to say of policies, and of measurements and fields in one of them, that only the destination has.

    `held`: the fields of which it holds values, but for measurements that no policy of the source has.
    """
    policies = sorted(target.destination.name for target, fields in held if target.is_foreign and fields)
    copy = job.source.destination_name(database.name)
    texts = [_lost(database.name, copy, "policy", policies)] if policies else []
    for target, fields in held:
        if target.is_foreign:
            continue
        place = f"{copy}.{target.destination.name}"
        names = [(at.measurement, name) for at, name, _ in fields]
        gone = sorted({m for m, _ in names if not target.source_types.get(m)})
        less = sorted(f"{m}.{name}" for m, name in names if target.source_types.get(m))
        texts += [
            _lost(database.name, place, what, lost)
            for what, lost in (("measurement", gone), ("field", less))
            if lost
        ]
    return tuple(texts)


def _lost(database: str, place: str, what: str, names: Sequence[str]) -> str:
    return (
        f"database {printable(database)}: the destination's {printable(place)} holds "
        f"{counted(len(names), what)} that the source does not: {shown(names)}; dropped there, or of "
        "another origin: they stay"
    )


def shown(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    text = ", ".join(map(printable, names[:NAMES_SHOWN]))
    return f"{text} and {more:,} more" if more > 0 else text


def unmatched_rules(job: Job, inventory: Inventory) -> tuple[str, ...]:
    """Every rule of the job that matches nothing: its key, its text, and what comes nearest."""
    if not inventory.is_whole or not inventory.databases:
        return ()
    rules = job.measurements
    names = sorted({m for database in inventory.databases for m in database.measurements})
    fields: dict[str, dict[str, tuple[str, ...]]] = {}
    for database in inventory.databases:
        for measurement, found in database.fields.items():
            known = fields.setdefault(measurement, {})
            known.update({name: (*known.get(name, ()), *types) for name, types in found.items()})
    where = shown([database.name for database in inventory.databases])
    return (*_unmatched_measurements(rules, names, where), *_unmatched_specific(rules, names, fields, where))


def _unmatched_measurements(rules: MeasurementRules, names: Sequence[str], where: str) -> Iterator[str]:
    for key, patterns in (("include", rules.include), ("exclude", rules.exclude)):
        yield from _unmatched(f"measurements.{key}", patterns, names, f"measurement of {where}")


def _unmatched_specific(
    rules: MeasurementRules, names: Sequence[str], fields: Mapping[str, Fields], where: str
) -> Iterator[str]:
    wanted = selected(rules, names)
    ruled = {name: rules.rules_key(name) for name in wanted}
    for key, section in rules.specific.items():
        path = f"measurements.specific.{printable(key)}"
        own = [name for name in wanted if ruled[name] == key]
        if own:
            yield from _unmatched_fields(f"{path}.fields", section.fields, [fields.get(name, {}) for name in own])
        elif any(NamePattern(key).matches(name) for name in names):
            yield f"{path}: has no effect: what it matches is left out by other rules, or has rules of its own"
        else:
            yield f"{path}: {_matches_no(key, names, f'measurement of {where}')}"


def _unmatched_fields(path: str, rules: FieldRules, found: Sequence[Fields]) -> Iterator[str]:
    names = sorted({name for fields in found for name in fields})
    for key, patterns in (("include", rules.include), ("exclude", rules.exclude)):
        yield from _unmatched(f"{path}.{key}", patterns, names, "field there")
    types = {
        type_
        for fields in found
        for name, kinds in fields.items()
        if is_selected(name, rules.include, rules.exclude)
        for type_ in kinds
    }
    for type_ in rules.types:
        if not types & allowed_types(FieldRules.model_construct(types=(type_,))):
            yield f"{path}.types: no field there is {type_}; correct or remove it"


def _unmatched(path: str, patterns: Sequence[NamePattern], names: Sequence[str], what: str) -> Iterator[str]:
    for index, pattern in enumerate(patterns):
        if not any(map(pattern.matches, names)):
            yield f"{path}[{index}]: {_matches_no(pattern.text, names, what)}"


def _matches_no(text: str, names: Sequence[str], what: str) -> str:
    near = difflib.get_close_matches(text, names, 1)
    remedy = f"did you mean {printable(near[0])!r}?" if near else "correct or remove it"
    return f"{printable(text)!r} matches no {what}; {remedy}"
