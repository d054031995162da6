"""What a server has counted."""

from typing import Any

import pytest

from influx import activity
from influx.activity import Activity, Wanted, Writes
from influx.answers import Series

OLD, NEW = Wanted("db", "p", "1.6.7~rc0", 2), Wanted("db", "p", "1.12.4", 3)


def stats(number: str, *counters: int, policy: str = "p") -> Series:
    """A shard in the answer to SHOW STATS."""
    tags = {"database": "db", "retentionPolicy": policy, "id": number}
    return Series("shard", tags, ("diskBytes", *activity.NAMES), ((7, *counters),))


def http(**more: int) -> Series:
    """The counters of requests."""
    found = {"req": 100, "queryReq": 50, "writeReq": 30, "pingReq": 10, "statusReq": 5} | more
    return Series("httpd", {"bind": ":8086"}, tuple(found), (tuple(found.values()),))


def test_a_policy_has_its_own_shards() -> None:
    """Those of other policies and databases count elsewhere."""
    found = activity.of_answers(
        "a", [stats("1", 5, 4, 1, 60, 2), stats("2", 9, 9, 9, 9, 9, policy="q")], [http()], OLD
    )
    assert found == Activity("a", {"1": Writes(5, 4, 1, 60, 2)}, 48)
    assert (found.stored, found.lost, found.is_idle) == (60, 2, True)
    assert not Activity("a", {"1": Writes(5, 3, 1)}, 0).is_idle
    assert Writes() == (0, 0, 0, 0, 0)


def test_requests_that_could_delete() -> None:
    """Queries alone, and from 1.9 on whatever else may have an address; without our own."""
    for version, asked in (("1.6.7~rc0", 48), ("v1.8.10", 48), ("1.9.0", 53), ("1.12.4", 53), ("unknown", 53)):
        found = activity.of_answers("a", [], [http()], Wanted("db", "p", version, 2))
        assert found is not None
        assert found.asked == asked
    assert activity.endpoints("1.8.10") == ("query",)
    assert activity.endpoints("1.12.4") == ("query", "debug/vars")


@pytest.mark.parametrize(
    ("started", "shards", "requests"),
    [
        ("", [stats("1", 1, 1, 0, 1, 0)], [http()]),
        ("a", [Series("shard", {"database": "db", "retentionPolicy": "p", "id": "1"}, ("x",), ((1,),))], [http()]),
        ("a", [stats("1", 1, 1, 0, 1, 0)], []),
        ("a", [stats("1", 1, 1, 0, 1, 0)], [Series("httpd", {}, ("req",), ((1,),))]),
    ],
)
def test_half_an_answer_is_none(started: str, shards: list[Series], requests: list[Series]) -> None:
    """What is not told must not count as 0."""
    assert activity.of_answers(started, shards, requests, NEW) is None


def test_the_same_without_rights() -> None:
    """`/debug/vars` shows everybody as much."""
    tags: dict[str, Any] = {"database": "db", "retentionPolicy": "p", "id": "1"}
    counters = dict(zip(activity.NAMES, (5, 4, 1, 60, 2), strict=True))
    document = {
        "system": {"started": "a"},
        "cmdline": ["influxd"],
        "shard:1": {"name": "shard", "tags": tags, "values": counters},
        "shard:2": {"name": "shard", "tags": {**tags, "retentionPolicy": "q"}, "values": counters},
        "httpd::8086": {"name": "httpd", "tags": {}, "values": {"req": 20, "queryReq": 10}},
    }
    assert activity.of_vars(document, OLD) == Activity("a", {"1": Writes(5, 4, 1, 60, 2)}, 8)
    for other in (None, {}, {"system": {"started": "a"}}, {**document, "system": 1}):
        assert activity.of_vars(other, OLD) is None


def test_a_process_is_known_by_its_beginning() -> None:
    """And not by the ids of its requests."""
    columns = ("PID", "currentTime", "started", "uptime")
    one = Series("system", {}, columns, ((5, b"later", b"2026-01-01T00:00:00Z", b"1h"),))
    assert activity.process([one]) == "5 2026-01-01T00:00:00Z"
    assert activity.process([]) == activity.process([Series("system", {}, columns, ())]) == ""


def test_writing_is_seen_in_any_counter() -> None:
    """A request that only began is seen as well; questions are no writes."""
    base = Activity("a", {"1": Writes(1, 1, 0, 5, 0)}, 7)
    assert not Activity("a", {"1": Writes(1, 1, 0, 5, 0)}, 9).has_written(base)
    for other in (
        Activity("b", base.shards, 7),
        Activity("a", {"1": Writes(2, 1, 0, 5, 0)}, 7),
        Activity("a", {}, 7),
    ):
        assert other.has_written(base)
