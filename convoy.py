"""Measurements with few points travel together: one request each way for many of them, while all goes well.

Whatever is not plain sailing ends that: a measurement with too many points goes on alone from there, and after
an error all of them do. The ordinary way (backup.py) then begins where everything had been acknowledged, and knows
what to do about each error.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import influxql
import line_protocol
import narrowing
import timeline
from answers import InfluxError, WriteRefused
from frames import Frame
from influx_client import InfluxClient
from influxql import Location
from line_protocol import Body, Point
from pages import Ask, changed_types
from plan import Copy, fits
from quarantine import Quarantine
from reading import read_ahead
from report import Written
from reporter import Reporter
from stopping import Stopped, StopRequest
from timeline import END_OF_TIME, Segment, Span
from values import DAY, MIN_TIME

logger = logging.getLogger(__name__)

MOST = 100
"""How many measurements travel together."""

CELLS = 1_500_000
"""How many rows times columns one request for all of them brings at most."""

MOST_ROWS = 5000
"""A measurement that has more points than this in a shard group goes alone."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the convoy has done for a measurement."""

    written: Written
    since: int
    """Everything older than this is acknowledged."""


@dataclass(slots=True, eq=False)
class _Lane:
    """One measurement of a convoy."""

    copy: Copy
    segments: Sequence[Segment]
    left_at: int = END_OF_TIME
    """From when on it goes alone."""
    written: Written = field(default_factory=Written)

    def asks(self, window: Span) -> Iterator[Ask]:
        """What to read of it in a window, oldest first."""
        for segment in self.segments if self.left_at == END_OF_TIME else ():
            span = segment.span.clip(window.start, window.end)
            if span.length > 0:
                types = {name: self.copy.types[name] for name in segment.fields}
                yield Ask(self.copy.source, types, self.copy.tags, span)


@dataclass(frozen=True, slots=True)
class _Load:
    """The points of a measurement in a window: a numbered body for each shard group of the destination."""

    lane: _Lane
    parts: tuple[tuple[int, Body], ...]
    frame: Frame
    cuts: Sequence[int]

    def bodies(self, number: int) -> Iterator[Body]:
        """Its points in a shard group, in bodies that can be taken apart."""
        for (at, _), frame in zip(self.parts, self.frame.split(self.cuts), strict=True):
            if at == number:
                yield from line_protocol.encode_frame(frame, self.lane.copy.source.measurement).bodies


def may_join(copy: Copy) -> bool:
    """Whether nothing about a copy needs care that can be seen beforehand."""
    names = (copy.source.measurement, *copy.types, *copy.tags)
    return (
        copy.target.groups is not None
        and not (copy.is_mixed or copy.refusals)
        and all(map(influxql.is_quotable, names))
    )


class Convoy:
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
        reporter: Reporter,
    ) -> None:
        self._source = source
        self._destination = destination
        self._lanes = [_Lane(copy, segments) for copy, segments in copies]
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
        self._reporter = reporter

    def travel(self) -> dict[Location, Progress]:
        """How far each of them has come. Errors end it: the ordinary way meets them again."""
        acknowledged = min(lane.segments[0].span.start for lane in self._lanes)
        begun = time.monotonic()
        for lane in self._lanes:
            self._reporter.begun(lane.copy.source)
        try:
            with closing(read_ahead(self._loads())) as windows:
                for window, loads in windows:
                    self._write(window, loads)
                    acknowledged = window.end
                    self._report(window.end)
            acknowledged = self._lost_since()
        except Stopped:
            logger.debug("%d measurements together: stopped", len(self._lanes))
        except InfluxError as error:
            logger.info("%d measurements go on one by one: %s", len(self._lanes), error)
        self._leave_changed()
        points = sum(lane.written.points for lane in self._lanes)
        if points:
            seconds = time.monotonic() - begun
            logger.info("%d measurements together: %s points in %.1f s", len(self._lanes), f"{points:,}", seconds)
        for lane in self._lanes:
            logger.debug("%s: %s points together with others", lane.copy.source, f"{lane.written.points:,}")
        return {lane.copy.source: Progress(lane.written, min(acknowledged, lane.left_at)) for lane in self._lanes}

    def _lost_since(self) -> int:
        """The beginning of the first window of which a request is not at the destination after all."""
        lost = self._destination.find_lost(self._sent, self._target.database, self._target.destination.name)
        if not lost:
            return END_OF_TIME
        logger.warning(
            "the destination lost some of %d measurements again; copying it once more", len(self._lanes)
        )
        return lost[0].start

    def _leave_changed(self) -> None:
        """Measurements of which a field has got another type meanwhile go alone, from their beginning.

        An answer is exact only inside one shard group, or while each field has one type in all of them. If nobody
        can tell, all of them go.
        """
        if not self._went_across:
            return
        place = self._lanes[0].copy.source
        try:
            found = self._source.get_field_keys(place.database, place.policy)
        except InfluxError as error:
            logger.info("%d measurements go on one by one: %s", len(self._lanes), error)
            found = None
        for lane in self._lanes:
            copy = lane.copy
            if found is None or changed_types(copy.types, found.get(copy.source.measurement, {})):
                lane.left_at = lane.segments[0].span.start

    def _loads(self) -> Iterator[tuple[Span, list[_Load]]]:
        """What there is of all of them, encoded, window after window, oldest first."""
        start = min(lane.segments[0].span.start for lane in self._lanes)
        end = max(lane.segments[-1].span.end for lane in self._lanes)
        spans = timeline.data_spans(self._target.groups or (), self._now, exact=False)
        shortest = length = min(self._target.source.shard_duration, self._longest)
        for range_ in timeline.calculate_date_ranges(start, end, spans):
            position = range_.start
            while position < range_.end:
                self._stopping.check()
                window = Span(position, min(range_.end, position + length))
                self._went_across |= not timeline.is_inside_one(window, self._target.groups or ())
                asked = [(lane, ask) for lane in self._lanes for ask in lane.asks(window)]
                found = self._source.read_together([ask for _, ask in asked], self._rows) if asked else []
                crowded = [lane for (lane, _), frame in zip(asked, found, strict=True) if frame is None]
                if crowded and length > shortest:
                    length = max(shortest, length // 4)
                    continue
                for lane in crowded:
                    lane.left_at = window.start
                loads = []
                for (lane, _), frame in zip(asked, found, strict=True):
                    # once a measurement has left, nothing later of it must be written here
                    if frame and lane.left_at == END_OF_TIME and (load := self._load(lane, frame, window)):
                        loads.append(load)
                yield window, loads
                position = window.end
                fullest = max((len(frame) for frame in found if frame), default=0)
                length = min(self._longest, length * min(8, max(1, self._rows // (2 * fullest + 1))))

    def _load(self, lane: _Lane, frame: Frame, window: Span) -> _Load | None:
        """The points as text; nothing where one of them needs care: then the measurement goes alone."""
        duration, groups = self._target.destination.shard_duration, self._target.written_groups or ()
        numbers = timeline.shard_numbers(frame.times, duration, groups)
        cuts = timeline.changes(numbers)
        bodies = line_protocol.encode_plain(frame, lane.copy.source.measurement, cuts)
        if bodies is None or not fits(lane.copy, frame.types):
            lane.left_at = window.start
            return None
        return _Load(lane, tuple(zip(numbers[[0, *cuts]].tolist(), bodies, strict=True)), frame, cuts)

    def _write(self, window: Span, loads: Sequence[_Load]) -> None:
        """Write what there is, one shard group of the destination after the other."""
        groups: dict[int, list[Body]] = {}
        for load in loads:
            for number, body in load.parts:
                groups.setdefault(number, []).append(body)
        place = Location(self._target.database, self._target.destination.name, "")
        for number in sorted(groups):
            try:
                for body in line_protocol.packed(groups[number]):
                    self._stopping.check()
                    for written in self._destination.write_body(body, place):
                        if written.expired:
                            raise InfluxError("some points are older than the retention policy keeps")
                    if body.last:
                        self._sent.append((window, body.last()))
            except WriteRefused as refusal:
                self._write_apart(loads, number, refusal)
                raise
        for load in loads:
            bodies = [body for _, body in load.parts]
            points, size = sum(body.points for body in bodies), sum(len(body.text) for body in bodies)
            written = Written(points, load.frame.values, size)
            load.lane.written += written
            self._reporter.wrote(load.lane.copy.source, written)
            self._reporter.reached(load.lane.copy.source, int(load.frame.times[-1]), load.frame.newest(self._now))

    def _report(self, position: int) -> None:
        """How far those have come that still travel."""
        for lane in self._lanes:
            if position <= lane.left_at:
                self._reporter.reached(lane.copy.source, position)

    def _write_apart(self, loads: Sequence[_Load], number: int, refusal: WriteRefused) -> None:
        """Write each measurement of a refused shard group by itself, and put aside what is refused of it.

        The server may have stored some of its points, with the newest of them. No later run would find the others
        if this one ended before the ordinary way comes to them.
        """
        is_over = False
        for load in loads:
            place = load.lane.copy.destination
            quarantine = self._quarantine(place)
            for body in load.bodies(number):
                is_over = is_over or self._stopping.is_set()
                try:
                    if not is_over:
                        self._keep(load, self._destination.write_body(body, place, quarantine))
                        continue
                except InfluxError as error:
                    is_over = error.retryable  # the server is gone
                self._keep(load, narrowing.put_aside_whole([body], refusal, quarantine))

    def _keep(self, load: _Load, parts: Iterable[Written]) -> None:
        """Remember what was put aside; points are counted when the ordinary way writes them."""
        for written in parts:
            load.lane.written += Written(put_aside=written.put_aside)
            self._reporter.wrote(load.lane.copy.source, Written(put_aside=written.put_aside))
