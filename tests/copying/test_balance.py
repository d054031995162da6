"""What the counters of two moments prove."""

from dataclasses import replace
from pathlib import Path

import pytest

from basics.spans import Span
from basics.times import DAY, HOUR, MIN_TIME, MINUTE
from copying import balance, memory
from copying.balance import AGAIN_VALUES, LONGEST, SHORTEST, Moment, Patrol, Proof
from copying.memory import Memory
from copying.task import Copy, Target
from influx.activity import Activity, Writes
from influx.influxql import Location, Policy

NOW = 2900 * 7 * DAY
SINCE = NOW - HOUR
POLICY = Policy("p", 0, 7 * DAY, is_default=True)
TARGET = Target("db", POLICY, POLICY, (), (), {}, source_types={"cpu": {"v": ("float",)}})


def activity(stored: int, *, lost: int = 0, asked: int = 0, started: str = "a", shard: str = "1") -> Activity:
    """Of a server with one shard."""
    return Activity(started, {shard: Writes(stored, stored, 0, stored, lost)}, asked)


PROOF = Proof(
    "selection",
    SINCE,
    40,
    activity(100),
    activity(70, asked=9, started="b"),
    written=30,
    asked=5,
    newest={"cpu": 7},
)


def moment(stored: int, newer: int) -> Moment:
    """A later moment at the source."""
    return Moment(activity(stored), {SINCE: newer})


def test_a_balance_is_held_by_new_points_alone() -> None:
    """One that came late, twice, or in the place of another one upsets it, whatever came beside it."""
    assert PROOF.is_balanced(moment(100, 40))
    assert PROOF.is_balanced(moment(160, 100))
    assert not PROOF.is_balanced(moment(161, 100))
    assert not PROOF.is_balanced(moment(160, 99))


def test_a_balance_needs_the_same_process_and_the_same_shards() -> None:
    """Counters that began anew, a shard that is new or gone, points that were taken and not kept: no proof."""
    for found in (
        replace(moment(160, 100).activity, started="c"),
        activity(160, shard="2"),
        Activity("a", {"1": Writes(160, 160, 0, 160, 0), "2": Writes()}, 0),
        activity(160, lost=1),
    ):
        assert not PROOF.is_balanced(Moment(found, {SINCE: 100}))


def test_a_destination_is_untouched_where_only_we_wrote_and_asked() -> None:
    """Our own writes may have made new shards there."""
    own = activity(100, asked=14, started="b")
    assert PROOF.is_untouched(own)
    assert PROOF.is_untouched(replace(own, shards={**own.shards, "2": Writes()}))
    for other in (
        activity(101, asked=14, started="b"),
        activity(99, asked=14, started="b"),
        activity(100, asked=15, started="b"),
        activity(100, asked=14, started="c"),
        activity(100, asked=14, started="b", lost=1),
        activity(100, asked=14, started="b", shard="2"),
    ):
        assert not PROOF.is_untouched(other)


def test_nothing_has_happened() -> None:
    """Only while neither side has moved, and a part was compared lately all the same."""
    proof = replace(PROOF, patrol=Patrol(NOW - HOUR))
    there, here = activity(100, asked=77), activity(100, asked=14, started="b")
    assert proof.is_still(there, here, NOW)
    assert not proof.is_still(activity(101), here, NOW)
    assert not proof.is_still(there, activity(101, asked=14, started="b"), NOW)
    assert not proof.is_still(there, here, NOW + DAY)
    assert not proof.is_still(there, here, NOW - 2 * HOUR)


def test_a_moment_is_still_when_nothing_is_under_way() -> None:
    """Nor has moved meanwhile; questions may be asked."""
    assert balance.is_still(activity(5), activity(5, asked=3))
    assert not balance.is_still(activity(5), activity(6))
    under_way = Activity("a", {"1": Writes(2, 1, 0, 5, 0)}, 0)
    assert not balance.is_still(under_way, under_way)


def test_points_are_counted_from_a_little_before_the_newest_ones() -> None:
    """Those of the future do not count as newest."""
    copies = [
        Copy(Location("db", "p", "cpu"), TARGET, {"v": ("float",)}, (), resumed={"v": NOW - DAY}),
        Copy(Location("db", "p", "mem"), TARGET, {"v": ("float",)}, (), resumed={"v": NOW + DAY, "w": NOW - HOUR}),
        Copy(Location("db", "p", "new"), TARGET, {"v": ("float",)}, ()),
    ]
    assert balance.next_since(copies, NOW) == NOW - 5 * MINUTE
    assert balance.next_since(copies[:1], NOW) == NOW - DAY - 5 * MINUTE


def test_what_is_proved_is_of_all_names_and_of_those_that_are_copied() -> None:
    """A field that is new, of another type, or no longer wanted is another selection."""
    copy = Copy(Location("db", "p", "cpu"), TARGET, {"v": ("float",)}, ())
    known = balance.selection(TARGET, [copy])
    more = replace(TARGET, source_types={"cpu": {"v": ("float", "integer")}})
    assert known == balance.selection(TARGET, [copy])
    assert known != balance.selection(more, [copy])
    assert known != balance.selection(TARGET, [])
    assert known != balance.selection(TARGET, [replace(copy, types={})])


def test_the_proved_part_is_compared_again_piece_by_piece() -> None:
    """From its newest to its oldest, and then anew; all of it takes a day at least."""
    whole = Span(NOW - 30 * HOUR, NOW)
    patrol, pieces, now = Patrol(length=10 * HOUR), [], NOW
    for _ in range(4):
        piece = patrol.piece(whole, now)
        assert piece is not None
        pieces.append(piece)
        patrol = patrol.after(piece, AGAIN_VALUES, now)
        assert patrol.piece(whole, now) is None
        assert patrol.piece(whole, now + 7 * HOUR) is None
        now += 8 * HOUR
    newest, middle, oldest = (Span(NOW - n * HOUR, NOW - (n - 10) * HOUR) for n in (10, 20, 30))
    assert pieces == [newest, middle, oldest, newest]


@pytest.mark.parametrize(
    ("length", "values", "next_length"),
    [
        (HOUR, 0, 2 * HOUR),
        (HOUR, AGAIN_VALUES, HOUR),
        (HOUR, 3 * AGAIN_VALUES, HOUR // 2),
        (SHORTEST, 10**9, SHORTEST),
        (LONGEST, 0, LONGEST),
    ],
)
def test_pieces_get_as_long_as_they_are_cheap(length: int, values: int, next_length: int) -> None:
    """So that a run costs about the same, however much there is."""
    piece = Span(NOW - length, NOW)
    assert Patrol(length=length).after(piece, values, NOW) == Patrol(NOW, piece.start, next_length)


def test_of_nothing_no_piece_is_compared() -> None:
    """Where all is newer than what is proved."""
    assert Patrol().piece(Span(NOW, NOW), NOW) is None
    assert Patrol().piece(Span(NOW, MIN_TIME), NOW) is None


def test_a_proof_is_kept_in_the_memory(tmp_path: Path) -> None:
    """What was read is what was written; a damaged one is as good as none."""
    file = tmp_path / "job.json"
    kept = Memory("about")
    kept.keep_proof("source", TARGET, PROOF)
    assert not kept.note_clean("source", TARGET, "selection")
    assert kept.note_clean("source", TARGET, "selection")
    memory.save(file, kept)
    found = memory.load(file, "about")
    assert found == kept
    assert found.proof("source", TARGET) == PROOF
    assert found.proof("other", TARGET) is None
    file.write_text(file.read_text().replace('"stored"', '"x"').replace('"since"', '"x"'))
    assert memory.load(file, "about") == Memory("about")
    assert memory.load(tmp_path / "none", "about") == Memory("about")
    kept.forget_proof("source", TARGET)
    assert kept.proof("source", TARGET) is None
