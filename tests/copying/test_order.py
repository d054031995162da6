"""In which order points are written: which requests may overlap."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from basics.spans import Span
from basics.times import DAY, HOUR
from config import parse_config
from copying.order import cuts, is_free, rest_of_stretch, stretch
from copying.task import Copy, Target
from influx.frames import Frame
from influx.influxql import Location, Policy
from settings.keys import Job

NOW = 20_000 * DAY + 5 * HOUR
GROUP = Span(NOW - 5 * HOUR, NOW + 19 * HOUR)


def target(duration: int = 0) -> Target:
    """Shard groups of a day, in a policy that keeps points for so long."""
    policy = Policy("autogen", duration, DAY, is_default=True)
    return Target("db", policy, policy, (GROUP,), (GROUP,), {})


COPY = Copy(Location("db", "autogen", "m"), target(), {"v": ("float",)}, ("host",))


def job(options: str = "", source: str = "") -> Job:
    """A job with these options."""
    text = (
        f"source: {{url: 'http://a:8086', databases: [{{name: db, destination: db}}]{source}}}\n"
        "destination: {url: 'http://b:8086'}\n"
        f"options: {{backup_mode: incremental{options}}}\n"
    )
    return parse_config(text, {}, "job.yaml")


def frame(times: list[int], hosts: list[str | None]) -> Frame:
    """A point at each time, of a host each; its value is its position."""
    values = pl.Series("v", np.arange(len(times), dtype=float))
    return Frame(pl.Series(times, dtype=pl.Int64), (("v", values),), (("host", pl.Series(hosts)),))


# ---------------------------------------------------------------- whether there is a choice


def test_inside_a_shard_group_points_go_in_any_order_where_the_next_run_compares_it() -> None:
    """That is so unless something is said against it."""
    assert is_free(COPY, job())
    assert is_free(COPY, job(", incremental: {lookback: 1h}"))


@pytest.mark.parametrize(
    "options",
    [
        ", incremental: {lookback: 0}",
        ", incremental: {fallback_days: 3}",
        ", incremental: {obsolete_threshold: 30d}",
        ", field_obsolete_threshold: 30d",
    ],
)
def test_options_that_keep_the_next_run_from_comparing_all_of_it_keep_the_order(options: str) -> None:
    """What is not compared would never be found."""
    assert not is_free(COPY, job(options))


def test_means_go_in_order() -> None:
    """They are computed again, never compared."""
    assert not is_free(COPY, job(source=", group_by: 5m"))


def test_who_may_not_see_shard_groups_goes_in_order() -> None:
    """At either server: nobody can tell which groups have to be compared."""
    assert is_free(replace(COPY, target=replace(COPY.target, written_groups=())), job())
    assert not is_free(replace(COPY, target=replace(COPY.target, written_groups=None)), job())
    assert not is_free(replace(COPY, target=replace(COPY.target, groups=None)), job())


def test_a_field_of_several_types_goes_in_order() -> None:
    """The type that comes first is the one that its shard keeps."""
    assert not is_free(replace(COPY, types={"v": ("float", "integer")}), job())


# ---------------------------------------------------------------- which requests may overlap


def test_requests_of_one_shard_group_may_overlap_and_others_not() -> None:
    """The number is that of the group."""
    inside = {stretch(np.array([t]), target(), NOW) for t in (GROUP.start, NOW - HOUR, NOW)}
    before = stretch(np.array([GROUP.start - 1]), target(), NOW)
    assert len(inside) == 1
    assert before is not None
    assert before not in inside


def test_points_ahead_of_the_clock_go_alone() -> None:
    """Of those at the very present it is known that they are not ahead."""
    assert stretch(np.array([NOW]), target(), NOW) is not None
    assert stretch(np.array([NOW + 1]), target(), NOW) is None


def test_points_that_nobody_compares_in_a_day_go_alone() -> None:
    """Of a policy of ten days the oldest day, and an hour for points that are given up during a run."""
    edge = NOW - 9 * DAY + HOUR
    assert stretch(np.array([edge]), target(10 * DAY), NOW) is not None
    assert stretch(np.array([edge - 1]), target(10 * DAY), NOW) is None
    assert stretch(np.array([NOW]), target(DAY), NOW) is None


def test_rows_are_cut_where_a_request_must_end() -> None:
    """At the edges of shard groups, behind the present, and where points are about to expire."""
    edge = NOW - 9 * DAY + HOUR
    times = [edge - 1, edge, GROUP.start - 1, GROUP.start, NOW, NOW + 1, NOW + 2]
    found = cuts(frame(times, ["a"] * 7), target(10 * DAY), NOW)
    assert found == [1, 2, 3, 5]
    parts = [{stretch(np.array([t]), target(10 * DAY), NOW) for t in part} for part in np.split(times, found)]
    assert [len(part) for part in parts] == [1] * 5


def test_rows_of_one_kind_are_not_cut() -> None:
    """Neither at their beginning nor at their end."""
    assert cuts(frame([NOW - 1, NOW], ["a", "b"]), target(), NOW) == []
    assert cuts(frame([NOW + 1, NOW + 2], ["a", "b"]), target(), NOW) == []


def test_the_rest_of_a_stretch_ends_with_the_shard_group_or_now() -> None:
    """All times in it have the same number as the first one. Before what lasts there is none, nor after now."""
    yesterday = GROUP.start - DAY + HOUR
    assert rest_of_stretch(yesterday, target(), NOW) == Span(yesterday, GROUP.start)
    assert rest_of_stretch(GROUP.start, target(), NOW) == Span(GROUP.start, NOW + 1)
    assert rest_of_stretch(NOW + 1, target(), NOW).length == 0
    assert rest_of_stretch(NOW - 9 * DAY, target(10 * DAY), NOW).length == 0
    uneven = replace(target(), written_groups=(Span(GROUP.start - DAY, GROUP.start - DAY + 2 * HOUR), GROUP))
    assert rest_of_stretch(yesterday, uneven, NOW) == Span(yesterday, yesterday + HOUR)
    for policy in (target(), uneven):
        rest = rest_of_stretch(yesterday, policy, NOW)
        numbers = {
            stretch(np.array([time], np.int64), policy, NOW) for time in (rest.start, rest.end - 1, rest.end)
        }
        assert len(numbers) == 2
