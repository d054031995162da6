"""How very many series are divided, to be read share by share."""

import random
import re
import string
from collections import Counter
from collections.abc import Sequence

import polars as pl
import pytest

from copying.shares import FEW, MOST, divided, divisions
from influx.frames import Frame
from influx.influxql import Share

ROWS = 10_000
"""How many rows a page of these tests can hold."""

MANY = ROWS // FEW + 1


def frame(values: Sequence[str | None], **tags: Sequence[str | None]) -> Frame:
    """A point for each value of the tag `t`."""
    columns = {"t": values, **tags}
    return Frame(
        pl.Series(range(len(values)), dtype=pl.Int64),
        (("v", pl.Series([1.0] * len(values))),),
        tuple((name, pl.Series(column, dtype=pl.String)) for name, column in columns.items()),
    )


def holds(share: Share, value: str) -> bool:
    """Whether InfluxDB finds a series whose tag has this value in the share: it asks a regex."""
    found = re.search(rf"[{share.characters}](?s:.{{{share.after}}})\Z", value) is not None
    assert share.holds({"t": value}) == (found != share.is_rest)
    return found != share.is_rest


def sizes(shares: tuple[Share, ...], values: list[str]) -> list[int]:
    """How many of the values are in each share; each of them has to be in one."""
    assert all(sum(holds(share, value) for share in shares) == 1 for value in values)
    return [sum(holds(share, value) for value in values) for share in shares]


def test_each_series_is_in_one_share() -> None:
    """Shares are of about equal size, whatever other values turn up."""
    values = [f"d{n:05d}" for n in range(MANY)]
    shares = divided(frame(values), ROWS, 10 * ROWS)
    assert len(shares) == 10
    assert max(sizes(shares, values)) <= 2 * MANY // 10
    sizes(shares, ["", "x", "é", "12é", "5\n", "\n5", "\udcff"])


def test_a_common_end_of_all_values_divides_nothing() -> None:
    """The place is chosen at which the characters do, here before the domain, as far as it is looked."""
    values = [f"node{n:05d}.lan" for n in range(MANY)]
    shares = divided(frame(values), ROWS, 10 * ROWS)
    assert {share.after for share in shares} == {4}
    assert max(sizes(shares, values)) <= 2 * MANY // 10
    assert divided(frame([f"{n:05d}.example.org" for n in range(MANY)]), ROWS, 10 * ROWS) == ()


@pytest.mark.parametrize(
    ("values", "left"),
    [
        ([f"d{n % (MANY - 1):05d}" for n in range(ROWS)], 10 * ROWS),
        ([f"d{n:05d}" for n in range(MANY)], 2 * ROWS - 1),
        ([None] * MANY, 10 * ROWS),
        (["é" * (1 + n % 7) for n in range(MANY)], 10 * ROWS),
    ],
    ids=["few series", "little is left", "no tags", "no plain characters"],
)
def test_where_time_by_time_does_as_well_nothing_is_divided(values: list[str | None], left: int) -> None:
    """Pages then hold enough points of each series, or there is hardly another page."""
    assert divided(frame(values), ROWS, left) == ()


def test_many_series_are_seen_in_a_large_page() -> None:
    """The first rows may not show how many there are; few series show there."""
    values: list[str | None] = [f"d{n % MANY:05d}" for n in range(50_000)]
    assert divided(frame(values), ROWS, 10 * ROWS)
    few: list[str | None] = [f"d{n % 100:05d}" for n in range(50_000)]
    assert divided(frame(few), ROWS, 10 * ROWS) == ()


def test_the_tag_with_the_most_values_divides() -> None:
    """Others could put most series into one share. Tags that no condition can name are left out."""
    values: list[str | None] = [f"d{n:05d}" for n in range(MANY)]
    others: list[str | None] = [str(n % 10) for n in range(MANY)]
    longer: list[str | None] = [f"e{n:05d}" for n in range(MANY)]
    assert {share.tag for share in divided(frame(values, kind=others), ROWS, 10 * ROWS)} == {"t"}
    assert {share.tag for share in divided(frame(others, TIME=longer, u=values), ROWS, 10 * ROWS)} == {"u"}


def test_so_many_shares_as_make_half_a_page() -> None:
    """And no more than the characters allow, or MOST."""
    chance = random.Random(1)
    values: list[str | None] = ["".join(chance.choices(string.ascii_lowercase, k=6)) for _ in range(MANY)]
    assert len(divided(frame(values), ROWS, 3 * ROWS)) == 6
    assert len(divided(frame(values), ROWS, 100 * ROWS)) == MOST


def test_two_divisions_part_all_series_of_a_measurement() -> None:
    """So that a share that is too large can be divided again."""
    values = [f"d{n:05d}" for n in range(2000)]
    first, second = divisions({"site": [f"s{n}" for n in range(10)], "t": values})[:2]
    assert {share.tag for share in (*first, *second)} == {"t"}
    pairs = Counter(
        (one, other)
        for value in values
        for one in first
        for other in second
        if holds(one, value) and holds(other, value)
    )
    assert sum(pairs.values()) == len(values)
    assert len(pairs) == len(first) * len(second)


def test_one_character_divides_the_others_from_it() -> None:
    """Values that do not have it are the rest."""
    values = ["xa", "ya", "x-", "y-"]
    (shares,) = divisions({"t": values})[:1]
    assert sorted(sizes(shares, values)) == [2, 2]


def test_characters_that_many_values_have_go_with_those_that_few_have() -> None:
    """So that the shares are of about equal size."""
    values = [
        f"x{number}{letter}"
        for letter, count in zip("abcdef", (50, 30, 30, 20, 20, 10), strict=True)
        for number in range(count)
    ]
    for wanted, expected in ((2, [80, 80]), (3, [50, 50, 60]), (9, [10, 20, 20, 30, 30, 50])):
        shares = next(found for found in divisions({"t": values}, wanted) if found[0].after == 0)
        assert sorted(sizes(shares, values)) == expected


def test_nothing_divides_one_value() -> None:
    """Nor none at all."""
    assert divisions({"t": ["a"], "u": []}) == []
