"""What both servers say is planned as it is: from where each field goes on, and what may be hidden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from basics.spans import Span
from basics.times import END_OF_TIME, MIN_TIME
from copying.planner import Planner
from copying.task import Copy, Target
from influx.errors import NotFound
from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.integration.parts import NOW, parts
from tests.integration.test_range import sections
from tests.support.proxy import Proxy, forward, only
from tests.support.servers import InfluxServer

FLOAT, WHOLE, TEXT = ("float",), ("integer",), ("string",)


@contextmanager
def planning(pair: Pair, changes: Mapping[str, Any] | None = None) -> Iterator[Planner]:
    """The planner of a run."""
    with parts(pair, changes) as found:
        yield found.planner


def planned(pair: Pair, changes: Mapping[str, Any] | None = None, **how: bool) -> dict[str, Copy]:
    """What is copied of the default policy, by measurement."""
    with parts(pair, changes) as found:
        return found.planned(**how)


def lines(hosts: Mapping[str, int], name: str) -> str:
    """The newest point of each of these hosts."""
    return "\n".join(f"{name},host={host} v=1 {time}" for host, time in hosts.items())


HIDDEN: dict[str, tuple[dict[str, int], dict[str, int], int]] = {
    "equal": ({"a": NOW - DAY, "b": NOW - 20 * DAY}, {"a": NOW - DAY, "b": NOW - 20 * DAY}, END_OF_TIME),
    "behind_and_looked_back_to": ({"a": NOW - HOUR, "b": NOW - HOUR}, {"a": NOW - DAY}, END_OF_TIME),
    "behind_for_long": (
        {"a": NOW - HOUR, "b": NOW - HOUR},
        {"a": NOW - 2 * DAY - 1, "b": NOW - 9 * DAY},
        NOW - 9 * DAY,
    ),
    "behind_for_as_long_as_two_days": ({"a": NOW, "b": NOW}, {"a": NOW - 2 * DAY, "b": MONDAY}, END_OF_TIME),
    "forecasts_at_the_source": (
        {"a": NOW - HOUR, "b": NOW - HOUR, "ahead": NOW + 1},
        {"a": NOW - 2 * HOUR, "b": NOW - 9 * DAY},
        NOW - 9 * DAY,
    ),
    "no_forecast_at_this_moment": (
        {"a": NOW - HOUR, "b": NOW - HOUR, "ahead": NOW},
        {"a": NOW - 2 * HOUR, "b": NOW - 9 * DAY},
        END_OF_TIME,
    ),
    "forecasts_at_the_destination": (
        {"a": NOW - HOUR, "b": NOW - HOUR},
        {"a": NOW - 2 * HOUR, "b": NOW - 9 * DAY, "ahead": NOW + DAY},
        NOW - 9 * DAY,
    ),
    "nothing_newer_than_what_is_there": (
        {"a": NOW - HOUR, "b": NOW - HOUR, "ahead": NOW + 1},
        {"a": NOW - HOUR, "b": NOW - 9 * DAY},
        END_OF_TIME,
    ),
    "newest_at_this_moment": (
        {"a": NOW, "ahead": NOW + 1},
        {"a": NOW - 9 * DAY, "ahead": NOW - DAY},
        NOW - 9 * DAY,
    ),
    "there_at_this_moment": ({"a": NOW, "ahead": NOW + 1}, {"a": NOW, "ahead": NOW + 1}, END_OF_TIME),
    "a_series_that_is_new": ({"a": NOW - HOUR, "b": NOW - HOUR}, {"a": NOW - 9 * DAY}, MIN_TIME),
    "forecasts_alone": ({"ahead": NOW + DAY}, {"ahead": NOW - 9 * DAY}, END_OF_TIME),
    "nothing_there": ({"a": NOW - HOUR}, {}, END_OF_TIME),
}
"""The newest points at the source and at the destination, and since when points can be hidden by others."""


def test_where_others_may_hide_that_a_series_has_fallen_behind_each_is_looked_at(pair: Pair) -> None:
    """For forecasts, at either side, or because the last run was too long ago; the oldest one counts."""
    pair.destination.create_database(pair.database)
    for name, (there, here, _) in HIDDEN.items():
        pair.write(lines(there, name))
        if here:
            pair.destination.write(lines(here, name), pair.database)
    found = {name: copy.hidden_since for name, copy in planned(pair).items()}
    assert found == {name: since for name, (*_, since) in HIDDEN.items()}
    for changes in ({"options": {"incremental": {"lookback": "0"}}}, {"source": {"group_by": "1h"}}):
        assert {copy.hidden_since for copy in planned(pair, changes).values()} == {END_OF_TIME}


def test_the_field_that_is_furthest_behind_says_since_when_points_are_hidden(pair: Pair) -> None:
    """Whatever its place among the fields of its measurement."""
    pair.write("\n".join(f"m,host={h} a=1,b=1,c=1 {t}" for h in "xy" for t in (MONDAY, NOW - HOUR)))
    pair.destination.create_database(pair.database)
    behind = {"a": 20, "b": 30, "c": 10}
    pair.destination.write("\n".join(f"m,host=x {f}=1 {NOW - 5 * DAY}" for f in behind), pair.database)
    for field, days in behind.items():
        pair.destination.write(f"m,host=y {field}=1 {NOW - days * DAY}", pair.database)
    assert planned(pair)["m"].hidden_since == NOW - 30 * DAY


def test_each_field_goes_on_from_its_newest_point_that_is_no_forecast(pair: Pair) -> None:
    """One with forecasts at the destination goes back by the look-back, as far as it has points before that."""
    pair.write(f"m u=1,v=1,w=1,x=1,y=1,new=1 {MONDAY}\nm z=1i {MONDAY + WEEK}")
    pair.destination.create_database(pair.database)
    there = {
        "u": (NOW, NOW + 1),
        "v": (NOW - 3 * HOUR,),
        "w": (NOW - 3 * HOUR, NOW + 1),
        "x": (NOW - 3 * DAY, NOW + 2 * DAY),
        "y": (NOW + WEEK,),
        "other": (NOW,),
    }
    written = "\n".join(f"m {field}=1 {time}" for field, times in there.items() for time in times)
    pair.destination.write(written, pair.database)
    found = planned(pair)["m"]
    assert found.resumed == {"u": NOW - DAY, "v": NOW - 3 * HOUR, "w": NOW - DAY, "x": NOW - 3 * DAY}
    assert found.starts == {**found.resumed, **dict.fromkeys(("y", "new", "z"), MONDAY)}
    assert found.there == NOW + WEEK
    exact = planned(pair, exact=True)["m"]
    assert exact.starts == {**found.starts, "z": MONDAY + WEEK}
    still = planned(pair, is_still=True)["m"]
    assert (still.resumed, still.starts, set(still.types)) == ({}, {}, {*found.types})


def test_means_are_computed_again_over_the_lookback_in_whole_windows(pair: Pair) -> None:
    """From the first one that begins inside it, or from what is there; they end with the last whole one."""
    pair.write(f"m v=1,w=1,x=1 {MONDAY}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f"m v=1 {NOW - 3 * HOUR}\nm w=1 {NOW - 3 * DAY}", pair.database)
    hourly = {"source": {"group_by": "1h"}}
    with parts(pair, hourly) as found:
        copy = found.planned()["m"]
        starts, end = found.planner.starts(copy), found.planner.end()
    assert copy.resumed == {"v": NOW - 1 - DAY + HOUR, "w": NOW - 3 * DAY}
    assert starts == {"v": NOW - 1 - DAY + HOUR, "w": NOW - 1 - 3 * DAY, "x": MONDAY}
    assert end == NOW - 1
    with parts(pair, {**hourly, **sections(MONDAY, MONDAY + DAY + 1)}) as found:
        assert found.planner.end() == MONDAY + DAY
    with parts(pair, {**hourly, "options": {"incremental": {"lookback": "0"}}}) as found:
        assert found.planned()["m"].resumed["v"] == NOW - 3 * HOUR
    with parts(pair) as found:
        assert found.planner.end() == END_OF_TIME
        assert found.planner.starts(found.planned()["m"])["v"] == NOW - 3 * HOUR


def test_a_range_begins_where_it_begins_and_knows_what_is_there_of_it(pair: Pair) -> None:
    """The newest point inside of it, of the fields that are copied; that of others does not count."""
    pair.write(f"m v=1,w=1 {MONDAY}\nn v=1 {MONDAY}")
    pair.destination.create_database(pair.database)
    pair.destination.write(
        f"m v=1 {MONDAY + 5}\nm v=1 {MONDAY + DAY}\nm other=1 {MONDAY + 9}\nm w=1 {MONDAY + 3}\n"
        f"n v=1 {MONDAY - 1}",
        pair.database,
    )
    found = planned(pair, sections(MONDAY, MONDAY + DAY))
    assert {name: copy.there for name, copy in found.items()} == {"m": MONDAY + 5, "n": None}
    assert [copy.starts for copy in found.values()] == [{"v": MONDAY, "w": MONDAY}, {"v": MONDAY}]
    assert not any(copy.resumed for copy in found.values())
    ended = planned(pair, sections(MONDAY, MONDAY + DAY + 1))
    assert ended["m"].there == MONDAY + DAY


@pytest.mark.parametrize(
    ("newest", "changes", "begins"),
    [
        ({"v": 9, "w": 10}, {}, {"v": 7, "w": 7, "x": 0}),
        ({"v": 6}, {}, {"v": 0, "w": 0, "x": 0}),
        ({"v": 101}, {}, {"v": 0, "w": 0, "x": 0}),
        ({"v": 9}, sections(MONDAY - DAY, MONDAY + 50 * DAY), {"v": -1, "w": -1, "x": -1}),
        ({"v": 9}, {"source": {"group_by": "1d"}}, {"v": 0, "w": 0, "x": 0}),
    ],
    ids=["each field", "the first group", "ahead of the clock", "a range", "means"],
)
def test_a_copy_that_somebody_began_goes_on_from_the_shard_group_that_is_reached(
    newest: dict[str, int], changes: dict[str, Any], begins: dict[str, int], pair: Pair
) -> None:
    """Never earlier than it was to begin; in days since the first point."""
    pair.write("\n".join(f"m v=1,w=1,x=1 {MONDAY + n * DAY}" for n in range(20)) + f"\nn v=1 {MONDAY}")
    with planning(pair, changes) as planner:
        (target,), _ = planner.policies.prepare(pair.database, pair.database)
        copies = planner.plan(pair.database, target, {})
        for field, days in newest.items():
            pair.destination.write(f"m {field}=1 {MONDAY + days * DAY}", pair.database)
        first, other = planner.advanced(copies)
    assert first.starts == {field: MONDAY + days * DAY for field, days in begins.items()}
    assert first.written_types == dict.fromkeys(newest, FLOAT)
    assert (other.starts, other.written_types) == (copies[1].starts, {})


def test_the_newest_point_of_a_database_is_that_of_what_the_job_wants(pair: Pair) -> None:
    """In all policies; points of the future do not count, nor others of the job."""
    pair.write(f"m v=1 {NOW - DAY}\nm v=1 {NOW + 1}\nm out=1 {NOW}\nleft_out v=1 {NOW}")
    pair.source.query(f'CREATE RETENTION POLICY "b" ON "{pair.database}" DURATION 0s REPLICATION 1')
    rules = {"exclude": ["left_out"], "specific": {"m": {"fields": {"exclude": ["out"]}}}}
    with planning(pair, {"measurements": rules}) as planner:
        assert planner.newest_at_source(pair.database) == NOW - DAY
        pair.write(f"m v=1 {NOW}", "b")
        assert planner.newest_at_source(pair.database) == NOW
        pair.source.query("DROP MEASUREMENT m", db=pair.database)
        assert planner.newest_at_source(pair.database) is None


def test_what_is_compared_is_what_one_of_both_sides_has(pair: Pair) -> None:
    """Measurements, fields with all their types, and tags; of a policy that one side lacks what the other has."""
    pair.write(f"m,a=1 v=1,w=1i {MONDAY}\nhere v=1 {MONDAY}")
    pair.destination.create_database(pair.database)
    pair.destination.write(f'm,b=1 v="x",x=1 {MONDAY}\nthere,c=1 v=1i {MONDAY}', pair.database)
    for server, policy in ((pair.source, "only_here"), (pair.destination, "only_there")):
        server.query(f'CREATE RETENTION POLICY "{policy}" ON "{pair.database}" DURATION 0s REPLICATION 1')
        server.write(f"m,a=1 z=1 {MONDAY}", pair.database, policy)

    def found(planner: Planner, target: Target) -> dict[str, tuple[Any, ...]]:
        copies = planner.compared(pair.database, target, Span(MIN_TIME, END_OF_TIME))
        assert {copy.target.groups for copy in copies} == {
            () if target.is_foreign else (Span(MONDAY, MONDAY + WEEK),)
        }
        return {copy.source.measurement: (dict(copy.types), copy.tags) for copy in copies}

    with planning(pair) as planner:
        both, only_here = planner.policies.foresee(pair.database, pair.database)
        (foreign,) = planner.policies.foreign(pair.database, pair.database)
        assert found(planner, both) == {
            "here": ({"v": FLOAT}, ()),
            "m": ({"v": (*FLOAT, *TEXT), "w": WHOLE, "x": FLOAT}, ("a", "b")),
            "there": ({"v": WHOLE}, ("c",)),
        }
        assert found(planner, only_here) == {"m": ({"z": FLOAT}, ("a",))}
        assert found(planner, foreign) == {"m": ({"z": FLOAT}, ("a", "b"))}
    assert (only_here.is_new, only_here.written_groups, only_here.is_foreign) == (True, (), False)
    assert (foreign.is_foreign, foreign.is_new, foreign.source.name) == (True, False, "only_there")
    assert pair.destination.rows(f'SHOW RETENTION POLICIES ON "{pair.database}"')[-1][0] == "only_there"


def test_policies_are_those_that_the_job_means(pair: Pair) -> None:
    """Others are neither created nor compared."""
    pair.write(f"m v=1 {MONDAY}")
    pair.source.query(f'CREATE RETENTION POLICY "b" ON "{pair.database}" DURATION 0s REPLICATION 1')
    with planning(pair) as planner:
        foreseen = planner.policies.foresee(pair.database, pair.database)
        assert [(t.destination.name, t.is_new) for t in foreseen] == [("autogen", True), ("b", True)]
        targets, refused = planner.policies.prepare(pair.database, pair.database)
        assert ([t.source.name for t in targets], refused) == (["autogen", "b"], ())
        assert not any(target.is_new for target in targets)


def test_what_is_there_is_not_created_again(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    """Nor looked at twice; the log says what was created, and what the destination keeps less of."""
    caplog.set_level("INFO")
    pair.write(f"m v=1 {MONDAY}")
    pair.source.query(f'CREATE RETENTION POLICY "b" ON "{pair.database}" DURATION 0s REPLICATION 1')
    asked, created = list[int](), list[int]()
    with Proxy(pair.destination.url) as proxy:
        noted = proxy.inject(only(lambda text: text.startswith("CREATE"), forward), "query", count=None)
        for _ in range(2):
            before = proxy.seen["query"], noted.injected
            with planning(pair, {"destination": {"url": proxy.url}}) as planner:
                planner.policies.prepare(pair.database, pair.database)
            asked.append(proxy.seen["query"] - before[0])
            created.append(noted.injected - before[1])
    assert (asked, created) == ([11, 6], [2, 0])
    assert caplog.text.count("created ") == 2
    assert f"created database {pair.database}" in caplog.text
    assert f"created retention policy {pair.database}.b" in caplog.text
    pair.destination.query(f"ALTER RETENTION POLICY b ON {pair.database} DURATION 30d")
    assert "older points cannot be stored" not in caplog.text
    with planning(pair) as planner:
        planner.policies.prepare(pair.database, pair.database)
    assert f"retention policy {pair.database}.b keeps points for 30d at the destination" in caplog.text


def test_a_database_that_the_source_lacks_is_named_with_those_that_it_has(pair: Pair) -> None:
    """So that a mistyped name is seen at once."""
    pair.write(f"m v=1 {MONDAY}")
    with planning(pair) as planner, pytest.raises(NotFound, match=f"the source has: .*{pair.database}"):
        planner.policies.prepare(f"{pair.database}x", pair.database)
    with InfluxServer.start("empty") as empty:
        own = Pair(empty, pair.destination, pair.database, pair.directory)
        with (
            planning(own) as planner,
            pytest.raises(NotFound, match="the source has: none that this user may see"),
        ):
            planner.policies.prepare(pair.database, pair.database)
