"""The tables of a job's page. A column is written once: its heading, and what stands in its cells. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote

from basics.humanize import counted, exactly, format_bytes, lasting, took
from basics.text import printable
from watching.events import MeasurementState, RunRecord
from watching.repeats import once
from watching.state import JobState

NONE = "\N{EN DASH}"
"""Stands in a cell for nothing."""

MOST_ROWS = 500
"""Of the table of measurements: those that failed and those under way come first."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column: its heading, and the text of its cell for what a row is about, at a time `now` (nanoseconds)."""

    heading: str
    cell: Callable[[T, int], str]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table, and errors to show below it."""

    key: str
    name: str
    tone: str
    condition: str
    cells: tuple[str, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """What a table shows: `first` heads the names of the rows, `headings` their cells."""

    label: str
    first: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    hidden: int = 0
    """How many more rows there are."""


MEASUREMENT_COLUMNS: Sequence[Column[MeasurementState]] = (
    Column("Points", lambda m, _: f"{m.points:,}"),
    Column("Values", lambda m, _: f"{m.values:,}"),
    Column("Late values", lambda m, _: f"{m.late:,}"),
    Column("Points in all", lambda m, _: f"{m.all_points:,}"),
    Column("Copied until", lambda m, _: NONE if m.newest is None else exactly(m.newest)),
    Column("Lag", lambda m, now: NONE if m.newest is None else lasting((now - m.newest) / 1e9)),
    Column("Took", lambda m, _: took(m.seconds) if m.seconds else NONE),
)

RUN_COLUMNS: Sequence[Column[RunRecord]] = (
    Column("Took", lambda run, _: took(run.seconds)),
    Column("Points", lambda run, _: f"{run.amounts.points:,}"),
    Column("Values", lambda run, _: f"{run.amounts.values:,}"),
    Column("Bytes", lambda run, _: format_bytes(run.amounts.bytes)),
    Column("Late values", lambda run, _: f"{run.amounts.late:,}"),
    Column("Retries", lambda run, _: f"{run.amounts.retries:,}"),
    Column("Quarantined", lambda run, _: f"{run.amounts.quarantined:,}"),
    Column("Expired", lambda run, _: f"{run.amounts.expired:,}"),
)

_PHASES = {"failed": ("bad", 0), "copying": ("busy", 1), "stopped": ("quiet", 2), "planned": ("quiet", 3)}


def measurement_table(job: JobState, now: int) -> Table:
    """The measurements, those that need attention first."""
    ordered = sorted(job.measurements.values(), key=lambda m: (_PHASES.get(m.phase, ("", 4))[1], m.key))
    rows = (_measurement_row(m, now) for m in ordered[:MOST_ROWS])
    hidden = max(0, len(ordered) - MOST_ROWS)
    return Table("Measurements", "Measurement", _headings(MEASUREMENT_COLUMNS), tuple(rows), hidden)


def run_table(job: JobState, now: int) -> Table:
    """The last runs, newest first."""
    newest_first = tuple(reversed(job.history))
    rows = (_run_row(run, now, above) for run, above in zip(newest_first, (None, *newest_first), strict=False))
    return Table("Runs", "Started", _headings(RUN_COLUMNS), tuple(rows))


def _headings(columns: Iterable[Column[T]]) -> tuple[str, ...]:
    return tuple(column.heading for column in columns)


def _cells(columns: Iterable[Column[T]], about: T, now: int) -> tuple[str, ...]:
    return tuple(column.cell(about, now) for column in columns)


def _measurement_row(m: MeasurementState, now: int) -> Row:
    share = f", {m.covered * 100 // m.span} %" if m.phase == "copying" and m.span else ""
    return Row(
        key="m-" + quote("/".join(m.key).encode("utf-8", "surrogateescape"), safe=""),
        name=printable(".".join(m.key)),
        tone=_PHASES.get(m.phase, ("good", 0))[0],
        condition=m.phase + share,
        cells=_cells(MEASUREMENT_COLUMNS, m, now),
        problems=tuple(map(printable, m.problems)),
    )


def _run_row(run: RunRecord, now: int, above: RunRecord | None) -> Row:
    """With its errors, but for those that stand in the row above it, too."""
    tones = {"ok": "wait" if run.warned else "good", "FAILED": "bad"}
    texts = run.failures or run.warnings
    if texts and above and texts == (above.failures or above.warnings):
        return _row_of(run, now, tones.get(run.outcome, "quiet"), ("the same as above",))
    shown = tuple("\n".join(map(printable, text.splitlines())) for text in once(texts)[:1])
    rest = max(run.amounts.failures if run.failures else run.warned, len(texts)) - _told(texts)
    more = (f"and {rest:,} more",) if rest > 0 and shown else ()
    return _row_of(run, now, tones.get(run.outcome, "quiet"), (*shown, *more))


def _told(texts: Sequence[str]) -> int:
    """For how many of them the first stands."""
    return [len(once([texts[0], text])) for text in texts].count(1)


def _row_of(run: RunRecord, now: int, tone: str, problems: tuple[str, ...]) -> Row:
    return Row(
        key=f"r-{run.started}",
        name=exactly(run.started),
        tone=tone,
        condition=run.outcome.lower() + (f", {counted(run.warned, 'warning')}" if run.warned else ""),
        cells=_cells(RUN_COLUMNS, run, now),
        problems=problems,
    )
