"""What is read of a measurement: which ranges, in which pages, and what is said where that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from basics.spans import Span
from basics.stopping import Stopped
from basics.times import END_OF_TIME, MIN_TIME
from copying.reading import Reader, read_ahead
from copying.segments import Segment
from copying.task import Copy
from influx.errors import InfluxError, QueryRefused
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.integration.parts import NOW, Parts, parts
from tests.support.proxy import Proxy, error_document, only


@contextmanager
def reader(pair: Pair, changes: Mapping[str, Any] | None = None) -> Iterator[tuple[Reader, Parts]]:
    """Who reads the source."""
    with parts(pair, changes) as found:
        yield Reader(found.job, found.source, NOW, found.stopping), found


def week(number: int, count: int = 1) -> Span:
    """So many weeks."""
    return Span(MONDAY + number * WEEK, MONDAY + (number + count) * WEEK)


def everything(copy: Copy) -> Segment:
    """All fields, all of time."""
    return Segment(tuple(copy.types), Span(MIN_TIME, END_OF_TIME))


def weekly(weeks: Sequence[int], kinds: str = "1.5") -> str:
    """A point in each of these weeks."""
    return "\n".join(f"m v={kinds.split()[n % len(kinds.split())]} {MONDAY + n * WEEK + DAY}" for n in weeks)


def test_ranges_are_where_shard_groups_are(pair: Pair) -> None:
    """Those that touch are one, unless a field has several types; those that still grow are apart."""
    pair.write(weekly([0, 1, 2, 5, 14, 15]))
    with reader(pair) as (found, run):
        copy = run.planned()["m"]
        several = replace(copy, types={"v": ("float", "integer")})
        assert found.ranges(copy, everything(copy)) == (week(0, 3), week(5), week(14), week(15))
        assert found.ranges(several, everything(copy)) == tuple(map(week, (0, 1, 2, 5, 14, 15)))
        part = Segment(("v",), Span(MONDAY + DAY, MONDAY + 5 * WEEK + 1))
        assert found.ranges(copy, part) == (
            Span(MONDAY + DAY, MONDAY + 3 * WEEK),
            Span(MONDAY + 5 * WEEK, MONDAY + 5 * WEEK + 1),
        )


def test_ranges_of_means_are_whole_windows(pair: Pair) -> None:
    """However long these are."""
    pair.write(weekly([1, 5]))
    with reader(pair, {"source": {"group_by": "6w"}}) as (found, run):
        copy = run.planned()["m"]
        spans = found.ranges(copy, everything(copy))
    assert all(edge % (6 * WEEK) == 0 for span in spans for edge in span.edges)
    assert spans[0].start <= MONDAY + WEEK
    assert spans[-1].end >= MONDAY + 6 * WEEK
    assert sum(span.length for span in spans) <= 12 * WEEK


def test_ranges_of_a_user_who_may_not_see_shard_groups_end_with_the_newest_point(pair: Pair) -> None:
    """The past, the present group and the future are read apart; not what has several types."""
    pair.write(f"m v=1 {MONDAY + DAY}\nm w=1 {NOW + 3 * WEEK}")
    with reader(pair) as (found, run):
        known = run.planned()["m"]
        copy = replace(known, types={"v": ("float",), "w": ("float",)}, target=replace(known.target, groups=None))
        present = MONDAY + 14 * WEEK
        assert found.ranges(copy, everything(copy)) == (
            Span(MIN_TIME, present),
            Span(present, present + WEEK),
            Span(present + WEEK, NOW + 3 * WEEK + 1),
        )
        part = Segment(("v", "w"), Span(MONDAY, MONDAY + 9))
        assert found.ranges(copy, part) == (part.span,)
        nothing = replace(copy, types={"none": ("float",)})
        assert found.ranges(nothing, part) == ()
        mixed = replace(copy, types={**copy.types, "x": ("float", "string")})
        with pytest.raises(
            QueryRefused, match=r"only an administrator may see .*: x \(float and string\); use an"
        ):
            found.ranges(mixed, part)


def test_several_types_under_overlapping_shard_groups_are_refused_where_they_overlap(pair: Pair) -> None:
    """Not beside that, and not one type."""
    pair.write(weekly([0, 1, 2]))
    groups = (week(0, 2), week(1), week(2))
    with reader(pair) as (found, run):
        known = run.planned()["m"]
        copy = replace(known, target=replace(known.target, groups=groups))
        mixed = replace(copy, types={"v": ("float", "integer"), "w": ("float",)})
        assert found.ranges(copy, everything(copy))
        for begin, end, refused in ((0, 7, ""), (14, 21, ""), (6, 8, "08T"), (13, 15, "14T"), (0, 21, "08T")):
            part = Segment(("v",), Span(MONDAY + begin * DAY, MONDAY + end * DAY))
            if not refused:
                assert found.ranges(mixed, part)
                continue
            said = rf"\[2024-01-{refused}.*shard groups overlap there.*: v \(float and integer\)"
            with pytest.raises(QueryRefused, match=said):
                found.ranges(mixed, part)


def pages(found: Reader, copy: Copy, segment: Segment | None = None) -> list[tuple[int, int, int]]:
    """From when to when each page reaches, in days since the first Monday, and how many points it holds."""
    found_pages = list(found.pages(copy, segment or everything(copy)))
    return [
        ((page.span.start - MONDAY) // DAY, (page.span.end - MONDAY) // DAY, sum(map(len, page.frames)))
        for page in found_pages
    ]


def test_a_page_reaches_to_the_end_of_a_shard_group_and_further_while_little_comes(pair: Pair) -> None:
    """A decade of thin weeks is not five hundred questions; the option bounds them."""
    pair.write(weekly(range(14)))
    with reader(pair) as (found, run):
        assert pages(found, run.planned()["m"]) == [(0, 7, 1), (7, 63, 8), (63, 98, 5)]
        part = Segment(("v",), Span(MONDAY + 3 * DAY, MONDAY + 20 * WEEK))
        assert pages(found, run.planned()["m"], part) == [(3, 10, 1), (10, 66, 8), (66, 98, 4)]
    with reader(pair, {"options": {"days_of_pagination": 3}}) as (found, run):
        bounded = pages(found, run.planned()["m"])
        assert max(end - begin for begin, end, _ in bounded) == 3
        assert sum(points for *_, points in bounded) == 14


def test_each_page_of_means_is_of_whole_windows(pair: Pair) -> None:
    """Eight of them at first."""
    pair.write("\n".join(f"m v={n} {MONDAY + n * HOUR}" for n in range(40 * 24)))
    with reader(pair, {"source": {"group_by": "1d"}}) as (found, run):
        (copy,) = run.planned().values()
        found_pages = pages(found, copy, Segment(("v",), Span(MONDAY, MONDAY + 42 * DAY)))
    assert found_pages[0] == (0, 8, 8)
    assert sum(points for *_, points in found_pages) == 40


def test_a_question_that_is_refused_is_named_with_its_range(pair: Pair) -> None:
    """And a stop is heard before the next one."""
    pair.write(weekly(range(14)))
    with Proxy(pair.source.url) as proxy:
        refuse = error_document("no reason")
        proxy.inject(only(lambda text: "SELECT" in text and "LIMIT" in text, refuse), "query", count=None)
        with reader(pair, {"source": {"url": proxy.url}}) as (found, run):
            copy = run.planned()["m"]
            with pytest.raises(InfluxError, match=r"\[2024-01-01T00:00:00Z, 2024-01-08T00:00:00Z\).*no reason"):
                pages(found, copy)
            proxy.heal()
            going = found.pages(copy, everything(copy))
            assert next(going).span == week(0)
            asked = proxy.seen["query"]
            run.stopping.requested = True
            with pytest.raises(Stopped):
                next(going)
            assert proxy.seen["query"] == asked


def test_what_one_answer_cannot_hold_is_asked_for_less(pair: Pair) -> None:
    """In shorter stretches, from then on; all of it is read once."""
    pair.write("\n".join(f"m v={n} {MONDAY + n * HOUR}" for n in range(7 * 24)))
    too_large = error_document("max-select-buckets limit exceeded: (2/1)")
    with Proxy(pair.source.url) as proxy, reader(pair, {"source": {"url": proxy.url}}) as (found, run):
        copy = run.planned()["m"]
        proxy.inject(only(lambda text: "SELECT" in text and "LIMIT" in text, too_large), "query", count=2)
        spans = pages(found, copy)
    assert sum(points for *_, points in spans) == 7 * 24
    assert len(spans) > 1


def test_too_many_series_are_asked_for_in_fewer_shards_and_no_further(pair: Pair) -> None:
    """Where a stretch has but one, less time holds as many series: that fails at once, with its range."""
    pair.write("\n".join(weekly([week, week]) + f"\nm v={week} {MONDAY + week * WEEK}" for week in range(12)))
    many = error_document("max-select-series limit exceeded: (11/10)")
    with Proxy(pair.source.url) as proxy, reader(pair, {"source": {"url": proxy.url}}) as (found, run):
        copy = run.planned()["m"]
        going = found.pages(copy, everything(copy))
        assert next(going).span == week(0)
        fault = proxy.inject(only(lambda text: "SELECT" in text and "LIMIT" in text, many), "query", count=2)
        assert next(going).span.length < 8 * WEEK  # which it would have been
        assert fault.injected == 2
        fault = proxy.inject(only(lambda text: "SELECT" in text and "LIMIT" in text, many), "query", count=None)
        with pytest.raises(InfluxError, match=r"\[2024-01-01T00:00:00Z, 2024-01-08T00:00:00Z\).*\(11/10\)"):
            next(found.pages(copy, everything(copy)))
        assert fault.injected == 1


def test_the_next_item_is_made_while_the_caller_works() -> None:
    """One ahead, no more; its error comes in its place, and whoever has enough ends it."""
    made = list[int]()

    def items() -> Iterator[int]:
        for number in range(5):
            made.append(number)
            yield number
        raise ValueError("no more")

    found = read_ahead(items())
    assert next(found) == 0
    found.close()
    assert made in ([0], [0, 1])
    again = read_ahead(items())
    assert [next(again) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="no more"):
        next(again)
    assert list(read_ahead(iter("ab"))) == ["a", "b"]
