"""Results of a run as small frozen values, and the summary table that is printed from them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from influxql import printable


@dataclass(frozen=True, slots=True)
class Refusal:
    """Points that the destination could not keep as they are, so they are never sent."""

    name: str
    reason: str
    points: int
    remedy: str = "rename it at the source"


@dataclass(frozen=True, slots=True)
class PutAside:
    """Lines that the destination refused, and that are in the quarantine file instead, with its (first) answer."""

    file: str
    answer: str
    lines: int


@dataclass(frozen=True, slots=True)
class Written:
    """What a write brought about: acknowledged points, field values and line protocol bytes.

    `expired` points were older than the retention policy allows; `refusals` were never sent; what was `put_aside`
    was refused.
    """

    points: int = 0
    values: int = 0
    bytes: int = 0
    expired: int = 0
    refusals: tuple[Refusal, ...] = ()
    put_aside: tuple[PutAside, ...] = ()

    def __add__(self, other: "Written") -> "Written":
        return Written(
            self.points + other.points,
            self.values + other.values,
            self.bytes + other.bytes,
            self.expired + other.expired,
            (*self.refusals, *other.refusals),
            _by_file((*self.put_aside, *other.put_aside)),
        )

    @property
    def quarantined(self) -> int:
        """How many lines the destination refused."""
        return sum(part.lines for part in self.put_aside)


def _by_file(parts: Iterable[PutAside]) -> tuple[PutAside, ...]:
    totals: dict[str, PutAside] = {}
    for part in parts:
        first = totals.get(part.file)
        totals[part.file] = replace(first, lines=first.lines + part.lines) if first else part
    return tuple(totals.values())


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

    def __add__(self, other: "MeasurementResult") -> "MeasurementResult":
        return MeasurementResult(
            self.name,
            self.written + other.written,
            tuple(dict.fromkeys((*self.problems, *other.problems))),
            is_whole=self.is_whole and other.is_whole,
            late=self.late + other.late,
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


def summary(results: Sequence[JobResult]) -> str:
    """The table of all jobs, then one line for each failure.

    Points are lines written, values are field values, bytes are line protocol before compression. What was
    quarantined or had expired has columns only where there is any.
    """
    lost = any(r.written.quarantined or r.written.expired for r in results)
    losses = ("quarantined", "expired") if lost else ()
    headings = ("job", "databases", "measurements", "points", "values", *losses, "bytes", "seconds", "result")
    rows = [headings, *(_row(r, losses=lost) for r in results)]
    lines = aligned(ruled(rows))
    lines += [printable(f"FAILED {r.job}: {failure}") for r in results for failure in r.failures]
    return "\n".join(lines)


def as_json(results: Sequence[JobResult], invalid: Mapping[str, str]) -> dict[str, object]:
    """The same as one document, with every measurement. Keys are only ever added.

    `result` is `ok`, `FAILED` or `stopped`; `invalid` tells what is wrong with files that did not run.
    """
    outcomes = {result.outcome for result in results} | ({"FAILED"} if invalid else set())
    return {
        "result": next((word for word in ("FAILED", "stopped") if word in outcomes), "ok"),
        "jobs": [
            {
                "job": result.job,
                "result": result.outcome,
                "seconds": round(result.seconds, 3),
                **_amounts(result.written),
                "late": result.late,
                "problems": list(result.problems),
                "databases": [
                    {
                        "name": database.name,
                        "problems": list(database.problems),
                        "measurements": [
                            {
                                "name": m.name,
                                **_amounts(m.written),
                                "late": m.late,
                                "problems": list(m.problems),
                            }
                            for m in database.measurements
                        ],
                    }
                    for database in result.databases
                ],
            }
            for result in results
        ],
        "invalid": dict(invalid),
    }


def _amounts(written: Written) -> dict[str, int]:
    return {
        "points": written.points,
        "values": written.values,
        "bytes": written.bytes,
        "expired": written.expired,
        "quarantined": written.quarantined,
    }


def _row(result: JobResult, *, losses: bool) -> tuple[str, ...]:
    written = result.written
    measurements = sum(len(d.measurements) for d in result.databases)
    lost = (written.quarantined, written.expired) if losses else ()
    numbers = (len(result.databases), measurements, written.points, written.values, *lost)
    return (
        printable(result.job),
        *(f"{n:,}" for n in numbers),
        format_bytes(written.bytes),
        f"{result.seconds:.1f}",
        result.outcome,
    )


def ruled(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The rows of a table with a line of dashes below the first."""
    rule = tuple("-" * max(map(len, column)) for column in zip(*rows, strict=True))
    return [rows[0], rule, *rows[1:]]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines: the first and the last column to the left, numbers between to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    lines = []
    for row in rows:
        sized = enumerate(zip(row, widths, strict=True))
        cells = (cell.ljust(width) if i in (0, last) else cell.rjust(width) for i, (cell, width) in sized)
        lines.append("  ".join(cells).rstrip())
    return lines


def format_bytes(count: float) -> str:
    """`12.3 MB`, in powers of 1000."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if round(count, 1) < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"
