"""What the policies of both sides keep, and what comes of it where they differ."""

from __future__ import annotations

import pytest

from basics.spans import Span
from basics.times import DAY, HOUR, MIN_TIME
from copying.retention import (
    comparable_since,
    dropped_early,
    holdable_since,
    kept,
    other_settings,
    shorter,
    whole_since,
)
from copying.task import Copy, Target
from influx.influxql import Location, Policy

WEEK = 7 * DAY
NOW = 1_704_067_200_000_000_000 + 3 * DAY
"""A Thursday; shard groups of a week begin on Mondays."""


def target(source: Policy, destination: Policy, groups: tuple[Span, ...] | None = None) -> Target:
    """The same policy on both sides, with these settings."""
    return Target("db", source, destination, groups, None, {})


def policy(duration: int = 0, shard_duration: int = WEEK, *, is_default: bool = True) -> Policy:
    """A policy with these settings."""
    return Policy("p", duration, shard_duration, is_default)


@pytest.mark.parametrize(("there", "here"), [(DAY, WEEK), (WEEK, DAY)])
def test_another_shard_duration_is_told_whichever_is_longer(there: int, here: int) -> None:
    """With both of them."""
    (text,) = other_settings(target(policy(shard_duration=here), policy(shard_duration=there)))
    words = {DAY: "1d", WEEK: "7d"}
    assert f"groups of {words[there]} at the destination, but of {words[here]} at the source" in text


def test_only_a_default_policy_that_is_none_there_is_told() -> None:
    """A query that names no policy finds nothing then; the other way round it finds more than before."""
    (text,) = other_settings(target(policy(), policy(is_default=False)))
    assert "db.p is not the default one at the destination, but at the source" in text
    assert not list(other_settings(target(policy(is_default=False), policy())))
    assert not list(other_settings(target(policy(), policy())))


def test_the_source_has_all_of_a_group_that_it_has_not_given_up() -> None:
    """It gives up whole shard groups, with a margin for those that go while the run goes on."""
    assert whole_since(target(policy(), policy(DAY)), NOW) == MIN_TIME
    assert whole_since(target(policy(10 * DAY), policy()), NOW) == NOW - 10 * DAY
    assert whole_since(target(policy(10 * DAY - HOUR), policy()), NOW) == NOW - 10 * DAY
    group = Span(NOW - 12 * DAY, NOW - 8 * DAY)
    assert whole_since(target(policy(10 * DAY), policy(), (group,)), NOW) == group.start


def test_how_long_is_said_in_words() -> None:
    """A duration of nothing is no end."""
    assert (kept(policy(WEEK)), kept(policy())) == ("7d", "ever")


def test_both_sides_have_what_the_one_that_keeps_less_has() -> None:
    """With an hour to spare, or a tenth of what is very short; and all, where both keep all."""
    for there, here in ((10 * DAY, 20 * DAY), (20 * DAY, 10 * DAY), (0, 10 * DAY), (10 * DAY, 0)):
        assert comparable_since(target(policy(here), policy(there)), NOW) == NOW - 10 * DAY + HOUR
    assert comparable_since(target(policy(), policy()), NOW) == MIN_TIME
    assert comparable_since(target(policy(2 * HOUR), policy()), NOW) == NOW - 2 * HOUR + HOUR // 5
    assert holdable_since(target(policy(DAY), policy(10 * DAY)), NOW) == NOW - 10 * DAY + HOUR
    assert holdable_since(target(policy(DAY), policy()), NOW) == MIN_TIME


def test_points_that_are_dropped_before_their_time_are_a_warning() -> None:
    """Their clocks differ then. What is too old by our clock, too, is none."""
    edge = NOW - 10 * DAY
    dropped = {
        Span(edge - HOUR, edge): 100,
        Span(edge, edge + HOUR): 2,
        Span(edge + DAY, edge + DAY + HOUR): 0,
        Span(NOW - HOUR, NOW + HOUR): 3,
    }
    copy = Copy(Location("db", "p", "m"), target(policy(10 * DAY), policy(10 * DAY)), {}, ())
    (text,) = dropped_early(copy, dropped, NOW)
    assert text == (
        "db.p.m [2023-12-25T00:00:00Z, 2024-01-04T00:00:00Z): the destination dropped 5 points as older than "
        "retention policy p keeps (10d), though by this machine's clock it could still hold them; compare the "
        "clocks of both machines"
    )
    assert not list(dropped_early(copy, {Span(edge - 1, edge): 100, Span(edge + DAY, NOW): 0}, NOW))
    shorter_there = Copy(copy.source, target(policy(20 * DAY), policy(10 * DAY)), {}, ())
    assert not list(dropped_early(shorter_there, dropped, NOW))


def test_a_policy_that_keeps_less_is_told_with_both() -> None:
    """In words."""
    assert shorter("db", policy(WEEK), policy()) == (
        "retention policy db.p keeps points for 7d at the destination, but for ever at the source: older points "
        "cannot be stored"
    )
