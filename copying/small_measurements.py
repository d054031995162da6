"""Measurements with few points are copied together: one request each way for many of them, while all goes well.

A measurement with too many points is copied alone from there on, and after an error all of them are. The ordinary
way (backup.py) then begins where everything had been acknowledged, and knows what to do about each error.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from basics.humanize import counted
from basics.spans import Span
from basics.stopping import Stopped, StopRequest
from basics.times import DAY, END_OF_TIME, MIN_TIME
from copying import narrowing
from copying.listener import RunListener
from copying.news import News
from copying.quarantine import Quarantine
from copying.reading import read_ahead
from copying.segments import Segment
from copying.selection import fits
from copying.task import Copy
from influx import influxql, line_protocol, shard_groups
from influx.errors import InfluxError, WriteRefused
from influx.frames import Frame
from influx.influxql import Location
from influx.line_protocol import Body, Point
from influx.pages import Ask, changed_types
from influx.storable import needs_company
from influx.written import Written
from influx_client import InfluxClient

logger = logging.getLogger(__name__)

MOST = 100
"""How many measurements are copied together."""

CELLS = 1_500_000
"""How many rows times columns one request for all of them brings at most."""

MOST_ROWS = 5000
"""A measurement that has more points than this in a shard group goes alone."""


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """What the group has done for a measurement."""

    written: Written
    since: int
    """Everything older than this is acknowledged."""


@dataclass(slots=True, eq=False)
class _Member:
    """One measurement of a group."""

    copy: Copy
    segments: Sequence[Segment]
    alone_since: int = END_OF_TIME
    """From when on it goes alone."""
    written: Written = field(default_factory=Written)

    def asks(self, window: Span) -> Iterator[Ask]:
        """What to read of it in a window, oldest first."""
        for segment in self.segments if self.alone_since == END_OF_TIME else ():
            span = segment.span.clip(window.start, window.end)
            if span.length > 0:
                types = {name: self.copy.types[name] for name in segment.fields}
                yield Ask(self.copy.source, types, self.copy.tags, span)


@dataclass(frozen=True, slots=True)
class _Batch:
    """The points of a measurement in a window: a numbered body for each shard group of the destination."""

    member: _Member
    parts: tuple[tuple[int, Body], ...]
    frame: Frame
    cuts: Sequence[int]

    def bodies(self, number: int) -> Iterator[Body]:
        """Its points in a shard group, in bodies that can be taken apart."""
        for (at, _), frame in zip(self.parts, self.frame.split(self.cuts), strict=True):
            if at == number:
                yield from line_protocol.encode_frame(frame, self.member.copy.source.measurement).bodies


def may_be_grouped(copy: Copy) -> bool:
    """Whether nothing about a copy needs care that can be seen beforehand."""
    names = (copy.source.measurement, *copy.types, *copy.tags)
    return (
        copy.target.groups is not None
        and not (copy.is_mixed or copy.refusals)
        and all(map(influxql.is_quotable, names))
        and not any(map(needs_company, copy.types))
    )


class GroupCopy:
    """Copies measurements of one retention policy, the segments of each, in a run whose time is `now`.

    `days` is the longest time range of one query. `quarantine` gives that of a measurement.
    """

    def __init__(
        self,
        source: InfluxClient,
        destination: InfluxClient,
        copies: Sequence[tuple[Copy, Sequence[Segment]]],
        *,
        now: int,
        days: float | None,
        stopping: StopRequest,
        quarantine: Callable[[Location], Quarantine],
        listener: RunListener,
        news: News,
    ) -> None:
        self._source = source
        self._destination = destination
        self._members = [_Member(copy, segments) for copy, segments in copies]
        self._target = copies[0][0].target
        columns = max(1 + len(copy.types) + len(copy.tags) for copy, _ in copies)
        self._rows = max(2, min(MOST_ROWS, CELLS // (len(copies) * columns)))
        self._longest = int(days * DAY) if days else END_OF_TIME - MIN_TIME
        self._now = now
        self._stopping = stopping
        self._quarantine = quarantine
        self._went_across = False
        """Whether a window went across shard groups of the source."""
        self._sent: list[tuple[Span, Point]] = []
        self._listener = listener
        self._news = news

    def copy(self) -> dict[Location, GroupProgress]:
        """How far each of them has come. Errors end it: the ordinary way meets them again."""
        acknowledged = self._start
        begun = time.monotonic()
        for member in self._members:
            self._listener.begun(member.copy.source)
        try:
            with closing(read_ahead(self._batches())) as windows:
                for window, batches in windows:
                    self._write(window, batches)
                    acknowledged = window.end
                    self._report(window.end)
            acknowledged = END_OF_TIME
        except Stopped:
            logger.debug("%d measurements together: stopped", len(self._members))
        except InfluxError as error:
            logger.info("%d measurements go on one by one: %s", len(self._members), error)
        acknowledged = min(acknowledged, self._lost_since())
        self._drop_changed()
        points = sum(member.written.points for member in self._members)
        if points:
            seconds = time.monotonic() - begun
            told = counted(points, "point")
            logger.info("%d measurements together: %s in %.1f s", len(self._members), told, seconds)
        for member in self._members:
            told = counted(member.written.points, "point")
            logger.debug("%s: %s together with others", member.copy.source, told)
        return {
            member.copy.source: GroupProgress(member.written, min(acknowledged, member.alone_since))
            for member in self._members
        }

    @property
    def _start(self) -> int:
        """The beginning of all of it."""
        return min(member.segments[0].span.start for member in self._members)

    def _lost_since(self) -> int:
        """The beginning of the first window of which a request is not at the destination after all.

        If nobody can tell, that of all of them: nobody looks for it once more after an error has ended the group.
        """
        if self._stopping.is_set():  # the next run compares
            return self._start
        try:
            lost = self._destination.find_lost(self._sent, self._target.database, self._target.destination.name)
        except InfluxError as error:
            logger.info("%d measurements go on one by one, from their beginning: %s", len(self._members), error)
            return self._start
        if not lost:
            return END_OF_TIME
        logger.warning(
            "the destination lost some of %d measurements again; copying it once more", len(self._members)
        )
        return lost[0].start

    def _drop_changed(self) -> None:
        """Measurements of which a field has got another type meanwhile go alone, from their beginning.

        An answer is exact only inside one shard group, or while each field has one type in all of them. If nobody
        can tell, all of them go.
        """
        if not self._went_across:
            return
        place = self._members[0].copy.source
        try:
            found = self._source.get_field_keys(place.database, place.policy)
        except InfluxError as error:
            logger.info("%d measurements go on one by one: %s", len(self._members), error)
            found = None
        for member in self._members:
            copy = member.copy
            if found is None or changed_types(copy.types, found.get(copy.source.measurement, {})):
                member.alone_since = member.segments[0].span.start

    def _batches(self) -> Iterator[tuple[Span, list[_Batch]]]:
        """What there is of all of them, encoded, window after window, oldest first."""
        start = self._start
        end = max(member.segments[-1].span.end for member in self._members)
        spans = shard_groups.data_spans(self._target.groups or (), self._now, exact=False)
        shortest = length = min(self._target.source.shard_duration, self._longest)
        for range_ in shard_groups.calculate_date_ranges(start, end, spans):
            position = range_.start
            while position < range_.end:
                self._stopping.check()
                window = Span(position, min(range_.end, position + length))
                self._went_across |= not shard_groups.is_inside_one(window, self._target.groups or ())
                asked = [(member, ask) for member in self._members for ask in member.asks(window)]
                found = self._source.read_together([ask for _, ask in asked], self._rows) if asked else []
                too_many = [member for (member, _), frame in zip(asked, found, strict=True) if frame is None]
                if too_many and length > shortest:
                    length = max(shortest, length // 4)
                    continue
                for member in too_many:
                    member.alone_since = window.start
                batches = []
                for (member, _), frame in zip(asked, found, strict=True):
                    # once a measurement has left, nothing later of it must be written here
                    if (
                        frame
                        and member.alone_since == END_OF_TIME
                        and (batch := self._batch(member, frame, window))
                    ):
                        batches.append(batch)
                yield window, batches
                position = window.end
                fullest = max((len(frame) for frame in found if frame), default=0)
                length = min(self._longest, length * min(8, max(1, self._rows // (2 * fullest + 1))))

    def _batch(self, member: _Member, frame: Frame, window: Span) -> _Batch | None:
        """The points as text; nothing where one of them needs care: then the measurement goes alone."""
        duration, groups = self._target.destination.shard_duration, self._target.written_groups or ()
        numbers = shard_groups.shard_numbers(frame.times, duration, groups)
        cuts = shard_groups.changes(numbers)
        bodies = line_protocol.encode_plain(frame, member.copy.source.measurement, cuts, member.copy.there)
        if bodies is None or not fits(member.copy, frame.types):
            member.alone_since = window.start
            return None
        return _Batch(member, tuple(zip(numbers[[0, *cuts]].tolist(), bodies, strict=True)), frame, cuts)

    def _write(self, window: Span, batches: Sequence[_Batch]) -> None:
        """Write what there is, one shard group of the destination after the other."""
        groups: dict[int, list[Body]] = {}
        for batch in batches:
            for number, body in batch.parts:
                groups.setdefault(number, []).append(body)
        place = Location(self._target.database, self._target.destination.name, "")
        for number in sorted(groups):
            try:
                for body in line_protocol.packed(groups[number]):
                    self._stopping.check()
                    for written in narrowing.write_body(self._destination, body, place, None, self._stopping):
                        if written.expired:
                            raise InfluxError("some points are older than the retention policy keeps")
                    if body.last:
                        self._sent.append((window, body.last()))
            except WriteRefused as refusal:
                self._write_apart(batches, number, refusal)
                raise
        for batch in batches:
            bodies = [body for _, body in batch.parts]
            points, size = sum(body.points for body in bodies), sum(len(body.text) for body in bodies)
            source, newest = batch.member.copy.source, batch.frame.newest(self._now)
            written = self._news.new(source, Written(points, batch.frame.values, size))
            batch.member.written += written
            self._listener.wrote(source, written)
            self._news.read(source, newest)
            self._listener.reached(source, int(batch.frame.times[-1]), newest)

    def _report(self, position: int) -> None:
        """How far those have come that are still copied together."""
        for member in self._members:
            if position <= member.alone_since:
                self._listener.reached(member.copy.source, position)

    def _write_apart(self, batches: Sequence[_Batch], number: int, refusal: WriteRefused) -> None:
        """Write each measurement of a refused shard group by itself, and put aside what is refused of it.

        The server may have stored some of its points, with the newest of them. No later run would find the others
        if this one ended before the ordinary way comes to them.
        """
        is_over = False
        for batch in batches:
            place = batch.member.copy.destination
            quarantine = self._quarantine(place)
            for body in batch.bodies(number):
                is_over = is_over or self._stopping.is_set()
                try:
                    if not is_over:
                        parts = narrowing.write_body(self._destination, body, place, quarantine, self._stopping)
                        self._keep(batch, parts)
                        continue
                except InfluxError as error:
                    is_over = error.retryable  # the server is gone
                self._keep(batch, narrowing.put_aside_whole([body], refusal, quarantine))

    def _keep(self, batch: _Batch, parts: Iterable[Written]) -> None:
        """Remember what was put aside; points are counted when the ordinary way writes them."""
        for written in parts:
            batch.member.written += Written(put_aside=written.put_aside)
            self._listener.wrote(batch.member.copy.source, Written(put_aside=written.put_aside))
