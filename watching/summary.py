"""The summary of a run: a table for people, and one JSON document. Pure."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from basics.humanize import ago, counted, format_bytes, lasting
from basics.tables import aligned, ruled
from basics.text import printable
from basics.times import format_time
from copying.metadata.snapshot import amount
from copying.results import JobResult, Saved, SnapshotTaken
from influx.written import Written
from watching.events import Drilled, Proved

LAGS_SHOWN = 5
"""How many databases of a job the summary names, those that are furthest behind."""


NOTHING = logging.CRITICAL + 1
"""The level of a log that the reader does not have before them."""


def summary(
    results: Sequence[JobResult], *, logged: int = NOTHING, proofs: Sequence[Proved | Drilled] = (), now: int = 0
) -> str:
    """The table of all jobs with their sum; then a line for how far databases are behind, what was saved beside
    points, each failure and each warning.

    Points, values and bytes (line protocol before compression) are what is new: what the destination had already
    is not counted. What came late, was quarantined or had expired has columns only where there is any. Where the
    reader has the log before them, from the level `logged` on, what it has told is counted only. `proofs` are what
    is known of archives and restore drills, told at the time `now` (nanoseconds).
    """
    late, lost = any(r.late for r in results), any(r.written.quarantined or r.written.expired for r in results)
    more = ("late",) * late + ("quarantined", "expired") * lost
    headings = ("job", "databases", "measurements", "points", "values", *more, "bytes", "seconds", "result")
    rows = [headings, *(_row(r, late=late, lost=lost) for r in results)]
    if len(results) > 1:
        rows.append(_sum(results, late=late, lost=lost))
    lines = aligned(ruled(rows))
    lines += [printable(f"LAG {r.job}: {_lags(r.lags)}") for r in results if r.lags]
    lines += [printable(f"SAVED {r.job}: {saved_metadata(r)}") for r in results if r.saved]
    lines += [printable(f"SNAPSHOT {r.job}: {r.snapshot.sentence}") for r in results if r.snapshot]
    lines += [printable(proved(found, now)) for found in proofs]
    for r in results:
        lines += _told("FAILED", r.job, r.failures, "failure", is_logged=logged <= logging.ERROR)
    for r in results:
        lines += _told("WARNING", r.job, r.cautions, "warning", is_logged=logged <= logging.WARNING)
    return "\n".join(lines)


def proved(found: Proved | Drilled, now: int) -> str:
    """When an archive was verified last, or a restore rehearsed, and what came of it; in a line."""
    if isinstance(found, Drilled):
        return f"DRILL {found.job}: {ago(found.at, now)}, {found.sentence}"
    return f"VERIFIED {found.job}: the archive, {ago(found.at, now)}: {found.result}, read {found.read}"


def _lags(lags: Mapping[str, float]) -> str:
    """`sensors 3 days, telegraf 12 s`, the furthest behind first."""
    found = sorted(lags.items(), key=lambda item: -item[1])
    parts = [f"{name} {lasting(seconds)}" for name, seconds in found[:LAGS_SHOWN]]
    more = len(found) - LAGS_SHOWN
    return ", ".join([*parts, *[f"{more:,} more below that"] * (more > 0)])


def _told(word: str, job: str, texts: Sequence[str], kind: str, *, is_logged: bool) -> list[str]:
    """Each of them, or only how many there are."""
    if is_logged and texts:
        texts = (f"{counted(len(texts), kind)}, told in the log above",)
    return [printable(f"{word} {job}: {text}") for text in texts]


def as_json(results: Sequence[JobResult], invalid: Mapping[str, str]) -> dict[str, object]:
    """The same as one document, with every measurement. Keys are only ever added.

    `result` is `ok`, `FAILED` or `stopped`, and warnings change none of these; `invalid` tells what is wrong with
    files that did not run.
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
                "extra": result.extra,
                "snapshot": _snapshot(result.snapshot),
                "problems": list(result.problems),
                "warnings": list(result.warnings),
                "databases": [
                    {
                        "name": database.name,
                        "newest": _time(database.age.newest) if database.age else None,
                        "lag": result.lags.get(database.name),
                        "problems": list(database.problems),
                        "warnings": list(database.warnings),
                        "metadata": _saved(database.saved),
                        "measurements": [
                            {
                                "name": m.name,
                                **_amounts(m.written),
                                "late": m.late,
                                "extra": m.extra,
                                "problems": list(m.problems),
                                "warnings": list(m.cautions),
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


def saved_metadata(result: JobResult) -> str:
    """How much of what databases have besides points was saved, and where."""
    counts: Counter[str] = Counter()
    for saved in result.saved:
        counts.update(dict(saved.counts))
    amounts = ", ".join(amount(kind, number) for kind, number in counts.items())
    new = sum(saved.is_new for saved in result.saved)
    changed = f"{counted(new, 'new version')}" if new else "unchanged"
    return (
        f"{amounts} of {counted(len(result.saved), 'database')} in {result.saved[0].file.parents[1]} ({changed})"
    )


def _saved(saved: Saved | None) -> dict[str, object] | None:
    return {"file": str(saved.file), "new": saved.is_new, **dict(saved.counts)} if saved else None


def _snapshot(taken: SnapshotTaken | None) -> dict[str, object] | None:
    return asdict(taken) if taken else None


def _time(at: int | None) -> str | None:
    return None if at is None else format_time(at)


def _amounts(written: Written) -> dict[str, int]:
    return {
        "points": written.points,
        "values": written.values,
        "bytes": written.bytes,
        "expired": written.expired,
        "quarantined": written.quarantined,
        "repeated": written.repeated,
    }


def _row(result: JobResult, *, late: bool, lost: bool) -> tuple[str, ...]:
    numbers = _numbers([result], late=late, lost=lost)
    return (printable(result.job), *numbers, f"{result.seconds:.1f}", result.verdict)


def _sum(results: Sequence[JobResult], *, late: bool, lost: bool) -> tuple[str, ...]:
    """All jobs together; they run at the same time, so they take as long as the longest."""
    outcomes = Counter(result.outcome for result in results)
    words = ", ".join(f"{outcomes[word]:,} {word}" for word in ("FAILED", "stopped", "ok") if outcomes[word])
    seconds = max(result.seconds for result in results)
    return ("total", *_numbers(results, late=late, lost=lost), f"{seconds:.1f}", words)


def _numbers(results: Sequence[JobResult], *, late: bool, lost: bool) -> tuple[str, ...]:
    """The cells between a job's name and its seconds."""
    written = sum((result.written for result in results), Written())
    databases = [database for result in results for database in result.databases]
    measurements = sum(len(database.measurements) for database in databases)
    more = (sum(result.late for result in results),) * late + (written.quarantined, written.expired) * lost
    numbers = (len(databases), measurements, written.points, written.values, *more)
    return (*(f"{n:,}" for n in numbers), format_bytes(written.bytes))
