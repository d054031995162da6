"""Writes that the destination takes in part or not at all: named, counted, never passed over."""

import logging
import time
from pathlib import Path

import pytest

from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.support.proxy import Action, Proxy, error_document, forget, only, reset_response, respond
from tests.support.servers import InfluxServer, RequestFailed


def test_a_field_type_conflict_is_named_and_leaves_the_rest_alone(pair: Pair) -> None:
    """Measurement, field and both types stand in the message; all other fields arrive."""
    pair.write(f"m,h=a v=1,w=1 {MONDAY}\nm,h=a w=2 {MONDAY + 1}\nfine v=1 {MONDAY}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m,h=old v=7i {MONDAY}", pair.database)
    result = pair.backup()
    (failure,) = result.failures
    for part in ("'m'", "'v'", "float", "integer", "1 line refused", f"{pair.database}.autogen.m.lp"):
        assert part in failure
    found = {(at[1], dict(at[2]).get(b"h"), at[3], at[4]) for at in pair.found().points}
    assert found == {
        (b"m", b"old", b"v", MONDAY),
        (b"m", b"a", b"w", MONDAY),
        (b"m", b"a", b"w", MONDAY + 1),
        (b"fine", None, b"v", MONDAY),
    }


def test_a_conflict_between_two_shards_of_the_source_moves_nothing_ahead(pair: Pair) -> None:
    """Two types meet in one shard of the destination: the values of the second one are put aside."""
    pair.source.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1d NAME "autogen"')
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 7d NAME "autogen"')
    pair.write(f"m v=1.5,w=1 {MONDAY}\nm v=2i,w=2 {MONDAY + DAY}\nm w=3 {MONDAY + DAY + 1}")
    (failure,) = pair.backup().failures
    assert "'v'" in failure
    found = {(at[3], at[4]) for at in pair.found().points}
    assert found == {(b"v", MONDAY), *((b"w", MONDAY + after) for after in (0, DAY, DAY + 1))}
    file = pair.directory / "quarantine" / "job" / f"{pair.database}.autogen.m.lp"
    assert file.read_text().splitlines()[-1] == f"m v=2i {MONDAY + DAY}"
    without = {"measurements": {"specific": {"m": {"fields": {"exclude": ["v"]}}}}}
    (left,) = pair.backup(without).failures
    assert "still holds 1 line" in left


def test_another_type_in_another_shard_of_the_destination_is_no_conflict(pair: Pair) -> None:
    """A destination that keeps older data of another type goes on receiving."""
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=7i {MONDAY}", pair.database)
    pair.write(f"m v=1.5 {MONDAY + WEEK}")
    assert pair.backup().failures == ()
    assert len(pair.found()) == 2


def test_points_beyond_a_shorter_retention_are_counted_and_named(pair: Pair) -> None:
    """What the destination's policy gives up fails the run; all that it keeps arrives."""
    now = time.time_ns()
    pair.write("\n".join(f"m v={i}i {now - i * DAY - HOUR}" for i in range(40)))
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 10d NAME "autogen"')
    result = pair.backup()
    (failure,) = result.failures
    for part in ("30 points", "autogen", "10d", "fallback_days"):
        assert part in failure
    assert {at[4] for at in pair.found().points} == {now - i * DAY - HOUR for i in range(10)}
    assert pair.backup().failures == ()  # nothing new to lose
    again = pair.backup({"options": {"incremental": {"fallback_days": 5}}})
    assert again.failures == ()


def test_points_that_the_source_itself_gives_up_are_no_loss(pair: Pair) -> None:
    """A policy of the same duration refuses what the source is about to delete; that is not a failure."""
    now = time.time_ns()
    for server in (pair.source, pair.destination):
        server.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 8d SHARD DURATION 7d NAME "week"')
    pair.source.write("\n".join(f"m v={i}i {now - i * HOUR}" for i in range(190)), pair.database)
    assert pair.backup().failures == ()
    pair.assert_equal(points=190)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"data.max-series-per-database": 10}, "max-series-per-database"),
        ({"data.max-values-per-tag": 10}, "max-values-per-tag"),
        ({"http.max-body-size": 10}, "413"),
    ],
)
def test_a_limit_of_the_destination_fails_the_run(
    settings: dict[str, int], named: str, source: InfluxServer, database: str, tmp_path: Path
) -> None:
    """The server's own words are in the message, and no retry hides them."""
    with InfluxServer.start("limited", settings=settings) as destination:
        pair = Pair(source, destination, database, tmp_path)
        pair.write(f"m,host=h0 v=0i {MONDAY}")
        pair.backup()
        # max-values-per-tag looks at what the server holds before the request, so it takes three requests
        for begin in (1, 100):
            pair.write("\n".join(f"m,host=h{i} v={i}i {MONDAY + i}" for i in range(begin, begin + 99)))
            result = pair.backup()
        assert len(result.failures) == 1
        assert named in result.failures[0]
        assert f"{database}.autogen.m" in result.failures[0]


@pytest.mark.parametrize(("count", "length"), [(15, 5_000_000), (60, 1_000_000)])
def test_strings_of_megabytes_arrive(count: int, length: int, pair: Pair) -> None:
    """Pages shrink with the length of the values; a single line may be larger than a request is meant to be."""
    try:
        for i in range(count):
            pair.write(b'big,n=%d text="%s" %d' % (i % 3, bytes([97 + i % 26]) * length, MONDAY + i))
    except RequestFailed as error:  # from 1.12 on there are no such strings
        if "is too long, 5000000 > 1048576" not in error.message:
            raise
    else:
        assert pair.backup().failures == ()
        pair.assert_equal(points=count)


def test_a_request_that_influxdb_loses_is_written_again_and_a_second_loss_is_a_warning(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """One loss is InfluxDB's own race, and no reason to worry; the next one of the same request is one."""
    caplog.set_level(logging.INFO)
    pair.write(f"m v=1i {MONDAY}")
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(forget(), "write", count=2)
        sections = {"destination": {"url": proxy.url}, "options": {"retries": 3, "retry_delay": 0.1}}
        assert pair.backup(sections).failures == ()
    pair.assert_equal(points=1)
    first, second = (record for record in caplog.records if "lost a request" in record.getMessage())
    assert "InfluxDB lost a request that it had acknowledged; writing it again; retry 1 of 3" in first.getMessage()
    assert first.levelno == logging.INFO
    assert "2 times by now (a relay or a queue on the way" in second.getMessage()
    assert second.levelno == logging.WARNING


@pytest.mark.parametrize("fault", [respond(503), reset_response(0), error_document("timeout")])
def test_a_write_is_not_made_again_when_only_the_look_for_it_failed(fault: Action, pair: Pair) -> None:
    """It was acknowledged: the look is made again, once more for each failure, and the points are sent once."""
    pair.write("\n".join(f"m v={i}i {MONDAY + i}" for i in range(10)))
    with Proxy(pair.destination.url) as proxy:
        looks = proxy.inject(
            only(lambda text: "count(" in text and str(MONDAY + 9) in text, fault), "query", count=2
        )
        sections = {"destination": {"url": proxy.url}, "options": {"retries": 3, "retry_delay": 0.01}}
        assert pair.backup(sections).failures == ()
        assert looks.injected == 2
        assert proxy.seen["write"] == 1
    pair.assert_equal(points=10)
