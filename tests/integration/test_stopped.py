"""A run that is stopped tells how many points are there, also what it did not hear of any more."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from basics.stopping import StopRequest
from copying import small_measurements
from copying.results import JobResult
from influx import line_protocol
from main import run_worker
from tests.integration.harness import MONDAY, Pair, write_job
from tests.support import waiting
from tests.support.proxy import Exchange, Gate, Proxy, forward

MINUTE = 60 * 10**9
MINUTES = 3000
NAMES = ("cpu", "disk", "mem")


def there(pair: Pair) -> int:
    """How many points the destination holds; all of them have the one field."""
    found = pair.destination.rows('SELECT count("v") FROM /.*/', db=pair.database) if exists(pair) else []
    return sum(int(row[1]) for row in found)


def exists(pair: Pair) -> bool:
    """Whether the destination has the database yet."""
    return [pair.database] in pair.destination.rows("SHOW DATABASES")


def load(pair: Pair) -> None:
    """One point a minute of each measurement."""
    pair.write("\n".join(f"{m},host=a v={t}.5 {MONDAY + t * MINUTE}" for t in range(MINUTES) for m in NAMES))


@contextmanager
def stop_at(pair: Pair, points: int) -> Iterator[StopRequest]:
    """A stop as soon as the destination holds more than so many points."""
    stopping = StopRequest()

    def watch() -> None:
        waiting.wait_until(lambda: there(pair) > points, f"{points} points", progress=lambda: there(pair))
        stopping.requested = True

    thread = threading.Thread(target=watch)
    thread.start()
    yield stopping
    thread.join()


def stopped_run(pair: Pair, points: int) -> JobResult:
    """Small queries, so that it is stopped in its middle."""
    job = write_job(pair.directory, pair.config({"options": {"days_of_pagination": 0.02, "parallel_workers": 2}}))
    with stop_at(pair, points) as stopping:
        return run_worker(job, stopping)


@pytest.mark.parametrize("part", [0.1, 0.3])
def test_a_stopped_run_tells_what_is_there(pair: Pair, part: float) -> None:
    """The first one, one that goes on from there, and one that brings the rest."""
    load(pair)
    told = 0
    for number in (1, 2):
        result = stopped_run(pair, int(number * part * MINUTES * len(NAMES)))
        assert result.stopped
        told += result.written.points
        assert told == there(pair), f"run {number}"
    assert 0 < told < MINUTES * len(NAMES)
    assert told + pair.backup().written.points == MINUTES * len(NAMES)
    pair.assert_equal()


def test_a_run_stopped_among_late_data_tells_what_is_there(pair: Pair) -> None:
    """What the destination had of these windows is no news."""
    load(pair)
    assert pair.backup().failures == ()
    pair.destination.query('DELETE FROM "cpu"', db=pair.database)
    before = there(pair)
    pair.destination.write(f"cpu,host=a v={MINUTES - 1}.5 {MONDAY + (MINUTES - 1) * MINUTE}", pair.database)
    result = stopped_run(pair, before + MINUTES // 4)
    assert result.stopped
    assert result.written.points == there(pair) - before - 1


@pytest.mark.parametrize("is_late", [False, True], ids=["new", "late"])
def test_after_a_stop_no_request_is_begun(is_late: bool, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a page that has come; those on their way are finished. The next run brings the others."""
    monkeypatch.setattr(line_protocol, "BODY_BYTES", 1000)
    monkeypatch.setattr(small_measurements, "MOST_ROWS", 100)
    pair.write("\n".join(f"cpu,host=a v={n}.5 {MONDAY + n * 10**9}" for n in range(MINUTES)))
    if is_late:
        pair.destination.create_database(pair.database)
        last = MINUTES - 1
        pair.destination.write(f"cpu,host=a v={last}.5 {MONDAY + last * 10**9}", pair.database)
    stopping, gate, writes = StopRequest(), Gate(), list[str]()

    def count(exchange: Exchange) -> None:
        writes.append(exchange.text())
        forward(exchange)

    def stop() -> None:
        waiting.wait_until(gate.is_reached, "the second request")
        stopping.requested = True
        gate.open()

    with Proxy(pair.destination.url) as proxy:
        proxy.inject(gate, "write", first=2)
        proxy.inject(count, "write", count=None)
        thread = threading.Thread(target=stop)
        thread.start()
        result = run_worker(write_job(pair.directory, pair.config({"destination": {"url": proxy.url}})), stopping)
        thread.join()
    assert (result.stopped, result.failures) == (True, ())
    assert len(writes) < 8
    assert there(pair) < MINUTES // 3
    assert pair.backup().failures == ()
    pair.assert_equal(points=MINUTES)
