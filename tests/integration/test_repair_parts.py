"""What `repair` copies, and what it leaves; what it says when it cannot do all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from basics.stopping import StopRequest
from checking.progress import Progress
from checking.repair import Repairer, Telling, verify_jobs
from checking.verdict import JobVerdict, Scope
from checking.verify import Verifier
from config import Config
from influx_client import connect
from tests.integration.harness import DAY, MONDAY, Pair, snapshot, write_job
from tests.support.proxy import Proxy, respond
from tests.support.servers import InfluxServer

pytestmark = pytest.mark.usefixtures("quick", "signals")

Sections = Mapping[str, Any]
ALL_TIMES = {"start_date": "2020-01-01", "end_date": "2026-01-01"}
RANGE = {"options": {"backup_mode": "range", "range": ALL_TIMES}}


def tools(
    pair: Pair,
    scope: Scope | None = None,
    sections: Sections | None = None,
    progress: Progress | None = None,
) -> tuple[Verifier, Repairer]:
    """What `repair` uses for the pair's job."""
    config, stopping = Config(write_job(pair.directory, pair.config(sections))), StopRequest()
    source = connect(config.job.options, config.job.source, "source", stopping)
    destination = connect(config.job.options, config.job.destination, "destination", stopping)
    verifier = Verifier(config, source, destination, scope or Scope(), stopping)
    verifier.progress = progress or verifier.progress
    return verifier, Repairer(config, source, destination, verifier, stopping)


def daily(pair: Pair, days: int = 30, names: str = "m") -> None:
    """A point a day on both sides."""
    pair.write("\n".join(f"{name} v={d} {MONDAY + d * DAY}" for d in range(days) for name in names))
    assert pair.backup().failures == ()


def lose(pair: Pair, *days: int, name: str = "m") -> None:
    """The destination has nothing of these days any more."""
    for day in days:
        pair.destination.query(f"DELETE FROM {name} WHERE time = {MONDAY + day * DAY}", db=pair.database)  # noqa: S608


def days_at(pair: Pair) -> list[int]:
    """Those that the destination holds points of."""
    return sorted((key[4] - MONDAY) // DAY for key in pair.found().points)


# ---------------------------------------------------------------- what is copied


def test_a_repair_counts_what_is_there_afterwards(pair: Pair) -> None:
    """Values that were missing, and those that were different; without a repair none."""
    daily(pair)
    lose(pair, 3, 4, 17)
    pair.destination.write(f"m v=-1 {MONDAY + 9 * DAY}", pair.database)
    verifier, repairer = tools(pair)
    (found,) = verifier.verify().measurements
    assert (found.destination, found.missing, found.different) == (27, 3, 1)
    again = verifier.verify_again()
    (found,) = again.measurements
    assert (again.repaired, found.destination, found.missing, found.different) == (0, 27, 3, 1)
    (repair,) = repairer.plan(verifier.tallies)
    name = f"{pair.database}.autogen.m"
    assert repair.lines == [f"  {name}: 4 values in 3 stretches of time"]
    (result,) = repairer.run([repair])
    assert (result.written.points, result.is_whole) == (4, True)
    again = verifier.verify_again()
    (found,) = again.measurements
    assert (again.repaired, found.destination, again.differs) == (4, 30, False)
    pair.assert_equal(points=30)


def test_of_a_range_everything_that_is_asked_for_is_copied(pair: Pair) -> None:
    """No run of such a job goes on from the newest points, so holes before them do not matter."""
    daily(pair)
    lose(pair, *range(20, 30))
    verifier, repairer = tools(pair, Scope(start=MONDAY + 25 * DAY), RANGE)
    assert verifier.verify().missing == 5
    (repair,) = repairer.plan(verifier.tallies)
    assert (len(repair.newer), repair.left, len(repair.older)) == (0, (), 1)
    repairer.run([repair])
    assert days_at(pair) == [*range(20), *range(25, 30)]


def test_the_newest_points_of_the_destination_are_no_news(pair: Pair) -> None:
    """What lies before them, or at their very time, is copied also where only a part was compared."""
    pair.write("\n".join(f"m,h={h} v={d} {MONDAY + d * DAY}" for d in range(30) for h in "ab"))
    assert pair.backup().failures == ()
    pair.destination.query(f"DELETE FROM m WHERE time > {MONDAY + 20 * DAY}", db=pair.database)  # noqa: S608
    pair.destination.query(f"DELETE FROM m WHERE h = 'a' AND time > {MONDAY + 19 * DAY}", db=pair.database)  # noqa: S608
    verifier, repairer = tools(pair, Scope(start=MONDAY + DAY))
    assert verifier.verify().missing == 1 + 9 * 2
    (repair,) = repairer.plan(verifier.tallies)
    name = f"{pair.database}.autogen.m"
    assert repair.lines[-1] == f"  {name}: not 18 values that the next run will copy"
    repairer.run([repair])
    assert days_at(pair) == sorted([*range(21)] * 2)


def test_what_nobody_can_look_at_again_counts_as_it_was(pair: Pair) -> None:
    """Whether it was repaired is not known, which is said."""
    daily(pair, 5, names="mn")
    lose(pair, 3)
    with Proxy(pair.destination.url) as proxy:
        sections = {"destination": {"url": proxy.url}, "options": {"retries": 0}}
        verifier, _ = tools(pair, None, sections)
        assert verifier.verify().all_problems == ()
        proxy.inject(respond(503, b"out of order"), "query", count=None)
        again = verifier.verify_again()
    assert (again.missing, again.repaired, again.measurements[0].destination) == (1, 0, 4)
    (problem,) = again.all_problems
    assert "out of order" in problem


def test_a_policy_that_may_not_be_made_keeps_no_other_from_being_repaired(
    pair: Pair, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each measurement of it fails by name, with the statement that an administrator should run."""
    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        pair.source.query(f'CREATE DATABASE "{pair.database}" WITH NAME "first"')
        pair.source.query(f'CREATE RETENTION POLICY "autogen" ON "{pair.database}" DURATION INF REPLICATION 1')
        for policy, names in (("first", "ab"), ("autogen", "cd")):
            pair.source.write("\n".join(f"{name} v=1 {MONDAY}" for name in names), pair.database, policy)
        guarded.create_database(pair.database)
        guarded.query("CREATE USER writer WITH PASSWORD 'pw'")
        guarded.query(f'GRANT ALL ON "{pair.database}" TO writer')
        other = Pair(pair.source, guarded, pair.database, tmp_path)
        verifier, repairer = tools(other, None, {"destination": {"user": "writer", "password": "pw"}})
        assert verifier.verify().missing == 4
        results = repairer.run(repairer.plan(verifier.tallies))
        again = verifier.verify_again()
        assert {key[1] for key in other.found().points} == {b"c", b"d"}
    assert [result.is_whole for result in results] == [False, False, True, True]
    for result in results[:2]:
        assert f'CREATE RETENTION POLICY "first" ON "{pair.database}"' in result.problems[0]
        assert result.problems[0] in caplog.messages
    assert (again.missing, again.repaired) == (2, 2)


def test_the_progress_of_a_repair_is_that_of_the_values_it_brings(pair: Pair) -> None:
    """From nothing to all of it."""
    daily(pair, names="mn")
    lose(pair, 3, 4, 5)
    lose(pair, 7, name="n")
    phases: list[tuple[str, int, int, int]] = []

    class Heard(Progress):
        def begin(self, phase: str, of: int = 0, *, verb: str = "read") -> None:
            phases.append((self.phase, self.windows, self.of, self.values))
            super().begin(phase, of, verb=verb)
            assert self.verb == ("written" if phase == "copying" else "read")

    verifier, repairer = tools(pair, Scope(full=True), progress=Heard())
    verifier.verify()
    repairer.run(repairer.plan(verifier.tallies))
    assert (verifier.progress.values, verifier.progress.share) == (4, 1.0)
    verifier.verify_again()
    assert (verifier.progress.windows, verifier.progress.share) == (2, 1.0)
    assert phases == [
        ("planning", 0, 0, 0),
        ("comparing", 10, 10, 2 * (2 * 30 - 2 * 7)),  # what differs is not read yet
        ("looking closer", 2, 2, 0),
        ("copying", 0, 1, 4),
    ]


# ---------------------------------------------------------------- the commands


def commanded(
    pair: Pair, answer: Callable[[], bool] | None, telling: Telling, sections: Sections | None = None
) -> JobVerdict:
    """What a command finds of the pair's job."""
    config = Config(write_job(pair.directory, pair.config(sections)))
    (verdict,) = verify_jobs([config], Scope(), answer, telling)
    return verdict


def test_nothing_is_copied_where_the_answer_is_no_and_nobody_is_asked_without_need(
    pair: Pair, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is equal, and what only the destination has, is nothing to copy."""
    asked: list[bool] = []

    def answer() -> bool:
        asked.append(True)
        return False

    daily(pair)
    assert not commanded(pair, answer, Telling()).differs
    pair.destination.write(f"m,h=x v=1 {MONDAY}", pair.database)
    assert commanded(pair, answer, Telling()).extra == 1
    assert asked == []
    assert "repair copies these" not in capfd.readouterr().out
    lose(pair, 5)
    before = pair.found()
    assert commanded(pair, answer, Telling(quiet=True)).missing == 1
    assert (asked, pair.found(), capfd.readouterr().out) == ([True], before, "")
    assert commanded(pair, None, Telling()).missing == 1
    assert pair.found() == before
    assert "repair copies these" not in capfd.readouterr().out


def test_a_repair_that_leaves_something_says_once_more_what(pair: Pair, capfd: pytest.CaptureFixture[str]) -> None:
    """A value that the destination refuses is still missing; without it the table stands there once."""
    daily(pair)
    lose(pair, 5)
    assert commanded(pair, lambda: True, Telling()).repaired == 1
    said = capfd.readouterr().out
    assert (said.count("  measurement "), said.splitlines()[-1]) == (1, "job: repaired 1 value")
    lose(pair, 3)
    pair.destination.write(f'o v="text" {MONDAY}', pair.database)
    pair.source.write(f"o v=1 {MONDAY + 1}\no v=2 {MONDAY + 2}", pair.database)
    verdict = commanded(pair, lambda: True, Telling())
    said = capfd.readouterr().out
    assert (verdict.missing, verdict.different, verdict.repaired) == (2, 0, 1)
    assert said.count("  measurement ") == 2
    assert (
        said.splitlines()[-1] == "job: repaired 1 value; 2 values still missing or different; 1 extra value stays"
    )


def test_a_job_whose_server_does_not_answer_keeps_no_other_from_being_compared(
    pair: Pair, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is not checked, and told."""
    daily(pair)
    away = {"destination": {"url": "http://127.0.0.1:9"}, "options": {"retries": 0}}
    same = {"destination": {"url": pair.source.url.replace("127.0.0.1", "0.0.0.0")}}  # noqa: S104
    jobs: dict[str, Sections] = {"away": away, "here": {}, "same": same}
    configs = [Config(write_job(pair.directory, pair.config(jobs[name]), name)) for name in jobs]
    archive = pair.config()
    archive["destination"] = {"archive": str(pair.directory / "archive")}
    configs.append(Config(write_job(pair.directory, archive, "archive")))
    first, second, third, fourth = verify_jobs(configs, Scope(), None, Telling())
    assert (first.job, first.measurements, len(first.all_problems)) == ("away", (), 1)
    assert (second.job, second.all_problems, second.measurements[0].source) == ("here", (), 30)
    assert "are one and the same server" in third.all_problems[0]
    assert fourth.all_problems == ("its only destination is an archive, which main.py archive verify proves",)
    said = capfd.readouterr().out
    assert "  NOT CHECKED at all\nhere: fingerprints from beginning to " in said
    assert snapshot(pair.destination, pair.database).points
