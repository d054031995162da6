"""A request to stop that a signal handler may make: `threading.Event.set` in a handler can deadlock."""

import logging
import signal
import time
from types import FrameType


class Stopped(Exception):
    """The run was asked to stop: what was acknowledged stays, and the next run goes on from there."""


class StopRequest:
    """Has the two methods of `threading.Event` that a waiter needs; setting it is one assignment.

    Whoever works asks again and again, which is a sign of life: `asked` says when, by the monotonic clock.
    """

    def __init__(self) -> None:
        self.requested = False
        self.asked = time.monotonic()

    def heed(self, *numbers: int) -> None:
        """Take these signals as requests."""

        def request(_number: int, _frame: FrameType | None) -> None:
            self.requested = True

        for number in numbers:
            signal.signal(number, request)

    def is_set(self) -> bool:
        """Whether to stop."""
        self.asked = time.monotonic()
        return self.requested

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until a stop is requested; says whether it is."""
        until = time.monotonic() + seconds
        while not self.is_set() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        return self.requested

    def before_request(self) -> None:
        """Hear of each attempt of a request to a server, before it is made. Raises Stopped where it must not be.

        A stop lets it go on: a run ends between two batches.
        """
        self.is_set()  # a sign of life

    def check(self) -> None:
        """Raise Stopped when a stop is requested."""
        if self.is_set():
            raise Stopped


class Grace(StopRequest):
    """A stop that comes by itself after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._until = time.monotonic() + seconds

    def is_set(self) -> bool:
        """Whether they are over."""
        self.requested = self.requested or time.monotonic() >= self._until
        return super().is_set()


def unless_stopping(stopping: StopRequest, logger: logging.Logger, problem: str) -> list[str]:
    """The problem, logged, but for one that comes from a request given up in order to stop."""
    if stopping.is_set():
        return []
    logger.error("%s", problem)
    return [problem]
