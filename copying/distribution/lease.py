"""Leases: one writer for each measurement. And why two of them leave no hole, should there be two all the same.

A worker has a lease for each measurement of its unit: a semaphore of Dask's scheduler for one. It is renewed
every few seconds. Before each attempt of a request the worker looks whether what is left of it outlasts that
attempt; where it does not, the request is not made, and the unit ends. So whoever gets the lease next begins
when all requests of the one before have been answered or given up. (Retries are attempts of their own, and need
not fit.) A semaphore, not a lock: the lock of an owner that died is never freed.

What this cannot rule out: a worker that is paused between that look and its request, a request that lies in the
network for longer than its time limit, and a scheduler that is lost, and with it what it knew of leases. Then an
old writer meets a new one. Each of them leaves a prefix without holes:

- Both have the same plan, or the new one has asked the destination since. It begins where all older shard groups
  were whole, or before that, and goes on group by group (copying/order.py) as if it were alone: it reads from
  the source all that there is, and waits until each group is acknowledged and seen.
- What comes late of the old writer was begun after everything before it in its own order was there: the next
  request where points go strictly by time, some of the same shard group where they go in any order. So it
  lengthens the prefix that the old one has left by what follows in it, or, in the newest group, adds to what the
  next run compares.
- Of two such prefixes the longer one holds the other. Points are the same in both: they come from the same
  source, and to write them again changes nothing.

Only a value that was overwritten at the source between the two readings can come late, and be the older one. It
is found as late data is: the servers' counters show that somebody has written there, and the next run compares.
The marks for points in any order are on the daemon's disk, and a run takes one away when all of its units have
ended well.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from basics.stopping import Stopped, StopRequest

logger = logging.getLogger(__name__)

RENEW = 3.0
"""Seconds between two renewals; meanwhile it waits for the daemon's wish to stop."""

PATIENCE = 1.0
"""Seconds that a lease is waited for at a time."""

TICK = 0.1
"""Seconds between two questions that were answered at once."""


def uninterrupted() -> float:
    """Seconds by a clock that goes on while the process is paused, and while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseLost(Exception):
    """Nobody knows any more that this is the only writer, or nobody waits for what it writes."""


class Board(Protocol):
    """What a worker asks its scheduler. Everything raises OSError when it does not answer."""

    def take(self, name: str, patience: float) -> bool:
        """Take or renew the lease of this name, waiting so many seconds while somebody else has it."""

    def renew(self, names: Sequence[str]) -> bool:
        """Renew those leases; whether none of them is another one's."""

    def give_back(self, name: str) -> None:
        """Let another one have it."""

    def is_over(self, patience: float) -> bool:
        """Whether the daemon has asked to stop; waits so many seconds for that."""

    def why_unwanted(self) -> str:
        """Why nobody waits for the unit any more; empty while somebody does."""


class Leases(StopRequest):
    """Those of a unit, and the request to stop its work: by the daemon, or because a lease is lost.

    `seconds` is how long a lease lasts, and `request` how long an attempt of a request may take.
    """

    def __init__(
        self,
        board: Board,
        names: Sequence[str],
        *,
        seconds: float,
        request: float,
        clock: Callable[[], float] = uninterrupted,
    ) -> None:
        super().__init__()
        self._board = board
        self._names = sorted(names)  # all take them in one order, so that none waits for another in a circle
        self._seconds = seconds
        self._request = request
        self._clock = clock
        self._held: list[str] = []
        self._renewing = threading.Lock()
        self._until = 0.0
        self.lost = ""
        """Why they are."""
        self.given_up = ""
        """Why the unit is, where the daemon has not asked for that."""

    def take(self) -> None:
        """Wait for all of them. Raises Stopped, LeaseLost or OSError."""
        for name in self._names:
            is_told = False
            while not self._board.take(name, PATIENCE):
                if not is_told:
                    is_told = True
                    logger.warning("waiting for another writer: %s is leased", name)
                self.requested = self._board.is_over(0)
                if self.requested or self._is_unwanted():
                    self.give_back()
                    raise Stopped
                self.renew()
            self._held.append(name)
        self.renew()
        if self.lost:
            raise LeaseLost(self.lost)

    def renew(self) -> None:
        """Renew those it has; they last from before the question. Raises OSError when nobody answers."""
        with self._renewing:
            begun = self._clock()
            if self._board.renew(self._held):
                self._until = begun + self._seconds
            else:
                self._lose("another one has it")

    def give_back(self) -> None:
        """Let others have them, but for those that may be another one's by now."""
        with self._renewing:
            held, self._held = self._held, []
            for name in () if self.lost else held:
                try:
                    self._board.give_back(name)
                except OSError as error:
                    logger.info("%s is free when its time is over: %s", name, error)

    def look(self) -> None:
        """Hear whether the daemon has asked to stop, and renew. Raises OSError when nobody answers."""
        self.requested = self.requested or self._board.is_over(RENEW)
        if not self._is_unwanted():
            self.renew()

    def is_set(self) -> bool:
        """Whether to stop."""
        return super().is_set() or not self._is_certain()

    def before_request(self) -> None:
        """Raise Stopped where an attempt of a request might outlast the lease."""
        super().before_request()
        if not self._is_certain():
            raise Stopped

    def _is_certain(self) -> bool:
        if not self.lost and self._clock() + self._request > self._until:
            self._lose(f"it could not be renewed for {self._seconds - self._request:.0f} s")
        return not self.lost

    def _is_unwanted(self) -> bool:
        if why := self._board.why_unwanted():
            self.given_up = why
            self.requested = True
        return bool(why)

    def _lose(self, why: str) -> None:
        self.lost = f"the lease is lost: {why}"
        logger.warning("%s; nothing more is written", self.lost)


@contextmanager
def held(leases: Leases) -> Iterator[None]:
    """Take the leases, keep them in a thread of its own, and give them back."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(RENEW if leases.requested else TICK) and not leases.lost:
            try:
                leases.look()
            except OSError as error:
                logger.info("the leases cannot be renewed now: %s", error)
                over.wait(PATIENCE)

    leases.take()
    threading.Thread(target=keep, name="leases", daemon=True).start()
    try:
        yield
    finally:
        over.set()  # nobody waits for the thread, which may be waiting for the daemon's wish
        leases.give_back()
