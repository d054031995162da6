"""What became of a run, its databases and measurements, as small frozen values. Pure."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from basics.humanize import counted, format_bytes
from basics.times import SECOND
from influx.written import Written


@dataclass(frozen=True, slots=True)
class Saved:
    """What a run saved of a database besides points, or an earlier one that saved the same."""

    file: Path
    is_new: bool
    counts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class MeasurementResult:
    """What became of one measurement in one retention policy. `problems` is empty when all of it is there."""

    name: str
    written: Written = field(default_factory=Written)
    problems: tuple[str, ...] = ()
    is_whole: bool = True
    """Whether nothing ended it early."""
    late: int = 0
    """Values that the look-back found missing, and brought."""
    extra: int = 0
    """Values that only the destination has, in the range that was compared; they stay there."""
    warnings: tuple[str, ...] = ()
    """What is not a failure, and not as it should be either."""

    @property
    def cautions(self) -> tuple[str, ...]:
        """Every warning."""
        return (*self.warnings, *((_extra(self.name, self.extra),) if self.extra else ()))

    def __add__(self, other: "MeasurementResult") -> "MeasurementResult":
        return MeasurementResult(
            self.name,
            self.written + other.written,
            tuple(dict.fromkeys((*self.problems, *other.problems))),
            is_whole=self.is_whole and other.is_whole,
            late=self.late + other.late,
            extra=max(self.extra, other.extra),
            warnings=tuple(dict.fromkeys((*self.warnings, *other.warnings))),
        )


def _extra(name: str, count: int) -> str:
    return (
        f"{name}: the destination holds {counted(count, 'value')} that the source lacks: deleted "
        "there, or of another origin; they stay"
    )


@dataclass(frozen=True, slots=True)
class SourceAge:
    """How old a database is at the source itself."""

    name: str
    newest: int | None = None
    """Its newest point, not counting those after now; None: not known, or none."""
    is_stale: bool | None = None
    """Whether that is older than `options.max_lag`; None: the job has none."""


@dataclass(frozen=True, slots=True)
class DatabaseResult:
    """What became of one database; `problems` and `warnings` are those that concern it as a whole."""

    name: str
    measurements: tuple[MeasurementResult, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    age: SourceAge | None = None
    saved: Saved | None = None
    """Where the run saved what the database has besides points; None where it did not."""


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """A snapshot that a run has published in an archive."""

    archive: str
    name: str
    files: int
    bytes: int
    """Of all its files."""
    new_files: int
    """Those that this run wrote; the others are those of snapshots before."""
    new_bytes: int
    points: int
    manifest_bytes: int = 0
    snapshots: int = 0
    """How many the archive has of the job, with this one,"""
    archive_bytes: int = 0
    """and how much all files there take, those of other jobs too."""

    @property
    def sentence(self) -> str:
        """It in one line, for people."""
        new = f"{self.new_files:,} new ({format_bytes(self.new_bytes)})"
        return (
            f"{self.name} in {self.archive}: {counted(self.points, 'point')}, {counted(self.files, 'file')} "
            f"({format_bytes(self.bytes)}), {new}{self._in_all}"
        )

    @property
    def _in_all(self) -> str:
        if not self.snapshots:
            return ""
        return f"; the archive: {counted(self.snapshots, 'snapshot')}, {format_bytes(self.archive_bytes)}"


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of a run of one job; `problems` and `warnings` are those that concern it as a whole."""

    job: str
    databases: tuple[DatabaseResult, ...] = ()
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    stopped: bool = False
    warnings: tuple[str, ...] = ()
    in_quarantine: int = 0
    """How many lines wait in quarantine files."""
    ended: int = 0
    """When, in nanoseconds since 1970, of a job that is to keep up with its source; 0 for any other."""
    snapshot: SnapshotTaken | None = None
    """What it has published in an archive."""

    @property
    def lags(self) -> dict[str, float]:
        """How many seconds each database is behind, as far as it is whole and its newest point is known."""
        return {
            d.name: max(0.0, (self.ended - d.age.newest) / SECOND)
            for d in self.databases
            if self.ended and d.age and d.age.newest is not None and not any(m.problems for m in d.measurements)
        }

    @property
    def written(self) -> Written:
        """All that was written and is new; what the destination had already is not counted."""
        return sum((m.written for d in self.databases for m in d.measurements), Written())

    @property
    def late(self) -> int:
        """Values that were missing at the destination although newer ones were there, and came now."""
        return sum(m.late for d in self.databases for m in d.measurements)

    @property
    def failures(self) -> tuple[str, ...]:
        """Every problem, the widest first."""
        per_database = (p for d in self.databases for p in d.problems)
        per_measurement = (p for d in self.databases for m in d.measurements for p in m.problems)
        return (*self.problems, *per_database, *per_measurement)

    @property
    def extra(self) -> int:
        """Values that only the destination has, in the ranges that were compared."""
        return sum(m.extra for d in self.databases for m in d.measurements)

    @property
    def cautions(self) -> tuple[str, ...]:
        """Every warning, the widest first. They make a run neither fail nor green."""
        per_database = (w for d in self.databases for w in d.warnings)
        per_measurement = (w for d in self.databases for m in d.measurements for w in m.cautions)
        return (*self.warnings, *per_database, *per_measurement)

    @property
    def ages(self) -> tuple[SourceAge, ...]:
        """How old the databases are at the source, as far as it is known."""
        return tuple(d.age for d in self.databases if d.age)

    @property
    def saved(self) -> tuple[Saved, ...]:
        """What the run saved of the databases besides their points."""
        return tuple(d.saved for d in self.databases if d.saved)

    @property
    def succeeded(self) -> bool:
        """Whether everything that the job names is at the destination."""
        return not self.failures

    @property
    def outcome(self) -> str:
        """One word for the table."""
        if not self.succeeded:
            return "FAILED"
        return "stopped" if self.stopped else "ok"

    @property
    def verdict(self) -> str:
        """The outcome, and how many warnings there are."""
        return ", ".join([self.outcome, *_warnings(self.cautions)])

    @property
    def sentence(self) -> str:
        """The run in one line, for the log."""
        written = self.written
        nothing = "nothing new" if self.outcome == "ok" else "nothing copied"
        ended = ", ".join([counted(len(self.failures), "failure"), *_warnings(self.cautions)])
        late = f", {self.late:,} of them late" if self.late else ""
        amounts = ", ".join(
            [
                counted(written.points, "point"),
                f"{counted(written.values, 'value')}{late}",
                format_bytes(written.bytes),
            ]
        )
        return (
            f"run ended: {amounts if written.values else nothing} in {self.seconds:.1f} s: "
            f"{ended if self.failures else self.verdict}"
        )


def with_snapshot(copied: JobResult | None, taken: JobResult) -> JobResult:
    """The result of a run that copied to a server and took a snapshot; without `copied` only the latter."""
    if copied is None:
        return taken
    told = copied.cautions
    return replace(
        copied,
        problems=(*copied.problems, *(f"archive: {problem}" for problem in taken.failures)),
        warnings=(*copied.warnings, *(caution for caution in taken.cautions if caution not in told)),
        seconds=copied.seconds + taken.seconds,
        stopped=copied.stopped or taken.stopped,
        snapshot=taken.snapshot,
    )


def _warnings(cautions: tuple[str, ...]) -> list[str]:
    return [counted(len(cautions), "warning")] * bool(cautions)
