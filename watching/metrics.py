"""Prometheus metrics, made anew from a snapshot of the state whenever they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from copying.results import SourceAge
from watching.events import DrillResult, ProofResult, Totals, Verified, VerifyResult
from watching.standing import snapshot_time
from watching.state import BUCKETS, JobState, State

PREFIX: Final = "influxdb_backup_"

JOB: Final = "backup_job"
"""The label of a job's name: `job` and `instance` are Prometheus's own."""

CAUSES: Final = ("run", "server", "worker", "file")

COUNTERS: Final[Mapping[str, tuple[str, Callable[[Totals], int]]]] = {
    "written_points": (
        "Points that the destination has acknowledged, and that it did not have.",
        lambda t: t.points,
    ),
    "written_values": ("Field values in those points.", lambda t: t.values),
    "written_bytes": ("Line protocol in those points, before compression.", lambda t: t.bytes),
    "written_batches": ("Write requests that the destination has acknowledged.", lambda t: t.batches),
    "healed_values": ("Late values that the look-back found missing, and brought.", lambda t: t.late),
    "quarantined_lines": (
        "Lines that the destination refused, and that were put aside; each counts once.",
        lambda t: t.newly_quarantined,
    ),
    "expired_lines": ("Lines older than the destination's retention policy keeps.", lambda t: t.expired),
    "retries": ("Requests that failed and were tried again.", lambda t: t.retries),
    "failures": (
        "Failures of measurements, databases and runs, as summaries list them.",
        lambda t: t.failures,
    ),
    "runs": ("Runs that are over.", lambda t: t.runs),
    "failed_runs": ("Runs that are over, and failed.", lambda t: t.failed_runs),
}
"""What only grows, since the daemon was started: its help and its value; `_total` is added to the name."""

GAUGES: Final[Mapping[str, tuple[str, Callable[[JobState], float | None]]]] = {
    "warnings": (
        "Warnings of the last run, of what verify and drills found, of restores that were stopped: not fine.",
        lambda job: job.warned if job.judged or job.warned else None,
    ),
    "running": ("Whether a run goes on: 1 or 0.", lambda job: job.run is not None),
    "run_progress_ratio": (
        "Part of the present database's time range that is copied; while a run goes on.",
        lambda job: job.run.share if job.run else None,
    ),
    "last_attempt_timestamp_seconds": ("When the last run began.", lambda job: _seconds(job.last_attempt)),
    "last_success_timestamp_seconds": (
        "When the last run ended that succeeded.",
        lambda job: _seconds(job.last_success),
    ),
    "next_run_timestamp_seconds": (
        "When the next run begins; while the job waits for it.",
        lambda job: _seconds(job.next_run),
    ),
    "quarantine_waiting_lines": (
        "Lines that wait in quarantine files, when the last run ended.",
        lambda job: job.history[-1].in_quarantine if job.history else None,
    ),
    "restores_incomplete": (
        "Restores of the job that go on, or were stopped before their end: their targets are not whole.",
        lambda job: len(job.restores),
    ),
    "last_verify_timestamp_seconds": (
        "When both sides of the job were last compared.",
        lambda job: _seconds(job.verification.at) if job.verification else None,
    ),
    "archive_snapshots": (
        "Snapshots of the job in its archive, when the last one was taken.",
        lambda job: job.snapshot.snapshots if job.snapshot else None,
    ),
    "archive_bytes": (
        "Size of all files of the archive then, those of other jobs too.",
        lambda job: job.snapshot.archive_bytes if job.snapshot else None,
    ),
    "archive_newest_snapshot_timestamp_seconds": (
        "When the newest snapshot was taken.",
        lambda job: _seconds(snapshot_time(job.snapshot)) if job.snapshot else None,
    ),
    "archive_last_verify_timestamp_seconds": (
        "When files of the archive were last read and proved.",
        lambda job: _seconds(job.proof.at) if job.proof else None,
    ),
    "drill_last_attempt_timestamp_seconds": (
        "When the last restore drill ended.",
        lambda job: _seconds(job.drill.at) if job.drill else None,
    ),
    "drill_last_success_timestamp_seconds": (
        "When the last restore drill ended that passed.",
        lambda job: _seconds(job.rehearsed.at) if job.rehearsed else None,
    ),
    "drill_duration_seconds": (
        "How long the last restore drill took.",
        lambda job: job.drill.seconds if job.drill else None,
    ),
    "drill_restored_points": (
        "Points that the last restore drill wrote.",
        lambda job: job.drill.points if job.drill else None,
    ),
}
"""Of each job: help and value; None where there is none, and then no sample."""

VERIFY_RESULTS: Final = get_args(VerifyResult)


def exposition(state: State, now: int) -> bytes:
    """All metrics in Prometheus's text format. `now` is in nanoseconds since 1970."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(state, now))
    return generate_latest(registry)


class _Snapshot(Collector):
    """The state at one moment, as a collector."""

    def __init__(self, state: State, now: int) -> None:
        self._state = state
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Every family; those without a sample are left out."""
        return (family for family in self._families() if family.samples)

    def describe(self) -> list[Metric]:
        """Nothing in advance."""
        return []

    def _families(self) -> Iterator[Metric]:
        jobs = tuple(self._state.jobs.values())
        started = GaugeMetricFamily(f"{PREFIX}start_timestamp_seconds", "When the daemon was started.")
        started.add_metric((), self._state.started / 1e9)
        yield started
        yield _info(jobs)
        yield from _gauges(jobs)
        yield _failing(jobs)
        yield _lag(jobs, self._now)
        yield _source_newest(jobs)
        yield _source_stale(jobs)
        yield from _counters(jobs)
        yield _durations(jobs)
        yield _verify_result(jobs)
        yield _verify_values(jobs)
        yield _archive_files(jobs)
        yield _archive_result(jobs)
        yield _drill_result(jobs)


_Jobs = tuple[JobState, ...]


def _info(jobs: _Jobs) -> Metric:
    family = InfoMetricFamily(f"{PREFIX}job", "How the job is set up.", labels=[JOB])
    for job in (job for job in jobs if job.source):  # nothing is known of one whose file was never valid
        family.add_metric([job.name], _about(job))
    return family


def _about(job: JobState) -> dict[str, str]:
    return {"mode": job.mode, "schedule": job.schedule, "timezone": job.timezone, "drill": job.drill_schedule}


def _gauges(jobs: _Jobs) -> Iterator[Metric]:
    for name, (text, value) in GAUGES.items():
        family = GaugeMetricFamily(PREFIX + name, text, labels=[JOB])
        for job in jobs:
            if (found := value(job)) is not None:
                family.add_metric([job.name], found)
        yield family


def _failing(jobs: _Jobs) -> Metric:
    text = (
        "Whether the job is failing, by the cause: its run, a server that does not answer, its worker, its file."
    )
    family = GaugeMetricFamily(f"{PREFIX}failing", text, labels=[JOB, "cause"])
    for job in jobs:
        for cause in CAUSES:
            family.add_metric([job.name, cause], cause in job.troubles)
    return family


def _lag(jobs: _Jobs, now: int) -> Metric:
    text = "Time since the newest point of the database that the destination is known to hold."
    family = GaugeMetricFamily(f"{PREFIX}lag_seconds", text, labels=[JOB, "database"])
    for job in (job for job in jobs if job.mode != "range"):  # a range has an end: it says nothing
        for name, database in job.databases.items():
            if (lag := database.lag(now)) is not None:
                family.add_metric([job.name, name], lag)
    return family


def _source_newest(jobs: _Jobs) -> Metric:
    text = "Newest point of the database at the source itself, when the last run looked."
    family = GaugeMetricFamily(f"{PREFIX}source_newest_timestamp_seconds", text, labels=[JOB, "database"])
    for name, age in _ages(jobs):
        if age.newest is not None:
            family.add_metric([name, age.name], age.newest / 1e9)
    return family


def _source_stale(jobs: _Jobs) -> Metric:
    text = "Whether that was older than options.max_lag then; of jobs that have it."
    family = GaugeMetricFamily(f"{PREFIX}source_stale", text, labels=[JOB, "database"])
    for name, age in _ages(jobs):
        if age.is_stale is not None:
            family.add_metric([name, age.name], age.is_stale)
    return family


def _ages(jobs: _Jobs) -> Iterator[tuple[str, SourceAge]]:
    return ((job.name, age) for job in jobs if job.judged for age in job.judged.ages)


def _counters(jobs: _Jobs) -> Iterator[Metric]:
    for name, (text, value) in COUNTERS.items():
        family = CounterMetricFamily(PREFIX + name, text, labels=[JOB])
        for job in jobs:
            family.add_metric([job.name], value(job.totals))
        yield family


def _durations(jobs: _Jobs) -> Metric:
    family = HistogramMetricFamily(f"{PREFIX}run_duration_seconds", "How long runs took.", labels=[JOB])
    bounds = (*(str(bound) for bound in BUCKETS), "+Inf")
    for job in jobs:
        buckets = list(zip(bounds, job.durations.cumulative, strict=True))
        family.add_metric([job.name], buckets, job.durations.seconds)
    return family


def _verify_result(jobs: _Jobs) -> Metric:
    text = "What the last comparison of both sides found: 1 for that result, 0 for the others."
    family = GaugeMetricFamily(f"{PREFIX}verify_result", text, labels=[JOB, "result"])
    for name, found in _verifications(jobs):
        for result in VERIFY_RESULTS:
            family.add_metric([name, result], found.result == result)
    return family


def _verify_values(jobs: _Jobs) -> Metric:
    text = "Values that it found to be missing at the destination, extra there, or different."
    family = GaugeMetricFamily(f"{PREFIX}verify_values", text, labels=[JOB, "difference"])
    for name, found in _verifications(jobs):
        for difference, count in {
            "missing": found.missing,
            "extra": found.extra,
            "different": found.different,
        }.items():
            family.add_metric([name, difference], count)
    return family


def _verifications(jobs: _Jobs) -> Iterator[tuple[str, Verified]]:
    return ((job.name, job.compared) for job in jobs if job.compared)


def _archive_files(jobs: _Jobs) -> Metric:
    text = "Files of the newest snapshot: new ones, and those of snapshots before."
    family = GaugeMetricFamily(f"{PREFIX}archive_snapshot_files", text, labels=[JOB, "kind"])
    for name, taken in ((job.name, job.snapshot) for job in jobs if job.snapshot):
        family.add_metric([name, "new"], taken.new_files)
        family.add_metric([name, "reused"], taken.files - taken.new_files)
    return family


def _archive_result(jobs: _Jobs) -> Metric:
    text = "What the last look at the archive's files found: 1 for that result, 0 for the others."
    found = ((job.name, proof.result) for job in jobs if (proof := job.damage or job.proof))
    return _results("archive_verify_result", text, found, get_args(ProofResult))


def _drill_result(jobs: _Jobs) -> Metric:
    text = "What the last restore drill came to: 1 for that result, 0 for the others."
    found = ((job.name, job.drill.result) for job in jobs if job.drill)
    return _results("drill_result", text, found, get_args(DrillResult))


def _results(name: str, text: str, found: Iterable[tuple[str, str]], words: Iterable[str]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=[JOB, "result"])
    for job, result in found:
        for word in words:
            family.add_metric([job, word], result == word)
    return family


def _seconds(time_ns: int | None) -> float | None:
    return None if time_ns is None else time_ns / 1e9
