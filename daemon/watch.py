"""What ends a worker that hangs, in a library for want of memory for example, where nothing of ours can go on."""

import logging
import math
import os
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from basics.stopping import StopRequest

logger = logging.getLogger(__name__)

TICK = 5.0
"""Seconds between two looks."""

GRACE = 20.0
"""Seconds that a worker whose parent is gone gets to finish its batch; ending it loses nothing."""

COMPUTING = 600.0
"""Seconds that a worker may take between two requests; what takes longest, a page of values, takes a few."""

HUNG = 70
"""The exit code of a worker that ended itself."""


def longest_silence(timeout: float) -> float:
    """Seconds after which a worker without a sign of life hangs, where a request may wait `timeout` for a byte.

    A request connects, sends and receives, and so does the ping that asks whether the server is still there.
    """
    return 6 * timeout + COMPUTING


@dataclass
class Watch:
    """Looks after this process in a thread of its own.

    Its signs of life are the questions whether to stop. `lifeline` ends when the parent does.
    """

    stopping: StopRequest
    lifeline: Connection
    limit: float
    """Seconds without a sign of life after which the process ends itself."""
    tick: float = TICK
    grace: float = GRACE

    def start(self) -> None:
        """From now on."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        self._arm(2 * self.limit)
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def _look(self) -> None:
        silent, asked = 0.0, self.stopping.asked
        while not wait([self.lifeline], self.tick):
            if asked != self.stopping.asked:
                silent, asked = 0.0, self.stopping.asked
                self._arm(2 * self.limit)
            else:  # ticks, not the time: a process that is paused does not hang
                silent += self.tick
            if silent > self.limit:
                self._end(
                    f"no sign of life for {silent:.0f} s: it hangs, mostly for want of memory, and ends itself"
                )
        self.stopping.requested = True  # so that no two daemons write at once
        time.sleep(self.grace)
        self._end("its parent is gone, and it did not end by itself")

    @staticmethod
    def _arm(seconds: float) -> None:
        """Let the system end the process after so many seconds, should a library keep all threads waiting."""
        signal.alarm(math.ceil(seconds))

    def _end(self, why: str) -> None:
        self._arm(self.tick)  # a thread that hangs may hold what logging waits for
        logger.critical("%s", why)
        os._exit(HUNG)
