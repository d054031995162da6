"""Time arithmetic: no nanosecond is read by nobody, and no write crosses a shard group's boundary."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basics.spans import Span, halves
from basics.times import DAY, END_OF_TIME, HOUR, MIN_TIME, SECOND
from copying.pace import Pace
from copying.segments import SAME_PLACE, Segment, plan_segments
from influx import pages, shard_groups

REPRODUCIBLE = settings(derandomize=True, database=None, deadline=None, max_examples=150)
WEEK = 7 * DAY
MAX_TIME = 9223372036854775806
GO_EPOCH = 62_135_596_800 * SECOND
"""Nanoseconds from the year 1, where the server starts to count shard groups, to 1970."""


def at(text: str) -> int:
    """Nanoseconds of a day such as `2024-01-01`."""
    return int((dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days) * DAY


def group_number(time: int, duration: int) -> int:
    """Which shard group a time falls into, in exact integers."""
    return (time + GO_EPOCH) // duration


TIMES = st.one_of(
    st.integers(MIN_TIME, MAX_TIME),
    st.integers(-5, 5),
    st.sampled_from([MIN_TIME, MIN_TIME + 1, MAX_TIME - 1, MAX_TIME, at("2024-01-01"), at("2024-01-01") - 1]),
)
DURATIONS = st.one_of(st.integers(HOUR, 60 * DAY), st.sampled_from([HOUR, DAY, WEEK, 30 * DAY, 5200 * WEEK]))
SMALL = st.integers(0, 30)
GROUPS = st.lists(st.tuples(SMALL, st.integers(1, 10)).map(lambda t: Span(t[0], t[0] + t[1])), max_size=6)


def covered(spans: Sequence[Span]) -> list[int]:
    """Every point of small spans, as often as it is covered."""
    return sorted(t for span in spans for t in range(span.start, span.end))


# ---------------------------------------------------------------- spans


@pytest.mark.parametrize(
    ("span", "limits", "clipped"),
    [
        (Span(0, 10), (2, 8), Span(2, 8)),
        (Span(0, 10), (-5, 20), Span(0, 10)),
        (Span(0, 10), (5, 20), Span(5, 10)),
        (Span(MIN_TIME, END_OF_TIME), (0, 1), Span(0, 1)),
    ],
)
def test_a_span_is_clipped_to_what_lies_inside(span: Span, limits: tuple[int, int], clipped: Span) -> None:
    """The common part of both."""
    assert span.clip(*limits) == clipped
    assert span.clip(*limits).length == clipped.end - clipped.start


@pytest.mark.parametrize("limits", [(10, 20), (-5, 0), (4, 4), (50, 60)])
def test_a_span_clipped_to_where_it_is_not_is_empty(limits: tuple[int, int]) -> None:
    """Half-open ends that touch have nothing in common."""
    assert Span(0, 10).clip(*limits).length <= 0


# ---------------------------------------------------------------- shard groups


def test_weekly_shard_groups_start_on_mondays() -> None:
    """The server counts from the year 1, not from 1970, which was a Thursday."""
    assert shard_groups.shard_grid(at("2024-01-03"), at("2024-01-08"), WEEK) == (
        Span(at("2024-01-01"), at("2024-01-08")),
        Span(at("2024-01-08"), at("2024-01-15")),
    )
    assert shard_groups.shard_grid(0, 0, WEEK) == (Span(at("1969-12-29"), at("1970-01-05")),)


def test_daily_shard_groups_start_at_midnight() -> None:
    """Before 1970 too."""
    assert shard_groups.shard_grid(-1, 0, DAY) == (Span(-DAY, 0), Span(0, DAY))


def test_a_point_on_a_boundary_belongs_to_the_later_group() -> None:
    """Both ends of the grid are points, not limits."""
    monday = at("2024-01-01")
    assert shard_groups.shard_grid(monday - 1, monday - 1, WEEK) == (Span(monday - WEEK, monday),)
    assert shard_groups.shard_grid(monday, monday, WEEK) == (Span(monday, monday + WEEK),)


def test_the_outermost_groups_end_where_time_ends() -> None:
    """No edge is outside of what can be asked for."""
    first, last = (
        shard_groups.shard_grid(MIN_TIME, MIN_TIME, WEEK),
        shard_groups.shard_grid(MAX_TIME, MAX_TIME, WEEK),
    )
    assert first == (Span(MIN_TIME, at("1677-09-27")),)
    assert last == (Span(at("2262-04-07"), END_OF_TIME),)


@given(TIMES, st.integers(0, 400 * DAY), st.sampled_from([DAY, WEEK, 30 * DAY, 1000 * WEEK]))
@REPRODUCIBLE
def test_the_grid_covers_all_between_two_points_without_a_gap(first: int, length: int, duration: int) -> None:
    """Each group is a multiple of its duration since the year 1, and they follow each other."""
    last = min(first + length, MAX_TIME)
    grid = shard_groups.shard_grid(first, last, duration)
    assert grid[0].start <= first < grid[0].end
    assert grid[-1].start <= last < grid[-1].end
    assert all(a.end == b.start for a, b in itertools.pairwise(grid))
    assert all((span.start + GO_EPOCH) % duration == 0 for span in grid if span.start != MIN_TIME)
    assert all((span.end + GO_EPOCH) % duration == 0 for span in grid if span.end != END_OF_TIME)
    assert all(group_number(span.start, duration) == group_number(span.end - 1, duration) for span in grid)


NOW = at("2024-01-10")
PRESENT = at("2024-01-08")


@pytest.mark.parametrize(
    ("span", "groups"),
    [
        (Span(MIN_TIME, END_OF_TIME), (
            Span(MIN_TIME, PRESENT), Span(PRESENT, PRESENT + WEEK), Span(PRESENT + WEEK, END_OF_TIME))),
        (Span(PRESENT - 5, PRESENT + 5), (Span(PRESENT - 5, PRESENT), Span(PRESENT, PRESENT + 5))),
        (Span(PRESENT, PRESENT + 5), (Span(PRESENT, PRESENT + 5),)),
        (Span(PRESENT + WEEK, PRESENT + WEEK + 5), (Span(PRESENT + WEEK, PRESENT + WEEK + 5),)),
        (Span(5, 5), ()),
        (Span(6, 5), ()),
        (Span(MIN_TIME, MIN_TIME + 1), (Span(MIN_TIME, MIN_TIME + 1),)),
    ],
)  # fmt: skip
def test_groups_that_nobody_may_see_are_assumed_by_the_policy(span: Span, groups: tuple[Span, ...]) -> None:
    """The past is one group, the present one is kept apart, and so is all the future."""
    assert shard_groups.assumed_groups(span, WEEK, NOW) == groups


@given(TIMES, st.integers(1, 2000 * DAY), TIMES)
@REPRODUCIBLE
def test_assumed_groups_leave_no_gap(start: int, length: int, now: int) -> None:
    """Every nanosecond of the span is in one of them, in order."""
    span = Span(start, min(start + length, END_OF_TIME))
    groups = shard_groups.assumed_groups(span, WEEK, now)
    assert groups[0].start == span.start
    assert groups[-1].end == span.end
    assert all(a.end == b.start for a, b in itertools.pairwise(groups))
    assert all(group.length > 0 for group in groups)


@pytest.mark.parametrize(
    ("moment", "groups", "found"),
    [
        (at("2024-01-03"), [], Span(at("2024-01-01"), PRESENT)),
        (at("2024-01-03"), [Span(at("2024-01-02"), at("2024-01-04"))], Span(at("2024-01-02"), at("2024-01-04"))),
        (at("2024-01-04"), [Span(at("2024-01-02"), at("2024-01-04"))], Span(at("2024-01-01"), PRESENT)),
        (at("2024-01-02"), [Span(at("2024-01-02"), at("2024-01-04"))], Span(at("2024-01-02"), at("2024-01-04"))),
        (5, [Span(4, 20), Span(0, 6)], Span(0, 6)),
        (MAX_TIME, [], Span(at("2262-04-07"), END_OF_TIME)),
        (MIN_TIME, [], Span(MIN_TIME, at("1677-09-27"))),
    ],
)
def test_a_point_goes_into_the_existing_group_or_a_new_one(moment: int, groups: list[Span], found: Span) -> None:
    """An existing group wins over the policy's duration, which may have been altered since."""
    assert shard_groups.group_around(moment, WEEK, groups) == found


@pytest.mark.parametrize(
    ("groups", "window", "spans"),
    [
        ([], 10, ()),
        ([Span(0, 10)], 10, (Span(0, 10),)),
        ([Span(1, 9)], 10, (Span(0, 10),)),
        ([Span(-1, 1)], 10, (Span(-10, 10),)),
        ([Span(-15, -11)], 10, (Span(-20, -10),)),
        ([Span(0, 11), Span(15, 21)], 10, (Span(0, 30),)),
        ([Span(31, 32), Span(0, 10)], 10, (Span(0, 10), Span(30, 40))),
        ([Span(5, 7), Span(12, 13)], 1, (Span(5, 7), Span(12, 13))),
    ],
)
def test_spans_are_widened_to_whole_windows(groups: list[Span], window: int, spans: tuple[Span, ...]) -> None:
    """A window is read once, with all the shards it touches."""
    assert shard_groups.aligned_spans(groups, window) == spans


def test_widened_spans_stay_inside_time() -> None:
    """There is no window beyond the ends."""
    assert shard_groups.aligned_spans([Span(MIN_TIME, 1), Span(5, END_OF_TIME)], DAY) == (
        Span(MIN_TIME, END_OF_TIME),
    )
    late = Span(END_OF_TIME - 1, END_OF_TIME)
    assert shard_groups.aligned_spans([late], DAY)[0].end == END_OF_TIME


# ---------------------------------------------------------------- where data can be


@pytest.mark.parametrize(
    ("groups", "now", "exact", "spans"),
    [
        ([], 100, False, ()),
        ([Span(0, 10), Span(10, 20), Span(20, 30)], 100, False, (Span(0, 30),)),
        ([Span(0, 10), Span(10, 20), Span(20, 30)], 100, True, (Span(0, 10), Span(10, 20), Span(20, 30))),
        ([Span(20, 30), Span(0, 10)], 100, False, (Span(0, 10), Span(20, 30))),
        # a group that ends after now can still grow, and with another type
        ([Span(0, 10), Span(10, 20), Span(20, 30)], 25, False, (Span(0, 20), Span(20, 30))),
        ([Span(0, 10), Span(10, 20), Span(20, 30)], 20, False, (Span(0, 20), Span(20, 30))),
        ([Span(0, 10), Span(10, 20), Span(20, 30)], 19, False, (Span(0, 10), Span(10, 20), Span(20, 30))),
        ([Span(0, 10), Span(10, 20), Span(20, 30)], 30, False, (Span(0, 30),)),
        # overlapping groups, as after a change of the shard duration
        ([Span(0, 10), Span(4, 6), Span(8, 20)], 100, False, (Span(0, 20),)),
        ([Span(0, 10), Span(4, 6), Span(8, 20)], 100, True,
         (Span(0, 4), Span(4, 6), Span(6, 8), Span(8, 10), Span(10, 20))),
        ([Span(0, 10), Span(0, 10)], 100, True, (Span(0, 10),)),
    ],
)  # fmt: skip
def test_data_can_be_in_the_shard_groups_alone(
    groups: list[Span], now: int, exact: bool, spans: tuple[Span, ...]
) -> None:
    """Groups that touch are one span, unless types must be exact or a group is still open."""
    assert shard_groups.data_spans(groups, now, exact=exact) == spans


@given(GROUPS, st.integers(0, 40), st.booleans())
@REPRODUCIBLE
def test_data_spans_cover_exactly_the_shard_groups_once(groups: list[Span], now: int, exact: bool) -> None:
    """In order, without overlaps; with `exact` no span crosses any group's edge."""
    spans = shard_groups.data_spans(groups, now, exact=exact)
    assert covered(spans) == sorted(set(covered(groups)))
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
    edges = {edge for g in groups for edge in (g.start, g.end) if exact or g.end > now}
    assert not any(span.start < edge < span.end for span in spans for edge in edges)


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ([], ()),
        ([Span(0, 10), Span(10, 20)], ()),
        ([Span(0, 10), Span(9, 20)], (Span(9, 10),)),
        ([Span(5, 8), Span(0, 20)], (Span(5, 8),)),
        ([Span(0, 20), Span(2, 4), Span(3, 25)], (Span(2, 4), Span(3, 20))),
        ([Span(0, 10), Span(0, 10)], (Span(0, 10),)),
        ([Span(MIN_TIME, 5), Span(4, 9)], (Span(4, 5),)),
    ],
)
def test_stretches_with_two_shard_groups_are_found(groups: list[Span], found: tuple[Span, ...]) -> None:
    """There the types of an answer cannot be trusted."""
    assert shard_groups.overlaps(groups) == found


@given(GROUPS)
@REPRODUCIBLE
def test_overlaps_are_exactly_what_is_covered_twice(groups: list[Span]) -> None:
    """Not a nanosecond more or less."""
    points = covered(groups)
    assert set(covered(shard_groups.overlaps(groups))) == {t for t in points if points.count(t) > 1}


@pytest.mark.parametrize(
    ("start", "end", "ranges"),
    [
        (0, 100, (Span(0, 10), Span(10, 20), Span(40, 50))),
        (5, 45, (Span(5, 10), Span(10, 20), Span(40, 45))),
        (10, 40, (Span(10, 20),)),
        (10, 41, (Span(10, 20), Span(40, 41))),
        (9, 10, (Span(9, 10),)),
        (20, 40, ()),
        (25, 30, ()),
        (50, 60, ()),
        (-10, 0, ()),
        (-10, 1, (Span(0, 1),)),
        (7, 7, ()),
        (8, 7, ()),
        (MIN_TIME, END_OF_TIME, (Span(0, 10), Span(10, 20), Span(40, 50))),
    ],
)
def test_ranges_are_the_parts_of_the_spans_between_start_and_end(
    start: int, end: int, ranges: tuple[Span, ...]
) -> None:
    """Time where no shard exists is never asked for."""
    assert shard_groups.calculate_date_ranges(start, end, [Span(0, 10), Span(10, 20), Span(40, 50)]) == ranges


def test_without_spans_there_are_no_ranges() -> None:
    """An empty policy has nothing to read."""
    assert shard_groups.calculate_date_ranges(MIN_TIME, END_OF_TIME, []) == ()


@given(GROUPS, SMALL, SMALL)
@REPRODUCIBLE
def test_ranges_leave_out_nothing_and_add_nothing(groups: list[Span], start: int, end: int) -> None:
    """Every nanosecond of a span between the two is in one range, in order."""
    spans = shard_groups.data_spans(groups, 0, exact=True)
    ranges = shard_groups.calculate_date_ranges(start, end, spans)
    assert covered(ranges) == [t for t in covered(spans) if start <= t < end]
    assert all(a.end <= b.start for a, b in itertools.pairwise(ranges))


# ---------------------------------------------------------------- segments


@pytest.mark.parametrize(
    ("starts", "end", "segments"),
    [
        ({}, 100, ()),
        ({"a": 0}, 100, (Segment(("a",), Span(0, 100)),)),
        ({"a": 100}, 100, ()),
        ({"a": 101, "b": 99}, 100, (Segment(("b",), Span(99, 100)),)),
        ({"b": 5, "a": 0}, 100, (Segment(("a", "b"), Span(0, 100)),)),
        ({"b": HOUR, "a": 0}, DAY, (Segment(("a", "b"), Span(0, DAY)),)),
        ({"b": HOUR + 1, "a": 0}, DAY,
         (Segment(("a",), Span(0, HOUR + 1)), Segment(("a", "b"), Span(HOUR + 1, DAY)))),
        # steps of less than SAME_PLACE do not add up to more than it
        ({"a": 0, "b": HOUR // 2, "c": HOUR, "d": HOUR + HOUR // 2}, DAY,
         (Segment(("a", "b", "c"), Span(0, HOUR + HOUR // 2)),
          Segment(("a", "b", "c", "d"), Span(HOUR + HOUR // 2, DAY)))),
        ({"z": MIN_TIME, "a": 0}, END_OF_TIME,
         (Segment(("z",), Span(MIN_TIME, 0)), Segment(("a", "z"), Span(0, END_OF_TIME)))),
    ],
)  # fmt: skip
def test_fields_join_as_their_starts_are_reached(
    starts: dict[str, int], end: int, segments: tuple[Segment, ...]
) -> None:
    """A new field with old history is read alone first, then together with the others."""
    assert plan_segments(starts, end) == segments


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 20).map(lambda n: n * HOUR // 3)),
    st.integers(0, 8).map(lambda n: n * HOUR),
)
@REPRODUCIBLE
def test_every_field_is_read_from_its_start_to_the_end(starts: Mapping[str, int], end: int) -> None:
    """Without a gap, oldest first, and little of it twice."""
    segments = plan_segments(starts, end)
    assert all(a.span.end == b.span.start for a, b in itertools.pairwise(segments))
    assert all(segment.span.length > 0 for segment in segments)
    assert {f for segment in segments for f in segment.fields} == {f for f, start in starts.items() if start < end}
    for field, start in starts.items():
        spans = [segment.span for segment in segments if field in segment.fields]
        if spans:
            assert spans[0].start <= start
            assert start - spans[0].start <= SAME_PLACE
            assert spans[-1].end == end
            assert all(a.end == b.start for a, b in itertools.pairwise(spans))


# ---------------------------------------------------------------- pace


@pytest.mark.parametrize(
    ("pace", "start", "end", "window"),
    [
        (Pace(10, 100), 0, 100, Span(0, 10)),
        (Pace(10, 100), 95, 100, Span(95, 100)),
        (Pace(10, 100, longest=3), 0, 100, Span(0, 3)),
        (Pace(1, 100), 0, 100, Span(0, 1)),
        (Pace(25, 100, step=10), 0, 100, Span(0, 20)),
        (Pace(5, 100, step=10), 0, 100, Span(0, 10)),
        (Pace(100, 100, longest=35, step=10), 0, 100, Span(0, 30)),
        (Pace(100, 100, longest=3, step=10), 0, 100, Span(0, 10)),
        (Pace(20, 100, step=10), 90, 100, Span(90, 100)),
    ],
)
def test_a_query_asks_for_the_pace_but_not_beyond_the_range(
    pace: Pace, start: int, end: int, window: Span
) -> None:
    """And for whole windows when downsampling, at least one."""
    assert pace.window(start, end) == window


ASKED = Span(0, 1000)


@pytest.mark.parametrize(
    ("rows", "got", "length"),
    [
        (0, ASKED, 8000),
        (24, ASKED, 8000),
        (25, ASKED, 1000),
        (100, ASKED, 1000),
        (99, Span(0, 300), 600),
        (100, Span(0, 1), 2),
        (101, ASKED, 500),
    ],
)
def test_the_pace_follows_what_comes_back(rows: int, got: Span, length: int) -> None:
    """Little: eight times longer. A full page: twice what it covered. Too much without a limit: half."""
    pace = Pace(1000, 100).after(ASKED, got, rows)
    assert (pace.length, pace.rows) == (length, 100)


def test_the_pace_does_not_grow_beyond_the_longest() -> None:
    """`days_of_pagination` is a promise."""
    pace = Pace(1000, 100, longest=3000)
    for _ in range(10):
        pace = pace.after(pace.window(0, 10**9), pace.window(0, 10**9), 0)
        assert pace.window(0, 10**9).length == 3000


def test_ten_thin_years_are_few_queries() -> None:
    """From a first step of a day, an empty decade takes ten queries at most."""
    pace, position, end, queries = Pace(DAY, 1000), 0, 3650 * DAY, 0
    while position < end:
        window = pace.window(position, end)
        pace, position, queries = pace.after(window, window, 3), window.end, queries + 1
    assert queries <= 10


def test_a_downsampling_pace_never_gets_shorter_than_a_window() -> None:
    """Half a window is no window."""
    pace = Pace(10, 100, step=10).after(Span(0, 10), Span(0, 10), 101)
    assert pace.window(0, 100) == Span(0, 10)


@given(
    st.integers(1, END_OF_TIME - MIN_TIME),
    st.integers(2, 10**6),
    st.integers(1, DAY),
    st.integers(1, END_OF_TIME - MIN_TIME),
)
@REPRODUCIBLE
def test_easing_gets_smaller_and_comes_to_an_end(length: int, rows: int, step: int, range_: int) -> None:
    """A server that finds everything too large is not asked for ever."""
    pace: Pace | None = Pace(length, rows, step=step)
    asked: list[tuple[int, int]] = []
    while pace is not None:
        window = pace.window(MIN_TIME, MIN_TIME + range_)
        assert 0 < window.length <= range_
        assert pace.rows >= pages.FEWEST_ROWS
        assert (window.length, pace.rows) not in asked
        asked.append((window.length, pace.rows))
        pace = pace.eased(window)
    assert all(later[0] <= earlier[0] and later[1] <= earlier[1]
               for earlier, later in itertools.pairwise(asked))  # fmt: skip
    assert len(asked) <= 50
    assert step > 1 or asked[-1][1] == pages.FEWEST_ROWS  # windows are not divided by rows


# ---------------------------------------------------------------- where writes are cut


def cuts(times: Sequence[int], duration: int, groups: Sequence[Span]) -> list[int]:
    """Row positions where the shard group changes, in exact integers, one row at a time."""
    edges = {edge for g in groups for edge in (g.start, g.end)}
    return [
        i
        for i in range(1, len(times))
        if group_number(times[i - 1], duration) != group_number(times[i], duration)
        or any(times[i - 1] < edge <= times[i] for edge in edges)
    ]


MONDAY = at("2024-01-01")


@pytest.mark.parametrize(
    ("times", "groups", "expected"),
    [
        ([], [], []),
        ([MONDAY], [], []),
        ([MONDAY - 1, MONDAY], [], [1]),
        ([MONDAY, MONDAY], [], []),
        ([MONDAY - 2, MONDAY - 1, MONDAY, MONDAY, MONDAY + 1, MONDAY + WEEK], [], [2, 5]),
        ([MONDAY - 1, MONDAY + WEEK - 1], [], [1]),
        ([MONDAY, MONDAY + WEEK - 1], [], []),
        ([MIN_TIME, MAX_TIME], [], [1]),
        ([MIN_TIME, MIN_TIME + 1], [], []),
        ([MAX_TIME - 1, MAX_TIME], [], []),
        ([-1, 0], [], []),
        # the edges of existing groups count too
        ([MONDAY, MONDAY + 5, MONDAY + 9], [Span(MONDAY + 5, MONDAY + 9)], [1, 2]),
        ([MONDAY, MONDAY + 4, MONDAY + 6, MONDAY + 8], [Span(MONDAY + 5, MONDAY + 7)], [2, 3]),
        ([MONDAY, MONDAY + 1], [Span(MONDAY, MONDAY + WEEK)], []),
        ([MIN_TIME, 0, MAX_TIME], [Span(MIN_TIME, END_OF_TIME)], [1, 2]),
    ],
)
def test_writes_are_cut_where_the_shard_group_changes(
    times: list[int], groups: list[Span], expected: list[int]
) -> None:
    """By the destination's shard duration, and by the groups that exist."""
    assert shard_groups.shard_cuts(np.array(times, np.int64), WEEK, groups) == expected


@given(st.lists(TIMES, max_size=12).map(sorted), DURATIONS, st.lists(st.tuples(TIMES, TIMES), max_size=3))
@REPRODUCIBLE
def test_cuts_agree_with_exact_integers_everywhere(
    times: list[int], duration: int, edges: list[tuple[int, int]]
) -> None:
    """No overflow at the ends of time, whatever the shard duration."""
    groups = [Span(min(pair), max(pair)) for pair in edges]
    assert shard_groups.shard_cuts(np.array(times, np.int64), duration, groups) == cuts(times, duration, groups)


@pytest.mark.parametrize("duration", [7600 * WEEK, 10_400 * WEEK, 2**63 - 1])
def test_cuts_are_exact_for_shards_of_centuries(duration: int) -> None:
    """The server accepts `SHARD DURATION 10400w`."""
    times = [MIN_TIME, MIN_TIME // 2, -1, 0, 1, MAX_TIME // 2, MAX_TIME]
    assert shard_groups.shard_cuts(np.array(times, np.int64), duration, []) == cuts(times, duration, [])


def test_a_pace_that_had_to_shrink_grows_back_to_where_it_was() -> None:
    """A few huge values must not slow down all that come after them."""
    pace = Pace(WEEK, 1000)
    for _ in range(5):
        smaller = pace.eased(Span(0, pace.length))
        assert smaller is not None
        pace = smaller
    assert pace.rows == pages.FEWEST_ROWS
    for _ in range(40):
        pace = pace.after(Span(0, WEEK), Span(0, 5), pace.rows)
    assert pace.rows == 1000


# ---------------------------------------------------------------- what is compared


def test_a_coarse_grid_keeps_to_the_shard_groups_and_is_bounded() -> None:
    """Neighbouring groups are taken together when there would be too many."""
    assert shard_groups.coarse_grid(0, 10 * DAY, DAY) == shard_groups.shard_grid(0, 10 * DAY, DAY)
    coarse = shard_groups.coarse_grid(MIN_TIME, END_OF_TIME - 1, HOUR)
    assert len(coarse) <= 10_002
    assert (coarse[0].start, coarse[-1].end) == (MIN_TIME, END_OF_TIME)
    assert all(a.end == b.start for a, b in itertools.pairwise(coarse))


def test_halves_and_gaps_leave_nothing_out() -> None:
    """Together they are the whole."""
    assert halves(Span(-5, 6)) == (Span(-5, 0), Span(0, 6))
    assert shard_groups.with_gaps([Span(1, 2), Span(5, 9)]) == (
        Span(MIN_TIME, 1),
        Span(1, 2),
        Span(2, 5),
        Span(5, 9),
        Span(9, END_OF_TIME),
    )


@pytest.mark.parametrize(
    ("window", "longest", "found"),
    [
        (Span(0, 5), 100, Span(0, 10)),
        (Span(3, 5), 100, Span(3, 10)),
        (Span(3, 15), 100, Span(3, 15)),
        (Span(12, 13), 100, Span(12, 20)),
        (Span(12, 13), 4, Span(12, 16)),
        (Span(-5, -4), 100, Span(-5, -4)),
        (Span(25, 26), 100, Span(25, 26)),
    ],
)
def test_a_window_is_lengthened_to_the_end_of_the_group_that_it_begins_in(
    window: Span, longest: int, found: Span
) -> None:
    """The first group too; not beyond the longest, and not where there is no group."""
    assert shard_groups.within_group(window, [Span(0, 10), Span(10, 20)], longest) == found


@pytest.mark.parametrize(
    ("window", "groups", "inside"),
    [
        (Span(0, 10), [Span(0, 10), Span(10, 20)], True),
        (Span(2, 3), [Span(0, 10), Span(10, 20)], True),
        (Span(9, 11), [Span(0, 10), Span(10, 20)], False),
        (Span(2, 3), [Span(0, 10), Span(0, 20)], False),
        (Span(2, 3), [], False),
        (Span(20, 30), [Span(0, 10), Span(10, 20)], False),
    ],
)
def test_only_a_window_in_one_group_and_no_other_is_inside_one(
    window: Span, groups: list[Span], inside: bool
) -> None:
    """Where there is none, nobody knows of any; where groups overlap, a field may have two types."""
    assert shard_groups.is_inside_one(window, groups) is inside
