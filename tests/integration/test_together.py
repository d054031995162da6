"""Measurements that are copied together, by themselves: how far each comes, and what is asked for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from basics.spans import Span
from basics.times import END_OF_TIME
from copying import small_measurements
from copying.listener import SilentRun
from copying.news import News
from copying.quarantine import Quarantine
from copying.segments import Segment
from copying.small_measurements import GroupCopy
from copying.task import Copy
from influx.influxql import Location
from influx.written import Written
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.integration.parts import NOW, Parts, parts
from tests.support.proxy import Proxy, forward, only, respond


class Told(SilentRun):
    """What is told of each measurement."""

    def __init__(self) -> None:
        self.begun_ones: list[str] = []
        self.written: dict[str, Written] = {}
        self.reached_times: dict[str, list[tuple[float, float | None]]] = {}

    def begun(self, source: Location) -> None:
        """In their order."""
        self.begun_ones.append(source.measurement)

    def wrote(self, source: Location, written: Written) -> None:
        """Added up."""
        self.written[source.measurement] = self.written.get(source.measurement, Written()) + written

    def reached(self, source: Location, position: int, newest: int | None = None) -> None:
        """In days since the first Monday."""
        days = ((position - MONDAY) / DAY, None if newest is None else (newest - MONDAY) / DAY)
        self.reached_times.setdefault(source.measurement, []).append(days)


class Copied:
    """What came of a group of all measurements; `spans` says which parts of some are copied."""

    def __init__(
        self,
        run: Parts,
        pair: Pair,
        copies: Mapping[str, Copy],
        spans: Mapping[str, Sequence[Span]] | None = None,
        days: float | None = None,
    ) -> None:
        self.told, self.news = Told(), News(run.destination, run.planner)
        whole = [Span(min(min(copy.starts.values()) for copy in copies.values()), END_OF_TIME)]
        members = [
            (copy, [Segment(tuple(sorted(copy.types)), span) for span in (spans or {}).get(name, whole)])
            for name, copy in copies.items()
        ]
        group = GroupCopy(
            run.source,
            run.destination,
            members,
            now=NOW,
            days=days,
            stopping=run.stopping,
            quarantine=lambda place: Quarantine(pair.directory / "aside", "job", "http://x", place, "now"),
            listener=self.told,
            news=self.news,
        )
        found = group.copy()
        self.since = {source.measurement: progress.since for source, progress in found.items()}
        self.points = {source.measurement: progress.written.points for source, progress in found.items()}
        self.values = {source.measurement: progress.written.values for source, progress in found.items()}
        self.newest = self.news.newest(pair.database)


def copied(pair: Pair, changes: Mapping[str, Any] | None = None, **how: Any) -> Copied:  # noqa: ANN401
    """What comes of it."""
    with parts(pair, changes) as run:
        return Copied(run, pair, run.planned(), **how)


def daily(name: str, days: Sequence[float], fields: str = "v=1,w=2i") -> str:
    """A point at each of these days since the first Monday."""
    return "\n".join(f"{name},t=x {fields} {MONDAY + int(day * DAY)}" for day in days)


def test_each_of_them_is_told_how_far_it_is(pair: Pair) -> None:
    """By what was written of it, and by each stretch that is done; the newest point is known."""
    pair.write("\n".join((daily("a", [0, 1, 8]), daily("b", [9], "v=1"), daily("c", [0.5, 15]))))
    found = copied(pair)
    assert found.since == dict.fromkeys("abc", END_OF_TIME)
    assert (found.points, found.values) == ({"a": 3, "b": 1, "c": 2}, {"a": 6, "b": 1, "c": 4})
    assert {name: (w.points, w.values) for name, w in found.told.written.items()} == {
        "a": (3, 6),
        "b": (1, 1),
        "c": (2, 4),
    }
    assert found.told.begun_ones == ["a", "b", "c"]
    assert found.told.reached_times == {
        "a": [(1, 1), (7, None), (8, 8), (21, None)],
        "b": [(7, None), (9, 9), (21, None)],
        "c": [(0.5, 0.5), (7, None), (15, 15), (21, None)],
    }
    assert found.newest == MONDAY + 15 * DAY
    pair.assert_equal()


def test_only_what_is_due_of_each_is_read(pair: Pair) -> None:
    """Its segments, half-open, in any number."""
    pair.write("\n".join(daily(name, range(20)) for name in "abc"))

    def days(begin: int, end: int) -> Span:
        return Span(MONDAY + begin * DAY, MONDAY + end * DAY)

    found = copied(
        pair, spans={"a": [days(3, 5), days(5, 9), days(12, 13)], "b": [days(8, 30)], "c": [days(1, 2)]}
    )
    assert found.points == {"a": 7, "b": 12, "c": 1}
    assert found.since == dict.fromkeys("abc", END_OF_TIME)
    got = {(at[1].decode(), (at[4] - MONDAY) // DAY) for at in pair.found().points if at[3] == b"v"}
    wanted = {"a": [*range(3, 9), 12], "b": range(8, 20), "c": [1]}
    assert got == {(name, day) for name, found_days in wanted.items() for day in found_days}


@pytest.mark.parametrize(("points", "since"), [(9, END_OF_TIME), (10, MONDAY + WEEK)])
def test_one_that_has_too_many_points_goes_alone_from_there_on(
    points: int, since: int, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what one request for all of them holds: rows times columns; the others go on."""
    monkeypatch.setattr(small_measurements, "CELLS", 10 * 2 * 4)
    many = [7 + n / 100 for n in range(points)]
    pair.write("\n".join((daily("a", [0, *many, 15]), daily("b", [1, 8, 16], "v=1,w=1i"))))
    found = copied(pair)
    assert found.since == {"a": since, "b": END_OF_TIME}
    assert found.points == {"a": points + 2 if since == END_OF_TIME else 1, "b": 3}
    assert max(position for position, _ in found.told.reached_times["a"]) == (21 if since == END_OF_TIME else 7)


@pytest.mark.parametrize(("most", "rows"), [(4, 3), (3, 2), (1, 1)])
def test_each_goes_alone_that_has_more_points_than_the_others_may(
    most: int, rows: int, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is full may lack some, so as many are too many; two at least are asked for."""
    monkeypatch.setattr(small_measurements, "MOST_ROWS", most)
    pair.write("\n".join(daily(f"m{n}", [day / 10 for day in range(n)]) for n in (1, 2, 3, 4)))
    assert copied(pair).since == {f"m{n}": END_OF_TIME if n <= rows else MONDAY for n in (1, 2, 3, 4)}


def ends(found: Copied, name: str = "a") -> list[float]:
    """Where the stretches end that were read, in weeks since the first Monday."""
    return [position / 7 for position, newest in found.told.reached_times[name] if newest is None]


def test_stretches_get_longer_while_little_comes(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """And shorter where one has too many points for them; bounded by the option."""
    pair.write("\n".join(daily(name, range(0, 90, 7), "v=1") for name in "ab"))
    assert ends(copied(pair)) == [1, 9, 13]
    pair.destination.drop_database(pair.database)
    assert ends(copied(pair, days=14)) == [1, 3, 5, 7, 9, 11, 13]
    pair.destination.drop_database(pair.database)
    assert ends(copied(pair, days=3.5)) == [n / 2 for n in range(1, 27)]
    pair.destination.drop_database(pair.database)
    monkeypatch.setattr(small_measurements, "MOST_ROWS", 9)
    assert ends(copied(pair)) == [1, 4, 7, 10, 13]
    pair.destination.drop_database(pair.database)
    monkeypatch.setattr(small_measurements, "MOST_ROWS", 20)
    pair.write("\n".join(f"b,t=x v=1 {MONDAY + 10 * WEEK + n * HOUR}" for n in range(1, 15)))
    assert ends(copied(pair)) == [1, 7, 8.5, 13]
    pair.assert_equal()


def test_nothing_later_is_written_of_one_that_has_left(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a field of it begins later in the same stretch; what needs care leaves, too."""
    monkeypatch.setattr(small_measurements, "MOST_ROWS", 5)
    pair.write("\n".join((daily("a", [0, 0.1, 0.2, 0.3, 0.4, 3, 8]), daily("b", [0, 1]))))
    pair.write("\n".join((daily("c", [1, 4, 8]), f"c,t=x\\\\ y v=1 {MONDAY + HOUR}")))
    parted = [Span(MONDAY, MONDAY + 2 * DAY), Span(MONDAY + 2 * DAY, END_OF_TIME)]
    found = copied(pair, spans={"a": parted, "c": parted})
    assert found.since == {"a": MONDAY, "b": END_OF_TIME, "c": MONDAY}
    assert found.points == {"a": 0, "b": 2, "c": 0}
    assert {at[1] for at in pair.found().points} == {b"b"}


def test_they_take_a_request_each_way(pair: Pair) -> None:
    """For each stretch, and each shard group; where types may have changed they are asked for at the end."""
    pair.write("\n".join(daily(name, [1, 2, 3]) for name in "abcd"))
    counts = list[tuple[int, int, int]]()
    for more in ("", "\n".join(daily(name, [8 + 7 * n for n in range(10)]) for name in "abcd")):
        if more:
            pair.write(more)
        with Proxy(pair.source.url) as reading, Proxy(pair.destination.url) as writing:
            about_types = only(lambda text: "SHOW FIELD KEYS" in text, forward)
            keys = reading.inject(about_types, "query", count=None)
            with parts(pair, {"source": {"url": reading.url}, "destination": {"url": writing.url}}) as run:
                copies = run.planned()
                queries, types = reading.seen["query"], keys.injected
                Copied(run, pair, copies)
                asked = reading.seen["query"] - queries, writing.seen["write"], keys.injected - types
        counts.append(asked)
        pair.destination.drop_database(pair.database)
    assert counts == [(1, 1, 0), (4, 11, 1)]


def test_a_stop_leaves_them_to_the_next_run(pair: Pair) -> None:
    """From their beginning, which that compares."""
    pair.write("\n".join(daily(name, [1, 8]) for name in "ab"))
    with parts(pair) as run:
        copies = run.planned()
        run.stopping.requested = True
        found = Copied(run, pair, copies)
    assert found.since == dict.fromkeys("ab", MONDAY)
    assert (found.points, found.told.written) == ({"a": 0, "b": 0}, {})


def test_an_error_leaves_them_to_the_ordinary_way_from_what_has_arrived_on(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log says so."""
    caplog.set_level("INFO")
    pair.write("\n".join(daily(name, [1, 8, 15]) for name in "ab"))
    options = {"retries": 0}
    with Proxy(pair.destination.url) as proxy:
        fault = proxy.inject(only(lambda text: str(MONDAY + 8 * DAY) in text, respond(503)), "write", count=None)
        found = copied(pair, {"destination": {"url": proxy.url}, "options": options}, days=7)
        assert fault.injected > 0
    assert found.since == dict.fromkeys("ab", MONDAY + WEEK)
    assert found.points == dict.fromkeys("ab", 1)
    assert ends(found) == [1]
    assert "2 measurements go on one by one: " in caplog.text
    assert "2 measurements together: 2 points in " in caplog.text


def test_points_that_are_too_old_end_it(pair: Pair) -> None:
    """The ordinary way counts them."""
    pair.write("\n".join(daily(name, [1]) for name in "ab"))
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH DURATION 30d NAME "autogen"')
    found = copied(pair)
    assert found.since == dict.fromkeys("ab", MONDAY)
    assert found.points == dict.fromkeys("ab", 0)
