"""After a failure: what must not come before its turn, for it would hide a hole, and what comes all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from influx import line_protocol
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.support.proxy import Exchange, Proxy, error_document, forward, only, respond

NEWEST = MONDAY + 5 * WEEK
REFUSED = respond(
    400,
    b'{"error":"partial write: no reason dropped=1"}',
    "application/json",
    carried_out=False,
    **{"X-Influxdb-Version": "1.6.7"},
)


@pytest.fixture
def blocked(pair: Pair) -> dict[str, Any]:
    """Options of a job whose quarantine takes nothing: what is refused is refused for good."""
    (pair.directory / "blocked").write_bytes(b"a file, where a folder should be")
    return {"quarantine_directory": str(pair.directory / "blocked"), "incremental": {"lookback": "52w"}}


@pytest.fixture
def reading(pair: Pair) -> Iterator[Proxy]:
    """In front of the source."""
    with Proxy(pair.source.url) as proxy:
        yield proxy


@pytest.fixture
def writing(pair: Pair) -> Iterator[Proxy]:
    """In front of the destination."""
    with Proxy(pair.destination.url) as proxy:
        yield proxy


def daily(measurement: str, host: str, begin: int = MONDAY, end: int = NEWEST) -> str:
    """A point a day, in [begin, end]."""
    return "\n".join(f"{measurement},host={host} v={t // DAY}i {t}" for t in range(begin, end + 1, DAY))


def copied(pair: Pair) -> set[tuple[str, str, int]]:
    """Measurement, host and time of each point at the destination."""
    return {(at[1].decode(), dict(at[2])[b"host"].decode(), at[4]) for at in pair.found().points}


@pytest.mark.parametrize("measurements", [["m"], ["l", "m", "n"]], ids=["alone", "among others"])
def test_a_measurement_whose_look_back_is_refused_copies_nothing_new(
    measurements: list[str], pair: Pair, reading: Proxy
) -> None:
    """New points would move where the next look-back begins. The others go on, the next run brings all of it."""
    pair.write("\n".join(daily(m, "a") for m in measurements))
    assert pair.backup().failures == ()
    pair.write("\n".join(f"{m},host=a v=1i {NEWEST + HOUR}\n{m},host=b v=1i {MONDAY}" for m in measurements))
    refused = reading.inject(
        only(lambda text: "count(" in text and '"m"' in text, error_document("no reason")), "query", count=None
    )
    result = pair.backup({"source": {"url": reading.url}})
    assert refused.injected > 0
    (failure,) = result.failures
    for part in (f"{pair.database}.autogen.m", "looking for late data", "no reason"):
        assert part in failure
    found = copied(pair)
    assert ("m", "a", NEWEST + HOUR) not in found
    others = [m for m in measurements if m != "m"]
    assert {(m, "a", NEWEST + HOUR) for m in others} | {(m, "b", MONDAY) for m in others} <= found
    assert pair.backup().failures == ()
    pair.assert_equal()


@pytest.mark.parametrize("measurements", [["m"], ["l", "m", "n"]], ids=["alone", "among others"])
@pytest.mark.parametrize("is_for_good", [False, True], ids=["unavailable", "refused"])
def test_a_measurement_whose_late_points_cannot_be_brought_copies_nothing_new(
    is_for_good: bool, measurements: list[str], pair: Pair, blocked: dict[str, Any], writing: Proxy
) -> None:
    """Whatever the reason: the hole would be behind the newest point."""
    pair.write("\n".join(daily(m, "a") for m in measurements))
    assert pair.backup().failures == ()
    pair.write("\n".join(f"{m},host=a v=1i {NEWEST + HOUR}\n{m},host=b v=1i {MONDAY}" for m in measurements))
    answer = REFUSED if is_for_good else respond(503)
    fault = writing.inject(only(lambda text: "m,host=b" in text, answer), "write", count=None)
    result = pair.backup({"destination": {"url": writing.url}, "options": {**blocked, "retry_delay": 0.01}})
    assert fault.injected > 0
    (failure,) = result.failures
    assert f"{pair.database}.autogen.m" in failure
    found = copied(pair)
    assert not {("m", "b", MONDAY), ("m", "a", NEWEST + HOUR)} & found
    assert {(m, "a", NEWEST + HOUR) for m in measurements if m != "m"} <= found
    assert pair.backup({"options": {"incremental": {"lookback": "52w"}}}).failures == ()
    pair.assert_equal()


def test_a_late_window_that_is_refused_for_good_does_not_keep_the_next_one_away(
    pair: Pair, blocked: dict[str, Any], writing: Proxy
) -> None:
    """Both are older than the newest point at the destination, so neither hides the other."""
    pair.write(daily("m", "a"))
    assert pair.backup().failures == ()
    first, second = MONDAY + DAY, MONDAY + 3 * WEEK
    pair.write(f"m,host=refused v=1i {first}\nm,host=b v=1i {second}\nm,host=a v=1i {NEWEST + HOUR}")
    fault = writing.inject(only(lambda text: "host=refused" in text, REFUSED), "write", count=None)
    result = pair.backup({"destination": {"url": writing.url}, "options": blocked})
    assert fault.injected > 0
    (failure,) = result.failures
    assert "no reason" in failure
    found = copied(pair)
    assert ("m", "b", second) in found
    assert not {("m", "refused", first), ("m", "a", NEWEST + HOUR)} & found


def test_nothing_later_is_written_after_a_range_that_was_refused_for_good(
    pair: Pair, blocked: dict[str, Any], writing: Proxy
) -> None:
    """Two fields resume apart, so there are two ranges: the second would hide what is missing of the first."""
    pair.write(f"m,host=a v=1i,w=1i {MONDAY}\nm,host=a w=2i {MONDAY + 3 * WEEK}")
    assert pair.backup().failures == ()
    pair.write(f"m,host=refused v=2i {MONDAY + WEEK}\nm,host=a v=3i,w=3i {MONDAY + 4 * WEEK}")
    fault = writing.inject(only(lambda text: "host=refused" in text, REFUSED), "write", count=None)
    result = pair.backup({"destination": {"url": writing.url}, "options": blocked})
    assert fault.injected > 0
    assert len(result.failures) == 1
    assert {at[4] for at in pair.found().points} == {MONDAY, MONDAY + 3 * WEEK}
    assert pair.backup().failures == ()
    pair.assert_equal(points=6)


# ---------------------------------------------------------------- requests that overlap


class Watched:
    """How many writes were on their way at once, and of which shard groups.

    The first ones wait until so many are.
    """

    def __init__(self, expected: int = 1) -> None:
        self.most = 0
        self._expected, self._are_there = expected, threading.Event()
        self.mixed: list[set[int]] = []
        self._under_way: list[int] = []
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        """Serve a write."""
        times = [int(line.rsplit(" ", 1)[1]) for line in exchange.text().splitlines() if line]
        group = (times[0] - MONDAY) // WEEK if times else None
        with self._lock:
            if group is not None:
                self._under_way.append(group)
                self.most = max(self.most, len(self._under_way))
                if len(set(self._under_way)) > 1:
                    self.mixed.append(set(self._under_way))
            if self.most >= self._expected:
                self._are_there.set()
        if group is not None:
            exchange.wait_for(self._are_there)
        exchange.pause(0.05)  # one too many would come now
        forward(exchange)
        with self._lock:
            if group is not None:
                self._under_way.remove(group)


def watched(pair: Pair, writing: Proxy, expected: int = 1, **options: object) -> Watched:
    """A copy in requests of half a day each."""
    watch = Watched(expected)
    writing.inject(watch, "write", count=None)
    sections = {
        "destination": {"url": writing.url},
        "options": {"days_of_pagination": 0.5, "timeout_client": 60, **options},
    }
    assert pair.backup(sections).failures == ()
    pair.assert_equal()
    return watch


def hourly(begin: int = MONDAY, hours: int = 14 * 24) -> str:
    """A point of each of two series an hour."""
    times = range(begin, begin + hours * HOUR, HOUR)
    return "\n".join(f"m,host={host} v={t // HOUR}i {t}" for t in times for host in "ab")


def test_requests_of_one_shard_group_overlap(pair: Pair, writing: Proxy) -> None:
    """Three of them; those of the next one wait."""
    pair.write(hourly())
    watch = watched(pair, writing, 3)
    assert watch.most == 3
    assert watch.mixed == []


@pytest.mark.parametrize(
    "options",
    [
        {"incremental": {"lookback": 0}},
        {"incremental": {"fallback_days": 36500}},
        {"incremental": {"obsolete_threshold": "36500d"}},
        {"field_obsolete_threshold": "36500d"},
    ],
    ids=str,
)
def test_without_a_look_back_at_all_of_it_requests_go_one_by_one(
    options: dict[str, Any], pair: Pair, writing: Proxy
) -> None:
    """A hole would never be found."""
    pair.write(hourly())
    assert watched(pair, writing, **options).most == 1


def test_points_ahead_of_the_clock_go_one_by_one(pair: Pair, writing: Proxy) -> None:
    """In the shard group of the present, too."""
    pair.write(hourly(time.time_ns() // HOUR * HOUR + HOUR, 72))
    assert watched(pair, writing).most == 1


def test_an_error_of_one_request_is_raised_when_the_others_are_done(pair: Pair, writing: Proxy) -> None:
    """These count and stay; nothing later is begun; the next run closes the hole."""
    pair.write(hourly())
    at = str(MONDAY + 30 * HOUR)
    writing.inject(only(lambda text: at in text, respond(503)), "write", count=None)
    watch = Watched()
    writing.inject(watch, "write", count=None)
    options = {"days_of_pagination": 0.5, "retry_delay": 0.01}
    result = pair.backup({"destination": {"url": writing.url}, "options": options})
    (failure,) = result.failures
    assert "HTTP 503" in failure
    found = copied(pair)
    assert ("m", "a", MONDAY + 30 * HOUR) not in found
    assert result.written.points == len(found)
    assert max(at for _, _, at in found) < MONDAY + 3 * DAY
    assert pair.backup().failures == ()
    pair.assert_equal()


@pytest.fixture
def interrupted(pair: Pair, writing: Proxy, monkeypatch: pytest.MonkeyPatch) -> int:
    """A run ended in the middle of a shard group, whose requests overlap; how many points the source has."""
    monkeypatch.setattr(line_protocol, "BODY_BYTES", 200_000)
    hour = HOUR // 30
    lines = [f"m,host=h{i % 1000} v={i}i {MONDAY + i // 1000 * hour}" for i in range(30_000)]
    for first in range(0, len(lines), 10_000):
        pair.write("\n".join(lines[first : first + 10_000]))
    fault = writing.inject(only(lambda text: "host=h7 " in text, respond(503)), "write", count=None)
    result = pair.backup({"destination": {"url": writing.url}, "options": {"retries": 0}})
    assert fault.injected > 0
    assert "HTTP 503" in "".join(result.failures)
    assert 0 < len(copied(pair)) < len(lines)
    return len(lines)


def test_a_run_that_would_not_compare_is_refused_after_one_that_was_interrupted(
    pair: Pair, interrupted: int
) -> None:
    """The newest points say nothing of the others."""
    there = copied(pair)
    blind = {"options": {"incremental": {"lookback": 0}}}
    (failure,) = pair.backup(blind).failures
    assert "a run was interrupted in the middle of a shard group" in failure
    assert copied(pair) == there
    assert pair.backup().failures == ()
    pair.assert_equal(points=interrupted)
    pair.write(f"m,host=new v=1i {MONDAY + DAY}")
    assert pair.backup(blind).failures == ()
    pair.assert_equal(points=interrupted + 1)


@pytest.mark.parametrize(
    "sections",
    [
        {"options": {"backup_mode": "range", "range": {"start_date": "2023-11-01", "end_date": "2023-12-10"}}},
        {"measurements": {"exclude": ["m"]}},
    ],
    ids=["range", "excluded"],
)
def test_a_run_that_did_not_look_there_does_not_make_up_for_one_that_was_interrupted(
    sections: dict[str, Any], pair: Pair, interrupted: int
) -> None:
    """It has compared nothing, or not this measurement."""
    pair.write(f"other v=1i {MONDAY - 5 * WEEK}")
    assert pair.backup(sections).failures == ()
    (failure,) = pair.backup({"options": {"incremental": {"lookback": 0}}}).failures
    assert "a run was interrupted in the middle of a shard group" in failure
    assert pair.backup().failures == ()
    pair.assert_equal(points=interrupted + 1)


def test_a_run_after_one_that_was_interrupted_goes_on_though_its_points_go_by_time(
    pair: Pair, interrupted: int
) -> None:
    """A field has got another type meanwhile; the run compares all the same, and the holes are filled."""
    pair.write(f"m,host=h0 v=1.5 {MONDAY + 2 * WEEK}")
    assert pair.backup().failures == ()
    pair.assert_equal(points=interrupted + 1)
    assert not list(pair.directory.rglob("*.unfinished"))


def test_a_file_of_marks_that_cannot_be_read_is_gone_when_all_was_compared(pair: Pair) -> None:
    """Until then no run that compares nothing goes on: not after one of a range, of a part, or that failed."""
    blind = {"options": {"incremental": {"lookback": 0}}}
    ranged = {"options": {"backup_mode": "range", "range": {"start_date": "2023-11-01", "end_date": "2023-12-10"}}}
    pair.write(f"cpu v=1 {MONDAY}\nmem v=1 {MONDAY}")
    pair.source.query(f"CREATE RETENTION POLICY spare ON {pair.database} DURATION INF REPLICATION 1")
    assert pair.backup().failures == ()
    marks = pair.directory / "quarantine" / ".compared" / "job.unfinished"
    marks.write_text("[")
    pair.write(f"cpu v=2 {MONDAY + DAY}\nmem v=2 {MONDAY + DAY}")
    for part in (ranged, {"measurements": {"exclude": ["mem"]}}):
        assert pair.backup(part).failures == ()
    with Proxy(pair.destination.url) as proxy:
        proxy.inject(respond(503), "write", count=None)
        assert pair.backup({"destination": {"url": proxy.url}}).failures
    (failure,) = pair.backup(blind).failures
    assert "a run was interrupted in the middle of a shard group" in failure
    assert pair.backup().failures == ()
    assert not marks.exists()
    assert pair.backup(blind).failures == ()
    pair.assert_equal(points=4)
