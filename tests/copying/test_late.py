"""The look-back: which stretches are compared, where it ends, and what is copied again."""

from dataclasses import replace

import pytest

from basics.spans import Span
from basics.times import DAY, END_OF_TIME, HOUR, MIN_TIME
from copying.late import Lateness, are_too_old, is_late, segments, wanted
from copying.mismatches import Mismatch
from copying.retention import comparable_since
from copying.segments import Segment
from copying.stretches import Limits, MeasurementLookBack, plan_look_back
from copying.task import Copy, Target
from copying.windows import Question, Window, weighed
from influx import fingerprints
from influx.fingerprints import Fingerprints, Look
from influx.influxql import Location, Policy

WEEK = 7 * DAY
NOW = 1000 * WEEK + 3 * DAY + HOUR // 2
GROUPS = tuple(Span(w * WEEK, (w + 1) * WEEK) for w in range(980, 1001))


def target(source: int = 0, destination: int = 0) -> Target:
    """Policies that keep points for so long."""
    there, here = (Policy("autogen", duration, WEEK, is_default=True) for duration in (source, destination))
    return Target("db", there, here, GROUPS, (), {})


COPY = Copy(Location("db", "autogen", "m"), target(), {"v": ("float",), "w": ("float",)}, ())


def window(span: Span, source: int, destination: int, field: str = "v", copy: Copy = COPY) -> Window:
    """So many values on each side."""
    asked = fingerprints.statements(Look(copy.source, {field: ("float",)}, span))
    sides: list[Fingerprints] = [
        {(): [(0, count, 0.0), None, None]} if count else {} for count in (source, destination)
    ]
    return weighed(Question(copy, span), asked, *sides)


def walk(
    lookback: int = DAY, earliest: int = MIN_TIME, hidden_since: int = END_OF_TIME, **starts: int
) -> MeasurementLookBack:
    """The look-back of a copy whose fields resume there."""
    resumed = starts or {"v": NOW, "w": NOW}
    copy = Copy(COPY.source, COPY.target, COPY.types, (), resumed=resumed, hidden_since=hidden_since)
    return plan_look_back(copy, GROUPS, Limits(NOW, lookback, earliest))


def test_the_last_day_is_compared_and_what_is_older_by_shard_groups() -> None:
    """The present shard group is cut where the last day begins, at a full hour."""
    planned = walk(v=NOW)
    assert planned.recent == [Span(NOW - DAY - HOUR // 2, NOW + 1)]
    assert planned.groups[0] == Span(1000 * WEEK, planned.recent[0].start)
    assert planned.groups[1:] == list(GROUPS[-2::-1])
    assert planned.floor == NOW - DAY


def test_all_is_cut_where_shard_groups_of_either_side_begin() -> None:
    """Float sums are equal only inside one shard at each side."""
    days = tuple(Span(d * DAY, (d + 1) * DAY) for d in range(999 * 7, 1001 * 7))
    copy = replace(COPY, target=replace(COPY.target, written_groups=days), resumed={"v": NOW})
    planned = plan_look_back(copy, GROUPS, Limits(NOW, DAY, MIN_TIME))
    assert planned.recent == [Span(NOW - DAY - HOUR // 2, NOW - HOUR // 2), Span(NOW - HOUR // 2, NOW + 1)]
    assert planned.groups[:9] == [*days[8:6:-1], *days[6::-1]][:9]
    assert planned.groups[9] == GROUPS[-3]
    assert planned.whole == {*GROUPS[:-2]}


def test_the_lookback_counts_from_the_newest_point_that_was_there() -> None:
    """A tool that stood still for weeks compares what was there when it stopped; future points do not count."""
    assert walk(v=NOW - 10 * WEEK, w=NOW - 12 * WEEK).floor == NOW - 10 * WEEK - DAY
    assert walk(v=NOW + WEEK).floor == NOW - DAY
    assert walk().floor == NOW - DAY


def test_it_reaches_back_to_what_forecasts_may_hide() -> None:
    """A series that fell behind others is compared from its own newest point on."""
    assert walk(v=NOW, hidden_since=NOW - 9 * WEEK).floor == NOW - 9 * WEEK
    assert walk(v=NOW, hidden_since=NOW).floor == NOW - DAY


def test_what_is_about_to_be_copied_is_not_compared() -> None:
    """Nothing newer than the newest points that are there."""
    planned = walk(v=990 * WEEK + 5)
    assert planned.groups[0] == Span(990 * WEEK, 990 * WEEK + 6)
    assert planned.groups[0] not in planned.whole
    assert planned.recent == []


def test_what_is_newer_than_a_fields_own_newest_point_is_not_late() -> None:
    """It is about to be copied; nor is a field late that is not there yet."""
    copy = replace(COPY, resumed={"v": NOW, "w": GROUPS[5].start})
    found = [wanted(window(GROUPS[n], 5, 0, field, copy)) for n, field in ((7, "w"), (5, "w"), (5, "x"), (7, "v"))]
    assert [w.lacking for w in found] == [(), ("w",), (), ("v",)]
    assert all(is_late(copy, Mismatch(GROUPS[5].start - before, "w", "missing")) for before in (0, 1, DAY))
    assert not is_late(copy, Mismatch(GROUPS[5].start + 1, "w", "missing"))
    assert not is_late(copy, Mismatch(GROUPS[5].start, "x", "missing"))


def test_nothing_is_compared_that_a_policy_may_have_given_up() -> None:
    """Groups end where the comparison begins; a margin is left for the time that the run takes."""
    planned = walk(earliest=NOW - 2 * WEEK)
    assert planned.groups[-1].start == NOW - 2 * WEEK
    assert comparable_since(target(0, 0), NOW) == MIN_TIME
    assert comparable_since(target(WEEK, 0), NOW) == NOW - WEEK + HOUR
    assert comparable_since(target(WEEK, 5 * HOUR), NOW) == NOW - 5 * HOUR + HOUR // 2
    assert walk(earliest=NOW - 2 * HOUR).groups == []


def test_the_look_back_ends_at_a_whole_group_that_is_equal() -> None:
    """Not at the cut one, not at an empty one, not at one inside the look-back."""
    planned = walk(v=NOW)
    cut, whole, older, *_ = planned.groups
    planned.see(window(cut, 5, 5), is_open=False)
    assert not planned.settled
    planned.see(window(whole, 0, 0), is_open=False)  # a group without values says nothing
    planned.see(window(whole, 5, 4), is_open=True)
    assert not planned.settled
    planned.see(window(older, 5, 5), is_open=False)
    assert planned.settled
    assert [w.span for w in planned.differing] == [whole]
    assert planned.next_groups() == []


def test_what_only_the_destination_has_is_looked_at_until_it_is_known() -> None:
    """Then it neither keeps the look-back going, nor is looked at again."""
    planned = walk(v=NOW)
    group = GROUPS[-2]
    planned.see(window(group, 5, 7), is_open=True)
    assert not planned.settled
    assert [w.span for w in planned.differing] == [group]
    planned.see(window(group, 5, 7), is_open=False)
    assert planned.settled


def test_the_look_back_takes_ever_more_groups_at_a_time() -> None:
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


def test_a_window_that_says_which_fields_is_copied_with_these() -> None:
    """Others may differ as well where counts alone say that one lacks values; all gaps and edges count."""
    lacking = window(Span(0, 10), 2, 1)
    several = replace(lacking, fields=("v", "w"))
    assert segments([lacking, replace(several, span=Span(10, 20)), replace(several, span=Span(20, 30))]) == [
        Segment(("v",), Span(0, 10)),
        Segment(("v", "w"), Span(10, 30)),
    ]
    assert segments([several, replace(several, span=Span(11, 20))]) == [
        Segment(("v", "w"), Span(0, 10)),
        Segment(("v", "w"), Span(11, 20)),
    ]
    changed = replace(window(Span(0, 10), 1, 1), changed={"w": 1, "a": 1})
    assert segments([changed]) == [Segment(("a", "w"), Span(0, 10))]
    assert segments([]) == []


def test_what_still_differs_can_be_what_was_dropped_as_too_old() -> None:
    """As many points as the field that differs most, all windows together, lacking and changed."""
    lacking = window(Span(0, 10), 3, 1)
    other = replace(lacking, lacks={"v": 1}, changed={"v": 2, "w": 4})
    assert [are_too_old([lacking], dropped) for dropped in (1, 2, 3)] == [False, True, True]
    assert [are_too_old([lacking, other], dropped) for dropped in (4, 5)] == [False, True]
    assert [are_too_old([replace(other, lacks={})], dropped) for dropped in (3, 4)] == [False, True]
    assert are_too_old([], 0)


def test_what_is_proved_is_not_compared_but_for_a_piece_of_it() -> None:
    """The last day and shard groups end where the proof begins; the piece is cut where they begin."""
    copy = replace(COPY, resumed={"v": NOW})
    piece = Span(996 * WEEK - DAY, 996 * WEEK + DAY)
    proved = plan_look_back(copy, GROUPS, Limits(NOW, DAY, MIN_TIME, 999 * WEEK, piece))
    assert proved.groups == [Span(1000 * WEEK, NOW - DAY - HOUR // 2), GROUPS[-2]]
    assert proved.whole == {GROUPS[-2]}
    halves = [Span(996 * WEEK - DAY, 996 * WEEK), Span(996 * WEEK, 996 * WEEK + DAY)]
    assert proved.recent == [*halves, Span(NOW - DAY - HOUR // 2, NOW + 1)]
    recent = plan_look_back(copy, GROUPS, Limits(NOW, DAY, MIN_TIME, NOW - HOUR))
    assert (recent.groups, recent.recent) == ([], [Span(NOW - HOUR, NOW + 1)])
    kept = plan_look_back(copy, GROUPS, Limits(NOW, DAY, 996 * WEEK, 999 * WEEK, piece))
    assert kept.recent[0] == halves[1]
    old = replace(COPY, resumed={"v": 996 * WEEK})
    behind = plan_look_back(old, GROUPS, Limits(NOW, DAY, MIN_TIME, 999 * WEEK, piece))
    assert behind.recent == [halves[0], Span(996 * WEEK, 996 * WEEK + 1)]


def test_the_last_day_of_a_shard_group_that_begins_today_is_cut_there() -> None:
    """So is what lies before the newest point, and nothing is compared twice."""
    today = (Span(NOW - 8 * HOUR, NOW + 16 * HOUR), Span(NOW - 32 * HOUR, NOW - 8 * HOUR))
    planned = plan_look_back(replace(COPY, resumed={"v": NOW - HOUR}), today, Limits(NOW, DAY, MIN_TIME))
    assert planned.recent == [Span(NOW - DAY - HOUR // 2, today[0].start), Span(today[0].start, NOW - HOUR + 1)]
    assert planned.groups == [Span(NOW - 32 * HOUR, NOW - DAY - HOUR // 2)]
    assert planned.whole == frozenset()


def test_a_whole_group_says_something_only_when_it_is_older_than_the_look_back() -> None:
    """Up to its very end."""
    whole = GROUPS[-2]
    for floor, settled in ((whole.end, True), (whole.end - 1, False)):
        planned = MeasurementLookBack(COPY, [], floor, [], frozenset({whole}))
        planned.see(window(whole, 5, 5), is_open=False)
        assert planned.settled is settled
        assert planned.differing == []


def test_groups_that_reach_into_the_look_back_are_compared_first() -> None:
    """Those that end before it begins come with the others."""
    planned = MeasurementLookBack(COPY, [], GROUPS[-3].end, list(GROUPS[::-1]))
    assert planned.next_groups() == list(GROUPS[-1:-5:-1])
    assert planned.next_groups() == list(GROUPS[-5:-9:-1])


def test_nothing_late_is_nothing_to_tell() -> None:
    """Neither windows, nor values of others, nor a problem."""
    assert (Lateness().windows, Lateness().extra, Lateness().problem) == ((), 0, "")
    assert wanted(window(GROUPS[5], 5, 7)).extra == 2
