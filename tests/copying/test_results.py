"""What results of a run add up to, and what is said of it in a line."""

from __future__ import annotations

import pytest

from basics.times import HOUR
from copying.results import DatabaseResult, JobResult, MeasurementResult, SnapshotTaken, SourceAge, with_snapshot
from influx.written import Written


def snapshot(snapshots: int = 0, new_files: int = 2) -> SnapshotTaken:
    """One that was published."""
    return SnapshotTaken(
        "archive",
        "0001",
        files=3,
        bytes=4_000,
        new_files=new_files,
        new_bytes=1_000,
        points=5,
        snapshots=snapshots,
        archive_bytes=9_000,
    )


def job(*measurements: MeasurementResult, **more: object) -> JobResult:
    """A run over one database."""
    return JobResult("job", (DatabaseResult("db", measurements),), **more)  # type: ignore[arg-type]


def test_a_snapshot_alone_is_the_result() -> None:
    """Of a job that copies to no server."""
    taken = JobResult("job", seconds=2.0, snapshot=snapshot())
    assert with_snapshot(None, taken) is taken


@pytest.mark.parametrize(("copied_stopped", "taken_stopped"), [(False, False), (True, False), (False, True)])
def test_a_snapshot_beside_a_copy_counts_with_it(copied_stopped: bool, taken_stopped: bool) -> None:
    """Each failure says that it is the archive's, and what both warn of is said once."""
    copied = job(
        MeasurementResult("m", Written(3, 4), problems=("m: no",), warnings=("m: odd",)),
        problems=("none",),
        seconds=1.5,
        warnings=("job: odd",),
        stopped=copied_stopped,
    )
    taken = JobResult(
        "job",
        problems=("full",),
        seconds=2.0,
        warnings=("m: odd", "job: odd", "new"),
        stopped=taken_stopped,
        snapshot=snapshot(),
    )
    both = with_snapshot(copied, taken)
    assert both.failures == ("none", "archive: full", "m: no")
    assert both.cautions == ("job: odd", "new", "m: odd")
    assert (both.seconds, both.stopped) == (3.5, copied_stopped or taken_stopped)
    assert (both.snapshot, both.written) == (snapshot(), Written(3, 4))


def test_a_snapshot_is_said_in_a_line() -> None:
    """With the whole archive, where that is known."""
    line = "0001 in archive: 5 points, 3 files (4.0 kB), 2 new (1.0 kB)"
    assert snapshot().sentence == line
    alone = SnapshotTaken("archive", "0001", files=3, bytes=4_000, new_files=2, new_bytes=1_000, points=5)
    assert (alone.sentence, alone.manifest_bytes, alone.archive_bytes) == (line, 0, 0)
    assert snapshot(1).sentence == f"{line}; the archive: 1 snapshot, 9.0 kB"
    assert "1,200 new" in snapshot(new_files=1200).sentence


def test_results_of_one_measurement_add_up() -> None:
    """It is whole where all parts of it are; what came late is a sum."""
    one = MeasurementResult("m", Written(1, 2), ("a", "b"), late=3)
    other = MeasurementResult("m", Written(10, 20), ("b", "c"), late=4)
    both = one + other
    assert (both.name, both.written, both.problems, both.late) == ("m", Written(11, 22), ("a", "b", "c"), 7)
    half = MeasurementResult("m", is_whole=False)
    assert [(x + y).is_whole for x in (one, half) for y in (other, half)] == [True, False, False, False]


def test_how_far_a_database_is_behind_is_never_less_than_nothing() -> None:
    """Clocks differ. Of one with a failure, or whose newest point is not known, nothing is said."""
    databases = (
        DatabaseResult("behind", age=SourceAge("behind", HOUR)),
        DatabaseResult("ahead", age=SourceAge("ahead", 4 * HOUR)),
        DatabaseResult("first", age=SourceAge("first", 0)),
        DatabaseResult("unknown", age=SourceAge("unknown")),
        DatabaseResult("none"),
        DatabaseResult("bad", (MeasurementResult("m", problems=("no",)),), age=SourceAge("bad", HOUR)),
    )
    assert JobResult("job", databases, ended=3 * HOUR).lags == {"behind": 7200.0, "ahead": 0.0, "first": 10800.0}
    assert JobResult("job", databases).lags == {}
    known = [found.name for found in JobResult("job", databases).ages]
    assert known == ["behind", "ahead", "first", "unknown", "bad"]


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (job(), "run ended: nothing new in 0.0 s: ok"),
        (job(stopped=True), "run ended: nothing copied in 0.0 s: stopped"),
        (job(problems=("a", "b")), "run ended: nothing copied in 0.0 s: 2 failures"),
        (
            job(MeasurementResult("m", Written(1, 2_000, 3_000), problems=("a",), late=1), warnings=("w",)),
            "run ended: 1 point, 2,000 values, 1 of them late, 3.0 kB in 0.0 s: 1 failure, 1 warning",
        ),
        (
            job(MeasurementResult("m", Written(2, 1, 30)), stopped=True, seconds=12.34),
            "run ended: 2 points, 1 value, 30 B in 12.3 s: stopped",
        ),
    ],
)
def test_a_run_is_said_in_a_line(result: JobResult, sentence: str) -> None:
    """What it copied, how long it took, and what became of it."""
    assert result.sentence == sentence
    assert result.in_quarantine == 0


def test_sums_are_over_all_databases() -> None:
    """Also of what came late, and of what only the destination has."""
    measurements = (MeasurementResult("m", late=1, extra=2), MeasurementResult("n", late=3, extra=4))
    result = JobResult("job", (DatabaseResult("a", measurements), DatabaseResult("b", measurements[:1])))
    assert (result.late, result.extra) == (5, 8)
