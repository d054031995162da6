"""Mismatches: which values of the same stretch of time are not the same on both sides. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from influx import line_protocol
from influx.frames import Frame
from influx.influxql import Tags
from influx.line_protocol import Value


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A value that is not the same on both sides: `missing` at the destination, `extra` there, or `different`."""

    time: int
    field: str
    kind: str
    is_next: bool = False
    """Whether no equal point lies between the mismatch before and this one."""
    tags: Tags = ()
    source: bytes = b""
    """The value that the source has, in line protocol."""


def mismatches(
    source: Sequence[Frame], destination: Sequence[Frame], measurement: str
) -> tuple[list[Mismatch], list[int]]:
    """The values that differ between two sets of points, and the times of equal points, both in order.

    Points are equal when their lines are.
    """
    sides = [
        [(part, line_protocol.frame_lines(part, measurement)) for part in side] for side in (source, destination)
    ]
    lines = [frozenset(line for _, found in side for line in found) for side in sides]
    equal = lines[0] & lines[1]
    times = sorted({int(line.rsplit(b" ", 1)[1]) for line in equal})
    there, here = (_unequal_points(side, equal, measurement) for side in sides)
    found = [
        mismatch
        for key in sorted(there.keys() | here.keys())
        for mismatch in _unequal_values(*key, there.get(key, {}), here.get(key, {}))
    ]
    return found, times


def lacking_parts(
    source: Sequence[Frame], destination: Sequence[Frame], measurement: str
) -> Iterator[tuple[Frame, frozenset[str]]]:
    """The points of the source of which the destination lacks fields: frames, each with the fields it lacks."""
    sides = [
        [(part, line_protocol.frame_lines(part, measurement)) for part in side] for side in (source, destination)
    ]
    equal = frozenset(line for _, found in sides[0] for line in found) & frozenset(
        line for _, found in sides[1] for line in found
    )
    here = _unequal_points(sides[1], equal, measurement)
    for part, lines in sides[0]:
        odd = [i for i, line in enumerate(lines) if line not in equal]
        lacking: dict[frozenset[str], list[int]] = {}
        for index, point in zip(odd, line_protocol.frame_points(part.gather(odd), measurement), strict=True):
            theirs = here.get((point.time, tuple(sorted(point.tags.items()))), {})
            lacking.setdefault(frozenset(point.fields.keys() - theirs.keys()), []).append(index)
        yield from ((part.gather(rows), names) for names, rows in lacking.items() if names)


def _unequal_points(
    side: Iterable[tuple[Frame, Sequence[bytes]]], equal: frozenset[bytes], measurement: str
) -> dict[tuple[int, Tags], Mapping[str, Value]]:
    """Time and tags -> fields, of the points that the other side does not have like this."""
    found = {}
    for part, lines in side:
        if equal.issuperset(lines):
            continue
        odd = [i for i, line in enumerate(lines) if line not in equal]
        for point in line_protocol.frame_points(part.gather(odd), measurement):
            found[point.time, tuple(sorted(point.tags.items()))] = point.fields
    return found


def _unequal_values(
    time: int, tags: Tags, there: Mapping[str, Value], here: Mapping[str, Value]
) -> Iterator[Mismatch]:
    for name in sorted(there.keys() | here.keys()):
        ours, theirs = (line_protocol.encode_value(side[name]) if name in side else b"" for side in (there, here))
        if ours != theirs:
            kind = "different" if ours and theirs else "missing" if ours else "extra"
            yield Mismatch(time, name, kind, tags=tags, source=ours)
