"""The summary of a run: a table for people, and one JSON document. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from basics.humanize import counted, format_bytes
from basics.tables import aligned, ruled
from basics.text import printable
from basics.times import format_time
from copying.metadata.snapshot import amount
from copying.metadata.store import Saved
from copying.results import JobResult, SnapshotTaken
from influx.written import Written


def summary(results: Sequence[JobResult]) -> str:
    """The table of all jobs, then one line for what was saved beside points, for each failure and each warning.

    Points, values and bytes (line protocol before compression) are what is new: what the destination had already
    is not counted. What was quarantined or had expired has columns only where there is any.
    """
    lost = any(r.written.quarantined or r.written.expired for r in results)
    losses = ("quarantined", "expired") if lost else ()
    headings = ("job", "databases", "measurements", "points", "values", *losses, "bytes", "seconds", "result")
    rows = [headings, *(_row(r, losses=lost) for r in results)]
    lines = aligned(ruled(rows))
    lines += [printable(f"SAVED {r.job}: {saved_metadata(r)}") for r in results if r.saved]
    lines += [printable(f"SNAPSHOT {r.job}: {r.snapshot.sentence}") for r in results if r.snapshot]
    lines += [printable(f"FAILED {r.job}: {failure}") for r in results for failure in r.failures]
    lines += [printable(f"WARNING {r.job}: {caution}") for r in results for caution in r.cautions]
    return "\n".join(lines)


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
        result.verdict,
    )
