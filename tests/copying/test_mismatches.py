"""Which values differ between points of both sides."""

from typing import Any

from copying.mismatches import Mismatch, lacking_parts, mismatches
from influx import frames


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
        Mismatch(2, "f", "different", tags=(("t", "a"),), source=b"0.30000000000000004"),
        Mismatch(3, "s", "missing", tags=(("t", "a"),), source=b'""'),
        Mismatch(4, "i", "missing", tags=(("t", "a"),), source=b"1i"),
        Mismatch(4, "i", "extra", tags=(("t", "c"),)),
        Mismatch(5, "f", "different", source=b"-0.0"),
    ]
    assert equal == [1, 4, 9]
    assert not any(mismatch.is_next for mismatch in found)  # that is for whoever knows what lies between
    assert mismatches(sides[0], sides[0], "m")[0] == []


def test_only_what_the_destination_lacks_is_brought_there() -> None:
    """Of each point the fields that it has not; what it has with another value stays as it is."""
    source: list[list[Any]] = [
        [1, 1.0, 1, b"a"],
        [2, 2.0, 2, b"a"],
        [3, 3.0, 3, b"a"],
        [4, 4.0, 4, b"a"],
        [5, 5.0, 5, b"a"],
        [5, 5.0, None, b"b"],
    ]
    destination: list[list[Any]] = [
        [1, 1.0, 1, b"a"],
        [2, 2.0, None, b"a"],
        [3, 9.0, 3, b"a"],
        [4, 4.0, 4, b"b"],
        [5, 9.0, None, b"a"],
        [6, 6.0, 6, b"a"],
    ]
    sides = [[frames.to_frame(rows, ["f", "i"], ["t"])] for rows in (source, destination)]
    found = [
        (time, tag, sorted(names))
        for part, names in lacking_parts(sides[0], sides[1], "m")
        for time, tag in zip(part.times.tolist(), part.tags[0][1].to_list(), strict=True)
    ]
    assert sorted(found) == [(2, "a", ["i"]), (4, "a", ["f", "i"]), (5, "a", ["i"]), (5, "b", ["f"])]
    assert list(lacking_parts(sides[0], sides[0], "m")) == []


def test_the_same_number_as_another_type_is_different() -> None:
    """1.0 is not 1, and true is not 1."""
    rows: dict[str, Any] = {"float": 1.0, "integer": 1, "boolean": True, "string": b"1"}
    for one, value in rows.items():
        for other, another in rows.items():
            source = frames.to_frame([(7, value)], ["v"], [])
            destination = frames.to_frame([(7, another)], ["v"], [])
            found, _ = mismatches([source], [destination], "m")
            assert [(m.time, m.field, m.kind) for m in found] == [(7, "v", "different")] * (one != other)
