"""States of a daemon as the monitor would have them, made from the events that lead to them."""

from __future__ import annotations

from collections.abc import Sequence

from copying.results import SnapshotTaken
from watching.events import (
    Drilled,
    Event,
    FileChecked,
    JobEnded,
    JobKnown,
    MeasurementsChanged,
    MeasurementState,
    NextRun,
    Proved,
    RunFinished,
    RunProgress,
    RunRecord,
    RunStarted,
    RunState,
    Totals,
    Verified,
    WaitingForServer,
    WorkerDied,
    WorkerStarted,
)
from watching.state import State, applied

SECOND = 10**9
MINUTE, HOUR = 60 * SECOND, 3_600 * SECOND
NOW = 1_795_492_640 * SECOND
"""2026-11-24T03:57:20Z."""

DISK_FULL = (
    "copy payments of billing [2026-11-23T00:00:00Z, 2026-11-24T00:00:00Z): write to http://influxdb-backup:8086: "
    "HTTP 500: engine: disk full; tried 4 times. The next run goes on from there."
)
WARNINGS = (
    "config/plant.yaml: measurements.include[0]: 'cpuu' matches no measurement of plant; did you mean 'cpu'?",
    "database plant: nothing new at the source since 2026-11-20T00:00:00Z; options.max_lag is 6h",
)
REFUSED = "billing.autogen.invoices: read from http://influxdb:8086: Connection refused; tried 4 times"


def state_of(*events: Event) -> State:
    """The state after these events."""
    state = State(NOW - 9 * HOUR)
    for event in events:
        state = applied(state, event)
    return state


def known(job: str, *, schedule: str = "*/5 * * * *", mode: str = "incremental") -> list[Event]:
    """A job whose worker has started."""
    at = NOW - 9 * HOUR
    urls = "http://influxdb:8086", "http://influxdb-backup:8086"
    return [JobKnown(job, at, schedule, "Europe/Berlin", mode, *urls), WorkerStarted(job, at, pid=77)]


def runs(
    job: str, points: Sequence[int], *, every: int = 5 * MINUTE, until: int = NOW, failures: Sequence[str] = ()
) -> list[Event]:
    """Runs that ended, one for each number of points; those with -1 failed."""
    events: list[Event] = []
    for index, number in enumerate(points):
        start = until - (len(points) - index) * every
        totals = Totals(points=max(0, number), values=5 * max(0, number), bytes=150 * max(0, number), runs=1)
        outcome = "FAILED" if number < 0 else "ok"
        record = RunRecord(start, 3.0, outcome, totals, tuple(failures) if number < 0 else ())
        events += [RunStarted(job, start), RunFinished(job, start + 3 * SECOND, record, 1, totals)]
    return events


def copied(job: str, run: int, newest: int, *names: tuple[str, str]) -> Event:
    """Measurements, as (database, measurement), that are done."""
    times = newest - HOUR, newest, newest, newest
    parts = (MeasurementState(d, "autogen", m, run, "done", *times, points=500, seconds=0.4) for d, m in names)
    return MeasurementsChanged(job, NOW, tuple(parts))


def fine(job: str = "telegraf") -> list[Event]:
    """A job that has run well, and waits for its next time."""
    newest = copied(job, NOW - 5 * MINUTE, NOW - 12 * SECOND, ("telegraf", "cpu"), ("telegraf", "mem"))
    numbers = [8_352_000, *([14_400, 13_850, 14_720, 15_010] * 6)]
    return [*known(job), *runs(job, numbers), newest, NextRun(job, NOW, NOW + 160 * SECOND)]


def running(job: str = "sensors") -> list[Event]:
    """A job in the middle of a run."""
    start = NOW - 20 * SECOND
    amounts = Totals(points=1_203_400, values=5_402_000)
    run = RunState(start, "copying", "sensors", 1, 2, 12, 7, 62, 100, start, amounts, 84_213.3)
    times = NOW - HOUR, NOW, NOW - HOUR // 3
    part = MeasurementState("sensors", "autogen", "temperature", start, "copying", *times)
    return [
        *known(job),
        *runs(job, [900, 1_000, 800] * 10),
        copied(job, start, NOW - 200 * SECOND, ("weather", "wind"), ("sensors", "humidity")),
        RunStarted(job, start),
        MeasurementsChanged(job, NOW, (part,)),
        RunProgress(job, NOW, run, 1, Totals()),
    ]


def warned(job: str = "plant") -> list[Event]:
    """Its last run copied all there was, and two things are not as its file says; the next one is due."""
    begun = NOW - 2 * MINUTE
    record = RunRecord(begun, 3.0, "ok", Totals(runs=1), (), WARNINGS, len(WARNINGS))
    events: list[Event] = [RunFinished(job, begun + 3 * SECOND, record, worker=1)]
    return [*known(job), *events, NextRun(job, NOW, NOW + 3 * MINUTE)]


def failing(job: str = "billing") -> list[Event]:
    """A job whose last three runs failed, with more errors than a card shows."""
    errors = (DISK_FULL, REFUSED, "the third error", "the fourth error", "the fifth error")
    newest, points = NOW - 74 * HOUR, [52_000, 48_000, 55_000] * 9 + [-1] * 3
    part = MeasurementState("billing", "autogen", "payments", 1, "failed", newest=newest, problems=(DISK_FULL,))
    return [
        *known(job, schedule="0 2 * * *"),
        *runs(job, points, every=24 * HOUR, until=NOW - 2 * HOUR, failures=errors),
        MeasurementsChanged(job, NOW, (part,)),
        copied(job, 1, newest, ("billing", "invoices"), ("archive", "old")),
        NextRun(job, NOW, NOW + 20 * HOUR),
    ]


def waiting(job: str = "edge-site-7") -> list[Event]:
    """A job whose source does not answer."""
    names = [(name, "m") for name in ("site_a", "site_b", "site_c", "site_d", "site_e")]
    problem = "http://10.20.30.7:8086: No route to host"
    return [
        *known(job),
        *runs(job, [320, 290, 310] * 4, until=NOW - 20 * MINUTE),
        copied(job, 1, NOW - 25 * MINUTE, *names),
        WaitingForServer(job, NOW - 4 * MINUTE, "source", problem, NOW + 42 * SECOND),
    ]


def recovered(job: str = "weather") -> list[Event]:
    """A job that failed once, finds nothing new, and was verified."""
    return [
        *known(job),
        *runs(job, [0, -1, *([0] * 11)], every=30 * MINUTE, failures=["weather: the server was restarted"]),
        copied(job, 1, NOW - 40 * SECOND, ("weather", "wind")),
        NextRun(job, NOW, NOW + 12 * MINUTE),
        Verified(job, NOW - 3 * HOUR, "equal"),
    ]


def archived(job: str = "nightly", drill: str = "passed") -> list[Event]:
    """A job whose only destination is an archive, proved three hours ago, and drilled three days ago."""
    at, place = NOW - 9 * HOUR, "/backups/influx"
    taken = SnapshotTaken(
        place, "20261124T020000.000000000Z", 123, 11_500_000, 3, 52_000, 8_352_000, 90_000, 14, 48_200_000
    )
    begun = NOW - 2 * HOUR
    record = RunRecord(begun, 41.0, "ok", Totals(points=14_400, values=72_000, bytes=52_000), snapshot=taken)
    drilled = Drilled(
        job,
        NOW - 72 * HOUR,
        origin=f"snapshot {taken.name} of {place}",
        target="http://influxdb-spare:8086",
        points=8_352_000,
        values=41_760_000,
        seconds=214.0,
    )
    later = Drilled(
        job,
        NOW - 5 * HOUR,
        "failed",
        f"database telegraf: copy telegraf.autogen.cpu: archive {place}: data/telegraf/cpu.parquet is damaged",
        drilled.origin,
        drilled.target,
    )
    return [
        JobKnown(
            job,
            at,
            "0 2 * * *",
            source="http://influxdb:8086",
            destination=place,
            archive=place,
            drill="0 6 * * 0",
        ),
        WorkerStarted(job, at, pid=78),
        copied(job, begun, NOW - 2 * HOUR, ("telegraf", "cpu")),
        RunStarted(job, begun),
        RunFinished(job, begun + 41 * SECOND, record, 1, record.amounts),
        NextRun(job, NOW, NOW + 22 * HOUR),
        Proved(job, NOW - 3 * HOUR, files=1_402, of=1_402, snapshots=14, bytes=48_200_000, points=31_000_000),
        *([drilled] if drill != "never" else []),
        *([later] if drill == "failed" else []),
    ]


def finished(job: str = "import-2025") -> list[Event]:
    """A range job that has done its work."""
    end = NOW - 2 * HOUR
    return [*known(job, schedule="", mode="range"), *runs(job, [31_536_000], until=end), JobEnded(job, end)]


def invalid(job: str = "typo") -> list[Event]:
    """A file with a mistake."""
    problem = f"config/{job}.yaml: 1 problem\n  options.retires: unknown key; did you mean options.retries?"
    return [FileChecked(job, NOW - 3 * MINUTE, problem)]


def died(job: str = "crashed") -> list[Event]:
    """A job whose process was killed."""
    return [*known(job), *runs(job, [10, 20]), WorkerDied(job, NOW - SECOND, "SIGKILL", NOW + 3 * SECOND)]


def everything() -> State:
    """A job in each state."""
    parts = (fine(), running(), failing(), waiting(), recovered(), finished(), invalid(), died())
    return state_of(*(event for part in parts for event in part))


def all_fine() -> State:
    """Several jobs, nothing wrong with any."""
    return state_of(*fine("telegraf"), *fine("sensors"), *finished())
