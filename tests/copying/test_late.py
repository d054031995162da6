"""The look-back: which stretches are compared, where it ends, and what is copied again."""

import pytest

from basics.spans import Span
from basics.times import DAY, END_OF_TIME, HOUR, MIN_TIME
from copying.compare import Question, Window, weighed
from copying.late import Limits, MeasurementLookBack, plan_look_back, segments
from copying.retention import comparable_since
from copying.segments import Segment
from copying.task import Copy, Target
from influx.influxql import Location, Policy

WEEK = 7 * DAY
NOW = 1000 * WEEK + 3 * DAY + HOUR // 2
GROUPS = tuple(Span(w * WEEK, (w + 1) * WEEK) for w in range(980, 1001))


def target(source: int = 0, destination: int = 0) -> Target:
    """Policies that keep points for so long."""
    there, here = (Policy("autogen", duration, WEEK, is_default=True) for duration in (source, destination))
    return Target("db", there, here, GROUPS, (), {})


COPY = Copy(Location("db", "autogen", "m"), target(), {"v": ("float",), "w": ("float",)}, ())


def window(span: Span, source: int, destination: int, field: str = "v") -> Window:
    """So many values on each side."""
    return weighed(Question(COPY, span), span, {(field, ()): source}, {(field, ()): destination})


def walk(
    lookback: int = DAY, earliest: int = MIN_TIME, hidden_since: int = END_OF_TIME, **starts: int
) -> MeasurementLookBack:
    """The walk of a copy whose fields resume there."""
    resumed = starts or {"v": NOW, "w": NOW}
    copy = Copy(COPY.source, COPY.target, COPY.types, (), resumed=resumed, hidden_since=hidden_since)
    return plan_look_back(copy, GROUPS, Limits(NOW, lookback, earliest))


def test_the_last_day_is_compared_by_hours_and_what_is_older_by_shard_groups() -> None:
    """The present shard group is cut where the hours begin."""
    planned = walk(v=NOW)
    assert planned.hours == Span(NOW - DAY - HOUR // 2, NOW + 1)
    assert planned.groups[0] == Span(1000 * WEEK, planned.hours.start)
    assert planned.groups[1:] == list(GROUPS[-2::-1])
    assert planned.floor == NOW - DAY


def test_the_lookback_counts_from_the_newest_point_that_was_there() -> None:
    """A tool that stood still for weeks compares what was there when it stopped; future points do not count."""
    assert walk(v=NOW - 10 * WEEK, w=NOW - 12 * WEEK).floor == NOW - 10 * WEEK - DAY
    assert walk(v=NOW + WEEK).floor == NOW - DAY
    assert walk().floor == NOW - DAY


def test_it_reaches_back_to_what_forecasts_may_hide() -> None:
    """A series that fell behind others is compared from its own newest point on."""
    assert walk(v=NOW, hidden_since=NOW - 9 * WEEK).floor == NOW - 9 * WEEK
    assert walk(v=NOW, hidden_since=NOW).floor == NOW - DAY


def test_what_is_about_to_be_copied_is_not_counted() -> None:
    """Nothing newer than the newest points that are there, nor of a field newer than its own."""
    planned = walk(v=990 * WEEK + 5)
    assert planned.groups[0] == Span(990 * WEEK, 990 * WEEK + 6)
    assert planned.groups[0] in planned.partial
    assert planned.hours.length < 0
    planned = walk(v=NOW, w=GROUPS[5].start)
    planned.see([window(GROUPS[7], 5, 0, "w"), window(GROUPS[5], 5, 0, "w"), window(GROUPS[5], 5, 0, "x")])
    assert [(w.span, w.lacking) for w in planned.lacking] == [(GROUPS[5], ("w",))]


def test_windows_before_a_field_began_are_not_lacking() -> None:
    """With `fallback_days`, a field begins at the destination where its copy began."""
    planned = walk(v=NOW, w=NOW)
    planned.since = {"v": GROUPS[5].start}
    planned.see([window(GROUPS[4], 5, 0), window(GROUPS[5], 5, 0), window(GROUPS[4], 5, 0, "w")])
    assert [(w.span, w.lacking) for w in planned.lacking] == [(GROUPS[5], ("v",)), (GROUPS[4], ("w",))]


def test_groups_are_cut_where_a_field_begins() -> None:
    """What is older of that field is not wanted, what is newer is compared."""
    copy = Copy(COPY.source, COPY.target, COPY.types, (), resumed={"v": NOW, "w": NOW})
    middle = GROUPS[-3].start + 5
    planned = plan_look_back(copy, GROUPS[-4:-1], Limits(NOW, DAY, MIN_TIME), {"v": middle})
    assert planned.groups[1:3] == [Span(middle, GROUPS[-3].end), Span(GROUPS[-3].start, middle)]


def test_nothing_is_compared_that_a_policy_may_have_given_up() -> None:
    """Groups end where the comparison begins; a margin is left for the time that the run takes."""
    planned = walk(earliest=NOW - 2 * WEEK)
    assert planned.groups[-1].start == NOW - 2 * WEEK
    assert comparable_since(target(0, 0), NOW) == MIN_TIME
    assert comparable_since(target(WEEK, 0), NOW) == NOW - WEEK + HOUR
    assert comparable_since(target(WEEK, 5 * HOUR), NOW) == NOW - 5 * HOUR + HOUR // 2
    assert walk(earliest=NOW - 2 * HOUR).groups == []


def test_the_walk_ends_at_a_whole_group_that_lacks_nothing() -> None:
    """Not at the cut one, not at an empty one, not at one inside the look-back."""
    planned = walk(v=NOW)
    cut, whole, older, *_ = planned.groups
    planned.see([window(cut, 5, 5)])
    assert not planned.settled
    planned.see([])  # a group without values says nothing
    planned.see([window(whole, 5, 4)])
    assert not planned.settled
    planned.see([window(older, 5, 5)])
    assert planned.settled
    assert [w.span for w in planned.lacking] == [whole]
    assert planned.next_groups() == []


def test_values_of_the_destination_alone_neither_keep_it_going_nor_are_lacking() -> None:
    """More at the destination is no reason to copy."""
    planned = walk(v=NOW)
    planned.see([window(GROUPS[-2], 5, 7)])
    assert planned.settled
    assert planned.lacking == []


def test_the_walk_takes_ever_more_groups_at_a_time() -> None:
    """All of the look-back and two more at first; then the double."""
    planned = walk(lookback=5 * WEEK, v=NOW)
    sizes = []
    while taken := planned.next_groups():
        sizes.append(len(taken))
    assert sizes == [6 + 2, 4, 8, 1]
    assert sum(sizes) == len(GROUPS)


@pytest.mark.parametrize("unrelated", ["v", "w"])
def test_neighbouring_windows_are_copied_in_one_range(unrelated: str) -> None:
    """When the same fields lack values there."""
    windows = [
        window(Span(0, 10), 2, 1),
        window(Span(10, 20), 2, 0),
        window(Span(30, 40), 2, 0),
        window(Span(40, 50), 2, 0, unrelated),
    ]
    expected = [Segment(("v",), Span(0, 20)), Segment(("v",), Span(30, 40)), Segment((unrelated,), Span(40, 50))]
    if unrelated == "v":
        expected = [Segment(("v",), Span(0, 20)), Segment(("v",), Span(30, 50))]
    assert segments(windows) == expected


def test_an_hour_in_which_a_field_begins_is_compared_in_two_windows() -> None:
    """What is newer than the field's beginning is wanted, though the hour began before."""
    copy = Copy(COPY.source, COPY.target, COPY.types, (), resumed={"v": NOW, "w": NOW})
    middle = NOW - HOUR - 5
    planned = plan_look_back(copy, GROUPS, Limits(NOW, DAY, MIN_TIME), {"v": middle})
    assert planned.parts == [Span(planned.hours.start, middle), Span(middle, planned.hours.end)]
