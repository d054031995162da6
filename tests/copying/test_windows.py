"""Both sides of a window: what counting can tell apart."""

from dataclasses import replace

import pytest

from basics.spans import Span
from basics.times import DAY, HOUR, MINUTE, SECOND
from config import FieldRules
from copying.task import Copy, Target
from copying.windows import Question, Window, comparable_types, next_step, together, weighed
from influx import fingerprints
from influx.fingerprints import Fingerprints, Look
from influx.influxql import Location, Policy, Tags

POLICY = Policy("autogen", 0, DAY, is_default=True)
TARGET = Target("db", POLICY, POLICY, (), (), {})


def copy(types: dict[str, tuple[str, ...]], wanted: tuple[str, ...] = ()) -> Copy:
    """A measurement with these fields, of which some types are wanted."""
    rules = FieldRules.model_validate({"types": list(wanted)})
    return Copy(Location("db", "autogen", "m"), TARGET, types, (), rules)


def test_numbers_strings_and_booleans_are_counted_apart() -> None:
    """With all of their types."""
    types = {"n": ("integer", "float"), "s": ("string",), "all": ("float", "string", "boolean")}
    assert comparable_types(copy(types)) == {
        "n": ("integer", "float"),
        "s": ("string",),
        "all": ("float", "string", "boolean"),
    }


def test_fields_are_left_out_that_counting_cannot_tell_apart() -> None:
    """Floats wanted among integers, or several types behind a regex; not what is clear."""
    types = {"n": ("integer", "float"), "mixed": ("float", "string"), "plain": ("float",), "a\rb": ("float",)}
    assert comparable_types(copy(types, ("float",))) == {
        "mixed": ("float",),
        "plain": ("float",),
        "a\rb": ("float",),
    }
    assert comparable_types(copy({"a\rb": ("float", "string")})) == {}


@pytest.mark.parametrize(
    ("length", "step"), [(7 * DAY, DAY), (DAY, HOUR), (HOUR, MINUTE), (2 * SECOND, SECOND), (SECOND, None)]
)
def test_windows_get_smaller_step_by_step(length: int, step: int | None) -> None:
    """A second is small enough."""
    assert next_step(length) == step


TAGS: list[Tags] = [(), (("h", "a"),), (("h", "b"),)]


def window(source: Fingerprints, destination: Fingerprints) -> Window:
    """What the fingerprints of a measurement with the fields v and w say."""
    types: dict[str, tuple[str, ...]] = {"v": ("integer",), "w": ("string",)}
    asked = fingerprints.statements(Look(Location("db", "autogen", "m"), types, Span(0, 1)))
    return weighed(Question(copy(types), Span(0, 1)), asked, source, destination)


def test_missing_and_extra_values_of_a_window_are_told_apart() -> None:
    """What one field or series has too many does not make up for what another lacks."""
    none, a, b = TAGS
    source: Fingerprints = {a: [(0, 5, 0, 50), None, None], b: [(0, 1, 0, 9), None, None]}
    source[none] = [(0, 0, 2, None), None, None]
    found = window(source, {a: [(0, 3, 0, 50), None, None], b: [(0, 4, 0, 9), None, None]})
    assert (found.source, found.destination) == ({"v": 6, "w": 2}, {"v": 7})
    assert (found.lacks, found.exceeds) == ({"v": 2, "w": 2}, {"v": 3})
    assert (found.missing, found.extra, found.lacking, found.values) == (4, 3, ("v", "w"), 8)
    assert found.differs


EQUAL: Fingerprints = {TAGS[1]: [(0, 5, 1, 50), (7, 1, b"x"), (0, 123)]}


@pytest.mark.parametrize(
    "other",
    [
        {TAGS[2]: EQUAL[TAGS[1]]},
        {TAGS[1]: [(0, 5, 1, 51), (7, 1, b"x"), (0, 123)]},
        {TAGS[1]: [(0, 5, 1, 50.0), (7, 1, b"x"), (0, 123)]},
        {TAGS[1]: [(0, 5, 1, 50), (8, 1, b"x"), (0, 123)]},
        {TAGS[1]: [(0, 5, 1, 50), (7, 1, b"y"), (0, 123)]},
        {TAGS[1]: [(0, 5, 1, 50), (7, 1, b"x"), (0, 124)]},
        {},
    ],
    ids=["tag", "sum", "type", "first time", "first value", "times", "nothing"],
)
def test_a_window_differs_by_any_part_of_a_fingerprint(other: Fingerprints) -> None:
    """Also where all counts are equal. What differs has a mark of its own, the same for the same difference."""
    assert not window(EQUAL, dict(EQUAL)).differs
    assert window(EQUAL, other).differs
    assert window(EQUAL, other).mark == window(dict(EQUAL), dict(other)).mark
    assert window(EQUAL, other).mark != window(other, EQUAL).mark


def test_a_window_tells_its_series_and_values() -> None:
    """The series of the side that has more of them."""
    none, a, b = TAGS
    few, many = {"v": 5, "w": 1}, {"v": 15, "w": 3}
    other: Fingerprints = {a: EQUAL[a], b: EQUAL[a], none: EQUAL[a]}
    equal, more, less = window(EQUAL, dict(EQUAL)), window(EQUAL, other), window(other, EQUAL)
    assert [w.series for w in (equal, more, less, window({}, {}))] == [1, 3, 3, 0]
    assert [w.source for w in (equal, more, less)] == [few, few, many]
    assert [w.destination for w in (equal, more, less)] == [few, many, few]


def test_what_a_window_says_of_itself() -> None:
    """Whether it is to be copied, which fields, and how many values lack, differ or are too many."""
    question = Question(copy({}), Span(0, 1))
    bare = Window(question.copy, question.span)
    assert (bare.differs, bare.is_to_copy, bare.lacking, bare.values) == (False, False, (), 0)
    lacks, changed = replace(bare, lacks={"w": 2, "v": 1}), replace(bare, changed={"x": 3, "a": 4})
    assert (lacks.is_to_copy, lacks.lacking, lacks.missing, lacks.overwritten) == (True, ("v", "w"), 3, 0)
    assert (changed.is_to_copy, changed.lacking, changed.missing, changed.overwritten) == (True, ("a", "x"), 0, 7)
    assert replace(lacks, changed={"w": 1, "a": 1}).lacking == ("a", "v", "w")
    assert not replace(bare, exceeds={"v": 5}, mark=b"x").is_to_copy
    assert (replace(bare, exceeds={"v": 5, "w": 2}).extra, replace(bare, mark=b"x").differs) == (7, True)
    assert replace(bare, source={"v": 3, "w": 4}, destination={"v": 6}).values == 7
    assert replace(bare, source={"v": 3}, destination={"v": 6, "w": 1}).values == 7


@pytest.mark.parametrize(
    ("values", "series", "is_small"),
    [(10_000, 1, True), (10_001, 1, False), (10_001, 100, False), (10_100, 101, True), (10_101, 101, False)],
)
def test_a_window_is_small_by_its_values_or_by_those_of_each_series(
    values: int, series: int, is_small: bool
) -> None:
    """Asking for each part of one with very many series takes as long again."""
    assert Window(copy({}), Span(0, 1), {"v": values}, series=series).is_small is is_small


def test_parts_of_a_window_add_up() -> None:
    """Of other series, or other times, in any order; only what differs gives it a mark."""
    question = Question(copy({}), Span(0, 10))
    one = Window(question.copy, Span(0, 5), {"v": 1}, {"v": 2, "w": 1}, {"x": 1}, {"v": 1}, b"1", series=2)
    other = Window(question.copy, Span(5, 10), {"v": 5}, {}, {"x": 2, "v": 5}, {}, b"2", series=3)
    equal = Window(question.copy, Span(5, 10), {"v": 5}, {"v": 5}, series=4)
    found = together(question, [one, other, equal])
    assert (found.copy, found.span, found.series) == (question.copy, Span(0, 10), 9)
    assert (found.source, found.destination) == ({"v": 11}, {"v": 7, "w": 1})
    assert (found.lacks, found.exceeds) == ({"x": 3, "v": 5}, {"v": 1})
    assert found == together(question, [equal, other, one])
    assert found.mark == together(question, [one, other]).mark != together(question, [one, equal]).mark
    assert not together(question, [equal, equal]).differs
    assert together(question, [one]).differs
