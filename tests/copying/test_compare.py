"""Both sides compared: what counting can tell apart, and which values differ."""

from typing import Any

import pytest

from basics.spans import Span
from basics.times import DAY, HOUR, MINUTE, SECOND
from config import FieldRules
from copying.compare import Mismatch, Question, comparable_types, mismatches, next_step, weighed
from copying.task import Copy, Target
from influx import frames
from influx.influxql import Location, Policy

POLICY = Policy("autogen", 0, DAY, is_default=True)
TARGET = Target("db", POLICY, POLICY, (), (), {})


def copy(types: dict[str, tuple[str, ...]], wanted: tuple[str, ...] = ()) -> Copy:
    """A measurement with these fields, of which some types are wanted."""
    rules = FieldRules.model_validate({"types": list(wanted)})
    return Copy(Location("db", "autogen", "m"), TARGET, types, (), rules)


def test_numbers_strings_and_booleans_are_counted_apart() -> None:
    """One type stands for each kind."""
    types = {"n": ("integer", "float"), "s": ("string",), "all": ("float", "string", "boolean")}
    assert comparable_types(copy(types)) == {
        "n": ("float",),
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


def test_missing_and_extra_values_of_a_window_are_told_apart() -> None:
    """What one field or series has too many does not make up for what another lacks."""
    a, b, c = ("v", (("h", "a"),)), ("v", (("h", "b"),)), ("w", ())
    window = weighed(Question(copy({}), Span(0, 1)), Span(0, 1), {a: 5, b: 1, c: 2}, {a: 3, b: 4})
    assert (window.source, window.destination) == ({"v": 6, "w": 2}, {"v": 7})
    assert (window.lacks, window.exceeds) == ({"v": 2, "w": 2}, {"v": 3})
    assert (window.missing, window.extra, window.lacking, window.values) == (4, 3, ("v", "w"), 8)


def test_values_are_equal_only_with_type_tags_time_and_every_bit() -> None:
    """Every way in which one value can differ, between equal neighbours."""
    source: list[list[Any]] = [
        [1, 1.0, 1, b"x", b"a"],
        [2, 0.1 + 0.2, None, b"x", b"a"],
        [3, 1.0, 1, b"", b"a"],
        [4, None, 1, None, b"a"],
        [4, None, 1, None, b"b"],
        [5, -0.0, 1, b"x", None],
        [9, 1.0, 1, b"x", b"a"],
    ]
    destination: list[list[Any]] = [
        [1, 1.0, 1, b"x", b"a"],
        [2, 0.3, None, b"x", b"a"],
        [3, 1.0, 1, None, b"a"],
        [4, None, 1, None, b"b"],
        [4, None, 1, None, b"c"],
        [5, 0.0, 1, b"x", None],
        [9, 1.0, 1, b"x", b"a"],
    ]
    sides = [[frames.to_frame(rows, ["f", "i", "s"], ["t"])] for rows in (source, destination)]
    found, equal = mismatches(sides[0], sides[1], "m")
    assert found == [
        Mismatch(2, "f", "different"),
        Mismatch(3, "s", "missing"),
        Mismatch(4, "i", "missing"),
        Mismatch(4, "i", "extra"),
        Mismatch(5, "f", "different"),
    ]
    assert equal == [1, 4, 9]
    assert mismatches(sides[0], sides[0], "m")[0] == []


def test_the_same_number_as_another_type_is_different() -> None:
    """1.0 is not 1, and true is not 1."""
    rows: dict[str, Any] = {"float": 1.0, "integer": 1, "boolean": True, "string": b"1"}
    for one, value in rows.items():
        for other, another in rows.items():
            source = frames.to_frame([(7, value)], ["v"], [])
            destination = frames.to_frame([(7, another)], ["v"], [])
            found, _ = mismatches([source], [destination], "m")
            assert found == ([] if one == other else [Mismatch(7, "v", "different")])
