"""Somebody drops a database, a retention policy or a measurement in the middle of a copy, on either side."""

import functools
import random

import pytest

from tests.faults.harness import (
    Middle,
    assert_mended,
    assert_nothing_invented,
    copying,
    ended,
    fresh,
    lines,
    slow,
)
from tests.faults.rounds import Rounds
from tests.integration.daemon import wait_until
from tests.integration.harness import Pair, snapshot
from tests.support.servers import InfluxServer, quoted

DROPS = ["database", "retention policy", "measurement"]
POLICY = "kept"


def _drop(what: str, server: InfluxServer, database: str) -> None:
    if what == "database":
        server.drop_database(database)
    elif what == "retention policy":
        server.query(f"DROP RETENTION POLICY {POLICY} ON {quoted(database)}")
    else:
        server.query("DROP MEASUREMENT m1", db=database)


def _load(pair: Pair) -> None:
    pair.source.create_database(pair.database)
    pair.source.query(f"CREATE RETENTION POLICY {POLICY} ON {quoted(pair.database)} DURATION INF REPLICATION 1")
    pair.write(lines(), POLICY)


@pytest.mark.parametrize("what", DROPS[:2])
def test_dropped_at_the_destination(pair: Pair, rounds: Rounds, what: str) -> None:
    """The run fails and says what is not there any more; the next one copies all of it again."""
    for number in rounds.of(f"{what} dropped at the destination in the middle", 5):
        with fresh(pair, number) as round_:
            _load(round_)
            with Middle(round_, random.Random(number)) as middle, copying(round_, middle.of(slow())) as tool:
                middle.wait(tool)
                _drop(what, round_.destination, round_.database)
                middle.let_go()
                ended(tool).assert_failed("destination", f"{what} not found")
            assert_mended(round_)


def test_a_measurement_dropped_at_the_destination(pair: Pair, rounds: Rounds) -> None:
    """The server goes on taking its points, so nothing fails: only counting tells what is gone."""
    for number in rounds.of("measurement dropped at the destination in the middle", 5):
        with fresh(pair, number) as round_:
            _load(round_)
            with Middle(round_, random.Random(number)) as middle, copying(round_, middle.of(slow())) as tool:
                middle.wait(tool)
                wait_until(functools.partial(_has_m1, round_), "something to drop", tool)
                _drop("measurement", round_.destination, round_.database)
                middle.let_go()
                ended(tool)
            assert_mended(round_)


def _has_m1(pair: Pair) -> bool:
    return bool(pair.destination.rows("SELECT count(v) FROM kept.m1", db=pair.database))


@pytest.mark.parametrize("what", DROPS)
def test_dropped_at_the_source(pair: Pair, rounds: Rounds, what: str) -> None:
    """What was copied before stays, nothing else appears; a copy of the rest is fine, unless there is none."""
    for number in rounds.of(f"{what} dropped at the source in the middle", 5):
        with fresh(pair, number) as round_:
            _load(round_)
            before = snapshot(round_.source, round_.database)
            with Middle(round_, random.Random(number)) as middle, copying(round_, middle.of(slow())) as tool:
                middle.wait(tool)
                _drop(what, round_.source, round_.database)
                middle.let_go()
                found = ended(tool)
            copied = round_.found()
            assert_nothing_invented(copied, before)
            if what == "measurement":
                assert found.code == 0, found
                rest = snapshot(round_.source, round_.database)
                assert 0 < len(rest) < len(copied) < len(before), "it was not dropped in the middle"
                assert_nothing_invented(rest, copied)
            else:
                found.assert_failed("source", f"{what} not found")
                assert 0 < len(copied) < len(before), "it was not dropped in the middle"
            again = round_.backup()
            if what == "database":
                assert "database not found" in again.failures[0]
            elif what == "retention policy":  # that held all there was
                assert "holds no measurement" in again.failures[0]
            else:
                assert again.outcome == "ok", again.failures
            assert round_.found() == copied
