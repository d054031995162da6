"""What became of a run, its databases and measurements, as small frozen values. Pure."""

from dataclasses import dataclass, field

from basics.humanize import format_bytes
from influx.written import Written


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

    def __add__(self, other: "MeasurementResult") -> "MeasurementResult":
        return MeasurementResult(
            self.name,
            self.written + other.written,
            tuple(dict.fromkeys((*self.problems, *other.problems))),
            is_whole=self.is_whole and other.is_whole,
            late=self.late + other.late,
            extra=max(self.extra, other.extra),
        )


@dataclass(frozen=True, slots=True)
class DatabaseResult:
    """What became of one database; `problems` are those that concern it as a whole."""

    name: str
    measurements: tuple[MeasurementResult, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobResult:
    """What became of a run of one job; `problems` are those that concern it as a whole."""

    job: str
    databases: tuple[DatabaseResult, ...] = ()
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    stopped: bool = False

    @property
    def written(self) -> Written:
        """All that was written."""
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
    def sentence(self) -> str:
        """The run in one line, for the log."""
        written, count = self.written, len(self.failures)
        ended = f"{count} failure{'s' if count > 1 else ''}" if count else self.outcome
        late = f", {self.late:,} of them late" if self.late else ""
        return (
            f"run ended: {written.points:,} points, {written.values:,} values{late}, "
            f"{format_bytes(written.bytes)} in {self.seconds:.1f} s: {ended}"
        )
