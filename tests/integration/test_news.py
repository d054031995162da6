"""What of a run is new, as the destination tells it before, in the end, and when the run is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from basics.spans import Span
from copying import news
from copying.news import News
from copying.task import Copy
from copying.windows import Window
from influx.errors import InfluxError
from influx.written import Written
from tests.integration.harness import DAY, HOUR, MONDAY, Pair
from tests.integration.parts import Parts, parts
from tests.support.proxy import Proxy, error_document, only, respond


@contextmanager
def counting(pair: Pair, url: str = "") -> Iterator[tuple[News, dict[str, Copy], Parts]]:
    """Who counts what is new, and what is copied."""
    with parts(pair, {"destination": {"url": url or pair.destination.url}, "options": {"retries": 0}}) as run:
        yield News(run.destination, run.planner), run.planned(), run


def hourly(name: str, hours: range, fields: str = "v=1,w=1") -> str:
    """A point an hour."""
    return "\n".join(f"{name} {fields} {MONDAY + hour * HOUR}" for hour in hours)


def load(pair: Pair) -> None:
    """Two measurements, of one of which the destination has three points; of a field of it two."""
    pair.write(hourly("a", range(5)) + "\n" + hourly("b", range(5)))
    pair.destination.create_database(pair.database)
    pair.destination.write(hourly("a", range(3), "v=1") + "\n" + hourly("a", range(2), "w=1"), pair.database)


def test_what_was_there_from_where_it_is_read_on_is_not_new(pair: Pair) -> None:
    """From where its fields go on; what was not expected is all new, and what was not stored is no news."""
    load(pair)
    with counting(pair) as (found, copies, _):
        a, b = copies["a"], copies["b"]
        assert found.new(a.source, Written(2, 4, 40)) == Written(2, 4, 40)
        found.expect([a, b])
        told = found.new(a.source, Written(4, 8, 80))
        assert (told.points, told.values, told.repeated) == (3, 5, 1)
        assert found.new(b.source, Written(5, 10, 90)) == Written(5, 10, 90)
        assert found.new(a.source, Written(expired=3)) == Written(expired=3)
        assert found.settle([a, b]).keys() == {a.source}


def test_what_the_destination_has_gained_in_the_end_is_new(pair: Pair) -> None:
    """Where it had points of another origin, these were taken for some that were written again."""
    load(pair)
    pair.destination.write(f"a,other=1 v=1 {MONDAY + DAY}", pair.database)
    with counting(pair) as (found, copies, _):
        a, b = copies["a"], replace(copies["b"])
        early = replace(a, starts=dict.fromkeys(a.starts, MONDAY), resumed={})
        found.expect([early, b])
        told = found.new(a.source, Written(5, 10, 100))
        assert (told.points, told.values) == (2, 4)
        pair.destination.write(hourly("a", range(5)), pair.database)
        more = found.settle([early, b])[a.source]
        assert (told.points + more.points, told.values + more.values) == (3, 5)
        assert found.settle([b]) == {}


def test_a_destination_that_does_not_tell_makes_all_of_a_measurement_new(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """Of others is known what was there. Where it is gone, that is an error; in the end it is none."""
    caplog.set_level("INFO")
    load(pair)
    pair.destination.write(hourly("b", range(4)), pair.database)
    with Proxy(pair.destination.url) as proxy, counting(pair, proxy.url) as (found, copies, _):
        both = list(copies.values())
        about_b = only(lambda text: "count(" in text and '"b"' in text, error_document("cannot count"))
        proxy.inject(about_b, "query", count=None)
        found.expect(both)
        news_of = {name: found.new(copy.source, Written(2, 4, 40)) for name, copy in copies.items()}
        assert (news_of["a"].points, news_of["b"].points) == (1, 2)
        assert f"{copies['b'].source}: what is read again of it counts as new: " in caplog.text
        assert f"{copies['a'].source}: what is read again" not in caplog.text
        proxy.heal()
        proxy.inject(only(lambda text: "count(" in text, respond(503)), "query", count=None)
        with pytest.raises(InfluxError, match="503"):
            found.expect(both)
        assert found.settle(both) == {}
        assert "what is new may be more than what is told" in caplog.text
        proxy.heal()
        proxy.inject(about_b, "query")
        proxy.inject(only(lambda text: "count(" in text, respond(503)), "query", first=2, count=None)
        with pytest.raises(InfluxError, match="503"):
            found.expect(both)


def test_late_windows_are_told_by_what_they_lack(pair: Pair) -> None:
    """Field by field; of the others nothing is known."""
    load(pair)
    with counting(pair) as (found, copies, run):
        a = copies["a"]
        counts = {"v": 5, "w": 5}, {"v": 3, "w": 2}
        lacking = Window(a, Span(MONDAY, MONDAY + DAY), *counts, lacks={"v": 2, "w": 2}, changed={"w": 1})
        found.expect_late(a, [lacking])
        told = found.new(a.source, Written(5, 10, 100))
        assert (told.points, told.values) == (3, 5)
        found.expect_late(a, [lacking])
        pair.destination.write(hourly("a", range(4)), pair.database)
        there = found.there([a, copies["b"]], run.destination, run.stopping)
        assert {source.measurement: (w.points, w.values) for source, w in there.items()} == {"a": (2, 3)}
        found.expect_late(a, [replace(lacking, fields=("w",))])
        told = found.new(a.source, Written(5, 5, 50))
        assert (told.points, told.values) == (3, 3)


@pytest.mark.parametrize("together", [1, 2, 100])
def test_a_stopped_run_asks_for_many_at_once_those_first_of_which_something_was_seen(
    together: int, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until there is no more time."""
    monkeypatch.setattr(news, "TOGETHER", together)
    names = "abcde"
    pair.write("\n".join(hourly(name, range(5)) for name in names))
    pair.destination.create_database(pair.database)
    with Proxy(pair.destination.url) as proxy, counting(pair, proxy.url) as (found, copies, run):
        found.expect(list(copies.values()))
        found.new(copies["d"].source, Written(1, 2, 20))
        pair.destination.write("\n".join(hourly(name, range(3)) for name in "bd"), pair.database)
        before = proxy.seen["query"]
        there = found.there(list(copies.values()), run.destination, run.stopping)
        assert proxy.seen["query"] - before == -(-len(names) // together)
        amounts = {source.measurement: (w.points, w.values) for source, w in there.items()}
        assert amounts == {"a": (0, 0), "b": (3, 6), "c": (0, 0), "d": (2, 4), "e": (0, 0)}
        assert next(iter(there)).measurement == "d"
        run.stopping.requested = True
        assert found.there(list(copies.values()), run.destination, run.stopping) == {}


def test_the_newest_points_are_those_that_were_read_or_were_there(pair: Pair) -> None:
    """Of a database those that were read; none where there is none."""
    load(pair)
    with counting(pair) as (found, copies, _):
        a, b = copies["a"], copies["b"]
        assert found.newest(pair.database) is None
        assert found.newest_of([a, b]) == {"a": MONDAY + 2 * HOUR}
        found.read(b.source, None)
        assert found.newest(pair.database) is None
        for time in (MONDAY + 5, MONDAY + 9, MONDAY + 7):
            found.read(b.source, time)
        found.read(a.source, MONDAY)
        assert found.newest(pair.database) == MONDAY + 9
        assert found.newest_of([a, b]) == {"a": MONDAY + 2 * HOUR, "b": MONDAY + 9}
        found.read(a.source, MONDAY + DAY)
        assert found.newest_of([a]) == {"a": MONDAY + DAY}
