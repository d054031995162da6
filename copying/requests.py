"""What to write of the pages that were read: requests, in the order in which they are begun."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from basics.spans import Span, describe
from copying import order
from copying.selection import allowed_types, fits
from copying.task import Copy
from copying.unfinished import Marks
from influx import line_protocol, shard_groups
from influx.errors import InfluxError
from influx.frames import Frame
from influx.influxql import Location
from influx.line_protocol import Body, Encoded
from influx.pages import Page, blocks
from influx.written import Written
from influx_client import InfluxClient
from settings.keys import Job


@dataclass(frozen=True, slots=True)
class Request:
    """Points to write, of a page with the range `span`.

    Requests of one `stretch` may overlap; one that has none goes alone.
    """

    span: Span
    body: Body
    stretch: int | None


@dataclass(frozen=True, slots=True)
class Reached:
    """A mark among the requests: all points before `position` came before it."""

    position: int
    newest: int | None = None
    """The newest of the points before it, but for those after now."""


Item = Request | Written | Reached
"""What to write, what must not be written, or how far all that comes."""


class Requests:
    """Makes the requests of one job, in a run whose time is `now` (nanoseconds)."""

    def __init__(self, job: Job, destination: InfluxClient, now: int, marks: Marks) -> None:
        self._job = job
        self._marks = marks
        self._destination = destination
        self._now = now
        self._types_there: dict[tuple[Location, str, Span], str | None] = {}

    def of(self, copy: Copy, found: Iterable[Page]) -> Iterator[Item]:
        """What to write of each page."""
        for page in found:
            for frame in page.frames:
                try:
                    for item in self.of_frame(copy, frame, page.floor):
                        yield Request(page.span, *item) if isinstance(item, tuple) else item
                except InfluxError as error:
                    raise error.during(describe(page.span)) from error
                yield self._reached(frame, page.floor)
            yield Reached(page.span.end if page.floor is None else page.floor)

    def _reached(self, frame: Frame, floor: int | None) -> Reached:
        return Reached(int(frame.times[-1]) if floor is None else floor, frame.newest(self._now))

    def of_frame(
        self, copy: Copy, frame: Frame, floor: int | None = None
    ) -> Iterator[tuple[Body, int | None] | Written | Reached]:
        """The frame without unwanted types, of which one block is encoded at a time: bodies with their stretch.

        `floor` is that of its page.
        """
        allowed = allowed_types(copy.rules)
        if self._job.source.group_by is not None:  # the rules chose the fields; means of all numbers are floats
            allowed |= {"float"}
        if not allowed.issuperset(frame.types.values()):
            frame = frame.only_types(allowed)
        may_conflict = not fits(copy, frame.types)
        is_free = not may_conflict and self.is_free(copy)
        cuts = order.cuts(frame, copy.target, self._now)
        ordered = frame.by_series(cuts) if is_free else frame
        for block, inside in _blocks(ordered, cuts):
            for encoded in self._apart(copy, block, inside) if may_conflict else [_encoded(copy, block, inside)]:
                yield Written(refusals=encoded.refusals)
                for body in encoded.bodies:
                    yield body, self._stretch(copy, body) if is_free else None
            if ordered is frame:
                yield self._reached(block, floor)

    def is_free(self, copy: Copy) -> bool:
        """Whether its points may be written in any order, as far as their types are no hindrance."""
        return order.is_free(copy, self._job) and self._marks.holds(copy)

    def _stretch(self, copy: Copy, body: Body) -> int | None:
        return None if body.frame is None else order.stretch(body.frame.times, copy.target, self._now)

    def _apart(self, copy: Copy, block: Frame, cuts: Sequence[int]) -> Iterator[Encoded]:
        """The rows between the cuts. Fields that the destination holds with another type come last and alone.

        The server refuses all their values, and must not refuse others with them.
        """
        for part in block.split(cuts):
            conflicts = self._conflicts(copy, part)
            for names in ((part.types.keys() - conflicts), *({name} for name in sorted(conflicts))):
                selected = part.with_fields(names) if conflicts else part
                if len(selected):
                    yield _encoded(copy, selected)

    def _conflicts(self, copy: Copy, part: Frame) -> set[str]:
        """The fields that the destination holds with another type, in the shard group of the part."""
        conflicts: set[str] = set()
        moment = int(part.times[0])
        for name, ours in part.types.items():
            if not copy.is_mixed and all(theirs == ours for theirs in copy.written_types.get(name, ())):
                continue
            span = shard_groups.group_around(
                moment, copy.target.destination.shard_duration, copy.target.written_groups or ()
            )
            key = (copy.destination, name, span)
            if key not in self._types_there:
                self._types_there[key] = self._destination.get_field_type(
                    copy.destination, name, span, copy.written_types.get(name, ())
                )
            there = self._types_there[key] = self._types_there[key] or ours
            if there != ours:
                conflicts.add(name)
        return conflicts


def _blocks(frame: Frame, cuts: Sequence[int]) -> Iterator[tuple[Frame, list[int]]]:
    """The rows in blocks, each with the cuts inside it."""
    begin = 0
    for block in blocks(frame):
        yield block, [cut - begin for cut in cuts if begin < cut < begin + len(block)]
        begin += len(block)


def _encoded(copy: Copy, frame: Frame, cuts: Sequence[int] = ()) -> Encoded:
    return line_protocol.encode_frame(frame, copy.destination.measurement, cuts)
