"""What `main.py check` found, as frozen values, as text and as JSON. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from basics.humanize import counted, lasting
from basics.text import printable
from basics.times import SECOND, format_time
from settings.shared import DEFAULTS


@dataclass(frozen=True, slots=True)
class MeasurementPlan:
    """What a run would copy of one measurement: about so many points of `begin` to `until`, nanoseconds."""

    name: str
    fields: int = 0
    points: int = 0
    begin: int | None = None
    until: int | None = None

    @property
    def text(self) -> str:
        """One line."""
        if self.begin is None or self.until is None:
            return f"{self.name}: nothing to copy"
        points = f"about {counted(self.points, 'point')} from {_second(self.begin)} to {_second(self.until)}"
        return f"{self.name}: {counted(self.fields, 'field')}, {points}"


def _second(at: int) -> str:
    """A time as exactly as one wants to read it."""
    return format_time(at - at % SECOND)


@dataclass(frozen=True, slots=True)
class PolicyPlan:
    """A retention policy of a database; `state` says what the destination has of it."""

    name: str
    state: str
    measurements: tuple[MeasurementPlan, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatabasePlan:
    """A database, and what it is called at the destination."""

    name: str
    target: str
    exists: bool
    policies: tuple[PolicyPlan, ...] = ()
    metadata: str = ""
    """What a run would save of it besides points, and where."""

    @property
    def measurements(self) -> tuple[MeasurementPlan, ...]:
        """Those of all policies."""
        return tuple(m for policy in self.policies for m in policy.measurements)

    @property
    def lines(self) -> list[str]:
        """The database, its policies, their measurements."""
        lines = [f"  {self.name} -> {self.target} ({'exists' if self.exists else 'will be created'})"]
        lines += [f"    metadata: {self.metadata}"] if self.metadata else []
        for policy in self.policies:
            lines.append(f"    {policy.name} ({policy.state}): {counted(len(policy.measurements), 'measurement')}")
            lines += (f"    WARNING: {warning}" for warning in policy.warnings)
            lines += (f"      {measurement.text}" for measurement in policy.measurements)
        return lines


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run of a job would do now, what it would warn of, and what would keep it from that."""

    job: str
    file: str
    mode: str
    servers: tuple[str, ...] = ()
    databases: tuple[DatabasePlan, ...] = ()
    seconds: float | None = None
    """How long it would take, roughly; None: there is nothing to judge by."""
    schedule: str = ""
    """Cron text; empty: it runs once."""
    timezone: str = ""
    next_run: datetime | None = None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    inherited: tuple[str, ...] = ()
    """Keys whose values come from what all jobs share."""

    @property
    def measurements(self) -> tuple[MeasurementPlan, ...]:
        """Those of all databases."""
        return tuple(m for database in self.databases for m in database.measurements)

    @property
    def points(self) -> int:
        """About how many would be copied."""
        return sum(m.points for m in self.measurements)

    @property
    def text(self) -> tuple[str, ...]:
        """Everything, problems last; names of the servers' cannot break a line."""
        lines = [f"job {self.job} ({self.file}), {self.mode}", *(f"  {server}" for server in self.servers)]
        lines += [f"  from {DEFAULTS[0]}: {', '.join(self.inherited)}"] if self.inherited else []
        lines += (line for database in self.databases for line in database.lines)
        lines += [f"  in all: {_totals([self])}"] if self.databases else []
        lines += [f"  {self._when}"]
        lines += (f"  WARNING: {warning}" for warning in self.warnings)
        lines += (f"  PROBLEM: {problem}" for problem in self.problems)
        return tuple(map(printable, lines))

    @property
    def _when(self) -> str:
        if self.next_run is None:
            return "runs once, whenever it is started: it has no schedule"
        at = self.next_run.isoformat(timespec="minutes")
        return f"runs on a schedule, {self.schedule}; next run: {at} ({self.timezone})"


def _totals(findings: Sequence[Findings]) -> str:
    """What all of them would copy, and how long that would take."""
    databases = sum(len(found.databases) for found in findings)
    measurements = sum(len(found.measurements) for found in findings)
    points = sum(found.points for found in findings)
    parts = [counted(databases, "database"), counted(measurements, "measurement")]
    parts.append(f"about {counted(points, 'point')}" if points else "nothing to copy")
    longest = max((found.seconds for found in findings if found.seconds is not None), default=None)
    if longest is not None and points:
        parts.append(f"roughly {lasting(max(1.0, longest))}")
    return ", ".join(parts)


def summary(findings: Sequence[Findings], invalid: Mapping[str, str]) -> str:
    """All jobs in a line; empty where one says all of it already."""
    if len(findings) + len(invalid) < 2:
        return ""
    once = sum(found.next_run is None for found in findings)
    planned = len(findings) - once
    parts = [_totals(findings)]
    parts += [f"{once:,} {'runs' if once == 1 else 'run'} once"] * bool(once)
    parts += [f"{planned:,} {'runs' if planned == 1 else 'run'} on a schedule"] * bool(planned)
    problems = sum(len(found.problems) for found in findings)
    parts += [counted(problems, "problem")] * bool(problems)
    parts += [f"{counted(len(invalid), 'file')} invalid"] * bool(invalid)
    return f"{counted(len(findings), 'job')}: {'; '.join(parts)}"


def as_json(findings: Sequence[Findings], invalid: Mapping[str, str]) -> dict[str, object]:
    """The same as one document. Keys are only ever added; times are RFC 3339, `points` are about so many."""
    is_well = not invalid and not any(found.problems for found in findings)
    return {
        "result": "ok" if is_well else "problems",
        "jobs": [
            {
                "job": found.job,
                "file": found.file,
                "mode": found.mode,
                "schedule": found.schedule or None,
                "timezone": found.timezone or None,
                "next_run": found.next_run.isoformat() if found.next_run else None,
                "points": found.points,
                "seconds": None if found.seconds is None else round(found.seconds, 1),
                "inherited": list(found.inherited),
                "problems": list(found.problems),
                "warnings": list(found.warnings),
                "databases": [_database_json(database) for database in found.databases],
            }
            for found in findings
        ],
        "invalid": dict(invalid),
    }


def _database_json(database: DatabasePlan) -> dict[str, object]:
    return {
        "name": database.name,
        "destination": database.target,
        "exists": database.exists,
        "metadata": database.metadata or None,
        "policies": [
            {
                "name": policy.name,
                "state": policy.state,
                "warnings": list(policy.warnings),
                "measurements": [
                    {
                        "name": m.name,
                        "fields": m.fields,
                        "points": m.points,
                        "begin": None if m.begin is None else format_time(m.begin),
                        "until": None if m.until is None else format_time(m.until),
                    }
                    for m in policy.measurements
                ],
            }
            for policy in database.policies
        ],
    }
