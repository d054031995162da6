"""`main.py verify` and `repair`: equal, different and not checked are never confused, and nothing is deleted."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from basics.stopping import StopRequest
from basics.times import format_time
from checking import verify
from checking.repair import Repairer
from checking.verdict import JobVerdict, Scope
from checking.verify import Verifier
from config import Config
from copying.compare import Comparer
from copying.results import MeasurementResult
from copying.windows import Window
from influx_client import connect
from tests.integration.harness import DAY, HOUR, MONDAY, ROOT, WEEK, Pair, job_config, run_main, write_job
from tests.support.proxy import Exchange, Proxy, forward
from tests.support.servers import InfluxServer

MINUTE = HOUR // 60


def tools(
    pair: Pair,
    scope: Scope | None = None,
    sections: Mapping[str, Any] | None = None,
    stopping: StopRequest | None = None,
) -> tuple[Verifier, Repairer]:
    """What `verify` and `repair` use for the pair's job."""
    config = Config(write_job(pair.directory, pair.config(sections)))
    stopping = stopping or StopRequest()
    source = connect(config.job.options, config.job.source, "source", stopping)
    destination = connect(config.job.options, config.job.destination, "destination", stopping)
    verifier = Verifier(config, source, destination, scope or Scope(), stopping)
    return verifier, Repairer(config, source, destination, verifier, stopping)


def verified(pair: Pair, scope: Scope | None = None, sections: Mapping[str, Any] | None = None) -> JobVerdict:
    """What `verify` finds."""
    return tools(pair, scope, sections)[0].verify()


def repaired(
    pair: Pair, scope: Scope | None = None, sections: Mapping[str, Any] | None = None
) -> tuple[JobVerdict, list[MeasurementResult]]:
    """What is left to find after a `repair --yes`, and what it did."""
    verifier, repairer = tools(pair, scope, sections)
    assert verifier.verify().differs
    results = repairer.run(repairer.plan(verifier.tallies))
    return verifier.verify_again(), results


def sums(verdict: JobVerdict) -> tuple[int, int, int]:
    """Values missing, extra and different."""
    found = verdict.measurements
    return sum(m.missing for m in found), sum(m.extra for m in found), sum(m.different for m in found)


def fill(pair: Pair, count: int = 2000) -> None:
    """Points of all types over five weeks, copied."""
    lines = [
        f'cpu,host=h{i % 3} v={i}.5,n={i}i,s="text\\"{i}\n",b={"tf"[i % 2]} {MONDAY + i * 25 * MINUTE}'
        for i in range(count)
    ]
    pair.write("\n".join(lines) + f"\nmem v=1 {MONDAY}")
    assert pair.backup().failures == ()


@pytest.mark.parametrize("full", [False, True])
def test_equal_is_equal(full: bool, pair: Pair) -> None:
    """All values are counted, or compared, on both sides."""
    fill(pair)
    verdict = verified(pair, Scope(full=full))
    assert (verdict.all_problems, verdict.differs) == ((), False)
    assert sum(m.source for m in verdict.measurements) == sum(m.destination for m in verdict.measurements) == 8001
    assert all(m.windows == m.of > 0 for m in verdict.measurements)


@pytest.mark.usefixtures("quick")
def test_fingerprints_find_what_is_missing_and_extra(pair: Pair) -> None:
    """Narrowed down to an hour or less around each, also where one hides the other."""
    fill(pair)
    lost = MONDAY + 1000 * 25 * MINUTE
    pair.destination.query(f"DELETE FROM cpu WHERE time = {lost}", db=pair.database)  # noqa: S608
    pair.destination.write(f"cpu,host=extra v=1,n=1i {lost + 1}\nonly,host=a v=1 {MONDAY}", pair.database)
    verdict = verified(pair)
    assert sums(verdict) == (4, 3, 0)
    of = {m.name.rsplit(".", 1)[1]: m for m in verdict.measurements}
    (found,) = of["cpu"].differences
    assert found.span.start <= lost < found.span.end
    assert found.span.length <= 2
    assert (of["only"].extra, of["only"].source, of["mem"].word) == (1, 0, "equal")


@pytest.mark.usefixtures("quick")
def test_full_finds_every_value_that_differs(pair: Pair) -> None:
    """Values, types within a shard group, single nanoseconds; fingerprints feel a number, but no other text."""
    fill(pair)
    times = [MONDAY + i * 25 * MINUTE for i in (3, 900, 1999)]
    pair.destination.write(
        f'cpu,host=h0 s="other" {times[0]}\ncpu,host=h0 v=900.5000000000001 {times[1]}\n'
        f"cpu,host=h1 n=-1i {times[2]}",
        pair.database,
    )
    felt = verified(pair)
    assert sums(felt) == (0, 0, 1)
    assert [(d.span.start, d.fields) for m in felt.measurements for d in m.differences] == [(times[2], ("n",))]
    assert "text and boolean fields" in felt.notes[0]
    verdict = verified(pair, Scope(full=True))
    assert sums(verdict) == (0, 0, 3)
    (cpu,) = (m for m in verdict.measurements if m.differences)
    assert [(d.span.start, d.span.length, d.fields) for d in cpu.differences] == [
        (times[0], 1, ("s",)),
        (times[1], 1, ("v",)),
        (times[2], 1, ("n",)),
    ]


@pytest.mark.usefixtures("quick")
def test_full_sees_missing_beside_extra_values(pair: Pair) -> None:
    """The same number of values on both sides, at different nanoseconds and of different series."""
    fill(pair)
    at = MONDAY + 300 * 25 * MINUTE
    pair.destination.query(f"DELETE FROM cpu WHERE time = {at}", db=pair.database)  # noqa: S608
    pair.destination.write(f'cpu,host=h0 v=300.5,n=300i,s="text\\"300\n",b=true {at + 1}', pair.database)
    verdict = verified(pair, Scope(full=True))
    assert sums(verdict) == (4, 4, 0)
    (found,) = next(m for m in verdict.measurements if m.differences).differences
    assert (found.span.start, found.span.end) == (at, at + 2)


def test_pages_of_different_lengths_are_compared_exactly(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two sides are read page by page, and their pages end at different points."""
    monkeypatch.setattr(verify, "SETTLE", 0.0)
    monkeypatch.setattr("copying.compare.page_rows", lambda _: 50)
    fill(pair)
    for begin in (100, 700, 701, 1500):
        start, end = MONDAY + begin * 25 * MINUTE, MONDAY + (begin + 70) * 25 * MINUTE
        pair.destination.query(f"DELETE FROM cpu WHERE time >= {start} AND time < {end}", db=pair.database)  # noqa: S608
    assert sums(verified(pair, Scope(full=True))) == (4 * (70 + 71 + 70), 0, 0)


@pytest.mark.parametrize("full", [False, True])
def test_fields_that_change_their_type(full: bool, pair: Pair) -> None:
    """Every shard group is compared with its own types."""
    kinds = ["v=1.5", "v=2i", 'v="text"', "v=true"]
    pair.write(
        "\n".join(f"m {kind} {MONDAY + i * WEEK + h * HOUR}" for i, kind in enumerate(kinds) for h in range(9))
    )
    assert pair.backup().failures == ()
    assert not verified(pair, Scope(full=full)).differs
    pair.write(f"m v=3i {MONDAY + WEEK + 100 * HOUR}")
    assert sums(verified(pair, Scope(full=full))) == (1, 0, 0)


def test_writes_on_their_way_are_no_difference(pair: Pair) -> None:
    """What arrives before the second look counts as there."""
    fill(pair, 100)
    pair.write(f"mem v=2 {MONDAY + 1}")

    class ArrivesInThePause(StopRequest):
        def wait(self, seconds: float) -> bool:
            if seconds > 0:
                pair.destination.write(f"mem v=2 {MONDAY + 1}", pair.database)
            return super().wait(seconds)

    assert verified(pair).differs
    assert not tools(pair, stopping=ArrivesInThePause())[0].verify().differs


def test_the_newest_minute_and_the_future_are_not_compared_unless_asked_for(pair: Pair) -> None:
    """A point that was written a second ago may be copied by the next run."""
    fill(pair, 100)
    now = time.time_ns()
    pair.write(f"mem v=2 {now}\nmem v=3 {now + DAY}")
    assert not verified(pair).differs
    assert sums(verified(pair, Scope(end=now + 2 * DAY))) == (2, 0, 0)
    assert not verified(pair, Scope(start=MONDAY, end=MONDAY + DAY)).differs


def test_a_missing_database_policy_or_measurement_is_a_difference(pair: Pair) -> None:
    """Nothing at the destination is the largest difference, not an error."""
    pair.write(f"m v=1 {MONDAY}")
    pair.source.query(f'CREATE RETENTION POLICY "other" ON "{pair.database}" DURATION 0s REPLICATION 1')
    pair.write(f"m v=1,w=2 {MONDAY}", "other")
    assert sums(verified(pair)) == (3, 0, 0)
    pair.destination.create_database(pair.database)
    assert sums(verified(pair)) == (3, 0, 0)
    assert sums(verified(pair, Scope(full=True))) == (3, 0, 0)


def test_what_cannot_be_compared_is_never_called_equal(pair: Pair) -> None:
    """Downsampled jobs, databases that are not there, types that counting cannot tell apart, no time."""
    fill(pair, 100)
    assert "group_by" in verified(pair, None, {"source": {"group_by": "5m"}}).all_problems[0]
    gone = {"source": {"databases": [{"name": "no such database"}]}}
    assert "no such database" in verified(pair, None, gone).all_problems[0]
    assert "no time" in verified(pair, Scope(seconds=0)).all_problems[0]
    pair.write(f"t v=1i {MONDAY}\nt v=1.5 {MONDAY + WEEK}")
    floats = {"measurements": {"specific": {"t": {"fields": {"types": ["float"]}}}}}
    assert pair.backup(floats).failures == ()
    assert "--full" in verified(pair, None, floats).all_problems[0]
    verdict = verified(pair, Scope(full=True), floats)
    assert (verdict.all_problems, verdict.differs) == ((), False)
    pair.destination.write(f"t v=99.5 {MONDAY + WEEK}", pair.database)
    assert sums(verified(pair, Scope(full=True), floats)) == (0, 0, 1)
    pair.destination.query("DELETE FROM t", db=pair.database)
    assert sums(verified(pair, Scope(full=True), floats)) == (1, 0, 0)


def test_selected_measurements_and_fallback_days(pair: Pair) -> None:
    """Only what the job names is compared, and only the history that it wants."""
    now = time.time_ns()
    pair.write("\n".join(f"m v=1,w=1 {now - d * DAY}" for d in range(1, 30)) + f"\nother v=1 {now - DAY}")
    sections = {
        "measurements": {"include": ["m"], "specific": {"m": {"fields": {"include": ["v"]}}}},
        "options": {"incremental": {"fallback_days": 10}},
    }
    assert pair.backup(sections).failures == ()
    verdict = verified(pair, None, sections)
    assert [(m.name.rsplit(".", 1)[1], m.source, m.word) for m in verdict.measurements] == [("m", 9, "equal")]
    assert sums(verified(pair, Scope(start=MONDAY), sections)) == (20, 0, 0)


def test_a_share_of_the_windows(pair: Pair) -> None:
    """A random share is compared, and the verdict says how much."""
    pair.write("\n".join(f"m v={d} {MONDAY + d * WEEK}" for d in range(100)))
    assert pair.backup().failures == ()
    verdict = verified(pair, Scope(share=0.1))
    (found,) = verdict.measurements
    assert (found.windows, found.of, found.source) == (10, 100, 10)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.usefixtures("quick")
def test_repair_brings_what_is_missing_and_deletes_nothing(full: bool, pair: Pair) -> None:
    """Only the stretches that differ are copied; what only the destination has stays, and is still reported."""
    fill(pair)
    begin, end = MONDAY + WEEK, MONDAY + WEEK + 3 * DAY
    pair.destination.query(f"DELETE FROM cpu WHERE time >= {begin} AND time < {end}", db=pair.database)  # noqa: S608
    verdict, (result,) = repaired(pair, Scope(full=full))
    assert result.problems == ()
    assert result.written.points < 2 * 173
    assert not verdict.differs
    pair.assert_equal()
    pair.destination.write(f"cpu,host=extra v=1 {MONDAY}", pair.database)
    verdict, results = repaired(pair, Scope(full=full))
    assert (sums(verdict), results) == ((0, 1, 0), [])


@pytest.mark.usefixtures("quick")
def test_repair_corrects_values_that_differ(pair: Pair) -> None:
    """With --full, a value that was changed at the destination is written over."""
    fill(pair)
    pair.destination.write(f"cpu,host=h0 v=-1 {MONDAY}", pair.database)
    assert sums(verified(pair, Scope(full=True))) == (0, 0, 1)
    assert not repaired(pair, Scope(full=True))[0].differs
    pair.assert_equal()


@pytest.mark.usefixtures("quick")
def test_repair_creates_what_is_not_there(pair: Pair) -> None:
    """A destination without the database is filled."""
    pair.write(f"m v=1 {MONDAY}\nm v=2 {MONDAY + WEEK}")
    assert not repaired(pair)[0].differs
    pair.assert_equal(points=2)


@pytest.mark.usefixtures("quick")
def test_fields_that_only_a_regex_can_name_and_that_change_their_type(pair: Pair) -> None:
    """Counting cannot see them apart, reading can."""
    pair.write(b'm f\r=1.5 %d\nm f\r="x" %d' % (MONDAY, MONDAY + WEEK))
    assert pair.backup().failures == ()
    assert not verified(pair, Scope(full=True)).differs
    pair.destination.write(b"m f\r=7.5 %d" % MONDAY, pair.database)
    assert sums(verified(pair, Scope(full=True))) == (0, 0, 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("scope", [Scope(start=MONDAY + 20 * WEEK), Scope(share=0.4), Scope(seconds=60)])
def test_a_partial_repair_leaves_what_is_newer_than_the_destination_to_the_next_run(
    scope: Scope, pair: Pair
) -> None:
    """Otherwise the next run would go on from there, and never look back far enough."""
    pair.write("\n".join(f"m v={d} {MONDAY + d * DAY}" for d in range(200)))
    pair.destination.create_database(pair.database)
    pair.destination.write("\n".join(f"m v={d} {MONDAY + d * DAY}" for d in range(5)), pair.database)
    repaired(pair, scope)
    found = sorted(at[4] for at in pair.found().points)
    assert found == [MONDAY + d * DAY for d in range(len(found))]
    assert pair.backup().failures == ()
    pair.assert_equal(points=200)


@pytest.mark.usefixtures("quick")
def test_a_repair_says_what_it_leaves_to_the_next_run(pair: Pair, tmp_path: Path) -> None:
    """In its plan, measurement by measurement."""
    pair.write("\n".join(f"m v={d} {MONDAY + d * DAY}" for d in range(200)))
    pair.destination.create_database(pair.database)
    pair.destination.write("\n".join(f"m v={d} {MONDAY + d * DAY}" for d in range(5)), pair.database)
    job = write_job(tmp_path, pair.config())
    done = run_main("repair", "--config", job, "--start", format_time(MONDAY + 20 * WEEK), "--yes")
    assert f"{pair.database}.autogen.m: not 60 values that the next run will copy" in done.stdout + done.stderr


@pytest.mark.usefixtures("quick")
def test_one_stretch_that_cannot_be_repaired_does_not_keep_the_others(pair: Pair) -> None:
    """A conflict in an old shard group is named; all else arrives."""
    pair.write("\n".join(f"m v={d},w={d} {MONDAY + d * DAY}" for d in range(60)))
    pair.destination.create_database(pair.database)
    pair.destination.write(f'm v="conflict" {MONDAY + 3 * DAY + 1}', pair.database)
    verdict, (result,) = repaired(pair)
    assert "'v'" in result.problems[0]
    left = [d for m in verdict.measurements for d in m.differences]
    assert {d.fields for d in left} == {("v",)}
    assert all(d.span.end <= MONDAY + WEEK for d in left)


@pytest.mark.usefixtures("quick")
def test_values_of_another_series_do_not_hide_what_a_repair_has_to_bring(pair: Pair) -> None:
    """As many values of one series too much as of another are missing: the totals are equal."""
    pair.write("\n".join(f"m,host={h} v={d} {MONDAY + d * HOUR}" for d in range(100) for h in "abc"))
    assert pair.backup().failures == ()
    at = MONDAY + 5 * HOUR
    pair.destination.query(f"DELETE FROM m WHERE host = 'a' AND time = {at}", db=pair.database)  # noqa: S608
    pair.destination.write(f"m,host=x v=1 {MONDAY + 5 * HOUR}\nm,host=x v=1 {MONDAY + 6 * HOUR}", pair.database)
    verdict, (result,) = repaired(pair)
    assert (sums(verdict), result.problems) == ((0, 2, 0), ())


@pytest.mark.usefixtures("quick")
def test_a_repair_with_a_time_box_looks_again_without_it(pair: Pair) -> None:
    """What was found is copied and confirmed, though the time is over."""
    fill(pair, 500)
    pair.destination.query(f"DELETE FROM cpu WHERE time = {MONDAY + 50 * MINUTE}", db=pair.database)  # noqa: S608
    verifier, repairer = tools(pair, Scope(seconds=60))
    assert verifier.verify().differs
    repairer.run(repairer.plan(verifier.tallies))
    verifier.scope = Scope(seconds=0)
    assert not verifier.verify_again().differs


class StopsInThePause(StopRequest):
    """A stop that comes between the first look and the second."""

    def wait(self, seconds: float) -> bool:
        """It is requested meanwhile."""
        self.requested = seconds > 0
        return super().wait(seconds)


@pytest.mark.parametrize("full", [False, True])
def test_what_was_found_before_a_stop_is_told_of_each_measurement(full: bool, pair: Pair) -> None:
    """As bounds, because nobody looked closer; what was not looked at a second time is not called equal."""
    fill(pair, 500)
    pair.write(f"disk v=1 {MONDAY}\ndisk v=2 {MONDAY + 1}")
    assert pair.backup().failures == ()
    for name in ("cpu", "disk", "mem"):
        pair.destination.query(f'DELETE FROM "{name}" WHERE time = {MONDAY}', db=pair.database)  # noqa: S608
    verdict = tools(pair, Scope(full=full), stopping=StopsInThePause())[0].verify()
    assert verdict.all_problems == ("stopped before the end",)
    assert {m.name.rpartition(".")[2]: m.missing for m in verdict.measurements} == {"cpu": 4, "disk": 1, "mem": 1}
    assert all(d.at_least for m in verdict.measurements for d in m.differences)


def test_a_stop_while_it_is_looked_closer_leaves_bounds(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a time that lacks points, of which nobody read the values any more."""
    fill(pair, 500)
    pair.destination.query(f"DELETE FROM cpu WHERE time = {MONDAY}", db=pair.database)  # noqa: S608
    stopping, narrow = StopRequest(), Comparer.narrow
    verifier, _ = tools(pair, stopping=stopping)

    def narrowed(*asked: Any) -> Iterator[Window]:  # noqa: ANN401
        found = list(narrow(*asked))
        assert verifier.progress.phase == "looking closer"
        assert verifier.progress.of == 1
        stopping.requested = True
        return iter(found)

    monkeypatch.setattr(Comparer, "narrow", narrowed)
    verdict = verifier.verify()
    assert verdict.all_problems == ("stopped before the end",)
    (difference,) = (d for m in verdict.measurements for d in m.differences)
    assert (difference.missing, difference.at_least) == (4, True)
    assert difference.span.length > MINUTE


def test_a_signal_ends_a_comparison_which_says_so(pair: Pair, tmp_path: Path) -> None:
    """Nothing is called equal that was not compared."""
    fill(pair, 500)
    begun, sent = threading.Event(), threading.Event()

    def hold(exchange: Exchange) -> None:
        if "count(" in exchange.text():
            begun.set()
            assert sent.wait(300)
        forward(exchange)

    with Proxy(pair.source.url) as proxy:
        proxy.inject(hold, "query", count=None)
        file = write_job(tmp_path, pair.config({"source": {"url": proxy.url}}))
        command = [sys.executable, "main.py", "verify", "--config", str(file), "--json"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert begun.wait(300)
            process.send_signal(signal.SIGTERM)
            sent.set()
            told, _ = process.communicate(timeout=300)
    (job,) = json.loads(told)["jobs"]
    assert (process.returncode, job["result"]) == (2, "not checked")
    assert job["not_checked"][-1] == "stopped before the end"


@pytest.mark.usefixtures("quick")
def test_overlapping_shard_groups_that_hide_values_are_not_called_equal(pair: Pair) -> None:
    """Where the server itself drops rows of a query, what was counted cannot be read."""
    for server in (pair.source, pair.destination):
        server.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1d NAME "autogen"')
    pair.source.write(f'm v="1" {MONDAY + HOUR}', pair.database)
    pair.destination.write(f'm v="7" {MONDAY + HOUR}', pair.database)
    for server in (pair.source, pair.destination):
        server.query(f'ALTER RETENTION POLICY "autogen" ON "{pair.database}" SHARD DURATION 7d')
        server.write(f"m v=3.5 {MONDAY + 3 * DAY}", pair.database)
    verdict = verified(pair, Scope(full=True))
    assert verdict.differs or verdict.all_problems


@pytest.mark.usefixtures("quick")
def test_policies_that_only_the_destination_has_are_extra(pair: Pair) -> None:
    """What only the destination has is reported, wherever it is."""
    fill(pair, 10)
    pair.destination.query(f'CREATE RETENTION POLICY "own" ON "{pair.database}" DURATION 0s REPLICATION 1')
    assert not verified(pair).differs
    pair.destination.write(f"m v=1,w=2 {MONDAY}", pair.database, "own")
    assert sums(verified(pair)) == (0, 2, 0)
    assert sums(verified(pair, Scope(full=True))) == (0, 2, 0)


@pytest.mark.parametrize(
    "sections", [{"measurements": {"include": ["nosuch"]}}, {"source": {"databases": [{"name": "empty"}]}}]
)
def test_nothing_compared_is_not_equal(sections: dict[str, Any], pair: Pair) -> None:
    """A selection that selects nothing, a database without data."""
    fill(pair, 10)
    pair.source.create_database("empty")
    verdict = verified(pair, None, sections)
    pair.source.drop_database("empty")
    assert verdict.all_problems == ("nothing to compare",)


def test_databases_that_a_user_may_not_see_are_not_called_missing(pair: Pair, tmp_path: Path) -> None:
    """Not checked, rather than different."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER stranger WITH PASSWORD 'pw'")
        guarded.create_database(pair.database)
        pair.write(f"m v=1 {MONDAY}")
        other = Pair(pair.source, guarded, pair.database, tmp_path)
        verdict = verified(other, None, {"destination": {"user": "stranger", "password": "pw"}})
    assert not verdict.differs
    assert "may not see it" in verdict.all_problems[0]


@pytest.mark.usefixtures("quick")
def test_the_future_is_compared_for_users_without_admin_rights_too(pair: Pair, tmp_path: Path) -> None:
    """Shard groups that may not be seen are not taken for all there are."""
    now = time.time_ns()
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER reader WITH PASSWORD 'pw'")
        guarded.create_database(pair.database)
        guarded.query(f'GRANT READ ON "{pair.database}" TO reader')
        guarded.write(f"m v=1 {MONDAY}", pair.database)
        other = Pair(guarded, pair.destination, pair.database, tmp_path)
        login = {"source": {"user": "reader", "password": "pw"}}
        assert other.backup(login).failures == ()
        guarded.write("\n".join(f"m v={d} {now + d * DAY}" for d in range(1, 31)), pair.database)
        assert sums(verified(other, Scope(end=now + 60 * DAY), login)) == (30, 0, 0)
        assert sums(verified(other, Scope(end=now + 60 * DAY, full=True), login)) == (30, 0, 0)


@pytest.mark.usefixtures("quick")
def test_refused_names_count_only_within_the_compared_time(pair: Pair) -> None:
    """A field that cannot be kept is missing where it has values."""
    pair.write(f'm v=1,"x\ty"=1,a\\\\\\,b=1 {MONDAY}\nm v=1 {MONDAY + 10 * WEEK}')
    pair.backup()
    whole = verified(pair)
    assert whole.differs
    assert not verified(pair, Scope(start=MONDAY + WEEK)).differs


def test_a_repair_looks_again_only_at_what_differed(pair: Pair) -> None:
    """All else was compared already: no other value is read a second time."""
    fill(pair)
    pair.destination.write(f"mem v=7 {MONDAY}", pair.database)
    asked: list[str] = []

    def heard(exchange: Exchange) -> None:
        asked.append(exchange.text())
        forward(exchange)

    with Proxy(pair.source.url) as proxy:
        proxy.inject(heard, "query", count=None)
        verifier, repairer = tools(pair, Scope(full=True), {"source": {"url": proxy.url}})
        assert sums(verifier.verify()) == (0, 0, 1)
        repairer.run(repairer.plan(verifier.tallies))
        asked.clear()
        again = verifier.verify_again()
    assert (again.differs, again.repaired) == (False, 1)
    assert asked
    assert all("cpu" not in text for text in asked)
    assert all(str(MONDAY) in text for text in asked)


# ---------------------------------------------------------------- as a user runs it


def test_the_commands_tell_equal_different_and_not_checked_apart(pair: Pair, tmp_path: Path) -> None:
    """Exit codes 0, 1 and 2, a table or JSON, and a repair that asks first."""
    fill(pair, 300)
    file = write_job(tmp_path, pair.config())
    equal = run_main("verify", "--config", file, "--full")
    assert (equal.returncode, equal.stderr) == (0, "")
    assert "equal: 1,201 values" in equal.stdout
    pair.destination.query("DELETE FROM mem", db=pair.database)
    different = run_main("verify", "--config", file, "--json")
    found = json.loads(different.stdout)
    assert (different.returncode, found["result"], found["jobs"][0]["measurements"][1]["missing"]) == (
        1,
        "different",
        1,
    )
    refused = run_main("repair", "--config", file)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    repaired = run_main("repair", "--config", file, "--yes")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert "deletes nothing" in repaired.stdout
    assert repaired.stdout.endswith("job: repaired 1 value\n")
    pair.assert_equal()
    broken = write_job(tmp_path / "broken", {"source": {}})
    unchecked = run_main("verify", "--config", file, broken.rename(broken.with_name("broken.yaml")))
    assert unchecked.returncode == 2
    pair.write(f"mem v=2 {MONDAY + 1}")
    assert run_main("verify", "--config", file, broken.with_name("broken.yaml")).returncode == 1


def test_what_keeps_it_from_comparing_is_json_too(tmp_path: Path) -> None:
    """Machines that read the output get a document in any case."""
    result = run_main("verify", "--json", "--config", tmp_path / "nowhere")
    assert result.returncode == 2
    assert json.loads(result.stdout)["result"] == "not checked"


def test_servers_that_do_not_answer_are_not_equal(source: InfluxServer, tmp_path: Path) -> None:
    """A destination that is down gives 2, and its own words."""
    with InfluxServer.start("down") as down:
        file = write_job(tmp_path, job_config(source, down, ["x"]))
        down.stop()
        result = run_main("verify", "--config", file)
    assert result.returncode == 2
    assert "Connection refused" in result.stdout
    assert "equal" not in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verify", "--start", "yesterday"], "is not a time"),
        (["verify", "--start", "2026-01-02", "--end", "2026-01-01"], "--start must be before --end"),
        (["verify", "--sample", "5"], "write it as 5%"),
        (["verify", "--sample", "0%"], "write it as 5%"),
        (["verify", "--max-duration", "ten"], "ten"),
        (["verify", "--yes"], "--yes is for repair, restore and archive"),
        (["run", "--full"], "--full is for verify and repair"),
        (["check", "--start", "1970-01-01"], "--start is for verify, repair, restore and archive"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], said: str, tmp_path: Path) -> None:
    """Exit code 2 and what to write instead."""
    write_job(tmp_path, {})
    result = run_main(*arguments, "--config", tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
