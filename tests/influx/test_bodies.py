"""Request bodies: which lines go together, and what a body says of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from influx import frames, line_protocol
from influx.frames import Frame
from influx.line_protocol import Body, Point

LINE = 8
"""Bytes of `m f=1i 1`, without its newline."""


def rows(count: int, first: int = 1) -> Frame:
    """So many rows whose lines have the same length."""
    assert first + count <= 10
    return frames.to_frame([(time, time) for time in range(first, first + count)], ["f"], [])


def points(count: int) -> list[Point]:
    """The same one by one."""
    return [Point("m", {}, {"f": time, **({"g": 1} if time == 1 else {})}, time) for time in range(count)]


def told(bodies: Sequence[Body]) -> list[tuple[int, int]]:
    """How many points and values each has, by its own words."""
    return [(body.points, body.values) for body in bodies]


def newest(body: Body) -> int:
    """The time of the point that it is looked for by."""
    assert body.last is not None
    return body.last().time


def test_single_points_are_counted_in_each_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anew in each; one that needs a request of its own divides those around it."""
    risky = Point("m", {"k": "a\\ b"}, {"f": 1, "g": 2}, 5)
    bodies = list(line_protocol.encode_points([*points(3), risky, *points(2)]))
    assert told(bodies) == [(3, 4), (1, 2), (2, 3)]
    assert [newest(body) for body in bodies] == [2, 5, 1]
    assert [body.text.count(b"\n") for body in bodies] == [2, 0, 1]
    alone = list(line_protocol.encode_points([risky, *points(1)]))
    assert (told(alone), [newest(body) for body in alone]) == ([(1, 2), (1, 1)], [5, 0])
    for limit, expected in ((2 * LINE + 1, [2, 2]), (2 * LINE, [1, 1, 1, 1]), (4 * LINE + 3, [4])):
        monkeypatch.setattr(line_protocol, "BODY_BYTES", limit)
        same = list(line_protocol.encode_points(Point("m", {}, {"f": 1}, time) for time in range(4)))
        assert [body.points for body in same] == [body.values for body in same] == expected
        assert all(len(body.text) <= max(limit, LINE) for body in same)


def test_a_body_without_a_frame_is_one_text() -> None:
    """Where its lines end is not known any longer."""
    (body,) = line_protocol.encode_points(points(3))
    assert body.lines() == [body.text]
    assert body.fields == frozenset()
    (single,) = line_protocol.encode_frame(rows(1), "m").bodies
    assert single.lines() == [b"m f=1i 1"]
    assert line_protocol.frame_lines(rows(2), "m") == [b"m f=1i 1", b"m f=2i 2"]
    assert line_protocol.frame_lines(rows(0), "m") == []


def test_no_body_goes_across_a_cut() -> None:
    """Wherever the cuts are, and whichever rows have to travel alone."""
    found = list(line_protocol.encode_frame(rows(6), "m", [4, 2, 2, 0, 6]).bodies)
    assert told(found) == [(2, 2)] * 3
    assert [newest(body) for body in found] == [2, 4, 6]
    tagged = frames.to_frame([(1, 1, b"x"), (2, 2, b"a\\ b"), (3, 3, b"bad\\"), (4, 4, b"")], ["f"], ["k"])
    assert [body.text for body in line_protocol.encode_frame(tagged, "m", [1]).bodies] == [
        b"m,k=x f=1i 1", b"m,k=a\\\\ b f=2i 2", b"m f=4i 4",
    ]  # fmt: skip


def test_a_long_piece_becomes_the_fewest_parts_of_about_the_same_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not several full ones and a short rest."""
    lines = frames.to_frame([(time, 1) for time in range(100, 125)], ["f"], [])
    monkeypatch.setattr(line_protocol, "BODY_BYTES", 10 * 11 - 1)  # ten lines with the newlines between them
    found = list(line_protocol.encode_frame(lines, "m").bodies)
    assert [body.points for body in found] == [9, 9, 7]
    assert [body.points for body in line_protocol.encode_frame(lines.slice(0, 20), "m").bodies] == [10, 10]
    assert [body.points for body in line_protocol.encode_frame(lines, "m", [5]).bodies] == [5, 10, 10]


def test_a_body_is_divided_in_its_middle() -> None:
    """The older half is not the larger one."""
    (body,) = line_protocol.encode_frame(rows(5), "m").bodies
    assert told(line_protocol.halves(body)) == [(2, 2), (3, 3)]
    (single,) = line_protocol.encode_frame(rows(1), "m").bodies
    assert line_protocol.halves(single) == ()


@pytest.mark.parametrize(
    ("newer_than", "are_new"), [(None, [True] * 3), (0, [True] * 3), (2, [False, True, True]), (6, [False] * 3)]
)
def test_plain_rows_are_a_text_between_each_two_cuts(newer_than: int | None, are_new: list[bool]) -> None:
    """Each knows its last point, and whether that is surely new at the destination."""
    found = line_protocol.encode_plain(rows(6), "m", [2, 3], newer_than)
    assert found is not None
    assert [body.text for body in found] == [
        b"m f=1i 1\nm f=2i 2", b"m f=3i 3", b"m f=4i 4\nm f=5i 5\nm f=6i 6",
    ]  # fmt: skip
    assert [body.points for body in found] == [2, 1, 3]
    assert [newest(body) for body in found] == [2, 3, 6]
    assert [body.is_new for body in found] == are_new
    assert found[1] == Body(b"m f=3i 3", 1, 0)  # what it was made of makes no difference


@pytest.mark.parametrize("tag", [b"bad\\", b"a\\ b"])
def test_rows_that_need_care_are_not_plain(tag: bytes) -> None:
    """One that must not be sent, or must be sent alone, makes all of them go another way."""
    assert line_protocol.encode_plain(frames.to_frame([(1, 1, b"x"), (2, 2, tag)], ["f"], ["k"]), "m", []) is None
    stray: list[list[Any]] = [[1, 1, b"\xff"], [2, 2, b""], [3, 3, None]]
    (body,) = line_protocol.encode_plain(frames.to_frame(stray, ["f"], ["k"]), "m", []) or []
    assert body.text == b"m,k=\xff f=1i 1\nm f=2i 2\nm f=3i 3"


@pytest.mark.parametrize(
    ("limit", "expected"), [(26, [3, 3]), (25, [2, 2, 2]), (1, [1] * 6), (53, [6]), (52, [5, 1])]
)
def test_texts_travel_together_as_long_as_they_may(
    limit: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several measurements; nothing is lost, and the order stays."""
    monkeypatch.setattr(line_protocol, "BODY_BYTES", limit)
    single = line_protocol.encode_plain(rows(6), "m", range(1, 6)) or []
    found = list(line_protocol.packed(single))
    assert [body.points for body in found] == expected
    assert b"\n".join(body.text for body in found) == b"\n".join(body.text for body in single)
    assert all(len(body.text) <= max(limit, LINE) for body in found)
    assert {body.values for body in found} == {0}


def test_texts_that_travel_together_are_looked_for_by_a_point_that_is_new() -> None:
    """Of those the last: an older one of the same name could answer for another. Else by the last of all."""
    one, two, three = (line_protocol.encode_plain(rows(1, first), "m", [], 5) or [] for first in (6, 7, 1))
    (body,) = line_protocol.packed([*one, *two, *three])
    assert newest(body) == 7
    (old,) = line_protocol.packed([*three, *(line_protocol.encode_plain(rows(1, 2), "m", [], 5) or [])])
    assert newest(old) == 2
    assert (body.points, len(body.text)) == (3, 3 * LINE + 2)


def test_counts_of_texts_that_travel_together_add_up() -> None:
    """Whatever they say."""
    (body,) = line_protocol.packed([Body(b"a", 2, 5), Body(b"b", 3, 7)])
    assert (body.text, body.points, body.values) == (b"a\nb", 5, 12)
