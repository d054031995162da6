"""What a worker reports of real runs is what really happened: at both servers, and in its own result."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from backup import BackupManager
from basics.stopping import StopRequest
from bench.measure import requests
from config import Config
from copying.listener import SilentRun
from copying.results import JobResult, MeasurementResult
from daemon.worker import run_worker
from influx.influxql import Location
from influx.written import Written
from influx_client import connect
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, write_job
from tests.support.heard import Heard
from tests.support.proxy import Proxy, delay, only, respond
from tests.support.servers import InfluxServer
from watching.channel import Sender
from watching.events import RunProgress, RunState
from watching.reporter import Reporter
from watching.state import JobState

MINUTE = HOUR // 60


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Who listens."""
    heard = Heard("job")
    with closing(heard.channel.sender), closing(heard.channel.receiver):
        yield heard


def run(pair: Pair, heard: Heard, sections: Mapping[str, Any] | None = None) -> tuple[JobResult, JobState]:
    """Run the job once; its result, and its state afterwards."""
    reporter = Reporter("job", Sender(heard.channel), worker=time.time_ns())
    reporter.start()
    try:
        result = run_worker(write_job(pair.directory, pair.config(sections)), reporter=reporter)
    finally:
        reporter.close()
    job = heard.listen()
    assert_same(result, job)
    return result, job


def assert_same(result: JobResult, job: JobState) -> None:
    """The last run of the state is the one of the result."""
    written, record = result.written, job.history[-1]
    amounts = record.amounts
    assert job.run is None
    assert record.outcome == result.outcome
    assert record.failures == result.failures
    assert (amounts.points, amounts.values, amounts.bytes) == (written.points, written.values, written.bytes)
    assert (amounts.expired, amounts.quarantined) == (written.expired, written.quarantined)
    assert (amounts.late, amounts.failures) == (result.late, len(result.failures))
    per_measurement = {f"{m.database}.{m.policy}.{m.measurement}": m for m in job.measurements.values()}
    for database in result.databases:
        for m in database.measurements:
            state = per_measurement[m.name]
            assert (state.points, state.values, state.late) == (m.written.points, m.written.values, m.late)
            assert state.problems == m.problems
            assert state.phase == ("failed" if m.problems else "done")


def grid(name: str, count: int, begin: int = MONDAY, step: int = MINUTE) -> str:
    """Points at regular times."""
    return "\n".join(f"{name},h=h{i % 5} v={i}i,w={i}.5 {begin + i * step}" for i in range(count))


def newest(job: JobState) -> dict[str, int | None]:
    """Measurement -> its newest point."""
    return {m.measurement: m.newest for m in job.measurements.values()}


def test_numbers_and_newest_points_are_those_of_the_servers(pair: Pair, heard: Heard) -> None:
    """Of a large measurement, and of small ones that travel together; again when nothing is new."""
    pair.write(grid("large", 30_000))
    for n in range(20):
        pair.write(grid(f"small{n:02d}", 10 + n))
    before = requests(pair.destination)
    result, job = run(pair, heard)
    writes = requests(pair.destination)["writeReq"] - before["writeReq"]
    assert result.failures == ()
    assert job.totals.batches == writes
    expected = {f"small{n:02d}": MONDAY + (9 + n) * MINUTE for n in range(20)}
    assert newest(job) == {"large": MONDAY + 29_999 * MINUTE} | expected
    assert job.databases[pair.database].newest == MONDAY + 29_999 * MINUTE
    _, again = run(pair, heard)
    assert newest(again) == newest(job)
    assert again.totals.runs == 2
    assert all(m.all_points >= m.points for m in again.measurements.values())


def test_points_of_the_future_are_not_the_newest(pair: Pair, heard: Heard) -> None:
    """Forecasts do not make a database look as if it was up to date."""
    now = time.time_ns()
    past = now - now % HOUR - 10 * HOUR
    pair.write(grid("m", 5, past, HOUR) + "\n" + grid("m", 50, now + DAY, HOUR))
    pair.write(grid("only_ahead", 5, now + DAY, HOUR))
    _, job = run(pair, heard)
    assert newest(job) == {"m": past + 4 * HOUR, "only_ahead": None}
    lag = job.databases[pair.database].lag(now)
    assert lag == (now - past - 4 * HOUR) / 1e9


def test_points_of_the_future_are_not_the_newest_of_a_measurement_alone_either(pair: Pair, heard: Heard) -> None:
    """Neither where it has others, nor where all of its points are ahead."""
    now = time.time_ns()
    past = now - now % HOUR - 10 * HOUR
    pair.write(grid("m", 50, now + DAY, HOUR))
    result, job = run(pair, heard)
    assert (result.written.points, newest(job)) == (50, {"m": None})
    pair.write(grid("m", 5, past, HOUR))
    _, job = run(pair, heard)
    assert newest(job) == {"m": past + 4 * HOUR}
    assert job.databases[pair.database].newest == past + 4 * HOUR


def test_retries_are_counted_and_told_while_they_go_on(pair: Pair, heard: Heard) -> None:
    """As many as there were; the run succeeds all the same."""
    pair.write(grid("m", 1000))
    with Proxy(pair.destination.url) as proxy:
        fault = proxy.inject(respond(503, b"<html>", carried_out=False), "write", count=2)
        sections = {"destination": {"url": proxy.url}, "options": {"retries": 5, "retry_delay": 1}}
        result, job = run(pair, heard, sections)
        assert fault.injected == 2
    assert result.failures == ()
    assert job.totals.retries == 2
    troubles = [state.trouble for state in runs(heard)]
    assert any("HTTP 503" in trouble and "retry 1 of 5" in trouble for trouble in troubles)


def runs(heard: Heard) -> list[RunState]:
    """The runs that were going on, as they were told."""
    return [event.run for event in heard.events if isinstance(event, RunProgress)]


def test_refused_lines_and_what_failed_are_told(pair: Pair, heard: Heard) -> None:
    """A field of another type at the destination; the other measurement is done."""
    pair.write(grid("good", 100) + "\n" + grid("bad", 100))
    pair.destination.create_database(pair.database)
    pair.destination.write(f'bad,h=h0 w="text" {MONDAY}', pair.database)
    result, job = run(pair, heard)
    assert result.written.quarantined > 0
    assert job.totals.failed_runs == 1
    assert job.condition == "failing"
    assert job.problem == "\n".join(result.failures)


def test_points_that_are_too_old_are_counted(pair: Pair, heard: Heard) -> None:
    """The destination's policy keeps less."""
    pair.write(grid("m", 100))
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 1w NAME "autogen"')
    result, job = run(pair, heard)
    assert job.totals.expired == result.written.expired > 0


def test_late_points_are_counted(pair: Pair, heard: Heard) -> None:
    """Those that the look-back finds."""
    begin = time.time_ns() // HOUR * HOUR - 20 * HOUR
    pair.write(grid("m", 1000, begin))
    run(pair, heard)
    pair.write(f"m,h=late v=1i {begin + 5}\nm,h=late v=2i {begin + 6}")
    result, job = run(pair, heard)
    assert result.late == 2
    assert job.totals.late == 2


def test_a_database_that_cannot_be_read_is_a_failure_of_the_run(pair: Pair, heard: Heard) -> None:
    """The others are copied."""
    pair.write(grid("m", 10))
    names = [{"name": "missing"}, {"name": pair.database}]
    result, job = run(pair, heard, {"source": {"databases": names}})
    (failure,) = result.failures
    assert "missing" in failure
    assert pair.database in failure.rpartition("the source has: ")[2].split(", ")
    assert job.history[-1].amounts.points == 10


def test_a_range_and_a_downsampling_job_report_too(pair: Pair, heard: Heard) -> None:
    """Their runs have an end, and other pages."""
    pair.write(grid("m", 1000))
    dates = {"start_date": "2024-01-01", "end_date": "2024-01-02"}
    result, job = run(pair, heard, {"options": {"backup_mode": "range", "range": dates}})
    assert result.written.points == 1000
    assert newest(job) == {"m": MONDAY + 999 * MINUTE}
    pair.destination.drop_database(pair.database)
    _, job = run(pair, heard, {"source": {"group_by": "10m"}})
    (at,) = newest(job).values()
    assert at == MONDAY + 990 * MINUTE


def test_the_share_of_a_run_only_grows(pair: Pair, heard: Heard) -> None:
    """Of a measurement that is read in many pieces."""
    pair.write(grid("m", 2000, MONDAY, WEEK // 2000))
    with Proxy(pair.source.url) as proxy:
        proxy.inject(delay(response=0.3), "query", first=5, count=None)
        run(pair, heard, {"source": {"url": proxy.url}, "options": {"days_of_pagination": 0.5}})
    shares = [state.share for state in runs(heard)]
    assert len(set(shares)) > 2
    assert shares == sorted(shares)


class Notes(SilentRun):
    """Somebody who writes down what is told of each measurement while a run goes on."""

    def __init__(self) -> None:
        self.told: dict[str, list[str]] = {}
        self.written: dict[str, Written] = {}
        self.positions: dict[str, int] = {}

    def begun(self, source: Location) -> None:
        """Write it down."""
        self.told.setdefault(source.measurement, []).append("begun")

    def wrote(self, source: Location, written: Written) -> None:
        """Add it up."""
        self.told[source.measurement].append("wrote")
        self.written[source.measurement] = self.written.get(source.measurement, Written()) + written

    def reached(self, source: Location, position: int, newest: int | None = None) -> None:  # noqa: ARG002
        """It never goes back."""
        assert position >= self.positions.get(source.measurement, position)
        self.positions[source.measurement] = position

    def finished(self, source: Location, result: MeasurementResult, *, stopped: bool) -> None:  # noqa: ARG002
        """Write it down."""
        self.told[source.measurement].append("finished")


def noted(pair: Pair) -> tuple[JobResult, Notes]:
    """What a run does, and what it tells meanwhile."""
    config, stopping, notes = Config(write_job(pair.directory, pair.config())), StopRequest(), Notes()
    with (
        closing(connect(config.job.options, config.job.source, "source", stopping)) as source,
        closing(connect(config.job.options, config.job.destination, "destination", stopping)) as destination,
    ):
        return BackupManager(config, source, destination, listener=notes).run_backup(), notes


def test_all_that_becomes_of_a_measurement_is_told_while_it_goes_on(pair: Pair) -> None:
    """Whether it travels together with others or alone, and of lines that are put aside too."""
    with InfluxServer.start("limited", settings={"data.max-series-per-database": 20}) as limited:
        own = Pair(pair.source, limited, pair.database, pair.directory)
        own.write(grid("large", 300, step=DAY))
        own.write(f"mixed v=1 {MONDAY}\nmixed v=1i {MONDAY + 3 * WEEK}")
        for n in range(10):
            own.write("\n".join(f"m{n},h=h{i % 3} v={i} {MONDAY + i}" for i in range(40)))
        result, notes = noted(own)
    of_name = {m.name.rpartition(".")[2]: m for d in result.databases for m in d.measurements}
    assert len(of_name) == 12
    assert result.written.quarantined > 0
    for name, measurement in of_name.items():
        told = notes.told[name]
        assert (told[0], told.count("finished")) == ("begun", 1)
        assert notes.written[name].points == measurement.written.points
        assert notes.written[name].quarantined == measurement.written.quarantined


def test_a_measurement_that_cannot_be_counted_before_is_copied_and_counts_as_new(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the others is known what was there; and the run is ok."""
    caplog.set_level(logging.INFO)
    pair.write(grid("a", 10) + "\n" + grid("b", 10))
    assert pair.backup().failures == ()
    pair.write(grid("a", 20) + "\n" + grid("b", 20))
    error = json.dumps({"error": "cannot count that"}).encode()
    refuse = respond(400, error, "application/json", carried_out=False, **{"X-Influxdb-Version": "1.6.7"})
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(only(_counts_b, refuse), "query", count=None)
        result = pair.backup({"destination": {"url": proxy.url}})
    assert result.failures == ()
    told = {m.name.rpartition(".")[2]: m.written.points for d in result.databases for m in d.measurements}
    assert told["a"] == 10
    assert told["b"] > 10
    assert f"{pair.database}.autogen.b: what is read again of it counts as new" in caplog.text
    pair.assert_equal()


def _counts_b(question: str) -> bool:
    """But for one point of it, and for its fingerprints."""
    return (
        "SELECT count(" in question
        and '"b" WHERE' in question
        and not ("GROUP BY" in question or "::tag" in question)
    )
