"""Which fields are read together in which range, when each resumes at a time of its own. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from basics.spans import Span
from basics.times import HOUR
from influx.storable import needs_company


@dataclass(frozen=True, slots=True)
class Segment:
    """Fields that are read together in one range."""

    fields: tuple[str, ...]
    span: Span


def accompanied(segment: Segment, fields: Iterable[str]) -> Segment:
    """The segment with all `fields` of its measurement, where one of its own cannot be written without another.

    Values of others are written again then, harmlessly.
    """
    if not any(map(needs_company, segment.fields)):
        return segment
    return Segment(tuple(sorted({*segment.fields, *fields})), segment.span)


def cut(segments: Iterable[Segment], time: int) -> Iterator[Segment]:
    """The segments, of which none goes across this time."""
    for segment in segments:
        for span in (segment.span.clip(segment.span.start, time), segment.span.clip(time, segment.span.end)):
            if span.length > 0:
                yield Segment(segment.fields, span)


SAME_PLACE = HOUR
"""Fields that resume within this of each other are read together; the overlap is written again, harmlessly."""


def plan_segments(starts: Mapping[str, int], end: int) -> tuple[Segment, ...]:
    """What to read when each field has its own start: oldest first, each range with every field due in it.

    Reading oldest first keeps each field's newest point in the destination a true watermark, and joining the
    fields as their starts are reached reads no value twice (but for those less than SAME_PLACE apart).
    """
    order = sorted((start, field) for field, start in starts.items() if start < end)
    groups: list[tuple[int, list[str]]] = []
    for start, field in order:
        if groups and start - groups[-1][0] <= SAME_PLACE:
            groups[-1][1].append(field)
        else:
            groups.append((start, [field]))
    segments, due = [], list[str]()
    for index, (start, fields) in enumerate(groups):
        due.extend(fields)
        stop = groups[index + 1][0] if index + 1 < len(groups) else end
        segments.append(Segment(tuple(sorted(due)), Span(start, stop)))
    return tuple(segments)
