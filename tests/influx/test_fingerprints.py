"""Fingerprints: what is asked, and what the answers say."""

from __future__ import annotations

import pytest

from basics.spans import Span
from influx import fingerprints
from influx.answers import Series
from influx.errors import QueryRefused
from influx.fingerprints import Fingerprint, Fingerprints, Look
from influx.influxql import Location, Share
from influx.questions import QUESTION_BYTES, length

LOCATION = Location("d", "p", "m")
SPAN = Span(10, 20)
STRANGE = "a\rb"
"""A name that only a regex can ask for."""
ALL = ("integer", "string", "boolean")


def look(types: dict[str, tuple[str, ...]], *without: str, shares: tuple[Share, ...] = ()) -> Look:
    """A question about fields of one measurement."""
    return Look(LOCATION, types, SPAN, without, shares)


def row(*values: object, **tags: str) -> Series:
    """A series of an answer, with one row."""
    return Series("m", tags, ("time",), [(0, *values)])


def test_counts_sums_first_rows_and_times_are_asked_for() -> None:
    """Only numbers are summed, as each type they have; what a regex has to name has a statement of its own."""
    types = {STRANGE: ("float",), "s": ("string",), "b": ("float", "integer"), "a": ALL}
    totals, strange, first, moments = fingerprints.statements(look(types))
    assert totals.text.count("count(") == 5
    sums = ['"b"::float', '"b"::integer', '"a"::integer']
    assert [f'"{name}"::{type_}' for name, type_ in totals.summed] == sums
    assert all(f"sum({column})" in totals.text for column in sums)
    assert totals.led == ("b",)
    assert totals.text.count('first("b"::field)') == 1
    assert (totals.width, first.width, moments.width, strange.width) == (9, 3, 1, 1)
    assert [name for name, _ in totals.counted] == ["s", "b", "a", "a", "a"]
    assert strange.counted == ((STRANGE, "float"),)
    assert "sum(" not in strange.text
    assert not (*first.counted, *moments.counted)
    assert all("time >= 10 AND time < 20" in s.text for s in (totals, strange, first, moments))


@pytest.mark.parametrize(
    ("types", "clock"),
    [
        ({"s": ("string",), "z": ("float",), "y": ("boolean",), "x": ("integer",)}, '"x"::integer'),
        ({"z": ("string",), "b": ("boolean",)}, '"b"::boolean'),
    ],
)
def test_the_times_are_those_of_numbers_if_there_are_any(types: dict[str, tuple[str, ...]], clock: str) -> None:
    """And of the first by name, so that both sides are asked for the same."""
    assert clock in fingerprints.statements(look(types))[-1].text
    others = dict(reversed(types.items()))
    assert clock in fingerprints.statements(look(others))[-1].text


def test_fields_that_no_quotes_can_hold_have_counts_alone() -> None:
    """They have no first row, and no times."""
    (alone,) = fingerprints.statements(look({STRANGE: ("float",)}))
    assert (alone.counted, alone.width) == (((STRANGE, "float"),), 1)
    assert fingerprints.statements(look({})) == []


def test_a_look_at_very_many_fields_is_divided_into_statements() -> None:
    """None is longer than a request, though each number is named twice in it."""
    names = [f"{'n' * 800}{i}" for i in range(2_000)]
    found = fingerprints.statements(look(dict.fromkeys(names, ("float",))))
    assert all(length(statement.text) <= QUESTION_BYTES + 1000 for statement in found)
    assert [name for statement in found for name, _ in statement.counted] == names
    assert sum(statement.text.count("::field") for statement in found) == len(names)


def test_series_whose_values_cannot_be_kept_are_left_out() -> None:
    """By a condition where it can name their tag, else when the answer comes."""
    asked = look({"v": ("float",)}, "host", "time", "Time")
    assert (asked.among.without, asked.unnamed) == (("host",), ("time", "Time"))
    statements = fingerprints.statements(asked)
    found: Fingerprints = {}
    for tags in ({"time": "x\\"}, {"Time": "a\nb", "time": "x"}, {"host": "x\\"}, {"time": "x"}, {}):
        fingerprints.add(found, asked, statements, 0, row(1, 1.0, **tags))
    assert list(found) == [(("host", "x\\"),), (("time", "x"),), ()]


def test_a_fingerprint_has_a_row_for_each_statement() -> None:
    """None where the series has none; a row of another width is of other fields than were meant."""
    asked = look({"v": ("float",)})
    statements = fingerprints.statements(asked)
    found: Fingerprints = {}
    fingerprints.add(found, asked, statements, 2, row(5, h="a"))
    fingerprints.add(found, asked, statements, 0, row(1, 1.5, h="a"))
    fingerprints.add(found, asked, statements, 0, row(2, 2.5, h="b"))
    assert found == {(("h", "a"),): [(0, 1, 1.5), None, (0, 5)], (("h", "b"),): [(0, 2, 2.5), None, None]}
    for values in ((), (1,), (1, 2.0, 3)):
        with pytest.raises(QueryRefused, match=r"d\.p\.m has names .* cannot tell apart: v$"):
            fingerprints.add(found, asked, statements, 0, row(*values))


def test_values_are_counted_over_all_series_and_kinds() -> None:
    """A field without any is left out; a series may lack a row, and a row a value."""
    asked = fingerprints.statements(look({"v": ("float",), "w": ("string", "boolean"), "none": ("float",)}))
    assert [name for name, _ in asked[0].counted] == ["v", "w", "w", "none"]
    one: Fingerprint = [(0, 1, 2, 3, None, 7.0, None), None, None]
    two: Fingerprint = [(0, 10, None, 30, 0, 7.0, None), (0, 9, 9, 9), (0, 9)]
    assert fingerprints.counts(asked, iter([one, [None, None, (0, 5)], two])) == {"v": 11, "w": 35}
    assert fingerprints.counts(asked, []) == {}


def test_equal_fingerprints_are_the_same_bytes_whatever_objects_they_are_made_of() -> None:
    """One answer may hold a value as one object that stands in it twice, another one as two."""
    text, number = b"a long text", 12345678901234567890
    again, same = bytes(bytearray(text)), int(str(number))
    one, other = [(0, text, text), (number, number)], [(0, text, again), (number, same)]
    assert fingerprints.text_of(one) == fingerprints.text_of(other)
    assert fingerprints.are_equal({(): one}, {(): other})


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (0.0, -0.0), (True, 1), (b"1", 1), (None, 0), (0.1 + 0.2, 0.3), (b"", None)]
)
def test_any_bit_and_any_type_makes_another_fingerprint(one: object, other: object) -> None:
    """What Python takes for equal, too."""
    sides: list[Fingerprints] = [{(): [(0, value)]} for value in (one, other)]
    assert not fingerprints.are_equal(*sides)
    assert fingerprints.are_equal(sides[0], {(): [(0, one)]})
    assert fingerprints.text_of(sides[0][()]) != fingerprints.text_of(sides[1][()])


def test_sides_are_equal_only_with_the_same_series_in_any_order() -> None:
    """One that is missing on either side makes a difference."""
    a, b = (("h", "a"),), (("h", "b"),)
    both: Fingerprints = {a: [(0, 1)], b: [(0, 2)]}
    assert fingerprints.are_equal(both, {b: [(0, 2)], a: [(0, 1)]})
    others: list[Fingerprints] = [{a: [(0, 1)]}, {a: [(0, 2)], b: [(0, 1)]}, {}]
    for other in others:
        assert not fingerprints.are_equal(both, other)
        assert not fingerprints.are_equal(other, both)
