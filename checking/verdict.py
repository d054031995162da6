"""What `main.py verify` found, as frozen values, a table and JSON. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from basics.humanize import counted, worded
from basics.spans import Span
from basics.tables import aligned
from basics.text import printable
from basics.times import END_OF_TIME, MIN_TIME, format_time
from watching.events import Verified, VerifyResult, shortened

EQUAL, DIFFERENT, UNCHECKED = 0, 1, 2
"""Exit codes. A difference that was found outweighs what could not be looked at."""

_EQUAL, _LEFT_OUT = "equal", "left out"

SHOWN = 20
"""How many differences of a measurement the table lists; JSON has them all."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What to compare. Times are nanoseconds; without them all that can be expected to be equal is compared."""

    start: int | None = None
    end: int | None = None
    full: bool = False
    """Every value instead of fingerprints."""
    share: float = 1.0
    """Which part of the windows, chosen at random."""
    seconds: float | None = None
    """For how long at most; windows are taken in random order then."""

    @property
    def is_whole(self) -> bool:
        """Whether everything is compared, from the beginning."""
        return self.start is None and self.share == 1 and self.seconds is None


@dataclass(frozen=True, slots=True)
class Difference:
    """A stretch of time in which the two sides differ, in numbers of field values."""

    span: Span
    fields: tuple[str, ...]
    missing: int = 0
    """Only the source has them."""
    extra: int = 0
    """Only the destination has them."""
    different: int = 0
    """Both have them, with different values or types."""
    at_least: bool = False
    """Whether there may be more of each: there was no time to look closer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One measurement in one retention policy: what was compared, and what differs."""

    name: str
    source: int = 0
    """Values counted there."""
    destination: int = 0
    windows: int = 0
    """How many windows were compared,"""
    of: int = 0
    """and how many there are."""
    differences: tuple[Difference, ...] = ()
    problems: tuple[str, ...] = ()
    """Why some of it could not be compared."""

    @property
    def missing(self) -> int:
        """Values that only the source has."""
        return sum(d.missing for d in self.differences)

    @property
    def extra(self) -> int:
        """Values that only the destination has."""
        return sum(d.extra for d in self.differences)

    @property
    def different(self) -> int:
        """Values that are not the same on both sides."""
        return sum(d.different for d in self.differences)

    @property
    def at_least(self) -> bool:
        """Whether its numbers are bounds."""
        return any(d.at_least for d in self.differences)

    @property
    def word(self) -> str:
        """The result in a word."""
        if self.differences:
            return "DIFFERENT"
        if self.problems:
            return "NOT CHECKED"
        return _EQUAL if self.windows else _LEFT_OUT


@dataclass(frozen=True, slots=True)
class JobVerdict:
    """One job: what was compared between which times, and what kept it from being compared."""

    job: str
    span: Span
    how: str = "fingerprints"
    measurements: tuple[Verdict, ...] = ()
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """What the verdict does not speak of."""
    repaired: int = 0
    """Values that were missing or different before, and are equal now."""

    @property
    def all_problems(self) -> tuple[str, ...]:
        """The job's own, then those of its measurements."""
        return (*self.problems, *(p for m in self.measurements for p in m.problems))

    @property
    def missing(self) -> int:
        """Values that only the source has."""
        return sum(m.missing for m in self.measurements)

    @property
    def extra(self) -> int:
        """Values that only the destination has."""
        return sum(m.extra for m in self.measurements)

    @property
    def different(self) -> int:
        """Values that are not the same on both sides."""
        return sum(m.different for m in self.measurements)

    @property
    def differs(self) -> bool:
        """Whether anything was found that is not equal."""
        return any(m.differences for m in self.measurements)


def unchecked(job: str, problem: str) -> JobVerdict:
    """The verdict on a job that could not be looked at."""
    return JobVerdict(job, Span(MIN_TIME, END_OF_TIME), problems=(problem,))


def exit_code(verdicts: Iterable[JobVerdict]) -> int:
    """0: all that was asked for was compared and is equal. 1: something differs. 2: something was not compared."""
    verdicts = list(verdicts)
    if any(verdict.differs for verdict in verdicts):
        return DIFFERENT
    return UNCHECKED if not verdicts or any(verdict.all_problems for verdict in verdicts) else EQUAL


def as_event(verdict: JobVerdict, at: int) -> Verified:
    """The verdict as the daemon hears of it; `at`: nanoseconds."""
    results: Mapping[int, VerifyResult] = {EQUAL: "equal", DIFFERENT: "differs", UNCHECKED: "could not check"}
    detail = "\n".join((conclusion(verdict), *verdict.all_problems))
    return Verified(
        verdict.job,
        at,
        results[exit_code([verdict])],
        shortened(detail),
        verdict.how,
        missing=verdict.missing,
        extra=verdict.extra,
        different=verdict.different,
        seconds=verdict.seconds,
        start=verdict.span.start,
        end=verdict.span.end,
        is_complete=all(m.windows == m.of for m in verdict.measurements),
    )


_HEADINGS = ("measurement", "source", "destination", "missing", "extra", "different")


def table(verdict: JobVerdict, *, verbose: bool = False) -> str:
    """What is not equal, a line for each measurement and each difference, numbers in field values; then the rest.

    Measurements that are equal are one line together, unless `verbose`.
    """
    shown = [m for m in verdict.measurements if verbose or m.word not in (_EQUAL, _LEFT_OUT)]
    lines = [
        f"{verdict.job}: {verdict.how} from {_moment(verdict.span.start)} to {_moment(verdict.span.end)}, "
        f"{verdict.seconds:.1f} s"
    ]
    in_part = any(m.windows < m.of for m in shown)
    headings = (*_HEADINGS, *("windows",) * in_part, "result")
    rows = [headings, *(_row(m, in_part=in_part) for m in shown)] if shown else []
    lines += [f"  {line}" for line in aligned(rows)]
    lines += [] if verbose else _others(verdict.measurements)
    for measurement in shown:
        lines += [f"  {measurement.name} {_described(d)}" for d in measurement.differences[:SHOWN]]
        hidden = len(measurement.differences) - SHOWN
        others = f"{hidden:,} more {worded(hidden, 'stretch')}"
        lines += [f"  {measurement.name} and {others} of time in which both sides differ"] * (hidden > 0)
    for problem in verdict.all_problems:
        first, *more = problem.split("\n")  # of a file, one below the other
        lines += [f"  NOT CHECKED: {first}", *(f"  {text}" for text in more)]
    lines += [f"  note: {note}" for note in verdict.notes]
    lines.append(f"  {conclusion(verdict)}")
    return "\n".join(map(printable, lines))


def _others(measurements: Sequence[Verdict]) -> list[str]:
    """How many measurements the table does not list, in a line."""
    words = [measurement.word for measurement in measurements]
    left_out = words.count(_LEFT_OUT)
    parts = [f"{words.count(_EQUAL):,} of {counted(len(words), 'measurement')} equal"] * bool(words.count(_EQUAL))
    parts += [f"{left_out:,} left out"] * bool(left_out)
    return [f"  {', '.join(parts)}"] if parts else []


def conclusion(verdict: JobVerdict) -> str:
    """The result in a sentence."""
    windows, of = (sum(getattr(m, name) for m in verdict.measurements) for name in ("windows", "of"))
    part = f" ({windows:,} of {counted(of, 'window')} compared)" if windows < of else ""
    if verdict.differs:
        least = "at least " if any(m.at_least for m in verdict.measurements) else ""
        missing, extra = counted(verdict.missing, "value"), f"{verdict.extra:,} extra"
        return f"DIFFERENT: {least}{missing} missing, {extra}, {verdict.different:,} different{part}"
    if verdict.all_problems:
        found = f"in full: no difference found in what was compared{part}" if windows else "at all"
        return f"NOT CHECKED {found}"
    return f"equal: {counted(sum(m.source for m in verdict.measurements), 'value')}{part}"


def repaired(before: JobVerdict, after: JobVerdict) -> str:
    """What a repair has done, by the verdicts before and after it."""
    least = "at least " if any(m.at_least for m in before.measurements) else ""
    done = [f"repaired {least}{counted(after.repaired, 'value')}"]
    if left := after.missing + after.different:
        done.append(f"{counted(left, 'value')} still missing or different")
    if after.extra:
        stay = "stays" if after.extra == 1 else "stay"
        done.append(f"{after.extra:,} extra {worded(after.extra, 'value')} {stay}")
    return printable(f"{after.job}: {'; '.join(done)}")


def _row(verdict: Verdict, *, in_part: bool) -> tuple[str, ...]:
    """The windows only where not all of them were compared."""
    numbers = (verdict.source, verdict.destination, verdict.missing, verdict.extra, verdict.different)
    windows = f"{verdict.windows:,}" if verdict.windows == verdict.of else f"{verdict.windows:,}/{verdict.of:,}"
    return (printable(verdict.name), *(f"{n:,}" for n in numbers), *(windows,) * in_part, verdict.word)


def _described(difference: Difference) -> str:
    numbers = {
        "missing": difference.missing,
        "extra": difference.extra,
        "different": difference.different,
    }
    counts = ", ".join(f"{n:,} {word}" for word, n in numbers.items() if n)
    fields = ", ".join(difference.fields[:5]) + (", ..." if len(difference.fields) > 5 else "")
    least = "at least " if difference.at_least else ""
    return f"[{_moment(difference.span.start)}, {_moment(difference.span.end)}): {least}{counts} ({fields})"


def _moment(time: int) -> str:
    return {MIN_TIME: "beginning", END_OF_TIME: "end"}.get(time) or format_time(time)


def as_json(verdicts: Sequence[JobVerdict]) -> dict[str, Any]:
    """The same for machines. Times are RFC 3339 text with nine decimals, counts are field values."""
    words = {EQUAL: "equal", DIFFERENT: "different", UNCHECKED: "not checked"}
    return {
        "result": words[exit_code(verdicts)],
        "jobs": [
            {
                "job": v.job,
                "result": words[exit_code([v])],
                "start": _moment(v.span.start),
                "end": _moment(v.span.end),
                "how": v.how,
                "seconds": round(v.seconds, 3),
                "not_checked": list(v.all_problems),
                "notes": list(v.notes),
                "repaired": v.repaired,
                "measurements": [_measurement_json(m) for m in v.measurements],
            }
            for v in verdicts
        ],
    }


def _measurement_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "measurement": verdict.name,
        "result": verdict.word.lower(),
        "values": {"source": verdict.source, "destination": verdict.destination},
        "windows": {"compared": verdict.windows, "all": verdict.of},
        "missing": verdict.missing,
        "extra": verdict.extra,
        "different": verdict.different,
        "differences": [
            {
                "start": _moment(d.span.start),
                "end": _moment(d.span.end),
                "fields": list(d.fields),
                "missing": d.missing,
                "extra": d.extra,
                "different": d.different,
                "at_least": d.at_least,
            }
            for d in verdict.differences
        ],
    }
