"""Late data: points that reach the source behind those that were copied already come without anybody asking."""

import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from backup import BackupManager
from basics.stopping import StopRequest
from config import Config
from copying.results import JobResult
from influx.errors import Unreachable
from influx_client import connect
from tests.integration.harness import DAY, HOUR, MONDAY, READER, WEEK, Pair, moved, write_job
from tests.support.proxy import Exchange, Proxy, before, forward, respond
from tests.support.servers import InfluxServer

MINUTE = HOUR // 60
SECOND = MINUTE // 60
NOW = MONDAY + 200 * DAY
"""The time of runs whose clock the test sets."""


def run_at(pair: Pair, now: int, sections: Mapping[str, Any] | None = None, elapsed: int = 0) -> JobResult:
    """A run that takes `now` for the present, or for what it was when it began, so long ago."""
    config = Config(write_job(pair.directory, pair.config(sections)))
    source = connect(config.job.options, config.job.source, "source", StopRequest())
    destination = connect(config.job.options, config.job.destination, "destination", StopRequest())
    result = BackupManager(config, source, destination, now=now, elapsed=elapsed).run_backup()
    source.close()
    destination.close()
    return result


def points(host: str, begin: int, end: int, step: int = 10 * MINUTE, measurement: str = "cpu") -> str:
    """Regular points of one host, in [begin, end)."""
    return "\n".join(f"{measurement},host={host} v={t % 97}.5,n={t % 89}i {t}" for t in range(begin, end, step))


def lose(pair: Pair, condition: str) -> None:
    """The destination loses points, as by restoring an older snapshot."""
    pair.destination.query(f"DELETE FROM cpu WHERE {condition}", db=pair.database)  # noqa: S608


def test_a_host_that_flushes_later_than_the_others_loses_nothing(pair: Pair) -> None:
    """The newest time of the field is another host's; the late host's points are found and only they move."""
    pair.write(points("a", NOW - 3 * DAY, NOW) + "\n" + points("b", NOW - 3 * DAY, NOW - HOUR))
    assert run_at(pair, NOW).failures == ()
    pair.write(points("b", NOW - HOUR, NOW))
    result = run_at(pair, NOW)
    assert result.failures == ()
    assert result.late == 12
    assert "12 of them late" in result.sentence
    assert moved(result) < 20
    pair.assert_equal()


@pytest.fixture(scope="module")
def guarded() -> Iterator[InfluxServer]:
    """It shows administrators who wrote to which shard; others find that in its counters."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as server:
        server.query("CREATE USER plain WITH PASSWORD 'pw'")
        yield server


@dataclass(frozen=True)
class Runs:
    """Runs of a job, of which a user of one side is no administrator; none where that is empty."""

    pair: Pair
    plain: str
    url: str

    def at(self, now: int, sections: Mapping[str, Any] | None = None) -> JobResult:
        """One that takes `now` for the present."""
        pair, login = self.pair, {"url": self.url, "user": "plain", "password": "pw"}
        for server in (pair.source, pair.destination):
            if server.user:
                server.create_database(pair.database)
                server.query(f'GRANT ALL ON "{pair.database}" TO plain')
        return run_at(pair, now, {**(sections or {}), **({self.plain: login} if self.plain else {})})


@pytest.fixture(params=["", "source", "destination"], ids=lambda side: side or "none")
def runs(request: pytest.FixtureRequest, guarded: InfluxServer, pair: Pair) -> Iterator[Runs]:
    """As administrators of both sides; as one of one, where a proxy before the other shows no counters either."""
    source = guarded if request.param == "source" else pair.source
    destination = guarded if request.param == "destination" else pair.destination
    with Proxy(guarded.url) as proxy:
        proxy.inject(respond(404), "vars", count=None)
        yield Runs(Pair(source, destination, pair.database, pair.directory), request.param, proxy.url)


def test_forecasts_do_not_hide_observations_however_long_the_tool_stood_still(runs: Runs) -> None:
    """Copied forecasts lie between the last run and this one; the real points beside them come in one run."""
    pair = runs.pair
    pair.write(points("real", NOW - 40 * DAY, NOW - 30 * DAY, HOUR))
    pair.write(points("forecast", NOW - 40 * DAY, NOW - 20 * DAY, HOUR))
    assert runs.at(NOW - 30 * DAY).failures == ()
    pair.write(points("real", NOW - 30 * DAY, NOW, HOUR))
    pair.write(points("forecast", NOW - 20 * DAY, NOW + 10 * DAY, HOUR))
    result = runs.at(NOW)
    assert result.failures == ()
    assert result.late == 2 * 10 * 24
    pair.assert_equal(points=2 * 24 * (40 + 50))


def test_forecasts_do_not_hide_what_came_with_pauses(runs: Runs) -> None:
    """Shard groups that hold nothing but forecasts say nothing about the observations before them."""
    pair = runs.pair
    policy = 'WITH SHARD DURATION 1d NAME "autogen"'
    pair.source.query(f'CREATE DATABASE "{pair.database}" {policy}')
    pair.write(points("real", NOW - 40 * DAY, NOW - 30 * DAY, HOUR))
    pair.write(points("forecast", NOW - 40 * DAY, NOW - 5 * DAY, HOUR))
    assert runs.at(NOW - 30 * DAY).failures == ()
    for day in range(30, 0, -1):
        if day % 7 > 1:
            pair.write(points("real", NOW - day * DAY, NOW - (day - 1) * DAY, HOUR))
    pair.write(points("new", NOW - 29 * DAY, NOW - 28 * DAY, HOUR))
    pair.write(points("forecast", NOW - 5 * DAY, NOW + 2 * DAY, HOUR))
    assert runs.at(NOW).failures == ()
    pair.assert_equal()
    assert runs.at(NOW).late == 0


def test_series_that_cannot_be_kept_fail_only_the_run_that_meets_them(
    pair: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later runs neither copy what is around them again, nor take them for late; they are told in each."""
    monkeypatch.setattr("random.choice", min)  # of the shard groups that nobody wrote to, the oldest
    pair.write(points("a", NOW - 30 * DAY, NOW, HOUR))
    pair.write("\n".join(f"cpu,host=a#!~#b v=1 {t}" for t in range(NOW - 30 * DAY, NOW - DAY, HOUR)))
    assert "696 not sent" in pair_failure(run_at(pair, NOW))
    result = run_at(pair, NOW)
    assert (result.failures, result.late) == ((), 0)
    assert moved(result) < 10
    pair.write(points("b", NOW - 3 * DAY, NOW - 2 * DAY, HOUR))
    caplog.clear()
    assert run_at(pair, NOW).late == 48
    assert "values of tag host cannot be kept by InfluxDB; at least 192 field values are not" in caplog.text


def days_of_one(pair: Pair) -> None:
    """A database with shard groups of a day on the source."""
    pair.source.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1d NAME "autogen"')


def test_a_run_that_cannot_look_back_copies_nothing_new(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest points at the destination are where the next look-back begins: they must not move before."""
    days_of_one(pair)
    pair.write(points("a", NOW - 20 * DAY, NOW - 10 * DAY, HOUR))
    pair.write(points("b", NOW - 20 * DAY, NOW - 10 * DAY - 6 * HOUR, HOUR))
    assert run_at(pair, NOW - 10 * DAY).failures == ()
    for host in "ab":
        pair.write(points(host, NOW - 10 * DAY - 6 * HOUR, NOW, HOUR))
    before = len(pair.found())
    with monkeypatch.context() as broken:
        broken.setattr("copying.compare.Comparer.look", _lost)
        failure = pair_failure(run_at(pair, NOW))
    assert "looking for late data" in failure
    assert len(pair.found()) == before
    assert run_at(pair, NOW + HOUR).failures == ()
    pair.assert_equal()


def _lost(*_: object) -> None:
    raise Unreachable("the connection is lost")


@pytest.mark.parametrize("ended", ["at the source too", "only in time"])
def test_forecasts_that_ended_do_not_hide_observations(ended: str, runs: Runs) -> None:
    """They were withdrawn, or not continued, while the tool stood still."""
    pair = runs.pair
    days_of_one(pair)
    pair.write(points("real", NOW - 40 * DAY, NOW - 30 * DAY, HOUR))
    pair.write(points("forecast", NOW - 40 * DAY, NOW + (5 if ended == "at the source too" else -20) * DAY, HOUR))
    assert runs.at(NOW - 30 * DAY).failures == ()
    if ended == "at the source too":
        withdrawn = f"host = 'forecast' AND time >= {NOW - DAY}"
        pair.source.query(f"DELETE FROM cpu WHERE {withdrawn}", db=pair.database)  # noqa: S608
    pair.write(points("real", NOW - 30 * DAY, NOW - 25 * DAY, HOUR) + "\n" + points("real", NOW - 2 * HOUR, NOW))
    assert runs.at(NOW).failures == ()
    expected, found = pair.snapshots()
    assert expected.points.items() <= found.points.items()


def test_forecasts_that_go_on_do_not_hide_what_came_before_a_pause(runs: Runs) -> None:
    """The newest time that was copied is that of a forecast, and not long ago."""
    pair = runs.pair
    days_of_one(pair)
    pair.write(points("real", NOW - 20 * DAY, NOW - 12 * DAY, HOUR))
    pair.write(points("forecast", NOW - 20 * DAY, NOW - HOUR, HOUR))
    assert runs.at(NOW - 12 * DAY).failures == ()
    pair.write(points("real", NOW - 12 * DAY, NOW - 11 * DAY, HOUR))
    pair.write(points("forecast", NOW - HOUR, NOW + 2 * DAY, HOUR))
    assert runs.at(NOW).failures == ()
    pair.assert_equal()


def test_half_a_shard_group_that_is_equal_does_not_end_the_look_back(runs: Runs) -> None:
    """The last day is compared anyway, and begins in the middle of one."""
    pair, afternoon = runs.pair, NOW + 17 * HOUR
    days_of_one(pair)
    pair.write(points("a", NOW - 30 * DAY, afternoon))
    short = {"options": {"incremental": {"lookback": "1h"}}}
    for _ in range(2):
        assert runs.at(afternoon, short).failures == ()
    pair.write(f"cpu,host=a v=1 {NOW - DAY + HOUR + 7}")
    result = runs.at(afternoon, short)
    assert (result.failures, result.late) == ((), 1)
    pair.assert_equal()


def test_values_that_were_about_to_be_copied_and_did_not_arrive_are_missing(pair: Pair) -> None:
    """Of a new field requests overlap: an older one fails for good, newer ones arrive. The next run brings it."""
    begin, count = NOW - 10 * HOUR, 600
    times = [begin + hour * HOUR + n * (HOUR // count) for hour in range(8) for n in range(count)]
    pair.write("\n".join(f"cpu a={n}i {time}" for n, time in enumerate(times)))

    newer_is_there = threading.Event()

    def hour_of_c(lines: str) -> int:
        if not lines:
            return -1
        return (int(lines.partition("\n")[0].rsplit(" ", 1)[1]) - begin) // HOUR if " c=" in lines else -1

    def refuse(exchange: Exchange) -> None:
        hour = hour_of_c(exchange.text())
        if hour == 1:
            exchange.wait_for(newer_is_there)
            respond(503)(exchange)
        else:
            forward(exchange)
        if hour > 1:
            newer_is_there.set()

    with Proxy(pair.destination.url) as proxy:
        sections = {"options": {"days_of_pagination": 1 / 24}, "destination": {"url": proxy.url}}
        for _ in range(2):
            assert run_at(pair, NOW, sections).failures == ()
        pair.write("\n".join(f"cpu c={n}i {time}" for n, time in enumerate(times)))
        proxy.inject(refuse, "write", count=None)
        assert "503" in pair_failure(run_at(pair, NOW, sections))
        newer = [at for at in pair.found().points if at[3] == b"c" and at[4] >= begin + 2 * HOUR]
        assert newer, "no newer request has arrived: this shows nothing"
        proxy.heal()
        result = run_at(pair, NOW, sections)
    assert (result.failures, result.late) == ((), count)
    pair.assert_equal()


def test_a_rule_that_left_a_measurement_out_leaves_no_memory_of_it(pair: Pair) -> None:
    """Its shard groups were equal without it."""
    days_of_one(pair)
    pair.write(
        points("a", NOW - 90 * DAY, NOW - 60 * DAY, HOUR) + "\n" + points("b", NOW - 90 * DAY, NOW, HOUR, "live")
    )
    for _ in range(2):
        assert run_at(pair, NOW).failures == ()
    lose(pair, f"time >= {NOW - 80 * DAY} AND time < {NOW - 79 * DAY}")
    assert run_at(pair, NOW, {"options": {"incremental": {"obsolete_threshold": "30d"}}}).failures == ()
    result = run_at(pair, NOW)
    assert (result.failures, result.late) == ((), 2 * 24)
    pair.assert_equal()


def test_the_latest_shard_may_be_that_of_an_import(
    pair: Pair, guarded: InfluxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader is told how much was written to which shard, and not which times that holds."""
    monkeypatch.setattr("random.choice", max)
    pair = Pair(guarded, pair.destination, pair.database, pair.directory)
    oldest = NOW - NOW % WEEK - 30 * WEEK
    pair.write(points("live", NOW - 3 * HOUR, NOW - HOUR))
    for week in range(30):
        pair.write(points("import", oldest + (29 - week) * WEEK, oldest + (29 - week) * WEEK + 2 * DAY, HOUR))
    runs = Runs(pair, "source", guarded.url)
    for _ in range(3):
        assert runs.at(NOW).failures == ()
    pair.write(points("import", oldest + 2 * DAY, oldest + 4 * DAY, HOUR))
    result = runs.at(NOW)
    assert (result.failures, result.late) == ((), 2 * 48)
    pair.assert_equal()


def test_what_is_looked_at_a_second_time_is_the_same(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is known which points are never sent, less differs; what the first look has found is still found."""
    pair, times = runs.pair, range(NOW - 10 * DAY, NOW, HOUR)
    days_of_one(pair)
    pair.write(points("a", NOW - 10 * DAY, NOW, HOUR))
    pair.write("\n".join(f"cpu,host=a#!~#b v=1 {time}" for time in times))
    assert "not sent" in pair_failure(runs.at(NOW))
    pair.write(points("late", NOW - 10 * DAY, NOW - 9 * DAY, HOUR))
    monkeypatch.setattr("random.choice", max)
    runs.at(NOW)
    expected, found = pair.snapshots()
    assert {at for at in expected.points if (b"host", b"late") in at[2]} <= found.points.keys()


def test_a_measurement_without_points_there_begins_at_fallback_days(pair: Pair) -> None:
    """The look-back brings nothing older, of no measurement."""
    sections = {"options": {"incremental": {"fallback_days": 7}}}
    pair.write(
        points("x", NOW - 100 * DAY, NOW - 90 * DAY, HOUR, "dead") + "\n" + points("x", NOW - 30 * DAY, NOW, HOUR)
    )
    assert run_at(pair, NOW, sections).failures == ()
    assert run_at(pair, NOW, sections).failures == ()
    assert {at[1] for at in pair.found().points} == {b"cpu"}
    assert min(at[4] for at in pair.found().points) == NOW - 7 * DAY


def test_late_values_of_a_field_that_began_later_than_others(pair: Pair) -> None:
    """With fallback_days, each field is compared from its own first point on."""
    sections = {"options": {"incremental": {"fallback_days": 5}}}
    pair.write("\n".join(f"cpu,host=x v=1 {t}" for t in range(NOW - 3 * DAY, NOW, HOUR)))
    pair.write("\n".join(f"cpu,host=x w=1 {t}" for t in range(NOW - 2 * DAY, NOW, HOUR)))
    assert run_at(pair, NOW, sections).failures == ()
    pair.write(f"cpu,host=late w=1 {NOW - 40 * HOUR}\ncpu,host=late w=1 {NOW - 3 * HOUR + 1}")
    assert run_at(pair, NOW, sections).late == 2
    pair.assert_equal()


def test_what_is_late_of_a_new_field_comes_with_fallback_days_too(pair: Pair) -> None:
    """The first point of a field at the destination says nothing about what others deliver later, but older."""
    sections = {"options": {"incremental": {"fallback_days": 365}}}
    pair.write("\n".join(f"cpu,host=x a=1 {t}" for t in range(NOW - 30 * DAY, NOW, HOUR)))
    assert run_at(pair, NOW, sections).failures == ()
    pair.write("\n".join(f"cpu,host=x b=1 {t}" for t in range(NOW - HOUR, NOW, MINUTE)))
    assert run_at(pair, NOW, sections).failures == ()
    pair.write("\n".join(f"cpu,host=y b=1 {t}" for t in range(NOW - 3 * HOUR, NOW, MINUTE)))
    assert run_at(pair, NOW, sections).late == 180
    pair.assert_equal()
    pair.write(f"cpu,host=z a=1,b=1 {NOW - 2 * HOUR + 1}")
    assert run_at(pair, NOW, sections).late == 2
    pair.assert_equal()


def test_the_hour_in_which_a_short_fallback_begins_is_compared_too(pair: Pair) -> None:
    """What is late inside that hour, and newer than its beginning, is found."""
    sections = {"options": {"incremental": {"fallback_days": 0.1}}}
    begin = NOW - int(0.1 * DAY)
    pair.write("\n".join(f"cpu,host=x v=1 {t}" for t in range(begin - DAY, NOW, MINUTE)))
    assert run_at(pair, NOW, sections).failures == ()
    pair.write("\n".join(f"cpu,host=y v=1 {t}" for t in range(begin - 5 * MINUTE, begin + 5 * MINUTE, MINUTE)))
    assert run_at(pair, NOW, sections).late == 5
    assert min(at[4] for at in pair.found().points) == begin


def pair_failure(result: JobResult) -> str:
    """The one failure of a run."""
    (failure,) = result.failures
    return failure


def test_an_old_point_and_a_new_series_with_old_points_come(pair: Pair) -> None:
    """Whatever their age, as long as the newer shard groups that hold data lack some, too."""
    pair.write(points("a", NOW - 100 * DAY, NOW, HOUR))
    assert run_at(pair, NOW).failures == ()
    pair.write(f"cpu,host=a v=1.25 {NOW - 5 * DAY + 1}")
    assert run_at(pair, NOW).late == 1
    pair.assert_equal()
    pair.write(points("new", NOW - 90 * DAY, NOW - 2 * DAY, HOUR))
    result = run_at(pair, NOW)
    assert result.failures == ()
    assert result.late == 88 * 24 * 2
    pair.assert_equal()


@pytest.mark.parametrize(
    ("begin", "end"),
    [(NOW - 2 * HOUR, NOW), (NOW - 9 * DAY, NOW - 8 * DAY), (NOW - 60 * DAY, NOW - 3 * DAY), (0, NOW - DAY)],
)
def test_points_that_the_destination_lost_come_back(begin: int, end: int, pair: Pair) -> None:
    """A hole of any length is filled, and what is around it is not copied again."""
    pair.write(points("a", NOW - 70 * DAY, NOW, HOUR) + "\n" + points("b", NOW - 70 * DAY, NOW, HOUR))
    assert run_at(pair, NOW).failures == ()
    lose(pair, f"time >= {begin} AND time < {end} AND host = 'a'")
    lost = len(pair.snapshots()[0]) - len(pair.found())
    assert lost > 0
    result = run_at(pair, NOW)
    assert result.failures == ()
    assert result.late in (lost, lost - 2)  # what was newest of all is new again
    assert moved(result) <= lost + 2 * 2 * 7 * 24  # two shard groups around it
    pair.assert_equal()


def test_a_late_value_that_changes_while_it_is_copied_is_for_the_next_run(pair: Pair) -> None:
    """It is copied three times, then what is new, and the next run brings what there is by then."""
    pair.write(points("a", NOW - 3 * DAY, NOW, HOUR))
    assert run_at(pair, NOW).failures == ()
    pair.write(f"cpu,host=a v=0,n=0i {NOW - DAY}\ncpu,host=a v=7,n=7i {NOW}")
    values = itertools.count(1)

    def change() -> None:
        pair.write(f"cpu,host=a v={next(values)} {NOW - DAY}")

    with Proxy(pair.destination.url) as proxy:
        proxy.inject(before(change), "write", count=None)
        result = run_at(pair, NOW, {"destination": {"url": proxy.url}})
        assert (result.failures, result.cautions) == ((), ())
        assert (proxy.seen["write"], result.late) == (4, 1)
    assert run_at(pair, NOW).failures == ()
    pair.assert_equal()


def test_what_only_the_destination_has_does_not_hide_what_it_lacks(pair: Pair) -> None:
    """Series of another origin, or deleted at the source since: then each series is counted by itself."""
    pair.write(points("a", NOW - 30 * DAY, NOW, HOUR))
    assert run_at(pair, NOW).failures == ()
    pair.destination.write(points("elsewhere", NOW - 30 * DAY, NOW, MINUTE), pair.database)
    pair.write(
        points("late", NOW - 6 * HOUR, NOW - 4 * HOUR) + "\n" + points("late", NOW - 9 * DAY, NOW - 8 * DAY)
    )
    result = run_at(pair, NOW)
    assert result.failures == ()
    assert result.late == 2 * (12 + 144)
    again = run_at(pair, NOW)
    assert (again.late, again.written.points) == (0, 0)


def test_equal_counts_copy_nothing_again(pair: Pair) -> None:
    """Only the newest points are read again when nothing is late."""
    pair.write(points("a", NOW - 30 * DAY, NOW, HOUR))
    assert run_at(pair, NOW).written.points == 720
    result = run_at(pair, NOW)
    assert (result.late, result.written.points, moved(result)) == (0, 0, 1)


def test_a_large_shard_group_is_narrowed_down(pair: Pair) -> None:
    """One late point among many costs a few points, not the week around it."""
    pair.write(points("a", NOW - 9 * DAY, NOW, 10 * SECOND))
    assert run_at(pair, NOW).failures == ()
    pair.write(f"cpu,host=b v=1 {NOW - 3 * DAY + 7}")
    result = run_at(pair, NOW)
    assert result.late == 1
    assert moved(result) < 26_000
    pair.assert_equal()


def test_a_lookback_of_zero_looks_at_nothing(pair: Pair) -> None:
    """The late point stays behind, because the user says so."""
    pair.write(points("a", NOW - 3 * DAY, NOW))
    off = {"options": {"incremental": {"lookback": "0"}}}
    assert run_at(pair, NOW, off).failures == ()
    pair.write(points("b", NOW - 3 * HOUR, NOW - HOUR))
    assert run_at(pair, NOW, off).late == 0
    assert run_at(pair, NOW).late == 24
    pair.assert_equal()


def test_a_longer_lookback_is_compared_as_a_whole(pair: Pair) -> None:
    """An equal shard group does not end the comparison before the look-back does."""
    pair.write(points("a", NOW - 60 * DAY, NOW, HOUR))
    assert run_at(pair, NOW).failures == ()
    lose(pair, f"time >= {NOW - 40 * DAY} AND time < {NOW - 39 * DAY}")
    assert run_at(pair, NOW, {"options": {"incremental": {"lookback": "45d"}}}).late == 48
    pair.assert_equal()


def test_a_gap_behind_whole_shard_groups_that_lack_nothing_is_found(pair: Pair) -> None:
    """Groups inside the look-back, and one that its end goes through, say nothing about those behind it.

    Where only an administrator could tell which of them were written to.
    """
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER writer WITH PASSWORD 'pw'")
        guarded.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1d NAME "autogen"')
        guarded.query(f'GRANT ALL ON "{pair.database}" TO writer')
        other = Pair(pair.source, guarded, pair.database, pair.directory)
        login = {"user": "writer", "password": "pw"}
        days_of_one(other)
        other.write(points("a", NOW - 40 * DAY, NOW, HOUR))
        assert run_at(other, NOW, {"destination": login}).failures == ()
        lose(other, f"time >= {NOW - 25 * DAY} AND time < {NOW - 4 * DAY}")
        # it ends in the middle of the fourth day: the second, the third and the fourth day lack nothing
        sections = {"destination": login, "options": {"incremental": {"lookback": "84h"}}}
        result = run_at(other, NOW, sections)
        assert result.failures == ()
        assert result.late == 2 * 21 * 24
        other.assert_equal()


def test_late_points_of_fields_that_change_their_type(pair: Pair) -> None:
    """Counted by kind, copied with the type of their shard."""
    kinds = ["v=1.5", "v=2i", 'v="text"', "v=true"]
    days = [(NOW - d * DAY, d) for d in range(60)]
    lines = [f"m,h=a {kinds[(t - MONDAY) // WEEK % 4]},w={d}i {t}" for t, d in days]
    pair.write("\n".join(lines[::2]))
    assert run_at(pair, NOW).failures == ()
    pair.write("\n".join(lines))
    result = run_at(pair, NOW)
    assert result.failures == ()
    assert result.late == 60
    pair.assert_equal(points=120)


def test_late_points_of_names_that_quotes_cannot_hold(pair: Pair) -> None:
    """Such names are counted by a regex, each field in a statement of its own."""
    pair.write(b"a\rb,t\r=x\r f\r=1.5,plain=2i %d" % (NOW - HOUR))
    assert run_at(pair, NOW).failures == ()
    pair.write(b"a\rb,t\r=y\r f\r=1.5,plain=2i %d" % (NOW - 2 * HOUR))
    result = run_at(pair, NOW)
    assert result.failures == ()
    assert result.late == 2
    pair.assert_equal(points=4)


def test_history_before_fallback_days_is_not_late(pair: Pair) -> None:
    """What the user does not want is not found missing."""
    now = time.time_ns()
    sections = {"options": {"incremental": {"fallback_days": 5}}}
    pair.write(points("a", now - 20 * DAY, now - HOUR, HOUR))
    assert run_at(pair, now, sections).failures == ()
    lose(pair, f"time >= {now - 3 * DAY} AND time < {now - 2 * DAY}")
    assert run_at(pair, now, sections).late == 48
    assert min(at[4] for at in pair.found().points) >= now - 5 * DAY


def test_what_a_shorter_retention_gave_up_is_not_late(pair: Pair) -> None:
    """The destination keeps less: only what it can hold is compared."""
    now = time.time_ns()
    pair.write(points("a", now - 20 * DAY, now - HOUR, HOUR))
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 10d SHARD DURATION 1d NAME "autogen"')
    assert not run_at(pair, now).succeeded  # it says what could not be stored
    lose(pair, f"time >= {now - 3 * DAY} AND time < {now - 2 * DAY}")
    result = run_at(pair, now)
    assert result.failures == ()
    assert result.late == 48


def test_a_user_without_admin_rights_finds_late_points_too(guarded_pair: Pair) -> None:
    """Shard groups that may not be seen are taken from the policy's shard duration."""
    guarded_pair.write(points("a", NOW - 100 * DAY, NOW, HOUR))
    login = {"source": READER}
    assert run_at(guarded_pair, NOW, login).failures == ()
    guarded_pair.write(points("b", NOW - 50 * DAY, NOW, HOUR))
    result = run_at(guarded_pair, NOW, login)
    assert result.failures == ()
    guarded_pair.assert_equal()


def test_means_are_computed_again_over_the_lookback(pair: Pair) -> None:
    """A late point changes the mean of a window that is there already."""
    downsampled = {"source": {"group_by": "1h"}}
    pair.write(f"m v=1 {NOW - 5 * HOUR}\nm v=3 {NOW - HOUR}")
    assert run_at(pair, NOW, downsampled).failures == ()
    pair.write(f"m v=2 {NOW - 5 * HOUR + MINUTE}")
    assert run_at(pair, NOW, downsampled).failures == ()
    assert pair.destination.rows("SELECT v FROM m", db=pair.database, epoch="ns") == [
        [NOW - 5 * HOUR, 1.5],
        [NOW - HOUR, 3],
    ]


def test_means_whose_points_the_source_gave_up_stay(pair: Pair) -> None:
    """Points that are gone from a part of a window must not change its mean."""
    now = time.time_ns()
    day = now - now % DAY
    pair.source.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 2h SHARD DURATION 1h NAME "autogen"')
    downsampled = {"source": {"group_by": "1d"}, "options": {"incremental": {"lookback": "5d"}}}
    pair.write(f"m v=5 {now - MINUTE}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=1 {day - DAY}\nm v=1 {day - 2 * DAY}", pair.database)
    assert run_at(pair, now, downsampled).failures == ()
    assert pair.destination.rows("SELECT v FROM m", db=pair.database, epoch="ns")[0] == [day - 2 * DAY, 1]


def test_many_measurements_take_few_requests(pair: Pair) -> None:
    """Counting is asked for in bulk: 300 measurements with nothing new cost the source some dozens of requests."""
    pair.write("\n".join(f"m{i:03} v={i}i,w={h} {NOW - h * HOUR}" for i in range(300) for h in range(48)))
    assert run_at(pair, NOW).failures == ()
    before = _queries(pair)
    assert run_at(pair, NOW).failures == ()
    # each measurement's newest points are read once more, the rest is asked for in bulk
    assert _queries(pair) - before < 300 + 60


def _queries(pair: Pair) -> int:
    answer = pair.source.query("SHOW STATS FOR 'httpd'")[0]["series"][0]
    return int(dict(zip(answer["columns"], answer["values"][0], strict=True))["queryReq"])
