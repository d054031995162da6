"""Points are written over others: there an old point answers when the tool looks for a request that was lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backup import BackupManager
from basics.stopping import StopRequest
from config import Config
from copying import measurement
from copying.planner import Planner
from copying.results import JobResult
from influx_client import connect
from tests.integration.harness import DAY, HOUR, MONDAY, READER, WEEK, Pair, write_job
from tests.integration.test_range import sections
from tests.support.proxy import Action, Exchange, Proxy, forget, forward
from tests.support.servers import InfluxServer

MINUTE = 60 * 10**9
UNKNOWN = "somebody writes there at this moment, or it does not keep them; the next run copies them again"
TOLD = "somebody writes there at this moment: the next run copies the "
RANGE = sections(MONDAY, MONDAY + DAY)


def lines(value: Callable[[int], int], rows: range, *measurements: str) -> str:
    """A point each minute of Monday."""
    return "\n".join(f"{m},host=a v={value(n)}i {MONDAY + n * MINUTE}" for m in measurements or "m" for n in rows)


def losing(most: int) -> Action:
    """So many requests with corrected points are acknowledged and lost."""
    lost: list[str] = []

    def act(exchange: Exchange) -> None:
        if len(lost) < most and "v=10" in exchange.text():
            lost.append(exchange.text())
            forget()(exchange)
        else:
            forward(exchange)

    return act


def run(pair: Pair, most: int, changes: dict[str, Any]) -> JobResult:
    """A run in which the destination loses so many requests."""
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(losing(most), "write", count=None)
        return pair.backup({**changes, "destination": {"url": proxy.url}})


@pytest.mark.parametrize("measurements", ["m", "abc"], ids=["alone", "together"])
def test_a_range_over_points_that_are_there_is_compared(measurements: str, pair: Pair) -> None:
    """What is late, and what was corrected, arrives though the request that brought it was lost."""
    pair.write(lines(int, range(40), *measurements))
    pair.write(lines(int, range(60, 100), *measurements))
    assert pair.backup(RANGE).failures == ()
    pair.write(lines(int, range(40, 60), *measurements))
    pair.write(lines(lambda n: n + 1000, range(10, 20), *measurements))
    assert run(pair, 1, RANGE).failures == ()
    pair.assert_equal(points=100 * len(measurements))


def test_a_range_that_is_lost_again_and_again_fails(pair: Pair) -> None:
    """The failure names the measurement, and how many values lack."""
    pair.write(lines(int, range(100)))
    assert pair.backup(RANGE).failures == ()
    pair.write(lines(lambda n: n + 1000, range(10, 20)))
    (failure,) = run(pair, 1000, RANGE).failures
    assert failure.startswith(f"copy {pair.database}.autogen.m [")
    assert "after 3 copies the destination still lacks 10 values" in failure


def test_what_only_the_destination_has_in_a_range_is_told(pair: Pair) -> None:
    """With its number, in each run; it stays, and what is outside of the range does not count."""
    pair.write(lines(int, range(100)))
    assert pair.backup(RANGE).cautions == ()
    pair.destination.write(lines(int, range(100, 107)), pair.database)
    pair.destination.write(f"m,host=a v=1i {MONDAY + 2 * DAY}", pair.database)
    for _ in range(2):
        result = pair.backup(RANGE)
        assert result.failures == ()
        assert [caution for caution in result.cautions if "holds 7 values that the source lacks" in caution]


def test_a_range_of_an_empty_destination_is_not_compared(pair: Pair) -> None:
    """There the point that is looked for can only be the one that was sent."""
    pair.write(lines(int, range(100)))
    asked: list[bool] = []
    for _ in range(2):
        questions: list[str] = []

        def note(exchange: Exchange, questions: list[str] = questions) -> None:
            questions.append(exchange.text())
            forward(exchange)

        with Proxy(pair.destination.url) as proxy:
            proxy.inject(note, "query", count=None)
            assert pair.backup({**RANGE, "destination": {"url": proxy.url}}).failures == ()
        asked.append(any("sum(" in question for question in questions))
    assert asked == [False, True]


def test_what_comes_while_a_range_is_read_fails_nothing(pair: Pair) -> None:
    """A range may reach into the present, where somebody always writes."""
    now = time.time_ns()
    here = sections(now - HOUR, now + HOUR)
    pair.write("\n".join(f"m,host=a v={n}i {now - n * MINUTE}" for n in range(50)))
    assert pair.backup(here).failures == ()
    count = iter(range(1000))

    def write_more(exchange: Exchange) -> None:
        forward(exchange)
        pair.write(f"m,host=a v=1i {time.time_ns() - 30 * 10**9 - next(count)}")

    with Proxy(pair.source.url) as proxy:
        proxy.inject(write_more, "query", count=None)
        result = pair.backup({**here, "source": {"url": proxy.url}})
    assert result.failures == ()
    assert next(count) > 5


def test_forecasts_that_were_rewritten_are_compared(pair: Pair) -> None:
    """They are copied again in each run, over those that are there."""
    now = time.time_ns()

    def forecasts(more: int, rows: range) -> str:
        return "\n".join(f"m,host=a v={n + more}i {now + 20 * MINUTE + n * HOUR}" for n in rows)

    pair.write(forecasts(0, range(-30, 30)))
    assert pair.backup().failures == ()
    pair.write(forecasts(1000, range(30)))
    assert run(pair, 1, {}).failures == ()
    pair.assert_equal(points=60)


def test_a_request_of_several_measurements_is_proved_by_what_is_new_in_it(pair: Pair) -> None:
    """Not by the newest point of one that has nothing new, which is read and written again in each run."""
    pair.write(lines(int, range(100), "a", "b", "c"))
    assert pair.backup().failures == ()
    pair.write(lines(lambda n: n + 1000, range(100, 150), "a"))
    assert run(pair, 1, {}).failures == ()
    pair.assert_equal(points=350)


@pytest.mark.parametrize("is_range", [False, True], ids=["incremental", "range"])
def test_forecasts_are_compared_where_shard_groups_may_not_be_seen(
    is_range: bool, destination: InfluxServer, database: str, tmp_path: Path
) -> None:
    """However far ahead they are."""
    now = time.time_ns()
    part = sections(now - 40 * DAY, now + 50 * DAY) if is_range else {}

    def forecasts(more: int, rows: range) -> str:
        return "\n".join(f"m,host=a v={n + more}i {now + n * DAY + 1}" for n in rows)

    with InfluxServer.start("guarded", settings={"http.auth-enabled": True}) as guarded:
        guarded.query("CREATE USER plain WITH PASSWORD 'plain'")
        pair = Pair(guarded, destination, database, tmp_path)
        pair.write(forecasts(0, range(-30, 40)))
        guarded.query(f'GRANT ALL ON "{database}" TO plain')
        plain = {**part, "source": {"user": "plain", "password": "plain"}}
        assert pair.backup(plain).failures == ()
        pair.write(forecasts(1000, range(20, 40)))
        assert run(pair, 3, plain).failures == ()
        pair.assert_equal(points=70)


def test_a_range_that_one_begins_and_another_ends_is_compared(pair: Pair) -> None:
    """As workers of a cluster do, where a measurement is not small after all."""
    many = sections(MONDAY, MONDAY + 2 * WEEK)
    pair.write(lines(int, range(100), "a", "b"))
    assert pair.backup(many).failures == ()
    pair.write(lines(lambda n: n + 1000, range(100), "a", "b"))
    pair.write("\n".join(f"a,host=a v={n}i {MONDAY + WEEK + n * 10**9}" for n in range(6000)))
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(losing(1), "write", count=None)
        config = Config(write_job(pair.directory, pair.config({**many, "destination": {"url": proxy.url}})))
        job, stopping, now = config.job, StopRequest(), time.time_ns()
        with (
            closing(connect(job.options, job.source, "source", stopping)) as source,
            closing(connect(job.options, job.destination, "destination", stopping)) as destination,
        ):
            planner = Planner(job, source, destination, now)
            (policy,), _ = planner.policies.prepare(pair.database, pair.database)
            copies = planner.plan(pair.database, policy, source.get_tag_keys(pair.database))
            done, left = BackupManager(config, source, destination, now=now).copy_together(copies)
            (rest,) = (
                replace(copy, starts=dict.fromkeys(copy.starts, left[copy.source].since))
                for copy in copies
                if copy.source in left
            )
            results = BackupManager(config, source, destination, now=now).copy_measurements([rest], {})
    assert [result.problems for result in (*done.values(), *results)] == [(), ()]
    pair.assert_equal(points=6200)


@pytest.mark.parametrize("is_range", [True, False], ids=["range", "incremental"])
def test_what_changes_while_it_is_compared_is_told(
    is_range: bool, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """It can be no failure: the next run copies what came. A range is warned of, for it may have no next run."""
    now = time.time_ns()
    job = sections(now, now + 2 * DAY) if is_range else {}
    pair.write(f"m,host=a v=1i {now + DAY}")
    assert pair.backup(job).failures == ()
    count = iter(range(1, 10_000))

    def rewrite(exchange: Exchange) -> None:
        pair.write(f"m,host=a v={next(count)}i {now + DAY}")
        forward(exchange)
        pair.write(f"m,host=a v={next(count)}i {now + DAY}")

    with Proxy(pair.source.url) as proxy:
        proxy.inject(rewrite, "query", count=None)
        result = pair.backup({**job, "source": {"url": proxy.url}})
    assert result.failures == ()
    assert [bool(TOLD in caution) for caution in result.cautions] == [True] * is_range
    assert TOLD in caplog.text
    assert pair.backup(job).failures == ()
    pair.assert_equal(points=1)


def write_late(pair: Pair, *, lost: str = "nothing", **login: str) -> JobResult:
    """A run while another host writes late points with each query; requests that hold this text are lost."""
    now = time.time_ns()
    pair.write("\n".join(f"m,host=a v={n}i {now - n * 10**9}" for n in range(60)))
    assert pair.backup({"source": login}).failures == ()
    pair.write(f"m,host=b v=77i {now - 20 * 10**9}\nm,host=a v=1i {now + 10**9}")
    count = iter(range(1, 10_000))

    def write_more(exchange: Exchange) -> None:
        pair.write(f"m,host=b v=1i {now - 30 * 10**9 + next(count)}")
        forward(exchange)
        pair.write(f"m,host=b v=1i {now - 30 * 10**9 + next(count)}")

    def lose(exchange: Exchange) -> None:
        (forget() if lost in exchange.text() else forward)(exchange)

    with Proxy(pair.source.url) as source, Proxy(pair.destination.url) as destination:
        source.inject(write_more, "query", count=None)
        destination.inject(lose, "write", count=None)
        return pair.backup({"source": {"url": source.url, **login}, "destination": {"url": destination.url}})


def test_what_comes_late_while_late_data_is_copied_is_for_the_next_run(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """A host that is always some seconds late lets no run find an end, and loses nothing."""
    result = write_late(pair)
    assert (result.failures, result.cautions) == ((), ())
    assert TOLD in caplog.text
    assert pair.backup().failures == ()
    pair.assert_equal()


def test_what_is_lost_each_time_fails_though_somebody_writes(pair: Pair) -> None:
    """What was there before the last copy, and lacks after it, does not count as what came meanwhile."""
    (failure,) = write_late(pair, lost="v=77i").failures
    assert "after 3 copies the destination still lacks" in failure
    assert pair.backup().failures == ()
    pair.assert_equal()


def test_more_than_can_be_told_apart_fails(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody knows whether it came meanwhile, and the failure says so."""
    monkeypatch.setattr(measurement, "MOST_LACKS", 0)
    (failure,) = write_late(pair).failures
    assert UNKNOWN in failure


def test_late_data_that_no_run_might_look_for_again_fails(guarded_pair: Pair) -> None:
    """Who may not see which shards were written to looks no further back than from the newest points."""
    (failure,) = write_late(guarded_pair, **READER).failures
    assert UNKNOWN in failure
    assert guarded_pair.backup({"source": READER}).failures == ()
    guarded_pair.assert_equal()
