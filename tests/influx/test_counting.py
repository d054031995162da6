"""Counting values: what is asked, and how the answers add up."""

from __future__ import annotations

import pytest

from basics.spans import Span
from influx import counting
from influx.answers import Series
from influx.counting import Count, Statement
from influx.errors import QueryRefused
from influx.influxql import Location

LOCATION = Location("d", "p", "m")
STRANGE = "a\rb"
"""A name that only a regex can ask for."""


def count(**types: tuple[str, ...]) -> Count:
    """A question about fields of one measurement."""
    return Count(LOCATION, types, Span(10, 20))


def series(*rows: list[int | None], **tags: str) -> Series:
    """A series of an answer."""
    return Series("m", tags, ("time",), rows)


def test_one_statement_asks_for_all_fields_and_each_kind_of_their_values() -> None:
    """In one range; floats and integers are one kind."""
    (statement,) = counting.statements(count(a=("float", "integer"), b=("string", "boolean"), c=("integer",)))
    assert [name for name, _ in statement.columns] == ["a", "b", "b", "c"]
    assert {type_ for name, type_ in statement.columns if name == "b"} == {"string", "boolean"}
    assert statement.text.count("count(") == 4
    assert '"d"."p"."m"' in statement.text
    assert "time >= 10 AND time < 20" in statement.text


def test_a_field_that_only_a_regex_finds_has_a_statement_of_its_own() -> None:
    """It may find no column, or several; those beside it could not be told apart then."""
    found = list(
        counting.statements(Count(LOCATION, {"a": ("float",), STRANGE: ("float",), "b": ("float",)}, Span(0, 1)))
    )
    assert [tuple(name for name, _ in statement.columns) for statement in found] == [("a", "b"), (STRANGE,)]
    (alone,) = counting.statements(Count(LOCATION, {STRANGE: ("float",)}, Span(0, 1)))
    assert alone.columns[0][0] == STRANGE
    assert list(counting.statements(count())) == []


def test_a_field_that_only_a_regex_finds_is_counted_once() -> None:
    """A regex cannot be cast: a column for each kind would count the same values again."""
    types = {STRANGE: ("string", "float"), "b": ("string", "float")}
    quoted, alone = counting.statements(Count(LOCATION, types, Span(0, 1)))
    assert (quoted.text.count("count("), alone.text.count("count(")) == (2, 1)
    assert len(alone.columns) == 1
    assert [counting.is_exact(name, of) for name, of in types.items()] == [False, True]
    assert counting.is_exact(STRANGE, ("integer", "float"))


def test_what_was_counted_adds_up() -> None:
    """All series and kinds of a field; a column without values, and answers before, too."""
    statement = Statement("", (("a", "float"), ("b", "string"), ("b", "boolean")))
    found = {"a": 100}
    counting.add(found, count(), statement, [series([0, 1, 2, 3], [0, 10, None, 30]), series([0, 5, 6, None])])
    assert found == {"a": 116, "b": 2 + 3 + 30 + 6}
    counting.add(found, count(), statement, [])
    assert found == {"a": 116, "b": 41}


@pytest.mark.parametrize("row", [[0], [0, 1], [0, 1, 2, 3]])
def test_an_answer_of_another_number_of_columns_is_refused(row: list[int | None]) -> None:
    """A regex found other fields than the one that was meant; both names are told, one line each, once."""
    statement = Statement("", ((STRANGE, "float"), (STRANGE, "string")))
    with pytest.raises(QueryRefused, match="cannot tell apart") as caught:
        counting.add({}, count(), statement, [series(row)])
    assert "\r" not in str(caught.value)
    assert str(caught.value).endswith("cannot tell apart: a\\rb")


def test_the_tags_of_a_series_are_in_order_and_those_without_a_value_left_out() -> None:
    """So that the same series is the same text at both servers."""
    assert counting.series_tags(series(z="1", a="2", m="")) == (("a", "2"), ("z", "1"))
    assert counting.series_tags(series()) == ()
