"""What files add up to: whatever is not as the source says is noticed, and nothing else is."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl
import pytest

from basics.spans import Span
from copying.archive import parquet
from copying.archive.errors import Unequal
from copying.archive.portions import portions
from copying.archive.sums import Told, added_up, check_equal, is_between, only_counts, series_of
from influx.fingerprints import Fingerprints, Look
from influx.frames import Frame
from influx.influxql import Location, Share
from tests.copying.archive.samples import points

LOOK = Look(
    Location("db", "p", "m"),
    {"v": ("float",), "n": ("integer",), "s": ("string",), "b": ("boolean",)},
    Span(0, 99),
)
TYPES: Mapping[str, type[pl.DataType]] = {"v": pl.Float64, "n": pl.Int64, "s": pl.String, "b": pl.Boolean}

Row = Mapping[str, object]
"""`t`: the only tag."""

ROWS: Sequence[Row] = (
    {"t": "a", "time": 1, "v": 0.0, "n": 1, "s": "x", "b": True},
    {"t": "a", "time": 2, "v": 2.5, "n": 2, "s": "y"},
    {"t": "a", "time": 3, "v": 3.5, "n": 3},
    {"t": "a", "time": 5, "v": 4.5, "s": "z"},
    {"t": "b", "time": 1, "v": 1.5, "n": 7, "s": "x"},
    {"time": 4, "n": 7},
)


def frame(rows: Sequence[Row]) -> Frame:
    """As a file has them."""
    fields = ((name, pl.Series(values=[row.get(name) for row in rows], dtype=TYPES[name])) for name in TYPES)
    tags = (("t", pl.Series(values=[row.get("t") for row in rows], dtype=pl.String)),)
    return parquet.sort_by_series(
        Frame(pl.Series(values=[row["time"] for row in rows], dtype=pl.Int64), tuple(fields), tags)
    )


def told(rows: Sequence[Row] = ROWS, *, one_shard: bool = True) -> Told:
    """What a source says that holds them."""
    found = added_up([frame(rows)], LOOK)
    return Told(LOOK, found if one_shard else only_counts(LOOK, found), "", one_shard)


def changed(number: int, **values: object) -> list[Row]:
    """The rows, one of them otherwise."""
    return [row | values if i == number else row for i, row in enumerate(map(dict, ROWS))]


@pytest.mark.parametrize(
    ("rows", "is_counted"),
    [
        (changed(1, v=2.25), False),
        (changed(2, n=4), False),
        (changed(0, v=-0.0), False),
        (changed(0, s="w"), False),
        (changed(0, b=False), False),
        (changed(2, time=4), False),
        ([{**row, "time": int(str(row["time"])) + 1} for row in ROWS], False),
        (changed(1, s=None), True),
        (changed(1, n=None), True),
        (changed(3, b=True), True),
        (changed(4, t="c"), True),
        (ROWS[1:], True),
        (ROWS[:-1], True),
        ([*ROWS, {"t": "c", "time": 1, "b": True}], True),
        ([], True),
    ],
)
def test_files_that_hold_something_else_are_not_equal(rows: Sequence[Row], is_counted: bool) -> None:
    """Values, times, series. Of a range in several shards only numbers of values are told for certain."""
    found = added_up([frame(rows)] if rows else [], LOOK)
    with pytest.raises(Unequal, match="not what the source says"):
        check_equal(told(), found)
    if is_counted:
        with pytest.raises(Unequal):
            check_equal(told(one_shard=False), found)
    else:
        check_equal(told(one_shard=False), found)


def test_the_same_points_are_equal_in_however_many_files() -> None:
    """Sums, first rows and times go on from one to the next; empty ones do not matter."""
    look = replace(LOOK, types={"v": ("float",), "i": ("integer",), "u": ("unsigned",), "s": ("string",)})
    whole = added_up([parquet.sort_by_series(points(3000))], look)
    assert len(whole) == 6
    nothing = points(0)
    parts = [nothing, *portions([points(3000)], 100), nothing]
    assert len(parts) > 50
    check_equal(Told(look, whole, "", one_shard=True), added_up(parts, look))


def test_which_series_is_not_the_same_is_said() -> None:
    """The first of them, and how many there are."""
    for rows, said in (
        (changed(4, n=8), "^1 series is not what the source says, such as that of t=b$"),
        (changed(5, n=8), "^1 series is not what the source says, such as that of no tags$"),
        (ROWS[:3], "^3 series are not what the source says, such as that of no tags$"),
    ):
        with pytest.raises(Unequal, match=said):
            check_equal(told(), added_up([frame(rows)], LOOK))


def test_what_is_no_number_is_like_itself() -> None:
    """Whichever bits it has. The time of a sum does not count: it is where a range begins."""

    def rows(number: float, begin: int = 0) -> Fingerprints:
        return {(): [(begin, 1, number), (5, number), None]}

    (other,) = struct.unpack("<d", bytes.fromhex("010000000000f8ff"))
    look = replace(LOOK, types={"v": ("float",)})
    one = Told(look, rows(math.nan), "", one_shard=True)
    check_equal(one, rows(other))
    check_equal(one, rows(math.nan, begin=7))
    with pytest.raises(Unequal):
        check_equal(one, rows(1.0))
    with pytest.raises(Unequal):
        check_equal(Told(look, rows(0.0), "", one_shard=True), rows(-0.0))


@pytest.mark.parametrize(
    ("type_", "dtype", "values", "total"),
    [
        ("integer", pl.Int64, [2**63 - 1, 1], -(2**63)),
        ("integer", pl.Int64, [-(2**63), -1], 2**63 - 1),
        ("integer", pl.Int64, [2**62, 2**62 - 1], 2**63 - 1),
        ("unsigned", pl.UInt64, [2**64 - 1, 2], 1),
        ("unsigned", pl.UInt64, [2**63, 5], 2**63 + 5),
        ("float", pl.Float64, [1e308, 1e308], math.inf),
        ("float", pl.Float64, [1e16, 1.0, -1e16], 0.0),
        ("integer", pl.Float64, [1.9, -2.9], -1),
        ("integer", pl.Float64, [1e300, 7.5], 7 - 2**63),
        ("float", pl.Int64, [1, 2], 3.0),
    ],
)
def test_numbers_add_up_as_the_server_adds_them(
    type_: str, dtype: type[pl.DataType], values: list[float], total: float
) -> None:
    """One after the other, in 64 bits; a field that has another type elsewhere is cast."""
    one = Frame(
        pl.Series(values=range(len(values)), dtype=pl.Int64), (("v", pl.Series(values=values, dtype=dtype)),), ()
    )
    look = replace(LOOK, types={"v": (type_,)})
    for parts in ([one], one.split([1])):
        ((rows,),) = [list(added_up(parts, look).values())]
        assert rows[0] == (0, len(values), total)
        assert type(rows[0][2]) is type(total)


def test_times_count_by_how_far_they_are_from_the_first_one() -> None:
    """Squared, of the first field that is a number and has a value; of a single one nothing is told."""
    for rows, moment in ((ROWS[:1], None), (ROWS[:2], 1), (ROWS[:4], 1 + 4), ([*ROWS[1:3], *ROWS[4:5]], 1)):
        assert added_up([frame(rows)], LOOK)[(("t", "a"),)][-1] == (None if moment is None else (0, moment))
    far = [{"t": "a", "time": 0, "n": 1}, {"t": "a", "time": 2**32 - 1, "n": 1}]
    assert added_up([frame(far)], LOOK)[(("t", "a"),)][-1] == (0, (2**32 - 1) ** 2 - 2**64)


def test_a_text_is_no_number() -> None:
    """Where a field has both types, each counts its own."""
    look = replace(LOOK, types={"s": ("float", "string")})
    ((totals, *_),) = added_up([frame(ROWS[1:2])], look).values()
    assert look.columns == (("s", "float"), ("s", "string"))
    assert totals == (0, None, 1, None)


def test_series_that_are_not_asked_for_are_left_out() -> None:
    """Those with values that InfluxDB cannot keep, and those of other shares."""
    rows = [*ROWS, {"t": "c#!~#d", "time": 1, "v": 1.0}]
    assert len(added_up([frame(rows)], LOOK)) == 4
    without = replace(LOOK, without=("t", "other"))
    assert set(added_up([frame(rows)], without)) == {(("t", "a"),), (("t", "b"),), ()}
    some = (Share("t", "abd", 0),)
    assert set(added_up([frame(rows)], replace(LOOK, shares=some))) == {
        (("t", "a"),), (("t", "b"),), (("t", "c#!~#d"),)
    }  # fmt: skip
    both = (*some, Share("t", "a", 0, is_rest=True))
    assert set(added_up([frame(rows)], replace(without, shares=both))) == {(("t", "b"),)}


def test_a_series_without_a_value_of_the_fields_is_none() -> None:
    """The server does not tell of it either."""
    assert set(added_up([frame(ROWS)], replace(LOOK, types={"v": ("float",)}))) == {(("t", "a"),), (("t", "b"),)}
    assert added_up([frame(ROWS)], replace(LOOK, types={"w": ("float",)})) == {}


@pytest.mark.parametrize(
    ("before", "found", "after", "is_between_them"),
    [
        (ROWS[:3], ROWS[:4], ROWS[:5], True),
        (ROWS[:3], ROWS[:3], ROWS[:3], True),
        (ROWS[:3], ROWS[:5], ROWS[:5], True),
        (ROWS[:3], ROWS[:3], ROWS, True),
        (ROWS[:4], ROWS[:3], ROWS[:5], False),
        (ROWS[:3], ROWS[:5], ROWS[:4], False),
        (ROWS[:5], ROWS[:4], ROWS, False),
        (ROWS[:3], ROWS, ROWS[:5], False),
        # one field grew where another one shrank, one series where another one did
        (ROWS[:2], [*ROWS[:1], {**ROWS[1], "s": None}], ROWS[:4], False),
        (ROWS[:5], [*ROWS[:3], *ROWS[4:]], ROWS, False),
        (ROWS[:1], [ROWS[0], {"t": "a", "time": 9, "b": True}], ROWS[:2], False),
    ],
)
def test_what_came_meanwhile_may_be_there_and_nothing_may_be_missing(
    before: Sequence[Row], found: Sequence[Row], after: Sequence[Row], is_between_them: bool
) -> None:
    """Field by field, series by series."""
    assert is_between(told(before), added_up([frame(found)], LOOK), told(after)) is is_between_them


def test_series_follow_one_another_by_their_tags() -> None:
    """A tag that is missing is no tag, and one with an empty value neither."""
    tags = (
        ("z", pl.Series(values=["", "", "1", "1"], dtype=pl.String)),
        ("a", pl.Series(values=[None, b"\xff", b"\xff", b"\xff"], dtype=pl.Binary)),
    )
    four = Frame(pl.Series(values=range(4), dtype=pl.Int64), (), tags)
    assert series_of(four) == ([0, 1, 2], [(), (("a", "\udcff"),), (("a", "\udcff"), ("z", "1"))])
    assert series_of(Frame(four.time, (), ())) == ([0], [()])
