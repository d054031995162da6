"""Writer: what was read is written, looked for, and looked for once more when all of it is there."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from threading import BoundedSemaphore

from basics.spans import Span, describe
from basics.stopping import Stopped, StopRequest
from copying import narrowing
from copying.flight import EXTRA, Flight, Flown, Landed
from copying.listener import RunListener
from copying.news import News
from copying.quarantine import Quarantine
from copying.reading import Reader, read_ahead
from copying.requests import Request, Requests
from copying.segments import Segment, accompanied
from copying.task import Copy
from influx.errors import InfluxError, NotKept
from influx.frames import Frame
from influx.influxql import Location
from influx.line_protocol import Point
from influx.written import Written
from influx_client import InfluxClient

logger = logging.getLogger(__name__)


class Writer:
    """Copies ranges of one job. `quarantine` gives that of a measurement. Safe to use from several threads."""

    def __init__(
        self,
        destination: InfluxClient,
        reader: Reader,
        requests: Requests,
        *,
        stopping: StopRequest,
        quarantine: Callable[[Location], Quarantine],
        listener: RunListener,
        news: News,
    ) -> None:
        self._destination = destination
        self._reader = reader
        self._requests = requests
        self._stopping = stopping
        self._quarantine = quarantine
        self._listener = listener
        self._news = news
        self._extra = BoundedSemaphore(EXTRA)

    def transfer(self, copy: Copy, segment: Segment) -> Iterator[Written]:
        """Copy a range, page by page, telling what was acknowledged and seen.

        Refused lines are put aside. When all is written, a point of each request is looked for once more: InfluxDB
        can lose a request even after it was seen.
        """
        segment = accompanied(segment, copy.types)
        place, sent = copy.destination, list[tuple[Span, Point]]()
        yield from self._transfer(copy, segment, sent)
        for span in self._destination.find_lost(sent, place.database, place.policy):
            logger.warning("%s: the destination lost %s again; copying it once more", copy.source, describe(span))
            again = list[tuple[Span, Point]]()
            yield from self._transfer(copy, Segment(segment.fields, span), again)
            if self._destination.find_lost(again, place.database, place.policy):
                raise NotKept(f"{describe(span)}: the destination loses what it acknowledges; look at its log")

    def write(self, copy: Copy, frames: Iterable[Frame]) -> Iterator[Written]:
        """Write points that were read elsewhere, one request at a time, telling what was acknowledged."""
        kept = self._quarantine(copy.destination)
        for item in (item for frame in frames for item in self._requests.of_frame(copy, frame)):
            if isinstance(item, tuple):
                self._stopping.check()
                yield from narrowing.write_body(self._destination, item[0], copy.destination, kept, self._stopping)
            elif isinstance(item, Written):
                yield item

    def _transfer(self, copy: Copy, segment: Segment, sent: list[tuple[Span, Point]]) -> Iterator[Written]:
        """The same without the second look; `sent` gets a point of each request, and its page's range.

        While requests are written, the next one is encoded and the page after it is read. After the first problem
        nothing is begun any more, and it is raised when all that is on its way is done.
        """
        kept = self._quarantine(copy.destination)

        def write(request: Request) -> Iterable[Written]:
            return narrowing.write_body(self._destination, request.body, copy.destination, kept, self._stopping)

        with (  # closed at once after an error, too: nothing is read or encoded on
            closing(read_ahead(self._reader.pages(copy, segment, is_free=self._requests.is_free(copy)))) as pages,
            closing(read_ahead(self._requests.of(copy, pages))) as requests,
            Flight(write, self._extra) as flight,
        ):
            problem: Stopped | InfluxError | None = None
            try:
                for item in requests:
                    for landed in flight.before(item):
                        yield from self._landed(copy, landed, sent)
                    if isinstance(item, Request):
                        self._stopping.check()
                    flight.begin(item)
            except (Stopped, InfluxError) as error:
                problem = error
            for landed in flight.rest():
                try:
                    yield from self._landed(copy, landed, sent)
                except InfluxError as error:
                    problem = problem or error
            if problem:
                raise problem

    def _landed(self, copy: Copy, landed: Landed, sent: list[tuple[Span, Point]]) -> Iterator[Written]:
        """Tell what became of it. Raises the error of a request."""
        if isinstance(landed, Flown):
            yield from self._counted(copy, landed, sent)
        elif isinstance(landed, Written):
            if landed.refusals:
                self._listener.wrote(copy.source, landed)
            yield landed
        else:
            self._news.read(copy.source, landed.newest)
            self._listener.reached(copy.source, landed.position, landed.newest)

    def _counted(self, copy: Copy, flown: Flown, sent: list[tuple[Span, Point]]) -> Iterator[Written]:
        acknowledged, span, body = 0, flown.request.span, flown.request.body
        for written in flown.parts:
            acknowledged += written.values
            new = self._news.new(copy.source, written)
            self._listener.wrote(copy.source, new)
            yield new
        if flown.error:
            raise flown.error.during(describe(span)) from flown.error
        if acknowledged == body.values and body.last:  # nothing of it was refused
            sent.append((span, body.last()))
