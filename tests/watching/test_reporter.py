"""The reporter: what a run's threads count arrives at the monitor, and every half minute in the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from copying.listener import Planned
from copying.results import DatabaseResult, JobResult, MeasurementResult
from influx.influxql import Location
from influx.written import PutAside, Written
from tests.support.heard import Heard
from watching import reporter as reporter_module
from watching.channel import Sender
from watching.events import MeasurementsChanged, RunFinished
from watching.reporter import Reporter, smoothed
from watching.state import State

CPU, MEM = (Location("db", "autogen", name) for name in ("cpu", "mem"))


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Somebody who listens."""
    heard = Heard()
    with closing(heard.channel.sender), closing(heard.channel.receiver):
        yield heard


@pytest.fixture
def reporter(heard: Heard) -> Iterator[Reporter]:
    """A reporter that tells him, in a run that copies two measurements."""
    reporter = Reporter("a", Sender(heard.channel), worker=1)
    reporter.start()
    reporter.run_started()
    reporter.databases(1)
    reporter.database("db", 1)
    reporter.planned([Planned(CPU, 100, 200, 90), Planned(MEM, 100, 200)])
    reporter.copying()
    yield reporter
    reporter.close()


def done(reporter: Reporter, source: Location, *problems: str, late: int = 0, is_whole: bool = True) -> None:
    """A measurement is over."""
    result = MeasurementResult(str(source), problems=problems, late=late, is_whole=is_whole and not problems)
    reporter.finished(source, result, stopped=False)


def test_progress_is_told_while_the_run_goes_on(heard: Heard, reporter: Reporter) -> None:
    """How far it is, and what it has written."""
    reporter.begun(CPU)
    reporter.wrote(CPU, Written(10, 20, 300))
    reporter.acknowledged()
    reporter.reached(CPU, 150, 149)
    job = heard.wait_for(lambda job: job.run and job.run.covered)
    assert job.run is not None
    assert (job.run.share, job.run.measurement, job.run.measurements) == (0.25, 1, 2)
    assert (job.run.amounts.points, job.run.amounts.values, job.run.amounts.bytes) == (10, 20, 300)
    assert (job.run.database, job.run.phase, job.totals.batches) == ("db", "copying", 1)
    done(reporter, CPU)
    job = heard.wait_for(lambda job: job.run and job.run.measurements_done == 1)
    assert job.run is not None
    assert job.run.share == 0.5


def test_measurements_are_told_with_their_newest_point(heard: Heard, reporter: Reporter) -> None:
    """That of the destination before the run, and then what was written."""
    reporter.wrote(CPU, Written(10, 20, 300))
    reporter.reached(CPU, 180, 179)
    reporter.reached(CPU, 200)
    done(reporter, CPU)
    done(reporter, MEM, "refused")
    reporter.run_finished(
        JobResult("a", (DatabaseResult("db", (MeasurementResult("m", problems=("refused",)),)),))
    )
    job = heard.wait_for(lambda job: job.history)
    cpu, mem = job.measurements.values()
    assert (cpu.phase, cpu.points, cpu.newest, cpu.covered) == ("done", 10, 179, 100)
    assert (mem.phase, mem.problems, mem.newest) == ("failed", ("refused",), None)
    assert job.databases["db"].newest == 179
    assert job.history[0].failures == ("refused",)
    assert (job.totals.failures, job.totals.failed_runs) == (1, 1)


def test_losses_retries_and_healed_points_are_counted(heard: Heard, reporter: Reporter) -> None:
    """In the run and in the totals."""
    reporter.wrote(CPU, Written(expired=3, put_aside=(PutAside("f", "why", 2),)))
    reporter.retrying("destination: HTTP 503; retry 1 of 3 in 5.0 s")
    job = heard.wait_for(lambda job: job.run and job.run.trouble)
    assert job.run is not None
    assert job.run.trouble.startswith("destination: HTTP 503")
    reporter.settled()
    done(reporter, CPU, late=7)
    job = heard.wait_for(lambda job: job.run and not job.run.trouble and job.totals.late)
    assert (job.totals.expired, job.totals.quarantined, job.totals.retries, job.totals.late) == (3, 2, 1, 7)


def test_a_second_run_counts_from_zero_and_the_totals_go_on(heard: Heard, reporter: Reporter) -> None:
    """And a measurement that is gone from the source is forgotten."""
    reporter.wrote(CPU, Written(10, 20, 300))
    for source in (CPU, MEM):
        done(reporter, source)
    reporter.run_finished(JobResult("a"))
    reporter.run_started()
    reporter.database("db", 1)
    reporter.planned([Planned(CPU, 200, 300, 199)])
    reporter.wrote(CPU, Written(5, 5, 50))
    done(reporter, CPU)
    reporter.run_finished(JobResult("a"))
    job = heard.wait_for(lambda job: len(job.history) == 2)
    assert [record.amounts.points for record in job.history] == [10, 5]
    assert job.totals.points == 15
    (cpu,) = job.measurements.values()
    assert (cpu.points, cpu.all_points) == (5, 15)


def test_a_full_channel_holds_nobody_up_and_loses_nothing_that_matters(heard: Heard, reporter: Reporter) -> None:
    """Nobody reads while a run of many measurements goes on; later all of them are there."""
    sources = [Location("db", "autogen", f"m{n:05d}") for n in range(20_000)]
    reporter.planned(Planned(source, 0, 10, 5) for source in sources)
    for source in sources:
        reporter.wrote(source, Written(1, 1, 10))
        done(reporter, source)
    reporter.run_finished(JobResult("a", (DatabaseResult("db", problems=("a" * 1_000_000,)),)))
    job = heard.wait_for(lambda job: job.history and len(job.measurements) == module_limit())
    assert job.totals.points == 20_000
    assert job.history[0].outcome == "FAILED"
    told = {m.key for e in heard.events if isinstance(e, MeasurementsChanged) for m in e.measurements if m.points}
    assert len(told) == 20_000


def module_limit() -> int:
    """How many measurements the state keeps."""
    from watching.state import MOST_MEASUREMENTS

    return MOST_MEASUREMENTS


@pytest.mark.usefixtures("reporter")
def test_a_new_monitor_is_told_of_the_run_that_goes_on(heard: Heard) -> None:
    """And of all measurements."""
    heard.wait_for(lambda job: job.run)
    heard.channel.announce_listener()
    heard.state = State()
    job = heard.wait_for(lambda job: job.run and len(job.measurements) == 2)
    assert job.run is not None
    assert job.run.measurements == 2


def test_many_threads_count_exactly(heard: Heard, reporter: Reporter) -> None:
    """Every point of every thread."""

    def work() -> None:
        for position in range(1000):
            reporter.wrote(CPU, Written(1, 2, 3))
            reporter.acknowledged()
            reporter.reached(CPU, 100 + position // 10)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reporter.run_finished(JobResult("a"))
    job = heard.wait_for(lambda job: job.history)
    amounts = job.history[0].amounts
    assert (amounts.points, amounts.values, amounts.bytes, amounts.batches) == (8000, 16_000, 24_000, 8000)


def test_the_log_gets_a_line_each_while_of_work(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Only while a run goes on, and only where nobody draws."""
    monkeypatch.setattr(reporter_module, "LINE_EVERY", 0.3)
    caplog.set_level(logging.INFO)
    quiet, logging_ = (Reporter("a", Sender(heard.channel), logs=logs) for logs in (False, True))
    for reporter in (quiet, logging_):
        reporter.start()
        reporter.run_started()
        reporter.database("db", 1)
    heard.wait_for(lambda _: caplog.text.count("db: planning, 0 points") >= 2)
    for reporter in (quiet, logging_):
        reporter.run_finished(JobResult("a"))
        reporter.close()
    assert {record.name for record in caplog.records} == {"watching.reporter"}


def test_the_thread_ends_with_the_reporter(heard: Heard, reporter: Reporter) -> None:
    """The thread has ended; the last event is that of the run, which is told all the same."""
    reporter.close()
    reporter.run_finished(JobResult("a"))
    heard.listen()
    assert isinstance(heard.events[-1], RunFinished)
    assert "reporter" not in [thread.name for thread in threading.enumerate()]


def test_without_a_run_nothing_is_counted_and_nothing_breaks() -> None:
    """`check`, `verify` and `repair` use the same client."""
    reporter = Reporter()
    reporter.planned([Planned(CPU)])
    reporter.begun(CPU)
    reporter.reached(CPU, 1, 1)
    reporter.finished(CPU, MeasurementResult("m"), stopped=False)
    reporter.phase("copying")
    reporter.failed(["x"])
    reporter.run_finished(JobResult("a"))
    reporter.close()
    assert reporter._measurements == {}


def test_the_rate_is_the_average_at_first_and_then_smooth() -> None:
    """Requests come in bursts: a tick without one does not halve it, and a change is followed within a minute."""
    rate, since = 0.0, 0.0
    for tick in range(1, 121):
        since += 0.5
        rate = smoothed(rate, 4_000.0 if not tick % 4 else 0.0, 0.5, since)
        if since > 5:
            assert 700 < rate < 1_300
    for _ in range(120):
        since += 0.5
        rate = smoothed(rate, 5_000.0, 0.5, since)
    assert 4_900 < rate < 5_000
