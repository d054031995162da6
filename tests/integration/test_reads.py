"""Reads that end early with HTTP 200: they never count as complete, on real servers with real limits."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from basics.spans import Span
from basics.stopping import StopRequest
from config import Config
from copying.results import JobResult
from influx.errors import IncompleteAnswer, Unreachable
from influx.influxql import Location
from influx.pages import Ask
from influx_client import connect
from tests.integration.harness import MONDAY, WEEK, Pair, write_job
from tests.support.proxy import Gate, Proxy, before, cut_documents
from tests.support.servers import InfluxServer, RequestFailed
from tests.support.waiting import wait_until

ROWS = 60_000


def load(server: InfluxServer, database: str) -> None:
    """Enough points that a query takes a while."""
    server.create_database(database)
    for begin in range(0, ROWS, 10_000):
        lines = (f"m,host=h{i % 50} a={i}i,b={i}.5,c=\"text {i}\" {MONDAY + i * 10**9}"
                 for i in range(begin, begin + 10_000))  # fmt: skip
        server.write("\n".join(lines), database)


def assert_honest(result: JobResult, pair: Pair) -> None:
    """Either everything is there, or the run has failed; and there is no point that the source never had."""
    expected, found = pair.snapshots()
    assert set(found.points.items()) <= set(expected.points.items())
    assert result.succeeded == (len(found) == len(expected))


@contextmanager
def killer(server: InfluxServer, kills: int) -> Iterator[list[str]]:
    """Kills the first so many SELECTs that it sees; yields their texts."""
    killed: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set() and len(killed) < kills:
            for running in server.records("SHOW QUERIES"):
                text = str(running["query"])
                if text.startswith("SELECT") and len(killed) < kills:
                    try:
                        server.query(f"KILL QUERY {running['qid']}")
                    except RequestFailed:
                        continue  # it had ended already
                    killed.append(text)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        done.set()
        thread.join()


def test_a_killed_query_is_retried_and_loses_nothing(pair: Pair) -> None:
    """Queries killed while their answers are on the way are asked again."""
    load(pair.source, pair.database)
    with killer(pair.source, kills=3) as killed:
        result = pair.backup({"options": {"retries": 5, "days_of_pagination": 0.05}})  # many queries to kill
    assert killed
    assert result.failures == ()
    pair.assert_equal(points=3 * ROWS)


def test_a_query_that_is_always_killed_fails_the_run(pair: Pair) -> None:
    """After the retries the run fails, and says that the query was interrupted."""
    load(pair.source, pair.database)
    with killer(pair.source, kills=1000):
        result = pair.backup({"options": {"retries": 2}})
    assert_honest(result, pair)
    if not result.succeeded:  # a query may slip through between two looks
        assert "interrupted" in result.failures[0]
        assert pair.database in result.failures[0]
    assert pair.backup().succeeded
    pair.assert_equal(points=3 * ROWS)


LIMITS: dict[str, dict[str, str | int | bool]] = {
    "a query-timeout that nothing can meet": {"coordinator.query-timeout": "1ms"},
    "a query-timeout that short queries meet": {"coordinator.query-timeout": "150ms"},
    "max-select-point": {"coordinator.max-select-point": 1000},
    "max-select-series": {"coordinator.max-select-series": 10},
    "max-row-limit": {"http.max-row-limit": 100},
    "max-concurrent-queries": {"coordinator.max-concurrent-queries": 1},
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_of_the_server_is_met_or_fails_the_run(
    limit: str, destination: InfluxServer, database: str, tmp_path: Path
) -> None:
    """Never silently incomplete; and without the limit the next run makes the copy whole."""
    with InfluxServer.start("limited") as source:
        load(source, database)
        source.restart(settings=LIMITS[limit])
        pair = Pair(source, destination, database, tmp_path)
        result = pair.backup()
        source.restart(settings={})
        destination.create_database(database)  # a run that could ask nothing has not created it
        assert_honest(result, pair)
        if limit == "max-row-limit":
            assert result.succeeded
        if limit == "a query-timeout that nothing can meet":
            assert any("query-timeout" in failure for failure in result.failures)
        assert pair.backup().succeeded
        pair.assert_equal(points=3 * ROWS)


def test_a_source_that_stops_in_the_middle_fails_the_run(
    destination: InfluxServer, database: str, tmp_path: Path
) -> None:
    """The failure names the source; once it is back, the next run goes on."""
    with InfluxServer.start("stopping") as source:
        load(source, database)
        pair = Pair(source, destination, database, tmp_path)
        gate = Gate()
        with Proxy(destination.url) as proxy:
            proxy.inject(gate, "write", first=10, count=None)
            sections = {"options": {"days_of_pagination": 0.001}, "destination": {"url": proxy.url}}
            with in_background(pair, sections) as results:
                wait_until(gate.is_reached, "the tenth write")
                source.kill()
                gate.open()
        source.restart()
        assert_honest(results[0], pair)
        assert f"source {source.url}" in results[0].failures[0]
        assert pair.backup().succeeded
        pair.assert_equal(points=3 * ROWS)


@contextmanager
def in_background(pair: Pair, sections: Mapping[str, Any]) -> Iterator[list[JobResult]]:
    """A run in a thread, whose result is there when this is left."""
    results: list[JobResult] = []
    job = threading.Thread(target=lambda: results.append(pair.backup(sections)))
    job.start()
    yield results
    job.join()


def test_a_source_that_is_silent_for_a_while_is_asked_again(
    destination: InfluxServer, database: str, tmp_path: Path
) -> None:
    """A query that gets no byte in time is asked again, if need be for a shorter range; nothing is lost."""
    with InfluxServer.start("slow") as source:
        load(source, database)
        pair = Pair(source, destination, database, tmp_path)
        with Proxy(source.url) as proxy:
            silence = proxy.inject(before(source.pause), "query", first=12)
            options = {"timeout_client": 1, "retries": 100, "retry_delay": 0.1, "days_of_pagination": 0.05}
            with in_background(pair, {"source": {"url": proxy.url}, "options": options}) as results:
                wait_until(lambda: silence.injected, "a query")
                asked = proxy.seen.total()
                wait_until(lambda: proxy.seen.total() > asked + 1, "two questions more")
                source.resume()
        assert results[0].failures == ()
        pair.assert_equal(points=3 * ROWS)


def test_a_server_that_hangs_is_not_asked_for_less(source: InfluxServer, database: str, tmp_path: Path) -> None:
    """It does not answer a ping either: the run says so, instead of trying ever smaller questions."""
    with InfluxServer.start("hanging") as hanging:
        pair = Pair(hanging, source, database, tmp_path)
        pair.write(f"m v=1 {MONDAY}")
        config = Config(write_job(tmp_path, pair.config({"options": {"timeout_client": 0.5, "retries": 1}})))
        client = connect(config.job.options, config.job.source, "source", StopRequest())
        hanging.pause()
        try:
            with pytest.raises(Unreachable, match="nor an answer to a ping"):
                client.read_page(Location(database, "autogen", "m"), {"v": ()}, [], Span(MONDAY, MONDAY + 1))
        finally:
            hanging.resume()


def test_numbers_are_read_as_csv_at_once(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Every version of InfluxDB takes the question and tells of its answer what the tool expects."""
    pair.write("\n".join(f"m,host=a v={i},n={i}i {MONDAY + i}" for i in range(3000)))
    with caplog.at_level(logging.DEBUG):
        assert pair.backup({"options": {"retries": 0, "log_level": "DEBUG"}}).failures == ()
    pair.assert_equal(points=6000)
    assert "reading it as msgpack" not in caplog.text


@pytest.mark.parametrize("cut", range(1, 6))
def test_an_answer_that_lacks_its_last_documents_is_none(cut: int, pair: Pair) -> None:
    """The tag keys of several measurements are several documents, and none says that another one follows.

    The field's name keeps it from being read as CSV.
    """
    names = [f"m{n}" for n in range(4)]
    pair.write("\n".join(f'{m},{",".join(f"t{i}=x" for i in range(300))} s\\,="x" {MONDAY}' for m in names))
    tags, span = [f"t{i}" for i in range(300)], Span(MONDAY, MONDAY + 1)
    asked = [Ask(Location(pair.database, "autogen", m), {"s,": ("string",)}, tags, span) for m in names]
    with Proxy(pair.source.url) as proxy:
        sections = {"source": {"url": proxy.url}, "options": {"retries": 0}}
        config = Config(write_job(pair.directory, pair.config(sections)))
        client = connect(config.job.options, config.job.source, "source", StopRequest())
        for read in (
            lambda: client.read_together(asked, 10),
            lambda: client.read_page(asked[0].location, asked[0].types, tags, span),
        ):
            read()
            fault = proxy.inject(cut_documents(-cut), "query")
            with pytest.raises(IncompleteAnswer, match="ended before it was complete"):
                read()
            assert fault.injected == 1
        client.close()


def test_more_series_than_a_query_may_read_fail_at_once_with_the_remedy(pair: Pair) -> None:
    """That measurement is named, and what to raise; the others are copied, in later runs too."""
    with InfluxServer.start("few", settings={"coordinator.max-select-series": 10}) as few:
        own = Pair(few, pair.destination, pair.database, pair.directory)
        own.write("\n".join(f"many,h={h} v={h} {MONDAY}" for h in range(20)))
        for week in range(8):  # more than ten in all shards, but not in one
            own.write("\n".join(f"fine,h={h} v={h} {MONDAY + week * WEEK}" for h in range(4)))
        for later in range(4):
            if later == 2:  # from here on the destination has some of both, so that both sides are compared
                few.restart({})
                assert own.backup().succeeded
                own.assert_equal()
                few.restart({"coordinator.max-select-series": 10})
            own.write(f"fine,h=1 v=1 {MONDAY + 8 * WEEK + later}\nmany,h=1 v=1 {MONDAY + later + 1}")
            begun = time.monotonic()
            (failure,) = own.backup().failures
            assert f"{pair.database}.autogen.many" in failure
            assert "max-select-series limit exceeded: (11/10); raise coordinator.max-select-series" in failure
            assert time.monotonic() - begun < 30
            assert pair.destination.rows("SELECT count(v) FROM fine", db=pair.database) == [[0, 33 + later]]
        few.restart({})
        assert own.backup().succeeded
        own.assert_equal()
