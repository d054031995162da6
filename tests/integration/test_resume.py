"""Incremental runs: the destination is the checkpoint, and each field resumes at its own place."""

import signal
import time

import pytest

from backup import BackupManager
from basics.stopping import StopRequest
from config import Config
from copying.obsolete import Thresholds
from copying.task import Copy, Target
from influx.errors import Unreachable
from influx.influxql import Location, Policy
from influx_client import InfluxClient, connect
from settings.keys import Server
from tests.integration.daemon import running
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, endpoint, moved, write_job
from tests.support.proxy import Gate, Proxy, respond
from tests.support.reader import key
from tests.support.servers import InfluxServer, Settings
from tests.support.waiting import HANG, wait_until


def minutely(count: int, begin: int = MONDAY, hosts: str = "ab", field: str = "v") -> str:
    """Lines of one measurement, a point a minute and host."""
    return "\n".join(
        f"cpu,host={h} {field}={i}.5,n={i}i {begin + i * 60_000_000_000}" for i in range(count) for h in hosts
    )


def test_a_second_run_moves_only_what_is_new(pair: Pair) -> None:
    """Apart from the newest points, which are read again, nothing is copied twice."""
    pair.write(minutely(500))
    assert pair.backup().written.points == 1000
    pair.write(minutely(10, MONDAY + DAY))
    result = pair.backup()
    assert result.failures == ()
    assert (result.written.points, moved(result)) == (20, 20 + 2)
    pair.assert_equal(points=2040)


def test_a_new_field_with_old_history_is_copied_from_its_own_beginning(pair: Pair) -> None:
    """The newest time of the measurement does not hide the older values of a field never seen before."""
    pair.write(minutely(100, MONDAY + WEEK))
    assert pair.backup().succeeded
    pair.write(f"cpu,host=a late=1i {MONDAY}\ncpu,host=a late=2i {MONDAY + 3 * WEEK}")
    result = pair.backup()
    assert result.succeeded
    assert (result.written.points, moved(result)) == (2, 4)
    pair.assert_equal(points=402)


def test_a_field_whose_copy_was_interrupted_resumes_at_its_own_watermark(pair: Pair) -> None:
    """One field is far behind the other: both become whole, each from where it stands."""
    pair.write(minutely(300))
    pair.destination.create_database(pair.database)
    behind = [f"cpu,host={h} v={i}.5 {MONDAY + i * 60_000_000_000}" for i in range(300) for h in "ab"]
    ahead = [f"cpu,host={h} n={i}i {MONDAY + i * 60_000_000_000}" for i in range(20) for h in "ab"]
    pair.destination.write("\n".join(behind + ahead), pair.database)
    assert pair.backup().succeeded
    pair.assert_equal(points=1200)


def test_points_of_the_future_are_copied_again_until_their_time_has_passed(pair: Pair) -> None:
    """A forecast never counts as a watermark, and a rewritten one arrives with its new value."""
    now = time.time_ns()
    pair.write(
        f"m,kind=forecast v=1 {now + DAY}\nm,kind=forecast v=1 {now + 90 * DAY}\nm,kind=real v=1 {now - DAY}"
    )
    assert pair.backup().succeeded
    pair.write(f"m,kind=forecast v=2 {now + DAY}\nm,kind=real v=2 {now - HOUR}")
    assert pair.backup().succeeded
    pair.assert_equal(points=4)


def test_an_empty_destination_starts_at_fallback_days(pair: Pair) -> None:
    """Only the last days are copied then; once something is there, its watermark counts."""
    now = time.time_ns()
    lines = [f"m v={i} {now - i * DAY}" for i in range(1, 30)]
    pair.write("\n".join(lines))
    result = pair.backup({"options": {"incremental": {"fallback_days": 7.5}}})
    assert result.succeeded
    assert result.written.points == 7
    assert min(at[4] for at in pair.found().points) == now - 7 * DAY


def test_a_field_that_is_new_in_a_measurement_ignores_fallback_days(pair: Pair) -> None:
    """`fallback_days` is for measurements that are empty in the destination, not for new fields."""
    now = time.time_ns()
    sections = {"options": {"incremental": {"fallback_days": 5}}}
    pair.write(f"m v=1 {now - DAY}")
    assert pair.backup(sections).succeeded
    pair.write(f"m w=1 {now - 50 * DAY}")
    assert pair.backup(sections).succeeded
    pair.assert_equal(points=2)


def test_obsolete_measurements_and_fields_are_skipped_only_without_news(pair: Pair) -> None:
    """Both thresholds skip what is old on both sides, and never what has newer data in the source."""
    now = time.time_ns()
    pair.write(f"dead v=1 {now - 100 * DAY}\nm v=1,gone=1 {now - 100 * DAY}\nm v=2 {now - HOUR}")
    assert pair.backup().succeeded
    sections = {"options": {"field_obsolete_threshold": "30d", "incremental": {"obsolete_threshold": "30d"}}}
    result = pair.backup(sections)
    assert result.succeeded
    assert (result.written.points, moved(result)) == (
        0,
        1,
    )  # the newest point of m.v is read again, dead and m.gone are not
    pair.write(f"dead v=2 {now - 60 * DAY}\nm gone=2 {now - 60 * DAY}\ndead late=3 {now - 90 * DAY}")
    assert pair.backup(sections).succeeded
    pair.assert_equal(points=7)


@pytest.mark.parametrize("threshold", ["field_obsolete_threshold", "incremental"])
def test_what_an_interruption_left_out_of_the_newest_time_is_never_obsolete(threshold: str, pair: Pair) -> None:
    """Two points of the newest time travel in two requests, the second fails: the next run brings it."""
    old = time.time_ns() - 100 * DAY
    for host in "ab":  # such a value lets its point travel alone
        pair.write(f"m,host={host}\\\\, v=1,w=2 {old}")
    value = {"obsolete_threshold": "7d"} if threshold == "incremental" else "7d"
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(respond(503), "write", first=2, count=None)
        config = {"destination": {"url": proxy.url}, "options": {"retries": 0, threshold: value}}
        assert not pair.backup(config).succeeded
    assert 0 < len(pair.found()) < 4, "the copy was not interrupted between the two points"
    assert pair.backup({"options": {threshold: value}}).succeeded
    pair.assert_equal(points=4)
    assert moved(pair.backup({"options": {threshold: value}})) == 0


def test_a_wiped_destination_is_filled_again(pair: Pair) -> None:
    """No state is kept anywhere else."""
    pair.write(minutely(50))
    assert pair.backup().succeeded
    pair.destination.drop_database(pair.database)
    assert pair.backup().succeeded
    pair.assert_equal(points=200)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_first_load_resumes(sent: signal.Signals, pair: Pair) -> None:
    """Whenever the process dies, the next run makes the destination whole."""
    pair.write(minutely(30_000, hosts="abcd"))
    gate, jobs = Gate(), pair.directory / "jobs"
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(gate, "write", first=10, count=None)
        options = {"days_of_pagination": 0.05, "timeout_client": HANG}
        write_job(jobs, pair.config({"destination": {"url": proxy.url}, "options": options}))
        with running(jobs, pair.directory) as tool:
            wait_until(gate.is_reached, "the tenth write", progress=lambda: tool.log)
            tool.send(sent)
            if sent == signal.SIGTERM:
                tool.wait_for("stopping after the batches in flight")
                gate.open()
            tool.process.wait(HANG)
            assert "Traceback" not in tool.log
    expected, partial = pair.snapshots()
    assert 0 < len(partial) < len(expected), "the load was not interrupted in its middle"
    result = pair.backup()
    assert result.succeeded
    pair.assert_equal(points=240_000)


def test_the_destination_stops_in_the_middle_and_the_next_run_mends_it(pair: Pair) -> None:
    """The failure is named with measurement and range, the exit is a failure, and nothing is lost."""
    pair.write(minutely(200))
    pair.destination.create_database(pair.database)
    pair.destination.write(minutely(20), pair.database)
    pair.destination.stop()
    try:
        result = pair.backup()
    finally:
        pair.destination.restart()
    assert not result.succeeded
    assert "destination" in result.failures[0]
    assert "Connection refused" in result.failures[0]
    assert pair.backup().succeeded
    pair.assert_equal(points=800)
    assert key("autogen", "cpu", {"host": "a"}, "n", MONDAY) in pair.found().points


def test_forecasts_that_were_rewritten_before_their_time_came_are_copied_again(pair: Pair) -> None:
    """While forecasts go on, a run goes back by the look-back, and brings real points that came beside them."""
    now = MONDAY + WEEK
    hourly = [f"m,kind=forecast v={h} {now + h * HOUR}" for h in range(48)]
    pair.write("\n".join(hourly))
    config = Config(write_job(pair.directory, pair.config()))
    for moment, lines in (
        (now, []),
        (now + 5 * HOUR, [f"m,kind=forecast v=-{h} {now + h * HOUR}" for h in range(1, 48)]
         + [f"m,kind=real v={h} {now + h * HOUR}" for h in range(5)]),
    ):  # fmt: skip
        if lines:
            pair.write("\n".join(lines))
        source = connect(config.job.options, config.job.source, "source", StopRequest())
        destination = connect(config.job.options, config.job.destination, "destination", StopRequest())
        assert BackupManager(config, source, destination, now=moment).run_backup().failures == ()
    pair.assert_equal(points=53)


@pytest.mark.parametrize("state", ["refused", "gone", "whole", "lacking"])
def test_an_old_field_is_skipped_only_where_the_destination_can_tell_that_it_is_whole(
    state: str, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """At its newest time, series by series; a server that does not answer is asked again."""
    caplog.set_level("INFO")
    now = MONDAY + 400 * DAY
    lines = [f"m,host=h{n} v=1,w=1 {MONDAY}" for n in range(5)]
    pair.write("\n".join([*lines, f"m,host=h0 w=2 {now - HOUR}"]))
    config = Config(write_job(pair.directory, pair.config({"options": {"retries": 0}})))
    options = config.job.options.model_copy(update={"field_obsolete_threshold": 30 * DAY})
    limits: Settings = {"coordinator.max-select-series": 3} if state == "refused" else {}
    with InfluxServer.start("limited", settings=limits) as there:
        there.create_database("copied")
        there.write("\n".join(lines[: -1 if state == "lacking" else None]), "copied")
        source, destination = (
            InfluxClient(Server.model_validate(endpoint(server)), role, retries=0)
            for server, role in ((pair.source, "source"), (there, "destination"))
        )
        policy = Policy("autogen", 0, 7 * DAY, is_default=True)
        types = {"v": ("float",), "w": ("float",)}
        target = Target("copied", policy, policy, (), (), {"m": types})
        copy = Copy(Location(pair.database, "autogen", "m"), target, types, ("host",))
        if state == "gone":
            there.stop()
        thresholds = Thresholds(options, source, destination, now)
        if state == "gone":
            with pytest.raises(Unreachable):
                thresholds.without_obsolete([copy], [{"v": MONDAY, "w": MONDAY}])
        else:
            (kept,), (times,) = thresholds.without_obsolete([copy], [{"v": MONDAY, "w": MONDAY}])
            expected = {"w"} if state == "whole" else {"v", "w"}
            assert kept.types.keys() == times.keys() == expected
        source.close()
        destination.close()
    assert ("1 old fields are not skipped: " in caplog.text) is (state == "refused")
    assert ("1 obsolete fields skipped" in caplog.text) is (state == "whole")
