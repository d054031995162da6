"""What of the snapshot before stands for what the source holds now, by what it tells of its shards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from basics.spans import Span
from config import parse_config
from copying.archive import reusing
from copying.archive.manifest import Part
from copying.archive.reusing import Trust, signature, stands_for, trust
from copying.archive.sums import Told
from influx.fingerprints import Look
from influx.influxql import Location
from influx.shards import COUNTERS, ShardStates
from settings.keys import Job

GROUP, OTHER = Span(0, 10), Span(10, 20)


def job(rules: str = "{}") -> Job:
    """A job with these rules."""
    servers = "source: {url: http://a}\ndestination: {url: http://b}\n"
    return parse_config(f"{servers}options: {{backup_mode: incremental}}\nmeasurements: {rules}\n", {}, "a.yaml")


def states(started: str = "a", shard: str = "1", other: int = 0, **counters: int) -> ShardStates:
    """A shard in each group, with these counters."""
    shards = [(GROUP, (shard, *(str(counters.get(name, 5)) for name in COUNTERS)))]
    return ShardStates(started, (*shards, (OTHER, ("9", str(other)))))


BEFORE = signature(job(), states(), GROUP)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (states(), Trust.UNTOUCHED),
        (states(other=7), Trust.UNTOUCHED),
        # files were compacted, or points deleted, of which the number tells
        (states(diskBytes=6), Trust.QUIET),
        # written to, whatever the files look like: compaction may have made them as large as before
        (states(writePointsOk=6), Trust.WRITTEN),
        (states(writePointsOk=6, diskBytes=6), Trust.WRITTEN),
        (states(seriesCreate=6), Trust.WRITTEN),
        # another process counts anew
        (states("b"), Trust.QUIET),
        (states("b", writePointsOk=0), Trust.QUIET),
        (states("b", diskBytes=6), Trust.WRITTEN),
        (states("b", shard="2"), Trust.WRITTEN),
        (states(shard="2"), Trust.WRITTEN),
    ],
)
def test_what_a_shard_tells_says_whether_it_was_written_to(now: ShardStates, expected: Trust) -> None:
    """Of its own group alone."""
    assert trust(BEFORE, signature(job(), now, GROUP)) is expected


@pytest.mark.parametrize(
    ("now", "expected"),
    [(states(), Trust.UNTOUCHED), (states(other=7), Trust.WRITTEN), (states(diskBytes=6), Trust.QUIET)],
)
def test_where_times_may_not_be_seen_each_shard_tells_of_every_group(now: ShardStates, expected: Trust) -> None:
    """The latest one, too: after an import that went back in time it holds the oldest points."""
    before, after = (replace(each, is_blind=True) for each in (states(), now))
    for group in (GROUP, OTHER):
        assert trust(signature(job(), before, group), signature(job(), after, group)) is expected


def test_other_rules_and_shards_that_nobody_may_see_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was left out before may be wanted now, also where a version before did not know better."""
    assert trust(BEFORE, signature(job("{exclude: [cpu]}"), states(), GROUP)) is Trust.QUIET
    assert signature(job(), None, GROUP) == ""
    for one, other in (("", BEFORE), (BEFORE, ""), ("", "")):
        assert trust(one, other) is Trust.WRITTEN
    monkeypatch.setattr(reusing, "_RULES", "those of a version before")
    assert trust(BEFORE, signature(job(), states(), GROUP)) is Trust.QUIET


@pytest.mark.parametrize(
    ("trusted", "type_", "fingerprint", "is_all_told", "expected"),
    [
        (Trust.QUIET, "string", "f", True, True),
        (Trust.WRITTEN, "string", "f", True, False),
        (Trust.WRITTEN, "boolean", "f", True, False),
        (Trust.WRITTEN, "float", "f", True, True),
        (Trust.WRITTEN, "unsigned", "f", True, True),
        (Trust.QUIET, "float", "other", True, False),
        (Trust.QUIET, "float", "", True, False),
        (Trust.QUIET, "float", "f", False, False),
    ],
)
def test_a_part_stands_for_what_is_told_alike_where_that_feels_its_values(
    trusted: Trust, type_: str, fingerprint: str, is_all_told: bool, expected: bool
) -> None:
    """Of texts and booleans numbers and times alone are told: where somebody may have written they are read."""
    part = Part("m", {"v": type_, "w": "integer"}, (), fingerprint, ())
    look = Look(Location("db", "p", "m"), {"v": (type_,), "w": ("integer",)}, GROUP)
    told = Told(look, {}, "f", one_shard=True)
    assert stands_for(part, told, trusted, is_all_told=is_all_told) is expected


@pytest.mark.parametrize(
    ("held", "asked", "trusted", "expected"),
    [
        # what could not be told, and is not wanted any more
        ({"v": "float", "w": "float"}, ("v",), Trust.QUIET, False),
        ({"v": "float"}, ("v", "w"), Trust.WRITTEN, True),
        # no sum tells of what quotes cannot hold
        ({"v\r": "float"}, ("v\r",), Trust.WRITTEN, False),
        ({"v\r": "float"}, ("v\r",), Trust.QUIET, True),
    ],
)
def test_a_part_stands_for_fields_that_were_asked_for_by_name(
    held: dict[str, str], asked: tuple[str, ...], trusted: Trust, expected: bool
) -> None:
    """And only where the answer tells of each of them."""
    look = Look(Location("db", "p", "m"), dict.fromkeys(asked, ("float",)), GROUP)
    told = Told(look, {}, "f", one_shard=True)
    assert stands_for(Part("m", held, (), "f", ()), told, trusted, is_all_told=True) is expected
