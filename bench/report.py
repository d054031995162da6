"""What came out: a table, JSON, and a plot for each case."""

import dataclasses
import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MB = 1e6
REFERENCE_ARM = "SELECT INTO"


class NotMeasuredError(LookupError):
    """That case was not run, not in that size, or it has no such number."""


@dataclass(frozen=True)
class Record:
    """All runs of one arm of a case, in one size."""

    case: str
    size: float
    arm: str
    rows: int
    values: int
    runs: tuple[Mapping[str, float], ...]

    def numbers(self, name: str) -> list[float]:
        """The number of each run that has it."""
        return [run[name] for run in self.runs if name in run]

    def median(self, name: str) -> float:
        """The median of a number. Raises NotMeasuredError."""
        return statistics.median(self._measured(name))

    def highest(self, name: str) -> float:
        """The largest of a number. Raises NotMeasuredError."""
        return max(self._measured(name))

    def _measured(self, name: str) -> list[float]:
        found = self.numbers(name)
        if not found:
            raise NotMeasuredError(f"{self.case}, {self.arm}: {name}")
        return found

    @property
    def values_per_second(self) -> float:
        """Field values for each second of the median."""
        return self.values / self.median("seconds")


@dataclass(frozen=True)
class Results:
    """All records, and what they were made on."""

    records: Sequence[Record]
    machine: Mapping[str, Any]

    def record(self, case: str, arm: str, size: float = 1) -> Record:
        """The one record. Raises NotMeasuredError."""
        for record in self.records:
            if (record.case, record.arm, record.size) == (case, arm, size):
                return record
        raise NotMeasuredError(f"{case}, {arm}, x {size:g}")

    def ratio(self, case: str, arm: str, other: str, size: float = 1) -> float:
        """The wall time of an arm to that of another in the same turn: the median of all turns."""
        return statistics.median(ratios(self.record(case, arm, size), self.record(case, other, size)))

    def highest(self, name: str) -> float:
        """The largest number of all runs. Raises NotMeasuredError."""
        found = [number for record in self.records for number in record.numbers(name)]
        if not found:
            raise NotMeasuredError(name)
        return max(found)


def ratios(record: Record, other: Record) -> list[float]:
    """Wall times to those of the other arm, turn by turn."""
    return [a / b for a, b in zip(record.numbers("seconds"), other.numbers("seconds"), strict=True)]


@dataclass(frozen=True)
class Target:
    """A number that should be at most (or at least) so large."""

    text: str
    limit: float
    value: Callable[[Results], float]
    at_least: bool = False

    def verdict(self, results: Results) -> "Verdict":
        """How the results stand to it."""
        try:
            value = self.value(results)
        except NotMeasuredError:
            return Verdict(self, None)
        return Verdict(self, value)


@dataclass(frozen=True)
class Verdict:
    """A target with the number that was measured, None if it was not."""

    target: Target
    value: float | None

    @property
    def word(self) -> str:
        """met, MISSED or not measured."""
        if self.value is None:
            return "not measured"
        met = self.value >= self.target.limit if self.target.at_least else self.value <= self.target.limit
        return "met" if met else "MISSED"


# ---- the tables


def _spread(numbers: Sequence[float], digits: int = 2) -> str:
    """`median (lowest-highest)`, or the one number."""
    if not numbers:
        return ""
    low, high = (f"{number:,.{digits}f}" for number in (min(numbers), max(numbers)))
    middle = f"{statistics.median(numbers):,.{digits}f}"
    return middle if low == high else f"{middle} ({low}-{high})"


def _columns(record: Record, reference: Record | None) -> dict[str, str]:
    seconds = record.numbers("seconds")
    million = record.values / 1e6
    return {
        "size": f"x {record.size:g}",
        "arm": record.arm,
        "rows": f"{record.rows:,}" if record.rows else "",
        "rows/s": _spread([record.rows / second for second in seconds], 0) if record.rows else "",
        "values/s": _spread([record.values / second for second in seconds], 0) if record.rows else "",
        "seconds": _spread(seconds),
        "/ SELECT INTO": _spread(ratios(record, reference)) if reference and reference is not record else "",
        "CPU s": "" if million else _spread(record.numbers("cpu")),
        "CPU s/M values": _spread([cpu / million for cpu in record.numbers("cpu")]) if million else "",
        "peak MB": _spread([peak / MB for peak in record.numbers("peak")], 0),
        "PSS MB": _spread([size / MB for size in record.numbers("pss")], 0),
        "page s": _spread(record.numbers("page")),
        "metrics s": _spread(record.numbers("metrics")),
        "SIGHUP s": _spread(record.numbers("SIGHUP")),
        "file MB": _spread([size / MB for size in record.numbers("file")], 0),
        "queries": _spread(record.numbers("queries"), 0),
        "writes": _spread(record.numbers("writes"), 0),
        "servers' CPU s": _spread(record.numbers("servers"), 1),
        "others, cores": _spread(record.numbers("others"), 1),
    }


def case_table(records: Sequence[Record]) -> str:
    """A case as a table: a line for each size and arm; columns without content are left out."""
    into = {record.size: record for record in records if record.arm == REFERENCE_ARM}
    return table([_columns(record, into.get(record.size)) for record in records])


def target_table(verdicts: Iterable[Verdict]) -> str:
    """The targets, each with what was measured."""
    return table(
        [
            {
                "target": verdict.target.text,
                "limit": f"{'>=' if verdict.target.at_least else '<='} {verdict.target.limit:g}",
                "measured": "" if verdict.value is None else f"{verdict.value:,.2f}",
                "": verdict.word,
            }
            for verdict in verdicts
        ]
    )


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows with the same keys, aligned; text left, numbers right."""
    names = [name for name in rows[0] if any(row[name] for row in rows)] if rows else []
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    left = {"size", "arm", "target", ""}

    def line(row: Mapping[str, str]) -> str:
        cells = (row[n].ljust(widths[n]) if n in left else row[n].rjust(widths[n]) for n in names)
        return "  ".join(cells).rstrip()

    return "\n".join([line({name: name for name in names}), *map(line, rows)])


# ---- files


def to_json(results: Results, verdicts: Sequence[Verdict]) -> str:
    """Everything that was measured."""
    targets = [
        {"target": v.target.text, "limit": v.target.limit, "measured": v.value, "verdict": v.word}
        for v in verdicts
    ]
    records = [dataclasses.asdict(record) for record in results.records]
    return json.dumps({"machine": dict(results.machine), "targets": targets, "records": records}, indent=1) + "\n"


def from_json(text: str) -> Results:
    """The results in such a file."""
    found = json.loads(text)
    records = [Record(**{**record, "runs": tuple(record["runs"])}) for record in found["records"]]
    return Results(records, found["machine"])


def plot(records: Sequence[Record], path: Path) -> None:
    """Time and memory of a case against its size, as SVG. matplotlib is needed for nothing else."""
    import matplotlib as mpl  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none"})
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(records[0].case)
    for axes, (name, unit, label) in zip(
        figure.subplots(1, 2), (("seconds", 1.0, "seconds"), ("peak", MB, "peak memory, MB")), strict=True
    ):
        for arm in dict.fromkeys(record.arm for record in records if record.numbers(name)):
            points = sorted((r.rows, [n / unit for n in r.numbers(name)]) for r in records if r.arm == arm)
            middles = [statistics.median(numbers) for _, numbers in points]
            spreads = [
                [m - min(n) for m, (_, n) in zip(middles, points, strict=True)],
                [max(n) - m for m, (_, n) in zip(middles, points, strict=True)],
            ]
            axes.errorbar([rows for rows, _ in points], middles, spreads, marker="o", capsize=3, label=arm)
        axes.set(xlabel="rows", ylabel=label, ylim=(0, None), xlim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})
