"""What is said of what the snapshot before held and the source has lost since: each of it, once."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from basics.spans import Span
from basics.times import DAY
from config import parse_config
from copying.archive.losses import lost
from copying.archive.manifest import DatabaseHeld, DataFile, Group, Part, PolicyHeld, Snapshot
from influx.influxql import Policy
from settings.keys import Job

NOW = 100 * DAY
Groups = Mapping[int, Mapping[str, int]]
"""The day on which each shard group ends -> measurement -> points."""


def job(databases: str = "[]", rules: str = "{}") -> Job:
    """A job of these databases."""
    servers = f"source: {{url: http://a, databases: {databases}}}\ndestination: {{archive: /b}}\n"
    return parse_config(f"{servers}options: {{backup_mode: incremental}}\nmeasurements: {rules}\n", {}, "a.yaml")


def policy(name: str, groups: Groups, days: int = 0) -> PolicyHeld:
    """One with a float in each measurement."""
    return PolicyHeld(
        Policy(name, days * DAY, DAY, is_default=True),
        tuple(
            Group(
                Span((end - 1) * DAY, end * DAY),
                "",
                tuple(
                    Part(m, {"v": "float"}, (), "", (DataFile("", 1, points, 0, 0, {"v": points}),))
                    for m, points in parts.items()
                ),
            )
            for end, parts in groups.items()
        ),
    )


def said(before: list[DatabaseHeld], now: list[DatabaseHeld], of: Job | None = None) -> list[str]:
    """Without what is the same in all of it."""
    found = list(lost(of or job(), Snapshot("job", 0, "http://a", tuple(before)), NOW, now))
    end = "; snapshots that hold them stay until they are pruned"
    assert all(text.endswith(end) for text in found)
    return [text.removesuffix(end).replace("snapshot 19700101T000000.000000000Z held ", "") for text in found]


def test_everything_that_is_gone_is_said_and_nothing_that_is_there() -> None:
    """Databases, policies, measurements; one that is gone hides no other."""
    before = [
        DatabaseHeld("gone", (policy("a", {9: {"m": 1, "n": 2}}), policy("b", {9: {"m": 5}}))),
        DatabaseHeld("there", (policy("a", {8: {"m": 1}, 9: {"m": 2, "x": 7}}), policy("b", {9: {"m": 1}}))),
        DatabaseHeld("gone too", (policy("a", {9: {"o": 3}}),)),
        DatabaseHeld("empty", ()),
    ]
    now = [DatabaseHeld("there", (policy("a", {50: {"m": 1}}),)), DatabaseHeld("new", ())]
    assert said(before, now) == [
        "database gone: 2 measurements (8 points) of it, which is gone at the source: m, n",
        "retention policy there.a: 1 measurement (7 points) of it, which are gone at the source: x",
        "retention policy there.b: 1 measurement (1 point) of it, which is gone at the source: m",
        "database gone too: 1 measurement (3 points) of it, which is gone at the source: o",
    ]
    assert said(before, before) == []


def test_what_the_job_does_not_want_any_more_is_not_said() -> None:
    """By its list of databases, by names of measurements, by their fields."""
    before = [DatabaseHeld(name, (policy("a", {9: {"m": 1, "n": 1}}),)) for name in ("left", "kept")]
    whole = "2 measurements (2 points) of it, which is gone at the source: m, n"
    assert said(before, []) == [f"database left: {whole}", f"database kept: {whole}"]
    assert said(before, [], job("[{name: kept}]")) == [f"database kept: {whole}"]
    for rules in ("{exclude: [m]}", "{specific: {m: {fields: {include: [w]}}}}"):
        (text,) = said(before, [], job("[{name: kept}]", rules))
        assert text == "database kept: 1 measurement (1 point) of it, which is gone at the source: n"


@pytest.mark.parametrize(
    ("kept", "keeps_now", "points"),
    [(0, 0, 7), (10, 10, 6), (0, 10, 6), (10, 0, 6), (5, 10, 4), (10, 5, 4), (99, 99, 7), (1, 1, 0)],
)
def test_what_retention_took_is_not_said(kept: int, keeps_now: int, points: int) -> None:
    """By what the policy kept, or keeps now: a shard group goes with the last of its times."""
    before = [DatabaseHeld("db", (policy("p", {90: {"m": 1}, 91: {"m": 2}, 96: {"m": 4}}, kept),))]
    found = said(before, [DatabaseHeld("db", (policy("p", {}, keeps_now),))])
    counted = f"({points} points) of it"
    assert [counted in text for text in found] == [True] * bool(points)
