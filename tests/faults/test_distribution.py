"""Workers of a Dask cluster, scheduler and daemon are hit in the middle of a copy: no hole stays, no ok is untrue.

Leases last 19 seconds here, and a worker that is not heard of for as long counts as dead.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.harness import (
    Ended,
    Sections,
    assert_mended,
    assert_nothing_invented,
    copying,
    ended,
    fresh,
    lines,
    points_written,
    run,
    slow,
)
from tests.faults.rounds import Rounds
from tests.faults.test_order import Lanes
from tests.integration.daemon import Daemon
from tests.integration.harness import HOUR, MONDAY, Pair
from tests.support import waiting
from tests.support.cluster import Cluster, Process
from tests.support.proxy import Proxy
from tests.support.servers import quoted

GROUPS, SERIES, TIMES = 3, 20, 270
"""In a shard group there are more points of a measurement than go together with others."""
SMALL = 300
"""Minutes of small measurements."""
SHARE = {0: len(lines(SMALL).splitlines()), 1: 2 * GROUPS * SERIES * TIMES}


PAUSED = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "19s"}


class Field:
    """A cluster with two workers that write through a proxy, which keeps some writes back."""

    def __init__(self, pair: Pair, cluster: Cluster, proxy: Proxy) -> None:
        self.pair, self.cluster, self.proxy = pair, cluster, proxy
        self.lanes = Lanes(0)

    def sections(self, number: int) -> Sections:
        """Small measurements together, or large ones alone."""
        options = {"distribute": self.cluster.address, "timeout_client": 2, "retries": 1}
        whole = slow(**options) if number % 2 == 0 else {"options": options}
        return {**whole, "destination": {"url": self.proxy.url}}

    def load(self, round_: Pair, number: int) -> None:
        """A database with the one or the other."""
        self.proxy.heal()
        self.lanes = Lanes(number)
        self.proxy.inject(self.lanes, "write", count=None)
        if number % 2 == 0:
            round_.write(lines(SMALL))
            return
        for server in (round_.source, round_.destination):
            server.create_database(round_.database)
            server.query(
                f"CREATE RETENTION POLICY hours ON {quoted(round_.database)} "
                "DURATION INF REPLICATION 1 SHARD DURATION 1h DEFAULT"
            )
        round_.write(large(), "hours")

    def start_worker(self) -> Process:
        """One more."""
        worker = self.cluster.start_worker(self.proxy.url)
        worker.wait_for("Registered to:")
        return worker

    @property
    def living(self) -> list[Process]:
        """The workers that are there."""
        return [worker for worker in self.cluster.workers if worker.process.poll() is None]


def large() -> str:
    """Two measurements in several shard groups."""
    step = HOUR // TIMES
    return "\n".join(
        f"m{m},host=h{series} v={number}.5 {MONDAY + number * step}"
        for number in range(GROUPS * TIMES)
        for series in range(SERIES)
        for m in range(2)
    )


@pytest.fixture
def field(own: Pair, tmp_path: Path) -> Iterator[Field]:
    """On servers of the test's own."""
    with Proxy(own.destination.url) as proxy, Cluster(tmp_path / "cluster", PAUSED) as cluster:
        found = Field(own, cluster, proxy)
        for _ in range(2):
            found.start_worker()
        yield found


@contextmanager
def middle(field: Field, number: int) -> Iterator[tuple[Pair, Daemon, random.Random]]:
    """A copy that has come to a random place."""
    chance = random.Random(number)
    with fresh(field.pair, number) as round_:
        field.load(round_, number)
        before = points_written(round_.destination)
        points = int(chance.uniform(0.02, 0.4) * SHARE[number % 2])
        with copying(round_, field.sections(number)) as tool:
            waiting.wait_until(
                lambda: points_written(round_.destination) - before > points or tool.process.poll() is not None,
                "the middle of the copy",
                progress=lambda: (points_written(round_.destination), tool.log),
                pause=0.01,
            )
            assert tool.process.poll() is None, f"the copy was over before the fault\n{tool.log}"
            yield round_, tool, chance


def assert_whole(round_: Pair, found: Ended) -> None:
    """It was carried out elsewhere, and the run is ok."""
    assert found.code == 0, found
    round_.assert_equal()


def _points_told(output: str) -> int:
    told = re.search(r"run ended: ([\d,]+) points", output)
    return int(told[1].replace(",", "")) if told else 0


def assert_next_is_whole(field: Field, round_: Pair, number: int) -> None:
    """A run by the cluster, and one by this machine alone, which would find what that has not seen."""
    assert_whole(round_, run(round_, field.sections(number)))
    assert_mended(round_)


def test_kill_9_of_a_worker(field: Field, rounds: Rounds) -> None:
    """Its unit is done by another one, when its lease is over."""
    for number in rounds.of("cluster: kill -9 of a worker", 15):
        with middle(field, number) as (round_, tool, chance):
            chance.choice(field.cluster.busy() or field.living).kill()
            field.start_worker()
            found = ended(tool)
            assert_whole(round_, found)
            assert _points_told(found.output) <= SHARE[number % 2], f"points count twice\n{found}"
            assert_next_is_whole(field, round_, number)


def test_kill_9_of_the_scheduler(field: Field, rounds: Rounds) -> None:
    """The run fails and says so, the workers end, and the next run mends it, with other workers."""
    for number in rounds.of("cluster: kill -9 of the scheduler", 10):
        with middle(field, number) as (round_, tool, _):
            field.cluster.scheduler.kill()
            found = ended(tool)
            found.assert_failed(f"Dask's scheduler {field.cluster.address} is gone")
            field.cluster.start_scheduler()
            for _ in range(2):
                field.start_worker()
            assert_next_is_whole(field, round_, number)


def test_kill_9_of_the_daemon(field: Field, rounds: Rounds) -> None:
    """Its units end, and the next run goes on at once."""
    for number in rounds.of("cluster: kill -9 of the daemon", 10):
        with middle(field, number) as (round_, tool, _):
            for victim in [tool.process.pid, *tool.workers()]:
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            ended(tool)
            source, found = round_.snapshots()
            assert_nothing_invented(found, source)
            assert_next_is_whole(field, round_, number)


def test_a_worker_is_paused_beyond_its_lease(field: Field, rounds: Rounds) -> None:
    """Another one goes on; then the first is back, and both write for a moment, or it comes when all is done."""
    for number in rounds.of("cluster: SIGSTOP of a worker beyond its lease", 8):
        with middle(field, number) as (round_, tool, chance):
            paused = chance.choice(field.cluster.busy() or field.living)
            paused.send(signal.SIGSTOP)
            before = points_written(round_.destination)
            comes_back_early = chance.random() < 0.5
            while comes_back_early and tool.process.poll() is None:
                if points_written(round_.destination) > before + 200 and _has_lost(field, paused):
                    break
                time.sleep(0.05)
            if comes_back_early:
                paused.send(signal.SIGCONT)
            found = ended(tool)
            paused.send(signal.SIGCONT)
            assert_whole(round_, found)
            time.sleep(2)
            assert_next_is_whole(field, round_, number)
            rounds.saw("back before the end" if comes_back_early else "back after the end")
            paused.kill()
            field.start_worker()


def _has_lost(field: Field, paused: Process) -> bool:
    """Whether the scheduler has given up the worker."""
    name = f"w{field.cluster.workers.index(paused) + 1}"
    return f"name: {name} " in field.cluster.scheduler.log.split("Remove worker")[-1]


def test_workers_without_network_to_the_destination(field: Field, rounds: Rounds) -> None:
    """The measurements fail, with the reason and the worker; the next run mends them."""
    for number in rounds.of("cluster: no network between workers and destination", 7):
        with middle(field, number) as (round_, tool, _):
            field.lanes.cut()
            found = ended(tool)
            found.assert_failed("(tried 2 times)", "(worker w")
            source, there = round_.snapshots()
            assert_nothing_invented(there, source)
            field.proxy.heal()
            assert_next_is_whole(field, round_, number)
