"""What of its time a drill looks at, how often it tries, and what it says where it could not end."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest

from basics.locks import FileLock
from basics.stopping import Stopped, StopRequest
from checking.drill import How, drill_job, planned
from config import Config
from copying import quarantine
from influx import scratch
from tests.integration.archives import Archived
from tests.integration.harness import DAY, MONDAY, WEEK, Pair, write_job
from tests.support.proxy import Action, Exchange, Proxy, forward, only, respond
from tests.support.servers import InfluxServer
from watching.events import Drilled


@pytest.fixture
def archived(pair: Pair) -> Archived:
    """The pair's source with an archive."""
    return Archived(pair)


def weekly(weeks: int, begin: int) -> str:
    """A point in each of so many shard groups."""
    return "\n".join(f"m,host=a v={i} {begin + i * WEEK}" for i in range(weeks))


def drilled(job: Path, **asked: Any) -> Drilled:  # noqa: ANN401 -- what planned() takes
    """A drill in this process."""
    config = Config(job)
    return drill_job(config, planned(config.job, **asked), StopRequest(), os.environ)


def scratches(server: InfluxServer) -> list[str]:
    """The scratch databases there are."""
    return [name for (name,) in server.rows("SHOW DATABASES") if scratch.is_scratch(name)]


# ---------------------------------------------------------------- what of its time


def test_a_share_of_a_server_is_one_of_what_is_past(pair: Pair) -> None:
    """Forecasts are written over by each run, so they are neither drawn nor restored."""
    pair.write(f"{weekly(4, MONDAY)}\n{weekly(9, time.time_ns() + WEEK)}")
    assert pair.backup().failures == ()
    job = write_job(pair.directory, pair.config())
    for share, points in ((1.0, 4), (0.5, 2), (0.01, 1)):
        found = drilled(job, share=share)
        assert (found.result, found.points, found.sample) == ("passed", points, 100 * share), found.detail


def test_a_share_of_an_archive_may_lie_in_the_future(archived: Archived) -> None:
    """Nobody writes to it, so it holds what it held."""
    archived.pair.write(weekly(4, time.time_ns() + WEEK))
    archived.taken()
    for share, points in ((1.0, 4), (0.5, 2)):
        found = drilled(archived.job(), to=archived.pair.destination.url, share=share)
        assert (found.result, found.points) == ("passed", points), found.detail


def test_what_a_policy_would_not_keep_is_left_out_and_said(pair: Pair) -> None:
    """Servers give points up by whole shard groups; where nothing else is there, nothing was proved."""
    now = time.time_ns()
    with InfluxServer.start("lazy", settings={"retention.enabled": False}) as lazy:
        own = Pair(pair.source, lazy, pair.database, pair.directory)
        own.write("\n".join(f"m v={i} {now - i * DAY}" for i in range(1, 6)))
        assert own.backup().failures == ()
        job = write_job(own.directory, own.config())
        for duration, left in (("4d", 3), ("1h", 0)):
            lazy.query(
                f'ALTER RETENTION POLICY "autogen" ON "{pair.database}" DURATION {duration} SHARD DURATION 1h'
            )
            found = drilled(job)
            assert (found.result, found.points) == ("passed" if left else "not done", left), found.detail
            assert f"{pair.database}: {5 - left} values too old for their policy were left out" in found.detail
            assert ("holds no point there that its retention policy would still keep" in found.detail) == (
                not left
            )


def test_a_database_that_the_backup_lacks_fails_the_drill(pair: Pair) -> None:
    """Whatever the others are like."""
    pair.write(weekly(1, MONDAY))
    assert pair.backup().failures == ()
    names = [{"name": pair.database}, {"name": "no\nsuch"}, {"name": "nor this"}]
    found = drilled(write_job(pair.directory, pair.config({"source": {"databases": names}})))
    assert found.result == "failed"
    assert found.detail == f"{pair.destination.url} lacks database no\\nsuch, nor this"


def test_a_drill_says_when_it_ended_and_how_long_it_took(pair: Pair) -> None:
    """For the page and the metrics."""
    pair.write(weekly(2, MONDAY))
    assert pair.backup().failures == ()
    job, begun = write_job(pair.directory, pair.config()), time.time_ns()
    found = drilled(job, share=1.0)
    assert begun < found.at < time.time_ns()
    assert 0 < found.seconds * 10**9 < time.time_ns() - begun
    assert (found.job, found.points, found.values, found.sample) == ("job", 2, 2, 100.0)
    assert found.origin == found.target == pair.destination.url


@pytest.mark.parametrize("url", ["nowhere with spaces", "ftp://somewhere"])
def test_an_address_that_is_none_is_said(url: str, pair: Pair) -> None:
    """Nothing was tried."""
    pair.write(weekly(1, MONDAY))
    found = drilled(write_job(pair.directory, pair.config()), to=url)
    assert (found.result, found.points, found.target) == ("not done", 0, url)
    assert found.detail.startswith("the server that should get the scratch databases: ")


def test_what_was_to_be_restored_is_told_also_where_it_cannot_be_read(archived: Archived) -> None:
    """The archive, as long as nobody knows which snapshot."""
    archived.pair.write(weekly(1, MONDAY))
    name = archived.taken()
    to = archived.pair.destination.url
    assert drilled(archived.job(), to=to).origin == f"snapshot {name} of {archived.folder}"
    archived.snapshots()[0].write_bytes(b"{}")
    found = drilled(archived.job(), to=to)
    assert (found.result, found.origin) == ("failed", f"archive {archived.folder}")


# ---------------------------------------------------------------- how often, and what keeps it from its end


class Names:
    """The names of the scratch databases of a test."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, maker: str) -> str:
        """A new one."""
        self.made.append(scratch.name_of(maker, time.time_ns(), f"{len(self.made):016x}"))
        return self.made[-1]


@pytest.fixture
def names() -> Names:
    """None yet."""
    return Names()


COMPARES = "sum("
"""What only those requests have in them that compare."""


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("losses", "result"), [(1, "passed"), (2, "failed")])
def test_a_mirror_that_differs_is_restored_once_more(
    losses: int, result: str, pair: Pair, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    """A run may have written there meanwhile; what differs twice is a difference."""
    caplog.set_level(logging.INFO)
    pair.write(weekly(3, MONDAY))
    assert pair.backup().failures == ()
    config = Config(write_job(pair.directory, pair.config()))
    found = losing(pair.destination, config, names, archive=False, losses=losses)
    assert (found.result, len(names.made)) == (result, 2), found.detail
    assert found.points == 3
    assert scratches(pair.destination) == []
    for name in names.made:
        assert f"drill: restoring {pair.database} of {pair.destination.url} into {name}" in caplog.messages
    assert sum("; runs may have written there meanwhile: once more" in text for text in caplog.messages) == 1
    table = [record.getMessage().split()[:2] for record in caplog.records if record.levelno == logging.WARNING]
    name = f"{pair.database}.autogen.m"
    expected = [["drill:", "measurement"], ["drill:", name], ["drill:", name]]  # its numbers, and its only stretch
    assert table == (expected if result == "failed" else [])


@pytest.mark.usefixtures("quick")
def test_an_archive_that_differs_is_not_tried_again(archived: Archived, names: Names) -> None:
    """No run writes to a snapshot."""
    archived.pair.write(weekly(3, MONDAY))
    archived.taken()
    found = losing(archived.pair.destination, Config(archived.job()), names, archive=True, losses=1)
    assert (found.result, len(names.made)) == ("failed", 1)
    assert f"database {archived.pair.database}: DIFFERENT: 1 value missing, 0 extra, 0 different" in found.detail


@pytest.mark.usefixtures("quick")
def test_what_differs_is_not_restored_again_after_a_stop(pair: Pair, names: Names) -> None:
    """The scratch database goes, and no other is made."""
    pair.write(weekly(3, MONDAY))
    assert pair.backup().failures == ()
    config = Config(write_job(pair.directory, pair.config()))
    with pytest.raises(Stopped):
        losing(pair.destination, config, names, archive=False, losses=1, stops=True)
    assert (len(names.made), scratches(pair.destination)) == (1, [])


def losing(
    server: InfluxServer, config: Config, names: Names, *, archive: bool, losses: int, stops: bool = False
) -> Drilled:
    """A drill at a server that loses a point of each of the first scratch databases, before it is compared."""
    stopping, looks = StopRequest(), list[str]()

    def lose(exchange: Exchange) -> None:
        if COMPARES in exchange.text() and proxy.seen["write"] and len(names.made) <= losses:
            server.query(f"DELETE FROM m WHERE time = {MONDAY}", db=names.made[-1])  # noqa: S608
            looks.append(exchange.text())
            stopping.requested = stops and len(looks) > 1  # a difference is known by then
        forward(exchange)

    with Proxy(server.url) as proxy:
        proxy.inject(lose, "query", count=None)
        return drill_job(config, How(proxy.url, archive), stopping, os.environ, names)


def refusing(word: str) -> Action:
    """An action that refuses requests with this word in them."""
    return only(lambda text: word in text, respond(503, b"out of order"))


@pytest.mark.usefixtures("quick")
def test_what_could_not_be_compared_is_no_pass_and_no_failure_of_the_backup(pair: Pair) -> None:
    """The points were written, and nobody knows whether they are the same."""
    pair.write(weekly(3, MONDAY))
    assert pair.backup().failures == ()
    job = write_job(pair.directory, pair.config({"options": {"retries": 0}}))
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(refusing(COMPARES), "query", count=None)
        found = drilled(job, to=proxy.url)
    assert found.result == "not done"
    assert f"database {pair.database}: not compared: " in found.detail
    assert (found.points, found.values, scratches(pair.destination)) == (3, 0, [])


def test_a_scratch_database_that_is_left_is_named_and_the_next_drill_drops_it(
    pair: Pair, names: Names, caplog: pytest.LogCaptureFixture
) -> None:
    """That is no pass, whatever was restored."""
    pair.write(weekly(3, MONDAY))
    assert pair.backup().failures == ()
    config = Config(write_job(pair.directory, pair.config({"options": {"retries": 0}})))
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(refusing("DROP DATABASE"), "query", count=None)
        found = drill_job(config, How(proxy.url, archive=False), StopRequest(), os.environ, names)
    (left,) = names.made
    assert found.result == "failed"
    assert f"scratch database {left} at {proxy.url} may be left, which the next drill drops: " in found.detail
    assert f"scratch database {left} at {proxy.url} may be left" in caplog.text
    assert scratches(pair.destination) == [left]
    assert drilled(config.path).result == "passed"
    assert f"{left} is left of a drill that was killed: it is dropped" in caplog.text
    assert scratches(pair.destination) == []


def test_two_drills_of_a_job_do_not_go_on_at_once(pair: Pair) -> None:
    """One would drop what the other has made."""
    pair.write(weekly(1, MONDAY))
    assert pair.backup().failures == ()
    config = Config(write_job(pair.directory, pair.config()))
    folder = quarantine.directory_of(config.job.options, os.environ) / ".drills"
    with FileLock(folder / "job.lock") as lock:
        assert lock.take()
        found = drilled(config.path)
        assert (found.result, found.detail) == ("not done", "another drill of this job goes on")
    assert drilled(config.path).result == "passed"
