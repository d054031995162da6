"""What the destination drops as too old by its own clock, though by ours it could hold it, is told."""

import json
import time

import pytest

from copying.results import JobResult
from tests.integration.harness import DAY, HOUR, Pair
from tests.integration.test_late_data import points, run_at
from tests.support.proxy import Proxy, respond

NOW = time.time_ns() - 2 * DAY
"""By our clock; those of the servers are two days ahead of it."""


@pytest.fixture
def week(pair: Pair) -> Pair:
    """Both sides keep points for a week; the source has older ones as well, from before its policy was altered."""
    pair.write(points("a", NOW - 8 * DAY + HOUR // 2, NOW, HOUR))
    for server in (pair.source, pair.destination):
        server.create_database(pair.database)
        server.query(f'ALTER RETENTION POLICY autogen ON "{pair.database}" DURATION 7d SHARD DURATION 7d')
    return pair


def _dropped(result: JobResult) -> str:
    assert (result.failures, result.verdict) == ((), "ok, 1 warning")
    (warning,) = result.cautions
    return warning


def _held(pair: Pair) -> list[int]:
    """The times of the points at both ends that the destination can hold by its own clock."""
    source, destination = ({at[4] for at in side.points} for side in pair.snapshots())
    assert destination < source
    return sorted(source - destination)


def test_what_is_dropped_as_too_old_is_told_when_it_is_copied_and_when_it_is_looked_for(week: Pair) -> None:
    """Of what is new and of what is late alike, with the number, in each run; what can be held is there."""
    for _ in range(2):
        warning = _dropped(run_at(week, NOW))
        lacking = _held(week)
        assert max(lacking) < time.time_ns() - 7 * DAY
        young = [at for at in lacking if at >= NOW - 7 * DAY + HOUR]
        assert f"dropped {len(young)} points as older than retention policy autogen keeps (7d)" in warning
        assert f"{week.database}.autogen.cpu [" in warning


def test_windows_of_means_that_are_too_old_are_told_too(week: Pair) -> None:
    """They are cut where whole windows begin."""
    warning = _dropped(run_at(week, NOW, {"source": {"group_by": "7h"}}))
    source, destination = ({at[4] // (7 * HOUR) for at in side.points} for side in week.snapshots())
    complete = (n * 7 * HOUR for n in source - destination if (n + 1) * 7 * HOUR <= NOW)
    lacking = [begin for begin in complete if begin >= NOW - 7 * DAY + HOUR]
    assert lacking
    assert f"dropped {len(lacking)} points as older than" in warning


def test_what_has_become_too_old_since_the_run_began_is_not_told(week: Pair) -> None:
    """A part of a run may begin days after it, on another machine."""
    result = run_at(week, NOW, elapsed=2 * DAY)
    assert (result.failures, result.cautions) == ((), ())


def test_what_is_late_beside_points_that_are_too_old_arrives(week: Pair) -> None:
    """The same run copies both, and only what cannot be held is missing afterwards."""
    _dropped(run_at(week, NOW))
    lacking = _held(week)
    begin = NOW - 3 * DAY
    week.destination.query(f"DELETE FROM cpu WHERE time >= {begin} AND time < {begin + DAY}", db=week.database)  # noqa: S608
    result = run_at(week, NOW)
    assert "points as older than" in _dropped(result)
    assert result.late == 48
    assert _held(week) == lacking


def test_a_window_that_could_be_held_is_copied_again_though_points_were_dropped_as_too_old(pair: Pair) -> None:
    """A write is answered like one of which a point is too old, and has stored nothing."""
    now = time.time_ns()
    pair.write(points("a", now - 5 * DAY, now, HOUR))
    assert run_at(pair, now).failures == ()
    begin = now - 3 * DAY
    pair.destination.query(f"DELETE FROM cpu WHERE time >= {begin} AND time < {begin + DAY}", db=pair.database)  # noqa: S608
    error = json.dumps({"error": "partial write: points beyond retention policy dropped=1"}).encode()
    answer = respond(400, error, "application/json", carried_out=False, **{"X-Influxdb-Version": "1.6.7"})
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(answer, "write", count=1)
        result = run_at(pair, now, {"destination": {"url": proxy.url}})
        assert proxy.seen["write"] > 1
    assert (result.failures, result.cautions) == ((), ())
    pair.assert_equal()
