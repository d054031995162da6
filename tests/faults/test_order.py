"""Many series, several shard groups, requests that overlap: only the newest group may have holes after a fault.

The next run closes them. Writes go through a proxy that keeps some of them back, so that later ones arrive before
them; those that are on their way when the tool is killed get lost.
"""

from __future__ import annotations

import functools
import logging
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.faults.harness import (
    Sections,
    assert_honest,
    assert_mended,
    assert_nothing_invented,
    copying,
    ended,
    fresh,
    points_written,
    run,
)
from tests.faults.rounds import Rounds
from tests.integration.daemon import Daemon
from tests.integration.harness import HOUR, MONDAY, Pair
from tests.support import waiting
from tests.support.proxy import Exchange, Proxy, forget, forward, only
from tests.support.servers import InfluxServer, ServerError, quoted

logger = logging.getLogger(__name__)

SERIES = 200
GROUPS = 5
TIMES = 15
"""So many in each shard group."""

ROWS = SERIES * GROUPS * TIMES
STEP = HOUR // TIMES
POLICY = "hours"
INDEXES = ["inmem", "tsi1"]
KEPT_BACK = 0.2
"""For how many seconds a third of the writes is kept back."""


@pytest.fixture(params=INDEXES)
def many(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """Two servers of the test's own, with this kind of index."""
    settings = {"data.index-version": request.param}
    with (
        InfluxServer.start("source", settings=settings) as source,
        InfluxServer.start("destination", settings=settings) as destination,
    ):
        yield Pair(source, destination, "db", tmp_path)


@functools.cache
def lines(groups: float = GROUPS) -> str:
    """A point of each series every few minutes, in so many shard groups of an hour."""
    return "\n".join(
        f'm,host=h{series},rack=r{series % 7} v={number}.5,s="{series} {number}" {MONDAY + number * STEP}'
        for number in range(int(groups * TIMES))
        for series in range(SERIES)
    )


def load(pair: Pair, number: int) -> None:
    """All of it at the source; every other round finds a part of it at the destination already."""
    create(pair)
    pair.write(lines(), POLICY)
    if number % 2:
        pair.destination.write(lines(1.4), pair.database, POLICY)


def create(pair: Pair) -> None:
    """The database with shard groups of an hour, on both sides."""
    for server in (pair.source, pair.destination):
        server.create_database(pair.database)
        server.query(
            f"CREATE RETENTION POLICY {POLICY} ON {quoted(pair.database)} "
            "DURATION INF REPLICATION 1 SHARD DURATION 1h DEFAULT"
        )


def pages(url: str, **options: object) -> Sections:
    """Requests of a few times of all series each, to this destination."""
    return {
        "destination": {"url": url},
        "options": {
            "days_of_pagination": 2.5 * STEP / (24 * HOUR),
            "retry_delay": 0.05,
            "timeout_client": 120,
            **options,
        },
    }


class Lanes:
    """Keeps a third of the writes back. After `cut` those that are on their way get lost.

    `is_overtaken`: a later write has arrived before one that is kept back. `is_late` says when all are held until
    `let_go` or `cut`: a copy must not come to its end before the fault.
    """

    is_late: Callable[[], bool] = staticmethod(lambda: False)

    def __init__(self, number: int) -> None:
        self._chance = random.Random(number)
        self._lock = threading.Lock()
        self._kept_back = 0
        self.is_overtaken = False
        self.is_cut = False
        self._goes_on = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        """Serve a write."""
        if self._chance.random() < 1 / 3:
            self._keep_back(1)
            exchange.pause(KEPT_BACK)
            self._keep_back(-1)
        if not self._goes_on.is_set() and self.is_late():
            exchange.wait_for(self._goes_on)
        if self.is_cut or exchange.is_abandoned():
            exchange.reset()
        else:
            forward(exchange)
            self._keep_back(0)

    def _keep_back(self, more: int) -> None:
        with self._lock:
            self._kept_back += more
            self.is_overtaken = self._kept_back > 0 and (more == 0 or self.is_overtaken)

    def cut(self) -> None:
        """From now on nothing arrives."""
        self.is_cut = True
        self._goes_on.set()

    def let_go(self) -> None:
        """The fault has happened; what arrives is its business."""
        self._goes_on.set()


@contextmanager
def between(server: InfluxServer, number: int) -> Iterator[tuple[Proxy, Lanes]]:
    """A proxy in front of the server that keeps writes back."""
    lanes = Lanes(number)
    with Proxy(server.url) as proxy:
        proxy.inject(lanes, "write", count=None)
        yield proxy, lanes


class Middle:
    """Waits until a copy has written so many points more than before it, and a write is overtaken.

    When it has gone on for long, it may be hit in any state, and goes no further.
    """

    def __init__(self, pair: Pair, points: float, lanes: Lanes) -> None:
        self._destination = pair.destination
        self._points = points_written(pair.destination) + points
        self._lanes = lanes
        lanes.is_late = self._is_late

    def wait(self, tool: Daemon) -> None:
        """The copy must not be over then."""
        waiting.wait_until(
            self._is_there,
            "the middle of the copy",
            progress=lambda: (points_written(self._destination), tool.log),
            pause=0.005,
        )
        assert tool.process.poll() is None, f"the copy was over before the fault\n{tool.log}"

    def _is_there(self) -> bool:
        return self._is_late() or (self._more() > 0 and self._lanes.is_overtaken)

    def _is_late(self) -> bool:
        try:
            return self._more() > ROWS / 6
        except (ServerError, HTTPException):  # it is what the fault has hit
            return False

    def _more(self) -> float:
        return points_written(self._destination) - self._points


def holes(pair: Pair) -> int:
    """How many values are missing before the newest one, proved to be in the newest shard group only."""
    source, found = pair.snapshots()
    assert 0 < len(found) < len(source), "the copy was not hit in its middle"
    assert_nothing_invented(found, source)
    newest = max(at[4] for at in found.points)
    missing = [at for at in source.points if at not in found.points]
    older = [at for at in missing if at[4] < newest - newest % HOUR]
    assert not older, f"{len(older)} values are missing in older shard groups, such as {older[:3]}"
    return sum(at[4] < newest for at in missing)


class Seen:
    """In how many rounds the newest shard group had holes after the fault."""

    def __init__(self) -> None:
        self.rounds = self.with_holes = 0

    def look(self, pair: Pair) -> None:
        """After a fault."""
        self.rounds += 1
        self.with_holes += holes(pair) > 0

    def check(self) -> None:
        """That the order really was free: without holes there is nothing to mend."""
        logger.info("%d of %d faults left holes", self.with_holes, self.rounds)
        assert self.rounds < 4 or self.with_holes, "no fault left a hole in the newest shard group"


# ---------------------------------------------------------------- the tool


def test_kill_9_of_the_tool(many: Pair, rounds: Rounds) -> None:
    """Once, or twice in a row: the second time while the holes of the first are closed, or after that."""
    seen = Seen()
    for number in rounds.of("free order: kill -9 of the tool", 40):
        _interrupt(many, number, signal.SIGKILL, seen)
    seen.check()


def test_sigterm_of_the_tool(many: Pair, rounds: Rounds) -> None:
    """What is on its way is waited for, so there are no holes at all."""
    seen = Seen()
    for number in rounds.of("free order: SIGTERM of the tool", 10):
        _interrupt(many, number, signal.SIGTERM, seen)
    assert seen.with_holes == 0


def _interrupt(many: Pair, number: int, sent: signal.Signals, seen: Seen) -> None:
    chance = random.Random(number)
    with fresh(many, number) as round_:
        load(round_, number)
        for time in range(1 + number % 3 // 2):
            with between(round_.destination, number) as (proxy, lanes):
                middle = Middle(round_, chance.uniform(0.02, 0.2) * ROWS, lanes)
                with copying(round_, pages(proxy.url)) as tool:
                    middle.wait(tool)
                    workers = tool.workers()
                    assert workers, tool.log
                    victims = chance.choice([workers, [tool.process.pid, *workers]])
                    for victim in victims:
                        with suppress(ProcessLookupError):
                            os.kill(victim, sent)
                    if sent == signal.SIGKILL:
                        lanes.cut()
                    elif tool.process.pid in victims:
                        tool.wait_for("stopping after the batches in flight")
                    lanes.let_go()
                    found = ended(tool)
                    assert found.code == (-sent if found.code < 0 else 1), f"time {time + 1}: {found}"
            seen.look(round_)
        assert_mended(round_)


# ---------------------------------------------------------------- very many series

VERY_MANY, MINUTES = 350, 60
WIDE = 2 * VERY_MANY * MINUTES


@functools.cache
def wide_lines() -> str:
    """Two shard groups of so many series, and fields, that they are read share by share."""
    fields = ",".join(f"f{number}={number}i" for number in range(400))
    points = [
        f"m,host=h{series:04d} v={number}.5 {MONDAY + number * HOUR // MINUTES}"
        for number in range(2 * MINUTES)
        for series in range(VERY_MANY)
    ]
    return "\n".join([f"m,host=h0000 {fields} {MONDAY}", *points])


def test_kill_9_of_the_tool_while_series_are_read_share_by_share(many: Pair, rounds: Rounds) -> None:
    """Then whole series lack the newest shard group, and no older one."""
    seen = Seen()
    for number in rounds.of("series share by share: kill -9 of the tool", 10):
        shares: list[str] = []
        with (
            fresh(many, number) as round_,
            between(round_.destination, number) as (proxy, lanes),
            Proxy(round_.source.url) as source,
        ):
            source.inject(only(lambda text: "(?s:." in text, _noted(shares)), "query", count=None)
            create(round_)
            round_.write(wide_lines(), POLICY)
            middle = Middle(round_, random.Random(number).uniform(0.2, 0.7) * WIDE, lanes)
            sections = {"source": {"url": source.url}, "destination": {"url": proxy.url}}
            with copying(round_, sections) as tool:
                middle.wait(tool)
                for victim in [tool.process.pid, *tool.workers()]:
                    with suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                lanes.cut()
                ended(tool)
            assert shares, "the series were not read share by share"
            seen.look(round_)
            assert_mended(round_)
    seen.check()


def _noted(texts: list[str]) -> Callable[[Exchange], None]:
    """Serves a request, and keeps its text."""

    def act(exchange: Exchange) -> None:
        texts.append(exchange.text())
        forward(exchange)

    return act


# ---------------------------------------------------------------- the servers


@pytest.mark.parametrize("role", ["source", "destination"])
def test_a_server_is_killed_or_stopped(many: Pair, rounds: Rounds, role: str) -> None:
    """It comes back while the tool retries, and the run is ok; or later, and the next run is."""
    server, seen = getattr(many, role), Seen()
    for number in rounds.of(f"free order: kill -9 or SIGTERM of the {role}", 25):
        retries = 20 if number % 4 > 1 else 1
        with fresh(many, number) as round_, between(round_.destination, number) as (proxy, lanes):
            load(round_, number)
            middle = Middle(round_, random.Random(number).uniform(0.02, 0.4) * ROWS, lanes)
            with copying(round_, pages(proxy.url, retries=retries)) as tool:
                middle.wait(tool)
                _end(server, kill=number % 2 == 0)
                lanes.let_go()
                if retries > 1:
                    tool.wait_for("retry 2 of 20")
                    server.restart()
                found = ended(tool)
            if retries > 1:
                assert found.code == 0, found
                round_.assert_equal()
            else:
                server.restart()
                found.assert_failed("(tried 2 times)")
                seen.look(round_)
                assert_mended(round_)
    if role == "destination":
        seen.check()


def _end(server: InfluxServer, *, kill: bool) -> None:
    if kill:
        server.kill()
    else:
        server.stop()


# ---------------------------------------------------------------- requests that are acknowledged and forgotten


def test_requests_that_are_acknowledged_and_forgotten(many: Pair, rounds: Rounds) -> None:
    """Every sixth: an ok is true, and whatever is still missing is in the newest shard group."""
    for number in rounds.of("free order: every sixth request acknowledged and forgotten", 20):
        with fresh(many, number) as round_, Proxy(round_.destination.url) as proxy:
            load(round_, number)
            forgotten = proxy.inject(only(_has_points, forget()), "write", count=None, share=1 / 6, seed=number)
            proxy.inject(Lanes(number), "write", count=None)
            found = run(round_, pages(proxy.url))
            assert forgotten.injected > 0
            assert_honest(round_, found, "InfluxDB lost a request that it had acknowledged")
            if found.code:
                holes(round_)
            assert_mended(round_)


def test_kill_9_of_the_tool_while_requests_are_forgotten(many: Pair, rounds: Rounds) -> None:
    """What nobody has asked for yet is lost with the tool."""
    for number in rounds.of("free order: kill -9 of the tool while requests are forgotten", 10):
        chance = random.Random(number)
        with fresh(many, number) as round_, Proxy(round_.destination.url) as proxy:
            load(round_, number)
            lanes = Lanes(number)
            proxy.inject(only(_has_points, forget()), "write", count=None, share=1 / 10, seed=number)
            proxy.inject(lanes, "write", count=None)
            middle = Middle(round_, chance.uniform(0.02, 0.3) * ROWS, lanes)
            with copying(round_, pages(proxy.url, retries=10)) as tool:
                middle.wait(tool)
                for victim in [tool.process.pid, *tool.workers()]:
                    with suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
                lanes.cut()
                ended(tool)
            holes(round_)
            assert_mended(round_)


def _has_points(text: str) -> bool:
    return text.startswith("m,")
