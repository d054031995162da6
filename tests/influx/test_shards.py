"""What a server tells of its shards."""

from typing import Any

import pytest

from basics.spans import Span
from basics.times import DAY, END_OF_TIME, MIN_TIME
from influx import shards
from influx.answers import Series
from influx.shards import ShardStates

WEEK = 7 * DAY
NOW = 2900 * WEEK


def stats(number: str, points: int, policy: str = "p") -> Series:
    """A shard in the answer to SHOW STATS."""
    tags = {"database": "db", "retentionPolicy": policy, "id": number}
    return Series("shard", tags, ("writePointsOk", "diskBytes"), ((points, 7),))


def shown(*rows: tuple[str, str, str]) -> Series:
    """The answer to SHOW SHARDS: id, policy and day of each."""
    columns = ("id", "database", "retention_policy", "start_time", "end_time")
    values = tuple(
        (id_.encode(), b"db", policy.encode(), f"{day}T00:00:00Z".encode(), f"{day}T01:00:00Z".encode())
        for id_, policy, day in rows
    )
    return Series("db", {}, columns, values)


def test_what_is_said_of_a_stretch_of_time_changes_with_its_shards_alone() -> None:
    """With their counters, their numbers, and the process that counted."""
    days = [("1", "p", "2024-01-01"), ("2", "p", "2024-01-02"), ("3", "q", "2024-01-01")]

    def state(started: str = "a", first: int = 5, second: int = 6, other: int = 8) -> ShardStates:
        answers = [[shown(*days)], [stats("1", first), stats("2", second), stats("3", other, "q")]]
        return shards.states(started, answers, "db", "p")

    first, second = (span for span, _ in state().shards)
    assert first.start < second.start
    base = state().of(first)
    assert base == state(second=99).of(first) == state(other=99).of(first)
    assert base != state(first=99).of(first)
    assert base != state(started="b").of(first)
    assert state().of(Span(0, 1)) == ("a", ())
    assert len(state().of(Span(first.start, second.end))[1]) == 2
    for beside in (Span(first.start - 1, first.start), Span(first.end, second.start)):
        assert state().of(beside)[1] == ()
    assert [len(state().of(Span(t, t + 1))[1]) for t in (first.start, first.end - 1, second.start)] == [1, 1, 1]


def test_a_shard_that_was_not_counted_yet_has_its_number_alone() -> None:
    """As one that no process has written to; another database's shards are not its own."""
    rows = shown(("1", "p", "2024-01-01"))
    assert shards.states("a", [[rows], []], "db", "p").shards[0][1] == ("1",)
    assert shards.states("a", [[rows], [stats("1", 5)]], "db", "p").shards[0][1] == ("1", "5", "", "", "", "", "7")
    assert shards.states("a", [[rows], []], "other", "p").shards == ()
    assert not shards.states("a", [[rows], []], "db", "p").is_blind


def entry(number: str, points: int, policy: str = "p") -> dict[str, Any]:
    """A shard in /debug/vars."""
    tags = {"database": "db", "retentionPolicy": policy, "id": number}
    return {"name": "shard", "tags": tags, "values": {"writePointsOk": points, "diskBytes": 7}}


def document(*entries: dict[str, Any]) -> dict[str, Any]:
    """The whole of it."""
    return {
        "cmdline": ["influxd"],
        "system": {"started": "a"},
        **{f"shard:{i}": found for i, found in enumerate(entries)},
    }


def test_without_times_each_shard_but_the_latest_may_hold_any() -> None:
    """So a change in an old one is a change of every old stretch, and one in the latest is not."""

    def old(first: int = 5, latest: int = 6, other: int = 8) -> object:
        found = document(entry("9", first), entry("10", latest), entry("11", other, "q"))
        state = shards.states_of_vars(found, "db", "p", NOW)
        assert state is not None
        assert state.is_blind
        assert [span for span, _ in state.shards] == [Span(MIN_TIME, END_OF_TIME), Span(NOW - DAY, END_OF_TIME)]
        return state.of(Span(NOW - WEEK, NOW - 2 * DAY))

    assert old() == old(latest=99) == old(other=99)
    assert old() != old(first=99)
    found = shards.states_of_vars(document(entry("9", 5), entry("10", 6)), "db", "p", NOW)
    assert found is not None
    assert found.of(Span(NOW - 2, NOW)) == (
        "a", (("9", "5", "", "", "", "", "7"), ("10", "6", "", "", "", "", "7")),
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_the_latest_shard_is_that_of_the_largest_number(count: int) -> None:
    """Numbers are compared as such, not as text."""
    found = shards.states_of_vars(document(*(entry(str(n), n) for n in range(count, 0, -1))), "db", "p", NOW)
    assert found is not None
    assert [int(state[0]) for _, state in found.shards] == list(range(1, count + 1))
    present, whole = Span(NOW - DAY, END_OF_TIME), Span(MIN_TIME, END_OF_TIME)
    assert [span for span, _ in found.shards] == [whole] * (count - 1) + [present]


def test_a_policy_may_have_no_shards_yet() -> None:
    """That is known, and not the same as a document that tells nothing."""
    assert shards.states_of_vars(document(entry("1", 1, "q")), "db", "p", NOW) == ShardStates(
        "a", (), is_blind=True
    )


@pytest.mark.parametrize("found", [None, [], {}, {"system": {}}, {"a": 1}, {"shard:1": entry("1", 1)}])
def test_another_document_tells_nothing(found: object) -> None:
    """As that of a proxy, or of another program."""
    assert shards.states_of_vars(found, "db", "p", NOW) is None
