"""Measurements that travel together: few requests, and whatever goes wrong for one of them is met alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from basics.stopping import StopRequest
from copying import small_measurements
from copying.results import JobResult
from influx import line_protocol
from influx.errors import Unreachable
from influx.line_protocol import Body
from influx.written import Written
from influx_client import InfluxClient
from main import run_worker
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair, moved, write_job
from tests.support.proxy import Proxy, before, only, reset_response

MEASUREMENTS = 120


def lines(count: int = MEASUREMENTS) -> list[str]:
    """Measurements of different fields and types that begin at different times, some of them long ago."""
    found = []
    for n in range(count):
        for step in range(12):
            fields = [f"i={n + step}i", f"f{n % 3}={step}.5", f's="text {n}, {step}"', f"b={step % 2 == 0}"]
            chosen = ",".join(f for j, f in enumerate(fields) if j == n % 4 or (step + j) % 3)
            moment = MONDAY + (n % 5 - 2) * 20 * WEEK + step * (DAY if n % 2 else 3 * DAY) + n
            found.append(f"m{n:03d},host=h{step % 3},n={n} {chosen} {moment}")
    return found


@contextmanager
def counted(pair: Pair) -> Iterator[tuple[dict[str, Any], Proxy, Proxy]]:
    """The sections of a job by way of two proxies, which count requests."""
    with Proxy(pair.source.url) as reading, Proxy(pair.destination.url) as writing:
        yield {"source": {"url": reading.url}, "destination": {"url": writing.url}}, reading, writing


def test_many_measurements_take_few_requests(pair: Pair) -> None:
    """And none again for what is there already, but for their newest points."""
    pair.write("\n".join(lines()))
    with counted(pair) as (sections, reading, writing):
        first = pair.backup(sections)
        assert first.failures == ()
        assert first.written.points == len(lines())
        assert first.written.values == sum(line.split(" ", 1)[1].count("=") for line in lines())
        pair.assert_equal()
        assert reading.seen["query"] < 60
        assert writing.seen["write"] < 200  # a request for each shard group of each hundred
        before = reading.seen["query"] + writing.seen["query"] + writing.seen["write"]
        again = pair.backup(sections)
        assert (again.failures, again.late) == ((), 0)
        assert moved(again) <= 2 * MEASUREMENTS
        assert reading.seen["query"] + writing.seen["query"] + writing.seen["write"] < before + 150
    pair.assert_equal()


def test_the_next_run_brings_what_is_new(pair: Pair) -> None:
    """Of each measurement from its own newest point on."""
    everything = lines(40)
    pair.write("\n".join(line for i, line in enumerate(everything) if i % 12 < 5 or i % 7 == 0))
    assert pair.backup().failures == ()
    pair.write("\n".join(everything))
    assert pair.backup({"options": {"incremental": {"lookback": "52w"}}}).failures == ()
    pair.assert_equal()


@pytest.mark.parametrize("rows", [2, 3, 10])
def test_a_measurement_with_too_many_points_goes_on_alone(
    rows: int, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From wherever it turns out."""
    monkeypatch.setattr(small_measurements, "MOST_ROWS", rows)
    pair.write("\n".join(lines(30)))
    result = pair.backup()
    assert result.failures == ()
    assert result.written.points == 30 * 12
    pair.assert_equal(points=sum(line.split(" ", 1)[1].count("=") for line in lines(30)))


@pytest.mark.parametrize(
    "options", [{"days_of_pagination": 2}, {"days_of_pagination": 0.3}, {"parallel_workers": 1}]
)
def test_options_hold_for_many_at_once(options: dict[str, Any], pair: Pair) -> None:
    """The longest range of one query, above all."""
    pair.write("\n".join(line for line in lines(20) if int(line.split()[-1]) >= MONDAY))
    assert pair.backup({"options": options}).failures == ()
    pair.assert_equal()


def test_a_range_ends_where_it_ends_for_all_of_them(pair: Pair) -> None:
    """Half-open, to the nanosecond."""
    pair.write("\n".join(f"m{n} v={t}i {MONDAY + t}" for n in range(10) for t in range(20)))
    limits = {"start_date": "2024-01-01T00:00:00.000000005Z", "end_date": "2024-01-01T00:00:00.000000011Z"}
    assert pair.backup({"options": {"backup_mode": "range", "range": limits}}).failures == ()
    found = {(at[1], at[4]) for at in pair.found().points}
    assert found == {(b"m%d" % n, MONDAY + t) for n in range(10) for t in range(5, 11)}


def test_small_requests_keep_the_order_of_shard_groups(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts that do not fit into one request go into several."""
    monkeypatch.setattr(line_protocol, "BODY_BYTES", 300)
    pair.write("\n".join(lines(20)))
    assert pair.backup().failures == ()
    pair.assert_equal()


def test_one_that_needs_care_does_not_keep_the_others_from_travelling(pair: Pair) -> None:
    """A backslash before a space, a type conflict, a field of two types: each is dealt with alone."""
    pair.write("\n".join(lines(10)))
    pair.write(rf"care,host=a\\ b v=1 {MONDAY}" + f"\ncare,host=c v=2 {MONDAY + 1}")
    pair.write(f"conflict,host=a v=1.5,w=1i {MONDAY + 9}")
    pair.write(f"two v=1 {MONDAY}\ntwo v=2i {MONDAY + 2 * WEEK}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"conflict,host=b v=7i {MONDAY + 1}", pair.database)
    result = pair.backup()
    (failure,) = result.failures
    assert "conflict" in failure
    expected, found = pair.snapshots()
    lost = set(expected.points.items()) - set(found.points.items())
    assert {(at[1], at[3]) for at, _ in lost} == {(b"conflict", b"v")}


def test_a_tag_that_appears_while_they_travel_merges_no_series(pair: Pair) -> None:
    """Read without it, two new series would have the same tags and time: one of them would be lost."""
    pair.write("\n".join(lines(20)))
    appears = "\n".join(f"m003,host=h0,rack={rack} i={rack}i {MONDAY + 7}" for rack in range(1, 5))

    def write() -> None:
        pair.source.write(appears, pair.database)

    with counted(pair) as (sections, reading, _):
        # the tags were asked for before, for all measurements at once
        fault = reading.inject(
            only(lambda text: text.startswith("SELECT") and '"m003"' in text and "LIMIT" in text, before(write)),
            "query",
        )
        assert pair.backup(sections).failures == ()
        assert fault.injected == 1
    pair.assert_equal()


def test_a_type_that_appears_while_they_travel_is_no_success(pair: Pair) -> None:
    """In a shard group that others have already: an answer for several groups makes floats of such integers.

    When that is seen, the float may be there already, and the integer is put aside.
    """
    weeks = {"a": (0, 1, 3, 4, 5), "b": range(6), "c": range(6)}
    pair.write("\n".join(f"{m} v={w}.5 {MONDAY + w * WEEK}" for m, known in weeks.items() for w in known))
    appears = f"a v=7i {MONDAY + 2 * WEEK}"

    with counted(pair) as (sections, reading, _):
        fault = reading.inject(
            only(lambda text: text.startswith("SELECT") and "LIMIT" in text, before(lambda: pair.write(appears))),
            "query",
        )
        (failure,) = pair.backup(sections).failures
        assert fault.injected == 1
    assert failure.startswith(f"copy {pair.database}.autogen.a: 1 line refused and put aside")
    assert "field 'v' of measurement 'a' is integer in the source and float in the destination" in failure


def test_an_error_is_met_again_alone_and_retried_there(pair: Pair) -> None:
    """Nothing is lost, and no failure remains of a fault that passes."""
    pair.write("\n".join(lines(30)))
    with counted(pair) as (sections, reading, writing):
        reading.inject(reset_response(0.5), "query", first=6, count=2)
        writing.inject(reset_response(0), "write", first=3, count=4)
        result: JobResult = pair.backup({**sections, "options": {"retries": 2, "retry_delay": 0.01}})
    assert result.failures == ()
    pair.assert_equal()


def test_a_refusal_counts_when_a_stop_comes_with_it(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server has dropped is not reported as written, and no measurement as complete."""
    pair.destination.create_database(pair.database)
    pair.write("\n".join(f"m{n} v={t}.5,w={t}i {MONDAY + t * HOUR}" for n in range(3) for t in range(10)))
    stopping, write = StopRequest(), InfluxClient._write

    def write_and_stop(client: InfluxClient, database: str, policy: str, body: Body) -> Written:
        if body.text:
            pair.destination.write(f"m1 v=7i {MONDAY}", pair.database)  # after the types were looked at
            stopping.requested = True
        return write(client, database, policy, body)

    monkeypatch.setattr(InfluxClient, "_write", write_and_stop)
    result = run_worker(write_job(pair.directory, pair.config()), stopping)
    assert result.stopped
    assert result.written.points == 0
    assert not any(measurement.is_whole for database in result.databases for measurement in database.measurements)


def test_points_that_are_too_old_are_counted_for_their_own_measurement(pair: Pair) -> None:
    """The policy at the destination keeps less."""
    now = time.time_ns()
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 30d NAME "autogen"')
    for n in range(5):
        pair.write(f"m{n} v=1 {now - HOUR}")
    pair.write(f"m3 v=2 {now - 100 * DAY}")
    result = pair.backup()
    (failure,) = result.failures
    assert "m3" in failure
    assert "1 point older than retention policy" in failure
    assert {at[1] for at in pair.found().points} == {b"m%d" % n for n in range(5)}


@pytest.mark.parametrize("end", ["stop", "destination gone"])
def test_a_refused_request_leaves_no_hole_when_the_run_ends_with_it(
    end: str, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has stored its newest points but dropped older ones: these are put aside."""
    pair.destination.create_database(pair.database)
    pair.write(
        "\n".join(f"m{n} w={t}i{',v=1.5' * (t < 5)} {MONDAY + t * HOUR}" for n in range(3) for t in range(1, 9))
    )
    stopping, write, sent = StopRequest(), InfluxClient._write, list[bytes]()

    def end_at_the_first(client: InfluxClient, database: str, policy: str, body: Body) -> Written:
        if body.text and sent and end != "stop":
            raise Unreachable("gone")
        if body.text:
            sent.append(body.text)
            pair.destination.write(f"m1 v=7i {MONDAY}", pair.database)  # after the types were looked at
            stopping.requested = end == "stop"
        return write(client, database, policy, body)

    monkeypatch.setattr(InfluxClient, "_write", end_at_the_first)
    sections = {"options": {"retries": 0, "incremental": {"lookback": "0"}}}
    run_worker(write_job(pair.directory, pair.config(sections)), stopping)
    monkeypatch.setattr(InfluxClient, "_write", write)
    run_worker(write_job(pair.directory, pair.config(sections)))
    expected, found = pair.snapshots()
    lines = [line for file in pair.directory.rglob("*.lp") for line in file.read_bytes().splitlines()]
    aside = {(line.split()[0], line.split()[-1]) for line in lines if b"v=" in line and b"w=" in line}
    lost = {(at[1], b"%d" % at[4]) for at in expected.points.keys() - found.points.keys()}
    assert {measurement for measurement, _ in lost} == {b"m1"}
    assert lost <= aside
