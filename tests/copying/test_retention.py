"""What the policies of both sides keep, and what comes of it where they differ."""

from __future__ import annotations

import pytest

from basics.spans import Span
from basics.times import DAY, HOUR, MIN_TIME
from copying.retention import kept, other_settings, whole_since
from copying.task import Target
from influx.influxql import Policy

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
