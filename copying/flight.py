"""Requests of one measurement that overlap, and what became of each, in the order in which they were begun.

Those of one stretch may overlap; the next stretch does not begin before all of this one are done.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from types import TracebackType

from copying.requests import Item, Reached, Request
from influx.errors import InfluxError
from influx.written import Written

MOST = 3
"""How many requests of one measurement are on their way at most."""

EXTRA = 2
"""How many more requests than measurements are on their way in all: that bounds memory, and what a server gets."""

SLOW = 3.0
"""After a request that took so many seconds they go one at a time: servers give up a write after ten."""


@dataclass(slots=True, eq=False)
class Flown:
    """A request, and what came of it: what was acknowledged before the error, if there was one."""

    request: Request
    parts: list[Written] = field(default_factory=list)
    error: InfluxError | None = None
    seconds: float = 0.0


Landed = Flown | Written | Reached
"""What became of a request, or what stood between requests."""


class Flight:
    """Used by one thread; `write` is called in others, and tells of each acknowledged part of a request.

    `extra` are the places that all measurements share, for requests that are not the only one of theirs.
    `has_failed` says that a request has met an error, whether or not that was told yet.
    """

    def __init__(self, write: Callable[[Request], Iterable[Written]], extra: BoundedSemaphore) -> None:
        self._write = write
        self._extra = extra
        self._pool = ThreadPoolExecutor(MOST)
        self._queue: deque[tuple[Future[None], Flown] | Written | Reached] = deque()
        self._requests = 0
        self._stretch: int | None = None
        self._most = MOST
        self.has_failed = False

    def __enter__(self) -> "Flight":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def before(self, item: Item) -> Iterator[Landed]:
        """What has to be done with before this item may begin. After an error nothing is left to begin with."""
        while self._queue and (self.has_failed or self._is_done() or not self._has_room(item)):
            yield self._land()

    def begin(self, item: Item) -> None:
        """Send a request on its way, or let a mark stand behind those that are."""
        if not isinstance(item, Request):
            self._queue.append(item)
            return
        flown = Flown(item)
        future = self._pool.submit(self._fly, flown, takes_extra=self._requests > 0)
        self._queue.append((future, flown))
        self._stretch = item.stretch
        self._requests += 1

    def rest(self) -> Iterator[Landed]:
        """All that is still on its way, to its end."""
        while self._queue:
            yield self._land()

    def _is_done(self) -> bool:
        first = self._queue[0]
        return not isinstance(first, tuple) or first[0].done()

    def _has_room(self, item: Item) -> bool:
        if not isinstance(item, Request) or not self._requests:
            return True
        may_join = item.stretch is not None and item.stretch == self._stretch and self._requests < self._most
        return may_join and self._extra.acquire(blocking=False)

    def _land(self) -> Landed:
        """The oldest one, when it is done."""
        first = self._queue.popleft()
        if not isinstance(first, tuple):
            return first
        future, flown = first
        future.result()
        self._requests -= 1
        self._most = 1 if flown.seconds > SLOW else MOST
        return flown

    def _fly(self, flown: Flown, *, takes_extra: bool) -> None:
        begun = time.monotonic()
        try:
            for part in self._write(flown.request):
                flown.parts.append(part)
        except InfluxError as error:
            flown.error = error
            self.has_failed = True
        finally:
            flown.seconds = time.monotonic() - begun
            if takes_extra:
                self._extra.release()
